//! What every page is made of: the document around it, with style, scripts and charts' library once; tables; the columns of a run.

use super::html::{count, embed, escape, number, usd};
use crate::replay::outcome::Totals;
use serde_json::Value;
use std::fmt::Write;

/// The library of charts: one script.
pub const LIBRARY: &str = include_str!("../../assets/plotly/plotly-basic.min.js");
const COMMON: &str = include_str!("common.js");
const STYLE: &str = include_str!("page.css");

/// One self-contained document. `title` is text, `body` and `data` are HTML, `script` runs after what all pages share.
pub(super) fn document(title: &str, body: &str, data: &str, script: &str) -> String {
    // Whoever wants a script of theirs to run has to name a digest of a text that contains that very script.
    let digest = blake3::hash([body.as_bytes(), data.as_bytes()].concat().as_slice()).to_hex();
    let nonce = &digest[..32];
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    );
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"generator\" content=\"Seawall\">\n<title>{title}</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<style>\n{STYLE}</style>\n</head>\n<body>\n{body}{data}\
         <script nonce=\"{nonce}\">{LIBRARY}</script>\n<script nonce=\"{nonce}\">\n{COMMON}{script}</script>\n</body>\n</html>\n"
    )
}

/// Data for the script, in an element of its own.
pub(super) fn block(data: &mut String, id: &str, json: &Value) {
    push(data, format_args!("<script type=\"application/json\" id=\"{id}\">{}</script>\n", embed(json)));
}

/// Appends formatted text.
pub(super) fn push(body: &mut String, text: std::fmt::Arguments<'_>) {
    body.write_fmt(text).expect("a string takes all");
}

/// Columns of a table of runs.
pub(super) const RUN_COLUMNS: [&str; 15] = [
    "Run",
    "Accounts liquidated",
    "Unjustified",
    "Unjudged",
    "Taken over needed",
    "Bad debt",
    "Insurance",
    "ADL",
    "of it outside",
    "Socialized",
    "of it outside",
    "Deficit",
    "Liquidated notional",
    "Deleveraged notional",
    "Invariants broken",
];

/// A run's cells, without its name.
pub(super) fn run_cells(totals: &Totals) -> [String; 14] {
    [
        count(totals.liquidated_accounts),
        count(totals.unjustified_liquidations),
        count(totals.unjudged_accounts),
        number(totals.over_liquidation_ratio, 3),
        usd(totals.bad_debt_usd),
        usd(totals.insurance_usd),
        usd(totals.adl_usd),
        usd(totals.adl_outside_usd),
        usd(totals.socialized_usd),
        usd(totals.socialized_outside_usd),
        usd(totals.deficit_usd),
        usd(totals.liquidated_usd),
        usd(totals.deleveraged_usd),
        count(totals.invariants_broken),
    ]
}

/// Opens a table.
pub(super) fn head(body: &mut String, id: &str, columns: &[&str]) {
    push(body, format_args!("<div class=\"wide\"><table id=\"{id}\"><thead><tr>"));
    for column in columns {
        push(body, format_args!("<th scope=\"col\">{column}</th>"));
    }
    body.push_str("</tr></thead><tbody>\n");
}

/// `name` is escaped here; cells are ready.
pub(super) fn row(body: &mut String, class: &str, name: &str, cells: &[String]) {
    push(body, format_args!("<tr class=\"{class}\"><th scope=\"row\">{}</th>", escape(name)));
    for cell in cells {
        push(body, format_args!("<td>{cell}</td>"));
    }
    body.push_str("</tr>\n");
}
