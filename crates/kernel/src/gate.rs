//! The gate: which orders enter the book, and how a trade changes two accounts.
//!
//! Checks are made in the order of [`Reject`]: cheapest and most basic first.

use crate::backstop;
use crate::collateral::Held;
use crate::margin::{Lens, PARTS, initial, notional, risk, risk_of, shown};
use crate::quality;
use crate::state::{Account, Isolated, LOTS_MAX, Market, OpenOrder, Pool, Position};
use alloc::vec::Vec;
use protocol::effect::AdmittedOrder;
use protocol::input::{Cancel, Isolate, Order, OrderDone, Trade, Transfer};
use protocol::{AccountId, Action, Effect, MarketId, OrderId, Reject, Side};
use units::{Notional, Price, Rounding, Size, Timestamp, mul_div};

/// The side of exposure that buying or selling touches.
#[must_use]
pub const fn side_of(size: Size) -> Side {
    if 0 < size.0 { Side::Long } else { Side::Short }
}

/// How far a limit lies on the losing side of the mark.
fn against(size: Size, limit: Price, mark: Price) -> Price {
    let away = if 0 < size.0 { limit.0.saturating_sub(mark.0) } else { mark.0.saturating_sub(limit.0) };
    Price(away.max(0))
}

/// What one fill makes of a position and its account's cash.
struct Filled {
    size: Size,
    cost: Notional,
    cash: Notional,
}

/// Books `change` lots for `amount` micro-USD (signed alike) on a position. `cash - cost` is the same before and
/// after, so that whatever rounding does to the realised part, no money is made or lost.
fn fill(cash: Notional, size: Size, cost: Notional, change: Size, amount: i128) -> Result<Filled, Reject> {
    let total = size.0.checked_add(change.0).ok_or(Reject::Overflow)?;
    if LOTS_MAX < total.unsigned_abs() {
        return Err(Reject::Overflow);
    }
    let paid = i128::from(cost.0) + amount;
    let same_way = size.0 == 0 || (0 < size.0) == (0 < change.0);
    let kept = if same_way {
        Some(paid)
    } else if Size(size.0).is_reduced_by(change) {
        // The part of the cost that stays with what is left.
        let (part, whole) = (i128::from(total).abs(), i128::from(size.0).abs());
        mul_div(i128::from(cost.0), part, whole, Rounding::Down)
    } else {
        // The old position is gone; what is left was bought in this fill.
        let (part, whole) = (i128::from(total).abs(), i128::from(change.0).abs());
        mul_div(amount, part, whole, Rounding::Down)
    };
    let kept = kept.ok_or(Reject::Overflow)?;
    let cash = i128::from(cash.0) + kept - paid;
    let fits = |money: i128| i64::try_from(money).map(Notional).map_err(|_| Reject::Overflow);
    Ok(Filled { size: Size(total), cost: fits(kept)?, cash: fits(cash)? })
}

impl Pool {
    /// Money in.
    pub(crate) fn deposit(&mut self, transfer: &Transfer) -> Result<(), Reject> {
        if transfer.amount <= Notional(0) {
            return Err(Reject::OutOfRange);
        }
        self.may_enter(transfer.account, transfer.amount)?;
        let deposited = self.deposited.checked_add(i128::from(transfer.amount.0)).ok_or(Reject::Overflow)?;
        let held = self.accounts.get(&transfer.account).map_or(0, |account| account.cash.0);
        let cash = Notional(held.checked_add(transfer.amount.0).ok_or(Reject::Overflow)?);
        self.accounts.entry(transfer.account).or_insert(Account::EMPTY);
        self.set_cash(transfer.account, cash);
        self.deposited = deposited;
        self.rearm(transfer.account);
        Ok(())
    }

    /// Whether an account may be given so much: one that does not exist is opened with it.
    fn may_enter(&self, account: AccountId, amount: Notional) -> Result<(), Reject> {
        if self.accounts.contains_key(&account) {
            return Ok(());
        }
        if amount < self.params.account_min {
            return Err(Reject::TooSmall { min: self.params.account_min });
        }
        if self.params.accounts_max as usize <= self.accounts.len() {
            return Err(Reject::TooManyAccounts { max: self.params.accounts_max });
        }
        Ok(())
    }

