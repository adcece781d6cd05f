//! `seawall journal`.

use crate::Ended;
use crate::run::hex;
use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use journal::{FileStorage, Kind};
use node::{NodeFault, verify};
use serde_json::json;
use std::io::{self, Write};
use std::path::PathBuf;

/// Arguments of `seawall journal`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Clone, Debug)]
enum Verb {
    /// Decide everything again that a journal holds, and hold it against its hashes and snapshots; exit code 3 where it does not fit
    Verify {
        /// What `seawall run` was given as --data
        #[arg(value_name = "DIR", default_value = "seawall-data")]
        data: PathBuf,
        /// Print the outcome as JSON
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Result<Ended> {
    let Verb::Verify { data, json: as_json } = &arguments.verb;
    let home = data.join("journal");
    if !home.is_dir() {
        bail!("{}: there is no journal", home.display());
    }
    let mut out = io::stdout().lock();
    let found = match FileStorage::open(&home).map_err(NodeFault::from).and_then(|home| verify(home, &mut |_, _| {})) {
        Ok(found) => found,
        // Who else holds it says nothing about it.
        Err(fault) if fault.kind() == Kind::Transient => return Err(fault.into()),
        Err(fault) => {
            if *as_json {
                writeln!(out, "{}", json!({"verified": false, "why": fault.to_string()}))?;
            } else {
                writeln!(out, "FAIL {}: {fault}", home.display())?;
            }
            return Ok(Ended::VerificationFailed);
        }
    };
    let (height, hash, state) = (found.head.height, hex(&found.head.hash), hex(&found.state));
    let rules = hex(&node::rules());
    let cut = found.cut.as_ref().map(|cut| json!({"file": cut.name, "offset": cut.offset, "bytes": cut.bytes}));
    if *as_json {
        let head = json!({"height": height, "hash": hash});
        let counts = json!({"verified": true, "batches": found.batches, "inputs": found.inputs, "effects": found.effects,
            "snapshots": found.snapshots, "head": head, "state": state, "rules": rules, "cut": cut});
        writeln!(out, "{counts}")?;
    } else {
        writeln!(
            out,
            "PASS {} batches, {} inputs, {} effects decided again; {} snapshots fit",
            found.batches, found.inputs, found.effects, found.snapshots
        )?;
        writeln!(out, "height {height}, head {hash}, state {state}, rules {rules}")?;
        if let Some(cut) = &found.cut {
            let (bytes, name, offset) = (cut.bytes, &cut.name, cut.offset);
            writeln!(out, "{bytes} bytes of {name} from byte {offset} on are no record: what a crash leaves")?;
        }
    }
    Ok(Ended::Well)
}
