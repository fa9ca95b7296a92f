//! The room that a handler talks to.
