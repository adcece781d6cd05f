//! Numbers of other venues' test suites that our rooms have an answer to. Where we answer otherwise on purpose, the
//! test's name says so and its comment says why.

use crate::common::{Story, USD, insurance, liquidations, market, observation, source, venue};
use kernel::adl::{Share, allocate};
use kernel::detect::{MarketView, Memory, detect};
use kernel::index::Index;
use kernel::margin::{Lens, PARTS, Risk, risk};
use kernel::mark::Mark;
use kernel::window::{Range, Twap};
use kernel::{Genesis, Holding, Kernel};
use protocol::input::BookTop;
use protocol::params::{Thresholds, Tier};
use protocol::quality::Exclusion;
use protocol::{
    AccountId, Effect, Input, LineageId, MarketId, MarketParams, Mode, PoolId, PriceQuality, QualityState, Rung,
};
use units::{Duration, Notional, Price, Ratio, Scale, Size, Timestamp};

const NOW: i64 = 1_760_131_200_000_000;

/// A market whose sources may say anything without contradicting each other, for medians as such.
fn open_minded(weights: &[u32]) -> MarketParams {
    let mut params = market(u8::try_from(weights.len()).unwrap());
    for (listed, weight) in params.sources.iter_mut().zip(weights) {
        listed.weight = *weight;
    }
    (params.oracle.agree, params.oracle.dispute) = (Ratio::percent(98), Ratio::percent(98));
    params
}

/// What sources that all speak now amount to.
fn quality(params: &MarketParams, prices: &[i64]) -> PriceQuality {
    let panel = params.panel(Rung::Primary);
    let mut index = Index::new(&panel);
    for (place, price) in (0..).zip(prices) {
        let Input::Observation(seen) = observation(0, place, *price, NOW, NOW) else { unreachable!() };
        index.observe(&seen, &panel, None, Timestamp(NOW)).unwrap();
    }
    index.evaluate(&panel, Timestamp(NOW));
    *index.quality()
}

/// Why an observation after `first` (if that is not 0) is left out, published `age` microseconds ago.
fn excluded(params: &MarketParams, first: i64, then: i64, age: i64) -> Option<Exclusion> {
    let panel = params.panel(Rung::Primary);
    let mut index = Index::new(&panel);
    for (price, at, age) in [(first, NOW, 0), (then, NOW + 1, age)] {
        let Input::Observation(seen) = observation(0, 0, price, at - age, at) else { unreachable!() };
        if price != 0 || at != NOW {
            index.observe(&seen, &panel, None, Timestamp(at)).unwrap();
        }
    }
    index.exclusion(0)
}

/// One market with one rate, at 100 USD.
fn one_rate(rate: Ratio, fee: Ratio, buffer: Ratio, scale: Scale) -> MarketParams {
    let mut params = market(3);
    params.scale = scale;
    params.tiers = vec![Tier { notional_from: 0, initial: rate, maintenance: rate }];
    (params.liquidation.fee, params.liquidation.buffer) = (fee, buffer);
    params
}

fn held(lots: i64, entry: i64) -> Vec<Holding> {
    vec![Holding { market: MarketId(0), size: Size(lots), entry: Price(entry) }]
}

fn genesis(id: u64, micro: i64, lots: i64, entry: i64) -> Genesis {
    Genesis {
        pool: PoolId(0),
        account: AccountId(id),
        cash: Notional(micro),
        holdings: held(lots, entry),
        collateral: Vec::new(),
    }
}

fn deleveraged(effects: &[Effect]) -> Vec<(u64, i64, i64, i64)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Deleveraged { counterparty, size, price, given_up, .. } => {
                Some((counterparty.0, size.0, price.0, given_up.0))
            }
            _ => None,
        })
        .collect()
}

/// Everybody's equity at the mark, micro-USD.
fn equity(story: &Story, id: u64) -> i128 {
    let state = story.kernel.state();
    risk(&state.pools[0].accounts[&AccountId(id)], |market| state.market(market), Lens::Mark).unwrap().equity
}

mod drift {
    use super::*;

    /// `math/liquidation/tests.rs`: base to cover a shortage of $10 at price 100 and margin ratio 10%: 1.0 without fee,
    /// 10/9 at 1%, 1.25 at 1% and 1% for the insurance fund. Our fee is one, and all of it goes to the fund.
    #[test]
    fn base_to_cover_a_shortage() {
        check(10, Ratio::ZERO, 1_000_000);
        check(10, Ratio::percent(1), 1_111_112); // 10/9, rounded to the lot that restores
        check(10, Ratio::percent(2), 1_250_000);
    }

