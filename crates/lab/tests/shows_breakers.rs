//! How often the shipped policy's breakers trip on years of real hourly bars, what of that is the market's and what a
//! source's, and whether hours of 15% trip. Crash windows, which nobody should hold a yearly rate against, are a table apart.
//!
//! Needs `../shared/data` beside the repository; without it the test says that it was skipped.

use lab::feed::{BarsArg, Feed, FeedOptions};
use lab::replay::world::World;
use lab::trips::table::table;
use lab::trips::{CLASSES, Class, MarketTrips, calibrate, trips};
use policy::Policy;
use std::path::{Path, PathBuf};

/// Largest numbers of trips and of hours a market-year because of the market's move.
const LIMITS: [(&str, f64, f64); 5] =
    [("BTC", 6.0, 12.0), ("ETH", 6.0, 12.0), ("BNB", 20.0, 40.0), ("LINK", 20.0, 40.0), ("SOL", 20.0, 40.0)];

/// Years of hours.
const LONG: [&str; 5] = [
    "ohlcv_1h_2021_2023_binance_spot/BTCUSDT_1h_2021-04_2022-10-24.csv.gz",
    "ohlcv_1h_2021_2023_binance_spot/ETHUSDT_1h_2021-04_2022-10-24.csv.gz",
    "ohlcv_1h_2021_2023_binance_spot/BNBUSDT_1h_2021-04_2022-10-24.csv.gz",
    "ohlcv_1h_2021_2023_binance_spot/LINKUSDT_1h_2021-04_2022-10-24.csv.gz",
    "ohlcv_solusdt_1h/SOLUSDT_1h_2020-08-11_2022-10-24.csv.gz",
];

/// Days on which everything fell, each file or directory a world of its own.
const CRASHES: [(&str, &[&str]); 10] = [
    ("2020, 1h", &["crash_2020-03_covid_1h/BTCUSDT_1h_2020.csv.gz", "crash_2020-03_covid_1h/ETHUSDT_1h_2020.csv.gz"]),
    (
        "2021-02, 5m",
        &[
            "crash_2021-02_04_binance_spot_5m/BTCUSDT_5m_2021-02-20_25.csv.gz",
            "crash_2021-02_04_binance_spot_5m/ETHUSDT_5m_2021-02-20_25.csv.gz",
            "crash_2021-02_04_binance_spot_5m/LINKUSDT_5m_2021-02-20_25.csv.gz",
            "crash_2021-02_04_binance_spot_5m/SOLUSDT_5m_2021-02-20_25.csv.gz",
        ],
    ),
    (
        "2021-05, 5m",
        &[
            "crash_2021-05_binance_spot/BTCUSDT_5m_2021-05-10_2021-05-26.csv.gz",
            "crash_2021-05_binance_spot/ETHUSDT_5m_2021-05-10_2021-05-26.csv.gz",
            "crash_2021-05_binance_spot/LINKUSDT_5m_2021-05-10_2021-05-26.csv.gz",
            "crash_2021-05_binance_spot/AAVEUSDT_5m_2021-05-10_2021-05-26.csv.gz",
        ],
    ),
    ("2021-05, 1h", &["crash_2021-05_binance_spot/panel_1h_2021-04-15_2021-06-30.csv.gz"]),
    ("2022-05, 1h", &["crash_2022-05_06_luna_3ac_1h/panel_1h_2022-05-01_2022-06-30.csv.gz"]),
    (
        "2023-03, 5m",
        &[
            "crash_2023-03_usdc_depeg/binance_um_BTCUSDT_5m_2023-03-06_20.csv.gz",
            "crash_2023-03_usdc_depeg/binance_um_ETHUSDT_5m_2023-03-06_20.csv.gz",
            "crash_2023-03_usdc_depeg/binance_um_LTCUSDT_5m_2023-03-06_20.csv.gz",
        ],
    ),
    (
        "2024-01, 5m",
        &[
            "crash_2024-01_03_5m/binance_um_BTCUSDT_5m_2024-01-01_15.csv.gz",
            "crash_2024-01_03_5m/binance_um_ETHUSDT_5m_2024-01-01_15.csv.gz",
            "crash_2024-01_03_5m/binance_um_LTCUSDT_5m_2024-01-01_15.csv.gz",
            "crash_2024-01_03_5m/binance_um_SUIUSDT_5m_2024-01-01_15.csv.gz",
        ],
    ),
    (
        "2024-12, 5m",
        &[
            "crash_2025-02_btc_5m/binance_BTCUSDT_5m_2024-12.csv.gz",
            "crash_2025-02_btc_5m/binance_BTCUSDT_5m_2025-01_02.csv.gz",
        ],
    ),
    ("2025-09, 1h", &["ohlcv_solusdt_1h/SOLUSDT_1h_2025-09_2025-11.csv.gz"]),
    ("mark, 5m", &["mark_price_2025_q4/binance_um_BTCUSDT_markprice_5m_2025-10.csv.gz"]),
];

