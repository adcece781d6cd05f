//! Replays of the ten small feeds: what each situation must and must not lead to.

use lab::feed::{BarRef, Feed, FeedOptions};
use lab::fixtures::{self, Fixture};
use lab::replay::accounts::AccountsFrom;
use lab::replay::outcome::Outcome;
use lab::replay::outside::{Impact, shared};
use lab::replay::run::{Run, Seen};
use lab::replay::tally::Tally;
use lab::replay::world::{BACKSTOP, World, WorldMarket, WorldSource, scale_for};
use lab::replay::{Options, replay};
use policy::Policy;
use protocol::effect::AdmittedOrder;
use protocol::input::Trade;
use protocol::quality::Exclusion;
use protocol::restriction::Side;
use protocol::{AccountId, Effect, Input, MarketId, OrderId, PoolId, SourceId};
use std::cell::RefCell;
use std::rc::Rc;
use units::{Notional, Price, Size, Timestamp};

const DEFAULT: &str = include_str!("../../../policies/default.toml");
const COMPETENT: &str = include_str!("../../../policies/competent.toml");

fn options(threads: usize) -> Options {
    Options {
        title: "fixture".to_owned(),
        policy: Policy::parse(DEFAULT, "default").expect("the shipped policy is well formed"),
        competent: Policy::parse(COMPETENT, "competent").expect("the shipped policy is well formed"),
        accounts: AccountsFrom::Drawn { per_market: 120, seed: 3 },
        insurance_usd: Some(100_000.0),
        volume_assumed_usd: 1_000_000.0,
        venue: None,
        single: true,
        sensitivity: false,
        chart_points: 200,
        threads,
    }
}

fn run(fixture: &Fixture) -> Outcome {
    let feed = Feed::open(&FeedOptions::new(fixture.bars.clone(), fixture.quotes.clone())).expect(fixture.name);
    replay(&feed, &options(2), &|_, _| {}).expect(fixture.name)
}

fn of(name: &str) -> Outcome {
    let fixtures = fixtures::all().expect("fixtures can be written");
    run(fixtures.iter().find(|fixture| fixture.name == name).expect("a fixture of this name"))
}

fn seconds(outcome: &Outcome, state: &str) -> f64 {
    outcome.markets[0].seconds_by_state[state]
}

fn mode(outcome: &Outcome, name: &str) -> f64 {
    outcome.markets[0].seconds_by_mode[name]
}

/// Sources in USDT beside one in USD, while a tether is worth 90 cents.
#[test]
fn what_is_quoted_in_a_tether_is_judged_and_filled_in_usd() {
    use std::fmt::Write as _;
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str, prices: &dyn Fn(i64) -> String| {
        let mut text = "ts_s,open,high,low,close,volume\n".to_owned();
        for second in 0..600 {
            let price = prices(second);
            writeln!(text, "{},{price},{price},{price},{price},1000", 1_700_000_000 + second).expect("writes");
        }
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("writes");
        path
    };
    // From the 300th second on a tether loses a tenth of a cent every second, down to 90; a coin is worth 100 USD throughout.
    let mills = |second: i64| 1_000 - (second - 300).clamp(0, 100);
    let in_usdt = file("coin_usdt.csv", &|second| format!("{:.6}", 100_000.0 / mills(second) as f64));
    let in_usd = file("coin_usd.csv", &|_| "100".to_owned());
    let tether = file("tether.csv", &|second| format!("{:.3}", mills(second) as f64 / 1_000.0));
    let bars = |path: &std::path::Path, options: &str| {
        lab::feed::BarsArg::parse(&format!("{}:width=1s,{options}", path.display())).expect("parses")
    };
    let bars = vec![
        bars(&in_usdt, "market=COIN,quote=USDT,source=binance"),
        bars(&in_usdt, "market=COIN,quote=USDT,source=okx"),
        bars(&in_usd, "market=COIN,quote=USD,source=coinbase"),
        bars(&tether, "market=USDT,quote=USD,source=coinbase"),
        bars(&tether, "market=USDT,quote=USD,source=kraken"),
    ];
    let feed = Feed::open(&FeedOptions::new(bars, Vec::new())).expect("opens");
    let outcome = replay(&feed, &options(2), &|_, _| {}).expect("replays");
    let said = "COIN at binance is quoted in USDT: taken by the price of market USDT";
    assert!(outcome.decisions.iter().any(|decision| decision == said), "{:#?}", outcome.decisions);
    let coin = outcome.markets.iter().find(|market| market.market == "COIN").expect("listed");
    assert!(590.0 < coin.seconds_by_state["Agreed"], "{:?}", coin.seconds_by_state);
    // In a second's bars the coin is heard before the tether: what it costs is a second old, a tenth of a percent.
    assert!(coin.arbitrage_window.max_bps < 11.0, "{:?}", coin.arbitrage_window);
    // Nobody is under maintenance: a coin's price does not move. Who counts a tether for a dollar sees it rise by a ninth.
    assert_eq!((coin.liquidated[0], coin.unjustified[0]), (0, 0));
    assert!(0 < coin.liquidated[1] && coin.liquidated[1] == coin.unjustified[1], "{:?}", coin.liquidated);
}

