//! What a market whose price carries no liquidation does to accounts that hold it: nothing is taken there, and nothing is
//! shielded elsewhere. How long a liquidation order stands.

mod common;

use common::{Story, USD, account, deposit, insurance, liquidations, market, observation, order, trade, venue};
use kernel::Genesis;
use kernel::margin::{Lens, price};
use protocol::{AccountId, Effect, Input, MarketId, MarketParams, Mode, OrderId, QualityState, Rung};
use units::{Duration, Notional, Price, Ratio, Size};

/// A market that comes up fast, so that one story can lead out of a halt.
fn quick() -> MarketParams {
    let mut params = market(3);
    params.breaker.calm = Duration::seconds(1);
    params.liquidation.order_ttl = Duration::seconds(600);
    params
}

fn seen(market: u16, cents: i64, now: i64) -> impl Iterator<Item = Input> {
    (0..3).map(move |source| observation(market, source, cents * (USD / 100), now, now))
}

/// Two markets at 100 USD, both up.
fn two(first: MarketParams, second: MarketParams, accounts: &[Genesis]) -> Story {
    let mut story = Story::new(&venue(vec![first, second]), accounts);
    for _ in 0..301 {
        both(&mut story, 10_000, 10_000);
    }
    // A market with one lineage comes no farther than that.
    assert!(story.mode(0) == Mode::Normal && story.mode(1) <= Mode::Cautious);
    story.effects.clear();
    story
}

fn both(story: &mut Story, first: i64, second: i64) -> Vec<Effect> {
    story.wait(1);
    let now = story.now;
    story.batch(seen(0, first, now).chain(seen(1, second, now)).collect())
}

/// The first market goes on at `cents` while the second is silent for so long that only its last good price is left.
fn silence_the_second(story: &mut Story, cents: i64) {
    story.hold(0, &[cents; 3], 4);
    assert_eq!(story.quality(1).rung, Rung::LastGood);
}

/// As far as the end of the last good price.
fn halt_the_second(story: &mut Story, cents: i64) {
    story.hold(0, &[cents; 3], 10);
    assert_eq!((story.quality(1).state, story.mode(1)), (QualityState::None, Mode::Halted));
}

fn taken(effects: &[Effect]) -> Vec<(u16, i64)> {
    let order = |effect: &Effect| match effect {
        Effect::Liquidate { order, .. } => Some((order.market.0, order.size.0)),
        _ => None,
    };
    effects.iter().filter_map(order).collect()
}

fn limits(effects: &[Effect]) -> Vec<Price> {
    let limit = |effect: &Effect| match effect {
        Effect::Liquidate { order, .. } => Some(order.limit),
        _ => None,
    };
    effects.iter().filter_map(limit).collect()
}

fn withdrawn(effects: &[Effect]) -> Vec<(u16, OrderId)> {
    let order = |effect: &Effect| match effect {
        Effect::Withdraw { market, order } => Some((market.0, *order)),
        _ => None,
    };
    effects.iter().filter_map(order).collect()
}

/// Who gave up how many micro-USD in which market.
fn given_up(effects: &[Effect]) -> Vec<(u16, u64, i64)> {
    let given = |effect: &Effect| match effect {
        Effect::Deleveraged { market, counterparty, given_up, .. } => Some((market.0, counterparty.0, given_up.0)),
        _ => None,
    };
    effects.iter().filter_map(given).collect()
}

fn paid(effects: &[Effect]) -> Vec<i64> {
    let amount = |effect: &Effect| match effect {
        Effect::InsurancePaid { amount, .. } => Some(amount.0),
        _ => None,
    };
    effects.iter().filter_map(amount).collect()
}

fn held(story: &Story, id: u64) -> [i64; 2] {
    let account = &story.kernel.state().pools[0].accounts[&AccountId(id)];
    [0, 1].map(|market| account.size_in(MarketId(market)).0)
}

fn in_distress(story: &Story, id: u64) -> bool {
    story.kernel.state().pools[0].distressed.contains_key(&AccountId(id))
}

fn exhausted(story: &Story, id: u64) -> bool {
    story.kernel.state().pools[0].accounts[&AccountId(id)].exhausted
}

