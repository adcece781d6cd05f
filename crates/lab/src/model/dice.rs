//! Random numbers that are the same on every machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A stream of random numbers that follows from its seed alone.
#[derive(Clone, Debug)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// The stream of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Dice {
        Dice(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `end`; zero where `end` is zero. The bias of the remainder is below `end / 2^64`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.bits() % end.max(1)
    }

    /// A number in `low ..= high`.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = high.abs_diff(low).saturating_add(1);
        low.wrapping_add_unsigned(self.below(span))
    }

    /// True once in `n`.
    pub fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// True in `percent` of a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of the items.
    pub fn one_of<T: Copy>(&mut self, items: &[T]) -> Option<T> {
        let place = usize::try_from(self.below(items.len() as u64)).ok()?;
        items.get(place).copied()
    }

    /// A positive number of any magnitude up to `max`, small ones as often as large ones.
    pub fn magnitude(&mut self, max: i64) -> i64 {
        let bits = u64::from(max.max(1).ilog2()) + 1;
        let top = 1_i64 << self.below(bits).min(62);
        self.between(top / 2 + 1, top).clamp(1, max.max(1))
    }
}
