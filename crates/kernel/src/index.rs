//! Sources become one index price with its quality.
//!
//! [`Index::observe`] files a source's newest observation behind the filters; [`Index::evaluate`] says what the sources
//! that are still fresh amount to. A value is
//!
//! * **Agreed** where enough independent lineages support it (lie within `agree` of it), more than half of the weight
//!   present does, and where fresh sources are farther apart than `dispute`, enough lineages whose price moves outvote
//!   the rest: `overrule_lineages` and more than two thirds of all whose price moves, none of which was left behind;
//! * **Disputed** where fresh sources contradict each other so and nobody has been believed yet, or where too few voices
//!   would carry the index off the last agreed one by more than `dispute` because the others have gone silent. The value
//!   then stays as close to the last believed index as the fresh sources allow: those of the majority, or all where none
//!   has more than half of the weight. Whom a majority has contradicted for `dispute_confirm` in all is overruled and left
//!   out, each by a clock of its own, which as long without contradiction sets back; too few voices off the agreed index
//!   are believed after as long;
//! * **Degraded** where nobody contradicts but fewer lineages speak than the policy asks for, or where only the last
//!   good index is left;
//! * **None** otherwise.
//!
//! What moves in steps is measured against the last **agreed** index, which rests while anybody whose price moves
//! contradicts, not against the last one: so neither a lone source nor a lying majority gets anywhere by walking.
//!
//! Who was overruled is heard again once it has stood for `dispute_confirm` by the index or by one of another lineage who
//! supports it, once the index has gone on away from it by more than `dispute` (whoever overruled it may be lying further),
//! or once no majority of enough lineages has stood for as long.
//!
//! Sources of one lineage share one voice, that of the heaviest of them, in proportion to their weights: two feeds of
//! one operator never outvote two operators.
//!
//! The weighted median: at one source its price; where the cumulative weight meets exactly half, the midpoint of the
//! two prices between which it does; otherwise the price at which it passes half. It is taken once over all usable
//! sources and again over those within the dispute limit of the first, so that a far minority has no pull at all.

mod source;
mod voices;

pub use source::{Denomination, GAP_BUCKETS, Gaps, Parts, Rate, Source, Standing};
pub(crate) use source::{jump_limit, root_of};

use alloc::vec::Vec;
use protocol::input::Observation;
use protocol::params::{Lineages, SourceParams};
use protocol::quality::Exclusion;
use protocol::{MarketId, MarketParams, Panel, PriceQuality, QualityState, Reject, Rung, SourceKind};
use source::{Stand, age_max};
use units::{Duration, Price, Ratio, Timestamp};
use voices::{
    Camp, Contradiction, SILENT, Voice, claims, insert, limit_of, lineages_of, median, near, rising, share,
    share_voices, spread, traded, typical_reach,
};

/// Too few voices for an agreed price that carry the index off, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adrift {
    /// The price with which they began: they have nothing to show but that.
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
    /// The half-width around it that holds every voice within the dispute limit and its own claim, and never less than the
    /// quality's confidence.
    pub spread: Price,
    /// The last index that was not disputed; zero before the first.
    pub believed: Price,
    /// When it was last true.
    pub believed_at: Timestamp,
    /// The last index that as many lineages supported as an agreed price needs (or as the market lists) while nobody whose
    /// price moves contradicted, or that was confirmed; before that the first one, zero before any.
    pub agreed: Price,
    /// The last index that was no leap, disputed or not.
    pub footing: Price,
    /// A majority of as many as an agreed price needs stood there.
    pub vouched: bool,
    /// Until when as many supported the index, contradicted or not.
    pub supported_at: Timestamp,
    /// In a dispute, too few who would be believed, or everybody at once so far away.
    pub adrift: Option<Adrift>,
    /// Where everybody is who went so far away at once, and is not believed yet; zero where nobody did.
    pub leapt: Price,
    /// What its sources price.
    pub denomination: Denomination,
    /// Nothing was agreed on yet since that changed: the index is to go on where it was.
    pub rebased: bool,
    /// What of the index trades bear out; zero where no source is usable.
    pub traded: Price,
    /// When the newest of them was published, or of all sources where no trade is heard.
    pub traded_at: Timestamp,
    /// The fresh sources that speak from their own bound, as bits.
    pub stuck: u16,
    /// Independent lineages that named a price, whatever it was.
    pub heard: u8,
    /// After this the evaluation would come out differently although nothing was observed.
    pub deadline: Timestamp,
}

/// Passes of an evaluation: one more than it takes to overrule somebody and to hear somebody else again for that.
const PASSES_MAX: usize = 4;

