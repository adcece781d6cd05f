//! Ten small feeds, each one situation, made on the spot: what a replay has to get right, small enough to run with every test.
//!
//! Prices are made of integers alone: the same files on every machine. Every feed is fifteen minutes of one-second bars or quotes of one
//! market at about 2,000 USD, from 2025-10-10T20:45:00Z on; unless the situation says otherwise, three venues of three operators agree
//! within a basis point or two and are received 100 ms after each bar's end.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use crate::feed::time::SECOND;
use crate::feed::{BarsArg, Micros};

/// Opening of each feed's first bar: 2025-10-10T20:45:00Z.
pub const START: Micros = 1_760_129_100 * SECOND;
/// Seconds in each feed.
pub const SECONDS: i64 = 900;
/// When the situation begins, in seconds from [`START`].
pub const SINCE: i64 = 300;
/// When it ends, where it ends before the feed does.
pub const UNTIL: i64 = 420;

const VENUES: [&str; 3] = ["binance", "coinbase", "gemini"];
/// Cents.
const BASE: i64 = 200_000;
const LAG_MS: i64 = 100;

/// A situation and its files.
#[derive(Debug)]
pub struct Fixture {
    /// A name for tests.
    pub name: &'static str,
    /// The situation, in words.
    pub about: &'static str,
    /// The market.
    pub market: &'static str,
    /// Where the files are; they go when this does.
    pub dir: TempDir,
    /// Files of bars.
    pub bars: Vec<BarsArg>,
    /// Files of quotes.
    pub quotes: Vec<PathBuf>,
    /// Rows in all files together.
    pub rows: u64,
    /// Of these, rows that have to be quarantined.
    pub listed: u64,
}

/// One second of one venue. Prices are cents.
#[derive(Clone, Copy, Debug)]
struct Bar {
    second: i64,
    open: i64,
    high: i64,
    low: i64,
    close: i64,
    lag_ms: i64,
}

/// All ten.
pub fn all() -> io::Result<Vec<Fixture>> {
    Ok(vec![
        three_agree()?,
        one_prints_half()?,
        two_apart()?,
        one_lineage()?,
        one_silent()?,
        one_late()?,
        flash_wick()?,
        slow_crash()?,
        grouped_gzip()?,
        dirty_rows()?,
    ])
}

fn three_agree() -> io::Result<Fixture> {
    let about = "three venues agree throughout: nothing may happen";
    let mut fixture = Fixture::new("three_agree", about)?;
    fixture.put_bars("bars.csv", &by_time(&VENUES.map(calm)))?;
    Ok(fixture)
}

fn one_prints_half() -> io::Result<Fixture> {
    let about = "one of three venues prints half the price for two minutes";
    let mut fixture = Fixture::new("one_prints_half", about)?;
    let mut series = VENUES.map(calm);
    during(&mut series[0].1, |bar| bar.scale(1, 2));
    fixture.put_bars("bars.csv", &by_time(&series))?;
    Ok(fixture)
}

fn two_apart() -> io::Result<Fixture> {
    let about = "two venues, quotes: 3% apart for two minutes, and nobody else to ask";
    let mut fixture = Fixture::new("two_apart", about)?;
    let mut series = [calm(VENUES[1]), calm(VENUES[2])];
    during(&mut series[1].1, |bar| bar.scale(103, 100));
    fixture.put_quotes("quotes.csv", &by_time(&series))?;
    Ok(fixture)
}

fn one_lineage() -> io::Result<Fixture> {
    let about = "two venues of one operator: one voice, however often it speaks";
    let mut fixture = Fixture::new("one_lineage", about)?;
    fixture.put_bars("bars.csv", &by_time(&["binance", "binance-delivery"].map(calm)))?;
    Ok(fixture)
}

fn one_silent() -> io::Result<Fixture> {
    let about = "one of three venues is silent for two minutes";
    let mut fixture = Fixture::new("one_silent", about)?;
    let mut series = VENUES.map(calm);
    series[1].1.retain(|bar| !(SINCE..UNTIL).contains(&bar.second));
    fixture.put_bars("bars.csv", &by_time(&series))?;
    Ok(fixture)
}

