//! The name that the user wants, with or without a tag. Pure: randomness is an argument.

use crate::protocol::name::{MAX_CHARS, Name};

/// What the tag adds to a name: `#` and six digits.
const TAG_CHARS: usize = 7;

/// Tags that are tried before the name itself is given up.
const MAX_TAGS: u32 = 8;

/// A source of tags.
pub type Tags = Box<dyn FnMut() -> u32 + Send>;

/// Reads a name that leaves room for its tag.
///
/// # Errors
/// Says what is wrong with it.
pub fn parse_name(text: &str, tagged: bool) -> Result<Name, String> {
    let name = Name::parse(text.as_bytes()).map_err(|reason| reason.to_string())?;
    let limit = MAX_CHARS - TAG_CHARS;
    if tagged && name.as_str().chars().count() > limit {
        return Err(format!("it is longer than {limit} characters, which is what its tag leaves room for"));
    }
    Ok(name)
}

/// A name as its owner wants it.
pub struct Wanted {
    base: Name,
    /// Where tags come from; none for a bare name.
    tags: Option<Tags>,
    tries: u32,
}

impl Wanted {
    /// The name `base`, with a tag if there are `tags`.
    #[must_use]
    pub fn new(base: Name, tags: Option<Tags>) -> Wanted {
        Wanted { base, tags, tries: 0 }
    }

    /// Takes another name in its place.
    pub fn choose(&mut self, base: Name) {
        self.base = base;
        self.begin();
    }

    /// From now on, as many tags as at first may be tried.
    pub fn begin(&mut self) {
        self.tries = 0;
    }

    /// A form of the name.
    pub fn form(&mut self) -> String {
        match &mut self.tags {
            Some(tags) => format!("{}#{:06x}", self.base, tags() & 0xff_ffff),
            None => self.base.to_string(),
        }
    }

    /// Another form of the name, now that one is taken; `None` where there is no other.
    pub fn retry(&mut self) -> Option<String> {
        self.tries += 1;
        (self.tags.is_some() && self.tries < MAX_TAGS).then(|| self.form())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name needs room for its tag, if it gets one.
    #[test]
    fn names_leave_room_for_a_tag() {
        let name = "x".repeat(25);
        assert!(parse_name(&name, true).is_ok() && parse_name(&format!("{name}x"), false).is_ok());
        assert!(parse_name(&format!("{name}x"), true).unwrap_err().contains("25 characters"));
        assert!(parse_name("a b", true).is_err());
    }

    /// Tags are tried, but not for ever; a bare name has no other form.
    #[test]
    fn taken_names_get_new_tags() {
        let mut tag = 0;
        let tags = move || {
            tag += 1;
            tag
        };
        let carol = Name::parse(b"carol").unwrap();
        let mut tagged = Wanted::new(carol.clone(), Some(Box::new(tags)));
        assert_eq!(tagged.form(), "carol#000001");
        let tried: Vec<_> = std::iter::from_fn(|| tagged.retry()).collect();
        assert_eq!((tried.len(), tried[6].as_str()), (7, "carol#000008"));
        let mut bare = Wanted::new(carol, None);
        assert_eq!((bare.form(), bare.retry()), ("carol".into(), None));
    }
}
