//! Mutation testing of a target (a deciding crate, `policy`, or `lab-feed`), in pieces of at most `PIECE` mutants of one file. The
//! mutated crate's own tests judge first; what they miss is judged again by what else has to notice, which takes longer to build.
//! A piece is done when the ledger has a line for it at the file's present bytes, so a change of a file repeats that file alone;
//! a piece with survivors is repeated, too, once any source or test of the tested crates has changed. What survived in the present
//! files is rewritten to `docs/ledger/mutants-TARGET.missed.txt` after each piece: each line there is to be killed by a test or
//! explained.
//!
//! Each job works on a copy of the sources with a target directory of its own, both kept: what was built stays built from piece to
//! piece, and no mutated crate ever lies where another build could take it for the real one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{evidence, ledger, repo, tools};

/// Mutants in a piece: some minutes of work, against the seconds that a piece's baseline takes.
const PIECE: usize = 60;

/// What is mutated, and whose tests have to notice.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    package: String,
    /// Sources lie under this.
    under: String,
    /// Which of the package's tests, as cargo is told.
    own: &'static [&'static str],
    /// Another package, and which of its tests: for what `own` missed.
    others: Option<(&'static str, &'static [&'static str])>,
}

/// The crates that decide are followed by the reference model; parsers have their tests beside them.
fn target(name: &str) -> Result<Target> {
    const ALL: &[&str] = &["--lib", "--tests"];
    const FEED: &[&str] = &["--lib", "--test=feed_dirty", "--test=feed_stream"];
    const MODEL: (&str, &[&str]) = ("lab", &["--test=model", "--test=snapshot"]);
    let (package, home, own, others) = match name {
        "lab" => bail!("of the lab only what reads outside files is mutated: mutants-lab-feed"),
        "lab-feed" => ("lab", "src/feed", FEED, None),
        "kernel" | "venue" | "units" | "codec" => (name, "src/", ALL, Some(MODEL)),
        other => (other, "src/", ALL, None),
    };
    let crate_home = format!("crates/{package}");
    ensure!(repo::root().join(&crate_home).is_dir(), "there is no crate `{package}`");
    Ok(Target { package: package.to_owned(), under: format!("{crate_home}/{home}"), own, others })
}

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

/// What became of mutants, by name.
#[derive(Default)]
struct Judged {
    caught: BTreeSet<String>,
    missed: BTreeSet<String>,
    timeout: BTreeSet<String>,
    unviable: BTreeSet<String>,
}

impl Judged {
    fn lists(&mut self) -> [(&'static str, &mut BTreeSet<String>); 4] {
        let Judged { caught, missed, timeout, unviable } = self;
        [("caught", caught), ("missed", missed), ("timeout", timeout), ("unviable", unviable)]
    }

    /// Reads cargo-mutants' lists, which together name each of its mutants once.
    fn read(home: &Path) -> Result<Judged> {
        #[derive(Deserialize)]
        struct Outcomes {
            total_mutants: u64,
        }
        let outcomes: Outcomes = serde_json::from_str(&std::fs::read_to_string(home.join("outcomes.json"))?)?;
        let mut judged = Judged::default();
        let mut named = 0;
        for (name, list) in judged.lists() {
            list.extend(std::fs::read_to_string(home.join(format!("{name}.txt")))?.lines().map(str::to_owned));
            named += list.len() as u64;
        }
        ensure!(named == outcomes.total_mutants, "the lists and outcomes.json disagree");
        Ok(judged)
    }

    /// Those that nothing killed: a mutant that runs for ever is none that was found out.
    fn survivors(&self) -> Vec<String> {
        self.missed.union(&self.timeout).cloned().collect()
    }

    /// Takes over what a second judgement says of the survivors. It may speak of others, too: some kinds of mutants are
    /// chosen whatever the expressions say. But of each survivor it has to speak.
    fn again(&mut self, mut second: Judged) -> Result<()> {
        for name in self.survivors() {
            self.missed.remove(&name);
            self.timeout.remove(&name);
            let said = self.lists().into_iter().zip(second.lists()).find(|(_, (_, list))| list.contains(&name));
            let Some(((_, list), _)) = said else { bail!("`{name}` was not found again") };
            list.insert(name);
        }
        Ok(())
    }
}

/// One piece: a file, its digest, and its shard.
type Piece = (String, String, String);

pub(crate) fn run(name: &str, target_name: &str, deadline: Instant, jobs: usize) -> Result<()> {
    let target = target(target_name)?;
    let program = tools::installed(&tools::MUTANTS)?;
    let sources: Vec<String> =
        repo::files()?.into_iter().filter(|path| path.starts_with(&target.under) && path.ends_with(".rs")).collect();
    let mut present = BTreeMap::new();
    for file in sources {
        let bytes = std::fs::read(repo::root().join(&file))?;
        present.insert(file, evidence::hex(&Sha256::digest(&bytes)));
    }
    let tests = tests_digest(&target)?;
    let mut queue: VecDeque<Piece> = VecDeque::new();
    let lines: Vec<Line> = ledger::lines(name)?;
    for (file, sha256) in &present {
        let mut list = Command::new(&program);
        list.current_dir(repo::root()).args(["mutants", "--package", &full_name(&target.package)]);
        let listed = repo::output(list.args(["--list", "--json", "--file", file]))?;
        let listed: Vec<serde_json::Value> = serde_json::from_str(&listed)?;
        let open = |shard: &String| !lines.iter().any(|l| l.is_done(file, sha256, &tests) && l.shard == *shard);
        queue.extend(shards(listed.len()).into_iter().filter(open).map(|shard| (file.clone(), sha256.clone(), shard)));
    }
    let queue = Mutex::new(queue);
    let written = Mutex::new(());
    let work = |job: usize| -> Result<()> {
        let place = Place::at(job)?;
        while Instant::now() < deadline {
            let next = queue.lock().ok().and_then(|mut queue| queue.pop_front());
            let Some((file, sha256, shard)) = next else { break };
            let line = place.piece(&program, &target, (&file, &sha256, &shard), &tests)?;
            let _one_at_a_time = written.lock();
            ledger::append(name, &line)?;
            write_missed(name, &present)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let started: Vec<_> = (0..jobs).map(|job| scope.spawn(move || work(job))).collect();
        started.into_iter().try_for_each(|job| job.join().unwrap_or_else(|_| bail!("a job panicked")))
    })?;
    write_missed(name, &present)?;
    summary(name, &present)
}

fn full_name(package: &str) -> String {
    format!("seawall-{package}")
}

/// Where one job works.
struct Place {
    tree: PathBuf,
    target: PathBuf,
    out: PathBuf,
}

impl Place {
    fn at(job: usize) -> Result<Place> {
        let home = repo::tools_dir()?.join("mutants").join(job.to_string());
        let place = Place { tree: home.join("tree"), target: home.join("target"), out: home.join("out") };
        std::fs::create_dir_all(&place.out)?;
        Ok(place)
    }

    /// Runs one piece: all its mutants by the package's own tests, then the survivors by the others.
    fn piece(&self, program: &Path, target: &Target, piece: (&str, &str, &str), tests: &str) -> Result<Line> {
        let (file, sha256, shard) = piece;
        let stamp = ledger::stamp()?;
        let start = Instant::now();
        mirror(&repo::root(), &repo::files()?, &self.tree)?;
        let own = (target.package.as_str(), target.own);
        let mut judged = self.judged(program, target, own, &["--file", file, "--shard", shard])?;
        let survivors = judged.survivors();
        if let Some(others) = target.others.filter(|_| !survivors.is_empty()) {
            let names: Vec<String> = survivors.iter().map(|name| format!("--re=^{}$", escaped(name))).collect();
            let chosen: Vec<&str> = ["--file", file].into_iter().chain(names.iter().map(String::as_str)).collect();
            let second = self.judged(program, target, others, &chosen)?;
            judged.again(second).with_context(|| format!("the survivors of {file} {shard}"))?;
        }
        let survivors = judged.survivors();
        let [caught, missed, timeout, unviable] = judged.lists().map(|(_, list)| list.len() as u64);
        Ok(Line {
            date: stamp.date,
            commit: stamp.commit,
            deciding_digest: stamp.deciding_digest,
            file: file.to_owned(),
            file_sha256: sha256.to_owned(),
            tests_sha256: tests.to_owned(),
            shard: shard.to_owned(),
            count: caught + missed + timeout + unviable,
            caught,
            missed,
            timeout,
            unviable,
            seconds: start.elapsed().as_secs_f64().round(),
            result: if survivors.is_empty() { "pass" } else { "survivors" }.to_owned(),
            missed_names: survivors,
        })
    }

    /// One run of cargo-mutants in the copy.
    fn judged(
        &self,
        program: &Path,
        target: &Target,
        (tested, which): (&str, &[&str]),
        chosen: &[&str],
    ) -> Result<Judged> {
        let mut command = self.command(&program.to_string_lossy());
        command.args(["mutants", "--in-place", "--package", &full_name(&target.package)]);
        command.args(["--test-package", &full_name(tested)]);
        if tested == target.package {
            command.args(["--minimum-test-timeout", "10"]);
        } else {
            // cargo-mutants looks for the baseline's tests in the mutated package, so these are shown to pass here.
            let start = Instant::now();
            repo::run(self.command("cargo").args(["test", "--quiet", "--package", &full_name(tested)]).args(which))?;
            let seconds = start.elapsed().as_secs().saturating_mul(3).max(60).to_string();
            command.args(["--baseline", "skip", "--timeout", &seconds]);
        }
        command.args(["--no-shuffle", "--colors", "never", "--output"]).arg(&self.out).args(chosen);
        // To builds too: what is not run need not be linked.
        command.args(which.iter().map(|test| format!("--cargo-arg={test}")));
        let status = command.status().with_context(|| format!("can't start {}", repo::spelled(&command)))?;
        // 0 all caught, 2 some missed, 3 some timed out; all else means that nothing was measured.
        if !matches!(status.code(), Some(0 | 2 | 3)) {
            bail!("{} ended with {status}", repo::spelled(&command));
        }
        Judged::read(&self.out.join("mutants.out"))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.tree).env("CARGO_TARGET_DIR", &self.target);
        // Nobody looks into these with a debugger, and its tables are a good part of a build.
        command.env("CARGO_PROFILE_TEST_DEBUG", "0").env("CARGO_INCREMENTAL", "1");
        command
    }
}

/// Makes `tree` a copy of the files under `root`. What is equal is not written, so that it need not be built again.
fn mirror(root: &Path, files: &[String], tree: &Path) -> Result<()> {
    let wanted: BTreeSet<PathBuf> = files.iter().map(|file| tree.join(file)).collect();
    let mut directories = vec![tree.to_path_buf()];
    while let Some(directory) = directories.pop() {
        std::fs::create_dir_all(&directory)?;
        for entry in std::fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                directories.push(entry.path());
            } else if !wanted.contains(&entry.path()) {
                std::fs::remove_file(entry.path())?;
            }
        }
    }
    for file in files {
        let (from, to) = (root.join(file), tree.join(file));
        let bytes = std::fs::read(&from).with_context(|| format!("can't read {file}"))?;
        if std::fs::read(&to).ok().as_ref() != Some(&bytes) {
            std::fs::create_dir_all(to.parent().context("a file lies in a directory")?)?;
            std::fs::write(&to, bytes)?;
        }
    }
    Ok(())
}

