//! Every accepted name follows the rules, and all texts that look alike have one look.
#![no_main]

use gotcp::protocol::name::{Look, Name};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (one, two) = bytes.iter().position(|&b| b == b'\n').map_or((bytes, &[][..]), |at| bytes.split_at(at));
    for name in [one, two].map(Name::parse).iter().flatten() {
        let text = name.as_str();
        let base = text.rsplit_once('#').map_or(text, |(base, _)| base);
        assert!((1..=32).contains(&text.chars().count()));
        assert!(text.chars().all(|c| c.is_alphanumeric() || "_-.#".contains(c)), "{text:?}");
        assert!(text.starts_with(|c: char| c.is_alphanumeric() || c == '_'), "{text:?}");
        assert!(!base.is_empty());
        assert_eq!(Name::parse(text.as_bytes()).as_ref(), Ok(name));
        assert_eq!(*name.look(), Look::of(text));
        // A name is found by what stands before its tag.
        let tagged = text.len() > base.len();
        assert!(!tagged || name.look().as_str().starts_with(&format!("{}#", Look::of(base).as_str())));
    }
    // Anything may be looked for, a name or not.
    let [one, two] = [one, two].map(String::from_utf8_lossy);
    let looks = [&one, &two].map(|text| Look::of(text));
    for look in &looks {
        assert_eq!(Look::of(look.as_str()), *look);
    }
    for border in ['#', '-', '.', '_'] {
        let whole = Look::of(&format!("{one}{border}{two}"));
        assert_eq!(whole.as_str(), format!("{}{border}{}", looks[0].as_str(), looks[1].as_str()));
    }
    let swapped: String = one.chars().map(swap_case_of_ascii).collect();
    assert_eq!(Look::of(&swapped), looks[0], "{one:?}");
});

fn swap_case_of_ascii(c: char) -> char {
    if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }
}
