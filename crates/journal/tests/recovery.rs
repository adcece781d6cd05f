//! What is there after a stop: everything that was acknowledged, and nothing that could not be.

use journal::{
    Append, Crash, Damage, Entry, Fault, FileStorage, Head, Journal, MemoryStorage, Options, Record, Snapshot, Start,
    Storage, Trouble, open,
};
use proptest::prelude::*;

const OPTIONS: Options = Options { rules: [1; 32], segment_bytes: 1 << 20 };
/// Of the header of a segment, and of a record without its payload.
const HEADER: usize = 88;
const PREFIX: usize = 60;

fn read<S: Storage>(storage: S, start: Start) -> Result<(journal::Opened<S>, Vec<Record>), Fault> {
    let mut opened = open(storage, start)?;
    // Whoever reads has taken it by then.
    let snapshot = opened.snapshot.take();
    let mut records = Vec::new();
    while let Some(record) = opened.next_record()? {
        records.push(record);
    }
    opened.snapshot = snapshot;
    Ok((opened, records))
}

fn go_on<S: Storage>(storage: S) -> Result<(Journal<S>, Vec<Record>), Fault> {
    let (opened, records) = read(storage, Start::Newest)?;
    Ok((opened.into_journal(OPTIONS)?, records))
}

fn append<S: Storage>(journal: &mut Journal<S>, payload: &[u8]) -> Head {
    let entry: Entry = journal.head().entry(payload.to_vec());
    journal.append(&entry).unwrap();
    entry.head()
}

/// Groups of records, each committed: `b"ab"` is two of a byte each.
fn written(storage: &MemoryStorage, groups: &[&[u8]]) -> Journal<MemoryStorage> {
    let (mut journal, _) = go_on(storage.clone()).unwrap();
    for group in groups {
        for byte in *group {
            append(&mut journal, &[*byte]);
        }
        journal.commit().unwrap();
    }
    journal
}

/// The payloads of one byte each that are there.
#[track_caller]
fn check(storage: &MemoryStorage, expected: &str) {
    let (_, records) = read(storage.clone(), Start::Newest).unwrap();
    let found: Vec<u8> = records.iter().flat_map(|record| record.payload.clone()).collect();
    assert_eq!(String::from_utf8(found).unwrap(), expected);
    let heights: Vec<u64> = records.iter().map(|record| record.head.height).collect();
    assert_eq!(heights, (1..=expected.len() as u64).collect::<Vec<u64>>());
}

const FIRST: &str = "00000000000000000000.segment";

#[test]
fn what_was_committed_is_there_and_goes_on() {
    let storage = MemoryStorage::new();
    check(&storage, "");
    let journal = written(&storage, &[b"ab", b"c"]);
    assert_eq!((journal.head().height, journal.synced()), (3, 3));
    check(&storage, "abc");
    let journal = written(&storage, &[b"d"]);
    assert_eq!(journal.synced(), 4);
    check(&storage, "abcd");
    assert_eq!(storage.list().unwrap(), [FIRST]);
}

#[test]
fn a_crash_loses_only_what_nobody_was_told_of() {
    for (crash, left, cut) in [
        (Crash::Lost, "ab", 0),
        (Crash::Kept(1), "ab", 1),
        (Crash::Kept(PREFIX), "ab", PREFIX as u64),
        (Crash::Kept(PREFIX + 1), "abc", 0),
        (Crash::Kept(PREFIX + 2), "abc", 1),
        // The whole of it, or the later block without the earlier one: neither was acknowledged.
        (Crash::Kept(usize::MAX), "abcd", 0),
        (Crash::Reordered(PREFIX), "ab", 2 * (PREFIX as u64 + 1)),
        (Crash::Reordered(1), "ab", 2 * (PREFIX as u64 + 1)),
    ] {
        let storage = MemoryStorage::new();
        let mut journal = written(&storage, &[b"ab"]);
        append(&mut journal, b"c");
        append(&mut journal, b"d");
        // Written, and not synced.
        storage.trouble(1, Trouble::Refused);
        assert!(journal.commit().is_err());
        storage.crash(crash);
        check(&storage, left);
        let (opened, _) = read(storage.clone(), Start::Newest).unwrap();
        assert_eq!(opened.cut().map_or(0, |cut| cut.bytes), cut, "{crash:?}");
        drop(written(&storage, &[b"x"]));
        check(&storage, &format!("{left}x"));
    }
}

