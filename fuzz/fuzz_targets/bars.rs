//! Outside files of bars: every row is used or listed, the stream never goes back, and nothing panics.
#![no_main]

mod law;

use lab::feed::{BarsArg, FeedOptions};
use libfuzzer_sys::fuzz_target;
use std::io::Write;

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::Builder::new().prefix("binance_BTCUSDT_1m_").suffix(".csv").tempfile().expect("a file");
    file.write_all(bytes).expect("a write");
    law::check(&FeedOptions::new(vec![BarsArg::file(file.path())], Vec::new()));
});
