//! What is remembered of one source: its newest observation behind the filters, its learned silences, and where it stands to
//! what the others say.

use protocol::params::{OracleParams, SourceParams};
use protocol::quality::Exclusion;
use protocol::{PriceQuality, QualityState, Rung};
use units::{Duration, Price, Ratio, Rounding, Scale, Timestamp, mul_div};

/// Half-octave buckets of milliseconds from 1 ms on; the last holds everything above 12 days.
pub const GAP_BUCKETS: usize = 62;

/// How long a source has been silent between observations, learned in bounded memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gaps {
    /// Per half-octave of milliseconds.
    pub counts: [u32; GAP_BUCKETS],
    /// Sum of `counts`.
    pub total: u32,
    /// No bucket above this one holds anything.
    pub highest: u8,
}

/// What is remembered of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The newest observation in the source's own unit; `received_at` is `MIN` before the first.
    pub quoted: Price,
    /// The source's own half-width, likewise.
    pub quoted_confidence: Price,
    /// The newest observation in USD; zero where its unit has no price.
    pub price: Price,
    /// Half-width in USD, with that of the unit's price.
    pub confidence: Price,
    /// Theirs.
    pub published_at: Timestamp,
    /// Ours.
    pub received_at: Timestamp,
    /// The last instant at which the newest observation still counts; `MIN` before the first, and since a restart.
    pub fresh_until: Timestamp,
    /// When what its unit is worth was published; `MAX` in USD.
    pub unit_at: Timestamp,
    /// When its price last changed, by receipt.
    pub changed_at: Timestamp,
    /// The last price of this source that passed every filter; zero before the first.
    pub settled: Price,
    /// When it was published.
    pub settled_at: Timestamp,
    /// Why the newest observation is left out.
    pub exclusion: Option<Exclusion>,
    /// Since when it has been left out without a break: by jumps near each other, or by nonsense of whatever kind.
    pub excluded_since: Timestamp,
    /// The price to which it jumped then, or at which it was overruled.
    pub claimed: Price,
    /// The value that contradicted it last, or for which it was overruled; zero before.
    pub refuted_by: Price,
    /// Where it stands to the index.
    pub standing: Standing,
    /// How long it was contradicted before `standing`, without a break of `dispute_confirm`.
    pub contradicted: Duration,
    /// When that ended.
    pub contradicted_until: Timestamp,
    /// Learned silences.
    pub gaps: Gaps,
    /// Learned times from publishing to receipt.
    pub delays: Gaps,
    /// The newest observation came later than nearly all before it.
    pub is_late: bool,
    /// Since when each one was; `MIN` where the newest was not.
    pub late_since: Timestamp,
}

/// Where a source stands to the median of those that are heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Neither of the others, or not heard.
    Apart,
    /// Within `agree` of it, or overruled and so near to another lineage that is; since then without a break.
    With(Timestamp),
    /// One of those whom a majority contradicts, in a dispute that stands since then without a break.
    Against(Timestamp),
}

/// A [`Standing`] without its time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stand {
    Apart,
    With,
    Against,
}

impl Gaps {
    pub(super) const fn new() -> Gaps {
        Gaps { counts: [0; GAP_BUCKETS], total: 0, highest: 0 }
    }

    pub(super) fn bucket(gap: Duration) -> usize {
        let millis = (gap.0 / 1_000).max(1).unsigned_abs();
        let octave = millis.ilog2();
        let half = if octave == 0 { 0 } else { usize::from(millis >> (octave - 1) & 1 == 1) };
        (octave as usize * 2 + half).min(GAP_BUCKETS - 1)
    }

    /// The upper edge of a bucket: every gap in it is shorter.
    pub(super) fn edge(bucket: usize) -> Duration {
        let octave = 1_i64 << (bucket / 2);
        let millis = if bucket.is_multiple_of(2) { octave + octave / 2 } else { octave * 2 };
        // Octave 0 has no halves.
        Duration::millis(millis.max(2))
    }

