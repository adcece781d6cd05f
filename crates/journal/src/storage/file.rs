//! Files in a directory.

use super::{Append, Storage};
use crate::fault::{Fault, io};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const LOCK: &str = "lock";

/// Files in a directory that this process alone writes to.
#[derive(Debug)]
pub struct FileStorage {
    home: PathBuf,
    /// Held for as long as this lives.
    _lock: File,
}

impl FileStorage {
    /// Takes hold of a directory, and makes it where there is none.
    ///
    /// # Errors
    /// [`Fault::Locked`] where another process has it, and what the file system says.
    pub fn open(home: &Path) -> Result<FileStorage, Fault> {
        let shown = home.display().to_string();
        std::fs::create_dir_all(home).map_err(io("making", &shown))?;
        let path = home.join(LOCK);
        let shown = path.display().to_string();
        let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let lock = opened.map_err(io("opening", &shown))?;
        match lock.try_lock() {
            Ok(()) => Ok(FileStorage { home: home.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Fault::Locked { name: shown }),
            Err(TryLockError::Error(error)) => Err(io("locking", &shown)(error)),
        }
    }

    /// So that names that came or went survive a loss of power.
    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.home)?.sync_all()
    }
}

/// Files in a directory that another process may be writing to: they are read, and nothing is changed.
///
/// Whoever writes adds at the end and replaces whole files, so a reader finds what was durable when it listed the directory, and perhaps
/// the beginning of what came after, as if the writer had just stopped.
#[derive(Clone, Debug)]
pub struct FilesRead {
    home: PathBuf,
}

impl FilesRead {
    /// Of a directory that is there.
    #[must_use]
    pub fn new(home: &Path) -> FilesRead {
        FilesRead { home: home.to_owned() }
    }

    fn refused<T>() -> io::Result<T> {
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "whoever reads changes nothing"))
    }
}

impl Storage for FilesRead {
    type File = File;

    fn list(&self) -> io::Result<Vec<String>> {
        names(&self.home)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.home.join(name))
    }

    fn create(&self, _: &str) -> io::Result<File> {
        FilesRead::refused()
    }

    fn reopen(&self, _: &str, _: u64) -> io::Result<File> {
        FilesRead::refused()
    }

    fn replace(&self, _: &str, _: &[u8]) -> io::Result<()> {
        FilesRead::refused()
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        FilesRead::refused()
    }
}

fn names(home: &Path) -> io::Result<Vec<String>> {
    let entries = std::fs::read_dir(home)?;
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

impl Storage for FileStorage {
    type File = File;

    fn list(&self) -> io::Result<Vec<String>> {
        names(&self.home)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.home.join(name))
    }

    fn create(&self, name: &str) -> io::Result<File> {
        let file = OpenOptions::new().create_new(true).append(true).open(self.home.join(name))?;
        self.sync_names()?;
        Ok(file)
    }

    fn reopen(&self, name: &str, len: u64) -> io::Result<File> {
        let file = OpenOptions::new().append(true).open(self.home.join(name))?;
        file.set_len(len)?;
        file.sync_all()?;
        Ok(file)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = self.home.join(format!("{name}.new"));
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(new, self.home.join(name))?;
        self.sync_names()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.home.join(name))?;
        self.sync_names()
    }
}

impl Append for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_holder_at_a_time() {
        let home = tempfile::tempdir().unwrap();
        let held = FileStorage::open(home.path()).unwrap();
        assert!(matches!(FileStorage::open(home.path()), Err(Fault::Locked { .. })));
        drop(held);
        FileStorage::open(home.path()).unwrap();
    }

    #[test]
    fn files_grow_are_cut_replaced_and_taken_away() {
        let home = tempfile::tempdir().unwrap();
        let storage = FileStorage::open(home.path()).unwrap();
        let mut file = storage.create("a").unwrap();
        file.append(b"one").unwrap();
        file.append(b"two").unwrap();
        file.sync().unwrap();
        assert!(storage.create("a").is_err());
        assert_eq!(storage.read("a").unwrap(), b"onetwo");
        storage.reopen("a", 4).unwrap().append(b"!").unwrap();
        assert_eq!(storage.read("a").unwrap(), b"onet!");
        storage.replace("a", b"new").unwrap();
        storage.replace("b", b"b").unwrap();
        assert_eq!(storage.read("a").unwrap(), b"new");
        storage.remove("b").unwrap();
        let mut names = storage.list().unwrap();
        names.sort();
        assert_eq!(names, ["a", LOCK]);
    }
}
