//! This project's server once more, spoken to in TLS.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

use crate::subject::{Gotcp, Subject};

/// gotcp with a certificate of its own.
pub struct GotcpTls<'a> {
    plain: &'a Gotcp,
    certificate: CertificateDer<'static>,
    /// Where the server finds it.
    folder: TempDir,
}

impl GotcpTls<'_> {
    /// Makes the certificate.
    pub fn new(plain: &Gotcp) -> anyhow::Result<GotcpTls<'_>> {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()])?;
        let folder = TempDir::new()?;
        fs::write(folder.path().join("cert.pem"), cert.pem())?;
        fs::write(folder.path().join("key.pem"), signing_key.serialize_pem())?;
        Ok(GotcpTls { plain, certificate: cert.der().clone(), folder })
    }
}

impl Subject for GotcpTls<'_> {
    fn name(&self) -> &'static str {
        "gotcp, TLS"
    }

    fn command(&self, address: SocketAddr, clients: usize) -> Command {
        let mut command = self.plain.command(address, clients);
        command.args(["--tls", "required", "--tls-cert"]).arg(self.folder.path().join("cert.pem"));
        command.arg("--tls-key").arg(self.folder.path().join("key.pem"));
        command
    }

    fn hello(&self, client: usize) -> Vec<u8> {
        self.plain.hello(client)
    }

    fn greeting(&self, clients: usize) -> Option<Vec<u64>> {
        self.plain.greeting(clients)
    }

    fn said(&self, sender: usize, text: &str) -> String {
        self.plain.said(sender, text)
    }

    fn heard(&self, sender: usize, text: &str) -> String {
        self.plain.heard(sender, text)
    }

    fn certificate(&self) -> Option<&CertificateDer<'static>> {
        Some(&self.certificate)
    }
}
