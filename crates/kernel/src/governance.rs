//! Who may change what while the venue runs.
//!
//! Tightening needs one guardian and no time: a restriction of one market, joined with what the detectors want, that lapses unless governors
//! or a vote ratify it, and leaves by the breaker's staged way back. Whatever else changes is filed, agreed on by a threshold of
//! governors, and waits: not at all where it tightens, and the longer the more it loosens. Until then any guardian stops it; when it
//! takes effect it is judged again, against what is true then.
//!
//! Start at `Kernel::statement`, what a key asks for, then `Kernel::govern`, what time brings.

use crate::kernel::Kernel;
use crate::liquidation::Now;
use crate::margin::{Lens, risk};
use crate::state::{Account, Broken, Market, Pool, State};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use protocol::direction::Direction;
use protocol::governance::{
    Act, Change, GovernanceParams, Governed, MarketSetting, PoolSetting, Refusal, Role, Statement, Verb, Void,
    doublings,
};
use protocol::params::Invalid;
use protocol::{Effect, MarketId, Mode, PoolId, QualityState, VenueParams};
use units::{Duration, Ratio, Timestamp};

/// The most changes that one key may have filed at a time: nobody crowds out what others file.
pub const PROPOSALS_MAX: u8 = 3;

/// A guardian's restriction of a market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imposed {
    /// How far.
    pub to: Mode,
    /// Since when a guardian has restricted this market.
    pub since: Timestamp,
    /// From then on it is over.
    pub until: Timestamp,
    /// The key that imposed it first.
    pub by: u8,
}

/// What governors or a vote hold a market to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratified {
    /// How far.
    pub to: Mode,
    /// From then on it is over.
    pub until: Timestamp,
}

/// What is asked of a market beside what its detectors want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restraint {
    /// By a guardian.
    pub imposed: Option<Imposed>,
    /// By governors or a vote.
    pub ratified: Option<Ratified>,
    /// From then on a guardian may impose again.
    pub rested_at: Timestamp,
}

impl Restraint {
    /// Nothing is asked.
    pub const FREE: Restraint = Restraint { imposed: None, ratified: None, rested_at: Timestamp::MIN };

    /// How far it goes.
    #[must_use]
    pub fn to(&self) -> Mode {
        let imposed = self.imposed.map_or(Mode::Normal, |imposed| imposed.to);
        imposed.max(self.ratified.map_or(Mode::Normal, |ratified| ratified.to))
    }

    /// When the first part of it is over; `MAX` where nothing is asked.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        let imposed = self.imposed.map_or(Timestamp::MAX, |imposed| imposed.until);
        imposed.min(self.ratified.map_or(Timestamp::MAX, |ratified| ratified.until))
    }

    fn lapse(&mut self, at: Timestamp) {
        self.ratified = self.ratified.filter(|ratified| at < ratified.until);
        if let Some(imposed) = self.imposed.take_if(|imposed| imposed.until <= at) {
            self.rest(&imposed, imposed.until);
        }
    }

    /// Invariant 26 of [`State::check`].
    pub(crate) fn is_sound(&self, longest: Duration) -> bool {
        let mild = |to: Mode| matches!(to, Mode::Cautious | Mode::ReduceOnly);
        let brief = |imposed: Imposed| {
            imposed.since < imposed.until && imposed.until.since(imposed.since) <= longest && mild(imposed.to)
        };
        self.imposed.is_none_or(brief) && self.ratified.is_none_or(|ratified| mild(ratified.to))
    }

    /// One that ended at `end` is followed by a rest as long as it was: nobody holds a market back alone for most of the time.
    fn rest(&mut self, imposed: &Imposed, end: Timestamp) {
        self.rested_at = end.plus(end.since(imposed.since));
    }
}

/// Lets go of what is over in a market. It stood until now, so that the way back begins here.
pub(crate) fn lapse(market: &mut Market, at: Timestamp, out: &mut Vec<Effect>) {
    if at < market.restraint.until() {
        return;
    }
    stand_until(market, at);
    market.restraint.lapse(at);
    tell(Governed::Lapsed { market: market.id }, out);
}

/// What is asked of a market was a reason for its mode until now.
fn stand_until(market: &mut Market, at: Timestamp) {
    if market.breaker.mode() <= market.restraint.to() {
        market.breaker.hold(at);
    }
}

