//! Reading outside bytes: every step is checked, every refusal says where and what.

use crate::{Canonical, MAGIC, VERSION};
use core::fmt;

/// Bytes that are no canonical encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// Bytes before the offending leaf.
    pub offset: usize,
    /// What should have stood there.
    pub expected: Expected,
}

/// What should have stood in the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// More bytes.
    Bytes {
        /// How many.
        needed: usize,
        /// How many there were.
        left: usize,
    },
    /// A number of items that the bytes left could hold.
    Items {
        /// How many were claimed.
        count: u32,
        /// How many bytes were left for them.
        left: usize,
    },
    /// 0 or 1.
    Bool {
        /// What stood there.
        found: u8,
    },
    /// A variant's tag.
    Tag {
        /// Of which type.
        of: &'static str,
        /// What stood there.
        found: u8,
    },
    /// A key above the one before it.
    AscendingKey,
    /// Parts that a value of this type can have.
    Parts {
        /// Of which type.
        of: &'static str,
    },
    /// [`MAGIC`].
    Magic {
        /// What stood there.
        found: [u8; 4],
    },
    /// [`VERSION`].
    Version {
        /// What stood there.
        found: u16,
    },
    /// Nothing more.
    End {
        /// How many bytes there were.
        left: usize,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: expected ", self.offset)?;
        match self.expected {
            Expected::Bytes { needed, left } => write!(f, "{needed} bytes, {left} left"),
            Expected::Items { count, left } => write!(f, "a length that {left} bytes can hold, found {count}"),
            Expected::Bool { found } => write!(f, "0 or 1, found {found}"),
            Expected::Tag { of, found } => write!(f, "a tag of {of}, found {found}"),
            Expected::AscendingKey => write!(f, "a key above the one before it"),
            Expected::Parts { of } => write!(f, "the parts of a {of}"),
            Expected::Magic { found } => write!(f, "the magic {MAGIC:02x?}, found {found:02x?}"),
            Expected::Version { found } => write!(f, "format version {VERSION}, found {found}"),
            Expected::End { left } => write!(f, "the end, {left} bytes left"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// A cursor over outside bytes.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    /// At the first byte.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes, offset: 0 }
    }

    /// Bytes read so far.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// Bytes not read yet.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.rest.len()
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`Expected::Bytes`] where there are fewer; nothing is read then.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(self.missing(count));
        };
        self.advance(rest);
        Ok(taken)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`Expected::Bytes`] where there are fewer; nothing is read then.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.missing(N));
        };
        self.advance(rest);
        Ok(*taken)
    }

    /// A variant's tag.
    ///
    /// # Errors
    /// [`Expected::Bytes`] at the end.
    pub fn tag(&mut self) -> Result<u8, DecodeError> {
        let [tag] = self.array()?;
        Ok(tag)
    }

    /// A number of items of type `T`, already held against the bytes that are left for them.
    ///
    /// # Errors
    /// [`Expected::Items`] for a number that the bytes left can't hold.
    pub fn count<T: Canonical>(&mut self) -> Result<usize, DecodeError> {
        const { assert!(0 < T::SIZE_MIN, "the bytes left bound a list only where every item takes some") };
        let offset = self.offset;
        let count = u32::from_le_bytes(self.array()?);
        let left = self.left();
        match usize::try_from(count) {
            Ok(items) if items <= left / T::SIZE_MIN => Ok(items),
            Ok(_) | Err(_) => Err(DecodeError { offset, expected: Expected::Items { count, left } }),
        }
    }

    /// [`MAGIC`] and [`VERSION`].
    ///
    /// # Errors
    /// [`Expected::Magic`] or [`Expected::Version`] for any other.
    pub fn header(&mut self) -> Result<(), DecodeError> {
        let offset = self.offset;
        let found = self.array()?;
        if found != MAGIC {
            return Err(DecodeError { offset, expected: Expected::Magic { found } });
        }
        let offset = self.offset;
        let found = u16::from_le_bytes(self.array()?);
        if found != VERSION {
            return Err(DecodeError { offset, expected: Expected::Version { found } });
        }
        Ok(())
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// [`Expected::End`] where something is.
    pub fn end(&self) -> Result<(), DecodeError> {
        match self.left() {
            0 => Ok(()),
            left => Err(DecodeError { offset: self.offset, expected: Expected::End { left } }),
        }
    }

    fn advance(&mut self, rest: &'a [u8]) {
        self.offset += self.rest.len() - rest.len();
        self.rest = rest;
    }

    fn missing(&self, needed: usize) -> DecodeError {
        DecodeError { offset: self.offset, expected: Expected::Bytes { needed, left: self.left() } }
    }
}