#[test]
fn a_bit_that_flips_before_what_was_acknowledged_is_refused_with_its_place() {
    let len = HEADER + 3 * (PREFIX + 1);
    for byte in HEADER..len {
        let storage = MemoryStorage::new();
        drop(written(&storage, &[b"a", b"b", b"c"]));
        storage.tamper(FIRST, |bytes| bytes[byte] ^= 0x10);
        let record = (byte - HEADER) / (PREFIX + 1);
        let found = read(storage.clone(), Start::Newest);
        if record == 2 {
            // Of the last one nobody wrote that it was durable: it is what a crash may leave.
            check(&storage, "ab");
            continue;
        }
        let Err(Fault::Corrupt { name, offset, height, .. }) = found else { panic!("byte {byte}: {found:?}") };
        assert_eq!(
            (name.as_str(), offset, height),
            (FIRST, (HEADER + record * (PREFIX + 1)) as u64, record as u64 + 1)
        );
    }
    let storage = MemoryStorage::new();
    drop(written(&storage, &[b"a", b"b"]));
    storage.tamper(FIRST, |bytes| bytes[HEADER + PREFIX] ^= 1);
    let said = read(storage, Start::Newest).unwrap_err().to_string();
    let expected = "00000000000000000000.segment at byte 88: its checksum does not fit, where height 1 is expected; what \
                    follows it was acknowledged, so nothing is cut: restore the file from a copy";
    assert_eq!(said, expected);
}

#[test]
fn a_hole_an_exchange_and_a_stranger_are_refused() {
    let at = |record: usize| HEADER + record * (PREFIX + 1);
    type Change = fn(&mut Vec<u8>, &dyn Fn(usize) -> usize);
    let cases: [(&str, Change, Damage); 3] = [
        ("a record is gone", |bytes, at| drop(bytes.drain(at(1)..at(2))), Damage::Height { found: 3 }),
        ("two are exchanged", |bytes, at| bytes[at(1)..at(3)].rotate_left(PREFIX + 1), Damage::Height { found: 3 }),
        (
            "one is intact, of the same height, and from elsewhere",
            |bytes, at| {
                let other = MemoryStorage::new();
                drop(written(&other, &[b"z", b"y"]));
                let other = other.read(FIRST).unwrap();
                bytes[at(1)..at(2)].copy_from_slice(&other[at(1)..at(2)]);
            },
            Damage::Chain,
        ),
    ];
    for (what, change, expected) in cases {
        let storage = MemoryStorage::new();
        drop(written(&storage, &[b"a", b"b", b"c", b"d"]));
        storage.tamper(FIRST, |bytes| change(bytes, &at));
        let found = read(storage, Start::Newest);
        let Err(Fault::Corrupt { offset, height, damage, .. }) = found else { panic!("{what}: {found:?}") };
        assert_eq!((offset, height, damage), (at(1) as u64, 2, expected), "{what}");
    }
}

#[test]
fn a_failed_write_or_sync_is_the_end() {
    for (after, trouble) in [(0, Trouble::Refused), (0, Trouble::Short(70)), (1, Trouble::Refused)] {
        let storage = MemoryStorage::new();
        let mut journal = written(&storage, &[b"a"]);
        append(&mut journal, b"b");
        storage.trouble(after, trouble);
        assert!(matches!(journal.commit(), Err(Fault::Io { .. })));
        // The disk works again, and nobody asks it.
        assert_eq!(journal.synced(), 1);
        assert!(matches!(journal.commit(), Err(Fault::Dead { .. })));
        let entry = journal.head().entry(vec![]);
        assert!(matches!(journal.append(&entry), Err(Fault::Dead { .. })));
        let snapshot = Snapshot { head: Head::GENESIS, payload: vec![] };
        assert!(matches!(journal.keep(&snapshot), Err(Fault::Dead { .. })));
        storage.crash(Crash::Lost);
        check(&storage, "a");
    }
}

