//! The weighted median and what it is worth, at a market's first evaluation.

use super::{Room, int, scene};
use kernel::index::Index;
use protocol::input::Observation;
use protocol::params::SourceParams;
use protocol::{LineageId, MarketId, QualityState, Rung, SourceId};
use serde_json::{Value, json};
use units::{Duration, Price, Timestamp};

/// What one source says at the moment of the evaluation.
#[derive(Clone, Copy)]
struct Says {
    price: i64,
    weight: u32,
    lineage: u8,
    confidence: i64,
    /// How long before the evaluation it was published, in milliseconds; negative where it claims the future.
    age: i64,
}

const AT: Timestamp = Timestamp(1_760_131_200_000_000);

/// Sources of weight one, each of its own lineage.
fn plain(prices: &[i64]) -> Vec<Says> {
    (0..).zip(prices).map(|(lineage, price)| says(*price, 1, lineage)).collect()
}

fn says(price: i64, weight: u32, lineage: u8) -> Says {
    Says { price, weight, lineage, confidence: 0, age: 0 }
}

pub(super) fn room() -> Room {
    let stories: Vec<(&str, Vec<Says>)> = vec![
        ("nobody speaks", Vec::new()),
        ("one source is its own median, and degraded", plain(&[10_000])),
        ("two sources: the midpoint", plain(&[10_000, 10_050])),
        ("the midpoint is rounded down", plain(&[10_000, 10_001])),
        ("three sources: the middle one", plain(&[10_000, 10_020, 10_070])),
        ("four sources: the midpoint of the middle two", plain(&[10_000, 10_010, 10_021, 10_070])),
        (
            "half of the weight at one source: the midpoint with the next",
            vec![says(10_000, 2, 0), says(10_010, 1, 1), says(10_030, 1, 2)],
        ),
        (
            "more than half of the weight at one source",
            vec![says(10_000, 3, 0), says(10_010, 1, 1), says(10_030, 1, 2)],
        ),
        (
            "weights 3, 2, 2, 1, 1, 1, 1, 1",
            vec![
                says(10_007, 3, 0),
                says(10_001, 2, 1),
                says(10_003, 2, 2),
                says(10_010, 1, 3),
                says(10_020, 1, 4),
                says(9_990, 1, 5),
                says(10_000, 1, 6),
                says(10_005, 1, 7),
            ],
        ),
        ("exactly the dispute limit apart is no contradiction", plain(&[10_000, 10_000, 10_200])),
        ("one past the dispute limit is, but three lineages outvote it", plain(&[10_000, 10_000, 10_000, 10_201])),
        ("two lineages do not outvote", plain(&[10_000, 10_000, 10_201])),
        ("three of five lineages do not outvote", plain(&[10_000, 10_000, 10_000, 10_201, 10_201])),
        ("five of seven do", plain(&[10_000, 10_000, 10_000, 10_000, 10_000, 10_201, 10_201])),
        ("two sources far apart: nobody has a majority", plain(&[10_000, 10_300])),
        ("a liar far away has no pull on the median", plain(&[10_000, 10_002, 10_004, 10_000_000])),
        (
            "one lineage through three sources is one voice",
            vec![says(10_000, 1, 5), says(10_001, 1, 5), says(10_002, 1, 5)],
        ),
        (
            "two feeds of one lineage share the weight of the heavier",
            vec![says(10_000, 3, 0), says(10_010, 2, 0), says(10_030, 2, 1), says(10_050, 1, 2)],
        ),
        (
            "a lineage whose other feed is stale speaks with what is left of it",
            vec![Says { age: 10_001, ..says(10_000, 3, 0) }, says(10_010, 2, 0), says(10_030, 3, 1)],
        ),
        (
            "of two sources both must be held",
            vec![Says { confidence: 30, ..says(10_000, 1, 0) }, Says { confidence: 5, ..says(10_010, 1, 1) }],
        ),
        (
            "of three sources one does not widen the confidence alone",
            vec![
                Says { confidence: 190, ..says(10_000, 1, 0) },
                says(10_000, 1, 1),
                Says { confidence: 5, ..says(10_010, 1, 2) },
            ],
        ),
        (
            "a heavy source does not narrow it alone",
            vec![says(10_000, 5, 0), Says { confidence: 7, ..says(10_020, 1, 1) }, says(10_090, 1, 2)],
        ),
        (
            "exactly the confidence limit passes",
            vec![Says { confidence: 200, ..says(10_000, 1, 0) }, says(10_000, 1, 1), says(10_000, 1, 2)],
        ),
        (
            "one past the confidence limit does not",
            vec![Says { confidence: 201, ..says(10_000, 1, 0) }, says(10_000, 1, 1), says(10_000, 1, 2)],
        ),
        (
            "one source of three fifths of the weight is no majority against two lineages",
            vec![says(10_000, 3, 0), says(10_250, 1, 1), says(10_260, 1, 2)],
        ),
        (
            "against two feeds of one it is, and contradicted",
            vec![says(10_000, 3, 0), says(10_250, 1, 1), says(10_260, 1, 1)],
        ),
        ("exactly the age limit is fresh", vec![Says { age: 10_000, ..says(10_000, 1, 0) }, says(10_100, 1, 1)]),
        ("past the age limit is not", vec![Says { age: 10_001, ..says(10_000, 1, 0) }, says(10_100, 1, 1)]),
        ("exactly the future limit passes", vec![Says { age: -1_000, ..says(10_000, 1, 0) }, says(10_100, 1, 1)]),
        (
            "past the future limit is nonsense that weighs against",
            vec![Says { age: -1_001, ..says(10_000, 1, 0) }, says(10_100, 1, 1)],
        ),
        (
            "zero and negative prices are nonsense that weighs against",
            vec![says(0, 1, 0), says(-5, 1, 1), says(10_000, 1, 2), says(10_000, 1, 3), says(10_000, 1, 4)],
        ),
    ];
    Room {
        name: "index",
        says: "a source whose age is above age_max is absent, as if it had never spoken; one with price <= 0, age < \
               -future_max, or confidence / price > confidence_max is present but not usable. A lineage has one voice: where any \
               lineage is listed twice, every present source weighs floor(weight * h * 720720 / s), with h the heaviest and \
               s the sum of the lineage's present weights, but the first of them what the others leave of h * 720720, and \
               the weight listed is 720720 times the sum over lineages of the heaviest listed. Sort the usable by price. \
               Median: the price at which the cumulative weight passes half, or where it meets exactly half the midpoint, \
               rounded down, with the next. Taken over all usable, then again over those within `dispute` (distance / \
               median <= dispute) of the first, if there are any. Supporters: usable within `agree` of the value. \
               Contradicted: by a usable that does not support and lies more than floor(dispute * value) from another. \
               Majority: 2 * supporting weight > weight present; but none where fewer lineages support than min(lineages_min, \
               lineages listed), and of the usable that do not support as many lie within `agree` of one of them. Disputed where there is no majority, or where it is contradicted and fewer than overrule_lineages \
               lineages or no more than two thirds of the usable ones support; otherwise Agreed from lineages_min supporting \
               lineages on, Degraded below; None where nobody is usable. The width of a source: its distance plus its own \
               confidence. Confidence: the largest width of the usable where disputed; otherwise, of those within `dispute`, \
               the smallest width up to which lies more than half of their weight and of their lineages lineages_min, or as many \
               as there are; coverage = floor(supporting weight / weight listed); age of the \
               newest usable, at least 0",
        units: "price, confidence, value: price units; age, age_max, future_max: microseconds; agree, dispute, \
                confidence_max, coverage: parts of 10^12; state: 0 Agreed, 1 Degraded, 2 Disputed, 3 None",
        cases: stories.iter().map(|(name, sources)| case(name, sources)).collect(),
    }
}

