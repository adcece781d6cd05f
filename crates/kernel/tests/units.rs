//! Sources that are quoted in another market's price: a pair in USDT, a redemption ratio.

mod common;

use common::{Story, USD, market, observation, source, venue};
use protocol::params::SourceParams;
use protocol::quality::Exclusion;
use protocol::{Effect, Input, MarketId, MarketParams, Mode, PoolId, QualityState, Rung, SourceId};
use units::{Price, Ratio, Scale};

const GONE: i64 = i64::MIN;

/// Market 0 has three sources, the first two quoted in market 1, which has `voices`.
fn quoted(voices: u8) -> Story {
    let mut params = market(3);
    for source in &mut params.sources[..2] {
        source.quote = Some(MarketId(1));
    }
    Story::new(&venue(vec![params, tether(voices)]), &[])
}

/// Another scale than the market's that is quoted in it: a unit is 1e-10 USD.
fn tether(voices: u8) -> MarketParams {
    MarketParams { scale: Scale::new(2, 3).expect("a scale"), ..market(voices) }
}

/// Prices of the market, cents, and of what it is quoted in, hundredths of a cent.
fn second(story: &mut Story, cents: [i64; 3], tether: &[i64]) -> Vec<Effect> {
    story.wait(1);
    let now = story.now;
    let of = |market, source, price| observation(market, source, price, now, now);
    let heard = |says: &(u8, i64)| says.1 != GONE;
    let mut inputs: Vec<Input> =
        (0..).zip(cents).filter(heard).map(|(source, cents)| of(0, source, cents * (USD / 100))).collect();
    inputs.extend((0..).zip(tether.iter().copied()).filter(heard).map(|(source, bps)| of(1, source, bps * USD / 100)));
    story.batch(inputs)
}

fn usd(story: &Story, source: u8) -> (Price, Price) {
    let market = story.kernel.state().market(MarketId(0)).expect("listed");
    let source = &market.index.sources[usize::from(source)];
    (source.price, source.confidence)
}

fn exclusion(story: &Story, source: u8) -> Option<Exclusion> {
    story.kernel.state().market(MarketId(0)).expect("listed").exclusion(SourceId(source))
}

#[test]
fn a_tether_at_ninety_cents_is_no_rise_of_what_is_quoted_in_it() {
    // 12 May 2022: what is worth 100 USD costs 111.12 USDT.
    let mut story = quoted(3);
    for _ in 0..300 {
        second(&mut story, [10_000; 3], &[10_000; 3]);
    }
    assert_eq!([story.mode(0), story.mode(1)], [Mode::Normal; 2]);
    for tether in [9_700, 9_400, 9_200, 9_000] {
        let cents = 100_000_000 / tether;
        second(&mut story, [cents, cents, 10_000], &[tether; 3]);
        assert_eq!(story.quality(0).state, QualityState::Agreed);
        assert!(story.quality(0).value.distance(Price(100 * USD)) <= i128::from(USD / 100), "{:?}", story.quality(0));
    }
    assert_eq!((story.quality(1).value, story.mode(0)), (Price(90 * USD), Mode::Normal));
    assert_eq!(story.mode(1), Mode::ReduceOnly, "ten percent within a minute");
    // Nobody who counted them one to one would agree with whoever is in USD.
    assert_eq!(exclusion(&story, 0), None);
}

#[test]
fn a_price_in_usd_is_rounded_down_and_its_width_up_and_holds_that_of_its_unit() {
    let mut story = quoted(2);
    second(&mut story, [GONE; 3], &[9_999, 10_001]);
    let unit = story.quality(1);
    assert_eq!(
        (unit.value, unit.confidence),
        (Price(100 * USD), Price(USD / 100)),
        "1 USD, half a basis point each way"
    );
    story.wait(1);
    let now = story.now;
    let Input::Observation(mut seen) = observation(0, 0, 3, now, now) else { unreachable!() };
    seen.confidence = Price(1);
    story.batch(vec![Input::Observation(seen)]);
    // 3 units at 1 USD, and 1 + 3 x 0.0001, up.
    assert_eq!(usd(&story, 0), (Price(3), Price(2)));
    // A third of a unit more than a price that is no whole number of units.
    second(&mut story, [GONE; 3], &[3_333, 3_333]);
    second(&mut story, [10_001, GONE, GONE], &[3_333, 3_333]);
    assert_eq!(story.quality(1).value, Price(3_333 * USD / 100));
    assert_eq!(usd(&story, 0).0, Price(10_001 * 3_333 * (USD / 100) / 10_000));
}

