//! How fast a feed is replayed under the policy and the competent baseline, gz in, by stage.
//! `cargo bench -p seawall-lab --bench replay [-- --bars N --rounds N | -- FILE..]`; without files, generated bars.
#![allow(missing_docs, unreachable_pub)]

mod generated;

use lab::replay::accounts::AccountsFrom;
use lab::replay::{Options, replay};
use std::time::Instant;

fn main() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let feed_options = generated::options(dir.path(), generated::number("--bars", 100_000));
    let (policy, competent) = generated::policies();
    let options = Options {
        title: String::new(),
        policy,
        competent,
        accounts: AccountsFrom::Drawn { per_market: 250, seed: 1 },
        insurance_usd: None,
        volume_assumed_usd: 100_000.0,
        venue: None,
        single: false,
        sensitivity: false,
        chart_points: 0,
        threads: 2,
    };
    for round in 1..=generated::number("--rounds", 3) {
        let start = Instant::now();
        let (feed, observations) = generated::open(&feed_options);
        let opened = start.elapsed().as_secs_f64();
        let outcome = replay(&feed, &options, &|_, _| ()).expect("the feed can be replayed");
        let all = start.elapsed().as_secs_f64();
        let rate = |seconds: f64| observations as f64 / seconds / 1e3;
        println!("round {round}: {observations} observations, {} threads", options.threads);
        println!("  {:<10} {opened:>7.3} s  {:>8.0} k/s", "open", rate(opened));
        for (stage, seconds) in &outcome.stages {
            println!("  {stage:<10} {seconds:>7.3} s  {:>8.0} k/s", rate(*seconds));
        }
        println!("  {:<10} {all:>7.3} s  {:>8.0} k/s", "all", rate(all));
        let (ours, theirs) = (&outcome.runs.policy, &outcome.runs.competent);
        println!("  liquidated {} / {}", ours.liquidated_accounts, theirs.liquidated_accounts);
    }
}
