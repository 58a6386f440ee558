//! Files with passwords, for either half: the first line is the word.

use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::protocol::text::sanitise;

/// Reads the word in a file, as a command would have it.
///
/// # Errors
/// If the file cannot be read, or its first line is blank; names it.
pub fn read(path: &Path) -> anyhow::Result<String> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    word(&text).with_context(|| format!("there is no password in the first line of {}", path.display()))
}

fn word(text: &[u8]) -> Option<String> {
    let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let word = sanitise(line.trim_ascii());
    (!word.is_empty()).then(|| word.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first line is the word, without the space around it.
    #[test]
    fn the_first_line_is_the_word() {
        assert_eq!(word(b" open sesame \r\nand a comment\n").as_deref(), Some("open sesame"));
        for text in [&b""[..], b"\nword", b" \r\n"] {
            assert_eq!(word(text), None, "{text:?}");
        }
    }
}