    /// The same file closes everything below a shortage of $50, and at $49 ours sells what covers $49: whoever is short
    /// of one dollar does not lose the rest of the position to rounding up.
    #[test]
    fn a_small_shortage_is_no_reason_to_close_everything_on_purpose() {
        check(49, Ratio::ZERO, 4_900_000);
        check(1, Ratio::ZERO, 100_000);
    }

    /// 10 base at 100 USD need 100 USD.
    fn check(shortage: i64, fee: Ratio, lots: i64) {
        let scale = Scale::new(4, 6).unwrap();
        let params = one_rate(Ratio::percent(10), fee, Ratio::ZERO, scale);
        let short = genesis(1, (100 - shortage) * 1_000_000, 10_000_000, 100 * USD);
        let other = genesis(2, 1_000_000_000_000, -10_000_000, 100 * USD);
        let mut story = Story::new(&venue(vec![params]), &[short, other]);
        story.hold(0, &[10_000; 3], 125);
        let sold: Vec<_> = liquidations(&story.effects).into_iter().map(|(id, lots, _)| (id, lots)).collect();
        assert_eq!(sold, [(1, -lots)], "shortage {shortage} at fee {fee:?}");
    }

    /// `math/oracle.rs:331-380`: staleness is strict, delay 10 is fresh and 11 is stale. Ours per observation, at 10 s.
    #[test]
    fn an_age_at_its_limit_is_fresh() {
        let params = market(1);
        for (age, state) in [(10_000_000, QualityState::Degraded), (10_000_001, QualityState::None)] {
            let mut index = Index::new(&params.panel(Rung::Primary));
            let Input::Observation(seen) = observation(0, 0, 34 * USD, NOW - age, NOW) else { unreachable!() };
            index.observe(&seen, &params.panel(Rung::Primary), None, Timestamp(NOW)).unwrap();
            index.evaluate(&params.panel(Rung::Primary), Timestamp(NOW));
            assert_eq!(index.quality().state, state, "age {age}");
        }
    }

    /// Case a of `math/oracle/tests.rs`: 34 with confidence 0.01 is valid under a limit of 2%.
    #[test]
    fn a_confidence_of_a_cent_in_thirty_four_dollars_is_narrow_enough() {
        let mut params = market(1);
        params.oracle.confidence_max = Ratio::percent(2);
        for (confidence, exclusion) in
            [(USD / 100, None), (68 * USD / 100, None), (68 * USD / 100 + 1, Some(Exclusion::Uncertain))]
        {
            let mut index = Index::new(&params.panel(Rung::Primary));
            let Input::Observation(mut seen) = observation(0, 0, 34 * USD, NOW, NOW) else { unreachable!() };
            seen.confidence = Price(confidence);
            index.observe(&seen, &params.panel(Rung::Primary), None, Timestamp(NOW)).unwrap();
            assert_eq!(index.exclusion(0), exclusion, "{confidence}");
        }
    }

    /// Case c: 34 against an hour's average of 21 is "valid" there, since 34/21 is no fivefold move. On purpose ours
    /// reduces only: nobody has lived with that price yet.
    #[test]
    fn sixty_percent_above_the_hour_is_not_traded_into_on_purpose() {
        let mut params = market(3);
        params.detectors.band = Thresholds { cautious: Ratio::percent(10), reduce_only: Ratio::percent(50) };
        assert_eq!(mode_at(&params, 34_000_000, 21_000_000), Mode::ReduceOnly);
    }

    /// `>=` on divergence: 49.9999% is allowed, exactly 50% is a breach. Ours too.
    #[test]
    fn a_band_is_breached_at_its_edge() {
        let mut params = market(3);
        params.detectors.band = Thresholds { cautious: Ratio::percent(50), reduce_only: Ratio::percent(50) };
        assert_eq!(mode_at(&params, 14_999_990, 10_000_000), Mode::Normal);
        assert_eq!(mode_at(&params, 15_000_000, 10_000_000), Mode::ReduceOnly);
    }

