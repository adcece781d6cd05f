//! The outcome as CSV files.

use crate::feed::time::format_time;
use crate::replay::outcome::{Fate, Outcome, Totals};
use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::path::Path;

pub(super) fn write(outcome: &Outcome, directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    accounts(outcome, directory)?;
    runs(outcome, directory)?;
    markets(outcome, directory)?;
    timeline(outcome, directory)
}

fn accounts(outcome: &Outcome, directory: &Path) -> io::Result<()> {
    let fate = ["liquidations", "unjustified", "liquidated_usd", "adl_given_up_usd", "socialized_usd", "equity_usd"];
    let of_run = |run: &'static str| fate.map(|column| format!("{run}_{column}"));
    let mut header = ["account", "market", "size", "leverage", "cash_usd"].map(String::from).to_vec();
    header.extend(of_run("policy"));
    header.extend(of_run("competent"));
    let mut sheet = Sheet::create(directory, "accounts.csv", &header)?;
    for a in &outcome.accounts {
        let mut row = vec![text(&a.account), text(&a.market), number(a.size), number(a.leverage), number(a.cash_usd)];
        for Fate { liquidations, unjustified, liquidated_usd, adl_given_up_usd, socialized_usd, equity_usd } in
            [a.policy, a.competent]
        {
            row.extend([liquidations, unjustified].map(count));
            row.extend([liquidated_usd, adl_given_up_usd, socialized_usd, equity_usd].map(number));
        }
        sheet.row(&row)?;
    }
    sheet.finish()
}

fn runs(outcome: &Outcome, directory: &Path) -> io::Result<()> {
    let header = [
        "run",
        "impact",
        "liquidated_accounts",
        "unjustified_liquidations",
        "unjudged_accounts",
        "over_liquidation_ratio",
        "bad_debt_usd",
        "insurance_usd",
        "adl_usd",
        "adl_outside_usd",
        "socialized_usd",
        "socialized_outside_usd",
        "deficit_usd",
        "liquidated_usd",
        "deleveraged_usd",
        "effects_digest",
        "invariants_broken",
    ];
    let mut sheet = Sheet::create(directory, "runs.csv", &header)?;
    let runs = &outcome.runs;
    let main =
        [&runs.policy, &runs.competent].into_iter().chain(&runs.venue).chain(&runs.single).map(|totals| (1.0, totals));
    let sensitivity = outcome.sensitivity.iter().flat_map(|s| [(s.impact, &s.policy), (s.impact, &s.competent)]);
    for (impact, totals) in main.chain(sensitivity) {
        sheet.row(&run_row(impact, totals))?;
    }
    sheet.finish()
}

fn run_row(impact: f64, totals: &Totals) -> Vec<Cow<'_, str>> {
    let Totals {
        name,
        liquidated_accounts,
        unjustified_liquidations,
        unjudged_accounts,
        over_liquidation_ratio,
        bad_debt_usd,
        insurance_usd,
        adl_usd,
        adl_outside_usd,
        socialized_usd,
        socialized_outside_usd,
        deficit_usd,
        liquidated_usd,
        deleveraged_usd,
        effects_digest,
        invariants_broken,
    } = totals;
    let mut row = vec![
        text(name),
        number(impact),
        count(*liquidated_accounts),
        count(*unjustified_liquidations),
        count(*unjudged_accounts),
        over_liquidation_ratio.map_or(Cow::Borrowed(""), number),
    ];
    let usd = [
        bad_debt_usd,
        insurance_usd,
        adl_usd,
        adl_outside_usd,
        socialized_usd,
        socialized_outside_usd,
        deficit_usd,
        liquidated_usd,
        deleveraged_usd,
    ];
    row.extend(usd.map(|usd| number(*usd)));
    row.extend([text(effects_digest), count(*invariants_broken)]);
    row
}

