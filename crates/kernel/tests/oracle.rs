//! What the index does when its sources do not agree.

mod common;

use common::{Story, USD, market, observation, venue};
use protocol::quality::Exclusion;
use protocol::{Mode, QualityState, Rung};
use units::{Price, Ratio};

const GONE: i64 = i64::MIN;

fn story(sources: u8) -> Story {
    Story::new(&venue(vec![market(sources)]), &[])
}

fn check(story: &Story, state: QualityState, cents: i64) {
    let quality = story.quality(0);
    assert_eq!((quality.state, quality.value), (state, Price(cents * (USD / 100))), "{quality:?}");
}

#[test]
fn one_source_is_its_price_and_degraded() {
    let mut story = story(3);
    story.prices(0, &[10_000]);
    check(&story, QualityState::Degraded, 10_000);
    assert_eq!(story.quality(0).lineages, 1);
}

#[test]
fn two_sources_give_their_midpoint_and_are_agreed_up_to_two_percent() {
    let mut story = story(2);
    story.prices(0, &[9_900, 10_100]);
    check(&story, QualityState::Agreed, 10_000);
    story.wait(1).prices(0, &[9_899, 10_101]);
    check(&story, QualityState::Disputed, 10_000);
}

#[test]
fn an_even_count_gives_the_midpoint_of_the_middle_two_and_an_odd_one_the_middle() {
    let mut even = story(4);
    even.prices(0, &[10_030, 10_000, 10_010, 10_060]);
    check(&even, QualityState::Agreed, 10_020);
    let mut odd = story(3);
    odd.prices(0, &[10_030, 10_000, 10_010]);
    check(&odd, QualityState::Agreed, 10_010);
}

#[test]
fn two_against_one_is_disputed_until_the_two_have_stood_for_the_confirmation_time() {
    let mut story = story(3);
    story.prices(0, &[10_000, 10_010, 10_020]);
    story.hold(0, &[10_000, 10_010, 10_300], 60);
    assert_eq!(story.quality(0).state, QualityState::Disputed, "59 s after it began");
    story.hold(0, &[10_000, 10_010, 10_300], 1);
    check(&story, QualityState::Agreed, 10_005);
    let index = &story.kernel.state().market(protocol::MarketId(0)).unwrap().index;
    assert_eq!(index.exclusion(2), Some(Exclusion::Overruled));
    story.wait(1).prices(0, &[10_000, 10_010, 10_020]);
    story.wait(1).prices(0, &[10_000, 10_010, 10_020]);
    check(&story, QualityState::Agreed, 10_010);
}

#[test]
fn three_lineages_outvote_one_at_once() {
    let mut story = story(4);
    story.prices(0, &[10_000, 10_000, 10_000, 10_000]);
    story.wait(1).prices(0, &[10_000, 10_000, 10_000, 10_900]);
    check(&story, QualityState::Agreed, 10_000);
    assert_eq!(story.quality(0).coverage, Ratio::percent(75));
}

#[test]
fn a_disputed_index_stays_in_the_hull_as_near_to_the_last_believed_as_it_can() {
    let mut story = story(2);
    story.prices(0, &[12_800, 12_800]);
    story.wait(1).prices(0, &[12_800, 12_000]);
    check(&story, QualityState::Disputed, 12_800);
    story.wait(1).prices(0, &[12_700, 12_000]);
    check(&story, QualityState::Disputed, 12_700);
}

#[test]
fn a_jump_of_a_lone_source_disputes_the_last_good_price_until_it_has_stood() {
    let mut story = story(1);
    story.prices(0, &[10_000]);
    story.wait(1).prices(0, &[11_000]);
    check(&story, QualityState::Degraded, 11_000);
    story.wait(1).prices(0, &[12_101]);
    check(&story, QualityState::Disputed, 11_000);
    assert_eq!(story.quality(0).rung, Rung::LastGood);
    story.hold(0, &[12_101], 9);
    check(&story, QualityState::Disputed, 11_000);
    story.hold(0, &[12_101], 1);
    check(&story, QualityState::Degraded, 12_101);
}

#[test]
fn a_jump_that_another_lineage_confirms_is_believed_at_once() {
    let mut story = story(2);
    story.prices(0, &[10_000, 10_000]);
    story.wait(1).prices(0, &[8_000, 8_010]);
    check(&story, QualityState::Agreed, 8_005);
}

#[test]
fn silence_past_the_floor_leaves_the_others_and_past_the_last_good_leaves_nothing() {
    let mut story = story(2);
    story.prices(0, &[10_000, 10_000]);
    story.wait(3).prices(0, &[10_000, GONE]);
    assert_eq!(story.quality(0).state, QualityState::Agreed, "exactly the floor");
    story.now += 1;
    story.batch(vec![]);
    assert_eq!(story.quality(0).state, QualityState::Degraded, "one microsecond past it");
    story.wait(300).batch(vec![]);
    check(&story, QualityState::Degraded, 10_000);
    assert_eq!(story.quality(0).rung, Rung::LastGood);
    story.wait(5).batch(vec![]);
    assert_eq!(story.quality(0).state, QualityState::None);
    assert_eq!(story.mode(0), Mode::Halted);
}

