//! 10 October 2025 as it was received: one-second bars of four venues with their measured lag, through the shipped policy
//! with drawn accounts. An observer of its own, which knows nothing of the kernel's filters and only what was received,
//! holds every decision against what the venues had said by then.
//!
//! Needs `../shared/data` beside the repository; without it the test says that it was skipped.

use kernel::margin::{Lens, risk};
use kernel::margin::{PARTS, notional, requirement, value};
use lab::feed::{BarsArg, Feed, FeedOptions};
use lab::replay::accounts::{Accounts, AccountsFrom};
use lab::replay::outcome::{MarketOutcome, Outcome, Totals};
use lab::replay::outside::Impact;
use lab::replay::run::{Run, Seen};
use lab::replay::world::{BACKSTOP, World};
use lab::replay::{Options, replay};
use policy::Policy;
use protocol::quality::Exclusion;
use protocol::{AccountId, Batch, Effect, Input, MarketId, Mode, OrderId, QualityState, Rung, SourceId};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use units::Price;

const SECOND: i64 = 1_000_000;
const ACCOUNTS: u32 = 250;
const SEED: u64 = 1;
const VOLUME_ASSUMED_USD: f64 = 100_000.0;
/// A source is fresh for this long after its receipt.
const FRESH: i64 = 3 * SECOND;
/// What a liquidation may rest on, and what the index may lie between, is no older than this.
const OLD: i64 = 10 * SECOND;
/// A majority may be believed after a dispute of this length.
const CONFIRM: i64 = 60 * SECOND;
/// Priced by three venues of three operators.
const THREE_LINEAGES: [&str; 6] = ["AAVE", "ATOM", "BCH", "DOT", "SKY", "WIF"];
/// Priced by one operator, if by several of its books.
const ONE_LINEAGE: [&str; 6] = ["ADA", "BTC", "ETH", "SOL", "TRX", "XRP"];

fn feed() -> Option<Feed> {
    let file = "../../../shared/data/crash_2025-10-10_multivenue/trades_1s_bars_20h45_22h15.csv.gz";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if !path.exists() {
        println!("skipped: needs ../shared/data/crash_2025-10-10_multivenue");
        return None;
    }
    let bars = BarsArg::parse(&path.display().to_string()).expect("parses");
    Some(Feed::open(&FeedOptions::new(vec![bars], vec![])).expect("opens"))
}

fn policy() -> Policy {
    Policy::parse(include_str!("../../../policies/default.toml"), "policies/default.toml").expect("reads")
}

/// `part` is at most `percent` of `whole`.
fn within(part: i64, percent: i64, whole: i64) -> bool {
    i128::from(part.abs()) * 100 <= i128::from(whole) * i128::from(percent)
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    price: i64,
    published: i64,
    received: i64,
}

#[derive(Clone, Debug, Default)]
struct Source {
    lineage: String,
    heard: Option<Heard>,
    /// Times between receipts, rising.
    gaps: Vec<i64>,
    overruled: bool,
    /// What it had said at the last check.
    said: Option<i64>,
    /// How long its market has been disputed while it was apart from somebody, without a break of [`CONFIRM`].
    disputed_for: i64,
    /// When it was last so.
    disputed_until: i64,
    out_of_band: Option<Episode>,
    silent: Option<Episode>,
}

impl Source {
    /// What it last said, if that was received and is of the last `age`.
    fn fresh(&self, at: i64, age: i64) -> Option<i64> {
        self.heard.filter(|heard| at - heard.received <= age && at - heard.published <= OLD).map(|heard| heard.price)
    }

    /// The gap that 999 of 1000 do not exceed: of fewer than a thousand the longest.
    fn gap_p999(&self) -> i64 {
        let rank = (self.gaps.len() * 999).div_ceil(1_000);
        self.gaps.get(rank.saturating_sub(1)).copied().unwrap_or(0)
    }
}

/// A source that the index must leave: since when, and when it last still followed.
#[derive(Clone, Copy, Debug)]
struct Episode {
    since: i64,
    followed_until: i64,
}

