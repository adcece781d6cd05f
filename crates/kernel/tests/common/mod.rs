//! A small venue for the stories that the tests tell.
#![allow(dead_code, unreachable_pub)]

use kernel::{Genesis, Holding, Kernel};
use protocol::input::{InsuranceDeposit, Observation, Order, Trade, Transfer};
use protocol::params::{
    ActivityParams, BreakerParams, ChainParams, CollateralParams, DetectorParams, FundingParams, LiquidationParams,
    MarkParams, OracleParams, SourceParams, Thresholds, Tier,
};
use protocol::{
    AccountId, Batch, Effect, Input, LineageId, MarketId, MarketParams, Mode, OrderId, PoolId, PoolParams, Rung,
    SourceId, SourceKind, VenueParams,
};
use units::{Duration, Notional, Price, Ratio, Scale, Size, Timestamp};

/// Price unit 1e-8 USD, lot 0.001: one lot at 100 USD is 0.10 USD.
pub const SCALE: (u8, u8) = (4, 3);
/// One USD in price units.
pub const USD: i64 = 100_000_000;

/// Reached by nothing.
pub const WIDE: Thresholds = Thresholds { cautious: Ratio::percent(10_000), reduce_only: Ratio::percent(10_000) };

pub fn source(lineage: u8) -> SourceParams {
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

pub fn market(sources: u8) -> MarketParams {
    MarketParams {
        pool: PoolId(0),
        scale: Scale::new(SCALE.0, SCALE.1).unwrap(),
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
        sources: (0..sources).map(source).collect(),
        oracle: OracleParams {
            age_max: Duration::seconds(10),
            silence_floor: Duration::seconds(3),
            future_max: Duration::seconds(1),
            confidence_max: Ratio::percent(2),
            jump_max: Ratio::percent(10),
            jump_window: Duration::seconds(60),
            jump_confirm: Duration::seconds(10),
            leap_max: Ratio::percent(10_000),
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
        tiers: vec![
            Tier { notional_from: 0, initial: Ratio::percent(5), maintenance: Ratio::bps(250) },
            Tier { notional_from: 100_000_000_000, initial: Ratio::percent(10), maintenance: Ratio::percent(5) },
        ],
        detectors: DetectorParams {
            exit: Ratio::percent(50),
            velocity: Thresholds { cautious: Ratio::percent(3), reduce_only: Ratio::percent(7) },
            velocity_window: Duration::seconds(60),
            swing: WIDE,
            swing_window: Duration::seconds(3_600),
            band: Thresholds { cautious: Ratio::percent(5), reduce_only: Ratio::percent(10) },
            twap_window: Duration::seconds(300),
            twap_coverage_min: Ratio::percent(50),
            staleness: WIDE,
            drift: WIDE,
            stable_half_life: Duration::seconds(86_400),
            stable_reach: Ratio::percent(20),
            stuck: WIDE,
            disagreement: Ratio::percent(1),
            quorum_coverage_min: Ratio::percent(40),
        },
        activity: ActivityParams {
            growth: WIDE,
            growth_window: Duration::seconds(3_600),
            crowding: WIDE,
            intensity: WIDE,
            intensity_window: Duration::seconds(60),
            divergence: WIDE,
        },
        chain: ChainParams {
            distress: Thresholds { cautious: Ratio::percent(500), reduce_only: Ratio::percent(2_500) },
            interval: Duration::seconds(12),
            inclusion: Duration::seconds(24),
            finality: Duration::seconds(900),
            base_fee: 20_000,
        },
        breaker: BreakerParams {
            calm: Duration::seconds(60),
            probation: Duration::ZERO,
            calm_max: Duration::seconds(60),
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

/// The same without detectors of moves, and quick to calm down.
pub fn quick(sources: u8) -> MarketParams {
    let mut params = market(sources);
    (params.detectors.velocity, params.detectors.band) = (WIDE, WIDE);
    (params.breaker.calm, params.breaker.calm_max) = (Duration::seconds(1), Duration::seconds(1));
    params
}

pub fn pool() -> PoolParams {
    PoolParams {
        accounts_max: 1_000_000,
        account_min: Notional(1_000_000),
        orders_per_account_max: 32,
        account_borrow_max: Notional(1_000_000_000_000),
        borrow_max: Notional(1_000_000_000_000),
        insurance_share_per_account: Ratio::ONE,
        backstop: None,
    }
}

pub fn venue(markets: Vec<MarketParams>) -> VenueParams {
    let pools = markets.iter().map(|market| market.pool.0).max().unwrap_or(0) + 1;
    VenueParams {
        pools: (0..pools).map(|_| pool()).collect(),
        markets,
        governance: protocol::GovernanceParams::closed(),
    }
}

/// An account with `cash` USD and one holding a market.
pub fn account(id: u64, cash: i64, holdings: &[(u16, i64, i64)]) -> Genesis {
    Genesis {
        pool: PoolId(0),
        account: AccountId(id),
        cash: Notional(cash * 1_000_000),
        collateral: Vec::new(),
        holdings: holdings
            .iter()
            .map(|(market, lots, usd)| Holding {
                market: MarketId(*market),
                size: Size(*lots),
                entry: Price(usd * USD),
            })
            .collect(),
    }
}

/// A kernel that is told a story, second by second.
pub struct Story {
    pub kernel: Kernel,
    pub effects: Vec<Effect>,
    pub now: i64,
    /// Whether the host sends a batch whenever one is due.
    pub prompt: bool,
}

impl Story {
    pub fn new(params: &VenueParams, accounts: &[Genesis]) -> Story {
        let kernel = Kernel::new(params, accounts).expect("the story's venue is well formed");
        Story { kernel, effects: Vec::new(), now: 1_000_000_000_000_000, prompt: false }
    }

    pub fn wait(&mut self, seconds: i64) -> &mut Story {
        self.now += seconds * 1_000_000;
        self
    }

    /// One batch; where the host is prompt, after the empty ones that were due before it.
    pub fn batch(&mut self, inputs: Vec<Input>) -> Vec<Effect> {
        while let Some(due) = self.kernel.next_due()
            && self.prompt
            && self.kernel.state().at < due
            && due < Timestamp(self.now)
        {
            self.apply(due, vec![]);
        }
        self.apply(Timestamp(self.now), inputs)
    }

    fn apply(&mut self, at: Timestamp, inputs: Vec<Input>) -> Vec<Effect> {
        let height = self.kernel.state().height + 1;
        let batch = Batch { height, at, seed: [0; 32], inputs };
        let mut out = Vec::new();
        self.kernel.apply(&batch, &mut out);
        self.kernel.state().check().expect("invariants hold after every batch");
        self.effects.extend_from_slice(&out);
        out
    }

    /// One observation a source, at USD prices in hundredths.
    pub fn prices(&mut self, market: u16, cents: &[i64]) -> Vec<Effect> {
        let inputs = (0..)
            .zip(cents)
            .filter(|(_, cents)| **cents != i64::MIN)
            .map(|(source, cents)| observation(market, source, *cents * (USD / 100), self.now, self.now));
        let inputs = inputs.collect();
        self.batch(inputs)
    }

    /// The same prices for a number of seconds.
    pub fn hold(&mut self, market: u16, cents: &[i64], seconds: i64) -> &mut Story {
        for _ in 0..seconds {
            self.wait(1);
            self.prices(market, cents);
        }
        self
    }

    pub fn mode(&self, market: u16) -> Mode {
        self.kernel.state().market(MarketId(market)).unwrap().breaker.mode()
    }

    pub fn quality(&self, market: u16) -> protocol::PriceQuality {
        *self.kernel.state().market(MarketId(market)).unwrap().quality()
    }
}

/// A market whose sources have all said 100 USD for half a minute, with a prompt host.
pub fn opened(params: MarketParams, accounts: &[Genesis]) -> Story {
    let sources = params.sources.len();
    let mut story = Story { prompt: true, ..Story::new(&venue(vec![params]), accounts) };
    story.hold(0, &vec![10_000; sources], 30);
    assert_eq!(story.mode(0), Mode::Normal);
    story.effects.clear();
    story
}

/// The prices of two sources in a second, and what else comes in it.
pub fn second(story: &mut Story, cents: i64, more: Vec<Input>) -> Vec<Effect> {
    story.wait(1);
    let now = story.now;
    let seen = [0, 1].map(|source| observation(0, source, cents * (USD / 100), now, now));
    story.batch(seen.into_iter().chain(more).collect())
}

pub fn observation(market: u16, source: u8, price: i64, published: i64, received: i64) -> Input {
    Input::Observation(Observation {
        market: MarketId(market),
        source: SourceId(source),
        observer: 0,
        price: Price(price),
        confidence: Price(0),
        published_at: Timestamp(published),
        received_at: Timestamp(received),
    })
}

pub fn deposit(account: u64, usd: i64) -> Input {
    Input::Deposit(Transfer { pool: PoolId(0), account: AccountId(account), amount: Notional(usd * 1_000_000) })
}

pub fn withdraw(account: u64, usd: i64) -> Input {
    Input::Withdraw(Transfer { pool: PoolId(0), account: AccountId(account), amount: Notional(usd * 1_000_000) })
}

pub fn insurance(usd: i64) -> Input {
    Input::InsuranceDeposit(InsuranceDeposit { pool: PoolId(0), amount: Notional(usd * 1_000_000) })
}

pub fn order(id: u64, account: u64, market: u16, lots: i64, cents: i64) -> Input {
    Input::Order(Order {
        id: OrderId(id),
        account: AccountId(account),
        market: MarketId(market),
        size: Size(lots),
        limit: Price(cents * (USD / 100)),
    })
}

pub fn trade(market: u16, buy: OrderId, sell: OrderId, cents: i64, lots: i64) -> Input {
    Input::Trade(Trade { market: MarketId(market), buy, sell, price: Price(cents * (USD / 100)), size: Size(lots) })
}

/// The liquidation orders among effects: (account, signed lots, order id).
pub fn liquidations(effects: &[Effect]) -> Vec<(u64, i64, OrderId)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Liquidate { order, .. } => Some((order.account.0, order.size.0, order.id)),
            _ => None,
        })
        .collect()
}
