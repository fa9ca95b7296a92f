//! One timer of the runtime for all timers of the machine.

use std::pin::Pin;

use tokio::time::{Instant, Sleep, sleep_until};

/// Rings when the machine wants to be woken, or earlier: a machine that is woken early does nothing, and
/// moving a timer of the runtime back each time that a job is done costs more than being woken.
pub(super) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    /// When it rings; never, when there is nothing.
    at: Option<Instant>,
}

impl Alarm {
    pub(super) fn new() -> Self {
        Self { sleep: Box::pin(sleep_until(Instant::now())), at: None }
    }

    /// Rings by this time, if there is one.
    pub(super) fn set(&mut self, by: Option<Instant>) {
        if let Some(by) = by
            && self.at.is_none_or(|at| by < at)
        {
            self.sleep.as_mut().reset(by);
            self.at = Some(by);
        }
    }

    /// Waits for it, for ever when it was not set since it last rang. Dropping the future changes nothing.
    pub(super) async fn rings(&mut self) {
        if self.at.is_none() {
            std::future::pending::<()>().await;
        }
        self.sleep.as_mut().await;
        self.at = None;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_rings_by_the_earliest_time_and_once() {
        let start = Instant::now();
        let after = |seconds| Some(start + Duration::from_secs(seconds));
        let mut alarm = Alarm::new();
        for by in [after(5), after(3), after(9), None] {
            alarm.set(by);
        }
        alarm.rings().await;
        assert_eq!(start.elapsed(), Duration::from_secs(3));
        let silent = tokio::time::timeout(Duration::from_secs(60), alarm.rings()).await;
        assert!(silent.is_err(), "it rang again");
        alarm.set(after(70));
        alarm.rings().await;
        assert_eq!(start.elapsed(), Duration::from_secs(70));
    }
}
