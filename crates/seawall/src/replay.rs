//! `seawall replay`.

use crate::Ended;
use crate::corpus;
use crate::input::{Input, bar, competent, echo};
use crate::table;
use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use lab::feed::{Feed, Reason};
use lab::incident;
use lab::replay::accounts::AccountsFrom;
use lab::replay::outcome::Outcome;
use lab::replay::{Options, replay};
use lab::report;
use policy::Policy;
use std::io::{self, Write};
use std::path::PathBuf;

/// Points that a line of a chart keeps at most.
const CHART_POINTS: usize = 4_000;
/// Likewise on a page of many incidents.
const CHAPTER_POINTS: usize = 800;

/// Arguments of `seawall replay`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Arguments {
    /// A bundled incident, as I-17; not together with files
    #[arg(value_name = "INCIDENT")]
    pub(crate) incident: Option<String>,
    /// Every bundled incident under one policy, in one table; with --report on one page
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    pub(crate) input: Input,
    /// Accounts: CSV of account, pool, market, size, entry_price, collateral_asset, collateral_amount
    #[arg(long, value_name = "FILE")]
    pub(crate) accounts: Option<PathBuf>,
    /// Accounts to draw in each market where no file is named
    #[arg(long, value_name = "N", default_value_t = 250)]
    pub(crate) draw: u32,
    /// Seed of the drawn accounts
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Insurance fund of every pool; one percent of the open interest where it is not stated
    #[arg(long, value_name = "USD")]
    insurance: Option<f64>,
    /// What a bar is taken to have traded where its file has no volume
    #[arg(long, value_name = "USD", default_value_t = 100_000.0)]
    assume_volume: f64,
    /// Leave out the runs with each source as the only oracle
    #[arg(long)]
    no_single: bool,
    /// Leave out the runs with half and double impact
    #[arg(long)]
    no_sensitivity: bool,
    /// Write the report to this HTML file; with --all a page of every incident
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Write accounts, runs, markets and the timeline as CSV into this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) csv: Option<PathBuf>,
    /// Print the outcome as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Runs at the same time
    #[arg(long, value_name = "N", default_value_t = 2)]
    threads: usize,
}

impl Arguments {
    /// What `seawall` does without a command.
    pub(crate) fn bundled() -> Arguments {
        Arguments {
            incident: Some("I-17".to_owned()),
            all: false,
            input: Input { lag: "0ms".to_owned(), bar_path: "auto".to_owned(), ..Input::default() },
            accounts: None,
            draw: 250,
            seed: 1,
            insurance: None,
            assume_volume: 100_000.0,
            no_single: false,
            no_sensitivity: false,
            report: Some(PathBuf::from("seawall-report.html")),
            csv: None,
            json: false,
            threads: 2,
        }
    }