/// A change that was filed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Its number.
    pub id: u64,
    /// What would change.
    pub change: Change,
    /// Who filed it.
    pub by: u8,
    /// When.
    pub filed_at: Timestamp,
    /// Which way it went when it was filed.
    pub direction: Direction,
    /// By how much it loosened then.
    pub doublings: u8,
    /// Who agreed, and when.
    pub approvals: Vec<(u8, Timestamp)>,
    /// A vote carried it.
    pub voted: bool,
    /// When it takes effect, where enough agree.
    pub due: Option<Timestamp>,
}

impl Proposal {
    /// What approvals must name: a hash of its number, what would change, who filed it and when.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let Proposal { id, change, by, filed_at, direction: _, doublings: _, approvals: _, voted: _, due: _ } = self;
        codec::hash(&((*id, *change), *by, *filed_at))
    }

    fn loosens(&self) -> bool {
        matches!(self.direction, Direction::Loosen | Direction::Mixed)
    }
}

/// A value that may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// Of a market.
    Market(MarketId, MarketSetting),
    /// Of a pool.
    Pool(PoolId, PoolSetting),
}

/// What is filed and who has spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Governance {
    /// Keys and limits.
    pub params: GovernanceParams,
    /// The hash of the parameters with which the venue began: statements name it, so that none is taken for another venue.
    pub venue: [u8; 32],
    /// By the place of a key: the nonce of its last statement that was looked at.
    pub nonces: Vec<u64>,
    /// Changes that are filed, in order of their numbers.
    pub proposals: Vec<Proposal>,
    /// How many were filed ever.
    pub filed: u64,
    /// When a value was last loosened, as long as that matters.
    pub loosened: BTreeMap<Value, Timestamp>,
}

/// What a change comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Weighed {
    direction: Direction,
    doublings: u8,
}

const TIGHTENS: Weighed = Weighed { direction: Direction::Tighten, doublings: 0 };

impl Governance {
    pub(crate) fn new(params: &VenueParams) -> Governance {
        Governance {
            params: params.governance.clone(),
            venue: codec::hash(params),
            nonces: params.governance.keys.iter().map(|_| 0).collect(),
            proposals: Vec::new(),
            filed: 0,
            loosened: BTreeMap::new(),
        }
    }

    /// When a change is due, or void by its age; `MAX` where none is filed.
    #[must_use]
    pub fn next_due(&self) -> Timestamp {
        let ends = self.proposals.iter().map(|proposal| {
            let stale = proposal.filed_at.plus(self.params.approval_age_max).plus(Duration(1));
            proposal.due.unwrap_or(stale)
        });
        ends.min().unwrap_or(Timestamp::MAX)
    }

    /// Invariant 25 of [`State::check`].
    pub(crate) fn check(&self) -> Result<(), Broken> {
        let broken = |found: usize, expected: usize| {
            Err(Broken { invariant: 25, pool: PoolId(0), found: found as i128, expected: expected as i128 })
        };
        let keys = self.params.keys.len();
        if self.nonces.len() != keys {
            return broken(self.nonces.len(), keys);
        }
        for key in 0..=u8::MAX {
            let filed = self.filed_by(key);
            let most = if usize::from(key) < keys { usize::from(PROPOSALS_MAX) } else { 0 };
            if most < filed {
                return broken(filed, most);
            }
        }
        let mut last = 0;
        for proposal in &self.proposals {
            let agreed = |place: usize, key: u8| {
                proposal.approvals.get(..place).is_some_and(|before| before.iter().all(|(other, _)| *other != key))
            };
            let sound = |(place, (key, _)): (usize, &(u8, Timestamp))| agreed(place, *key) && usize::from(*key) < keys;
            if proposal.id <= last || self.filed < proposal.id || !proposal.approvals.iter().enumerate().all(sound) {
                return broken(proposal.approvals.len(), proposal.approvals.len());
            }
            last = proposal.id;
        }
        Ok(())
    }

    /// How many changes a key has filed.
    fn filed_by(&self, key: u8) -> usize {
        self.proposals.iter().filter(|proposal| proposal.by == key).count()
    }

