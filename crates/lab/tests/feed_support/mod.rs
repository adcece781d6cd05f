//! Files for the feed's tests, made on the spot.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::{Compression, write::GzEncoder};
use lab::feed::{BarsArg, Feed, FeedError, FeedEvent, FeedOptions};
use tempfile::TempDir;

/// 2025-10-10T20:45:00Z, in seconds.
pub(crate) const START: i64 = 1_760_129_100;
/// One second in microseconds.
pub(crate) const SECOND: i64 = 1_000_000;

/// A directory of generated files.
pub(crate) struct Files {
    dir: TempDir,
}

impl Files {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary directory") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("write");
        path
    }
}

pub(crate) fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

/// A file of bars of `venue_BTCUSDT`, one minute wide.
pub(crate) fn minute_bars(path: impl AsRef<Path>) -> BarsArg {
    let path = path.as_ref().display();
    BarsArg::parse(&format!("{path}:source=venue,market=BTC,quote=USDT,width=1m")).expect("parses")
}

pub(crate) fn open(arg: BarsArg) -> Result<Feed, FeedError> {
    let feed = Feed::open(&FeedOptions::new(vec![arg], vec![]))?;
    check_law(&feed);
    Ok(feed)
}

pub(crate) fn open_quotes(path: PathBuf) -> Result<Feed, FeedError> {
    let feed = Feed::open(&FeedOptions::new(vec![], vec![path]))?;
    check_law(&feed);
    Ok(feed)
}

/// in = used + listed; the stream has what was counted; it never goes back.
#[track_caller]
pub(crate) fn check_law(feed: &Feed) {
    let counts = feed.counts();
    assert_eq!(counts.input, counts.used + counts.listed, "{counts:?}");
    assert_eq!(counts.rows, counts.input + counts.filtered, "{counts:?}");
    let mut seen = 0;
    let mut last = i64::MIN;
    for event in feed.replay().expect("replay") {
        let event = event.expect("read back");
        assert!(last <= event.received_at, "the stream goes back at line {}", event.line);
        assert!(event.published_at <= event.received_at);
        assert!(0 < event.price);
        last = event.received_at;
        seen += 1;
    }
    assert_eq!(seen, counts.observations);
}

pub(crate) fn events(feed: &Feed) -> Vec<FeedEvent> {
    feed.replay().expect("replay").map(|event| event.expect("read back")).collect()
}

/// `line:reason` of everything listed, by line.
pub(crate) fn listed(feed: &Feed) -> String {
    let mut all: Vec<(u64, &str)> = feed.quarantine.samples().map(|l| (l.line, l.reason.name())).collect();
    all.sort_unstable();
    all.iter().map(|(line, reason)| format!("{line}:{reason}")).collect::<Vec<_>>().join(" ")
}

/// The decisions that say this.
pub(crate) fn echoes(feed: &Feed, what: &str) -> usize {
    feed.decisions.iter().filter(|d| d.contains(what)).count()
}
