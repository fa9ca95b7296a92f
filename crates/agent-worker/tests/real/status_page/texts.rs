//! Names and errors that others have chosen are shown as text, and break nothing.

use std::time::Duration;

use serde_json::{Value, json};

use agent_testkit::JobSpec;
use agent_worker::{JobContext, JobError, JobKind, JobResult};

use super::Open;
use crate::support::served_worker::patient;

const NAMES: [&str; 8] = [
    "<img src=x onerror=\"document.title='owned'\">",
    "\"'></bdi></th></tr></table><script>document.title='owned'</script>",
    "<!-- ",
    "&lt;b&gt; ${1+1} {{1+1}}",
    "line\r\nbreak \u{0}\u{1b}[31m\u{7f}",
    "\u{202e}txt.exe\u{2066}\u{200f}\u{61c}",
    "غرفة الاجتماعات 12",
    "部屋 🎉 e\u{301}",
];

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_others_are_text() {
    async fn fails_with_markup(ctx: JobContext) -> JobResult {
        if ctx.attempt() == 1 {
            return Err(JobError::retryable("<b>no</b> \u{202e}model<script>", Duration::ZERO));
        }
        patient(ctx).await
    }
    let Some(mut open) = Open::with(fails_with_markup, |worker| worker.job_kind(JobKind::Participant)).await
    else {
        return;
    };
    let long = "x".repeat(1_000);
    for room in NAMES.into_iter().chain([&*long]) {
        let identity: String = room.chars().take(100).collect();
        open.served.dispatch(JobSpec::for_participant(room, format!("<i>{identity}</i>"))).await;
    }
    open.page.get("document.querySelector('[data-sort=id] button').click()").await;
    open.page.wait_for("rows.rows.length === 9 && [...rows.rows].every((row) => row.cells[1].textContent === 'running' && row.cells[3].textContent === '2')").await;

    let list = open.served.json("/jobs").await;
    let expected: Vec<Value> = list["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|job| {
            let participant = format!("for {}", job["participant"].as_str().unwrap());
            json!([job["room"], participant, job["last_error"], job["id"]])
        })
        .collect();
    let shown = open
        .page
        .get("[...rows.rows].map((row) => [...row.querySelectorAll('bdi')].map((text) => text.textContent))")
        .await;
    assert_eq!(shown, Value::Array(expected));
    let all = shown.to_string();
    for text in ["\"<img src=x", "\"for <i>غرفة", "\"<b>no</b> \\\\u{202e}model<script>\""] {
        assert!(all.contains(text), "{text}: {all}");
    }
    let tags = "[...new Set([...rows.querySelectorAll('*')].map((node) => node.localName))].sort().join()";
    assert_eq!(open.page.get(tags).await, "bdi,td,th,tr", "and no element of theirs");
    assert_eq!(open.page.get("document.title").await, "greeter: Ready");
    let fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth";
    assert_eq!(open.page.get(fits).await, true, "a long name is wrapped");
    // A name from right to left does not move the cells beside it.
    let rooms_first = "[...rows.rows].every(({ cells }) => cells[0].getBoundingClientRect().right <= cells[1].getBoundingClientRect().left + 1)";
    assert_eq!(open.page.get(rooms_first).await, true);
    // What is shown can be found.
    open.page.get(r"filter.value = '\\u{202e}txt'; filter.dispatchEvent(new Event('input'))").await;
    open.shows("1 – 1 of 1, filtered from 9").await;
    assert_eq!(open.page.complaints().await, [""; 0]);
}

/// Whatever the page is told, nothing becomes markup or code: the policy refuses it.
#[tokio::test(flavor = "multi_thread")]
async fn the_policy_is_in_force() {
    let Some(mut open) = Open::with(patient, |worker| worker.max_jobs(10)).await else { return };
    for attempt in [
        "document.body.innerHTML = '<b>x</b>'",
        "document.head.append(Object.assign(document.createElement('script'), { text: '1' }))",
        "eval('1')",
    ] {
        let refused = format!("(() => {{ try {{ {attempt}; return false; }} catch {{ return true; }} }})()");
        assert_eq!(open.page.get(&refused).await, true, "{attempt}");
    }
    let outside = "fetch('http://127.0.0.1:9/').then(() => 'sent', (error) => error.name)";
    assert_eq!(open.page.get(outside).await, "TypeError");
    let complaints = open.page.complaints().await.join("\n");
    assert!(complaints.contains("connect-src"), "the policy refused it, and not the port: {complaints}");
}
