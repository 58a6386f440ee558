//! Whatever comes in, sanitised text is valid UTF-8 without a forbidden character, and sanitising it again changes
//! nothing.
#![no_main]

use std::borrow::Cow;

use gotcp::protocol::text::sanitise;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let clean = sanitise(bytes);
    // Its type promises that, but the fast path could be wrong.
    assert!(std::str::from_utf8(clean.as_bytes()).is_ok());
    assert!(!clean.contains(is_forbidden), "{clean:?}");
    assert!(clean.len() <= 3 * bytes.len());
    assert!(matches!(sanitise(clean.as_bytes()), Cow::Borrowed(again) if again == clean));
    // Harmless characters stay as they are, and each of the others is replaced by one.
    let plain: String =
        String::from_utf8_lossy(bytes).chars().map(|c| if is_forbidden(c) { '\u{fffd}' } else { c }).collect();
    assert_eq!(clean, plain);
});

/// What PROTOCOL.md forbids, in numbers.
fn is_forbidden(c: char) -> bool {
    matches!(u32::from(c), 0..=8 | 10..=0x1f | 0x7f..=0x9f | 0x2028..=0x202e | 0x2066..=0x2069)
}