/// 40 base long in the first market from 100 USD with 140 USD.
fn alone() -> [Genesis; 2] {
    [account(1, 140, &[(0, 40_000, 100)]), account(2, 10_000, &[(0, -40_000, 100)])]
}

#[test]
fn a_doubted_price_is_a_step_kinder_than_the_confidence() {
    let mut whole = market(3);
    whole.oracle.jump_max = Ratio::percent(100);
    let mut story = Story::new(&venue(vec![market(3), whole]), &[]);
    let now = story.now;
    let cents = USD / 100;
    // 100 USD and a unit: a tenth of it is rounded up.
    let prices = [9_998 * cents + 1, 10_000 * cents + 1, 10_002 * cents + 1];
    let of = |market| (0..3).zip(prices).map(move |(source, price)| observation(market, source, price, now, now));
    story.batch(of(0).chain(of(1)).collect());
    let state = story.kernel.state();
    let at = |id: u16, lots, lens| price(state.market(MarketId(id)).unwrap(), Size(lots), lens).unwrap().0;
    let (mark, width) = (10_000 * cents + 1, 2 * cents);
    assert_eq!((at(0, 1, Lens::Mark), at(0, -1, Lens::Mark)), (mark, mark));
    assert_eq!((at(0, 1, Lens::Kindest), at(0, -1, Lens::Kindest)), (mark + width, mark - width));
    let away = width + 1_000 * cents + 1;
    assert_eq!((at(0, 1, Lens::Doubted), at(0, -1, Lens::Doubted)), (mark + away, mark - away));
    assert_eq!(at(1, -1, Lens::Doubted), 1, "a short owes at least a unit");
}

#[test]
fn a_last_good_price_is_doubted_by_as_much_as_a_source_may_come_back_with() {
    let mut story = Story { prompt: false, ..Story::new(&venue(vec![market(3)]), &[]) };
    story.hold(0, &[10_000; 3], 2);
    let doubted = |story: &Story| price(story.kernel.state().market(MarketId(0)).unwrap(), Size(1), Lens::Doubted);
    for (seconds, step) in [(60, 10), (180, 20)] {
        story.wait(seconds);
        // Whoever is refused has the market looked at.
        story.batch(vec![observation(0, 0, 100 * USD, story.now, story.now + 1)]);
        assert_eq!(story.quality(0).rung, Rung::LastGood);
        assert_eq!(doubted(&story), Some(Price((100 + step) * USD)), "{seconds}");
    }
}

#[test]
fn a_small_position_without_a_sound_price_shields_no_large_one() {
    // A tenth of a base in the second market: a step of 10% is worth 1 USD to it.
    // Equity at p is 40 p − 3,860, judged kindly 1 USD more; needed are p and 0.25, judged kindly p and 0.275. So the
    // account is under maintenance below 98.9808, and judged kindly below 98.95577.
    let accounts = || {
        let small = account(1, 140, &[(0, 40_000, 100), (1, 100, 100)]);
        [small, account(2, 10_000, &[(0, -40_000, 100), (1, -100, 100)])]
    };
    let mut story = two(market(3), market(3), &accounts());
    silence_the_second(&mut story, 10_000);
    story.wait(1).prices(0, &[9_896; 3]);
    assert_eq!(taken(&story.effects), [], "a step of the other price would explain it");
    assert!(in_distress(&story, 1), "it is watched all the same");
    story.wait(1).prices(0, &[9_895; 3]);
    // 98 − 0.49475 x = 1.1 (98.95 − 2.47375 x + 0.25) ⇒ x = 11.12 / 2.226375 = 4.9947.
    assert_eq!(taken(&story.effects), [(0, -4_995)]);
    // Where both prices are sound nobody waits for that step.
    let mut story = two(market(3), market(3), &accounts());
    both(&mut story, 9_896, 10_000);
    assert_eq!(taken(&story.effects).len(), 1);
}

