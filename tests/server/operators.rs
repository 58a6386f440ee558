//! Passwords and operators, over connections and at the server's own terminal.

use std::fs;
use std::path::PathBuf;

use crate::support::address::free_address;
use crate::support::peer::{Peer, WELCOME, loopback};
use crate::support::pty::Setup;
use crate::support::server::Server;
use crate::support::session::Session;
use crate::support::tls::Certificate;
use tempfile::TempDir;

const LOCKED: &str = "--- this room has a password: say !password WORD, then your name";

/// Files with passwords, which go when the test does.
struct Words(TempDir);

impl Words {
    fn new() -> Words {
        let words = Words(TempDir::new().unwrap());
        fs::write(words.file("room"), "open sesame\nnot this\n").unwrap();
        fs::write(words.file("operator"), "root\n").unwrap();
        words
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn options(&self) -> String {
        format!("--password-file {} {}", self.file("room").display(), self.operator())
    }

    fn operator(&self) -> String {
        format!("--operator-password-file {}", self.file("operator").display())
    }
}

/// Makes an operator of a member.
fn promote(peer: &mut Peer) {
    peer.say("!operator root");
    peer.skip_to("--- you are an operator");
}

/// The word comes before the name and before a session; the third wrong one ends the connection. None of it is on the
/// console or in the log.
#[test]
fn the_password_comes_first() {
    let words = Words::new();
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("room.db");
    let server = Server::start(&format!("{} --log {}", words.options(), log.display()));
    let mut peer = server.connect();
    peer.expect_all([WELCOME, LOCKED]);
    for line in ["carol", "!resume 0123456789abcdef0123456789abcdef@0", "hello there"] {
        peer.say(line);
        peer.expect("--- error: say !password WORD first");
    }
    peer.say("!password open");
    peer.expect("--- error: wrong password");
    peer.say("!password   open sesame  ");
    peer.say("carol");
    peer.expect("--- you are carol; 1 online; !help lists the commands");
    peer.expect("*** carol joined");
    peer.say("!password open sesame");
    peer.expect("--- error: you are in already");
    peer.say("/password open sesame");
    peer.expect("--- error: you are in already");

    let mut guesser = server.connect();
    guesser.expect_all([WELCOME, LOCKED]);
    for guess in ["a", "b", "c", "open sesame"] {
        guesser.say(&format!("!password {guess}"));
    }
    assert_eq!(guesser.rest(), ["--- error: wrong password"; 3]);
    peer.say("!exit");
    let console = server.stop().join("\n");
    let log = fs::read(log).unwrap();
    assert!(console.contains("wrong password"), "{console}");
    assert!(!console.contains("sesame") && !String::from_utf8_lossy(&log).contains("sesame"), "{console}");

    let server = Server::start("");
    let mut peer = server.connect();
    peer.say("!password open sesame");
    peer.expect_all([WELCOME, "--- error: this room has no password; your first line is your name"]);
}

/// Each wrong word costs the address of the guesser fifty lines: over many connections, guesses come as slowly as lines. Each
/// address has its own share, and who comes from elsewhere does not wait.
#[test]
fn guesses_are_dear() {
    let words = Words::new();
    let server = Server::start(&format!("{} --max-per-ip 100 --rate 1 --burst 60", words.options()));
    let mut answered = [0; 3];
    let mut guessers: Vec<(usize, Peer)> = [9, 10, 11]
        .into_iter()
        .cycle()
        .take(30)
        .map(|last| (usize::from(last) - 9, Peer::connect_from(loopback(last), server.address)))
        .collect();
    for (_, guesser) in &mut guessers {
        guesser.expect_all([WELCOME, LOCKED]);
        guesser.send("!password a\n!password b\n!password c\n");
    }
    // The address has 5 × 60 lines at once, and then 5 a second: six guesses, and one in ten seconds.
    std::thread::sleep(std::time::Duration::from_secs(2));
    for (place, guesser) in &mut guessers {
        guesser.stream().set_nonblocking(true).unwrap();
        while let Ok(Some(line)) = guesser.try_line() {
            answered[*place] += usize::from(line == "--- error: wrong password");
        }
    }
    assert!(answered.iter().all(|count| (6..=8).contains(count)), "{answered:?} guesses were answered");
    // Elsewhere nobody minds.
    let mut other = Peer::connect_from(loopback(8), server.address);
    other.send("!password open sesame\ncarol\n");
    other.skip_to("*** carol joined");
}

/// Only operators may do what operators do, and nobody becomes one by guessing or where there is no such password.
#[test]
fn operators_are_few() {
    let words = Words::new();
    let mut server = Server::start(&words.operator());
    let mut carol = server.join("carol");
    for order in ["!kick dave", "!ban dave", "!unban dave", "!bans", "!mute dave", "!unmute dave", "!notice hello"] {
        carol.say(order);
        carol.expect("--- error: only an operator may do that");
    }
    carol.say("!help");
    carol.say("!operator boot");
    assert!(!carol.skip_to("--- error: wrong password").join("\n").contains("!kick"));
    promote(&mut carol);
    server.find_on_console("carol is an operator");
    carol.say("!help");
    carol.say("!notice hello");
    assert!(carol.skip_to("*** notice: hello").join("\n").contains("!kick NAME [REASON]"));
    server.find_on_console("carol told everybody: hello");

    let server = Server::start("");
    let mut carol = server.join("carol");
    carol.say("!operator root");
    carol.expect("--- error: wrong password");
}

/// A kicked person is gone with their session; everybody reads why, and so does the console.
#[test]
fn the_kicked_are_gone() {
    let words = Words::new();
    let mut server = Server::start(&words.operator());
    let mut carol = server.join("carol");
    promote(&mut carol);
    let mut dave = server.join("dave#0b9189");
    let session = Session::open(&mut dave);
    carol.say("!kick nobody");
    carol.skip_to("--- error: nobody here is called nobody");
    carol.say("!kick DAVE too loud");
    carol.skip_to("*** dave#0b9189 was kicked (too loud)");
    assert_eq!(dave.rest(), ["--- error: you were kicked (too loud)"]);
    server.find_on_console("carol kicked dave#0b9189 (too loud)");
    let mut dave = session.resume(&server);
    dave.expect("--- error: no such session; your first line is your name");
    // Nobody keeps a kicked person's name for them, and they may come again.
    dave.say("dave#0b9189");
    dave.skip_to("*** dave#0b9189 joined");
    carol.say("!kick dave");
    carol.skip_to("*** dave#0b9189 was kicked (by an operator)");
}

/// A ban holds for the session, for whatever is said there, and for the address, under every name; whoever else is here
/// from there stays. It ends by itself, or when it is lifted.
#[test]
fn the_banned_stay_out() {
    let words = Words::new();
    let server = Server::start(&format!("{} --max-per-ip 100", words.operator()));
    let join = |last, name: &str| Peer::connect_from(loopback(last), server.address).named(name);
    let mut carol = join(1, "carol");
    promote(&mut carol);
    let mut erin = join(9, "erin");
    let mut dave = join(9, "dave");
    let session = Session::open(&mut dave);
    carol.say("!ban dave 1h spam");
    carol.skip_to("*** dave was banned for 1h (spam)");
    dave.skip_to("--- error: you are banned for 1h (spam)");
    assert_eq!(dave.rest(), [""; 0]);
    for first in ["dave", "zoe", "!resume"] {
        let mut again = Peer::connect_from(loopback(9), server.address);
        let line = if first == "!resume" { session.claim() } else { first.to_owned() };
        // It may be told so, and closed, before it has said anything.
        let _ = std::io::Write::write_all(&mut again.stream(), format!("{line}\n").as_bytes());
        let lines = again.rest();
        assert!(lines.iter().any(|line| line.starts_with("--- error: you are banned for ")), "{first}: {lines:?}");
    }
    // The session stays dead elsewhere as well; and another address is another place.
    let mut elsewhere = Peer::connect_from(loopback(8), server.address);
    elsewhere.say(&session.claim());
    elsewhere.expect_all([WELCOME, "--- error: no such session; your first line is your name"]);
    elsewhere.say("zoe");
    elsewhere.skip_to("*** zoe joined");
    erin.say("still here");
    carol.skip_to("erin: still here");
    carol.say("!bans");
    carol.expect("--- 1 banned:");
    let ban = carol.line();
    assert!(ban == "--- dave from 127.0.0.9 for 1h (spam)", "{ban}");
    carol.say("!unban 127.0.0.9");
    carol.line();
    carol.say("!bans");
    carol.expect("--- nobody is banned");
    join(9, "dave").say("!exit");
    carol.say("!ban zoe 1s");
    carol.skip_to("*** zoe was banned for 1s (by an operator)");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    join(8, "zoe").say("!exit");
}

/// Whoever is muted reads on, but says nothing, in no way that others see.
#[test]
fn muted_people_say_nothing() {
    let words = Words::new();
    let server = Server::start(&words.operator());
    let mut carol = server.join("carol");
    promote(&mut carol);
    let mut dave = server.join("dave");
    carol.say("!mute dave 1h");
    carol.skip_to("--- dave is muted for 1h");
    dave.skip_to("--- notice: you are muted for 1h");
    for line in ["hello", "!me waves", "!nick zoe", "!msg carol psst"] {
        dave.say(line);
        assert!(dave.line().starts_with("--- notice: you are muted for "), "{line}");
    }
    dave.say("!who");
    dave.skip_to("--- 2 online:");
    carol.say("!unmute dave");
    carol.skip_to("--- dave may speak again");
    dave.say("hello");
    let before = carol.skip_to("dave: hello");
    assert_eq!(before, [""; 0]);
    carol.say("!mute dave");
    dave.skip_to("--- notice: you are muted for good");
    dave.say("!exit loud words");
    carol.skip_to("*** dave left");
}

/// Bans, mutes and operators outlive a server whose log lasts.
#[test]
fn rules_outlive_the_server() {
    let words = Words::new();
    let folder = TempDir::new().unwrap();
    let address = free_address().to_string();
    let options = format!("{} --max-per-ip 100 --log {}", words.operator(), folder.path().join("room.db").display());
    let mut server = Server::start_on(&address, &options);
    let mut carol = server.join("carol");
    promote(&mut carol);
    let mut dave = Peer::connect_from(loopback(9), server.address).named("dave");
    carol.say("!ban dave");
    carol.skip_to("*** dave was banned for good (by an operator)");
    dave.rest();
    server.signal(nix::sys::signal::Signal::SIGKILL);
    let _ = server.is_running();
    drop(carol);
    server.wait();
    let server = Server::start_on(&address, &options);
    let mut dave = Peer::connect_from(loopback(9), server.address);
    dave.send("");
    let lines = {
        dave.half_close();
        dave.rest()
    };
    assert!(lines.iter().any(|line| line == "--- error: you are banned for good (by an operator)"), "{lines:?}");
}

/// What is typed where the server runs is an order, or a notice; answers are shown there.
#[test]
fn the_terminal_of_the_server_is_an_operators() {
    let address = free_address();
    let mut setup = Setup::new("");
    setup.args = ["server", "--listen", &address.to_string()].map(str::to_owned).to_vec();
    let mut terminal = setup.start();
    terminal.wait_for("listening on");
    let mut carol = Peer::join(address, "carol");
    terminal.press("dinner is ready\r");
    carol.expect("*** notice: dinner is ready");
    terminal.press("!who\r");
    terminal.wait_for("1 online:");
    terminal.press("!kick dave\r");
    terminal.wait_for("nobody here is called dave");
    terminal.press("!kick carol bye\r");
    assert_eq!(carol.rest(), ["--- error: you were kicked (bye)"]);
    terminal.press("!help\r");
    terminal.wait_for("!ban NAME [TIME] [REASON]");
    terminal.press("\x03");
    assert!(terminal.end().success());
}

/// With TLS a password may come from anywhere; here it only shows that it comes at all.
#[test]
fn passwords_are_taken_over_tls() {
    let (words, certificate) = (Words::new(), Certificate::new());
    let server = Server::start(&format!("{} {}", words.options(), certificate.options("required")));
    let mut peer = certificate.connect(server.address);
    peer.expect(WELCOME);
    peer.expect(LOCKED);
    peer.say("!password open sesame");
    peer.say("carol");
    peer.skip_to("*** carol joined");
}
