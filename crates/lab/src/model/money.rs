//! Money, orders, liquidations and losses of a whole venue, followed effect by effect.

use super::exact::{Q, ceil, floor, part, q};
use super::ledger::{Asked, Books, Listings, Need, Purse, Terms, tide};
use super::{Demand, Walk, demand, same};
use kernel::State;
use kernel::activity::Outage;
use kernel::margin::{Lens, risk};
use kernel::state::{Isolated, Liquidation, OpenOrder};
use protocol::effect::AdmittedOrder;
use protocol::input::{Buy, Collateral, Isolate, Order, Trade, Transfer};
use protocol::input::{ChainHealth, Funding};
use protocol::{
    AccountId, Action, Effect, Input, MarketId, OrderId, PoolId, PriceQuality, QualityState, Reject, Restriction, Rung,
    Side,
};
use std::collections::{BTreeMap, BTreeSet};
use units::{Duration, Notional, Price, Ratio, Size, Timestamp};

/// All pools.
#[derive(Debug)]
pub(super) struct Venue {
    books: Vec<Books>,
    pools: BTreeMap<MarketId, usize>,
    at: Timestamp,
    /// The batch before.
    before: Timestamp,
    height: u64,
    placed: BTreeMap<usize, u16>,
    /// Accounts whose money or sizes a liquidation of somebody else moved.
    disturbed: BTreeSet<(usize, AccountId)>,
    /// Accounts whose orders that don't open were taken back: each must be liquidated or deleveraged for it.
    stripped: BTreeSet<(usize, AccountId)>,
    /// Accounts whose distress begins now because an outage is over in which it began.
    resumed: BTreeSet<(usize, AccountId)>,
}

/// What may be done about an account that is under maintenance.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Verdict {
    insolvent: bool,
    /// The markets that give up a position.
    from: BTreeSet<MarketId>,
}

fn rejected(n: u32, reject: Reject) -> Effect {
    Effect::Rejected { input: n, reject }
}

fn money(micro: i128) -> Notional {
    Notional(i64::try_from(micro).unwrap_or(if micro < 0 { i64::MIN } else { i64::MAX }))
}

fn side(lots: i128) -> Side {
    if 0 < lots { Side::Long } else { Side::Short }
}

/// Who may act on which price, as the table in the kernel's documentation says.
pub(super) fn permits(action: Action, price: &PriceQuality, single: bool) -> bool {
    let column = match (price.state, price.rung) {
        (QualityState::None, _) | (_, Rung::None) => 5,
        (QualityState::Disputed, _) => 4,
        (_, Rung::Guardian | Rung::Derived | Rung::Twap | Rung::LastGood) => 3,
        (QualityState::Degraded, Rung::Secondary) => 3,
        (QualityState::Agreed, Rung::Secondary) => 2,
        (QualityState::Degraded, Rung::Primary) => 1,
        (QualityState::Agreed, Rung::Primary) => 0,
    };
    let row = match action {
        Action::Deposit | Action::Cancel => "yyyyyy",
        Action::Reduce | Action::LiquidateInsolvent => "yyyyy-",
        Action::Open | Action::Withdraw | Action::Fund => "yyy---",
        Action::LiquidateSolvent => {
            if single {
                "yyy---"
            } else {
                "y-y---"
            }
        }
        Action::Settle => "y-----",
    };
    row.as_bytes()[column] == b'y'
}

impl Venue {
    pub(super) fn of(state: &State, listings: &Listings, at: Timestamp, height: u64) -> Venue {
        let mut pools = BTreeMap::new();
        for (place, pool) in state.pools.iter().enumerate() {
            pools.extend(pool.markets.iter().map(|market| (market.id, place)));
        }
        Venue {
            books: Books::all(state, listings),
            pools,
            at,
            before: state.at,
            height,
            placed: BTreeMap::new(),
            disturbed: BTreeSet::new(),
            stripped: BTreeSet::new(),
            resumed: BTreeSet::new(),
        }
    }

    pub(super) fn has_pool(&self, pool: usize) -> bool {
        pool < self.books.len()
    }

    fn pool_of(&self, market: MarketId) -> Option<usize> {
        self.pools.get(&market).copied()
    }

    /// A trade that the venue made, or an order that it no longer holds.
    pub(super) fn fact(&mut self, n: u32, input: &Input, walk: &mut Walk<'_>) -> Demand<()> {
        let told = match input {
            Input::Trade(trade) => self.trade(trade, walk)?,
            // One that is not known any more was filled, which its trades said.
            Input::OrderDone(done) => match self.pool_of(done.market) {
                None => Err(Reject::UnknownMarket),
                Some(pool) => match self.books[pool].orders.get(&done.order) {
                    Some(order) if order.market != done.market => Err(Reject::UnknownOrder),
                    Some(_) | None => {
                        let books = &mut self.books[pool];
                        let dropped = books.remove_order(done.order).filter(|_| done.order.is_kernel());
                        let owner = dropped.map(|order| order.account);
                        // The book had nothing for who was insolvent.
                        if let Some(id) = owner.filter(|id| books.need(*id).is_some_and(|need| need.worth() < 0))
                            && let Some(purse) = books.accounts.get_mut(&id)
                        {
                            purse.exhausted = true;
                        }
                        Ok(())
                    }
                },
            },
            Input::Observation(_)
            | Input::BookTop(_)
            | Input::Depth(_)
            | Input::Chain(_)
            | Input::Funding(_)
            | Input::Restart
            | Input::Statement(_)
            | Input::Session(_)
            | Input::Redenomination(_)
            | Input::Isolate(_)
            | Input::Collateral(_)
            | Input::Buy(_)
            | Input::Deposit(_)
            | Input::Withdraw(_)
            | Input::Order(_)
            | Input::Cancel(_)
            | Input::InsuranceDeposit(_) => Ok(()),
        };
        match told {
            Ok(()) => Ok(()),
            Err(reject) => walk.expect("a refused fact", rejected(n, reject)),
        }
    }

    fn known(&self, market: MarketId, order: OrderId) -> Result<usize, Reject> {
        let pool = self.pool_of(market).ok_or(Reject::UnknownMarket)?;
        let known = self.books[pool].orders.get(&order).is_some_and(|order| order.market == market);
        if known { Ok(pool) } else { Err(Reject::UnknownOrder) }
    }

    fn trade(&mut self, trade: &Trade, walk: &mut Walk<'_>) -> Demand<Result<(), Reject>> {
        let Some(pool) = self.pool_of(trade.market) else { return Ok(Err(Reject::UnknownMarket)) };
        let books = &mut self.books[pool];
        let (Some(buy), Some(sell)) = (books.orders.get(&trade.buy), books.orders.get(&trade.sell)) else {
            return Ok(Err(Reject::UnknownOrder));
        };
        let (buy, sell) = (*buy, *sell);
        let provider = |id: OrderId, order: &OpenOrder| books.params.backstop == Some(order.account) && !id.is_kernel();
        let refusals = [
            (trade.size.0 <= 0 || trade.price.0 <= 0, Reject::OutOfRange),
            (buy.limit < trade.price, Reject::BeyondLimit { limit: buy.limit }),
            (trade.price < sell.limit, Reject::BeyondLimit { limit: sell.limit }),
            (buy.remaining.0.abs() < trade.size.0, Reject::BeyondSize { remaining: buy.remaining }),
            (sell.remaining.0.abs() < trade.size.0, Reject::BeyondSize { remaining: sell.remaining }),
            (buy.market != trade.market || sell.market != trade.market, Reject::Mismatch),
            (buy.remaining.0 < 0 || 0 < sell.remaining.0 || buy.account == sell.account, Reject::Mismatch),
            (provider(trade.buy, &buy) && !trade.sell.is_kernel(), Reject::Mismatch),
            (provider(trade.sell, &sell) && !trade.buy.is_kernel(), Reject::Mismatch),
        ];
        if let Some((_, reject)) = refusals.into_iter().find(|(refused, _)| *refused) {
            return Ok(Err(reject));
        }
        let lots = i128::from(trade.size.0);
        let amount = books.terms[&trade.market].value(lots, trade.price);
        let held = |id: AccountId| books.accounts[&id].sizes.get(&trade.market).copied().unwrap_or(0);
        let was = [(buy.account, held(buy.account), lots), (sell.account, held(sell.account), -lots)];
        books.fill(buy.account, trade.market, lots, amount);
        books.fill(sell.account, trade.market, -lots, -amount);
        for (id, was, change) in was {
            // Toward zero and not beyond it, or there is more than before.
            let reduces = was.signum() == -change.signum() && change.abs() <= was.abs();
            if let Some(purse) = books.accounts.get_mut(&id).filter(|_| !reduces) {
                purse.grown_at = Some(self.at);
            }
        }
        for (id, change) in [(trade.buy, lots), (trade.sell, -lots)] {
            let Some(order) = books.orders.get_mut(&id) else { continue };
            let left = i128::from(order.remaining.0) - change;
            let reserve = ceil(&(q(order.reserve.0) * q(left) / q(order.remaining.0)));
            (order.remaining, order.reserve) = (Size(left as i64), money(reserve));
            if left == 0 {
                books.remove_order(id);
            }
        }
        for (id, order) in [(trade.buy, buy), (trade.sell, sell)] {
            let books = &mut self.books[pool];
            turn(books, order.account, trade.market);
            // Whoever is in distress loses where it closes, be it by itself.
            if id.is_kernel() || !order.opening && books.distressed.contains(&order.account) {
                books.closed(order.account, trade.market, lots);
            }
            if id.is_kernel() {
                let rate = books.terms[&trade.market].params.liquidation.fee;
                let fee = ceil(&(part(rate) * q(amount))).min(books.equity(order.account).max(0));
                books.pay(order.account, -fee);
                books.insure(fee);
            }
            self.settle(pool, order.account, trade.market, walk)?;
        }
        Ok(Ok(()))
    }

