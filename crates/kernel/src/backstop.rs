//! Who pays when an account can't: the insurance fund, then deleveraging at the bankruptcy price, then a socialized
//! loss inside the market, then a deficit that stands in the open.

use crate::adl::{Share, allocate};
use crate::gate::side_of;
use crate::margin::{Lens, notional, risk, shown, value};
use crate::state::{Account, Pool, Position};
use alloc::vec::Vec;
use protocol::{AccountId, Effect, MarketId};
use units::{Notional, Rounding, Size, Timestamp, div, mul_div};

/// Closes the positions `closing` of an insolvent account against the other side of their markets.
///
/// What is missing is spread over all of the account's positions by notional. The share of those that can't be closed
/// now stays with the account, so that a loss in one market reaches only who holds that market. For the rest the
/// insurance fund pays first, up to its share per account. What is then missing falls on the positions that are closed,
/// by notional; each is closed at its bankruptcy price, at which it leaves nothing of its share, against all solvent
/// holders of the other side pro rata to their size. They give up exactly the shortfall and not a contract more than
/// the position. Nobody is asked for more than its equity; lots for which nobody can pay are closed at the mark, and
/// [`cover`] deals with what that leaves of an account without positions.
pub fn deleverage(pool: &mut Pool, id: AccountId, closing: &[Position], at: Timestamp, out: &mut Vec<Effect>) {
    let Some(account) = pool.accounts.get(&id) else { return };
    let Some(before) = risk(account, |market| pool.market(market), Lens::Mark) else { return };
    let marked = |pool: &Pool, position: &Position| {
        let market = pool.market(position.market);
        market.map_or(0, |market| notional(market, position.size, market.mark.price))
    };
    let sum =
        |positions: &[Position]| positions.iter().map(|position| marked(pool, position)).fold(0, i128::saturating_add);
    let (all, mut total) = (sum(&account.positions), sum(closing));
    let owed = before.worth().saturating_neg().max(0);
    // Down: the odd micro-USD stays with the account. Where everything is closed there is none.
    let owed_here = mul_div(owed, total, all.max(1), Rounding::Down).unwrap_or(owed).min(owed);
    let allowance = pool.params.insurance_share_per_account.of(pool.insurance, Rounding::Down).unwrap_or(0);
    let fund = pool.insurance;
    pay_from_insurance(pool, id, owed_here.clamp(0, allowance.max(0)), out);
    let mut missing = owed_here.saturating_sub(fund.saturating_sub(pool.insurance));
    for position in closing {
        let own = marked(pool, position);
        let share = mul_div(missing, own, total.max(1), Rounding::Up).unwrap_or(missing).min(missing);
        missing = missing.saturating_sub(close_against_others(pool, id, position, share, at, out));
        total = total.saturating_sub(own);
    }
    if let Some(last) = closing.last() {
        pool.settle_account(id, last.market, at, out);
    }
}

/// Closes one position so that the account is better off by `share` micro-USD than at the mark. Returns how much of it
/// the other side gave up.
fn close_against_others(
    pool: &mut Pool,
    id: AccountId,
    position: &Position,
    share: i128,
    at: Timestamp,
    out: &mut Vec<Effect>,
) -> i128 {
    let Some(place) = pool.place_of(position.market) else { return 0 };
    let Some(market) = pool.markets.get(place) else { return 0 };
    let mark = market.mark.price;
    let marked = value(market, position.size, mark);
    // A mark that is slow to follow must not make what is given up look like less.
    let (target, per_micro) = (market.mark.target, market.per_micro);
    // A short can't be given more than what it owes at the mark, or its price would be negative.
    let share = if position.size.0 < 0 { share.min((-marked - 1).max(0)) } else { share };
    let lots = i128::from(position.size.lots());
    let others: Vec<(AccountId, i128, i128)> = opposite(pool, id, position).collect();
    let payable =
        |equity: i128| if share == 0 { lots } else { mul_div(equity, lots, share, Rounding::Down).unwrap_or(0) };
    let capable: Vec<Share> = others
        .iter()
        .map(|(_, lots, equity)| Share { weight: *lots, cap: (*lots).min(payable((*equity).max(0))) })
        .collect();
    let at_bankruptcy = allocate(lots, &capable);
    let placed: i128 = at_bankruptcy.iter().sum();
    let rest: Vec<Share> = others
        .iter()
        .zip(&at_bankruptcy)
        .map(|((_, lots, _), taken)| Share { weight: lots - taken, cap: lots - taken })
        .collect();
    let at_mark = allocate(lots - placed, &rest);
    let sign = if position.size.0 < 0 { -1 } else { 1 };
    let proceeds = |closed: i128, with_share: bool| {
        let whole = marked + if with_share { share } else { 0 };
        mul_div(whole, closed, lots, Rounding::Down).unwrap_or(0)
    };
    let price = market.params.scale.price_of(marked + share, position.size, Rounding::Down).unwrap_or(mark);
    let mut given_up_by_all = 0;
    for (allocation, with_share) in [(at_bankruptcy, true), (at_mark, false)] {
        let mut closed = 0;
        for ((other, _, _), taken) in others.iter().zip(allocation) {
            if taken == 0 {
                continue;
            }
            // Cumulative, so that the parts add up to the whole to the micro-dollar.
            let amount = proceeds(closed + taken, with_share) - proceeds(closed, with_share);
            let at_the_mark = proceeds(closed + taken, false) - proceeds(closed, false);
            closed += taken;
            let change = Size(i64::try_from(-sign * taken).unwrap_or(0));
            if pool.transfer_position(id, *other, place, change, -amount).is_err() {
                continue;
            }
            pool.count_liquidated(place, change, at);
            let given_up = (amount - at_the_mark).max(0);
            given_up_by_all += given_up;
            let elsewhere =
                div(i128::from(target.0) * sign * taken, per_micro, Rounding::Down).filter(|_| target != mark);
            let given_up = elsewhere.map_or(given_up, |value| given_up.max(amount - value));
            let price = if with_share { price } else { mark };
            out.push(Effect::Deleveraged {
                market: position.market,
                account: id,
                counterparty: *other,
                size: change,
                price,
                given_up: shown(given_up),
            });
            // Its resting orders were sized for the position that it had.
            pool.remove_orders(*other, Some(position.market), out);
            pool.settle_account(*other, position.market, at, out);
        }
    }
    given_up_by_all
}

