//! Replays a feed through the kernel, the embedded venue and the baselines.
//!
//! The same accounts live through the same feed several times: under the policy; under a *competent* baseline (plain
//! median of the sources, the same tiers, partial liquidation, a market halt); with each source in turn as the only
//! oracle. The baselines run the same kernel with the protections that are compared switched off, so that what
//! differs between the rows is the price that they believe and when they stop. In every run liquidations fill
//! against the bars that follow them ([`outside::Impact`]).
//!
//! Start at [`replay`]; [`versus::versus`] holds two policies against each other without baselines.

pub mod accounts;
pub mod baseline;
pub mod chart;
pub mod hindsight;
mod listing;
pub mod outcome;
pub mod outside;
mod rule;
pub mod run;
pub mod tally;
pub mod versus;
pub mod watch;
pub mod world;

use crate::feed::{BarRef, Feed, FeedEvent, Micros};
use accounts::{Accounts, AccountsFrom};
use baseline::Median;
use chart::Charts;
use hindsight::Hindsight;
use outcome::{AccountOutcome, MarketOutcome, Observations, Outcome, Runs, Sensitivity, TimelineEntry, Totals};
use outside::Impact;
use policy::{Listed, Policy};
use protocol::{AccountId, MarketId, SourceId};
use rule::Ruled;
pub use rule::{Combine, VenueRule};
use run::{Run, Seen};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::Instant;
use units::Price;
use watch::Watch;
use world::World;

/// The coefficients of the impact law besides 1.
const SENSITIVITY: [f64; 2] = [0.5, 2.0];

/// What to replay, besides the feed.
#[derive(Clone, Debug)]
pub struct Options {
    /// In words, for the heading.
    pub title: String,
    /// The policy under test.
    pub policy: Policy,
    /// The policy of the baselines.
    pub competent: Policy,
    /// The accounts.
    pub accounts: AccountsFrom,
    /// The insurance fund of every pool, USD; `None`: one percent of the open interest at the start.
    pub insurance_usd: Option<f64>,
    /// What a bar is taken to have traded where its file does not say, USD.
    pub volume_assumed_usd: f64,
    /// The rule of the venue that the incident happened to, to run as well.
    pub venue: Option<VenueRule>,
    /// Whether to run each source as the only oracle.
    pub single: bool,
    /// Whether to run the impact law's sensitivity.
    pub sensitivity: bool,
    /// Points a chart series keeps at most; zero for no charts.
    pub chart_points: usize,
    /// Threads.
    pub threads: usize,
}

/// Which price a run believes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Oracle {
    Policy,
    Competent,
    Venue,
    Single(String),
}

struct Job {
    oracle: Oracle,
    impact: f64,
}

/// What the runs under a policy begin with.
struct Start {
    listed: Listed,
    accounts: Accounts,
    /// USD.
    open_interest: f64,
    /// Of every pool, USD.
    insurance: f64,
}

/// What a run leaves behind.
struct Done {
    totals: Totals,
    timeline: Vec<TimelineEntry>,
    markets: Vec<MarketOutcome>,
    fates: BTreeMap<AccountId, outcome::Fate>,
    /// Who was liquidated or deleveraged as insolvent, and when first.
    liquidated: BTreeMap<AccountId, Micros>,
    seconds: f64,
}

