//! Integers, booleans and bytes.

use crate::{Canonical, DecodeError, Expected, Leaf, Reader, Sink};
use alloc::vec::Vec;

macro_rules! canonical_int {
    ($($type:ty, $signed:literal);+ $(;)?) => {$(
        impl Canonical for $type {
            const SIZE_MIN: usize = size_of::<$type>();

            fn encode<S: Sink>(&self, out: &mut S) {
                out.leaf(&self.to_le_bytes(), Leaf::Int { signed: $signed });
            }

            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(<$type>::from_le_bytes(reader.array()?))
            }
        }
    )+};
}

canonical_int!(u16, false; u32, false; u64, false; u128, false; i8, true; i16, true; i32, true; i64, true; i128, true);

impl Canonical for u8 {
    const SIZE_MIN: usize = 1;

    fn encode<S: Sink>(&self, out: &mut S) {
        out.leaf(&[*self], Leaf::Int { signed: false });
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let [value] = reader.array()?;
        Ok(value)
    }

    fn encode_all<S: Sink>(items: &[Self], out: &mut S) {
        if !items.is_empty() {
            out.leaf(items, Leaf::Bytes);
        }
    }

    fn decode_all(reader: &mut Reader<'_>, count: usize) -> Result<Vec<Self>, DecodeError> {
        Ok(reader.bytes(count)?.to_vec())
    }
}

impl Canonical for bool {
    const SIZE_MIN: usize = 1;

    fn encode<S: Sink>(&self, out: &mut S) {
        out.leaf(&[u8::from(*self)], Leaf::Bool);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let offset = reader.offset();
        match reader.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [found] => Err(DecodeError { offset, expected: Expected::Bool { found } }),
        }
    }
}
