//! All markets' books, driven by the kernel's effects and answering with inputs.

use crate::book::{Auction, Book, Limits, Refusal};
use alloc::vec::Vec;
use codec::{Canonical, DecodeError, Expected, Reader, Sink};
use protocol::effect::{AdmittedOrder, Effect};
use protocol::ids::{MarketId, OrderId};
use protocol::input::{BookTop, Input, OrderDone};
use protocol::mode::{Action, Mode};
use protocol::params::{MarketParams, VenueParams};
use units::Price;

/// All markets' books. A market starts halted, as in the kernel, and follows the kernel's [`Effect::Mode`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// In the order of their markets.
    floors: Vec<Floor>,
}

/// A book and the mode in which it is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Floor {
    mode: Mode,
    book: Book,
}

impl Exchange {
    /// An empty book for every market of `params`, each with its pool's backstop and with `limits`.
    #[must_use]
    pub fn new(params: &VenueParams, limits: Limits) -> Exchange {
        let floor = |(id, market): (u16, &MarketParams)| {
            let pool = params.pools.get(usize::from(market.pool.0));
            let book = Book::new(MarketId(id), limits, pool.and_then(|pool| pool.backstop));
            Floor { mode: Mode::Halted, book }
        };
        Exchange { floors: (0..u16::MAX).zip(&params.markets).map(floor).collect() }
    }

    /// Carries out an effect: orders enter and leave books, modes change; everything else is nothing to a venue. An
    /// order that does not enter is reported to `out` as done, so that the kernel does not count on it.
    ///
    /// # Errors
    /// Why the order did not enter. Only [`Refusal::Full`] and [`Refusal::TooDeep`] can follow from sound effects. An
    /// order with a taken id is not reported as done, because the order that has the id still rests.
    pub fn accept(&mut self, effect: &Effect, out: &mut Vec<Input>) -> Result<(), Refusal> {
        match effect {
            Effect::Admit { order } | Effect::Liquidate { order, .. } => self.admit(order, out),
            Effect::Withdraw { market, order } => {
                // It may have been filled before the kernel's wish came here.
                self.floor_mut(*market)?.book.remove(*order);
                Ok(())
            }
            Effect::Mode { market, to, .. } => {
                self.floor_mut(*market)?.mode = *to;
                Ok(())
            }
            Effect::Rejected { .. }
            | Effect::Source { .. }
            | Effect::Quality { .. }
            | Effect::InsurancePaid { .. }
            | Effect::Deleveraged { .. }
            | Effect::Socialized { .. }
            | Effect::Deficit { .. }
            | Effect::PayOut { .. }
            | Effect::Funded { .. }
            | Effect::CollateralSold { .. }
            | Effect::HandOut { .. }
            | Effect::Governed { .. } => Ok(()),
        }
    }

    /// Clears a market's book and reports to `out`: the trades, then the orders that are done, then the top of what
    /// rests. A mode that permits no fill lets the book rest as it is.
    ///
    /// # Errors
    /// [`Refusal::WrongMarket`] where there is no such market.
    pub fn auction(
        &mut self,
        market: MarketId,
        seed: &[u8; 32],
        reference: Price,
        out: &mut Vec<Input>,
    ) -> Result<Auction, Refusal> {
        let floor = self.floor_mut(market)?;
        let auction =
            if floor.mode.permits(Action::Reduce) { floor.book.auction(seed, reference) } else { Auction::EMPTY };
        out.extend(auction.trades.iter().copied().map(Input::Trade));
        out.extend(auction.done.iter().map(|done| order_done(market, done.order)));
        let bid = floor.book.best_bid().unwrap_or(Price(0));
        let ask = floor.book.best_ask().unwrap_or(Price(0));
        out.push(Input::BookTop(BookTop { market, bid, ask }));
        Ok(auction)
    }

    /// A market's book.
    #[must_use]
    pub fn book(&self, market: MarketId) -> Option<&Book> {
        self.floors.get(usize::from(market.0)).map(|floor| &floor.book)
    }

    /// The mode that the venue is in, which follows the one that the kernel wants.
    #[must_use]
    pub fn mode(&self, market: MarketId) -> Option<Mode> {
        self.floors.get(usize::from(market.0)).map(|floor| floor.mode)
    }

    fn admit(&mut self, order: &AdmittedOrder, out: &mut Vec<Input>) -> Result<(), Refusal> {
        let admitted = self.floor_mut(order.market).and_then(|floor| floor.book.insert(*order));
        match admitted {
            Ok(()) | Err(Refusal::IdTaken { .. }) => {}
            Err(
                Refusal::WrongMarket { .. }
                | Refusal::OutOfRange { .. }
                | Refusal::Full { .. }
                | Refusal::TooDeep { .. },
            ) => out.push(order_done(order.market, order.id)),
        }
        admitted
    }

    fn floor_mut(&mut self, market: MarketId) -> Result<&mut Floor, Refusal> {
        self.floors.get_mut(usize::from(market.0)).ok_or(Refusal::WrongMarket { market })
    }
}

fn order_done(market: MarketId, order: OrderId) -> Input {
    Input::OrderDone(OrderDone { market, order })
}

codec::canonical_struct!(Floor { mode, book });

impl Canonical for Exchange {
    const SIZE_MIN: usize = Vec::<Floor>::SIZE_MIN;

    fn encode<S: Sink>(&self, out: &mut S) {
        self.floors.encode(out);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let offset = reader.offset();
        let floors = Vec::<Floor>::decode(reader)?;
        let in_order = |(floor, market): (&Floor, u16)| floor.book.market() == MarketId(market);
        if floors.len() <= usize::from(u16::MAX) && floors.iter().zip(0..).all(in_order) {
            Ok(Exchange { floors })
        } else {
            Err(DecodeError { offset, expected: Expected::Parts { of: "Exchange" } })
        }
    }
}
