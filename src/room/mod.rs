//! What everybody sees: who is here and what was said. Pure: no socket, no clock, no random number.
//!
//! The room is a log. Whatever happens to it is an `Entry`, and [`Room::apply`] is the only function that changes it: the
//! same entries in the same order make the same room, byte for byte and position for position, wherever they are
//! applied. What is local to one server, its connections and their limits, is the [lobby](crate::lobby)'s.

pub mod bans;
pub mod checkpoint;
pub mod digest;
pub mod entry;
pub mod people;
pub mod place;
pub mod roster;
pub mod scrollback;
pub mod servers;
pub(crate) mod session;
pub mod turn;

use std::collections::TryReserveError;
use std::ops::Range;
use std::time::Duration;

use crate::protocol::name::Name;
use crate::protocol::notice::{CONNECTION_LOST, Public};
use bans::{Ban, Bans};
use digest::Digest;
use entry::{Act, Change, Entry, Farewell, Outcome, Rule, Unusable};
use place::Place;
use roster::{Claimed, Person, PersonKey, Presence, Roster, Seat};
use scrollback::Scrollback;
use servers::{ServerId, Servers};
use session::SessionId;
use turn::Turn;

/// How much of what a turn has appended is digested, in bytes.
const DIGESTED: u64 = 16 * 1024;

/// The room.
#[derive(Debug)]
pub struct Room {
    scrollback: Scrollback,
    roster: Roster,
    bans: Bans,
    servers: Servers,
    digest: Digest,
    /// The latest time of all entries so far.
    now: Duration,
    /// Where the scrollback ended when the latest turn began.
    turn_start: u64,
}

impl Room {
    /// An empty room that keeps `scrollback` bytes of what was said, rounded up to a power of two.
    ///
    /// # Errors
    /// Where there is not enough memory for the scrollback.
    pub fn new(scrollback: usize) -> Result<Room, TryReserveError> {
        Ok(Room::with_scrollback(Scrollback::new(scrollback)?))
    }

    /// An empty room with an empty scrollback.
    #[must_use]
    pub fn with_scrollback(scrollback: Scrollback) -> Room {
        Room {
            turn_start: scrollback.end(),
            scrollback,
            roster: Roster::default(),
            bans: Bans::default(),
            servers: Servers::default(),
            digest: Digest::default(),
            now: Duration::ZERO,
        }
    }

    /// The latest time of all entries so far.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Moves the end of what was said on by this many bytes, with what is kept of it: for a log whose last entries may
    /// be missing, so that no position means two things.
    ///
    /// # Errors
    /// Where there is not enough memory.
    pub fn skip_ahead(&mut self, bytes: u64) -> Result<(), TryReserveError> {
        let old = &self.scrollback;
        let kept: Vec<u8> = old.pieces(old.line_start_from(old.start()), old.end()).flatten().copied().collect();
        let mut scrollback = Scrollback::new(old.capacity())?;
        scrollback.restore(old.end() + bytes, &kept);
        self.scrollback = scrollback;
        Ok(())
    }

    /// The public lines.
    #[must_use]
    pub fn scrollback(&self) -> &Scrollback {
        &self.scrollback
    }

    /// Who is here.
    #[must_use]
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Who may not come back.
    #[must_use]
    pub fn bans(&self) -> &Bans {
        &self.bans
    }

    /// The servers that put entries into the log.
    #[must_use]
    pub fn servers(&self) -> &Servers {
        &self.servers
    }

    /// What all turns so far have come to.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Appends a line that was said before this room was opened.
    pub fn remember(&mut self, line: &[u8]) {
        self.scrollback.append(&[line]);
    }

    /// Applies a whole turn that has come out of the log, where nobody wants to know what comes of each entry.
    ///
    /// # Errors
    /// Where it cannot be read, or has led to another room at the server that it is from.
    pub fn apply_turn(&mut self, turn: &Turn<'_>) -> Result<(), Unusable> {
        if self.begin_turn(turn) {
            for entry in turn.entries() {
                if self.apply(turn.server, entry?) == Outcome::Diverged {
                    return Err(Unusable::Diverged);
                }
            }
            self.end_turn();
        }
        Ok(())
    }