fn case(name: &str, sources: &[Says]) -> (String, Value, Value) {
    let mut params = scene::market();
    let oracle = params.oracle;
    let listed =
        |says: &Says| SourceParams { weight: says.weight, lineage: LineageId(says.lineage), ..scene::source(0) };
    params.sources = sources.iter().map(listed).collect();
    let panel = params.panel(Rung::Primary);
    let mut index = Index::new(&panel);
    for (source, says) in (0..).zip(sources) {
        let published_at = Timestamp(AT.0 - says.age * 1_000);
        let seen = Observation {
            market: MarketId(0),
            source: SourceId(source),
            observer: 0,
            price: Price(says.price),
            confidence: Price(says.confidence),
            published_at,
            received_at: AT,
        };
        // A case that the index refuses would be seen: its source would be missing from what is expected.
        let _refused = index.observe(&seen, &panel, None, AT);
    }
    index.evaluate(&panel, AT);
    let quality = index.quality();
    let said = |says: &Says| {
        json!({ "price": int(says.price), "weight": says.weight, "lineage": says.lineage,
            "confidence": int(says.confidence), "age": int(Duration::millis(says.age).0) })
    };
    let input = json!({
        "sources": sources.iter().map(said).collect::<Vec<_>>(),
        "age_max": int(oracle.age_max.0),
        "future_max": int(oracle.future_max.0),
        "confidence_max": int(oracle.confidence_max.0),
        "agree": int(oracle.agree.0),
        "dispute": int(oracle.dispute.0),
        "lineages_min": oracle.lineages_min,
        "overrule_lineages": oracle.overrule_lineages,
    });
    let state = match quality.state {
        QualityState::Agreed => 0,
        QualityState::Degraded => 1,
        QualityState::Disputed => 2,
        QualityState::None => 3,
    };
    let expected = json!({
        "value": int(quality.value.0),
        "state": state,
        "lineages": quality.lineages,
        "confidence": int(quality.confidence.0),
        "coverage": int(quality.coverage.0),
        "age": int(quality.age.0),
    });
    (name.to_owned(), input, expected)
}
