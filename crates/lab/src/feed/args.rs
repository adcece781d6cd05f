//! What the caller asks for: files, and what to take their contents for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::decimal::{PRICE_SCALE, parse_decimal};
use super::names::is_asset;
use super::time::{DAY, SECOND, parse_span};
use super::{FeedError, Micros};

/// In which order a bar's extremes are taken to have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarPath {
    /// Open, low, high, close where close is at or above open; open, high, low, close otherwise.
    Auto,
    /// Open, high, low, close, always.
    Ohlc,
    /// Open, low, high, close, always.
    Olhc,
    /// The close alone.
    Close,
}

impl BarPath {
    /// Parses the value of `--bar-path`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "ohlc" => Some(Self::Ohlc),
            "olhc" => Some(Self::Olhc),
            "close" => Some(Self::Close),
            _ => None,
        }
    }
}

/// What to load. [`FeedOptions::new`] gives the documented defaults.
#[derive(Clone, Debug)]
pub struct FeedOptions {
    /// Files of bars.
    pub bars: Vec<BarsArg>,
    /// Files of quotes.
    pub quotes: Vec<PathBuf>,
    /// Receive lag of bars that neither a column nor the file's own option states. Default: 0.
    pub lag_default: Micros,
    /// Order of a bar's extremes. Default: [`BarPath::Auto`].
    pub bar_path: BarPath,
    /// Markets to load; rows of others are set aside and counted as filtered. Default: all.
    pub market_filter: Option<Vec<String>>,
    /// Markets there are; rows of others are quarantined. Default: all.
    pub markets_known: Option<Vec<String>>,
    /// Bars opened and quotes received before this are set aside. Default: none.
    pub from: Option<Micros>,
    /// Bars opened and quotes received at or after this are set aside. Default: none.
    pub to: Option<Micros>,
    /// Per venue, how many USD (in counts of 1e-12) one contract of its volume stands for. Default: none.
    pub contracts: Vec<(String, i128)>,
}

impl FeedOptions {
    /// These files, and nothing else asked for.
    pub fn new(bars: Vec<BarsArg>, quotes: Vec<PathBuf>) -> Self {
        Self {
            bars,
            quotes,
            lag_default: 0,
            bar_path: BarPath::Auto,
            market_filter: None,
            markets_known: None,
            from: None,
            to: None,
            contracts: Vec::new(),
        }
    }

    pub(crate) fn in_range(&self, at: Micros) -> bool {
        self.from.is_none_or(|from| from <= at) && self.to.is_none_or(|to| at < to)
    }
}

/// A file of bars and what the command line says of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BarsArg {
    /// The file.
    pub path: PathBuf,
    /// `source=`: the venue.
    pub source: Option<String>,
    /// `market=`: the base asset.
    pub market: Option<String>,
    /// `quote=`: the quote currency.
    pub quote: Option<String>,
    /// `width=`: the length of a bar, 1 second to 1 day.
    pub width: Option<Micros>,
    /// `lag=`: receive lag of rows without a measured one.
    pub lag: Option<Micros>,
    /// `contract=`: volumes are in contracts of this many USD, in counts of 1e-12.
    pub contract_usd: Option<i128>,
    /// `dates=dmy` or `dates=mdy`: how dates with slashes are read.
    pub day_first: Option<bool>,
    /// `invert=`: only pairs with these bases, each worth one USD, are read, and as prices of their quote currency in USD.
    pub invert: Vec<String>,
    /// `time=`, `open=`, `high=`, `low=`, `close=`, `volume=`, `symbol=`: columns under other names.
    pub columns: BTreeMap<String, String>,
}

const COLUMN_KEYS: [&str; 7] = ["time", "open", "high", "low", "close", "volume", "symbol"];

