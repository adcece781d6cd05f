//! Incidents as reconstructions from public statements: points that sources state, points set between them, and bars
//! made from both. The files of `incidents/` are part of the binary, so a replay needs nothing but it.
//!
//! - [`list`] names the incidents, [`load`] reads one, [`materialise`] writes its bars to a temporary file for a feed,
//!   [`corpus`] holds one replay of each against the others, [`evidence`] one policy against another.
//! - Every point is `stated` (a source states its price) or `interpolated`; [`Share`] says how many are which, and whoever shows an
//!   incident shows that too.
//! - The same binary makes the same bars: paths come from the incident's seed through BLAKE3, logarithms from a library and not from
//!   the machine.

pub mod corpus;
pub mod evidence;
mod expand;

use crate::replay::VenueRule;
use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use tempfile::TempDir;

use crate::feed::time::{SECOND, parse_instant};
use crate::feed::{BarsArg, Micros};

pub use expand::{Bar, expand};

macro_rules! files {
    ($($id:literal)*) => {
        [$((
            $id,
            include_str!(concat!("../../../incidents/", $id, "/incident.toml")),
            include_str!(concat!("../../../incidents/", $id, "/points.csv")),
        )),*]
    };
}

/// The incidents' files: id, description, points.
const FILES: [(&str, &str, &str); 18] = files![
    "I-01" "I-03" "I-04" "I-05" "I-06" "I-08" "I-09" "I-11" "I-14"
    "I-15" "I-16" "I-17" "I-18" "I-19" "I-21" "I-22" "I-23" "I-24"
];

/// Why an incident can't be had.
#[derive(Debug, thiserror::Error)]
pub enum IncidentError {
    /// No incident of this name.
    #[error("no incident {id}; there are: {known}")]
    Unknown {
        /// The name asked for.
        id: String,
        /// The names there are.
        known: String,
    },
    /// Its description can't be read.
    #[error("incidents/{id}/incident.toml: {what}")]
    Description {
        /// Which incident.
        id: String,
        /// What is wrong.
        what: String,
    },
    /// A point can't be read or contradicts the description.
    #[error("incidents/{id}/points.csv:{line}: {what}")]
    Point {
        /// Which incident.
        id: String,
        /// The line.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// The temporary file fails.
    #[error("the temporary file of an incident's bars: {0}")]
    Temporary(#[from] io::Error),
}

/// A line of [`list`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Such as `I-17`.
    pub id: String,
    /// In words.
    pub title: String,
    /// How many of its points are stated.
    pub share: Share,
}

/// How much of a reconstruction is stated by sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Points whose price a source states.
    pub stated: usize,
    /// All points.
    pub points: usize,
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = 100.0 * self.stated as f64 / self.points.max(1) as f64;
        let Share { stated, points } = self;
        write!(
            f,
            "{stated} of {points} points ({percent:.1}%) are stated, the others and all between them interpolated"
        )
    }
}

/// An incident: its description and its points.
#[derive(Clone, Debug)]
pub struct Incident {
    /// What `incident.toml` says.
    pub about: About,
    /// Opening of the first bar.
    pub from: Micros,
    /// End of the last bar.
    pub to: Micros,
    /// Length of a bar.
    pub width: Micros,
    /// Points in the order of the file: grouped by series, ascending in time.
    pub points: Vec<Point>,
}

