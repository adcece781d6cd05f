//! What a change of parameters does to the risk that the venue takes.
//!
//! Each field declares once what a larger value means; what a smaller one means is the reverse. The structs are taken
//! apart in full, so that a field without a direction doesn't compile. What an explanation says of a rise comes first,
//! of a fall second.
//!
//! A direction is that of what the field is for. That whoever is heard less also contradicts less, and that whoever
//! waits for a better price also waits to be liquidated, is so of every filter and makes none of them mixed by itself.
//!
//! Start at [`VenueParams::compare`].

use crate::governance::GovernanceParams;
use crate::params::{
    ActivityParams, BreakerParams, ChainParams, CollateralParams, DetectorParams, FundingParams, LiquidationParams,
    MarkParams, MarketParams, OracleParams, PoolParams, SourceParams, Thresholds, Tier, VenueParams,
};
use Direction::{Loosen, Mixed, Tighten};
use alloc::vec::Vec;
use core::cmp::Ordering;
use units::Ratio;

/// Which way a change goes.
///
/// [`Direction::join`] is associative, commutative and idempotent, and [`Direction::Neutral`] is its identity, so that
/// what many changes amount to depends neither on their order nor on how they are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// No decision comes out differently.
    Neutral,
    /// The venue takes less risk from its users, or believes less.
    Tighten,
    /// The venue takes more risk from its users, or believes more.
    Loosen,
    /// Safer in one respect and riskier in another. Whoever has to decide treats it like `Loosen`.
    Mixed,
}

impl Direction {
    /// Every direction.
    pub const ALL: [Direction; 4] = [Direction::Neutral, Direction::Tighten, Direction::Loosen, Direction::Mixed];

    /// What both together amount to.
    ///
    /// ```
    /// use protocol::Direction::{Loosen, Mixed, Neutral, Tighten};
    /// assert_eq!(Tighten.join(Neutral), Tighten);
    /// assert_eq!(Tighten.join(Loosen), Mixed);
    /// ```
    #[must_use]
    pub const fn join(self, other: Direction) -> Direction {
        match (self, other) {
            (Direction::Neutral, only) | (only, Direction::Neutral) => only,
            (Tighten, Tighten) => Tighten,
            (Loosen, Loosen) => Loosen,
            (Tighten, Loosen | Mixed) | (Loosen, Tighten | Mixed) | (Mixed, Tighten | Loosen | Mixed) => Mixed,
        }
    }

    /// The direction of the way back.
    #[must_use]
    pub const fn reversed(self) -> Direction {
        match self {
            Tighten => Loosen,
            Loosen => Tighten,
            Direction::Neutral | Mixed => self,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Direction::Neutral => "Neutral",
            Tighten => "Tighten",
            Loosen => "Loosen",
            Mixed => "Mixed",
        }
    }
}

/// What a difference is about, by place in the lists of the parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The venue as a whole.
    Venue,
    /// A pool.
    Pool(usize),
    /// A market.
    Market(usize),
    /// A source of a market.
    Source(usize, usize),
    /// The part of a notional between two bounds, micro-USD, in a market.
    Tier {
        /// Which market.
        market: usize,
        /// Where it begins.
        from: i64,
        /// Where it ends, if it does.
        to: Option<i64>,
    },
}

/// One field that differs, and what that means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it is about.
    pub subject: Subject,
    /// The field, by its name in the policy file.
    pub field: &'static str,
    /// Which way the change goes.
    pub direction: Direction,
    /// What it means, and for whom.
    pub why: &'static str,
}

const MAINTENANCE: &str = "tier.maintenance";
const HAIRCUT: &str = "collateral.haircut";

impl Difference {
    /// The venue's pools are others, or stand in another order.
    #[must_use]
    pub const fn of_pools() -> Difference {
        let why =
            "pools are numbered in this order: accounts, markets and insurance keep the number, whatever its pool";
        Difference { subject: Subject::Venue, field: "pools", direction: Mixed, why }
    }

    /// Whether it raises what an open position needs, or lowers what it is held with: the venue is safer, and whoever has less is liquidated.
    #[must_use]
    pub fn raises_maintenance(&self) -> bool {
        [MAINTENANCE, HAIRCUT].contains(&self.field) && self.direction == Mixed
    }
}

impl VenueParams {
    /// Every field in which `new` differs, pool by pool and market by market in the order of their ids.
    ///
    /// ```
    /// use protocol::{Direction, GovernanceParams, PoolParams, VenueParams};
    /// use units::{Notional, Ratio};
    /// let (accounts_max, orders_per_account_max) = (1_000, 100);
    /// let (account_min, share) = (Notional(10_000_000), Ratio::percent(10));
    /// let pool = PoolParams {
    ///     accounts_max, account_min, orders_per_account_max, account_borrow_max: Notional(0), borrow_max: Notional(0),
    ///     insurance_share_per_account: share, backstop: None,
    /// };
    /// let old = VenueParams { pools: vec![pool.clone()], markets: vec![], governance: GovernanceParams::closed() };
    /// let new = VenueParams { pools: vec![PoolParams { accounts_max: 2_000, ..pool }], ..old.clone() };
    /// let [change] = old.compare(&new)[..] else { panic!("one field differs") };
    /// assert_eq!((change.field, change.direction), ("accounts_max", Direction::Loosen));
    /// ```
    #[must_use]
    pub fn compare(&self, new: &VenueParams) -> Vec<Difference> {
        let mut found = Found { subject: Subject::Venue, differences: Vec::new() };
        check_venue(&mut found, self, new);
        found.differences
    }
}

/// What was found, and what is being looked at.
struct Found {
    subject: Subject,
    differences: Vec<Difference>,
}

impl Found {
    /// A field of which a larger value means `raised`.
    fn ordered<T: Ord>(&mut self, field: &'static str, raised: Direction, why: [&'static str; 2], old: T, new: T) {
        let [rise, fall] = why;
        let (direction, why) = match old.cmp(&new) {
            Ordering::Equal => return,
            Ordering::Less => (raised, rise),
            Ordering::Greater => (raised.reversed(), fall),
        };
        self.differences.push(Difference { subject: self.subject, field, direction, why });
    }

    /// A field whose values have no order: what is gained here is lost there.
    fn unordered<T: PartialEq>(&mut self, field: &'static str, why: &'static str, old: T, new: T) {
        if old != new {
            self.differences.push(Difference { subject: self.subject, field, direction: Mixed, why });
        }
    }
}

// Like validation, a comparison looks at every field by its nature. `check` in the names keeps that apart from a use,
// so that `cargo xtask tidy` still finds a parameter that nothing else reads.

fn check_venue(found: &mut Found, old: &VenueParams, new: &VenueParams) {
    let VenueParams { pools, markets, governance } = old;
    check_governance(found, governance, &new.governance);
    if pools.len() != new.pools.len() {
        found.differences.push(Difference::of_pools());
    }
    found.unordered(
        "markets",
        "markets are numbered in this order: what is open in one stays with the number",
        markets.len(),
        new.markets.len(),
    );
    for (id, (old, new)) in pools.iter().zip(&new.pools).enumerate() {
        found.subject = Subject::Pool(id);
        check_pool(found, old, new);
    }
    for (id, (old, new)) in markets.iter().zip(&new.markets).enumerate() {
        found.subject = Subject::Market(id);
        check_market(found, id, old, new);
    }
}

