//! The encodings of units and protocol. The order of fields and the tags are the format: a change of either is a new
//! [`VERSION`](crate::VERSION).

use crate::{Canonical, DecodeError, Expected, Reader, Sink, canonical_enum, canonical_struct};
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
use units::{Duration, Notional, Price, Ratio, Scale, Size, Timestamp};

canonical_struct!(Price { 0 });
canonical_struct!(Size { 0 });
canonical_struct!(Notional { 0 });
canonical_struct!(Ratio { 0 });
canonical_struct!(Timestamp { 0 });
canonical_struct!(Duration { 0 });

impl Canonical for Scale {
    const SIZE_MIN: usize = 2;

    fn encode<S: Sink>(&self, out: &mut S) {
        self.price_shift().encode(out);
        self.lot_decimals().encode(out);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let offset = reader.offset();
        let (price_shift, lot_decimals) = Canonical::decode(reader)?;
        Scale::new(price_shift, lot_decimals).ok_or(DecodeError { offset, expected: Expected::Parts { of: "Scale" } })
    }
}

canonical_struct!(MarketId { 0 });
canonical_struct!(PoolId { 0 });
canonical_struct!(SourceId { 0 });
canonical_struct!(LineageId { 0 });
canonical_struct!(AccountId { 0 });
canonical_struct!(OrderId { 0 });

canonical_struct!(Batch { height, at, seed, inputs });

canonical_enum!(Input {
    0 => Observation(observation),
    1 => BookTop(top),
    2 => Deposit(transfer),
    3 => Withdraw(transfer),
    4 => Order(order),
    5 => Cancel(cancel),
    6 => OrderDone(done),
    7 => Trade(trade),
    8 => InsuranceDeposit(deposit),
    9 => Depth(depth),
    10 => Chain(health),
    11 => Restart,
    12 => Funding(funding),
    13 => Session(session),
    14 => Redenomination(redenomination),
    15 => Isolate(isolate),
    16 => Collateral(collateral),
    17 => Buy(buy),
    18 => Statement(statement),
});

canonical_struct!(Observation { market, source, observer, price, confidence, published_at, received_at });
canonical_struct!(BookTop { market, bid, ask });
canonical_struct!(Transfer { pool, account, amount });
canonical_struct!(Order { id, account, market, size, limit });
canonical_struct!(Cancel { market, account, order });
canonical_struct!(OrderDone { market, order });
canonical_struct!(Trade { market, buy, sell, price, size });
canonical_struct!(InsuranceDeposit { pool, amount });
canonical_struct!(Funding { market, rate });
canonical_struct!(Session { market, opens });
canonical_struct!(Redenomination { market, from, into, at });
canonical_struct!(Collateral { market, account, size });
canonical_struct!(Buy { market, account, from, size, limit });
canonical_struct!(Isolate { market, owner, account, amount });
canonical_struct!(Depth { market, bid, ask });
canonical_struct!(ChainHealth { pool, produced_at, base_fee, inclusion, finality });

canonical_enum!(Effect {
    0 => Rejected { input, reject },
    1 => Source { market, source, exclusion },
    2 => Quality { market, quality },
    3 => Mode { market, from, to, restriction, causes },
    4 => Admit { order },
    5 => Withdraw { market, order },
    6 => Liquidate { order, equity, maintenance, insolvent },
    7 => InsurancePaid { pool, account, amount },
    8 => Deleveraged { market, account, counterparty, size, price, given_up },
    9 => Socialized { pool, market, side, account, amount },
    10 => Deficit { pool, account, amount },
    11 => PayOut { pool, account, amount, haircut },
    12 => Funded { market, rate, paid },
    13 => CollateralSold { market, account, buyer, size, price },
    14 => HandOut { market, account, size },
    15 => Governed { what },
});

canonical_struct!(AdmittedOrder { id, account, market, size, limit });

canonical_enum!(Role { 0 => Revoked, 1 => Observer, 2 => Guardian, 3 => Operator, 4 => Governor, 5 => Teller });

