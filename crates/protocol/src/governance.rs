//! Who may change what while the venue runs: roles, statements, changes, and the limits on them.
//!
//! A [`Statement`] is what one key asks for. It is signed: whoever sequences it has verified the signature, and whoever
//! verifies a journal does so again. The kernel sees the key's place in [`GovernanceParams::keys`].

use crate::direction::Direction;
use crate::ids::{MarketId, PoolId};
use crate::mode::Mode;
use crate::params::{Invalid, MarketParams, Place, PoolParams};
use alloc::vec::Vec;
use units::{Duration, Ratio, Timestamp};

/// What a key may do. A key has one role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Nothing any more: a key that was revoked keeps its place, so that no number ever means another key.
    Revoked,
    /// Reads.
    Observer,
    /// Tightens at once, alone; stops what would loosen.
    Guardian,
    /// Files changes, and approves none.
    Operator,
    /// Files and approves changes.
    Governor,
    /// Brings in the count of a vote.
    Teller,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 6] =
        [Role::Revoked, Role::Observer, Role::Guardian, Role::Operator, Role::Governor, Role::Teller];

    /// The table role × verb.
    ///
    /// ```
    /// use protocol::governance::{Role, Verb};
    /// assert!(Role::Guardian.may(Verb::Tighten) && !Role::Guardian.may(Verb::Approve));
    /// ```
    #[must_use]
    pub const fn may(self, verb: Verb) -> bool {
        match self {
            Role::Revoked | Role::Observer => false,
            Role::Guardian => matches!(verb, Verb::Tighten | Verb::Cancel),
            Role::Operator => matches!(verb, Verb::Propose),
            Role::Governor => matches!(verb, Verb::Propose | Verb::Approve),
            Role::Teller => matches!(verb, Verb::Count),
        }
    }

    /// Its name in policies and statements.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Role::Revoked => "revoked",
            Role::Observer => "observer",
            Role::Guardian => "guardian",
            Role::Operator => "operator",
            Role::Governor => "governor",
            Role::Teller => "teller",
        }
    }
}

/// What a statement does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Restrict a market.
    Tighten,
    /// File a change.
    Propose,
    /// Agree to one that is filed.
    Approve,
    /// Stop one. Whoever filed it may do so too.
    Cancel,
    /// Bring in the count of a vote on one.
    Count,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Verb; 5] = [Verb::Tighten, Verb::Propose, Verb::Approve, Verb::Cancel, Verb::Count];
}

/// A key, and what it may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyParams {
    /// Its public half, Ed25519.
    pub key: [u8; 32],
    /// What it may do.
    pub role: Role,
}

/// The limits on what keys may do. No statement changes them, except who holds which key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GovernanceParams {
    /// At most [`GovernanceParams::KEYS_MAX`]; a statement names its key by the place here. None: nobody may do anything.
    pub keys: Vec<KeyParams>,
    /// Governors who must agree to a change; at least two where any are listed.
    pub threshold: u8,
    /// How long one guardian's restriction lasts at most unless it is ratified; at most 48 hours. When it ends, the market may be
    /// restricted by a guardian again after as long as it was.
    pub tighten_max: Duration,
    /// How long a ratified restriction lasts at most, from its beginning.
    pub ratified_max: Duration,
    /// From agreement to effect of what loosens by no more than a doubling.
    pub delay: Duration,
    /// So much more for each further doubling.
    pub delay_step: Duration,
    /// The longest delay: of what is new (from zero), of a change of keys, and of whatever the steps add up to more for.
    pub delay_max: Duration,
    /// The most doublings that one change of a value other than zero may loosen it by.
    pub doublings_max: u8,
    /// The least time between two changes that loosen the same value.
    pub loosen_every: Duration,
    /// An approval that is older than this counts for nothing; above `delay_max`.
    pub approval_age_max: Duration,
    /// How far ahead of the batch a statement's expiry may lie: what was signed for longer is refused, so that nothing can be kept
    /// for later.
    pub statement_max: Duration,
    /// Of the weight of a vote that must have voted.
    pub quorum: Ratio,
    /// The most of any market's positions that a change may make liquidatable, of all lots long and short.
    pub liquidatable_max: Ratio,
}

impl GovernanceParams {
    /// The most keys.
    pub const KEYS_MAX: usize = 32;
    /// The longest that one guardian's restriction may last without anybody else.
    pub const TIGHTEN_MAX: Duration = Duration::seconds(48 * 3_600);

