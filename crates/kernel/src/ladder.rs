//! The fallback ladder: which price serves.
//!
//! From the best rung on: the market's own sources, where they are a quorum; a quorum of the secondary set; few of the
//! market's own sources; a quorum of guardians; a derived price; where nobody speaks the time-weighted average, as long as
//! enough of its window was observed, and then the last index.
//!
//! A lower rung is taken at once, but only with a price that fits what was said before: no farther from the last price of the
//! market's own or secondary sources than a price may step in the time until the average's present slot began, as in the jump
//! filter. A secondary set that stands elsewhere is believed after `dispute_confirm` without guardians or a derived price that fit and contradict it, and what
//! serves until then is disputed by it; guardians and derived prices that don't fit are never believed.
//!
//! Back to a better rung it takes `breaker.calm` in which one could serve without a break, unless nobody fresh speaks on the
//! present one: then it is at once. Meanwhile a better price that contradicts the present one makes it disputed.

use crate::index::{Adrift, Index, jump_limit, root_of};
use crate::window::{Range, Twap, slot_around};
use protocol::{MarketParams, Panel, PriceQuality, QualityState, Rung};
use units::{Price, Ratio, Rounding, Timestamp, mul_div};

/// The sources of a lower rung.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// As listed.
    pub panel: Panel,
    /// What they amount to.
    pub index: Index,
}

/// The price that serves, and what is remembered of how it came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ladder {
    /// The price that serves, as of the last evaluation.
    pub quality: PriceQuality,
    /// The last price of the market's own or secondary sources that nobody disputed; zero before the first.
    pub anchor: Price,
    /// When it was last true.
    pub anchor_at: Timestamp,
    /// Since when a better rung than the present one could have served, without a break.
    pub better_since: Option<Timestamp>,
    /// The secondary set is asked for, and stands too far from the anchor.
    pub refused: Option<Adrift>,
    /// After this the choice would come out differently although nothing was observed.
    pub deadline: Timestamp,
}

/// What there is to choose from.
#[derive(Clone, Copy, Debug)]
pub struct Choices<'a> {
    /// The market's parameters.
    pub params: &'a MarketParams,
    /// Independent lineages among the market's own sources.
    pub lineages_listed: u8,
    /// The market's own sources, evaluated.
    pub primary: &'a Index,
    /// The others, evaluated.
    pub fallbacks: &'a [Fallback],
    /// The average of what served.
    pub twap: &'a Twap,
    /// The range of the swing window.
    pub swing: &'a Range,
}

impl Choices<'_> {
    /// Whether the market's own sources are a quorum, or as many as it lists, and agree.
    fn is_quorum(&self) -> bool {
        let own = &self.primary.quality;
        let needed = self.params.oracle.lineages_min.min(self.lineages_listed);
        own.rung == Rung::Primary && own.state < QualityState::Disputed && needed <= own.lineages
    }

    fn fallback(&self, rung: Rung) -> Option<&Index> {
        self.fallbacks.iter().find(|fallback| fallback.panel.rung == rung).map(|fallback| &fallback.index)
    }

    /// The price of a lower rung whose sources are fresh, enough and agree.
    fn agreed_on(&self, rung: Rung) -> Option<PriceQuality> {
        let found = self.fallback(rung)?.quality;
        if found.state != QualityState::Agreed || found.rung != Rung::Primary {
            return None;
        }
        let oracle = &self.params.oracle;
        let least = if rung == Rung::Derived { oracle.derived_haircut } else { oracle.fallback_confidence };
        let least = narrowed(least.of(i128::from(found.value.0), Rounding::Up));
        Some(PriceQuality { confidence: found.confidence.max(least), rung, ..found })
    }
}

impl Ladder {
    /// Before the first price.
    pub const NONE: Ladder = Ladder {
        quality: PriceQuality::NONE,
        anchor: Price(0),
        anchor_at: Timestamp::MIN,
        better_since: None,
        refused: None,
        deadline: Timestamp::MAX,
    };