    pub(super) fn learn(&mut self, gap: Duration) {
        if 1 << 20 <= self.total {
            // Old silences fade, so that a source that became faster is judged as faster.
            self.total = 0;
            for count in &mut self.counts {
                *count /= 2;
                self.total = self.total.saturating_add(*count);
            }
        }
        let bucket = Gaps::bucket(gap);
        let count = &mut self.counts[bucket];
        *count = count.saturating_add(1);
        self.highest = self.highest.max(u8::try_from(bucket).unwrap_or(u8::MAX));
        self.total = self.total.saturating_add(1);
    }

    /// The 99.9th percentile of the gaps, as the upper edge of its bucket; zero before the first. With fewer than
    /// a thousand gaps it is the longest.
    pub(super) fn p999(&self) -> Duration {
        let mut above: u64 = 0;
        for (bucket, count) in self.counts.iter().enumerate().take(usize::from(self.highest) + 1).rev() {
            above += u64::from(*count);
            if u64::from(self.total) < above * 1_000 {
                return Gaps::edge(bucket);
            }
        }
        Duration::ZERO
    }
}

/// What one unit of another market is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In 10^-12 USD.
    pub pico: i128,
    /// Its half-width, likewise.
    pub confidence: i128,
    /// When the newest of those who say so published.
    pub published_at: Timestamp,
}

/// What one unit of what a market's sources price is of the unit that was listed: it changes by a split or a redenomination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denomination {
    /// In what was published before `since`.
    pub before: Parts,
    /// From then on.
    pub after: Parts,
    /// `MIN` where there never was a change.
    pub since: Timestamp,
}

/// A ratio of whole numbers in lowest terms: what a price is multiplied with, and divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Multiplied with; positive.
    pub of: u32,
    /// Divided by; positive.
    pub per: u32,
}

impl Parts {
    /// The listed unit.
    pub const WHOLE: Parts = Parts { of: 1, per: 1 };

    /// These, after `from` units became `into`; `None` where that does not fit.
    #[must_use]
    pub fn split(self, from: u32, into: u32) -> Option<Parts> {
        let (of, per) = (u64::from(self.of) * u64::from(into), u64::from(self.per) * u64::from(from));
        let (mut common, mut rest) = (of, per);
        while rest != 0 {
            (common, rest) = (rest, common % rest);
        }
        let part = |whole: u64| u32::try_from(whole / common.max(1)).ok().filter(|part| *part != 0);
        Some(Parts { of: part(of)?, per: part(per)? })
    }

    /// A price for the unit that was listed; what does not fit is as large as can be.
    fn of(self, price: Price, rounding: Rounding) -> Price {
        if self == Parts::WHOLE {
            return price;
        }
        let taken = mul_div(price.0.into(), self.of.into(), self.per.into(), rounding);
        Price(taken.and_then(|price| i64::try_from(price).ok()).unwrap_or(if price.0 < 0 {
            i64::MIN
        } else {
            i64::MAX
        }))
    }
}

impl Denomination {
    /// Nothing ever changed.
    pub const LISTED: Denomination = Denomination { before: Parts::WHOLE, after: Parts::WHOLE, since: Timestamp::MIN };

    /// Whether `price` goes on from `footing`, both positive: by ratio it is nearer to it than it is in the denomination before.
    pub(super) fn came(&self, price: Price, footing: Price) -> bool {
        let product = |a: Price, b: Price| i128::from(a.0) * i128::from(b.0);
        let unsaid = self.unsaid(price);
        product(price.max(footing), unsaid.min(footing)) < product(unsaid.max(footing), price.min(footing))
    }

    /// What a price of the present denomination is in the one before; what does not fit is as large as can be.
    fn unsaid(&self, price: Price) -> Price {
        let raw = Parts { of: self.after.per, per: self.after.of }.of(price, Rounding::Down);
        self.before.of(raw, Rounding::Down)
    }

    fn at(&self, published_at: Timestamp) -> Parts {
        if published_at < self.since { self.before } else { self.after }
    }
}