/// A text as a regular expression that matches it alone.
fn escaped(text: &str) -> String {
    // Not the angle brackets: escaped they mean the ends of a word.
    let special = |character: &char| r"\.+*?()|[]{}^$#&-~".contains(*character);
    text.chars().flat_map(|c| special(&c).then_some('\\').into_iter().chain([c])).collect()
}

impl Line {
    /// Whether the piece need not be run again: what was killed stays killed, what survived may have met its test.
    fn is_done(&self, file: &str, sha256: &str, tests: &str) -> bool {
        let killed = self.missed == 0 && self.timeout == 0;
        self.file == file && self.file_sha256 == sha256 && (killed || self.tests_sha256 == tests)
    }
}

fn tests_digest(target: &Target) -> Result<String> {
    let mut hasher = Sha256::new();
    let tested: Vec<&str> =
        std::iter::once(target.package.as_str()).chain(target.others.map(|others| others.0)).collect();
    for path in repo::files()?.into_iter().filter(|path| path.ends_with(".rs")) {
        if tested.iter().any(|name| path.starts_with(&format!("crates/{name}/"))) {
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
    fn a_second_judgement_speaks_of_every_survivor_and_of_nobody_else() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let first = || Judged {
            caught: set(&["a"]),
            missed: set(&["b", "c"]),
            timeout: set(&["d"]),
            unviable: set(&["e", "f"]),
        };
        let mut judged = first();
        let second =
            Judged { caught: set(&["b", "x"]), missed: set(&["d", "y"]), unviable: set(&["c"]), ..Judged::default() };
        judged.again(second).expect("speaks of all");
        let expected = [
            ("caught", set(&["a", "b"])),
            ("missed", set(&["d"])),
            ("timeout", set(&[])),
            ("unviable", set(&["c", "e", "f"])),
        ];
        assert_eq!(judged.lists().map(|(name, list)| (name, list.clone())), expected);
        assert_eq!(judged.survivors(), ["d"]);
        // Silence is no verdict.
        let silent = Judged { caught: set(&["b", "x"]), missed: set(&["d"]), ..Judged::default() };
        let error = first().again(silent).expect_err("c was not judged");
        assert_eq!(error.to_string(), "`c` was not found again");
    }

    #[test]
    fn parsers_are_targets_and_the_lab_only_where_it_reads_files() {
        let feed = target("lab-feed").expect("a target");
        assert_eq!((feed.package.as_str(), feed.under.as_str(), feed.others), ("lab", "crates/lab/src/feed", None));
        assert_eq!(target("policy").expect("a target").under, "crates/policy/src/");
        assert_eq!(target("kernel").expect("a target").others.map(|others| others.0), Some("lab"));
        let refused = |name: &str| target(name).expect_err("no target").to_string();
        assert_eq!(refused("lab"), "of the lab only what reads outside files is mutated: mutants-lab-feed");
        assert_eq!(refused("nothing"), "there is no crate `nothing`");
    }

    #[test]
    fn a_name_is_matched_as_it_stands() {
        let name = "crates/a/src/b.rs:1:2: replace a.c -> Option<u8> with None";
        let expected = r"crates/a/src/b\.rs:1:2: replace a\.c \-> Option<u8> with None";
        assert_eq!(escaped(name), expected);
    }

    #[test]
    fn a_copy_is_made_equal_and_what_is_equal_stays_untouched() {
        let home = std::env::temp_dir().join(format!("seawall-mirror-{}", std::process::id()));
        let (root, tree) = (home.join("root"), home.join("tree"));
        let write = |path: PathBuf, text: &str| {
            std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        write(root.join("a/same.rs"), "1");
        write(root.join("b/new.rs"), "2");
        write(tree.join("a/same.rs"), "1");
        write(tree.join("a/gone.rs"), "3");
        write(tree.join("b/new.rs"), "mutated");
        let written = |path: &str| std::fs::metadata(tree.join(path)).and_then(|it| it.modified()).expect("a time");
        let before = written("a/same.rs");
        let files = ["a/same.rs", "b/new.rs"].map(str::to_owned);
        mirror(&root, &files, &tree).expect("mirrored");
        let text = |path: &str| std::fs::read_to_string(tree.join(path)).ok();
        let found = ["a/same.rs", "a/gone.rs", "b/new.rs"].map(text);
        let after = written("a/same.rs");
        std::fs::remove_dir_all(&home).expect("removed");
        assert_eq!(found, [Some("1".to_owned()), None, Some("2".to_owned())]);
        assert_eq!(before, after);
    }

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
