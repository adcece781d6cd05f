//! Values of every type, drawn without looking at their encoding. Edges come up often.

use codec::Canonical;
use protocol::batch::Batch;
use protocol::direction::Direction;
use protocol::effect::{AdmittedOrder, Effect};
use protocol::governance::{
    Act, Change, GovernanceParams, Governed, KeyParams, MarketSetting, PoolSetting, Refusal, Role, Statement, Void,
};
use protocol::ids::{AccountId, LineageId, MarketId, OrderId, PoolId, SourceId};
use protocol::input::{
    BookTop, Buy, Cancel, ChainHealth, Collateral, Depth, Funding, Input, InsuranceDeposit, Isolate, Observation,
    Order, OrderDone, Redenomination, Session, Trade, Transfer,
};
use protocol::mode::{Action, Mode};
use protocol::params::{
    ActivityParams, BreakerParams, ChainParams, CollateralParams, DetectorParams, FundingParams, LiquidationParams,
    MarkParams, MarketParams, OracleParams, PoolParams, SourceKind, SourceParams, Thresholds, Tier, VenueParams,
};
use protocol::quality::{Exclusion, PriceQuality, QualityState, Rung};
use protocol::reject::Reject;
use protocol::restriction::{Restriction, Side};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use units::{Duration, Notional, Price, Ratio, Scale, Size, Timestamp};

/// A stream of numbers (splitmix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.roll() % n as u64) as usize
    }
}

pub(crate) trait Draw: Canonical {
    fn draw(dice: &mut Dice) -> Self;
}

macro_rules! draw_int {
    ($($type:ty),+) => {$(
        impl Draw for $type {
            fn draw(dice: &mut Dice) -> Self {
                match dice.below(8) {
                    0 => <$type>::MIN,
                    1 => <$type>::MAX,
                    2 => 0,
                    3 => 1,
                    4 => <$type>::MAX / 2 + 1,
                    _ => (u128::from(dice.roll()) << 64 | u128::from(dice.roll())) as $type,
                }
            }
        }
    )+};
}

draw_int!(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128);

impl Draw for bool {
    fn draw(dice: &mut Dice) -> Self {
        dice.below(2) == 1
    }
}

impl<T: Draw> Draw for Option<T> {
    fn draw(dice: &mut Dice) -> Self {
        bool::draw(dice).then(|| T::draw(dice))
    }
}

impl<T: Draw> Draw for Box<T> {
    fn draw(dice: &mut Dice) -> Self {
        Box::new(T::draw(dice))
    }
}

impl<T: Draw> Draw for Vec<T> {
    fn draw(dice: &mut Dice) -> Self {
        (0..dice.below(5)).map(|_| T::draw(dice)).collect()
    }
}

impl<T: Draw> Draw for VecDeque<T> {
    fn draw(dice: &mut Dice) -> Self {
        // Rotated, so that the items wrap around inside the buffer.
        let mut items: VecDeque<T> = Vec::draw(dice).into();
        for _ in 0..dice.below(4) {
            items.pop_front();
            items.push_back(T::draw(dice));
        }
        items
    }
}

impl<K: Draw + Ord, V: Draw> Draw for BTreeMap<K, V> {
    fn draw(dice: &mut Dice) -> Self {
        (0..dice.below(5)).map(|_| (K::draw(dice), V::draw(dice))).collect()
    }
}

impl<K: Draw + Ord> Draw for BTreeSet<K> {
    fn draw(dice: &mut Dice) -> Self {
        (0..dice.below(5)).map(|_| K::draw(dice)).collect()
    }
}

impl<T: Draw, const N: usize> Draw for [T; N] {
    fn draw(dice: &mut Dice) -> Self {
        std::array::from_fn(|_| T::draw(dice))
    }
}

impl<A: Draw, B: Draw> Draw for (A, B) {
    fn draw(dice: &mut Dice) -> Self {
        (A::draw(dice), B::draw(dice))
    }
}

impl<A: Draw, B: Draw, C: Draw> Draw for (A, B, C) {
    fn draw(dice: &mut Dice) -> Self {
        (A::draw(dice), B::draw(dice), C::draw(dice))
    }
}

impl<A: Draw, B: Draw, C: Draw, D: Draw> Draw for (A, B, C, D) {
    fn draw(dice: &mut Dice) -> Self {
        (A::draw(dice), B::draw(dice), C::draw(dice), D::draw(dice))
    }
}

