//! The parameters of a venue, its pools, markets and sources, and what makes them well formed.

use crate::governance::GovernanceParams;
use crate::ids::{AccountId, LineageId, MarketId, PoolId, SourceId};
use crate::quality::Rung;
use alloc::vec::Vec;
use units::{Duration, Notional, Price, Ratio, Scale, Size};

/// Everything that the policy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VenueParams {
    /// Risk pools, in the order of their ids.
    pub pools: Vec<PoolParams>,
    /// Markets, in the order of their ids.
    pub markets: Vec<MarketParams>,
    /// Who may change what while the venue runs.
    pub governance: GovernanceParams,
}

/// Limits of one risk pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolParams {
    /// Largest number of accounts.
    pub accounts_max: u32,
    /// A first deposit below this opens no account. Less may be left in one later, since nobody is kept from leaving; only
    /// an account from which everything is withdrawn makes room. Micro-USD.
    pub account_min: Notional,
    /// Largest number of resting orders an account may have.
    pub orders_per_account_max: u16,
    /// An account's collateral counts for no more than this in what it asks for: the most that it may owe by its own doing. Micro-USD.
    pub account_borrow_max: Notional,
    /// Nor for more than this leaves beside what others owe: what is owed is other people's cash. Micro-USD.
    pub borrow_max: Notional,
    /// The share of the insurance fund that one account's liquidation may be allowed to cost.
    pub insurance_share_per_account: Ratio,
    /// The account of the backstop liquidity provider, if there is one: its orders trade against liquidations and
    /// nothing else, and may do so in every mode in which liquidations may.
    pub backstop: Option<AccountId>,
}

/// One market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketParams {
    /// Whose collateral backs it.
    pub pool: PoolId,
    /// Price unit and lot.
    pub scale: Scale,
    /// Largest order, lots.
    pub order_size_max: Size,
    /// Largest open interest, lots, one side.
    pub open_interest_max: Size,
    /// Up to this share of `open_interest_max` initial margin is as the tiers say; from there on it rises in proportion, to the
    /// whole notional at the limit.
    pub open_interest_margin_from: Ratio,
    /// Price sources, in the order of their ids; at most [`MarketParams::SOURCES_MAX`].
    pub sources: Vec<SourceParams>,
    /// How sources become an index.
    pub oracle: OracleParams,
    /// How the index becomes a mark.
    pub mark: MarkParams,
    /// How much holders may have to pay each other.
    pub funding: FundingParams,
    /// What its base asset counts for as collateral.
    pub collateral: CollateralParams,
    /// Margin tiers by notional, lower bounds rising from zero; at most [`MarketParams::TIERS_MAX`].
    pub tiers: Vec<Tier>,
    /// Thresholds of the market's detectors.
    pub detectors: DetectorParams,
    /// Thresholds of those that look at what the venue itself does.
    pub activity: ActivityParams,
    /// Thresholds of the one that looks at the chain.
    pub chain: ChainParams,
    /// How restrictions are held and released.
    pub breaker: BreakerParams,
    /// How accounts are liquidated.
    pub liquidation: LiquidationParams,
}

/// One price source of a market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceParams {
    /// Its voice in the weighted median; positive.
    pub weight: u32,
    /// Sources of one lineage count as one independent voice. Below [`MarketParams::LINEAGES_MAX`].
    pub lineage: LineageId,
    /// The longest interval at which it is expected to publish; its silence is not judged more strictly than this.
    pub heartbeat: Duration,
    /// At or below this the source is stuck at its bound.
    pub price_min: Price,
    /// At or above this the source is stuck at its bound.
    pub price_max: Price,
    /// What its prices are.
    pub kind: SourceKind,
    /// The rung of the fallback ladder on which it speaks: `Primary`, `Secondary`, `Guardian` or `Derived`.
    pub rung: Rung,
    /// The market of the same pool in whose unit its prices are, as those of a pair in USDT or a redemption ratio; in USD
    /// where there is none. That market's own sources are in USD.
    pub quote: Option<MarketId>,
}

/// What a source's prices are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceKind {
    /// Prices at which somebody traded.
    Trades,
    /// Prices that somebody names: bids and asks, or another's opinion of a price.
    Quotes,
}

