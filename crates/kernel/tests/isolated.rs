//! Isolated accounts: what is held there can lose what was set apart for it and nothing else; and batches in which being early
//! would pay.

mod common;

use common::{Story, account, deposit, insurance, liquidations, opened, order, quick, second, trade, venue, withdraw};
use kernel::state::Isolated;
use protocol::input::Isolate;
use protocol::{AccountId, Batch, Effect, Input, MarketId, OrderId, Reject};
use units::{Notional, Size, Timestamp};

const USD_MICRO: i64 = 1_000_000;

fn apart(market: u16, owner: u64, account: u64, micro: i64) -> Input {
    let (owner, account) = (AccountId(owner), AccountId(account));
    Input::Isolate(Isolate { market: MarketId(market), owner, account, amount: Notional(micro) })
}

fn cash(story: &Story, id: u64) -> Option<i64> {
    story.kernel.state().pools[0].accounts.get(&AccountId(id)).map(|account| account.cash.0)
}

fn refusals(effects: &[Effect]) -> Vec<(u32, Reject)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Rejected { input, reject } => Some((*input, *reject)),
            _ => None,
        })
        .collect()
}

#[test]
fn money_goes_to_one_market_and_comes_back() {
    let mut story = opened(quick(2), &[account(1, 100, &[])]);
    assert_eq!(refusals(&second(&mut story, 10_000, vec![apart(0, 1, 11, 40 * USD_MICRO)])), []);
    assert_eq!((cash(&story, 1), cash(&story, 11)), (Some(60 * USD_MICRO), Some(40 * USD_MICRO)));
    let isolated = story.kernel.state().pools[0].accounts[&AccountId(11)].isolated;
    assert_eq!(isolated, Some(Isolated { owner: AccountId(1), market: MarketId(0) }));
    // More of it, some back, and its owner's deposit reaches it directly, too.
    second(&mut story, 10_000, vec![apart(0, 1, 11, 5 * USD_MICRO)]);
    second(&mut story, 10_000, vec![apart(0, 1, 11, -25 * USD_MICRO), deposit(11, 1)]);
    assert_eq!((cash(&story, 1), cash(&story, 11)), (Some(80 * USD_MICRO), Some(21 * USD_MICRO)));
    // Of which all can be had from either, and what is empty is gone; nothing of the pool's money has moved.
    second(&mut story, 10_000, vec![apart(0, 1, 11, -21 * USD_MICRO)]);
    assert_eq!((cash(&story, 1), cash(&story, 11)), (Some(101 * USD_MICRO), None));
    assert_eq!(story.kernel.state().pools[0].deposited, 101 * i128::from(USD_MICRO));
}

#[test]
fn an_owner_that_gave_everything_makes_room_and_is_opened_again() {
    let mut story = opened(quick(2), &[account(1, 100, &[])]);
    second(&mut story, 10_000, vec![apart(0, 1, 11, 100 * USD_MICRO)]);
    assert_eq!((cash(&story, 1), cash(&story, 11)), (None, Some(100 * USD_MICRO)));
    // Below the least amount nobody opens an account, in either direction; what is left can be withdrawn directly.
    let effects = second(&mut story, 10_000, vec![apart(0, 1, 11, -USD_MICRO + 1)]);
    assert_eq!(refusals(&effects), [(2, Reject::TooSmall { min: Notional(USD_MICRO) })]);
    second(&mut story, 10_000, vec![apart(0, 1, 11, -USD_MICRO), withdraw(11, 9)]);
    assert_eq!((cash(&story, 1), cash(&story, 11)), (Some(USD_MICRO), Some(90 * USD_MICRO)));
    assert_eq!(story.kernel.state().pools[0].accounts[&AccountId(1)].isolated, None);
    let effects = second(&mut story, 10_000, vec![apart(0, 1, 12, USD_MICRO - 1)]);
    assert_eq!(refusals(&effects), [(2, Reject::TooSmall { min: Notional(USD_MICRO) })]);
}

