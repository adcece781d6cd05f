//! Funding payments, margin by open interest, and how far a doubtful price is from what it says.

mod common;

use common::{Story, USD, account, market, observation, order, trade, venue};
use kernel::Genesis;
use kernel::margin::{Lens, PARTS, initial, price};
use protocol::input::Funding;
use protocol::{AccountId, Effect, Input, MarketId, MarketParams, Mode, OrderId, Reject};
use units::{Duration, Notional, Price, Ratio, Size};

fn open(params: MarketParams, accounts: &[Genesis]) -> Story {
    let mut story = Story::new(&venue(vec![params]), accounts);
    story.hold(0, &[10_000; 2], 300);
    assert_eq!(story.mode(0), Mode::Normal);
    story
}

fn funding(parts: i64) -> Input {
    Input::Funding(Funding { market: MarketId(0), rate: Ratio(parts) })
}

fn cash(story: &Story, id: u64) -> i64 {
    story.kernel.state().pools[0].accounts[&AccountId(id)].cash.0
}

const BPS: i64 = 100_000_000;

#[test]
fn one_side_pays_the_other_and_what_rounding_keeps_is_insured() {
    // 3 lots at 100 USD are 0.3 USD; 1 and 2 lots on the other side.
    let accounts = [
        account(1, 100, &[(0, 3, 100)]),
        account(2, 100, &[(0, -1, 100)]),
        account(3, 100, &[(0, -2, 100)]),
        account(4, 50, &[]),
    ];
    for sign in [1, -1] {
        let mut story = open(market(2), &accounts);
        // 1.0000033 basis points of 300,000, 100,000 and 200,000 micro-USD: 30.0001, 10.00003 and 20.00007.
        let effects = story.wait(1).batch(vec![funding(sign * (BPS + 330))]);
        let moved = [1, 2, 3, 4].map(|id| cash(&story, id) - [100, 100, 100, 50][id as usize - 1] * 1_000_000);
        let (paid, insured) = if sign == 1 { (31, 1) } else { (32, 2) };
        assert_eq!(moved, if sign == 1 { [-31, 10, 20, 0] } else { [30, -11, -21, 0] });
        assert_eq!(story.kernel.state().pools[0].insurance, insured);
        let rate = Ratio(sign * (BPS + 330));
        assert_eq!(effects, [Effect::Funded { market: MarketId(0), rate, paid: Notional(paid) }]);
    }
}

#[test]
fn a_payment_that_is_too_large_too_soon_or_at_no_good_price_changes_nothing() {
    let accounts = [account(1, 100, &[(0, 10, 100)]), account(2, 100, &[(0, -10, 100)])];
    let mut params = market(2);
    params.funding.rate_max = Ratio(7 * BPS);
    params.funding.interval = Duration::seconds(3_600);
    let mut story = open(params.clone(), &accounts);
    let refused = |story: &mut Story, input: Input, reject: Reject| {
        let before = story.kernel.state().pools[0].accounts.clone();
        let effects = story.batch(vec![input]);
        assert!(effects.contains(&Effect::Rejected { input: 0, reject }), "{effects:?}");
        assert_eq!(story.kernel.state().pools[0].accounts, before);
    };
    for parts in [7 * BPS + 1, -7 * BPS - 1, i64::MIN, i64::MAX] {
        refused(&mut story, funding(parts), Reject::OutOfRange);
    }
    let unknown = Input::Funding(Funding { market: MarketId(9), rate: Ratio(0) });
    refused(&mut story, unknown, Reject::UnknownMarket);
    story.batch(vec![funding(7 * BPS)]);
    assert_eq!(cash(&story, 1), 100_000_000 - 700);
    story.hold(0, &[10_000; 2], 3_599);
    refused(&mut story, funding(BPS), Reject::OutOfOrder);
    story.hold(0, &[10_000; 2], 1);
    story.batch(vec![funding(-7 * BPS)]);
    assert_eq!(cash(&story, 1), 100_000_000);
    // Two contradict each other: nobody pays at that price. And at none at all.
    story.hold(0, &[10_000; 2], 3_600);
    story.wait(1).prices(0, &[10_000, 10_500]);
    refused(&mut story, funding(BPS), Reject::PriceQuality);
    let mut silent = open(params, &accounts);
    silent.wait(1_000).batch(vec![]);
    assert_eq!(silent.mode(0), Mode::Halted);
    refused(&mut silent, funding(BPS), Reject::Restricted);
}

#[test]
fn whom_a_payment_brings_under_maintenance_is_found_with_it() {
    // 26 USD on 1,000 USD; maintenance is 25.
    let accounts = [account(1, 26, &[(0, 10_000, 100)]), account(2, 1_000, &[(0, -10_000, 100)])];
    for (parts, found) in [(10 * BPS, 0), (10 * BPS + 1, 1)] {
        let mut story = open(market(2), &accounts);
        story.effects.clear();
        story.wait(1);
        let now = story.now;
        let seen = [0, 1].map(|source| observation(0, source, 100 * USD, now, now));
        story.batch(seen.into_iter().chain([funding(parts)]).collect());
        assert_eq!(common::liquidations(&story.effects).len(), found, "{parts}");
    }
}

