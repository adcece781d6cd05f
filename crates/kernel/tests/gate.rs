//! What counts as margin, who may leave with what, and what a limit counts.

mod common;

use common::{Story, USD, account, deposit, insurance, liquidations, market, observation, order, pool, trade, venue};
use kernel::state::{BadGenesis, LOTS_MAX, State};
use kernel::{Genesis, Holding, Kernel};
use protocol::input::{Cancel, OrderDone, Transfer};
use protocol::params::Invalid;
use protocol::{AccountId, Effect, Input, LineageId, MarketId, MarketParams, OrderId, PoolId, Reject, VenueParams};
use units::{Notional, Price, Ratio, Size};

/// Markets of three sources at 100 USD long enough to have come up.
fn open(params: &VenueParams, accounts: &[Genesis]) -> Story {
    let mut story = Story::new(params, accounts);
    for _ in 0..301 {
        story.wait(1);
        all(&mut story, &vec![[10_000; 3]; params.markets.len()]);
    }
    story.effects.clear();
    story
}

/// A price of every market, a source each, in cents.
fn all(story: &mut Story, cents: &[[i64; 3]]) -> Vec<Effect> {
    let now = story.now;
    let seen = |(market, cents): (u16, &[i64; 3])| {
        let one = move |(source, cents): (u8, i64)| observation(market, source, cents * (USD / 100), now, now);
        (0..).zip(*cents).map(one).collect::<Vec<_>>()
    };
    story.batch((0..).zip(cents).flat_map(seen).collect())
}

fn rejects(effects: &[Effect]) -> Vec<Reject> {
    let reject = |effect: &Effect| match effect {
        Effect::Rejected { reject, .. } => Some(*reject),
        _ => None,
    };
    effects.iter().filter_map(reject).collect()
}

fn transfer(account: u64, micro: i64) -> Transfer {
    Transfer { pool: PoolId(0), account: AccountId(account), amount: Notional(micro) }
}

fn cash(story: &Story, id: u64) -> i64 {
    story.kernel.state().pools[0].accounts[&AccountId(id)].cash.0
}

fn admitted(effects: &[Effect]) -> Vec<i64> {
    let limit = |effect: &Effect| match effect {
        Effect::Admit { order } => Some(order.limit.0),
        _ => None,
    };
    effects.iter().filter_map(limit).collect()
}

/// The story goes on from a state that somebody changed.
fn change(story: &mut Story, how: impl FnOnce(&mut State)) {
    let mut state = story.kernel.state().clone();
    how(&mut state);
    story.kernel = Kernel::resume(state);
}

fn margin(free: i64, needed: i64) -> Reject {
    Reject::Margin { free: Notional(free), needed: Notional(needed) }
}

#[test]
fn gains_and_losses_count_at_the_edge_that_is_not_kind_to_them() {
    // 4 base from 90 USD, at 100 ± 0.10: 39.60 gained, 40.40 lost; 20 USD of initial margin.
    let accounts = [account(1, 20, &[(0, 4_000, 90)]), account(2, 100, &[(0, -4_000, 90)]), account(3, 0, &[])];
    let mut story = open(&venue(vec![market(3)]), &accounts);
    story.wait(1).prices(0, &[9_990, 10_000, 10_010]);
    assert_eq!(story.quality(0).confidence, Price(10 * (USD / 100)));
    let one_past = story.batch(vec![Input::Withdraw(transfer(2, 39_600_001))]);
    assert_eq!(rejects(&one_past), [margin(39_600_000, 39_600_001)]);
    assert_eq!(rejects(&story.batch(vec![Input::Withdraw(transfer(2, 39_600_000))])), []);
    // 20 + 39.60 − 20 carry 792 more of notional: 7,920 lots, and not one more.
    let one_past = story.batch(vec![order(1, 1, 0, 7_921, 10_000)]);
    assert_eq!(rejects(&one_past), [margin(39_600_000, 39_605_000)]);
    assert_eq!(rejects(&story.batch(vec![order(1, 1, 0, 7_920, 10_000)])), []);
}

