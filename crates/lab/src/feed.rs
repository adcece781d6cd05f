//! Outside files to one stream of observations, ordered by when each could be known.
//!
//! [`Feed::open`] reads every file once: bars (OHLCV of any venue, 1 second to 1 day) and quotes, plain or gzip. It checks each row,
//! writes what is good to an anonymous temporary file, series by series, and lists what is not in a [`Quarantine`]. [`Feed::replay`]
//! then merges the series by receive time. Memory is flat in the length of the files.
//!
//! What holds:
//! - every data row is used, listed with a reason, or set aside by a filter the caller asked for: [`Counts`];
//! - a bar of width w opened at t is known at t + w + lag, never earlier;
//! - prices are exact decimals in an integer; no float is involved;
//! - whatever was decided (columns, units, names, widths) is said in [`Feed::decisions`]; what cannot be decided is an error that names
//!   the option to give;
//! - the stream depends on the rows and not on the order of the files or of the series within them.
//!
//! Start with [`load`] for a row's checks, [`order`] for order within a series, [`merge`] for the stream.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

pub mod accounts;
pub mod args;
pub mod decimal;
pub mod lines;
pub mod load;
pub mod merge;
mod names;
mod order;
pub mod quarantine;
mod spool;
mod table;
pub mod time;

pub use accounts::{AccountRow, read_accounts};
pub use args::{BarPath, BarsArg, FeedOptions};
pub use merge::{BarRef, EventKind, FeedEvent, Merge};
pub use quarantine::{Listed, Quarantine, Reason};

use load::{FileSeries, Loaded, SERIES_MAX, Shared, decide_width, load_bars, load_quotes};
use order::{Merged, describe, keep_ascending};
use spool::{Kind, Row, Segment, SegmentReader, SegmentWriter, Spool, Stats};
use time::{DAY, SECOND, format_span, format_time};

/// Microseconds: a time since 1970 UTC, or a length of time.
pub type Micros = i64;

/// Why files could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The file cannot be opened or its medium fails.
    #[error("{path}: cannot be read: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file of another format.
    #[error("{path}: this is {format}; needed is CSV, plain or gzip", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What it is, by its first bytes.
        format: &'static str,
    },
    /// No rows.
    #[error("{path}: {}", if *header { "a header and no rows" } else { "an empty file" }, path = path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// Whether it has a header.
        header: bool,
    },
    /// The header is not one that can be used.
    #[error("{path}:{line}: found {found}; needed is {needed}", path = path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// The header's line.
        line: u64,
        /// What stands there.
        found: String,
        /// What would do.
        needed: String,
    },
    /// Names that nothing decides.
    #[error("{path}: neither the columns nor the file name say {what}; give --bars {path}:{options}", path = path.display())]
    Undecided {
        /// The file.
        path: PathBuf,
        /// What is not known.
        what: String,
        /// The options that say it.
        options: String,
    },
    /// A width that the rows do not show.
    #[error("{path}: the length of its bars is not certain ({why}); give --bars {path}:width=1m or whatever it is", path = path.display())]
    Width {
        /// The file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// Dates with the day first where the month was read first, or the reverse.
    #[error("{path}:{line}: {text} shows that day and month were read the wrong way round; give --bars {path}:dates=dmy or dates=mdy", path = path.display())]
    DayOrder {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
        /// The date.
        text: String,
    },
    /// Rows, but none that can be used.
    #[error("no row can be used: {listed} of {input} are quarantined, such as {path}:{line}: {reason}: {detail}", path = path.display(), reason = reason.name())]
    NothingUsable {
        /// Data rows that no filter set aside.
        input: u64,
        /// How many of them are quarantined.
        listed: u64,
        /// One of them: its file.
        path: PathBuf,
        /// Its line.
        line: u64,
        /// Why.
        reason: Reason,
        /// The numbers.
        detail: String,
    },
    /// A filter left nothing.
    #[error("all {rows} rows are outside the markets or times asked for")]
    NothingInRange {
        /// Data rows read.
        rows: u64,
    },
    /// No files were given.
    #[error("no files of bars or quotes were given")]
    NoFiles,
    /// Too many series.
    #[error("{count} series; at most {SERIES_MAX} can be merged")]
    TooManySeries {
        /// How many there are.
        count: usize,
    },
    /// An option that cannot be read.
    #[error("option {option}: needed is {needed}")]
    Option {
        /// As given.
        option: String,
        /// What would do.
        needed: String,
    },
    /// A row of an accounts file.
    #[error("{path}:{line}: {what}", path = path.display())]
    Account {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// The temporary file fails.
    #[error("the temporary file of loaded rows: {0}")]
    Spool(std::io::Error),
}

/// How far loading has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Which file, in the order in which they are read (by name).
    pub file: u32,
    /// Bytes of it taken so far, compressed bytes if it is compressed.
    pub bytes: u64,
}

