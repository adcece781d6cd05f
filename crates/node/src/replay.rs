//! Deciding again what a journal holds.

use crate::fault::NodeFault;
use crate::node::Decided;
use crate::plan::Restrictions;
use crate::receipt::{BadCheckpoint, Kept, Log, Proof, Receipt, Verifier};
use crate::statement::is_signed;
use journal::merkle::{self, Hash};
use journal::{Cut, Head, Opened, Record, Snapshot, Start, Storage};
use kernel::Kernel;
use port::Standing;
use port::words::hex;
use protocol::{Batch, Effect, Input};
use std::sync::mpsc::{SyncSender, sync_channel};

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

/// A kernel that follows records, and writes down again what it decides.
pub(crate) struct Replay {
    kernel: Kernel,
    log: Log,
    head: Head,
    /// Of the last record.
    receipt: Option<Receipt>,
    /// Whether it follows records of other rules, too.
    is_shadow: bool,
}

impl Replay {
    pub(crate) fn of(snapshot: &Snapshot) -> Result<Replay, NodeFault> {
        let (tree, state) = Kept::read(snapshot)?;
        let log = Log::new(tree, &state.params());
        Ok(Replay { kernel: Kernel::resume(state), log, head: snapshot.head, receipt: None, is_shadow: false })
    }

    pub(crate) fn step(&mut self, record: &Record, effects: &mut Vec<Effect>) -> Result<Batch, NodeFault> {
        let batch = decoded(record, self.is_shadow)?;
        self.follow(record.head, batch, effects)
    }

    /// Decides the batch of a record that ends with `head`.
    fn follow(&mut self, head: Head, batch: Batch, effects: &mut Vec<Effect>) -> Result<Batch, NodeFault> {
        effects.clear();
        let height = head.height;
        follows("height", height, &batch.height, &(self.head.height + 1), u64::to_string)?;
        follows("the seed", height, &batch.seed, &self.head.hash, |seed| hex(seed))?;
        let (at, before) = (batch.at.0, self.kernel.state().at.0);
        follows("the time", height, &at, &at.clamp(before, kernel::kernel::AT_MAX.0), i64::to_string)?;
        let governance = &self.kernel.state().governance;
        let forged = |input: &Input| matches!(input, Input::Statement(said) if !is_signed(said, governance));
        if let Some(input) = batch.inputs.iter().position(forged) {
            return Err(NodeFault::Unsigned { height, input });
        }
        self.kernel.apply(&batch, effects);
        self.receipt = Some(self.log.push(head, effects, self.kernel.state()));
        self.head = head;
        Ok(batch)
    }

    /// The hash of the parameters with which the venue began.
    pub(crate) fn venue(&self) -> [u8; 32] {
        self.kernel.state().governance.venue
    }

    pub(crate) fn into_parts(self) -> (Kernel, Log) {
        (self.kernel, self.log)
    }
}

/// The batch of a record, which these rules wrote unless `of_any` will do.
fn decoded(record: &Record, of_any: bool) -> Result<Batch, NodeFault> {
    let height = record.head.height;
    if record.rules != rules() && !of_any {
        return Err(NodeFault::OtherRules { height, found: hex(&record.rules), ours: hex(&rules()) });
    }
    codec::from_bytes(&record.payload).map_err(|error| NodeFault::Undecodable { what: "record", height, error })
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
    /// Signed checkpoints that state what the records lead to.
    pub checkpoints: u64,
    /// Behind the last record.
    pub head: Head,
    /// The hash of the receipts' log there.
    pub receipts: Hash,
    /// The state's hash there.
    pub state: [u8; 32],
    /// What a crash left at the end.
    pub cut: Option<Cut>,
}

