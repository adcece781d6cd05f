//! The time-weighted average and the mark.

use super::{Room, int};
use kernel::mark::Mark;
use kernel::window::{TWAP_SLOTS, Twap};
use protocol::MarketId;
use protocol::input::BookTop;
use protocol::params::MarkParams;
use serde_json::{Value, json};
use units::{Duration, Price, Ratio, Timestamp};

/// A story of a price: what it was, from when until when, in seconds.
type Spans<'a> = &'a [(i64, i64, i64)];

pub(super) fn twap() -> Room {
    let constant: Vec<(i64, i64, i64)> = (0..48).map(|hour| (100, hour * 3_600, (hour + 1) * 3_600)).collect();
    let stories: [(&str, i64, Spans<'_>); 6] = [
        ("nothing observed", 60, &[]),
        ("half of the window, weighed by time", 60, &[(100, 0, 10), (200, 10, 30)]),
        ("a constant price at an hourly cadence is its own average", 3_600, &constant),
        ("what leaves the window leaves the average", 60, &[(100, 0, 60), (300, 60, 90)]),
        ("a gap is not filled in", 60, &[(100, 0, 10), (400, 50, 60)]),
        ("a step takes the whole window to be believed", 3_600, &[(100, 0, 3_600), (1_000, 3_600, 5_400)]),
    ];
    Room {
        name: "twap",
        says: "time is cut into slots of floor(window / slots) microseconds since the epoch; a span adds price times \
               microseconds to the slots that it covers, and only the newest `slots` slots count; average = \
               floor(sum of price times time / time observed), null where nothing was observed; coverage = \
               min(1, floor(time observed / window))",
        units: "price: any unit; from, to, window: microseconds; coverage: parts of 10^12",
        cases: stories.iter().map(|(name, window, spans)| twap_case(name, Duration::seconds(*window), spans)).collect(),
    }
}

fn twap_case(name: &str, window: Duration, spans: Spans<'_>) -> (String, Value, Value) {
    let mut twap = Twap::new();
    let mut listed = Vec::new();
    for (price, from, to) in spans {
        let (from, to) = (Timestamp(from * 1_000_000), Timestamp(to * 1_000_000));
        twap.observe(window, |_| Ratio(i64::MAX), Price(*price), from, to);
        listed.push(json!({ "price": price, "from": from.0, "to": to.0 }));
    }
    let average = twap.average().map_or(Value::Null, |average| int(average.0));
    let input = json!({ "window": window.0, "slots": TWAP_SLOTS, "spans": listed });
    (name.to_owned(), input, json!({ "average": average, "coverage": int(twap.coverage(window).0) }))
}

const PARAMS: MarkParams = MarkParams {
    premium_max: Ratio::bps(50),
    premium_window: Duration::seconds(150),
    step_max: Ratio::percent(2),
    step_window: Duration::seconds(1),
};

pub(super) fn step() -> Room {
    let stories: [(&str, &[(i64, i64)]); 6] = [
        ("the first index is the mark", &[(1_000_000, 0)]),
        ("within a step the mark is at the index", &[(1_000_000, 0), (1_020_000, 100), (1_000_000, 200)]),
        ("beyond it takes two windows a step", &[(1_000_000, 0), (900_000, 100), (900_000, 1_000), (900_000, 2_000)]),
        (
            "up and down in one window no farther than a step",
            &[(1_000_000, 0), (1_050_000, 100), (950_000, 200), (950_000, 999), (950_000, 1_000)],
        ),
        ("without an index it stays", &[(1_000_000, 0), (900_000, 100), (0, 1_100), (900_000, 1_200)]),
        ("one unit may always be stepped", &[(10, 0), (5, 100), (5, 1_000), (5, 2_500)]),
    ];
    Room {
        name: "mark_step",
        says: "without a premium the target is the index; the first mark is the target and begins a window; an index of zero \
               or less leaves the mark; otherwise, where step_window or more has passed since the window began, a new one \
               begins at the mark that is, and the one before is kept, or where twice that has passed only that mark of it; \
               mark = target, but no farther below the highest mark of both than max(1, floor(highest * step_max)) and no \
               farther above the lowest than max(1, floor(lowest * step_max))",
        units: "index, mark: price units; at, step_window: microseconds; step_max: parts of 10^12",
        cases: stories.iter().map(|(name, indexes)| step_case(name, indexes)).collect(),
    }
}

fn step_case(name: &str, indexes: &[(i64, i64)]) -> (String, Value, Value) {
    let mut mark = Mark::NONE;
    let (mut listed, mut marks) = (Vec::new(), Vec::new());
    for (index, millis) in indexes {
        let at = Timestamp(millis * 1_000);
        mark.follow(Price(*index), &PARAMS, at);
        listed.push(json!({ "index": index, "at": at.0 }));
        marks.push(int(mark.price.0));
    }
    let input = json!({
        "step_max": int(PARAMS.step_max.0),
        "step_window": PARAMS.step_window.0,
        "indexes": listed,
    });
    (name.to_owned(), input, json!({ "marks": marks }))
}

/// A book's best bid and ask, and the second at which it was seen.
type Tops<'a> = &'a [(i64, i64, i64)];

pub(super) fn mark() -> Room {
    let stories: [(&str, i64, i64, Tops<'_>); 9] = [
        ("without a book the mark is the index", 1_000_000, 0, &[]),
        ("a premium is half believed after one window", 1_000_000, 150, &[(1_003_900, 1_004_100, 150)]),
        ("no look is believed by more than half", 1_000_000, 900, &[(1_003_900, 1_004_100, 900)]),
        ("a premium is clamped before it is averaged", 1_000_000, 150, &[(2_000_000, 2_000_200, 150)]),
        ("a discount pulls down", 1_000_000, 100, &[(997_000, 999_001, 50), (996_000, 998_000, 100)]),
        ("a book that is not heard fades", 1_000_000, 601, &[(1_003_900, 1_004_100, 150)]),
        ("a premium fades with an empty book", 1_000_000, 230, &[(1_003_900, 1_004_100, 150), (0, 0, 230)]),
        ("a crossed or one-sided book says nothing", 1_000_000, 20, &[(0, 1_001_000, 10), (1_001_000, 1_000_000, 20)]),
        ("a premium of a fraction is rounded down", 3, 75, &[(3, 4, 75)]),
    ];
    Room {
        name: "mark",
        says: "premium starts at 0 at time 0; a premium that is older than window counts as premium * window / its age, cut \
               off toward zero; a book with 0 < bid < ask samples floor((floor((bid + ask) / 2) - index) / index), clamped \
               to plus or minus premium_max, any other book samples 0; premium = (premium * window + sample * dt) / \
               (window + dt), cut off toward zero and clamped, with dt at most window; mark = max(1, floor(index * (1 + \
               premium))) at the time of asking",
        units: "index, bid, ask, mark: price units; at, asked_at, premium_window: microseconds; premium: parts of 10^12",
        cases: stories.iter().map(|(name, index, asked, tops)| mark_case(name, Price(*index), *asked, tops)).collect(),
    }
}

fn mark_case(name: &str, index: Price, asked: i64, tops: Tops<'_>) -> (String, Value, Value) {
    let params = PARAMS;
    let mut mark = Mark { premium_at: Timestamp(0), ..Mark::NONE };
    let mut listed = Vec::new();
    for (bid, ask, second) in tops {
        let top = BookTop { market: MarketId(0), bid: Price(*bid), ask: Price(*ask) };
        let at = Timestamp(second * 1_000_000);
        mark.observe_book(&top, index, true, &params, at);
        listed.push(json!({ "bid": bid, "ask": ask, "at": at.0 }));
    }
    let asked_at = Timestamp(asked * 1_000_000);
    mark.follow(index, &params, asked_at);
    let input = json!({
        "index": index.0,
        "premium_max": int(params.premium_max.0),
        "premium_window": params.premium_window.0,
        "books": listed,
        "asked_at": asked_at.0,
    });
    (name.to_owned(), input, json!({ "premium": int(mark.premium.0), "mark": int(mark.price.0) }))
}
