//! Why a call failed.

use std::any::Any;

use agent_proto::error_text::chain;
use agent_proto::livekit as proto;

use crate::RoomError;
use crate::streams::whole_characters;

/// Maximum length of the message of an error, in bytes; longer ones are cut.
pub const MAX_RPC_MESSAGE_LEN: usize = 256;
/// Maximum payload of a request or a response in a packet, in bytes, and of the data of an error.
pub const MAX_RPC_PACKET_PAYLOAD: usize = 15_360;

/// The failure of a call, from the other participant or from our side.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[error("RPC error {code}: {}", agent_proto::text::line(.message))]
#[non_exhaustive]
pub struct RpcError {
    /// The number: one of [`RpcErrorCode`], or one that the method defines. 1001 to 1999 are reserved.
    pub code: u32,
    /// A short description.
    pub message: String,
    /// More about it, as the method defines; may be empty.
    pub data: String,
}

/// The codes of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RpcErrorCode {
    /// The participant has no such method.
    UnsupportedMethod = 1400,
    /// There is no such participant.
    RecipientNotFound = 1401,
    /// The request is over the limit of a packet, and the participant reads no streams.
    RequestTooLarge = 1402,
    /// The server is too old.
    UnsupportedServer = 1403,
    /// The participant does not know this version of requests.
    UnsupportedVersion = 1404,
    /// The method failed without an error of its own.
    ApplicationError = 1500,
    /// The participant did not acknowledge the request in time.
    ConnectionTimeout = 1501,
    /// The participant did not respond in time.
    ResponseTimeout = 1502,
    /// The participant left.
    RecipientDisconnected = 1503,
    /// The response is over the limit.
    ResponseTooLarge = 1504,
    /// The request or the response could not be sent.
    SendFailed = 1505,
}

impl RpcErrorCode {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// The protocol's text.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::UnsupportedMethod => "Method not supported at destination",
            Self::RecipientNotFound => "Recipient not found",
            Self::RequestTooLarge => "Request payload too large",
            Self::UnsupportedServer => "RPC not supported by server",
            Self::UnsupportedVersion => "Unsupported RPC version",
            Self::ApplicationError => "Application error in method handler",
            Self::ConnectionTimeout => "Connection timeout",
            Self::ResponseTimeout => "Response timeout",
            Self::RecipientDisconnected => "Recipient disconnected",
            Self::ResponseTooLarge => "Response payload too large",
            Self::SendFailed => "Failed to send",
        }
    }
}

impl RpcError {
    /// An error of a method. Message and data are cut between characters at 256 and 15,360 bytes.
    #[must_use]
    pub fn new(code: u32, message: impl Into<String>, data: impl Into<String>) -> Self {
        Self {
            code,
            message: cut(message.into(), MAX_RPC_MESSAGE_LEN),
            data: cut(data.into(), MAX_RPC_PACKET_PAYLOAD),
        }
    }

    /// Whether it has this code.
    #[must_use]
    pub const fn is(&self, code: RpcErrorCode) -> bool {
        self.code == code.code()
    }

    /// An error of the protocol, with more about it.
    pub(crate) fn with_data(code: RpcErrorCode, data: impl Into<String>) -> Self {
        Self::new(code.code(), code.message(), data)
    }

    pub(super) fn from_wire(error: proto::RpcError) -> Self {
        Self::new(error.code, error.message, error.data)
    }

    /// The fields may have been changed since it was made.
    pub(super) fn into_wire(self) -> proto::RpcError {
        let Self { code, message, data } = Self::new(self.code, self.message, self.data);
        proto::RpcError { code, message, data }
    }
}

impl From<RpcErrorCode> for RpcError {
    fn from(code: RpcErrorCode) -> Self {
        Self::with_data(code, "")
    }
}

impl From<RoomError> for RpcError {
    /// The request or the response was not sent.
    fn from(error: RoomError) -> Self {
        Self::with_data(RpcErrorCode::SendFailed, error.to_string())
    }
}

/// The error of a method: the [`RpcError`] that the caller receives, or any other error. The caller of the
/// latter receives [`RpcErrorCode::ApplicationError`] without details, which are logged.
///
/// ```
/// use agent_room::{MethodError, RpcError, RpcErrorCode};
///
/// let own: MethodError = RpcError::new(1, "no such song", "").into();
/// assert_eq!(own.to_rpc_error().code, 1);
/// let other: MethodError = "x".parse::<u32>().unwrap_err().into();
/// assert!(other.to_rpc_error().is(RpcErrorCode::ApplicationError));
/// assert_eq!(other.detail(), Some("invalid digit found in string"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodError {
    error: RpcError,
    detail: Option<String>,
}

impl MethodError {
    /// What the caller receives.
    #[must_use]
    pub fn to_rpc_error(&self) -> RpcError {
        self.error.clone()
    }

    /// What only the log shows.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }
}

impl From<RpcErrorCode> for MethodError {
    fn from(code: RpcErrorCode) -> Self {
        Self { error: code.into(), detail: None }
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for MethodError {
    fn from(error: E) -> Self {
        match (&error as &(dyn Any + Send + Sync)).downcast_ref::<RpcError>() {
            Some(error) => Self { error: error.clone(), detail: None },
            None => Self { error: RpcErrorCode::ApplicationError.into(), detail: Some(chain(&error)) },
        }
    }
}

fn cut(mut text: String, limit: usize) -> String {
    text.truncate(whole_characters(text.as_bytes(), limit));
    text
}
