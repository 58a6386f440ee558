//! The command line of the server: what it takes, how it says no, and its exit codes.

use std::net::TcpListener;
use std::process::Stdio;

use crate::support::address::free_address;
use crate::support::peer::{Peer, WELCOME};
use crate::support::server::{Server, gotcp};
use clap::Parser;
use gotcp::cli::{Cli, Half};

/// What the program answers to these arguments: its exit code, stdout and stderr.
fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let output = gotcp(args.iter().copied()).output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("it is UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The program says no to these arguments: one line, in which each of `parts` stands, and this exit code.
#[track_caller]
fn assert_refused(args: &[&str], code: i32, parts: &[&str]) {
    let (status, stdout, stderr) = run(args);
    assert_eq!((status, stdout.as_str()), (Some(code), ""), "{args:?}: {stderr}");
    assert!(stderr.starts_with("gotcp: ") && stderr.lines().count() == 1, "{args:?}: {stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{args:?}: {part} is not in {stderr}");
    }
}

/// Whoever asks for help gets it on stdout, with every option of that half, and exit code 0.
#[test]
fn help_names_every_option() {
    let (code, help, _) = run(&["--help"]);
    assert_eq!(code, Some(0));
    assert!(["server", "client", "nc HOST 7777"].iter().all(|part| help.contains(part)), "{help}");
    let server = "--listen --max-clients --max-per-ip --login-timeout --stall-timeout --grace --history --scrollback \
                  --max-line --rate --burst --drain --transcript -q GOTCP_LISTEN=";
    let client = "--server --username --no-tag --no-reconnect --no-history --no-bell --color GOTCP_SERVER= \
                  GOTCP_USERNAME=";
    for (half, options) in [("server", server), ("client", client)] {
        let (code, help, _) = run(&[half, "--help"]);
        assert_eq!(code, Some(0));
        for option in options.split_whitespace() {
            assert!(help.contains(option), "{option} is not in {help}");
        }
    }
    let (code, version, _) = run(&["--version"]);
    assert_eq!((code, version), (Some(0), format!("gotcp {}\n", env!("CARGO_PKG_VERSION"))));
}

/// There are completions for shells, and manual pages, with every option of a half.
#[test]
fn completions_and_manuals_are_printed() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let (code, text, _) = run(&["completions", shell]);
        assert!(code == Some(0) && text.contains("max-per-ip"), "{shell}: {text}");
    }
    assert_refused(&["completions", "tcsh"], 2, &["bash", "fish", "(see gotcp completions --help)"]);
    let (code, page, _) = run(&["man"]);
    assert!(code == Some(0) && page.contains(".TH gotcp 1") && page.contains("gotcp\\-server"), "{page}");
    let (code, page, _) = run(&["man", "server"]);
    assert!(code == Some(0) && page.contains("\\-\\-max\\-per\\-ip"), "{page}");
}

/// Called with nothing, the program shows what it can do.
#[test]
fn no_arguments_show_the_help() {
    let (code, _, stderr) = run(&[]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("Usage: gotcp") && stderr.contains("server"), "{stderr}");
}

/// A wrong option is refused in one line that names it, with exit code 2.
#[test]
fn wrong_options_are_refused() {
    for (args, part) in [
        (&["serve"][..], "serve"),
        (&["server", "--port", "1"], "--port"),
        (&["server", "--max-clients", "0"], "--max-clients"),
        (&["server", "--max-clients", "many"], "--max-clients"),
        (&["server", "--max-per-ip", "0"], "--max-per-ip"),
        (&["server", "--burst", "0"], "--burst"),
        (&["server", "--rate", "-1"], "-1"),
        (&["server", "--max-line", "15"], "--max-line"),
        (&["server", "--max-line", "99999999"], "--max-line"),
        (&["server", "--login-timeout", "soon"], "--login-timeout"),
        (&["server", "--login-timeout", "0s"], "--login-timeout"),
        (&["server", "--stall-timeout", "0s"], "--stall-timeout"),
        (&["server", "--drain", "5"], "--drain"),
        (&["server", "--listen", "127.0.0.1:99999"], "\"99999\" is not a port"),
        (&["client", "--server", ":9000"], "HOST or HOST:PORT"),
        (&["client", "--server", "a,b:x,c"], "\"b:x\": \"x\" is not a port"),
        (&["client", "--server", "a,"], "\"\": it must be HOST or HOST:PORT"),
        (&["client", "--server", "a,b,a:7777"], "a:7777 is in the list twice"),
        (&["client", "--server", "a,tls://b"], "tls:// stands once, before the first server"),
        (&["client", "--color", "red"], "auto, always, never"),
        (&["server", "--histroy", "5"], "did you mean --history?"),
        (&["sever"], "did you mean server?"),
        (&["server", "--max-clients", "0"], "(see gotcp server --help)"),
        (&["client", "--nickname", "x"], "(see gotcp client --help)"),
        (&["server", "--scrollback", "big"], "--scrollback"),
        (&["server", "extra"], "extra"),
        (&["server", "--tls", "maybe"], "off, offered, required"),
        (&["client", "--pin", "SHA256:half"], "43 characters of base64"),
        (&["log"], "there is no <FILE>"),
    ] {
        assert_refused(args, 2, &[part]);
    }
}

