//! The envelope: no single step of the mark carries an account that was at its maintenance past bankruptcy.

mod common;

use common::{Story, USD, account, market, observation, venue};
use kernel::margin::{Lens, risk};
use protocol::params::Tier;
use protocol::{AccountId, Input, MarketParams, VenueParams};
use units::{Duration, Notional, Price, Ratio, Rounding};

/// A market whose step is the largest that its lowest maintenance and its fee allow, parts per million.
fn edge(maintenance: i64, fee: i64, tiers: usize) -> MarketParams {
    let mut params = market(2);
    let ppm = |ppm: i64| Ratio(ppm * 1_000_000);
    let tier = |n: i64| Tier {
        notional_from: n * 500_000_000,
        initial: ppm(maintenance * (n + 1) * 2),
        maintenance: ppm(maintenance * (n + 1)),
    };
    params.tiers = (0..tiers as i64).map(tier).collect();
    params.liquidation.fee = ppm(fee);
    params.funding.rate_max = Ratio::ZERO;
    // (m - f) / (1 + f), rounded down to a part.
    let most = i128::from((maintenance - fee) * 1_000_000) * 1_000_000 / i128::from(1_000_000 + fee);
    params.mark.step_max = Ratio(most as i64);
    params.mark.step_window = Duration::seconds(1);
    params
}

#[test]
fn the_largest_step_that_a_policy_may_name_leaves_the_healthy_solvent() {
    let mut stepped = 0;
    for (maintenance, fee, tiers) in
        [(25_000, 5_000, 1), (25_000, 0, 3), (5_000, 4_999, 2), (200_000, 3_000, 2), (1_000, 10, 1)]
    {
        let params = edge(maintenance, fee, tiers);
        let one_venue = |params: &MarketParams| VenueParams {
            pools: vec![common::pool()],
            markets: vec![params.clone()],
            governance: protocol::GovernanceParams::closed(),
        };
        assert_eq!(one_venue(&params).envelope(), Ok(()));
        let mut beyond = params.clone();
        beyond.mark.step_max.0 += 1_000_001;
        assert_eq!(one_venue(&beyond).envelope().map_err(|invalid| invalid.field), Err("mark.step_max"));
        for (lots, cents) in [(1_i64, 10_000_i64), (777, 10_001), (10_000, 9_999), (9_000_000, 12_345)] {
            for side in [1, -1] {
                for (away, batches) in [(1, 1), (50, 1), (50, 40), (1_000, 25)] {
                    // The maintenance of the position at its price is all that the account has.
                    let usd = account(1, 0, &[(0, side * lots, 0)]);
                    let mut held = usd.clone();
                    held.holdings[0].entry = Price(cents * (USD / 100));
                    let mut other = account(2, 1_000_000_000, &[(0, -side * lots, 0)]);
                    other.holdings[0].entry = held.holdings[0].entry;
                    let mut story = Story::new(&venue(vec![params.clone()]), &[held.clone(), other.clone()]);
                    second(&mut story, cents);
                    let short_of = |story: &Story| {
                        let state = story.kernel.state();
                        let account = &state.pools[0].accounts[&AccountId(1)];
                        risk(account, |market| state.market(market), Lens::Mark).expect("priced")
                    };
                    let needs = short_of(&story).maintenance_micro() - short_of(&story).equity;
                    held.cash = Notional(i64::try_from(needs).expect("small"));
                    let mut story = Story::new(&venue(vec![params.clone()]), &[held, other]);
                    second(&mut story, cents);
                    assert!(!short_of(&story).liquidatable());
                    // Before each step it has its maintenance; after it, it can still pay for being closed.
                    let target = (cents - side * cents * away / 100).max(1);
                    for _ in 0..batches {
                        let before = short_of(&story);
                        let mark = story.kernel.state().market(protocol::MarketId(0)).expect("listed").mark.price;
                        second(&mut story, target);
                        let listed = story.kernel.state().market(protocol::MarketId(0)).expect("listed");
                        if before.liquidatable() || listed.mark.price == mark {
                            continue;
                        }
                        stepped += 1;
                        let size = units::Size(lots);
                        let notional = kernel::margin::notional(listed, size, listed.mark.price);
                        let closing = params.liquidation.fee.of(notional, Rounding::Up).expect("fits");
                        // A position's value and the fee are each rounded by less than a micro-USD.
                        let left = short_of(&story).equity - closing;
                        assert!(-2 <= left, "{maintenance} {fee} {lots} {cents} {side} {away}: {left}");
                    }
                }
            }
        }
    }
    assert!(160 <= stepped, "{stepped}");
}