#[test]
fn every_fixture_replays_with_every_row_accounted_for_and_every_invariant_held() {
    for fixture in fixtures::all().expect("fixtures can be written") {
        let outcome = run(&fixture);
        let counts = outcome.observations;
        assert_eq!(counts.input, counts.used + counts.listed, "{}", fixture.name);
        assert_eq!((counts.input, counts.listed), (fixture.rows, fixture.listed), "{}", fixture.name);
        for totals in [&outcome.runs.policy, &outcome.runs.competent].into_iter().chain(&outcome.runs.single) {
            assert_eq!(totals.invariants_broken, 0, "{} {}", fixture.name, totals.name);
        }
        assert_eq!(outcome.markets[0].outside_hull, 0, "{}", fixture.name);
        assert!(outcome.markets[0].hull_checks > 0, "{}", fixture.name);
    }
}

#[test]
fn three_venues_that_agree_lead_to_nothing() {
    let outcome = of("three_agree");
    assert_eq!(outcome.runs.policy.liquidated_accounts, 0);
    assert_eq!(seconds(&outcome, "Disputed"), 0.0);
    assert!(seconds(&outcome, "Agreed") > 895.0, "{}", seconds(&outcome, "Agreed"));
    // Halted, CancelOnly, ReduceOnly and Cautious take one calm of 60 s each.
    assert!((mode(&outcome, "Normal") - 660.0).abs() < 2.0, "{}", mode(&outcome, "Normal"));
}

#[test]
fn a_venue_at_half_the_price_liquidates_nobody_but_where_it_is_the_only_oracle() {
    let outcome = of("one_prints_half");
    assert_eq!(outcome.runs.policy.liquidated_accounts, 0);
    let alone = outcome.runs.single.iter().find(|totals| totals.name == "binance").expect("a run of that source");
    assert!(alone.unjustified_liquidations >= 20, "{}", alone.unjustified_liquidations);
    // Two against one wait for their confirmation, and then go on without it.
    let disputed = seconds(&outcome, "Disputed");
    assert!(59.0 <= disputed && disputed <= 62.0, "{disputed}");
}

#[test]
fn two_venues_apart_with_nobody_to_ask_stay_disputed_and_liquidate_nobody() {
    let outcome = of("two_apart");
    let disputed = seconds(&outcome, "Disputed");
    assert!(118.0 <= disputed && disputed <= 122.0, "{disputed}");
    assert_eq!(outcome.runs.policy.liquidated_accounts, 0);
    assert!(mode(&outcome, "ReduceOnly") >= disputed, "{}", mode(&outcome, "ReduceOnly"));
}

#[test]
fn two_feeds_of_one_operator_are_never_agreed() {
    let outcome = of("one_lineage");
    assert_eq!(outcome.markets[0].lineages, 1);
    assert_eq!(seconds(&outcome, "Agreed"), 0.0);
    assert!(seconds(&outcome, "Degraded") > 895.0);
    assert_eq!(mode(&outcome, "Normal"), 0.0);
}

