//! Funding: holders of one side of a market pay those of the other.
//!
//! Payers pay a share of their notional rounded up, receivers get theirs rounded down; what is between goes to the insurance
//! fund, so that no money is made. Everybody who holds the market pays or is paid at one mark, in one batch, or nobody is.

use crate::gate::side_of;
use crate::margin::shown;
use crate::quality;
use crate::state::Pool;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use protocol::input::Funding;
use protocol::{AccountId, Action, Effect, Reject, Side};
use units::{Notional, Ratio, Rounding, Size, Timestamp, div};

impl Pool {
    /// Makes every holder of a market pay or be paid.
    ///
    /// # Errors
    /// `UnknownMarket`; `OutOfRange` for a rate above the policy's; `OutOfOrder` before the interval is over; `Restricted` and
    /// `PriceQuality` where mode or price permit no funding; `Overflow` where somebody's cash would not hold it. Nothing is
    /// changed then.
    pub(crate) fn fund(&mut self, funding: &Funding, at: Timestamp, out: &mut Vec<Effect>) -> Result<(), Reject> {
        let place = self.place_of(funding.market).ok_or(Reject::UnknownMarket)?;
        let market = self.markets.get(place).ok_or(Reject::UnknownMarket)?;
        let params = &market.params.funding;
        let rate = Ratio(funding.rate.0.saturating_abs());
        if params.rate_max < rate {
            return Err(Reject::OutOfRange);
        }
        if market.funded_at != Timestamp::MIN && at < market.funded_at.plus(params.interval) {
            return Err(Reject::OutOfOrder);
        }
        if !Side::BOTH.iter().all(|side| market.breaker.restriction().permits(Action::Fund, *side)) {
            return Err(Reject::Restricted);
        }
        if !quality::permits(Action::Fund, market.quality(), market.single_lineage()) {
            return Err(Reject::PriceQuality);
        }
        let payer = if 0 < funding.rate.0 { Side::Long } else { Side::Short };
        let (mut changes, mut paid, mut kept): (Vec<(AccountId, Notional)>, i128, i128) = (Vec::new(), 0, 0);
        let armed = market.triggers.longs.iter().chain(&market.triggers.shorts).map(|(_, id)| *id);
        let holders: BTreeSet<AccountId> = armed.chain(market.distressed.iter().copied()).collect();
        for id in holders {
            let Some(account) = self.accounts.get(&id) else { continue };
            let size = account.size_in(funding.market);
            if size == Size(0) {
                continue;
            }
            let pays = side_of(size) == payer;
            let rounding = if pays { Rounding::Up } else { Rounding::Down };
            let product = i128::from(market.mark.price.0) * i128::from(size.lots());
            let notional = div(product, market.per_micro, rounding).ok_or(Reject::Overflow)?;
            let amount = rate.of(notional, rounding).ok_or(Reject::Overflow)?;
            let signed = if pays { -amount } else { amount };
            let cash = i128::from(account.cash.0).checked_add(signed).ok_or(Reject::Overflow)?;
            changes.push((id, Notional(i64::try_from(cash).map_err(|_| Reject::Overflow)?)));
            paid = paid.checked_add(if pays { amount } else { 0 }).ok_or(Reject::Overflow)?;
            kept = kept.checked_sub(signed).ok_or(Reject::Overflow)?;
        }
        self.insure(kept.max(0)).ok_or(Reject::Overflow)?;
        for (id, cash) in changes {
            self.set_cash(id, cash);
            self.rearm(id);
        }
        if let Some(market) = self.markets.get_mut(place) {
            market.funded_at = at;
        }
        out.push(Effect::Funded { market: funding.market, rate: funding.rate, paid: shown(paid) });
        Ok(())
    }
}
