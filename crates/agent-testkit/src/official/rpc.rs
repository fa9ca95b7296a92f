//! Remote procedure calls of an official client, in both directions.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::client::{OfficialClient, text_of};
use super::error::ClientError;

/// How long a call may take beyond its own timeout: the SDKs wait for an acknowledgement first.
const CALL_TIMEOUT: Duration = Duration::from_secs(45);

/// What a method of an official client does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RpcBehaviour {
    /// Returns the payload of the request.
    Echo,
    /// Returns this many bytes: the letter `x`.
    Answer {
        /// The number of bytes.
        len: usize,
    },
    /// Returns this error.
    Fail {
        /// The code.
        code: u32,
        /// The message.
        message: String,
        /// The data.
        data: Option<String>,
    },
    /// Throws an exception that is no error of the protocol.
    Throw,
    /// Does not return.
    Silent,
}

impl OfficialClient {
    /// Calls a method of another participant, and waits for its answer, as long as the SDK does by default.
    ///
    /// # Errors
    /// [`ClientError::Rpc`] if it returns an error or does not answer; others as for every operation.
    pub async fn perform_rpc(&self, to: &str, method: &str, payload: &str) -> Result<String, ClientError> {
        self.call(to, method, payload, None).await
    }

    /// Calls a method of another participant, and waits for its answer at most this long; the SDKs have lower
    /// bounds of their own.
    ///
    /// # Errors
    /// As [`perform_rpc`](Self::perform_rpc).
    pub async fn perform_rpc_within(
        &self,
        to: &str,
        method: &str,
        payload: &str,
        response_timeout: Duration,
    ) -> Result<String, ClientError> {
        self.call(to, method, payload, Some(response_timeout)).await
    }

    /// Answers calls of this method from now on; each is a
    /// [`ClientEvent::RpcCalled`](super::ClientEvent::RpcCalled).
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn register_rpc(&self, method: &str, behaviour: RpcBehaviour) -> Result<(), ClientError> {
        self.ask("register_rpc", json!({ "method": method, "behaviour": behaviour })).await.map(drop)
    }

    async fn call(
        &self,
        to: &str,
        method: &str,
        payload: &str,
        response_timeout: Option<Duration>,
    ) -> Result<String, ClientError> {
        let call = json!({
            "destination_identity": to,
            "method": method,
            "payload": payload,
            "response_timeout": response_timeout.map(|timeout| timeout.as_secs_f64()),
        });
        let within = response_timeout.unwrap_or_default() + CALL_TIMEOUT;
        let answer = self.ask_within("perform_rpc", call, within).await?;
        match answer.get("code").and_then(Value::as_u64) {
            Some(code) => Err(ClientError::Rpc {
                code,
                message: text_of(&answer, "message"),
                data: answer.get("data").and_then(Value::as_str).map(str::to_owned),
            }),
            None => Ok(text_of(&answer, "payload")),
        }
    }
}