impl Index {
    /// Nothing observed yet.
    #[must_use]
    pub fn new(panel: &Panel) -> Index {
        Index {
            sources: panel.sources.iter().map(|_| Source::new()).collect(),
            quality: PriceQuality::NONE,
            spread: Price(0),
            believed: Price(0),
            believed_at: Timestamp::MIN,
            agreed: Price(0),
            footing: Price(0),
            vouched: false,
            supported_at: Timestamp::MIN,
            adrift: None,
            leapt: Price(0),
            denomination: Denomination::LISTED,
            rebased: false,
            traded: Price(0),
            traded_at: Timestamp::MIN,
            stuck: 0,
            heard: 0,
            deadline: Timestamp::MAX,
        }
    }

    /// What serves the market is what this set agreed on last, while another one serves: too few of it may not leave that unseen.
    pub(crate) fn follow(&mut self, served: Price, at: Timestamp) {
        if self.agreed == Price(0) {
            return;
        }
        self.agreed = served;
        // A leap waits as long wherever the market is priced meanwhile, and is measured from there.
        (self.footing, self.vouched) = (served, true);
        if self.leapt == Price(0)
            && let Some(adrift) = &mut self.adrift
        {
            adrift.since = at;
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

    /// Files an observation, in USD by `rate` where it is in another unit.
    ///
    /// # Errors
    /// `UnknownSource`; `OutOfRange` for a negative confidence; `ReceivedAfterBatch`; `OutOfOrder` where the source
    /// already published or delivered something newer. Nothing is changed then.
    pub fn observe(
        &mut self,
        seen: &Observation,
        panel: &Panel,
        rate: Option<Rate>,
        at: Timestamp,
    ) -> Result<(), Reject> {
        let place = panel.place_of(seen.source).ok_or(Reject::UnknownSource)?;
        let (Some(source), Some(listed)) = (self.sources.get_mut(place), panel.sources.get(place)) else {
            return Err(Reject::UnknownSource);
        };
        if seen.confidence < Price(0) {
            return Err(Reject::OutOfRange);
        }
        if at < seen.received_at {
            return Err(Reject::ReceivedAfterBatch);
        }
        // A source whose clock ran ahead must not lock itself out, whatever else was wrong with what it said: a claim from
        // the future orders nothing.
        let ran_ahead = panel.oracle.future_max < source.published_at.since(source.received_at);
        if seen.received_at < source.received_at || seen.published_at < source.published_at && !ran_ahead {
            return Err(Reject::OutOfOrder);
        }
        let stale_from = source.fresh_until;
        if stale_from < seen.received_at {
            source.fall_silent(stale_from.min(Timestamp(self.deadline.0.saturating_add(1))));
        }
        let gap = seen.received_at.since(source.received_at);
        // What was away was not the source.
        if source.fresh_until != Timestamp::MIN && Duration::ZERO < gap {
            source.gaps.learn(gap);
        }
        if source.quoted != seen.price {
            source.changed_at = seen.received_at;
        }
        (source.quoted, source.quoted_confidence) = (seen.price, seen.confidence);
        // The same once more, from somebody else or asked for again, says nothing of its way.
        let is_new = source.published_at != seen.published_at || source.received_at == Timestamp::MIN;
        source.published_at = seen.published_at;
        source.received_at = seen.received_at;
        source.convert(listed, rate, &self.denomination);
        if is_new {
            source.travel(&panel.oracle);
        }
        source.renew(listed, &panel.oracle);
        source.judge(listed, &panel.oracle);
        Ok(())
    }

    /// Takes the newest prices into USD anew, `rate_of` what they are in. Returns the sources whose exclusion that changed,
    /// as bits.
    pub fn convert(&mut self, panel: &Panel, rate_of: impl Fn(MarketId) -> Option<Rate>) -> u16 {
        let mut changed = 0;
        for (place, (source, listed)) in self.sources.iter_mut().zip(&panel.sources).enumerate() {
            let Some(quote) = listed.quote else { continue };
            if source.received_at == Timestamp::MIN || !source.convert(listed, rate_of(quote), &self.denomination) {
                continue;
            }
            let before = source.exclusion;
            source.judge(listed, &panel.oracle);
            changed |= u16::from(source.exclusion != before) << place;
        }
        changed
    }

    /// Takes prices of another denomination from `denomination.since` on, those that were heard already among them: those in a unit
    /// as soon as it is known again. Returns the sources whose exclusion that changed, as bits.
    pub fn redenominate(&mut self, denomination: Denomination, panel: &Panel) -> u16 {
        self.denomination = denomination;
        self.rebased = true;
        // Nobody has stood for anything in what is priced now.
        self.adrift = None;
        let mut changed = 0;
        for (place, (source, listed)) in self.sources.iter_mut().zip(&panel.sources).enumerate() {
            let is_heard = source.received_at != Timestamp::MIN && listed.quote.is_none();
            if is_heard && source.convert(listed, None, &denomination) {
                let before = source.exclusion;
                source.judge(listed, &panel.oracle);
                changed |= u16::from(source.exclusion != before) << place;
            }
        }
        changed
    }

    /// Hears every source anew: what was said before is no present price, though it is still what the next is judged by.
    pub fn forget(&mut self, at: Timestamp) {
        for source in &mut self.sources {
            source.fresh_until = Timestamp::MIN;
            source.fall_silent(at);
        }
        self.deadline = self.deadline.min(at);
    }

    /// Says what the sources amount to at `at`. Returns the sources whose exclusion that changed, as bits.
    pub fn evaluate(&mut self, panel: &Panel, at: Timestamp) -> u16 {
        let before = self.exclusions();
        let needed = panel.oracle.lineages_min.min(panel.lineages.count);
        // Through its deadline the last evaluation held, and not a moment longer.
        let held_until = at.min(Timestamp(self.deadline.0.saturating_add(1)));
        self.skip_unseen(at.since(held_until));
        if self.is_supported(needed) {
            self.supported_at = self.supported_at.max(at.min(self.deadline));
        }
        self.hear_deserted(panel, at);
        // Who is heard again or overruled by what the others amount to changes what they amount to. Only the last pass
        // leaves anything behind but that.
        let mut look = self.pass(panel, at);
        let mut overruled = look.overruled;
        for _ in 1..PASSES_MAX {
            if !look.changed {
                break;
            }
            look = self.pass(panel, at);
            overruled |= look.overruled;
        }
        self.take_stock(&look, panel, at);
        if overruled || look.stands || self.is_supported(needed) {
            self.supported_at = at;
        }
        if !self.is_supported(needed)
            && self.sources.iter().any(|source| source.exclusion == Some(Exclusion::Overruled))
        {
            let deserted_at = self.supported_at.plus(panel.oracle.dispute_confirm);
            if at < deserted_at {
                self.deadline = self.deadline.min(Timestamp(deserted_at.0.saturating_sub(1)));
            }
        }
        let changed = self.sources.iter().zip(before).map(|(source, before)| source.exclusion != before);
        changed.zip(0..).fold(0, |bits, (changed, place)| bits | u16::from(changed) << place)
    }

    /// What passed without anybody looking counts for nobody.
    fn skip_unseen(&mut self, unseen: Duration) {
        if unseen == Duration::ZERO {
            return;
        }
        if let Some(adrift) = &mut self.adrift {
            adrift.since = adrift.since.plus(unseen);
        }
        for source in &mut self.sources {
            source.contradicted_until = source.contradicted_until.plus(unseen);
            match &mut source.standing {
                Standing::Apart => {}
                Standing::With(since) | Standing::Against(since) => *since = since.plus(unseen),
            }
        }
    }

    /// Keeps what an evaluation came to.
    fn take_stock(&mut self, look: &Look, panel: &Panel, at: Timestamp) {
        self.quality = look.quality;
        self.spread = look.spread.max(look.quality.confidence);
        self.adrift = look.adrift;
        (self.traded, self.traded_at, self.stuck) = (look.traded, look.traded_at, look.stuck);
        self.heard = look.heard;
        self.deadline = look.deadline;
        if look.believed {
            self.believed = look.quality.value;
            self.believed_at = at;
        }
        if look.agreed {
            self.agreed = look.quality.value;
            self.rebased &= !look.came;
        }
        let value = look.quality.value;
        self.leapt = look.median.filter(|_| look.leaps).unwrap_or(Price(0));
        // A moment in which too few speak is no reason to forget where enough stood, as long as they stand there too.
        let stays = self.vouched && !look.stands && value.within(panel.oracle.dispute, self.footing);
        if look.median.is_some() && !look.leaps && !stays {
            (self.footing, self.vouched) = (value, look.stands);
        }
        let oracle = &panel.oracle;
        for (place, source) in self.sources.iter_mut().enumerate() {
            // Mostly everybody is heard and stands by the index, as he did.
            let stood = source.exclusion.is_none() && matches!(source.standing, Standing::With(_));
            if stood && look.camp & 1 << place != 0 {
                continue;
            }
            source.stand(look.stand(place, source), look.median, at, oracle);
            let overruled = source.exclusion == Some(Exclusion::Overruled);
            let changes_at = match source.standing {
                Standing::Against(since) => {
                    since.plus(Duration(oracle.dispute_confirm.0.saturating_sub(source.contradicted.0)))
                }
                Standing::With(since) if overruled => since.plus(oracle.dispute_confirm),
                Standing::With(_) | Standing::Apart => continue,
            };
            // What has run out already waits for something else.
            if at < changes_at {
                self.deadline = self.deadline.min(Timestamp(changes_at.0.saturating_sub(1)));
            }
        }
    }

    /// Why each source is left out.
    fn exclusions(&self) -> [Option<Exclusion>; MarketParams::SOURCES_MAX] {
        let mut exclusions = [None; MarketParams::SOURCES_MAX];
        for (exclusion, source) in exclusions.iter_mut().zip(&self.sources) {
            *exclusion = source.exclusion;
        }
        exclusions
    }

    fn pass(&mut self, panel: &Panel, at: Timestamp) -> Look {
        let oracle = &panel.oracle;
        let needed = oracle.lineages_min.min(panel.lineages.count);
        let mut look = Look::new(at);
        let mut listed = [SILENT; MarketParams::SOURCES_MAX];
        let mut usable = 0;
        // Unconfirmed jumps and what came late from the front on, nonsense from the back.
        let mut aside: Option<[Voice; MarketParams::SOURCES_MAX]> = None;
        let (mut jumping, mut nonsense_from) = (0, MarketParams::SOURCES_MAX);
        for (place, (source, listing)) in self.sources.iter_mut().zip(&panel.sources).enumerate() {
            let until = source.fresh_until;
            if until < at {
                continue;
            }
            let voice = Voice {
                price: source.price,
                confidence: source.confidence,
                published_at: source.published_at,
                weight: u64::from(listing.weight),
                lineage: Lineages::bit(listing),
                source: u8::try_from(place).unwrap_or(u8::MAX),
                is_traded: listing.kind == SourceKind::Trades,
            };
            match source.exclusion {
                None => {
                    listed[usable] = voice;
                    usable += 1;
                    look.deadline = look.deadline.min(until);
                    look.sensible |= 1 << place;
                }
                // What it was may be wrong by now; and it may be what is held back.
                Some(Exclusion::Jump | Exclusion::Delayed) => {
                    insert(aside.get_or_insert([SILENT; MarketParams::SOURCES_MAX]), jumping, voice);
                    jumping += 1;
                    look.deadline = look.deadline.min(until);
                    look.sensible |= 1 << place;
                }
                // Nonsense speaks against the price too, but not for ever: whoever talks nonsense for the whole
                // confirmation time is set aside.
                Some(Exclusion::NonPositive | Exclusion::Future | Exclusion::StuckAtBound | Exclusion::Uncertain) => {
                    // Beyond its bound the price may have gone on, for however long it stands there.
                    if source.exclusion == Some(Exclusion::StuckAtBound) {
                        look.stuck |= 1 << place;
                        look.deadline = look.deadline.min(until);
                    }
                    let counts_until = source.excluded_since.plus(oracle.dispute_confirm);
                    if at < counts_until {
                        nonsense_from -= 1;
                        aside.get_or_insert([SILENT; MarketParams::SOURCES_MAX])[nonsense_from] = voice;
                        look.deadline = look.deadline.min(until).min(Timestamp(counts_until.0.saturating_sub(1)));
                    }
                }
                // What its unit is worth nobody knows: it says nothing.
                Some(Exclusion::Unconverted) => {}
                Some(Exclusion::Overruled) => {
                    look.deadline = look.deadline.min(until);
                    if source.filter(listing, oracle) == Some(Exclusion::StuckAtBound) {
                        look.stuck |= 1 << place;
                    }
                    if source.is_a_price(listing, oracle) {
                        look.sensible |= 1 << place;
                        look.waiting |= 1 << place;
                    }
                }
            }
        }
        let mut voices = [SILENT; MarketParams::SOURCES_MAX];
        for (voice, place) in voices.iter_mut().zip(rising(&listed[..usable], |voice| voice.price)).take(usable) {
            *voice = listed[usize::from(place)];
        }
        // A jump that another lineage confirms is no longer only the source's own word.
        let aside = aside.as_mut().map(|aside| aside.split_at_mut(nonsense_from));
        // Mostly nobody is.
        let (unconfirmed, nonsense) = aside.unwrap_or((&mut [], &mut []));
        for k in 0..jumping {
            let voice = unconfirmed[k];
            let timely = |voice: &&Voice| self.source(voice).is_some_and(|s| s.exclusion != Some(Exclusion::Delayed));
            let mut others = voices[..usable].iter().chain(unconfirmed[..jumping].iter().filter(timely));
            let confirmed = timely(&&voice)
                && others.any(|other| other.lineage != voice.lineage && voice.price.within(oracle.agree, other.price));
            if confirmed && let Some(source) = self.sources.get_mut(usize::from(voice.source)) {
                source.settle();
            }
        }
        let mut still = 0;
        for k in 0..jumping {
            let voice = unconfirmed[k];
            if self.source(&voice).is_some_and(|source| source.exclusion.is_none()) {
                insert(&mut voices, usable, voice);
                usable += 1;
            } else {
                unconfirmed[still] = voice;
                still += 1;
            }
        }
        let (voices, unconfirmed) = (&mut voices[..usable], &mut unconfirmed[..still]);
        let listed = share_voices(panel, &mut [&mut *voices, &mut *unconfirmed, &mut *nonsense]);
        let present = voices.iter().chain(&*unconfirmed).chain(&*nonsense).map(|voice| voice.weight).sum();
        let (voices, unconfirmed) = (&*voices, &*unconfirmed);
        look.heard = lineages_of(voices.iter().chain(unconfirmed));
        match median(voices, oracle) {
            None => self.without_sources(panel, unconfirmed, &mut look),
            Some(value) => {
                self.with_sources(panel, voices, unconfirmed, Totals { value, present, listed, needed }, &mut look);
            }
        }
        look
    }

    /// Whether as many lineages as an agreed price needs, or as there are, stand by the index.
    const fn is_supported(&self, needed: u8) -> bool {
        let undisputed = matches!(self.quality.state, QualityState::Agreed | QualityState::Degraded);
        undisputed && matches!(self.quality.rung, Rung::Primary) && needed <= self.quality.lineages
    }

    fn with_sources(
        &mut self,
        panel: &Panel,
        voices: &[Voice],
        unconfirmed: &[Voice],
        totals: Totals,
        look: &mut Look,
    ) {
        let (oracle, at) = (&panel.oracle, look.at);
        let Totals { value, present, listed, needed } = totals;
        look.newest = voices.iter().map(|voice| voice.published_at).max().unwrap_or(at);
        let camp = Camp::around(value, voices.iter(), oracle);
        let heard = || voices.iter().chain(unconfirmed);
        let limit = limit_of(oracle.dispute, value);
        // As `within`, for a value that is positive; but nobody has to multiply.
        let close = u64::try_from(limit).unwrap_or(u64::MAX);
        let far = |voice: &Voice| close < voice.price.0.abs_diff(value.0);
        // Whoever repeats one price to the digit for longer than a price may be old is perhaps stuck: he can't say at once
        // that those who moved are wrong, nor keep them from saying so.
        let moving_until = |voice: &Voice| self.moving_until(voice, panel);
        let moves = |voice: &&Voice| at <= moving_until(voice);
        look.camp = camp.members;
        let mut majority = Contradiction { low: camp.low, high: camp.high, limit };
        for voice in unconfirmed.iter().filter(|voice| voice.price.within(oracle.agree, value)) {
            look.camp |= voice.bit();
            (majority.low, majority.high) = (majority.low.min(voice.price), majority.high.max(voice.price));
        }
        let members = look.camp;
        let supports = |voice: &&Voice| members & voice.bit() != 0;
        // Whoever is outside of the majority and too far from one of it contradicts it; where nobody does, those outside
        // of it contradict who is too far from them.
        let everybody = Contradiction { limit, ..Contradiction::between(voices, unconfirmed) };
        let apart = everybody.is_wide();
        let is_against = |of: Contradiction| heard().any(|voice| !supports(&voice) && of.holds(voice.price));
        let contradiction = if apart && is_against(majority) { majority } else { everybody };
        let contradicts = |voice: &&Voice| !supports(voice) && contradiction.holds(voice.price);
        let contradicted = apart && heard().any(|voice| contradicts(&voice));
        let challenged = contradicted && heard().filter(moves).any(|voice| contradicts(&voice));
        let too_few = camp.supporters < needed;
        // However heavy, a lone voice does not outweigh others who would be enough for an agreed price.
        let others_agree = || {
            let others = || heard().filter(|voice| !supports(voice));
            let with = |one: &Voice| lineages_of(others().filter(|other| other.price.within(oracle.agree, one.price)));
            others().any(|one| needed <= with(one))
        };
        let has_majority = present < camp.supporting * 2 && !(too_few && others_agree());
        look.stands = has_majority && !too_few;
        let mut outvoted = true;
        if contradicted {
            let moving = Camp::around(value, voices.iter().filter(moves), oracle).supporters;
            // The index leaves the agreed one while somebody says that it moved less, or the other way: too good a moment for
            // liars to be believed at once. Whoever only says that it moved farther is not in the way, and whoever went
            // the other way, and farther than the index did, has left by himself.
            let moved = self.agreed != Price(0) && !value.within(oracle.agree, self.agreed);
            let farther = |voice: &Voice| (self.agreed < value) == (value < voice.price);
            let near = Ratio(oracle.dispute.0.saturating_add(oracle.agree.0));
            let near = |voice: &Voice| {
                let moved_less = voice.price.distance(self.agreed) <= value.distance(self.agreed);
                moved_less || voice.price.within(near, self.agreed)
            };
            let stayed = |voice: &Voice| !farther(voice) && near(voice);
            // Whom the dispute is about unsays nothing by seeming stuck by now.
            let is_contradicted = |voice: &Voice| {
                let standing = self.source(voice).map(|source| source.standing);
                matches!(standing, Some(Standing::Against(_)))
            };
            let counts = |voice: &&Voice| moves(voice) || is_contradicted(voice);
            let all = lineages_of(heard().filter(counts));
            let left_behind = moved && heard().filter(counts).any(|voice| far(voice) && stayed(voice));
            let enough = oracle.overrule_lineages <= moving && u16::from(all) * 2 < u16::from(moving) * 3;
            outvoted = enough && !left_behind;
            let until = heard().filter(moves).map(moving_until).min();
            look.deadline = look.deadline.min(until.unwrap_or(Timestamp::MAX));
        }
        look.median = Some(value);
        if !outvoted && has_majority {
            look.contradiction = contradicted.then_some(contradiction);
            for voice in heard() {
                let place = usize::from(voice.source);
                if let Some(source) = self.sources.get_mut(place)
                    && look.stand(place, source) == Stand::Against
                    && oracle.dispute_confirm <= source.contradicted_for(value, at, oracle)
                {
                    source.exclusion = Some(Exclusion::Overruled);
                    source.excluded_since = at;
                    (source.claimed, source.refuted_by) = (source.price, value);
                    (look.overruled, look.changed) = (true, true);
                }
            }
        }
        // Whoever contradicted may only have gone silent. Too few voices do not carry the index off at once, unless the
        // market never lists enough of them; there a source's own history has to do. And everybody together does not carry it
        // off so far as a split does.
        let mut disputed = !has_majority || !outvoted;
        let is_rebased = self.rebased && self.denomination.since <= look.newest;
        if is_rebased {
            let since = self.denomination.since;
            let came = voices.iter().filter(supports).filter(|voice| since <= voice.published_at);
            look.came = needed <= lineages_of(came);
        }
        let leap_max = if is_rebased { oracle.dispute } else { oracle.leap_max };
        // What only few said is nothing to leap from.
        let leaps = has_majority && self.vouched && !value.within(leap_max, self.footing);
        let strays = too_few && self.agreed != Price(0) && !value.within(oracle.dispute, self.agreed);
        if leaps || has_majority && strays {
            let goes_on = |held: &Adrift| {
                let is_near = value.within(oracle.dispute, held.value);
                is_near || leaps && (value < self.footing) == (held.value < self.footing)
            };
            let held = self.adrift.filter(goes_on);
            let adrift = held.unwrap_or(Adrift { value, since: at });
            let confirm = if leaps { oracle.leap_confirm } else { oracle.dispute_confirm };
            let believed_at = adrift.since.plus(confirm);
            // What was announced and did not come is borne out by nothing, however long it does not.
            let unsaid = leaps && is_rebased && !self.denomination.came(value, self.footing);
            look.confirmed = !disputed && believed_at <= at && !unsaid;
            if !look.confirmed {
                look.leaps = leaps;
                disputed = true;
                look.adrift = Some(adrift);
            }
            if at < believed_at {
                look.deadline = look.deadline.min(Timestamp(believed_at.0.saturating_sub(1)));
            }
        }
        if look.waiting != 0 {
            look.beside = self.beside(look.waiting, voices.iter().filter(supports), panel);
            for (place, source) in self.sources.iter().enumerate() {
                if source.price.within(oracle.agree, value) {
                    look.camp |= 1 << place & look.waiting;
                }
            }
            look.changed |= self.readmit(look, value, panel, at);
        }
        let known_at = voices.iter().filter_map(|voice| self.source(voice)).map(Source::known_at).max();
        let newest = look.newest;
        let age = Duration(at.since(known_at.unwrap_or(at)).0.max(0));
        if disputed {
            // Under half of the weight must neither hold the index nor be followed by it.
            let bounds = |voice: &&Voice| !has_majority || voice.price.within(oracle.agree, value);
            let low = voices.iter().find(bounds).map_or(value, |voice| voice.price);
            let high = voices.iter().rfind(bounds).map_or(value, |voice| voice.price);
            let is_leap = leaps && outvoted;
            let value = if is_leap {
                // In whatever unit they speak, the market has not moved to there.
                self.footing
            } else if leaps {
                // Nor where somebody says so, too.
                let (low, high) =
                    heard().fold((value, value), |(low, high), voice| (low.min(voice.price), high.max(voice.price)));
                self.footing.max(low).min(high)
            } else if self.believed == Price(0) {
                value
            } else {
                self.believed.clamp(low, high)
            };
            let said = if is_leap { None } else { traded(value, voices, near(totals.value, close, voices)) };
            (look.traded, look.traded_at) = said.unwrap_or((value, newest));
            // What was believed is one of the things that contradict each other.
            let confidence = spread(value, voices.iter())
                .max(claims(value, unconfirmed, oracle))
                .max(self.left(self.believed, value))
                .max(self.left(self.agreed, value));
            let camp = Camp::around(value, voices.iter(), oracle);
            let coverage = share(camp.supporting, listed);
            let (state, rung) = (QualityState::Disputed, Rung::Primary);
            look.quality = PriceQuality { value, confidence, age, coverage, lineages: camp.supporters, state, rung };
            return;
        }
        let close_by = near(value, close, voices);
        (look.traded, look.traded_at) = traded(value, voices, close_by).unwrap_or((value, newest));
        look.believed = true;
        look.agreed = look.confirmed || self.agreed == Price(0) || !too_few && !challenged;
        look.spread = spread(value, close_by.iter());
        let mut confidence = typical_reach(value, close_by, oracle);
        if too_few && !look.agreed {
            // Few voices may walk: what they say holds as far as where more of them last stood says so too.
            confidence = confidence.max(self.left(self.agreed, value));
        }
        let state = if oracle.lineages_min <= camp.supporters { QualityState::Agreed } else { QualityState::Degraded };
        let coverage = share(camp.supporting, listed);
        let rung = Rung::Primary;
        look.quality = PriceQuality { value, confidence, age, coverage, lineages: camp.supporters, state, rung };
    }

    fn source(&self, voice: &Voice) -> Option<&Source> {
        self.sources.get(usize::from(voice.source))
    }

    /// Until when its price counts as moving; after that it may be stuck.
    fn moving_until(&self, voice: &Voice, panel: &Panel) -> Timestamp {
        let listed = self.source(voice).zip(panel.sources.get(usize::from(voice.source)));
        listed.map_or(Timestamp::MIN, |(source, listing)| source.changed_at.plus(age_max(listing, &panel.oracle)))
    }

    /// How far `value` lies from a price of the past; nothing where there is none.
    fn left(&self, past: Price, value: Price) -> Price {
        let away = if past == Price(0) { 0 } else { past.distance(value) };
        Price(i64::try_from(away).unwrap_or(i64::MAX))
    }

    /// No source passes: an unconfirmed jump contradicts the last good index; otherwise it serves while it may.
    fn without_sources(&self, panel: &Panel, unconfirmed: &[Voice], look: &mut Look) {
        let at = look.at;
        let serves_until = self.believed_at.plus(panel.oracle.last_good_max);
        if self.believed == Price(0) || serves_until < at {
            return;
        }
        look.deadline = look.deadline.min(serves_until);
        let state = if unconfirmed.is_empty() { QualityState::Degraded } else { QualityState::Disputed };
        look.quality = PriceQuality {
            value: self.believed,
            confidence: claims(self.believed, unconfirmed, &panel.oracle),
            age: Duration(at.since(self.believed_at).0.max(0)),
            coverage: Ratio::ZERO,
            lineages: 0,
            state,
            rung: Rung::LastGood,
        };
    }

    /// Where those who overruled somebody are no longer enough, he may be the only honest one, and speaks again.
    fn hear_deserted(&mut self, panel: &Panel, at: Timestamp) {
        let oracle = &panel.oracle;
        if at < self.supported_at.plus(oracle.dispute_confirm) {
            return;
        }
        for (source, listing) in self.sources.iter_mut().zip(&panel.sources) {
            let overruled = source.exclusion == Some(Exclusion::Overruled);
            if overruled && at <= source.fresh_until && source.is_a_price(listing, oracle) {
                source.speak_again(listing, oracle);
            }
        }
    }

    /// Of those that wait, as bits, who is within the agreement limit of one of another lineage who supports the index. The
    /// index alone is no measure: with an honest source gone, one liar is half of it.
    fn beside<'a>(&self, waiting: u16, supporters: impl Iterator<Item = &'a Voice> + Clone, panel: &Panel) -> u16 {
        let beside = |(source, listing): (&Source, &SourceParams)| {
            let near = |voice: &Voice| source.price.within(panel.oracle.agree, voice.price);
            supporters.clone().any(|voice| voice.lineage != Lineages::bit(listing) && near(voice))
        };
        let found = self.sources.iter().zip(&panel.sources).map(beside);
        found.zip(0..).fold(0, |bits, (found, place)| bits | u16::from(found) << place) & waiting
    }

    /// Of those that wait, one is heard again once it has said for long enough what everyone says, or once the index
    /// has gone on from where it was overruled and the source, whose price moves, has not gone along.
    /// Returns whether anybody is.
    fn readmit(&mut self, look: &Look, value: Price, panel: &Panel, at: Timestamp) -> bool {
        let oracle = &panel.oracle;
        let mut heard = false;
        for (place, (source, listing)) in self.sources.iter_mut().zip(&panel.sources).enumerate() {
            if look.waiting & 1 << place == 0 {
                continue;
            }
            let stands = (look.camp | look.beside) & 1 << place != 0;
            let stood = match source.standing {
                Standing::With(since) => stands && oracle.dispute_confirm <= at.since(since),
                Standing::Apart | Standing::Against(_) => false,
            };
            // Its price moved when it was overruled, the index has gone on away from it, and it has not gone along.
            let objects = || {
                source.excluded_since <= source.changed_at.plus(age_max(listing, oracle))
                    && (value < source.refuted_by) == (source.refuted_by < source.claimed)
                    && !value.within(oracle.dispute, source.refuted_by)
                    && !source.price.within(oracle.dispute, source.gone_along(value))
            };
            if stood {
                source.readmit();
            } else if objects() {
                source.speak_again(listing, oracle);
            } else {
                continue;
            }
            heard = true;
        }
        heard
    }
}

/// What one pass of an evaluation came to.
struct Look {
    at: Timestamp,
    /// After this it would come out differently although nothing was observed.
    deadline: Timestamp,
    /// The sources that are fresh and talk no nonsense, as bits.
    sensible: u16,
    /// Those of them that were overruled before.
    waiting: u16,
    /// The sensible who support the index.
    camp: u16,
    /// Those of the waiting who stand beside one of them.
    beside: u16,
    /// A majority of enough lineages stands, disputed or not.
    stands: bool,
    quality: PriceQuality,
    spread: Price,
    traded: Price,
    traded_at: Timestamp,
    stuck: u16,
    heard: u8,
    /// The median of those that are heard.
    median: Option<Price>,
    contradiction: Option<Contradiction>,
    adrift: Option<Adrift>,
    /// When the newest of them was published.
    newest: Timestamp,
    /// The value is believed.
    believed: bool,
    /// And agreed.
    agreed: bool,
    /// Too few have stood for long enough, or everybody after a leap.
    confirmed: bool,
    /// Everybody leaps, and is not believed yet.
    leaps: bool,
    /// As many as an agreed price needs support it with what they published in the present denomination.
    came: bool,
    /// Somebody was overruled.
    overruled: bool,
    /// Somebody is in or out who was not when the voices were counted.
    changed: bool,
}

impl Look {
    const fn new(at: Timestamp) -> Look {
        Look {
            at,
            deadline: Timestamp::MAX,
            sensible: 0,
            waiting: 0,
            camp: 0,
            beside: 0,
            stands: false,
            quality: PriceQuality::NONE,
            spread: Price(0),
            traded: Price(0),
            traded_at: Timestamp::MIN,
            stuck: 0,
            heard: 0,
            median: None,
            contradiction: None,
            adrift: None,
            newest: Timestamp::MIN,
            believed: false,
            agreed: false,
            confirmed: false,
            leaps: false,
            came: false,
            overruled: false,
            changed: false,
        }
    }

    /// Where a source stands that is heard or would be.
    fn stand(&self, place: usize, source: &Source) -> Stand {
        let bit = 1 << place;
        let is_overruled = source.exclusion == Some(Exclusion::Overruled);
        if self.sensible & bit == 0 || self.median.is_none() {
            Stand::Apart
        } else if self.camp & bit != 0 || is_overruled && self.beside & bit != 0 {
            Stand::With
        } else if !is_overruled && self.contradiction.is_some_and(|found| found.holds(source.price)) {
            Stand::Against
        } else {
            Stand::Apart
        }
    }
}

struct Totals {
    value: Price,
    /// Weight of everyone who is present.
    present: u64,
    /// Weight of all lineages listed.
    listed: u64,
    /// Lineages that an agreed price needs, or as many as are listed.
    needed: u8,
}
