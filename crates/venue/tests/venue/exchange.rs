//! The kernel's effects go in, inputs come out.

use crate::{BACKSTOP, order};
use codec::{DecodeError, Expected, from_bytes, to_bytes};
use protocol::effect::{AdmittedOrder, Effect};
use protocol::ids::{AccountId, MarketId, OrderId, PoolId};
use protocol::input::{BookTop, Input, OrderDone, Trade};
use protocol::params::{
    ActivityParams, BreakerParams, ChainParams, CollateralParams, DetectorParams, FundingParams, LiquidationParams,
    MarkParams, MarketParams, OracleParams, PoolParams, Thresholds, VenueParams,
};
use protocol::{Mode, Restriction};
use units::{Duration, Notional, Price, Ratio, Scale, Size};
use venue::{Exchange, Limits, Refusal};

const LIMITS: Limits = Limits { orders_max: 2, kernel_orders_max: 2 };
const FIRST: MarketId = MarketId(0);
const SECOND: MarketId = MarketId(1);
const SEED: [u8; 32] = [0; 32];

fn mode(market: MarketId, to: Mode) -> Effect {
    Effect::Mode { market, from: Mode::Halted, to, restriction: Restriction::of(to), causes: 0 }
}

fn admit(market: MarketId, id: u64, size: i64, limit: i64) -> Effect {
    Effect::Admit { order: AdmittedOrder { market, ..order(id, id, size, limit) } }
}

fn liquidate(market: MarketId, n: u16, size: i64, limit: i64) -> Effect {
    let id = OrderId::of_kernel(1, n);
    let order = AdmittedOrder { market, id, ..order(0, 99, size, limit) };
    Effect::Liquidate { order, equity: Notional(1), maintenance: Notional(2), insolvent: false }
}

/// Two pools with a market each; the second has a backstop.
fn params() -> VenueParams {
    let pool = |backstop| PoolParams {
        accounts_max: 1,
        account_min: Notional(1),
        orders_per_account_max: 1,
        account_borrow_max: Notional(1_000_000_000_000),
        borrow_max: Notional(1_000_000_000_000),
        insurance_share_per_account: Ratio::ZERO,
        backstop,
    };
    let (ratio, span) = (Ratio::ZERO, Duration::ZERO);
    let thresholds = Thresholds { cautious: ratio, reduce_only: ratio };
    let market = |pool| MarketParams {
        pool,
        scale: Scale::new(0, 0).expect("a scale"),
        order_size_max: Size(1),
        open_interest_max: Size(1),

        open_interest_margin_from: ratio,
        funding: FundingParams { rate_max: ratio, interval: span },
        collateral: CollateralParams {
            deposit_max: Size(0),
            haircut: Ratio::percent(10),
            ramp: Duration::seconds(60),
            auction: Duration::seconds(100),
        },
        sources: vec![],
        oracle: OracleParams {
            age_max: span,
            silence_floor: span,
            future_max: span,
            confidence_max: ratio,
            jump_max: ratio,
            jump_window: span,
            jump_confirm: span,
            leap_max: ratio,
            leap_confirm: span,
            agree: ratio,
            dispute: ratio,
            lineages_min: 1,
            overrule_lineages: 1,
            dispute_confirm: span,
            last_good_max: span,
            twap_max: span,
            guardians_min: 2,
            confidence_scale: ratio,
            fallback_confidence: ratio,
            derived_haircut: ratio,
        },
        mark: MarkParams { premium_max: ratio, premium_window: span, step_max: ratio, step_window: span },
        tiers: vec![],
        detectors: DetectorParams {
            exit: ratio,
            velocity: thresholds,
            velocity_window: span,
            swing: thresholds,
            swing_window: span,
            band: thresholds,
            twap_window: span,
            twap_coverage_min: ratio,
            staleness: thresholds,
            drift: thresholds,
            stable_half_life: span,
            stable_reach: ratio,
            stuck: thresholds,
            disagreement: ratio,
            quorum_coverage_min: ratio,
        },
        activity: ActivityParams {
            growth: thresholds,
            growth_window: span,
            crowding: thresholds,
            intensity: thresholds,
            intensity_window: span,
            divergence: thresholds,
        },
        chain: ChainParams { distress: thresholds, interval: span, inclusion: span, finality: span, base_fee: 20_000 },
        breaker: BreakerParams {
            calm: span,
            probation: span,
            calm_max: span,
            cautious_margin_addon: ratio,
            cautious_size_scale: ratio,
            grace_share: ratio,
            grace_max: span,
        },
        liquidation: LiquidationParams {
            buffer: ratio,
            fee: ratio,
            slippage_max: ratio,
            order_ttl: span,
            single_lineage_confirm: span,
        },
    };
    VenueParams {
        pools: vec![pool(None), pool(Some(BACKSTOP))],
        markets: vec![market(PoolId(0)), market(PoolId(1))],
        governance: protocol::GovernanceParams::closed(),
    }
}

