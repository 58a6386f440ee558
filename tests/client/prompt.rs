//! The client at a terminal: the built program in a pseudo-terminal, and what is then on the screen.

use std::os::unix::process::ExitStatusExt;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::fake_server::FakeServer;
use crate::support::pty::Setup;
use crate::support::server::Server;
use nix::sys::signal::Signal;

const PROMPT: &str = "You(carol)> ";

/// What is typed behind the prompt is sent, and shown once: when it comes back, where it comes back.
#[test]
fn own_lines_are_shown_once_and_in_their_place() {
    let server = FakeServer::start();
    let mut user = Setup::new(&server.address()).start();
    let (mut peer, name) = server.welcome();
    user.wait_for_prompt(PROMPT);
    user.press("hello\r");
    user.wait_for_prompt(PROMPT);
    peer.send("bob: first\n");
    assert_eq!(peer.echo(&name), "hello");
    user.wait("not heard", |user| {
        user.rows()[1..].iter().any(|row| !row.starts_with(' ') && row.ends_with("carol: hello"))
    });
    let rows = user.rows();
    assert!(rows[1].ends_with(" bob: first") && rows[2].ends_with(" carol: hello"), "{rows:?}");
    assert_eq!(user.screen().matches("carol: hello").count(), 1);
    assert_eq!(rows.len(), 4, "{rows:?}");
    user.press("\x04");
    peer.expect("!exit");
    peer.close();
    assert!(user.end().success());
    user.wait_for(&format!("closing the connection to {}", server.address()));
}

/// What was sent is seen at once, dim; it becomes an ordinary line when the room says it, and goes when the server says
/// that it has heard it. Of many lines the first ones are shown, and how many more there are.
#[test]
fn own_lines_are_dim_until_they_are_heard() {
    let server = FakeServer::start();
    let mut user = Setup::new(&server.address()).size(40, 24).start();
    let (mut peer, name) = server.welcome();
    user.wait_for_prompt(PROMPT);
    user.press("hello\r");
    user.wait("not dim", |user| {
        let row = user.rows().iter().position(|row| row == "      carol: hello");
        row.is_some_and(|row| user.snapshot().cell(u16::try_from(row).unwrap(), 6).unwrap().dim())
    });
    peer.send("bob: first\n");
    user.wait("not above", |user| user.screen().contains(" bob: first\n      carol: hello\nYou(carol)>"));
    assert_eq!(peer.echo(&name), "hello");
    user.wait("not heard", |user| {
        user.rows().len() == 5 && user.rows()[3].ends_with(" carol: hello") && !user.rows()[3].starts_with(' ')
    });
    user.press("!who\r");
    user.wait_for("\n      !who\n");
    peer.expect("!who");
    peer.send("--- 1 online:\n---   carol\n");
    user.wait("still there", |user| !user.screen().contains("      !who"));
    user.press("to be changed\r");
    user.wait_for("      carol: to be changed");
    peer.expect("to be changed");
    peer.send("carol: it was changed\n");
    peer.expect_silence(Duration::from_millis(1500));
    user.wait("still there", |user| !user.screen().contains("to be changed"));
    peer.close();
    user.wait_for("offline");
    for line in 1..=8 {
        user.press(&format!("line {line}\r"));
        user.wait_for(&format!("offline, {line} waiting"));
    }
    let rows = user.rows();
    let expected: Vec<_> = (1..=5).map(|line| format!("      carol: line {line}")).collect();
    assert_eq!(rows[rows.len() - 7..rows.len() - 2], expected);
    assert_eq!(rows[rows.len() - 2], "      … 3 more wait");
}

/// A burst of ten thousand lines is shown whole and in order, and the half-typed line stays as it is.
#[test]
fn typing_survives_a_burst() {
    let server = FakeServer::start();
    let mut user = Setup::new(&server.address()).size(40, 10).start();
    let (mut peer, name) = server.welcome();
    let typed = "this is longer than one row of this small terminal, 한글 too";
    user.wait_for_prompt(PROMPT);
    let (first, second) = typed.split_at(30);
    user.press(first);
    let burst: Vec<_> = (0..10_000).map(|n| format!("bob: line {n}\n")).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| peer.send(&burst.concat()));
        for key in second.chars() {
            user.press(&key.to_string());
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    user.wait_for("bob: line 9999");
    let shown = format!("{PROMPT}{typed}");
    user.wait("not typed", |user| user.screen().replace('\n', "").ends_with(&shown));
    let text = user.text();
    let numbers: Vec<usize> =
        text.split("bob: line ").skip(1).map(|rest| rest.lines().next().unwrap().parse().unwrap()).collect();
    assert_eq!(numbers, (0..10_000).collect::<Vec<_>>());
    user.press("\r");
    assert_eq!(peer.echo(&name), typed);
    user.wait_for("carol: this is longer");
    user.wait("the typed line is not wiped", |user| user.screen().ends_with(PROMPT.trim_end()));
    assert_eq!(user.screen().replace('\n', "").matches("this is longer").count(), 1);
}

