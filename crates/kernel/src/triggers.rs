//! Who must be looked at when a price moves.
//!
//! Each position carries a trigger price derived from its account's buffer, so that a tick looks at the accounts whose
//! trigger it crossed and at no other. The trigger is conservative: while no position of an account has crossed its
//! own, the account can't be liquidatable. Crossing it only means "look": the exact rule in [`crate::margin`] decides.
//!
//! With buffer `B = equity - maintenance` at the mark, and position `i` of notional `n_i` allotted
//! `B_i = B · n_i / Σ n`: a long of `s` lots loses `B_i` when its price falls by `B_i / s` (its requirement falls too,
//! which is left out); a short loses `B_i` by loss and rising requirement together when the price rises by
//! `B_i / (s · (1 + r))`, with `r` the highest marginal maintenance rate. Collateral is like a long that loses no more than that. If no position has lost more than its
//! allotment, the account has not lost more than its buffer.

use crate::margin::{Lens, PARTS, notional, risk};
use crate::state::{Account, Market};
use alloc::collections::BTreeSet;
use protocol::{AccountId, MarketId};
use units::{Price, Ratio, Rounding, Size, div, mul_div};

/// Micro-USD that rounding of a position's value and requirement may cost, kept back from each allotment.
const ROUNDING_SLACK: i128 = 4;

/// A market's triggers in order of price.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Triggers {
    /// Longs are looked at when the mark is at or below.
    pub longs: BTreeSet<(Price, AccountId)>,
    /// Shorts are looked at when the mark is at or above.
    pub shorts: BTreeSet<(Price, AccountId)>,
    /// Whoever has the base asset as collateral is looked at when the mark is at or below.
    pub held: BTreeSet<(Price, AccountId)>,
}

impl Triggers {
    /// An account whose trigger the mark has crossed, if there is one.
    #[must_use]
    pub fn crossed(&self, mark: Price) -> Option<AccountId> {
        for falling in [&self.longs, &self.held] {
            if let Some((trigger, account)) = falling.last()
                && mark <= *trigger
            {
                return Some(*account);
            }
        }
        match self.shorts.first() {
            Some((trigger, account)) if *trigger <= mark => Some(*account),
            Some(_) | None => None,
        }
    }

    /// Forgets a position's trigger.
    pub fn disarm(&mut self, size: Size, trigger: Price, account: AccountId) {
        let side = if 0 < size.0 { &mut self.longs } else { &mut self.shorts };
        side.remove(&(trigger, account));
    }

    /// Sets a position's trigger.
    pub fn arm(&mut self, size: Size, trigger: Price, account: AccountId) {
        let side = if 0 < size.0 { &mut self.longs } else { &mut self.shorts };
        side.insert((trigger, account));
    }
}

/// An account's buffer and the notional over which it is allotted, micro-USD, at the present marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allotment {
    buffer: i128,
    notional: i128,
}

/// What `account` can lose before it must be looked at. Without a price of everything that it holds, nothing.
pub fn allotment<'a>(account: &Account, market_of: impl Fn(MarketId) -> Option<&'a Market>) -> Allotment {
    let risk = risk(account, &market_of, Lens::Mark);
    let buffer = risk.map_or(0, |risk| risk.equity.saturating_sub(risk.maintenance_micro()));
    let own = |id: MarketId, size: Size| market_of(id).map_or(0, |market| marked(size, market));
    let positions = account.positions.iter().map(|position| own(position.market, position.size));
    let collateral = account.collateral.iter().map(|held| own(held.market, held.lots));
    let notional = positions.chain(collateral).fold(0, i128::saturating_add);
    Allotment { buffer, notional }
}

/// Where a position with its share of `allotment` must be looked at. Where there is nothing to lose or no price, at
/// once: unknown is strict.
#[must_use]
pub fn trigger(size: Size, market: &Market, allotment: Allotment) -> Price {
    let at_once = if 0 < size.0 { Price(i64::MAX) } else { Price(0) };
    let share = mul_div(allotment.buffer, marked(size, market), allotment.notional, Rounding::Down);
    let allotted = share.unwrap_or(0).saturating_sub(ROUNDING_SLACK);
    if allotted <= 0 {
        return at_once;
    }
    let Some(distance) = distance(allotted, size, market) else { return at_once };
    let mark = i128::from(market.mark.price.0);
    let trigger = if 0 < size.0 { mark.saturating_sub(distance) } else { mark.saturating_add(distance) };
    Price(i64::try_from(trigger).unwrap_or(if trigger < 0 { i64::MIN } else { i64::MAX }))
}

fn marked(size: Size, market: &Market) -> i128 {
    notional(market, size, market.mark.price)
}

/// How far the price may go against a position before its allotment is lost, rounded down.
fn distance(allotted: i128, size: Size, market: &Market) -> Option<i128> {
    let products = allotted.checked_mul(market.per_micro)?;
    let lots = i128::from(size.lots());
    let long = div(products, lots, Rounding::Down)?;
    if 0 < size.0 {
        return Some(long);
    }
    let highest = market.params.tiers.last().map_or(Ratio::ONE, |tier| tier.maintenance);
    mul_div(long, PARTS, PARTS + i128::from(highest.0), Rounding::Down)
}
