//! Panels, units and the fallback ladder, written from what their documentation says.

use super::exact::{Q, ceil, floor, part, q, within};
use super::oracle::step_limit;
use kernel::index::{Adrift, Index, Source};
use kernel::ladder::Ladder;
use protocol::params::SourceParams;
use protocol::{MarketId, MarketParams, PriceQuality, QualityState, Rung, SourceId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use units::{Price, Ratio, Timestamp};

/// The sources of one rung: the market's parameters as if it listed nobody else, and their index.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    pub(super) rung: Rung,
    pub(super) ids: Vec<SourceId>,
    pub(super) params: Arc<MarketParams>,
    pub(super) index: Index,
}

/// The panels of a market that list anybody, its own first; `indexes` in the same order.
pub(super) fn panels(params: &MarketParams, indexes: &[&Index]) -> Vec<Panel> {
    let mut indexes = indexes.iter();
    let mut panels = Vec::new();
    for rung in [Rung::Primary, Rung::Secondary, Rung::Guardian, Rung::Derived] {
        let places: Vec<usize> =
            (0..params.sources.len()).filter(|place| params.sources[*place].rung == rung).collect();
        if places.is_empty() {
            continue;
        }
        let mut params = params.clone();
        params.sources = places.iter().map(|place| params.sources[*place]).collect();
        params.oracle.lineages_min = match rung {
            Rung::Guardian => params.oracle.guardians_min,
            Rung::Derived => 1,
            _ => params.oracle.lineages_min,
        };
        params.oracle.overrule_lineages = params.oracle.overrule_lineages.max(params.oracle.lineages_min);
        let ids = places.iter().map(|place| SourceId(*place as u8)).collect();
        let Some(index) = indexes.next() else { break };
        panels.push(Panel { rung, ids, params: Arc::new(params), index: (*index).clone() });
    }
    panels
}

/// What a unit is worth, and how doubtful that is, in USD.
pub(super) type Worth = BTreeMap<MarketId, Option<(Q, Q)>>;

/// What the price of a market is worth as a unit.
pub(super) fn worth(quality: &PriceQuality, params: &MarketParams) -> Option<(Q, Q)> {
    let sure = (quality.state == QualityState::Agreed || quality.state == QualityState::Degraded)
        && (quality.rung == Rung::Primary || quality.rung == Rung::Secondary);
    let usd = |price: Price| q(price.0) * q(10_i128.pow(params.scale.price_shift().into())) / q(1_000_000_000_000_i64);
    sure.then(|| (usd(quality.value), usd(quality.confidence)))
}

/// What a source said last, in USD: rounded down, its width up. Returns whether that is another price than before.
pub(super) fn convert(source: &mut Source, listing: &SourceParams, worth: &Worth) -> bool {
    let before = (source.price, source.confidence);
    let narrow = |wide: i128| i64::try_from(wide).ok().map(Price);
    (source.price, source.confidence) = match listing.quote {
        None => (source.quoted, source.quoted_confidence),
        Some(unit) => match worth.get(&unit).cloned().flatten() {
            None => (Price(0), Price(0)),
            Some((value, doubt)) => {
                let price = narrow(floor(&(q(source.quoted.0) * &value)));
                let own = ceil(&(q(source.quoted_confidence.0) * &value));
                let others = ceil(&(q(source.quoted.0) * &doubt)).max(0);
                (price.unwrap_or(Price(0)), narrow(own + others).unwrap_or(Price(i64::MAX)))
            }
        },
    };
    before != (source.price, source.confidence)
}

/// What a ladder is climbed with.
#[derive(Debug)]
pub(super) struct Climb<'a> {
    pub(super) params: &'a MarketParams,
    pub(super) panels: &'a [Panel],
    /// The average and the microseconds that it holds.
    pub(super) average: (Option<Price>, i64),
    pub(super) swing: Option<(Price, Price)>,
    pub(super) at: Timestamp,
}

