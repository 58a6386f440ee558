//! A slab whose tokens carry a generation.

use mio::Token;
use slab::Slab;

/// How many bits of a token are the number of the slot; the others are the generation.
const INDEX_BITS: u32 = usize::BITS / 2;

/// Connections by token.
///
/// A slot is reused as soon as it is free. A token says which use of the slot it belongs to, so a late event, for a
/// connection that is gone, finds nothing instead of another connection.
#[derive(Debug)]
pub struct Slots<T> {
    slots: Slab<(u32, T)>,
    generation: u32,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots { slots: Slab::new(), generation: 0 }
    }
}

/// The number of a token's slot.
#[must_use]
pub fn index(token: Token) -> usize {
    token.0 & ((1 << INDEX_BITS) - 1)
}

impl<T> Slots<T> {
    /// Puts what `make` returns for its token into the first free slot.
    ///
    /// # Errors
    /// Those of `make`; the slot stays free then.
    pub fn try_insert<E>(&mut self, make: impl FnOnce(Token) -> Result<T, E>) -> Result<Token, E> {
        // One bit fewer than there is room for, so that no token is one of the highest numbers, which the server uses
        // itself.
        self.generation = (self.generation + 1) & (u32::MAX >> 1);
        let vacant = self.slots.vacant_entry();
        let token = token(vacant.key(), self.generation);
        vacant.insert((self.generation, make(token)?));
        Ok(token)
    }

    /// Whether what a token stands for is there.
    #[must_use]
    pub fn contains(&self, token: Token) -> bool {
        self.token_at(index(token)) == Some(token)
    }

    /// What a token stands for, unless it is gone.
    pub fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        let (generation, item) = self.slots.get_mut(index(token))?;
        (token == self::token(index(token), *generation)).then_some(item)
    }

    /// Frees a slot.
    pub fn remove(&mut self, token: Token) -> Option<T> {
        self.get_mut(token)?;
        Some(self.slots.remove(index(token)).1)
    }

    /// The token of a slot that is in use.
    #[must_use]
    pub fn token_at(&self, index: usize) -> Option<Token> {
        self.slots.get(index).map(|&(generation, _)| token(index, generation))
    }

    /// What is in a slot.
    #[must_use]
    pub fn at(&self, index: usize) -> Option<&T> {
        self.slots.get(index).map(|(_, item)| item)
    }

    /// Everything.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().map(|(_, (_, item))| item)
    }

    /// A number that is higher than that of any slot in use.
    #[must_use]
    pub fn bound(&self) -> usize {
        self.slots.iter().next_back().map_or(0, |(index, _)| index + 1)
    }

    /// How many slots are in use.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether no slot is in use.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

fn token(index: usize, generation: u32) -> Token {
    Token((generation as usize) << INDEX_BITS | index)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The token of an earlier use of a slot does not find the present one.
    #[test]
    fn a_late_token_finds_nothing() {
        let mut slots = Slots::default();
        let insert = |slots: &mut Slots<_>, name| slots.try_insert(|_| Ok::<_, ()>(name)).unwrap();
        let first = insert(&mut slots, "first");
        assert_eq!(slots.remove(first), Some("first"));
        let second = insert(&mut slots, "second");
        assert_eq!(index(first), index(second));
        assert_eq!(slots.get_mut(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get_mut(second), Some(&mut "second"));
        assert_eq!(slots.token_at(index(second)), Some(second));
    }

    /// A slot for which nothing could be made stays free.
    #[test]
    fn a_failure_takes_no_slot() {
        let mut slots = Slots::<()>::default();
        assert_eq!(slots.try_insert(|_| Err("no")), Err("no"));
        assert!(slots.is_empty());
    }
}
