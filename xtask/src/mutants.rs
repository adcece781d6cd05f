//! Mutation testing of a crate, in pieces of at most `PIECE` mutants of one file. A piece is done when the ledger has a line for it
//! at the file's present bytes, so a change of a file repeats that file alone; a piece with survivors is repeated, too, once
//! any source or test of the tested crates has changed. What survived in the present files is rewritten to
//! `docs/ledger/mutants-CRATE.missed.txt` after each piece: each line there is to be killed by a test or explained.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{evidence, ledger, long, repo, tools};

/// Mutants in a piece: some minutes of work, against the half minute that a piece's first build takes.
const PIECE: usize = 60;

#[derive(Clone, Serialize, Deserialize)]
struct Line {
    date: String,
    commit: String,
    deciding_digest: String,
    file: String,
    file_sha256: String,
    /// Over all sources and tests of the crates whose tests ran.
    tests_sha256: String,
    /// `k/n`, counted from 0.
    shard: String,
    count: u64,
    caught: u64,
    missed: u64,
    timeout: u64,
    unviable: u64,
    seconds: f64,
    result: String,
    missed_names: Vec<String>,
}

/// The parts that are read of cargo-mutants' `outcomes.json`.
#[derive(Deserialize)]
struct Outcomes {
    total_mutants: u64,
    caught: u64,
    missed: u64,
    timeout: u64,
    unviable: u64,
}

pub(crate) fn run(name: &str, package: &str, test_packages: &[String], deadline: Instant) -> Result<()> {
    let program = tools::installed(&tools::MUTANTS)?;
    let mut present = BTreeMap::new();
    for file in long::sources(package)? {
        let bytes = std::fs::read(repo::root().join(&file))?;
        present.insert(file, evidence::hex(&Sha256::digest(&bytes)));
    }
    let tests = tests_digest(package, test_packages)?;
    let full_name = format!("seawall-{package}");
    let mutants = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.current_dir(repo::root()).args(["mutants", "--package", &full_name]).args(arguments);
        command
    };
    for (file, sha256) in &present {
        let listed = repo::output(&mut mutants(&["--list", "--json", "--file", file]))?;
        let listed: Vec<serde_json::Value> = serde_json::from_str(&listed)?;
        for shard in shards(listed.len()) {
            let lines: Vec<Line> = ledger::lines(name)?;
            if lines.iter().any(|line| line.is_done(file, sha256, &tests) && line.shard == shard) {
                continue;
            }
            if deadline <= Instant::now() {
                return summary(name, &present);
            }
            let stamp = ledger::stamp()?;
            let start = Instant::now();
            let output = repo::tools_dir()?.join("mutants");
            let mut command = mutants(&["--file", file, "--shard", &shard, "--no-shuffle", "--colors", "never"]);
            command.arg("--output").arg(&output);
            if !test_packages.is_empty() {
                let tested = test_packages.iter().map(|name| format!("seawall-{name}"));
                let tested = std::iter::once(full_name.clone()).chain(tested).collect::<Vec<_>>().join(",");
                command.args(["--test-package", &tested]);
            }
            let status = command.status().with_context(|| format!("can't start {}", repo::spelled(&command)))?;
            // 0 all caught, 2 some missed, 3 some timed out; all else means that nothing was measured.
            if !matches!(status.code(), Some(0 | 2 | 3)) {
                bail!("{} ended with {status}", repo::spelled(&command));
            }
            let home = output.join("mutants.out");
            let outcomes: Outcomes = serde_json::from_str(&std::fs::read_to_string(home.join("outcomes.json"))?)?;
            let missed = std::fs::read_to_string(home.join("missed.txt"))?;
            let killed = outcomes.missed == 0 && outcomes.timeout == 0;
            let line = Line {
                date: stamp.date,
                commit: stamp.commit,
                deciding_digest: stamp.deciding_digest,
                file: file.clone(),
                file_sha256: sha256.clone(),
                tests_sha256: tests.clone(),
                shard,
                count: outcomes.total_mutants,
                caught: outcomes.caught,
                missed: outcomes.missed,
                timeout: outcomes.timeout,
                unviable: outcomes.unviable,
                seconds: start.elapsed().as_secs_f64().round(),
                result: if killed { "pass" } else { "survivors" }.to_owned(),
                missed_names: missed.lines().map(str::to_owned).collect(),
            };
            ensure!(line.missed_names.len() as u64 == line.missed, "missed.txt and outcomes.json disagree");
            ledger::append(name, &line)?;
            write_missed(name, &present)?;
        }
    }
    write_missed(name, &present)?;
    summary(name, &present)
}