#[test]
fn a_market_that_never_had_a_price_leaves_an_account_unjudged() {
    let accounts =
        [account(1, 140, &[(0, 40_000, 100), (1, 100, 100)]), account(2, 10_000, &[(0, -40_000, 100), (1, -100, 100)])];
    let mut story = Story::new(&venue(vec![market(3), market(3)]), &accounts);
    story.hold(0, &[10_000; 3], 301);
    story.hold(0, &[9_500; 3], 3);
    assert_eq!(taken(&story.effects), []);
    assert!(in_distress(&story, 1));
}

#[test]
fn the_largest_position_that_may_be_taken_restores_the_account_alone() {
    // The larger position is in the second market, where a step is 1%: 50 USD. At 96 equity is cash − 160.
    let mut second = market(3);
    second.oracle.jump_max = Ratio::percent(1);
    let story_of = |cash| {
        let accounts = [
            account(1, cash, &[(0, 40_000, 100), (1, 50_000, 100)]),
            account(2, 10_000, &[(0, -40_000, 100), (1, -50_000, 100)]),
        ];
        let mut story = two(market(3), second.clone(), &accounts);
        silence_the_second(&mut story, 10_000);
        story.wait(1).prices(0, &[9_600; 3]);
        taken(&story.effects)
    };
    // 170 − 0.48 x = 1.1 (96 − 2.4 x + 125) ⇒ x = 73.1 / 2.16 = 33.8426.
    assert_eq!(story_of(330), [(0, -33_843)]);
    // 90 − 0.48 x: 70.9 would be needed.
    assert_eq!(story_of(250), [(0, -40_000)]);
}

#[test]
fn a_last_good_price_takes_positions_of_the_insolvent_only() {
    // In the second market, where a step is 1%, 41 base at their last good price of 100 USD.
    let mut second = market(3);
    second.oracle.jump_max = Ratio::percent(1);
    let story_of = |cash| {
        let accounts = [
            account(1, cash, &[(0, 40_000, 100), (1, 41_000, 100)]),
            account(2, 10_000, &[(0, -40_000, 100), (1, -41_000, 100)]),
        ];
        let mut story = two(market(3), second.clone(), &accounts);
        story.batch(vec![insurance(1_000)]);
        silence_the_second(&mut story, 10_000);
        story.wait(1).prices(0, &[9_400; 3]); // 240 USD lost
        taken(&story.effects)
    };
    // Without equity the second market gives up its position, larger as it is.
    assert_eq!(story_of(239), [(1, -41_000)]);
    // With none left but no debt it does not, and the first gives up all that it has.
    assert_eq!(story_of(240), [(0, -40_000)]);
}

#[test]
fn a_liquidation_spends_no_more_than_what_is_left_after_the_debt() {
    let limit = |fund| {
        let mut story = two(market(3), market(3), &alone());
        story.batch(vec![insurance(fund)]);
        both(&mut story, 9_600, 10_000); // equity −20
        limits(&story.effects)
    };
    // 80 USD over 40 base.
    assert_eq!(limit(100), [Price(94 * USD)]);
    assert_eq!(limit(20), [Price(96 * USD)]);
    assert_eq!(limit(19), []);
}

#[test]
fn a_liquidation_order_does_not_outlive_the_quality_that_decided_it() {
    let mut story = two(quick(), market(3), &alone());
    both(&mut story, 9_895, 10_000);
    let (_, _, id) = liquidations(&story.effects)[0];
    let mut out = Vec::new();
    for _ in 0..3 {
        assert_eq!(withdrawn(&out), []);
        assert_eq!(story.quality(0).rung, Rung::Primary);
        // Nobody says anything about this market: the batch is due because its sources go stale.
        out = story.wait(1).prices(1, &[10_000; 3]);
    }
    out.extend(story.wait(1).batch(vec![]));
    assert_eq!(story.quality(0).rung, Rung::LastGood);
    assert_eq!(withdrawn(&out), [(0, id)]);
    assert!(in_distress(&story, 1));
    // The next price that carries it decides it again.
    story.effects.clear();
    story.hold(0, &[9_895; 3], 20);
    assert_eq!(taken(&story.effects), [(0, -4_872)]);
}

