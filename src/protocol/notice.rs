//! Every sentence that the server can say, in one place.
//!
//! [`Public`] sentences start with `*** ` and go to everyone; [`Private`] ones start with `--- ` and go to one
//! connection. Their `Display` is one line without its LF. The client reads them back with `received`.

use std::fmt;
use std::time::Duration;

use super::command::{Audience, COMMANDS, Spec};
use super::name::{BadName, MAX_BYTES, Name};

/// What begins a line about the room.
pub const PUBLIC: &str = "*** ";
/// What begins a line for one connection alone.
pub const PRIVATE: &str = "--- ";
/// What begins a private line that reports a mistake.
pub const ERROR: &str = "--- error: ";

/// Why someone left whose connection broke and who did not come back in time.
pub const CONNECTION_LOST: &str = "connection lost";
/// Why someone left who did not read what was said.
pub const READ_TOO_SLOWLY: &str = "read too slowly";

/// The longest public line, in bytes, its LF included, without what someone said: two names and the words between them.
pub const LONGEST_NOTICE: usize = 2 * MAX_BYTES + 32;

/// A sentence about the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Public<'a> {
    /// Someone came.
    Joined(&'a str),
    /// Someone left of their own accord.
    Left(&'a str),
    /// Someone left with last words.
    LeftSaying(&'a str, &'a str),
    /// Someone left for a reason that the server gives.
    LeftBecause(&'a str, &'a str),
    /// Someone has another name.
    Renamed {
        /// The name that is free now.
        old: &'a str,
        /// The name that stands for it.
        new: &'a str,
    },
    /// An operator has disconnected someone, for a reason.
    Kicked(&'a str, &'a str),
    /// An operator has disconnected someone, who may not come back.
    Banned {
        /// Who.
        name: &'a str,
        /// For how long.
        term: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// An operator says something.
    Notice(&'a str),
    /// Everyone has to leave.
    ShuttingDown,
}

impl fmt::Display for Public<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PUBLIC)?;
        match self {
            Public::Joined(name) => write!(f, "{name} joined"),
            Public::Left(name) => write!(f, "{name} left"),
            Public::LeftSaying(name, words) => write!(f, "{name} left: {words}"),
            Public::LeftBecause(name, reason) => write!(f, "{name} left ({reason})"),
            Public::Renamed { old, new } => write!(f, "{old} is now {new}"),
            Public::Kicked(name, reason) => write!(f, "{name} was kicked ({reason})"),
            Public::Banned { name, term, reason } => write!(f, "{name} was banned for {term} ({reason})"),
            Public::Notice(text) => write!(f, "notice: {text}"),
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
        if let Some(text) = text.strip_prefix("notice: ") {
            return Some(Public::Notice(text));
        }
        let (name, what) = text.split_once(' ').filter(|(name, _)| Name::is_one(name))?;
        if let Some(new) = what.strip_prefix("is now ") {
            return Name::is_one(new).then_some(Public::Renamed { old: name, new });
        }
        if let Some(words) = what.strip_prefix("left: ") {
            return Some(Public::LeftSaying(name, words));
        }
        if let Some(reason) = what.strip_prefix("left (").and_then(|rest| rest.strip_suffix(')')) {
            let is_known = [CONNECTION_LOST, READ_TOO_SLOWLY].contains(&reason);
            return is_known.then_some(Public::LeftBecause(name, reason));
        }
        let in_brackets = |rest: &'a str| rest.strip_suffix(')')?.split_once('(');
        if let Some(("", reason)) = what.strip_prefix("was kicked ").and_then(in_brackets) {
            return Some(Public::Kicked(name, reason));
        }
        if let Some((term, reason)) = what.strip_prefix("was banned for ").and_then(in_brackets) {
            return term.strip_suffix(' ').map(|term| Public::Banned { name, term, reason });
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
    /// The first line that every connection is sent.
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
    /// The answer to a `!nick` with the present name.
    StillNamed(&'a str),
    /// The answer to `!session`, due exactly at `position`.
    Session {
        /// What the session's owner sends to come back.
        token: &'a str,
        /// The position of this answer, in bytes.
        position: u64,
        /// How many lines of the session have been processed.
        heard: u64,
    },
    /// The end of what was missed.
    Resumed {
        /// What the session's owner is called by now.
        name: &'a str,
        /// How many lines of the session have been processed.
        heard: u64,
    },
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
        /// How many columns the usage has, so that what follows is aligned.
        width: usize,
    },
    /// The first line of the answer to `!who`.
    Online(usize),
    /// A line of names, of the answer to `!who`.
    Names(&'a str),
    /// A whisper, as its receiver reads it.
    WhisperFrom {
        /// Who said it.
        from: &'a str,
        /// What.
        text: &'a str,
    },
    /// A whisper, as its sender reads it.
    WhisperTo {
        /// Whom it went to.
        to: &'a str,
        /// What.
        text: &'a str,
    },
    /// A line that was said, of the answer to `!history` or `!search`.
    Past {
        /// When: hours and minutes.
        time: &'a str,
        /// What everybody read.
        line: &'a str,
    },
    /// The answer to `!history` or `!search` if there is no such line.
    NothingFound,
    /// Before the name comes the password.
    PasswordNeeded,
    /// The answer to `!operator`.
    Operator,
    /// Nothing that this one says is heard, for so long.
    Muted(&'a str),
    /// The end of that.
    Unmuted,
    /// The answer to an order that nobody else is told of.
    Ordered(&'a str),
    /// The rate limit begins to delay lines.
    TooFast,
    /// The log has not taken anything for a while.
    OutOfReach,
    /// The log takes everything again.
    BackInReach,
    /// The server stops, and others of the same room do not.
    RoomGoesOn,
    /// Something is wrong.
    Error(Error<'a>),
}

/// What can be wrong, in the words of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error<'a> {
    /// The server is full; closed.
    Full(usize),
    /// There are too many connections from the same address; closed.
    TooManyFromAddress(usize),
    /// The name did not come in time; closed.
    NoName(Duration),
    /// May try again.
    BadName(BadName),
    /// May try again.
    NameTaken(&'a str),
    /// The name is kept for the owner of a session; may try again.
    NameReserved(&'a str),
    /// Something came before the password; may try again.
    PasswordFirst,
    /// May try again, twice before the name.
    WrongPassword,
    /// A password came over a connection on which others may read it; closed before the name.
    PasswordInPlain,
    /// A password for a room that has none.
    NoPassword,
    /// A password from someone who is in the room already.
    PasswordNotNow,
    /// What was typed at the terminal of a server does nothing there.
    NotHere,
    /// A reason is longer than this many bytes.
    ReasonTooLong(usize),
    /// A connection that is not encrypted, where it has to be; closed.
    TlsOnly,
    /// The session is over, for this reason; closed.
    Kicked(&'a str),
    /// Nobody may come from that address; closed.
    Banned {
        /// For how long.
        term: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// Someone who is no operator gave an order.
    NotAnOperator,
    /// There is no such ban.
    NoSuchBan(&'a str),
    /// Too many names were refused; closed.
    TooManyNames,
    /// The first line is meant for this other kind of server; closed.
    NotA(&'a str),
    /// No such session, or someone else has its name by now; may try again.
    BadSession,
    /// The connection stays.
    LineTooLong(usize),
    /// The connection stays.
    UnknownCommand(&'a str),
    /// There is no log that lasts, so nothing can be looked up in it.
    NoLog,
    /// A command lacks an argument; the connection stays.
    Usage(&'a str),
    /// Nobody has that name; the connection stays.
    NobodyCalled(&'a str),
    /// A reply to nobody; the connection stays.
    NoWhisper,
    /// More than one person has that name before its tag; the connection stays.
    SeveralCalled(&'a str),
    /// That person's connection is broken just now; the connection stays.
    Unreachable(&'a str),
    /// A whisper to someone who is too far behind; the connection stays.
    ReadsTooSlowly(&'a str),
    /// This reader is too far behind; closed.
    ReadTooSlowly,
    /// The session was resumed over another connection; closed.
    ResumedElsewhere,
    /// The server did not know what other servers of the room know; closed.
    WasBehind,
}

impl Private<'_> {
    /// How many bytes [`Private::Past`] adds to its time and its line, the LF included.
    pub const PAST_FRAME: usize = PRIVATE.len() + "[] \n".len();
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
            Private::StillNamed(name) => write!(f, "you are {name}"),
            Private::Session { token, position, heard } => write!(f, "session {token} at {position}, {heard} heard"),
            Private::Resumed { name, heard } => write!(f, "resumed as {name}, {heard} heard"),
            Private::Missed { bytes } => write!(f, "missed {bytes} bytes: more than the server keeps"),
            Private::Help { usage, does, width } => write!(f, "{usage:<width$}  {does}"),
            Private::Online(count) => write!(f, "{count} online:"),
            Private::Names(names) => write!(f, "  {names}"),
            Private::WhisperFrom { from, text } => write!(f, "[{from} to you] {text}"),
            Private::WhisperTo { to, text } => write!(f, "[you to {to}] {text}"),
            Private::Past { time, line } => write!(f, "[{time}] {line}"),
            Private::NothingFound => write!(f, "nothing found"),
            Private::OutOfReach => write!(f, "notice: the room is out of reach; your lines wait, none is lost"),
            Private::BackInReach => write!(f, "notice: the room is back"),
            Private::RoomGoesOn => write!(f, "notice: this server is shutting down; the room goes on"),
            Private::PasswordNeeded => write!(f, "this room has a password: say !password WORD, then your name"),
            Private::Operator => write!(f, "you are an operator"),
            Private::Muted(term) => write!(f, "notice: you are muted for {term}"),
            Private::Unmuted => write!(f, "notice: you may speak again"),
            Private::Ordered(what) => f.write_str(what),
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
            Error::NameReserved(name) => write!(f, "the name {name} belongs to someone who is away"),
            Error::PasswordFirst => write!(f, "say !password WORD first"),
            Error::WrongPassword => write!(f, "wrong password"),
            Error::PasswordInPlain => write!(f, "the password is taken over TLS only"),
            Error::NoPassword => write!(f, "this room has no password; your first line is your name"),
            Error::PasswordNotNow => write!(f, "you are in already"),
            Error::NotHere => write!(f, "that does nothing here; !help lists what does"),
            Error::ReasonTooLong(limit) => write!(f, "a reason has at most {limit} bytes"),
            Error::TlsOnly => write!(f, "this room speaks TLS only"),
            Error::Kicked(reason) => write!(f, "you were kicked ({reason})"),
            Error::Banned { term, reason } => write!(f, "you are banned for {term} ({reason})"),
            Error::NotAnOperator => write!(f, "only an operator may do that"),
            Error::NoSuchBan(what) => write!(f, "no ban of {what}; !bans lists them"),
            Error::TooManyNames => write!(f, "too many bad names"),
            Error::NotA(server) => write!(f, "bad name: this is a chat, not {server}"),
            Error::BadSession => write!(f, "no such session; your first line is your name"),
            Error::LineTooLong(limit) => write!(f, "a line longer than {limit} bytes was dropped"),
            Error::UnknownCommand(word) => {
                write!(f, "unknown command {word}; !help lists the commands, !{word} says the text \"{word}\"")
            }
            Error::Usage(usage) => write!(f, "usage: {usage}"),
            Error::NoLog => write!(f, "this server keeps no log"),
            Error::NobodyCalled(name) => write!(f, "nobody here is called {name}"),
            Error::NoWhisper => write!(f, "nobody has told you anything"),
            Error::SeveralCalled(name) => write!(f, "more than one here is called {name}; add the tag"),
            Error::Unreachable(name) => write!(f, "{name} has lost the connection; try again later"),
            Error::ReadsTooSlowly(name) => write!(f, "{name} reads too slowly; try again later"),
            Error::ReadTooSlowly => write!(f, "you read too slowly"),
            Error::ResumedElsewhere => write!(f, "resumed elsewhere"),
            Error::WasBehind => write!(f, "this server was behind the room; come again"),
        }
    }
}

/// The lines that `!help` answers with, where there is a log that lasts or there is none.
pub fn help(has_log: bool, is_operator: bool) -> impl Iterator<Item = Private<'static>> {
    let width = if is_operator { WIDE_HELP } else { "!msg NAME TEXT".len() + 1 };
    let listed = listed(width, move |spec| match spec.audience {
        Audience::Everybody => true,
        Audience::WithLog => has_log,
        Audience::Operators => is_operator,
        Audience::Nobody | Audience::Programs => false,
    });
    listed.chain([Private::Help { usage: "!!TEXT", does: "says \"!TEXT\"", width }])
}

/// The lines that `!help` answers with at the terminal of a server.
pub fn help_for_console() -> impl Iterator<Item = Private<'static>> {
    listed(WIDE_HELP, |spec| spec.audience == Audience::Operators || ["help", "who"].contains(&spec.words[0]))
}

/// The room that usages need where operators' are among them.
const WIDE_HELP: usize = "!ban NAME [TIME] [REASON]".len();

fn listed(width: usize, is_listed: impl Fn(&Spec) -> bool) -> impl Iterator<Item = Private<'static>> {
    let listed = COMMANDS.iter().filter(move |spec| is_listed(spec));
    listed.map(move |spec| Private::Help { usage: spec.usage, does: spec.does, width })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the server says about the room can be read back, and nothing else can.
    #[test]
    fn public_lines_are_read_back() {
        for notice in [
            Public::Joined("carol#0b9189"),
            Public::Left("joined"),
            Public::LeftSaying("bob", "see you"),
            Public::LeftBecause("bob", CONNECTION_LOST),
            Public::LeftBecause("bob", READ_TOO_SLOWLY),
            Public::Renamed { old: "bob", new: "rob" },
            Public::Kicked("bob", "too loud (again)"),
            Public::Banned { name: "bob", term: "1h 30m", reason: "spam" },
            Public::Notice("we close at ten"),
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
            "*** bob was kicked",
            "*** bob was kicked (why",
            "*** bob was banned for (spam)",
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
            (Private::Session { token: "00ff", position: 7, heard: 3 }, "--- session 00ff at 7, 3 heard"),
            (Private::Resumed { name: "bob", heard: 3 }, "--- resumed as bob, 3 heard"),
            (Private::StillNamed("bob"), "--- you are bob"),
            (Private::Missed { bytes: 9 }, "--- missed 9 bytes: more than the server keeps"),
            (Private::WhisperFrom { from: "carol#0b9189", text: "hi" }, "--- [carol#0b9189 to you] hi"),
            (Private::WhisperTo { to: "bob#77a1f0", text: "hi" }, "--- [you to bob#77a1f0] hi"),
            (Private::Past { time: "21:04", line: "bob: hi" }, "--- [21:04] bob: hi"),
            (Private::OutOfReach, "--- notice: the room is out of reach; your lines wait, none is lost"),
            (Private::BackInReach, "--- notice: the room is back"),
            (Private::RoomGoesOn, "--- notice: this server is shutting down; the room goes on"),
            (Private::PasswordNeeded, "--- this room has a password: say !password WORD, then your name"),
            (Private::Operator, "--- you are an operator"),
            (Private::Muted("1h"), "--- notice: you are muted for 1h"),
            (Private::TooFast, "--- notice: you are sending too fast; your lines are delayed, none is lost"),
        ] {
            assert_eq!(notice.to_string(), line);
        }
        for (error, line) in [
            (Error::Full(10), "the server is full (10 connections); try again later"),
            (Error::TooManyFromAddress(4), "too many connections from your address (4)"),
            (Error::NoName(30 * second), "no name within 30s"),
            (Error::BadName(BadName::Empty), "bad name: the name is empty"),
            (Error::NameTaken("bob"), "the name bob is taken"),
            (Error::NameReserved("bob"), "the name bob belongs to someone who is away"),
            (Error::ReadsTooSlowly("bob"), "bob reads too slowly; try again later"),
            (Error::ResumedElsewhere, "resumed elsewhere"),
            (Error::WasBehind, "this server was behind the room; come again"),
            (Error::PasswordFirst, "say !password WORD first"),
            (Error::WrongPassword, "wrong password"),
            (Error::PasswordInPlain, "the password is taken over TLS only"),
            (Error::TlsOnly, "this room speaks TLS only"),
            (Error::Kicked("spam"), "you were kicked (spam)"),
            (Error::Banned { term: "1h", reason: "spam" }, "you are banned for 1h (spam)"),
            (Error::NotAnOperator, "only an operator may do that"),
            (Error::LineTooLong(65536), "a line longer than 65536 bytes was dropped"),
            (Error::UnknownCommand("!x"), "unknown command !x; !help lists the commands, !!x says the text \"!x\""),
            (Error::ReadTooSlowly, "you read too slowly"),
        ] {
            assert_eq!(Private::Error(error).to_string(), format!("{ERROR}{line}"));
        }
        for (notice, line) in [
            (Public::Joined("bob"), "*** bob joined"),
            (Public::Left("bob"), "*** bob left"),
            (Public::LeftSaying("bob", "bye all"), "*** bob left: bye all"),
            (Public::LeftBecause("bob", CONNECTION_LOST), "*** bob left (connection lost)"),
            (Public::Renamed { old: "bob", new: "rob" }, "*** bob is now rob"),
            (Public::ShuttingDown, "*** the server is shutting down"),
        ] {
            assert_eq!(notice.to_string(), line);
        }
    }
}