canonical_struct!(KeyParams { key, role });

canonical_struct!(GovernanceParams {
    keys,
    threshold,
    tighten_max,
    ratified_max,
    delay,
    delay_step,
    delay_max,
    doublings_max,
    loosen_every,
    approval_age_max,
    statement_max,
    quorum,
    liquidatable_max
});

canonical_struct!(Statement { key, nonce, expires, act, because, signature });

canonical_enum!(Act {
    0 => Tighten { market, to, lasts },
    1 => Propose(change),
    2 => Approve { proposal, digest },
    3 => Cancel { proposal },
    4 => Count { proposal, weighed_at, weight, yes, no },
});

canonical_enum!(Change {
    0 => Ratify { market, until },
    1 => Lift { market },
    2 => Market { market, setting, value },
    3 => Pool { pool, setting, value },
    4 => Key { place, to },
});

canonical_enum!(MarketSetting {
    0 => OrderSizeMax,
    1 => OpenInterestMax,
    2 => DepositMax,
    3 => Haircut,
    4 => FundingRateMax,
    5 => Initial(tier),
    6 => Maintenance(tier),
    7 => VelocityReduceOnly,
    8 => SwingReduceOnly,
    9 => BandReduceOnly,
    10 => DriftReduceOnly,
    11 => Calm,
    12 => CautiousMarginAddon,
    13 => CautiousSizeScale,
});

canonical_enum!(PoolSetting { 0 => AccountBorrowMax, 1 => BorrowMax, 2 => InsuranceShare });

canonical_enum!(Direction { 0 => Neutral, 1 => Tighten, 2 => Loosen, 3 => Mixed });

canonical_enum!(Governed {
    0 => Imposed { market, to, until, by },
    1 => Lapsed { market },
    2 => Proposed { proposal, by, direction, digest },
    3 => Approved { proposal, by, approvals, due },
    4 => Counted { proposal, carried },
    5 => Cancelled { proposal, by },
    6 => Voided { proposal, why },
    7 => Executed { proposal, change },
});

canonical_enum!(Void {
    0 => Stale,
    1 => Moot,
    2 => Grown,
    3 => TooSoon,
    4 => NotCalm,
    5 => Malformed,
    6 => Liquidates,
});

// The tags are the refusals' stable numbers.
canonical_enum!(Refusal {
    23 => NotAllowed,
    24 => Nonce { next },
    25 => Expired,
    26 => TooFarAhead { max },
    27 => UnknownProposal,
    28 => OtherProposal,
    29 => AgreedBefore,
    30 => WouldNotLoosen,
    31 => TooManyProposals { max },
    32 => Unknown,
    33 => OutOfRange,
    34 => Resting { until },
    35 => NoChange,
    36 => NothingImposed,
    37 => TooMuch { max },
    38 => Malformed,
    39 => VoteUnfit,
    40 => NoQuorum,
});

// The tags are the refusals' stable numbers; all of governance is under one.
canonical_enum!(Reject {
    1 => UnknownPool,
    2 => UnknownMarket,
    3 => UnknownSource,
    4 => UnknownAccount,
    5 => UnknownOrder,
    6 => OutOfRange,
    7 => OutOfOrder,
    8 => ReceivedAfterBatch,
    9 => OrderIdTaken,
    10 => TooManyAccounts { max },
    11 => TooManyOrders { max },
    12 => Restricted,
    13 => PriceQuality,
    14 => TooLarge { max },
    15 => OpenInterest { max },
    16 => Margin { free, needed },
    17 => BeyondLimit { limit },
    18 => BeyondSize { remaining },
    19 => Mismatch,
    20 => Overflow,
    21 => TooSmall { min },
    22 => CollateralFull { max },
    23 => Refused { why },
});

