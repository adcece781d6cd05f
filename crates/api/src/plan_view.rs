//! Plans, accounts, restrictions and incidents, as text.

use crate::view::{
    Cause, Level, Names, RestraintView, Resume, View, decimal, percent, price, quality, rung, time, usd,
};
use kernel::margin::{self, Lens};
use kernel::state::{Pool, State};
use node::Plan;
use port::words::mode;
use protocol::{AccountId, PoolId, Reject};
use serde::Serialize;
use units::{Notional, Rounding, Scale, Size};
use utoipa::ToSchema;

/// A change of a market's mode: what it rests on, what it means and what leads back from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PlanView {
    /// The batch's height.
    pub height: u64,
    /// The effect's place in it; both together are its idempotency key.
    pub n: u32,
    /// When.
    pub at: String,
    /// The market's name.
    pub market: String,
    /// Before.
    pub from: &'static str,
    /// After.
    pub to: &'static str,
    /// What it denies from now on, by action and side.
    pub denied: Vec<String>,
    /// What it permits again.
    pub permitted: Vec<String>,
    /// Added to initial margin, percent.
    pub margin_addon: String,
    /// Of the largest order, percent.
    pub size_scale: String,
    /// What asks for it first, then what else was looked at.
    pub checks: Vec<CheckView>,
    /// How far sources agree.
    pub quality: &'static str,
    /// Where the price came from.
    pub rung: &'static str,
    /// USD.
    pub index: Option<String>,
    /// USD.
    pub mark: Option<String>,
    /// Resting orders that are taken out.
    pub withdrawn: usize,
    /// Inputs of the batch about this market that were refused: their places and why, at most twenty.
    pub refused: Vec<RefusedView>,
    /// How many there are.
    pub refused_count: usize,
    /// The way back.
    pub resume: Option<ResumeView>,
    /// Whom it concerns.
    pub accounts: AccountsView,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CheckView {
    /// The detector, or who asked.
    pub name: &'static str,
    /// How far it asks.
    pub asks: &'static str,
    /// What it measures behind the batch, percent; nothing for one that only tells states apart.
    pub value: Option<String>,
    /// `cautious` from here on, percent.
    pub cautious: Option<String>,
    /// `reduce-only` from here on, percent.
    pub reduce_only: Option<String>,
    /// To the next limit, percent; negative behind the last.
    pub slack: Option<String>,
}

/// An input that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RefusedView {
    /// Its place in the batch.
    pub input: u32,
    /// In the kernel's words.
    pub why: String,
}

/// The next step back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ResumeView {
    /// To this mode ...
    pub to: &'static str,
    /// ... at the earliest ...
    pub at: String,
    /// ... once nothing has asked for the present one for so many seconds.
    pub calm_s: i64,
}

/// Whom a change concerns. Of those that were looked at, the nearest to their triggers, what they may do with it and might without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct AccountsView {
    /// Positions in the market.
    pub holders: usize,
    /// Under maintenance.
    pub distressed: usize,
    /// Looked at.
    pub seen: usize,
    /// Of them, those that had margin and leave to open more, as it was before.
    pub open_without: usize,
    /// Likewise, as it is now.
    pub open_with: usize,
    /// Of them, those that may reduce now.
    pub reduce_with: usize,
}

