//! Panics: mistakes of ours, which are no reason to leave a terminal in disorder.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, PoisonError};

use anyhow::anyhow;

/// What the last panic said.
static LAST: Mutex<String> = Mutex::new(String::new());

/// From now on, a panic says nothing by itself: there may be a prompt up.
pub fn silence() {
    panic::set_hook(Box::new(|panic| {
        let words: Vec<_> = panic.to_string().split_whitespace().map(str::to_owned).collect();
        *LAST.lock().unwrap_or_else(PoisonError::into_inner) = words.join(" ");
    }));
}

/// Does something in which a panic is an error like any other.
///
/// # Errors
/// Fails as `f` does, and when it panics.
pub fn catch<T>(f: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    panic::catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|_| {
        let last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        Err(anyhow!("internal error, please report it: {last}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A panic becomes one line that says where and why.
    #[test]
    fn panics_are_errors() {
        let before = panic::take_hook();
        silence();
        let result = catch(|| -> anyhow::Result<()> { panic!("a broken\ninvariant") });
        panic::set_hook(before);
        let said = result.unwrap_err().to_string();
        assert!(said.contains("panics.rs") && said.ends_with("a broken invariant"), "{said}");
        assert_eq!(catch(|| Ok(7)).unwrap(), 7);
    }
}
