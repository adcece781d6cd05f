//! What an account is worth and what it needs. "Liquidatable" is said here, once, by cross-multiplication.

use crate::index::jump_limit;
use crate::quality;
use crate::state::{Account, Market, Position};
use protocol::params::Tier;
use protocol::{Action, MarketId, Side};
use units::{Notional, Price, Ratio, Rounding, Size, div};

/// Parts of a micro-USD in which requirements are kept, so that no rate is ever divided.
pub const PARTS: i128 = Ratio::ONE.0 as i128;

/// An account's equity and requirements at given prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Risk {
    /// Cash plus unrealised profit and loss, micro-USD; each position's value is rounded down, against the account.
    pub equity: i128,
    /// Initial margin requirement in [`PARTS`] of a micro-USD; notionals are rounded up, against the account.
    pub initial: i128,
    /// Maintenance margin requirement, likewise.
    pub maintenance: i128,
    /// What collateral is worth beyond what it counts for in `equity`, micro-USD.
    pub haircut: i128,
}

/// What collateral is worth and what of that counts, micro-USD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credit {
    /// At the market's price, rounded down.
    pub worth: i128,
    /// Less the haircut, rounded up.
    pub counted: i128,
}

impl Risk {
    /// Equity with all that collateral is worth: below zero the account is insolvent.
    #[must_use]
    pub const fn worth(&self) -> i128 {
        self.equity.saturating_add(self.haircut)
    }

    /// Equity below maintenance: `equity < Σ notional × rate`, compared as `equity × 10^12 < Σ notional × parts`.
    #[must_use]
    pub const fn liquidatable(&self) -> bool {
        // Where the product does not fit, equity is ten million times what an account's cash can hold, and a requirement
        // that does not fit either is part of the same notional: the account is rich, not unknown.
        self.equity.saturating_mul(PARTS) < self.maintenance
    }

    /// Equity at least `1 + buffer` times maintenance: where a liquidation stops.
    #[must_use]
    pub fn restored(&self, buffer: Ratio) -> bool {
        // Whole micro-USD and the rest apart: together with a buffer they would not fit from 150 million USD on.
        let target = Ratio(Ratio::ONE.0.saturating_add(buffer.0));
        let (Some(whole), Some(rest)) =
            (div(self.maintenance, PARTS, Rounding::Down), target.of(self.maintenance.rem_euclid(PARTS), Rounding::Up))
        else {
            return false;
        };
        whole.saturating_mul(i128::from(target.0)).saturating_add(rest) <= self.equity.saturating_mul(PARTS)
    }

    /// Maintenance in micro-USD, rounded up.
    #[must_use]
    pub fn maintenance_micro(&self) -> i128 {
        div(self.maintenance, PARTS, Rounding::Up).unwrap_or(i128::MAX)
    }

    /// Initial margin in micro-USD, rounded up.
    #[must_use]
    pub fn initial_micro(&self) -> i128 {
        div(self.initial, PARTS, Rounding::Up).unwrap_or(i128::MAX)
    }
}

/// The price at which a position is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lens {
    /// At the mark.
    Mark,
    /// At the edge of the price's confidence that is kindest to the position, from the mark or from where it is going: who is
    /// under maintenance, or insolvent, only at the mark may owe it to one of the sources.
    Kindest,
    /// At the kindest edge and a further step in the kind direction, of `oracle.jump_max` of the mark or, where nobody has
    /// published for longer than `jump_window` at the last look, of as much as may be by then: for a price that can't carry a liquidation. A
    /// source may go that far without confirmation, so the true price may be there already.
    Doubted,
    /// At the edge that is least kind, and a profit counts only where the market lets exposure grow: what a doubtful
    /// price gave may be gone before what it paid for is. Collateral likewise, and at the stable price where that is less.
    Unkind,
}

/// The price of `market` for a position of this sign, or `None` before the first mark.
#[must_use]
pub fn price(market: &Market, size: Size, lens: Lens) -> Option<Price> {
    if market.mark.price <= Price(0) {
        return None;
    }
    let mark = match lens {
        Lens::Mark => market.mark.price,
        Lens::Kindest | Lens::Doubted => market.mark.kinder(size),
        Lens::Unkind => market.mark.harsher(size),
    };
    let width = i128::from(market.quality().confidence.0.max(0));
    // Whoever is judged kindly has the rounding too, and whoever is not is kept from more.
    let width = market.params.oracle.confidence_scale.of(width, Rounding::Up).unwrap_or(i128::from(i64::MAX));
    let kinder = match lens {
        Lens::Mark => 0,
        Lens::Kindest => width,
        Lens::Unkind => -width,
        Lens::Doubted => {
            // Up: whoever is judged kindly has the rounding too.
            let step = jump_limit(&market.params.oracle, market.quality().age);
            let step = step.of(i128::from(mark.0), Rounding::Up);
            width.saturating_add(step.unwrap_or(i128::MAX))
        }
    };
    let mark = i128::from(mark.0);
    let seen = if 0 < size.0 { mark.saturating_add(kinder) } else { mark.saturating_sub(kinder) };
    Some(Price(i64::try_from(seen.max(1)).unwrap_or(i64::MAX)))
}

