//! The reference model: the obvious computation of what the kernel decided.
//!
//! With every batch [`Model::before`] starts again from the integers that the kernel stored; [`Model::step`] computes with exact
//! rationals, without caches, triggers or sums over windows, and walks through the kernel's effects in their order. It
//! demands
//!
//! * the index with its quality, every exclusion, average, range, level, mode and mark: equal, except the premium, which
//!   may lie one part in 10^12 from the exact one for every look at the book;
//! * what the gate accepts and what it refuses, with the numbers of the refusal: equal;
//! * who is liquidated, why, and by how many lots: equal; nobody under maintenance goes unseen; whoever may be liquidated
//!   is;
//! * what insurance, deleveraging and socialized loss cost whom: insurance and the rest of a loss equal, shares within one
//!   lot or one micro-USD of the exact capped pro rata;
//! * every account's money and sizes, the fund, the deficit and what was paid in: equal, except one micro-USD for every
//!   deleveraging that touched an account.
//!
//! [`traffic`] makes the batches; [`storm`] makes others, which no model follows.

pub mod dice;
mod exact;
mod ladder;
mod ledger;
mod money;
mod oracle;
pub mod storm;
pub mod traffic;

use kernel::activity::Outage;
use kernel::breaker::Breaker;
use kernel::detect::{DETECTORS, Memory};
use kernel::index::{Denomination, Index, Parts, Source};
use kernel::ladder::Ladder;
use kernel::mark::Mark;
use kernel::stable::Stable;
use kernel::{Kernel, State, state};
use ladder::{Climb, Panel, Worth};
use oracle::History;
use protocol::input::{ChainHealth, Depth};
use protocol::{
    AccountId, Action, Batch, Effect, Input, MarketId, MarketParams, Mode, PriceQuality, QualityState, Rung, Side,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use units::{Ratio, Timestamp};

/// The kernel and the model do not agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The batch.
    pub height: u64,
    /// What the model demands.
    pub rule: &'static str,
    /// What it found.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "batch {}: {}: {}", self.height, self.rule, self.detail)
    }
}

impl std::error::Error for Finding {}

/// What the model remembers between batches: what never changes, and the whole past of every index.
#[derive(Clone, Debug)]
pub struct Model {
    listings: ledger::Listings,
    histories: Vec<History>,
}

/// What the kernel stored before a batch, as far as the model starts from it.
#[derive(Debug)]
pub struct Before {
    height: u64,
    at: Timestamp,
    markets: Vec<Market>,
    venue: money::Venue,
}

/// One market's prices: as they were stored, and step by step what the model makes of them.
#[derive(Debug)]
struct Market {
    id: MarketId,
    params: Arc<MarketParams>,
    /// Its own sources first.
    panels: Vec<Panel>,
    ladder: Ladder,
    mark: Mark,
    memory: Memory,
    breaker: Breaker,
    observed_until: Timestamp,
    stable: Stable,
    depth: Option<Depth>,
    depth_at: Timestamp,
    chain: Option<ChainHealth>,
    outage: Outage,
    gated: bool,
    gated_at: Timestamp,
    closed: bool,
    funded_at: Timestamp,
}

/// A batch that is walked through, effect by effect.
struct Walk<'a> {
    batch: &'a Batch,
    /// Its inputs with their places, in the order in which those of one step are decided.
    inputs: Vec<(u32, &'a Input)>,
    effects: std::iter::Peekable<std::slice::Iter<'a, Effect>>,
}

/// A demand of the model.
type Demand<T> = Result<T, (&'static str, String)>;

fn same<T: PartialEq + fmt::Debug>(rule: &'static str, about: impl fmt::Debug, kernel: T, model: T) -> Demand<()> {
    if kernel == model { Ok(()) } else { Err((rule, format!("{about:?}: kernel {kernel:?}, model {model:?}"))) }
}

fn demand(rule: &'static str, holds: bool, detail: impl FnOnce() -> String) -> Demand<()> {
    if holds { Ok(()) } else { Err((rule, detail())) }
}

/// The inputs of a batch such that those of one step come as they are decided: what one party tells as it was told; then what
/// sources say, each source's by when it was published; accounts as the seed draws them, each account's wishes by their ids.
fn in_turn(batch: &Batch) -> Vec<(u32, &Input)> {
    let drawn = |account: AccountId, rest: [i64; 5]| {
        let hash = codec::hash(&(batch.seed, account));
        let lot = i64::from_le_bytes(hash[..8].try_into().unwrap_or_default());
        let own = i64::from_ne_bytes(account.0.to_ne_bytes());
        [vec![lot, own], rest.to_vec()].concat()
    };
    let bits = |id: u64| i64::from_ne_bytes(id.to_ne_bytes());
    let place = |input: &Input| match input {
        Input::Observation(seen) => {
            let (published, received) = (seen.published_at.0, seen.received_at.0);
            let from = [1, i64::from(seen.market.0) * 256 + i64::from(seen.source.0), published, received];
            [from.to_vec(), vec![seen.price.0, seen.confidence.0, i64::from(seen.observer)]].concat()
        }
        Input::Deposit(money) | Input::Withdraw(money) => {
            drawn(money.account, [0, money.pool.0.into(), money.amount.0, 0, 0])
        }
        Input::Collateral(said) => drawn(said.account, [2, said.market.0.into(), said.size.0, 0, 0]),
        Input::Buy(said) => {
            drawn(said.account, [said.market.0.into(), bits(said.from.0), said.size.0, said.limit.0, 0])
        }
        Input::Isolate(said) => drawn(said.owner, [said.amount.0, bits(said.account.0), said.market.0.into(), 0, 0]),
        Input::Cancel(cancel) => drawn(cancel.account, [1, cancel.market.0.into(), bits(cancel.order.0), 0, 0]),
        Input::Order(order) => {
            drawn(order.account, [bits(order.id.0), order.market.0.into(), order.size.0, order.limit.0, 0])
        }
        _ => vec![0; 7],
    };
    let mut inputs: Vec<(u32, &Input)> = (0..).zip(&batch.inputs).collect();
    inputs.sort_by_cached_key(|(_, input)| place(input));
    inputs
}

impl Walk<'_> {
    fn expect(&mut self, rule: &'static str, model: Effect) -> Demand<()> {
        same(rule, self.batch.height, self.effects.next().copied(), Some(model))
    }

    fn next(&mut self) -> Option<Effect> {
        self.effects.next().copied()
    }

    fn peek(&mut self) -> Option<Effect> {
        self.effects.peek().map(|effect| **effect)
    }
}

