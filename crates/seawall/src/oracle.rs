//! `seawall oracle` and `seawall vectors`.

use crate::Ended;
use crate::input::{Input, echo};
use anyhow::{Context, Result, bail};
use clap::Args;
use lab::oracle::{Form, oracle};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

/// Arguments of `seawall oracle`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    input: Input,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Ended> {
    if arguments.input.is_empty() {
        bail!("name files with --bars FILE or --quotes FILE");
    }
    let policy = arguments.input.policy()?;
    let feed = arguments.input.open(Vec::new())?;
    let form = if arguments.json { Form::Json } else { Form::Text };
    let mut out = io::stdout().lock();
    let summary = oracle(&feed, &policy, form, &mut out)?;
    echo(&summary.decisions);
    let counts = feed.counts();
    eprintln!(
        "rows in {} = used {} + listed {}; {} observations, {} refused by order; {} lines",
        counts.input, counts.used, counts.listed, summary.observations, summary.refused, summary.lines
    );
    Ok(crate::replay::ended_by(&feed, 0))
}

/// Arguments of `seawall vectors`.
#[derive(Args, Clone, Debug)]
pub(crate) struct VectorArguments {
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn vectors(arguments: &VectorArguments) -> Result<Ended> {
    let text = serde_json::to_string_pretty(&lab::vectors::all())?;
    match &arguments.out {
        Some(path) => {
            let mut file = BufWriter::new(File::create(path).with_context(|| path.display().to_string())?);
            writeln!(file, "{text}").with_context(|| path.display().to_string())?;
            file.flush()?;
        }
        None => writeln!(io::stdout().lock(), "{text}")?,
    }
    Ok(Ended::Well)
}
