//! Leaps that only a part of those who speak make, that were announced and do not come, or that begin while few speak; and news that
//! everybody delivers late.

mod common;

use common::{Story, USD, account, observation, opened, quick, source, withdraw};
use protocol::input::{Order, Redenomination};
use protocol::params::SourceParams;
use protocol::quality::Exclusion;
use protocol::{AccountId, Effect, Input, MarketId, MarketParams, Mode, OrderId, QualityState, Reject, Rung, SourceId};
use units::{Duration, Price, Ratio, Size, Timestamp};

const RICH: i64 = 1_000_000;
const GONE: i64 = i64::MIN;

/// Own sources and a secondary set, which leap by more than 45%.
fn two_sets(own: u8, secondary: u8) -> MarketParams {
    let mut params = quick(own);
    params.oracle.leap_max = Ratio::percent(45);
    let second = |lineage| SourceParams { rung: Rung::Secondary, ..source(lineage) };
    params.sources.extend((own..own + secondary).map(second));
    params
}

#[track_caller]
fn check(story: &Story, rung: Rung, state: QualityState, cents: i64) {
    let quality = story.quality(0);
    assert_eq!((quality.rung, quality.state, quality.value), (rung, state, Price(cents * (USD / 100))), "{quality:?}");
}

fn mark(story: &Story) -> Price {
    story.kernel.state().market(MarketId(0)).expect("listed").mark.price
}

fn rejects(effects: &[Effect]) -> Vec<Reject> {
    let reject = |effect: &Effect| match effect {
        Effect::Rejected { reject, .. } => Some(*reject),
        _ => None,
    };
    effects.iter().filter_map(reject).collect()
}

fn split(from: u32, into: u32, at: i64) -> Input {
    Input::Redenomination(Redenomination { market: MarketId(0), from, into, at: Timestamp(at) })
}

#[test]
fn while_the_own_quorum_leaps_a_secondary_one_at_the_old_price_does_not_serve_undisputed() {
    let accounts = [account(1, 3_000, &[(0, 40_000, 100)]), account(2, RICH, &[(0, -40_000, 100)])];
    let mut story = opened(two_sets(3, 2), &accounts);
    let fallen = [5_000, 5_000, 5_000, 10_000, 10_000];
    story.hold(0, &fallen, 1);
    check(&story, Rung::Primary, QualityState::Disputed, 10_000);
    story.hold(0, &fallen, 598);
    check(&story, Rung::Primary, QualityState::Disputed, 10_000);
    // Worth 1,000 USD at 50, it does not leave with what it is worth at 100.
    assert_eq!(rejects(&story.batch(vec![withdraw(1, 2_600)])), [Reject::Restricted]);
    // It has stood for its time, whatever the other set says.
    story.hold(0, &fallen, 3);
    check(&story, Rung::Primary, QualityState::Agreed, 5_000);
    // The other set, which follows in steps, is measured from there.
    for cents in [9_000, 8_000, 7_000, 6_000, 5_000] {
        story.hold(0, &[5_000, 5_000, 5_000, cents, cents], 2);
    }
    story.hold(0, &[5_000; 5], 5);
    story.hold(0, &[GONE, GONE, GONE, 5_000, 5_000], 30);
    check(&story, Rung::Secondary, QualityState::Agreed, 5_000);
}

#[test]
fn a_secondary_set_that_serves_while_the_own_quorum_comes_back_elsewhere_is_disputed() {
    let mut story = opened(two_sets(3, 2), &[]);
    story.hold(0, &[GONE, GONE, GONE, 10_000, 10_000], 30);
    check(&story, Rung::Secondary, QualityState::Agreed, 10_000);
    // The filters of jumps first, for sources that were silent: then they are a quorum that leaps.
    let elsewhere = [5_000, 5_000, 5_000, 10_000, 10_000];
    story.hold(0, &elsewhere, 30);
    check(&story, Rung::Secondary, QualityState::Disputed, 10_000);
    assert_eq!(story.mode(0), Mode::ReduceOnly);
    story.hold(0, &elsewhere, 620);
    check(&story, Rung::Primary, QualityState::Agreed, 5_000);
}