    /// A turn has come out of the log. Returns whether its entries are to be applied, and [`Room::end_turn`] called then:
    /// the log may have a turn twice, or one of a server that is gone.
    pub fn begin_turn(&mut self, turn: &Turn<'_>) -> bool {
        self.turn_start = self.scrollback.end();
        self.servers.take(turn.server, turn.number, self.now)
    }

    /// All entries of a turn are applied.
    pub fn end_turn(&mut self) {
        let end = self.scrollback.end();
        // However much of it each server keeps.
        let start = self.turn_start.max(end.saturating_sub(DIGESTED)).max(self.scrollback.start());
        let millis = u64::try_from(self.now.as_millis()).unwrap_or(u64::MAX);
        let numbers = [end, millis, self.roster.seats(), self.roster.online() as u64];
        self.digest.add(&numbers, self.scrollback.pieces(start, end));
    }

    /// Applies an entry of a server. What was true when it was proposed may no longer be true, so everything is checked
    /// again here.
    pub fn apply(&mut self, server: ServerId, entry: Entry<'_>) -> Outcome {
        self.now = self.now.max(entry.at);
        match entry.change {
            Change::Join { name, place } => self.join(name, place, server),
            Change::Resume { session, place, after } => self.resume(&session, place, server, after),
            Change::Act { seat, line, act } => self.act(seat, line, act),
            Change::GiveUp { seat } if self.roster.is_away(seat) => {
                let name = self.roster.person(seat.person).name.clone();
                self.roster.retire(seat.person, self.now);
                let span = self.append(&Public::LeftBecause(name.as_str(), CONNECTION_LOST));
                Outcome::Left(span)
            }
            Change::GiveUp { .. } => Outcome::Void,
            Change::Rule(rule) => self.rule(rule),
            Change::ShutDown => Outcome::ShuttingDown(self.append(&Public::ShuttingDown)),
            Change::Beat { sum, turns } => {
                self.servers.beat(server, self.now);
                if self.digest.hear(turns, sum) { Outcome::Done } else { Outcome::Diverged }
            }
            Change::ServerGone { server: gone, beats, back_by, reserved_until } => {
                let is_judged = self.servers.get(gone).is_some_and(|judged| judged.beats == beats) || gone == server;
                if !(is_judged && self.servers.remove(gone)) {
                    return Outcome::Void;
                }
                self.lose_server(gone, back_by, reserved_until);
                Outcome::ServerGone(gone)
            }
            Change::Forget { before } => {
                self.roster.forget_past(before);
                Outcome::Done
            }
        }
    }

    fn join(&mut self, name: Name, place: Place, server: ServerId) -> Outcome {
        if self.bans.on(place, self.now).is_some() {
            return Outcome::Banned;
        }
        match self.roster.claimed(&name, self.now) {
            Some((Claimed::Taken, _)) => Outcome::NameTaken,
            Some((Claimed::Reserved, _)) => Outcome::NameReserved,
            None => {
                let span = self.append(&Public::Joined(name.as_str()));
                Outcome::Joined(self.roster.add(name, place, server, span.start), span)
            }
        }
    }

    fn resume(&mut self, session: &SessionId, place: Place, server: ServerId, after: u64) -> Outcome {
        if self.bans.on(place, self.now).is_some() {
            return Outcome::Banned;
        }
        let Some(key) = self.roster.owner_of(session) else { return Outcome::NoSuchSession };
        let person = self.roster.person(key);
        if person.seat > after && person.server != server {
            return Outcome::Overtaken;
        }
        let before = Seat { person: key, number: person.seat };
        let was = person.presence;
        let Some(seat) = self.roster.seat_anew(key, place, server, self.now) else { return Outcome::NoSuchSession };
        let person = self.roster.person(key);
        let heard = person.session.as_ref().map_or(0, |session| session.heard);
        let name = person.name.clone();
        Outcome::Resumed {
            seat,
            before,
            was,
            heard,
            joined: matches!(was, Presence::Gone { .. }).then(|| self.append(&Public::Joined(name.as_str()))),
        }
    }

