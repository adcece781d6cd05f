//! One market's orders. Invariants: every order has one place; the lots of one side fit [`Size`]; after an auction no
//! two orders cross that may trade with each other.

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
    /// The price of every trade of the market round, or `None` where nothing traded in it.
    pub price: Option<Price>,
    /// The price of every trade of the backstop round, or `None` where nothing traded in it.
    pub backstop_price: Option<Price>,
    /// Lots that changed hands in both rounds.
    pub volume: Size,
    /// The trades: first those of the market round, and in each round best limits first.
    pub trades: Vec<Trade>,
    /// Orders that left the book.
    pub done: Vec<Done>,
}

impl Auction {
    pub(crate) const EMPTY: Auction =
        Auction { price: None, backstop_price: None, volume: Size(0), trades: Vec::new(), done: Vec::new() };
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
    /// The account of the backstop liquidity provider.
    backstop: Option<AccountId>,
    /// Orders that may trade with each other.
    open: Orders,
    /// The backstop's orders, which may trade with the kernel's only.
    standby: Orders,
    places: BTreeMap<OrderId, Place>,
    bid_lots: i64,
    ask_lots: i64,
    kernel_orders: u32,
}

/// Both sides, best first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Orders {
    bids: BTreeMap<(Reverse<Price>, OrderId), Resting>,
    asks: BTreeMap<(Price, OrderId), Resting>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Resting {
    account: AccountId,
    /// Positive.
    lots: i64,
}

/// Where an order rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    standby: bool,
    side: Side,
    limit: Price,
}

/// The two rounds of an auction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    Market,
    Backstop,
}

impl Orders {
    const EMPTY: Orders = Orders { bids: BTreeMap::new(), asks: BTreeMap::new() };

    fn insert(&mut self, place: Place, order: OrderId, resting: Resting) {
        match place.side {
            Side::Long => self.bids.insert((Reverse(place.limit), order), resting),
            Side::Short => self.asks.insert((place.limit, order), resting),
        };
    }

    fn remove(&mut self, place: Place, order: OrderId) -> Option<Resting> {
        match place.side {
            Side::Long => self.bids.remove(&(Reverse(place.limit), order)),
            Side::Short => self.asks.remove(&(place.limit, order)),
        }
    }

    fn get(&self, place: Place, order: OrderId) -> Option<&Resting> {
        match place.side {
            Side::Long => self.bids.get(&(Reverse(place.limit), order)),
            Side::Short => self.asks.get(&(place.limit, order)),
        }
    }

    fn get_mut(&mut self, place: Place, order: OrderId) -> Option<&mut Resting> {
        match place.side {
            Side::Long => self.bids.get_mut(&(Reverse(place.limit), order)),
            Side::Short => self.asks.get_mut(&(place.limit, order)),
        }
    }

    /// Orders that the other side's best limit reaches, best first.
    fn crossing(&self) -> (Vec<Quote>, Vec<Quote>) {
        let (Some(((Reverse(bid), _), _)), Some(((ask, _), _))) =
            (self.bids.first_key_value(), self.asks.first_key_value())
        else {
            return (Vec::new(), Vec::new());
        };
        let buys = self.bids.range(..=(Reverse(*ask), OrderId(u64::MAX)));
        let sells = self.asks.range(..=(*bid, OrderId(u64::MAX)));
        (
            buys.map(|((Reverse(limit), id), resting)| resting.quote(*id, *limit)).collect(),
            sells.map(|((limit, id), resting)| resting.quote(*id, *limit)).collect(),
        )
    }
}

impl Resting {
    const fn quote(&self, id: OrderId, limit: Price) -> Quote {
        Quote { id, account: self.account, limit, lots: self.lots, filled: 0 }
    }
}

