//! Who is in the room, and who may come back: people by name and by session.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::people::People;
pub use super::people::PersonKey;
use super::place::Place;
use super::servers::ServerId;
use super::session::SessionId;
use crate::protocol::name::{Look, Name};

/// How many sessions of people who have left are remembered.
pub const PAST_SESSIONS: usize = 10_000;
/// How many of those may be from one place. Beyond that the oldest one from the same place is forgotten, so nobody can
/// make the room forget the sessions of others.
pub const PAST_SESSIONS_PER_PLACE: usize = 1_000;

/// One stay of a person in the room, over one connection. Its number is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seat {
    /// Whose seat it is.
    pub person: PersonKey,
    /// A number that grows from seat to seat.
    pub number: u64,
}

/// Someone who is in the room, or may come back to it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Person {
    /// What everyone calls them.
    pub name: Name,
    /// Where they came from last.
    pub place: Place,
    /// At which server they are, or were last.
    pub server: ServerId,
    /// Where the room read that they joined: nobody reads what was said before, but for the history.
    pub since: u64,
    /// The number of the latest seat.
    pub seat: u64,
    /// Whether they are in the room.
    pub presence: Presence,
    /// Their session, if they ever asked for one.
    pub session: Option<Box<Session>>,
    /// Whether they are an operator.
    pub is_operator: bool,
    /// Until then, nothing that they say is heard.
    pub muted_until: Duration,
}

/// Whether someone is in the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Presence {
    /// Connected.
    Here,
    /// The connection broke, and the room has not been told: they have a grace period to come back in.
    Away {
        /// Until when.
        back_by: Duration,
    },
    /// The room was told that they have left. Only the session is remembered.
    Gone {
        /// A number that grows: who has left earlier has a lower one.
        order: u64,
        /// Since when.
        since: Duration,
    },
}

/// What someone can come back to.
#[derive(Debug, Serialize, Deserialize)]
pub struct Session {
    /// What tells it from others.
    pub id: SessionId,
    /// How many lines of it have been processed.
    pub heard: u64,
    /// Until when the name is reserved for its owner once they are gone.
    pub reserved_until: Duration,
}

/// Whom a typed name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// This one.
    Person(PersonKey),
    /// Nobody.
    Nobody,
    /// More than one person: it is the part before the `#` of several names.
    Several,
}

/// Why a name is not free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// By someone in the room.
    Taken,
    /// By the owner of a session who has left.
    Reserved,
}

/// Everyone who is in the room, or may come back.
///
/// ```text
///             add                        retire
///   (nobody) ─────> Here / Away, in `names` ─────> Gone, in `past` and, for as long as the name is theirs, in `reserved`
///                        ^    remove: forgotten      │
///                        └─────── seat_anew ─────────┘
/// ```
///
/// Invariant: each look is in one of `names` and `reserved` at most, and leads to the person whose name has it. So no
/// two people have names that look alike. [`Roster::check`] asserts it.
///
/// Nothing here depends on the order in which a `HashMap` happens to have its entries.
#[derive(Debug, Default)]
pub struct Roster {
    people: People,
    names: BTreeMap<Look, PersonKey>,
    reserved: HashMap<Look, PersonKey>,
    sessions: HashMap<SessionId, PersonKey>,
    past: BTreeMap<u64, PersonKey>,
    places: HashMap<Place, Tally>,
    seats: u64,
}

/// Who comes from one place.
#[derive(Debug, Default)]
struct Tally {
    /// How many are in the room.
    present: usize,
    /// Who has gone, by the order in which they did.
    past: BTreeSet<u64>,
}

impl Roster {
    /// The roster in which these are known, in ascending order of their numbers; `None` if there can be no such roster.
    #[must_use]
    pub fn restore(people: Vec<(PersonKey, Person)>, reserved: &[PersonKey], seats: u64) -> Option<Roster> {
        let mut roster = Roster { seats, ..Roster::default() };
        for (key, person) in &people {
            let may_be_back = person.session.is_some() || !matches!(person.presence, Presence::Gone { .. });
            (may_be_back && person.seat <= seats).then_some(())?;
            let tally = roster.places.entry(person.place).or_default();
            let before = if let Presence::Gone { order, .. } = person.presence {
                tally.past.insert(order);
                roster.past.insert(order, *key)
            } else {
                tally.present += 1;
                roster.names.insert(person.name.look().clone(), *key)
            };
            let same = person.session.as_ref().and_then(|session| roster.sessions.insert(session.id, *key));
            (before.is_none() && same.is_none()).then_some(())?;
        }
        roster.people = People::restore(people)?;
        for &key in reserved {
            let person = roster.people.get(key)?;
            let look = person.name.look().clone();
            let has_gone = matches!(person.presence, Presence::Gone { .. });
            let is_free = !roster.names.contains_key(&look) && roster.reserved.insert(look, key).is_none();
            (has_gone && is_free).then_some(())?;
        }
        Some(roster)
    }

