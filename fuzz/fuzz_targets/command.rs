//! Every line means something, and what is taken out of it is part of it.
#![no_main]

use gotcp::protocol::command::{Command, is_exit};
use gotcp::protocol::text::{is_blank, sanitise};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // A line has no LF in it when it comes here.
    let line = sanitise(bytes.split(|&byte| byte == b'\n').next().unwrap_or_default());
    let command = Command::parse(&line);
    // Whoever has no name yet can leave in the same words.
    assert!(!line.starts_with('!') || !is_exit(line.as_bytes()) || command == Command::Exit);
    match command {
        Command::Nothing => assert!(is_blank(&line)),
        Command::Say(text) => assert!(text == line && !line.starts_with('!') || line.strip_prefix('!') == Some(text)),
        Command::Me(text) | Command::Nick(text) => assert!(line.contains(text) && !is_blank(text)),
        Command::Msg { to, text } => {
            assert!(!is_blank(to) && !is_blank(text) && !to.contains([' ', '\t']));
            let (before, _) = line.split_once(to).expect("it is in there");
            assert!(line[before.len() + to.len()..].contains(text));
        }
        Command::Unknown(word) => assert!(line.starts_with(word) && word.starts_with('!')),
        Command::Exit => assert!(line.to_ascii_lowercase().starts_with("!exit")),
        Command::Who | Command::Help | Command::Session | Command::Usage(_) => assert!(line.starts_with('!')),
    }
});