fn check_governance(found: &mut Found, old: &GovernanceParams, new: &GovernanceParams) {
    let GovernanceParams {
        keys,
        threshold,
        tighten_max,
        ratified_max,
        delay,
        delay_step,
        delay_max,
        doublings_max,
        loosen_every,
        approval_age_max,
        statement_max,
        quorum,
        liquidatable_max,
    } = old;
    let why = "who holds a key decides: another holder, role or number of keys is another venue's trust";
    found.unordered("governance.keys", why, keys, &new.keys);
    let why = ["more governors must agree", "fewer governors must agree"];
    found.ordered("governance.threshold", Tighten, why, *threshold, new.threshold);
    let why = ["one guardian holds a market back for longer", "what one guardian stopped opens again sooner"];
    found.ordered("governance.tighten_max", Mixed, why, *tighten_max, new.tighten_max);
    let why = ["a ratified restriction holds a market back for longer", "what was ratified ends sooner"];
    found.ordered("governance.ratified_max", Mixed, why, *ratified_max, new.ratified_max);
    let why = ["there is more time to stop a loosening", "there is less time to stop a loosening"];
    found.ordered("governance.delay", Tighten, why, *delay, new.delay);
    found.ordered("governance.delay_step", Tighten, why, *delay_step, new.delay_step);
    found.ordered("governance.delay_max", Tighten, why, *delay_max, new.delay_max);
    let why = ["one change may loosen by more", "one change may loosen by less"];
    found.ordered("governance.doublings_max", Loosen, why, *doublings_max, new.doublings_max);
    let why = ["a value is loosened less often", "a value is loosened more often"];
    found.ordered("governance.loosen_every", Tighten, why, *loosen_every, new.loosen_every);
    let why = ["older approvals count", "approvals count for less long"];
    found.ordered("governance.approval_age_max", Loosen, why, *approval_age_max, new.approval_age_max);
    let why = ["what is signed may be kept for longer", "what is signed is void sooner"];
    found.ordered("governance.statement_max", Loosen, why, *statement_max, new.statement_max);
    let why = ["more of the weight must vote to carry on a restriction", "fewer carry on a restriction by a vote"];
    found.ordered("governance.quorum", Mixed, why, *quorum, new.quorum);
    let why = ["a change may make more positions liquidatable", "a change may make fewer positions liquidatable"];
    found.ordered("governance.liquidatable_max", Loosen, why, *liquidatable_max, new.liquidatable_max);
}

fn check_pool(found: &mut Found, old: &PoolParams, new: &PoolParams) {
    let PoolParams {
        accounts_max,
        account_min,
        orders_per_account_max,
        account_borrow_max,
        borrow_max,
        insurance_share_per_account,
        backstop,
    } = old;
    found.ordered(
        "accounts_max",
        Loosen,
        ["more accounts may be opened", "fewer accounts may be opened; those that are stay"],
        accounts_max,
        &new.accounts_max,
    );
    found.ordered(
        "account_min",
        Tighten,
        ["a smaller first deposit opens no account any more", "a smaller first deposit opens an account"],
        account_min,
        &new.account_min,
    );
    found.ordered(
        "orders_per_account_max",
        Loosen,
        ["an account may rest more orders", "an account may rest fewer orders"],
        orders_per_account_max,
        &new.orders_per_account_max,
    );
    found.ordered(
        "account_borrow_max",
        Loosen,
        ["an account may owe more against its collateral", "an account may owe less against its collateral"],
        account_borrow_max,
        &new.account_borrow_max,
    );
    found.ordered(
        "borrow_max",
        Loosen,
        [
            "all accounts together may owe more against collateral",
            "all accounts together may owe less against collateral",
        ],
        borrow_max,
        &new.borrow_max,
    );
    found.ordered(
        "insurance_share_per_account",
        Mixed,
        [
            "one account may cost the insurance fund more, and fewer holders of the other side are deleveraged for it",
            "one account may cost the insurance fund less, and more holders of the other side are deleveraged for it",
        ],
        insurance_share_per_account,
        &new.insurance_share_per_account,
    );
    found.unordered(
        "backstop",
        "another account, or none, takes over what liquidations can't sell and keeps its orders in distress",
        backstop,
        &new.backstop,
    );
}

fn check_market(found: &mut Found, id: usize, old: &MarketParams, new: &MarketParams) {
    let MarketParams {
        pool,
        scale,
        order_size_max,
        open_interest_max,
        open_interest_margin_from,
        sources,
        oracle,
        mark,
        funding: FundingParams { rate_max, interval },
        collateral: CollateralParams { deposit_max, haircut, ramp, auction },
        tiers,
        detectors,
        activity,
        chain,
        breaker,
        liquidation,
    } = old;
    found.unordered("pool", "other accounts and another insurance fund bear the market's losses", pool, &new.pool);
    found.unordered("scale", "every price and size that is stored means another amount", scale, &new.scale);
    found.ordered(
        "order_size_max",
        Loosen,
        ["larger orders may open", "orders that open must be smaller"],
        order_size_max,
        &new.order_size_max,
    );
    found.ordered(
        "open_interest_max",
        Loosen,
        ["more may be opened", "less may be opened; what is open stays"],
        open_interest_max,
        &new.open_interest_max,
    );
    found.ordered(
        "open_interest_margin_from",
        Loosen,
        [
            "a more crowded market is opened at the tiers' margin",
            "a less crowded market asks for more than the tiers' margin",
        ],
        open_interest_margin_from,
        &new.open_interest_margin_from,
    );
    found.ordered(
        "funding.rate_max",
        Mixed,
        [
            "the mark is pulled harder to the index, and a payment takes more",
            "a payment takes less, and the mark is pulled less",
        ],
        rate_max,
        &new.funding.rate_max,
    );
    found.ordered(
        "funding.interval",
        Mixed,
        ["payments come less often", "payments come more often"],
        interval,
        &new.funding.interval,
    );
    found.ordered(
        "collateral.deposit_max",
        Loosen,
        ["more of the asset backs positions", "less of the asset backs positions; what is there stays"],
        deposit_max,
        &new.collateral.deposit_max,
    );
    found.ordered(
        HAIRCUT,
        // A larger one is safer for the venue, and takes from whoever has an open position; a smaller one only loosens.
        if *haircut < new.collateral.haircut { Mixed } else { Tighten },
        [
            "collateral counts for less, and whoever has not enough without that is liquidated",
            "collateral counts for more",
        ],
        haircut,
        &new.collateral.haircut,
    );
    found.ordered(
        "collateral.ramp",
        Tighten,
        ["what is paid in counts later", "what is paid in counts sooner"],
        ramp,
        &new.collateral.ramp,
    );
    found.ordered(
        "collateral.auction",
        Mixed,
        [
            "collateral that is sold brings its owner more, and a debt stands longer",
            "collateral that is sold brings its owner less, and a debt stands shorter",
        ],
        auction,
        &new.collateral.auction,
    );
    check_oracle(found, oracle, &new.oracle);
    check_mark(found, mark, &new.mark);
    check_detectors(found, detectors, &new.detectors);
    check_activity(found, activity, &new.activity);
    check_chain(found, chain, &new.chain);
    check_breaker(found, breaker, &new.breaker);
    check_liquidation(found, liquidation, &new.liquidation);
    found.unordered(
        "sources",
        "one voice more can confirm a price and can contradict one; one voice less can do neither",
        sources.len(),
        new.sources.len(),
    );
    check_tiers(found, id, tiers, &new.tiers);
    for (source, (old, new)) in sources.iter().zip(&new.sources).enumerate() {
        found.subject = Subject::Source(id, source);
        check_source(found, old, new);
    }
}

