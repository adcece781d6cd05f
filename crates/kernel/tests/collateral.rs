//! Collateral that is no money: what it counts for, when, how it is given back and how it is sold for a debt.

mod common;

use common::{
    Story, USD, account, deposit, insurance, liquidations, opened, order, quick, second, trade, venue, withdraw,
};
use kernel::margin::{Lens, credit};
use kernel::{Genesis, Kernel};
use protocol::input::{Buy, Collateral, Isolate};
use protocol::params::CollateralParams;
use protocol::{AccountId, Effect, Input, MarketId, MarketParams, Mode, PoolId, Reject};
use units::{Duration, Notional, Price, Ratio, Size};

const MICRO: i64 = 1_000_000;

fn paid_in(account: u64, lots: i64) -> Input {
    Input::Collateral(Collateral { market: MarketId(0), account: AccountId(account), size: Size(lots) })
}

fn buy(account: u64, from: u64, lots: i64, cents: i64) -> Input {
    let (account, from) = (AccountId(account), AccountId(from));
    let limit = Price(cents * (USD / 100));
    Input::Buy(Buy { market: MarketId(0), account, from, size: Size(lots), limit })
}

/// One lot of 0.001 at 100 USD is 0.10 USD; a tenth of it counts for nothing.
fn params() -> MarketParams {
    let mut params = quick(2);
    params.collateral.deposit_max = Size(1_000_000);
    params.collateral.haircut = Ratio::percent(10);
    // In whole seconds to its sixty-fourth.
    params.collateral.ramp = Duration::seconds(64);
    params.collateral.auction = Duration::seconds(100);
    params
}

fn rejects(effects: &[Effect]) -> Vec<Reject> {
    let reject = |effect: &Effect| match effect {
        Effect::Rejected { reject, .. } => Some(*reject),
        _ => None,
    };
    effects.iter().filter_map(reject).collect()
}

fn cash(story: &Story, id: u64) -> i64 {
    story.kernel.state().pools[0].accounts[&AccountId(id)].cash.0
}

fn held(story: &Story, id: u64) -> i64 {
    story.kernel.state().pools[0].accounts.get(&AccountId(id)).map_or(0, |account| account.held_in(MarketId(0)).0)
}

fn spare(story: &mut Story, id: u64) -> i64 {
    // What a withdrawal is refused for says what is free.
    match rejects(&second(story, 10_000, vec![withdraw(id, 1_000_000_000)]))[..] {
        [Reject::Margin { free, .. }] => free.0,
        ref other => panic!("{other:?}"),
    }
}

fn having(genesis: Genesis, lots: i64) -> Genesis {
    Genesis { collateral: vec![(MarketId(0), Size(lots))], ..genesis }
}

/// A loser short of 1,000 USD at 100 with 10,000 lots (1,000 USD) beside, a rich buyer, and the other side.
fn indebted(loser_cash: i64, lots: i64) -> Story {
    let accounts = [having(account(1, loser_cash, &[]), lots), account(2, 1_000_000, &[]), account(3, 1_000_000, &[])];
    let mut story = opened(params(), &accounts);
    // It buys at 100 and sells at 60, at its own wish: 400 USD lost on 10,000 lots.
    second(&mut story, 10_000, vec![order(1, 1, 0, 10_000, 10_000), order(2, 2, 0, -10_000, 10_000)]);
    second(&mut story, 10_000, vec![trade(0, protocol::OrderId(1), protocol::OrderId(2), 10_000, 10_000)]);
    story
}

