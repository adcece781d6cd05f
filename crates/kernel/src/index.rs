//! Sources become one index price with its quality.
//!
//! [`Index::observe`] files a source's newest observation behind the filters; [`Index::evaluate`] says what the sources
//! that are still fresh amount to. A value is
//!
//! * **Agreed** where enough independent lineages support it (lie within `agree` of it), more than half of the weight
//!   present does, and where fresh sources are farther apart than `dispute`, enough lineages whose price moves outvote
//!   the rest;
//! * **Disputed** where fresh sources contradict each other so and nobody has been believed yet, or where too few voices
//!   would carry the index off by more than `dispute` because those that contradicted them have gone silent. The value then stays as
//!   close to the last believed index as the fresh sources allow: those of the majority, or all where none has more
//!   than half of the weight. A majority that stands through `dispute_confirm` is believed;
//! * **Degraded** where nobody contradicts but fewer lineages speak than the policy asks for, or where only the last
//!   good index is left;
//! * **None** otherwise.
//!
//! Sources of one lineage share one voice, that of the heaviest of them, in proportion to their weights: two feeds of
//! one operator never outvote two operators.
//!
//! The weighted median: at one source its price; where the cumulative weight meets exactly half, the midpoint of the
//! two prices between which it does; otherwise the price at which it passes half. It is taken once over all usable
//! sources and again over those within the dispute limit of the first, so that a far minority has no pull at all.

use alloc::vec::Vec;
use protocol::input::Observation;
use protocol::params::{OracleParams, SourceParams};
use protocol::quality::Exclusion;
use protocol::{MarketParams, PriceQuality, QualityState, Reject, Rung};
use units::{Duration, Price, Ratio, Rounding, Timestamp};

/// Half-octave buckets of milliseconds from 1 ms on; the last holds everything above 12 days.
pub const GAP_BUCKETS: usize = 62;

/// How long a source has been silent between observations, learned in bounded memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gaps {
    /// Per half-octave of milliseconds.
    pub counts: [u32; GAP_BUCKETS],
    /// Sum of `counts`.
    pub total: u32,
}

/// What is remembered of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The newest observation; `received_at` is `MIN` before the first.
    pub price: Price,
    /// The source's own half-width.
    pub confidence: Price,
    /// Theirs.
    pub published_at: Timestamp,
    /// Ours.
    pub received_at: Timestamp,
    /// When its price last changed, by receipt.
    pub changed_at: Timestamp,
    /// The last price of this source that passed every filter; zero before the first.
    pub settled: Price,
    /// Why the newest observation is left out.
    pub exclusion: Option<Exclusion>,
    /// Since when it has been left out without a break.
    pub excluded_since: Timestamp,
    /// Learned silences.
    pub gaps: Gaps,
    /// How long the source may stay silent, from `gaps` and the policy.
    pub silence_max: Duration,
}

/// A majority that contradicts somebody, and since when it has stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Majority {
    /// Its price.
    pub value: Price,
    /// Since when.
    pub since: Timestamp,
}

/// One market's sources and what they amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// In the order of the policy's list.
    pub sources: Vec<Source>,
    /// As of the last evaluation.
    pub quality: PriceQuality,
    /// The last index that was not disputed; zero before the first.
    pub believed: Price,
    /// When it was last true.
    pub believed_at: Timestamp,
    /// In a dispute, who would be believed.
    pub majority: Option<Majority>,
    /// After this the evaluation would come out differently although nothing was observed.
    pub deadline: Timestamp,
}

/// A fresh source in an evaluation.
#[derive(Clone, Copy)]
struct Voice {
    price: Price,
    confidence: Price,
    published_at: Timestamp,
    /// Until when its price counts as moving; after that it may be stuck.
    moving_until: Timestamp,
    weight: u64,
    lineage: u64,
    source: usize,
}

const SILENT: Voice = Voice {
    price: Price(0),
    confidence: Price(0),
    published_at: Timestamp(0),
    moving_until: Timestamp(0),
    weight: 0,
    lineage: 0,
    source: 0,
};

impl Gaps {
    const fn new() -> Gaps {
        Gaps { counts: [0; GAP_BUCKETS], total: 0 }
    }

