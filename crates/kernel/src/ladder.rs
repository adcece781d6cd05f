//! The fallback ladder: which price serves.
//!
//! From the best rung on: the market's own sources, where they are a quorum; a quorum of the secondary set; few of the
//! market's own sources; a quorum of guardians; a derived price; few of the secondary set; where nobody speaks the
//! time-weighted average, as long as enough of its window was observed, and then the last price.
//!
//! A contradiction inside of the set that serves is no silence: it is resolved where it arose. But nobody comes to one from
//! another rung.
//!
//! A lower rung is taken at once, but only with a price that fits what was said before: no farther from the *anchor*, the last
//! undisputed price of the market's own or secondary sources, than a price may step in the time until the average's present
//! slot began, as in the jump filter. Guardians and derived prices must go on fitting, or they would walk, and are as wide as
//! they are from the anchor: nobody who could pay at what was said before is liquidated on them.
//!
//! A secondary quorum that does not fit, or that anybody else who speaks contradicts, is believed after `dispute_confirm`, and
//! not while guardians who fit contradict it; what serves until then is disputed by it. Few sources of the market's own give way to
//! guardians who fit and contradict them. Whoever serves while somebody who is worth as much contradicts is disputed.
//!
//! Back to a better rung it takes `breaker.calm` in which one could serve without a break, unless nobody fresh speaks on the
//! present one: then it is at once. Meanwhile a better price that contradicts the present one makes it disputed.

use crate::index::{Adrift, Index, jump_limit, root_of};
use crate::window::{Range, Twap, slot_around};
use protocol::{MarketParams, Panel, PriceQuality, QualityState, Rung};
use units::{Duration, Price, Ratio, Rounding, Timestamp, mul_div};

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
    /// The secondary set is asked for and not believed: what it said at the last look, and since when.
    pub refused: Option<Adrift>,
    /// After this the choice would come out differently although nothing was observed.
    pub deadline: Timestamp,
}

/// What there is to choose from.
#[derive(Clone, Copy, Debug)]
pub struct Choices<'a> {
    /// The market's parameters.
    pub params: &'a MarketParams,
    /// The market's own sources as listed.
    pub own: &'a Panel,
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
        let needed = self.params.oracle.lineages_min.min(self.own.lineages.count);
        own.rung == Rung::Primary && own.state < QualityState::Disputed && needed <= own.lineages
    }

    /// What the market's own sources say, if any is fresh.
    fn own(&self) -> Option<PriceQuality> {
        Some(self.primary.quality).filter(|own| own.rung == Rung::Primary)
    }

    fn fallback(&self, rung: Rung) -> Option<&Fallback> {
        self.fallbacks.iter().find(|fallback| fallback.panel.rung == rung)
    }

    /// Whether the secondary set contradicts itself.
    fn is_secondary_contradicted(&self) -> bool {
        let secondary = self.fallback(Rung::Secondary);
        secondary.is_some_and(|fallback| is_contradicted(&fallback.panel, &fallback.index))
    }

    /// What fresh sources of a lower rung say, and at least as wide as the rung asks for.
    fn said(&self, rung: Rung) -> Option<PriceQuality> {
        let found = self.fallback(rung)?.index.quality;
        if found.rung != Rung::Primary {
            return None;
        }
        let oracle = &self.params.oracle;
        let least = if rung == Rung::Derived { oracle.derived_haircut } else { oracle.fallback_confidence };
        let least = narrowed(least.of(i128::from(found.value.0), Rounding::Up));
        Some(PriceQuality { confidence: found.confidence.max(least), rung, ..found })
    }

    /// Likewise where they are enough and agree.
    fn agreed_on(&self, rung: Rung) -> Option<PriceQuality> {
        self.said(rung).filter(|found| found.state == QualityState::Agreed)
    }

    /// Where everybody of the market's own sources went at once, against another's price; or everybody of the secondary set, against one
    /// that is no agreed price of the market's own.
    fn leapt(&self, serves: &PriceQuality) -> Option<Price> {
        let agreed = serves.rung == Rung::Primary && serves.state == QualityState::Agreed;
        let own = Some(self.primary.leapt).filter(|_| serves.rung != Rung::Primary);
        let secondary = self.fallback(Rung::Secondary).map(|fallback| fallback.index.leapt);
        let secondary = secondary.filter(|_| !agreed && serves.rung != Rung::Secondary);
        let leaps = [own, secondary].into_iter().flatten().filter(|leapt| *leapt != Price(0));
        let mut against = leaps.filter(|leapt| !serves.value.within(self.params.oracle.dispute, *leapt));
        against.next().filter(|_| serves.state != QualityState::None)
    }

    /// Whether `other` says that `value` is wrong: by more than `dispute` and its own width.
    fn contradicts(&self, other: &PriceQuality, value: Price) -> bool {
        !value.within(self.params.oracle.dispute, other.value)
            && i128::from(other.confidence.0) < value.distance(other.value)
    }
}