#[test]
fn one_own_source_that_stays_does_not_keep_a_leap_of_the_secondary_quorum_from_being_seen() {
    // One of three still speaks, at the old price; or it is the only one.
    for (own, said) in [(3, [10_000, GONE, GONE]), (1, [10_000, GONE, GONE])] {
        let accounts = [account(1, 20_000, &[(0, 200_000, 100)]), account(2, RICH, &[(0, -200_000, 100)])];
        let mut story = Story { prompt: true, ..Story::new(&common::venue(vec![two_sets(own, 3)]), &accounts) };
        story.hold(0, &vec![10_000; usize::from(own) + 3], 30);
        let own = usize::from(own);
        let of = |secondary: i64| -> Vec<i64> { said[..own].iter().copied().chain([secondary; 3]).collect() };
        story.hold(0, &of(10_000), 20);
        story.hold(0, &of(5_000), 5);
        // What serves is the set that did before, or the lone source.
        let rung = if own == 3 { Rung::Secondary } else { Rung::Primary };
        check(&story, rung, QualityState::Disputed, 10_000);
        assert_eq!(story.mode(0), Mode::ReduceOnly);
        assert_eq!(rejects(&story.batch(vec![withdraw(1, 15_000)])), [Reject::Restricted]);
        // After ten minutes the set is believed to be there, and what it contradicts stays disputed.
        story.hold(0, &of(5_000), 700);
        assert_eq!(story.quality(0).state, QualityState::Disputed);
        assert_eq!(story.kernel.state().market(MarketId(0)).unwrap().fallbacks[0].index.footing, Price(50 * USD));
    }
}

#[test]
fn what_was_announced_and_does_not_come_is_believed_never() {
    // Into more and into fewer; sources go on as they were.
    for (from, into, accounts) in [
        (1, 5, [account(1, 10_000, &[(0, -40_000, 100)]), account(2, RICH, &[(0, 40_000, 100)])]),
        (5, 1, [account(1, 10_000, &[(0, 40_000, 100)]), account(2, RICH, &[(0, -40_000, 100)])]),
    ] {
        let mut params = quick(3);
        params.oracle.leap_max = Ratio::percent(45);
        let mut story = opened(params, &accounts);
        let now = story.now;
        story.batch(vec![split(from, into, now + 1)]);
        story.effects.clear();
        story.hold(0, &[10_000; 3], 4_000);
        check(&story, Rung::Primary, QualityState::Disputed, 10_000);
        assert_eq!(mark(&story), Price(100 * USD));
        let closed = |effect: &Effect| matches!(effect, Effect::Liquidate { .. } | Effect::Deleveraged { .. });
        assert!(!story.effects.iter().any(closed));
        // It comes hours later than announced: then it is borne out at once.
        let mut late = Story { kernel: story.kernel.clone(), effects: vec![], now: story.now, prompt: true };
        let raw = 10_000 * i64::from(from) / i64::from(into);
        late.hold(0, &[raw; 3], 15);
        check(&late, Rung::Primary, QualityState::Agreed, 10_000);
        // Or it is taken back.
        let now = story.now;
        assert_eq!(rejects(&story.batch(vec![split(into, from, now + 1)])), []);
        check(&story, Rung::Primary, QualityState::Disputed, 10_000);
        story.hold(0, &[10_000; 3], 1);
        check(&story, Rung::Primary, QualityState::Agreed, 10_000);
    }
}

#[test]
fn what_was_announced_and_does_not_come_is_not_believed_for_the_price_going_on() {
    // Into fewer: who reads ten thousand as fifty thousand reads nine and a half as more than that was, too.
    for (from, into, cents) in [(5, 1, 9_500), (5, 1, 10_500), (1, 5, 9_500), (1, 5, 10_500), (5, 4, 9_700)] {
        let mut params = quick(3);
        params.oracle.leap_max = Ratio::percent(45);
        let mut story =
            opened(params, &[account(1, 10_000, &[(0, 40_000, 100)]), account(2, RICH, &[(0, -40_000, 100)])]);
        let now = story.now;
        story.batch(vec![split(from, into, now + 1)]);
        story.effects.clear();
        story.hold(0, &[cents; 3], 4_000);
        check(&story, Rung::Primary, QualityState::Disputed, 10_000);
        assert!(
            !story.effects.iter().any(|effect| matches!(effect, Effect::Liquidate { .. } | Effect::Deleveraged { .. }))
        );
    }
}

#[test]
fn what_was_announced_and_came_is_believed_in_time_though_the_price_went_on() {
    // Five become four: what was 100 is 125 now, and is 3% more; or 11%, and no farther from where it was than a split that did
    // not come would be.
    for (raw, cents, comes) in
        [(12_875, 10_300, true), (13_974, 11_179, true), (11_181, 8_945, true), (11_180, 8_944, false)]
    {
        let mut params = quick(3);
        params.oracle.leap_max = Ratio::percent(45);
        let mut story = opened(params, &[]);
        let now = story.now;
        story.batch(vec![split(5, 4, now + 1)]);
        story.hold(0, &[raw; 3], 598);
        check(&story, Rung::Primary, QualityState::Disputed, 10_000);
        story.hold(0, &[raw; 3], 15);
        let (state, cents) = if comes { (QualityState::Agreed, cents) } else { (QualityState::Disputed, 10_000) };
        let quality = story.quality(0);
        assert_eq!((quality.rung, quality.state), (Rung::Primary, state), "{raw}: {quality:?}");
        assert!(quality.value.within(Ratio::percent(1), Price(cents * (USD / 100))), "{raw}: {quality:?}");
    }
}