fn check_source(found: &mut Found, old: &SourceParams, new: &SourceParams) {
    let SourceParams { weight, lineage, heartbeat, price_min, price_max, kind, rung, quote } = old;
    found.ordered(
        "weight",
        Mixed,
        [
            "this source is believed more, and every other one less",
            "this source is believed less, and every other one more",
        ],
        weight,
        &new.weight,
    );
    found.unordered(
        "lineage",
        "it shares its voice with others than before: one voice less for some, one more for others",
        lineage,
        &new.lineage,
    );
    found.ordered(
        "heartbeat",
        Loosen,
        ["it may be silent for longer, and older prices of it are used", "it may be silent for less long"],
        heartbeat,
        &new.heartbeat,
    );
    found.ordered(
        "price_min",
        Tighten,
        ["low prices that were believed count as stuck", "lower prices are believed"],
        price_min,
        &new.price_min,
    );
    found.ordered(
        "price_max",
        Loosen,
        ["higher prices are believed", "high prices that were believed count as stuck"],
        price_max,
        &new.price_max,
    );
    found.unordered(
        "kind",
        "moves of its prices trip the market or don't; those of the market's other sources may count for more or less by it",
        kind,
        &new.kind,
    );
    found.unordered(
        "rung",
        "it speaks on another rung of the ladder: one set hears it, another doesn't any more",
        rung,
        &new.rung,
    );
    found.unordered("quote", "its prices are in another unit", quote, &new.quote);
}

fn check_oracle(found: &mut Found, old: &OracleParams, new: &OracleParams) {
    let OracleParams {
        age_max,
        silence_floor,
        future_max,
        confidence_max,
        jump_max,
        jump_window,
        jump_confirm,
        leap_max,
        leap_confirm,
        agree,
        dispute,
        lineages_min,
        overrule_lineages,
        dispute_confirm,
        last_good_max,
        twap_max,
        guardians_min,
        confidence_scale,
        fallback_confidence,
        derived_haircut,
    } = old;
    found.ordered(
        "oracle.age_max",
        Loosen,
        ["older prices are used", "older prices are not used any more"],
        age_max,
        &new.age_max,
    );
    // Unlike `age_max` it admits no older price than the policy already takes: it shifts who is heard.
    found.ordered(
        "oracle.silence_floor",
        Mixed,
        [
            "a source that falls silent keeps its voice for longer: its price is used, and contradicts the others",
            "a source that falls silent loses its voice sooner: its price is not used, nor in the way of the others",
        ],
        silence_floor,
        &new.silence_floor,
    );
    found.ordered(
        "oracle.future_max",
        Loosen,
        ["prices from further ahead are used", "prices from less far ahead are refused"],
        future_max,
        &new.future_max,
    );
    found.ordered(
        "oracle.confidence_max",
        Loosen,
        ["less certain prices are used", "less certain prices are not used any more"],
        confidence_max,
        &new.confidence_max,
    );
    // A smaller one is the safer filter, and takes a margin of doubt from whoever is judged without a sound price.
    found.ordered(
        "oracle.jump_max",
        Mixed,
        [
            "larger steps are believed at once; where a market lets none be taken, positions are judged more kindly",
            "smaller steps wait to be confirmed; where a market lets none be taken, positions are judged less kindly",
        ],
        jump_max,
        &new.jump_max,
    );
    found.ordered(
        "oracle.jump_window",
        Tighten,
        ["after a silence smaller steps wait to be confirmed", "after a silence larger steps are believed at once"],
        jump_window,
        &new.jump_window,
    );
    found.ordered(
        "oracle.jump_confirm",
        Tighten,
        ["a jump must stand for longer to be believed", "a jump is believed sooner"],
        jump_confirm,
        &new.jump_confirm,
    );
    found.ordered(
        "oracle.leap_max",
        Loosen,
        [
            "what everybody says is believed at once although it is farther away",
            "a smaller leap of everybody is disputed",
        ],
        leap_max,
        &new.leap_max,
    );
    found.ordered(
        "oracle.leap_confirm",
        Tighten,
        ["a leap of everybody must stand for longer to be believed", "a leap of everybody is believed sooner"],
        leap_confirm,
        &new.leap_confirm,
    );
    found.ordered(
        "oracle.agree",
        Loosen,
        ["prices farther apart support one another", "prices must be closer to support one another"],
        agree,
        &new.agree,
    );
    found.ordered(
        "oracle.dispute",
        Loosen,
        ["prices farther apart don't contradict each other", "prices less far apart contradict each other"],
        dispute,
        &new.dispute,
    );
    // A market that lists fewer is one in which a lone voice liquidates.
    found.ordered(
        "oracle.lineages_min",
        Mixed,
        [
            "an agreed price needs more voices; a market that lists fewer than that liquidates the solvent without one",
            "fewer voices make an agreed price; a market that lists as many liquidates the solvent by no other",
        ],
        lineages_min,
        &new.lineages_min,
    );
    found.ordered(
        "oracle.overrule_lineages",
        Tighten,
        ["more voices are needed to outvote a contradiction at once", "fewer voices outvote a contradiction at once"],
        overrule_lineages,
        &new.overrule_lineages,
    );
    found.ordered(
        "oracle.dispute_confirm",
        Mixed,
        [
            "a contradicted majority must stand for longer to be believed, and nobody can withdraw until it is",
            "a contradicted majority is believed sooner, and what nobody can withdraw meanwhile is free sooner",
        ],
        dispute_confirm,
        &new.dispute_confirm,
    );
    found.ordered(
        "oracle.last_good_max",
        Loosen,
        ["the last price serves for longer without a source", "the last price serves less long, then the market halts"],
        last_good_max,
        &new.last_good_max,
    );
    found.ordered(
        "oracle.twap_max",
        Mixed,
        [
            "without a source the average serves for longer, wider than the last price and behind it",
            "without a source the average serves less long, and the last price sooner",
        ],
        twap_max,
        &new.twap_max,
    );
    found.ordered(
        "oracle.guardians_min",
        Tighten,
        ["more guardians must agree on a price", "fewer guardians make a price"],
        guardians_min,
        &new.guardians_min,
    );
    found.ordered(
        "oracle.confidence_scale",
        Mixed,
        [
            "a doubtful price is farther from what it says, for whom it takes from and against whom it gives to",
            "a doubtful price is nearer to what it says, for whom it takes from and against whom it gives to",
        ],
        confidence_scale,
        &new.confidence_scale,
    );
    found.ordered(
        "oracle.fallback_confidence",
        Mixed,
        [
            "at a secondary or guardians' price positions are judged more kindly",
            "at a secondary or guardians' price positions are judged less kindly",
        ],
        fallback_confidence,
        &new.fallback_confidence,
    );
    found.ordered(
        "oracle.derived_haircut",
        Mixed,
        ["at a derived price positions are judged more kindly", "at a derived price positions are judged less kindly"],
        derived_haircut,
        &new.derived_haircut,
    );
}