#[test]
fn where_the_market_of_an_order_falls_silent_another_gives_up_its_position() {
    let mut first = quick();
    first.oracle.jump_max = Ratio::percent(1);
    let accounts = [
        account(1, 280, &[(0, 40_000, 100), (1, 30_000, 100)]),
        account(2, 10_000, &[(0, -40_000, 100), (1, -30_000, 100)]),
    ];
    let mut story = two(first, market(3), &accounts);
    // 120 − 0.48 x = 1.1 (96 − 2.4 x + 75) ⇒ x = 68.1 / 2.16 = 31.5278.
    both(&mut story, 9_600, 10_000);
    assert_eq!(taken(&story.effects), [(0, -31_528)]);
    let (_, _, id) = liquidations(&story.effects)[0];
    story.effects.clear();
    story.hold(1, &[10_000; 3], 3);
    assert_eq!((withdrawn(&story.effects), taken(&story.effects)), (vec![], vec![]));
    // A step of the first market's price, 38.40 USD, would not make the account healthy.
    story.hold(1, &[10_000; 3], 1);
    assert_eq!((withdrawn(&story.effects), taken(&story.effects)), (vec![(0, id)], vec![(1, -30_000)]));
}

#[test]
fn what_waits_for_a_confirmation_holds_up_no_other_market() {
    // As with the small position without a sound price; here the second market has one lineage, believed after 10 s.
    let accounts =
        [account(1, 140, &[(0, 40_000, 100), (1, 100, 100)]), account(2, 10_000, &[(0, -40_000, 100), (1, -100, 100)])];
    let mut story = two(market(3), market(1), &accounts);
    for _ in 0..10 {
        both(&mut story, 9_896, 10_000);
        assert_eq!(taken(&story.effects), []);
    }
    both(&mut story, 9_896, 10_000);
    assert_eq!(taken(&story.effects).len(), 1);
    let mut story = two(market(3), market(1), &accounts);
    both(&mut story, 9_895, 10_000);
    assert_eq!(taken(&story.effects), [(0, -4_995)]);
}

#[test]
fn an_order_that_lost_its_price_says_nothing_about_the_book() {
    let mut params = quick();
    params.oracle.last_good_max = Duration::seconds(5);
    let mut story = two(params, market(3), &alone());
    story.batch(vec![insurance(1_000)]);
    both(&mut story, 9_600, 10_000);
    let (_, _, id) = liquidations(&story.effects)[0];
    let mut out = Vec::new();
    for _ in 0..10 {
        out.extend(story.wait(1).batch(vec![]));
    }
    assert_eq!(story.quality(0).state, QualityState::None);
    assert_eq!(withdrawn(&out), [(0, id)]);
    assert!(!exhausted(&story, 1) && in_distress(&story, 1));
    // The market comes up again, and the fund's reach is tried in the book again.
    story.effects.clear();
    story.hold(0, &[9_600; 3], 30);
    assert_eq!(taken(&story.effects), [(0, -40_000)]);
    assert_eq!(given_up(&story.effects), []);
}

#[test]
fn an_order_that_ran_out_in_time_ends_in_deleveraging() {
    let mut story = two(market(3), market(3), &alone());
    story.batch(vec![insurance(1_000)]);
    both(&mut story, 9_600, 10_000);
    story.hold(0, &[9_600; 3], 9);
    assert_eq!((taken(&story.effects).len(), given_up(&story.effects).len()), (1, 0));
    story.hold(0, &[9_600; 3], 1);
    assert_eq!((paid(&story.effects), given_up(&story.effects)), (vec![20_000_000], vec![(0, 2, 0)]));
}

