//! An engine behind HTTP: a WAV file is posted, and the text is the response.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use url::Url;

use super::engine::{BoxError, MAX_TEXT, Speech, SpeechToText, excerpt};

/// Maximum length of a response, which may have more than the text.
const MAX_RESPONSE: usize = 8 * MAX_TEXT;

/// How a segment is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The WAV file is the body; language and model are parameters of the URL.
    Wav,
    /// A form with the parts `file`, `language` and `model`, as OpenAI's interface and others like it have.
    Multipart,
}

/// An address that segments are sent to.
pub(crate) struct HttpEndpoint {
    url: Url,
    form: Form,
    authorization: Option<HeaderValue>,
    tls: Option<Arc<ClientConfig>>,
}

impl HttpEndpoint {
    /// An endpoint at an `http` or `https` address, which is checked now.
    pub(crate) fn new(url: &str, form: Form, api_key: Option<&str>) -> Result<Self, BoxError> {
        // The address is not repeated: it may have a password in it.
        let url =
            Url::parse(url).map_err(|error| format!("the URL of the engine cannot be read: {error}"))?;
        let tls = match url.scheme() {
            "http" => None,
            "https" => Some(Arc::new(trusted()?)),
            other => {
                return Err(format!("the URL of the engine has the scheme {other}: use http or https").into());
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("the URL of the engine has a user or password: use SPEECH_API_KEY".into());
        }
        let authorization = api_key.map(|key| HeaderValue::from_str(&format!("Bearer {key}"))).transpose();
        let mut authorization =
            authorization.map_err(|_| "the API key of the engine is no text for a header")?;
        authorization.iter_mut().for_each(|value| value.set_sensitive(true));
        Ok(Self { url, form, authorization, tls })
    }

    /// As this endpoint, with other certificates.
    #[cfg(test)]
    pub(crate) fn with_tls(self, config: ClientConfig) -> Self {
        Self { tls: Some(Arc::new(config)), ..self }
    }

    async fn ask(&self, speech: &Speech) -> Result<String, BoxError> {
        let (host, port) = match (self.url.host_str(), self.url.port_or_known_default()) {
            (Some(host), Some(port)) => (host.trim_matches(['[', ']']), port),
            _ => return Err("the URL of the engine has no host".into()),
        };
        let request = self.request(speech)?;
        let connection = TcpStream::connect((host, port)).await;
        let connection = connection.map_err(|error| format!("{host}:{port} cannot be reached: {error}"))?;
        let response = match &self.tls {
            Some(config) => {
                let name = ServerName::try_from(host.to_owned())?;
                let encrypted = TlsConnector::from(config.clone()).connect(name, connection).await;
                let encrypted = encrypted.map_err(|error| format!("TLS with {host}:{port}: {error}"))?;
                exchange(encrypted, request).await
            }
            None => exchange(connection, request).await,
        };
        text_of(&response.map_err(|error| format!("{host}:{port}: {error}"))?)
    }

    fn request(&self, speech: &Speech) -> Result<Request<Full<Bytes>>, BoxError> {
        let (mut url, wav) = (self.url.clone(), speech.wav()?);
        let fields = [("language", &speech.language), ("model", &speech.model)];
        let fields = fields.into_iter().filter(|(_, value)| !value.is_empty());
        let (content_type, body) = match self.form {
            Form::Wav => {
                for (name, value) in fields {
                    url.query_pairs_mut().append_pair(name, value);
                }
                ("audio/wav".to_owned(), wav)
            }
            Form::Multipart => multipart(fields, &wav),
        };
        let mut target = url.path().to_owned();
        if let Some(query) = url.query() {
            target = format!("{target}?{query}");
        }
        let host = match url.port() {
            Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
            None => url.host_str().unwrap_or_default().to_owned(),
        };
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(target)
            .header(HOST, host)
            .header(ACCEPT, "application/json, text/plain")
            .header(CONTENT_TYPE, content_type);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        Ok(request.body(Full::from(body))?)
    }
}

impl SpeechToText for HttpEndpoint {
    fn transcribe<'a>(&'a self, speech: &'a Speech) -> BoxFuture<'a, Result<String, BoxError>> {
        self.ask(speech).boxed()
    }
}

/// TLS with the certificates that this machine trusts.
fn trusted() -> Result<ClientConfig, BoxError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    Ok(builder.with_safe_default_protocol_versions()?.with_platform_verifier()?.with_no_client_auth())
}

/// A form with these fields and a file, and its type.
fn multipart<'a>(fields: impl Iterator<Item = (&'a str, &'a String)>, wav: &[u8]) -> (String, Vec<u8>) {
    // Long enough that it is in no file by chance.
    const BOUNDARY: &str = "----segment-of-speech-7f3a9d51c2e84b06";
    let mut body = Vec::with_capacity(wav.len() + 512);
    for (name, value) in fields {
        let part =
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    let head =
        "Content-Disposition: form-data; name=\"file\"; filename=\"speech.wav\"\r\nContent-Type: audio/wav";
    body.extend_from_slice(format!("--{BOUNDARY}\r\n{head}\r\n\r\n").as_bytes());
    body.extend_from_slice(wav);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={BOUNDARY}"), body)
}

/// Sends a request on a connection of its own, and reads the whole response.
async fn exchange<Stream>(stream: Stream, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, BoxError>
where
    Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with this function, also when it is dropped.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, MAX_RESPONSE).collect().await?.to_bytes();
    Ok(Response::from_parts(head, body))
}

/// The text of a response: plain, or in the field `text` of JSON.
fn text_of(response: &Response<Bytes>) -> Result<String, BoxError> {
    #[derive(Deserialize)]
    struct Json {
        text: String,
    }
    let (status, body) = (response.status(), response.body());
    if !status.is_success() {
        return Err(format!("the engine responded with {status}: {}", excerpt(body)).into());
    }
    let content_type = response.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    // Not all engines name the type.
    if content_type.starts_with(b"application/json") || body.trim_ascii_start().starts_with(b"{") {
        let json: Json = serde_json::from_slice(body)
            .map_err(|error| format!("the engine responded with JSON without a text: {error}"))?;
        return Ok(json.text);
    }
    Ok(std::str::from_utf8(body)
        .map_err(|_| "the engine responded with something that is not UTF-8")?
        .to_owned())
}
