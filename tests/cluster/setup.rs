//! Finding a room in NATS, or making it; and what is said if that cannot be.

use std::process::Output;

use crate::support::address::free_address;
use crate::support::nats::Engine;
use crate::support::server::{Server, gotcp};

/// What a server says that cannot start.
fn refused(options: &str) -> (Option<i32>, String) {
    let args = ["server", "--listen", "127.0.0.1:0"].into_iter().chain(options.split(' '));
    let Output { status, stderr, .. } = gotcp(args).output().expect("the program runs");
    (status.code(), String::from_utf8(stderr).expect("it is UTF-8"))
}

/// What is wrong with the log is said in one line, without the password in it.
#[test]
fn mistakes_are_one_line() {
    for (options, code, says) in [
        ("--log nats://127.0.0.1", Some(2), "it must end with the name of a room"),
        ("--log http://127.0.0.1/lab", Some(2), "it must begin with nats:// or tls://"),
        ("--log nats://127.0.0.1/a.b", Some(2), "the name of a room has at most 32 letters"),
        ("--log nats://127.0.0.1/lab --max-line 70000", Some(2), "--max-line is at most 65536"),
        ("--log nats://127.0.0.1/lab --scrollback 64KiB", Some(2), "--scrollback at least 1.0 MiB"),
    ] {
        let (status, error) = refused(options);
        assert_eq!((status, error.lines().count()), (code, 1), "{error}");
        assert!(error.contains(says), "{error}");
    }
    for url in [
        "nats://u:s3cret@a/b.c",
        "nats://s3cret@a",
        "natss://u:s3cret@a/b",
        "u:s3cret@a:4222/b",
        "nats://u:s3cret@a:x/b",
    ] {
        let (status, error) = refused(&format!("--log {url}"));
        assert_eq!((status, error.lines().count()), (Some(2), 1), "{error}");
        assert!(!error.contains("ret@") && error.contains("***@a"), "{error}");
    }
    let output = gotcp(["log", "nats://u:s3cret@a/b"]).output().expect("the program runs");
    let error = String::from_utf8(output.stderr).expect("it is UTF-8");
    assert!(output.status.code() == Some(2) && !error.contains("s3cret"), "{error}");
    let (_, error) = refused("--log memory --listen nats://u:s3cret@a/b");
    assert!(!error.contains("s3cret"), "{error}");
    let nobody = free_address();
    let (status, error) = refused(&format!("--log nats://bob:s3cret@{nobody}/lab"));
    assert_eq!((status, error.lines().count()), (Some(1), 1), "{error}");
    assert!(
        error.contains(&format!("cannot open the log nats://{nobody}/lab: ")) && !error.contains("s3cret"),
        "{error}"
    );
}

/// Passwords and tokens are said to the engine, and a wrong one is an error.
#[test]
fn the_engine_may_want_a_login() {
    let jetstream = "jetstream { max_file: 1GB }\n";
    for (config, right, wrong) in [
        ("authorization { user: bob, password: \"p@ss\" }\n", "bob:p@ss@", "bob:pass@"),
        ("authorization { token: s3cret }\n", "s3cret@", ""),
    ] {
        let config = format!("{jetstream}{config}");
        let Some(engine) = Engine::configured(&config) else { return };
        let server = Server::start_shared("127.0.0.1:0", &format!("--log nats://{right}{}/lab", engine.address()));
        server.join("alice").say("!exit");
        let (status, error) = refused(&format!("--log nats://{wrong}{}/lab", engine.address()));
        assert_eq!((status, error.lines().count()), (Some(1), 1), "{error}");
        assert!(error.contains("authorization"), "{error}");
    }
}

/// An engine that keeps nothing will not do, nor one that takes small messages only.
#[test]
fn the_engine_has_to_keep_things() {
    for (config, says) in
        [("", "it has to run with JetStream"), ("jetstream { max_file: 1GB }\nmax_payload: 64KB\n", "see max_payload")]
    {
        let Some(engine) = Engine::configured(config) else { return };
        let (status, error) = refused(&format!("--log nats://{}/lab", engine.address()));
        assert_eq!((status, error.lines().count()), (Some(1), 1), "{error}");
        assert!(error.contains(says), "{error}");
    }
}

/// Rooms of other names are other rooms.
#[test]
fn rooms_have_names() {
    let Some(engine) = Engine::start() else { return };
    let lab = engine.serve("");
    let class = Server::start_shared("127.0.0.1:0", &format!("--log nats://{}/class", engine.address()));
    let mut alice = lab.join("alice");
    let mut other = class.join("alice");
    other.say("in class");
    other.expect("alice: in class");
    alice.say("in the lab");
    alice.expect("alice: in the lab");
}
