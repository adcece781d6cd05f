//! One file into the spool: every line is used or listed, each exactly once.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use super::decimal::{NumberError, PRICE_SCALE, VOLUME_SCALE, parse_decimal};
use super::lines::{Line, Lines};
use super::names::{FileHint, Pair, file_hint, is_asset, plain_symbol, quote_after_base, split_symbol};
use super::quarantine::{Listed, Quarantine, Reason, excerpt};
use super::spool::{Body, Kind, Row, Segment, SegmentWriter, Spool};
use super::table::{Header, Splitter, normal_name};
use super::time::{DAY, TimeColumn, TimeError, TimeShape, format_span};
use super::{BarsArg, FeedError, FeedOptions, Micros, Progress};

/// More series than this in one file, or altogether, are refused.
pub const SERIES_MAX: usize = 4_096;

/// What the loader shares between files.
pub(crate) struct Shared<'a> {
    pub(crate) options: &'a FeedOptions,
    pub(crate) spool: Spool,
    pub(crate) quarantine: Quarantine,
    pub(crate) decisions: Vec<String>,
    /// Data lines read, and how many of them a filter set aside.
    pub(crate) rows: u64,
    pub(crate) filtered: u64,
}

/// A series as one file has it.
pub(crate) struct FileSeries {
    pub(crate) venue: String,
    pub(crate) symbol: String,
    pub(crate) market: String,
    pub(crate) quote: String,
    pub(crate) segment: Segment,
}

/// A file that was read.
pub(crate) struct Loaded {
    pub(crate) series: Vec<FileSeries>,
    pub(crate) width_hint: Option<Micros>,
}

/// Refusal of a line: why, and the numbers.
type Refusal = (Reason, String);

/// What becomes of a line.
enum Outcome {
    Used,
    Filtered,
}

/// What a series key in the file stands for. Keys are remembered so that names are taken apart once.
#[derive(Clone, Copy)]
enum Known {
    Series(usize),
    /// A market that `market_filter` leaves out.
    Filtered,
}

/// A series being written.
struct Open {
    venue: String,
    symbol: String,
    market: String,
    quote: String,
    contract_usd: Option<i128>,
    writer: SegmentWriter,
}

/// Counts that become one line of echo each, if they are not zero.
#[derive(Default)]
struct Tally {
    rounded: u64,
    no_volume: u64,
    lag_negative: u64,
    filtered: u64,
}

struct Loader<'a, 's, 'o> {
    shared: &'s mut Shared<'o>,
    path: &'a Path,
    file: u32,
    open: Vec<Open>,
    known: HashMap<Vec<u8>, Known>,
    /// The key of the row before: consecutive rows mostly share it.
    last_key: Vec<u8>,
    last_known: Option<Known>,
    scratch: Vec<u8>,
    tally: Tally,
    fatal: Option<FeedError>,
}

/// Reads a file of bars.
pub(crate) fn load_bars(
    shared: &mut Shared<'_>,
    arg: &BarsArg,
    file: u32,
    progress: &mut dyn FnMut(Progress),
) -> Result<Loaded, FeedError> {
    let path = arg.path.as_path();
    let mut lines = Lines::open(path)?;
    let header = Header::read(path, &mut lines)?;
    let hint = file_hint(&path.file_name().unwrap_or_default().to_string_lossy());
    let columns = BarColumns::find(path, &header, arg)?;
    let mut loader = Loader::new(shared, path, file);
    loader.echo_file(&lines, &header);
    loader.echo(columns.describe(&header));

    let mut names = Names::decide(path, &header, arg, &hint, &columns)?;
    names.lag = arg.lag.unwrap_or(loader.shared.options.lag_default);
    let lag = match columns.lag {
        Some(column) => format!("receive lag from {}, per row", header.names[column]),
        None => format!("receive lag {} (no lag column)", format_span(names.lag)),
    };
    loader.echo(lag);
    if columns.volume.is_none() {
        loader.echo("no volume column: volumes are unknown".to_string());
    }
    let mut time = TimeColumn::new(columns.time_stated, arg.day_first.unwrap_or(false));
    let mut splitter = Splitter::new(header.delimiter);
    let fields = header.names.len();
    if columns.headerless {
        loader.line(header.text.as_bytes(), header.line, |this, text| {
            splitter.split(text, fields)?;
            this.bar(text, &splitter, &columns, &names, &mut time, header.line)
        })?;
    }
    loader.read_lines(&mut lines, progress, |this, text, line| {
        splitter.split(text, fields)?;
        this.bar(text, &splitter, &columns, &names, &mut time, line)
    })?;
    if let Some(how) = time.describe() {
        let name = if columns.headerless { "column 1" } else { header.names[columns.time].as_str() };
        loader.echo(format!("time from {name}: {how}"));
    }
    let series = loader.finish(&lines, &names)?;
    Ok(Loaded { series, width_hint: hint.width })
}

