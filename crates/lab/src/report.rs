//! What a replay found, for people: one HTML file that needs no network, and CSV files for spreadsheets.
//!
//! - [`write_report`] writes the page: tables that stand in the HTML itself, and charts that are drawn, one market at a time, from JSON
//!   embedded in it. `assets/plotly` is the charts' library; it is written into every page.
//! - [`write_corpus`] writes such a page of many incidents, a [`Chapter`] each.
//! - [`write_csv`] writes `accounts.csv`, `runs.csv`, `markets.csv` and `timeline.csv`.
//!
//! What holds:
//! - names come from outside files, so no text reaches the page unescaped; the page's content security policy admits only the page's own
//!   scripts, by a nonce that depends on everything in it, and no network at all;
//! - the page stays small: charts share a budget of points and keep each stretch's lowest and highest price; what is left out is said;
//! - times are UTC.

mod chart;
mod corpus;
mod frame;
mod html;
mod page;
mod sheets;

pub use corpus::Chapter;
pub use frame::LIBRARY as CHARTS;

use crate::replay::outcome::Outcome;
use std::io;
use std::path::Path;

/// Writes the HTML report to `path`.
pub fn write_report(outcome: &Outcome, path: &Path) -> io::Result<()> {
    std::fs::write(path, page::render(outcome))
}

/// Writes the page of a corpus to `path`, its chapters in the order given.
pub fn write_corpus(policy_digest: &str, chapters: &[Chapter], path: &Path) -> io::Result<()> {
    std::fs::write(path, corpus::render(policy_digest, chapters))
}

/// Writes `accounts.csv`, `runs.csv`, `markets.csv` and `timeline.csv` into `directory`, which is made if it isn't there.
///
/// Spreadsheets take a cell that begins with `=`, `+`, `-` or `@` for a formula, and names come from outside files. Cells of text that
/// begin so, or with a tab or carriage return, get a `'` in front; cells of numbers never do.
pub fn write_csv(outcome: &Outcome, directory: &Path) -> io::Result<()> {
    sheets::write(outcome, directory)
}
