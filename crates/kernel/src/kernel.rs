//! `apply`: the one way in.

use crate::breaker::restriction_of;
use crate::detect::detect;
use crate::governance::lapse;
use crate::index::{Index, Rate, jump_limit};
use crate::ladder::Fallback;
use crate::liquidation::{Now, review};
use crate::state::{BadGenesis, Genesis, Market, Pool, State};
use alloc::vec::Vec;
use protocol::input::{Buy, Cancel, ChainHealth, Collateral, Isolate, Observation, Order, Transfer};
use protocol::{AccountId, Action, Batch, Effect, Input, MarketId, Mode, Panel, PoolId, Reject, Side, VenueParams};
use units::{Duration, Notional, Price, Size, Timestamp};

/// The latest time that a batch may carry: the year 9999.
pub const AT_MAX: Timestamp = Timestamp(253_402_300_799_999_999);

/// One observation counts for this part of the TWAP's window at most.
const SEEN_SHARE: i64 = 4;

/// The cause of a mode that is not a detector's: a guardian, governors or a vote asked for it.
pub const ASKED: u16 = 1 << 15;

/// The kernel and the scratch space that it reuses.
#[derive(Clone, Debug)]
pub struct Kernel {
    state: State,
    /// No market is due up to here: a lower bound, so that a batch need not ask each of them.
    deadline: Timestamp,
    /// No account is due before this: likewise.
    alarm: Timestamp,
    /// Markets evaluated in this batch, in order of id.
    touched: Vec<MarketId>,
    /// Places of the inputs of a step, in the order in which they take their turns.
    turns: Vec<u32>,
    /// Those of this batch's orders that do not only reduce.
    opening: Vec<u32>,
    /// Orders placed in this batch, by pool: a pool's order ids say nothing about another pool.
    placed: Vec<u16>,
    /// By market: those of its pool that list sources in its unit; empty where nobody does in any. Follows from the parameters.
    quoted_in: Vec<Vec<MarketId>>,
    /// Of them, those whose unit moved in this batch.
    moved: Vec<MarketId>,
    /// What the units of the market under evaluation are worth.
    rates: Vec<(MarketId, Option<Rate>)>,
}

impl Kernel {
    /// A venue before its first batch.
    ///
    /// # Errors
    /// As [`State::new`].
    pub fn new(params: &VenueParams, accounts: &[Genesis]) -> Result<Kernel, BadGenesis> {
        Ok(Kernel::resume(State::new(params, accounts)?))
    }

    /// Goes on from a state.
    #[must_use]
    pub fn resume(state: State) -> Kernel {
        // Nothing is known of when a market is due, so the first batch asks all of them.
        let placed = state.pools.iter().map(|_| 0).collect();
        let quoted_in = |unit: &Market| {
            let of_pool = state.pool_of(unit.id).map_or(&[][..], |pool| &pool.markets);
            let quoted = of_pool.iter().filter(|market| market.units.contains(&unit.id));
            quoted.map(|market| market.id).collect()
        };
        let mut quoted_in: Vec<Vec<MarketId>> = state.markets().map(quoted_in).collect();
        if quoted_in.iter().all(Vec::is_empty) {
            quoted_in.clear();
        }
        Kernel {
            state,
            quoted_in,
            moved: Vec::new(),
            rates: Vec::new(),
            deadline: Timestamp::MIN,
            alarm: Timestamp::MIN,
            touched: Vec::new(),
            turns: Vec::new(),
            opening: Vec::new(),
            placed,
        }
    }

