//! The machine over a media connection that is a script, so that it does the same twice.

mod replay;
mod script;
mod scripted;