/// Wide characters that do not fit at the edge, and a line that fills its row exactly, are wiped like any other.
#[test]
fn wide_characters_at_the_edge_are_wiped() {
    let server = FakeServer::start();
    let mut user = Setup::new(&server.address()).size(20, 10).start();
    let (mut peer, name) = server.welcome();
    for typed in ["한글한글한글", "1234567한글", "12345678", "1234567890123456789012345678", "👍👍👍👍👍👍"]
    {
        user.wait_for_prompt(PROMPT);
        user.press(typed);
        user.wait("not typed", |user| user.screen().replace('\n', "").contains(&format!("{PROMPT}{typed}")));
        peer.send("bob: meanwhile\n");
        user.wait_for("bob: meanwhile");
        user.press("\r");
        peer.expect(typed);
        user.wait_for_prompt(PROMPT);
        assert!(!user.screen().contains(typed), "{}", user.screen());
        peer.send(&format!("{name}: {typed}\n{name}: ok\n"));
        user.wait("no ok", |user| user.rows().iter().any(|row| row.ends_with("carol: ok")));
        user.press("\x0c");
        user.wait("not cleared", |user| user.rows().len() == 1);
    }
}

/// Whether the terminal becomes narrower or wider, what is typed is whole, and goes on where it was.
#[test]
fn a_resize_keeps_what_is_typed() {
    let server = FakeServer::start();
    let mut user = Setup::new(&server.address()).size(60, 12).start();
    let (mut peer, name) = server.welcome();
    user.wait_for("you are carol");
    user.wait_for_prompt(PROMPT);
    let typed = "a line that is some forty columns long ";
    user.press(typed);
    user.wait("not typed", |user| user.cursor().0 == 51);
    for columns in [30, 80, 45] {
        user.resize(columns, 12);
        peer.send(&format!("bob: {columns}\n"));
        user.wait_for(&format!("bob: {columns}"));
        let shown = format!("{PROMPT}{typed}");
        user.wait("torn", |user| {
            let is_whole = user.screen().replace('\n', "").ends_with(shown.trim_end());
            is_whole && usize::from(user.cursor().0) == shown.len() % usize::from(columns)
        });
    }
    assert_eq!(user.rows().iter().filter(|row| row.contains("You(carol)")).count(), 1, "{}", user.screen());
    user.press("indeed\r");
    assert_eq!(peer.echo(&name), format!("{typed}indeed"));
    user.wait_for_prompt(PROMPT);
}

/// A narrower terminal leaves at most one old copy of a wrapped draft anywhere, and of what waits above it none on the
/// screen; with the next key, or what is said next, all is where it belongs.
#[test]
fn narrowing_leaves_no_copies() {
    let server = FakeServer::start();
    let mut user = Setup::new(&server.address()).size(60, 14).start();
    let (mut peer, _) = server.welcome();
    user.wait_for_prompt(PROMPT);
    for n in 0..20 {
        peer.send(&format!("bob: said {n}\n"));
    }
    user.press("sent but not heard of by anybody so far\r");
    user.wait_for("      carol: sent but");
    let typed = "a line that is longer than the screen is wide, and ends about here";
    user.press(typed);
    user.wait_for("about here");
    for columns in [50, 40, 31] {
        user.resize(columns, 14);
        user.wait("not narrow", |user| user.screen().replace('\n', "").ends_with(typed));
        user.press("!\x7f");
        peer.send(&format!("bob: {columns}\n"));
        user.wait_for(&format!("bob: {columns}"));
        user.wait("not right", |user| user.screen().replace('\n', "").ends_with(&format!("{PROMPT}{typed}")));
        let screen = user.screen();
        assert_eq!((screen.matches("carol: sent").count(), screen.matches("You(").count()), (1, 1), "{screen}");
        assert!(screen.contains("bob: said 19\n"), "{screen}");
        let copies = user.all_rows().iter().filter(|row| row.contains("You(")).count();
        assert!(copies <= 2, "{:?}", user.all_rows());
    }
}

/// Ctrl-C clears what is typed; with nothing typed it says how to leave, and the next one leaves.
#[test]
fn interrupts_clear_then_ask_then_leave() {
    let server = FakeServer::start();
    let mut user = Setup::new(&server.address()).start();
    let (mut peer, _) = server.welcome();
    user.wait_for_prompt(PROMPT);
    user.press("never mind");
    user.wait_for("never mind");
    user.press("\x03");
    user.wait("not cleared", |user| !user.screen().contains("never mind"));
    user.wait_for_prompt(PROMPT);
    user.press("\x03");
    user.wait_for("press Ctrl-C again");
    user.press("\x03");
    peer.expect("!exit");
    peer.close();
    assert!(user.end().success());
}