/// Where prices come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceInfo {
    /// The name: the venue, with the symbol where a venue has several symbols for one market.
    pub name: String,
    /// The venue.
    pub venue: String,
    /// The venue's operator. Sources of one lineage are one witness.
    pub lineage: String,
}

/// What prices are of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MarketInfo {
    /// The base asset.
    pub name: String,
    /// Lowest price used, in counts of 1e-12 of the quote currency.
    pub price_min: i128,
    /// Highest price used.
    pub price_max: i128,
}

/// One source's prices of one market.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeriesInfo {
    /// Index into [`Feed::sources`].
    pub source: u32,
    /// Index into [`Feed::markets`].
    pub market: u32,
    /// The venue's symbol, letters and digits.
    pub symbol: String,
    /// The quote currency.
    pub quote: String,
    /// The length of a bar; `None` for quotes.
    pub width: Option<Micros>,
    /// Rows used.
    pub rows: u64,
    /// Opening of the first bar, or receipt of the first quote.
    pub first: Micros,
    /// Opening of the last bar, or receipt of the last quote.
    pub last: Micros,
    /// Lowest price used.
    pub price_min: i128,
    /// Highest price used.
    pub price_max: i128,
    /// Bars with a volume of zero: no trade stands behind their price.
    pub zero_volume: u64,
    /// Places where bars are missing; zero for quotes.
    pub gaps: u64,
    /// Bars missing in all gaps together.
    pub gaps_missing: u64,
    /// The longest step between neighbouring rows, and the row it follows.
    pub step_max: Micros,
    /// The time of the row before the longest step.
    pub step_max_after: Micros,
    /// The usual step between rows: the median.
    pub heartbeat: Micros,
    /// The step that 999 of 1000 do not exceed.
    pub step_p999: Micros,
}

/// Every row accounted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Data rows in all files.
    pub rows: u64,
    /// Rows set aside because the caller asked for other markets or times.
    pub filtered: u64,
    /// Rows that count: `rows - filtered`. Always `used + listed`.
    #[serde(rename = "in")]
    pub input: u64,
    /// Rows in the stream.
    pub used: u64,
    /// Rows in quarantine.
    pub listed: u64,
    /// Observations that the used rows give: four a bar (one, with the close alone), one a quote.
    pub observations: u64,
}

/// Files that were read, checked and indexed.
#[derive(Debug)]
pub struct Feed {
    /// Sources, by name.
    pub sources: Vec<SourceInfo>,
    /// Markets, by name.
    pub markets: Vec<MarketInfo>,
    /// Series, by market, then source.
    pub series: Vec<SeriesInfo>,
    /// Everything that was decided and not stated, to be shown before a run.
    pub decisions: Vec<String>,
    /// Everything that was not used.
    pub quarantine: Quarantine,
    rows: u64,
    filtered: u64,
    stored: Vec<Stored>,
    spool: Spool,
    bar_path: BarPath,
}

/// A series on disk: segments in order, none overlapping the next.
#[derive(Debug)]
struct Stored {
    width: Micros,
    segments: Vec<Segment>,
}

/// What tells series apart. Sorted, it also says which of a venue's symbols for a market bears the plain name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SeriesKey {
    market: String,
    venue: String,
    quote_rank: usize,
    quote: String,
    symbol: String,
    kind: Kind,
    width: Micros,
}

impl Feed {
    /// Reads the files.
    pub fn open(options: &FeedOptions) -> Result<Self, FeedError> {
        Self::open_with(options, &mut |_| {})
    }

