//! Whoever decides was away: nothing is matched or liquidated until a quorum of fresh prices is back.

use super::MarketView;
use protocol::{MarketParams, Mode};

/// Halts behind the gate.
#[must_use]
pub fn detect(view: &MarketView, _params: &MarketParams, _held: Mode) -> Mode {
    if view.measures.gated { Mode::Halted } else { Mode::Normal }
}