#[test]
fn a_liquidation_order_is_taken_back_when_the_account_is_restored_at_the_kindest_price() {
    // Under maintenance below 98.9744, restored to 1.1 times that from 99.2288.
    let mut story = two(quick(), market(3), &alone());
    both(&mut story, 9_895, 10_000);
    let (_, _, id) = liquidations(&story.effects)[0];
    // At 98.98 no new one would be decided; this one goes on to where it was aimed.
    assert_eq!(withdrawn(&story.wait(1).prices(0, &[9_892, 9_895, 9_898])), []);
    assert_eq!(withdrawn(&story.wait(1).prices(0, &[9_868, 9_895, 9_922])), []);
    assert_eq!(withdrawn(&story.wait(1).prices(0, &[9_867, 9_895, 9_923])), [(0, id)]);
    assert!(in_distress(&story, 1), "it is under maintenance at the mark");
    story.effects.clear();
    story.wait(1).prices(0, &[9_892, 9_895, 9_898]);
    assert_eq!(taken(&story.effects), []);
    story.wait(1).prices(0, &[9_895; 3]);
    assert_eq!(taken(&story.effects), [(0, -4_872)]);
    // At the mark it goes as soon as a tenth less would do: 4,696 lots at 98.96, 4,346 at 98.98, out of distress.
    let (_, _, id) = liquidations(&story.effects)[0];
    assert_eq!(withdrawn(&story.wait(1).prices(0, &[9_896; 3])), []);
    assert_eq!(withdrawn(&story.wait(1).prices(0, &[9_898; 3])), [(0, id)]);
    assert!(!in_distress(&story, 1));
}

#[test]
fn an_order_that_filled_in_part_goes_on_past_maintenance() {
    // At 98.95 equity is 98 and 98.95 are needed; a base closed frees 2.47 and costs 0.49.
    let mut story = two(quick(), market(3), &alone());
    both(&mut story, 9_895, 10_000);
    let (_, _, id) = liquidations(&story.effects)[0];
    story.batch(vec![order(9, 2, 0, 4_872, 9_895)]);
    story.batch(vec![trade(0, OrderId(9), id, 9_895, 4_871)]);
    assert_eq!(withdrawn(&both(&mut story, 9_895, 10_000)), []);
    story.batch(vec![trade(0, OrderId(9), id, 9_895, 1)]);
    both(&mut story, 9_895, 10_000);
    assert!(!in_distress(&story, 1));
}

#[test]
fn an_exit_stays_in_the_book_of_a_market_that_carries_no_deleveraging_yet() {
    let mut params = quick();
    params.oracle.last_good_max = Duration::seconds(5);
    params.oracle.jump_max = Ratio::percent(1);
    params.oracle.jump_confirm = Duration::seconds(1);
    params.breaker.calm = Duration::seconds(20);
    let mut story = two(params, market(3), &alone());
    story.batch(vec![order(5, 1, 0, -5, 11_000)]);
    for _ in 0..10 {
        story.wait(1).batch(vec![]);
    }
    // The price that comes back finds no equity, a step of 38 USD does not either, and the market is halted for a while.
    story.effects.clear();
    story.hold(0, &[9_500; 3], 4);
    assert!(in_distress(&story, 1) && Mode::ReduceOnly < story.mode(0));
    assert_eq!((withdrawn(&story.effects), given_up(&story.effects)), (vec![], vec![]));
    story.hold(0, &[9_500; 3], 60);
    assert_eq!(withdrawn(&story.effects), [(0, OrderId(5))]);
    assert_eq!(given_up(&story.effects), [(0, 2, 60_000_000)]);
}

/// 40 base long in each of two markets with `cash`; the second halts at 100 USD, the first falls to 90.
fn half_halted(cash: i64, fund: i64) -> Story {
    let (first, mut second) = (quick(), quick());
    second.oracle.last_good_max = Duration::seconds(5);
    second.oracle.jump_max = Ratio::percent(1);
    let accounts = [
        account(1, cash, &[(0, 40_000, 100), (1, 40_000, 100)]),
        account(2, 10_000, &[(0, -40_000, 100)]),
        account(3, 10_000, &[(1, -40_000, 100)]),
    ];
    let mut story = two(first, second, &accounts);
    if 0 < fund {
        story.batch(vec![insurance(fund)]);
    }
    halt_the_second(&mut story, 10_000);
    story.effects.clear();
    // 400 USD lost; judged kindly, a step in the second market is worth 40.
    story.wait(1).prices(0, &[9_000; 3]);
    story
}