#[test]
fn a_full_disk_loses_nothing_that_was_there() {
    let storage = MemoryStorage::new();
    let mut journal = written(&storage, &[b"a"]);
    storage.room(Some(PREFIX));
    append(&mut journal, b"b");
    assert!(matches!(journal.commit(), Err(Fault::Io { doing: "writing", .. })));
    storage.crash(Crash::Kept(usize::MAX));
    check(&storage, "a");
    // A snapshot that does not fit is none.
    let mut journal = written(&storage, &[b"b"]);
    storage.room(Some(10));
    let snapshot = Snapshot { head: journal.head(), payload: vec![7; 100] };
    assert!(journal.keep(&snapshot).is_err());
    storage.room(None);
    check(&storage, "ab");
    // There the journal goes on: its records are not concerned.
    append(&mut journal, b"c");
    assert_eq!(journal.commit().unwrap(), 3);
}

#[test]
fn segments_follow_one_another_and_none_may_be_missing() {
    let storage = MemoryStorage::new();
    let options = Options { segment_bytes: (HEADER + 2 * (PREFIX + 1)) as u64, ..OPTIONS };
    let write = |storage: &MemoryStorage, payloads: &[u8]| {
        let (opened, _) = read(storage.clone(), Start::Newest).unwrap();
        let mut journal = opened.into_journal(options).unwrap();
        for byte in payloads {
            append(&mut journal, &[*byte]);
            journal.commit().unwrap();
        }
    };
    write(&storage, b"abc");
    // The third began the second segment; what is full is followed by the next when it is opened again, too.
    write(&storage, b"de");
    check(&storage, "abcde");
    let names = storage.list().unwrap();
    assert_eq!(names, [FIRST, "00000000000000000002.segment", "00000000000000000004.segment"]);
    let tampered = |change: &dyn Fn(&MemoryStorage)| {
        let storage = MemoryStorage::new();
        write(&storage, b"abcde");
        change(&storage);
        read(storage, Start::Newest).map(|(_, records)| records.len())
    };
    let gone = tampered(&|storage| storage.remove(&names[1]).unwrap());
    assert!(matches!(gone, Err(Fault::Gap { expected: 2, found: 4, .. })), "{gone:?}");
    let gone = tampered(&|storage| storage.remove(FIRST).unwrap());
    assert!(matches!(gone, Err(Fault::Gap { expected: 0, found: 2, .. })), "{gone:?}");
    // The end of a segment that is followed by another was durable.
    let short = tampered(&|storage| storage.tamper(FIRST, |bytes| bytes.truncate(bytes.len() - 1)));
    assert!(matches!(short, Err(Fault::Corrupt { height: 2, damage: Damage::Short, .. })), "{short:?}");
    // One that is being made when the power goes is not there.
    for len in [0, HEADER - 1] {
        let made = tampered(&|storage| storage.tamper(&names[2], |bytes| bytes.truncate(len)));
        assert_eq!(made.unwrap(), 4);
    }
    let foreign = tampered(&|storage| {
        storage.tamper(FIRST, |bytes| {
            bytes[8] = 2;
            let crc = crc32c::crc32c(&bytes[..HEADER - 4]);
            bytes[HEADER - 4..HEADER].copy_from_slice(&crc.to_le_bytes());
        });
    });
    assert!(matches!(foreign, Err(Fault::Foreign { damage: Damage::Version { found: 2 }, .. })), "{foreign:?}");
}

