//! Every accepted name keeps the rules, and looking alike is the same from both sides.
#![no_main]

use gotcp::protocol::name::{Look, Name};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (one, two) = bytes.iter().position(|&b| b == b'\n').map_or((bytes, &[][..]), |at| bytes.split_at(at));
    let names = [one, two].map(Name::parse);
    for name in names.iter().flatten() {
        let text = name.as_str();
        assert!((1..=32).contains(&text.chars().count()));
        assert!(text.chars().all(|c| c.is_alphanumeric() || "_-.#".contains(c)), "{text:?}");
        assert!(text.starts_with(|c: char| c.is_alphanumeric() || c == '_'), "{text:?}");
        assert!(text.starts_with(name.base()) && !name.base().is_empty());
        assert_eq!(Name::parse(text.as_bytes()).as_ref(), Ok(name));
        assert!(name.look().is_like(&name.look()));
        for other in [text.to_lowercase(), text.to_uppercase()] {
            // There are letters whose cases are several letters: then they are not the same name in another spelling.
            if other.to_lowercase() == text.to_lowercase() {
                assert!(Look::of(&other).is_like(&name.look()), "{text} and {other}");
            }
        }
    }
    // Anything may be looked for, a name or not.
    let [one, two] = [one, two].map(|bytes| Look::of(&String::from_utf8_lossy(bytes)));
    assert_eq!(one.is_like(&two), two.is_like(&one));
});
