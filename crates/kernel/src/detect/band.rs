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
    if let Some(twap) = view.twap {
        return level(view.index.0.abs_diff(twap.0), twap, &detectors.band, detectors, held);
    }
    let Some((low, high)) = view.swing else { return held };
    let let_go = exit_of(detectors.band.cautious, detectors);
    if reaches(high.0.abs_diff(low.0), low, let_go) { held } else { Mode::Normal }
}