#[derive(Default)]
struct Market {
    name: String,
    three: bool,
    one: bool,
    sources: Vec<Source>,
    /// The present dispute at the last check: when that was, the lowest and the highest fresh price.
    dispute: Option<(i64, i64, i64)>,
}

/// What the observer counted. Every list of violations is empty at the end.
#[derive(Debug, Default)]
struct Found {
    solvent_liquidations: u64,
    solvent_fills: u64,
    /// The longest from a decision to a fill, microseconds, and whose.
    latest_fill: (i64, String),
    bars_offered: u64,
    fewest_supporters: Option<usize>,
    deleveraged: u64,
    contradictions: u64,
    disputed_checks: u64,
    overruled: u64,
    unsupported: Vec<String>,
    covered: Vec<String>,
    unsupported_fills: Vec<String>,
    over_a_tenth: Vec<String>,
    undisputed: Vec<String>,
    opened: Vec<String>,
    outside_hull: Vec<String>,
    solvent_deleveraged: Vec<String>,
    hasty: Vec<String>,
    agreed_alone: Vec<String>,
    /// By kind: how long the index still followed, microseconds.
    failovers: BTreeMap<&'static str, Vec<(i64, String)>>,
}

struct Observer {
    markets: Vec<Market>,
    found: Found,
    /// Orders that liquidate solvent accounts, whose, and when each was decided.
    solvent: BTreeMap<(MarketId, OrderId), (AccountId, i64)>,
    /// Of those that were out after the last batch: whose account had become insolvent by every price there was.
    insolvent_since: BTreeSet<(MarketId, OrderId)>,
    /// What the bar that is being filled against traded, lots.
    bar: f64,
}

impl Observer {
    fn new(world: &World) -> Observer {
        let market = |market: &lab::replay::world::WorldMarket| Market {
            name: market.name.clone(),
            three: THREE_LINEAGES.contains(&market.name.as_str()),
            one: ONE_LINEAGE.contains(&market.name.as_str()),
            sources: market
                .sources
                .iter()
                .map(|source| Source { lineage: source.lineage.clone(), ..Source::default() })
                .collect(),
            dispute: None,
        };
        let markets = world.markets.iter().map(market).collect();
        Observer {
            markets,
            found: Found::default(),
            solvent: BTreeMap::new(),
            insolvent_since: BTreeSet::new(),
            bar: 0.0,
        }
    }

    fn see(&mut self, batch: &Batch, effects: &[Effect], kernel: &kernel::Kernel) {
        let at = batch.at.0;
        let mut spoke = None;
        for input in &batch.inputs {
            if let Input::Observation(seen) = input {
                let source = &mut self.markets[usize::from(seen.market.0)].sources[usize::from(seen.source.0)];
                let now = Heard { price: seen.price.0, published: seen.published_at.0, received: seen.received_at.0 };
                // What was published before what is already known says nothing.
                if source.heard.is_some_and(|before| now.published < before.published) {
                    continue;
                }
                if let Some(gap) = source.heard.map(|before| now.received - before.received).filter(|gap| 0 < *gap) {
                    let place = source.gaps.partition_point(|known| *known < gap);
                    source.gaps.insert(place, gap);
                }
                source.heard = Some(now);
                spoke = Some((usize::from(seen.market.0), usize::from(seen.source.0)));
            }
        }
        self.fills(batch, kernel);
        self.decisions(at, effects, kernel);
        self.grown_insolvent(kernel);
        for id in 0..self.markets.len() {
            if self.markets[id].three || self.markets[id].one {
                let spoke = spoke.filter(|(market, _)| *market == id).map(|(_, source)| source);
                self.market(id, at, spoke, kernel);
            }
        }
    }

