//! Laws that hold for every value, each tried on ten thousand.

mod common;

use common::{Story, USD, account, market, observation, order, source, trade, venue};
use kernel::State;
use kernel::adl::{Share, allocate};
use kernel::margin::{Lens, PARTS, requirement, risk};
use proptest::prelude::*;
use protocol::input::Transfer;
use protocol::params::Tier;
use protocol::{AccountId, Action, Effect, Input, MarketId, Mode, OrderId, PoolId, QualityState, Restriction, Side};
use std::collections::BTreeMap;
use units::{Notional, Price, Ratio, Timestamp};

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn any_restriction() -> impl Strategy<Value = Restriction> {
    let scale = 0..=Ratio::ONE.0;
    (0_u32..1 << (Action::ALL.len() * 2), 0..=Ratio::ONE.0, scale).prop_map(|(bits, addon, scale)| {
        Restriction::from_parts(bits, Ratio(addon), Ratio(scale)).expect("every part is in its range")
    })
}

proptest! {
    #![proptest_config(cases(10_000))]

    #[test]
    fn a_join_is_associative_commutative_idempotent_and_open_is_its_identity(
        a in any_restriction(), b in any_restriction(), c in any_restriction(),
    ) {
        prop_assert_eq!(a.join(b), b.join(a));
        prop_assert_eq!(a.join(b).join(c), a.join(b.join(c)));
        prop_assert_eq!(a.join(a), a);
        prop_assert_eq!(a.join(Restriction::OPEN), a);
    }

    #[test]
    fn a_detector_more_never_loosens_anything(a in any_restriction(), b in any_restriction(), c in any_restriction()) {
        let joined = a.join(b);
        prop_assert!(joined.is_at_least(&a) && joined.is_at_least(&b));
        prop_assert!(a.mode() <= joined.mode());
        prop_assert!(a.margin_addon <= joined.margin_addon && joined.size_scale <= a.size_scale);
        for action in Action::ALL {
            for side in Side::BOTH {
                prop_assert!(!joined.permits(action, side) || a.permits(action, side) && b.permits(action, side));
            }
        }
        // Monotone: a stricter part gives a stricter whole.
        prop_assert!(!a.is_at_least(&b) || a.join(c).is_at_least(&b.join(c)));
    }
}

fn any_shares() -> impl Strategy<Value = Vec<Share>> {
    let amount = || prop_oneof![0..20_i128, 0..1_000_000_i128, 0..1_000_000_000_000_000_000_i128];
    prop::collection::vec((amount(), amount()).prop_map(|(weight, cap)| Share { weight, cap }), 0..12)
}

/// The sum of what can be asked for.
fn capacity(shares: &[Share]) -> i128 {
    shares.iter().filter(|share| 0 < share.weight).map(|share| share.cap).sum()
}

proptest! {
    #![proptest_config(cases(10_000))]

    #[test]
    fn an_allocation_is_exact_and_within_every_cap(total in 0..2_000_000_000_000_000_000_i128, shares in any_shares()) {
        let given = allocate(total, &shares);
        prop_assert_eq!(given.iter().sum::<i128>(), total.min(capacity(&shares)));
        for (given, share) in given.iter().zip(&shares) {
            prop_assert!(0 <= *given && *given <= share.cap);
            prop_assert!(0 < share.weight || *given == 0);
        }
    }

    #[test]
    fn whoever_is_not_capped_is_asked_pro_rata_within_a_unit(total in 0..1_000_000_000_i128, shares in any_shares()) {
        let given = allocate(total, &shares);
        let asked = || given.iter().zip(&shares).filter(|(_, share)| 0 < share.weight);
        for (one, a) in asked() {
            for (other, b) in asked() {
                // Nobody gives a unit more for its weight than somebody who could still give: (one - 1) / a <= (other + 1) / b.
                let more = (one - 1) * b.weight > (other + 1) * a.weight;
                prop_assert!(!more || *other == b.cap, "{one} of {a:?} against {other} of {b:?}");
            }
        }
    }

    #[test]
    fn nothing_is_gained_by_splitting_an_account(
        total in 0..1_000_000_i128, shares in any_shares(), weight in 2..1_000_000_i128, part in 1..100_i128,
    ) {
        // Without a cap of its own: a cap is split with the equity behind it.
        let cap = 1_000_000_000_i128;
        let own = weight * part / 100;
        let whole = [shares.clone(), vec![Share { weight, cap }]].concat();
        let halves = [Share { weight: own, cap }, Share { weight: weight - own, cap }];
        let split = [shares.clone(), halves.to_vec()].concat();
        let (whole, split) = (allocate(total, &whole), allocate(total, &split));
        let n = shares.len();
        let difference = whole[n] - split[n] - split[n + 1];
        prop_assert!(difference.abs() <= 2, "{} against {} and {}", whole[n], split[n], split[n + 1]);
    }

    #[test]
    fn an_allocation_does_not_depend_on_the_order_but_for_the_last_unit(
        total in 0..1_000_000_000_i128, mut shares in any_shares(),
    ) {
        let given = allocate(total, &shares);
        shares.reverse();
        let mut again = allocate(total, &shares);
        again.reverse();
        prop_assert!(given.iter().zip(&again).all(|(one, other)| (one - other).abs() <= 1), "{given:?} {again:?}");
    }
}

