//! A market's series as the JSON from which the page draws: times as milliseconds and steps, prices with eight digits, thinned to a
//! budget that all markets share.

use crate::feed::Micros;
use crate::replay::outcome::{IndexPoint, MarketOutcome, Outcome};
use serde_json::{Value, json};

/// Points in a whole page: some 6 MB of text.
const POINTS_PAGE: usize = 400_000;
/// Below this a chart shows too little to be worth opening. Many markets may so exceed the page's budget.
const POINTS_SERIES_MIN: usize = 200;
/// More than this no screen shows.
const POINTS_SERIES_MAX: usize = 4_000;
/// Liquidations in a whole page, and the bounds for a run in a market. Beyond, the largest are drawn and the page says so.
const LIQUIDATIONS_PAGE: usize = 200_000;
const LIQUIDATIONS_MIN: usize = 100;
const LIQUIDATIONS_MAX: usize = 2_000;

/// What one market may take of the page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// Points of each series.
    points: usize,
    /// Liquidations of each run.
    liquidations: usize,
}

impl Budget {
    /// What a market takes of a page that holds many replays.
    pub(super) const CHAPTER: Budget = Budget { points: 800, liquidations: 600 };

    /// Shares the page among the outcome's markets.
    pub(super) fn of(outcome: &Outcome) -> Self {
        let series: usize = outcome.markets.iter().map(|m| m.series.sources.len() + 1).sum();
        let runs = 2 * outcome.markets.len();
        Self {
            points: (POINTS_PAGE / series.max(1)).clamp(POINTS_SERIES_MIN, POINTS_SERIES_MAX),
            liquidations: (LIQUIDATIONS_PAGE / runs.max(1)).clamp(LIQUIDATIONS_MIN, LIQUIDATIONS_MAX),
        }
    }
}

/// All that the chart and the tables beside it need.
pub(super) fn market(market: &MarketOutcome, from: Micros, to: Micros, budget: Budget) -> Value {
    let Budget { points, liquidations: limit } = budget;
    let series = &market.series;
    let sources: Vec<Value> = market
        .sources
        .iter()
        .zip(&series.sources)
        .map(|(name, rows)| {
            let kept = thin(rows.len(), points, |i| rows[i].0, |i| rows[i].1);
            let steps = steps(kept.iter().map(|i| rows[*i].0));
            json!({ "name": name, "t": steps, "p": kept.iter().map(|i| short(rows[*i].1, 8)).collect::<Vec<_>>() })
        })
        .collect();
    let index = &series.index;
    let kept = thin(index.len(), points, |i| index[i].at, |i| index[i].index);
    let kept = with_changes(index, kept);
    json!({
        "market": market.market,
        "from": ms(from),
        "to": ms(to),
        "sources": sources,
        "index": {
            "t": steps(kept.iter().map(|i| index[*i].at)),
            "p": kept.iter().map(|i| short(index[*i].index, 8)).collect::<Vec<_>>(),
            "c": kept.iter().map(|i| short(index[*i].confidence, 4)).collect::<Vec<_>>(),
        },
        "states": changes(index.iter().map(|p| (p.at, p.state))),
        "rungs": changes(index.iter().map(|p| (p.at, p.rung))),
        "modes": changes(series.modes.iter().map(|(at, mode)| (*at, mode.as_str()))),
        "liquidations": {
            "policy": liquidations(market, "policy", limit),
            "competent": liquidations(market, "competent", limit),
        },
        "seconds_by_state": market.seconds_by_state,
        "seconds_by_mode": market.seconds_by_mode,
        "lineages": market.lineages,
        "hull_checks": market.hull_checks,
        "outside_hull": market.outside_hull,
        "window": market.arbitrage_window,
        "liquidated": market.liquidated,
        "unjustified": market.unjustified,
        "bad_debt_usd": market.bad_debt_usd,
    })
}

/// The positions of at most `limit` points, or a few more: first and last, and of every stretch of time the lowest and the highest, so
/// that no wick is lost.
fn thin(count: usize, limit: usize, at: impl Fn(usize) -> Micros, value: impl Fn(usize) -> f64) -> Vec<usize> {
    if count <= limit {
        return (0..count).collect();
    }
    let (first, last) = (at(0), at(count - 1));
    let stretches = (limit / 2).max(1) as i128;
    let span = i128::from(last - first).max(1);
    let stretch = |i: usize| (i128::from(at(i) - first) * stretches / (span + 1)).max(0);
    let mut kept = vec![0];
    let mut start = 0;
    while start < count {
        let mut end = start + 1;
        let (mut low, mut high) = (start, start);
        while end < count && stretch(end) == stretch(start) {
            if value(end) < value(low) {
                low = end;
            }
            if value(high) < value(end) {
                high = end;
            }
            end += 1;
        }
        kept.extend([low.min(high), low.max(high)]);
        start = end;
    }
    kept.push(count - 1);
    kept.dedup();
    kept
}