impl Line {
    /// Whether the piece need not be run again: what was killed stays killed, what survived may have met its test.
    fn is_done(&self, file: &str, sha256: &str, tests: &str) -> bool {
        let killed = self.missed == 0 && self.timeout == 0;
        self.file == file && self.file_sha256 == sha256 && (killed || self.tests_sha256 == tests)
    }
}

fn tests_digest(package: &str, test_packages: &[String]) -> Result<String> {
    let mut hasher = Sha256::new();
    for path in repo::files()?.into_iter().filter(|path| path.ends_with(".rs")) {
        let tested = std::iter::once(package).chain(test_packages.iter().map(String::as_str));
        if tested.into_iter().any(|name| path.starts_with(&format!("crates/{name}/"))) {
            hasher.update(Sha256::digest(path.as_bytes()));
            hasher.update(Sha256::digest(std::fs::read(repo::root().join(&path))?));
        }
    }
    Ok(evidence::hex(&hasher.finalize()))
}

/// `0/n … n-1/n`, with `n` such that no piece has more than `PIECE` mutants; none for a file without mutants.
fn shards(mutants: usize) -> Vec<String> {
    let count = mutants.div_ceil(PIECE);
    (0..count).map(|shard| format!("{shard}/{count}")).collect()
}

/// Lines that speak of the files as they are, each piece once.
fn standing(lines: Vec<Line>, present: &BTreeMap<String, String>) -> Vec<Line> {
    let mut latest = BTreeMap::new();
    for line in lines {
        if present.get(&line.file) == Some(&line.file_sha256) {
            latest.insert((line.file.clone(), line.shard.clone()), line);
        }
    }
    latest.into_values().collect()
}

fn write_missed(name: &str, present: &BTreeMap<String, String>) -> Result<()> {
    let standing = standing(ledger::lines(name)?, present);
    let mut missed: Vec<String> = standing.into_iter().flat_map(|line| line.missed_names).collect();
    missed.sort();
    let path = ledger::path(name).with_extension("missed.txt");
    std::fs::create_dir_all(path.parent().context("the ledger lies in a directory")?)?;
    let text: String = missed.into_iter().map(|name| name + "\n").collect();
    Ok(std::fs::write(path, text)?)
}

fn summary(name: &str, present: &BTreeMap<String, String>) -> Result<()> {
    let standing = standing(ledger::lines(name)?, present);
    let sum = |of: fn(&Line) -> u64| standing.iter().map(of).sum::<u64>();
    println!(
        "{name}: {} mutants of the present files: {} caught, {} missed, {} timed out, {} unviable",
        sum(|line| line.count),
        sum(|line| line.caught),
        sum(|line| line.missed),
        sum(|line| line.timeout),
        sum(|line| line.unviable),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_cut_into_pieces() {
        assert_eq!(shards(0), Vec::<String>::new());
        assert_eq!(shards(60), ["0/1"]);
        assert_eq!(shards(61), ["0/2", "1/2"]);
    }

    fn line(sha256: &str, shard: &str, missed: u64) -> Line {
        Line {
            date: String::new(),
            commit: String::new(),
            deciding_digest: String::new(),
            file: "a.rs".to_owned(),
            file_sha256: sha256.to_owned(),
            tests_sha256: "tests".to_owned(),
            shard: shard.to_owned(),
            count: 1,
            caught: 0,
            missed,
            timeout: 0,
            unviable: 0,
            seconds: 1.0,
            result: String::new(),
            missed_names: vec![],
        }
    }

    #[test]
    fn a_line_of_a_changed_file_no_longer_stands() {
        let lines = vec![line("old", "0/2", 5), line("new", "0/2", 3), line("new", "1/2", 2), line("new", "0/2", 1)];
        let present = BTreeMap::from([("a.rs".to_owned(), "new".to_owned())]);
        let missed: Vec<u64> = standing(lines, &present).iter().map(|line| line.missed).collect();
        assert_eq!(missed, [1, 2]);
    }

    #[test]
    fn a_piece_with_survivors_is_repeated_when_tests_change() {
        assert!(line("new", "0/1", 1).is_done("a.rs", "new", "tests"));
        assert!(!line("new", "0/1", 1).is_done("a.rs", "new", "more tests"));
        assert!(line("new", "0/1", 0).is_done("a.rs", "new", "more tests"));
        assert!(!line("old", "0/1", 0).is_done("a.rs", "new", "tests"));
    }
}
