//! Every sentence that the server can say, in one place, and how a reader tells the kinds of line apart.
//!
//! [`Public`] sentences start with `*** ` and go to everyone; [`Private`] ones start with `--- ` and go to one
//! connection. Their `Display` is one line without its LF. What our own client has to understand of them is read back
//! by [`Received`] and [`Answer`], beside the words themselves, so that the two cannot part.

use std::fmt;
use std::time::Duration;

use super::command::HELP;
use super::name::{BadName, Name};

/// What begins a line about the room.
pub const PUBLIC: &str = "*** ";
/// What begins a line for one connection alone.
pub const PRIVATE: &str = "--- ";
/// What begins a private line that reports a mistake.
pub const ERROR: &str = "--- error: ";

/// Why someone left whose connection broke and who did not come back in time.
pub const CONNECTION_LOST: &str = "connection lost";
/// Why someone left who did not take what was said.
pub const READ_TOO_SLOWLY: &str = "read too slowly";

/// A sentence about the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Public<'a> {
    /// Someone came.
    Joined(&'a str),
    /// Someone left of their own accord.
    Left(&'a str),
    /// Someone left for another reason.
    LeftBecause(&'a str, &'a str),
    /// Someone has another name.
    Renamed {
        /// The name that is free now.
        old: &'a str,
        /// The name that stands for it.
        new: &'a str,
    },
    /// Everyone has to leave.
    ShuttingDown,
}

impl fmt::Display for Public<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PUBLIC)?;
        match self {
            Public::Joined(name) => write!(f, "{name} joined"),
            Public::Left(name) => write!(f, "{name} left"),
            Public::LeftBecause(name, reason) => write!(f, "{name} left ({reason})"),
            Public::Renamed { old, new } => write!(f, "{old} is now {new}"),
            Public::ShuttingDown => write!(f, "the server is shutting down"),
        }
    }
}

