//! The certificate of a server: from files of the operator's, or made at the first start and kept.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring::cipher_suite::{
    TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::version::TLS13;

use crate::fingerprint::Fingerprint;
use crate::state;

/// Where a server has its certificate from.
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate, and those that vouch for it, as PEM.
    pub certificate: PathBuf,
    /// Its private key, as PEM.
    pub key: PathBuf,
}

impl Files {
    /// The files in which a certificate is kept that was made here. It is made if there is none.
    ///
    /// # Errors
    /// Says where it cannot be kept.
    pub fn of_this_server() -> anyhow::Result<Files> {
        let no_place = "there is no place to keep a certificate; give --tls-cert and --tls-key, or set XDG_STATE_HOME";
        let directory = state::directory().context(no_place)?;
        let files = Files { certificate: directory.join("server-cert.pem"), key: directory.join("server-key.pem") };
        match (files.certificate.exists(), files.key.exists()) {
            (true, true) => {}
            (false, false) => files.make()?,
            (false, true) => bail!("there is {} but no {}", files.key.display(), files.certificate.display()),
            (true, false) => bail!("there is {} but no {}", files.certificate.display(), files.key.display()),
        }
        Ok(files)
    }

    /// Loads the certificate: how to speak TLS with it, and the fingerprint of its key.
    ///
    /// # Errors
    /// Names the file, and says what is wrong with it.
    pub fn load(&self) -> anyhow::Result<(Arc<ServerConfig>, Fingerprint)> {
        let Files { certificate, key } = self;
        let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(certificate)?).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.with_context(|| format!("there is no certificate in {}", certificate.display()))?;
        let private = PrivateKeyDer::from_pem_slice(&read(key)?);
        let private = private.ok().with_context(|| format!("there is no private key in {}", key.display()))?;
        let fingerprint =
            Fingerprint::of(&chain[0]).with_context(|| format!("cannot use {}", certificate.display()))?;
        // The fastest first, whatever the client would rather have: what everybody is sent is encrypted for each of them.
        let suites = [TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256];
        let provider = CryptoProvider { cipher_suites: suites.to_vec(), ..ring::default_provider() };
        let builder = ServerConfig::builder_with_provider(Arc::new(provider));
        let builder = builder.with_protocol_versions(&[&TLS13]).context("cannot speak TLS 1.3")?;
        let config = builder.with_no_client_auth().with_single_cert(chain, private);
        let mut config =
            config.with_context(|| format!("cannot use {} with {}", certificate.display(), key.display()))?;
        // A connection lasts; a ticket to come back with would only be memory and bytes, and something to replay.
        config.send_tls13_tickets = 0;
        config.ignore_client_order = true;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok((Arc::new(config), fingerprint))
    }

    /// Makes a key and a certificate that it has signed itself. Nobody vouches for it: clients go by the key.
    fn make(&self) -> anyhow::Result<()> {
        let key = KeyPair::generate().context("cannot make a key")?;
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).context("cannot make a certificate")?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "gotcp");
        let certificate = params.self_signed(&key).context("cannot make a certificate")?;
        write(&self.key, &key.serialize_pem())?;
        write(&self.certificate, &certificate.pem())
    }
}

/// Writes a file that only its owner may read, whole or not at all.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(cannot),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new).with_context(cannot)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(cannot)?;
    fs::rename(&new, path).with_context(cannot)
}
