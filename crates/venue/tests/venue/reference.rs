//! The same rules computed the obvious way: every price tried, every lot handed out one at a time. Shares no code with
//! the venue.

use crate::BACKSTOP;
use protocol::effect::AdmittedOrder;
use protocol::ids::OrderId;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use units::Size;

pub(crate) struct Outcome {
    pub(crate) price: Option<i64>,
    pub(crate) backstop_price: Option<i64>,
    pub(crate) filled: BTreeMap<OrderId, i64>,
    pub(crate) yielded: Vec<OrderId>,
}

fn crosses(buy: &AdmittedOrder, sell: &AdmittedOrder) -> bool {
    0 < buy.size.0 && sell.size.0 < 0 && sell.limit <= buy.limit
}

fn draw(seed: &[u8; 32], id: OrderId) -> blake3::Hash {
    let mut bytes = b"SEAW\x01\x00".to_vec();
    bytes.extend_from_slice(seed);
    bytes.extend_from_slice(&id.0.to_le_bytes());
    blake3::hash(&bytes)
}

fn yielding(orders: &[AdmittedOrder], seed: &[u8; 32]) -> Option<OrderId> {
    let own = |buy: &AdmittedOrder, sell: &AdmittedOrder| buy.account == sell.account && crosses(buy, sell);
    // Of the first account that crosses itself, the best buy and the best sell.
    let buys = orders.iter().filter(|buy| orders.iter().any(|sell| own(buy, sell)));
    let buy = buys.min_by_key(|buy| (buy.account, -buy.limit.0, buy.id))?;
    let sell = orders.iter().filter(|sell| own(buy, sell)).min_by_key(|sell| (sell.limit, sell.id))?;
    let buy_stays = match (buy.id.is_kernel(), sell.id.is_kernel()) {
        (true, false) => true,
        (false, true) => false,
        (true, true) | (false, false) => match buy.size.0.cmp(&-sell.size.0) {
            Ordering::Greater => true,
            Ordering::Less => false,
            Ordering::Equal => draw(seed, buy.id).as_bytes() < draw(seed, sell.id).as_bytes(),
        },
    };
    Some(if buy_stays { sell.id } else { buy.id })
}

/// Lots bid and offered at a price.
pub(crate) fn depth(orders: &[AdmittedOrder], price: i64) -> (i64, i64) {
    let bid = orders.iter().filter(|order| 0 < order.size.0 && price <= order.limit.0);
    let offered = orders.iter().filter(|order| order.size.0 < 0 && order.limit.0 <= price);
    (bid.map(|order| order.size.0).sum(), offered.map(|order| -order.size.0).sum())
}

fn share(orders: &[AdmittedOrder], sign: i64, volume: i64, seed: &[u8; 32]) -> BTreeMap<OrderId, i64> {
    let mut filled = BTreeMap::new();
    let mut left = volume;
    let mut limits: Vec<i64> =
        orders.iter().filter(|order| 0 < order.size.0 * sign).map(|order| order.limit.0).collect();
    limits.sort_by_key(|limit| -limit * sign);
    limits.dedup();
    for limit in limits {
        let level: Vec<_> = orders.iter().filter(|order| 0 < order.size.0 * sign && order.limit.0 == limit).collect();
        let lots: i64 = level.iter().map(|order| order.size.0 * sign).sum();
        let given = left.min(lots);
        for order in &level {
            filled.insert(order.id, given * order.size.0 * sign / lots);
        }
        let mut missing = given - level.iter().map(|order| filled[&order.id]).sum::<i64>();
        let mut waiting = level;
        while 0 < missing {
            let next = (0..waiting.len())
                .min_by_key(|i| {
                    let order = waiting[*i];
                    (-(given * order.size.0 * sign % lots), *draw(seed, order.id).as_bytes())
                })
                .unwrap();
            *filled.get_mut(&waiting.remove(next).id).unwrap() += 1;
            missing -= 1;
        }
        left -= given;
    }
    filled
}

/// Whether an order waits for the kernel's orders.
pub(crate) fn standby(order: &AdmittedOrder) -> bool {
    order.account == BACKSTOP && !order.id.is_kernel()
}

/// What a round did to its orders.
struct Round {
    price: Option<i64>,
    filled: BTreeMap<OrderId, i64>,
    yielded: Vec<OrderId>,
}

fn round(mut orders: Vec<AdmittedOrder>, seed: &[u8; 32], reference: i64, price_max: i64) -> Round {
    let mut yielded = Vec::new();
    while let Some(id) = yielding(&orders, seed) {
        orders.retain(|order| order.id != id);
        yielded.push(id);
    }
    let mut best: Option<(i64, i64, i64, i64)> = None;
    for price in 1..=price_max {
        let (bid, offered) = depth(&orders, price);
        let rank = (-bid.min(offered), (bid - offered).abs(), (price - reference).abs(), price);
        if rank.0 < 0 && best.is_none_or(|best| rank < best) {
            best = Some(rank);
        }
    }
    let Some((volume, _, _, price)) = best else {
        return Round { price: None, filled: BTreeMap::new(), yielded };
    };
    let mut filled = share(&orders, 1, -volume, seed);
    filled.extend(share(&orders, -1, -volume, seed));
    filled.retain(|_, lots| 0 < *lots);
    Round { price: Some(price), filled, yielded }
}

pub(crate) fn auction(orders: &[AdmittedOrder], seed: &[u8; 32], reference: i64, price_max: i64) -> Outcome {
    let market = round(orders.iter().copied().filter(|order| !standby(order)).collect(), seed, reference, price_max);
    let mut left = Vec::new();
    for order in orders {
        let lots = market.filled.get(&order.id).copied().unwrap_or(0);
        let size = Size(order.size.0 - lots * order.size.0.signum());
        let stays = size != Size(0) && !market.yielded.contains(&order.id);
        if stays && (standby(order) || order.id.is_kernel()) {
            left.push(AdmittedOrder { size, ..*order });
        }
    }
    // Without the backstop there is no such round, and the kernel's orders have met each other already.
    let backstop = round(left, seed, reference, price_max);
    let mut filled = market.filled;
    for (id, lots) in backstop.filled {
        *filled.entry(id).or_default() += lots;
    }
    let yielded = [market.yielded, backstop.yielded].concat();
    Outcome { price: market.price, backstop_price: backstop.price, filled, yielded }
}
