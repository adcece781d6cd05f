//! What every account owns, needs and owes, computed from what was booked and what it holds.
//!
//! An account is two things here: the money that it was ever booked (cash less the cost of what it holds) and its sizes.
//! Equity is the first plus the value of the second; costs, which only say how a profit is split into realised and
//! unrealised, are left out.

use super::exact::{Q, ceil, floor, part, q, worth};
use super::oracle::step_limit;
use kernel::State;
use kernel::activity::Outage;
use kernel::state::{Isolated, Liquidation, OpenOrder, Pool};
use protocol::input::ChainHealth;
use protocol::params::Tier;
use protocol::{AccountId, Action, MarketId, MarketParams, OrderId, PriceQuality, Side};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use units::{Price, Ratio, Size, Timestamp};

/// One account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Purse {
    /// The one market that it is bound to, and its owner.
    pub(super) isolated: Option<Isolated>,
    /// Cash less costs, micro-USD.
    pub(super) booked: i128,
    /// Cash, micro-USD: only for what may be withdrawn.
    pub(super) cash: i128,
    /// Costs of the positions, micro-USD.
    pub(super) costs: BTreeMap<MarketId, i128>,
    /// Lots of base assets as collateral: those that count, those that don't yet, and when they may.
    pub(super) held: BTreeMap<MarketId, (i128, i128, Timestamp)>,
    /// Since when something of that is for sale.
    pub(super) offered_at: Timestamp,
    /// Lots; none is zero.
    pub(super) sizes: BTreeMap<MarketId, i128>,
    /// In order of admission.
    pub(super) orders: Vec<OrderId>,
    /// A liquidation order that is out.
    pub(super) liquidation: Option<Liquidation>,
    /// When a trade last made a position larger.
    pub(super) grown_at: Option<Timestamp>,
    /// A liquidation order ran out while the account was insolvent.
    pub(super) exhausted: bool,
    /// Notional, at the marks, that liquidation closed since the account came into distress.
    pub(super) taken: BTreeMap<MarketId, i128>,
}

/// One market, as far as money asks for it.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) params: Arc<MarketParams>,
    pub(super) per_micro: i128,
    pub(super) mark: Price,
    /// Where the mark would be if it might step that far at once.
    pub(super) target: Price,
    pub(super) outage: Outage,
    pub(super) chain: Option<ChainHealth>,
    pub(super) quality: PriceQuality,
    pub(super) restriction: protocol::Restriction,
    pub(super) lineages: usize,
    /// Where the index has been for long.
    pub(super) stable: Option<Price>,
}

/// Every market as it was listed. The model looks at its parameters once, so that the kernel can't change them.
pub(super) type Listings = BTreeMap<MarketId, Terms>;

pub(super) fn listings(state: &State) -> Listings {
    state.markets().map(|market| (market.id, Terms::of(market))).collect()
}

/// One pool.
#[derive(Clone, Debug)]
pub(super) struct Books {
    pub(super) params: protocol::PoolParams,
    pub(super) accounts: BTreeMap<AccountId, Purse>,
    pub(super) orders: BTreeMap<OrderId, OpenOrder>,
    pub(super) distressed: BTreeSet<AccountId>,
    /// Since when, of those who were in distress before the batch.
    pub(super) since: BTreeMap<AccountId, Timestamp>,
    pub(super) terms: BTreeMap<MarketId, Terms>,
    pub(super) insurance: i128,
    pub(super) deficit: i128,
    pub(super) deposited: i128,
}

/// Equity and requirements, exactly as the kernel must have them: values rounded down, notionals up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) equity: i128,
    pub(super) initial: Q,
    pub(super) maintenance: Q,
    /// What collateral is worth beyond what it counts for.
    pub(super) haircut: i128,
}

/// The two columns of a tier.
pub(super) type Rate = fn(&Tier) -> Ratio;

