//! The venue in which the cases of accounts play: one pool, two sources that agree, a market that has come up.

use kernel::margin::{Lens, Risk, risk};
use kernel::{Genesis, Holding, Kernel, State};
use protocol::input::Observation;
use protocol::params::{
    ActivityParams, BreakerParams, ChainParams, CollateralParams, DetectorParams, FundingParams, LiquidationParams,
    MarkParams, OracleParams, SourceParams, Thresholds, Tier,
};
use protocol::{
    AccountId, Batch, Effect, Input, LineageId, MarketId, MarketParams, PoolId, PoolParams, Rung, SourceId, SourceKind,
    VenueParams,
};
use units::{Duration, Notional, Price, Ratio, Scale, Size, Timestamp};

/// Price unit 10^-8 USD, lot 10^-3 of base: 10^5 products of price and lots make one micro-USD.
const SCALE: Scale = match Scale::new(4, 3) {
    Some(scale) => scale,
    None => panic!("a shift of 4 is at most 6 + 3"),
};
/// One USD in price units.
pub(super) const USD: i64 = 100_000_000;
/// The account that a case is about.
pub(super) const ALICE: AccountId = AccountId(1);
/// Who holds the other side.
const BOB: AccountId = AccountId(2);

/// One position of the account: lots, price of entry and the price at which it is judged, in price units.
#[derive(Clone, Copy)]
pub(super) struct Held {
    pub(super) lots: i64,
    pub(super) entry: i64,
    pub(super) mark: i64,
}

/// What the kernel says of the account.
pub(super) struct Told {
    pub(super) risk: Option<Risk>,
    pub(super) effects: Vec<Effect>,
}

pub(super) fn tier(usd: i64, initial_bps: i64, maintenance_bps: i64) -> Tier {
    let (initial, maintenance) = (Ratio::bps(initial_bps), Ratio::bps(maintenance_bps));
    Tier { notional_from: usd * 1_000_000, initial, maintenance }
}

pub(super) fn source(lineage: u8) -> SourceParams {
    SourceParams {
        weight: 1,
        lineage: LineageId(lineage),
        heartbeat: Duration::seconds(1),
        price_min: Price(0),
        price_max: Price(i64::MAX),
        kind: SourceKind::Trades,
        rung: Rung::Primary,
        quote: None,
    }
}

pub(super) fn market() -> MarketParams {
    let wide = Thresholds { cautious: Ratio::percent(1_000), reduce_only: Ratio::percent(1_000) };
    MarketParams {
        pool: PoolId(0),
        scale: SCALE,
        order_size_max: Size(1_000_000_000),
        open_interest_max: Size(1_000_000_000_000),

        open_interest_margin_from: Ratio::ONE,
        funding: FundingParams { rate_max: Ratio::percent(1), interval: Duration::seconds(3_600) },
        collateral: CollateralParams {
            deposit_max: Size(0),
            haircut: Ratio::percent(10),
            ramp: Duration::seconds(60),
            auction: Duration::seconds(100),
        },
        sources: vec![source(0), source(1)],
        oracle: OracleParams {
            age_max: Duration::seconds(10),
            silence_floor: Duration::seconds(3),
            future_max: Duration::seconds(1),
            confidence_max: Ratio::percent(2),
            jump_max: Ratio::percent(50),
            jump_window: Duration::seconds(60),
            jump_confirm: Duration::seconds(10),
            leap_max: Ratio::percent(50),
            leap_confirm: Duration::seconds(600),
            agree: Ratio::percent(1),
            dispute: Ratio::percent(2),
            lineages_min: 2,
            overrule_lineages: 3,
            dispute_confirm: Duration::seconds(60),
            last_good_max: Duration::seconds(300),
            twap_max: Duration::ZERO,
            guardians_min: 2,
            confidence_scale: Ratio::ONE,
            fallback_confidence: Ratio::percent(1),
            derived_haircut: Ratio::percent(2),
        },
        mark: MarkParams {
            premium_max: Ratio::bps(50),
            premium_window: Duration::seconds(150),
            step_max: Ratio::percent(10_000),
            step_window: Duration::seconds(1),
        },
        tiers: vec![tier(0, 500, 250), tier(100_000, 1_000, 500), tier(1_000_000, 2_500, 1_250)],
        detectors: DetectorParams {
            exit: Ratio::percent(50),
            velocity: wide,
            velocity_window: Duration::seconds(60),
            swing: wide,
            swing_window: Duration::seconds(3_600),
            band: wide,
            twap_window: Duration::seconds(300),
            twap_coverage_min: Ratio::percent(50),
            staleness: wide,
            drift: wide,
            stable_half_life: Duration::seconds(86_400),
            stable_reach: Ratio::percent(20),
            stuck: wide,
            disagreement: Ratio::percent(1),
            quorum_coverage_min: Ratio::percent(40),
        },
        activity: ActivityParams {
            growth: wide,
            growth_window: Duration::seconds(3_600),
            crowding: wide,
            intensity: wide,
            intensity_window: Duration::seconds(60),
            divergence: wide,
        },
        chain: ChainParams {
            distress: Thresholds { cautious: Ratio::percent(500), reduce_only: Ratio::percent(2_500) },
            interval: Duration::seconds(12),
            inclusion: Duration::seconds(24),
            finality: Duration::seconds(900),
            base_fee: 20_000,
        },
        breaker: BreakerParams {
            calm: Duration::seconds(1),
            probation: Duration::ZERO,
            calm_max: Duration::seconds(1),
            cautious_margin_addon: Ratio::percent(2),
            cautious_size_scale: Ratio::percent(50),
            grace_share: Ratio::percent(50),
            grace_max: Duration::seconds(600),
        },
        liquidation: LiquidationParams {
            buffer: Ratio::percent(10),
            fee: Ratio::bps(50),
            slippage_max: Ratio::percent(5),
            order_ttl: Duration::seconds(10),
            single_lineage_confirm: Duration::seconds(10),
        },
    }
}

