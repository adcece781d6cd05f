//! The stable price: where the index has been for long, in bounded memory.
//!
//! An exponential average in steps of 1/1024 of its half-life. Inside a step time is weighed as it passes, so the answer
//! depends on what the price was and not on how often somebody looked; the answer to a constant is that constant. Time that
//! nobody observed counts for nothing. An index farther away than `stable_reach` pulls no harder than one at that distance, for
//! however short a time: whoever drives a price to twenty times its worth moves what is remembered of it like one who adds a
//! fifth.

use units::{Duration, Price, Ratio, Rounding, Timestamp, div};

/// Steps of a half-life.
const STEPS: i64 = 1_024;
/// Binary digits that are kept below a price's unit.
const DIGITS: u32 = 20;
/// `(1 - 2^(-1/1024)) * 2^48`, rounded: what one step takes over.
const TAKEN: i128 = 190_466_375_432;
/// Its binary digits.
const TAKEN_DIGITS: u32 = 48;
/// More steps than this of one price are as good as forever: within 2^-16 of it, where it is in reach.
const STEPS_MAX: i64 = 16 * STEPS;

/// A stable price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stable {
    /// The average over whole steps, in units of 2^-20 of a price's; zero before the first price.
    pub value: i128,
    /// In the step that is not over yet: what pulls, in the unit of `value`, times microseconds.
    pub sum: i128,
    /// And the microseconds.
    pub observed: i64,
}

impl Stable {
    /// Before the first price.
    pub const NONE: Stable = Stable { value: 0, sum: 0, observed: 0 };

    /// The stable price, rounded down; `None` before the first.
    #[must_use]
    pub fn price(&self) -> Option<Price> {
        let price = i64::try_from(self.value >> DIGITS).ok()?;
        (0 < price).then_some(Price(price))
    }

    /// Adds that the price was `price`, positive, from `from` until `to`. The first price is where it begins.
    pub fn observe(&mut self, half_life: Duration, reach: Ratio, price: Price, from: Timestamp, to: Timestamp) {
        if self.value <= 0 {
            self.value = i128::from(price.0) << DIGITS;
        }
        let length = (half_life.0 / STEPS).max(1);
        let mut left = to.since(from).0.clamp(0, length.saturating_mul(STEPS_MAX));
        while 0 < left {
            let taken = left.min(length.saturating_sub(self.observed).max(0));
            self.sum = self.sum.saturating_add(self.within_reach(price, reach).saturating_mul(i128::from(taken)));
            self.observed = self.observed.saturating_add(taken);
            left -= taken;
            if length <= self.observed {
                self.step();
            }
        }
    }

    /// A price, or where it is out of reach what is nearest to it.
    fn within_reach(&self, price: Price, reach: Ratio) -> i128 {
        let (whole, price) = (price, i128::from(price.0) << DIGITS);
        // In whole units first, which can't overflow: most prices are in reach by more than one.
        let stable = i64::try_from(self.value >> DIGITS).unwrap_or(i64::MAX);
        let most = i128::from(whole.0.abs_diff(stable)) + 1;
        if most * i128::from(Ratio::ONE.0) <= i128::from(stable) * i128::from(reach.0) {
            return price;
        }
        let away = price.saturating_sub(self.value);
        let farthest = self.value.saturating_mul(i128::from(reach.0.max(0)));
        if away.saturating_abs().saturating_mul(i128::from(Ratio::ONE.0)) <= farthest {
            return price;
        }
        let farthest = div(farthest, i128::from(Ratio::ONE.0), Rounding::Down).unwrap_or(0);
        self.value.saturating_add(away.max(-farthest).min(farthest))
    }

