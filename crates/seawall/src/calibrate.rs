//! `seawall policy calibrate`.

use crate::Ended;
use crate::input::{Input, echo, harmless};
use anyhow::{Result, anyhow, bail};
use clap::Args;
use lab::trips::calibrate;
use std::io::Write;

/// Arguments of `seawall policy calibrate`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    input: Input,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Scales at the same time
    #[arg(long, value_name = "N", default_value_t = 2)]
    threads: usize,
}

pub(crate) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<Ended> {
    if arguments.input.is_empty() {
        bail!("name files with --bars FILE or --quotes FILE");
    }
    if !(1..=64).contains(&arguments.threads) {
        bail!("--threads: write a number from 1 to 64");
    }
    let policy = arguments.input.policy()?;
    let feed = arguments.input.open(Vec::new())?;
    let calibration = calibrate(&feed, &policy, arguments.threads).map_err(|error| anyhow!("{error}"))?;
    echo(&calibration.decisions);
    let counts = feed.counts();
    eprintln!("rows in {} = used {} + listed {}", counts.input, counts.used, counts.listed);
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&calibration)?)?;
    } else {
        write!(out, "{}", calibration.text(&harmless))?;
    }
    Ok(crate::replay::ended_by(&feed, 0))
}