#[test]
fn nobody_gives_what_is_needed_or_not_there_or_somebody_elses() {
    let mut params = venue(vec![quick(2), quick(2)]);
    params.pools[0].accounts_max = 4;
    params.pools[0].backstop = Some(AccountId(3));
    let accounts =
        [account(1, 1_000, &[(0, 10_000, 100)]), account(2, 1_000, &[(0, -10_000, 100)]), account(3, 50, &[])];
    let mut story = Story { prompt: true, ..Story::new(&params, &accounts) };
    for _ in 0..30 {
        story.wait(1).prices(0, &[10_000; 2]);
        story.prices(1, &[10_000; 2]);
    }
    let mut ask = |input: Input| {
        story.wait(1).prices(0, &[10_000; 2]);
        story.prices(1, &[10_000; 2]);
        refusals(&story.batch(vec![input])).first().map(|(_, reject)| *reject)
    };
    // 1,000 USD are held: 50 of initial margin. Doubtless free is what is left, to the micro-dollar.
    let free = Notional(950 * USD_MICRO);
    let needed = Notional(free.0 + 1);
    assert_eq!(ask(apart(0, 1, 11, needed.0)), Some(Reject::Margin { free, needed }));
    assert_eq!(ask(apart(0, 1, 11, free.0)), None);
    assert_eq!(ask(apart(0, 1, 12, 0)), Some(Reject::OutOfRange));
    assert_eq!(ask(apart(0, 1, 11, i64::MIN)), Some(Reject::OutOfRange));
    assert_eq!(ask(apart(9, 1, 11, USD_MICRO)), Some(Reject::UnknownMarket));
    assert_eq!(ask(apart(0, 7, 8, USD_MICRO)), Some(Reject::UnknownAccount));
    assert_eq!(ask(apart(0, 1, 8, -USD_MICRO)), Some(Reject::UnknownAccount));
    // The pool is full.
    assert_eq!(ask(apart(1, 2, 12, USD_MICRO)), Some(Reject::TooManyAccounts { max: 4 }));
    for wrong in [
        apart(0, 2, 11, USD_MICRO),  // another's
        apart(0, 2, 11, -USD_MICRO), // another's, back
        apart(1, 1, 11, USD_MICRO),  // of another market
        apart(0, 11, 12, USD_MICRO), // of one that is isolated
        apart(0, 2, 1, USD_MICRO),   // into one that is not isolated
        apart(0, 2, 2, USD_MICRO),   // into itself
        apart(0, 3, 13, USD_MICRO),  // the backstop's
        apart(0, 2, 3, USD_MICRO),
    ] {
        assert_eq!(ask(wrong.clone()), Some(Reject::Mismatch), "{wrong:?}");
    }
    // It may ask for something in its own market alone.
    assert_eq!(ask(order(1, 11, 1, 10, 10_000)), Some(Reject::Mismatch));
    assert_eq!(ask(order(2, 11, 0, 10, 10_000)), None);
}

#[test]
fn where_a_market_lets_nobody_withdraw_nothing_is_set_apart_either() {
    let accounts =
        [account(1, 1_000, &[(0, 10_000, 100)]), account(2, 1_000, &[(0, -10_000, 100)]), account(4, 100, &[])];
    let mut story = opened(quick(2), &accounts);
    // Two contradict each other.
    story.wait(1).prices(0, &[10_000, 10_500]);
    let moves = vec![apart(0, 1, 11, USD_MICRO), apart(0, 4, 14, USD_MICRO)];
    let effects = story.batch(moves);
    // Whoever holds nothing there may, as it may withdraw.
    assert_eq!(refusals(&effects).iter().map(|(n, _)| *n).collect::<Vec<_>>(), [0]);
    assert_eq!(cash(&story, 14), Some(USD_MICRO));
}

#[test]
fn what_is_isolated_loses_what_was_set_apart_and_not_more() {
    // The same long of 1,000 USD on 60 USD, once isolated and once beside 940 USD more.
    let accounts =
        [account(1, 940, &[]), account(2, 5_000, &[(0, -10_000, 100)]), account(3, 5_000, &[(0, 10_000, 100)])];
    let mut story = opened(quick(2), &accounts);
    second(&mut story, 10_000, vec![apart(0, 1, 11, 60 * USD_MICRO)]);
    second(&mut story, 10_000, vec![order(1, 11, 0, 10_000, 10_000), order(2, 3, 0, -10_000, 10_000)]);
    second(&mut story, 10_000, vec![trade(0, OrderId(1), OrderId(2), 10_000, 10_000), insurance(1_000)]);
    // At 95 it has 10 USD on 950 and is liquidated; its owner, with 880 USD beside, is not asked.
    let effects = second(&mut story, 9_500, vec![]);
    assert_eq!(liquidations(&effects).len(), 1);
    assert_eq!(liquidations(&effects)[0].0, 11);
    // At 90 it owes 40 USD, which the fund pays and its owner does not, once nobody has bought for `order_ttl`.
    for _ in 0..15 {
        second(&mut story, 9_000, vec![]);
    }
    assert_eq!(cash(&story, 1), Some(880 * USD_MICRO));
    assert_eq!(cash(&story, 11), Some(0));
    assert_eq!(story.kernel.state().pools[0].insurance, 960 * i128::from(USD_MICRO));
}

