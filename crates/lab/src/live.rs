//! A feed of the past as a node meets it: in its order, at its pace or faster, with the outside market for whoever is liquidated.
//!
//! Start at [`Venue::of`], then [`Live::run`]. A journal that holds the beginning already goes on where it stopped.

use crate::feed::time;
use crate::feed::{BarRef, Feed, FeedEvent, Micros};
use crate::replay::accounts::{Accounts, AccountsFrom};
use crate::replay::outside::{Impact, Outside, taken_back};
use crate::replay::world::World;
use kernel::Kernel;
use kernel::detect::NAMES;
use node::{Decided, Node, NodeFault};
use policy::Policy;
use protocol::input::{InsuranceDeposit, Observation};
use protocol::{Effect, GovernanceParams, Input, MarketId, PoolId, SourceId, VenueParams};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use units::{Notional, Price, Rounding, Timestamp};

/// How long a wait may last before anybody looks whether it is to stop.
const SLICE: Duration = Duration::from_millis(20);

/// What a feed lists under a policy, and who trades there.
#[derive(Clone, Debug)]
pub struct Venue {
    /// The feed's markets and sources.
    pub world: World,
    /// Their parameters.
    pub params: VenueParams,
    /// The accounts.
    pub accounts: Accounts,
    /// Of every pool, micro-USD: one percent of the open interest.
    pub insurance: Notional,
    /// Names by pool id.
    pub pool_names: Vec<String>,
    /// What was decided here.
    pub decisions: Vec<String>,
}

impl Venue {
    /// Lists a feed under a policy; without `governance` nobody may change anything while it runs.
    ///
    /// # Errors
    /// In words: a world that can't be listed, or accounts that do not fit.
    pub fn of(
        feed: &Feed,
        policy: &Policy,
        from: &AccountsFrom,
        governance: Option<&GovernanceParams>,
    ) -> Result<Venue, String> {
        Venue::listed(World::of(feed)?, &feed.decisions, policy, from, governance)
    }

    /// Lists a world that nobody has seen yet, as a file says it.
    ///
    /// # Errors
    /// As [`Venue::of`].
    pub fn from_listing(
        text: &str,
        policy: &Policy,
        from: &AccountsFrom,
        governance: Option<&GovernanceParams>,
    ) -> Result<Venue, String> {
        Venue::listed(World::listed(text)?, &[], policy, from, governance)
    }

    fn listed(
        world: World,
        before: &[String],
        policy: &Policy,
        from: &AccountsFrom,
        governance: Option<&GovernanceParams>,
    ) -> Result<Venue, String> {
        let listed = world.list(policy).map_err(|error| error.to_string())?;
        let accounts = Accounts::of(from, &world, &listed.pool_names)?;
        let insurance = Notional((accounts.open_interest_usd(&world) * 0.01 * 1e6) as i64);
        let decisions = before.iter().chain(&world.decisions).chain(&listed.decisions).chain(&accounts.decisions);
        let decisions = decisions.cloned().collect();
        let mut params = listed.params;
        if let Some(governance) = governance {
            params.governance = governance.clone();
        }
        // What a node begins with is known to be sound.
        Kernel::new(&params, &accounts.genesis)
            .map_err(|bad| format!("the accounts do not fit the policy: {bad:?}"))?;
        Ok(Venue { world, params, accounts, insurance, pool_names: listed.pool_names, decisions })
    }

    /// The kernel before its first batch.
    ///
    /// # Panics
    /// Never: [`Venue::of`] made it once.
    #[must_use]
    pub fn genesis(&self) -> Kernel {
        Kernel::new(&self.params, &self.accounts.genesis).unwrap_or_else(|bad| panic!("listed before: {bad:?}"))
    }

    /// What every pool's insurance fund begins with.
    pub fn endowment(&self) -> impl Iterator<Item = Input> {
        let amount = self.insurance;
        let pools = (0..self.params.pools.len()).filter_map(|pool| u16::try_from(pool).ok()).map(PoolId);
        pools
            .filter(move |_| Notional(0) < amount)
            .map(move |pool| Input::InsuranceDeposit(InsuranceDeposit { pool, amount }))
    }
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Observations that went in.
    pub observations: u64,
    /// Those of the feed that the journal held already.
    pub skipped: u64,
    /// Batches whose effects left.
    pub released: u64,
    /// Liquidation orders that left.
    pub liquidations: u64,
    /// Whether the feed came to its end.
    pub at_end: bool,
}

/// How fast a feed goes through.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// So many times as fast as it was; `None`: as fast as it goes, with every effect carried out before the next observation, so that two
    /// runs do the same.
    pub speed: Option<f64>,
    /// Behind the feed's end time goes on until somebody stops it.
    pub lingers: bool,
}