    /// What an account without positions owes is paid by others.
    fn settle(&mut self, pool: usize, id: AccountId, market: MarketId, walk: &mut Walk<'_>) -> Demand<()> {
        let Some(purse) = self.books[pool].accounts.get_mut(&id) else { return Ok(()) };
        if !purse.sizes.is_empty() {
            return Ok(());
        }
        let beside: Vec<MarketId> = purse.held.keys().copied().collect();
        purse.exhausted = false;
        // What it owes may be paid for by what it has beside, if that has a price.
        let terms = &self.books[pool].terms;
        if beside.iter().any(|market| 0 < terms[market].mark.0) {
            let under = self.books[pool].need(id).is_some_and(|need| need.under());
            let books = &mut self.books[pool];
            if under {
                if books.distressed.insert(id) {
                    books.since.insert(id, self.at);
                }
            } else {
                books.distressed.remove(&id);
                if let Some(purse) = books.accounts.get_mut(&id) {
                    purse.taken.clear();
                }
            }
            return Ok(());
        }
        let Some(purse) = self.books[pool].accounts.get_mut(&id) else { return Ok(()) };
        let owed = -purse.cash;
        // Those share the loss who hold what was liquidated, or what the account lost with its own trade.
        let taken = std::mem::take(&mut purse.taken);
        let lost_in = if taken.is_empty() { BTreeMap::from([(market, 1)]) } else { taken };
        self.books[pool].distressed.remove(&id);
        if 0 < owed { self.cover(pool, id, &lost_in, owed, walk) } else { Ok(()) }
    }

    fn cover(
        &mut self,
        pool: usize,
        id: AccountId,
        lost_in: &BTreeMap<MarketId, i128>,
        owed: i128,
        walk: &mut Walk<'_>,
    ) -> Demand<()> {
        let name = PoolId(pool as u16);
        let books = &mut self.books[pool];
        let paid = owed.min(books.insurance);
        if 0 < paid {
            let told = Effect::InsurancePaid { pool: name, account: id, amount: money(paid) };
            walk.expect("insurance pays first", told)?;
            books.insurance -= paid;
        }
        let missing = owed - paid;
        books.pay(id, owed);
        if missing == 0 {
            return Ok(());
        }
        let mut unpaid = missing;
        let weights: Vec<i128> = lost_in.values().copied().collect();
        for (market, part) in lost_in.keys().zip(whole_parts(missing, &weights)) {
            unpaid -= self.socialize(pool, id, *market, part, walk)?;
        }
        if unpaid != 0 {
            let told = Effect::Deficit { pool: name, account: id, amount: money(unpaid) };
            walk.expect("the rest is a deficit", told)?;
            self.books[pool].deficit += unpaid;
        }
        Ok(())
    }

    /// The holders of a market pay their parts of a loss. Returns what they paid.
    fn socialize(
        &mut self,
        pool: usize,
        id: AccountId,
        market: MarketId,
        missing: i128,
        walk: &mut Walk<'_>,
    ) -> Demand<i128> {
        let name = PoolId(pool as u16);
        let books = &mut self.books[pool];
        let holders: Vec<(AccountId, i128)> = books
            .accounts
            .iter()
            .filter_map(|(other, purse)| purse.sizes.get(&market).map(|lots| (*other, *lots)))
            .filter(|(other, _)| *other != id)
            .collect();
        let asked: Vec<Asked> = holders
            .iter()
            .map(|(other, lots)| Asked { weight: q(lots.abs()), cap: q(books.equity(*other).max(0)) })
            .collect();
        let mut paid = 0;
        for ((other, lots), fair) in holders.iter().zip(tide(&q(missing), &asked)) {
            let amount = match walk.peek() {
                Some(Effect::Socialized { account, amount, market: of, .. }) if account == *other && of == market => {
                    i128::from(amount.0)
                }
                Some(_) | None => 0,
            };
            let near = (q(amount) - &fair).abs() < q(1);
            demand("a loss is shared pro rata", near, || format!("{other:?}: kernel {amount}, model {fair}"))?;
            if amount != 0 {
                let (side, amount) = (side(*lots), money(amount));
                walk.expect(
                    "a loss is shared pro rata",
                    Effect::Socialized { pool: name, market, side, account: *other, amount },
                )?;
            }
            paid += amount;
            books.pay(*other, -amount);
            self.disturbed.insert((pool, *other));
        }
        let caps = asked.iter().filter(|one| one.weight.is_positive()).fold(q(0), |sum, one| sum + &one.cap);
        let remainder = floor(&(q(missing) - caps)).max(0);
        same("what nobody can pay is left", id, missing - paid, remainder)?;
        Ok(paid)
    }

    /// A market was evaluated.
    pub(super) fn priced(
        &mut self,
        id: MarketId,
        [mark, target]: [Price; 2],
        stable: Option<Price>,
        quality: PriceQuality,
        restriction: Restriction,
    ) {
        let Some(pool) = self.pool_of(id) else { return };
        if let Some(terms) = self.books[pool].terms.get_mut(&id) {
            terms.stable = stable;
            (terms.mark, terms.target) = (mark, target);
            (terms.quality, terms.restriction) = (quality, restriction);
        }
    }

    /// A market no longer lets exposure grow.
    pub(super) fn take_back_opening(&mut self, market: MarketId, walk: &mut Walk<'_>) -> Demand<()> {
        let Some(pool) = self.pool_of(market) else { return Ok(()) };
        let opening = |order: &&OpenOrder| order.market == market && order.opening;
        let orders = self.books[pool].orders.iter().filter(|(_, order)| opening(order));
        for order in orders.map(|(id, _)| *id).collect::<Vec<_>>() {
            walk.expect("an opening order is taken back", Effect::Withdraw { market, order })?;
            self.books[pool].remove_order(order);
        }
        Ok(())
    }

    /// Money in, and orders that their owners take back: never refused but for nonsense.
    pub(super) fn top_ups(&mut self, walk: &mut Walk<'_>) -> Demand<()> {
        for (n, input) in walk.inputs.clone() {
            let told = match input {
                Input::Deposit(transfer) => self.deposit(transfer),
                Input::InsuranceDeposit(deposit) => match self.books.get_mut(usize::from(deposit.pool.0)) {
                    None => Err(Reject::UnknownPool),
                    Some(_) if deposit.amount.0 <= 0 => Err(Reject::OutOfRange),
                    Some(books) => {
                        books.insure(deposit.amount.0.into());
                        books.deposited += i128::from(deposit.amount.0);
                        Ok(())
                    }
                },
                Input::Collateral(said) if 0 <= said.size.0 => self.pay_in(said),
                Input::Cancel(cancel) => match self.known(cancel.market, cancel.order) {
                    Ok(_) if cancel.order.is_kernel() => Err(Reject::UnknownOrder),
                    Ok(pool) if self.books[pool].orders[&cancel.order].account != cancel.account => {
                        Err(Reject::UnknownOrder)
                    }
                    Err(reject) => Err(reject),
                    Ok(pool) => {
                        self.books[pool].remove_order(cancel.order);
                        let (market, order) = (cancel.market, cancel.order);
                        walk.expect("an order is taken back", Effect::Withdraw { market, order })?;
                        Ok(())
                    }
                },
                Input::Observation(_)
                | Input::BookTop(_)
                | Input::Depth(_)
                | Input::Chain(_)
                | Input::Funding(_)
                | Input::Restart
                | Input::Statement(_)
                | Input::Session(_)
                | Input::Redenomination(_)
                | Input::Isolate(_)
                | Input::Collateral(_)
                | Input::Buy(_)
                | Input::Withdraw(_)
                | Input::Order(_)
                | Input::OrderDone(_)
                | Input::Trade(_) => Ok(()),
            };
            if let Err(reject) = told {
                walk.expect("a refused top-up", rejected(n, reject))?;
            }
        }
        Ok(())
    }

    fn deposit(&mut self, transfer: &Transfer) -> Result<(), Reject> {
        let books = self.books.get_mut(usize::from(transfer.pool.0)).ok_or(Reject::UnknownPool)?;
        if transfer.amount.0 <= 0 {
            return Err(Reject::OutOfRange);
        }
        let (min, max) = (books.params.account_min, books.params.accounts_max);
        if transfer.amount < min && !books.accounts.contains_key(&transfer.account) {
            return Err(Reject::TooSmall { min });
        }
        if !books.accounts.contains_key(&transfer.account) && max as usize <= books.accounts.len() {
            return Err(Reject::TooManyAccounts { max });
        }
        books.pay(transfer.account, transfer.amount.0.into());
        books.deposited += i128::from(transfer.amount.0);
        Ok(())
    }

    /// What owners set apart for one market, and take back.
    pub(super) fn moves(&mut self, walk: &mut Walk<'_>) -> Demand<()> {
        for (n, input) in walk.inputs.clone() {
            let Input::Isolate(said) = input else { continue };
            if let Err(reject) = self.isolate(said) {
                walk.expect("a refused move", rejected(n, reject))?;
            }
        }
        Ok(())
    }

    fn isolate(&mut self, said: &Isolate) -> Result<(), Reject> {
        let pool = self.pool_of(said.market).ok_or(Reject::UnknownMarket)?;
        let books = &mut self.books[pool];
        let bound = Some(Isolated { owner: said.owner, market: said.market });
        let fits = |id: AccountId, bound: Option<Isolated>| {
            books.params.backstop != Some(id) && books.accounts.get(&id).is_none_or(|purse| purse.isolated == bound)
        };
        if !fits(said.owner, None) || !fits(said.account, bound) {
            return Err(Reject::Mismatch);
        }
        let amount = i128::from(said.amount.0);
        if amount == 0 || i64::try_from(amount.abs()).is_err() {
            return Err(Reject::OutOfRange);
        }
        let (from, to) = if 0 < amount { (said.owner, said.account) } else { (said.account, said.owner) };
        let free = leaves(books, books.accounts.get(&from).ok_or(Reject::UnknownAccount)?)?;
        if free < amount.abs() {
            return Err(Reject::Margin { free: money(free), needed: money(amount.abs()) });
        }
        let (min, max) = (books.params.account_min, books.params.accounts_max);
        if !books.accounts.contains_key(&to) {
            if amount.abs() < min.0.into() {
                return Err(Reject::TooSmall { min });
            }
            if max as usize <= books.accounts.len() {
                return Err(Reject::TooManyAccounts { max });
            }
            let isolated = bound.filter(|_| 0 < amount);
            books.accounts.insert(to, Purse { isolated, ..Purse::default() });
        }
        books.pay(to, amount.abs());
        books.pay(from, -amount.abs());
        books.forget_who_left(from);
        Ok(())
    }