#[test]
fn what_is_paid_in_counts_after_its_ramp_and_leaves_as_it_came() {
    let mut story = opened(params(), &[account(1, 100, &[]), account(2, 1_000, &[])]);
    assert_eq!(rejects(&second(&mut story, 10_000, vec![paid_in(1, 10_000)])), []);
    let opens = |id: u64, lots: i64| order(id, 1, 0, lots, 10_000);
    // 1,000 USD of collateral: 100 of cash open 2,000 at 5%, and 900 more after 64 seconds 20,000.
    let refused = rejects(&second(&mut story, 10_000, vec![opens(1, 20_001)]));
    assert_eq!(refused, [Reject::Margin { free: Notional(100 * MICRO), needed: Notional(100_005_000) }]);
    for _ in 0..61 {
        second(&mut story, 10_000, vec![]);
    }
    let refused = rejects(&second(&mut story, 10_000, vec![opens(2, 20_001)]));
    assert_eq!(refused.len(), 1, "a second before its time");
    let refused = rejects(&second(&mut story, 10_000, vec![opens(3, 200_001)]));
    assert_eq!(refused, [Reject::Margin { free: Notional(1_000 * MICRO), needed: Notional(1_000_005_000) }]);
    assert_eq!(rejects(&second(&mut story, 10_000, vec![opens(4, 200_000)])), []);
    // All of it backs the order now, and is kept; of the cash nothing more than there is.
    let refused = rejects(&second(&mut story, 10_000, vec![paid_in(1, -1), withdraw(1, 1)]));
    let kept = Reject::Margin { free: Notional(-90_000), needed: Notional(0) };
    assert!(refused.contains(&kept), "{refused:?}");
    let asked = Reject::Margin { free: Notional(0), needed: Notional(MICRO) };
    assert!(refused.contains(&asked), "{refused:?}");
    let cancel = protocol::input::Cancel { market: MarketId(0), account: AccountId(1), order: protocol::OrderId(4) };
    second(&mut story, 10_000, vec![Input::Cancel(cancel)]);
    assert_eq!(spare(&mut story, 1), 100 * MICRO);
    let refused = rejects(&second(&mut story, 10_000, vec![paid_in(1, -10_001)]));
    assert_eq!(refused, [Reject::BeyondSize { remaining: Size(10_000) }]);
    let effects = second(&mut story, 10_000, vec![paid_in(1, -10_000)]);
    let out = Effect::HandOut { market: MarketId(0), account: AccountId(1), size: Size(10_000) };
    assert_eq!(effects, [out]);
    assert_eq!(held(&story, 1), 0);
}

#[test]
fn who_owes_nothing_takes_it_back_whatever_the_price_is() {
    let mut story = opened(params(), &[account(1, 100, &[])]);
    second(&mut story, 10_000, vec![paid_in(1, 500)]);
    story.wait(100_000).batch(vec![]);
    assert_eq!(story.mode(0), Mode::Halted);
    assert_eq!(rejects(&story.batch(vec![paid_in(1, 300)])), []);
    assert_eq!(rejects(&story.batch(vec![paid_in(1, -800)])), []);
    assert_eq!(held(&story, 1), 0);
}

#[test]
fn the_pool_takes_no_more_than_the_policy_says_and_from_nobody_who_is_isolated() {
    let isolate = |account: u64| {
        let (owner, account) = (AccountId(1), AccountId(account));
        Input::Isolate(Isolate { market: MarketId(0), owner, account, amount: Notional(10 * MICRO) })
    };
    let mut story = opened(params(), &[account(1, 100, &[]), account(2, 100, &[])]);
    second(&mut story, 10_000, vec![isolate(11), paid_in(1, 600_000)]);
    let full = [Reject::CollateralFull { max: Size(1_000_000) }];
    assert_eq!(rejects(&second(&mut story, 10_000, vec![paid_in(2, 400_001)])), full);
    assert_eq!(rejects(&second(&mut story, 10_000, vec![paid_in(2, 400_000)])), []);
    assert_eq!(rejects(&second(&mut story, 10_000, vec![paid_in(1, 1)])), full);
    assert_eq!(story.kernel.state().market(MarketId(0)).unwrap().collateral, 1_000_000);
    second(&mut story, 10_000, vec![paid_in(1, -1)]);
    assert_eq!(rejects(&second(&mut story, 10_000, vec![paid_in(2, 1)])), []);
    assert_eq!(rejects(&second(&mut story, 10_000, vec![paid_in(11, 1)])), [Reject::Mismatch]);
    assert_eq!(rejects(&second(&mut story, 10_000, vec![paid_in(9, 1)])), [Reject::UnknownAccount]);
    assert_eq!(rejects(&second(&mut story, 10_000, vec![paid_in(1, 0)])), [Reject::OutOfRange]);
    assert_eq!(rejects(&second(&mut story, 10_000, vec![paid_in(1, i64::MIN)])), [Reject::OutOfRange]);
    // By default nothing is taken.
    let mut story = opened(quick(2), &[account(1, 100, &[])]);
    let full = [Reject::CollateralFull { max: Size(0) }];
    assert_eq!(rejects(&second(&mut story, 10_000, vec![paid_in(1, 1)])), full);
}

#[test]
fn a_driven_price_carries_nothing_and_a_market_that_trips_carries_nothing() {
    let mut story = opened(params(), &[having(account(1, 1, &[]), 10_000)]);
    let counts = |story: &Story, lens: Lens| {
        credit(story.kernel.state().market(MarketId(0)).unwrap(), Size(10_000), lens).counted / i128::from(MICRO)
    };
    assert_eq!((counts(&story, Lens::Mark), counts(&story, Lens::Unkind)), (900, 900));
    // Twenty times the price: it is worth that at the mark, but opens no more than where the price has been for long.
    for step in 1..=200 {
        second(&mut story, 10_000 + 200 * step, vec![]);
    }
    assert!(4_000 <= counts(&story, Lens::Mark), "{}", counts(&story, Lens::Mark));
    assert!(counts(&story, Lens::Unkind) <= 905, "{}", counts(&story, Lens::Unkind));
    // Two contradict each other: nothing opens against it at all; whoever holds something is judged at the mark all the same.
    let worth = counts(&story, Lens::Mark);
    story.wait(1).prices(0, &[50_000, 55_000]);
    assert_eq!((counts(&story, Lens::Unkind), counts(&story, Lens::Mark)), (0, worth));
}

