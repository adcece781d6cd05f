//! A state as canonical bytes, and back.
//!
//! Everything that influences a later decision is inside, so a kernel that goes on from a snapshot decides exactly like
//! the one that wrote it. What follows from the rest is not: a market's triggers and its accounts in distress, sums over
//! windows, what follows from parameters, and the directory are built anew, so they can't contradict what they follow
//! from.
//!
//! Decoding a [`State`] through [`codec`] gives anything that is well formed. [`State::from_snapshot`] asks more: sound
//! parameters and every invariant of [`State::check`].

use crate::activity::{Activity, Outage};
use crate::breaker::Breaker;
use crate::collateral::Held;
use crate::detect::Memory;
use crate::governance::{Governance, Imposed, Proposal, Ratified, Restraint, Value};
use crate::index::{Adrift, Denomination, Gaps, Index, Parts, Source, Standing};
use crate::kernel::AT_MAX;
use crate::ladder::{Fallback, Ladder};
use crate::mark::Mark;
use crate::stable::Stable;
use crate::state::{Account, Broken, Isolated, Liquidation, Market, OpenOrder, Pool, Position, State};
use crate::triggers::Triggers;
use crate::window::{Flow, Range, Twap};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use codec::{Canonical, DecodeError, Expected, Reader, Sink, canonical_enum, canonical_struct};
use core::fmt;
use protocol::params::Invalid;
use protocol::{MarketId, MarketParams, Panel, PoolId, PoolParams, Rung, VenueParams};
use units::Timestamp;

/// Why bytes are not taken as a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotError {
    /// They are not the encoding of one.
    Decode(DecodeError),
    /// Its parameters are not well formed.
    Params(Invalid),
    /// It breaks an invariant.
    Broken(Broken),
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnapshotError::Decode(error) => write!(f, "not a snapshot: {error}"),
            SnapshotError::Params(invalid) => {
                write!(f, "a snapshot whose parameters are not well formed: {:?}: ", invalid.place)?;
                write!(f, "{} must {}", invalid.field, invalid.must)
            }
            SnapshotError::Broken(broken) => {
                write!(f, "a snapshot that breaks invariant {} in pool {}: ", broken.invariant, broken.pool.0)?;
                write!(f, "found {}, expected {}", broken.found, broken.expected)
            }
        }
    }
}

impl core::error::Error for SnapshotError {}

impl State {
    /// The BLAKE3 hash of everything.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        codec::hash(self)
    }

    /// The BLAKE3 hash of one pool; `None` where there is no such pool.
    #[must_use]
    pub fn pool_hash(&self, pool: PoolId) -> Option<[u8; 32]> {
        self.pools.get(usize::from(pool.0)).map(codec::hash)
    }

    /// The parameters with which the venue runs.
    #[must_use]
    pub fn params(&self) -> VenueParams {
        VenueParams {
            pools: self.pools.iter().map(|pool| pool.params.clone()).collect(),
            markets: self.markets().map(|market| market.params.clone()).collect(),
            governance: self.governance.params.clone(),
        }
    }

    /// The canonical bytes.
    #[must_use]
    pub fn to_snapshot(&self) -> Vec<u8> {
        codec::to_bytes(self)
    }

    /// Reads what [`State::to_snapshot`] wrote.
    ///
    /// # Errors
    /// Bytes that are no encoding of a state, parameters that are not well formed, or a broken invariant, in this order.
    pub fn from_snapshot(bytes: &[u8]) -> Result<State, SnapshotError> {
        let state: State = codec::from_bytes(bytes).map_err(SnapshotError::Decode)?;
        state.params().validate().map_err(SnapshotError::Params)?;
        state.check().map_err(SnapshotError::Broken)?;
        Ok(state)
    }
}

impl Canonical for State {
    const SIZE_MIN: usize = 8 + 8 + Vec::<Pool>::SIZE_MIN + Governance::SIZE_MIN;

