//! The competent baseline's price: the plain median of the venues, and a halt.
//!
//! What a careful venue without Seawall would do: every source counts the same, whatever it claims; a source that has
//! been silent for a minute (or one and a half bars) is left out; a price that is 10% or more away from the mean of the
//! last five minutes halts the market for five minutes, as the limit-up limit-down rules of equities do. Halted means
//! that nothing is priced, liquidated or filled.

use super::world::World;
use crate::feed::Micros;
use protocol::{MarketId, SourceId};
use std::collections::VecDeque;
use units::Price;

/// A source is left out after this silence.
const FRESH: Micros = 60_000_000;
/// The reference is the mean over this.
const WINDOW: Micros = 300_000_000;
/// A halt lasts this.
const HALT: Micros = 300_000_000;
/// A move of one in this many halts.
const LIMIT: i128 = 10;

struct State {
    sources: Vec<Option<(Micros, i64)>>,
    fresh: Micros,
    /// One sample a second: (second, price).
    window: VecDeque<(Micros, i64)>,
    sum: i128,
    halted_until: Micros,
}

/// The plain median of every market.
pub struct Median {
    markets: Vec<State>,
}

impl Median {
    /// Nothing seen.
    #[must_use]
    pub fn new(world: &World) -> Median {
        let state = |market: &super::world::WorldMarket| State {
            sources: vec![None; market.sources.len()],
            fresh: FRESH.max(market.width * 3 / 2),
            window: VecDeque::new(),
            sum: 0,
            halted_until: 0,
        };
        Median { markets: world.markets.iter().map(state).collect() }
    }

    /// Takes a source's price in and returns the median, or `None` while the market is halted.
    pub fn price(&mut self, market: MarketId, source: SourceId, price: Price, at: Micros) -> Option<Price> {
        let state = self.markets.get_mut(usize::from(market.0))?;
        if let Some(slot) = state.sources.get_mut(usize::from(source.0)) {
            *slot = Some((at, price.0));
        }
        let mut prices: Vec<i64> =
            state.sources.iter().flatten().filter(|(seen, _)| at - seen <= state.fresh).map(|(_, p)| *p).collect();
        prices.sort_unstable();
        let n = prices.len();
        let median = match n {
            0 => return None,
            n if n % 2 == 1 => prices[n / 2],
            n => prices[n / 2 - 1].midpoint(prices[n / 2]),
        };
        if at < state.halted_until {
            return None;
        }
        while let Some((seen, old)) = state.window.front().copied().filter(|(seen, _)| *seen < at - WINDOW) {
            let _ = seen;
            state.sum -= i128::from(old);
            state.window.pop_front();
        }
        let count = state.window.len() as i128;
        if 0 < count && state.sum <= (i128::from(median) * count - state.sum).abs() * LIMIT {
            state.halted_until = at + HALT;
            state.window.clear();
            state.sum = 0;
            return None;
        }
        if state.window.back().is_none_or(|(seen, _)| 1_000_000 <= at - seen) {
            state.window.push_back((at, median));
            state.sum += i128::from(median);
        }
        Some(Price(median))
    }
}
