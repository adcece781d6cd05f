//! Outside bytes give a state whose invariants hold, or an error; a state that is read writes the same bytes.
#![no_main]

use kernel::State;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(state) = State::from_snapshot(bytes) {
        state.check().expect("what does not hold is refused");
        assert_eq!(state.to_snapshot(), bytes, "a state has one encoding");
    }
});