    /// Everything that liquidating does, in the order in which the kernel tells it.
    pub(super) fn liquidations(&mut self, walk: &mut Walk<'_>) -> Demand<()> {
        while let Some(effect) = walk.peek() {
            match effect {
                Effect::Withdraw { market, order } => {
                    walk.next();
                    self.taken_back(market, order)?;
                }
                Effect::Liquidate { order, equity, maintenance, insolvent } => {
                    walk.next();
                    self.liquidate(order, equity, maintenance, insolvent)?;
                }
                Effect::InsurancePaid { pool, account, .. } => self.deleverage(usize::from(pool.0), account, walk)?,
                Effect::Deleveraged { market, account, .. } => {
                    let pool = self.pool_of(market).ok_or(("a market", String::new()))?;
                    self.deleverage(pool, account, walk)?;
                }
                Effect::CollateralSold { market, buyer, .. } => {
                    // Whoever else buys has asked to.
                    let pool = self.pool_of(market).ok_or(("a market", String::new()))?;
                    if self.books[pool].params.backstop != Some(buyer) {
                        break;
                    }
                    self.sold_to_backstop(effect, walk)?;
                }
                Effect::Rejected { .. } | Effect::Admit { .. } | Effect::PayOut { .. } | Effect::HandOut { .. } => {
                    break;
                }
                Effect::Funded { .. } => return Err(("no effect without a cause", format!("{effect:?}"))),
                Effect::Governed { .. }
                | Effect::Source { .. }
                | Effect::Quality { .. }
                | Effect::Mode { .. }
                | Effect::Socialized { .. }
                | Effect::Deficit { .. } => return Err(("no effect without a cause", format!("{effect:?}"))),
            }
        }
        same("an order that reduces is taken back for a liquidation", self.at, &self.stripped, &BTreeSet::new())
    }

    fn taken_back(&mut self, market: MarketId, order: OrderId) -> Demand<()> {
        let pool = self.known(market, order).map_err(|_| ("a known order is taken back", format!("{order:?}")))?;
        let Some(open) = self.books[pool].orders.get(&order).copied() else { return Ok(()) };
        let account = open.account;
        let need = self.books[pool].need(account).ok_or(("a price", format!("{account:?}")))?;
        if order.is_kernel() {
            let live = self.books[pool].accounts[&account].liquidation;
            let live = live.ok_or(("a liquidation order has an owner", format!("{order:?}")))?;
            let stands = self.stands(pool, account, &live);
            let insolvent = self.judged(pool, account).is_some_and(|(verdict, _)| verdict.insolvent);
            let stalled = self.books[pool].terms[&live.market].is_stalled(self.at);
            // Debts grow while nobody can act.
            let due = !stands || live.expires_at <= self.at && (insolvent || !stalled);
            let detail = || format!("{account:?} {live:?} {need:?}");
            demand("a liquidation order stands while it has its reason and its time", due, detail)?;
            if let Some(purse) = self.books[pool].accounts.get_mut(&account) {
                purse.exhausted = stands && insolvent;
            }
        } else {
            let detail = || format!("{account:?} {open:?} {need:?}");
            demand("only who is under maintenance loses its orders", need.under(), detail)?;
            if !open.opening || self.books[pool].params.backstop == Some(account) {
                self.stripped.insert((pool, account));
            }
        }
        self.books[pool].remove_order(order);
        Ok(())
    }

    /// Who entered distress with this batch, perhaps again after others had made it well for a moment, waits anew.
    pub(super) fn entered(&mut self, after: &State) {
        for (books, pool) in self.books.iter_mut().zip(&after.pools) {
            let entered = pool.distressed.iter().filter(|(_, since)| **since == self.at);
            books.since.extend(entered.map(|(id, since)| (*id, *since)));
        }
    }

    /// Every funding payment of the batch.
    pub(super) fn funding(&mut self, funded_at: &mut BTreeMap<MarketId, Timestamp>, walk: &mut Walk<'_>) -> Demand<()> {
        for (n, input) in walk.inputs.clone() {
            let Input::Funding(funding) = input else { continue };
            let last = funded_at.get(&funding.market).copied();
            match self.fund(funding, last) {
                Ok(paid) => {
                    funded_at.insert(funding.market, self.at);
                    let told = Effect::Funded { market: funding.market, rate: funding.rate, paid: money(paid) };
                    walk.expect("a funding payment is told", told)?;
                }
                Err(reject) => walk.expect("a refused funding payment", rejected(n, reject))?,
            }
        }
        Ok(())
    }

    fn fund(&mut self, funding: &Funding, last: Option<Timestamp>) -> Result<i128, Reject> {
        let pool = self.pool_of(funding.market).ok_or(Reject::UnknownMarket)?;
        let books = &self.books[pool];
        let terms = &books.terms[&funding.market];
        let params = &terms.params.funding;
        let open = |side| terms.restriction.permits(Action::Fund, side);
        let too_soon = last.is_some_and(|last| self.at.0 < last.0.saturating_add(params.interval.0));
        let rules = [
            (params.rate_max.0 < funding.rate.0.saturating_abs(), Reject::OutOfRange),
            (too_soon, Reject::OutOfOrder),
            (!protocol::Side::BOTH.into_iter().all(open), Reject::Restricted),
            (!permits(Action::Fund, &terms.quality, terms.single_lineage()), Reject::PriceQuality),
        ];
        if let Some((_, reject)) = rules.into_iter().find(|(broken, _)| *broken) {
            return Err(reject);
        }
        // Each pays or gets a share of what its lots are worth, whole micro-USD twice, against whoever could profit.
        let share = part(Ratio(funding.rate.0.abs()));
        let (mut paid, mut got, mut after) = (0, 0, BTreeMap::new());
        for (id, purse) in &books.accounts {
            let Some(lots) = purse.sizes.get(&funding.market).copied().filter(|lots| *lots != 0) else { continue };
            let worth = super::exact::worth(terms.mark, Size(lots.abs() as i64), terms.per_micro);
            let amount = if (0 < lots) == (0 < funding.rate.0) {
                let amount = ceil(&(&share * q(ceil(&worth))));
                paid += amount;
                -amount
            } else {
                let amount = floor(&(&share * q(floor(&worth))));
                got += amount;
                amount
            };
            if i64::try_from(purse.cash + amount).is_err() {
                return Err(Reject::Overflow);
            }
            after.insert(*id, amount);
        }
        let books = &mut self.books[pool];
        for (id, amount) in after {
            books.pay(id, amount);
        }
        books.insure(paid - got);
        Ok(paid)
    }

    /// The lots that are open in a market.
    pub(super) fn open_interest(&self, market: MarketId) -> i128 {
        let Some(pool) = self.pool_of(market) else { return 0 };
        let purses = self.books[pool].accounts.values();
        purses.filter_map(|purse| purse.sizes.get(&market)).filter(|lots| 0 < **lots).sum()
    }

    /// What a market's chain went through.
    pub(super) fn health(&mut self, market: MarketId, outage: Outage, chain: Option<ChainHealth>) {
        let Some(pool) = self.pool_of(market) else { return };
        if let Some(terms) = self.books[pool].terms.get_mut(&market) {
            (terms.outage, terms.chain) = (outage, chain);
        }
    }

    /// Nobody could act for `outage`: what had begun before it goes on where it was.
    pub(super) fn resume_clocks(&mut self, pool: usize, outage: i64, last: Timestamp) {
        let at = self.at.0;
        // No longer than since the one before was over.
        let outage = outage.min(at.saturating_sub(last.0));
        let Some(books) = self.books.get_mut(pool) else { return };
        let ends: Vec<i64> = books.terms.values().map(|terms| terms.outage.ended_at.0).collect();
        for (id, since) in &mut books.since {
            // Whoever came into distress meanwhile comes into it now; whoever was in it before an outage stays so.
            let before_all = ends.iter().filter(|end| since.0 < **end).min().map_or(at, |end| *end) - 1;
            let later = since.0.saturating_add(outage).min(before_all).max(since.0);
            let meanwhile = at.saturating_sub(outage) <= since.0;
            since.0 = if meanwhile { at } else { later };
            if meanwhile {
                self.resumed.insert((pool, *id));
            }
        }
        for purse in books.accounts.values_mut().filter(|purse| purse.offered_at != Timestamp::MIN) {
            purse.offered_at.0 = purse.offered_at.0.saturating_add(outage).min(at);
        }
        for id in books.distressed.clone() {
            if let Some(live) = books.accounts.get_mut(&id).and_then(|purse| purse.liquidation.as_mut()) {
                let ttl = books.terms.get(&live.market).map_or(0, |terms| terms.params.liquidation.order_ttl.0);
                live.expires_at.0 = live.expires_at.0.saturating_add(outage).min(at + ttl).max(live.expires_at.0);
            }
        }
    }

    /// How long an account has been in distress.
    fn stood(&self, pool: usize, id: AccountId) -> i64 {
        self.books[pool].since.get(&id).map_or(0, |since| self.at.0 - since.0)
    }