    /// The lineages that were heard to be near where the mark is or is going, that price, and the index's state: on what a
    /// solvent account may be liquidated, and whether that is enough.
    fn support(&self, id: MarketId, at: i64, kernel: &kernel::Kernel) -> (usize, bool, String) {
        let listed = kernel.state().market(id).expect("listed");
        let (used, state) = (listed.mark.target.0, listed.quality().state);
        let market = &self.markets[usize::from(id.0)];
        let near = |source: &&Source| source.fresh(at, OLD).is_some_and(|p| within(p - used, 1, used));
        let mut lineages: Vec<&str> =
            market.sources.iter().filter(near).map(|source| source.lineage.as_str()).collect();
        lineages.sort_unstable();
        lineages.dedup();
        let enough = 2 <= lineages.len() && state != QualityState::Disputed;
        (lineages.len(), enough, format!("{} at {at}: {used} {state:?} on {lineages:?}", market.name))
    }

    /// What was filled, and what was offered for it.
    fn fills(&mut self, batch: &Batch, kernel: &kernel::Kernel) {
        let at = batch.at.0;
        let mut offered = 0;
        for input in &batch.inputs {
            if let Input::Order(order) = input
                && order.account == BACKSTOP
            {
                offered += order.size.0.abs();
            }
            let Input::Trade(trade) = input else { continue };
            for order in [trade.buy, trade.sell] {
                let Some((_, decided)) = self.solvent.get(&(trade.market, order)).copied() else { continue };
                if self.insolvent_since.contains(&(trade.market, order)) {
                    continue;
                }
                let (_, enough, told) = self.support(trade.market, at, kernel);
                self.found.solvent_fills += 1;
                self.found.latest_fill = self.found.latest_fill.clone().max((at - decided, told.clone()));
                if !enough {
                    self.found.unsupported_fills.push(format!("{told}, decided {} ms before", (at - decided) / 1_000));
                }
            }
        }
        if 0 < offered {
            self.found.bars_offered += 1;
            if self.bar * 0.1 < offered as f64 {
                self.found.over_a_tenth.push(format!("{offered} lots of {} at {at}", self.bar));
            }
        }
    }

    /// Whoever was solvent when it was decided may no longer be, also at the price that is kindest to it.
    fn grown_insolvent(&mut self, kernel: &kernel::Kernel) {
        self.insolvent_since.clear();
        let state = kernel.state();
        self.solvent.retain(|(market, order), (account, _)| {
            let pool =
                state.pools.iter().find(|pool| pool.orders.contains_key(order) && pool.market(*market).is_some());
            let Some((pool, held)) = pool.and_then(|pool| Some((pool, pool.accounts.get(account)?))) else {
                return false;
            };
            let gone = |lens| risk(held, |id| pool.market(id), lens).is_some_and(|risk| risk.equity < 0);
            if gone(Lens::Mark) && gone(Lens::Kindest) {
                self.insolvent_since.insert((*market, *order));
            }
            true
        });
    }

    /// Who was liquidated or deleveraged, and on what.
    fn decisions(&mut self, at: i64, effects: &[Effect], kernel: &kernel::Kernel) {
        for effect in effects {
            match effect {
                Effect::Liquidate { order, insolvent: false, .. } => {
                    if !self.markets[usize::from(order.market.0)].three {
                        continue;
                    }
                    self.solvent.insert((order.market, order.id), (order.account, at));
                    let (lineages, enough, told) = self.support(order.market, at, kernel);
                    self.found.solvent_liquidations += 1;
                    let fewest = self.found.fewest_supporters.unwrap_or(usize::MAX);
                    self.found.fewest_supporters = Some(fewest.min(lineages));
                    if !enough {
                        self.found.unsupported.push(told);
                    }
                    // A mark that is slow to follow liquidates nobody who is well where it is going.
                    let market = kernel.state().market(order.market).expect("listed");
                    let account = &kernel.state().pool_of(order.market).expect("listed").accounts[&order.account];
                    let position = account.positions.iter().find(|position| position.market == order.market);
                    if let (Some(position), [_]) = (position, account.positions.as_slice()) {
                        let price = market.mark.target;
                        let notional = notional(market, position.size, price);
                        let needs = requirement(notional, &market.params.tiers, |tier| tier.maintenance);
                        let profit = value(market, position.size, price) - i128::from(position.cost.0);
                        if needs <= (i128::from(account.cash.0) + profit) * PARTS {
                            self.found.covered.push(format!("{:?} in {:?} at {at}", order.account, order.market));
                        }
                    }
                }
                Effect::Deleveraged { account, market, .. } => {
                    self.found.deleveraged += 1;
                    // Closed at the bankruptcy price an account is left with nothing. One that is left with something
                    // was solvent.
                    let state = kernel.state();
                    let held = state.pools.iter().find_map(|pool| pool.accounts.get(account));
                    if held.is_some_and(|held| held.positions.is_empty() && 1_000 < held.cash.0) {
                        self.found.solvent_deleveraged.push(format!("{account:?} in {market:?} at {at}"));
                    }
                }
                Effect::Liquidate { insolvent: true, .. }
                | Effect::Rejected { .. }
                | Effect::Source { .. }
                | Effect::Quality { .. }
                | Effect::Mode { .. }
                | Effect::Admit { .. }
                | Effect::Withdraw { .. }
                | Effect::InsurancePaid { .. }
                | Effect::Socialized { .. }
                | Effect::Deficit { .. }
                | Effect::Funded { .. }
                | Effect::CollateralSold { .. }
                | Effect::HandOut { .. }
                | Effect::Governed { .. }
                | Effect::PayOut { .. } => {}
            }
        }
    }

