//! The market is out of session: nobody prices it, so nothing is matched, funded or liquidated.

use super::MarketView;
use protocol::{MarketParams, Mode};

/// Halts out of session.
#[must_use]
pub fn detect(view: &MarketView, _params: &MarketParams, _held: Mode) -> Mode {
    if view.measures.closed { Mode::Halted } else { Mode::Normal }
}