    /// What the kernel remembers.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    pub(crate) const fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    /// The first instant at which an empty batch could decide something; `None` where time alone changes nothing.
    /// Whoever sequences batches sends one then, or an outside silence would go unnoticed.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        let due = self.deadline.plus(Duration(1)).min(self.alarm).min(self.state.governance.next_due());
        (due != Timestamp::MAX).then_some(due)
    }

    /// Decides one batch and appends its effects.
    ///
    /// Inside a batch the order is: trades that the venue already made, sessions and splits; prices; funding; top-ups and cancels;
    /// what owners set apart or take back; liquidations; reducing orders; opening orders; withdrawals. Inside a step nobody gains by being early: accounts come in the
    /// order that the batch's seed draws, what one account asks for in the order of its ids, and what a source says in the order
    /// in which it was published. Only what one party tells as a story (the venue, the chain) stays in the order in which it was told.
    ///
    /// # Panics
    /// Where the sequencer broke its contract: heights follow one another, time does not go back and stays before the
    /// year 10000.
    pub fn apply(&mut self, batch: &Batch, out: &mut Vec<Effect>) {
        assert!(batch.height == self.state.height + 1, "the journal delivers each batch once, in order");
        assert!(self.state.at <= batch.at && batch.at <= AT_MAX, "the sequencer's time does not go back");
        let before = self.state.at;
        self.state.height = batch.height;
        self.state.at = batch.at;
        let now = Now { height: batch.height, at: batch.at };
        self.touched.clear();
        // Most batches are a price.
        let phases = batch.inputs.iter().fold(0_u32, |phases, input| phases | phase_of(input).bit());
        let has = |phase: Phase| phases & phase.bit() != 0;
        if has(Phase::Statements) {
            self.step(Phase::Statements, batch, out);
        }
        if self.state.governance.next_due() <= batch.at {
            self.govern(batch.at, out);
        }
        if has(Phase::Facts) {
            self.step(Phase::Facts, batch, out);
        }
        if has(Phase::Prices) && batch.inputs.contains(&Input::Restart) {
            // Before the first batch there was nothing to be away from.
            let away = if batch.height == 1 { Duration::ZERO } else { batch.at.since(before) };
            self.restart(away, batch.at);
        }
        if has(Phase::Prices) {
            self.step(Phase::Prices, batch, out);
        }
        self.evaluate(now.at, out);
        if has(Phase::Funding) {
            self.step(Phase::Funding, batch, out);
        }
        if has(Phase::TopUps) {
            self.step(Phase::TopUps, batch, out);
        }
        if has(Phase::Moves) {
            self.step(Phase::Moves, batch, out);
        }
        self.liquidate(now, out);
        if has(Phase::Orders) {
            self.step(Phase::Orders, batch, out);
        }
        if has(Phase::Withdrawals) {
            self.step(Phase::Withdrawals, batch, out);
        }
    }

    /// Decides the inputs of one step.
    fn step(&mut self, phase: Phase, batch: &Batch, out: &mut Vec<Effect>) {
        let now = Now { height: batch.height, at: batch.at };
        if let [input] = &batch.inputs[..] {
            // Whoever is alone has its turn.
            self.one(0, input, now, out);
            return;
        }
        let mut turns = core::mem::take(&mut self.turns);
        turns.clear();
        turns.extend((0_u32..).zip(&batch.inputs).filter(|(_, input)| phase_of(input) == phase).map(|(n, _)| n));
        let of = |n: &u32| batch.inputs.get(*n as usize).map_or([0; 8], |input| turn(*n, input, &batch.seed));
        match phase {
            Phase::Facts | Phase::Funding => {}
            Phase::Statements | Phase::Prices => turns.sort_unstable_by_key(of),
            // A lot is drawn once each.
            Phase::TopUps | Phase::Moves | Phase::Orders | Phase::Withdrawals => {
                if 1 < turns.len() {
                    turns.sort_by_cached_key(of);
                }
            }
        }
        for n in &turns {
            let Some(input) = batch.inputs.get(*n as usize) else { continue };
            let reduces = |order: &Order| self.state.pool_of(order.market).is_some_and(|pool| pool.reduces(order));
            // Whoever does not only reduce waits until everyone who does is in.
            if let Input::Order(order) = input
                && !reduces(order)
            {
                self.opening.push(*n);
            } else {
                self.one(*n, input, now, out);
            }
        }
        let mut opening = core::mem::take(&mut self.opening);
        for n in opening.drain(..) {
            if let Some(input) = batch.inputs.get(n as usize) {
                self.one(n, input, now, out);
            }
        }
        (self.turns, self.opening) = (turns, opening);
    }

    fn one(&mut self, n: u32, input: &Input, now: Now, out: &mut Vec<Effect>) {
        if let Err(reject) = self.input(input, now, out) {
            out.push(Effect::Rejected { input: n, reject });
        }
    }

    /// The one match.
    fn input(&mut self, input: &Input, now: Now, out: &mut Vec<Effect>) -> Result<(), Reject> {
        match input {
            Input::Observation(seen) => {
                let rate = self.rate_for(seen);
                let market = self.market_mut(seen.market)?;
                if let Some(exclusion) = market.observe(seen, rate, now.at)? {
                    out.push(Effect::Source { market: seen.market, source: seen.source, exclusion });
                }
                self.touch(seen.market);
                Ok(())
            }
            Input::BookTop(top) => {
                let market = self.market_mut(top.market)?;
                let (index, is_quoted) = (market.quality().value, market.is_quoted(now.at));
                market.mark.observe_book(top, index, is_quoted, &market.params.mark, now.at);
                self.touch(top.market);
                Ok(())
            }
            Input::Deposit(transfer) => self.pool_mut(transfer.pool)?.deposit(transfer),
            Input::Withdraw(transfer) => {
                let paid = self.pool_mut(transfer.pool)?.withdraw(transfer)?;
                out.push(paid);
                Ok(())
            }
            Input::Collateral(collateral) => {
                let pool = self.pool_of_mut(collateral.market)?;
                pool.collateral(collateral, now.at, out)?;
                let alarm = next_alarm(pool);
                self.alarm = self.alarm.min(alarm);
                Ok(())
            }
            Input::Buy(buy) => {
                let pool = self.pool_of_mut(buy.market)?;
                let bought = pool.buy(buy, now.at, out);
                let alarm = next_alarm(pool);
                self.alarm = self.alarm.min(alarm);
                bought
            }
            Input::Isolate(isolate) => self.pool_of_mut(isolate.market)?.isolate(isolate),
            Input::Order(order) => {
                let admitted = self.pool_of_mut(order.market)?.order(order)?;
                out.push(admitted);
                Ok(())
            }
            Input::Cancel(cancel) => {
                let withdrawn = self.pool_of_mut(cancel.market)?.cancel(cancel)?;
                out.push(withdrawn);
                Ok(())
            }
            Input::OrderDone(done) => self.pool_of_mut(done.market)?.order_done(done),
            Input::Trade(trade) => {
                let pool = self.pool_of_mut(trade.market)?;
                let traded = pool.trade(trade, now.at, out);
                let alarm = next_alarm(pool);
                self.alarm = self.alarm.min(alarm);
                traded
            }
            Input::Depth(depth) => {
                let market = self.market_mut(depth.market)?;
                if depth.bid < Size(0) || depth.ask < Size(0) {
                    return Err(Reject::OutOfRange);
                }
                let is_quoted = market.is_quoted(now.at);
                market.activity.read(depth, is_quoted, now.at);
                self.touch(depth.market);
                Ok(())
            }
            Input::Chain(health) => self.chain(health, now.at),
            Input::Funding(funding) => {
                self.pool_of_mut(funding.market)?.fund(funding, now.at, out)?;
                // Whom it brings under maintenance is found in this batch.
                self.touch(funding.market);
                Ok(())
            }
            Input::Session(session) => {
                let market = self.market_mut(session.market)?;
                let begins = session.opens && market.activity.closed;
                market.activity.closed = !session.opens;
                if begins {
                    market.forget(now.at);
                }
                self.touch(session.market);
                Ok(())
            }
            Input::Redenomination(said) => {
                // What is quoted in its price would have to say when it changed too.
                if self.is_unit(said.market) {
                    return Err(Reject::OutOfRange);
                }
                self.market_mut(said.market)?.redenominate(said, now.at, out)?;
                self.touch(said.market);
                Ok(())
            }
            Input::Statement(said) => self.statement(said, now, out).map_err(|why| Reject::Refused { why }),
            // Once a batch, before its prices.
            Input::Restart => Ok(()),
            Input::InsuranceDeposit(deposit) => {
                let pool = self.pool_mut(deposit.pool)?;
                if deposit.amount <= Notional(0) {
                    return Err(Reject::OutOfRange);
                }
                let amount = i128::from(deposit.amount.0);
                let deposited = pool.deposited.checked_add(amount).ok_or(Reject::Overflow)?;
                pool.insure(amount).ok_or(Reject::Overflow)?;
                pool.deposited = deposited;
                Ok(())
            }
        }
    }

    /// Files a report of a pool's chain with each of its markets.
    fn chain(&mut self, health: &ChainHealth, at: Timestamp) -> Result<(), Reject> {
        let pool = self.state.pools.get_mut(usize::from(health.pool.0)).ok_or(Reject::UnknownPool)?;
        let (mut outage, last) = (None, pool.last_outage());
        for market in &mut pool.markets {
            let silent = market.activity.report(health, &market.params.chain, at)?;
            if let Some(silent) = silent {
                market.begin_grace(silent, at);
                outage = Some(silent);
            }
            if let Err(place) = self.touched.binary_search(&market.id) {
                self.touched.insert(place, market.id);
            }
        }
        if let Some(outage) = outage {
            pool.resume_clocks(outage, last, at);
            self.alarm = self.alarm.min(next_alarm(pool));
        }
        Ok(())
    }

    /// Whoever decides was `away` until `at`.
    fn restart(&mut self, away: Duration, at: Timestamp) {
        for pool in &mut self.state.pools {
            let last = pool.last_outage();
            for market in &mut pool.markets {
                market.forget(at);
                market.begin_grace(away, at);
            }
            pool.resume_clocks(away, last, at);
            self.alarm = self.alarm.min(next_alarm(pool));
        }
        for market in 0..self.state.directory.len() {
            if let Ok(market) = u16::try_from(market) {
                self.touch(MarketId(market));
            }
        }
    }

    pub(crate) fn pool_mut(&mut self, pool: PoolId) -> Result<&mut Pool, Reject> {
        self.state.pools.get_mut(usize::from(pool.0)).ok_or(Reject::UnknownPool)
    }

    pub(crate) fn pool_of_mut(&mut self, market: MarketId) -> Result<&mut Pool, Reject> {
        let (pool, _) = *self.state.directory.get(usize::from(market.0)).ok_or(Reject::UnknownMarket)?;
        self.pool_mut(pool)
    }

    pub(crate) fn market_mut(&mut self, market: MarketId) -> Result<&mut Market, Reject> {
        let (pool, place) = *self.state.directory.get(usize::from(market.0)).ok_or(Reject::UnknownMarket)?;
        self.pool_mut(pool)?.markets.get_mut(usize::from(place)).ok_or(Reject::UnknownMarket)
    }

    /// What the unit of an observation is worth, where it is not USD.
    fn rate_for(&self, seen: &Observation) -> Option<Rate> {
        if self.quoted_in.is_empty() {
            return None;
        }
        let pool = self.state.pool_of(seen.market)?;
        let listed = pool.market(seen.market)?.params.sources.get(usize::from(seen.source.0))?;
        pool.market(listed.quote?).and_then(Market::rate)
    }

    pub(crate) fn touch(&mut self, market: MarketId) {
        if let Err(place) = self.touched.binary_search(&market) {
            self.touched.insert(place, market);
        }
    }

    /// Index, quality, mark, detectors and mode of every market that was priced or is due. A market is due by its own
    /// deadline alone: when another one is evaluated must not show in it.
    fn evaluate(&mut self, at: Timestamp, out: &mut Vec<Effect>) {
        if self.deadline < at {
            let mut deadline = Timestamp::MAX;
            for market in 0..self.state.directory.len() {
                let Ok(market) = u16::try_from(market) else { continue };
                let Some(due) = self.state.market(MarketId(market)).map(due) else { continue };
                if due < at {
                    self.touch(MarketId(market));
                } else {
                    deadline = deadline.min(due);
                }
            }
            self.deadline = deadline;
        }
        // What others are quoted in comes first, and then they, if it moved.
        let units = if self.quoted_in.is_empty() { 0 } else { self.touched.len() };
        for k in 0..units {
            let Some(id) = self.touched.get(k).copied() else { continue };
            if self.is_unit(id) {
                let before = self.state.market(id).and_then(Market::rate);
                self.evaluate_one(id, at, out);
                let after = self.state.market(id).and_then(Market::rate);
                let worth = |rate: Option<Rate>| rate.map(|rate| (rate.pico, rate.confidence));
                if worth(before) != worth(after) {
                    let quoted = self.quoted_in.get(usize::from(id.0)).map_or(&[][..], |quoted| quoted);
                    self.moved.extend_from_slice(quoted);
                }
            }
        }
        while let Some(id) = self.moved.pop() {
            self.touch(id);
        }
        for k in 0..self.touched.len() {
            let Some(id) = self.touched.get(k).copied() else { continue };
            if !self.is_unit(id) {
                self.evaluate_one(id, at, out);
            }
        }
    }

    /// Whether any source is quoted in this market's price.
    fn is_unit(&self, market: MarketId) -> bool {
        self.quoted_in.get(usize::from(market.0)).is_some_and(|quoted| !quoted.is_empty())
    }

    fn evaluate_one(&mut self, id: MarketId, at: Timestamp, out: &mut Vec<Effect>) {
        let mut rates = core::mem::take(&mut self.rates);
        let Ok(pool) = self.pool_of_mut(id) else { return };
        let Some(place) = pool.place_of(id) else { return };
        if let Some(market) = pool.markets.get(place).filter(|market| !market.units.is_empty()) {
            rates.extend(market.units.iter().map(|unit| (*unit, pool.market(*unit).and_then(Market::rate))));
        }
        let Some(market) = pool.markets.get_mut(place) else { return };
        if !rates.is_empty() {
            let rate_of = |unit: MarketId| rates.iter().find(|(id, _)| *id == unit).and_then(|(_, rate)| *rate);
            market.convert(&rate_of, out);
        }
        let tightened = evaluate_market(market, at, out);
        let graced = market.begin_waiting_grace(at);
        let due = due(market);
        let no_opening = Side::BOTH.iter().any(|side| !market.breaker.restriction().permits(Action::Open, *side));
        if tightened && no_opening {
            pool.remove_opening_orders(id, out);
        }
        if graced {
            pool.await_turns(place);
            let alarm = next_alarm(pool);
            self.alarm = self.alarm.min(alarm);
        }
        self.deadline = self.deadline.min(due);
        rates.clear();
        self.rates = rates;
    }

    /// Looks at the accounts that a price of this batch brought into question.
    fn liquidate(&mut self, now: Now, out: &mut Vec<Effect>) {
        self.placed.fill(0);
        if self.alarm <= now.at {
            for pool in &mut self.state.pools {
                let due = pool.alarms.range(..=(now.at, AccountId(u64::MAX))).map(|(_, account)| *account);
                for account in due.collect::<Vec<_>>() {
                    pool.ripen(account, now.at);
                }
            }
        }
        for k in 0..self.touched.len() {
            let Some(id) = self.touched.get(k).copied() else { continue };
            let Some((PoolId(number), _)) = self.state.directory.get(usize::from(id.0)) else { continue };
            let Some(placed) = self.placed.get_mut(usize::from(*number)) else { continue };
            let Some(pool) = self.state.pools.get_mut(usize::from(*number)) else { continue };
            let Some(place) = pool.place_of(id) else { continue };
            while let Some(account) =
                pool.markets.get(place).and_then(|market| market.triggers.crossed(market.mark.price))
            {
                // Crossing means "look". A healthy account is armed anew at the present marks; one in distress is
                // watched with every price from now on.
                pool.look(account, now.at);
            }
            let Some(market) = pool.markets.get(place) else { continue };
            if market.distressed.is_empty() {
                continue;
            }
            let distressed: Vec<_> = market.distressed.iter().copied().collect();
            for account in distressed {
                review(pool, account, now, placed, out);
            }
            self.alarm = self.alarm.min(next_alarm(pool));
        }
        if self.alarm <= now.at {
            self.ring(now, out);
        }
    }

    /// Looks at the accounts whose order ran out or whose wait is over, whether or not anybody spoke.
    fn ring(&mut self, now: Now, out: &mut Vec<Effect>) {
        self.alarm = Timestamp::MAX;
        for (pool, placed) in self.state.pools.iter_mut().zip(&mut self.placed) {
            let later = pool.alarms.split_off(&(now.at.plus(Duration(1)), AccountId(0)));
            for (_, account) in core::mem::replace(&mut pool.alarms, later) {
                if pool.distressed.contains_key(&account) {
                    review(pool, account, now, placed, out);
                }
            }
            self.alarm = self.alarm.min(next_alarm(pool));
        }
    }
}

