//! What is known of a market beside its price: what the venue itself does, and the chain on which its accounts act.

use crate::window::{Flow, Range};
use protocol::input::{ChainHealth, Depth};
use protocol::params::ChainParams;
use protocol::{MarketParams, Mode, Reject};
use units::{Duration, Price, Ratio, Rounding, Timestamp, mul_div};

/// What is remembered of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    /// Open interest, lots, at the looks inside the growth window.
    pub interest: Range,
    /// Lots closed by liquidation and deleveraging.
    pub liquidated: Flow,
    /// What the book would take near its middle, as it was reported last while it was quoted.
    pub depth: Option<Depth>,
    /// When that was, or since when nothing newer could be seen because nobody may open.
    pub depth_at: Timestamp,
    /// How the chain was when it was reported last.
    pub chain: Option<ChainHealth>,
    /// The last outage.
    pub outage: Outage,
    /// Whoever decides was away, or the market out of session, and no quorum of fresh prices is back yet.
    pub gated: bool,
    /// Since when.
    pub gated_at: Timestamp,
    /// Out of session.
    pub closed: bool,
}

/// The end of a time in which accounts could not act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// When it was over; `MIN` before the first.
    pub ended_at: Timestamp,
    /// How long it is from when exits are open.
    pub grace: Duration,
    /// Until then nobody solvent is liquidated who was not in distress before it, and has opened nothing since.
    pub grace_until: Timestamp,
    /// Exits have not been open since.
    pub waits: bool,
}

impl Outage {
    /// There was none.
    pub const NONE: Outage =
        Outage { ended_at: Timestamp::MIN, grace: Duration::ZERO, grace_until: Timestamp::MIN, waits: false };

    /// Whether there is a grace at `at`, or one that waits.
    #[must_use]
    pub fn is_grace(&self, at: Timestamp) -> bool {
        self.waits || at < self.grace_until
    }
}

/// Measures of it, as detectors see them: shares, rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measures {
    /// Growth of the open interest inside its window, over its least or a hundredth of its limit.
    pub growth: Ratio,
    /// Open interest over the thinner side of the book; zero where no depth was reported.
    pub crowding: Ratio,
    /// Lots liquidated inside the window over those and the open interest.
    pub intensity: Ratio,
    /// Average distance of the venue's book from the index.
    pub divergence: Ratio,
    /// The worst of the chain's measures over what is usual; zero where none was reported.
    pub distress: Ratio,
    /// While there is no quorum of fresh prices since a restart, or since the session began: for `dispute_confirm` nothing is
    /// matched, and after it nothing is opened.
    pub gate: Mode,
    /// Out of session.
    pub closed: bool,
}

impl Measures {
    /// Nothing happens.
    pub const CALM: Measures = Measures {
        growth: Ratio::ZERO,
        crowding: Ratio::ZERO,
        intensity: Ratio::ZERO,
        divergence: Ratio::ZERO,
        distress: Ratio::ZERO,
        gate: Mode::Normal,
        closed: false,
    };
}

/// A share, rounded up; what does not fit is as large as can be.
fn share(part: i128, whole: i128) -> Ratio {
    // Mostly there is none.
    if part <= 0 {
        return Ratio::ZERO;
    }
    Ratio::of_parts(part, whole.max(1), Rounding::Up).unwrap_or(Ratio(i64::MAX))
}

/// The lots of the thinner side.
fn thinner(depth: &Depth) -> i128 {
    i128::from(depth.bid.0.min(depth.ask.0))
}

/// Lots as a range keeps them.
fn level(lots: i128) -> Price {
    Price(i64::try_from(lots).unwrap_or(i64::MAX))
}

impl Activity {
    /// Nothing seen.
    #[must_use]
    pub const fn new() -> Activity {
        Activity {
            interest: Range::new(),
            liquidated: Flow::new(),
            depth: None,
            depth_at: Timestamp::MIN,
            chain: None,
            outage: Outage::NONE,
            gated: false,
            gated_at: Timestamp::MIN,
            closed: false,
        }
    }

    /// Files a report of the book's depth. One of a book that nobody may quote, `is_quoted`, says what the restriction did: then
    /// only a deeper book than the last is news.
    pub(crate) fn read(&mut self, depth: &Depth, is_quoted: bool, at: Timestamp) {
        if is_quoted || self.depth.is_some_and(|last| thinner(&last) < thinner(depth)) {
            (self.depth, self.depth_at) = (Some(*depth), at);
        }
    }

    /// What the restart gate asks for.
    fn gate(&self, params: &MarketParams, at: Timestamp) -> Mode {
        if !self.gated {
            Mode::Normal
        } else if at.since(self.gated_at) < params.oracle.dispute_confirm {
            Mode::Halted
        } else {
            Mode::ReduceOnly
        }
    }

    /// Takes a look at the open interest; and where nobody may open, forgets a depth that nobody could renew for a growth window.
    pub(crate) fn look(&mut self, open_interest: i128, may_open: bool, params: &MarketParams, at: Timestamp) {
        if !may_open && params.activity.growth_window <= at.since(self.depth_at) {
            self.depth = None;
        }
        self.interest.observe(params.activity.growth_window, level(open_interest), at);
        self.liquidated.advance(params.activity.intensity_window, at);
    }

