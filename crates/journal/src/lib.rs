//! What happened, durable and in order: hash-chained segments of records, and snapshots to go on from.
//!
//! A record is bytes at a height. Its hash covers the bytes, the height and the record before it, so whoever knows one hash knows that
//! nothing before it was changed. Records are appended in groups, each with one write and one sync ([`Journal::commit`]); what a
//! commit has returned for survives the loss of power. A write or a sync that fails is never tried again: the journal is dead after it, and so
//! should be whoever holds it.
//!
//! [`open`] finds the newest good snapshot and gives the records after it, one at a time. Bytes at the end that a crash may have left, since
//! nothing after them was written in the knowledge that they were durable, are cut. Anything else that is not as it was written is
//! refused with its place: it takes a person to say what is lost.
//!
//! What stands in a record or a snapshot, the journal does not know.

mod bundle;
mod fault;
pub mod merkle;
mod open;
mod record;
mod snapshot;
mod storage;
mod writer;

pub use bundle::{Unpacked, VERIFIER, pack, unpack};
pub use fault::{Damage, Fault, Kind};
pub use open::{Cut, Opened, Record, Start, open};
pub use record::{Entry, Head, PAYLOAD_MAX};
pub use snapshot::Snapshot;
pub use storage::{Append, Crash, FileStorage, FilesRead, MemoryStorage, Storage, Trouble};
pub use writer::{Journal, Options};