    /// "Too volatile" there is an integer quotient above 5, so that 5.99 times passes. Ours compares products: five
    /// times passes, and a millionth more does not.
    #[test]
    fn five_times_means_five_times_on_purpose() {
        let mut params = market(1);
        params.oracle.jump_max = Ratio::percent(400);
        let than = |then| excluded(&params, 1_000_000, then, 0);
        assert_eq!(than(5_000_000), None);
        assert_eq!(than(5_000_001), Some(Exclusion::Jump));
        assert_eq!(than(5_990_000), Some(Exclusion::Jump));
    }

    /// Precedence there begins with a non-positive price; ours does too, whatever else is wrong.
    #[test]
    fn a_non_positive_price_is_said_first() {
        assert_eq!(excluded(&market(1), 1_000_000, 0, 0), Some(Exclusion::NonPositive));
        assert_eq!(excluded(&market(1), 1_000_000, -1, -60_000_000), Some(Exclusion::NonPositive));
    }

    /// `state/perp_market/tests.rs`: a trigger price stays within oracle/500 in tier A and oracle/100 in tier C.
    #[test]
    fn a_mark_stays_within_its_share_of_the_oracle() {
        for (share, highest) in [(500, 100_200_000), (100, 101_000_000)] {
            let mut params = market(1).mark;
            params.premium_max = Ratio(Ratio::ONE.0 / share);
            let mut mark = Mark { premium_at: Timestamp(0), ..Mark::NONE };
            let top = BookTop { market: MarketId(0), bid: Price(200_000_000), ask: Price(200_000_002) };
            for look in 1..200 {
                mark.observe_book(&top, Price(100_000_000), true, &params, Timestamp(look * 60_000_000));
            }
            mark.follow(Price(100_000_000), &params, Timestamp(199 * 60_000_000));
            assert!(mark.price <= Price(highest) && Price(highest - 2) <= mark.price, "{mark:?}");
        }
    }

    fn mode_at(params: &MarketParams, index: i64, twap: i64) -> Mode {
        let view = MarketView {
            index: Price(index),
            state: QualityState::Agreed,
            rung: Rung::Primary,
            spread: Price(0),
            coverage: Ratio::ONE,
            lineages: 3,
            twap: Some(Price(twap)),
            range: None,
            stable: None,
            swing: None,
            stuck: Ratio::ZERO,
            staleness: Duration::ZERO,
            measures: kernel::activity::Measures::CALM,
        };
        let mut memory = Memory::CALM;
        detect(&view, params, &mut memory).0.mode()
    }
}

mod mango {
    use super::*;

    /// `state/stable_price.rs`, negative vector: hourly cranks at a constant 100 for 48 hours leave its delay price at
    /// 17.7 to 21.3. An average weighed by what was observed is the price.
    #[test]
    fn a_constant_price_averages_to_itself_at_an_hourly_cadence() {
        let window = Duration::minutes(24 * 60);
        let mut twap = Twap::new();
        for hour in 0..48 {
            let at = |hour: i64| Timestamp(NOW + hour * 3_600_000_000);
            twap.observe(window, |_| Ratio(i64::MAX), Price(100_000_000), at(hour), at(hour + 1));
            assert_eq!(twap.average(), Some(Price(100_000_000)), "after {} h", hour + 1);
        }
    }

    /// The same file's average test: 1 for half an hour and 2 for the other half is 1.5 within 0.01. Ours has let go of
    /// the oldest of its sixty slots by then.
    #[test]
    fn half_an_hour_each_of_one_and_two_is_one_and_a_half() {
        let mut twap = Twap::new();
        let (window, half) = (Duration::minutes(60), 1_800_000_000);
        twap.observe(window, |_| Ratio(i64::MAX), Price(1_000_000), Timestamp(0), Timestamp(half));
        twap.observe(window, |_| Ratio(i64::MAX), Price(2_000_000), Timestamp(half), Timestamp(2 * half));
        assert_eq!(twap.average(), Some(Price((29 * 1_000_000 + 30 * 2_000_000) / 59)));
        assert!(twap.average().unwrap().distance(Price(1_500_000)) <= 10_000);
    }

