//! What a refusal asks for: to wait, or to go elsewhere. On virtual time.

use std::io;

use hyper::header::{LOCATION, RETRY_AFTER};
use tokio::io::duplex;
use tokio::time::Instant;

use agent_proto::BoxFuture;

use super::*;
use crate::{ByteStream, Dialer};

/// A server in memory, which refuses the first request and carries out the others.
#[derive(Clone)]
struct Refuses {
    status: u16,
    header: Option<(hyper::header::HeaderName, &'static str)>,
    body: &'static str,
    received: Arc<AtomicUsize>,
}

impl Refuses {
    fn response(&self) -> Response<Full<Bytes>> {
        if self.received.fetch_add(1, Ordering::SeqCst) > 0 {
            return Response::new(Full::default());
        }
        let mut response = Response::new(Full::new(Bytes::from_static(self.body.as_bytes())));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap();
        if let Some((name, value)) = &self.header {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        response
    }
}

impl Dialer for Refuses {
    fn dial(&self, _: &str, _: u16) -> BoxFuture<'_, io::Result<Box<dyn ByteStream>>> {
        let (ours, theirs) = duplex(64 * 1024);
        let server = self.clone();
        let service = service_fn(move |_| {
            let response = server.response();
            async { Ok::<_, Infallible>(response) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(theirs), service));
        Box::pin(async { Ok(Box::new(ours) as Box<dyn ByteStream>) })
    }
}

/// A client of such a server, and how many requests that has received.
fn refused(
    status: u16,
    header: Option<(hyper::header::HeaderName, &'static str)>,
    body: &'static str,
) -> (ServerApi, Arc<AtomicUsize>) {
    let received = Arc::<AtomicUsize>::default();
    let server = Refuses { status, header, body, received: received.clone() };
    let api = ServerApi::new(&"ws://media.test:7880/base".parse().unwrap(), "key", "secret").unwrap();
    (api.net(NetOptions::default().dialer(server)), received)
}

#[tokio::test(start_paused = true)]
async fn a_call_is_repeated_when_the_refusal_says_so() {
    const TWIRP: &str = r#"{"code":"resource_exhausted","msg":"too many requests"}"#;
    let table = [
        (503, None, "", Some(100)),
        (503, Some("2"), "", Some(2000)),
        (502, Some("soon"), "", Some(100)),
        // Our own delay at least.
        (504, Some("0"), "", Some(100)),
        (429, None, "", Some(100)),
        (429, Some("3"), "", Some(3000)),
        (429, Some("3"), TWIRP, Some(3000)),
        (429, None, TWIRP, Some(100)),
        // A call has 10 s.
        (503, Some("9"), "", Some(9000)),
        (503, Some("10"), "", None),
        (429, Some("60"), "", None),
        (429, Some("99999999999999999999999"), "", None),
    ];
    for (status, retry_after, body, repeated) in table {
        let (api, received) = refused(status, retry_after.map(|value| (RETRY_AFTER, value)), body);
        let begun = Instant::now();
        let result = api.list_rooms(&[]).await;
        let case = format!("{status} {retry_after:?} {body}: {result:?} after {:?}", begun.elapsed());
        assert_eq!(result.is_ok(), repeated.is_some(), "{case}");
        assert_eq!(received.load(Ordering::SeqCst), if repeated.is_some() { 2 } else { 1 }, "{case}");
        let delay = Duration::from_millis(repeated.unwrap_or_default());
        let range = delay..delay + Duration::from_millis(50);
        assert!(range.contains(&begun.elapsed()), "{case}");

        let (api, received) = refused(status, retry_after.map(|value| (RETRY_AFTER, value)), body);
        api.create_dispatch(DispatchRequest::new("greeter", "lobby")).await.unwrap_err();
        assert_eq!(received.load(Ordering::SeqCst), 1, "{case}: a dispatch is not repeatable");
    }
}

#[tokio::test(start_paused = true)]
async fn a_redirect_names_the_server_to_give_instead() {
    let table = [
        (
            308,
            "https://media.example.com/base/twirp/livekit.RoomService/ListRooms",
            "RoomService/ListRooms: the server refused with HTTP 308: it redirects to https://media.example.com/base, which is not followed: \
             give that address as the server URL (`.url(…)` or LIVEKIT_URL), if it is your server",
        ),
        (
            301,
            "https://ada:s3cret@media.example.com:8443/login/s3cret?next=s3cret#s3cret",
            "RoomService/ListRooms: the server refused with HTTP 301: it redirects to https://media.example.com:8443, which is not followed: \
             give that address as the server URL (`.url(…)` or LIVEKIT_URL), if it is your server",
        ),
        (
            302,
            "/login",
            "RoomService/ListRooms: the server refused with HTTP 302: it redirects to http://media.test:7880, which is not followed: \
             give that address as the server URL (`.url(…)` or LIVEKIT_URL), if it is your server",
        ),
        (
            307,
            "mailto:s3cret@example.com",
            "RoomService/ListRooms: the server refused with HTTP 307: it redirects without a target: \
             check the server URL (`.url(…)` or LIVEKIT_URL)",
        ),
    ];
    for (status, location, text) in table {
        let (api, received) = refused(status, Some((LOCATION, location)), "see s3cret");
        let error = api.list_rooms(&[]).await.unwrap_err();
        assert_eq!(error.to_string(), text);
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        assert_eq!(received.load(Ordering::SeqCst), 1, "it is not followed");
    }
}
