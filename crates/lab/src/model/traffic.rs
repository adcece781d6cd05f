//! Random but plausible batches: what a venue with several pools could really be told, on bad days more often than on
//! good ones.
//!
//! Prices walk and jump; sources are late, frozen, scaled or mad for a while; traders pay in, ask back, order and cancel;
//! orders that cross are traded in part or whole; liquidation orders are filled, filled in part or ignored; time passes in
//! small and large steps. Some inputs are wrong on purpose. Everything follows from the seed and from the kernel's own
//! answers.

use super::dice::Dice;
use kernel::index::{Denomination, Parts};
use kernel::state::{OpenOrder, Pool};
use kernel::{Genesis, Holding, State};
use protocol::input::{
    BookTop, Buy, Cancel, ChainHealth, Collateral, Depth, Funding, InsuranceDeposit, Isolate, Observation, Order,
    OrderDone, Redenomination, Session, Trade, Transfer,
};
use protocol::params::{
    ActivityParams, BreakerParams, ChainParams, CollateralParams, DetectorParams, FundingParams, LiquidationParams,
    MarkParams, OracleParams, SourceParams, Thresholds, Tier,
};
use protocol::{
    AccountId, Batch, Input, LineageId, MarketId, MarketParams, OrderId, Panel, PoolId, PoolParams, Rung, SourceId,
    SourceKind, VenueParams,
};
use units::{Duration, Notional, Price, Ratio, Scale, Size, Timestamp};

/// Price shift, lot decimals, first price in price units, lots worth about one USD.
const LISTINGS: [(u8, u8, i64, i64); 4] =
    [(4, 5, 6_000_000_000_000, 2), (4, 3, 10_000_000_000, 10), (2, 1, 10_000_000_000, 10), (0, 0, 400_000_000, 2_500)];

/// Accounts of a pool; the last two make the market.
const ACCOUNTS: u64 = 10;

/// What a source does to the true price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behaviour {
    Honest,
    Silent,
    Frozen,
    Scaled(i64),
    Zero,
    Ahead,
    Bound,
    Vague,
    /// Says what was seconds ago.
    Slow,
}

/// A market's world outside the venue.
#[derive(Clone, Debug)]
struct World {
    price: i64,
    dollar: i64,
    /// Its sources come and go all the time, and many of them.
    torn: bool,
    sources: Vec<(Behaviour, i64)>,
    /// Batches for which nobody speaks on a rung, in the order of the rungs.
    silent: [i64; 4],
    /// What its sources price by now, as far as they know of it.
    denomination: Denomination,
    /// The last split was announced, and never happened.
    hoax: bool,
}

/// How long a contradiction is waited out where sources are torn.
const TORN_CONFIRM: Duration = Duration::seconds(3);

/// Makes batches for one venue.
#[derive(Clone, Debug)]
pub struct Traffic {
    dice: Dice,
    params: VenueParams,
    genesis: Vec<Genesis>,
    worlds: Vec<World>,
    at: i64,
    order: u64,
}