/// Replays `feed`.
///
/// # Errors
/// In words: a world that can't be listed, accounts that do not fit, or a stream that can't be read.
pub fn replay(feed: &Feed, options: &Options, progress: &(dyn Fn(&str, u64) + Sync)) -> Result<Outcome, String> {
    let started = Instant::now();
    let world = World::of(feed)?;
    let start = Start::of(&world, &options.policy, options)?;
    let listed_at = started.elapsed().as_secs_f64();
    let hindsight = Hindsight::build(feed, &world).map_err(|error| error.to_string())?;
    let reference_at = started.elapsed().as_secs_f64();
    let mut decisions = feed.decisions.clone();
    decisions.extend(world.decisions.iter().cloned());
    decisions.extend(start.listed.decisions.iter().cloned());
    decisions.extend(start.accounts.decisions.iter().cloned());
    let Start { open_interest, insurance, .. } = start;
    decisions.push(format!(
        "open interest at the start {open_interest:.0} USD; insurance fund {insurance:.0} USD; the backstop provider is \
         the outside market: at most 10% of each following bar's volume, both sides together, at coefficient × range × \
         √share; what deleveraging and socialized losses bill it is counted apart as outside"
    ));
    if hindsight.late > 0 {
        decisions.push(format!(
            "{} rows came more than 300 s after their trade time; hindsight does not wait for them",
            hindsight.late
        ));
    }
    let series = feed.series.iter().any(|series| series.width.is_none());
    if series {
        decisions.push("quotes have no volume: liquidations fill against bars only".to_owned());
    }
    let jobs = jobs(&world, options);
    let results = spread(jobs, options.threads, |job| one(feed, &world, &start, &hindsight, options, job, progress))?;
    let mut outcome = Outcome {
        title: options.title.clone(),
        policy_digest: options.policy.digest().to_string(),
        decisions,
        observations: observations(feed),
        from: 0,
        to: 0,
        markets: Vec::new(),
        runs: Runs { policy: Totals::default(), competent: Totals::default(), venue: None, single: Vec::new() },
        sensitivity: Vec::new(),
        timeline: Vec::new(),
        accounts: Vec::new(),
        stages: BTreeMap::new(),
    };
    outcome.from = feed.series.iter().map(|series| series.first).min().unwrap_or(0);
    outcome.to = feed.series.iter().map(|series| series.last).max().unwrap_or(0);
    outcome.stages.insert("list".to_owned(), listed_at);
    outcome.stages.insert("hindsight".to_owned(), reference_at - listed_at);
    let mut fates: [BTreeMap<AccountId, outcome::Fate>; 2] = [BTreeMap::new(), BTreeMap::new()];
    let mut rows: BTreeMap<u64, (Option<Totals>, Option<Totals>)> = BTreeMap::new();
    let mut competent_markets = Vec::new();
    for (job, done) in results {
        let done = done?;
        match (&job.oracle, job.impact.to_bits() == 1.0_f64.to_bits()) {
            (Oracle::Policy, true) => {
                outcome.runs.policy = done.totals;
                outcome.timeline = done.timeline;
                outcome.markets = done.markets;
                fates[0] = done.fates;
                outcome.stages.insert("policy".to_owned(), done.seconds);
            }
            (Oracle::Competent, true) => {
                outcome.runs.competent = done.totals;
                competent_markets = done.markets;
                fates[1] = done.fates;
                outcome.stages.insert("competent".to_owned(), done.seconds);
            }
            (Oracle::Venue, _) => outcome.runs.venue = Some(done.totals),
            (Oracle::Single(_), _) => outcome.runs.single.push(done.totals),
            (Oracle::Policy, false) => rows.entry(job.impact.to_bits()).or_default().0 = Some(done.totals),
            (Oracle::Competent, false) => rows.entry(job.impact.to_bits()).or_default().1 = Some(done.totals),
        }
    }
    for (bits, totals) in rows {
        if let (Some(policy), Some(competent)) = totals {
            outcome.sensitivity.push(Sensitivity { impact: f64::from_bits(bits), policy, competent });
        }
    }
    for (ours, theirs) in outcome.markets.iter_mut().zip(competent_markets) {
        ours.liquidated[1] = theirs.liquidated[0];
        ours.unjustified[1] = theirs.unjustified[0];
        ours.unjudged[1] = theirs.unjudged[0];
        ours.bad_debt_usd[1] = theirs.bad_debt_usd[0];
        ours.series.liquidations.extend(theirs.series.liquidations);
    }
    outcome.accounts = account_outcomes(&start.accounts, &world, &fates);
    outcome.stages.insert("total".to_owned(), started.elapsed().as_secs_f64());
    Ok(outcome)
}

impl Start {
    fn of(world: &World, policy: &Policy, options: &Options) -> Result<Start, String> {
        let listed = world.list(policy).map_err(|error| error.to_string())?;
        let accounts = Accounts::of(&options.accounts, world, &listed.pool_names)?;
        let open_interest = accounts.open_interest_usd(world);
        let insurance = options.insurance_usd.unwrap_or(open_interest * 0.01);
        Ok(Start { listed, accounts, open_interest, insurance })
    }
}

/// Does `jobs` on so many threads. What comes back is in their order.
pub(crate) fn spread<J: Send, T: Send>(
    jobs: Vec<J>,
    threads: usize,
    work: impl Fn(&J) -> T + Sync,
) -> Result<Vec<(J, T)>, String> {
    let queue: Mutex<VecDeque<(usize, J)>> = Mutex::new(jobs.into_iter().enumerate().collect());
    let results: Mutex<BTreeMap<usize, (J, T)>> = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().ok().and_then(|mut queue| queue.pop_front());
                    let Some((place, job)) = next else { break };
                    let done = work(&job);
                    if let Ok(mut results) = results.lock() {
                        results.insert(place, (job, done));
                    }
                }
            });
        }
    });
    let results = results.into_inner().map_err(|_| "a run panicked".to_owned())?;
    Ok(results.into_values().collect())
}

fn observations(feed: &Feed) -> Observations {
    let counts = feed.counts();
    Observations { input: counts.input, used: counts.used, listed: counts.listed, prices: counts.observations }
}

