//! Rolling windows over time in bounded memory: the time-weighted average price with its coverage, and the range.
//!
//! Both cut their window into equal slots. A slot that falls out of the window is forgotten as a whole, so a window
//! of length `w` in `n` slots remembers between `w - w/n` and `w`.

use units::{Duration, Price, Ratio, Rounding, Timestamp, div};

/// Slots of a [`Twap`].
pub const TWAP_SLOTS: usize = 60;
/// Slots of a [`Range`].
pub const RANGE_SLOTS: usize = 12;
/// The same, to reckon with slot numbers.
const TWAP_COUNT: i64 = 60;
const RANGE_COUNT: i64 = 12;

/// Time-weighted average price over a rolling window, with the share of the window that was really observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Twap {
    /// Number of the newest slot since the epoch.
    pub newest: i64,
    /// Per slot, price times microseconds.
    pub sums: [i128; TWAP_SLOTS],
    /// Per slot, microseconds observed.
    pub observed: [i64; TWAP_SLOTS],
    /// Sum of `sums`.
    pub total: i128,
    /// Sum of `observed`.
    pub covered: i64,
    /// Number of the newest slot into which something was filed.
    pub filed: i64,
    /// The lowest that counts in that slot.
    pub low: Price,
    /// The highest that counts in it.
    pub high: Price,
}

/// The lowest and highest price over a rolling window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// Number of the newest slot since the epoch.
    pub newest: i64,
    /// Per slot; above `highs` where the slot is empty.
    pub lows: [Price; RANGE_SLOTS],
    /// Per slot.
    pub highs: [Price; RANGE_SLOTS],
    /// The lowest of `lows`.
    pub low: Price,
    /// The highest of `highs`.
    pub high: Price,
}

fn slot_length(window: Duration, slots: i64) -> i64 {
    // Validation bounds the window from below by one microsecond; a slot is never empty.
    (window.0 / slots).max(1)
}

/// When the slot of a [`Twap`] in which `at` lies began, and when the next one will.
pub(crate) fn slot_around(window: Duration, at: Timestamp) -> (Timestamp, Timestamp) {
    let length = slot_length(window, TWAP_COUNT);
    let number = at.0.div_euclid(length);
    (Timestamp(number.saturating_mul(length)), Timestamp(number.saturating_add(1).saturating_mul(length)))
}

/// The number of the slot in which `at` lies. Mostly it is still the newest, which a product says sooner than a division.
fn slot_of(at: Timestamp, length: i64, newest: i64) -> i64 {
    let into = i128::from(at.0) - i128::from(newest) * i128::from(length);
    if 0 <= into && into < i128::from(length) { newest } else { at.0.div_euclid(length) }
}

fn place(slot: i64, slots: i64) -> usize {
    // A remainder is never negative and never beyond the slots.
    usize::try_from(slot.rem_euclid(slots)).unwrap_or(0)
}

impl Twap {
    /// Nothing observed.
    #[must_use]
    pub const fn new() -> Twap {
        Twap {
            newest: i64::MIN,
            sums: [0; TWAP_SLOTS],
            observed: [0; TWAP_SLOTS],
            total: 0,
            covered: 0,
            filed: i64::MIN,
            low: Price(i64::MIN),
            high: Price(i64::MAX),
        }
    }

    /// Forgets what has fallen out of the window by `at`.
    pub fn advance(&mut self, window: Duration, at: Timestamp) {
        let slot = slot_of(at, slot_length(window, TWAP_COUNT), self.newest);
        if slot <= self.newest {
            return;
        }
        let stale = slot.saturating_sub(self.newest).min(TWAP_COUNT);
        for k in 0..stale {
            let i = place(slot - k, TWAP_COUNT);
            self.total = self.total.saturating_sub(self.sums[i]);
            self.covered = self.covered.saturating_sub(self.observed[i]);
            self.sums[i] = 0;
            self.observed[i] = 0;
        }
        self.newest = slot;
    }