#[test]
fn a_gain_in_a_market_where_nobody_may_open_is_no_margin_elsewhere() {
    // 100 USD, 40 of gain and 20 of initial margin: 120 USD carry 2,400 in the other market, 80 carry 1,600.
    let accounts = [account(1, 100, &[(0, 4_000, 90)]), account(2, 100, &[(0, -4_000, 90)])];
    let two = venue(vec![market(3), market(3)]);
    let mut sound = open(&two, &accounts);
    let past = sound.batch(vec![order(1, 1, 1, 24_001, 10_000)]);
    assert_eq!(rejects(&past), [margin(120_000_000, 120_005_000)]);
    assert_eq!(rejects(&sound.batch(vec![order(1, 1, 1, 24_000, 10_000)])), []);
    let mut doubtful = open(&two, &accounts);
    doubtful.wait(1);
    all(&mut doubtful, &[[10_000, 10_000, 10_300], [10_000; 3]]);
    assert_eq!(doubtful.quality(0).state, protocol::QualityState::Disputed);
    assert_eq!(doubtful.kernel.state().market(MarketId(0)).unwrap().mark.price, Price(100 * USD));
    let past = doubtful.batch(vec![order(1, 1, 1, 16_001, 10_000)]);
    assert_eq!(rejects(&past), [margin(80_000_000, 80_005_000)]);
    assert_eq!(rejects(&doubtful.batch(vec![order(1, 1, 1, 16_000, 10_000)])), []);
    // The loss of the other side is counted, at 103: 100 − 52 − 20.
    let loser = doubtful.batch(vec![order(2, 2, 1, 5_601, 10_000)]);
    assert_eq!(rejects(&loser), [margin(28_000_000, 28_005_000)]);
}

#[test]
fn an_exit_is_paid_for_with_its_own_gain_and_with_no_doubtful_one() {
    let accounts =
        [account(1, 10, &[(0, 4_000, 90), (1, 1_000, 100)]), account(2, 500, &[(0, -4_000, 90), (1, -1_000, 100)])];
    let mut wide = market(3);
    wide.liquidation.slippage_max = Ratio::percent(20);
    let mut story = open(&venue(vec![wide.clone(), wide]), &accounts);
    story.wait(1);
    all(&mut story, &[[10_000, 10_000, 10_300], [10_000; 3]]);
    // 10 USD for one base: not the 50 that the doubtful gain would make of them.
    assert_eq!(admitted(&story.batch(vec![order(1, 1, 1, -1_000, 4_000)])), [90 * USD]);
    story.batch(vec![Input::Cancel(Cancel { market: MarketId(1), account: AccountId(1), order: OrderId(1) })]);
    // Whoever sells the doubtful position itself has its gain by then: 50 USD for 4 base.
    assert_eq!(admitted(&story.batch(vec![order(2, 1, 0, -4_000, 1_000)])), [8_750_000_000]);
}