fn jobs(world: &World, options: &Options) -> Vec<Job> {
    let mut jobs = vec![Job { oracle: Oracle::Policy, impact: 1.0 }, Job { oracle: Oracle::Competent, impact: 1.0 }];
    if options.sensitivity {
        for impact in SENSITIVITY {
            jobs.push(Job { oracle: Oracle::Policy, impact });
            jobs.push(Job { oracle: Oracle::Competent, impact });
        }
    }
    if options.venue.is_some() {
        jobs.push(Job { oracle: Oracle::Venue, impact: 1.0 });
    }
    if options.single {
        let mut names: Vec<&String> =
            world.markets.iter().flat_map(|market| market.sources.iter().map(|source| &source.name)).collect();
        names.sort_unstable();
        names.dedup();
        jobs.extend(names.into_iter().map(|name| Job { oracle: Oracle::Single(name.clone()), impact: 1.0 }));
    }
    jobs
}

fn one(
    feed: &Feed,
    world: &World,
    start: &Start,
    hindsight: &Hindsight,
    options: &Options,
    job: &Job,
    progress: &(dyn Fn(&str, u64) + Sync),
) -> Result<Done, String> {
    let started = Instant::now();
    let name = match &job.oracle {
        Oracle::Policy => "policy".to_owned(),
        Oracle::Competent => "competent".to_owned(),
        Oracle::Venue => "venue".to_owned(),
        Oracle::Single(name) => name.clone(),
    };
    let params = match &job.oracle {
        Oracle::Policy => start.listed.params.clone(),
        Oracle::Competent => world.list_single(&options.competent, "median").map_err(|e| e.to_string())?.params,
        Oracle::Venue => world.list_single(&options.competent, "venue").map_err(|e| e.to_string())?.params,
        Oracle::Single(name) => world.list_single(&options.competent, name).map_err(|e| e.to_string())?.params,
    };
    let impact = Impact { coefficient: job.impact, volume_assumed_usd: options.volume_assumed_usd };
    let mut run = Run::new(world, &params, &start.accounts.genesis, start.insurance, impact)?;
    let mut median = (job.oracle == Oracle::Competent).then(|| Median::new(world));
    let rule = options.venue.as_ref().filter(|_| job.oracle == Oracle::Venue);
    let mut ruled = rule.map(|rule| Ruled::new(world, rule));
    let main = job.oracle == Oracle::Policy && job.impact.to_bits() == 1.0_f64.to_bits();
    let mut watch = main.then(|| Watch::new(world, hindsight));
    let mut charts = (main && options.chart_points > 0).then(|| Charts::new(feed, world, options.chart_points));
    let mut first = true;
    let mut seen = 0_u64;
    for event in feed.replay().map_err(|error| error.to_string())? {
        let event = event.map_err(|error| error.to_string())?;
        seen += 1;
        if seen.is_multiple_of(1 << 14) {
            progress(&name, 1 << 14);
        }
        let Some((market, source)) = world.series.get(event.series as usize).copied() else { continue };
        if first {
            run.tally.start(event.received_at);
            first = false;
        }
        let listed = &world.markets[usize::from(market.0)];
        let price = listed.price(event.price);
        let at = Seen { published_at: event.published_at, received_at: event.received_at };
        let mut fills = true;
        match &job.oracle {
            Oracle::Policy => {
                if let Some(watch) = &mut watch {
                    watch.until(event.received_at, run.kernel());
                }
                let confidence = confidence(listed, &event);
                run.observe(market, source, price, confidence, at);
                let shown = hindsight.in_usd(world, market, source, event.price, event.published_at);
                if let (Some(watch), Some(shown)) = (&mut watch, shown) {
                    watch.source(market, source, listed.price(shown), event.received_at, run.kernel());
                }
                if let Some(charts) = &mut charts {
                    charts.point(event.series, market, &event, run.kernel(), world);
                }
            }
            Oracle::Competent => {
                if let Some(median) = &mut median {
                    let (at, received) = (event.published_at, event.received_at);
                    match median.price(market, source, price, received) {
                        Some(price) => {
                            let now = Seen { published_at: received.max(at), received_at: received };
                            run.observe(market, SourceId(0), price, Price(0), now);
                        }
                        None => fills = false,
                    }
                }
            }
            Oracle::Venue => {
                if let Some(price) = ruled.as_mut().and_then(|ruled| ruled.price(market, source, price)) {
                    let now = Seen { published_at: at.received_at.max(at.published_at), ..at };
                    run.observe(market, SourceId(0), price, Price(0), now);
                }
            }
            Oracle::Single(name) => {
                let own = listed.sources.get(usize::from(source.0)).is_some_and(|listed| listed.name == *name);
                if own {
                    run.observe(market, SourceId(0), price, confidence(listed, &event), at);
                }
            }
        }
        if let (Some(bar), true) = (&event.bar, fills) {
            // Who is taken to trade outside pays what the bar was worth in USD.
            let usd = |pico| hindsight.in_usd(world, market, source, pico, event.opened_at);
            if let (Some(open), Some(high), Some(low), Some(close)) =
                (usd(bar.open), usd(bar.high), usd(bar.low), usd(bar.close))
            {
                let bar = BarRef { open, high, low, close, volume: bar.volume };
                run.bar(market, &bar, event.opened_at, event.received_at);
            }
        }
    }
    run.finish(hindsight, world);
    let seconds = started.elapsed().as_secs_f64();
    let mut totals = run.tally.totals.clone();
    totals.name = name;
    let mut liquidated = BTreeMap::new();
    for decided in &run.tally.decided {
        liquidated.entry(decided.account).or_insert(decided.at);
    }
    let mut markets: Vec<MarketOutcome> = (0_u16..)
        .zip(&world.markets)
        .map(|(id, market)| market_outcome(MarketId(id), market, &run, &job.oracle))
        .collect();
    if let Some(watch) = watch {
        watch.finish(&mut markets);
    }
    if let Some(charts) = charts {
        charts.finish(&mut markets, &run.tally);
    }
    let timeline = if main { std::mem::take(&mut run.tally.timeline) } else { Vec::new() };
    Ok(Done { totals, timeline, markets, fates: std::mem::take(&mut run.tally.fates), liquidated, seconds })
}