fn any_tiers() -> impl Strategy<Value = Vec<Tier>> {
    let steps = prop::collection::vec((1..1_000_000_000_000_i64, 0..200_i64, 0..200_i64), 1..8);
    steps.prop_map(|steps| {
        let (mut from, mut initial, mut maintenance) = (0, 0, 0);
        let tier = |(width, initial_step, maintenance_step): (i64, i64, i64)| {
            maintenance += 1 + maintenance_step;
            initial = (initial + 1 + initial_step).max(maintenance);
            let tier = Tier { notional_from: from, initial: Ratio::bps(initial), maintenance: Ratio::bps(maintenance) };
            from += width;
            tier
        };
        steps.into_iter().map(tier).collect()
    })
}

proptest! {
    #![proptest_config(cases(10_000))]

    #[test]
    fn a_requirement_is_convex_monotone_and_continuous_at_every_edge(
        tiers in any_tiers(), a in 0..4_000_000_000_000_i128, b in 0..4_000_000_000_000_i128,
    ) {
        let need = |notional: i128| requirement(notional, &tiers, |tier| tier.maintenance);
        let (low, high) = (a.min(b), a.max(b));
        prop_assert!(need(low) <= need(high));
        prop_assert!(2 * need(low.midpoint(high)) <= need(low) + need(high) + PARTS, "convex");
        let highest = tiers.last().map_or(0, |tier| i128::from(tier.maintenance.0));
        prop_assert!(need(high) - need(low) <= (high - low) * highest);
        for tier in &tiers {
            let edge = i128::from(tier.notional_from);
            prop_assert!(need(edge + 1) - need(edge) <= highest, "continuous at {edge}");
            prop_assert!(need(edge) - need((edge - 1).max(0)) <= highest, "continuous at {edge}");
        }
        let initial = requirement(high, &tiers, |tier| tier.initial);
        prop_assert!(need(high) <= initial);
    }
}

/// An account's cash less what its positions cost.
fn booked(story: &Story, id: u64) -> i128 {
    story.kernel.state().pools[0].accounts[&AccountId(id)].booked()
}

