//! The server's refusal of a request, as an error of ours.

use agent_proto::livekit::RequestResponse;
use agent_proto::livekit::request_response::Reason;

use crate::RoomError;

/// Maximum length of a server's text in an error.
const MAX_DETAIL_LEN: usize = 300;

/// The error of a response; `None`: the request was accepted.
pub(crate) fn refusal(response: &RequestResponse) -> Option<RoomError> {
    let reason = response.reason();
    let detail = match agent_proto::text::shorten(response.message.trim(), MAX_DETAIL_LEN) {
        text if text.is_empty() => reason.as_str_name().to_owned(),
        text => text,
    };
    match reason {
        // An unknown number is read as OK; only the actual zero is.
        Reason::Ok if response.reason != Reason::Ok as i32 => {
            Some(RoomError::Refused { detail: format!("reason {}", response.reason) })
        }
        Reason::Ok | Reason::Queued => None,
        Reason::NotAllowed => Some(RoomError::NotAllowed { detail }),
        Reason::LimitExceeded => Some(RoomError::OverLimit { detail }),
        Reason::NotFound
        | Reason::UnsupportedType
        | Reason::UnclassifiedError
        | Reason::InvalidHandle
        | Reason::InvalidName
        | Reason::DuplicateHandle
        | Reason::DuplicateName
        | Reason::InvalidRequest => Some(RoomError::Refused { detail }),
    }
}