    fn place_of(&self, id: u64) -> Result<usize, Refusal> {
        self.proposals.binary_search_by_key(&id, |proposal| proposal.id).map_err(|_| Refusal::UnknownProposal)
    }

    /// From agreement to effect.
    fn delay(&self, weighed: Weighed) -> Duration {
        match weighed.direction {
            Direction::Neutral | Direction::Tighten => Duration::ZERO,
            Direction::Loosen | Direction::Mixed => {
                let further = i64::from(weighed.doublings.max(1) - 1);
                let added = self.params.delay_step.0.saturating_mul(further);
                if weighed.doublings == u8::MAX {
                    return self.params.delay_max;
                }
                Duration(self.params.delay.0.saturating_add(added)).min(self.params.delay_max)
            }
        }
    }

    /// How many agree by now whose approval still counts.
    fn agree(&self, proposal: &Proposal, at: Timestamp) -> u8 {
        let counts = |(key, agreed_at): &&(u8, Timestamp)| {
            self.params.role(*key).may(Verb::Approve) && at.since(*agreed_at) <= self.params.approval_age_max
        };
        u8::try_from(proposal.approvals.iter().filter(counts).count()).unwrap_or(u8::MAX)
    }

    /// Files that `key` agrees, and sets a time where enough do.
    fn agreed(&mut self, place: usize, key: u8, at: Timestamp, out: &mut Vec<Effect>) {
        if let Some(proposal) = self.proposals.get_mut(place) {
            proposal.approvals.push((key, at));
        }
        let Some(proposal) = self.proposals.get(place) else { return };
        let Proposal { id, direction, doublings, due, .. } = *proposal;
        let approvals = self.agree(proposal, at);
        let delay = self.delay(Weighed { direction, doublings });
        let due = due.or((self.params.threshold <= approvals).then(|| at.plus(delay)));
        if let Some(proposal) = self.proposals.get_mut(place) {
            proposal.due = due;
        }
        tell(Governed::Approved { proposal: id, by: key, approvals, due }, out);
    }
}

fn tell(what: Governed, out: &mut Vec<Effect>) {
    out.push(Effect::Governed { what });
}

impl Kernel {
    /// What a key asks for. A statement is used up once its key, nonce and expiry are found good, whatever comes of it: nobody can bring it
    /// a second time.
    pub(crate) fn statement(&mut self, said: &Statement, now: Now, out: &mut Vec<Effect>) -> Result<(), Refusal> {
        let governance = &self.state().governance;
        let Statement { key, nonce, expires, act, because: _, signature: _ } = said;
        let role = governance.params.role(*key);
        let filed = |id: u64| governance.place_of(id).ok().and_then(|place| governance.proposals.get(place));
        let own = match act {
            Act::Cancel { proposal } => filed(*proposal).is_some_and(|filed| filed.by == *key),
            Act::Tighten { .. } | Act::Propose(_) | Act::Approve { .. } | Act::Count { .. } => false,
        };
        if !role.may(act.verb()) && (!own || role == Role::Revoked) {
            return Err(Refusal::NotAllowed);
        }
        let next = governance.nonces.get(usize::from(*key)).map_or(1, |last| last.saturating_add(1));
        if *nonce != next {
            return Err(Refusal::Nonce { next });
        }
        if *expires <= now.at {
            return Err(Refusal::Expired);
        }
        let max = now.at.plus(governance.params.statement_max);
        if max < *expires {
            return Err(Refusal::TooFarAhead { max });
        }
        if let Some(last) = self.state_mut().governance.nonces.get_mut(usize::from(*key)) {
            *last = *nonce;
        }
        match *act {
            Act::Tighten { market, to, lasts } => self.impose(*key, market, to, lasts, now.at, out),
            Act::Propose(change) => self.propose(*key, change, now.at, out),
            Act::Approve { proposal, digest } => self.approve(*key, proposal, &digest, now.at, out),
            Act::Cancel { proposal } => self.cancel(*key, proposal, own, out),
            Act::Count { proposal, weighed_at, weight, yes, no } => {
                self.count(proposal, weighed_at, weight, [yes, no], now.at, out)
            }
        }
    }