/// Reads a file of quotes.
pub(crate) fn load_quotes(
    shared: &mut Shared<'_>,
    path: &Path,
    file: u32,
    progress: &mut dyn FnMut(Progress),
) -> Result<Loaded, FeedError> {
    let mut lines = Lines::open(path)?;
    let header = Header::read(path, &mut lines)?;
    let columns = QuoteColumns::find(path, &header)?;
    let mut loader = Loader::new(shared, path, file);
    loader.echo_file(&lines, &header);
    let mut published = TimeColumn::new(None, false);
    let mut received = TimeColumn::new(None, false);
    let mut splitter = Splitter::new(header.delimiter);
    let fields = header.names.len();
    loader.read_lines(&mut lines, progress, |this, text, line| {
        splitter.split(text, fields)?;
        this.quote(text, &splitter, &columns, &mut published, &mut received, line)
    })?;
    for (name, column) in [("published_at", &published), ("received_at", &received)] {
        if let Some(how) = column.describe() {
            loader.echo(format!("{name}: {how}"));
        }
    }
    let series = loader.finish(&lines, &Names::default())?;
    Ok(Loaded { series, width_hint: None })
}

/// Where a bar's values stand.
struct BarColumns {
    time: usize,
    time_stated: Option<TimeShape>,
    open: usize,
    high: usize,
    low: usize,
    close: usize,
    volume: Option<usize>,
    symbol: Option<usize>,
    venue: Option<usize>,
    base: Option<usize>,
    lag: Option<usize>,
    headerless: bool,
}

const TIME_NAMES: [&str; 20] = [
    "ts_us",
    "ts_ns",
    "ts_ms",
    "ts_s",
    "open_time",
    "opentime",
    "open_time_ms",
    "unix",
    "unix_timestamp",
    "unix_ms",
    "timestamp_ms",
    "timestamp",
    "ts",
    "datetime",
    "date_time",
    "time_utc",
    "time",
    "date",
    "start",
    "opened_at",
];

impl BarColumns {
    fn find(path: &Path, header: &Header, arg: &BarsArg) -> Result<Self, FeedError> {
        if let Some(columns) = Self::headerless(header) {
            return Ok(columns);
        }
        let named = |key: &str, default: &[&str]| match arg.columns.get(key) {
            Some(name) => {
                let needed = format!("the column {name:?} that {key}= names");
                header.find(path, &[&normal_name(name)])?.map(Some).ok_or_else(|| header.refuse(path, &needed))
            }
            None => header.find(path, default),
        };
        let needed = "bars: a time (ts_ms, ts_s, timestamp, time, date, open_time, unix, …), open, high, low, close, and volume where \
                      there is one; other names can be given as FILE:time=NAME,open=NAME,high=NAME,low=NAME,close=NAME";
        let required = |found: Option<usize>| found.ok_or_else(|| header.refuse(path, needed));
        let time = required(named("time", &TIME_NAMES)?)?;
        let time_stated = match header.names[time].as_str() {
            "ts_s" => Some(TimeShape::Count(1)),
            "ts_ms" | "open_time_ms" | "timestamp_ms" | "unix_ms" => Some(TimeShape::Count(1_000)),
            "ts_us" => Some(TimeShape::Count(1_000_000)),
            "ts_ns" => Some(TimeShape::Count(1_000_000_000)),
            _ => None,
        };
        let symbol = named("symbol", &["symbol", "pair", "instrument", "ticker"])?;
        let volume = match named("volume", &["volume_base", "base_volume", "volume", "vol"])? {
            Some(volume) => Some(volume),
            // CryptoDataDownload writes `Volume BTC, Volume USDT`: the one that is not money is in base units.
            None => header.names.iter().position(|name| {
                let asset = name.strip_prefix("volume_").map(str::to_ascii_uppercase);
                asset.is_some_and(|a| {
                    a != "QUOTE" && is_asset(&a) && super::names::quote_rank(&a) >= super::names::quote_rank("BTC")
                })
            }),
        };
        Ok(Self {
            time,
            time_stated,
            open: required(named("open", &["open", "o"])?)?,
            high: required(named("high", &["high", "h"])?)?,
            low: required(named("low", &["low", "l"])?)?,
            close: required(named("close", &["close", "c"])?)?,
            volume,
            symbol,
            venue: header.find(path, &["venue", "exchange", "source"])?,
            base: header.find(path, &["base", "market", "asset"])?,
            lag: header.names.iter().position(|name| name.starts_with("recv_lag_ms")),
            headerless: false,
        })
    }

