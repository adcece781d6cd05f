//! Accounts through the gate, under maintenance, and past it.

mod common;

use common::{Story, account, deposit, insurance, liquidations, market, order, trade, venue, withdraw};
use protocol::{AccountId, Effect, Mode, OrderId, PoolId, Reject};
use units::{Notional, Price, Ratio, Size};

/// Two sources at 100 USD long enough for the market to have come up.
fn open(accounts: &[kernel::Genesis]) -> Story {
    let mut story = Story::new(&venue(vec![market(3)]), accounts);
    story.hold(0, &[10_000; 3], 301);
    assert_eq!(story.mode(0), Mode::Normal);
    story.effects.clear();
    story
}

fn cash(story: &Story, id: u64) -> i64 {
    story.kernel.state().pools[0].accounts[&AccountId(id)].cash.0
}

fn size(story: &Story, id: u64) -> i64 {
    story.kernel.state().pools[0].accounts[&AccountId(id)].size_in(protocol::MarketId(0)).0
}

fn rejects(effects: &[Effect]) -> Vec<Reject> {
    let reject = |effect: &Effect| match effect {
        Effect::Rejected { reject, .. } => Some(*reject),
        _ => None,
    };
    effects.iter().filter_map(reject).collect()
}

#[test]
fn an_order_is_admitted_at_its_margin_and_refused_one_micro_short() {
    // 10 base at 100 USD is 1,000 USD; 5% initial is 50 USD.
    let mut story = open(&[account(1, 50, &[]), account(2, 49, &[])]);
    assert_eq!(rejects(&story.batch(vec![order(1, 1, 0, 10_000, 10_000)])), []);
    let short = rejects(&story.batch(vec![order(2, 2, 0, 10_000, 10_000)]));
    assert_eq!(short, [Reject::Margin { free: Notional(49_000_000), needed: Notional(50_000_000) }]);
    // What rests is reserved: not one lot more.
    assert_eq!(rejects(&story.batch(vec![order(3, 1, 0, 1, 10_000)])).len(), 1);
    // A limit worse than the mark sets aside what it could lose: 10 USD beside the margin.
    story.batch(vec![deposit(2, 1)]);
    let worse = rejects(&story.batch(vec![order(4, 2, 0, 10_000, 10_100)]));
    assert_eq!(worse, [Reject::Margin { free: Notional(50_000_000), needed: Notional(60_000_000) }]);
}

#[test]
fn an_order_that_turns_a_position_around_stays_covered_whatever_is_filled_first() {
    // 1,000 USD long, 50 of them margin; turned around it needs the same 50.
    let long = account(1, 60, &[(0, 10_000, 100)]);
    let mut story = open(&[long, account(2, 500, &[(0, -10_000, 100)])]);
    story.batch(vec![order(1, 1, 0, -20_000, 10_000), order(2, 2, 0, 10_000, 10_000)]);
    // Another sale would no longer only reduce: with the first one filled it opens.
    let twice = rejects(&story.batch(vec![order(3, 1, 0, -10_000, 10_000)]));
    assert_eq!(twice, [Reject::Margin { free: Notional(10_000_000), needed: Notional(50_000_000) }]);
    // Flat, but half of the order still rests: its margin is not free.
    story.batch(vec![trade(0, OrderId(2), OrderId(1), 10_000, 10_000)]);
    assert_eq!((size(&story, 1), cash(&story, 1)), (0, 60_000_000));
    let early = rejects(&story.batch(vec![withdraw(1, 11)]));
    assert_eq!(early, [Reject::Margin { free: Notional(10_000_000), needed: Notional(11_000_000) }]);
    assert_eq!(rejects(&story.batch(vec![withdraw(1, 10)])), []);
}