    /// One guardian, at once, narrow, and not for long.
    fn impose(
        &mut self,
        by: u8,
        market: MarketId,
        to: Mode,
        lasts: Duration,
        at: Timestamp,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let longest = self.state().governance.params.tighten_max;
        let listed = self.market_mut(market).map_err(|_| Refusal::Unknown)?;
        lapse(listed, at, out);
        let restraint = &mut listed.restraint;
        // Exits stay open, and liquidations go on, in both.
        if !matches!(to, Mode::Cautious | Mode::ReduceOnly) || lasts <= Duration::ZERO || longest < lasts {
            return Err(Refusal::OutOfRange);
        }
        let imposed = match restraint.imposed {
            None if at < restraint.rested_at => return Err(Refusal::Resting { until: restraint.rested_at }),
            None => Imposed { to, since: at, until: at.plus(lasts), by },
            // A second guardian may go further, not beyond what the first could have.
            Some(before) => {
                let until = before.until.max(at.plus(lasts).min(before.since.plus(longest)));
                Imposed { to: before.to.max(to), until, ..before }
            }
        };
        if restraint.imposed == Some(imposed) {
            return Err(Refusal::NoChange);
        }
        restraint.imposed = Some(imposed);
        let Imposed { to, until, .. } = imposed;
        self.touch(market);
        tell(Governed::Imposed { market, to, until, by }, out);
        Ok(())
    }

    fn propose(&mut self, by: u8, change: Change, at: Timestamp, out: &mut Vec<Effect>) -> Result<(), Refusal> {
        let governance = &self.state().governance;
        if usize::from(PROPOSALS_MAX) <= governance.filed_by(by) {
            return Err(Refusal::TooManyProposals { max: PROPOSALS_MAX });
        }
        let Weighed { direction, doublings } = self.state().weigh(&change, at)?;
        let agrees = governance.params.role(by).may(Verb::Approve);
        let governance = &mut self.state_mut().governance;
        governance.filed = governance.filed.saturating_add(1);
        let id = governance.filed;
        let proposal = Proposal {
            id,
            change,
            by,
            filed_at: at,
            direction,
            doublings,
            approvals: Vec::new(),
            voted: false,
            due: None,
        };
        tell(Governed::Proposed { proposal: id, by, direction, digest: proposal.digest() }, out);
        governance.proposals.push(proposal);
        if agrees {
            governance.agreed(governance.proposals.len().saturating_sub(1), by, at, out);
        }
        Ok(())
    }

    fn approve(
        &mut self,
        by: u8,
        id: u64,
        digest: &[u8; 32],
        at: Timestamp,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let governance = &mut self.state_mut().governance;
        let place = governance.place_of(id)?;
        let proposal = governance.proposals.get(place).ok_or(Refusal::UnknownProposal)?;
        if proposal.digest() != *digest {
            return Err(Refusal::OtherProposal);
        }
        if proposal.approvals.iter().any(|(key, _)| *key == by) {
            return Err(Refusal::AgreedBefore);
        }
        governance.agreed(place, by, at, out);
        Ok(())
    }

    fn cancel(&mut self, by: u8, id: u64, own: bool, out: &mut Vec<Effect>) -> Result<(), Refusal> {
        let governance = &mut self.state_mut().governance;
        let place = governance.place_of(id)?;
        let loosens = governance.proposals.get(place).is_some_and(Proposal::loosens);
        if !loosens && !own {
            return Err(Refusal::WouldNotLoosen);
        }
        governance.proposals.remove(place);
        tell(Governed::Cancelled { proposal: id, by }, out);
        Ok(())
    }