#[test]
fn nonsense_is_left_out_by_the_first_filter_that_it_fails() {
    let mut params = market(1);
    params.sources[0].price_min = Price(USD);
    params.sources[0].price_max = Price(1_000 * USD);
    let cases = [
        (0, 0, 0, Some(Exclusion::NonPositive)),
        (-5, 0, 0, Some(Exclusion::NonPositive)),
        (100 * USD, 1_000_000, 0, None),
        (100 * USD, 1_000_001, 0, Some(Exclusion::Future)),
        (USD, 0, 0, Some(Exclusion::StuckAtBound)),
        (USD + 1, 0, 0, None),
        (1_000 * USD, 0, 0, Some(Exclusion::StuckAtBound)),
        (100 * USD, 0, 2 * USD, None),
        (100 * USD, 0, 2 * USD + 1, Some(Exclusion::Uncertain)),
    ];
    for (price, ahead, confidence, expected) in cases {
        let mut story = Story::new(&venue(vec![params.clone()]), &[]);
        let mut seen = observation(0, 0, price, story.now + ahead, story.now);
        if let protocol::Input::Observation(seen) = &mut seen {
            seen.confidence = Price(confidence);
        }
        story.batch(vec![seen]);
        let index = &story.kernel.state().market(protocol::MarketId(0)).unwrap().index;
        assert_eq!(index.exclusion(0), expected, "{price} {ahead} {confidence}");
    }
}

#[test]
fn half_of_the_weight_talking_nonsense_is_a_dispute_at_once() {
    let mut story = story(8);
    story.prices(0, &[10_000; 8]);
    story.wait(1).prices(0, &[0, 0, 0, 10_000, 10_000, 10_000, 10_000, 10_000]);
    check(&story, QualityState::Agreed, 10_000);
    story.wait(1).prices(0, &[0, 0, 0, 0, 10_000, 10_000, 10_000, 10_000]);
    check(&story, QualityState::Disputed, 10_000);
    assert_eq!(story.mode(0), Mode::Halted, "still coming up; never looser than ReduceOnly");
}

#[test]
fn a_lying_majority_is_believed_only_after_the_confirmation_time() {
    let mut story = story(8);
    story.prices(0, &[10_000; 8]);
    let lie = [10_500, 10_500, 10_500, 10_500, 10_500, 10_000, 10_000, 10_000];
    story.hold(0, &lie, 60);
    assert_eq!(story.quality(0).state, QualityState::Disputed);
    story.hold(0, &lie, 1);
    check(&story, QualityState::Agreed, 10_500);
}

#[test]
fn an_older_observation_is_refused_and_changes_nothing() {
    let mut story = story(2);
    story.prices(0, &[10_000, 10_000]);
    let before = story.kernel.state().market(protocol::MarketId(0)).unwrap().index.clone();
    let stale = observation(0, 0, 5_000 * USD, story.now - 1, story.now);
    let out = story.batch(vec![stale]);
    let rejected = protocol::Effect::Rejected { input: 0, reject: protocol::Reject::OutOfOrder };
    assert!(out.contains(&rejected), "{out:?}");
    assert_eq!(story.kernel.state().market(protocol::MarketId(0)).unwrap().index, before);
}

#[test]
fn two_feeds_of_one_operator_do_not_outvote_two_operators() {
    let mut params = market(3);
    params.sources[1].lineage = protocol::LineageId(0);
    let mut story = Story::new(&venue(vec![params.clone()]), &[]);
    story.prices(0, &[10_000, 10_010, 10_090]);
    // One voice at 100.00/100.10, one at 100.90: halfway between the upper of the first and the second.
    check(&story, QualityState::Agreed, 10_050);
    assert_eq!((story.quality(0).lineages, story.quality(0).coverage), (2, Ratio::ONE));
    // Without the second operator the first still has one whole voice, and no more.
    story.wait(4).prices(0, &[10_000, 10_010, GONE]);
    assert_eq!((story.quality(0).lineages, story.quality(0).coverage), (1, Ratio::percent(50)));
}

#[test]
fn nonsense_of_one_feed_of_an_operator_speaks_with_its_share_of_the_voice() {
    let mut params = market(4);
    params.sources[1].lineage = protocol::LineageId(0);
    let mut story = Story::new(&venue(vec![params]), &[]);
    story.prices(0, &[10_000, 10_000, 10_000, 10_000]);
    // Half of one voice of three.
    story.wait(1).prices(0, &[0, 10_000, 10_000, 10_000]);
    check(&story, QualityState::Agreed, 10_000);
    // One and a half of three.
    story.wait(1).prices(0, &[0, 10_000, 0, 10_000]);
    check(&story, QualityState::Disputed, 10_000);
}