    fn bucket(gap: Duration) -> usize {
        let millis = (gap.0 / 1_000).max(1).unsigned_abs();
        let octave = millis.ilog2();
        let half = if octave == 0 { 0 } else { usize::from(millis >> (octave - 1) & 1 == 1) };
        (octave as usize * 2 + half).min(GAP_BUCKETS - 1)
    }

    /// The upper edge of a bucket: every gap in it is shorter.
    fn edge(bucket: usize) -> Duration {
        let octave = 1_i64 << (bucket / 2);
        let millis = if bucket.is_multiple_of(2) { octave + octave / 2 } else { octave * 2 };
        // Octave 0 has no halves.
        Duration::millis(millis.max(2))
    }

    fn learn(&mut self, gap: Duration) {
        if 1 << 20 <= self.total {
            // Old silences fade, so that a source that became faster is judged as faster.
            self.total = 0;
            for count in &mut self.counts {
                *count /= 2;
                self.total = self.total.saturating_add(*count);
            }
        }
        let count = &mut self.counts[Gaps::bucket(gap)];
        *count = count.saturating_add(1);
        self.total = self.total.saturating_add(1);
    }

    /// The 99.9th percentile of the gaps, as the upper edge of its bucket; zero before the first. With fewer than
    /// a thousand gaps it is the longest.
    fn p999(&self) -> Duration {
        let mut above: u64 = 0;
        for (bucket, count) in self.counts.iter().enumerate().rev() {
            // Most buckets are empty, and this is asked with every observation.
            if *count == 0 {
                continue;
            }
            above += u64::from(*count);
            if u64::from(self.total) < above * 1_000 {
                return Gaps::edge(bucket);
            }
        }
        Duration::ZERO
    }
}

impl Source {
    fn new(params: &SourceParams, oracle: &OracleParams) -> Source {
        Source {
            price: Price(0),
            confidence: Price(0),
            published_at: Timestamp::MIN,
            received_at: Timestamp::MIN,
            changed_at: Timestamp::MIN,
            settled: Price(0),
            exclusion: None,
            excluded_since: Timestamp::MIN,
            gaps: Gaps::new(),
            silence_max: silence_max(Duration::ZERO, params, oracle),
        }
    }

    /// The last instant at which the newest observation still counts.
    fn fresh_until(&self, params: &SourceParams, oracle: &OracleParams) -> Timestamp {
        let silent = self.received_at.plus(self.silence_max);
        let aged = self.published_at.plus(age_max(params, oracle));
        silent.min(aged)
    }

    /// Why the newest observation is left out, or `None`. Asked in the order of [`Exclusion`].
    fn filter(&self, params: &SourceParams, oracle: &OracleParams) -> Option<Exclusion> {
        if self.price <= Price(0) {
            return Some(Exclusion::NonPositive);
        }
        if oracle.future_max < self.published_at.since(self.received_at) {
            return Some(Exclusion::Future);
        }
        if self.price <= params.price_min || params.price_max <= self.price {
            return Some(Exclusion::StuckAtBound);
        }
        if !oracle.confidence_max.covers(i128::from(self.confidence.0), i128::from(self.price.0)) {
            return Some(Exclusion::Uncertain);
        }
        if self.settled != Price(0) && !self.price.within(oracle.jump_max, self.settled) {
            return Some(Exclusion::Jump);
        }
        None
    }
}

/// A source is expected once a heartbeat; half of one more is tolerated.
fn patience(params: &SourceParams) -> Duration {
    Duration(params.heartbeat.0.saturating_add(params.heartbeat.0 / 2))
}

/// How old an observation may be.
fn age_max(params: &SourceParams, oracle: &OracleParams) -> Duration {
    oracle.age_max.max(patience(params))
}

/// The learned silence, never under the floor, never over the age limit, and never stricter than the heartbeat.
fn silence_max(learned: Duration, params: &SourceParams, oracle: &OracleParams) -> Duration {
    learned.max(oracle.silence_floor).min(oracle.age_max).max(patience(params))
}

impl Index {
    /// Nothing observed yet.
    #[must_use]
    pub fn new(params: &MarketParams) -> Index {
        Index {
            sources: params.sources.iter().map(|source| Source::new(source, &params.oracle)).collect(),
            quality: PriceQuality::NONE,
            believed: Price(0),
            believed_at: Timestamp::MIN,
            majority: None,
            deadline: Timestamp::MAX,
        }
    }