/// `!exit` leaves in any case of its letters; what was typed before it is delivered first.
#[test]
fn exit_delivers_what_was_typed_before() {
    let server = FakeServer::start();
    let mut user = Setup::new(&server.address()).start();
    let (mut peer, name) = server.welcome();
    user.wait_for_prompt(PROMPT);
    user.press("last words\r");
    assert_eq!(peer.line(), "last words");
    user.press("!Exit\r");
    peer.send(&format!("{name}: last words\n"));
    peer.expect("!Exit");
    peer.close();
    assert!(user.end().success());
    user.wait_for("carol: last words");
}

/// Lines that the server has not confirmed may have arrived: the client says so, and ends with 1.
#[test]
fn unconfirmed_lines_are_an_error() {
    let server = FakeServer::start();
    let mut user = Setup::new(&server.address()).start();
    let (mut peer, _) = server.welcome();
    user.wait_for_prompt(PROMPT);
    user.paste("one\ntwo");
    user.press("\r");
    assert_eq!(peer.line(), "one");
    user.press("\x04");
    assert_eq!(user.end().code(), Some(1));
    user.wait_for("gotcp: 2 lines were not confirmed");
}

/// A paste of some lines is sent as it is, none of it a command; of many only after a yes.
#[test]
fn pastes_are_text() {
    let server = FakeServer::start();
    let mut user = Setup::new(&server.address()).start();
    let (mut peer, name) = server.welcome();
    user.wait_for_prompt(PROMPT);
    user.paste("one\n!exit\n\ntwo\n");
    user.wait_for("two");
    user.press("\r");
    peer.expect("one");
    peer.expect("!!exit");
    peer.expect("two");
    peer.send(&format!("{name}: one\n{name}: !exit\n{name}: two\n"));
    user.wait("not three lines", |user| user.rows().len() == 5 && user.screen().contains("carol: two\n"));
    user.paste("1\n2\n3\n4\n5\n6");
    user.press("\r");
    user.wait_for("Send 6 lines? [y/N]");
    user.press("n\r");
    user.wait("not back", |user| user.rows().last().is_some_and(|row| row == "6"));
    peer.expect_silence(Duration::from_millis(100));
    user.press("\r");
    user.wait_for("Send 6 lines? [y/N]");
    user.press("y\r");
    for line in 1..=6 {
        peer.expect(&line.to_string());
    }
}

/// A terminal that does not mark pastes: several lines at once are text all the same, and wait for Enter. One line is
/// sent at once, and may be a command.
#[test]
fn pastes_without_marks_are_text() {
    let server = FakeServer::start();
    let mut user = Setup::new(&server.address()).start();
    let (mut peer, _) = server.welcome();
    user.wait_for_prompt(PROMPT);
    user.press("!who\r");
    peer.expect("!who");
    user.wait_for_prompt(PROMPT);
    user.press("one\r!who\r\tthree\r");
    user.wait_for("three");
    peer.expect_silence(Duration::from_millis(200));
    user.press("\r");
    peer.expect("one");
    peer.expect("!!who");
    peer.expect("\tthree");
    user.wait_for_prompt(PROMPT);
    user.press("typed\r");
    peer.expect("typed");
    user.wait_for("carol: typed");
    assert_eq!(user.rows()[1..4], ["      carol: one", "      carol: !who", "      carol:    three"]);
}

/// What is longer than a row goes on at a word, under the text; an address stays in one piece, whatever it takes.
#[test]
fn long_lines_wrap_at_words() {
    let server = FakeServer::start();
    let user = Setup::new(&server.address()).size(40, 24).start();
    let (mut peer, _) = server.welcome();
    user.wait_for_prompt(PROMPT);
    let address = "https://example.org/a/path/that/goes/on";
    let long = "https://example.org/a/path/that/is/longer/than/a/row";
    peer.send(&format!("bob: some words that do not all fit {address} and more\n"));
    peer.send("bob: 한국어는 띄어쓰기가 있고 글자가 두 칸입니다\n* bob waves at everybody who is here and carol\n");
    peer.send(&format!("bob: {long} ok\n"));
    user.wait_for("ok");
    let rows = user.rows();
    let expected = [
        " bob: some words that do not all",
        "           fit",
        address,
        "           and more",
        " bob: 한국어는 띄어쓰기가 있고",
        "           글자가 두 칸입니다",
        " * bob waves at everybody who is",
        "        here and carol",
        // The terminal has wrapped it, and knows that it is one line.
        &format!(" bob: {long} ok"),
    ];
    let is_same = |(row, end): (&String, &&str)| row.ends_with(end) && (row == end || row.len() == end.len() + 5);
    assert!(rows[2..11].iter().zip(&expected).all(is_same), "{rows:#?}");
    assert!(user.raw().contains(long));
    user.wait_for_prompt(PROMPT);
}