/// An open exchange of two markets.
fn open() -> Exchange {
    let mut exchange = Exchange::new(&params(), LIMITS);
    accept(&mut exchange, &mode(FIRST, Mode::Normal));
    accept(&mut exchange, &mode(SECOND, Mode::Normal));
    exchange
}

#[track_caller]
fn accept(exchange: &mut Exchange, effect: &Effect) {
    let mut out = Vec::new();
    assert_eq!(exchange.accept(effect, &mut out), Ok(()));
    assert_eq!(out, []);
}

#[track_caller]
fn auction(exchange: &mut Exchange, market: MarketId) -> Vec<Input> {
    let mut out = Vec::new();
    exchange.auction(market, &SEED, Price(100), &mut out).expect("a market");
    out
}

fn done(market: MarketId, order: OrderId) -> Input {
    Input::OrderDone(OrderDone { market, order })
}

fn top(market: MarketId, bid: i64, ask: i64) -> Input {
    Input::BookTop(BookTop { market, bid: Price(bid), ask: Price(ask) })
}

#[test]
fn trades_come_before_what_is_done_and_the_top_comes_last() {
    let mut exchange = open();
    accept(&mut exchange, &admit(FIRST, 1, 5, 101));
    accept(&mut exchange, &liquidate(FIRST, 0, -3, 99));
    accept(&mut exchange, &admit(SECOND, 1, -5, 90));
    let sell = OrderId::of_kernel(1, 0);
    let trade = Trade { market: FIRST, buy: OrderId(1), sell, price: Price(100), size: Size(3) };
    assert_eq!(auction(&mut exchange, FIRST), [Input::Trade(trade), done(FIRST, sell), top(FIRST, 101, 0)]);
    assert_eq!(auction(&mut exchange, SECOND), [top(SECOND, 0, 90)]);
    assert_eq!(exchange.book(FIRST).unwrap().len(), 1);
}

#[test]
fn a_withdrawn_order_no_longer_trades() {
    let mut exchange = open();
    accept(&mut exchange, &admit(FIRST, 1, 5, 101));
    accept(&mut exchange, &admit(FIRST, 2, -5, 100));
    accept(&mut exchange, &Effect::Withdraw { market: FIRST, order: OrderId(1) });
    accept(&mut exchange, &Effect::Withdraw { market: FIRST, order: OrderId(1) });
    assert_eq!(auction(&mut exchange, FIRST), [top(FIRST, 0, 100)]);
}

#[test]
fn there_are_fills_only_in_modes_that_permit_them() {
    for to in Mode::ALL {
        let mut exchange = Exchange::new(&params(), LIMITS);
        accept(&mut exchange, &mode(FIRST, to));
        assert_eq!(exchange.mode(FIRST), Some(to));
        accept(&mut exchange, &admit(FIRST, 1, 5, 100));
        accept(&mut exchange, &admit(FIRST, 2, -5, 100));
        let fills = auction(&mut exchange, FIRST).iter().any(|input| matches!(input, Input::Trade(_)));
        assert_eq!(fills, matches!(to, Mode::Normal | Mode::Cautious | Mode::ReduceOnly), "{to:?}");
    }
}

#[test]
fn before_the_first_mode_nothing_fills() {
    let mut exchange = Exchange::new(&params(), LIMITS);
    accept(&mut exchange, &admit(FIRST, 1, 5, 101));
    accept(&mut exchange, &admit(FIRST, 2, -5, 100));
    assert_eq!(auction(&mut exchange, FIRST), [top(FIRST, 101, 100)]);
    accept(&mut exchange, &mode(FIRST, Mode::ReduceOnly));
    assert_eq!(auction(&mut exchange, FIRST).len(), 4);
}

#[test]
fn an_order_that_finds_no_room_is_done() {
    let mut exchange = open();
    accept(&mut exchange, &admit(FIRST, 1, 1, 100));
    accept(&mut exchange, &admit(FIRST, 2, 1, 100));
    let mut out = Vec::new();
    assert_eq!(exchange.accept(&admit(FIRST, 3, 1, 100), &mut out), Err(Refusal::Full { max: 2 }));
    assert_eq!(out, [done(FIRST, OrderId(3))]);
    accept(&mut exchange, &liquidate(FIRST, 0, -1, 100));

    out.clear();
    let nowhere = MarketId(2);
    let refusal = Refusal::WrongMarket { market: nowhere };
    assert_eq!(exchange.accept(&admit(nowhere, 1, 1, 100), &mut out), Err(refusal));
    assert_eq!(out, [done(nowhere, OrderId(1))]);
    assert_eq!(exchange.auction(nowhere, &SEED, Price(1), &mut out), Err(refusal));
    assert_eq!((exchange.mode(nowhere), exchange.book(nowhere)), (None, None));
}