#[test]
fn other_rules_begin_another_segment() {
    let storage = MemoryStorage::new();
    drop(written(&storage, &[b"a"]));
    for (rules, payload) in [([2; 32], &b"b"[..]), ([3; 32], b""), ([4; 32], b"c")] {
        let (opened, _) = read(storage.clone(), Start::Newest).unwrap();
        let mut journal = opened.into_journal(Options { rules, ..OPTIONS }).unwrap();
        for byte in payload {
            append(&mut journal, &[*byte]);
        }
        journal.commit().unwrap();
    }
    let (_, records) = read(storage.clone(), Start::Newest).unwrap();
    let under: Vec<(u8, u8)> = records.iter().map(|record| (record.payload[0], record.rules[0])).collect();
    assert_eq!(under, [(b'a', 1), (b'b', 2), (b'c', 4)]);
    assert_eq!(storage.list().unwrap().len(), 3);
}

#[test]
fn reading_begins_behind_the_newest_good_snapshot_or_the_oldest() {
    let storage = MemoryStorage::new();
    let mut journal = written(&storage, &[]);
    let keep = |journal: &mut Journal<MemoryStorage>, payload: &[u8]| {
        let snapshot = Snapshot { head: journal.head(), payload: payload.to_vec() };
        journal.keep(&snapshot).unwrap();
    };
    keep(&mut journal, b"genesis");
    for (payload, kept) in [(b"a", &b"behind a"[..]), (b"b", b"behind b"), (b"c", b"")] {
        append(&mut journal, payload);
        journal.commit().unwrap();
        if !kept.is_empty() {
            keep(&mut journal, kept);
        }
    }
    let found = |start: Start| {
        let (opened, records) = read(storage.clone(), start).unwrap();
        let payloads: Vec<u8> = records.iter().flat_map(|record| record.payload.clone()).collect();
        (String::from_utf8(opened.snapshot.unwrap().payload).unwrap(), String::from_utf8(payloads).unwrap())
    };
    let say = |snapshot: &str, records: &str| (snapshot.to_owned(), records.to_owned());
    assert_eq!(found(Start::Newest), say("behind b", "c"));
    assert_eq!(found(Start::Oldest), say("genesis", "abc"));
    // A bad one is passed over.
    storage.tamper("00000000000000000002.snapshot", |bytes| bytes[70] ^= 1);
    assert_eq!(found(Start::Newest), say("behind a", "bc"));
    // One that is called by another height is not what it says.
    let elsewhere = storage.read("00000000000000000001.snapshot").unwrap();
    storage.replace("00000000000000000003.snapshot", &elsewhere).unwrap();
    assert_eq!(found(Start::Newest), say("behind a", "bc"));
    for height in 0..3 {
        storage.tamper(&format!("{height:020}.snapshot"), |bytes| bytes.truncate(8));
    }
    let none = read(storage.clone(), Start::Newest);
    assert!(matches!(none, Err(Fault::NoSnapshot { found: 4, .. })), "{none:?}");
}

#[test]
fn records_before_a_snapshot_were_durable_whatever_follows() {
    let storage = MemoryStorage::new();
    let mut journal = written(&storage, &[b"ab"]);
    journal.keep(&Snapshot { head: journal.head(), payload: vec![] }).unwrap();
    // Nothing is behind the second record, but a snapshot says that it was there.
    let whole = storage.read(FIRST).unwrap();
    for change in [
        |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() - 1),
        |bytes: &mut Vec<u8>| bytes.truncate(HEADER + PREFIX + 1),
    ] {
        storage.tamper(FIRST, change);
        for start in [Start::Newest, Start::Oldest] {
            let found = read(storage.clone(), start);
            assert!(matches!(found, Err(Fault::Corrupt { height: 2, damage: Damage::Short, .. })), "{found:?}");
        }
        storage.tamper(FIRST, |bytes| bytes.clone_from(&whole));
    }
    // A snapshot behind another history than the records'.
    let other = MemoryStorage::new();
    let mut journal = written(&other, &[b"xy"]);
    journal.keep(&Snapshot { head: journal.head(), payload: vec![] }).unwrap();
    let stranger = other.read("00000000000000000002.snapshot").unwrap();
    storage.replace("00000000000000000002.snapshot", &stranger).unwrap();
    let found = read(storage, Start::Newest);
    assert!(matches!(found, Err(Fault::Corrupt { damage: Damage::Chain, .. })), "{found:?}");
}

