//! The page by keyboard alone.

use super::Open;
use crate::support::served_worker::patient;

/// The element with the focus, as its id or its text.
const FOCUSED: &str = "document.activeElement.id || document.activeElement.textContent.trim()";

impl Open {
    async fn focused(&mut self) -> String {
        self.page.get(FOCUSED).await.as_str().unwrap_or_default().to_owned()
    }

    /// Presses Tab until this element has the focus, which must be visible wherever it is.
    async fn tab_to(&mut self, wanted: &str) {
        let mut seen = Vec::new();
        while seen.len() < 20 {
            self.page.press("Tab").await;
            // After the last element, the browser's own have the focus, and then the first one again.
            if self.page.get("document.activeElement === document.body").await == true {
                continue;
            }
            let focused = self.focused().await;
            let outline = self.page.get("getComputedStyle(document.activeElement).outlineStyle").await;
            assert_eq!(outline, "solid", "the focus on {focused} is visible");
            if focused == wanted {
                return;
            }
            seen.push(focused);
        }
        panic!("{wanted} cannot be reached: {seen:?}");
    }

    async fn first_room(&mut self, room: &str) {
        self.page.wait_for(&format!("rows.rows[0].cells[0].textContent === '{room}'")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_filtered_turned_and_sorted_by_keyboard() {
    let Some(mut open) = Open::with(patient, |worker| worker.max_jobs(1_000)).await else { return };
    open.dispatch((0..250).map(|n| format!("room-{n:03}"))).await;
    open.shows("1 – 100 of 250").await;

    open.page.press("Tab").await;
    assert_eq!(open.focused().await, "Skip to the jobs");
    open.page.press("Enter").await;
    open.page.wait_for("document.activeElement.id === 'jobs'").await;

    // By age until then: the order of ids would be random.
    open.tab_to("Room").await;
    open.page.press("Enter").await;
    open.page.wait_for("document.activeElement.parentElement.ariaSort === 'ascending'").await;
    open.first_room("room-000").await;
    open.page.press(" ").await;
    open.page.wait_for("document.activeElement.parentElement.ariaSort === 'descending'").await;
    open.first_room("room-249").await;
    assert_eq!(open.page.get("document.querySelectorAll('[aria-sort]').length").await, 1);

    open.page.get("document.activeElement.blur()").await;
    open.tab_to("filter").await;
    open.page.type_text("ROOM-1").await;
    open.page.press("Enter").await;
    open.shows("1 – 100 of 100, filtered from 250").await;
    open.first_room("room-199").await;
    let announced = "Jobs 1 – 100 of 100, filtered from 250";
    open.page.wait_for_text("announcement", announced).await;
    open.page.type_text("7").await;
    open.shows("1 – 10 of 10, filtered from 250").await;
    open.page.type_text("x").await;
    open.shows("0 of 0, filtered from 250").await;
    assert_eq!(open.page.text("none").await, "No job has this text.");
    open.page.get("filter.select()").await;
    open.page.type_text("room").await;
    open.shows("1 – 100 of 250").await;

    open.tab_to("next").await;
    open.page.press("Enter").await;
    open.shows("101 – 200 of 250").await;
    open.first_room("room-149").await;
    open.page.press("End").await;
    open.shows("201 – 250 of 250").await;
    open.page.press("Enter").await;
    open.page.press("ArrowLeft").await;
    open.shows("101 – 200 of 250").await;
    assert_eq!(open.focused().await, "next", "the focus stays where it was");
    open.page.press("Home").await;
    open.shows("1 – 100 of 250").await;
    open.page.press("End").await;
    open.shows("201 – 250 of 250").await;
    // The last page ends with its jobs.
    open.page.get("filter.value = 'room-00'; filter.dispatchEvent(new Event('input'))").await;
    open.shows("1 – 10 of 10, filtered from 250").await;

    open.page.get("document.activeElement.blur()").await;
    open.tab_to("pause").await;
    open.page.press(" ").await;
    assert_eq!(open.page.get("pause.ariaPressed").await, "true");
    open.page.press(" ").await;
    assert_eq!(open.page.get("pause.ariaPressed").await, "false");
    open.dispatch(["room-00x".to_owned()]).await;
    open.shows("1 – 11 of 11, filtered from 251").await;
    assert_eq!(open.page.complaints().await, [""; 0]);
}