    /// The markets in which the account holds something and whose mode and price let it be taken.
    fn carried(&self, pool: usize, id: AccountId, insolvent: bool, of_held: bool) -> BTreeSet<MarketId> {
        let action = if insolvent { Action::LiquidateInsolvent } else { Action::LiquidateSolvent };
        let books = &self.books[pool];
        let carries = |market: &MarketId, lots: i128| {
            let terms = &books.terms[market];
            // Less than agreement is enough for a solvent account only once its distress has lasted.
            let waits = !insolvent
                && terms.quality.state != QualityState::Agreed
                && self.stood(pool, id) < terms.params.liquidation.single_lineage_confirm.0;
            let allowed = permits(action, &terms.quality, terms.single_lineage());
            // Whom an outage brought there has its grace.
            let since = books.since.get(&id).map_or(self.at, |since| *since);
            let is_grace = terms.outage.waits || self.at < terms.outage.grace_until;
            let grown_after = books.accounts[&id].grown_at.is_some_and(|at| terms.outage.ended_at <= at);
            let graced = is_grace && terms.outage.ended_at <= since && !grown_after;
            let waits = waits || !insolvent && graced;
            allowed && !waits && terms.restriction.permits(action, side(lots))
        };
        let purse = &books.accounts[&id];
        let held = purse.held.keys().map(|market| (market, 1));
        let sizes = purse.sizes.iter().map(|(market, lots)| (market, *lots));
        let all: Vec<(&MarketId, i128)> = if of_held { held.collect() } else { sizes.collect() };
        all.into_iter().filter(|(market, lots)| carries(market, *lots)).map(|(market, _)| *market).collect()
    }

    /// The positions that may be taken.
    fn carrying(&self, pool: usize, id: AccountId, insolvent: bool) -> BTreeSet<MarketId> {
        self.carried(pool, id, insolvent, false)
    }

    /// The collateral whose price carries a sale.
    fn selling(&self, pool: usize, id: AccountId, insolvent: bool) -> BTreeSet<MarketId> {
        self.carried(pool, id, insolvent, true)
    }

    /// What of an account's collateral is for sale: the most lots, the price, and whether it has fallen as far as it will.
    fn offer(&self, pool: usize, id: AccountId, market: MarketId) -> Option<(i128, i128, bool)> {
        let books = self.books.get(pool)?;
        let purse = books.accounts.get(&id)?;
        let (lots, ripening, _) = purse.held.get(&market)?;
        let need = books.need(id)?;
        let (verdict, kindly) = self.judged(pool, id)?;
        let under = books.distressed.contains(&id) && need.under() && kindly.under();
        let terms = &books.terms[&market];
        let stalled = !verdict.insolvent && terms.is_stalled(self.at);
        if 0 <= purse.cash || !under || stalled || !self.selling(pool, id, verdict.insolvent).contains(&market) {
            return None;
        }
        let params = &terms.params.collateral;
        let begun = if purse.offered_at == Timestamp::MIN { self.at } else { purse.offered_at };
        let (stood, auction) = (self.at.0 - begun.0, params.auction.0);
        let whole = terms.mark.max(terms.target);
        let farthest = q(floor(&(part(params.haircut) * q(whole.0))));
        let price = i128::from(whole.0) - floor(&(farthest * q(stood.min(auction)) / q(auction)));
        let needed = ceil(&(q(-purse.cash) * q(terms.per_micro) / q(price)));
        // The fewest lots that restore the account, those that don't count first, and one for what is rounded.
        let aim = q(ceil(&need.maintenance)) * (q(1) + part(terms.params.liquidation.buffer));
        let lacks = (ceil(&aim) - need.equity).max(0) * terms.per_micro;
        let left = lacks - ripening * price;
        let cut = floor(&(part(params.haircut) * q(terms.mark.0)));
        let gain = price - i128::from(terms.mark.0) + cut;
        let restoring = match (left <= 0, gain <= 0) {
            (true, _) => ceil(&(q(lacks) / q(price))),
            (false, true) => needed,
            (false, false) => ripening + ceil(&(q(left) / q(gain))) + 1,
        };
        Some((needed.min(restoring).min(lots + ripening), price, auction <= stood))
    }

    /// Collateral of an account in distress goes to somebody for cash.
    fn sold(&mut self, pool: usize, said: &Buy, price: i128, walk: &mut Walk<'_>) -> Demand<()> {
        let Buy { market, account, from, size, limit: _ } = *said;
        let books = &mut self.books[pool];
        let paid = books.terms[&market].notional(size.0.into(), Price(price as i64));
        let told = Effect::CollateralSold { market, account: from, buyer: account, size, price: Price(price as i64) };
        walk.expect("a sale of collateral", told)?;
        books.pay(account, -paid);
        books.pay(from, paid);
        books.hold(from, market, -i128::from(size.0), None);
        books.hold(account, market, size.0.into(), None);
        if let Some(purse) = books.accounts.get_mut(&from) {
            *purse.taken.entry(market).or_default() += paid;
        }
        self.disturbed.insert((pool, from));
        self.settle(pool, from, market, walk)
    }

    /// Whether somebody may buy, and at what price.
    fn buys(&self, said: &Buy) -> Result<(usize, i128), Reject> {
        let pool = self.pool_of(said.market).ok_or(Reject::UnknownMarket)?;
        let books = &self.books[pool];
        let buyer = books.accounts.get(&said.account).ok_or(Reject::UnknownAccount)?;
        if !books.accounts.contains_key(&said.from) {
            return Err(Reject::UnknownAccount);
        }
        if said.account == said.from || buyer.isolated.is_some() {
            return Err(Reject::Mismatch);
        }
        if said.size.0 <= 0 || said.limit.0 <= 0 {
            return Err(Reject::OutOfRange);
        }
        let offer = self.offer(pool, said.from, said.market).filter(|_| !books.distressed.contains(&said.account));
        let (most, price, _) = offer.ok_or(Reject::Restricted)?;
        if most < said.size.0.into() {
            return Err(Reject::BeyondSize { remaining: Size(most as i64) });
        }
        if i128::from(said.limit.0) < price {
            return Err(Reject::BeyondLimit { limit: said.limit });
        }
        let needed = books.terms[&said.market].notional(said.size.0.into(), Price(price as i64));
        let free = beyond(books, buyer)?.min(buyer.cash);
        if free < needed {
            return Err(Reject::Margin { free: money(free), needed: money(needed) });
        }
        Ok((pool, price))
    }

    /// What was sold to the end is no more for sale after the batch: that began when it did, or with this batch.
    fn begun(&mut self, n: u32, said: &Buy, walk: &mut Walk<'_>) {
        let Some(pool) = self.pool_of(said.market) else { return };
        let Some(before) = self.books[pool].accounts.get(&said.from).map(|purse| purse.offered_at) else { return };
        for begun in [self.at, before] {
            if let Some(purse) = self.books[pool].accounts.get_mut(&said.from) {
                purse.offered_at = begun;
            }
            let told = match self.buys(said) {
                Ok((_, price)) => {
                    let Buy { market, account: buyer, from: account, size, limit: _ } = *said;
                    Effect::CollateralSold { market, account, buyer, size, price: Price(price as i64) }
                }
                Err(reject) => rejected(n, reject),
            };
            if walk.peek() == Some(told) {
                return;
            }
        }
    }

    /// What the backstop takes because nobody else has.
    fn sold_to_backstop(&mut self, effect: Effect, walk: &mut Walk<'_>) -> Demand<()> {
        let Effect::CollateralSold { market, account: from, buyer: account, size, price } = effect else {
            return Err(("a sale", format!("{effect:?}")));
        };
        let pool = self.pool_of(market).ok_or(("a market", String::new()))?;
        let offer = self.offer(pool, from, market);
        let provider = self.books[pool].accounts.get(&account).ok_or(("a backstop", format!("{account:?}")))?;
        let free = beyond(&self.books[pool], provider).map_or(0, |free| free.min(provider.cash)).max(0);
        let payable = floor(&(q(free) * q(self.books[pool].terms[&market].per_micro) / q(price.0)));
        let offer = offer.map(|(most, price, is_over)| (most.min(payable), price, is_over));
        let sold = Some((size.0.into(), price.0.into(), true));
        same("only what is for sale, and nobody took, goes to the backstop, as far as it can pay", from, offer, sold)?;
        same("who takes it", from, Some(account), self.books[pool].params.backstop)?;
        let said = Buy { market, account, from, size, limit: price };
        // It may have left its own distress with this batch.
        if self.books[pool].need(account).is_some_and(|need| !need.under()) {
            self.books[pool].distressed.remove(&account);
        }
        same("the backstop buys like anybody", from, self.buys(&said), Ok((pool, price.0.into())))?;
        self.sold(pool, &said, price.0.into(), walk)
    }

    /// Collateral in, whoever pays it.
    fn pay_in(&mut self, said: &Collateral) -> Result<(), Reject> {
        let (pool, at) = (self.pool_of(said.market).ok_or(Reject::UnknownMarket)?, self.at);
        let books = &mut self.books[pool];
        let held = holdable(books, said)?;
        let params = &books.terms[&said.market].params.collateral;
        let (max, ripe_at) = (params.deposit_max, ripe(params.ramp, at));
        if i64::try_from(held + i128::from(said.size.0)).is_err() {
            return Err(Reject::Overflow);
        }
        if i128::from(max.0) < books.held(said.market) + i128::from(said.size.0) {
            return Err(Reject::CollateralFull { max });
        }
        if i128::from(i64::MAX / 4) < held + i128::from(said.size.0) {
            return Err(Reject::Overflow);
        }
        books.hold(said.account, said.market, said.size.0.into(), Some(ripe_at));
        Ok(())
    }

    /// Collateral out.
    fn hand_out(&mut self, said: &Collateral) -> Result<Effect, Reject> {
        let pool = self.pool_of(said.market).ok_or(Reject::UnknownMarket)?;
        let books = &mut self.books[pool];
        let held = holdable(books, said)?;
        let asked = -i128::from(said.size.0);
        if held < asked {
            return Err(Reject::BeyondSize { remaining: Size(held as i64) });
        }
        let mut after = books.clone();
        after.hold(said.account, said.market, -asked, None);
        let purse = &after.accounts[&said.account];
        let spare = spare(&after, purse)?;
        if spare < 0 {
            return Err(Reject::Margin { free: money(spare), needed: Notional(0) });
        }
        books.hold(said.account, said.market, -asked, None);
        let left = &books.accounts[&said.account];
        if left.held.is_empty() && left.sizes.is_empty() {
            books.distressed.remove(&said.account);
            if let Some(purse) = books.accounts.get_mut(&said.account) {
                (purse.exhausted, _) = (false, purse.taken.clear());
            }
        }
        books.forget_who_left(said.account);
        Ok(Effect::HandOut { market: said.market, account: said.account, size: Size(asked as i64) })
    }