    /// The index with its quality, as of the last evaluation.
    #[must_use]
    pub fn quality(&self) -> &PriceQuality {
        &self.quality
    }

    /// Why a source's newest observation is left out; `None` for a source that is used or unknown.
    #[must_use]
    pub fn exclusion(&self, source: usize) -> Option<Exclusion> {
        self.sources.get(source)?.exclusion
    }

    /// Files an observation.
    ///
    /// # Errors
    /// `UnknownSource`; `OutOfRange` for a negative confidence; `ReceivedAfterBatch`; `OutOfOrder` where the source
    /// already published or delivered something newer. Nothing is changed then.
    pub fn observe(&mut self, seen: &Observation, params: &MarketParams, at: Timestamp) -> Result<(), Reject> {
        let place = usize::from(seen.source.0);
        let (Some(source), Some(listed)) = (self.sources.get_mut(place), params.sources.get(place)) else {
            return Err(Reject::UnknownSource);
        };
        if seen.confidence < Price(0) {
            return Err(Reject::OutOfRange);
        }
        if at < seen.received_at {
            return Err(Reject::ReceivedAfterBatch);
        }
        // A source whose clock ran ahead must not lock itself out: a claim from the future orders nothing.
        let ran_ahead = source.exclusion == Some(Exclusion::Future);
        if seen.received_at < source.received_at || seen.published_at < source.published_at && !ran_ahead {
            return Err(Reject::OutOfOrder);
        }
        let gap = seen.received_at.since(source.received_at);
        if source.received_at != Timestamp::MIN && Duration::ZERO < gap {
            source.gaps.learn(gap);
            source.silence_max = silence_max(source.gaps.p999(), listed, &params.oracle);
        }
        let jumped_before = source.price;
        if source.price != seen.price {
            source.changed_at = seen.received_at;
        }
        source.price = seen.price;
        source.confidence = seen.confidence;
        source.published_at = seen.published_at;
        source.received_at = seen.received_at;
        let found = source.filter(listed, &params.oracle);
        let stands = source.exclusion.is_some() && source.exclusion == found && {
            // A jump is one and the same only while the source stays near where it jumped to.
            found != Some(Exclusion::Jump) || seen.price.within(params.oracle.jump_max, jumped_before)
        };
        match found {
            Some(Exclusion::Jump) if stands => {
                if params.oracle.jump_confirm <= seen.received_at.since(source.excluded_since) {
                    source.settle();
                }
            }
            Some(_) if stands => {}
            Some(_) => {
                source.exclusion = found;
                source.excluded_since = seen.received_at;
            }
            None if source.exclusion == Some(Exclusion::Overruled) => source.settled = source.price,
            None => source.settle(),
        }
        Ok(())
    }

