//! `cargo xtask long NAME --budget 150m`: checks that take longer than a change can wait. Each works in pieces, appends a line to
//! its ledger after each, and goes on from there when it is called again.
//!
//! - `model`, `inputs`: the lab's `soak` example over consecutive seeds. It takes `--kind KIND --seed FIRST --seconds LIMIT` and prints
//!   as its last line `{"seed_from":…,"count":…,"inputs":…,"failures":…,"seconds":…}`: seeds `seed_from .. seed_from + count`
//!   were run. Jobs run side by side, each through a lane of seeds of its own, and write a line each.
//! - `kills`: the same of the command's `kills` example; a seed is a node that is killed.
//! - `fuzz-TARGET`: a target of `fuzz/Cargo.toml`; the corpus stays in `fuzz/corpus`.
//! - `mutants-TARGET`: see `mutants.rs`.

use std::io::{BufRead, BufReader};
use std::num::NonZeroUsize;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::{ledger, mutants, repo, tools};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// model, inputs, kills, fuzz-TARGET or mutants-TARGET.
    name: String,
    /// Time to use: 90s, 150m, 2h.
    #[arg(long, value_parser = duration)]
    budget: Duration,
    /// Time of one piece: what an interruption can lose.
    #[arg(long, value_parser = duration, default_value = "30m")]
    piece: Duration,
    /// Run although sources differ from the commit; the ledger says so.
    #[arg(long)]
    allow_dirty: bool,
    /// Processes side by side. Simulations: as many as there are processors; mutants: 1, each more has a target directory of its
    /// own; fuzzing: always 1.
    #[arg(long)]
    jobs: Option<NonZeroUsize>,
}

