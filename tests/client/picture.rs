//! Makes `docs/session.svg`, the picture in the README, from a real session: a server and three people.
//!
//! `cargo test --test client picture -- --ignored` makes it again.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use crate::support::pty::{Setup, Terminal};
use crate::support::svg;

/// Columns and rows of each terminal in the picture.
const SIZE: (u16, u16) = (70, 15);

/// A shell in which `gotcp` is a command, and both halves know where to meet.
fn shell(address: &str) -> Terminal {
    let bin = Path::new(env!("CARGO_BIN_EXE_gotcp")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let (mut setup, _) = Setup::new(address).size(SIZE.0, SIZE.1).in_shell();
    setup.env.extend([("PATH", path), ("GOTCP_LISTEN", address.to_owned()), ("GOTCP_SERVER", address.to_owned())]);
    let terminal = setup.start();
    terminal.wait_for("$");
    terminal
}

/// Where the server of the picture listens: at the usual port, if that is free.
fn address() -> String {
    let listener = TcpListener::bind("127.0.0.1:7777").or_else(|_| TcpListener::bind("127.0.0.1:0")).unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Types like a person who is not in a hurry, and waits until everybody has read it.
fn say(people: &mut [Terminal], who: usize, words: &str, seen: &str) {
    people[who].press(words);
    people[who].press("\r");
    for person in people.iter() {
        person.wait_for(seen);
    }
}

#[test]
#[ignore = "writes docs/session.svg"]
fn makes_the_picture() {
    let address = address();
    let mut server = shell(&address);
    server.press("gotcp server\r");
    server.wait_for("listening");
    let names = ["carol", "bob", "지성"];
    let mut people = names.map(|name| {
        let mut person = shell(&address);
        person.press(&format!("gotcp client --username {name}\r"));
        person.wait_for(&format!("You({name}#"));
        person.wait_for("you are");
        person
    });
    say(&mut people, 0, "hello, anyone here?", "hello, anyone here?");
    say(&mut people, 1, "hi carol! tea?", "hi carol! tea?");
    say(&mut people, 2, "안녕하세요 👋", "안녕하세요");
    say(&mut people, 0, "!me puts the kettle on", "puts the kettle on");
    people[1].press("!msg 지성 psst: she makes the best\r");
    people[2].wait_for("psst");
    people[1].wait_for("psst");
    people[0].press("milk or lemon, 지");
    people[0].wait_for("milk or lemon");
    people[2].press("lemon, please! and your half-typed line stays\r");
    people[0].wait_for("stays");
    people[1].wait_for("stays");
    std::thread::sleep(Duration::from_millis(200));
    let [carol, bob, jisung] = &people;
    let panes = [("the server", &server), ("carol", carol), ("bob", bob), ("지성", jisung)];
    let svg = svg::draw(&panes.map(|(title, terminal)| (title, terminal.snapshot())), 2);
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    for person in &mut people {
        person.press("\x15\x04");
        person.wait_for_prompt("$");
    }
    server.press("\x03");
    server.wait_for_prompt("$");
    std::fs::create_dir_all(&docs).unwrap();
    std::fs::write(docs.join("session.svg"), svg).unwrap();
}