    fn market(&mut self, id: usize, at: i64, spoke: Option<usize>, kernel: &kernel::Kernel) {
        let listed = kernel.state().market(MarketId(id as u16)).expect("listed");
        let (quality, mode) = (*listed.quality(), listed.breaker.mode());
        let (market, found) = (&mut self.markets[id], &mut self.found);
        let told = |what: &str| format!("{} at {at}: {what} {quality:?} {mode:?}", market.name);
        if market.one {
            if quality.state == QualityState::Agreed {
                found.agreed_alone.push(told("agreed"));
            }
            return;
        }
        let index = quality.value.0;
        // Whom a persistent majority overruled is left out; that takes disputes of a minute in all, with no minute of
        // calm between them.
        for (place, source) in market.sources.iter_mut().enumerate() {
            let apart = |(_, low, high): &(i64, i64, i64)| {
                source.said.is_some_and(|price| !within((high - price).max(price - low), 2, price.min(*low)))
            };
            if let Some((since, ..)) = market.dispute.filter(apart) {
                if CONFIRM <= since - source.disputed_until {
                    source.disputed_for = 0;
                }
                (source.disputed_for, source.disputed_until) = (source.disputed_for + at - since, at);
            }
            source.said = source.fresh(at, OLD);
            let overruled = listed.index.exclusion(place) == Some(Exclusion::Overruled);
            if overruled && !source.overruled {
                found.overruled += 1;
                if source.disputed_for < CONFIRM {
                    let disputed = source.disputed_for;
                    found.hasty.push(format!("{} at {at}: source {place} after {disputed} us", market.name));
                }
            }
            if source.overruled && !overruled {
                source.disputed_for = 0;
            }
            source.overruled = overruled;
        }
        let told = |what: &str| format!("{} at {at}: {what} {quality:?} {mode:?}", market.name);
        let prices = |age: i64| {
            let heard = market.sources.iter().filter(|source| !source.overruled);
            let mut prices: Vec<i64> = heard.filter_map(|source| source.fresh(at, age)).collect();
            prices.sort_unstable();
            prices
        };
        // Nothing is filtered here: a source whose jump nobody confirmed contradicts the others all the more.
        let fresh = prices(FRESH);
        let apart = |prices: &[i64]| match (prices.first(), prices.last()) {
            (Some(low), Some(high)) => !within(high - low, 2, *high),
            (None, _) | (_, None) => false,
        };
        if apart(&fresh) {
            found.contradictions += 1;
            if quality.state != QualityState::Disputed {
                found.undisputed.push(format!("{} of {fresh:?}", told("not disputed")));
            }
        }
        if quality.state == QualityState::Disputed {
            found.disputed_checks += 1;
            if mode < Mode::ReduceOnly {
                found.opened.push(told("open"));
            }
            let hull = prices(OLD);
            let outside = |low: &i64, high: &i64| index < *low || *high < index;
            let outside = hull.first().zip(hull.last()).is_some_and(|(low, high)| outside(low, high));
            if outside && quality.rung == Rung::Primary {
                found.outside_hull.push(format!("{} of {hull:?}", told("outside")));
            }
        }
        let hull = prices(OLD);
        let disputed = quality.state == QualityState::Disputed;
        market.dispute = hull.first().zip(hull.last()).filter(|_| disputed).map(|(low, high)| (at, *low, *high));
        if quality.state == QualityState::None {
            return;
        }
        for place in 0..market.sources.len() {
            failover(market, place, at, spoke, index, found);
        }
    }
}