/// A draft that is taller than the screen takes half of it: what is said meanwhile is shown above, nothing of the draft
/// scrolls out of sight, and the cursor is where the next key goes.
#[test]
fn a_tall_draft_takes_half_the_screen() {
    let server = FakeServer::start();
    let mut user = Setup::new(&server.address()).size(40, 16).start();
    let (mut peer, _) = server.welcome();
    user.wait_for_prompt(PROMPT);
    let drafted = |user: &crate::support::pty::Terminal| user.rows().iter().filter(|row| row.contains("draft")).count();
    let lines: Vec<_> = (0..100).map(|n| format!("draft {n}")).collect();
    user.paste(&lines.join("\n"));
    user.wait_for_prompt("draft 99");
    for n in 0..40 {
        peer.send(&format!("bob: said {n}\n"));
        user.wait_for(&format!("bob: said {n}"));
        assert!(drafted(&user) <= 8 && user.rows().len() <= 16, "{}", user.screen());
    }
    user.wait("not half", |user| {
        user.rows()[7].ends_with("bob: said 39") && user.rows().get(8).is_some_and(|row| row.starts_with("You(carol)>"))
    });
    user.press("!");
    user.wait_for_prompt("draft 99!");
    assert_eq!(user.cursor(), (9, 15));
    user.press(&"\x1b[A".repeat(50));
    user.press("\x05?");
    user.wait_for("draft 49?");
    user.wait("not behind it", |user| {
        user.rows().get(usize::from(user.cursor().1)).is_some_and(|row| row == "draft 49?")
    });
    peer.send("bob: the end\n");
    user.wait_for("bob: the end");
    user.press(&"\x1b[A".repeat(49));
    user.wait("not at the top", |user| {
        user.rows().get(usize::from(user.cursor().1)).is_some_and(|row| row == "You(carol)> draft 0")
    });
    user.press("\r");
    user.wait_for("Send 100 lines? [y/N]");
    user.press("y\r");
    for n in 0..100 {
        peer.expect(&match n {
            49 => "draft 49?".to_owned(),
            99 => "draft 99!".to_owned(),
            n => format!("draft {n}"),
        });
    }
    user.wait_for_prompt(PROMPT);
    let rows = user.all_rows();
    let said: Vec<_> = rows.iter().filter_map(|row| row.split_once("bob: said ")).map(|(_, said)| said).collect();
    assert_eq!(said, (0..40).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(!rows.iter().any(|row| row.starts_with("draft") || row.contains("> draft")), "{rows:?}");
    // Some terminals keep what is wiped so.
    assert!(!user.raw().contains("\x1b[H\x1b[J"));
    for n in 40..60 {
        peer.send(&format!("bob: said {n}\n"));
    }
    user.wait_for("said 59");
    user.wait_for_prompt(PROMPT);
}

/// When the connection breaks, the prompt stays; the client comes back where it was, and what was not heard is sent.
#[test]
fn comes_back_and_sends_what_was_not_heard() {
    let server = FakeServer::start();
    let mut user = Setup::new(&server.address()).start();
    let (mut peer, name) = server.welcome();
    user.wait_for_prompt(PROMPT);
    user.press("heard\r");
    assert_eq!(peer.echo(&name), "heard");
    let heard = peer.heard.unwrap();
    user.press("not heard\r");
    peer.expect("not heard");
    peer.send("bob: half a li");
    user.wait_for("carol: heard");
    user.press("typing");
    peer.close();
    user.wait_for("lost the connection");
    user.press(" on\r");
    user.wait_for("You(carol, offline, 2 waiting)>");
    let mut peer = server.accept();
    peer.resume(13, "bob: half a line\n", &name, heard);
    user.wait_for("connected again");
    assert_eq!(peer.echo(&name), "not heard");
    assert_eq!(peer.echo(&name), "typing on");
    user.wait_for("carol: typing on");
    user.wait_for_prompt(PROMPT);
    let said: Vec<_> =
        user.rows().into_iter().filter(|row| row.contains(": ")).map(|row| row[6..].to_owned()).collect();
    let said: Vec<_> =
        said.iter().map(String::as_str).filter(|row| row.starts_with("carol") || row.starts_with("bob")).collect();
    assert_eq!(said, ["carol: heard", "bob: half a line", "carol: not heard", "carol: typing on"]);
}

/// Who is offline may ask for the next try; that is no line for the room.
#[test]
fn connects_at_once_when_asked() {
    let server = Server::start("");
    let address = server.address.to_string();
    let mut user = Setup::new(&address).start();
    user.wait_for_prompt(PROMPT);
    server.stop();
    user.wait_for_prompt("You(carol, offline)> ");
    // By then the waits are long.
    thread::sleep(Duration::from_secs(2));
    let mut server = Server::start_on(&address, "");
    user.press("!connect\r");
    server.find_on_console("carol joined");
    user.wait_for_prompt(PROMPT);
    user.press("here again\r");
    user.wait_for("carol: here again");
    assert!(!user.text().contains("unknown command"), "{}", user.text());
    server.stop();
}

/// With `--no-reconnect` a break is the end: one line, and exit code 1.
#[test]
fn no_reconnect_ends_with_the_connection() {
    let server = FakeServer::start();
    let mut user = Setup::new(&server.address()).arg("--no-reconnect").start();
    let (peer, _) = server.welcome();
    user.wait_for_prompt(PROMPT);
    user.press("half typed");
    user.wait_for("half typed");
    peer.close();
    assert_eq!(user.end().code(), Some(1));
    user.wait("not said", |user| user.screen().ends_with("(closed by the server)"));
}

/// Where nobody listens, one line says so.
#[test]
fn a_failed_start_is_one_line() {
    let address = FakeServer::start().address();
    let mut user = Setup::new(&address).start();
    assert_eq!(user.end().code(), Some(1));
    let expected = format!("gotcp: cannot connect to {address}: connection refused; is a server running there?");
    user.wait("something else", |user| user.screen().replace('\n', "") == expected);
}

/// A mention and a whisper ring the bell, each once; one's own words, history and `--no-bell` do not.
#[test]
fn the_bell_rings_for_what_is_for_one() {
    for (arg, expected) in [("--color=auto", 2), ("--no-bell", 0)] {
        let server = FakeServer::start();
        let user = Setup::new(&server.address()).arg(arg).start();
        let mut peer = server.accept();
        peer.send(
            "--- welcome to gotcp: your first line is your name\n--- the last line before you came:\nbob: carol\n",
        );
        peer.send("--- you are carol; 2 online; !help lists the commands\n");
        user.wait_for_prompt(PROMPT);
        peer.send("bob: hi\nbob: CAROL?\ncarol: i am carol\n--- [bob to you] psst\nbob: end\n");
        user.wait_for("bob: end");
        assert_eq!(user.raw().matches('\x07').count(), expected);
    }
}

/// Who looks elsewhere gets a notice on the desktop for what is for them, and none while they look; what the terminal says
/// of it is no text, and it is asked to be quiet again in the end.
#[test]
fn a_notice_goes_to_who_looks_elsewhere() {
    for (arg, expected) in [("--color=auto", ["\x1b]9;bob: carol?\x1b\\", "\x1b[?1004l"]), ("--no-bell", ["", ""])] {
        let server = FakeServer::start();
        let mut user = Setup::new(&server.address()).arg(arg).start();
        let (mut peer, _) = server.welcome();
        user.wait_for_prompt(PROMPT);
        assert!(user.raw().contains("\x1b[?1004h"));
        peer.send("bob: hi carol\n");
        user.wait_for("bob: hi carol");
        std::thread::sleep(Duration::from_millis(600));
        user.press("\x1b[O");
        std::thread::sleep(Duration::from_millis(200));
        peer.send("bob: carol?\n");
        user.wait_for("bob: carol?");
        user.press("\x1b[I");
        user.wait_for_prompt(PROMPT);
        peer.send("bob: carol!\n");
        user.wait_for("bob: carol!");
        assert_eq!(user.raw().matches("\x1b]").count(), usize::from(!expected[0].is_empty()), "{arg}");
        assert!(user.raw().contains(expected[0]));
        user.press("\x04");
        peer.expect("!exit");
        peer.close();
        assert!(user.end().success());
        user.wait("not quiet", |user| user.raw().contains(expected[1]));
    }
}

/// There are colours at a terminal, and none with `NO_COLOR`, `TERM=dumb` or `--color never`.
#[test]
fn colours_can_be_turned_off() {
    for (env, arg, colours) in [
        (("X", "1"), "--color=auto", true),
        (("NO_COLOR", "1"), "--color=auto", false),
        (("TERM", "dumb"), "--color=auto", false),
        (("X", "1"), "--color=never", false),
        (("NO_COLOR", "1"), "--color=always", true),
    ] {
        let server = FakeServer::start();
        let mut setup = Setup::new(&server.address()).arg(arg);
        setup.env.push((env.0, env.1.to_owned()));
        let mut user = setup.start();
        let (mut peer, _) = server.welcome();
        peer.send("bob: hi\n");
        user.wait_for("bob: hi");
        user.press("x");
        let has_colours = ["\x1b[1m", "\x1b[2m", "\x1b[3"].iter().any(|style| user.raw().contains(style));
        assert_eq!(has_colours, colours, "{env:?} {arg}: {:?}", user.raw());
    }
}

/// With standard output in a file, there is no prompt: the file gets the conversation, and the terminal the rest.
#[test]
fn output_to_a_file_is_clean() {
    let server = FakeServer::start();
    let mut setup = Setup::new(&server.address());
    let path = setup.home.path().join("log");
    setup.stdout = Some(std::fs::File::create(&path).unwrap().into());
    let mut user = setup.start();
    let (mut peer, name) = server.welcome();
    user.wait_for("you are carol");
    user.press("to the file\r");
    assert_eq!(peer.echo(&name), "to the file");
    peer.send("bob: hi carol\n--- [bob to you] psst\n");
    user.wait_for("psst");
    let written = || std::fs::read_to_string(&path).unwrap();
    user.wait("not written", |_| written() == "carol: to the file\nbob: hi carol\n");
    assert!(!user.screen().contains("bob: hi") && !user.screen().contains("You("), "{}", user.screen());
}

/// However the client is told to stop, the terminal is as it was before, and the server hears `!exit`.
#[test]
fn signals_give_the_terminal_back() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let server = FakeServer::start();
        let mut user = Setup::new(&server.address()).start();
        let (mut peer, _) = server.welcome();
        user.wait_for_prompt(PROMPT);
        assert!(user.is_raw());
        user.press("half typed");
        user.wait_for("half typed");
        user.signal(signal);
        peer.expect("!exit");
        peer.close();
        assert_eq!(user.end().signal(), Some(signal as i32));
    }
}