    /// Takes over what the step that is over amounts to.
    fn step(&mut self) {
        let average = div(self.sum, i128::from(self.observed), Rounding::Down).unwrap_or(0);
        (self.sum, self.observed) = (0, 0);
        let away = average.saturating_sub(self.value);
        // Below a unit of value the average stays where it is.
        self.value = self.value.saturating_add(away.saturating_mul(TAKEN) / (1 << TAKEN_DIGITS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::seconds(3_600);
    const REACH: Ratio = Ratio::percent(20);

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000_000)
    }

    #[test]
    fn the_answer_to_a_constant_is_that_constant_at_any_cadence() {
        for price in [1, 7, 1_000_003, 1 << 52, i64::MAX] {
            for cadence in [1, 7, 3_599, 100_000] {
                let mut stable = Stable::NONE;
                for k in 0..300 {
                    stable.observe(HOUR, REACH, Price(price), at(k * cadence), at((k + 1) * cadence));
                }
                assert_eq!(stable.price(), Some(Price(price)), "cadence {cadence} s");
            }
        }
    }

    #[test]
    fn half_of_the_way_is_made_in_a_half_life_however_often_somebody_looks() {
        for cadence in [1, 90, 3_600] {
            let mut stable = Stable::NONE;
            stable.observe(HOUR, REACH, Price(1_000_000_000), at(0), at(3_600));
            for k in 0..3_600 / cadence {
                stable.observe(HOUR, REACH, Price(1_100_000_000), at(k * cadence), at((k + 1) * cadence));
            }
            let Some(Price(price)) = stable.price() else { panic!("there is one") };
            assert!(price.abs_diff(1_050_000_000) <= 2, "cadence {cadence} s: {price}");
        }
    }

    #[test]
    fn whoever_goes_to_twenty_times_pulls_like_one_who_adds_a_fifth() {
        let pulled = |price: i64| {
            let mut stable = Stable::NONE;
            stable.observe(HOUR, REACH, Price(1_000_000_000), at(0), at(0));
            stable.observe(HOUR, REACH, Price(price), at(0), at(1_200));
            stable.price().map(|price| price.0)
        };
        // Twenty minutes: each step takes over a 1477th of a fifth of what there is by then, 341 times: 4.7%.
        assert_eq!(pulled(20_000_000_000), pulled(2_000_000_000));
        let Some(price) = pulled(20_000_000_000) else { panic!("there is one") };
        let expected = 1e9 * (1.0 + 0.2 * (1.0 - 2_f64.powf(-1.0 / 1_024.0))).powi(341);
        assert!((price as f64 - expected).abs() < 1e4, "{price} against {expected}");
        assert!(pulled(1_199_000_000) < pulled(20_000_000_000));
        // Nor harder when it shows for a hundredth of the time, in every step.
        let mut spiked = Stable::NONE;
        for k in 0..120_000 {
            let price = if k % 100 == 99 { 20_000_000_000 } else { 1_000_000_000 };
            spiked.observe(HOUR, REACH, Price(price), Timestamp(k * 10_000), Timestamp((k + 1) * 10_000));
        }
        let Some(spiked) = spiked.price() else { panic!("there is one") };
        assert!(spiked.0 < 1_001_000_000, "{spiked:?}");
        // And downward it falls by no more than a fifth of itself.
        let Some(low) = pulled(1) else { panic!("there is one") };
        let expected = 1e9 * (1.0 - 0.2 * (1.0 - 2_f64.powf(-1.0 / 1_024.0))).powi(341);
        assert!((low as f64 - expected).abs() < 1e4, "{low} against {expected}");
    }

    #[test]
    fn time_that_nobody_observed_counts_for_nothing() {
        let (mut seen, mut gap) = (Stable::NONE, Stable::NONE);
        for k in 0..1_000 {
            let price = Price(1_000_000 + k * 10);
            seen.observe(HOUR, REACH, price, at(k), at(k + 1));
            gap.observe(HOUR, REACH, price, at(k * 100), at(k * 100 + 1));
        }
        assert_eq!(seen, gap);
    }

    #[test]
    fn a_price_that_stood_for_ever_is_taken_over_in_bounded_work() {
        let mut stable = Stable::NONE;
        stable.observe(Duration(1), REACH, Price(100), at(0), at(1));
        stable.observe(Duration(1), REACH, Price(100_000), at(1), Timestamp(i64::MAX));
        // 16,384 steps of a 1477th of a fifth: nine times as much and more.
        assert!(stable.price().is_some_and(|price| Price(900) < price && price < Price(1_000)), "{stable:?}");
        assert_eq!(Stable::NONE.price(), None);
    }
}
