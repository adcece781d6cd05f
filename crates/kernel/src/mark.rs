//! The mark: the index plus a clamped, averaged premium of the venue's own book.

use protocol::input::BookTop;
use protocol::params::MarkParams;
use units::{Duration, Price, Ratio, Rounding, Size, Timestamp};

/// The premium's average and the mark that follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The mark; zero before the first index.
    pub price: Price,
    /// Where it would be if it might step that far at once.
    pub target: Price,
    /// The lowest mark since `stepped_at`.
    pub low: Price,
    /// The highest mark since then.
    pub high: Price,
    /// The lowest mark in the step window before.
    pub low_before: Price,
    /// The highest mark in it.
    pub high_before: Price,
    /// When the present step window began.
    pub stepped_at: Timestamp,
    /// Average premium of the venue's mid over the index, clamped.
    pub premium: Ratio,
    /// When that was last averaged.
    pub premium_at: Timestamp,
    /// Likewise not clamped, up to the index itself, while the book was quoted.
    pub gap: Ratio,
    /// When that was.
    pub gap_at: Timestamp,
}

impl Mark {
    /// Before the first index.
    pub const NONE: Mark = Mark {
        price: Price(0),
        target: Price(0),
        low: Price(0),
        high: Price(0),
        low_before: Price(0),
        high_before: Price(0),
        stepped_at: Timestamp::MIN,
        premium: Ratio::ZERO,
        premium_at: Timestamp::MIN,
        gap: Ratio::ZERO,
        gap_at: Timestamp::MIN,
    };

    /// Averages in what the venue's own book says against the index. A one-sided, crossed or empty book says nothing, so
    /// that the premium fades.
    ///
    /// The weight of a new sample is `dt / (dt + window)`, with `dt` at most one window: it needs no exponential, a premium
    /// that stands is believed by half after one window, and no single sample is believed by more. The first look only
    /// starts the clock. A book that is not quoted, because nobody may open, says nothing of how far the venue is from the market.
    pub fn observe_book(&mut self, top: &BookTop, index: Price, is_quoted: bool, params: &MarkParams, at: Timestamp) {
        if index <= Price(0) {
            return;
        }
        let is_sound = Price(0) < top.bid && top.bid < top.ask;
        let mid = if is_sound { top.bid.midpoint(top.ask) } else { index };
        let away = i128::from(mid.0) - i128::from(index.0);
        let Some(sample) = Ratio::of_parts(away, i128::from(index.0), Rounding::Down) else { return };
        let window = i128::from(params.premium_window.0.max(1));
        let averaged = |held: Ratio, since: Timestamp, max: Ratio| {
            let dt = if since == Timestamp::MIN { 0 } else { i128::from(at.since(since).0.max(0)).min(window) };
            let sample = i128::from(clamp(sample, max).0);
            let averaged = (Mark::faded(held, since, params, at) * window + sample * dt) / (dt + window).max(1);
            clamp(Ratio(i64::try_from(averaged).unwrap_or(0)), max)
        };
        (self.premium, self.premium_at) = (averaged(self.premium, self.premium_at, params.premium_max), at);
        if is_quoted {
            (self.gap, self.gap_at) = (averaged(self.gap, self.gap_at, Ratio::ONE), at);
        }
    }

    /// How far the venue's book has been from the index, not clamped.
    #[must_use]
    pub fn gap(&self, params: &MarkParams, at: Timestamp) -> Ratio {
        Ratio(i64::try_from(Mark::faded(self.gap, self.gap_at, params, at)).unwrap_or(0))
    }

    /// An average as it still counts: whole for one window after the last look at the book, then in inverse proportion to
    /// the silence.
    fn faded(average: Ratio, since: Timestamp, params: &MarkParams, at: Timestamp) -> i128 {
        let premium = i128::from(average.0);
        let (silent, window) = (at.since(since).0, params.premium_window.0.max(1));
        if premium == 0 || silent <= window { premium } else { premium * i128::from(window) / i128::from(silent) }
    }

    /// Follows the index. A non-positive index leaves the mark where it was: the quality, not the mark, says that
    /// there is no price.
    ///
    /// What is farther than a step is approached by one step in two windows: any two marks no farther apart in time than a window,
    /// and so any two that follow one another, are within `step_max` of each other. The first mark is where the index is.
    pub fn follow(&mut self, index: Price, params: &MarkParams, at: Timestamp) {
        if index <= Price(0) {
            self.target = self.price;
            return;
        }
        let premium =
            Ratio(i64::try_from(Mark::faded(self.premium, self.premium_at, params, at)).unwrap_or(self.premium.0));
        let premium = clamp(premium, params.premium_max);
        let Some(target) = index.scaled(premium, Rounding::Down) else { return };
        self.target = target.max(Price(1));
        if self.price == Price(0) {
            (self.price, self.stepped_at) = (self.target, at);
            (self.low, self.high, self.low_before, self.high_before) =
                (self.target, self.target, self.target, self.target);
            return;
        }
        if params.step_window <= at.since(self.stepped_at) {
            // Where nobody looked for as long, the mark stood where it is.
            let looked = at.since(self.stepped_at) < Duration(params.step_window.0.saturating_mul(2));
            let before = if looked { (self.low, self.high) } else { (self.price, self.price) };
            (self.low_before, self.high_before) = before;
            (self.low, self.high, self.stepped_at) = (self.price, self.price, at);
        }
        let (lowest, highest) = (self.low.min(self.low_before), self.high.max(self.high_before));
        // Mostly it is within a step of both, which is said without a division.
        let within = |away: i64, of: Price| {
            i128::from(away) * i128::from(Ratio::ONE.0) <= i128::from(params.step_max.0) * i128::from(of.0)
        };
        let (below, above) = (highest.0.saturating_sub(self.target.0), self.target.0.saturating_sub(lowest.0));
        if within(below, highest) && within(above, lowest) {
            self.price = self.target;
            (self.low, self.high) = (self.low.min(self.price), self.high.max(self.price));
            return;
        }
        // Rounded toward the marks that were, but never to a standstill: one unit may always be stepped.
        let step = |of: Price| params.step_max.of(i128::from(of.0), Rounding::Down).unwrap_or(i128::MAX).max(1);
        let least = i128::from(highest.0).saturating_sub(step(highest)).max(1);
        let most = i128::from(lowest.0).saturating_add(step(lowest));
        let reached = i128::from(self.target.0).min(most).max(least);
        self.price = Price(i64::try_from(reached).unwrap_or(i64::MAX));
        self.low = self.low.min(self.price);
        self.high = self.high.max(self.price);
    }