fn confidence(market: &world::WorldMarket, event: &FeedEvent) -> Price {
    if event.confidence <= 0 {
        return Price(0);
    }
    market.scale.price_from_pico(event.confidence, units::Rounding::Up).unwrap_or(Price(i64::MAX))
}

fn market_outcome(id: MarketId, market: &world::WorldMarket, run: &Run<'_>, oracle: &Oracle) -> MarketOutcome {
    let place = usize::from(id.0);
    let clock = &run.tally.clocks[place];
    let seconds = |micros: i64| micros as f64 / 1e6;
    let states = ["Agreed", "Degraded", "Disputed", "None"];
    let (liquidated, unjustified, unjudged) = run.tally.liquidated_in(id);
    let mut sources: Vec<&String> = market.sources.iter().map(|source| &source.lineage).collect();
    sources.sort_unstable();
    sources.dedup();
    let which = if *oracle == Oracle::Policy { "policy" } else { "competent" };
    let series = outcome::MarketSeries {
        liquidations: run.tally.liquidations_in(id).map(|(at, usd)| (at, usd, which)).collect(),
        ..outcome::MarketSeries::default()
    };
    MarketOutcome {
        market: market.name.clone(),
        sources: market.sources.iter().map(|source| source.name.clone()).collect(),
        lineages: u8::try_from(sources.len()).unwrap_or(u8::MAX),
        seconds_by_state: states.iter().zip(clock.states).map(|(name, t)| ((*name).to_owned(), seconds(t))).collect(),
        seconds_by_mode: protocol::Mode::ALL
            .iter()
            .zip(clock.modes)
            .map(|(mode, t)| (format!("{mode:?}"), seconds(t)))
            .collect(),
        hull_checks: 0,
        outside_hull: 0,
        arbitrage_window: outcome::ArbitrageWindow::default(),
        liquidated: [liquidated, 0],
        unjustified: [unjustified, 0],
        unjudged: [unjudged, 0],
        bad_debt_usd: [run.tally.bad_debt_by_market[place], 0.0],
        series,
    }
}

fn account_outcomes(
    accounts: &Accounts,
    world: &World,
    fates: &[BTreeMap<AccountId, outcome::Fate>; 2],
) -> Vec<AccountOutcome> {
    let fate = |run: usize, id: AccountId| fates[run].get(&id).copied().unwrap_or_default();
    let row = |genesis: &kernel::Genesis| {
        let name = accounts.names.get(&genesis.account)?;
        let largest = genesis
            .holdings
            .iter()
            .max_by_key(|holding| i128::from(holding.size.0.unsigned_abs()) * i128::from(holding.entry.0));
        Some(AccountOutcome {
            account: name.clone(),
            market: largest.map_or(String::new(), |holding| world.markets[usize::from(holding.market.0)].name.clone()),
            size: largest
                .map_or(0.0, |holding| world.markets[usize::from(holding.market.0)].base(holding.size.0 as f64)),
            leverage: accounts::leverage(genesis, world),
            cash_usd: genesis.cash.0 as f64 / 1e6,
            policy: fate(0, genesis.account),
            competent: fate(1, genesis.account),
        })
    };
    accounts.genesis.iter().filter_map(row).collect()
}

/// Microseconds as seconds, for people.
#[must_use]
pub fn seconds(micros: Micros) -> f64 {
    micros as f64 / 1e6
}
