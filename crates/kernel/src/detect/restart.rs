//! Whoever decides was away: nothing is matched or liquidated until a quorum of fresh prices is back. Where it does not come back
//! in time, whoever wants to leave may, and who is insolvent is liquidated, as far as the price permits.

use super::MarketView;
use protocol::{MarketParams, Mode};

/// What the gate asks for.
#[must_use]
pub fn detect(view: &MarketView, _params: &MarketParams, _held: Mode) -> Mode {
    view.measures.gate
}