    /// Chooses what serves at `at`.
    pub fn choose(&mut self, choices: &Choices<'_>, at: Timestamp) {
        let before = self.anchor;
        self.pass(choices, at);
        // What serves now may bear out a price that nothing bore out before.
        if self.anchor != before && !choices.fallbacks.is_empty() {
            self.pass(choices, at);
        }
    }

    fn pass(&mut self, choices: &Choices<'_>, at: Timestamp) {
        self.deadline = Timestamp::MAX;
        if choices.fallbacks.is_empty() {
            // Most markets: what its own sources say, or said.
            let own = &choices.primary.quality;
            self.quality = if own.rung == Rung::Primary { *own } else { self.remembered(choices, at) };
            self.keep(at);
            return;
        }
        let (slot_began, slot_ends) = slot_around(choices.params.detectors.twap_window, at);
        let reach = jump_limit(&choices.params.oracle, slot_began.since(self.anchor_at));
        self.refuse(choices, reach, at);
        if Panel::RUNGS.into_iter().filter_map(|rung| choices.agreed_on(rung)).any(|found| !self.fits(&found, reach)) {
            // By then it may.
            self.deadline = self.deadline.min(Timestamp(slot_ends.0.saturating_sub(1)));
        }
        let best = self.best(choices, reach, at);
        // The lowest rungs have nothing fresh to wait with.
        let present = choices.agreed_on(self.quality.rung).filter(|present| best.rung < present.rung);
        let present = present.filter(|present| self.fits(present, reach));
        self.quality = match present {
            Some(present) => {
                let since = self.better_since.unwrap_or(at);
                let until = since.plus(choices.params.breaker.calm);
                if until <= at {
                    self.better_since = None;
                    best
                } else {
                    self.better_since = Some(since);
                    self.deadline = self.deadline.min(Timestamp(until.0.saturating_sub(1)));
                    let contradicts = !best.value.within(choices.params.oracle.dispute, present.value);
                    if contradicts { disputed(present, best.value, i128::MAX) } else { present }
                }
            }
            None => {
                self.better_since = None;
                best
            }
        };
        if let Some(refused) = self.refused
            && self.quality.state != QualityState::None
        {
            let step = choices.params.oracle.jump_max.of(i128::from(self.quality.value.0), Rounding::Up);
            self.quality = disputed(self.quality, refused.value, step.unwrap_or(i128::MAX));
        }
        self.keep(at);
    }

    /// Keeps a price that others may be checked against.
    fn keep(&mut self, at: Timestamp) {
        if self.is_observed() {
            (self.anchor, self.anchor_at) = (self.quality.value, at);
        }
    }

    /// Whether sources that may be taken for the market say so without contradiction: what averages are made of.
    #[must_use]
    pub const fn is_observed(&self) -> bool {
        matches!(self.quality.rung, Rung::Primary | Rung::Secondary)
            && matches!(self.quality.state, QualityState::Agreed | QualityState::Degraded)
    }

    /// Whether a price may serve: in reach of what was said before, or of a secondary set that serves already. Guardians and
    /// derived prices must stay in reach, or they would walk.
    fn fits(&self, found: &PriceQuality, reach: Ratio) -> bool {
        let serves = found.rung == Rung::Secondary && self.quality.rung == Rung::Secondary;
        serves || self.anchor != Price(0) && found.value.within(reach, self.anchor)
    }

    /// Keeps since when the secondary set is refused: asked for, and elsewhere.
    fn refuse(&mut self, choices: &Choices<'_>, reach: Ratio, at: Timestamp) {
        let oracle = &choices.params.oracle;
        let asked = !choices.is_quorum() && self.anchor != Price(0);
        let found = choices.agreed_on(Rung::Secondary).filter(|found| asked && !self.fits(found, reach));
        self.refused = found.and_then(|found| {
            let vetoes =
                |other: PriceQuality| self.fits(&other, reach) && !other.value.within(oracle.dispute, found.value);
            if [Rung::Guardian, Rung::Derived].into_iter().filter_map(|rung| choices.agreed_on(rung)).any(vetoes) {
                return Some(Adrift { value: found.value, since: at });
            }
            let held = self.refused.filter(|held| found.value.within(oracle.dispute, held.value));
            let refused = held.unwrap_or(Adrift { value: found.value, since: at });
            let believed_at = refused.since.plus(oracle.dispute_confirm);
            if believed_at <= at {
                // It fits from now on.
                (self.anchor, self.anchor_at) = (found.value, at);
                return None;
            }
            self.deadline = self.deadline.min(Timestamp(believed_at.0.saturating_sub(1)));
            Some(refused)
        });
    }