    fn encode<S: Sink>(&self, out: &mut S) {
        let State { height, at, directory: _, pools, governance } = self;
        height.encode(out);
        at.encode(out);
        pools.encode(out);
        governance.encode(out);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let offset = reader.offset();
        let refused = DecodeError { offset, expected: Expected::Parts { of: "State" } };
        let (height, at) = Canonical::decode(reader)?;
        if at < Timestamp(0) || AT_MAX < at {
            return Err(refused);
        }
        let pools: Vec<Pool> = Canonical::decode(reader)?;
        let directory = directory(&pools).ok_or(refused)?;
        Ok(State { height, at, directory, pools, governance: Canonical::decode(reader)? })
    }
}

/// For each market its pool and its place there; `None` where pools or markets are not numbered as listed.
fn directory(pools: &[Pool]) -> Option<Vec<(PoolId, u16)>> {
    let markets: usize = pools.iter().map(|pool| pool.markets.len()).sum();
    let mut directory = Vec::new();
    directory.resize(markets, None);
    for (id, pool) in (0..).map(PoolId).zip(pools) {
        let mut last: Option<MarketId> = None;
        for (place, market) in (0..).zip(&pool.markets) {
            let entry: &mut Option<(PoolId, u16)> = directory.get_mut(usize::from(market.id.0))?;
            if pool.id != id || market.params.pool != id || last >= Some(market.id) || entry.is_some() {
                return None;
            }
            *entry = Some((id, place));
            last = Some(market.id);
        }
        if pool.id != id {
            return None;
        }
    }
    directory.into_iter().collect()
}

impl Canonical for Pool {
    const SIZE_MIN: usize = 2 + PoolParams::SIZE_MIN + 5 * 4 + 3 * 16;

    fn encode<S: Sink>(&self, out: &mut S) {
        let Pool { id, params, markets, accounts, orders, distressed, alarms, insurance, deficit, owed: _, deposited } =
            self;
        id.encode(out);
        params.encode(out);
        markets.encode(out);
        accounts.encode(out);
        orders.encode(out);
        distressed.encode(out);
        alarms.encode(out);
        for amount in [insurance, deficit, deposited] {
            amount.encode(out);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut pool = Pool {
            id: Canonical::decode(reader)?,
            params: Canonical::decode(reader)?,
            markets: Canonical::decode(reader)?,
            accounts: Canonical::decode(reader)?,
            orders: Canonical::decode(reader)?,
            distressed: Canonical::decode(reader)?,
            alarms: Canonical::decode(reader)?,
            insurance: Canonical::decode(reader)?,
            deficit: Canonical::decode(reader)?,
            owed: 0,
            deposited: Canonical::decode(reader)?,
        };
        pool.watch();
        Ok(pool)
    }
}

impl Pool {
    /// Builds the markets' triggers and distressed accounts, and sums over accounts, from the accounts' own records.
    fn watch(&mut self) {
        for (id, account) in &self.accounts {
            self.owed = self.owed.saturating_add(account.debt());
            for position in &account.positions {
                let place = self.markets.binary_search_by_key(&position.market, |market| market.id);
                let Some(market) = place.ok().and_then(|place| self.markets.get_mut(place)) else { continue };
                if let Some(trigger) = position.trigger {
                    market.triggers.arm(position.size, trigger, *id);
                }
                if self.distressed.contains_key(id) {
                    market.distressed.insert(*id);
                }
            }
            for held in &account.collateral {
                let place = self.markets.binary_search_by_key(&held.market, |market| market.id);
                let Some(market) = place.ok().and_then(|place| self.markets.get_mut(place)) else { continue };
                market.collateral = market.collateral.saturating_add(i128::from(held.all().0));
                if let Some(trigger) = held.trigger {
                    market.triggers.held.insert((trigger, *id));
                }
                if self.distressed.contains_key(id) {
                    market.distressed.insert(*id);
                }
            }
        }
    }
}

impl Canonical for Market {
    const SIZE_MIN: usize = 2
        + MarketParams::SIZE_MIN
        + Index::SIZE_MIN
        + Ladder::SIZE_MIN
        + Mark::SIZE_MIN
        + Twap::SIZE_MIN
        + Stable::SIZE_MIN
        + 2 * Range::SIZE_MIN
        + Activity::SIZE_MIN
        + 2 * 8
        + Memory::SIZE_MIN
        + Breaker::SIZE_MIN
        + Restraint::SIZE_MIN
        + 3 * 16;

