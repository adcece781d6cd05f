//! The page of the corpus: a table of all incidents in the order in which they are to be read, and a chapter for each.
//!
//! A chapter is text as soon as its incident is replayed, so that no more than one replay is in memory; the page puts the
//! chapters together.

use super::chart::{self, Budget};
use super::frame::{RUN_COLUMNS, block, document, head, push, row, run_cells};
use super::html::{count, escape, span, time, usd};
use crate::incident::corpus::{Cost, Row, Verdict};
use crate::incident::{About, Incident};
use crate::replay::outcome::{Outcome, TimelineEntry};

const SCRIPT: &str = include_str!("corpus.js");
/// Lines of a timeline in a chapter. The page says how many more there are.
const TIMELINE_MAX: usize = 120;

/// One incident's part of the page.
pub struct Chapter {
    row: Row,
    date: String,
    body: String,
    data: String,
}

impl Chapter {
    /// The chapter of an incident, its line of the table, and its replay with charts.
    #[must_use]
    pub fn of(incident: &Incident, row: &Row, outcome: &Outcome) -> Chapter {
        let (mut body, mut data) = (String::new(), String::new());
        push(
            &mut body,
            format_args!(
                "<section class=\"incident\" id=\"{id}\" data-markets=\"{markets}\">\n<p class=\"up\"><a href=\"#contents\">All incidents</a></p>\n\
                 <h2>{id} · {title} {verdict}</h2>\n",
                id = escape(&row.incident),
                markets = outcome.markets.len(),
                title = escape(&row.title),
                verdict = verdict(row.verdict),
            ),
        );
        about(&mut body, incident, row);
        charts(&mut body, outcome);
        runs(&mut body, row, outcome);
        timeline(&mut body, &row.incident, &outcome.timeline);
        body.push_str("</section>\n");
        for (place, market) in outcome.markets.iter().enumerate() {
            let series = chart::market(market, outcome.from, outcome.to, Budget::CHAPTER);
            block(&mut data, &format!("data-{}-{place}", escape(&row.incident)), &series);
        }
        Chapter { row: row.clone(), date: incident.about.date.clone(), body, data }
    }

    /// The incident's name, such as `I-17`.
    #[must_use]
    pub fn incident(&self) -> &str {
        &self.row.incident
    }
}

/// One self-contained document, its chapters in the order given.
pub(super) fn render(policy_digest: &str, chapters: &[Chapter]) -> String {
    let mut body = String::new();
    header(&mut body, policy_digest, chapters);
    contents(&mut body, chapters);
    let mut data = String::new();
    for chapter in chapters {
        body.push_str(&chapter.body);
        data.push_str(&chapter.data);
    }
    body.push_str("</main>\n");
    document("Incidents under one policy · Seawall", &body, &data, SCRIPT)
}

fn header(body: &mut String, policy_digest: &str, chapters: &[Chapter]) {
    let of = |verdict: Verdict| chapters.iter().filter(|chapter| chapter.row.verdict == verdict).count();
    push(
        body,
        format_args!(
            "<header>\n<p class=\"brand\">Seawall incidents</p>\n<h1>{all} incident{s} under one policy</h1>\n\
             <p class=\"facts\"><span>reconstructions from public statements, none of them a recording</span>\
             <span>against the competent baseline: {worse} worse, {same} the same, {better} better</span>\
             <span>policy <code title=\"{digest}\">{short}…</code></span></p>\n\
             <noscript><p class=\"note\">Text and tables are complete; charts need JavaScript.</p></noscript>\n</header>\n<main>\n",
            all = chapters.len(),
            s = if chapters.len() == 1 { "" } else { "s" },
            worse = of(Verdict::Worse),
            same = of(Verdict::Same),
            better = of(Verdict::Better),
            digest = escape(policy_digest),
            short = escape(&policy_digest.chars().take(12).collect::<String>()),
        ),
    );
    let broken: u64 = chapters.iter().map(|chapter| chapter.row.invariants_broken).sum();
    if broken != 0 {
        push(body, format_args!("<p class=\"alarm\">Invariants that did not hold: {}</p>\n", count(broken)));
    }
}

const CONTENTS: [&str; 10] = [
    "Incident",
    "What",
    "Date",
    "Against competent",
    "Points stated",
    "Accounts liquidated",
    "Of them unjustified",
    "Losses past own money",
    "Restricted",
    "Worst source alone",
];