impl Model {
    /// A model of a venue before its first batch.
    #[must_use]
    pub fn new(state: &State) -> Model {
        let listings = ledger::listings(state);
        Model { listings, histories: state.markets().map(|_| History::default()).collect() }
    }

    /// Notes what the kernel has stored before it decides a batch.
    #[must_use]
    pub fn before(&self, state: &State, batch: &Batch) -> Before {
        let indexes = |market: &state::Market| -> Vec<Index> {
            let lower = market.fallbacks.iter().map(|fallback| fallback.index.clone());
            [market.index.clone()].into_iter().chain(lower).collect()
        };
        let market = |market: &state::Market| Market {
            id: market.id,
            params: Arc::clone(&self.listings[&market.id].params),
            panels: ladder::panels(&self.listings[&market.id].params, &indexes(market).iter().collect::<Vec<_>>()),
            ladder: market.ladder,
            mark: market.mark,
            memory: market.memory,
            breaker: market.breaker,
            observed_until: market.observed_until,
            stable: market.stable,
            depth: market.activity.depth,
            depth_at: market.activity.depth_at,
            chain: market.activity.chain,
            outage: market.activity.outage,
            gated: market.activity.gated,
            gated_at: market.activity.gated_at,
            closed: market.activity.closed,
            funded_at: market.funded_at,
        };
        let markets = state.markets().map(market).collect();
        Before {
            height: state.height,
            at: state.at,
            markets,
            venue: money::Venue::of(state, &self.listings, batch.at, batch.height),
        }
    }

    /// Follows one batch.
    ///
    /// # Errors
    /// The first demand that the kernel did not meet.
    pub fn step(&mut self, before: Before, batch: &Batch, effects: &[Effect], after: &State) -> Result<(), Finding> {
        let mut walk = Walk { batch, inputs: in_turn(batch), effects: effects.iter().peekable() };
        let followed = self.follow(before, &mut walk, after);
        self.count_deleveraged(effects, batch.at);
        followed.map_err(|(rule, detail)| Finding { height: batch.height, rule, detail })
    }

