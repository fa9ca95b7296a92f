//! Health, status and jobs over HTTP, of workers on mock servers.

mod actions;
mod health;
mod jobs;
mod limits;
mod page;
