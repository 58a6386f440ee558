//! Sessions that outlive their client.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;

use crate::pipe::Client;
use crate::support::peer::{Peer, retry};
use crate::support::server::Server;

/// A client with a home of its own, which keeps what it has to know there.
fn client(home: &TempDir, server: &Server, args: &[&str]) -> Client {
    let address = server.address.to_string();
    let args = [&["--username", "carol", "--server", &address], args].concat();
    Client::at_home(home.path(), &args, (Stdio::piped(), Stdio::piped()))
}

/// The file that a session is kept in.
fn file(home: &Path, address: SocketAddr) -> PathBuf {
    home.join("gotcp/sessions").join(address.to_string().replace('.', "%2e").replace(':', "%3a"))
}

/// The name in the file, once a session was kept there whose position is at least this.
fn kept(home: &TempDir, server: &Server, position: u64) -> String {
    retry(|| {
        let text = fs::read_to_string(file(home.path(), server.address)).ok()?;
        let words: Vec<&str> = text.split_whitespace().collect();
        (words[5].parse::<u64>().ok()? >= position).then(|| words[3].to_owned())
    })
}

/// A client that was killed is who it was when it is started again, and shows what was said meanwhile. Nobody is told that
/// it was gone.
#[test]
fn a_killed_client_is_who_it_was() {
    let (home, server) = (TempDir::new().unwrap(), Server::start(""));
    let mut bob = server.join("bob");
    let mut carol = client(&home, &server, &[]);
    let name = bob.skip_to_start("*** carol#").trim_end_matches(" joined").replace("*** ", "");
    carol.write("before\n");
    bob.skip_to(&format!("{name}: before"));
    bob.say("heard by both");
    let position = format!("*** bob joined\n*** {name} joined\n{name}: before\nbob: heard by both\n").len() as u64;
    assert_eq!(kept(&home, &server, position), name);
    carol.kill();
    bob.say("said meanwhile");
    bob.skip_to("bob: said meanwhile");

    let mut carol = client(&home, &server, &[]);
    assert_eq!(carol.read_to("bob: said meanwhile\n"), "bob: said meanwhile\n");
    carol.write("after\n");
    bob.expect(&format!("{name}: after"));
    let ended = carol.finish();
    bob.expect(&format!("*** {name} left"));
    assert_eq!(ended.stderr, format!("--- since you were here:\ngotcp: you are {name}, as before\n"));
    assert!(!file(home.path(), server.address).exists(), "the session is over");
}

/// A session is one client's at a time; another one comes as somebody else, and leaves it alone.
#[test]
fn a_second_client_is_somebody_else() {
    let (home, server) = (TempDir::new().unwrap(), Server::start(""));
    let mut bob = server.join("bob");
    let carol = client(&home, &server, &[]);
    let first = bob.skip_to_start("*** carol#");
    let name = kept(&home, &server, 1);
    let mut other = client(&home, &server, &[]);
    assert_ne!(bob.skip_to_start("*** carol#"), first);
    assert_eq!(other.finish().status.code(), Some(0));
    assert_eq!(kept(&home, &server, 1), name);
    drop(carol);
}

/// Whoever asks for another name, or to come anew, is a newcomer; so is everybody whose file is damaged, and that is said.
#[test]
fn others_come_anew() {
    let damage = "gotcp-session-1 and no more";
    let cases: [(&[&str], Option<&str>, &str); 4] = [
        (&["--username", "zoe"], None, "*** zoe#"),
        (&["--no-tag"], None, "*** carol joined"),
        (&["--new"], None, "*** carol#"),
        (&[], Some(damage), "*** carol#"),
    ];
    for (args, written, joins) in cases {
        let (home, server) = (TempDir::new().unwrap(), Server::start(""));
        let mut bob = server.join("bob");
        let carol = client(&home, &server, &[]);
        let name = kept(&home, &server, 1);
        carol.kill();
        if let Some(text) = written {
            fs::write(file(home.path(), server.address), text).unwrap();
        }
        let mut carol = client(&home, &server, args);
        let joined = retry(|| Some(bob.skip_to_start(joins)).filter(|line| !line.starts_with(&format!("*** {name}"))));
        assert!(joined.ends_with(" joined"), "{joined}");
        let said = carol.finish().stderr;
        assert_eq!(said.contains("is damaged"), written.is_some(), "{said}");
    }
}

/// What is kept is its owner's alone: whoever has the token is the user.
#[test]
fn nobody_else_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let (home, server) = (TempDir::new().unwrap(), Server::start(""));
    let carol = client(&home, &server, &[]);
    kept(&home, &server, 1);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&file(home.path(), server.address)), 0o600);
    assert_eq!(mode(&home.path().join("gotcp")), 0o700);
    drop(carol);
}

/// If the server does not know the session any more, the user comes anew, under the same name.
#[test]
fn a_forgotten_session_keeps_its_name() {
    let home = TempDir::new().unwrap();
    let mut server = Server::start("");
    let carol = client(&home, &server, &[]);
    let name = kept(&home, &server, 1);
    carol.kill();
    let address = server.address;
    server.stop();
    server = Server::start_on(&address.to_string(), "");
    let mut bob: Peer = server.join("bob");
    let mut carol = client(&home, &server, &[]);
    bob.expect(&format!("*** {name} joined"));
    carol.finish();
}
