//! Arbitrary inputs: anything that bytes can say, with extreme integers everywhere, as fast as the kernel decides.
//!
//! Nothing here is plausible. What must hold all the same: the kernel never panics, the numbered invariants hold, exits
//! are never gated, and a mode never loosens by more than a step or without its calm.

use super::dice::Dice;
use super::traffic::Traffic;
use kernel::state::Account;
use kernel::{Kernel, State};
use protocol::input::{
    BookTop, Buy, Cancel, ChainHealth, Collateral, Depth, Funding, InsuranceDeposit, Isolate, Observation, Order,
    OrderDone, Redenomination, Session, Trade, Transfer,
};
use protocol::{
    AccountId, Batch, Effect, Input, MarketId, Mode, OrderId, PoolId, QualityState, Reject, Side, SourceId, VenueParams,
};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use units::{Duration, Notional, Price, Ratio, Scale, Size, Timestamp};

/// Inputs of a batch.
const INPUTS: usize = 48;
/// The invariants are checked once in so many batches, and after the last.
const CHECK_EVERY: u64 = 64;

/// From here on money may not fit into an account.
const RICH: Notional = Notional(i64::MAX / 4);

/// One seed's storm.
#[derive(Clone, Debug)]
pub struct Storm {
    dice: Dice,
    kernel: Kernel,
    batch: Batch,
    effects: Vec<Effect>,
    /// Around what prices are for a while.
    prices: Vec<i64>,
    /// Accounts that were too rich for a deposit before the batch.
    rich: BTreeSet<(PoolId, AccountId)>,
    /// Accounts that were there before the batch.
    known: BTreeSet<(PoolId, AccountId)>,
    /// By market: when its mode last changed.
    changed: Vec<Option<Timestamp>>,
    orders: u64,
}

impl Storm {
    /// The storm of a seed, on a venue whose limits are as wide as they may be.
    ///
    /// # Panics
    /// Where its parameters are not well formed: that is a bug here.
    #[must_use]
    pub fn new(seed: u64) -> Storm {
        let mut dice = Dice::new(seed ^ 0x5707_4d00_0000_0000);
        let params = widest(&mut dice, Traffic::new(seed).params().clone());
        let kernel = Kernel::new(&params, &[]).expect("wide parameters are well formed");
        let markets = params.markets.len();
        let at = Timestamp(dice.between(0, 1 << 50));
        Storm {
            dice,
            kernel,
            batch: Batch { height: 0, at, seed: [0; 32], inputs: Vec::new() },
            effects: Vec::new(),
            prices: vec![1; markets],
            rich: BTreeSet::new(),
            known: BTreeSet::new(),
            changed: vec![None; markets],
            orders: 0,
        }
    }

    /// What the kernel remembers.
    #[must_use]
    pub fn state(&self) -> &State {
        self.kernel.state()
    }

    /// One more batch. Returns the number of its inputs.
    ///
    /// # Errors
    /// What should never happen, in words.
    pub fn step(&mut self) -> Result<usize, String> {
        self.next();
        self.rich = rich(self.kernel.state());
        self.known = accounts(self.kernel.state()).map(|(pool, id, _)| (pool, id)).collect();
        self.effects.clear();
        let (kernel, batch, effects) = (&mut self.kernel, &self.batch, &mut self.effects);
        let decided = catch_unwind(AssertUnwindSafe(|| kernel.apply(batch, effects)));
        decided.map_err(|_| format!("batch {}: a panic", self.batch.height))?;
        self.exits()?;
        self.modes()?;
        if self.batch.height.is_multiple_of(CHECK_EVERY) {
            self.check()?;
        }
        Ok(self.batch.inputs.len())
    }

    /// The numbered invariants.
    ///
    /// # Errors
    /// The first that does not hold.
    pub fn check(&self) -> Result<(), String> {
        self.kernel.state().check().map_err(|broken| format!("batch {}: {broken:?}", self.batch.height))
    }

    fn next(&mut self) {
        let dice = &mut self.dice;
        self.batch.height += 1;
        let span = match dice.below(64) {
            0 => dice.magnitude(1 << 48),
            1..=8 => dice.between(0, 1),
            _ => dice.between(0, 2_000_000),
        };
        self.batch.at = Timestamp((self.batch.at.0 + span).min(kernel::kernel::AT_MAX.0));
        if dice.once_in(40) {
            let market = dice.below(self.prices.len() as u64) as usize;
            self.prices[market] = extreme(dice).saturating_abs().max(1);
        }
        self.batch.inputs.clear();
        for _ in 0..INPUTS {
            let input = self.input();
            self.batch.inputs.push(input);
        }
    }