    /// What was paid in long enough ago counts where its market lets exposure grow, and waits as long again elsewhere.
    pub(super) fn ripen(&mut self) {
        for books in &mut self.books {
            for purse in books.accounts.values_mut() {
                for (market, (lots, ripening, ripe_at)) in &mut purse.held {
                    let terms = &books.terms[market];
                    if *ripening == 0 || self.at < *ripe_at {
                        continue;
                    }
                    if terms.is_believed() {
                        (*lots, *ripening, *ripe_at) = (*lots + *ripening, 0, Timestamp::MIN);
                    } else {
                        *ripe_at = ripe(terms.params.collateral.ramp, self.at);
                    }
                }
            }
        }
    }

    /// First whether it is insolvent, by the markets that give up the positions of the insolvent; then what may be taken
    /// from an account of its kind, and what it owns and needs judged accordingly.
    fn judged(&self, pool: usize, id: AccountId) -> Option<(Verdict, Need)> {
        let books = &self.books[pool];
        let kindly = |insolvent: bool| {
            let carrying = [self.carrying(pool, id, insolvent), self.selling(pool, id, insolvent)];
            books.need_kindly(id, &carrying)
        };
        let insolvent = books.need(id)?.worth() < 0 && kindly(true)?.worth() < 0;
        Some((Verdict { insolvent, from: self.carrying(pool, id, insolvent) }, kindly(insolvent)?))
    }

    /// What may be done, where anything may.
    fn verdict(&self, pool: usize, id: AccountId) -> Option<Verdict> {
        let (verdict, kindly) = self.judged(pool, id)?;
        let under = self.books[pool].need(id)?.under() && kindly.under();
        (under && !verdict.from.is_empty()).then_some(verdict)
    }

    /// Whether a liquidation order still has its reason, however long it has been out.
    fn stands(&self, pool: usize, id: AccountId, live: &Liquidation) -> bool {
        let Some((verdict, kindly)) = self.judged(pool, id) else { return false };
        let aim = q(1) + part(self.books[pool].terms[&live.market].params.liquidation.buffer);
        let needs = verdict.from.contains(&live.market) && q(kindly.equity) < aim * kindly.maintenance;
        needs && (verdict.insolvent || !self.excessive(pool, id, live))
    }

    /// Whether the order would take more than restores the account now, and the buffer's share of that more.
    fn excessive(&self, pool: usize, id: AccountId, live: &Liquidation) -> bool {
        let books = &self.books[pool];
        let (Some(need), Some(order)) = (books.need(id), books.orders.get(&live.order)) else { return false };
        let terms = &books.terms[&live.market];
        let lots = books.accounts[&id].sizes[&live.market];
        let buffer = part(terms.params.liquidation.buffer);
        let restored = |closed: i128| {
            let fee = ceil(&(part(terms.params.liquidation.fee) * q(terms.notional(closed, terms.mark))));
            let left = &need.maintenance - terms.maintenance(lots) + terms.maintenance(lots.abs() - closed);
            (q(1) + &buffer) * left <= q(need.equity - fee)
        };
        // Health rises with what is closed, so the fewest lots are found by halves.
        let (mut short, mut enough) = (0, lots.abs());
        while 1 < enough - short {
            let middle = (short + enough) / 2;
            if restored(middle) { enough = middle } else { short = middle }
        }
        let most = enough + floor(&(buffer * q(enough)));
        most < i128::from(order.remaining.0.abs())
    }

    fn liquidate(
        &mut self,
        order: AdmittedOrder,
        equity: Notional,
        maintenance: Notional,
        insolvent: bool,
    ) -> Demand<()> {
        let id = order.account;
        let pool = self.pool_of(order.market).ok_or(("a market", String::new()))?;
        let placed = self.placed.entry(pool).or_default();
        same("an order's id follows from its place", id, order.id, OrderId::of_kernel(self.height, *placed))?;
        *placed += 1;
        let books = &self.books[pool];
        let need = books.need(id).ok_or(("a price", format!("{id:?}")))?;
        same("equity in a liquidation", id, equity, money(need.equity))?;
        same("maintenance in a liquidation", id, maintenance, money(ceil(&need.maintenance)))?;
        let verdict = self.verdict(pool, id);
        let Some(verdict) = verdict else {
            return Err(("only who is under maintenance judged kindly too is liquidated", format!("{id:?} {need:?}")));
        };
        same("who is insolvent", id, insolvent, verdict.insolvent)?;
        let purse = &books.accounts[&id];
        let requires = |market: &MarketId| books.terms[market].maintenance(purse.sizes[market]);
        // Who can pay is not liquidated anew while the chain stands still.
        let from = || verdict.from.iter().filter(|m| insolvent || !books.terms[*m].is_stalled(self.at));
        let largest = from().map(requires).max().unwrap_or_else(|| q(0));
        let first = from().find(|market| requires(market) == largest).copied();
        same("of what may be taken the position that needs most, of equals the first", id, Some(order.market), first)?;
        let lots = purse.sizes[&order.market];
        let closed = i128::from(order.size.0.abs());
        same("a liquidation closes", id, i128::from(order.size.0.signum()), -lots.signum())?;
        let terms = &books.terms[&order.market];
        let restored = |closed: i128| {
            let fee = ceil(&(part(terms.params.liquidation.fee) * q(terms.notional(closed, terms.mark))));
            let left = &need.maintenance - terms.maintenance(lots) + terms.maintenance(lots.abs() - closed);
            (q(1) + part(terms.params.liquidation.buffer)) * left <= q(need.equity - fee)
        };
        let all = closed == lots.abs();
        let enough = all || restored(closed);
        demand("a liquidation restores", !insolvent && enough || insolvent && all, || format!("{id:?} {order:?}"))?;
        // One lot less must not do, but rounding to a whole micro-USD may make a lot of nothing worth nothing.
        let fewest = insolvent || closed == 1 || !restored(closed - 1);
        demand("a liquidation takes the fewest lots that restore", fewest, || format!("{id:?} {order:?} of {lots}"))?;
        let affordable = (need.worth() + books.allowance()).max(0);
        let paid_for = floor(&(q(affordable) * q(terms.per_micro) / q(closed)));
        let away = terms.farthest(order.size.0.signum().into()).min(paid_for);
        let limit = i128::from(terms.mark.0) + away * i128::from(order.size.0.signum());
        same("the limit of a liquidation", id, i128::from(order.limit.0), limit.max(1))?;
        let expires_at = self.at.plus(terms.params.liquidation.order_ttl);
        let live = Liquidation { order: order.id, market: order.market, expires_at };
        let AdmittedOrder { id: name, account, market, size, limit } = order;
        let open = OpenOrder { account, market, remaining: size, limit, reserve: Notional(0), opening: false };
        self.stripped.remove(&(pool, id));
        let books = &mut self.books[pool];
        demand("its own orders are gone", books.accounts[&id].orders.is_empty(), || format!("{id:?}"))?;
        books.orders.insert(name, open);
        if let Some(purse) = books.accounts.get_mut(&id) {
            purse.orders.push(name);
            purse.liquidation = Some(live);
        }
        Ok(())
    }

    fn deleverage(&mut self, pool: usize, id: AccountId, walk: &mut Walk<'_>) -> Demand<()> {
        let name = PoolId(pool as u16);
        let need = self.books[pool].need(id).ok_or(("a price", format!("{id:?}")))?;
        let from = self.verdict(pool, id).filter(|verdict| verdict.insolvent).map(|verdict| verdict.from);
        let from = from.ok_or(("only the insolvent are deleveraged", format!("{id:?} {need:?}")))?;
        let allowance = self.books[pool].allowance();
        let last = self.books[pool].accounts[&id].exhausted || allowance < -need.worth();
        demand("deleveraging is the last resort", last, || format!("{id:?} {need:?} allowance {allowance}"))?;
        let orders = self.books[pool].accounts[&id].orders.len();
        same("who is deleveraged has no orders", id, orders, 0)?;
        self.stripped.remove(&(pool, id));
        // The debt is every position's by notional. Those that stay keep their part of it.
        let positions = self.books[pool].accounts[&id].sizes.clone();
        let own =
            |books: &Books, market: &MarketId, lots: i128| books.terms[market].notional(lots, books.terms[market].mark);
        let all: i128 = positions.iter().map(|(market, lots)| own(&self.books[pool], market, *lots)).sum();
        let closed: Vec<(MarketId, i128)> = positions.into_iter().filter(|(market, _)| from.contains(market)).collect();
        let mut total: i128 = closed.iter().map(|(market, lots)| own(&self.books[pool], market, *lots)).sum();
        let debt = floor(&(q(-need.worth()) * q(total) / q(all)));
        let paid = debt.min(allowance);
        if 0 < paid {
            let told = Effect::InsurancePaid { pool: name, account: id, amount: money(paid) };
            walk.expect("insurance pays before others give up", told)?;
            self.books[pool].insurance -= paid;
            self.books[pool].pay(id, paid);
        }
        self.disturbed.insert((pool, id));
        let mut missing = debt - paid;
        for (market, lots) in &closed {
            let notional = own(&self.books[pool], market, *lots);
            let share = ceil(&(q(missing) * q(notional) / q(total))).min(missing);
            missing -= self.close(pool, id, *market, *lots, share, walk)?;
            total -= notional;
        }
        if let Some(purse) = self.books[pool].accounts.get_mut(&id) {
            purse.exhausted = false;
        }
        match closed.last() {
            Some((market, _)) => self.settle(pool, id, *market, walk),
            None => Ok(()),
        }
    }

