//! What a run is judged by, counted from its trades and effects.

use super::hindsight::{Hindsight, Stretch};
use super::outcome::{Fate, TimelineEntry, Totals};
use super::world::{BACKSTOP, World};
use crate::feed::Micros;
use codec::{Canonical, HashSink};
use kernel::margin::{PARTS, requirement};
use kernel::{Genesis, Kernel};
use protocol::input::Trade;
use protocol::params::Tier;
use protocol::quality::Exclusion;
use protocol::{AccountId, Effect, Input, MarketId, Mode, OrderId, QualityState, Rung, SourceId};
use std::collections::{BTreeMap, BTreeSet};
use units::{Price, Rounding, Timestamp};

/// The hindsight window on each side of a liquidation, microseconds; with bars wider than this, the bar's width.
const HINDSIGHT_WINDOW: Micros = 10_000_000;
/// Lines of a timeline; what comes on top is counted and not kept.
const TIMELINE_MAX: usize = 200_000;

/// An account as it stood.
#[derive(Clone, Debug, Default)]
struct Snapshot {
    /// micro-USD.
    cash: i64,
    /// Market, lots, cost in micro-USD.
    positions: Vec<(MarketId, i64, i64)>,
    /// Market, lots of its base asset as collateral.
    collateral: Vec<(MarketId, i64)>,
}

/// A decided liquidation, kept to be judged in hindsight.
#[derive(Clone, Debug)]
pub struct Decided {
    /// When.
    pub at: Micros,
    /// Whose.
    pub account: AccountId,
    /// Where.
    pub market: MarketId,
    before: Snapshot,
    /// The fewest lots that would have restored the account, by this room's own formula; all of them where equity was
    /// gone.
    needed_lots: f64,
    filled_lots: f64,
    usd_per_lot: f64,
    /// Judged afterwards: the account was healthy all through the window.
    pub unjustified: bool,
    /// Judged afterwards: somewhere in the window every market that the account held had a reference of two lineages.
    pub judged: bool,
}

impl Decided {
    /// Lots that were filled so far.
    #[must_use]
    pub const fn filled_lots(&self) -> f64 {
        self.filled_lots
    }
}

/// A market's clock of states and modes.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Microseconds by state: agreed, degraded, disputed, none.
    pub states: [i64; 4],
    /// Microseconds by mode.
    pub modes: [i64; 6],
    state: QualityState,
    state_since: i64,
    mode: Mode,
    mode_since: i64,
}

/// What is counted of a run.
#[derive(Debug)]
pub struct Tally {
    /// By market.
    pub clocks: Vec<Clock>,
    /// Totals so far.
    pub totals: Totals,
    /// By account.
    pub fates: BTreeMap<AccountId, Fate>,
    /// Liquidations, to be judged.
    pub decided: Vec<Decided>,
    /// By market: losses past the accounts' own money, USD.
    pub bad_debt_by_market: Vec<f64>,
    /// What happened.
    pub timeline: Vec<TimelineEntry>,
    /// Changes of mode: market, at, mode.
    pub modes: Vec<(MarketId, Micros, Mode)>,
    names: Vec<String>,
    usd_per_unit: Vec<f64>,
    base_per_lot: Vec<f64>,
    /// The kernel numbers its orders pool by pool; a market belongs to one.
    by_order: BTreeMap<(MarketId, OrderId), usize>,
    /// By second, market, kind, and what the kind tells apart: a source's changes are lines of their own.
    by_second: BTreeMap<(i64, u16, &'static str, u8), usize>,
    /// Sources that are left out, and why.
    excluded: BTreeMap<(MarketId, SourceId), Exclusion>,
    shadows: BTreeMap<AccountId, Snapshot>,
    touched: BTreeSet<AccountId>,
    seed: [u8; 32],
    hasher: HashSink,
}

impl Tally {
    /// Nothing counted.
    #[must_use]
    pub fn new(world: &World, accounts: &[Genesis]) -> Tally {
        let (state, mode) = (QualityState::None, Mode::Halted);
        let clock = Clock { states: [0; 4], modes: [0; 6], state, state_since: 0, mode, mode_since: 0 };
        let mut tally = Tally {
            clocks: vec![clock; world.markets.len()],
            totals: Totals::default(),
            fates: accounts.iter().map(|genesis| (genesis.account, Fate::default())).collect(),
            decided: Vec::new(),
            bad_debt_by_market: vec![0.0; world.markets.len()],
            timeline: Vec::new(),
            modes: Vec::new(),
            names: world.markets.iter().map(|market| market.name.clone()).collect(),
            usd_per_unit: world.markets.iter().map(|market| market.usd(Price(1))).collect(),
            base_per_lot: world.markets.iter().map(|market| market.base(1.0)).collect(),
            by_order: BTreeMap::new(),
            by_second: BTreeMap::new(),
            excluded: BTreeMap::new(),
            shadows: BTreeMap::new(),
            touched: accounts.iter().map(|genesis| genesis.account).collect(),
            seed: [0; 32],
            hasher: HashSink::new(),
        };
        tally.touched.remove(&BACKSTOP);
        tally
    }