    /// Everyone who is in the room or may come back, by number.
    pub fn people(&self) -> impl Iterator<Item = (PersonKey, &Person)> {
        self.people.iter()
    }

    /// Those who have gone and whose names are reserved, by number.
    #[must_use]
    pub fn reserved(&self) -> Vec<PersonKey> {
        let mut reserved: Vec<PersonKey> = self.reserved.values().copied().collect();
        reserved.sort_unstable();
        reserved
    }

    /// The number of the latest seat.
    #[must_use]
    pub fn seats(&self) -> u64 {
        self.seats
    }

    /// How many are in the room, those included whose connections broke a moment ago.
    #[must_use]
    pub fn online(&self) -> usize {
        self.names.len()
    }

    /// How many of those came from one place.
    #[must_use]
    pub fn present_from(&self, place: Place) -> usize {
        self.places.get(&place).map_or(0, |tally| tally.present)
    }

    /// Someone who is known.
    #[must_use]
    pub fn person(&self, key: PersonKey) -> &Person {
        &self.people[key]
    }

    /// Someone, if there is anybody with that number.
    #[must_use]
    pub fn get(&self, key: PersonKey) -> Option<&Person> {
        self.people.get(key)
    }

    /// The person in a seat, if it is still their latest one and they are connected.
    pub fn seated(&mut self, seat: Seat) -> Option<&mut Person> {
        let person = self.people.get_mut(seat.person)?;
        (person.seat == seat.number && person.presence == Presence::Here).then_some(person)
    }

    /// Whether the person who had a seat is away: disconnected, not back yet, and the room has not been told.
    #[must_use]
    pub fn is_away(&self, seat: Seat) -> bool {
        let person = self.people.get(seat.person);
        person.is_some_and(|person| person.seat == seat.number && matches!(person.presence, Presence::Away { .. }))
    }

    /// Whose session it is.
    #[must_use]
    pub fn owner_of(&self, session: &SessionId) -> Option<PersonKey> {
        self.sessions.get(session).copied()
    }

    /// Whom a typed name means: the whole name, or the part before a `#` if that fits only one person.
    #[must_use]
    pub fn find(&self, typed: &str) -> Found {
        let look = Look::of(typed);
        if let Some(&key) = self.names.get(&look) {
            return Found::Person(key);
        }
        let start = Look::of(&format!("{typed}#"));
        let mut fitting = self.names.range(&start..).take_while(|(look, _)| look.as_str().starts_with(start.as_str()));
        match (fitting.next(), fitting.next()) {
            (None, _) => Found::Nobody,
            (Some((_, &key)), None) => Found::Person(key),
            (Some(_), Some(_)) => Found::Several,
        }
    }

    /// Who is in the room under a name that looks like this one.
    #[must_use]
    pub fn called(&self, name: &Name) -> Option<PersonKey> {
        self.names.get(name.look()).copied()
    }

    /// Makes someone an operator.
    pub fn make_operator(&mut self, key: PersonKey) {
        self.people[key].is_operator = true;
    }

    /// Lets nothing be heard that someone says until then.
    pub fn mute(&mut self, key: PersonKey, until: Duration) {
        self.people[key].muted_until = until;
    }

    /// Why nobody but its present owner can have a name at the time `now`, and who that owner is; `None` if it is free.
    #[must_use]
    pub fn claimed(&self, name: &Name, now: Duration) -> Option<(Claimed, PersonKey)> {
        let look = name.look();
        if let Some(&key) = self.names.get(look) {
            return Some((Claimed::Taken, key));
        }
        let &key = self.reserved.get(look)?;
        let session = self.person(key).session.as_ref().expect("only sessions reserve names");
        (session.reserved_until > now).then_some((Claimed::Reserved, key))
    }

