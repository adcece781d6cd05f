//! The page of one replay: its tables, and the data that its script draws from.

use super::chart;
use super::frame::{RUN_COLUMNS, block, document, head, push, row, run_cells};
use super::html::{count, escape, number, span, time, usd};
use crate::replay::outcome::{MarketOutcome, Outcome, Sensitivity, Totals};
use serde_json::{Value, json};

const SCRIPT: &str = include_str!("page.js");
/// Lines of the timeline in the page. The rest is in `timeline.csv`, and the page says so.
const TIMELINE_MAX: usize = 20_000;
const DECISIONS_MAX: usize = 2_000;

/// One self-contained document.
pub(super) fn render(outcome: &Outcome) -> String {
    let mut body = String::new();
    header(&mut body, outcome);
    figures(&mut body, outcome);
    runs(&mut body, outcome);
    sensitivity(&mut body, &outcome.sensitivity);
    markets(&mut body, outcome);
    timeline(&mut body, outcome);
    provenance(&mut body, outcome);

    let mut data = String::new();
    block(&mut data, "data-page", &page_data(outcome));
    let budget = chart::Budget::of(outcome);
    for (index, market) in outcome.markets.iter().enumerate() {
        block(&mut data, &format!("data-market-{index}"), &chart::market(market, outcome.from, outcome.to, budget));
    }
    block(&mut data, "data-timeline", &timeline_data(outcome));

    document(&format!("{} · Seawall replay", outcome.title), &body, &data, SCRIPT)
}

fn header(body: &mut String, outcome: &Outcome) {
    let o = &outcome.observations;
    let seconds = (outcome.to - outcome.from).max(0) as f64 / 1e6;
    push(
        body,
        format_args!(
            "<header>\n<p class=\"brand\">Seawall replay</p>\n<h1>{title}</h1>\n\
             <p class=\"facts\"><span>{from} to {to} ({span})</span><span>{markets} market{s}</span>\
             <span id=\"counts\">{input} rows in = {used} used + {listed} listed, giving {prices} prices</span>\
             <span>policy <code title=\"{digest}\">{short}…</code></span></p>\n\
             <noscript><p class=\"note\">The tables below are complete; charts and the timeline need JavaScript.</p></noscript>\n\
             </header>\n<main>\n",
            title = escape(&outcome.title),
            from = time(outcome.from),
            to = time(outcome.to),
            span = span(seconds),
            markets = outcome.markets.len(),
            s = if outcome.markets.len() == 1 { "" } else { "s" },
            input = count(o.input),
            used = count(o.used),
            listed = count(o.listed),
            prices = count(o.prices),
            digest = escape(&outcome.policy_digest),
            short = escape(&outcome.policy_digest.chars().take(12).collect::<String>()),
        ),
    );
    if o.input != o.used + o.listed {
        body.push_str("<p class=\"alarm\">Rows are missing: in is not used + listed.</p>\n");
    }
    let broken: u64 = all_runs(outcome).map(|totals| totals.invariants_broken).sum();
    if broken != 0 {
        push(body, format_args!("<p class=\"alarm\">Invariants that did not hold: {}</p>\n", count(broken)));
    }
}

fn all_runs(outcome: &Outcome) -> impl Iterator<Item = &Totals> {
    [&outcome.runs.policy, &outcome.runs.competent].into_iter().chain(&outcome.runs.venue).chain(&outcome.runs.single)
}

/// The four numbers for which the run was made, against the baseline.
fn figures(body: &mut String, outcome: &Outcome) {
    let (ours, theirs) = (&outcome.runs.policy, &outcome.runs.competent);
    body.push_str("<section class=\"figures\" aria-label=\"Policy against the competent baseline\">\n");
    let mut figure = |what: &str, ours: String, theirs: String, better: Option<bool>| {
        let (class, word) = verdict(better);
        push(
            body,
            format_args!(
                "<div class=\"figure\"><h2>{what}</h2><p class=\"ours\">{ours}</p>\
                 <p class=\"theirs\">competent: {theirs} <span class=\"{class}\">{word}</span></p></div>\n"
            ),
        );
    };
    let counts = |pick: fn(&Totals) -> u64| (count(pick(ours)), count(pick(theirs)));
    let (a, b) = counts(|t| t.liquidated_accounts);
    figure("Accounts liquidated", a, b, None);
    let (a, b) = counts(|t| t.unjustified_liquidations);
    let (x, y) = (ours.unjustified_liquidations as f64, theirs.unjustified_liquidations as f64);
    figure("Unjustified liquidations", a, b, less(x, y));
    figure("Bad debt", usd(ours.bad_debt_usd), usd(theirs.bad_debt_usd), less(ours.bad_debt_usd, theirs.bad_debt_usd));
    let (x, y) = (ours.over_liquidation_ratio, theirs.over_liquidation_ratio);
    let better = x.zip(y).and_then(|(x, y)| less((x - 1.0).abs(), (y - 1.0).abs()));
    figure("Taken over needed", number(x, 3), number(y, 3), better);
    body.push_str("</section>\n");
}

