//! The unit that is journalled, applied and agreed on.

use crate::input::Input;
use alloc::vec::Vec;
use units::Timestamp;

/// Inputs that are decided together.
///
/// Time enters decisions through `at` and in no other way. `seed` is the hash of the previous certified batch, so
/// that nobody whose input is in this batch could aim at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// One more than the previous batch's.
    pub height: u64,
    /// The sequencer's time; it never goes back.
    pub at: Timestamp,
    /// Breaks ties in this batch.
    pub seed: [u8; 32],
    /// As they arrived. Where one stands decides nothing but whose story it goes on with: see `apply` of the kernel.
    pub inputs: Vec<Input>,
}
