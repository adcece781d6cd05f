//! Options, lists, maps, sets, arrays and tuples.

use crate::{Canonical, DecodeError, Expected, Leaf, Reader, Sink};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

/// Every length in an encoding is four bytes.
const LENGTH_SIZE: usize = 4;

fn encode_length<S: Sink>(len: usize, out: &mut S) {
    let fitting = u32::try_from(len);
    assert!(fitting.is_ok(), "every collection has a limit, and no limit is near 2^32 items");
    out.leaf(&fitting.unwrap_or(u32::MAX).to_le_bytes(), Leaf::Length);
}

impl<T: Canonical> Canonical for Option<T> {
    const SIZE_MIN: usize = 1;

    fn encode<S: Sink>(&self, out: &mut S) {
        match self {
            None => out.leaf(&[0], Leaf::Tag),
            Some(value) => {
                out.leaf(&[1], Leaf::Tag);
                value.encode(out);
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let offset = reader.offset();
        match reader.tag()? {
            0 => Ok(None),
            1 => Ok(Some(T::decode(reader)?)),
            found => Err(DecodeError { offset, expected: Expected::Tag { of: "Option", found } }),
        }
    }
}

/// As what is in it.
impl<T: Canonical> Canonical for Box<T> {
    const SIZE_MIN: usize = T::SIZE_MIN;

    fn encode<S: Sink>(&self, out: &mut S) {
        (**self).encode(out);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Box::new(T::decode(reader)?))
    }
}

impl<T: Canonical> Canonical for Vec<T> {
    const SIZE_MIN: usize = LENGTH_SIZE;

    fn encode<S: Sink>(&self, out: &mut S) {
        encode_length(self.len(), out);
        T::encode_all(self, out);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = reader.count::<T>()?;
        T::decode_all(reader, count)
    }
}

impl<T: Canonical> Canonical for VecDeque<T> {
    const SIZE_MIN: usize = LENGTH_SIZE;

    fn encode<S: Sink>(&self, out: &mut S) {
        encode_length(self.len(), out);
        for item in self {
            item.encode(out);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Vec::decode(reader).map(VecDeque::from)
    }
}

impl<K: Canonical + Ord, V: Canonical> Canonical for BTreeMap<K, V> {
    const SIZE_MIN: usize = LENGTH_SIZE;

    fn encode<S: Sink>(&self, out: &mut S) {
        encode_length(self.len(), out);
        for (key, value) in self {
            key.encode(out);
            value.encode(out);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut map = BTreeMap::new();
        for _ in 0..reader.count::<(K, V)>()? {
            let offset = reader.offset();
            let key = K::decode(reader)?;
            if map.last_key_value().is_some_and(|(last, _)| key <= *last) {
                return Err(DecodeError { offset, expected: Expected::AscendingKey });
            }
            map.insert(key, V::decode(reader)?);
        }
        Ok(map)
    }
}

impl<K: Canonical + Ord> Canonical for BTreeSet<K> {
    const SIZE_MIN: usize = LENGTH_SIZE;

    fn encode<S: Sink>(&self, out: &mut S) {
        encode_length(self.len(), out);
        for key in self {
            key.encode(out);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut set = BTreeSet::new();
        for _ in 0..reader.count::<K>()? {
            let offset = reader.offset();
            let key = K::decode(reader)?;
            if set.last().is_some_and(|last| key <= *last) {
                return Err(DecodeError { offset, expected: Expected::AscendingKey });
            }
            set.insert(key);
        }
        Ok(set)
    }
}

impl<T: Canonical, const N: usize> Canonical for [T; N] {
    const SIZE_MIN: usize = N * T::SIZE_MIN;

    fn encode<S: Sink>(&self, out: &mut S) {
        T::encode_all(self, out);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let offset = reader.offset();
        let items = T::decode_all(reader, N)?;
        items.try_into().map_err(|_| DecodeError { offset, expected: Expected::Parts { of: "array" } })
    }
}

macro_rules! canonical_tuple {
    ($($name:ident . $place:tt),+) => {
        impl<$($name: Canonical),+> Canonical for ($($name,)+) {
            const SIZE_MIN: usize = 0 $(+ $name::SIZE_MIN)+;

            fn encode<Out: Sink>(&self, out: &mut Out) {
                $(self.$place.encode(out);)+
            }

            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(($($name::decode(reader)?,)+))
            }
        }
    };
}

canonical_tuple!(A.0, B.1);
canonical_tuple!(A.0, B.1, C.2);
canonical_tuple!(A.0, B.1, C.2, D.3);