    /// Files a report of the chain. Returns how long it was silent, where that was an outage.
    ///
    /// # Errors
    /// `ReceivedAfterBatch` for a block from the future; `OutOfRange` for a negative span; `OutOfOrder` for a block before
    /// the newest.
    pub(crate) fn report(
        &mut self,
        health: &ChainHealth,
        params: &ChainParams,
        at: Timestamp,
    ) -> Result<Option<Duration>, Reject> {
        Activity::admits(self.chain.as_ref(), health, at)?;
        let silent_from = self.chain.map_or(health.produced_at, |last| last.produced_at);
        let silent = health.produced_at.since(silent_from);
        let ended = self.stalled_from(params).is_some_and(|from| from <= health.produced_at);
        self.chain = Some(*health);
        Ok(ended.then_some(silent))
    }

    fn admits(last: Option<&ChainHealth>, health: &ChainHealth, at: Timestamp) -> Result<(), Reject> {
        if at < health.produced_at {
            return Err(Reject::ReceivedAfterBatch);
        }
        if health.inclusion < Duration::ZERO || health.finality < Duration::ZERO {
            return Err(Reject::OutOfRange);
        }
        if last.is_some_and(|last| health.produced_at < last.produced_at) {
            return Err(Reject::OutOfOrder);
        }
        Ok(())
    }

    /// The first instant at which the newest block is so old that the measure reaches `threshold`.
    fn silent_at(&self, threshold: Ratio, params: &ChainParams) -> Option<Timestamp> {
        let span = mul_div(params.interval.0.into(), threshold.0.into(), Ratio::ONE.0.into(), Rounding::Up);
        let span = span.and_then(|span| i64::try_from(span).ok()).map_or(Duration(i64::MAX), Duration);
        self.chain.map(|chain| chain.produced_at.plus(span))
    }

    /// From when on the chain counts as standing still; `None` where none was reported.
    #[must_use]
    pub(crate) fn stalled_from(&self, params: &ChainParams) -> Option<Timestamp> {
        self.silent_at(params.distress.reduce_only, params)
    }

    /// Whether the chain stands still, so that nobody can act and no auction goes on. Believed for `breaker.grace_max` at most:
    /// it may only be the reports that are missing.
    #[must_use]
    pub(crate) fn is_stalled(&self, params: &MarketParams, at: Timestamp) -> bool {
        let from = self.stalled_from(&params.chain);
        from.is_some_and(|from| from <= at && at < from.plus(params.breaker.grace_max))
    }

    /// The last instant, after `at`, at which the chain's silence is still judged alike.
    pub(crate) fn until(&self, may_open: bool, params: &MarketParams, at: Timestamp) -> Timestamp {
        let forgets = self.depth.filter(|_| !may_open).map(|_| self.depth_at.plus(params.activity.growth_window));
        let opens = self.gated.then(|| self.gated_at.plus(params.oracle.dispute_confirm));
        if self.chain.is_none() && forgets.is_none() && opens.is_none() {
            return Timestamp::MAX;
        }
        let cautious = self.silent_at(params.chain.distress.cautious, &params.chain);
        let stalled = self.stalled_from(&params.chain);
        let over = stalled.map(|from| from.plus(params.breaker.grace_max));
        let next = [cautious, stalled, over, forgets, opens].into_iter().flatten().filter(|then| at < *then).min();
        next.map_or(Timestamp::MAX, |next| Timestamp(next.0.saturating_sub(1)))
    }

    /// Whether nobody solvent who came into distress at `since` is liquidated at `at`: an outage brought it there, unless it made a
    /// position larger after that, at `grown_at`.
    #[must_use]
    pub(crate) fn spares(&self, since: Timestamp, grown_at: Timestamp, at: Timestamp) -> bool {
        self.outage.is_grace(at) && self.outage.ended_at <= since && grown_at < self.outage.ended_at
    }

    /// What detectors see of it at `at`; `gap` is the average distance of the venue's book.
    #[must_use]
    pub(crate) fn measures(&self, open_interest: i128, gap: Ratio, params: &MarketParams, at: Timestamp) -> Measures {
        let least = self.interest.extremes().map_or(open_interest, |(low, _)| i128::from(low.0));
        let base = least.max(i128::from(params.open_interest_max.0) / 100);
        let crowding =
            |depth: Depth| if open_interest == 0 { Ratio::ZERO } else { share(open_interest, thinner(&depth)) };
        let liquidated = self.liquidated.total;
        Measures {
            growth: share(open_interest.saturating_sub(least), base),
            crowding: self.depth.map_or(Ratio::ZERO, crowding),
            intensity: share(liquidated, liquidated.saturating_add(open_interest)),
            divergence: Ratio(gap.0.saturating_abs()),
            distress: self.chain.map_or(Ratio::ZERO, |chain| distress(&chain, &params.chain, at)),
            gate: self.gate(params, at),
            closed: self.closed,
        }
    }
}

/// The worst of a chain's measures over what is usual.
fn distress(chain: &ChainHealth, params: &ChainParams, at: Timestamp) -> Ratio {
    let spans = [
        (at.since(chain.produced_at), params.interval),
        (chain.inclusion, params.inclusion),
        (chain.finality, params.finality),
    ];
    let worst = spans.into_iter().map(|(now, usual)| share(now.0.into(), usual.0.into())).max();
    worst.unwrap_or(Ratio::ZERO).max(share(chain.base_fee.into(), params.base_fee.into()))
}

impl Default for Activity {
    fn default() -> Activity {
        Activity::new()
    }
}