    fn follow(&mut self, before: Before, walk: &mut Walk<'_>, after: &State) -> Demand<()> {
        let at = walk.batch.at;
        let Before { height, at: before_at, mut markets, mut venue } = before;
        self.count_trades(walk);
        let mut told_of = BTreeSet::new();
        for (n, input) in walk.inputs.clone() {
            venue.fact(n, input, walk)?;
            told_of.extend(announced(n, input, &mut markets, walk)?);
        }
        if walk.batch.inputs.contains(&Input::Restart) {
            let away = if height == 0 { 0 } else { at.0 - before_at.0 };
            let last = |pool: usize| last_outage(&markets, pool);
            let before: Vec<Timestamp> = (0..markets.len()).map(last).collect();
            let pools: BTreeSet<usize> = markets.iter_mut().map(|market| market.restart(away, at)).collect();
            for market in &markets {
                venue.health(market.id, market.outage, market.chain);
            }
            for pool in pools {
                venue.resume_clocks(pool, away, before.get(pool).copied().unwrap_or(Timestamp::MIN));
            }
        }
        let mut looks = observe(&mut markets, &mut venue, walk)?;
        for market in markets.iter().filter(|market| told_of.contains(&market.id)) {
            looks.entry(market.id).or_insert_with(|| Look::unseen(market));
        }
        for market in &markets {
            venue.health(market.id, market.outage, market.chain);
        }
        let due = |market: &Market| {
            // While a detector asks for the mode, time alone does not lead out of it.
            let breaker = &market.breaker;
            let waits = asked(market) < breaker.mode && breaker.mode != Mode::Normal;
            let calm = oracle::calm(breaker.mode, breaker.failed, &market.params.breaker);
            let fresh_until = market.panels.iter().map(|panel| panel.index.deadline).min();
            let chosen_until = fresh_until.map_or(market.ladder.deadline, |until| until.min(market.ladder.deadline));
            let steps = market.mark.price != market.mark.target;
            let stepped = exact::q(at.0) - exact::q(market.mark.stepped_at.0);
            let steps = steps && exact::q(market.params.mark.step_window.0) <= stepped;
            // A chain's silence reaches the one threshold or the other.
            let chain = &market.params.chain;
            let silent = |now: Timestamp, threshold: Ratio| {
                market.chain.is_some_and(|health| {
                    exact::part(threshold) * exact::q(chain.interval.0)
                        <= exact::q(now.0) - exact::q(health.produced_at.0)
                })
            };
            // Or the strict one so long ago that only its reports may be missing.
            let over = |now: Timestamp| {
                silent(Timestamp(now.0.saturating_sub(market.params.breaker.grace_max.0)), chain.distress.reduce_only)
            };
            let fell_silent = [chain.distress.cautious, chain.distress.reduce_only]
                .into_iter()
                .any(|threshold| silent(at, threshold) && !silent(market.observed_until, threshold))
                || over(at) && !over(market.observed_until);
            // The newest price is a heartbeat older.
            let age = |now: Timestamp| now.0 - market.observed_until.0 + market.ladder.quality.age.0;
            let staler = market.ladder.quality.state != QualityState::None
                && oracle::stale(market, age(market.observed_until)) != oracle::stale(market, age(at));
            // A depth is forgotten, or the gate lets leave.
            let passes = |since: Timestamp, span: units::Duration| {
                let due = since.0.saturating_add(span.0);
                market.observed_until.0 < due && due <= at.0
            };
            let shut = Mode::ReduceOnly <= breaker.mode;
            let forgets = passes(market.depth_at, market.params.activity.growth_window);
            let forgets = forgets && shut && market.depth.is_some();
            let opens = market.gated && passes(market.gated_at, market.params.oracle.dispute_confirm);
            chosen_until < at
                || staler
                || forgets
                || opens
                || steps
                || fell_silent
                || waits && exact::q(breaker.calm_since.0) + calm <= exact::q(at.0)
        };
        let mut evaluated = Vec::new();
        // What others are quoted in comes first, and takes them along if it is worth something else then.
        let units: BTreeSet<MarketId> =
            markets.iter().flat_map(|market| &market.params.sources).filter_map(|source| source.quote).collect();
        let worth =
            |markets: &[Market]| -> Worth { units.iter().map(|unit| (*unit, worth_of(markets, *unit))).collect() };
        let before = worth(&markets);
        for are_units in [true, false] {
            let now = worth(&markets);
            for market in markets.iter_mut().filter(|market| units.contains(&market.id) == are_units) {
                let id = market.id;
                let Some(kernel) = after.market(id) else { return Err(("a market stays", format!("{id:?}"))) };
                if let Some(look) = looks.get(&id) {
                    look.agrees(market, kernel)?;
                }
                let mut quoted_in = market.params.sources.iter().filter_map(|source| source.quote);
                let worth =
                    |all: &Worth, unit| all.get(&unit).cloned().flatten().map(|(value, doubt, _)| (value, doubt));
                let moved = quoted_in.any(|unit| worth(&before, unit) != worth(&now, unit));
                if looks.contains_key(&id) || due(market) || moved {
                    evaluated.push(id);
                    self.evaluate(market, kernel, &now, walk, &mut venue)?;
                }
                same("a market that is not evaluated stays as it is", id, kernel.ladder, market.ladder)?;
                same("the mark where nobody looked", id, kernel.mark.price, market.mark.price)?;
            }
        }
        evaluated.sort();
        let funded = markets.iter().filter(|market| market.funded_at != Timestamp::MIN);
        let mut funded: BTreeMap<MarketId, Timestamp> = funded.map(|market| (market.id, market.funded_at)).collect();
        let funded_before = funded.clone();
        venue.funding(&mut funded, walk)?;
        // Whom it brings under maintenance is looked at.
        evaluated.extend(
            funded.iter().filter(|(market, last)| funded_before.get(market) != Some(last)).map(|(market, _)| *market),
        );
        venue.top_ups(walk)?;
        venue.moves(walk)?;
        venue.entered(after);
        venue.ripen();
        venue.liquidations(walk)?;
        venue.distress(after, walk);
        venue.orders(walk)?;
        venue.withdrawals(walk)?;
        same("no effect without a cause", at, walk.next(), None)?;
        venue.agrees(after, &evaluated)?;
        after.check().map_err(|broken| ("the numbered invariants", format!("{broken:?}")))
    }

    /// Notes what the batch's trades closed by force.
    fn count_trades(&mut self, walk: &Walk<'_>) {
        let refused: BTreeSet<u32> = walk
            .effects
            .clone()
            .filter_map(|effect| match effect {
                Effect::Rejected { input, .. } => Some(*input),
                _ => None,
            })
            .collect();
        for (n, input) in walk.inputs.iter().copied() {
            let Input::Trade(trade) = input else { continue };
            let Some(history) = self.histories.get_mut(usize::from(trade.market.0)) else { continue };
            if (trade.buy.is_kernel() || trade.sell.is_kernel()) && !refused.contains(&n) {
                history.closed(trade.size.0.into(), walk.batch.at);
            }
        }
    }

    /// Notes what the batch deleveraged.
    fn count_deleveraged(&mut self, effects: &[Effect], at: Timestamp) {
        for effect in effects {
            let Effect::Deleveraged { market, size, .. } = effect else { continue };
            if let Some(history) = self.histories.get_mut(usize::from(market.0)) {
                history.closed(size.0.abs().into(), at);
            }
        }
    }

