//! Sources that stand at the bound of what they can report: the price may be anywhere beyond.

use super::{MarketView, level};
use protocol::{MarketParams, Mode};
use units::Ratio;

/// The share of the listed weight that is fresh and stuck against the thresholds. Who was stuck and comes off its bound
/// says so at once.
#[must_use]
pub fn detect(view: &MarketView, params: &MarketParams, held: Mode) -> Mode {
    if view.stuck == Ratio::ZERO {
        return Mode::Normal;
    }
    let detectors = &params.detectors;
    level(i128::from(view.stuck.0), i128::from(Ratio::ONE.0), &detectors.stuck, detectors, held)
}
