//! What the detectors make of a market's prices: each alone, with the others out of reach.

mod common;

use common::{Story, USD, market, observation, venue};
use protocol::params::Thresholds;
use protocol::{Batch, Effect, LineageId, MarketParams, Mode, QualityState, SourceKind};
use units::{Duration, Price, Ratio, Timestamp};

const NEVER: Thresholds = Thresholds { cautious: Ratio::percent(10_000), reduce_only: Ratio::percent(10_000) };

/// A market in which no detector of moves asks for anything.
fn quiet(sources: u8) -> MarketParams {
    let mut params = market(sources);
    params.detectors.velocity = NEVER;
    params.detectors.band = NEVER;
    params
}

fn at(cautious: i64, reduce_only: i64) -> Thresholds {
    Thresholds { cautious: Ratio::percent(cautious), reduce_only: Ratio::percent(reduce_only) }
}

/// Told until the market is open, all sources at 100 USD.
fn open(params: MarketParams) -> Story {
    let sources = params.sources.len();
    let mut story = Story { prompt: true, ..Story::new(&venue(vec![params]), &[]) };
    story.hold(0, &vec![10_000; sources], 300);
    assert_eq!(story.mode(0), Mode::Normal);
    story
}

#[test]
fn a_swing_adds_up_what_is_too_slow_for_the_velocity() {
    let mut params = quiet(2);
    params.detectors.velocity = at(3, 7);
    params.detectors.swing = at(8, 15);
    let mut story = open(params);
    // A cent of 100 USD every 2 s, for half an hour, is at most 0.3% in a minute.
    let mut modes = Vec::new();
    for step in 1..=1_500 {
        story.wait(1);
        story.prices(0, &[10_000 + step, 10_000 + step]);
        modes.push(story.mode(0));
    }
    let first = |mode| modes.iter().position(|found| *found == mode).map(|step| step + 1);
    assert_eq!(first(Mode::Cautious), Some(800));
    assert_eq!(first(Mode::ReduceOnly), Some(1_500));
}

#[test]
fn what_came_late_all_at_once_is_no_faster_than_it_was_published() {
    let mut params = quiet(2);
    params.detectors.velocity = at(3, 7);
    params.oracle.age_max = Duration::seconds(7_200);
    params.oracle.silence_floor = Duration::seconds(7_200);
    let told = |minutes: i64| {
        let mut story = open(params.clone());
        story.wait(3_600);
        let now = story.now;
        // An hour in one delivery, 4% each twenty minutes or so.
        for (place, cents) in [(3, 10_000), (2, 9_600), (1, 9_220), (0, 8_860)] {
            let published = now - place * minutes * 60_000_000;
            let inputs = [0, 1].map(|source| observation(0, source, cents * (USD / 100), published, now));
            story.batch(inputs.to_vec());
            story.now = now;
        }
        story.mode(0)
    };
    assert_eq!(told(20), Mode::Normal);
    // Six seconds between them: 8% within twelve.
    let mut fast = open(params.clone());
    for cents in [9_600, 9_220] {
        fast.wait(6);
        fast.prices(0, &[cents, cents]);
    }
    assert_eq!(fast.mode(0), Mode::ReduceOnly);
}