#[test]
fn what_is_paid_into_a_market_that_trips_waits_for_it() {
    let mut story = opened(params(), &[account(1, 100, &[])]);
    second(&mut story, 10_000, vec![paid_in(1, 1_000)]);
    let lots = |story: &Story| {
        let account = &story.kernel.state().pools[0].accounts[&AccountId(1)];
        (account.collateral[0].lots.0, account.collateral[0].ripening.0)
    };
    // In dispute when its time comes; a second later it is not, and it waits as long again.
    for _ in 0..62 {
        second(&mut story, 10_000, vec![]);
    }
    story.wait(1).prices(0, &[10_000, 10_500]);
    story.wait(1).prices(0, &[10_000, 10_500]);
    assert_eq!(lots(&story), (0, 1_000));
    for _ in 0..61 {
        second(&mut story, 10_000, vec![]);
    }
    assert_eq!(lots(&story), (0, 1_000));
    for _ in 0..4 {
        second(&mut story, 10_000, vec![]);
    }
    assert_eq!(lots(&story), (1_000, 0));
}

#[test]
fn collateral_counts_for_no_more_than_its_owner_may_owe() {
    // 400 USD are owed, and 900 count; one may owe less than that, or all may.
    for (own, all, carries) in [(405, 1_000, true), (404, 1_000, false), (1_000, 405, true), (404, 404, false)] {
        let mut params = venue(vec![params()]);
        params.pools[0].account_borrow_max = Notional(own.min(all) * MICRO);
        params.pools[0].borrow_max = Notional(all * MICRO);
        let loser = having(account(1, -400, &[]), 10_000);
        let mut story = Story { prompt: true, ..Story::new(&params, &[loser, account(2, 1_000, &[])]) };
        story.hold(0, &[10_000; 2], 30);
        assert_eq!(story.kernel.state().pools[0].owed, 400 * i128::from(MICRO));
        let refused = rejects(&second(&mut story, 10_000, vec![order(1, 1, 0, 1_000, 10_000)]));
        let expected = Reject::Margin { free: Notional(4 * MICRO), needed: Notional(5 * MICRO) };
        assert_eq!(refused, if carries { vec![] } else { vec![expected] }, "{own} {all}");
        // Whoever has money of its own is asked nothing.
        assert_eq!(rejects(&second(&mut story, 10_000, vec![order(2, 2, 0, 1_000, 10_000)])), []);
    }
}

#[test]
fn nobody_is_paid_out_what_is_not_there_in_cash() {
    let accounts = [having(account(1, 100, &[]), 10_000), account(2, 50, &[])];
    let mut story = opened(params(), &accounts);
    assert_eq!(spare(&mut story, 1), 100 * MICRO);
    let refused = rejects(&second(&mut story, 10_000, vec![withdraw(1, 101)]));
    assert_eq!(refused, [Reject::Margin { free: Notional(100 * MICRO), needed: Notional(101 * MICRO) }]);
    assert_eq!(rejects(&second(&mut story, 10_000, vec![withdraw(1, 100)])), []);
    assert_eq!((cash(&story, 1), held(&story, 1)), (0, 10_000));
}

/// Owes 850 USD against 10,000 lots, which count for 900 at 100 USD: under maintenance below 94.44.
fn debtor() -> Story {
    let accounts = [having(account(1, -850, &[]), 10_000), account(2, 10_000, &[]), account(3, 0, &[])];
    opened(params(), &accounts)
}