    /// Closes `lots` of a market at the bankruptcy price, at which the account is `share` better off than at the mark.
    fn close(
        &mut self,
        pool: usize,
        id: AccountId,
        market: MarketId,
        lots: i128,
        share: i128,
        walk: &mut Walk<'_>,
    ) -> Demand<i128> {
        let books = &self.books[pool];
        let terms = books.terms[&market].clone();
        let marked = terms.value(lots, terms.mark);
        let share = if lots < 0 { share.min((-marked - 1).max(0)) } else { share };
        let against =
            |purse: &Purse| purse.sizes.get(&market).filter(|other| other.signum() == -lots.signum()).copied();
        let others: Vec<(AccountId, i128)> = books
            .accounts
            .iter()
            .filter(|(other, _)| **other != id)
            .filter_map(|(other, purse)| against(purse).map(|lots| (*other, lots.abs())))
            .collect();
        let payable = |other: AccountId| match share {
            0 => lots.abs(),
            negative if negative < 0 => 0,
            positive => floor(&(q(books.equity(other).max(0)) * q(lots.abs()) / q(positive))),
        };
        let capable: Vec<Asked> = others
            .iter()
            .map(|(other, held)| Asked { weight: q(*held), cap: q((*held).min(payable(*other))) })
            .collect();
        let placeable = capable.iter().fold(q(0), |sum, one| sum + &one.cap);
        let placed = lots.abs().min(floor(&placeable));
        let whole = |with_share: bool| marked + if with_share { share } else { 0 };
        let proceeds = |closed: i128, with_share: bool| floor(&(q(whole(with_share)) * q(closed) / q(lots.abs())));
        let price = floor(&(q(whole(true)) * q(terms.per_micro) / q(lots)));
        let mut taken: BTreeMap<AccountId, i128> = BTreeMap::new();
        let mut given_up_by_all = 0;
        for (with_share, to_place) in [(true, placed), (false, lots.abs() - placed)] {
            let asked: Vec<Asked> = if with_share {
                capable.clone()
            } else {
                let rest = |(other, held): &(AccountId, i128)| q(held - taken.get(other).copied().unwrap_or(0));
                others.iter().map(rest).map(|rest| Asked { weight: rest.clone(), cap: rest }).collect()
            };
            let mut closed = 0;
            for ((other, _), fair) in others.iter().zip(tide(&q(to_place), &asked)) {
                let lots_of = match walk.peek() {
                    Some(Effect::Deleveraged { counterparty, size, market: of, account, .. })
                        if counterparty == *other && of == market && account == id && closed < to_place =>
                    {
                        i128::from(size.0) * -lots.signum()
                    }
                    Some(_) | None => 0,
                };
                let near = (q(lots_of) - &fair).abs() < q(1);
                demand("deleveraging is pro rata", near, || format!("{other:?}: kernel {lots_of}, model {fair}"))?;
                if lots_of == 0 {
                    continue;
                }
                let amount = proceeds(closed + lots_of, with_share) - proceeds(closed, with_share);
                let at_the_mark = proceeds(closed + lots_of, false) - proceeds(closed, false);
                closed += lots_of;
                *taken.entry(*other).or_default() += lots_of;
                let change = -lots.signum() * lots_of;
                let given_up = (amount - at_the_mark).max(0);
                given_up_by_all += given_up;
                // Told by where the mark is going, if that is more.
                let at_target = floor(&(q(terms.target.0) * q(-change) / q(terms.per_micro)));
                let gone = if terms.target == terms.mark { given_up } else { given_up.max(amount - at_target) };
                let price = if with_share { i64::try_from(price).map_or(terms.mark, Price) } else { terms.mark };
                let told = Effect::Deleveraged {
                    market,
                    account: id,
                    counterparty: *other,
                    size: Size(change as i64),
                    price,
                    given_up: money(gone),
                };
                walk.expect("deleveraging at the bankruptcy price", told)?;
                self.books[pool].fill(id, market, change, -amount);
                self.books[pool].fill(*other, market, -change, amount);
                self.books[pool].closed(id, market, lots_of);
                self.disturbed.insert((pool, *other));
                let orders = self.books[pool].accounts[other].orders.clone();
                for order in orders {
                    if self.books[pool].orders.get(&order).is_some_and(|order| order.market == market) {
                        walk.expect("a counterparty's orders are taken back", Effect::Withdraw { market, order })?;
                        self.books[pool].remove_order(order);
                    }
                }
                self.settle(pool, *other, market, walk)?;
            }
            same("deleveraging closes the position", id, closed, to_place)?;
        }
        Ok(given_up_by_all)
    }

    /// Who is in distress once liquidations are decided: as stored, since [`Venue::agrees`] judges it. Whoever left it
    /// remembers nothing of it, even where it came back with this very batch.
    pub(super) fn distress(&mut self, after: &State, walk: &Walk<'_>) {
        // Whose collateral is yet to be bought, or handed out, may be well after that and not before.
        let mut yet: BTreeSet<(MarketId, AccountId, bool)> = BTreeSet::new();
        for effect in walk.effects.clone() {
            match effect {
                Effect::CollateralSold { market, account, .. } => yet.insert((*market, *account, true)),
                Effect::HandOut { market, account, .. } => yet.insert((*market, *account, false)),
                _ => false,
            };
        }
        let pools: Vec<(usize, AccountId, bool)> = yet
            .into_iter()
            .filter_map(|(market, account, sold)| Some((self.pool_of(market)?, account, sold)))
            .collect();
        for (place, (books, pool)) in self.books.iter_mut().zip(&after.pools).enumerate() {
            let mut distressed: BTreeSet<AccountId> = pool.distressed.keys().copied().collect();
            let yet = pools.iter().filter(|(of, _, _)| *of == place);
            let flat = |id: &AccountId| {
                let left = pool.accounts.get(id);
                left.is_none_or(|account| account.positions.is_empty() && account.collateral.is_empty())
            };
            let yet = yet.filter(|(_, id, sold)| *sold || books.distressed.contains(id) && flat(id));
            let yet: BTreeSet<AccountId> = yet.map(|(_, id, _)| *id).collect();
            distressed.extend(&yet);
            books.distressed = distressed;
            for (id, purse) in &mut books.accounts {
                // Since when something is for sale is as stored, where it still is.
                if let Some(account) = pool.accounts.get(id).filter(|account| account.offered_at != Timestamp::MIN) {
                    purse.offered_at = account.offered_at;
                }
            }
            for (id, purse) in books.accounts.iter_mut().filter(|(id, _)| !yet.contains(id)) {
                let since = pool.distressed.get(id);
                let forgot = pool.accounts.get(id).is_some_and(|account| account.taken.is_empty());
                // A batch may have the time of the one before, in which it was in distress already, or an outage that is over may
                // have it begin now; it has left and come back since only if there was something to forget.
                let begun_before = self.before == self.at || self.resumed.contains(&(place, *id));
                let same = begun_before && books.since.get(id) == since;
                let still = same && purse.taken.is_empty();
                if since.is_none_or(|since| *since == self.at && forgot && !still) {
                    purse.taken.clear();
                    purse.exhausted = false;
                }
            }
        }
    }

    /// Orders that only reduce, and then the others.
    pub(super) fn orders(&mut self, walk: &mut Walk<'_>) -> Demand<()> {
        let mut later = Vec::new();
        for (n, input) in walk.inputs.clone() {
            match input {
                Input::Buy(said) => {
                    self.begun(n, said, walk);
                    match self.buys(said) {
                        Ok((pool, price)) => self.sold(pool, said, price, walk)?,
                        Err(reject) => walk.expect("an offer is refused", rejected(n, reject))?,
                    }
                }
                Input::Order(order) => {
                    let pool = self.pool_of(order.market);
                    if pool.is_some_and(|pool| reduces(&self.books[pool], order)) {
                        self.order(n, order, walk)?;
                    } else {
                        later.push((n, order));
                    }
                }
                Input::Observation(_)
                | Input::BookTop(_)
                | Input::Depth(_)
                | Input::Chain(_)
                | Input::Funding(_)
                | Input::Restart
                | Input::Statement(_)
                | Input::Session(_)
                | Input::Redenomination(_)
                | Input::Isolate(_)
                | Input::Collateral(_)
                | Input::Deposit(_)
                | Input::Withdraw(_)
                | Input::Cancel(_)
                | Input::OrderDone(_)
                | Input::Trade(_)
                | Input::InsuranceDeposit(_) => {}
            }
        }
        for (n, order) in later {
            self.order(n, order, walk)?;
        }
        Ok(())
    }

    fn order(&mut self, n: u32, order: &Order, walk: &mut Walk<'_>) -> Demand<()> {
        let Some(pool) = self.pool_of(order.market) else {
            return walk.expect("an order of no market", rejected(n, Reject::UnknownMarket));
        };
        let books = &mut self.books[pool];
        match admits(books, order) {
            Err(reject) => walk.expect("the gate refuses an order", rejected(n, reject)),
            Ok((opening, reserve, limit)) => {
                let Order { id, account, market, size, limit: _ } = *order;
                let told = Effect::Admit { order: AdmittedOrder { id, account, market, size, limit } };
                walk.expect("the gate admits an order", told)?;
                let open = OpenOrder { account, market, remaining: size, limit, reserve: money(reserve), opening };
                books.orders.insert(id, open);
                if let Some(purse) = books.accounts.get_mut(&account) {
                    purse.orders.push(id);
                }
                Ok(())
            }
        }
    }

