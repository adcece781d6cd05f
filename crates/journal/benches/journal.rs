//! Durable records a second, beside a plain file with checksums and beside what one sync of the disk costs.
//!
//! `cargo bench -p seawall-journal --bench journal [-- DIRECTORY]`

use journal::{Append, FileStorage, Head, Journal, Options, Snapshot, Start, Storage, open};
use std::path::Path;
use std::time::{Duration, Instant};

const RECORD: usize = 200;
const BUDGET: Duration = Duration::from_secs(2);
const OPTIONS: Options = Options { rules: [0; 32], segment_bytes: 64 << 20 };

fn main() {
    let named = std::env::args().skip(1).find(|word| !word.starts_with("--"));
    let home = match &named {
        Some(home) => tempfile::tempdir_in(home),
        None => tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")),
    };
    let home = home.expect("a directory to write into");
    syncs(&home.path().join("syncs"));
    println!("records of {RECORD} B a second, durable");
    println!("{:>8} {:>14} {:>14} {:>8}", "group", "journal", "plain CRC", "share");
    for group in [1, 64, 1_024, 8_192] {
        // In turns, since what a sync costs moves.
        let mut rates = [0.0, 0.0];
        for round in 0..2 {
            let ours = home.path().join(format!("ours-{group}-{round}"));
            let plain = home.path().join(format!("plain-{group}-{round}"));
            rates[0] += journalled(&ours, group) / 2.0;
            rates[1] += plainly(&plain, group) / 2.0;
        }
        println!("{group:>8} {:>14.0} {:>14.0} {:>8.2}", rates[0], rates[1], rates[0] / rates[1]);
    }
    read(&home.path().join("read"));
}

fn journal_at(home: &Path) -> Journal<FileStorage> {
    let mut opened = open(FileStorage::open(home).expect("a directory"), Start::Newest).expect("a journal");
    while opened.next_record().expect("records").is_some() {}
    opened.into_journal(OPTIONS).expect("a journal to write to")
}

/// What one sync of a page costs.
fn syncs(home: &Path) {
    let storage = FileStorage::open(home).expect("a directory");
    let mut file = storage.create("page").expect("a file");
    let mut spans: Vec<Duration> = Vec::new();
    let started = Instant::now();
    while started.elapsed() < BUDGET {
        file.append(&[7; 4_096]).expect("room");
        let before = Instant::now();
        file.sync().expect("a sync");
        spans.push(before.elapsed());
    }
    spans.sort();
    let at = |share: f64| spans[((spans.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!("fdatasync of a page: p50 {:.2} ms, p99 {:.2} ms, {} in all", at(0.5), at(0.99), spans.len());
}

fn rate(mut group: impl FnMut() -> usize) -> f64 {
    let (started, mut records) = (Instant::now(), 0);
    while started.elapsed() < BUDGET {
        records += group();
    }
    records as f64 / started.elapsed().as_secs_f64()
}

fn journalled(home: &Path, group: usize) -> f64 {
    let mut journal = journal_at(home);
    rate(|| {
        for _ in 0..group {
            let entry = journal.head().entry(vec![7; RECORD]);
            journal.append(&entry).expect("room");
        }
        journal.commit().expect("a commit");
        group
    })
}

fn plainly(home: &Path, group: usize) -> f64 {
    let mut file = FileStorage::open(home).expect("a directory").create("plain").expect("a file");
    let mut buffer = Vec::new();
    rate(|| {
        buffer.clear();
        for _ in 0..group {
            let record = vec![7; RECORD];
            buffer.extend(u32::try_from(record.len()).expect("small").to_le_bytes());
            buffer.extend(crc32c::crc32c(&record).to_le_bytes());
            buffer.extend(record);
        }
        file.append(&buffer).expect("room");
        file.sync().expect("a sync");
        group
    })
}

fn read(home: &Path) {
    const RECORDS: usize = 1_000_000;
    let mut journal = journal_at(home);
    journal.keep(&Snapshot { head: Head::GENESIS, payload: vec![] }).expect("a snapshot");
    for _ in 0..RECORDS {
        let entry = journal.head().entry(vec![7; RECORD]);
        journal.append(&entry).expect("room");
        if entry.head().height.is_multiple_of(10_000) {
            journal.commit().expect("a commit");
        }
    }
    journal.commit().expect("a commit");
    drop(journal);
    let started = Instant::now();
    let mut opened = open(FileStorage::open(home).expect("a directory"), Start::Newest).expect("a journal");
    let mut records = 0;
    while opened.next_record().expect("a record").is_some() {
        records += 1;
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{records} records read and checked in {seconds:.2} s, {:.0} a second", f64::from(records) / seconds);
}