impl BarsArg {
    /// A file of which everything is to be found out.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            source: None,
            market: None,
            quote: None,
            width: None,
            lag: None,
            contract_usd: None,
            day_first: None,
            invert: Vec::new(),
            columns: BTreeMap::new(),
        }
    }

    /// Parses `FILE[:key=value,…]`. What follows the last `:` is options only if each of its parts has a `=`.
    pub fn parse(text: &str) -> Result<Self, FeedError> {
        let (path, options) = match text.rsplit_once(':') {
            Some((path, options)) if !path.is_empty() && options.split(',').all(looks_like_option) => (path, options),
            _ => (text, ""),
        };
        let mut arg = Self::file(path);
        for option in options.split(',').filter(|o| !o.is_empty()) {
            let refuse = |needed: &str| FeedError::Option { option: option.to_string(), needed: needed.to_string() };
            let (key, value) = option.split_once('=').ok_or_else(|| refuse("key=value"))?;
            let asset = || {
                let name = value.to_ascii_uppercase();
                if is_asset(&name) { Ok(Some(name)) } else { Err(refuse("letters and digits, at most 15")) }
            };
            match key {
                "source" if super::load::is_source(value) => arg.source = Some(value.to_string()),
                "source" => return Err(refuse("a name without blanks, at most 64 characters")),
                "invert" => {
                    let bases: Vec<String> = value.split('+').map(str::to_ascii_uppercase).collect();
                    if !bases.iter().all(|base| is_asset(base)) {
                        return Err(refuse("assets that are worth one USD, such as USDC+BUSD"));
                    }
                    arg.invert = bases;
                }
                "market" => arg.market = asset()?,
                "quote" => arg.quote = asset()?,
                "width" => {
                    let width = parse_span(value).filter(|w| (SECOND..=DAY).contains(w));
                    arg.width = Some(width.ok_or_else(|| refuse("a length from 1s to 1d, such as 1m"))?);
                }
                "lag" => arg.lag = Some(parse_lag(value).ok_or_else(|| refuse("a length up to 1d, such as 250ms"))?),
                "contract" => {
                    arg.contract_usd = Some(parse_contract(value).ok_or_else(|| refuse("an amount such as 10usd"))?)
                }
                "dates" => match value {
                    "dmy" => arg.day_first = Some(true),
                    "mdy" => arg.day_first = Some(false),
                    _ => return Err(refuse("dmy or mdy")),
                },
                column if COLUMN_KEYS.contains(&column) => {
                    arg.columns.insert(column.to_string(), value.to_string());
                }
                _ => {
                    let keys = "source, market, quote, width, lag, contract, dates, invert, or a column: ";
                    return Err(refuse(&format!("{keys}{}", COLUMN_KEYS.join(", "))));
                }
            }
        }
        Ok(arg)
    }
}