/// How sources become an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OracleParams {
    /// Older than this by publish time, an observation is not used (or one and a half heartbeats, if that is longer).
    pub age_max: Duration,
    /// Silence of a source is never judged before this has passed, however fast it used to publish.
    pub silence_floor: Duration,
    /// How much later than its receipt an observation may claim to be published.
    pub future_max: Duration,
    /// Widest confidence half-width over price.
    pub confidence_max: Ratio,
    /// A larger step against the source's own last price waits for confirmation.
    pub jump_max: Ratio,
    /// Between prices that were published farther apart than this a step may be larger: in proportion to the square root of
    /// the time, as far as a price wanders by itself, and up to five times.
    pub jump_window: Duration,
    /// An unconfirmed jump is believed after the source has stood by it this long.
    pub jump_confirm: Duration,
    /// An index that goes farther than this at once, over where it was, however many say so, is one that a split or a common error
    /// explains as well as a move: it is disputed until it has stood for `leap_confirm`.
    pub leap_max: Ratio,
    /// See `leap_max`.
    pub leap_confirm: Duration,
    /// Sources within this of the index support it.
    pub agree: Ratio,
    /// Fresh sources farther apart than this contradict each other, unless all of them support the index.
    pub dispute: Ratio,
    /// Independent lineages that an `Agreed` price needs.
    pub lineages_min: u8,
    /// Independent lineages that may outvote a contradicting minority at once, without waiting: if they are more than two
    /// thirds of those whose price moves, and leave nobody behind.
    pub overrule_lineages: u8,
    /// A majority that has stood this long against a contradiction is believed.
    pub dispute_confirm: Duration,
    /// How long the last index serves when no source is usable, from the last look at which one was.
    pub last_good_max: Duration,
    /// How long before that the TWAP serves instead, if enough of its window was observed; zero for not at all.
    pub twap_max: Duration,
    /// Guardians that must agree on a price.
    pub guardians_min: u8,
    /// So many half-widths from the mark a position is judged, for it or against it.
    pub confidence_scale: Ratio,
    /// Least confidence half-width, over the price, of a secondary or guardians' price.
    pub fallback_confidence: Ratio,
    /// Likewise of a derived price: how far the market may be from what a ratio or a cross rate says.
    pub derived_haircut: Ratio,
}

/// The sources that speak on one rung, and the rules by which they become a price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panel {
    /// The rung.
    pub rung: Rung,
    /// Their ids in the market's list, rising.
    pub ids: Vec<SourceId>,
    /// The sources, in the same order.
    pub sources: Vec<SourceParams>,
    /// As the market's, with the number of lineages that this rung asks for.
    pub oracle: OracleParams,
    /// The lineages of `sources`.
    pub lineages: Lineages,
    /// The shortest of their heartbeats.
    pub heartbeat: Duration,
}

/// The independent lineages of a list of sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lineages {
    /// As bits.
    pub all: u64,
    /// Those of more than one source.
    pub shared: u64,
    /// How many.
    pub count: u8,
    /// Sum of the weights of all sources.
    pub weight: u64,
}

impl Lineages {
    /// A source's lineage as a bit; validation keeps them below 64.
    #[must_use]
    pub const fn bit(source: &SourceParams) -> u64 {
        1_u64 << (source.lineage.0 & 63)
    }

    /// Those of a list.
    #[must_use]
    pub fn of(listed: &[SourceParams]) -> Lineages {
        let (mut all, mut shared, mut weight) = (0, 0, 0);
        for source in listed {
            shared |= all & Lineages::bit(source);
            all |= Lineages::bit(source);
            weight += u64::from(source.weight);
        }
        Lineages { all, shared, count: u8::try_from(all.count_ones()).unwrap_or(u8::MAX), weight }
    }
}

impl Panel {
    /// The rungs on which sources speak, from the best on.
    pub const RUNGS: [Rung; 4] = [Rung::Primary, Rung::Secondary, Rung::Guardian, Rung::Derived];

    /// Where a source of the market stands in this panel.
    #[must_use]
    pub fn place_of(&self, source: SourceId) -> Option<usize> {
        let place = usize::from(source.0);
        if self.ids.get(place) == Some(&source) { Some(place) } else { self.ids.binary_search(&source).ok() }
    }
}

/// How the index becomes a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkParams {
    /// The mark stays within this of the index.
    pub premium_max: Ratio,
    /// Time constant of the premium's average.
    pub premium_window: Duration,
    /// Inside a `step_window` the mark's highest and lowest are no farther apart than this share of either.
    pub step_max: Ratio,
    /// See `step_max`.
    pub step_window: Duration,
}

/// How much holders may have to pay each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FundingParams {
    /// The largest share of the notional at once, either way.
    pub rate_max: Ratio,
    /// The least time from one payment to the next.
    pub interval: Duration,
}