/// Does the index still follow a source that it should have left?
fn failover(market: &mut Market, place: usize, at: i64, spoke: Option<usize>, index: i64, found: &mut Found) {
    let own = &market.sources[place];
    let Some(heard) = own.heard else { return };
    let others: Vec<(&str, i64)> = market
        .sources
        .iter()
        .filter(|other| other.lineage != own.lineage)
        .filter_map(|other| other.fresh(at, FRESH).map(|price| (other.lineage.as_str(), price)))
        .collect();
    let mut prices: Vec<i64> = others.iter().map(|(_, price)| *price).collect();
    prices.sort_unstable();
    let (low, high) = (prices.first().copied(), prices.last().copied());
    let middle = low.zip(high).map(|(low, high)| low.midpoint(high));
    // Out of band: the others, of two lineages at least, agree, and this one is more than 2% from them.
    let lineages = others.iter().map(|(lineage, _)| *lineage).collect::<std::collections::BTreeSet<_>>().len();
    let agreed = middle.filter(|middle| 2 <= lineages && prices.iter().all(|price| within(price - middle, 1, *middle)));
    let off = agreed.filter(|middle| !within(heard.price - middle, 2, *middle));
    let follows = off.map(|middle| (index - heard.price).abs() < (index - middle).abs());
    let name = format!("{} {}", market.name, own.lineage);
    let mut out_of_band = own.out_of_band;
    step(&mut out_of_band, follows, spoke == Some(place), at, &name, "out of band", found);
    // Silent: longer than it has ever learned to be, while somebody else speaks.
    let limit = heard.received + own.gap_p999().max(FRESH);
    let speaking = market.sources.iter().enumerate().filter(|(other, _)| *other != place);
    let hull: Vec<i64> = speaking.filter_map(|(_, other)| other.fresh(at, OLD)).collect();
    let hull = hull.iter().min().zip(hull.iter().max()).filter(|_| limit < at && !others.is_empty());
    // It follows the silent one where it lies past everyone else on that one's side.
    let follows = hull.map(|(low, high)| heard.price <= index && index < *low || *high < index && index <= heard.price);
    let mut episode = own.silent;
    step(&mut episode, follows, true, at, &name, "silent", found);
    market.sources[place].out_of_band = out_of_band;
    market.sources[place].silent = episode;
}

/// `follows` is `None` where there is nothing to leave.
fn step(
    episode: &mut Option<Episode>,
    follows: Option<bool>,
    may_begin: bool,
    at: i64,
    name: &str,
    kind: &'static str,
    found: &mut Found,
) {
    match (follows, episode.as_mut()) {
        (Some(follows), Some(episode)) => {
            if follows {
                episode.followed_until = at;
            }
        }
        (Some(_), None) => {
            if may_begin {
                *episode = Some(Episode { since: at, followed_until: at });
            }
        }
        (None, Some(over)) => {
            let lasted = (over.followed_until - over.since, format!("{name} from {}", over.since));
            found.failovers.entry(kind).or_default().push(lasted);
            *episode = None;
        }
        (None, None) => {}
    }
}