#[test]
fn what_is_quoted_follows_its_unit_without_speaking() {
    let mut story = quoted(2);
    second(&mut story, [10_000, 10_000, GONE], &[10_000; 2]);
    let before = story.quality(0);
    let effects = second(&mut story, [GONE; 3], &[9_900; 2]);
    assert_eq!((before.value, story.quality(0).value), (Price(100 * USD), Price(99 * USD)));
    assert_eq!(effects, [], "as good as before");
}

#[test]
fn without_a_price_of_its_unit_or_with_a_disputed_one_a_source_says_nothing() {
    let mut story = quoted(2);
    second(&mut story, [10_000; 3], &[GONE; 2]);
    assert_eq!(
        [0, 1, 2].map(|source| exclusion(&story, source)),
        [Some(Exclusion::Unconverted), Some(Exclusion::Unconverted), None]
    );
    let quality = story.quality(0);
    assert_eq!((quality.state, quality.lineages), (QualityState::Degraded, 1));
    // It is heard as soon as there is one, before it speaks again.
    let effects = second(&mut story, [GONE, GONE, 10_000], &[10_000; 2]);
    assert_eq!(story.quality(0).lineages, 3);
    let told = |source| Effect::Source { market: MarketId(0), source: SourceId(source), exclusion: None };
    assert!([0, 1].iter().all(|source| effects.contains(&told(*source))), "{effects:?}");
    // What a unit was worth last is not what it is worth.
    for seconds in 0..4 {
        assert_eq!((seconds, story.quality(0).lineages), (seconds, 3));
        second(&mut story, [10_000; 3], &[GONE; 2]);
    }
    assert_eq!((story.quality(1).rung, story.quality(0).lineages), (Rung::LastGood, 1));
    second(&mut story, [10_000; 3], &[10_000; 2]);
    assert_eq!(story.quality(0).lineages, 3);
    second(&mut story, [10_000; 3], &[10_000, 10_300]);
    assert_eq!(story.quality(1).state, QualityState::Disputed);
    assert_eq!((story.quality(0).state, exclusion(&story, 0)), (QualityState::Degraded, Some(Exclusion::Unconverted)));
    // What nobody could convert was no nonsense: it contradicts nothing, and is judged by its own bounds all the same.
    second(&mut story, [0, 10_000, 10_000], &[10_000, 10_300]);
    assert_eq!(exclusion(&story, 0), Some(Exclusion::NonPositive));
}

#[test]
fn bounds_are_in_the_sources_own_unit() {
    let mut params = market(2);
    for own in &mut params.sources {
        *own = SourceParams { quote: Some(MarketId(1)), price_max: Price(100 * USD), ..*own };
    }
    let mut story = Story::new(&venue(vec![params, tether(2)]), &[]);
    second(&mut story, [9_999, 10_000, GONE], &[5_000; 2]);
    assert_eq!([exclusion(&story, 0), exclusion(&story, 1)], [None, Some(Exclusion::StuckAtBound)]);
}

#[test]
fn a_unit_is_a_market_of_the_same_pool_in_usd() {
    let with = |quote: u16, pool: u16, of_unit: Option<MarketId>| {
        let mut params = market(2);
        params.sources[1] = SourceParams { quote: Some(MarketId(quote)), ..source(1) };
        let mut unit = tether(1);
        (unit.pool, unit.sources[0].quote) = (PoolId(pool), of_unit);
        let mut venue = venue(vec![params, unit]);
        venue.pools.resize(2, common::pool());
        venue.validate().map_err(|invalid| (invalid.place, invalid.field))
    };
    let refused = |market, source| Err((protocol::params::Place::Source(market, source), "quote"));
    assert_eq!(with(1, 0, None), Ok(()));
    assert_eq!(with(1, 1, None), refused(0, 1), "of another pool");
    assert_eq!(with(2, 0, None), refused(0, 1), "not listed");
    assert_eq!(with(0, 0, None), refused(0, 1), "itself");
    assert_eq!(with(1, 0, Some(MarketId(0))), refused(0, 1), "in another unit itself");
}

