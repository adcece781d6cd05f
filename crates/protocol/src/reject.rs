//! Refusals: the world asked for something that we do not do.

use crate::governance::Refusal;
use units::{Notional, Price, Size};

/// Why an input had no effect. Written in the order in which the checks are made: cheapest and most basic first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// No such pool.
    UnknownPool,
    /// No such market.
    UnknownMarket,
    /// The market lists no such source.
    UnknownSource,
    /// No such account in the pool.
    UnknownAccount,
    /// No such order in the pool.
    UnknownOrder,
    /// An amount, size, price or confidence outside its range: zero, negative, or too large to be carried.
    OutOfRange,
    /// The source already published something newer.
    OutOfOrder,
    /// Received later than the batch that carries it.
    ReceivedAfterBatch,
    /// The order id is taken, or belongs to the kernel.
    OrderIdTaken,
    /// A first deposit below the least with which an account is opened.
    TooSmall {
        /// The least, micro-USD.
        min: Notional,
    },
    /// The pool holds as many accounts as the policy allows.
    TooManyAccounts {
        /// The limit.
        max: u32,
    },
    /// The account holds as many orders as the policy allows.
    TooManyOrders {
        /// The limit.
        max: u16,
    },
    /// The market's restriction denies it now.
    Restricted,
    /// The price is not good enough for it.
    PriceQuality,
    /// The order is larger than the market takes now.
    TooLarge {
        /// Largest size accepted now.
        max: Size,
    },
    /// Open interest would pass the market's limit.
    OpenInterest {
        /// The limit in lots.
        max: Size,
    },
    /// The pool takes no more of this as collateral.
    CollateralFull {
        /// The most lots.
        max: Size,
    },
    /// Margin would not cover it.
    Margin {
        /// Free margin before, micro-USD, rounded down.
        free: Notional,
        /// What it would take, micro-USD, rounded up.
        needed: Notional,
    },
    /// A trade beyond an order's limit price.
    BeyondLimit {
        /// The limit.
        limit: Price,
    },
    /// A trade larger than an order's remaining size.
    BeyondSize {
        /// Lots left.
        remaining: Size,
    },
    /// A trade whose two orders do not match: same side, other market, or one account on both sides. Or an isolated account, and another
    /// market or owner than those that it is bound to.
    Mismatch,
    /// A number would not fit; nothing was changed.
    Overflow,
    /// What a statement asked for; its nonce may be used up.
    Refused {
        /// Why.
        why: Refusal,
    },
}

impl Reject {
    /// The stable number of this refusal; numbers are never reused.
    #[must_use]
    pub const fn code(&self) -> u16 {
        match self {
            Reject::UnknownPool => 1,
            Reject::UnknownMarket => 2,
            Reject::UnknownSource => 3,
            Reject::UnknownAccount => 4,
            Reject::UnknownOrder => 5,
            Reject::OutOfRange => 6,
            Reject::OutOfOrder => 7,
            Reject::ReceivedAfterBatch => 8,
            Reject::OrderIdTaken => 9,
            Reject::TooManyAccounts { .. } => 10,
            Reject::TooManyOrders { .. } => 11,
            Reject::Restricted => 12,
            Reject::PriceQuality => 13,
            Reject::TooLarge { .. } => 14,
            Reject::OpenInterest { .. } => 15,
            Reject::Margin { .. } => 16,
            Reject::BeyondLimit { .. } => 17,
            Reject::BeyondSize { .. } => 18,
            Reject::Mismatch => 19,
            Reject::Overflow => 20,
            Reject::TooSmall { .. } => 21,
            Reject::CollateralFull { .. } => 22,
            Reject::Refused { why } => why.code(),
        }
    }
}
