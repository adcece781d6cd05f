//! Points for the report, thinned while they are gathered, so that memory does not grow with the data.

use super::outcome::{IndexPoint, MarketOutcome};
use super::tally::Tally;
use super::world::World;
use crate::feed::{Feed, FeedEvent, Micros};
use kernel::Kernel;
use protocol::{MarketId, QualityState, Rung};

/// A line that keeps, of every stretch of time, the first, lowest, highest and last point.
#[derive(Clone, Debug)]
struct Line {
    stretch: Micros,
    open: Option<[(Micros, f64); 4]>,
    points: Vec<(Micros, f64)>,
}

impl Line {
    fn new(stretch: Micros) -> Line {
        Line { stretch: stretch.max(1), open: None, points: Vec::new() }
    }

    fn push(&mut self, at: Micros, value: f64) {
        let point = (at, value);
        match &mut self.open {
            Some(open) if open[0].0.div_euclid(self.stretch) == at.div_euclid(self.stretch) => {
                if value < open[1].1 {
                    open[1] = point;
                }
                if open[2].1 < value {
                    open[2] = point;
                }
                open[3] = point;
            }
            Some(_) | None => {
                self.close();
                self.open = Some([point; 4]);
            }
        }
    }

    fn close(&mut self) {
        if let Some(mut open) = self.open.take() {
            open.sort_by_key(|point| point.0);
            for point in open {
                if self.points.last() != Some(&point) {
                    self.points.push(point);
                }
            }
        }
    }
}

/// The charts of one run.
pub struct Charts {
    series: Vec<(MarketId, Line)>,
    index: Vec<(Micros, Vec<IndexPoint>)>,
}

impl Charts {
    /// At most about `points` points a line over the feed's whole time.
    #[must_use]
    pub fn new(feed: &Feed, world: &World, points: usize) -> Charts {
        let from = feed.series.iter().map(|series| series.first).min().unwrap_or(0);
        let to = feed.series.iter().map(|series| series.last).max().unwrap_or(0);
        let stretch = (to - from) / (points.max(4) as i64 / 4);
        let series = world.series.iter().map(|(market, _)| (*market, Line::new(stretch))).collect();
        Charts { series, index: vec![(stretch / 4, Vec::new()); world.markets.len()] }
    }

    /// A source spoke and the kernel decided.
    pub fn point(&mut self, series: u32, market: MarketId, event: &FeedEvent, kernel: &Kernel, world: &World) {
        if let Some((_, line)) = self.series.get_mut(series as usize) {
            line.push(event.received_at, event.price as f64 / 1e12);
        }
        let Some(listed) = kernel.state().market(market) else { return };
        let quality = listed.index.quality();
        let (stretch, points) = &mut self.index[usize::from(market.0)];
        let state = match quality.state {
            QualityState::Agreed => "Agreed",
            QualityState::Degraded => "Degraded",
            QualityState::Disputed => "Disputed",
            QualityState::None => "None",
        };
        let rung = match quality.rung {
            Rung::Primary => "Primary",
            Rung::LastGood => "LastGood",
            Rung::None => "None",
        };
        let due = points.last().is_none_or(|last: &IndexPoint| *stretch <= event.received_at - last.at);
        let changed = points.last().is_some_and(|last| last.state != state || last.rung != rung);
        if due || changed && points.len() < 20_000 {
            let market = &world.markets[usize::from(market.0)];
            let (index, confidence) = (market.usd(quality.value), market.usd(quality.confidence));
            points.push(IndexPoint { at: event.received_at, index, confidence, state, rung });
        }
    }

    /// Writes the points.
    pub fn finish(self, markets: &mut [MarketOutcome], tally: &Tally) {
        for (market, mut line) in self.series {
            line.close();
            if let Some(outcome) = markets.get_mut(usize::from(market.0)) {
                outcome.series.sources.push(line.points);
            }
        }
        for ((_, points), outcome) in self.index.into_iter().zip(&mut *markets) {
            outcome.series.index = points;
        }
        for (market, at, mode) in &tally.modes {
            if let Some(outcome) = markets.get_mut(usize::from(market.0)) {
                outcome.series.modes.push((*at, format!("{mode:?}")));
            }
        }
    }
}