    /// Files of klines as the exchange publishes them: twelve columns, no header.
    fn headerless(header: &Header) -> Option<Self> {
        let is_count = |name: &String| name.len() >= 10 && name.bytes().all(|b| b.is_ascii_digit());
        let is_price = |name: &String| parse_decimal(name.as_bytes(), PRICE_SCALE).is_ok();
        let fits = header.names.len() == 12 && is_count(&header.names[0]) && header.names[1..6].iter().all(is_price);
        fits.then_some(Self {
            time: 0,
            time_stated: None,
            open: 1,
            high: 2,
            low: 3,
            close: 4,
            volume: Some(5),
            symbol: None,
            venue: None,
            base: None,
            lag: None,
            headerless: true,
        })
    }

    fn describe(&self, header: &Header) -> String {
        if self.headerless {
            return "no header: twelve columns, read as exchange klines (open time, open, high, low, close, volume, …)"
                .to_string();
        }
        let mut used = vec![
            ("time", self.time),
            ("open", self.open),
            ("high", self.high),
            ("low", self.low),
            ("close", self.close),
        ];
        let optional = [
            ("volume", self.volume),
            ("symbol", self.symbol),
            ("source", self.venue),
            ("market", self.base),
            ("lag", self.lag),
        ];
        used.extend(optional.into_iter().filter_map(|(what, at)| at.map(|at| (what, at))));
        let taken: BTreeSet<usize> = used.iter().map(|(_, at)| *at).collect();
        let unused: Vec<&str> = header
            .names
            .iter()
            .enumerate()
            .filter(|(at, _)| !taken.contains(at))
            .map(|(_, name)| name.as_str())
            .collect();
        let used: Vec<String> = used.iter().map(|(what, at)| format!("{what}={}", header.names[*at])).collect();
        let unused = if unused.is_empty() { String::new() } else { format!("; not used: {}", unused.join(", ")) };
        format!("columns {}{unused}", used.join(", "))
    }
}

/// Where a quote's values stand.
struct QuoteColumns {
    source: usize,
    market: usize,
    price: usize,
    confidence: usize,
    published_at: usize,
    received_at: usize,
    quote: Option<usize>,
}

impl QuoteColumns {
    fn find(path: &Path, header: &Header) -> Result<Self, FeedError> {
        let needed = "quotes: source, market, price, confidence, published_at, received_at (and quote, where prices are not in USD)";
        let required = |name: &str| header.find(path, &[name])?.ok_or_else(|| header.refuse(path, needed));
        Ok(Self {
            source: required("source")?,
            market: required("market")?,
            price: required("price")?,
            confidence: required("confidence")?,
            published_at: required("published_at")?,
            received_at: required("received_at")?,
            quote: header.find(path, &["quote", "quote_currency"])?,
        })
    }
}

/// The names that hold for a whole file, and where each came from.
#[derive(Default)]
struct Names {
    venue: Option<String>,
    symbol: Option<String>,
    market: Option<String>,
    quote: Option<String>,
    contract_usd: Option<i128>,
    /// Bases of pairs that are read the other way round; none for a file that is read as it stands.
    invert: Vec<String>,
    /// The lag of bars without a measured one.
    lag: Micros,
    /// For the echo: what decided.
    origins: Vec<String>,
}

impl Names {
    /// Command line first, then columns (`None` here: they are read row by row), then the file name.
    fn decide(
        path: &Path,
        header: &Header,
        arg: &BarsArg,
        hint: &FileHint,
        columns: &BarColumns,
    ) -> Result<Self, FeedError> {
        let mut origins = Vec::new();
        let mut missing: Vec<(&str, &str)> = Vec::new();
        let mut decide =
            |what: &str, unknown, given: &Option<String>, column: Option<usize>, hinted: Option<String>| {
                let (value, origin) = match (given, column, hinted) {
                    (Some(given), _, _) => (Some(given.clone()), "the command line".to_string()),
                    (None, Some(column), _) => (None, format!("column {}", header.names[column])),
                    (None, None, Some(hinted)) => (Some(hinted), "the file name".to_string()),
                    (None, None, None) => {
                        missing.push(unknown);
                        return None;
                    }
                };
                let shown = value.as_ref().map_or(String::new(), |v| format!(" {v}"));
                origins.push(format!("{what}{shown} from {origin}"));
                value
            };
        let in_symbol = columns.symbol.is_some();
        let pair = |pick: fn(&Pair) -> &String| hint.pair.as_ref().map(|p| pick(p).clone());
        let source = ("which source (venue) its prices come from", "source=NAME");
        let base = ("which market (base asset) they are of", "market=NAME");
        let currency = ("which currency they are quoted in", "quote=NAME");
        // Of inverted pairs it is the base.
        let venue = if arg.invert.is_empty() {
            decide("source", source, &arg.source, columns.venue, hint.source.clone())
        } else {
            Some("inverted".to_owned())
        };
        let market = decide("market", base, &arg.market, columns.base.or(columns.symbol), pair(|p| &p.base));
        let quote = decide("quote", currency, &arg.quote, columns.symbol, pair(|p| &p.quote));
        if !missing.is_empty() {
            let (what, options): (Vec<&str>, Vec<&str>) = missing.into_iter().unzip();
            let (what, options) = (what.join(", nor "), options.join(","));
            return Err(FeedError::Undecided { path: path.to_path_buf(), what, options });
        }
        let symbol = if in_symbol || arg.market.is_some() { None } else { hint.symbol.clone() };
        let upper = |name: Option<String>| name.map(|n| n.to_ascii_uppercase());
        Ok(Self {
            venue,
            symbol,
            market: upper(market),
            quote: upper(quote),
            contract_usd: arg.contract_usd,
            invert: arg.invert.clone(),
            lag: 0,
            origins,
        })
    }
}