#[test]
fn a_majority_that_left_waits_even_when_everyone_else_moves_on_too() {
    let mut story = story(8);
    let prices = |lie: i64, truth: i64| [lie, lie, lie, lie, lie, truth, truth, truth];
    story.prices(0, &prices(10_000, 10_000));
    for second in 0..60 {
        story.wait(1).prices(0, &prices(5_000 + second % 2, 10_000 - 10 * second));
        assert_eq!(story.quality(0).state, QualityState::Disputed, "{second} s after it began");
    }
    story.wait(1).prices(0, &prices(5_000, 9_400));
    check(&story, QualityState::Agreed, 5_000);
}

#[test]
fn whoever_only_says_that_the_price_moved_farther_is_outvoted_at_once() {
    let mut story = story(5);
    story.prices(0, &[10_000, 10_000, 10_000, 10_000, 10_000]);
    story.wait(1).prices(0, &[9_700, 9_700, 9_700, 9_700, 9_400]);
    check(&story, QualityState::Agreed, 9_700);
    // The same vote, but the one says that it did not move.
    let mut story = self::story(5);
    story.prices(0, &[10_000, 10_000, 10_000, 10_000, 10_000]);
    story.wait(1).prices(0, &[9_700, 9_700, 9_700, 9_700, 10_000]);
    check(&story, QualityState::Disputed, 9_700);
}

#[test]
fn who_repeats_a_price_for_longer_than_it_may_be_old_outvotes_nobody_at_once() {
    let mut story = story(4);
    story.prices(0, &[10_000, 10_000, 10_000, 10_000]);
    story.hold(0, &[10_000, 10_000, 10_000, 9_900], 9);
    story.wait(1).prices(0, &[10_000, 10_000, 10_000, 9_700]);
    check(&story, QualityState::Agreed, 10_000);
    // One microsecond past the age limit, without any word from anybody.
    story.now += 1;
    story.batch(vec![]);
    check(&story, QualityState::Disputed, 10_000);
    // Whoever shows that it is alive is heard again.
    story.wait(1).prices(0, &[10_001, 10_001, 10_001, 9_700]);
    check(&story, QualityState::Agreed, 10_001);
}

#[test]
fn whoever_outlasts_the_contradiction_is_not_believed_at_once() {
    let mut story = story(2);
    story.prices(0, &[12_800, 12_800]);
    story.wait(1).prices(0, &[12_800, 12_000]);
    check(&story, QualityState::Disputed, 12_800);
    // The first goes silent: the index must lie in the hull of those that speak, but nobody has been believed.
    story.hold(0, &[GONE, 12_000], 4);
    check(&story, QualityState::Disputed, 12_000);
    assert_eq!(story.quality(0).confidence, Price(800 * (USD / 100)), "what was believed is inside the interval");
    story.hold(0, &[GONE, 12_000], 59);
    check(&story, QualityState::Disputed, 12_000);
    story.hold(0, &[GONE, 12_000], 1);
    check(&story, QualityState::Degraded, 12_000);
}

#[test]
fn a_halt_that_nobody_looked_at_is_no_calm() {
    let mut story = story(2);
    story.prices(0, &[10_000, 10_000]);
    story.wait(1_000).batch(vec![]);
    assert_eq!(story.mode(0), Mode::Halted);
    // Without a price for an hour, and not evaluated since.
    story.wait(3_600).prices(0, &[10_000, 10_000]);
    assert_eq!(story.mode(0), Mode::Halted, "the reason stood until now");
    story.hold(0, &[10_000, 10_000], 59);
    assert_eq!(story.mode(0), Mode::Halted);
    story.hold(0, &[10_000, 10_000], 1);
    assert_eq!(story.mode(0), Mode::CancelOnly);
}

#[test]
fn three_feeds_of_one_operator_and_one_of_another_are_a_tie_to_the_last_part() {
    let mut params = market(4);
    for (source, weight) in params.sources.iter_mut().take(3).zip([1, 1, 5]) {
        (source.lineage, source.weight) = (protocol::LineageId(0), weight);
    }
    params.sources[3].weight = 5;
    let mut story = Story::new(&venue(vec![params]), &[]);
    story.prices(0, &[10_000, 10_000, 10_000, 10_000]);
    // Nobody has a majority, so nobody is ever believed.
    story.hold(0, &[10_000, 10_000, 10_000, 12_000], 120);
    check(&story, QualityState::Disputed, 10_000);
    assert_eq!(story.quality(0).coverage, Ratio::percent(50));
}

#[test]
fn one_wrong_source_of_three_neither_holds_the_index_nor_is_followed() {
    let mut story = story(3);
    story.prices(0, &[10_000, 10_000, 10_000]);
    story.wait(1).prices(0, &[10_000, 10_000, 10_500]);
    check(&story, QualityState::Disputed, 10_000);
    story.wait(1).prices(0, &[9_800, 9_810, 10_500]);
    check(&story, QualityState::Disputed, 9_810);
    // The wrong one comes nearer to what was last believed than the others are, and is not followed either.
    story.wait(1).prices(0, &[9_500, 9_510, 9_900]);
    check(&story, QualityState::Disputed, 9_510);
    // Of two nobody has more than half: the index stays within both.
    story.hold(0, &[9_500, GONE, 9_900], 4);
    check(&story, QualityState::Disputed, 9_900);
}