#[test]
fn an_order_with_a_taken_id_is_refused_and_the_one_that_has_it_stays() {
    let mut exchange = open();
    accept(&mut exchange, &admit(FIRST, 1, 1, 100));
    let mut out = Vec::new();
    let refusal = Refusal::IdTaken { order: OrderId(1) };
    assert_eq!(exchange.accept(&admit(FIRST, 1, 9, 100), &mut out), Err(refusal));
    assert_eq!(out, []);
    assert_eq!(exchange.book(FIRST).unwrap().get(OrderId(1)).unwrap().size, Size(1));
}

#[test]
fn what_is_no_venue_s_business_changes_nothing() {
    let mut exchange = open();
    let before = exchange.clone();
    accept(
        &mut exchange,
        &Effect::PayOut { pool: PoolId(0), account: AccountId(1), amount: Notional(1), haircut: Notional(0) },
    );
    assert_eq!(exchange, before);
}

#[test]
fn an_exchange_is_read_back_as_it_was() {
    let mut exchange = open();
    accept(&mut exchange, &admit(SECOND, 1, 5, 101));
    accept(&mut exchange, &liquidate(SECOND, 0, -3, 102));
    accept(&mut exchange, &mode(FIRST, Mode::Halted));
    let bytes = to_bytes(&exchange);
    assert_eq!(from_bytes(&bytes), Ok(exchange.clone()));
    for len in 0..bytes.len() {
        assert!(from_bytes::<Exchange>(&bytes[..len]).is_err());
    }

    // Header 6, then the number of floors 4, then a floor: mode 1, market 2, limits 8, backstop 1 or 9, orders.
    let parts = |offset, of| Err(DecodeError { offset, expected: Expected::Parts { of } });
    let with = |offset: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[offset] = byte;
        from_bytes::<Exchange>(&bytes)
    };
    assert_eq!(with(11, 1), parts(6, "Exchange"), "the first book is of the second market");
    let orders = 10 + 16 + 24;
    assert_eq!(bytes[orders - 4], 2, "two orders in the second book");
    let sizes = orders + 18;
    assert_eq!(bytes[sizes], 5);
    assert_eq!(with(sizes, 0), parts(orders, "Book"), "an order without lots");
    assert_eq!(with(orders + 16, 0), parts(orders, "Book"), "an order of another market");
    let mut twice = bytes.clone();
    let first = bytes[orders..orders + 34].to_vec();
    twice[orders + 34..].copy_from_slice(&first);
    let again = DecodeError { offset: orders + 34, expected: Expected::AscendingKey };
    assert_eq!(from_bytes::<Exchange>(&twice), Err(again), "one order twice");
    assert_eq!(
        with(orders + 7, 0xff).map_err(|error| error.expected),
        Err(Expected::AscendingKey),
        "orders that do not ascend"
    );
}

#[test]
fn there_are_no_more_markets_than_ids() {
    let book = |market: u32| (MarketId(market as u16), LIMITS, None::<AccountId>, Vec::<AdmittedOrder>::new());
    let floors = |markets: u32| (0..markets).map(|market| (Mode::Halted, book(market))).collect::<Vec<_>>();
    let read = |markets: u32| from_bytes::<Exchange>(&to_bytes(&floors(markets)));
    assert_eq!(read(65_535).map(|exchange| exchange.mode(MarketId(65_534))), Ok(Some(Mode::Halted)));
    let expected = Expected::Parts { of: "Exchange" };
    assert_eq!(read(65_536), Err(DecodeError { offset: 6, expected }));
}

#[test]
fn each_market_has_the_backstop_of_its_pool() {
    let mut exchange = open();
    for market in [FIRST, SECOND] {
        accept(&mut exchange, &admit(market, 1, 5, 100));
        accept(&mut exchange, &Effect::Admit { order: AdmittedOrder { market, ..order(2, BACKSTOP.0, -5, 100) } });
    }
    assert_eq!(auction(&mut exchange, FIRST).len(), 4, "nobody's backstop there");
    assert_eq!(auction(&mut exchange, SECOND), [top(SECOND, 100, 0)]);
}