#[test]
fn what_rests_counts_as_open_interest() {
    let mut params = venue(vec![market(3)]);
    params.markets[0].open_interest_max = Size(10_000);
    params.pools[0].backstop = Some(AccountId(7));
    let rich = [1, 2, 3, 7].map(|id| account(id, 9_000, &[]));
    let mut story = open(&params, &rich);
    let full = [Reject::OpenInterest { max: Size(10_000) }];
    assert_eq!(rejects(&story.batch(vec![order(1, 1, 0, 6_000, 10_000), order(2, 2, 0, -10_000, 10_000)])), []);
    assert_eq!(rejects(&story.batch(vec![order(3, 3, 0, 4_001, 10_000)])), full, "one past it");
    assert_eq!(rejects(&story.batch(vec![order(4, 3, 0, 4_000, 10_000)])), []);
    assert_eq!(rejects(&story.batch(vec![order(5, 3, 0, -1, 10_100)])), full, "sales count apart");
    // What is filled is open instead of resting, so there is still no room; what is taken back makes some.
    story.batch(vec![trade(0, OrderId(1), OrderId(2), 10_000, 5_000)]);
    let market_is = |story: &Story| {
        let market = story.kernel.state().market(MarketId(0)).unwrap().clone();
        (market.open_interest, market.opening_buys, market.opening_sells)
    };
    assert_eq!(market_is(&story), (5_000, 5_000, 5_000));
    assert_eq!(rejects(&story.batch(vec![order(6, 3, 0, 1, 10_000)])), full);
    story.batch(vec![Input::OrderDone(OrderDone { market: MarketId(0), order: OrderId(4) })]);
    assert_eq!(market_is(&story), (5_000, 1_000, 5_000));
    assert_eq!(rejects(&story.batch(vec![order(7, 3, 0, 4_001, 10_000)])), full);
    assert_eq!(rejects(&story.batch(vec![order(8, 3, 0, 4_000, 10_000)])), []);
    // An exit opens nothing, whatever the limit says, and the backstop's orders meet liquidations only.
    assert_eq!(rejects(&story.batch(vec![order(9, 1, 0, -5_000, 10_000), order(10, 7, 0, -5_000, 10_000)])), []);
    assert_eq!(market_is(&story), (5_000, 5_000, 5_000));
}

#[test]
fn the_sums_of_resting_orders_are_an_invariant() {
    let mut story = open(&venue(vec![market(3)]), &[account(1, 900, &[])]);
    story.batch(vec![order(1, 1, 0, 10, 10_000), order(2, 1, 0, -20, 10_000)]);
    let mut state = story.kernel.state().clone();
    state.pools[0].markets[0].opening_sells += 1;
    let broken = state.check().expect_err("a lot too many");
    assert_eq!((broken.invariant, broken.found, broken.expected), (17, 21, 20));
    state.pools[0].markets[0].opening_sells -= 1;
    state.pools[0].accounts.get_mut(&AccountId(1)).unwrap().taken.insert(MarketId(0), 1);
    assert_eq!(state.check().expect_err("nothing was taken").invariant, 18);
}

/// A pool that lacks so many micro-USD.
fn lacking(story: &mut Story, micro: i128) {
    change(story, |state| {
        state.pools[0].deficit += micro;
        state.pools[0].deposited -= micro;
        state.check().expect("only money is missing");
    });
}

#[test]
fn while_the_pool_lacks_money_everybody_leaves_at_the_same_rate() {
    let mut story = Story::new(&venue(vec![market(3)]), &[account(1, 100, &[]), account(2, 100, &[])]);
    lacking(&mut story, 50_000_000);
    let paid = |account, amount, haircut| Effect::PayOut {
        pool: PoolId(0),
        account: AccountId(account),
        amount: Notional(amount),
        haircut: Notional(haircut),
    };
    // 150 of 200: three quarters, and the rest of it stays against the deficit.
    assert_eq!(story.batch(vec![Input::Withdraw(transfer(1, 40_000_001))]), [paid(1, 30_000_000, 10_000_001)]);
    assert_eq!(cash(&story, 1), 59_999_999);
    let pool = &story.kernel.state().pools[0];
    assert_eq!((pool.deficit, pool.deposited), (39_999_999, 120_000_000));
    assert_eq!(story.batch(vec![Input::Withdraw(transfer(2, 100_000_000))]), [paid(2, 75_000_000, 25_000_000)]);
    assert_eq!(story.batch(vec![Input::Withdraw(transfer(1, 59_999_999))]), [paid(1, 45_000_000, 14_999_999)]);
    let pool = &story.kernel.state().pools[0];
    assert_eq!((pool.deficit, pool.deposited), (0, 0));
    // Whoever comes after it loses nothing.
    story.batch(vec![deposit(1, 5)]);
    assert_eq!(story.batch(vec![Input::Withdraw(transfer(1, 5_000_000))]), [paid(1, 5_000_000, 0)]);
}