fn check_mark(found: &mut Found, old: &MarkParams, new: &MarkParams) {
    let MarkParams { premium_max, premium_window, step_max, step_window } = old;
    found.ordered(
        "mark.premium_max",
        Loosen,
        ["the venue's own book moves the mark farther", "the venue's own book moves the mark less far"],
        premium_max,
        &new.premium_max,
    );
    found.ordered(
        "mark.premium_window",
        Mixed,
        [
            "a push of the book reaches the mark later, and a premium that nobody renews stays for longer",
            "a push of the book reaches the mark sooner, and a premium that nobody renews fades sooner",
        ],
        premium_window,
        &new.premium_window,
    );
    found.ordered(
        "mark.step_max",
        Mixed,
        [
            "the mark follows the market sooner, and one step of it costs more",
            "the mark follows the market later, and one step of it costs less",
        ],
        step_max,
        &new.step_max,
    );
    found.ordered(
        "mark.step_window",
        Mixed,
        [
            "the mark follows the market later, and fast moves cost less at once",
            "the mark follows the market sooner, and fast moves cost more at once",
        ],
        step_window,
        &new.step_window,
    );
}

fn check_detectors(found: &mut Found, old: &DetectorParams, new: &DetectorParams) {
    let DetectorParams {
        exit,
        velocity: Thresholds { cautious: velocity_cautious, reduce_only: velocity_reduce_only },
        velocity_window,
        swing: Thresholds { cautious: swing_cautious, reduce_only: swing_reduce_only },
        swing_window,
        band: Thresholds { cautious: band_cautious, reduce_only: band_reduce_only },
        twap_window,
        twap_coverage_min,
        staleness: Thresholds { cautious: staleness_cautious, reduce_only: staleness_reduce_only },
        drift: Thresholds { cautious: drift_cautious, reduce_only: drift_reduce_only },
        stable_half_life,
        stable_reach,
        stuck: Thresholds { cautious: stuck_cautious, reduce_only: stuck_reduce_only },
        disagreement,
        quorum_coverage_min,
    } = old;
    found.ordered(
        "detectors.exit",
        Loosen,
        ["detectors let go sooner", "detectors hold what they entered for longer"],
        exit,
        &new.exit,
    );
    let cautious = ["a larger move passes as normal", "a smaller move makes the market cautious"];
    let reduce_only = ["a larger move may be opened into", "a smaller move stops what opens"];
    for (field, why, old, new) in [
        ("detectors.velocity.cautious", cautious, velocity_cautious, &new.velocity.cautious),
        ("detectors.velocity.reduce_only", reduce_only, velocity_reduce_only, &new.velocity.reduce_only),
        ("detectors.swing.cautious", cautious, swing_cautious, &new.swing.cautious),
        ("detectors.swing.reduce_only", reduce_only, swing_reduce_only, &new.swing.reduce_only),
        ("detectors.band.cautious", cautious, band_cautious, &new.band.cautious),
        ("detectors.band.reduce_only", reduce_only, band_reduce_only, &new.band.reduce_only),
        ("detectors.staleness.cautious", cautious, staleness_cautious, &new.staleness.cautious),
        ("detectors.staleness.reduce_only", reduce_only, staleness_reduce_only, &new.staleness.reduce_only),
        ("detectors.drift.cautious", cautious, drift_cautious, &new.drift.cautious),
        ("detectors.drift.reduce_only", reduce_only, drift_reduce_only, &new.drift.reduce_only),
    ] {
        found.ordered(field, Loosen, why, old, new);
    }
    found.ordered(
        "detectors.velocity_window",
        Tighten,
        ["moves add up over a longer time", "moves add up over a shorter time"],
        velocity_window,
        &new.velocity_window,
    );
    found.ordered(
        "detectors.swing_window",
        Mixed,
        [
            "moves add up over a longer time; a price that is not renewed is doubted later",
            "moves add up over a shorter time; a price that is not renewed is doubted sooner",
        ],
        swing_window,
        &new.swing_window,
    );
    found.ordered(
        "detectors.twap_window",
        Mixed,
        [
            "a slow move shows more, a return to an older price less, and after a gap the average is used later",
            "a slow move shows less, a return to an older price more, and after a gap the average is used sooner",
        ],
        twap_window,
        &new.twap_window,
    );
    found.ordered(
        "detectors.twap_coverage_min",
        Mixed,
        [
            "after a gap the band is blind for longer: it neither enters nor lets go",
            "after a gap the band sees sooner, by an average of less: it enters and lets go again",
        ],
        twap_coverage_min,
        &new.twap_coverage_min,
    );
    found.ordered(
        "detectors.stable_half_life",
        Mixed,
        [
            "a slow walk shows more and for longer; a price that stays where it went stays strange for longer",
            "a slow walk shows less; a price that stays where it went is sooner taken as it is",
        ],
        stable_half_life,
        &new.stable_half_life,
    );
    found.ordered(
        "detectors.stable_reach",
        Mixed,
        [
            "an extreme price moves the stable one farther, which follows a true move sooner",
            "an extreme price moves the stable one less far, which follows a true move later",
        ],
        stable_reach,
        &new.stable_reach,
    );
    let stuck_at = ["more of the weight may be stuck at its bound", "less of the weight may be stuck at its bound"];
    for (field, old, new) in [
        ("detectors.stuck.cautious", stuck_cautious, &new.stuck.cautious),
        ("detectors.stuck.reduce_only", stuck_reduce_only, &new.stuck.reduce_only),
    ] {
        found.ordered(field, Loosen, stuck_at, old, new);
    }
    found.ordered(
        "detectors.disagreement",
        Loosen,
        [
            "a wider spread of the sources passes as normal",
            "a narrower spread of the sources makes the market cautious",
        ],
        disagreement,
        &new.disagreement,
    );
    found.ordered(
        "detectors.quorum_coverage_min",
        Tighten,
        [
            "more of the weight must speak, or the market is cautious",
            "less of the weight is enough for a normal market",
        ],
        quorum_coverage_min,
        &new.quorum_coverage_min,
    );
}

fn check_activity(found: &mut Found, old: &ActivityParams, new: &ActivityParams) {
    let ActivityParams {
        growth: Thresholds { cautious: growth_cautious, reduce_only: growth_reduce_only },
        growth_window,
        crowding: Thresholds { cautious: crowding_cautious, reduce_only: crowding_reduce_only },
        intensity: Thresholds { cautious: intensity_cautious, reduce_only: intensity_reduce_only },
        intensity_window,
        divergence: Thresholds { cautious: divergence_cautious, reduce_only: divergence_reduce_only },
    } = old;
    let cautious = ["more of it passes as normal", "less of it makes the market cautious"];
    let reduce_only = ["more of it may be opened into", "less of it stops what opens"];
    for (field, why, old, new) in [
        ("activity.growth.cautious", cautious, growth_cautious, &new.growth.cautious),
        ("activity.growth.reduce_only", reduce_only, growth_reduce_only, &new.growth.reduce_only),
        ("activity.crowding.cautious", cautious, crowding_cautious, &new.crowding.cautious),
        ("activity.crowding.reduce_only", reduce_only, crowding_reduce_only, &new.crowding.reduce_only),
        ("activity.intensity.cautious", cautious, intensity_cautious, &new.intensity.cautious),
        ("activity.intensity.reduce_only", reduce_only, intensity_reduce_only, &new.intensity.reduce_only),
        ("activity.divergence.cautious", cautious, divergence_cautious, &new.divergence.cautious),
        ("activity.divergence.reduce_only", reduce_only, divergence_reduce_only, &new.divergence.reduce_only),
    ] {
        found.ordered(field, Loosen, why, old, new);
    }
    for (field, old, new) in [
        ("activity.growth_window", growth_window, &new.growth_window),
        ("activity.intensity_window", intensity_window, &new.intensity_window),
    ] {
        found.ordered(field, Tighten, ["it adds up over a longer time", "it adds up over a shorter time"], old, new);
    }
}

