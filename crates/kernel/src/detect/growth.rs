//! The open interest grows faster than a market does: whoever builds it up means to leave it to somebody.

use super::{MarketView, measured};
use protocol::{MarketParams, Mode};

/// `growth` against the growth thresholds.
#[must_use]
pub fn detect(view: &MarketView, params: &MarketParams, held: Mode) -> Mode {
    measured(view.measures.growth, &params.activity.growth, &params.detectors, held)
}