    /// The stream begins: clocks run from here.
    pub fn start(&mut self, at: Micros) {
        for clock in &mut self.clocks {
            (clock.state_since, clock.mode_since) = (at, at);
        }
        for market in 0..self.clocks.len() {
            self.modes.push((MarketId(u16::try_from(market).unwrap_or(u16::MAX)), at, Mode::Halted));
        }
    }

    /// The hash of the batch before, for the next batch's seed.
    #[must_use]
    pub const fn seed(&self) -> [u8; 32] {
        self.seed
    }

    /// A batch is about to be applied.
    pub fn before(&mut self, inputs: &[Input]) {
        for input in inputs {
            if let Input::Trade(trade) = input {
                self.trade(trade);
            }
        }
    }

    fn trade(&mut self, trade: &Trade) {
        let usd = trade.size.0 as f64 * self.usd(trade.market, trade.price);
        for order in [trade.buy, trade.sell] {
            let Some(decided) =
                self.by_order.get(&(trade.market, order)).and_then(|place| self.decided.get_mut(*place))
            else {
                continue;
            };
            decided.filled_lots += trade.size.0 as f64;
            self.totals.liquidated_usd += usd;
            self.touched.insert(decided.account);
            if let Some(fate) = self.fates.get_mut(&decided.account) {
                fate.liquidated_usd += usd;
            }
        }
    }

    /// One lot at `price`, USD.
    fn usd(&self, market: MarketId, price: Price) -> f64 {
        let place = usize::from(market.0);
        price.0 as f64 * self.usd_per_unit[place] * self.base_per_lot[place]
    }

    /// A batch was applied.
    pub fn after(&mut self, inputs: &[Input], effects: &[Effect], kernel: &Kernel, at: Timestamp) {
        if effects.is_empty() && self.touched.is_empty() {
            return;
        }
        let mut hasher = HashSink::new();
        self.seed.encode(&mut hasher);
        for effect in effects {
            effect.encode(&mut hasher);
            effect.encode(&mut self.hasher);
        }
        self.seed = hasher.finish();
        for effect in effects {
            self.effect(effect, inputs, kernel, at.0);
        }
        for id in std::mem::take(&mut self.touched) {
            let account = kernel.state().pools.iter().find_map(|pool| pool.accounts.get(&id));
            let Some(account) = account else { continue };
            let positions = account.positions.iter().map(|p| (p.market, p.size.0, p.cost.0)).collect();
            let collateral = account.collateral.iter().map(|held| (held.market, held.lots.0)).collect();
            self.shadows.insert(id, Snapshot { cash: account.cash.0, positions, collateral });
        }
    }