/// What `incident.toml` says.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Such as `I-17`.
    pub id: String,
    /// In words.
    pub title: String,
    /// The day.
    pub date: String,
    from: String,
    to: String,
    /// Seconds of a bar.
    #[serde(default = "one")]
    pub bar_seconds: u32,
    /// What happened, in a sentence or two.
    pub summary: String,
    /// What the venue that it happened to took for the price; none where it happened to several, or is not known.
    pub venue_rule: Option<VenueRule>,
    /// Digest of the default policy that was committed before the incident.
    pub policy_digest: String,
    /// Chooses the paths between points.
    pub seed: String,
    /// One bar's step of a market as a whole, basis points.
    pub market_bps: f64,
    /// One bar's noise of a venue around it, basis points.
    pub venue_bps: f64,
    /// What a safety layer should have done.
    pub should_have_tripped: Vec<String>,
    /// Venues.
    #[serde(rename = "venue")]
    pub venues: Vec<Venue>,
    /// A venue's prices of a market.
    pub series: Vec<Series>,
    /// What happened around the prices.
    #[serde(rename = "fact")]
    pub facts: Vec<Fact>,
    /// Where statements come from.
    #[serde(rename = "citation")]
    pub citations: Vec<Citation>,
}

/// A venue.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Venue {
    /// As sources are named.
    pub name: String,
    /// In words.
    pub about: String,
}

/// A venue's prices of a market.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// The base asset.
    pub market: String,
    /// The venue.
    pub source: String,
    /// The venue's symbol.
    pub symbol: String,
    /// Decimals of its prices.
    pub decimals: usize,
    /// Share of bars with a trade.
    pub traded: f64,
    /// Whether its price stays where the last point put it, without noise: an oracle's rounds, a bound, a feed that is
    /// stuck.
    #[serde(default)]
    pub held: bool,
    /// From when until when it says nothing, also not at a point.
    #[serde(default, deserialize_with = "spans")]
    pub silent: Vec<(Micros, Micros)>,
}

/// Something that happened around the prices, as stated.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// What.
    pub text: String,
    /// Key of a citation.
    pub citation: String,
}

/// Where a statement comes from.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Citation {
    /// By which points and facts name it.
    pub key: String,
    /// Author, title, place.
    pub text: String,
}

/// Whether a source states a point's price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// It does; the citation says which, and what else of the point it states.
    Stated,
    /// It was set between stated points.
    Interpolated,
}

/// A price of one venue at one time.
#[derive(Clone, Debug)]
pub struct Point {
    /// Where a bar may open.
    pub at: Micros,
    /// Position in [`About::series`].
    pub series: usize,
    /// US dollars, or what the market's prices are in; zero where a venue said zero.
    pub price: f64,
    /// Traded in a second, US dollars or what the market's prices are in.
    pub volume_usd: f64,
    /// Milliseconds from the trade to its receipt.
    pub lag_ms: f64,
    /// Whether the price is stated.
    pub basis: Basis,
    /// `key: what it states`, or what else is to be said.
    pub citation: String,
}

/// An incident's bars in a temporary file, which goes when this does.
#[derive(Debug)]
pub struct Materialised {
    /// The directory.
    pub directory: TempDir,
    /// The files in it, as a feed takes them.
    pub bars: Vec<BarsArg>,
    /// The incident.
    pub incident: Incident,
    /// How many bars were made.
    pub rows: usize,
}

/// The incidents there are.
pub fn list() -> Result<Vec<Listed>, IncidentError> {
    FILES
        .iter()
        .map(|(id, ..)| {
            let incident = load(id)?;
            let share = incident.share();
            Ok(Listed { id: incident.about.id, title: incident.about.title, share })
        })
        .collect()
}

/// Reads an incident. Its name may be given in either case.
pub fn load(id: &str) -> Result<Incident, IncidentError> {
    let Some((id, description, points)) = FILES.iter().find(|(known, ..)| known.eq_ignore_ascii_case(id)) else {
        let known = FILES.map(|(known, ..)| known).join(", ");
        return Err(IncidentError::Unknown { id: id.to_string(), known });
    };
    Incident::parse(id, description, points)
}

/// Expands an incident and writes its bars where a feed can read them.
pub fn materialise(id: &str) -> Result<Materialised, IncidentError> {
    let incident = load(id)?;
    let bars = expand(&incident);
    let directory = TempDir::with_prefix("seawall-incident-")?;
    let name = format!("{}_reconstruction_{}s.csv", incident.about.id, incident.about.bar_seconds);
    let path = directory.path().join(name);
    let mut file = io::BufWriter::new(std::fs::File::create(&path)?);
    file.write_all(as_csv(&incident, &bars).as_bytes())?;
    file.flush()?;
    let mut arg = BarsArg::file(path);
    arg.width = Some(incident.width);
    Ok(Materialised { directory, bars: vec![arg], incident, rows: bars.len() })
}