/// What a market's base asset counts for as collateral in its pool, at the market's mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollateralParams {
    /// The most lots of it that the pool takes; none where it is no collateral.
    pub deposit_max: Size,
    /// The share of its value that counts for nothing.
    pub haircut: Ratio,
    /// What is paid in counts after this time, and not before the market lets exposure grow.
    pub ramp: Duration,
    /// Sold for a debt, it is offered at the mark at first, and after this time at the mark less the haircut.
    pub auction: Duration,
}

/// A margin tier: from `notional_from` on, the marginal rates are these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    /// Lower bound, micro-USD.
    pub notional_from: i64,
    /// Marginal initial margin fraction.
    pub initial: Ratio,
    /// Marginal maintenance margin fraction.
    pub maintenance: Ratio,
}

/// Thresholds of the detectors. Each enters at its threshold and leaves only below `exit` of it, but for `staleness` and `stuck`, which leave
/// where they entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DetectorParams {
    /// The share of a threshold below which a detector lets go.
    pub exit: Ratio,
    /// Range of executed prices inside the window, over its low.
    pub velocity: Thresholds,
    /// Window of `velocity`, by when prices were published.
    pub velocity_window: Duration,
    /// The same over a longer window.
    pub swing: Thresholds,
    /// Window of `swing`, by when prices were published.
    pub swing_window: Duration,
    /// Distance of the index from its TWAP.
    pub band: Thresholds,
    /// Window of the TWAP.
    pub twap_window: Duration,
    /// Below this share of the window observed, the TWAP is not used.
    pub twap_coverage_min: Ratio,
    /// How far the price has gone in the time since the newest source published, by the range of the swing window and the root of
    /// that time, in whole heartbeats: how wrong what is known may be by now.
    pub staleness: Thresholds,
    /// Distance of the index from its stable price.
    pub drift: Thresholds,
    /// The stable price has come half of the way to an index that stands after this time.
    pub stable_half_life: Duration,
    /// An index farther than this from the stable price pulls it no more than one at this distance.
    pub stable_reach: Ratio,
    /// Share of the listed weight that speaks from its own bound.
    pub stuck: Thresholds,
    /// Spread of usable sources within the dispute limit over the index; a `Disputed` price is `ReduceOnly` whatever the spread.
    pub disagreement: Ratio,
    /// Coverage below this is `Cautious`; below the agreed lineages it always is.
    pub quorum_coverage_min: Ratio,
}

/// Thresholds on what the venue itself does. Left below `detectors.exit` of the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActivityParams {
    /// Open interest above its least inside the window, over that or over a hundredth of its limit, whichever is more.
    pub growth: Thresholds,
    /// Window of `growth`.
    pub growth_window: Duration,
    /// Open interest over the thinner side of the venue's book near its middle.
    pub crowding: Thresholds,
    /// Lots closed by liquidation and deleveraging inside the window over those and the open interest.
    pub intensity: Thresholds,
    /// Window of `intensity`.
    pub intensity_window: Duration,
    /// Average distance of the middle of the venue's book from the index, over the index, averaged like the mark's premium.
    pub divergence: Thresholds,
}

/// The chain on which a market's accounts act: what is usual, and how many times as much restricts the market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainParams {
    /// Of the four measures below the worst, each over what is usual.
    pub distress: Thresholds,
    /// Usual time between blocks; the time since the newest one is measured against it.
    pub interval: Duration,
    /// Usual wait of a transaction for its block.
    pub inclusion: Duration,
    /// Usual time from a block to its finality.
    pub finality: Duration,
    /// Usual base fee, in the unit in which it is reported.
    pub base_fee: u32,
}

/// Two thresholds of one measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// At this the market becomes `Cautious`.
    pub cautious: Ratio,
    /// At this the market becomes `ReduceOnly`.
    pub reduce_only: Ratio,
}

/// How restrictions are held and released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerParams {
    /// A step to the next milder mode needs this long without a reason for the present one.
    pub calm: Duration,
    /// A market that goes back to `ReduceOnly` or beyond within this time of a step to a milder mode fails its probation: the
    /// calm that leads to what opens doubles.
    pub probation: Duration,
    /// The longest that this makes it.
    pub calm_max: Duration,
    /// `Cautious`: added to the initial margin fraction of what opens.
    pub cautious_margin_addon: Ratio,
    /// `Cautious`: the share of the order size that is still taken.
    pub cautious_size_scale: Ratio,
    /// After an outage nobody solvent who was not under maintenance before it is liquidated for this share of its length.
    pub grace_share: Ratio,
    /// The longest such grace.
    pub grace_max: Duration,
}