/// A terminal that nobody reads keeps no client from ending, nor the server from hearing of it.
#[test]
fn a_terminal_that_nobody_reads_keeps_nobody() {
    let server = FakeServer::start();
    let mut user = Setup::new(&server.address()).start();
    let (mut peer, _) = server.welcome();
    user.wait_for_prompt(PROMPT);
    user.look_away();
    peer.send(&"bob: nobody reads this\n".repeat(50_000));
    thread::sleep(Duration::from_millis(500));
    user.signal(Signal::SIGTERM);
    let status = user.end_within(Duration::from_secs(2));
    assert_eq!(status.signal(), Some(Signal::SIGTERM as i32));
    peer.expect("!exit");
}

/// A client that was stopped from outside, and goes on in a terminal that was somebody else's meanwhile, takes it again.
#[test]
fn a_stopped_client_comes_back() {
    let server = FakeServer::start();
    let mut user = Setup::new(&server.address()).start();
    let (mut peer, name) = server.welcome();
    user.press("half");
    user.wait_for_prompt("You(carol)> half");
    user.signal(Signal::SIGSTOP);
    user.take_back();
    assert!(!user.is_raw());
    user.signal(Signal::SIGCONT);
    user.wait("not raw again", crate::support::pty::Terminal::is_raw);
    user.wait_for_prompt("You(carol)> half");
    user.press(" and half\r");
    assert_eq!(peer.echo(&name), "half and half");
}