    /// Reads the files and reports how far it has come.
    pub fn open_with(options: &FeedOptions, progress: &mut dyn FnMut(Progress)) -> Result<Self, FeedError> {
        if options.bars.is_empty() && options.quotes.is_empty() {
            return Err(FeedError::NoFiles);
        }
        // By name, so that the order on the command line changes nothing.
        let mut bars = options.bars.clone();
        bars.sort();
        let mut quotes = options.quotes.clone();
        quotes.sort();
        let paths: Vec<PathBuf> = bars.iter().map(|b| b.path.clone()).chain(quotes.iter().cloned()).collect();

        let mut shared = Shared {
            options,
            spool: Spool::new().map_err(FeedError::Spool)?,
            quarantine: Quarantine::new(),
            decisions: Vec::new(),
            rows: 0,
            filtered: 0,
        };
        let mut grouped: BTreeMap<SeriesKey, Vec<Segment>> = BTreeMap::new();
        let mut file = 0;
        for arg in &bars {
            let rows_before = shared.rows;
            let mut loaded = load_bars(&mut shared, arg, file, progress)?;
            refuse_without_rows(&arg.path, rows_before, shared.rows)?;
            file += 1;
            if loaded.series.is_empty() {
                continue;
            }
            let (width, why) = decide_width(arg, &loaded)?;
            if !(SECOND..=DAY).contains(&width) {
                let why = format!("its rows are {} apart, bars are 1s to 1d long", format_span(width));
                return Err(FeedError::Width { path: arg.path.clone(), why });
            }
            shared.decisions.push(format!("{}: width {}: {why}", arg.path.display(), format_span(width)));
            turn_around(&mut shared, arg, &mut loaded)?;
            group(&mut grouped, loaded, width);
        }
        for path in &quotes {
            let rows_before = shared.rows;
            let loaded = load_quotes(&mut shared, path, file, progress)?;
            refuse_without_rows(path, rows_before, shared.rows)?;
            file += 1;
            group(&mut grouped, loaded, 0);
        }
        if SERIES_MAX < grouped.len() {
            return Err(FeedError::TooManySeries { count: grouped.len() });
        }
        let grouped: BTreeMap<SeriesKey, Vec<Segment>> = grouped
            .into_iter()
            .map(|(key, segments)| Ok((key, in_order(&mut shared, &paths, segments)?)))
            .collect::<Result<_, FeedError>>()?;
        Self::assemble(shared, grouped)
    }

    fn assemble(shared: Shared<'_>, grouped: BTreeMap<SeriesKey, Vec<Segment>>) -> Result<Self, FeedError> {
        let Shared { options, spool, quarantine, mut decisions, rows, filtered } = shared;
        if grouped.is_empty() {
            return Err(nothing_usable(&quarantine, rows, filtered));
        }
        let named = name_series(grouped.keys());
        let sources: BTreeMap<String, String> =
            named.iter().zip(grouped.keys()).map(|(name, key)| (name.clone(), key.venue.clone())).collect();
        let markets: BTreeSet<String> = grouped.keys().map(|key| key.market.clone()).collect();
        let position =
            |at: Option<usize>| u32::try_from(at.expect("collected from these keys")).expect("at most SERIES_MAX");

        let mut series = Vec::new();
        let mut stored = Vec::new();
        for ((key, segments), name) in grouped.into_iter().zip(&named) {
            let source = position(sources.keys().position(|s| s == name));
            let market = position(markets.iter().position(|m| *m == key.market));
            series.push(describe_series(&key, &segments, source, market));
            stored.push(Stored { width: key.width, segments });
        }
        let sources: Vec<SourceInfo> = sources
            .into_iter()
            .map(|(name, venue)| SourceInfo { lineage: names::lineage(&venue), name, venue })
            .collect();
        let markets: Vec<MarketInfo> = markets
            .into_iter()
            .zip(0u32..)
            .map(|(name, index)| {
                let of_market = || series.iter().filter(move |s| s.market == index);
                let price_min = of_market().map(|s| s.price_min).min().expect("a market has a series");
                let price_max = of_market().map(|s| s.price_max).max().expect("a market has a series");
                MarketInfo { name, price_min, price_max }
            })
            .collect();
        for s in &series {
            let (source, market) = (&sources[s.source as usize], &markets[s.market as usize]);
            decisions.push(echo_series(s, source, market));
        }
        for source in &sources {
            decisions.push(format!("source {}: venue {}, lineage {}", source.name, source.venue, source.lineage));
        }
        Ok(Self {
            sources,
            markets,
            series,
            decisions,
            quarantine,
            rows,
            filtered,
            stored,
            spool,
            bar_path: options.bar_path,
        })
    }

