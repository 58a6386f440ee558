//! Browsers on the server's port: the page, the handshake, and frames made by hand, friendly and hostile.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::peer::{PATIENCE, Peer, WELCOME, loopback, numbered, retry};
use crate::support::server::Server;
use crate::support::session::Session;
use crate::support::tls::Certificate;
use crate::support::websocket::{BINARY, CLOSE, CONTINUATION, FINAL, PING, PONG, TEXT, WebPeer, frame, upgrade};
use nix::sys::signal::Signal;

/// What a request is answered with, up to the end of the connection.
fn ask(address: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an end in order");
    answer
}

fn get(address: SocketAddr) -> String {
    ask(address, &format!("GET / HTTP/1.1\r\nHost: {address}\r\n\r\n"))
}

// ---- Friendly ones ----

/// Whoever has a browser and whoever has `nc` are in one room, on one port.
#[test]
fn browsers_and_others_are_in_one_room() {
    let mut server = Server::start("--web");
    server.expect_console(&format!("[O] browsers join at http://{}", server.address));
    let page = get(server.address);
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.ends_with("</html>\n"), "{page}");
    let mut carol = server.join("carol");
    let mut dave = WebPeer::upgraded(server.address);
    dave.expect(WELCOME);
    dave.say("dave");
    dave.skip_to("*** dave joined");
    carol.expect("*** dave joined");
    carol.say("hi, 안녕");
    for line in [carol.line(), dave.line()] {
        assert_eq!(line, "carol: hi, 안녕");
    }
    let long = "x".repeat(60_000);
    dave.say(&long);
    dave.say("!msg carol psst");
    for line in [format!("dave: {long}"), "--- [dave to you] psst".to_owned()] {
        carol.expect(&line);
    }
    dave.expect(&format!("dave: {long}"));
    dave.expect("--- [you to carol] psst");
    dave.say("!exit bye");
    assert_eq!(dave.end(), (vec!["*** dave left: bye".to_owned()], 1000));
    carol.expect("*** dave left: bye");
    // Whoever only looked at the page was nobody.
    carol.say("!who");
    carol.expect("--- 1 online:");
}

/// A line may come in any number of frames, and a frame in any number of pieces; what is between is answered.
#[test]
fn frames_may_come_in_pieces() {
    let server = Server::start("--web");
    let mut dave = WebPeer::upgraded(server.address).named("dave");
    let bytes = [
        frame(TEXT, b"one, "),
        frame(FINAL | PING, b"are you there?"),
        frame(CONTINUATION, b""),
        frame(FINAL | CONTINUATION, b"two\nthr"),
        frame(FINAL | PONG, b"nobody asked"),
        frame(FINAL | BINARY, b"ee\n"),
    ]
    .concat();
    for byte in &bytes {
        dave.send_raw(&[*byte]);
    }
    dave.expect("dave: one, two");
    dave.expect("dave: three");
    assert_eq!(dave.inner().controls, [(PONG, b"are you there?".to_vec())]);
    dave.send_raw(&bytes);
    dave.expect("dave: one, two");
    dave.expect("dave: three");
    assert_eq!(dave.inner().controls.len(), 2);
}

/// A session goes on over another kind of connection, at the same position.
#[test]
fn a_session_goes_on_over_either_kind() {
    let server = Server::start("--web");
    let mut carol = server.join("carol");
    let session = Session::open(&mut carol);
    carol.say("from nc");
    carol.expect("carol: from nc");
    carol.reset();
    let mut carol = WebPeer::upgraded(server.address);
    carol.expect(WELCOME);
    carol.say(&session.claim());
    carol.expect("carol: from nc");
    carol.expect("--- resumed as carol, 1 heard");
    carol.say("from a browser");
    carol.expect("carol: from a browser");
    // A tab that is closed says so; that is a break all the same, and not a farewell.
    carol.send_raw(&frame(FINAL | CLOSE, &1001_u16.to_be_bytes()));
    assert_eq!(carol.end(), (vec![], 1000));
    let mut carol = session.resume(&server);
    carol.expect_all(["carol: from nc", "carol: from a browser", "--- resumed as carol, 2 heard"]);
}