impl Traffic {
    /// The venue and the story of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Traffic {
        let mut dice = Dice::new(seed);
        let pools = 2 + dice.below(2);
        let params = venue(&mut dice, pools as u16);
        let mut worlds = Vec::new();
        for (market, id) in params.markets.iter().zip(0_usize..) {
            let (_, _, price, dollar) = LISTINGS[id % LISTINGS.len()];
            // Whoever has so short a minute lives it often.
            let torn = market.oracle.dispute_confirm <= TORN_CONFIRM;
            let sources = vec![(Behaviour::Honest, price); market.sources.len()];
            worlds.push(World {
                price,
                dollar,
                torn,
                sources,
                silent: [0; 4],
                denomination: Denomination::LISTED,
                hoax: false,
            });
        }
        let genesis = genesis(&mut dice, &params, &worlds);
        Traffic { dice, params, genesis, worlds, at: 1_700_000_000_000_000, order: 0 }
    }

    /// The venue's parameters.
    #[must_use]
    pub fn params(&self) -> &VenueParams {
        &self.params
    }

    /// The accounts with which it begins.
    #[must_use]
    pub fn genesis(&self) -> &[Genesis] {
        &self.genesis
    }

    /// The next batch for a kernel that is in `state`.
    pub fn next(&mut self, state: &State) -> Batch {
        self.at += self.step();
        let mut inputs = Vec::new();
        self.trades(state, &mut inputs);
        // On the worst days everything goes the same way at once, and gains in one market are losses in the next.
        let crash = self
            .dice
            .once_in(100)
            .then(|| self.dice.between(1_500, 4_500) * if self.dice.percent(50) { 1 } else { -1 });
        for market in 0..self.worlds.len() {
            self.prices(market, crash, &mut inputs);
        }
        for pool in &state.pools {
            self.health(pool, &mut inputs);
            self.transfers(pool, &mut inputs);
            self.orders(pool, &mut inputs);
        }
        // Where an input stands must not matter, but for those that go on with a story.
        if self.dice.once_in(8) {
            shuffle(&mut inputs, &mut self.dice);
        }
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.dice.bits().to_le_bytes());
        Batch { height: state.height + 1, at: Timestamp(self.at), seed, inputs }
    }

    fn step(&mut self) -> i64 {
        let dice = &mut self.dice;
        match dice.below(200) {
            0 => dice.between(20_000_000, 400_000_000),
            1..=4 => dice.between(3_000_000, 12_000_000),
            5..=9 => 0,
            10..=39 => dice.between(1, 900_000),
            _ => 1_000_000,
        }
    }

    fn prices(&mut self, market: usize, crash: Option<i64>, inputs: &mut Vec<Input>) {
        // What the unit of each source is worth, 10^-12 USD.
        let pico = |unit: MarketId| {
            let (world, params) =
                (self.worlds.get(usize::from(unit.0))?, self.params.markets.get(usize::from(unit.0))?);
            Some(params.scale.price_to_pico(Price(world.price)))
        };
        let sources = self.params.markets.get(market).map_or(&[][..], |params| &params.sources);
        let units: Vec<Option<i128>> = sources.iter().map(|source| source.quote.and_then(pico)).collect();
        let (Some(world), Some(params)) = (self.worlds.get_mut(market), self.params.markets.get(market)) else {
            return;
        };
        let dice = &mut self.dice;
        let bps = match dice.below(300) {
            0 => dice.between(-3_000, 3_000),
            1 => dice.between(-1_200, -300),
            2 => dice.between(300, 1_200),
            3..=20 => dice.between(-150, 150),
            _ => dice.between(-20, 20),
        };
        let bps = crash.unwrap_or(bps);
        world.price = (world.price + world.price / 10_000 * bps).clamp(10_000, 1 << 52);
        let quiet = dice.once_in(40);
        // Where there are lower rungs, now and then nobody speaks on a higher one.
        let lower = params.sources.iter().any(|source| source.rung != Rung::Primary);
        for left in &mut world.silent {
            *left = if lower && dice.once_in(250) { dice.between(5, 150) } else { *left - 1 };
        }
        let silent = |place: usize| {
            let rung = params.sources.get(place).map_or(Rung::Primary, |source| source.rung);
            Panel::RUNGS.iter().zip(world.silent).any(|(other, left)| *other == rung && 0 < left)
        };
        let id = MarketId(market as u16);
        for (place, (behaviour, held)) in world.sources.iter_mut().enumerate() {
            *behaviour = match (*behaviour, dice.below(if world.torn { 400 } else { 3_000 })) {
                (Behaviour::Honest, 2 | 4..=6) if world.torn => Behaviour::Scaled(dice.between(9_300, 10_700)),
                (Behaviour::Honest, 0) => Behaviour::Silent,
                (Behaviour::Honest, 1) => Behaviour::Frozen,
                (Behaviour::Honest, 2) => Behaviour::Scaled(dice.between(500, 30_000)),
                (Behaviour::Honest, 3) => Behaviour::Scaled(dice.between(9_500, 10_500)),
                (Behaviour::Honest, 4) => Behaviour::Zero,
                (Behaviour::Honest, 5) => Behaviour::Ahead,
                (Behaviour::Honest, 6) => Behaviour::Bound,
                (Behaviour::Honest, 7) => Behaviour::Vague,
                (Behaviour::Honest, 8) => Behaviour::Slow,
                (_, 10..=22) => Behaviour::Honest,
                (_, 23..=90) if !world.torn => Behaviour::Honest,
                (same, _) => same,
            };
            if quiet || *behaviour == Behaviour::Silent || silent(place) || dice.percent(12) {
                continue;
            }
            let honest = world.price + world.price / 100_000 * dice.between(-60, 60);
            let honest = units.get(place).copied().flatten().map_or(honest, |pico| {
                i64::try_from(i128::from(honest) * 1_000_000_000_000 / pico.max(1)).unwrap_or(i64::MAX)
            });
            let parts = if world.denomination.since.0 <= self.at && !world.hoax {
                world.denomination.after
            } else {
                world.denomination.before
            };
            // Now and then somebody has not heard of it.
            let parts = if dice.once_in(400) { Parts::WHOLE } else { parts };
            let honest = honest / i64::from(parts.of) * i64::from(parts.per);
            let price = match *behaviour {
                Behaviour::Honest | Behaviour::Silent | Behaviour::Ahead | Behaviour::Vague | Behaviour::Slow => honest,
                Behaviour::Frozen => *held,
                Behaviour::Scaled(bps) => honest / 10_000 * bps,
                Behaviour::Zero => dice.between(-1, 0),
                Behaviour::Bound => params.sources.get(place).map_or(0, |source| source.price_max.0),
            };
            if *behaviour != Behaviour::Frozen {
                *held = price;
            }
            let width = if *behaviour == Behaviour::Vague { 30 } else { dice.between(0, 2) };
            let late = if dice.percent(6) { dice.between(0, 1_500_000) } else { 0 };
            let ahead = match *behaviour {
                Behaviour::Ahead => 60_000_000,
                Behaviour::Slow => -dice.between(4_000_000, 5_000_000),
                _ => dice.between(-30_000, 30_000),
            };
            let received_at = self.at - late;
            inputs.push(Input::Observation(Observation {
                market: id,
                source: SourceId(place as u8),
                observer: 0,
                price: Price(price),
                confidence: Price((price / 1_000 * width).max(0)),
                published_at: Timestamp(received_at + ahead),
                received_at: Timestamp(received_at),
            }));
        }
        if dice.percent(25) {
            let mid = world.price + world.price / 10_000 * dice.between(-90, 90);
            let half = world.price / 10_000 * dice.between(-1, 20);
            let (bid, ask) = (Price(mid - half), Price(if dice.once_in(20) { 0 } else { mid + half }));
            inputs.push(Input::BookTop(BookTop { market: id, bid, ask }));
        }
    }

    /// What is reported of a pool beside prices and money.
    fn health(&mut self, pool: &Pool, inputs: &mut Vec<Input>) {
        let (dice, at) = (&mut self.dice, self.at);
        if dice.once_in(400) {
            inputs.push(Input::Restart);
        }
        // Every second pool is on a chain, which now and then stands still.
        if pool.id.0.is_multiple_of(2) && (at / 20_000_000) % 5 != 4 && dice.percent(70) {
            inputs.push(Input::Chain(ChainHealth {
                pool: pool.id,
                produced_at: Timestamp(at - dice.between(-100_000, 2_000_000)),
                base_fee: dice.magnitude(5_000) as u64,
                inclusion: Duration::millis(dice.between(-1, 6_000)),
                finality: Duration::seconds(dice.between(0, 40)),
            }));
        }
        for market in &pool.markets {
            // Out of session for a while, now and then, and back.
            if if market.activity.closed { dice.once_in(20) } else { dice.once_in(1_500) } {
                inputs.push(Input::Session(Session { market: market.id, opens: market.activity.closed }));
            }
            if let Some(world) = self.worlds.get_mut(usize::from(market.id.0)) {
                if world.denomination != market.index.denomination {
                    world.denomination = market.index.denomination;
                    world.hoax = dice.once_in(3);
                }
                // There and back, so that prices stay what can be reckoned with.
                let Parts { of, per } = market.index.denomination.after;
                let (from, into) = if (of, per) != (1, 1) {
                    (of, per)
                } else {
                    [(1, 5), (1, 2), (10, 1), (2, 3), (0, 1), (7, 7)][dice.below(6) as usize]
                };
                if dice.once_in(if world.hoax { 150 } else { 600 }) {
                    let at = Timestamp(at + dice.between(-3_000_000, 20_000_000));
                    inputs.push(Input::Redenomination(Redenomination { market: market.id, from, into, at }));
                }
            }
            if dice.percent(12) {
                let most = market.params.funding.rate_max.0;
                let too_much = i64::from(dice.once_in(8));
                let rate = Ratio(dice.between(-most - too_much, most));
                inputs.push(Input::Funding(Funding { market: market.id, rate }));
            }
            if dice.once_in(10) {
                let mut side = || Size(if dice.once_in(10) { dice.between(-1, 0) } else { dice.magnitude(1 << 30) });
                inputs.push(Input::Depth(Depth { market: market.id, bid: side(), ask: side() }));
            }
        }
    }

    fn transfers(&mut self, pool: &Pool, inputs: &mut Vec<Input>) {
        let dice = &mut self.dice;
        let usd = 1_000_000;
        if dice.percent(8) {
            let account = AccountId(dice.below(ACCOUNTS + 2));
            let amount = Notional(dice.magnitude(20_000) * usd + dice.between(-3, 999_999));
            inputs.push(Input::Deposit(Transfer { pool: pool.id, account, amount }));
        }
        if dice.percent(15) {
            let account = AccountId(dice.below(ACCOUNTS + 1));
            let cash = pool.accounts.get(&account).map_or(0, |account| account.cash.0);
            let amount = match dice.below(4) {
                0 => cash,
                1 => cash / 2,
                _ => dice.magnitude(5_000) * usd,
            };
            inputs.push(Input::Withdraw(Transfer { pool: pool.id, account, amount: Notional(amount) }));
        }
        if dice.percent(12)
            && let Some(place) = Some(dice.below(pool.markets.len().max(1) as u64) as usize)
            && let Some(market) = pool.markets.get(place).map(|market| market.id)
        {
            let owner = dice.below(ACCOUNTS + 1);
            let of = if dice.once_in(12) { dice.below(ACCOUNTS) } else { owner };
            let account = if dice.once_in(20) { AccountId(of) } else { isolated(of, market) };
            let held = pool.accounts.get(&account).map_or(0, |account| account.cash.0);
            let amount = match dice.below(4) {
                0 => -held,
                1 => -held / 3,
                2 => dice.between(-2, 20) * usd,
                _ => dice.magnitude(8_000) * usd,
            };
            let owner = AccountId(owner);
            inputs.push(Input::Isolate(Isolate { market, owner, account, amount: Notional(amount) }));
        }
        let takes = |market: &&kernel::state::Market| Size(0) < market.params.collateral.deposit_max;
        let taken: Vec<MarketId> = pool.markets.iter().filter(takes).map(|market| market.id).collect();
        if dice.percent(12)
            && let Some(market) = dice.one_of(&taken)
            && let Some(world) = self.worlds.get(usize::from(market.0))
        {
            let account = AccountId(dice.below(ACCOUNTS + 1));
            let held = pool.accounts.get(&account).map_or(0, |account| account.held_in(market).0);
            let size = match dice.below(8) {
                0 => -held,
                1 => -held / 2,
                2 => dice.between(-2, 2),
                _ => dice.magnitude(6_000) * world.dollar,
            };
            inputs.push(Input::Collateral(Collateral { market, account, size: Size(size) }));
        }
        // Somebody looks for what is for sale.
        for (from, account) in &pool.accounts {
            let Some(held) = account.collateral.first().filter(|_| pool.distressed.contains_key(from)) else {
                continue;
            };
            let Some(market) = pool.market(held.market).filter(|_| dice.percent(15)) else { continue };
            let price = i128::from(market.mark.price.0.max(1));
            let needed = i128::from(account.cash.0.min(0).abs()) * market.per_micro / price;
            let size = match dice.below(3) {
                0 => needed as i64 + dice.between(-1, 2),
                1 => dice.between(0, 3),
                _ => dice.between(1, held.all().0.max(1)).min(needed as i64 + 1),
            };
            let limit = Price(price as i64 / 100 * dice.between(80, 103));
            let buyer = AccountId(if dice.percent(70) { ACCOUNTS - 2 + dice.below(2) } else { dice.below(ACCOUNTS) });
            if pool.params.backstop != Some(buyer) {
                let market = market.id;
                inputs.push(Input::Buy(Buy { market, account: buyer, from: *from, size: Size(size), limit }));
            }
        }
        if dice.once_in(60) {
            let amount = Notional(dice.magnitude(3_000) * usd);
            inputs.push(Input::InsuranceDeposit(InsuranceDeposit { pool: pool.id, amount }));
        }
    }

    fn orders(&mut self, pool: &Pool, inputs: &mut Vec<Input>) {
        let markets: Vec<MarketId> = pool.markets.iter().map(|market| market.id).collect();
        let Some(market) = self.dice.one_of(&markets) else { return };
        let Some(world) = self.worlds.get(usize::from(market.0)) else { return };
        let (price, dollar) = (world.price, world.dollar);
        let dice = &mut self.dice;
        for _ in 0..dice.below(4) {
            let owner = dice.below(ACCOUNTS + 1);
            let apart = dice.once_in(4).then(|| isolated(owner, if dice.once_in(20) { MarketId(0) } else { market }));
            let account = apart.filter(|id| pool.accounts.contains_key(id)).unwrap_or(AccountId(owner));
            let held = pool.accounts.get(&account).map_or(0, |account| account.size_in(market).0);
            let maker = ACCOUNTS - 2 <= account.0;
            let sign = if dice.percent(50) { 1 } else { -1 };
            let wanted = dice.magnitude(if maker { 40_000 } else { 8_000 }) * dollar;
            let size = match dice.below(8) {
                0..=1 if held != 0 => -held,
                2 if held != 0 => -held / 2,
                3 if held != 0 => -held - sign * wanted,
                4 if dice.once_in(6) => 0,
                _ => sign * wanted,
            };
            let away = price / 10_000 * dice.between(-20, 150);
            let limit = if dice.once_in(40) { dice.between(-1, i64::MAX) } else { price + size.signum() * away };
            self.order += 1;
            let id = OrderId(if dice.once_in(50) { self.order / 2 } else { self.order });
            let (size, limit) = (Size(size), Price(limit));
            inputs.push(Input::Order(Order { id, account, market, size, limit }));
        }
        let orders: Vec<OrderId> = pool.orders.keys().copied().collect();
        for _ in 0..orders.len() / 12 + usize::from(dice.percent(20)) {
            if let Some(order) = dice.one_of(&orders) {
                let owner = pool.orders.get(&order).map(|order| (order.market, order.account));
                let (market, owner) = owner.unwrap_or((market, AccountId(0)));
                // Now and then somebody whose order it is not.
                let account = if dice.once_in(10) { AccountId(dice.below(ACCOUNTS + 1)) } else { owner };
                inputs.push(match dice.once_in(6) {
                    true => Input::OrderDone(OrderDone { market, order }),
                    false => Input::Cancel(Cancel { market, account, order }),
                });
            }
        }
    }

    /// Trades of orders that cross, as an auction could have made them; some are wrong.
    fn trades(&mut self, state: &State, inputs: &mut Vec<Input>) {
        for pool in &state.pools {
            for market in &pool.markets {
                if self.dice.percent(40) {
                    continue;
                }
                let mine = |(id, order): (&OrderId, &OpenOrder)| (order.market == market.id).then_some((*id, *order));
                let orders: Vec<(OrderId, OpenOrder)> = pool.orders.iter().filter_map(mine).collect();
                let (mut buys, mut sells): (Vec<_>, Vec<_>) =
                    orders.into_iter().partition(|(_, order)| Size(0) < order.remaining);
                for _ in 0..self.dice.below(5) {
                    self.trade(pool, market.id, &mut buys, &mut sells, inputs);
                }
            }
        }
    }

    fn trade(
        &mut self,
        pool: &Pool,
        market: MarketId,
        buys: &mut [(OrderId, OpenOrder)],
        sells: &mut [(OrderId, OpenOrder)],
        inputs: &mut Vec<Input>,
    ) {
        let dice = &mut self.dice;
        if buys.is_empty() || sells.is_empty() {
            return;
        }
        // A liquidation is at the end, since the kernel's ids are the highest.
        let place = |dice: &mut Dice, len: usize| {
            if dice.percent(40) { len - 1 } else { dice.below(len as u64) as usize }
        };
        let (b, s) = (place(dice, buys.len()), place(dice, sells.len()));
        let ((buy, bid), (sell, ask)) = (buys[b], sells[s]);
        let provides = |account| pool.params.backstop == Some(account);
        let apart = (sell.is_kernel() || !provides(bid.account)) && (buy.is_kernel() || !provides(ask.account));
        let crossed = ask.limit <= bid.limit && bid.account != ask.account && apart;
        let empty = bid.remaining == Size(0) || ask.remaining == Size(0);
        if (!crossed || empty) && !dice.once_in(60) {
            return;
        }
        let most = bid.remaining.0.min(-ask.remaining.0);
        let size = match dice.below(4) {
            0..=1 => most,
            2 => dice.between(1, most.max(1)),
            _ => dice.magnitude(most.max(1)),
        };
        let size = if dice.once_in(60) { size + 1_000_000_000 } else { size };
        let price = dice.between(ask.limit.0.min(bid.limit.0), bid.limit.0.max(ask.limit.0));
        // A maker would not trade at a nonsense limit: near the world's price where the limits allow it.
        let world = self.worlds.get(usize::from(market.0)).map_or(price, |world| world.price);
        let price = if crossed { world.clamp(ask.limit.0, bid.limit.0) } else { price };
        if let Some((_, order)) = buys.get_mut(b) {
            order.remaining = Size((order.remaining.0 - size).max(0));
        }
        if let Some((_, order)) = sells.get_mut(s) {
            order.remaining = Size((order.remaining.0 + size).min(0));
        }
        inputs.push(Input::Trade(Trade { market, buy, sell, price: Price(price), size: Size(size) }));
    }
}