fn check_chain(found: &mut Found, old: &ChainParams, new: &ChainParams) {
    let ChainParams { distress: Thresholds { cautious, reduce_only }, interval, inclusion, finality, base_fee } = old;
    // While a chain stands still no liquidation order runs out, and after it there is grace.
    let why = [
        "a worse chain passes, for what opens, and stops no clock",
        "a better chain restricts what opens, stops clocks and brings grace",
    ];
    found.ordered("chain.distress.cautious", Loosen, why, cautious, &new.distress.cautious);
    found.ordered("chain.distress.reduce_only", Mixed, why, reduce_only, &new.distress.reduce_only);
    for (field, old, new) in [
        ("chain.interval", interval, &new.interval),
        ("chain.inclusion", inclusion, &new.inclusion),
        ("chain.finality", finality, &new.finality),
    ] {
        found.ordered(field, Mixed, why, old, new);
    }
    found.ordered("chain.base_fee", Mixed, why, base_fee, &new.base_fee);
}

fn check_breaker(found: &mut Found, old: &BreakerParams, new: &BreakerParams) {
    let BreakerParams { calm, probation, calm_max, cautious_margin_addon, cautious_size_scale, grace_share, grace_max } =
        old;
    let grace = [
        "after an outage whoever it brought under maintenance has longer to act, and may lose more",
        "after an outage whoever it brought under maintenance is liquidated sooner",
    ];
    found.ordered("breaker.grace_share", Mixed, grace, grace_share, &new.grace_share);
    found.ordered("breaker.grace_max", Mixed, grace, grace_max, &new.grace_max);
    // A wait for a better price leaves exits open; this one closes them although the price is good again.
    found.ordered(
        "breaker.calm",
        Mixed,
        [
            "nothing opens for longer; after a halt exits and liquidations wait longer too, although there is a price",
            "what opens is let in sooner; after a halt exits and liquidations go on sooner too",
        ],
        calm,
        &new.calm,
    );
    found.ordered(
        "breaker.probation",
        Tighten,
        [
            "a market that falls back is told from one that trips anew for longer",
            "a market that falls back is sooner taken for one that trips anew",
        ],
        probation,
        &new.probation,
    );
    found.ordered(
        "breaker.calm_max",
        Tighten,
        ["what opens may wait for longer after relapses", "what opens waits less long after relapses"],
        calm_max,
        &new.calm_max,
    );
    found.ordered(
        "breaker.cautious_margin_addon",
        Tighten,
        ["while cautious, opening needs more margin", "while cautious, opening needs less margin"],
        cautious_margin_addon,
        &new.cautious_margin_addon,
    );
    found.ordered(
        "breaker.cautious_size_scale",
        Loosen,
        ["while cautious, larger orders may open", "while cautious, orders that open must be smaller"],
        cautious_size_scale,
        &new.cautious_size_scale,
    );
}

fn check_liquidation(found: &mut Found, old: &LiquidationParams, new: &LiquidationParams) {
    let LiquidationParams { buffer, fee, slippage_max, order_ttl, single_lineage_confirm } = old;
    found.ordered(
        "liquidation.buffer",
        Mixed,
        [
            "the pool is safer from who was liquidated, from whom more is taken than restores maintenance",
            "less is taken from who is liquidated, who is nearer to the next liquidation",
        ],
        buffer,
        &new.buffer,
    );
    found.ordered(
        "liquidation.fee",
        Mixed,
        [
            "the insurance fund gets more, from accounts that have the less to pay their losses with",
            "the insurance fund gets less; who is liquidated keeps more to pay its losses with",
        ],
        fee,
        &new.fee,
    );
    found.ordered(
        "liquidation.slippage_max",
        Mixed,
        [
            "forced orders and exits fill more surely, at worse prices, which the account and the fund pay",
            "forced orders and exits cost less, and fill less surely: more may end in deleveraging",
        ],
        slippage_max,
        &new.slippage_max,
    );
    found.ordered(
        "liquidation.order_ttl",
        Mixed,
        [
            "the book has longer to take a forced order, at an older limit; the insolvent are deleveraged later",
            "a forced order is decided again sooner, at a newer price; the insolvent are deleveraged sooner",
        ],
        order_ttl,
        &new.order_ttl,
    );
    found.ordered(
        "liquidation.single_lineage_confirm",
        Tighten,
        ["a lone voice must stand for longer before it liquidates", "a lone voice liquidates sooner"],
        single_lineage_confirm,
        &new.single_lineage_confirm,
    );
}

/// Tiers are compared by what they ask for each part of a notional, not one by one: a tier that was split without a
/// change of rates is none, and a bound that was moved is a change of rates between where it was and where it is.
fn check_tiers(found: &mut Found, market: usize, old: &[Tier], new: &[Tier]) {
    let (old, new) = (rising(old), rising(new));
    let mut bounds: Vec<i64> = old.iter().chain(&new).map(|tier| tier.notional_from).collect();
    bounds.sort_unstable();
    let asks_alike = |a: i64, b: i64| [&old, &new].iter().all(|tiers| check_rates(tiers, a) == check_rates(tiers, b));
    bounds.dedup_by(|bound, below| asks_alike(*bound, *below));
    for (i, from) in bounds.iter().enumerate() {
        let (from, to) = (*from, bounds.get(i + 1).copied());
        found.subject = Subject::Tier { market, from, to };
        let [old_initial, old_maintenance] = check_rates(&old, from);
        let [new_initial, new_maintenance] = check_rates(&new, from);
        found.ordered(
            "tier.initial",
            Tighten,
            ["opening needs more margin", "opening needs less margin"],
            old_initial,
            new_initial,
        );
        found.ordered(
            MAINTENANCE,
            // No tightening takes away what somebody holds: that has to be as slow as a loosening.
            if old_maintenance < new_maintenance { Mixed } else { Tighten },
            [
                "staying open needs more margin: accounts that have less are liquidated",
                "accounts are liquidated later, with less left for who has to close them",
            ],
            old_maintenance,
            new_maintenance,
        );
    }
}

fn rising(tiers: &[Tier]) -> Vec<Tier> {
    let mut tiers = tiers.to_vec();
    tiers.sort_by_key(|tier| tier.notional_from);
    tiers
}

