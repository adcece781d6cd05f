//! Numbers to agree with: our own cases computed a second time, and those of others.

#[allow(missing_docs)]
#[path = "../../../kernel/tests/common/mod.rs"]
mod common;
mod data;
mod peers;
mod recompute;