/// A venue whose market has come all the way up.
fn open(accounts: &[kernel::Genesis]) -> Story {
    let mut story = Story::new(&venue(vec![market(2)]), accounts);
    for _ in 0..6 {
        story.hold(0, &[10_000, 10_000], 1).wait(59);
    }
    story.hold(0, &[10_000, 10_000], 1);
    assert_eq!(story.mode(0), Mode::Normal);
    story
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn fills_move_what_was_paid_and_make_no_money(
        fills in prop::collection::vec((any::<bool>(), 1..40_000_i64, -90..90_i64, 1..100_i64), 1..40),
    ) {
        // Each case fills up to forty times, so ten thousand fills in all.
        let mut story = open(&[account(1, 1_000_000, &[]), account(2, 1_000_000, &[])]);
        let mut id = 10;
        for (buys, lots, cents, percent) in fills {
            let (one, other) = if buys { (1, 2) } else { (2, 1) };
            let limit = 10_000 + cents;
            story.batch(vec![order(id, one, 0, lots, limit), order(id + 1, other, 0, -lots, limit)]);
            let before = (booked(&story, 1), booked(&story, 2));
            let part = (lots * percent / 100).max(1);
            let out = story.batch(vec![trade(0, OrderId(id), OrderId(id + 1), limit, part)]);
            let refused = out.iter().any(|effect| matches!(effect, protocol::Effect::Rejected { .. }));
            let after = (booked(&story, 1), booked(&story, 2));
            prop_assert_eq!(before.0 + before.1, after.0 + after.1);
            // One lot at one cent is 10 micro-USD: these amounts are whole.
            let amount = if refused { 0 } else { i128::from(part) * i128::from(limit) * 10 };
            let paid = if buys { amount } else { -amount };
            prop_assert_eq!(after, (before.0 - paid, before.1 + paid));
            id += 2;
        }
    }

    #[test]
    fn nobody_is_under_maintenance_unseen_however_the_price_goes(
        cash in prop::collection::vec(20..400_i64, 6), lots in prop::collection::vec(-40_000..40_000_i64, 3),
        steps in prop::collection::vec(-900..900_i64, 1..60),
    ) {
        let pair = |i: usize| lots[i / 2] * if i.is_multiple_of(2) { 1 } else { -1 };
        let holding = |i: usize| if pair(i) == 0 { vec![] } else { vec![(0, pair(i), 100)] };
        let accounts: Vec<_> = (0..6).map(|i| account(i as u64, cash[i], &holding(i))).collect();
        let mut story = Story::new(&venue(vec![market(2)]), &accounts);
        let mut cents = 10_000;
        for step in steps {
            cents = (cents + cents * step / 10_000).clamp(100, 1_000_000);
            story.wait(1).prices(0, &[cents, cents]);
            let pool = &story.kernel.state().pools[0];
            for (id, account) in &pool.accounts {
                let risk = risk(account, |market| pool.market(market), Lens::Mark).expect("the market has a price");
                // Right after a price: not only will it be looked at, it has been.
                prop_assert!(!risk.liquidatable() || pool.distressed.contains_key(id), "{id:?} {risk:?} at {cents}");
            }
        }
    }
}

/// What two accounts are paid when they leave in this order, by account.
fn leave(cash: [i64; 3], lacking: i64, first: (u64, i64), second: (u64, i64)) -> (i64, i64) {
    let one = |(id, micro): (u64, i64)| kernel::Genesis { cash: Notional(micro), ..account(id, 0, &[]) };
    let accounts: Vec<_> = (1..).zip(cash).map(one).collect();
    let mut state = State::new(&venue(vec![market(2)]), &accounts).expect("accounts without positions");
    state.pools[0].deficit = i128::from(lacking);
    state.pools[0].deposited -= i128::from(lacking);
    let mut story = Story::new(&venue(vec![market(2)]), &[]);
    story.kernel = kernel::Kernel::resume(state);
    let mut paid = BTreeMap::new();
    for (id, micro) in [first, second] {
        let transfer = Transfer { pool: PoolId(0), account: AccountId(id), amount: Notional(micro) };
        // Every batch of a story ends with the invariants, the conservation of money among them.
        for effect in story.batch(vec![Input::Withdraw(transfer)]) {
            match effect {
                Effect::PayOut { amount, haircut, .. } => {
                    assert_eq!(amount.0 + haircut.0, micro);
                    paid.insert(id, amount.0);
                }
                other => panic!("nobody is kept from leaving: {other:?}"),
            }
        }
    }
    (paid[&1], paid[&2])
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn nobody_gains_by_leaving_a_pool_that_lacks_money_before_another(
        cash in [1..1_000_000_000_i64, 1..1_000_000_000_i64, 0..1_000_000_000_i64],
        parts in (1..=100_i64, 1..=100_i64), lacking in 0..=1_000_000_i64,
    ) {
        let total: i64 = cash.iter().sum();
        let lacking = (i128::from(total) * i128::from(lacking) / 1_000_000) as i64;
        let wants = |place: usize, percent: i64| (cash[place] * percent / 100).max(1);
        let (one, two) = ((1, wants(0, parts.0)), (2, wants(1, parts.1)));
        let (one_first, two_second) = leave(cash, lacking, one, two);
        let (one_second, two_first) = leave(cash, lacking, two, one);
        prop_assert!(0 <= one_second - one_first && one_second - one_first <= 1, "{one_first} {one_second}");
        prop_assert!(0 <= two_second - two_first && two_second - two_first <= 1, "{two_first} {two_second}");
        let fair = |micro: i64| (i128::from(micro) * i128::from(total - lacking) / i128::from(total)) as i64;
        prop_assert_eq!((one_first, two_first), (fair(one.1), fair(two.1)));
    }
}