#[test]
fn a_record_has_its_largest_size() {
    let storage = MemoryStorage::new();
    let mut journal = written(&storage, &[]);
    append(&mut journal, &vec![0; journal::PAYLOAD_MAX]);
    let entry = journal.head().entry(vec![0; journal::PAYLOAD_MAX + 1]);
    assert!(matches!(journal.append(&entry), Err(Fault::TooLarge { .. })));
    journal.commit().unwrap();
    assert_eq!(read(storage, Start::Newest).unwrap().1.len(), 1);
}

#[test]
fn files_on_a_disk_go_on_like_those_in_memory() {
    let home = tempfile::tempdir().unwrap();
    for (payload, before) in [(&b"one"[..], 0), (b"two", 1), (b"three", 2)] {
        let (mut journal, records) = go_on(FileStorage::open(home.path()).unwrap()).unwrap();
        assert_eq!(records.len(), before);
        append(&mut journal, payload);
        journal.commit().unwrap();
    }
    let mut file = FileStorage::open(home.path()).unwrap().reopen(FIRST, 100).unwrap();
    file.append(&[0; 500]).unwrap();
    let (journal, records) = go_on(FileStorage::open(home.path()).unwrap()).unwrap();
    assert_eq!((records.len(), journal.head()), (0, Head::GENESIS));
}

#[test]
fn a_bundle_holds_the_journal_and_no_changed_byte_passes() {
    let storage = MemoryStorage::new();
    let options = Options { segment_bytes: 200, ..OPTIONS };
    let mut journal = read(storage.clone(), Start::Newest).unwrap().0.into_journal(options).unwrap();
    journal.keep(&Snapshot { head: journal.head(), payload: vec![1] }).unwrap();
    for payload in [b"a", b"b", b"c"] {
        append(&mut journal, payload);
        journal.commit().unwrap();
    }
    journal.attest(3, "three").unwrap();
    // What is no file of a journal stays where it is.
    storage.replace("key", b"secret").unwrap();
    let mut bundle = Vec::new();
    assert_eq!(journal::pack(&storage, Some("who"), &mut bundle).unwrap(), 5);
    assert!(!bundle.windows(6).any(|window| window == b"secret"));
    let unpacked = |bytes: &[u8]| {
        let storage = MemoryStorage::new();
        journal::unpack("b", &mut &bytes[..], &storage).map(|unpacked| (unpacked, storage))
    };
    let (found, other) = unpacked(&bundle).unwrap();
    assert_eq!((found.files, found.verifier.as_deref(), found.is_whole), (5, Some("who"), true));
    for name in other.list().unwrap() {
        assert_eq!(other.read(&name).unwrap(), storage.read(&name).unwrap(), "{name}");
    }
    assert_eq!(other.list().unwrap().len(), 4);
    for place in 0..bundle.len() {
        let mut changed = bundle.clone();
        changed[place] ^= 1;
        assert!(
            unpacked(&changed).is_ok_and(|(found, _)| !found.is_whole) || unpacked(&changed).is_err(),
            "byte {place}"
        );
    }
    for len in 0..bundle.len() {
        assert!(unpacked(&bundle[..len]).is_ok_and(|(found, _)| !found.is_whole) || unpacked(&bundle[..len]).is_err());
    }
    bundle.push(0);
    assert!(!unpacked(&bundle).unwrap().0.is_whole);
    // Nobody is led to write elsewhere, or to make room for what is not there.
    let crafted = |name: &str, len: u64| {
        let mut bytes = b"SEAWALLB\x01\x00".to_vec();
        bytes.push(u8::try_from(name.len()).unwrap());
        bytes.extend(name.as_bytes());
        bytes.extend(len.to_le_bytes());
        unpacked(&bytes).map(drop).unwrap_err()
    };
    for (name, len) in [("../key", 0), ("0.segment", 0), ("lock", 0), (FIRST, 5), (FIRST, 1 << 30), (FIRST, u64::MAX)] {
        let fault = crafted(name, len);
        assert!(matches!(fault, Fault::Foreign { what: "bundle", .. }), "{name} {len}: {fault}");
    }
}