    /// `health/cache.rs`, `test_health1`, before its overall weight of 0.8 × 0.95: price 5, lots of 10, weights 0.8 and
    /// 1.2, which is one rate of 20%: (-1, 100) is 100 - 1.2·50, (1, -100) is -100 + 0.8·50, (10, 100) is 100 + 400,
    /// (30, -100) is -100 + 1,200 (their text counts 30·50·0.8).
    #[test]
    fn health_is_equity_less_a_fifth_of_notional() {
        for (lots, quote, health) in [(-1, 100, 40), (1, -100, -60), (10, 100, 500), (30, -100, 1_100)] {
            // Entered at the mark, what they hold as quote is our cash less what the base is worth.
            let cash = (quote + lots * 50) * 1_000_000;
            let scale = Scale::new(6, 0).unwrap();
            let params = venue(vec![one_rate(Ratio::percent(20), Ratio::ZERO, Ratio::ZERO, scale)]);
            let pair = [genesis(1, cash, lots, 50_000_000), genesis(2, i64::MAX / 8, -lots, 50_000_000)];
            let mut state = Kernel::new(&params, &pair).unwrap().state().clone();
            state.pools[0].markets[0].mark.price = Price(50_000_000);
            let account = &state.pools[0].accounts[&AccountId(1)];
            let risk = risk(account, |market| state.market(market), Lens::Mark).unwrap();
            assert_eq!(risk.equity * PARTS - risk.maintenance, health * 1_000_000 * PARTS, "({lots}, {quote})");
            assert_eq!(risk.liquidatable(), health < 0);
        }
    }
}

mod dydx {
    use super::*;

    /// slinky `voteweighted/math_test.go`: three equal voices 100, 200, 300 give 200; 100/300/500 give 300. Ours gives
    /// the same value, and says in addition that these voices contradict each other.
    #[test]
    fn three_equal_voices_give_the_middle_one() {
        for (prices, middle) in [([100, 200, 300], 200), ([100, 300, 500], 300)] {
            let found = quality(&market(3), &prices);
            assert_eq!((found.value, found.state), (Price(middle), QualityState::Disputed));
        }
    }

    /// Two equal voices 100 and 200 give the lower one there. On purpose ours gives the midpoint: with the lower median
    /// one of two equal voices moves the price alone, and only downward. Turned around, the midpoint stays where it is.
    #[test]
    fn of_two_equal_voices_neither_decides_on_purpose() {
        let params = open_minded(&[1, 1]);
        assert_eq!(quality(&params, &[100, 200]).value, Price(150));
        assert_eq!(quality(&params, &[1_000 - 100, 1_000 - 200]).value, Price(1_000 - 150));
        // And with the default limits nothing is opened or liquidated on it.
        assert_eq!(quality(&market(2), &[100, 200]).state, QualityState::Disputed);
    }

    /// `protocol/lib/math_test.go`: medians 2, 9, 9 and -5. Raised by a million, since a price is positive; an even
    /// count is rounded away from zero there and down here, so 8.5 is 8 here and -4.5 is -5 in both.
    #[test]
    fn medians_of_odd_and_even_counts() {
        let cases: [(&[i64], i64); 4] = [
            (&[2, 0, 1, 3, 4], 2),
            (&[5, 12, 1, 3, 12, 50], 8),
            (&[6, 12, 1, 3, 12, 50], 9),
            (&[-12, 20, 100, -9, 0, -50], -5),
        ];
        for (values, middle) in cases {
            let prices: Vec<i64> = values.iter().map(|value| 1_000_000 + value).collect();
            let found = quality(&open_minded(&vec![1; values.len()]), &prices);
            assert_eq!(found.value, Price(1_000_000 + middle), "{values:?}");
        }
    }

    /// The threshold of two thirds: 50 of 100 power give no price there, 68 of 100 do, and an asset with 66 of 99 does
    /// not. On purpose ours keeps the price and says how much stands behind it: below two thirds the market is
    /// `Cautious`, and liquidations of who is really under water go on.
    #[test]
    fn under_two_thirds_of_the_weight_is_cautious_on_purpose() {
        for (speaks, silent, mode) in [(50, 50, Mode::Cautious), (68, 32, Mode::Normal), (66, 33, Mode::Cautious)] {
            let mut params = market(3);
            params.detectors.quorum_coverage_min = Ratio(666_666_666_667);
            for (listed, weight) in params.sources.iter_mut().zip([speaks / 2, speaks / 2, silent]) {
                listed.weight = weight;
            }
            let mut story = Story::new(&venue(vec![params]), &[]);
            story.hold(0, &[10_000, 10_000], 400);
            assert_eq!(story.mode(0), mode, "{speaks} of {}", speaks + silent);
            assert_eq!(story.quality(0).value, Price(100 * USD));
        }
    }