    fn input(&mut self) -> Input {
        let dice = &mut self.dice;
        let state = self.kernel.state();
        let market = MarketId(if dice.once_in(64) { u16::MAX } else { dice.below(self.prices.len() as u64) as u16 });
        let price = self.prices.get(usize::from(market.0)).copied().unwrap_or(1);
        let pool = state.pool_of(market).map_or(PoolId(dice.bits() as u16), |pool| pool.id);
        let account = AccountId(if dice.once_in(64) { dice.bits() } else { dice.below(8) });
        let some_price = |dice: &mut Dice| match dice.below(4) {
            0 => extreme(dice),
            _ => price.saturating_add(dice.between(-2, 2).saturating_mul(price / 1_000)),
        };
        let old = OrderId(self.orders.saturating_sub(dice.below(40)));
        match dice.below(20) {
            0..=6 => {
                let clock = |dice: &mut Dice| {
                    if dice.once_in(16) {
                        extreme(dice)
                    } else {
                        self.batch.at.0.saturating_sub(dice.between(0, 100_000))
                    }
                };
                let received_at = Timestamp(clock(dice));
                Input::Observation(Observation {
                    market,
                    source: SourceId(if dice.once_in(64) { u8::MAX } else { dice.below(8) as u8 }),
                    observer: 0,
                    price: Price(some_price(dice)),
                    confidence: Price(if dice.once_in(8) { extreme(dice) } else { 0 }),
                    published_at: if dice.once_in(8) { Timestamp(extreme(dice)) } else { received_at },
                    received_at,
                })
            }
            7 => Input::BookTop(BookTop { market, bid: Price(some_price(dice)), ask: Price(some_price(dice)) }),
            8..=9 => Input::Deposit(Transfer { pool, account, amount: Notional(extreme(dice)) }),
            10 if dice.once_in(2) => {
                let amount = Notional(if dice.once_in(2) { extreme(dice) } else { dice.between(-2, 2) * 1_000_000 });
                Input::Isolate(Isolate { market, owner: account, account: AccountId(dice.below(12)), amount })
            }
            10 => Input::Withdraw(Transfer { pool, account, amount: Notional(extreme(dice)) }),
            11 => Input::InsuranceDeposit(InsuranceDeposit { pool, amount: Notional(extreme(dice)) }),
            12..=15 => {
                self.orders += 1;
                let held = state.pool_of(market).and_then(|pool| pool.accounts.get(&account));
                let held = held.map_or(0, |account| account.size_in(market).0);
                let size = match dice.below(3) {
                    0 if held != 0 => held.saturating_neg(),
                    _ => extreme(dice),
                };
                let id = OrderId(if dice.once_in(64) { dice.bits() } else { self.orders });
                Input::Order(Order { id, account, market, size: Size(size), limit: Price(some_price(dice)) })
            }
            16 => {
                // Mostly by its owner, who alone may.
                let owner = state.pool_of(market).and_then(|pool| pool.orders.get(&old)).map(|order| order.account);
                let account = owner.filter(|_| !dice.once_in(4)).unwrap_or(account);
                Input::Cancel(Cancel { market, account, order: old })
            }
            17 => Input::OrderDone(OrderDone { market, order: old }),
            18 if dice.once_in(3) => {
                let size = Size(if dice.once_in(2) { extreme(dice) } else { dice.between(-1_000, 100_000) });
                if dice.once_in(3) {
                    let from = AccountId(dice.below(12));
                    Input::Buy(Buy { market, account, from, size, limit: Price(some_price(dice)) })
                } else {
                    Input::Collateral(Collateral { market, account, size })
                }
            }
            18 => match dice.below(8) {
                0 if dice.once_in(4) => Input::Restart,
                1 if dice.once_in(8) => Input::Session(Session { market, opens: !dice.once_in(4) }),
                2 if dice.once_in(8) => Input::Redenomination(Redenomination {
                    market,
                    from: dice.bits() as u32 >> dice.below(32),
                    into: dice.bits() as u32 >> dice.below(32),
                    at: if dice.once_in(4) { Timestamp(extreme(dice)) } else { self.batch.at },
                }),
                0 => Input::Funding(Funding { market, rate: Ratio(extreme(dice) >> dice.below(60)) }),
                1..=3 => Input::Depth(Depth { market, bid: Size(extreme(dice)), ask: Size(extreme(dice)) }),
                _ => Input::Chain(ChainHealth {
                    pool,
                    produced_at: if dice.once_in(4) { Timestamp(extreme(dice)) } else { self.batch.at },
                    base_fee: dice.bits(),
                    inclusion: Duration(extreme(dice)),
                    finality: Duration(if dice.once_in(4) { extreme(dice) } else { 0 }),
                }),
            },
            _ => self.trade(market, old, price),
        }
    }