#[test]
fn a_silent_venue_leaves_two_that_agree() {
    let outcome = of("one_silent");
    assert!(seconds(&outcome, "Agreed") > 895.0);
    assert_eq!(seconds(&outcome, "Disputed"), 0.0);
}

#[test]
fn a_venue_a_minute_late_in_a_fall_is_left_out_for_its_age() {
    let outcome = of("one_late");
    assert_eq!(seconds(&outcome, "Disputed"), 0.0, "too old to contradict");
    assert!(outcome.markets[0].arbitrage_window.p99_bps < 20.0, "{:?}", outcome.markets[0].arbitrage_window);
}

#[test]
fn one_wick_liquidates_nobody() {
    let outcome = of("flash_wick");
    assert_eq!(outcome.runs.policy.liquidated_accounts, 0);
    assert!(outcome.markets[0].arbitrage_window.max_bps < 20.0, "{:?}", outcome.markets[0].arbitrage_window);
}

#[test]
fn a_true_fall_liquidates_as_many_as_the_plain_median_does_and_nobody_without_cause() {
    let outcome = of("slow_crash");
    let (policy, competent) = (&outcome.runs.policy, &outcome.runs.competent);
    assert!(policy.liquidated_accounts >= 30, "{}", policy.liquidated_accounts);
    assert_eq!(policy.liquidated_accounts, competent.liquidated_accounts);
    assert_eq!(policy.unjustified_liquidations, 0);
    assert!(policy.over_liquidation_ratio.expect("somebody was liquidated") < 1.001);
    assert!(policy.bad_debt_usd <= competent.bad_debt_usd, "{} {}", policy.bad_debt_usd, competent.bad_debt_usd);
}

#[test]
fn grouping_and_dirt_change_nothing_that_is_decided() {
    let plain = of("three_agree");
    for name in ["grouped_gzip", "dirty_rows"] {
        let other = of(name);
        assert_eq!(other.runs.policy.effects_digest, plain.runs.policy.effects_digest, "{name}");
    }
}

#[test]
fn two_replays_and_any_number_of_threads_decide_alike() {
    let fixtures = fixtures::all().expect("fixtures can be written");
    let fixture = fixtures.iter().find(|fixture| fixture.name == "slow_crash").expect("a fixture of this name");
    let feed = Feed::open(&FeedOptions::new(fixture.bars.clone(), fixture.quotes.clone())).expect(fixture.name);
    let digests: Vec<(String, String)> = [1, 2, 4]
        .into_iter()
        .map(|threads| replay(&feed, &options(threads), &|_, _| {}).expect("a replay"))
        .map(|outcome| (outcome.runs.policy.effects_digest, outcome.runs.competent.effects_digest))
        .collect();
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[0], digests[2]);
    assert_ne!(digests[0].0, digests[0].1);
}

#[test]
fn a_feed_of_one_operator_judges_nobody_and_says_so() {
    let alone = |outcome: &Outcome| {
        let runs = [&outcome.runs.policy, &outcome.runs.competent].into_iter().chain(&outcome.runs.single);
        runs.map(|totals| (totals.liquidated_accounts, totals.unjudged_accounts)).collect::<Vec<_>>()
    };
    // Both feeds of one operator fall together; three operators' fall is the contrast.
    let outcome = alone(&fallen(&["binance-spot", "binance-futures"]));
    assert!(outcome.iter().all(|(liquidated, unjudged)| liquidated == unjudged), "{outcome:?}");
    assert!(30 <= outcome[1].0, "{outcome:?}");
    let outcome = alone(&fallen(&["binance", "coinbase"]));
    assert!(outcome.iter().all(|(_, unjudged)| *unjudged == 0), "{outcome:?}");
    assert!(30 <= outcome[1].0, "{outcome:?}");
}

/// Fifteen minutes of one-second bars that fall by 12%, the same at each source.
fn fallen(sources: &[&str]) -> Outcome {
    use std::fmt::Write;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("bars.csv");
    let mut text = "ts_s,source,symbol,open,high,low,close,volume_usd\n".to_owned();
    for second in 0..900 {
        let price = 100.0 - 12.0 * (f64::from(second - 300) / 400.0).clamp(0.0, 1.0);
        for source in sources {
            let at = 1_760_129_100 + i64::from(second);
            writeln!(text, "{at},{source},BTCUSD,{price:.4},{price:.4},{price:.4},{price:.4},1000000").expect("text");
        }
    }
    std::fs::write(&path, text).expect("written");
    let bars = lab::feed::BarsArg::parse(&path.display().to_string()).expect("parses");
    let feed = Feed::open(&FeedOptions::new(vec![bars], vec![])).expect("opens");
    replay(&feed, &options(2), &|_, _| {}).expect("a replay")
}