fn looks_like_option(part: &str) -> bool {
    part.split_once('=')
        .is_some_and(|(key, _)| !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
}

/// Parses a receive lag: `250ms`, at most a day.
pub fn parse_lag(text: &str) -> Option<Micros> {
    parse_span(text).filter(|lag| *lag <= DAY)
}

/// Parses a contract's size: `10usd`, `10`.
pub fn parse_contract(text: &str) -> Option<i128> {
    let number = text.strip_suffix("usd").or(text.strip_suffix("USD")).unwrap_or(text);
    let parsed = parse_decimal(number.as_bytes(), PRICE_SCALE).ok()?;
    let at_most_a_million = 1_000_000 * 10i128.pow(PRICE_SCALE);
    (0 < parsed.units && parsed.units <= at_most_a_million).then_some(parsed.units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_follow_the_last_colon() {
        let arg = BarsArg::parse("a.csv:source=x,market=btc,quote=usdt,width=1m,lag=250ms,contract=10usd,close=last")
            .expect("parses");
        let want = BarsArg {
            path: "a.csv".into(),
            source: Some("x".into()),
            market: Some("BTC".into()),
            quote: Some("USDT".into()),
            width: Some(60 * SECOND),
            lag: Some(250_000),
            contract_usd: Some(10_000_000_000_000),
            day_first: None,
            invert: Vec::new(),
            columns: BTreeMap::from([("close".into(), "last".into())]),
        };
        assert_eq!(arg, want);
    }

    #[test]
    fn a_file_name_may_hold_a_colon() {
        assert_eq!(BarsArg::parse("a:b.csv").expect("parses"), BarsArg::file("a:b.csv"));
        assert_eq!(BarsArg::parse("a:b.csv:source=x").expect("parses").path, PathBuf::from("a:b.csv"));
        assert_eq!(BarsArg::parse("C:/x=1/b.csv").expect("parses").path, PathBuf::from("C:/x=1/b.csv"));
    }

    #[test]
    fn options_without_a_file_are_a_file_name() {
        assert_eq!(BarsArg::parse(":source=x").expect("parses"), BarsArg::file(":source=x"));
        assert_eq!(BarsArg::parse("a:=x").expect("parses"), BarsArg::file("a:=x"));
    }

    #[test]
    fn dates_are_read_the_way_that_is_said() {
        assert_eq!(BarsArg::parse("a:dates=dmy").expect("parses").day_first, Some(true));
        assert_eq!(BarsArg::parse("a:dates=mdy").expect("parses").day_first, Some(false));
    }

    #[test]
    fn pairs_to_be_inverted_are_named_by_their_bases() {
        let of = |text: &str| BarsArg::parse(text).map(|arg| arg.invert).map_err(|error| error.to_string());
        assert_eq!(of("a:invert=usdc+BUSD"), Ok(vec!["USDC".to_owned(), "BUSD".to_owned()]));
        let needed = "needed is assets that are worth one USD, such as USDC+BUSD";
        assert_eq!(of("a:invert=usdc+"), Err(format!("option invert=usdc+: {needed}")));
    }

    #[test]
    fn a_bar_path_is_one_of_four_words() {
        let known =
            [("auto", BarPath::Auto), ("ohlc", BarPath::Ohlc), ("olhc", BarPath::Olhc), ("close", BarPath::Close)];
        for (text, path) in known {
            assert_eq!(BarPath::parse(text), Some(path));
        }
        assert_eq!(BarPath::parse("Auto"), None);
        assert_eq!(BarPath::parse(""), None);
    }

    #[test]
    fn options_out_of_range_say_what_is_needed() {
        let refused = |text: &str| BarsArg::parse(text).expect_err("refused").to_string();
        assert_eq!(refused("a:width=2d"), "option width=2d: needed is a length from 1s to 1d, such as 1m");
        assert_eq!(refused("a:width=999ms"), "option width=999ms: needed is a length from 1s to 1d, such as 1m");
        assert!(BarsArg::parse("a:width=1s").is_ok());
        assert!(BarsArg::parse("a:width=1d").is_ok());
        assert_eq!(refused("a:lag=2d"), "option lag=2d: needed is a length up to 1d, such as 250ms");
        assert_eq!(BarsArg::parse("a:lag=1d").expect("parses").lag, Some(DAY));
        assert_eq!(refused("a:lag=86400001ms"), "option lag=86400001ms: needed is a length up to 1d, such as 250ms");
        assert_eq!(refused("a:contract=0"), "option contract=0: needed is an amount such as 10usd");
        assert_eq!(BarsArg::parse("a:contract=1000000").expect("parses").contract_usd, Some(10i128.pow(18)));
        assert_eq!(
            refused("a:contract=1000000.1usd"),
            "option contract=1000000.1usd: needed is an amount such as 10usd"
        );
        let name = "x".repeat(64);
        assert_eq!(BarsArg::parse(&format!("a:source={name}")).expect("parses").source, Some(name.clone()));
        for name in [String::new(), "a b".to_string(), "a\u{7}".to_string(), format!("{name}x")] {
            let needed = "needed is a name without blanks, at most 64 characters";
            assert_eq!(refused(&format!("a:source={name}")), format!("option source={name}: {needed}"));
        }
        assert_eq!(refused("a:quote=U$D"), "option quote=U$D: needed is letters and digits, at most 15");
        assert_eq!(refused("a:dates=ymd"), "option dates=ymd: needed is dmy or mdy");
        assert!(refused("a:sauce=x").starts_with("option sauce=x: needed is source, market, quote"));
    }
}
