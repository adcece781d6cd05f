//! The steps of `cargo xtask test`, cheapest first. All run, also after a failure, so that one run tells everything; each can be
//! run alone as `cargo xtask NAME`.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::repo::{self, Lock};
use crate::{bare, evidence, tidy, tools};

#[derive(Clone, Copy)]
pub(crate) enum Step {
    Fmt,
    Tidy,
    Evidence,
    Deny,
    Clippy,
    Planted,
    Unit,
    Bare,
}

const FUZZ_MANIFEST: &str = "fuzz/Cargo.toml";

const ALL: [Step; 8] =
    [Step::Fmt, Step::Tidy, Step::Evidence, Step::Deny, Step::Clippy, Step::Bare, Step::Planted, Step::Unit];

impl Step {
    /// The name of its command.
    fn name(self) -> &'static str {
        match self {
            Step::Fmt => "fmt",
            Step::Tidy => "tidy",
            Step::Evidence => "evidence",
            Step::Deny => "deny",
            Step::Clippy => "clippy",
            Step::Planted => "planted",
            Step::Unit => "unit",
            Step::Bare => "bare",
        }
    }

    fn run(self, lock: Lock) -> Result<()> {
        match self {
            Step::Fmt => fmt(),
            Step::Tidy => tidy::run(),
            Step::Evidence => evidence::check(),
            Step::Deny => deny(),
            Step::Clippy => clippy(lock),
            Step::Planted => planted(lock),
            Step::Unit => unit(lock),
            Step::Bare => bare::run(lock),
        }
    }
}

pub(crate) fn one(step: Step) -> Result<()> {
    step.run(Lock::MayChange)
}

pub(crate) fn all(lock: Lock) -> Result<()> {
    let mut failed = Vec::new();
    let mut summary = String::new();
    for step in ALL {
        let name = step.name();
        println!("\n==> {name}");
        let start = Instant::now();
        let outcome = step.run(lock);
        let seconds = start.elapsed().as_secs();
        match outcome {
            Ok(()) => summary += &format!("    ok      {name:<9} {seconds:>5} s\n"),
            Err(error) => {
                println!("{name} failed: {error:#}");
                summary += &format!("    FAILED  {name:<9} {seconds:>5} s    alone: cargo xtask {name}\n");
                failed.push(name);
            }
        }
    }
    println!("\n==> summary\n{summary}");
    std::io::stdout().flush()?;
    if !failed.is_empty() {
        bail!("failed: {}; rerun one alone with `cargo xtask NAME`", failed.join(", "));
    }
    Ok(())
}

/// As `all`, and the run must leave every tracked file as it was.
pub(crate) fn ci() -> Result<()> {
    let before = repo::git(&["status", "--porcelain", "--untracked-files=no"])?;
    all(Lock::Binding)?;
    let after = repo::git(&["status", "--porcelain", "--untracked-files=no"])?;
    if before != after {
        bail!("the run changed tracked files:\n{after}");
    }
    Ok(())
}

fn locked(lock: Lock) -> &'static [&'static str] {
    match lock {
        Lock::MayChange => &[],
        Lock::Binding => &["--locked"],
    }
}

/// Advisories are left out: their database can't be had everywhere that tests run (see SECURITY.md).
fn deny() -> Result<()> {
    let mut deny = std::process::Command::new(tools::installed(&tools::DENY)?);
    repo::run(deny.current_dir(repo::root()).args(["check", "licenses", "bans", "sources"]))
}

fn fmt() -> Result<()> {
    repo::run(&mut repo::cargo(&["fmt", "--all", "--check"]))?;
    repo::run(&mut repo::cargo(&["fmt", "--manifest-path", FUZZ_MANIFEST, "--check"]))
}

/// The workspace, then the fuzz targets, which would rot unseen between their long runs.
fn clippy(lock: Lock) -> Result<()> {
    let mut clippy = repo::cargo(&["clippy", "--workspace", "--all-targets"]);
    repo::run(clippy.args(locked(lock)).args(["--", "-D", "warnings"]))?;
    let mut fuzz = repo::cargo(&["clippy", "--manifest-path", FUZZ_MANIFEST]);
    fuzz.env("CARGO_TARGET_DIR", repo::tools_dir()?.join("fuzz-check"));
    // Nothing is linked, so the fuzzing engine need not be built.
    fuzz.env("CUSTOM_LIBFUZZER_PATH", "/absent/libfuzzer.a");
    repo::run(fuzz.args(locked(lock)).args(["--", "-D", "warnings"]))
}

/// Builds the kernel with `=` for `+=` in the margin sum, where the reference model has to find it.
fn planted(lock: Lock) -> Result<()> {
    let mut test = repo::cargo(&["test", "--package", "seawall-lab", "--features", "planted", "--test", "planted"]);
    repo::run(test.args(locked(lock)))
}

/// The command with the planted bug, put aside before the tests build it as it is: the release that must not take over.
fn planted_command(lock: Lock) -> Result<PathBuf> {
    let mut build = repo::cargo(&["build", "--package", "seawall", "--features", "planted", "--profile", "test"]);
    repo::run(build.args(locked(lock)))?;
    let (_, target) = repo::workspace()?;
    let built = target.join("debug");
    let aside = built.join("seawall-planted");
    std::fs::copy(built.join("seawall"), &aside)?;
    Ok(aside)
}

/// All tests of all crates, documentation included. A run that executed none has failed. Where no browser can be had, the test
/// that needs one fails; the others say what they have to say all the same.
fn unit(lock: Lock) -> Result<()> {
    let browser = tools::browser();
    let driver = tools::driver();
    let checker = tools::checker();
    let planted = planted_command(lock);
    let mut test = repo::cargo(&["test", "--workspace", "--no-fail-fast"]);
    test.env("SEAWALL_BROWSER", "required");
    if let Ok(home) = &driver {
        test.env("SEAWALL_PLAYWRIGHT", home);
    }
    if let Ok(program) = &checker {
        test.env("SEAWALL_SCHEMATHESIS", program);
    }
    if let Ok(program) = &planted {
        test.env("SEAWALL_PLANTED", program);
    }
    let mut child = test.args(locked(lock)).stdout(Stdio::piped()).spawn()?;
    let mut counts = Counts::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            counts.add(&line);
            println!("{line}");
        }
    }
    let status = child.wait()?;
    println!("{} passed, {} failed, {} skipped", counts.passed, counts.failed, counts.ignored);
    browser?;
    driver?;
    checker?;
    planted?;
    if !status.success() {
        bail!("{} ended with {status}", repo::spelled(&test));
    }
    if counts.passed == 0 {
        bail!("no test was executed");
    }
    Ok(())
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Counts {
    /// Adds a closing line such as `test result: ok. 3 passed; 0 failed; 1 ignored; …`; other lines add nothing.
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        let words: Vec<&str> = result.split([' ', ';', '.']).filter(|word| !word.is_empty()).collect();
        for pair in words.windows(2) {
            let Ok(count) = pair[0].parse::<u64>() else { continue };
            match pair[1] {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.ignored += count,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_added_up() {
        let mut counts = Counts::default();
        counts.add("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.02s");
        counts.add("running 7 tests");
        counts.add("test result: FAILED. 2 passed; 5 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        assert_eq!(counts, Counts { passed: 14, failed: 5, ignored: 1 });
    }
}
