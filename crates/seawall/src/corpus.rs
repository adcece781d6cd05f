//! `seawall replay --all`: every bundled incident under one policy, in one table.

use crate::Ended;
use crate::input::{Input, harmless};
use crate::replay::Arguments;
use crate::table::grouped;
use anyhow::{Context, Result, anyhow, bail};
use lab::feed::Feed;
use lab::feed::time::format_time;
use lab::incident::corpus::{Cost, Row, Verdict, in_order};
use lab::incident::{self, Incident, Listed};
use lab::replay::{Options, replay};
use lab::report::{Chapter, write_corpus};
use serde_json::json;
use std::fmt::Write as _;
use std::io::{self, Write};

/// Width of the column of titles.
const TITLE: usize = 44;

/// Replays one after the other, so that no more than one is in memory.
pub(crate) fn run(arguments: &Arguments, options: &Options) -> Result<Ended> {
    if arguments.incident.is_some() || narrowed(&arguments.input) || arguments.accounts.is_some() {
        bail!("--all replays every bundled incident whole: name no incident, files, accounts or times with it");
    }
    if arguments.csv.is_some() {
        bail!("--all has one page of all incidents with --report; name one incident for --csv");
    }
    let (mut rows, mut chapters) = (Vec::new(), Vec::new());
    for Listed { id, .. } in incident::list()? {
        let (row, chapter) = one(arguments, options, &id)?;
        rows.push(row);
        chapters.extend(chapter);
    }
    in_order(&mut rows);
    let digest = options.policy.digest().to_string();
    if let Some(path) = &arguments.report {
        chapters.sort_by_key(|chapter: &Chapter| rows.iter().position(|row| row.incident == chapter.incident()));
        write_corpus(&digest, &chapters, path).with_context(|| format!("writing {}", path.display()))?;
        eprintln!("report: {}", path.display());
    }
    let mut out = io::stdout().lock();
    if arguments.json {
        let value = json!({ "policy_digest": digest, "incidents": rows });
        writeln!(out, "{}", serde_json::to_string_pretty(&value)?)?;
    } else {
        write!(out, "{}", show(&digest, &rows))?;
    }
    let broken = rows.iter().any(|row| row.invariants_broken != 0);
    Ok(if broken { Ended::VerificationFailed } else { Ended::Well })
}

/// Whether anything but the policy is stated of what to read.
fn narrowed(input: &Input) -> bool {
    let Input { bars, quotes, policy: _, market, lag, bar_path, contract, from, to, quarantine } = input;
    let lists = bars.is_empty() && quotes.is_empty() && market.is_empty() && contract.is_empty();
    let paths = from.is_none() && to.is_none() && quarantine.is_none();
    !(lists && paths && lag == "0ms" && bar_path == "auto")
}

/// An incident's line, and its chapter where a page is asked for.
fn one(arguments: &Arguments, options: &Options, id: &str) -> Result<(Row, Option<Chapter>)> {
    on(&arguments.input, id, |incident, feed| {
        let options =
            Options { title: incident.heading(), venue: incident.about.venue_rule.clone(), ..options.clone() };
        let outcome = replay(feed, &options, &|_, _| {})?;
        let row = Row::of(incident, &outcome);
        let chapter = arguments.report.is_some().then(|| Chapter::of(incident, &row, &outcome));
        Ok((row, chapter))
    })
}

/// Makes an incident's bars, shows them to `work`, and leaves nothing of them.
pub(crate) fn on<T>(input: &Input, id: &str, work: impl FnOnce(&Incident, &Feed) -> Result<T, String>) -> Result<T> {
    let materialised = incident::materialise(id)?;
    let feed = input.open(materialised.bars.clone())?;
    work(&materialised.incident, &feed).map_err(|error| anyhow!("{error}")).with_context(|| id.to_owned())
}

fn show(digest: &str, rows: &[Row]) -> String {
    let mut text = String::new();
    // Writing into a String can't fail.
    let _ = write_table(&mut text, digest, rows);
    text
}

fn write_table(out: &mut String, digest: &str, rows: &[Row]) -> std::fmt::Result {
    writeln!(out, "policy {digest}")?;
    writeln!(out, "{} reconstructions from public statements, none of them a recording", rows.len())?;
    writeln!(
        out,
        "Lines in which the policy is not better than the competent baseline come first: ! worse, = the same\n"
    )?;
    writeln!(
        out,
        "  {:<5} {:<TITLE$} {:>9}  {:>19} {:>19} {:>60}  {:>8} {:>20}  worst source",
        "", "", "stated/of", "liquidated", "unjustified", "losses past own money, USD", "seconds", "first"
    )?;
    writeln!(
        out,
        "  {:<5} {:<TITLE$} {:>9}  {:>19} {:>19} {:>60}  {:>8} {:>20}",
        "",
        "",
        "points",
        "pol./comp./ven./w.",
        "pol./comp./ven./w.",
        "policy / competent / venue / worst",
        "strict",
        "ReduceOnly"
    )?;
    for row in rows {
        let mark = match row.verdict {
            Verdict::Worse => "!",
            Verdict::Same => "=",
            Verdict::Better => " ",
        };
        let cell = |of: &dyn Fn(&Cost) -> String, between: &str| {
            let or_none = |cost: Option<&Cost>| cost.map_or("-".to_owned(), of);
            let (venue, worst) = (or_none(row.venue.as_ref()), or_none(row.worst_single.as_ref()));
            [of(&row.policy), of(&row.competent), venue, worst].join(between)
        };
        writeln!(
            out,
            "{mark} {:<5} {:<TITLE$} {:>9}  {:>19} {:>19} {:>60}  {:>8.0} {:>20}  {}",
            row.incident,
            row.title,
            format!("{}/{}", row.stated, row.points),
            cell(&|cost| cost.liquidated.to_string(), "/"),
            cell(&|cost| cost.unjustified.to_string(), "/"),
            cell(&|cost| grouped(cost.bad_debt_usd), " / "),
            row.reduce_only_seconds,
            row.reduce_only_first.map_or("-".to_owned(), second),
            row.worst_single
                .as_ref()
                .filter(|cost| 0 < cost.liquidated)
                .map_or("-".to_owned(), |cost| harmless(&cost.name)),
        )?;
    }
    writeln!(
        out,
        "\nstated/of points: prices that a named source states, of all that the bars were made from; liquidated, unjustified: accounts;\n\
         venue: by the price that the venue itself believed that day, with the baseline's margins; worst: one that trusted only the source\n\
         that would have cost it most; seconds strict: in ReduceOnly or stricter after a\n\
         market first permitted openings, in the market with most of them; first ReduceOnly: after that, in any market, UTC"
    )
}

/// A time to the second.
pub(crate) fn second(at: i64) -> String {
    format_time(at.div_euclid(1_000_000) * 1_000_000)
}
