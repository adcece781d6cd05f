//! The range of executed prices inside a long window, over its low: a move too large to be opened into, however evenly it
//! came. With [`super::velocity`] this is a volatility interruption in two windows.

use super::{MarketView, level};
use protocol::{MarketParams, Mode};

/// `(high - low) / low` against the swing thresholds. Without an executed price there is nothing to measure, and the held
/// level stays.
#[must_use]
pub fn detect(view: &MarketView, params: &MarketParams, held: Mode) -> Mode {
    let Some((low, high)) = view.swing else { return held };
    let detectors = &params.detectors;
    level(high.0.abs_diff(low.0), low, &detectors.swing, detectors, held)
}