impl<'a, 's, 'o> Loader<'a, 's, 'o> {
    fn new(shared: &'s mut Shared<'o>, path: &'a Path, file: u32) -> Self {
        Self {
            shared,
            path,
            file,
            open: Vec::new(),
            known: HashMap::new(),
            last_key: Vec::new(),
            last_known: None,
            scratch: Vec::new(),
            tally: Tally::default(),
            fatal: None,
        }
    }

    fn echo(&mut self, what: String) {
        self.shared.decisions.push(format!("{}: {what}", self.path.display()));
    }

    fn echo_file(&mut self, lines: &Lines, header: &Header) {
        if lines.is_compressed() {
            self.echo("gzip, by its first bytes".to_string());
        }
        for remark in &header.remarks {
            self.echo(remark.clone());
        }
    }

    /// Every line of the file through `read`; what it refuses is listed.
    fn read_lines(
        &mut self,
        lines: &mut Lines,
        progress: &mut dyn FnMut(Progress),
        mut read: impl FnMut(&mut Self, &[u8], u64) -> Result<Outcome, Refusal>,
    ) -> Result<(), FeedError> {
        const PROGRESS_EVERY: u64 = 65_536;
        let path = self.path;
        let unreadable = |source| FeedError::Unreadable { path: path.to_path_buf(), source };
        loop {
            if lines.number().is_multiple_of(PROGRESS_EVERY) {
                progress(Progress { file: self.file, bytes: lines.consumed() });
            }
            let number = lines.number() + 1;
            match lines.next().map_err(unreadable)? {
                Line::Text(text) if text.trim_ascii().is_empty() => {}
                Line::Text(text) => self.line(text, number, |this, text| read(this, text, number))?,
                Line::TooLong { start, length } => {
                    self.shared.rows += 1;
                    self.list(number, Reason::LineTooLong, format!("{length} bytes"), start)?;
                }
                Line::Broken { tail, why, truncated } => {
                    self.shared.rows += 1;
                    let reason = if truncated { Reason::TruncatedFile } else { Reason::CorruptFile };
                    self.list(number, reason, why, tail)?;
                }
                Line::End => break,
            }
        }
        progress(Progress { file: self.file, bytes: lines.consumed() });
        Ok(())
    }

    /// One data line: used, set aside by a filter, or listed.
    fn line(
        &mut self,
        text: &[u8],
        number: u64,
        read: impl FnOnce(&mut Self, &[u8]) -> Result<Outcome, Refusal>,
    ) -> Result<(), FeedError> {
        self.shared.rows += 1;
        let outcome = read(self, text);
        if let Some(fatal) = self.fatal.take() {
            return Err(fatal);
        }
        match outcome {
            Ok(Outcome::Used) => Ok(()),
            Ok(Outcome::Filtered) => {
                self.shared.filtered += 1;
                self.tally.filtered += 1;
                Ok(())
            }
            Err((reason, detail)) => self.list(number, reason, detail, text),
        }
    }

    fn list(&mut self, line: u64, reason: Reason, detail: String, text: &[u8]) -> Result<(), FeedError> {
        let listed = Listed { file: PathBuf::from(self.path), line, reason, detail, text: excerpt(text) };
        self.shared.quarantine.list(listed).map_err(FeedError::Spool)
    }