#[test]
fn a_unit_is_evaluated_before_what_is_quoted_in_it_whatever_their_ids() {
    let unit_first = |unit: u16| {
        let mut quoted = market(2);
        for own in &mut quoted.sources {
            own.quote = Some(MarketId(unit));
        }
        let markets = if unit == 0 { vec![tether(2), quoted] } else { vec![quoted, tether(2)] };
        let mut story = Story::new(&venue(markets), &[]);
        let (now, other) = (story.now, 1 - unit);
        let both = |market, price| [0, 1].map(|source| observation(market, source, price, now, now));
        story.batch(both(other, 50 * USD).into_iter().chain(both(unit, 200 * USD)).collect());
        story.quality(other)
    };
    assert_eq!(unit_first(0), unit_first(1));
    assert_eq!((unit_first(0).value, unit_first(0).state), (Price(100 * USD), QualityState::Agreed));
}

#[test]
fn a_doubt_about_the_unit_is_no_nonsense_of_who_is_quoted_in_it() {
    let mut params = market(3);
    for source in &mut params.sources[..2] {
        source.quote = Some(MarketId(1));
    }
    params.oracle.confidence_max = Ratio::percent(1);
    let mut story = Story::new(&venue(vec![params, tether(1)]), &[]);
    let says = |story: &mut Story, width: i64, own: i64| {
        story.wait(1);
        let now = story.now;
        let with = |market, source, cents: i64, width: i64| {
            let Input::Observation(seen) = observation(market, source, cents * (USD / 100), now, now) else {
                unreachable!()
            };
            Input::Observation(protocol::input::Observation { confidence: Price(width), ..seen })
        };
        let unit = with(1, 0, 10_000, width);
        let mut inputs: Vec<Input> = (0..2).map(|source| with(0, source, 10_000, own)).collect();
        inputs.extend([observation(0, 2, 100 * USD, now, now), unit]);
        story.batch(inputs)
    };
    for (width, own, exclusion, state) in [
        (USD, 0, None, QualityState::Agreed),
        (USD + 100, 0, Some(Exclusion::Unconverted), QualityState::Degraded),
        (0, USD + 1, Some(Exclusion::Uncertain), QualityState::Disputed),
    ] {
        says(&mut story, width, own);
        assert_eq!((self::exclusion(&story, 0), story.quality(0).state), (exclusion, state), "{width} {own}");
    }
}

#[test]
fn a_price_is_as_old_as_what_it_is_in() {
    let mut params = market(2);
    for source in &mut params.sources {
        source.quote = Some(MarketId(1));
    }
    let mut unit = tether(2);
    for source in &mut unit.sources {
        source.heartbeat = units::Duration::seconds(60);
    }
    let mut story = Story::new(&venue(vec![params, unit]), &[]);
    second(&mut story, [10_000, 10_000, GONE], &[10_000; 2]);
    for age in 1..40 {
        second(&mut story, [10_000, 10_000, GONE], &[GONE; 2]);
        assert_eq!(story.quality(0).age, units::Duration::seconds(age));
    }
    second(&mut story, [10_000, 10_000, GONE], &[10_000; 2]);
    assert_eq!(story.quality(0).age, units::Duration::ZERO);
}

#[test]
fn one_voice_about_a_unit_is_no_agreement_about_what_is_quoted_in_it() {
    let mut story = quoted(2);
    for _ in 0..5 {
        second(&mut story, [10_000; 3], &[10_000; 2]);
    }
    // One of two falls silent, and the other says 7% more: believed by itself after a minute, and by nobody else.
    for _ in 0..200 {
        second(&mut story, [10_000; 3], &[10_700, GONE]);
    }
    let unit = story.quality(1);
    assert_eq!((unit.state, unit.value), (QualityState::Degraded, Price(107 * USD)));
    let quality = story.quality(0);
    assert_eq!((quality.state, quality.lineages, quality.value), (QualityState::Degraded, 1, Price(100 * USD)));
    // Where a market lists no more than one, that is all there is to ask.
    let mut story = quoted(1);
    second(&mut story, [10_000; 3], &[10_000]);
    assert_eq!(story.quality(0).lineages, 3);
}