    /// Says what the sources amount to at `at`.
    pub fn evaluate(&mut self, params: &MarketParams, at: Timestamp) {
        let oracle = &params.oracle;
        let mut voices = [SILENT; MarketParams::SOURCES_MAX];
        let mut usable = 0;
        let mut nonsense = [SILENT; MarketParams::SOURCES_MAX];
        let mut talking_nonsense = 0;
        let mut unconfirmed = [SILENT; MarketParams::SOURCES_MAX];
        let mut jumping = 0;
        let mut deadline = Timestamp::MAX;
        for (place, (source, listing)) in self.sources.iter().zip(&params.sources).enumerate() {
            let until = source.fresh_until(listing, oracle);
            if until < at || source.received_at == Timestamp::MIN {
                continue;
            }
            let voice = Voice {
                price: source.price,
                confidence: source.confidence,
                published_at: source.published_at,
                moving_until: source.changed_at.plus(age_max(listing, oracle)),
                weight: u64::from(listing.weight),
                lineage: 1 << (listing.lineage.0 & 63),
                source: place,
            };
            match source.exclusion {
                None => {
                    insert(&mut voices, usable, voice);
                    usable += 1;
                    deadline = deadline.min(until);
                }
                Some(Exclusion::Jump) => {
                    insert(&mut unconfirmed, jumping, voice);
                    jumping += 1;
                    deadline = deadline.min(until);
                }
                // Nonsense speaks against the price too, but not for ever: whoever talks nonsense for the whole
                // confirmation time is set aside.
                Some(Exclusion::NonPositive | Exclusion::Future | Exclusion::StuckAtBound | Exclusion::Uncertain) => {
                    let counts_until = source.excluded_since.plus(oracle.dispute_confirm);
                    if at < counts_until {
                        insert(&mut nonsense, talking_nonsense, voice);
                        talking_nonsense += 1;
                        deadline = deadline.min(until).min(counts_until);
                    }
                }
                Some(Exclusion::Overruled) => {
                    deadline = deadline.min(until);
                }
            }
        }
        // A jump that another lineage confirms is no longer only the source's own word.
        let mut k = 0;
        while k < jumping {
            let voice = unconfirmed[k];
            let confirmed = voices[..usable]
                .iter()
                .chain(&unconfirmed[..jumping])
                .any(|other| other.lineage != voice.lineage && voice.price.within(oracle.agree, other.price));
            if confirmed && let Some(source) = self.sources.get_mut(voice.source) {
                source.settle();
            }
            k += 1;
        }
        let mut still = 0;
        for k in 0..jumping {
            let voice = unconfirmed[k];
            if self.sources.get(voice.source).is_some_and(|source| source.exclusion.is_none()) {
                insert(&mut voices, usable, voice);
                usable += 1;
            } else {
                unconfirmed[still] = voice;
                still += 1;
            }
        }
        let (voices, unconfirmed, nonsense) =
            (&mut voices[..usable], &mut unconfirmed[..still], &mut nonsense[..talking_nonsense]);
        let (listed, lineages) = share_voices(&params.sources, &mut [&mut *voices, &mut *unconfirmed, &mut *nonsense]);
        let present = voices.iter().chain(&*unconfirmed).chain(&*nonsense).map(|voice| voice.weight).sum();
        let (voices, unconfirmed) = (&*voices, &*unconfirmed);
        let quality = match median(voices, oracle) {
            None => self.without_sources(params, unconfirmed, at, &mut deadline),
            Some(value) => self.with_sources(
                params,
                voices,
                unconfirmed,
                Totals { value, present, listed, lineages },
                at,
                &mut deadline,
            ),
        };
        self.quality = quality;
        self.deadline = deadline;
    }

