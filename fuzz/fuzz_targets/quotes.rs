//! Outside files of quotes, and what names files on the command line: every row is used or listed, the stream never goes
//! back, and nothing panics.
#![no_main]

mod law;

use lab::feed::{BarPath, BarsArg, FeedOptions, args};
use libfuzzer_sys::fuzz_target;
use std::io::Write;

/// What most inputs would never find by themselves.
const HEADER: &[u8] = b"source,market,price,confidence,published_at,received_at\n";

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    if kind % 4 == 0 {
        if let Ok(text) = std::str::from_utf8(bytes) {
            let (_, _, _, _) =
                (BarsArg::parse(text), BarPath::parse(text), args::parse_lag(text), args::parse_contract(text));
        }
        return;
    }
    let mut file = tempfile::Builder::new().suffix(".csv").tempfile().expect("a file");
    if kind % 4 != 1 {
        file.write_all(HEADER).expect("a write");
    }
    file.write_all(bytes).expect("a write");
    law::check(&FeedOptions::new(Vec::new(), vec![file.path().to_path_buf()]));
});
