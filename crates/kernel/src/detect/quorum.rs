//! Too few sources: the fewer speak, the less may be done on what they say.

use super::MarketView;
use protocol::{MarketParams, Mode, QualityState, Rung};

/// No price halts; one that none of the market's own or secondary sources says reduces only; that of the secondary set, and one
/// with fewer lineages or less coverage than asked for, is `Cautious`.
#[must_use]
pub fn detect(view: &MarketView, params: &MarketParams, _held: Mode) -> Mode {
    match (view.state, view.rung) {
        (QualityState::None, _) | (_, Rung::None) => Mode::Halted,
        (_, Rung::Guardian | Rung::Derived | Rung::Twap | Rung::LastGood) => Mode::ReduceOnly,
        (_, Rung::Secondary) | (QualityState::Degraded, Rung::Primary) => Mode::Cautious,
        (QualityState::Agreed | QualityState::Disputed, Rung::Primary) => {
            if view.coverage < params.detectors.quorum_coverage_min { Mode::Cautious } else { Mode::Normal }
        }
    }
}
