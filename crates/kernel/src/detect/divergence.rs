//! The venue's own book stands apart from the market outside for longer than a moment.

use super::{MarketView, measured};
use protocol::{MarketParams, Mode};

/// `divergence` against the divergence thresholds.
#[must_use]
pub fn detect(view: &MarketView, params: &MarketParams, held: Mode) -> Mode {
    measured(view.measures.divergence, &params.activity.divergence, &params.detectors, held)
}
