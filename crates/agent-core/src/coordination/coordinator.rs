//! The trait of lease stores, which elections use.

use std::time::Duration;

use bytes::Bytes;

use agent_proto::BoxFuture;

use super::CoordinationError;
use super::error::{check_len, check_name};
use crate::election::AcquireResult;

/// The longest key of an election, in bytes.
pub const MAX_KEY_LEN: usize = 512;
/// The longest value of a leader, in bytes.
pub const MAX_VALUE_LEN: usize = 1024 * 1024;

/// A value that a leader wrote, with its token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FencedValue {
    /// The fencing token of the leader that wrote it.
    pub token: u64,
    /// The value.
    pub value: Bytes,
}

impl FencedValue {
    /// A value written under this token.
    #[must_use]
    pub fn new(token: u64, value: impl Into<Bytes>) -> Self {
        Self { token, value: value.into() }
    }
}

/// A store of leases: in memory, in files, in Redis, or your own.
///
/// It keeps one record per key, by the rules of [`LeaseRecord`](crate::LeaseRecord): tokens only grow, and
/// only the last one may write. Each method is one atomic step for all processes that share the store. A
/// future may be dropped before it completes; the operation may still happen. Keys and values are within
/// [`MAX_KEY_LEN`] and [`MAX_VALUE_LEN`].
pub trait Coordinator: Send + Sync + 'static {
    /// Grants the lease to `holder` if it is free or already its own.
    fn acquire<'a>(
        &'a self,
        key: &'a str,
        holder: &'a str,
        lease: Duration,
    ) -> BoxFuture<'a, Result<AcquireResult, CoordinationError>>;

    /// Extends a lease from now on; `false` when it is no longer held.
    fn renew<'a>(
        &'a self,
        key: &'a str,
        holder: &'a str,
        token: u64,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool, CoordinationError>>;

    /// Releases the lease if it is `holder`'s.
    fn release<'a>(&'a self, key: &'a str, holder: &'a str) -> BoxFuture<'a, Result<(), CoordinationError>>;

    /// Writes the value of this key if `token` is the last granted one; `false` otherwise.
    fn write<'a>(
        &'a self,
        key: &'a str,
        token: u64,
        value: Bytes,
    ) -> BoxFuture<'a, Result<bool, CoordinationError>>;

    /// Reads the last written value.
    fn read<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<FencedValue>, CoordinationError>>;
}

/// Writes a leader's value under its fencing token.
///
/// # Errors
/// [`CoordinationError::Stale`] under any token but the last granted one; errors of the store; a key or a
/// value over its limit.
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

/// Checks the key of an election.
///
/// # Errors
/// [`CoordinationError::Name`]
pub fn check_key(key: &str) -> Result<(), CoordinationError> {
    check_name("key of the election", key, MAX_KEY_LEN)
}