    /// One market's index, averages, detectors, mode and mark.
    fn evaluate(
        &mut self,
        market: &mut Market,
        kernel: &state::Market,
        worth: &Worth,
        walk: &mut Walk<'_>,
        venue: &mut money::Venue,
    ) -> Demand<()> {
        let (id, at, params) = (market.id, walk.batch.at, Arc::clone(&market.params));
        let Some(history) = self.histories.get_mut(usize::from(id.0)) else { return Ok(()) };
        let (was, old) = (market.ladder.quality, market.breaker);
        // Nobody could renew what the book would take for a growth window.
        let shut = |mode: Mode| Mode::ReduceOnly <= mode;
        if shut(old.mode) && params.activity.growth_window.0 <= at.0.saturating_sub(market.depth_at.0) {
            market.depth = None;
        }
        let plain = matches!(was.state, QualityState::Agreed | QualityState::Degraded)
            && matches!(was.rung, Rung::Primary | Rung::Secondary);
        let deadlines = market.panels.iter().map(|panel| panel.index.deadline);
        let until = deadlines.fold(market.ladder.deadline, Timestamp::min);
        // The last choice held until then, and not a moment longer.
        let unseen = (at.0 - until.0.saturating_add(1)).max(0);
        let until = until.min(at);
        if plain && market.observed_until < until {
            let (from, detectors) = (market.observed_until, &params.detectors);
            // A quarter of the window after it was published a price is no longer seen, though it may still be true.
            let seen_until = from.0 - was.age.0 + detectors.twap_window.0 / 4;
            if from.0 < seen_until {
                history.held(was.value, &params, from, until.min(Timestamp(seen_until)));
            }
        }
        let listed: BTreeSet<u8> = market.own().params.sources.iter().map(|source| source.lineage.0).collect();
        let needed = listed.len().min(params.oracle.lineages_min.into());
        if plain && market.observed_until < until && needed <= usize::from(was.lineages) {
            let (from, detectors) = (market.observed_until, &params.detectors);
            let stable = oracle::stable(&market.stable, was.value, until.0 - from.0, detectors);
            // The average, the farthest and what is taken over are each rounded by less than a unit of 2^-20.
            let found = exact::q(kernel.stable.value) / exact::q(1_i64 << 20);
            let off = (found.clone() - &stable.value).max(stable.value.clone() - found);
            let near = off * exact::q(1_i64 << 20) <= exact::q(3 * stable.steps + 1);
            demand("the stable price", near, || format!("{id:?}: kernel {:?}, model {stable:?}", kernel.stable))?;
            let (sum, observed) = stable.rest;
            same("how much of a step is over", id, kernel.stable.observed, observed)?;
            let off = exact::q(kernel.stable.sum) / exact::q(1_i64 << 20) - sum;
            let off = off.clone().max(-off) * exact::q(1_i64 << 20);
            // Each microsecond pulls from a reach around a value that is off by no more than was said.
            let near = off <= exact::q(i128::from(observed) * (3 * i128::from(stable.steps) + 3));
            demand("what the stable price takes over next", near, || format!("{id:?}: {:?}", kernel.stable))?;
        } else {
            same("a stable price that nothing pulls", id, kernel.stable, market.stable)?;
        }
        let mut told = Vec::new();
        let tell = |panel: &mut Panel, told: &mut Vec<Effect>, change: &mut dyn FnMut(&mut Panel)| {
            let exclusions =
                |panel: &Panel| panel.index.sources.iter().map(|source| source.exclusion).collect::<Vec<_>>();
            let was = exclusions(panel);
            change(panel);
            for ((source, was), exclusion) in panel.ids.iter().zip(was).zip(exclusions(panel)) {
                if was != exclusion {
                    told.push(Effect::Source { market: id, source: *source, exclusion });
                }
            }
        };
        for panel in &mut market.panels {
            tell(panel, &mut told, &mut |panel| oracle::convert(&mut panel.index, &panel.params, worth));
        }
        let lower = kernel.fallbacks.iter().map(|fallback| &fallback.index);
        for (panel, kernel) in market.panels.iter_mut().zip([&kernel.index].into_iter().chain(lower)) {
            let mut quality = PriceQuality::NONE;
            tell(panel, &mut told, &mut |panel| quality = oracle::evaluate(&mut panel.index, &panel.params, at));
            panel.index.quality = quality;
            same("a set's price and quality", id, kernel.quality, quality)?;
        }
        let average = history.average(params.detectors.twap_window, at);
        let swing = history.extremes(&params.detectors)[1];
        let median = history.median(params.detectors.twap_window, at);
        let climb = Climb { params: &params, panels: &market.panels, average, median, swing, at };
        market.ladder = ladder::climb(&market.ladder, &climb, unseen);
        let found = Ladder { deadline: kernel.ladder.deadline, ..market.ladder };
        same("the ladder", id, kernel.ladder, found)?;
        // The set that serves undisputed says what the other one has left.
        let served = market.ladder.quality;
        let undisputed = served.state == QualityState::Agreed || served.state == QualityState::Degraded;
        for panel in market.panels.iter_mut().filter(|_| undisputed) {
            let other = match served.rung {
                Rung::Primary => panel.rung == Rung::Secondary,
                Rung::Secondary => panel.rung == Rung::Primary,
                _ => false,
            };
            if other && panel.index.agreed.0 != 0 {
                panel.index.agreed = served.value;
                (panel.index.footing, panel.index.vouched) = (served.value, true);
                if panel.index.leapt.0 == 0 {
                    panel.index.adrift = panel.index.adrift.map(|held| kernel::index::Adrift { since: at, ..held });
                }
            }
        }
        let lower = kernel.fallbacks.iter().map(|fallback| &fallback.index);
        for (panel, kernel) in market.panels.iter().zip([&kernel.index].into_iter().chain(lower)) {
            agrees(id, at, kernel, &panel.index)?;
        }
        demand("a deadline is not past", at <= kernel.ladder.deadline, || format!("{id:?} {:?}", kernel.ladder))?;
        market.ladder = found;
        let quality = market.ladder.quality;
        let (traded, traded_at) = (market.speaker().traded, market.speaker().traded_at);
        if 0 < traded.0 {
            history.seen(traded, at.min(traded_at));
        }
        let average = history.average(params.detectors.twap_window, at);
        same("the time-weighted average", id, (kernel.twap.average(), kernel.twap.covered), average)?;
        let ranges = history.extremes(&params.detectors);
        same("the ranges", id, [kernel.range.extremes(), kernel.swing.extremes()], ranges)?;
        let open = venue.open_interest(id);
        let least = history.least_open(open, params.activity.growth_window, at);
        let closed = history.lately_closed(params.activity.intensity_window, at);
        let listed = listed.len().min(params.oracle.lineages_min.into());
        let fresh = matches!(quality.rung, Rung::Primary | Rung::Secondary) && quality.state < QualityState::Disputed;
        market.gated &= !(fresh && listed <= usize::from(quality.lineages));
        same("the gate", id, kernel.activity.gated, market.gated)?;
        let measures = oracle::Measures::of(market, open, least, closed, &kernel.mark, at);
        let (levels, wanted, causes) =
            oracle::detect(market, &quality, average, ranges, kernel.stable.price(), &measures);
        let levels: [Mode; DETECTORS.len()] = levels;
        same("the detectors' levels", id, kernel.memory.levels, levels)?;
        // A reason that stood at the last look stood until this one.
        let reason_at = if old.mode <= asked(market) { at } else { old.calm_since };
        let rungs = |breaker: &Breaker, reason_at| {
            let Breaker { mode, relaxed_at, failed, .. } = *breaker;
            oracle::Rungs { mode, reason_at, relaxed_at, failed }
        };
        let after = oracle::ladder(rungs(&old, reason_at), wanted.mode(), &params.breaker, at);
        same("the mode", id, rungs(&kernel.breaker, kernel.breaker.calm_since), after)?;
        let mode = after.mode;
        if !shut(old.mode) && shut(mode) {
            market.depth_at = at;
        }
        let stored = (kernel.activity.depth, kernel.activity.depth_at);
        same("a depth and since when it counts", id, stored, (market.depth, market.depth_at))?;
        let restriction = oracle::restriction(mode, &params);
        same("the restriction", id, kernel.breaker.restriction, restriction)?;
        market.mark = oracle::mark(quality.value, market.mark, &kernel.mark, &params, at);
        same("the mark", id, kernel.mark, market.mark)?;
        for told in told {
            walk.expect("a source that others bring in or out is told", told)?;
        }
        if (was.state, was.rung) != (quality.state, quality.rung) {
            walk.expect("a change of quality is told", Effect::Quality { market: id, quality })?;
        }
        if old.mode != mode {
            let causes = if old.mode < mode { causes } else { 0 };
            let told = Effect::Mode { market: id, from: old.mode, to: mode, restriction, causes };
            walk.expect("a change of mode is told", told)?;
        }
        // A grace begins when whoever wants to leave may.
        if market.outage.waits && Side::BOTH.iter().all(|side| restriction.permits(Action::Reduce, *side)) {
            let until = Timestamp(at.0.saturating_add(market.outage.grace.0));
            (market.outage.waits, market.outage.grace_until) = (false, until);
            venue.health(id, market.outage, market.chain);
        }
        same("a grace", id, kernel.activity.outage, market.outage)?;
        market.observed_until = at;
        venue.priced(id, [market.mark.price, market.mark.target], kernel.stable.price(), quality, restriction);
        let closed = Side::BOTH.iter().any(|side| !restriction.permits(Action::Open, *side));
        if old.mode < mode && closed {
            venue.take_back_opening(id, walk)?;
        }
        Ok(())
    }
}

