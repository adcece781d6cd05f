//! What the kernel remembers, apart by risk pool, and the numbered invariants that hold after every batch.

use crate::activity::{Activity, Outage};
use crate::breaker::Breaker;
use crate::collateral::Held;
use crate::detect::{MarketView, Memory};
use crate::governance::{self, Governance};
use crate::index::{Denomination, Index, Rate, Source};
use crate::kernel::tell;
use crate::ladder::{Choices, Fallback, Ladder};
use crate::margin::{Lens, risk};
use crate::mark::Mark;
use crate::stable::Stable;
use crate::triggers::{Triggers, allotment, trigger};
use crate::window::{Range, Twap};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use protocol::input::{Observation, Redenomination};
use protocol::params::Invalid;
use protocol::quality::Exclusion;
use protocol::{
    AccountId, Action, Effect, MarketId, MarketParams, Mode, OrderId, Panel, PoolId, PoolParams, PriceQuality,
    QualityState, Reject, Rung, Side, SourceId, VenueParams,
};
use units::{Duration, Notional, Price, Rounding, Size, Timestamp};

/// The most lots of a position or an order.
pub const LOTS_MAX: u64 = i64::MAX.unsigned_abs() / 4;

/// One account's holding in one market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The market.
    pub market: MarketId,
    /// Never zero.
    pub size: Size,
    /// What was paid for it, micro-USD, signed like `size`: equity counts `value - cost`.
    pub cost: Notional,
    /// Where the account must be looked at; see [`crate::triggers`].
    pub trigger: Option<Price>,
}

/// A liquidation order that the venue holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Liquidation {
    /// The order.
    pub order: OrderId,
    /// Its market.
    pub market: MarketId,
    /// When it is decided again.
    pub expires_at: Timestamp,
}

/// What an isolated account is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isolated {
    /// Whose money it is.
    pub owner: AccountId,
    /// The only market in which it may hold anything.
    pub market: MarketId,
}

/// One account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Set where the account is bound to one market.
    pub isolated: Option<Isolated>,
    /// Micro-USD. Negative only while positions stand against it.
    pub cash: Notional,
    /// In order of market.
    pub positions: Vec<Position>,
    /// What is held beside cash, in order of market.
    pub collateral: Vec<Held>,
    /// Since when something of that is for sale for a debt; `MIN` where nothing is.
    pub offered_at: Timestamp,
    /// Set aside for resting orders beside their initial margin, micro-USD.
    pub reserved: Notional,
    /// Resting orders, in order of admission.
    pub orders: Vec<OrderId>,
    /// The liquidation order that is out.
    pub liquidation: Option<Liquidation>,
    /// A liquidation order of this account ran out unfilled while it was insolvent.
    pub exhausted: bool,
    /// When a trade last made one of its positions larger; `MIN` before the first.
    pub grown_at: Timestamp,
    /// What was closed by liquidation since the account came into distress: notional at the mark, micro-USD. Where the
    /// account ends owing money, these markets share the loss.
    pub taken: BTreeMap<MarketId, i128>,
}

/// An order that the venue holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenOrder {
    /// Its owner.
    pub account: AccountId,
    /// Its market.
    pub market: MarketId,
    /// Signed lots left.
    pub remaining: Size,
    /// The worst price accepted.
    pub limit: Price,
    /// Part of the owner's `reserved`, micro-USD.
    pub reserve: Notional,
    /// Whether it was admitted as increasing exposure. The backstop's orders, which meet liquidations only, are not.
    pub opening: bool,
}

/// One market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Market {
    /// Its id.
    pub id: MarketId,
    /// As listed.
    pub params: MarketParams,
    /// Price × lot products in a micro-USD.
    pub per_micro: i128,
    /// Its own sources as listed.
    pub panel: Panel,
    /// What they amount to.
    pub index: Index,
    /// The sources of lower rungs, from the better one on; none where none are listed.
    pub fallbacks: Vec<Fallback>,
    /// The price that serves.
    pub ladder: Ladder,
    /// The markets in whose price its sources are quoted.
    pub units: Vec<MarketId>,
    /// The mark.
    pub mark: Mark,
    /// Average of the index.
    pub twap: Twap,
    /// Where the index has been for long.
    pub stable: Stable,
    /// Range of executed prices in the velocity window, by when they were published.
    pub range: Range,
    /// Likewise in the swing window.
    pub swing: Range,
    /// What is known beside its price.
    pub activity: Activity,
    /// When holders last paid each other; `MIN` before the first time.
    pub funded_at: Timestamp,
    /// Until when the index has entered the average.
    pub observed_until: Timestamp,
    /// The detectors' levels.
    pub memory: Memory,
    /// The restriction in force.
    pub breaker: Breaker,
    /// What is asked beside what the detectors want.
    pub restraint: governance::Restraint,
    /// Long lots, which are as many as short lots.
    pub open_interest: i128,
    /// Lots of its base asset that accounts have as collateral.
    pub collateral: i128,
    /// Lots that resting opening orders would buy.
    pub opening_buys: i128,
    /// Lots that resting opening orders would sell.
    pub opening_sells: i128,
    /// Who to look at when the mark moves.
    pub triggers: Triggers,
    /// Accounts under maintenance that hold this market.
    pub distressed: BTreeSet<AccountId>,
}

