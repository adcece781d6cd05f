//! Exact rationals, and the kernel's integers as such.
//!
//! Nearly every number here is a fraction of two integers of 128 bits, and reducing fractions of big integers was nearly
//! all that the model did with its time. So [`Q`] keeps a small fraction as it comes and reduces it only where a step does
//! not fit. What doesn't fit then either is reckoned as a [`BigRational`]: no step ever rounds.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive};
use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};
use units::{Price, Ratio, Size};

/// An exact rational.
#[derive(Clone)]
pub(super) struct Q(Form);

#[derive(Clone)]
enum Form {
    /// Numerator, which is never `MIN` so that every sign has its opposite, over a positive denominator. Not reduced.
    Small(i128, i128),
    /// What needs more, and only that.
    Big(Box<BigRational>),
}

use Form::{Big, Small};

/// The largest common divisor of a number and a positive one: Stein's algorithm.
fn common(a: u128, b: u128) -> u128 {
    if a == 0 {
        return b;
    }
    let twos = (a | b).trailing_zeros();
    let (mut a, mut b) = (a >> a.trailing_zeros(), b >> b.trailing_zeros());
    while a != b {
        if a < b {
            std::mem::swap(&mut a, &mut b);
        }
        a -= b;
        a >>= a.trailing_zeros();
    }
    a << twos
}

/// The same fraction in lowest terms.
fn lowest(num: i128, den: i128) -> (i128, i128) {
    // A divisor of a positive `i128` is one.
    let divisor = common(num.unsigned_abs(), den.unsigned_abs()) as i128;
    (num / divisor, den / divisor)
}

/// A fraction, where it has a small form.
fn small(num: Option<i128>, den: Option<i128>) -> Option<Form> {
    match (num?, den?) {
        (i128::MIN, _) | (_, i128::MIN) | (_, 0) => None,
        (num, den) if den < 0 => Some(Small(-num, -den)),
        (num, den) => Some(Small(num, den)),
    }
}

fn sum(a: i128, b: i128, c: i128, d: i128) -> Option<Form> {
    if b == d {
        return small(a.checked_add(c), Some(b));
    }
    small(a.checked_mul(d)?.checked_add(c.checked_mul(b)?), b.checked_mul(d))
}

fn product(a: i128, b: i128, c: i128, d: i128) -> Option<Form> {
    small(a.checked_mul(c), b.checked_mul(d))
}

fn quotient(a: i128, b: i128, c: i128, d: i128) -> Option<Form> {
    small(a.checked_mul(d), b.checked_mul(c))
}

fn order(a: i128, b: i128, c: i128, d: i128) -> Option<Ordering> {
    if b == d { Some(a.cmp(&c)) } else { Some(a.checked_mul(d)?.cmp(&c.checked_mul(b)?)) }
}

impl Q {
    fn big(&self) -> BigRational {
        match &self.0 {
            Small(num, den) => BigRational::new(BigInt::from(*num), BigInt::from(*den)),
            Big(big) => BigRational::clone(big),
        }
    }

    fn of_big(big: BigRational) -> Q {
        Q(small(big.numer().to_i128(), big.denom().to_i128()).unwrap_or_else(|| Big(Box::new(big))))
    }

    /// The result of a step, as it comes, in lowest terms or in big integers: whatever fits first.
    fn step<T>(
        &self,
        other: &Q,
        fits: impl Fn(i128, i128, i128, i128) -> Option<T>,
        big: impl FnOnce(BigRational, BigRational) -> T,
    ) -> T {
        let found = match (&self.0, &other.0) {
            (Small(a, b), Small(c, d)) => fits(*a, *b, *c, *d).or_else(|| {
                let ((a, b), (c, d)) = (lowest(*a, *b), lowest(*c, *d));
                fits(a, b, c, d)
            }),
            (Small(..) | Big(_), Small(..) | Big(_)) => None,
        };
        found.unwrap_or_else(|| big(self.big(), other.big()))
    }

    pub(super) fn abs(&self) -> Q {
        if *self < q(0) { -self } else { self.clone() }
    }

    pub(super) fn is_positive(&self) -> bool {
        match &self.0 {
            Small(num, _) => 0 < *num,
            Big(big) => big.is_positive(),
        }
    }