impl Rate {
    /// The rate that a market's price gives, as of an evaluation at `at`; `None` where its sources don't say one now, or dispute it: what is quoted in it would
    /// be as fresh as before, and wrong.
    #[must_use]
    pub fn of(quality: &PriceQuality, scale: Scale, at: Timestamp) -> Option<Rate> {
        let sure = matches!(quality.state, QualityState::Agreed | QualityState::Degraded);
        let fresh = matches!(quality.rung, Rung::Primary | Rung::Secondary);
        (sure && fresh).then(|| Rate {
            pico: scale.price_to_pico(quality.value),
            confidence: scale.price_to_pico(quality.confidence),
            published_at: Timestamp(at.0.saturating_sub(quality.age.0)),
        })
    }
}

impl Source {
    /// Takes the newest observation into USD for the unit that was listed: the price rounded down, its half-width up. Returns whether
    /// it changed.
    pub(super) fn convert(&mut self, params: &SourceParams, rate: Option<Rate>, denomination: &Denomination) -> bool {
        const ONE: i128 = 1_000_000_000_000;
        let before = (self.price, self.confidence);
        self.unit_at = rate.filter(|_| params.quote.is_some()).map_or(Timestamp::MAX, |rate| rate.published_at);
        let parts = denomination.at(self.published_at);
        let quoted = (parts.of(self.quoted, Rounding::Down), parts.of(self.quoted_confidence, Rounding::Up));
        (self.price, self.confidence) = match (params.quote, rate) {
            (None, _) => quoted,
            (Some(_), None) => (Price(0), Price(0)),
            (Some(_), Some(rate)) => {
                let of = |price: Price, rate: i128, rounding| mul_div(i128::from(price.0), rate, ONE, rounding);
                let price = of(quoted.0, rate.pico, Rounding::Down).and_then(|price| i64::try_from(price).ok());
                let own = of(quoted.1, rate.pico, Rounding::Up);
                let unit = of(quoted.0, rate.confidence.max(0), Rounding::Up);
                let width = own.zip(unit).and_then(|(own, unit)| i64::try_from(own.saturating_add(unit.max(0))).ok());
                (Price(price.unwrap_or(0)), Price(width.unwrap_or(i64::MAX)))
            }
        };
        before != (self.price, self.confidence)
    }

    pub(super) const fn new() -> Source {
        Source {
            quoted: Price(0),
            quoted_confidence: Price(0),
            price: Price(0),
            confidence: Price(0),
            published_at: Timestamp::MIN,
            received_at: Timestamp::MIN,
            fresh_until: Timestamp::MIN,
            unit_at: Timestamp::MAX,
            changed_at: Timestamp::MIN,
            settled: Price(0),
            settled_at: Timestamp::MIN,
            exclusion: None,
            excluded_since: Timestamp::MIN,
            claimed: Price(0),
            refuted_by: Price(0),
            standing: Standing::Apart,
            contradicted: Duration::ZERO,
            contradicted_until: Timestamp::MIN,
            gaps: Gaps::new(),
            delays: Gaps::new(),
            is_late: false,
            late_since: Timestamp::MIN,
        }
    }

    /// Learns how long the newest observation was under way, and says whether that is longer than of all but one in a thousand
    /// before it, and than the floor. Whoever has come late for `dispute_confirm` is no longer late.
    pub(super) fn travel(&mut self, oracle: &OracleParams) {
        let delay = self.received_at.since(self.published_at).max(Duration::ZERO);
        // What is under the floor needs no history.
        let is_late = oracle.silence_floor < delay && {
            let usual = self.delays.p999();
            usual != Duration::ZERO && usual < delay
        };
        if !is_late {
            self.late_since = Timestamp::MIN;
        } else if self.late_since == Timestamp::MIN {
            self.late_since = self.received_at;
        }
        // Whoever has come late for long, without a break, comes late.
        self.is_late = is_late && self.received_at.since(self.late_since) < oracle.dispute_confirm;
        self.delays.learn(delay);
    }

