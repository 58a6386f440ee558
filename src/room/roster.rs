//! Who is here: names, and the sessions that let their owners come back.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::num::NonZeroUsize;
use std::time::Duration;

use constant_time_eq::constant_time_eq;
use lru::LruCache;
use slab::Slab;

use super::Id;
use crate::protocol::name::{Look, Name};

/// How many sessions are remembered of people who are no longer here.
const PAST_SESSIONS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// A member's place in the roster.
pub type Key = usize;

/// Someone who is in the room, connected or expected back.
#[derive(Debug)]
pub struct Member {
    /// What everyone calls them.
    pub name: Name,
    /// Whether they can be reached.
    pub presence: Presence,
    /// What they come back with, if they ever asked for it.
    pub session: Option<Token>,
    /// What the name looks like without its tag.
    base: Hint,
}

/// A little of a look. So few looks have the same one that each can be looked at closely.
type Hint = u16;

/// Whether a member can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Over this connection.
    Here(Id),
    /// The connection broke; the name is kept until `back_by`.
    Away {
        /// When the name is given up.
        back_by: Duration,
    },
    /// Gone, and about to be announced as such.
    Leaving,
}

/// The secret of a session: 128 random bits, written as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug)]
pub struct Token([u8; 16]);

impl Token {
    /// A token of random bits.
    #[must_use]
    pub fn new(random: u128) -> Token {
        Token(random.to_be_bytes())
    }

    /// Reads 32 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Token> {
        let is_token = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        is_token.then(|| u128::from_str_radix(text, 16).map(Token::new).ok())?
    }

    /// Compares in a time that does not depend on where the two differ.
    #[must_use]
    pub fn is_equal(&self, other: &Token) -> bool {
        constant_time_eq(&self.0, &other.0)
    }
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// Everyone who is in the room.
///
/// Invariant: every member's look leads to that member in `looks`, and nothing else is in there. So no
/// two members look alike.
///
/// Of a look only its hash is kept. That two of them have the same 64 bits will not happen by chance, and nobody can
/// bring it about who does not know the hasher's keys; it would make two names count as alike, and no more.
#[derive(Debug)]
pub struct Roster {
    members: Slab<Member>,
    looks: HashMap<u64, Key>,
    hasher: RandomState,
    past: LruCache<Name, Token>,
}

/// Whom a name that somebody typed stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// This one.
    Member(Key),
    /// Nobody.
    Nobody,
    /// More than one whose name before the tag it is.
    Several,
}

impl Default for Roster {
    fn default() -> Self {
        Roster {
            members: Slab::new(),
            looks: HashMap::new(),
            hasher: RandomState::new(),
            past: LruCache::new(PAST_SESSIONS),
        }
    }
}

impl Roster {
    /// Makes room for so many members. The looks stay out of it: theirs would be spread over all that is reserved.
    pub fn reserve(&mut self, members: usize) {
        self.members.reserve(members);
    }

    /// How many are here.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody is here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// A member who is here.
    #[must_use]
    pub fn member(&self, key: Key) -> &Member {
        &self.members[key]
    }

    /// A member who is here, to be changed. (The name is changed by [`Roster::rename`].)
    pub fn member_mut(&mut self, key: Key) -> &mut Member {
        &mut self.members[key]
    }

    /// Whose name it is, or looks like.
    #[must_use]
    pub fn like(&self, look: &Look) -> Option<Key> {
        self.looks.get(&self.hasher.hash_one(look)).copied()
    }

    /// Whose name it is, to the letter.
    #[must_use]
    pub fn called(&self, name: &Name) -> Option<Key> {
        self.like(&name.look()).filter(|&key| self.members[key].name == *name)
    }

    /// Whom a typed name stands for: a whole name, or the part before the tag where that fits one person only.
    #[must_use]
    pub fn find(&self, typed: &str) -> Found {
        let Some(look) = Look::of_typed(typed) else { return Found::Nobody };
        if let Some(key) = self.like(&look) {
            return Found::Member(key);
        }
        let hint = self.hint(&look);
        let mut fitting =
            self.members.iter().filter(|(_, member)| member.base == hint && Look::of(member.name.base()) == look);
        match (fitting.next(), fitting.next()) {
            (None, _) => Found::Nobody,
            (Some((key, _)), None) => Found::Member(key),
            (Some(_), Some(_)) => Found::Several,
        }
    }

