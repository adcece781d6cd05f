//! What plans say is what was decided: by the detectors that asked, and again from the journal alone.

use journal::MemoryStorage;
use kernel::Kernel;
use lab::model::traffic::Traffic;
use node::{Config, Decided, Measured, Node, Plan, explain};
use protocol::{Action, Effect, MarketId, Mode, Restriction, Side};
use std::collections::BTreeMap;
use units::Ratio;
use venue::Limits;

const LIMITS: Limits = Limits { orders_max: 1 << 20, kernel_orders_max: 1 << 20 };
const CONFIG: Config = Config { segment_bytes: 1 << 20, snapshot_every: 1_000_000, limits: LIMITS };

/// A run of bad days: everything that left, and the disk.
fn run(seed: u64, turns: u32) -> (Vec<Decided>, MemoryStorage, Traffic) {
    let mut traffic = Traffic::new(seed);
    let storage = MemoryStorage::new();
    let genesis = Kernel::new(traffic.params(), traffic.genesis()).expect("the seed's venue is well formed");
    let (mut node, _) = Node::open(storage.clone(), CONFIG, None, genesis).unwrap();
    let mut left = Vec::new();
    for _ in 0..turns {
        let batch = traffic.next(node.state());
        node.turn(batch.at, batch.inputs).unwrap();
        for market in 0..traffic.params().markets.len() {
            node.auction(MarketId(u16::try_from(market).expect("few")));
        }
        node.settle().unwrap();
        while let Some(decided) = node.released().unwrap() {
            left.push(decided);
        }
    }
    node.close().unwrap();
    (left, storage, traffic)
}

/// What the thresholds alone ask for: where nothing is held a detector asks for exactly this.
fn asked(measured: &Measured) -> Mode {
    if measured.reduce_only.is_some_and(|limit| limit <= measured.value) {
        Mode::ReduceOnly
    } else if measured.cautious <= measured.value {
        Mode::Cautious
    } else {
        Mode::Normal
    }
}

#[test]
fn every_change_of_a_mode_has_a_plan_that_says_what_the_detectors_said() {
    let (mut plans, mut with_numbers) = (0, 0);
    for seed in 0..12 {
        let (left, _, traffic) = run(seed, 400);
        let mut in_force: BTreeMap<MarketId, Restriction> = BTreeMap::new();
        for decided in &left {
            let modes = decided.effects.iter().zip(0_u32..).filter_map(|(effect, n)| match effect {
                Effect::Mode { market, from, to, restriction, .. } => Some((n, *market, *from, *to, *restriction)),
                _ => None,
            });
            let modes: Vec<_> = modes.collect();
            let said: Vec<_> = decided.plans.iter().map(|p| (p.n, p.market, p.from, p.to, p.restriction)).collect();
            assert_eq!(said, modes, "seed {seed}, height {}", decided.height);
            for plan in &decided.plans {
                plans += 1;
                let params = &traffic.params().markets[usize::from(plan.market.0)];
                let before = in_force.insert(plan.market, plan.restriction);
                let before = before.unwrap_or_else(|| kernel::breaker::restriction_of(Mode::Halted, &params.breaker));
                with_numbers += holds(plan, &before);
            }
        }
    }
    assert!(plans > 500 && with_numbers > 300, "{plans} plans, {with_numbers} measures that asked");
}

/// Holds a plan against itself; how many of its measures asked for something.
fn holds(plan: &Plan, before: &Restriction) -> usize {
    for action in Action::ALL {
        for side in Side::BOTH {
            let (was, is) = (before.permits(action, side), plan.restriction.permits(action, side));
            assert_eq!(plan.denied.contains(&(action, side)), was && !is, "{plan:?}");
            assert_eq!(plan.permitted.contains(&(action, side)), !was && is, "{plan:?}");
        }
    }
    // Who asks for the most stands first, and where the market tightened that is what it tightened to.
    let most = plan.checks.iter().map(|check| check.asks).max().unwrap_or(Mode::Normal);
    assert_eq!(plan.checks.first().map_or(Mode::Normal, |check| check.asks), most);
    if plan.from < plan.to {
        assert_eq!(most, plan.to, "{plan:?}");
    }
    let mut counted = 0;
    for check in &plan.checks {
        let Some(measured) = &check.measured else { continue };
        // What the batch itself opened and liquidated is measured already, and is answered in the next.
        if ["intensity", "growth", "crowding", "divergence"].contains(&check.name) {
            continue;
        }
        // A level may be held below its threshold, and is never below what the measure asks for; a dispute asks for more than its spread.
        assert!(asked(measured) <= check.asks, "{check:?}");
        let is_over = asked(measured) != Mode::Normal;
        counted += usize::from(is_over);
        if !is_over {
            assert!(Ratio::ZERO < measured.slack(), "{check:?}");
        }
    }
    if plan.to != Mode::Normal {
        let resume = plan.resume.expect("there is a way back from everything but settling");
        assert_eq!(resume.to, plan.to.milder());
        assert_eq!(resume.at, plan.at.plus(resume.calm), "its calm begins with the change");
    }
    let accounts = plan.accounts;
    assert!(accounts.seen <= accounts.holders && accounts.distressed <= accounts.holders, "{accounts:?}");
    if !plan.restriction.permits(Action::Open, Side::Long) && !plan.restriction.permits(Action::Open, Side::Short) {
        assert_eq!(accounts.open_with, 0);
    }
    counted
}

#[test]
fn a_batch_is_explained_from_the_journal_as_it_was_decided() {
    let (left, storage, _) = run(3, 150);
    let with_plans: Vec<&Decided> = left.iter().filter(|decided| !decided.plans.is_empty()).collect();
    assert!(with_plans.len() > 10, "{}", with_plans.len());
    for decided in [with_plans[0], with_plans[5], with_plans[with_plans.len() - 1]] {
        assert_eq!(explain(storage.clone(), decided.height).unwrap(), *decided);
    }
    let beyond = explain(storage, left.last().unwrap().height + 1_000).unwrap_err().to_string();
    assert!(beyond.contains("holds no batch of that height"), "{beyond}");
}

#[test]
fn slack_is_to_the_next_limit_and_negative_behind_the_last() {
    let of = |value: i64, reduce_only: Option<i64>| {
        Measured { value: Ratio(value), cautious: Ratio(10), reduce_only: reduce_only.map(Ratio) }.slack().0
    };
    assert_eq!(
        (of(9, Some(20)), of(10, Some(20)), of(19, Some(20)), of(20, Some(20)), of(25, Some(20))),
        (1, 10, 1, 0, -5)
    );
    assert_eq!((of(9, None), of(10, None), of(12, None)), (1, 0, -2));
}