    fn with_sources(
        &mut self,
        params: &MarketParams,
        voices: &[Voice],
        unconfirmed: &[Voice],
        totals: Totals,
        at: Timestamp,
        deadline: &mut Timestamp,
    ) -> PriceQuality {
        let oracle = &params.oracle;
        let Totals { value, present, listed, lineages } = totals;
        let camp = Camp::around(value, voices.iter(), oracle);
        let far = |voice: &Voice| !voice.price.within(oracle.dispute, value);
        let contradicted = width(voices.iter().chain(unconfirmed)) > limit_of(oracle.dispute, value);
        let has_majority = present < camp.supporting * 2;
        // The index would leave its last value while somebody fresh says that it moved less, or the other way: too good
        // a moment for a liar to be believed at once. Whoever only says that it moved farther is not in the way.
        let moved = self.believed != Price(0) && !value.within(oracle.dispute, self.believed);
        let farther = |voice: &Voice| (self.believed < value) == (value < voice.price);
        let left_behind = moved && voices.iter().any(|voice| far(voice) && !farther(voice));
        // Whoever repeats one price to the digit for longer than a price may be old is perhaps stuck, and can't say at
        // once that those who moved are wrong.
        let moving = Camp::around(value, voices.iter().filter(|voice| at <= voice.moving_until), oracle);
        let outvoted = oracle.overrule_lineages <= moving.supporters && !left_behind;
        if contradicted && outvoted {
            let until = voices.iter().map(|voice| voice.moving_until).filter(|until| at <= *until).min();
            *deadline = (*deadline).min(until.unwrap_or(*deadline));
        }
        // Whoever contradicted may only have gone silent. Too few voices do not carry the index off at once, unless the
        // market never lists enough of them; there a source's own history has to do.
        let carried_off = moved && camp.supporters < oracle.lineages_min && oracle.lineages_min <= lineages;
        let mut disputed = !has_majority || contradicted && !outvoted || carried_off;
        if disputed && has_majority {
            let since = match self.majority {
                Some(held) if value.within(oracle.dispute, held.value) => held.since,
                Some(_) | None => at,
            };
            self.majority = Some(Majority { value, since });
            let believed_at = since.plus(oracle.dispute_confirm);
            if believed_at <= at {
                disputed = false;
                let against = |voice: &&Voice| !voice.price.within(oracle.agree, value);
                for voice in voices.iter().chain(unconfirmed).filter(against) {
                    if let Some(source) = self.sources.get_mut(voice.source) {
                        source.exclusion = Some(Exclusion::Overruled);
                        source.excluded_since = at;
                    }
                }
            } else {
                *deadline = (*deadline).min(Timestamp(believed_at.0.saturating_sub(1)));
            }
        }
        if !disputed || !has_majority {
            self.majority = None;
        }
        self.readmit(value, oracle);
        let newest = voices.iter().map(|voice| voice.published_at).max().unwrap_or(at);
        let age = Duration(at.since(newest).0.max(0));
        if disputed {
            // Under half of the weight must neither hold the index nor be followed by it.
            let bounds = |voice: &&Voice| !has_majority || voice.price.within(oracle.agree, value);
            let low = voices.iter().find(bounds).map_or(value, |voice| voice.price);
            let high = voices.iter().rfind(bounds).map_or(value, |voice| voice.price);
            let value = if self.believed == Price(0) { value } else { self.believed.clamp(low, high) };
            // What was believed is one of the things that contradict each other.
            let left = if self.believed == Price(0) { 0 } else { self.believed.distance(value) };
            let confidence = spread(value, voices.iter().chain(unconfirmed));
            let confidence = confidence.max(Price(i64::try_from(left).unwrap_or(i64::MAX)));
            let camp = Camp::around(value, voices.iter(), oracle);
            let coverage = share(camp.supporting, listed);
            let (state, rung) = (QualityState::Disputed, Rung::Primary);
            return PriceQuality { value, confidence, age, coverage, lineages: camp.supporters, state, rung };
        }
        self.believed = value;
        self.believed_at = at;
        let confidence = spread(value, voices.iter().filter(|voice| !far(voice)));
        let state = if oracle.lineages_min <= camp.supporters { QualityState::Agreed } else { QualityState::Degraded };
        let coverage = share(camp.supporting, listed);
        PriceQuality { value, confidence, age, coverage, lineages: camp.supporters, state, rung: Rung::Primary }
    }

    /// No source passes: an unconfirmed jump contradicts the last good index; otherwise it serves while it may.
    fn without_sources(
        &mut self,
        params: &MarketParams,
        unconfirmed: &[Voice],
        at: Timestamp,
        deadline: &mut Timestamp,
    ) -> PriceQuality {
        self.majority = None;
        let serves_until = self.believed_at.plus(params.oracle.last_good_max);
        if self.believed == Price(0) || serves_until < at {
            return PriceQuality::NONE;
        }
        *deadline = (*deadline).min(serves_until);
        let state = if unconfirmed.is_empty() { QualityState::Degraded } else { QualityState::Disputed };
        PriceQuality {
            value: self.believed,
            confidence: spread(self.believed, unconfirmed.iter()),
            age: Duration(at.since(self.believed_at).0.max(0)),
            coverage: Ratio::ZERO,
            lineages: 0,
            state,
            rung: Rung::LastGood,
        }
    }

    /// A source that was overruled is heard again once it says what everyone says.
    fn readmit(&mut self, value: Price, oracle: &OracleParams) {
        for source in &mut self.sources {
            if source.exclusion == Some(Exclusion::Overruled) && source.price.within(oracle.agree, value) {
                source.settle();
            }
        }
    }
}

impl Source {
    fn settle(&mut self) {
        self.settled = self.price;
        self.exclusion = None;
    }
}

struct Totals {
    value: Price,
    /// Weight of everyone who is present.
    present: u64,
    /// Weight of all lineages listed.
    listed: u64,
    /// Lineages listed.
    lineages: u8,
}