/// One risk pool. Nothing in it refers to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its id.
    pub id: PoolId,
    /// Limits.
    pub params: PoolParams,
    /// Its markets, in order of id.
    pub markets: Vec<Market>,
    /// Its accounts.
    pub accounts: BTreeMap<AccountId, Account>,
    /// Orders that the venue holds.
    pub orders: BTreeMap<OrderId, OpenOrder>,
    /// Accounts under maintenance, and since when.
    pub distressed: BTreeMap<AccountId, Timestamp>,
    /// When accounts in distress are looked at although nobody speaks: an order runs out, or a wait is over. Some are of
    /// no use any more; each is gone at its time.
    pub alarms: BTreeSet<(Timestamp, AccountId)>,
    /// Micro-USD.
    pub insurance: i128,
    /// Losses that nobody could pay, micro-USD.
    pub deficit: i128,
    /// What accounts owe in cash, micro-USD.
    pub owed: i128,
    /// Everything paid in less everything paid out, micro-USD: what is there to be paid out.
    pub deposited: i128,
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Of the last batch.
    pub height: u64,
    /// Of the last batch.
    pub at: Timestamp,
    /// For each market, its pool and its place there.
    pub directory: Vec<(PoolId, u16)>,
    /// The pools, in order of id.
    pub pools: Vec<Pool>,
    /// Who may change what, and what is filed.
    pub governance: Governance,
}

/// The accounts with which a venue begins, or moves in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// Whose pool.
    pub pool: PoolId,
    /// The account.
    pub account: AccountId,
    /// Micro-USD.
    pub cash: Notional,
    /// Positions, in order of market, none of size zero; over a whole market sizes must add up to zero.
    pub holdings: Vec<Holding>,
    /// Lots of markets' base assets as collateral, in order of market, positive.
    pub collateral: Vec<(MarketId, Size)>,
}

/// A position at genesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The market.
    pub market: MarketId,
    /// Signed lots.
    pub size: Size,
    /// Average entry price.
    pub entry: Price,
}

/// A numbered invariant that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The invariant's number, as documented at [`State::check`].
    pub invariant: u8,
    /// Where.
    pub pool: PoolId,
    /// What was found, micro-USD or lots.
    pub found: i128,
    /// What it must be.
    pub expected: i128,
}

/// Why a state could not be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadGenesis {
    /// The parameters are not well formed.
    Params(Invalid),
    /// An account names a pool or market that is not listed, is listed twice, or holds a position that does not fit.
    Account(AccountId),
    /// The accounts break an invariant.
    Broken(Broken),
}

impl Market {
    fn new(id: MarketId, params: &MarketParams) -> Market {
        let panel = params.panel(Rung::Primary);
        Market {
            id,
            per_micro: params.scale.products_per_micro(),
            index: Index::new(&panel),
            panel,
            fallbacks: Market::lower_panels(params)
                .map(|panel| Fallback { index: Index::new(&panel), panel })
                .collect(),
            ladder: Ladder::NONE,
            units: Market::units_of(params),
            mark: Mark::NONE,
            twap: Twap::new(),
            stable: Stable::NONE,
            range: Range::new(),
            swing: Range::new(),
            activity: Activity::new(),
            funded_at: Timestamp::MIN,
            observed_until: Timestamp::MIN,
            memory: Memory::CALM,
            breaker: Breaker::new(&params.breaker),
            restraint: governance::Restraint::FREE,
            open_interest: 0,
            collateral: 0,
            opening_buys: 0,
            opening_sells: 0,
            triggers: Triggers::default(),
            distressed: BTreeSet::new(),
            params: params.clone(),
        }
    }

    /// The panels of the lower rungs that list anybody.
    pub(crate) fn lower_panels(params: &MarketParams) -> impl Iterator<Item = Panel> {
        let panels = Panel::RUNGS.into_iter().skip(1).map(|rung| params.panel(rung));
        panels.filter(|panel| !panel.sources.is_empty())
    }

    /// The price that serves, with its quality, as of the last evaluation.
    #[must_use]
    pub const fn quality(&self) -> &PriceQuality {
        &self.ladder.quality
    }

    /// Why a source's newest observation is left out; `None` for a source that is used or unknown.
    #[must_use]
    pub fn exclusion(&self, source: SourceId) -> Option<Exclusion> {
        let lower = self.fallbacks.iter().map(|fallback| (&fallback.panel, &fallback.index));
        let mut all = [(&self.panel, &self.index)].into_iter().chain(lower);
        all.find_map(|(panel, index)| Some(index.exclusion(panel.place_of(source)?)))?
    }

    /// What a source said, and what is known of it.
    #[must_use]
    pub fn source(&self, source: SourceId) -> Option<&Source> {
        let lower = self.fallbacks.iter().map(|fallback| (&fallback.panel, &fallback.index));
        let mut all = [(&self.panel, &self.index)].into_iter().chain(lower);
        all.find_map(|(panel, index)| index.sources.get(panel.place_of(source)?))
    }

    /// The sources whose price serves, or the market's own where nobody's does.
    #[must_use]
    pub fn speaker(&self) -> &Index {
        let rung = self.ladder.quality.rung;
        let lower = self.fallbacks.iter().find(|fallback| fallback.panel.rung == rung);
        lower.map_or(&self.index, |fallback| &fallback.index)
    }

    /// The last instant at which the price that serves is still the same without any input.
    pub(crate) fn price_until(&self) -> Timestamp {
        let lower = self.fallbacks.iter().map(|fallback| fallback.index.deadline);
        lower.fold(self.index.deadline.min(self.ladder.deadline), Timestamp::min)
    }

    /// The markets in whose price sources are quoted, each once.
    pub(crate) fn units_of(params: &MarketParams) -> Vec<MarketId> {
        let units: BTreeSet<MarketId> = params.sources.iter().filter_map(|source| source.quote).collect();
        units.into_iter().collect()
    }