fn venue(dice: &mut Dice, pools: u16) -> VenueParams {
    let pool = |dice: &mut Dice| PoolParams {
        accounts_max: ACCOUNTS as u32 + 1,
        account_min: Notional(dice.between(1, 50_000_000)),
        orders_per_account_max: 12,
        account_borrow_max: Notional(dice.between(100, 20_000) * 1_000_000),
        borrow_max: Notional(dice.between(20_000, 60_000) * 1_000_000),
        insurance_share_per_account: Ratio::percent(dice.between(5, 100)),
        backstop: dice.once_in(2).then_some(AccountId(ACCOUNTS - 3)),
    };
    let pools: Vec<PoolParams> = (0..pools).map(|_| pool(dice)).collect();
    let count = 4 + dice.below(2) as u16;
    let mut markets: Vec<MarketParams> =
        (0..count).map(|id| market(dice, id, PoolId(id % pools.len() as u16))).collect();
    quote(dice, &mut markets);
    VenueParams { pools, markets, governance: protocol::GovernanceParams::closed() }
}

/// Now and then sources are quoted in the price of another market of their pool.
fn quote(dice: &mut Dice, markets: &mut [MarketParams]) {
    for market in 0..markets.len() {
        let in_usd = |market: &MarketParams| market.sources.iter().all(|source| source.quote.is_none());
        let unit = dice.below(markets.len() as u64) as usize;
        let is_unit = (0..).map(MarketId).zip(markets.iter()).any(|(id, _)| {
            markets
                .iter()
                .flat_map(|market| &market.sources)
                .any(|source| source.quote == Some(id) && usize::from(id.0) == market)
        });
        let fits = unit != market && markets[unit].pool == markets[market].pool && in_usd(&markets[unit]);
        if !fits || is_unit || dice.percent(40) {
            continue;
        }
        for source in &mut markets[market].sources {
            if dice.percent(60) {
                source.quote = Some(MarketId(unit as u16));
            }
        }
    }
}

