//! Jobs that work together: channels and elections.

mod channels;
mod elections;
