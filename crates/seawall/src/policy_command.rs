//! `seawall policy`.

use crate::Ended;
use crate::input::read_policy;
use anyhow::Result;
use clap::{Args, Subcommand};
use std::io::{self, Write};
use std::path::PathBuf;

/// Arguments of `seawall policy`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Clone, Debug)]
enum Verb {
    /// Read a policy file and print its digest, or what is wrong with it
    Check {
        /// The file
        file: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of policy files
    Schema,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Ended> {
    let mut out = io::stdout().lock();
    match &arguments.verb {
        Verb::Check { file, json } => {
            let digest = read_policy(file)?.digest().to_string();
            if *json {
                let file = file.display().to_string();
                writeln!(out, "{}", serde_json::json!({ "file": file, "policy_digest": digest }))?;
            } else {
                writeln!(out, "{}: well formed, digest {digest}", file.display())?;
            }
        }
        Verb::Schema => writeln!(out, "{}", policy::schema())?,
    }
    Ok(Ended::Well)
}