fn observed(feed: &Feed) -> Found {
    let world = World::of(feed).expect("a world");
    let listed = world.list(&policy()).expect("lists");
    let drawn = AccountsFrom::Drawn { per_market: ACCOUNTS, seed: SEED };
    let accounts = Accounts::of(&drawn, &world, &listed.pool_names).expect("accounts");
    let insurance = accounts.open_interest_usd(&world) * 0.01;
    let impact = Impact { coefficient: 1.0, volume_assumed_usd: VOLUME_ASSUMED_USD };
    let observer = Rc::new(RefCell::new(Observer::new(&world)));
    let seen = Rc::clone(&observer);
    let mut run = Run::new(&world, &listed.params, &accounts.genesis, insurance, impact)
        .expect("runs")
        .with_observer(Box::new(move |batch, effects, kernel| seen.borrow_mut().see(batch, effects, kernel)));
    let mut first = true;
    for event in feed.replay().expect("replays") {
        let event = event.expect("read back");
        let (market, source): (MarketId, SourceId) = world.series[event.series as usize];
        if first {
            run.tally.start(event.received_at);
            first = false;
        }
        let price = world.markets[usize::from(market.0)].price(event.price);
        let at = Seen { published_at: event.published_at, received_at: event.received_at };
        run.observe(market, source, price, Price(0), at);
        if let Some(bar) = &event.bar {
            let usd_assumed = VOLUME_ASSUMED_USD / (bar.close as f64 / 1e12);
            let volume = bar.volume.map_or(usd_assumed, |volume| volume as f64 / 1e8);
            observer.borrow_mut().bar = world.markets[usize::from(market.0)].lots_of(volume);
            run.bar(market, bar, event.opened_at, event.received_at);
        }
    }
    drop(run);
    let observer = Rc::into_inner(observer).expect("the run is gone").into_inner();
    observer.found
}

fn outcome(feed: &Feed) -> Outcome {
    let competent = Policy::parse(include_str!("../../../policies/competent.toml"), "competent").expect("reads");
    let options = Options {
        title: "10 October 2025".to_owned(),
        policy: policy(),
        competent,
        accounts: AccountsFrom::Drawn { per_market: ACCOUNTS, seed: SEED },
        insurance_usd: None,
        volume_assumed_usd: VOLUME_ASSUMED_USD,
        venue: None,
        single: true,
        sensitivity: false,
        chart_points: 0,
        threads: 2,
    };
    replay(feed, &options, &|_, _| {}).expect("replays")
}

