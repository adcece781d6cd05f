//! The fallback ladder: each rung is reached where the one above would have been wrong, is left for a better one after a
//! calm, and permits no more than it is worth.

mod common;

use common::{Story, USD, account, liquidations, market, observation, order, source, venue, withdraw};
use protocol::params::SourceParams;
use protocol::{AccountId, Effect, Input, MarketId, MarketParams, Mode, QualityState, Reject, Rung};
use units::{Duration, Price, Ratio};

const GONE: i64 = i64::MIN;
/// What an ether costs, in whose price the ratio is.
const ETHER: i64 = 10_000;

/// Two sources of its own, two secondary ones, three guardians, and a ratio in ether: sources 0 to 7.
fn steth() -> MarketParams {
    let mut params = market(2);
    params.oracle.twap_max = Duration::seconds(300);
    params.detectors.twap_window = Duration::seconds(60);
    params.breaker.calm = Duration::seconds(10);
    params.breaker.calm_max = Duration::seconds(10);
    let on = |rung, lineage| SourceParams { rung, ..source(lineage) };
    params.sources.extend([2, 3].map(|lineage| on(Rung::Secondary, lineage)));
    params.sources.extend([4, 5, 6].map(|lineage| on(Rung::Guardian, lineage)));
    let seldom = Duration::seconds(10);
    params.sources.push(SourceParams { quote: Some(MarketId(1)), heartbeat: seldom, ..on(Rung::Derived, 7) });
    params
}

fn ether() -> MarketParams {
    let mut params = market(2);
    params.breaker.calm = Duration::seconds(1);
    params
}

/// What each says in a second, in hundredths: the market's own, the secondary, the guardians, and the ratio.
#[derive(Clone, Copy)]
struct Says {
    own: [i64; 2],
    secondary: [i64; 2],
    guardians: [i64; 3],
    ratio: i64,
}

const ALL: Says = Says { own: [10_000; 2], secondary: [10_010; 2], guardians: [10_000; 3], ratio: 100 };
const NOBODY: Says = Says { own: [GONE; 2], secondary: [GONE; 2], guardians: [GONE; 3], ratio: GONE };

fn second(story: &mut Story, says: Says) -> Vec<Effect> {
    story.wait(1);
    let now = story.now;
    let cents = says.own.into_iter().chain(says.secondary).chain(says.guardians).chain([says.ratio]);
    let own = (0..).zip(cents).filter(|(_, cents)| *cents != GONE);
    let mut inputs: Vec<Input> =
        own.map(|(source, cents)| observation(0, source, cents * (USD / 100), now, now)).collect();
    // Ether is heard after whoever is quoted in it, in the same batch.
    inputs.extend([0, 1].map(|source| observation(1, source, ETHER * (USD / 100), now, now)));
    story.batch(inputs)
}

fn seconds(story: &mut Story, says: Says, count: u32) -> Vec<Effect> {
    (0..count).flat_map(|_| second(story, says)).collect()
}

/// A minute and a half of everything as it should be.
fn story(params: MarketParams, accounts: &[kernel::Genesis]) -> Story {
    let mut story = Story::new(&venue(vec![params, ether()]), accounts);
    seconds(&mut story, ALL, 90);
    story.effects.clear();
    assert_eq!((story.quality(0).rung, story.mode(0)), (Rung::Primary, Mode::Normal));
    story
}

#[track_caller]
fn check(story: &Story, rung: Rung, state: QualityState, cents: i64) {
    let quality = story.quality(0);
    let cents = Price(cents * (USD / 100));
    assert_eq!((quality.rung, quality.state, quality.value), (rung, state, cents), "{quality:?}");
}