/// Weights and honest prices near 100 USD, each perhaps replaced by a lie.
fn any_sources() -> impl Strategy<Value = Vec<(u32, i64, Option<i64>)>> {
    let lie = prop_oneof![
        Just(0),
        Just(-1),
        Just(i64::MAX),
        1..5_000_i64,
        5_000..9_990_i64,
        10_010..20_000_i64,
        20_000..100_000_000_i64,
    ];
    prop::collection::vec((1..6_u32, 9_990..10_010_i64, prop::option::weighted(0.4, lie)), 1..8)
}

/// A story of one market with sources of these weights, each a lineage of its own.
fn weighted(weights: impl Iterator<Item = u32>) -> Story {
    let mut params = market(0);
    params.sources = (0..)
        .zip(weights)
        .map(|(lineage, weight)| protocol::params::SourceParams { weight, ..source(lineage) })
        .collect();
    Story::new(&venue(vec![params]), &[])
}

fn cents(cents: i64) -> i64 {
    cents.saturating_mul(USD / 100)
}

proptest! {
    #![proptest_config(cases(10_000))]

    #[test]
    fn an_index_lies_inside_the_hull_of_the_sources_that_it_uses(sources in any_sources()) {
        let mut story = weighted(sources.iter().map(|(weight, _, _)| *weight));
        let prices: Vec<i64> = sources.iter().map(|(_, honest, lie)| cents(lie.unwrap_or(*honest))).collect();
        for _ in 0..2 {
            story.wait(1);
            let seen = |(source, price): (u8, &i64)| observation(0, source, *price, story.now, story.now);
            let inputs = (0..).zip(&prices).map(seen).collect();
            story.batch(inputs);
            let index = &story.kernel.state().market(MarketId(0)).expect("one market").index;
            let heard = || (0..).zip(&prices).filter(|(place, _)| index.exclusion(*place).is_none());
            let used: Vec<i64> = heard().map(|(_, price)| *price).collect();
            let quality = index.quality();
            if quality.state == QualityState::None {
                prop_assert!(used.is_empty());
                continue;
            }
            let hull = (used.iter().min().copied(), used.iter().max().copied());
            prop_assert!(hull.0 <= Some(quality.value.0) && Some(quality.value.0) <= hull.1, "{quality:?} {used:?}");
            let away = |price: i64| (price - quality.value.0).abs();
            let all = quality.state == QualityState::Disputed;
            let near = heard().filter(|(_, price)| all || Price(**price).within(Ratio::percent(2), quality.value));
            let near: Vec<(u32, i64)> = near.map(|(place, price)| (sources[place].0, away(*price))).collect();
            let widest = near.iter().map(|(_, away)| *away).max().unwrap_or(0);
            prop_assert!(widest <= index.spread.0, "the spread holds everyone who counts: {quality:?}");
            let held: Vec<_> = near.iter().filter(|(_, away)| *away <= quality.confidence.0).collect();
            let (weight, total) = (held.iter().map(|(weight, _)| weight).sum::<u32>(), near.iter().map(|(w, _)| w).sum::<u32>());
            let enough = total < weight * 2 && near.len().min(2) <= held.len();
            prop_assert!(enough && (!all || held.len() == near.len()), "the confidence holds more than half: {quality:?}");
        }
    }

    #[test]
    fn under_half_of_the_weight_corrupt_the_index_stays_where_the_honest_are(mut sources in any_sources()) {
        let weigh = |sources: &[(u32, i64, Option<i64>)], lies: bool| -> u32 {
            sources.iter().filter(|(_, _, lie)| lie.is_some() == lies).map(|(weight, _, _)| weight).sum()
        };
        while weigh(&sources, false) <= weigh(&sources, true) {
            let repents = sources.iter_mut().find(|(_, _, lie)| lie.is_some());
            repents.expect("whoever outweighs the honest lies").2 = None;
        }
        let mut story = weighted(sources.iter().map(|(weight, _, _)| *weight));
        let honest = || sources.iter().filter(|(_, _, lie)| lie.is_none()).map(|(_, honest, _)| cents(*honest));
        let (low, high) = (honest().min().unwrap_or(0), honest().max().unwrap_or(0));
        // Honest at first, then corrupt, one second and a minute and more.
        for round in 0..3 {
            story.wait(if round == 2 { 2 } else { 1 });
            let price = |(_, honest, lie): &(u32, i64, Option<i64>)| {
                cents(if round == 0 { *honest } else { lie.unwrap_or(*honest) })
            };
            let inputs =
                (0..).zip(&sources).map(|(place, source)| observation(0, place, price(source), story.now, story.now));
            let inputs = inputs.collect();
            story.batch(inputs);
            let value = story.quality(0).value.0;
            let all = sources.iter().map(|(_, honest, _)| cents(*honest));
            let (low, high) = if round == 0 { (all.clone().min(), all.max()) } else { (Some(low), Some(high)) };
            let slack = USD / 10; // 0.1% of 100 USD
            let inside = low.unwrap_or(0) - slack <= value && value <= high.unwrap_or(0) + slack;
            prop_assert!(inside, "round {round}: {value} outside {low:?} ..= {high:?}");
        }
        prop_assert!(story.quality(0).state != QualityState::None);
    }
}

