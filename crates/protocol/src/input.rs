//! What may enter a batch.

use crate::governance::Statement;
use crate::ids::{AccountId, MarketId, OrderId, PoolId, SourceId};
use alloc::boxed::Box;
use units::{Duration, Notional, Price, Ratio, Size, Timestamp};

/// One fact or one wish from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A price that a source published.
    Observation(Observation),
    /// The venue's own best bid and ask, for the mark's premium.
    BookTop(BookTop),
    /// Money paid into an account; opens the account if it is new.
    Deposit(Transfer),
    /// Money asked back.
    Withdraw(Transfer),
    /// Money that an owner sets apart for one market, or takes back from there.
    Isolate(Isolate),
    /// Something else than money paid in as collateral, or asked back.
    Collateral(Collateral),
    /// An offer to buy collateral of an account that is sold for its debt.
    Buy(Buy),
    /// An order that asks to enter the venue's book.
    Order(Order),
    /// An order that its owner takes back.
    Cancel(Cancel),
    /// The venue no longer holds this order (filled, expired or dropped there).
    OrderDone(OrderDone),
    /// A trade that the venue's auction made between two orders that the kernel admitted.
    Trade(Trade),
    /// Money paid into a pool's insurance fund.
    InsuranceDeposit(InsuranceDeposit),
    /// What the venue's book would take near its middle.
    Depth(Depth),
    /// How the chain is doing on which a pool's accounts act.
    Chain(ChainHealth),
    /// Holders of one side of a market pay those of the other.
    Funding(Funding),
    /// A market's trading session begins or ends.
    Session(Session),
    /// What a market's sources name the price of becomes another number of units.
    Redenomination(Redenomination),
    /// Whoever decides was away and is back: nothing that was heard before is taken for the present. Written by the sequencer
    /// into the first batch after a start.
    Restart,
    /// What a key asks for: governance. Its signature was verified.
    Statement(Box<Statement>),
}

/// A funding payment: every position of one side pays a share of its notional at the mark to those of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Funding {
    /// The market.
    pub market: MarketId,
    /// Of the notional; positive where longs pay.
    pub rate: Ratio,
}

/// A market's trading session begins or ends. Out of session nothing is matched, funded or liquidated; money may come in and
/// orders may be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// The market.
    pub market: MarketId,
    /// It begins.
    pub opens: bool,
}

/// A split or a redenomination: what `from` units of the market's base were is `into` units in whatever its sources publish at
/// `at` or later. The contract stays what it was: positions, orders and prices go on in the unit that was listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redenomination {
    /// The market.
    pub market: MarketId,
    /// Units before; positive.
    pub from: u32,
    /// Units after; positive. A split of five for one is from 1 into 5.
    pub into: u32,
    /// From when on, by the time of publishing. May be announced in advance and late; while it is still
    /// ahead another one takes its place, and as many units into as many take it back.
    pub at: Timestamp,
}

/// What the venue's book would take near its middle, each side apart. How near is a convention of who reports it: thresholds
/// are set against that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    /// The market.
    pub market: MarketId,
    /// Lots bid.
    pub bid: Size,
    /// Lots offered.
    pub ask: Size,
}

/// How the chain is doing on which a pool's accounts act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainHealth {
    /// The pool.
    pub pool: PoolId,
    /// When its newest block was produced.
    pub produced_at: Timestamp,
    /// What inclusion costs now, in the unit of the policy's `chain.base_fee`.
    pub base_fee: u64,
    /// How long a transaction that pays it waits to be included.
    pub inclusion: Duration,
    /// How long after its block it is final.
    pub finality: Duration,
}

/// A price that a source published, with both times: theirs and ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The market priced.
    pub market: MarketId,
    /// Which of the market's sources says so.
    pub source: SourceId,
    /// Key id of the observer who received it. No rule reads it: journals record it, so that whoever counts observers or
    /// looks for one that lies can.
    pub observer: u16,
    /// The price, possibly nonsense: judging it is the kernel's work.
    pub price: Price,
    /// Half-width that the source claims around its price; 0 where it claims none.
    pub confidence: Price,
    /// When the source says it was true.
    pub published_at: Timestamp,
    /// When we received it.
    pub received_at: Timestamp,
}

/// The venue's own best bid and ask after an auction. Zero means that side is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookTop {
    /// The market.
    pub market: MarketId,
    /// Highest resting buy limit.
    pub bid: Price,
    /// Lowest resting sell limit.
    pub ask: Price,
}

/// Money into or out of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The pool whose money it is.
    pub pool: PoolId,
    /// The account in that pool.
    pub account: AccountId,
    /// Micro-USD, positive.
    pub amount: Notional,
}

/// Money moves between an account and another one of its owner's that is bound to one market: isolated margin. What is held there
/// can lose what was set apart for it and not more, and nothing else of the owner's can lose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isolate {
    /// The market, and with it the pool.
    pub market: MarketId,
    /// Whose money it is: an account that is not isolated itself.
    pub owner: AccountId,
    /// The isolated account; opened where it does not exist. Whoever sequences batches assigns its id, never a client: one that chose
    /// it could take the id that somebody else is about to use.
    pub account: AccountId,
    /// Micro-USD: positive from the owner to the isolated account, negative back.
    pub amount: Notional,
}

/// Some of a market's base asset paid in as collateral, or asked back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collateral {
    /// The market whose base asset it is, and with it the pool.
    pub market: MarketId,
    /// The account: one that exists and is not isolated.
    pub account: AccountId,
    /// Lots: positive in, negative asked back.
    pub size: Size,
}

/// An offer to buy collateral of an account that is sold for its debt. It is paid from cash, at once or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buy {
    /// The market whose base asset it is, and with it the pool.
    pub market: MarketId,
    /// Who buys.
    pub account: AccountId,
    /// Whose collateral.
    pub from: AccountId,
    /// Lots, positive; at most what its debt needs, and at most what restores it.
    pub size: Size,
    /// The worst price accepted.
    pub limit: Price,
}

/// An order that asks to enter the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Unique in the pool, without [`OrderId::KERNEL_BIT`]. Whoever sequences batches assigns it, never a client: one
    /// that chose its own ids could take those that others are about to use. A client's own name for the order stays
    /// outside.
    pub id: OrderId,
    /// The owner.
    pub account: AccountId,
    /// The market.
    pub market: MarketId,
    /// Positive buys, negative sells.
    pub size: Size,
    /// The worst price accepted.
    pub limit: Price,
}

/// The wish of an account to take one of its orders back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancel {
    /// The market the order is in.
    pub market: MarketId,
    /// Who asks; nobody takes back another's order.
    pub account: AccountId,
    /// The order.
    pub order: OrderId,
}

/// The venue's word that it no longer holds an order, whoever owns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderDone {
    /// The market the order is in.
    pub market: MarketId,
    /// The order.
    pub order: OrderId,
}

/// One fill: `size` lots changed hands at `price`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade {
    /// The market.
    pub market: MarketId,
    /// The buying order.
    pub buy: OrderId,
    /// The selling order.
    pub sell: OrderId,
    /// The auction's clearing price.
    pub price: Price,
    /// Lots, positive.
    pub size: Size,
}

/// Money into a pool's insurance fund.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InsuranceDeposit {
    /// The pool.
    pub pool: PoolId,
    /// Micro-USD, positive.
    pub amount: Notional,
}