#[test]
fn money_for_the_fund_repays_the_deficit_first() {
    let mut story = open(
        &venue(vec![market(3)]),
        &[account(1, 140, &[(0, 40_000, 100)]), account(2, 10_000, &[(0, -40_000, 100)])],
    );
    let funds = |story: &Story| (story.kernel.state().pools[0].deficit, story.kernel.state().pools[0].insurance);
    lacking(&mut story, 50_000_000);
    story.batch(vec![insurance(48)]);
    assert_eq!(funds(&story), (2_000_000, 0));
    // A liquidation of 4.872 base at 98.95 pays 2.410422.
    story.wait(1).prices(0, &[9_895; 3]);
    let (_, lots, id) = liquidations(&story.effects)[0];
    story.batch(vec![order(9, 2, 0, -lots, 9_895)]);
    story.batch(vec![trade(0, OrderId(9), id, 9_895, -lots)]);
    assert_eq!(funds(&story), (0, 410_422));
    story.batch(vec![insurance(1)]);
    assert_eq!(funds(&story), (0, 1_410_422));
}

#[test]
fn nobody_takes_out_more_than_there_is() {
    // 100 and 100 paid in, 150 lost by the second; no price has told anybody yet.
    let accounts = [account(1, 100, &[]), account(2, -150, &[(0, 10, 100)]), account(3, 100, &[(0, -10, 100)])];
    let mut story = Story::new(&venue(vec![market(3)]), &accounts);
    let all = story.batch(vec![Input::Withdraw(transfer(1, 50_000_001))]);
    assert_eq!(rejects(&all), [margin(50_000_000, 50_000_001)]);
    assert_eq!(rejects(&story.batch(vec![Input::Withdraw(transfer(1, 50_000_000))])), []);
    assert_eq!(story.kernel.state().pools[0].deposited, 0);
    let owing = [account(1, 100, &[]), account(2, -150, &[(0, 10, 100)]), account(3, 49, &[(0, -10, 100)])];
    match Kernel::new(&venue(vec![market(3)]), &owing) {
        Err(BadGenesis::Broken(broken)) => assert_eq!((broken.invariant, broken.found), (7, -1_000_000)),
        other => panic!("a pool that owes more than it has: {other:?}"),
    }
}

#[test]
fn a_loss_reaches_the_markets_in_which_the_account_was_liquidated() {
    // The first loses 800 in one market and 400 in the next; its counterparty wins that and loses it in a third.
    let accounts = [
        account(1, 200, &[(0, 40_000, 100), (1, 20_000, 100)]),
        account(2, 600, &[(0, -50_000, 100), (1, -30_000, 100), (2, 110_000, 100)]),
        account(3, 9_000, &[(2, -110_000, 100)]),
        account(4, 9_000, &[(0, 10_000, 100)]),
        account(5, 9_000, &[(1, 10_000, 100)]),
    ];
    let mut one = market(3);
    one.oracle.jump_max = Ratio::ONE;
    let mut story = open(&venue(vec![one.clone(), one.clone(), one]), &accounts);
    story.wait(1);
    let out = all(&mut story, &[[8_000; 3], [8_000; 3], [8_000; 3]]);
    let mut paid = Vec::new();
    for effect in &out {
        match effect {
            Effect::Socialized { market, account, amount, .. } => paid.push((market.0, account.0, amount.0)),
            Effect::Deficit { .. } => panic!("they can pay"),
            _ => {}
        }
    }
    // 1,000 missing, two thirds and one third; whoever holds only the third market has no part in it.
    assert_eq!(paid, [(0, 4, 666_666_667), (1, 5, 333_333_333)]);
    assert_eq!((cash(&story, 1), cash(&story, 3)), (0, 9_000_000_000));
    assert!(story.kernel.state().pools[0].accounts[&AccountId(1)].taken.is_empty());
}

