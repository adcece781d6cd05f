//! Files in memory, on a disk that fails as it is told.

use super::{Append, Storage};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Files in memory. Clones share them, as a process that comes back finds the disk of the one before.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage {
    disk: Arc<Mutex<Disk>>,
}

#[derive(Debug, Default)]
struct Disk {
    files: BTreeMap<String, Contents>,
    /// Appends, syncs and replacements so far.
    done: u64,
    trouble: BTreeMap<u64, Trouble>,
    room: Option<usize>,
}

#[derive(Clone, Debug, Default)]
struct Contents {
    bytes: Vec<u8>,
    /// So many of them survive.
    synced: usize,
}

/// What a disk does to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Fails at once.
    Refused,
    /// An append writes so many bytes, then fails.
    Short(usize),
}

/// What a loss of power does to bytes that were written and not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// All are gone.
    Lost,
    /// So many are left.
    Kept(usize),
    /// All are there but for so many at their beginning, which are zeros: later blocks were written first.
    Reordered(usize),
}

/// A file in memory.
#[derive(Debug)]
pub struct MemoryFile {
    disk: Arc<Mutex<Disk>>,
    name: String,
}

impl MemoryStorage {
    /// An empty disk.
    #[must_use]
    pub fn new() -> MemoryStorage {
        MemoryStorage::default()
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the operation after the next `after` ones fail.
    pub fn trouble(&self, after: u64, trouble: Trouble) {
        let mut disk = self.disk();
        let at = disk.done + after;
        disk.trouble.insert(at, trouble);
    }

    /// Has the disk full after so many more bytes.
    pub fn room(&self, bytes: Option<usize>) {
        self.disk().room = bytes;
    }

    /// The power is gone, and comes back.
    pub fn crash(&self, crash: Crash) {
        let mut disk = self.disk();
        disk.trouble.clear();
        disk.room = None;
        for contents in disk.files.values_mut() {
            let unsynced = contents.bytes.len() - contents.synced;
            match crash {
                Crash::Lost => contents.bytes.truncate(contents.synced),
                Crash::Kept(kept) => contents.bytes.truncate(contents.synced + kept.min(unsynced)),
                Crash::Reordered(zeros) => {
                    let from = contents.synced;
                    contents.bytes[from..from + zeros.min(unsynced)].fill(0);
                }
            }
            contents.synced = contents.bytes.len();
        }
    }

    /// Changes a file behind everybody's back.
    pub fn tamper(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        if let Some(contents) = self.disk().files.get_mut(name) {
            change(&mut contents.bytes);
            contents.synced = contents.bytes.len();
        }
    }
}

impl Disk {
    fn file(&mut self, name: &str) -> io::Result<&mut Contents> {
        self.files.get_mut(name).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn next(&mut self) -> Option<Trouble> {
        let at = self.done;
        self.done += 1;
        self.trouble.remove(&at)
    }

    /// As much of `bytes` as there is room for.
    fn fitting<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let room = self.room.unwrap_or(usize::MAX);
        let (fitting, _) = bytes.split_at(bytes.len().min(room));
        self.room = self.room.map(|room| room - fitting.len());
        fitting
    }
}

impl Storage for MemoryStorage {
    type File = MemoryFile;

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.disk().files.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        Ok(self.disk().file(name)?.bytes.clone())
    }

    fn create(&self, name: &str) -> io::Result<MemoryFile> {
        let mut disk = self.disk();
        if disk.files.contains_key(name) {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        disk.files.insert(name.to_owned(), Contents::default());
        Ok(MemoryFile { disk: Arc::clone(&self.disk), name: name.to_owned() })
    }

    fn reopen(&self, name: &str, len: u64) -> io::Result<MemoryFile> {
        let mut disk = self.disk();
        let contents = disk.file(name)?;
        contents.bytes.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        contents.synced = contents.bytes.len();
        Ok(MemoryFile { disk: Arc::clone(&self.disk), name: name.to_owned() })
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.disk();
        if disk.next().is_some() {
            return Err(io::Error::other("told to fail"));
        }
        if disk.fitting(bytes).len() < bytes.len() {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        disk.files.insert(name.to_owned(), Contents { bytes: bytes.to_vec(), synced: bytes.len() });
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk().files.remove(name).map(drop).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

impl Append for MemoryFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        let (written, failure) = match disk.next() {
            None => {
                let fitting = disk.fitting(bytes);
                let full = fitting.len() < bytes.len();
                (fitting, full.then(|| io::Error::from(io::ErrorKind::StorageFull)))
            }
            Some(Trouble::Refused) => (&bytes[..0], Some(io::Error::other("told to fail"))),
            Some(Trouble::Short(len)) => (&bytes[..len.min(bytes.len())], Some(io::Error::other("told to fail"))),
        };
        disk.file(&self.name)?.bytes.extend_from_slice(written);
        failure.map_or(Ok(()), Err)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        if disk.next().is_some() {
            return Err(io::Error::other("told to fail"));
        }
        let contents = disk.file(&self.name)?;
        contents.synced = contents.bytes.len();
        Ok(())
    }
}
