//! Vectors that come as data: an exchange's margin tiers and an oracle's aggregation cases. Skipped where the data is
//! not there.

use crate::common::{market, observation, source};
use flate2::read::GzDecoder;
use kernel::index::Index;
use kernel::margin::requirement;
use num_bigint::BigInt;
use num_integer::Integer;
use protocol::params::{MarketParams, Tier};
use protocol::{Input, LineageId, PriceQuality, QualityState, Rung};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use units::{Price, Ratio, Timestamp};

const NOW: i64 = 1_760_131_200_000_000;

fn set(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: no {}", path.display());
    None
}

/// Parts of 10^`digits` of a decimal number, exactly.
fn decimal(text: &str, digits: u32) -> i128 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = fraction.trim_end_matches('0');
    let scale = 10_i128.pow(digits - u32::try_from(fraction.len()).unwrap());
    (whole.to_owned() + fraction).parse::<i128>().unwrap() * scale
}

/// A bracket: upper bound and what the exchange subtracts, micro-USD, and its rate.
struct Bracket {
    from: i128,
    to: i128,
    rate: i128,
    subtracted: i128,
}

/// `binance_leverage_tiers` (USD-M brackets, 24 October 2024): maintenance is `notional · rate - cum_maint_amount`. Ours
/// is a sum over tiers of marginal rates; it gives the same at every edge, one micro-dollar on both sides of it, and in
/// the middle of every bracket, and so is continuous and rising.
#[test]
fn an_exchange_s_tiers_give_its_maintenance_amounts() {
    let Some(path) = set("binance_leverage_tiers/tiers.csv.gz") else { return };
    let mut rows = csv::Reader::from_reader(GzDecoder::new(std::fs::File::open(path).unwrap()));
    let mut symbols: BTreeMap<String, Vec<Bracket>> = BTreeMap::new();
    for row in rows.records() {
        let row = row.unwrap();
        let bracket = Bracket {
            from: decimal(&row[2], 6),
            // One bracket has no upper end, which a float wrote as 9.22e18.
            to: if row[3].contains('e') { 10 * decimal(&row[2], 6) } else { decimal(&row[3], 6) },
            rate: decimal(&row[4], 12),
            subtracted: decimal(&row[6], 6),
        };
        symbols.entry(row[0].to_owned()).or_default().push(bracket);
    }
    let mut compared = 0;
    for (symbol, brackets) in &symbols {
        let rate = |bracket: &Bracket| Ratio(i64::try_from(bracket.rate).unwrap());
        let tiers: Vec<Tier> = brackets
            .iter()
            .map(|bracket| Tier {
                notional_from: i64::try_from(bracket.from).unwrap(),
                initial: rate(bracket),
                maintenance: rate(bracket),
            })
            .collect();
        assert!(tiers.len() <= MarketParams::TIERS_MAX, "{symbol} has {} tiers", tiers.len());
        let ours = |notional| requirement(notional, &tiers, |tier| tier.maintenance);
        let mut below = 0;
        for bracket in brackets {
            for notional in [bracket.from + 1, bracket.from.midpoint(bracket.to), bracket.to - 1, bracket.to] {
                let theirs = notional * bracket.rate - bracket.subtracted * 1_000_000_000_000;
                assert_eq!(ours(notional), theirs, "{symbol} at {notional}");
                assert!(below < theirs, "{symbol} rises at {notional}");
                below = theirs;
                compared += 1;
            }
            // Continuous: one micro-dollar past the edge costs one micro-dollar's rate more, at most all of it.
            assert!(ours(bracket.to + 1) - ours(bracket.to) <= 1_000_000_000_000, "{symbol} at {}", bracket.to);
        }
    }
    assert_eq!((symbols.len(), compared), (219, 4 * 1_739), "every bracket of every symbol was compared");
}

