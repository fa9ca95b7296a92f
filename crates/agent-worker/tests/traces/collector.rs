//! A collector: it keeps what is exported to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::support::within;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Status(StatusCode),
    /// Nothing, for as long as the client waits.
    Never,
    /// The connection is closed.
    Close,
}

pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    requests: watch::Sender<usize>,
    received: Arc<Mutex<Vec<Received>>>,
    _serving: JoinSet<()>,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) body: Bytes,
}

/// A span, with those of its parts that are tested.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) name: String,
    pub(crate) trace: String,
    pub(crate) id: Vec<u8>,
    pub(crate) parent: Vec<u8>,
    pub(crate) attributes: BTreeMap<String, Value>,
    /// As on the wire: 0 unset, 1 ok, 2 error.
    pub(crate) status: i32,
    pub(crate) status_text: String,
    pub(crate) begun: u64,
    pub(crate) ended: u64,
    pub(crate) resource: BTreeMap<String, Value>,
    pub(crate) scope: String,
}

impl Collector {
    pub(crate) async fn start(answer: Answer) -> Self {
        Self::serve(answer, None).await
    }

    pub(crate) async fn start_tls(acceptor: TlsAcceptor) -> Self {
        Self::serve(Answer::Status(StatusCode::OK), Some(acceptor)).await
    }

    async fn serve(answer: Answer, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, received) = (watch::Sender::new(0), Arc::new(Mutex::new(Vec::new())));
        let (counted, kept) = (requests.clone(), Arc::clone(&received));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (counted, kept, tls) = (counted.clone(), Arc::clone(&kept), tls.clone());
                connections.spawn(async move {
                    match tls {
                        Some(tls) => serve(tls.accept(stream).await.unwrap(), answer, counted, kept).await,
                        None => serve(stream, answer, counted, kept).await,
                    }
                });
            }
        });
        Self { address, requests, received, _serving: serving }
    }

    /// Waits for this many requests.
    pub(crate) async fn requests(&self, count: usize) {
        let mut requests = self.requests.subscribe();
        within(requests.wait_for(|seen| *seen >= count)).await.unwrap();
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        self.received().iter().flat_map(|received| spans(&received.body)).collect()
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: Answer,
    requests: watch::Sender<usize>,
    received: Arc<Mutex<Vec<Received>>>,
) {
    let service = service_fn(|request: Request<Incoming>| {
        let (requests, received) = (requests.clone(), Arc::clone(&received));
        async move {
            let header =
                |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            let (path, authorization) = (request.uri().path().to_owned(), header("authorization"));
            let content_type = header("content-type");
            let body = request.into_body().collect().await.unwrap().to_bytes();
            received.lock().unwrap().push(Received { path, authorization, content_type, body });
            requests.send_modify(|count| *count += 1);
            match answer {
                Answer::Status(status) => {
                    let mut response = Response::new(Empty::<Bytes>::new());
                    *response.status_mut() = status;
                    Ok(response)
                }
                Answer::Never => std::future::pending().await,
                Answer::Close => Err("closed"),
            }
        }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

fn spans(body: &[u8]) -> Vec<Span> {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let mut all = Vec::new();
    for of_resource in request.resource_spans {
        let resource = attributes(of_resource.resource.unwrap().attributes);
        for of_scope in of_resource.scope_spans {
            let scope = of_scope.scope.unwrap().name;
            for span in of_scope.spans {
                let status = span.status.unwrap_or_default();
                all.push(Span {
                    name: span.name,
                    trace: span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect(),
                    id: span.span_id,
                    parent: span.parent_span_id,
                    attributes: attributes(span.attributes),
                    status: status.code,
                    status_text: status.message,
                    begun: span.start_time_unix_nano,
                    ended: span.end_time_unix_nano,
                    resource: resource.clone(),
                    scope: scope.clone(),
                });
            }
        }
    }
    all
}

fn attributes(list: Vec<KeyValue>) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for KeyValue { key, value, .. } in list {
        let value = value.and_then(|value| value.value).expect("a value");
        assert!(all.insert(key.clone(), value).is_none(), "{key} is there twice");
    }
    all
}

impl Span {
    pub(crate) fn text(&self, attribute: &str) -> Option<&str> {
        match self.attributes.get(attribute)? {
            Value::StringValue(text) => Some(text),
            other => panic!("{attribute} is {other:?}"),
        }
    }

    pub(crate) fn seconds(&self, attribute: &str) -> Option<f64> {
        match self.attributes.get(attribute)? {
            Value::DoubleValue(seconds) => Some(*seconds),
            other => panic!("{attribute} is {other:?}"),
        }
    }

    pub(crate) fn number(&self, attribute: &str) -> Option<i64> {
        match self.attributes.get(attribute)? {
            Value::IntValue(number) => Some(*number),
            other => panic!("{attribute} is {other:?}"),
        }
    }
}