    /// Says until when the newest observation counts.
    pub(super) fn renew(&mut self, params: &SourceParams, oracle: &OracleParams) {
        let silent = self.received_at.plus(silence_max(self.gaps.p999(), params, oracle));
        let aged = self.published_at.plus(age_max(params, oracle));
        self.fresh_until = silent.min(aged);
    }

    /// When all of the newest observation was true: also what its unit is worth.
    pub(super) fn known_at(&self) -> Timestamp {
        self.published_at.min(self.unit_at)
    }

    /// Why the newest observation is left out, or `None`. Asked in the order of [`Exclusion`].
    pub(super) fn filter(&self, params: &SourceParams, oracle: &OracleParams) -> Option<Exclusion> {
        if self.quoted <= Price(0) {
            return Some(Exclusion::NonPositive);
        }
        if oracle.future_max < self.published_at.since(self.received_at) {
            return Some(Exclusion::Future);
        }
        if self.quoted <= params.price_min || params.price_max <= self.quoted {
            return Some(Exclusion::StuckAtBound);
        }
        // As `Ratio::covers`, of products that can't overflow.
        let is_sure = |width: Price, price: Price| {
            let (width, price) = (i128::from(width.0), i128::from(price.0));
            width * i128::from(Ratio::ONE.0) <= price * i128::from(oracle.confidence_max.0)
        };
        let own = is_sure(self.quoted_confidence, self.quoted);
        // A doubt about its unit is not its own.
        if self.price <= Price(0) || own && !is_sure(self.confidence, self.price) {
            return Some(Exclusion::Unconverted);
        }
        if !own {
            return Some(Exclusion::Uncertain);
        }
        if self.is_late {
            return Some(Exclusion::Delayed);
        }
        if self.settled != Price(0)
            && !self.price.within(oracle.jump_max, self.settled)
            && !self.price.within(jump_limit(oracle, self.waited()), self.settled)
        {
            return Some(Exclusion::Jump);
        }
        None
    }
}

/// How far a price may step that was published so long after the last.
///
/// A price that wanders by itself goes as far as the square root of the time: `jump_max √(elapsed / jump_window)`, from the
/// window on and up to five times, the root taken to 16 binary digits and rounded down like the product.
pub(crate) fn jump_limit(oracle: &OracleParams, elapsed: Duration) -> Ratio {
    const FIVE: u128 = 5 << 16;
    let root = root_of(elapsed, oracle.jump_window).clamp(1 << 16, FIVE);
    let limit = (u128::from(oracle.jump_max.0.max(0).unsigned_abs()) * root) >> 16;
    Ratio(i64::try_from(limit).unwrap_or(i64::MAX))
}

/// `√(elapsed / window)` to 16 binary digits, rounded down.
pub(crate) fn root_of(elapsed: Duration, window: Duration) -> u128 {
    let window = u128::from(window.0.max(1).unsigned_abs());
    let elapsed = u128::try_from(elapsed.0).unwrap_or(0);
    ((elapsed << 32) / window).isqrt()
}

/// A source is expected once a heartbeat; half of one more is tolerated.
pub(super) fn patience(params: &SourceParams) -> Duration {
    Duration(params.heartbeat.0.saturating_add(params.heartbeat.0 / 2))
}

/// How old an observation may be.
pub(super) fn age_max(params: &SourceParams, oracle: &OracleParams) -> Duration {
    oracle.age_max.max(patience(params))
}

/// The learned silence, never under the floor, never over the age limit, and never stricter than the heartbeat.
pub(super) fn silence_max(learned: Duration, params: &SourceParams, oracle: &OracleParams) -> Duration {
    learned.max(oracle.silence_floor).min(oracle.age_max).max(patience(params))
}

impl Source {
    /// How long it has been since its own price. Who jumps about was not silent: no time of that makes a jump smaller.
    fn waited(&self) -> Duration {
        match self.exclusion {
            Some(Exclusion::Jump) => Duration::ZERO,
            Some(
                Exclusion::NonPositive
                | Exclusion::Future
                | Exclusion::StuckAtBound
                | Exclusion::Uncertain
                | Exclusion::Overruled
                | Exclusion::Unconverted
                | Exclusion::Delayed,
            )
            | None => self.published_at.since(self.settled_at),
        }
    }