/// The first alarm of a pool.
fn next_alarm(pool: &Pool) -> Timestamp {
    pool.alarms.first().map_or(Timestamp::MAX, |(at, _)| *at)
}

/// The last instant at which a market would still be evaluated alike without any input.
fn due(market: &Market) -> Timestamp {
    // Where the reason for the present mode still stands, time alone does not lead out of it. A step is due at its
    // time, while a deadline is the last moment at which the old answer still holds.
    let asked = asked(market);
    let next_step = market.breaker.next_step(&market.params.breaker).filter(|_| asked < market.breaker.mode());
    let next_step = next_step.map_or(Timestamp::MAX, |at| Timestamp(at.0.saturating_sub(1)));
    market
        .price_until()
        .min(next_step)
        .min(market.mark.until(&market.params.mark))
        .min(market.activity.until(market.may_open(), &market.params, market.observed_until))
        .min(market.staler_at())
        .min(Timestamp(market.restraint.until().0.saturating_sub(1)))
}

/// The mode for which there was a reason at the last look: the detectors', or what is asked beside them.
fn asked(market: &Market) -> Mode {
    market.memory.levels.iter().copied().max().unwrap_or(Mode::Normal).max(market.restraint.to())
}

/// Evaluates one market and says whether it was tightened.
fn evaluate_market(market: &mut Market, at: Timestamp, out: &mut Vec<Effect>) -> bool {
    let detectors = &market.params.detectors;
    let before = *market.quality();
    // The old price was true until now, or until its sources went stale.
    let until = at.min(market.price_until());
    // Through its deadline the last choice held, and not a moment longer.
    let unseen = at.since(at.min(Timestamp(market.price_until().0.saturating_add(1))));
    if market.ladder.is_observed() && market.observed_until < until {
        let from = market.observed_until;
        // A lone voice where more are asked for neither begins the stable price nor pulls it.
        if market.params.oracle.lineages_min.min(market.panel.lineages.count) <= before.lineages {
            market.stable.observe(detectors.stable_half_life, detectors.stable_reach, before.value, from, until);
        }
        // A price that nobody renews for long is no observation of a short window, however often its source may be silent.
        let published_at = from.0.saturating_sub(before.age.0);
        let seen_until = until.min(Timestamp(published_at.saturating_add(detectors.twap_window.0 / SEEN_SHARE)));
        if from < seen_until {
            let limit = |elapsed: Duration| jump_limit(&market.params.oracle, elapsed);
            market.twap.observe(detectors.twap_window, limit, before.value, from, seen_until);
        }
    }
    market.twap.advance(detectors.twap_window, at);
    market.observed_until = at;
    let changed = market.index.evaluate(&market.panel, at);
    tell(market.id, &market.panel, &market.index, changed, out);
    for Fallback { panel, index } in &mut market.fallbacks {
        let changed = index.evaluate(panel, at);
        tell(market.id, panel, index, changed, out);
    }
    market.choose(unseen, at);
    let quality = *market.quality();
    let (traded, traded_at) = (market.speaker().traded, market.speaker().traded_at);
    let detectors = &market.params.detectors;
    if Price(0) < traded {
        // When it was published, not when it came.
        let at = at.min(traded_at);
        market.range.observe(detectors.velocity_window, traded, at);
        market.swing.observe(detectors.swing_window, traded, at);
    }
    market.mark.follow(quality.value, &market.params.mark, at);
    let may_open = market.may_open();
    market.activity.look(market.open_interest, may_open, &market.params, at);
    if market.activity.gated {
        market.activity.gated = !market.is_quorum();
    }
    // A reason that stood at the last look stood until this one, however long ago that was.
    if market.breaker.mode() <= asked(market) {
        market.breaker.hold(at);
    }
    let view = market.view();
    let (wanted, causes) = detect(&view, &market.params, &mut market.memory);
    lapse(market, at, out);
    let asked_of = market.restraint.to();
    let wanted = wanted.join(restriction_of(asked_of, &market.params.breaker));
    let causes = if asked_of == Mode::Normal { causes } else { causes | ASKED };
    let changed = market.breaker.step(wanted, &market.params.breaker, at);
    if may_open && !market.may_open() {
        market.activity.depth_at = at;
    }
    if (before.state, before.rung) != (quality.state, quality.rung) {
        out.push(Effect::Quality { market: market.id, quality });
    }
    if let Some(from) = changed {
        let (to, restriction) = (market.breaker.mode(), *market.breaker.restriction());
        let causes = if from < to { causes } else { 0 };
        out.push(Effect::Mode { market: market.id, from, to, restriction, causes });
    }
    changed.is_some_and(|from| from < market.breaker.mode())
}