impl<'a> Public<'a> {
    /// Reads a line, without its LF; `None` for what no server says.
    #[must_use]
    pub fn parse(line: &'a str) -> Option<Public<'a>> {
        let text = line.strip_prefix(PUBLIC)?;
        if text == "the server is shutting down" {
            return Some(Public::ShuttingDown);
        }
        let (name, what) = text.split_once(' ').filter(|(name, _)| Name::is_one(name))?;
        if let Some(new) = what.strip_prefix("is now ") {
            return Name::is_one(new).then_some(Public::Renamed { old: name, new });
        }
        if let Some(reason) = what.strip_prefix("left (").and_then(|rest| rest.strip_suffix(')')) {
            let is_known = [CONNECTION_LOST, READ_TOO_SLOWLY].contains(&reason);
            return is_known.then_some(Public::LeftBecause(name, reason));
        }
        match what {
            "joined" => Some(Public::Joined(name)),
            "left" => Some(Public::Left(name)),
            _ => None,
        }
    }
}

/// A sentence for one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Private<'a> {
    /// The first thing that anyone hears.
    Welcome,
    /// The name is accepted.
    Named {
        /// The name as it is shown to everyone.
        name: &'a str,
        /// How many are here, this one included.
        online: usize,
    },
    /// The next lines were said before this one came.
    History {
        /// How many lines follow.
        lines: usize,
    },
    /// The answer to `!session`, due exactly at `position`.
    Session {
        /// What the owner of the name must show to come back.
        token: &'a str,
        /// How far this reader has read.
        position: u64,
    },
    /// The end of what was missed.
    Resumed,
    /// Part of what was missed is gone.
    Missed {
        /// How many bytes.
        bytes: u64,
    },
    /// One line of the answer to `!help`.
    Help {
        /// The command and what it takes.
        usage: &'a str,
        /// What it does.
        does: &'a str,
    },
    /// The first line of the answer to `!who`.
    Online(usize),
    /// A line of names, of the answer to `!who`.
    Names(&'a str),
    /// A whisper, to whom it is for.
    WhisperFrom {
        /// Who said it.
        from: &'a str,
        /// What.
        text: &'a str,
    },
    /// A whisper, to who said it.
    WhisperTo {
        /// Whom it went to.
        to: &'a str,
        /// What.
        text: &'a str,
    },
    /// The flood limit begins to be felt.
    TooFast,
    /// Something is wrong.
    Error(Error<'a>),
}

/// What can be wrong, in the words of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error<'a> {
    /// No place for one more connection; closed.
    Full(usize),
    /// No place for one more from the same address; closed.
    TooManyFromAddress(usize),
    /// The name did not come in time; closed.
    NoName(Duration),
    /// May try again.
    BadName(BadName),
    /// May try again.
    NameTaken(&'a str),
    /// Name after name was refused; closed.
    TooManyNames,
    /// The first line is meant for a server of another kind, which this is not; closed.
    NotA(&'a str),
    /// No such session, or not at this position; may try again.
    BadSession,
    /// The connection stays.
    LineTooLong(usize),
    /// The connection stays.
    UnknownCommand(&'a str),
    /// A command lacks something; the connection stays.
    Usage(&'a str),
    /// Nobody has that name; the connection stays.
    NobodyCalled(&'a str),
    /// More than one person has that name before its tag; the connection stays.
    SeveralCalled(&'a str),
    /// That person's connection is broken just now; the connection stays.
    Unreachable(&'a str),
    /// Let go.
    ReadTooSlowly,
}

impl fmt::Display for Private<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PRIVATE)?;
        match self {
            Private::Welcome => write!(f, "welcome to gotcp: your first line is your name"),
            Private::Named { name, online } => {
                write!(f, "you are {name}; {online} online; !help lists the commands")
            }
            Private::History { lines: 1 } => write!(f, "the last line before you came:"),
            Private::History { lines } => write!(f, "the last {lines} lines before you came:"),
            Private::Session { token, position } => write!(f, "session {token} at {position}"),
            Private::Resumed => write!(f, "resumed"),
            Private::Missed { bytes } => write!(f, "missed {bytes} bytes: more than the server keeps"),
            Private::Help { usage, does } => write!(f, "{usage:<15}  {does}"),
            Private::Online(count) => write!(f, "{count} online:"),
            Private::Names(names) => write!(f, "  {names}"),
            Private::WhisperFrom { from, text } => write!(f, "[{from} to you] {text}"),
            Private::WhisperTo { to, text } => write!(f, "[you to {to}] {text}"),
            Private::TooFast => {
                write!(f, "notice: you are sending too fast; your lines are delayed, none is lost")
            }
            Private::Error(error) => write!(f, "error: {error}"),
        }
    }
}

impl fmt::Display for Error<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Full(limit) => write!(f, "the server is full ({limit} connections); try again later"),
            Error::TooManyFromAddress(limit) => {
                write!(f, "too many connections from your address ({limit})")
            }
            Error::NoName(timeout) => write!(f, "no name within {}", humantime::format_duration(*timeout)),
            Error::BadName(reason) => write!(f, "bad name: {reason}"),
            Error::NameTaken(name) => write!(f, "the name {name} is taken"),
            Error::TooManyNames => write!(f, "too many bad names"),
            Error::NotA(server) => write!(f, "bad name: this is a chat, not {server}"),
            Error::BadSession => write!(f, "no such session; your first line is your name"),
            Error::LineTooLong(limit) => write!(f, "a line longer than {limit} bytes was dropped"),
            Error::UnknownCommand(word) => {
                write!(f, "unknown command {word}; !help lists the commands, !{word} says the text \"{word}\"")
            }
            Error::Usage(usage) => write!(f, "usage: {usage}"),
            Error::NobodyCalled(name) => write!(f, "nobody here is called {name}"),
            Error::SeveralCalled(name) => write!(f, "more than one here is called {name}; add the tag"),
            Error::Unreachable(name) => write!(f, "{name} has lost the connection; try again later"),
            Error::ReadTooSlowly => write!(f, "you read too slowly"),
        }
    }
}

/// The lines that `!help` answers with.
pub fn help() -> impl Iterator<Item = Private<'static>> {
    HELP.iter().map(|&(usage, does)| Private::Help { usage, does })
}

/// A line from a server, told apart by how it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// `NAME: TEXT`: someone said something.
    Message {
        /// Who.
        name: &'a str,
        /// What.
        text: &'a str,
    },
    /// `* NAME TEXT`: someone did something.
    Action {
        /// Who.
        name: &'a str,
        /// What.
        text: &'a str,
    },
    /// `*** TEXT`: the room.
    Public(&'a str),
    /// `--- TEXT`: for this connection alone.
    Private(&'a str),
    /// None of these: another server's own manner.
    Other(&'a str),
}

impl<'a> Received<'a> {
    /// Reads one line, without its LF.
    #[must_use]
    pub fn parse(line: &'a str) -> Received<'a> {
        if let Some(text) = line.strip_prefix(PRIVATE) {
            return Received::Private(text);
        }
        if let Some(text) = line.strip_prefix(PUBLIC) {
            return Received::Public(text);
        }
        if let Some((name, text)) = line.strip_prefix("* ").and_then(|rest| rest.split_once(' ')) {
            return Received::Action { name, text };
        }
        match line.split_once(": ") {
            Some((name, text)) if !name.contains(' ') => Received::Message { name, text },
            _ => Received::Other(line),
        }
    }
}

/// What a client that keeps a session has to understand of the private lines: the text after `--- `.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// The name is accepted: this is how everyone sees it.
    Named(&'a str),
    /// The name cannot be had.
    NameTaken,
    /// The name will never do: why.
    BadName(&'a str),
    /// What to come back with.
    Session {
        /// The secret.
        token: &'a str,
        /// Where this line stands.
        position: u64,
    },
    /// The end of what was missed.
    Resumed,
    /// So many bytes of what was missed are gone.
    Missed(u64),
    /// The session to be resumed is not known.
    BadSession,
    /// A line with more bytes than this, its LF included, was dropped.
    LineTooLong(usize),
    /// A whisper for us, and from whom.
    Whisper {
        /// Who whispers.
        from: &'a str,
        /// What.
        text: &'a str,
    },
}

impl<'a> Answer<'a> {
    /// Reads the text of a private line; `None` for what is only meant for people.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Answer<'a>> {
        if let Some(error) = text.strip_prefix("error: ") {
            return Answer::parse_error(error);
        }
        if let Some(rest) = text.strip_prefix("you are ") {
            return rest.split_once(';').map(|(name, _)| Answer::Named(name));
        }
        if let Some(rest) = text.strip_prefix("session ") {
            let (token, position) = rest.split_once(" at ")?;
            return Some(Answer::Session { token, position: position.parse().ok()? });
        }
        if let Some(rest) = text.strip_prefix("missed ") {
            return Some(Answer::Missed(rest.split_once(" bytes: ")?.0.parse().ok()?));
        }
        if let Some(rest) = text.strip_prefix('[') {
            let (from, text) = rest.split_once(" to you] ")?;
            return Some(Answer::Whisper { from, text });
        }
        (text == "resumed").then_some(Answer::Resumed)
    }

    fn parse_error(error: &'a str) -> Option<Answer<'a>> {
        if let Some(why) = error.strip_prefix("bad name: ") {
            return Some(Answer::BadName(why));
        }
        if let Some(rest) = error.strip_prefix("a line longer than ") {
            return Some(Answer::LineTooLong(rest.split_once(' ')?.0.parse().ok()?));
        }
        if error.starts_with("the name ") && error.ends_with(" is taken") {
            return Some(Answer::NameTaken);
        }
        error.starts_with("no such session").then_some(Answer::BadSession)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the server says of the room can be read back, and nothing else can.
    #[test]
    fn public_lines_are_read_back() {
        for notice in [
            Public::Joined("carol#0b9189"),
            Public::Left("joined"),
            Public::LeftBecause("bob", CONNECTION_LOST),
            Public::LeftBecause("bob", READ_TOO_SLOWLY),
            Public::Renamed { old: "bob", new: "rob" },
            Public::ShuttingDown,
        ] {
            assert_eq!(Public::parse(&notice.to_string()), Some(notice));
        }
        for line in [
            "",
            "bob joined",
            "*** ",
            "*** bob",
            "*** bob joined ",
            "*** bob  joined",
            "***  bob joined",
            "*** \tbob joined",
            "*** -bob joined",
            "*** bob left (or not)",
            "*** bob is now",
            "*** bob is now rob too",
            "*** bob is now -rob",
            "*** the server is shutting",
        ] {
            assert_eq!(Public::parse(line), None, "{line:?}");
        }
    }

    /// The contract, word for word.
    #[test]
    fn says_what_the_contract_says() {
        let second = Duration::from_secs(1);
        for (notice, line) in [
            (Private::Welcome, "--- welcome to gotcp: your first line is your name"),
            (Private::Named { name: "bob", online: 3 }, "--- you are bob; 3 online; !help lists the commands"),
            (Private::Session { token: "00ff", position: 7 }, "--- session 00ff at 7"),
            (Private::Resumed, "--- resumed"),
            (Private::Missed { bytes: 9 }, "--- missed 9 bytes: more than the server keeps"),
            (Private::WhisperFrom { from: "carol#0b9189", text: "hi" }, "--- [carol#0b9189 to you] hi"),
            (Private::WhisperTo { to: "bob#77a1f0", text: "hi" }, "--- [you to bob#77a1f0] hi"),
            (Private::TooFast, "--- notice: you are sending too fast; your lines are delayed, none is lost"),
        ] {
            assert_eq!(notice.to_string(), line);
        }
        for (error, line) in [
            (Error::Full(10), "the server is full (10 connections); try again later"),
            (Error::TooManyFromAddress(4), "too many connections from your address (4)"),
            (Error::NoName(30 * second), "no name within 30s"),
            (Error::BadName(BadName::Empty), "bad name: it is empty"),
            (Error::NameTaken("bob"), "the name bob is taken"),
            (Error::LineTooLong(65536), "a line longer than 65536 bytes was dropped"),
            (Error::UnknownCommand("!x"), "unknown command !x; !help lists the commands, !!x says the text \"!x\""),
            (Error::ReadTooSlowly, "you read too slowly"),
        ] {
            assert_eq!(Private::Error(error).to_string(), format!("{ERROR}{line}"));
        }
        for (notice, line) in [
            (Public::Joined("bob"), "*** bob joined"),
            (Public::Left("bob"), "*** bob left"),
            (Public::LeftBecause("bob", CONNECTION_LOST), "*** bob left (connection lost)"),
            (Public::Renamed { old: "bob", new: "rob" }, "*** bob is now rob"),
            (Public::ShuttingDown, "*** the server is shutting down"),
        ] {
            assert_eq!(notice.to_string(), line);
        }
    }

    /// What the server says to clients that keep sessions, they understand.
    #[test]
    fn answers_are_understood() {
        for (notice, answer) in [
            (Private::Named { name: "bob", online: 1 }, Answer::Named("bob")),
            (Private::Session { token: "ab", position: 5 }, Answer::Session { token: "ab", position: 5 }),
            (Private::Resumed, Answer::Resumed),
            (Private::Missed { bytes: 4 }, Answer::Missed(4)),
            (Private::WhisperFrom { from: "bob", text: "a b" }, Answer::Whisper { from: "bob", text: "a b" }),
            (Private::Error(Error::NameTaken("bob")), Answer::NameTaken),
            (Private::Error(Error::BadName(BadName::Empty)), Answer::BadName("it is empty")),
            (Private::Error(Error::BadSession), Answer::BadSession),
            (Private::Error(Error::LineTooLong(512)), Answer::LineTooLong(512)),
        ] {
            let line = notice.to_string();
            let Received::Private(text) = Received::parse(&line) else { panic!("{line} is not private") };
            assert_eq!(Answer::parse(text), Some(answer));
        }
        assert_eq!(Answer::parse("3 online:"), None);
    }

    /// The kinds of line are told apart by their starts, whatever the text says.
    #[test]
    fn lines_are_told_apart() {
        for (line, received) in [
            ("bob: *** x", Received::Message { name: "bob", text: "*** x" }),
            ("bob: ", Received::Message { name: "bob", text: "" }),
            ("* bob waves", Received::Action { name: "bob", text: "waves" }),
            ("*** bob joined", Received::Public("bob joined")),
            ("--- resumed", Received::Private("resumed")),
            ("bob has joined: the room", Received::Other("bob has joined: the room")),
        ] {
            assert_eq!(Received::parse(line), received);
        }
    }
}