/// Bars in the form that a feed reads.
pub fn as_csv(incident: &Incident, bars: &[Bar]) -> String {
    let mut text = "venue,symbol,base,ts_ms,open,high,low,close,volume,recv_lag_ms_max\n".to_string();
    for bar in bars {
        let Series { market, source, symbol, decimals, .. } = &incident.about.series[bar.series];
        let Bar { opened_at, open, high, low, close, volume, lag_ms, .. } = bar;
        let opened_at = opened_at / 1_000;
        // This venue states volume in contracts of 10 USD, and a feed takes it so; none of its series here is BTC.
        let volume = if source == "binance-delivery" { volume * close / 10.0 } else { *volume };
        writeln!(
            text,
            "{source},{symbol},{market},{opened_at},{open:.decimals$},{high:.decimals$},{low:.decimals$},{close:.decimals$},{volume:.6},{lag_ms}"
        )
        .expect("a string takes all");
    }
    text
}

impl Incident {
    /// How much of it is stated.
    pub fn share(&self) -> Share {
        let stated = self.points.iter().filter(|point| point.basis == Basis::Stated).count();
        Share { stated, points: self.points.len() }
    }

    /// The heading of a replay: what it is, that it is a reconstruction, and how much of it is stated. [`Share`] says the rest.
    pub fn heading(&self) -> String {
        let Share { stated, points } = self.share();
        format!("{} · {} · reconstruction, {stated} of {points} points stated", self.about.id, self.about.title)
    }

    fn parse(id: &str, description: &str, points: &str) -> Result<Self, IncidentError> {
        let refuse = |what: String| IncidentError::Description { id: id.to_string(), what };
        let about: About = toml::from_str(description).map_err(|error| refuse(error.to_string()))?;
        let time = |name: &str, text: &str| {
            let at = parse_instant(text).filter(|at| at % SECOND == 0);
            at.ok_or_else(|| {
                refuse(format!("{name} = {text:?}: needed is a whole second such as 2025-10-10T20:45:00Z"))
            })
        };
        let (from, to) = (time("from", &about.from)?, time("to", &about.to)?);
        if to <= from {
            return Err(refuse("to is not after from".to_string()));
        }
        let width = SECOND * Micros::from(about.bar_seconds);
        if !(1..=3_600).contains(&about.bar_seconds) || (to - from) % width != 0 {
            return Err(refuse(format!("bar_seconds = {} does not divide the window", about.bar_seconds)));
        }
        check_names(&about).map_err(refuse)?;
        let points = parse_points(id, &about, from, points)?;
        for (series, of) in about.series.iter().enumerate() {
            let own = || points.iter().filter(|point| point.series == series).map(|point| point.at);
            if !(own().next().is_some_and(|first| first <= from) && own().next_back().is_some_and(|last| to <= last)) {
                let what = format!("the points of {} at {} don't reach from `from` to `to`", of.market, of.source);
                return Err(refuse(what));
            }
        }
        Ok(Self { about, from, to, width, points })
    }
}

const fn one() -> u32 {
    1
}

/// Pairs of times.
fn spans<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(Micros, Micros)>, D::Error> {
    let texts = Vec::<[String; 2]>::deserialize(deserializer)?;
    let span = |[from, to]: &[String; 2]| match (parse_instant(from), parse_instant(to)) {
        (Some(from), Some(to)) if from < to => Ok((from, to)),
        (_, _) => Err(D::Error::custom(format!("silent from {from:?} to {to:?}: needed are two times in order"))),
    };
    texts.iter().map(span).collect()
}