/// What is half typed while the name is lost is no name: it is put aside, and comes back under the new name.
#[test]
fn a_draft_is_no_name() {
    let server = FakeServer::start();
    let mut user = Setup::new(&server.address()).start();
    let (mut peer, _) = server.welcome();
    peer.send("bob: hi\n");
    user.wait_for("bob: hi");
    user.press("secret words\x1b[D");
    user.wait_for_prompt("You(carol)> secret words");
    peer.close();
    let mut peer = server.accept();
    peer.send("--- welcome to gotcp: your first line is your name\n");
    peer.expect("!resume t@8");
    peer.send("--- error: no such session; your first line is your name\n");
    peer.expect("carol");
    peer.send("--- error: the name carol is taken\n");
    user.wait_for_prompt("Your name:");
    user.press("zoe\r");
    peer.expect("zoe");
    peer.send("--- you are zoe; 2 online; !help lists the commands\n");
    peer.open_session();
    user.wait_for_prompt("You(zoe)> secret words");
    user.press("d\r");
    peer.expect("secret wordds");
}

/// When a terminal goes, the kernel says so and the shell says so: the client leaves all the same, at its own pace.
#[test]
fn a_hang_up_said_twice_is_one() {
    let server = FakeServer::start();
    let mut user = Setup::new(&server.address()).start();
    let (mut peer, _) = server.welcome();
    user.wait_for_prompt(PROMPT);
    for _ in 0..20 {
        user.signal(Signal::SIGHUP);
        thread::sleep(Duration::from_micros(100));
    }
    peer.expect("!exit");
    user.signal(Signal::SIGHUP);
    peer.close();
    assert_eq!(user.end().signal(), Some(Signal::SIGHUP as i32));
}

/// A prompt that is woken while it searches the history gives the terminal back, too.
#[test]
fn signals_end_a_search() {
    let server = FakeServer::start();
    let mut user = Setup::new(&server.address()).start();
    let (mut peer, name) = server.welcome();
    user.wait_for_prompt(PROMPT);
    user.press("needle\r");
    peer.echo(&name);
    user.press("\x12need");
    user.wait_for("(reverse-i-search)`need': needle");
    user.signal(Signal::SIGTERM);
    peer.expect("!exit");
    peer.close();
    assert_eq!(user.end().signal(), Some(Signal::SIGTERM as i32));
}

