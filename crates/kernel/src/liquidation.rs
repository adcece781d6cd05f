//! Who must shrink, by how much, and at what limit.
//!
//! A liquidation begins below maintenance and stops at maintenance and a buffer. It takes the smallest number of lots
//! that restores the account, from the position that needs the most margin.
//!
//! A position may be taken only where its market permits that, by mode, by the quality of its price and, on a single
//! lineage, after the wait. Elsewhere the price is not good enough to take anything, but also not nothing: such a
//! position is judged kindly ([`Lens::Doubted`]), and the others at the kindest edge of their confidence. Only who is
//! under maintenance at the mark and so judged is liquidated. So a small position without a sound price shields no
//! large one elsewhere, and a wrong price costs nothing in another market that a step of `oracle.jump_max` would
//! explain. Of a market that never had a price not even that much is known: whoever holds it can't be judged.
//!
//! An order stands as long as its market permits it and the account, judged kindly, is not restored to maintenance and
//! the buffer; it runs out after `liquidation.order_ttl`. So it does not outlive the quality of the price that decided
//! it, and one that has filled in part goes on to where it was aimed: stopped at maintenance, it would be needed again
//! with the next step of the price. Whose order is taken back stays watched while it is under maintenance at the mark.
//!
//! Whoever is found under maintenance loses at once the resting orders that would open: a fill would make it worse.

use crate::backstop;
use crate::gate::side_of;
use crate::margin::{Lens, PARTS, Risk, notional, requirement, risk, risk_through, shown};
use crate::quality;
use crate::state::{Account, Liquidation, Market, OpenOrder, Pool, Position};
use alloc::vec::Vec;
use protocol::effect::AdmittedOrder;
use protocol::{AccountId, Action, Effect, MarketId, OrderId, QualityState};
use units::{Notional, Price, Ratio, Rounding, Size, Timestamp, mul_div};

impl Pool {
    /// The mark crossed an account's trigger: watches it from now on if it is liquidatable, or so near to it that a
    /// new trigger would be crossed already, and arms it anew if not.
    pub(crate) fn look(&mut self, id: AccountId, at: Timestamp) {
        self.set_distressed(id, None);
        let Some(account) = self.accounts.get(&id) else { return };
        let risk = risk(account, |market| self.market(market), Lens::Mark);
        // Without a price of everything that it holds nothing can be said, so it is watched.
        let healthy = risk.is_some_and(|risk| !risk.liquidatable());
        if !healthy || self.is_crossed(account) {
            self.set_distressed(id, Some(at));
        }
    }

    /// Takes back an account's orders that would open. The gate admits no more of them while it is in distress, so
    /// that this finds some only when it enters.
    fn remove_opening_orders_of(&mut self, id: AccountId, out: &mut Vec<Effect>) {
        // The backstop's orders meet liquidations only.
        if self.params.backstop == Some(id) {
            return;
        }
        let Some(account) = self.accounts.get(&id) else { return };
        let held = account.orders.iter().filter_map(|order| Some((*order, self.orders.get(order)?)));
        let gone: Vec<(OrderId, MarketId)> =
            held.filter(|(_, order)| order.opening).map(|(id, order)| (id, order.market)).collect();
        for (order, market) in gone {
            self.remove_order(order);
            out.push(Effect::Withdraw { market, order });
        }
    }
}

/// The batch that decides.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Its height.
    pub height: u64,
    /// Its time.
    pub at: Timestamp,
}

/// What may be done to an account that is under maintenance, by which action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Whether its equity is gone at the mark and judged kindly too.
    pub(crate) insolvent: bool,
    /// Since when it is in distress.
    since: Timestamp,
    /// When it last made a position larger.
    grown_at: Timestamp,
    /// Now.
    pub(crate) at: Timestamp,
}

impl Verdict {
    const fn action(self) -> Action {
        if self.insolvent { Action::LiquidateInsolvent } else { Action::LiquidateSolvent }
    }

    /// Whether the position is one that may be taken.
    fn takes(self, pool: &Pool, position: &Position) -> bool {
        pool.market(position.market).is_some_and(|market| carries(market, position.size, self))
    }
}

/// Whether the market's mode, the quality of its price and what its chain went through let a position be taken.
pub(crate) fn carries(market: &Market, size: Size, verdict: Verdict) -> bool {
    let (price, action) = (market.quality(), verdict.action());
    let stood = verdict.at.since(verdict.since);
    let confirmed = verdict.insolvent
        || price.state == QualityState::Agreed
        || market.params.liquidation.single_lineage_confirm <= stood;
    let spared = !verdict.insolvent && market.activity.spares(verdict.since, verdict.grown_at, verdict.at);
    confirmed
        && !spared
        && market.breaker.restriction().permits(action, side_of(size))
        && quality::permits(action, price, market.single_lineage())
}

