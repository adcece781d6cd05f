//! The distance of the index from its own time-weighted average: a move that has not been lived with yet.

use super::{MarketView, level};
use protocol::{MarketParams, Mode, QualityState};

/// `|index - twap| / twap` against the band thresholds. An average over too little of its window is not used; then the
/// held level stays, since less information is no reason to let go.
#[must_use]
pub fn detect(view: &MarketView, params: &MarketParams, held: Mode) -> Mode {
    let detectors = &params.detectors;
    let Some(twap) = view.twap else { return held };
    if view.state == QualityState::None || view.twap_coverage < detectors.twap_coverage_min {
        return held;
    }
    level(view.index.distance(twap), i128::from(twap.0), &detectors.band, detectors, held)
}
