//! Endpoints on a socket of this machine.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::speech;
use crate::transcriber::engine::{BoxError, Engine};
use crate::transcriber::http::{Form, HttpEndpoint};

/// A timeout that no working test reaches.
const LONG: Duration = Duration::from_secs(1_000);

/// Reads a request: its head, and its body.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> (String, Vec<u8>) {
    let mut received = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "the request ended early");
        received.extend_from_slice(&buffer[..read]);
        let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(received[..end].to_vec()).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if received.len() == end + 4 + length.parse::<usize>().unwrap() {
            return (head, received.split_off(end + 4));
        }
    }
}

/// Serves one request with this response.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, response: Vec<u8>) -> (String, Vec<u8>) {
    let request = read_request(&mut stream).await;
    // The client may have closed the connection early.
    let _ = stream.write_all(&response).await;
    let _ = stream.shutdown().await;
    request
}

fn response(status: &str, content_type: &str, body: &str) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    (head + body).into_bytes()
}

type Answer = (Result<String, BoxError>, (String, Vec<u8>));

/// Asks an endpoint with this path that gives this response; returns its answer and the request.
async fn ask(path: &str, form: Form, response: Vec<u8>) -> Answer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}{path}", listener.local_addr().unwrap());
    let endpoint = HttpEndpoint::new(&url, form, Some("key")).unwrap();
    let engine = Engine::new(endpoint, 1, LONG);
    let serving = async { serve(listener.accept().await.unwrap().0, response).await };
    let speech = speech("pt-BR", "large/v3");
    tokio::join!(engine.transcribe(&speech), serving)
}

async fn error(response: Vec<u8>) -> String {
    let error = ask("/", Form::Wav, response).await.0.unwrap_err().to_string();
    // The port differs from run to run.
    match error.split_once(": ") {
        Some((address, rest)) if address.starts_with("127.0.0.1:") => rest.to_owned(),
        _ => error,
    }
}

#[tokio::test]
async fn the_file_is_posted_with_language_and_model() {
    let plain = response("200 OK", "text/plain", "one two\n three\n");
    let (text, (head, body)) = ask("/recognize?user=7", Form::Wav, plain).await;
    assert_eq!(text.unwrap(), "one two three");
    assert!(
        head.starts_with("POST /recognize?user=7&language=pt-BR&model=large%2Fv3 HTTP/1.1\r\n"),
        "{head}"
    );
    for line in ["content-type: audio/wav", "authorization: Bearer key", "host: 127.0.0.1:"] {
        assert!(head.contains(&format!("\r\n{line}")), "{head}");
    }
    assert_eq!((&body[..4], body.len()), (&b"RIFF"[..], 32_044));
}

#[tokio::test]
async fn a_form_has_the_file_and_the_fields() {
    let json = response("200 OK", "application/json", r#"{"text": " one two", "duration": 1.0}"#);
    let (text, (head, body)) = ask("/v1/audio/transcriptions", Form::Multipart, json).await;
    assert_eq!(text.unwrap(), "one two");
    assert!(head.starts_with("POST /v1/audio/transcriptions HTTP/1.1\r\n"), "{head}");
    let boundary =
        head.lines().find_map(|line| line.strip_prefix("content-type: multipart/form-data; boundary="));
    let body = String::from_utf8_lossy(&body).into_owned();
    let parts: Vec<_> = body.split(&format!("--{}", boundary.unwrap())).collect();
    let ["", language, model, file, "--\r\n"] = parts[..] else { panic!("{} parts", parts.len()) };
    assert_eq!(language, "\r\nContent-Disposition: form-data; name=\"language\"\r\n\r\npt-BR\r\n");
    assert_eq!(model, "\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nlarge/v3\r\n");
    let (about, wav) = file.split_once("\r\n\r\n").unwrap();
    assert!(about.contains("name=\"file\"; filename=\"speech.wav\"") && wav.starts_with("RIFF"), "{about}");
}

#[tokio::test]
async fn failures_are_clear_and_bounded() {
    let refused = response("503 Service Unavailable", "text/plain", "no\nslot");
    assert_eq!(error(refused).await, "the engine responded with 503 Service Unavailable: \"no\\nslot\"");
    let moved = error(response("301 Moved Permanently", "text/html", &"x".repeat(10_000))).await;
    assert!(
        moved.starts_with("the engine responded with 301 Moved Permanently: …\"x") && moved.len() < 300,
        "{moved}"
    );
    let other = error(response("200 OK", "application/json", r#"{"result":"one"}"#)).await;
    assert!(
        other.starts_with("the engine responded with JSON without a text: missing field `text`"),
        "{other}"
    );
    let list = error(response("200 OK", "application/json; charset=utf-8", "[]")).await;
    assert!(list.starts_with("the engine responded with JSON without a text: "), "{list}");
    let mut garbage = response("200 OK", "text/plain", "xx");
    let last = garbage.len() - 1;
    garbage[last] = 0xff;
    assert_eq!(error(garbage).await, "the engine responded with something that is not UTF-8");
    let long = error(response("200 OK", "text/plain", &"x".repeat(100_000))).await;
    assert_eq!(long, "the engine returned more than 65536 bytes");
    assert_eq!(
        error(response("200 OK", "text/plain", &"x".repeat(10_000_000))).await,
        "length limit exceeded"
    );
    assert!(!error(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()).await.is_empty());
    assert!(!error(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ncut".to_vec()).await.is_empty());

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let nobody = Engine::new(HttpEndpoint::new(&url, Form::Wav, None).unwrap(), 1, LONG);
    let nobody = nobody.transcribe(&speech("", "")).await.unwrap_err().to_string();
    assert!(nobody.contains(" cannot be reached: "), "{nobody}");
}

#[tokio::test]
async fn the_connection_of_a_segment_that_is_given_up_is_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let engine = Engine::new(HttpEndpoint::new(&url, Form::Wav, None).unwrap(), 1, LONG);
    let speech = speech("", "");
    let mut stream = tokio::select! {
        result = engine.transcribe(&speech) => panic!("{result:?}"),
        stream = async {
            let mut stream = listener.accept().await.unwrap().0;
            read_request(&mut stream).await;
            stream
        } => stream,
    };
    assert!(matches!(stream.read(&mut [0]).await, Ok(0) | Err(_)));
}

#[tokio::test]
async fn https_is_checked_against_the_certificates() {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let provider = || Arc::new(aws_lc_rs::default_provider());
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der()).into();
    let server =
        ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let client =
        ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let trusting = client.with_root_certificates(roots).with_no_client_auth();

    for tls in [Some(trusting), None] {
        let is_trusted = tls.is_some();
        let mut endpoint = HttpEndpoint::new(&url, Form::Wav, None).unwrap();
        if let Some(tls) = tls {
            endpoint = endpoint.with_tls(tls);
        }
        let engine = Engine::new(endpoint, 1, LONG);
        let serving = async {
            let accepted = acceptor.accept(listener.accept().await.unwrap().0).await;
            if let Ok(stream) = accepted {
                serve(stream, response("200 OK", "text/plain", "one two")).await;
            }
        };
        let speech = speech("", "");
        let (text, ()) = tokio::join!(engine.transcribe(&speech), serving);
        match text {
            Ok(text) => assert!(is_trusted && text == "one two", "{text}"),
            Err(error) => {
                assert!(!is_trusted && error.to_string().starts_with("TLS with localhost:"), "{error}")
            }
        }
    }
}
