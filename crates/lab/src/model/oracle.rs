//! The index, its averages and the detectors, written from what their documentation says.

use super::Market;
use super::exact::{Q, ceil, floor, part, q, within};
use super::ladder::Worth;
use kernel::detect::DETECTORS;
use kernel::index::{Adrift, Denomination, Index, Source, Standing};
use kernel::mark::Mark;
use kernel::stable::Stable;
use protocol::input::{BookTop, ChainHealth, Observation};
use protocol::params::{BreakerParams, DetectorParams, OracleParams, SourceParams, Thresholds};
use protocol::quality::Exclusion;
use protocol::{Action, MarketParams, Mode, PriceQuality, QualityState, Reject, Restriction, Rung, SourceKind};
use std::collections::{BTreeMap, VecDeque};
use units::{Duration, Price, Ratio, Timestamp};

/// Upper edges of the half-octaves in which silences are counted, milliseconds, with their bucket.
fn edge_millis(bucket: usize) -> i64 {
    let octave = 1_i64 << (bucket / 2);
    match bucket {
        0 | 1 => 2,
        even if even % 2 == 0 => octave * 3 / 2,
        _ => octave * 2,
    }
}

fn one_and_a_half(heartbeat: Duration) -> i64 {
    heartbeat.0 + heartbeat.0 / 2
}

/// How old a price may be.
fn age_max(listing: &SourceParams, oracle: &OracleParams) -> i64 {
    oracle.age_max.0.max(one_and_a_half(listing.heartbeat))
}

/// How far a price may step after so long: by the largest integer, with 16 binary digits, whose square is no more than the
/// time in windows; from one to five.
pub(super) fn step_limit(oracle: &OracleParams, elapsed: i128) -> Ratio {
    let elapsed = elapsed.max(0);
    let fits = |root: i128| q(root * root) * q(oracle.jump_window.0) <= q(elapsed) * q(1_i64 << 32);
    let (mut root, mut too_large) = (1_i128 << 16, 5_i128 << 16);
    if fits(too_large) {
        root = too_large;
    }
    while root + 1 < too_large {
        let middle = root.midpoint(too_large);
        if fits(middle) { root = middle } else { too_large = middle }
    }
    Ratio(floor(&(q(oracle.jump_max.0) * q(root) / q(1_i64 << 16))) as i64)
}

/// Why a source's newest observation would be left out by the filters, in their order.
fn filtered(source: &Source, listing: &SourceParams, oracle: &OracleParams) -> Option<Exclusion> {
    let unsure = |width: Price, price: Price| q(width.0) > part(oracle.confidence_max) * q(price.0);
    let uncertain = unsure(source.quoted_confidence, source.quoted);
    // What is only its unit's doubt is not its own.
    let unconverted = source.price.0 <= 0 || !uncertain && unsure(source.confidence, source.price);
    let ahead = source.published_at.0.saturating_sub(source.received_at.0);
    let silent = i128::from(source.published_at.0) - i128::from(source.settled_at.0);
    let limit = step_limit(oracle, if source.exclusion == Some(Exclusion::Jump) { 0 } else { silent });
    let jumped = source.settled != Price(0) && !within(source.price, limit, source.settled);
    [
        (source.quoted.0 <= 0, Exclusion::NonPositive),
        (oracle.future_max.0 < ahead, Exclusion::Future),
        (source.quoted <= listing.price_min || listing.price_max <= source.quoted, Exclusion::StuckAtBound),
        (unconverted, Exclusion::Unconverted),
        (uncertain, Exclusion::Uncertain),
        (source.is_late, Exclusion::Delayed),
        (jumped, Exclusion::Jump),
    ]
    .into_iter()
    .find_map(|(fails, exclusion)| fails.then_some(exclusion))
}

/// Files an observation, as [`kernel::index::Index::observe`] says.
pub(super) fn observe(
    index: &mut Index,
    seen: &Observation,
    place: usize,
    params: &MarketParams,
    worth: &Worth,
    at: Timestamp,
) -> Result<(), Reject> {
    let (Some(source), Some(listing)) = (index.sources.get_mut(place), params.sources.get(place)) else {
        return Err(Reject::UnknownSource);
    };
    if seen.confidence.0 < 0 {
        return Err(Reject::OutOfRange);
    }
    if seen.received_at > at {
        return Err(Reject::ReceivedAfterBatch);
    }
    let from_the_future = params.oracle.future_max.0 < source.published_at.0.saturating_sub(source.received_at.0);
    let older = seen.published_at < source.published_at && !from_the_future;
    if seen.received_at < source.received_at || older {
        return Err(Reject::OutOfOrder);
    }
    let until = source.fresh_until.0;
    if until < seen.received_at.0 {
        // Nobody knows where it stood while it was silent, nor where anybody did after the last look held.
        falls_silent(source, until.min(index.deadline.0.saturating_add(1)));
    }
    let first = source.received_at == Timestamp::MIN;
    let silence = if first { 0 } else { seen.received_at.0 - source.received_at.0 };
    if 0 < silence && source.fresh_until != Timestamp::MIN {
        source.gaps.counts[bucket_of(silence)] += 1;
        source.gaps.total += 1;
    }
    let bounded = usual(&source.gaps).unwrap_or(0).max(params.oracle.silence_floor.0).min(params.oracle.age_max.0);
    let by_receipt = seen.received_at.0.saturating_add(bounded.max(one_and_a_half(listing.heartbeat)));
    let by_age = seen.published_at.0.saturating_add(age_max(listing, &params.oracle));
    source.fresh_until = Timestamp(by_receipt.min(by_age));
    if seen.price != source.quoted {
        source.changed_at = seen.received_at;
    }
    (source.quoted, source.quoted_confidence) = (seen.price, seen.confidence);
    // Of what was said before nobody learns how long news are under way.
    let is_new = source.published_at != seen.published_at || source.received_at == Timestamp::MIN;
    (source.published_at, source.received_at) = (seen.published_at, seen.received_at);
    super::ladder::convert(source, listing, worth, &index.denomination);
    // Later than all but one in a thousand before it, and than the floor.
    let delay = (seen.received_at.0.saturating_sub(seen.published_at.0)).max(0);
    let late = usual(&source.delays).is_some_and(|usual| usual.max(params.oracle.silence_floor.0) < delay);
    // For long without a break it is usual.
    let since = if source.late_since == Timestamp::MIN { source.received_at } else { source.late_since };
    if is_new {
        source.late_since = if late { since } else { Timestamp::MIN };
        source.is_late = late && source.received_at.0 - since.0 < params.oracle.dispute_confirm.0;
        source.delays.counts[bucket_of(delay)] += 1;
        source.delays.total += 1;
    }
    judge(source, listing, params);
    Ok(())
}

/// The bucket of a span, by looking for the first edge above it.
fn bucket_of(span: i64) -> usize {
    let millis = span / 1_000;
    let bucket = (0..kernel::index::GAP_BUCKETS).find(|bucket| *bucket != 1 && millis < edge_millis(*bucket));
    bucket.unwrap_or(kernel::index::GAP_BUCKETS - 1)
}

/// The longest edge that more than one in a thousand of what was learned reaches; `None` before anything was.
fn usual(learned: &kernel::index::Gaps) -> Option<i64> {
    let counts = learned.counts.map(u64::from);
    let total: u64 = counts.iter().sum();
    let mut reached = 0;
    let typical = (0..kernel::index::GAP_BUCKETS).rev().find(|bucket| {
        reached += counts[*bucket];
        total < reached * 1_000
    });
    typical.map(|bucket| edge_millis(bucket) * 1_000)
}

/// Takes what is published from `said.at` on for the price of another number of units, what was heard already among it. What is
/// in a unit follows when that is known.
pub(super) fn redenominate(index: &mut Index, params: &MarketParams, denomination: Denomination) {
    index.denomination = denomination;
    index.rebased = true;
    index.adrift = None;
    for (source, listing) in index.sources.iter_mut().zip(&params.sources) {
        let spoke = source.received_at != Timestamp::MIN && listing.quote.is_none();
        if spoke && super::ladder::convert(source, listing, &Worth::new(), &denomination) {
            judge(source, listing, params);
        }
    }
}

