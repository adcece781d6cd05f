//! Numbers measured on outside data, tied to the code that produced them. The format and the rules: docs/evidence/README.md.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Subcommand;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::repo::{self, DECIDING};
use crate::tidy;
use crate::tokens::{self, Kind};

const HOME: &str = "docs/evidence";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Compares every record with the sources as they are.
    Check,
    /// Writes `docs/evidence/NAME.json`.
    Write(WriteOptions),
    /// Prints the digest of the deciding crates.
    Digest,
}

#[derive(clap::Args)]
pub(crate) struct WriteOptions {
    /// What was measured, as a file name without extension.
    name: String,
    /// A data file that went in; any number.
    #[arg(long)]
    data: Vec<PathBuf>,
    /// The command that produced the numbers, as typed at the root.
    #[arg(long)]
    command: String,
    /// A JSON object with the numbers.
    #[arg(long)]
    numbers: PathBuf,
    /// Record although sources differ from the commit.
    #[arg(long)]
    allow_dirty: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    name: String,
    data: Vec<DataFile>,
    commit: String,
    command: String,
    deciding_digest: String,
    numbers: serde_json::Map<String, serde_json::Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DataFile {
    path: String,
    sha256: String,
}

/// "The decisions have changed and these numbers stand all the same, because …"
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Waiver {
    digest: String,
    reason: String,
}

pub(crate) fn run(command: Command) -> Result<()> {
    match command {
        Command::Check => check(),
        Command::Write(options) => write(&options),
        Command::Digest => {
            println!("{}", deciding_digest()?);
            Ok(())
        }
    }
}

pub(crate) fn check() -> Result<()> {
    let current = deciding_digest()?;
    let home = repo::root().join(HOME);
    let mut checked = 0;
    let mut faults = Vec::new();
    for path in repo::files()?.into_iter().filter(|path| path.starts_with(HOME)) {
        let file = repo::root().join(&path);
        let stem = file.file_stem().context("a file without a name")?.to_string_lossy().into_owned();
        if path.ends_with(".json") {
            checked += 1;
            let record = std::fs::read_to_string(&file)?;
            let waiver = std::fs::read_to_string(home.join(format!("{stem}.waiver"))).ok();
            faults.extend(fault(&stem, &record, waiver.as_deref(), &current));
        } else if path.ends_with(".waiver") && !home.join(format!("{stem}.json")).is_file() {
            faults.push(format!("{path} waives a record that does not exist: delete it"));
        }
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    println!("{checked} records stand; deciding digest {current}");
    Ok(())
}

/// What is wrong with a record, if anything is.
fn fault(stem: &str, record: &str, waiver: Option<&str>, current: &str) -> Option<String> {
    let path = format!("{HOME}/{stem}.json");
    let record: Record = match serde_json::from_str(record) {
        Ok(record) => record,
        Err(error) => return Some(format!("{path} can't be read: {error}")),
    };
    if let Err(error) = sound(stem, &record) {
        return Some(format!("{path}: {error}"));
    }
    if record.deciding_digest == current {
        return None;
    }
    let stale = format!(
        "{path}: deciding crates have changed since {}; rerun `{}`, or give a reason in {HOME}/{stem}.waiver for digest {current}",
        record.commit, record.command
    );
    let Some(waiver) = waiver else { return Some(stale) };
    match serde_json::from_str::<Waiver>(waiver) {
        Err(error) => Some(format!("{HOME}/{stem}.waiver can't be read: {error}")),
        Ok(waiver) if waiver.reason.trim().is_empty() => Some(format!("{HOME}/{stem}.waiver gives no reason")),
        Ok(waiver) => (waiver.digest != current).then_some(stale),
    }
}

fn sound(stem: &str, record: &Record) -> Result<()> {
    ensure!(record.name == stem, "its name says `{}`", record.name);
    ensure!(is_hex(&record.commit, 40), "commit `{}` is not a full hash", record.commit);
    ensure!(is_hex(&record.deciding_digest, 64), "deciding_digest is not a sha256");
    ensure!(!record.command.trim().is_empty(), "it names no command");
    ensure!(!record.numbers.is_empty(), "it holds no numbers");
    for file in &record.data {
        ensure!(is_hex(&file.sha256, 64), "{} has no sha256", file.path);
        ensure!(!file.path.starts_with('/'), "{} is an absolute path", file.path);
    }
    Ok(())
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn write(options: &WriteOptions) -> Result<()> {
    if repo::is_dirty()? && !options.allow_dirty {
        bail!("sources differ from the commit: commit first, or say --allow-dirty");
    }
    let numbers = std::fs::read_to_string(&options.numbers)
        .with_context(|| format!("can't read {}", options.numbers.display()))?;
    let record = Record {
        name: options.name.clone(),
        data: options.data.iter().map(|path| data_file(path)).collect::<Result<_>>()?,
        commit: repo::commit()?,
        command: options.command.clone(),
        deciding_digest: deciding_digest()?,
        numbers: serde_json::from_str(&numbers).context("the numbers are not a JSON object")?,
    };
    sound(&options.name, &record)?;
    let path = repo::root().join(HOME).join(format!("{}.json", options.name));
    std::fs::write(&path, serde_json::to_string_pretty(&record)? + "\n")?;
    // A waiver speaks of older numbers.
    let waiver = path.with_extension("waiver");
    if waiver.is_file() {
        std::fs::remove_file(waiver)?;
    }
    println!("wrote {}", path.display());
    Ok(())
}

/// A data file is recorded from its `data` directory on, wherever that lies.
fn data_file(path: &Path) -> Result<DataFile> {
    let parts: Vec<String> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let start = parts.iter().rposition(|part| part == "data");
    let start = start.with_context(|| format!("{} lies in no directory named data", path.display()))?;
    let mut file = std::fs::File::open(path).with_context(|| format!("can't open {}", path.display()))?;
    let mut hasher = Sha256::new();
    std::io::copy(&mut file, &mut Hashing(&mut hasher))?;
    Ok(DataFile { path: parts[start..].join("/"), sha256: hex(&hasher.finalize()) })
}

struct Hashing<'a>(&'a mut Sha256);

impl std::io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// One digest over what the deciding crates compile to: the tokens of their sources without tests, comments and documentation,
/// any other file in `src`, and the manifests' dependencies and features. A change of a comment or a test keeps the evidence.
pub(crate) fn deciding_digest() -> Result<String> {
    let mut sources = BTreeMap::new();
    for path in repo::files()? {
        let deciding = DECIDING.iter().any(|name| {
            path.starts_with(&format!("crates/{name}/src/")) || path == format!("crates/{name}/Cargo.toml")
        });
        if deciding {
            let bytes = std::fs::read(repo::root().join(&path)).with_context(|| format!("can't read {path}"))?;
            sources.insert(path, bytes);
        }
    }
    digest(&sources)
}

fn digest(sources: &BTreeMap<String, Vec<u8>>) -> Result<String> {
    let texts: tidy::Texts = sources
        .iter()
        .filter_map(|(path, bytes)| Some((path.clone(), String::from_utf8(bytes.clone()).ok()?)))
        .collect();
    let roots = DECIDING.map(|name| format!("crates/{name}/src/lib.rs"));
    let tests: Vec<String> = roots.iter().flat_map(|root| tidy::test_only(&texts, root)).collect();
    let mut hasher = Sha256::new();
    for (path, bytes) in sources.iter().filter(|(path, _)| !tests.contains(path)) {
        let content = match texts.get(path) {
            Some(text) if path.ends_with(".rs") => canonical(text).with_context(|| path.clone())?,
            Some(text) if path.ends_with("Cargo.toml") => manifest(text).with_context(|| path.clone())?.into_bytes(),
            Some(_) | None => bytes.clone(),
        };
        for part in [path.as_bytes(), &content] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    Ok(hex(&hasher.finalize()))
}

/// The tokens that ship, each as a mark of its kind, its text, and a zero.
fn canonical(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for token in tokens::without_tests(text)? {
        let (mark, text) = match token.kind {
            Kind::Ident(name) => (b'i', name),
            Kind::Literal(literal) => (b'l', literal),
            Kind::Punct(character, true) => (b'j', character.to_string()),
            Kind::Punct(character, false) => (b'p', character.to_string()),
            Kind::Open(character) => (b'o', character.to_string()),
            Kind::Close(character) => (b'c', character.to_string()),
        };
        bytes.push(mark);
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
    }
    Ok(bytes)
}

/// The parts of a manifest that change what is compiled.
fn manifest(text: &str) -> Result<String> {
    let manifest: toml::Table = text.parse()?;
    let parts = ["dependencies", "features", "build-dependencies"];
    let parts = parts.iter().map(|part| Ok(format!("{part} {}\n", serde_json::to_string(&manifest.get(*part))?)));
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "0000000000000000000000000000000000000000000000000000000000000000";
    const NEW: &str = "1111111111111111111111111111111111111111111111111111111111111111";

    fn record(digest: &str) -> String {
        let commit = "a".repeat(40);
        format!(
            r#"{{"name":"depeg","data":[{{"path":"data/a.csv","sha256":"{OLD}"}}],"commit":"{commit}",
               "command":"cargo run","deciding_digest":"{digest}","numbers":{{"accounts":3}}}}"#
        )
    }

    #[track_caller]
    fn check(record: &str, waiver: Option<&str>, expected: Option<&str>) {
        assert_eq!(fault("depeg", record, waiver, NEW).as_deref(), expected);
    }

    #[test]
    fn a_record_of_these_sources_stands() {
        check(&record(NEW), None, None);
    }

    #[test]
    fn a_record_of_other_sources_needs_a_rerun_or_a_waiver() {
        let stale = format!(
            "docs/evidence/depeg.json: deciding crates have changed since {}; rerun `cargo run`, \
             or give a reason in docs/evidence/depeg.waiver for digest {NEW}",
            "a".repeat(40)
        );
        check(&record(OLD), None, Some(&stale));
        check(&record(OLD), Some(&format!(r#"{{"digest":"{NEW}","reason":"a name changed"}}"#)), None);
        check(&record(OLD), Some(&format!(r#"{{"digest":"{OLD}","reason":"a name changed"}}"#)), Some(&stale));
        check(
            &record(OLD),
            Some(&format!(r#"{{"digest":"{NEW}","reason":" "}}"#)),
            Some("docs/evidence/depeg.waiver gives no reason"),
        );
    }

    #[test]
    fn a_malformed_record_is_refused() {
        check(&record(&NEW[1..]), None, Some("docs/evidence/depeg.json: deciding_digest is not a sha256"));
        let renamed = record(NEW).replace("\"depeg\"", "\"crash\"");
        check(&renamed, None, Some("docs/evidence/depeg.json: its name says `crash`"));
        let empty = record(NEW).replace("\"accounts\":3", "");
        check(&empty, None, Some("docs/evidence/depeg.json: it holds no numbers"));
    }

    #[track_caller]
    fn digest_of(source: &str, manifest: &str) -> String {
        let sources = [("crates/units/src/lib.rs", source), ("crates/units/Cargo.toml", manifest)];
        let sources = sources.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
        digest(&BTreeMap::from(sources)).expect("the case is Rust")
    }

    #[test]
    fn the_digest_changes_with_what_is_compiled_and_with_nothing_else() {
        let base = digest_of("fn a() -> u8 { 1 }", "[package]\nname = \"a\"");
        let same = "/// Says one.\nfn a() -> u8 {\n    1 // one\n}\n#[cfg(test)]\nmod tests { fn b() {} }";
        assert_eq!(base, digest_of(same, "[package]\nname = \"a\"\n[dev-dependencies]\nb = \"1\""));
        assert_ne!(base, digest_of("fn a() -> u8 { 2 }", "[package]\nname = \"a\""));
        assert_ne!(base, digest_of("fn a() -> u8 { 1 }", "[package]\nname = \"a\"\n[dependencies]\nb = \"1\""));
    }
}
