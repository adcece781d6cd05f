//! The venue's side of a node.
//!
//! ```text
//! node's outbox → HttpSink → [the network] → serve → Guard → what is permitted → the venue's matching engine
//! ```
//!
//! A [`Guard`] stands beside a venue and is asked before anything is matched. It carries each delivery out once, in order, and keeps it
//! before it says so; it gives each life of a node an epoch and obeys the last; and where that node does not renew its lease, markets
//! are at least in `ReduceOnly` until it does: nobody has to reach anybody for that.

mod client;
mod log;
mod server;
mod state;

pub use client::HttpSink;
pub use server::{Unserved, serve};
pub use state::{Broken, Guard, InForce, Lease};