    /// Money that an owner sets apart for one market, or takes back: it leaves one account as if it were withdrawn and enters the
    /// other as if it were paid in, but stays in the pool.
    pub(crate) fn isolate(&mut self, said: &Isolate) -> Result<(), Reject> {
        let bound = Isolated { owner: said.owner, market: said.market };
        let backstop = [said.owner, said.account].map(Some).contains(&self.params.backstop);
        let owned = self.accounts.get(&said.owner).is_none_or(|owner| owner.isolated.is_none());
        let is_bound = self.accounts.get(&said.account).is_none_or(|account| account.isolated == Some(bound));
        if backstop || !owned || !is_bound {
            return Err(Reject::Mismatch);
        }
        let back = said.amount < Notional(0);
        let (from, to) = if back { (said.account, said.owner) } else { (said.owner, said.account) };
        let amount =
            said.amount.0.checked_abs().filter(|amount| 0 < *amount).map(Notional).ok_or(Reject::OutOfRange)?;
        let giver = self.accounts.get(&from).ok_or(Reject::UnknownAccount)?;
        let free = self.may_leave(giver)?;
        if free < i128::from(amount.0) {
            return Err(Reject::Margin { free: shown(free), needed: amount });
        }
        self.may_enter(to, amount)?;
        let given = giver.cash.0.checked_sub(amount.0).ok_or(Reject::Overflow)?;
        let held = self.accounts.get(&to).map_or(0, |account| account.cash.0);
        let taken = held.checked_add(amount.0).ok_or(Reject::Overflow)?;
        let isolated = if back { None } else { Some(bound) };
        self.accounts.entry(to).or_insert(Account { isolated, ..Account::EMPTY });
        self.set_cash(to, Notional(taken));
        self.set_cash(from, Notional(given));
        self.make_room(from);
        self.rearm(from);
        self.rearm(to);
        Ok(())
    }

    /// Whoever has left makes room: whoever comes back brings the least amount again.
    pub(crate) fn make_room(&mut self, id: AccountId) {
        let empty = |account: &Account| account.cash == Notional(0) && account.is_flat() && account.orders.is_empty();
        if self.accounts.get(&id).is_some_and(empty) {
            self.accounts.remove(&id);
        }
    }

    /// What may leave an account now, by the modes and prices of what it holds and by what it needs.
    pub(crate) fn may_leave(&self, account: &Account) -> Result<i128, Reject> {
        self.lets_leave(account)?;
        self.spare_cash(account).ok_or(Reject::PriceQuality)
    }

    /// What of an account's cash it can do without, and no more than there is: nobody borrows.
    pub(crate) fn spare_cash(&self, account: &Account) -> Option<i128> {
        Some(self.spare(account)?.min(i128::from(account.cash.0)))
    }

    /// Whether the modes and prices of an account's positions let anything leave it.
    pub(crate) fn lets_leave(&self, account: &Account) -> Result<(), Reject> {
        for position in &account.positions {
            let market = self.market(position.market).ok_or(Reject::UnknownMarket)?;
            if !market.breaker.restriction().permits(Action::Withdraw, side_of(position.size)) {
                return Err(Reject::Restricted);
            }
            if !quality::permits(Action::Withdraw, market.quality(), market.single_lineage()) {
                return Err(Reject::PriceQuality);
            }
        }
        Ok(())
    }

    /// Money for the insurance fund: it repays a deficit first. `None` where the fund would not hold it.
    pub(crate) fn insure(&mut self, amount: i128) -> Option<()> {
        let repaid = amount.min(self.deficit).max(0);
        self.insurance = self.insurance.checked_add(amount.checked_sub(repaid)?)?;
        self.deficit -= repaid;
        Some(())
    }

    /// Money out: only what no position, order or doubtful price could still need, and never unrealised profit.
    ///
    /// Claims on the pool are what it has and what it lacks. While it lacks something each micro-USD claimed is paid at
    /// the same rate, so that nobody gains by being first: with `amount × deposited / claims` paid and the whole amount
    /// gone from the claims, the rate is the same for whoever comes next. Rounded down: the rest stays for the others.
    pub(crate) fn withdraw(&mut self, transfer: &Transfer) -> Result<Effect, Reject> {
        let account = self.accounts.get(&transfer.account).ok_or(Reject::UnknownAccount)?;
        if transfer.amount <= Notional(0) {
            return Err(Reject::OutOfRange);
        }
        let free = self.may_leave(account)?;
        // Equity that others owe and can't pay is not in the pool, even before it is called a deficit.
        let claims = self.deposited.saturating_add(self.deficit);
        let (free, needed) = (free.min(claims), transfer.amount);
        if free < i128::from(needed.0) {
            return Err(Reject::Margin { free: shown(free), needed });
        }
        let paid = if self.deficit == 0 {
            i128::from(needed.0)
        } else {
            mul_div(i128::from(needed.0), self.deposited, claims, Rounding::Down).ok_or(Reject::Overflow)?
        };
        let haircut = i128::from(needed.0).checked_sub(paid).ok_or(Reject::Overflow)?;
        let (pool, id) = (self.id, transfer.account);
        let deposited = self.deposited.checked_sub(paid).ok_or(Reject::Overflow)?;
        let deficit = self.deficit.checked_sub(haircut).ok_or(Reject::Overflow)?;
        let cash = Notional(account.cash.0.checked_sub(needed.0).ok_or(Reject::Overflow)?);
        self.set_cash(id, cash);
        (self.deposited, self.deficit) = (deposited, deficit);
        self.make_room(id);
        self.rearm(id);
        Ok(Effect::PayOut { pool, account: id, amount: shown(paid), haircut: shown(haircut) })
    }