    /// What its unit is worth to who is quoted in it. What fewer say than it takes to agree is no more for being said of
    /// something else by many.
    pub(crate) fn rate(&self) -> Option<Rate> {
        let rate = Rate::of(self.quality(), self.params.scale, self.observed_until);
        rate.filter(|_| self.is_quorum())
    }

    /// Files an observation of one of its sources, `rate` what the source's unit is worth. Returns why the source is left
    /// out, if that changed.
    ///
    /// # Errors
    /// As [`Index::observe`].
    pub(crate) fn observe(
        &mut self,
        seen: &Observation,
        rate: Option<Rate>,
        at: Timestamp,
    ) -> Result<Option<Option<Exclusion>>, Reject> {
        let lists = |fallback: &&mut Fallback| fallback.panel.place_of(seen.source).is_some();
        let (panel, index) = match self.fallbacks.iter_mut().find(lists) {
            Some(Fallback { panel, index }) => (&*panel, index),
            None => (&self.panel, &mut self.index),
        };
        let place = panel.place_of(seen.source).ok_or(Reject::UnknownSource)?;
        let before = index.exclusion(place);
        index.observe(seen, panel, rate, at)?;
        let after = index.exclusion(place);
        Ok((before != after).then_some(after))
    }

    /// Takes what its sources said last into USD anew.
    pub(crate) fn convert(&mut self, rate_of: &impl Fn(MarketId) -> Option<Rate>, out: &mut Vec<Effect>) {
        let changed = self.index.convert(&self.panel, rate_of);
        tell(self.id, &self.panel, &self.index, changed, out);
        for Fallback { panel, index } in &mut self.fallbacks {
            let changed = index.convert(panel, rate_of);
            tell(self.id, panel, index, changed, out);
        }
    }

    /// Chooses the rung that serves, its panels evaluated.
    pub(crate) fn choose(&mut self, unseen: Duration, at: Timestamp) {
        let choices = Choices {
            params: &self.params,
            own: &self.panel,
            primary: &self.index,
            fallbacks: &self.fallbacks,
            twap: &self.twap,
            swing: &self.swing,
        };
        self.ladder.choose(&choices, unseen, at);
        if !self.ladder.is_observed() {
            return;
        }
        let (serves, served) = (self.ladder.quality.rung, self.ladder.anchor);
        if serves != Rung::Primary {
            self.index.follow(served, at);
        }
        for Fallback { panel, index } in &mut self.fallbacks {
            if panel.rung == Rung::Secondary && serves != Rung::Secondary {
                index.follow(served, at);
            }
        }
    }

    /// Whether as many independent lineages as are asked for, or listed, say the price that serves.
    #[must_use]
    pub fn is_quorum(&self) -> bool {
        let quality = self.quality();
        let fresh = matches!(quality.rung, Rung::Primary | Rung::Secondary);
        let sure = matches!(quality.state, QualityState::Agreed | QualityState::Degraded);
        fresh && sure && self.params.oracle.lineages_min.min(self.panel.lineages.count) <= quality.lineages
    }

    /// Nothing that was heard before is taken for the present.
    pub(crate) fn forget(&mut self, at: Timestamp) {
        self.index.forget(at);
        for fallback in &mut self.fallbacks {
            fallback.index.forget(at);
        }
        (self.activity.gated, self.activity.gated_at) = (true, at);
    }

    /// Whether its mode lets anybody open.
    pub(crate) fn may_open(&self) -> bool {
        self.breaker.mode() < Mode::ReduceOnly
    }

    /// Whether what the venue's own book shows is what makers want it to: they may open, and have had a calm's time to.
    pub(crate) fn is_quoted(&self, at: Timestamp) -> bool {
        self.may_open() && self.params.breaker.calm <= at.since(self.breaker.relaxed_at)
    }

    /// Takes what is published from `said.at` on for the price of another number of units. Nothing of the market itself changes.
    ///
    /// # Errors
    /// `OutOfRange` for no units, for a change of nothing, and where the whole change since the listing does not fit;
    /// `OutOfOrder` for one at or before the last, unless that is still ahead.
    pub(crate) fn redenominate(
        &mut self,
        said: &Redenomination,
        at: Timestamp,
        out: &mut Vec<Effect>,
    ) -> Result<(), Reject> {
        let old = self.index.denomination;
        // What is still ahead is replaced, by nothing where as many become as many.
        let is_ahead = at < old.since;
        if said.from == 0 || said.from == said.into && !is_ahead {
            return Err(Reject::OutOfRange);
        }
        if said.at <= old.since && !is_ahead {
            return Err(Reject::OutOfOrder);
        }
        let before = if is_ahead { old.before } else { old.after };
        let after = before.split(said.from, said.into).ok_or(Reject::OutOfRange)?;
        let denomination = Denomination { before, after, since: said.at };
        let changed = self.index.redenominate(denomination, &self.panel);
        tell(self.id, &self.panel, &self.index, changed, out);
        for Fallback { panel, index } in &mut self.fallbacks {
            let changed = index.redenominate(denomination, panel);
            tell(self.id, panel, index, changed, out);
        }
        Ok(())
    }

    /// How long ago the newest source published, in whole heartbeats of the fastest; each begins as much late as is tolerated of a
    /// source, half of one.
    fn staleness(&self) -> Duration {
        let beat = self.panel.heartbeat;
        let late = Duration(self.quality().age.0.saturating_sub(beat.0 / 2));
        // Mostly it is younger than one.
        if late < beat { Duration::ZERO } else { Duration((late.0 / beat.0.max(1)).saturating_mul(beat.0)) }
    }

