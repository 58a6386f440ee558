//! Commands: what a member's line means.

use super::text::is_blank;

/// What a line of someone who has a name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Nothing: the line is blank.
    Nothing,
    /// Any line that is not a command; `!!x` says `!x`, and `//x` says `/x`.
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
    /// `!history`, and how many lines, if that was said.
    History(Option<usize>),
    /// `!search WORDS`.
    Search(&'a str),
    /// `!session`.
    Session,
    /// `!exit`, and the words to leave with, if there are any.
    Exit(&'a str),
    /// A command with a missing argument: how it is used.
    Usage(&'static str),
    /// A word after `!` that is not a command, with its `!`.
    Unknown(&'a str),
}

/// A command as it is typed, explained and read.
#[derive(Debug)]
pub struct Spec {
    /// What follows `!`; the first word is the one that `!help` shows.
    pub words: &'static [&'static str],
    /// How it is used.
    pub usage: &'static str,
    /// What it does. Empty for a command that only programs use: `!help` and Tab leave it out, and `/` does not work
    /// for it.
    pub does: &'static str,
    /// Whether it needs a log that lasts.
    pub needs_log: bool,
    /// Reads what follows the word; `None` if an argument is missing.
    parse: for<'a> fn(&'a str) -> Option<Command<'a>>,
}

/// Every command, in the order in which `!help` lists them.
pub static COMMANDS: [Spec; 9] = [
    Spec {
        words: &["help"],
        usage: "!help",
        does: "lists the commands",
        needs_log: false,
        parse: |_| Some(Command::Help),
    },
    Spec { words: &["who"], usage: "!who", does: "says who is here", needs_log: false, parse: |_| Some(Command::Who) },
    Spec {
        words: &["me"],
        usage: "!me TEXT",
        does: "says TEXT as something you do",
        needs_log: false,
        parse: |rest| required(rest).map(Command::Me),
    },
    Spec {
        words: &["msg"],
        usage: "!msg NAME TEXT",
        does: "tells TEXT to NAME alone",
        needs_log: false,
        parse: |rest| {
            let (to, text) = split_word(rest);
            required(text).map(|text| Command::Msg { to, text })
        },
    },
    Spec {
        words: &["nick"],
        usage: "!nick NAME",
        does: "changes your name",
        needs_log: false,
        parse: |rest| required(rest).map(Command::Nick),
    },
    Spec {
        words: &["history"],
        usage: "!history [N]",
        does: "shows the last N lines",
        needs_log: true,
        parse: |rest| match rest {
            "" => Some(Command::History(None)),
            number => number.parse().ok().filter(|&lines| lines > 0).map(|lines| Command::History(Some(lines))),
        },
    },
    Spec {
        words: &["search"],
        usage: "!search WORDS",
        does: "shows the last lines that hold all WORDS",
        needs_log: true,
        parse: |rest| required(rest).map(Command::Search),
    },
    Spec {
        words: &["exit", "quit"],
        usage: "!exit [TEXT]",
        does: "leaves, with TEXT as your last words",
        needs_log: false,
        parse: |rest| Some(Command::Exit(rest)),
    },
    Spec { words: &["session"], usage: "!session", does: "", needs_log: false, parse: |_| Some(Command::Session) },
];

impl Spec {
    /// Whether the command is for people, not only for programs.
    #[must_use]
    pub fn is_for_people(&self) -> bool {
        !self.does.is_empty()
    }
}

impl<'a> Command<'a> {
    /// Reads a line that has been sanitised. The command's own word may be in any case.
    #[must_use]
    pub fn parse(line: &'a str) -> Command<'a> {
        if is_blank(line) {
            return Command::Nothing;
        }
        let Some(rest) = line.strip_prefix(['!', '/']) else { return Command::Say(line) };
        let is_slash = line.starts_with('/');
        if rest.starts_with(&line[..1]) {
            return Command::Say(rest);
        }
        let (word, rest) = split_word(rest);
        match find(word) {
            Some(spec) if !is_slash || spec.is_for_people() => (spec.parse)(rest).unwrap_or(Command::Usage(spec.usage)),
            // People say paths.
            _ if is_slash => Command::Say(line),
            _ => Command::Unknown(&line[..=word.len()]),
        }
    }

    /// Whether a line may lead to an answer for its sender alone: one that may be a command, or is too long and so empty
    /// here.
    #[must_use]
    pub fn may_be_answered(line: &[u8]) -> bool {
        line.first().is_none_or(|first| matches!(first, b'!' | b'/'))
    }

    /// Whether it is `!exit`.
    #[must_use]
    pub fn is_exit(&self) -> bool {
        matches!(self, Command::Exit(_))
    }
}

fn find(word: &str) -> Option<&'static Spec> {
    COMMANDS.iter().find(|spec| spec.words.iter().any(|known| known.eq_ignore_ascii_case(word)))
}

fn required(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// The first word, and what follows it without the spaces around it.
fn split_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    (word, rest.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every form of every command is recognised.
    #[test]
    fn reads_commands() {
        for (line, expected) in [
            ("hello", Command::Say("hello")),
            (" !who", Command::Say(" !who")),
            ("", Command::Nothing),
            (" \t ", Command::Nothing),
            ("!!exit", Command::Say("!exit")),
            ("!!!", Command::Say("!!")),
            ("!exit", Command::Exit("")),
            ("!EXIT ", Command::Exit("")),
            ("!exit see you ", Command::Exit("see you")),
            ("!quit", Command::Exit("")),
            ("!Who", Command::Who),
            ("!help", Command::Help),
            ("!session", Command::Session),
            ("!me  waves ", Command::Me("waves")),
            ("!me", Command::Usage("!me TEXT")),
            ("!msg bob hi there", Command::Msg { to: "bob", text: "hi there" }),
            ("!msg bob ", Command::Usage("!msg NAME TEXT")),
            ("!nick zoe", Command::Nick("zoe")),
            ("!nick", Command::Usage("!nick NAME")),
            ("!history", Command::History(None)),
            ("!history 50", Command::History(Some(50))),
            ("!history 0", Command::Usage("!history [N]")),
            ("!history all", Command::Usage("!history [N]")),
            ("!search the build", Command::Search("the build")),
            ("!search ", Command::Usage("!search WORDS")),
            ("!x y", Command::Unknown("!x")),
            ("!", Command::Unknown("!")),
            ("!exits", Command::Unknown("!exits")),
        ] {
            assert_eq!(Command::parse(line), expected, "{line:?}");
        }
    }

    /// A slash stands for `!` before exactly the commands that people use, and before nothing else.
    #[test]
    fn reads_slashes() {
        for (line, expected) in [
            ("/msg bob SECRET", Command::Msg { to: "bob", text: "SECRET" }),
            ("/MSG bob", Command::Usage("!msg NAME TEXT")),
            ("/quit", Command::Exit("")),
            ("/Exit bye", Command::Exit("bye")),
            ("/who", Command::Who),
            ("/path/to/file", Command::Say("/path/to/file")),
            ("/session", Command::Say("/session")),
            ("/whoami", Command::Say("/whoami")),
            ("//msg bob", Command::Say("/msg bob")),
            ("/!x", Command::Say("/!x")),
            ("!/x", Command::Unknown("!/x")),
            ("/", Command::Say("/")),
        ] {
            assert_eq!(Command::parse(line), expected, "{line:?}");
        }
    }
}