impl Book {
    /// An empty book. `backstop` is the account of the backstop liquidity provider, if there is one.
    #[must_use]
    pub const fn new(market: MarketId, limits: Limits, backstop: Option<AccountId>) -> Book {
        Book {
            market,
            limits,
            backstop,
            open: Orders::EMPTY,
            standby: Orders::EMPTY,
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
        let depth = self.depth_mut(side);
        *depth = depth.checked_add(lots).ok_or(Refusal::TooDeep { lots: Size(*depth) })?;
        // When the backstop's own account is liquidated, that order is the kernel's and open to everyone.
        let standby = self.backstop == Some(order.account) && !order.id.is_kernel();
        let place = Place { standby, side, limit: order.limit };
        self.orders_mut(place).insert(place, order.id, Resting { account: order.account, lots });
        self.places.insert(order.id, place);
        self.kernel_orders += u32::from(order.id.is_kernel());
        Ok(())
    }

    /// Takes an order out. Returns whether it rested here.
    pub fn remove(&mut self, order: OrderId) -> bool {
        let Some(place) = self.places.remove(&order) else {
            return false;
        };
        let resting = self.orders_mut(place).remove(place, order);
        *self.depth_mut(place.side) -= resting.map_or(0, |resting| resting.lots);
        self.kernel_orders -= u32::from(order.is_kernel());
        true
    }

    /// The order as it rests: its size is what is left of it.
    #[must_use]
    pub fn get(&self, order: OrderId) -> Option<AdmittedOrder> {
        let place = *self.places.get(&order)?;
        let resting = self.resting(place, order)?;
        let size = match place.side {
            Side::Long => Size(resting.lots),
            Side::Short => Size(-resting.lots),
        };
        Some(AdmittedOrder { id: order, account: resting.account, market: self.market, size, limit: place.limit })
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

    /// The highest limit of a resting buy that is open to everyone: the backstop's are not.
    #[must_use]
    pub fn best_bid(&self) -> Option<Price> {
        self.open.bids.first_key_value().map(|((Reverse(limit), _), _)| *limit)
    }

    /// The lowest limit of a resting sell that is open to everyone: the backstop's are not.
    #[must_use]
    pub fn best_ask(&self) -> Option<Price> {
        self.open.asks.first_key_value().map(|((limit, _), _)| *limit)
    }

    /// Clears the book in two rounds, each at one price. Afterwards no two orders cross that may trade with each
    /// other. Cost grows with the crossing orders, the kernel's and the backstop's, not with the whole book.
    ///
    /// **Rounds.** In the market round everyone but the backstop takes part. What it leaves of the kernel's orders
    /// meets the backstop's in the backstop round, and nothing else does.
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
        auction.price = self.clear(Round::Market, seed, reference, &mut auction);
        auction.backstop_price = self.clear(Round::Backstop, seed, reference, &mut auction);
        auction
    }

    /// One round. Returns its price.
    fn clear(&mut self, round: Round, seed: &[u8; 32], reference: Price, auction: &mut Auction) -> Option<Price> {
        let (mut buys, mut sells) = self.crossing(round);
        let yielding = clearing::self_crosses(&buys, &sells, seed);
        for order in &yielding {
            self.remove(*order);
            auction.done.push(Done { order: *order, reason: DoneReason::SelfCross });
        }
        if !yielding.is_empty() {
            (buys, sells) = self.crossing(round);
        }
        let cleared = clearing::price(&buys, &sells, reference)?;
        clearing::allocate(&mut buys, cleared.volume, seed);
        clearing::allocate(&mut sells, cleared.volume, seed);
        let trade = |buy, sell, lots| Trade { market: self.market, buy, sell, price: cleared.price, size: Size(lots) };
        auction.trades.extend(clearing::pair(&buys, &sells, trade));
        // A lot trades once, and the lots of one side fit.
        auction.volume.0 += cleared.volume;
        for quote in buys.iter().chain(&sells) {
            if self.fill(quote) {
                auction.done.push(Done { order: quote.id, reason: DoneReason::Filled });
            }
        }
        Some(cleared.price)
    }

    /// Orders of a round that the other side's best limit reaches, best first.
    ///
    /// In the backstop round neither the kernel's orders nor the backstop's cross among themselves: the former have
    /// been through the market round, and the latter are of one account, whose crossing orders yield. So at any price
    /// at which something trades, one side is the kernel's and the other the backstop's.
    fn crossing(&self, round: Round) -> (Vec<Quote>, Vec<Quote>) {
        match round {
            Round::Market => self.open.crossing(),
            Round::Backstop => {
                let mut orders = self.standby.clone();
                if orders == Orders::EMPTY {
                    return (Vec::new(), Vec::new());
                }
                for (id, place) in self.places.range(OrderId(OrderId::KERNEL_BIT)..) {
                    if let Some(resting) = self.open.get(*place, *id) {
                        orders.insert(*place, *id, *resting);
                    }
                }
                orders.crossing()
            }
        }
    }

    /// Takes the filled lots off an order. Returns whether it left the book with that.
    fn fill(&mut self, quote: &Quote) -> bool {
        if quote.filled == quote.lots {
            return self.remove(quote.id);
        }
        if let Some(place) = self.places.get(&quote.id).copied()
            && let Some(resting) = self.orders_mut(place).get_mut(place, quote.id)
        {
            resting.lots -= quote.filled;
            *self.depth_mut(place.side) -= quote.filled;
        }
        false
    }

    fn resting(&self, place: Place, order: OrderId) -> Option<&Resting> {
        let orders = if place.standby { &self.standby } else { &self.open };
        orders.get(place, order)
    }

    const fn orders_mut(&mut self, place: Place) -> &mut Orders {
        if place.standby { &mut self.standby } else { &mut self.open }
    }

    const fn depth_mut(&mut self, side: Side) -> &mut i64 {
        match side {
            Side::Long => &mut self.bid_lots,
            Side::Short => &mut self.ask_lots,
        }
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
    const SIZE_MIN: usize =
        MarketId::SIZE_MIN + Limits::SIZE_MIN + Option::<AccountId>::SIZE_MIN + Vec::<AdmittedOrder>::SIZE_MIN;

    fn encode<S: Sink>(&self, out: &mut S) {
        self.market.encode(out);
        self.limits.encode(out);
        self.backstop.encode(out);
        self.orders().collect::<Vec<_>>().encode(out);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (market, limits, backstop) = Canonical::decode(reader)?;
        let mut book = Book::new(market, limits, backstop);
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