    /// The last instant at which that is still the same.
    pub(crate) fn staler_at(&self) -> Timestamp {
        if self.quality().state == QualityState::None {
            return Timestamp::MAX;
        }
        let known_at = Timestamp(self.observed_until.0.saturating_sub(self.quality().age.0));
        let beat = self.panel.heartbeat;
        let next = known_at.plus(self.staleness()).plus(beat).plus(Duration(beat.0 / 2));
        Timestamp(next.0.saturating_sub(1))
    }

    /// An outage of this length is over at `at`.
    pub(crate) fn begin_grace(&mut self, outage: Duration, at: Timestamp) {
        let breaker = &self.params.breaker;
        let grace = breaker.grace_share.of(i128::from(outage.0.max(0)), Rounding::Down);
        let grace = grace.and_then(|grace| i64::try_from(grace).ok()).map_or(breaker.grace_max, Duration);
        let grace = grace.min(breaker.grace_max);
        let old = self.activity.outage;
        // News of an outage inside of a grace takes it from nobody.
        let goes_on = old.is_grace(at);
        let left = if old.waits {
            old.grace
        } else if goes_on {
            old.grace_until.since(at)
        } else {
            Duration::ZERO
        };
        let ended_at = if goes_on { old.ended_at } else { at };
        let grace = grace.max(left);
        self.activity.outage = Outage { ended_at, grace, grace_until: at.plus(grace), waits: true };
    }

    /// A grace begins when exits are open. Returns whether it does.
    pub(crate) fn begin_waiting_grace(&mut self, at: Timestamp) -> bool {
        let restriction = self.breaker.restriction();
        let is_open = Side::BOTH.iter().all(|side| restriction.permits(Action::Reduce, *side));
        let outage = &mut self.activity.outage;
        let begins = outage.waits && is_open;
        if begins {
            (outage.waits, outage.grace_until) = (false, at.plus(outage.grace));
        }
        begins
    }

    /// Whether the market lists too few independent lineages ever to have an agreed price.
    #[must_use]
    pub const fn single_lineage(&self) -> bool {
        self.panel.lineages.count < self.params.oracle.lineages_min
    }

    /// The flat view that detectors see.
    #[must_use]
    pub fn view(&self) -> MarketView {
        let quality = self.quality();
        MarketView {
            index: quality.value,
            state: quality.state,
            rung: quality.rung,
            spread: self.speaker().spread,
            coverage: quality.coverage,
            lineages: quality.lineages,
            twap: self.sound_twap(),
            stable: self.stable.price(),
            range: self.range.extremes(),
            swing: self.swing.extremes(),
            stuck: self.stuck(),
            staleness: self.staleness(),
            measures: self.activity.measures(
                self.open_interest,
                self.mark.gap(&self.params.mark, self.observed_until),
                &self.params,
                self.observed_until,
            ),
        }
    }

    /// The share of the listed voices that speak from their own bound, rounded up. As everywhere a lineage is one voice, that
    /// of its heaviest source; here of the heaviest that is stuck.
    fn stuck(&self) -> units::Ratio {
        if self.index.stuck == 0 {
            return units::Ratio::ZERO;
        }
        let sources = &self.panel.sources;
        let is_stuck = |place: usize| self.index.stuck >> place & 1 == 1;
        let voices = |only_stuck: bool| -> i128 {
            let counts = |place: usize| !only_stuck || is_stuck(place);
            let heaviest_of = |lineage| {
                let own = sources.iter().enumerate().filter(|(place, s)| s.lineage == lineage && counts(*place));
                own.map(|(_, source)| i128::from(source.weight)).max().unwrap_or(0)
            };
            let firsts = sources
                .iter()
                .enumerate()
                .filter(|(place, source)| sources.iter().take(*place).all(|other| other.lineage != source.lineage));
            firsts.map(|(_, source)| heaviest_of(source.lineage)).sum()
        };
        units::Ratio::of_parts(voices(true), voices(false), units::Rounding::Up).unwrap_or(units::Ratio::ONE)
    }

    /// The time-weighted average of the index and the share of its window that was observed.
    #[must_use]
    pub fn twap(&self) -> (Option<Price>, units::Ratio) {
        (self.twap.average(), self.twap.coverage(self.params.detectors.twap_window))
    }

    /// The average, where enough of its window was observed.
    fn sound_twap(&self) -> Option<Price> {
        let detectors = &self.params.detectors;
        let covered = self.twap.covers(detectors.twap_window, detectors.twap_coverage_min);
        if covered { self.twap.average() } else { None }
    }

    /// Long lots, which are as many as short lots.
    #[must_use]
    pub const fn open_interest(&self) -> i128 {
        self.open_interest
    }
}

impl Account {
    pub(crate) const EMPTY: Account = Account {
        isolated: None,
        cash: Notional(0),
        positions: Vec::new(),
        collateral: Vec::new(),
        offered_at: Timestamp::MIN,
        reserved: Notional(0),
        orders: Vec::new(),
        liquidation: None,
        exhausted: false,
        grown_at: Timestamp::MIN,
        taken: BTreeMap::new(),
    };

    /// The position in `market`; size zero where there is none.
    #[must_use]
    pub fn size_in(&self, market: MarketId) -> Size {
        self.positions.iter().find(|position| position.market == market).map_or(Size(0), |position| position.size)
    }

    /// The markets that it has something in, each at least once.
    pub(crate) fn markets(&self) -> impl Iterator<Item = MarketId> {
        let held = self.collateral.iter().map(|held| held.market);
        self.positions.iter().map(|position| position.market).chain(held)
    }

