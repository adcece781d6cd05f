//! Bytes that nobody wrote are refused where they go wrong, without a panic and without a large allocation.

use crate::dice::{Dice, Draw};
use codec::{Canonical, DecodeError, Expected, Leaf, Reader, from_bytes, layout, to_bytes};
use proptest::prelude::*;
use protocol::params::VenueParams;
use protocol::restriction::Restriction;
use protocol::{Batch, Effect, Mode};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use units::{Ratio, Scale};

const HEADER: [u8; 6] = [b'S', b'E', b'A', b'W', 1, 0];

fn read<T: Canonical>(body: &[u8]) -> Result<T, DecodeError> {
    let mut bytes = HEADER.to_vec();
    bytes.extend_from_slice(body);
    from_bytes(&bytes)
}

fn refused<T>(offset: usize, expected: Expected) -> Result<T, DecodeError> {
    Err(DecodeError { offset, expected })
}

#[test]
fn a_truncation_at_any_offset_is_refused() {
    fn check<T: Draw + Debug>() {
        let mut dice = Dice(2);
        for _ in 0..20 {
            let bytes = to_bytes(&T::draw(&mut dice));
            for len in 0..bytes.len() {
                let error = from_bytes::<T>(&bytes[..len]).expect_err("a truncation");
                assert!(error.offset <= len, "{error} in {len} bytes");
            }
            let mut longer = bytes.clone();
            longer.push(0);
            let end = Expected::End { left: 1 };
            assert_eq!(from_bytes::<T>(&longer).map(|_| ()), refused(bytes.len(), end));
        }
    }
    check::<Batch>();
    check::<Effect>();
    check::<VenueParams>();
    check::<BTreeMap<u16, Vec<u8>>>();
}

