//! How often a policy's breakers trip on outside bars, and what that buys.
//!
//! A *trip* is an entry into `ReduceOnly` or stricter from a milder mode, from the first time a market permitted openings on.
//! It is the market's where a detector that judges the market's move asks for as much at that instant, and otherwise
//! a source's: no price, a gap, a jump that nobody confirmed, a contradiction. Every threshold of the detectors that
//! judge the move is also scaled by each of [`SCALES`], which gives the curve from trips to large moves caught.
//!
//! What holds:
//! - time counts while a source is fresh; where none is, nothing is known of the market, and it is a gap;
//! - the same bars give the same numbers, with any number of threads;
//! - memory does not grow with the bars.
//!
//! Start at [`calibrate`].

pub mod table;

use crate::feed::{BarRef, Feed, Micros};
use crate::replay::spread;
use crate::replay::world::World;
use crate::walk::{Step, walk};
use kernel::detect::NAMES;
use kernel::state::Market;
use policy::Policy;
use protocol::params::{DetectorParams, Thresholds};
use protocol::{Action, Mode, VenueParams};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use units::{Ratio, Timestamp};

/// What a detector judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// How the price moved.
    Market,
    /// What the sources are worth.
    Source,
}

/// Every detector of [`NAMES`] and what it judges.
pub const CLASSES: [(&str, Class); NAMES.len()] = [
    ("velocity", Class::Market),
    ("band", Class::Market),
    ("disagreement", Class::Source),
    ("quorum", Class::Source),
    ("swing", Class::Market),
    ("drift", Class::Market),
    ("stuck", Class::Source),
    ("growth", Class::Market),
    ("crowding", Class::Market),
    ("intensity", Class::Market),
    ("divergence", Class::Market),
    ("chain", Class::Source),
    ("restart", Class::Source),
    ("session", Class::Source),
    ("staleness", Class::Source),
];

/// What the thresholds are multiplied by, percent.
pub const SCALES: [i64; 9] = [50, 67, 80, 90, 100, 110, 125, 150, 200];

/// A bar whose close is at least so far from its open is a large move, percent of the open.
pub const LARGE_PERCENT: i128 = 15;

/// Microseconds of a year of 365.25 days, and of an hour.
const YEAR: f64 = 31_557_600e6;
const HOUR: f64 = 3_600e6;

/// What the bars say of a policy.
#[derive(Clone, Debug, Serialize)]
pub struct Calibration {
    /// blake3 of the policy's canonical text, hex.
    pub policy_digest: String,
    /// Detectors and what each judges, in the kernel's order.
    pub detectors: Vec<(&'static str, Class)>,
    /// By market, under the policy as it is.
    pub markets: Vec<MarketTrips>,
    /// One row a market and scale, by market, then scale.
    pub curve: Vec<CurveRow>,
    /// What was decided and not stated.
    #[serde(skip)]
    pub decisions: Vec<String>,
}

/// One market under one policy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MarketTrips {
    /// Its name.
    pub market: String,
    /// Years in which a source was fresh, from the first time openings were permitted on.
    pub years: f64,
    /// Hours since then in which none was.
    pub gap_hours: f64,
    /// Trips because of the market's move.
    pub by_market: Trips,
    /// Trips because of its sources alone.
    pub by_source: Trips,
    /// Of those, such in which a detector of the move came to ask for as much before the mode was milder again.
    pub by_source_then_market: u64,
    /// Bars with a large move since then, of each source.
    pub large: u64,
    /// Of those, bars from whose opening until they were known the market was strict at some time.
    pub large_caught: u64,
    /// By detector, in the kernel's order.
    pub detectors: Vec<Asked>,
}

/// Entries into `ReduceOnly` or stricter, and the time until the mode was milder again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Trips {
    /// Entries.
    pub trips: u64,
    /// Hours, without gaps.
    pub hours: f64,
    /// Entries a year.
    pub trips_per_year: f64,
    /// Hours a year.
    pub hours_per_year: f64,
}

/// What one detector did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// How often it began to ask for `ReduceOnly` or stricter: the trips that it would cause without the others.
    pub asked: u64,
    /// The trips at which it asked for that.
    pub trips: u64,
}

/// One market with all thresholds of the move scaled.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CurveRow {
    /// The market.
    pub market: String,
    /// What the thresholds are multiplied by, percent.
    pub scale_percent: i64,
    /// Trips a year because of the market's move.
    pub market_trips_per_year: f64,
    /// Hours a year of them.
    pub market_hours_per_year: f64,
    /// Trips a year because of its sources alone.
    pub source_trips_per_year: f64,
    /// Hours a year of them.
    pub source_hours_per_year: f64,
    /// Bars with a large move.
    pub large: u64,
    /// Of those caught.
    pub large_caught: u64,
}