    /// Money out.
    pub(super) fn withdrawals(&mut self, walk: &mut Walk<'_>) -> Demand<()> {
        for (n, input) in walk.inputs.clone() {
            if let Input::Collateral(said) = input
                && said.size.0 < 0
            {
                match self.hand_out(said) {
                    Ok(told) => walk.expect("collateral is handed out", told)?,
                    Err(reject) => walk.expect("collateral is kept", rejected(n, reject))?,
                }
                continue;
            }
            let Input::Withdraw(transfer) = input else { continue };
            let (pool, account, amount) = (transfer.pool, transfer.account, transfer.amount);
            let told = match self.books.get(usize::from(pool.0)).ok_or(Reject::UnknownPool) {
                Err(reject) => Err(reject),
                Ok(books) => pays_out(books, transfer),
            };
            match told {
                Err(reject) => walk.expect("the gate refuses a withdrawal", rejected(n, reject))?,
                Ok(()) => {
                    let books = &mut self.books[usize::from(pool.0)];
                    // What the pool has for each micro-USD that it owes.
                    let rate = q(books.deposited) / q(books.deposited + books.deficit);
                    let paid = floor(&(rate * q(amount.0)));
                    let haircut = i128::from(amount.0) - paid;
                    let told = Effect::PayOut { pool, account, amount: money(paid), haircut: money(haircut) };
                    walk.expect("the gate pays out", told)?;
                    books.pay(account, -i128::from(amount.0));
                    books.deposited -= paid;
                    books.deficit -= haircut;
                    books.forget_who_left(account);
                }
            }
        }
        Ok(())
    }

    /// What the kernel stored after the batch is what was followed.
    pub(super) fn agrees(&self, after: &State, evaluated: &[MarketId]) -> Demand<()> {
        for (place, (books, pool)) in self.books.iter().zip(&after.pools).enumerate() {
            let (told, model): (Vec<_>, Vec<_>) = (pool.accounts.keys().collect(), books.accounts.keys().collect());
            same("the accounts", pool.id, told, model)?;
            same("the orders", pool.id, &pool.orders, &books.orders)?;
            let told = (pool.insurance, pool.deficit, pool.deposited);
            let funds = (books.insurance, books.deficit, books.deposited);
            same("insurance, deficit and what was paid in", pool.id, told, funds)?;
            for ((id, purse), told) in books.accounts.iter().zip(Books::purses(pool).values()) {
                let purse = &Purse { offered_at: told.offered_at, ..purse.clone() };
                same("an account's money and sizes", (pool.id, id), told, purse)?;
                self.watched(place, *id, pool, evaluated)?;
            }
        }
        Ok(())
    }

    /// An account's risk is what it must be; if it is under maintenance it is seen, and liquidated where that is allowed.
    fn watched(&self, place: usize, id: AccountId, pool: &kernel::state::Pool, evaluated: &[MarketId]) -> Demand<()> {
        let books = &self.books[place];
        let need = books.need(id);
        let told = risk(&pool.accounts[&id], |market| pool.market(market), Lens::Mark);
        let model = need
            .as_ref()
            .map(|need| (need.equity, need.haircut, floor(&scaled(&need.initial)), floor(&scaled(&need.maintenance))));
        same(
            "equity and margin",
            (pool.id, id),
            told.map(|risk| (risk.equity, risk.haircut, risk.initial, risk.maintenance)),
            model,
        )?;
        let Some(need) = need else { return Ok(()) };
        let account = &pool.accounts[&id];
        let undisturbed = !self.disturbed.contains(&(place, id));
        // A look is due with a price, and where the wait for a single lineage's price is over.
        let waited = |market: &MarketId| {
            let terms = &books.terms[market];
            let over = books.since.get(&id).map(|since| since.plus(terms.params.liquidation.single_lineage_confirm));
            let graced = terms.outage.grace_until;
            terms.single_lineage() && over.is_some_and(|over| self.before < over && over <= self.at)
                || self.before < graced && graced <= self.at && books.since.contains_key(&id)
        };
        let held = account.collateral.iter().map(|held| held.market);
        let touched: Vec<MarketId> = account.positions.iter().map(|position| position.market).chain(held).collect();
        let of = |held: &dyn Fn(&MarketId) -> bool| touched.iter().any(held);
        let looked_at = undisturbed && (of(&|market| evaluated.contains(market)) || of(&waited));
        let insolvent = self.judged(place, id).is_some_and(|(verdict, _)| verdict.insolvent);
        let stalled = |market: MarketId| !insolvent && books.terms[&market].is_stalled(self.at);
        let goes_on = |live: Liquidation| self.at < live.expires_at || stalled(live.market);
        // Who became insolvent since is looked at with the next price.
        let stood = |live: Liquidation| self.at < live.expires_at || books.terms[&live.market].is_stalled(self.at);
        let in_time = account.liquidation.is_none_or(stood) || !undisturbed;
        demand("no liquidation order stands past its time", in_time, || format!("{:?} {id:?}", pool.id))?;
        let verdict = self.verdict(place, id);
        if let Some(live) = account.liquidation.filter(|_| looked_at) {
            let stands = self.stands(place, id, &live) && goes_on(live);
            let detail = || format!("{:?} {id:?} {live:?} {need:?} {verdict:?}", pool.id);
            demand("no liquidation order stands without its reason or past its time", stands, detail)?;
        }
        if !need.under() {
            return Ok(());
        }
        let crossed = account.positions.iter().any(|position| {
            let mark = books.terms[&position.market].mark;
            position.trigger.is_some_and(|at| if 0 < position.size.0 { mark <= at } else { at <= mark })
        });
        let fallen =
            account.collateral.iter().any(|held| held.trigger.is_some_and(|at| books.terms[&held.market].mark <= at));
        let seen = pool.distressed.contains_key(&id) || crossed || fallen;
        demand("nobody under maintenance goes unseen", seen, || format!("{:?} {id:?} {need:?}", pool.id))?;
        if !looked_at {
            return Ok(());
        }
        let kept = &books.accounts[&id];
        let offered = kept.held.keys().any(|market| self.offer(place, id, *market).is_some());
        let begun = account.offered_at != Timestamp::MIN;
        demand("what is for sale is so since it is", offered == begun, || format!("{:?} {id:?} {kept:?}", pool.id))?;
        let over = |market: &MarketId| {
            let (most, price, _) = self.offer(place, id, *market).filter(|(_, _, is_over)| *is_over)?;
            let (account, limit) = (books.params.backstop?, Price(price as i64));
            let said = Buy { market: *market, account, from: id, size: Size(most.min(1) as i64), limit };
            // Who was in distress itself may have left it after the look, and who closed something for somebody has more to spare.
            let is_as_it_was = !books.since.contains_key(&account) && !self.disturbed.contains(&(place, account));
            self.buys(&said).ok().filter(|_| is_as_it_was)
        };
        let left: Vec<_> = books.accounts[&id].held.keys().filter_map(over).collect();
        demand("the backstop takes what it can pay for", left.is_empty(), || format!("{:?} {id:?} {left:?}", pool.id))?;
        let opens = |order: &OrderId| books.orders.get(order).is_some_and(|order| order.opening);
        let harmless = books.params.backstop == Some(id) || !account.orders.iter().any(opens);
        demand("nobody under maintenance has orders that open", harmless, || format!("{:?} {id:?}", pool.id))?;
        // Whoever can pay is not liquidated anew while the chain stands still.
        let waits = verdict.as_ref().is_none_or(|verdict| verdict.from.iter().all(|market| stalled(*market)));
        let done = account.liquidation.is_some() || waits;
        demand("whoever may be liquidated is", done, || format!("{:?} {id:?} {need:?} {verdict:?}", pool.id))
    }
}

fn scaled(requirement: &Q) -> Q {
    requirement * q(Ratio::ONE.0)
}

/// Orders that were exits, as long as what is held has room for them in order of admission; the others open.
fn turn(books: &mut Books, id: AccountId, market: MarketId) {
    let Some(purse) = books.accounts.get(&id).filter(|_| books.params.backstop != Some(id)) else { return };
    let mut room = -purse.sizes.get(&market).copied().unwrap_or(0);
    for order in &purse.orders {
        let Some(resting) = books.orders.get_mut(order).filter(|resting| resting.market == market) else { continue };
        let lots = i128::from(resting.remaining.0);
        if resting.opening || order.is_kernel() {
            continue;
        }
        if lots.signum() == room.signum() && lots.abs() <= room.abs() { room -= lots } else { resting.opening = true }
    }
}

/// Whether an order, with all that rests on its side, only takes off what is held.
fn reduces(books: &Books, order: &Order) -> bool {
    let Some(purse) = books.accounts.get(&order.account) else { return false };
    let held = purse.sizes.get(&order.market).copied().unwrap_or(0);
    let (buys, sells) = resting(books, purse, order.market);
    let lots = i128::from(order.size.0) + if 0 < order.size.0 { buys } else { sells };
    held != 0 && order.size.0 != 0 && lots.signum() == -held.signum() && lots.abs() <= held.abs()
}

/// Lots that the account's resting orders would buy and sell, the latter negative.
fn resting(books: &Books, purse: &Purse, market: MarketId) -> (i128, i128) {
    let orders = || purse.orders.iter().filter_map(|id| books.orders.get(id)).filter(|order| order.market == market);
    let lots = |sign: i64| {
        orders().filter(|order| order.remaining.0.signum() == sign).map(|order| i128::from(order.remaining.0)).sum()
    };
    (lots(1), lots(-1))
}

/// Initial margin if nothing, all buys or all sells were filled, whichever needs most in each market.
fn worst_case(books: &Books, purse: &Purse, more: Option<(&Order, i128)>) -> Option<Q> {
    let mut required = q(0);
    for (market, terms) in &books.terms {
        let held = purse.sizes.get(market).copied().unwrap_or(0);
        let (mut buys, mut sells) = resting(books, purse, *market);
        let mut open = books.open(*market);
        if let Some((order, with_it)) = more.filter(|(order, _)| order.market == *market) {
            open = with_it;
            if 0 < order.size.0 { buys += i128::from(order.size.0) } else { sells += i128::from(order.size.0) }
        }
        if held == 0 && buys == 0 && sells == 0 {
            continue;
        }
        if terms.mark.0 <= 0 {
            return None;
        }
        let dearer = terms.mark.max(terms.target);
        let initial = |lots: i128| books.initial(*market, terms.notional(lots, dearer), open);
        required += initial(held).max(initial(held + buys)).max(initial(held + sells));
    }
    Some(required)
}