enum Kind<'a> {
    Soak(&'a str),
    Fuzz(&'a str),
    Mutants(&'a str),
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let kind = kind(&options.name)?;
    if repo::is_dirty()? && !options.allow_dirty {
        bail!("sources differ from the commit: commit first, or say --allow-dirty");
    }
    let deadline = Instant::now() + options.budget;
    let jobs = |default: usize| options.jobs.map_or(default, NonZeroUsize::get);
    match kind {
        Kind::Soak(kind) => {
            let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
            soak(&options.name, kind, deadline, options.piece, jobs(processors))
        }
        Kind::Fuzz(target) => {
            ensure!(jobs(1) == 1, "fuzzing runs one process: the corpus is one");
            fuzz(&options.name, target, deadline, options.piece)
        }
        Kind::Mutants(name) => mutants::run(&options.name, name, deadline, jobs(1)),
    }
}

fn kind(name: &str) -> Result<Kind<'_>> {
    match name.split_once('-') {
        None if ["model", "inputs", KILLS].contains(&name) => Ok(Kind::Soak(name)),
        Some(("fuzz", target)) => Ok(Kind::Fuzz(target)),
        Some(("mutants", name)) => Ok(Kind::Mutants(name)),
        Some(_) | None => bail!("`{name}` is not a long run: model, inputs, kills, fuzz-TARGET, mutants-TARGET"),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let unit = text.chars().last().unwrap_or(' ');
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        _ => return Err(format!("`{text}` has no unit: 90s, 150m, 2h")),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| format!("`{text}` is no duration: 90s, 150m, 2h"))?;
    count.checked_mul(seconds).map(Duration::from_secs).ok_or_else(|| format!("`{text}` is too long"))
}

/// Time left for the next piece; `None` where too little is left to be worth a start.
fn next_piece(deadline: Instant, piece: Duration) -> Option<Duration> {
    let left = deadline.saturating_duration_since(Instant::now()).min(piece);
    (Duration::from_secs(5) <= left).then_some(left)
}

#[derive(Serialize, Deserialize)]
struct SoakLine {
    date: String,
    commit: String,
    deciding_digest: String,
    seed_from: u64,
    /// Of seeds.
    count: u64,
    /// That were decided; the first lines do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inputs: Option<u64>,
    seconds: f64,
    failures: u64,
    result: String,
}

/// Seeds of a lane: more than any run gets through, so that two lanes never meet.
const LANE: u64 = 1 << 32;

#[derive(Debug, Deserialize, PartialEq)]
struct SoakReport {
    seed_from: u64,
    count: u64,
    inputs: u64,
    failures: u64,
    seconds: f64,
}

fn soak(name: &str, kind: &str, deadline: Instant, piece: Duration, jobs: usize) -> Result<()> {
    let (package, example) = example(kind);
    let mut build = repo::cargo(&["build", "--release", "--package", package, "--example", example]);
    // Who is killed has to be there.
    build.args((kind == KILLS).then_some("--bins"));
    repo::run(&mut build)?;
    while let Some(time) = next_piece(deadline, piece) {
        let stamp = ledger::stamp()?;
        let lines: Vec<SoakLine> = ledger::lines(name)?;
        let seeds: Vec<u64> = (0..jobs as u64).map(|lane| next_seed(&lines, lane)).collect();
        let reports: Vec<Result<(SoakReport, bool)>> = std::thread::scope(|scope| {
            let started: Vec<_> = seeds.iter().map(|seed| scope.spawn(|| soaked(kind, *seed, time))).collect();
            let ended = started.into_iter().map(|job| job.join().unwrap_or_else(|_| bail!("a job panicked")));
            ended.collect()
        });
        // What one job found is written down before another one's trouble is told.
        let mut troubles = Vec::new();
        for report in reports {
            match report {
                Err(trouble) => troubles.push(format!("{trouble:#}")),
                Ok((report, succeeded)) => {
                    let passed = report.failures == 0 && succeeded;
                    if !passed {
                        troubles
                            .push(format!("{} failures from seed {} on, see above", report.failures, report.seed_from));
                    }
                    ledger::append(name, &SoakLine::of(&report, passed, &stamp))?;
                }
            }
        }
        ensure!(troubles.is_empty(), "{}", troubles.join("; "));
    }
    println!("{name}: {}", soak_summary(&ledger::lines(name)?));
    Ok(())
}

/// A node is killed, started again, and held against its journal.
const KILLS: &str = "kills";

/// Which program does a kind.
fn example(kind: &str) -> (&'static str, &'static str) {
    if kind == KILLS { ("seawall", "kills") } else { ("seawall-lab", "soak") }
}

/// One process over consecutive seeds: its report, and whether it found nothing.
fn soaked(kind: &str, seed: u64, time: Duration) -> Result<(SoakReport, bool)> {
    let (package, example) = example(kind);
    let mut run = repo::cargo(&["run", "--quiet", "--release", "--package", package, "--example", example, "--"]);
    run.args(["--kind", kind, "--seed", &seed.to_string(), "--seconds", &time.as_secs().to_string()]);
    let (lines, succeeded) = followed(&mut run, Stream::Out)?;
    let report = lines.iter().rev().find_map(|line| serde_json::from_str::<SoakReport>(line).ok());
    let report = report.with_context(|| format!("{} ended without its report", repo::spelled(&run)))?;
    ensure!(report.seed_from == seed, "asked for seeds from {seed}, got {}", report.seed_from);
    ensure!(0 < report.count, "no seed was run");
    ensure!(report.count <= LANE - seed % LANE, "the seeds from {seed} on have run into the next lane");
    Ok((report, succeeded))
}

impl SoakLine {
    fn of(report: &SoakReport, passed: bool, stamp: &ledger::Stamp) -> SoakLine {
        SoakLine {
            date: stamp.date.clone(),
            commit: stamp.commit.clone(),
            deciding_digest: stamp.deciding_digest.clone(),
            seed_from: report.seed_from,
            count: report.count,
            inputs: Some(report.inputs),
            seconds: report.seconds,
            failures: report.failures,
            result: if passed { "pass" } else { "fail" }.to_owned(),
        }
    }
}

fn soak_summary(lines: &[SoakLine]) -> String {
    let seeds: u64 = lines.iter().map(|line| line.count).sum();
    let inputs: u64 = lines.iter().filter_map(|line| line.inputs).sum();
    let older = lines.iter().filter(|line| line.inputs.is_none()).map(|line| line.count).sum::<u64>();
    let older = if older == 0 { String::new() } else { format!(", and those of {older} seeds that were not counted") };
    format!("{seeds} seeds so far, {inputs} inputs{older}")
}

/// Where a lane goes on.
fn next_seed(lines: &[SoakLine], lane: u64) -> u64 {
    let here = lines.iter().filter(|line| line.seed_from / LANE == lane);
    here.map(|line| line.seed_from + line.count).max().unwrap_or(lane * LANE)
}

#[derive(Serialize, Deserialize)]
struct FuzzLine {
    date: String,
    commit: String,
    deciding_digest: String,
    seed_from: u64,
    count: u64,
    seconds: f64,
    coverage: u64,
    corpus: u64,
    result: String,
}

/// Fuzzing needs a sanitizer, which a stable compiler has but doesn't offer.
fn fuzz(name: &str, target: &str, deadline: Instant, piece: Duration) -> Result<()> {
    let targets = fuzz_targets(&std::fs::read_to_string(repo::root().join("fuzz/Cargo.toml"))?)?;
    ensure!(targets.iter().any(|known| known == target), "fuzz/Cargo.toml has no `{target}`: {}", targets.join(", "));
    let program = tools::installed(&tools::FUZZ)?;
    let command = |verb: &str| {
        let mut command = Command::new(&program);
        command.current_dir(repo::root().join("fuzz")).env("RUSTC_BOOTSTRAP", "1");
        command.args(["fuzz", verb, "--fuzz-dir", ".", target]);
        command
    };
    repo::run(&mut command("build"))?;
    while let Some(time) = next_piece(deadline, piece) {
        let stamp = ledger::stamp()?;
        let lines: Vec<FuzzLine> = ledger::lines(name)?;
        let seed = lines.last().map_or(1, |line| line.seed_from + 1);
        let start = Instant::now();
        let mut run = command("run");
        run.arg("--").arg(format!("-max_total_time={}", time.as_secs())).arg(format!("-seed={seed}"));
        run.args(["-print_final_stats=1", "-timeout=10", "-rss_limit_mb=2048"]);
        let (output, succeeded) = followed(&mut run, Stream::Err)?;
        let count = stat(&output, "stat::number_of_executed_units:");
        ensure!(count.is_some() || !succeeded, "{} printed no statistics", repo::spelled(&run));
        let line = FuzzLine {
            date: stamp.date,
            commit: stamp.commit,
            deciding_digest: stamp.deciding_digest,
            seed_from: seed,
            count: count.unwrap_or(0),
            seconds: start.elapsed().as_secs_f64().round(),
            coverage: stat(&output, "cov:").unwrap_or(0),
            corpus: stat(&output, "corp:").unwrap_or(0),
            result: if succeeded { "pass" } else { "fail" }.to_owned(),
        };
        ledger::append(name, &line)?;
        ensure!(succeeded, "{target} found a failing input; it lies in fuzz/artifacts/{target}");
    }
    let lines: Vec<FuzzLine> = ledger::lines(name)?;
    println!("{name}: {} inputs so far", lines.iter().map(|line| line.count).sum::<u64>());
    Ok(())
}

fn fuzz_targets(manifest: &str) -> Result<Vec<String>> {
    let manifest: toml::Table = manifest.parse()?;
    let bins = manifest.get("bin").and_then(toml::Value::as_array).into_iter().flatten();
    Ok(bins.filter_map(|bin| bin.get("name")?.as_str()).map(str::to_owned).collect())
}

/// The number after the last `label` in the output, such as `cov: 812` or `corp: 90/4kb`.
fn stat(lines: &[String], label: &str) -> Option<u64> {
    let after = lines.iter().rev().find_map(|line| line.split_once(label))?.1.trim_start();
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

enum Stream {
    Out,
    Err,
}

/// Runs to the end, showing and keeping one of its streams; and whether it succeeded.
fn followed(command: &mut Command, stream: Stream) -> Result<(Vec<String>, bool)> {
    match stream {
        Stream::Out => command.stdout(Stdio::piped()),
        Stream::Err => command.stderr(Stdio::piped()),
    };
    let mut child = command.spawn().with_context(|| format!("can't start {}", repo::spelled(command)))?;
    let reader: Box<dyn std::io::Read> = match stream {
        Stream::Out => Box::new(child.stdout.take().context("standard output is piped")?),
        Stream::Err => Box::new(child.stderr.take().context("standard error is piped")?),
    };
    let mut lines = Vec::new();
    for line in BufReader::new(reader).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        println!("{line}");
        lines.push(line);
    }
    Ok((lines, child.wait()?.success()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("150m"), Ok(Duration::from_secs(9_000)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7_200)));
        assert_eq!(duration("90"), Err("`90` has no unit: 90s, 150m, 2h".to_owned()));
        assert_eq!(duration("m"), Err("`m` is no duration: 90s, 150m, 2h".to_owned()));
    }

    fn line(seed_from: u64, count: u64, inputs: Option<u64>) -> SoakLine {
        let report = SoakReport { seed_from, count, inputs: 0, failures: 0, seconds: 1.0 };
        let stamp = ledger::Stamp { date: String::new(), commit: String::new(), deciding_digest: String::new() };
        SoakLine { inputs, ..SoakLine::of(&report, true, &stamp) }
    }

    #[test]
    fn each_lane_goes_on_where_its_lines_end() {
        assert_eq!((next_seed(&[], 0), next_seed(&[], 1)), (0, LANE));
        let lines = [line(0, 10, None), line(LANE, 5, Some(1)), line(10, 7, Some(1)), line(2 * LANE, 1, Some(1))];
        assert_eq!([0, 1, 2, 3].map(|lane| next_seed(&lines, lane)), [17, LANE + 5, 2 * LANE + 1, 3 * LANE]);
    }

    #[test]
    fn inputs_are_added_up_and_lines_without_them_still_read() {
        let old = r#"{"date":"","commit":"","deciding_digest":"","seed_from":0,"count":72,"seconds":44.0,"failures":0,"result":"pass"}"#;
        let old: SoakLine = serde_json::from_str(old).expect("an old line reads");
        let written = serde_json::to_string(&line(72, 8, Some(500))).expect("a line can be written");
        let new: SoakLine = serde_json::from_str(&written).expect("and read back");
        assert_eq!((old.inputs, new.inputs), (None, Some(500)));
        assert_eq!(soak_summary(&[new]), "8 seeds so far, 500 inputs");
        let both = [old, line(72, 8, Some(500)), line(LANE, 2, Some(40))];
        assert_eq!(soak_summary(&both), "82 seeds so far, 540 inputs, and those of 72 seeds that were not counted");
    }

    #[test]
    fn statistics_are_read_from_the_last_line_that_has_them() {
        let lines = [
            "#2 INITED cov: 3 ft: 4 corp: 1/1b",
            "#9 NEW cov: 812 ft: 9 corp: 90/4kb",
            "stat::number_of_executed_units: 44",
        ];
        let lines = lines.map(str::to_owned);
        assert_eq!(stat(&lines, "cov:"), Some(812));
        assert_eq!(stat(&lines, "corp:"), Some(90));
        assert_eq!(stat(&lines, "stat::number_of_executed_units:"), Some(44));
        assert_eq!(stat(&lines, "exec/s:"), None);
    }

    #[test]
    fn targets_are_the_binaries_of_the_fuzz_manifest() {
        let manifest = "[package]\nname = \"fuzz\"\n[[bin]]\nname = \"decode\"\n[[bin]]\nname = \"apply\"\n";
        assert_eq!(fuzz_targets(manifest).expect("the case is TOML"), ["decode", "apply"]);
    }
}