    /// Takes someone in whose name nobody here looks like.
    pub fn add(&mut self, name: Name, guest: Id, session: Option<Token>) -> Key {
        let look = name.look();
        let base = self.base_hint(&name);
        let key = self.members.insert(Member { name, presence: Presence::Here(guest), session, base });
        self.enter_look(&look, key);
        key
    }

    /// Gives a member another name, which nobody else here looks like; answers the old one.
    pub fn rename(&mut self, key: Key, name: Name) -> Name {
        self.remove_look(&self.members[key].name.look());
        self.enter_look(&name.look(), key);
        self.members[key].base = self.base_hint(&name);
        std::mem::replace(&mut self.members[key].name, name)
    }

    /// Lets someone go.
    pub fn remove(&mut self, key: Key) -> Member {
        let member = self.members.remove(key);
        self.remove_look(&member.name.look());
        member
    }

    /// Keeps the session of someone who has gone, in place of the oldest one if there are too many.
    pub fn remember(&mut self, name: Name, session: Token) {
        self.past.put(name, session);
    }

    /// Takes a session out of the remembered ones, if `token` is the one that belongs to the name.
    pub fn recall(&mut self, name: &Name, token: &Token) -> Option<Token> {
        self.past.peek(name).filter(|session| session.is_equal(token))?;
        self.past.pop(name)
    }

    /// Everyone's name, in alphabetical order.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.members.iter().map(|(_, member)| member.name.as_str()).collect();
        names.sort_unstable();
        names
    }

    fn base_hint(&self, name: &Name) -> Hint {
        self.hint(&Look::of(name.base()))
    }

    fn hint(&self, look: &Look) -> Hint {
        (self.hasher.hash_one(look) & 0xffff) as u16
    }

    fn enter_look(&mut self, look: &Look, key: Key) {
        let taken = self.looks.insert(self.hasher.hash_one(look), key);
        debug_assert_eq!(taken, None, "two names look alike: {}", look.as_str());
    }

    fn remove_look(&mut self, look: &Look) {
        self.looks.remove(&self.hasher.hash_one(look));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text.as_bytes()).unwrap()
    }

    /// A typed name is found in any case, and without its tag where that is clear.
    #[test]
    fn finds_whom_a_name_stands_for() {
        let mut roster = Roster::default();
        let carol = roster.add(name("carol#0b9189"), 0, None);
        let bob = roster.add(name("bob#77a1f0"), 1, None);
        let other = roster.add(name("Bob#123456"), 2, None);
        for (typed, found) in [
            ("carol#0b9189", Found::Member(carol)),
            ("CAROL#0B9189", Found::Member(carol)),
            ("Carol", Found::Member(carol)),
            ("bob#77a1f0", Found::Member(bob)),
            ("bob", Found::Several),
            ("dave", Found::Nobody),
            ("", Found::Nobody),
        ] {
            assert_eq!(roster.find(typed), found, "{typed}");
        }
        roster.remove(other);
        assert_eq!(roster.find("bob"), Found::Member(bob));
        let old = roster.rename(bob, name("rob"));
        assert_eq!(
            (old, roster.find("bob"), roster.find("rob")),
            (name("bob#77a1f0"), Found::Nobody, Found::Member(bob))
        );
        assert_eq!(roster.called(&name("Rob")), None, "not to the letter");
        // Capital I for l.
        let alice = roster.add(name("AIice#1"), 3, None);
        for typed in ["alice", "Alice", "AIice"] {
            assert_eq!(roster.find(typed), Found::Member(alice), "{typed}");
        }
        assert_eq!(roster.names(), ["AIice#1", "carol#0b9189", "rob"]);
    }

    /// A past session is given to whoever shows its token, once, and to nobody else.
    #[test]
    fn recalls_sessions_by_token() {
        let mut roster = Roster::default();
        roster.remember(name("carol"), Token::new(7));
        assert!(roster.recall(&name("carol"), &Token::new(8)).is_none());
        assert!(roster.recall(&name("bob"), &Token::new(7)).is_none());
        assert!(roster.recall(&name("carol"), &Token::new(7)).is_some());
        assert!(roster.recall(&name("carol"), &Token::new(7)).is_none());
    }

    /// A token is read back from its digits, and from nothing else.
    #[test]
    fn tokens_are_read_back() {
        let token = Token::new(0x0123_4567_89ab_cdef_0011_2233_4455_6677);
        assert!(Token::parse(&token.to_string()).unwrap().is_equal(&token));
        for text in ["", "+1234567890123456789012345678901", "0", &"0".repeat(33), "gggggggggggggggggggggggggggggggg"] {
            assert!(Token::parse(text).is_none(), "{text}");
        }
    }
}