/// How accounts are liquidated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiquidationParams {
    /// A liquidation stops when equity reaches maintenance times one plus this.
    pub buffer: Ratio,
    /// Paid to the insurance fund on the notional liquidated.
    pub fee: Ratio,
    /// The limit price of a liquidation is no farther from the mark than this.
    pub slippage_max: Ratio,
    /// A liquidation order that has not filled in this time is decided again.
    pub order_ttl: Duration,
    /// In a market that lists fewer lineages than an agreed price needs: a solvent account must have been under
    /// maintenance for this long at the one price there is.
    pub single_lineage_confirm: Duration,
}

/// A parameter that can't be accepted, and what it would have to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Which pool or market, by id.
    pub place: Place,
    /// The field, by its name in the policy file.
    pub field: &'static str,
    /// What it must satisfy.
    pub must: &'static str,
}

/// Where an invalid parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The venue as a whole.
    Venue,
    /// A pool.
    Pool(u16),
    /// A market.
    Market(u16),
    /// A source of a market.
    Source(u16, u8),
}

/// Longest span that any parameter may name: ten years.
const SPAN_MAX: Duration = Duration::seconds(315_360_000);
/// Largest threshold: a hundredfold move.
const RATIO_MAX: Ratio = Ratio::percent(10_000);

impl MarketParams {
    /// Largest number of sources of a market.
    pub const SOURCES_MAX: usize = 16;
    /// Lineages are counted as bits of a word.
    pub const LINEAGES_MAX: u8 = 64;
    /// Largest number of margin tiers of a market.
    pub const TIERS_MAX: usize = 16;

    /// The sources that speak on `rung`.
    #[must_use]
    pub fn panel(&self, rung: Rung) -> Panel {
        let listed = (0..).map(SourceId).zip(self.sources.iter().take(MarketParams::SOURCES_MAX));
        let listed = listed.filter(|(_, source)| source.rung == rung);
        let (ids, sources): (Vec<_>, Vec<_>) = listed.map(|(id, source)| (id, *source)).unzip();
        let lineages = Lineages::of(&sources);
        let mut oracle = self.oracle;
        match rung {
            Rung::Guardian => oracle.lineages_min = oracle.guardians_min,
            // A ratio is what one contract says; there is nobody else to ask.
            Rung::Derived => oracle.lineages_min = 1,
            Rung::Primary | Rung::Secondary | Rung::Twap | Rung::LastGood | Rung::None => {}
        }
        oracle.overrule_lineages = oracle.overrule_lineages.max(oracle.lineages_min);
        let heartbeat = sources.iter().map(|source| source.heartbeat).min().unwrap_or(Duration(i64::MAX));
        Panel { rung, ids, sources, oracle, lineages, heartbeat }
    }

    /// How many independent lineages the market lists among its own sources.
    #[must_use]
    pub fn lineages_listed(&self) -> u8 {
        self.panel(Rung::Primary).lineages.count
    }