    fn effect(&mut self, effect: &Effect, inputs: &[Input], kernel: &Kernel, at: Micros) {
        const MICRO: f64 = 1e-6;
        match effect {
            Effect::Rejected { input, reject } => {
                // The embedded venue makes only trades that the kernel admitted; a refusal is a broken rule.
                if matches!(inputs.get(*input as usize), Some(Input::Trade(_))) {
                    self.totals.invariants_broken += 1;
                    self.line(at, None, "refused", 0.0, || format!("a trade of the venue was refused: {reject:?}"));
                }
            }
            Effect::Source { market, source, exclusion } => {
                let known = match exclusion {
                    Some(why) => self.excluded.insert((*market, *source), *why),
                    None => self.excluded.remove(&(*market, *source)),
                };
                // Said again, by an observation and by what followed from it, it is still one change.
                if known == *exclusion {
                    return;
                }
                let text = || match exclusion {
                    Some(why) => format!("source {} is left out: {why:?}", source.0),
                    None => format!("source {} is used again", source.0),
                };
                self.line_of(at, Some(*market), ("source", source.0), 0.0, text);
            }
            Effect::Quality { market, quality } => {
                let clock = &mut self.clocks[usize::from(market.0)];
                clock.states[clock.state as usize] += at - clock.state_since;
                (clock.state, clock.state_since) = (quality.state, at);
                let from = if quality.rung == Rung::Primary { "" } else { ", last good price" };
                let (state, lineages) = (quality.state, quality.lineages);
                self.line(at, Some(*market), "quality", 0.0, || format!("index {state:?}, {lineages} lineages{from}"));
            }
            Effect::Mode { market, from, to, causes, .. } => {
                let clock = &mut self.clocks[usize::from(market.0)];
                clock.modes[clock.mode as usize] += at - clock.mode_since;
                (clock.mode, clock.mode_since) = (*to, at);
                self.modes.push((*market, at, *to));
                let named = kernel::detect::NAMES.iter().enumerate().filter(|(bit, _)| causes & 1 << bit != 0);
                let why: Vec<&str> = named.map(|(_, name)| *name).collect();
                let why = if why.is_empty() { "calm".to_owned() } else { why.join(", ") };
                self.line(at, Some(*market), "mode", 0.0, || format!("{from:?} to {to:?}: {why}"));
            }
            Effect::Liquidate { order, insolvent, .. } => {
                let usd_per_lot = self.mark_usd(kernel, order.market);
                let usd = order.size.lots() as f64 * usd_per_lot;
                let before = self.shadows.get(&order.account).cloned().unwrap_or_default();
                let all = order.size.lots() as f64;
                let needed_lots = if *insolvent { all } else { needed_lots(&before, order.market, kernel).min(all) };
                self.by_order.insert((order.market, order.id), self.decided.len());
                self.decide(order.account, order.market, before, needed_lots, usd_per_lot, at);
                self.line(at, Some(order.market), "liquidation", usd, || "liquidations decided".to_owned());
            }
            Effect::InsurancePaid { account, amount, .. } => {
                let usd = amount.0 as f64 * MICRO;
                self.totals.insurance_usd += usd;
                self.lose(*account, usd);
                self.line(at, None, "insurance", usd, || "paid by the insurance fund".to_owned());
            }
            Effect::Deleveraged { market, account, counterparty, size, price, given_up } => {
                let given_up = given_up.0 as f64 * MICRO;
                let usd = size.lots() as f64 * self.usd(*market, *price);
                self.totals.adl_usd += given_up;
                if *counterparty == BACKSTOP {
                    self.totals.adl_outside_usd += given_up;
                }
                self.totals.deleveraged_usd += usd;
                self.bad_debt_by_market[usize::from(market.0)] += given_up;
                self.touched.insert(*counterparty);
                if let Some(fate) = self.fates.get_mut(counterparty) {
                    fate.adl_given_up_usd += given_up;
                }
                let known = self.decided.iter().rev().take_while(|decided| decided.at == at);
                if !known.into_iter().any(|decided| decided.account == *account) {
                    let before = self.shadows.get(account).cloned().unwrap_or_default();
                    self.decide(*account, *market, before, 0.0, 0.0, at);
                }
                self.line(at, Some(*market), "adl", usd, || "positions closed at the bankruptcy price".to_owned());
            }
            Effect::Socialized { market, account, amount, .. } => {
                let usd = amount.0 as f64 * MICRO;
                self.totals.socialized_usd += usd;
                if *account == BACKSTOP {
                    self.totals.socialized_outside_usd += usd;
                }
                self.bad_debt_by_market[usize::from(market.0)] += usd;
                self.touched.insert(*account);
                if let Some(fate) = self.fates.get_mut(account) {
                    fate.socialized_usd += usd;
                }
                self.line(at, Some(*market), "socialized", usd, || "paid by the market's holders".to_owned());
            }
            Effect::Deficit { account, amount, .. } => {
                let usd = amount.0 as f64 * MICRO;
                self.totals.deficit_usd += usd;
                self.lose(*account, usd);
                self.line(at, None, "deficit", usd, || "covered by nobody".to_owned());
            }
            Effect::Admit { .. }
            | Effect::Withdraw { .. }
            | Effect::PayOut { .. }
            | Effect::Funded { .. }
            | Effect::HandOut { .. }
            | Effect::Governed { .. } => {}
            Effect::CollateralSold { market, account, buyer, size, price } => {
                self.touched.extend([*account, *buyer]);
                let scale = kernel.state().market(*market).map(|market| market.params.scale);
                let paid = scale.and_then(|scale| scale.notional(*price, *size, Rounding::Up)).map_or(0, |paid| paid.0);
                self.line(at, Some(*market), "sold", paid as f64 * MICRO, || {
                    format!("account {} sells collateral for its debt", account.0)
                });
            }
        }
    }

