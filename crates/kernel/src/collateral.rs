//! Collateral that is no money: a market's base asset, counted at the market's mark less a haircut.
//!
//! What is paid in counts after its ramp, and not before the market lets exposure grow: whoever pays in at a price that nobody
//! trusts has nothing of it yet. For what opens or leaves it counts at the stable price where that is less, for nothing where the
//! market lets nobody open, and never for more than the account may owe.
//!
//! A debt is cash below zero. Nobody is paid out what is not there in cash, so debts are made by losses alone. Whoever is under
//! maintenance and owes cash has collateral sold for it: whoever offers cash has it at the mark less a discount that grows, over
//! `collateral.auction` while it is for sale, from nothing to the haircut, and never beyond: a sale raises what the account has, as it is
//! counted. After that the backstop takes it, as far as it can pay. No more is sold than the debt needs, nor than restores the account.

use crate::liquidation::{Verdict, carries, is_stalled, judge};
use crate::margin::{Lens, credit, notional, risk, risk_of, shown};
use crate::state::{Account, LOTS_MAX, Pool};
use alloc::vec::Vec;
use protocol::input::{Buy, Collateral};
use protocol::{AccountId, Effect, MarketId, Reject};
use units::{Duration, Notional, Price, Ratio, Rounding, Size, Timestamp, div, mul_div};

/// Lots of a market's base asset that an account has as collateral.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The market.
    pub market: MarketId,
    /// Lots that count; not negative.
    pub lots: Size,
    /// Lots that don't yet; not negative.
    pub ripening: Size,
    /// When they will, if the market lets exposure grow then; `MIN` where there are none.
    pub ripe_at: Timestamp,
    /// Where the account must be looked at; see [`crate::triggers`].
    pub trigger: Option<Price>,
}

impl Held {
    /// All of it.
    #[must_use]
    pub const fn all(&self) -> Size {
        Size(self.lots.0.saturating_add(self.ripening.0))
    }
}

/// Collateral for sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Offer {
    /// The most lots that the debt needs and that restore the account, whichever is less.
    most: Size,
    price: Price,
    /// Whether the discount has grown as far as it will.
    is_over: bool,
}

/// Parts of a ramp at whose ends collateral may begin to count, so that whoever pays in crumbs keeps no more alarms than these.
const RAMP_PARTS: i64 = 64;

/// When what is paid in now counts at the earliest: after its ramp, at the end of a part of one.
fn ripens_at(ramp: Duration, at: Timestamp) -> Timestamp {
    let part = (ramp.0 / RAMP_PARTS).max(1);
    let until = at.plus(ramp).0;
    Timestamp(until.div_euclid(part).saturating_add(i64::from(until.rem_euclid(part) != 0)).saturating_mul(part))
}

impl Account {
    /// What it holds of `market`'s base asset; none where it holds none.
    #[must_use]
    pub fn held_in(&self, market: MarketId) -> Size {
        self.collateral.iter().find(|held| held.market == market).map_or(Size(0), Held::all)
    }

    /// What it owes in cash, micro-USD.
    pub(crate) const fn debt(&self) -> i128 {
        let cash = self.cash.0 as i128;
        if cash < 0 { -cash } else { 0 }
    }

    /// Adds lots, of which `ripening` don't count yet, or takes some away: those that don't count first.
    fn put(&mut self, market: MarketId, change: Size, ripens_at: Option<Timestamp>) {
        let place = self.collateral.binary_search_by_key(&market, |held| held.market);
        let place = place.unwrap_or_else(|place| {
            let (lots, ripening, ripe_at) = (Size(0), Size(0), Timestamp::MIN);
            self.collateral.insert(place, Held { market, lots, ripening, ripe_at, trigger: None });
            place
        });
        let Some(held) = self.collateral.get_mut(place) else { return };
        if change.0 < 0 {
            let unripe = held.ripening.0.min(change.0.saturating_neg());
            held.ripening = Size(held.ripening.0.saturating_sub(unripe));
            held.lots = Size(held.lots.0.saturating_add(change.0).saturating_add(unripe));
            if held.ripening == Size(0) {
                held.ripe_at = Timestamp::MIN;
            }
        } else if let Some(ripe_at) = ripens_at {
            (held.ripening, held.ripe_at) = (Size(held.ripening.0.saturating_add(change.0)), ripe_at);
        } else {
            held.lots = Size(held.lots.0.saturating_add(change.0));
        }
    }
}

impl Pool {
    /// Sets an account's cash and counts what accounts owe.
    pub(crate) fn set_cash(&mut self, id: AccountId, cash: Notional) {
        let Some(account) = self.accounts.get_mut(&id) else { return };
        let before = account.debt();
        account.cash = cash;
        self.owed = self.owed.saturating_add(account.debt()).saturating_sub(before);
    }