#[test]
fn quotes_alone_stop_nobody_where_the_market_lists_trades() {
    let mut params = quiet(3);
    params.detectors.velocity = at(3, 7);
    params.detectors.disagreement = Ratio::percent(100);
    for source in &mut params.sources[1..] {
        source.kind = SourceKind::Quotes;
    }
    // Two quotes of three carry the index off, within the agreement limit of each other and the dispute's of the trade, and
    // farther than a threshold of 1%.
    params.detectors.velocity = at(1, 7);
    let mut story = open(params.clone());
    for cents in [10_050, 10_100, 10_150] {
        story.wait(1);
        story.prices(0, &[10_000, cents, cents]);
        assert_eq!((story.quality(0).state, story.mode(0)), (QualityState::Agreed, Mode::Normal));
    }
    let index = |story: &Story| story.kernel.state().markets().next().map(|market| market.index.clone());
    assert_eq!(
        index(&story).map(|index| (index.quality.value, index.traded)),
        Some((Price(10_150 * USD / 100), Price(100 * USD)))
    );
    // Where the trade goes along it counts.
    story.wait(1);
    story.prices(0, &[10_150, 10_150, 10_150]);
    assert_eq!(index(&story).map(|index| index.traded), Some(Price(10_150 * USD / 100)));
    assert_eq!(story.mode(0), Mode::Cautious);
    params.detectors.velocity = at(3, 7);
    // Where the market's one source of trades is gone, quotes are all there is: silence must not hide a move.
    story.hold(0, &[i64::MIN, 10_150, 10_150], 20);
    assert_eq!(index(&story).map(|index| index.traded), Some(Price(10_150 * USD / 100)));
    story.wait(1);
    story.prices(0, &[i64::MIN, 10_990, 10_990]);
    assert_eq!(story.mode(0), Mode::ReduceOnly);
    // And where it lists none.
    params.sources[0].kind = SourceKind::Quotes;
    let mut story = open(params);
    story.wait(1);
    story.prices(0, &[10_800, 10_800, 10_800]);
    assert_eq!((index(&story).map(|index| index.traded), story.mode(0)), (Some(Price(108 * USD)), Mode::ReduceOnly));
}

#[test]
fn one_look_is_no_observation_of_more_than_a_quarter_of_the_average_s_window() {
    let mut params = quiet(1);
    params.oracle.lineages_min = 1;
    params.oracle.age_max = Duration::seconds(7_200);
    params.sources[0].heartbeat = Duration::seconds(3_600);
    let mut story = Story::new(&venue(vec![params]), &[]);
    let covered = |story: &Story| story.kernel.state().markets().next().map(|market| market.twap.covered);
    story.prices(0, &[10_000]);
    story.wait(74);
    story.batch(vec![]);
    story.prices(0, &[10_000]);
    assert_eq!(covered(&story), Some(74_000_000));
    // Published at the 74th second: seen until the 149th, whoever looks meanwhile.
    story.wait(60);
    story.batch(vec![common::order(1, 1, 0, 1, 1)]);
    story.wait(100);
    story.prices(0, &[10_000]);
    assert_eq!(covered(&story), Some(149_000_000));
}

#[test]
fn a_slow_walk_drifts_away_from_where_the_price_has_been() {
    let mut params = quiet(2);
    params.detectors.drift = at(5, 10);
    params.detectors.stable_half_life = Duration::seconds(600);
    let mut story = open(params);
    // 0.02% a second: under every threshold of a minute. After long the stable price lags by 0.02% times 600 s over ln 2.
    let mut modes = Vec::new();
    for step in 1..=1_500_i64 {
        story.wait(1);
        let cents = 10_000 + 2 * step;
        story.prices(0, &[cents, cents]);
        modes.push(story.mode(0));
    }
    let first = |mode| modes.iter().position(|found| *found == mode).map(|step| step + 1);
    // With a walk of v a second the distance is v T (1 - 2^(-t/600)), T = 600 / ln 2 s, against a stable price that has
    // risen meanwhile: 5% of it are reached after 310 s, 10% after 880 s, to the step.
    let distance = |t: f64| {
        let (v, tau) = (0.02, 600.0 / std::f64::consts::LN_2);
        let gap = v * tau * (1.0 - (-t / tau).exp());
        gap / (100.0 + v * t - gap)
    };
    for (mode, threshold) in [(Mode::Cautious, 0.05), (Mode::ReduceOnly, 0.10)] {
        let Some(step) = first(mode) else { panic!("never {mode:?}") };
        assert!((distance(step as f64) - threshold).abs() < 0.0005, "{mode:?} at {step}: {}", distance(step as f64));
    }
}

