//! Passwords, as a server knows them.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::protocol::text::sanitise;

/// What it takes to come in, and to be an operator.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// What has to be said before the name, if anything.
    pub password: Option<Secret>,
    /// What makes an operator. Without it nobody becomes one.
    pub operator_password: Option<Secret>,
    /// Whether connections that are not encrypted are refused.
    pub is_tls_required: bool,
}

/// A password to compare with. Only its SHA-256 is kept, so the time that a comparison takes does not tell where two
/// words differ.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl Secret {
    /// The password that a file has in its first line; `None` if that is blank.
    #[must_use]
    pub fn from_file(text: &[u8]) -> Option<Secret> {
        let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let word = sanitise(line.trim_ascii());
        (!word.is_empty()).then(|| Secret(digest(&word)))
    }

    /// Whether this is the word.
    #[must_use]
    pub fn is(&self, word: &str) -> bool {
        self.0 == digest(word)
    }
}

fn digest(word: &str) -> [u8; 32] {
    Sha256::digest(word.as_bytes()).into()
}

/// Not even the digest: what is printed for debugging may end up in a log.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first line of the file is the word, as a command would have it.
    #[test]
    fn the_first_line_is_the_word() {
        let secret = Secret::from_file(b" open sesame \r\nand a comment\n").unwrap();
        assert!(secret.is("open sesame") && !secret.is("open") && !secret.is("") && !secret.is("open sesame "));
        for text in [&b""[..], b"\nword", b" \r\n"] {
            assert!(Secret::from_file(text).is_none(), "{text:?}");
        }
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }
}
