//! The clearing rule as straight functions over orders sorted best first. [`crate::Book::auction`] states the rule.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::{Ordering, Reverse};
use protocol::ids::{AccountId, OrderId};
use units::Price;

/// An order in an auction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quote {
    pub(crate) id: OrderId,
    pub(crate) account: AccountId,
    pub(crate) limit: Price,
    /// Positive; the sum of one side fits `i64`.
    pub(crate) lots: i64,
    /// 0 ..= `lots`.
    pub(crate) filled: i64,
}

/// The clearing price and what trades at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cleared {
    pub(crate) price: Price,
    /// Positive.
    pub(crate) volume: i64,
}

/// Orders that cross another order of their own account and yield to it.
pub(crate) fn self_crosses(buys: &[Quote], sells: &[Quote], seed: &[u8; 32]) -> Vec<OrderId> {
    let mut own: BTreeMap<AccountId, (Vec<&Quote>, Vec<&Quote>)> = BTreeMap::new();
    for buy in buys {
        own.entry(buy.account).or_default().0.push(buy);
    }
    for sell in sells {
        if let Some((_, own_sells)) = own.get_mut(&sell.account) {
            own_sells.push(sell);
        }
    }
    let mut yielding = Vec::new();
    for (own_buys, own_sells) in own.values() {
        let (mut own_buys, mut own_sells) = (own_buys.iter().peekable(), own_sells.iter().peekable());
        while let (Some(buy), Some(sell)) = (own_buys.peek(), own_sells.peek())
            && sell.limit <= buy.limit
        {
            if yields(buy, sell, seed) {
                yielding.push(buy.id);
                own_buys.next();
            } else {
                yielding.push(sell.id);
                own_sells.next();
            }
        }
    }
    yielding
}

/// Whether `one` leaves rather than `other`.
fn yields(one: &Quote, other: &Quote, seed: &[u8; 32]) -> bool {
    let weight = |quote: &Quote| (quote.id.is_kernel(), quote.lots);
    match weight(one).cmp(&weight(other)) {
        Ordering::Less => true,
        Ordering::Greater => false,
        Ordering::Equal => lot(seed, other.id) < lot(seed, one.id),
    }
}

/// The clearing price of orders sorted best first, or `None` where none cross.
///
/// With the price rising, demand falls after each buy's limit and supply rises at each sell's. Between two such
/// points everything is constant, so of each such stretch only the price nearest to the reference can win.
pub(crate) fn price(buys: &[Quote], sells: &[Quote], reference: Price) -> Option<Cleared> {
    let mut start = sells.first()?.limit;
    let mut demand: i128 = buys.iter().map(|buy| i128::from(buy.lots)).sum();
    let mut supply: i128 = 0;
    let mut buys = buys.iter().rev().peekable();
    let mut sells = sells.iter().peekable();
    let mut best = None;
    loop {
        while let Some(buy) = buys.next_if(|buy| buy.limit < start) {
            demand -= i128::from(buy.lots);
        }
        while let Some(sell) = sells.next_if(|sell| sell.limit <= start) {
            supply += i128::from(sell.lots);
        }
        let Some(lowest_buy) = buys.peek() else {
            break;
        };
        // Limits are positive, so the price below one does not overflow.
        let end = sells.peek().map_or(lowest_buy.limit, |sell| lowest_buy.limit.min(Price(sell.limit.0 - 1)));
        let price = reference.clamp(start, end);
        let volume = demand.min(supply);
        let rank = (Reverse(volume), (demand - supply).abs(), price.distance(reference), price);
        if best.is_none_or(|best| rank < best) {
            best = Some(rank);
        }
        match end.0.checked_add(1) {
            Some(next) => start = Price(next),
            None => break,
        }
    }
    let (Reverse(volume), _, _, price) = best?;
    let volume = i64::try_from(volume).ok()?;
    Some(Cleared { price, volume })
}

/// Hands `volume` lots out to orders sorted best first. Orders whose turn does not come keep `filled` at zero.
pub(crate) fn allocate(quotes: &mut [Quote], volume: i64, seed: &[u8; 32]) {
    let mut left = volume;
    for level in quotes.chunk_by_mut(|a, b| a.limit == b.limit) {
        let lots: i64 = level.iter().map(|quote| quote.lots).sum();
        if lots <= left {
            for quote in &mut *level {
                quote.filled = quote.lots;
            }
            left -= lots;
        } else {
            ration(level, lots, left, seed);
            return;
        }
    }
}

/// Hands `left` of `lots` lots out by size.
///
/// An order's share is `left * own / lots`. Rounded down, the shares fall short of `left` by fewer lots than there are
/// orders with a remainder, and an order with a remainder has not got all its lots yet; so one more lot for as many of
/// the largest remainders as lots are missing makes the sum exact and fills nobody beyond their size.
fn ration(level: &mut [Quote], lots: i64, left: i64, seed: &[u8; 32]) {
    let mut missing = left;
    let mut remainders = Vec::with_capacity(level.len());
    for quote in &mut *level {
        let product = i128::from(left) * i128::from(quote.lots);
        let share = product / i128::from(lots);
        quote.filled = i64::try_from(share).unwrap_or(quote.lots);
        missing -= quote.filled;
        remainders.push((Reverse(product % i128::from(lots)), lot(seed, quote.id), &mut quote.filled));
    }
    remainders.sort_unstable_by(|(a, a_lot, _), (b, b_lot, _)| (a, a_lot).cmp(&(b, b_lot)));
    for (_, (_, _, filled)) in (0..missing).zip(remainders) {
        *filled += 1;
    }
}

/// Matches the filled lots of both sides in their order; both sums are equal.
pub(crate) fn pair<T>(buys: &[Quote], sells: &[Quote], trade: impl Fn(OrderId, OrderId, i64) -> T) -> Vec<T> {
    let mut trades = Vec::new();
    let mut sells = sells.iter();
    let (mut sell, mut offered) = (OrderId(0), 0);
    for buy in buys {
        let mut wanted = buy.filled;
        while 0 < wanted {
            if offered == 0 {
                let Some(next) = sells.next() else {
                    return trades;
                };
                (sell, offered) = (next.id, next.filled);
                continue;
            }
            let lots = wanted.min(offered);
            trades.push(trade(buy.id, sell, lots));
            wanted -= lots;
            offered -= lots;
        }
    }
    trades
}

/// An order's lot in this auction's draw.
fn lot(seed: &[u8; 32], order: OrderId) -> [u8; 32] {
    codec::hash(&(*seed, order))
}