    fn validate(&self, id: u16, pools: usize) -> Result<(), Invalid> {
        let place = Place::Market(id);
        let ratio = |r: Ratio| Ratio::ZERO < r && r <= RATIO_MAX;
        let fraction = |r: Ratio| Ratio::ZERO <= r && r <= Ratio::ONE;
        let span = |d: Duration| Duration::ZERO < d && d <= SPAN_MAX;
        let check = |ok: bool, field: &'static str, must: &'static str| {
            if ok { Ok(()) } else { Err(Invalid { place, field, must }) }
        };
        check(usize::from(self.pool.0) < pools, "pool", "name a pool of this policy")?;
        check(Size(0) < self.order_size_max, "order_size_max", "be positive")?;
        check(Size(0) < self.open_interest_max, "open_interest_max", "be positive")?;
        let sources = self.sources.len();
        check(1 <= sources && sources <= MarketParams::SOURCES_MAX, "sources", "list 1 to 16 sources")?;
        for (i, source) in self.sources.iter().enumerate() {
            let place = Place::Source(id, u8::try_from(i).unwrap_or(u8::MAX));
            let check = |ok: bool, field: &'static str, must: &'static str| {
                if ok { Ok(()) } else { Err(Invalid { place, field, must }) }
            };
            check(0 < source.weight && source.weight <= 1_000_000, "weight", "lie in 1 ..= 1,000,000")?;
            check(source.lineage.0 < MarketParams::LINEAGES_MAX, "lineage", "be below 64")?;
            check(span(source.heartbeat), "heartbeat", "be positive and at most ten years")?;
            check(Price(0) <= source.price_min, "price_min", "not be negative")?;
            check(source.price_min < source.price_max, "price_max", "be above price_min")?;
            let rung = Panel::RUNGS.contains(&source.rung);
            check(rung, "rung", "be primary, secondary, guardian or derived")?;
            // Who stands in for another must not fail or lie with it.
            let elsewhere = |other: &&SourceParams| other.lineage == source.lineage && other.rung != source.rung;
            let apart = !self.sources.iter().any(|other| elsewhere(&other));
            check(
                apart,
                "rung",
                "be that of all sources of its lineage: who stands in for another must not fail with it",
            )?;
        }
        let own = self.panel(Rung::Primary).sources.len();
        check(1 <= own, "sources", "list one that is primary")?;
        // What could never be adopted is no fallback.
        for (rung, must) in [
            (Rung::Secondary, "list as many secondary lineages as oracle.lineages_min asks for, or none"),
            (Rung::Guardian, "list as many guardians' lineages as oracle.guardians_min asks for, or none"),
        ] {
            let panel = self.panel(rung);
            check(panel.sources.is_empty() || panel.oracle.lineages_min <= panel.lineages.count, "sources", must)?;
        }
        let oracle = &self.oracle;
        check(span(oracle.age_max), "oracle.age_max", "be positive and at most ten years")?;
        check(span(oracle.silence_floor), "oracle.silence_floor", "be positive and at most ten years")?;
        check(oracle.silence_floor <= oracle.age_max, "oracle.silence_floor", "be at most age_max")?;
        let future = Duration::ZERO <= oracle.future_max && oracle.future_max <= SPAN_MAX;
        check(future, "oracle.future_max", "lie between zero and ten years")?;
        check(fraction(oracle.confidence_max), "oracle.confidence_max", "lie in 0 ..= 1")?;
        check(ratio(oracle.jump_max), "oracle.jump_max", "be positive and at most 100")?;
        check(span(oracle.jump_window), "oracle.jump_window", "be positive and at most ten years")?;
        check(span(oracle.jump_confirm), "oracle.jump_confirm", "be positive and at most ten years")?;
        let leap = oracle.dispute <= oracle.leap_max && oracle.leap_max <= RATIO_MAX;
        check(leap, "oracle.leap_max", "be at least dispute, and at most 100")?;
        let stands = oracle.dispute_confirm <= oracle.leap_confirm && oracle.leap_confirm <= SPAN_MAX;
        check(stands, "oracle.leap_confirm", "be at least dispute_confirm, and at most ten years")?;
        let agree = Ratio::ZERO < oracle.agree && oracle.agree <= oracle.dispute;
        check(agree, "oracle.agree", "be positive and at most dispute")?;
        check(oracle.dispute < Ratio::ONE, "oracle.dispute", "be below 1")?;
        check(1 <= oracle.lineages_min, "oracle.lineages_min", "be at least 1")?;
        let overrule = oracle.lineages_min <= oracle.overrule_lineages;
        check(overrule, "oracle.overrule_lineages", "be at least lineages_min")?;
        check(span(oracle.dispute_confirm), "oracle.dispute_confirm", "be positive and at most ten years")?;
        check(span(oracle.last_good_max), "oracle.last_good_max", "be positive and at most ten years")?;
        let twap = Duration::ZERO <= oracle.twap_max && oracle.twap_max <= oracle.last_good_max;
        check(twap, "oracle.twap_max", "lie between zero and last_good_max")?;
        // With one it would be a key that sets prices.
        check(2 <= oracle.guardians_min, "oracle.guardians_min", "be at least 2")?;
        check(ratio(oracle.confidence_scale), "oracle.confidence_scale", "be positive and at most 100")?;
        check(fraction(oracle.fallback_confidence), "oracle.fallback_confidence", "lie in 0 ..= 1")?;
        check(fraction(oracle.derived_haircut), "oracle.derived_haircut", "lie in 0 ..= 1")?;
        check(fraction(self.mark.premium_max), "mark.premium_max", "lie in 0 ..= 1")?;
        check(span(self.mark.premium_window), "mark.premium_window", "be positive and at most ten years")?;
        let step = Ratio::ZERO < self.mark.step_max && self.mark.step_max <= Ratio::percent(900_000_000);
        check(step, "mark.step_max", "be positive and at most 9,000,000")?;
        check(span(self.mark.step_window), "mark.step_window", "be positive and at most ten years")?;
        check(fraction(self.open_interest_margin_from), "open_interest_margin_from", "lie in 0 ..= 1")?;
        check(fraction(self.funding.rate_max), "funding.rate_max", "lie in 0 ..= 1")?;
        check(span(self.funding.interval), "funding.interval", "be positive and at most ten years")?;
        check(Size(0) <= self.collateral.deposit_max, "collateral.deposit_max", "not be negative")?;
        // Without one a sale below the mark would lower what the account has.
        let haircut = Ratio::ZERO < self.collateral.haircut && self.collateral.haircut < Ratio::ONE;
        check(haircut, "collateral.haircut", "be above 0 and below 1")?;
        check(span(self.collateral.ramp), "collateral.ramp", "be positive and at most ten years")?;
        check(span(self.collateral.auction), "collateral.auction", "be positive and at most ten years")?;
        self.validate_tiers(&check)?;
        let detectors = &self.detectors;
        check(fraction(detectors.exit), "detectors.exit", "lie in 0 ..= 1")?;
        for (thresholds, field) in [
            (detectors.velocity, "detectors.velocity"),
            (detectors.swing, "detectors.swing"),
            (detectors.band, "detectors.band"),
            (detectors.staleness, "detectors.staleness"),
            (detectors.drift, "detectors.drift"),
            (detectors.stuck, "detectors.stuck"),
            (self.activity.growth, "activity.growth"),
            (self.activity.crowding, "activity.crowding"),
            (self.activity.intensity, "activity.intensity"),
            (self.activity.divergence, "activity.divergence"),
            (self.chain.distress, "chain.distress"),
        ] {
            check(ratio(thresholds.cautious), field, "have a positive cautious threshold of at most 100")?;
            let ordered = thresholds.cautious <= thresholds.reduce_only && thresholds.reduce_only <= RATIO_MAX;
            check(ordered, field, "have reduce_only at or above cautious, at most 100")?;
        }
        check(span(detectors.velocity_window), "detectors.velocity_window", "be positive and at most ten years")?;
        check(span(detectors.swing_window), "detectors.swing_window", "be positive and at most ten years")?;
        let longer = detectors.velocity_window <= detectors.swing_window;
        check(longer, "detectors.swing_window", "be at least velocity_window")?;
        check(span(detectors.twap_window), "detectors.twap_window", "be positive and at most ten years")?;
        // Nothing is ever observed without a gap, so at 1 the average would never be used and the band never looked at.
        let coverage = Ratio::ZERO <= detectors.twap_coverage_min && detectors.twap_coverage_min < Ratio::ONE;
        check(coverage, "detectors.twap_coverage_min", "be at least 0 and below 1")?;
        check(span(detectors.stable_half_life), "detectors.stable_half_life", "be positive and at most ten years")?;
        // A stable price that an index at this distance could not reach would never follow; at 1 it could fall to nothing.
        let reach = Ratio::ZERO < detectors.stable_reach && detectors.stable_reach < Ratio::ONE;
        check(reach, "detectors.stable_reach", "be above 0 and below 1")?;
        check(ratio(detectors.disagreement), "detectors.disagreement", "be positive and at most 100")?;
        check(fraction(detectors.quorum_coverage_min), "detectors.quorum_coverage_min", "lie in 0 ..= 1")?;
        for (window, field) in [
            (self.activity.growth_window, "activity.growth_window"),
            (self.activity.intensity_window, "activity.intensity_window"),
            (self.chain.interval, "chain.interval"),
            (self.chain.inclusion, "chain.inclusion"),
            (self.chain.finality, "chain.finality"),
        ] {
            check(span(window), field, "be positive and at most ten years")?;
        }
        check(0 < self.chain.base_fee, "chain.base_fee", "be positive")?;
        let breaker = &self.breaker;
        check(span(breaker.calm), "breaker.calm", "be positive and at most ten years")?;
        let probation = Duration::ZERO <= breaker.probation && breaker.probation <= SPAN_MAX;
        check(probation, "breaker.probation", "lie between zero and ten years")?;
        let calm_max = breaker.calm <= breaker.calm_max && breaker.calm_max <= SPAN_MAX;
        check(calm_max, "breaker.calm_max", "be at least calm and at most ten years")?;
        check(fraction(breaker.cautious_margin_addon), "breaker.cautious_margin_addon", "lie in 0 ..= 1")?;
        let scale = Ratio::ZERO < breaker.cautious_size_scale && breaker.cautious_size_scale <= Ratio::ONE;
        check(scale, "breaker.cautious_size_scale", "be above 0 and at most 1")?;
        check(fraction(breaker.grace_share), "breaker.grace_share", "lie in 0 ..= 1")?;
        let grace = Duration::ZERO <= breaker.grace_max && breaker.grace_max <= SPAN_MAX;
        check(grace, "breaker.grace_max", "lie between zero and ten years")?;
        let hindered = breaker.cautious_margin_addon != Ratio::ZERO || breaker.cautious_size_scale != Ratio::ONE;
        check(hindered, "breaker.cautious_size_scale", "be below 1 where there is no margin add-on")?;
        let liquidation = &self.liquidation;
        check(fraction(liquidation.buffer), "liquidation.buffer", "lie in 0 ..= 1")?;
        check(fraction(liquidation.fee), "liquidation.fee", "lie in 0 ..= 1")?;
        let slip = Ratio::ZERO < liquidation.slippage_max && liquidation.slippage_max < Ratio::ONE;
        check(slip, "liquidation.slippage_max", "be above 0 and below 1")?;
        check(span(liquidation.order_ttl), "liquidation.order_ttl", "be positive and at most ten years")?;
        let confirm = liquidation.single_lineage_confirm;
        check(
            Duration::ZERO <= confirm && confirm <= SPAN_MAX,
            "liquidation.single_lineage_confirm",
            "lie between zero and ten years",
        )
    }

