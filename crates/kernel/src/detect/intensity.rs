//! Liquidations that bring on liquidations: so much of a market was closed by force within the window.

use super::{MarketView, measured};
use protocol::{MarketParams, Mode};

/// `intensity` against the intensity thresholds.
#[must_use]
pub fn detect(view: &MarketView, params: &MarketParams, held: Mode) -> Mode {
    measured(view.measures.intensity, &params.activity.intensity, &params.detectors, held)
}
