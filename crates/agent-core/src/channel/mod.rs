//! What jobs say to each other over a topic: frames, their numbers, and what the numbers tell.
//!
//! Each publisher numbers its messages from 1. Whatever carries them may lose some, over a reconnect for example; then the
//! next number that arrives says how many, so that no loss is silent. One announcement of each publisher is repeated to those
//! who come later: they say hello, and it is sent again with its old number, and with the latest one, which is where they begin
//! to count. Nothing here panics or grows by what others send.

mod frame;
mod numbers;

pub use frame::{Frame, FrameError, FrameKind, MAX_HEADER_LEN, MAX_PUBLISHER_LEN};
pub use numbers::{Heard, Outgoing, Publishers};