#[test]
fn sources_stuck_at_their_bound_are_replaced_by_the_secondary_set() {
    // LUNA on 12 May 2022: the feed stood at its least price while the market fell on.
    let accounts = [account(1, 84, &[(0, 10_000, 100)]), account(2, 100_000, &[(0, -10_000, 100)])];
    for (listed, rung, cents, taken) in [(8, Rung::Secondary, 9_000, 1), (2, Rung::LastGood, 9_400, 0)] {
        let mut params = steth();
        params.sources.truncate(listed);
        params.oracle.twap_max = Duration::ZERO;
        for own in &mut params.sources[..2] {
            own.price_min = Price(93 * USD);
        }
        let said = |says: Says| if listed == 8 { says } else { Says { own: says.own, ..NOBODY } };
        let falls = |own: i64, secondary: i64| {
            said(Says { own: [own; 2], secondary: [secondary; 2], guardians: [secondary; 3], ratio: secondary / 100 })
        };
        let mut story = Story::new(&venue(vec![params, ether()]), &accounts);
        seconds(&mut story, said(ALL), 90);
        second(&mut story, falls(9_700, 9_690));
        second(&mut story, falls(9_400, 9_390));
        check(&story, Rung::Primary, QualityState::Agreed, 9_400);
        let effects = second(&mut story, falls(9_300, 9_000));
        assert_eq!((story.quality(0).rung, story.quality(0).value), (rung, Price(cents * USD / 100)));
        assert_eq!(story.mode(0), Mode::ReduceOnly, "all of its own sources are stuck");
        // At 90 USD and a percent more it owes 7 USD; at the price of a second ago it needs none.
        let closed = |effect: &&Effect| matches!(effect, Effect::Deleveraged { account: AccountId(1), .. });
        assert_eq!(effects.iter().filter(closed).count(), taken);
        if listed == 8 {
            check(&story, Rung::Secondary, QualityState::Agreed, 9_000);
            let quality = story.quality(0);
            assert_eq!((quality.confidence, quality.lineages), (Price(90 * USD / 100), 2), "a percent at least");
        }
    }
}

#[test]
fn a_secondary_set_that_left_what_was_said_gives_way_to_guardians_while_they_stand() {
    let mut story = story(steth(), &[]);
    let says = Says { secondary: [15_000; 2], guardians: [9_900; 3], ..NOBODY };
    seconds(&mut story, says, 3);
    check(&story, Rung::Primary, QualityState::Agreed, 10_000);
    // They speak against what serves, but not farther than a price may step in the time.
    for (more, reach) in [(1, 1_000), (100, 0)] {
        seconds(&mut story, says, more);
        check(&story, Rung::Guardian, QualityState::Disputed, 9_900);
        assert!(reach == 0 || story.quality(0).confidence == Price(99 * USD / 10), "{:?}", story.quality(0));
        assert_eq!(story.mode(0), Mode::ReduceOnly);
    }
    // Two of three are enough, and one is nobody.
    seconds(&mut story, Says { guardians: [9_800, GONE, 9_800], ..says }, 20);
    check(&story, Rung::Guardian, QualityState::Disputed, 9_800);
    seconds(&mut story, Says { guardians: [9_800, GONE, GONE], secondary: [GONE; 2], ..says }, 20);
    assert_eq!(story.quality(0).rung, Rung::LastGood);
}

#[test]
fn a_secondary_set_elsewhere_is_believed_once_it_stood_for_the_confirmation_time() {
    let mut params = steth();
    params.sources.truncate(4);
    let mut story = story(params, &[]);
    let says = Says { secondary: [15_000; 2], ..NOBODY };
    seconds(&mut story, says, 4);
    assert_eq!((story.quality(0).rung, story.quality(0).state), (Rung::Twap, QualityState::Disputed));
    seconds(&mut story, says, 59);
    assert_ne!(story.quality(0).rung, Rung::Secondary);
    // A step that is more than a dispute begins anew.
    let mut stepped = Story { kernel: story.kernel.clone(), effects: Vec::new(), now: story.now, prompt: false };
    second(&mut stepped, Says { secondary: [15_400; 2], ..says });
    assert_ne!(stepped.quality(0).rung, Rung::Secondary);
    second(&mut story, says);
    check(&story, Rung::Secondary, QualityState::Agreed, 15_000);
}

#[test]
fn guardians_who_left_what_was_said_give_way_to_what_the_price_is_derived_from() {
    let mut story = story(steth(), &[]);
    // Synthetix on 25 June 2019: one decimal point, from the only feed that spoke.
    let says = Says { guardians: [1_000_000; 3], ratio: 99, ..NOBODY };
    seconds(&mut story, says, 4);
    check(&story, Rung::Derived, QualityState::Agreed, 9_900);
    assert_eq!(story.quality(0).confidence, Price(2 * 99 * USD / 100), "the haircut");
    // However long they stand there.
    seconds(&mut story, says, 200);
    check(&story, Rung::Derived, QualityState::Agreed, 9_900);
    // It follows what it is in at once, though the ratio was said long ago.
    story.wait(1);
    let now = story.now;
    story.batch([0, 1].map(|source| observation(1, source, 95 * USD, now, now)).into());
    check(&story, Rung::Derived, QualityState::Agreed, 9_405);
}