#[test]
fn an_exit_at_any_price_is_admitted_at_one_that_its_owner_can_pay_for() {
    // Short 10 base at 100 USD with 40 USD of equity: 4 USD a base.
    let mut story = open(&[account(1, 40, &[(0, -10_000, 100)]), account(2, 900, &[(0, 10_000, 100)])]);
    let out = story.batch(vec![order(1, 1, 0, 10_000, 1_000_000), order(2, 2, 0, -10_000, 10_300)]);
    let limits: Vec<i64> = out
        .iter()
        .filter_map(|effect| match effect {
            Effect::Admit { order } => Some(order.limit.0),
            _ => None,
        })
        .collect();
    // The second account's lot is drawn first.
    assert_eq!(limits, [103 * common::USD, 104 * common::USD]);
    let accomplice = rejects(&story.batch(vec![trade(0, OrderId(1), OrderId(2), 10_401, 10_000)]));
    assert_eq!(accomplice, [Reject::BeyondLimit { limit: Price(104 * common::USD) }]);
    story.batch(vec![trade(0, OrderId(1), OrderId(2), 10_400, 10_000)]);
    assert_eq!((cash(&story, 1), cash(&story, 2)), (0, 940_000_000));
}

#[test]
fn a_trade_moves_positions_and_no_money() {
    let mut story = open(&[account(1, 100, &[]), account(2, 100, &[])]);
    story.batch(vec![order(1, 1, 0, 10_000, 10_000), order(2, 2, 0, -10_000, 10_000)]);
    story.batch(vec![trade(0, OrderId(1), OrderId(2), 10_000, 4_000)]);
    assert_eq!((size(&story, 1), size(&story, 2)), (4_000, -4_000));
    assert_eq!((cash(&story, 1), cash(&story, 2)), (100_000_000, 100_000_000));
    let beyond = rejects(&story.batch(vec![trade(0, OrderId(1), OrderId(2), 10_000, 6_001)]));
    assert_eq!(beyond, [Reject::BeyondSize { remaining: Size(6_000) }]);
    let dear = rejects(&story.batch(vec![trade(0, OrderId(1), OrderId(2), 10_001, 1)]));
    assert_eq!(dear, [Reject::BeyondLimit { limit: Price(10_000_000_000) }]);
}

#[test]
fn profit_is_realised_when_a_position_shrinks() {
    let mut story = open(&[account(1, 100, &[(0, 4_000, 90)]), account(2, 100, &[(0, -4_000, 90)])]);
    story.batch(vec![order(1, 1, 0, -1_000, 10_000), order(2, 2, 0, 1_000, 10_000)]);
    story.batch(vec![trade(0, OrderId(2), OrderId(1), 10_000, 1_000)]);
    assert_eq!((cash(&story, 1), cash(&story, 2)), (110_000_000, 90_000_000));
    assert_eq!((size(&story, 1), size(&story, 2)), (3_000, -3_000));
}

#[test]
fn unrealised_profit_can_not_be_withdrawn() {
    // 40 USD of profit on paper, 100 in cash, 20 of initial margin.
    let mut story = open(&[account(1, 100, &[(0, 4_000, 90)]), account(2, 100, &[(0, -4_000, 90)])]);
    assert_eq!(rejects(&story.batch(vec![withdraw(1, 81)])).len(), 1);
    assert_eq!(rejects(&story.batch(vec![withdraw(1, 80)])), []);
    assert_eq!(cash(&story, 1), 20_000_000);
}

#[test]
fn a_liquidation_takes_the_fewest_lots_that_restore_the_account() {
    // 40 base long from 100 USD with 140 USD: at 99 equity 100, maintenance 2.5% of 3,960 = 99.
    let mut story = open(&[account(1, 140, &[(0, 40_000, 100)]), account(2, 10_000, &[(0, -40_000, 100)])]);
    story.wait(1).prices(0, &[9_900; 3]);
    assert_eq!(liquidations(&story.effects), [], "exactly above maintenance");
    story.wait(1).prices(0, &[9_895; 3]);
    let found = liquidations(&story.effects);
    // Equity 98; target 1.1 × 2.5% × (40 − x) × 98.95 + fee 0.5% × x × 98.95 ⇒ x = 10.845 / (0.0225 × 98.95) = 4.8711.
    assert_eq!(found.iter().map(|(account, lots, _)| (*account, *lots)).collect::<Vec<_>>(), [(1, -4_872)]);
    // The same price again decides nothing new while the order is out.
    story.effects.clear();
    story.wait(1).prices(0, &[9_895; 3]);
    assert_eq!(liquidations(&story.effects), []);
    // Filled at the mark, the account is healthy, the fee is in the fund, and it is left alone.
    let (_, _, id) = found[0];
    story.batch(vec![order(9, 2, 0, 4_872, 9_895)]);
    story.batch(vec![trade(0, OrderId(9), id, 9_895, 4_872)]);
    story.wait(20).prices(0, &[9_895; 3]);
    assert_eq!(liquidations(&story.effects), []);
    assert_eq!(size(&story, 1), 35_128);
    assert_eq!(story.kernel.state().pools[0].insurance, 2_410_422); // 0.5% of 4.872 × 98.95, rounded up
}