#[test]
fn whoever_stands_at_its_bound_makes_the_market_cautious_and_half_of_the_weight_stops_what_opens() {
    let mut params = quiet(4);
    params.detectors.stuck = at(1, 50);
    params.detectors.quorum_coverage_min = Ratio::ZERO;
    for source in &mut params.sources {
        source.price_min = Price(10 * USD);
    }
    let mut story = open(params);
    // Long enough that nonsense no longer counts as a contradiction.
    story.hold(0, &[1_000, 10_000, 10_000, 10_000], 400);
    assert_eq!(story.mode(0), Mode::Cautious);
    story.hold(0, &[1_000, 1_000, 10_000, 10_000], 400);
    assert_eq!(story.mode(0), Mode::ReduceOnly);
    // One of four again: no half, and at once.
    let level = |story: &Story| story.kernel.state().markets().next().map(|market| market.memory.levels[6]);
    story.hold(0, &[10_000, 1_000, 10_000, 10_000], 1);
    assert_eq!((level(&story), story.mode(0)), (Some(Mode::Cautious), Mode::ReduceOnly));
    story.hold(0, &[10_000; 4], 1);
    assert_eq!(level(&story), Some(Mode::Normal));
}

#[test]
fn a_source_that_fell_silent_at_its_bound_is_stuck_no_more() {
    let mut params = quiet(3);
    params.detectors.stuck = at(1, 50);
    params.detectors.quorum_coverage_min = Ratio::ZERO;
    params.sources[0].price_min = Price(10 * USD);
    let mut story = open(params);
    story.hold(0, &[1_000, 10_000, 10_000], 400);
    assert_eq!(story.mode(0), Mode::Cautious);
    let stuck = |story: &Story| story.kernel.state().markets().next().map(|market| market.index.stuck);
    assert_eq!(stuck(&story), Some(1));
    story.hold(0, &[i64::MIN, 10_000, 10_000], 4);
    assert_eq!(stuck(&story), Some(0));
}

#[test]
fn a_relapse_within_its_probation_doubles_the_calm_before_what_opens() {
    let mut params = quiet(2);
    params.detectors.velocity = at(3, 7);
    params.detectors.velocity_window = Duration::seconds(12);
    params.breaker.calm = Duration::seconds(60);
    params.breaker.probation = Duration::seconds(600);
    params.breaker.calm_max = Duration::seconds(200);
    let mut story = open(params);
    // The way up from the first price was a step back as well.
    story.hold(0, &[10_000, 10_000], 700);
    let mut price = 10_000;
    // Trips, and says how long the market stays in ReduceOnly.
    let mut trip = |story: &mut Story| {
        price += price * 8 / 100;
        story.hold(0, &[price, price], 1);
        assert_eq!(story.mode(0), Mode::ReduceOnly);
        let mut seconds = 0;
        while story.mode(0) == Mode::ReduceOnly {
            story.hold(0, &[price, price], 1);
            seconds += 1;
        }
        seconds
    };
    // The window forgets the move after 11 to 12 s; then a calm of 60, 120 and 200 s.
    let first = trip(&mut story);
    assert!((71..=72).contains(&first), "{first}");
    let second = trip(&mut story);
    assert!((131..=132).contains(&second), "{second}");
    let third = trip(&mut story);
    assert!((211..=212).contains(&third), "{third}");
    // Back to normal and ten minutes without a step back: all is forgiven.
    story.hold(0, &[price, price], 1_100);
    assert_eq!(story.mode(0), Mode::Normal);
    price += price * 8 / 100;
    story.hold(0, &[price, price], 1);
    assert_eq!(story.kernel.state().markets().next().map(|market| market.breaker.failed), Some(0));
}

#[test]
fn stable_price_and_swing_are_kept_in_the_snapshot() {
    let mut params = quiet(2);
    params.detectors.swing = at(8, 15);
    params.detectors.drift = at(5, 10);
    let mut story = open(params);
    story.hold(0, &[10_300, 10_300], 100);
    let state = kernel::State::from_snapshot(&story.kernel.state().to_snapshot()).expect("a snapshot");
    assert_eq!(state, *story.kernel.state());
    let mut other = kernel::Kernel::resume(state);
    let mut effects: [Vec<Effect>; 2] = [Vec::new(), Vec::new()];
    for cents in [10_500, 10_700, 11_000] {
        story.wait(1);
        let inputs = [0, 1].map(|source| observation(0, source, cents * (USD / 100), story.now, story.now));
        let height = story.kernel.state().height + 1;
        let batch = Batch { height, at: Timestamp(story.now), seed: [0; 32], inputs: inputs.to_vec() };
        story.kernel.apply(&batch, &mut effects[0]);
        other.apply(&batch, &mut effects[1]);
    }
    assert_eq!(effects[0], effects[1]);
    assert!(effects[0].iter().any(|effect| matches!(effect, Effect::Mode { to: Mode::Cautious, .. })), "{effects:?}");
}