/// The verdict on an account with `risk` at the mark, and its risk judged kindly.
///
/// Insolvency permits more than the lack of margin does, and what is permitted decides how kindly the account is
/// judged. So insolvency is asked first, with the markets that let an insolvent account be liquidated; only where it
/// isn't found the account is judged again, with those that let a solvent one be.
pub(crate) fn judge(
    pool: &Pool,
    account: &Account,
    risk: &Risk,
    since: Timestamp,
    at: Timestamp,
) -> Option<(Verdict, Risk)> {
    let kindly = |verdict: Verdict| {
        let lens = |market: &Market, size: Size| {
            if carries(market, size, verdict) { Lens::Kindest } else { Lens::Doubted }
        };
        risk_through(account, |market| pool.market(market), lens)
    };
    let grown_at = account.grown_at;
    let insolvent = Verdict { insolvent: true, since, grown_at, at };
    let solvent = Verdict { insolvent: false, since, grown_at, at };
    let verdict = if risk.worth() < 0 && kindly(insolvent)?.worth() < 0 { insolvent } else { solvent };
    Some((verdict, kindly(verdict)?))
}

/// Whether a live order would take more than the account needs by now, and its buffer once more: it was decided when
/// things were worse, with a limit for that.
fn is_excessive(pool: &Pool, live: Liquidation, position: &Position, risk: &Risk, verdict: Verdict) -> bool {
    let (Some(market), Some(order)) = (pool.market(live.market), pool.orders.get(&live.order)) else { return false };
    if verdict.insolvent {
        return false;
    }
    // The most lots to which the buffer can be added without reaching the order: if they restore the account, the fewest
    // that do are no more.
    let buffered = i128::from(Ratio::ONE.0.saturating_add(market.params.liquidation.buffer.0));
    let most = mul_div(order.remaining.lots().into(), Ratio::ONE.0.into(), buffered, Rounding::Up).unwrap_or(0);
    let most = u64::try_from(most.saturating_sub(1)).unwrap_or(0).min(position.size.lots());
    0 < most && restores(market, position, risk, most)
}

/// Looks at one account and decides.
///
/// `placed` counts the kernel's orders of this batch; beyond `u16::MAX` the rest waits for the next batch.
pub fn review(pool: &mut Pool, id: AccountId, now: Now, placed: &mut u16, out: &mut Vec<Effect>) {
    // What nobody bought for a debt in time.
    pool.sell_to_backstop(id, now.at, out);
    pool.note_offers(id, now.at);
    let Some(account) = pool.accounts.get(&id) else { return };
    let Some(risk) = risk(account, |market| pool.market(market), Lens::Mark) else { return };
    let since = pool.distressed.get(&id).copied().unwrap_or(now.at);
    let Some((verdict, kindly)) = judge(pool, account, &risk, since, now.at) else { return };
    if let Some(live) = account.liquidation {
        let held = account.positions.iter().find(|position| position.market == live.market);
        let carried = held.is_some_and(|position| verdict.takes(pool, position));
        let buffer = pool.market(live.market).map(|market| market.params.liquidation.buffer);
        let excessive = || held.is_some_and(|position| is_excessive(pool, live, position, &risk, verdict));
        let stands = carried && buffer.is_some_and(|buffer| !kindly.restored(buffer)) && !excessive();
        // While the chain stands still no auction goes on, and none runs out; but debts grow.
        let stalled = !verdict.insolvent && is_stalled(pool, live.market, now.at);
        if stands && (now.at < live.expires_at || stalled) {
            return;
        }
        pool.remove_order(live.order);
        // Order ids are the pool's own: named in another pool's market, this one could be somebody else's.
        if pool.market(live.market).is_some() {
            out.push(Effect::Withdraw { market: live.market, order: live.order });
        }
        if let Some(account) = pool.accounts.get_mut(&id) {
            // One that was taken back before it ran out, or that its market had stopped, says nothing about the book.
            account.exhausted = stands && verdict.insolvent;
        }
    }
    if !risk.liquidatable() {
        pool.set_distressed(id, None);
        return;
    }
    pool.set_distressed(id, Some(now.at));
    pool.remove_opening_orders_of(id, out);
    if !kindly.liquidatable() {
        return;
    }
    let Some(account) = pool.accounts.get(&id) else { return };
    let insolvent = verdict.insolvent;
    let allowance = pool.params.insurance_share_per_account.of(pool.insurance, Rounding::Down).unwrap_or(0);
    if insolvent && (account.exhausted || allowance < risk.worth().saturating_neg()) {
        let closing = account.positions.iter().filter(|position| verdict.takes(pool, position));
        let closing: Vec<Position> = closing.copied().collect();
        if closing.is_empty() {
            return;
        }
        pool.remove_orders(id, None, out);
        backstop::deleverage(pool, id, &closing, now.at, out);
        if let Some(account) = pool.accounts.get_mut(&id) {
            // What ran out in the book is closed; what is left has not been there yet.
            account.exhausted = false;
        }
        return;
    }
    if *placed == u16::MAX {
        return;
    }
    let Some(position) = largest_requirement(pool, account, verdict).copied() else { return };
    let Some(market) = pool.market(position.market) else { return };
    let lots = if insolvent { position.size.lots() } else { lots_to_restore(market, &position, &risk) };
    let Ok(lots) = i64::try_from(lots) else { return };
    let size = Size(if 0 < position.size.0 { -lots } else { lots });
    let limit = limit_price(market, size, risk.worth().saturating_add(allowance));
    let expires_at = now.at.plus(market.params.liquidation.order_ttl);
    // Its own resting orders could undo what the liquidation does.
    pool.remove_orders(id, None, out);
    let order = OrderId::of_kernel(now.height, *placed);
    *placed += 1;
    let market = position.market;
    let open = OpenOrder { account: id, market, remaining: size, limit, reserve: Notional(0), opening: false };
    pool.orders.insert(order, open);
    pool.alarms.insert((expires_at, id));
    if let Some(account) = pool.accounts.get_mut(&id) {
        account.orders.push(order);
        account.liquidation = Some(Liquidation { order, market, expires_at });
    }
    out.push(Effect::Liquidate {
        order: AdmittedOrder { id: order, account: id, market, size, limit },
        equity: shown(risk.equity),
        maintenance: shown(risk.maintenance_micro()),
        insolvent,
    });
}

