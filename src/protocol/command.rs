//! `!` commands: what a user's line means.

use super::text::is_blank;

/// What a line of a user who has a name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Nothing: the line is blank.
    Nothing,
    /// Any other line, and `!!x` for `!x`.
    Say(&'a str),
    /// `!me TEXT`.
    Me(&'a str),
    /// `!msg NAME TEXT`.
    Msg {
        /// Whom it is for, as it was typed.
        to: &'a str,
        /// What to tell them.
        text: &'a str,
    },
    /// `!nick NAME`.
    Nick(&'a str),
    /// `!who`.
    Who,
    /// `!help`.
    Help,
    /// `!session`.
    Session,
    /// `!exit`.
    Exit,
    /// A command that lacks something: how it is used.
    Usage(&'static str),
    /// A word after `!` that is no command, with its `!`.
    Unknown(&'a str),
}

/// Every command with what it takes and does, in the order in which `!help` lists them. (`!session` is for programs.)
pub const HELP: [(&str, &str); 7] = [
    ("!help", "lists the commands"),
    ("!who", "says who is here"),
    ("!me TEXT", "says TEXT as something you do"),
    ("!msg NAME TEXT", "tells TEXT to NAME alone"),
    ("!nick NAME", "changes your name"),
    ("!exit", "leaves"),
    ("!!TEXT", "says \"!TEXT\""),
];

impl<'a> Command<'a> {
    /// Reads a line that has been made harmless. Words are told apart by blanks; the command itself in any case.
    #[must_use]
    pub fn parse(line: &'a str) -> Command<'a> {
        if is_blank(line) {
            return Command::Nothing;
        }
        let Some(rest) = line.strip_prefix('!') else {
            return Command::Say(line);
        };
        if rest.starts_with('!') {
            return Command::Say(rest);
        }
        let (word, rest) = split_word(rest);
        match word.to_ascii_lowercase().as_str() {
            "help" => Command::Help,
            "who" => Command::Who,
            "session" => Command::Session,
            "exit" => Command::Exit,
            "me" if rest.is_empty() => Command::Usage("!me TEXT"),
            "me" => Command::Me(rest),
            "nick" if rest.is_empty() => Command::Usage("!nick NAME"),
            "nick" => Command::Nick(rest),
            "msg" => match split_word(rest) {
                (_, "") => Command::Usage("!msg NAME TEXT"),
                (to, text) => Command::Msg { to, text },
            },
            _ => Command::Unknown(&line[..=word.len()]),
        }
    }
}

/// Whether a line asks to leave. It does so before there is a name, too.
#[must_use]
pub fn is_exit(line: &[u8]) -> bool {
    line.trim_ascii().eq_ignore_ascii_case(b"!exit")
}

/// The first word, and what follows it without the blanks around.
fn split_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    (word, rest.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every form of every command is read as what it is.
    #[test]
    fn reads_commands() {
        for (line, expected) in [
            ("hello", Command::Say("hello")),
            (" !who", Command::Say(" !who")),
            ("/path/to/file", Command::Say("/path/to/file")),
            ("", Command::Nothing),
            (" \t ", Command::Nothing),
            ("!!exit", Command::Say("!exit")),
            ("!!!", Command::Say("!!")),
            ("!exit", Command::Exit),
            ("!EXIT ", Command::Exit),
            ("!Who", Command::Who),
            ("!help", Command::Help),
            ("!session", Command::Session),
            ("!me  waves ", Command::Me("waves")),
            ("!me", Command::Usage("!me TEXT")),
            ("!msg bob hi there", Command::Msg { to: "bob", text: "hi there" }),
            ("!msg bob ", Command::Usage("!msg NAME TEXT")),
            ("!nick zoe", Command::Nick("zoe")),
            ("!nick", Command::Usage("!nick NAME")),
            ("!x y", Command::Unknown("!x")),
            ("!", Command::Unknown("!")),
            ("!exits", Command::Unknown("!exits")),
        ] {
            assert_eq!(Command::parse(line), expected, "{line:?}");
        }
    }

    /// Leaving needs no name.
    #[test]
    fn exit_is_read_from_raw_bytes() {
        assert!(is_exit(b"!Exit") && is_exit(b" !exit \r"));
        assert!(!is_exit(b"!exit now") && !is_exit(b"exit"));
    }
}