    /// The stream, from the beginning. Can be called any number of times.
    pub fn replay(&self) -> Result<Merge<'_>, FeedError> {
        Merge::new(self)
    }

    /// Every row accounted for. `used` and `listed` are counted apart from `rows`.
    pub fn counts(&self) -> Counts {
        let per_bar = if self.bar_path == BarPath::Close { 1 } else { 4 };
        Counts {
            rows: self.rows,
            filtered: self.filtered,
            input: self.rows - self.filtered,
            used: self.series.iter().map(|s| s.rows).sum(),
            listed: self.quarantine.total(),
            observations: self.series.iter().map(|s| s.rows * if s.width.is_some() { per_bar } else { 1 }).sum(),
        }
    }
}

fn refuse_without_rows(path: &std::path::Path, before: u64, after: u64) -> Result<(), FeedError> {
    if before == after { Err(FeedError::Empty { path: path.to_path_buf(), header: true }) } else { Ok(()) }
}

fn nothing_usable(quarantine: &Quarantine, rows: u64, filtered: u64) -> FeedError {
    match quarantine.samples().next() {
        Some(first) => FeedError::NothingUsable {
            input: rows - filtered,
            listed: quarantine.total(),
            path: first.file.clone(),
            line: first.line,
            reason: first.reason,
            detail: first.detail.clone(),
        },
        None => FeedError::NothingInRange { rows },
    }
}

/// Files that run from new to old, as some exporters write them, are turned round. A file counts as one of these only if no series in
/// it ever ascends; with both directions in it, it has rows out of order.
fn turn_around(shared: &mut Shared<'_>, arg: &BarsArg, loaded: &mut Loaded) -> Result<(), FeedError> {
    let down: u64 = loaded.series.iter().map(|s| s.segment.stats.down).sum();
    let up: u64 = loaded.series.iter().map(|s| s.segment.stats.up).sum();
    if down < 2 || 0 < up {
        return Ok(());
    }
    shared.decisions.push(format!("{}: runs from new to old: turned round", arg.path.display()));
    for series in &mut loaded.series {
        let mut reader = SegmentReader::new(&series.segment, true, 0);
        let mut writer = SegmentWriter::new(series.segment.kind, 0);
        while let Some(row) = reader.next(&shared.spool)? {
            writer.push(&row, &mut shared.spool)?;
        }
        series.segment = writer.finish(&mut shared.spool)?;
    }
    Ok(())
}

fn group(grouped: &mut BTreeMap<SeriesKey, Vec<Segment>>, loaded: Loaded, width: Micros) {
    for FileSeries { venue, symbol, market, quote, segment } in loaded.series {
        let quote_rank = names::quote_rank(&quote);
        let key = SeriesKey { market, venue, quote_rank, quote, symbol, kind: segment.kind, width };
        grouped.entry(key).or_default().push(segment);
    }
}

/// The segments of one series, ascending and apart. Only those that are not are rewritten.
fn in_order(shared: &mut Shared<'_>, paths: &[PathBuf], segments: Vec<Segment>) -> Result<Vec<Segment>, FeedError> {
    let mut clean = Vec::new();
    for segment in segments {
        if segment.stats.down == 0 && segment.stats.conflicts == 0 {
            clean.push(segment);
            continue;
        }
        let mut reader = SegmentReader::new(&segment, false, 0);
        clean.push(rewrite(shared, paths, segment.kind, move |spool| reader.next(spool))?);
    }
    clean.sort_by_key(|segment| (segment.stats.first, segment.stats.last));
    // Quotes of two files may be apart in receive time and still conflict in the time they were published, so they are never apart.
    let apart = clean.windows(2).all(|pair| pair[0].kind == Kind::Bars && pair[0].stats.last < pair[1].stats.first);
    if apart {
        return Ok(clean);
    }
    let mut merged = Merged::new(&clean, &shared.spool)?;
    Ok(vec![rewrite(shared, paths, clean[0].kind, move |spool| merged.next(spool))?])
}