fn one_late() -> io::Result<Fixture> {
    let about = "one of three venues is received 60 seconds late for two minutes, while the price falls by 4%";
    let mut fixture = Fixture::new("one_late", about)?;
    let mut series = VENUES.map(|venue| path(venue, |second| ramp(second, SINCE, UNTIL, 0, -400)));
    during(&mut series[2].1, |bar| Bar { lag_ms: 60_000, ..bar });
    fixture.put_bars("bars.csv", &by_time(&series))?;
    Ok(fixture)
}

fn flash_wick() -> io::Result<Fixture> {
    let about = "one bar of one of three venues has a low at a tenth of the price";
    let mut fixture = Fixture::new("flash_wick", about)?;
    let mut series = VENUES.map(calm);
    let bar = series[0].1.iter_mut().find(|bar| bar.second == SINCE).expect("every second has a bar");
    bar.low = bar.open / 10;
    fixture.put_bars("bars.csv", &by_time(&series))?;
    Ok(fixture)
}

fn slow_crash() -> io::Result<Fixture> {
    let about = "all three venues fall by 20% within ten minutes: the move is real";
    let mut fixture = Fixture::new("slow_crash", about)?;
    let fall = |second| ramp(second, SINCE, SECONDS, 0, -2_000);
    fixture.put_bars("bars.csv", &by_time(&VENUES.map(|venue| path(venue, fall))))?;
    Ok(fixture)
}

fn grouped_gzip() -> io::Result<Fixture> {
    let about = "the rows of `three_agree`, compressed and grouped by venue: the same feed";
    let mut fixture = Fixture::new("grouped_gzip", about)?;
    let grouped: Vec<(&str, Bar)> =
        VENUES.map(calm).into_iter().flat_map(|(venue, bars)| bars.into_iter().map(move |bar| (venue, bar))).collect();
    fixture.put_bars("bars.csv.gz", &grouped)?;
    Ok(fixture)
}

fn dirty_rows() -> io::Result<Fixture> {
    let about = "the rows of `three_agree` and ten that can't be used among them: the same prices, ten rows listed";
    let mut fixture = Fixture::new("dirty_rows", about)?;
    let text = bars_text(&by_time(&VENUES.map(calm)));
    let mut lines: Vec<String> = text.lines().map(String::from).collect();
    let first = lines[1].clone();
    let at = (START / 1_000 + 1_000_000_000).to_string();
    let row = |values: &str| format!("coinbase,ETH-USD,ETH,{},{values}", START / 1_000 + 500);
    let dirty = [
        row("NaN,2000.00,2000.00,2000.00,5,100"),
        row("2000.00,inf,2000.00,2000.00,5,100"),
        row("2000.00,1e400,2000.00,2000.00,5,100"),
        row("0,2000.00,0,2000.00,5,100"),
        row("2000.00,2000.00,-1,2000.00,5,100"),
        row("2000.00,1990.00,2010.00,2000.00,5,100"),
        row("2000.00,2000.00,2000.00"),
        "coinbase,ETH-USD,ETH,yesterday,2000.00,2000.00,2000.00,2000.00,5,100".to_string(),
        first,
        format!("no,such,row,{at}"),
    ];
    fixture.listed = dirty.len() as u64;
    for (i, row) in dirty.into_iter().enumerate() {
        lines.insert(200 + 150 * i, row);
    }
    fixture.put("bars.csv", (lines.join("\n") + "\n").as_bytes())?;
    fixture.rows = lines.len() as u64 - 1;
    fixture.bars.push(one_second(fixture.dir.path().join("bars.csv")));
    Ok(fixture)
}

impl Fixture {
    fn new(name: &'static str, about: &'static str) -> io::Result<Self> {
        let dir = TempDir::with_prefix("seawall-fixture-")?;
        Ok(Self { name, about, market: "ETH", dir, bars: Vec::new(), quotes: Vec::new(), rows: 0, listed: 0 })
    }

