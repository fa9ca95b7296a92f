//! The machine over a scripted media connection, so that it does the same twice.

mod replay;
mod script;
mod scripted;
