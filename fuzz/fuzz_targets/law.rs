//! What holds of every outside file of prices.

use lab::feed::{Feed, FeedOptions};

/// A file that opens has every row used or listed, and its stream never goes back.
pub fn check(options: &FeedOptions) {
    let Ok(feed) = Feed::open(options) else { return };
    let counts = feed.counts();
    assert_eq!(counts.input, counts.used + counts.listed);
    let mut last = i64::MIN;
    for event in feed.replay().expect("a stream") {
        let event = event.expect("an event");
        assert!(last <= event.received_at && 0 < event.price);
        last = event.received_at;
    }
}