#[test]
fn a_liquidation_that_is_no_longer_needed_is_taken_back() {
    let mut story = open(&[account(1, 140, &[(0, 40_000, 100)]), account(2, 10_000, &[(0, -40_000, 100)])]);
    story.wait(1).prices(0, &[9_895; 3]);
    let (_, _, id) = liquidations(&story.effects)[0];
    let out = story.wait(1).prices(0, &[10_000; 3]);
    assert!(out.contains(&Effect::Withdraw { market: protocol::MarketId(0), order: id }), "{out:?}");
    assert_eq!(size(&story, 1), 40_000);
}

#[test]
fn no_solvent_account_is_liquidated_at_a_disputed_price() {
    let mut story = open(&[account(1, 140, &[(0, 40_000, 100)]), account(2, 10_000, &[(0, -40_000, 100)])]);
    story.hold(0, &[9_890, 9_890, 10_100], 59);
    assert_eq!(liquidations(&story.effects), []);
    assert_eq!(story.mode(0), Mode::ReduceOnly);
    story.hold(0, &[9_890, 9_890, 10_100], 3);
    assert_eq!(liquidations(&story.effects).len(), 1, "the majority has stood through its confirmation");
}

#[test]
fn an_insolvent_account_within_the_funds_reach_goes_to_the_market_and_the_fund_pays() {
    let accounts = [account(1, 140, &[(0, 40_000, 100)]), account(2, 10_000, &[(0, -40_000, 100)])];
    let mut story = open(&accounts);
    story.batch(vec![insurance(1_000)]);
    story.wait(1).prices(0, &[9_600; 3]); // equity −20
    let found = liquidations(&story.effects);
    assert_eq!(found.iter().map(|(account, lots, _)| (*account, *lots)).collect::<Vec<_>>(), [(1, -40_000)]);
    story.batch(vec![order(9, 2, 0, 40_000, 9_600)]);
    let out = story.batch(vec![trade(0, OrderId(9), found[0].2, 9_600, 40_000)]);
    let paid = Effect::InsurancePaid { pool: PoolId(0), account: AccountId(1), amount: Notional(20_000_000) };
    assert!(out.contains(&paid), "{out:?}");
    assert_eq!((cash(&story, 1), story.kernel.state().pools[0].insurance), (0, 980_000_000));
}

#[test]
fn without_a_fund_the_winners_give_up_exactly_the_shortfall_pro_rata() {
    let accounts = [
        account(1, 140, &[(0, 40_000, 100)]),
        account(2, 10_000, &[(0, -30_000, 100)]),
        account(3, 10_000, &[(0, -10_000, 100)]),
    ];
    let mut story = open(&accounts);
    let out = story.wait(1).prices(0, &[9_600; 3]); // equity −20, bankruptcy price 96.5
    let taken: Vec<(u64, i64, i64, i64)> = out
        .iter()
        .filter_map(|effect| match effect {
            Effect::Deleveraged { counterparty, size, price, given_up, .. } => {
                Some((counterparty.0, size.0, price.0, given_up.0))
            }
            _ => None,
        })
        .collect();
    assert_eq!(taken, [(2, -30_000, 9_650_000_000, 15_000_000), (3, -10_000, 9_650_000_000, 5_000_000)]);
    assert_eq!((size(&story, 1), size(&story, 2), size(&story, 3)), (0, 0, 0));
    // 30 base sold at 100 and bought back at 96.50.
    assert_eq!((cash(&story, 1), cash(&story, 2), cash(&story, 3)), (0, 10_105_000_000, 10_035_000_000));
}

