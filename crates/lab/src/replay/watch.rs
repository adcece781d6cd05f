//! Watches the policy's index from outside: against the hull of fresh sources, and against the market by trade time.

use super::hindsight::Hindsight;
use super::outcome::{ArbitrageWindow, MarketOutcome};
use super::world::World;
use crate::feed::Micros;
use kernel::Kernel;
use protocol::{MarketId, QualityState, Rung, SourceId};
use units::Price;

/// A distance of more than this counts as an open window, basis points.
const THRESHOLD_BPS: f64 = 50.0;
/// Distances are counted in steps of this many basis points.
const STEP_BPS: f64 = 0.1;
/// Steps; the last holds everything above 100%.
const STEPS: usize = 100_001;

struct State {
    sources: Vec<Option<(Micros, Price)>>,
    fresh: Micros,
    checks: u64,
    outside: u64,
    counts: Vec<u32>,
    total: u64,
    max: f64,
    above: u64,
    run: u64,
    longest: u64,
}

/// The watch over one run.
pub struct Watch<'a> {
    hindsight: &'a Hindsight,
    markets: Vec<State>,
    next: Micros,
}

impl<'a> Watch<'a> {
    /// Nothing seen.
    #[must_use]
    pub fn new(world: &World, hindsight: &'a Hindsight) -> Watch<'a> {
        let state = |market: &super::world::WorldMarket| State {
            sources: vec![None; market.sources.len()],
            fresh: (market.width * 3 / 2).max(10_000_000),
            checks: 0,
            outside: 0,
            counts: vec![0; STEPS],
            total: 0,
            max: 0.0,
            above: 0,
            run: 0,
            longest: 0,
        };
        Watch { hindsight, markets: world.markets.iter().map(state).collect(), next: 0 }
    }

    /// Time passes until `at`: on every slot of the hindsight grid the index that stands is held against the market.
    pub fn until(&mut self, at: Micros, kernel: &Kernel) {
        let step = self.hindsight.step();
        if self.next == 0 {
            self.next = at.div_euclid(step) * step + step;
        }
        while self.next < at {
            for (id, state) in (0_u16..).zip(&mut self.markets) {
                let Some(market) = kernel.state().market(MarketId(id)) else { continue };
                let quality = market.quality();
                let reference = self.hindsight.at(MarketId(id), self.next).map(|reference| reference.price);
                let (Some(reference), true) = (reference, quality.state != QualityState::None) else {
                    state.run = 0;
                    continue;
                };
                let bps = (quality.value.0 as f64 / reference as f64 - 1.0).abs() * 1e4;
                state.counts[((bps / STEP_BPS) as usize).min(STEPS - 1)] += 1;
                state.total += 1;
                state.max = state.max.max(bps);
                if THRESHOLD_BPS < bps {
                    state.above += 1;
                    state.run += 1;
                    state.longest = state.longest.max(state.run);
                } else {
                    state.run = 0;
                }
            }
            self.next += step;
        }
    }

    /// A source spoke, and the kernel decided: is the index inside the hull of what fresh sources last said?
    pub fn source(&mut self, market: MarketId, source: SourceId, price: Price, at: Micros, kernel: &Kernel) {
        let state = &mut self.markets[usize::from(market.0)];
        if let Some(slot) = state.sources.get_mut(usize::from(source.0)) {
            *slot = Some((at, price));
        }
        let Some(listed) = kernel.state().market(market) else { return };
        let quality = listed.quality();
        if quality.state == QualityState::None || quality.rung != Rung::Primary {
            return;
        }
        let fresh = || state.sources.iter().flatten().filter(|(seen, _)| at - seen <= state.fresh).map(|(_, p)| *p);
        let (Some(low), Some(high)) = (fresh().min(), fresh().max()) else { return };
        state.checks += 1;
        state.outside += u64::from(quality.value < low || high < quality.value);
    }

    /// Writes what was found.
    pub fn finish(self, markets: &mut [MarketOutcome]) {
        let step = self.hindsight.step().unsigned_abs() / 1_000;
        for (state, market) in self.markets.into_iter().zip(markets) {
            market.hull_checks = state.checks;
            market.outside_hull = state.outside;
            let at = |share: f64| {
                let mut below = 0;
                let rank = (state.total as f64 * share).ceil() as u64;
                let found = state.counts.iter().position(|count| {
                    below += u64::from(*count);
                    rank <= below
                });
                found.map_or(0.0, |place| place as f64 * STEP_BPS)
            };
            market.arbitrage_window = ArbitrageWindow {
                threshold_bps: THRESHOLD_BPS,
                median_bps: if state.total == 0 { 0.0 } else { at(0.5) },
                p99_bps: if state.total == 0 { 0.0 } else { at(0.99) },
                max_bps: state.max,
                ms_above: state.above * step,
                longest_ms: state.longest * step,
            };
        }
    }
}
