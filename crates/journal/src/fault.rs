//! What can go wrong with a journal.

use std::io;

/// Why a journal can't be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The storage failed.
    #[error("{doing} {name}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        name: String,
        /// What the storage said.
        source: io::Error,
    },
    /// Somebody else holds the journal.
    #[error("{name} is held by another process: one writer at a time; stop the other, or use another directory")]
    Locked {
        /// The lock.
        name: String,
    },
    /// Bytes are not as they were written, and were durable.
    #[error(
        "{name} at byte {offset}: {damage}, where height {height} is expected; what follows it was acknowledged, so \
         nothing is cut: restore the file from a copy"
    )]
    Corrupt {
        /// The segment.
        name: String,
        /// Where the record begins.
        offset: u64,
        /// The height that is expected there.
        height: u64,
        /// What is wrong there.
        damage: Damage,
    },
    /// Records between two files are gone.
    #[error("{name} begins after height {found}, and height {expected} is the last before it: a segment is missing")]
    Gap {
        /// The segment that begins too late.
        name: String,
        /// The last height before it.
        expected: u64,
        /// The height after which it begins.
        found: u64,
    },
    /// A file of another format, or none of ours.
    #[error("{name} is no {what} of version {version}: {damage}")]
    Foreign {
        /// The file.
        name: String,
        /// What it should be.
        what: &'static str,
        /// The version that is understood.
        version: u16,
        /// What is wrong with it.
        damage: Damage,
    },
    /// No snapshot can be used, so there is nothing that records could go on from.
    #[error("none of {found} snapshots is good: {reason}; restore one from a copy")]
    NoSnapshot {
        /// How many there are.
        found: usize,
        /// What the newest was refused for.
        reason: String,
    },
    /// A record larger than any may be.
    #[error("a record of {len} bytes is larger than {max}")]
    TooLarge {
        /// Its size.
        len: usize,
        /// The largest.
        max: usize,
    },
    /// A write or a sync failed before: what is durable is not known, and nothing is tried again.
    #[error("the journal failed before and takes nothing more: {cause}")]
    Dead {
        /// What failed.
        cause: String,
    },
}

/// What is wrong with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The file ends inside of it.
    #[error("it ends too early")]
    Short,
    /// It does not begin like one.
    #[error("no beginning of one")]
    Magic,
    /// Another version.
    #[error("it is of version {found}")]
    Version {
        /// That one.
        found: u16,
    },
    /// It claims to be larger than any may be.
    #[error("it claims {len} bytes")]
    Length {
        /// So many.
        len: u64,
    },
    /// The checksum is another.
    #[error("its checksum does not fit")]
    Checksum,
    /// It is intact, and of another height.
    #[error("a record of height {found}")]
    Height {
        /// That one.
        found: u64,
    },
    /// It is intact, and does not follow from the one before.
    #[error("its hash does not follow from the record before")]
    Chain,
}

/// Whether it makes sense to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Later it may work.
    Transient,
    /// It takes somebody to change something.
    Permanent,
}

impl Fault {
    /// Whether it makes sense to try again.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Fault::Locked { .. } => Kind::Transient,
            Fault::Io { .. }
            | Fault::Corrupt { .. }
            | Fault::Gap { .. }
            | Fault::Foreign { .. }
            | Fault::NoSnapshot { .. }
            | Fault::TooLarge { .. }
            | Fault::Dead { .. } => Kind::Permanent,
        }
    }
}

/// Names what was tried and with which file.
pub(crate) fn io(doing: &'static str, name: &str) -> impl FnOnce(io::Error) -> Fault {
    move |source| Fault::Io { doing, name: name.to_owned(), source }
}