    /// A vote stands in for the threshold where a restriction is to be ratified, and nowhere else.
    fn count(
        &mut self,
        id: u64,
        weighed_at: Timestamp,
        weight: u64,
        [yes, no]: [u64; 2],
        at: Timestamp,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let state = self.state_mut();
        let place = state.governance.place_of(id)?;
        let proposal = state.governance.proposals.get(place).ok_or(Refusal::UnknownProposal)?;
        let Change::Ratify { market, .. } = proposal.change else { return Err(Refusal::VoteUnfit) };
        let imposed =
            state.market(market).and_then(|market| market.restraint.imposed).filter(|imposed| at < imposed.until);
        let imposed = imposed.ok_or(Refusal::NothingImposed)?;
        let voted = u128::from(yes) + u128::from(no);
        // Weight that was bought for the occasion does not count.
        if imposed.since < weighed_at || u128::from(weight) < voted {
            return Err(Refusal::VoteUnfit);
        }
        let quorum = u128::from(state.governance.params.quorum.0.unsigned_abs());
        if voted * u128::from(Ratio::ONE.0.unsigned_abs()) < quorum * u128::from(weight) || voted == 0 {
            return Err(Refusal::NoQuorum);
        }
        let carried = no < yes;
        tell(Governed::Counted { proposal: id, carried }, out);
        if !carried {
            state.governance.proposals.remove(place);
        } else if let Some(proposal) = state.governance.proposals.get_mut(place) {
            proposal.voted = true;
            proposal.due = Some(at);
        }
        Ok(())
    }

    /// What is due takes effect, in order of the numbers, judged against what is true now; what nobody agreed on in time is gone.
    pub(crate) fn govern(&mut self, at: Timestamp, out: &mut Vec<Effect>) {
        let mut place = 0;
        while let Some(proposal) = self.state().governance.proposals.get(place) {
            let age_max = self.state().governance.params.approval_age_max;
            let is_due = match proposal.due {
                Some(due) => due <= at,
                None => age_max < at.since(proposal.filed_at),
            };
            if !is_due {
                place += 1;
                continue;
            }
            let proposal = self.state_mut().governance.proposals.remove(place);
            let (id, change) = (proposal.id, proposal.change);
            match self.judge(&proposal, at) {
                Err(why) => tell(Governed::Voided { proposal: id, why }, out),
                Ok(()) => {
                    self.execute(&proposal, at);
                    tell(Governed::Executed { proposal: id, change }, out);
                }
            }
        }
    }

    /// Whether a change that is due may take effect.
    fn judge(&self, proposal: &Proposal, at: Timestamp) -> Result<(), Void> {
        let (state, change) = (self.state(), &proposal.change);
        let governance = &state.governance;
        if !proposal.voted && governance.agree(proposal, at) < governance.params.threshold {
            return Err(Void::Stale);
        }
        let weighed = match state.weigh(change, at) {
            Ok(weighed) => weighed,
            Err(Refusal::TooMuch { .. }) => return Err(Void::Grown),
            Err(Refusal::Malformed) => return Err(Void::Malformed),
            // The rest was found good when it was filed: what it is about is gone or done.
            Err(
                Refusal::NoChange
                | Refusal::NothingImposed
                | Refusal::Unknown
                | Refusal::OutOfRange
                | Refusal::NotAllowed
                | Refusal::Nonce { .. }
                | Refusal::Expired
                | Refusal::TooFarAhead { .. }
                | Refusal::UnknownProposal
                | Refusal::OtherProposal
                | Refusal::AgreedBefore
                | Refusal::WouldNotLoosen
                | Refusal::TooManyProposals { .. }
                | Refusal::Resting { .. }
                | Refusal::VoteUnfit
                | Refusal::NoQuorum,
            ) => return Err(Void::Moot),
        };
        let loosens = matches!(weighed.direction, Direction::Loosen | Direction::Mixed);
        // It waited for what it was then.
        if governance.delay(Weighed { direction: proposal.direction, doublings: proposal.doublings })
            < governance.delay(weighed)
        {
            return Err(Void::Grown);
        }
        if let Some(value) = value_of(change).filter(|_| loosens) {
            let last = governance.loosened.get(&value);
            if last.is_some_and(|last| at.since(*last) < governance.params.loosen_every) {
                return Err(Void::TooSoon);
            }
            let calm = match value {
                Value::Market(market, _) => state.market(market).is_some_and(is_calm),
                Value::Pool(pool, _) => state.pools.get(usize::from(pool.0)).is_some_and(|pool| pool.deficit == 0),
            };
            if !calm {
                return Err(Void::NotCalm);
            }
        }
        if let Change::Market {
            market,
            setting: setting @ (MarketSetting::Maintenance(_) | MarketSetting::Haircut),
            value,
        } = *change
        {
            let pool = state.pool_of(market).ok_or(Void::Moot)?;
            if !pool.stays_whole(market, setting, value, governance.params.liquidatable_max) {
                return Err(Void::Liquidates);
            }
        }
        Ok(())
    }