/// How somebody without a session has gone: a close is an end in order, and its half line counts; a cut is a loss.
#[test]
fn an_end_is_told_from_a_cut() {
    let server = Server::start("--web");
    let mut witness = server.join("witness");
    let mut dave = WebPeer::upgraded(server.address).named("dave");
    dave.send_raw(&frame(FINAL | BINARY, b"my last wor"));
    dave.send_raw(&frame(FINAL | CLOSE, b""));
    witness.skip_to("dave: my last wor");
    witness.expect("*** dave left");
    assert_eq!(dave.end().1, 1000);
    let mut erin = WebPeer::upgraded(server.address).named("erin");
    erin.send_raw(&frame(FINAL | BINARY, b"nobody is to read thi"));
    erin.into_inner().into_stream().shutdown(Shutdown::Write).unwrap();
    witness.skip_to("*** erin joined");
    witness.expect("*** erin left (connection lost)");
}

/// Within TLS everything is the same. Where plain text is not wanted, a browser is led to where it can come in.
#[test]
fn browsers_may_speak_tls() {
    let certificate = Certificate::new();
    let server = Server::start(&format!("--web {}", certificate.options("required")));
    let mut plain = WebPeer::upgraded(server.address);
    assert_eq!(plain.end(), (vec!["--- error: this room speaks TLS only".to_owned()], 1000));
    let answer = get(server.address);
    assert!(answer.starts_with("HTTP/1.1 307 "), "{answer}");
    assert!(answer.contains(&format!("\r\nLocation: https://{}/\r\n", server.address)), "{answer}");
    let connect = || {
        let socket = TcpStream::connect(server.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        rustls::StreamOwned::new(certificate.client(), socket)
    };
    let mut visitor = connect();
    visitor.write_all(format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", server.address).as_bytes()).unwrap();
    let mut page = String::new();
    visitor.read_to_string(&mut page).expect("an end that is announced");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.ends_with("</html>\n"), "{page}");
    let mut dave = WebPeer::upgrade(connect(), server.address);
    dave.expect(WELCOME);
    dave.say("dave");
    dave.skip_to("*** dave joined");
    // The others still speak TLS, those that wait to be greeted as well.
    let mut carol = certificate.connect(server.address);
    carol.expect(WELCOME);
    carol.say("carol");
    carol.skip_to("*** carol joined");
    let long = "y".repeat(65_000);
    carol.say(&long);
    dave.expect("*** carol joined");
    dave.expect(&format!("carol: {long}"));
    dave.say("!exit");
    assert_eq!(dave.end(), (vec!["*** dave left".to_owned()], 1000));
}

/// A server that is stopped tells browsers, too; and waits neither for half requests nor for handshakes.
#[test]
fn a_stop_is_announced() {
    let certificate = Certificate::new();
    let server = Server::start(&format!("--web --drain 1h {}", certificate.options("offered")));
    let mut dave = WebPeer::upgraded(server.address).named("dave");
    let halves: Vec<TcpStream> = [&b"GET / HT"[..], b"\x16\x03\x01\x02"]
        .map(|half| {
            let mut socket = TcpStream::connect(server.address).unwrap();
            socket.write_all(half).unwrap();
            socket
        })
        .into();
    dave.say("hello");
    dave.skip_to("dave: hello");
    let mut late = server.connect();
    late.expect(WELCOME);
    server.signal(Signal::SIGTERM);
    let (lines, status) = dave.end();
    assert_eq!((lines.last().map(String::as_str), status), (Some("*** the server is shutting down"), 1000));
    drop(dave);
    assert_eq!(late.rest(), [""; 0]);
    drop(late);
    assert!(server.wait().0.success());
    drop(halves);
}

// ---- Requests ----

/// Without `--web` the server is as it was; with it, what is neither the page nor an upgrade is refused as it was.
#[test]
fn other_requests_are_refused_as_ever() {
    let refusal = "--- error: bad name: this is a chat, not a web server\n";
    let server = Server::start("");
    assert_eq!(get(server.address), format!("{WELCOME}\n{refusal}"));
    let server = Server::start("--web");
    for request in [
        "GET /favicon.ico HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\ncarol\n",
        "HEAD / HTTP/1.1\r\n\r\n",
    ] {
        assert_eq!(ask(server.address, request), format!("{WELCOME}\n{refusal}"), "{request}");
    }
    // Those who say nothing, or begin like a request without being one, are people.
    let mut silent = server.connect();
    silent.expect(WELCOME);
    let mut getter = server.connect();
    getter.send("GE");
    getter.expect(WELCOME);
    getter.send("Tty\n");
    getter.skip_to("*** GETty joined");
}

/// What a page from elsewhere could do is refused, and why: another origin, another name of the server, a form that posts.
#[test]
fn pages_from_elsewhere_cannot_get_in() {
    let server = Server::start("--web --web-host chat.lan,chat.example");
    let ours = server.address.to_string();
    let port = server.address.port();
    for (from, to) in [
        (format!("Origin: http://{ours}"), "Origin: http://evil.example".to_owned()),
        (format!("Origin: http://{ours}\r\n"), String::new()),
        (ours.clone(), format!("evil.example:{port}")),
    ] {
        let answer = ask(server.address, &upgrade(&ours).replace(&from, &to));
        assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
        assert!(answer.ends_with('\n') && answer.contains("\r\nConnection: close\r\n"), "{answer}");
    }
    for host in [format!("CHAT.lan:{port}"), "chat.example".to_owned()] {
        let answer = ask(server.address, &upgrade(&host).replace("Version: 13", "Version: 12"));
        assert!(answer.starts_with("HTTP/1.1 426 "), "the name {host} is known: {answer}");
    }
}

/// A request may come byte by byte, and stop at every byte: then it is over after the time for a name.
#[test]
fn requests_may_come_in_pieces() {
    let server = Server::start("--web --login-timeout 3s");
    let mut witness = server.join("witness");
    let request = upgrade(&server.address.to_string());
    let half = |count: usize| {
        let mut socket = TcpStream::connect(server.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(&request.as_bytes()[..count]).unwrap();
        socket
    };
    let waiting: Vec<TcpStream> = (1..request.len()).map(half).collect();
    let gone: Vec<TcpStream> = (1..request.len()).map(half).collect();
    drop(gone);
    let mut whole = TcpStream::connect(server.address).unwrap();
    whole.set_nodelay(true).unwrap();
    whole.set_read_timeout(Some(PATIENCE)).unwrap();
    for (count, byte) in request.bytes().enumerate() {
        whole.write_all(&[byte]).unwrap();
        if count == 10 {
            // Longer than those are waited for who say nothing.
            thread::sleep(Duration::from_millis(400));
        }
    }
    let mut start = [0; 12];
    whole.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 101");
    witness.say("still here");
    witness.skip_to("witness: still here");
    for (count, mut socket) in waiting.into_iter().enumerate() {
        let mut left = Vec::new();
        let outcome = socket.read_to_end(&mut left);
        let is_reset = outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionReset);
        assert!(outcome.is_ok() || is_reset, "after {} bytes: {outcome:?}", count + 1);
    }
    witness.say("and here");
    witness.skip_to("witness: and here");
}

/// The page costs as much as joining: whoever loads it again and again waits, and nobody else does.
#[test]
fn the_page_costs() {
    let server = Server::start("--web --max-per-ip 100 --rate 1 --burst 10");
    let load = || {
        let mut peer = Peer::connect_from(loopback(9), server.address);
        peer.send(format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", server.address));
        peer.drain().0.len()
    };
    let start = Instant::now();
    // Five times the burst are five pages; each further one is due two seconds later.
    let lengths: Vec<usize> = (0..7).map(|_| load()).collect();
    assert!(start.elapsed() > Duration::from_secs(2), "{:?}", start.elapsed());
    assert!(lengths.iter().all(|length| *length == get(server.address).len()), "{lengths:?}");
}

// ---- Hostile ones ----

/// Whoever breaks the rules is told by the status of a close, and what they said before counts.
#[test]
fn faults_end_the_connection() {
    let server = Server::start("--web");
    let mut witness = server.join("witness");
    for (number, (bytes, status)) in [
        (vec![FINAL | BINARY, 1, b'x'], 1002),
        (frame(0xc0 | BINARY, b"x"), 1002),
        (frame(FINAL | 3, b"x"), 1002),
        (frame(FINAL | 0xb, b"x"), 1002),
        (frame(FINAL | CONTINUATION, b"x"), 1002),
        ([frame(BINARY, b"x"), frame(BINARY, b"x")].concat(), 1002),
        (frame(PING, b"x"), 1002),
        (vec![FINAL | PING, 0xfe, 0, 126], 1002),
        (vec![FINAL | BINARY, 0xfe, 0, 5], 1002),
        (vec![FINAL | BINARY, 0xff, 0, 0, 0, 0, 0, 1, 0, 1], 1009),
        (vec![FINAL | BINARY, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 1009),
        (frame(FINAL | CLOSE, b"x"), 1002),
    ]
    .into_iter()
    .enumerate()
    {
        let mut dave = WebPeer::upgraded(server.address).named(&format!("dave{number}"));
        dave.send_raw(&[frame(FINAL | BINARY, b"said\nand half a li"), bytes].concat());
        let (lines, told) = dave.end();
        assert_eq!((told, lines.len()), (status, 0), "{number}: {lines:?}");
        witness.skip_to(&format!("dave{number}: said"));
        witness.expect(&format!("*** dave{number} left (connection lost)"));
    }
}

/// Whoever breaks the rules behind lines that have to wait: all of those are said first, and nothing follows the close.
#[test]
fn nothing_follows_a_close() {
    let server = Server::start("--web --rate 50 --burst 20");
    let mut witness = server.join("witness");
    let mut dave = WebPeer::upgraded(server.address).named("dave");
    dave.send_raw(&[frame(FINAL | BINARY, numbered(80, "").as_bytes()), frame(FINAL | 3, b"")].concat());
    witness.expect("*** dave joined");
    for number in 0..80 {
        witness.expect(&format!("dave: {number}"));
    }
    witness.expect("*** dave left (connection lost)");
    let (lines, status) = dave.end();
    assert_eq!(status, 1002);
    // The last of them came too late to be sent.
    let count = lines.iter().filter(|line| line.starts_with("dave: ")).count();
    assert!(count > 70, "{lines:?}");
    assert!(dave.inner().next_frame().is_err(), "something follows");
}

/// A flood of pings takes neither memory nor anybody's time, whether its answers are read or not; an honest number of them
/// is answered.
#[test]
fn floods_of_pings_end() {
    let server = Server::start("--web");
    let mut witness = server.join("witness");
    let mut honest = WebPeer::upgraded(server.address).named("honest");
    honest.send_raw(&frame(FINAL | PING, b"?").repeat(900));
    honest.say("done");
    honest.skip_to("honest: done");
    retry(|| {
        honest.say("more");
        honest.skip_to("honest: more");
        honest.inner().controls.last().cloned()
    });
    for (name, flood) in [("ping", frame(FINAL | PING, &[b'?'; 125])), ("empty", frame(FINAL | BINARY, b""))] {
        let mut dave = WebPeer::upgraded(server.address).named(name);
        // It does not read; at some point it cannot write any more.
        let mut socket = {
            dave.send_raw(&flood.repeat(2000));
            dave.into_inner().into_stream()
        };
        while socket.write_all(&flood.repeat(100)).is_ok() {}
        witness.skip_to(&format!("*** {name} left (connection lost)"));
    }
}

/// A reader that is too slow is disconnected between two lines, and within no frame: it can tell what has happened.
#[test]
fn slow_readers_get_whole_frames() {
    let server = Server::start("--web --rate 0 --scrollback 1MiB --stall-timeout 20s");
    let mut talker = server.join("talker");
    let socket = Peer::connect_narrow(server.address).stream().try_clone().unwrap();
    let mut slow = WebPeer::upgrade(socket, server.address);
    slow.expect(WELCOME);
    slow.say("slow");
    slow.skip_to("*** slow joined");
    talker.skip_to("*** slow joined");
    let line = "z".repeat(5000);
    let mut stream = talker.stream().try_clone().unwrap();
    let flood = format!("{line}\n").repeat(1000);
    let sending = thread::spawn(move || stream.write_all(flood.as_bytes()));
    talker.skip_to("*** slow left (read too slowly)");
    let (lines, status) = slow.end();
    assert_eq!((lines.last().map(String::as_str), status), (Some("--- error: you read too slowly"), 1000));
    assert!(lines[..lines.len() - 1].iter().all(|heard| *heard == format!("talker: {line}")));
    drop(talker);
    let _ = sending.join();
}