#[test]
fn a_ratio_that_jumps_gives_way_to_the_median_which_a_last_spike_does_not_move() {
    let mut story = story(steth(), &[]);
    second(&mut story, Says { own: [10_800; 2], secondary: [10_800; 2], ..ALL });
    check(&story, Rung::Primary, QualityState::Agreed, 10_800);
    // From here on nobody but a ratio of 1.25, which a flash loan gave it.
    seconds(&mut story, Says { ratio: 125, ..NOBODY }, 16);
    // The window's sixty slots hold 43 s at 100 USD, 3 s at 108 and 13 s in which nobody spoke: for most of it, it was 100.
    check_twap(&story, 100 * USD, 14);
    seconds(&mut story, Says { ratio: 125, ..NOBODY }, 13);
    check_twap(&story, 100 * USD, 27);
    // Less than half of the window is no average: the last of it.
    seconds(&mut story, Says { ratio: 125, ..NOBODY }, 4);
    check(&story, Rung::LastGood, QualityState::Degraded, 10_800);
    assert_eq!(story.mode(0), Mode::ReduceOnly);
}

/// The average serves, as wide as it is from the last price and as the hour's range by the root of the silence in hours.
#[track_caller]
fn check_twap(story: &Story, value: i64, silent: u64) {
    let quality = story.quality(0);
    assert_eq!((quality.rung, quality.state, quality.value), (Rung::Twap, QualityState::Degraded, Price(value)));
    let window = story.kernel.state().market(MarketId(0)).expect("listed").params.detectors.swing_window;
    let root = (((u128::from(silent) * 1_000_000) << 32) / u128::from(window.0.unsigned_abs())).isqrt();
    let wandered = (8 * u128::from(USD.unsigned_abs()) * root).div_ceil(1 << 16);
    assert_eq!(i128::from(quality.confidence.0), i128::from(108 * USD - value) + wandered.cast_signed());
}

#[test]
fn back_to_a_better_rung_it_takes_the_calm_and_a_contradiction_shows_meanwhile() {
    let back = |own: i64, secondary: i64| Says { own: [own; 2], secondary: [secondary; 2], ..ALL };
    let mut params = steth();
    (params.breaker.calm, params.breaker.calm_max) = (Duration::seconds(20), Duration::seconds(20));
    let mut story = story(params, &[]);
    seconds(&mut story, Says { own: [GONE; 2], ..ALL }, 4);
    check(&story, Rung::Secondary, QualityState::Agreed, 10_010);
    seconds(&mut story, back(9_810, 10_010), 3);
    check(&story, Rung::Secondary, QualityState::Agreed, 10_010);
    // 2% of 100.10 is 2.002.
    second(&mut story, back(9_809, 10_010));
    check(&story, Rung::Secondary, QualityState::Disputed, 10_010);
    assert_eq!(story.quality(0).confidence, Price(201 * USD / 100));
    // A break begins it anew.
    second(&mut story, Says { own: [9_900, GONE], ..back(0, 10_010) });
    seconds(&mut story, Says { own: [GONE; 2], ..back(0, 10_010) }, 8);
    check(&story, Rung::Secondary, QualityState::Agreed, 10_010);
    seconds(&mut story, back(9_900, 10_010), 20);
    check(&story, Rung::Secondary, QualityState::Agreed, 10_010);
    second(&mut story, back(9_900, 10_010));
    check(&story, Rung::Primary, QualityState::Agreed, 9_900);
    // From where nobody speaks it is at once.
    let mut params = steth();
    params.sources.truncate(2);
    let mut story = self::story(params, &[]);
    seconds(&mut story, NOBODY, 4);
    assert_eq!(story.quality(0).rung, Rung::Twap);
    second(&mut story, Says { own: [9_900; 2], ..NOBODY });
    check(&story, Rung::Primary, QualityState::Agreed, 9_900);
}