    /// Adds that the price was `price` from `from` until `to`. What lies outside the window is left out.
    ///
    /// Truncated per step: a slot counts no farther from the average of the one that was observed before it than a price may step in
    /// the time between their beginnings (`limit`), so that a spike that is many times the price weighs little more than one that is
    /// a step away.
    pub fn observe(
        &mut self,
        window: Duration,
        limit: impl Fn(Duration) -> Ratio,
        price: Price,
        from: Timestamp,
        to: Timestamp,
    ) {
        self.advance(window, to);
        let length = slot_length(window, TWAP_COUNT);
        let oldest = (self.newest - (TWAP_COUNT - 1)).saturating_mul(length);
        let mut from = from.0.max(oldest);
        while from < to.0 {
            let slot = slot_of(Timestamp(from), length, self.newest);
            let until = slot.saturating_add(1).saturating_mul(length).min(to.0);
            let i = place(slot, TWAP_COUNT);
            if slot != self.filed {
                self.begin(slot, length, &limit);
            }
            let price = price.max(self.low).min(self.high);
            let sum = i128::from(price.0) * i128::from(until - from);
            self.sums[i] = self.sums[i].saturating_add(sum);
            self.total = self.total.saturating_add(sum);
            self.observed[i] = self.observed[i].saturating_add(until - from);
            self.covered = self.covered.saturating_add(until - from);
            from = until;
        }
    }

    /// Begins to file into a slot: what counts in it depends on the slot before.
    fn begin(&mut self, slot: i64, length: i64, limit: impl Fn(Duration) -> Ratio) {
        let passed = slot.saturating_sub(self.filed);
        let i = place(self.filed, TWAP_COUNT);
        // One that has fallen out of the window says nothing.
        let before = div(self.sums[i], i128::from(self.observed[i]), Rounding::Down).filter(|_| passed < TWAP_COUNT);
        (self.low, self.high) = (Price(i64::MIN), Price(i64::MAX));
        if let Some(before) = before {
            let reach = limit(Duration(passed.saturating_mul(length))).of(before, Rounding::Up);
            let reach = reach.unwrap_or(i128::MAX);
            let fits = |price: i128, else_: i64| Price(i64::try_from(price).unwrap_or(else_));
            self.low = fits(before.saturating_sub(reach), i64::MIN);
            self.high = fits(before.saturating_add(reach), i64::MAX);
        }
        self.filed = slot;
    }

    /// The average over what was observed, rounded down; `None` where nothing was.
    #[must_use]
    pub fn average(&self) -> Option<Price> {
        let average = div(self.total, i128::from(self.covered), Rounding::Down)?;
        i64::try_from(average).ok().map(Price)
    }

    /// The price below which it was for half of what was observed, slot by slot: the midpoint of two where both halves are equal;
    /// `None` where nothing was observed. A spike moves it by as much as it pushes others aside, however high it is.
    #[must_use]
    pub fn median(&self) -> Option<Price> {
        let mut slots = [(Price(0), 0_i64); TWAP_SLOTS];
        let seen = self.sums.iter().zip(&self.observed).filter(|(_, observed)| 0 < **observed);
        let mut count = 0;
        for (slot, (sum, observed)) in slots.iter_mut().zip(seen) {
            let average = div(*sum, i128::from(*observed), Rounding::Down)?;
            *slot = (Price(i64::try_from(average).ok()?), *observed);
            count += 1;
        }
        let slots = slots.get_mut(..count)?;
        slots.sort_unstable();
        let mut below = 0_i64;
        let mut slots = slots.iter();
        while let Some((price, observed)) = slots.next() {
            below = below.saturating_add(*observed);
            let twice = below.saturating_mul(2);
            if self.covered < twice {
                return Some(*price);
            }
            if self.covered == twice {
                return Some(slots.next().map_or(*price, |(next, _)| price.midpoint(*next)));
            }
        }
        None
    }

    /// Whether at least `share` of the window was observed.
    #[must_use]
    pub fn covers(&self, window: Duration, share: Ratio) -> bool {
        i128::from(window.0) * i128::from(share.0) <= i128::from(self.covered) * i128::from(Ratio::ONE.0)
    }

    /// The share of the window that was observed, rounded down, at most one.
    #[must_use]
    pub fn coverage(&self, window: Duration) -> Ratio {
        let share = Ratio::of_parts(i128::from(self.covered), i128::from(window.0), Rounding::Down);
        share.unwrap_or(Ratio::ZERO).min(Ratio::ONE)
    }
}

impl Default for Twap {
    fn default() -> Twap {
        Twap::new()
    }
}

impl Range {
    const EMPTY: (Price, Price) = (Price(i64::MAX), Price(i64::MIN));