macro_rules! draw_struct {
    ($($type:ty { $($field:tt),+ $(,)? })+) => {$(
        impl Draw for $type {
            fn draw(dice: &mut Dice) -> Self {
                Self { $($field: Draw::draw(dice)),+ }
            }
        }
    )+};
}

macro_rules! draw_enum {
    ($($type:ty { $($variant:ident $( ( $($item:ident),+ ) )? $( { $($field:ident),+ } )?),+ $(,)? })+) => {$(
        impl Draw for $type {
            fn draw(dice: &mut Dice) -> Self {
                let variants: &[fn(&mut Dice) -> Self] = &[
                    $(|_dice| Self::$variant
                        $( ( $({ let $item = Draw::draw(_dice); $item }),+ ) )?
                        $( { $($field: Draw::draw(_dice)),+ } )?),+
                ];
                variants[dice.below(variants.len())](dice)
            }
        }
    )+};
}

draw_struct! {
    Price { 0 }
    Size { 0 }
    Notional { 0 }
    Ratio { 0 }
    Timestamp { 0 }
    Duration { 0 }
    MarketId { 0 }
    PoolId { 0 }
    SourceId { 0 }
    LineageId { 0 }
    AccountId { 0 }
    OrderId { 0 }
    Batch { height, at, seed, inputs }
    Observation { market, source, observer, price, confidence, published_at, received_at }
    BookTop { market, bid, ask }
    Transfer { pool, account, amount }
    Order { id, account, market, size, limit }
    Cancel { market, account, order }
    OrderDone { market, order }
    Trade { market, buy, sell, price, size }
    InsuranceDeposit { pool, amount }
    Funding { market, rate }
    Session { market, opens }
    Redenomination { market, from, into, at }
    Isolate { market, owner, account, amount }
    Collateral { market, account, size }
    Buy { market, account, from, size, limit }
    CollateralParams { deposit_max, haircut, ramp, auction }
    Depth { market, bid, ask }
    ChainHealth { pool, produced_at, base_fee, inclusion, finality }
    AdmittedOrder { id, account, market, size, limit }
    PriceQuality { value, confidence, age, coverage, lineages, state, rung }
    VenueParams { pools, markets, governance }
    PoolParams { accounts_max, account_min, orders_per_account_max, account_borrow_max, borrow_max, insurance_share_per_account, backstop }
    MarketParams {
        pool, scale, order_size_max, open_interest_max, open_interest_margin_from, sources, oracle, mark,
        funding, collateral, tiers, detectors, activity, chain,
        breaker, liquidation,
    }
    SourceParams { weight, lineage, heartbeat, price_min, price_max, kind, rung, quote }
    OracleParams {
        age_max, silence_floor, future_max, confidence_max, jump_max, jump_window, jump_confirm, leap_max, leap_confirm, agree, dispute,
        lineages_min, overrule_lineages, dispute_confirm, last_good_max, twap_max, guardians_min, confidence_scale, fallback_confidence,
        derived_haircut,
    }
    MarkParams { premium_max, premium_window, step_max, step_window }
    FundingParams { rate_max, interval }
    Tier { notional_from, initial, maintenance }
    DetectorParams {
        exit, velocity, velocity_window, swing, swing_window, band, twap_window, twap_coverage_min, staleness, drift,
        stable_half_life, stable_reach, stuck, disagreement, quorum_coverage_min,
    }
    ActivityParams { growth, growth_window, crowding, intensity, intensity_window, divergence }
    ChainParams { distress, interval, inclusion, finality, base_fee }
    Thresholds { cautious, reduce_only }
    BreakerParams { calm, probation, calm_max, cautious_margin_addon, cautious_size_scale, grace_share, grace_max }
    LiquidationParams { buffer, fee, slippage_max, order_ttl, single_lineage_confirm }
    KeyParams { key, role }
    GovernanceParams {
        keys, threshold, tighten_max, ratified_max, delay, delay_step, delay_max, doublings_max, loosen_every, approval_age_max,
        statement_max, quorum, liquidatable_max,
    }
    Statement { key, nonce, expires, act, because, signature }
}