fn of(story: &Story) -> kernel::state::Market {
    story.kernel.state().markets().next().cloned().expect("one market")
}

#[test]
fn two_feeds_of_one_operator_at_their_bounds_are_one_voice() {
    let stuck = |lineages: [u8; 4]| {
        let mut params = quiet(4);
        params.detectors.stuck = at(1, 50);
        for (source, lineage) in params.sources.iter_mut().zip(lineages) {
            (source.price_min, source.lineage) = (Price(10 * USD), LineageId(lineage));
        }
        let mut story = open(params);
        story.hold(0, &[1_000, 1_000, 10_000, 10_000], 1);
        of(&story).view().stuck
    };
    assert_eq!(stuck([0, 1, 2, 3]), Ratio::percent(50));
    // One voice of three, rounded up.
    assert_eq!(stuck([0, 0, 1, 2]), Ratio(333_333_333_334));
}

#[test]
fn who_was_overruled_and_stands_at_its_bound_is_stuck() {
    let mut params = quiet(3);
    params.detectors.stuck = at(1, 50);
    params.sources[0].price_min = Price(10 * USD);
    params.oracle.jump_max = Ratio::percent(500);
    params.oracle.overrule_lineages = 9;
    let mut story = open(params);
    story.hold(0, &[9_500, 10_000, 10_000], 61);
    assert_eq!(of(&story).index.exclusion(0), Some(protocol::quality::Exclusion::Overruled));
    assert_eq!(of(&story).index.stuck, 0);
    story.hold(0, &[1_000, 10_000, 10_000], 1);
    assert_eq!(of(&story).index.exclusion(0), Some(protocol::quality::Exclusion::Overruled));
    assert_eq!(of(&story).index.stuck, 1);
}

#[test]
fn a_band_that_a_faster_feed_tripped_is_let_go_after_a_quiet_swing_s_window() {
    let mut params = quiet(1);
    params.oracle.lineages_min = 1;
    params.detectors.band = at(5, 10);
    params.detectors.swing_window = Duration::seconds(3_600);
    params.sources[0].heartbeat = Duration::seconds(3_600);
    params.oracle.jump_max = Ratio::percent(50);
    let mut story = open(params);
    story.hold(0, &[8_800], 1);
    assert_eq!(story.mode(0), Mode::ReduceOnly);
    let band = |story: &Story| of(story).memory.levels[1];
    // From now on once in twenty minutes: never half of five minutes.
    let mut minutes = 0;
    while band(&story) != Mode::Normal && minutes < 600 {
        story.wait(1_200);
        story.prices(0, &[8_800]);
        minutes += 20;
        assert!(of(&story).twap().1 < Ratio::percent(50));
    }
    // Once the fall has left the hour.
    assert_eq!(minutes, 60);
}

#[test]
fn a_trade_is_dated_by_itself_and_not_by_a_quote_that_came_later() {
    let mut params = quiet(2);
    params.detectors.velocity = at(1, 7);
    params.detectors.disagreement = Ratio::percent(100);
    params.sources[1].kind = SourceKind::Quotes;
    for source in &mut params.sources {
        source.heartbeat = Duration::seconds(600);
    }
    let mut story = open(params);
    // The trade stands for five minutes while quotes go on; then it is 1.5% higher.
    for _ in 0..300 {
        story.wait(1);
        story.prices(0, &[i64::MIN, 10_000]);
    }
    assert_eq!(of(&story).index.traded_at, Timestamp(story.now - 300_000_000));
    story.wait(1);
    story.prices(0, &[10_150, 10_000]);
    assert_eq!((of(&story).index.traded_at, story.mode(0)), (Timestamp(story.now), Mode::Normal));
}

