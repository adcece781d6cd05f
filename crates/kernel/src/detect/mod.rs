//! Detectors: each sees a flat [`MarketView`], keeps one level of [`Memory`], and answers with a restriction.
//!
//! A detector never sees the state, another detector or the mode. The answers are joined, so that adding a detector
//! can't loosen a market. To add one: a file here, a line in [`DETECTORS`].

pub mod band;
pub mod chain;
pub mod crowding;
pub mod disagreement;
pub mod divergence;
pub mod drift;
pub mod growth;
pub mod intensity;
pub mod quorum;
pub mod restart;
pub mod session;
pub mod staleness;
pub mod stuck;
pub mod swing;
pub mod velocity;

use crate::activity::Measures;
use crate::breaker::restriction_of;
use protocol::params::{DetectorParams, Thresholds};
use protocol::{MarketParams, Mode, QualityState, Restriction, Rung};
use units::{Duration, Price, Ratio, Rounding};

/// What a detector may look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarketView {
    /// The index.
    pub index: Price,
    /// Its agreement.
    pub state: QualityState,
    /// Its rung.
    pub rung: Rung,
    /// Half-width around the index that holds every usable source within the dispute limit and its own claim.
    pub spread: Price,
    /// Weight supporting the index over weight listed.
    pub coverage: Ratio,
    /// Independent lineages supporting the index.
    pub lineages: u8,
    /// The average over the TWAP's window; `None` where too little of it was observed.
    pub twap: Option<Price>,
    /// The stable price; `None` before the first index.
    pub stable: Option<Price>,
    /// Lowest and highest executed price inside the velocity window.
    pub range: Option<(Price, Price)>,
    /// Likewise inside the swing window.
    pub swing: Option<(Price, Price)>,
    /// The share of the listed weight that speaks from its own bound.
    pub stuck: Ratio,
    /// How long ago the newest source published, in whole heartbeats of the fastest.
    pub staleness: Duration,
    /// What the venue itself does, and its chain.
    pub measures: Measures,
}

/// What the detectors remember between batches: the level that each holds, in the order of [`DETECTORS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Held levels.
    pub levels: [Mode; DETECTORS.len()],
}

/// A detector: from the view, the parameters and the level that it holds to the level that it asks for.
pub type Detector = fn(&MarketView, &MarketParams, Mode) -> Mode;

/// The detectors, in the order of the bits of an effect's `causes`.
pub const DETECTORS: [Detector; 15] = [
    velocity::detect,
    band::detect,
    disagreement::detect,
    quorum::detect,
    swing::detect,
    drift::detect,
    stuck::detect,
    growth::detect,
    crowding::detect,
    intensity::detect,
    divergence::detect,
    chain::detect,
    restart::detect,
    session::detect,
    staleness::detect,
];

/// The detectors' names, in the order of [`DETECTORS`].
pub const NAMES: [&str; DETECTORS.len()] = [
    "velocity",
    "band",
    "disagreement",
    "quorum",
    "swing",
    "drift",
    "stuck",
    "growth",
    "crowding",
    "intensity",
    "divergence",
    "chain",
    "restart",
    "session",
    "staleness",
];

impl Memory {
    /// Nothing is held.
    pub const CALM: Memory = Memory { levels: [Mode::Normal; DETECTORS.len()] };
}

/// Asks every detector and joins the answers. Also returns, a bit each, who asks for the joined mode.
pub fn detect(view: &MarketView, params: &MarketParams, memory: &mut Memory) -> (Restriction, u16) {
    // A stricter mode denies all that a milder one does, so what the strictest level means is the join of them all.
    let mut mode = Mode::Normal;
    for (detector, level) in DETECTORS.iter().zip(&mut memory.levels) {
        *level = detector(view, params, *level);
        mode = mode.max(*level);
    }
    let joined = restriction_of(mode, &params.breaker);
    let asks = |level: &Mode| *level == mode && mode != Mode::Normal;
    let causes = memory.levels.iter().enumerate().map(|(i, level)| u16::from(asks(level)) << i).sum();
    (joined, causes)
}

/// The level that a measure `part / whole` calls for: entered at a threshold, left only below `exit` of it.
fn level(part: u64, whole: Price, thresholds: &Thresholds, detectors: &DetectorParams, held: Mode) -> Mode {
    // Most markets, most of the time.
    if held == Mode::Normal && !reaches(part, whole, thresholds.cautious) {
        return Mode::Normal;
    }
    let holds = |mode: Mode, threshold: Ratio| {
        reaches(part, whole, threshold) || mode <= held && reaches(part, whole, exit_of(threshold, detectors))
    };
    if holds(Mode::ReduceOnly, thresholds.reduce_only) {
        Mode::ReduceOnly
    } else if holds(Mode::Cautious, thresholds.cautious) {
        Mode::Cautious
    } else {
        Mode::Normal
    }
}

/// Likewise of a measure that is a share already.
fn measured(share: Ratio, thresholds: &Thresholds, detectors: &DetectorParams, held: Mode) -> Mode {
    // Most markets, most of the time.
    if share == Ratio::ZERO {
        return Mode::Normal;
    }
    level(share.0.max(0).unsigned_abs(), Price(Ratio::ONE.0), thresholds, detectors, held)
}

/// Where a threshold that was entered is left again.
fn exit_of(threshold: Ratio, detectors: &DetectorParams) -> Ratio {
    let exit = detectors.exit.of(i128::from(threshold.0), Rounding::Down);
    exit.and_then(|exit| i64::try_from(exit).ok()).map_or(threshold, Ratio)
}

/// Whether `threshold <= part / whole`, by products that can't overflow.
fn reaches(part: u64, whole: Price, threshold: Ratio) -> bool {
    i128::from(whole.0) * i128::from(threshold.0) <= i128::from(part) * i128::from(Ratio::ONE.0)
}
