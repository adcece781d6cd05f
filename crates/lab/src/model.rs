//! Random traffic for the kernel.

pub mod dice;
pub mod traffic;
