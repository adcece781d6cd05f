//! What the kernel decided.
//!
//! An effect's id is `(height, n)`: the batch's height and its place in that batch's effects.

use crate::governance::Governed;
use crate::ids::{AccountId, MarketId, OrderId, PoolId, SourceId};
use crate::mode::Mode;
use crate::quality::{Exclusion, PriceQuality};
use crate::reject::Reject;
use crate::restriction::{Restriction, Side};
use units::{Notional, Price, Ratio, Size};

/// One decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// An input was refused; nothing of it was applied.
    Rejected {
        /// Its place in the batch.
        input: u32,
        /// Why.
        reject: Reject,
    },
    /// A source's newest observation began or ceased to be left out.
    Source {
        /// The market.
        market: MarketId,
        /// The source.
        source: SourceId,
        /// Why it is left out, or `None` when it is used again.
        exclusion: Option<Exclusion>,
    },
    /// The state or the rung of a market's index changed.
    Quality {
        /// The market.
        market: MarketId,
        /// The new index with its quality.
        quality: PriceQuality,
    },
    /// A market's mode changed.
    Mode {
        /// The market.
        market: MarketId,
        /// Before.
        from: Mode,
        /// From now on.
        to: Mode,
        /// What is denied from now on.
        restriction: Restriction,
        /// The detectors that ask for it, a bit each in the order of the kernel's table; zero on a step back.
        causes: u16,
    },
    /// Put this order into the book.
    Admit {
        /// The order.
        order: AdmittedOrder,
    },
    /// Take this order out of the book.
    Withdraw {
        /// The market it rests in.
        market: MarketId,
        /// The order.
        order: OrderId,
    },
    /// A liquidation was decided: put this order into the book.
    Liquidate {
        /// The order; its owner is the account that is liquidated.
        order: AdmittedOrder,
        /// Equity at the mark when it was decided, micro-USD, rounded down.
        equity: Notional,
        /// Maintenance requirement then, micro-USD, rounded up.
        maintenance: Notional,
        /// Whether equity is gone.
        insolvent: bool,
    },
    /// The pool's insurance fund paid into an account.
    InsurancePaid {
        /// The pool.
        pool: PoolId,
        /// Who was short.
        account: AccountId,
        /// Micro-USD.
        amount: Notional,
    },
    /// Part of an insolvent account's position was closed against a counterparty at the bankruptcy price.
    Deleveraged {
        /// The market.
        market: MarketId,
        /// The insolvent account.
        account: AccountId,
        /// Whose position was reduced.
        counterparty: AccountId,
        /// Change of the insolvent account's position.
        size: Size,
        /// The bankruptcy price.
        price: Price,
        /// What the counterparty gave up against the mark or where that was going, whichever is more, micro-USD; never
        /// negative.
        given_up: Notional,
    },
    /// A holder paid a share of a loss that nothing else covered.
    Socialized {
        /// The pool.
        pool: PoolId,
        /// The market whose side paid.
        market: MarketId,
        /// That side.
        side: Side,
        /// Who paid.
        account: AccountId,
        /// Micro-USD.
        amount: Notional,
    },
    /// A loss that the whole pool could not cover; it stands as a deficit.
    Deficit {
        /// The pool.
        pool: PoolId,
        /// The account it came from.
        account: AccountId,
        /// Micro-USD.
        amount: Notional,
    },
    /// Holders of one side of a market paid those of the other.
    Funded {
        /// The market.
        market: MarketId,
        /// Of the notional at the mark; positive where longs paid.
        rate: Ratio,
        /// What the payers paid together, micro-USD; what rounding kept of it went to the insurance fund.
        paid: Notional,
    },
    /// Collateral was sold for its owner's debt.
    CollateralSold {
        /// The market whose base asset it is.
        market: MarketId,
        /// Whose it was.
        account: AccountId,
        /// Who paid and has it now.
        buyer: AccountId,
        /// Lots.
        size: Size,
        /// The price.
        price: Price,
    },
    /// Collateral to be handed out.
    HandOut {
        /// The market whose base asset it is.
        market: MarketId,
        /// To whom.
        account: AccountId,
        /// Lots.
        size: Size,
    },
    /// Money to be paid out. `amount` and `haircut` together left the account.
    PayOut {
        /// The pool.
        pool: PoolId,
        /// To whom.
        account: AccountId,
        /// Micro-USD; zero where the haircut takes all of it.
        amount: Notional,
        /// What stays in the pool against its deficit, micro-USD; zero without one.
        haircut: Notional,
    },
    /// What came of a statement, or of time, in governance.
    Governed {
        /// What.
        what: Governed,
    },
}

/// An order that passed the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdmittedOrder {
    /// Its id.
    pub id: OrderId,
    /// Its owner.
    pub account: AccountId,
    /// The market.
    pub market: MarketId,
    /// Positive buys, negative sells.
    pub size: Size,
    /// The worst price accepted.
    pub limit: Price,
}