/// The requirement of a notional: each tier's part of it at the tier's rate.
pub(super) fn requirement(notional: i128, tiers: &[Tier], rate: Rate) -> Q {
    let mut required = q(0);
    for (i, tier) in tiers.iter().enumerate() {
        let end = tiers.get(i + 1).map_or(i128::MAX, |next| next.notional_from.into());
        let inside = notional.min(end) - i128::from(tier.notional_from);
        if 0 < inside {
            required += q(inside) * part(rate(tier));
        }
    }
    required
}

impl Terms {
    pub(super) fn notional(&self, lots: i128, price: Price) -> i128 {
        ceil(&worth(price, Size(lots.abs() as i64), self.per_micro))
    }

    pub(super) fn value(&self, lots: i128, price: Price) -> i128 {
        floor(&worth(price, Size(lots as i64), self.per_micro))
    }

    /// The part of a value that counts for nothing as collateral.
    pub(super) fn haircut(&self, worth: i128) -> i128 {
        ceil(&(part(self.params.collateral.haircut) * q(worth)))
    }

    /// Whether the market would let somebody open at its price.
    pub(super) fn is_believed(&self) -> bool {
        [Side::Long, Side::Short].into_iter().all(|side| self.restriction.permits(Action::Open, side))
            && super::money::permits(Action::Open, &self.quality, self.single_lineage())
    }

    pub(super) fn maintenance(&self, lots: i128) -> Q {
        requirement(self.notional(lots, self.mark), &self.params.tiers, |tier| tier.maintenance)
    }

    /// The price at which a position of this sign is judged kindly: as far on its winning side as the confidence reaches,
    /// and where the price carries no liquidation as much farther as a source may step without being asked again.
    pub(super) fn kindly(&self, lots: i128, carries: bool) -> Price {
        let limit = step_limit(&self.params.oracle, self.quality.age.0.into());
        let from = if 0 < lots { self.mark.max(self.target) } else { self.mark.min(self.target) };
        let step = if carries { 0 } else { ceil(&(part(limit) * q(from.0))) };
        let away = self.doubt() + step;
        let price = i128::from(from.0) + away * lots.signum();
        Price(price.clamp(1, i64::MAX.into()) as i64)
    }

    /// How far a position is judged from the mark.
    fn doubt(&self) -> i128 {
        ceil(&(part(self.params.oracle.confidence_scale) * q(self.quality.confidence.0.max(0))))
    }

    /// The price inside the confidence that is least kind to a position of this sign.
    pub(super) fn unkindest(&self, lots: i128) -> Price {
        let width = self.doubt();
        let from = if 0 < lots { self.mark.min(self.target) } else { self.mark.max(self.target) };
        let price = i128::from(from.0) - width * lots.signum();
        Price(price.clamp(1, i64::MAX.into()) as i64)
    }

    /// How far from the mark a position may be closed by an order of this sign: the slippage, and as far as the mark is going
    /// that way.
    pub(super) fn farthest(&self, sign: i128) -> i128 {
        let going = (i128::from(self.target.0) - i128::from(self.mark.0)) * sign;
        floor(&(part(self.params.liquidation.slippage_max) * q(self.mark.0))) + going.max(0)
    }

    /// Whether the newest block is so old that the chain counts as standing still.
    pub(super) fn is_stalled(&self, at: Timestamp) -> bool {
        let params = &self.params.chain;
        self.chain.is_some_and(|chain| {
            let from =
                ceil(&(part(params.distress.reduce_only) * q(params.interval.0))) + i128::from(chain.produced_at.0);
            let over = from + i128::from(self.params.breaker.grace_max.0);
            from <= i128::from(at.0) && i128::from(at.0) < over
        })
    }

    pub(super) fn single_lineage(&self) -> bool {
        self.lineages < usize::from(self.params.oracle.lineages_min)
    }
}

impl Need {
    /// Equity below maintenance.
    pub(super) fn under(&self) -> bool {
        q(self.equity) < self.maintenance
    }

    /// Equity with all that collateral is worth.
    pub(super) fn worth(&self) -> i128 {
        self.equity + self.haircut
    }
}