fn market(dice: &mut Dice, id: u16, pool: PoolId) -> MarketParams {
    let (price_shift, lot_decimals, price, dollar) = LISTINGS[usize::from(id) % LISTINGS.len()];
    let scale = Scale::new(price_shift, lot_decimals).expect("the listings' scales are sound");
    let torn = dice.once_in(4);
    let sources = match (torn, dice.once_in(5)) {
        (true, _) => dice.between(4, 12),
        (false, true) => 1,
        (false, false) => dice.between(2, 8),
    };
    let lineages = if torn { 2 * sources } else { dice.between(1, sources) } as u64;
    let source = |dice: &mut Dice| SourceParams {
        weight: if dice.percent(50) { 1 } else { dice.between(1, 5) as u32 },
        lineage: LineageId(dice.below(lineages) as u8),
        heartbeat: Duration::millis(dice.between(500, 3_000)),
        price_min: Price(dice.between(0, 1_000)),
        price_max: Price(if dice.percent(50) { i64::MAX } else { price.saturating_mul(100) }),
        kind: if dice.once_in(4) { SourceKind::Quotes } else { SourceKind::Trades },
        rung: Rung::Primary,
        quote: None,
    };
    let fee = Ratio::bps(dice.between(0, 60));
    let mut tiers = Vec::new();
    let (mut from, mut initial, mut maintenance) = (0, dice.between(300, 800), dice.between(100, 300));
    for _ in 0..dice.between(1, 5) {
        tiers.push(Tier { notional_from: from, initial: Ratio::bps(initial), maintenance: Ratio::bps(maintenance) });
        from += dice.between(1, 30_000_000_000);
        initial = (initial + dice.between(0, 500)).min(10_000);
        maintenance = (maintenance + dice.between(0, 300)).min(initial);
    }
    let thresholds = |dice: &mut Dice, low| {
        let cautious = dice.between(low, 3 * low);
        Thresholds { cautious: Ratio::bps(cautious), reduce_only: Ratio::bps(cautious + dice.between(0, 2 * low)) }
    };
    // A market in which nothing may open shows little of what accounts do.
    let seldom = |dice: &mut Dice, low| {
        let low = if dice.once_in(4) { low } else { 100_000 };
        thresholds(dice, low)
    };
    let agree = dice.between(20, 150);
    let lineages_min = dice.between(1, 3) as u8;
    let mut sources: Vec<SourceParams> = (0..sources).map(|_| source(dice)).collect();
    if !torn {
        // Guardians publish seldom, and so does whoever says what something can be redeemed for.
        for (rung, count, slower, first) in [
            (Rung::Secondary, i64::from(lineages_min) + dice.between(0, 1), 1, 24),
            (Rung::Guardian, dice.between(2, 3), 10, 32),
            (Rung::Derived, 1, 10, 40),
        ] {
            if dice.percent(60) {
                continue;
            }
            for lineage in 0..count {
                let heartbeat = Duration::millis(dice.between(500, 3_000) * slower);
                let lineage = LineageId(first + lineage as u8);
                let listed = SourceParams { lineage, heartbeat, rung, ..source(dice) };
                sources.insert(dice.below(sources.len() as u64 + 1) as usize, listed);
            }
        }
    }
    MarketParams {
        pool,
        scale,
        order_size_max: Size(60_000 * dollar),
        open_interest_max: Size(if dice.once_in(3) { dice.between(20_000, 80_000) } else { 400_000 } * dollar),
        open_interest_margin_from: Ratio::percent(if dice.percent(50) { 100 } else { dice.between(0, 99) }),
        funding: FundingParams {
            rate_max: Ratio::bps(dice.between(0, 100)),
            interval: Duration::seconds(dice.between(1, 20)),
        },
        collateral: CollateralParams {
            deposit_max: Size(if dice.percent(60) { dice.magnitude(100_000) * dollar } else { 0 }),
            haircut: Ratio::percent(dice.between(1, 30)),
            ramp: Duration::seconds(dice.between(1, 20)),
            auction: Duration::seconds(dice.between(1, 20)),
        },
        sources,
        oracle: OracleParams {
            age_max: Duration::seconds(dice.between(4, 15)),
            silence_floor: Duration::seconds(dice.between(1, 4)),
            future_max: Duration::seconds(1),
            confidence_max: Ratio::percent(2),
            jump_max: Ratio::bps(dice.between(200, 1_500)),
            jump_window: Duration::seconds(dice.between(1, 20)),
            jump_confirm: Duration::seconds(dice.between(1, 10)),
            leap_max: Ratio::percent(dice.between(20, 100)),
            leap_confirm: Duration::seconds(dice.between(40, 160)),
            agree: Ratio::bps(agree),
            dispute: Ratio::bps(agree + dice.between(0, 200)),
            lineages_min,
            overrule_lineages: lineages_min + dice.below(3) as u8,
            dispute_confirm: if torn { TORN_CONFIRM } else { Duration::seconds(dice.between(4, 40)) },
            last_good_max: Duration::seconds(200),
            twap_max: Duration::seconds(if dice.once_in(3) { 0 } else { dice.between(1, 200) }),
            guardians_min: 2,
            confidence_scale: Ratio::percent(if dice.percent(50) { 100 } else { dice.between(1, 300) }),
            fallback_confidence: Ratio::bps(dice.between(0, 300)),
            derived_haircut: Ratio::bps(dice.between(0, 500)),
        },
        mark: MarkParams {
            premium_max: Ratio::bps(dice.between(0, 100)),
            premium_window: Duration::seconds(dice.between(1, 200)),
            step_max: if dice.once_in(3) { Ratio::percent(10_000) } else { Ratio::bps(dice.between(10, 500)) },
            step_window: Duration::millis(dice.between(1, 20_000)),
        },
        tiers,
        detectors: DetectorParams {
            exit: Ratio::percent(dice.between(0, 100)),
            velocity: thresholds(dice, 200),
            velocity_window: Duration::seconds(dice.between(5, 60)),
            swing: seldom(dice, 400),
            swing_window: Duration::seconds(dice.between(60, 600)),
            band: thresholds(dice, 300),
            twap_window: Duration::seconds(dice.between(10, 300)),
            twap_coverage_min: Ratio::percent(dice.between(0, 80)),
            staleness: seldom(dice, 100),
            drift: seldom(dice, 400),
            stable_half_life: Duration::seconds(dice.between(60, 3_600)),
            stable_reach: Ratio::percent(dice.between(1, 60)),
            stuck: seldom(dice, 1_500),
            disagreement: Ratio::bps(dice.between(20, 300)),
            quorum_coverage_min: Ratio::percent(dice.between(0, 60)),
        },
        activity: ActivityParams {
            growth: seldom(dice, 200),
            growth_window: Duration::seconds(dice.between(5, 60)),
            crowding: seldom(dice, 20_000),
            intensity: seldom(dice, 300),
            intensity_window: Duration::seconds(dice.between(5, 60)),
            divergence: seldom(dice, 30),
        },
        chain: ChainParams {
            distress: thresholds(dice, 20_000),
            interval: Duration::millis(dice.between(500, 3_000)),
            inclusion: Duration::seconds(4),
            finality: Duration::seconds(20),
            base_fee: 100,
        },
        breaker: BreakerParams {
            calm: Duration::seconds(dice.between(1, 8)),
            probation: Duration::seconds(dice.between(0, 20)),
            calm_max: Duration::seconds(dice.between(8, 60)),
            cautious_margin_addon: Ratio::bps(dice.between(1, 300)),
            cautious_size_scale: Ratio::percent(dice.between(10, 100)),
            grace_share: Ratio::percent(dice.between(0, 100)),
            grace_max: Duration::seconds(dice.between(0, 30)),
        },
        liquidation: LiquidationParams {
            buffer: Ratio::percent(dice.between(0, 30)),
            fee,
            slippage_max: Ratio::bps(dice.between(100, 1_000)),
            order_ttl: Duration::seconds(dice.between(1, 8)),
            single_lineage_confirm: Duration::seconds(dice.between(0, 6)),
        },
    }
}

