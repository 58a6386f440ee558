//! The container scripts: which commands they give an engine, and what happens on a real one.
#![cfg(unix)]

mod engine;
mod scripts;
#[path = "../support/mod.rs"]
mod support;