/// `oracle_pyth_aggregation_vectors`: what Pyth makes of quotes with confidences. It takes the median of every price and
/// both edges of its confidence, we take the median of prices; so ours lies within its confidence everywhere, is the
/// same number where claims are alike, and differs where a narrow claim pulls more than a wide one, or where a price is
/// a multiple of the others and ours leaves it out.
#[test]
fn a_median_of_prices_lies_within_the_confidence_of_a_median_of_claims() {
    let Some(dir) = set("oracle_pyth_aggregation_vectors/aggregation") else { return };
    let same = ["6", "11", "14", "18", "20", "21", "23", "27"];
    let (mut equal, mut differ) = (Vec::new(), Vec::new());
    for file in std::fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let case: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let result = std::fs::read_to_string(path.with_extension("result")).unwrap();
        let result: Value = serde_json::from_str(&result).unwrap();
        let prices: Vec<i64> =
            case["quotes"].as_array().unwrap().iter().map(|quote| quote["price"].as_i64().unwrap()).collect();
        let found = plain(&prices);
        if name == "2" {
            // A price of -10.000: theirs trades at it, ours has no price.
            assert_eq!(found.state, QualityState::None);
            continue;
        }
        let (price, confidence) = (result["price"].as_i64().unwrap(), result["conf"].as_i64().unwrap());
        let away = found.value.distance(Price(price));
        assert!(away <= i128::from(confidence), "{name}: {} against {price} within {confidence}", found.value.0);
        // And ours is the middle price, by sorting.
        assert_eq!(found.value, middle(&prices), "{name}");
        if away == 0 { equal.push(name) } else { differ.push((name, found.value.0, price)) }
    }
    equal.sort_by_key(|name| name.parse::<u32>().unwrap());
    differ.sort();
    assert_eq!(equal, same);
    assert_eq!(equal.len() + differ.len(), 20, "{differ:?}");
}

/// Cases 35 and 37: five sources between 40,000 and 40,004, two far below or far above all of them, each sure of itself.
/// Theirs leaves the range of the five (39,994 and 40,010). On purpose two far voices of seven have no pull here.
#[test]
fn two_far_voices_of_seven_have_no_pull_on_purpose() {
    for far in [40_000_000_000, 400_000_000_000_000] {
        let near = [4_000_000_000_000, 4_000_100_000_000, 4_000_200_000_000, 4_000_300_000_000, 4_000_400_000_000];
        let prices = [&near[..], &[far, far]].concat();
        let params = sources(prices.len(), market(1));
        let found = evaluate(&params, &prices);
        assert_eq!((found.value, found.state), (Price(4_000_200_000_000), QualityState::Agreed));
    }
}

/// Case 22: 10,000.000 twice and 10,010.000; their 10,001.000 comes from the widths that each claims. With a policy
/// that bounds claims, a source can't buy pull with a narrow one.
#[test]
fn a_narrow_claim_buys_no_pull_on_purpose() {
    assert_eq!(plain(&[10_000_000, 10_010_000, 10_000_000]).value, Price(10_000_000));
}

/// As many sources, each of its own lineage.
fn sources(count: usize, mut params: MarketParams) -> MarketParams {
    params.sources = (0..u8::try_from(count).unwrap()).map(source).collect();
    for (lineage, source) in (0..).zip(&mut params.sources) {
        source.lineage = LineageId(lineage);
    }
    params
}

/// The median with limits so wide that nobody is far.
fn plain(prices: &[i64]) -> PriceQuality {
    let mut params = sources(prices.len(), market(1));
    (params.oracle.agree, params.oracle.dispute) = (Ratio(Ratio::ONE.0 - 1), Ratio(Ratio::ONE.0 - 1));
    // What lies more than the whole value above it is far from it at any limit; the median of what is near can differ.
    evaluate(&params, prices)
}

fn evaluate(params: &MarketParams, prices: &[i64]) -> PriceQuality {
    let panel = params.panel(Rung::Primary);
    let mut index = Index::new(&panel);
    for (place, price) in (0..).zip(prices) {
        let Input::Observation(seen) = observation(0, place, *price, NOW, NOW) else { unreachable!() };
        index.observe(&seen, &panel, None, Timestamp(NOW)).unwrap();
    }
    index.evaluate(&panel, Timestamp(NOW));
    *index.quality()
}

/// The middle of the positive prices that lie within twice the median of all of them.
fn middle(prices: &[i64]) -> Price {
    let median = |sorted: &[i64]| {
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        i64::try_from((BigInt::from(low) + high).div_floor(&2.into())).unwrap()
    };
    let mut sorted: Vec<i64> = prices.iter().copied().filter(|price| 0 < *price).collect();
    sorted.sort_unstable();
    let first = median(&sorted);
    let near = |price: &i64| {
        (i128::from(*price) - i128::from(first)).abs() * 1_000_000_000_000 <= i128::from(first) * 999_999_999_999
    };
    let near: Vec<i64> = sorted.into_iter().filter(near).collect();
    Price(median(&near))
}