#[test]
fn a_debt_is_sold_for_once_its_collateral_counts_for_less() {
    let mut story = debtor();
    let refused = rejects(&second(&mut story, 9_445, vec![buy(2, 1, 1, 10_000)]));
    assert_eq!(refused, [Reject::Restricted], "850.05 still count");
    // 849.96 of 850: for sale at the mark at first, as much of it as makes up for that: a lot counted for a tenth less than it brings, which
    // is 0.009444; five of them, and one for what is rounded.
    let ask = |story: &mut Story, input: Input| rejects(&second(story, 9_444, vec![input]));
    second(&mut story, 9_444, vec![]);
    let mut at_once = Story { kernel: story.kernel.clone(), effects: vec![], now: story.now - 1_000_000, prompt: true };
    assert_eq!(ask(&mut at_once, buy(2, 1, 7, 10_000)), [Reject::BeyondSize { remaining: Size(6) }]);
    assert_eq!(ask(&mut at_once, buy(2, 1, 1, 9_434)), [Reject::BeyondLimit { limit: Price(9_434 * USD / 100) }]);
    assert_eq!(ask(&mut at_once, buy(1, 1, 1, 10_000)), [Reject::Mismatch]);
    assert_eq!(ask(&mut at_once, buy(2, 3, 1, 10_000)), [Reject::Restricted]);
    assert_eq!(ask(&mut at_once, buy(2, 9, 1, 10_000)), [Reject::UnknownAccount]);
    assert_eq!(ask(&mut at_once, buy(9, 1, 1, 10_000)), [Reject::UnknownAccount]);
    assert_eq!(ask(&mut at_once, buy(2, 1, 0, 10_000)), [Reject::OutOfRange]);
    let poor = ask(&mut at_once, buy(3, 1, 1, 10_000));
    assert!(matches!(poor[..], [Reject::Margin { free: Notional(0), needed: Notional(90_000..=94_440) }]), "{poor:?}");
    // Half of the auction later: a discount of 5%, which is 89.718.
    for _ in 0..49 {
        second(&mut story, 9_444, vec![]);
    }
    let effects = second(&mut story, 9_444, vec![buy(2, 1, 10, 8_972)]);
    let (account, buyer, price) = (AccountId(1), AccountId(2), Price(8_971_800_000));
    let sold = Effect::CollateralSold { market: MarketId(0), account, buyer, size: Size(10), price };
    assert_eq!(effects, [sold]);
    // 0.89718 USD against 0.84996 that they counted for: it is well again, and nothing more of it is for sale.
    assert_eq!((cash(&story, 1), cash(&story, 2)), (-849_102_820, 9_999_102_820));
    assert_eq!((held(&story, 1), held(&story, 2)), (9_990, 10));
    assert_eq!(ask(&mut story, buy(2, 1, 1, 10_000)), [Reject::Restricted]);
    // What was bought counts at once, and can be had.
    assert_eq!(rejects(&second(&mut story, 9_444, vec![paid_in(2, -10)])), []);
}

#[test]
fn what_nobody_buys_goes_to_the_backstop_as_far_as_it_can_pay() {
    for (backstop_cash, sold) in [(10_000, true), (100, false)] {
        let mut params = venue(vec![params()]);
        params.pools[0].backstop = Some(AccountId(2));
        let accounts = [having(account(1, -850, &[]), 10_000), account(2, backstop_cash, &[]), account(3, 900, &[])];
        let mut story = Story { prompt: true, ..Story::new(&params, &accounts) };
        story.hold(0, &[10_000; 2], 30);
        story.effects.clear();
        second(&mut story, 9_000, vec![]);
        for _ in 0..99 {
            second(&mut story, 9_000, vec![]);
        }
        assert_eq!(held(&story, 2), 0, "not before the auction is over");
        second(&mut story, 9_000, vec![]);
        // At 81 all of it brings 810; the insurance fund and then everybody who holds the market owe the rest.
        assert_eq!(held(&story, 2), if sold { 10_000 } else { 1_234 });
        assert_eq!(held(&story, 1), if sold { 0 } else { 8_766 });
        if sold {
            assert_eq!((cash(&story, 1), cash(&story, 2)), (0, 9_190 * MICRO));
            assert_eq!(story.kernel.state().pools[0].deficit, 40 * i128::from(MICRO));
            assert_eq!(story.kernel.state().pools[0].distressed.len(), 0);
        } else {
            assert_eq!(cash(&story, 1), -850 * MICRO + 99_954_000);
        }
    }
}

#[test]
fn an_auction_over_ends_without_a_price() {
    // Nobody speaks when it is over, but a price that was agreed on still serves: it is looked at in time.
    let mut params = venue(vec![params()]);
    params.pools[0].backstop = Some(AccountId(2));
    params.markets[0].collateral.auction = Duration::seconds(2);
    let accounts = [having(account(1, -850, &[]), 10_000), account(2, 10_000, &[])];
    let mut story = Story { prompt: true, ..Story::new(&params, &accounts) };
    story.hold(0, &[10_000; 2], 30);
    second(&mut story, 9_000, vec![]);
    story.wait(3).batch(vec![]);
    assert_eq!(held(&story, 2), 10_000);
}

#[test]
fn a_wrong_price_sells_nobodys_collateral() {
    // Two sources contradict each other; at the lower one it would be for sale.
    let mut story = debtor();
    for _ in 0..5 {
        story.wait(1).prices(0, &[9_000, 10_000]);
        assert_eq!(rejects(&story.batch(vec![buy(2, 1, 1, 10_000)])), [Reject::Restricted]);
    }
}