impl Climb<'_> {
    fn panel(&self, rung: Rung) -> Option<&Panel> {
        self.panels.iter().find(|panel| panel.rung == rung)
    }

    /// A lower panel's price, as wide as its rung asks for at least, if its own sources are fresh, enough, and agree.
    fn lower(&self, rung: Rung) -> Option<PriceQuality> {
        if rung == Rung::Primary {
            return None;
        }
        let found = self.panel(rung)?.index.quality;
        if found.rung != Rung::Primary || found.state != QualityState::Agreed {
            return None;
        }
        let oracle = &self.params.oracle;
        let share = if rung == Rung::Derived { oracle.derived_haircut } else { oracle.fallback_confidence };
        let least = ceil(&(part(share) * q(found.value.0))).min(i64::MAX.into()) as i64;
        Some(PriceQuality { rung, confidence: Price(found.confidence.0.max(least)), ..found })
    }

    fn own(&self) -> PriceQuality {
        self.panel(Rung::Primary).map_or(PriceQuality::NONE, |panel| panel.index.quality)
    }

    /// As many of the market's own lineages as are asked for, or listed, say the same.
    fn quorum(&self) -> bool {
        let own = self.own();
        let listed: BTreeSet<u8> =
            self.panel(Rung::Primary).iter().flat_map(|p| &p.params.sources).map(|s| s.lineage.0).collect();
        let enough = listed.len().min(self.params.oracle.lineages_min.into());
        let agree = own.state == QualityState::Agreed || own.state == QualityState::Degraded;
        own.rung == Rung::Primary && agree && enough <= usize::from(own.lineages)
    }
}

/// The ladder after a look; its deadline is not computed. Once more where a new price may bear out another.
pub(super) fn climb(old: &Ladder, with: &Climb<'_>) -> Ladder {
    let first = step(old, with);
    if first.anchor == old.anchor || with.panels.len() == 1 { first } else { step(&first, with) }
}

fn step(old: &Ladder, with: &Climb<'_>) -> Ladder {
    let (oracle, at) = (&with.params.oracle, with.at);
    let mut new = *old;
    let present = old.quality.rung;
    // The time is counted in whole slots of the average.
    let slot = (with.params.detectors.twap_window.0 / kernel::window::TWAP_SLOTS as i64).max(1);
    let reach = step_limit(oracle, i128::from(at.0 - at.0.rem_euclid(slot)) - i128::from(old.anchor_at.0));
    let secondary = with.lower(Rung::Secondary);
    let near = |price: Price, reach: Ratio, anchor: Price| anchor != Price(0) && within(price, reach, anchor);

    // Who is asked for and too far away waits, near where it began to.
    let off = secondary.filter(|found| {
        present != Rung::Secondary && !with.quorum() && old.anchor != Price(0) && !near(found.value, reach, old.anchor)
    });
    new.refused = None;
    if let Some(found) = off {
        // Those below who fit and say otherwise don't let it begin.
        let vetoed = [Rung::Guardian, Rung::Derived].into_iter().any(|rung| {
            let other = with.lower(rung).filter(|other| near(other.value, reach, old.anchor));
            other.is_some_and(|other| !within(other.value, oracle.dispute, found.value))
        });
        let begun = match old.refused {
            Some(begun) if !vetoed && within(found.value, oracle.dispute, begun.value) => begun,
            Some(_) | None => Adrift { value: found.value, since: at },
        };
        if !vetoed && oracle.dispute_confirm.0 <= at.0 - begun.since.0 {
            (new.anchor, new.anchor_at) = (found.value, at);
        } else {
            new.refused = Some(begun);
        }
    }

    // A secondary set that serves may go on as far as it goes; nobody below may.
    let goes_on = present == Rung::Secondary;
    let may = |found: &PriceQuality| found.rung == Rung::Secondary && goes_on || near(found.value, reach, new.anchor);
    let own = with.own();
    let speaks = own.rung == Rung::Primary;
    let stays_disputed = speaks && own.state == QualityState::Disputed && present == Rung::Primary;
    let best = if with.quorum() || stays_disputed {
        own
    } else if let Some(found) = secondary.filter(may) {
        found
    } else if speaks {
        own
    } else if let Some(found) = with.lower(Rung::Guardian).filter(may) {
        found
    } else if let Some(found) = with.lower(Rung::Derived).filter(may) {
        found
    } else {
        said_last(&new, with)
    };

    let anchor = new.anchor;
    let is_better = |held: &PriceQuality| {
        best.rung < held.rung && (held.rung == Rung::Secondary || near(held.value, reach, anchor))
    };
    new.better_since = None;
    new.quality = match with.lower(present).filter(is_better) {
        Some(held) => {
            let since = old.better_since.unwrap_or(at);
            if with.params.breaker.calm.0 <= at.0 - since.0 {
                best
            } else {
                new.better_since = Some(since);
                if within(best.value, oracle.dispute, held.value) { held } else { against(held, best.value, None) }
            }
        }
        None => best,
    };
    if let Some(refused) = new.refused
        && new.quality.state != QualityState::None
    {
        let most = ceil(&(part(oracle.jump_max) * q(new.quality.value.0)));
        new.quality = against(new.quality, refused.value, Some(most));
    }
    let from_sources = new.quality.rung == Rung::Primary || new.quality.rung == Rung::Secondary;
    if from_sources && matches!(new.quality.state, QualityState::Agreed | QualityState::Degraded) {
        (new.anchor, new.anchor_at) = (new.quality.value, at);
    }
    new
}

