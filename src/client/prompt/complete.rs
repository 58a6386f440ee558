//! Tab: names and commands. Pure.

use crate::protocol::command::COMMANDS;
use crate::protocol::received::Received;

/// Names that are kept, at most: a room can be larger than anybody completes.
const MAX_NAMES: usize = 10_000;

/// Who is here, as far as the conversation tells: who spoke last comes first.
#[derive(Debug, Default)]
pub struct People {
    names: Vec<String>,
}

impl People {
    /// Learns from a line.
    pub fn heard(&mut self, line: &str) {
        match Received::parse(line) {
            Received::Message { name, .. } | Received::Action { name, .. } => self.spoke(name),
            Received::Public(text) => self.room_changed(text),
            Received::Private(text) => {
                // The answer to `!who`.
                if let Some(names) = text.strip_prefix("  ") {
                    names.split(',').map(str::trim).filter(|name| !name.is_empty()).for_each(|name| self.came(name));
                }
            }
            Received::Other(_) => {}
        }
    }

    /// The names that begin with `start`, in any case.
    fn called<'a>(&'a self, start: &str) -> impl Iterator<Item = &'a str> {
        let start = start.to_lowercase();
        self.names.iter().map(String::as_str).filter(move |name| name.to_lowercase().starts_with(&start))
    }

    fn room_changed(&mut self, text: &str) {
        let mut words = text.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some(name), Some("joined"), None, None) => self.came(name),
            (Some(name), Some("left"), ..) | (Some(name), Some("was"), Some("kicked" | "banned"), _) => {
                self.names.retain(|known| known != name);
            }
            (Some(old), Some("is"), Some("now"), Some(new)) => {
                if let Some(known) = self.names.iter_mut().find(|known| *known == old) {
                    new.clone_into(known);
                }
            }
            _ => {}
        }
    }

    fn spoke(&mut self, name: &str) {
        match self.names.iter().position(|known| known == name) {
            Some(index) => self.names[..=index].rotate_right(1),
            None => self.names.insert(0, name.into()),
        }
        self.names.truncate(MAX_NAMES);
    }

    fn came(&mut self, name: &str) {
        if self.names.len() < MAX_NAMES && !self.names.iter().any(|known| known == name) {
            self.names.push(name.into());
        }
    }
}

/// Completes the word before the cursor; asked again, puts the next candidate in place of the one before.
///
/// It gives one candidate at a time, so that there is never a list or a menu in the way of what is said meanwhile.
#[derive(Clone, Debug, Default)]
pub struct Cycle {
    /// What the line was before the cursor after the last completion, where its word began, and the other candidates.
    last: Option<(String, usize, Vec<String>)>,
}

impl Cycle {
    /// What to put in the place of the word before the cursor, and where that word begins. `own` is never a candidate.
    pub fn complete(&mut self, before: &str, people: &People, own: &str) -> Option<(usize, String)> {
        let (start, mut candidates) = match self.last.take() {
            Some((completed, start, candidates)) if completed == before => (start, candidates),
            _ => candidates(before, people, own),
        };
        let chosen = candidates.first()?.clone();
        candidates.rotate_left(1);
        self.last = Some((format!("{}{chosen}", &before[..start]), start, candidates));
        Some((start, chosen))
    }
}

fn candidates(before: &str, people: &People, own: &str) -> (usize, Vec<String>) {
    let start = before.rfind(' ').map_or(0, |space| space + 1);
    // `@` and brackets may stand before a name, and stay there.
    let start = start + before[start..].len() - before[start..].trim_start_matches(['@', '(', '[', '"']).len();
    let word = &before[start..];
    if start == 0 && word.starts_with('!') {
        let commands = COMMANDS
            .iter()
            .filter(|spec| spec.is_for_everybody())
            .filter_map(|spec| spec.usage.split_inclusive(' ').next());
        let word = word.to_ascii_lowercase();
        return (
            0,
            commands.filter(|command| command.starts_with(&word) && *command != "!!TEXT").map(str::to_owned).collect(),
        );
    }
    let end = if start == 0 { ": " } else { " " };
    (start, people.called(word).filter(|name| *name != own).map(|name| format!("{name}{end}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people(lines: &[&str]) -> People {
        let mut people = People::default();
        for line in lines {
            people.heard(line);
        }
        people
    }

    /// What stands before the cursor after each Tab.
    fn tabs(typed: &str, people: &People, count: usize) -> Vec<String> {
        let mut cycle = Cycle::default();
        let mut line = typed.to_owned();
        let mut seen = Vec::new();
        for _ in 0..count {
            if let Some((start, chosen)) = cycle.complete(&line, people, "me#000000") {
                line.replace_range(start.., &chosen);
            }
            seen.push(line.clone());
        }
        seen
    }

    /// Who spoke last is first, in any case of the letters; at the start of a line one is spoken to.
    #[test]
    fn completes_names() {
        let room = people(&["bob: hi", "bea: hi", "* Ben waves", "bob: again", "me#000000: b"]);
        assert_eq!(tabs("b", &room, 4), ["bob: ", "Ben: ", "bea: ", "bob: "]);
        assert_eq!(tabs("ask BE", &room, 2), ["ask Ben ", "ask bea "]);
        assert_eq!(tabs("!msg bo", &room, 1), ["!msg bob "]);
        assert_eq!(tabs("hi @bo", &room, 1), ["hi @bob "]);
        assert_eq!(tabs("@bo", &room, 1), ["@bob "]);
        assert_eq!(tabs("(bo", &room, 1), ["(bob "]);
        assert_eq!(tabs("", &room, 1), ["bob: "]);
        assert_eq!(tabs("x", &room, 1), ["x"]);
        assert_eq!(tabs("me", &room, 1), ["me"]);
    }

    /// Who joined is known, who left is not, and a new name takes the place of the old one.
    #[test]
    fn knows_who_is_here() {
        let room = people(&[
            "*** ann joined",
            "*** abe joined",
            "*** al joined",
            "*** abe is now ari",
            "*** al left (connection lost)",
            "*** aga joined",
            "*** aga was kicked (too loud)",
            "--- 4 online:",
            "---   ann, ari,",
            "---   amy",
        ]);
        assert_eq!(tabs("a", &room, 3), ["ann: ", "ari: ", "amy: "]);
    }

    /// Commands complete at the start of a line only, and leave the cursor where the next word goes.
    #[test]
    fn completes_commands() {
        let room = people(&[]);
        assert_eq!(tabs("!m", &room, 2), ["!me ", "!msg "]);
        assert_eq!(tabs("!W", &room, 1), ["!who"]);
        assert_eq!(tabs("a !w", &room, 1), ["a !w"]);
        assert!(tabs("!", &room, 7).iter().all(|line| line != "!!TEXT"));
    }

    /// A name that is in the way of nothing is not completed twice.
    #[test]
    fn begins_anew_when_the_line_has_changed() {
        let room = people(&["bob: hi", "ben: hi"]);
        let mut cycle = Cycle::default();
        assert_eq!(cycle.complete("b", &room, ""), Some((0, "ben: ".into())));
        assert_eq!(cycle.complete("ben: b", &room, ""), Some((5, "ben ".into())));
        assert_eq!(cycle.complete("ben: ben ", &room, ""), Some((5, "bob ".into())));
    }
}