canonical_enum!(Action {
    0 => Deposit,
    1 => Cancel,
    2 => Reduce,
    3 => Open,
    4 => Withdraw,
    5 => LiquidateSolvent,
    6 => LiquidateInsolvent,
    7 => Fund,
    8 => Settle,
});

canonical_enum!(Mode { 0 => Normal, 1 => Cautious, 2 => ReduceOnly, 3 => CancelOnly, 4 => Halted, 5 => Settling });

canonical_enum!(Side { 0 => Long, 1 => Short });

impl Canonical for Restriction {
    const SIZE_MIN: usize = 4 + 8 + 8;

    fn encode<S: Sink>(&self, out: &mut S) {
        self.bits().encode(out);
        self.margin_addon.encode(out);
        self.size_scale.encode(out);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let offset = reader.offset();
        let (bits, margin_addon, size_scale) = Canonical::decode(reader)?;
        Restriction::from_parts(bits, margin_addon, size_scale)
            .ok_or(DecodeError { offset, expected: Expected::Parts { of: "Restriction" } })
    }
}

canonical_enum!(QualityState { 0 => Agreed, 1 => Degraded, 2 => Disputed, 3 => None });

canonical_enum!(Rung { 0 => Primary, 1 => LastGood, 2 => None, 3 => Secondary, 4 => Guardian, 5 => Derived, 6 => Twap });

canonical_struct!(PriceQuality { value, confidence, age, coverage, lineages, state, rung });

canonical_enum!(Exclusion {
    0 => NonPositive,
    1 => Future,
    2 => StuckAtBound,
    3 => Uncertain,
    4 => Jump,
    5 => Overruled,
    6 => Unconverted,
    7 => Delayed,
});

canonical_struct!(VenueParams { pools, markets, governance });
canonical_struct!(PoolParams {
    accounts_max,
    account_min,
    orders_per_account_max,
    account_borrow_max,
    borrow_max,
    insurance_share_per_account,
    backstop
});
canonical_struct!(MarketParams {
    pool,
    scale,
    order_size_max,
    open_interest_max,
    open_interest_margin_from,
    sources,
    oracle,
    mark,
    funding,
    collateral,
    tiers,
    detectors,
    activity,
    chain,
    breaker,
    liquidation,
});
canonical_struct!(SourceParams { weight, lineage, heartbeat, price_min, price_max, kind, rung, quote });
canonical_enum!(SourceKind { 0 => Trades, 1 => Quotes });
canonical_struct!(OracleParams {
    age_max,
    silence_floor,
    future_max,
    confidence_max,
    jump_max,
    jump_window,
    jump_confirm,
    leap_max,
    leap_confirm,
    agree,
    dispute,
    lineages_min,
    overrule_lineages,
    dispute_confirm,
    last_good_max,
    twap_max,
    guardians_min,
    confidence_scale,
    fallback_confidence,
    derived_haircut,
});
canonical_struct!(MarkParams { premium_max, premium_window, step_max, step_window });
canonical_struct!(FundingParams { rate_max, interval });
canonical_struct!(CollateralParams { deposit_max, haircut, ramp, auction });
canonical_struct!(Tier { notional_from, initial, maintenance });
canonical_struct!(DetectorParams {
    exit,
    velocity,
    velocity_window,
    swing,
    swing_window,
    band,
    twap_window,
    twap_coverage_min,
    staleness,
    drift,
    stable_half_life,
    stable_reach,
    stuck,
    disagreement,
    quorum_coverage_min,
});
canonical_struct!(ActivityParams { growth, growth_window, crowding, intensity, intensity_window, divergence });
canonical_struct!(ChainParams { distress, interval, inclusion, finality, base_fee });
canonical_struct!(Thresholds { cautious, reduce_only });
canonical_struct!(BreakerParams {
    calm,
    probation,
    calm_max,
    cautious_margin_addon,
    cautious_size_scale,
    grace_share,
    grace_max
});
canonical_struct!(LiquidationParams { buffer, fee, slippage_max, order_ttl, single_lineage_confirm });