fn check_names(about: &About) -> Result<(), String> {
    let venues: BTreeSet<&str> = about.venues.iter().map(|venue| venue.name.as_str()).collect();
    let mut seen = BTreeSet::new();
    for series in &about.series {
        let name = format!("{} at {}", series.market, series.source);
        if !venues.contains(series.source.as_str()) {
            return Err(format!("{name}: no [[venue]] has this name"));
        }
        if !seen.insert((&series.market, &series.source)) {
            return Err(format!("{name} is there twice"));
        }
        if !(0.0 < series.traded && series.traded <= 1.0) || 8 < series.decimals {
            return Err(format!("{name}: needed is 0 < traded <= 1 and decimals <= 8"));
        }
    }
    for heard in about.venue_rule.iter().flat_map(|rule| &rule.sources) {
        if !venues.contains(heard.as_str()) {
            return Err(format!("venue_rule: no [[venue]] has the name {heard:?}"));
        }
    }
    for bps in [about.market_bps, about.venue_bps] {
        if !(0.0..=100.0).contains(&bps) {
            return Err(format!("market_bps and venue_bps lie between 0 and 100, not at {bps}"));
        }
    }
    for fact in &about.facts {
        if parse_instant(&fact.at).is_none() {
            return Err(format!("fact at {:?}: not a time", fact.at));
        }
        if !about.citations.iter().any(|citation| citation.key == fact.citation) {
            return Err(format!("fact at {}: no [[citation]] has the key {:?}", fact.at, fact.citation));
        }
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PointRow {
    at: String,
    market: String,
    source: String,
    price: f64,
    volume_usd: f64,
    lag_ms: f64,
    basis: String,
    citation: String,
}

fn parse_points(id: &str, about: &About, from: Micros, text: &str) -> Result<Vec<Point>, IncidentError> {
    let mut points: Vec<Point> = Vec::new();
    for (row, line) in csv::Reader::from_reader(text.as_bytes()).deserialize::<PointRow>().zip(2..) {
        let refuse = |what: String| IncidentError::Point { id: id.to_string(), line, what };
        let row = row.map_err(|error| refuse(error.to_string()))?;
        let point = point(about, row).map_err(&refuse)?;
        let width = SECOND * Micros::from(about.bar_seconds);
        if (point.at - from) % width != 0 {
            return Err(refuse(format!("no bar of {} s opens at this time", about.bar_seconds)));
        }
        if let Some(last) = points.iter().rfind(|last| last.series == point.series)
            && point.at <= last.at
        {
            return Err(refuse("not after the point before it in its series".to_string()));
        }
        points.push(point);
    }
    Ok(points)
}

fn point(about: &About, row: PointRow) -> Result<Point, String> {
    let at =
        parse_instant(&row.at).filter(|at| at % SECOND == 0).ok_or(format!("at {:?} is no whole second", row.at))?;
    let of = |series: &Series| series.market == row.market && series.source == row.source;
    let series = about.series.iter().position(of).ok_or(format!("no [[series]] {} at {}", row.market, row.source))?;
    if !(row.price.is_finite() && 0.0 <= row.price) {
        return Err(format!("price {}", row.price));
    }
    for (name, value) in [("volume_usd", row.volume_usd), ("lag_ms", row.lag_ms)] {
        if !(value.is_finite() && 0.0 <= value) {
            return Err(format!("{name} {value}"));
        }
    }
    let cited = row.citation.split(':').next().is_some_and(|key| about.citations.iter().any(|c| c.key == key));
    let basis = match row.basis.as_str() {
        "stated" if cited => Basis::Stated,
        "stated" => return Err(format!("stated, but no [[citation]] has the key of {:?}", row.citation)),
        "interpolated" => Basis::Interpolated,
        other => return Err(format!("basis {other:?}: needed is stated or interpolated")),
    };
    let PointRow { price, volume_usd, lag_ms, citation, .. } = row;
    Ok(Point { at, series, price, volume_usd, lag_ms, basis, citation })
}

#[cfg(test)]
mod tests;