    /// Whether it has something in a market.
    pub(crate) fn holds(&self, market: MarketId) -> bool {
        self.markets().any(|held| held == market)
    }

    /// Whether it has a market's base asset as collateral.
    pub(crate) fn holds_collateral(&self, market: MarketId) -> bool {
        self.collateral.iter().any(|held| held.market == market)
    }

    /// Whether there is nothing left of it but, perhaps, money.
    pub(crate) fn is_flat(&self) -> bool {
        self.positions.is_empty() && self.collateral.is_empty()
    }

    /// Cash less what was paid for positions: what trading between accounts moves and never makes.
    #[must_use]
    pub fn booked(&self) -> i128 {
        let costs: i128 = self.positions.iter().map(|position| i128::from(position.cost.0)).sum();
        i128::from(self.cash.0) - costs
    }
}

impl Pool {
    pub(crate) fn place_of(&self, market: MarketId) -> Option<usize> {
        self.markets.binary_search_by_key(&market, |market| market.id).ok()
    }

    /// A market of this pool.
    #[must_use]
    pub fn market(&self, market: MarketId) -> Option<&Market> {
        self.markets.get(self.place_of(market)?)
    }

    /// Takes the account's triggers back.
    pub(crate) fn disarm(&mut self, id: AccountId) {
        let Some(account) = self.accounts.get_mut(&id) else { return };
        let markets = &mut self.markets;
        for position in &mut account.positions {
            if let Some(trigger) = position.trigger.take()
                && let Ok(place) = markets.binary_search_by_key(&position.market, |market| market.id)
            {
                markets[place].triggers.disarm(position.size, trigger, id);
            }
        }
        for held in &mut account.collateral {
            if let Some(trigger) = held.trigger.take()
                && let Ok(place) = markets.binary_search_by_key(&held.market, |market| market.id)
            {
                markets[place].triggers.held.remove(&(trigger, id));
            }
        }
    }

    /// Writes the account's triggers anew. To be called after anything of the account changed.
    pub(crate) fn rearm(&mut self, id: AccountId) {
        self.disarm(id);
        // Who is in distress is looked at with every price; a trigger would only say so again.
        if self.distressed.contains_key(&id) {
            return;
        }
        let Some(account) = self.accounts.get_mut(&id) else { return };
        let markets = &mut self.markets;
        let allotment =
            allotment(account, |market| markets.get(markets.binary_search_by_key(&market, |market| market.id).ok()?));
        for position in &mut account.positions {
            if let Ok(place) = markets.binary_search_by_key(&position.market, |market| market.id) {
                let market = &mut markets[place];
                let price = trigger(position.size, market, allotment);
                market.triggers.arm(position.size, price, id);
                position.trigger = Some(price);
            }
        }
        // Without a debt or a position nothing can come of what collateral is worth.
        if account.positions.is_empty() && account.debt() == 0 {
            return;
        }
        for held in &mut account.collateral {
            if let Ok(place) = markets.binary_search_by_key(&held.market, |market| market.id) {
                let market = &mut markets[place];
                let price = if held.lots == Size(0) { Price(i64::MIN) } else { trigger(held.lots, market, allotment) };
                market.triggers.held.insert((price, id));
                held.trigger = Some(price);
            }
        }
    }

    /// Takes an account into or out of distress.
    pub(crate) fn set_distressed(&mut self, id: AccountId, since: Option<Timestamp>) {
        let Some(account) = self.accounts.get(&id) else { return };
        for market in account.markets() {
            if let Ok(place) = self.markets.binary_search_by_key(&market, |market| market.id) {
                let distressed = &mut self.markets[place].distressed;
                if since.is_some() {
                    distressed.insert(id)
                } else {
                    distressed.remove(&id)
                };
            }
        }
        match since {
            Some(since) if !self.distressed.contains_key(&id) => {
                self.distressed.insert(id, since);
                self.await_turn(id, since);
            }
            Some(_) => {}
            None => {
                self.distressed.remove(&id);
                if let Some(account) = self.accounts.get_mut(&id) {
                    account.taken.clear();
                    account.exhausted = false;
                    account.offered_at = Timestamp::MIN;
                }
            }
        }
        self.rearm(id);
    }

    /// Likewise everybody in distress who holds the market at `place`.
    pub(crate) fn await_turns(&mut self, place: usize) {
        let holders = self.markets.get(place).map(|market| market.distressed.iter());
        let since = |id: &AccountId| Some((*id, *self.distressed.get(id)?));
        let waiting: Vec<(AccountId, Timestamp)> = holders.into_iter().flatten().filter_map(since).collect();
        for (id, since) in waiting {
            self.await_turn(id, since);
        }
    }

    /// Has an account that is in distress since `since` looked at when what keeps it from being liquidated is over.
    fn await_turn(&mut self, id: AccountId, since: Timestamp) {
        let Some(account) = self.accounts.get(&id) else { return };
        let markets = account.markets().filter_map(|id| self.market(id));
        let waits = markets.flat_map(|market| {
            let confirmed = since.plus(market.params.liquidation.single_lineage_confirm);
            let graced = market.activity.outage.grace_until;
            let confirmed = market.single_lineage().then_some(confirmed);
            confirmed.into_iter().chain((since < graced).then_some(graced))
        });
        let waits: Vec<(Timestamp, AccountId)> = waits.map(|at| (at, id)).collect();
        self.alarms.extend(waits);
    }

    /// When the last outage of which a market was told was over; `MIN` before the first.
    pub(crate) fn last_outage(&self) -> Timestamp {
        let ends = self.markets.iter().map(|market| market.activity.outage.ended_at);
        ends.max().unwrap_or(Timestamp::MIN)
    }