    /// No keys, and the limits that hold where a policy says nothing else.
    #[must_use]
    pub const fn closed() -> GovernanceParams {
        const HOUR: i64 = 3_600;
        GovernanceParams {
            keys: Vec::new(),
            threshold: 2,
            tighten_max: GovernanceParams::TIGHTEN_MAX,
            ratified_max: Duration::seconds(30 * 24 * HOUR),
            delay: Duration::seconds(24 * HOUR),
            delay_step: Duration::seconds(24 * HOUR),
            delay_max: Duration::seconds(7 * 24 * HOUR),
            doublings_max: 2,
            loosen_every: Duration::seconds(7 * 24 * HOUR),
            approval_age_max: Duration::seconds(10 * 24 * HOUR),
            statement_max: Duration::seconds(HOUR),
            quorum: Ratio::percent(20),
            liquidatable_max: Ratio::percent(1),
        }
    }

    /// Whether they are well formed.
    ///
    /// # Errors
    /// The first field that is not.
    pub fn validate(&self) -> Result<(), Invalid> {
        let check = |ok: bool, field: &'static str, must: &'static str| {
            if ok { Ok(()) } else { Err(Invalid { place: Place::Venue, field, must }) }
        };
        check(self.keys.len() <= GovernanceParams::KEYS_MAX, "governance.keys", "list at most 32 keys")?;
        let twice = |(place, listed): (usize, &KeyParams)| {
            self.keys.get(..place).is_some_and(|before| before.iter().any(|other| other.key == listed.key))
        };
        check(!self.keys.iter().enumerate().any(twice), "governance.keys", "list no key twice: a key has one role")?;
        let governors = self.governors();
        // With one it would be a key that changes everything.
        check(2 <= self.threshold, "governance.threshold", "be at least 2")?;
        check(
            governors == 0 || usize::from(self.threshold) <= governors,
            "governance.threshold",
            "be at most the number of governors, or nothing could ever be agreed on",
        )?;
        let span = |d: Duration| Duration::ZERO < d && d <= Duration::seconds(315_360_000);
        for (span_of, field) in [
            (self.tighten_max, "governance.tighten_max"),
            (self.ratified_max, "governance.ratified_max"),
            (self.delay, "governance.delay"),
            (self.delay_step, "governance.delay_step"),
            (self.delay_max, "governance.delay_max"),
            (self.loosen_every, "governance.loosen_every"),
            (self.approval_age_max, "governance.approval_age_max"),
            (self.statement_max, "governance.statement_max"),
        ] {
            check(span(span_of), field, "be positive and at most ten years")?;
        }
        let alone = self.tighten_max <= GovernanceParams::TIGHTEN_MAX;
        check(alone, "governance.tighten_max", "be at most 48 hours")?;
        let longer = self.tighten_max <= self.ratified_max;
        check(longer, "governance.ratified_max", "be at least tighten_max")?;
        check(self.delay <= self.delay_max, "governance.delay_max", "be at least delay")?;
        // Whoever may sign for longer than a change waits could hold approvals ready.
        let soon = self.statement_max <= self.delay;
        check(soon, "governance.statement_max", "be at most delay: what is kept signed for longer can't be withdrawn")?;
        let lasts = self.delay_max < self.approval_age_max;
        check(lasts, "governance.approval_age_max", "be above delay_max, or what waits longest could never be done")?;
        check(1 <= self.doublings_max && self.doublings_max <= 16, "governance.doublings_max", "lie in 1 ..= 16")?;
        let quorum = Ratio::ZERO < self.quorum && self.quorum <= Ratio::ONE;
        check(quorum, "governance.quorum", "be above 0 and at most 1")?;
        let share = Ratio::ZERO <= self.liquidatable_max && self.liquidatable_max <= Ratio::ONE;
        check(share, "governance.liquidatable_max", "lie in 0 ..= 1")
    }

    /// How many may agree to a change.
    #[must_use]
    pub fn governors(&self) -> usize {
        self.keys.iter().filter(|listed| listed.role == Role::Governor).count()
    }

    /// What the key at a place may do; nothing where there is none.
    #[must_use]
    pub fn role(&self, key: u8) -> Role {
        self.keys.get(usize::from(key)).map_or(Role::Revoked, |listed| listed.role)
    }
}