    /// `x/clob/keeper/deleveraging_test.go`: Carl is short 1 BTC and has $54,999; at 55,000 he is closed against Dave at
    /// 54,999, and against two holders of half a coin for 27,499.50 each. A9's bankruptcy price is the same number.
    #[test]
    fn carl_is_closed_at_what_he_has() {
        // He sold at 50,000 and put in 4,999.
        let carl = genesis(1, 4_999_000_000, -1_000, 50_000 * USD);
        let one = [carl.clone(), genesis(2, 50_000_000_000, 1_000, 50_000 * USD)];
        let story = play(&one);
        assert_eq!(deleveraged(&story.effects), [(2, 1_000, 54_999 * USD, 1_000_000)]);
        assert_eq!((cash(&story, 1), cash(&story, 2)), (0, 50_000_000_000 + 4_999_000_000));
        let two = [carl, genesis(2, 50_000_000_000, 500, 50_000 * USD), genesis(3, 50_000_000_000, 500, 50_000 * USD)];
        let story = play(&two);
        let halves = [(2, 500, 54_999 * USD, 500_000), (3, 500, 54_999 * USD, 500_000)];
        assert_eq!(deleveraged(&story.effects), halves);
        // 27,499.50 each for what was bought at 25,000.
        assert_eq!((cash(&story, 2), cash(&story, 3)), (52_499_500_000, 52_499_500_000));
    }

    fn play(accounts: &[Genesis]) -> Story {
        let mut story = Story::new(&venue(vec![market(3)]), accounts);
        story.hold(0, &[5_500_000; 3], 125);
        story
    }

    fn cash(story: &Story, id: u64) -> i64 {
        story.kernel.state().pools[0].accounts[&AccountId(id)].cash.0
    }
}

mod gmx {
    use super::*;

    /// Oracle timing: an age above 300 s is rejected, 300 s is not; a deviation above 50% of the reference is rejected,
    /// 50% is not.
    #[test]
    fn age_and_deviation_pass_at_their_limits() {
        let mut params = market(1);
        params.oracle.age_max = Duration::seconds(300);
        params.oracle.jump_max = Ratio::percent(50);
        for (age, state) in [(300_000_000, QualityState::Degraded), (300_000_001, QualityState::None)] {
            let mut index = Index::new(&params.panel(Rung::Primary));
            let Input::Observation(seen) = observation(0, 0, USD, NOW - age, NOW) else { unreachable!() };
            index.observe(&seen, &params.panel(Rung::Primary), None, Timestamp(NOW)).unwrap();
            index.evaluate(&params.panel(Rung::Primary), Timestamp(NOW));
            assert_eq!(index.quality().state, state, "age {age}");
        }
        assert_eq!(excluded(&params, 1_000_000, 1_500_000, 0), None);
        assert_eq!(excluded(&params, 1_000_000, 1_500_001, 0), Some(Exclusion::Jump));
    }
}

mod synthetix {
    use super::*;

    /// Deviation circuit breaker: at a tolerance of 40% both 0.5 and 1.5 against 1 are refused, at 50% both pass, and
    /// against zero it is an error.
    #[test]
    fn a_deviation_at_its_tolerance_passes() {
        for (tolerance, exclusion) in [(40, Some(Exclusion::Jump)), (50, None)] {
            let mut params = market(1);
            params.oracle.jump_max = Ratio::percent(tolerance);
            for then in [500_000, 1_500_000] {
                assert_eq!(excluded(&params, 1_000_000, then, 0), exclusion, "{then} at {tolerance}%");
            }
        }
        assert!(!Price(1).within(Ratio::percent(50), Price(0)));
    }

    /// Reducer over 10000, 100, 10 and 1: the median is 55, the mean 2,527. Ours is the median, never the mean, and says
    /// that it is disputed.
    #[test]
    fn the_median_of_four_is_fifty_five() {
        let found = quality(&market(4), &[10_000, 100, 10, 1]);
        assert_eq!((found.value, found.state), (Price(55), QualityState::Disputed));
    }

