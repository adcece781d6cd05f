//! The outcome for a terminal.

use crate::input::harmless;
use lab::feed::Feed;
use lab::feed::time::format_time;
use lab::replay::outcome::{Outcome, Totals};
use std::fmt::Write;

/// Lines of the timeline that are shown; the report and the CSV have all.
const TIMELINE_SHOWN: usize = 40;

/// The timeline and the tables.
pub(crate) fn show(outcome: &Outcome, feed: &Feed) -> String {
    let mut text = String::new();
    // Writing into a String can't fail.
    let _ = write(&mut text, outcome, feed);
    text
}

fn write(out: &mut String, outcome: &Outcome, feed: &Feed) -> std::fmt::Result {
    writeln!(out, "{}", harmless(&outcome.title))?;
    writeln!(out, "policy {}", outcome.policy_digest)?;
    writeln!(out, "{} to {}", format_time(outcome.from), format_time(outcome.to))?;
    let observations = &outcome.observations;
    writeln!(
        out,
        "rows in {} = used {} + listed {}; {} price observations",
        observations.input, observations.used, observations.listed, observations.prices
    )?;
    for (reason, count) in feed.quarantine.counts() {
        writeln!(out, "  listed as {}: {count}", reason.name())?;
    }
    for listed in feed.quarantine.samples().take(5) {
        let (file, detail) = (harmless(&listed.file.display().to_string()), harmless(&listed.detail));
        writeln!(out, "    {file}:{}: {} {detail}", listed.line, listed.reason.name())?;
    }
    writeln!(out, "\nTimeline")?;
    let weighty = |kind: &str| !matches!(kind, "source");
    let shown: Vec<_> = outcome.timeline.iter().filter(|entry| weighty(entry.kind)).collect();
    for entry in shown.iter().take(TIMELINE_SHOWN) {
        let times = if entry.count > 1 { format!(" ×{}", entry.count) } else { String::new() };
        let usd = if entry.usd > 0.0 { format!(" {} USD", grouped(entry.usd)) } else { String::new() };
        let (at, market, text) = (format_time(entry.at), harmless(&entry.market), harmless(&entry.text));
        writeln!(out, "  {at:<28}{market:<8}{:<12}{text}{times}{usd}", entry.kind)?;
    }
    if TIMELINE_SHOWN < shown.len() {
        writeln!(out, "  … {} more lines in --report, --csv or --json", shown.len() - TIMELINE_SHOWN)?;
    }
    markets(out, outcome)?;
    runs(out, outcome)?;
    stages(out, outcome)
}

fn markets(out: &mut String, outcome: &Outcome) -> std::fmt::Result {
    writeln!(out, "\nMarkets under the policy (seconds; liquidated and unjustified accounts: policy / competent)")?;
    writeln!(
        out,
        "  {:<8} {:>4} {:>9} {:>9} {:>9} {:>9}  {:>9} {:>9} {:>10} {:>9}  {:>8} {:>16} {:>19} {:>22}",
        "market",
        "lin.",
        "Agreed",
        "Degraded",
        "Disputed",
        "None",
        "Normal",
        "Cautious",
        "ReduceOnly",
        "Halted",
        "off hull",
        "window bps",
        "liquidated",
        "bad debt USD"
    )?;
    for market in &outcome.markets {
        let state = |name: &str| market.seconds_by_state.get(name).copied().unwrap_or(0.0);
        let mode = |name: &str| market.seconds_by_mode.get(name).copied().unwrap_or(0.0);
        let window = &market.arbitrage_window;
        writeln!(
            out,
            "  {:<8} {:>4} {:>9.0} {:>9.0} {:>9.0} {:>9.0}  {:>9.0} {:>9.0} {:>10.0} {:>9.0}  {:>8} {:>16} {:>19} {:>22}",
            harmless(&market.market),
            market.lineages,
            state("Agreed"),
            state("Degraded"),
            state("Disputed"),
            state("None"),
            mode("Normal"),
            mode("Cautious"),
            mode("ReduceOnly"),
            mode("Halted") + mode("CancelOnly"),
            market.outside_hull,
            format!("{:.0}/{:.0}/{:.0}s", window.median_bps, window.p99_bps, window.longest_ms as f64 / 1e3),
            format!(
                "{}-{} / {}-{}",
                market.liquidated[0], market.unjustified[0], market.liquidated[1], market.unjustified[1]
            ),
            format!("{} / {}", grouped(market.bad_debt_usd[0]), grouped(market.bad_debt_usd[1])),
        )?;
    }
    writeln!(
        out,
        "  window: median / 99th percentile distance of the index from the market by trade time, and the longest \
         stretch above {:.0} bps",
        outcome.markets.first().map_or(0.0, |market| market.arbitrage_window.threshold_bps)
    )
}

fn runs(out: &mut String, outcome: &Outcome) -> std::fmt::Result {
    writeln!(out, "\nRuns")?;
    writeln!(
        out,
        "  {:<22}{:>11}{:>12}{:>9}{:>10}{:>15}{:>14}{:>14}{:>14}{:>13}{:>13}{:>12}",
        "oracle",
        "liquidated",
        "unjustified",
        "unjudged",
        "over-liq",
        "bad debt USD",
        "insurance",
        "ADL",
        "(outside)",
        "socialized",
        "(outside)",
        "deficit"
    )?;
    line(out, &outcome.runs.policy, "policy")?;
    line(out, &outcome.runs.competent, "competent")?;
    for row in &outcome.sensitivity {
        line(out, &row.policy, &format!("policy impact ×{}", row.impact))?;
        line(out, &row.competent, &format!("competent impact ×{}", row.impact))?;
    }
    for single in &outcome.runs.single {
        line(out, single, &format!("only {}", harmless(&single.name)))?;
    }
    writeln!(
        out,
        "  (outside): of the column before, billed to the stand-in for the outside market; unjudged: no hindsight price of two lineages"
    )
}

fn line(out: &mut String, totals: &Totals, name: &str) -> std::fmt::Result {
    writeln!(
        out,
        "  {name:<22}{:>11}{:>12}{:>9}{:>10}{:>15}{:>14}{:>14}{:>14}{:>13}{:>13}{:>12}",
        totals.liquidated_accounts,
        totals.unjustified_liquidations,
        totals.unjudged_accounts,
        totals.over_liquidation_ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.3}")),
        grouped(totals.bad_debt_usd),
        grouped(totals.insurance_usd),
        grouped(totals.adl_usd),
        grouped(totals.adl_outside_usd),
        grouped(totals.socialized_usd),
        grouped(totals.socialized_outside_usd),
        grouped(totals.deficit_usd),
    )
}

fn stages(out: &mut String, outcome: &Outcome) -> std::fmt::Result {
    let stages: Vec<String> = outcome.stages.iter().map(|(name, seconds)| format!("{name} {seconds:.2} s")).collect();
    writeln!(out, "\nTime: {}", stages.join(", "))
}

/// A whole number with commas.
pub(crate) fn grouped(amount: f64) -> String {
    let digits = format!("{:.0}", amount.abs());
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if amount < -0.5 { format!("-{text}") } else { text }
}
