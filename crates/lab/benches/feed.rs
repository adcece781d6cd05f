//! How fast outside files become observations. `cargo bench -p seawall-lab --bench feed [FILE]`; without a file, generated bars.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use flate2::{Compression, write::GzEncoder};
use lab::feed::{BarsArg, Feed, FeedOptions};

const ROUNDS: usize = 15;

fn main() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let given = std::env::args().skip(1).find(|a| !a.starts_with("--"));
    let path = given.map_or_else(|| generate(dir.path().join("venue_BTCUSDT_1s.csv.gz")), PathBuf::from);
    let options = FeedOptions::new(vec![BarsArg::parse(&path.to_string_lossy()).expect("a file of bars")], vec![]);
    let mut opening = Vec::new();
    let mut replaying = Vec::new();
    let mut observations = 0;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let feed = Feed::open(&options).expect("opens");
        opening.push(start.elapsed());
        let start = Instant::now();
        let sum = feed.replay().expect("replay").map(|e| e.expect("read back").price).fold(0i128, i128::wrapping_add);
        std::hint::black_box(sum);
        replaying.push(start.elapsed());
        observations = feed.counts().observations;
    }
    let (open, replay) = (median(opening), median(replaying));
    let rate = |time: Duration| observations as f64 / time.as_secs_f64() / 1e6;
    println!("{observations} observations, median of {ROUNDS}");
    println!("open    {open:>10.2?}  {:6.2} M/s", rate(open));
    println!("replay  {replay:>10.2?}  {:6.2} M/s", rate(replay));
    println!("both    {:>10.2?}  {:6.2} M/s", open + replay, rate(open + replay));
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// 100,000 one-second bars of a price that wanders.
fn generate(path: PathBuf) -> PathBuf {
    let file = std::fs::File::create(&path).expect("create");
    let mut out = GzEncoder::new(std::io::BufWriter::new(file), Compression::default());
    writeln!(out, "ts_ms,open,high,low,close,volume").expect("write");
    let mut price: i64 = 12_000_000;
    let mut noise: u64 = 1;
    for second in 0..100_000i64 {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let close = price + (noise >> 54) as i64 - 512;
        let (low, high) =
            (price.min(close) - (noise >> 40 & 255) as i64, price.max(close) + (noise >> 32 & 255) as i64);
        let cents = |p: i64| format!("{}.{:02}", p / 100, p % 100);
        let time = 1_760_129_100_000 + second * 1_000;
        writeln!(out, "{time},{},{},{},{},{}", cents(price), cents(high), cents(low), cents(close), noise % 1_000)
            .expect("write");
        price = close;
    }
    out.finish().expect("finish").flush().expect("flush");
    path
}