    /// What an account's collateral counts for by `lens`, micro-USD: no more than the account may owe, so that nobody borrows more than that
    /// by losing to an accomplice.
    pub(crate) fn credited(&self, account: &Account, lens: Lens) -> i128 {
        let of = |held: &Held| self.market(held.market).map_or(0, |market| credit(market, held.lots, lens).counted);
        let all = account.collateral.iter().map(of).fold(0, i128::saturating_add);
        let others = self.owed.saturating_sub(account.debt());
        let room = i128::from(self.params.borrow_max.0).saturating_sub(others);
        all.min(room).min(i128::from(self.params.account_borrow_max.0)).max(0)
    }

    /// Equity at its least, with no more of its collateral than it may owe.
    pub(crate) fn least(&self, account: &Account) -> Option<i128> {
        let risk = risk_of(account.cash, &account.positions, |market| self.market(market), |_, _| Lens::Unkind)?;
        Some(risk.equity.saturating_add(self.credited(account, Lens::Unkind)))
    }

    /// Changes what an account holds, and what the pool does.
    pub(crate) fn put(&mut self, id: AccountId, market: MarketId, change: Size, ripens_at: Option<Timestamp>) {
        if let Some(place) = self.place_of(market)
            && let Some(market) = self.markets.get_mut(place)
        {
            market.collateral = market.collateral.saturating_add(i128::from(change.0));
        }
        // Triggers are written anew with what is held then.
        self.disarm(id);
        if let Some(account) = self.accounts.get_mut(&id) {
            account.put(market, change, ripens_at);
        }
        let in_distress = self.distressed.contains_key(&id);
        let gone = |held: &Held| held.all() == Size(0);
        let Some(account) = self.accounts.get_mut(&id) else { return };
        account.collateral.retain(|held| !gone(held));
        if account.collateral.is_empty() {
            account.offered_at = Timestamp::MIN;
        }
        let holds = account.holds(market);
        if let Some(place) = self.place_of(market)
            && let Some(market) = self.markets.get_mut(place)
        {
            if in_distress && holds {
                market.distressed.insert(id);
            } else {
                market.distressed.remove(&id);
            }
        }
        self.rearm(id);
    }

    /// Collateral in, or asked back.
    ///
    /// # Errors
    /// `UnknownMarket` and `UnknownAccount`; `Mismatch` for an isolated account; `OutOfRange` for no lots; `CollateralFull` beyond what the
    /// pool takes; going out `BeyondSize`, and what a withdrawal of money is refused for. Nothing is changed then.
    pub(crate) fn collateral(&mut self, said: &Collateral, at: Timestamp, out: &mut Vec<Effect>) -> Result<(), Reject> {
        let market = self.market(said.market).ok_or(Reject::UnknownMarket)?;
        let account = self.accounts.get(&said.account).ok_or(Reject::UnknownAccount)?;
        if account.isolated.is_some() {
            return Err(Reject::Mismatch);
        }
        if said.size == Size(0) || LOTS_MAX < said.size.lots() {
            return Err(Reject::OutOfRange);
        }
        let held = account.held_in(said.market);
        if 0 < said.size.0 {
            let max = market.params.collateral.deposit_max;
            let held = held.0.checked_add(said.size.0).ok_or(Reject::Overflow)?;
            if i128::from(max.0) < market.collateral.saturating_add(i128::from(said.size.0)) {
                return Err(Reject::CollateralFull { max });
            }
            if LOTS_MAX < held.unsigned_abs() {
                return Err(Reject::Overflow);
            }
            let ripe_at = ripens_at(market.params.collateral.ramp, at);
            self.alarms.insert((ripe_at, said.account));
            self.put(said.account, said.market, said.size, Some(ripe_at));
            return Ok(());
        }
        let asked = Size(said.size.0.saturating_neg());
        if held < asked {
            return Err(Reject::BeyondSize { remaining: held });
        }
        self.lets_leave(account)?;
        let mut after = account.clone();
        after.put(said.market, said.size, None);
        let spare = self.spare(&after).ok_or(Reject::PriceQuality)?;
        if spare < 0 {
            return Err(Reject::Margin { free: shown(spare), needed: Notional(0) });
        }
        self.put(said.account, said.market, said.size, None);
        if self.accounts.get(&said.account).is_some_and(Account::is_flat) {
            self.set_distressed(said.account, None);
        }
        self.make_room(said.account);
        out.push(Effect::HandOut { market: said.market, account: said.account, size: asked });
        Ok(())
    }

