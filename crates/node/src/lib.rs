//! One sequence of batches, journalled and decided side by side, whose effects leave once their cause is durable.
//!
//! ```text
//! inputs → Node::turn → batch → journal (a thread of its own) ∥ kernel
//!                                   ↓ durable                    ↓ effects, waiting
//!                                   └──────── Node::released ────┘ → embedded venue → inputs of the next turn
//! ```
//!
//! The node has no clock: whoever drives it says what time it is. What it knows beside the journal follows from the journal: after a
//! stop, however it came about, [`Node::open`] goes on from the newest good snapshot and the records behind it, and the venue's
//! book is made anew from the orders that the kernel knows. What the venue did and nobody wrote down did not happen: it is in this process.

mod fault;
mod node;
pub mod outbox;
mod plan;
mod receipt;
mod replay;
pub mod statement;
mod writer;

pub use fault::NodeFault;
pub use node::{Config, Decided, Node, Recovered};
pub use outbox::{Delivered, Outbox, Way};
pub use plan::{Accounts, Check, Measured, Plan, Resume};
pub use receipt::{BadCheckpoint, Checkpoint, Kept, Proof, Receipt, Signer, Verifier};
pub use replay::{Undelivered, Verified, explain, prove, rules, shadow, verify};
pub use statement::{BadStatement, Signed};
