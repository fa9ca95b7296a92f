//! Futures behind traits.

use std::future::Future;
use std::pin::Pin;

/// A future on the heap, for traits that are used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