    /// Staleness node at 50 s: 100 from 100 s ago gives way to 300; 200 from 10 s ago stands.
    #[test]
    fn what_is_stale_gives_way_to_what_is_not() {
        let mut params = open_minded(&[1_000, 1]);
        params.oracle.age_max = Duration::seconds(50);
        for (first, age, value) in [(100, 100, 300), (200, 10, 200)] {
            let mut index = Index::new(&params.panel(Rung::Primary));
            for (place, price, age) in [(0, first, age), (1, 300, 0)] {
                let published = NOW - age * 1_000_000;
                let Input::Observation(seen) = observation(0, place, price, published, NOW) else { unreachable!() };
                index.observe(&seen, &params.panel(Rung::Primary), None, Timestamp(NOW)).unwrap();
            }
            index.evaluate(&params.panel(Rung::Primary), Timestamp(NOW));
            assert_eq!(index.quality().value, Price(value), "{first} from {age} s ago");
        }
    }

    /// The same node returns 0 where its second parent says 0. On purpose ours has no price then, and halts.
    #[test]
    fn zero_is_no_price_on_purpose() {
        let found = quality(&market(2), &[0, 0]);
        assert_eq!((found.state, found.rung), (QualityState::None, Rung::None));
        let mut story = Story::new(&venue(vec![market(2)]), &[]);
        story.hold(0, &[0, 0], 200);
        assert_eq!(story.mode(0), Mode::Halted);
    }

    /// A timestamp from the future is accepted there. On purpose ours refuses it beyond the allowance: it would stay
    /// fresh for as long as it likes.
    #[test]
    fn a_price_from_the_future_is_refused_on_purpose() {
        assert_eq!(excluded(&market(1), 0, 100, -1_000_000), None);
        assert_eq!(excluded(&market(1), 0, 100, -1_000_001), Some(Exclusion::Future));
    }
}

mod lenders {
    use super::*;

    /// Aave closes half at a health factor above 0.95 and everything at or below; klend 20% or everything above 95%
    /// LTV. On purpose ours closes what restores the account, so a micro-dollar of health moves at most a lot.
    #[test]
    fn how_much_is_closed_has_no_cliff_on_purpose() {
        let scale = Scale::new(4, 6).unwrap();
        let mut closed = Vec::new();
        // 10 base at 100 USD, 10% maintenance: health 0.951, 0.950 and 0.949 of 100 USD.
        for equity in [95_100_000, 95_000_000, 94_900_000] {
            let params = one_rate(Ratio::percent(10), Ratio::ZERO, Ratio::ZERO, scale);
            let accounts =
                [genesis(1, equity, 10_000_000, 100 * USD), genesis(2, 1_000_000_000_000, -10_000_000, 100 * USD)];
            let mut story = Story::new(&venue(vec![params]), &accounts);
            story.hold(0, &[10_000; 3], 125);
            closed.push(-liquidations(&story.effects)[0].1);
        }
        // 4.9%, 5% and 5.1% of the position, where the shortage is that part of the requirement.
        assert_eq!(closed, [490_000, 500_000, 510_000]);
    }

    /// klend: `|px - twap|·10⁴ < px·tol` passes, so equality fails. Our band is entered at equality too.
    /// Liquity: `now - ts < threshold` is valid, so equality is stale; ours, like Drift and GMX, keeps equality fresh.
    #[test]
    fn a_tolerance_is_used_up_at_equality() {
        let params = {
            let mut params = market(3);
            params.detectors.band = Thresholds { cautious: Ratio::bps(100), reduce_only: Ratio::percent(50) };
            params
        };
        let view = |index| MarketView {
            index: Price(index),
            state: QualityState::Agreed,
            rung: Rung::Primary,
            spread: Price(0),
            coverage: Ratio::ONE,
            lineages: 3,
            twap: Some(Price(10_000)),
            range: None,
            stable: None,
            swing: None,
            stuck: Ratio::ZERO,
            staleness: Duration::ZERO,
            measures: kernel::activity::Measures::CALM,
        };
        let mode = |index| detect(&view(index), &params, &mut { Memory::CALM }).0.mode();
        assert_eq!(
            [mode(10_099), mode(10_100), mode(9_901), mode(9_900)],
            [Mode::Normal, Mode::Cautious, Mode::Normal, Mode::Cautious]
        );
    }
}

mod percolator {
    use super::*;

    /// `crisis/haircut.rs`: claims of $1M against a vault of nothing and insurance of $500k. Their test expects a
    /// haircut of 100%, because what insurance pays in is not counted. Credited, it is 50%.
    #[test]
    fn insurance_is_credited_before_anybody_is_cut() {
        // The loser is $1M short; the winner's claim on it is $1M.
        let story = play(0, 1_000_000, 500_000);
        assert_eq!(paid(&story), 500_000_000_000);
        // Asked of the winner: half of a million.
        assert_eq!(given_up(&story), 500_000_000_000);
    }

