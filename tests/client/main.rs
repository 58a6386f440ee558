//! The client and the command line: each test runs the built binary, in a pseudo-terminal or in a pipe.
#![cfg(unix)]

mod cli;
mod kept;
mod list;
mod picture;
mod pipe;
mod prompt;
mod proxy;
#[path = "../support/mod.rs"]
mod support;
mod tls;
