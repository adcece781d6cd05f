//! Panels, units and the fallback ladder, written from what their documentation says.

use super::exact::{Q, ceil, floor, part, q, within};
use super::oracle::step_limit;
use kernel::index::{Adrift, Denomination, Index, Source};
use kernel::ladder::Ladder;
use protocol::params::SourceParams;
use protocol::{MarketId, MarketParams, PriceQuality, QualityState, Rung, SourceId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use units::{Duration, Price, Ratio, Timestamp};

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
pub(super) type Worth = BTreeMap<MarketId, Option<(Q, Q, Timestamp)>>;

/// What the price of a market is worth as a unit.
pub(super) fn worth(quality: &PriceQuality, params: &MarketParams, at: Timestamp) -> Option<(Q, Q, Timestamp)> {
    let sure = (quality.state == QualityState::Agreed || quality.state == QualityState::Degraded)
        && (quality.rung == Rung::Primary || quality.rung == Rung::Secondary);
    let listed: BTreeSet<u8> = params.sources.iter().filter(|s| s.rung == Rung::Primary).map(|s| s.lineage.0).collect();
    let sure = sure && listed.len().min(params.oracle.lineages_min.into()) <= usize::from(quality.lineages);
    let usd = |price: Price| q(price.0) * q(10_i128.pow(params.scale.price_shift().into())) / q(1_000_000_000_000_i64);
    sure.then(|| (usd(quality.value), usd(quality.confidence), Timestamp(at.0 - quality.age.0)))
}

/// What a source said last, in USD: rounded down, its width up. Returns whether that is another price than before.
pub(super) fn convert(source: &mut Source, listing: &SourceParams, worth: &Worth, denomination: &Denomination) -> bool {
    let before = (source.price, source.confidence);
    let narrow = |wide: i128| i64::try_from(wide).ok().map(Price);
    let said_at = listing.quote.and_then(|unit| worth.get(&unit).cloned().flatten()).map(|(_, _, at)| at);
    source.unit_at = said_at.unwrap_or(Timestamp::MAX);
    let parts = if source.published_at < denomination.since { denomination.before } else { denomination.after };
    let listed = |price: Price| q(price.0) * q(parts.of) / q(parts.per);
    let whole = |wide: i128| Price(wide.clamp(i64::MIN.into(), i64::MAX.into()) as i64);
    let quoted = (whole(floor(&listed(source.quoted))), whole(ceil(&listed(source.quoted_confidence))));
    (source.price, source.confidence) = match listing.quote {
        None => quoted,
        Some(unit) => match worth.get(&unit).cloned().flatten() {
            None => (Price(0), Price(0)),
            Some((value, doubt, _)) => {
                let price = narrow(floor(&(q(quoted.0.0) * &value)));
                let own = ceil(&(q(quoted.1.0) * &value));
                let others = ceil(&(q(quoted.0.0) * &doubt)).max(0);
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
    /// Of the same window.
    pub(super) median: Option<Price>,
    pub(super) swing: Option<(Price, Price)>,
    pub(super) at: Timestamp,
}

impl Climb<'_> {
    fn panel(&self, rung: Rung) -> Option<&Panel> {
        self.panels.iter().find(|panel| panel.rung == rung)
    }

    /// What a lower panel's fresh sources say, as wide as its rung asks for at least.
    fn says(&self, rung: Rung) -> Option<PriceQuality> {
        let found = self.panel(rung)?.index.quality;
        let oracle = &self.params.oracle;
        let share = if rung == Rung::Derived { oracle.derived_haircut } else { oracle.fallback_confidence };
        let least = ceil(&(part(share) * q(found.value.0))).min(i64::MAX.into()) as i64;
        (found.rung == Rung::Primary).then(|| PriceQuality {
            rung,
            confidence: Price(found.confidence.0.max(least)),
            ..found
        })
    }

    /// Likewise if they are enough, and agree.
    fn agree(&self, rung: Rung) -> Option<PriceQuality> {
        self.says(rung).filter(|found| found.state == QualityState::Agreed)
    }

    /// What the market's own fresh sources say.
    fn own(&self) -> Option<PriceQuality> {
        self.panel(Rung::Primary).map(|panel| panel.index.quality).filter(|own| own.rung == Rung::Primary)
    }

    /// Whether sources of a panel say different things; too few that wait to be believed don't.
    fn quarrels(&self, rung: Rung) -> bool {
        self.panel(rung).is_some_and(|panel| {
            let index = &panel.index;
            index.quality.rung == Rung::Primary
                && index.quality.state == QualityState::Disputed
                && (index.adrift.is_none() || index.leapt != Price(0))
                && enough_of(panel) <= usize::from(index.heard)
        })
    }

    /// As many of the market's own lineages as are asked for, or listed, say the same.
    fn quorum(&self) -> bool {
        let enough = self.panel(Rung::Primary).map_or(0, enough_of);
        let agree = |own: &PriceQuality| own.state == QualityState::Agreed || own.state == QualityState::Degraded;
        self.own().filter(agree).is_some_and(|own| enough <= usize::from(own.lineages))
    }

    /// One price says that another is wrong: by more than a dispute is, and more than it is wide itself.
    fn rules_out(&self, other: &PriceQuality, value: Price) -> bool {
        let away = value.0.abs_diff(other.value.0);
        !within(value, self.params.oracle.dispute, other.value) && other.confidence.0.unsigned_abs() < away
    }
}

/// The lineages that it takes to agree, or as many as are listed.
fn enough_of(panel: &Panel) -> usize {
    let listed: BTreeSet<u8> = panel.params.sources.iter().map(|source| source.lineage.0).collect();
    listed.len().min(panel.params.oracle.lineages_min.into())
}

/// The ladder after a look; its deadline is not computed. Once more where a new price may bear out another. Of the clocks
/// `unseen` does not count.
pub(super) fn climb(old: &Ladder, with: &Climb<'_>, unseen: i64) -> Ladder {
    let later = |since: Timestamp| Timestamp(since.0 + unseen);
    let refused = old.refused.map(|refused| Adrift { since: later(refused.since), ..refused });
    let old = Ladder { better_since: old.better_since.map(later), refused, ..*old };
    let first = step(&old, with);
    if first.anchor == old.anchor || with.panels.len() == 1 { first } else { step(&first, with) }
}

fn step(old: &Ladder, with: &Climb<'_>) -> Ladder {
    let (oracle, at) = (&with.params.oracle, with.at);
    let mut new = *old;
    // The time is counted in whole slots of the average.
    let slot = (with.params.detectors.twap_window.0 / kernel::window::TWAP_SLOTS as i64).max(1);
    let reach = step_limit(oracle, i128::from(at.0 - at.0.rem_euclid(slot)) - i128::from(old.anchor_at.0));
    let near =
        |found: &PriceQuality, ladder: &Ladder| ladder.anchor != Price(0) && within(found.value, reach, ladder.anchor);
    let own = with.own();
    let secondary = with.agree(Rung::Secondary);
    // Below the secondary set: those who may serve, and whether they rule a price out.
    let rules_out = |rung: Rung, value: Price, ladder: &Ladder| {
        let found = with.agree(rung).filter(|found| near(found, ladder));
        found.filter(|found| with.rules_out(found, value))
    };

    // Quarrels among its own are waited out, unless something else serves already.
    let waits = with.quarrels(Rung::Primary) && old.quality.rung == Rung::Primary;
    new.refused = None;
    let asked = !with.quorum() && !waits && old.anchor != Price(0) && old.quality.rung != Rung::Secondary;
    if let Some(found) = secondary.filter(|_| asked) {
        let veto = rules_out(Rung::Guardian, found.value, old).is_some();
        let lone = own.filter(|own| own.state == QualityState::Degraded);
        let objection = lone.is_some_and(|own| with.rules_out(&own, found.value))
            || rules_out(Rung::Derived, found.value, old).is_some();
        if veto || objection || !near(&found, old) {
            let goes_on = old.refused.filter(|last| !veto && within(found.value, oracle.dispute, last.value));
            let since = goes_on.map_or(at, |last| last.since);
            if !veto && oracle.dispute_confirm.0 <= at.0 - since.0 {
                (new.anchor, new.anchor_at, new.quality) = (found.value, at, found);
            } else {
                new.refused = Some(Adrift { value: found.value, since });
            }
        }
    }

    // A secondary set that serves may go on as far as it goes; nobody below may, who is as wide as it is from what was said.
    let serves = new.quality.rung == Rung::Secondary;
    let lower = |rung: Rung| {
        let found = with.agree(rung).filter(|found| near(found, &new))?;
        let away = found.value.0.abs_diff(new.anchor.0).min(i64::MAX as u64) as i64;
        Some(PriceQuality { confidence: Price(found.confidence.0.max(away)), ..found })
    };
    let contested = |found: PriceQuality, other: Option<PriceQuality>| match other {
        Some(other) => against(found, other.value, None),
        None => found,
    };
    let believed = secondary.filter(|found| new.refused.is_none() && (serves || near(found, &new)));
    let quarrel = with.says(Rung::Secondary).filter(|_| serves && with.quarrels(Rung::Secondary));
    let lone = own.filter(|own| own.state == QualityState::Degraded);
    let lone = lone.filter(|own| rules_out(Rung::Guardian, own.value, &new).is_none());
    let best = match own {
        // Whom the market lists alone may be wrong, where those who are enough say so.
        Some(own) if with.quorum() || waits => {
            let set = secondary.filter(|found| with.rules_out(found, own.value));
            let other = set.or_else(|| rules_out(Rung::Guardian, own.value, &new));
            contested(own, other.filter(|_| own.state == QualityState::Degraded))
        }
        _ => {
            if let Some(found) = believed {
                contested(found, rules_out(Rung::Guardian, found.value, &new))
            } else if let Some(found) = quarrel {
                found
            } else if let Some(own) = lone {
                // So does one of the second set, though it is only one.
                let one = with.says(Rung::Secondary).filter(|one| with.rules_out(one, own.value));
                contested(own, one.or_else(|| rules_out(Rung::Derived, own.value, &new)))
            } else if let Some(found) = lower(Rung::Guardian).or_else(|| lower(Rung::Derived)) {
                contested(found, own.filter(|own| with.rules_out(own, found.value)))
            } else if let Some(own) = own {
                own
            } else {
                let few = with.says(Rung::Secondary);
                let few = few.filter(|few| new.refused.is_none() && (serves || near(few, &new)));
                let few = few.filter(|_| !with.quarrels(Rung::Secondary));
                // What was said before says that too few who are elsewhere are wrong.
                let elsewhere =
                    |few: &PriceQuality| new.anchor != Price(0) && !within(few.value, oracle.dispute, new.anchor);
                // As long as that would serve itself.
                let lasts = at.0 <= new.anchor_at.0.saturating_add(oracle.last_good_max.0);
                let few = few.map(|few| if lasts && elsewhere(&few) { against(few, new.anchor, None) } else { few });
                few.unwrap_or_else(|| said_last(&new, with))
            }
        }
    };

    let held = match new.quality.rung {
        Rung::Secondary => {
            let calm = with.says(Rung::Secondary).filter(|found| found.state != QualityState::Disputed);
            calm.or_else(|| with.says(Rung::Secondary).filter(|_| with.quarrels(Rung::Secondary)))
        }
        Rung::Guardian => lower(Rung::Guardian),
        Rung::Derived => lower(Rung::Derived),
        Rung::Primary | Rung::Twap | Rung::LastGood | Rung::None => None,
    };
    new.better_since = None;
    new.quality = match held.filter(|held| best.rung < held.rung) {
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
    // Whole sets that went somewhere else at once, against what is worth less than they.
    let serving = new.quality;
    let leapt = |rung: Rung| {
        let leapt = with.panel(rung).map(|panel| panel.index.leapt).filter(|leapt| *leapt != Price(0))?;
        (!within(serving.value, oracle.dispute, leapt)).then_some(leapt)
    };
    let primary = serving.rung == Rung::Primary;
    let own = leapt(Rung::Primary).filter(|_| !primary);
    let sure = primary && serving.state == QualityState::Agreed;
    let set = leapt(Rung::Secondary).filter(|_| !sure && serving.rung != Rung::Secondary);
    if let Some(leapt) = own.or(set)
        && serving.state != QualityState::None
    {
        new.quality = against(new.quality, leapt, None);
    }
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
    let (oracle, detectors, at) = (&with.params.oracle, &with.params.detectors, with.at.0);
    let silent = at - ladder.anchor_at.0.max(0);
    if ladder.anchor == Price(0) || oracle.last_good_max.0 < silent {
        return PriceQuality::NONE;
    }
    // The market's own sources may say something that nobody has confirmed yet.
    let own = with.panel(Rung::Primary).map(|panel| panel.index.quality).filter(|own| own.rung == Rung::LastGood);
    let last = PriceQuality {
        value: ladder.anchor,
        confidence: own.map_or(Price(0), |own| own.confidence),
        age: Duration(silent),
        coverage: Ratio(0),
        lineages: 0,
        state: own.map_or(QualityState::Degraded, |own| own.state),
        rung: Rung::LastGood,
    };
    let window = detectors.twap_window.0;
    // The coverage is kept in parts per 10^12, rounded down.
    let covered = floor(&(q(with.average.1) / q(window) * q(Ratio::ONE.0))).min(Ratio::ONE.0.into());
    let (Some(value), true) = (with.median, silent <= oracle.twap_max.0) else {
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