/// Writes the rows that ascend to a new segment and lists the others.
fn rewrite(
    shared: &mut Shared<'_>,
    paths: &[PathBuf],
    kind: Kind,
    mut next: impl FnMut(&Spool) -> std::io::Result<Option<Row>>,
) -> Result<Segment, FeedError> {
    let quarantine = &mut shared.quarantine;
    let spool = std::cell::RefCell::new(&mut shared.spool);
    let mut writer = SegmentWriter::new(kind, 0);
    keep_ascending(
        || next(&spool.borrow()),
        |row| writer.push(&row, &mut spool.borrow_mut()),
        |(row, reason, detail)| {
            let file = paths[row.file as usize].clone();
            quarantine.list(Listed { file, line: row.line, reason, detail, text: describe(&row) })
        },
    )?;
    let mut spool = spool.borrow_mut();
    Ok(writer.finish(&mut spool)?)
}

/// Source names for keys in order: the first of a venue's series of a market bears the venue's name, each other one the shortest name
/// that sets it apart.
fn name_series<'a>(keys: impl Iterator<Item = &'a SeriesKey>) -> Vec<String> {
    let mut taken: BTreeSet<(&str, String)> = BTreeSet::new();
    keys.map(|key| {
        let SeriesKey { venue, symbol, quote, .. } = key;
        let length = match key.kind {
            Kind::Bars => format_span(key.width),
            Kind::Quotes => "quotes".to_string(),
        };
        let names = [
            venue.clone(),
            format!("{venue}:{symbol}"),
            format!("{venue}:{symbol}@{length}"),
            format!("{venue}:{symbol}@{length}:{quote}"),
        ];
        let free = |name: &String| taken.insert((&key.market, name.clone()));
        names.into_iter().find(free).expect("the last name has all that tells keys apart")
    })
    .collect()
}

fn describe_series(key: &SeriesKey, segments: &[Segment], source: u32, market: u32) -> SeriesInfo {
    let mut stats = Stats::default();
    for segment in segments {
        stats.join(&segment.stats);
    }
    let width = (key.kind == Kind::Bars).then_some(key.width);
    let wide: Vec<(Micros, u64)> = match width {
        Some(width) => stats.steps.table().into_iter().filter(|(step, _)| width < *step).collect(),
        None => Vec::new(),
    };
    SeriesInfo {
        source,
        market,
        symbol: key.symbol.clone(),
        quote: key.quote.clone(),
        width,
        rows: stats.rows,
        first: stats.first,
        last: stats.last,
        price_min: stats.price_min,
        price_max: stats.price_max,
        zero_volume: stats.zero_volume,
        gaps: wide.iter().map(|(_, count)| count).sum(),
        gaps_missing: wide.iter().map(|(step, count)| ((step - 1) / key.width).unsigned_abs() * count).sum(),
        step_max: stats.steps.longest.0,
        step_max_after: stats.steps.longest.1,
        heartbeat: stats.steps.quantile(1, 2).unwrap_or(key.width),
        step_p999: stats.steps.quantile(999, 1_000).unwrap_or(key.width),
    }
}

fn echo_series(series: &SeriesInfo, source: &SourceInfo, market: &MarketInfo) -> String {
    let kind = match series.width {
        Some(width) => format!("bars of {}", format_span(width)),
        None => "quotes".to_string(),
    };
    let gaps = match series.gaps {
        0 => String::new(),
        gaps => {
            let after = format_time(series.step_max_after);
            format!(
                "; gaps: {gaps}, bars missing: {}, longest step: {} after {after}",
                series.gaps_missing,
                format_span(series.step_max)
            )
        }
    };
    let zero = match series.zero_volume {
        0 => String::new(),
        count => format!("; with a volume of zero: {count}"),
    };
    format!(
        "series {} {} ({} in {}): {} {kind}, {} to {}{gaps}{zero}",
        source.name,
        market.name,
        series.symbol,
        series.quote,
        series.rows,
        format_time(series.first),
        format_time(series.last),
    )
}