/// Traders with little money and pairs of positions, and two makers with much.
fn genesis(dice: &mut Dice, params: &VenueParams, worlds: &[World]) -> Vec<Genesis> {
    let mut accounts = Vec::new();
    for pool in (0..params.pools.len() as u16).map(PoolId) {
        let usd = 1_000_000;
        // A pool in which nobody has much is one in which losses run out of payers.
        let poor = dice.once_in(3);
        let chain = dice.once_in(3);
        let account = |id| {
            let cash =
                if ACCOUNTS - 2 <= id && !poor { dice.between(100_000, 2_000_000) } else { dice.magnitude(4_000) };
            Genesis {
                pool,
                account: AccountId(id),
                cash: Notional(cash * usd),
                holdings: Vec::new(),
                collateral: Vec::new(),
            }
        };
        let mut traders: Vec<Genesis> = (0..ACCOUNTS).map(account).collect();
        // In a chain the first trader's gains are owed by a second who is owed by a third: in all markets but the last
        // the first holds against the second, who holds as much against the third in the last. A crash of all markets
        // ruins whoever is on its wrong side, and the second has nothing to give up.
        if chain {
            let usd_of = [dice.between(400, 1_000), dice.between(300, 600), dice.between(500, 3_000)];
            for (trader, cash) in traders.iter_mut().zip(usd_of) {
                trader.cash = Notional(cash * usd);
            }
        }
        let listed = || (0..).map(MarketId).zip(&params.markets).zip(worlds).filter(|((_, of), _)| of.pool == pool);
        let last = listed().count().saturating_sub(1);
        for (place, ((id, listed_as), world)) in listed().enumerate() {
            let mut links = Vec::new();
            if chain {
                links.push(if place == last { (1, 2, 7_500 * last as i64) } else { (0, 1, 7_500) });
            }
            for one in (if chain { 4 } else { 0 }..traders.len()).step_by(2) {
                if dice.percent(60) {
                    let sign = if dice.percent(50) { 1 } else { -1 };
                    links.push((one, one + 1, sign * dice.magnitude(15_000)));
                }
            }
            if Size(0) < listed_as.collateral.deposit_max {
                for trader in &mut traders {
                    if dice.percent(70) {
                        continue;
                    }
                    let most = listed_as.collateral.deposit_max.0 / ACCOUNTS as i64;
                    let lots = (dice.magnitude(8_000) * world.dollar).min(most);
                    if 0 < lots {
                        trader.collateral.push((id, Size(lots)));
                    }
                }
            }
            for (one, other, dollars) in links {
                let size = dollars * world.dollar;
                let entry = Price(world.price + world.price / 10_000 * dice.between(-50, 50));
                for (trader, sign) in [(one, 1), (other, -1)] {
                    if size != 0 {
                        traders[trader].holdings.push(Holding { market: id, size: Size(sign * size), entry });
                    }
                }
            }
        }
        accounts.append(&mut traders);
    }
    accounts
}

/// The account that an owner has for one market.
const fn isolated(owner: u64, market: MarketId) -> AccountId {
    AccountId(1_000 + owner * 100 + market.0 as u64)
}

/// Puts what users ask for and sources say into another order. What one party tells stays as it was told.
pub fn shuffle(inputs: &mut [Input], dice: &mut Dice) {
    let anywhere = |input: &Input| {
        matches!(
            input,
            Input::Observation(_)
                | Input::Deposit(_)
                | Input::Withdraw(_)
                | Input::Isolate(_)
                | Input::Collateral(_)
                | Input::Buy(_)
                | Input::Order(_)
                | Input::Cancel(_)
        )
    };
    let places: Vec<usize> = (0..inputs.len()).filter(|place| anywhere(&inputs[*place])).collect();
    for left in (1..places.len()).rev() {
        inputs.swap(places[left], places[dice.below(left as u64 + 1) as usize]);
    }
}