    /// The seat keeps a line from taking effect twice: what comes from an older seat is void.
    fn act(&mut self, seat: Seat, line: u64, act: Act<'_>) -> Outcome {
        let Some(person) = self.roster.seated(seat) else { return Outcome::Void };
        if let Some(session) = &mut person.session {
            session.heard = session.heard.max(line);
        }
        let (is_operator, muted_until, has_session) =
            (person.is_operator, person.muted_until, person.session.is_some());
        let is_muted = muted_until > self.now;
        match act {
            Act::Say(_) | Act::Me(_) | Act::Rename(_) if is_muted => Outcome::Muted(muted_until),
            Act::Say(text) => Outcome::Said(self.speak(seat.person, [b"", b": "], text)),
            Act::Me(text) => Outcome::Said(self.speak(seat.person, [b"* ", b" "], text)),
            Act::Rename(name) => self.rename(seat.person, &name),
            Act::OpenSession(_) if has_session => Outcome::Void,
            Act::OpenSession(id) => {
                self.roster.open_session(seat.person, id);
                Outcome::Done
            }
            Act::Heard => Outcome::Done,
            Act::BecomeOperator => {
                self.roster.make_operator(seat.person);
                Outcome::Done
            }
            Act::Rule(rule) if is_operator => self.rule(rule),
            Act::Rule(_) => Outcome::Void,
            Act::Leave(farewell) => {
                let person = self.roster.remove(seat.person);
                let name = person.name.as_str();
                let span = match farewell {
                    Farewell::Words(words) if words.is_empty() || is_muted => self.append(&Public::Left(name)),
                    Farewell::Words(words) => self.append(&Public::LeftSaying(name, words)),
                    Farewell::Reason(reason) => self.append(&Public::LeftBecause(name, reason)),
                };
                Outcome::Left(span)
            }
            Act::Break { .. } if !has_session => Outcome::Void,
            Act::Break { back_by, reserved_until } => {
                self.roster.leave_connection(seat.person, self.now, back_by, reserved_until);
                Outcome::Done
            }
        }
    }

    /// An operator decides something about someone, unless nobody is called that any more.
    fn rule(&mut self, rule: Rule<'_>) -> Outcome {
        match rule {
            Rule::Kick { name, reason } => {
                let Some(seat) = self.expel(&name) else { return Outcome::Void };
                Outcome::Expelled(seat, self.append(&Public::Kicked(name.as_str(), reason)))
            }
            Rule::Ban { name, place, term, until, reason } => {
                let Some(seat) = self.expel(&name) else { return Outcome::Void };
                let ban = Ban { name: name.as_str().into(), place, until, reason: reason.into() };
                self.bans.add(self.roster.next_seat(), ban, self.now);
                Outcome::Expelled(seat, self.append(&Public::Banned { name: name.as_str(), term, reason }))
            }
            Rule::Unban { ban } if self.bans.lift(ban) => Outcome::Done,
            Rule::Unban { .. } => Outcome::Void,
            Rule::Mute { name, until } => {
                let Some(person) = self.roster.called(&name) else { return Outcome::Void };
                self.roster.mute(person, until);
                Outcome::Silenced(Seat { person, number: self.roster.person(person).seat })
            }
            Rule::Notice(text) => Outcome::Noticed(self.append(&Public::Notice(text))),
        }
    }

    /// Someone is here no longer, and cannot come back. Returns the seat that they had.
    fn expel(&mut self, name: &Name) -> Option<Seat> {
        let person = self.roster.called(name)?;
        let number = self.roster.remove(person).seat;
        Some(Seat { person, number })
    }

    /// Nobody is connected to a server any more.
    fn lose_server(&mut self, server: ServerId, back_by: Duration, reserved_until: Duration) {
        let is_at = |person: &Person| person.server == server && !matches!(person.presence, Presence::Gone { .. });
        let people = self.roster.people().filter(|(_, person)| is_at(person));
        let people: Vec<PersonKey> = people.map(|(key, _)| key).collect();
        for key in people {
            self.roster.leave_connection(key, self.now, back_by, reserved_until);
        }
    }

    /// Everyone reads `text` with the speaker's name between the two `marks` before it.
    fn speak(&mut self, key: PersonKey, marks: [&[u8]; 2], text: &str) -> Range<u64> {
        let name = self.roster.person(key).name.as_str();
        self.scrollback.append(&[marks[0], name.as_bytes(), marks[1], text.as_bytes()])
    }

