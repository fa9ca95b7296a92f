//! One command and its answer, for a test's own queries to a server.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const TIMEOUT: Duration = Duration::from_secs(5);

pub(super) async fn command(port: u16, password: Option<&str>, words: &[&str]) -> io::Result<String> {
    let exchange = async {
        let mut stream = BufReader::new(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?);
        if let Some(password) = password {
            stream.write_all(&encode(&["AUTH", password])).await?;
            answer(&mut stream).await?;
        }
        stream.write_all(&encode(words)).await?;
        answer(&mut stream).await
    };
    tokio::time::timeout(TIMEOUT, exchange).await?
}

fn encode(words: &[&str]) -> Vec<u8> {
    let words = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
    format!("*{}\r\n{}", words.len(), words.collect::<String>()).into_bytes()
}

async fn answer(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let line = line.trim_end();
    let unexpected = || io::Error::other(format!("an unexpected answer: {line:?}"));
    match line.split_at_checked(1) {
        Some(("+" | ":", text)) => Ok(text.to_owned()),
        Some(("-", text)) => Err(io::Error::other(text.to_owned())),
        Some(("$", "-1")) => Ok(String::new()),
        Some(("$", length)) => {
            let mut value = vec![0; length.parse::<usize>().map_err(|_| unexpected())? + 2];
            stream.read_exact(&mut value).await?;
            value.truncate(value.len() - 2);
            Ok(String::from_utf8_lossy(&value).into_owned())
        }
        _ => Err(unexpected()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(bytes: &str, expected: Result<&str, &str>) {
        let got = answer(&mut bytes.as_bytes()).await.map_err(|error| error.to_string());
        assert_eq!(got.as_deref().map_err(String::as_str), expected);
    }

    #[tokio::test]
    async fn answers_are_read() {
        check("+PONG\r\n", Ok("PONG")).await;
        check(":7\r\n", Ok("7")).await;
        check("$2\r\nab\r\n", Ok("ab")).await;
        check("$-1\r\n", Ok("")).await;
        check("-NOAUTH no\r\n", Err("NOAUTH no")).await;
        check("", Err("an unexpected answer: \"\"")).await;
    }
}