/// Who looks on while a feed runs, and may have the node hear statements.
pub trait Onlooker {
    /// A batch whose effects left.
    fn released(&mut self, node: &Node, decided: &Decided);

    /// Between batches, at least every 20 ms: what time it is.
    ///
    /// # Errors
    /// A journal that failed.
    fn look(&mut self, node: &mut Node, at: Timestamp) -> Result<(), NodeFault> {
        let _nobody_asks = (node, at);
        Ok(())
    }

    /// The feed is at its end, and time goes on.
    fn ended(&mut self) {}
}

/// Why a run stopped before its end.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// The feed can't be read on, in words.
    #[error("{0}")]
    Unread(String),
    /// The node is at its end.
    #[error(transparent)]
    Node(#[from] NodeFault),
}

fn unread(error: impl ToString) -> Stopped {
    Stopped::Unread(error.to_string())
}

/// A feed and the node that it goes through.
pub struct Live<'a> {
    venue: &'a Venue,
    node: &'a mut Node,
    outside: Outside<'a>,
    done: Done,
}

impl<'a> Live<'a> {
    /// A node at the feed's beginning, or wherever its journal stopped.
    #[must_use]
    pub fn new(venue: &'a Venue, node: &'a mut Node) -> Live<'a> {
        let impact = Impact { coefficient: 1.0, volume_assumed_usd: 100_000.0 };
        // Orders that rest from before have lower numbers, in whatever batch they came.
        let outside = Outside::new(&venue.world, impact, (node.head().height + 1) << 24);
        Live { venue, node, outside, done: Done::default() }
    }

    /// Sends the feed through the node at a pace. Every batch whose effects leave is shown to `onlooker`. Ends at the feed's end, unless it
    /// lingers, or soon after `stop` says so.
    ///
    /// # Errors
    /// A stream that can't be read; a journal that failed.
    pub fn run(
        mut self,
        feed: &Feed,
        pace: Pace,
        stop: &AtomicBool,
        onlooker: &mut dyn Onlooker,
    ) -> Result<Done, Stopped> {
        let Pace { speed, lingers } = pace;
        let begun_at = self.node.state().at;
        let is_new = self.node.head().height == 0;
        let mut clock: Option<(Instant, Micros)> = None;
        for event in feed.replay().map_err(unread)? {
            let event = event.map_err(unread)?;
            if !is_new && event.received_at <= begun_at.0 {
                self.done.skipped += 1;
                continue;
            }
            if stop.load(Ordering::Relaxed) {
                self.settle(onlooker)?;
                return Ok(self.done);
            }
            let (started, first) = *clock.get_or_insert((Instant::now(), event.received_at));
            if let Some(speed) = speed {
                self.wait(started, first, event.received_at, speed, stop, onlooker)?;
            }
            self.event(&event, speed.is_none(), onlooker)?;
            if speed.is_none() {
                onlooker.look(self.node, Timestamp(event.received_at))?;
            }
        }
        self.settle(onlooker)?;
        self.done.at_end = true;
        if lingers {
            onlooker.ended();
            // The venue goes on, without anybody who says a price.
            let (started, first) = match (clock, speed) {
                (Some(clock), Some(_)) => clock,
                (Some(_) | None, _) => (Instant::now(), self.node.state().at.0),
            };
            self.wait(started, first, Micros::MAX, speed.unwrap_or(1.0), stop, onlooker)?;
            self.settle(onlooker)?;
        }
        Ok(self.done)
    }

    /// Lets the node live by this machine's clock until `stop` says so: what it hears of the outside, others bring. Its markets are cleared every
    /// second in which something rests in their books.
    ///
    /// # Errors
    /// A journal that failed.
    pub fn stand(mut self, stop: &AtomicBool, onlooker: &mut dyn Onlooker) -> Result<Done, Stopped> {
        let now = || {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            since.map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
        };
        if self.node.head().height == 0 {
            let endowment = self.venue.endowment().collect();
            self.node.turn(Timestamp(now()), endowment)?;
        }
        while !stop.load(Ordering::Relaxed) {
            // A clock that was set back waits for itself; one that jumped ahead is what it says.
            let second = now().saturating_add(1_000_000);
            self.wait(Instant::now(), now(), second, 1.0, stop, onlooker)?;
            let resting: Vec<MarketId> = self.node.state().markets().map(|market| market.id).collect();
            for market in resting {
                if self.node.exchange().book(market).is_some_and(|book| !book.is_empty()) {
                    self.node.auction(market);
                }
            }
        }
        self.settle(onlooker)?;
        Ok(self.done)
    }

    /// Lets time pass until an event is known; what the kernel decides by itself meanwhile, it decides then.
    fn wait(
        &mut self,
        started: Instant,
        first: Micros,
        until: Micros,
        speed: f64,
        stop: &AtomicBool,
        onlooker: &mut dyn Onlooker,
    ) -> Result<(), NodeFault> {
        loop {
            let passed = (started.elapsed().as_secs_f64() * speed * 1e6) as Micros;
            let now = first.saturating_add(passed);
            self.release(onlooker)?;
            onlooker.look(self.node, Timestamp(now))?;
            if until <= now || stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            if self.node.next_due().is_some_and(|due| due.0 <= now) {
                self.node.turn(Timestamp(now), Vec::new())?;
                continue;
            }
            let ahead = Duration::try_from_secs_f64((until - now) as f64 / 1e6 / speed);
            std::thread::sleep(ahead.map_or(SLICE, |ahead| ahead.min(SLICE)));
        }
    }

    fn event(&mut self, event: &FeedEvent, is_hurried: bool, onlooker: &mut dyn Onlooker) -> Result<(), NodeFault> {
        let Some((market, source)) = self.venue.world.series.get(event.series as usize).copied() else { return Ok(()) };
        let listed = &self.venue.world.markets[usize::from(market.0)];
        let width = listed.scale.price_from_pico(event.confidence.max(0), Rounding::Up);
        let seen = Observation {
            market,
            source,
            observer: 0,
            price: listed.price(event.price),
            confidence: width.unwrap_or(Price(i64::MAX)),
            published_at: Timestamp(event.published_at),
            received_at: Timestamp(event.received_at),
        };
        let at = Timestamp(event.received_at);
        let mut inputs: Vec<Input> = Vec::new();
        if self.node.head().height == 0 {
            inputs.extend(self.venue.endowment());
        }
        inputs.push(Input::Observation(seen));
        self.node.turn(at, inputs)?;
        self.done.observations += 1;
        if is_hurried && self.node.has_waiting() {
            // The disk's time is not the feed's.
            self.node.settle()?;
        }
        self.release(onlooker)?;
        match event.bar.and_then(|bar| self.in_usd(market, source, bar)) {
            Some(bar) => self.bar(market, &bar, at, onlooker),
            None => Ok(()),
        }
    }

    /// A bar became known: for a moment the outside market quotes as it did in it, and meets what rests in the book.
    fn bar(
        &mut self,
        market: MarketId,
        bar: &BarRef,
        at: Timestamp,
        onlooker: &mut dyn Onlooker,
    ) -> Result<(), NodeFault> {
        let Some(book) = self.node.exchange().book(market).filter(|book| !book.is_empty()) else { return Ok(()) };
        let offers = self.outside.offers(market, bar, book);
        if offers.is_empty() {
            return Ok(());
        }
        self.node.turn(at, offers.iter().copied().map(Input::Order).collect())?;
        // The auction is of what has entered, and it enters once that is durable.
        self.settle(onlooker)?;
        self.node.auction(market);
        self.node.turn(at, offers.iter().map(taken_back).collect())?;
        self.release(onlooker)
    }

    /// What a bar was worth in USD by what the kernel believes of its unit; `None` where that has no price.
    fn in_usd(&self, market: MarketId, source: SourceId, bar: BarRef) -> Option<BarRef> {
        let Some(unit) = self.venue.world.unit(market, source) else { return Some(bar) };
        let worth = self.node.state().market(unit)?.quality().value;
        let worth = self.venue.world.markets[usize::from(unit.0)].scale.price_to_pico(worth);
        let usd = |pico: i128| pico.checked_mul(worth).map(|product| product / 1_000_000_000_000);
        let found = (usd(bar.open)?, usd(bar.high)?, usd(bar.low)?, usd(bar.close)?);
        let (open, high, low, close) = found;
        (0 < low).then_some(BarRef { open, high, low, close, volume: bar.volume })
    }

    fn release(&mut self, onlooker: &mut dyn Onlooker) -> Result<(), NodeFault> {
        while let Some(decided) = self.node.released()? {
            self.done.released += 1;
            let liquidates = |effect: &&Effect| matches!(effect, Effect::Liquidate { .. });
            self.done.liquidations += decided.effects.iter().filter(liquidates).count() as u64;
            onlooker.released(self.node, &decided);
        }
        Ok(())
    }

    fn settle(&mut self, onlooker: &mut dyn Onlooker) -> Result<(), NodeFault> {
        self.node.settle()?;
        self.release(onlooker)
    }
}

