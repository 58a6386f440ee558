//! How a client reads lines: what kind of line it is, and what a private one means to a client that keeps a session.

use super::notice::{PRIVATE, PUBLIC};

/// How a gotcp server greets everyone, after `--- `.
pub const WELCOME: &str = "welcome to gotcp";

/// What a server that speaks TLS only says in plain text, after `--- error: `.
pub const TLS_ONLY: &str = "this room speaks TLS only";

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
    /// None of these: another kind of server.
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
    /// The server is a gotcp server.
    Welcome,
    /// The name is accepted: this is how everyone sees it.
    Named(&'a str),
    /// Somebody else has the name: why it cannot be had.
    NameTaken(&'a str),
    /// The name is not allowed: why.
    BadName(&'a str),
    /// What to come back with.
    Session {
        /// The secret.
        token: &'a str,
        /// Where this line stands, in bytes.
        position: u64,
        /// How many lines of the session the server has heard.
        heard: u64,
    },
    /// The end of what was missed.
    Resumed {
        /// The name that the session has.
        name: &'a str,
        /// How many lines of the session the server has heard.
        heard: u64,
    },
    /// This many of the bytes that were missed are gone.
    Missed(u64),
    /// The session to be resumed is not known.
    BadSession,
    /// Another connection has taken the session over.
    ResumedElsewhere,
    /// The room has a password, which is to be said before the name.
    PasswordNeeded,
    /// The name came before the password.
    PasswordFirst,
    /// The password, or what should have made an operator, is wrong.
    WrongPassword,
    /// The room is not spoken to in plain text.
    TlsOnly,
    /// The user was shown out, or is not let in: why.
    ShownOut(&'a str),
    /// A whisper for us.
    Whisper,
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
            let (token, rest) = rest.split_once(" at ")?;
            let (position, heard) = rest.split_once(", ")?;
            return Some(Answer::Session { token, position: position.parse().ok()?, heard: parse_heard(heard)? });
        }
        if let Some(rest) = text.strip_prefix("resumed as ") {
            let (name, heard) = rest.split_once(", ")?;
            return Some(Answer::Resumed { name, heard: parse_heard(heard)? });
        }
        if let Some(rest) = text.strip_prefix("missed ") {
            return Some(Answer::Missed(rest.split_once(" bytes: ")?.0.parse().ok()?));
        }
        if text.starts_with('[') {
            let (from, _) = text.split_once("] ")?;
            return from.ends_with(" to you").then_some(Answer::Whisper);
        }
        if text.starts_with("this room has a password: ") {
            return Some(Answer::PasswordNeeded);
        }
        text.starts_with(WELCOME).then_some(Answer::Welcome)
    }

    fn parse_error(error: &'a str) -> Option<Answer<'a>> {
        if let Some(why) = error.strip_prefix("bad name: ") {
            return Some(Answer::BadName(why));
        }
        let is_taken = error.ends_with(" is taken") || error.ends_with(" belongs to someone who is away");
        if error.starts_with("the name ") && is_taken {
            return Some(Answer::NameTaken(error));
        }
        match error {
            "resumed elsewhere" => return Some(Answer::ResumedElsewhere),
            "say !password WORD first" => return Some(Answer::PasswordFirst),
            "wrong password" => return Some(Answer::WrongPassword),
            TLS_ONLY => return Some(Answer::TlsOnly),
            _ => {}
        }
        if error.starts_with("you were kicked (") || error.starts_with("you are banned for ") {
            return Some(Answer::ShownOut(error));
        }
        error.starts_with("no such session").then_some(Answer::BadSession)
    }
}

fn parse_heard(text: &str) -> Option<u64> {
    text.strip_suffix(" heard")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the contract says to clients that keep sessions is understood, word for word.
    #[test]
    fn answers_are_understood() {
        for (text, answer) in [
            ("welcome to gotcp: your first line is your name", Some(Answer::Welcome)),
            ("you are bob; 3 online; !help lists the commands", Some(Answer::Named("bob"))),
            ("session 00ff at 7, 12 heard", Some(Answer::Session { token: "00ff", position: 7, heard: 12 })),
            ("resumed as bob#77a1f0, 3 heard", Some(Answer::Resumed { name: "bob#77a1f0", heard: 3 })),
            ("missed 9 bytes: more than the server keeps", Some(Answer::Missed(9))),
            ("[bob to you] a b", Some(Answer::Whisper)),
            ("[you to bob] a to you] b", None),
            ("error: the name bob is taken", Some(Answer::NameTaken("the name bob is taken"))),
            (
                "error: the name bob belongs to someone who is away",
                Some(Answer::NameTaken("the name bob belongs to someone who is away")),
            ),
            ("error: bad name: it is empty", Some(Answer::BadName("it is empty"))),
            ("error: no such session; your first line is your name", Some(Answer::BadSession)),
            ("error: resumed elsewhere", Some(Answer::ResumedElsewhere)),
            ("this room has a password: say !password WORD, then your name", Some(Answer::PasswordNeeded)),
            ("error: say !password WORD first", Some(Answer::PasswordFirst)),
            ("error: wrong password", Some(Answer::WrongPassword)),
            ("error: this room speaks TLS only", Some(Answer::TlsOnly)),
            ("error: you were kicked (spam)", Some(Answer::ShownOut("you were kicked (spam)"))),
            ("error: you are banned for 1h (spam)", Some(Answer::ShownOut("you are banned for 1h (spam)"))),
            ("3 online:", None),
        ] {
            assert_eq!(Answer::parse(text), answer, "{text}");
        }
    }

    /// The kinds of line are told apart by their starts, whatever the text says.
    #[test]
    fn lines_are_told_apart() {
        for (line, received) in [
            ("bob: *** x", Received::Message { name: "bob", text: "*** x" }),
            ("bob: ", Received::Message { name: "bob", text: "" }),
            ("* bob waves", Received::Action { name: "bob", text: "waves" }),
            ("*** bob joined", Received::Public("bob joined")),
            ("--- bob: x", Received::Private("bob: x")),
            ("bob has joined: the room", Received::Other("bob has joined: the room")),
        ] {
            assert_eq!(Received::parse(line), received);
        }
    }
}