/// Everybody on the other side of `position` with lots and equity at the mark, in order of account.
fn opposite<'a>(
    pool: &'a Pool,
    id: AccountId,
    position: &'a Position,
) -> impl Iterator<Item = (AccountId, i128, i128)> + 'a {
    pool.accounts.iter().filter_map(move |(other, account)| {
        let size = account.size_in(position.market);
        let opposes = size.0 != 0 && (size.0 < 0) != (position.size.0 < 0) && *other != id;
        opposes.then(|| (*other, i128::from(size.lots()), equity(pool, account)))
    })
}

/// Equity at the mark; zero where it can't be said.
fn equity(pool: &Pool, account: &Account) -> i128 {
    risk(account, |market| pool.market(market), Lens::Mark).map_or(0, |risk| risk.equity)
}

fn pay_from_insurance(pool: &mut Pool, id: AccountId, amount: i128, out: &mut Vec<Effect>) {
    let amount = amount.min(pool.insurance);
    let Ok(paid) = i64::try_from(amount) else { return };
    let Some(account) = pool.accounts.get(&id) else { return };
    let Some(cash) = account.cash.0.checked_add(paid) else { return };
    if paid <= 0 {
        return;
    }
    pool.set_cash(id, Notional(cash));
    pool.insurance -= i128::from(paid);
    out.push(Effect::InsurancePaid { pool: pool.id, account: id, amount: Notional(paid) });
}

/// An account without positions owes money: the insurance fund pays, then the holders of the markets in which its
/// liquidation closed something, the rest stands as the pool's deficit.
///
/// Markets share by the notional that was closed there, since which of them was closed last says nothing about where the
/// money was lost. An account that no liquidation touched lost it in `market`, with its own trade.
pub fn cover(pool: &mut Pool, id: AccountId, market: MarketId, out: &mut Vec<Effect>) {
    let owed = |pool: &Pool| pool.accounts.get(&id).map_or(0, |account| -i128::from(account.cash.0));
    let missing = owed(pool);
    pay_from_insurance(pool, id, missing, out);
    let missing = owed(pool);
    if missing <= 0 {
        return;
    }
    let Some(account) = pool.accounts.get(&id) else { return };
    let mut markets: Vec<(MarketId, i128)> = account.taken.iter().map(|(market, closed)| (*market, *closed)).collect();
    if markets.is_empty() {
        markets.push((market, 1));
    }
    // No more than a part of what a number holds, so that their sum is one too.
    let weight = |closed: i128| closed.clamp(0, i128::MAX >> 16);
    let shares: Vec<Share> =
        markets.iter().map(|(_, closed)| Share { weight: weight(*closed), cap: missing }).collect();
    let mut unpaid = missing;
    for ((market, _), part) in markets.iter().zip(allocate(missing, &shares)) {
        unpaid -= socialize(pool, id, *market, part, out);
    }
    pool.set_cash(id, Notional(0));
    if 0 < unpaid {
        pool.deficit += unpaid;
        out.push(Effect::Deficit { pool: pool.id, account: id, amount: shown(unpaid) });
    }
}

/// Takes `missing` from the holders of a market but `id`, pro rata to their size and never beyond their equity. Returns
/// what they paid.
fn socialize(pool: &mut Pool, id: AccountId, market: MarketId, missing: i128, out: &mut Vec<Effect>) -> i128 {
    let holders: Vec<(AccountId, Size, i128)> = pool
        .accounts
        .iter()
        .filter(|(other, account)| **other != id && account.size_in(market) != Size(0))
        .map(|(other, account)| (*other, account.size_in(market), equity(pool, account)))
        .collect();
    let shares: Vec<Share> = holders
        .iter()
        .map(|(_, size, equity)| Share { weight: i128::from(size.lots()), cap: (*equity).max(0) })
        .collect();
    let mut paid_by_all = 0;
    for ((other, size, _), part) in holders.iter().zip(allocate(missing, &shares)) {
        let Ok(paid) = i64::try_from(part) else { continue };
        let Some(account) = pool.accounts.get(other) else { continue };
        let Some(cash) = account.cash.0.checked_sub(paid) else { continue };
        if paid == 0 {
            continue;
        }
        pool.set_cash(*other, Notional(cash));
        paid_by_all += part;
        let (side, amount) = (side_of(*size), Notional(paid));
        out.push(Effect::Socialized { pool: pool.id, market, side, account: *other, amount });
        pool.rearm(*other);
    }
    paid_by_all
}