/// Of the positions that may be taken, the one that needs the most margin.
fn largest_requirement<'a>(pool: &Pool, account: &'a Account, verdict: Verdict) -> Option<&'a Position> {
    let required = |position: &&Position| {
        let market = pool.market(position.market);
        market.map_or(0, |market| maintenance(market, position.size))
    };
    // Of equals the first market, so that the choice does not depend on how the maximum is searched.
    let may_be_taken = |position: &&Position| {
        let waits = !verdict.insolvent && is_stalled(pool, position.market, verdict.at);
        !waits && verdict.takes(pool, position)
    };
    account.positions.iter().rev().filter(may_be_taken).max_by_key(required)
}

/// Whether a market's chain stands still: who can pay could act, if it went on.
pub(crate) fn is_stalled(pool: &Pool, market: MarketId, at: Timestamp) -> bool {
    pool.market(market).is_some_and(|market| market.activity.is_stalled(&market.params, at))
}

fn maintenance(market: &Market, size: Size) -> i128 {
    requirement(notional(market, size, market.mark.price), &market.params.tiers, |tier| tier.maintenance)
}

/// The smallest number of lots that, closed at the mark for the fee, restores the account; all of them where even that
/// is not enough. Closing a lot releases more than it costs, because validation keeps the fee below every maintenance
/// rate, so health rises with the lots closed and the boundary can be halved for.
fn lots_to_restore(market: &Market, position: &Position, risk: &Risk) -> u64 {
    let (mut too_few, mut enough) = (0, position.size.lots());
    while too_few + 1 < enough {
        let middle = too_few.midpoint(enough);
        if restores(market, position, risk, middle) { enough = middle } else { too_few = middle }
    }
    enough
}

/// Whether closing so many lots of a position at the mark, for the fee, restores the account.
fn restores(market: &Market, position: &Position, risk: &Risk, lots: u64) -> bool {
    let left = position.size.lots().saturating_sub(lots);
    let left = Size(i64::try_from(left).unwrap_or(i64::MAX));
    let closed = Size(i64::try_from(lots).unwrap_or(i64::MAX));
    let fee = market.params.liquidation.fee;
    let cost = fee.of(notional(market, closed, market.mark.price), Rounding::Up).unwrap_or(i128::MAX / PARTS);
    let equity = risk.equity.saturating_sub(cost);
    let held = maintenance(market, position.size);
    let maintenance = risk.maintenance.saturating_sub(held).saturating_add(maintenance(market, left));
    Risk { equity, initial: 0, maintenance, haircut: 0 }.restored(market.params.liquidation.buffer)
}

/// The worst price at which `size` may be closed: no farther than the policy's slippage from the mark, or from where it is
/// going if that is farther, and no farther from the mark than what `affordable` micro-USD (the account's equity, which may be a debt, and its share of the insurance fund) can
/// pay for.
fn limit_price(market: &Market, size: Size, affordable: i128) -> Price {
    let mark = market.mark.price;
    let slippage = market.params.liquidation.slippage_max;
    // Whoever buys pays more where the price is going up, and whoever sells gets less where it is going down.
    let ahead = market.mark.kinder(size).distance(mark);
    let bound = slippage.of(i128::from(mark.0), Rounding::Down).unwrap_or(0).saturating_add(ahead);
    let closed = Size(i64::try_from(size.lots()).unwrap_or(i64::MAX));
    let paid_for = market.params.scale.price_of(affordable.max(0), closed, Rounding::Down);
    let away = bound.min(paid_for.map_or(bound, |price| i128::from(price.0)));
    let away = i64::try_from(away).unwrap_or(0);
    Price(if 0 < size.0 { mark.0.saturating_add(away) } else { mark.0.saturating_sub(away).max(1) })
}
