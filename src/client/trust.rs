//! Whether a server is the one that it should be: vouched for by the system's roots, or known by its key from the first
//! time on.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::known::{Known, Record};
use crate::address::{Address, ServerList};
use crate::fingerprint::Fingerprint;

/// Who is trusted at one address.
#[derive(Debug)]
pub struct Trust {
    server: Address,
    name: ServerName<'static>,
    record: Record,
    /// What the user says it has to be.
    pin: Option<Fingerprint>,
}

/// How a handshake was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// It is who it was.
    Same,
    /// From now on it is known by this.
    New(Known),
    /// It is somebody else.
    Other(Stranger),
}

/// Why a server is not the one that it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stranger {
    /// Its key is another one.
    OtherKey { expected: Fingerprint, shown: Fingerprint },
    /// Nobody vouches for it any more.
    NotVouchedFor { shown: Fingerprint },
}

/// A server that is not the one that it should be. It says so in one line, with what to do.
#[derive(Debug)]
pub struct Mistrust {
    server: Address,
    why: Stranger,
}

/// A handshake, and how it was judged.
pub struct Handshake {
    /// The connection, which has to be driven.
    pub connection: ClientConnection,
    verdict: Arc<Mutex<Option<Verdict>>>,
}

impl Trust {
    /// Trust in each server of a room, all of which may have to have a certain key; `None` if plain text is spoken to them:
    /// TLS is not asked for, and none of them was ever met with it. (Whoever keeps a client from that one must not have the
    /// others spoken to in plain text.)
    ///
    /// # Errors
    /// If a certificate cannot be for such a host, and where it cannot be read what is known.
    pub fn open(servers: &ServerList, pin: Option<Fingerprint>) -> anyhow::Result<Vec<Option<Trust>>> {
        let ServerList { addresses, is_tls } = servers;
        let records = addresses.iter().map(|address| Record::open(&address.to_string()));
        let records: Vec<Record> = records.collect::<anyhow::Result<_>>()?;
        let is_tls = *is_tls || pin.is_some() || records.iter().any(|record| record.known().is_some());
        let trust_in = |(record, address)| is_tls.then(|| Trust::new(address, record, pin)).transpose();
        records.into_iter().zip(addresses).map(trust_in).collect()
    }

    fn new(address: &Address, record: Record, pin: Option<Fingerprint>) -> anyhow::Result<Trust> {
        let host = address.host().to_owned();
        let name =
            ServerName::try_from(host).with_context(|| format!("{address}: no certificate is for such a name"))?;
        Ok(Trust { server: address.clone(), name, record, pin })
    }

    /// Whether it was met with TLS.
    #[must_use]
    pub fn was_met(&self) -> bool {
        self.record.known().is_some()
    }

    /// Where it is written down what it is known by, if it was met.
    #[must_use]
    pub fn written_in(&self) -> Option<String> {
        self.record.file().filter(|_| self.was_met()).map(|file| file.display().to_string())
    }

    /// Begins a handshake.
    ///
    /// # Errors
    /// If TLS cannot be spoken at all.
    pub fn begin(&self) -> anyhow::Result<Handshake> {
        let provider = Arc::new(ring::default_provider());
        let verdict = Arc::new(Mutex::new(None));
        let judge = Judge {
            provider: Arc::clone(&provider),
            known: self.record.known(),
            pin: self.pin,
            verdict: Arc::clone(&verdict),
        };
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13])?;
        let mut config = config.dangerous().with_custom_certificate_verifier(Arc::new(judge)).with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Handshake { connection: ClientConnection::new(Arc::new(config), self.name.clone())?, verdict })
    }

    /// A handshake is done: the server is remembered. Returns what the user has to be told of that.
    pub fn accept(&mut self, handshake: &Handshake) -> Option<String> {
        let Some(Verdict::New(known)) = handshake.verdict() else { return None };
        let is_new = !self.was_met();
        let place = match self.record.remember(known) {
            Ok(()) if self.record.file().is_some() => "is remembered".to_owned(),
            Ok(()) => "is remembered until you leave".to_owned(),
            Err(error) => format!("cannot be remembered: {error}"),
        };
        let Known::Key(key) = known else { return None };
        let first = if is_new { "met for the first time; its" } else { "another" };
        Some(format!("{}: {first} key {key} {place}", self.server))
    }

    /// Why a handshake has failed, if that was for want of trust.
    #[must_use]
    pub fn mistrust(&self, handshake: &Handshake) -> Option<Mistrust> {
        let Some(Verdict::Other(why)) = handshake.verdict() else { return None };
        Some(Mistrust { server: self.server.clone(), why })
    }
}