    fn bar(
        &mut self,
        text: &[u8],
        splitter: &Splitter,
        columns: &BarColumns,
        names: &Names,
        time: &mut TimeColumn,
        line: u64,
    ) -> Result<Outcome, Refusal> {
        let field = |index: usize| splitter.field(text, index);
        let optional = |index: Option<usize>| index.map_or(&[][..], field);
        let key = [optional(columns.venue), optional(columns.symbol), optional(columns.base)];
        let index = match self.series_of(key, |this, key| this.name_bar_series(key, columns, names))? {
            Known::Filtered => return Ok(Outcome::Filtered),
            Known::Series(index) => index,
        };
        let opened_at = self.time(field(columns.time), time, line)?;
        if !self.shared.options.in_range(opened_at) {
            return Ok(Outcome::Filtered);
        }
        let open = self.price(field(columns.open), "open")?;
        let high = self.price(field(columns.high), "high")?;
        let low = self.price(field(columns.low), "low")?;
        let close = self.price(field(columns.close), "close")?;
        let show = |index: usize| excerpt(field(index).trim_ascii());
        if high < low {
            return Err((Reason::HighBelowLow, format!("high {} < low {}", show(columns.high), show(columns.low))));
        }
        let range = || format!("{}..{}", show(columns.low), show(columns.high));
        if open < low || high < open {
            return Err((Reason::OpenOutsideRange, format!("open {} outside {}", show(columns.open), range())));
        }
        if close < low || high < close {
            return Err((Reason::CloseOutsideRange, format!("close {} outside {}", show(columns.close), range())));
        }
        let volume = match columns.volume {
            Some(column) => self.volume(field(column), self.open[index].contract_usd, close)?,
            None => None,
        };
        let lag = match columns.lag {
            Some(column) => self.lag(field(column))?,
            None => names.lag,
        };
        let mut body = Body::Bar { opened_at, lag, open, high, low, close, volume };
        if !names.invert.is_empty() {
            body = inverted(&body).ok_or_else(|| (Reason::PriceTooLarge, format!("high {}", show(columns.high))))?;
        }
        self.write(index, &Row { file: self.file, line, body });
        Ok(Outcome::Used)
    }

    fn quote(
        &mut self,
        text: &[u8],
        splitter: &Splitter,
        columns: &QuoteColumns,
        published: &mut TimeColumn,
        received: &mut TimeColumn,
        line: u64,
    ) -> Result<Outcome, Refusal> {
        let field = |index: usize| splitter.field(text, index);
        let quote = columns.quote.map_or(&[][..], field);
        let key = [field(columns.source), field(columns.market), quote];
        let index = match self.series_of(key, |this, key| this.name_quote_series(key))? {
            Known::Filtered => return Ok(Outcome::Filtered),
            Known::Series(index) => index,
        };
        let published_at = self.time(field(columns.published_at), published, line)?;
        let received_at = self.time(field(columns.received_at), received, line)?;
        if !self.shared.options.in_range(received_at) {
            return Ok(Outcome::Filtered);
        }
        let price = self.price(field(columns.price), "price")?;
        let confidence_text = field(columns.confidence);
        let confidence = match parse_decimal(confidence_text, PRICE_SCALE) {
            Ok(parsed) if 0 <= parsed.units => {
                self.tally.rounded += u64::from(parsed.rounded);
                parsed.units
            }
            Ok(_) => return Err((Reason::BadConfidence, "below zero".to_string())),
            Err(error) => return Err((Reason::BadConfidence, format!("{error:?}"))),
        };
        if received_at < published_at {
            return Err((
                Reason::FutureDated,
                format!("published {} µs after it was received", published_at - received_at),
            ));
        }
        let row = Row { file: self.file, line, body: Body::Quote { received_at, published_at, price, confidence } };
        self.write(index, &row);
        Ok(Outcome::Used)
    }

    fn write(&mut self, index: usize, row: &Row) {
        if let Err(error) = self.open[index].writer.push(row, &mut self.shared.spool) {
            self.fatal = Some(FeedError::Spool(error));
        }
    }

    /// The series that a row's name fields stand for, taken apart on their first occurrence.
    fn series_of(
        &mut self,
        key: [&[u8]; 3],
        name: impl FnOnce(&mut Self, [&str; 3]) -> Result<Known, Refusal>,
    ) -> Result<Known, Refusal> {
        self.scratch.clear();
        for part in key {
            self.scratch.extend_from_slice(part);
            self.scratch.push(0);
        }
        if let Some(known) = self.last_known
            && self.scratch == self.last_key
        {
            return Ok(known);
        }
        let known = match self.known.get(&self.scratch) {
            Some(known) => *known,
            None => {
                let texts = key.map(|part| std::str::from_utf8(part).map(str::trim));
                let [Ok(first), Ok(second), Ok(third)] = texts else { return Err((Reason::BadUtf8, String::new())) };
                let known = name(self, [first, second, third])?;
                // Names that stand for nothing are not remembered; those that do are bounded here, filtered ones included.
                if self.known.len() < 4 * SERIES_MAX {
                    self.known.insert(self.scratch.clone(), known);
                }
                known
            }
        };
        std::mem::swap(&mut self.scratch, &mut self.last_key);
        self.last_known = Some(known);
        Ok(known)
    }