/// Whatever decodes encodes to the same bytes: there is no second encoding of anything.
fn canonical_or_refused<T: Canonical>(bytes: &[u8]) {
    if let Ok(value) = from_bytes::<T>(bytes) {
        assert_eq!(to_bytes(&value), bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bytes_are_another_value_or_refused(seed: u64, at: prop::sample::Index, flip in 1..=u8::MAX) {
        fn check<T: Draw + PartialEq + Debug>(seed: u64, at: prop::sample::Index, flip: u8) {
            let value = T::draw(&mut Dice(seed));
            let mut bytes = to_bytes(&value);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            canonical_or_refused::<T>(&bytes);
            assert_ne!(from_bytes(&bytes).as_ref(), Ok(&value), "two encodings of one value");
        }
        check::<Batch>(seed, at, flip);
        check::<Effect>(seed, at, flip);
        check::<VenueParams>(seed, at, flip);
        check::<BTreeMap<u8, Option<bool>>>(seed, at, flip);
    }

    #[test]
    fn any_bytes_are_a_value_or_refused(body: Vec<u8>) {
        let mut bytes = HEADER.to_vec();
        bytes.extend_from_slice(&body);
        canonical_or_refused::<Batch>(&bytes);
        canonical_or_refused::<Effect>(&bytes);
        canonical_or_refused::<VenueParams>(&bytes);
        canonical_or_refused::<BTreeSet<u8>>(&bytes);
        canonical_or_refused::<BTreeMap<bool, Option<u8>>>(&bytes);
        canonical_or_refused::<Batch>(&body);
    }
}

#[test]
fn every_leaf_can_be_found_and_corrupted() {
    let value = Batch::draw(&mut Dice(4));
    let bytes = to_bytes(&value);
    for leaf in layout(&value) {
        let mut corrupt = bytes.clone();
        let place = &mut corrupt[leaf.offset..leaf.offset + leaf.len];
        match leaf.kind {
            Leaf::Int { .. } | Leaf::Bytes => place[0] ^= 1,
            Leaf::Bool | Leaf::Tag | Leaf::Length => place.fill(0xff),
        }
        assert_ne!(from_bytes(&corrupt).as_ref(), Ok(&value), "{leaf:?}");
    }
}

#[test]
fn a_claimed_length_is_held_against_the_bytes_left() {
    let items = |count, left| Expected::Items { count, left };
    assert_eq!(read::<Vec<u64>>(&[0xff; 4]), refused(6, items(u32::MAX, 0)));
    // Two items of eight bytes take sixteen: fifteen are one too few.
    let mut body = vec![0; 4 + 16];
    body[0] = 2;
    assert_eq!(read::<Vec<u64>>(&body), Ok(vec![0, 0]));
    assert_eq!(read::<Vec<u64>>(&body[..19]), refused(6, items(2, 15)));
    assert_eq!(read::<BTreeMap<u32, u32>>(&body[..19]), refused(6, items(2, 15)));
    assert_eq!(read::<BTreeSet<u64>>(&body[..19]), refused(6, items(2, 15)));
    // An item of a variable size counts with its least: here, two options of one byte each.
    assert_eq!(read::<Vec<Option<u64>>>(&[2, 0, 0, 0, 0, 0]), Ok(vec![None, None]));
    assert_eq!(read::<Vec<Option<u64>>>(&[2, 0, 0, 0, 0]), refused(6, items(2, 1)));
}

#[test]
fn a_list_takes_its_memory_at_once_but_no_more_than_there_are_bytes_left() {
    let mut body = vec![0; 4 + 5 * 8];
    body[0] = 5;
    assert_eq!(read::<Vec<u64>>(&body).map(|items| items.capacity()), Ok(5));
    // Each of these bytes could begin an item of 64 KiB. Memory for as many items as bytes is 4 GiB, for a multiple of
    // that it is more than an address can reach; memory for the bytes is that of no item at all.
    type Wide = Option<[u64; 8_192]>;
    let bytes = [2; 65_536];
    let found = Wide::decode_all(&mut Reader::new(&bytes), usize::MAX);
    assert_eq!(found.map(|_| ()), refused(0, Expected::Tag { of: "Option", found: 2 }));
}

#[test]
fn the_least_size_of_a_struct_is_the_sum_of_its_fields() {
    assert_eq!(protocol::input::Observation::SIZE_MIN, 2 + 1 + 2 + 8 + 8 + 8 + 8);
    assert_eq!(Batch::SIZE_MIN, 8 + 8 + 32 + 4);
    assert_eq!(<[Option<u64>; 3]>::SIZE_MIN, 3);
    assert_eq!(<[u64; 3]>::SIZE_MIN, 24);
    assert_eq!(Restriction::SIZE_MIN, 20);
    assert_eq!(Scale::SIZE_MIN, 2);
    assert_eq!(Reader::new(&[1, 0, 0, 0]).count::<Batch>().map_err(|e| e.offset), Err(0));
}

#[test]
fn keys_that_do_not_ascend_are_refused() {
    assert_eq!(read::<BTreeSet<u8>>(&[2, 0, 0, 0, 1, 2]), Ok(BTreeSet::from([1, 2])));
    assert_eq!(read::<BTreeSet<u8>>(&[2, 0, 0, 0, 2, 2]), refused(11, Expected::AscendingKey));
    assert_eq!(read::<BTreeSet<u8>>(&[2, 0, 0, 0, 2, 1]), refused(11, Expected::AscendingKey));
    assert_eq!(read::<BTreeMap<i8, u8>>(&[2, 0, 0, 0, 0xff, 9, 0, 9]), Ok(BTreeMap::from([(-1, 9), (0, 9)])));
    assert_eq!(read::<BTreeMap<i8, u8>>(&[2, 0, 0, 0, 0, 9, 0, 9]), refused(12, Expected::AscendingKey));
    assert_eq!(read::<BTreeMap<i8, u8>>(&[2, 0, 0, 0, 0, 9, 0xff, 9]), refused(12, Expected::AscendingKey));
}

#[test]
fn only_zero_and_one_are_booleans_and_options() {
    assert_eq!(read::<bool>(&[1]), Ok(true));
    assert_eq!(read::<bool>(&[2]), refused(6, Expected::Bool { found: 2 }));
    assert_eq!(read::<Option<u8>>(&[1, 7]), Ok(Some(7)));
    assert_eq!(read::<Option<u8>>(&[2, 7]), refused(6, Expected::Tag { of: "Option", found: 2 }));
    assert_eq!(read::<(u8, Mode)>(&[0, 5]), Ok((0, Mode::Settling)));
    assert_eq!(read::<(u8, Mode)>(&[0, 6]), refused(7, Expected::Tag { of: "Mode", found: 6 }));
}

#[test]
fn parts_that_no_value_has_are_refused() {
    assert_eq!(read::<Scale>(&[9, 12]).ok(), Scale::new(9, 12));
    assert_eq!(read::<Scale>(&[10, 12]), refused(6, Expected::Parts { of: "Scale" }));
    assert_eq!(read::<Scale>(&[7, 0]), refused(6, Expected::Parts { of: "Scale" }));
    let parts = |bits: u32, addon: i64, scale: i64| to_bytes(&(bits, addon, scale));
    let one = Ratio::ONE.0;
    assert_eq!(from_bytes(&parts(0, 0, one)), Ok(Restriction::OPEN));
    let no = refused::<Restriction>(6, Expected::Parts { of: "Restriction" });
    assert_eq!(from_bytes(&parts(1 << 18, 0, one)), no);
    assert_eq!(from_bytes(&parts(0, -1, one)), no);
    assert_eq!(from_bytes(&parts(0, 0, one + 1)), no);
}

#[test]
fn another_magic_or_version_is_refused() {
    assert_eq!(from_bytes::<u8>(b"SEAW\x01\x00\x07"), Ok(7));
    assert_eq!(from_bytes::<u8>(b"SEAV\x01\x00\x07"), refused(0, Expected::Magic { found: *b"SEAV" }));
    assert_eq!(from_bytes::<u8>(b"SEAW\x02\x00\x07"), refused(4, Expected::Version { found: 2 }));
    assert_eq!(from_bytes::<u8>(b"SEAW\x01\x01\x07"), refused(4, Expected::Version { found: 257 }));
    assert_eq!(from_bytes::<u8>(b"SEA"), refused(0, Expected::Bytes { needed: 4, left: 3 }));
}

#[test]
fn an_error_says_where_and_what() {
    let error = from_bytes::<bool>(b"SEAW\x01\x00\x03").unwrap_err();
    assert_eq!(error.to_string(), "at byte 6: expected 0 or 1, found 3");
    let error = from_bytes::<Batch>(b"SEAW\x01\x00").unwrap_err();
    assert_eq!(error.to_string(), "at byte 6: expected 8 bytes, 0 left");
}
