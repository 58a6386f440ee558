//! What a server's key is told by: the same at the server, which prints it, and at the client, which remembers it.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use webpki::EndEntityCert;

/// What begins a fingerprint.
const PREFIX: &str = "SHA256:";

/// The SHA-256 of a certificate's `SubjectPublicKeyInfo` (RFC 5280, 4.1), written as `SHA256:` and base64 without padding.
/// So a new certificate for the same key has the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// That of a certificate.
    ///
    /// # Errors
    /// If it is none.
    pub fn of(certificate: &CertificateDer<'_>) -> anyhow::Result<Fingerprint> {
        let certificate = EndEntityCert::try_from(certificate).context("it is no certificate")?;
        Ok(Fingerprint(Sha256::digest(certificate.subject_public_key_info().as_ref()).into()))
    }
}

impl FromStr for Fingerprint {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Fingerprint> {
        let expected = "it must be SHA256: and 43 characters of base64, as the server prints it";
        let digits = text.strip_prefix(PREFIX).context(expected)?;
        let bytes = STANDARD_NO_PAD.decode(digits.trim_end_matches('=')).ok().context(expected)?;
        ensure!(bytes.len() == 32, expected);
        Ok(Fingerprint(bytes.try_into().expect("32 bytes")))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", STANDARD_NO_PAD.encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fingerprint is read back as it is printed, with or without padding; nothing else is taken for one.
    #[test]
    fn fingerprints_are_read_back() {
        let fingerprint = Fingerprint([7; 32]);
        let text = fingerprint.to_string();
        assert_eq!(text.len(), PREFIX.len() + 43);
        assert_eq!(text.parse::<Fingerprint>().unwrap(), fingerprint);
        assert_eq!(format!("{text}=").parse::<Fingerprint>().unwrap(), fingerprint);
        for text in ["", "SHA256:", "SHA256:abcd", "sha256:", &text[7..], &format!("{text}AAAA")] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
    }
}
