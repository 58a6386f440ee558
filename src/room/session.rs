//! Sessions: the secret that lets someone come back.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The secret of a session: 128 random bits, written as 32 hexadecimal digits.
#[derive(Clone, Copy)]
pub struct SessionToken([u8; 16]);

/// What the room knows of a token: its SHA-256. Knowing it is not enough to resume; and the time that a lookup takes
/// does not tell where two tokens differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SessionId([u8; 32]);

impl SessionToken {
    /// A token of random bits.
    #[must_use]
    pub fn new(random: u128) -> SessionToken {
        SessionToken(random.to_be_bytes())
    }

    /// Reads 32 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<SessionToken> {
        let is_token = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        is_token.then(|| u128::from_str_radix(text, 16).map(SessionToken::new).ok())?
    }

    /// What the room knows of it.
    #[must_use]
    pub fn id(&self) -> SessionId {
        SessionId(Sha256::digest(self.0).into())
    }
}

impl std::fmt::Display for SessionToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// Not the secret itself: what is printed for debugging may end up in a log.
impl std::fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token is read back from its digits, and from nothing else.
    #[test]
    fn tokens_are_read_back() {
        let token = SessionToken::new(0x0123_4567_89ab_cdef_0011_2233_4455_6677);
        assert_eq!(SessionToken::parse(&token.to_string()).unwrap().id(), token.id());
        assert_ne!(SessionToken::new(7).id(), token.id());
        for text in ["", "+1234567890123456789012345678901", "0", &"0".repeat(33), "gggggggggggggggggggggggggggggggg"] {
            assert!(SessionToken::parse(text).is_none(), "{text}");
        }
    }

    /// Printing a token for debugging does not tell it.
    #[test]
    fn debugging_tells_no_secret() {
        assert_eq!(format!("{:?}", SessionToken::new(7)), "SessionToken(..)");
    }
}
