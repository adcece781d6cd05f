//! Integer money, prices, sizes, ratios and times.
//!
//! Everything that Seawall decides on is an integer of a named unit. A quantity that could be confused with
//! another has a type of its own, and every division takes a [`Rounding`], so that the caller must say whom the
//! remainder falls on. Nothing here panics on input and nothing wraps: what does not fit is `None`.
//!
//! Start at [`Scale`], which ties a market's price and lot to money.
#![no_std]
#![cfg_attr(
    not(test),
    deny(
        clippy::float_arithmetic,
        clippy::float_cmp,
        clippy::lossy_float_literal,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        clippy::disallowed_methods,
        clippy::disallowed_types,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::todo,
        clippy::unimplemented,
        clippy::wildcard_enum_match_arm,
        clippy::indexing_slicing,
    )
)]

/// The direction in which a division that does not come out even is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Toward minus infinity.
    Down,
    /// Toward plus infinity.
    Up,
}

/// `a * b / d`, rounded. `None` where `d` is not positive or the result does not fit.
///
/// ```
/// use units::{mul_div, Rounding};
/// assert_eq!(mul_div(7, 1, 2, Rounding::Down), Some(3));
/// assert_eq!(mul_div(7, 1, 2, Rounding::Up), Some(4));
/// assert_eq!(mul_div(-7, 1, 2, Rounding::Down), Some(-4));
/// assert_eq!(mul_div(7, 1, 0, Rounding::Up), None);
/// ```
#[must_use]
pub fn mul_div(a: i128, b: i128, d: i128, rounding: Rounding) -> Option<i128> {
    div(a.checked_mul(b)?, d, rounding)
}

/// `a / d`, rounded. `None` where `d` is not positive.
#[must_use]
pub fn div(a: i128, d: i128, rounding: Rounding) -> Option<i128> {
    if d <= 0 {
        return None;
    }
    // One division; what it cuts off toward zero says which way to step. Neither step can overflow, because a divisor
    // of one cuts nothing off.
    let quotient = a / d;
    let cut = a - quotient * d;
    match rounding {
        Rounding::Up if 0 < cut => Some(quotient + 1),
        Rounding::Down if cut < 0 => Some(quotient - 1),
        Rounding::Up | Rounding::Down => Some(quotient),
    }
}

/// A price in a market's own unit: `10^(shift - 12)` USD for one unit of base, with the market's [`Scale`] giving
/// the shift. Zero and negative values are representable, so that a bad print can be carried to the room that
/// refuses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Price(pub i64);

/// A signed number of lots: positive is long or bought, negative is short or sold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub i64);

/// Signed micro-USD of one account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Notional(pub i64);

/// A ratio in parts per 10^12: `Ratio::ONE` is 1. Range ±9,223,372.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ratio(pub i64);

/// Microseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// A span of microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(pub i64);

impl Ratio {
    /// Nothing.
    pub const ZERO: Ratio = Ratio(0);
    /// One whole: 10^12 parts.
    pub const ONE: Ratio = Ratio(1_000_000_000_000);

    /// Whole percent. `percent` within ±922,337,203; outside it saturates.
    #[must_use]
    pub const fn percent(percent: i64) -> Ratio {
        Ratio(percent.saturating_mul(10_000_000_000))
    }

    /// Basis points, hundredths of a percent. Saturates outside ±92,233,720,368.
    #[must_use]
    pub const fn bps(bps: i64) -> Ratio {
        Ratio(bps.saturating_mul(100_000_000))
    }

    /// `amount * self`, rounded. `None` on overflow.
    #[must_use]
    pub fn of(self, amount: i128, rounding: Rounding) -> Option<i128> {
        mul_div(amount, i128::from(self.0), i128::from(Ratio::ONE.0), rounding)
    }

