//! One run: a kernel, the embedded venue, and the outside market as far as its bars let liquidations through.

use super::hindsight::Hindsight;
use super::tally::Tally;
use super::world::{BACKSTOP, World};
use crate::feed::{BarRef, Micros};
use kernel::{Genesis, Kernel};
use protocol::effect::AdmittedOrder;
use protocol::input::{Cancel, Observation, Order};
use protocol::{Batch, Effect, Input, MarketId, OrderId, SourceId, VenueParams};
use std::collections::VecDeque;
use units::{Price, Size, Timestamp};
use venue::{Exchange, Limits};

/// The share of a bar's volume that liquidations may take, those that sell and those that buy together.
pub const VOLUME_SHARE: f64 = 0.10;
/// Into how many price levels that share is cut.
const LEVELS: u32 = 5;

/// The law by which liquidations move the price that they get: closing a share `q` of a bar's volume costs
/// `coefficient × range × √q` of the price, with `range` the bar's high less low over its close, at least 2 bp. At the
/// coefficient 1 taking all of a bar would cost its whole range, and the tenth that is allowed costs a third of it.
/// The square root is the one regularity on which studies of metaorders agree.
#[derive(Clone, Copy, Debug)]
pub struct Impact {
    /// Multiplies the law.
    pub coefficient: f64,
    /// What a bar is taken to have traded where its file does not say, USD.
    pub volume_assumed_usd: f64,
}

/// Is shown every batch with its effects, and the kernel after it.
pub type Observer<'a> = Box<dyn FnMut(&Batch, &[Effect], &Kernel) + 'a>;

/// One run.
pub struct Run<'a> {
    world: &'a World,
    kernel: Kernel,
    exchange: Exchange,
    /// By market: liquidations that wait for a bar that opens after their decision.
    waiting: Vec<VecDeque<(Timestamp, AdmittedOrder)>>,
    impact: Impact,
    next_order: u64,
    batch: Batch,
    effects: Vec<Effect>,
    observer: Option<Observer<'a>>,
    /// What is counted.
    pub tally: Tally,
}

/// Whether the policy takes what accounts have beside money.
fn takes(world: &World, params: &VenueParams, accounts: &[Genesis]) -> Result<(), String> {
    for ((id, listed), market) in (0..).map(MarketId).zip(&params.markets).zip(&world.markets) {
        let here = accounts.iter().flat_map(|genesis| genesis.collateral.iter().filter(|(of, _)| *of == id));
        let lots: i128 = here.map(|(_, lots)| i128::from(lots.0)).sum();
        let max = listed.collateral.deposit_max.0;
        if i128::from(max) < lots {
            let (name, lots, max) = (&market.name, market.base(lots as f64), market.base(max as f64));
            return Err(format!(
                "the accounts have {lots} {name} as collateral, of which the policy takes {max}: raise \
                 collateral.deposit_max in [market.{name}], or give the amount in USD"
            ));
        }
    }
    Ok(())
}