/// `Σ` over tiers of the notional inside the tier times the tier's marginal rate, in [`PARTS`] of a micro-USD.
/// Continuous at every edge and convex, since rates do not fall. What does not fit is `i128::MAX`.
#[must_use]
pub fn requirement(notional: i128, tiers: &[Tier], rate: impl Fn(&Tier) -> Ratio) -> i128 {
    let mut required = 0;
    for (i, tier) in tiers.iter().enumerate() {
        let from = i128::from(tier.notional_from);
        if notional <= from {
            break;
        }
        let to = tiers.get(i + 1).map_or(notional, |next| notional.min(i128::from(next.notional_from)));
        required = to.saturating_sub(from).saturating_mul(i128::from(rate(tier).0)).saturating_add(required);
    }
    required
}

/// The initial margin of a notional, in [`PARTS`] of a micro-USD: by the tiers, and from `open_interest_margin_from` of the
/// market's limit on, in proportion to the `open_interest` beyond it, as much more of what they leave uncovered; rounded up. After
/// dYdX v4's open-interest-weighted margin.
#[must_use]
pub fn initial(market: &Market, notional: i128, open_interest: i128) -> i128 {
    let by_tiers = requirement(notional, &market.params.tiers, |tier| tier.initial);
    let limit = i128::from(market.params.open_interest_max.0);
    let from = market.params.open_interest_margin_from.of(limit, Rounding::Down).unwrap_or(0);
    let (crowded, whole) = (open_interest.saturating_sub(from), limit.saturating_sub(from));
    if crowded <= 0 || whole <= 0 {
        return by_tiers;
    }
    let uncovered = notional.saturating_mul(PARTS).saturating_sub(by_tiers).max(0);
    // In two parts, since a product of all of them need not fit: a share is in as many parts as a micro-USD here.
    const { assert!(PARTS == Ratio::ONE.0 as i128, "a share of a micro-USD is a whole number of parts") };
    let share = Ratio::of_parts(crowded.min(whole), whole, Rounding::Up).unwrap_or(Ratio::ONE);
    let of_micros = i128::from(share.0).saturating_mul(uncovered / PARTS);
    let of_rest = share.of(uncovered % PARTS, Rounding::Up).unwrap_or(PARTS);
    by_tiers.saturating_add(of_micros).saturating_add(of_rest)
}

/// The notional of a position for its margin, micro-USD, rounded up.
#[must_use]
pub fn notional(market: &Market, size: Size, price: Price) -> i128 {
    let product = i128::from(price.0) * i128::from(size.lots());
    div(product, market.per_micro, Rounding::Up).unwrap_or(i128::MAX)
}

/// The signed value of a position, micro-USD, rounded down.
#[must_use]
pub fn value(market: &Market, size: Size, price: Price) -> i128 {
    div(i128::from(price.0) * i128::from(size.0), market.per_micro, Rounding::Down).unwrap_or(i128::MIN)
}

/// The account's risk, or `None` where a market that it holds has never had a price: unknown, and nothing that needs
/// a margin check may pass.
#[must_use]
pub fn risk<'a>(account: &Account, market_of: impl Fn(MarketId) -> Option<&'a Market>, lens: Lens) -> Option<Risk> {
    risk_through(account, market_of, |_, _| lens)
}

/// The account's risk with a lens for each market that it has something in, long or short; `None` as in [`risk`]. Collateral without a
/// price counts for nothing.
#[must_use]
pub fn risk_through<'a>(
    account: &Account,
    market_of: impl Fn(MarketId) -> Option<&'a Market>,
    lens_of: impl Fn(&Market, Size) -> Lens,
) -> Option<Risk> {
    let mut risk = risk_of(account.cash, &account.positions, &market_of, &lens_of)?;
    for held in &account.collateral {
        let market = market_of(held.market)?;
        let Credit { worth, counted } = credit(market, held.lots, lens_of(market, held.lots));
        risk.equity = risk.equity.saturating_add(counted);
        // What does not count yet is worth something, too.
        let unripe = credit(market, held.ripening, lens_of(market, held.ripening)).worth;
        risk.haircut = risk.haircut.saturating_add(worth.saturating_sub(counted)).saturating_add(unripe);
    }
    Some(risk)
}

/// The risk of cash and positions alone; `None` as in [`risk`].
pub(crate) fn risk_of<'a>(
    cash: Notional,
    positions: &[Position],
    market_of: impl Fn(MarketId) -> Option<&'a Market>,
    lens_of: impl Fn(&Market, Size) -> Lens,
) -> Option<Risk> {
    let mut risk = Risk { equity: i128::from(cash.0), initial: 0, maintenance: 0, haircut: 0 };
    for position in positions {
        let market = market_of(position.market)?;
        add(&mut risk, position, market, lens_of(market, position.size))?;
    }
    Some(risk)
}

