//! Transcripts of the worker machine: what happens goes in, what it wants comes out, both as text that a person reads.

mod connection;
mod drain;
mod jobs;
mod outcomes;
mod rig;