    /// An outage of this length is over at `at`, and the one before it was at `last`: what it stopped goes on where it was. Nobody could act, so no clock ran; and whoever
    /// came into distress meanwhile comes into it now.
    pub(crate) fn resume_clocks(&mut self, outage: Duration, last: Timestamp, at: Timestamp) {
        // One that is told of twice stopped them once.
        let outage = outage.min(at.since(last));
        let began_at = Timestamp(at.0.saturating_sub(outage.0));
        let ends: Vec<Timestamp> = self.markets.iter().map(|market| market.activity.outage.ended_at).collect();
        let ttls: Vec<(MarketId, Duration)> =
            self.markets.iter().map(|market| (market.id, market.params.liquidation.order_ttl)).collect();
        let distressed: Vec<(AccountId, Timestamp)> = self.distressed.iter().map(|(id, since)| (*id, *since)).collect();
        for (id, since) in distressed {
            // Never to the end of it, nor of one before, where they were in distress before.
            let first = ends.iter().copied().filter(|end| since < *end).min().unwrap_or(at);
            let later = since.plus(outage).min(Timestamp(first.0.saturating_sub(1))).max(since);
            let since = if began_at <= since { at } else { later };
            self.distressed.insert(id, since);
            let live = self.accounts.get_mut(&id).and_then(|account| account.liquidation.as_mut());
            if let Some(live) = live {
                // No longer than a new one: some of the outage may have been over when it was placed.
                let ttl =
                    ttls.iter().find(|(market, _)| *market == live.market).map_or(Duration::ZERO, |(_, ttl)| *ttl);
                live.expires_at = live.expires_at.plus(outage).min(at.plus(ttl)).max(live.expires_at);
                self.alarms.insert((live.expires_at, id));
            }
            if let Some(account) = self.accounts.get_mut(&id)
                && account.offered_at != Timestamp::MIN
            {
                account.offered_at = account.offered_at.plus(outage).min(at);
                let began_at = account.offered_at;
                let held: Vec<MarketId> = account.collateral.iter().map(|held| held.market).collect();
                let auctions = held.into_iter().filter_map(|id| Some(self.market(id)?.params.collateral.auction));
                let ends: Vec<Timestamp> = auctions.map(|auction| began_at.plus(auction)).collect();
                self.alarms.extend(ends.into_iter().map(|end| (end, id)));
            }
            self.await_turn(id, since);
        }
    }

    /// Whether the next price will have the account looked at: it is in distress, or a trigger of it is crossed.
    fn is_seen(&self, id: AccountId, account: &Account) -> bool {
        self.distressed.contains_key(&id) || self.is_crossed(account)
    }

    /// Whether a trigger of the account is crossed, or missing where there must be one.
    pub(crate) fn is_crossed(&self, account: &Account) -> bool {
        let mark = |market: MarketId| self.market(market).map_or(Price(0), |market| market.mark.price);
        let position = |position: &Position| {
            let mark = mark(position.market);
            position.trigger.is_none_or(|trigger| if 0 < position.size.0 { mark <= trigger } else { trigger <= mark })
        };
        let held = |held: &Held| held.trigger.is_some_and(|trigger| mark(held.market) <= trigger);
        account.positions.iter().any(position) || account.collateral.iter().any(held)
    }