    /// Takes someone in under a name that nobody has, at a server. A reservation of it that has expired ends here.
    pub fn add(&mut self, name: Name, place: Place, server: ServerId, since: u64) -> Seat {
        let look = name.look().clone();
        self.reserved.remove(&look);
        let number = self.next_seat();
        let person = Person {
            name,
            place,
            server,
            since,
            seat: number,
            presence: Presence::Here,
            session: None,
            is_operator: false,
            muted_until: Duration::ZERO,
        };
        let person = self.people.insert(person);
        self.names.insert(look, person);
        self.places.entry(place).or_default().present += 1;
        Seat { person, number }
    }

    /// Gives someone in the room another name, which nobody else has; returns the old one.
    pub fn rename(&mut self, key: PersonKey, name: Name) -> Name {
        let look = name.look().clone();
        let old = std::mem::replace(&mut self.people[key].name, name);
        self.names.remove(old.look());
        self.reserved.remove(&look);
        self.names.insert(look, key);
        old
    }

    /// Opens a session for someone who has none.
    pub fn open_session(&mut self, key: PersonKey, id: SessionId) {
        let session = Session { id, heard: 0, reserved_until: Duration::ZERO };
        self.people[key].session = Some(Box::new(session));
        self.sessions.insert(id, key);
    }

    /// Gives someone a new seat, for a connection from `place` to `server`. Whoever has gone is in the room again. `None`,
    /// and nothing is changed, if they have gone and someone else has the name by now.
    pub fn seat_anew(&mut self, key: PersonKey, place: Place, server: ServerId, now: Duration) -> Option<Seat> {
        let person = self.person(key);
        if let Presence::Gone { .. } = person.presence {
            if self.claimed(&person.name, now).is_some_and(|(_, owner)| owner != key) {
                return None;
            }
            let look = person.name.look().clone();
            self.leave_past(key);
            self.reserved.remove(&look);
            self.names.insert(look, key);
        } else {
            self.leave_place(person.place);
        }
        let number = self.next_seat();
        let person = &mut self.people[key];
        (person.seat, person.presence, person.place, person.server) = (number, Presence::Here, place, server);
        self.places.entry(place).or_default().present += 1;
        Some(Seat { person: key, number })
    }

    /// The connection of someone in the room is gone: they are away from `now` on. Whoever has no session cannot come back.
    pub fn leave_connection(&mut self, key: PersonKey, now: Duration, back_by: Duration, reserved_until: Duration) {
        let person = &mut self.people[key];
        let back_by = person.session.as_mut().map_or(now, |session| {
            session.reserved_until = reserved_until;
            back_by
        });
        person.presence = Presence::Away { back_by };
    }

    /// Someone leaves the room. Whoever has a session can come back: it is remembered, and the name is reserved.
    pub fn retire(&mut self, key: PersonKey, now: Duration) {
        if self.person(key).session.is_none() {
            self.remove(key);
            return;
        }
        let order = self.next_seat();
        let person = &mut self.people[key];
        person.presence = Presence::Gone { order, since: now };
        let place = person.place;
        let look = person.name.look().clone();
        let session = person.session.as_ref().expect("only who has a session can come back");
        // An answer to `!session` that never arrived is no use to anyone, and reserves nothing.
        let reserves = session.heard > 0 && session.reserved_until > now;
        self.names.remove(&look);
        if reserves {
            self.reserved.insert(look, key);
        }
        self.past.insert(order, key);
        let tally = self.places.entry(place).or_default();
        tally.present -= 1;
        tally.past.insert(order);
        let of_this_place = tally.past.first().copied().filter(|_| tally.past.len() > PAST_SESSIONS_PER_PLACE);
        let of_all = self.past.first_key_value().map(|(&order, _)| order).filter(|_| self.past.len() > PAST_SESSIONS);
        if let Some(oldest) = of_this_place.or(of_all) {
            self.forget(self.past[&oldest]);
        }
    }

    /// Forgets the sessions of those who have gone before a moment.
    pub fn forget_past(&mut self, before: Duration) {
        while let Some(&key) = self.past.first_key_value().map(|(_, key)| key) {
            match self.person(key).presence {
                Presence::Gone { since, .. } if since < before => self.forget(key),
                _ => return,
            }
        }
    }