/// What was said while one searched the history is shown afterwards; what was sent in an earlier session is found.
#[test]
fn history_outlives_the_session() {
    let server = FakeServer::start();
    let mut setup = Setup::new(&server.address());
    let mut user = setup.start();
    let (mut peer, name) = server.welcome();
    user.wait_for_prompt(PROMPT);
    user.press("a needle in here\r");
    peer.echo(&name);
    user.wait_for("carol: a needle");
    user.press("\x04");
    peer.expect("!exit");
    peer.close();
    user.end();
    let file = setup.home.path().join("gotcp/history");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);

    let mut user = setup.start();
    let (mut peer, _) = server.welcome();
    user.wait_for_prompt(PROMPT);
    user.press("\x12need");
    user.wait_for("(reverse-i-search)`need': a needle in here");
    peer.send("bob: meanwhile\n");
    std::thread::sleep(Duration::from_millis(50));
    user.press("\r");
    peer.expect("a needle in here");
    user.wait_for("bob: meanwhile");
    user.wait_for_prompt(PROMPT);
}

/// With `--no-history`, what was sent in earlier sessions is not recalled, and what is sent is not kept; nor are, at any
/// time, whispers and lines that begin with a space.
#[test]
fn no_history_leaves_no_trace() {
    for (arg, kept) in [("--no-history", "#V2\nearlier\n"), ("--no-bell", "#V2\nearlier\nplain\n")] {
        let server = FakeServer::start();
        let mut setup = Setup::new(&server.address()).arg(arg);
        let file = setup.home.path().join("gotcp/history");
        std::fs::create_dir(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "#V2\nearlier\n").unwrap();
        let mut user = setup.start();
        let (mut peer, _) = server.welcome();
        user.wait_for_prompt(PROMPT);
        for line in [" private", "!msg bob psst", "!reply psst", "plain"] {
            user.press(&format!("{line}\r"));
            peer.expect(line);
            user.wait_for_prompt(PROMPT);
        }
        user.press("\x1b[A");
        user.wait_for_prompt("You(carol)> plain");
        user.press("\x1b[A");
        let before = if kept.contains("plain") { "earlier" } else { "plain" };
        user.wait_for_prompt(&format!("You(carol)> {before}"));
        user.press("\x15\x04");
        peer.expect("!exit");
        peer.close();
        assert!(user.end().success());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), kept);
    }
}

/// Whatever is done with the keys, what is said meanwhile is shown soon: in a search, after Alt and a digit, and in the
/// middle of a key of several.
#[test]
fn no_mode_keeps_messages_back() {
    for keys in ["\x12need", "\x1b3", "\x18"] {
        let server = FakeServer::start();
        let mut user = Setup::new(&server.address()).start();
        let (mut peer, name) = server.welcome();
        user.wait_for_prompt(PROMPT);
        user.press("needle\r");
        peer.echo(&name);
        user.wait_for("carol: needle");
        user.wait_for_prompt(PROMPT);
        user.press(keys);
        thread::sleep(Duration::from_millis(300));
        let sent = Instant::now();
        peer.send("bob: meanwhile\n");
        user.wait_for("bob: meanwhile");
        assert!(sent.elapsed() < Duration::from_secs(2), "{keys:?}: {:?}", sent.elapsed());
        user.press("\x05\x15hello\r");
        assert_eq!(peer.echo(&name), "hello", "{keys:?}");
    }
}

/// Tab completes names and commands; what is said meanwhile is shown at once, and another Tab goes on.
#[test]
fn tab_completes() {
    let server = FakeServer::start();
    let mut user = Setup::new(&server.address()).start();
    let (mut peer, _) = server.welcome();
    peer.send("bea: hi\nbob: hi\n");
    user.wait_for("bob: hi");
    user.press("b\t");
    user.wait_for_prompt("You(carol)> bob:");
    peer.send("dan: meanwhile\n");
    user.wait_for("dan: meanwhile");
    user.wait_for_prompt("You(carol)> bob:");
    user.press("\t");
    user.wait_for_prompt("You(carol)> bea:");
    user.press("hi\r");
    peer.expect("bea: hi");
    user.press("!wh\t\r");
    peer.expect("!who");
}