    fn rename(&mut self, key: PersonKey, name: &Name) -> Outcome {
        match self.roster.claimed(name, self.now) {
            Some((Claimed::Taken, owner)) if owner != key => return Outcome::NameTaken,
            Some((Claimed::Reserved, _)) => return Outcome::NameReserved,
            _ => {}
        }
        let old = self.roster.rename(key, name.clone());
        Outcome::Renamed(self.append(&Public::Renamed { old: old.as_str(), new: name.as_str() }))
    }

    fn append(&mut self, notice: &Public<'_>) -> Range<u64> {
        self.scrollback.append(&[notice.to_string().as_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use super::session::SessionToken;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn gone_until(reserved_until: Duration) -> Act<'static> {
        Act::Break { back_by: SECOND, reserved_until }
    }

    struct Log {
        room: Room,
        at: Duration,
    }

    impl Log {
        fn new() -> Log {
            Log { room: Room::new(64 * 1024).unwrap(), at: SECOND }
        }

        /// Carol was here with this session, and has left; her name is reserved for 9 s.
        fn after_carol_left() -> (Log, SessionId) {
            let (mut log, id) = (Log::new(), SessionToken::new(7).id());
            let seat = log.join("carol");
            log.act(seat, 0, Act::OpenSession(id));
            log.act(seat, 1, gone_until(9 * SECOND));
            log.apply(Change::GiveUp { seat });
            (log, id)
        }

        fn apply(&mut self, change: Change<'_>) -> Outcome {
            let outcome = self.room.apply(ServerId::default(), Entry { at: self.at, change });
            self.room.roster().check();
            outcome
        }

        fn join(&mut self, name: &str) -> Seat {
            let name = Name::parse(name.as_bytes()).unwrap();
            match self.apply(Change::Join { name, place: Place::LOCALHOST }) {
                Outcome::Joined(seat, _) => seat,
                outcome => panic!("{outcome:?}"),
            }
        }

        fn act(&mut self, seat: Seat, line: u64, act: Act<'_>) -> Outcome {
            self.apply(Change::Act { seat, line, act })
        }

        fn resume(&mut self, session: SessionId) -> Outcome {
            self.apply(Change::Resume { session, place: Place::LOCALHOST, after: 0 })
        }

        fn said(&self) -> String {
            let scrollback = self.room.scrollback();
            String::from_utf8(scrollback.pieces(0, scrollback.end()).flatten().copied().collect()).unwrap()
        }
    }

    /// Once someone has another seat, what comes from the old one is neither said nor counted.
    #[test]
    fn an_older_seat_is_void() {
        let (mut log, id) = (Log::new(), SessionToken::new(7).id());
        let first = log.join("carol");
        log.act(first, 0, Act::OpenSession(id));
        log.act(first, 1, Act::Say("one"));
        let Outcome::Resumed { seat, before, was, heard, joined } = log.resume(id) else { panic!() };
        assert_eq!((before, was, heard, joined), (first, Presence::Here, 1, None));
        assert_eq!(log.act(first, 2, Act::Say("two")), Outcome::Void);
        assert_eq!(log.act(first, 3, Act::Leave(Farewell::Words(""))), Outcome::Void);
        assert!(matches!(log.act(seat, 2, Act::Say("two")), Outcome::Said(_)));
        let Outcome::Resumed { heard, .. } = log.resume(id) else { panic!() };
        assert_eq!((heard, log.said().as_str()), (2, "*** carol joined\ncarol: one\ncarol: two\n"));
    }

    /// A session is found by its token alone, whatever its owner is called by now. The room is told of a return only if
    /// it was told that they had left.
    #[test]
    fn sessions_are_resumed_under_the_present_name() {
        let (mut log, id) = (Log::new(), SessionToken::new(7).id());
        let seat = log.join("carol");
        log.act(seat, 0, Act::OpenSession(id));
        log.act(seat, 1, Act::Rename(Name::parse(b"zoe").unwrap()));
        log.act(seat, 1, gone_until(9 * SECOND));
        assert_eq!(log.act(seat, 2, Act::Heard), Outcome::Void, "someone who is away cannot act");
        let Outcome::Resumed { seat, joined: None, .. } = log.resume(id) else { panic!() };
        log.act(seat, 1, gone_until(9 * SECOND));
        assert!(matches!(log.apply(Change::GiveUp { seat }), Outcome::Left(..)));
        assert_eq!(log.apply(Change::GiveUp { seat }), Outcome::Void, "once is enough");
        let other = Change::Join { name: Name::parse(b"Zoe").unwrap(), place: Place::LOCALHOST };
        assert_eq!(log.apply(other.clone()), Outcome::NameReserved);
        assert!(matches!(log.resume(id), Outcome::Resumed { joined: Some(_), .. }));
        assert!(log.said().ends_with("*** carol is now zoe\n*** zoe left (connection lost)\n*** zoe joined\n"));
        assert_eq!(log.apply(other), Outcome::NameTaken);
    }

    /// A reservation expires, and then someone else can take the name; as long as they have it, the session cannot be
    /// resumed.
    #[test]
    fn a_reservation_ends() {
        let (mut log, id) = Log::after_carol_left();
        log.at = 9 * SECOND;
        let other = log.join("carol");
        assert_eq!(log.resume(id), Outcome::NoSuchSession);
        log.act(other, 0, Act::Leave(Farewell::Words("bye")));
        assert!(matches!(log.resume(id), Outcome::Resumed { .. }), "it is free again");
        assert!(log.said().ends_with("*** carol left: bye\n*** carol joined\n"));
    }

    /// Whoever is no operator decides nothing. Rights and mutes stay with a session; a kick ends it; a ban keeps others from
    /// there out as well, while it lasts.
    #[test]
    fn operators_decide() {
        let (mut log, [carols, daves]) = (Log::new(), [7, 8].map(|bits| SessionToken::new(bits).id()));
        let dave = || Name::parse(b"dave").unwrap();
        let (mute, kick) =
            (Rule::Mute { name: dave(), until: 5 * SECOND }, Rule::Kick { name: dave(), reason: "loud" });
        let carol = log.join("carol");
        log.act(carol, 0, Act::OpenSession(carols));
        let seat = log.join("dave");
        log.act(seat, 0, Act::OpenSession(daves));
        assert_eq!(log.act(carol, 1, Act::Rule(mute.clone())), Outcome::Void);
        log.act(carol, 1, Act::BecomeOperator);
        let Outcome::Resumed { seat: carol, .. } = log.resume(carols) else { panic!() };
        assert_eq!(log.act(carol, 2, Act::Rule(mute)), Outcome::Silenced(seat));
        let Outcome::Resumed { seat, .. } = log.resume(daves) else { panic!() };
        for act in [Act::Say("x"), Act::Me("x"), Act::Rename(Name::parse(b"zoe").unwrap())] {
            assert_eq!(log.act(seat, 1, act), Outcome::Muted(5 * SECOND));
        }
        log.at = 5 * SECOND;
        assert!(matches!(log.act(seat, 1, Act::Say("x")), Outcome::Said(_)));
        assert!(matches!(log.act(carol, 3, Act::Rule(kick.clone())), Outcome::Expelled(..)));
        assert_eq!(log.act(carol, 4, Act::Rule(kick)), Outcome::Void, "nobody is called that any more");
        assert_eq!((log.act(seat, 2, Act::Say("x")), log.resume(daves)), (Outcome::Void, Outcome::NoSuchSession));

        let there = Place::of([192, 0, 2, 1].into());
        let join = |name: &str| Change::Join { name: Name::parse(name.as_bytes()).unwrap(), place: there };
        let Outcome::Joined(seat, _) = log.apply(join("dave")) else { panic!() };
        log.act(seat, 0, Act::OpenSession(daves));
        let until = 9 * SECOND;
        let ban = Rule::Ban { name: dave(), place: Some(there), term: "4s", until, reason: "spam" };
        assert!(matches!(log.apply(Change::Rule(ban)), Outcome::Expelled(..)), "at the terminal of the server");
        assert_eq!(log.apply(join("zoe")), Outcome::Banned);
        assert_eq!(log.apply(Change::Resume { session: carols, place: there, after: 0 }), Outcome::Banned);
        log.join("dave");
        log.at = until;
        assert!(matches!(log.apply(join("zoe")), Outcome::Joined(..)));
        assert!(
            log.said().contains("*** dave was kicked (loud)\n*** dave joined\n*** dave was banned for 4s (spam)\n")
        );
    }

    /// A clock that steps back does not take the room's time back.
    #[test]
    fn time_never_steps_back() {
        let (mut log, _) = Log::after_carol_left();
        log.at = 9 * SECOND;
        log.join("bob");
        log.at = SECOND;
        log.join("carol");
    }
}
