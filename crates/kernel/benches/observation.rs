//! From an observation of one of eight sources to index, quality, mark, detectors and mode: the distribution of single
//! calls. `cargo bench -p seawall-kernel --bench observation`.
//!
//! With `--count N` it takes N observations, measures nothing and prints nothing, for a tool that counts instructions;
//! docs/benchmarks.md says how.
#![allow(missing_docs, clippy::disallowed_methods, clippy::disallowed_types)]

#[path = "../tests/common/mod.rs"]
mod common;

use common::{account, market, observation, venue};
use kernel::Kernel;
use protocol::{Batch, Effect, Input, VenueParams};
use std::time::{Duration, Instant};
use units::{Ratio, Timestamp};

const SOURCES: u8 = 8;
const WARM: u64 = 100_000;
const MEASURED: usize = 1_000_000;

/// One observation a batch: eight sources in turn, each every 100 ms, around 100 USD and a little apart.
struct Feed {
    kernel: Kernel,
    batch: Batch,
    effects: Vec<Effect>,
    price: i64,
    noise: u64,
}

impl Feed {
    fn new(params: &VenueParams) -> Feed {
        let accounts = [account(1, 1_000, &[(0, 40_000, 100)]), account(2, 1_000, &[(0, -40_000, 100)])];
        let kernel = Kernel::new(params, &accounts).expect("the market is well formed");
        let at = Timestamp(1_760_131_200_000_000);
        let batch = Batch { height: 0, at, seed: [0; 32], inputs: Vec::with_capacity(1) };
        Feed { kernel, batch, effects: Vec::with_capacity(64), price: 10_000_000_000, noise: 1 }
    }

    /// What the next source says, at its time.
    fn next(&mut self) {
        self.noise = self.noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let (walk, apart) = ((self.noise >> 50) as i64 - 8_191, (self.noise >> 30 & 0xff_ffff) as i64);
        // Pulled back to 100 USD, so that a long run stays one story.
        self.price += walk - (self.price - 10_000_000_000) / 1_024;
        self.batch.height += 1;
        self.batch.at = Timestamp(self.batch.at.0 + 12_500);
        let (at, source) = (self.batch.at.0, (self.batch.height % u64::from(SOURCES)) as u8);
        let seen: Input = observation(0, source, self.price + apart, at - 5_000, at);
        self.batch.inputs.clear();
        self.batch.inputs.push(seen);
        self.effects.clear();
    }

    fn decide(&mut self) {
        self.kernel.apply(&self.batch, &mut self.effects);
    }
}

fn main() {
    let mut params = market(SOURCES);
    params.oracle.jump_max = Ratio::percent(50);
    let mut feed = Feed::new(&venue(vec![params]));
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(place) = arguments.iter().position(|argument| argument == "--count") {
        let count: u64 = arguments.get(place + 1).and_then(|count| count.parse().ok()).expect("--count N");
        for _ in 0..count {
            feed.next();
            feed.decide();
        }
        std::hint::black_box(feed.kernel.state());
        return;
    }
    for _ in 0..WARM {
        feed.next();
        feed.decide();
    }
    let mut times = Vec::with_capacity(MEASURED);
    for _ in 0..MEASURED {
        feed.next();
        let start = Instant::now();
        feed.decide();
        times.push(start.elapsed());
    }
    let mut clock: Vec<Duration> = (0..MEASURED).map(|_| Instant::now().elapsed()).collect();
    times.sort_unstable();
    clock.sort_unstable();
    let at = |times: &[Duration], per_mille: usize| times[times.len() / 1_000 * per_mille].as_nanos();
    println!("{MEASURED} observations of {SOURCES} sources, nanoseconds, the clock's own included");
    for (name, times) in [("observation", &times), ("clock alone", &clock)] {
        let worst = times.last().map_or(0, Duration::as_nanos);
        println!(
            "{name}: p50 {} p90 {} p99 {} p99.9 {} max {worst}",
            at(times, 500),
            at(times, 900),
            at(times, 990),
            at(times, 999)
        );
    }
    let start = Instant::now();
    for _ in 0..MEASURED {
        feed.next();
        feed.decide();
    }
    let mean = start.elapsed().as_nanos() / MEASURED as u128;
    println!("mean without a clock in between: {mean}");
}
