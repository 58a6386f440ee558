//! This project's server once more, spoken to in other ways.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;

use crate::engine::Engine;
use crate::subject::{Gotcp, Link};

/// In TLS, with a certificate of its own.
pub fn tls(program: &Path) -> anyhow::Result<Gotcp> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()])?;
    let folder = TempDir::new()?;
    fs::write(folder.path().join("cert.pem"), cert.pem())?;
    fs::write(folder.path().join("key.pem"), signing_key.serialize_pem())?;
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone())?;
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let options = move || {
        let [cert, key] = ["cert.pem", "key.pem"].map(|file| folder.path().join(file).into());
        vec!["--tls".into(), "required".into(), "--tls-cert".into(), cert, "--tls-key".into(), key]
    };
    let link = Link::Tls(Arc::new(config));
    Ok(Gotcp { name: "gotcp, TLS", options: Box::new(options), link, ..Gotcp::new(program) })
}

/// As browsers do.
pub fn web(program: &Path) -> Gotcp {
    Gotcp { name: "gotcp, web", options: Box::new(|| vec!["--web".into()]), link: Link::Web, ..Gotcp::new(program) }
}

/// With its room in so many engines, a new one for each start; `None`, and that is said, where there is no nats-server.
pub fn shared(program: &Path, name: &'static str, engines: usize) -> Option<Gotcp> {
    let engines = if engines == 1 { vec![Engine::start()?] } else { Engine::start_cluster(engines)? };
    let rooms = Cell::new(0);
    let options = move || {
        rooms.set(rooms.get() + 1);
        let hosts: Vec<String> = engines.iter().map(|engine| engine.address().to_string()).collect();
        vec!["--log".into(), format!("nats://{}/room{}", hosts.join(","), rooms.get()).into()]
    };
    Some(Gotcp { name, options: Box::new(options), ..Gotcp::new(program) })
}