    /// Takes the newest price for its own. A stamp that goes back makes no time pass.
    fn keep(&mut self) {
        self.settled = self.price;
        self.settled_at = self.settled_at.max(self.published_at);
    }

    pub(super) fn settle(&mut self) {
        self.keep();
        self.exclusion = None;
    }

    /// Hears an overruled source again, as if nothing had been.
    pub(super) fn readmit(&mut self) {
        self.settle();
        self.contradicted = Duration::ZERO;
        self.standing = Standing::Apart;
    }

    /// Likewise, but nobody says what it says: a jump is a jump.
    pub(super) fn speak_again(&mut self, params: &SourceParams, oracle: &OracleParams) {
        let jumps = self.filter(params, oracle) == Some(Exclusion::Jump);
        let settled = (self.settled, self.settled_at);
        self.readmit();
        if jumps {
            (self.settled, self.settled_at) = settled;
            self.exclusion = Some(Exclusion::Jump);
            self.excluded_since = self.received_at;
            self.claimed = self.price;
        }
    }

    /// Where it would be now if it had moved as the index did since it was overruled; rounded down.
    pub(super) fn gone_along(&self, value: Price) -> Price {
        let moved = i128::from(self.claimed.0) * i128::from(value.0) / i128::from(self.refuted_by.0.max(1));
        Price(i64::try_from(moved).unwrap_or(i64::MAX))
    }

    /// How long a majority has contradicted it, if `value` does so now. Without contradiction for `dispute_confirm` all is
    /// forgiven; and who jumps from one lie to another begins anew.
    pub(super) fn contradicted_for(&self, value: Price, at: Timestamp, oracle: &OracleParams) -> Duration {
        if !value.within(oracle.dispute, self.refuted_by) {
            return Duration::ZERO;
        }
        match self.standing {
            Standing::Against(since) => Duration(self.contradicted.0.saturating_add(at.since(since).0.max(0))),
            Standing::With(_) | Standing::Apart if at.since(self.contradicted_until) < oracle.dispute_confirm => {
                self.contradicted
            }
            Standing::With(_) | Standing::Apart => Duration::ZERO,
        }
    }

    /// Takes its stand at `at`, to the median `value`.
    #[inline]
    pub(super) fn stand(&mut self, stand: Stand, value: Option<Price>, at: Timestamp, oracle: &OracleParams) {
        if stand == Stand::Against
            && let Some(value) = value
        {
            let clock = self.contradicted_for(value, at, oracle);
            if clock == Duration::ZERO || !matches!(self.standing, Standing::Against(_)) {
                self.contradicted = clock;
                self.standing = Standing::Against(at);
            }
            self.refuted_by = value;
            return;
        }
        match (self.standing, stand) {
            (Standing::With(_), Stand::With) => return,
            (Standing::Against(_), _) => self.fall_silent(at),
            (Standing::Apart | Standing::With(_), _) => {}
        }
        self.standing = if stand == Stand::With { Standing::With(at) } else { Standing::Apart };
    }

    /// Stands nowhere from `until` on.
    pub(super) fn fall_silent(&mut self, until: Timestamp) {
        if let Standing::Against(since) = self.standing {
            self.contradicted = Duration(self.contradicted.0.saturating_add(until.since(since).0.max(0)));
            self.contradicted_until = until;
        }
        self.standing = Standing::Apart;
    }

    /// Whether the newest observation is no nonsense.
    pub(super) fn is_a_price(&self, params: &SourceParams, oracle: &OracleParams) -> bool {
        matches!(self.filter(params, oracle), None | Some(Exclusion::Jump))
    }