impl<'a> Run<'a> {
    /// A run before its first batch.
    ///
    /// # Errors
    /// Accounts that do not fit the parameters, in words.
    pub fn new(
        world: &'a World,
        params: &VenueParams,
        accounts: &[Genesis],
        insurance_usd: f64,
        impact: Impact,
    ) -> Result<Run<'a>, String> {
        takes(world, params, accounts)?;
        let kernel =
            Kernel::new(params, accounts).map_err(|bad| format!("the accounts do not fit the policy: {bad:?}"))?;
        let limits = Limits { orders_max: 1 << 20, kernel_orders_max: 1 << 20 };
        let mut run = Run {
            world,
            tally: Tally::new(world, accounts),
            kernel,
            exchange: Exchange::new(params, limits),
            waiting: vec![VecDeque::new(); world.markets.len()],
            impact,
            next_order: 1,
            batch: Batch { height: 0, at: Timestamp(0), seed: [0; 32], inputs: Vec::new() },
            effects: Vec::new(),
            observer: None,
        };
        let amount = units::Notional((insurance_usd * 1e6) as i64);
        if 0 < amount.0 {
            for pool in 0..params.pools.len() {
                let pool = protocol::PoolId(u16::try_from(pool).unwrap_or(u16::MAX));
                run.batch.inputs.push(Input::InsuranceDeposit(protocol::input::InsuranceDeposit { pool, amount }));
            }
            run.apply(Timestamp(0));
        }
        Ok(run)
    }

    /// Shows every batch from here on to `observer`, so that a run can be judged by somebody else.
    #[must_use]
    pub fn with_observer(mut self, observer: Observer<'a>) -> Run<'a> {
        self.observer = Some(observer);
        self
    }

    /// The kernel.
    #[must_use]
    pub const fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Lets time pass until `at`, stopping wherever the kernel would decide something without an input.
    pub fn pass(&mut self, at: Micros) {
        while let Some(due) = self.kernel.next_due().filter(|due| due.0 < at) {
            if due <= self.kernel.state().at {
                break;
            }
            self.apply(due);
        }
    }

    /// One observation at its receipt.
    pub fn observe(&mut self, market: MarketId, source: SourceId, price: Price, confidence: Price, at: Seen) {
        self.pass(at.received_at);
        let (published_at, received_at) = (Timestamp(at.published_at), Timestamp(at.received_at));
        let seen = Observation { market, source, observer: 0, price, confidence, published_at, received_at };
        self.batch.inputs.push(Input::Observation(seen));
        self.apply(received_at);
    }

    /// A bar of the outside market became known: liquidations that were decided before it opened fill against it.
    pub fn bar(&mut self, market: MarketId, bar: &BarRef, opened_at: Micros, received_at: Micros) {
        // What the kernel would have taken back by then does not fill.
        self.pass(received_at.saturating_add(1));
        let place = usize::from(market.0);
        let resting = self.exchange.book(market).is_some_and(|book| !book.is_empty());
        let ready = |(decided, _): &(Timestamp, AdmittedOrder)| decided.0 <= opened_at;
        if !resting && !self.waiting[place].front().is_some_and(ready) {
            return;
        }
        let at = Timestamp(received_at);
        while let Some((_, order)) = self.waiting[place].pop_front_if(|waiting| ready(waiting)) {
            let effect = Effect::Admit { order };
            // A refused order is reported done, and the kernel decides again.
            let _refused = self.exchange.accept(&effect, &mut self.batch.inputs);
        }
        let Some(book) = self.exchange.book(market) else { return };
        let (selling, buying) = book.orders().fold((0_i64, 0_i64), |(selling, buying), order| {
            let lots = order.size.0;
            if lots < 0 { (selling.saturating_sub(lots), buying) } else { (selling, buying.saturating_add(lots)) }
        });
        let first = self.next_order;
        let level = self.level(market, bar);
        let allowed = shared(level.saturating_mul(i64::from(LEVELS)), [selling, buying]);
        for (lots, sign) in allowed.into_iter().zip([1.0, -1.0]) {
            self.offer(market, bar, level, lots, sign);
        }
        if self.next_order != first {
            self.apply(at);
        }
        let mark = self.kernel.state().market(market).map_or(Price(1), |market| market.mark.price);
        let seed = self.batch.seed;
        if self.exchange.auction(market, &seed, mark, &mut self.batch.inputs).is_ok() {
            // The only quotes here are those of this one bar; they say nothing about a premium.
            self.batch.inputs.retain(|input| !matches!(input, Input::BookTop(_)));
        }
        // What was offered for this bar is gone with it.
        for order in first..self.next_order {
            self.batch.inputs.push(Input::Cancel(Cancel { market, account: BACKSTOP, order: OrderId(order) }));
        }
        self.apply(at);
    }

    /// Lots of a level: [`LEVELS`] of them are [`VOLUME_SHARE`] of the bar's volume.
    fn level(&self, market: MarketId, bar: &BarRef) -> i64 {
        let volume = match bar.volume {
            Some(volume) => volume as f64 / 1e8,
            None => self.impact.volume_assumed_usd / (bar.close as f64 / 1e12),
        };
        let listed = &self.world.markets[usize::from(market.0)];
        (listed.lots_of(volume) * VOLUME_SHARE / f64::from(LEVELS)).floor() as i64
    }

    /// Offers `allowed` lots against a bar, in levels whose prices follow the impact law.
    fn offer(&mut self, market: MarketId, bar: &BarRef, level: i64, allowed: i64, sign: f64) {
        let listed = &self.world.markets[usize::from(market.0)];
        let close = bar.close as f64;
        let range = ((bar.high - bar.low) as f64 / close).max(2e-4);
        let mut left = allowed;
        for k in 1..=LEVELS {
            let share = VOLUME_SHARE * f64::from(k) / f64::from(LEVELS);
            let moved = self.impact.coefficient * range * share.sqrt();
            let limit = listed.price((close * (1.0 - sign * moved)).max(1.0) as i128);
            let lots = level.min(left);
            if lots <= 0 {
                break;
            }
            left -= lots;
            let id = OrderId(self.next_order);
            self.next_order += 1;
            let size = Size(if sign > 0.0 { lots } else { -lots });
            self.batch.inputs.push(Input::Order(Order { id, account: BACKSTOP, market, size, limit }));
        }
    }

    /// Applies the gathered inputs as one batch and carries out its effects.
    fn apply(&mut self, at: Timestamp) {
        let at = at.max(self.kernel.state().at);
        self.batch.height = self.kernel.state().height + 1;
        self.batch.at = at;
        self.tally.before(&self.batch.inputs);
        self.effects.clear();
        self.kernel.apply(&self.batch, &mut self.effects);
        self.tally.after(&self.batch.inputs, &self.effects, &self.kernel, at);
        if let Some(observer) = &mut self.observer {
            observer(&self.batch, &self.effects, &self.kernel);
        }
        self.batch.inputs.clear();
        self.batch.seed = self.tally.seed();
        for effect in &self.effects {
            match effect {
                Effect::Liquidate { order, .. } => self.waiting[usize::from(order.market.0)].push_back((at, *order)),
                Effect::Withdraw { market, order } => {
                    self.waiting[usize::from(market.0)].retain(|(_, waiting)| waiting.id != *order);
                    let _gone = self.exchange.accept(effect, &mut self.batch.inputs);
                }
                other => {
                    let _refused = self.exchange.accept(other, &mut self.batch.inputs);
                }
            }
        }
    }

    /// Everything is over: invariants, final equity, and the judgement of hindsight.
    pub fn finish(&mut self, hindsight: &Hindsight, world: &World) {
        self.tally.finish(&self.kernel);
        self.tally.judge(hindsight, world, &self.kernel);
    }
}

/// What of `lots` each of two sides gets that want so many: all that it wants where there is enough for both, else pro
/// rata to it, rounded down.
#[must_use]
pub fn shared(lots: i64, wanted: [i64; 2]) -> [i64; 2] {
    let (lots, wanted) = (i128::from(lots.max(0)), wanted.map(|side| i128::from(side.max(0))));
    let all: i128 = wanted.iter().sum();
    wanted.map(|side| {
        let part = if all <= lots { side } else { lots * side / all };
        i64::try_from(part).unwrap_or(i64::MAX)
    })
}

/// The two times of an observation.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Theirs, microseconds.
    pub published_at: Micros,
    /// Ours, microseconds.
    pub received_at: Micros,
}
