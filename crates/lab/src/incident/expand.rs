//! Points to bars, of one second where the incident doesn't say otherwise.
//!
//! Between two points the price goes from one to the other in equal ratios, and wiggles: a walk that all venues of a market share and a
//! noise of each venue's own, both tied down at the points. So each point's price is exactly the open of its bar, and no price of a
//! series leaves the range of its points: a stated low is the low.
//!
//! A held series has none of that: from a point on it says that point's price until the next. So does every series
//! beside a point whose price is zero, which has no logarithm.

use super::{Incident, Point};
use crate::feed::Micros;

/// One bar of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Position in the incident's series.
    pub series: usize,
    /// When it opens.
    pub opened_at: Micros,
    /// First price.
    pub open: f64,
    /// Highest price.
    pub high: f64,
    /// Lowest price.
    pub low: f64,
    /// Last price: the next bar's first, unless the series is held.
    pub close: f64,
    /// Base units traded.
    pub volume: f64,
    /// Milliseconds from the bar's end until it is received.
    pub lag_ms: i64,
}

/// All bars, grouped by series in the order of the description, ascending in time.
pub fn expand(incident: &Incident) -> Vec<Bar> {
    (0..incident.about.series.len()).flat_map(|series| expand_series(incident, series)).collect()
}

fn expand_series(incident: &Incident, series: usize) -> Vec<Bar> {
    let about = &incident.about.series[series];
    let points: Vec<&Point> = incident.points.iter().filter(|point| point.series == series).collect();
    let market = Chance::new(&[&incident.about.seed, &about.market]);
    let venue = Chance::new(&[&incident.about.seed, &about.market, &about.source]);
    let prices = if about.held { held(incident, &points) } else { prices(incident, &points, &market, &venue) };
    let low = points.iter().map(|point| point.price).fold(f64::INFINITY, f64::min);
    let high = points.iter().map(|point| point.price).fold(0.0, f64::max);
    let scale = libm::pow(10.0, about.decimals as f64);
    let round = |price: f64| libm::round(price.clamp(low, high) * scale) / scale;

    let mut bars = Vec::new();
    for (i, pair) in prices.windows(2).enumerate() {
        let opened_at = incident.from + incident.width * i as Micros;
        if about.silent.iter().any(|(from, to)| *from <= opened_at && opened_at < *to) {
            continue;
        }
        let draws = venue.at(opened_at);
        let at_point = points.iter().any(|point| point.at == opened_at);
        if !at_point && about.traded <= (draws[0] + 1.0) / 2.0 {
            continue;
        }
        let reach = if about.held { 0.0 } else { incident.about.venue_bps / 1e4 };
        let (open, close) = (round(pair[0]), round(pair[if about.held { 0 } else { 1 }]));
        let high = round(open.max(close) * (1.0 + reach * draws[1].abs()));
        let low = round(open.min(close) * (1.0 - reach * draws[2].abs()));
        let between = between(&points, opened_at);
        let volume_usd = between.linear(|point| point.volume_usd) * (1.0 + 0.5 * draws[3]);
        let lag = between.linear(|point| point.lag_ms) * (1.0 + 0.1 * draws[4]);
        let volume = if open == 0.0 { 0.0 } else { volume_usd * f64::from(incident.about.bar_seconds) / open };
        bars.push(Bar { series, opened_at, open, high, low, close, volume, lag_ms: libm::round(lag) as i64 });
    }
    bars
}

/// At the opening of every bar, and at the end of the last, the price that the last point set.
fn held(incident: &Incident, points: &[&Point]) -> Vec<f64> {
    let mut prices = Vec::new();
    let mut at = incident.from;
    while at <= incident.to {
        let before = points.partition_point(|point| point.at <= at);
        prices.push(points[before - 1].price);
        at += incident.width;
    }
    prices
}

/// The price at the opening of every bar, and at the end of the last.
fn prices(incident: &Incident, points: &[&Point], market: &Chance, venue: &Chance) -> Vec<f64> {
    let mut prices = Vec::new();
    for pair in points.windows(2) {
        let [a, b] = pair else { unreachable!("windows of two") };
        let bars = ((b.at - a.at) / incident.width) as usize;
        let walk = walk(incident, market, venue, a.at, bars);
        let last = walk[bars];
        let (log_a, log_b) = (libm::log(a.price), libm::log(b.price));
        let last_of_all = if std::ptr::eq(*b, points[points.len() - 1]) { 1 } else { 0 };
        for (i, wiggle) in walk.iter().enumerate().take(bars + last_of_all) {
            let at = a.at + incident.width * i as Micros;
            if at < incident.from || incident.to < at {
                continue;
            }
            let along = i as f64 / bars as f64;
            let tied = wiggle - last * along;
            let price = libm::exp(log_a + (log_b - log_a) * along + tied);
            // At a point the price is the point's, not its logarithm's exponential.
            prices.push(if i == 0 {
                a.price
            } else if i == bars {
                b.price
            } else if a.price == 0.0 || b.price == 0.0 {
                a.price
            } else {
                price
            });
        }
    }
    prices
}

/// A walk of so many bars from a time on, as logarithms of ratios. It begins at zero.
fn walk(incident: &Incident, market: &Chance, venue: &Chance, from: Micros, bars: usize) -> Vec<f64> {
    let mut sum = 0.0;
    let mut walk = vec![0.0];
    for i in 1..=bars {
        let at = from + incident.width * i as Micros;
        sum += market.at(at)[0] * incident.about.market_bps / 1e4;
        walk.push(sum + venue.at(at)[5] * incident.about.venue_bps / 1e4);
    }
    walk
}

/// Where a time lies between two points.
struct Between<'a> {
    a: &'a Point,
    b: &'a Point,
    along: f64,
}

fn between<'a>(points: &[&'a Point], at: Micros) -> Between<'a> {
    let after = points.iter().position(|point| at < point.at).unwrap_or(points.len() - 1).max(1);
    let (a, b) = (points[after - 1], points[after]);
    Between { a, b, along: ((at - a.at) as f64 / (b.at - a.at) as f64).clamp(0.0, 1.0) }
}

impl Between<'_> {
    fn linear(&self, value: impl Fn(&Point) -> f64) -> f64 {
        value(self.a) + (value(self.b) - value(self.a)) * self.along
    }
}

/// Numbers that depend on names and a time alone, so that no series' numbers change when another is added.
struct Chance(blake3::Hasher);

impl Chance {
    fn new(names: &[&String]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for name in names {
            hasher.update(name.as_bytes());
            hasher.update(&[0]);
        }
        Self(hasher)
    }

    /// Eight numbers between -1 and 1.
    fn at(&self, at: Micros) -> [f64; 8] {
        let digest = self.0.clone().update(&at.to_le_bytes()).finalize();
        let mut numbers = [0.0; 8];
        for (number, bytes) in numbers.iter_mut().zip(digest.as_bytes().chunks_exact(4)) {
            let bits = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            *number = f64::from(bits) / f64::from(u32::MAX) * 2.0 - 1.0;
        }
        numbers
    }
}