/// Takes the newest prices into USD anew; who says another one by that is judged again.
pub(super) fn convert(index: &mut Index, params: &MarketParams, worth: &Worth) {
    for (source, listing) in index.sources.iter_mut().zip(&params.sources) {
        let spoke = source.received_at != Timestamp::MIN;
        let denomination = &index.denomination;
        if spoke && listing.quote.is_some() && super::ladder::convert(source, listing, worth, denomination) {
            judge(source, listing, params);
        }
    }
}

/// Takes the newest observation in or leaves it out.
fn judge(source: &mut Source, listing: &SourceParams, params: &MarketParams) {
    let found = filtered(source, listing, &params.oracle);
    if found.is_none() {
        source.settled = source.price;
        source.settled_at = source.settled_at.max(source.published_at);
    }
    let was = source.exclusion;
    if was == Some(Exclusion::Overruled) {
        return;
    }
    source.exclusion = found;
    let goes_on = match found {
        None => true,
        Some(Exclusion::Jump) => was == found && within(source.price, params.oracle.jump_max, source.claimed),
        Some(_) => was.is_some_and(|was| was != Exclusion::Jump),
    };
    if !goes_on {
        source.excluded_since = source.received_at;
        source.claimed = if found == Some(Exclusion::Jump) { source.price } else { source.claimed };
    } else if found == Some(Exclusion::Jump)
        && params.oracle.jump_confirm.0 <= source.received_at.0 - source.excluded_since.0
    {
        (source.settled, source.exclusion) = (source.price, None);
        source.settled_at = source.settled_at.max(source.published_at);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stand {
    Apart,
    With,
    Against,
}

/// A source stands nowhere from `until` on.
pub(super) fn falls_silent(source: &mut Source, until: i64) {
    if let Standing::Against(since) = source.standing {
        source.contradicted = Duration(source.contradicted.0 + (until - since.0).max(0));
        source.contradicted_until = Timestamp(until);
    }
    source.standing = Standing::Apart;
}

/// How long a source has been contradicted that `value` contradicts at `at`.
fn contradicted_for(source: &Source, value: Price, at: Timestamp, oracle: &OracleParams) -> i64 {
    let (running, since_then) = match source.standing {
        Standing::Against(since) => (at.0 - since.0, 0),
        Standing::Apart | Standing::With(_) => (0, at.0.saturating_sub(source.contradicted_until.0)),
    };
    let other_lie = !within(value, oracle.dispute, source.refuted_by);
    if other_lie || oracle.dispute_confirm.0 <= since_then { 0 } else { source.contradicted.0 + running }
}

/// What a source's standing becomes at `at`.
fn stand(source: &mut Source, stand: Stand, value: Price, at: Timestamp, oracle: &OracleParams) {
    match (stand, source.standing) {
        (Stand::Against, was) => {
            let clock = contradicted_for(source, value, at, oracle);
            let goes_on = matches!(was, Standing::Against(_)) && clock != 0;
            if !goes_on {
                (source.contradicted, source.standing) = (Duration(clock), Standing::Against(at));
            }
            source.refuted_by = value;
        }
        (Stand::With, Standing::With(_)) => {}
        (Stand::With, Standing::Apart | Standing::Against(_)) => {
            falls_silent(source, at.0);
            source.standing = Standing::With(at);
        }
        (Stand::Apart, _) => falls_silent(source, at.0),
    }
}

/// Hears an overruled source as if nothing had been.
fn readmit(source: &mut Source) {
    (source.settled, source.exclusion) = (source.price, None);
    source.settled_at = source.settled_at.max(source.published_at);
    (source.standing, source.contradicted) = (Standing::Apart, Duration(0));
}

/// Likewise, but without anybody who says the same: what would be a jump is one.
fn speaks_again(source: &mut Source, listing: &SourceParams, oracle: &OracleParams) {
    let jumps = filtered(source, listing, oracle) == Some(Exclusion::Jump);
    let settled = (source.settled, source.settled_at);
    readmit(source);
    if jumps {
        (source.settled, source.settled_at) = settled;
        source.claimed = source.price;
        (source.exclusion, source.excluded_since) = (Some(Exclusion::Jump), source.received_at);
    }
}

/// A source that is heard.
#[derive(Clone, Copy)]
struct Voice {
    place: usize,
    price: Price,
    confidence: Price,
    published_at: Timestamp,
    /// Also what its unit is worth.
    known_at: Timestamp,
    /// Whether its price changed within the time that a price may be old.
    moving: bool,
    weight: u64,
    lineage: u8,
    /// Whether it names prices of trades.
    traded: bool,
}

/// A unit of weight in parts, where a lineage has several sources.
const PARTS: u64 = 720_720;

/// One voice a lineage, that of its heaviest source present, shared in proportion to weight: in whole parts, and what is
/// left over to the first.
fn share(voices: &mut [Voice], params: &MarketParams) {
    let lineages: std::collections::BTreeSet<u8> = params.sources.iter().map(|source| source.lineage.0 % 64).collect();
    if lineages.len() == params.sources.len() {
        return;
    }
    for lineage in lineages {
        let mut feeds: Vec<&mut Voice> = voices.iter_mut().filter(|voice| voice.lineage == lineage).collect();
        feeds.sort_by_key(|voice| voice.place);
        let sum: u64 = feeds.iter().map(|voice| voice.weight).sum();
        let whole = PARTS * feeds.iter().map(|voice| voice.weight).max().unwrap_or(0);
        let mut left = whole;
        for voice in feeds.iter_mut().skip(1) {
            voice.weight = floor(&(q(whole) * q(voice.weight) / q(sum))) as u64;
            left -= voice.weight;
        }
        if let Some(first) = feeds.first_mut() {
            first.weight = left;
        }
    }
}

/// The weight of all lineages listed, in the unit of [`share`].
fn listed(params: &MarketParams) -> u64 {
    let mut voices: std::collections::BTreeMap<u8, u64> = std::collections::BTreeMap::new();
    for source in &params.sources {
        let voice = voices.entry(source.lineage.0 % 64).or_default();
        *voice = (*voice).max(source.weight.into());
    }
    let unit = if voices.len() == params.sources.len() { 1 } else { PARTS };
    voices.values().sum::<u64>() * unit
}

/// The weighted median: where the cumulative weight meets exactly half, the midpoint of the prices around it.
fn weighted_median(voices: &[Voice]) -> Option<Price> {
    let total: u64 = voices.iter().map(|voice| voice.weight).sum();
    let mut prices: Vec<Price> = voices.iter().map(|voice| voice.price).collect();
    prices.sort();
    let up_to =
        |price: Price| voices.iter().filter(|voice| voice.price <= price).map(|voice| voice.weight).sum::<u64>();
    let middle = *prices.iter().find(|price| total <= 2 * up_to(**price))?;
    if 2 * up_to(middle) == total {
        let above = prices.iter().find(|price| middle < **price)?;
        return Some(Price(floor(&((q(middle.0) + q(above.0)) / q(2))) as i64));
    }
    Some(middle)
}

/// Taken over everyone, and again over those within the dispute limit of the first.
fn median(voices: &[Voice], oracle: &OracleParams) -> Option<Price> {
    let first = weighted_median(voices)?;
    let near: Vec<Voice> = voices.iter().filter(|voice| within(voice.price, oracle.dispute, first)).copied().collect();
    Some(weighted_median(&near).unwrap_or(first))
}

fn camp(value: Price, voices: &[Voice], oracle: &OracleParams) -> (u64, u8) {
    let camp: Vec<&Voice> = voices.iter().filter(|voice| within(voice.price, oracle.agree, value)).collect();
    let lineages: std::collections::BTreeSet<u8> = camp.iter().map(|voice| voice.lineage).collect();
    (camp.iter().map(|voice| voice.weight).sum(), lineages.len() as u8)
}

/// How wide it must be around the value to hold a voice and its claim.
fn width(value: Price, voice: &Voice) -> i128 {
    (i128::from(voice.price.0) - i128::from(value.0)).abs() + i128::from(voice.confidence.0)
}

/// The width that holds more than half of the weight, and as many lineages as an agreed price needs where there are as many:
/// the voices are taken in from the nearest on until both are reached.
fn confidence(value: Price, near: &[Voice], oracle: &OracleParams) -> Price {
    let mut from_the_nearest: Vec<&Voice> = near.iter().collect();
    from_the_nearest.sort_by_key(|voice| width(value, voice));
    let count = |voices: &[&Voice]| {
        let lineages: std::collections::BTreeSet<u8> = voices.iter().map(|voice| voice.lineage).collect();
        (voices.iter().map(|voice| voice.weight).sum::<u64>(), lineages.len())
    };
    let (all, lineages) = count(&from_the_nearest);
    let lineages = lineages.min(oracle.lineages_min.into());
    let enough = (1..=near.len()).find(|taken| {
        let (weight, speak) = count(&from_the_nearest[..*taken]);
        q(all) < q(2) * q(weight) && lineages <= speak
    });
    let widest = enough.map_or(0, |taken| width(value, from_the_nearest[taken - 1]));
    Price(i64::try_from(widest).unwrap_or(i64::MAX))
}

fn reach<'a>(value: Price, voices: impl Iterator<Item = &'a Voice>) -> Price {
    let widths = voices.map(|voice| width(value, voice));
    Price(i64::try_from(widths.max().unwrap_or(0)).unwrap_or(i64::MAX))
}

fn is_nonsense(exclusion: Exclusion) -> bool {
    match exclusion {
        Exclusion::NonPositive | Exclusion::Future | Exclusion::StuckAtBound | Exclusion::Uncertain => true,
        Exclusion::Jump | Exclusion::Overruled | Exclusion::Unconverted | Exclusion::Delayed => false,
    }
}

/// Whether enough lineages stood by an index.
fn stood(quality: &PriceQuality, enough: usize) -> bool {
    let said = quality.state == QualityState::Agreed || quality.state == QualityState::Degraded;
    said && quality.rung == Rung::Primary && enough <= usize::from(quality.lineages)
}

/// What one pass over the sources comes to.
#[derive(Clone, Default)]
struct Amount {
    quality: Option<PriceQuality>,
    spread: Price,
    /// Undisputed.
    believed: bool,
    /// By enough, and unchallenged.
    agreed: bool,
    /// Too few that were off for long enough.
    confirmed: bool,
    /// There is a majority of enough, disputed or not.
    stands_firm: bool,
    value: Price,
    /// Lineages that named a price.
    heard: u8,
    /// Somebody said it.
    spoken: bool,
    /// Everybody is as far off as a split, and not for long enough.
    leaps: bool,
    /// Enough support it with what they published since the denomination changed.
    came: bool,
    /// When the newest of the usable was published.
    newest: Option<Timestamp>,
    adrift: Option<Adrift>,
    /// How each source stands to it.
    stands: Vec<(usize, Stand)>,
    overruled: bool,
    /// The index between the lowest and the highest of traded prices, and when that was published.
    traded: Option<(Price, Timestamp)>,
    /// Who speaks from its bound.
    stuck: Vec<usize>,
}

/// What the sources amount to at `at`; `index.deadline` is read and not computed.
pub(super) fn evaluate(index: &mut Index, params: &MarketParams, at: Timestamp) -> PriceQuality {
    let oracle = &params.oracle;
    let lineages: std::collections::BTreeSet<u8> = params.sources.iter().map(|source| source.lineage.0 % 64).collect();
    let enough = lineages.len().min(oracle.lineages_min.into());
    let held_until = at.0.min(index.deadline.0.saturating_add(1));
    // Nobody gains while nobody looks.
    let later = |time: Timestamp| Timestamp(time.0.saturating_add(at.0 - held_until));
    index.adrift = index.adrift.map(|held| Adrift { since: later(held.since), ..held });
    for source in &mut index.sources {
        source.contradicted_until = later(source.contradicted_until);
        source.standing = match source.standing {
            Standing::Apart => Standing::Apart,
            Standing::With(since) => Standing::With(later(since)),
            Standing::Against(since) => Standing::Against(later(since)),
        };
    }
    if stood(&index.quality, enough) {
        index.supported_at = index.supported_at.max(at.min(index.deadline));
    }
    // Nobody stands any more by what overruled somebody.
    if oracle.dispute_confirm.0 <= at.0.saturating_sub(index.supported_at.0) {
        for (source, listing) in index.sources.iter_mut().zip(&params.sources) {
            let waits = source.exclusion == Some(Exclusion::Overruled) && at <= source.fresh_until;
            if waits && speaks_sense(source, listing, oracle) {
                speaks_again(source, listing, oracle);
            }
        }
    }
    let exclusions = |index: &Index| index.sources.iter().map(|source| source.exclusion).collect::<Vec<_>>();
    let (mut last, mut overruled) = (Amount::default(), false);
    // Until nobody is brought in or out any more.
    for _ in 0..4 {
        let before = exclusions(index);
        last = amount(index, params, enough, at);
        overruled |= last.overruled;
        if before == exclusions(index) {
            break;
        }
    }
    let quality = last.quality.unwrap_or(PriceQuality::NONE);
    index.spread = last.spread.max(quality.confidence);
    (index.traded, index.traded_at) = last.traded.unwrap_or((Price(0), Timestamp::MIN));
    index.stuck = last.stuck.iter().map(|place| 1 << place).sum();
    index.adrift = last.adrift;
    index.heard = last.heard;
    if last.believed {
        (index.believed, index.believed_at) = (quality.value, at);
    }
    if last.agreed {
        index.agreed = quality.value;
        // Until enough of those who agree have spoken of the present denomination.
        index.rebased = index.rebased && !last.came;
    }
    index.leapt = if last.leaps { last.value } else { Price(0) };
    // Where enough stood is kept while too few who stand there, too, speak.
    let kept = index.vouched && !last.stands_firm && within(quality.value, oracle.dispute, index.footing);
    if last.spoken && !last.leaps && !kept {
        (index.footing, index.vouched) = (quality.value, last.stands_firm);
    }
    if overruled || last.stands_firm || stood(&quality, enough) {
        index.supported_at = at;
    }
    for (place, source) in index.sources.iter_mut().enumerate() {
        let found = last.stands.iter().find(|(heard, _)| *heard == place).map_or(Stand::Apart, |(_, stand)| *stand);
        let contradicts_nobody = found == Stand::Against && source.exclusion == Some(Exclusion::Overruled);
        stand(source, if contradicts_nobody { Stand::Apart } else { found }, last.value, at, oracle);
    }
    quality
}

/// Whether the newest observation is a price, though perhaps a surprising one.
fn speaks_sense(source: &Source, listing: &SourceParams, oracle: &OracleParams) -> bool {
    matches!(filtered(source, listing, oracle), None | Some(Exclusion::Jump))
}

fn amount(index: &mut Index, params: &MarketParams, enough: usize, at: Timestamp) -> Amount {
    let oracle = &params.oracle;
    let listed = listed(params);
    let mut amount = Amount::default();
    let (mut usable, mut jumping, mut nonsense, mut waiting) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut late = Vec::new();
    for (place, (source, listing)) in index.sources.iter().zip(&params.sources).enumerate() {
        if source.fresh_until < at {
            continue;
        }
        let voice = Voice {
            place,
            price: source.price,
            confidence: source.confidence,
            published_at: source.published_at,
            known_at: source.published_at.min(source.unit_at),
            moving: at.0.saturating_sub(source.changed_at.0) <= age_max(listing, oracle),
            weight: listing.weight.into(),
            lineage: listing.lineage.0 % 64,
            traded: listing.kind == SourceKind::Trades,
        };
        let overruled_there = source.exclusion == Some(Exclusion::Overruled)
            && filtered(source, listing, oracle) == Some(Exclusion::StuckAtBound);
        if source.exclusion == Some(Exclusion::StuckAtBound) || overruled_there {
            amount.stuck.push(place);
        }
        match source.exclusion {
            None => usable.push(voice),
            Some(Exclusion::Jump) => jumping.push(voice),
            Some(Exclusion::Delayed) => late.push(voice),
            Some(Exclusion::Overruled) => {
                if speaks_sense(source, listing, oracle) {
                    waiting.push(voice);
                }
            }
            Some(other) => {
                if is_nonsense(other) && at.0 - source.excluded_since.0 < oracle.dispute_confirm.0 {
                    nonsense.push(voice);
                }
            }
        }
    }
    let confirms =
        |voice: &Voice, other: &Voice| other.lineage != voice.lineage && within(voice.price, oracle.agree, other.price);
    let (confirmed, jumping): (Vec<Voice>, Vec<Voice>) =
        jumping.iter().partition(|voice| usable.iter().chain(&jumping).any(|other| confirms(voice, other)));
    for voice in &confirmed {
        let source = &mut index.sources[voice.place];
        (source.settled, source.exclusion) = (source.price, None);
        source.settled_at = source.settled_at.max(source.published_at);
    }
    usable.extend(confirmed);
    // What came late is heard like what nobody confirms.
    let jumping: Vec<Voice> = jumping.into_iter().chain(late).collect();
    let mut all: Vec<Voice> = usable.iter().chain(&jumping).chain(&nonsense).copied().collect();
    share(&mut all, params);
    let present: u64 = all.iter().map(|voice| voice.weight).sum();
    let shared = |voices: Vec<Voice>| -> Vec<Voice> {
        all.iter().filter(|voice| voices.iter().any(|other| other.place == voice.place)).copied().collect()
    };
    let (mut usable, jumping) = (shared(usable), shared(jumping));
    let named = usable.iter().chain(&jumping).map(|voice| voice.lineage);
    amount.heard = named.collect::<std::collections::BTreeSet<_>>().len() as u8;
    usable.sort_by_key(|voice| voice.price);
    // An unconfirmed jump says no more than a step that needs no confirmation.
    let claimed = |value: Price| {
        let step = floor(&(part(oracle.jump_max) * q(value.0)));
        reach(value, jumping.iter()).min(Price(i64::try_from(step).unwrap_or(i64::MAX)))
    };
    let Some(value) = median(&usable, oracle) else {
        let age = at.0.saturating_sub(index.believed_at.0);
        if index.believed != Price(0) && age <= oracle.last_good_max.0 {
            amount.quality = Some(PriceQuality {
                value: index.believed,
                confidence: claimed(index.believed),
                age: Duration(age.max(0)),
                coverage: Ratio::ZERO,
                lineages: 0,
                state: if jumping.is_empty() { QualityState::Degraded } else { QualityState::Disputed },
                rung: Rung::LastGood,
            });
        }
        return amount;
    };
    let (supporting, supporters) = camp(value, &usable, oracle);
    let few = usize::from(supporters) < enough;
    let heard: Vec<Voice> = usable.iter().chain(&jumping).copied().collect();
    (amount.value, amount.spoken) = (value, true);
    let supports = |voice: &Voice| within(voice.price, oracle.agree, value);
    let apart = |one: &Voice, other: &Voice| {
        i128::from(one.price.0.abs_diff(other.price.0)) > floor(&(part(oracle.dispute) * q(value.0)))
    };
    let (supporting_voices, others): (Vec<Voice>, Vec<Voice>) = heard.iter().partition(|voice| supports(voice));
    // Outside of those who support the value, and too far from one of them; or, where nobody is, from anybody.
    let far_from = |voice: &Voice, some: &[Voice]| some.iter().any(|other| apart(voice, other));
    let against_them = others.iter().any(|voice| far_from(voice, &supporting_voices));
    let adversaries = if against_them { &supporting_voices } else { &heard };
    let contradicts = |voice: &Voice| !supports(voice) && far_from(voice, adversaries);
    let contradicted = heard.iter().any(contradicts);
    let count =
        |voices: &[Voice]| voices.iter().map(|voice| voice.lineage).collect::<std::collections::BTreeSet<_>>().len();
    let rivals = others.iter().any(|one| {
        let with: Vec<Voice> =
            others.iter().filter(|other| within(other.price, oracle.agree, one.price)).copied().collect();
        enough <= count(&with)
    });
    let majority = present < 2 * supporting && !(few && rivals);
    amount.stands_firm = majority && !few;
    // Who seems stuck neither outvotes nor contradicts whoever moves, except where the dispute is about him.
    let moving: Vec<Voice> = heard.iter().filter(|voice| voice.moving).copied().collect();
    let accused = |voice: &Voice| matches!(index.sources[voice.place].standing, Standing::Against(_));
    let spokesmen: Vec<Voice> = heard.iter().filter(|voice| voice.moving || accused(voice)).copied().collect();
    let movers: Vec<Voice> = usable.iter().filter(|voice| voice.moving).copied().collect();
    let outvoters = camp(value, &movers, oracle).1;
    let away = |price: Price| (i128::from(price.0) - i128::from(index.agreed.0)).abs();
    let gone = index.agreed != Price(0) && !within(value, oracle.agree, index.agreed);
    // Somebody says that it moved less or the other way, unless he went that way himself, farther than the index.
    let stays = |voice: &Voice| {
        let farther = if index.agreed < value { value < voice.price } else { voice.price <= value };
        let two_limits = Ratio(oracle.dispute.0 + oracle.agree.0);
        let himself = away(value) < away(voice.price) && !within(voice.price, two_limits, index.agreed);
        !within(voice.price, oracle.dispute, value) && !farther && !himself
    };
    let leaves = gone && spokesmen.iter().any(stays);
    let outvoted =
        oracle.overrule_lineages <= outvoters && q(2) / q(3) * q(count(&spokesmen) as u64) < q(outvoters) && !leaves;
    let resisted = contradicted && !outvoted;
    let backers: Vec<Voice> = usable.iter().filter(|voice| supports(voice)).copied().collect();
    let beside = |voice: &Voice| {
        let near = |other: &Voice| other.lineage != voice.lineage && within(voice.price, oracle.agree, other.price);
        backers.iter().any(near)
    };
    for voice in heard.iter().chain(&waiting) {
        let opposed = majority && resisted && contradicts(voice);
        let waits = waiting.iter().any(|other| other.place == voice.place);
        let stand = match (supports(voice) || waits && beside(voice), opposed) {
            (true, _) => Stand::With,
            (false, true) => Stand::Against,
            (false, false) => Stand::Apart,
        };
        amount.stands.push((voice.place, stand));
    }
    for (place, _) in amount.stands.iter().filter(|(_, stand)| *stand == Stand::Against) {
        let source = &mut index.sources[*place];
        let in_all = contradicted_for(source, value, at, oracle);
        if source.exclusion != Some(Exclusion::Overruled) && oracle.dispute_confirm.0 <= in_all {
            (source.exclusion, source.excluded_since) = (Some(Exclusion::Overruled), at);
            (source.claimed, source.refuted_by) = (source.price, value);
            amount.overruled = true;
        }
    }
    let mut disputed = !majority || resisted;
    let off = |limit: Ratio| index.agreed != Price(0) && !within(value, limit, index.agreed);
    // As far as a split goes, or after one was announced as far as prices contradict, nobody is believed at once.
    let spoke = usable.iter().any(|voice| index.denomination.since <= voice.published_at);
    let limit = if index.rebased && spoke { oracle.dispute } else { oracle.leap_max };
    let present: Vec<Voice> =
        backers.iter().filter(|voice| index.denomination.since <= voice.published_at).copied().collect();
    amount.came = spoke && enough <= count(&present);
    let leap = majority && index.vouched && !within(value, limit, index.footing);
    let leapt = leap && !disputed;
    if leap || majority && few && off(oracle.dispute) {
        // Too few voices are held to the price with which they began; enough of them only to the side.
        let same_side = |held: &Adrift| (held.value < index.footing) == (value < index.footing);
        let begun = index.adrift.filter(|held| within(value, oracle.dispute, held.value) || leap && same_side(held));
        let begun = begun.unwrap_or(Adrift { value, since: at });
        let confirm = if leap { oracle.leap_confirm.0 } else { oracle.dispute_confirm.0 };
        // In the denomination before it is as near to where it was: the announced change has not come.
        let ratio = |parts: kernel::index::Parts, price: i64| floor(&(q(price) * q(parts.of) / q(parts.per)));
        let turned = kernel::index::Parts { of: index.denomination.after.per, per: index.denomination.after.of };
        let raw = ratio(turned, value.0).min(i64::MAX.into()) as i64;
        let then = Price(ratio(index.denomination.before, raw).min(i64::MAX.into()) as i64);
        let apart = |price: Price| q(price.0.max(index.footing.0)) / q(price.0.min(index.footing.0));
        let not_come = leap && index.rebased && spoke && then != Price(0) && apart(then) <= apart(value);
        if !disputed && !not_come && confirm <= at.0 - begun.since.0 {
            amount.confirmed = true;
        } else {
            disputed = true;
            amount.leaps = leap;
            amount.adrift = Some(begun);
        }
    }
    for voice in &waiting {
        let listing = &params.sources[voice.place];
        let source = &mut index.sources[voice.place];
        let stood_by = match source.standing {
            Standing::With(since) => oracle.dispute_confirm.0 <= at.0 - since.0 && (supports(voice) || beside(voice)),
            Standing::Apart | Standing::Against(_) => false,
        };
        let along = q(source.claimed.0) * q(value.0) / q(source.refuted_by.0.max(1));
        let along = Price(i64::try_from(floor(&along)).unwrap_or(i64::MAX));
        let moved_then = source.excluded_since.0.saturating_sub(source.changed_at.0) <= age_max(listing, oracle);
        let goes_away =
            if source.refuted_by < source.claimed { value < source.refuted_by } else { source.refuted_by <= value };
        let left_behind = moved_then
            && goes_away
            && !within(value, oracle.dispute, source.refuted_by)
            && !within(source.price, oracle.dispute, along);
        if stood_by {
            readmit(source);
        } else if left_behind {
            speaks_again(source, listing, oracle);
        }
    }
    let newest = usable.iter().map(|voice| voice.known_at.0).max().unwrap_or(at.0);
    let age = Duration((at.0 - newest).max(0));
    amount.newest = usable.iter().map(|voice| voice.published_at).max();
    let coverage = |weight: u64| Ratio(floor(&(q(weight) * q(Ratio::ONE.0) / q(listed))) as i64);
    if disputed {
        // The majority's own prices bound the index; without a majority everybody's do.
        let bounds: Vec<Price> =
            usable.iter().filter(|voice| !majority || supports(voice)).map(|voice| voice.price).collect();
        let low = bounds.iter().copied().min().unwrap_or(value);
        let high = bounds.iter().copied().max().unwrap_or(value);
        let middle = value;
        let value = match index.believed {
            // The market has not moved to there.
            _ if leapt => index.footing,
            // Nor where somebody says something else, as long as somebody does.
            _ if leap => {
                let said = || heard.iter().map(|voice| voice.price);
                let (low, high) = (said().min().unwrap_or(value), said().max().unwrap_or(value));
                index.footing.max(low).min(high)
            }
            Price(0) => value,
            believed => believed.max(low).min(high),
        };
        amount.traded = Some(match amount.newest {
            Some(newest) if leapt => (value, newest),
            Some(_) | None => traded(value, middle, &usable, oracle),
        });
        let (supporting, lineages) = camp(value, &usable, oracle);
        let since = [index.believed, index.agreed].into_iter().filter(|past| *past != Price(0));
        let left = since.map(|past| i64::try_from(past.0.abs_diff(value.0)).unwrap_or(i64::MAX)).max();
        let left = Price(left.unwrap_or(0));
        amount.quality = Some(PriceQuality {
            value,
            confidence: reach(value, usable.iter()).max(claimed(value)).max(left),
            age,
            coverage: coverage(supporting),
            lineages,
            state: QualityState::Disputed,
            rung: Rung::Primary,
        });
        return amount;
    }
    let challenged = moving.iter().any(contradicts);
    amount.traded = Some(traded(value, value, &usable, oracle));
    amount.believed = true;
    amount.agreed = amount.confirmed || index.agreed == Price(0) || !few && !challenged;
    let near: Vec<Voice> = usable.iter().filter(|voice| within(voice.price, oracle.dispute, value)).copied().collect();
    amount.spread = reach(value, near.iter());
    let walks = few && !amount.agreed;
    let walked = if walks { i64::try_from(index.agreed.0.abs_diff(value.0)).unwrap_or(i64::MAX) } else { 0 };
    amount.quality = Some(PriceQuality {
        value,
        confidence: confidence(value, &near, oracle).max(Price(walked)),
        age,
        coverage: coverage(supporting),
        lineages: supporters,
        state: if oracle.lineages_min <= supporters { QualityState::Agreed } else { QualityState::Degraded },
        rung: Rung::Primary,
    });
    amount
}

/// What trades say of a value, and when the newest of those said it that are not too far from the middle; where none is
/// heard, the value and when anybody spoke last.
fn traded(value: Price, middle: Price, usable: &[Voice], oracle: &OracleParams) -> (Price, Timestamp) {
    let newest = |voices: &[&Voice]| voices.iter().map(|voice| voice.published_at).max();
    let trades: Vec<&Voice> = usable.iter().filter(|voice| voice.traded).collect();
    let prices = || trades.iter().map(|voice| voice.price);
    let (Some(low), Some(high)) = (prices().min(), prices().max()) else {
        return (value, newest(&usable.iter().collect::<Vec<_>>()).unwrap_or(Timestamp::MIN));
    };
    let close = floor(&(part(oracle.dispute) * q(middle.0)));
    let away = |voice: &Voice| (i128::from(voice.price.0) - i128::from(middle.0)).abs();
    let near: Vec<&Voice> = trades.iter().copied().filter(|voice| away(voice) <= close).collect();
    let at = newest(&near).or(newest(&trades)).unwrap_or(Timestamp::MIN);
    (value.max(low).min(high), at)
}

/// What an index has been, in full: no slots, no sums.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// From, until, price.
    held: VecDeque<(i64, i64, Price)>,
    /// Of the slot that was last observed, its number and the least and most that counts in it.
    reach: Option<(i64, i128, i128)>,
    /// When it was published, traded price: in the order in which they came.
    seen: VecDeque<(i64, Price)>,
    /// The same, kept for longer.
    swung: VecDeque<(i64, Price)>,
    /// When it was looked at, open interest.
    open: VecDeque<(i64, Price)>,
    /// When, lots closed by force.
    closed: VecDeque<(i64, i128)>,
}