#[test]
fn what_a_liquidation_closed_is_remembered_until_the_distress_is_over() {
    let accounts = [account(1, 140, &[(0, 40_000, 100)]), account(2, 10_000, &[(0, -40_000, 100)])];
    let mut story = open(&venue(vec![market(3)]), &accounts);
    story.wait(1).prices(0, &[9_895; 3]);
    let (_, lots, id) = liquidations(&story.effects)[0];
    story.batch(vec![order(9, 2, 0, -lots, 9_895)]);
    let taken = |story: &Story| story.kernel.state().pools[0].accounts[&AccountId(1)].taken.clone();
    story.batch(vec![trade(0, OrderId(9), id, 9_895, 1_000)]);
    assert_eq!(taken(&story).into_iter().collect::<Vec<_>>(), [(MarketId(0), 98_950_000)]);
    story.batch(vec![trade(0, OrderId(9), id, 9_895, 1)]);
    assert_eq!(taken(&story).into_iter().collect::<Vec<_>>(), [(MarketId(0), 99_048_950)]);
    story.wait(1).prices(0, &[10_000; 3]);
    assert!(taken(&story).is_empty());
}

#[test]
fn an_account_is_opened_with_the_least_or_more() {
    let mut params = venue(vec![market(3)]);
    params.pools[0] = protocol::PoolParams { account_min: Notional(10_000_000), ..pool() };
    let mut story = Story::new(&params, &[account(1, 0, &[])]);
    let small = story.batch(vec![Input::Deposit(transfer(7, 9_999_999))]);
    assert_eq!(rejects(&small), [Reject::TooSmall { min: Notional(10_000_000) }]);
    assert_eq!(story.kernel.state().pools[0].accounts.len(), 1);
    assert_eq!(rejects(&story.batch(vec![Input::Deposit(transfer(7, 10_000_000))])), []);
    // Whoever is there may add what it likes, and the first accounts were not asked.
    assert_eq!(rejects(&story.batch(vec![Input::Deposit(transfer(7, 1)), Input::Deposit(transfer(1, 1))])), []);
}

#[test]
fn nobody_takes_back_the_order_of_another() {
    let mut story = open(&venue(vec![market(3)]), &[account(1, 900, &[]), account(2, 900, &[])]);
    story.batch(vec![order(1, 1, 0, 10, 10_000)]);
    let cancel =
        |account| Input::Cancel(Cancel { market: MarketId(0), account: AccountId(account), order: OrderId(1) });
    assert_eq!(rejects(&story.batch(vec![cancel(2)])), [Reject::UnknownOrder]);
    assert_eq!(rejects(&story.batch(vec![cancel(3)])), [Reject::UnknownOrder]);
    assert_eq!(story.kernel.state().pools[0].orders.len(), 1);
    assert_eq!(story.batch(vec![cancel(1)]), [Effect::Withdraw { market: MarketId(0), order: OrderId(1) }]);
    assert_eq!(rejects(&story.batch(vec![cancel(1)])), [Reject::UnknownOrder]);
    // The venue speaks of its own book, whoever owns the order.
    story.batch(vec![order(2, 1, 0, 10, 10_000)]);
    story.batch(vec![Input::OrderDone(OrderDone { market: MarketId(0), order: OrderId(2) })]);
    assert_eq!(story.kernel.state().pools[0].orders.len(), 0);
}

#[test]
fn an_order_that_claims_a_market_of_another_pool_is_withdrawn_there_by_nobody() {
    let other = MarketParams { pool: PoolId(1), ..market(3) };
    let mut story = open(
        &venue(vec![market(3), other]),
        &[account(1, 200, &[(0, 40_000, 100)]), account(2, 10_000, &[(0, -40_000, 100)])],
    );
    story.batch(vec![order(1, 1, 0, -10, 11_000), order(2, 1, 0, -10, 11_000)]);
    change(&mut story, |state| {
        state.pools[0].orders.get_mut(&OrderId(2)).unwrap().market = MarketId(1);
        // Nothing but the market is wrong, and that is said.
        assert_eq!(state.check().expect_err("the order rests where its pool has no market").invariant, 11);
    });
    story.effects.clear();
    story.wait(1).prices(0, &[9_700; 3]);
    let withdrawn = |effect: &Effect| match effect {
        Effect::Withdraw { market, order } => Some((market.0, order.0)),
        _ => None,
    };
    assert_eq!(story.effects.iter().filter_map(withdrawn).collect::<Vec<_>>(), [(0, 1)]);
    assert_eq!(liquidations(&story.effects).len(), 1);
}