/// The same positions and those at which state or rung changes: the band and the line must break where they do.
fn with_changes(index: &[IndexPoint], mut kept: Vec<usize>) -> Vec<usize> {
    let changed = |i: &usize| (index[*i - 1].state, index[*i - 1].rung) != (index[*i].state, index[*i].rung);
    kept.extend((1..index.len()).filter(changed));
    kept.sort_unstable();
    kept.dedup();
    kept
}

/// (milliseconds, name) wherever the name changes.
fn changes<'a>(all: impl Iterator<Item = (Micros, &'a str)>) -> Vec<(i64, &'a str)> {
    let mut changes: Vec<(i64, &str)> = Vec::new();
    for (at, name) in all {
        if changes.last().is_none_or(|(_, last)| *last != name) {
            changes.push((ms(at), name));
        }
    }
    changes
}

fn liquidations(market: &MarketOutcome, run: &str, limit: usize) -> Value {
    let mut all: Vec<(i64, f64)> = Vec::new();
    all.extend(market.series.liquidations.iter().filter(|(_, _, of)| *of == run).map(|(at, usd, _)| (ms(*at), *usd)));
    let count = all.len();
    if limit < count {
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        all.truncate(limit);
        all.sort_by_key(|(at, _)| *at);
    }
    json!({
        "count": count,
        "t": steps(all.iter().map(|(at, _)| at * 1_000)),
        "usd": all.iter().map(|(_, usd)| short(*usd, 4)).collect::<Vec<_>>(),
    })
}

/// The first time in milliseconds, then each step to the next.
fn steps(times: impl Iterator<Item = Micros>) -> Vec<i64> {
    let mut last = 0;
    times
        .map(|at| {
            let step = ms(at) - last;
            last += step;
            step
        })
        .collect()
}

/// Milliseconds since 1970.
pub(super) fn ms(at: Micros) -> i64 {
    at.div_euclid(1_000)
}

/// So many significant digits: finer than any screen, and half the text.
fn short(value: f64, digits: usize) -> f64 {
    format!("{value:.*e}", digits - 1).parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_ends_and_extremes() {
        let mut values = vec![100.0; 10_000];
        values[4_321] = 1.0;
        values[7_777] = 900.0;
        let kept = thin(values.len(), 100, |i| i as i64 * 1_000_000, |i| values[i]);
        assert!(kept.len() <= 102, "{}", kept.len());
        assert!([0, 4_321, 7_777, 9_999].iter().all(|i| kept.contains(i)));
        assert!(kept.windows(2).all(|pair| pair[0] < pair[1]), "in order, each once");
        assert_eq!(thin(100, 100, |i| i as i64, |_| 0.0).len(), 100);
        assert_eq!(thin(101, 100, |_| 5, |_| 0.0).len(), 2);
        assert_eq!(thin(0, 100, |_| 0, |_| 0.0), Vec::<usize>::new());
    }

    #[test]
    fn every_change_of_state_is_kept() {
        let at = |at: i64, state| IndexPoint { at, index: 1.0, confidence: 0.0, state, rung: "Primary" };
        let index: Vec<IndexPoint> = (0..1_000).map(|i| at(i, if i == 500 { "Disputed" } else { "Agreed" })).collect();
        let kept = with_changes(&index, vec![0, 999]);
        assert_eq!(kept, [0, 500, 501, 999]);
        let changes = changes(index.iter().map(|p| (p.at * 1_000, p.state)));
        assert_eq!(changes, [(0, "Agreed"), (500, "Disputed"), (501, "Agreed")]);
    }

    #[test]
    fn times_are_steps_and_prices_short() {
        assert_eq!(steps([5_000_999, 6_001_000, 6_001_999].into_iter()), [5_000, 1_001, 0]);
        assert_eq!([short(117_123.456_789, 8), short(0.001, 8), short(12_345.6, 4)], [117_123.46, 0.001, 12_350.0]);
        assert_eq!(short(f64::INFINITY, 8), f64::INFINITY);
    }
}