/// Who stands by a value: within the agreement limit of it.
struct Camp {
    /// Their weight.
    supporting: u64,
    /// Their independent lineages.
    supporters: u8,
}

impl Camp {
    fn around<'a>(value: Price, voices: impl Iterator<Item = &'a Voice>, oracle: &OracleParams) -> Camp {
        let (mut supporting, mut lineages) = (0, 0_u64);
        for voice in voices.filter(|voice| voice.price.within(oracle.agree, value)) {
            supporting += voice.weight;
            lineages |= voice.lineage;
        }
        Camp { supporting, supporters: u8::try_from(lineages.count_ones()).unwrap_or(u8::MAX) }
    }
}

/// Into how many parts a unit of weight is cut where a lineage has several sources: the least number that every count of
/// sources up to sixteen divides, so that equal feeds get equal shares.
const PARTS: u64 = 720_720;

/// Makes the sources of one lineage that are present share the weight of the heaviest of them, in proportion to their
/// own and rounded down; what that leaves goes to the first listed, so that their voice is whole and a tie of two
/// lineages stays one. Returns the weight of all lineages listed, in the same unit, and their number.
fn share_voices(listed: &[SourceParams], present: &mut [&mut [Voice]]) -> (u64, u8) {
    let lineage = |source: &SourceParams| 1_u64 << (source.lineage.0 & 63);
    let (mut once, mut shared) = (0, 0);
    for source in listed {
        shared |= once & lineage(source);
        once |= lineage(source);
    }
    let count = u8::try_from(once.count_ones()).unwrap_or(u8::MAX);
    if shared == 0 {
        return (listed.iter().map(|source| u64::from(source.weight)).sum(), count);
    }
    let voice_of = |set: u64| {
        let weights = || listed.iter().filter(|source| lineage(source) == set).map(|source| u64::from(source.weight));
        weights().max().unwrap_or(0)
    };
    let lineages = (0..64).map(|bit| 1_u64 << bit).filter(|set| once & set != 0);
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
    (total, count)
}

/// Keeps `sorted[..len]` in order of price, ties in order of listing.
fn insert(sorted: &mut [Voice; MarketParams::SOURCES_MAX], len: usize, voice: Voice) {
    let mut i = len;
    while 0 < i && voice.price < sorted[i - 1].price {
        sorted[i] = sorted[i - 1];
        i -= 1;
    }
    sorted[i] = voice;
}

fn median(voices: &[Voice], oracle: &OracleParams) -> Option<Price> {
    let first = weighted_median(voices)?;
    let near = |voice: &Voice| voice.price.within(oracle.dispute, first);
    let start = voices.iter().position(near);
    let end = voices.iter().rposition(near);
    match (start, end) {
        (Some(start), Some(end)) => weighted_median(voices.get(start..=end)?),
        // Two halves far apart, with the midpoint in nobody's reach.
        (None, _) | (_, None) => Some(first),
    }
}

/// The weighted median of prices in rising order, as the module's documentation defines it; `None` of nothing.
fn weighted_median(voices: &[Voice]) -> Option<Price> {
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

/// The distance between the lowest and the highest price.
fn width<'a>(voices: impl Iterator<Item = &'a Voice>) -> i128 {
    let (mut low, mut high) = (Price(i64::MAX), Price(i64::MIN));
    for voice in voices {
        low = low.min(voice.price);
        high = high.max(voice.price);
    }
    if low <= high { high.distance(low) } else { 0 }
}

/// `limit` of `value`, rounded down.
fn limit_of(limit: Ratio, value: Price) -> i128 {
    limit.of(i128::from(value.0), Rounding::Down).unwrap_or(0)
}

/// The half-width around `value` that holds every voice and its own claim.
fn spread<'a>(value: Price, voices: impl Iterator<Item = &'a Voice>) -> Price {
    let widest = voices
        .map(|voice| voice.price.distance(value).saturating_add(i128::from(voice.confidence.0)))
        .max()
        .unwrap_or(0);
    Price(i64::try_from(widest).unwrap_or(i64::MAX))
}

fn share(part: u64, whole: u64) -> Ratio {
    Ratio::of_parts(i128::from(part), i128::from(whole), Rounding::Down).unwrap_or(Ratio::ZERO)
}
