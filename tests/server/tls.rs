//! TLS on the server's port: friendly peers, hostile ones, and certificates that change.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::peer::{PATIENCE, Peer, WELCOME};
use crate::support::server::{Server, lines_of};
use crate::support::skip::skipped;
use crate::support::tls::Certificate;
use nix::sys::signal::Signal;
use rustls::{ClientConnection, ContentType};

/// A silent peer is greeted in plain text, one that begins with a `ClientHello` in TLS; both are in one room. Whoever
/// speaks plain text where that is not wanted is told so.
#[test]
fn both_are_spoken_on_one_port() {
    let certificate = Certificate::new();
    let server = Server::start(&certificate.options("offered"));
    let mut plain = server.join("plain");
    let mut safe = certificate.connect(server.address);
    safe.expect(WELCOME);
    safe.say("safe");
    safe.skip_to("*** safe joined");
    safe.say(&"x".repeat(40_000));
    plain.skip_to("*** safe joined");
    plain.expect(&format!("safe: {}", "x".repeat(40_000)));
    plain.say("hello");
    safe.skip_to("plain: hello");
    safe.say("!exit bye");
    plain.skip_to("*** safe left: bye");
    safe.skip_to("*** safe left: bye");
    assert_eq!(safe.rest(), [""; 0]);

    let server = Server::start(&certificate.options("required"));
    for said in ["", "carol\n"] {
        let mut peer = server.connect();
        peer.send(said);
        assert_eq!(peer.rest(), ["--- error: this room speaks TLS only"], "after {said:?}");
    }
    certificate.join(server.address, "carol").say("!exit");
}

/// `openssl s_client` and `ncat` are full clients; a TLS older than 1.3 is refused.
#[test]
fn common_programs_are_clients() {
    let certificate = Certificate::new();
    let server = Server::start(&certificate.options("required"));
    let (host, port) = ("127.0.0.1", server.address.port().to_string());
    let openssl = format!("openssl s_client -quiet -connect {}", server.address);
    for program in [openssl.as_str(), &format!("ncat --ssl {host} {port}")] {
        let mut words = program.split(' ');
        let command = Command::new(words.next().unwrap())
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut child) = command else {
            skipped(&format!("tests/server/tls.rs: there is no {program}"));
            continue;
        };
        let lines = lines_of(child.stdout.take().unwrap());
        let next = || lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{program} printed nothing more"));
        let mut input = child.stdin.take().unwrap();
        input.write_all("carol\nhi, 안녕\n!exit\n".as_bytes()).unwrap();
        while next() != "carol: hi, 안녕" {}
        assert_eq!(next(), "*** carol left", "{program}");
        drop(input);
        child.wait().unwrap();
    }
    let old = Command::new("openssl")
        .args(["s_client", "-tls1_2", "-connect", &server.address.to_string()])
        .stdin(Stdio::null())
        .output();
    if let Ok(old) = old {
        let text = String::from_utf8_lossy(&old.stderr);
        assert!(text.contains("protocol version"), "{text}");
    }
}

/// A handshake may come byte by byte, and stop at every byte: then it is over after the time for a name, and costs nobody
/// else anything.
#[test]
fn handshakes_may_come_in_pieces() {
    let certificate = Certificate::new();
    let server = Server::start(&format!("{} --login-timeout 3s", certificate.options("required")));
    let mut witness = certificate.join(server.address, "witness");
    let hello = client_hello(&certificate);
    let mut halves: Vec<TcpStream> = (1..hello.len()).map(|count| half(&server, &hello[..count])).collect();

    let mut socket = TcpStream::connect(server.address).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut connection = certificate.client();
    let mut bytes = Vec::new();
    while connection.is_handshaking() || connection.wants_write() {
        connection.write_tls(&mut bytes).unwrap();
        for byte in bytes.drain(..) {
            socket.write_all(&[byte]).unwrap();
        }
        if connection.is_handshaking() {
            connection.read_tls(&mut socket).unwrap();
            connection.process_new_packets().unwrap();
        }
    }
    let mut greeting = vec![0; WELCOME.len()];
    rustls::Stream::new(&mut connection, &mut socket).read_exact(&mut greeting).unwrap();
    assert_eq!(greeting, WELCOME.as_bytes());

    witness.say("still here");
    witness.skip_to("witness: still here");
    for (count, half) in halves.iter_mut().enumerate() {
        let mut left = Vec::new();
        let outcome = half.read_to_end(&mut left);
        let is_reset = outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionReset);
        assert!(outcome.is_ok() || is_reset, "after {} bytes: {outcome:?}", count + 1);
    }
}

/// Handshakes that stop half-way, many of them, take little memory, and nobody who is in the room waits for them.
#[test]
#[cfg(target_os = "linux")]
fn half_handshakes_are_cheap() {
    let certificate = Certificate::new();
    let server = Server::start(&certificate.options("required"));
    let mut witness = certificate.join(server.address, "witness");
    let (hello, before) = (client_hello(&certificate), server.memory());
    let count = 500;
    let halves: Vec<TcpStream> = (0..count).map(|_| half(&server, &hello)).collect();
    for n in 0..100 {
        witness.say(&format!("line {n}"));
        witness.skip_to(&format!("witness: line {n}"));
    }
    let each = server.memory().saturating_sub(before) / count;
    assert!(each < 10 * 1024, "{each} bytes for each");
    drop(halves);
}

