//! Appending.

use crate::fault::{Fault, io};
use crate::record::{self, Entry, Head, PAYLOAD_MAX, SegmentHeader};
use crate::snapshot::Snapshot;
use crate::storage::{Append, Storage};

/// How a journal is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The digest of the rules that decide what is written now. A segment has one.
    pub rules: [u8; 32],
    /// A segment that has grown to so many bytes is followed by the next.
    pub segment_bytes: u64,
}

/// A journal that is written to.
#[derive(Debug)]
pub struct Journal<S: Storage> {
    storage: S,
    options: Options,
    file: S::File,
    name: String,
    /// Bytes in the segment.
    written: u64,
    /// What was appended last, durable or not.
    head: Head,
    synced: u64,
    /// Appended, and not written.
    buffer: Vec<u8>,
    /// What failed.
    dead: Option<String>,
}

pub(crate) const SEGMENT: &str = ".segment";
pub(crate) const SNAPSHOT: &str = ".snapshot";
pub(crate) const CHECKPOINT: &str = ".checkpoint";

/// The file behind a height. Names rise as heights do.
pub(crate) fn name_of(height: u64, kind: &str) -> String {
    format!("{height:020}{kind}")
}

impl<S: Storage> Journal<S> {
    /// Goes on in a segment that has `written` bytes, all of them durable.
    pub(crate) fn go_on(storage: S, options: Options, name: String, written: u64, head: Head) -> Result<Self, Fault> {
        let file = storage.reopen(&name, written).map_err(io("opening", &name))?;
        let (synced, buffer) = (head.height, Vec::new());
        Ok(Journal { storage, options, file, name, written, head, synced, buffer, dead: None })
    }

    /// Begins a segment behind `head`, which is durable.
    pub(crate) fn begin(storage: S, options: Options, head: Head) -> Result<Self, Fault> {
        let (file, name, written) = segment(&storage, options, head)?;
        let (synced, buffer) = (head.height, Vec::new());
        Ok(Journal { storage, options, file, name, written, head, synced, buffer, dead: None })
    }

    /// What was appended last, durable or not.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.head
    }

    /// The height that survives whatever happens.
    #[must_use]
    pub const fn synced(&self) -> u64 {
        self.synced
    }

    /// Puts an entry behind the head. It is durable once [`Journal::commit`] has returned.
    ///
    /// # Errors
    /// A payload beyond [`PAYLOAD_MAX`], and after a failure everything.
    ///
    /// # Panics
    /// Where the entry belongs behind something else: whoever sequences has lost the order.
    pub fn append(&mut self, entry: &Entry) -> Result<(), Fault> {
        self.is_alive()?;
        assert!(entry.before == self.head, "an entry goes behind the one before it");
        if PAYLOAD_MAX < entry.payload.len() {
            return Err(Fault::TooLarge { len: entry.payload.len(), max: PAYLOAD_MAX });
        }
        record::encode(entry, self.synced, &mut self.buffer);
        self.head = entry.head;
        Ok(())
    }

    /// Writes and syncs what was appended. Returns the height that is durable then.
    ///
    /// # Errors
    /// What the storage says; nothing is tried again after that, here or later.
    pub fn commit(&mut self) -> Result<u64, Fault> {
        self.is_alive()?;
        if self.buffer.is_empty() {
            return Ok(self.synced);
        }
        let written = self.file.append(&self.buffer).map_err(io("writing", &self.name));
        let written = written.and_then(|()| self.file.sync().map_err(io("syncing", &self.name)));
        self.or_die(written)?;
        self.written += self.buffer.len() as u64;
        self.synced = self.head.height;
        self.buffer.clear();
        if self.options.segment_bytes <= self.written {
            let next = segment(&self.storage, self.options, self.head);
            (self.file, self.name, self.written) = self.or_die(next)?;
        }
        Ok(self.synced)
    }

    /// Keeps what there is behind `head`, so that a reader may begin there.
    ///
    /// # Errors
    /// What the storage says. Records are not concerned: a snapshot that fails leaves those before it.
    ///
    /// # Panics
    /// Where `head` is not durable: a snapshot may not know what the records don't.
    pub fn keep(&mut self, snapshot: &Snapshot) -> Result<(), Fault> {
        self.is_alive()?;
        assert!(snapshot.head.height <= self.synced, "a snapshot stands behind a durable record");
        let name = name_of(snapshot.head.height, SNAPSHOT);
        self.storage.replace(&name, &snapshot.encode()).map_err(io("writing", &name))
    }

    /// Keeps a statement about the first `height` records beside them.
    ///
    /// # Errors
    /// What the storage says. Records are not concerned.
    ///
    /// # Panics
    /// Where that height is not durable.
    pub fn attest(&mut self, height: u64, statement: &str) -> Result<(), Fault> {
        self.is_alive()?;
        assert!(height <= self.synced, "a statement is about durable records");
        let name = name_of(height, CHECKPOINT);
        self.storage.replace(&name, statement.as_bytes()).map_err(io("writing", &name))
    }

    fn is_alive(&self) -> Result<(), Fault> {
        match &self.dead {
            None => Ok(()),
            Some(cause) => Err(Fault::Dead { cause: cause.clone() }),
        }
    }

    fn or_die<T>(&mut self, result: Result<T, Fault>) -> Result<T, Fault> {
        if let Err(fault) = &result {
            self.dead = Some(fault.to_string());
        }
        result
    }
}

/// A new segment with its header, durable.
fn segment<S: Storage>(storage: &S, options: Options, before: Head) -> Result<(S::File, String, u64), Fault> {
    let name = name_of(before.height, SEGMENT);
    let mut file = storage.create(&name).map_err(io("making", &name))?;
    let header = SegmentHeader { rules: options.rules, before }.encode();
    file.append(&header).map_err(io("writing", &name))?;
    file.sync().map_err(io("syncing", &name))?;
    Ok((file, name, header.len() as u64))
}