    fn decide(
        &mut self,
        account: AccountId,
        market: MarketId,
        before: Snapshot,
        needed_lots: f64,
        usd_per_lot: f64,
        at: Micros,
    ) {
        self.touched.insert(account);
        let filled_lots = 0.0;
        let (unjustified, judged) = (false, false);
        let decided =
            Decided { at, account, market, before, needed_lots, filled_lots, usd_per_lot, unjustified, judged };
        self.decided.push(decided);
        if let Some(fate) = self.fates.get_mut(&account) {
            fate.liquidations += 1;
        }
    }

    /// A loss of an account, booked on the market where it was last liquidated.
    fn lose(&mut self, account: AccountId, usd: f64) {
        self.touched.insert(account);
        let market = self.decided.iter().rev().find(|decided| decided.account == account).map(|decided| decided.market);
        if let Some(market) = market {
            self.bad_debt_by_market[usize::from(market.0)] += usd;
        }
    }

    fn mark_usd(&self, kernel: &Kernel, market: MarketId) -> f64 {
        let mark = kernel.state().market(market).map_or(Price(0), |market| market.mark.price);
        self.usd(market, mark)
    }

    /// One line a market, kind and second; more of the same are counted on it.
    fn line(&mut self, at: Micros, market: Option<MarketId>, kind: &'static str, usd: f64, text: impl Fn() -> String) {
        self.line_of(at, market, (kind, 0), usd, text);
    }