#[test]
fn whom_a_step_of_a_price_that_carries_nothing_would_make_solvent_is_not_deleveraged() {
    let story = half_halted(359, 0);
    assert_eq!((taken(&story.effects), given_up(&story.effects).len()), (vec![], 1));
    let story = half_halted(360, 0);
    assert_eq!((taken(&story.effects), given_up(&story.effects).len()), (vec![(0, -40_000)], 0));
    assert_eq!(limits(&story.effects), [Price(90 * USD)], "a debt buys no slippage");
}

#[test]
fn deleveraging_closes_what_may_be_closed_and_leaves_the_others_their_share() {
    let mut story = half_halted(280, 0);
    // 120 × 3,600 / 7,600 = 56.8421052…
    assert_eq!(given_up(&story.effects), [(0, 2, 56_842_105)]);
    assert_eq!(held(&story, 1), [0, 40_000]);
    assert_eq!(held(&story, 3), [0, -40_000]);
    assert!(in_distress(&story, 1));
    // Batches that change nothing do nothing, in either market.
    story.effects.clear();
    for _ in 0..3 {
        story.wait(1).prices(0, &[9_000; 3]);
        story.wait(1).batch(vec![]);
    }
    assert_eq!((given_up(&story.effects), taken(&story.effects), paid(&story.effects)), (vec![], vec![], vec![]));
    // When the second market is up again, its holders give up the rest.
    for _ in 0..10 {
        both(&mut story, 9_000, 10_000);
    }
    assert_eq!(given_up(&story.effects), [(1, 3, 63_157_895)]);
    assert_eq!(held(&story, 1), [0, 0]);
    assert_eq!(story.kernel.state().pools[0].accounts[&AccountId(1)].cash, Notional(0));
}

#[test]
fn the_fund_pays_for_what_is_closed_and_not_for_what_stays() {
    let story = half_halted(280, 50);
    assert_eq!((paid(&story.effects), given_up(&story.effects)), (vec![50_000_000], vec![(0, 2, 6_842_105)]));
    let story = half_halted(280, 100);
    assert_eq!((paid(&story.effects), given_up(&story.effects)), (vec![56_842_105], vec![(0, 2, 0)]));
    assert_eq!(story.kernel.state().pools[0].insurance, 43_157_895);
}

#[test]
fn what_is_left_after_deleveraging_is_tried_in_the_book_first() {
    let mut story = half_halted(280, 120);
    // Within the fund's reach: an order, of the only position that may be taken. It runs out.
    assert_eq!(taken(&story.effects), [(0, -40_000)]);
    for _ in 0..600 {
        story.wait(1).prices(0, &[9_000; 3]);
    }
    assert_eq!(given_up(&story.effects), [(0, 2, 0)]);
    assert!(!exhausted(&story, 1) && held(&story, 1) == [0, 40_000]);
    story.effects.clear();
    for _ in 0..10 {
        both(&mut story, 9_000, 10_000);
    }
    assert_eq!((taken(&story.effects), given_up(&story.effects)), (vec![(1, -40_000)], vec![]));
}

#[test]
fn whoever_enters_distress_loses_its_opening_orders_everywhere() {
    // Equity at p is 40 p − 3,790, so the account is under maintenance below 97.1795.
    let story_of = |backstop: Option<u64>| {
        let mut params = venue(vec![market(3), market(3)]);
        params.pools[0].backstop = backstop.map(AccountId);
        let accounts = [account(1, 210, &[(0, 40_000, 100)]), account(2, 10_000, &[(0, -40_000, 100)])];
        let mut story = Story::new(&params, &accounts);
        for _ in 0..301 {
            both(&mut story, 10_000, 10_000);
        }
        let orders = [order(1, 1, 1, 1, 9_000), order(2, 1, 0, -5, 11_000), order(3, 1, 0, 1, 9_000)];
        let out = story.batch(orders.to_vec());
        assert_eq!(out.iter().filter(|effect| matches!(effect, Effect::Admit { .. })).count(), 3, "{out:?}");
        story.effects.clear();
        story
    };
    let mut story = story_of(None);
    both(&mut story, 9_718, 10_000);
    assert_eq!(withdrawn(&story.effects), []);
    // At the kindest edge it is healthy: no liquidation, but a fill would make it worse.
    story.wait(1).prices(0, &[9_716, 9_717, 9_718]);
    assert_eq!(withdrawn(&story.effects), [(1, OrderId(1)), (0, OrderId(3))]);
    assert_eq!(taken(&story.effects), []);
    // The order that reduces goes with the liquidation.
    assert_eq!(withdrawn(&story.wait(1).prices(0, &[9_717; 3])), [(0, OrderId(2))]);
    assert_eq!(taken(&story.effects).len(), 1);
    // The backstop's orders meet liquidations only, and stay.
    let mut story = story_of(Some(1));
    story.wait(1).prices(0, &[9_716, 9_717, 9_718]);
    assert!(in_distress(&story, 1));
    assert_eq!(withdrawn(&story.effects), []);
    // Money in time leaves the orders where they are.
    let mut story = story_of(None);
    story.batch(vec![deposit(1, 1)]);
    story.wait(1).prices(0, &[9_717; 3]);
    assert_eq!(withdrawn(&story.effects), []);
}

