//! Sources that stand at the bound of what they can report: the price may be anywhere beyond.

use super::{MarketView, reaches};
use protocol::{MarketParams, Mode};
use units::{Price, Ratio};

/// The share of the listed voices that are fresh and stuck against the thresholds. Who was stuck and comes off its bound
/// says so at once: a share has no edge on which it flaps.
#[must_use]
pub fn detect(view: &MarketView, params: &MarketParams, _held: Mode) -> Mode {
    let thresholds = &params.detectors.stuck;
    let reached = |threshold: Ratio| reaches(view.stuck.0.max(0).unsigned_abs(), Price(Ratio::ONE.0), threshold);
    if reached(thresholds.reduce_only) {
        Mode::ReduceOnly
    } else if reached(thresholds.cautious) {
        Mode::Cautious
    } else {
        Mode::Normal
    }
}
