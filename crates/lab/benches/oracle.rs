//! How fast a feed becomes indices: `seawall oracle --json`, without a disk at the end.
//! `cargo bench -p seawall-lab --bench oracle [-- --bars N --rounds N | -- FILE..]`; without files, generated bars.
#![allow(missing_docs, unreachable_pub)]

mod generated;

use lab::oracle::{Form, oracle};
use std::time::Instant;

fn main() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let options = generated::options(dir.path(), generated::number("--bars", 100_000));
    let rounds = generated::number("--rounds", 5);
    let (policy, _) = generated::policies();
    let (mut opening, mut deciding, mut observations) = (Vec::new(), Vec::new(), 0);
    for _ in 0..rounds {
        let start = Instant::now();
        let (feed, count) = generated::open(&options);
        opening.push(start.elapsed().as_secs_f64());
        observations = count;
        let start = Instant::now();
        let summary = oracle(&feed, &policy, Form::Json, &mut std::io::sink()).expect("the feed can be listed");
        deciding.push(start.elapsed().as_secs_f64());
        assert_eq!(summary.observations, count, "every observation goes in");
    }
    let (open, decide) = (median(opening), median(deciding));
    let rate = |seconds: f64| observations as f64 / seconds / 1e6;
    println!("{observations} observations, median of {rounds}");
    println!("open (gz to sorted stream)   {open:>7.3} s  {:6.2} M/s", rate(open));
    println!("oracle (stream to lines)     {decide:>7.3} s  {:6.2} M/s", rate(decide));
    println!("both                         {:>7.3} s  {:6.2} M/s", open + decide, rate(open + decide));
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
