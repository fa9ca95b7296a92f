//! Dark and light: both can be read, and are in the README.
//!
//! `UPDATE_SCREENSHOTS=1` replaces the pictures there.

use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use agent_testkit::JobSpec;
use agent_worker::{JobContext, JobError, JobResult};

use super::Open;
use crate::support::served_worker::patient;

/// Of a picture, in bytes.
const MAX_PICTURE: usize = 100_000;

/// The lowest contrast between a text and what is behind it, as WCAG 2 defines it, and where it is.
const CONTRAST: &str = "(() => {
    const rgb = (color) => color.match(/[0-9.]+/g).map(Number);
    const light = (color) => rgb(color).slice(0, 3)
        .map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
        .reduce((sum, c, index) => sum + c * [0.2126, 0.7152, 0.0722][index], 0);
    const behind = (node) => {
        for (; node; node = node.parentElement) {
            const color = getComputedStyle(node).backgroundColor;
            if (rgb(color)[3] !== 0) return color;
        }
    };
    let worst = [21, ''];
    for (const node of document.querySelectorAll('body *')) {
        const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
        if (!own || !node.checkVisibility() || node.ariaDisabled === 'true') continue;
        const [a, b] = [light(getComputedStyle(node).color), light(behind(node))].sort((a, b) => b - a);
        const contrast = (a + 0.05) / (b + 0.05);
        if (contrast < worst[0]) worst = [contrast, `${node.localName} ${node.textContent}`];
    }
    return worst;
})()";

#[tokio::test(flavor = "multi_thread")]
async fn it_can_be_read_dark_and_light() {
    async fn caller(ctx: JobContext) -> JobResult {
        match (ctx.job().room.name.as_str(), ctx.attempt()) {
            ("support-call-102" | "front-desk", 1) => {
                Err(JobError::retryable("speech service: timeout", Duration::ZERO))
            }
            ("weekly-review", 1) => Err(JobError::retryable("no model yet", Duration::from_secs(600))),
            ("done", _) => Ok(()),
            _ => patient(ctx).await,
        }
    }
    let Some(mut open) = Open::with(caller, |worker| worker.max_jobs(25)).await else { return };
    let rooms = ["support-call-101", "support-call-102", "support-call-103", "front-desk", "weekly-review"];
    open.dispatch(rooms.map(str::to_owned)).await;
    open.dispatch(["lounge".to_owned()]).await;
    open.served.dispatch(JobSpec::room("done")).await;
    open.page
        .wait_for("document.querySelector('[data-field=ended]').textContent.startsWith('1 succeeded')")
        .await;
    open.page.wait_for("[...rows.rows].map((row) => row.cells[1].dataset.state).sort().join() === 'backing_off,running,running,running,running,running'").await;
    open.page.call("Emulation.setScrollbarsHidden", json!({ "hidden": true })).await;
    let size = json!({ "width": 920, "height": 730, "deviceScaleFactor": 1, "mobile": false });
    open.page.call("Emulation.setDeviceMetricsOverride", size).await;

    let mut backgrounds = Vec::new();
    for scheme in ["light", "dark"] {
        open.page.prefer(scheme).await;
        let worst = open.page.get(CONTRAST).await;
        assert!(worst[0].as_f64().is_some_and(|contrast| contrast >= 4.5), "{scheme}: {worst}");
        backgrounds.push(open.page.get("getComputedStyle(document.body).backgroundColor").await);
        if std::env::var_os("UPDATE_SCREENSHOTS").is_some() {
            let picture = open.page.call("Page.captureScreenshot", json!({ "format": "png" })).await;
            let picture = BASE64_STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
            assert!(picture.len() < MAX_PICTURE, "{} bytes", picture.len());
            let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
            std::fs::create_dir_all(&docs).unwrap();
            std::fs::write(docs.join(format!("status-{scheme}.png")), picture).unwrap();
        }
    }
    assert_ne!(backgrounds[0], backgrounds[1]);
    assert_eq!(open.page.complaints().await, [""; 0]);
    // A narrow screen: only the table scrolls, not the page.
    let narrow = json!({ "width": 360, "height": 640, "deviceScaleFactor": 1, "mobile": true });
    open.page.call("Emulation.setDeviceMetricsOverride", narrow).await;
    open.page.wait_for("document.documentElement.scrollWidth <= 360").await;
}