#[test]
fn a_quorum_of_the_secondary_set_is_worth_more_than_one_voice_and_a_dispute_is_no_silence() {
    let mut story = story(steth(), &[]);
    seconds(&mut story, Says { own: [10_000, GONE], ..ALL }, 3);
    check(&story, Rung::Primary, QualityState::Agreed, 10_000);
    seconds(&mut story, Says { own: [10_000, GONE], ..ALL }, 1);
    check(&story, Rung::Secondary, QualityState::Agreed, 10_010);
    // Without the set the one voice is worth more than guardians.
    seconds(&mut story, Says { own: [10_000, GONE], secondary: [GONE; 2], ..ALL }, 4);
    check(&story, Rung::Primary, QualityState::Degraded, 10_000);

    let mut story = self::story(steth(), &[]);
    seconds(&mut story, Says { own: [10_000, 9_700], ..ALL }, 30);
    check(&story, Rung::Primary, QualityState::Disputed, 10_000);
    // But nobody comes back to one.
    let mut story = self::story(steth(), &[]);
    seconds(&mut story, Says { own: [GONE; 2], ..ALL }, 4);
    seconds(&mut story, Says { own: [10_000, 9_700], ..ALL }, 30);
    check(&story, Rung::Secondary, QualityState::Agreed, 10_010);
}

#[test]
fn each_rung_permits_what_it_is_worth() {
    // Under maintenance and solvent below 92 USD, at an edge of one percent below 91.
    let accounts =
        [account(1, 103, &[(0, 10_000, 100)]), account(2, 100_000, &[(0, -10_000, 100)]), account(3, 1_000, &[])];
    let below = |cents: i64| Says { own: [GONE; 2], secondary: [GONE; 2], guardians: [GONE; 3], ratio: cents / 100 };
    for (rung, says, opens, taken) in [
        (Rung::Secondary, Says { secondary: [9_010; 2], ..below(9_010) }, true, 1),
        (Rung::Guardian, Says { guardians: [9_010; 3], ..below(9_010) }, false, 0),
        (Rung::Derived, below(9_000), false, 0),
    ] {
        let mut params = steth();
        params.breaker.calm = Duration::seconds(1);
        params.breaker.calm_max = Duration::seconds(1);
        params.detectors.velocity.reduce_only = Ratio::percent(1_000);
        params.liquidation.order_ttl = Duration::seconds(600);
        let mut story = self::story(params, &accounts);
        for cents in [9_800, 9_500, 9_200] {
            let near = Says { own: [cents; 2], secondary: [cents; 2], guardians: [cents; 3], ratio: GONE };
            seconds(&mut story, near, 1);
        }
        let effects = seconds(&mut story, says, 20);
        assert_eq!(story.quality(0).rung, rung);
        assert_eq!(liquidations(&effects).len(), taken, "{rung:?}: the solvent");
        assert_eq!(story.mode(0), if opens { Mode::Cautious } else { Mode::ReduceOnly }, "{rung:?}");
        let effects = story.batch(vec![order(1, 3, 0, 10, 9_010), withdraw(1, 1)]);
        let refused = |n: u32| {
            effects.iter().any(|effect| {
                let why = [Reject::Restricted, Reject::PriceQuality];
                matches!(effect, Effect::Rejected { input, reject } if *input == n && why.contains(reject))
            })
        };
        assert_eq!((refused(0), refused(1)), (!opens, !opens), "{rung:?}: {effects:?}");
    }
}

#[test]
fn guardians_and_ratios_walk_nowhere() {
    for guards in [true, false] {
        let mut story = story(steth(), &[]);
        let says = |cents: i64| {
            let guardians = if guards { [cents; 3] } else { [GONE; 3] };
            Says { guardians, ratio: if guards { GONE } else { cents / 100 }, ..NOBODY }
        };
        seconds(&mut story, says(9_900), 4);
        let rung = if guards { Rung::Guardian } else { Rung::Derived };
        check(&story, rung, QualityState::Agreed, 9_900);
        // A percent a second, each of them nearer to the last than anybody would doubt. Until a minute after what the market
        // itself said last a tenth of that is the limit, and later more by the root of the time.
        let mut farthest = 0;
        for second in 0..40 {
            seconds(&mut story, says(9_900 - 100 * second), 1);
            if story.quality(0).rung == rung {
                farthest = farthest.max(story.quality(0).value.distance(Price(100 * USD)));
            }
        }
        assert_eq!(farthest, i128::from(10 * USD), "{rung:?}");
        assert_ne!(story.quality(0).rung, rung);
    }
}