    fn check(&self, at: Timestamp) -> Result<(), Broken> {
        let broken = |invariant, found, expected| Err(Broken { invariant, pool: self.id, found, expected });
        let booked: i128 = self.accounts.values().map(Account::booked).sum();
        let held = booked.checked_add(self.insurance).and_then(|sum| sum.checked_sub(self.deficit));
        if held != Some(self.deposited) {
            return broken(1, held.unwrap_or(i128::MAX), self.deposited);
        }
        for market in &self.markets {
            let sizes = || self.accounts.values().map(|account| i128::from(account.size_in(market.id).0));
            let net: i128 = sizes().sum();
            if net != 0 {
                return broken(2, net, 0);
            }
            let long: i128 = sizes().filter(|size| 0 < *size).sum();
            if long != market.open_interest {
                return broken(3, market.open_interest, long);
            }
            let triggers = market.triggers.longs.len() + market.triggers.shorts.len() + market.triggers.held.len();
            let armed = |account: &Account| {
                let held = account.collateral.iter().map(|held| (held.market, held.trigger));
                let positions = account.positions.iter().map(|position| (position.market, position.trigger));
                positions.chain(held).filter(|(of, trigger)| *of == market.id && trigger.is_some()).count()
            };
            let armed: usize = self.accounts.values().map(armed).sum();
            if triggers != armed {
                return broken(4, triggers as i128, armed as i128);
            }
            let lots: i128 = self.accounts.values().map(|account| i128::from(account.held_in(market.id).0)).sum();
            if lots != market.collateral {
                return broken(22, market.collateral, lots);
            }
            let holds = |id: &&AccountId| self.accounts.get(id).is_some_and(|account| account.holds(market.id));
            if !market.distressed.iter().eq(self.distressed.keys().filter(holds)) {
                return broken(
                    20,
                    market.distressed.len() as i128,
                    self.distressed.keys().filter(holds).count() as i128,
                );
            }
            let opening = |sign: i64| -> i128 {
                let here = |order: &&OpenOrder| order.opening && order.market == market.id;
                let orders = self.orders.values().filter(here).map(|order| order.remaining);
                orders.filter(|size| size.0.signum() == sign).map(|size| i128::from(size.lots())).sum()
            };
            for (found, expected) in [(market.opening_buys, opening(1)), (market.opening_sells, opening(-1))] {
                if found != expected {
                    return broken(17, found, expected);
                }
            }
        }
        let owed: i128 = self.accounts.values().map(Account::debt).sum();
        if owed != self.owed {
            return broken(23, self.owed, owed);
        }
        for (name, amount) in [(5, self.insurance), (6, self.deficit), (7, self.deposited)] {
            if amount < 0 {
                return broken(name, amount, 0);
            }
        }
        let mut resting = 0;
        for (id, account) in &self.accounts {
            if account.is_flat() && account.cash < Notional(0) {
                return broken(8, i128::from(account.cash.0), 0);
            }
            let sorted = account.positions.windows(2).all(|pair| pair[0].market < pair[1].market);
            if !sorted || account.positions.iter().any(|position| position.size == Size(0)) {
                return broken(9, i128::from(id.0), 0);
            }
            let reserve = |order: &OrderId| self.orders.get(order).map_or(0, |order| i128::from(order.reserve.0));
            let reserved: i128 = account.orders.iter().map(reserve).sum();
            if reserved != i128::from(account.reserved.0) {
                return broken(10, i128::from(account.reserved.0), reserved);
            }
            resting += account.orders.len();
            if let Some(Isolated { owner, market }) = account.isolated {
                let holds = account.positions.iter().all(|position| position.market == market);
                let asks = |order: &OrderId| self.orders.get(order).is_none_or(|order| order.market == market);
                if !holds || !account.orders.iter().all(asks) || owner == *id || self.place_of(market).is_none() {
                    return broken(21, i128::from(id.0), 0);
                }
            }
            let sorted = account.collateral.windows(2).all(|pair| pair[0].market < pair[1].market);
            let sound = |held: &Held| {
                let ripe = held.ripening == Size(0) && held.ripe_at == Timestamp::MIN;
                let waits = ripe || Size(0) < held.ripening && self.alarms.contains(&(held.ripe_at, *id));
                Size(0) <= held.lots && Size(0) <= held.ripening && Size(0) < held.all() && waits
            };
            if !sorted
                || !account.collateral.iter().all(sound)
                || account.isolated.is_some() && !account.collateral.is_empty()
            {
                return broken(24, i128::from(id.0), 0);
            }
            let listed = account.markets().all(|market| self.place_of(market).is_some());
            if !listed {
                return broken(13, i128::from(id.0), 0);
            }
            let known = account.liquidation.is_none_or(|live| account.orders.contains(&live.order));
            if !known {
                return broken(14, i128::from(id.0), 0);
            }
            let at_ease = !self.distressed.contains_key(id);
            let watched = account.positions.iter().all(|position| position.trigger.is_some() == at_ease);
            let may_lose = at_ease && (!account.positions.is_empty() || 0 < account.debt());
            if !watched || account.collateral.iter().any(|held| held.trigger.is_some() != may_lose) {
                return broken(12, i128::from(id.0), 0);
            }
            let taken = account.taken.iter().all(|(market, closed)| self.place_of(*market).is_some() && 0 < *closed);
            if !taken || !account.taken.is_empty() && !self.distressed.contains_key(id) {
                return broken(18, i128::from(id.0), 0);
            }
            let stalled = |live: Liquidation| {
                let market = self.market(live.market);
                market.is_some_and(|market| market.activity.is_stalled(&market.params, at))
            };
            let waits = |live: Liquidation| {
                self.alarms.contains(&(live.expires_at, *id)) || live.expires_at <= at && stalled(live)
            };
            let rings = |live: Liquidation| self.distressed.contains_key(id) && waits(live);
            if !account.liquidation.is_none_or(rings) {
                return broken(19, i128::from(id.0), 0);
            }
            let risk = risk(account, |market| self.market(market), Lens::Mark);
            if risk.is_some_and(|risk| risk.liquidatable()) && !self.is_seen(*id, account) {
                return broken(16, i128::from(id.0), 0);
            }
        }
        let knows = |(id, order): (&OrderId, &OpenOrder)| {
            let rests = self.place_of(order.market).is_some() && order.remaining != Size(0);
            rests && self.accounts.get(&order.account).is_some_and(|account| account.orders.contains(id))
        };
        if resting != self.orders.len() || !self.orders.iter().all(knows) {
            return broken(11, resting as i128, self.orders.len() as i128);
        }
        let holds = |id: &AccountId| self.accounts.get(id).is_some_and(|account| !account.is_flat());
        if let Some(id) = self.distressed.keys().find(|id| !holds(id)) {
            return broken(15, i128::from(id.0), 0);
        }
        Ok(())
    }
}

impl State {
    /// A venue with these parameters and accounts, before its first batch.
    ///
    /// # Errors
    /// Parameters that are not well formed; accounts that name what is not listed or break an invariant.
    pub fn new(params: &VenueParams, accounts: &[Genesis]) -> Result<State, BadGenesis> {
        params.validate().map_err(BadGenesis::Params)?;
        let mut pools: Vec<Pool> = Vec::with_capacity(params.pools.len());
        for (id, pool) in (0..).zip(&params.pools) {
            pools.push(Pool {
                id: PoolId(id),
                params: pool.clone(),
                markets: Vec::new(),
                accounts: BTreeMap::new(),
                orders: BTreeMap::new(),
                distressed: BTreeMap::new(),
                alarms: BTreeSet::new(),
                insurance: 0,
                deficit: 0,
                owed: 0,
                deposited: 0,
            });
        }
        let mut directory = Vec::with_capacity(params.markets.len());
        for (id, market) in (0..).zip(&params.markets) {
            if let Some(pool) = pools.get_mut(usize::from(market.pool.0)) {
                directory.push((market.pool, u16::try_from(pool.markets.len()).unwrap_or(u16::MAX)));
                pool.markets.push(Market::new(MarketId(id), market));
            }
        }
        let mut state = State { height: 0, at: Timestamp(0), directory, pools, governance: Governance::new(params) };
        for genesis in accounts {
            state.move_in(genesis).ok_or(BadGenesis::Account(genesis.account))?;
        }
        state.check().map_err(BadGenesis::Broken)?;
        Ok(state)
    }

