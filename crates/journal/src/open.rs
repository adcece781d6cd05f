//! Finding out what is there after a stop, however it came about.

use crate::fault::{Damage, Fault, io};
use crate::record::{self, Head, SegmentHeader};
use crate::snapshot::Snapshot;
use crate::storage::Storage;
use crate::writer::{CHECKPOINT, Journal, Options, SEGMENT, SNAPSHOT, name_of};

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Behind the newest good snapshot: to go on.
    Newest,
    /// Behind the oldest snapshot: to see everything again.
    Oldest,
    /// Behind the newest good snapshot at or under a height, or else the oldest: to see again what came behind that height.
    Before(u64),
}

/// A record that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Behind it.
    pub head: Head,
    /// The digest of the rules under which it was written.
    pub rules: [u8; 32],
    /// What the writer gave.
    pub payload: Vec<u8>,
}

/// Bytes that a crash left, and nobody was told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The segment.
    pub name: String,
    /// From where on.
    pub offset: u64,
    /// How many.
    pub bytes: u64,
    /// The height that was expected there.
    pub height: u64,
    /// What they are instead of a record.
    pub damage: Damage,
}

/// A journal that is read. After its last record it can be written to.
#[derive(Debug)]
pub struct Opened<S: Storage> {
    storage: S,
    /// What to begin with, to be taken; `None` where nothing was ever written.
    pub snapshot: Option<Snapshot>,
    /// The heights behind which there are some, in rising order.
    snapshots: Vec<u64>,
    /// Those about which there are statements.
    checkpoints: Vec<u64>,
    /// Those that are left to read, each with the height before it; the last one first.
    segments: Vec<(u64, String)>,
    current: Option<Segment>,
    /// Behind the snapshot.
    begin: Head,
    head: Head,
    /// Whatever is wrong with them, records up to there were durable.
    floor: u64,
    cut: Option<Cut>,
    is_read: bool,
}

#[derive(Debug)]
struct Segment {
    name: String,
    bytes: Vec<u8>,
    offset: usize,
    header: Option<SegmentHeader>,
}

/// The heights that files of a kind are named by, in rising order.
fn heights(names: &[String], kind: &str) -> Vec<u64> {
    let height = |name: &String| name.strip_suffix(kind)?.parse().ok().filter(|height| *name == name_of(*height, kind));
    let mut heights: Vec<u64> = names.iter().filter_map(height).collect();
    heights.sort_unstable();
    heights
}

/// Whether a file is a journal's.
pub(crate) fn is_ours(name: &str) -> bool {
    [SEGMENT, SNAPSHOT, CHECKPOINT].iter().any(|kind| !heights(&[name.to_owned()], kind).is_empty())
}

/// Opens a journal to read it, and perhaps to go on.
///
/// # Errors
/// [`Fault::NoSnapshot`] where snapshots are there and none is good; [`Fault::Gap`] where no segment holds what follows it; what the
/// storage says.
pub fn open<S: Storage>(storage: S, start: Start) -> Result<Opened<S>, Fault> {
    let names = storage.list().map_err(io("listing", "the journal"))?;
    let snapshots = heights(&names, SNAPSHOT);
    let snapshot = match start {
        Start::Newest => first_good(&storage, snapshots.iter().rev())?,
        Start::Oldest => first_good(&storage, snapshots.iter())?,
        Start::Before(height) => {
            let under = snapshots.partition_point(|at| *at <= height);
            let (under, over) = snapshots.split_at(under);
            if under.is_empty() {
                first_good(&storage, over.iter())?
            } else {
                first_good(&storage, under.iter().rev())?
            }
        }
    };
    // Whoever kept the newest knew that all before it was durable.
    let floor = match (start, &snapshot) {
        (Start::Newest, snapshot) => snapshot.as_ref().map_or(0, |snapshot| snapshot.head.height),
        (Start::Oldest | Start::Before(_), _) => {
            first_good(&storage, snapshots.iter().rev())?.map_or(0, |newest| newest.head.height)
        }
    };
    let head = snapshot.as_ref().map_or(Head::GENESIS, |snapshot| snapshot.head);
    let mut segments: Vec<(u64, String)> =
        heights(&names, SEGMENT).into_iter().map(|height| (height, name_of(height, SEGMENT))).rev().collect();
    let begins = segments.iter().position(|(before, _)| *before <= head.height);
    match (begins, segments.last()) {
        (Some(begins), _) => segments.truncate(begins + 1),
        (None, Some((found, name))) => {
            return Err(Fault::Gap { name: name.clone(), expected: head.height, found: *found });
        }
        (None, None) => {}
    }
    let checkpoints = heights(&names, CHECKPOINT);
    Ok(Opened {
        storage,
        snapshot,
        snapshots,
        checkpoints,
        segments,
        current: None,
        begin: head,
        head,
        floor,
        cut: None,
        is_read: false,
    })
}