/// Decides everything again that a journal holds, from its oldest snapshot on: the chain of hashes is whole, each batch follows from the
/// one before, each later snapshot is what the records before it lead to, and each checkpoint is signed by the key of `verifier` and states
/// what they lead to. Every batch is shown to `observe`, with its effects.
///
/// # Errors
/// Whatever is not so, with its place.
pub fn verify<S: Storage + Send>(
    storage: S,
    verifier: Option<&Verifier>,
    observe: &mut dyn FnMut(&Batch, &[Effect]),
) -> Result<Verified, NodeFault> {
    let mut opened = journal::open(storage, Start::Oldest)?;
    let Some(first) = opened.snapshot.take() else { return Err(NodeFault::NoBeginning) };
    let mut replay = Replay::of(&first)?;
    let (mut batches, mut inputs, mut all_effects, mut snapshots, mut checkpoints) = (0, 0, 0, 1, 0);
    // Reading and hashing is as much work as deciding, and needs nothing of it.
    std::thread::scope(|scope| {
        let (send, groups) = sync_channel(GROUPS_AHEAD);
        let reading = scope.spawn({
            let opened = &mut opened;
            move || read_ahead(opened, &send)
        });
        let mut effects = Vec::new();
        for Met { head, batch, checkpoint, snapshot } in groups.into_iter().flatten() {
            let batch = replay.follow(head, batch, &mut effects)?;
            batches += 1;
            inputs += batch.inputs.len() as u64;
            all_effects += effects.len() as u64;
            observe(&batch, &effects);
            if let Some(bytes) = checkpoint {
                replay.holds_checkpoint(&bytes, verifier)?;
                checkpoints += 1;
            }
            if let Some(snapshot) = snapshot {
                replay.holds(&snapshot)?;
                snapshots += 1;
            }
        }
        match reading.join() {
            Ok(read) => read,
            Err(panicked) => std::panic::resume_unwind(panicked),
        }
    })?;
    let stated = opened.last_checkpoint().unwrap_or(0);
    if replay.head.height < stated {
        let (found, expected) = (stated.to_string(), replay.head.height.to_string());
        return Err(NodeFault::Contradicted { height: stated, field: "the size", found, expected });
    }
    let (receipts, state) = (replay.log.tree.root(), replay.kernel.state().hash());
    let (head, cut) = (opened.head(), opened.cut().cloned());
    Ok(Verified { batches, inputs, effects: all_effects, snapshots, checkpoints, head, receipts, state, cut })
}

/// So many groups of records wait to be decided.
const GROUPS_AHEAD: usize = 8;
/// A group has at most so many records, and ends where it has so many bytes.
const GROUP_MAX: usize = 512;
const GROUP_BYTES: usize = 1 << 20;

/// A record that was read, with what is kept behind it.
struct Met {
    head: Head,
    batch: Batch,
    checkpoint: Option<Vec<u8>>,
    snapshot: Option<Snapshot>,
}

/// Reads to the end, or to what can't be read; all before that is sent first.
fn read_ahead<S: Storage>(opened: &mut Opened<S>, send: &SyncSender<Vec<Met>>) -> Result<(), NodeFault> {
    let (mut group, mut bytes) = (Vec::with_capacity(GROUP_MAX), 0);
    let ended = loop {
        match meet(opened) {
            Err(fault) => break Err(fault),
            Ok(None) => break Ok(()),
            Ok(Some((met, len))) => {
                group.push(met);
                bytes += len;
            }
        }
        if group.len() == GROUP_MAX || GROUP_BYTES <= bytes {
            bytes = 0;
            let full = std::mem::replace(&mut group, Vec::with_capacity(GROUP_MAX));
            if send.send(full).is_err() {
                // Whoever decides has found something wrong.
                return Ok(());
            }
        }
    };
    let _nobody_decides_any_more = send.send(group);
    ended
}

fn meet<S: Storage>(opened: &mut Opened<S>) -> Result<Option<(Met, usize)>, NodeFault> {
    let Some(record) = opened.next_record()? else { return Ok(None) };
    let batch = decoded(&record, false)?;
    let head = record.head;
    let (checkpoint, snapshot) = (opened.checkpoint(head.height)?, opened.snapshot_behind(head)?);
    Ok(Some((Met { head, batch, checkpoint, snapshot }, record.payload.len())))
}