impl PlanView {
    /// As text.
    #[must_use]
    pub fn of(plan: &Plan, names: &Names) -> PlanView {
        let pairs = |pairs: &[(protocol::Action, protocol::Side)]| {
            pairs.iter().map(|(action, side)| format!("{action:?} {side:?}").to_lowercase()).collect()
        };
        let check = |check: &node::Check| {
            let of =
                |read: fn(&node::Measured) -> Option<units::Ratio>| check.measured.as_ref().and_then(read).map(percent);
            CheckView {
                name: check.name,
                asks: mode(check.asks),
                value: of(|measured| Some(measured.value)),
                cautious: of(|measured| Some(measured.cautious)),
                reduce_only: of(|measured| measured.reduce_only),
                slack: of(|measured| Some(measured.slack())),
            }
        };
        let refused = |(input, why): &(u32, Reject)| RefusedView { input: *input, why: format!("{why:?}") };
        let node::Accounts { holders, distressed, seen, open_without, open_with, reduce_with } = plan.accounts;
        let priced = |at: units::Price| (units::Price(0) < at).then(|| price(at, plan.scale));
        PlanView {
            height: plan.height,
            n: plan.n,
            at: time(plan.at),
            market: names.market(plan.market),
            from: mode(plan.from),
            to: mode(plan.to),
            denied: pairs(&plan.denied),
            permitted: pairs(&plan.permitted),
            margin_addon: percent(plan.restriction.margin_addon),
            size_scale: percent(plan.restriction.size_scale),
            checks: plan.checks.iter().map(check).collect(),
            quality: quality(plan.quality.state),
            rung: rung(plan.quality.rung),
            index: priced(plan.quality.value),
            mark: priced(plan.mark),
            withdrawn: plan.withdrawn.len(),
            refused: plan.refused.iter().map(refused).collect(),
            refused_count: plan.refused_count,
            resume: plan.resume.map(|resume| ResumeView {
                to: mode(resume.to),
                at: time(resume.at),
                calm_s: resume.calm.0 / 1_000_000,
            }),
            accounts: AccountsView { holders, distressed, seen, open_without, open_with, reduce_with },
        }
    }
}

/// An account as it stands at the mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct AccountView {
    /// Its number, as text: it may have more digits than a script's numbers.
    pub account: String,
    /// Its pool's name.
    pub pool: String,
    /// The market to which it is bound; nothing for a cross-margin account.
    pub isolated: Option<String>,
    /// USD.
    pub cash: String,
    /// Cash, profit and loss, and what collateral counts for, USD; nothing where a market that it holds has no price.
    pub equity: Option<String>,
    /// Initial margin, USD.
    pub initial: Option<String>,
    /// Maintenance margin, USD.
    pub maintenance: Option<String>,
    /// Under maintenance.
    pub distressed: bool,
    /// A liquidation order of it stands.
    pub in_liquidation: bool,
    /// Resting orders.
    pub orders: usize,
    /// By market.
    pub positions: Vec<PositionView>,
}

/// A position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct PositionView {
    /// The market's name.
    pub market: String,
    /// Of the base asset, signed.
    pub size: String,
    /// USD at the mark.
    pub notional: Option<String>,
    /// Where the account is looked at, USD.
    pub trigger: Option<String>,
}

fn account_of(pool: &Pool, id: AccountId, names: &Names) -> Option<AccountView> {
    let account = pool.accounts.get(&id)?;
    let risk = margin::risk(account, |id| pool.market(id), Lens::Mark);
    let position = |position: &kernel::state::Position| {
        let market = pool.market(position.market);
        let scale = market.map(|market| market.params.scale);
        let decimals = scale.map_or(0, Scale::lot_decimals);
        let size = Size(position.size.0.saturating_abs());
        let notional = market.and_then(|market| market.params.scale.notional(market.mark.price, size, Rounding::Down));
        PositionView {
            market: names.market(position.market),
            size: decimal(position.size.0.into(), decimals.into(), 0),
            notional: notional.map(|Notional(micro)| usd(micro.into())),
            trigger: position.trigger.zip(scale).map(|(at, scale)| price(at, scale)),
        }
    };
    Some(AccountView {
        account: id.0.to_string(),
        pool: names.pool(pool.id),
        isolated: account.isolated.map(|isolated| names.market(isolated.market)),
        cash: usd(account.cash.0.into()),
        equity: risk.map(|risk| usd(risk.equity)),
        initial: risk.map(|risk| usd(risk.initial_micro())),
        maintenance: risk.map(|risk| usd(risk.maintenance_micro())),
        distressed: pool.distressed.contains_key(&id),
        in_liquidation: account.liquidation.is_some(),
        orders: account.orders.len(),
        positions: account.positions.iter().map(position).collect(),
    })
}

