//! What a change of a market's mode rests on, means and leads back from: made from the state that decided it, for whoever reads it before
//! or after it is carried out. Nothing decides by a plan.

use kernel::detect::{MarketView, NAMES};
use kernel::margin::{self, Lens};
use kernel::state::{Market, Pool, State};
use protocol::params::Thresholds;
use protocol::{
    AccountId, Action, Effect, Input, MarketId, MarketParams, Mode, OrderId, PriceQuality, QualityState, Reject,
    Restriction, Side,
};
use std::collections::{BTreeMap, BTreeSet};
use units::{Duration, Price, Ratio, Rounding, Scale, Timestamp};

/// The most accounts that the plans of a batch look at together, on each side: what is decided does not wait for what is said about it.
const ACCOUNTS_MAX: usize = 500;
/// The most of one of them where many markets change at once.
const ACCOUNTS_FEW: usize = 5;
/// The most refusals that a plan lists; all are counted.
const REFUSED_MAX: usize = 20;

/// A change of a market's mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Of the batch; with `n` the effect's id, which is also its idempotency key.
    pub height: u64,
    /// The effect's place in the batch.
    pub n: u32,
    /// When.
    pub at: Timestamp,
    /// The market.
    pub market: MarketId,
    /// Its units.
    pub scale: Scale,
    /// Before.
    pub from: Mode,
    /// After.
    pub to: Mode,
    /// What it denies from now on that it permitted before, by action and side.
    pub denied: Vec<(Action, Side)>,
    /// What it permits again.
    pub permitted: Vec<(Action, Side)>,
    /// In force from now on.
    pub restriction: Restriction,
    /// What asks for the mode, and what was looked at: each with its value, limit and slack.
    pub checks: Vec<Check>,
    /// What it rests on.
    pub quality: PriceQuality,
    /// The mark.
    pub mark: Price,
    /// Open interest of one side, lots.
    pub open_interest: i128,
    /// Resting orders that are taken out in the same batch.
    pub withdrawn: Vec<OrderId>,
    /// Inputs of the batch about this market that were refused, by place; at most twenty.
    pub refused: Vec<(u32, Reject)>,
    /// How many there are.
    pub refused_count: usize,
    /// The way back.
    pub resume: Option<Resume>,
    /// Whom it concerns.
    pub accounts: Accounts,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The detector, or who asked.
    pub name: &'static str,
    /// How far it asks.
    pub asks: Mode,
    /// What it measures behind the batch, where that is a number: what the batch itself liquidated or opened is in it, and is answered in the next.
    pub measured: Option<Measured>,
}

/// A measure beside its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Rounded down.
    pub value: Ratio,
    /// `Cautious` from here on.
    pub cautious: Ratio,
    /// `ReduceOnly` from here on; nothing where this measure leads no further than `Cautious`.
    pub reduce_only: Option<Ratio>,
}

impl Measured {
    /// How far the value is under the next limit that it has not reached, or over the last one where it reached all (negative).
    #[must_use]
    pub fn slack(&self) -> Ratio {
        let limits = [Some(self.cautious), self.reduce_only].into_iter().flatten();
        let next = limits.clone().find(|limit| self.value < *limit);
        let limit = next.or_else(|| limits.last()).unwrap_or(self.cautious);
        Ratio(limit.0.saturating_sub(self.value.0))
    }
}

/// The next step back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// To this mode ...
    pub to: Mode,
    /// ... once nothing has asked for the present one for so long.
    pub calm: Duration,
    /// The earliest.
    pub at: Timestamp,
}

/// Whom a change concerns. Of the accounts that were looked at, those nearest to their triggers, it is said what they may do with it and
/// what they might without it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// Positions in the market.
    pub holders: usize,
    /// Under maintenance: those are liquidated whatever the mode permits.
    pub distressed: usize,
    /// Looked at.
    pub seen: usize,
    /// Of them, those that had margin to open more, as it was before.
    pub open_without: usize,
    /// Likewise, as it is now.
    pub open_with: usize,
    /// Of them, those that can reduce, now.
    pub reduce_with: usize,
}