fn second(story: &mut Story, cents: i64) {
    story.wait(1);
    let now = story.now;
    let seen: Vec<Input> = (0..2).map(|source| observation(0, source, cents * (USD / 100), now, now)).collect();
    story.batch(seen);
}

#[test]
fn two_marks_that_follow_one_another_are_within_a_step_whatever_comes_and_whenever() {
    let mut params = edge(25_000, 5_000, 1);
    params.oracle.jump_max = Ratio::percent(10_000);
    (params.oracle.dispute, params.oracle.agree) = (Ratio::percent(99), Ratio::percent(99));
    let step = params.mark.step_max;
    let mut story = Story::new(&venue(vec![params]), &[]);
    let mut dice: u64 = 7;
    let mut below = |n: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % n
    };
    let (mut last, mut steps): (Option<Price>, u32) = (None, 0);
    for _ in 0..20_000 {
        story.now += below(400_000) as i64 + 1;
        let cents = [8_000, 9_900, 10_000, 10_050, 13_000][below(5) as usize];
        let now = story.now;
        let seen = (0..2).map(|source| observation(0, source, cents * (USD / 100), now, now)).collect();
        story.batch(seen);
        let mark = story.kernel.state().market(protocol::MarketId(0)).expect("listed").mark.price;
        if let Some(last) = last {
            assert!(mark.within(step, last) || last.within(step, mark), "{last:?} to {mark:?}");
            let most = step.of(i128::from(last.0), Rounding::Down).expect("fits");
            assert!(mark.distance(last) <= most, "{last:?} to {mark:?}");
            steps += u32::from(mark.distance(last) + 1_000 >= most);
        }
        last = Some(mark);
    }
    assert!(1_000 < steps, "{steps}");
}

#[test]
fn no_two_marks_inside_a_window_are_farther_apart_than_a_step_wherever_it_begins() {
    let params = edge(25_000, 5_000, 1);
    let (step, window) = (params.mark.step_max, params.mark.step_window);
    let mut story = Story::new(&venue(vec![params]), &[]);
    second(&mut story, 10_000);
    let mut marks: Vec<(i64, i64)> = Vec::new();
    // Looks at any time, the first of them just before a window is over.
    let pauses = [999_999, 1, 1, 400_000, 599_998, 2, 250_000, 749_999, 1, 333_333];
    for pause in pauses.iter().cycle().take(400) {
        story.now += pause;
        let now = story.now;
        let seen = (0..2).map(|source| observation(0, source, 80 * USD, now, now)).collect();
        story.batch(seen);
        let market = story.kernel.state().market(protocol::MarketId(0)).expect("listed");
        marks.push((now, market.mark.price.0));
    }
    assert_eq!(marks.last().map(|(_, mark)| *mark), Some(80 * USD));
    for (k, (at, mark)) in marks.iter().enumerate() {
        for (then, before) in marks[..k].iter().rev().take_while(|(then, _)| at - then <= window.0) {
            let apart = i128::from(before - mark) * 1_000_000_000_000;
            assert!(apart <= i128::from(step.0) * i128::from(*before), "{then} {before} {at} {mark}");
        }
    }
}