#[test]
fn what_the_venues_had_said_by_then_carries_every_decision() {
    let Some(feed) = feed() else { return };
    let found = observed(&feed);
    println!(
        "{} solvent liquidations in {}, each on {:?} lineages at least; {} deleveraging fills, none of a solvent account",
        found.solvent_liquidations,
        THREE_LINEAGES.join(", "),
        found.fewest_supporters.unwrap_or(0),
        found.deleveraged,
    );
    println!(
        "{} checks with fresh sources more than 2% apart; {} checks in a dispute; {} sources overruled after one",
        found.contradictions, found.disputed_checks, found.overruled
    );
    println!(
        "{} fills of them, the latest {:.3} s after its decision ({}), {} without the support that the decision had; \
         {} bars offered against, {} above a tenth",
        found.solvent_fills,
        found.latest_fill.0 as f64 / 1e6,
        found.latest_fill.1,
        found.unsupported_fills.len(),
        found.bars_offered,
        found.over_a_tenth.len(),
    );
    for (kind, episodes) in &found.failovers {
        let mut episodes = episodes.clone();
        episodes.sort_unstable();
        let at = |share: usize| episodes[(episodes.len() - 1) * share / 100].0 as f64 / 1e6;
        let late = episodes.iter().filter(|(lasted, _)| 3 * SECOND < *lasted).count();
        println!(
            "failover, {kind}: {} episodes, median {:.3} s, 90% {:.3} s, 99% {:.3} s, longest {:.3} s ({}), {late} above 3 s",
            episodes.len(),
            at(50),
            at(90),
            at(99),
            at(100),
            episodes.last().map_or("", |last| last.1.as_str()),
        );
        assert_eq!(late, 0, "{kind}");
        assert!(100 < episodes.len(), "{kind}: the day is looked at");
    }
    let none: [(&str, &[String]); 10] = [
        ("solvent accounts liquidated who are not under maintenance where the mark is going", &found.covered),
        ("solvent accounts liquidated without two lineages near the price", &found.unsupported),
        ("more than a tenth of a bar offered", &found.over_a_tenth),
        ("sources apart and not disputed", &found.undisputed),
        ("open in a dispute", &found.opened),
        ("outside the hull in a dispute", &found.outside_hull),
        ("solvent accounts deleveraged", &found.solvent_deleveraged),
        ("overruled before a minute", &found.hasty),
        ("agreed on one lineage", &found.agreed_alone),
        ("solvent accounts' liquidations filled without two lineages near the price", &found.unsupported_fills),
    ];
    let failover = |kind: &str| {
        let longest = found.failovers[kind].iter().map(|(lasted, _)| *lasted).max().unwrap_or(0);
        serde_json::json!({ "episodes": found.failovers[kind].len(), "longest_seconds": longest as f64 / 1e6 })
    };
    let numbers = serde_json::json!({
        "solvent_liquidations": found.solvent_liquidations,
        "fewest_lineages_near_the_price": found.fewest_supporters,
        "solvent_fills": found.solvent_fills,
        "latest_fill_seconds_after_its_decision": found.latest_fill.0 as f64 / 1e6,
        "checks_with_sources_apart": found.contradictions,
        "checks_in_a_dispute": found.disputed_checks,
        "failover_out_of_band": failover("out of band"),
        "failover_silent": failover("silent"),
        "violations": none.iter().map(|(_, violations)| violations.len()).sum::<usize>(),
    });
    println!("numbers {numbers}");
    for (what, violations) in none {
        println!("{what}: {}", violations.len());
        for violation in violations.iter().take(5) {
            println!("    {violation}");
        }
        assert!(violations.is_empty(), "{what}: {}", violations.len());
    }
    assert!(found.fewest_supporters.is_some_and(|lineages| 2 <= lineages));
    assert!(1_000 < found.solvent_liquidations && 100_000 < found.contradictions, "the day is looked at: {found:?}");
    assert!(1_000 < found.solvent_fills && 1_000 < found.bars_offered, "the day is looked at");
}

/// A market's row: seconds in each state, then accounts liquidated, of those unjustified and unjudged, and bad debt, under
/// the policy and under the competent baseline.
fn row(market: &MarketOutcome) -> String {
    let seconds = |state: &str| market.seconds_by_state.get(state).copied().unwrap_or(0.0);
    format!(
        "{:<6}{:>4}{:>9.0}{:>10.0}{:>10.0}{:>7.0}{:>10}{:>6}{:>6}{:>14.0}{:>12}{:>6}{:>6}{:>14.0}",
        market.market,
        market.lineages,
        seconds("Agreed"),
        seconds("Degraded"),
        seconds("Disputed"),
        seconds("None"),
        market.liquidated[0],
        market.unjustified[0],
        market.unjudged[0],
        market.bad_debt_usd[0],
        market.liquidated[1],
        market.unjustified[1],
        market.unjudged[1],
        market.bad_debt_usd[1],
    )
}

fn total(totals: &Totals) -> String {
    format!(
        "{:<18}{:>11}{:>12}{:>9}{:>10.3}{:>14.0}{:>14.0}{:>14.0}{:>14.0}{:>12.0}{:>12.0}",
        totals.name,
        totals.liquidated_accounts,
        totals.unjustified_liquidations,
        totals.unjudged_accounts,
        totals.over_liquidation_ratio.unwrap_or(0.0),
        totals.bad_debt_usd,
        totals.insurance_usd,
        totals.adl_usd,
        totals.adl_outside_usd,
        totals.socialized_usd,
        totals.socialized_outside_usd,
    )
}