#[test]
fn whoever_leaves_reach_while_a_better_rung_waits_is_left_at_once() {
    let mut story = story(steth(), &[]);
    let says = |own: i64, guardians: i64| Says { own: [own; 2], guardians: [guardians; 3], ..NOBODY };
    seconds(&mut story, says(GONE, 9_900), 4);
    check(&story, Rung::Guardian, QualityState::Agreed, 9_900);
    seconds(&mut story, says(9_900, 9_000), 3);
    // A tenth below 100 USD is in reach, and contradicts the better price that waits for its calm.
    check(&story, Rung::Guardian, QualityState::Disputed, 9_000);
    second(&mut story, says(9_900, 8_999));
    check(&story, Rung::Primary, QualityState::Agreed, 9_900);
}

#[test]
fn what_the_secondary_set_said_last_outlasts_what_the_market_itself_said_before() {
    let mut params = steth();
    params.sources.truncate(4);
    params.oracle.twap_max = Duration::ZERO;
    let mut story = story(params, &[]);
    let says = |one: i64, other: i64| Says { secondary: [one, other], ..NOBODY };
    for cents in (8_000..=10_000).rev().step_by(10) {
        seconds(&mut story, says(cents, cents), 1);
    }
    seconds(&mut story, says(8_000, 8_000), 30);
    check(&story, Rung::Secondary, QualityState::Agreed, 8_000);
    // One after the other they go.
    seconds(&mut story, says(8_000, GONE), 1);
    seconds(&mut story, NOBODY, 3);
    check(&story, Rung::Secondary, QualityState::Degraded, 8_000);
    seconds(&mut story, NOBODY, 1);
    check(&story, Rung::LastGood, QualityState::Degraded, 8_000);
    // For as long as a last price serves since then: 299 s more.
    story.wait(298);
    seconds(&mut story, NOBODY, 1);
    check(&story, Rung::LastGood, QualityState::Degraded, 8_000);
    seconds(&mut story, NOBODY, 1);
    assert_eq!((story.quality(0).state, story.mode(0)), (QualityState::None, Mode::Halted));
}

#[test]
fn a_contradiction_in_the_set_that_serves_is_resolved_there() {
    let mut params = steth();
    params.sources.truncate(4);
    let mut story = story(params, &[]);
    story.prompt = true;
    seconds(&mut story, Says { secondary: [10_010; 2], ..NOBODY }, 400);
    check(&story, Rung::Secondary, QualityState::Agreed, 10_010);
    // The market's own last price was good for 300 s.
    seconds(&mut story, Says { secondary: [10_010, 10_300], ..NOBODY }, 5);
    check(&story, Rung::Secondary, QualityState::Disputed, 10_010);
    assert_eq!(story.mode(0), Mode::ReduceOnly);
    // It waits with it for the better rung as well.
    seconds(&mut story, Says { own: [10_000; 2], secondary: [10_010, 10_300], ..NOBODY }, 10);
    check(&story, Rung::Secondary, QualityState::Disputed, 10_010);
    seconds(&mut story, Says { own: [10_000; 2], secondary: [10_010, 10_300], ..NOBODY }, 1);
    check(&story, Rung::Primary, QualityState::Agreed, 10_000);
}