/// `part / whole`, down; nothing where there is no whole.
fn share(part: u64, whole: Price) -> Option<Ratio> {
    (Price(0) < whole).then(|| Ratio::of_parts(part.into(), whole.0.into(), Rounding::Down)).flatten()
}

/// What a detector measures in this view, and its limits; nothing for one that only tells states apart, or that has nothing to measure.
fn measured(name: &str, view: &MarketView, params: &MarketParams) -> Option<Measured> {
    let detectors = &params.detectors;
    let range = |range: Option<(Price, Price)>| range.and_then(|(low, high)| share(high.0.abs_diff(low.0), low));
    let off = |from: Option<Price>| {
        let from = from.filter(|_| view.state != QualityState::None)?;
        share(view.index.0.abs_diff(from.0), from)
    };
    let of = |value: Option<Ratio>, limits: &Thresholds| {
        let Thresholds { cautious, reduce_only } = *limits;
        value.map(|value| Measured { value, cautious, reduce_only: Some(reduce_only) })
    };
    let measures = &view.measures;
    match name {
        "velocity" => of(range(view.range), &detectors.velocity),
        "band" => of(off(view.twap), &detectors.band),
        "swing" => of(range(view.swing), &detectors.swing),
        "drift" => of(off(view.stable), &detectors.drift),
        "stuck" => of(Some(view.stuck), &detectors.stuck),
        "growth" => of(Some(measures.growth), &params.activity.growth),
        "crowding" => of(Some(measures.crowding), &params.activity.crowding),
        "intensity" => of(Some(measures.intensity), &params.activity.intensity),
        "divergence" => of(Some(measures.divergence), &params.activity.divergence),
        "chain" => of(Some(measures.distress), &params.chain.distress),
        "disagreement" => share(view.spread.0.max(0).unsigned_abs(), view.index)
            .filter(|_| view.state != QualityState::None)
            .map(|value| Measured { value, cautious: detectors.disagreement, reduce_only: None }),
        _ => None,
    }
}

fn checks(market: &Market) -> Vec<Check> {
    let view = market.view();
    let levels = NAMES.iter().zip(market.memory.levels);
    let mut checks: Vec<Check> = levels
        .map(|(name, asks)| Check { name, asks, measured: measured(name, &view, &market.params) })
        .filter(|check| check.asks != Mode::Normal || check.measured.is_some())
        .collect();
    let restraint = &market.restraint;
    let asked = [("a guardian", restraint.imposed.map(|i| i.to)), ("ratified", restraint.ratified.map(|r| r.to))];
    checks.extend(asked.into_iter().filter_map(|(name, to)| to.map(|asks| Check { name, asks, measured: None })));
    checks.sort_by_key(|check| std::cmp::Reverse(check.asks));
    checks
}

/// Whom it concerns, by the `most` accounts nearest on each side and as many in distress.
fn accounts(pool: &Pool, market: &Market, before: &Restriction, after: &Restriction, most: usize) -> Accounts {
    let near = market.triggers.longs.iter().rev().take(most);
    let near: BTreeSet<AccountId> = near
        .chain(market.triggers.shorts.iter().take(most))
        .map(|(_, account)| *account)
        .chain(market.distressed.iter().take(most).copied())
        .collect();
    let holders = market.triggers.longs.len() + market.triggers.shorts.len() + market.distressed.len();
    let mut found = Accounts { holders, distressed: market.distressed.len(), ..Accounts::default() };
    for id in near {
        let Some(account) = pool.accounts.get(&id) else { continue };
        let size = account.size_in(market.id);
        // One that is long buys more and sells to reduce.
        let (more, less) = if 0 < size.0 { (Side::Long, Side::Short) } else { (Side::Short, Side::Long) };
        found.seen += 1;
        let Some(risk) = margin::risk(account, |id| pool.market(id), Lens::Mark) else { continue };
        let notional = margin::notional(market, size, market.mark.price);
        let opens = |restriction: &Restriction| {
            let addon = restriction.margin_addon.of(notional, Rounding::Up).unwrap_or(i128::MAX);
            let needed = risk.initial_micro().saturating_add(addon);
            restriction.permits(Action::Open, more) && needed < risk.equity
        };
        found.open_without += usize::from(opens(before));
        found.open_with += usize::from(opens(after));
        found.reduce_with += usize::from(after.permits(Action::Reduce, less));
    }
    found
}

