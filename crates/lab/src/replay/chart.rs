//! Points for the report, thinned while they are gathered, so that memory does not grow with the data.

use super::outcome::{IndexPoint, MarketOutcome};
use super::tally::Tally;
use super::world::World;
use crate::feed::{Feed, FeedEvent, Micros};
use kernel::Kernel;
use protocol::{MarketId, QualityState, Rung};

/// A point of a line.
trait Point: Clone {
    fn at(&self) -> Micros;
    fn value(&self) -> f64;
    /// Whether a line may leave out points between this one and that.
    fn goes_on(&self, next: &Self) -> bool;
}

impl Point for (Micros, f64) {
    fn at(&self) -> Micros {
        self.0
    }

    fn value(&self) -> f64 {
        self.1
    }

    fn goes_on(&self, _: &Self) -> bool {
        true
    }
}

impl Point for IndexPoint {
    fn at(&self) -> Micros {
        self.at
    }

    fn value(&self) -> f64 {
        self.index
    }

    fn goes_on(&self, next: &Self) -> bool {
        (self.state, self.rung) == (next.state, next.rung)
    }
}

/// A line that keeps, of every stretch of time in which it goes on, the first, lowest, highest and last point.
#[derive(Clone, Debug)]
struct Line<P> {
    stretch: Micros,
    open: Option<Open<P>>,
    points: Vec<P>,
}

/// The stretch that is being gathered.
#[derive(Clone, Debug)]
struct Open<P> {
    first: P,
    low: P,
    high: P,
    last: P,
}

/// Beyond so many points a line no longer begins a stretch for every change of state.
const BROKEN_MAX: usize = 20_000;

impl<P: Point> Line<P> {
    fn new(stretch: Micros) -> Line<P> {
        Line { stretch: stretch.max(1), open: None, points: Vec::new() }
    }

    fn push(&mut self, point: P) {
        let stretch = |point: &P| point.at().div_euclid(self.stretch);
        match &mut self.open {
            Some(open)
                if stretch(&open.first) == stretch(&point)
                    && (open.last.goes_on(&point) || BROKEN_MAX <= self.points.len()) =>
            {
                if point.value() < open.low.value() {
                    open.low = point.clone();
                }
                if open.high.value() < point.value() {
                    open.high = point.clone();
                }
                open.last = point;
            }
            Some(_) | None => {
                self.close();
                let (first, low, high) = (point.clone(), point.clone(), point.clone());
                self.open = Some(Open { first, low, high, last: point });
            }
        }
    }

    fn close(&mut self) {
        let Some(Open { first, low, high, last }) = self.open.take() else { return };
        let mut points = [first, low, high, last];
        points.sort_by_key(Point::at);
        for point in points {
            let is_same =
                |known: &P| (known.at(), known.value()) == (point.at(), point.value()) && known.goes_on(&point);
            if !self.points.last().is_some_and(is_same) {
                self.points.push(point);
            }
        }
    }

    fn finish(mut self) -> Vec<P> {
        self.close();
        self.points
    }
}

/// The charts of one run.
pub struct Charts {
    series: Vec<(MarketId, Line<(Micros, f64)>)>,
    index: Vec<Line<IndexPoint>>,
}

impl Charts {
    /// At most about `points` points a line over the feed's whole time.
    #[must_use]
    pub fn new(feed: &Feed, world: &World, points: usize) -> Charts {
        let from = feed.series.iter().map(|series| series.first).min().unwrap_or(0);
        let to = feed.series.iter().map(|series| series.last).max().unwrap_or(0);
        let stretch = (to - from) / (points.max(4) as i64 / 4);
        let series = world.series.iter().map(|(market, _)| (*market, Line::new(stretch))).collect();
        Charts { series, index: vec![Line::new(stretch); world.markets.len()] }
    }

    /// A source spoke and the kernel decided.
    pub fn point(&mut self, series: u32, market: MarketId, event: &FeedEvent, kernel: &Kernel, world: &World) {
        if let Some((_, line)) = self.series.get_mut(series as usize) {
            line.push((event.received_at, event.price as f64 / 1e12));
        }
        let Some(listed) = kernel.state().market(market) else { return };
        let quality = listed.quality();
        let state = match quality.state {
            QualityState::Agreed => "Agreed",
            QualityState::Degraded => "Degraded",
            QualityState::Disputed => "Disputed",
            QualityState::None => "None",
        };
        let rung = match quality.rung {
            Rung::Primary => "Primary",
            Rung::Secondary => "Secondary",
            Rung::Guardian => "Guardian",
            Rung::Derived => "Derived",
            Rung::Twap => "Twap",
            Rung::LastGood => "LastGood",
            Rung::None => "None",
        };
        let place = usize::from(market.0);
        let market = &world.markets[place];
        let (index, confidence) = (market.usd(quality.value), market.usd(quality.confidence));
        self.index[place].push(IndexPoint { at: event.received_at, index, confidence, state, rung });
    }

    /// Writes the points.
    pub fn finish(self, markets: &mut [MarketOutcome], tally: &Tally) {
        for (market, line) in self.series {
            if let Some(outcome) = markets.get_mut(usize::from(market.0)) {
                outcome.series.sources.push(line.finish());
            }
        }
        for (line, outcome) in self.index.into_iter().zip(&mut *markets) {
            outcome.series.index = line.finish();
        }
        for (market, at, mode) in &tally.modes {
            if let Some(outcome) = markets.get_mut(usize::from(market.0)) {
                outcome.series.modes.push((*at, format!("{mode:?}")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(points: impl Iterator<Item = (Micros, f64, &'static str)>) -> Vec<(Micros, f64)> {
        let mut line = Line::new(100);
        for (at, index, state) in points {
            line.push(IndexPoint { at, index, confidence: 0.0, state, rung: "Primary" });
        }
        line.finish().iter().map(|point| (point.at, point.index)).collect()
    }

    #[test]
    fn an_index_that_is_elsewhere_for_a_moment_is_seen_there() {
        let wick = |at: Micros| if at == 137 { 1_000.0 } else { 1.0 };
        let kept = line((0..300).map(|at| (at, wick(at), "Disputed")));
        assert_eq!(kept, [(0, 1.0), (99, 1.0), (100, 1.0), (137, 1_000.0), (199, 1.0), (200, 1.0), (299, 1.0)]);
    }

    #[test]
    fn a_state_that_lasts_a_moment_begins_and_ends_where_it_did() {
        let kept = line((0..100).map(|at| (at, 1.0, if (40..42).contains(&at) { "None" } else { "Agreed" })));
        assert_eq!(kept.iter().map(|point| point.0).collect::<Vec<_>>(), [0, 39, 40, 41, 42, 99]);
    }

    #[test]
    fn a_state_that_changes_always_does_not_fill_the_memory() {
        let kept = line((0..10 * BROKEN_MAX as i64).map(|at| (at, 1.0, if at % 2 == 0 { "None" } else { "Agreed" })));
        assert!(kept.len() < BROKEN_MAX + 4 * 10 * BROKEN_MAX / 100, "{}", kept.len());
    }
}