impl Market {
    /// Whoever decides was away until `at`. Returns the pool.
    fn restart(&mut self, away: i64, at: Timestamp) -> usize {
        self.hear_anew(at);
        self.grace(away, at);
        usize::from(self.params.pool.0)
    }

    /// Whatever was said before is not of the present.
    fn hear_anew(&mut self, at: Timestamp) {
        for panel in &mut self.panels {
            for source in &mut panel.index.sources {
                source.fresh_until = Timestamp::MIN;
                oracle::falls_silent(source, at.0);
            }
            panel.index.deadline = panel.index.deadline.min(at);
        }
        (self.gated, self.gated_at) = (true, at);
    }

    /// So long after an outage nobody solvent is liquidated whom it brought into distress.
    fn grace(&mut self, outage: i64, at: Timestamp) {
        let breaker = &self.params.breaker;
        let grace = exact::floor(&(exact::part(breaker.grace_share) * exact::q(outage.max(0))));
        // Inside of a grace, or before it could begin, it is still the outage that it was.
        let old = self.outage;
        let inside = old.waits || at < old.grace_until;
        let left = match (old.waits, inside) {
            (true, _) => i128::from(old.grace.0),
            (false, true) => i128::from(old.grace_until.0) - i128::from(at.0),
            (false, false) => 0,
        };
        let grace = grace.min(breaker.grace_max.0.into()).max(left);
        let until = Timestamp((i128::from(at.0) + grace).min(i64::MAX.into()) as i64);
        let ended_at = if inside { old.ended_at } else { at };
        self.outage = Outage { ended_at, grace: units::Duration(grace as i64), grace_until: until, waits: true };
    }

