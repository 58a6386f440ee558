//! The container scripts: what they ask of an engine, and what comes of it on a real one.
#![cfg(unix)]

mod engine;
mod scripts;
#[path = "../support/mod.rs"]
mod support;