draw_enum! {
    Input {
        Observation(o), BookTop(t), Deposit(t), Withdraw(t), Order(o), Cancel(c), OrderDone(c), Trade(t),
        InsuranceDeposit(d), Depth(d), Chain(h), Restart, Funding(f), Session(s), Redenomination(r), Isolate(i), Collateral(c), Buy(b), Statement(s),
    }
    Effect {
        Rejected { input, reject },
        Source { market, source, exclusion },
        Quality { market, quality },
        Mode { market, from, to, restriction, causes },
        Admit { order },
        Withdraw { market, order },
        Liquidate { order, equity, maintenance, insolvent },
        InsurancePaid { pool, account, amount },
        Deleveraged { market, account, counterparty, size, price, given_up },
        Socialized { pool, market, side, account, amount },
        Deficit { pool, account, amount },
        PayOut { pool, account, amount, haircut },
        Funded { market, rate, paid },
        CollateralSold { market, account, buyer, size, price },
        HandOut { market, account, size },
        Governed { what },
    }
    SourceKind { Trades, Quotes }
    Reject {
        UnknownPool, UnknownMarket, UnknownSource, UnknownAccount, UnknownOrder, OutOfRange, OutOfOrder,
        ReceivedAfterBatch, OrderIdTaken, TooManyAccounts { max }, TooManyOrders { max }, Restricted, PriceQuality,
        TooLarge { max }, OpenInterest { max }, Margin { free, needed }, BeyondLimit { limit },
        BeyondSize { remaining }, Mismatch, Overflow, TooSmall { min }, CollateralFull { max }, Refused { why },
    }
    Role { Revoked, Observer, Guardian, Operator, Governor, Teller }
    Act {
        Tighten { market, to, lasts }, Propose(c), Approve { proposal, digest }, Cancel { proposal },
        Count { proposal, weighed_at, weight, yes, no },
    }
    Change {
        Ratify { market, until }, Lift { market }, Market { market, setting, value }, Pool { pool, setting, value },
        Key { place, to },
    }
    MarketSetting {
        OrderSizeMax, OpenInterestMax, DepositMax, Haircut, FundingRateMax, Initial(t), Maintenance(t), VelocityReduceOnly,
        SwingReduceOnly, BandReduceOnly, DriftReduceOnly, Calm, CautiousMarginAddon, CautiousSizeScale,
    }
    PoolSetting { AccountBorrowMax, BorrowMax, InsuranceShare }
    Direction { Neutral, Tighten, Loosen, Mixed }
    Governed {
        Imposed { market, to, until, by }, Lapsed { market }, Proposed { proposal, by, direction, digest },
        Approved { proposal, by, approvals, due }, Counted { proposal, carried }, Cancelled { proposal, by },
        Voided { proposal, why }, Executed { proposal, change },
    }
    Void { Stale, Moot, Grown, TooSoon, NotCalm, Malformed, Liquidates }
    Refusal {
        NotAllowed, Nonce { next }, Expired, TooFarAhead { max }, UnknownProposal, OtherProposal, AgreedBefore, WouldNotLoosen,
        TooManyProposals { max }, Unknown, OutOfRange, Resting { until }, NoChange, NothingImposed, TooMuch { max }, Malformed,
        VoteUnfit, NoQuorum,
    }
    Action { Deposit, Cancel, Reduce, Open, Withdraw, LiquidateSolvent, LiquidateInsolvent, Fund, Settle }
    Mode { Normal, Cautious, ReduceOnly, CancelOnly, Halted, Settling }
    Side { Long, Short }
    QualityState { Agreed, Degraded, Disputed, None }
    Rung { Primary, Secondary, Guardian, Derived, Twap, LastGood, None }
    Exclusion { NonPositive, Future, StuckAtBound, Uncertain, Jump, Overruled, Unconverted, Delayed }
}

impl Draw for Scale {
    fn draw(dice: &mut Dice) -> Self {
        let lot_decimals = dice.below(13) as u8;
        let price_shift = dice.below(usize::from(10.min(7 + lot_decimals))) as u8;
        Scale::new(price_shift, lot_decimals).expect("drawn from its range")
    }
}

impl Draw for Restriction {
    fn draw(dice: &mut Dice) -> Self {
        let bits = dice.below(1 << (2 * Action::ALL.len())) as u32;
        let addon = Ratio(i64::draw(dice).max(0));
        let scale = Ratio((dice.roll() % (Ratio::ONE.0 as u64 + 1)) as i64);
        Restriction::from_parts(bits, addon, scale).expect("drawn from its range")
    }
}
