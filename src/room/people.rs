//! People by number.

use std::collections::BTreeSet;
use std::ops::{Index, IndexMut};

use serde::{Deserialize, Serialize};

use super::roster::Person;

/// A person's number. It is used again once the person is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PersonKey(u32);

/// Everybody who is known, by number.
///
/// A newcomer gets the lowest number that is free. So who has which number follows from who is there, and a room that was
/// read back from a checkpoint goes on as the one that wrote it would have. (A slab reuses the number that became free
/// last, which nothing but the slab knows.)
#[derive(Debug, Default)]
pub struct People {
    slots: Vec<Option<Person>>,
    free: BTreeSet<u32>,
}

/// More people than a server can have at a time, and remember.
const MAX_PEOPLE: usize = 1 << 22;

impl PersonKey {
    fn new(index: usize) -> PersonKey {
        PersonKey(u32::try_from(index).expect("there are fewer than 2^32 people"))
    }

    /// The number itself, for tables.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl People {
    /// Those with these numbers; `None` if the numbers do not ascend, or are higher than there were ever people.
    #[must_use]
    pub fn restore(people: Vec<(PersonKey, Person)>) -> Option<People> {
        let mut restored = People::default();
        for (key, person) in people {
            let at = restored.slots.len();
            (at <= key.index() && key.index() < MAX_PEOPLE).then_some(())?;
            restored.free.extend((at..key.index()).map(|index| PersonKey::new(index).0));
            restored.slots.resize_with(key.index(), || None);
            restored.slots.push(Some(person));
        }
        Some(restored)
    }

    /// Adds someone.
    pub fn insert(&mut self, person: Person) -> PersonKey {
        if let Some(number) = self.free.pop_first() {
            self.slots[number as usize] = Some(person);
            return PersonKey(number);
        }
        self.slots.push(Some(person));
        PersonKey::new(self.slots.len() - 1)
    }

    /// Forgets someone. Numbers at the end are given up, so that what is kept follows from who is there.
    pub fn remove(&mut self, key: PersonKey) -> Person {
        let person = self.slots[key.index()].take().expect(KNOWN);
        self.free.insert(key.0);
        while self.slots.pop_if(|slot| slot.is_none()).is_some() {
            self.free.pop_last();
        }
        person
    }

    /// Someone, if there is anybody with that number.
    #[must_use]
    pub fn get(&self, key: PersonKey) -> Option<&Person> {
        self.slots.get(key.index())?.as_ref()
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, key: PersonKey) -> Option<&mut Person> {
        self.slots.get_mut(key.index())?.as_mut()
    }

    /// Everybody, by number.
    pub fn iter(&self) -> impl Iterator<Item = (PersonKey, &Person)> {
        let numbered = self.slots.iter().enumerate();
        numbered.filter_map(|(index, slot)| slot.as_ref().map(|person| (PersonKey::new(index), person)))
    }
}

impl Index<PersonKey> for People {
    type Output = Person;

    fn index(&self, key: PersonKey) -> &Person {
        self.get(key).expect(KNOWN)
    }
}

impl IndexMut<PersonKey> for People {
    fn index_mut(&mut self, key: PersonKey) -> &mut Person {
        self.get_mut(key).expect(KNOWN)
    }
}

const KNOWN: &str = "the number is that of somebody who is known";