#[test]
fn an_announcement_that_is_ahead_can_be_replaced_and_taken_back() {
    let mut params = quick(3);
    params.oracle.leap_max = Ratio::percent(45);
    let mut story = opened(params, &[]);
    let now = story.now;
    // A typo, years ahead; the right one; another take on it.
    assert_eq!(rejects(&story.batch(vec![split(1, 5, i64::MAX)])), []);
    assert_eq!(rejects(&story.batch(vec![split(1, 2, now + 5_000_000)])), []);
    assert_eq!(rejects(&story.batch(vec![split(1, 5, now + 5_000_000)])), []);
    story.hold(0, &[10_000; 3], 4);
    check(&story, Rung::Primary, QualityState::Agreed, 10_000);
    story.hold(0, &[2_000; 3], 3);
    check(&story, Rung::Primary, QualityState::Agreed, 10_000);
    // What has come is followed by the next, from what it left; nothing is nothing.
    let now = story.now;
    assert_eq!(rejects(&story.batch(vec![split(1, 1, now + 1)])), [Reject::OutOfRange]);
    assert_eq!(rejects(&story.batch(vec![split(1, 4, now + 5_000_000)])), []);
    assert_eq!(rejects(&story.batch(vec![split(3, 3, now + 1)])), []);
    story.hold(0, &[2_000; 3], 20);
    check(&story, Rung::Primary, QualityState::Agreed, 10_000);
}

#[test]
fn with_somebody_left_at_the_old_price_a_leap_leaves_the_index_there() {
    let accounts = [account(1, 1_000, &[(0, 40_000, 100)]), account(2, RICH, &[(0, -40_000, 100)])];
    let mut params = quick(3);
    params.oracle.leap_max = Ratio::percent(45);
    let mut story = opened(params, &accounts);
    for _ in 0..50 {
        story.hold(0, &[2_000, 2_000, 10_000], 1);
        check(&story, Rung::Primary, QualityState::Disputed, 10_000);
        assert_eq!(mark(&story), Price(100 * USD));
    }
    // An exit at any price is one at a price near there.
    let (id, account, market) = (OrderId(900), AccountId(1), MarketId(0));
    let effects = story.batch(vec![Input::Order(Order { id, account, market, size: Size(-40_000), limit: Price(1) })]);
    let Effect::Admit { order } = effects[0] else { panic!("{effects:?}") };
    assert!(Price(90 * USD) <= order.limit, "{order:?}");
    // Overruled or not, they wait as long as everybody would.
    story.hold(0, &[2_000, 2_000, 10_000], 545);
    check(&story, Rung::Primary, QualityState::Disputed, 10_000);
    story.hold(0, &[2_000, 2_000, 10_000], 10);
    check(&story, Rung::Primary, QualityState::Agreed, 2_000);
}

#[test]
fn the_index_of_a_leap_is_never_outside_of_what_anybody_says() {
    let mut params = quick(3);
    params.oracle.leap_max = Ratio::percent(45);
    let mut story = opened(params, &[]);
    // The third has gone half of the way: there it is.
    story.hold(0, &[2_000, 2_000, 6_000], 5);
    check(&story, Rung::Primary, QualityState::Disputed, 6_000);
}

#[test]
fn a_moment_in_which_few_speak_does_not_let_everybody_leap() {
    // Two of three are silent for some seconds.
    let mut params = quick(3);
    params.oracle.leap_max = Ratio::percent(45);
    let mut story = opened(params, &[]);
    story.hold(0, &[10_000, GONE, GONE], 5);
    check(&story, Rung::Primary, QualityState::Degraded, 10_000);
    story.hold(0, &[2_000; 3], 5);
    check(&story, Rung::Primary, QualityState::Disputed, 10_000);
    // Or one of two is off for a second.
    let mut params = quick(2);
    params.oracle.leap_max = Ratio::percent(45);
    let mut story = opened(params.clone(), &[]);
    story.hold(0, &[10_000, 10_300], 1);
    assert_eq!(story.quality(0).state, QualityState::Disputed);
    story.hold(0, &[2_000; 2], 5);
    check(&story, Rung::Primary, QualityState::Disputed, 10_000);
    // But where few have carried it elsewhere, there is nothing to leap from.
    let mut story = opened(params, &[]);
    for cents in [9_500, 9_000, 8_500] {
        story.hold(0, &[cents, GONE], 70);
    }
    story.hold(0, &[4_000; 2], 5);
    check(&story, Rung::Primary, QualityState::Agreed, 4_000);
}