impl Books {
    /// Every account of a pool.
    pub(super) fn purses(pool: &Pool) -> BTreeMap<AccountId, Purse> {
        let purse = |account: &kernel::state::Account| Purse {
            isolated: account.isolated,
            booked: i128::from(account.cash.0) - account.positions.iter().map(|p| i128::from(p.cost.0)).sum::<i128>(),
            cash: account.cash.0.into(),
            costs: account.positions.iter().map(|position| (position.market, position.cost.0.into())).collect(),
            sizes: account.positions.iter().map(|position| (position.market, position.size.0.into())).collect(),
            held: account
                .collateral
                .iter()
                .map(|held| (held.market, (held.lots.0.into(), held.ripening.0.into(), held.ripe_at)))
                .collect(),
            offered_at: account.offered_at,
            orders: account.orders.clone(),
            liquidation: account.liquidation,
            exhausted: account.exhausted,
            grown_at: Some(account.grown_at).filter(|at| *at != Timestamp::MIN),
            taken: account.taken.clone(),
        };
        pool.accounts.iter().map(|(id, account)| (*id, purse(account))).collect()
    }

    pub(super) fn of(pool: &Pool, listings: &Listings) -> Books {
        Books {
            params: pool.params.clone(),
            accounts: Books::purses(pool),
            orders: pool.orders.clone(),
            distressed: pool.distressed.keys().copied().collect(),
            since: pool.distressed.clone(),
            terms: pool.markets.iter().map(|market| (market.id, listings[&market.id].now(market))).collect(),
            insurance: pool.insurance,
            deficit: pool.deficit,
            deposited: pool.deposited,
        }
    }

    pub(super) fn all(state: &State, listings: &Listings) -> Vec<Books> {
        state.pools.iter().map(|pool| Books::of(pool, listings)).collect()
    }

    /// At the marks; `None` where something that the account holds has never had a price.
    pub(super) fn need(&self, id: AccountId) -> Option<Need> {
        self.need_at(id, |_, terms, _| terms.mark, |_, terms| terms.mark)
    }

    /// Judged kindly, where the markets in `carrying` are those whose prices carry a liquidation; `None` likewise.
    pub(super) fn need_kindly(&self, id: AccountId, carrying: &[BTreeSet<MarketId>; 2]) -> Option<Need> {
        let [positions, held] = carrying;
        self.need_at(
            id,
            |market, terms, lots| terms.kindly(lots, positions.contains(&market)),
            |market, terms| terms.kindly(1, held.contains(&market)),
        )
    }

    /// What all accounts owe in cash.
    pub(super) fn owed(&self) -> i128 {
        self.accounts.values().map(|purse| (-purse.cash).max(0)).sum()
    }

    /// Lots of a base asset that the pool has as collateral.
    pub(super) fn held(&self, market: MarketId) -> i128 {
        self.accounts
            .values()
            .filter_map(|purse| purse.held.get(&market))
            .map(|(lots, ripening, _)| lots + ripening)
            .sum()
    }

    /// Lots come, or go: those that don't count yet first.
    pub(super) fn hold(&mut self, id: AccountId, market: MarketId, lots: i128, ripe_at: Option<Timestamp>) {
        let Some(purse) = self.accounts.get_mut(&id) else { return };
        let held = purse.held.entry(market).or_insert((0, 0, Timestamp::MIN));
        match ripe_at {
            Some(ripe_at) => (held.1, held.2) = (held.1 + lots, ripe_at),
            None => {
                let unripe = held.1.min((-lots).max(0));
                (held.0, held.1) = (held.0 + lots + unripe, held.1 - unripe);
                held.2 = if held.1 == 0 { Timestamp::MIN } else { held.2 };
            }
        }
        if held.0 + held.1 == 0 {
            purse.held.remove(&market);
        }
    }

    /// Lots that are open.
    pub(super) fn open(&self, market: MarketId) -> i128 {
        self.accounts.values().filter_map(|purse| purse.sizes.get(&market)).filter(|l| 0 < **l).sum()
    }