fn contents(body: &mut String, chapters: &[Chapter]) {
    body.push_str(
        "<section id=\"contents\">\n<h2>All incidents</h2>\n<p class=\"note\">Those first in which the policy is not better than the competent \
         baseline: worse where it loses more or liquidates more accounts without justification. Four numbers are those of the policy, of \
         the competent baseline (plain median, exchange-style tiers, partial liquidation, market halt), of the price that the venue itself \
         believed that day with the baseline\u{2019}s margins, and of a venue that trusted only the source that would have cost it most. Unjustified: accounts that stayed healthy at the hindsight price for 10 seconds, or a bar where \
         that is longer, on either side. Restricted: time in ReduceOnly or stricter after a market first permitted openings, in the market \
         with most of it.</p>\n",
    );
    push(body, format_args!("<div class=\"texts\">\n"));
    head(body, "incidents", &CONTENTS);
    for Chapter { row, date, .. } in chapters {
        let id = escape(&row.incident);
        let all = |of: &dyn Fn(&Cost) -> String| {
            let or_none = |cost: Option<&Cost>| cost.map_or("–".to_string(), of);
            let (venue, worst) = (or_none(row.venue.as_ref()), or_none(row.worst_single.as_ref()));
            format!("{} / {} / {venue} / {worst}", of(&row.policy), of(&row.competent))
        };
        let worst = row.worst_single.as_ref().filter(|worst| 0 < worst.liquidated);
        let cells = [
            escape(&row.title),
            escape(date),
            verdict(row.verdict),
            format!("{} of {}", count(row.stated as u64), count(row.points as u64)),
            all(&|cost| count(cost.liquidated)),
            all(&|cost| count(cost.unjustified)),
            all(&|cost| dollars(cost.bad_debt_usd)),
            span(row.reduce_only_seconds.round()),
            worst.map_or("–".to_string(), |worst| escape(&worst.name)),
        ];
        push(body, format_args!("<tr><th scope=\"row\"><a href=\"#{id}\">{id}</a></th>"));
        for cell in cells {
            push(body, format_args!("<td>{cell}</td>"));
        }
        body.push_str("</tr>\n");
    }
    body.push_str("</tbody></table></div>\n</div>\n</section>\n");
}

/// Whole, so that four fit into a cell.
fn dollars(amount: f64) -> String {
    if amount.abs() < 0.5 { "$0".to_string() } else { usd(amount.round()).trim_end_matches(".00").to_string() }
}

fn verdict(verdict: Verdict) -> String {
    let (class, word) = match verdict {
        Verdict::Worse => ("worse", "worse"),
        Verdict::Same => ("even", "the same"),
        Verdict::Better => ("better", "better"),
    };
    format!("<span class=\"verdict {class}\">{word}</span>")
}

/// What happened, as its sources say, and how much of the prices they state.
fn about(body: &mut String, incident: &Incident, row: &Row) {
    let About { summary, should_have_tripped, venues, facts, citations, bar_seconds, .. } = &incident.about;
    let listed = if row.listed == 0 { String::new() } else { format!(", {} of them no price", count(row.listed)) };
    push(
        body,
        format_args!(
            "<p class=\"facts\"><span>{from} to {to} ({window})</span>\
             <span>{bars} bars of {bar_seconds} s{listed}</span></p>\n\
             <p class=\"label\"><strong>Reconstruction.</strong> {share}.</p>\n<p class=\"summary\">{summary}</p>\n",
            from = time(incident.from),
            to = time(incident.to),
            window = span((incident.to - incident.from) as f64 / 1e6),
            bars = count(row.bars),
            share = escape(&incident.share().to_string()),
            summary = escape(summary.trim()),
        ),
    );
    body.push_str("<div class=\"columns\">\n<div><h3>Around the prices</h3><ul>\n");
    for fact in facts {
        let at = fact.at.trim_end_matches('Z').replace('T', " ");
        let (at, text, key) = (escape(&at), escape(&fact.text), escape(&fact.citation));
        push(body, format_args!("<li><time>{at}</time> {text} <cite>[{key}]</cite></li>\n"));
    }
    body.push_str("</ul></div>\n<div><h3>What should have tripped</h3><ul>\n");
    for text in should_have_tripped {
        push(body, format_args!("<li>{}</li>\n", escape(text)));
    }
    body.push_str("</ul></div>\n</div>\n<details><summary>Venues and sources of statements</summary><ul>\n");
    for venue in venues {
        push(body, format_args!("<li><code>{}</code>: {}</li>\n", escape(&venue.name), escape(&venue.about)));
    }
    for citation in citations {
        push(body, format_args!("<li><cite>[{}]</cite> {}</li>\n", escape(&citation.key), escape(&citation.text)));
    }
    body.push_str("</ul></details>\n");
}

fn charts(body: &mut String, outcome: &Outcome) {
    body.push_str("<h3>Sources against the index</h3>\n<div class=\"controls\">");
    if 1 < outcome.markets.len() {
        body.push_str("<label>Market <select class=\"market\">");
        for (place, market) in outcome.markets.iter().enumerate() {
            push(body, format_args!("<option value=\"{place}\">{}</option>", escape(&market.market)));
        }
        body.push_str("</select></label>");
    }
    body.push_str(
        "<label>Price axis <select class=\"axis\"><option value=\"linear\">linear</option><option value=\"log\">logarithmic</option></select>\
         </label><label>Range <select class=\"range\"><option value=\"all\">all prices</option><option value=\"index\">around the index</option>\
         </select></label></div>\n<figure><div class=\"chart tall\"></div><figcaption>Sources by receive time and our index with its confidence \
         band; the market's mode as background; rung and state of the index; liquidations under the policy and under the competent \
         baseline. Drag to zoom, double-click to reset, click in the legend to hide. Times are UTC. <span class=\"liquidations\"></span>\
         </figcaption></figure>\n",
    );
}