impl Handshake {
    fn verdict(&self) -> Option<Verdict> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Judges a key. `is_vouched_for` asks the system's roots.
fn judge(
    known: Option<Known>,
    pin: Option<Fingerprint>,
    shown: Fingerprint,
    is_vouched_for: impl Fn() -> bool,
) -> Verdict {
    match (pin, known) {
        (Some(expected), _) | (None, Some(Known::Key(expected))) if shown != expected => {
            Verdict::Other(Stranger::OtherKey { expected, shown })
        }
        (_, Some(Known::Key(known))) if shown == known => Verdict::Same,
        (None, Some(_)) if is_vouched_for() => Verdict::Same,
        (None, Some(_)) => Verdict::Other(Stranger::NotVouchedFor { shown }),
        (None, None) if is_vouched_for() => Verdict::New(Known::Roots),
        _ => Verdict::New(Known::Key(shown)),
    }
}

/// What rustls asks about a certificate.
#[derive(Debug)]
struct Judge {
    provider: Arc<CryptoProvider>,
    known: Option<Known>,
    pin: Option<Fingerprint>,
    verdict: Arc<Mutex<Option<Verdict>>>,
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = Fingerprint::of(certificate).map_err(|_| CertificateError::BadEncoding)?;
        // The system's roots are many files: they are read only where they count, and some systems have none.
        let is_vouched_for = || {
            let roots = Verifier::new(Arc::clone(&self.provider));
            roots.is_ok_and(|roots| roots.verify_server_cert(certificate, chain, name, ocsp, now).is_ok())
        };
        let verdict = judge(self.known, self.pin, shown, is_vouched_for);
        let is_trusted = !matches!(verdict, Verdict::Other(_));
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(verdict);
        if is_trusted {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        // Only TLS 1.3 is spoken.
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl fmt::Display for Mistrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = &self.server;
        let shown = match self.why {
            Stranger::OtherKey { expected, shown } => {
                write!(f, "{server} has the key {shown}, and not {expected}")?;
                shown
            }
            Stranger::NotVouchedFor { shown } => {
                write!(f, "{server} has the key {shown}, and nobody vouches for it as they did before")?;
                shown
            }
        };
        let advice = format!("accept it with --server {server} --pin {shown}");
        write!(f, ": somebody may be in between; if its operator says that it is right, {advice}")
    }
}

impl Error for Mistrust {}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server is who it was: by its key from the first time on, or by those who vouch for it. What the user says about
    /// its key goes before either.
    #[test]
    fn servers_are_who_they_were() {
        let keys: Vec<Fingerprint> = ["A", "B"].map(|c| format!("SHA256:{}A", c.repeat(42)).parse().unwrap()).into();
        let (old, new) = (keys[0], keys[1]);
        let other = |expected| Verdict::Other(Stranger::OtherKey { expected, shown: new });
        for (known, pin, is_vouched_for, verdict) in [
            (None, None, false, Verdict::New(Known::Key(new))),
            (None, None, true, Verdict::New(Known::Roots)),
            (Some(Known::Key(new)), None, false, Verdict::Same),
            (Some(Known::Key(old)), None, false, other(old)),
            (Some(Known::Key(old)), None, true, other(old)),
            (Some(Known::Roots), None, true, Verdict::Same),
            (Some(Known::Roots), None, false, Verdict::Other(Stranger::NotVouchedFor { shown: new })),
            (None, Some(old), true, other(old)),
            (Some(Known::Key(new)), Some(old), false, other(old)),
            (Some(Known::Key(old)), Some(new), false, Verdict::New(Known::Key(new))),
            (Some(Known::Key(new)), Some(new), false, Verdict::Same),
            (Some(Known::Roots), Some(new), true, Verdict::New(Known::Key(new))),
        ] {
            assert_eq!(judge(known, pin, new, || is_vouched_for), verdict, "{known:?} {pin:?} {is_vouched_for}");
        }
    }
}
