//! News so old that the price has probably gone somewhere else: information age times volatility, where plain seconds say as much
//! of a quiet market as of a wild one.

use super::MarketView;
use protocol::{MarketParams, Mode, QualityState};
use units::{Duration, Price, Ratio, Rounding};

/// `(high - low) / low` of the swing window, times the root of the age over that window, against the staleness thresholds. Without
/// executed prices or a price the held level stays. News says at once that it is new.
#[must_use]
pub fn detect(view: &MarketView, params: &MarketParams, held: Mode) -> Mode {
    // Most markets, most of the time.
    if view.staleness == Duration::ZERO && view.state != QualityState::None {
        return Mode::Normal;
    }
    let Some(range) = view.swing.filter(|_| view.state != QualityState::None) else { return held };
    let detectors = &params.detectors;
    let reached = |threshold| reaches(view.staleness, range, detectors.swing_window, threshold);
    if reached(detectors.staleness.reduce_only) {
        Mode::ReduceOnly
    } else if reached(detectors.staleness.cautious) {
        Mode::Cautious
    } else {
        Mode::Normal
    }
}

/// Whether `threshold <= range * √(age / window)`, by squares of millionths: the range's share of its low rounded up, the threshold
/// down. What does not fit is unknown, and unknown is reached.
fn reaches(age: Duration, (low, high): (Price, Price), window: Duration, threshold: Ratio) -> bool {
    const MILLIONTH: i64 = Ratio::ONE.0 / 1_000_000;
    let range = Ratio::of_parts(high.distance(low), low.0.max(1).into(), Rounding::Up);
    let millionths = |ratio: Ratio| i128::from(ratio.0 / MILLIONTH);
    let Some(range) = range.map(|range| millionths(range).saturating_add(1)) else { return true };
    let threshold = millionths(threshold);
    let moved = range.checked_mul(range).and_then(|square| square.checked_mul(age.0.into()));
    let limit = threshold.checked_mul(threshold).and_then(|square| square.checked_mul(window.0.into()));
    match (moved, limit) {
        (Some(moved), Some(limit)) => limit <= moved,
        (None, _) | (_, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_four_percent_an_hour_is_one_percent_after_a_sixteenth_of_it() {
        let range = (Price(1_000_000), Price(1_039_999));
        let reached = |seconds: i64, bps: i64| {
            reaches(Duration::seconds(seconds), range, Duration::seconds(3_600), Ratio::bps(bps))
        };
        assert!(reached(225, 100) && !reached(224, 100));
        assert!(reached(900, 200) && !reached(899, 200));
        assert!(!reached(0, 1));
        assert!(reaches(Duration(i64::MAX), (Price(1), Price(i64::MAX)), Duration(1), Ratio(i64::MAX)));
    }
}