/// What one key asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The key, by its place in [`GovernanceParams::keys`].
    pub key: u8,
    /// One more than in the key's last statement that was taken; the first is 1.
    pub nonce: u64,
    /// From then on it is void.
    pub expires: Timestamp,
    /// What it asks for.
    pub act: Act,
    /// Why, in the words of who signs: UTF-8, a line. No rule reads it.
    pub because: Vec<u8>,
    /// Over all of it as text, with the venue's digest and the key.
    pub signature: [u8; 64],
}

/// What a statement asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Restrict a market at once.
    Tighten {
        /// The market.
        market: MarketId,
        /// `Cautious` or `ReduceOnly`: exits stay open.
        to: Mode,
        /// For how long.
        lasts: Duration,
    },
    /// File a change. A governor who files it agrees to it.
    Propose(Change),
    /// Agree to a change.
    Approve {
        /// Its number.
        proposal: u64,
        /// The digest of what was filed: who agrees has seen it, and can't have agreed before it was there.
        digest: [u8; 32],
    },
    /// Stop a change that would loosen.
    Cancel {
        /// Its number.
        proposal: u64,
    },
    /// The count of a vote on a ratification.
    Count {
        /// The ratification's number.
        proposal: u64,
        /// When the weights were taken: before the restriction that it is about.
        weighed_at: Timestamp,
        /// Of all who could vote.
        weight: u64,
        /// For it.
        yes: u64,
        /// Against it.
        no: u64,
    },
}

impl Act {
    /// What it does.
    #[must_use]
    pub const fn verb(&self) -> Verb {
        match self {
            Act::Tighten { .. } => Verb::Tighten,
            Act::Propose(_) => Verb::Propose,
            Act::Approve { .. } => Verb::Approve,
            Act::Cancel { .. } => Verb::Cancel,
            Act::Count { .. } => Verb::Count,
        }
    }
}

/// A change that needs more than one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A guardian's restriction goes on.
    Ratify {
        /// The market.
        market: MarketId,
        /// Until when.
        until: Timestamp,
    },
    /// A guardian's restriction ends before its time. The way back is the breaker's, step by step.
    Lift {
        /// The market.
        market: MarketId,
    },
    /// A market's parameter gets another value.
    Market {
        /// The market.
        market: MarketId,
        /// Which.
        setting: MarketSetting,
        /// The new value, in the parameter's own unit.
        value: i64,
    },
    /// A pool's parameter gets another value.
    Pool {
        /// The pool.
        pool: PoolId,
        /// Which.
        setting: PoolSetting,
        /// The new value, in the parameter's own unit.
        value: i64,
    },
    /// A place gets another key or role. One place behind the last adds one.
    Key {
        /// The place.
        place: u8,
        /// What is there from then on.
        to: KeyParams,
    },
}

/// A parameter of a market that may change while it trades. Whatever is not here (sources, windows, scale) needs a new listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MarketSetting {
    /// `order_size_max`, lots.
    OrderSizeMax,
    /// `open_interest_max`, lots.
    OpenInterestMax,
    /// `collateral.deposit_max`, lots.
    DepositMax,
    /// `collateral.haircut`, parts per 1e12.
    Haircut,
    /// `funding.rate_max`, parts per 1e12.
    FundingRateMax,
    /// `tiers[n].initial`, parts per 1e12.
    Initial(u8),
    /// `tiers[n].maintenance`, parts per 1e12.
    Maintenance(u8),
    /// `detectors.velocity.reduce_only`, parts per 1e12.
    VelocityReduceOnly,
    /// `detectors.swing.reduce_only`, parts per 1e12.
    SwingReduceOnly,
    /// `detectors.band.reduce_only`, parts per 1e12.
    BandReduceOnly,
    /// `detectors.drift.reduce_only`, parts per 1e12.
    DriftReduceOnly,
    /// `breaker.calm`, microseconds.
    Calm,
    /// `breaker.cautious_margin_addon`, parts per 1e12.
    CautiousMarginAddon,
    /// `breaker.cautious_size_scale`, parts per 1e12.
    CautiousSizeScale,
}

