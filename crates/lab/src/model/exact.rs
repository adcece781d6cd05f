//! Exact rationals, and the kernel's integers as such.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive};
use units::{Price, Ratio, Size};

/// An exact rational.
pub(super) type Q = BigRational;

/// An integer.
pub(super) fn q(integer: impl Into<BigInt>) -> Q {
    Q::from_integer(integer.into())
}

/// A ratio.
pub(super) fn part(ratio: Ratio) -> Q {
    Q::new(BigInt::from(ratio.0), BigInt::from(Ratio::ONE.0))
}

/// The largest integer that is not above.
///
/// # Panics
/// Where it needs more than 128 bits: no number of a plausible venue does.
pub(super) fn floor(value: &Q) -> i128 {
    value.floor().to_integer().to_i128().expect("a plausible venue's numbers fit into 128 bits")
}

/// The smallest integer that is not below.
pub(super) fn ceil(value: &Q) -> i128 {
    -floor(&-value.clone())
}

/// Whether two prices are no farther apart than `limit` of the second.
pub(super) fn within(price: Price, limit: Ratio, reference: Price) -> bool {
    (q(price.0) - q(reference.0)).abs() <= part(limit) * q(reference.0)
}

/// The signed value of `size` at `price` in micro-USD, exactly.
pub(super) fn worth(price: Price, size: Size, per_micro: i128) -> Q {
    Q::new(BigInt::from(price.0) * BigInt::from(size.0), BigInt::from(per_micro))
}
