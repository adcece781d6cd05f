//! Files of observations and the policy: what every command that reads a market has in common.

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use lab::feed::{BarPath, BarsArg, Feed, FeedOptions, args, time};
use policy::Policy;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

const DEFAULT_POLICY: &str = include_str!("../../../policies/default.toml");
const COMPETENT_POLICY: &str = include_str!("../../../policies/competent.toml");

/// Files and how to read them.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Input {
    /// Bars (any OHLCV, plain or gz): FILE[:source=S,market=M,quote=Q,width=1m,lag=250ms,contract=10usd,dates=dmy,invert=USDC+BUSD]
    #[arg(long, value_name = "FILE[:KEY=VALUE,...]", num_args = 1..)]
    pub(crate) bars: Vec<String>,
    /// Quotes: CSV of source, market, price, confidence, published_at, received_at
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) quotes: Vec<PathBuf>,
    /// Policy file; the built-in policies/default.toml where none is named
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Only these markets
    #[arg(long, value_name = "MARKET", num_args = 1..)]
    pub(crate) market: Vec<String>,
    /// Receive lag of bars that neither a column nor the file's option states
    #[arg(long, value_name = "SPAN", default_value = "0ms")]
    pub(crate) lag: String,
    /// Order of a bar's prices: auto (O L H C when it rose, O H L C when it fell), olhc, ohlc or close
    #[arg(long, value_name = "PATH", default_value = "auto")]
    pub(crate) bar_path: String,
    /// Volume in contracts of so many USD at this venue, as binance-delivery=10usd
    #[arg(long, value_name = "VENUE=USD", num_args = 1..)]
    pub(crate) contract: Vec<String>,
    /// Only from this time on (as 2025-10-10T20:45:00Z)
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Only before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    /// Write every row that was not used, with its reason, to this CSV file
    #[arg(long, value_name = "FILE")]
    pub(crate) quarantine: Option<PathBuf>,
}

impl Input {
    /// Whether any file is named.
    pub(crate) fn is_empty(&self) -> bool {
        self.bars.is_empty() && self.quotes.is_empty()
    }

    /// Reads the files. Bars that are already prepared come on top of those named.
    pub(crate) fn open(&self, prepared: Vec<BarsArg>) -> Result<Feed> {
        let mut bars = prepared;
        for text in &self.bars {
            bars.push(BarsArg::parse(text)?);
        }
        let mut contracts = Vec::new();
        for text in &self.contract {
            let wrong = || anyhow!("--contract {text}: write VENUE=USD, as binance-delivery=10usd");
            let (venue, usd) = text.split_once('=').ok_or_else(wrong)?;
            contracts.push((venue.to_owned(), args::parse_contract(usd).ok_or_else(wrong)?));
        }
        let lag = args::parse_lag(&self.lag);
        let options = FeedOptions {
            lag_default: lag.with_context(|| format!("--lag {}: write a span, as 250ms or 1s", self.lag))?,
            bar_path: BarPath::parse(&self.bar_path)
                .with_context(|| format!("--bar-path {}: write auto, olhc, ohlc or close", self.bar_path))?,
            market_filter: (!self.market.is_empty()).then(|| self.market.clone()),
            from: self.from.as_deref().map(instant).transpose()?,
            to: self.to.as_deref().map(instant).transpose()?,
            contracts,
            ..FeedOptions::new(bars, self.quotes.clone())
        };
        let bar = bar("reading", "bytes");
        let mut feed = Feed::open_with(&options, &mut |progress| bar.set_position(progress.bytes))?;
        bar.finish_and_clear();
        if let Some(path) = &self.quarantine {
            feed.quarantine.write_csv(path).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(feed)
    }

    /// The policy named, or the built-in one.
    pub(crate) fn policy(&self) -> Result<Policy> {
        self.policy.as_deref().map_or_else(|| Ok(Policy::parse(DEFAULT_POLICY, "policies/default.toml")?), read_policy)
    }
}

/// The competent baseline's policy.
pub(crate) fn competent() -> Result<Policy> {
    Ok(Policy::parse(COMPETENT_POLICY, "policies/competent.toml")?)
}

/// Reads a policy file.
pub(crate) fn read_policy(path: &Path) -> Result<Policy> {
    let length = std::fs::metadata(path).with_context(|| format!("{}", path.display()))?.len();
    if policy::BYTES_MAX as u64 <= length {
        bail!("{}: {length} bytes are too many for a policy, which has at most {}", path.display(), policy::BYTES_MAX);
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    Ok(Policy::parse(&text, &path.display().to_string())?)
}

fn instant(text: &str) -> Result<i64> {
    let parsed = time::parse_instant(text);
    parsed.with_context(|| format!("{text}: write a time in UTC, as 2025-10-10T20:45:00Z"))
}

/// A progress bar on standard error, where somebody looks.
pub(crate) fn bar(what: &'static str, unit: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::no_length().with_message(what);
    let template = format!("{{spinner}} {{msg}} {{human_pos}} {unit} {{per_sec}}");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar
}

/// What was decided, to standard error, with whatever a file's text brought made harmless to a terminal.
pub(crate) fn echo(decisions: &[String]) {
    for decision in decisions {
        eprintln!("decided: {}", harmless(decision));
    }
}

/// Without control characters.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
