//! Runs the kernel for long: against the reference model, under arbitrary inputs, or for its hash.
//!
//! `soak --kind model|inputs|hash --seed FIRST --count INPUTS --seconds BUDGET`
//!
//! Goes through consecutive seeds until INPUTS inputs were decided (10,000, or no end where a budget is given) or the budget
//! is spent, prints what was found, a line each, and last one JSON line:
//! `{"kind":..,"seed_from":..,"seed_to":..,"count":..,"inputs":..,"failures":..,"seconds":..}`. `count` says how many seeds were
//! begun, so that `seed_to = seed_from + count` is the one to go on from. Exit code 1 where something was found, 2 for arguments
//! that make no sense.

use lab::model::storm::Storm;
use lab::model::{Story, hash};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Batches of a seed's story.
const STORY: u32 = 400;
/// Batches of a seed's storm.
const STORM: u32 = 2_000;
/// Findings after which a run ends: the first ones say enough.
const FAILURES_MAX: u64 = 20;

struct Args {
    kind: String,
    seed: u64,
    inputs_max: Option<u64>,
    budget: Option<Duration>,
}

fn args() -> Result<Args, String> {
    let mut args = Args { kind: String::new(), seed: 1, inputs_max: None, budget: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or(format!("{word} wants a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{word} wants a number, not {value}"));
        match word.as_str() {
            "--kind" => args.kind.clone_from(&value),
            "--seed" => args.seed = number()?,
            "--count" => args.inputs_max = Some(number()?),
            "--seconds" => args.budget = Some(Duration::from_secs(number()?)),
            other => return Err(format!("{other} is no option of soak")),
        }
    }
    Ok(args)
}

/// One seed: the inputs that were decided, and what was found.
type Run = fn(u64, &dyn Fn() -> bool) -> (u64, Option<String>);

fn model(seed: u64, done: &dyn Fn() -> bool) -> (u64, Option<String>) {
    let mut story = Story::new(seed);
    let mut inputs = 0;
    for _ in 0..STORY {
        if done() {
            break;
        }
        match story.step() {
            Ok(more) => inputs += more as u64,
            Err(finding) => return (inputs, Some(finding.to_string())),
        }
    }
    (inputs, None)
}

fn storm(seed: u64, done: &dyn Fn() -> bool) -> (u64, Option<String>) {
    let mut storm = Storm::new(seed);
    let mut inputs = 0;
    for _ in 0..STORM {
        if done() {
            break;
        }
        match storm.step() {
            Ok(more) => inputs += more as u64,
            Err(finding) => return (inputs, Some(finding)),
        }
    }
    (inputs, storm.check().err())
}

fn main() -> ExitCode {
    let args = match args() {
        Ok(args) => args,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    let run: Run = match args.kind.as_str() {
        "model" => model,
        "inputs" => storm,
        "hash" => {
            for (name, hash) in ["state", "effects"].into_iter().zip(hash(args.seed, STORY)) {
                println!("{name} {hash}");
            }
            return ExitCode::SUCCESS;
        }
        other => {
            eprintln!("--kind is model, inputs or hash, not {other:?}");
            return ExitCode::from(2);
        }
    };
    let began = Instant::now();
    let over = || args.budget.is_some_and(|budget| budget <= began.elapsed());
    let inputs_max = args.inputs_max.unwrap_or(if args.budget.is_some() { u64::MAX } else { 10_000 });
    let (mut seed, mut inputs, mut failures) = (args.seed, 0, 0);
    while inputs < inputs_max && failures < FAILURES_MAX && !over() {
        let (more, finding) = run(seed, &over);
        if let Some(finding) = finding {
            println!("seed {seed}: {finding}");
            failures += 1;
        }
        inputs += more;
        seed += 1;
    }
    let (kind, from, seconds) = (&args.kind, args.seed, began.elapsed().as_secs_f64());
    let count = seed - from;
    println!(
        r#"{{"kind":"{kind}","seed_from":{from},"seed_to":{seed},"count":{count},"inputs":{inputs},"failures":{failures},"seconds":{seconds:.1}}}"#
    );
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
