//! Several lines at once. Pure.

/// More lines than this are not sent before the user was asked.
const MANY: usize = 5;

/// What was typed, or pasted, before Enter.
#[derive(Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// One line, which may be a command.
    Line(&'a str),
    /// Several lines, which are text.
    Lines(Vec<&'a str>),
}

impl<'a> Input<'a> {
    /// Takes apart what stood behind the prompt. Blank lines say nothing.
    #[must_use]
    pub fn parse(text: &'a str) -> Input<'a> {
        if !text.contains('\n') {
            return Input::Line(text);
        }
        Input::Lines(text.lines().filter(|line| !line.trim().is_empty()).collect())
    }

    /// What to ask before it is sent, if anything.
    #[must_use]
    pub fn question(&self) -> Option<String> {
        match self {
            Input::Lines(lines) if lines.len() > MANY => Some(format!("Send {} lines? [y/N] ", lines.len())),
            _ => None,
        }
    }
}

/// Whether an answer to such a question means yes.
#[must_use]
pub fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One line may be a command, several are text; many are asked about.
    #[test]
    fn tells_lines_from_pastes() {
        assert_eq!(Input::parse("!exit"), Input::Line("!exit"));
        assert_eq!(Input::parse("a\n\n  \r\n!exit\r\n"), Input::Lines(vec!["a", "!exit"]));
        assert_eq!(Input::parse("1\n2\n3\n4\n5").question(), None);
        assert_eq!(Input::parse("1\n2\n3\n4\n5\n6").question().as_deref(), Some("Send 6 lines? [y/N] "));
    }

    /// Nothing but a yes is one.
    #[test]
    fn asks_for_a_clear_yes() {
        assert!(is_yes("y") && is_yes(" YES "));
        assert!(!is_yes("") && !is_yes("n") && !is_yes("yeah no"));
    }
}
