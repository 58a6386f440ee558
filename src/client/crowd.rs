//! Crowds that come and go, as a person likes to read of them: in one line. Pure.

use super::network::Spoken;
use crate::protocol::notice::PUBLIC;

/// So many who come or go at once are a crowd.
const CROWD: usize = 4;

/// Puts one line in the place of those that say who of a crowd came or went. Last words stay, and so does what the user
/// does themselves.
#[must_use]
pub fn fold(spoken: Vec<Spoken>) -> Vec<Spoken> {
    let are_alike = |one: &Spoken, next: &Spoken| {
        movement(one).is_some() && movement(next).is_some() && is_history(one) == is_history(next)
    };
    let runs: Vec<_> = spoken.chunk_by(are_alike).map(|run| (run.len(), in_one_line(run))).collect();
    let mut folded = Vec::with_capacity(spoken.len());
    let mut spoken = spoken.into_iter();
    for (length, line) in runs {
        let run = spoken.by_ref().take(length);
        match line {
            Some(line) => {
                run.for_each(drop);
                folded.push(line);
            }
            None => folded.extend(run),
        }
    }
    folded
}

/// The line that stands for a crowd; `None` for what is none.
fn in_one_line(run: &[Spoken]) -> Option<Spoken> {
    let [Spoken::Line { is_history, own, .. }, ..] = run else { return None };
    if run.len() < CROWD {
        return None;
    }
    let joined = run.iter().filter(|item| movement(item) == Some(Movement::Came)).count();
    let text = match (joined, run.len() - joined) {
        (joined, 0) => format!("{PUBLIC}{joined} joined"),
        (0, left) => format!("{PUBLIC}{left} left"),
        (joined, left) => format!("{PUBLIC}{joined} joined, {left} left"),
    };
    Some(Spoken::Line { text, is_history: *is_history, own: own.clone() })
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
    let (_, what) = text.strip_prefix(PUBLIC)?.split_once(' ').filter(|(name, _)| *name != &**own)?;
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
        let folded = fold(spoken);
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