    /// The last instant at which the mark is still where it is without any input, as far as steps are waited for.
    #[must_use]
    pub fn until(&self, params: &MarkParams) -> Timestamp {
        if self.price == self.target {
            return Timestamp::MAX;
        }
        Timestamp(self.stepped_at.plus(params.step_window).0.saturating_sub(1))
    }

    /// The mark or where it is going, whichever is kinder to a position of this sign.
    #[must_use]
    pub fn kinder(&self, size: Size) -> Price {
        if 0 < size.0 { self.price.max(self.target) } else { self.price.min(self.target) }
    }

    /// Likewise whichever is less kind.
    #[must_use]
    pub fn harsher(&self, size: Size) -> Price {
        if 0 < size.0 { self.price.min(self.target) } else { self.price.max(self.target) }
    }
}

fn clamp(ratio: Ratio, max: Ratio) -> Ratio {
    // Not `clamp`, which panics where a bound is negative.
    Ratio(ratio.0.max(max.0.saturating_neg()).min(max.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::MarketId;
    use units::Duration;

    const PARAMS: MarkParams = MarkParams {
        premium_max: Ratio::bps(50),
        premium_window: Duration::seconds(10),
        step_max: Ratio::percent(2),
        step_window: Duration::seconds(1),
    };

    fn top(bid: i64, ask: i64) -> BookTop {
        BookTop { market: MarketId(0), bid: Price(bid), ask: Price(ask) }
    }

    const AT: fn(i64) -> Timestamp = |seconds| Timestamp(seconds * 1_000_000);

    #[test]
    fn a_premium_is_half_believed_after_one_window_and_never_beyond_its_bound() {
        let mut mark = Mark { premium_at: AT(0), ..Mark::NONE };
        mark.follow(Price(10_000), &PARAMS, AT(0));
        assert_eq!(mark.price, Price(10_000));
        mark.observe_book(&top(10_039, 10_041), Price(10_000), true, &PARAMS, AT(10));
        mark.follow(Price(10_000), &PARAMS, AT(10));
        assert_eq!(mark.price, Price(10_020));
        for second in 2..100 {
            mark.observe_book(&top(20_000, 20_002), Price(10_000), true, &PARAMS, AT(second * 10));
        }
        mark.follow(Price(10_000), &PARAMS, AT(990));
        assert!(mark.price <= Price(10_050) && Price(10_049) <= mark.price, "{mark:?}");
    }

    #[test]
    fn no_single_look_is_believed_by_more_than_half() {
        let mut mark = Mark::NONE;
        mark.observe_book(&top(10_039, 10_041), Price(10_000), true, &PARAMS, AT(1_000));
        assert_eq!((mark.premium, mark.premium_at), (Ratio::ZERO, AT(1_000)));
        let mut later = mark;
        mark.observe_book(&top(10_039, 10_041), Price(10_000), true, &PARAMS, AT(1_010));
        assert_eq!(mark.premium, Ratio::bps(20));
        later.observe_book(&top(10_039, 10_041), Price(10_000), true, &PARAMS, AT(9_000));
        assert_eq!(later.premium, Ratio::bps(20));
    }

    #[test]
    fn an_empty_or_crossed_book_lets_the_premium_fade() {
        for (bid, ask) in [(0, 10_100), (10_100, 0), (10_100, 10_100), (10_101, 10_100), (-5, 5)] {
            let mut mark = Mark { premium: Ratio::bps(40), premium_at: AT(0), ..Mark::NONE };
            mark.observe_book(&top(bid, ask), Price(10_000), true, &PARAMS, AT(10));
            assert_eq!(mark.premium, Ratio::bps(20), "{bid}/{ask}");
        }
    }

    #[test]
    fn a_book_that_is_not_heard_lets_the_premium_fade_after_one_window() {
        let mut mark = Mark { premium: Ratio::bps(40), premium_at: AT(0), ..Mark::NONE };
        for (seconds, price) in [(10, 10_040), (11, 10_036), (20, 10_020), (40, 10_010)] {
            mark.follow(Price(10_000), &PARAMS, AT(seconds));
            assert_eq!(mark.price, Price(price), "{seconds}");
        }
        mark.observe_book(&top(9_999, 10_001), Price(10_000), true, &PARAMS, AT(20));
        assert_eq!(mark.premium, Ratio::bps(10));
    }

    #[test]
    fn without_an_index_the_mark_does_not_move() {
        let mut mark = Mark::NONE;
        mark.follow(Price(500), &PARAMS, AT(0));
        mark.follow(Price(0), &PARAMS, AT(0));
        mark.follow(Price(-1), &PARAMS, AT(0));
        assert_eq!(mark.price, Price(500));
    }
}