    fn name_bar_series(
        &mut self,
        [venue, symbol, base]: [&str; 3],
        columns: &BarColumns,
        names: &Names,
    ) -> Result<Known, Refusal> {
        let venue = match &names.venue {
            Some(given) => given.clone(),
            None if is_source(venue) => venue.to_string(),
            None => return Err((Reason::UnknownSource, excerpt(venue.as_bytes()))),
        };
        let in_symbol = columns.symbol.is_some();
        let split = if in_symbol { split_symbol(symbol) } else { None };
        let no_reading = |what: &str, option: &str| {
            Err((
                Reason::UnknownMarket,
                format!("symbol {} has no single reading as {what}: {option}", excerpt(symbol.as_bytes())),
            ))
        };
        let market = match &names.market {
            Some(given) => given.clone(),
            None if columns.base.is_some() => base.to_ascii_uppercase(),
            None => match &split {
                Some(pair) => pair.base.clone(),
                None if names.quote.is_some() && is_asset(symbol) => symbol.to_ascii_uppercase(),
                None => return no_reading("base and quote", "give quote=, or market= and quote="),
            },
        };
        if !is_asset(&market) {
            return Err((Reason::UnknownMarket, format!("{} is no asset", excerpt(market.as_bytes()))));
        }
        let quote = match &names.quote {
            Some(given) => given.clone(),
            None => match quote_after_base(symbol, &market).or(split.map(|p| p.quote)) {
                Some(quote) => quote,
                None => return no_reading("base and quote", "give quote="),
            },
        };
        let symbol = match (&names.symbol, in_symbol) {
            (Some(hinted), _) => plain_symbol(hinted),
            (None, true) => plain_symbol(symbol),
            (None, false) => format!("{market}{quote}"),
        };
        if !names.invert.is_empty() {
            if !names_market(&names.invert, &market) {
                return Ok(Known::Filtered);
            }
            // Whoever stands behind the base says what the quote is worth: the venue only matches them.
            let contract_usd = None;
            return self.open_series(Kind::Bars, market, symbol, quote, "USD".to_owned(), contract_usd);
        }
        let contract_usd = columns.volume.and(names.contract_usd.or_else(|| self.contract_of(&venue, &market)));
        self.open_series(Kind::Bars, venue, symbol, market, quote, contract_usd)
    }

    fn name_quote_series(&mut self, [source, market, quote]: [&str; 3]) -> Result<Known, Refusal> {
        if !is_source(source) {
            return Err((Reason::UnknownSource, excerpt(source.as_bytes())));
        }
        let (market, quote) = match (split_symbol(market), quote) {
            (Some(pair), "") => (pair.base, pair.quote),
            (None, "") => (market.to_ascii_uppercase(), "USD".to_string()),
            (_, quote) => (market.to_ascii_uppercase(), quote.to_ascii_uppercase()),
        };
        if !is_asset(&market) || !is_asset(&quote) {
            return Err((
                Reason::UnknownMarket,
                format!("{} in {}", excerpt(market.as_bytes()), excerpt(quote.as_bytes())),
            ));
        }
        let symbol = format!("{market}{quote}");
        self.open_series(Kind::Quotes, source.to_string(), symbol, market, quote, None)
    }

    fn open_series(
        &mut self,
        kind: Kind,
        venue: String,
        symbol: String,
        market: String,
        quote: String,
        contract_usd: Option<i128>,
    ) -> Result<Known, Refusal> {
        let options = self.shared.options;
        if options.markets_known.as_ref().is_some_and(|known| !names_market(known, &market)) {
            return Err((Reason::UnknownMarket, format!("{market} is not a market of the policy")));
        }
        if options.market_filter.as_ref().is_some_and(|wanted| !names_market(wanted, &market)) {
            return Ok(Known::Filtered);
        }
        // Two spellings of one name are one series.
        let same = |o: &Open| o.venue == venue && o.symbol == symbol && o.market == market && o.quote == quote;
        if let Some(index) = self.open.iter().position(same) {
            return Ok(Known::Series(index));
        }
        if self.open.len() == SERIES_MAX {
            return Err((Reason::TooManySeries, format!("{SERIES_MAX} series are open")));
        }
        let writer = SegmentWriter::new(kind, self.open.len());
        self.open.push(Open { venue, symbol, market, quote, contract_usd, writer });
        Ok(Known::Series(self.open.len() - 1))
    }

    /// The size of a contract: the one given for the venue, or the one that the venue publishes for its coin-margined perpetuals.
    fn contract_of(&self, venue: &str, market: &str) -> Option<i128> {
        let given = self.shared.options.contracts.iter().find(|(name, _)| name == venue).map(|(_, usd)| *usd);
        let coin_margined = matches!(venue, "binance-delivery" | "binance_delivery" | "binance_cm" | "binance-cm");
        let published = || {
            let usd = if market == "BTC" { 100 } else { 10 };
            coin_margined.then_some(usd * 10i128.pow(PRICE_SCALE))
        };
        given.or_else(published)
    }