    /// The initial margin of a notional, the more of what its tiers leave uncovered the nearer the market is to its limit.
    pub(super) fn initial(&self, market: MarketId, notional: i128, open: i128) -> Q {
        let params = &self.terms[&market].params;
        let by_tiers = requirement(notional, &params.tiers, |tier| tier.initial);
        let limit = i128::from(params.open_interest_max.0);
        let from = floor(&(part(params.open_interest_margin_from) * q(limit)));
        if open <= from || limit <= from {
            return by_tiers;
        }
        // Parts of the share, and of the micro-USD, are each rounded up.
        let parts = q(Ratio::ONE.0);
        let share = q(ceil(&(q((open - from).min(limit - from)) / q(limit - from) * &parts))) / &parts;
        let uncovered = (q(notional) - &by_tiers).max(q(0));
        by_tiers + q(ceil(&(share * uncovered * &parts))) / parts
    }

    fn need_at(
        &self,
        id: AccountId,
        price_of: impl Fn(MarketId, &Terms, i128) -> Price,
        price_of_held: impl Fn(MarketId, &Terms) -> Price,
    ) -> Option<Need> {
        let purse = self.accounts.get(&id)?;
        let mut need = Need { equity: purse.booked, initial: q(0), maintenance: q(0), haircut: 0 };
        for (market, lots) in &purse.sizes {
            let terms = self.terms.get(market)?;
            if terms.mark.0 <= 0 {
                return None;
            }
            let price = price_of(*market, terms, *lots);
            let notional = terms.notional(*lots, price);
            need.equity += terms.value(*lots, price);
            need.initial += self.initial(*market, notional, self.open(*market));
            need.maintenance += requirement(notional, &terms.params.tiers, |tier| tier.maintenance);
        }
        for (market, (lots, ripening, _)) in &purse.held {
            let terms = self.terms.get(market)?;
            if 0 < terms.mark.0 {
                need.haircut += terms.value(*ripening, price_of_held(*market, terms));
                let worth = terms.value(*lots, price_of_held(*market, terms));
                let cut = terms.haircut(worth);
                need.equity += worth - cut;
                need.haircut += cut;
            }
        }
        Some(need)
    }

    pub(super) fn equity(&self, id: AccountId) -> i128 {
        self.need(id).map_or(0, |need| need.equity)
    }

    /// The insurance that one account may cost.
    pub(super) fn allowance(&self) -> i128 {
        floor(&(part(self.params.insurance_share_per_account) * q(self.insurance)))
    }

    /// What the account's resting orders set aside.
    pub(super) fn reserved(&self, purse: &Purse) -> i128 {
        purse.orders.iter().filter_map(|id| self.orders.get(id)).map(|order| i128::from(order.reserve.0)).sum()
    }

    pub(super) fn remove_order(&mut self, id: OrderId) -> Option<OpenOrder> {
        let order = self.orders.remove(&id)?;
        if let Some(purse) = self.accounts.get_mut(&order.account) {
            purse.orders.retain(|other| *other != id);
            purse.liquidation = purse.liquidation.filter(|live| live.order != id);
        }
        Some(order)
    }

    /// `change` lots for `amount`; equity counts the value, so only what was paid is booked.
    pub(super) fn fill(&mut self, id: AccountId, market: MarketId, change: i128, amount: i128) {
        if let Some(purse) = self.accounts.get_mut(&id) {
            purse.fill(market, change, amount);
        }
    }

    /// A liquidation closed so many lots.
    pub(super) fn closed(&mut self, id: AccountId, market: MarketId, lots: i128) {
        let notional = self.terms[&market].notional(lots, self.terms[&market].mark);
        if let Some(purse) = self.accounts.get_mut(&id) {
            *purse.taken.entry(market).or_default() += notional;
        }
    }

    /// Money for the insurance fund: what the pool lacks first.
    pub(super) fn insure(&mut self, amount: i128) {
        let over = amount - self.deficit;
        self.deficit = (-over).max(0);
        self.insurance += over.max(0);
    }