    /// Someone leaves the room for good.
    pub fn remove(&mut self, key: PersonKey) -> Person {
        let person = self.people.remove(key);
        self.names.remove(person.name.look());
        if let Some(session) = &person.session {
            self.sessions.remove(&session.id);
        }
        self.leave_place(person.place);
        person
    }

    /// The names of everyone in the room, in no particular order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.values().map(|&key| self.person(key).name.as_str())
    }

    /// Asserts the invariants.
    ///
    /// # Panics
    /// If one is broken.
    pub fn check(&self) {
        let mut looks = BTreeSet::new();
        for (key, person) in self.people.iter() {
            let look = person.name.look();
            if matches!(person.presence, Presence::Gone { .. }) {
                assert!(person.session.is_some() && !self.names.values().any(|&owner| owner == key));
                if self.reserved.get(look) != Some(&key) {
                    continue;
                }
            } else {
                assert_eq!(self.names.get(look), Some(&key), "{} has its own name", person.name);
            }
            assert!(looks.insert(look), "nobody else has a name that looks like {}", person.name);
        }
        assert_eq!(looks.len(), self.names.len() + self.reserved.len());
        assert!(self.names.keys().all(|look| !self.reserved.contains_key(look)));
        assert_eq!(self.past.len(), self.places.values().map(|tally| tally.past.len()).sum::<usize>());
        assert_eq!(self.names.len(), self.places.values().map(|tally| tally.present).sum::<usize>());
        assert_eq!(self.sessions.len(), self.people.iter().filter(|(_, person)| person.session.is_some()).count());
    }

    /// A number that grows, for a seat, or for something that nobody sits on.
    pub fn next_seat(&mut self) -> u64 {
        self.seats += 1;
        self.seats
    }

    /// Forgets someone who has gone.
    fn forget(&mut self, key: PersonKey) {
        self.leave_past(key);
        let person = self.people.remove(key);
        let session = person.session.expect("only who has a session can come back");
        self.sessions.remove(&session.id);
        let look = person.name.look();
        if self.reserved.get(look) == Some(&key) {
            self.reserved.remove(look);
        }
    }

    fn leave_past(&mut self, key: PersonKey) {
        let Presence::Gone { order, .. } = self.person(key).presence else {
            unreachable!("only people who have gone are in `past`")
        };
        self.past.remove(&order);
        let place = self.person(key).place;
        self.places.get_mut(&place).expect(COUNTED).past.remove(&order);
        self.drop_tally(place);
    }

    fn leave_place(&mut self, place: Place) {
        self.places.get_mut(&place).expect(COUNTED).present -= 1;
        self.drop_tally(place);
    }

    fn drop_tally(&mut self, place: Place) {
        let tally = &self.places[&place];
        if tally.present == 0 && tally.past.is_empty() {
            self.places.remove(&place);
        }
    }
}