impl MarketSetting {
    /// Where it is.
    fn place(self, params: &mut MarketParams) -> Option<&mut i64> {
        Some(match self {
            MarketSetting::OrderSizeMax => &mut params.order_size_max.0,
            MarketSetting::OpenInterestMax => &mut params.open_interest_max.0,
            MarketSetting::DepositMax => &mut params.collateral.deposit_max.0,
            MarketSetting::Haircut => &mut params.collateral.haircut.0,
            MarketSetting::FundingRateMax => &mut params.funding.rate_max.0,
            MarketSetting::Initial(tier) => &mut params.tiers.get_mut(usize::from(tier))?.initial.0,
            MarketSetting::Maintenance(tier) => &mut params.tiers.get_mut(usize::from(tier))?.maintenance.0,
            MarketSetting::VelocityReduceOnly => &mut params.detectors.velocity.reduce_only.0,
            MarketSetting::SwingReduceOnly => &mut params.detectors.swing.reduce_only.0,
            MarketSetting::BandReduceOnly => &mut params.detectors.band.reduce_only.0,
            MarketSetting::DriftReduceOnly => &mut params.detectors.drift.reduce_only.0,
            MarketSetting::Calm => &mut params.breaker.calm.0,
            MarketSetting::CautiousMarginAddon => &mut params.breaker.cautious_margin_addon.0,
            MarketSetting::CautiousSizeScale => &mut params.breaker.cautious_size_scale.0,
        })
    }

    /// Puts another value there; what was there before. `None` for a tier that there is not.
    pub fn set(self, params: &mut MarketParams, value: i64) -> Option<i64> {
        self.place(params).map(|place| core::mem::replace(place, value))
    }

    /// What a value of it lets through: the part of collateral that counts instead of the part that does not.
    #[must_use]
    pub const fn reach(self, value: i64) -> i64 {
        match self {
            MarketSetting::Haircut => Ratio::ONE.0.saturating_sub(value),
            MarketSetting::OrderSizeMax
            | MarketSetting::OpenInterestMax
            | MarketSetting::DepositMax
            | MarketSetting::FundingRateMax
            | MarketSetting::Initial(_)
            | MarketSetting::Maintenance(_)
            | MarketSetting::VelocityReduceOnly
            | MarketSetting::SwingReduceOnly
            | MarketSetting::BandReduceOnly
            | MarketSetting::DriftReduceOnly
            | MarketSetting::Calm
            | MarketSetting::CautiousMarginAddon
            | MarketSetting::CautiousSizeScale => value,
        }
    }
}

/// A parameter of a pool that may change while it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PoolSetting {
    /// `account_borrow_max`, micro-USD.
    AccountBorrowMax,
    /// `borrow_max`, micro-USD.
    BorrowMax,
    /// `insurance_share_per_account`, parts per 1e12.
    InsuranceShare,
}

impl PoolSetting {
    /// Puts another value there; what was there before.
    pub const fn set(self, params: &mut PoolParams, value: i64) -> i64 {
        let place = match self {
            PoolSetting::AccountBorrowMax => &mut params.account_borrow_max.0,
            PoolSetting::BorrowMax => &mut params.borrow_max.0,
            PoolSetting::InsuranceShare => &mut params.insurance_share_per_account.0,
        };
        core::mem::replace(place, value)
    }
}

/// How often the smaller of two values must be doubled to be no less than the larger; [`u8::MAX`] where it is zero and the other is
/// not: what is new is beyond any factor.
///
/// ```
/// use protocol::governance::doublings;
/// assert_eq!([doublings(4, 4), doublings(4, 5), doublings(4, 8), doublings(8, 4), doublings(4, 9)], [0, 1, 1, 1, 2]);
/// assert_eq!(doublings(0, 1), u8::MAX);
/// ```
#[must_use]
pub fn doublings(old: i64, new: i64) -> u8 {
    let (small, large) = (i128::from(old.min(new)), i128::from(old.max(new)));
    if small == large {
        return 0;
    }
    if small <= 0 {
        return u8::MAX;
    }
    (1..=64).find(|times| large <= small << times).unwrap_or(u8::MAX)
}