    fn floor(&self) -> Option<i128> {
        match &self.0 {
            Small(num, 1) => Some(*num),
            Small(num, den) => Some(num.div_euclid(*den)),
            Big(big) => big.floor().to_integer().to_i128(),
        }
    }
}

macro_rules! arithmetic {
    ($($operation:ident $function:ident $small:ident;)*) => {$(
        impl $operation<&Q> for &Q {
            type Output = Q;
            fn $function(self, other: &Q) -> Q {
                Q(self.step(other, $small, |one, other| Q::of_big(one.$function(other)).0))
            }
        }

        impl $operation<Q> for &Q {
            type Output = Q;
            fn $function(self, other: Q) -> Q {
                self.$function(&other)
            }
        }

        impl $operation<&Q> for Q {
            type Output = Q;
            fn $function(self, other: &Q) -> Q {
                (&self).$function(other)
            }
        }

        impl $operation<Q> for Q {
            type Output = Q;
            fn $function(self, other: Q) -> Q {
                (&self).$function(&other)
            }
        }
    )*};
}

arithmetic! {
    Add add sum;
    Mul mul product;
    Div div quotient;
}

impl Sub<&Q> for &Q {
    type Output = Q;
    fn sub(self, other: &Q) -> Q {
        self + -other
    }
}

impl Sub<Q> for &Q {
    type Output = Q;
    fn sub(self, other: Q) -> Q {
        self + -other
    }
}

impl Sub<&Q> for Q {
    type Output = Q;
    fn sub(self, other: &Q) -> Q {
        self + -other
    }
}

impl Sub<Q> for Q {
    type Output = Q;
    fn sub(self, other: Q) -> Q {
        self + -other
    }
}

impl AddAssign<Q> for Q {
    fn add_assign(&mut self, other: Q) {
        *self = &*self + other;
    }
}

impl Neg for &Q {
    type Output = Q;
    fn neg(self) -> Q {
        match &self.0 {
            Small(num, den) => Q(Small(-num, *den)),
            Big(big) => Q::of_big(-BigRational::clone(big)),
        }
    }
}

impl Neg for Q {
    type Output = Q;
    fn neg(self) -> Q {
        -&self
    }
}

impl Ord for Q {
    fn cmp(&self, other: &Q) -> Ordering {
        self.step(other, order, |one, other| one.cmp(&other))
    }
}