    /// What an account can do without: the smaller of equity at its least, and of cash and what its collateral counts for, less
    /// initial margin and what its orders reserve. `None` where something that it holds has no price.
    pub(crate) fn spare(&self, account: &Account) -> Option<i128> {
        let risk = risk_of(account.cash, &account.positions, |market| self.market(market), |_, _| Lens::Unkind)?;
        let owned = i128::from(account.cash.0).min(risk.equity).saturating_add(self.credited(account, Lens::Unkind));
        let locked = units::div(self.worst_case(account, None)?, PARTS, Rounding::Up)?;
        Some(owned.saturating_sub(locked).saturating_sub(i128::from(account.reserved.0)))
    }

    /// The account's orders that rest in a market, and one that asks to.
    fn asked<'a>(
        &'a self,
        account: &'a Account,
        market: MarketId,
        more: Option<&'a Order>,
    ) -> impl Iterator<Item = i128> + 'a {
        let resting = account.orders.iter().filter_map(|id| self.orders.get(id));
        let resting = resting.filter(move |order| order.market == market).map(|order| order.remaining);
        let more = more.into_iter().filter(move |order| order.market == market).map(|order| order.size);
        resting.chain(more).map(|size| i128::from(size.0))
    }

    /// Initial margin in [`PARTS`] of a micro-USD in the worst case: in every market either nothing more of the
    /// account's orders is filled, or all of its buys, or all of its sells. So what an order could open stays covered
    /// however and in whatever order the account's orders are filled. `more` is one more order, and the open interest of its
    /// market that it would be filled into. `None` without a price.
    fn worst_case(&self, account: &Account, more: Option<(&Order, i128)>) -> Option<i128> {
        let resting = account.orders.iter().filter_map(|id| self.orders.get(id));
        let resting = resting.map(|order| (order.market, i128::from(order.remaining.0)));
        let asked: Vec<(MarketId, i128)> =
            resting.chain(more.map(|(order, _)| (order.market, i128::from(order.size.0)))).collect();
        let held = account.positions.iter().map(|position| position.market);
        let mut markets: Vec<MarketId> = held.chain(asked.iter().map(|(market, _)| *market)).collect();
        markets.sort_unstable();
        markets.dedup();
        let mut required: i128 = 0;
        for id in markets {
            let market = self.market(id)?;
            if market.mark.price <= Price(0) {
                return None;
            }
            let held = i128::from(account.size_in(id).0);
            let here = || asked.iter().filter(|(market, _)| *market == id).map(|(_, lots)| *lots);
            let buys: i128 = here().filter(|lots| 0 < *lots).sum();
            let sells: i128 = here().filter(|lots| *lots < 0).sum();
            let lots = [held, held + buys, held + sells].into_iter().map(i128::abs).max().unwrap_or(0);
            let lots = Size(i64::try_from(lots).ok()?);
            // At the mark or where it is going, whichever is more.
            let notional = notional(market, lots, market.mark.price.max(market.mark.target));
            let open = more.filter(|(order, _)| order.market == id).map_or(market.open_interest, |(_, open)| open);
            required = required.saturating_add(initial(market, notional, open));
        }
        Some(required)
    }

    /// Whether the order, with those that rest already, only reduces the account's position.
    pub(crate) fn reduces(&self, order: &Order) -> bool {
        let Some(account) = self.accounts.get(&order.account) else { return false };
        if order.size == Size(0) {
            return false;
        }
        // Whatever rests on the same side, opening or not, may be filled first.
        let same_way = |lots: &i128| (0 < *lots) == (0 < order.size.0);
        let both: i128 = self.asked(account, order.market, Some(order)).filter(same_way).sum();
        let both = i64::try_from(both).map(Size);
        both.is_ok_and(|both| account.size_in(order.market).is_reduced_by(both))
    }

    /// What an order would do. The backstop's orders take over what liquidations give up, so they are asked like them.
    fn action_of(&self, order: &Order) -> Action {
        if self.params.backstop == Some(order.account) {
            Action::LiquidateInsolvent
        } else if self.reduces(order) {
            Action::Reduce
        } else {
            Action::Open
        }
    }

    /// An order asks to enter the book.
    pub(crate) fn order(&mut self, order: &Order) -> Result<Effect, Reject> {
        let place = self.place_of(order.market).ok_or(Reject::UnknownMarket)?;
        let market = self.markets.get(place).ok_or(Reject::UnknownMarket)?;
        let account = self.accounts.get(&order.account).ok_or(Reject::UnknownAccount)?;
        if account.isolated.is_some_and(|isolated| isolated.market != order.market) {
            return Err(Reject::Mismatch);
        }
        if order.size == Size(0) || LOTS_MAX < order.size.lots() {
            return Err(Reject::OutOfRange);
        }
        if order.limit <= Price(0) {
            return Err(Reject::OutOfRange);
        }
        if order.id.is_kernel() || self.orders.contains_key(&order.id) {
            return Err(Reject::OrderIdTaken);
        }
        if usize::from(self.params.orders_per_account_max) <= account.orders.len() {
            return Err(Reject::TooManyOrders { max: self.params.orders_per_account_max });
        }
        let action = self.action_of(order);
        let restriction = market.breaker.restriction();
        let in_liquidation = account.liquidation.is_some() || self.distressed.contains_key(&order.account);
        if !restriction.permits(action, side_of(order.size)) || action != Action::Reduce && in_liquidation {
            return Err(Reject::Restricted);
        }
        if !quality::permits(action, market.quality(), market.single_lineage()) {
            return Err(Reject::PriceQuality);
        }
        let mut open = market.open_interest;
        if action == Action::Open {
            let max = restriction.size_scale.of(i128::from(market.params.order_size_max.0), Rounding::Down);
            let max = Size(max.and_then(|max| i64::try_from(max).ok()).unwrap_or(0));
            if max.lots() < order.size.lots() {
                return Err(Reject::TooLarge { max });
            }
            // Whatever rests may be filled, so it counts as if it were.
            let lots = |here: bool| if here { i128::from(order.size.lots()) } else { 0 };
            let buys = market.opening_buys.saturating_add(lots(0 < order.size.0));
            let sells = market.opening_sells.saturating_add(lots(order.size.0 < 0));
            open = open.saturating_add(buys.max(sells));
            if i128::from(market.params.open_interest_max.0) < open {
                return Err(Reject::OpenInterest { max: market.params.open_interest_max });
            }
        }
        let (limit, reserve) = if action == Action::Reduce {
            self.affordable(market, account, order)
        } else {
            let before = self.worst_case(account, None).ok_or(Reject::PriceQuality)?;
            let after = self.worst_case(account, Some((order, open))).ok_or(Reject::Overflow)?;
            let set_aside = self.set_aside_for(market, order).ok_or(Reject::Overflow)?;
            let more = units::div(after.saturating_sub(before), PARTS, Rounding::Up).ok_or(Reject::Overflow)?;
            let needed = more.saturating_add(set_aside);
            let free = self.free_for_opening(account, before).ok_or(Reject::PriceQuality)?;
            if free < needed {
                return Err(Reject::Margin { free: shown(free), needed: shown(needed) });
            }
            (order.limit, shown(set_aside))
        };
        let account = self.accounts.get_mut(&order.account).ok_or(Reject::UnknownAccount)?;
        account.reserved = Notional(account.reserved.0.checked_add(reserve.0).ok_or(Reject::Overflow)?);
        account.orders.push(order.id);
        let Order { id, account, market, size, limit: _ } = *order;
        let opening = action == Action::Open;
        let open = OpenOrder { account, market, remaining: size, limit, reserve, opening };
        self.orders.insert(id, open);
        self.count_opening(&open, i128::from(size.lots()));
        Ok(Effect::Admit { order: AdmittedOrder { id, account, market, size, limit } })
    }

    /// Equity at its least, with the unrealised profit that is beyond doubt, less the initial margin of the worst case
    /// and reserves.
    fn free_for_opening(&self, account: &Account, worst_case: i128) -> Option<i128> {
        let locked = units::div(worst_case, PARTS, Rounding::Up)?;
        Some(self.least(account)?.saturating_sub(locked).saturating_sub(i128::from(account.reserved.0)))
    }

    /// The limit of a reducing order, no farther on its losing side than its owner's equity can pay for, and what that
    /// could lose against the mark. Whatever price is asked for, an exit passes; but a position sold to an accomplice for
    /// next to nothing would leave its debt to everyone else. What it pays with is what would be left after a fill at the
    /// mark: that profit is realised by then, while any other counts as in a withdrawal, which this is much like.
    fn affordable(&self, market: &Market, account: &Account, order: &Order) -> (Price, Notional) {
        // What it holds is worth the mark or where that is going, whichever is more to it: who sells at a mark that is on its way
        // up gives away the difference.
        let mark = market.mark.kinder(Size(order.size.0.saturating_neg()));
        let equity = self.equity_after(market, account, order).unwrap_or(0);
        // A liquidation order that is out may spend it all.
        let spoken_for = if account.liquidation.is_some() { equity } else { i128::from(account.reserved.0) };
        let left = equity.saturating_sub(spoken_for).max(0);
        let lots = Size(i64::try_from(order.size.lots()).unwrap_or(i64::MAX));
        // What does not fit is farther away than any price.
        let away = market.params.scale.price_of(left, lots, Rounding::Down).map_or(i64::MAX, |price| price.0);
        // Nor farther than a liquidation would go: equity that is lost meanwhile is not there to pay for it.
        let ahead = market.mark.kinder(order.size).distance(market.mark.price);
        let bound = market.params.liquidation.slippage_max.of(i128::from(mark.0), Rounding::Down).unwrap_or(0);
        let bound = bound.saturating_add(ahead);
        let away = away.min(i64::try_from(bound).unwrap_or(i64::MAX));
        let limit = if 0 < order.size.0 {
            order.limit.min(Price(mark.0.saturating_add(away)))
        } else {
            order.limit.max(Price(mark.0.saturating_sub(away).max(1)))
        };
        (limit, shown(notional(market, order.size, against(order.size, limit, mark))))
    }

    /// Equity at its least if the order were filled at the mark.
    fn equity_after(&self, market: &Market, account: &Account, order: &Order) -> Option<i128> {
        let lots = Size(i64::try_from(order.size.lots()).ok()?);
        let amount = i128::from(market.params.scale.notional(market.mark.price, lots, Rounding::Down)?.0);
        let amount = if 0 < order.size.0 { amount } else { -amount };
        let filled = self.filled(order.account, market.id, order.size, amount).ok()?;
        let mut positions = account.positions.clone();
        for position in &mut positions {
            if position.market == market.id {
                (position.size, position.cost) = (filled.size, filled.cost);
            }
        }
        positions.retain(|position| position.size != Size(0));
        let risk = risk_of(filled.cash, &positions, |market| self.market(market), |_, _| Lens::Unkind)?;
        // Whoever leaves pays with what it has, whether or not anybody may open.
        Some(risk.equity.saturating_add(self.credited(account, Lens::Mark)))
    }

    /// What an order sets aside beside its initial margin, until it is gone: the restriction's add-on and the loss
    /// against the mark that its limit allows. Micro-USD, rounded up.
    fn set_aside_for(&self, market: &Market, order: &Order) -> Option<i128> {
        // Against the mark or where it is going, whichever makes the loss larger: what is bought at a mark that is on its way
        // down is worth less already.
        let mark = market.mark.harsher(order.size);
        let addon = i128::from(market.breaker.restriction().margin_addon.0);
        let highest = market.mark.price.max(market.mark.target).max(order.limit);
        let addon = notional(market, order.size, highest).checked_mul(addon)?;
        let loss = notional(market, order.size, against(order.size, order.limit, mark));
        units::div(addon, PARTS, Rounding::Up)?.checked_add(loss)
    }

    /// Its owner takes an order back.
    pub(crate) fn cancel(&mut self, cancel: &Cancel) -> Result<Effect, Reject> {
        let own = |order: &OpenOrder| order.market == cancel.market && order.account == cancel.account;
        if cancel.order.is_kernel() || !self.orders.get(&cancel.order).is_some_and(own) {
            return Err(Reject::UnknownOrder);
        }
        self.remove_order(cancel.order);
        Ok(Effect::Withdraw { market: cancel.market, order: cancel.order })
    }

    /// The venue no longer holds an order. One that is not known any more was filled, which its trades said.
    pub(crate) fn order_done(&mut self, done: &OrderDone) -> Result<(), Reject> {
        if self.orders.get(&done.order).is_some_and(|order| order.market != done.market) {
            return Err(Reject::UnknownOrder);
        }
        let owner = self.orders.get(&done.order).map(|order| order.account);
        self.remove_order(done.order);
        // A liquidation order that the venue dropped has run out, whether or not its time had come.
        if let Some(id) = owner.filter(|_| done.order.is_kernel())
            && let Some(account) = self.accounts.get(&id)
            && risk(account, |market| self.market(market), Lens::Mark).is_some_and(|risk| risk.worth() < 0)
            && let Some(account) = self.accounts.get_mut(&id)
        {
            account.exhausted = true;
        }
        Ok(())
    }

    /// Forgets an order and gives back what it reserved.
    pub(crate) fn remove_order(&mut self, id: OrderId) {
        let Some(order) = self.orders.remove(&id) else { return };
        self.count_opening(&order, -i128::from(order.remaining.lots()));
        let Some(account) = self.accounts.get_mut(&order.account) else { return };
        account.orders.retain(|other| *other != id);
        account.reserved = Notional(account.reserved.0.saturating_sub(order.reserve.0));
        if account.liquidation.is_some_and(|liquidation| liquidation.order == id) {
            account.liquidation = None;
        }
    }

    /// Counts `lots` more, or fewer, of what opening orders ask for.
    fn count_opening(&mut self, order: &OpenOrder, lots: i128) {
        let Some(place) = self.place_of(order.market).filter(|_| order.opening) else { return };
        let Some(market) = self.markets.get_mut(place) else { return };
        let resting = if 0 < order.remaining.0 { &mut market.opening_buys } else { &mut market.opening_sells };
        *resting = resting.saturating_add(lots);
    }

    /// Takes back every order of an account, or those in one market.
    pub(crate) fn remove_orders(&mut self, account: AccountId, market: Option<MarketId>, out: &mut Vec<Effect>) {
        let Some(held) = self.accounts.get(&account) else { return };
        let orders = held.orders.iter().filter_map(|id| self.orders.get(id).map(|order| (*id, order.market)));
        let gone: Vec<(OrderId, MarketId)> =
            orders.filter(|(_, at)| market.is_none_or(|market| market == *at)).collect();
        for (order, market) in gone {
            self.remove_order(order);
            // Order ids are the pool's own: named in another pool's market, this one could be somebody else's.
            if self.market(market).is_some() {
                out.push(Effect::Withdraw { market, order });
            }
        }
    }

    /// A market no longer lets exposure grow: takes back the orders that would.
    pub(crate) fn remove_opening_orders(&mut self, market: MarketId, out: &mut Vec<Effect>) {
        let opening = |(id, order): (&OrderId, &OpenOrder)| (order.market == market && order.opening).then_some(*id);
        let gone: Vec<OrderId> = self.orders.iter().filter_map(opening).collect();
        for order in gone {
            self.remove_order(order);
            out.push(Effect::Withdraw { market, order });
        }
    }

    /// Two orders traded in the venue's auction.
    pub(crate) fn trade(&mut self, trade: &Trade, at: Timestamp, out: &mut Vec<Effect>) -> Result<(), Reject> {
        let place = self.place_of(trade.market).ok_or(Reject::UnknownMarket)?;
        let buy = *self.orders.get(&trade.buy).ok_or(Reject::UnknownOrder)?;
        let sell = *self.orders.get(&trade.sell).ok_or(Reject::UnknownOrder)?;
        if trade.size <= Size(0) || trade.price <= Price(0) {
            return Err(Reject::OutOfRange);
        }
        if buy.limit < trade.price {
            return Err(Reject::BeyondLimit { limit: buy.limit });
        }
        if trade.price < sell.limit {
            return Err(Reject::BeyondLimit { limit: sell.limit });
        }
        for order in [&buy, &sell] {
            if order.remaining.lots() < trade.size.lots() {
                return Err(Reject::BeyondSize { remaining: order.remaining });
            }
        }
        let one_market = buy.market == trade.market && sell.market == trade.market;
        if !one_market || buy.remaining <= Size(0) || Size(0) <= sell.remaining || buy.account == sell.account {
            return Err(Reject::Mismatch);
        }
        // The backstop's own orders meet liquidations only; an order by which it is liquidated itself is the kernel's.
        let backstop = |id: OrderId, order: &OpenOrder| self.params.backstop == Some(order.account) && !id.is_kernel();
        let unmet = |id: OrderId, order: &OpenOrder, other: OrderId| backstop(id, order) && !other.is_kernel();
        if unmet(trade.buy, &buy, trade.sell) || unmet(trade.sell, &sell, trade.buy) {
            return Err(Reject::Mismatch);
        }
        let scale = self.markets.get(place).ok_or(Reject::UnknownMarket)?.params.scale;
        let amount = scale.notional(trade.price, trade.size, Rounding::Down).ok_or(Reject::Overflow)?;
        let amount = i128::from(amount.0);
        let sold = Size(-trade.size.0);
        let bought = self.filled(buy.account, trade.market, trade.size, amount)?;
        let sold_to = self.filled(sell.account, trade.market, sold, -amount)?;
        let grows = |id: AccountId, change: Size| {
            let held = self.accounts.get(&id).map_or(Size(0), |account| account.size_in(trade.market));
            !held.is_reduced_by(change)
        };
        let grown = [(buy.account, trade.size), (sell.account, sold)].map(|(id, change)| (id, grows(id, change)));
        self.book(buy.account, place, bought);
        self.book(sell.account, place, sold_to);
        for (id, _) in grown.into_iter().filter(|(_, grows)| *grows) {
            if let Some(account) = self.accounts.get_mut(&id) {
                account.grown_at = at;
            }
        }
        for (id, change) in [(trade.buy, trade.size), (trade.sell, sold)] {
            self.consume(id, change);
        }
        // Two of them that meet are closed by one trade.
        if trade.buy.is_kernel() || trade.sell.is_kernel() {
            self.count_liquidated(place, trade.size, at);
        }
        for (id, order) in [(trade.buy, buy), (trade.sell, sell)] {
            self.turn(order.account, trade.market);
            // Also what an account in distress closes by itself belongs to what it lost in.
            let exits = !order.opening && self.distressed.contains_key(&order.account);
            if id.is_kernel() || exits {
                self.take(order.account, place, trade.size);
            }
            if id.is_kernel() {
                self.charge_liquidation(order.account, place, amount);
            }
            self.settle_account(order.account, trade.market, at, out);
        }
        Ok(())
    }

    /// An account's position changed: what was admitted as an exit, and would open now, is an order that opens.
    fn turn(&mut self, id: AccountId, market: MarketId) {
        let Some(account) = self.accounts.get(&id).filter(|_| self.params.backstop != Some(id)) else { return };
        let held = account.size_in(market);
        let mut before = 0_i64;
        let mut turned = Vec::new();
        for order in &account.orders {
            let Some(resting) = self.orders.get(order) else { continue };
            if resting.market != market || resting.opening || order.is_kernel() {
                continue;
            }
            let exits = before.saturating_add(resting.remaining.0);
            if held.is_reduced_by(Size(exits)) { before = exits } else { turned.push(*order) }
        }
        for id in turned {
            let Some(order) = self.orders.get_mut(&id) else { continue };
            order.opening = true;
            let order = *order;
            self.count_opening(&order, i128::from(order.remaining.lots()));
        }
    }

    fn filled(&self, id: AccountId, market: MarketId, change: Size, amount: i128) -> Result<Filled, Reject> {
        let account = self.accounts.get(&id).ok_or(Reject::UnknownAccount)?;
        let held = account.positions.iter().find(|position| position.market == market);
        let (size, cost) = held.map_or((Size(0), Notional(0)), |position| (position.size, position.cost));
        fill(account.cash, size, cost, change, amount)
    }

    fn book(&mut self, id: AccountId, place: usize, filled: Filled) {
        self.set_cash(id, filled.cash);
        let Some(market) = self.markets.get_mut(place) else { return };
        let Some(account) = self.accounts.get_mut(&id) else { return };
        let before;
        match account.positions.binary_search_by_key(&market.id, |position| position.market) {
            Ok(i) => {
                let position = &mut account.positions[i];
                before = position.size;
                if let Some(trigger) = position.trigger.take() {
                    market.triggers.disarm(before, trigger, id);
                }
                if filled.size == Size(0) {
                    account.positions.remove(i);
                    if !account.holds_collateral(market.id) {
                        market.distressed.remove(&id);
                    }
                } else {
                    (position.size, position.cost) = (filled.size, filled.cost);
                }
            }
            Err(i) => {
                before = Size(0);
                let (market, size, cost) = (market.id, filled.size, filled.cost);
                account.positions.insert(i, Position { market, size, cost, trigger: None });
            }
        }
        let longer = i128::from(filled.size.0.max(0)) - i128::from(before.0.max(0));
        market.open_interest = market.open_interest.saturating_add(longer);
        if filled.size != Size(0) && self.distressed.contains_key(&id) {
            market.distressed.insert(id);
        }
    }

    /// Remembers what a liquidation closed, so that a loss reaches those who hold that market and nobody else.
    fn take(&mut self, id: AccountId, place: usize, lots: Size) {
        let Some(market) = self.markets.get(place) else { return };
        let closed = notional(market, lots, market.mark.price);
        if let Some(account) = self.accounts.get_mut(&id) {
            let taken = account.taken.entry(market.id).or_insert(0);
            *taken = taken.saturating_add(closed);
        }
    }

    /// Counts what was closed by force.
    pub(crate) fn count_liquidated(&mut self, place: usize, lots: Size, at: Timestamp) {
        let Some(market) = self.markets.get_mut(place) else { return };
        let window = market.params.activity.intensity_window;
        market.activity.liquidated.add(window, i128::from(lots.lots()), at);
    }

    /// Moves a part of an account's position to another at a price, without an order: deleveraging.
    pub(crate) fn transfer_position(
        &mut self,
        from: AccountId,
        to: AccountId,
        place: usize,
        change: Size,
        amount: i128,
    ) -> Result<(), Reject> {
        let market = self.markets.get(place).ok_or(Reject::UnknownMarket)?.id;
        let one = self.filled(from, market, change, amount)?;
        let other = self.filled(to, market, Size(-change.0), -amount)?;
        self.book(from, place, one);
        self.book(to, place, other);
        self.take(from, place, change);
        Ok(())
    }

    fn consume(&mut self, id: OrderId, change: Size) {
        let Some(order) = self.orders.get_mut(&id) else { return };
        let left = Size(order.remaining.0.saturating_sub(change.0));
        if left == Size(0) {
            self.remove_order(id);
            return;
        }
        // The reserve shrinks with the order; rounding leaves it larger, against the account, until the last lot.
        let (part, whole) = (i128::from(left.0).abs(), i128::from(order.remaining.0).abs());
        let reserve = mul_div(i128::from(order.reserve.0), part, whole, Rounding::Up).map_or(order.reserve, shown);
        let freed = order.reserve.0.saturating_sub(reserve.0);
        (order.remaining, order.reserve) = (left, reserve);
        let (owner, now) = (order.account, *order);
        self.count_opening(&now, -i128::from(change.lots()));
        if let Some(account) = self.accounts.get_mut(&owner) {
            account.reserved = Notional(account.reserved.0.saturating_sub(freed));
        }
    }

    /// The liquidation fee goes to the insurance fund, but never takes an account below zero.
    fn charge_liquidation(&mut self, id: AccountId, place: usize, amount: i128) {
        let Some(rate) = self.markets.get(place).map(|market| market.params.liquidation.fee) else { return };
        let Some(account) = self.accounts.get(&id) else { return };
        let equity = risk(account, |market| self.market(market), Lens::Mark).map_or(0, |risk| risk.equity);
        let fee = rate.of(amount.abs(), Rounding::Up).unwrap_or(0).min(equity.max(0));
        let Ok(fee) = i64::try_from(fee) else { return };
        if self.insure(i128::from(fee)).is_none() {
            return;
        }
        let cash = self.accounts.get(&id).map_or(0, |account| account.cash.0);
        self.set_cash(id, Notional(cash.saturating_sub(fee)));
    }

    /// After an account's positions changed: covers what it owes if nothing is left, and watches it anew.
    pub(crate) fn settle_account(&mut self, id: AccountId, market: MarketId, at: Timestamp, out: &mut Vec<Effect>) {
        let Some(account) = self.accounts.get(&id) else { return };
        if account.positions.is_empty() {
            // What has no price pays for nothing.
            let worthless = |held: &Held| self.market(held.market).is_none_or(|market| market.mark.price <= Price(0));
            let sold = account.collateral.iter().all(worthless);
            if sold && account.cash < Notional(0) {
                backstop::cover(self, id, market, out);
            }
            let Some(account) = self.accounts.get_mut(&id) else { return };
            account.exhausted = false;
            // What it owes is paid for by its collateral, as long as that counts for as much.
            let account = self.accounts.get(&id);
            let risk = account.and_then(|account| risk(account, |market| self.market(market), Lens::Mark));
            let well = sold || risk.is_some_and(|risk| !risk.liquidatable());
            self.set_distressed(id, (!well).then_some(at));
        } else if self.distressed.contains_key(&id) {
            self.set_distressed(id, Some(at));
        } else {
            self.rearm(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_may_be_as_large_as_the_most_lots_and_not_one_larger() {
        let most = i64::try_from(LOTS_MAX).unwrap();
        for sign in [1, -1] {
            let onto = |held: i64, lots: i64| {
                let filled = fill(Notional(0), Size(sign * held), Notional(0), Size(sign * lots), 0);
                filled.map(|filled| filled.size)
            };
            assert_eq!(onto(most - 1, 1), Ok(Size(sign * most)));
            assert_eq!(onto(most, 1), Err(Reject::Overflow));
            assert_eq!(onto(most, 2), Err(Reject::Overflow));
            // Whoever has too many may have fewer, and turning around is no way past the limit.
            assert_eq!(onto(most + 1, -1), Ok(Size(sign * most)));
            assert_eq!(onto(-1, most + 2), Err(Reject::Overflow));
        }
    }

    #[test]
    fn a_fill_keeps_the_part_of_the_cost_that_stays_and_realises_the_rest() {
        let booked = |size: i64, cost: i64, change: i64, amount: i128| {
            let filled = fill(Notional(1_000), Size(size), Notional(cost), Size(change), amount).unwrap();
            assert_eq!(i128::from(filled.cash.0) - i128::from(filled.cost.0), i128::from(1_000 - cost) - amount);
            (filled.size.0, filled.cost.0, filled.cash.0)
        };
        // Opens, grows, shrinks, closes and turns around, long and short.
        assert_eq!(booked(0, 0, 3, 30), (3, 30, 1_000));
        assert_eq!(booked(3, 30, 1, 12), (4, 42, 1_000));
        assert_eq!(booked(3, 30, -1, -12), (2, 20, 1_002));
        assert_eq!(booked(3, 30, -3, -36), (0, 0, 1_006));
        assert_eq!(booked(3, 30, -5, -60), (-2, -24, 1_006));
        assert_eq!(booked(-3, -30, -1, -12), (-4, -42, 1_000));
        assert_eq!(booked(-3, -30, 1, 12), (-2, -20, 998));
        assert_eq!(booked(-3, -30, 5, 60), (2, 24, 994));
    }

    #[test]
    fn only_the_losing_side_of_the_mark_counts_against_a_limit() {
        let mark = Price(100);
        assert_eq!(against(Size(1), Price(103), mark), Price(3));
        assert_eq!(against(Size(1), Price(97), mark), Price(0));
        assert_eq!(against(Size(-1), Price(97), mark), Price(3));
        assert_eq!(against(Size(-1), Price(103), mark), Price(0));
    }
}
