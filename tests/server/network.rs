//! What only shows between hosts: addresses of sites, and cables that are cut. The hosts are network namespaces that
//! each test makes for itself; if it may not, it says so and tests nothing.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::network::Host;
use crate::support::peer::{Peer, WELCOME};
use crate::support::server::Server;
use crate::support::skip::skipped;
use tempfile::TempDir;

/// Of IPv6 a whole /64 counts as one address, for that is what one site has; the next /64 is another one.
#[test]
fn a_site_counts_as_one_address() {
    let Some(host) = Host::new() else { return skip() };
    for address in ["fd00:1::1/64", "fd00:1::2/64", "fd00:1::3/64", "fd00:1:0:1::1/64"] {
        assert!(host.ip(&format!("addr add {address} dev lo nodad")));
    }
    host.run(|| {
        let server = Server::start_on("[::]:0", "--max-per-ip 2");
        let to = |address: &str| format!("[{address}]:{}", server.address.port()).parse().unwrap();
        let connect = |from: &str| Peer::connect_from(from.parse().unwrap(), to("fd00:1::1"));
        let mut one = connect("fd00:1::1");
        let mut two = connect("fd00:1::2");
        one.expect(WELCOME);
        two.expect(WELCOME);
        assert_eq!(connect("fd00:1::3").rest(), ["--- error: too many connections from your address (2)"]);
        connect("fd00:1:0:1::1").expect(WELCOME);
    });
}

/// A password that others could read on its way is not taken; neither is what would make an operator. And whoever is
/// banned does not come back from another address of their network, while the next network may.
#[test]
fn words_and_bans_go_by_the_network() {
    let Some(host) = Host::new() else { return skip() };
    for address in ["fd00:1::1/64", "fd00:1::2/64", "fd00:1:0:1::1/64"] {
        assert!(host.ip(&format!("addr add {address} dev lo nodad")));
    }
    let folder = TempDir::new().unwrap();
    let file = |name: &str, word: &str| {
        let file = folder.path().join(name);
        fs::write(&file, word).unwrap();
        file.display().to_string()
    };
    let (room, operator) = (file("room", "sesame"), file("operator", "root"));
    host.run(|| {
        let to = |server: &Server, from: &str| {
            let at = if from.contains(':') { "[fd00:1::1]" } else { "127.0.0.1" };
            Peer::connect_from(from.parse().unwrap(), format!("{at}:{}", server.address.port()).parse().unwrap())
        };
        let server = Server::start_on("[::]:0", &format!("--password-file {room}"));
        let mut peer = to(&server, "fd00:1::2");
        peer.send("!password sesame\ncarol\n");
        peer.expect(WELCOME);
        peer.expect("--- this room has a password: say !password WORD, then your name");
        assert_eq!(peer.rest(), ["--- error: the password is taken over TLS only"]);

        let mut server = Server::start_on("[::]:0", &format!("--operator-password-file {operator}"));
        server.find_on_console("whoever is on the way can read what is said; --tls offered changes that");
        server.find_on_console("whoever reaches it can come in; --password-file changes that");
        let mut carol = to(&server, "127.0.0.1").named("carol");
        carol.say("!operator root");
        carol.skip_to("--- you are an operator");
        let mut dave = to(&server, "fd00:1::1").named("dave");
        dave.say("!operator root");
        dave.skip_to("--- error: the password is taken over TLS only");
        carol.say("!ban dave 1h");
        dave.rest();
        let mut neighbour = to(&server, "fd00:1::2");
        neighbour.half_close();
        assert_eq!(neighbour.rest().last().unwrap(), "--- error: you are banned for 1h (by an operator)");
        to(&server, "fd00:1:0:1::1").named("erin").say("!exit");
        carol.say("!bans");
        carol.skip_to("--- dave from fd00:1::/64 for 1h (by an operator)");
        carol.say("!unban fd00:1::/64");
        carol.say("!bans");
        carol.skip_to("--- nobody is banned");
    });
}

/// Somebody whose cable is cut is gone within 55 seconds: while nothing is said, while others go on talking, or if they
/// begin to just before the silence would have been noticed.
#[test]
#[ignore = "it takes a minute"]
fn a_cut_cable_is_noticed() {
    let (Some(here), Some(there)) = (Host::new(), Host::new()) else { return skip() };
    // The server's end is a port of a switch, so that the server does not see the cable go.
    assert!(here.ip("link add switch type bridge") && here.ip("link set switch up"));
    assert!(here.connect("port", &there, "cable") && here.ip("link set port master switch"));
    assert!(here.ip("addr add 10.77.0.1/24 dev switch") && there.ip("addr add 10.77.0.2/24 dev cable"));
    thread::scope(|scope| {
        for quiet in [0, 18, 55] {
            let (here, there) = (&here, &there);
            scope.spawn(move || is_noticed(here, there, Duration::from_secs(quiet)));
        }
        thread::sleep(Duration::from_secs(1));
        assert!(there.ip("link set cable down"));
    });
}

/// Carol, from there, joins Alice here, and her cable is cut a second later. Alice says nothing for a while, and then
/// something every second.
fn is_noticed(here: &Host, there: &Host, quiet: Duration) {
    let server = here.run(|| Server::start_on("10.77.0.1:0", "--history 0"));
    let address = server.address;
    let mut alice = here.run(|| Peer::join(address, "alice"));
    let carol = there.run(|| Peer::join(address, "carol"));
    alice.expect("*** carol joined");
    let cut = Instant::now();
    let limit = Duration::from_secs(55);
    alice.stream().set_read_timeout(Some(quiet.max(Duration::from_secs(10)) + Duration::from_secs(3))).unwrap();
    if quiet < limit {
        thread::sleep(quiet);
        loop {
            alice.say("are you there?");
            if alice.line() == "*** carol left (connection lost)" {
                break;
            }
            assert!(cut.elapsed() < 2 * limit, "nobody has noticed");
            thread::sleep(Duration::from_secs(1));
        }
    } else {
        alice.expect("*** carol left (connection lost)");
    }
    let took = cut.elapsed();
    // What is said once a second is heard of within another one; and the machine may be busy.
    assert!(took < limit + Duration::from_secs(3), "it took {took:?}");
    eprintln!("noticed after {took:?}");
    drop(carol);
}

fn skip() {
    skipped("tests/server/network.rs: this needs `ip` and the right to make network namespaces");
}
