//! Crowds that come and go, as a person likes to read of them: in one line. Pure.

use super::network::Spoken;
use crate::protocol::notice::PUBLIC;
use crate::protocol::received::Received;

/// So many who come or go at once are a crowd.
const CROWD: usize = 4;

/// Puts one line in the place of those that say who of a crowd came or went. Last words stay, and so does what the user
/// does themselves.
#[must_use]
pub fn fold(spoken: &[Spoken]) -> Vec<Spoken> {
    let mut folded: Vec<Spoken> = Vec::with_capacity(spoken.len());
    let are_alike = |one: &Spoken, next: &Spoken| {
        movement(one).is_some() && movement(next).is_some() && is_history(one) == is_history(next)
    };
    for run in spoken.chunk_by(are_alike) {
        match run {
            [Spoken::Line { is_history, own, .. }, ..] if run.len() >= CROWD => {
                let joined = run.iter().filter(|item| movement(item) == Some(Movement::Came)).count();
                let text = match (joined, run.len() - joined) {
                    (joined, 0) => format!("{PUBLIC}{joined} joined"),
                    (0, left) => format!("{PUBLIC}{left} left"),
                    (joined, left) => format!("{PUBLIC}{joined} joined, {left} left"),
                };
                folded.push(Spoken::Line { text, is_history: *is_history, own: own.clone() });
            }
            run => folded.extend(run.iter().cloned()),
        }
    }
    folded
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Movement {
    Came,
    Went,
}

fn is_history(item: &Spoken) -> bool {
    matches!(item, Spoken::Line { is_history: true, .. })
}

/// What somebody else did, if that is all that is said.
fn movement(item: &Spoken) -> Option<Movement> {
    let Spoken::Line { text, own, .. } = item else { return None };
    let Received::Public(text) = Received::parse(text) else { return None };
    let (name, what) = text.split_once(' ').filter(|(name, _)| *name != &**own)?;
    debug_assert!(!name.is_empty(), "a name has at least one character");
    match what {
        "joined" => Some(Movement::Came),
        "left" => Some(Movement::Went),
        what if what.starts_with("left (") => Some(Movement::Went),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(lines: &[&str]) -> Vec<String> {
        let spoken = lines.iter().map(|&text| Spoken::Line { text: text.into(), is_history: false, own: "me".into() });
        let spoken: Vec<Spoken> = spoken.chain([Spoken::Note("a note".into())]).collect();
        let folded = fold(&spoken);
        folded
            .into_iter()
            .filter_map(|item| match item {
                Spoken::Line { text, .. } => Some(text),
                Spoken::Note(_) => None,
            })
            .collect()
    }

    /// A crowd is one line; a few people, last words, what was said and oneself are not.
    #[test]
    fn crowds_are_one_line() {
        let crowd = ["*** a joined", "*** b joined", "*** c left", "*** d left (connection lost)"];
        assert_eq!(folded(&crowd), ["*** 2 joined, 2 left"]);
        assert_eq!(folded(&crowd[..3]), crowd[..3]);
        assert_eq!(folded(&["*** a joined"; 4]), ["*** 4 joined"]);
        assert_eq!(folded(&["*** a left"; 5]), ["*** 5 left"]);
        let words = ["*** a joined", "*** b joined", "*** c left: bye", "*** d joined", "*** e joined"];
        assert_eq!(folded(&words), words);
        let mine = ["*** a joined", "*** b joined", "*** me joined", "*** d joined", "*** e joined"];
        assert_eq!(folded(&mine), mine);
        let said = ["*** a joined", "*** b joined", "a: hi", "*** d joined", "*** the server is shutting down"];
        assert_eq!(folded(&said), said);
    }
}