fn first_good<'a, S: Storage>(
    storage: &S,
    heights: impl ExactSizeIterator<Item = &'a u64>,
) -> Result<Option<Snapshot>, Fault> {
    let found = heights.len();
    let mut reason = None;
    for height in heights {
        let name = name_of(*height, SNAPSHOT);
        let bytes = storage.read(&name).map_err(io("reading", &name))?;
        let damage = match Snapshot::decode(&bytes) {
            Ok(snapshot) if snapshot.head.height == *height => return Ok(Some(snapshot)),
            Ok(snapshot) => Damage::Height { found: snapshot.head.height },
            Err(damage) => damage,
        };
        reason.get_or_insert_with(|| format!("{name}: {damage}"));
    }
    match reason {
        None => Ok(None),
        Some(reason) => Err(Fault::NoSnapshot { found, reason }),
    }
}

impl<S: Storage> Opened<S> {
    /// Behind what was read so far.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.head
    }

    /// The snapshot that is named by a head's height; `None` where there is none.
    ///
    /// # Errors
    /// [`Fault::NoSnapshot`] for a damaged one; what the storage says.
    pub fn snapshot_behind(&self, head: Head) -> Result<Option<Snapshot>, Fault> {
        if self.snapshots.binary_search(&head.height).is_err() {
            return Ok(None);
        }
        first_good(&self.storage, [head.height].iter())
    }

    /// The statement about the first so many records; `None` where there is none.
    ///
    /// # Errors
    /// What the storage says.
    pub fn checkpoint(&self, height: u64) -> Result<Option<Vec<u8>>, Fault> {
        if self.checkpoints.binary_search(&height).is_err() {
            return Ok(None);
        }
        let name = name_of(height, CHECKPOINT);
        self.storage.read(&name).map(Some).map_err(io("reading", &name))
    }

    /// The largest number of records about which there is a statement.
    #[must_use]
    pub fn last_checkpoint(&self) -> Option<u64> {
        self.checkpoints.last().copied()
    }

    /// What a crash left at the end, once everything was read.
    #[must_use]
    pub const fn cut(&self) -> Option<&Cut> {
        self.cut.as_ref()
    }

    /// The next record behind the snapshot; `None` after the last.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] where bytes are not what was written, and were durable; [`Fault::Gap`] where a segment is missing; [`Fault::Foreign`]
    /// for a segment of another version; what the storage says.
    pub fn next_record(&mut self) -> Result<Option<Record>, Fault> {
        let begin = self.begin;
        while !self.is_read {
            let Some(mut segment) = self.current.take() else {
                self.next_segment()?;
                continue;
            };
            let Some(header) = segment.header else { return Err(self.corrupt(&segment, Damage::Short)) };
            let rest = segment.bytes.get(segment.offset..).unwrap_or(&[]);
            if rest.is_empty() && !self.segments.is_empty() {
                continue;
            }
            if rest.is_empty() {
                self.finish(segment)?;
                break;
            }
            let (payload, len, head) = match record::decode(rest) {
                Ok(framed) => (framed.payload.to_vec(), framed.len(), framed.head),
                Err(damage) => {
                    self.cut_off(segment, damage)?;
                    break;
                }
            };
            let expected = self.head.after(&payload);
            if head.height != expected.height {
                return Err(self.corrupt(&segment, Damage::Height { found: head.height }));
            }
            if head != expected || head.height == begin.height && head != begin {
                return Err(self.corrupt(&segment, Damage::Chain));
            }
            segment.offset += len;
            self.current = Some(segment);
            self.head = head;
            if begin.height < head.height {
                return Ok(Some(Record { head, rules: header.rules, payload }));
            }
        }
        Ok(None)
    }

    fn next_segment(&mut self) -> Result<(), Fault> {
        let begin = self.begin;
        let Some((before, name)) = self.segments.pop() else {
            // There never was one.
            self.is_read = true;
            return Ok(());
        };
        let bytes = self.storage.read(&name).map_err(io("reading", &name))?;
        let mut segment = Segment { name, bytes, offset: 0, header: None };
        let header = match SegmentHeader::decode(&segment.bytes) {
            Ok(header) => header,
            Err(damage @ Damage::Version { .. }) => {
                return Err(Fault::Foreign { name: segment.name, what: "segment", version: record::VERSION, damage });
            }
            // It was being made: the one before it was complete by then.
            Err(damage) => return self.cut_off(segment, damage),
        };
        // The first one may begin before the snapshot.
        let is_first = self.head == begin && before <= begin.height;
        if is_first && before < begin.height {
            self.head = header.before;
        }
        if header.before.height != before || before != self.head.height {
            return Err(Fault::Gap { name: segment.name, expected: self.head.height, found: header.before.height });
        }
        if header.before != self.head {
            return Err(self.corrupt(&segment, Damage::Chain));
        }
        segment.offset = record::HEADER;
        segment.header = Some(header);
        self.current = Some(segment);
        Ok(())
    }

    /// What is left of a segment is no record. If a crash can have left it, it does not count.
    fn cut_off(&mut self, segment: Segment, damage: Damage) -> Result<(), Fault> {
        let height = self.head.height + 1;
        let behind = segment.bytes.get(segment.offset..).unwrap_or(&[]);
        // Somebody wrote behind it, knowing that it was durable.
        let was_durable = record::any_intact(behind, |framed| height <= framed.synced);
        if !self.segments.is_empty() || height <= self.floor || was_durable {
            return Err(self.corrupt(&segment, damage));
        }
        let (offset, bytes) = (segment.offset as u64, behind.len() as u64);
        self.cut = Some(Cut { name: segment.name.clone(), offset, bytes, height, damage });
        self.finish(segment)
    }

    fn finish(&mut self, segment: Segment) -> Result<(), Fault> {
        if self.head.height < self.floor {
            return Err(self.corrupt(&segment, Damage::Short));
        }
        self.current = Some(segment);
        self.is_read = true;
        Ok(())
    }

    fn corrupt(&self, segment: &Segment, damage: Damage) -> Fault {
        let (name, offset) = (segment.name.clone(), segment.offset as u64);
        Fault::Corrupt { name, offset, height: self.head.height + 1, damage }
    }

    /// Goes on writing behind the last record; what a crash left behind that is cut.
    ///
    /// # Errors
    /// What the storage says.
    ///
    /// # Panics
    /// Before everything was read: nobody may write behind what he does not know.
    pub fn into_journal(self, options: Options) -> Result<Journal<S>, Fault> {
        assert!(self.is_read, "a journal is read to its end before it is written to");
        let Opened { storage, head, current, .. } = self;
        let Some(segment) = current else { return Journal::begin(storage, options, head) };
        let written = segment.offset as u64;
        let of_these_rules = |header: &SegmentHeader| header.rules == options.rules;
        if segment.header.as_ref().is_some_and(of_these_rules) && written < options.segment_bytes {
            return Journal::go_on(storage, options, segment.name, written, head);
        }
        if written <= record::HEADER as u64 {
            // Nothing is in it, and the next one has its name.
            storage.remove(&segment.name).map_err(io("removing", &segment.name))?;
        } else {
            storage.reopen(&segment.name, written).map_err(io("cutting", &segment.name))?;
        }
        Journal::begin(storage, options, head)
    }
}
