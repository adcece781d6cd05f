//! The chain on which accounts act is slow, dear, late to be final, or stands still. Where none is reported there is none.

use super::{MarketView, measured};
use protocol::{MarketParams, Mode};

/// The worst of its measures, over what is usual, against the distress thresholds.
#[must_use]
pub fn detect(view: &MarketView, params: &MarketParams, held: Mode) -> Mode {
    measured(view.measures.distress, &params.chain.distress, &params.detectors, held)
}