#[test]
fn a_secondary_set_that_others_contradict_is_not_taken_at_its_word() {
    // One of two is silent; guardians say what the other says, and the secondary set says 5% more, within a jump.
    let says = |guardians: [i64; 3], ratio: i64| Says { own: [10_000, GONE], secondary: [10_500; 2], guardians, ratio };
    let mut story = story(steth(), &[]);
    seconds(&mut story, says([10_000; 3], GONE), 4);
    check(&story, Rung::Primary, QualityState::Disputed, 10_000);
    assert_eq!(story.quality(0).confidence, Price(5 * USD));
    // Guardians who stand there keep it from being believed.
    seconds(&mut story, says([10_000; 3], GONE), 200);
    check(&story, Rung::Primary, QualityState::Disputed, 10_000);
    // One voice of its own or one ratio does not, after the confirmation time.
    for (own, ratio) in [(10_000, GONE), (GONE, 100)] {
        let says = Says { own: [own, GONE], secondary: [10_500; 2], guardians: [GONE; 3], ratio };
        let mut story = self::story(steth(), &[]);
        seconds(&mut story, says, 5);
        assert_eq!(story.quality(0).state, QualityState::Disputed);
        assert_ne!(story.quality(0).rung, Rung::Secondary);
        seconds(&mut story, says, 70);
        check(&story, Rung::Secondary, QualityState::Agreed, 10_500);
    }
    // Once it serves, guardians who fit and contradict it dispute it.
    let mut story = self::story(steth(), &[]);
    seconds(&mut story, Says { own: [GONE; 2], ..ALL }, 5);
    check(&story, Rung::Secondary, QualityState::Agreed, 10_010);
    seconds(&mut story, Says { own: [GONE; 2], guardians: [9_700; 3], ..ALL }, 1);
    check(&story, Rung::Secondary, QualityState::Disputed, 10_010);
    assert_eq!(story.quality(0).confidence, Price(310 * USD / 100));
}

#[test]
fn time_in_which_nobody_looked_confirms_nothing() {
    // The secondary set is refused for 60 s; the climb takes 20 s of calm. Each is half over when the stall begins, of which
    // the first 3 s count, as long as what was heard was fresh.
    for (stalls, more, rung) in [(0, 31, Rung::Secondary), (70, 26, Rung::Primary), (70, 28, Rung::Secondary)] {
        let mut params = steth();
        params.sources.truncate(4);
        (params.breaker.calm, params.breaker.calm_max) = (Duration::seconds(20), Duration::seconds(20));
        let mut story = story(params, &[]);
        seconds(&mut story, Says { own: [10_000, GONE], secondary: [10_500; 2], ..NOBODY }, 34);
        check(&story, Rung::Primary, QualityState::Disputed, 10_000);
        story.wait(stalls);
        seconds(&mut story, Says { own: [10_000, GONE], secondary: [10_500; 2], ..NOBODY }, more);
        assert_eq!(story.quality(0).rung, rung, "{stalls}: {:?}", story.quality(0));
    }
    for (stalls, more, rung) in [(0, 11, Rung::Primary), (70, 6, Rung::Secondary), (70, 9, Rung::Primary)] {
        let mut params = steth();
        params.sources.truncate(4);
        (params.breaker.calm, params.breaker.calm_max) = (Duration::seconds(20), Duration::seconds(20));
        let mut story = story(params, &[]);
        seconds(&mut story, Says { own: [GONE; 2], ..ALL }, 5);
        seconds(&mut story, ALL, 10);
        story.wait(stalls);
        seconds(&mut story, ALL, more);
        assert_eq!(story.quality(0).rung, rung, "{stalls}: {:?}", story.quality(0));
    }
}

#[test]
fn nobody_comes_from_guardians_to_a_contradiction_or_to_one_voice_that_they_contradict() {
    let mut story = story(steth(), &[]);
    seconds(&mut story, Says { guardians: [10_000; 3], ..NOBODY }, 4);
    check(&story, Rung::Guardian, QualityState::Agreed, 10_000);
    seconds(&mut story, Says { own: [10_000, 9_700], guardians: [10_000; 3], ..NOBODY }, 30);
    check(&story, Rung::Guardian, QualityState::Agreed, 10_000);
    // One voice 9% away from what was agreed, believed by itself after a minute.
    let mut story = self::story(steth(), &[]);
    let says = Says { own: [10_900, GONE], guardians: [10_000; 3], ..NOBODY };
    second(&mut story, Says { own: [10_900, 10_000], ..ALL });
    seconds(&mut story, says, 200);
    check(&story, Rung::Guardian, QualityState::Disputed, 10_000);
    assert_eq!(story.quality(0).confidence, Price(9 * USD));
    // Without them it is, and a ratio that contradicts it disputes it.
    let mut story = self::story(steth(), &[]);
    seconds(&mut story, Says { guardians: [GONE; 3], ratio: GONE, ..says }, 200);
    check(&story, Rung::Primary, QualityState::Degraded, 10_900);
    seconds(&mut story, Says { guardians: [GONE; 3], ratio: 107, ..says }, 1);
    check(&story, Rung::Primary, QualityState::Degraded, 10_900);
    seconds(&mut story, Says { guardians: [GONE; 3], ratio: 106, ..says }, 1);
    check(&story, Rung::Primary, QualityState::Disputed, 10_900);
}