    /// Takes a report of the chain. Returns the outage that it ends.
    fn report(&mut self, health: &ChainHealth, at: Timestamp) -> Result<Option<i64>, protocol::Reject> {
        let last = self.chain.map_or(health.produced_at.0, |last| last.produced_at.0);
        let rules = [
            (at < health.produced_at, protocol::Reject::ReceivedAfterBatch),
            (health.inclusion.0 < 0 || health.finality.0 < 0, protocol::Reject::OutOfRange),
            (health.produced_at.0 < last, protocol::Reject::OutOfOrder),
        ];
        if let Some((_, reject)) = rules.into_iter().find(|(broken, _)| *broken) {
            return Err(reject);
        }
        let silent = health.produced_at.0 - last;
        let params = &self.params.chain;
        let stalled = exact::part(params.distress.reduce_only) * exact::q(params.interval.0) <= exact::q(silent);
        let ended = self.chain.is_some() && stalled;
        self.chain = Some(*health);
        if ended {
            self.grace(silent, at);
        }
        Ok(ended.then_some(silent))
    }

    fn own(&self) -> &Panel {
        &self.panels[0]
    }

    /// Whose prices serve, or its own sources.
    fn speaker(&self) -> &Index {
        let speaks = |panel: &&Panel| panel.rung == self.ladder.quality.rung;
        &self.panels.iter().find(speaks).unwrap_or(self.own()).index
    }
}

/// When the last outage of which a pool's market was told was over.
fn last_outage(markets: &[Market], pool: usize) -> Timestamp {
    let of_pool = markets.iter().filter(|market| usize::from(market.params.pool.0) == pool);
    of_pool.map(|market| market.outage.ended_at).max().unwrap_or(Timestamp::MIN)
}

fn worth_of(markets: &[Market], unit: MarketId) -> Option<(exact::Q, exact::Q, Timestamp)> {
    let market = markets.get(usize::from(unit.0))?;
    ladder::worth(&market.ladder.quality, &market.params, market.observed_until)
}

/// Sources and what they amount to are the same.
fn agrees(id: MarketId, at: Timestamp, kernel: &Index, model: &Index) -> Demand<()> {
    same("the index and its quality", id, kernel.quality, model.quality)?;
    for (place, (kernel, model)) in kernel.sources.iter().zip(&model.sources).enumerate() {
        same("a source's exclusion", (id, place), kernel.exclusion, model.exclusion)?;
        let said = |source: &Source| (source.price, source.confidence);
        same("a source's price in USD", (id, place), said(kernel), said(model))?;
        let settled = |source: &Source| (source.settled, source.settled_at);
        same("a source's settled price", (id, place), settled(kernel), settled(model))?;
        same("until when a source is heard", (id, place), kernel.fresh_until, model.fresh_until)?;
        let stands = |source: &Source| {
            let overruled = (source.excluded_since, source.claimed, source.refuted_by);
            (source.standing, source.contradicted, source.contradicted_until, overruled)
        };
        same("where a source stands", (id, place), stands(kernel), stands(model))?;
    }
    let index = |index: &Index| {
        let remembered = (index.agreed, index.footing, index.vouched, index.supported_at, index.spread);
        (index.believed, index.believed_at, index.adrift, remembered, (index.denomination, index.rebased))
    };
    same("who is believed", id, index(kernel), index(model))?;
    demand("a deadline is not past", at <= kernel.deadline, || format!("{id:?} {:?}", kernel.deadline))?;
    let traded = |index: &Index| (index.traded, index.traded_at);
    same("what trades bear out", id, traded(kernel), traded(model))?;
    same("who speaks from its bound", id, kernel.stuck, model.stuck)
}

/// The strictest mode for which a detector saw a reason at the last look.
fn asked(market: &Market) -> Mode {
    market.memory.levels.into_iter().max().unwrap_or(Mode::Halted)
}

/// Whether makers may open, and could for as long as a calm.
fn is_quoted(market: &Market, at: Timestamp) -> bool {
    let since = at.0.saturating_sub(market.breaker.relaxed_at.0);
    market.breaker.mode < Mode::ReduceOnly && market.params.breaker.calm.0 <= since
}

/// What looks at the venue's own book make of a market's premium.
struct Look {
    premium: exact::Q,
    at: Timestamp,
    looks: i64,
    gap: exact::Q,
    gap_at: Timestamp,
    gaps: i64,
}

impl Look {
    fn unseen(market: &Market) -> Look {
        let Mark { premium, gap, premium_at, gap_at, .. } = market.mark;
        let (premium, gap) = (exact::part(premium), exact::part(gap));
        Look { premium, at: premium_at, looks: 0, gap, gap_at, gaps: 0 }
    }