/// Counts trips of `policy` on `feed`, at every scale.
///
/// # Errors
/// In words: a world that can't be listed, a policy that can't be scaled, or a stream that can't be read.
pub fn calibrate(feed: &Feed, policy: &Policy, threads: usize) -> Result<Calibration, String> {
    let world = World::of(feed)?;
    let listed = world.list(policy).map_err(|error| error.to_string())?;
    let mut decisions = feed.decisions.clone();
    decisions.extend(world.decisions.iter().chain(&listed.decisions).cloned());
    let counted = spread(SCALES.to_vec(), threads, |scale| trips(feed, &world, &scaled(&listed.params, *scale)))?;
    let mut by_scale = BTreeMap::new();
    for (scale, counted) in counted {
        by_scale.insert(scale, counted.map_err(|error| format!("thresholds at {scale}%: {error}"))?);
    }
    let row = |place: usize| {
        by_scale.iter().map(move |(scale, markets)| {
            let market: &MarketTrips = &markets[place];
            CurveRow {
                market: market.market.clone(),
                scale_percent: *scale,
                market_trips_per_year: market.by_market.trips_per_year,
                market_hours_per_year: market.by_market.hours_per_year,
                source_trips_per_year: market.by_source.trips_per_year,
                source_hours_per_year: market.by_source.hours_per_year,
                large: market.large,
                large_caught: market.large_caught,
            }
        })
    };
    Ok(Calibration {
        policy_digest: policy.digest().to_string(),
        detectors: (0..NAMES.len()).map(|detector| (NAMES[detector], class_of(detector))).collect(),
        curve: (0..world.markets.len()).flat_map(row).collect(),
        markets: by_scale.remove(&100).ok_or("the scale of 100% was not run")?,
        decisions,
    })
}

/// Counts trips on `feed` under parameters that list `world`.
///
/// # Errors
/// In words: parameters that the kernel refuses, or a stream that can't be read.
pub fn trips(feed: &Feed, world: &World, params: &VenueParams) -> Result<Vec<MarketTrips>, String> {
    let mut counts: Vec<Count> = world.markets.iter().map(|_| Count::new()).collect();
    walk(feed, world, params, &mut |step, state, _| {
        for (count, market) in counts.iter_mut().zip(state.markets()) {
            count.until(state.at);
            count.look(market, state.at);
        }
        if let Step::Seen(event, market) = step
            && let Some(bar) = &event.bar
            && is_large(bar)
        {
            counts[usize::from(market.0)].waiting.push(event.opened_at);
        }
        ControlFlow::Continue(())
    })?;
    Ok(world.markets.iter().zip(counts).map(|(market, count)| count.finish(&market.name)).collect())
}

/// What a detector of [`NAMES`] judges.
///
/// # Panics
/// For a detector that [`CLASSES`] does not name.
#[must_use]
pub fn class_of(detector: usize) -> Class {
    let named = NAMES.get(detector).and_then(|name| CLASSES.iter().find(|(known, _)| known == name));
    assert!(named.is_some(), "detector {detector} is in CLASSES: without a class its trips would be nobody's");
    named.map_or(Class::Market, |(_, class)| *class)
}

/// The strictest mode for which a detector that judges `class` asked at the last look.
#[must_use]
pub fn asked_by(class: Class, market: &Market) -> Mode {
    let levels = market.memory.levels.iter().enumerate();
    levels.filter(|(detector, _)| class_of(*detector) == class).map(|(_, level)| *level).max().unwrap_or(Mode::Normal)
}

/// The parameters with every threshold of the detectors that judge the move at `percent` of what it is.
#[must_use]
pub fn scaled(params: &VenueParams, percent: i64) -> VenueParams {
    let mut params = params.clone();
    for market in &mut params.markets {
        // Every field is named, so that a threshold that is added is either scaled or said not to be one of the move.
        let DetectorParams {
            exit: _,
            velocity,
            velocity_window: _,
            swing,
            swing_window: _,
            band,
            twap_window: _,
            twap_coverage_min: _,
            staleness: _,
            drift,
            stable_half_life: _,
            stable_reach: _,
            stuck: _,
            disagreement: _,
            quorum_coverage_min: _,
        } = &mut market.detectors;
        for Thresholds { cautious, reduce_only } in [velocity, swing, band, drift] {
            for threshold in [cautious, reduce_only] {
                // Thresholds are at most 100, so the product fits; at least one, since zero is refused.
                *threshold = Ratio((threshold.0 * percent / 100).max(1));
            }
        }
    }
    params
}