fn is_about(input: &Input, market: MarketId) -> bool {
    match input {
        Input::Order(order) => order.market == market,
        Input::Observation(seen) => seen.market == market,
        Input::Cancel(cancel) => cancel.market == market,
        Input::Collateral(collateral) => collateral.market == market,
        Input::Isolate(isolate) => isolate.market == market,
        Input::Buy(buy) => buy.market == market,
        _ => false,
    }
}

/// What was in force before a batch: each market's restriction as its mode changed last.
#[derive(Clone, Debug)]
pub(crate) struct Restrictions(BTreeMap<MarketId, Restriction>);

impl Restrictions {
    pub(crate) fn of(state: &State) -> Restrictions {
        Restrictions(state.markets().map(|market| (market.id, *market.breaker.restriction())).collect())
    }

    /// A plan for each change of a mode in a batch, from the state behind it.
    pub(crate) fn plans(&mut self, state: &State, inputs: &[Input], effects: &[Effect]) -> Vec<Plan> {
        let changes = effects.iter().filter(|effect| matches!(effect, Effect::Mode { .. })).count();
        let most = ACCOUNTS_MAX.checked_div(changes).unwrap_or(0).max(ACCOUNTS_FEW);
        let plan = |(n, effect): (u32, &Effect)| {
            let Effect::Mode { market, from, to, restriction, .. } = *effect else { return None };
            let before = self.0.insert(market, restriction)?;
            plan_of(state, inputs, effects, Change { n, market, from, to, before, after: restriction, most })
        };
        (0..).zip(effects).filter_map(plan).collect()
    }
}

struct Change {
    n: u32,
    market: MarketId,
    from: Mode,
    to: Mode,
    before: Restriction,
    after: Restriction,
    most: usize,
}

fn plan_of(state: &State, inputs: &[Input], effects: &[Effect], change: Change) -> Option<Plan> {
    let Change { n, market: id, from, to, before, after, most } = change;
    let (pool, market) = (state.pool_of(id)?, state.market(id)?);
    let pairs = || Action::ALL.into_iter().flat_map(|action| Side::BOTH.map(|side| (action, side)));
    let differ = |from: &Restriction, to: &Restriction| {
        pairs().filter(|(action, side)| from.permits(*action, *side) && !to.permits(*action, *side)).collect()
    };
    let refusal = |effect: &Effect| match effect {
        Effect::Rejected { input, reject } => {
            inputs.get(*input as usize).is_some_and(|input| is_about(input, id)).then_some((*input, *reject))
        }
        _ => None,
    };
    let mut refused: Vec<(u32, Reject)> = effects.iter().filter_map(refusal).collect();
    let refused_count = refused.len();
    refused.truncate(REFUSED_MAX);
    let breaker = &market.breaker;
    let resume = breaker.next_step(&market.params.breaker).map(|at| Resume {
        to: breaker.mode().milder(),
        calm: breaker.calm(&market.params.breaker),
        at,
    });
    let withdrawn = effects.iter().filter_map(|effect| match effect {
        Effect::Withdraw { market, order } if *market == id => Some(*order),
        _ => None,
    });
    Some(Plan {
        height: state.height,
        n,
        at: state.at,
        market: id,
        scale: market.params.scale,
        from,
        to,
        denied: differ(&before, &after),
        permitted: differ(&after, &before),
        restriction: after,
        checks: checks(market),
        quality: *market.quality(),
        mark: market.mark.price,
        open_interest: market.open_interest(),
        withdrawn: withdrawn.collect(),
        refused,
        refused_count,
        resume,
        accounts: accounts(pool, market, &before, &after, most),
    })
}
