//! The distance of the index from its own time-weighted average: a move that has not been lived with yet.

use super::{MarketView, exit_of, level, reaches};
use protocol::{MarketParams, Mode, QualityState};

/// `|index - twap| / twap` against the band thresholds. An average over too little of its window is not used. Then the held
/// level stays, since less information is no reason to let go, but not for ever: a feed too slow for the average, which
/// tripped it when it was faster, is let go by a swing's window in which nothing moved as far as the band lets go.
#[must_use]
pub fn detect(view: &MarketView, params: &MarketParams, held: Mode) -> Mode {
    let detectors = &params.detectors;
    if view.state == QualityState::None {
        return held;
    }
    if let Some(twap) = view.twap
        && detectors.twap_coverage_min <= view.twap_coverage
    {
        return level(view.index.distance(twap), i128::from(twap.0), &detectors.band, detectors, held);
    }
    let Some((low, high)) = view.swing else { return held };
    let let_go = exit_of(detectors.band.cautious, detectors);
    if reaches(high.distance(low), i128::from(low.0), let_go) { held } else { Mode::Normal }
}