#[test]
fn both_sides_of_a_bar_share_one_tenth() {
    let check = |lots, wanted, expected| assert_eq!(shared(lots, wanted), expected, "{lots} for {wanted:?}");
    check(100, [100, 0], [100, 0]);
    check(100, [101, 0], [100, 0]);
    check(100, [60, 40], [60, 40]);
    check(100, [60, 41], [59, 40]);
    check(100, [300, 100], [75, 25]);
    check(100, [1_000, 1], [99, 0]);
    check(0, [5, 5], [0, 0]);
    check(100, [i64::MAX, i64::MAX], [50, 50]);
}

fn world_source(name: &str) -> WorldSource {
    let (name, lineage) = (name.to_owned(), name.to_owned());
    WorldSource { name, lineage, heartbeat: 1_000_000, kind: protocol::SourceKind::Trades, quote: None, unit: None }
}

/// Two markets, nobody in them, and what was counted of nothing.
fn counted() -> (World, kernel::Kernel, Tally) {
    let market = |name: &str| WorldMarket {
        name: name.to_owned(),
        scale: scale_for(100_000_000_000_000).expect("a price of 100 can be carried"),
        first_price: 100_000_000_000_000,
        sources: ["one", "two"].map(world_source).to_vec(),
        width: 1_000_000,
    };
    let world = World { markets: vec![market("AAA"), market("BBB")], series: vec![], decisions: vec![] };
    let listed = world.list(&options(1).policy).expect("lists");
    let kernel = kernel::Kernel::new(&listed.params, &[]).expect("nobody fits");
    let tally = Tally::new(&world, &[]);
    (world, kernel, tally)
}

const AT: i64 = 1_760_129_100_000_000;

#[test]
fn what_deleveraging_and_socialized_losses_bill_the_outside_taker_is_counted_apart() {
    let (_, kernel, mut tally) = counted();
    let (market, account, size, price) = (MarketId(0), AccountId(1), Size(-5), Price(1));
    let closed = |counterparty, usd: i64| {
        let given_up = Notional(usd * 1_000_000);
        Effect::Deleveraged { market, account, counterparty, size, price, given_up }
    };
    let paid = |account, usd: i64| {
        let (pool, side, amount) = (PoolId(0), Side::Long, Notional(usd * 1_000_000));
        Effect::Socialized { pool, market, side, account, amount }
    };
    let effects = [closed(AccountId(2), 30), closed(BACKSTOP, 12), paid(AccountId(3), 7), paid(BACKSTOP, 2)];
    tally.after(&[], &effects, &kernel, Timestamp(AT));
    let totals = &tally.totals;
    assert_eq!((totals.adl_usd, totals.adl_outside_usd), (42.0, 12.0));
    assert_eq!((totals.socialized_usd, totals.socialized_outside_usd), (9.0, 2.0));
}

#[test]
fn a_fill_counts_for_the_liquidation_of_its_own_market_where_pools_number_alike() {
    let (_, kernel, mut tally) = counted();
    let id = OrderId::of_kernel(7, 0);
    let decide = |market: u16, account: u64| Effect::Liquidate {
        order: AdmittedOrder {
            id,
            account: AccountId(account),
            market: MarketId(market),
            size: Size(-5),
            limit: Price(1),
        },
        equity: Notional(0),
        maintenance: Notional(1),
        insolvent: false,
    };
    tally.after(&[], &[decide(0, 1), decide(1, 2)], &kernel, Timestamp(AT));
    let price = Price(1_000_000_000);
    tally.before(&[Input::Trade(Trade { market: MarketId(0), buy: OrderId(1), sell: id, price, size: Size(5) })]);
    let filled = |market: u16| tally.liquidations_in(MarketId(market)).count();
    assert_eq!((filled(0), filled(1)), (1, 1));
    assert_eq!(tally.decided.iter().map(|decided| decided.filled_lots()).collect::<Vec<_>>(), [5.0, 0.0]);
}

