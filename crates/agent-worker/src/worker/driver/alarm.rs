//! One runtime timer for all timers of the machine.

use std::pin::Pin;

use tokio::time::{Instant, Sleep, sleep_until};

/// Fires when the machine's next timeout is due, or earlier: a machine that is woken early does nothing, and
/// moving the runtime's timer back at the end of each job costs more than an early wake-up.
pub(super) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    /// When it fires; `None`: never.
    at: Option<Instant>,
}

impl Alarm {
    pub(super) fn new() -> Self {
        Self { sleep: Box::pin(sleep_until(Instant::now())), at: None }
    }

    /// Fires at this time at the latest, if there is one.
    pub(super) fn set(&mut self, by: Option<Instant>) {
        if let Some(by) = by
            && self.at.is_none_or(|at| by < at)
        {
            self.sleep.as_mut().reset(by);
            self.at = Some(by);
        }
    }

    /// Waits until it fires; forever if it was not set since. Cancel-safe.
    pub(super) async fn fired(&mut self) {
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
    async fn it_fires_once_at_the_earliest_time() {
        let start = Instant::now();
        let after = |seconds| Some(start + Duration::from_secs(seconds));
        let mut alarm = Alarm::new();
        for by in [after(5), after(3), after(9), None] {
            alarm.set(by);
        }
        alarm.fired().await;
        assert_eq!(start.elapsed(), Duration::from_secs(3));
        let silent = tokio::time::timeout(Duration::from_secs(60), alarm.fired()).await;
        assert!(silent.is_err(), "it fired again");
        alarm.set(after(70));
        alarm.fired().await;
        assert_eq!(start.elapsed(), Duration::from_secs(70));
    }
}