    /// A trade of two orders of a market, more often well formed than not.
    fn trade(&mut self, market: MarketId, old: OrderId, price: i64) -> Input {
        let dice = &mut self.dice;
        let pool = self.kernel.state().pool_of(market);
        let pick = |dice: &mut Dice, sign: i64| {
            let from = OrderId(dice.below(self.orders.max(1)));
            let orders = pool.map(|pool| pool.orders.range(from..).chain(pool.orders.range(OrderId(1 << 63)..)));
            let fits = |order: &&kernel::state::OpenOrder| order.market == market && order.remaining.0.signum() == sign;
            let found = orders.and_then(|mut orders| orders.find(|(_, order)| fits(order)));
            found.map(|(id, order)| (*id, order.limit.0, order.remaining.0.saturating_abs()))
        };
        let (buy, bid, wanted) = pick(dice, 1).unwrap_or((old, price, 1));
        let (sell, ask, offered) = pick(dice, -1).unwrap_or((old, price, 1));
        let most = wanted.min(offered);
        let size = if dice.once_in(8) { extreme(dice) } else { dice.between(1, most.max(1)) };
        let price = if dice.once_in(8) { extreme(dice) } else { dice.between(ask.min(bid), bid.max(ask)) };
        Input::Trade(Trade { market, buy, sell, price: Price(price), size: Size(size) })
    }

    /// Deposits, cancels and reducing orders pass.
    fn exits(&self) -> Result<(), String> {
        for effect in &self.effects {
            let Effect::Rejected { input, reject } = effect else { continue };
            let Some(refused) = self.batch.inputs.get(*input as usize) else {
                return Err(format!("batch {}: a refusal of no input: {effect:?}", self.batch.height));
            };
            if !self.may_be_refused(refused, *reject) {
                return Err(format!("batch {}: {refused:?} was refused: {reject:?}", self.batch.height));
            }
        }
        Ok(())
    }

    fn may_be_refused(&self, input: &Input, reject: Reject) -> bool {
        let state = self.kernel.state();
        match input {
            Input::Deposit(transfer) => match reject {
                Reject::UnknownPool => state.pools.len() <= usize::from(transfer.pool.0),
                Reject::OutOfRange => transfer.amount <= Notional(0),
                Reject::TooSmall { min } => {
                    transfer.amount < min && !self.known.contains(&(transfer.pool, transfer.account))
                }
                Reject::TooManyAccounts { max } => {
                    // Whoever took everything out later in the batch made room too late.
                    let left =
                        |effect: &&Effect| matches!(effect, Effect::PayOut { pool, .. } if *pool == transfer.pool);
                    let handed = |effect: &&Effect| matches!(effect, Effect::HandOut { .. });
                    let moved = self.batch.inputs.iter().filter(|input| matches!(input, Input::Isolate(_))).count();
                    let left = self.effects.iter().filter(|effect| left(effect) || handed(effect)).count() + moved;
                    let pool = state.pools.get(usize::from(transfer.pool.0));
                    pool.is_some_and(|pool| max as usize <= pool.accounts.len() + left)
                }
                // An account's money is an `i64`.
                Reject::Overflow => self.too_much(transfer),
                _ => false,
            },
            Input::Cancel(cancel) => {
                // Somebody else may have filled, finished or taken it back in this very batch; then it is gone.
                let pool = state.pool_of(cancel.market);
                let held = pool.is_some_and(|pool| {
                    pool.orders
                        .get(&cancel.order)
                        .is_some_and(|order| (order.market, order.account) == (cancel.market, cancel.account))
                });
                let again = |other: &Input| matches!(other, Input::Order(order) if order.id == cancel.order);
                !held || cancel.order.is_kernel() || self.batch.inputs.iter().any(again)
            }
            Input::Order(order) => match reject {
                Reject::Restricted | Reject::PriceQuality | Reject::Margin { .. } | Reject::TooLarge { .. } => {
                    !self.surely_reduces(order)
                }
                _ => true,
            },
            Input::Observation(_)
            | Input::BookTop(_)
            | Input::Depth(_)
            | Input::Chain(_)
            | Input::Funding(_)
            | Input::Restart
            | Input::Session(_)
            | Input::Redenomination(_)
            | Input::Isolate(_)
            | Input::Collateral(_)
            | Input::Buy(_)
            | Input::Withdraw(_)
            | Input::OrderDone(_)
            | Input::Trade(_)
            | Input::Statement(_)
            | Input::InsuranceDeposit(_) => true,
        }
    }

