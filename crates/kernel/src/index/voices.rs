//! The sources that speak in an evaluation, and what their prices have in common: shared weights, the weighted median, camps
//! and widths.

use protocol::params::{Lineages, OracleParams};
use protocol::{MarketParams, Panel};
use units::{Price, Ratio, Rounding, Timestamp};

/// A fresh source in an evaluation.
#[derive(Clone, Copy)]
pub(super) struct Voice {
    pub(super) price: Price,
    pub(super) confidence: Price,
    pub(super) published_at: Timestamp,
    pub(super) weight: u64,
    pub(super) lineage: u64,
    /// Its place in the list.
    pub(super) source: u8,
    /// Its prices are those of trades.
    pub(super) is_traded: bool,
}

pub(super) const SILENT: Voice = Voice {
    price: Price(0),
    confidence: Price(0),
    published_at: Timestamp(0),
    weight: 0,
    lineage: 0,
    source: 0,
    is_traded: false,
};

impl Voice {
    /// Its source as a bit.
    pub(super) const fn bit(&self) -> u16 {
        1 << (self.source & 15)
    }
}

/// Into how many parts a unit of weight is cut where a lineage has several sources: the least number that every count of
/// sources up to sixteen divides, so that equal feeds get equal shares.
pub(super) const PARTS: u64 = 720_720;

/// Makes the sources of one lineage that are present share the weight of the heaviest of them, in proportion to their
/// own and rounded down; what that leaves goes to the first listed, so that their voice is whole and a tie of two
/// lineages stays one. Returns the weight of all lineages listed, in the same unit.
pub(super) fn share_voices(panel: &Panel, present: &mut [&mut [Voice]]) -> u64 {
    if panel.lineages.shared == 0 {
        return panel.lineages.weight;
    }
    let voice_of = |set: u64| {
        let weights = || {
            panel.sources.iter().filter(|source| Lineages::bit(source) == set).map(|source| u64::from(source.weight))
        };
        weights().max().unwrap_or(0)
    };
    let lineages = (0..64).map(|bit| 1_u64 << bit).filter(|set| panel.lineages.all & set != 0);
    let total = lineages.clone().map(|set| voice_of(set) * PARTS).sum();
    for set in lineages {
        let voices = || present.iter().flat_map(|group| group.iter()).filter(|voice| voice.lineage == set);
        let (sum, heaviest) = voices().fold((0, 0), |(sum, most): (u64, u64), v| (sum + v.weight, most.max(v.weight)));
        let first = voices().map(|voice| voice.source).min();
        let whole = heaviest * PARTS;
        // No share is larger than the whole.
        let share = |voice: &Voice| {
            let parts = u128::from(voice.weight) * u128::from(whole) / u128::from(sum.max(1));
            u64::try_from(parts).unwrap_or(whole)
        };
        let others: u64 = voices().filter(|voice| Some(voice.source) != first).map(share).sum();
        let left = whole - others;
        for voice in present.iter_mut().flat_map(|group| group.iter_mut()).filter(|voice| voice.lineage == set) {
            voice.weight = if Some(voice.source) == first { left } else { share(voice) };
        }
    }
    total
}

/// The places of voices in order of what `key` says of them, ties as they stand. By counting, for each, who comes before it: nobody can guess how
/// prices lie, a branch predictor neither.
pub(super) fn rising<K: Copy + Ord + Default>(
    voices: &[Voice],
    key: impl Fn(&Voice) -> K,
) -> [u8; MarketParams::SOURCES_MAX] {
    let mut keys = [K::default(); MarketParams::SOURCES_MAX];
    let mut ranks = [0_u8; MarketParams::SOURCES_MAX];
    for (place, voice) in voices.iter().enumerate().take(MarketParams::SOURCES_MAX) {
        let own = key(voice);
        keys[place] = own;
        let mut after = 0;
        for (other, rank) in keys[..place].iter().zip(&mut ranks[..place]) {
            let is_after = u8::from(own < *other);
            *rank += is_after;
            after += is_after;
        }
        ranks[place] = u8::try_from(place).unwrap_or(u8::MAX) - after;
    }
    let mut order = [0; MarketParams::SOURCES_MAX];
    for (place, rank) in (0..).zip(&ranks).take(voices.len()) {
        order[usize::from(*rank) % MarketParams::SOURCES_MAX] = place;
    }
    order
}