#[test]
fn an_order_and_a_wait_run_out_without_a_word_from_anybody() {
    // Its source speaks once a minute, so no price is due while the clocks run.
    let mut slow = market(1);
    slow.sources[0].heartbeat = Duration::seconds(60);
    let mut story = Story::new(&venue(vec![slow]), &alone());
    // The market comes up in stages, a minute each.
    for _ in 0..6 {
        story.wait(60).prices(0, &[10_000]);
    }
    let start = story.wait(1).now;
    story.prices(0, &[9_890]);
    assert!(in_distress(&story, 1) && taken(&story.effects).is_empty(), "the wait has begun");
    let second = |after: i64| Some(units::Timestamp(start + after * 1_000_000));
    assert_eq!(story.kernel.next_due(), second(10));
    story.now = start + 9_999_999;
    story.batch(vec![]);
    assert_eq!(taken(&story.effects), []);
    story.now = start + 10_000_000;
    story.batch(vec![]);
    let ordered = taken(&story.effects);
    assert_eq!(ordered.len(), 1, "the wait is over");
    // The order has ten seconds as well.
    assert_eq!(story.kernel.next_due(), second(20));
    story.effects.clear();
    story.now = start + 19_999_999;
    story.batch(vec![]);
    assert_eq!((withdrawn(&story.effects).len(), taken(&story.effects).len()), (0, 0));
    story.now = start + 20_000_000;
    story.batch(vec![]);
    assert_eq!((withdrawn(&story.effects).len(), taken(&story.effects)), (1, ordered), "decided again");
}

#[test]
fn an_order_for_everything_does_not_outlive_the_insolvency_that_asked_for_it() {
    let mut story = two(market(3), market(3), &alone());
    story.batch(vec![insurance(1_000)]);
    // At 96 the account lacks 20 USD, which the fund can pay: everything goes, at whatever the fund can pay for.
    both(&mut story, 9_600, 10_000);
    assert_eq!(taken(&story.effects), [(0, -40_000)]);
    let (_, _, id) = liquidations(&story.effects)[0];
    story.effects.clear();
    // At 98.95 five of forty would do.
    story.wait(1).prices(0, &[9_895; 3]);
    assert_eq!((withdrawn(&story.effects), taken(&story.effects)), (vec![(0, id)], vec![(0, -4_872)]));
}

#[test]
fn what_the_venue_drops_has_run_out_for_who_is_insolvent() {
    let done = |id| Input::OrderDone(protocol::input::OrderDone { market: MarketId(0), order: id });
    let mut story = two(market(3), market(3), &alone());
    story.batch(vec![insurance(1_000)]);
    both(&mut story, 9_600, 10_000);
    let (_, _, id) = liquidations(&story.effects)[0];
    story.batch(vec![done(id)]);
    assert!(exhausted(&story, 1));
    story.wait(1).prices(0, &[9_600; 3]);
    assert_eq!((paid(&story.effects), given_up(&story.effects)), (vec![20_000_000], vec![(0, 2, 0)]));
    // Who is not insolvent is offered again.
    let mut story = two(market(3), market(3), &alone());
    both(&mut story, 9_895, 10_000);
    let (_, _, id) = liquidations(&story.effects)[0];
    story.batch(vec![done(id)]);
    assert!(!exhausted(&story, 1));
    story.effects.clear();
    story.wait(1).prices(0, &[9_895; 3]);
    assert_eq!(taken(&story.effects), [(0, -4_872)]);
}