    fn move_in(&mut self, genesis: &Genesis) -> Option<()> {
        let pool = self.pools.get_mut(usize::from(genesis.pool.0))?;
        let full = pool.params.accounts_max as usize <= pool.accounts.len();
        if full || pool.accounts.contains_key(&genesis.account) {
            return None;
        }
        let mut account = Account { cash: genesis.cash, ..Account::EMPTY };
        for holding in &genesis.holdings {
            let place = pool.place_of(holding.market)?;
            let market = pool.markets.get_mut(place)?;
            let in_order = account.positions.last().is_none_or(|last| last.market < holding.market);
            if !in_order || holding.size == Size(0) || holding.entry <= Price(0) || LOTS_MAX < holding.size.lots() {
                return None;
            }
            let cost = market.params.scale.notional(holding.entry, holding.size, Rounding::Down)?;
            market.open_interest += i128::from(holding.size.0.max(0));
            account.positions.push(Position { market: holding.market, size: holding.size, cost, trigger: None });
        }
        for (id, lots) in &genesis.collateral {
            let market = pool.place_of(*id).and_then(|place| pool.markets.get_mut(place))?;
            let in_order = account.collateral.last().is_none_or(|last| last.market < *id);
            market.collateral += i128::from(lots.0);
            let fits = market.collateral <= i128::from(market.params.collateral.deposit_max.0);
            if !in_order || *lots <= Size(0) || LOTS_MAX < lots.lots() || !fits {
                return None;
            }
            let (ripening, ripe_at) = (Size(0), Timestamp::MIN);
            account.collateral.push(Held { market: *id, lots: *lots, ripening, ripe_at, trigger: None });
        }
        pool.owed += account.debt();
        // Entry values need not add up to zero over a market; what they leave is money that moved in.
        pool.deposited += account.booked();
        pool.accounts.insert(genesis.account, account);
        pool.rearm(genesis.account);
        Some(())
    }

    /// A market's pool.
    #[must_use]
    pub fn pool_of(&self, market: MarketId) -> Option<&Pool> {
        let (pool, _) = self.directory.get(usize::from(market.0))?;
        self.pools.get(usize::from(pool.0))
    }

    /// A market.
    #[must_use]
    pub fn market(&self, market: MarketId) -> Option<&Market> {
        let (pool, place) = self.directory.get(usize::from(market.0))?;
        self.pools.get(usize::from(pool.0))?.markets.get(usize::from(*place))
    }

    /// Every market, in order of id.
    pub fn markets(&self) -> impl Iterator<Item = &Market> {
        (0..self.directory.len()).filter_map(|id| self.market(MarketId(u16::try_from(id).ok()?)))
    }

    /// Checks the invariants. O(accounts): for tests, snapshots and state validation, not for every batch.
    ///
    /// 1. Money is conserved: booked money of accounts and insurance less the deficit is what was paid in.
    /// 2. In every market sizes add up to zero.
    /// 3. Open interest is the sum of the long sizes.
    /// 4. Every armed position has its trigger in the market's index and nobody else has.
    /// 5. The insurance fund, 6. the deficit and 7. what was paid in less what was paid out are not negative.
    /// 8. An account without positions or collateral owes nothing.
    /// 9. Positions are in order of market and none is empty.
    /// 10. An account's reserve is the sum of its orders' reserves.
    /// 11. Every order belongs to an account that knows it.
    /// 12. Every position is either watched by a trigger or its account is in distress; collateral likewise, where there is a position or a
    ///     debt.
    /// 13. Every position and all collateral is in a market of the pool.
    /// 14. A liquidation's order is among its account's orders.
    /// 15. Whoever is in distress holds a position or collateral.
    /// 16. Whoever is under maintenance at the marks is in distress or a trigger of it is crossed, so that the next
    ///     price of that market has it looked at.
    /// 17. In every market the lots of resting opening orders are counted, bought and sold apart.
    /// 18. Only an account in distress remembers what its liquidation closed.
    /// 19. Only an account in distress has a liquidation order out, and an alarm for the time when that runs out, unless
    ///     the chain stands still and it has.
    /// 20. In every market those in distress are the accounts in distress that hold it.
    /// 21. An isolated account holds and asks for nothing but in its market, and is not its own owner.
    /// 22. Collateral is the sum of what accounts have of it.
    /// 23. What is owed is the sum of what accounts owe in cash.
    /// 24. Collateral is in order of market, of none there is nothing or less, isolated accounts have none, and for what does not count
    ///     yet there is an alarm.
    ///
    /// # Errors
    /// The first invariant that does not hold, in order of pools and numbers.
    pub fn check(&self) -> Result<(), Broken> {
        self.governance.check()?;
        let longest = self.governance.params.tighten_max;
        let sound = |market: &Market| market.restraint.is_sound(longest);
        if let Some(market) = self.markets().find(|market| !sound(market)) {
            let (pool, found) = (market.params.pool, i128::from(market.id.0));
            return Err(Broken { invariant: 26, pool, found, expected: 0 });
        }
        self.pools.iter().try_for_each(|pool| pool.check(self.at))
    }
}