#[test]
fn what_everybody_delivers_late_is_usual_after_a_minute() {
    let params = quick(3);
    let mut story = opened(params, &[]);
    let deliver = |story: &mut Story, delay: i64| {
        story.wait(1);
        let now = story.now;
        let seen = |source| observation(0, source, 100 * USD, now - delay, now);
        story.batch((0..3).map(seen).collect())
    };
    // Long enough for a minute to be less than a thousandth of it.
    for _ in 0..70_000 {
        deliver(&mut story, 1_000);
    }
    let exclusion = |story: &Story| story.kernel.state().market(MarketId(0)).unwrap().exclusion(SourceId(0));
    // A source goes not back in what it publishes.
    story.wait(4);
    for _ in 0..60 {
        deliver(&mut story, 4_000_000);
        assert_eq!(exclusion(&story), Some(Exclusion::Delayed));
    }
    assert_eq!(story.quality(0).rung, Rung::LastGood);
    deliver(&mut story, 4_000_000);
    assert_eq!((exclusion(&story), story.quality(0).state), (None, QualityState::Agreed));
    // One that comes in time ends it: the next late one is late again.
    deliver(&mut story, 1_000);
    story.wait(4);
    deliver(&mut story, 4_000_000);
    assert_eq!(exclusion(&story), Some(Exclusion::Delayed));
}

#[test]
fn news_that_come_once_more_say_nothing_of_their_way() {
    let mut params = quick(3);
    for source in &mut params.sources {
        source.heartbeat = Duration::seconds(10);
    }
    let mut story = opened(params, &[]);
    let deliver = |story: &mut Story, published: i64| {
        let now = story.now;
        story.batch((0..3).map(|source| observation(0, source, 100 * USD, published, now)).collect())
    };
    for _ in 0..2_000 {
        story.wait(10);
        let now = story.now;
        deliver(&mut story, now);
        // A second observer's copy, four seconds later.
        story.wait(4);
        deliver(&mut story, now);
        assert_eq!(story.quality(0).state, QualityState::Agreed);
    }
}

#[test]
fn a_split_has_come_when_as_many_as_an_agreed_price_needs_say_so() {
    // Four into five; one source switches in time, the others spoke just before it and go on as they were.
    let accounts = [account(1, RICH, &[(0, 40_000, 100)]), account(2, 1_000, &[(0, -40_000, 100)])];
    let mut params = quick(3);
    params.oracle.leap_max = Ratio::percent(45);
    let mut story = opened(params, &accounts);
    let at = story.now + 700_000;
    story.batch(vec![split(4, 5, at)]);
    story.effects.clear();
    story.wait(1);
    let now = story.now;
    let seen = |source, usd: i64, published| observation(0, source, usd * USD, published, now);
    story.batch(vec![seen(1, 100, now - 400_000), seen(2, 100, now - 400_000), seen(0, 80, now)]);
    assert!(story.kernel.state().market(MarketId(0)).unwrap().index.rebased);
    for k in 0..900 {
        story.hold(0, &[8_000 + k % 2, 10_000 + k % 2, 10_000 + k % 2], 1);
    }
    check(&story, Rung::Primary, QualityState::Disputed, 10_000);
    let closed = |effect: &Effect| matches!(effect, Effect::Liquidate { .. } | Effect::Deleveraged { .. });
    assert!(!story.effects.iter().any(closed));
    // When a second one switches, too, it has.
    story.hold(0, &[8_000, 8_000, 10_000], 100);
    assert_eq!(story.quality(0).value, Price(100 * USD));
    story.hold(0, &[8_000; 3], 100);
    check(&story, Rung::Primary, QualityState::Agreed, 10_000);
    assert!(!story.kernel.state().market(MarketId(0)).unwrap().index.rebased);
}

#[test]
fn what_was_said_before_speaks_against_a_lone_secondary_price_only_for_as_long_as_it_would_serve() {
    let accounts = [account(1, 400, &[(0, 40_000, 100)]), account(2, RICH, &[(0, -40_000, 100)])];
    let mut story = opened(two_sets(2, 2), &accounts);
    // In steps of one percent, down to where the account is bankrupt.
    for k in 0..30 {
        story.hold(0, &[GONE, GONE, 10_000 - 100 * k, GONE], 10);
    }
    assert_eq!(story.quality(0).state, QualityState::Disputed);
    story.hold(0, &[GONE, GONE, 7_000, GONE], 330);
    assert_eq!((story.quality(0).state, story.quality(0).rung), (QualityState::Degraded, Rung::Secondary));
    assert_eq!(story.quality(0).value, Price(70 * USD));
}
