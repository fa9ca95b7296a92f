//! When a call is sent again. Without I/O.

use std::time::Duration;

use tokio::time::Instant;

/// The most times that a call is sent.
const MAX_ATTEMPTS: u32 = 3;

/// The delay before the second attempt; the third has four times as much.
const FIRST_DELAY: Duration = Duration::from_millis(100);

/// Why an attempt brought no response of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// There was no connection: the request was not sent.
    NotSent,
    /// The connection ended before the whole response: the call may have been carried out.
    NoResponse,
    /// Something in front of the server responded instead, as it could not reach it.
    Gateway,
    /// There were too many requests (429).
    TooManyRequests,
    /// The project is not used in this region of LiveKit Cloud: nothing was carried out.
    WrongRegion,
}

impl Failure {
    /// Whether another region may serve the call at once. A limit of requests is not evaded.
    pub(super) const fn may_work_elsewhere(self) -> bool {
        !matches!(self, Self::TooManyRequests)
    }
}

/// When an attempt that began now is given up: a repeatable one leaves half of the remaining time for others
/// if another address may answer instead.
pub(super) fn attempt_end(now: Instant, end: Instant, attempts: u32, is_shared: bool) -> Instant {
    if is_shared && attempts < MAX_ATTEMPTS { now + end.saturating_duration_since(now) / 2 } else { end }
}

/// The delay before the next attempt, at least; `None`: the failure is final.
pub(super) fn retry_delay(failure: Failure, is_repeatable: bool, attempts: u32) -> Option<Duration> {
    let is_safe = match failure {
        Failure::NotSent | Failure::WrongRegion => true,
        Failure::NoResponse | Failure::Gateway | Failure::TooManyRequests => is_repeatable,
    };
    (is_safe && attempts < MAX_ATTEMPTS).then(|| FIRST_DELAY * 4_u32.pow(attempts.saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_safe_requests_are_retried_and_at_most_twice() {
        let ms = |ms| Some(Duration::from_millis(ms));
        let table = [
            (Failure::NotSent, true, [ms(100), ms(400), None]),
            (Failure::NotSent, false, [ms(100), ms(400), None]),
            (Failure::WrongRegion, false, [ms(100), ms(400), None]),
            (Failure::NoResponse, true, [ms(100), ms(400), None]),
            (Failure::NoResponse, false, [None, None, None]),
            (Failure::Gateway, true, [ms(100), ms(400), None]),
            (Failure::Gateway, false, [None, None, None]),
            (Failure::TooManyRequests, true, [ms(100), ms(400), None]),
            (Failure::TooManyRequests, false, [None, None, None]),
        ];
        for (failure, is_repeatable, delays) in table {
            let decided = [1, 2, 3].map(|attempts| retry_delay(failure, is_repeatable, attempts));
            assert_eq!(decided, delays, "{failure:?}, repeatable: {is_repeatable}");
        }
    }
}