/// What becomes of an account that enters at its prices and is judged at its marks.
pub(super) fn play(market: &MarketParams, cash: i64, held: &[Held]) -> Told {
    let holdings = |sign: i64| {
        let positions = (0..).zip(held).filter(|(_, held)| held.lots != 0);
        let one = |(id, held): (u16, &Held)| Holding {
            market: MarketId(id),
            size: Size(sign * held.lots),
            entry: Price(held.entry),
        };
        positions.map(one).collect()
    };
    let genesis = [
        Genesis {
            pool: PoolId(0),
            account: ALICE,
            cash: Notional(cash),
            holdings: holdings(1),
            collateral: Vec::new(),
        },
        Genesis {
            pool: PoolId(0),
            account: BOB,
            cash: Notional(i64::MAX / 8),
            holdings: holdings(-1),
            collateral: Vec::new(),
        },
    ];
    let pool = PoolParams {
        accounts_max: 16,
        account_min: Notional(1),
        orders_per_account_max: 16,
        account_borrow_max: Notional(1_000_000_000_000),
        borrow_max: Notional(1_000_000_000_000),
        insurance_share_per_account: Ratio::ONE,
        backstop: None,
    };
    let params = VenueParams {
        pools: vec![pool],
        markets: held.iter().map(|_| market.clone()).collect(),
        governance: protocol::GovernanceParams::closed(),
    };
    let mut told = Told { risk: None, effects: Vec::new() };
    let Ok(mut state) = State::new(&params, &genesis) else { return told };
    let mut kernel = Kernel::resume(state.clone());
    // Long enough for every stage between a halt and normal.
    for second in 1..=6 {
        let judged = second == 6;
        if judged {
            told.effects.clear();
        }
        let at = Timestamp(1_760_131_200_000_000 + second * 1_000_000);
        let price = |held: &Held| Price(if judged { held.mark } else { held.entry });
        let seen = |(id, held): (u16, &Held)| {
            [0, 1].map(|source| {
                Input::Observation(Observation {
                    market: MarketId(id),
                    source: SourceId(source),
                    observer: 0,
                    price: price(held),
                    confidence: Price(0),
                    published_at: at,
                    received_at: at,
                })
            })
        };
        let inputs = (0..).zip(held).flat_map(seen).collect();
        kernel.apply(&Batch { height: second.unsigned_abs(), at, seed: [0; 32], inputs }, &mut told.effects);
    }
    for (market, held) in state.pools.iter_mut().flat_map(|pool| &mut pool.markets).zip(held) {
        market.mark.price = Price(held.mark);
    }
    let account = state.pools.first().and_then(|pool| pool.accounts.get(&ALICE));
    told.risk = account.and_then(|account| risk(account, |market| state.market(market), Lens::Mark));
    told
}