    fn put(&self, file: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        let path = self.dir.path().join(file);
        if file.ends_with(".gz") {
            let mut encoder = GzEncoder::new(File::create(&path)?, Compression::default());
            encoder.write_all(bytes)?;
            encoder.finish()?.flush()?;
        } else {
            std::fs::write(&path, bytes)?;
        }
        Ok(path)
    }

    fn put_bars(&mut self, file: &str, bars: &[(&str, Bar)]) -> io::Result<()> {
        let path = self.put(file, bars_text(bars).as_bytes())?;
        self.rows += bars.len() as u64;
        self.bars.push(one_second(path));
        Ok(())
    }

    fn put_quotes(&mut self, file: &str, bars: &[(&str, Bar)]) -> io::Result<()> {
        let mut text = "source,market,price,confidence,published_at,received_at\n".to_string();
        for (venue, bar) in bars {
            let published_at = START / 1_000 + bar.second * 1_000 + 1_000;
            let received_at = published_at + bar.lag_ms;
            writeln!(text, "{venue},ETH,{},0.20,{published_at},{received_at}", usd(bar.close))
                .expect("a string takes all");
        }
        let path = self.put(file, text.as_bytes())?;
        self.rows += bars.len() as u64;
        self.quotes.push(path);
        Ok(())
    }
}

impl Bar {
    fn scale(self, by: i64, over: i64) -> Self {
        let scaled = |price: i64| price * by / over;
        let Bar { open, high, low, close, .. } = self;
        Bar { open: scaled(open), high: scaled(high), low: scaled(low), close: scaled(close), ..self }
    }
}

fn one_second(path: PathBuf) -> BarsArg {
    let mut arg = BarsArg::file(path);
    arg.width = Some(SECOND);
    arg
}

/// A venue around the base price.
fn calm(venue: &'static str) -> (&'static str, Vec<Bar>) {
    path(venue, |_| 0)
}

/// A venue around the base price and so many basis points more, by the second.
fn path(venue: &'static str, bps: impl Fn(i64) -> i64) -> (&'static str, Vec<Bar>) {
    // Cents; a wave of a basis point, at another phase in each venue.
    let phase = venue.bytes().map(i64::from).sum::<i64>();
    let wave = |second: i64| ((second * 7 + phase) % 41 - 20).abs() - 10;
    let price = |second: i64| BASE + BASE * bps(second) / 10_000 + wave(second);
    let bar = |second: i64| {
        let (open, close) = (price(second), price(second + 1));
        Bar { second, open, high: open.max(close) + 3, low: open.min(close) - 3, close, lag_ms: LAG_MS }
    };
    (venue, (0..SECONDS).map(bar).collect())
}

/// A straight line from one height to another between two seconds, flat outside.
fn ramp(second: i64, since: i64, until: i64, from: i64, to: i64) -> i64 {
    let along = (second - since).clamp(0, until - since);
    from + (to - from) * along / (until - since)
}

/// Changes the bars of the situation's two minutes.
fn during(bars: &mut [Bar], change: impl Fn(Bar) -> Bar) {
    for bar in bars.iter_mut().filter(|bar| (SINCE..UNTIL).contains(&bar.second)) {
        *bar = change(*bar);
    }
}

/// All venues' bars in the order of time.
fn by_time<'a>(series: &[(&'a str, Vec<Bar>)]) -> Vec<(&'a str, Bar)> {
    let mut all: Vec<(&str, Bar)> =
        series.iter().flat_map(|(venue, bars)| bars.iter().map(|bar| (*venue, *bar))).collect();
    all.sort_by_key(|(_, bar)| bar.second);
    all
}

fn bars_text(bars: &[(&str, Bar)]) -> String {
    let mut text = "venue,symbol,base,ts_ms,open,high,low,close,volume,recv_lag_ms_max\n".to_string();
    for (venue, bar) in bars {
        let Bar { second, open, high, low, close, lag_ms } = *bar;
        let [open, high, low, close] = [open, high, low, close].map(usd);
        let opened_at = START / 1_000 + second * 1_000;
        let volume = 20 + (second * 13) % 30;
        writeln!(text, "{venue},ETH-USD,ETH,{opened_at},{open},{high},{low},{close},{volume},{lag_ms}")
            .expect("a string takes all");
    }
    text
}

