//! The mark: the index plus a clamped, averaged premium of the venue's own book.

use protocol::input::BookTop;
use protocol::params::MarkParams;
use units::{Price, Ratio, Rounding, Timestamp};

/// The premium's average and the mark that follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The mark; zero before the first index.
    pub price: Price,
    /// Average premium of the venue's mid over the index, clamped.
    pub premium: Ratio,
    /// When the premium was last averaged.
    pub premium_at: Timestamp,
}

impl Mark {
    /// Before the first index.
    pub const NONE: Mark = Mark { price: Price(0), premium: Ratio::ZERO, premium_at: Timestamp::MIN };

    /// Averages in what the venue's own book says against the index. A one-sided, crossed or empty book says nothing.
    ///
    /// The weight of a new sample is `dt / (dt + window)`: it needs no exponential, and a premium that jumped is
    /// believed by half after one window.
    pub fn observe_book(&mut self, top: &BookTop, index: Price, params: &MarkParams, at: Timestamp) {
        if top.bid <= Price(0) || top.ask <= top.bid || index <= Price(0) {
            return;
        }
        let mid = top.bid.midpoint(top.ask);
        let away = i128::from(mid.0) - i128::from(index.0);
        let Some(sample) = Ratio::of_parts(away, i128::from(index.0), Rounding::Down) else { return };
        let sample = i128::from(clamp(sample, params.premium_max).0);
        let dt = i128::from(at.since(self.premium_at).0.max(0));
        let held = i128::from(self.premium.0);
        let window = i128::from(params.premium_window.0);
        let averaged = (held * window + sample * dt) / (dt + window).max(1);
        if let Ok(premium) = i64::try_from(averaged) {
            self.premium = clamp(Ratio(premium), params.premium_max);
            self.premium_at = at;
        }
    }

    /// Follows the index. A non-positive index leaves the mark where it was: the quality, not the mark, says that
    /// there is no price.
    pub fn follow(&mut self, index: Price, params: &MarkParams) {
        if index <= Price(0) {
            return;
        }
        let premium = clamp(self.premium, params.premium_max);
        if let Some(price) = index.scaled(premium, Rounding::Down) {
            self.price = price.max(Price(1));
        }
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

    const PARAMS: MarkParams = MarkParams { premium_max: Ratio::bps(50), premium_window: Duration::seconds(10) };

    fn top(bid: i64, ask: i64) -> BookTop {
        BookTop { market: MarketId(0), bid: Price(bid), ask: Price(ask) }
    }

    #[test]
    fn a_premium_is_half_believed_after_one_window_and_never_beyond_its_bound() {
        let mut mark = Mark { premium_at: Timestamp(0), ..Mark::NONE };
        mark.follow(Price(10_000), &PARAMS);
        assert_eq!(mark.price, Price(10_000));
        mark.observe_book(&top(10_039, 10_041), Price(10_000), &PARAMS, Timestamp(10_000_000));
        mark.follow(Price(10_000), &PARAMS);
        assert_eq!(mark.price, Price(10_020));
        for second in 2..100 {
            mark.observe_book(&top(20_000, 20_002), Price(10_000), &PARAMS, Timestamp(second * 10_000_000));
        }
        mark.follow(Price(10_000), &PARAMS);
        assert!(mark.price <= Price(10_050) && Price(10_049) <= mark.price, "{mark:?}");
    }

    #[test]
    fn an_empty_or_crossed_book_says_nothing() {
        for (bid, ask) in [(0, 10_100), (10_100, 0), (10_100, 10_100), (10_101, 10_100), (-5, 5)] {
            let mut mark = Mark::NONE;
            mark.observe_book(&top(bid, ask), Price(10_000), &PARAMS, Timestamp(1));
            assert_eq!(mark, Mark::NONE, "{bid}/{ask}");
        }
    }

    #[test]
    fn without_an_index_the_mark_does_not_move() {
        let mut mark = Mark::NONE;
        mark.follow(Price(500), &PARAMS);
        mark.follow(Price(0), &PARAMS);
        mark.follow(Price(-1), &PARAMS);
        assert_eq!(mark.price, Price(500));
    }
}
