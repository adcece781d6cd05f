//! The outside market, as far as its bars let liquidations through.

use super::world::{BACKSTOP, World};
use crate::feed::BarRef;
use protocol::input::{Cancel, Order};
use protocol::{Input, MarketId, OrderId};
use units::Size;
use venue::Book;

/// The share of a bar's volume that liquidations may take, those that sell and those that buy together.
pub const VOLUME_SHARE: f64 = 0.10;
/// Into how many price levels that share is cut.
const LEVELS: u32 = 5;

/// The law by which liquidations move the price that they get: closing a share `q` of a bar's volume costs
/// `coefficient × range × √q` of the price, with `range` the bar's high less low over its close, at least 2 bp. At the
/// coefficient 1 taking all of a bar would cost its whole range, and the tenth that is allowed costs a third of it.
/// The square root is the one regularity on which studies of metaorders agree.
#[derive(Clone, Copy, Debug)]
pub struct Impact {
    /// Multiplies the law.
    pub coefficient: f64,
    /// What a bar is taken to have traded where its file does not say, USD.
    pub volume_assumed_usd: f64,
}

/// Offers the other side to what rests in a book, bar by bar.
#[derive(Clone, Debug)]
pub struct Outside<'a> {
    world: &'a World,
    impact: Impact,
    next_order: u64,
}

impl<'a> Outside<'a> {
    /// Its orders are numbered from `first_order` on.
    #[must_use]
    pub const fn new(world: &'a World, impact: Impact, first_order: u64) -> Outside<'a> {
        Outside { world, impact, next_order: first_order }
    }

    /// What it offers for a bar to the orders that rest: [`VOLUME_SHARE`] of its volume, in levels whose prices follow the impact law.
    pub fn offers(&mut self, market: MarketId, bar: &BarRef, book: &Book) -> Vec<Order> {
        let (selling, buying) = book.orders().fold((0_i64, 0_i64), |(selling, buying), order| {
            let lots = order.size.0;
            if lots < 0 { (selling.saturating_sub(lots), buying) } else { (selling, buying.saturating_add(lots)) }
        });
        let level = self.level(market, bar);
        let allowed = shared(level.saturating_mul(i64::from(LEVELS)), [selling, buying]);
        let mut offers = Vec::new();
        for (lots, sign) in allowed.into_iter().zip([1.0, -1.0]) {
            self.offer(market, bar, level, lots, sign, &mut offers);
        }
        offers
    }

    /// Lots of a level: [`LEVELS`] of them are [`VOLUME_SHARE`] of the bar's volume.
    fn level(&self, market: MarketId, bar: &BarRef) -> i64 {
        let volume = match bar.volume {
            Some(volume) => volume as f64 / 1e8,
            None => self.impact.volume_assumed_usd / (bar.close as f64 / 1e12),
        };
        let listed = &self.world.markets[usize::from(market.0)];
        (listed.lots_of(volume) * VOLUME_SHARE / f64::from(LEVELS)).floor() as i64
    }

    fn offer(&mut self, market: MarketId, bar: &BarRef, level: i64, allowed: i64, sign: f64, offers: &mut Vec<Order>) {
        let listed = &self.world.markets[usize::from(market.0)];
        let close = bar.close as f64;
        let range = ((bar.high - bar.low) as f64 / close).max(2e-4);
        let mut left = allowed;
        for k in 1..=LEVELS {
            let share = VOLUME_SHARE * f64::from(k) / f64::from(LEVELS);
            let moved = self.impact.coefficient * range * share.sqrt();
            let limit = listed.price((close * (1.0 - sign * moved)).max(1.0) as i128);
            let lots = level.min(left);
            if lots <= 0 {
                break;
            }
            left -= lots;
            let id = OrderId(self.next_order);
            self.next_order += 1;
            let size = Size(if sign > 0.0 { lots } else { -lots });
            offers.push(Order { id, account: BACKSTOP, market, size, limit });
        }
    }
}

/// Takes an offer back: it is gone with its bar.
#[must_use]
pub const fn taken_back(offer: &Order) -> Input {
    Input::Cancel(Cancel { market: offer.market, account: offer.account, order: offer.id })
}

/// What of `lots` each of two sides gets that want so many: all that it wants where there is enough for both, else pro
/// rata to it, rounded down.
#[must_use]
pub fn shared(lots: i64, wanted: [i64; 2]) -> [i64; 2] {
    let (lots, wanted) = (i128::from(lots.max(0)), wanted.map(|side| i128::from(side.max(0))));
    let all: i128 = wanted.iter().sum();
    wanted.map(|side| {
        let part = if all <= lots { side } else { lots * side / all };
        i64::try_from(part).unwrap_or(i64::MAX)
    })
}