fn is_strict(mode: Mode) -> bool {
    Mode::ReduceOnly <= mode
}

fn is_large(bar: &BarRef) -> bool {
    bar.open * LARGE_PERCENT <= (bar.close - bar.open).abs() * 100
}

/// One market while it is walked through.
struct Count {
    /// Of every detector, looked up once.
    classes: [Class; NAMES.len()],
    /// When openings were first permitted.
    started: Option<Timestamp>,
    at: Timestamp,
    mode: Mode,
    /// Until when a source is fresh.
    fresh_until: Timestamp,
    /// The last instant at which the mode was strict.
    strict_at: Timestamp,
    /// Of the present trip.
    class: Class,
    joined: bool,
    levels: [Mode; NAMES.len()],
    /// Openings of large bars that were made known at `at`: what else is made known then may still trip.
    waiting: Vec<Micros>,
    covered: i64,
    gap: i64,
    trips: [u64; 2],
    strict: [i64; 2],
    then_market: u64,
    large: u64,
    caught: u64,
    asked: [Asked; NAMES.len()],
}

impl Count {
    fn new() -> Count {
        Count {
            classes: std::array::from_fn(class_of),
            started: None,
            at: Timestamp::MIN,
            mode: Mode::Halted,
            fresh_until: Timestamp::MIN,
            strict_at: Timestamp::MIN,
            class: Class::Source,
            joined: false,
            levels: [Mode::Normal; NAMES.len()],
            waiting: Vec::new(),
            covered: 0,
            gap: 0,
            trips: [0; 2],
            strict: [0; 2],
            then_market: 0,
            large: 0,
            caught: 0,
            asked: [Asked::default(); NAMES.len()],
        }
    }

    /// Time passes, and the mode with it.
    fn until(&mut self, at: Timestamp) {
        if at == self.at {
            return;
        }
        self.settle();
        if self.started.is_some() {
            let fresh = self.fresh_until.min(at).since(self.at).0.max(0);
            self.covered += fresh;
            self.gap += at.since(self.at).0 - fresh;
            if is_strict(self.mode) {
                self.strict[self.class as usize] += fresh;
            }
        }
        if is_strict(self.mode) {
            self.strict_at = at;
        }
        self.at = at;
    }

    /// Judges the large bars that were made known at `at`.
    fn settle(&mut self) {
        if is_strict(self.mode) {
            self.strict_at = self.at;
        }
        // What opened before openings were permitted is nobody's large move.
        let counts = |opened_at: &Micros| self.started.is_some_and(|started| started <= Timestamp(*opened_at));
        for opened_at in self.waiting.drain(..).filter(counts) {
            self.large += 1;
            self.caught += u64::from(Timestamp(opened_at) < self.strict_at);
        }
    }

    /// What stands after a batch at `at`.
    fn look(&mut self, market: &Market, at: Timestamp) {
        let mode = market.breaker.mode();
        if self.started.is_none() && mode.permits(Action::Open) {
            self.started = Some(at);
        }
        let started = self.started.is_some();
        let levels = market.memory.levels;
        let entered = started && is_strict(mode) && !is_strict(self.mode);
        let of_move = |(class, level): (&Class, Mode)| *class == Class::Market && is_strict(level);
        let by_market = self.classes.iter().zip(levels).any(of_move);
        if entered {
            self.class = if by_market { Class::Market } else { Class::Source };
            self.joined = by_market;
            self.trips[self.class as usize] += 1;
        }
        if started && is_strict(mode) && by_market && !self.joined {
            self.joined = true;
            self.then_market += 1;
        }
        for ((asked, now), before) in self.asked.iter_mut().zip(levels).zip(self.levels) {
            asked.asked += u64::from(started && is_strict(now) && !is_strict(before));
            asked.trips += u64::from(entered && is_strict(now));
        }
        let oracle = &market.params.oracle;
        let fresh_until = |(source, listing): (&kernel::index::Source, &protocol::params::SourceParams)| {
            let age_max = oracle.age_max.0.max(listing.heartbeat.0.saturating_mul(3) / 2);
            Timestamp(source.published_at.0.saturating_add(age_max))
        };
        let fresh_until = market.index.sources.iter().zip(&market.panel.sources).map(fresh_until).max();
        (self.mode, self.levels, self.at) = (mode, levels, at);
        self.fresh_until = fresh_until.unwrap_or(Timestamp::MIN);
    }