/// Says of the sources that changed, as bits, why they are left out or that they are heard.
pub(crate) fn tell(market: MarketId, panel: &Panel, index: &Index, changed: u16, out: &mut Vec<Effect>) {
    if changed == 0 {
        return;
    }
    for (place, (id, source)) in panel.ids.iter().zip(&index.sources).enumerate() {
        if changed >> place & 1 == 1 {
            out.push(Effect::Source { market, source: *id, exclusion: source.exclusion });
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Statements,
    Facts,
    Prices,
    Funding,
    TopUps,
    Moves,
    Orders,
    Withdrawals,
}

impl Phase {
    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

const fn phase_of(input: &Input) -> Phase {
    let phase = match input {
        Input::Statement(_) => Phase::Statements,
        Input::Collateral(_) => Phase::TopUps,
        Input::Buy(_) => Phase::Orders,
        Input::Trade(_) | Input::OrderDone(_) | Input::Session(_) | Input::Redenomination(_) => Phase::Facts,
        Input::Observation(_) | Input::BookTop(_) | Input::Depth(_) | Input::Chain(_) | Input::Restart => Phase::Prices,
        Input::Funding(_) => Phase::Funding,
        Input::Deposit(_) | Input::InsuranceDeposit(_) | Input::Cancel(_) => Phase::TopUps,
        Input::Isolate(_) => Phase::Moves,
        Input::Order(_) => Phase::Orders,
        Input::Withdraw(_) => Phase::Withdrawals,
    };
    if let Input::Collateral(said) = input
        && said.size.0 < 0
    {
        return Phase::Withdrawals;
    }
    phase
}

/// Where an input stands among those of its step, wherever in the batch it is; only of two that are the same, or of what one party
/// tells, the earlier comes first.
fn turn(n: u32, input: &Input, seed: &[u8; 32]) -> [i64; 8] {
    let n = i64::from(n);
    let lot = |account: AccountId| {
        let [a, b, c, d, e, f, g, h, ..] = codec::hash(&(*seed, account));
        i64::from_le_bytes([a, b, c, d, e, f, g, h])
    };
    let id = |id: u64| id.cast_signed();
    match input {
        Input::Observation(seen) => {
            let from = i64::from(seen.market.0) << 8 | i64::from(seen.source.0);
            let (published, received) = (seen.published_at.0, seen.received_at.0);
            [1, from, published, received, seen.price.0, seen.confidence.0, i64::from(seen.observer), n]
        }
        Input::Deposit(money) | Input::Withdraw(money) => {
            let Transfer { pool, account, amount } = *money;
            [lot(account), id(account.0), 0, i64::from(pool.0), amount.0, 0, 0, n]
        }
        Input::Cancel(cancel) => {
            let Cancel { market, account, order } = *cancel;
            [lot(account), id(account.0), 1, i64::from(market.0), id(order.0), 0, 0, n]
        }
        Input::Collateral(collateral) => {
            let Collateral { market, account, size } = *collateral;
            [lot(account), id(account.0), 2, i64::from(market.0), size.0, 0, 0, n]
        }
        Input::Buy(buy) => {
            let Buy { market, account, from, size, limit } = *buy;
            [lot(account), id(account.0), i64::from(market.0), id(from.0), size.0, limit.0, 0, n]
        }
        Input::Isolate(isolate) => {
            let Isolate { market, owner, account, amount } = *isolate;
            [lot(owner), id(owner.0), amount.0, id(account.0), i64::from(market.0), 0, 0, n]
        }
        Input::Order(order) => {
            let Order { id: of, account, market, size, limit } = *order;
            [lot(account), id(account.0), id(of.0), i64::from(market.0), size.0, limit.0, 0, n]
        }
        // Those of one key as it numbered them.
        Input::Statement(said) => [0, i64::from(said.key), id(said.nonce), 0, 0, 0, 0, n],
        Input::BookTop(_)
        | Input::Depth(_)
        | Input::Chain(_)
        | Input::Restart
        | Input::Trade(_)
        | Input::OrderDone(_)
        | Input::Session(_)
        | Input::Redenomination(_)
        | Input::Funding(_)
        | Input::InsuranceDeposit(_) => [0, 0, 0, 0, 0, 0, 0, n],
    }
}