#[test]
fn a_source_that_is_said_to_be_left_out_twice_is_one_line() {
    let (_, kernel, mut tally) = counted();
    let said = |source, exclusion| Effect::Source { market: MarketId(0), source: SourceId(source), exclusion };
    let overruled = Some(Exclusion::Overruled);
    tally.after(&[], &[said(0, overruled), said(0, overruled), said(1, overruled)], &kernel, Timestamp(AT));
    tally.after(&[], &[said(0, overruled)], &kernel, Timestamp(AT + 5_000_000));
    tally.after(&[], &[said(0, None)], &kernel, Timestamp(AT + 6_000_000));
    tally.after(&[], &[said(0, None)], &kernel, Timestamp(AT + 7_000_000));
    let lines: Vec<(i64, &str, u64)> =
        tally.timeline.iter().map(|line| ((line.at - AT) / 1_000_000, line.text.as_str(), line.count)).collect();
    let expected = [
        (0, "source 0 is left out: Overruled", 1),
        (0, "source 1 is left out: Overruled", 1),
        (6, "source 0 is used again", 1),
    ];
    assert_eq!(lines, expected);
}

/// A long that bought high and a short that sold low are both under water at one price, so their liquidations wait for the
/// same bar.
#[test]
fn liquidations_that_sell_and_that_buy_together_are_offered_a_tenth_of_a_bar() {
    let (world, ..) = counted();
    let listed = world.list_single(&options(1).competent, "one").expect("lists");
    let market = MarketId(0);
    let price = |usd: i128| world.markets[0].price(usd * 1_000_000_000_000);
    let lots = 100 * world.markets[0].lots_of(1.0) as i64;
    let account = |account, lots, entry, usd: i64| kernel::Genesis {
        collateral: Vec::new(),
        pool: PoolId(0),
        account: AccountId(account),
        cash: Notional(usd * 1_000_000),
        holdings: vec![kernel::Holding { market, size: Size(lots), entry: price(entry) }],
    };
    // Both have lost 1,000 USD at 100 and have 100 left, of 10,000 of notional.
    let outside = kernel::Genesis { holdings: vec![], ..account(BACKSTOP.0, 1, 100, 1_000_000_000) };
    let accounts = [account(1, lots, 110, 1_100), account(2, -lots, 90, 1_100), outside];
    let offered: Rc<RefCell<Vec<i64>>> = Rc::default();
    let seen = Rc::clone(&offered);
    let impact = Impact { coefficient: 1.0, volume_assumed_usd: 1.0 };
    let mut run = Run::new(&world, &listed.params, &accounts, 1_000_000.0, impact).expect("runs").with_observer(
        Box::new(move |batch, _, _| {
            for input in &batch.inputs {
                if let Input::Order(order) = input
                    && order.account == BACKSTOP
                {
                    seen.borrow_mut().push(order.size.0);
                }
            }
        }),
    );
    for second in 0..600 {
        let at = AT + second * 1_000_000;
        run.observe(market, SourceId(0), price(100), Price(0), Seen { published_at: at, received_at: at });
    }
    let decided = run.tally.decided.iter().map(|decided| decided.account).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(decided.into_iter().collect::<Vec<_>>(), [AccountId(1), AccountId(2)]);
    // Ten times what is offered: 50 lots of the smallest kind, of which both want far more.
    let level = 10_i64;
    let volume = i128::from(level) * 5 * 10 * 100_000_000 / world.markets[0].lots_of(1.0) as i128;
    let usd = 100_000_000_000_000;
    let bar = BarRef { open: usd, high: usd, low: usd, close: usd, volume: Some(volume) };
    run.bar(market, &bar, AT + 599_400_000, AT + 599_500_000);
    let offered = offered.borrow();
    let side = |sign: i64| offered.iter().filter(|lots| 0 < **lots * sign).sum::<i64>();
    assert_eq!((side(1), side(-1)), (25, -25));
}