    /// What an account paid in counts from now on, where its time has come and its market lets exposure grow.
    pub(crate) fn ripen(&mut self, id: AccountId, at: Timestamp) {
        let Some(account) = self.accounts.get(&id) else { return };
        let due = |held: &&Held| Size(0) < held.ripening && held.ripe_at <= at;
        let due: Vec<Held> = account.collateral.iter().filter(due).copied().collect();
        for held in due {
            let Some(market) = self.market(held.market) else { continue };
            let later = ripens_at(market.params.collateral.ramp, at);
            let counts = market.lets_open();
            let Some(account) = self.accounts.get_mut(&id) else { continue };
            let Some(held) = account.collateral.iter_mut().find(|other| other.market == held.market) else { continue };
            if counts {
                held.lots = held.all();
                (held.ripening, held.ripe_at) = (Size(0), Timestamp::MIN);
            } else {
                held.ripe_at = later;
                self.alarms.insert((later, id));
            }
            self.rearm(id);
        }
    }

    /// What of an account's collateral is for sale now, and at what price.
    fn offer(&self, id: AccountId, market: MarketId, at: Timestamp) -> Option<Offer> {
        let account = self.accounts.get(&id).filter(|account| 0 < account.debt())?;
        let since = *self.distressed.get(&id)?;
        let risk = risk(account, |market| self.market(market), Lens::Mark).filter(|risk| risk.liquidatable())?;
        let (verdict, kindly) = judge(self, account, &risk, since, at)?;
        let held = account.held_in(market);
        if !kindly.liquidatable() || held == Size(0) || !self.sells(market, held, verdict) {
            return None;
        }
        let market = self.market(market)?;
        let params = &market.params.collateral;
        // It stands since it was first for sale, and not while it was not.
        let stood = if account.offered_at == Timestamp::MIN { Duration::ZERO } else { at.since(account.offered_at) };
        let (stood, auction) = (i128::from(stood.0.max(0)), i128::from(params.auction.0));
        // At the mark or where it is going, whichever is more: nobody gains by a mark that is slow to rise.
        let whole = i128::from(market.mark.kinder(held).0);
        let farthest = params.haircut.of(whole, Rounding::Down)?;
        let discount = mul_div(farthest, stood.min(auction), auction, Rounding::Down)?;
        let price = Price(i64::try_from(whole.saturating_sub(discount).max(1)).ok()?);
        let needed = div(account.debt().checked_mul(market.per_micro)?, i128::from(price.0), Rounding::Up)?;
        // No more than restores it either: a lot brings what it is sold for, and takes away what it counted for.
        let buffered = Ratio(Ratio::ONE.0.saturating_add(market.params.liquidation.buffer.0));
        let target = buffered.of(risk.maintenance_micro(), Rounding::Up)?;
        let lacks = target.saturating_sub(risk.equity).max(0).checked_mul(market.per_micro)?;
        let unripe = account.collateral.iter().find(|held| held.market == market.id).map_or(0, |held| held.ripening.0);
        let by_unripe = div(lacks, i128::from(price.0), Rounding::Up)?;
        let left = lacks.saturating_sub(i128::from(unripe).saturating_mul(i128::from(price.0)));
        let haircut = params.haircut.of(i128::from(market.mark.price.0), Rounding::Down)?;
        let gain = i128::from(price.0).saturating_sub(i128::from(market.mark.price.0)).saturating_add(haircut);
        let restoring = if left <= 0 {
            by_unripe
        } else if gain <= 0 {
            needed
        } else {
            i128::from(unripe).saturating_add(div(left, gain, Rounding::Up)?).saturating_add(1)
        };
        let most = Size(i64::try_from(needed.min(restoring)).unwrap_or(i64::MAX)).min(held);
        Some(Offer { most, price, is_over: auction <= stood })
    }

    fn sells(&self, market: MarketId, held: Size, verdict: Verdict) -> bool {
        let carried = self.market(market).is_some_and(|market| carries(market, held, verdict));
        carried && (verdict.insolvent || !is_stalled(self, market, verdict.at))
    }