/// What came of a statement, or of time, in governance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Governed {
    /// A guardian restricted a market.
    Imposed {
        /// The market.
        market: MarketId,
        /// How far.
        to: Mode,
        /// From then on it is over, unless ratified.
        until: Timestamp,
        /// The guardian's key.
        by: u8,
    },
    /// A guardian's restriction is over, and the staged way back begins.
    Lapsed {
        /// The market.
        market: MarketId,
    },
    /// A change was filed.
    Proposed {
        /// Its number.
        proposal: u64,
        /// Who filed it.
        by: u8,
        /// Which way it goes.
        direction: Direction,
        /// What approvals must name.
        digest: [u8; 32],
    },
    /// Somebody agreed to a change.
    Approved {
        /// Its number.
        proposal: u64,
        /// Who.
        by: u8,
        /// How many agree by now.
        approvals: u8,
        /// When it takes effect, where enough agree.
        due: Option<Timestamp>,
    },
    /// The count of a vote came in.
    Counted {
        /// The number of the ratification.
        proposal: u64,
        /// Whether it carries.
        carried: bool,
    },
    /// A change was stopped.
    Cancelled {
        /// Its number.
        proposal: u64,
        /// By whom.
        by: u8,
    },
    /// A change will not take effect.
    Voided {
        /// Its number.
        proposal: u64,
        /// Why.
        why: Void,
    },
    /// A change took effect.
    Executed {
        /// Its number.
        proposal: u64,
        /// What it was.
        change: Change,
    },
}

/// Why a change will not take effect, in the order in which it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Void {
    /// Fewer agree than must, counting none whose approval is too old or who may no longer.
    Stale,
    /// There is no restriction to ratify or to lift any more, or the value is what it was to become.
    Moot,
    /// It would loosen by more than when it was filed.
    Grown,
    /// The same value was loosened too lately.
    TooSoon,
    /// The market is not in its normal mode, or its price is not agreed on; or the pool has a deficit.
    NotCalm,
    /// The parameters would not be well formed, or a step of the mark could carry a healthy account past bankruptcy.
    Malformed,
    /// It would make more liquidatable than a change may.
    Liquidates,
}

/// Why a statement was refused, in the order in which it is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refusal {
    /// The key may not do this.
    #[default]
    NotAllowed,
    /// Not the key's next nonce.
    Nonce {
        /// The next.
        next: u64,
    },
    /// It came when it was void already.
    Expired,
    /// It was signed for longer than a statement may be.
    TooFarAhead {
        /// The latest expiry that would be taken.
        max: Timestamp,
    },
    /// No such change is filed.
    UnknownProposal,
    /// The approval is of something else than what was filed.
    OtherProposal,
    /// The key agreed before.
    AgreedBefore,
    /// It would not loosen: nobody has to stop it.
    WouldNotLoosen,
    /// The key has filed as many changes as it may have.
    TooManyProposals {
        /// The limit.
        max: u8,
    },
    /// A market, pool, tier or key place that there is not.
    Unknown,
    /// A mode or a span that no guardian may impose or ratify.
    OutOfRange,
    /// A guardian's restriction of the market ended too lately.
    Resting {
        /// From then on another one may be imposed.
        until: Timestamp,
    },
    /// Nothing would change.
    NoChange,
    /// No guardian's restriction is there to ratify or to lift.
    NothingImposed,
    /// It would loosen by more doublings than one change may.
    TooMuch {
        /// The most.
        max: u8,
    },
    /// The parameters would not be well formed.
    Malformed,
    /// The vote was weighed after the restriction, counts more than there is, or came too late.
    VoteUnfit,
    /// Too few voted.
    NoQuorum,
}

