//! One market's orders. Invariants: every order has one place; the lots of one side fit [`Size`]; after an auction no
//! two orders cross.

use crate::clearing::{self, Quote};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use codec::{Canonical, DecodeError, Expected, Reader, Sink};
use core::cmp::Reverse;
use core::fmt;
use protocol::effect::AdmittedOrder;
use protocol::ids::{AccountId, MarketId, OrderId};
use protocol::input::Trade;
use protocol::restriction::Side;
use units::{Price, Size};

/// How many orders a book holds. What comes on top is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest number of orders of participants.
    pub orders_max: u32,
    /// Largest number of orders of the kernel. They are counted apart, so that no crowd of small orders can keep a
    /// liquidation out.
    pub kernel_orders_max: u32,
}

/// Why an order did not enter the book. In the order in which it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The market is not this book's, or the exchange has no such market.
    WrongMarket {
        /// The order's.
        market: MarketId,
    },
    /// A size without lots or without an opposite, or a limit of zero or less.
    OutOfRange {
        /// The order's size.
        size: Size,
        /// The order's limit.
        limit: Price,
    },
    /// An order of this id rests in the book already; it stays.
    IdTaken {
        /// The id.
        order: OrderId,
    },
    /// The book holds as many orders as it may.
    Full {
        /// The limit.
        max: u32,
    },
    /// The lots of one side would no longer fit [`Size`].
    TooDeep {
        /// Lots that rest on the order's side.
        lots: Size,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::WrongMarket { market } => write!(f, "market {} is not here", market.0),
            Refusal::OutOfRange { size, limit } => write!(f, "size {} at limit {} is out of range", size.0, limit.0),
            Refusal::IdTaken { order } => write!(f, "order {} rests here already", order.0),
            Refusal::Full { max } => write!(f, "the book holds {max} orders, the most it may"),
            Refusal::TooDeep { lots } => write!(f, "{} lots rest on this side, and the sum would not fit", lots.0),
        }
    }
}

impl core::error::Error for Refusal {}

/// What an auction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auction {
    /// The price of every trade, or `None` where nothing traded.
    pub price: Option<Price>,
    /// Lots that changed hands.
    pub volume: Size,
    /// The trades, best limits first. Every order appears in neighbouring trades.
    pub trades: Vec<Trade>,
    /// Orders that left the book.
    pub done: Vec<Done>,
}

impl Auction {
    pub(crate) const EMPTY: Auction = Auction { price: None, volume: Size(0), trades: Vec::new(), done: Vec::new() };
}

/// An order that left the book in an auction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// The order.
    pub order: OrderId,
    /// Why.
    pub reason: DoneReason,
}

/// Why an order left the book in an auction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoneReason {
    /// Nothing is left of it.
    Filled,
    /// It crossed another order of its own account and yielded to it.
    SelfCross,
}

/// One market's orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Book {
    market: MarketId,
    limits: Limits,
    /// Best first, as is `asks`.
    bids: BTreeMap<(Reverse<Price>, OrderId), Resting>,
    asks: BTreeMap<(Price, OrderId), Resting>,
    places: BTreeMap<OrderId, Place>,
    bid_lots: i64,
    ask_lots: i64,
    kernel_orders: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Resting {
    account: AccountId,
    /// Positive.
    lots: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    side: Side,
    limit: Price,
}

impl Book {
    /// An empty book.
    #[must_use]
    pub const fn new(market: MarketId, limits: Limits) -> Book {
        Book {
            market,
            limits,
            bids: BTreeMap::new(),
            asks: BTreeMap::new(),
            places: BTreeMap::new(),
            bid_lots: 0,
            ask_lots: 0,
            kernel_orders: 0,
        }
    }