/// Markets of a crash that get a line of their own; the rest of a panel is one line.
const NAMED: [&str; 8] = ["BTC", "ETH", "BNB", "LINK", "SOL", "LUNA", "UST", "USDC"];

fn data(file: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(file);
    path.exists().then_some(path)
}

fn feed(files: &[&str]) -> Option<Feed> {
    let mut bars = Vec::new();
    for file in files {
        let Some(path) = data(file) else {
            println!("skipped: needs ../shared/data/{file}");
            return None;
        };
        bars.push(BarsArg::parse(&format!("{}:source=binance", path.display())).expect("parses"));
    }
    Some(Feed::open(&FeedOptions::new(bars, vec![])).expect("opens"))
}

fn policy() -> Policy {
    Policy::parse(include_str!("../../../policies/default.toml"), "policies/default.toml").expect("reads")
}

/// Says of each target whether it is met, and returns those that are missed.
fn judge(targets: &[(String, f64, f64, bool)]) -> Vec<String> {
    let mut broken = Vec::new();
    for (name, value, limit, met) in targets {
        let said = format!("{name}: {value:.2} (limit {limit:.2})");
        println!("{} {said}", if *met { "met" } else { "MISSED" });
        if !met {
            broken.push(said);
        }
    }
    broken
}

#[test]
fn years_of_hours_trip_seldom_and_every_hour_of_fifteen_percent_does() {
    let Some(feed) = feed(&LONG) else { return };
    let calibration = calibrate(&feed, &policy(), 2).expect("counts");
    print!("{}", calibration.text(&str::to_owned));
    let mut targets = Vec::new();
    let (mut large, mut caught) = (0, 0);
    for (name, trips_max, hours_max) in LIMITS {
        let market = calibration.markets.iter().find(|market| market.market == name).expect("is in the files");
        let (trips, hours) = (market.by_market.trips_per_year, market.by_market.hours_per_year);
        targets.push((format!("{name} trips a year"), trips, trips_max, trips <= trips_max));
        targets.push((format!("{name} hours a year"), hours, hours_max, hours <= hours_max));
        // What the sources trip is that nobody spoke: no hour's move is taken for a jump that its source has to stand by.
        for ((detector, class), asked) in CLASSES.iter().zip(&market.detectors) {
            let is_silence = matches!(*detector, "quorum" | "staleness");
            assert!(*class == Class::Market || is_silence || asked.trips == 0, "{name}: {detector}");
        }
        large += market.large;
        caught += market.large_caught;
        assert!(1.5 < market.years && market.gap_hours < 24.0, "{name}: the years are looked at");
    }
    targets.push(("every large move".to_owned(), caught as f64, large as f64, caught == large));
    let broken = judge(&targets);
    let missed: Vec<&str> = targets.iter().filter(|target| !target.3).map(|target| target.0.as_str()).collect();
    let numbers = serde_json::json!({ "calibration": calibration, "missed": missed });
    println!("numbers {numbers}");
    assert!(0 < large, "there are large moves to catch");
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn crash_windows_apart() {
    let policy = policy();
    let mut rows = serde_json::Map::new();
    for (name, files) in CRASHES {
        let Some(feed) = feed(files) else { continue };
        let world = World::of(&feed).expect("a world");
        let params = world.list(&policy).expect("lists").params;
        let counted = trips(&feed, &world, &params).expect("counts");
        let named = |market: &&MarketTrips| NAMED.contains(&market.market.as_str());
        let mut text = String::new();
        table(&mut text, counted.iter().filter(named), &str::to_owned).expect("writes into a String");
        print!("{name}\n{text}");
        let rest: Vec<&MarketTrips> = counted.iter().filter(|market| !named(market)).collect();
        if !rest.is_empty() {
            let sum = |of: fn(&MarketTrips) -> u64| rest.iter().map(|market| of(market)).sum::<u64>();
            println!(
                "{} others: {:.2} years, moves {} for {:.1} h, sources {} for {:.1} h, caught {}/{}",
                rest.len(),
                rest.iter().map(|market| market.years).sum::<f64>(),
                sum(|market| market.by_market.trips),
                rest.iter().map(|market| market.by_market.hours).sum::<f64>(),
                sum(|market| market.by_source.trips),
                rest.iter().map(|market| market.by_source.hours).sum::<f64>(),
                sum(|market| market.large_caught),
                sum(|market| market.large),
            );
        }
        let missed: Vec<&str> =
            counted.iter().filter(|of| of.large_caught < of.large).map(|of| of.market.as_str()).collect();
        assert!(missed.is_empty(), "large moves of {name} without a trip: {missed:?}");
        rows.insert(name.to_owned(), serde_json::to_value(&counted).expect("is data"));
    }
    println!("numbers {}", serde_json::Value::Object(rows));
}
