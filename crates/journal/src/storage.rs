//! Where a journal's files are.

mod file;
mod memory;

pub use file::{FileStorage, FilesRead};
pub use memory::{Crash, MemoryStorage, Trouble};

use std::io;

/// A flat directory of files.
pub trait Storage {
    /// A file that grows at its end.
    type File: Append;

    /// The names of all files, in any order.
    ///
    /// # Errors
    /// What the storage says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// All of a file.
    ///
    /// # Errors
    /// What the storage says.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// A new file, which is there after a loss of power, if empty.
    ///
    /// # Errors
    /// What the storage says, also where there is one of that name.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// A file that is there, cut to `len` bytes, to go on with. The cut is durable.
    ///
    /// # Errors
    /// What the storage says.
    fn reopen(&self, name: &str, len: u64) -> io::Result<Self::File>;

    /// A file with these bytes, whether or not there is one of that name: after a loss of power it has what it had or these, and
    /// once this returns, these.
    ///
    /// # Errors
    /// What the storage says.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Takes a file away.
    ///
    /// # Errors
    /// What the storage says.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// A file that grows at its end.
pub trait Append {
    /// Writes all of `bytes` at the end.
    ///
    /// # Errors
    /// What the storage says. Some of it may have been written.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Returns once everything that was appended survives a loss of power.
    ///
    /// # Errors
    /// What the storage says. What of it is durable is not known then, and asking again does not tell.
    fn sync(&mut self) -> io::Result<()>;
}
