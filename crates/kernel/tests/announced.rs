//! What is announced of a market: splits and redenominations, heard of or not, and trading sessions. And leaps of everybody, which
//! nobody announced.

mod common;

use common::{Story, USD, account, deposit, insurance, liquidations, observation, opened, order, quick, venue};
use kernel::Genesis;
use protocol::input::{Cancel, Redenomination, Session};
use protocol::params::Thresholds;
use protocol::quality::Exclusion;
use protocol::{AccountId, Effect, Input, MarketId, MarketParams, Mode, OrderId, QualityState, Reject, SourceId};
use units::{Price, Ratio, Timestamp};

const RICH: i64 = 1_000_000;

/// Three sources, quick to calm down, and no detector of moves.
fn quiet() -> MarketParams {
    let mut params = quick(3);
    params.oracle.leap_max = Ratio::percent(50);
    params
}

/// One account that is long of 40,000 lots at a tenth of their worth, and who holds the other side.
fn held() -> [Genesis; 2] {
    [account(1, 400, &[(0, 40_000, 100)]), account(2, RICH, &[(0, -40_000, 100)])]
}

fn split(from: u32, into: u32, at: i64) -> Input {
    Input::Redenomination(Redenomination { market: MarketId(0), from, into, at: Timestamp(at) })
}

fn session(opens: bool) -> Input {
    Input::Session(Session { market: MarketId(0), opens })
}

fn exclusions(story: &Story) -> [Option<Exclusion>; 3] {
    let market = story.kernel.state().market(MarketId(0)).expect("listed");
    [0, 1, 2].map(|source| market.exclusion(SourceId(source)))
}

/// Whose positions were closed against another's.
fn deleveraged(effects: &[Effect]) -> Vec<u64> {
    let of = |effect: &Effect| match effect {
        Effect::Deleveraged { account, .. } => Some(account.0),
        _ => None,
    };
    effects.iter().filter_map(of).collect()
}

fn mark(story: &Story) -> Price {
    story.kernel.state().market(MarketId(0)).expect("listed").mark.price
}

#[track_caller]
fn check(story: &Story, state: QualityState, cents: i64) {
    let quality = story.quality(0);
    assert_eq!((quality.state, quality.value), (state, Price(cents * (USD / 100))), "{quality:?}");
}

#[test]
fn half_of_a_price_at_once_is_believed_and_a_cent_less_is_not() {
    for (cents, state, value) in [
        (5_000, QualityState::Agreed, 5_000),
        (4_999, QualityState::Disputed, 10_000),
        (15_001, QualityState::Disputed, 10_000),
    ] {
        let mut story = opened(quiet(), &[]);
        story.wait(1).prices(0, &[cents; 3]);
        check(&story, state, value);
    }
}

#[test]
fn a_split_that_nobody_announced_is_a_dispute_and_liquidates_nobody_until_it_has_stood() {
    let mut story = opened(quiet(), &held());
    story.hold(0, &[2_000; 3], 600);
    check(&story, QualityState::Disputed, 10_000);
    assert_eq!((story.mode(0), mark(&story)), (Mode::ReduceOnly, Price(100 * USD)));
    assert_eq!((liquidations(&story.effects), deleveraged(&story.effects)), (vec![], vec![]));
    // Ten minutes after the first look at it, it is a crash.
    story.hold(0, &[2_000; 3], 1);
    check(&story, QualityState::Agreed, 2_000);
    assert_eq!(deleveraged(&story.effects), [1]);
}

#[test]
fn what_a_lone_voice_said_is_nothing_to_leap_from() {
    let mut story = Story::new(&venue(vec![quiet()]), &[]);
    story.prices(0, &[1_000_000, i64::MIN, i64::MIN]);
    story.wait(1).prices(0, &[i64::MIN, 10_000, 10_000]);
    story.hold(0, &[i64::MIN, 10_000, 10_000], 4);
    check(&story, QualityState::Agreed, 10_000);
    // Nor where it was believed for having stood.
    let mut story = opened(quiet(), &[]);
    story.hold(0, &[15_000, i64::MIN, i64::MIN], 80);
    check(&story, QualityState::Degraded, 15_000);
    story.hold(0, &[i64::MIN, 7_000, 7_000], 4);
    check(&story, QualityState::Agreed, 7_000);
}