/// Decides again what leads to the receipt of a height, and to the first checkpoint at or behind it, and shows that one is in the log that the
/// other states.
///
/// # Errors
/// As [`verify`], as far as it has to be read; [`NodeFault::Unproven`] where there is no such receipt or no such checkpoint, or the journal's
/// beginning is gone.
pub fn prove<S: Storage>(storage: S, height: u64) -> Result<Proof, NodeFault> {
    let unproven = |why| NodeFault::Unproven { height, why };
    let mut opened = journal::open(storage, Start::Oldest)?;
    let Some(first) = opened.snapshot.take() else { return Err(NodeFault::NoBeginning) };
    if first.head.height != 0 {
        return Err(unproven("the journal's beginning is gone, and with it the receipts before it"));
    }
    let mut replay = Replay::of(&first)?;
    let (mut effects, mut leaves, mut wanted) = (Vec::new(), Vec::new(), None);
    while let Some(record) = opened.next_record()? {
        replay.step(&record, &mut effects)?;
        let Some(receipt) = replay.receipt else { continue };
        leaves.push(receipt.leaf());
        if receipt.height == height {
            wanted = Some(receipt);
        }
        let Some(receipt) = wanted else { continue };
        if let Some(bytes) = opened.checkpoint(record.head.height)? {
            let index = usize::try_from(height - 1).ok();
            let path = index
                .and_then(|index| merkle::inclusion(&leaves, index))
                .ok_or(unproven("there is no such receipt"))?;
            let checkpoint = String::from_utf8(bytes).map_err(|_| unproven("its checkpoint is no text"))?;
            return Ok(Proof { receipt, path, checkpoint });
        }
    }
    Err(unproven(if wanted.is_some() {
        "no checkpoint was signed since; a node that ends signs one"
    } else {
        "there is no such receipt"
    }))
}

/// Decides everything again that a journal holds from its oldest snapshot on, by this build's rules, whichever wrote it: what this build would
/// have decided. Every batch is shown to `observe`, with the effects that follow here; it says whether to go on.
///
/// # Errors
/// As [`verify`], but that rules may differ; a journal whose snapshot or batches this build can't read.
pub fn shadow<S: Storage>(storage: S, observe: &mut dyn FnMut(&Batch, &[Effect]) -> bool) -> Result<(), NodeFault> {
    let mut opened = journal::open(storage, Start::Oldest)?;
    let Some(first) = opened.snapshot.take() else { return Err(NodeFault::NoBeginning) };
    let mut replay = Replay { is_shadow: true, ..Replay::of(&first)? };
    let mut effects = Vec::new();
    while let Some(record) = opened.next_record()? {
        let batch = replay.step(&record, &mut effects)?;
        if !observe(&batch, &effects) {
            break;
        }
    }
    Ok(())
}

/// Decides again what leads to a height, and gives its batch with all that was decided in it, plans among it.
///
/// # Errors
/// As [`verify`], as far as it has to be read; [`NodeFault::Unproven`] where the journal holds no such batch.
pub fn explain<S: Storage>(storage: S, height: u64) -> Result<Decided, NodeFault> {
    let mut opened = journal::open(storage, Start::Before(height.saturating_sub(1)))?;
    let Some(first) = opened.snapshot.take() else { return Err(NodeFault::NoBeginning) };
    let mut replay = Replay::of(&first)?;
    let mut restrictions = Restrictions::of(replay.kernel.state());
    let mut effects = Vec::new();
    while let Some(record) = opened.next_record()? {
        let batch = replay.step(&record, &mut effects)?;
        let plans = restrictions.plans(replay.kernel.state(), &batch.inputs, &effects);
        if batch.height == height
            && let Some(receipt) = replay.receipt
        {
            return Ok(Decided { height, at: batch.at, inputs: batch.inputs, effects, receipt, plans });
        }
    }
    Err(NodeFault::Unproven { height, why: "the journal holds no batch of that height" })
}