    /// The third case: claims of $1.2M, insurance $200k, collateral $500k. They expect 58.33%; it is
    /// (1.2 - 0.5 - 0.2) / 1.2 = 41.67%.
    #[test]
    fn collateral_and_insurance_are_both_credited() {
        let story = play(500_000, 1_200_000, 200_000);
        assert_eq!(paid(&story), 200_000_000_000);
        let haircut = Ratio::of_parts(given_up(&story).into(), 1_200_000_000_000, units::Rounding::Down).unwrap();
        assert_eq!(haircut, Ratio(416_666_666_666));
        // And the sum of changes is the sum of claims: what the loser, the fund and the winner gave is what was won.
        assert_eq!(500_000_000_000 + paid(&story) + given_up(&story), 1_200_000_000_000);
    }

    /// A long of 1 base that lost `claims` USD with `collateral` USD behind it, against one winner.
    fn play(collateral: i64, claims: i64, fund: i64) -> Story {
        let entry = 1_300_000 * USD;
        let mark = 1_300_000 - claims;
        let scale = Scale::new(4, 3).unwrap();
        let params = one_rate(Ratio::percent(10), Ratio::ZERO, Ratio::percent(10), scale);
        let accounts = [genesis(1, collateral * 1_000_000, 1_000, entry), genesis(2, 50_000_000_000, -1_000, entry)];
        let mut story = Story::new(&venue(vec![params]), &accounts);
        story.batch(vec![insurance(fund)]);
        story.hold(0, &[mark * 100; 3], 125);
        assert_eq!(equity(&story, 1), 0, "the loser ends with nothing and owes nothing");
        story
    }

    fn paid(story: &Story) -> i64 {
        let paid = |effect: &Effect| match effect {
            Effect::InsurancePaid { amount, .. } => amount.0,
            _ => 0,
        };
        story.effects.iter().map(paid).sum()
    }

    fn given_up(story: &Story) -> i64 {
        deleveraged(&story.effects).iter().map(|row| row.3).sum()
    }
}

mod quant {
    use super::*;

    /// A1, CME dynamic circuit breaker: settlement 100, 10%, window high 103, low 98: no bid above 108, no ask below 93.
    /// Our range gives the same window, and its rule is the move over the low: ten points over 98 are reached at 108.
    /// Downward ours is stricter on purpose (103 over 93 is 10.75%), since a percentage of a settlement long past grows
    /// as the price falls.
    #[test]
    fn a_move_of_the_variant_within_the_window_trips() {
        let window = Duration::minutes(60);
        let mut range = Range::new();
        for (minute, price) in [(0, 10_000), (10, 10_300), (20, 9_800), (30, 10_100)] {
            range.observe(window, Price(price), Timestamp(NOW + minute * 60_000_000));
        }
        let (low, high) = range.extremes().unwrap();
        let variant = 1_000;
        assert_eq!((low.0 + variant, high.0 - variant), (10_800, 9_300));
        let mut params = market(3);
        // 10 over 98, rounded down: reached at exactly 108.
        let threshold = Ratio(1_000 * 1_000_000_000_000 / 9_800);
        params.detectors.velocity = Thresholds { cautious: threshold, reduce_only: threshold };
        let mode = |range| {
            let view = MarketView {
                index: Price(10_000),
                state: QualityState::Agreed,
                rung: Rung::Primary,
                spread: Price(0),
                coverage: Ratio::ONE,
                lineages: 3,
                twap: None,
                range: Some(range),
                stable: None,
                swing: None,
                stuck: Ratio::ZERO,
                staleness: Duration::ZERO,
                measures: kernel::activity::Measures::CALM,
            };
            detect(&view, &params, &mut { Memory::CALM }).0.mode()
        };
        assert_eq!(mode((low, Price(10_799))), Mode::Normal);
        assert_eq!(mode((low, Price(10_800))), Mode::ReduceOnly);
        assert_eq!(mode((Price(9_347), high)), Mode::Normal);
        assert_eq!(mode((Price(9_346), high)), Mode::ReduceOnly, "before CME's 93");
    }