#[test]
fn a_leap_goes_on_as_long_as_it_does_not_turn_and_whoever_turns_begins_anew() {
    let mut story = opened(quiet(), &[]);
    // What goes on moving is still the same leap.
    for step in 0..600 {
        story.hold(0, &[2_000 + step; 3], 1);
        check(&story, QualityState::Disputed, 10_000);
    }
    story.hold(0, &[2_600; 3], 1);
    check(&story, QualityState::Agreed, 2_600);
    let mut story = opened(quiet(), &[]);
    story.hold(0, &[2_000; 3], 599);
    story.hold(0, &[50_000; 3], 600);
    check(&story, QualityState::Disputed, 10_000);
    story.hold(0, &[50_000; 3], 1);
    check(&story, QualityState::Agreed, 50_000);
}

#[test]
fn a_split_that_is_announced_late_ends_the_dispute_and_nothing_of_the_contract_changes() {
    let mut story = opened(quiet(), &held());
    let since = story.now + 1_000_000;
    story.hold(0, &[2_000; 3], 100);
    check(&story, QualityState::Disputed, 10_000);
    let before = story.kernel.state().pools[0].accounts.clone();
    story.batch(vec![split(1, 5, since)]);
    check(&story, QualityState::Agreed, 10_000);
    story.hold(0, &[2_001; 3], 10);
    check(&story, QualityState::Agreed, 10_005);
    assert_eq!(story.mode(0), Mode::Normal);
    assert_eq!(story.kernel.state().pools[0].accounts, before);
    assert_eq!(liquidations(&story.effects), []);
}

#[test]
fn a_split_that_is_announced_ahead_is_nobodys_news() {
    let mut story = opened(quiet(), &held());
    let since = story.now + 60_000_000;
    story.wait(1);
    story.batch(vec![split(1, 5, since)]);
    story.effects.clear();
    // To the instant, and by the time of publishing.
    while story.now < since - 1_000_000 {
        story.hold(0, &[10_000; 3], 1);
    }
    story.wait(1);
    let said =
        |source: u8, cents: i64, ago: i64| observation(0, source, cents * (USD / 100), story.now - ago, story.now);
    let inputs = vec![said(0, 2_000, 0), said(1, 10_000, 1), said(2, 10_000, 1)];
    story.batch(inputs);
    check(&story, QualityState::Agreed, 10_000);
    story.hold(0, &[2_000; 3], 60);
    check(&story, QualityState::Agreed, 10_000);
    assert_eq!(story.effects, []);
    assert_eq!(story.mode(0), Mode::Normal);
    // From now on a step of everybody is a step again.
    story.hold(0, &[1_800; 3], 1);
    check(&story, QualityState::Agreed, 9_000);
}

#[test]
fn who_has_not_heard_of_a_split_is_alone() {
    let mut story = opened(quiet(), &held());
    let since = story.now;
    story.batch(vec![split(1, 5, since + 1)]);
    // Ten seconds until its jump stands, and a minute of dispute.
    story.hold(0, &[2_000, 2_000, 10_000], 72);
    assert_eq!(exclusions(&story)[2], Some(Exclusion::Overruled));
    check(&story, QualityState::Agreed, 10_000);
    assert_eq!(liquidations(&story.effects), []);
}

#[test]
fn a_split_that_did_not_happen_moves_nothing_and_is_taken_back_by_its_opposite() {
    // As little as a fortieth would be enough to liquidate somebody.
    for (from, into) in [(1, 5), (5, 1), (40, 41)] {
        let mut story = opened(quiet(), &held());
        let since = story.now + 1;
        story.batch(vec![split(from, into, since)]);
        story.hold(0, &[10_000; 3], 300);
        check(&story, QualityState::Disputed, 10_000);
        assert_eq!((story.mode(0), mark(&story)), (Mode::ReduceOnly, Price(100 * USD)));
        let again = story.now;
        story.batch(vec![split(into, from, again)]);
        check(&story, QualityState::Agreed, 10_000);
        assert_eq!(liquidations(&story.effects), []);
    }
}

