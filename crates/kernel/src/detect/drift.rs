//! The distance of the index from its stable price: a slow walk under every other threshold, or a peg that no longer holds.

use super::{MarketView, level};
use protocol::{MarketParams, Mode, QualityState};

/// `|index - stable| / stable` against the drift thresholds. Without either the held level stays: less information is no
/// reason to let go.
#[must_use]
pub fn detect(view: &MarketView, params: &MarketParams, held: Mode) -> Mode {
    let Some(stable) = view.stable else { return held };
    if view.state == QualityState::None {
        return held;
    }
    let detectors = &params.detectors;
    level(view.index.0.abs_diff(stable.0), stable, &detectors.drift, detectors, held)
}