    /// Takes the newest observation in or leaves it out.
    pub(super) fn judge(&mut self, params: &SourceParams, oracle: &OracleParams) {
        let found = self.filter(params, oracle);
        match (self.exclusion, found) {
            // Whatever else it says, only others let it speak again.
            (Some(Exclusion::Overruled), None) => self.keep(),
            (Some(Exclusion::Overruled), Some(_)) => {}
            (_, None) => self.settle(),
            // A jump is one and the same only while the source stays near where it jumped to.
            (Some(Exclusion::Jump), Some(Exclusion::Jump)) if self.price.within(oracle.jump_max, self.claimed) => {
                if oracle.jump_confirm <= self.received_at.since(self.excluded_since) {
                    self.settle();
                }
            }
            (_, Some(Exclusion::Jump)) => {
                self.exclusion = found;
                self.excluded_since = self.received_at;
                self.claimed = self.price;
            }
            (None | Some(Exclusion::Jump), Some(_)) => {
                self.exclusion = found;
                self.excluded_since = self.received_at;
            }
            // One kind of nonsense after another is nonsense all along.
            (Some(_), Some(_)) => self.exclusion = found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(short: u32, long: u32) -> Gaps {
        let mut gaps = Gaps::new();
        for (count, gap) in [(short, Duration::millis(100)), (long, Duration::seconds(100))] {
            for _ in 0..count {
                gaps.learn(gap);
            }
        }
        gaps
    }

    #[test]
    fn one_silence_in_a_thousand_is_forgiven_and_one_in_fewer_is_not() {
        let long = Gaps::edge(Gaps::bucket(Duration::seconds(100)));
        let short = Gaps::edge(Gaps::bucket(Duration::millis(100)));
        assert_eq!((learned(999, 1).p999(), learned(998, 1).p999()), (short, long));
        assert_eq!((learned(1_998, 2).p999(), learned(1_997, 2).p999()), (short, long));
        assert_eq!(learned(0, 0).p999(), Duration::ZERO);
    }

    #[test]
    fn after_a_million_silences_each_counts_for_half() {
        let mut gaps = learned((1 << 20) - 3, 3);
        assert_eq!((gaps.total, gaps.counts.iter().sum::<u32>()), (1 << 20, 1 << 20));
        gaps.learn(Duration::millis(100));
        let short = gaps.counts[Gaps::bucket(Duration::millis(100))];
        let long = gaps.counts[Gaps::bucket(Duration::seconds(100))];
        // Rounded down, and one more.
        assert_eq!((short, long, gaps.total), ((1 << 19) - 2 + 1, 1, 1 << 19));
    }

    #[test]
    fn a_step_may_grow_with_the_root_of_the_time_from_one_window_on_and_up_to_five_times() {
        let oracle = |window: i64| {
            let (ratio, span) = (Ratio::percent(10), Duration::seconds(window));
            OracleParams {
                age_max: span,
                silence_floor: span,
                future_max: span,
                confidence_max: ratio,
                jump_max: ratio,
                jump_window: span,
                jump_confirm: span,
                leap_max: ratio,
                leap_confirm: span,
                agree: ratio,
                dispute: ratio,
                lineages_min: 2,
                overrule_lineages: 3,
                dispute_confirm: span,
                last_good_max: span,
                twap_max: span,
                guardians_min: 2,
                confidence_scale: Ratio::ONE,
                fallback_confidence: ratio,
                derived_haircut: ratio,
            }
        };
        let limit = |seconds: i64| jump_limit(&oracle(60), Duration::seconds(seconds));
        assert_eq!([limit(-1), limit(0), limit(60)], [Ratio::percent(10); 3]);
        assert_eq!(
            [limit(240), limit(1_500), limit(1_501)],
            [Ratio::percent(20), Ratio::percent(50), Ratio::percent(50)]
        );
        assert_eq!(jump_limit(&oracle(60), Duration(i64::MAX)), Ratio::percent(50));
        // The root of 20 to 16 binary digits, rounded down.
        assert_eq!(limit(1_200), Ratio(100_000_000_000 * 293_085 / 65_536));
        assert!(limit(61) > limit(60) && limit(1_499) < limit(1_500));
    }
}