/// A new name is in the prompt at once, with what was typed behind it; a taken one is tried again without a word.
#[test]
fn the_prompt_has_the_name() {
    let server = FakeServer::start();
    let mut setup = Setup::new(&server.address());
    setup.args.pop();
    let mut user = setup.start();
    let mut peer = server.accept();
    peer.send("--- welcome to gotcp: your first line is your name\n");
    let first = peer.line();
    peer.send(&format!("--- error: the name {first} is taken\n"));
    let second = peer.line();
    assert!(first != second && second.starts_with("carol#") && second.len() == 12, "{first} {second}");
    peer.send(&format!("--- you are {second}; 2 online; !help lists the commands\n"));
    peer.open_session();
    user.wait_for_prompt(&format!("You({second})> "));
    assert!(!user.text().contains("taken"));
    user.press("!nick zoe\r");
    peer.expect("!nick zoe");
    user.press("half typed");
    user.wait_for("half typed");
    peer.send(&format!("*** {second} is now zoe\n"));
    user.wait_for_prompt("You(zoe)> half typed");
}

/// A bare name that is taken has to be replaced by its owner.
#[test]
fn a_taken_bare_name_is_asked_for_again() {
    let server = FakeServer::start();
    let mut user = Setup::new(&server.address()).start();
    let mut peer = server.accept();
    peer.send("--- welcome to gotcp: your first line is your name\n");
    peer.expect("carol");
    peer.send("--- error: the name carol is taken\n");
    user.wait_for("the name carol is taken");
    user.wait_for_prompt("Your name:");
    user.press("zoe\r");
    peer.expect("zoe");
    peer.send("--- you are zoe; 2 online; !help lists the commands\n");
    user.wait_for_prompt("You(zoe)> ");
}

/// Without a name on the command line, the client asks for one that will do.
#[test]
fn asks_for_a_name() {
    let server = FakeServer::start();
    let mut setup = Setup::new(&server.address());
    setup.args.retain(|arg| arg != "--username" && arg != "carol");
    let mut user = setup.start();
    user.wait_for_prompt("Your name:");
    user.press("a b\r");
    user.wait_for("it has a space in it");
    user.press("carol\r");
    let (_peer, name) = server.welcome();
    assert_eq!(name, "carol");
    user.wait_for_prompt(PROMPT);
}

/// The original's server greets nobody and knows no commands: one talks there like anywhere.
#[test]
fn talks_with_the_original_server() {
    let server = FakeServer::start();
    let mut user = Setup::new(&server.address()).start();
    let mut peer = server.accept();
    peer.expect("carol");
    peer.send("carol has joined\n");
    user.wait_for_prompt(PROMPT);
    user.press("hello\r");
    assert_eq!(peer.echo("carol"), "hello");
    peer.send("bob has joined\nbob: hi carol\n");
    user.wait_for("bob: hi carol");
    let text = user.screen();
    assert!(text.contains("carol: hello") && text.contains("bob has joined"), "{text}");
    peer.close();
    user.wait_for("lost the connection");
    user.press("again\r");
    let mut peer = server.accept();
    peer.expect("carol");
    peer.send("carol has joined\n");
    peer.expect("again");
    user.press("!exit\r");
    peer.expect_end();
    peer.close();
    assert!(user.end().success());
}

/// Whatever a server sends, the terminal is in no danger: no escape passes, and no line is too long to survive.
#[test]
fn hostile_lines_are_harmless() {
    let server = FakeServer::start();
    let user = Setup::new(&server.address()).arg("--color=never").start();
    let (mut peer, _) = server.welcome();
    user.wait_for_prompt(PROMPT);
    peer.send("bob: \x1b[2J\x1b]0;title\x07gone\u{9b}31m\u{202e}\r\n");
    user.wait_for("gone");
    peer.send(&"x".repeat(3 << 20));
    peer.send("\nbob: still here\n");
    user.wait_for("bob: still here");
    assert!(user.screen().contains("a line longer than 1048576 bytes is not shown"));
    peer.open_session();
    let raw = user.raw();
    assert!(!raw.contains("\x1b[2J") && !raw.contains("\x1b]") && !raw.contains('\u{9b}'));
}

/// Ctrl-Z gives the terminal back for as long as the client sleeps; with `fg` the half-typed line is there again.
#[test]
fn sleeps_and_wakes() {
    let server = FakeServer::start();
    let (mut setup, line) = Setup::new(&server.address()).in_shell();
    let mut user = setup.start();
    user.wait_for("$");
    user.press(&line);
    let (mut peer, name) = server.welcome();
    user.wait_for_prompt(PROMPT);
    user.press("half");
    user.wait_for_prompt("You(carol)> half");
    user.press("\x1a");
    user.wait_for_prompt("$");
    assert!(!user.is_raw());
    peer.send("bob: meanwhile\n");
    user.press("fg\r");
    user.wait_for("bob: meanwhile");
    user.wait_for_prompt("You(carol)> half");
    user.press(" and half\r");
    assert_eq!(peer.echo(&name), "half and half");
    user.wait_for("carol: half and half");
    user.wait_for_prompt(PROMPT);
    user.press("\x04");
    peer.expect("!exit");
    peer.close();
    user.wait_for_prompt("$");
    assert!(!user.is_raw());
}
