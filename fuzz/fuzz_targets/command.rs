//! Every line has a meaning, what is taken out of it is part of it, and no command that was mistyped with `/` is said.
#![no_main]

use gotcp::protocol::command::Command;
use gotcp::protocol::text::{is_blank, sanitise};
use libfuzzer_sys::fuzz_target;

/// What PROTOCOL.md lets `/` stand before.
const AFTER_SLASH: [&str; 20] = [
    "reply", "help", "who", "me", "msg", "nick", "exit", "quit", "history", "search", "password", "operator", "kick",
    "ban", "unban", "bans", "mute", "unmute", "notice", "stats",
];

fuzz_target!(|bytes: &[u8]| {
    // A line has no LF in it when it comes here.
    let line = sanitise(bytes.split(|&byte| byte == b'\n').next().unwrap_or_default());
    let command = Command::parse(&line);
    let word = line.split([' ', '\t']).next().expect("a split has at least one part").to_ascii_lowercase();
    let is_slash_command = word.strip_prefix('/').is_some_and(|word| AFTER_SLASH.contains(&word));
    assert!(!is_slash_command || !matches!(command, Command::Say(_)), "{line:?} is for few eyes");
    assert_eq!(command.is_exit(), ["!exit", "!quit", "/exit", "/quit"].contains(&&*word));
    match command {
        Command::Nothing => assert!(is_blank(&line)),
        Command::Say(text) if text == line => assert!(!line.starts_with('!') && !line.starts_with("//")),
        Command::Say(text) => {
            assert!(line.starts_with("!!") || line.starts_with("//"));
            assert_eq!(text, &line[1..]);
        }
        Command::Me(text)
        | Command::Nick(text)
        | Command::Reply(text)
        | Command::Search(text)
        | Command::Password(text)
        | Command::Operator(text) => {
            assert!(line.contains(text) && !is_blank(text))
        }
        Command::Msg { to, text } => {
            assert!(!is_blank(to) && !is_blank(text) && !to.contains([' ', '\t']));
            let (before, _) = line.split_once(to).expect("it is in there");
            assert!(line[before.len() + to.len()..].contains(text));
        }
        Command::Unknown(word) => assert!(line.starts_with(word) && word.starts_with('!')),
        Command::Exit(words) => assert!(line.trim_ascii_end().ends_with(words)),
        Command::History(lines) => assert!(lines != Some(0)),
        Command::Who | Command::Help | Command::Order(_) | Command::Usage(_) => {
            assert!(is_slash_command || line.starts_with('!'))
        }
        Command::Session => assert_eq!(word, "!session"),
    }
});