#[test]
fn a_top_up_from_the_owner_comes_before_liquidations_wherever_it_stands() {
    let accounts =
        [account(1, 1_000, &[]), account(2, 5_000, &[(0, -10_000, 100)]), account(3, 5_000, &[(0, 10_000, 100)])];
    let mut story = opened(quick(2), &accounts);
    second(&mut story, 10_000, vec![apart(0, 1, 11, 60 * USD_MICRO)]);
    second(&mut story, 10_000, vec![order(1, 11, 0, 10_000, 10_000), order(2, 3, 0, -10_000, 10_000)]);
    second(&mut story, 10_000, vec![trade(0, OrderId(1), OrderId(2), 10_000, 10_000)]);
    // 10 USD on 950 need 13.75; with 3.75 more they suffice, and with a micro-dollar less they don't.
    for (micro, liquidated) in [(13_750_000, 0), (13_749_999, 1)] {
        let mut story = Story { kernel: story.kernel.clone(), effects: Vec::new(), now: story.now, prompt: true };
        let effects = second(&mut story, 9_500, vec![apart(0, 1, 11, micro)]);
        assert_eq!(liquidations(&effects).len(), liquidated, "{micro}");
    }
}

/// Who of two that ask for all of the open interest there is gets it, by the batch's seed and the order of arrival.
fn first_come(seed: u8, order_of_arrival: [usize; 2]) -> u64 {
    let mut params = quick(2);
    params.open_interest_max = Size(10_000);
    let mut story = opened(params, &[account(1, 1_000, &[]), account(2, 1_000, &[])]);
    let asked = [order(1, 1, 0, 10_000, 10_000), order(2, 2, 0, 10_000, 10_000)];
    let height = story.kernel.state().height + 1;
    let inputs = order_of_arrival.map(|n| asked[n].clone()).to_vec();
    let mut effects = Vec::new();
    let batch = Batch { height, at: Timestamp(story.now), seed: [seed; 32], inputs };
    story.kernel.apply(&batch, &mut effects);
    let admitted: Vec<u64> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Admit { order } => Some(order.account.0),
            _ => None,
        })
        .collect();
    assert_eq!(admitted.len(), 1, "{effects:?}");
    admitted[0]
}

#[test]
fn the_last_of_the_open_interest_goes_by_lot_and_not_to_who_is_early() {
    let drawn: Vec<u64> = (0..32).map(|seed| first_come(seed, [0, 1])).collect();
    for (seed, winner) in (0..).zip(&drawn) {
        assert_eq!(first_come(seed, [1, 0]), *winner);
    }
    // Neither always wins.
    let wins = drawn.iter().filter(|winner| **winner == 1).count();
    assert!((8..=24).contains(&wins), "{wins} of 32");
}

#[test]
fn what_a_source_published_first_is_heard_first() {
    // The later price before the earlier one, in one batch: both are heard, as if they had come in their order.
    let mut story = opened(quick(2), &[]);
    let mut other = Story { kernel: story.kernel.clone(), effects: Vec::new(), now: story.now, prompt: true };
    let later = story.now + 500_000;
    let now = story.wait(1).now;
    other.wait(1);
    let early = common::observation(0, 0, 101 * common::USD, later - 100_000, now);
    let late = common::observation(0, 0, 100 * common::USD, later, now);
    let one = story.batch(vec![late.clone(), early.clone()]);
    let two = other.batch(vec![early, late]);
    assert_eq!(refusals(&one), []);
    assert_eq!(one, two);
    assert_eq!(story.kernel.state(), other.kernel.state());
}