#[test]
fn a_size_that_no_position_may_have_is_refused_at_genesis() {
    let genesis = |lots: i64, other: i64| {
        let one = |id, lots| Genesis {
            collateral: Vec::new(),
            pool: PoolId(0),
            account: AccountId(id),
            cash: Notional(0),
            holdings: vec![Holding { market: MarketId(0), size: Size(lots), entry: Price(1) }],
        };
        Kernel::new(&venue(vec![market(3)]), &[one(1, lots), one(2, other)]).map(|_| ())
    };
    let most = i64::try_from(LOTS_MAX).unwrap();
    assert_eq!(genesis(most, -most), Ok(()));
    assert_eq!(genesis(-most, most), Ok(()));
    for lots in [most + 1, -most - 1, i64::MAX, i64::MIN] {
        assert_eq!(genesis(lots, 1), Err(BadGenesis::Account(AccountId(1))), "{lots}");
    }
}

#[test]
fn limits_that_would_switch_something_off_are_refused() {
    let with = |how: &dyn Fn(&mut VenueParams)| {
        let mut params = venue(vec![market(3)]);
        how(&mut params);
        params.validate().map_err(|Invalid { field, .. }| field)
    };
    let coverage = |coverage| with(&|params| params.markets[0].detectors.twap_coverage_min = Ratio(coverage));
    assert_eq!(coverage(Ratio::ONE.0 - 1), Ok(()));
    assert_eq!(coverage(Ratio::ONE.0), Err("detectors.twap_coverage_min"));
    assert_eq!(coverage(0), Ok(()));
    assert_eq!(coverage(-1), Err("detectors.twap_coverage_min"));
    let lineage = |lineage| with(&|params| params.markets[0].sources[2].lineage = LineageId(lineage));
    assert_eq!(lineage(63), Ok(()));
    assert_eq!(lineage(64), Err("lineage"));
    let least = |micro| with(&|params| params.pools[0].account_min = Notional(micro));
    assert_eq!(least(1), Ok(()));
    assert_eq!(least(0), Err("account_min"));
}

#[test]
fn an_exit_goes_no_farther_than_a_liquidation_and_not_beside_one() {
    // 100 USD would pay for 33 a base; equity that is lost before the order fills would not.
    let accounts = [account(1, 205, &[(0, 40_000, 100)]), account(2, 9_000, &[(0, -40_000, 100)])];
    let mut story = open(&venue(vec![market(3)]), &accounts);
    assert_eq!(admitted(&story.batch(vec![order(1, 1, 0, -3_000, 1)])), [95 * USD]);
    assert_eq!(admitted(&story.batch(vec![order(2, 2, 0, 3_000, 20_000)])), [105 * USD]);
    // While the kernel's order may spend all that is left, an exit passes at the mark.
    story.wait(1).prices(0, &[9_730; 3]);
    assert_eq!(liquidations(&story.effects).len(), 1);
    assert_eq!(admitted(&story.batch(vec![order(3, 1, 0, -3_000, 1)])), [9_730 * (USD / 100)]);
}

#[test]
fn whoever_leaves_makes_room_and_brings_the_least_amount_again() {
    let mut params = venue(vec![market(3)]);
    params.pools[0] = protocol::PoolParams { accounts_max: 2, account_min: Notional(10_000_000), ..pool() };
    let mut story = open(&params, &[account(1, 500, &[])]);
    let leave = |id| Input::Withdraw(transfer(id, 10_000_000));
    for id in 2..12 {
        assert_eq!(rejects(&story.batch(vec![deposit(id, 10), leave(id)])), []);
    }
    assert_eq!(story.kernel.state().pools[0].accounts.len(), 1);
    let one_past = Input::Deposit(transfer(2, 9_999_999));
    assert_eq!(rejects(&story.batch(vec![one_past])), [Reject::TooSmall { min: Notional(10_000_000) }]);
    // With a micro-USD left it stays.
    let all_but_one = Input::Withdraw(transfer(3, 9_999_999));
    assert_eq!(rejects(&story.batch(vec![deposit(3, 10), all_but_one])), []);
    assert_eq!(story.kernel.state().pools[0].accounts.len(), 2);
}