    /// A9, Hyperliquid: liquidation price = price - side · margin available / size / (1 - l · side), with maintenance
    /// half of initial: l = 1.25% at 40 times. Ours says it by cross-multiplication; a price unit apart it differs.
    #[test]
    fn the_liquidation_price_is_where_equity_meets_maintenance() {
        let rate = Ratio::bps(125);
        let scale = Scale::new(6, 3).unwrap();
        // 1 base at 100,000 USD with 2,500 USD; available = 2,500 - 1.25% of 100,000 = 1,250.
        // Long: 100,000 - 1,250 / 0.9875; short: 100,000 + 1,250 / 1.0125.
        for (lots, edge) in [(1_000_i64, 98_734.177_215), (-1_000, 101_234.567_901)] {
            let edge = (edge * 1e6_f64) as i64;
            let params = venue(vec![one_rate(rate, Ratio::ZERO, Ratio::ZERO, scale)]);
            let entry = 100_000_000_000;
            let pair = [genesis(1, 2_500_000_000, lots, entry), genesis(2, i64::MAX / 8, -lots, entry)];
            let mut state = Kernel::new(&params, &pair).unwrap().state().clone();
            let mut liquidatable = |price| {
                state.pools[0].markets[0].mark.price = Price(price);
                let account = &state.pools[0].accounts[&AccountId(1)];
                risk(account, |market| state.market(market), Lens::Mark).as_ref().map(Risk::liquidatable)
            };
            let safe = if 0 < lots { edge + 2 } else { edge - 2 };
            let gone = if 0 < lots { edge - 2 } else { edge + 2 };
            assert_eq!((liquidatable(safe), liquidatable(gone)), (Some(false), Some(true)), "{lots} at {edge}");
        }
    }

    /// A9, Hyperliquid's oracle: weights 3, 2, 2, 1, 1, 1, 1, 1. Half of twelve is met at 100.03, so the next counts too.
    #[test]
    fn the_median_of_eight_weighted_venues() {
        let params = open_minded(&[3, 2, 2, 1, 1, 1, 1, 1]);
        let prices = [10_007, 10_001, 10_003, 10_010, 10_020, 9_990, 10_000, 10_005];
        // Weights up to 10,003 add up to 1 + 1 + 2 + 2 = 6.
        assert_eq!(quality(&params, &prices).value, Price(10_004));
    }

    /// A9, ranks of BitMEX, Binance (golden score 1.2634) and Hyperliquid: whoever gained most at the highest leverage is
    /// closed first and entirely. On purpose ours is pro rata under caps: an account split in two is asked for as much as
    /// the one that it was, and nobody is asked for everything while others are asked for nothing.
    #[test]
    fn splitting_an_account_changes_nothing_on_purpose() {
        let share = |lots| Share { weight: lots, cap: lots };
        let whole = allocate(600, &[share(1_000), share(500)]);
        assert_eq!(whole, [400, 200]);
        let split = allocate(600, &[share(500), share(500), share(500)]);
        assert_eq!((split[0] + split[1], split[2]), (400, 200));
        let crumbs: Vec<Share> = (0..1_000).map(|_| share(1)).chain([share(500)]).collect();
        let taken = allocate(600, &crumbs);
        assert_eq!((taken[..1_000].iter().sum::<i128>(), taken[1_000]), (400, 200));
    }

    /// E3: every clone in 2, 10 and 1,000 parts pays what one account would, to the lot.
    #[test]
    fn clones_pay_what_one_account_pays() {
        for clones in [2_i128, 10, 1_000] {
            let share = |lots| Share { weight: lots, cap: lots };
            let mut shares = vec![share(700_000)];
            shares.extend((0..clones).map(|_| share(1_000_000 / clones)));
            let taken = allocate(340_000, &shares);
            assert_eq!((taken[0], taken[1..].iter().sum::<i128>()), (140_000, 200_000), "{clones} clones");
        }
    }
}

#[test]
fn one_lineage_is_one_voice_however_often_it_speaks() {
    // The reference event: a venue that prices an asset from its own book alone (USDe at 0.65).
    let mut params = market(3);
    params.sources = vec![source(0), source(0), source(0)];
    for source in &mut params.sources {
        source.lineage = LineageId(7);
    }
    assert_eq!(quality(&params, &[65, 65, 65]).lineages, 1);
    let mut story = Story::new(&venue(vec![params]), &[]);
    story.hold(0, &[65; 3], 200);
    assert_eq!((story.mode(0), story.quality(0).state), (Mode::Cautious, QualityState::Degraded));
}
