//! The files of the page for people; `real/status_page` has it in a browser.

use crate::support::served_worker::{Served, patient};

#[tokio::test]
async fn the_page_may_load_only_its_own_files() {
    let served = Served::registered(patient, |worker| worker).await;
    for (path, kind) in [("/status", "html"), ("/status.css", "css"), ("/status.js", "javascript")] {
        let file = served.get(path).await;
        assert_eq!(
            (file.status, file.header("content-type")),
            (200, Some(&*format!("text/{kind}; charset=utf-8")))
        );
        assert_eq!(file.header("referrer-policy"), Some("no-referrer"), "{path}");
        let policy = file.header("content-security-policy").unwrap();
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.split("; ").any(|part| part == rule), "{rule}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    }
}

/// It needs no worker that answers: it says what is wrong with it.
#[tokio::test]
async fn the_page_is_there_after_the_worker_has_stopped() {
    let mut served = Served::registered(patient, |worker| worker).await;
    served.worker.stop();
    served.ended().await.unwrap();
    assert_eq!(served.get("/worker").await.status, 503);
    assert_eq!(served.get("/status").await.status, 200);
}