impl History {
    /// The index was `price` from `from` until `until`: slot by slot no farther from the average of the slot before than it may step.
    pub(super) fn held(&mut self, price: Price, params: &MarketParams, from: Timestamp, until: Timestamp) {
        let slots = kernel::window::TWAP_SLOTS as i64;
        let length = (params.detectors.twap_window.0 / slots).max(1);
        let oldest = (until.0.div_euclid(length) - (slots - 1)) * length;
        let mut from = from.0.max(oldest);
        while from < until.0 {
            let slot = from.div_euclid(length);
            let end = ((slot + 1) * length).min(until.0);
            // How far it may be is said once a slot, when something of it is first observed.
            if self.reach.is_none_or(|(of, _, _)| of != slot) {
                let before =
                    self.held.iter().rev().map(|(from, ..)| from.div_euclid(length)).find(|other| *other < slot);
                // What falls out of the window by then says nothing.
                let near = before.filter(|before| until.0.div_euclid(length) - before < slots);
                let of_slot = |(from, ..): &&(i64, i64, Price)| near == Some(from.div_euclid(length));
                let parts = self.held.iter().filter(of_slot).map(|(from, until, price)| (until - from, price.0));
                let (mut sum, mut span) = (0_i128, 0_i64);
                for (part, price) in parts {
                    sum += i128::from(part) * i128::from(price);
                    span += part;
                }
                let (low, high) = near.map_or((i128::MIN, i128::MAX), |before| {
                    let average = floor(&(q(sum) / q(span)));
                    let limit = step_limit(&params.oracle, i128::from((slot - before) * length));
                    let reach = ceil(&(part(limit) * q(average)));
                    (average - reach, average + reach)
                });
                self.reach = Some((slot, low, high));
            }
            let (_, low, high) = self.reach.unwrap_or((slot, i128::MIN, i128::MAX));
            let counts = i128::from(price.0).clamp(low, high);
            self.held.push_back((from, end, Price(counts as i64)));
            from = end;
        }
    }