    /// Whether no single step of the mark can carry an account that was at its maintenance past bankruptcy: what a position
    /// loses by a step, and the funding and the fee on closing it after that, is covered by the lowest maintenance rate. Rates rise with the
    /// notional, and what several positions lose is covered by what each of them requires, so one position of the lowest tier
    /// is the worst case.
    fn envelope(&self, id: u16) -> Result<(), Invalid> {
        let one = i128::from(Ratio::ONE.0);
        let step = i128::from(self.mark.step_max.0);
        let paid = i128::from(self.liquidation.fee.0) + i128::from(self.funding.rate_max.0);
        // A short's notional grows with the step. In parts of a part: nothing is rounded.
        let lost = step * one + paid * (one + step);
        // What collateral loses by a step is within what of it counts for nothing.
        if Size(0) < self.collateral.deposit_max && self.collateral.haircut < self.mark.step_max {
            let must = "be at least mark.step_max: one step of the mark could carry a healthy account past bankruptcy";
            return Err(Invalid { place: Place::Market(id), field: "collateral.haircut", must });
        }
        let lowest = self.tiers.iter().map(|tier| i128::from(tier.maintenance.0)).min().unwrap_or(0);
        if lost <= lowest * one {
            return Ok(());
        }
        let must = "be so small that a step, funding.rate_max and liquidation.fee on what it leaves are within the lowest maintenance: one step \
                    of the mark could carry a healthy account past bankruptcy";
        Err(Invalid { place: Place::Market(id), field: "mark.step_max", must })
    }