/// Keeps `sorted[..len]` in order of price, ties in order of listing.
pub(super) fn insert(sorted: &mut [Voice; MarketParams::SOURCES_MAX], len: usize, voice: Voice) {
    let mut i = len;
    while 0 < i && voice.price < sorted[i - 1].price {
        sorted[i] = sorted[i - 1];
        i -= 1;
    }
    sorted[i] = voice;
}

pub(super) fn median(voices: &[Voice], oracle: &OracleParams) -> Option<Price> {
    let first = weighted_median(voices)?;
    let near = |voice: &Voice| voice.price.within(oracle.dispute, first);
    // Mostly nobody is far, which the lowest and the highest say.
    if voices.first().is_some_and(near) && voices.last().is_some_and(near) {
        return Some(first);
    }
    let start = voices.iter().position(near);
    let end = voices.iter().rposition(near);
    match (start, end) {
        (Some(start), Some(end)) => weighted_median(voices.get(start..=end)?),
        // Two halves far apart, with the midpoint in nobody's reach.
        (None, _) | (_, None) => Some(first),
    }
}

/// The weighted median of prices in rising order, as the module's documentation defines it; `None` of nothing.
pub(super) fn weighted_median(voices: &[Voice]) -> Option<Price> {
    let total: u64 = voices.iter().map(|voice| voice.weight).sum();
    let mut below: u64 = 0;
    let mut voices = voices.iter();
    while let Some(voice) = voices.next() {
        below += voice.weight;
        if total < below * 2 {
            return Some(voice.price);
        }
        if total == below * 2 {
            return Some(voices.next().map_or(voice.price, |next| voice.price.midpoint(next.price)));
        }
    }
    None
}

/// Who stands by a value: within the agreement limit of it.
pub(super) struct Camp {
    /// Their weight.
    pub(super) supporting: u64,
    /// Their independent lineages.
    pub(super) supporters: u8,
    /// Who they are, as bits.
    pub(super) members: u16,
    /// The lowest of their prices and the highest; of nobody, upside down.
    pub(super) low: Price,
    pub(super) high: Price,
}

impl Camp {
    pub(super) fn around<'a>(value: Price, voices: impl Iterator<Item = &'a Voice>, oracle: &OracleParams) -> Camp {
        let mut camp = Camp { supporting: 0, supporters: 0, members: 0, low: Price(i64::MAX), high: Price(i64::MIN) };
        let mut lineages = 0_u64;
        for voice in voices.filter(|voice| voice.price.within(oracle.agree, value)) {
            camp.supporting += voice.weight;
            lineages |= voice.lineage;
            camp.members |= voice.bit();
            camp.low = camp.low.min(voice.price);
            camp.high = camp.high.max(voice.price);
        }
        camp.supporters = u8::try_from(lineages.count_ones()).unwrap_or(u8::MAX);
        camp
    }
}

/// How many independent lineages speak.
pub(super) fn lineages_of<'a>(voices: impl Iterator<Item = &'a Voice>) -> u8 {
    let set = voices.fold(0_u64, |set, voice| set | voice.lineage);
    u8::try_from(set.count_ones()).unwrap_or(u8::MAX)
}

/// Prices from which nobody may be too far without contradicting them.
#[derive(Clone, Copy)]
pub(super) struct Contradiction {
    /// The lowest of them.
    pub(super) low: Price,
    /// The highest.
    pub(super) high: Price,
    /// How far apart prices may lie.
    pub(super) limit: i128,
}

impl Contradiction {
    /// The lowest and the highest of two groups, each in order of price.
    pub(super) fn between(voices: &[Voice], unconfirmed: &[Voice]) -> Contradiction {
        let ends = [voices.first(), voices.last(), unconfirmed.first(), unconfirmed.last()];
        let prices = || ends.iter().flatten().map(|voice| voice.price);
        let (low, high) = (prices().min(), prices().max());
        Contradiction { low: low.unwrap_or(Price(i64::MAX)), high: high.unwrap_or(Price(i64::MIN)), limit: 0 }
    }