    /// Trades bore out `price`, published at `at`.
    pub(super) fn seen(&mut self, price: Price, at: Timestamp) {
        self.seen.push_back((at.0, price));
        self.swung.push_back((at.0, price));
    }

    /// So many lots were open at `at`: the least of the window.
    pub(super) fn least_open(&mut self, lots: i128, window: Duration, at: Timestamp) -> i128 {
        self.open.push_back((at.0, Price(lots.min(i64::MAX.into()) as i64)));
        extremes(&mut self.open, window).map_or(lots, |(low, _)| low.0.into())
    }

    /// So many lots were closed by force at `at`.
    pub(super) fn closed(&mut self, lots: i128, at: Timestamp) {
        self.closed.push_back((at.0, lots));
    }

    /// Lots closed by force in the window's slots up to `at`.
    pub(super) fn lately_closed(&mut self, window: Duration, at: Timestamp) -> i128 {
        let slots = kernel::window::RANGE_SLOTS as i64;
        let slot = (window.0 / slots).max(1);
        self.closed.retain(|(then, _)| at.0.div_euclid(slot) - then.div_euclid(slot) < slots);
        self.closed.iter().map(|(_, lots)| lots).sum()
    }

    /// The extremes of the velocity window and of the swing window.
    pub(super) fn extremes(&mut self, detectors: &DetectorParams) -> [Option<(Price, Price)>; 2] {
        [extremes(&mut self.seen, detectors.velocity_window), extremes(&mut self.swung, detectors.swing_window)]
    }

