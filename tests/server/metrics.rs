//! What monitoring and operators can count.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::support::peer::{PATIENCE, WELCOME, retry};
use crate::support::server::{Server, gotcp};
use tempfile::TempDir;

/// Starts a server with metrics; returns where they are, too.
fn start(options: &str) -> (Server, SocketAddr) {
    let mut server = Server::start(&format!("--metrics 127.0.0.1:0 {options}"));
    let line = server.find_on_console("metrics are at http://");
    let address = line.split("http://").nth(1).unwrap().strip_suffix("/metrics").unwrap().parse().unwrap();
    (server, address)
}

/// What is answered to these bytes.
fn ask(address: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // One that is refused before all of it was read is reset.
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

fn scrape(address: SocketAddr) -> String {
    let answer = ask(address, "GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n");
    let (head, text) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}", text.len())), "{head}");
    text.to_owned()
}

#[track_caller]
fn assert_counts(text: &str, samples: &[&str]) {
    for sample in samples {
        assert!(text.lines().any(|line| line == *sample), "no {sample} in {text}");
    }
}

/// The figures say what has happened.
#[test]
fn figures_say_what_has_happened() {
    let folder = TempDir::new().unwrap();
    let word = folder.path().join("word");
    std::fs::write(&word, "root\n").unwrap();
    let (server, address) = start(&format!(
        "--max-clients 2 --log {} --operator-password-file {}",
        folder.path().join("room.db").display(),
        word.display()
    ));
    let mut carol = server.join("carol");
    let mut dave = server.join("dave");
    let mut third = server.connect();
    third.rest();
    carol.say("hello");
    dave.skip_to("carol: hello");
    carol.say("!operator root");
    carol.say("!kick dave");
    dave.rest();
    carol.skip_to("*** dave was kicked (by an operator)");
    carol.say("!stats");
    carol.skip_to_start("--- 1 online over ");
    assert!(carol.line().starts_with("--- 6 lines heard, "));
    carol.expect("--- turned away: 1 full");
    carol.expect("--- disconnected: 1 kicked");
    // What was told that there is no place takes a moment to go.
    let text = retry(|| Some(scrape(address)).filter(|text| text.contains("\ngotcp_connections 1\n")));
    assert_counts(
        &text,
        &[
            "gotcp_members 1",
            "gotcp_lines_total 6",
            "gotcp_slowest_reader_lag_bytes 0",
            "gotcp_turned_away_total{reason=\"full\"} 1",
            "gotcp_turned_away_total{reason=\"banned\"} 0",
            "gotcp_evicted_total{reason=\"kicked\"} 1",
        ],
    );
    let said = "*** carol joined\n*** dave joined\ncarol: hello\n*** dave was kicked (by an operator)\n".len();
    assert_counts(&text, &[&format!("gotcp_said_bytes_total {said}")]);
    assert!(text.contains("\ngotcp_log_bytes "), "{text}");
    carol.say("!exit");
}

/// Whoever asks slowly, or for something else, or nothing at all, holds up the next one for two seconds at most, and the
/// room not at all.
#[test]
fn scrapers_hold_up_nobody() {
    let (server, address) = start("");
    let half: Vec<TcpStream> = ["", "GET /metrics HTTP/1.1\r\n"]
        .map(|start| {
            let mut socket = TcpStream::connect(address).unwrap();
            socket.write_all(start.as_bytes()).unwrap();
            socket
        })
        .into();
    let mut peer = server.connect();
    peer.expect(WELCOME);
    let asked = Instant::now();
    assert_counts(&scrape(address), &["gotcp_members 0", "gotcp_connections 1"]);
    assert!(asked.elapsed() < Duration::from_secs(10));
    drop(half);
    assert!(ask(address, "GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
    assert!(ask(address, "POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
    assert_eq!(ask(address, &"x".repeat(100_000)), "");

    let taken = address.to_string();
    let output = gotcp(["server", "--listen", "127.0.0.1:0", "--metrics", &taken]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(error.starts_with(&format!("gotcp: cannot serve metrics on {taken}: ")), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}