    /// What `seawall replay --all` does without an option.
    pub(crate) fn corpus() -> Arguments {
        Arguments { incident: None, all: true, report: None, ..Arguments::bundled() }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<Ended> {
    for (name, usd) in [("--insurance", arguments.insurance), ("--assume-volume", Some(arguments.assume_volume))] {
        if usd.is_some_and(|usd| !usd.is_finite() || usd < 0.0 || 9e12 < usd) {
            bail!("{name}: write an amount of USD from 0 to 9e12");
        }
    }
    if !(1..=64).contains(&arguments.threads) {
        bail!("--threads: write a number from 1 to 64");
    }
    if 100_000 < arguments.draw {
        bail!("--draw: write a number of at most 100,000 accounts a market");
    }
    if arguments.all {
        let title = String::new();
        return corpus::run(arguments, &options(arguments, title, arguments.input.policy()?)?);
    }
    let materialised = match (&arguments.incident, arguments.input.is_empty()) {
        (Some(_), false) => bail!("name an incident or files, not both"),
        (None, true) => {
            let known: Vec<String> = incident::list()?.into_iter().map(|listed| listed.id).collect();
            bail!("name an incident ({}), or files with --bars or --quotes", known.join(", "))
        }
        (Some(id), true) => Some(incident::materialise(id)?),
        (None, false) => None,
    };
    let started = std::time::Instant::now();
    let prepared = materialised.as_ref().map(|incident| incident.bars.clone()).unwrap_or_default();
    let policy = arguments.input.policy()?;
    let feed = arguments.input.open(prepared)?;
    let read = started.elapsed().as_secs_f64();
    let title = match &materialised {
        Some(materialised) => materialised.incident.heading(),
        None => {
            let names: Vec<&str> = feed.markets.iter().map(|market| market.name.as_str()).collect();
            format!("{} markets: {}", names.len(), names.join(", "))
        }
    };
    let options = options(arguments, title, policy)?;
    let bar = bar("replaying", "observations");
    let mut outcome = replay(&feed, &options, &|_, n| bar.inc(n)).map_err(|error| anyhow!("{error}"))?;
    bar.finish_and_clear();
    outcome.stages.insert("read".to_owned(), read);
    if let Some(materialised) = &materialised {
        // Where the bars lay for a moment is nobody's concern and differs from run to run.
        let directory = format!("{}/", materialised.directory.path().display());
        for decision in &mut outcome.decisions {
            *decision = decision.replace(&directory, "");
        }
        outcome
            .decisions
            .insert(0, format!("{}; {} bars made from them", materialised.incident.share(), materialised.rows));
    }
    echo(&outcome.decisions);
    if let Some(path) = &arguments.report {
        report::write_report(&outcome, path).with_context(|| format!("writing {}", path.display()))?;
        eprintln!("report: {}", path.display());
    }
    if let Some(dir) = &arguments.csv {
        report::write_csv(&outcome, dir).with_context(|| format!("writing into {}", dir.display()))?;
    }
    let mut out = io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", json(&outcome, &feed)?)?;
    } else {
        write!(out, "{}", table::show(&outcome, &feed))?;
    }
    Ok(ended_by(&feed, outcome.runs.policy.invariants_broken + outcome.runs.competent.invariants_broken))
}

pub(crate) fn options(arguments: &Arguments, title: String, policy: Policy) -> Result<Options> {
    let accounts = match &arguments.accounts {
        Some(path) => AccountsFrom::File(path.clone()),
        None => AccountsFrom::Drawn { per_market: arguments.draw, seed: arguments.seed },
    };
    let chart_points = match (arguments.all, &arguments.report) {
        // A line of the table needs the changes of mode, which come with the charts.
        (true, None) => 1,
        (true, Some(_)) => CHAPTER_POINTS,
        (false, Some(_)) => CHART_POINTS,
        (false, None) => 0,
    };
    Ok(Options {
        title,
        policy,
        competent: competent()?,
        accounts,
        insurance_usd: arguments.insurance,
        volume_assumed_usd: arguments.assume_volume,
        venue: None,
        single: !arguments.no_single,
        sensitivity: !arguments.no_sensitivity && !arguments.all,
        chart_points,
        threads: arguments.threads,
    })
}

/// The outcome with what was listed and why.
fn json(outcome: &Outcome, feed: &Feed) -> Result<String> {
    let mut value = serde_json::to_value(outcome)?;
    let reasons: serde_json::Map<String, serde_json::Value> =
        feed.quarantine.counts().iter().map(|(reason, count)| (reason.name().to_owned(), (*count).into())).collect();
    if let Some(object) = value.as_object_mut() {
        object.insert("quarantine".to_owned(), reasons.into());
    }
    Ok(serde_json::to_string_pretty(&value)?)
}

/// A file that breaks off is a finding; so is nothing else in a feed. A broken invariant fails verification.
pub(crate) fn ended_by(feed: &Feed, invariants_broken: u64) -> Ended {
    let damaged = feed.quarantine.count(Reason::TruncatedFile) + feed.quarantine.count(Reason::CorruptFile);
    match (invariants_broken, damaged) {
        (0, 0) => Ended::Well,
        (0, _) => Ended::WithFindings,
        (_, _) => Ended::VerificationFailed,
    }
}
