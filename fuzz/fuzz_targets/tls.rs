//! What arrives on a port with TLS, cut anywhere: what is plain comes out as it went in, what claims to be TLS never does,
//! and of a real TLS connection that somebody tampers with nothing comes out but the beginning of what was said.
#![no_main]

#[path = "wire.rs"]
mod wire;

use std::cell::RefCell;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use gotcp::lobby::client::Link;
use gotcp::server::transport::Socket;
use gotcp::server::transport::tls::{Sniffed, Terms, Tls, sniff};
use libfuzzer_sys::{arbitrary, fuzz_target};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};
use wire::{Ends, Wire};

/// Lines that an honest client says.
const SAID: &[u8] = b"carol\nhello\n!exit\n";

#[derive(Debug, arbitrary::Arbitrary)]
struct Input {
    /// Lengths of what arrives at once, and of what the socket takes.
    cuts: Vec<u8>,
    what: What,
}

#[derive(Debug, arbitrary::Arbitrary)]
enum What {
    Bytes(Vec<u8>),
    /// A client whose stream is changed from some byte on.
    Tampered {
        at: u16,
        bytes: Vec<u8>,
        is_inserted: bool,
    },
}

fuzz_target!(|input: Input| {
    let Input { cuts, what } = input;
    let ends = Rc::new(RefCell::new(Ends::default()));
    let mut server = Tls::new(Wire(Rc::clone(&ends)), Some(&Terms::new(configs().0.clone())));
    let mut pieces = cuts.iter().map(|&cut| usize::from(cut) + 1).chain(std::iter::repeat(usize::MAX));
    let mut text = Vec::new();
    match what {
        What::Bytes(bytes) => {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let piece;
                (piece, rest) = rest.split_at(pieces.next().expect("it is endless").min(rest.len()));
                ends.borrow_mut().to_server.extend(piece);
                ends.borrow_mut().window += piece.len();
                if turn(&mut server, &mut text).is_err() {
                    break;
                }
            }
            server.assume_plain();
            let _ = turn(&mut server, &mut text);
            match sniff(&bytes) {
                Sniffed::Tls => assert!(text.is_empty(), "{text:?}"),
                Sniffed::Plain | Sniffed::Unknown => assert_eq!(text, bytes),
            }
        }
        What::Tampered { at, bytes, is_inserted } => {
            let mut client = ClientConnection::new(configs().1.clone(), "localhost".try_into().expect("a name"))
                .expect("it is a client");
            client.writer().write_all(SAID).expect("there is room");
            let mut sent = 0;
            for _ in 0..20 {
                if !client.is_handshaking() {
                    client.send_close_notify();
                }
                let mut out = Vec::new();
                while client.wants_write() {
                    client.write_tls(&mut out).expect("it is a vector");
                }
                let place = usize::from(at).checked_sub(sent).filter(|&place| place < out.len());
                sent += out.len();
                if let Some(place) = place {
                    let end = if is_inserted { place } else { (place + bytes.len()).min(out.len()) };
                    out.splice(place..end, bytes.iter().copied());
                }
                for piece in out.chunks(pieces.next().expect("it is endless").min(out.len()).max(1)) {
                    ends.borrow_mut().to_server.extend(piece);
                    ends.borrow_mut().window += 3000;
                    if turn(&mut server, &mut text).is_err() {
                        break;
                    }
                    say(&mut server);
                }
                let mut answer = std::mem::take(&mut ends.borrow_mut().from_server);
                while !answer.is_empty() && client.read_tls(&mut answer).is_ok_and(|count| count > 0) {
                    if client.process_new_packets().is_err() {
                        break;
                    }
                }
            }
            // What does not begin like TLS is not TLS.
            assert!(
                server.link() == Some(Link::Plain) || SAID.starts_with(&text),
                "{}",
                String::from_utf8_lossy(&text)
            );
            let is_whole = usize::from(at) >= sent || bytes.is_empty();
            assert!(!is_whole || text == SAID, "{}", String::from_utf8_lossy(&text));
        }
    }
});

/// Reads what there is to be read.
fn turn(server: &mut Tls<Wire>, text: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = vec![0; server.least_buffer().max(64)];
    loop {
        buffer.resize(server.least_buffer().max(64), 0);
        match server.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => text.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Writes a few lines, if it is known how.
fn say(server: &mut Tls<Wire>) {
    if server.link() == Some(Link::Tls) {
        let _ = server.write(&[IoSlice::new(b"*** carol joined\n"), IoSlice::new(&[b'x'; 900])]);
        let _ = server.flush();
    }
}

fn configs() -> &'static (Arc<ServerConfig>, Arc<ClientConfig>) {
    static CONFIGS: OnceLock<(Arc<ServerConfig>, Arc<ClientConfig>)> = OnceLock::new();
    CONFIGS.get_or_init(|| {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).expect("it is one");
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
        let server =
            ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key.into());
        let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        (Arc::new(server.expect("it fits")), Arc::new(client))
    })
}