    /// Lets an order rest until an auction fills it or it is removed.
    ///
    /// # Errors
    /// Refused orders leave the book unchanged.
    pub fn insert(&mut self, order: AdmittedOrder) -> Result<(), Refusal> {
        if order.market != self.market {
            return Err(Refusal::WrongMarket { market: order.market });
        }
        let out_of_range = Refusal::OutOfRange { size: order.size, limit: order.limit };
        let Some(lots) = order.size.0.checked_abs().filter(|lots| 0 < *lots && Price(0) < order.limit) else {
            return Err(out_of_range);
        };
        if self.places.contains_key(&order.id) {
            return Err(Refusal::IdTaken { order: order.id });
        }
        self.room_for(order.id)?;
        let side = if Size(0) < order.size { Side::Long } else { Side::Short };
        let depth = match side {
            Side::Long => &mut self.bid_lots,
            Side::Short => &mut self.ask_lots,
        };
        *depth = depth.checked_add(lots).ok_or(Refusal::TooDeep { lots: Size(*depth) })?;
        let resting = Resting { account: order.account, lots };
        match side {
            Side::Long => self.bids.insert((Reverse(order.limit), order.id), resting),
            Side::Short => self.asks.insert((order.limit, order.id), resting),
        };
        self.places.insert(order.id, Place { side, limit: order.limit });
        self.kernel_orders += u32::from(order.id.is_kernel());
        Ok(())
    }

    /// Takes an order out. Returns whether it rested here.
    pub fn remove(&mut self, order: OrderId) -> bool {
        let Some(place) = self.places.remove(&order) else {
            return false;
        };
        let (depth, resting) = match place.side {
            Side::Long => (&mut self.bid_lots, self.bids.remove(&(Reverse(place.limit), order))),
            Side::Short => (&mut self.ask_lots, self.asks.remove(&(place.limit, order))),
        };
        *depth -= resting.map_or(0, |resting| resting.lots);
        self.kernel_orders -= u32::from(order.is_kernel());
        true
    }

    /// The order as it rests: its size is what is left of it.
    #[must_use]
    pub fn get(&self, order: OrderId) -> Option<AdmittedOrder> {
        let Place { side, limit } = *self.places.get(&order)?;
        let (resting, sign) = match side {
            Side::Long => (self.bids.get(&(Reverse(limit), order))?, 1),
            Side::Short => (self.asks.get(&(limit, order))?, -1),
        };
        let size = Size(sign * resting.lots);
        Some(AdmittedOrder { id: order, account: resting.account, market: self.market, size, limit })
    }

    /// Every order as it rests, in order of id.
    pub fn orders(&self) -> impl Iterator<Item = AdmittedOrder> {
        self.places.keys().filter_map(|order| self.get(*order))
    }

    /// The market.
    #[must_use]
    pub const fn market(&self) -> MarketId {
        self.market
    }

    /// The number of orders.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether no order rests here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The highest limit of a resting buy.
    #[must_use]
    pub fn best_bid(&self) -> Option<Price> {
        self.bids.first_key_value().map(|((Reverse(limit), _), _)| *limit)
    }

    /// The lowest limit of a resting sell.
    #[must_use]
    pub fn best_ask(&self) -> Option<Price> {
        self.asks.first_key_value().map(|((limit, _), _)| *limit)
    }

    /// Clears the book at one price. Afterwards no two orders cross. Cost grows with the crossing orders only.
    ///
    /// **Own orders first.** Where an account's buy and sell cross each other, its best buy is held against its best
    /// sell, and one of them leaves the book untraded, until none of its orders cross. An order of the kernel never
    /// yields to one of the owner's, so nobody can escape a liquidation by standing in its way; otherwise the one
    /// with fewer lots yields, and of two equal ones the one whose hash with the seed is larger. What is left of an
    /// account can't be on both sides of one price, so no account ever trades with itself.
    ///
    /// **Price.** Of all integer prices the one with the largest executed volume; of those the one with the smallest
    /// surplus on either side; of those the nearest to `reference`, the kernel's mark; of two equally near ones the
    /// lower.
    ///
    /// **Shares.** The side with the surplus is filled from its best limit on. On the limit at which the volume ends,
    /// each order gets its share of what is left by size, rounded down; the lots that remain go one each to the
    /// largest remainders, and among equal remainders to the smaller hash with the seed.
    pub fn auction(&mut self, seed: &[u8; 32], reference: Price) -> Auction {
        let mut auction = Auction::EMPTY;
        let (mut buys, mut sells) = self.crossing();
        for order in clearing::self_crosses(&buys, &sells, seed) {
            self.remove(order);
            auction.done.push(Done { order, reason: DoneReason::SelfCross });
        }
        if !auction.done.is_empty() {
            (buys, sells) = self.crossing();
        }
        let Some(cleared) = clearing::price(&buys, &sells, reference) else {
            return auction;
        };
        clearing::allocate(&mut buys, cleared.volume, seed);
        clearing::allocate(&mut sells, cleared.volume, seed);
        let trade = |buy, sell, lots| Trade { market: self.market, buy, sell, price: cleared.price, size: Size(lots) };
        auction.trades = clearing::pair(&buys, &sells, trade);
        auction.price = Some(cleared.price);
        auction.volume = Size(cleared.volume);
        for quote in buys.iter().chain(&sells) {
            if self.fill(quote) {
                auction.done.push(Done { order: quote.id, reason: DoneReason::Filled });
            }
        }
        auction
    }