    /// The price of the best rung that could serve.
    fn best(&mut self, choices: &Choices<'_>, reach: Ratio, at: Timestamp) -> PriceQuality {
        let present = self.quality.rung;
        let own = choices.primary.quality;
        let speaks = own.rung == Rung::Primary;
        // A contradiction is no silence: it is resolved where it arose. But nobody comes back to one.
        let contradicted = speaks && own.state == QualityState::Disputed && present <= Rung::Primary;
        if choices.is_quorum() || contradicted {
            return own;
        }
        let lower = |rung: Rung| choices.agreed_on(rung).filter(|found| self.fits(found, reach));
        if let Some(found) = lower(Rung::Secondary) {
            return found;
        }
        if speaks {
            return own;
        }
        let found = lower(Rung::Guardian).or_else(|| lower(Rung::Derived));
        found.unwrap_or_else(|| self.remembered(choices, at))
    }

    /// Nobody speaks: the average of what was said, or the last of it.
    fn remembered(&mut self, choices: &Choices<'_>, at: Timestamp) -> PriceQuality {
        let is_last = |index: &&Index| {
            index.quality.rung == Rung::LastGood && (index.believed, index.believed_at) == (self.anchor, self.anchor_at)
        };
        let secondary = choices.fallback(Rung::Secondary).filter(is_last);
        let last = match secondary {
            Some(secondary) if !is_last(&choices.primary) => secondary.quality,
            Some(_) | None => choices.primary.quality,
        };
        let detectors = &choices.params.detectors;
        let serves_until = self.anchor_at.plus(choices.params.oracle.twap_max);
        let covered = || detectors.twap_coverage_min <= choices.twap.coverage(detectors.twap_window);
        if last.rung != Rung::LastGood || serves_until < at || !covered() {
            return last;
        }
        let Some(value) = choices.twap.average() else { return last };
        // The average forgets slot by slot, and as often is wider: as far as the price went inside the swing window, by the
        // root of the time that nobody has spoken when the slot is over.
        let (_, slot_ends) = slot_around(detectors.twap_window, at);
        self.deadline = self.deadline.min(Timestamp(slot_ends.0.saturating_sub(1))).min(serves_until);
        let silent = slot_ends.since(self.anchor_at);
        let root = i128::try_from(root_of(silent, detectors.swing_window)).unwrap_or(i128::MAX);
        let swing = choices.swing.extremes().map_or(0, |(low, high)| high.distance(low));
        let wandered = mul_div(swing, root, 1 << 16, Rounding::Up).unwrap_or(i128::MAX);
        let away = value.distance(last.value);
        let confidence = i128::from(last.confidence.0).saturating_add(away).saturating_add(wandered);
        PriceQuality { value, confidence: narrowed(Some(confidence)), rung: Rung::Twap, ..last }
    }
}

/// A price that another one speaks against, as wide as it is away but no wider than `most`.
fn disputed(price: PriceQuality, other: Price, most: i128) -> PriceQuality {
    let away = narrowed(Some(price.value.distance(other).min(most)));
    PriceQuality { state: QualityState::Disputed, confidence: price.confidence.max(away), ..price }
}

/// A half-width; what does not fit is as wide as can be.
fn narrowed(width: Option<i128>) -> Price {
    Price(width.and_then(|width| i64::try_from(width).ok()).unwrap_or(i64::MAX))
}
