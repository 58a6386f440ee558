//! Keys and certificates, and peers that speak TLS.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::cipher::{OutboundChunks, OutboundPlainMessage};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{
    ClientConfig, ClientConnection, ConnectionTrafficSecrets, ContentType, ProtocolVersion, RootCertStore, StreamOwned,
    SupportedCipherSuite,
};
use tempfile::TempDir;

use super::peer::{PATIENCE, Peer};

/// A certificate for `localhost` and 127.0.0.1, and its key, in files that go when the test does.
pub struct Certificate {
    folder: TempDir,
}

impl Certificate {
    pub fn new() -> Certificate {
        let certificate = Certificate { folder: TempDir::new().unwrap() };
        certificate.renew();
        certificate
    }

    /// Puts another key, and a certificate for it, in place of what is there.
    pub fn renew(&self) {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        fs::write(self.file(), cert.pem()).unwrap();
        fs::write(self.key_file(), signing_key.serialize_pem()).unwrap();
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    pub fn key_file(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// Options for a server that speaks TLS with it: `offered`, or `required`.
    pub fn options(&self, mode: &str) -> String {
        format!("--tls {mode} --tls-cert {} --tls-key {}", self.file().display(), self.key_file().display())
    }

    /// How to speak with a server that has it.
    pub fn client(&self) -> ClientConnection {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.file()).unwrap()).unwrap();
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.enable_secret_extraction = true;
        ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap()
    }

    /// Connects, and reads nothing yet.
    pub fn connect(&self, address: SocketAddr) -> TlsPeer {
        let socket = TcpStream::connect(address).expect("the server accepts");
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Peer::speaking(StreamOwned::new(self.client(), socket))
    }

    /// Connects, says a name, and reads on to the line that tells everyone.
    pub fn join(&self, address: SocketAddr, name: &str) -> TlsPeer {
        self.connect(address).named(name)
    }
}

/// A client that speaks TLS.
pub type TlsPeer = Peer<StreamOwned<ClientConnection, TcpStream>>;

impl TlsPeer {
    /// The socket alone, and what makes a record of a certain kind of some bytes. Nothing is read any more.
    pub fn unwrap_records(self) -> (TcpStream, impl FnMut(ContentType, &[u8]) -> Vec<u8>) {
        let StreamOwned { conn, sock } = self.into_inner();
        let Some(SupportedCipherSuite::Tls13(suite)) = conn.negotiated_cipher_suite() else { panic!("TLS 1.3") };
        let (mut sequence, secrets) = conn.dangerous_extract_secrets().expect("it is allowed").tx;
        let (ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = secrets
        else {
            panic!("a suite of ours")
        };
        let mut encrypter = suite.aead_alg.encrypter(key, iv);
        let encrypt = move |typ, bytes: &[u8]| {
            let message =
                OutboundPlainMessage { typ, version: ProtocolVersion::TLSv1_2, payload: OutboundChunks::Single(bytes) };
            sequence += 1;
            encrypter.encrypt(message, sequence - 1).unwrap().encode()
        };
        (sock, encrypt)
    }
}
