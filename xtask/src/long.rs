//! `cargo xtask long NAME --budget 150m`: checks that take longer than a change can wait. Each works in pieces, appends a line to
//! its ledger after each, and goes on from there when it is called again.
//!
//! - `model`, `inputs`: the lab's `soak` example over consecutive seeds. It takes `--kind KIND --seed FIRST --seconds LIMIT` and prints
//!   as its last line `{"seed_from":…,"count":…,"failures":…,"seconds":…}`: seeds `seed_from .. seed_from + count` were run.
//! - `fuzz-TARGET`: a target of `fuzz/Cargo.toml`; the corpus stays in `fuzz/corpus`.
//! - `mutants-CRATE`: see `mutants.rs`.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::{ledger, mutants, repo, tools};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// model, inputs, fuzz-TARGET or mutants-CRATE.
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
    /// Mutants: crates whose tests run too, besides the mutated crate's own.
    #[arg(long)]
    test_package: Vec<String>,
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
    match kind {
        Kind::Soak(kind) => soak(&options.name, kind, deadline, options.piece),
        Kind::Fuzz(target) => fuzz(&options.name, target, deadline, options.piece),
        Kind::Mutants(name) => mutants::run(&options.name, name, &options.test_package, deadline),
    }
}

fn kind(name: &str) -> Result<Kind<'_>> {
    match name.split_once('-') {
        None if name == "model" || name == "inputs" => Ok(Kind::Soak(name)),
        Some(("fuzz", target)) => Ok(Kind::Fuzz(target)),
        Some(("mutants", name)) => Ok(Kind::Mutants(name)),
        Some(_) | None => bail!("`{name}` is not a long run: model, inputs, fuzz-TARGET, mutants-CRATE"),
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
    count: u64,
    seconds: f64,
    failures: u64,
    result: String,
}

#[derive(Debug, Deserialize, PartialEq)]
struct SoakReport {
    seed_from: u64,
    count: u64,
    failures: u64,
    seconds: f64,
}

fn soak(name: &str, kind: &str, deadline: Instant, piece: Duration) -> Result<()> {
    repo::run(&mut repo::cargo(&["build", "--release", "--package", "seawall-lab", "--example", "soak"]))?;
    while let Some(time) = next_piece(deadline, piece) {
        let stamp = ledger::stamp()?;
        let seed = next_seed(&ledger::lines(name)?);
        let mut run =
            repo::cargo(&["run", "--quiet", "--release", "--package", "seawall-lab", "--example", "soak", "--"]);
        run.args(["--kind", kind, "--seed", &seed.to_string(), "--seconds", &time.as_secs().to_string()]);
        let (lines, succeeded) = followed(&mut run, Stream::Out)?;
        let report = lines.iter().rev().find_map(|line| serde_json::from_str::<SoakReport>(line).ok());
        let report = report.with_context(|| format!("{} ended without its report", repo::spelled(&run)))?;
        ensure!(report.seed_from == seed, "asked for seeds from {seed}, got {}", report.seed_from);
        ensure!(0 < report.count, "no seed was run");
        let passed = report.failures == 0 && succeeded;
        let line = SoakLine {
            date: stamp.date,
            commit: stamp.commit,
            deciding_digest: stamp.deciding_digest,
            seed_from: report.seed_from,
            count: report.count,
            seconds: report.seconds,
            failures: report.failures,
            result: if passed { "pass" } else { "fail" }.to_owned(),
        };
        ledger::append(name, &line)?;
        ensure!(passed, "{} failures from seed {seed} on, see above", report.failures);
    }
    let lines: Vec<SoakLine> = ledger::lines(name)?;
    let total: u64 = lines.iter().map(|line| line.count).sum();
    println!("{name}: {total} seeds so far; next {}", next_seed(&lines));
    Ok(())
}

fn next_seed(lines: &[SoakLine]) -> u64 {
    lines.last().map_or(0, |line| line.seed_from + line.count)
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

/// Sources of a crate as paths relative to the root.
pub(crate) fn sources(name: &str) -> Result<Vec<String>> {
    let home = format!("crates/{name}/src/");
    ensure!(repo::root().join(&home).is_dir(), "there is no crate `{name}`");
    Ok(repo::files()?.into_iter().filter(|path| path.starts_with(&home) && path.ends_with(".rs")).collect())
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

    #[test]
    fn seeds_go_on_where_the_ledger_ends() {
        let line = |seed_from, count| SoakLine {
            date: String::new(),
            commit: String::new(),
            deciding_digest: String::new(),
            seed_from,
            count,
            seconds: 1.0,
            failures: 0,
            result: "pass".to_owned(),
        };
        assert_eq!(next_seed(&[]), 0);
        assert_eq!(next_seed(&[line(0, 10), line(10, 7)]), 17);
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