/// States and modes are columns of their own: those that occur in any market.
fn markets(outcome: &Outcome, directory: &Path) -> io::Result<()> {
    let mut states: Vec<&str> =
        outcome.markets.iter().flat_map(|m| m.seconds_by_state.keys()).map(String::as_str).collect();
    let mut modes: Vec<&str> =
        outcome.markets.iter().flat_map(|m| m.seconds_by_mode.keys()).map(String::as_str).collect();
    for names in [&mut states, &mut modes] {
        names.sort_unstable();
        names.dedup();
    }
    let mut header = ["market", "sources", "lineages"].map(String::from).to_vec();
    header.extend(states.iter().map(|state| format!("seconds_{}", state.to_lowercase())));
    header.extend(modes.iter().map(|mode| format!("seconds_mode_{}", mode.to_lowercase())));
    let rest = [
        "hull_checks",
        "outside_hull",
        "window_threshold_bps",
        "window_median_bps",
        "window_p99_bps",
        "window_max_bps",
        "window_ms_above",
        "window_longest_ms",
        "policy_liquidated",
        "competent_liquidated",
        "policy_unjustified",
        "competent_unjustified",
        "policy_unjudged",
        "competent_unjudged",
        "policy_bad_debt_usd",
        "competent_bad_debt_usd",
    ];
    header.extend(rest.map(String::from));
    let mut sheet = Sheet::create(directory, "markets.csv", &header)?;
    for m in &outcome.markets {
        let mut row =
            vec![text(&m.market), Cow::Owned(text(&m.sources.join(" ")).into_owned()), count(m.lineages.into())];
        row.extend(states.iter().map(|state| number(m.seconds_by_state.get(*state).copied().unwrap_or(0.0))));
        row.extend(modes.iter().map(|mode| number(m.seconds_by_mode.get(*mode).copied().unwrap_or(0.0))));
        row.extend([m.hull_checks, m.outside_hull].map(count));
        let window = m.arbitrage_window;
        row.extend([window.threshold_bps, window.median_bps, window.p99_bps, window.max_bps].map(number));
        row.extend([window.ms_above, window.longest_ms].map(count));
        row.extend(m.liquidated.map(count));
        row.extend(m.unjustified.map(count));
        row.extend(m.unjudged.map(count));
        row.extend(m.bad_debt_usd.map(number));
        sheet.row(&row)?;
    }
    sheet.finish()
}

fn timeline(outcome: &Outcome, directory: &Path) -> io::Result<()> {
    let mut sheet = Sheet::create(directory, "timeline.csv", &["at", "market", "kind", "text", "count", "usd"])?;
    for e in &outcome.timeline {
        let at = Cow::Owned(format_time(e.at));
        sheet.row(&[at, text(&e.market), text(e.kind), text(&e.text), count(e.count), number(e.usd)])?;
    }
    sheet.finish()
}

struct Sheet(csv::Writer<File>);

impl Sheet {
    fn create(directory: &Path, name: &str, header: &[impl AsRef<[u8]>]) -> io::Result<Self> {
        let mut writer = csv::Writer::from_path(directory.join(name)).map_err(io::Error::from)?;
        writer.write_record(header).map_err(io::Error::from)?;
        Ok(Self(writer))
    }

    fn row(&mut self, row: &[Cow<'_, str>]) -> io::Result<()> {
        self.0.write_record(row.iter().map(|cell| cell.as_bytes())).map_err(io::Error::from)
    }

    fn finish(mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A cell of text, never a formula.
fn text(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Empty where there is no number, as in the JSON's `null`.
fn number(value: f64) -> Cow<'static, str> {
    if value.is_finite() { Cow::Owned(value.to_string()) } else { Cow::Borrowed("") }
}

fn count(value: u64) -> Cow<'static, str> {
    Cow::Owned(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_a_formula() {
        let cells = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "a=b", "", "'x"].map(|cell| text(cell).into_owned());
        assert_eq!(cells, ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\tx", "'\rx", "a=b", "", "'x"]);
        assert_eq!([number(-1.5), number(f64::NAN), number(1e21)], ["-1.5", "", "1000000000000000000000"]);
    }
}