#[test]
fn what_winners_can_not_pay_stands_as_a_deficit_and_takes_nobody_below_zero() {
    // The winner of the first market loses as much in the second.
    let accounts = [
        account(1, 110, &[(0, 40_000, 100)]),
        account(2, 400, &[(0, -40_000, 100), (1, 40_000, 100)]),
        account(3, 10_000, &[(1, -40_000, 100)]),
    ];
    let mut story = Story::new(&venue(vec![market(3), market(3)]), &accounts);
    for _ in 0..301 {
        story.wait(1);
        let both = [0, 1].into_iter().flat_map(|market| seen(market, 100, story.now)).collect();
        story.batch(both);
    }
    story.wait(1);
    let now = story.now;
    let out = story.batch(seen(0, 88, now).into_iter().chain(seen(1, 80, now)).collect());
    // The long has 110 − 480 = −370; the winner 400 + 480 − 800 = 80.
    let given_up = |effect: &Effect| match effect {
        Effect::Deleveraged { given_up, .. } => given_up.0,
        _ => 0,
    };
    let given: i64 = out.iter().map(given_up).sum();
    let pool = &story.kernel.state().pools[0];
    assert!(79_980_000 <= given && given <= 80_000_000, "all that the winner had, to the lot: {given}");
    assert_eq!(pool.deficit + i128::from(given), 370_000_000);
    assert_eq!(cash(&story, 1), 0);
    assert!(0 <= cash(&story, 2));
}

fn seen(market: u16, usd: i64, now: i64) -> Vec<protocol::Input> {
    (0..3).map(|source| common::observation(market, source, usd * common::USD, now, now)).collect()
}

#[test]
fn the_exits_stay_open_while_opening_is_shut() {
    let mut story = open(&[account(1, 1_000, &[(0, 10_000, 100)]), account(2, 1_000, &[(0, -10_000, 100)])]);
    story.wait(1).prices(0, &[10_000, 10_300, GONE]);
    story.wait(1).prices(0, &[10_000, 10_300, GONE]);
    assert_eq!(story.mode(0), Mode::ReduceOnly);
    let refused = story.batch(vec![order(1, 1, 0, 1, 10_000)]);
    assert_eq!(rejects(&refused), [Reject::Restricted]);
    assert_eq!(rejects(&story.batch(vec![order(2, 1, 0, -10_000, 9_000), deposit(1, 5)])), []);
    let flips = story.batch(vec![order(3, 2, 0, 10_001, 11_000)]);
    assert_eq!(rejects(&flips), [Reject::Restricted], "past zero it would open");
}

const GONE: i64 = i64::MIN;

#[test]
fn a_tightened_market_takes_back_the_orders_that_would_open() {
    let mut story = open(&[account(1, 1_000, &[(0, 10_000, 100)]), account(2, 1_000, &[(0, -10_000, 100)])]);
    story.batch(vec![order(1, 1, 0, 1_000, 9_000), order(2, 1, 0, -1_000, 11_000)]);
    let out = story.wait(1).prices(0, &[10_000, 10_900, 9_500]);
    let market = protocol::MarketId(0);
    assert!(out.contains(&Effect::Withdraw { market, order: OrderId(1) }), "{out:?}");
    assert!(!out.contains(&Effect::Withdraw { market, order: OrderId(2) }), "a reducing order stays");
}

#[test]
fn the_backstop_trades_against_liquidations_in_every_mode_that_liquidates_and_against_nobody_else() {
    let mut params = venue(vec![market(3)]);
    params.pools[0].backstop = Some(AccountId(7));
    let accounts =
        [account(1, 140, &[(0, 40_000, 100)]), account(2, 10_000, &[(0, -40_000, 100)]), account(7, 1_000_000, &[])];
    let mut story = Story::new(&params, &accounts);
    story.hold(0, &[10_000; 3], 301);
    story.batch(vec![insurance(1_000)]);
    story.wait(1).prices(0, &[9_200; 3]);
    assert_eq!(story.mode(0), Mode::ReduceOnly);
    let (_, lots, id) = liquidations(&story.effects)[0];
    let admitted =
        story.batch(vec![order(70, 7, 0, -lots, 9_200), order(71, 2, 0, 1_000, 9_200), order(72, 7, 0, -5, 9_200)]);
    assert_eq!(rejects(&admitted), []);
    let with_a_trader = trade(0, OrderId(71), OrderId(72), 9_200, 5);
    assert_eq!(rejects(&story.batch(vec![with_a_trader])), [Reject::Mismatch]);
    assert_eq!(rejects(&story.batch(vec![trade(0, OrderId(70), id, 9_200, -lots)])), []);
    assert_eq!((size(&story, 1), size(&story, 7)), (0, 40_000));
}