    /// Whether `part / whole <= self`, decided by cross-multiplication without a division. `whole` must not be
    /// negative; a zero `whole` is within only for a zero `part`.
    #[must_use]
    pub fn covers(self, part: i128, whole: i128) -> bool {
        match (part.checked_mul(i128::from(Ratio::ONE.0)), whole.checked_mul(i128::from(self.0))) {
            (Some(part), Some(limit)) => part <= limit,
            // What does not fit is unknown, and unknown is strict.
            (None, _) | (_, None) => false,
        }
    }

    /// `part / whole` as a ratio, rounded. `None` where `whole` is not positive or the ratio does not fit.
    #[must_use]
    pub fn of_parts(part: i128, whole: i128, rounding: Rounding) -> Option<Ratio> {
        let parts = mul_div(part, i128::from(Ratio::ONE.0), whole, rounding)?;
        i64::try_from(parts).ok().map(Ratio)
    }
}

impl Duration {
    /// No time.
    pub const ZERO: Duration = Duration(0);

    /// Whole milliseconds, saturating.
    #[must_use]
    pub const fn millis(n: i64) -> Duration {
        Duration(n.saturating_mul(1_000))
    }

    /// Whole seconds, saturating.
    #[must_use]
    pub const fn seconds(n: i64) -> Duration {
        Duration(n.saturating_mul(1_000_000))
    }

    /// Whole minutes, saturating.
    #[must_use]
    pub const fn minutes(n: i64) -> Duration {
        Duration::seconds(n.saturating_mul(60))
    }
}

impl Timestamp {
    /// Before everything.
    pub const MIN: Timestamp = Timestamp(i64::MIN);
    /// After everything.
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    /// The span from `earlier` to `self`, negative where `earlier` is later; saturating.
    #[must_use]
    pub const fn since(self, earlier: Timestamp) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }

    /// This instant moved later by `span`, saturating.
    #[must_use]
    pub const fn plus(self, span: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(span.0))
    }
}

impl Price {
    /// The absolute difference to `other`.
    #[must_use]
    pub fn distance(self, other: Price) -> i128 {
        (i128::from(self.0) - i128::from(other.0)).abs()
    }

    /// Whether the distance to `reference` is at most `limit` of `reference`.
    #[must_use]
    pub fn within(self, limit: Ratio, reference: Price) -> bool {
        // As `Ratio::covers`, but each product is of two 64-bit numbers and can't overflow: asked of every pair of
        // prices, the check would cost more than the comparison.
        let apart = i128::from(self.0.abs_diff(reference.0)) * i128::from(Ratio::ONE.0);
        apart <= i128::from(reference.0) * i128::from(limit.0)
    }

    /// The point halfway to `other`, rounded down.
    #[must_use]
    pub fn midpoint(self, other: Price) -> Price {
        Price(self.0.midpoint(other.0))
    }

    /// `self * (1 + ratio)`, rounded. `None` on overflow.
    #[must_use]
    pub fn scaled(self, ratio: Ratio, rounding: Rounding) -> Option<Price> {
        let factor = i128::from(Ratio::ONE.0) + i128::from(ratio.0);
        let scaled = mul_div(i128::from(self.0), factor, i128::from(Ratio::ONE.0), rounding)?;
        i64::try_from(scaled).ok().map(Price)
    }
}

impl Size {
    /// The number of lots without its sign; `i64::MIN` has none that fits, so the result is wider.
    #[must_use]
    pub const fn lots(self) -> u64 {
        self.0.unsigned_abs()
    }

    /// Whether trading `change` moves this position toward zero without passing it.
    #[must_use]
    pub const fn is_reduced_by(self, change: Size) -> bool {
        (0 < self.0 && change.0 < 0 || self.0 < 0 && 0 < change.0) && change.lots() <= self.lots()
    }
}

/// How a market's price unit and lot turn into money. Fixed at listing.
///
/// A price unit is `10^(price_shift - 12)` USD and a lot is `10^-lot_decimals` of base, so one lot at one price unit
/// is worth `10^(price_shift - 12 - lot_decimals)` USD and
/// `micro-USD = price * lots / 10^(6 + lot_decimals - price_shift)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    price_shift: u8,
    lot_decimals: u8,
}