#[test]
fn a_top_up_ends_the_sale() {
    let mut story = debtor();
    second(&mut story, 9_000, vec![]);
    let effects = second(&mut story, 9_000, vec![deposit(1, 40), buy(2, 1, 1, 10_000)]);
    assert_eq!(rejects(&effects), [Reject::Restricted]);
    let effects = second(&mut story, 9_000, vec![]);
    assert_eq!(effects, []);
    assert_eq!(story.kernel.state().pools[0].distressed.len(), 0);
}

#[test]
fn positions_are_closed_first_and_the_loss_is_paid_for_by_collateral() {
    // A long of 1,000 USD against 120 USD of collateral, which count for 108. At 93 it has lost 70 and counts for 100.44.
    let long = having(account(1, 0, &[(0, 10_000, 100)]), 1_200);
    let accounts = [long, account(2, 5_000, &[(0, -10_000, 100)]), account(3, 5_000, &[])];
    let mut story = opened(params(), &accounts);
    second(&mut story, 10_000, vec![insurance(1_000)]);
    second(&mut story, 9_300, vec![]);
    assert_eq!(story.kernel.state().pools[0].distressed.len(), 0, "30.44 on 930 are more than 23.25");
    let effects = second(&mut story, 9_150, vec![]);
    let liquidated = liquidations(&effects);
    assert_eq!(liquidated.len(), 1, "13.82 on 915 are less than 22.875");
    // 13.82 - 0.5% of what is closed are 2.75% of what is left once 504.11 of 915 are closed.
    let (_, lots, id) = liquidated[0];
    assert_eq!(lots, -5_510);
    second(&mut story, 9_150, vec![order(9, 3, 0, -lots, 9_150)]);
    second(&mut story, 9_150, vec![trade(0, protocol::OrderId(9), id, 9_150, -lots)]);
    // It owes cash now, and is well.
    assert!(cash(&story, 1) < 0, "{}", cash(&story, 1));
    assert_eq!(story.kernel.state().pools[0].insurance, 1_002_520_825);
    assert_eq!(rejects(&second(&mut story, 9_150, vec![buy(3, 1, 1, 10_000)])), [Reject::Restricted]);
    assert_eq!(held(&story, 1), 1_200);
}

#[test]
fn who_sold_at_a_loss_owes_it_and_keeps_what_it_has() {
    let mut story = indebted(0, 10_000);
    second(&mut story, 6_100, vec![]);
    // Insolvent but for its collateral, which counts for 549 against 390 lost.
    assert_eq!(cash(&story, 1), 0);
    assert_eq!(story.kernel.state().pools[0].distressed.len(), 0);
    second(&mut story, 6_100, vec![order(3, 1, 0, -10_000, 6_100), order(4, 3, 0, 10_000, 6_100)]);
    second(&mut story, 6_100, vec![trade(0, protocol::OrderId(4), protocol::OrderId(3), 6_100, 10_000)]);
    assert_eq!((cash(&story, 1), held(&story, 1)), (-390 * MICRO, 10_000));
    assert_eq!(story.kernel.state().pools[0].owed, 390 * i128::from(MICRO));
    // Most of it can be taken back: what is left has to count for the debt, at the stable price where that is less.
    let spare = |story: &mut Story, lots: i64| rejects(&second(story, 6_100, vec![paid_in(1, -lots)]));
    assert_eq!(spare(&mut story, 2_897).len(), 1);
    assert_eq!(spare(&mut story, 2_896), []);
}

#[test]
fn collateral_at_genesis_must_fit() {
    let build = |genesis: Genesis| Kernel::new(&venue(vec![params()]), &[genesis]).is_ok();
    let listed = |market: u16, lots: i64| Genesis {
        collateral: vec![(MarketId(market), Size(lots))],
        pool: PoolId(0),
        ..account(1, 0, &[])
    };
    assert!(build(listed(0, 1_000_000)));
    assert!(!build(listed(0, 1_000_001)));
    assert!(!build(listed(0, 0)));
    assert!(!build(listed(0, -1)));
    assert!(!build(listed(1, 1)));
    let twice = Genesis { collateral: vec![(MarketId(0), Size(1)); 2], ..account(1, 0, &[]) };
    assert!(!build(twice));
}

#[test]
fn a_price_that_falls_finds_a_debtor_at_once() {
    // Its trigger is the collateral's: it holds no position.
    let mut story = debtor();
    for cents in (9_400..10_000).rev().step_by(20) {
        second(&mut story, cents, vec![]);
        let under = cents < 9_445;
        let seen = story.kernel.state().pools[0].distressed.contains_key(&AccountId(1));
        assert!(seen || !under, "{cents}");
    }
    assert_eq!(story.kernel.state().pools[0].distressed.len(), 1);
}