#[test]
fn an_exit_that_a_trade_turned_opens_and_is_treated_so() {
    let accounts =
        [account(1, 9_000, &[(0, 10_000, 100)]), account(2, 9_000, &[(0, -10_000, 100)]), account(3, 9_000, &[])];
    let resting = |story: &Story| {
        let pool = &story.kernel.state().pools[0];
        let opening = |id| pool.orders.get(&OrderId(id)).map(|order| order.opening);
        (opening(1), opening(2), pool.markets[0].opening_sells)
    };
    let ready = || {
        let mut story = open(&venue(vec![market(3)]), &accounts);
        // Both exits, and then one that opens, which is filled first.
        story.batch(vec![order(1, 1, 0, -4_000, 10_100), order(2, 1, 0, -6_000, 10_100)]);
        story.batch(vec![order(3, 1, 0, -5_000, 10_000), order(4, 3, 0, 5_000, 10_000)]);
        assert_eq!(resting(&story), (Some(false), Some(false), 5_000));
        story
    };
    let mut story = ready();
    story.batch(vec![trade(0, OrderId(4), OrderId(3), 10_000, 5_000)]);
    // Five are left, of which four go by the first order.
    assert_eq!(resting(&story), (Some(false), Some(true), 6_000));
    // In a market that lets nobody open, a turned order does not stay.
    let mut story = ready();
    let now = story.wait(1).now;
    let mut inputs = vec![trade(0, OrderId(4), OrderId(3), 10_000, 5_000)];
    inputs.extend(
        (0..3).zip([10_000, 10_000, 10_300]).map(|(s, cents)| observation(0, s, cents * (USD / 100), now, now)),
    );
    story.batch(inputs);
    assert_eq!(story.mode(0), protocol::Mode::ReduceOnly);
    assert_eq!(resting(&story), (Some(false), None, 0));
}

#[test]
fn a_pool_that_lets_nobody_rest_an_order_is_refused() {
    let mut params = venue(vec![market(3)]);
    params.pools[0].orders_per_account_max = 0;
    assert_eq!(params.validate().expect_err("nobody could leave").field, "orders_per_account_max");
    params.pools[0].orders_per_account_max = 1;
    assert!(params.validate().is_ok());
}

#[test]
fn who_has_exactly_nothing_when_the_venue_drops_its_order_is_tried_in_the_book_once_more() {
    // 4,000 USD long on 400: at 90 nothing is left, and a cent below that it is insolvent.
    for (cents, tried) in [(9_000, true), (8_999, false)] {
        let accounts = [account(1, 400, &[(0, 40_000, 100)]), account(2, 100_000, &[(0, -40_000, 100)])];
        let mut params = venue(vec![common::quick(3)]);
        params.markets[0].liquidation.order_ttl = units::Duration::seconds(60);
        let mut story = open(&params, &accounts);
        story.batch(vec![insurance(1_000)]);
        story.wait(1);
        let [(1, -40_000, id)] = liquidations(&all(&mut story, &[[cents; 3]]))[..] else { panic!("all of it") };
        story.batch(vec![Input::OrderDone(OrderDone { market: MarketId(0), order: id })]);
        story.wait(1);
        let effects = all(&mut story, &[[8_990; 3]]);
        assert_eq!(liquidations(&effects).len(), usize::from(tried), "{cents}: {effects:?}");
        let closed = effects.iter().any(|effect| matches!(effect, Effect::Deleveraged { .. }));
        assert_eq!(closed, !tried, "{cents}: {effects:?}");
    }
}