    /// Nothing observed.
    #[must_use]
    pub const fn new() -> Range {
        let (low, high) = Range::EMPTY;
        Range { newest: i64::MIN, lows: [low; RANGE_SLOTS], highs: [high; RANGE_SLOTS], low, high }
    }

    /// With these slots.
    #[must_use]
    pub(crate) fn of(newest: i64, lows: [Price; RANGE_SLOTS], highs: [Price; RANGE_SLOTS]) -> Range {
        let low = lows.iter().copied().fold(Range::EMPTY.0, Price::min);
        let high = highs.iter().copied().fold(Range::EMPTY.1, Price::max);
        Range { newest, lows, highs, low, high }
    }

    /// Adds a price of `at`, forgetting what has fallen out of the window. One that is older than the newest is filed with
    /// that.
    pub fn observe(&mut self, window: Duration, price: Price, at: Timestamp) {
        let slot = slot_of(at, slot_length(window, RANGE_COUNT), self.newest).max(self.newest);
        if self.newest < slot {
            let stale = slot.saturating_sub(self.newest).min(RANGE_COUNT);
            for k in 0..stale {
                let i = place(slot - k, RANGE_COUNT);
                (self.lows[i], self.highs[i]) = Range::EMPTY;
            }
            *self = Range::of(slot, self.lows, self.highs);
        }
        let i = place(slot, RANGE_COUNT);
        self.lows[i] = self.lows[i].min(price);
        self.highs[i] = self.highs[i].max(price);
        (self.low, self.high) = (self.low.min(price), self.high.max(price));
    }

    /// The lowest and the highest price in the window; `None` where nothing was observed.
    #[must_use]
    pub fn extremes(&self) -> Option<(Price, Price)> {
        (self.low <= self.high).then_some((self.low, self.high))
    }
}

/// What added up inside a rolling window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Number of the newest slot since the epoch.
    pub newest: i64,
    /// Per slot.
    pub sums: [i128; RANGE_SLOTS],
    /// Sum of `sums`.
    pub total: i128,
}

impl Flow {
    /// Nothing.
    #[must_use]
    pub const fn new() -> Flow {
        Flow { newest: i64::MIN, sums: [0; RANGE_SLOTS], total: 0 }
    }

    /// Forgets what has fallen out of the window by `at`.
    pub fn advance(&mut self, window: Duration, at: Timestamp) {
        let slot = slot_of(at, slot_length(window, RANGE_COUNT), self.newest);
        if slot <= self.newest {
            return;
        }
        for k in 0..slot.saturating_sub(self.newest).min(RANGE_COUNT) {
            let i = place(slot - k, RANGE_COUNT);
            self.total = self.total.saturating_sub(self.sums[i]);
            self.sums[i] = 0;
        }
        self.newest = slot;
    }

    /// Adds an amount at `at`.
    pub fn add(&mut self, window: Duration, amount: i128, at: Timestamp) {
        self.advance(window, at);
        let i = place(self.newest, RANGE_COUNT);
        self.sums[i] = self.sums[i].saturating_add(amount);
        self.total = self.total.saturating_add(amount);
    }
}

impl Default for Flow {
    fn default() -> Flow {
        Flow::new()
    }
}