#[test]
fn what_holds_for_one_of_the_sources_only_costs_nobody_a_position() {
    // Equity is 40 p − 3,860 and maintenance p, so the account is under maintenance below 98.9744.
    let mut story = open(&[account(1, 140, &[(0, 40_000, 100)]), account(2, 10_000, &[(0, -40_000, 100)])]);
    story.wait(1).prices(0, &[9_892, 9_895, 9_898]);
    assert_eq!(story.quality(0).confidence, Price(3 * (common::USD / 100)));
    assert_eq!(liquidations(&story.effects), [], "at 98.98, the edge that is kindest, it is healthy");
    story.wait(1).prices(0, &[9_892, 9_895, 9_897]);
    assert_eq!(story.quality(0).confidence, Price(2 * (common::USD / 100)), "two of three are that near");
    assert_eq!(liquidations(&story.effects).len(), 1, "at 98.97 it is not");
}

/// Who gave up what in deleveraging: market, counterparty, lots, micro-USD.
fn gave_up(effects: &[Effect]) -> Vec<(u16, u64, i64, i64)> {
    let gave = |effect: &Effect| match effect {
        Effect::Deleveraged { market, counterparty, size, given_up, .. } => {
            Some((market.0, counterparty.0, size.0.abs(), given_up.0))
        }
        _ => None,
    };
    effects.iter().filter_map(gave).collect()
}

#[test]
fn a_short_is_given_less_than_it_owes_and_the_rest_stands_as_a_deficit() {
    // At 30 USD the long has lost 2,800; 2,700 are missing, more than all that it holds is worth. The short owes 10.
    let mut one = market(3);
    one.oracle.jump_max = Ratio::ONE;
    let accounts = [
        account(1, 100, &[(0, 40_000, 100), (1, -100, 100)]),
        account(2, 100_000, &[(0, -40_000, 100), (1, 100, 100)]),
    ];
    let mut story = Story::new(&venue(vec![one.clone(), one]), &accounts);
    for _ in 0..300 {
        story.wait(1).prices(0, &[10_000; 3]);
        story.prices(1, &[10_000; 3]);
    }
    story.effects.clear();
    story.wait(1).prices(0, &[3_000; 3]);
    // 2,700 × 1,200 ÷ 1,210 rounded up; then all but one micro-USD of ten.
    assert_eq!(gave_up(&story.effects), [(0, 2, 40_000, 2_677_685_951), (1, 2, 100, 9_999_999)]);
    assert_eq!(story.kernel.state().pools[0].deficit, 2_700_000_000 - 2_677_685_951 - 9_999_999);
}

#[test]
fn who_can_not_pay_its_part_closes_the_rest_at_the_mark_pro_rata_to_what_is_left() {
    // At 90 USD the first lacks 300 for 40 base: 7.50 a base. The second can pay for 10 of its 20, the third for 12 of its
    // 30; the 18 that are left go 10 to 18.
    let accounts = [
        account(1, 100, &[(0, 40_000, 100)]),
        account(2, 75, &[(0, -20_000, 90)]),
        account(3, 90, &[(0, -30_000, 90)]),
        account(4, 1_000, &[(0, 10_000, 90)]),
    ];
    let mut story = Story::new(&venue(vec![market(3)]), &accounts);
    story.hold(0, &[9_000; 3], 300);
    let expected = [(0, 2, 10_000, 75_000_000), (0, 3, 12_000, 90_000_000), (0, 2, 6_429, 0), (0, 3, 11_571, 0)];
    assert_eq!(gave_up(&story.effects)[..4], expected);
    let shared = |effect: &Effect| match effect {
        Effect::Socialized { account, amount, .. } => Some((account.0, amount.0)),
        _ => None,
    };
    assert_eq!(story.effects.iter().find_map(shared), Some((4, 135_000_000)), "only the fourth has anything left");
}
