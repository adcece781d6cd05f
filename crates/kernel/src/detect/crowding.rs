//! More is open than the book could let out. Without a report of the depth there is nothing to measure.

use super::{MarketView, measured};
use protocol::{MarketParams, Mode};

/// `crowding` against the crowding thresholds.
#[must_use]
pub fn detect(view: &MarketView, params: &MarketParams, held: Mode) -> Mode {
    measured(view.measures.crowding, &params.activity.crowding, &params.detectors, held)
}
