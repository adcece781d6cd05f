//! Replays of the ten small feeds: what each situation must and must not lead to.

use lab::feed::{Feed, FeedOptions};
use lab::fixtures::{self, Fixture};
use lab::replay::accounts::AccountsFrom;
use lab::replay::outcome::Outcome;
use lab::replay::{Options, replay};
use policy::Policy;

const DEFAULT: &str = include_str!("../../../policies/default.toml");
const COMPETENT: &str = include_str!("../../../policies/competent.toml");

fn options(threads: usize) -> Options {
    Options {
        title: "fixture".to_owned(),
        policy: Policy::parse(DEFAULT, "default").expect("the shipped policy is well formed"),
        competent: Policy::parse(COMPETENT, "competent").expect("the shipped policy is well formed"),
        accounts: AccountsFrom::Drawn { per_market: 120, seed: 3 },
        insurance_usd: Some(100_000.0),
        volume_assumed_usd: 1_000_000.0,
        single: true,
        sensitivity: false,
        chart_points: 200,
        threads,
    }
}

fn run(fixture: &Fixture) -> Outcome {
    let feed = Feed::open(&FeedOptions::new(fixture.bars.clone(), fixture.quotes.clone())).expect(fixture.name);
    replay(&feed, &options(2), &|_, _| {}).expect(fixture.name)
}

fn of(name: &str) -> Outcome {
    let fixtures = fixtures::all().expect("fixtures can be written");
    run(fixtures.iter().find(|fixture| fixture.name == name).expect("a fixture of this name"))
}

fn seconds(outcome: &Outcome, state: &str) -> f64 {
    outcome.markets[0].seconds_by_state[state]
}

fn mode(outcome: &Outcome, name: &str) -> f64 {
    outcome.markets[0].seconds_by_mode[name]
}

#[test]
fn every_fixture_replays_with_every_row_accounted_for_and_every_invariant_held() {
    for fixture in fixtures::all().expect("fixtures can be written") {
        let outcome = run(&fixture);
        let counts = outcome.observations;
        assert_eq!(counts.input, counts.used + counts.listed, "{}", fixture.name);
        assert_eq!((counts.input, counts.listed), (fixture.rows, fixture.listed), "{}", fixture.name);
        for totals in [&outcome.runs.policy, &outcome.runs.competent].into_iter().chain(&outcome.runs.single) {
            assert_eq!(totals.invariants_broken, 0, "{} {}", fixture.name, totals.name);
        }
        assert_eq!(outcome.markets[0].outside_hull, 0, "{}", fixture.name);
        assert!(outcome.markets[0].hull_checks > 0, "{}", fixture.name);
    }
}

#[test]
fn three_venues_that_agree_lead_to_nothing() {
    let outcome = of("three_agree");
    assert_eq!(outcome.runs.policy.liquidated_accounts, 0);
    assert_eq!(seconds(&outcome, "Disputed"), 0.0);
    assert!(seconds(&outcome, "Agreed") > 895.0, "{}", seconds(&outcome, "Agreed"));
    // Halted, CancelOnly, ReduceOnly and Cautious take one calm of 60 s each.
    assert!((mode(&outcome, "Normal") - 660.0).abs() < 2.0, "{}", mode(&outcome, "Normal"));
}

#[test]
fn a_venue_at_half_the_price_liquidates_nobody_but_where_it_is_the_only_oracle() {
    let outcome = of("one_prints_half");
    assert_eq!(outcome.runs.policy.liquidated_accounts, 0);
    let alone = outcome.runs.single.iter().find(|totals| totals.name == "binance").expect("a run of that source");
    assert!(alone.unjustified_liquidations >= 20, "{}", alone.unjustified_liquidations);
    // Two against one wait for their confirmation, and then go on without it.
    let disputed = seconds(&outcome, "Disputed");
    assert!(59.0 <= disputed && disputed <= 62.0, "{disputed}");
}

#[test]
fn two_venues_apart_with_nobody_to_ask_stay_disputed_and_liquidate_nobody() {
    let outcome = of("two_apart");
    let disputed = seconds(&outcome, "Disputed");
    assert!(118.0 <= disputed && disputed <= 122.0, "{disputed}");
    assert_eq!(outcome.runs.policy.liquidated_accounts, 0);
    assert!(mode(&outcome, "ReduceOnly") >= disputed, "{}", mode(&outcome, "ReduceOnly"));
}

#[test]
fn two_feeds_of_one_operator_are_never_agreed() {
    let outcome = of("one_lineage");
    assert_eq!(outcome.markets[0].lineages, 1);
    assert_eq!(seconds(&outcome, "Agreed"), 0.0);
    assert!(seconds(&outcome, "Degraded") > 895.0);
    assert_eq!(mode(&outcome, "Normal"), 0.0);
}

#[test]
fn a_silent_venue_leaves_two_that_agree() {
    let outcome = of("one_silent");
    assert!(seconds(&outcome, "Agreed") > 895.0);
    assert_eq!(seconds(&outcome, "Disputed"), 0.0);
}

#[test]
fn a_venue_a_minute_late_in_a_fall_is_left_out_for_its_age() {
    let outcome = of("one_late");
    assert_eq!(seconds(&outcome, "Disputed"), 0.0, "too old to contradict");
    assert!(outcome.markets[0].arbitrage_window.p99_bps < 20.0, "{:?}", outcome.markets[0].arbitrage_window);
}

#[test]
fn one_wick_liquidates_nobody() {
    let outcome = of("flash_wick");
    assert_eq!(outcome.runs.policy.liquidated_accounts, 0);
    assert!(outcome.markets[0].arbitrage_window.max_bps < 20.0, "{:?}", outcome.markets[0].arbitrage_window);
}

#[test]
fn a_true_fall_liquidates_as_many_as_the_plain_median_does_and_nobody_without_cause() {
    let outcome = of("slow_crash");
    let (policy, competent) = (&outcome.runs.policy, &outcome.runs.competent);
    assert!(policy.liquidated_accounts >= 30, "{}", policy.liquidated_accounts);
    assert_eq!(policy.liquidated_accounts, competent.liquidated_accounts);
    assert_eq!(policy.unjustified_liquidations, 0);
    assert!(policy.over_liquidation_ratio.expect("somebody was liquidated") < 1.001);
    assert!(policy.bad_debt_usd <= competent.bad_debt_usd, "{} {}", policy.bad_debt_usd, competent.bad_debt_usd);
}

#[test]
fn grouping_and_dirt_change_nothing_that_is_decided() {
    let plain = of("three_agree");
    for name in ["grouped_gzip", "dirty_rows"] {
        let other = of(name);
        assert_eq!(other.runs.policy.effects_digest, plain.runs.policy.effects_digest, "{name}");
    }
}

#[test]
fn two_replays_and_any_number_of_threads_decide_alike() {
    let fixtures = fixtures::all().expect("fixtures can be written");
    let fixture = fixtures.iter().find(|fixture| fixture.name == "slow_crash").expect("a fixture of this name");
    let feed = Feed::open(&FeedOptions::new(fixture.bars.clone(), fixture.quotes.clone())).expect(fixture.name);
    let digests: Vec<(String, String)> = [1, 2, 4]
        .into_iter()
        .map(|threads| replay(&feed, &options(threads), &|_, _| {}).expect("a replay"))
        .map(|outcome| (outcome.runs.policy.effects_digest, outcome.runs.competent.effects_digest))
        .collect();
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[0], digests[2]);
    assert_ne!(digests[0].0, digests[0].1);
}
