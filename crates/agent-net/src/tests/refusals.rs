//! Responses other than an upgrade.

use super::*;

/// A server that gives every request this response, and keeps the connection open unless `ends`.
async fn answering(answer: String, ends: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/base/agent?protocol=1", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let _ = tcp.read(&mut [0; 4096]).await;
                let _ = tcp.write_all(answer.as_bytes()).await;
                if !ends {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    url
}

async fn error_of(answer: &str) -> ConnectError {
    let url = answering(answer.to_owned(), true).await;
    connect(&url, &NetOptions::default()).await.expect_err("no upgrade")
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_its_target_is_named() {
    for status in [301, 302, 303, 307, 308] {
        let error = error_of(&format!(
            "HTTP/1.1 {status} Moved\r\nLocation: https://ada:pw-0815@other.example.com/base/agent?access_token=t0ken-that-no-text-may-show\r\nContent-Length: 80\r\n\r\n<a href=\"https://ada:pw-0815@other.example.com/base/agent?access_token=x\">Moved</a>"
        ))
        .await;
        assert_eq!(error.status(), Some(status));
        let text = error.to_string();
        assert!(
            text.contains(&format!(
                "HTTP {status}: it redirects to https://other.example.com/base/agent, which"
            )) && text.contains("give https://other.example.com/base as the server URL"),
            "{text}"
        );
        assert!(!format!("{text}{error:?}").contains("pw-0815"), "{error:?}");
    }
    for nowhere in ["", "Location: \r\n", "Location: http://\r\n", "Location: \u{1}\r\n"] {
        let error = error_of(&format!("HTTP/1.1 301 Moved\r\n{nowhere}Content-Length: 0\r\n\r\n")).await;
        let text = error.to_string();
        assert!(!text.contains('\u{1}') && text.contains("LIVEKIT_URL"), "{nowhere:?}: {text}");
    }
}

#[tokio::test]
async fn when_to_come_back_is_reported() {
    let table = [
        ("Retry-After: 30\r\n", Some(30)),
        ("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:50:07 GMT\r\n", Some(30)),
        ("Retry-After: soon\r\n", None),
        ("", None),
    ];
    for status in [429, 503] {
        for (headers, seconds) in table {
            let answer = format!("HTTP/1.1 {status} No\r\n{headers}Content-Length: 0\r\n\r\n");
            let error = error_of(&answer).await;
            assert_eq!(error.retry_after(), seconds.map(Duration::from_secs), "{headers}");
        }
    }
}

/// A server that never ends the body of its refusal has refused.
#[tokio::test]
async fn a_refusal_is_reported_though_its_body_does_not_end() {
    for (body, shown) in [("Content-Length: 100000\r\n\r\nbecause", "because"), ("\r\nof this", "of this")] {
        let url = answering(format!("HTTP/1.1 503 Unavailable\r\n{body}"), false).await;
        let options = NetOptions::default().connect_timeout(Duration::from_secs(60));
        let error = connect(&url, &options).await.expect_err("refused");
        let text = error.to_string();
        assert!(text.contains(&format!("HTTP 503 ({shown})")), "{text}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_upgrade_is_an_error() {
    let upgrade = "HTTP/1.1 101 Switching Protocols\r\n";
    let correct = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
    for (answer, problem) in [
        (format!("{upgrade}Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n"), "another protocol"),
        (format!("{upgrade}{correct}\r\n"), "Sec-WebSocket-Accept"),
        (format!("{upgrade}{correct}Sec-WebSocket-Accept: bm8=\r\n\r\n"), "Sec-WebSocket-Accept"),
        (format!("HTTP/1.1 101 Switching Protocols\r\nX: {}\r\n\r\n", "y".repeat(100_000)), ""),
        (format!("HTTP/1.1 101 Switching Protocols\r\n{}\r\n", "X: y\r\n".repeat(5000)), ""),
        ("HTTP/1.1 101 Switch".to_owned(), ""),
        (String::new(), ""),
    ] {
        let error = error_of(&answer).await;
        let ConnectError::Protocol { source, .. } = &error else { panic!("{error:?}") };
        assert!(source.to_string().contains(problem), "{source}");
    }
}