/// What effects say that a person would want to read: what is of one kind in one market and second, in one line.
#[derive(Clone, Debug)]
pub struct Teller<'a> {
    world: &'a World,
    second: i64,
    lines: Vec<Line>,
}

/// A line for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When the first of them was decided, microseconds since 1970.
    pub at: Micros,
    /// The height of that batch.
    pub height: u64,
    /// The market, or empty.
    pub market: String,
    /// `mode`, `liquidation`, `insurance`, `adl`, `socialized`, `deficit` or `collateral`.
    pub kind: &'static str,
    /// The first of them, in words.
    pub text: String,
    /// How many there are.
    pub count: u64,
}

impl<'a> Teller<'a> {
    /// Nothing told yet.
    #[must_use]
    pub const fn new(world: &'a World) -> Teller<'a> {
        Teller { world, second: i64::MIN, lines: Vec::new() }
    }

    /// Takes in a batch, and gives the lines of the second before, where that is over.
    pub fn tell(&mut self, decided: &Decided) -> Vec<Line> {
        let second = decided.at.0.div_euclid(1_000_000);
        let over = if self.second == second { Vec::new() } else { self.rest() };
        self.second = second;
        for effect in &decided.effects {
            let Some((market, kind, text)) = self.told(effect) else { continue };
            let market = market.and_then(|market| self.world.markets.get(usize::from(market.0)));
            let market = market.map_or("", |market| &market.name);
            // Each change of a mode is a line of its own, and whatever governance says.
            let alike = |line: &&mut Line| {
                line.market == market && line.kind == kind && !["mode", "governance"].contains(&kind)
            };
            if let Some(line) = self.lines.iter_mut().find(alike) {
                line.count += 1;
                continue;
            }
            let (at, height, market) = (decided.at.0, decided.height, market.to_owned());
            self.lines.push(Line { at, height, market, kind, text, count: 1 });
        }
        over
    }

    /// What was not given yet of seconds before `at`.
    pub fn until(&mut self, at: Timestamp) -> Vec<Line> {
        if at.0.div_euclid(1_000_000) <= self.second { Vec::new() } else { self.rest() }
    }

    /// What was not given yet.
    pub fn rest(&mut self) -> Vec<Line> {
        std::mem::take(&mut self.lines)
    }

    /// Market, kind and words; `None` for what only machines act on.
    fn told(&self, effect: &Effect) -> Option<(Option<MarketId>, &'static str, String)> {
        let usd = |amount: &Notional| amount.0 as f64 / 1e6;
        match effect {
            Effect::Mode { market, from, to, causes, .. } => {
                let asks = NAMES.iter().enumerate().filter(|(bit, _)| causes & 1 << bit != 0);
                let mut asks: Vec<&str> = asks.map(|(_, name)| *name).collect();
                if causes & kernel::kernel::ASKED != 0 {
                    asks.push("asked for");
                }
                let because = if asks.is_empty() { String::new() } else { format!(" ({})", asks.join(", ")) };
                Some((Some(*market), "mode", format!("{from:?} to {to:?}{because}")))
            }
            Effect::Liquidate { order, .. } => {
                let listed = self.world.markets.get(usize::from(order.market.0))?;
                let (base, limit) = (listed.base(order.size.0 as f64), listed.usd(order.limit));
                let text = format!("account {} liquidated: {base:.4} at {limit:.6} USD or better", order.account.0);
                Some((Some(order.market), "liquidation", text))
            }
            Effect::InsurancePaid { account, amount, .. } => {
                Some((None, "insurance", format!("insurance pays {:.2} USD for account {}", usd(amount), account.0)))
            }
            Effect::Deleveraged { market, account, counterparty, .. } => {
                let text = format!("account {} closed against account {}", account.0, counterparty.0);
                Some((Some(*market), "adl", text))
            }
            Effect::Socialized { market, account, amount, .. } => {
                let text = format!("account {} pays {:.2} USD of a loss", account.0, usd(amount));
                Some((Some(*market), "socialized", text))
            }
            Effect::Deficit { amount, .. } => {
                Some((None, "deficit", format!("a deficit of {:.2} USD stands", usd(amount))))
            }
            Effect::CollateralSold { market, account, buyer, .. } => {
                let text = format!("collateral of account {} sold to account {}", account.0, buyer.0);
                Some((Some(*market), "collateral", text))
            }
            Effect::Governed { what } => {
                let (market, text) = node::statement::told(what, |at| time::format_time(at.0));
                Some((market, "governance", text))
            }
            Effect::Rejected { .. }
            | Effect::Source { .. }
            | Effect::Quality { .. }
            | Effect::Admit { .. }
            | Effect::Withdraw { .. }
            | Effect::PayOut { .. }
            | Effect::Funded { .. }
            | Effect::HandOut { .. } => None,
        }
    }
}