/// What is no TLS after all ends the connection, and only that: wrong records, records that are too long, bytes that
/// nobody has encrypted, an end in the middle.
#[test]
fn hostile_handshakes_end() {
    let certificate = Certificate::new();
    let server = Server::start(&certificate.options("offered"));
    let mut witness = server.join("witness");
    let hello = client_hello(&certificate);
    let with = |end: &[u8]| [&hello[..], end].concat();
    let mut too_long = hello.clone();
    too_long[3..5].copy_from_slice(&[0xff, 0xff]);
    let attacks = [
        // Announces more than a record may have, and more than there is.
        too_long,
        with(&[0x17, 0x03, 0x03, 0xff, 0xff]),
        // A second hello; a record of a type that there is not; text that nobody has encrypted; a HelloRequest, which
        // once asked to negotiate again.
        with(&hello),
        with(b"\x63\x03\x03\x00\x01x"),
        with(b"\x17\x03\x03\x00\x05hello"),
        with(b"\x16\x03\x03\x00\x04\x00\x00\x00\x00"),
        // Data before the handshake is done, which only a ticket would allow, and there are none.
        with(&[b"\x17\x03\x03\x40\x00".to_vec(), vec![0; 0x4000]].concat()),
        with(b"carol\n"),
    ];
    for (number, attack) in attacks.iter().enumerate() {
        let mut socket = half(&server, attack);
        let mut answer = Vec::new();
        // It may be reset while what was sent is not read.
        let _ = socket.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        assert!(!text.contains("---"), "attack {number} is spoken to in plain text: {text:?}");
    }
    witness.say("still here");
    witness.skip_to("witness: still here");
    // Nobody has come in.
    witness.say("!who");
    witness.skip_to("--- 1 online:");
}

/// After the handshake as well: records that do not decrypt end the connection, new keys do not.
#[test]
fn hostile_records_end() {
    let certificate = Certificate::new();
    let server = Server::start(&certificate.options("required"));
    let mut witness = certificate.join(server.address, "witness");
    let mut peer = certificate.join(server.address, "peer");
    for _ in 0..10 {
        peer.inner().conn.refresh_traffic_keys().unwrap();
        peer.say("with new keys");
        witness.skip_to("peer: with new keys");
    }
    peer.inner().sock.write_all(b"\x17\x03\x03\x00\x20--------------------------------").unwrap();
    witness.skip_to("*** peer left (connection lost)");
    // An end without a word is one like any other: a person who is gone.
    let cut = certificate.join(server.address, "cut");
    drop(cut);
    witness.skip_to("*** cut left (connection lost)");
}

/// A message that is split between two records may have anything between them in the other direction.
#[test]
fn split_messages_are_put_together() {
    let certificate = Certificate::new();
    let server = Server::start(&certificate.options("required"));
    let mut witness = certificate.join(server.address, "witness");
    let (mut socket, mut encrypt) = certificate.join(server.address, "peer").unwrap_records();
    let mut send = |kind, bytes: &[u8]| socket.write_all(&encrypt(kind, bytes)).unwrap();
    send(ContentType::ApplicationData, b"hello\n");
    witness.skip_to("peer: hello");
    // The beginning of a KeyUpdate (RFC 8446, 4.6.3), in two records.
    for part in [&[24, 0][..], &[0]] {
        send(ContentType::Handshake, part);
        for n in 0..3 {
            witness.say(&format!("between {n}"));
            witness.skip_to(&format!("witness: between {n}"));
        }
    }
    send(ContentType::ApplicationData, b"what must not come between\n");
    witness.skip_to("*** peer left (connection lost)");
}

/// SIGHUP loads the certificate anew, for those who come from then on; one that cannot be used leaves the old one in its
/// place.
#[test]
fn certificates_are_loaded_anew() {
    let certificate = Certificate::new();
    let mut server = Server::start(&certificate.options("required"));
    let first = server.find_on_console("its key is SHA256:");
    let mut early = certificate.join(server.address, "early");
    fs::write(certificate.file(), "no certificate").unwrap();
    server.signal(Signal::SIGHUP);
    server.find_on_console("there is no certificate in");
    certificate.renew();
    server.signal(Signal::SIGHUP);
    let second = server.find_on_console("its key is SHA256:");
    assert_ne!(first, second);
    let mut late = certificate.join(server.address, "late");
    late.say("hello");
    early.skip_to("late: hello");
}

/// Many slow readers and fast talkers at once: everything arrives, whole and in order.
#[test]
fn floods_arrive_whole() {
    let certificate = Certificate::new();
    let server = Server::start(&format!("{} --rate 0 --history 0", certificate.options("required")));
    let mut talker = certificate.join(server.address, "talker");
    let mut readers: Vec<_> = (0..4).map(|n| certificate.join(server.address, &format!("reader{n}"))).collect();
    let count = 2000;
    let text = "y".repeat(1000);
    std::thread::scope(|scope| {
        for reader in &mut readers {
            scope.spawn(|| {
                for n in 0..count {
                    if n % 500 == 0 {
                        std::thread::sleep(Duration::from_millis(100));
                    }
                    reader.skip_to(&format!("talker: {n} {text}"));
                }
            });
        }
        scope.spawn(|| {
            for n in 0..count {
                talker.say(&format!("{n} {text}"));
                if n % 20 == 0 {
                    talker.skip_to(&format!("talker: {n} {text}"));
                }
            }
        });
    });
}

/// The first bytes that a client of ours sends.
fn client_hello(certificate: &Certificate) -> Vec<u8> {
    let mut connection: ClientConnection = certificate.client();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    hello
}

/// A connection that has sent these bytes.
fn half(server: &Server, bytes: &[u8]) -> TcpStream {
    let peer = Peer::connect(server.address);
    let mut socket = peer.stream().try_clone().unwrap();
    // The server may have had enough before all of it was sent.
    let _ = socket.write_all(bytes);
    socket
}
