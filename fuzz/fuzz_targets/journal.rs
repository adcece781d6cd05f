//! Files of a journal that somebody changed, or that are none: what is read is a beginning of what was written, or a refusal; and what can be read can be gone on with.
#![no_main]

use journal::{Head, Journal, MemoryStorage, Options, Snapshot, Start, Storage, open};
use libfuzzer_sys::fuzz_target;

const OPTIONS: Options = Options { rules: [1; 32], segment_bytes: 400 };

fn read(storage: &MemoryStorage, start: Start) -> Option<(Vec<Vec<u8>>, u64, Journal<MemoryStorage>)> {
    let mut opened = open(storage.clone(), start).ok()?;
    let behind = opened.snapshot.take().map_or(0, |snapshot| snapshot.head.height);
    let mut payloads = Vec::new();
    while let Some(record) = opened.next_record().ok()? {
        payloads.push(record.payload);
    }
    Some((payloads, behind, opened.into_journal(OPTIONS).ok()?))
}

/// Nine records in three segments, with a snapshot at the beginning and one behind the fourth.
fn written() -> (MemoryStorage, Vec<Vec<u8>>) {
    let storage = MemoryStorage::new();
    let (_, _, mut journal) = read(&storage, Start::Newest).expect("an empty disk");
    journal.keep(&Snapshot { head: Head::GENESIS, payload: vec![] }).expect("room");
    let payloads: Vec<Vec<u8>> = (0..9_u8).map(|n| vec![n; usize::from(n) * 9]).collect();
    for payload in &payloads {
        let entry = journal.head().entry(payload.clone());
        journal.append(&entry).expect("it fits");
        journal.commit().expect("room");
        if entry.head().height == 4 {
            journal.keep(&Snapshot { head: entry.head(), payload: vec![4] }).expect("room");
        }
    }
    (storage, payloads)
}

fuzz_target!(|bytes: &[u8]| {
    let (storage, payloads) = written();
    let mut names = storage.list().expect("names");
    names.sort();
    let Some((mode, mut rest)) = bytes.split_first() else { return };
    if mode % 2 == 0 {
        // Some file is these bytes.
        storage.tamper(&names[usize::from(*mode) / 2 % names.len()], |file| *file = rest.to_vec());
    } else {
        // Changes: of which file, what, where, with what.
        while let Some(([file, verb, high, low, value], left)) = rest.split_first_chunk::<5>() {
            rest = left;
            storage.tamper(&names[usize::from(*file) % names.len()], |bytes| {
                if bytes.is_empty() {
                    return;
                }
                let place = usize::from(u16::from_be_bytes([*high, *low])) % bytes.len();
                match verb % 5 {
                    0 => bytes[place] ^= value,
                    1 => bytes.truncate(place),
                    2 => drop(bytes.drain(place..(place + usize::from(*value)).min(bytes.len()))),
                    3 => bytes.insert(place, *value),
                    _ => {
                        let copied = bytes[place..(place + usize::from(*value)).min(bytes.len())].to_vec();
                        bytes.extend(copied);
                    }
                }
            });
        }
    }
    for start in [Start::Newest, Start::Oldest] {
        let Some((found, behind, mut journal)) = read(&storage, start) else { continue };
        let behind = usize::try_from(behind).expect("few");
        assert!(payloads[behind..].starts_with(&found), "what nobody wrote was read");
        let entry = journal.head().entry(b"and on".to_vec());
        journal.append(&entry).expect("it fits");
        journal.commit().expect("room");
        let (again, _, _) = read(&storage, start).expect("what could be read can be read again");
        assert_eq!(again.len(), found.len() + 1);
        assert!(again.starts_with(&found));
        break;
    }
});