#[test]
fn what_changes_nothing_or_what_does_not_fit_is_refused() {
    let mut story = opened(quiet(), &[]);
    let now = story.now;
    let mut refused = |inputs: Vec<Input>| -> Vec<Reject> {
        story.wait(1);
        let effects = story.batch(inputs);
        let reject = |effect: Effect| match effect {
            Effect::Rejected { reject, .. } => Some(reject),
            _ => None,
        };
        effects.into_iter().filter_map(reject).collect()
    };
    assert_eq!(refused(vec![split(0, 5, now), split(5, 0, now), split(7, 7, now)]), [Reject::OutOfRange; 3]);
    let elsewhere = Input::Redenomination(Redenomination { market: MarketId(9), from: 1, into: 2, at: Timestamp(now) });
    let nowhere = Input::Session(Session { market: MarketId(9), opens: true });
    assert_eq!(refused(vec![elsewhere, nowhere]), [Reject::UnknownMarket; 2]);
    // There and back, in lowest terms.
    assert_eq!(refused(vec![split(1, u32::MAX, now)]), []);
    assert_eq!(refused(vec![split(1, 2, now + 1)]), [Reject::OutOfRange]);
    assert_eq!(refused(vec![split(u32::MAX, 1, now + 1)]), []);
    // Not before the last one, nor while that is still ahead.
    assert_eq!(refused(vec![split(1, 2, now + 1)]), [Reject::OutOfOrder]);
}

#[test]
fn a_market_in_whose_price_others_are_quoted_is_not_redenominated() {
    let (unit, mut quoted) = (quiet(), quiet());
    quoted.sources[0].quote = Some(MarketId(0));
    let mut story = Story::new(&venue(vec![unit, quoted]), &[]);
    let of = |market: u16| {
        Input::Redenomination(Redenomination { market: MarketId(market), from: 1, into: 2, at: Timestamp(0) })
    };
    let effects = story.batch(vec![of(0), of(1)]);
    assert_eq!(effects.len(), 1, "{effects:?}");
    assert_eq!(effects[0], Effect::Rejected { input: 0, reject: Reject::OutOfRange });
}

#[test]
fn a_price_in_a_unit_is_redenominated_with_it() {
    let (mut unit, mut quoted) = (quiet(), quiet());
    unit.sources.truncate(2);
    quoted.sources[0].quote = Some(MarketId(0));
    let mut story = Story::new(&venue(vec![unit, quoted]), &[]);
    let both = |story: &mut Story, cents: [i64; 3]| {
        story.wait(1);
        let now = story.now;
        let of_unit = [0, 1].map(|source| observation(0, source, 2 * USD, now, now));
        let of_other = (0..).zip(cents).map(|(source, cents)| observation(1, source, cents * (USD / 100), now, now));
        let inputs = of_unit.into_iter().chain(of_other).collect();
        story.batch(inputs);
    };
    // Two dollars the unit: 50 of them are 100 USD.
    both(&mut story, [5_000, 10_000, 10_000]);
    let said = Redenomination { market: MarketId(1), from: 2, into: 1, at: Timestamp(story.now + 1) };
    story.batch(vec![Input::Redenomination(said)]);
    both(&mut story, [10_000, 20_000, 20_000]);
    let quality = story.quality(1);
    assert_eq!((quality.state, quality.value, quality.lineages), (QualityState::Agreed, Price(100 * USD), 3));
}