    /// Orders that the other side's best limit reaches, best first.
    fn crossing(&self) -> (Vec<Quote>, Vec<Quote>) {
        let (Some(bid), Some(ask)) = (self.best_bid(), self.best_ask()) else {
            return (Vec::new(), Vec::new());
        };
        let quote = |id: OrderId, limit: Price, resting: &Resting| Quote {
            id,
            account: resting.account,
            limit,
            lots: resting.lots,
            filled: 0,
        };
        let buys = self.bids.range(..=(Reverse(ask), OrderId(u64::MAX)));
        let sells = self.asks.range(..=(bid, OrderId(u64::MAX)));
        (
            buys.map(|((Reverse(limit), id), resting)| quote(*id, *limit, resting)).collect(),
            sells.map(|((limit, id), resting)| quote(*id, *limit, resting)).collect(),
        )
    }

    /// Takes the filled lots off an order. Returns whether it left the book with that.
    fn fill(&mut self, quote: &Quote) -> bool {
        if quote.filled == quote.lots {
            return self.remove(quote.id);
        }
        let Some(place) = self.places.get(&quote.id) else {
            return false;
        };
        let (depth, resting) = match place.side {
            Side::Long => (&mut self.bid_lots, self.bids.get_mut(&(Reverse(place.limit), quote.id))),
            Side::Short => (&mut self.ask_lots, self.asks.get_mut(&(place.limit, quote.id))),
        };
        if let Some(resting) = resting {
            resting.lots -= quote.filled;
            *depth -= quote.filled;
        }
        false
    }

    fn room_for(&self, order: OrderId) -> Result<(), Refusal> {
        let (held, max) = if order.is_kernel() {
            (self.kernel_orders as usize, self.limits.kernel_orders_max)
        } else {
            (self.places.len() - self.kernel_orders as usize, self.limits.orders_max)
        };
        if held < max as usize { Ok(()) } else { Err(Refusal::Full { max }) }
    }
}

codec::canonical_struct!(Limits { orders_max, kernel_orders_max });

/// Its orders in order of id; what else it keeps follows from them.
impl Canonical for Book {
    const SIZE_MIN: usize = MarketId::SIZE_MIN + Limits::SIZE_MIN + Vec::<AdmittedOrder>::SIZE_MIN;

    fn encode<S: Sink>(&self, out: &mut S) {
        self.market.encode(out);
        self.limits.encode(out);
        self.orders().collect::<Vec<_>>().encode(out);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut book = Book::new(Canonical::decode(reader)?, Canonical::decode(reader)?);
        for _ in 0..reader.count::<AdmittedOrder>()? {
            let offset = reader.offset();
            let order = AdmittedOrder::decode(reader)?;
            if book.places.last_key_value().is_some_and(|(last, _)| order.id <= *last) {
                return Err(DecodeError { offset, expected: Expected::AscendingKey });
            }
            let refused = |_| DecodeError { offset, expected: Expected::Parts { of: "Book" } };
            book.insert(order).map_err(refused)?;
        }
        Ok(book)
    }
}