#[test]
fn the_table_for_all_sixteen_assets() {
    let Some(feed) = feed() else { return };
    let outcome = outcome(&feed);
    println!(
        "{:<6}{:>4}{:>9}{:>10}{:>10}{:>7}{:>10}{:>6}{:>6}{:>14}{:>12}{:>6}{:>6}{:>14}",
        "asset",
        "lin.",
        "Agreed",
        "Degraded",
        "Disputed",
        "None",
        "policy",
        "unj.",
        "unjd.",
        "bad debt",
        "competent",
        "unj.",
        "unjd.",
        "bad debt"
    );
    for market in &outcome.markets {
        println!("{}", row(market));
    }
    println!(
        "{:<18}{:>11}{:>12}{:>9}{:>10}{:>14}{:>14}{:>14}{:>14}{:>12}{:>12}",
        "oracle",
        "liquidated",
        "unjustified",
        "unjudged",
        "over-liq",
        "bad debt",
        "insurance",
        "ADL",
        "(outside)",
        "socialized",
        "(outside)"
    );
    let runs = [&outcome.runs.policy, &outcome.runs.competent].into_iter().chain(&outcome.runs.single);
    for totals in runs.clone() {
        println!("{}", total(totals));
        assert_eq!(totals.invariants_broken, 0, "{}", totals.name);
    }
    let lost: Vec<String> = outcome
        .markets
        .iter()
        .filter(|market| {
            market.bad_debt_usd[1] < market.bad_debt_usd[0] || market.unjustified[1] < market.unjustified[0]
        })
        .map(|market| market.market.clone())
        .collect();
    println!("rows in which the competent baseline has less bad debt or fewer unjustified: {}", lost.join(", "));
    let assets: serde_json::Map<String, serde_json::Value> = outcome
        .markets
        .iter()
        .map(|market| {
            let numbers = serde_json::json!({
                "lineages": market.lineages,
                "seconds_by_state": market.seconds_by_state,
                "liquidated": market.liquidated,
                "unjustified": market.unjustified,
                "unjudged": market.unjudged,
                "bad_debt_usd": market.bad_debt_usd.map(f64::round),
            });
            (market.market.clone(), numbers)
        })
        .collect();
    let totals = |totals: &Totals| {
        serde_json::json!({
            "liquidated_accounts": totals.liquidated_accounts,
            "unjustified_liquidations": totals.unjustified_liquidations,
            "unjudged_accounts": totals.unjudged_accounts,
            "over_liquidation_ratio": totals.over_liquidation_ratio,
            "bad_debt_usd": totals.bad_debt_usd.round(),
            "insurance_usd": totals.insurance_usd.round(),
            "adl_usd": totals.adl_usd.round(),
            "adl_outside_usd": totals.adl_outside_usd.round(),
        })
    };
    let named: serde_json::Map<String, serde_json::Value> =
        runs.clone().map(|run| (run.name.clone(), totals(run))).collect();
    let numbers = serde_json::json!({ "assets_policy_competent": assets, "runs": named, "lost_to_competent": lost });
    println!("numbers {numbers}");
    assert_eq!(outcome.markets.len(), 16);
    for market in &outcome.markets {
        let names = |names: [&str; 6]| names.contains(&market.market.as_str());
        let lineages = if names(THREE_LINEAGES) { 3 } else { 2 - u8::from(names(ONE_LINEAGE)) };
        assert_eq!(market.lineages, lineages, "{}", market.market);
        let agreed = market.seconds_by_state.get("Agreed").copied().unwrap_or(0.0);
        assert_eq!(0.0 < agreed, 1 < lineages, "{}: {agreed} s agreed", market.market);
        assert_eq!(market.outside_hull, 0, "{}", market.market);
        // Of one operator's prices nothing can be held against another's.
        if lineages == 1 {
            assert_eq!(market.unjudged, market.liquidated, "{}", market.market);
        }
    }
    let (policy, competent) = (&outcome.runs.policy, &outcome.runs.competent);
    assert!(policy.unjustified_liquidations * 2 < competent.unjustified_liquidations);
    assert!(policy.over_liquidation_ratio.is_some_and(|ratio| ratio < 1.01));
    assert_eq!((policy.socialized_usd, policy.deficit_usd), (0.0, 0.0));
}