    fn time(&mut self, text: &[u8], column: &mut TimeColumn, line: u64) -> Result<Micros, Refusal> {
        column.parse(text).map_err(|error| match error {
            TimeError::Malformed => (Reason::BadTime, excerpt(text)),
            TimeError::Absurd => (Reason::AbsurdTime, excerpt(text)),
            // Whatever was read before may be wrong too, and what follows would be: the file is refused.
            TimeError::OtherDayOrder => {
                self.fatal = Some(FeedError::DayOrder { path: self.path.to_path_buf(), line, text: excerpt(text) });
                (Reason::BadTime, excerpt(text))
            }
        })
    }

    fn price(&mut self, text: &[u8], what: &str) -> Result<i128, Refusal> {
        let refuse = |reason| Err((reason, format!("{what} {}", excerpt(text.trim_ascii()))));
        match parse_decimal(text, PRICE_SCALE) {
            Ok(parsed) if 0 < parsed.units => {
                self.tally.rounded += u64::from(parsed.rounded);
                Ok(parsed.units)
            }
            Ok(parsed) if parsed.zero => refuse(Reason::PriceZero),
            Ok(_) if text.trim_ascii().starts_with(b"-") => refuse(Reason::PriceNegative),
            Ok(_) => refuse(Reason::PriceTooSmall),
            Err(NumberError::Empty) => refuse(Reason::PriceMissing),
            Err(NumberError::NotANumber) => refuse(Reason::PriceNotANumber),
            Err(NumberError::Infinite) => refuse(Reason::PriceInfinite),
            Err(NumberError::Malformed) => refuse(Reason::PriceMalformed),
            Err(NumberError::TooLarge) => refuse(Reason::PriceTooLarge),
        }
    }

    /// A bar's volume in base units. Contracts become base units at the close, rounded down: less to fill against, never more.
    fn volume(&mut self, text: &[u8], contract_usd: Option<i128>, close: i128) -> Result<Option<i128>, Refusal> {
        let refuse = |why: String| Err((Reason::BadVolume, format!("{}: {why}", excerpt(text.trim_ascii()))));
        let units = match parse_decimal(text, VOLUME_SCALE) {
            Ok(parsed) if 0 <= parsed.units => parsed.units,
            Ok(_) => return refuse("below zero".to_string()),
            Err(NumberError::Empty) => {
                self.tally.no_volume += 1;
                return Ok(None);
            }
            Err(error) => return refuse(format!("{error:?}")),
        };
        match contract_usd {
            None => Ok(Some(units)),
            // contracts [1e-8] * USD per contract [1e-12] / price [1e-12 USD per base] = base [1e-8]
            Some(usd) => match units.checked_mul(usd) {
                Some(product) => Ok(Some(product / close)),
                None => refuse("TooLarge".to_string()),
            },
        }
    }

    /// A measured lag, rounded up to the microsecond: a bar is never known earlier than it was.
    fn lag(&mut self, text: &[u8]) -> Result<Micros, Refusal> {
        const NANOS_SCALE: u32 = 6;
        let refuse = |why: String| Err((Reason::BadLag, format!("{}: {why}", excerpt(text.trim_ascii()))));
        let nanos = match parse_decimal(text, NANOS_SCALE) {
            Ok(parsed) => parsed.units,
            Err(error) => return refuse(format!("{error:?}")),
        };
        if nanos < 0 {
            self.tally.lag_negative += 1;
            return Ok(0);
        }
        match i64::try_from((nanos + 999) / 1_000) {
            Ok(micros) if micros <= DAY => Ok(micros),
            Ok(_) | Err(_) => refuse("more than a day".to_string()),
        }
    }

    /// Ends the file: its series and the last of its echo.
    fn finish(mut self, lines: &Lines, names: &Names) -> Result<Vec<FileSeries>, FeedError> {
        if lines.ended_without_newline() {
            self.echo("the last line has no newline: used as it stands".to_string());
        }
        if !names.origins.is_empty() {
            self.echo(names.origins.join(", "));
        }
        if !names.invert.is_empty() {
            let bases = names.invert.join(", ");
            self.echo(format!("{bases} are taken for one USD: read as prices of what they are quoted in"));
        }
        let Tally { rounded, no_volume, lag_negative, filtered } = self.tally;
        let tallies = [
            (rounded, "numbers had more than 12 decimals: rounded half to even"),
            (no_volume, "rows have an empty volume: unknown, not zero"),
            (lag_negative, "rows have a negative receive lag: taken as zero"),
            (filtered, "rows were set aside by the filter on markets and times"),
        ];
        for (count, what) in tallies.into_iter().filter(|(count, _)| 0 < *count) {
            self.echo(format!("{count} {what}"));
        }
        self.echo_contracts(names);
        let mut series = Vec::new();
        for open in std::mem::take(&mut self.open) {
            let segment = open.writer.finish(&mut self.shared.spool).map_err(FeedError::Spool)?;
            if 0 < segment.stats.rows {
                let Open { venue, symbol, market, quote, .. } = open;
                series.push(FileSeries { venue, symbol, market, quote, segment });
            }
        }
        Ok(series)
    }

