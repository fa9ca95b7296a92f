//! Whether a failed join, or a lost room, allows another attempt.

use std::time::Duration;

use crate::backoff::MAX_RETRY_AFTER;
use crate::error::JobError;
use crate::outcome::AttemptEnd;

/// Why a connection to a room or to the server could not be established: a fact that the driver reports, as
/// detailed as retries need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinFailureKind {
    /// Nothing answered, or not in time.
    NoAnswer,
    /// The server answered, but no media connection was established.
    NoMedia,
    /// The server, or a proxy before it, refused.
    Refused {
        /// The HTTP status, if there was one.
        status: Option<u16>,
        /// The wait that the server asks for (`Retry-After`), if any.
        retry_after: Option<Duration>,
    },
    /// The process has reached its limit of open files.
    OutOfDescriptors,
    /// Anything else, such as a wrong URL, a certificate that is not trusted, or a server that is too old: a
    /// retry would fail in the same way.
    Other,
}

impl JoinFailureKind {
    /// Whether a retry may succeed. Without [`retry_after`](Self::retry_after) the retry policy's backoff is
    /// the whole wait, as for any error that [`classify`](crate::classify) considers temporary.
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

    /// The wait that the server asks for, at most [`MAX_RETRY_AFTER`]; `None` if it does not ask, or if there
    /// is no retry.
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
    /// The end of an attempt whose room was left before it began. All attempts share the room: there is no
    /// other attempt without it.
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
    use proptest::prelude::*;

    use super::*;

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
        /// A server cannot ask for a wait where there is no retry, nor for an unlimited one; its wait decides
        /// nothing else.
        #[test]
        fn a_wait_has_its_bounds(status: Option<u16>, asked: Option<Duration>) {
            let kind = refused(status, asked);
            prop_assert_eq!(kind.is_temporary(), refused(status, None).is_temporary());
            prop_assert!(kind.retry_after().is_none_or(|after| kind.is_temporary() && after <= MAX_RETRY_AFTER));
            prop_assert_eq!(kind.retry_after().is_some(), kind.is_temporary() && asked.is_some());
        }
    }
}