    fn execute(&mut self, proposal: &Proposal, at: Timestamp) {
        if let Some(value) = value_of(&proposal.change).filter(|_| proposal.loosens()) {
            let governance = &mut self.state_mut().governance;
            let every = governance.params.loosen_every;
            governance.loosened.retain(|_, last| at.since(*last) < every);
            governance.loosened.insert(value, at);
        }
        match proposal.change {
            Change::Ratify { market: id, until } => {
                let Ok(market) = self.market_mut(id) else { return };
                let to = market.restraint.to();
                market.restraint.imposed = None;
                market.restraint.ratified = Some(Ratified { to, until });
                self.touch(id);
            }
            Change::Lift { market: id } => {
                let Ok(market) = self.market_mut(id) else { return };
                stand_until(market, at);
                market.restraint.ratified = None;
                if let Some(imposed) = market.restraint.imposed.take() {
                    market.restraint.rest(&imposed, at);
                }
                self.touch(id);
            }
            Change::Market { market: id, setting, value } => {
                let Ok(market) = self.market_mut(id) else { return };
                setting.set(&mut market.params, value);
                self.touch(id);
                if matches!(setting, MarketSetting::Maintenance(_) | MarketSetting::Haircut) {
                    self.look_at_holders(id, at);
                }
            }
            Change::Pool { pool, setting, value } => {
                if let Ok(pool) = self.pool_mut(pool) {
                    setting.set(&mut pool.params, value);
                }
            }
            Change::Key { place, to } => {
                let governance = &mut self.state_mut().governance;
                let place_there = usize::from(place);
                if place_there == governance.params.keys.len() {
                    governance.params.keys.push(to);
                    governance.nonces.push(0);
                } else if let Some(listed) = governance.params.keys.get_mut(place_there) {
                    // Another key has its own nonces, and agreed to nothing yet.
                    if listed.key != to.key
                        && let Some(nonce) = governance.nonces.get_mut(place_there)
                    {
                        *nonce = 0;
                    }
                    *listed = to;
                }
                for proposal in &mut governance.proposals {
                    proposal.approvals.retain(|(key, _)| *key != place);
                }
            }
        }
    }

    /// What a market asks of its holders changed: each is looked at and armed anew.
    fn look_at_holders(&mut self, id: MarketId, at: Timestamp) {
        let Ok(pool) = self.pool_of_mut(id) else { return };
        let holds = |(_, account): &(&_, &Account)| account.holds(id);
        let holders: Vec<_> = pool.accounts.iter().filter(holds).map(|(id, _)| *id).collect();
        for account in holders {
            // Who is in distress is looked at with every price.
            if !pool.distressed.contains_key(&account) {
                pool.look(account, at);
            }
        }
        let markets: Vec<MarketId> = pool.markets.iter().map(|market| market.id).collect();
        for market in markets {
            self.touch(market);
        }
    }
}

/// A market in which nothing is wrong: what loosens waits for that.
fn is_calm(market: &Market) -> bool {
    market.breaker.mode() == Mode::Normal
        && market.quality().state == QualityState::Agreed
        && market.restraint.to() == Mode::Normal
}

const fn value_of(change: &Change) -> Option<Value> {
    match change {
        Change::Market { market, setting, .. } => Some(Value::Market(*market, *setting)),
        Change::Pool { pool, setting, .. } => Some(Value::Pool(*pool, *setting)),
        Change::Ratify { .. } | Change::Lift { .. } | Change::Key { .. } => None,
    }
}