    fn echo_contracts(&mut self, names: &Names) {
        let venues: BTreeSet<&str> =
            self.open.iter().filter(|o| o.contract_usd.is_some()).map(|o| o.venue.as_str()).collect();
        let echoes: Vec<String> = venues
            .into_iter()
            .map(|venue| {
                let given = names.contract_usd.is_some() || self.shared.options.contracts.iter().any(|(name, _)| name == venue);
                if given {
                    format!("volume of {venue} is in contracts of the size given: converted to base units at each bar's close")
                } else {
                    format!(
                        "volume of {venue} is in contracts of 10 USD (BTC: 100 USD), by the venue's published specification: converted to \
                         base units at each bar's close; contract= says otherwise"
                    )
                }
            })
            .collect();
        for echo in echoes {
            self.echo(echo);
        }
    }
}

/// A bar of base in quote as one of quote in base: prices are one over what they were, rounded down, and the volume is what
/// the base's was worth at the close. `None` where a price is too large to have an inverse.
fn inverted(body: &Body) -> Option<Body> {
    let Body::Bar { opened_at, lag, open, high, low, close, volume } = *body else { return None };
    let one = 10_i128.pow(PRICE_SCALE);
    let over = |price: i128| Some(one * one / price).filter(|inverse| 0 < *inverse);
    let volume = volume.map(|base| base.checked_mul(close).map(|product| product / one));
    let volume = match volume {
        None => None,
        Some(counted) => Some(counted?),
    };
    // What was highest is lowest.
    let (open, high, low, close) = (over(open)?, over(low)?, over(high)?, over(close)?);
    Some(Body::Bar { opened_at, lag, open, high, low, close, volume })
}

fn names_market(names: &[String], market: &str) -> bool {
    names.iter().any(|name| name.eq_ignore_ascii_case(market))
}

/// What may stand as a source's name.
pub(crate) fn is_source(name: &str) -> bool {
    !name.is_empty() && name.len() <= 64 && !name.contains(|c: char| c.is_control() || c.is_whitespace())
}

/// The width of a file's bars: given, or what the steps between rows show, checked against the file name.
pub(crate) fn decide_width(arg: &BarsArg, loaded: &Loaded) -> Result<(Micros, String), FeedError> {
    let undecided = |why: String| FeedError::Width { path: arg.path.clone(), why };
    if let Some(width) = arg.width {
        return Ok((width, "given".to_string()));
    }
    let mut steps = super::spool::Steps::default();
    for series in &loaded.series {
        steps.join(&series.segment.stats.steps);
    }
    let table = steps.table();
    let total: u64 = table.iter().map(|(_, count)| count).sum();
    let smallest = table.first().map(|(step, count)| (*step, *count));
    if let Some(hint) = loaded.width_hint {
        // Rows may lie further apart than the width (no trade, no bar) but not closer, save for a few that are wrong.
        let closer: u64 = table.iter().filter(|(step, _)| *step < hint).map(|(_, count)| count).sum();
        let off: u64 = table.iter().filter(|(step, _)| step % hint != 0).map(|(_, count)| count).sum();
        let name = format_span(hint);
        if total < 20 * closer {
            let (step, count) = smallest.unwrap_or_default();
            let step = format_span(step);
            return Err(undecided(format!("the file name says {name}, but {count} rows are only {step} apart")));
        }
        if total < 4 * off {
            return Err(undecided(format!(
                "the file name says {name}, but {off} of {total} steps are not multiples of it"
            )));
        }
        return Ok((hint, "from the file name, and the rows agree".to_string()));
    }
    let Some((smallest, count)) = smallest.filter(|_| 2 <= total) else {
        return Err(undecided("fewer than three rows of one series".to_string()));
    };
    let common = table.iter().max_by_key(|(step, count)| (*count, -*step)).map_or(smallest, |(step, _)| *step);
    // Rows that are wrong make small steps too: a smallest step that is rare is not believed, and nothing is put in its place.
    if total > 20 * count && common != smallest {
        let (smallest, common) = (format_span(smallest), format_span(common));
        return Err(undecided(format!("most rows are {common} apart, but {count} of {total} only {smallest}")));
    }
    let off: u64 = table.iter().filter(|(step, _)| step % smallest != 0).map(|(_, count)| count).sum();
    if total < 10 * off {
        return Err(undecided(format!(
            "{off} of {total} steps are not multiples of the smallest, {}",
            format_span(smallest)
        )));
    }
    Ok((smallest, format!("the smallest step between rows ({count} of {total} steps)")))
}

impl From<io::Error> for FeedError {
    fn from(error: io::Error) -> Self {
        Self::Spool(error)
    }
}
