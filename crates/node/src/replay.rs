//! Deciding again what a journal holds.

use crate::fault::NodeFault;
use journal::{Cut, Head, Record, Snapshot, Start, Storage};
use kernel::Kernel;
use kernel::state::State;
use protocol::{Batch, Effect, VenueParams};

/// The digest of the rules that this build decides by: of the sources of all crates that decide.
#[must_use]
pub fn rules() -> [u8; 32] {
    const HEX: &[u8] = env!("SEAWALL_RULES").as_bytes();
    let digit = |place: usize| match HEX.get(place) {
        Some(digit @ b'0'..=b'9') => digit - b'0',
        Some(digit @ b'a'..=b'f') => digit - b'a' + 10,
        Some(_) | None => 0,
    };
    std::array::from_fn(|byte| digit(byte * 2) << 4 | digit(byte * 2 + 1))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A kernel that follows records.
pub(crate) struct Replay {
    kernel: Kernel,
    head: Head,
}

impl Replay {
    pub(crate) fn of(snapshot: &Snapshot) -> Result<Replay, NodeFault> {
        let height = snapshot.head.height;
        let state = State::from_snapshot(&snapshot.payload).map_err(|error| NodeFault::Snapshot { height, error })?;
        follows("height", height, &state.height, &height, u64::to_string)?;
        Ok(Replay { kernel: Kernel::resume(state), head: snapshot.head })
    }

    pub(crate) fn step(&mut self, record: &Record, effects: &mut Vec<Effect>) -> Result<Batch, NodeFault> {
        let height = record.head.height;
        if record.rules != rules() {
            return Err(NodeFault::OtherRules { height, found: hex(&record.rules), ours: hex(&rules()) });
        }
        let decoded = codec::from_bytes(&record.payload);
        let batch: Batch = decoded.map_err(|error| NodeFault::Undecodable { height, error })?;
        follows("height", height, &batch.height, &(self.head.height + 1), u64::to_string)?;
        follows("the seed", height, &batch.seed, &self.head.hash, |seed| hex(seed))?;
        let (at, before) = (batch.at.0, self.kernel.state().at.0);
        follows("the time", height, &at, &at.clamp(before, kernel::kernel::AT_MAX.0), i64::to_string)?;
        self.kernel.apply(&batch, effects);
        self.head = record.head;
        Ok(batch)
    }

    pub(crate) fn params(&self) -> VenueParams {
        self.kernel.state().params()
    }

    pub(crate) fn into_kernel(self) -> Kernel {
        self.kernel
    }
}

fn follows<T: PartialEq>(
    field: &'static str,
    height: u64,
    found: &T,
    expected: &T,
    said: impl Fn(&T) -> String,
) -> Result<(), NodeFault> {
    if found == expected {
        return Ok(());
    }
    Err(NodeFault::OutOfOrder { height, field, found: said(found), expected: said(expected) })
}

/// What deciding everything again came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Batches that were decided again.
    pub batches: u64,
    /// Inputs in them.
    pub inputs: u64,
    /// Effects that they have.
    pub effects: u64,
    /// Snapshots that are what their records lead to.
    pub snapshots: u64,
    /// Behind the last record.
    pub head: Head,
    /// The state's hash there.
    pub state: [u8; 32],
    /// What a crash left at the end.
    pub cut: Option<Cut>,
}

/// Decides everything again that a journal holds, from its oldest snapshot on: the chain of hashes is whole, each batch follows from the
/// one before, and each later snapshot is what the records before it lead to. Every batch is shown to `observe`, with its effects.
///
/// # Errors
/// Whatever is not so, with its place.
pub fn verify<S: Storage>(storage: S, observe: &mut dyn FnMut(&Batch, &[Effect])) -> Result<Verified, NodeFault> {
    let mut opened = journal::open(storage, Start::Oldest)?;
    let Some(first) = opened.snapshot.take() else { return Err(NodeFault::NoBeginning) };
    let mut replay = Replay::of(&first)?;
    let (head, state) = (first.head, replay.kernel.state().hash());
    let mut found = Verified { batches: 0, inputs: 0, effects: 0, snapshots: 1, head, state, cut: None };
    let mut effects = Vec::new();
    while let Some(record) = opened.next_record()? {
        let batch = replay.step(&record, &mut effects)?;
        found.batches += 1;
        found.inputs += batch.inputs.len() as u64;
        found.effects += effects.len() as u64;
        observe(&batch, &effects);
        effects.clear();
        let Some(snapshot) = opened.snapshot_behind(record.head)? else { continue };
        found.snapshots += 1;
        let (state, expected) = (Replay::of(&snapshot)?.kernel.state().hash(), replay.kernel.state().hash());
        if snapshot.head != record.head || state != expected {
            let height = record.head.height;
            return Err(NodeFault::Diverged { height, found: hex(&state), expected: hex(&expected) });
        }
    }
    (found.head, found.state, found.cut) = (opened.head(), replay.kernel.state().hash(), opened.cut().cloned());
    Ok(found)
}
