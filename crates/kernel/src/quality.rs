//! Who may act on which price.

use protocol::{Action, PriceQuality, QualityState, Rung};

/// Whether `action` may be taken at a price of this quality. `None` is strict: what can't be priced can't be traded,
/// withdrawn against or liquidated, while money may always come in and orders may always be taken back.
///
/// `single_lineage` says that the market lists fewer independent lineages than an agreed price needs, so that
/// `Degraded` is the best it can ever be; there a solvent account may be liquidated at that one price, after the
/// waiting time that [`crate::liquidation`] asks for.
///
/// | | Agreed | Degraded | secondary | guardian, derived, TWAP, last good | Disputed | None |
/// |---|---|---|---|---|---|---|
/// | deposit, cancel | yes | yes | yes | yes | yes | yes |
/// | reduce, liquidate insolvent | yes | yes | yes | yes | yes | no |
/// | open | yes | yes | yes | no | no | no |
/// | withdraw, fund | yes | yes | yes | no | no | no |
/// | liquidate solvent | yes | single lineage | yes | no | no | no |
/// | settle | yes | no | no | no | no | no |
///
/// A secondary price is a fresh quorum, however it came to be asked. No guardian takes from anybody who can pay.
#[must_use]
pub fn permits(action: Action, price: &PriceQuality, single_lineage: bool) -> bool {
    let (agreed, quorum, degraded) = match (price.state, price.rung) {
        (QualityState::None, _) | (_, Rung::None) => {
            return match action {
                Action::Deposit | Action::Cancel => true,
                Action::Reduce
                | Action::Open
                | Action::Withdraw
                | Action::LiquidateSolvent
                | Action::LiquidateInsolvent
                | Action::Fund
                | Action::Settle => false,
            };
        }
        (QualityState::Agreed, Rung::Primary) => (true, true, false),
        (QualityState::Agreed, Rung::Secondary) => (false, true, false),
        (QualityState::Degraded, Rung::Primary) => (false, false, true),
        (QualityState::Degraded, Rung::Secondary)
        | (QualityState::Disputed, _)
        | (_, Rung::Guardian | Rung::Derived | Rung::Twap | Rung::LastGood) => (false, false, false),
    };
    match action {
        Action::Deposit | Action::Cancel | Action::Reduce | Action::LiquidateInsolvent => true,
        Action::Open | Action::Withdraw | Action::Fund => quorum || degraded,
        Action::LiquidateSolvent => quorum || degraded && single_lineage,
        Action::Settle => agreed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use units::{Duration, Price, Ratio};

    fn price(state: QualityState, rung: Rung) -> PriceQuality {
        let (age, coverage) = (Duration::ZERO, Ratio::ONE);
        PriceQuality { value: Price(1), confidence: Price(0), age, coverage, lineages: 1, state, rung }
    }

    #[test]
    fn the_table_reads_as_documented() {
        use QualityState::{Agreed, Degraded, Disputed};
        let columns = [
            price(Agreed, Rung::Primary),
            price(Degraded, Rung::Primary),
            price(Agreed, Rung::Secondary),
            price(Agreed, Rung::Guardian),
            price(Agreed, Rung::Derived),
            price(Degraded, Rung::Twap),
            price(Degraded, Rung::LastGood),
            price(Disputed, Rung::Primary),
            price(Disputed, Rung::Secondary),
            price(Disputed, Rung::Twap),
            PriceQuality::NONE,
        ];
        let table = [
            (Action::Deposit, "yyyyyyyyyyy"),
            (Action::Cancel, "yyyyyyyyyyy"),
            (Action::Reduce, "yyyyyyyyyy-"),
            (Action::Open, "yyy--------"),
            (Action::Withdraw, "yyy--------"),
            (Action::LiquidateSolvent, "y-y--------"),
            (Action::LiquidateInsolvent, "yyyyyyyyyy-"),
            (Action::Fund, "yyy--------"),
            (Action::Settle, "y----------"),
        ];
        for (action, row) in table {
            let got: alloc::string::String =
                columns.iter().map(|price| if permits(action, price, false) { 'y' } else { '-' }).collect();
            assert_eq!(got, row, "{action:?}");
        }
    }

    #[test]
    fn only_a_market_that_lists_one_lineage_liquidates_the_solvent_on_one() {
        let degraded = price(QualityState::Degraded, Rung::Primary);
        assert!(permits(Action::LiquidateSolvent, &degraded, true));
        assert!(!permits(Action::LiquidateSolvent, &degraded, false));
        assert!(!permits(Action::LiquidateSolvent, &price(QualityState::Degraded, Rung::LastGood), true));
        assert!(!permits(Action::LiquidateSolvent, &price(QualityState::Disputed, Rung::Primary), true));
    }
}