    /// Cash in or out.
    pub(super) fn pay(&mut self, id: AccountId, amount: i128) {
        let purse = self.accounts.entry(id).or_default();
        purse.booked += amount;
        purse.cash += amount;
    }

    /// Whoever has nothing and asks for nothing is gone.
    pub(super) fn forget_who_left(&mut self, id: AccountId) {
        let gone = |purse: &Purse| {
            purse.cash == 0 && purse.sizes.is_empty() && purse.held.is_empty() && purse.orders.is_empty()
        };
        if self.accounts.get(&id).is_some_and(gone) {
            self.accounts.remove(&id);
        }
    }
}

impl Purse {
    /// As [`Books::fill`].
    pub(super) fn fill(&mut self, market: MarketId, change: i128, amount: i128) {
        let size = self.sizes.get(&market).copied().unwrap_or(0);
        let cost = self.costs.get(&market).copied().unwrap_or(0);
        let left = size + change;
        // The cost of what is left: all that was paid, the part that stays, or the part of this fill that goes on.
        let kept = if size.signum() * change.signum() >= 0 {
            cost + amount
        } else if change.abs() <= size.abs() {
            floor(&(q(cost) * q(left) / q(size)))
        } else {
            floor(&(q(amount) * q(left) / q(change)))
        };
        self.booked -= amount;
        if left == 0 {
            self.sizes.remove(&market);
            self.costs.remove(&market);
        } else {
            self.sizes.insert(market, left);
            self.costs.insert(market, kept);
        }
        self.cash = self.booked + self.costs.values().sum::<i128>();
    }
}

impl Terms {
    pub(super) fn of(market: &kernel::state::Market) -> Terms {
        let shift = market.params.scale.price_shift();
        let decimals = market.params.scale.lot_decimals();
        let lineages: BTreeSet<_> = market.panel.sources.iter().map(|source| source.lineage).collect();
        Terms {
            per_micro: 10_i128.pow(u32::from(6 + decimals - shift)),
            mark: market.mark.price,
            target: market.mark.target,
            outage: market.activity.outage,
            chain: market.activity.chain,
            quality: market.ladder.quality,
            restriction: market.breaker.restriction,
            lineages: lineages.len(),
            stable: None,
            params: Arc::new(market.params.clone()),
        }
    }

    /// The same listing with what changes.
    fn now(&self, market: &kernel::state::Market) -> Terms {
        Terms {
            params: Arc::clone(&self.params),
            per_micro: self.per_micro,
            mark: market.mark.price,
            target: market.mark.target,
            outage: market.activity.outage,
            chain: market.activity.chain,
            quality: market.ladder.quality,
            restriction: market.breaker.restriction,
            lineages: self.lineages,
            stable: market.stable.price(),
        }
    }
}

/// One who is asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) weight: Q,
    pub(super) cap: Q,
}

/// `total` over those asked, pro rata to weight with nobody beyond the cap: the level to which a tide rises. Exact, so
/// that whole units may lie up to one away.
pub(super) fn tide(total: &Q, asked: &[Asked]) -> Vec<Q> {
    let mut given: Vec<Option<Q>> = asked.iter().map(|one| (one.weight <= q(0)).then(|| q(0))).collect();
    loop {
        let open: Vec<usize> = (0..asked.len()).filter(|i| given[*i].is_none()).collect();
        let fixed: Q = given.iter().flatten().fold(q(0), |sum, amount| sum + amount);
        let left = (total - fixed).max(q(0));
        let weight = open.iter().fold(q(0), |sum, i| sum + &asked[*i].weight);
        let fair = |i: usize| &left * &asked[i].weight / &weight;
        let full: Vec<usize> = open.iter().copied().filter(|i| asked[*i].cap <= fair(*i)).collect();
        if full.is_empty() {
            return (0..asked.len()).map(|i| given[i].clone().unwrap_or_else(|| fair(i))).collect();
        }
        for i in full {
            given[i] = Some(asked[i].cap.clone());
        }
    }
}