    /// Whether every threshold can be reached, and by itself. One that can't says something that is not so.
    fn reach(&self, id: u16) -> Result<(), Invalid> {
        let check = |ok: bool, field: &'static str, must: &'static str| {
            if ok { Ok(()) } else { Err(Invalid { place: Place::Market(id), field, must }) }
        };
        let (detectors, activity) = (&self.detectors, &self.activity);
        let (velocity, swing) = (detectors.velocity, detectors.swing);
        let earlier = velocity.cautious <= swing.cautious && velocity.reduce_only <= swing.reduce_only;
        let must = "be at most swing: whatever moves so far in the shorter window has in the longer one";
        check(earlier, "detectors.velocity", must)?;
        let must = "be at most oracle.dispute: sources farther apart are a dispute";
        check(detectors.disagreement <= self.oracle.dispute, "detectors.disagreement", must)?;
        for (thresholds, field) in [
            (detectors.stuck, "detectors.stuck"),
            (activity.intensity, "activity.intensity"),
            (activity.divergence, "activity.divergence"),
        ] {
            let must = "be at most 100%: it is never more";
            check(thresholds.reduce_only <= Ratio::ONE, field, must)?;
        }
        // From nothing to the limit is a hundred times a hundredth of it.
        let growth = activity.growth.reduce_only < RATIO_MAX;
        check(growth, "activity.growth", "be below 10,000%: the limit of the open interest comes first")
    }