#[test]
fn one_voice_that_left_what_was_agreed_is_no_contradiction() {
    // Its only other source falls silent just then; the secondary set stays where it was.
    let mut story = story(steth(), &[]);
    second(&mut story, Says { own: [10_000, 10_000], ..ALL });
    seconds(&mut story, Says { own: [10_500, GONE], ..ALL }, 4);
    check(&story, Rung::Secondary, QualityState::Agreed, 10_010);
}

#[test]
fn a_secondary_set_that_falls_with_the_market_is_believed_though_it_does_not_stand_still() {
    let mut params = steth();
    params.sources.truncate(4);
    let mut story = story(params, &[]);
    seconds(&mut story, NOBODY, 4);
    // A gap of 15%, and then 7 cents a second.
    for second in 0..60 {
        let cents = 8_500 - 7 * second;
        seconds(&mut story, Says { secondary: [cents; 2], ..NOBODY }, 1);
        assert_ne!(story.quality(0).rung, Rung::Secondary, "{second}");
    }
    seconds(&mut story, Says { secondary: [8_073; 2], ..NOBODY }, 3);
    check(&story, Rung::Secondary, QualityState::Agreed, 8_073);
}

#[test]
fn nobody_who_could_pay_at_what_was_said_before_is_liquidated_on_guardians() {
    // 7.5% of margin, and guardians 9.5% below what was said.
    let accounts = [account(1, 75, &[(0, 10_000, 100)]), account(2, 100_000, &[(0, -10_000, 100)])];
    let mut params = steth();
    params.liquidation.order_ttl = Duration::seconds(600);
    let mut story = story(params, &accounts);
    let effects = seconds(&mut story, Says { guardians: [9_050; 3], ..NOBODY }, 100);
    check(&story, Rung::Guardian, QualityState::Agreed, 9_050);
    assert_eq!(story.quality(0).confidence, Price(95 * USD / 10));
    let harms = |effect: &&Effect| matches!(effect, Effect::Liquidate { .. } | Effect::Deleveraged { .. });
    assert_eq!(effects.iter().find(harms), None);
}

/// Two of its own and two secondary sources alone.
fn bare(own: [i64; 2], secondary: [i64; 2]) -> Says {
    Says { own, secondary, ..NOBODY }
}

/// Without guardians and ratio.
fn sets() -> MarketParams {
    let mut params = steth();
    params.sources.truncate(4);
    params
}

fn stands(story: &Story) -> (Rung, QualityState) {
    let quality = story.quality(0);
    (quality.rung, quality.state)
}

#[test]
fn one_of_its_own_that_stood_elsewhere_unheard_does_not_take_over_from_who_is_left_of_the_second_set() {
    let mut story = story(steth(), &[]);
    seconds(&mut story, bare([10_000, GONE], [10_000; 2]), 5);
    // For longer than it takes to believe too few, while the second set serves.
    seconds(&mut story, bare([15_000, GONE], [10_000; 2]), 100);
    assert_eq!(stands(&story), (Rung::Secondary, QualityState::Agreed));
    // One of that falls silent: one against one, for however long.
    for (wait, rung) in [(4, Rung::Secondary), (600, Rung::Primary)] {
        seconds(&mut story, bare([15_000, GONE], [10_000, GONE]), wait);
        assert_eq!(stands(&story), (rung, QualityState::Disputed), "{wait}");
        assert!(Price(50 * USD) <= story.quality(0).confidence, "{:?}", story.quality(0));
        assert_eq!(story.mode(0), Mode::ReduceOnly);
    }
}