    fn encode<S: Sink>(&self, out: &mut S) {
        let Market {
            id,
            params,
            per_micro: _,
            panel: _,
            index,
            fallbacks,
            ladder,
            units: _,
            mark,
            twap,
            stable,
            range,
            swing,
            activity,
            funded_at,
            observed_until,
            memory,
            breaker,
            restraint,
            open_interest,
            collateral: _,
            opening_buys,
            opening_sells,
            triggers: _,
            distressed: _,
        } = self;
        id.encode(out);
        params.encode(out);
        index.encode(out);
        for fallback in fallbacks {
            fallback.index.encode(out);
        }
        ladder.encode(out);
        mark.encode(out);
        twap.encode(out);
        stable.encode(out);
        range.encode(out);
        swing.encode(out);
        activity.encode(out);
        funded_at.encode(out);
        observed_until.encode(out);
        memory.encode(out);
        breaker.encode(out);
        restraint.encode(out);
        for lots in [open_interest, opening_buys, opening_sells] {
            lots.encode(out);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let offset = reader.offset();
        let id = Canonical::decode(reader)?;
        let params: MarketParams = Canonical::decode(reader)?;
        let panel = params.panel(Rung::Primary);
        let index: Index = Canonical::decode(reader)?;
        let mut fallbacks = Vec::new();
        for panel in Market::lower_panels(&params) {
            fallbacks.push(Fallback { panel, index: Canonical::decode(reader)? });
        }
        let market = Market {
            id,
            per_micro: params.scale.products_per_micro(),
            panel,
            index,
            fallbacks,
            ladder: Canonical::decode(reader)?,
            units: Market::units_of(&params),
            mark: Canonical::decode(reader)?,
            twap: Canonical::decode(reader)?,
            stable: Canonical::decode(reader)?,
            range: Canonical::decode(reader)?,
            swing: Canonical::decode(reader)?,
            activity: Canonical::decode(reader)?,
            funded_at: Canonical::decode(reader)?,
            observed_until: Canonical::decode(reader)?,
            memory: Canonical::decode(reader)?,
            breaker: Canonical::decode(reader)?,
            restraint: Canonical::decode(reader)?,
            open_interest: Canonical::decode(reader)?,
            collateral: 0,
            opening_buys: Canonical::decode(reader)?,
            opening_sells: Canonical::decode(reader)?,
            triggers: Triggers::default(),
            distressed: BTreeSet::new(),
            params,
        };
        let fits = |panel: &Panel, index: &Index| index.sources.len() == panel.sources.len();
        let lower = market.fallbacks.iter().all(|fallback| fits(&fallback.panel, &fallback.index));
        if !fits(&market.panel, &market.index) || !lower || MarketParams::SOURCES_MAX < market.params.sources.len() {
            return Err(DecodeError { offset, expected: Expected::Parts { of: "Market" } });
        }
        Ok(market)
    }
}

impl Canonical for Gaps {
    const SIZE_MIN: usize = <[u32; crate::index::GAP_BUCKETS]>::SIZE_MIN;

    fn encode<S: Sink>(&self, out: &mut S) {
        let Gaps { counts, total: _, highest: _ } = self;
        counts.encode(out);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let counts: [u32; crate::index::GAP_BUCKETS] = Canonical::decode(reader)?;
        let total = counts.iter().copied().fold(0, u32::saturating_add);
        let highest = counts.iter().rposition(|count| *count != 0).and_then(|bucket| u8::try_from(bucket).ok());
        Ok(Gaps { counts, total, highest: highest.unwrap_or(0) })
    }
}

impl Canonical for Range {
    const SIZE_MIN: usize = 8 + 2 * crate::window::RANGE_SLOTS * 8;

    fn encode<S: Sink>(&self, out: &mut S) {
        let Range { newest, lows, highs, low: _, high: _ } = self;
        newest.encode(out);
        lows.encode(out);
        highs.encode(out);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let newest = Canonical::decode(reader)?;
        let lows = Canonical::decode(reader)?;
        let highs = Canonical::decode(reader)?;
        Ok(Range::of(newest, lows, highs))
    }
}

impl Canonical for Flow {
    const SIZE_MIN: usize = 8 + crate::window::RANGE_SLOTS * 16;

