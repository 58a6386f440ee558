//! Commands: what a member's line means.

use std::time::Duration;

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
    /// `!reply TEXT`.
    Reply(&'a str),
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
    /// `!password WORD`: before the name, in a room that has one.
    Password(&'a str),
    /// `!operator WORD`.
    Operator(&'a str),
    /// What only an operator may do.
    Order(Order<'a>),
    /// `!exit`, and the words to leave with, if there are any.
    Exit(&'a str),
    /// A command with a missing argument: how it is used.
    Usage(&'static str),
    /// A word after `!` that is not a command, with its `!`.
    Unknown(&'a str),
}

/// What an operator can say. Names are as they were typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // Their usage says it.
pub enum Order<'a> {
    /// `!kick NAME [REASON]`.
    Kick { name: &'a str, reason: &'a str },
    /// `!ban NAME [TIME] [REASON]`; without a time for good.
    Ban { name: &'a str, time: Option<Duration>, reason: &'a str },
    /// `!unban WHAT`: a name or an address.
    Unban(&'a str),
    /// `!bans`.
    Bans,
    /// `!mute NAME [TIME]`; without a time for good.
    Mute { name: &'a str, time: Option<Duration> },
    /// `!unmute NAME`.
    Unmute(&'a str),
    /// `!notice TEXT`.
    Notice(&'a str),
    /// `!stats`.
    Stats,
}

/// Who is told of a command by `!help`, and by Tab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Everybody.
    Everybody,
    /// Everybody, where there is a log that lasts.
    WithLog,
    /// Operators.
    Operators,
    /// Nobody: those who need it are told by other means.
    Nobody,
    /// Only programs use it. `/` does not work for it.
    Programs,
}

/// A command as it is typed, explained and read.
#[derive(Debug)]
pub struct Spec {
    /// What follows `!`; the first word is the one that `!help` shows.
    pub words: &'static [&'static str],
    /// How it is used.
    pub usage: &'static str,
    /// What it does.
    pub does: &'static str,
    /// Who is told of it.
    pub audience: Audience,
    /// Reads what follows the word; `None` if an argument is missing.
    parse: for<'a> fn(&'a str) -> Option<Command<'a>>,
}

/// Every command, in the order in which `!help` lists them.
pub static COMMANDS: [Spec; 20] = [
    Spec {
        words: &["help"],
        usage: "!help",
        does: "lists the commands",
        audience: Audience::Everybody,
        parse: |_| Some(Command::Help),
    },
    Spec {
        words: &["who"],
        usage: "!who",
        does: "says who is here",
        audience: Audience::Everybody,
        parse: |_| Some(Command::Who),
    },
    Spec {
        words: &["me"],
        usage: "!me TEXT",
        does: "says TEXT as something you do",
        audience: Audience::Everybody,
        parse: |rest| required(rest).map(Command::Me),
    },
    Spec {
        words: &["msg"],
        usage: "!msg NAME TEXT",
        does: "tells TEXT to NAME alone",
        audience: Audience::Everybody,
        parse: |rest| {
            let (to, text) = split_word(rest);
            required(text).map(|text| Command::Msg { to, text })
        },
    },
    Spec {
        words: &["reply"],
        usage: "!reply TEXT",
        does: "tells TEXT to who told you something last",
        audience: Audience::Everybody,
        parse: |rest| required(rest).map(Command::Reply),
    },
    Spec {
        words: &["nick"],
        usage: "!nick NAME",
        does: "changes your name",
        audience: Audience::Everybody,
        parse: |rest| required(rest).map(Command::Nick),
    },
    Spec {
        words: &["history"],
        usage: "!history [N]",
        does: "shows the last N lines",
        audience: Audience::WithLog,
        parse: |rest| match rest {
            "" => Some(Command::History(None)),
            number => number.parse().ok().filter(|&lines| lines > 0).map(|lines| Command::History(Some(lines))),
        },
    },
    Spec {
        words: &["search"],
        usage: "!search WORDS",
        does: "shows the last lines that hold all WORDS",
        audience: Audience::WithLog,
        parse: |rest| required(rest).map(Command::Search),
    },
    Spec {
        words: &["exit", "quit"],
        usage: "!exit [TEXT]",
        does: "leaves, with TEXT as your last words",
        audience: Audience::Everybody,
        parse: |rest| Some(Command::Exit(rest)),
    },
    Spec {
        words: &["kick"],
        usage: "!kick NAME [REASON]",
        does: "disconnects NAME",
        audience: Audience::Operators,
        parse: |rest| {
            let (name, reason) = split_word(rest);
            required(name).map(|name| Command::Order(Order::Kick { name, reason }))
        },
    },
    Spec {
        words: &["ban"],
        usage: "!ban NAME [TIME] [REASON]",
        does: "the same, and keeps NAME's address out, for TIME",
        audience: Audience::Operators,
        parse: |rest| {
            let (name, rest) = split_word(rest);
            let (time, reason) = split_time(rest);
            required(name).map(|name| Command::Order(Order::Ban { name, time, reason }))
        },
    },
    Spec {
        words: &["unban"],
        usage: "!unban WHAT",
        does: "lifts the bans of a name or an address",
        audience: Audience::Operators,
        parse: |rest| required(rest).map(|what| Command::Order(Order::Unban(what))),
    },
    Spec {
        words: &["bans"],
        usage: "!bans",
        does: "says who is banned",
        audience: Audience::Operators,
        parse: |_| Some(Command::Order(Order::Bans)),
    },
    Spec {
        words: &["mute"],
        usage: "!mute NAME [TIME]",
        does: "lets NAME say nothing, for TIME",
        audience: Audience::Operators,
        parse: |rest| {
            let (name, rest) = split_word(rest);
            let (time, rest) = split_time(rest);
            required(name).filter(|_| rest.is_empty()).map(|name| Command::Order(Order::Mute { name, time }))
        },
    },
    Spec {
        words: &["unmute"],
        usage: "!unmute NAME",
        does: "lets NAME speak again",
        audience: Audience::Operators,
        parse: |rest| required(rest).map(|name| Command::Order(Order::Unmute(name))),
    },
    Spec {
        words: &["notice"],
        usage: "!notice TEXT",
        does: "tells everybody TEXT",
        audience: Audience::Operators,
        parse: |rest| required(rest).map(|text| Command::Order(Order::Notice(text))),
    },
    Spec {
        words: &["stats"],
        usage: "!stats",
        does: "says how the server is doing",
        audience: Audience::Operators,
        parse: |_| Some(Command::Order(Order::Stats)),
    },
    Spec {
        words: &["operator"],
        usage: "!operator WORD",
        does: "makes you an operator",
        audience: Audience::Nobody,
        parse: |rest| required(rest).map(Command::Operator),
    },
    Spec {
        words: &["password"],
        usage: "!password WORD",
        does: "lets you into a room that has a password",
        audience: Audience::Nobody,
        parse: |rest| required(rest).map(Command::Password),
    },
    Spec {
        words: &["session"],
        usage: "!session",
        does: "says how to come back",
        audience: Audience::Programs,
        parse: |_| Some(Command::Session),
    },
];

impl Spec {
    /// Whether everybody is told of it, where there is a log that lasts.
    #[must_use]
    pub fn is_for_everybody(&self) -> bool {
        matches!(self.audience, Audience::Everybody | Audience::WithLog)
    }
}

/// Whether something that was typed is not for other eyes, so that it is better not kept: a password, or a whisper, or what
/// begins with a space, as in a shell.
#[must_use]
pub fn is_secret(text: &str) -> bool {
    let is_one = |line| {
        matches!(
            Command::parse(line),
            Command::Password(_) | Command::Operator(_) | Command::Msg { .. } | Command::Reply(_)
        )
    };
    text.starts_with(' ') || text.lines().any(is_one)
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
            Some(spec) if !is_slash || spec.audience != Audience::Programs => {
                (spec.parse)(rest).unwrap_or(Command::Usage(spec.usage))
            }
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

/// A time, if the first word is one, and what follows it.
fn split_time(text: &str) -> (Option<Duration>, &str) {
    let (word, rest) = split_word(text);
    match humantime::parse_duration(word) {
        Ok(time) => (Some(time), rest),
        Err(_) => (None, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);

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
            ("!reply to you", Command::Reply("to you")),
            ("!reply", Command::Usage("!reply TEXT")),
            ("!nick zoe", Command::Nick("zoe")),
            ("!nick", Command::Usage("!nick NAME")),
            ("!history", Command::History(None)),
            ("!history 50", Command::History(Some(50))),
            ("!history 0", Command::Usage("!history [N]")),
            ("!history all", Command::Usage("!history [N]")),
            ("!search the build", Command::Search("the build")),
            ("!search ", Command::Usage("!search WORDS")),
            ("!password a b", Command::Password("a b")),
            ("!password", Command::Usage("!password WORD")),
            ("!Operator w", Command::Operator("w")),
            ("!kick bob", Command::Order(Order::Kick { name: "bob", reason: "" })),
            ("!kick bob too loud", Command::Order(Order::Kick { name: "bob", reason: "too loud" })),
            ("!kick", Command::Usage("!kick NAME [REASON]")),
            ("!ban bob", Command::Order(Order::Ban { name: "bob", time: None, reason: "" })),
            ("!ban bob spam", Command::Order(Order::Ban { name: "bob", time: None, reason: "spam" })),
            ("!ban bob 2h spam", Command::Order(Order::Ban { name: "bob", time: Some(HOUR * 2), reason: "spam" })),
            ("!unban 192.0.2.1", Command::Order(Order::Unban("192.0.2.1"))),
            ("!bans", Command::Order(Order::Bans)),
            ("!mute bob 1h", Command::Order(Order::Mute { name: "bob", time: Some(HOUR) })),
            ("!mute bob", Command::Order(Order::Mute { name: "bob", time: None })),
            ("!mute bob for ever", Command::Usage("!mute NAME [TIME]")),
            ("!unmute bob", Command::Order(Order::Unmute("bob"))),
            ("!notice we close at ten", Command::Order(Order::Notice("we close at ten"))),
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
            ("/password WORD", Command::Password("WORD")),
            ("/operator WORD", Command::Operator("WORD")),
            ("/kick bob", Command::Order(Order::Kick { name: "bob", reason: "" })),
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