#[test]
fn a_trade_far_from_the_others_does_not_date_them() {
    let mut story = open(quiet(3));
    story.wait(10);
    let (then, now) = (story.now - 2_000_000, story.now);
    let seen = [(0, 10_000, then), (1, 10_000, then - 1), (2, 9_700, now)];
    let inputs = seen.map(|(source, cents, published)| observation(0, source, cents * (USD / 100), published, now));
    story.batch(inputs.to_vec());
    assert_eq!(of(&story).index.traded_at, Timestamp(then));
}

#[test]
fn a_lone_voice_where_more_are_asked_for_does_not_begin_the_stable_price() {
    let mut story = Story { prompt: true, ..Story::new(&venue(vec![quiet(2)]), &[]) };
    // A thousand times too high, for an hour.
    story.hold(0, &[10_000_000, i64::MIN], 3_600);
    assert_eq!((story.quality(0).state, of(&story).stable.price()), (QualityState::Degraded, None));
    story.hold(0, &[i64::MIN, i64::MIN], 400);
    story.hold(0, &[10_000, 10_000], 200);
    assert_eq!(story.quality(0).state, QualityState::Agreed);
    assert_eq!(of(&story).stable.price(), Some(Price(100 * USD)));
}

#[test]
fn whoever_jumps_about_is_not_heard_for_having_done_so_for_long() {
    let mut params = quiet(1);
    params.oracle.lineages_min = 1;
    params.oracle.jump_confirm = Duration::seconds(30);
    let jumps = |story: &Story| of(story).index.exclusion(0).is_some();
    // 15% after a silence of four minutes is no jump ...
    let mut silent = open(params.clone());
    silent.wait(240);
    silent.prices(0, &[11_500]);
    assert!(!jumps(&silent));
    // ... and is one for who said something else every second meanwhile.
    let mut loud = open(params);
    for second in 0..240 {
        loud.wait(1);
        loud.prices(0, &[if second % 2 == 0 { 15_000 } else { 20_000 }]);
    }
    loud.wait(1);
    loud.prices(0, &[11_500]);
    assert!(jumps(&loud));
    // Nor does a stamp from long ago make time pass.
    let mut stamped = loud;
    stamped.hold(0, &[10_000], 5);
    stamped.wait(1);
    let now = stamped.now;
    stamped.batch(vec![observation(0, 0, 100 * USD, now + 100_000_000, now)]);
    stamped.batch(vec![observation(0, 0, 100 * USD, now - 3_600_000_000, now)]);
    stamped.batch(vec![observation(0, 0, 115 * USD, now, now)]);
    assert!(jumps(&stamped));
}

#[test]
fn a_halt_out_of_reduce_only_is_no_second_failure_and_its_calm_is_not_longer() {
    let mut params = quiet(2);
    params.detectors.velocity = at(3, 7);
    params.detectors.velocity_window = Duration::seconds(12);
    params.breaker.calm = Duration::seconds(60);
    params.breaker.probation = Duration::seconds(600);
    params.breaker.calm_max = Duration::seconds(240);
    params.oracle.last_good_max = Duration::seconds(20);
    let mut story = open(params);
    let failed = |story: &Story| of(story).breaker.failed;
    story.hold(0, &[10_800, 10_800], 1);
    assert_eq!((story.mode(0), failed(&story)), (Mode::ReduceOnly, 1));
    // Nobody speaks: the last price, then none.
    story.wait(60);
    story.batch(vec![]);
    assert_eq!((story.mode(0), failed(&story)), (Mode::Halted, 1));
    let mut modes = Vec::new();
    for _ in 0..400 {
        story.hold(0, &[10_800, 10_800], 1);
        modes.push(story.mode(0));
    }
    let seconds = |mode: Mode| modes.iter().filter(|found| **found == mode).count();
    // A calm of 60 s out of Halted and out of CancelOnly, and of twice that out of ReduceOnly.
    assert!((59..=61).contains(&seconds(Mode::Halted)), "{modes:?}");
    assert_eq!((seconds(Mode::CancelOnly), seconds(Mode::ReduceOnly)), (60, 120));
}