#[test]
fn initial_margin_rises_from_a_share_of_the_limit_to_all_of_the_notional() {
    let mut params = market(2);
    params.open_interest_max = Size(10_000);
    params.open_interest_margin_from = Ratio::percent(50);
    params.liquidation.fee = Ratio::ZERO;
    let accounts = [account(1, 100_000, &[]), account(2, 100_000, &[])];
    let mut story = open(params, &accounts);
    let of = |story: &Story| {
        let market = story.kernel.state().market(MarketId(0)).expect("listed").clone();
        // Of 1,000 USD the tiers ask for 50.
        initial(&market, 1_000_000_000, market.open_interest)
    };
    let mut n = 0;
    let mut build = |story: &mut Story, lots: i64| {
        n += 2;
        story.batch(vec![order(n, 1, 0, lots, 10_000), order(n + 1, 2, 0, -lots, 10_000)]);
        story.batch(vec![trade(0, OrderId(n), OrderId(n + 1), 10_000, lots)]);
    };
    for (lots, micro) in
        [(5_000, 50_000_000), (1, 50_190_000), (2_499, 525_000_000), (2_499, 999_810_000), (1, 1_000_000_000)]
    {
        build(&mut story, lots);
        assert_eq!(of(&story), micro * PARTS, "{lots}");
    }
    // What is free shrinks with it: 1,000 USD of position against 100,000 of cash.
    let free = |story: &mut Story, usd: i64| {
        let effects = story.batch(vec![common::withdraw(1, usd)]);
        !effects.iter().any(|effect| matches!(effect, Effect::Rejected { .. }))
    };
    assert!(!free(&mut story, 99_001));
    assert!(free(&mut story, 99_000));
}

#[test]
fn a_doubtful_price_is_so_many_half_widths_from_what_it_says() {
    for (scale, away) in [(100, 10), (250, 25), (1, 1)] {
        let mut params = market(2);
        params.oracle.confidence_scale = Ratio::percent(scale);
        let mut story = Story::new(&venue(vec![params]), &[]);
        story.wait(1);
        let now = story.now;
        let wide = |source| {
            let Input::Observation(seen) = observation(0, source, 100 * USD, now, now) else { unreachable!() };
            Input::Observation(protocol::input::Observation { confidence: Price(10), ..seen })
        };
        story.batch(vec![wide(0), wide(1)]);
        let market = story.kernel.state().market(MarketId(0)).expect("listed");
        assert_eq!(market.quality().confidence, Price(10));
        let at = |lots: i64, lens| price(market, Size(lots), lens).map(|price| price.0 - 100 * USD);
        assert_eq!([at(1, Lens::Kindest), at(-1, Lens::Kindest)], [Some(away), Some(-away)]);
        assert_eq!([at(1, Lens::Unkind), at(-1, Lens::Unkind)], [Some(-away), Some(away)]);
        assert_eq!(at(1, Lens::Mark), Some(0));
    }
}

#[test]
fn a_payment_finds_whom_it_brings_under_maintenance_though_nobody_speaks() {
    let accounts = [account(1, 26, &[(0, 10_000, 100)]), account(2, 1_000, &[(0, -10_000, 100)])];
    let mut story = open(market(2), &accounts);
    story.effects.clear();
    story.wait(1).batch(vec![funding(10 * BPS + 1)]);
    assert_eq!(common::liquidations(&story.effects).len(), 1);
}

#[test]
fn what_rests_counts_as_open_for_whoever_asks_after_it() {
    let mut params = market(2);
    params.open_interest_max = Size(10_000);
    params.open_interest_margin_from = Ratio::percent(50);
    params.liquidation.fee = Ratio::ZERO;
    // 1,000 lots are 100 USD; the tiers ask for 5.
    let accounts: Vec<_> = (1..=20).map(|id| account(id, 6, &[])).collect();
    let mut story = open(params, &accounts);
    let admitted = |k: &u64| {
        story.hold(0, &[10_000; 2], 1);
        let effects = story.batch(vec![order(*k, *k, 0, 1_000, 10_000), order(100 + k, 10 + k, 0, -1_000, 10_000)]);
        effects.iter().filter(|effect| matches!(effect, Effect::Admit { .. })).count() == 2
    };
    // Up to half of the limit.
    assert_eq!((1..=10).filter(admitted).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
}

#[test]
fn margin_by_open_interest_goes_on_in_proportion_however_much_is_open() {
    let mut params = market(2);
    (params.open_interest_max, params.order_size_max) = (Size(1_000_000_000_000), Size(1_000_000_000_000));
    params.open_interest_margin_from = Ratio::percent(50);
    params.tiers.truncate(1);
    let lots = 700_000_000_000;
    let rich = 5_000_000_000;
    let story = open(params, &[account(1, rich, &[(0, lots, 100)]), account(2, rich, &[(0, -lots, 100)])]);
    let market = story.kernel.state().market(MarketId(0)).expect("listed");
    for millions in [1, 100, 170, 180, 1_000] {
        let notional = millions * 1_000_000_000_000;
        // 5%, and two fifths of the rest.
        assert_eq!(initial(market, notional, market.open_interest), notional * 430_000_000_000, "{millions}");
    }
}