impl PartialOrd for Q {
    fn partial_cmp(&self, other: &Q) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Q {
    fn eq(&self, other: &Q) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Q {}

impl fmt::Display for Q {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.big().fmt(f)
    }
}

impl fmt::Debug for Q {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `num / den`.
fn fraction(num: i128, den: i128) -> Q {
    let whole = |integer: i128| BigRational::from_integer(integer.into());
    Q(small(Some(num), Some(den)).unwrap_or_else(|| Q::of_big(whole(num) / whole(den)).0))
}

/// An integer.
pub(super) fn q(integer: impl Into<i128>) -> Q {
    fraction(integer.into(), 1)
}

/// A ratio.
pub(super) fn part(ratio: Ratio) -> Q {
    fraction(ratio.0.into(), Ratio::ONE.0.into())
}

/// The largest integer that is not above.
///
/// # Panics
/// Where it needs more than 128 bits: no number of a plausible venue does.
pub(super) fn floor(value: &Q) -> i128 {
    value.floor().expect("a plausible venue's numbers fit into 128 bits")
}

/// The smallest integer that is not below.
pub(super) fn ceil(value: &Q) -> i128 {
    -floor(&-value)
}

/// Whether two prices are no farther apart than `limit` of the second.
pub(super) fn within(price: Price, limit: Ratio, reference: Price) -> bool {
    // An `i64` times another, or a difference of two times 10^12, always fits.
    let apart = (i128::from(price.0) - i128::from(reference.0)).abs();
    apart * i128::from(Ratio::ONE.0) <= i128::from(limit.0) * i128::from(reference.0)
}

/// The signed value of `size` at `price` in micro-USD, exactly.
pub(super) fn worth(price: Price, size: Size, per_micro: i128) -> Q {
    fraction(i128::from(price.0) * i128::from(size.0), per_micro)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(num: i128, den: i128) -> BigRational {
        BigRational::new(num.into(), den.into())
    }

    /// The value of `ours` is `plain`, and it is small if it can be.
    fn check(ours: &Q, plain: &BigRational) {
        assert_eq!(&ours.big(), plain);
        assert_eq!(ours.to_string(), plain.to_string());
        let fits = small(plain.numer().to_i128(), plain.denom().to_i128()).is_some();
        assert_eq!(matches!(ours.0, Small(..)), fits, "{plain}");
        if let Small(num, den) = ours.0 {
            assert!(num != i128::MIN && 0 < den, "{num}/{den}");
        }
    }

    /// Ends, what is next to them, roots of the ends, powers of two and ten, small numbers, and anything.
    fn integer() -> impl Strategy<Value = i128> {
        let signed = |magnitude: i128| prop_oneof![Just(magnitude), Just(magnitude.wrapping_neg())];
        let near = |middle: i128| (-2..=2_i128).prop_map(move |off| middle.saturating_add(off));
        prop_oneof![
            2 => near(i128::MAX),
            2 => near(i128::MIN),
            2 => near(0),
            2 => near(i64::MAX.into()),
            1 => near(13_043_817_825_332_782_212), // The root of MAX.
            3 => (0_u32..127).prop_flat_map(move |power| near(1 << power)),
            3 => (0_u32..39).prop_map(|power| 10_i128.pow(power)),
            2 => -1_000_000..=1_000_000_i128,
            2 => any::<i64>().prop_map(i128::from),
            4 => any::<i128>(),
        ]
        .prop_flat_map(signed)
    }

    fn divisor() -> impl Strategy<Value = i128> {
        integer().prop_map(|integer| if integer == 0 { 1 } else { integer })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn every_operation_is_exact(a in integer(), b in divisor(), c in integer(), d in divisor()) {
            let (x, y) = (fraction(a, b), fraction(c, d));
            let (p, r) = (plain(a, b), plain(c, d));
            check(&x, &p);
            check(&(&x + &y), &(&p + &r));
            check(&(&x - &y), &(&p - &r));
            check(&(&x * &y), &(&p * &r));
            check(&-&x, &-&p);
            check(&x.abs(), &p.abs());
            if c != 0 {
                check(&(&x / &y), &(&p / &r));
            }
            let mut more = x.clone();
            more += y.clone();
            check(&more, &(&p + &r));
            prop_assert_eq!(x.cmp(&y), p.cmp(&r));
            prop_assert_eq!(x == y, p == r);
            prop_assert_eq!(x.is_positive(), p.is_positive());
            prop_assert_eq!(x.floor(), p.floor().to_integer().to_i128());
            prop_assert_eq!((-&x).floor(), (-p.ceil()).to_integer().to_i128());
        }

        #[test]
        fn a_long_sum_is_exact(steps in prop::collection::vec((0..4_u8, integer(), divisor()), 1..12)) {
            let (mut ours, mut theirs) = (q(1), plain(1, 1));
            for (operation, num, den) in steps {
                let (y, r) = (fraction(num, den), plain(num, den));
                (ours, theirs) = match operation {
                    0 => (ours + y, theirs + r),
                    1 => (ours - y, theirs - r),
                    2 => (ours * y, theirs * r),
                    _ => if num == 0 { (ours, theirs) } else { (ours / y, theirs / r) },
                };
                check(&ours, &theirs);
                prop_assert_eq!(ours.floor(), theirs.floor().to_integer().to_i128());
            }
        }

        #[test]
        fn an_equal_fraction_is_equal(num in any::<i32>(), den in 1..i32::MAX, times in 1..i128::MAX >> 32) {
            let (num, den) = (i128::from(num), i128::from(den));
            prop_assert_eq!(fraction(num * times, den * times), fraction(num, den));
            prop_assert!(fraction(num * times, den * times) < fraction(num * times + 1, den * times));
        }
    }

    #[test]
    #[should_panic(expected = "denominator == 0")]
    fn nothing_is_divided_by_zero() {
        let _ = q(1) / q(0);
    }

    #[test]
    fn integers_round_as_on_the_number_line() {
        for (num, den, low, high) in [(7, 2, 3, 4), (-7, 2, -4, -3), (7, -2, -4, -3), (6, 2, 3, 3), (0, 5, 0, 0)] {
            let value = fraction(num, den);
            assert_eq!((floor(&value), ceil(&value)), (low, high), "{num}/{den}");
        }
    }
}