#[test]
fn whoever_pays_in_crumbs_keeps_few_alarms_and_each_crumb_waits_for_its_ramp() {
    let mut params = params();
    params.collateral.ramp = Duration::seconds(640);
    let mut story = opened(params, &[account(1, 100, &[])]);
    // A ten-second part of the ramp: its end is at the next multiple of ten.
    story.now = (story.now / 10_000_000 + 1) * 10_000_000;
    for _ in 0..1_000 {
        story.now += 10_000;
        story.batch(vec![paid_in(1, 1)]);
    }
    let pool = &story.kernel.state().pools[0];
    assert_eq!(pool.alarms.len(), 1);
    let held = pool.accounts[&AccountId(1)].collateral[0];
    assert_eq!((held.lots, held.ripening, held.ripe_at.0), (Size(0), Size(1_000), story.now + 640_000_000));
    story.now += 1;
    story.batch(vec![paid_in(1, 1)]);
    let held = story.kernel.state().pools[0].accounts[&AccountId(1)].collateral[0];
    assert_eq!(held.ripe_at.0, story.now - 1 + 650_000_000);
}

#[test]
fn a_mark_that_is_slow_to_rise_gives_nobody_a_bargain() {
    let mut params = params();
    (params.mark.step_max, params.mark.step_window) = (Ratio::percent(1), Duration::seconds(10));
    params.collateral.auction = Duration::seconds(1_000_000);
    let accounts = [having(account(1, -850, &[]), 10_000), account(2, 10_000, &[])];
    let mut story = opened(params, &accounts);
    for _ in 0..1_000 {
        second(&mut story, 8_000, vec![]);
    }
    let mark = |story: &Story| story.kernel.state().market(MarketId(0)).unwrap().mark.price;
    assert_eq!(mark(&story), Price(80 * USD));
    // It rises to 87.50, at which the collateral counts for 787.50 of 850: still for sale, and not at 80.
    for _ in 0..3 {
        second(&mut story, 8_750, vec![]);
    }
    assert!(mark(&story) < Price(81 * USD));
    let refused = rejects(&second(&mut story, 8_750, vec![buy(2, 1, 10, 8_600)]));
    assert_eq!(refused, [Reject::BeyondLimit { limit: Price(86 * USD) }]);
    assert_eq!(rejects(&second(&mut story, 8_750, vec![buy(2, 1, 10, 8_750)])), []);
}

#[test]
fn nobody_borrows_by_losing_to_an_accomplice() {
    // 1,000 USD of collateral and a cap of 400: whatever it sells for less than it paid, it owes no more.
    let mut params = venue(vec![params()]);
    params.pools[0].account_borrow_max = Notional(400 * MICRO);
    let accounts = [having(account(1, 1, &[]), 10_000), account(2, 100_000, &[]), account(3, 9_000, &[])];
    let mut story = Story { prompt: true, ..Story::new(&params, &accounts) };
    story.hold(0, &[10_000; 2], 30);
    for round in 0..20 {
        let (buys, sells) = (2 * round + 1, 2 * round + 2);
        second(
            &mut story,
            10_000,
            vec![order(100 * buys, 1, 0, 70_000, 10_000), order(100 * buys + 1, 2, 0, -70_000, 10_000)],
        );
        let (buy, sell) = (protocol::OrderId(100 * buys), protocol::OrderId(100 * buys + 1));
        second(&mut story, 10_000, vec![trade(0, buy, sell, 10_000, 70_000)]);
        let size = |story: &Story| story.kernel.state().pools[0].accounts[&AccountId(1)].size_in(MarketId(0)).0;
        let held = size(&story);
        let effects = second(
            &mut story,
            10_000,
            vec![order(100 * sells, 1, 0, -held, 9_500), order(100 * sells + 1, 2, 0, held, 10_000)],
        );
        let limit = effects.iter().find_map(|effect| match effect {
            Effect::Admit { order } if order.account == AccountId(1) => Some(order.limit),
            _ => None,
        });
        let Some(limit) = limit else { break };
        let (sell, buy) = (protocol::OrderId(100 * sells), protocol::OrderId(100 * sells + 1));
        second(&mut story, 10_000, vec![trade(0, buy, sell, limit.0 / (USD / 100) + 1, held)]);
    }
    assert!(cash(&story, 1) < -300 * MICRO, "{}", cash(&story, 1));
    assert!(-400 * MICRO <= cash(&story, 1), "{}", cash(&story, 1));
}

