//! One run: a kernel, the embedded venue, and the outside market.

use super::hindsight::Hindsight;
use super::outside::{Impact, Outside, taken_back};
use super::tally::Tally;
use super::world::World;
use crate::feed::{BarRef, Micros};
use kernel::{Genesis, Kernel};
use protocol::effect::AdmittedOrder;
use protocol::input::Observation;
use protocol::{Batch, Effect, Input, MarketId, SourceId, VenueParams};
use std::collections::VecDeque;
use units::{Price, Timestamp};
use venue::{Exchange, Limits};

/// Is shown every batch with its effects, and the kernel after it.
pub type Observer<'a> = Box<dyn FnMut(&Batch, &[Effect], &Kernel) + 'a>;

/// One run.
pub struct Run<'a> {
    kernel: Kernel,
    exchange: Exchange,
    /// By market: liquidations that wait for a bar that opens after their decision.
    waiting: Vec<VecDeque<(Timestamp, AdmittedOrder)>>,
    outside: Outside<'a>,
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
            tally: Tally::new(world, accounts),
            kernel,
            exchange: Exchange::new(params, limits),
            waiting: vec![VecDeque::new(); world.markets.len()],
            outside: Outside::new(world, impact, 1),
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
        let offers = self.outside.offers(market, bar, book);
        if !offers.is_empty() {
            self.batch.inputs.extend(offers.iter().copied().map(Input::Order));
            self.apply(at);
        }
        let mark = self.kernel.state().market(market).map_or(Price(1), |market| market.mark.price);
        let seed = self.batch.seed;
        if self.exchange.auction(market, &seed, mark, &mut self.batch.inputs).is_ok() {
            // The only quotes here are those of this one bar; they say nothing about a premium.
            self.batch.inputs.retain(|input| !matches!(input, Input::BookTop(_)));
        }
        self.batch.inputs.extend(offers.iter().map(taken_back));
        self.apply(at);
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

/// The two times of an observation.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Theirs, microseconds.
    pub published_at: Micros,
    /// Ours, microseconds.
    pub received_at: Micros,
}