    /// Whether the account held, holds or was given so much that a deposit may not fit.
    fn too_much(&self, transfer: &Transfer) -> bool {
        let (pool, account) = (transfer.pool, transfer.account);
        let given = self.batch.inputs.iter().map(|input| match input {
            Input::Deposit(other) if (other.pool, other.account) == (pool, account) => {
                i128::from(other.amount.0.max(0))
            }
            _ => 0,
        });
        let moved = self
            .batch
            .inputs
            .iter()
            .any(|input| matches!(input, Input::Isolate(said) if said.account == account || said.owner == account));
        let paid_out = self.effects.iter().any(
            |effect| matches!(effect, Effect::PayOut { pool: of, account: to, .. } if (*of, *to) == (pool, account)),
        );
        let held = self.rich.contains(&(pool, account)) || rich(self.kernel.state()).contains(&(pool, account));
        held || paid_out || moved || i128::from(RICH.0) < given.sum::<i128>()
    }

    /// An order that only reduces, in a market that lets exposure fall.
    fn surely_reduces(&self, order: &Order) -> bool {
        let state = self.kernel.state();
        let (Some(market), Some(pool)) = (state.market(order.market), state.pool_of(order.market)) else {
            return false;
        };
        let Some(account) = pool.accounts.get(&order.account) else { return false };
        let provider = pool.params.backstop == Some(order.account);
        let alone = account.orders.is_empty();
        let open = market.breaker.mode <= Mode::ReduceOnly && market.quality().state != QualityState::None;
        let permitted =
            Side::BOTH.iter().all(|side| market.breaker.restriction.permits(protocol::Action::Reduce, *side));
        assert!(permitted || !open, "no mode up to ReduceOnly gates a reducing order");
        open && alone && !provider && account.size_in(order.market).is_reduced_by(order.size)
    }

    /// Tightening is free; loosening goes one step at a time, a calm apart.
    fn modes(&mut self) -> Result<(), String> {
        for effect in &self.effects {
            let Effect::Mode { market, from, to, .. } = effect else { continue };
            let Some(params) = self.kernel.state().market(*market).map(|market| &market.params.breaker) else {
                continue;
            };
            let Some(changed) = self.changed.get_mut(usize::from(market.0)) else { continue };
            let calm = changed.is_none_or(|at| params.calm <= self.batch.at.since(at));
            if to < from && !(calm && from.milder() <= *to) {
                return Err(format!("batch {}: loosened without calm: {effect:?}", self.batch.height));
            }
            *changed = Some(self.batch.at);
        }
        Ok(())
    }
}

fn accounts(state: &State) -> impl Iterator<Item = (PoolId, AccountId, &Account)> {
    state.pools.iter().flat_map(|pool| pool.accounts.iter().map(|(id, account)| (pool.id, *id, account)))
}

fn rich(state: &State) -> BTreeSet<(PoolId, AccountId)> {
    accounts(state).filter(|(_, _, account)| RICH < account.cash).map(|(pool, id, _)| (pool, id)).collect()
}

/// Zero, one, the ends, a power of two or its neighbours, or anything; either sign.
fn extreme(dice: &mut Dice) -> i64 {
    let bits = dice.bits();
    let power = 1_i64 << (bits >> 8 & 63).min(62);
    let value = match bits & 15 {
        0 => 0,
        1 => 1,
        2 => i64::MAX,
        3 => i64::MIN,
        4..=6 => power,
        7 => power - 1,
        8 => power + 1,
        9..=12 => power | (bits >> 16) as i64 & (power - 1),
        _ => (bits >> 4) as i64,
    };
    if bits & 16 == 0 { value } else { value.saturating_neg() }
}

/// The same venue with every limit as far away as validation lets it be.
fn widest(dice: &mut Dice, mut params: VenueParams) -> VenueParams {
    for pool in &mut params.pools {
        pool.orders_per_account_max = if dice.once_in(2) { u16::MAX } else { 6 };
        pool.backstop = dice.once_in(2).then_some(AccountId(7));
    }
    for market in &mut params.markets {
        market.order_size_max = Size(i64::MAX);
        market.open_interest_max = Size(i64::MAX);
        market.oracle.jump_max = units::Ratio::percent(10_000);
        market.oracle.jump_confirm = Duration(1);
        if dice.once_in(2) {
            market.scale = Scale::new(9, 3).unwrap_or(market.scale);
        }
        for source in &mut market.sources {
            source.price_min = Price(0);
            source.price_max = Price(i64::MAX);
            source.heartbeat = if dice.once_in(4) { Duration::seconds(315_360_000) } else { source.heartbeat };
        }
    }
    params
}