#[test]
fn who_leaves_pays_with_what_it_has_beside_whether_or_not_anybody_may_open() {
    let accounts = [
        having(account(1, 0, &[(0, 10_000, 100)]), 5_000),
        account(2, 500, &[(0, 10_000, 100)]),
        account(3, 100_000, &[(0, -20_000, 100)]),
    ];
    let mut story = opened(params(), &accounts);
    // Nobody opens in a dispute; both may leave at five percent below the mark.
    story.wait(1).prices(0, &[10_000, 10_500]);
    assert_eq!(story.mode(0), Mode::ReduceOnly);
    let effects = story.batch(vec![order(1, 1, 0, -10_000, 9_000), order(2, 2, 0, -10_000, 9_000)]);
    let limits: Vec<(u64, Price)> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Admit { order } => Some((order.account.0, order.limit)),
            _ => None,
        })
        .collect();
    assert_eq!(limits.len(), 2);
    assert_eq!(limits[0].1, limits[1].1, "{limits:?}");
    assert!(limits[0].1 < Price(96 * USD));
}

#[test]
fn what_does_not_count_yet_is_worth_something_all_the_same() {
    let accounts = [account(1, 60, &[(0, 10_000, 100)]), account(2, 100_000, &[(0, -10_000, 100)])];
    let mut story = opened(params(), &accounts);
    second(&mut story, 10_000, vec![insurance(1_000)]);
    second(&mut story, 10_000, vec![paid_in(1, 10_000)]);
    // 40 USD under water but for 900 that ripen: it is liquidated, and nobody else pays.
    for _ in 0..30 {
        let effects = second(&mut story, 9_000, vec![]);
        let others = |effect: &Effect| matches!(effect, Effect::InsurancePaid { .. } | Effect::Deleveraged { .. });
        assert!(!effects.iter().any(others), "{effects:?}");
    }
    let insolvent = |effect: &Effect| matches!(effect, Effect::Liquidate { insolvent: true, .. });
    assert!(!story.effects.iter().any(insolvent));
    assert!(!liquidations(&story.effects).is_empty());
}

#[test]
fn a_lot_without_a_price_keeps_no_debt_from_being_covered() {
    for dust in [false, true] {
        let mut listed = venue(vec![params(), params()]);
        listed.pools[0].backstop = Some(AccountId(2));
        let mut debtor = having(account(1, -850, &[]), 10_000);
        if dust {
            debtor.collateral.push((MarketId(1), Size(1)));
        }
        let mut story = Story { prompt: true, ..Story::new(&listed, &[debtor, account(2, 10_000, &[])]) };
        story.hold(0, &[10_000; 2], 30);
        story.batch(vec![insurance(1_000)]);
        story.hold(0, &[8_000; 2], 110);
        assert_eq!((held(&story, 1), cash(&story, 1)), (0, 0), "{dust}");
        // 720 were paid for it.
        assert_eq!(story.kernel.state().pools[0].insurance, 870 * i128::from(MICRO), "{dust}");
    }
}

#[test]
fn the_auction_stands_only_while_something_is_for_sale() {
    let mut listed = venue(vec![params()]);
    listed.pools[0].backstop = Some(AccountId(2));
    let accounts = [having(account(1, -850, &[]), 10_000), account(2, 10_000, &[])];
    let mut story = Story { prompt: true, ..Story::new(&listed, &accounts) };
    story.hold(0, &[10_000; 2], 30);
    story.hold(0, &[9_400; 2], 1);
    // In dispute nothing of it is; then it begins anew.
    story.hold(0, &[9_400, 9_700], 120);
    assert_eq!(held(&story, 2), 0);
    story.hold(0, &[9_400; 2], 100);
    assert_eq!(held(&story, 2), 0);
    story.hold(0, &[9_400; 2], 1);
    assert!(0 < held(&story, 2));
}