    /// The average over the window's slots up to `at`, rounded down, and the microseconds observed.
    pub(super) fn average(&mut self, window: Duration, at: Timestamp) -> (Option<Price>, i64) {
        let slot = (window.0 / kernel::window::TWAP_SLOTS as i64).max(1);
        let oldest = (at.0.div_euclid(slot) - (kernel::window::TWAP_SLOTS as i64 - 1)) * slot;
        self.held.retain(|(_, until, _)| oldest < *until);
        let parts = self.held.iter().map(|(from, until, price)| (until - from.max(&oldest), price.0));
        let (mut sum, mut covered) = (0_i128, 0);
        for (span, price) in parts {
            sum += i128::from(span) * i128::from(price);
            covered += span;
        }
        ((0 < covered).then(|| Price(floor(&(q(sum) / q(covered))) as i64)), covered)
    }

    /// The price below which the slots' averages were for half of what was observed, slot by slot.
    pub(super) fn median(&mut self, window: Duration, at: Timestamp) -> Option<Price> {
        let (_, covered) = self.average(window, at);
        let slot = (window.0 / kernel::window::TWAP_SLOTS as i64).max(1);
        let mut slots: BTreeMap<i64, (i128, i64)> = BTreeMap::new();
        let oldest = (at.0.div_euclid(slot) - (kernel::window::TWAP_SLOTS as i64 - 1)) * slot;
        for (from, until, price) in &self.held {
            let mut from = (*from).max(oldest);
            while from < *until {
                let end = ((from.div_euclid(slot) + 1) * slot).min(*until);
                let (sum, spans) = slots.entry(from.div_euclid(slot)).or_default();
                *sum += i128::from(price.0) * i128::from(end - from);
                *spans += end - from;
                from = end;
            }
        }
        let mut averages: Vec<(i64, i64)> =
            slots.values().map(|(sum, span)| (floor(&(q(*sum) / q(*span))) as i64, *span)).collect();
        averages.sort_unstable();
        let below = |price: i64| -> i64 { averages.iter().filter(|(at, _)| *at <= price).map(|(_, span)| span).sum() };
        let (price, _) = *averages.iter().find(|(price, _)| covered <= 2 * below(*price))?;
        let next = averages.iter().map(|(at, _)| *at).find(|at| price < *at);
        let is_half = 2 * below(price) == covered;
        Some(Price(next.filter(|_| is_half).map_or(price, |next| price.midpoint(next))))
    }
}