    fn validate_tiers(
        &self,
        check: &impl Fn(bool, &'static str, &'static str) -> Result<(), Invalid>,
    ) -> Result<(), Invalid> {
        let tiers = self.tiers.len();
        check(1 <= tiers && tiers <= MarketParams::TIERS_MAX, "tiers", "list 1 to 16 tiers")?;
        let mut below: Option<&Tier> = None;
        for tier in &self.tiers {
            let rates =
                Ratio::ZERO < tier.maintenance && tier.maintenance <= tier.initial && tier.initial <= Ratio::ONE;
            check(rates, "tiers", "have 0 < maintenance <= initial <= 1")?;
            // A closing fill releases maintenance and pays a fee and slippage. If it cost more than it releases,
            // a partial liquidation would lower health.
            let cost = self.liquidation.fee.0;
            check(cost < tier.maintenance.0, "tiers", "have maintenance above liquidation.fee")?;
            match below {
                None => check(tier.notional_from == 0, "tiers", "begin at notional_from = 0")?,
                Some(below) => {
                    check(below.notional_from < tier.notional_from, "tiers", "have rising notional_from")?;
                    let rising = below.initial <= tier.initial && below.maintenance <= tier.maintenance;
                    check(rising, "tiers", "have rates that do not fall as notional rises")?;
                }
            }
            below = Some(tier);
        }
        Ok(())
    }
}

impl VenueParams {
    /// Refuses parameters with which one step of a mark could carry a healthy account past bankruptcy, so that its loss is
    /// somebody else's before anybody could act: `step_max + (fee + rate_max) × (1 + step_max) <= lowest maintenance` in every market.
    ///
    /// [`VenueParams::validate`] asks whether the rules make sense, this whether they are safe: a venue that is only compared
    /// with need not be. After Percolator's price budget (its specification, section 1.3).
    ///
    /// # Errors
    /// The first market whose step is too large.
    pub fn envelope(&self) -> Result<(), Invalid> {
        (0..).zip(&self.markets).try_for_each(|(id, market)| market.envelope(id))
    }

    /// Refuses thresholds that can't be reached, or that another one always reaches first.
    ///
    /// # Errors
    /// The first of the first market.
    pub fn reach(&self) -> Result<(), Invalid> {
        (0..).zip(&self.markets).try_for_each(|(id, market)| market.reach(id))
    }

    /// Refuses parameters with which the rules would not make sense.
    ///
    /// # Errors
    /// The first offending field in reading order, with what it must satisfy.
    pub fn validate(&self) -> Result<(), Invalid> {
        let venue = |ok: bool, field: &'static str, must: &'static str| {
            if ok { Ok(()) } else { Err(Invalid { place: Place::Venue, field, must }) }
        };
        venue(!self.pools.is_empty() && self.pools.len() <= 1_024, "pools", "list 1 to 1,024 pools")?;
        venue(!self.markets.is_empty() && self.markets.len() <= 4_096, "markets", "list 1 to 4,096 markets")?;
        for (i, pool) in self.pools.iter().enumerate() {
            let place = Place::Pool(u16::try_from(i).unwrap_or(u16::MAX));
            if pool.accounts_max == 0 {
                return Err(Invalid { place, field: "accounts_max", must: "be positive" });
            }
            if pool.orders_per_account_max == 0 {
                return Err(Invalid {
                    place,
                    field: "orders_per_account_max",
                    must: "be positive, or nobody could leave",
                });
            }
            if pool.account_min <= Notional(0) {
                return Err(Invalid { place, field: "account_min", must: "be positive" });
            }
            if pool.account_borrow_max < Notional(0) {
                return Err(Invalid { place, field: "account_borrow_max", must: "not be negative" });
            }
            if pool.borrow_max < pool.account_borrow_max {
                return Err(Invalid { place, field: "borrow_max", must: "be at least account_borrow_max" });
            }
            let share = pool.insurance_share_per_account;
            if share < Ratio::ZERO || Ratio::ONE < share {
                return Err(Invalid { place, field: "insurance_share_per_account", must: "lie in 0 ..= 1" });
            }
        }
        for (i, market) in self.markets.iter().enumerate() {
            let id = u16::try_from(i).unwrap_or(u16::MAX);
            market.validate(id, self.pools.len())?;
            for (place, source) in (0..).zip(&market.sources) {
                let Some(quote) = source.quote else { continue };
                let in_usd = |market: &MarketParams| market.sources.iter().all(|source| source.quote.is_none());
                let other = self.markets.get(usize::from(quote.0));
                if !other.is_some_and(|other| other.pool == market.pool && in_usd(other)) {
                    let must = "name a market of the same pool whose own sources are all in USD";
                    return Err(Invalid { place: Place::Source(id, place), field: "quote", must });
                }
            }
        }
        self.governance.validate()
    }
}