#[test]
fn what_a_sale_leaves_owing_is_shared_by_the_markets_by_what_was_sold_in_each() {
    // 950 USD owed; 900 USD of one asset and 300 of another, which come to 630 and 210.
    let debtor =
        Genesis { collateral: vec![(MarketId(0), Size(9_000)), (MarketId(1), Size(3_000))], ..account(1, -950, &[]) };
    let holders = [(3, 0, 10_000), (4, 0, -10_000), (5, 1, 10_000), (6, 1, -10_000)];
    let holders = holders.map(|(id, market, lots)| account(id, 10_000, &[(market, lots, 100)]));
    let accounts: Vec<Genesis> = [debtor, account(2, 10_000, &[])].into_iter().chain(holders).collect();
    let mut story = Story { prompt: true, ..Story::new(&venue(vec![params(), params()]), &accounts) };
    let look = |story: &mut Story, cents: i64, more: Vec<Input>| {
        story.wait(1);
        let now = story.now;
        let seen = [(0, 0), (0, 1), (1, 0), (1, 1)];
        let seen = seen.map(|(market, source)| common::observation(market, source, cents * (USD / 100), now, now));
        story.batch(seen.into_iter().chain(more).collect())
    };
    for _ in 0..30 {
        look(&mut story, 10_000, vec![]);
    }
    for cents in [9_200, 8_500, 7_800, 7_000] {
        look(&mut story, cents, vec![]);
    }
    let sale = |market: u16, lots: i64| {
        let (market, account, from) = (MarketId(market), AccountId(2), AccountId(1));
        Input::Buy(Buy { market, account, from, size: Size(lots), limit: Price(100 * USD) })
    };
    let effects = look(&mut story, 7_000, vec![sale(0, 9_000), sale(1, 3_000)]);
    let sold: Vec<i64> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::CollateralSold { size, price, .. } => Some(size.0 * price.0 / 100_000),
            _ => None,
        })
        .collect();
    assert_eq!(sold.len(), 2, "{effects:?}");
    let owing = 950 * MICRO - sold.iter().sum::<i64>();
    let paid = |market: u16| -> i64 {
        let part = |effect: &Effect| match effect {
            Effect::Socialized { market: of, amount, .. } if *of == MarketId(market) => Some(amount.0),
            _ => None,
        };
        effects.iter().filter_map(part).sum()
    };
    assert_eq!(paid(0) + paid(1), owing);
    assert!((paid(0) - owing * 3 / 4).abs() <= 1, "{} of {owing}", paid(0));
    assert_eq!(cash(&story, 1), 0);
}

#[test]
fn what_does_not_count_yet_in_one_market_is_not_sold_first_in_another() {
    // As in a sale of one asset: six lots restore it. Of another asset it has paid in lots that don't count yet, and those are not these.
    let debtor = having(account(1, -850, &[]), 10_000);
    let accounts = [debtor, account(2, 10_000, &[]), account(3, 0, &[])];
    let mut story = Story { prompt: true, ..Story::new(&venue(vec![params(), params()]), &accounts) };
    let look = |story: &mut Story, cents: i64, more: Vec<Input>| {
        story.wait(1);
        let now = story.now;
        let seen = [(0, 0, cents), (0, 1, cents), (1, 0, 10_000), (1, 1, 10_000)];
        let seen =
            seen.map(|(market, source, cents)| common::observation(market, source, cents * (USD / 100), now, now));
        story.batch(seen.into_iter().chain(more).collect())
    };
    for _ in 0..30 {
        look(&mut story, 10_000, vec![]);
    }
    let other = Collateral { market: MarketId(1), account: AccountId(1), size: Size(5_000) };
    assert_eq!(rejects(&look(&mut story, 10_000, vec![Input::Collateral(other)])), []);
    look(&mut story, 9_444, vec![]);
    story.now -= 1_000_000;
    let refused = rejects(&look(&mut story, 9_444, vec![buy(2, 1, 7, 10_000)]));
    assert_eq!(refused, [Reject::BeyondSize { remaining: Size(6) }]);
}

#[test]
fn collateral_may_be_as_large_as_the_most_lots_and_not_one_larger() {
    let most = i64::MAX / 4;
    let mut params = params();
    params.collateral.deposit_max = Size(i64::MAX);
    let mut story = opened(params, &[account(1, 100, &[]), account(2, 100, &[])]);
    let mut ask = |input: Input| rejects(&second(&mut story, 10_000, vec![input]));
    assert_eq!(ask(paid_in(1, most + 1)), [Reject::OutOfRange]);
    assert_eq!(ask(paid_in(1, -most - 1)), [Reject::OutOfRange]);
    assert_eq!(ask(paid_in(1, most - 1)), []);
    assert_eq!(ask(paid_in(1, 2)), [Reject::Overflow]);
    assert_eq!(ask(paid_in(1, 1)), []);
    assert_eq!(ask(paid_in(1, 1)), [Reject::Overflow]);
    assert_eq!(ask(paid_in(1, -most)), []);
    assert_eq!(held(&story, 1), 0);
    // Nor may a buyer's be.
    let mut params = common::quick(2);
    params.collateral = CollateralParams { deposit_max: Size(i64::MAX), ..self::params().collateral };
    let accounts = [having(account(1, -850, &[]), 10_000), having(account(2, 10_000, &[]), most - 1)];
    let mut story = opened(params, &accounts);
    second(&mut story, 9_444, vec![]);
    story.now -= 1_000_000;
    let mut ask = |lots: i64| rejects(&second(&mut story, 9_444, vec![buy(2, 1, lots, 10_000)]));
    assert_eq!(ask(2), [Reject::Overflow]);
    assert_eq!(ask(1), []);
}