/// The marginal rates at a notional, initial and maintenance; nothing is asked below the first bound.
fn check_rates(tiers: &[Tier], at: i64) -> [Ratio; 2] {
    let reached = tiers.partition_point(|tier| tier.notional_from <= at).checked_sub(1).and_then(|i| tiers.get(i));
    let rates = |Tier { notional_from: _, initial, maintenance }: &Tier| [*initial, *maintenance];
    reached.map_or([Ratio::ZERO; 2], rates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::governance::{KeyParams, Role};
    use crate::ids::MarketId;
    use crate::ids::{AccountId, LineageId, PoolId};
    use crate::params::SourceKind;
    use crate::quality::Rung;
    use alloc::vec;
    use units::{Duration, Notional, Price, Scale, Size};

    fn venue() -> VenueParams {
        let (ratio, span) = (Ratio::percent(10), Duration::seconds(10));
        let tier =
            |notional_from, initial| Tier { notional_from, initial: Ratio::percent(initial), maintenance: ratio };
        let thresholds = Thresholds { cautious: ratio, reduce_only: ratio };
        VenueParams {
            pools: vec![PoolParams {
                accounts_max: 10,
                account_min: Notional(10),
                orders_per_account_max: 10,
                account_borrow_max: Notional(10),
                borrow_max: Notional(10),
                insurance_share_per_account: ratio,
                backstop: None,
            }],
            markets: vec![MarketParams {
                pool: PoolId(0),
                scale: Scale::new(4, 3).unwrap(),
                order_size_max: Size(10),
                open_interest_max: Size(10),
                open_interest_margin_from: ratio,
                funding: FundingParams { rate_max: ratio, interval: span },
                collateral: CollateralParams { deposit_max: Size(10), haircut: ratio, ramp: span, auction: span },
                sources: vec![SourceParams {
                    weight: 10,
                    lineage: LineageId(0),
                    heartbeat: span,
                    price_min: Price(10),
                    price_max: Price(20),
                    kind: SourceKind::Trades,
                    rung: Rung::Primary,
                    quote: None,
                }],
                oracle: OracleParams {
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
                    confidence_scale: ratio,
                    fallback_confidence: ratio,
                    derived_haircut: ratio,
                },
                mark: MarkParams { premium_max: ratio, premium_window: span, step_max: ratio, step_window: span },
                tiers: vec![tier(0, 20), tier(1_000, 30)],
                detectors: DetectorParams {
                    exit: ratio,
                    velocity: thresholds,
                    velocity_window: span,
                    swing: thresholds,
                    swing_window: span,
                    band: thresholds,
                    twap_window: span,
                    twap_coverage_min: ratio,
                    staleness: thresholds,
                    drift: thresholds,
                    stable_half_life: span,
                    stable_reach: ratio,
                    stuck: thresholds,
                    disagreement: ratio,
                    quorum_coverage_min: ratio,
                },
                breaker: BreakerParams {
                    calm: span,
                    probation: span,
                    calm_max: span,
                    cautious_margin_addon: ratio,
                    cautious_size_scale: ratio,
                    grace_share: ratio,
                    grace_max: span,
                },
                activity: ActivityParams {
                    growth: thresholds,
                    growth_window: span,
                    crowding: thresholds,
                    intensity: thresholds,
                    intensity_window: span,
                    divergence: thresholds,
                },
                chain: ChainParams {
                    distress: thresholds,
                    interval: span,
                    inclusion: span,
                    finality: span,
                    base_fee: 10,
                },
                liquidation: LiquidationParams {
                    buffer: ratio,
                    fee: ratio,
                    slippage_max: ratio,
                    order_ttl: span,
                    single_lineage_confirm: span,
                },
            }],
            governance: GovernanceParams::closed(),
        }
    }

    const MARKET: Subject = Subject::Market(0);
    const SOURCE: Subject = Subject::Source(0, 0);
    const TOP: Subject = Subject::Tier { market: 0, from: 1_000, to: None };
    const MOVED: Subject = Subject::Tier { market: 0, from: 1_000, to: Some(1_001) };

    /// Raises one field by one step, and what that must be.
    type Step = (&'static str, Subject, Direction, fn(&mut VenueParams));

    /// Every field of every struct.
    const STEPS: &[Step] = &[
        ("pools", Subject::Venue, Mixed, |v| v.pools.push(v.pools[0].clone())),
        ("markets", Subject::Venue, Mixed, |v| v.markets.push(v.markets[0].clone())),
        ("governance.keys", Subject::Venue, Mixed, |v| {
            v.governance.keys.push(KeyParams { key: [1; 32], role: Role::Guardian });
        }),
        ("governance.threshold", Subject::Venue, Tighten, |v| v.governance.threshold += 1),
        ("governance.tighten_max", Subject::Venue, Mixed, |v| v.governance.tighten_max.0 += 1),
        ("governance.ratified_max", Subject::Venue, Mixed, |v| v.governance.ratified_max.0 += 1),
        ("governance.delay", Subject::Venue, Tighten, |v| v.governance.delay.0 += 1),
        ("governance.delay_step", Subject::Venue, Tighten, |v| v.governance.delay_step.0 += 1),
        ("governance.delay_max", Subject::Venue, Tighten, |v| v.governance.delay_max.0 += 1),
        ("governance.doublings_max", Subject::Venue, Loosen, |v| v.governance.doublings_max += 1),
        ("governance.loosen_every", Subject::Venue, Tighten, |v| v.governance.loosen_every.0 += 1),
        ("governance.approval_age_max", Subject::Venue, Loosen, |v| v.governance.approval_age_max.0 += 1),
        ("governance.statement_max", Subject::Venue, Loosen, |v| v.governance.statement_max.0 += 1),
        ("governance.quorum", Subject::Venue, Mixed, |v| v.governance.quorum.0 += 1),
        ("governance.liquidatable_max", Subject::Venue, Loosen, |v| v.governance.liquidatable_max.0 += 1),
        ("accounts_max", Subject::Pool(0), Loosen, |v| v.pools[0].accounts_max += 1),
        ("account_min", Subject::Pool(0), Tighten, |v| v.pools[0].account_min.0 += 1),
        ("orders_per_account_max", Subject::Pool(0), Loosen, |v| v.pools[0].orders_per_account_max += 1),
        ("account_borrow_max", Subject::Pool(0), Loosen, |v| v.pools[0].account_borrow_max.0 += 1),
        ("borrow_max", Subject::Pool(0), Loosen, |v| v.pools[0].borrow_max.0 += 1),
        ("insurance_share_per_account", Subject::Pool(0), Mixed, |v| v.pools[0].insurance_share_per_account.0 += 1),
        ("backstop", Subject::Pool(0), Mixed, |v| v.pools[0].backstop = Some(AccountId(1))),
        ("pool", MARKET, Mixed, |v| v.markets[0].pool.0 += 1),
        ("scale", MARKET, Mixed, |v| v.markets[0].scale = Scale::new(4, 4).unwrap()),
        ("order_size_max", MARKET, Loosen, |v| v.markets[0].order_size_max.0 += 1),
        ("open_interest_margin_from", MARKET, Loosen, |v| v.markets[0].open_interest_margin_from.0 += 1),
        ("funding.rate_max", MARKET, Mixed, |v| v.markets[0].funding.rate_max.0 += 1),
        ("funding.interval", MARKET, Mixed, |v| v.markets[0].funding.interval.0 += 1),
        ("collateral.deposit_max", MARKET, Loosen, |v| v.markets[0].collateral.deposit_max.0 += 1),
        ("collateral.haircut", MARKET, Mixed, |v| v.markets[0].collateral.haircut.0 += 1),
        ("collateral.ramp", MARKET, Tighten, |v| v.markets[0].collateral.ramp.0 += 1),
        ("collateral.auction", MARKET, Mixed, |v| v.markets[0].collateral.auction.0 += 1),
        ("oracle.confidence_scale", MARKET, Mixed, |v| v.markets[0].oracle.confidence_scale.0 += 1),
        ("open_interest_max", MARKET, Loosen, |v| v.markets[0].open_interest_max.0 += 1),
        ("sources", MARKET, Mixed, |v| v.markets[0].sources.extend_from_within(..)),
        ("oracle.age_max", MARKET, Loosen, |v| v.markets[0].oracle.age_max.0 += 1),
        ("oracle.silence_floor", MARKET, Mixed, |v| v.markets[0].oracle.silence_floor.0 += 1),
        ("oracle.future_max", MARKET, Loosen, |v| v.markets[0].oracle.future_max.0 += 1),
        ("oracle.confidence_max", MARKET, Loosen, |v| v.markets[0].oracle.confidence_max.0 += 1),
        ("oracle.jump_max", MARKET, Mixed, |v| v.markets[0].oracle.jump_max.0 += 1),
        ("oracle.jump_window", MARKET, Tighten, |v| v.markets[0].oracle.jump_window.0 += 1),
        ("oracle.jump_confirm", MARKET, Tighten, |v| v.markets[0].oracle.jump_confirm.0 += 1),
        ("oracle.leap_max", MARKET, Loosen, |v| v.markets[0].oracle.leap_max.0 += 1),
        ("oracle.leap_confirm", MARKET, Tighten, |v| v.markets[0].oracle.leap_confirm.0 += 1),
        ("oracle.agree", MARKET, Loosen, |v| v.markets[0].oracle.agree.0 += 1),
        ("oracle.dispute", MARKET, Loosen, |v| v.markets[0].oracle.dispute.0 += 1),
        ("oracle.lineages_min", MARKET, Mixed, |v| v.markets[0].oracle.lineages_min += 1),
        ("oracle.overrule_lineages", MARKET, Tighten, |v| v.markets[0].oracle.overrule_lineages += 1),
        ("oracle.dispute_confirm", MARKET, Mixed, |v| v.markets[0].oracle.dispute_confirm.0 += 1),
        ("oracle.last_good_max", MARKET, Loosen, |v| v.markets[0].oracle.last_good_max.0 += 1),
        ("oracle.twap_max", MARKET, Mixed, |v| v.markets[0].oracle.twap_max.0 += 1),
        ("oracle.guardians_min", MARKET, Tighten, |v| v.markets[0].oracle.guardians_min += 1),
        ("oracle.fallback_confidence", MARKET, Mixed, |v| v.markets[0].oracle.fallback_confidence.0 += 1),
        ("oracle.derived_haircut", MARKET, Mixed, |v| v.markets[0].oracle.derived_haircut.0 += 1),
        ("mark.premium_max", MARKET, Loosen, |v| v.markets[0].mark.premium_max.0 += 1),
        ("mark.premium_window", MARKET, Mixed, |v| v.markets[0].mark.premium_window.0 += 1),
        ("mark.step_max", MARKET, Mixed, |v| v.markets[0].mark.step_max.0 += 1),
        ("mark.step_window", MARKET, Mixed, |v| v.markets[0].mark.step_window.0 += 1),
        ("detectors.exit", MARKET, Loosen, |v| v.markets[0].detectors.exit.0 += 1),
        ("detectors.velocity.cautious", MARKET, Loosen, |v| v.markets[0].detectors.velocity.cautious.0 += 1),
        ("detectors.velocity.reduce_only", MARKET, Loosen, |v| v.markets[0].detectors.velocity.reduce_only.0 += 1),
        ("detectors.velocity_window", MARKET, Tighten, |v| v.markets[0].detectors.velocity_window.0 += 1),
        ("detectors.swing.cautious", MARKET, Loosen, |v| v.markets[0].detectors.swing.cautious.0 += 1),
        ("detectors.swing.reduce_only", MARKET, Loosen, |v| v.markets[0].detectors.swing.reduce_only.0 += 1),
        ("detectors.swing_window", MARKET, Mixed, |v| v.markets[0].detectors.swing_window.0 += 1),
        ("detectors.staleness.cautious", MARKET, Loosen, |v| v.markets[0].detectors.staleness.cautious.0 += 1),
        ("detectors.staleness.reduce_only", MARKET, Loosen, |v| v.markets[0].detectors.staleness.reduce_only.0 += 1),
        ("detectors.drift.cautious", MARKET, Loosen, |v| v.markets[0].detectors.drift.cautious.0 += 1),
        ("detectors.drift.reduce_only", MARKET, Loosen, |v| v.markets[0].detectors.drift.reduce_only.0 += 1),
        ("detectors.stable_half_life", MARKET, Mixed, |v| v.markets[0].detectors.stable_half_life.0 += 1),
        ("detectors.stable_reach", MARKET, Mixed, |v| v.markets[0].detectors.stable_reach.0 += 1),
        ("activity.growth.cautious", MARKET, Loosen, |v| v.markets[0].activity.growth.cautious.0 += 1),
        ("activity.growth.reduce_only", MARKET, Loosen, |v| v.markets[0].activity.growth.reduce_only.0 += 1),
        ("activity.crowding.cautious", MARKET, Loosen, |v| v.markets[0].activity.crowding.cautious.0 += 1),
        ("activity.crowding.reduce_only", MARKET, Loosen, |v| v.markets[0].activity.crowding.reduce_only.0 += 1),
        ("activity.intensity.cautious", MARKET, Loosen, |v| v.markets[0].activity.intensity.cautious.0 += 1),
        ("activity.intensity.reduce_only", MARKET, Loosen, |v| v.markets[0].activity.intensity.reduce_only.0 += 1),
        ("activity.divergence.cautious", MARKET, Loosen, |v| v.markets[0].activity.divergence.cautious.0 += 1),
        ("activity.divergence.reduce_only", MARKET, Loosen, |v| v.markets[0].activity.divergence.reduce_only.0 += 1),
        ("activity.growth_window", MARKET, Tighten, |v| v.markets[0].activity.growth_window.0 += 1),
        ("activity.intensity_window", MARKET, Tighten, |v| v.markets[0].activity.intensity_window.0 += 1),
        ("chain.distress.cautious", MARKET, Loosen, |v| v.markets[0].chain.distress.cautious.0 += 1),
        ("chain.distress.reduce_only", MARKET, Mixed, |v| v.markets[0].chain.distress.reduce_only.0 += 1),
        ("chain.interval", MARKET, Mixed, |v| v.markets[0].chain.interval.0 += 1),
        ("chain.inclusion", MARKET, Mixed, |v| v.markets[0].chain.inclusion.0 += 1),
        ("chain.finality", MARKET, Mixed, |v| v.markets[0].chain.finality.0 += 1),
        ("chain.base_fee", MARKET, Mixed, |v| v.markets[0].chain.base_fee += 1),
        ("breaker.grace_share", MARKET, Mixed, |v| v.markets[0].breaker.grace_share.0 += 1),
        ("breaker.grace_max", MARKET, Mixed, |v| v.markets[0].breaker.grace_max.0 += 1),
        ("detectors.stuck.cautious", MARKET, Loosen, |v| v.markets[0].detectors.stuck.cautious.0 += 1),
        ("detectors.stuck.reduce_only", MARKET, Loosen, |v| v.markets[0].detectors.stuck.reduce_only.0 += 1),
        ("detectors.band.cautious", MARKET, Loosen, |v| v.markets[0].detectors.band.cautious.0 += 1),
        ("detectors.band.reduce_only", MARKET, Loosen, |v| v.markets[0].detectors.band.reduce_only.0 += 1),
        ("detectors.twap_window", MARKET, Mixed, |v| v.markets[0].detectors.twap_window.0 += 1),
        ("detectors.twap_coverage_min", MARKET, Mixed, |v| v.markets[0].detectors.twap_coverage_min.0 += 1),
        ("detectors.disagreement", MARKET, Loosen, |v| v.markets[0].detectors.disagreement.0 += 1),
        ("detectors.quorum_coverage_min", MARKET, Tighten, |v| v.markets[0].detectors.quorum_coverage_min.0 += 1),
        ("breaker.calm", MARKET, Mixed, |v| v.markets[0].breaker.calm.0 += 1),
        ("breaker.probation", MARKET, Tighten, |v| v.markets[0].breaker.probation.0 += 1),
        ("breaker.calm_max", MARKET, Tighten, |v| v.markets[0].breaker.calm_max.0 += 1),
        ("breaker.cautious_margin_addon", MARKET, Tighten, |v| v.markets[0].breaker.cautious_margin_addon.0 += 1),
        ("breaker.cautious_size_scale", MARKET, Loosen, |v| v.markets[0].breaker.cautious_size_scale.0 += 1),
        ("liquidation.buffer", MARKET, Mixed, |v| v.markets[0].liquidation.buffer.0 += 1),
        ("liquidation.fee", MARKET, Mixed, |v| v.markets[0].liquidation.fee.0 += 1),
        ("liquidation.slippage_max", MARKET, Mixed, |v| v.markets[0].liquidation.slippage_max.0 += 1),
        ("liquidation.order_ttl", MARKET, Mixed, |v| v.markets[0].liquidation.order_ttl.0 += 1),
        ("liquidation.single_lineage_confirm", MARKET, Tighten, |v| {
            v.markets[0].liquidation.single_lineage_confirm.0 += 1;
        }),
        ("weight", SOURCE, Mixed, |v| v.markets[0].sources[0].weight += 1),
        ("lineage", SOURCE, Mixed, |v| v.markets[0].sources[0].lineage.0 += 1),
        ("heartbeat", SOURCE, Loosen, |v| v.markets[0].sources[0].heartbeat.0 += 1),
        ("price_min", SOURCE, Tighten, |v| v.markets[0].sources[0].price_min.0 += 1),
        ("price_max", SOURCE, Loosen, |v| v.markets[0].sources[0].price_max.0 += 1),
        ("kind", SOURCE, Mixed, |v| v.markets[0].sources[0].kind = SourceKind::Quotes),
        ("rung", SOURCE, Mixed, |v| v.markets[0].sources[0].rung = Rung::Secondary),
        ("quote", SOURCE, Mixed, |v| v.markets[0].sources[0].quote = Some(MarketId(0))),
        // Of the two rates only the initial one rises at the upper bound, which now is reached later.
        ("tier.initial", MOVED, Loosen, |v| v.markets[0].tiers[1].notional_from += 1),
        ("tier.initial", TOP, Tighten, |v| v.markets[0].tiers[1].initial.0 += 1),
        ("tier.maintenance", TOP, Mixed, |v| v.markets[0].tiers[1].maintenance.0 += 1),
    ];

    /// A rise of maintenance is Mixed; its fall only loosens.
    fn way_back(field: &str, direction: Direction) -> Direction {
        if [MAINTENANCE, HAIRCUT].contains(&field) { Loosen } else { direction.reversed() }
    }

    #[test]
    fn every_field_has_its_direction_and_the_way_back_the_reverse() {
        for (field, subject, direction, raise) in STEPS {
            let old = venue();
            let mut new = venue();
            raise(&mut new);
            let found: Vec<_> = old.compare(&new).iter().map(|d| (d.field, d.subject, d.direction)).collect();
            assert_eq!(found, [(*field, *subject, *direction)]);
            let back: Vec<_> = new.compare(&old).iter().map(|d| (d.field, d.subject, d.direction)).collect();
            assert_eq!(back, [(*field, *subject, way_back(field, *direction))]);
        }
    }

    #[test]
    fn all_steps_together_are_found_one_by_one_and_explained_each_way() {
        let old = venue();
        let mut new = venue();
        // Pools, markets and sources are listed anew by the last steps, so that the others are made to the first.
        for (_, _, _, raise) in STEPS.iter().rev().filter(|(field, ..)| *field != "tier.initial") {
            raise(&mut new);
        }
        let (there, back) = (old.compare(&new), new.compare(&old));
        assert_eq!(there.len(), STEPS.len() - 2);
        for (there, back) in there.iter().zip(&back) {
            assert_eq!((there.field, there.subject), (back.field, back.subject));
            assert_eq!(way_back(there.field, there.direction), back.direction);
            let ordered = there.why != back.why;
            let unordered = [
                "pools",
                "markets",
                "governance.keys",
                "backstop",
                "pool",
                "scale",
                "sources",
                "lineage",
                "kind",
                "rung",
                "quote",
            ];
            assert_ne!(ordered, unordered.contains(&there.field), "{}", there.field);
        }
    }

    #[test]
    fn equal_parameters_have_no_difference() {
        assert_eq!(venue().compare(&venue()), []);
    }

    #[test]
    fn only_a_higher_rate_or_haircut_raises_maintenance() {
        for (field, _, _, raise) in STEPS {
            let old = venue();
            let mut new = venue();
            raise(&mut new);
            assert_eq!(
                old.compare(&new)[0].raises_maintenance(),
                ["tier.maintenance", "collateral.haircut"].contains(field),
                "{field}"
            );
            assert!(!new.compare(&old)[0].raises_maintenance(), "{field}");
        }
    }

    #[test]
    fn tiers_are_compared_by_what_they_ask() {
        let with = |tiers: &[(i64, i64, i64)]| {
            let tier = |&(notional_from, initial, maintenance): &(i64, i64, i64)| Tier {
                notional_from,
                initial: Ratio::percent(initial),
                maintenance: Ratio::percent(maintenance),
            };
            let mut venue = venue();
            venue.markets[0].tiers = tiers.iter().map(tier).collect();
            venue
        };
        let check =
            |old: &[(i64, i64, i64)], new: &[(i64, i64, i64)], expected: &[(i64, Option<i64>, &str, Direction)]| {
                let found = with(old).compare(&with(new));
                let found: Vec<_> = found
                    .iter()
                    .map(|d| match d.subject {
                        Subject::Tier { market: 0, from, to } => (from, to, d.field, d.direction),
                        other => panic!("{other:?}"),
                    })
                    .collect();
                assert_eq!(found, expected, "{old:?} to {new:?}");
            };
        let two = &[(0, 10, 5), (100, 20, 10)];
        // A bound that adds nothing.
        check(two, &[(0, 10, 5), (50, 10, 5), (100, 20, 10)], &[]);
        // A bound that moves: what lies between asks less.
        let between = [(100, Some(150), "tier.initial", Loosen), (100, Some(150), "tier.maintenance", Loosen)];
        check(two, &[(0, 10, 5), (150, 20, 10)], &between);
        // A tier more above.
        check(two, &[(0, 10, 5), (100, 20, 10), (200, 20, 15)], &[(200, None, "tier.maintenance", Mixed)]);
        // A tier less.
        check(two, &[(0, 10, 5)], &[(100, None, "tier.initial", Loosen), (100, None, "tier.maintenance", Loosen)]);
        // More here and less there.
        let crossed = [(0, Some(100), "tier.maintenance", Mixed), (100, None, "tier.initial", Loosen)];
        check(two, &[(0, 10, 6), (100, 15, 10)], &crossed);
        // Disorder, which validation refuses, is no disorder here.
        check(two, &[(100, 20, 10), (0, 10, 5)], &[]);
    }

    #[test]
    fn the_join_is_a_semilattice_and_commutes_with_the_way_back() {
        for a in Direction::ALL {
            assert_eq!(a.join(a), a);
            assert_eq!(a.join(Direction::Neutral), a);
            assert_eq!(a.join(Mixed), Mixed);
            assert_eq!(a.reversed().reversed(), a);
            for b in Direction::ALL {
                assert_eq!(a.join(b), b.join(a));
                assert_eq!(a.join(b).reversed(), a.reversed().join(b.reversed()));
                for c in Direction::ALL {
                    assert_eq!(a.join(b).join(c), a.join(b.join(c)));
                }
            }
        }
        assert_eq!(Tighten.join(Loosen), Mixed);
    }
}
