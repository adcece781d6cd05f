//! What can go wrong with a node.

use crate::receipt::BadCheckpoint;
use journal::{Fault, Kind};
use kernel::snapshot::SnapshotError;

/// Why a node can't begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum NodeFault {
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] Fault),
    /// What the snapshot at a height holds is no state.
    #[error("the snapshot behind height {height}: {error}")]
    Snapshot {
        /// That height.
        height: u64,
        /// What is wrong with it.
        error: SnapshotError,
    },
    /// There are records, and nothing that they go on from.
    #[error("the journal has records and no snapshot from which they go on; restore snapshots from a copy")]
    NoBeginning,
    /// What a snapshot holds belongs to another height.
    #[error("the snapshot behind height {height} holds the state or the log of another height")]
    Misplaced {
        /// That height.
        height: u64,
    },
    /// What a record or a snapshot holds is not what a node writes.
    #[error("the {what} at height {height} is no batch or state that a node wrote: {error}")]
    Undecodable {
        /// A record or a snapshot.
        what: &'static str,
        /// That height.
        height: u64,
        /// What is wrong with it.
        error: codec::DecodeError,
    },
    /// A batch does not follow from the one before.
    #[error("the batch at height {height} says {field} {found}, where {expected} follows from those before it")]
    OutOfOrder {
        /// That height.
        height: u64,
        /// Of what.
        field: &'static str,
        /// What it says.
        found: String,
        /// What follows.
        expected: String,
    },
    /// Records that are to be decided again were decided by other rules.
    #[error(
        "the record at height {height} was decided by the rules {found}, and these are {ours}: start the release that wrote it, \
         let it stop by itself, which leaves a snapshot, and start this one after it"
    )]
    OtherRules {
        /// That height.
        height: u64,
        /// Theirs.
        found: String,
        /// Those of this build.
        ours: String,
    },
    /// The journal is another venue's, or the same under another policy.
    #[error(
        "the journal is of other markets, another policy or other keys: go on with those, or use another directory"
    )]
    OtherVenue,
    /// A checkpoint that nobody who is trusted signed, or that is no checkpoint.
    #[error("the checkpoint of height {height}: {error}")]
    Checkpoint {
        /// That height.
        height: u64,
        /// What is wrong with it.
        error: BadCheckpoint,
    },
    /// A signed checkpoint says something else than the records lead to.
    #[error("the checkpoint of height {height} states {field} {found}, and the records lead to {expected}")]
    Contradicted {
        /// That height.
        height: u64,
        /// Of what.
        field: &'static str,
        /// What it states.
        found: String,
        /// What follows.
        expected: String,
    },
    /// A statement in a batch that the key which it names did not sign.
    #[error("the batch at height {height} has at {input} a statement that its key did not sign")]
    Unsigned {
        /// That height.
        height: u64,
        /// Its place in the batch.
        input: usize,
    },
    /// The venue's side has carried out what this journal does not lead to: it is older than it was, or another one.
    #[error(
        "the venue's side has carried out height {height} with the record {expected}, and this journal has {found}: it was put back to an older state, or is another venue's"
    )]
    OtherHistory {
        /// The height that it has carried out.
        height: u64,
        /// What the journal holds there.
        found: String,
        /// The record that was carried out.
        expected: String,
    },
    /// A receipt can't be shown to be in a log that was signed.
    #[error("height {height}: {why}")]
    Unproven {
        /// Its height.
        height: u64,
        /// What is missing.
        why: &'static str,
    },
    /// A snapshot is not what its records lead to.
    #[error("the snapshot behind height {height} has the state {found}, and the records before it lead to {expected}")]
    Diverged {
        /// That height.
        height: u64,
        /// The hash that it has.
        found: String,
        /// The hash that follows.
        expected: String,
    },
}

impl NodeFault {
    /// Whether it makes sense to try again.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            NodeFault::Journal(fault) => fault.kind(),
            NodeFault::Snapshot { .. }
            | NodeFault::NoBeginning
            | NodeFault::Undecodable { .. }
            | NodeFault::OutOfOrder { .. }
            | NodeFault::OtherRules { .. }
            | NodeFault::OtherVenue
            | NodeFault::Misplaced { .. }
            | NodeFault::Unsigned { .. }
            | NodeFault::Unproven { .. }
            | NodeFault::OtherHistory { .. }
            | NodeFault::Checkpoint { .. }
            | NodeFault::Contradicted { .. }
            | NodeFault::Diverged { .. } => Kind::Permanent,
        }
    }
}