/// Whether ours is better where less is; `None` where they are equal.
fn less(ours: f64, theirs: f64) -> Option<bool> {
    match ours.partial_cmp(&theirs) {
        Some(std::cmp::Ordering::Less) => Some(true),
        Some(std::cmp::Ordering::Greater) => Some(false),
        Some(std::cmp::Ordering::Equal) | None => None,
    }
}

fn verdict(better: Option<bool>) -> (&'static str, &'static str) {
    match better {
        Some(true) => ("better", "better"),
        Some(false) => ("worse", "worse"),
        None => ("even", ""),
    }
}

fn runs(body: &mut String, outcome: &Outcome) {
    body.push_str(
        "<section>\n<h2>Runs</h2>\n<p class=\"note\">The same prices and accounts under the policy, under the competent baseline (plain \
         median, exchange-style tiers, partial liquidation, market halt), and with each source as the only oracle. Unjustified: of \
         accounts that stayed healthy at the hindsight price for 10 seconds either side. Unjudged: of no liquidation of theirs has that \
         price two lineages. Outside: billed to the stand-in for the outside market, which takes liquidated positions over and which no \
         venue has; a loss for which the accounts were not asked.</p>\n",
    );
    head(body, "runs", &RUN_COLUMNS);
    row(body, "policy", "policy", &run_cells(&outcome.runs.policy));
    row(body, "competent", "competent", &run_cells(&outcome.runs.competent));
    for totals in &outcome.runs.single {
        row(body, "single", &format!("{} alone", totals.name), &run_cells(totals));
    }
    body.push_str(
        "</tbody></table></div>\n<figure><div id=\"waterfall\" class=\"chart\"></div><figcaption>Losses past the accounts' own money, \
         by who paid them, in the order in which they are asked: insurance, then deleveraged counterparties (ADL), then holders \
         (socialized), then nobody (deficit).</figcaption></figure>\n</section>\n",
    );
}

fn sensitivity(body: &mut String, rows: &[Sensitivity]) {
    if rows.is_empty() {
        return;
    }
    body.push_str(
        "<section>\n<h2>Sensitivity to market impact</h2>\n<p class=\"note\">The impact law's coefficient is an assumption: here it is \
         multiplied.</p>\n",
    );
    head(body, "sensitivity", &RUN_COLUMNS);
    for s in rows {
        row(body, "policy", &format!("policy, impact ×{}", s.impact), &run_cells(&s.policy));
        row(body, "competent", &format!("competent, impact ×{}", s.impact), &run_cells(&s.competent));
    }
    body.push_str("</tbody></table></div>\n</section>\n");
}

fn markets(body: &mut String, outcome: &Outcome) {
    body.push_str("<section>\n<h2>Markets</h2>\n<div class=\"controls\"><label>Market <select id=\"market\">");
    for (index, market) in outcome.markets.iter().enumerate() {
        push(body, format_args!("<option value=\"{index}\">{}</option>", escape(&market.market)));
    }
    body.push_str(
        "</select></label><button type=\"button\" id=\"previous\">‹ Previous</button><button type=\"button\" id=\"next\">Next ›</button>\
         <label>Price axis <select id=\"axis\"><option value=\"linear\">linear</option><option value=\"log\">logarithmic</option></select>\
         </label><label>Range <select id=\"range\"><option value=\"all\">all prices</option><option value=\"index\">around the index</option>\
         </select></label></div>\n<figure><div id=\"chart\" class=\"chart tall\"></div><figcaption>Sources by receive time and our index \
         with its confidence band; the market's mode as background; state and rung of the index; liquidations under the policy and under \
         the competent baseline. Drag to zoom, double-click to reset, click in the legend to hide. Times are UTC. <span id=\"liquidations\"></span></figcaption></figure>\n\
         <div id=\"market-tables\" class=\"columns\"></div>\n<h3>All markets</h3>\n",
    );
    let columns = [
        "Market",
        "Sources",
        "Lineages",
        "Agreed",
        "Disputed",
        "Degraded",
        "None",
        "Not Normal",
        "Outside hull",
        "Window p99",
        "Window longest",
        "Liquidated (policy / competent)",
        "Unjustified (policy / competent)",
        "Bad debt, policy",
        "Bad debt, competent",
    ];
    head(body, "markets", &columns);
    for (index, m) in outcome.markets.iter().enumerate() {
        market_row(body, index, m);
    }
    body.push_str("</tbody></table></div>\n</section>\n");
}