/// Cents as dollars.
fn usd(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::{Feed, FeedOptions};
    use std::collections::BTreeSet;

    fn feed(fixture: &Fixture) -> Feed {
        let options = FeedOptions::new(fixture.bars.clone(), fixture.quotes.clone());
        Feed::open(&options).unwrap_or_else(|error| panic!("{}: {error}", fixture.name))
    }

    fn find(all: &[Fixture], name: &str) -> Feed {
        feed(all.iter().find(|fixture| fixture.name == name).expect("a fixture"))
    }

    #[test]
    fn ten_feeds_with_every_row_used_or_listed() {
        let all = all().expect("written");
        let names: BTreeSet<&str> = all.iter().map(|fixture| fixture.name).collect();
        assert_eq!((all.len(), names.len()), (10, 10));
        for fixture in &all {
            let counts = feed(fixture).counts();
            let want = (fixture.rows, fixture.rows - fixture.listed, fixture.listed);
            assert_eq!((counts.input, counts.used, counts.listed), want, "{}", fixture.name);
        }
    }

    /// The low and the high of each source, in cents.
    #[track_caller]
    fn check(feed: &Feed, want: &str) {
        let cents = |units: i128| units / 10_i128.pow(10);
        let line = |s: &crate::feed::SeriesInfo| {
            format!("{} {}-{}", feed.sources[s.source as usize].name, cents(s.price_min), cents(s.price_max))
        };
        assert_eq!(feed.series.iter().map(line).collect::<Vec<_>>().join(", "), want);
    }

    #[test]
    fn each_feed_is_its_situation() {
        let all = all().expect("written");
        check(&find(&all, "three_agree"), "binance 199987-200013, coinbase 199987-200013, gemini 199987-200013");
        check(&find(&all, "one_prints_half"), "binance 99993-200013, coinbase 199987-200013, gemini 199987-200013");
        check(&find(&all, "two_apart"), "coinbase 199990-200010, gemini 199990-206010");
        check(&find(&all, "one_lineage"), "binance 199987-200013, binance-delivery 199987-200013");
        check(&find(&all, "flash_wick"), "binance 20000-200013, coinbase 199987-200013, gemini 199987-200013");
        check(&find(&all, "slow_crash"), "binance 159998-200013, coinbase 160005-200013, gemini 160003-200013");
        let lineages: BTreeSet<String> = find(&all, "one_lineage").sources.into_iter().map(|s| s.lineage).collect();
        assert_eq!(lineages.len(), 1);
        let silent = find(&all, "one_silent");
        assert_eq!(silent.series.iter().map(|s| s.step_max / SECOND).collect::<Vec<_>>(), [1, 121, 1]);
    }

    #[test]
    fn late_rows_come_late() {
        let all = all().expect("written");
        let feed = find(&all, "one_late");
        let events = feed.replay().expect("replay").map(|event| event.expect("read back"));
        let late = events.map(|event| event.received_at - event.published_at).max();
        // Received a minute after its end, a bar's first price is 61 seconds old.
        assert_eq!(late.map(|lag| lag / SECOND), Some(61));
    }

    #[test]
    fn grouping_compression_and_dirt_change_no_price() {
        let all = all().expect("written");
        let prices = |name: &str| -> Vec<(Micros, i128, u32)> {
            let feed = find(&all, name);
            let events = feed.replay().expect("replay").map(|event| event.expect("read back"));
            events.map(|event| (event.received_at, event.price, event.series)).collect()
        };
        let want = prices("three_agree");
        assert_eq!(want.len(), 3 * 900 * 4);
        assert_eq!(prices("grouped_gzip"), want);
        assert_eq!(prices("dirty_rows"), want);
    }
}
