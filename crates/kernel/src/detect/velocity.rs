//! The range of executed prices inside a short window, over its low: a move too fast to be traded into.
//!
//! What counts is when prices were published, not when they came: what an outage held back did not happen at its end. Only
//! prices at which somebody traded count, where the market lists a source of them: quotes alone stop nobody.

use super::{MarketView, level};
use protocol::{MarketParams, Mode};

/// `(high - low) / low` against the velocity thresholds. Without an executed price there is nothing to measure, and
/// [`super::quorum`] speaks instead, so the held level stays.
#[must_use]
pub fn detect(view: &MarketView, params: &MarketParams, held: Mode) -> Mode {
    let Some((low, high)) = view.range else { return held };
    let detectors = &params.detectors;
    level(high.0.abs_diff(low.0), low, &detectors.velocity, detectors, held)
}
