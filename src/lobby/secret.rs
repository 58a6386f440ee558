//! Passwords, as a server knows them.

use std::fmt;

use sha2::{Digest, Sha256};

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
    /// The password that is this word.
    #[must_use]
    pub fn new(word: &str) -> Secret {
        Secret(digest(word))
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

    /// Only the whole word is right, and it is printed nowhere.
    #[test]
    fn the_word_is_compared_and_not_printed() {
        let secret = Secret::new("open sesame");
        assert!(secret.is("open sesame") && !secret.is("open") && !secret.is("") && !secret.is("open sesame "));
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }
}
