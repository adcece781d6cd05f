//! Outside files of bars: every row is used or listed, the stream never goes back, and nothing panics.
#![no_main]

use lab::feed::{BarsArg, Feed, FeedOptions};
use libfuzzer_sys::fuzz_target;
use std::io::Write;

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::Builder::new().prefix("binance_BTCUSDT_1m_").suffix(".csv").tempfile().expect("a file");
    file.write_all(bytes).expect("a write");
    let Ok(feed) = Feed::open(&FeedOptions::new(vec![BarsArg::file(file.path())], Vec::new())) else { return };
    let counts = feed.counts();
    assert_eq!(counts.input, counts.used + counts.listed);
    let mut last = i64::MIN;
    for event in feed.replay().expect("a stream") {
        let event = event.expect("an event");
        assert!(last <= event.received_at && 0 < event.price);
        last = event.received_at;
    }
});
