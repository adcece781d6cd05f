//! `seawall policy calibrate`.

use crate::Ended;
use crate::input::{Input, echo, harmless};
use anyhow::{Result, anyhow, bail};
use clap::Args;
use lab::trips::{Calibration, Class, LARGE_PERCENT, calibrate};
use std::fmt::Write as _;
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
        write!(out, "{}", text(&calibration))?;
    }
    Ok(crate::replay::ended_by(&feed, 0))
}

fn text(calibration: &Calibration) -> String {
    let mut text = String::new();
    // Writing into a String can't fail.
    let _ = write_text(&mut text, calibration);
    text
}

fn write_text(out: &mut String, calibration: &Calibration) -> std::fmt::Result {
    writeln!(out, "policy {}", calibration.policy_digest)?;
    writeln!(out, "\nTrips into ReduceOnly or stricter, and the hours until the mode was milder")?;
    writeln!(
        out,
        "  {:<8}{:>7}{:>8}  {:>7}{:>8}{:>8}{:>8}  {:>7}{:>8}{:>8}{:>8}{:>9}  {:>7}{:>8}",
        "market",
        "years",
        "gap h",
        "moves",
        "a year",
        "hours",
        "a year",
        "sources",
        "a year",
        "hours",
        "a year",
        "of moves",
        "large",
        "caught"
    )?;
    for market in &calibration.markets {
        let (moves, sources) = (&market.by_market, &market.by_source);
        writeln!(
            out,
            "  {:<8}{:>7.2}{:>8.1}  {:>7}{:>8.1}{:>8.1}{:>8.1}  {:>7}{:>8.1}{:>8.1}{:>8.1}{:>9}  {:>7}{:>8}",
            harmless(&market.market),
            market.years,
            market.gap_hours,
            moves.trips,
            moves.trips_per_year,
            moves.hours,
            moves.hours_per_year,
            sources.trips,
            sources.trips_per_year,
            sources.hours,
            sources.hours_per_year,
            market.by_source_then_market,
            market.large,
            market.large_caught,
        )?;
    }
    writeln!(
        out,
        "  moves: a detector of the market's move asked for it; sources: only detectors of sources did; of moves: of those, \
         such as a detector of the move joined later; large: bars from whose open the close is {LARGE_PERCENT}% away or more"
    )?;
    writeln!(out, "\nDetectors: how often each began to ask for as much / the trips at which it asked")?;
    write!(out, "  {:<8}", "market")?;
    for (name, class) in &calibration.detectors {
        let class = match class {
            Class::Market => "move",
            Class::Source => "source",
        };
        write!(out, "{:>22}", format!("{name} ({class})"))?;
    }
    writeln!(out)?;
    for market in &calibration.markets {
        write!(out, "  {:<8}", harmless(&market.market))?;
        for asked in &market.detectors {
            write!(out, "{:>22}", format!("{} / {}", asked.asked, asked.trips))?;
        }
        writeln!(out)?;
    }
    writeln!(out, "\nWith every threshold of the detectors of the move scaled (a year: moves, sources)")?;
    writeln!(
        out,
        "  {:<8}{:>6}  {:>8}{:>8}  {:>8}{:>8}  {:>12}",
        "market", "scale", "trips", "hours", "trips", "hours", "large caught"
    )?;
    for row in &calibration.curve {
        writeln!(
            out,
            "  {:<8}{:>6}  {:>8.1}{:>8.1}  {:>8.1}{:>8.1}  {:>12}",
            harmless(&row.market),
            format!("{}%", row.scale_percent),
            row.market_trips_per_year,
            row.market_hours_per_year,
            row.source_trips_per_year,
            row.source_hours_per_year,
            format!("{} of {}", row.large_caught, row.large),
        )?;
    }
    Ok(())
}
