//! Jobs, from the offer to the handler: which worker gets one, what it contains, and how its result is
//! handled.

mod blocking;
mod errors;
mod layers;
mod metadata;
mod routing;
#[cfg(feature = "serde")]
mod written;