/// What was decided behind the height that the venue's side has carried out, in order, one batch after another: what a node that was stopped between has
/// to send first.
pub struct Undelivered<S: Storage> {
    opened: Opened<S>,
    replay: Replay,
    restrictions: Restrictions,
}

impl<S: Storage> Undelivered<S> {
    /// Decides again what leads to `standing`; nothing where there is neither a journal nor anything that was carried out. Where the standing is that of a
    /// snapshot, as behind a node that ended by itself, nothing is decided again, and records of other rules are none of its business.
    ///
    /// # Errors
    /// As [`verify`], as far as it has to be read; [`NodeFault::OtherHistory`] where the venue's side has carried out what this journal does not hold.
    pub fn behind(storage: S, standing: &Standing) -> Result<Option<Undelivered<S>>, NodeFault> {
        let mut opened = journal::open(storage, Start::Before(standing.height))?;
        let other = |found: String| {
            let (height, expected) = (standing.height, hex(&standing.record));
            NodeFault::OtherHistory { height, found, expected }
        };
        let Some(first) = opened.snapshot.take() else {
            return if standing.height == 0 { Ok(None) } else { Err(other("nothing".to_owned())) };
        };
        if standing.height < first.head.height {
            return Err(other(format!("nothing before height {}", first.head.height)));
        }
        let mut replay = Replay::of(&first)?;
        let mut restrictions = Restrictions::of(replay.kernel.state());
        let mut effects = Vec::new();
        while replay.head.height < standing.height {
            let Some(record) = opened.next_record()? else {
                return Err(other(format!("an end at height {}", replay.head.height)));
            };
            let batch = replay.step(&record, &mut effects)?;
            let _carried_out = restrictions.plans(replay.kernel.state(), &batch.inputs, &effects);
        }
        if standing.height != 0 && replay.head.hash != standing.record {
            return Err(other(hex(&replay.head.hash)));
        }
        Ok(Some(Undelivered { opened, replay, restrictions }))
    }

    /// The next batch that decided something.
    ///
    /// # Errors
    /// As [`verify`].
    pub fn next_decided(&mut self) -> Result<Option<Decided>, NodeFault> {
        let mut effects = Vec::new();
        while let Some(record) = self.opened.next_record()? {
            let batch = self.replay.step(&record, &mut effects)?;
            let plans = self.restrictions.plans(self.replay.kernel.state(), &batch.inputs, &effects);
            if let Some(receipt) = self.replay.receipt.filter(|_| !effects.is_empty()) {
                let Batch { height, at, inputs, .. } = batch;
                return Ok(Some(Decided { height, at, inputs, effects, receipt, plans }));
            }
        }
        Ok(None)
    }
}

impl Replay {
    fn holds(&self, snapshot: &Snapshot) -> Result<(), NodeFault> {
        let (tree, state) = Kept::read(snapshot)?;
        let height = self.head.height;
        let pairs = [
            (snapshot.head.hash, self.head.hash),
            (state.hash(), self.kernel.state().hash()),
            (tree.root(), self.log.tree.root()),
        ];
        match pairs.into_iter().find(|(found, expected)| found != expected) {
            None => Ok(()),
            Some((found, expected)) => {
                Err(NodeFault::Diverged { height, found: hex(&found), expected: hex(&expected) })
            }
        }
    }

    /// What was stated here holds.
    fn holds_checkpoint(&self, bytes: &[u8], verifier: Option<&Verifier>) -> Result<(), NodeFault> {
        let height = self.head.height;
        let text = String::from_utf8_lossy(bytes);
        let read = verifier.ok_or(BadCheckpoint::Unsigned).and_then(|verifier| verifier.read(&text));
        let stated = read.map_err(|error| NodeFault::Checkpoint { height, error })?;
        let holds = |field, found: String, expected: String| {
            if found == expected { Ok(()) } else { Err(NodeFault::Contradicted { height, field, found, expected }) }
        };
        holds("the size", stated.size.to_string(), height.to_string())?;
        holds("the root", hex(&stated.root), hex(&self.log.tree.root()))
    }
}