/// Another price speaks against one.
fn against(price: PriceQuality, other: Price, most: Option<i128>) -> PriceQuality {
    let away = i128::from(price.value.0.abs_diff(other.0));
    let away = most.map_or(away, |most| away.min(most)).min(i64::MAX.into()) as i64;
    PriceQuality { state: QualityState::Disputed, confidence: Price(price.confidence.0.max(away)), ..price }
}

/// What serves where nobody speaks.
fn said_last(ladder: &Ladder, with: &Climb<'_>) -> PriceQuality {
    let own = with.panel(Rung::Primary).map(|panel| &panel.index);
    let other = with.panel(Rung::Secondary).map(|panel| &panel.index);
    let left = |index: &&Index| {
        index.quality.rung == Rung::LastGood && index.believed == ladder.anchor && index.believed_at == ladder.anchor_at
    };
    let last = own.filter(left).or(other.filter(left)).or(own).map_or(PriceQuality::NONE, |index| index.quality);
    let (oracle, detectors, at) = (&with.params.oracle, &with.params.detectors, with.at.0);
    let silent = at - ladder.anchor_at.0.max(0);
    let window = detectors.twap_window.0;
    // The coverage is kept in parts per 10^12, rounded down.
    let covered = floor(&(q(with.average.1) / q(window) * q(Ratio::ONE.0))).min(Ratio::ONE.0.into());
    let (Some(value), true) = (with.average.0, last.rung == Rung::LastGood && silent <= oracle.twap_max.0) else {
        return last;
    };
    if covered < detectors.twap_coverage_min.0.into() {
        return last;
    }
    // As wide as when the slot is over.
    let slot = (window / kernel::window::TWAP_SLOTS as i64).max(1);
    let over = (at.div_euclid(slot) + 1) * slot - ladder.anchor_at.0;
    let range = with.swing.map_or(0, |(low, high)| high.0 - low.0);
    let root = root(over, detectors.swing_window.0);
    let wandered = ceil(&(q(range) * q(root) / q(1_i64 << 16)));
    let away = i128::from(value.0.abs_diff(last.value.0));
    let width = (i128::from(last.confidence.0) + away + wandered).min(i64::MAX.into()) as i64;
    PriceQuality { value, confidence: Price(width), rung: Rung::Twap, ..last }
}

/// The root of the time in windows to 16 binary digits, rounded down.
fn root(elapsed: i64, window: i64) -> i128 {
    let fits = |root: i128| q(root * root) * q(window) <= q(elapsed) * q(1_i64 << 32);
    let (mut root, mut too_large) = (0_i128, 1_i128 << 40);
    while root + 1 < too_large {
        let middle = root.midpoint(too_large);
        if fits(middle) { root = middle } else { too_large = middle }
    }
    root
}
