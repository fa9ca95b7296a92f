//! What jobs say to each other over a topic: frames, their numbers, and what the numbers tell.
//!
//! Each publisher numbers its messages from 1. Whatever carries them may lose some, over a reconnect for example; then the
//! next number that arrives says how many, so that no loss is silent. Whoever comes, or has lost its way to the others for a while, says
//! hello, and the others answer: with what they announced last under its old number, or just that they are there. Hello and answer tell
//! the latest number, too: what was lost is known even if nothing follows, and a newcomer begins to count there. Nothing here panics or grows by what others send.

mod frame;
mod numbers;
mod senders;

pub use frame::{Frame, FrameError, FrameKind, MAX_HEADER_LEN, MAX_PUBLISHER_LEN};
pub use numbers::{Heard, Outgoing, Publishers};
pub use senders::{Belief, Held, Senders};