#[test]
fn a_liquidation_order_without_its_alarm_or_its_distress_breaks_an_invariant() {
    let mut story = two(market(3), market(3), &alone());
    both(&mut story, 9_895, 10_000);
    let sound = story.kernel.state();
    assert!(sound.pools[0].accounts[&AccountId(1)].liquidation.is_some() && sound.check().is_ok());
    let mut deaf = sound.clone();
    assert_eq!(deaf.pools[0].alarms.len(), 1);
    deaf.pools[0].alarms.clear();
    assert_eq!(deaf.check().expect_err("nobody would look when it runs out").invariant, 19);
    // An alarm of another time is not its alarm.
    let mut late = sound.clone();
    let (at, id) = late.pools[0].alarms.pop_first().unwrap();
    late.pools[0].alarms.insert((units::Timestamp(at.0 + 1), id));
    assert_eq!(late.check().expect_err("nobody would look in time").invariant, 19);
    // Nor is an account watched whom its market does not list, or listed that holds nothing there.
    let mut unseen = sound.clone();
    unseen.pools[0].markets[0].distressed.clear();
    let broken = unseen.check().expect_err("no price would bring it up");
    assert_eq!((broken.invariant, broken.found, broken.expected), (20, 0, 1));
    let mut stranger = sound.clone();
    stranger.pools[0].markets[0].distressed.insert(AccountId(2));
    assert_eq!(stranger.check().expect_err("it is not in distress").invariant, 20);
    // What was closed was closed in a market of the pool, and was something.
    for (market, closed) in [(9, 1), (0, 0)] {
        let mut wrong = sound.clone();
        wrong.pools[0].accounts.get_mut(&AccountId(1)).unwrap().taken.insert(protocol::MarketId(market), closed);
        assert_eq!(wrong.check().expect_err("nobody could have").invariant, 18);
    }
    let mut empty = sound.clone();
    empty.pools[0].orders.values_mut().next().unwrap().remaining = units::Size(0);
    assert_eq!(empty.check().expect_err("it would never be filled").invariant, 11);
}

#[test]
fn what_an_account_in_distress_closes_by_itself_is_part_of_what_it_lost_in() {
    let taken_in = |story: &Story| {
        let taken = &story.kernel.state().pools[0].accounts[&AccountId(1)].taken;
        taken.iter().map(|(market, notional)| (market.0, *notional)).collect::<Vec<_>>()
    };
    let ready = |cents| {
        let mut story = two(market(3), market(3), &alone());
        both(&mut story, cents, 10_000);
        story.batch(vec![order(1, 1, 0, -3_000, cents), order(2, 2, 0, 3_000, cents)]);
        story.batch(vec![trade(0, OrderId(2), OrderId(1), cents, 3_000)]);
        story
    };
    let in_trouble = ready(9_895);
    assert!(in_distress(&in_trouble, 1));
    assert_eq!(taken_in(&in_trouble), [(0, 296_850_000)]);
    let sound = ready(10_000);
    assert!(!in_distress(&sound, 1));
    assert_eq!(taken_in(&sound), []);
}

#[test]
fn what_ran_out_is_forgotten_with_the_distress() {
    let mut story = two(market(3), market(3), &alone());
    story.batch(vec![insurance(1_000)]);
    both(&mut story, 9_600, 10_000);
    let (_, _, id) = liquidations(&story.effects)[0];
    story.batch(vec![Input::OrderDone(protocol::input::OrderDone { market: MarketId(0), order: id })]);
    assert!(exhausted(&story, 1));
    story.wait(1).prices(0, &[10_000; 3]);
    assert!(!in_distress(&story, 1) && !exhausted(&story, 1));
}
