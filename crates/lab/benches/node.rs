//! How fast inputs become durable decisions: throughput beside a plain file with checksums, latency beside one sync of the disk, recovery, verification.
//! `cargo bench -p seawall-lab --bench node [-- --bars N]`
#![allow(missing_docs, unreachable_pub)]

mod generated;

use journal::{Append, FileStorage, Storage};
use lab::live::Venue;
use lab::replay::accounts::AccountsFrom;
use node::{Config, Node, verify};
use protocol::input::Observation;
use protocol::{Batch, Input};
use std::path::Path;
use std::time::{Duration, Instant};
use units::{Price, Timestamp};
use venue::Limits;

const LIMITS: Limits = Limits { orders_max: 1 << 20, kernel_orders_max: 1 << 20 };
/// No snapshot but the first and the last.
const CONFIG: Config = Config { segment_bytes: 64 << 20, snapshot_every: u64::MAX, limits: LIMITS };
const SAMPLES: usize = 2_000;

fn main() {
    let generated_in = tempfile::tempdir().expect("a temporary directory");
    let options = generated::options(generated_in.path(), generated::number("--bars", 100_000));
    let (policy, _) = generated::policies();
    let (feed, _) = generated::open(&options);
    let drawn = AccountsFrom::Drawn { per_market: 250, seed: 1 };
    let venue = Venue::of(&feed, &policy, &drawn, None).expect("the feed can be listed");
    let observations: Vec<Observation> = feed
        .replay()
        .expect("a stream")
        .map(|event| {
            let event = event.expect("a row");
            let (market, source) = venue.world.series[event.series as usize];
            let price = venue.world.markets[usize::from(market.0)].price(event.price);
            let (published_at, received_at) = (Timestamp(event.published_at), Timestamp(event.received_at));
            Observation { market, source, observer: 0, price, confidence: Price(0), published_at, received_at }
        })
        .collect();
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on the disk");
    println!("{} observations", observations.len());
    for a_batch in [1, 16] {
        let path = home.path().join(format!("of-{a_batch}"));
        let ours = durable(&path, &venue, &observations, a_batch);
        let plain = plainly(&home.path().join(format!("plain-{a_batch}")), &observations, a_batch);
        println!(
            "{a_batch:>2} a batch: {:.0} durable inputs a second; a plain file with checksums, synced every 4 MiB: {plain:.0}, share {:.2}",
            ours,
            ours / plain
        );
    }
    latency(home.path(), &venue, &observations);
    let path = home.path().join("of-1");
    let started = Instant::now();
    let (node, recovered) =
        Node::open(FileStorage::open(&path).expect("it is free"), CONFIG, None, venue.genesis()).expect("a journal");
    let seconds = started.elapsed().as_secs_f64();
    let replayed = recovered.expect("it was there").replayed;
    println!(
        "recovery: {replayed} batches behind the snapshot in {seconds:.2} s, {:.0} a second",
        replayed as f64 / seconds
    );
    node.close().expect("a snapshot");
    for a_batch in [1, 16] {
        let path = home.path().join(format!("of-{a_batch}"));
        let started = Instant::now();
        let found = verify(FileStorage::open(&path).expect("it is free"), None, &mut |_, _| {}).expect("a journal");
        let seconds = started.elapsed().as_secs_f64();
        println!(
            "verify, {a_batch:>2} a batch: {} inputs in {seconds:.2} s, {:.0} a second",
            found.inputs,
            found.inputs as f64 / seconds
        );
    }
}

fn open(path: &Path, venue: &Venue) -> Node {
    Node::open(FileStorage::open(path).expect("a directory"), CONFIG, None, venue.genesis()).expect("a new journal").0
}

/// Inputs a second until all of them are durable. The last batch is left without a snapshot behind it, as after a crash.
fn durable(path: &Path, venue: &Venue, observations: &[Observation], a_batch: usize) -> f64 {
    let mut node = open(path, venue);
    let started = Instant::now();
    for group in observations.chunks(a_batch) {
        let at = group.last().map_or(Timestamp(0), |last| last.received_at);
        node.turn(at, group.iter().copied().map(Input::Observation).collect()).expect("a disk that works");
        while node.released().expect("a disk that works").is_some() {}
    }
    node.settle().expect("a disk that works");
    observations.len() as f64 / started.elapsed().as_secs_f64()
}

fn plainly(path: &Path, observations: &[Observation], a_batch: usize) -> f64 {
    let mut file = FileStorage::open(path).expect("a directory").create("plain").expect("a file");
    let started = Instant::now();
    let mut buffer: Vec<u8> = Vec::new();
    for (height, group) in (1..).zip(observations.chunks(a_batch)) {
        let inputs = group.iter().copied().map(Input::Observation).collect();
        let bytes = codec::to_bytes(&Batch { height, at: Timestamp(0), seed: [0; 32], inputs });
        buffer.extend((bytes.len() as u64).to_le_bytes());
        buffer.extend(crc32c::crc32c(&bytes).to_le_bytes());
        buffer.extend(bytes);
        if 4 << 20 <= buffer.len() {
            file.append(&buffer).expect("room");
            file.sync().expect("a disk that works");
            buffer.clear();
        }
    }
    file.append(&buffer).expect("room");
    file.sync().expect("a disk that works");
    observations.len() as f64 / started.elapsed().as_secs_f64()
}

/// From an input's arrival to the moment its effects may leave, one at a time; and what a sync of a page costs in between.
fn latency(home: &Path, venue: &Venue, observations: &[Observation]) {
    let mut node = open(&home.join("latency"), venue);
    let mut file = FileStorage::open(&home.join("syncs")).expect("a directory").create("page").expect("a file");
    let (mut ours, mut syncs) = (Vec::new(), Vec::new());
    for seen in observations.iter().take(SAMPLES) {
        let started = Instant::now();
        node.turn(seen.received_at, vec![Input::Observation(*seen)]).expect("a disk that works");
        node.settle().expect("a disk that works");
        while node.released().expect("a disk that works").is_some() {}
        ours.push(started.elapsed());
        file.append(&[7; 4_096]).expect("room");
        let started = Instant::now();
        file.sync().expect("a disk that works");
        syncs.push(started.elapsed());
    }
    let shown = |mut spans: Vec<Duration>| {
        spans.sort_unstable();
        let at = |share: usize| spans[(spans.len() - 1) * share / 100].as_secs_f64() * 1e3;
        format!("p50 {:.3} ms, p99 {:.3} ms", at(50), at(99))
    };
    println!("input to released effect, synced: {}; fdatasync of a page: {}", shown(ours), shown(syncs));
}
