//! `seawall journal`.

use crate::Ended;
use crate::shadow;
use anyhow::{Context, Result, anyhow, bail};
use api::{Names, PlanView};
use clap::{Args, Subcommand};
use journal::{Cut, FileStorage, FilesRead, Kind, Start, Storage, VERIFIER, pack, unpack};
use node::{Decided, NodeFault, Proof, Receipt, Verified, Verifier, explain, prove, verify};
use port::words::hex;
use port::words::unhex;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};

/// Arguments of `seawall journal`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Clone, Debug)]
enum Verb {
    /// Decide everything again that a journal holds, and hold it against its hashes, snapshots and signed checkpoints; exit code 3 where it does not fit
    Verify {
        /// What `seawall run` was given as --data, or a bundle
        #[arg(value_name = "DIR|BUNDLE", default_value = "seawall-data")]
        data: PathBuf,
        /// Whose checkpoints are trusted, as NAME+ID+KEY; without it the key beside the journal, which is printed for you to compare
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
        /// Print the outcome as JSON
        #[arg(long)]
        json: bool,
    },
    /// Write what shows that a batch's receipt is in the log that the node signed: a kilobyte that needs no journal
    Prove {
        /// The batch's height
        #[arg(value_name = "HEIGHT", value_parser = clap::value_parser!(u64).range(1..))]
        height: u64,
        /// What `seawall run` was given as --data
        #[arg(long, value_name = "DIR", default_value = "seawall-data")]
        data: PathBuf,
    },
    /// Decide again what leads to a batch, and print its inputs, its effects and a plan for each change of a mode, as JSON
    Explain {
        /// The batch's height
        #[arg(value_name = "HEIGHT", value_parser = clap::value_parser!(u64).range(1..))]
        height: u64,
        /// What `seawall run` was given as --data
        #[arg(long, value_name = "DIR", default_value = "seawall-data")]
        data: PathBuf,
    },
    /// Print what this build decides on every batch, whichever release wrote the journal: a JSON object a line, for `shadow` of another build
    Effects {
        /// What `seawall run` was given as --data
        #[arg(value_name = "DIR", default_value = "seawall-data")]
        data: PathBuf,
    },
    /// Have another build decide everything again beside this one, and list what differs, before it takes over; exit code 1 where something does
    Shadow {
        /// The other build's program
        #[arg(value_name = "PROGRAM")]
        program: PathBuf,
        /// What `seawall run` was given as --data; the node may be running
        #[arg(long, value_name = "DIR", default_value = "seawall-data")]
        data: PathBuf,
        /// Batches that differ and are listed; all are counted
        #[arg(long, value_name = "N", default_value_t = 10)]
        list: u64,
    },
    /// Check what `prove` wrote; exit code 3 where it does not hold
    Check {
        /// The proof, as JSON
        #[arg(value_name = "PROOF")]
        proof: PathBuf,
        /// Whose checkpoints are trusted, as NAME+ID+KEY
        #[arg(long, value_name = "KEY")]
        key: String,
    },
    /// Say what is wrong with a journal, what of it is whole, what was promised beyond that, and what to do; changes nothing. Exit code 4 where somebody is needed
    Repair {
        /// What `seawall run` was given as --data
        #[arg(value_name = "DIR", default_value = "seawall-data")]
        data: PathBuf,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Write a journal into one file that somebody else can verify
    Export {
        /// Where to write it
        #[arg(value_name = "BUNDLE")]
        bundle: PathBuf,
        /// What `seawall run` was given as --data
        #[arg(long, value_name = "DIR", default_value = "seawall-data")]
        data: PathBuf,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Result<Ended> {
    match &arguments.verb {
        Verb::Verify { data, key, json } if data.is_file() => {
            let home = tempfile::tempdir().context("making a directory")?;
            let storage = FileStorage::open(home.path())?;
            let file = File::open(data).with_context(|| format!("{}", data.display()))?;
            let shown = data.display().to_string();
            let unpacked = match unpack(&shown, &mut BufReader::new(file), &storage) {
                Ok(unpacked) => unpacked,
                Err(fault) => return failed(*json, &fault.to_string()),
            };
            let found = held(storage, key.as_deref().or(unpacked.verifier.as_deref()))?;
            let changed = || format!("{shown}: its digest does not fit: something in it was changed");
            // What is wrong inside says more.
            let found = found.and_then(|found| if unpacked.is_whole { Ok(found) } else { Err(changed()) });
            tell(*json, found)
        }
        Verb::Verify { data, key, json } => {
            let storage = reader(data)?;
            let beside = verifier_beside(data)?;
            tell(*json, held(storage, key.as_deref().or(beside.as_deref()))?)
        }
        Verb::Prove { height, data } => match prove(reader(data)?, *height) {
            Ok(proof) => {
                writeln!(io::stdout().lock(), "{}", written(&proof))?;
                Ok(Ended::Well)
            }
            Err(fault @ NodeFault::Unproven { .. }) => bail!("{fault}"),
            Err(NodeFault::Journal(fault)) if fault.kind() == Kind::Transient => Err(fault.into()),
            Err(fault) => failed(false, &fault.to_string()),
        },
        Verb::Explain { height, data } => match explain(reader(data)?, *height) {
            Ok(decided) => {
                writeln!(io::stdout().lock(), "{:#}", explained(&decided))?;
                Ok(Ended::Well)
            }
            Err(fault @ NodeFault::Unproven { .. }) => bail!("{fault}"),
            Err(NodeFault::Journal(fault)) if fault.kind() == Kind::Transient => Err(fault.into()),
            Err(fault) => failed(false, &fault.to_string()),
        },
        Verb::Effects { data } => shadow::effects(data),
        Verb::Shadow { program, data, list } => shadow::beside(program, data, *list),
        Verb::Check { proof, key } => check(proof, key),
        Verb::Repair { data, json } => repair(data, *json),
        Verb::Export { bundle, data } => {
            let (storage, verifier) = (storage(data)?, verifier_beside(data)?);
            let file = File::create_new(bundle).with_context(|| format!("{}", bundle.display()))?;
            let files = pack(&storage, verifier.as_deref(), &mut BufWriter::new(&file))?;
            file.sync_all().with_context(|| format!("{}", bundle.display()))?;
            writeln!(io::stdout().lock(), "{files} files in {}", bundle.display())?;
            Ok(Ended::Well)
        }
    }
}

/// A batch with all that was decided in it; markets by number, since a journal knows no names.
fn explained(decided: &Decided) -> Value {
    let names = Names::default();
    let plans: Vec<PlanView> = decided.plans.iter().map(|plan| PlanView::of(plan, &names)).collect();
    json!({
        "height": decided.height,
        "at": api::view::time(decided.at),
        "inputs": decided.inputs.iter().map(|input| format!("{input:?}")).collect::<Vec<_>>(),
        "effects": decided.effects.iter().map(|effect| format!("{effect:?}")).collect::<Vec<_>>(),
        "plans": plans,
    })
}

fn written(proof: &Proof) -> Value {
    let Proof { receipt, path, checkpoint } = proof;
    let Receipt { height, record, effects, parameters, rules } = receipt;
    let path: Vec<String> = path.iter().map(|hash| hex(hash)).collect();
    json!({"receipt": {"height": height, "record": hex(record), "effects": hex(effects), "parameters": hex(parameters),
           "rules": hex(rules)}, "path": path, "checkpoint": checkpoint})
}

/// What `written` wrote.
fn read(text: &str) -> Option<Proof> {
    let proof: Value = serde_json::from_str(text).ok()?;
    let of = |name: &str| proof["receipt"][name].as_str().and_then(unhex);
    let (record, effects, parameters, rules) = (of("record")?, of("effects")?, of("parameters")?, of("rules")?);
    let receipt = Receipt { height: proof["receipt"]["height"].as_u64()?, record, effects, parameters, rules };
    let path = proof["path"].as_array()?.iter().map(|hash| hash.as_str().and_then(unhex)).collect::<Option<_>>()?;
    Some(Proof { receipt, path, checkpoint: proof["checkpoint"].as_str()?.to_owned() })
}

/// The longest proof that is read.
const PROOF_MAX: u64 = 1 << 16;

fn check(path: &Path, key: &str) -> Result<Ended> {
    let shown = path.display();
    let verifier: Verifier = key.parse().map_err(|_| anyhow!("{key}: write a key as NAME+ID+KEY"))?;
    let file = File::open(path).with_context(|| format!("{shown}"))?;
    let mut text = String::new();
    file.take(PROOF_MAX).read_to_string(&mut text).with_context(|| format!("{shown}"))?;
    let proof = read(&text).with_context(|| format!("{shown}: it is no proof that `seawall journal prove` wrote"))?;
    match proof.holds(&verifier) {
        Ok(stated) => {
            let (height, size, root) = (proof.receipt.height, stated.size, hex(&stated.root));
            writeln!(
                io::stdout().lock(),
                "PASS the receipt of height {height} is in the log of {size} batches with root {root}, signed by {}",
                stated.origin
            )?;
            Ok(Ended::Well)
        }
        Err(bad) => failed(false, &format!("height {}: {bad}", proof.receipt.height)),
    }
}

/// What a journal is like, as far as it can be read.
#[derive(Debug, Default)]
struct Findings {
    /// The snapshot from which it was read.
    from: Option<u64>,
    /// The last height that is whole.
    whole: u64,
    /// What is wrong behind it.
    fault: Option<String>,
    /// Bytes at the end that a start cuts.
    cut: Option<Cut>,
    /// The last height about which there is a signed statement.
    stated: Option<u64>,
}

impl Findings {
    fn of(storage: FileStorage, start: Start) -> Findings {
        let mut opened = match journal::open(storage, start) {
            Ok(opened) => opened,
            Err(fault) => return Findings { fault: Some(fault.to_string()), ..Findings::default() },
        };
        let from = opened.snapshot.as_ref().map(|snapshot| snapshot.head.height);
        let mut whole = from.unwrap_or(0);
        let fault = loop {
            match opened.next_record() {
                Ok(Some(record)) => whole = record.head.height,
                Ok(None) => break None,
                Err(fault) => break Some(fault.to_string()),
            }
        };
        let cut = if fault.is_none() { opened.cut().cloned() } else { None };
        Findings { from, whole, fault, cut, stated: opened.last_checkpoint() }
    }
}

fn repair(data: &Path, as_json: bool) -> Result<Ended> {
    // What a start reads, and everything from the beginning.
    let (newest, oldest) = (Findings::of(storage(data)?, Start::Newest), Findings::of(storage(data)?, Start::Oldest));
    let starts = newest.fault.is_none();
    let promised = newest.stated.max(oldest.stated).filter(|stated| oldest.whole < *stated);
    let mut out = io::stdout().lock();
    if as_json {
        let told = |found: &Findings| {
            let cut = found.cut.as_ref().map(|cut| json!({"file": cut.name, "offset": cut.offset, "bytes": cut.bytes}));
            json!({"from": found.from, "whole": found.whole, "fault": found.fault, "cut": cut})
        };
        let found = json!({"starts": starts, "newest": told(&newest), "oldest": told(&oldest), "promised": promised});
        writeln!(out, "{found}")?;
    } else {
        match &newest.fault {
            None => writeln!(
                out,
                "it starts: height {} follows from the snapshot behind height {}",
                newest.whole,
                newest.from.unwrap_or(0)
            )?,
            Some(fault) => {
                writeln!(out, "it does not start: {fault}")?;
                let begins =
                    oldest.from.map_or("nothing".to_owned(), |from| format!("the snapshot behind height {from}"));
                writeln!(out, "records are whole from {begins} to height {}", oldest.whole)?;
                if let Some(from) = newest.from {
                    writeln!(out, "the newest good snapshot is the one behind height {from}")?;
                }
            }
        }
        if let Some(Cut { name, offset, bytes, .. }) = &newest.cut {
            writeln!(
                out,
                "a start cuts {bytes} bytes of {name} from byte {offset} on: a crash left them, and nobody was told of them"
            )?;
        }
        if let Some(fault) = oldest.fault.as_ref().filter(|fault| newest.fault.as_ref() != Some(*fault)) {
            writeln!(out, "from its beginning it can't be verified: {fault}")?;
        }
        if let Some(promised) = promised {
            writeln!(out, "height {promised} was promised in a signed checkpoint: records up to it were there")?;
        }
        if !starts {
            writeln!(out, "what to do, the first that you can:")?;
            writeln!(out, "  1. keep the directory as it is: copy it before anything else")?;
            writeln!(
                out,
                "  2. put the file that is named back from a copy, or all of them from a bundle (`seawall journal export` wrote one)"
            )?;
            writeln!(out, "  3. `seawall journal repair` again, then `seawall journal verify`")?;
            writeln!(
                out,
                "Don't cut the file and don't delete a segment: what stands behind the damage was acknowledged, and effects of it were carried out. A node that"
            )?;
            writeln!(out, "went on from before it would do them again, or not know of them.")?;
        }
    }
    Ok(if starts { Ended::Well } else { Ended::NeedsHuman })
}

/// To read what is there, also while a node writes to it.
pub(crate) fn reader(data: &Path) -> Result<FilesRead> {
    let home = data.join("journal");
    if !home.is_dir() {
        bail!("{}: there is no journal", home.display());
    }
    Ok(FilesRead::new(&home))
}

fn storage(data: &Path) -> Result<FileStorage> {
    let home = data.join("journal");
    if !home.is_dir() {
        bail!("{}: there is no journal", home.display());
    }
    Ok(FileStorage::open(&home)?)
}

fn verifier_beside(data: &Path) -> Result<Option<String>> {
    let path = data.join(VERIFIER);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{}", path.display())),
    }
}

type Held = (Verified, Option<Verifier>);

/// What deciding it again comes to, or in words why it does not fit.
fn held(storage: impl Storage + Send, key: Option<&str>) -> Result<Result<Held, String>> {
    let parsed = key.map(|key| key.parse::<Verifier>().map_err(|_| anyhow!("{key}: write a key as NAME+ID+KEY")));
    let verifier = parsed.transpose()?;
    match verify(storage, verifier.as_ref(), &mut |_, _| {}) {
        Ok(found) => Ok(Ok((found, verifier))),
        // Who else holds it says nothing about it.
        Err(NodeFault::Journal(fault)) if fault.kind() == Kind::Transient => Err(fault.into()),
        Err(fault) => Ok(Err(fault.to_string())),
    }
}

fn failed(as_json: bool, why: &str) -> Result<Ended> {
    let mut out = io::stdout().lock();
    if as_json {
        writeln!(out, "{}", json!({"verified": false, "why": why}))?;
    } else {
        writeln!(out, "FAIL {why}")?;
    }
    Ok(Ended::VerificationFailed)
}

fn tell(as_json: bool, found: Result<Held, String>) -> Result<Ended> {
    let (found, verifier) = match found {
        Ok(held) => held,
        Err(why) => return failed(as_json, &why),
    };
    let mut out = io::stdout().lock();
    let (height, hash, state) = (found.head.height, hex(&found.head.hash), hex(&found.state));
    let (receipts, rules) = (hex(&found.receipts), hex(&node::rules()));
    let cut = found.cut.as_ref().map(|cut| json!({"file": cut.name, "offset": cut.offset, "bytes": cut.bytes}));
    let key = verifier.map(|verifier| verifier.to_string());
    if as_json {
        let head = json!({"height": height, "hash": hash});
        let counts = json!({"verified": true, "batches": found.batches, "inputs": found.inputs, "effects": found.effects,
            "snapshots": found.snapshots, "checkpoints": found.checkpoints, "key": key, "head": head, "receipts": receipts,
            "state": state, "rules": rules, "cut": cut});
        writeln!(out, "{counts}")?;
        return Ok(Ended::Well);
    }
    let (batches, inputs, effects) = (found.batches, found.inputs, found.effects);
    writeln!(
        out,
        "PASS {batches} batches, {inputs} inputs, {effects} effects decided again; {} snapshots fit",
        found.snapshots
    )?;
    writeln!(out, "height {height}, head {hash}\nreceipts {receipts}\nstate {state}\nrules {rules}")?;
    match key {
        Some(key) => writeln!(out, "{} checkpoints signed by {key}", found.checkpoints)?,
        None => writeln!(out, "no key, and no checkpoint")?,
    }
    if let Some(cut) = &found.cut {
        let (bytes, name, offset) = (cut.bytes, &cut.name, cut.offset);
        writeln!(out, "{bytes} bytes of {name} from byte {offset} on are no record: what a crash leaves")?;
    }
    Ok(Ended::Well)
}
