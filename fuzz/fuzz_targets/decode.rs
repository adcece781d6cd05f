//! Outside bytes give a value or an error. A value that decodes encodes to the same bytes again.
#![no_main]

use codec::Canonical;
use libfuzzer_sys::fuzz_target;
use protocol::batch::Batch;
use protocol::effect::Effect;
use protocol::params::VenueParams;

fuzz_target!(|bytes: &[u8]| {
    round_trip::<Batch>(bytes);
    round_trip::<Effect>(bytes);
    round_trip::<VenueParams>(bytes);
});

/// The first bytes are given their header, so that the search spends its time behind it; the bare ones are tried too.
fn round_trip<T: Canonical>(bytes: &[u8]) {
    let mut headed = codec::MAGIC.to_vec();
    headed.extend_from_slice(&codec::VERSION.to_le_bytes());
    headed.extend_from_slice(bytes);
    for bytes in [bytes, &headed] {
        if let Ok(value) = codec::from_bytes::<T>(bytes) {
            assert_eq!(codec::to_bytes(&value), bytes, "a value has one encoding");
        }
    }
}