#[test]
fn out_of_session_nothing_is_matched_or_liquidated_and_what_is_owed_is_looked_at_when_it_begins() {
    let mut story = opened(quiet(), &held());
    story.wait(1);
    story.batch(vec![order(7, 1, 0, 10, 9_000), insurance(1_000)]);
    story.wait(1);
    let effects = story.batch(vec![session(false), order(8, 2, 0, 10, 10_000), deposit(2, 5)]);
    assert_eq!(story.mode(0), Mode::Halted);
    // The resting order is taken back, the new one refused, the money taken.
    assert!(effects.contains(&Effect::Withdraw { market: MarketId(0), order: OrderId(7) }), "{effects:?}");
    assert!(effects.contains(&Effect::Rejected { input: 1, reject: Reject::Restricted }), "{effects:?}");
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Rejected { input: 2, .. })), "{effects:?}");
    // Under maintenance by what is said meanwhile, and for hours.
    story.hold(0, &[9_150; 3], 60);
    story.wait(36_000);
    assert_eq!(liquidations(&story.effects), []);
    let taken_back = Input::Cancel(Cancel { market: MarketId(0), account: AccountId(1), order: OrderId(7) });
    let effects = story.batch(vec![taken_back]);
    assert_eq!(effects.last(), Some(&Effect::Rejected { input: 0, reject: Reject::UnknownOrder }));
    // It begins behind the gate: two of three are enough, what was said before is not.
    story.batch(vec![session(true)]);
    story.wait(1).prices(0, &[9_150, i64::MIN, i64::MIN]);
    assert_eq!(story.mode(0), Mode::Halted);
    let gated = |story: &Story| story.kernel.state().market(MarketId(0)).expect("listed").activity.gated;
    assert!(gated(&story));
    story.wait(1).prices(0, &[9_150, 9_150, i64::MIN]);
    assert!(!gated(&story));
    story.hold(0, &[9_150; 3], 5);
    assert_eq!(liquidations(&story.effects).iter().map(|(account, ..)| *account).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_session_that_has_begun_begins_only_once() {
    let mut story = opened(quiet(), &[]);
    story.wait(1);
    story.batch(vec![session(true)]);
    check(&story, QualityState::Agreed, 10_000);
    assert_eq!(story.mode(0), Mode::Normal);
}

#[test]
fn a_price_that_comes_later_than_its_source_s_prices_do_supports_nothing_but_may_contradict() {
    for (late, exclusion) in [(3_000_000, None), (3_000_001, Some(Exclusion::Delayed))] {
        for (cents, state) in [(9_950, QualityState::Agreed), (9_750, QualityState::Disputed)] {
            let mut story = opened(quiet(), &[]);
            // The third was silent for as long as its price was under way, and the first is away.
            for _ in 0..3 {
                story.wait(1).prices(0, &[i64::MIN, 10_000, i64::MIN]);
            }
            story.now += 2_000_000;
            let (now, seen) = (story.now, cents * (USD / 100));
            story.batch(vec![observation(0, 1, 100 * USD, now, now), observation(0, 2, seen, now - late, now)]);
            assert_eq!(exclusions(&story)[2], exclusion, "{late}");
            let quality = story.quality(0);
            // Two that agree, or one beside whom somebody may be right: not enough of a majority to be believed.
            let expected = if exclusion.is_none() { state } else { QualityState::Disputed };
            assert_eq!(quality.state, expected, "{late} {cents}: {quality:?}");
            assert_eq!(quality.lineages, if exclusion.is_none() && cents == 9_950 { 2 } else { 1 }, "{late} {cents}");
            // As late again, and that is how late it is.
            story.wait(1);
            let now = story.now;
            story.batch(vec![observation(0, 2, 100 * USD, now - late, now)]);
            assert_eq!(exclusions(&story)[2], None, "{late}");
        }
    }
}

#[test]
fn news_is_too_old_where_the_price_has_gone_too_far_since() {
    let mut params = quiet();
    params.detectors.staleness = Thresholds { cautious: Ratio::percent(1), reduce_only: Ratio::percent(2) };
    for (age, mode) in [(1, Mode::Normal), (3, Mode::Normal), (4, Mode::Cautious), (9, Mode::Cautious)] {
        // Prices that are as old from the beginning on.
        let mut story = Story { prompt: true, ..Story::new(&venue(vec![params.clone()]), &[]) };
        let hold = |story: &mut Story, cents: i64, age: i64, seconds: i64| {
            for _ in 0..seconds {
                story.wait(1);
                let now = story.now;
                let said = |source| observation(0, source, cents * (USD / 100), now - age * 1_000_000, now);
                story.batch([0, 1, 2].map(said).into());
            }
        };
        hold(&mut story, 10_000, age, 20);
        for cents in [10_900, 11_800, 12_700, 13_000] {
            hold(&mut story, cents, age, 1);
        }
        // 30% an hour are 1% in 4 s, and 2% in 16; the fourth second is over half of one later, before the next price.
        hold(&mut story, 13_000, age, 20);
        assert_eq!(story.mode(0), mode, "{age}");
    }
    // Nobody has to speak for it to be noticed: it is due. After 3 s each source is silent; until then it is a heartbeat older.
    params.detectors.staleness = Thresholds { cautious: Ratio::bps(50), reduce_only: Ratio::bps(70) };
    let mut story = opened(params, &[]);
    for cents in [10_900, 11_800, 12_700, 13_000] {
        story.hold(0, &[cents; 3], 1);
    }
    let levels = |story: &Story| story.kernel.state().market(MarketId(0)).expect("listed").memory.levels[14];
    story.now += 1_499_999;
    story.batch(vec![]);
    assert_eq!(levels(&story), Mode::Normal);
    assert_eq!(story.kernel.next_due(), Some(Timestamp(story.now + 1)));
    story.now += 1;
    story.batch(vec![]);
    assert_eq!(levels(&story), Mode::Cautious);
    story.now += 1_000_000;
    story.batch(vec![]);
    assert_eq!(levels(&story), Mode::ReduceOnly);
    story.wait(0).prices(0, &[13_000; 3]);
    assert_eq!(levels(&story), Mode::Normal);
}
