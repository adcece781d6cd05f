//! Replays a feed through the kernel, the embedded venue and the baselines.

pub mod outcome;
