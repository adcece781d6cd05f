//! What a replay found, as data: the table, the JSON, the CSV files and the report are all printed from this.

use serde::Serialize;
use std::collections::BTreeMap;

/// A whole replay.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// What was replayed, in words.
    pub title: String,
    /// blake3 of the policy's canonical text, hex.
    pub policy_digest: String,
    /// Everything that was decided and not stated by the caller.
    pub decisions: Vec<String>,
    /// Rows of the input.
    pub observations: Observations,
    /// First opening of a bar or receipt of a quote, microseconds since 1970.
    pub from: i64,
    /// Last opening of a bar or receipt of a quote.
    pub to: i64,
    /// By market.
    pub markets: Vec<MarketOutcome>,
    /// By run.
    pub runs: Runs,
    /// The policy's and the competent baseline's totals with the impact law's coefficient halved and doubled.
    pub sensitivity: Vec<Sensitivity>,
    /// What happened in the policy's run, in order.
    pub timeline: Vec<TimelineEntry>,
    /// By account, in the policy's run and in the competent baseline's.
    #[serde(skip)]
    pub accounts: Vec<AccountOutcome>,
    /// Wall seconds by stage.
    pub stages: BTreeMap<String, f64>,
}

/// Rows of the input: `in = used + listed`, always.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Observations {
    /// Rows read.
    #[serde(rename = "in")]
    pub input: u64,
    /// Rows replayed.
    pub used: u64,
    /// Rows in quarantine.
    pub listed: u64,
    /// Price observations that the used rows gave.
    pub prices: u64,
}

/// One market in the policy's run.
#[derive(Clone, Debug, Serialize)]
pub struct MarketOutcome {
    /// Its name.
    pub market: String,
    /// Its sources' names.
    pub sources: Vec<String>,
    /// Independent lineages listed.
    pub lineages: u8,
    /// Seconds in each state of the index.
    pub seconds_by_state: BTreeMap<String, f64>,
    /// Seconds in each mode.
    pub seconds_by_mode: BTreeMap<String, f64>,
    /// Times at which the index was compared with the hull of its fresh sources.
    pub hull_checks: u64,
    /// Times at which it lay outside.
    pub outside_hull: u64,
    /// The window between an outside move and our effective price.
    pub arbitrage_window: ArbitrageWindow,
    /// Accounts liquidated, by run: policy, competent.
    pub liquidated: [u64; 2],
    /// Of those, unjustified.
    pub unjustified: [u64; 2],
    /// Of those liquidated, such as no hindsight reference of two lineages says anything about.
    pub unjudged: [u64; 2],
    /// Losses past the accounts' own money, USD, by run: policy, competent.
    pub bad_debt_usd: [f64; 2],
    /// Points for charts, thinned to at most a few thousand.
    #[serde(skip)]
    pub series: MarketSeries,
}

/// How far our index is from the outside market by trade time, on a grid of seconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ArbitrageWindow {
    /// The threshold for `ms_above` and `longest_ms`, basis points.
    pub threshold_bps: f64,
    /// Median distance, basis points.
    pub median_bps: f64,
    /// 99th percentile, basis points.
    pub p99_bps: f64,
    /// Largest, basis points.
    pub max_bps: f64,
    /// Milliseconds above the threshold.
    pub ms_above: u64,
    /// The longest stretch above it, milliseconds.
    pub longest_ms: u64,
}

