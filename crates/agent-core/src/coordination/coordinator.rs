//! The seam between elections and the stores that hold their leases.

use std::time::Duration;

use crate::election::SeatAnswer;
use agent_proto::BoxFuture;
use bytes::Bytes;

use super::CoordinationError;
use super::error::{check_len, check_name};

/// The key of an election has at most so many bytes.
pub const MAX_KEY_LEN: usize = 512;
/// A leader's value has at most so many bytes.
pub const MAX_VALUE_LEN: usize = 1024 * 1024;

/// What a leader wrote, and under which token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FencedValue {
    /// The fencing token of the leader that wrote it.
    pub token: u64,
    /// What it wrote.
    pub value: Bytes,
}

impl FencedValue {
    /// What the leader of this token wrote.
    #[must_use]
    pub fn new(token: u64, value: impl Into<Bytes>) -> Self {
        Self { token, value: value.into() }
    }
}

/// A store that holds leases: in memory, in files, in Redis, or your own.
///
/// It keeps one seat for each key, by the rules of [`Seat`](crate::Seat): a token that only grows, and writes under the last
/// one alone. Each method is one atomic step for all processes that share the store, and checks and writes in the same step.
/// A future may be dropped before it is done; what it began may still happen. Keys and values come checked:
/// [`MAX_KEY_LEN`], [`MAX_VALUE_LEN`].
pub trait Coordinator: Send + Sync + 'static {
    /// Gives the seat to `holder` if it is free or already its own.
    fn acquire<'a>(
        &'a self,
        key: &'a str,
        holder: &'a str,
        lease: Duration,
    ) -> BoxFuture<'a, Result<SeatAnswer, CoordinationError>>;

    /// Prolongs a lease from now on; `false` when it is not there any more.
    fn renew<'a>(
        &'a self,
        key: &'a str,
        holder: &'a str,
        token: u64,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool, CoordinationError>>;

    /// Frees the seat if it is `holder`'s.
    fn release<'a>(&'a self, key: &'a str, holder: &'a str) -> BoxFuture<'a, Result<(), CoordinationError>>;

    /// Writes the value of this key if `token` is the last one that was given; `false` if it is not.
    fn write<'a>(
        &'a self,
        key: &'a str,
        token: u64,
        value: Bytes,
    ) -> BoxFuture<'a, Result<bool, CoordinationError>>;

    /// What was last written.
    fn read<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<FencedValue>, CoordinationError>>;
}

/// Writes what only the leader may write: under its fencing token.
///
/// # Errors
/// [`CoordinationError::Stale`] under any token but the last one given; what the store says; a key or a value over its limit.
pub async fn write_fenced(
    coordinator: &dyn Coordinator,
    key: &str,
    token: u64,
    value: Bytes,
) -> Result<(), CoordinationError> {
    check_len("value of a leader", value.len(), MAX_VALUE_LEN)?;
    match coordinator.write(key, token, value).await? {
        true => Ok(()),
        false => Err(CoordinationError::Stale { key: key.to_owned(), token }),
    }
}

/// A key that can be used.
///
/// # Errors
/// [`CoordinationError::Name`]
pub fn check_key(key: &str) -> Result<(), CoordinationError> {
    check_name("key of the election", key, MAX_KEY_LEN)
}