#[test]
fn one_lineage_that_contradicts_itself_is_one_voice() {
    for own in [[10_000, GONE, GONE], [10_000, GONE, 9_700]] {
        let mut params = market(2);
        params.breaker.calm = Duration::seconds(10);
        params.sources.push(source(0));
        params.sources.extend([2, 3].map(|lineage| SourceParams { rung: Rung::Secondary, ..source(lineage) }));
        let mut story = Story::new(&venue(vec![params]), &[]);
        let say = |story: &mut Story, own: [i64; 3], k: i64| {
            // They move, or they would seem stuck.
            let moving = own.map(|cents| if cents == GONE { GONE } else { cents + k % 2 });
            story.wait(1).prices(0, &[moving[0], moving[1], moving[2], 10_000, 10_000]);
        };
        for k in 0..60 {
            say(&mut story, [10_000; 3], k);
        }
        for k in 0..60 {
            say(&mut story, own, k);
        }
        assert_eq!(stands(&story), (Rung::Secondary, QualityState::Agreed), "{own:?}");
    }
}

#[test]
fn a_source_that_its_market_lists_alone_is_disputed_by_those_who_are_enough() {
    for (says, state) in [
        ([10_950, GONE, GONE, GONE, GONE, GONE], QualityState::Degraded),
        ([10_950, 10_000, GONE, GONE, GONE, GONE], QualityState::Degraded),
        ([10_950, 10_000, 10_000, GONE, GONE, GONE], QualityState::Disputed),
        ([10_950, GONE, GONE, 10_000, 10_000, GONE], QualityState::Disputed),
    ] {
        let mut params = market(1);
        (params.breaker.calm, params.breaker.calm_max) = (Duration::seconds(10), Duration::seconds(10));
        let on = |rung, lineage| SourceParams { rung, ..source(lineage) };
        params.sources.extend([2, 3].map(|lineage| on(Rung::Secondary, lineage)));
        params.sources.extend([4, 5, 6].map(|lineage| on(Rung::Guardian, lineage)));
        let held = [account(1, 80, &[(0, -10_000, 100)]), account(2, 100_000, &[(0, 10_000, 100)])];
        let mut story = Story::new(&venue(vec![params]), &held);
        story.hold(0, &[10_000; 6], 90);
        // Whoever is silent here has been for long enough.
        story.hold(0, &[10_000, says[1], says[2], says[3], says[4], says[5]], 5);
        story.effects.clear();
        story.hold(0, &says, 1);
        assert_eq!(stands(&story), (Rung::Primary, state), "{says:?}");
        let closed = |effect: &Effect| matches!(effect, Effect::Deleveraged { .. } | Effect::Liquidate { .. });
        assert_eq!(story.effects.iter().any(closed), state == QualityState::Degraded, "{says:?}");
    }
}

#[test]
fn too_few_of_the_second_set_that_are_elsewhere_are_disputed_by_what_was_said_before() {
    for (cents, state) in [(10_200, QualityState::Degraded), (10_201, QualityState::Disputed)] {
        let mut story = story(steth(), &[]);
        seconds(&mut story, bare([10_000; 2], [cents, GONE]), 100);
        assert_eq!(stands(&story), (Rung::Primary, QualityState::Agreed));
        // Its own fall silent, and what they said is no average any more.
        seconds(&mut story, bare([GONE; 2], [cents, GONE]), 10);
        assert_eq!(stands(&story), (Rung::Secondary, state), "{cents}");
        let away = Price((cents - 10_000) * (USD / 100));
        assert!(state == QualityState::Degraded || story.quality(0).confidence == away, "{:?}", story.quality(0));
    }
}

#[test]
fn whoever_is_left_of_the_second_set_is_climbed_away_from_after_a_calm_as_all_of_it_is() {
    let mut story = story(sets(), &[]);
    seconds(&mut story, bare([GONE; 2], [10_000; 2]), 10);
    seconds(&mut story, bare([GONE; 2], [10_000, GONE]), 5);
    assert_eq!(stands(&story), (Rung::Secondary, QualityState::Degraded));
    second(&mut story, bare([10_800; 2], [10_000, GONE]));
    assert_eq!(stands(&story), (Rung::Secondary, QualityState::Disputed));
}

#[test]
fn nobody_comes_to_a_contradiction_from_the_average() {
    let mut story = story(sets(), &[]);
    seconds(&mut story, NOBODY, 5);
    assert_eq!(stands(&story).0, Rung::Twap);
    second(&mut story, bare([GONE; 2], [10_000, 9_700]));
    assert_eq!(stands(&story).0, Rung::Twap);
    // Nor to anything whatever once they agree on it.
    second(&mut story, bare([GONE; 2], [30_000; 2]));
    assert_eq!(stands(&story).0, Rung::Twap);
}