impl Refusal {
    /// Its stable number among all refusals; numbers are never reused.
    #[must_use]
    pub const fn code(&self) -> u16 {
        match self {
            Refusal::NotAllowed => 23,
            Refusal::Nonce { .. } => 24,
            Refusal::Expired => 25,
            Refusal::TooFarAhead { .. } => 26,
            Refusal::UnknownProposal => 27,
            Refusal::OtherProposal => 28,
            Refusal::AgreedBefore => 29,
            Refusal::WouldNotLoosen => 30,
            Refusal::TooManyProposals { .. } => 31,
            Refusal::Unknown => 32,
            Refusal::OutOfRange => 33,
            Refusal::Resting { .. } => 34,
            Refusal::NoChange => 35,
            Refusal::NothingImposed => 36,
            Refusal::TooMuch { .. } => 37,
            Refusal::Malformed => 38,
            Refusal::VoteUnfit => 39,
            Refusal::NoQuorum => 40,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Role × verb, as the documents print it.
    #[test]
    fn the_table_of_roles() {
        let row = |role: Role| Verb::ALL.map(|verb| role.may(verb));
        let table = Role::ALL.map(row);
        // Tighten, propose, approve, cancel, count.
        assert_eq!(table[0], [false; 5], "revoked");
        assert_eq!(table[1], [false; 5], "observer");
        assert_eq!(table[2], [true, false, false, true, false], "guardian");
        assert_eq!(table[3], [false, true, false, false, false], "operator");
        assert_eq!(table[4], [false, true, true, false, false], "governor");
        assert_eq!(table[5], [false, false, false, false, true], "teller");
    }

    #[test]
    fn nobody_who_tightens_alone_loosens() {
        for role in Role::ALL {
            assert!(!(role.may(Verb::Tighten) && role.may(Verb::Approve)), "{role:?}");
        }
    }

    fn keys(roles: &[Role]) -> Vec<KeyParams> {
        (0..).zip(roles).map(|(n, role)| KeyParams { key: [n; 32], role: *role }).collect()
    }

    /// Each limit at its edge and one past it.
    #[test]
    fn limits_that_are_not_well_formed_are_refused() {
        let base = || GovernanceParams { keys: keys(&[Role::Governor; 3]), ..GovernanceParams::closed() };
        assert_eq!(base().validate(), Ok(()));
        let field = |change: fn(&mut GovernanceParams)| {
            let mut params = base();
            change(&mut params);
            params.validate().err().map(|invalid| invalid.field)
        };
        assert_eq!(field(|p| p.threshold = 1), Some("governance.threshold"));
        assert_eq!(field(|p| p.threshold = 3), None);
        assert_eq!(field(|p| p.threshold = 4), Some("governance.threshold"));
        assert_eq!(field(|p| p.tighten_max.0 += 1), Some("governance.tighten_max"));
        assert_eq!(field(|p| p.ratified_max = p.tighten_max), None);
        assert_eq!(field(|p| p.ratified_max.0 = p.tighten_max.0 - 1), Some("governance.ratified_max"));
        assert_eq!(field(|p| p.delay_max = p.delay), None);
        assert_eq!(field(|p| p.delay_max.0 = p.delay.0 - 1), Some("governance.delay_max"));
        assert_eq!(field(|p| p.statement_max = p.delay), None);
        assert_eq!(field(|p| p.statement_max.0 = p.delay.0 + 1), Some("governance.statement_max"));
        assert_eq!(field(|p| p.approval_age_max = p.delay_max), Some("governance.approval_age_max"));
        assert_eq!(field(|p| p.approval_age_max.0 = p.delay_max.0 + 1), None);
        assert_eq!(field(|p| p.doublings_max = 0), Some("governance.doublings_max"));
        assert_eq!(field(|p| p.doublings_max = 17), Some("governance.doublings_max"));
        assert_eq!(field(|p| p.quorum = Ratio::ZERO), Some("governance.quorum"));
        assert_eq!(field(|p| p.quorum = Ratio(Ratio::ONE.0 + 1)), Some("governance.quorum"));
        assert_eq!(field(|p| p.liquidatable_max = Ratio(-1)), Some("governance.liquidatable_max"));
        assert_eq!(field(|p| p.liquidatable_max = Ratio(Ratio::ONE.0 + 1)), Some("governance.liquidatable_max"));
        assert_eq!(field(|p| p.keys[1].key = p.keys[0].key), Some("governance.keys"));
        assert_eq!(field(|p| p.keys = keys(&[Role::Guardian; 32])), None);
        assert_eq!(field(|p| p.keys = keys(&[Role::Guardian; 33])), Some("governance.keys"));
        assert_eq!(field(|p| p.loosen_every = Duration::ZERO), Some("governance.loosen_every"));
    }

    #[test]
    fn doublings_at_the_edges() {
        assert_eq!(doublings(1, i64::MAX), 63);
        assert_eq!(doublings(i64::MAX, i64::MAX - 1), 1);
        assert_eq!(doublings(-5, 3), u8::MAX);
        assert_eq!(doublings(100, 400), 2);
        assert_eq!(doublings(100, 401), 3);
    }

    #[test]
    fn a_haircut_reaches_as_far_as_what_counts() {
        assert_eq!(MarketSetting::Haircut.reach(Ratio::percent(90).0), Ratio::percent(10).0);
        assert_eq!(MarketSetting::DepositMax.reach(90), 90);
    }
}
