//! No secret of a connection is in any log, at any level: neither in ours nor in a library's.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing_subscriber::filter::LevelFilter;

use crate::support::Pair;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn ice_passwords_are_in_no_log() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let descriptions = tracing::subscriber::with_default(subscriber, || {
        let mut pair = Pair::new(|_| {});
        pair.connect();
        // A new generation of credentials.
        pair.resume(0);
        pair.run_for(Duration::from_secs(30));
        pair.descriptions
    });
    let text = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(text.contains("str0m") || text.contains("is::"), "the library logs something: {text}");
    let secrets: Vec<&str> = descriptions
        .iter()
        .flat_map(|sdp| sdp.lines())
        // The other half, `ice-ufrag`, is in the clear in every check on the wire.
        .filter_map(|line| line.strip_prefix("a=ice-pwd:"))
        .collect();
    assert!(secrets.len() >= 4, "both sides, before and after: {secrets:?}");
    for secret in secrets {
        let line = text.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret} is in the log: {line:?}");
    }
}