/// The lowest and highest over the window's slots up to the newest. A price that was published before one that came
/// earlier counts as if published with it.
fn extremes(seen: &mut VecDeque<(i64, Price)>, window: Duration) -> Option<(Price, Price)> {
    let slots = kernel::window::RANGE_SLOTS as i64;
    let slot = (window.0 / slots).max(1);
    let before = seen.iter().rev().nth(1).map_or(i64::MIN, |(at, _)| *at);
    let last = seen.back_mut()?;
    last.0 = last.0.max(before);
    let newest = last.0.div_euclid(slot);
    seen.retain(|(at, _)| newest - at.div_euclid(slot) < slots);
    let prices = || seen.iter().map(|(_, price)| *price);
    Some((prices().min()?, prices().max()?))
}

/// A stable price, exact but for digits far below those that the kernel keeps.
#[derive(Debug)]
pub(super) struct StablePrice {
    pub(super) value: Q,
    /// In the step that is not over: what pulls, times microseconds, and those.
    pub(super) rest: (Q, i64),
    /// Steps that led to it.
    pub(super) steps: i64,
}

/// The stable price after `price` stood for `span` microseconds, from the stored one.
pub(super) fn stable(stored: &Stable, price: Price, span: i64, detectors: &DetectorParams) -> StablePrice {
    let unit = 1_i128 << 20;
    let mut value = if stored.value == 0 { q(price.0) } else { q(stored.value) / q(unit) };
    let length = (detectors.stable_half_life.0 / 1_024).max(1);
    let taken = q(190_466_375_432_i64) / q(1_i64 << 48);
    let (mut sum, mut observed, mut left, mut steps) =
        (q(stored.sum) / q(unit), stored.observed, span.min(16 * 1_024 * length), 0);
    // Nothing from farther away than the reach, for however short a time.
    let pulls = |value: &Q| {
        let farthest = value * part(detectors.stable_reach);
        q(price.0).max(value - &farthest).min(value + &farthest)
    };
    while length <= observed + left {
        let now = length - observed;
        left -= now;
        let average = (sum + pulls(&value) * q(now)) / q(length);
        (sum, observed, steps) = (q(0), 0, steps + 1);
        let moved = &value + (average - &value) * &taken;
        value = q(floor(&(moved * q(unit * unit)))) / q(unit * unit);
    }
    let rest = (sum + pulls(&value) * q(left), observed + left);
    StablePrice { value, rest, steps }
}

/// The premium after a look at the venue's book: exact, from the stored one.
pub(super) fn premium(
    market: &Market,
    held: &Q,
    held_at: Timestamp,
    top: &BookTop,
    max: Ratio,
    at: Timestamp,
) -> Option<Q> {
    let index = market.ladder.quality.value;
    if index.0 <= 0 {
        return None;
    }
    let max = part(max);
    let sound = 0 < top.bid.0 && top.bid < top.ask;
    let mid = if sound { floor(&((q(top.bid.0) + q(top.ask.0)) / q(2))) } else { index.0.into() };
    let sample = (q(mid) - q(index.0)) / q(index.0);
    let sample = sample.max(-max.clone()).min(max.clone());
    let window = market.params.mark.premium_window;
    let held = faded(held, held_at, window, at);
    let dt = if held_at == Timestamp::MIN { 0 } else { (at.0 - held_at.0).max(0).min(window.0) };
    let averaged = (held * q(window.0) + sample * q(dt)) / q(dt + window.0);
    Some(averaged.max(-max.clone()).min(max))
}