/// Whether the order opens, what it sets aside and at what limit it rests, or why it is refused.
fn admits(books: &Books, order: &Order) -> Result<(bool, i128, Price), Reject> {
    let terms: &Terms = &books.terms[&order.market];
    let purse = books.accounts.get(&order.account).ok_or(Reject::UnknownAccount)?;
    if purse.isolated.is_some_and(|isolated| isolated.market != order.market) {
        return Err(Reject::Mismatch);
    }
    if order.size.0 == 0 || order.size.0.unsigned_abs() > (i64::MAX / 4) as u64 || order.limit.0 <= 0 {
        return Err(Reject::OutOfRange);
    }
    if order.id.is_kernel() || books.orders.contains_key(&order.id) {
        return Err(Reject::OrderIdTaken);
    }
    let max = books.params.orders_per_account_max;
    if usize::from(max) <= purse.orders.len() {
        return Err(Reject::TooManyOrders { max });
    }
    let provider = books.params.backstop == Some(order.account);
    let action = match (provider, reduces(books, order)) {
        (true, _) => Action::LiquidateInsolvent,
        (false, true) => Action::Reduce,
        (false, false) => Action::Open,
    };
    let in_liquidation = purse.liquidation.is_some() || books.distressed.contains(&order.account);
    let denied = !terms.restriction.permits(action, side(order.size.0.into()));
    if denied || in_liquidation && action != Action::Reduce {
        return Err(Reject::Restricted);
    }
    if !permits(action, &terms.quality, terms.single_lineage()) {
        return Err(Reject::PriceQuality);
    }
    let (market, lots) = (order.market, i128::from(order.size.0.abs()));
    let mut open = books.open(market);
    if action == Action::Open {
        let max = floor(&(part(terms.restriction.size_scale) * q(terms.params.order_size_max.0)));
        if max < lots {
            return Err(Reject::TooLarge { max: Size(max as i64) });
        }
        let asks = |sign: i64| -> i128 {
            let alike =
                |order: &&OpenOrder| order.opening && order.market == market && order.remaining.0.signum() == sign;
            let resting = books.orders.values().filter(alike).map(|order| i128::from(order.remaining.0.abs()));
            resting.sum::<i128>() + if order.size.0.signum() == sign { lots } else { 0 }
        };
        open += asks(1).max(asks(-1));
        if i128::from(terms.params.open_interest_max.0) < open {
            return Err(Reject::OpenInterest { max: terms.params.open_interest_max });
        }
    }
    let sign = i128::from(order.size.0.signum());
    // What would be opened is worth the less, and what is held the more, of where the mark is and where it is going.
    let reference = match (0 < sign, action == Action::Reduce) {
        (true, _) => terms.mark.min(terms.target),
        (false, _) => terms.mark.max(terms.target),
    };
    let worse = |limit: i128| ((limit - i128::from(reference.0)) * sign).max(0);
    let loss = |limit: i128| ceil(&(q(worse(limit)) * q(lots) / q(terms.per_micro)));
    if action == Action::Reduce {
        // The farthest price at which the equity that is not set aside pays for what is lost against the mark: all of it
        // that would be beyond doubt once the order was filled at the mark.
        let mut filled = purse.clone();
        filled.fill(market, i128::from(order.size.0), sign * terms.value(lots, terms.mark));
        // Of what it has beside money as much as it may owe, whether or not anybody may open.
        let beside = owable(books, purse, |terms| Some(terms.mark).filter(|mark| 0 < mark.0));
        filled.held.clear();
        let equity = least(books, &filled).map_or(0, |least| least + beside);
        // While a liquidation order is out nothing of it is the account's to spend.
        let left = if purse.liquidation.is_some() { 0 } else { (equity - books.reserved(purse)).max(0) };
        let farthest = floor(&(q(left) * q(terms.per_micro) / q(lots)));
        let slips = |price: Price| floor(&(part(terms.params.liquidation.slippage_max) * q(price.0)));
        let farthest = farthest.min(terms.farthest(sign) - slips(terms.mark) + slips(reference));
        let limit = i128::from(reference.0) + sign * worse(order.limit.0.into()).min(farthest);
        let limit = if worse(order.limit.0.into()) == 0 { order.limit.0.into() } else { limit.max(1) };
        return Ok((false, loss(limit), Price(limit as i64)));
    }
    let before = worst_case(books, purse, None).ok_or(Reject::PriceQuality)?;
    let after = worst_case(books, purse, Some((order, open))).ok_or(Reject::PriceQuality)?;
    let dear = order.limit.max(terms.mark).max(terms.target);
    let addon = ceil(&(part(terms.restriction.margin_addon) * q(terms.notional(lots, dear))));
    let set_aside = addon + loss(order.limit.0.into());
    let needed = ceil(&(after - &before)) + set_aside;
    let equity = least(books, purse).ok_or(Reject::PriceQuality)?;
    let free = equity - ceil(&before) - books.reserved(purse);
    if free < needed {
        return Err(Reject::Margin { free: money(free), needed: money(needed) });
    }
    Ok((action == Action::Open, set_aside, order.limit))
}

/// Cash and what every position is worth at the least kind edge of its price, where a profit is worth something only if
/// the market would let somebody open at that price. `None` where something has never had one.
fn least(books: &Books, purse: &Purse) -> Option<i128> {
    let mut equity = purse.cash + credit(books, purse);
    for (market, lots) in &purse.sizes {
        let terms = books.terms.get(market)?;
        if terms.mark.0 <= 0 {
            return None;
        }
        let gain = terms.value(*lots, terms.unkindest(*lots)) - purse.costs[market];
        equity += if terms.is_believed() || gain < 0 { gain } else { 0 };
    }
    Some(equity)
}

/// `total` cut into whole parts by weight: each its fair part without the fraction, and what that leaves to the largest
/// fractions, of equals the first.
fn whole_parts(total: i128, weights: &[i128]) -> Vec<i128> {
    let sum: i128 = weights.iter().sum();
    let fair: Vec<Q> = weights.iter().map(|weight| q(total) * q(*weight) / q(sum)).collect();
    let mut parts: Vec<i128> = fair.iter().map(floor).collect();
    let mut places: Vec<usize> = (0..parts.len()).collect();
    places.sort_by_key(|place| std::cmp::Reverse(&fair[*place] - q(parts[*place])));
    let over = total - parts.iter().sum::<i128>();
    places.into_iter().take(over as usize).for_each(|place| parts[place] += 1);
    parts
}

/// Whether money may leave.
fn pays_out(books: &Books, transfer: &Transfer) -> Result<(), Reject> {
    let purse = books.accounts.get(&transfer.account).ok_or(Reject::UnknownAccount)?;
    if transfer.amount.0 <= 0 {
        return Err(Reject::OutOfRange);
    }
    // What all accounts together and the fund may claim.
    let claims = books.accounts.values().map(|purse| purse.booked).sum::<i128>() + books.insurance;
    let free = leaves(books, purse)?.min(claims);
    if free < i128::from(transfer.amount.0) {
        return Err(Reject::Margin { free: money(free), needed: transfer.amount });
    }
    Ok(())
}

/// What of an account's cash may leave it.
fn leaves(books: &Books, purse: &Purse) -> Result<i128, Reject> {
    Ok(spare(books, purse)?.min(purse.cash))
}

/// What an account can do without.
fn spare(books: &Books, purse: &Purse) -> Result<i128, Reject> {
    for (market, lots) in &purse.sizes {
        let terms = &books.terms[market];
        if !terms.restriction.permits(Action::Withdraw, side(*lots)) {
            return Err(Reject::Restricted);
        }
        if !permits(Action::Withdraw, &terms.quality, terms.single_lineage()) {
            return Err(Reject::PriceQuality);
        }
    }
    beyond(books, purse)
}

/// What an account does not need, whether or not anything may leave.
fn beyond(books: &Books, purse: &Purse) -> Result<i128, Reject> {
    let equity = least(books, purse).ok_or(Reject::PriceQuality)?;
    let locked = worst_case(books, purse, None).ok_or(Reject::PriceQuality)?;
    Ok(equity.min(purse.cash + credit(books, purse)) - ceil(&locked) - books.reserved(purse))
}

/// What collateral counts for at its least: nothing where the market would let nobody open.
fn credit(books: &Books, purse: &Purse) -> i128 {
    let price = |terms: &Terms| {
        let stable = terms.stable.filter(|_| 0 < terms.mark.0 && terms.is_believed())?;
        Some(terms.unkindest(1).min(stable))
    };
    owable(books, purse, price)
}

/// What collateral counts for at a price, and no more than the account may owe.
fn owable(books: &Books, purse: &Purse, price: impl Fn(&Terms) -> Option<Price>) -> i128 {
    let counted = |(market, (lots, _, _)): (&MarketId, &(i128, i128, Timestamp))| {
        let terms = &books.terms[market];
        let worth = price(terms).map_or(0, |price| terms.value(*lots, price));
        worth - terms.haircut(worth)
    };
    let all: i128 = purse.held.iter().map(counted).sum();
    let owed_by_others = books.owed() - (-purse.cash).max(0);
    let most =
        i128::from(books.params.account_borrow_max.0).min(i128::from(books.params.borrow_max.0) - owed_by_others);
    all.min(most).max(0)
}

/// When what is paid in at `at` may count: after the ramp, at the next whole sixty-fourth of one.
fn ripe(ramp: Duration, at: Timestamp) -> Timestamp {
    let part = (ramp.0 / 64).max(1);
    Timestamp(ceil(&(q(at.0 + ramp.0) / q(part))) as i64 * part)
}

/// What an account has, where it may have something beside money.
fn holdable(books: &Books, said: &Collateral) -> Result<i128, Reject> {
    let purse = books.accounts.get(&said.account).ok_or(Reject::UnknownAccount)?;
    if purse.isolated.is_some() {
        return Err(Reject::Mismatch);
    }
    if said.size.0 == 0 || said.size.0.unsigned_abs() > (i64::MAX / 4) as u64 {
        return Err(Reject::OutOfRange);
    }
    Ok(purse.held.get(&said.market).map_or(0, |(lots, ripening, _)| lots + ripening))
}
