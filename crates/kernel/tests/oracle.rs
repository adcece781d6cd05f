//! What the index does when its sources do not agree.

mod common;

use common::{Story, USD, market, observation, venue};
use protocol::quality::Exclusion;
use protocol::{Mode, QualityState, Rung};
use units::{Price, Ratio};

const GONE: i64 = i64::MIN;

fn story(sources: u8) -> Story {
    Story { prompt: true, ..Story::new(&venue(vec![market(sources)]), &[]) }
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
    // It says what everyone says: for less than a minute that is not enough.
    story.hold(0, &[10_000, 10_010, 10_020], 60);
    check(&story, QualityState::Agreed, 10_005);
    assert_eq!(exclusion(&story, 2), Some(Exclusion::Overruled));
    story.hold(0, &[10_000, 10_010, 10_020], 1);
    check(&story, QualityState::Agreed, 10_010);
    assert_eq!(exclusion(&story, 2), None);
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

fn exclusion(story: &Story, source: usize) -> Option<Exclusion> {
    story.kernel.state().market(protocol::MarketId(0)).unwrap().index.exclusion(source)
}

#[test]
fn a_lone_voice_does_not_walk_away_from_what_was_agreed() {
    let mut story = story(2);
    story.prices(0, &[10_000, 10_000]);
    story.hold(0, &[10_000, GONE], 4);
    check(&story, QualityState::Degraded, 10_000);
    story.wait(1).prices(0, &[9_800, GONE]);
    check(&story, QualityState::Degraded, 9_800);
    assert_eq!(
        story.quality(0).confidence,
        Price(200 * (USD / 100)),
        "it holds as far as the agreed price says so too"
    );
    // One past the dispute limit from the agreed price, though only a cent from the last one.
    story.wait(1).prices(0, &[9_799, GONE]);
    check(&story, QualityState::Disputed, 9_799);
    // In steps of 1.7% it would be gone in no time; none of these prices stands for a minute.
    let mut cents = 9_799;
    for _ in 0..120 {
        cents -= cents * 17 / 1_000;
        story.wait(1).prices(0, &[cents, GONE]);
        assert_eq!(story.quality(0).state, QualityState::Disputed, "{cents}");
        assert_eq!(
            story.kernel.state().market(protocol::MarketId(0)).unwrap().index.agreed,
            Price(10_000 * (USD / 100))
        );
    }
    // What stands for a minute is believed, at most a dispute from where it began.
    story.hold(0, &[cents, GONE], 59);
    assert_eq!(story.quality(0).state, QualityState::Disputed);
    story.hold(0, &[cents + 1, GONE], 2);
    check(&story, QualityState::Degraded, cents + 1);
    assert_eq!(story.quality(0).confidence, Price(0));
}

#[test]
fn a_market_of_one_lineage_has_nobody_else_to_agree_with() {
    let mut story = story(1);
    let mut cents = 10_000;
    for _ in 0..20 {
        story.wait(1).prices(0, &[cents]);
        check(&story, QualityState::Degraded, cents);
        assert_eq!(story.quality(0).confidence, Price(0));
        cents -= 150;
    }
}

#[test]
fn a_majority_that_walks_is_disputed_before_it_is_three_percent_away() {
    // Four of five outvote at once, unless they leave somebody behind.
    let mut story = story(5);
    story.prices(0, &[10_000; 5]);
    for step in 1..60 {
        let lie = 10_000 - step * 10;
        story.wait(1).prices(0, &[lie, lie, lie, lie, 10_000 - step % 2]);
        let expected = if lie < 9_712 { QualityState::Disputed } else { QualityState::Agreed };
        assert_eq!(story.quality(0).state, expected, "{lie}");
    }
    // Three of five are not enough from the first contradiction on.
    let mut story = self::story(5);
    story.prices(0, &[10_000; 5]);
    for step in 1..60 {
        let (lie, honest) = (10_000 - step * 10, 10_000 - step % 2);
        story.wait(1).prices(0, &[lie, lie, lie, honest, honest]);
        let expected = if lie < 9_804 { QualityState::Disputed } else { QualityState::Agreed };
        assert_eq!(story.quality(0).state, expected, "{lie}");
    }
}

#[test]
fn who_went_the_other_way_by_himself_keeps_nobody_back() {
    let mut story = story(5);
    story.prices(0, &[10_000; 5]);
    for step in 1..60 {
        let price = 10_000 - step * 10;
        story.wait(1).prices(0, &[price, price, price, price, 10_900 + step]);
        check(&story, QualityState::Agreed, price);
    }
    // Nor who is stuck where all were: longer than a price may be old before he contradicts anybody.
    let mut story = self::story(5);
    story.prices(0, &[10_000; 5]);
    for step in 1..60 {
        let price = 10_000 - step * 10;
        story.wait(1).prices(0, &[price, price, price, price, 10_000]);
        check(&story, QualityState::Agreed, price);
    }
}

#[test]
fn nonsense_from_the_future_locks_nobody_out() {
    let mut story = story(3);
    story.prices(0, &[10_000; 3]);
    story.wait(1);
    let far = story.now + 70 * 365 * 86_400_000_000;
    story.batch(vec![observation(0, 0, 0, far, story.now)]);
    assert_eq!(exclusion(&story, 0), Some(Exclusion::NonPositive));
    story.wait(1).prices(0, &[10_000; 3]);
    assert_eq!(exclusion(&story, 0), None);
    check(&story, QualityState::Agreed, 10_000);
}

#[test]
fn nonsense_does_not_launder_who_was_overruled() {
    let mut story = story(3);
    story.prices(0, &[10_000; 3]);
    story.hold(0, &[10_000, 10_000, 10_300], 61);
    assert_eq!(exclusion(&story, 2), Some(Exclusion::Overruled));
    for nonsense in [0, -5] {
        story.wait(1).prices(0, &[10_000, 10_000, nonsense]);
        assert_eq!(exclusion(&story, 2), Some(Exclusion::Overruled));
        story.wait(1).prices(0, &[10_000, 10_000, 10_300]);
        assert_eq!(exclusion(&story, 2), Some(Exclusion::Overruled));
        check(&story, QualityState::Agreed, 10_000);
    }
    // The right price with a wrong date is nonsense, too.
    story.wait(1).prices(0, &[10_000, 10_000, GONE]);
    story.batch(vec![observation(0, 2, 10_000 * (USD / 100), story.now + 1_000_001, story.now)]);
    assert_eq!(exclusion(&story, 2), Some(Exclusion::Overruled));
    story.hold(0, &[10_000, 10_000, 10_100], 60);
    assert_eq!(exclusion(&story, 2), Some(Exclusion::Overruled));
    story.hold(0, &[10_000, 10_000, 10_100], 1);
    assert_eq!(exclusion(&story, 2), None);
    let returned = |effect: &&protocol::Effect| {
        matches!(effect, protocol::Effect::Source { source: protocol::SourceId(2), exclusion: None, .. })
    };
    assert_eq!(story.effects.iter().filter(returned).count(), 1, "that it is heard again is told, once");
}

#[test]
fn one_kind_of_nonsense_after_another_is_set_aside_like_one() {
    let mut story = story(2);
    story.prices(0, &[10_000; 2]);
    for second in 1..=60 {
        story.wait(1).prices(0, &[10_000, GONE]);
        let (price, ahead) = if second % 2 == 0 { (0, 0) } else { (10_000 * (USD / 100), 5_000_000) };
        story.batch(vec![observation(0, 1, price, story.now + ahead, story.now)]);
        assert_eq!(story.quality(0).state, QualityState::Disputed, "{second}");
    }
    story.wait(1).prices(0, &[10_000, 0]);
    check(&story, QualityState::Degraded, 10_000);
}

#[test]
fn whoever_is_left_alone_is_heard_again() {
    let mut story = story(3);
    story.prices(0, &[10_000; 3]);
    story.hold(0, &[10_000, 10_000, 10_300], 61);
    assert_eq!(exclusion(&story, 2), Some(Exclusion::Overruled));
    check(&story, QualityState::Agreed, 10_000);
    // Those who overruled it fall silent: their price is good until they are stale, and a minute later it speaks.
    story.hold(0, &[GONE, GONE, 10_300], 62);
    assert_eq!((exclusion(&story, 2), story.quality(0).rung), (Some(Exclusion::Overruled), Rung::LastGood));
    story.hold(0, &[GONE, GONE, 10_300], 1);
    assert_eq!(exclusion(&story, 2), None);
    check(&story, QualityState::Disputed, 10_300);
    story.hold(0, &[GONE, GONE, 10_300], 60);
    check(&story, QualityState::Degraded, 10_300);
}

#[test]
fn a_jump_is_confirmed_only_near_where_it_jumped_to() {
    let mut story = story(1);
    story.prices(0, &[10_000]);
    // Each step is within 10% of the one before; from 12,000 it is 13% away before the ten seconds are over.
    for (second, cents) in [(1, 12_000), (5, 12_900), (9, 13_500)] {
        story.now = 1_000_000_000_000_000 + second * 1_000_000;
        story.prices(0, &[cents]);
    }
    story.now = 1_000_000_000_000_000 + 11_000_000;
    story.prices(0, &[13_600]);
    assert_eq!(exclusion(&story, 0), Some(Exclusion::Jump));
    story.hold(0, &[13_600], 7);
    assert_eq!(exclusion(&story, 0), Some(Exclusion::Jump));
    story.hold(0, &[13_600], 1);
    assert_eq!(exclusion(&story, 0), None);
}

#[test]
fn one_source_of_three_does_not_widen_the_confidence_alone() {
    let mut story = story(3);
    story.prices(0, &[10_000, 10_003, 10_001]);
    let wide = protocol::input::Observation {
        market: protocol::MarketId(0),
        source: protocol::SourceId(0),
        observer: 0,
        price: Price(10_000 * (USD / 100)),
        confidence: Price(200 * (USD / 100)),
        published_at: units::Timestamp(story.now),
        received_at: units::Timestamp(story.now),
    };
    story.batch(vec![protocol::Input::Observation(wide)]);
    check(&story, QualityState::Agreed, 10_001);
    assert_eq!(story.quality(0).confidence, Price(2 * (USD / 100)));
    let spread = story.kernel.state().market(protocol::MarketId(0)).unwrap().index.spread;
    assert_eq!(spread, Price(201 * (USD / 100)), "the detector of disagreement still sees it");
}

/// Seconds of an hour in which the market is disputed, while two sources tell the truth and the third says what it likes.
fn disputed_seconds(third: impl Fn(&Story, i64) -> i64) -> usize {
    let mut story = story(3);
    story.prices(0, &[10_000; 3]);
    let disputed = |second: i64| {
        let said = third(&story, second);
        story.wait(1).prices(0, &[10_000, 10_000, said]);
        story.quality(0).state == QualityState::Disputed
    };
    (0..3_600).map(disputed).filter(|disputed| *disputed).count()
}

#[test]
fn one_liar_of_three_disputes_the_market_half_of_the_time_at_most() {
    // It lies whenever it is heard.
    let as_often_as_it_can = |story: &Story, _: i64| if exclusion(story, 2).is_some() { 10_000 } else { 10_300 };
    assert_eq!(disputed_seconds(as_often_as_it_can), 1_800);
    // What it says in between does not buy it another minute, nor does going farther off.
    assert_eq!(disputed_seconds(|_, second| if second % 60 == 59 { 10_000 } else { 10_300 }), 60);
    assert_eq!(disputed_seconds(|_, second| if second % 4 == 3 { 10_150 } else { 10_300 + second % 500 }), 60);
}

#[test]
fn whom_the_index_left_behind_is_heard_again_when_it_goes_on_without_him() {
    let mut story = story(3);
    let honest = |second: i64| 10_000 + second % 2;
    story.prices(0, &[10_000; 3]);
    for second in 0..61 {
        story.wait(1).prices(0, &[9_750, 9_750, honest(second)]);
    }
    check(&story, QualityState::Agreed, 9_750);
    assert_eq!(exclusion(&story, 2), Some(Exclusion::Overruled));
    // As far as the dispute limit from there: 195 cents.
    story.wait(1).prices(0, &[9_555, 9_555, honest(0)]);
    check(&story, QualityState::Agreed, 9_555);
    // One past it: the next minute begins.
    for second in 0..60 {
        story.wait(1).prices(0, &[9_554, 9_554, honest(second)]);
        check(&story, QualityState::Disputed, 9_554);
    }
    story.wait(1).prices(0, &[9_554, 9_554, honest(1)]);
    check(&story, QualityState::Agreed, 9_554);
    // Whoever goes along is not: it is wrong as before.
    let along = |cents: i64| 10_000 * cents / 9_554;
    story.wait(1).prices(0, &[9_300, 9_300, along(9_300)]);
    check(&story, QualityState::Agreed, 9_300);
    assert_eq!(exclusion(&story, 2), Some(Exclusion::Overruled));
    // Nor is it heard where the index comes back to it.
    story.wait(1).prices(0, &[9_800, 9_800, 10_100]);
    check(&story, QualityState::Agreed, 9_800);
    // To repeat a price since then unsays nothing.
    for second in 0..11 {
        story.wait(1).prices(0, &[9_800 + second % 2, 9_800, 10_100]);
    }
    story.wait(1).prices(0, &[9_300, 9_300, 10_100]);
    check(&story, QualityState::Disputed, 9_300);
    // But who seemed stuck when it was overruled is not heard for that.
    let mut story = self::story(3);
    story.prices(0, &[10_000; 3]);
    for second in 0..72 {
        let price = 10_000 - 4 * second;
        story.wait(1).prices(0, &[price, price, 10_000]);
    }
    story.hold(0, &[9_700, 9_701, 10_000], 61);
    assert_eq!(exclusion(&story, 2), Some(Exclusion::Overruled));
    story.wait(1).prices(0, &[9_300, 9_300, 10_000]);
    check(&story, QualityState::Agreed, 9_300);
}

#[test]
fn everybody_has_a_minute_of_his_own() {
    // Five of eight lie. Three of them make the dispute, by a lie of their own, before the honest contradict anybody.
    let mut story = story(8);
    story.prices(0, &[10_020; 8]);
    for second in 0..59 {
        let (sham, truth) = (10_300, 10_030 + second % 2);
        story.wait(1).prices(0, &[10_020, 10_020, sham, sham, sham, truth, truth, truth]);
        assert_eq!(story.quality(0).state, QualityState::Disputed, "{second}");
    }
    // Their minute is nearly over. The lie begins now, nearer to the majority's price than the limit.
    for second in 0..60 {
        let (lie, truth) = (9_830, 10_030 + second % 2);
        story.wait(1).prices(0, &[lie, lie, lie, lie, lie, truth, truth, truth]);
        assert_eq!(story.quality(0).state, QualityState::Disputed, "{second}");
    }
    story.wait(1).prices(0, &[9_830, 9_830, 9_830, 9_830, 9_830, 10_030, 10_030, 10_030]);
    check(&story, QualityState::Agreed, 9_830);
}

#[test]
fn a_lone_weight_is_no_majority_against_as_many_lineages_as_an_agreed_price_needs() {
    let mut params = market(3);
    params.sources[0].weight = 3;
    let mut story = Story::new(&venue(vec![params]), &[]);
    story.prices(0, &[10_000; 3]);
    story.hold(0, &[9_700, 10_000, 10_000], 300);
    check(&story, QualityState::Disputed, 10_000);
    // Against one it is, after the minute.
    story.hold(0, &[9_700, GONE, 10_000], 64);
    check(&story, QualityState::Degraded, 9_700);
}

#[test]
fn whoever_is_between_contradicts_nobody_and_is_not_overruled() {
    let excluded = |story: &Story| [0, 1, 2, 3, 4].map(|source| exclusion(story, source).is_some());
    // Two are 2.6% from each other, and neither is 2% from anybody of the majority: each is the other's adversary.
    let mut story = story(5);
    story.prices(0, &[10_000; 5]);
    story.hold(0, &[10_000, 10_000, 10_000, 10_130, 9_870], 60);
    check(&story, QualityState::Disputed, 10_000);
    assert_eq!(excluded(&story), [false; 5]);
    story.hold(0, &[10_000, 10_000, 10_000, 10_130, 9_870], 1);
    check(&story, QualityState::Agreed, 10_000);
    assert_eq!(excluded(&story), [false, false, false, true, true]);
    // But where somebody contradicts the majority, whoever is only far from him is not overruled with him.
    let mut story = self::story(5);
    story.prices(0, &[10_000; 5]);
    story.hold(0, &[10_000, 10_000, 10_000, 10_130, 9_500], 61);
    check(&story, QualityState::Agreed, 10_000);
    assert_eq!(excluded(&story), [false, false, false, false, true]);
    // Exactly 2% from the farthest of the majority, and one past it.
    let mut story = self::story(5);
    story.prices(0, &[10_000; 5]);
    story.hold(0, &[10_000, 10_000, 10_010, 9_870, 9_810], 61);
    check(&story, QualityState::Agreed, 10_000);
    assert_eq!(excluded(&story), [false; 5]);
    story.hold(0, &[10_000, 10_000, 10_010, 9_870, 9_809], 60);
    check(&story, QualityState::Disputed, 10_000);
    story.hold(0, &[10_000, 10_000, 10_010, 9_870, 9_809], 1);
    check(&story, QualityState::Agreed, 10_000);
    assert_eq!(excluded(&story), [false, false, false, false, true]);
    // One heavy source between two that are 2.4% apart is no reason to believe it at once.
    let mut params = market(3);
    params.sources[0].weight = 3;
    let mut story = Story { prompt: true, ..Story::new(&venue(vec![params]), &[]) };
    story.prices(0, &[10_000, 10_120, 9_880]);
    check(&story, QualityState::Disputed, 10_000);
}

#[test]
fn silence_is_neither_contradiction_nor_calm() {
    let mut story = story(3);
    story.prices(0, &[10_000; 3]);
    // Half a minute of contradiction, silence for a minute, and the other half.
    story.hold(0, &[10_000, 10_000, 10_300], 30);
    story.hold(0, &[10_000, 10_000, GONE], 60);
    // It counted until it was stale, three seconds after its last word.
    story.hold(0, &[10_000, 10_000, 10_300], 28);
    assert_eq!(exclusion(&story, 2), None);
    story.hold(0, &[10_000, 10_000, 10_300], 1);
    assert_eq!(exclusion(&story, 2), Some(Exclusion::Overruled));
    // Calm is nothing after a silence, which by now may last ten seconds.
    story.hold(0, &[10_000, 10_000, 10_000], 49);
    story.hold(0, &[10_000, 10_000, GONE], 10);
    story.hold(0, &[10_000, 10_000, 10_000], 60);
    assert_eq!(exclusion(&story, 2), Some(Exclusion::Overruled));
    story.hold(0, &[10_000, 10_000, 10_000], 1);
    assert_eq!(exclusion(&story, 2), None);
}

#[test]
fn an_unconfirmed_jump_makes_a_price_doubtful_as_far_as_a_price_may_step() {
    let mut story = story(2);
    story.prices(0, &[10_000; 2]);
    story.wait(1).prices(0, &[10_000, 1_000_000]);
    check(&story, QualityState::Disputed, 10_000);
    assert_eq!(story.quality(0).confidence, Price(1_000 * (USD / 100)), "jump_max, not to a hundred times the price");
    story.hold(0, &[GONE, 1_000_000], 4);
    assert_eq!((story.quality(0).rung, story.quality(0).confidence), (Rung::LastGood, Price(1_000 * (USD / 100))));
}

#[test]
fn two_of_five_do_not_widen_the_confidence() {
    let mut story = story(5);
    story.prices(0, &[10_000, 10_010, 9_990, 10_150, 9_850]);
    check(&story, QualityState::Disputed, 10_000);
    story.wait(1).prices(0, &[10_000, 10_010, 9_990, 10_150, 10_150]);
    check(&story, QualityState::Agreed, 10_010);
    assert_eq!(story.quality(0).confidence, Price(20 * (USD / 100)));
}

#[test]
fn whoever_stood_by_the_index_for_as_long_is_forgiven() {
    // At the last moment it returns; an hour later it contradicts again, and the minute is a new one.
    for against in [59, 60] {
        let mut story = story(3);
        story.prices(0, &[10_000, 10_010, 10_020]);
        story.hold(0, &[10_000, 10_010, 10_300], against);
        story.hold(0, &[10_000, 10_010, 10_020], 3_600);
        story.hold(0, &[10_000, 10_010, 10_300], 60);
        assert_eq!(exclusion(&story, 2), None, "{against}");
        story.hold(0, &[10_000, 10_010, 10_300], 1);
        assert_eq!(exclusion(&story, 2), Some(Exclusion::Overruled), "{against}");
    }
}

#[test]
fn nobody_gains_while_nobody_looks() {
    let mut story = story(3);
    story.prompt = false;
    story.prices(0, &[10_000, 10_010, 10_020]);
    story.hold(0, &[GONE, GONE, 10_300], 15);
    check(&story, QualityState::Disputed, 10_300);
    // Its last word was good for three seconds, and the others' had been for as long.
    story.wait(70).prices(0, &[GONE, GONE, 10_300]);
    story.prompt = true;
    story.hold(0, &[GONE, GONE, 10_300], 45);
    check(&story, QualityState::Disputed, 10_300);
    story.hold(0, &[GONE, GONE, 10_300], 3);
    check(&story, QualityState::Degraded, 10_300);
    // A source that may be silent for longer than the others.
    let mut params = market(3);
    params.sources[2].heartbeat = units::Duration::seconds(100);
    let mut story = Story::new(&venue(vec![params]), &[]);
    story.prices(0, &[10_000, 10_010, 10_020]);
    story.wait(1).prices(0, &[9_700, 9_710, 10_020]);
    story.wait(80).prices(0, &[9_700, 9_710, GONE]);
    check(&story, QualityState::Disputed, 9_710);
    assert_eq!(exclusion(&story, 2), None);
}

#[test]
fn what_was_saved_up_in_one_lie_is_not_spent_on_another() {
    // The majority lies by 2.1% for nearly a minute, and then by 9%.
    let mut story = story(3);
    story.prices(0, &[10_000; 3]);
    let honest = |second: i64| 10_000 + second % 2;
    for second in 0..58 {
        story.wait(1).prices(0, &[9_780, 9_780, honest(second)]);
    }
    for second in 0..60 {
        story.wait(1).prices(0, &[9_100, 9_100, honest(second)]);
        assert_eq!(story.quality(0).state, QualityState::Disputed, "{second}");
    }
    story.wait(1).prices(0, &[9_100, 9_100, honest(0)]);
    check(&story, QualityState::Agreed, 9_100);
    // Nor does it keep: a minute without contradiction forgives, even if nobody quite agreed.
    let mut story = self::story(3);
    story.prices(0, &[10_000; 3]);
    for second in 0..58 {
        story.wait(1).prices(0, &[9_780, 9_780, honest(second)]);
    }
    for second in 0..61 {
        story.wait(1).prices(0, &[9_890, 9_890, honest(second)]);
        check(&story, QualityState::Agreed, 9_890);
    }
    for second in 0..60 {
        story.wait(1).prices(0, &[9_780, 9_780, honest(second)]);
        assert_eq!(story.quality(0).state, QualityState::Disputed, "{second}");
    }
}

#[test]
fn whoever_stands_beside_an_honest_one_is_heard_again_though_a_liar_pulls_the_index() {
    let mut story = story(3);
    story.prices(0, &[10_000; 3]);
    // Two that are honest, 1.1% apart, and a liar on the far side.
    story.hold(0, &[10_000, 10_110, 9_901], 61);
    assert_eq!(exclusion(&story, 1), Some(Exclusion::Overruled));
    // Half of the index is the liar now, which stays 2% below: the midpoint is 1% from the honest ones.
    story.hold(0, &[10_000, 10_010, 9_802], 60);
    check(&story, QualityState::Agreed, 9_901);
    story.hold(0, &[10_000, 10_010, 9_802], 1);
    assert_eq!(exclusion(&story, 1), None);
    assert_eq!(story.quality(0).value, Price(10_000 * (USD / 100)));
}

#[test]
fn light_sources_that_contradict_each_other_too_hold_up_no_heavy_one() {
    let mut params = market(4);
    params.sources[0].weight = 8;
    let mut story = Story { prompt: true, ..Story::new(&venue(vec![params]), &[]) };
    story.prices(0, &[10_000; 4]);
    story.hold(0, &[9_500, GONE, 10_000, 10_500], 64);
    check(&story, QualityState::Degraded, 9_500);
}

#[test]
fn who_was_overruled_is_not_deserted_while_a_majority_stands() {
    // Two lie in turn: while the second contradicts, the first has nobody to blame.
    let mut params = market(4);
    for (source, weight) in params.sources.iter_mut().zip([3, 3, 2, 2]) {
        source.weight = weight;
    }
    let mut story = Story { prompt: true, ..Story::new(&venue(vec![params]), &[]) };
    story.prices(0, &[10_000; 4]);
    // For ten seconds three outvote it at once; then they seem stuck.
    story.hold(0, &[10_000, 10_000, 10_300, 10_000], 71);
    assert_eq!(exclusion(&story, 2), Some(Exclusion::Overruled));
    story.hold(0, &[10_000, 10_000, 10_300, 10_300], 61);
    assert_eq!((exclusion(&story, 2), exclusion(&story, 3)), (Some(Exclusion::Overruled), Some(Exclusion::Overruled)));
    check(&story, QualityState::Agreed, 10_000);
}

#[test]
fn whoever_speaks_again_with_a_jump_has_to_stand_by_it() {
    let mut story = story(3);
    story.prices(0, &[10_000; 3]);
    story.hold(0, &[9_750, 9_751, 10_000], 61);
    assert_eq!(exclusion(&story, 2), Some(Exclusion::Overruled));
    // The index goes on without it, and it says a hundred times as much.
    story.wait(1).prices(0, &[9_550, 9_551, 1_000_000]);
    assert_eq!(exclusion(&story, 2), Some(Exclusion::Jump));
    assert_eq!(story.quality(0).state, QualityState::Disputed);
    assert!(story.quality(0).confidence < Price(1_000 * (USD / 100)), "{:?}", story.quality(0));
}

#[test]
fn an_average_over_exactly_enough_of_its_window_is_used_and_one_over_less_is_not() {
    let least = market(2).detectors.twap_coverage_min;
    let asked = |more: i64| {
        let mut params = market(2);
        params.detectors.twap_coverage_min = Ratio(least.0 + more);
        let seconds = params.detectors.twap_window.0 / 1_000_000 * least.0 / Ratio::ONE.0;
        let mut story = Story::new(&venue(vec![params]), &[]);
        story.prices(0, &[10_000; 2]);
        for _ in 0..seconds {
            story.wait(1).prices(0, &[10_000; 2]);
        }
        let market = story.kernel.state().market(protocol::MarketId(0)).expect("it is there");
        (market.twap().1, market.view().twap)
    };
    assert_eq!(asked(0), (least, Some(Price(100 * USD))));
    assert_eq!(asked(1), (least, None));
}

#[test]
fn an_overruled_source_is_not_heard_for_running_away_from_an_index_that_comes_toward_it() {
    let mut story = story(3);
    story.prices(0, &[10_000; 3]);
    story.hold(0, &[10_000, 10_001, 10_300], 61);
    assert_eq!(exclusion(&story, 2), Some(Exclusion::Overruled));
    story.wait(1).prices(0, &[10_250, 10_251, 10_900]);
    check_near(&story, QualityState::Agreed, 10_250);
    // As far the other way, and it is.
    story.wait(1).prices(0, &[9_790, 9_791, 10_900]);
    assert_eq!((exclusion(&story, 2), story.quality(0).state), (None, QualityState::Disputed));
}

/// The state, and a value within a cent.
#[track_caller]
fn check_near(story: &Story, state: QualityState, cents: i64) {
    let quality = story.quality(0);
    assert_eq!(quality.state, state, "{quality:?}");
    assert!((quality.value.0 - cents * (USD / 100)).abs() <= USD / 100, "{quality:?}");
}

#[test]
fn a_light_source_that_a_heavy_one_overruled_is_heard_again_a_minute_later() {
    // Nearer to the agreed price than the dispute limit, so that nothing is carried off.
    let mut params = market(2);
    params.sources[0].weight = 3;
    let mut story = Story { prompt: true, ..Story::new(&venue(vec![params]), &[]) };
    story.prices(0, &[10_000; 2]);
    story.hold(0, &[9_900, 10_200], 60);
    check(&story, QualityState::Disputed, 9_900);
    story.hold(0, &[9_900, 10_200], 1);
    check(&story, QualityState::Degraded, 9_900);
    // The confirmation itself is what it goes by until then: a lone source is no support.
    story.hold(0, &[9_900, 10_200], 59);
    check(&story, QualityState::Degraded, 9_900);
    assert_eq!(exclusion(&story, 1), Some(Exclusion::Overruled));
    story.hold(0, &[9_900, 10_200], 1);
    assert_eq!((exclusion(&story, 1), story.quality(0).state), (None, QualityState::Disputed));
}

#[test]
fn time_that_nobody_saw_is_neither_calm_nor_contradiction_whoever_was_silent() {
    // It forgives nothing.
    let mut story = story(3);
    story.prompt = false;
    story.prices(0, &[10_000; 3]);
    story.hold(0, &[10_000, 10_000, 10_300], 58);
    story.wait(1).prices(0, &[10_000; 3]);
    story.wait(70);
    story.hold(0, &[10_000, 10_000, 10_300], 2);
    assert_eq!(exclusion(&story, 2), None);
    // A look that comes late costs what it was late by, once ten seconds after the prices stopped moving.
    story.hold(0, &[10_000, 10_000, 10_300], 3);
    assert_eq!(exclusion(&story, 2), Some(Exclusion::Overruled));
    // It is no standing by the index.
    story.hold(0, &[10_000; 3], 50);
    story.wait(20);
    story.hold(0, &[10_000; 3], 59);
    assert_eq!(exclusion(&story, 2), Some(Exclusion::Overruled));
    // And nobody is overruled by it, though his word is good for longer than the others'.
    let mut params = market(3);
    params.sources[2].heartbeat = units::Duration::seconds(100);
    let mut story = Story::new(&venue(vec![params]), &[]);
    story.prices(0, &[10_000, 10_010, 10_020]);
    story.wait(1).prices(0, &[9_700, 9_710, 10_020]);
    story.wait(160).prices(0, &[9_700, 9_710, 10_020]);
    assert_eq!((exclusion(&story, 2), story.quality(0).state), (None, QualityState::Disputed));
}

#[test]
fn whoever_is_heard_again_after_a_gap_has_a_minute_of_his_own() {
    let mut story = story(3);
    story.prices(0, &[10_000; 3]);
    story.hold(0, &[10_000, 10_001, 10_300], 61);
    assert_eq!(exclusion(&story, 2), Some(Exclusion::Overruled));
    // Nobody looked for longer than whoever overruled it is believed to be there.
    story.prompt = false;
    story.wait(100);
    story.hold(0, &[10_000, 10_001, 10_300], 59);
    assert_eq!((exclusion(&story, 2), story.quality(0).state), (None, QualityState::Disputed));
}