    /// Whether a price lies too far from one of them.
    pub(super) fn holds(&self, price: Price) -> bool {
        let away = |high: Price, low: Price| i128::from(high.0) - i128::from(low.0);
        self.limit < away(self.high, price).max(away(price, self.low))
    }

    /// Whether one of them lies too far from another.
    pub(super) fn is_wide(&self) -> bool {
        self.holds(self.low)
    }
}

/// What of `value` trades bear out: it, moved to between the lowest and the highest traded price; and when the newest of those
/// that are `near` was published, or of all of them where none is. `None` where nobody names a traded price.
pub(super) fn traded(value: Price, voices: &[Voice], near: &[Voice]) -> Option<(Price, Timestamp)> {
    let low = voices.iter().find(|voice| voice.is_traded)?.price;
    let high = voices.iter().rfind(|voice| voice.is_traded)?.price;
    let newest = |of: &[Voice]| of.iter().filter(|voice| voice.is_traded).map(|voice| voice.published_at).max();
    Some((value.max(low).min(high), newest(near).or_else(|| newest(voices))?))
}

/// Of voices in order of price those within `limit`, the dispute's, of `value`.
pub(super) fn near(value: Price, limit: u64, voices: &[Voice]) -> &[Voice] {
    let is_near = |voice: &Voice| voice.price.0.abs_diff(value.0) <= limit;
    // Mostly everybody.
    let start = voices.iter().position(is_near).unwrap_or(voices.len());
    let end = voices.iter().rposition(is_near).map_or(start, |last| last + 1);
    voices.get(start..end).unwrap_or(&[])
}

/// How far unconfirmed jumps make `value` doubtful: to where they jumped, but no farther than a price may step that needs no
/// confirmation.
pub(super) fn claims(value: Price, unconfirmed: &[Voice], oracle: &OracleParams) -> Price {
    let most = oracle.jump_max.of(i128::from(value.0), Rounding::Down).and_then(|most| i64::try_from(most).ok());
    let most = most.map_or(Price(i64::MAX), Price);
    spread(value, unconfirmed.iter()).min(most)
}

/// `limit` of `value`, rounded down.
pub(super) fn limit_of(limit: Ratio, value: Price) -> i128 {
    limit.of(i128::from(value.0), Rounding::Down).unwrap_or(0)
}

/// The half-width around `value` that holds every voice and its own claim.
pub(super) fn spread<'a>(value: Price, voices: impl Iterator<Item = &'a Voice>) -> Price {
    let widest = voices
        .map(|voice| voice.price.distance(value).saturating_add(i128::from(voice.confidence.0)))
        .max()
        .unwrap_or(0);
    Price(i64::try_from(widest).unwrap_or(i64::MAX))
}

/// The smallest half-width that holds more than half of the weight of those that are near, and as many of their lineages as an agreed
/// price needs, each with its own claim: no minority makes it wider, and no heavy one narrower.
pub(super) fn typical_reach(value: Price, near: &[Voice], oracle: &OracleParams) -> Price {
    let reach = |voice: &Voice| voice.price.0.abs_diff(value.0).saturating_add(voice.confidence.0.unsigned_abs());
    let total: u64 = near.iter().map(|voice| voice.weight).sum();
    let needed = lineages_of(near.iter()).min(oracle.lineages_min);
    let (mut held, mut spoken) = (0, 0_u64);
    for place in rising(near, reach).iter().take(near.len()) {
        let Some(voice) = near.get(usize::from(*place)) else { break };
        held += voice.weight;
        spoken |= voice.lineage;
        if total < held * 2 && u32::from(needed) <= spoken.count_ones() {
            return Price(i64::try_from(reach(voice)).unwrap_or(i64::MAX));
        }
    }
    Price(0)
}

pub(super) fn share(part: u64, whole: u64) -> Ratio {
    Ratio::of_parts(i128::from(part), i128::from(whole), Rounding::Down).unwrap_or(Ratio::ZERO)
}