/// Whether those who disagree in a set are a contradiction: as many lineages as it takes to agree, and not only too few who left
/// what was agreed on; everybody who left it at once contradicts what was. One who contradicts himself is one voice.
fn is_contradicted(panel: &Panel, index: &Index) -> bool {
    index.quality.rung == Rung::Primary
        && index.quality.state == QualityState::Disputed
        && (index.adrift.is_none() || index.leapt != Price(0))
        && panel.oracle.lineages_min.min(panel.lineages.count) <= index.heard
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

    /// Chooses what serves at `at`. What passed `unseen`, without anybody looking when it was due, counts for nobody.
    pub fn choose(&mut self, choices: &Choices<'_>, unseen: Duration, at: Timestamp) {
        if let Some(since) = &mut self.better_since {
            *since = since.plus(unseen);
        }
        if let Some(refused) = &mut self.refused {
            refused.since = refused.since.plus(unseen);
        }
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
            self.quality = choices.own().unwrap_or_else(|| self.remembered(choices, at));
            self.keep(at);
            return;
        }
        let (slot_began, slot_ends) = slot_around(choices.params.detectors.twap_window, at);
        let reach = jump_limit(&choices.params.oracle, slot_began.since(self.anchor_at));
        let lower = [Rung::Secondary, Rung::Guardian, Rung::Derived];
        if lower.into_iter().filter_map(|rung| choices.said(rung)).any(|found| !self.fits(&found, reach)) {
            // By then it may.
            self.deadline = Timestamp(slot_ends.0.saturating_sub(1));
        }
        self.refuse(choices, reach, at);
        let best = self.best(choices, reach, at);
        self.quality = match self.present(choices, reach).filter(|present| best.rung < present.rung) {
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
        // Enough who say that the market is somewhere else altogether are not believed yet, but nor is anybody who is worth less.
        if let Some(leapt) = choices.leapt(&self.quality) {
            self.quality = disputed(self.quality, leapt, i128::MAX);
        }
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

    /// Whether a price may serve: in reach of what was said before, or of a secondary set that serves already.
    fn fits(&self, found: &PriceQuality, reach: Ratio) -> bool {
        let serves = found.rung == Rung::Secondary && self.quality.rung == Rung::Secondary;
        serves || self.anchor != Price(0) && found.value.within(reach, self.anchor)
    }

    /// A rung below the secondary one, where it may serve: as wide as it is away from what was said before.
    fn lower(&self, rung: Rung, choices: &Choices<'_>, reach: Ratio) -> Option<PriceQuality> {
        let found = choices.agreed_on(rung).filter(|found| self.fits(found, reach))?;
        let away = narrowed(Some(found.value.distance(self.anchor)));
        Some(PriceQuality { confidence: found.confidence.max(away), ..found })
    }

    /// The guardians, where they fit and contradict a price.
    fn vetoed(&self, value: Price, choices: &Choices<'_>, reach: Ratio) -> Option<PriceQuality> {
        let found = choices.agreed_on(Rung::Guardian).filter(|found| self.fits(found, reach))?;
        choices.contradicts(&found, value).then_some(found)
    }

    /// Likewise a derived price.
    fn doubted(&self, value: Price, choices: &Choices<'_>, reach: Ratio) -> Option<PriceQuality> {
        let found = choices.agreed_on(Rung::Derived).filter(|found| self.fits(found, reach))?;
        choices.contradicts(&found, value).then_some(found)
    }

    /// What the rung that serves would say if it went on, where anybody on it still speaks.
    fn present(&self, choices: &Choices<'_>, reach: Ratio) -> Option<PriceQuality> {
        match self.quality.rung {
            Rung::Secondary => {
                let contradicted = choices.is_secondary_contradicted();
                choices.said(Rung::Secondary).filter(|found| found.state != QualityState::Disputed || contradicted)
            }
            Rung::Guardian | Rung::Derived => self.lower(self.quality.rung, choices, reach),
            Rung::Primary | Rung::Twap | Rung::LastGood | Rung::None => None,
        }
    }

    /// Whether a contradiction among the market's own sources is waited out.
    fn waits_for_own(&self, choices: &Choices<'_>) -> bool {
        is_contradicted(choices.own, choices.primary) && self.quality.rung <= Rung::Primary
    }

    /// Keeps since when the secondary set is refused: asked for, and elsewhere than anybody else.
    fn refuse(&mut self, choices: &Choices<'_>, reach: Ratio, at: Timestamp) {
        let oracle = &choices.params.oracle;
        let asked = !choices.is_quorum() && !self.waits_for_own(choices) && self.anchor != Price(0);
        let asked = asked && self.quality.rung != Rung::Secondary;
        let held = self.refused.take();
        let Some(found) = choices.agreed_on(Rung::Secondary).filter(|_| asked) else { return };
        let vetoed = self.vetoed(found.value, choices, reach).is_some();
        let doubted = self.doubted(found.value, choices, reach).is_some();
        // One voice that is not believed by itself outvotes nobody.
        let own = choices.own().filter(|own| own.state == QualityState::Degraded);
        let objected = own.is_some_and(|own| choices.contradicts(&own, found.value));
        if self.fits(&found, reach) && !vetoed && !doubted && !objected {
            return;
        }
        // Whoever jumps from one lie to another begins anew; a market that moves does not.
        let held = held.filter(|held| !vetoed && found.value.within(oracle.dispute, held.value));
        let since = held.map_or(at, |held| held.since);
        let believed_at = since.plus(oracle.dispute_confirm);
        if !vetoed && believed_at <= at {
            // It serves from now on.
            (self.anchor, self.anchor_at) = (found.value, at);
            self.quality = found;
            return;
        }
        if !vetoed {
            self.deadline = self.deadline.min(Timestamp(believed_at.0.saturating_sub(1)));
        }
        self.refused = Some(Adrift { value: found.value, since });
    }

    /// The price of the best rung that could serve.
    fn best(&mut self, choices: &Choices<'_>, reach: Ratio, at: Timestamp) -> PriceQuality {
        let own = choices.own();
        if let Some(own) = own.filter(|_| choices.is_quorum() || self.waits_for_own(choices)) {
            // One that the market lists alone is no quorum to those who are.
            let lone = own.state == QualityState::Degraded;
            let other = choices.agreed_on(Rung::Secondary).filter(|found| choices.contradicts(found, own.value));
            let other = other.or_else(|| self.vetoed(own.value, choices, reach)).filter(|_| lone);
            return other.map_or(own, |other| disputed(own, other.value, i128::MAX));
        }
        let secondary = choices.agreed_on(Rung::Secondary).filter(|found| self.fits(found, reach));
        if let Some(found) = secondary.filter(|_| self.refused.is_none()) {
            let vetoed = self.vetoed(found.value, choices, reach);
            return vetoed.map_or(found, |other| disputed(found, other.value, i128::MAX));
        }
        let few = choices.said(Rung::Secondary).filter(|_| self.quality.rung == Rung::Secondary);
        if let Some(few) = few.filter(|_| choices.is_secondary_contradicted()) {
            return few;
        }
        if let Some(own) = own.filter(|own| own.state == QualityState::Degraded)
            && self.vetoed(own.value, choices, reach).is_none()
        {
            let few = choices.said(Rung::Secondary).filter(|few| choices.contradicts(few, own.value));
            let other = few.or_else(|| self.doubted(own.value, choices, reach));
            return other.map_or(own, |other| disputed(own, other.value, i128::MAX));
        }
        let found = self.lower(Rung::Guardian, choices, reach).or_else(|| self.lower(Rung::Derived, choices, reach));
        if let Some(found) = found {
            let objects = own.filter(|own| choices.contradicts(own, found.value));
            return objects.map_or(found, |own| disputed(found, own.value, i128::MAX));
        }
        let few = choices.said(Rung::Secondary).filter(|few| self.refused.is_none() && self.fits(few, reach));
        // Nobody comes to a contradiction from another rung.
        let few = few.filter(|_| !choices.is_secondary_contradicted()).map(|few| self.beside_anchor(few, choices, at));
        own.or(few).unwrap_or_else(|| self.remembered(choices, at))
    }

    /// A price that too few say: where it is elsewhere than what was said before, that speaks against it for as long as it would serve.
    fn beside_anchor(&mut self, few: PriceQuality, choices: &Choices<'_>, at: Timestamp) -> PriceQuality {
        let oracle = &choices.params.oracle;
        let lasts_until = self.anchor_at.plus(oracle.last_good_max);
        if self.anchor == Price(0) || lasts_until < at || few.value.within(oracle.dispute, self.anchor) {
            return few;
        }
        self.deadline = self.deadline.min(lasts_until);
        disputed(few, self.anchor, i128::MAX)
    }

    /// Nobody speaks: the average of what was said, or the last of it.
    fn remembered(&mut self, choices: &Choices<'_>, at: Timestamp) -> PriceQuality {
        let oracle = &choices.params.oracle;
        let lasts_until = self.anchor_at.plus(oracle.last_good_max);
        if self.anchor == Price(0) || lasts_until < at {
            return PriceQuality::NONE;
        }
        self.deadline = self.deadline.min(lasts_until);
        // An unconfirmed jump speaks against it.
        let own = Some(choices.primary.quality).filter(|own| own.rung == Rung::LastGood);
        let last = PriceQuality {
            value: self.anchor,
            confidence: own.map_or(Price(0), |own| own.confidence),
            age: Duration(at.since(self.anchor_at).0.max(0)),
            coverage: Ratio::ZERO,
            lineages: 0,
            state: own.map_or(QualityState::Degraded, |own| own.state),
            rung: Rung::LastGood,
        };
        let detectors = &choices.params.detectors;
        let serves_until = self.anchor_at.plus(oracle.twap_max);
        let covered = || choices.twap.covers(detectors.twap_window, detectors.twap_coverage_min);
        if serves_until < at || !covered() {
            return last;
        }
        let Some(value) = choices.twap.median() else { return last };
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
