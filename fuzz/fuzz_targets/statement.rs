//! A statement's text: read or refused, never a panic; what is read is written the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use node::statement::Draft;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(draft) = Draft::read(text) {
        assert_eq!(draft.to_string(), text);
    }
    let _governance = policy::Governance::parse(text);
});
