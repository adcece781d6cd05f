//! Canonical, versioned bytes and hashes of units and protocol.
//!
//! Every value has exactly one encoding: scalars are fixed-width little-endian, lists carry a `u32` length, maps and
//! sets are strictly ascending, a tag names a variant. So equal values have equal bytes and equal hashes on every
//! machine, and whatever decodes encodes to the same bytes again. Decoding is total: outside bytes give a value or a
//! [`DecodeError`], never a panic, and never an allocation larger than what the bytes at hand can fill.
//!
//! Well formed is not the same as sensible: [`protocol::params::VenueParams::validate`] is still the caller's to ask.
//!
//! Start at [`Canonical`]; a type gets it through [`canonical_struct!`] or [`canonical_enum!`].
#![no_std]
#![cfg_attr(
    not(test),
    deny(
        clippy::float_arithmetic,
        clippy::float_cmp,
        clippy::lossy_float_literal,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        clippy::disallowed_methods,
        clippy::disallowed_types,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::todo,
        clippy::unimplemented,
        clippy::wildcard_enum_match_arm,
        clippy::indexing_slicing,
    )
)]
extern crate alloc;

mod collections;
mod macros;
mod reader;
mod scalars;
mod sink;
mod words;

pub use reader::{DecodeError, Expected, Reader};
pub use sink::{Entry, HashSink, Layout, Leaf, Sink};

#[doc(hidden)]
pub use macros::{size_min_of, tags_are_distinct};

use alloc::vec::Vec;

/// The first bytes of everything that [`to_bytes`] writes.
pub const MAGIC: [u8; 4] = *b"SEAW";

/// The version of the format, written after [`MAGIC`]. It rises with every change of any encoding.
pub const VERSION: u16 = 1;

/// A value with exactly one encoding.
pub trait Canonical: Sized {
    /// The fewest bytes that a value can take, by which a claimed length is held against the bytes at hand.
    const SIZE_MIN: usize;

    /// Writes the value leaf by leaf.
    fn encode<S: Sink>(&self, out: &mut S);

    /// Reads one value.
    ///
    /// # Errors
    /// Where the bytes are not what [`Canonical::encode`] would have written.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Writes items one after the other, without a length. Bytes are one leaf together.
    fn encode_all<S: Sink>(items: &[Self], out: &mut S) {
        for item in items {
            item.encode(out);
        }
    }

    /// Reads `count` items. Allocates ahead no more memory than there are bytes left to read.
    ///
    /// # Errors
    /// The first item's that can't be decoded.
    fn decode_all(reader: &mut Reader<'_>, count: usize) -> Result<Vec<Self>, DecodeError> {
        let fitting = reader.left() / size_of::<Self>().max(1);
        let mut items = Vec::with_capacity(count.min(fitting));
        for _ in 0..count {
            items.push(Self::decode(reader)?);
        }
        Ok(items)
    }
}

/// The header and the value.
#[must_use]
pub fn to_bytes<T: Canonical>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    encode_with_header(value, &mut out);
    out
}

/// Reads what [`to_bytes`] wrote.
///
/// # Errors
/// Another magic or version, anything that [`Canonical::decode`] refuses, or bytes after the value.
pub fn from_bytes<T: Canonical>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut reader = Reader::new(bytes);
    reader.header()?;
    let value = T::decode(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// The BLAKE3 hash of [`to_bytes`], without allocating.
#[must_use]
pub fn hash<T: Canonical>(value: &T) -> [u8; 32] {
    let mut out = HashSink::new();
    encode_with_header(value, &mut out);
    out.finish()
}

/// Every leaf of [`to_bytes`], in order.
#[must_use]
pub fn layout<T: Canonical>(value: &T) -> Vec<Entry> {
    let mut out = Layout::new();
    encode_with_header(value, &mut out);
    out.into_entries()
}

fn encode_with_header<T: Canonical, S: Sink>(value: &T, out: &mut S) {
    MAGIC.encode(out);
    VERSION.encode(out);
    value.encode(out);
}