fn runs(body: &mut String, row_of: &Row, outcome: &Outcome) {
    body.push_str("<h3>Runs</h3>\n");
    head(body, &format!("runs-{}", escape(&row_of.incident)), &RUN_COLUMNS);
    row(body, "policy", "policy", &run_cells(&outcome.runs.policy));
    row(body, "competent", "competent", &run_cells(&outcome.runs.competent));
    if let Some(totals) = &outcome.runs.venue {
        row(body, "single", "the venue\u{2019}s own rule", &run_cells(totals));
    }
    let worst = row_of.worst_single.as_ref();
    let worst = worst.and_then(|worst| outcome.runs.single.iter().find(|totals| totals.name == worst.name));
    if let Some(totals) = worst {
        row(body, "single", &format!("{} alone, worst", totals.name), &run_cells(totals));
    }
    body.push_str("</tbody></table></div>\n");
}

fn timeline(body: &mut String, incident: &str, entries: &[TimelineEntry]) {
    let shown = weightiest(entries);
    let (all, kept) = (count(entries.len() as u64), count(shown.len() as u64));
    let id = escape(incident);
    push(
        body,
        format_args!("<details class=\"timeline\"><summary>Timeline of the policy's run ({all} lines)</summary>\n"),
    );
    if shown.len() < entries.len() {
        push(
            body,
            format_args!(
                "<p class=\"note\">{kept} of {all} lines: modes first, then losses, states, liquidations and sources. {more} more with \
                 <code>seawall replay {id} --csv DIR</code>.</p>\n",
                more = count((entries.len() - shown.len()) as u64),
            ),
        );
    }
    body.push_str("<div class=\"texts\">\n");
    head(body, &format!("timeline-{id}"), &["Time (UTC)", "Market", "Kind", "What", "Count", "USD"]);
    for entry in shown {
        let at = time(entry.at).trim_end_matches(" UTC").to_string();
        let times = if 1 < entry.count { format!("×{}", count(entry.count)) } else { String::new() };
        let money = if entry.usd == 0.0 { String::new() } else { usd(entry.usd) };
        let cells = [escape(&entry.market), escape(entry.kind), escape(&entry.text), times, money];
        row(body, "", &at, &cells);
    }
    body.push_str("</tbody></table></div>\n</div>\n</details>\n");
}

/// At most [`TIMELINE_MAX`] lines in their order, those of the weightier kinds where there are more.
fn weightiest(entries: &[TimelineEntry]) -> Vec<&TimelineEntry> {
    let weight = |entry: &TimelineEntry| match entry.kind {
        "mode" | "refused" => 0,
        "deficit" | "socialized" | "adl" | "insurance" => 1,
        "quality" => 2,
        "liquidation" => 3,
        _ => 4, // tidy: open set
    };
    let mut places: Vec<usize> = (0..entries.len()).collect();
    places.sort_by_key(|place| weight(&entries[*place]));
    places.truncate(TIMELINE_MAX);
    places.sort_unstable();
    places.into_iter().map(|place| &entries[place]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_timeline_keeps_its_weightier_lines_in_order() {
        let entry =
            |at: i64, kind| TimelineEntry { at, market: String::new(), kind, text: String::new(), count: 1, usd: 0.0 };
        let check = |entries: &[TimelineEntry], expected: &[i64]| {
            let kept: Vec<i64> = weightiest(entries).iter().map(|entry| entry.at).collect();
            assert_eq!(kept, expected);
        };
        check(&[], &[]);
        let most: Vec<i64> = (0..TIMELINE_MAX as i64).collect();
        check(&most.iter().map(|at| entry(*at, "source")).collect::<Vec<_>>(), &most);
        let mut many: Vec<TimelineEntry> = (0..500).map(|at| entry(at, "source")).collect();
        many[300].kind = "quality";
        many[400].kind = "mode";
        many[450].kind = "liquidation";
        let expected: Vec<i64> = (0..TIMELINE_MAX as i64 - 3).chain([300, 400, 450]).collect();
        check(&many, &expected);
        let modes: Vec<TimelineEntry> = (0..500).map(|at| entry(at, if at < 100 { "adl" } else { "mode" })).collect();
        check(&modes, &(100..100 + TIMELINE_MAX as i64).collect::<Vec<_>>());
    }

    #[test]
    fn money_in_the_table_is_whole() {
        assert_eq!(
            [0.0, 0.4, 12.6, 999.4, 1_234.5, -7.0].map(dollars),
            ["$0", "$0", "$13", "$999", "$1,235", "−$7"].map(String::from)
        );
    }
}