    fn agrees(&self, old: &Market, kernel: &state::Market) -> Demand<()> {
        let id = old.id;
        if self.looks == 0 {
            let stored = |mark: &Mark| (mark.premium, mark.gap, mark.premium_at, mark.gap_at);
            return same("a premium that nobody looked at", id, stored(&kernel.mark), stored(&old.mark));
        }
        // The sample and the average are each rounded to a part.
        let near = oracle::near(kernel.mark.premium, &self.premium, 2 * self.looks);
        demand("the premium", near, || format!("{id:?}: kernel {:?}, model {}", kernel.mark.premium, self.premium))?;
        let near = oracle::near(kernel.mark.gap, &self.gap, 2 * self.gaps);
        demand("the gap", near, || format!("{id:?}: kernel {:?}, model {}", kernel.mark.gap, self.gap))?;
        same("when the gap was averaged", id, kernel.mark.gap_at, self.gap_at)?;
        same("when the premium was averaged", id, kernel.mark.premium_at, self.at)
    }
}

/// Follows what is announced of a market: its sessions, and splits of what it prices. Returns it, if that was taken.
fn announced(n: u32, input: &Input, markets: &mut [Market], walk: &mut Walk<'_>) -> Demand<Option<MarketId>> {
    let at = walk.batch.at;
    let of = match input {
        Input::Session(session) => session.market,
        Input::Redenomination(said) => said.market,
        _ => return Ok(None),
    };
    let is_unit = markets.iter().flat_map(|market| &market.params.sources).any(|source| source.quote == Some(of));
    let Some(market) = markets.get_mut(usize::from(of.0)) else {
        let reject = protocol::Reject::UnknownMarket;
        walk.expect("news of no market", Effect::Rejected { input: n, reject })?;
        return Ok(None);
    };
    match input {
        Input::Session(session) => {
            if session.opens && market.closed {
                market.hear_anew(at);
            }
            market.closed = !session.opens;
        }
        Input::Redenomination(said) => {
            let old = market.own().index.denomination;
            let ahead = at < old.since;
            let late = !ahead && said.at <= old.since;
            let old_parts = if ahead { old.before } else { old.after };
            // In lowest terms, by trying every divisor that both have.
            let parts = |of: u64, per: u64| {
                let (mut of, mut per) = (of, per);
                let mut divisor = 2;
                while divisor <= of.min(per) && divisor < 1 << 17 {
                    if of % divisor == 0 && per % divisor == 0 {
                        (of, per) = (of / divisor, per / divisor);
                    } else {
                        divisor += 1;
                    }
                }
                let fits = |part: u64| u32::try_from(part).ok().filter(|part| 0 < *part);
                Some(Parts { of: fits(of)?, per: fits(per)? })
            };
            let after =
                parts(u64::from(old_parts.of) * u64::from(said.into), u64::from(old_parts.per) * u64::from(said.from));
            let reject = match after {
                _ if is_unit || said.from == 0 || said.from == said.into && !ahead => {
                    Some(protocol::Reject::OutOfRange)
                }
                _ if late => Some(protocol::Reject::OutOfOrder),
                None => Some(protocol::Reject::OutOfRange),
                Some(_) => None,
            };
            if let Some(reject) = reject {
                walk.expect("refused news", Effect::Rejected { input: n, reject })?;
                return Ok(None);
            }
            let denomination = Denomination { before: old_parts, after: after.unwrap_or(old_parts), since: said.at };
            for panel in &mut market.panels {
                let said = |panel: &Panel| panel.index.sources.iter().map(|s| s.exclusion).collect::<Vec<_>>();
                let was = said(panel);
                oracle::redenominate(&mut panel.index, &panel.params, denomination);
                for ((source, was), exclusion) in panel.ids.iter().zip(was).zip(said(panel)) {
                    if was != exclusion {
                        let told = Effect::Source { market: of, source: *source, exclusion };
                        walk.expect("a source that a split brings in or out is told", told)?;
                    }
                }
            }
        }
        _ => {}
    }
    Ok(Some(of))
}

