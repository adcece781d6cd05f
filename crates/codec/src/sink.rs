//! Where encodings go: bytes, a hash, or the list of their leaves.

use alloc::vec::Vec;

/// What a leaf means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// An integer, little-endian.
    Int {
        /// Whether it is two's complement.
        signed: bool,
    },
    /// 0 or 1.
    Bool,
    /// The variant of an enum or an option.
    Tag,
    /// The number of items that follow.
    Length,
    /// Opaque bytes.
    Bytes,
}

/// Takes an encoding leaf by leaf. Every byte of an encoding belongs to exactly one leaf.
pub trait Sink {
    /// Takes the next leaf.
    fn leaf(&mut self, bytes: &[u8], kind: Leaf);
}

impl Sink for Vec<u8> {
    fn leaf(&mut self, bytes: &[u8], _kind: Leaf) {
        self.extend_from_slice(bytes);
    }
}

/// Hashes an encoding without keeping it. Allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct HashSink {
    hasher: blake3::Hasher,
}

impl HashSink {
    /// The empty encoding.
    #[must_use]
    pub fn new() -> HashSink {
        HashSink::default()
    }

    /// The BLAKE3 hash of all leaves so far.
    #[must_use]
    pub fn finish(&self) -> [u8; 32] {
        self.hasher.finalize().into()
    }
}

impl Sink for HashSink {
    fn leaf(&mut self, bytes: &[u8], _kind: Leaf) {
        self.hasher.update(bytes);
    }
}

/// One leaf of an encoding and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Bytes before it.
    pub offset: usize,
    /// Its bytes.
    pub len: usize,
    /// What it means.
    pub kind: Leaf,
}

/// Records where every leaf lies, so that a test can corrupt each field of any type without knowing the type.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    entries: Vec<Entry>,
    offset: usize,
}

impl Layout {
    /// The empty encoding.
    #[must_use]
    pub fn new() -> Layout {
        Layout::default()
    }

    /// Every leaf in order.
    #[must_use]
    pub fn into_entries(self) -> Vec<Entry> {
        self.entries
    }
}

impl Sink for Layout {
    fn leaf(&mut self, bytes: &[u8], kind: Leaf) {
        self.entries.push(Entry { offset: self.offset, len: bytes.len(), kind });
        self.offset += bytes.len();
    }
}