    /// Somebody buys collateral that is for sale.
    ///
    /// # Errors
    /// `UnknownMarket` and `UnknownAccount`; `Mismatch` for one's own, and for an isolated account; `OutOfRange`; `Restricted` where nothing
    /// is for sale and for who is in distress; `BeyondSize`, `BeyondLimit`, and `Margin` for who has not as much cash to spare. Nothing is
    /// changed then.
    pub(crate) fn buy(&mut self, said: &Buy, at: Timestamp, out: &mut Vec<Effect>) -> Result<(), Reject> {
        let market = self.market(said.market).ok_or(Reject::UnknownMarket)?;
        let buyer = self.accounts.get(&said.account).ok_or(Reject::UnknownAccount)?;
        let owner = self.accounts.get(&said.from).ok_or(Reject::UnknownAccount)?;
        if said.account == said.from || buyer.isolated.is_some() {
            return Err(Reject::Mismatch);
        }
        if said.size <= Size(0) || said.limit <= Price(0) {
            return Err(Reject::OutOfRange);
        }
        let offer = self.offer(said.from, said.market, at).filter(|_| !self.distressed.contains_key(&said.account));
        let offer = offer.ok_or(Reject::Restricted)?;
        if offer.most < said.size {
            return Err(Reject::BeyondSize { remaining: offer.most });
        }
        if said.limit < offer.price {
            return Err(Reject::BeyondLimit { limit: said.limit });
        }
        let needed = shown(notional(market, said.size, offer.price));
        // Nothing leaves the pool, so no mode is asked.
        let free = self.spare_cash(buyer).ok_or(Reject::PriceQuality)?;
        if free < i128::from(needed.0) {
            return Err(Reject::Margin { free: shown(free), needed });
        }
        let paid = Notional(buyer.cash.0.checked_sub(needed.0).ok_or(Reject::Overflow)?);
        let got = Notional(owner.cash.0.checked_add(needed.0).ok_or(Reject::Overflow)?);
        let holds = buyer.held_in(said.market).0.checked_add(said.size.0).ok_or(Reject::Overflow)?;
        if LOTS_MAX < holds.unsigned_abs() {
            return Err(Reject::Overflow);
        }
        self.set_cash(said.account, paid);
        self.set_cash(said.from, got);
        self.put(said.from, said.market, Size(said.size.0.saturating_neg()), None);
        self.put(said.account, said.market, said.size, None);
        // What it leaves owing reaches the markets in which something of it was sold.
        if let Some(owner) = self.accounts.get_mut(&said.from) {
            let taken = owner.taken.entry(said.market).or_insert(0);
            *taken = taken.saturating_add(i128::from(needed.0));
        }
        let (market, size, price) = (said.market, said.size, offer.price);
        out.push(Effect::CollateralSold { market, account: said.from, buyer: said.account, size, price });
        self.settle_account(said.from, market, at, out);
        Ok(())
    }

    /// Notes since when something of an account's collateral is for sale, and has it looked at when its price has fallen as far as it will.
    pub(crate) fn note_offers(&mut self, id: AccountId, at: Timestamp) {
        let Some(account) = self.accounts.get(&id).filter(|account| !account.collateral.is_empty()) else { return };
        let markets = account.collateral.iter().map(|held| held.market);
        let offered: Vec<MarketId> = markets.filter(|market| self.offer(id, *market, at).is_some()).collect();
        let begins = !offered.is_empty() && account.offered_at == Timestamp::MIN;
        let auctions = offered.iter().filter_map(|market| Some(self.market(*market)?.params.collateral.auction));
        let ends: Vec<Timestamp> = auctions.map(|auction| at.plus(auction)).collect();
        let Some(account) = self.accounts.get_mut(&id) else { return };
        if begins {
            account.offered_at = at;
            self.alarms.extend(ends.into_iter().map(|end| (end, id)));
        } else if offered.is_empty() {
            account.offered_at = Timestamp::MIN;
        }
    }

    /// The backstop takes what nobody else bought in time, as far as it can pay.
    pub(crate) fn sell_to_backstop(&mut self, id: AccountId, at: Timestamp, out: &mut Vec<Effect>) {
        let (Some(backstop), Some(account)) = (self.params.backstop, self.accounts.get(&id)) else { return };
        let markets: Vec<MarketId> = account.collateral.iter().map(|held| held.market).collect();
        for market in markets {
            let Some(offer) = self.offer(id, market, at).filter(|offer| offer.is_over) else { continue };
            // As much as it can pay for.
            let free = self.accounts.get(&backstop).and_then(|account| self.spare_cash(account)).unwrap_or(0);
            let scale = self.market(market).map(|market| market.per_micro);
            let products = free.max(0).saturating_mul(scale.unwrap_or(0));
            let lots = div(products, i128::from(offer.price.0), Rounding::Down).unwrap_or(0);
            let (size, limit) = (offer.most.min(Size(i64::try_from(lots).unwrap_or(i64::MAX))), offer.price);
            // Where it can't pay, the debt stands.
            let _ = self.buy(&Buy { market, account: backstop, from: id, size, limit }, at, out);
        }
    }
}
