//! Who must shrink, by how much, and at what limit.
//!
//! A liquidation begins below maintenance and stops at maintenance and a buffer. It takes the smallest number of lots
//! that restores the account, from the position that needs the most margin, and nothing that a price of that quality
//! does not allow.

use crate::backstop;
use crate::gate::side_of;
use crate::margin::{Lens, PARTS, Risk, notional, requirement, risk, shown};
use crate::quality;
use crate::state::{Account, Liquidation, Market, OpenOrder, Pool, Position};
use alloc::vec::Vec;
use protocol::effect::AdmittedOrder;
use protocol::{AccountId, Action, Effect, OrderId, QualityState};
use units::{Notional, Price, Rounding, Size, Timestamp};

impl Pool {
    /// The mark crossed an account's trigger: watches it from now on if it is liquidatable, or so near to it that a
    /// new trigger would be crossed already, and arms it anew if not.
    pub(crate) fn look(&mut self, id: AccountId, at: Timestamp) {
        self.set_distressed(id, None);
        let Some(account) = self.accounts.get(&id) else { return };
        let risk = risk(account, |market| self.market(market), Lens::Mark);
        // Without a price of everything that it holds nothing can be said, so it is watched.
        let healthy = risk.is_some_and(|risk| !risk.liquidatable());
        let crossed = |position: &Position| {
            let mark = self.market(position.market).map_or(Price(0), |market| market.mark.price);
            position.trigger.is_none_or(|trigger| if 0 < position.size.0 { mark <= trigger } else { trigger <= mark })
        };
        if !healthy || account.positions.iter().any(crossed) {
            self.set_distressed(id, Some(at));
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

/// Looks at one account and decides.
///
/// `placed` counts the kernel's orders of this batch; beyond `u16::MAX` the rest waits for the next batch.
pub fn review(pool: &mut Pool, id: AccountId, now: Now, placed: &mut u16, out: &mut Vec<Effect>) {
    let Some(account) = pool.accounts.get(&id) else { return };
    let Some(risk) = risk(account, |market| pool.market(market), Lens::Mark) else { return };
    if let Some(live) = account.liquidation {
        let buffer = pool.market(live.market).map(|market| market.params.liquidation.buffer);
        let restored = buffer.is_some_and(|buffer| risk.restored(buffer));
        if !restored && now.at < live.expires_at {
            return;
        }
        pool.remove_order(live.order);
        // Order ids are the pool's own: named in another pool's market, this one could be somebody else's.
        if pool.market(live.market).is_some() {
            out.push(Effect::Withdraw { market: live.market, order: live.order });
        }
        if let Some(account) = pool.accounts.get_mut(&id) {
            account.exhausted = !restored && risk.equity < 0;
        }
    }
    if !risk.liquidatable() {
        pool.set_distressed(id, None);
        return;
    }
    pool.set_distressed(id, Some(now.at));
    let since = pool.distressed.get(&id).copied().unwrap_or(now.at);
    let Some(account) = pool.accounts.get(&id) else { return };
    // What holds only at the mark may hold only for one of the sources; somebody loses a position for what holds at
    // the kindest edge of the price's confidence too.
    let Some(kindest) = risk_at(pool, account, Lens::Kindest) else { return };
    if !kindest.liquidatable() {
        return;
    }
    let insolvent = risk.equity < 0 && kindest.equity < 0;
    if !all_markets_allow(pool, account, insolvent, since, now.at) {
        return;
    }
    let allowance = pool.params.insurance_share_per_account.of(pool.insurance, Rounding::Down).unwrap_or(0);
    if insolvent && (account.exhausted || allowance < risk.equity.saturating_neg()) {
        pool.remove_orders(id, None, out);
        backstop::deleverage(pool, id, now.at, out);
        return;
    }
    if *placed == u16::MAX {
        return;
    }
    let Some(position) = largest_requirement(pool, account).copied() else { return };
    let Some(market) = pool.market(position.market) else { return };
    let lots = if insolvent { position.size.lots() } else { lots_to_restore(market, &position, &risk) };
    let Ok(lots) = i64::try_from(lots) else { return };
    let size = Size(if 0 < position.size.0 { -lots } else { lots });
    let limit = limit_price(market, size, risk.equity.max(0).saturating_add(allowance));
    let expires_at = now.at.plus(market.params.liquidation.order_ttl);
    // Its own resting orders could undo what the liquidation does.
    pool.remove_orders(id, None, out);
    let order = OrderId::of_kernel(now.height, *placed);
    *placed += 1;
    let market = position.market;
    let open = OpenOrder { account: id, market, remaining: size, limit, reserve: Notional(0), opening: false };
    pool.orders.insert(order, open);
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

fn risk_at(pool: &Pool, account: &Account, lens: Lens) -> Option<Risk> {
    risk(account, |market| pool.market(market), lens)
}

/// An error must not travel from one market into another through an account that holds both, so every market that the
/// account holds has to allow its liquidation.
fn all_markets_allow(pool: &Pool, account: &Account, insolvent: bool, since: Timestamp, at: Timestamp) -> bool {
    let action = if insolvent { Action::LiquidateInsolvent } else { Action::LiquidateSolvent };
    account.positions.iter().all(|position| {
        let Some(market) = pool.market(position.market) else { return false };
        let price = market.index.quality();
        let confirmed = insolvent
            || price.state == QualityState::Agreed
            || market.params.liquidation.single_lineage_confirm <= at.since(since);
        confirmed
            && market.breaker.restriction().permits(action, side_of(position.size))
            && quality::permits(action, price, market.single_lineage())
    })
}

fn largest_requirement<'a>(pool: &Pool, account: &'a Account) -> Option<&'a Position> {
    let required = |position: &&Position| {
        let market = pool.market(position.market);
        market.map_or(0, |market| maintenance(market, position.size))
    };
    // Of equals the first market, so that the choice does not depend on how the maximum is searched.
    account.positions.iter().rev().max_by_key(required)
}

fn maintenance(market: &Market, size: Size) -> i128 {
    requirement(notional(market, size, market.mark.price), &market.params.tiers, |tier| tier.maintenance)
}

/// The smallest number of lots that, closed at the mark for the fee, restores the account; all of them where even that
/// is not enough. Closing a lot releases more than it costs, because validation keeps the fee below every maintenance
/// rate, so health rises with the lots closed and the boundary can be halved for.
fn lots_to_restore(market: &Market, position: &Position, risk: &Risk) -> u64 {
    let held = maintenance(market, position.size);
    let fee = market.params.liquidation.fee;
    let restored = |lots: u64| {
        let left = position.size.lots() - lots;
        let left = Size(i64::try_from(left).unwrap_or(i64::MAX));
        let closed = Size(i64::try_from(lots).unwrap_or(i64::MAX));
        let cost = fee.of(notional(market, closed, market.mark.price), Rounding::Up).unwrap_or(i128::MAX / PARTS);
        let equity = risk.equity.saturating_sub(cost);
        let maintenance = risk.maintenance.saturating_sub(held).saturating_add(maintenance(market, left));
        Risk { equity, initial: 0, maintenance }.restored(market.params.liquidation.buffer)
    };
    let (mut too_few, mut enough) = (0, position.size.lots());
    while too_few + 1 < enough {
        let middle = too_few.midpoint(enough);
        if restored(middle) { enough = middle } else { too_few = middle }
    }
    enough
}

/// The worst price at which `size` may be closed: no farther from the mark than the policy's slippage, and no farther
/// than what `affordable` micro-USD (the account's equity and its share of the insurance fund) can pay for.
fn limit_price(market: &Market, size: Size, affordable: i128) -> Price {
    let mark = market.mark.price;
    let slippage = market.params.liquidation.slippage_max;
    let bound = slippage.of(i128::from(mark.0), Rounding::Down).unwrap_or(0);
    let closed = Size(i64::try_from(size.lots()).unwrap_or(i64::MAX));
    let paid_for = market.params.scale.price_of(affordable.max(0), closed, Rounding::Down);
    let away = bound.min(paid_for.map_or(bound, |price| i128::from(price.0)));
    let away = i64::try_from(away).unwrap_or(0);
    Price(if 0 < size.0 { mark.0.saturating_add(away) } else { mark.0.saturating_sub(away).max(1) })
}