    fn line_of(
        &mut self,
        at: Micros,
        market: Option<MarketId>,
        (kind, part): (&'static str, u8),
        usd: f64,
        text: impl Fn() -> String,
    ) {
        let key = (at.div_euclid(1_000_000), market.map_or(u16::MAX, |market| market.0), kind, part);
        if let Some(entry) = self.by_second.get(&key).and_then(|place| self.timeline.get_mut(*place)) {
            entry.count += 1;
            entry.usd += usd;
            if matches!(kind, "mode" | "quality" | "source") {
                entry.text = text();
            }
            return;
        }
        if TIMELINE_MAX <= self.timeline.len() {
            return;
        }
        self.by_second.insert(key, self.timeline.len());
        let market = market.map_or(String::new(), |market| self.names[usize::from(market.0)].clone());
        self.timeline.push(TimelineEntry { at, market, kind, text: text(), count: 1, usd });
    }

    /// The stream is over.
    pub fn finish(&mut self, kernel: &Kernel) {
        let at = kernel.state().at.0;
        for clock in &mut self.clocks {
            clock.states[clock.state as usize] += at - clock.state_since;
            clock.modes[clock.mode as usize] += at - clock.mode_since;
        }
        self.totals.invariants_broken += u64::from(kernel.state().check().is_err());
        let digest = self.hasher.finish();
        self.totals.effects_digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        for pool in &kernel.state().pools {
            for (id, account) in &pool.accounts {
                let equity = kernel::margin::risk(account, |market| pool.market(market), kernel::margin::Lens::Mark);
                if let (Some(fate), Some(risk)) = (self.fates.get_mut(id), equity) {
                    fate.equity_usd = risk.worth() as f64 / 1e6;
                }
            }
        }
    }

    /// Judges every liquidation against the hindsight reference and closes the totals.
    pub fn judge(&mut self, hindsight: &Hindsight, world: &World, kernel: &Kernel) {
        let (mut taken, mut needed) = (0.0, 0.0);
        let mut liquidated: BTreeSet<AccountId> = BTreeSet::new();
        let mut unjustified: BTreeSet<AccountId> = BTreeSet::new();
        let mut judged: BTreeSet<AccountId> = BTreeSet::new();
        for decided in &mut self.decided {
            let width = world.markets[usize::from(decided.market.0)].width;
            let window = HINDSIGHT_WINDOW.max(width);
            (decided.unjustified, decided.judged) = verdict(decided, window, hindsight, kernel);
            liquidated.insert(decided.account);
            if decided.judged {
                judged.insert(decided.account);
            }
            if decided.unjustified {
                unjustified.insert(decided.account);
                if let Some(fate) = self.fates.get_mut(&decided.account) {
                    fate.unjustified += 1;
                }
            }
            taken += decided.filled_lots * decided.usd_per_lot;
            if !decided.unjustified {
                needed += decided.filled_lots.min(decided.needed_lots) * decided.usd_per_lot;
            }
        }
        let totals = &mut self.totals;
        totals.liquidated_accounts = liquidated.len() as u64;
        totals.unjustified_liquidations = unjustified.len() as u64;
        totals.unjudged_accounts = liquidated.difference(&judged).count() as u64;
        totals.over_liquidation_ratio = (needed > 0.0).then(|| taken / needed);
        totals.bad_debt_usd = totals.insurance_usd + totals.adl_usd + totals.socialized_usd + totals.deficit_usd;
    }

    /// Accounts liquidated in a market, those of them unjustified, and those that no reference of two lineages judged.
    #[must_use]
    pub fn liquidated_in(&self, market: MarketId) -> (u64, u64, u64) {
        let here = |of: fn(&Decided) -> bool| -> BTreeSet<AccountId> {
            let here = self.decided.iter().filter(|decided| decided.market == market && of(decided));
            here.map(|decided| decided.account).collect()
        };
        let (all, wrong, judged) =
            (here(|_| true), here(|decided| decided.unjustified), here(|decided| decided.judged));
        (all.len() as u64, wrong.len() as u64, all.difference(&judged).count() as u64)
    }

    /// Liquidations in a market: when, and USD filled.
    pub fn liquidations_in(&self, market: MarketId) -> impl Iterator<Item = (Micros, f64)> + '_ {
        let here = self.decided.iter().filter(move |decided| decided.market == market);
        here.map(|decided| (decided.at, decided.filled_lots * decided.usd_per_lot))
    }
}

/// Equity and maintenance at given prices, micro-USD and [`PARTS`] of it, from first definitions: `cash + Σ (size ×
/// price − cost) + Σ lots × price × (1 − haircut)` and `Σ requirement(|size| × price)`.
fn risk_at(before: &Snapshot, kernel: &Kernel, price_of: impl Fn(MarketId) -> Option<i64>) -> Option<(i128, i128)> {
    let (mut equity, mut maintenance) = (i128::from(before.cash), 0);
    for (id, lots, cost) in &before.positions {
        let market = kernel.state().market(*id)?;
        let product = i128::from(price_of(*id)?) * i128::from(*lots);
        let per_micro = market.params.scale.products_per_micro();
        equity += product.div_euclid(per_micro) - i128::from(*cost);
        maintenance += requirement(product.abs() / per_micro + 1, &market.params.tiers, |tier| tier.maintenance);
    }
    for (id, lots) in &before.collateral {
        let params = &kernel.state().market(*id)?.params;
        let worth = (i128::from(price_of(*id)?) * i128::from(*lots)).div_euclid(params.scale.products_per_micro());
        equity += worth * i128::from(units::Ratio::ONE.0 - params.collateral.haircut.0) / PARTS;
    }
    Some((equity, maintenance))
}

/// Whether the account was healthy at every slot of the window at which the reference has a price of everything that it
/// held (an account of which hindsight knows nothing is not called unjustified), and whether at one of them at least
/// each of these prices came from two lineages.
fn verdict(decided: &Decided, window: Micros, hindsight: &Hindsight, kernel: &Kernel) -> (bool, bool) {
    let (mut known, mut healthy, mut judged) = (false, true, false);
    let (mut at, until) = (decided.at - window, decided.at + window);
    let beside = decided.before.collateral.iter().map(|(market, _)| *market);
    let held = decided.before.positions.iter().map(|(market, _, _)| *market).chain(beside);
    let held: BTreeMap<MarketId, Stretch> = held.map(|market| (market, hindsight.stretch(market, at, until))).collect();
    while at <= until {
        let risk = risk_at(&decided.before, kernel, |market| Some(held.get(&market)?.at(at)?.price));
        if let Some((equity, maintenance)) = risk {
            known = true;
            healthy &= maintenance <= equity * PARTS;
            judged |= held.values().all(|stretch| stretch.at(at).is_some_and(|reference| !reference.lone));
        }
        at += hindsight.step().min(window);
    }
    (known && healthy, judged)
}

/// The fewest lots that restore an account at the mark, in floats and by the tiers' slopes: an independent answer to
/// the one that the kernel finds by halving. Health `E − f·n − (1 + b)·(M − release(n))` rises with the notional `n`
/// closed, by `(1 + b)·rate − f` inside a tier, so the root is walked to from the top tier down.
fn needed_lots(before: &Snapshot, market: MarketId, kernel: &Kernel) -> f64 {
    let mark_of = |id: MarketId| kernel.state().market(id).map(|market| market.mark.price.0);
    let Some((equity, maintenance)) = risk_at(before, kernel, mark_of) else { return 0.0 };
    let Some(listed) = kernel.state().market(market) else { return 0.0 };
    let Some((_, lots, _)) = before.positions.iter().find(|position| position.0 == market) else { return 0.0 };
    let per_lot = listed.mark.price.0 as f64 / listed.params.scale.products_per_micro() as f64;
    let part = |ratio: units::Ratio| ratio.0 as f64 / 1e12;
    let (buffer, fee) = (1.0 + part(listed.params.liquidation.buffer), part(listed.params.liquidation.fee));
    let mut short = buffer * maintenance as f64 / PARTS as f64 - equity as f64;
    let mut notional = lots.unsigned_abs() as f64 * per_lot;
    let mut closed = 0.0;
    let tiers: &[Tier] = &listed.params.tiers;
    for tier in tiers.iter().rev() {
        let inside = notional - tier.notional_from as f64;
        if inside <= 0.0 || short <= 0.0 {
            continue;
        }
        let slope = buffer * part(tier.maintenance) - fee;
        let step = (short / slope).min(inside);
        closed += step;
        short -= step * slope;
        notional -= step;
    }
    (closed / per_lot).ceil()
}