impl Default for Range {
    fn default() -> Range {
        Range::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::seconds(60);
    /// Any step.
    const FREE: fn(Duration) -> Ratio = |_| Ratio(i64::MAX);

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000_000)
    }

    #[test]
    fn a_step_beyond_the_limit_counts_as_one_of_the_limit_a_slot() {
        // Ten percent a slot of a second, twenty over a gap of four.
        let limit = |elapsed: Duration| Ratio::percent(if elapsed == Duration::seconds(4) { 20 } else { 10 });
        let mut twap = Twap::new();
        twap.observe(WINDOW, limit, Price(1_000), at(0), at(10));
        let mut spiked = twap.clone();
        spiked.observe(WINDOW, limit, Price(1_101), at(10), at(11));
        assert_eq!(spiked.total, 11_100 * 1_000_000);
        let mut inside = twap.clone();
        inside.observe(WINDOW, limit, Price(1_100), at(10), at(11));
        assert_eq!(inside, spiked);
        inside.observe(WINDOW, limit, Price(900), at(10), at(10));
        // Inside of a slot it is the slot before that counts; the next one goes on from there, down as up.
        let mut fallen = twap.clone();
        for k in 0..4 {
            fallen.observe(WINDOW, limit, Price(1), at(10 + k), at(11 + k));
        }
        // 900, 810, 729 and, of 72.9 rounded up, 656.
        assert_eq!(fallen.total, (10_000 + 900 + 810 + 729 + 656) * 1_000_000);
        // One call over many slots is as many calls.
        let mut at_once = twap.clone();
        at_once.observe(WINDOW, limit, Price(1), at(10), at(14));
        assert_eq!(at_once, fallen);
        // Three slots of which nothing was observed leave it more room, and a whole window all of it.
        let mut late = twap.clone();
        late.observe(WINDOW, limit, Price(5_000), at(13), at(14));
        assert_eq!(late.total, 11_200 * 1_000_000);
        for (second, counts) in [(67, 1_100), (68, 5_000)] {
            let mut later = twap.clone();
            later.observe(WINDOW, limit, Price(5_000), at(second), at(second + 1));
            assert_eq!(later.average().unwrap(), Price(if counts == 1_100 { (1_000 + 1_100) / 2 } else { 5_000 }));
        }
    }

    #[test]
    fn an_average_weighs_by_time_and_says_how_much_it_saw() {
        let mut twap = Twap::new();
        assert_eq!(twap.average(), None);
        twap.observe(WINDOW, FREE, Price(100), at(0), at(10));
        twap.observe(WINDOW, FREE, Price(200), at(10), at(30));
        assert_eq!(twap.average(), Some(Price(166)));
        assert_eq!(twap.coverage(WINDOW), Ratio::percent(50));
        assert!(twap.covers(WINDOW, Ratio::percent(50)) && !twap.covers(WINDOW, Ratio(Ratio::percent(50).0 + 1)));
    }

    #[test]
    fn a_constant_averages_to_itself_at_any_cadence() {
        for step in [1, 7, 59, 600] {
            let mut twap = Twap::new();
            for k in 0..200 {
                twap.observe(WINDOW, FREE, Price(1_000_003), at(k * step), at((k + 1) * step));
            }
            assert_eq!(twap.average(), Some(Price(1_000_003)), "cadence {step} s");
        }
    }

    #[test]
    fn a_median_is_where_the_price_was_for_half_of_the_time() {
        let mut twap = Twap::new();
        assert_eq!(twap.median(), None);
        twap.observe(WINDOW, FREE, Price(100), at(0), at(20));
        assert_eq!(twap.median(), Some(Price(100)));
        // As long, a million times as high: the midpoint. One second less: nothing of it.
        let mut spiked = twap.clone();
        spiked.observe(WINDOW, FREE, Price(100_000_000), at(20), at(39));
        assert_eq!(spiked.median(), Some(Price(100)));
        spiked.observe(WINDOW, FREE, Price(100_000_000), at(39), at(40));
        assert_eq!(spiked.median(), Some(Price(50_000_050)));
        spiked.observe(WINDOW, FREE, Price(100_000_000), at(40), at(41));
        assert_eq!(spiked.median(), Some(Price(100_000_000)));
    }

    #[test]
    fn what_leaves_the_window_leaves_the_average() {
        let mut twap = Twap::new();
        twap.observe(WINDOW, FREE, Price(100), at(0), at(60));
        twap.observe(WINDOW, FREE, Price(300), at(60), at(90));
        // Slots of one second: at 90 s those from 31 s on are kept, the one of the 90th second is still empty.
        twap.advance(WINDOW, at(90));
        assert_eq!(twap.covered, 59_000_000);
        assert_eq!(twap.average(), Some(Price((29 * 100 + 30 * 300) / 59)));
        twap.advance(WINDOW, at(1_000));
        assert_eq!((twap.average(), twap.total, twap.covered), (None, 0, 0));
    }

    #[test]
    fn a_range_forgets_its_extremes_one_window_later() {
        let mut range = Range::new();
        assert_eq!(range.extremes(), None);
        range.observe(WINDOW, Price(100), at(0));
        range.observe(WINDOW, Price(90), at(4));
        range.observe(WINDOW, Price(110), at(30));
        assert_eq!(range.extremes(), Some((Price(90), Price(110))));
        range.observe(WINDOW, Price(105), at(59));
        assert_eq!(range.extremes(), Some((Price(90), Price(110))));
        range.observe(WINDOW, Price(105), at(60));
        assert_eq!(range.extremes(), Some((Price(105), Price(110))));
    }
}