/// A premium that nobody renewed for longer than a window counts for less the longer that is.
fn faded(premium: &Q, since: Timestamp, window: Duration, at: Timestamp) -> Q {
    let silence = at.0.saturating_sub(since.0);
    if silence <= window.0 { premium.clone() } else { premium * q(window.0) / q(silence) }
}

/// What is measured beside the price, exact but for the divergence, of which the kernel keeps parts.
pub(super) struct Measures {
    growth: Q,
    crowding: Q,
    intensity: Q,
    divergence: Q,
    distress: Q,
    gate: Mode,
    closed: bool,
    /// Microseconds since the newest source spoke, as whole heartbeats.
    stale: i64,
}

impl Measures {
    /// Of a market with so many lots open, of the window at least `least`, and so many closed by force.
    pub(super) fn of(market: &Market, open: i128, least: i128, closed: i128, mark: &Mark, at: Timestamp) -> Measures {
        let params = &market.params;
        let over = |part: i128, whole: i128| q(part) / q(whole.max(1));
        let base = least.max(i128::from(params.open_interest_max.0) / 100);
        let crowding = market.depth.filter(|_| open != 0).map(|depth| over(open, depth.bid.0.min(depth.ask.0).into()));
        let gap = faded(&part(mark.gap), mark.gap_at, params.mark.premium_window, at);
        // Parts are cut off toward zero.
        let parts = floor(&(gap.clone().max(-gap) * q(Ratio::ONE.0)));
        let spans = |chain: ChainHealth| {
            let since = at.0 - chain.produced_at.0;
            let of = [(since, params.chain.interval), (chain.inclusion.0, params.chain.inclusion)];
            let of = of.into_iter().chain([(chain.finality.0, params.chain.finality)]);
            let fee = over(chain.base_fee.into(), params.chain.base_fee.into());
            of.map(|(now, usual)| over(now.into(), usual.0.into())).chain([fee]).max()
        };
        Measures {
            growth: over((open - least).max(0), base),
            crowding: crowding.unwrap_or(q(0)),
            intensity: over(closed, closed + open),
            divergence: q(parts) / q(Ratio::ONE.0),
            distress: market.chain.and_then(spans).unwrap_or(q(0)),
            gate: match market.gated {
                false => Mode::Normal,
                true if at.0.saturating_sub(market.gated_at.0) < params.oracle.dispute_confirm.0 => Mode::Halted,
                true => Mode::ReduceOnly,
            },
            closed: market.closed,
            stale: stale(market, market.ladder.quality.age.0),
        }
    }
}

/// An age in whole heartbeats of the market's fastest own source.
pub(super) fn stale(market: &Market, age: i64) -> i64 {
    let beats = market.own().params.sources.iter().map(|source| source.heartbeat.0);
    let beat = beats.min().unwrap_or(i64::MAX);
    // Each counts from half of one after it is over.
    let wholes = (0..).map(|beats: i64| beats.saturating_mul(beat));
    wholes.take_while(|whole| *whole == 0 || *whole <= age.saturating_sub(beat / 2)).last().unwrap_or(0)
}

/// The levels that the detectors hold, from those that they held, and the joined restriction with its causes.
pub(super) fn detect(
    market: &Market,
    quality: &PriceQuality,
    average: (Option<Price>, i64),
    ranges: [Option<(Price, Price)>; 2],
    stable: Option<Price>,
    measures: &Measures,
) -> ([Mode; DETECTORS.len()], Restriction, u16) {
    let detectors = &market.params.detectors;
    let [
        velocity,
        band,
        disagreement,
        _,
        swing,
        drift,
        _,
        growth,
        crowding,
        intensity,
        divergence,
        chain,
        _,
        _,
        staleness,
    ] = market.memory.levels;
    let exit = |threshold: Ratio| Ratio(floor(&(part(detectors.exit) * q(threshold.0))) as i64);
    let level = |part_of: Q, whole: Q, thresholds: &Thresholds, held: Mode| {
        let reached = |threshold: Ratio| part(threshold) * &whole <= part_of;
        let at = |mode: Mode, threshold: Ratio| reached(threshold) || mode <= held && reached(exit(threshold));
        match (at(Mode::ReduceOnly, thresholds.reduce_only), at(Mode::Cautious, thresholds.cautious)) {
            (true, _) => Mode::ReduceOnly,
            (false, true) => Mode::Cautious,
            (false, false) => Mode::Normal,
        }
    };
    let moved = |range, thresholds: &Thresholds, held: Mode| match range {
        None => held,
        Some((low, high)) => {
            let (low, high): (Price, Price) = (low, high);
            level(q(high.0) - q(low.0), q(low.0), thresholds, held)
        }
    };
    let [short, long] = ranges;
    let (velocity, swing) = (moved(short, &detectors.velocity, velocity), moved(long, &detectors.swing, swing));
    let away = |from: Price| (q(quality.value.0) - q(from.0)).max(q(from.0) - q(quality.value.0));
    let drift = match stable {
        Some(stable) if quality.state != QualityState::None => {
            level(away(stable), q(stable.0), &detectors.drift, drift)
        }
        Some(_) | None => drift,
    };
    // A lineage has the voice of its heaviest source, here of its heaviest at the bound.
    let mut voices: std::collections::BTreeMap<u8, [i128; 2]> = std::collections::BTreeMap::new();
    for (place, source) in market.own().params.sources.iter().enumerate() {
        let [all, there] = voices.entry(source.lineage.0).or_default();
        *all = (*all).max(source.weight.into());
        if market.own().index.stuck >> place & 1 == 1 {
            *there = (*there).max(source.weight.into());
        }
    }
    let weight: i128 = voices.values().map(|[all, _]| all).sum();
    let at_bound: i128 = voices.values().map(|[_, there]| there).sum();
    // The share is kept in parts per 10^12, rounded up.
    let share = q(ceil(&(q(at_bound) / q(weight) * q(Ratio::ONE.0))));
    let reached = |threshold: Ratio| at_bound != 0 && part(threshold) * q(Ratio::ONE.0) <= share;
    let stuck = match (reached(detectors.stuck.reduce_only), reached(detectors.stuck.cautious)) {
        (true, _) => Mode::ReduceOnly,
        (false, true) => Mode::Cautious,
        (false, false) => Mode::Normal,
    };
    let covered = part(detectors.twap_coverage_min) <= (q(average.1) / q(detectors.twap_window.0)).min(q(1));
    // The coverage is kept in parts per 10^12, rounded down.
    let covered = covered
        && detectors.twap_coverage_min.0
            <= floor(&(q(average.1) / q(detectors.twap_window.0) * q(Ratio::ONE.0))).min(Ratio::ONE.0.into()) as i64;
    let band = match average.0 {
        Some(twap) if covered && quality.state != QualityState::None => {
            level(away(twap), q(twap.0), &detectors.band, band)
        }
        Some(_) | None => match long {
            // An hour in which nothing moved as far as the band lets go does for the average.
            Some((low, high))
                if quality.state != QualityState::None
                    && q(high.0) - q(low.0) < part(exit(detectors.band.cautious)) * q(low.0) =>
            {
                Mode::Normal
            }
            Some(_) | None => band,
        },
    };
    let disagreement = match quality.state {
        QualityState::Disputed => Mode::ReduceOnly,
        QualityState::None => disagreement,
        QualityState::Agreed | QualityState::Degraded => {
            let limit =
                if disagreement == Mode::Normal { detectors.disagreement } else { exit(detectors.disagreement) };
            let wide = part(limit) * q(quality.value.0) <= q(market.speaker().spread.0);
            if wide { Mode::Cautious } else { Mode::Normal }
        }
    };
    let quorum = match (quality.state, quality.rung) {
        (QualityState::None, _) | (_, Rung::None) => Mode::Halted,
        (_, Rung::Guardian | Rung::Derived | Rung::Twap | Rung::LastGood) => Mode::ReduceOnly,
        (_, Rung::Secondary) | (QualityState::Degraded, Rung::Primary) => Mode::Cautious,
        (QualityState::Agreed | QualityState::Disputed, Rung::Primary) => {
            if quality.coverage < detectors.quorum_coverage_min { Mode::Cautious } else { Mode::Normal }
        }
    };
    let activity = &market.params.activity;
    // Shares are kept in parts, rounded up.
    let share = |share: &Q, thresholds: &Thresholds, held| {
        let parts = q(ceil(&(share * q(Ratio::ONE.0))));
        level(parts, q(Ratio::ONE.0), thresholds, if share == &q(0) { Mode::Normal } else { held })
    };
    let growth = share(&measures.growth, &activity.growth, growth);
    let crowding = share(&measures.crowding, &activity.crowding, crowding);
    let intensity = share(&measures.intensity, &activity.intensity, intensity);
    let divergence = share(&measures.divergence, &activity.divergence, divergence);
    let chain = share(&measures.distress, &market.params.chain.distress, chain);
    let restart = measures.gate;
    let session = if measures.closed { Mode::Halted } else { Mode::Normal };
    // The share that the range is of its low in whole millionths, one more than is full; of the threshold those that are.
    let millionths = |share: Q| floor(&(share * q(1_000_000)));
    let staleness = match long {
        _ if measures.stale == 0 && quality.state != QualityState::None => Mode::Normal,
        Some((low, high)) if quality.state != QualityState::None => {
            let range = q(ceil(&((q(high.0) - q(low.0)) / q(low.0) * q(Ratio::ONE.0)))) / q(Ratio::ONE.0);
            let range = q(millionths(range) + 1);
            let moved = range.clone() * range * q(measures.stale);
            let reached = |threshold: Ratio| {
                let threshold = q(millionths(part(threshold)));
                threshold.clone() * threshold * q(detectors.swing_window.0) <= moved
            };
            match (reached(detectors.staleness.reduce_only), reached(detectors.staleness.cautious)) {
                (true, _) => Mode::ReduceOnly,
                (false, true) => Mode::Cautious,
                (false, false) => Mode::Normal,
            }
        }
        Some(_) | None => staleness,
    };
    let levels = [
        velocity,
        band,
        disagreement,
        quorum,
        swing,
        drift,
        stuck,
        growth,
        crowding,
        intensity,
        divergence,
        chain,
        restart,
        session,
        staleness,
    ];
    let strictest = levels.into_iter().max().unwrap_or(Mode::Halted);
    let wanted = restriction(strictest, &market.params);
    let causes = (0..).zip(levels).filter(|(_, level)| *level == strictest && *level != Mode::Normal);
    (levels, wanted, causes.map(|(bit, _): (u16, Mode)| 1 << bit).sum())
}

