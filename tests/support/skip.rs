//! Tests that cannot run here say so, and CI repeats it at the end.

use std::env;
use std::fs::OpenOptions;
use std::io::Write;

/// Says why a test proves nothing here: on stderr, and in the file that `GOTCP_SKIPPED` names, if it does.
pub fn skipped(why: &str) {
    eprintln!("skipped: {why}");
    if let Some(path) = env::var_os("GOTCP_SKIPPED") {
        let mut file = OpenOptions::new().create(true).append(true).open(path).expect("a file for what is skipped");
        file.write_all(format!("{why}\n").as_bytes()).expect("a line for what is skipped");
    }
}