    fn finish(mut self, name: &str) -> MarketTrips {
        self.settle();
        let years = self.covered as f64 / YEAR;
        let trips = |class: Class| {
            let (trips, hours) = (self.trips[class as usize], self.strict[class as usize] as f64 / HOUR);
            let per_year = |count: f64| if 0.0 < years { count / years } else { 0.0 };
            Trips { trips, hours, trips_per_year: per_year(trips as f64), hours_per_year: per_year(hours) }
        };
        MarketTrips {
            market: name.to_owned(),
            years,
            gap_hours: self.gap as f64 / HOUR,
            by_market: trips(Class::Market),
            by_source: trips(Class::Source),
            by_source_then_market: self.then_market,
            large: self.large,
            large_caught: self.caught,
            detectors: self.asked.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::{BarsArg, FeedOptions};
    use std::fmt::Write;

    const HOUR_MS: i64 = 3_600_000;

    fn policy() -> Policy {
        Policy::parse(include_str!("../../../policies/default.toml"), "default").expect("reads")
    }

    /// A feed of one market, by source, from hourly bars: `open high low close`, or `-` for a bar that is missing.
    fn feed(sources: &[(&str, &[&str])]) -> Feed {
        let dir = tempfile::tempdir().expect("a directory");
        let mut args = Vec::new();
        for (source, bars) in sources {
            let mut text = "ts_ms,open,high,low,close\n".to_owned();
            for (place, bar) in (0..).zip(*bars).filter(|(_, bar)| **bar != "-") {
                writeln!(text, "{},{}", 1_600_000_000_000 + place * HOUR_MS, bar.replace(' ', ",")).expect("writes");
            }
            let path = dir.path().join(format!("{source}_XYZUSD_1h.csv"));
            std::fs::write(&path, text).expect("writes");
            let options = format!("{}:source={source},market=XYZ,quote=USD,width=1h", path.display());
            args.push(BarsArg::parse(&options).expect("parses"));
        }
        Feed::open(&FeedOptions::new(args, vec![])).expect("opens")
    }

    /// Two quiet hours, then these bars, then two quiet hours at the last close.
    fn around<'a>(bars: &[&'a str], after: &'a str) -> Vec<&'a str> {
        let mut all = vec!["100 100 100 100"; 2];
        all.extend(bars);
        all.extend([after; 2]);
        all
    }

    fn line(counted: &MarketTrips) -> String {
        format!(
            "moves {} for {:.2} h, sources {} for {:.2} h ({} of moves), large {} of {}, {:.1} h and gaps of {:.1} h",
            counted.by_market.trips,
            counted.by_market.hours,
            counted.by_source.trips,
            counted.by_source.hours,
            counted.by_source_then_market,
            counted.large_caught,
            counted.large,
            counted.years * YEAR / HOUR,
            counted.gap_hours,
        )
    }

    #[track_caller]
    fn check(sources: &[(&str, &[&str])], expected: &str) {
        let calibration = calibrate(&feed(sources), &policy(), 2).expect("counts");
        assert_eq!(line(&calibration.markets[0]), expected);
    }

    #[test]
    fn every_detector_has_a_class() {
        for name in NAMES {
            assert_eq!(CLASSES.iter().filter(|(known, _)| *known == name).count(), 1, "{name}");
        }
    }

    #[test]
    fn a_range_at_the_threshold_is_a_trip_of_the_market() {
        let bars = |bar: &'static str| around(&[bar], "100 100 100 100");
        let nothing = "moves 0 for 0.00 h, sources 0 for 0.00 h (0 of moves), large 0 of 0, 4.0 h and gaps of 0.0 h";
        check(&[("a", &bars("100 114.9 100 100"))], nothing);
        // Held until the next look an hour later, and a calm of a minute after that.
        let one = "moves 1 for 1.02 h, sources 0 for 0.00 h (0 of moves), large 0 of 0, 4.0 h and gaps of 0.0 h";
        check(&[("a", &bars("100 115 100 100"))], one);
    }

    #[test]
    fn a_gap_is_a_trip_of_the_source_and_no_time_of_the_market() {
        // Fresh for one and a half hours; then nothing for as long, and after that nothing permits openings for three calms.
        let gap = "moves 0 for 0.00 h, sources 1 for 0.05 h (0 of moves), large 0 of 0, 4.4 h and gaps of 1.5 h";
        check(&[("a", &around(&["100 100 100 100", "-", "-"], "100 100 100 100"))], gap);
    }

    #[test]
    fn a_move_that_joins_a_trip_of_the_source_is_told() {
        // The range is forgotten an hour later, by when prices were published.
        let joined = "moves 0 for 0.00 h, sources 1 for 1.02 h (1 of moves), large 0 of 0, 5.5 h and gaps of 1.5 h";
        check(&[("a", &around(&["100 100 100 100", "-", "-", "100 116 100 100"], "100 100 100 100"))], joined);
    }

    #[test]
    fn a_jump_that_nobody_confirms_is_a_trip_of_the_source() {
        // 50% in twenty minutes. Believed an hour later, when it is a swing for another hour.
        let jump = "moves 0 for 0.00 h, sources 1 for 2.00 h (1 of moves), large 1 of 1, 4.0 h and gaps of 0.0 h";
        check(&[("a", &around(&["100 150 100 150"], "150 150 150 150"))], jump);
    }

    #[test]
    fn a_source_that_contradicts_another_is_no_move() {
        let liar = around(&["100 105 100 105"], "105 105 105 105");
        let honest = around(&["100 100 100 100"], "100 100 100 100");
        let calibration = calibrate(&feed(&[("a", &liar), ("b", &honest)]), &policy(), 2).expect("counts");
        let counted = &calibration.markets[0];
        assert_eq!((counted.by_market.trips, counted.by_source.trips), (0, 1), "{}", line(counted));
    }

    #[test]
    fn a_large_move_without_a_trip_is_not_caught() {
        let wide = policy_with(
            "swing = { cautious = \"8%\", reduce_only = \"15%\" }",
            "swing = { cautious = \"30%\", reduce_only = \"40%\" }",
        );
        let wide = wide_jumps(&wide);
        let feed = feed(&[("a", &around(&["100 115 100 115", "115 115 97.75 97.8"], "97.8 97.8 97.8 97.8"))]);
        let counted = calibrate(&feed, &wide, 2).expect("counts").markets.remove(0);
        // 15% up is one; 14.96% down is not.
        assert_eq!((counted.large_caught, counted.large), (0, 1), "{}", line(&counted));
    }

    fn policy_with(from: &str, to: &str) -> String {
        let text = include_str!("../../../policies/default.toml");
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    }

    fn wide_jumps(text: &str) -> Policy {
        let text = text.replacen("jump_max = \"10%\"", "jump_max = \"50%\"", 1);
        let band = "band = { cautious = \"5%\", reduce_only = \"10%\" }";
        Policy::parse(&text.replacen(band, "band = { cautious = \"30%\", reduce_only = \"40%\" }", 1), "wide")
            .expect("reads")
    }

    #[test]
    fn a_scale_moves_the_thresholds_of_the_move_and_the_curve_shows_it() {
        let feed = feed(&[("a", &around(&["100 107.5 100 100"], "100 100 100 100"))]);
        let calibration = calibrate(&feed, &policy(), 3).expect("counts");
        let trips = |row: &CurveRow| (row.scale_percent, 0.0 < row.market_trips_per_year);
        let curve: Vec<_> = calibration.curve.iter().map(trips).collect();
        let expected: Vec<_> = SCALES.iter().map(|scale| (*scale, *scale == 50)).collect();
        assert_eq!(curve, expected);
        let one_thread = calibrate(&feed, &policy(), 1).expect("counts");
        assert_eq!((one_thread.markets, one_thread.curve), (calibration.markets, calibration.curve));
    }

    #[test]
    fn scaling_by_one_changes_nothing_and_never_reaches_zero() {
        let feed = feed(&[("a", &["100 100 100 100"; 2])]);
        let world = World::of(&feed).expect("a world");
        let params = world.list(&policy()).expect("lists").params;
        assert_eq!(scaled(&params, 100), params);
        let halved = scaled(&params, 50).markets.remove(0).detectors;
        let whole = params.markets[0].detectors;
        assert_eq!(halved.velocity.reduce_only.0 * 2, whole.velocity.reduce_only.0);
        assert_eq!(halved.band.cautious.0 * 2, whole.band.cautious.0);
        assert_eq!((halved.exit, halved.disagreement), (whole.exit, whole.disagreement));
        assert_eq!(scaled(&params, 0).markets[0].detectors.velocity.cautious, Ratio(1));
    }
}