/// What a mode denies in a market.
pub(super) fn restriction(mode: Mode, params: &MarketParams) -> Restriction {
    let mut restriction = Restriction::OPEN;
    if mode == Mode::Normal {
        return restriction;
    }
    for action in Action::ALL {
        let denied = match action {
            Action::Deposit | Action::Cancel | Action::Settle => false,
            Action::Open | Action::Withdraw => Mode::ReduceOnly <= mode,
            Action::Reduce | Action::LiquidateSolvent | Action::LiquidateInsolvent => Mode::CancelOnly <= mode,
            Action::Fund => Mode::Halted <= mode,
        };
        for side in protocol::Side::BOTH {
            restriction = if denied { restriction.denying(action, side) } else { restriction };
        }
    }
    restriction.with(params.breaker.cautious_margin_addon, params.breaker.cautious_size_scale)
}

/// Where a market stands on the ladder: its mode, the last reason for it, the last step back, probations failed in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rungs {
    pub(super) mode: Mode,
    pub(super) reason_at: Timestamp,
    pub(super) relaxed_at: Timestamp,
    pub(super) failed: u8,
}

/// How long a market must be calm: twice as long for each probation that it failed, where what opens is waited for.
pub(super) fn calm(mode: Mode, failed: u8, breaker: &BreakerParams) -> Q {
    let opens = mode == Mode::ReduceOnly || mode == Mode::Cautious;
    let doubled = (0..failed).fold(q(breaker.calm.0), |calm, _| (calm * q(2)).min(q(breaker.calm_max.0)));
    if opens { doubled } else { q(breaker.calm.0) }
}

/// After `wanted` at `at`: tighter at once, milder one step after calm.
pub(super) fn ladder(from: Rungs, wanted: Mode, breaker: &BreakerParams, at: Timestamp) -> Rungs {
    let reason_at = if from.reason_at == Timestamp::MIN { at } else { from.reason_at };
    if from.mode < Mode::ReduceOnly && Mode::ReduceOnly <= wanted {
        let probation = q(breaker.probation.0).max(calm(from.mode, from.failed, breaker));
        let soon = from.relaxed_at != Timestamp::MIN && q(at.0 - from.relaxed_at.0) < probation;
        let failed = if soon { (from.failed + 1).min(62) } else { 0 };
        return Rungs { mode: wanted, reason_at: at, failed, ..from };
    }
    if from.mode <= wanted {
        return Rungs { mode: wanted, reason_at: at, ..from };
    }
    if q(at.0 - reason_at.0) < calm(from.mode, from.failed, breaker) {
        return Rungs { reason_at, ..from };
    }
    Rungs { mode: from.mode.milder().max(wanted), reason_at: at, relaxed_at: at, ..from }
}

/// The mark after a look at an index: the premium is the kernel's, which is kept in parts, and so is what it was averaged at.
pub(super) fn mark(index: Price, old: Mark, kernel: &Mark, params: &MarketParams, at: Timestamp) -> Mark {
    let Mark { premium, premium_at, gap, gap_at, .. } = *kernel;
    let mut mark = Mark { premium, premium_at, gap, gap_at, ..old };
    if index.0 <= 0 {
        mark.target = mark.price;
        return mark;
    }
    let premium = faded(&part(kernel.premium), kernel.premium_at, params.mark.premium_window, at);
    let parts = premium * q(Ratio::ONE.0);
    // Parts are cut off toward zero.
    let parts = if parts < q(0) { ceil(&parts) } else { floor(&parts) };
    mark.target = Price((floor(&(q(index.0) * (q(1) + q(parts) / q(Ratio::ONE.0)))) as i64).max(1));
    if mark.price.0 == 0 {
        let first = mark.target;
        (mark.price, mark.stepped_at) = (first, at);
        (mark.low, mark.high, mark.low_before, mark.high_before) = (first, first, first, first);
        return mark;
    }
    let (window, passed) = (q(params.mark.step_window.0), q(at.0) - q(mark.stepped_at.0));
    if window <= passed {
        // Of the window before that one, where it is as long ago, only the last mark is left.
        let last = if passed < window * q(2) { (mark.low, mark.high) } else { (mark.price, mark.price) };
        (mark.low_before, mark.high_before) = last;
        (mark.low, mark.high, mark.stepped_at) = (mark.price, mark.price, at);
    }
    // The farthest prices that are within a step of every mark of both windows.
    let step = part(params.mark.step_max);
    let (low, high) = (mark.low.0.min(mark.low_before.0), mark.high.0.max(mark.high_before.0));
    let lowest = ceil(&(q(high) * (q(1) - &step))).min(i128::from(high) - 1).max(1);
    let highest = floor(&(q(low) * (q(1) + &step))).max(i128::from(low) + 1);
    let price = i128::from(mark.target.0).clamp(lowest, highest.max(lowest)).min(i64::MAX.into()) as i64;
    (mark.price, mark.low, mark.high) = (Price(price), mark.low.min(Price(price)), mark.high.max(Price(price)));
    mark
}

/// An integer number of parts in a ratio that lies no farther from `exact` than `parts`.
pub(super) fn near(ratio: Ratio, exact: &Q, parts: i64) -> bool {
    let exact = exact * q(Ratio::ONE.0);
    q(ceil(&exact) - i128::from(parts)) <= q(ratio.0) && q(ratio.0) <= q(floor(&exact) + i128::from(parts))
}