fn add(risk: &mut Risk, position: &Position, market: &Market, lens: Lens) -> Option<()> {
    let price = price(market, position.size, lens)?;
    let notional = notional(market, position.size, price);
    let tiers = &market.params.tiers;
    let profit = value(market, position.size, price) - i128::from(position.cost.0);
    let profit = if lens == Lens::Unkind && !market.lets_open() { profit.min(0) } else { profit };
    risk.equity = risk.equity.saturating_add(profit);
    risk.initial = risk.initial.saturating_add(initial(market, notional, market.open_interest));
    let maintenance = requirement(notional, tiers, |tier| tier.maintenance);
    // Planted on request, so that a test can show that the reference model finds it: the last position stands for all.
    let others = if cfg!(feature = "planted-margin-bug") { 0 } else { risk.maintenance };
    risk.maintenance = others.saturating_add(maintenance);
    Some(())
}

/// What `lots` of a market's base asset count for.
#[must_use]
pub fn credit(market: &Market, lots: Size, lens: Lens) -> Credit {
    const NOTHING: Credit = Credit { worth: 0, counted: 0 };
    let Some(price) = price(market, lots, lens) else { return NOTHING };
    let price = match (lens, market.stable.price()) {
        (Lens::Mark | Lens::Kindest | Lens::Doubted, _) => price,
        (Lens::Unkind, Some(stable)) if market.lets_open() => price.min(stable),
        (Lens::Unkind, _) => return NOTHING,
    };
    let worth = value(market, lots, price);
    let haircut = market.params.collateral.haircut.of(worth, Rounding::Up).unwrap_or(worth);
    Credit { worth, counted: worth.saturating_sub(haircut) }
}

impl Market {
    /// Whether exposure may grow on either side, by mode and by quality.
    pub(crate) fn lets_open(&self) -> bool {
        Side::BOTH.iter().all(|side| self.breaker.restriction().permits(Action::Open, *side))
            && quality::permits(Action::Open, self.quality(), self.single_lineage())
    }
}

/// Micro-USD as an account's money, clamped to what an account can hold. For reporting; never for a comparison.
#[must_use]
pub fn shown(micro: i128) -> Notional {
    Notional(i64::try_from(micro).unwrap_or(if micro < 0 { i64::MIN } else { i64::MAX }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiers() -> [Tier; 3] {
        let tier = |usd: i64, initial, maintenance| Tier {
            notional_from: usd * 1_000_000,
            initial: Ratio::percent(initial),
            maintenance: Ratio::percent(maintenance),
        };
        [tier(0, 5, 2), tier(10_000, 10, 5), tier(50_000, 20, 10)]
    }

    #[test]
    fn a_requirement_is_marginal_and_continuous_at_the_edges() {
        let usd = |usd: i128| requirement(usd * 1_000_000, &tiers(), |tier| tier.maintenance) / PARTS / 10_000;
        assert_eq!(usd(0), 0);
        assert_eq!(usd(10_000), 20_000); // 200.00 USD
        assert_eq!(usd(10_001), 20_005); // one dollar at 5%
        assert_eq!(usd(50_000), 220_000);
        assert_eq!(usd(60_000), 320_000);
    }

    #[test]
    fn liquidatable_is_strictly_below_maintenance() {
        let at = |equity| Risk { equity, initial: 0, maintenance: 100 * PARTS, haircut: 0 };
        assert!(!at(100).liquidatable());
        assert!(at(99).liquidatable());
        let fraction = Risk { equity: 100, initial: 0, maintenance: 100 * PARTS + 1, haircut: 0 };
        assert!(fraction.liquidatable());
    }

    #[test]
    fn restored_is_maintenance_and_a_buffer() {
        let at = |equity| Risk { equity, initial: 0, maintenance: 1_000 * PARTS, haircut: 0 };
        assert!(at(1_100).restored(Ratio::percent(10)));
        assert!(!at(1_099).restored(Ratio::percent(10)));
    }

    #[test]
    fn restored_is_exact_at_any_size() {
        // 200 million and a billion USD of maintenance, and a fraction of a micro-USD more.
        for usd in [200_000_000_i128, 1_000_000_000] {
            let micro = usd * 1_000_000;
            let at = |equity, more| Risk { equity, initial: 0, maintenance: micro * PARTS + more, haircut: 0 };
            assert!(at(micro * 11 / 10, 0).restored(Ratio::percent(10)));
            assert!(!at(micro * 11 / 10 - 1, 0).restored(Ratio::percent(10)));
            assert!(!at(micro * 11 / 10, 1).restored(Ratio::percent(10)));
            assert!(at(micro * 11 / 10 + 1, 1).restored(Ratio::percent(10)));
        }
    }
}