const COUNTED: &str = "everyone is counted at their place";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::session::SessionToken;

    const HERE: Place = Place::LOCALHOST;
    const NOW: Duration = Duration::from_secs(1000);
    const HOUR: Duration = Duration::from_secs(3600);

    fn name(text: &str) -> Name {
        Name::parse(text.as_bytes()).unwrap()
    }

    fn id(number: u128) -> SessionId {
        SessionToken::new(number).id()
    }

    /// Someone called `text` who was here with the session `number`, and has gone.
    fn retired(roster: &mut Roster, text: &str, number: u128, place: Place) -> PersonKey {
        let key = roster.add(name(text), place, ServerId::default(), 0).person;
        roster.open_session(key, id(number));
        let session = roster.people[key].session.as_mut().unwrap();
        (session.heard, session.reserved_until) = (1, NOW + HOUR);
        roster.retire(key, NOW);
        roster.check();
        key
    }

    /// A typed name is found in any case, and up to a `#` where that is clear.
    #[test]
    fn finds_whom_a_name_stands_for() {
        let mut roster = Roster::default();
        let carol = roster.add(name("carol#0b9189"), HERE, ServerId::default(), 0).person;
        let bob = roster.add(name("bob#77a1f0"), HERE, ServerId::default(), 0).person;
        let other = roster.add(name("Bob#123456"), HERE, ServerId::default(), 0).person;
        for (typed, found) in [
            ("carol#0b9189", Found::Person(carol)),
            ("CAROL#0B9189", Found::Person(carol)),
            ("Carol", Found::Person(carol)),
            ("caro", Found::Nobody),
            ("bob#77a1f0", Found::Person(bob)),
            ("bob", Found::Several),
            ("dave", Found::Nobody),
            ("", Found::Nobody),
        ] {
            assert_eq!(roster.find(typed), found, "{typed}");
        }
        roster.remove(other);
        assert_eq!(roster.find("bob"), Found::Person(bob));
        let old = roster.rename(bob, name("rob"));
        assert_eq!(
            (old, roster.find("bob"), roster.find("rob")),
            (name("bob#77a1f0"), Found::Nobody, Found::Person(bob))
        );
        let alice = roster.add(name("AIice#1"), HERE, ServerId::default(), 0).person;
        for typed in ["alice", "Alice", "AIice", "a1ice"] {
            assert_eq!(roster.find(typed), Found::Person(alice), "{typed}");
        }
        roster.check();
    }

    /// A name is taken while its owner is in the room, then reserved for a time, and then free. A session without a
    /// counted line reserves nothing.
    #[test]
    fn names_are_taken_then_reserved_then_free() {
        let mut roster = Roster::default();
        let carol = roster.add(name("carol"), HERE, ServerId::default(), 0).person;
        assert_eq!(roster.claimed(&name("CAROL"), NOW), Some((Claimed::Taken, carol)));
        roster.remove(carol);
        let carol = retired(&mut roster, "carol", 7, HERE);
        assert_eq!(roster.claimed(&name("Carol"), NOW), Some((Claimed::Reserved, carol)));
        assert_eq!(roster.claimed(&name("Carol"), NOW + HOUR), None);
        let other = roster.add(name("Carol"), HERE, ServerId::default(), 0).person;
        assert_eq!(roster.seat_anew(carol, HERE, ServerId::default(), NOW), None, "the name is someone else's");
        roster.remove(other);
        assert!(roster.seat_anew(carol, HERE, ServerId::default(), NOW).is_some());
        roster.check();

        let silent = roster.add(name("silent"), HERE, ServerId::default(), 0).person;
        roster.open_session(silent, id(8));
        roster.retire(silent, NOW);
        assert_eq!(roster.claimed(&name("silent"), NOW), None);
        assert_eq!(roster.owner_of(&id(8)), Some(silent), "but it can be resumed");
        roster.check();
    }

    /// One place can make the room forget only its own sessions, and the oldest first.
    #[test]
    fn a_place_has_its_share_of_past_sessions() {
        let (mut roster, other) = (Roster::default(), Place::of([192, 0, 2, 1].into()));
        retired(&mut roster, "honest", 1, other);
        for number in 0..2 * PAST_SESSIONS_PER_PLACE {
            let key = roster.add(name(&format!("m{number}")), HERE, ServerId::default(), 0).person;
            roster.open_session(key, id(1000 + number as u128));
            roster.retire(key, NOW);
        }
        roster.check();
        assert!(roster.owner_of(&id(1)).is_some());
        let kept = |number: usize| roster.owner_of(&id(1000 + number as u128)).is_some();
        assert!(!kept(PAST_SESSIONS_PER_PLACE - 1) && kept(PAST_SESSIONS_PER_PLACE));
        assert_eq!(roster.past.len(), PAST_SESSIONS_PER_PLACE + 1);
    }

    /// Everyone is counted at the place they came from last.
    #[test]
    fn people_are_counted_by_place() {
        let (mut roster, other) = (Roster::default(), Place::of([192, 0, 2, 1].into()));
        let bob = roster.add(name("bob"), HERE, ServerId::default(), 0).person;
        roster.add(name("eve"), HERE, ServerId::default(), 0);
        assert_eq!((roster.present_from(HERE), roster.present_from(other)), (2, 0));
        assert!(roster.seat_anew(bob, other, ServerId::default(), NOW).is_some());
        assert_eq!((roster.present_from(HERE), roster.present_from(other)), (1, 1));
        roster.remove(bob);
        assert_eq!((roster.present_from(other), roster.online()), (0, 1));
        roster.check();
    }
}