/// Of an option that is given twice, the last one counts, as scripts and aliases rely on; `-q` counts up.
#[test]
fn the_last_of_two_options_counts() {
    let (code, _, stderr) = run(&["client", "--server", "x", "--server", "y", "--no-tag", "--no-tag", "--username=a"]);
    assert!(code == Some(1) && stderr.contains("cannot find y"), "{stderr}");
    let cli = Cli::try_parse_from(["gotcp", "client", "--server", "a,b", "--server", "tls://c,d"]).unwrap();
    let Half::Client(args) = cli.half else { panic!("it is a client") };
    assert_eq!((args.server.room().as_str(), args.server.is_tls), ("c:7777,d:7777", true));
    let cli = Cli::try_parse_from(["gotcp", "server", "-q", "-q", "--burst", "5", "--burst", "7"]).unwrap();
    let Half::Server(args) = cli.half else { panic!("it is a server") };
    assert_eq!((args.quiet, args.burst), (2, 7));
}

/// Options that are right one by one but not together are wrong usage, too: the line says what would do.
#[test]
fn options_have_to_fit_together() {
    assert_refused(&["server", "--scrollback", "64KiB"], 2, &["--scrollback must be at least", "--max-line is 65536"]);
    assert_refused(&["server", "--scrollback", "0"], 2, &["--scrollback must be at least"]);
    assert_refused(&["server", "--max-line", "16777216"], 2, &["--scrollback must be at least"]);
    assert_refused(&["server", "--tls-cert", "x"], 2, &["there is no --tls-key <FILE>"]);
    assert_refused(&["server", "--tls-cert", "x", "--tls-key", "y"], 2, &["--tls offered or --tls required"]);
}

/// What the system refuses is said in one line that names it, with exit code 1.
#[test]
fn what_the_system_refuses_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert_refused(&["server", "--listen", &address], 1, &[&address, "in use"]);
    // An address that is nobody's (RFC 5737): nothing is sent to it by listening on it.
    assert_refused(&["server", "--listen", "192.0.2.1:7777"], 1, &["cannot listen on 192.0.2.1:7777"]);
    assert_refused(&["server", "--listen", "no.such.host.invalid"], 1, &["cannot find no.such.host.invalid:7777"]);
    let missing = "/nowhere/at/all/transcript";
    assert_refused(&["server", "--listen", "127.0.0.1:0", "--transcript", missing], 1, &[missing]);
}

/// The address may come from the environment; the command line goes before it.
#[test]
fn the_environment_is_asked() {
    let address = free_address();
    let start = |env: &str, args: &[&str]| {
        let args = ["server", "-q"].iter().chain(args).copied();
        let child = gotcp(args).env("GOTCP_LISTEN", env).stdout(Stdio::null()).spawn().unwrap();
        Server::watch(child, address)
    };
    let server = start(&address.to_string(), &[]);
    server.connect().expect(WELCOME);
    server.stop();
    let server = start("192.0.2.1:7777", &["--listen", &address.to_string()]);
    server.connect().expect(WELCOME);
    server.stop();
}

/// Times may be as long as anybody likes, though the system's own clocks count less far.
#[test]
fn long_times_are_taken() {
    let mut server =
        Server::start("--stall-timeout 25d --grace 1y --reserve 2years --login-timeout 30days --drain 40d");
    server.join("alice").say("hello");
    assert!(server.is_running());
    assert_refused(&["server", "--grace", "101years"], 2, &["a hundred years"]);
}

/// A port alone means every address of this machine, IPv4 and IPv6; the console says which those are.
#[test]
fn a_port_alone_is_everywhere() {
    let port = free_address().port();
    let mut server = Server::watch(
        gotcp(["server", "--listen", &format!(":{port}")]).stdout(Stdio::piped()).spawn().unwrap(),
        ([127, 0, 0, 1], port).into(),
    );
    server.connect().expect(WELCOME);
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        Peer::connect(format!("[::1]:{port}").parse().unwrap()).expect(WELCOME);
    }
    assert!(server.is_running());
}

/// `localhost`, or any other name that the system knows, is as good as an address.
#[test]
fn names_of_hosts_are_looked_up() {
    let mut server = Server::start_on("localhost:0", "");
    server.connect().expect(WELCOME);
    assert!(server.is_running());
}
