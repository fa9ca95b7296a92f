//! The figures on the page, and what a refresh takes, at different numbers of jobs.

use serde_json::Value;

use super::Open;
use crate::support::served_worker::patient;

/// The milliseconds of a refresh, from the requests to the changed page: the median of 20, each caused by a
/// click on the column `Room`, which sorts all jobs.
const REFRESHES: &str = "(async () => {
    const took = [];
    while (took.length < 20) {
        const refreshed = new Promise((done) => new MutationObserver((_, observer) => {
            observer.disconnect();
            done();
        }).observe(document.body, { attributeFilter: ['data-refresh'] }));
        document.querySelector('[data-sort=room] button').click();
        await refreshed;
        took.push(Number(document.body.dataset.refresh));
    }
    return took.sort((a, b) => a - b)[10];
})()";

/// What the page's first card shows.
const CARD: &str =
    "Object.fromEntries([...document.querySelectorAll('#workers section:first-child [data-field]')]
    .map((field) => [field.dataset.field, field.textContent]))";

async fn refresh(open: &mut Open, jobs: usize) -> f64 {
    let took = open.page.get(REFRESHES).await.as_f64().unwrap();
    println!("a refresh at {jobs} jobs: {took:.1} ms");
    took
}

async fn card(open: &mut Open) -> Value {
    open.page.get(CARD).await
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_right_from_no_job_to_5000() {
    let Some(mut open) = Open::with(patient, |worker| worker.max_jobs(10_000)).await else { return };
    let at_0 = refresh(&mut open, 0).await;
    open.shows("0 of 0").await;
    assert_eq!(open.page.text("none").await, "No job holds a slot.");
    assert_eq!(open.page.text("name").await, "greeter");
    let idle = card(&mut open).await;
    for (field, expected) in [
        ("name", "greeter"),
        ("state", "Ready"),
        ("slots", "0 of 10,000"),
        ("load", "0.00"),
        ("ended", "0 succeeded, 0 failed, 0 retries"),
        ("registered", "yes"),
        ("type", "rooms"),
        ("launch", "(none yet)"),
    ] {
        assert_eq!(idle[field], expected, "{field}: {idle}");
    }
    assert!(idle["id"].as_str().unwrap().starts_with("AW_"), "{idle}");
    assert!(idle["server"].as_str().unwrap().starts_with(&open.served.server.url()), "{idle}");

    open.dispatch(["lobby".to_owned()]).await;
    open.shows("1 – 1 of 1").await;
    open.page.wait_for("rows.rows[0].cells[1].textContent === 'running'").await;
    let row = open.page.get("[...rows.rows[0].cells].map((cell) => cell.textContent)").await;
    assert_eq!((&row[0], &row[3], &row[4]), (&"lobby".into(), &"1".into(), &"".into()), "{row}");
    assert!(row[2].as_str().unwrap().ends_with(" s") && row[5].as_str().unwrap().starts_with("AJ_"), "{row}");
    assert_eq!(open.page.get("none.hidden").await, true);
    let at_1 = refresh(&mut open, 1).await;

    open.dispatch((1..200).map(|n| format!("room-{n:04}"))).await;
    open.shows("1 – 100 of 200").await;
    let at_200 = refresh(&mut open, 200).await;

    open.dispatch((200..5_000).map(|n| format!("room-{n:04}"))).await;
    open.shows("1 – 100 of 5,000").await;
    open.page
        .wait_for(
            "document.querySelector('[data-field=slots]').textContent === '5,000 of 10,000: 5,000 running'",
        )
        .await;
    // A job runs a moment before its launch is counted.
    open.page
        .wait_for("document.querySelector('[data-field=launch]').textContent.includes('5,000 jobs, half ≤ ')")
        .await;
    let busy = card(&mut open).await;
    assert_eq!(busy["load"], "0.50", "{busy}");
    let launches = "[...document.querySelectorAll('.times tbody td:nth-child(2)')].reduce((sum, cell) => sum + Number(cell.textContent.replace(',', '')), 0)";
    assert_eq!(open.page.get(launches).await, 5_000);
    assert_eq!(open.page.get("rows.rows.length").await, 100, "no more rows than a page has");
    let at_5000 = refresh(&mut open, 5_000).await;
    // With all rows in the page it would be 25 times as many.
    assert!(at_5000 < 8.0 * at_200, "{at_0} ms, {at_1} ms, {at_200} ms, {at_5000} ms");

    assert_eq!(open.page.complaints().await, [""; 0]);
    open.served.worker.stop();
}
