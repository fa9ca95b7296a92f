//! What a room that could not be joined, or is not there any more, means for the attempt.

use crate::backoff::MAX_RETRY_AFTER;
use crate::error::JobError;
use crate::outcome::AttemptEnd;
use std::time::Duration;

/// Why a connection to a room or to the server could not be made: a fact that the driver reports, as far as it decides about another
/// attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinFailureKind {
    /// Nothing answered, or not in time.
    NoAnswer,
    /// The server answered, but no media connection came about.
    NoMedia,
    /// The server, or a proxy before it, refused.
    Refused {
        /// The HTTP status, if there was one.
        status: Option<u16>,
        /// When the server wants to be asked again (`Retry-After`), if it says so.
        retry_after: Option<Duration>,
    },
    /// The process may open no more files and sockets.
    OutOfDescriptors,
    /// Anything else, such as a wrong URL, a certificate that is not trusted, or a server that is too old: somebody has to change
    /// something first.
    Other,
}

impl JoinFailureKind {
    /// Whether it may go better in a while. If nothing else is said, the retry policy's backoff is the whole wait then, as for any error
    /// that [`classify`](crate::classify) takes for temporary.
    ///
    /// ```
    /// use agent_core::JoinFailureKind;
    ///
    /// let refused = |status| JoinFailureKind::Refused { status: Some(status), retry_after: None };
    /// assert!(refused(503).is_temporary());
    /// assert!(!refused(401).is_temporary());
    /// ```
    #[must_use]
    pub const fn is_temporary(self) -> bool {
        match self {
            Self::NoAnswer | Self::NoMedia | Self::OutOfDescriptors => true,
            Self::Refused { status: Some(status), .. } => status == 429 || status >= 500,
            Self::Refused { status: None, .. } | Self::Other => false,
        }
    }

    /// How long the server asks to wait before another attempt, at most [`MAX_RETRY_AFTER`]; `None` if it does not ask, or if there is to
    /// be none.
    #[must_use]
    pub fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } if self.is_temporary() => {
                retry_after.map(|asked| asked.min(MAX_RETRY_AFTER))
            }
            _ => None,
        }
    }
}

impl AttemptEnd {
    /// The end of an attempt that found its room left before it began. The room is one for all attempts: there is no other attempt
    /// without it.
    #[must_use]
    pub fn room_left() -> Self {
        let error = JobError::fatal("room_left");
        Self::Error {
            kind: error.kind().clone(),
            text: "the room was left before the next attempt".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    const fn refused(status: Option<u16>, retry_after: Option<Duration>) -> JoinFailureKind {
        JoinFailureKind::Refused { status, retry_after }
    }

    #[test]
    fn the_table() {
        use JoinFailureKind as K;
        for (kind, temporary, after) in [
            (K::NoAnswer, true, None),
            (K::NoMedia, true, None),
            (K::OutOfDescriptors, true, None),
            (K::Other, false, None),
            (refused(None, None), false, None),
            (refused(Some(302), None), false, None),
            (refused(Some(401), Some(SECOND)), false, None),
            (refused(Some(404), None), false, None),
            (refused(Some(429), None), true, None),
            (refused(Some(429), Some(SECOND)), true, Some(SECOND)),
            (refused(Some(499), None), false, None),
            (refused(Some(500), None), true, None),
            (refused(Some(503), Some(3600 * SECOND)), true, Some(MAX_RETRY_AFTER)),
        ] {
            assert_eq!((kind.is_temporary(), kind.retry_after()), (temporary, after), "{kind:?}");
        }
        assert!(!AttemptEnd::room_left().is_retryable());
    }

    proptest! {
        /// A server cannot ask for a wait without another attempt, nor for one without end; its wait decides nothing else.
        #[test]
        fn a_wait_has_its_bounds(status: Option<u16>, asked: Option<Duration>) {
            let kind = refused(status, asked);
            prop_assert_eq!(kind.is_temporary(), refused(status, None).is_temporary());
            prop_assert!(kind.retry_after().is_none_or(|after| kind.is_temporary() && after <= MAX_RETRY_AFTER));
            prop_assert_eq!(kind.retry_after().is_some(), kind.is_temporary() && asked.is_some());
        }
    }
}