fn market_row(body: &mut String, index: usize, m: &MarketOutcome) {
    let in_state = |state: &str| span(m.seconds_by_state.get(state).copied().unwrap_or(0.0));
    let restricted = m.seconds_by_mode.iter().filter(|(mode, _)| *mode != "Normal").map(|(_, seconds)| seconds).sum();
    let pair = |[policy, competent]: [u64; 2]| format!("{} / {}", count(policy), count(competent));
    let window = &m.arbitrage_window;
    let cells = [
        escape(&m.sources.join(", ")),
        m.lineages.to_string(),
        in_state("Agreed"),
        in_state("Disputed"),
        in_state("Degraded"),
        in_state("None"),
        span(restricted),
        format!("{} of {}", count(m.outside_hull), count(m.hull_checks)),
        format!("{:.1} bp", window.p99_bps),
        span(window.longest_ms as f64 / 1e3),
        pair(m.liquidated),
        pair(m.unjustified),
        usd(m.bad_debt_usd[0]),
        usd(m.bad_debt_usd[1]),
    ];
    push(
        body,
        format_args!(
            "<tr><th scope=\"row\"><button type=\"button\" class=\"link\" data-market=\"{index}\">{}</button></th>",
            escape(&m.market)
        ),
    );
    for cell in cells {
        push(body, format_args!("<td>{cell}</td>"));
    }
    body.push_str("</tr>\n");
}

fn timeline(body: &mut String, outcome: &Outcome) {
    body.push_str(
        "<section>\n<h2>Timeline</h2>\n<p class=\"note\">The policy's run, in order. A line may stand for several of its kind within a \
         second.</p>\n",
    );
    let total = outcome.timeline.len();
    if TIMELINE_MAX < total {
        let (shown, all) = (count(TIMELINE_MAX as u64), count(total as u64));
        push(body, format_args!("<p class=\"note\">The first {shown} of {all} lines; all are in timeline.csv.</p>\n"));
    }
    body.push_str(
        "<div class=\"controls\"><label>Find <input id=\"find\" type=\"search\" placeholder=\"text\"></label>\
         <label>Kind <select id=\"kind\"><option value=\"\">all</option></select></label>\
         <label>Market <select id=\"of\"><option value=\"\">all</option></select></label><span id=\"shown\"></span></div>\n",
    );
    head(body, "timeline", &["Time (UTC)", "Market", "Kind", "What", "Count", "USD"]);
    body.push_str(
        "</tbody></table></div>\n<button type=\"button\" id=\"more\" hidden>Show more</button>\n</section>\n",
    );
}

fn provenance(body: &mut String, outcome: &Outcome) {
    push(
        body,
        format_args!(
            "<section>\n<h2>How this came about</h2>\n<p class=\"note\">Policy digest <code id=\"policy-digest\">{}</code></p>\n",
            escape(&outcome.policy_digest)
        ),
    );
    push(
        body,
        format_args!(
            "<details open><summary>Decided, not stated by the caller ({})</summary><ul>\n",
            outcome.decisions.len()
        ),
    );
    for decision in outcome.decisions.iter().take(DECISIONS_MAX) {
        push(body, format_args!("<li>{}</li>\n", escape(decision)));
    }
    if DECISIONS_MAX < outcome.decisions.len() {
        push(body, format_args!("<li>and {} more</li>\n", outcome.decisions.len() - DECISIONS_MAX));
    }
    body.push_str("</ul></details>\n<details><summary>Digest of each run's effects, and time spent</summary>\n");
    head(body, "digests", &["Run", "Effects (BLAKE3)"]);
    for totals in all_runs(outcome) {
        row(body, "", &totals.name, &[format!("<code>{}</code>", escape(&totals.effects_digest))]);
    }
    body.push_str("</tbody></table></div>\n");
    head(body, "stages", &["Stage", "Wall seconds"]);
    for (stage, seconds) in &outcome.stages {
        row(body, "", stage, &[number(Some(*seconds), 3)]);
    }
    body.push_str("</tbody></table></div>\n</details>\n</section>\n</main>\n");
}

fn page_data(outcome: &Outcome) -> Value {
    let waterfall: Vec<Value> = all_runs(outcome)
        .enumerate()
        .map(|(at, t)| {
            let name = if at < 2 { t.name.clone() } else { format!("{} alone", t.name) };
            json!({ "run": name, "usd": [t.insurance_usd, t.adl_usd, t.socialized_usd, t.deficit_usd] })
        })
        .collect();
    json!({ "waterfall": waterfall, "markets": outcome.markets.len() })
}

fn timeline_data(outcome: &Outcome) -> Value {
    let lines = outcome.timeline.iter().take(TIMELINE_MAX);
    lines.map(|e| json!([chart::ms(e.at), e.market, e.kind, e.text, e.count, e.usd])).collect()
}