impl Scale {
    /// The widest shift: a price unit of 0.001 USD.
    pub const PRICE_SHIFT_MAX: u8 = 9;
    /// The smallest lot: 10^-12 of base.
    pub const LOT_DECIMALS_MAX: u8 = 12;

    /// `None` where a digit of the product would be finer than money can be kept apart, that is where
    /// `price_shift > 6 + lot_decimals`, or where either is outside its range.
    #[must_use]
    pub const fn new(price_shift: u8, lot_decimals: u8) -> Option<Scale> {
        if price_shift <= Scale::PRICE_SHIFT_MAX
            && lot_decimals <= Scale::LOT_DECIMALS_MAX
            && price_shift <= 6 + lot_decimals
        {
            Some(Scale { price_shift, lot_decimals })
        } else {
            None
        }
    }

    /// The power of ten by which a price unit is coarser than 1e-12 USD.
    #[must_use]
    pub const fn price_shift(self) -> u8 {
        self.price_shift
    }

    /// The power of ten by which a lot is finer than one base unit.
    #[must_use]
    pub const fn lot_decimals(self) -> u8 {
        self.lot_decimals
    }

    /// How many `price * lot` products make one micro-USD.
    #[must_use]
    pub const fn products_per_micro(self) -> i128 {
        10_i128.pow((6 + self.lot_decimals - self.price_shift) as u32)
    }

    /// The signed value of `size` at `price` in micro-USD, rounded. `None` on overflow of an account's money.
    ///
    /// ```
    /// use units::{Notional, Price, Rounding, Scale, Size};
    /// let scale = Scale::new(4, 3).unwrap(); // price unit 1e-8 USD, lot 0.001
    /// // 0.002 base at 100 USD is 0.2 USD.
    /// let value = scale.notional(Price(10_000_000_000), Size(2), Rounding::Down);
    /// assert_eq!(value, Some(Notional(200_000)));
    /// ```
    #[must_use]
    pub fn notional(self, price: Price, size: Size, rounding: Rounding) -> Option<Notional> {
        let product = i128::from(price.0).checked_mul(i128::from(size.0))?;
        let micro = div(product, self.products_per_micro(), rounding)?;
        i64::try_from(micro).ok().map(Notional)
    }

    /// The price at which `size` is worth `amount`, rounded. `None` for an empty size or on overflow.
    #[must_use]
    pub fn price_of(self, amount: i128, size: Size, rounding: Rounding) -> Option<Price> {
        let product = amount.checked_mul(self.products_per_micro())?;
        let (product, lots) = if size.0 < 0 {
            (product.checked_neg()?, i128::from(size.0).checked_neg()?)
        } else {
            (product, i128::from(size.0))
        };
        i64::try_from(div(product, lots, rounding)?).ok().map(Price)
    }

    /// A price given in counts of 1e-12 USD, in this market's unit, rounded. `None` where it does not fit.
    #[must_use]
    pub fn price_from_pico(self, pico: i128, rounding: Rounding) -> Option<Price> {
        let unit = 10_i128.pow(u32::from(self.price_shift));
        i64::try_from(div(pico, unit, rounding)?).ok().map(Price)
    }