/// Points for charts. Times are microseconds since 1970; prices are USD.
#[derive(Clone, Debug, Default)]
pub struct MarketSeries {
    /// By source: (received at, price).
    pub sources: Vec<Vec<(i64, f64)>>,
    /// (at, index, confidence half-width, state, rung), also at every change of state.
    pub index: Vec<IndexPoint>,
    /// (from, mode) changes.
    pub modes: Vec<(i64, String)>,
    /// (at, USD notional, "policy" | "competent").
    pub liquidations: Vec<(i64, f64, &'static str)>,
}

/// One point of the index.
#[derive(Clone, Debug)]
pub struct IndexPoint {
    /// When.
    pub at: i64,
    /// USD.
    pub index: f64,
    /// USD.
    pub confidence: f64,
    /// Agreement.
    pub state: &'static str,
    /// Rung of the ladder.
    pub rung: &'static str,
}

/// Totals by run.
#[derive(Clone, Debug, Serialize)]
pub struct Runs {
    /// Under the policy.
    pub policy: Totals,
    /// Plain median, exchange-style tiers, partial liquidation, market halt.
    pub competent: Totals,
    /// By the rule of the venue that an incident happened to; `null` where none is known.
    pub venue: Option<Totals>,
    /// Each source in turn as the only oracle.
    pub single: Vec<Totals>,
}

/// Totals of one run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Totals {
    /// Which run: `policy`, `competent` or the source's name.
    pub name: String,
    /// Accounts that were liquidated or deleveraged as insolvent.
    pub liquidated_accounts: u64,
    /// Accounts of which a liquidation at least was decided while they were healthy all through the hindsight window.
    pub unjustified_liquidations: u64,
    /// Accounts liquidated of which no liquidation has a hindsight reference of two lineages within its window.
    pub unjudged_accounts: u64,
    /// Notional taken over the notional that was needed; `null` where nothing was needed.
    pub over_liquidation_ratio: Option<f64>,
    /// Loss past the accounts' own money: insurance, ADL, socialized and deficit together, USD.
    pub bad_debt_usd: f64,
    /// Paid by the insurance fund, USD.
    pub insurance_usd: f64,
    /// Given up against the mark by deleveraged counterparties, USD.
    pub adl_usd: f64,
    /// Of that, billed to the outside taker, an account that no venue has: a loss for which nobody was found, USD.
    pub adl_outside_usd: f64,
    /// Paid by holders, USD.
    pub socialized_usd: f64,
    /// Of that, billed to the outside taker, USD.
    pub socialized_outside_usd: f64,
    /// Covered by nobody, USD.
    pub deficit_usd: f64,
    /// Notional liquidated in the market, USD.
    pub liquidated_usd: f64,
    /// Notional closed by deleveraging, USD.
    pub deleveraged_usd: f64,
    /// blake3 of the run's effects, hex: two runs of the same input agree.
    pub effects_digest: String,
    /// Invariants that did not hold, checked at the end; zero.
    pub invariants_broken: u64,
}

/// One run with another impact coefficient.
#[derive(Clone, Debug, Serialize)]
pub struct Sensitivity {
    /// Multiplies the law's coefficient.
    pub impact: f64,
    /// Under the policy.
    pub policy: Totals,
    /// Under the competent baseline.
    pub competent: Totals,
}

/// One line of the timeline.
#[derive(Clone, Debug, Serialize)]
pub struct TimelineEntry {
    /// Microseconds since 1970.
    pub at: i64,
    /// The market's name, or empty.
    pub market: String,
    /// `mode`, `quality`, `source`, `liquidation`, `insurance`, `adl`, `socialized`, `deficit`.
    pub kind: &'static str,
    /// In words.
    pub text: String,
    /// How many of the same kind in the same second this line stands for.
    pub count: u64,
    /// Their notional or amount, USD.
    pub usd: f64,
}

/// One account's fate in two runs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AccountOutcome {
    /// Its name in the accounts' file, or its number.
    pub account: String,
    /// The market of its largest position at the start.
    pub market: String,
    /// That position, signed base units.
    pub size: f64,
    /// Leverage at the start.
    pub leverage: f64,
    /// Cash at the start, USD.
    pub cash_usd: f64,
    /// Under the policy.
    pub policy: Fate,
    /// Under the competent baseline.
    pub competent: Fate,
}

/// What became of an account.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Fate {
    /// Liquidation orders decided against it.
    pub liquidations: u64,
    /// Of those, unjustified.
    pub unjustified: u64,
    /// Notional closed by liquidation, USD.
    pub liquidated_usd: f64,
    /// What it gave up as a deleveraged counterparty, USD.
    pub adl_given_up_usd: f64,
    /// What it paid into socialized losses, USD.
    pub socialized_usd: f64,
    /// Equity at the last mark, USD.
    pub equity_usd: f64,
}
