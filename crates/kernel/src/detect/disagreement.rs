//! Sources that contradict each other.

use super::{MarketView, exit_of, reaches};
use protocol::{MarketParams, Mode, QualityState};

/// A disputed price is `ReduceOnly`; sources that spread without contradicting each other are `Cautious`, until the
/// spread is below `exit` of the threshold. Without a price the held level stays, and [`super::quorum`] speaks.
#[must_use]
pub fn detect(view: &MarketView, params: &MarketParams, held: Mode) -> Mode {
    let detectors = &params.detectors;
    match view.state {
        QualityState::Disputed => Mode::ReduceOnly,
        QualityState::None => held,
        QualityState::Agreed | QualityState::Degraded => {
            let threshold = detectors.disagreement;
            let limit = if held == Mode::Normal { threshold } else { exit_of(threshold, detectors) };
            let spread = view.spread.0.max(0).unsigned_abs();
            if reaches(spread, view.index, limit) { Mode::Cautious } else { Mode::Normal }
        }
    }
}