proptest! {
    /// Groups are written; the power goes at some operation; what is there then goes on. Everything that a commit returned for is
    /// there, in order, and what is there besides was appended.
    #[test]
    fn whenever_the_power_goes_everything_acknowledged_is_there(
        groups in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..5), 1..12),
        after in 0_u64..24,
        short in 0_usize..400,
        kept in 0_usize..400,
        kind in 0..4,
        segment_bytes in 100_u64..600,
    ) {
        let storage = MemoryStorage::new();
        let options = Options { segment_bytes, ..OPTIONS };
        let mut journal = read(storage.clone(), Start::Newest).unwrap().0.into_journal(options).unwrap();
        storage.trouble(after, if kind == 0 { Trouble::Refused } else { Trouble::Short(short) });
        let (mut appended, mut acknowledged) = (Vec::new(), 0);
        'story: for group in &groups {
            for payload in group {
                let entry = journal.head().entry(payload.clone());
                journal.append(&entry).unwrap();
                appended.push(payload.clone());
            }
            match journal.commit() {
                Ok(synced) => acknowledged = synced,
                Err(_) => break 'story,
            }
        }
        storage.crash(match kind { 0 => Crash::Lost, 1 => Crash::Reordered(kept), _ => Crash::Kept(kept) });
        let (opened, records) = read(storage.clone(), Start::Newest).unwrap();
        let found: Vec<Vec<u8>> = records.into_iter().map(|record| record.payload).collect();
        prop_assert!(acknowledged <= found.len() as u64);
        prop_assert_eq!(&found[..], &appended[..found.len()]);
        let mut journal = opened.into_journal(options).unwrap();
        append(&mut journal, b"and on");
        journal.commit().unwrap();
        prop_assert_eq!(read(storage, Start::Newest).unwrap().1.len(), found.len() + 1);
    }

    /// Whatever somebody does to the files, what is read is a beginning of what was written, or refused. And what can be read can be gone on with.
    #[test]
    fn nothing_is_read_that_nobody_wrote(
        edits in prop::collection::vec((0_usize..8, 0..5, any::<prop::sample::Index>(), 1_usize..90), 1..4),
    ) {
        let storage = MemoryStorage::new();
        let options = Options { segment_bytes: 300, ..OPTIONS };
        let mut journal = read(storage.clone(), Start::Newest).unwrap().0.into_journal(options).unwrap();
        journal.keep(&Snapshot { head: journal.head(), payload: vec![] }).unwrap();
        let payloads: Vec<Vec<u8>> = (0..9_u8).map(|n| vec![n; usize::from(n) * 5]).collect();
        for payload in &payloads {
            let head = append(&mut journal, payload);
            journal.commit().unwrap();
            if head.height == 4 {
                journal.keep(&Snapshot { head, payload: vec![4] }).unwrap();
            }
        }
        let names = storage.list().unwrap();
        for (file, verb, place, some) in edits {
            storage.tamper(&names[file % names.len()], |bytes| {
                if bytes.is_empty() {
                    return;
                }
                let place = place.index(bytes.len());
                let until = (place + some).min(bytes.len());
                match verb {
                    0 => bytes[place] ^= some as u8,
                    1 => bytes.truncate(place),
                    2 => drop(bytes.drain(place..until)),
                    3 => bytes.insert(place, some as u8),
                    _ => bytes.extend_from_within(place..until),
                }
            });
        }
        for start in [Start::Newest, Start::Oldest] {
            let Ok((opened, records)) = read(storage.clone(), start) else { continue };
            let behind = opened.snapshot.as_ref().map_or(0, |snapshot| snapshot.head.height);
            let found: Vec<Vec<u8>> = records.into_iter().map(|record| record.payload).collect();
            prop_assert!(payloads[usize::try_from(behind).unwrap()..].starts_with(&found));
            let mut journal = opened.into_journal(options).unwrap();
            append(&mut journal, b"and on");
            journal.commit().unwrap();
            let (_, again) = read(storage.clone(), start).unwrap();
            prop_assert_eq!(again.len(), found.len() + 1);
            break;
        }
    }
}