    fn encode<S: Sink>(&self, out: &mut S) {
        let Flow { newest, sums, total: _ } = self;
        newest.encode(out);
        sums.encode(out);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let newest = Canonical::decode(reader)?;
        let sums: [i128; crate::window::RANGE_SLOTS] = Canonical::decode(reader)?;
        let total = sums.iter().copied().fold(0, i128::saturating_add);
        Ok(Flow { newest, sums, total })
    }
}

impl Canonical for Twap {
    const SIZE_MIN: usize = 4 * 8 + crate::window::TWAP_SLOTS * (16 + 8);

    fn encode<S: Sink>(&self, out: &mut S) {
        let Twap { newest, sums, observed, total: _, covered: _, filed, low, high } = self;
        newest.encode(out);
        sums.encode(out);
        observed.encode(out);
        filed.encode(out);
        low.encode(out);
        high.encode(out);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let newest = Canonical::decode(reader)?;
        let sums: [i128; crate::window::TWAP_SLOTS] = Canonical::decode(reader)?;
        let observed: [i64; crate::window::TWAP_SLOTS] = Canonical::decode(reader)?;
        let total = sums.iter().copied().fold(0, i128::saturating_add);
        let covered = observed.iter().copied().fold(0, i64::saturating_add);
        let (filed, low, high) = Canonical::decode(reader)?;
        Ok(Twap { newest, sums, observed, total, covered, filed, low, high })
    }
}

canonical_struct!(Position { market, size, cost, trigger });
canonical_struct!(Liquidation { order, market, expires_at });
canonical_struct!(Isolated { owner, market });
canonical_struct!(Held { market, lots, ripening, ripe_at, trigger });
canonical_struct!(Account {
    isolated,
    cash,
    positions,
    collateral,
    offered_at,
    reserved,
    orders,
    liquidation,
    exhausted,
    grown_at,
    taken
});
canonical_struct!(OpenOrder { account, market, remaining, limit, reserve, opening });
canonical_struct!(Source {
    quoted,
    quoted_confidence,
    price,
    confidence,
    published_at,
    received_at,
    fresh_until,
    unit_at,
    changed_at,
    settled,
    settled_at,
    exclusion,
    excluded_since,
    claimed,
    refuted_by,
    standing,
    contradicted,
    contradicted_until,
    gaps,
    delays,
    is_late,
    late_since,
});
canonical_enum!(Standing { 0 => Apart, 1 => With(since), 2 => Against(since) });
canonical_struct!(Adrift { value, since });
canonical_struct!(Parts { of, per });
canonical_struct!(Denomination { before, after, since });
canonical_struct!(Index {
    sources,
    quality,
    spread,
    believed,
    believed_at,
    agreed,
    footing,
    vouched,
    supported_at,
    adrift,
    leapt,
    denomination,
    rebased,
    traded,
    traded_at,
    stuck,
    heard,
    deadline
});
canonical_struct!(Ladder { quality, anchor, anchor_at, better_since, refused, deadline });
canonical_struct!(Mark {
    price,
    target,
    low,
    high,
    low_before,
    high_before,
    stepped_at,
    premium,
    premium_at,
    gap,
    gap_at,
});
canonical_struct!(Outage { ended_at, grace, grace_until, waits });
canonical_struct!(Activity { interest, liquidated, depth, depth_at, chain, outage, gated, gated_at, closed });
canonical_struct!(Memory { levels });
canonical_struct!(Breaker { restriction, mode, calm_since, relaxed_at, failed });
canonical_struct!(Stable { value, sum, observed });
canonical_struct!(Imposed { to, since, until, by });
canonical_struct!(Ratified { to, until });
canonical_struct!(Restraint { imposed, ratified, rested_at });
canonical_struct!(Proposal { id, change, by, filed_at, direction, doublings, approvals, voted, due });
canonical_enum!(Value { 0 => Market(market, setting), 1 => Pool(pool, setting) });
canonical_struct!(Governance { params, venue, nonces, proposals, filed, loosened });