/// Accounts of a pool from `from` on, in order of number.
pub(crate) fn accounts(state: &State, pool: PoolId, from: AccountId, most: usize, names: &Names) -> Vec<AccountView> {
    let Some(pool) = state.pools.get(usize::from(pool.0)) else { return Vec::new() };
    pool.accounts.range(from..).take(most).filter_map(|(id, _)| account_of(pool, *id, names)).collect()
}

/// What is restricted in a market, why, and what ends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct RestrictionView {
    /// The market's name.
    pub market: String,
    /// In force.
    pub mode: &'static str,
    /// Who asks for more than normal.
    pub causes: Vec<Cause>,
    /// Denied actions, each side apart where only one is.
    pub denied: Vec<String>,
    /// Added to initial margin, percent.
    pub margin_addon: String,
    /// Of the largest order, percent.
    pub size_scale: String,
    /// The next step back.
    pub resume: Option<Resume>,
    /// What guardians, governors or a vote ask for.
    pub restraint: Option<RestraintView>,
}

impl RestrictionView {
    pub(crate) fn all(view: &View) -> Vec<RestrictionView> {
        let restricted = view.markets.iter().filter(|market| market.mode != "normal" || market.restraint.is_some());
        let one = |market: &crate::view::MarketView| RestrictionView {
            market: market.name.clone(),
            mode: market.mode,
            causes: market.causes.clone(),
            denied: market.denied.clone(),
            margin_addon: market.margin_addon.clone(),
            size_scale: market.size_scale.clone(),
            resume: market.resume.clone(),
            restraint: market.restraint.clone(),
        };
        restricted.map(one).collect()
    }
}

/// Something that is wrong, by a name that it keeps for as long as it lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Its name: `no-price:BTC`.
    pub key: String,
    /// Whether only a person can do what is to be done.
    pub is_critical: bool,
    /// What is wrong, in a line.
    pub summary: String,
    /// What to do, in a line.
    pub remedy: String,
}

impl View {
    /// What is wrong: what needs somebody, and what is restricted.
    #[must_use]
    pub fn wrong(&self) -> Vec<Wrong> {
        // Before the first batch nothing is known, and nothing is wrong.
        if self.height == 0 {
            return Vec::new();
        }
        let needs = self.verdict.needs.iter().filter(|need| need.key != "no-price").map(|need| Wrong {
            key: need.key.clone(),
            is_critical: true,
            summary: need.what.clone(),
            remedy: need.remedy.clone(),
        });
        let markets = self.markets.iter().filter(|market| market.mode != "normal").map(|market| {
            let blind = market.quality == "none" && ["halted", "cancel-only"].contains(&market.mode);
            let (key, summary, remedy) = if blind {
                ("no-price", "has no usable price", "look at its feeds; it comes back by steps")
            } else {
                ("restricted", "is restricted", "nothing: it comes back by itself")
            };
            let summary = format!("{} {summary} ({})", market.name, market.mode);
            Wrong { key: format!("{key}:{}", market.name), is_critical: blind, summary, remedy: remedy.to_owned() }
        });
        needs.chain(markets).collect()
    }
}

/// An incident: from when something was wrong until it was over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct IncidentView {
    /// Counted from one since the process began.
    pub id: u64,
    /// Its name for as long as it lasted; the deduplication key of its alerts.
    pub key: String,
    /// How much somebody is needed: `warning` or `critical`.
    pub severity: &'static str,
    /// What is wrong, as it was told last.
    pub summary: String,
    /// What to do.
    pub remedy: String,
    /// When it was seen first, of the venue's time.
    pub began: String,
    /// The height of the batch behind which it was seen first.
    pub began_height: u64,
    /// When it was over; nothing while it lasts.
    pub over: Option<String>,
}

/// Whether anybody is needed, as a number: 0 not at all, 1 restricted, 2 needed.
pub(crate) const fn level(level: Level) -> u8 {
    match level {
        Level::Normal => 0,
        Level::Tightened => 1,
        Level::NeedsYou => 2,
    }
}