/// What sources say in a second: nothing, or a price about 100 USD in hundredths.
fn any_minute() -> impl Strategy<Value = Vec<Vec<Option<i64>>>> {
    let price = prop_oneof![
        4 => Just(None),
        6 => (9_990..10_010_i64).prop_map(Some),
        2 => (9_500..10_500_i64).prop_map(Some),
        1 => prop_oneof![Just(0), Just(100), 5_000..20_000_i64].prop_map(Some),
    ];
    prop::collection::vec(prop::collection::vec(price, 4), 1..40)
}

proptest! {
    #![proptest_config(cases(10_000))]

    #[test]
    fn until_its_deadline_an_index_stays_what_it_is(minute in any_minute(), sources in 1..=4_u8, wait in 1..12_i64, share in 0..=8_i64) {
        let mut params = market(sources);
        params.oracle.dispute_confirm = units::Duration::seconds(7);
        params.oracle.jump_confirm = units::Duration::seconds(2);
        // Half of what is no price at all is one at a bound.
        params.sources[0].price_min = Price(USD);
        let mut story = Story::new(&venue(vec![params]), &[]);
        for said in minute {
            story.wait(wait);
            let spoken = (0..sources).zip(said).filter_map(|(source, price)| Some((source, price?)));
            let inputs = spoken.map(|(source, price)| observation(0, source, cents(price), story.now, story.now));
            let inputs = inputs.collect();
            story.batch(inputs);
            let index = story.kernel.state().market(MarketId(0)).expect("one market").index.clone();
            let until = index.deadline.0.min(story.now + 1_000_000_000);
            prop_assert!(story.now <= until, "{index:?}");
            // An observation that is refused has the market evaluated as if somebody had spoken.
            let then = story.now + (until - story.now) / 8 * share;
            let mut later = index.clone();
            later.evaluate(&story.kernel.state().market(MarketId(0)).expect("one market").panel, Timestamp(then));
            let said = |index: &kernel::index::Index| {
                let quality = index.quality;
                let exclusions: Vec<_> = index.sources.iter().map(|source| source.exclusion).collect();
                let price = (quality.value, quality.confidence, quality.state, quality.rung, quality.lineages);
                let traded = (index.traded, index.traded_at, index.stuck);
                (price, quality.coverage, exclusions, index.agreed, index.adrift, index.spread, traded)
            };
            prop_assert_eq!(said(&index), said(&later), "{} after {} us", index.deadline.0, then - story.now);
        }
    }
}
