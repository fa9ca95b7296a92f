//! Jobs, from the offer to the handler: who gets one, what is in it, what becomes of what it returns.

mod errors;
mod layers;
mod metadata;
mod routing;
#[cfg(feature = "serde")]
mod written;