impl State {
    /// Which way a change goes now, and how far.
    fn weigh(&self, change: &Change, at: Timestamp) -> Result<Weighed, Refusal> {
        match *change {
            Change::Ratify { market, until } => {
                let restraint = &self.market(market).ok_or(Refusal::Unknown)?.restraint;
                let imposed = restraint.imposed.filter(|imposed| at < imposed.until).ok_or(Refusal::NothingImposed)?;
                let latest = imposed.since.plus(self.governance.params.ratified_max);
                let sooner = restraint.ratified.is_some_and(|ratified| until < ratified.until);
                if until <= imposed.until || latest < until || sooner {
                    return Err(Refusal::OutOfRange);
                }
                Ok(TIGHTENS)
            }
            Change::Lift { market } => {
                let restraint = &self.market(market).ok_or(Refusal::Unknown)?.restraint;
                if restraint.to() == Mode::Normal {
                    return Err(Refusal::NothingImposed);
                }
                Ok(Weighed { direction: Direction::Loosen, doublings: 1 })
            }
            Change::Market { market, setting, value } => {
                let (old, mut new) = (self.params(), self.params());
                let params = new.markets.get_mut(usize::from(market.0)).ok_or(Refusal::Unknown)?;
                let before = setting.set(params, value).ok_or(Refusal::Unknown)?;
                self.weigh_value(&old, &new, setting.reach(before), setting.reach(value))
            }
            Change::Pool { pool, setting, value } => {
                let (old, mut new) = (self.params(), self.params());
                let params = new.pools.get_mut(usize::from(pool.0)).ok_or(Refusal::Unknown)?;
                let before = setting.set(params, value);
                self.weigh_value(&old, &new, before, value)
            }
            Change::Key { place, to } => {
                let mut new = self.governance.params.clone();
                let behind = usize::from(place) == new.keys.len();
                match new.keys.get_mut(usize::from(place)) {
                    Some(listed) if *listed == to => return Err(Refusal::NoChange),
                    Some(listed) => *listed = to,
                    None if behind => new.keys.push(to),
                    None => return Err(Refusal::Unknown),
                }
                new.validate().map_err(|_| Refusal::Malformed)?;
                // Who holds a key is power of another kind than any number.
                Ok(Weighed { direction: Direction::Mixed, doublings: u8::MAX })
            }
        }
    }

    fn weigh_value(&self, old: &VenueParams, new: &VenueParams, before: i64, after: i64) -> Result<Weighed, Refusal> {
        let differences = old.compare(new);
        if differences.is_empty() {
            return Err(Refusal::NoChange);
        }
        let sound = |result: Result<(), Invalid>| result.map_err(|_| Refusal::Malformed);
        sound(new.validate())?;
        // A venue that keeps to these goes on doing so; one that never did may still be tightened.
        sound(old.reach().map_or(Ok(()), |()| new.reach()))?;
        sound(old.envelope().map_or(Ok(()), |()| new.envelope()))?;
        let none = Direction::Neutral;
        let direction = differences.iter().fold(none, |direction, difference| direction.join(difference.direction));
        let doublings = doublings(before, after);
        let max = self.governance.params.doublings_max;
        match direction {
            Direction::Neutral | Direction::Tighten => {}
            Direction::Loosen | Direction::Mixed => {
                if max < doublings && doublings != u8::MAX {
                    return Err(Refusal::TooMuch { max });
                }
            }
        }
        Ok(Weighed { direction, doublings })
    }
}

impl Pool {
    /// Whether a change of what a market asks of its holders leaves all but a share of every market's positions where they are: a
    /// parameter must not by itself make a venue liquidate its users, whoever signs it.
    fn stays_whole(&self, id: MarketId, setting: MarketSetting, value: i64, share: Ratio) -> bool {
        let Some(market) = self.market(id) else { return false };
        let mut changed = market.clone();
        if setting.set(&mut changed.params, value).is_none() {
            return false;
        }
        let with = |market: MarketId| if market == id { Some(&changed) } else { self.market(market) };
        let mut taken: BTreeMap<MarketId, i128> = BTreeMap::new();
        for account in self.accounts.values().filter(|account| account.holds(id)) {
            let before = risk(account, |market| self.market(market), Lens::Mark);
            let after = risk(account, with, Lens::Mark);
            let is = |risk: Option<crate::margin::Risk>| risk.is_some_and(|risk| risk.liquidatable());
            if !is(before) && is(after) {
                for position in &account.positions {
                    *taken.entry(position.market).or_default() += i128::from(position.size.lots());
                }
            }
        }
        taken.iter().all(|(market, lots)| {
            let all = self.market(*market).map_or(0, |market| market.open_interest.saturating_mul(2));
            lots.saturating_mul(i128::from(Ratio::ONE.0)) <= all.saturating_mul(i128::from(share.0))
        })
    }
}