    /// A price of this market as counts of 1e-12 USD.
    #[must_use]
    pub fn price_to_pico(self, price: Price) -> i128 {
        i128::from(price.0) * 10_i128.pow(u32::from(self.price_shift))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn division_rounds_to_the_side_that_it_is_told() {
        for (a, down, up) in [(-3, -2, -1), (-2, -1, -1), (0, 0, 0), (2, 1, 1), (3, 1, 2)] {
            assert_eq!(div(a, 2, Rounding::Down), Some(down), "{a}/2 down");
            assert_eq!(div(a, 2, Rounding::Up), Some(up), "{a}/2 up");
        }
        assert_eq!(div(1, -2, Rounding::Down), None);
        assert_eq!(mul_div(i128::MAX, 2, 1, Rounding::Down), None);
    }

    #[test]
    fn within_holds_at_the_edge_and_not_one_past_it() {
        let reference = Price(10_000);
        assert!(Price(10_100).within(Ratio::percent(1), reference));
        assert!(!Price(10_101).within(Ratio::percent(1), reference));
        assert!(Price(9_900).within(Ratio::percent(1), reference));
        assert!(!Price(9_899).within(Ratio::percent(1), reference));
    }

    #[test]
    fn within_holds_at_the_ends_of_what_a_price_can_be() {
        let (low, high) = (Price(i64::MIN), Price(i64::MAX));
        assert!(high.within(Ratio::ZERO, high) && !low.within(Ratio(i64::MAX), Price(-1)));
        assert!(!low.within(Ratio::ONE, high));
        // From the lowest to the highest price is 2^64 - 1, which is more than twice the highest.
        assert!(!low.within(Ratio::percent(200), high) && low.within(Ratio(2 * Ratio::ONE.0 + 1), high));
        for (price, reference) in [(3, -5), (-5, -5), (0, 0), (7, 5), (-7, 5)] {
            for limit in [-1, 0, 1, Ratio::ONE.0, i64::MAX] {
                let (price, reference, limit) = (Price(price), Price(reference), Ratio(limit));
                let covered = limit.covers(price.distance(reference), i128::from(reference.0));
                assert_eq!(price.within(limit, reference), covered, "{price:?} {limit:?} {reference:?}");
            }
        }
    }

    #[test]
    fn an_unknown_share_is_never_covered() {
        assert!(!Ratio::ONE.covers(i128::MAX, 1));
        assert!(!Ratio::ONE.covers(1, 0));
        assert!(Ratio::ONE.covers(0, 0));
    }

    #[test]
    fn a_scale_keeps_eighty_eight_and_four_hundred_thousandths_apart() {
        let scale = Scale::new(0, 0).unwrap();
        let high = scale.price_from_pico(88_350_000_000_000, Rounding::Down).unwrap();
        let low = scale.price_from_pico(40_000_000, Rounding::Down).unwrap();
        assert_eq!((high, low), (Price(88_350_000_000_000), Price(40_000_000)));
        assert_eq!(scale.notional(low, Size(1_000_000), Rounding::Down), Some(Notional(40_000_000)));
        assert_eq!(scale.price_to_pico(low), 40_000_000);
    }

    #[test]
    fn a_scale_that_would_lose_digits_of_money_is_refused() {
        assert!(Scale::new(6, 0).is_some());
        assert!(Scale::new(7, 0).is_none());
        assert!(Scale::new(9, 3).is_some());
        assert!(Scale::new(10, 12).is_none());
        assert!(Scale::new(0, 13).is_none());
    }

    #[test]
    fn price_of_undoes_notional() {
        let scale = Scale::new(4, 6).unwrap();
        let size = Size(-1_500_000);
        let value = scale.notional(Price(9_876_543_210), size, Rounding::Down).unwrap();
        let back = scale.price_of(i128::from(value.0), size, Rounding::Down).unwrap();
        assert!(back.distance(Price(9_876_543_210)) <= 67, "{back:?}");
        assert_eq!(scale.price_of(1, Size(0), Rounding::Down), None);
    }

    #[test]
    fn money_that_does_not_fit_is_none() {
        let scale = Scale::new(0, 0).unwrap();
        assert_eq!(scale.notional(Price(i64::MAX), Size(i64::MAX), Rounding::Down), None);
        assert_eq!(Price(i64::MAX).scaled(Ratio::ONE, Rounding::Down), None);
    }

    #[test]
    fn reducing_stops_at_zero() {
        assert!(Size(5).is_reduced_by(Size(-5)));
        assert!(!Size(5).is_reduced_by(Size(-6)));
        assert!(!Size(5).is_reduced_by(Size(1)));
        assert!(!Size(0).is_reduced_by(Size(1)));
        assert!(Size(i64::MIN).is_reduced_by(Size(i64::MAX)));
    }
}