/// Files every price of the batch; returns the markets that have to be evaluated.
fn observe(markets: &mut [Market], venue: &mut money::Venue, walk: &mut Walk<'_>) -> Demand<BTreeMap<MarketId, Look>> {
    let at = walk.batch.at;
    let mut looks: BTreeMap<MarketId, Look> = BTreeMap::new();
    if walk.batch.inputs.contains(&Input::Restart) {
        looks.extend(markets.iter().map(|market| (market.id, Look::unseen(market))));
    }
    for (n, input) in walk.inputs.clone() {
        let market = match input {
            Input::Observation(seen) => seen.market,
            Input::BookTop(top) => top.market,
            Input::Depth(depth) => depth.market,
            Input::Chain(health) => {
                let pool = usize::from(health.pool.0);
                let last = last_outage(markets, pool);
                let known = venue.has_pool(pool);
                let mut reject = (!known).then_some(protocol::Reject::UnknownPool);
                let mut outage = None;
                for market in markets.iter_mut().filter(|market| market.params.pool == health.pool && known) {
                    match market.report(health, at) {
                        Ok(ended) => {
                            outage = outage.or(ended);
                            let unseen = Look::unseen(market);
                            looks.entry(market.id).or_insert(unseen);
                        }
                        Err(found) => reject = Some(found),
                    }
                }
                for market in markets.iter() {
                    venue.health(market.id, market.outage, market.chain);
                }
                if let Some(outage) = outage {
                    venue.resume_clocks(pool, outage, last);
                }
                if let Some(reject) = reject {
                    walk.expect("a refused report", Effect::Rejected { input: n, reject })?;
                }
                continue;
            }
            Input::Isolate(_) | Input::Collateral(_) | Input::Buy(_) => continue,
            // Governance has a model of its own: `tests/governance.rs`.
            Input::Statement(_) => continue,
            Input::Restart | Input::Funding(_) | Input::Session(_) | Input::Redenomination(_) => {
                continue;
            }
            Input::Deposit(_)
            | Input::Withdraw(_)
            | Input::Order(_)
            | Input::Cancel(_)
            | Input::OrderDone(_)
            | Input::Trade(_)
            | Input::InsuranceDeposit(_) => continue,
        };
        let units = markets.iter().flat_map(|market| &market.params.sources).filter_map(|source| source.quote);
        let worth: Worth = units.map(|unit| (unit, worth_of(markets, unit))).collect();
        let Some(market) = markets.get_mut(usize::from(market.0)) else {
            let reject = protocol::Reject::UnknownMarket;
            walk.expect("a price of no market", Effect::Rejected { input: n, reject })?;
            continue;
        };
        let unseen = Look::unseen(market);
        if let Input::Depth(depth) = input {
            if depth.bid.0 < 0 || depth.ask.0 < 0 {
                let reject = protocol::Reject::OutOfRange;
                walk.expect("a refused depth", Effect::Rejected { input: n, reject })?;
            } else {
                let thin = |depth: &Depth| depth.bid.min(depth.ask);
                // Of a book that nobody may quote only the better is news.
                if is_quoted(market, at) || market.depth.is_some_and(|last| thin(&last) < thin(depth)) {
                    (market.depth, market.depth_at) = (Some(*depth), at);
                }
                looks.entry(market.id).or_insert(unseen);
            }
            continue;
        }
        if let Input::Observation(seen) = input {
            let id = market.id;
            let seat = |panel: &mut Panel| {
                let place = panel.ids.iter().position(|id| *id == seen.source)?;
                let was = panel.index.exclusion(place);
                let observed = oracle::observe(&mut panel.index, seen, place, &panel.params, &worth, at);
                Some(observed.map(|()| (was, panel.index.exclusion(place))))
            };
            match market.panels.iter_mut().find_map(seat).unwrap_or(Err(protocol::Reject::UnknownSource)) {
                Err(reject) => walk.expect("a refused price", Effect::Rejected { input: n, reject })?,
                Ok((was, exclusion)) => {
                    looks.entry(id).or_insert(unseen);
                    if was != exclusion {
                        let told = Effect::Source { market: id, source: seen.source, exclusion };
                        walk.expect("a change of a source is told", told)?;
                    }
                }
            }
        }
        if let Input::BookTop(top) = input {
            let look = looks.entry(market.id).or_insert_with(|| Look::unseen(market));
            let max = market.params.mark.premium_max;
            if let Some(premium) = oracle::premium(market, &look.premium, look.at, top, max, at) {
                (look.premium, look.at, look.looks) = (premium, at, look.looks + 1);
            }
            let gap = oracle::premium(market, &look.gap, look.gap_at, top, Ratio::ONE, at);
            if let Some(gap) = gap.filter(|_| is_quoted(market, at)) {
                (look.gap, look.gap_at, look.gaps) = (gap, at, look.gaps + 1);
            }
        }
    }
    Ok(looks)
}

/// A seed's whole story: the kernel, its traffic and the model side by side.
#[derive(Clone, Debug)]
pub struct Story {
    /// The kernel.
    pub kernel: Kernel,
    traffic: traffic::Traffic,
    model: Model,
    effects: Vec<Effect>,
}

impl Story {
    /// Before the first batch.
    ///
    /// # Panics
    /// Where a generated venue is not well formed: that is a bug of [`traffic`].
    #[must_use]
    pub fn new(seed: u64) -> Story {
        let traffic = traffic::Traffic::new(seed);
        let kernel = Kernel::new(traffic.params(), traffic.genesis()).expect("a seed's venue is well formed");
        let model = Model::new(kernel.state());
        Story { kernel, traffic, model, effects: Vec::new() }
    }

    /// One more batch, decided by the kernel and followed by the model. Returns the number of its inputs.
    ///
    /// # Errors
    /// The first demand that the kernel did not meet.
    pub fn step(&mut self) -> Result<usize, Finding> {
        let batch = self.traffic.next(self.kernel.state());
        let before = self.model.before(self.kernel.state(), &batch);
        self.decide(&batch);
        self.model.step(before, &batch, &self.effects, self.kernel.state())?;
        Ok(batch.inputs.len())
    }

    /// One more batch, decided by the kernel alone.
    pub fn apply(&mut self) -> Batch {
        let batch = self.traffic.next(self.kernel.state());
        self.decide(&batch);
        batch
    }

    fn decide(&mut self, batch: &Batch) {
        self.effects.clear();
        self.kernel.apply(batch, &mut self.effects);
    }

    /// What the kernel decided in the last batch.
    #[must_use]
    pub fn effects(&self) -> &[Effect] {
        &self.effects
    }
}

/// The hashes, in hexadecimal digits, of the state after so many batches of a seed's story and of all their effects. They
/// are the same on every machine and however the kernel was built.
#[must_use]
pub fn hash(seed: u64, batches: u32) -> [String; 2] {
    let mut story = Story::new(seed);
    let mut effects = codec::HashSink::new();
    for _ in 0..batches {
        story.apply();
        codec::Canonical::encode(&story.effects, &mut effects);
    }
    let hex = |hash: [u8; 32]| hash.iter().map(|byte| format!("{byte:02x}")).collect();
    [hex(story.kernel.state().hash()), hex(effects.finish())]
}
