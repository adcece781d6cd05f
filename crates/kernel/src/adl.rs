//! The allocation: an exact amount over holders, pro rata, nobody beyond a cap.
//!
//! Capped pro rata is the only rule under caps that gains nothing from splitting an account, does not depend on the
//! unit, and takes no more from who has less (Chitra, arXiv 2512.01112). Integers are given by largest remainder.

use alloc::vec::Vec;
use units::{Rounding, div};

/// One holder's claim on being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Pro rata to this; not negative.
    pub weight: i128,
    /// Never more than this; not negative.
    pub cap: i128,
}

/// Splits `total` over `shares`: pro rata to weight, at most each cap, adding up to the smaller of `total` and the sum
/// of the caps of those that have weight. Ties of remainders go to the earlier share.
///
/// Weights and caps up to 10^18 each are exact; a product that does not fit counts as capped, so that nobody is asked
/// for more than the cap.
///
/// ```
/// use kernel::adl::{allocate, Share};
/// let share = |weight, cap| Share { weight, cap };
/// assert_eq!(allocate(10, &[share(1, 100), share(2, 100), share(1, 1)]), [3, 6, 1]);
/// ```
#[must_use]
pub fn allocate(total: i128, shares: &[Share]) -> Vec<i128> {
    let mut given: Vec<i128> = shares.iter().map(|_| 0).collect();
    let mut order: Vec<usize> = (0..shares.len()).filter(|i| shares[*i].weight > 0 && shares[*i].cap > 0).collect();
    // Who reaches the cap first comes first: cap_a / weight_a < cap_b / weight_b.
    order.sort_by(|a, b| {
        let left = shares[*a].cap.saturating_mul(shares[*b].weight);
        let right = shares[*b].cap.saturating_mul(shares[*a].weight);
        left.cmp(&right).then(a.cmp(b))
    });
    let mut left = total.max(0);
    let mut weight: i128 = order.iter().map(|i| shares[*i].weight).sum();
    let mut uncapped = order.as_slice();
    while let Some((first, rest)) = uncapped.split_first() {
        let share = shares[*first];
        let fair = left.saturating_mul(share.weight);
        if fair < share.cap.saturating_mul(weight) {
            break;
        }
        given[*first] = share.cap.min(left);
        left -= given[*first];
        weight -= share.weight;
        uncapped = rest;
    }
    let mut remainders: Vec<(i128, usize)> = Vec::with_capacity(uncapped.len());
    let mut handed_out = 0;
    for i in uncapped {
        let fair = left.saturating_mul(shares[*i].weight);
        given[*i] = div(fair, weight, Rounding::Down).unwrap_or(0);
        handed_out += given[*i];
        remainders.push((fair - given[*i] * weight, *i));
    }
    remainders.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut over = left - handed_out;
    for (_, i) in remainders {
        if over == 0 {
            break;
        }
        // Below the cap by construction: the fair share is below it, so its floor is at least one lower.
        if given[i] < shares[i].cap {
            given[i] += 1;
            over -= 1;
        }
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(total: i128, shares: &[(i128, i128)], expected: &[i128]) {
        let shares: Vec<Share> = shares.iter().map(|(weight, cap)| Share { weight: *weight, cap: *cap }).collect();
        assert_eq!(allocate(total, &shares), expected, "{total} over {shares:?}");
    }

    #[test]
    fn an_exact_amount_is_split_pro_rata_within_caps() {
        check(100, &[(1, 1_000), (3, 1_000)], &[25, 75]);
        check(100, &[(1, 1_000), (3, 60)], &[40, 60]);
        check(100, &[(1, 20), (3, 60)], &[20, 60]);
        check(0, &[(1, 20)], &[0]);
        check(5, &[], &[]);
        check(7, &[(0, 100), (1, 100)], &[0, 7]);
    }

    #[test]
    fn remainders_go_to_the_largest_and_then_to_the_first() {
        check(1, &[(1, 9), (1, 9), (1, 9)], &[1, 0, 0]);
        check(2, &[(1, 9), (1, 9), (1, 9)], &[1, 1, 0]);
        check(10, &[(1, 9), (2, 9), (4, 9)], &[1, 3, 6]);
    }

    #[test]
    fn a_cap_that_is_exactly_the_fair_share_is_given() {
        check(100, &[(1, 50), (1, 50)], &[50, 50]);
        check(100, &[(1, 49), (1, 50)], &[49, 50]);
        check(100, &[(1, 49), (1, 51)], &[49, 51]);
    }
}
