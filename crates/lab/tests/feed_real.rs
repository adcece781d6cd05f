//! Real data sets, where they are at hand: `../shared/data` beside the repository. Without them a test says that it was skipped.

mod feed_support;

use std::path::{Path, PathBuf};

use feed_support::{SECOND, check_law, echoes, open};
use lab::feed::{BarsArg, Feed, FeedOptions, Reason};

fn data(set: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(set);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: needs ../shared/data/{set}");
    None
}

fn arg(path: &Path, options: &str) -> BarsArg {
    let colon = if options.is_empty() { "" } else { ":" };
    BarsArg::parse(&format!("{}{colon}{options}", path.display())).expect("parses")
}

#[test]
fn one_second_bars_of_10_october_2025() {
    let Some(path) = data("crash_2025-10-10_multivenue/trades_1s_bars_20h45_22h15.csv.gz") else { return };
    let feed = open(arg(&path, "")).expect("opens");
    let counts = feed.counts();
    assert_eq!((counts.input, counts.used, counts.listed, counts.observations), (79_764, 79_764, 0, 319_056));
    assert_eq!(feed.series.len(), 33);
    assert_eq!(feed.markets.len(), 16);
    let sources: Vec<(&str, &str)> = feed.sources.iter().map(|s| (s.name.as_str(), s.lineage.as_str())).collect();
    let want =
        [("binance", "binance"), ("binance-delivery", "binance"), ("coinbase", "coinbase"), ("gemini", "gemini")];
    assert_eq!(sources, want);
    assert!(feed.series.iter().all(|s| s.width == Some(SECOND)));
    assert_eq!(echoes(&feed, "contracts of 10 USD (BTC: 100 USD)"), 1);
    // AAVE printed 63.42 on one venue and 128.00 on another.
    let low = |source: &str| {
        let is = |s: &&lab::feed::SeriesInfo| {
            feed.sources[s.source as usize].name == source && feed.markets[s.market as usize].name == "AAVE"
        };
        feed.series.iter().find(is).expect("has AAVE").price_min
    };
    assert_eq!(low("binance-delivery"), 63_420_000_000_000);
    assert_eq!(low("coinbase"), 128_000_000_000_000);
    // Nothing is known before its bar has ended and its measured lag has passed; Gemini's lag once reaches minutes.
    let mut lag_max = 0;
    for event in feed.replay().expect("replay") {
        let event = event.expect("read back");
        let ended = event.opened_at + SECOND;
        assert!(ended < event.received_at);
        lag_max = lag_max.max(event.received_at - ended);
    }
    assert!(60 * SECOND < lag_max, "{lag_max}");
}

#[test]
fn one_minute_bars_of_10_october_2025() {
    let Some(path) = data("crash_2025-10-10_multivenue/trades_1m_bars_full_day.csv.gz") else { return };
    let feed = open(arg(&path, "")).expect("opens");
    let counts = feed.counts();
    assert_eq!((counts.input, counts.used, counts.listed), (35_719, 35_719, 0));
    assert!(feed.series.iter().all(|s| s.width == Some(60 * SECOND)));
}

#[test]
fn both_widths_of_one_venue_stay_apart() {
    let (Some(seconds), Some(minutes)) = (
        data("crash_2025-10-10_multivenue/trades_1s_bars_20h45_22h15.csv.gz"),
        data("crash_2025-10-10_multivenue/trades_1m_bars_full_day.csv.gz"),
    ) else {
        return;
    };
    let options = FeedOptions {
        market_filter: Some(vec!["AAVE".into()]),
        ..FeedOptions::new(vec![arg(&seconds, ""), arg(&minutes, "")], vec![])
    };
    let feed = Feed::open(&options).expect("opens");
    check_law(&feed);
    let sources: Vec<(&str, &str)> = feed.sources.iter().map(|s| (s.name.as_str(), s.lineage.as_str())).collect();
    let want = [
        ("binance-delivery", "binance"),
        ("binance-delivery:AAVEUSDPERP", "binance"),
        ("coinbase", "coinbase"),
        ("coinbase:AAVEUSD", "coinbase"),
        ("gemini", "gemini"),
        ("gemini:AAVEUSD", "gemini"),
    ];
    assert_eq!(sources, want);
    assert_eq!(feed.counts().rows, 79_764 + 35_719);
}

#[test]
fn the_dirty_usdc_bars_are_flagged_and_none_is_lost() {
    let Some(path) = data("crash_2023-03_usdc_depeg/usdc_usd_15m_2023-03_depeg.csv") else { return };
    let feed = open(arg(&path, "source=dex")).expect("opens");
    let counts = feed.counts();
    assert_eq!((counts.input, counts.used, counts.listed), (808, 374, 434));
    let violations = [Reason::HighBelowLow, Reason::OpenOutsideRange, Reason::CloseOutsideRange];
    assert_eq!(violations.iter().map(|r| feed.quarantine.count(*r)).sum::<u64>(), 434);
    assert_eq!((feed.markets[0].name.as_str(), feed.series[0].quote.as_str()), ("USDC", "USD"));
    assert_eq!(feed.series[0].width, Some(900 * SECOND));
}

#[test]
fn a_ticker_that_died_and_came_back_shows_its_gap() {
    let Some(path) = data("crash_2022-05_06_luna_3ac_1h/panel_1h_2022-05-01_2022-06-30.csv.gz") else { return };
    let feed = open(arg(&path, "source=binance")).expect("opens");
    let counts = feed.counts();
    assert_eq!((counts.input, counts.used, counts.listed), (58_412, 58_412, 0));
    assert_eq!(feed.series.len(), 41);
    let luna = feed.series.iter().find(|s| s.symbol == "LUNAUSDT").expect("LUNA");
    assert_eq!((luna.gaps, luna.gaps_missing), (1, 437));
    assert_eq!(luna.step_max, 438 * 3_600 * SECOND);
    assert_eq!(luna.step_max_after, 1_652_400_000 * SECOND, "2022-05-13T00:00:00Z");
    assert_eq!(luna.price_min, 40_000_000, "0.00004");
    assert!(feed.series.iter().filter(|s| s.symbol != "LUNAUSDT").all(|s| s.gaps == 0));
}

#[test]
fn daily_equities_with_dates_the_american_way() {
    let Some(path) = data("equities_daily_1999_2018/sp500.csv.gz") else { return };
    let feed = open(arg(&path, "source=index,market=SPX,quote=USD")).expect("opens");
    assert_eq!((feed.counts().used, feed.counts().listed), (5_031, 0));
    let s = &feed.series[0];
    assert_eq!(s.width, Some(86_400 * SECOND));
    assert_eq!(s.first, 915_408_000 * SECOND, "1999-01-04");
    assert_eq!(s.last, 1_546_214_400 * SECOND, "2018-12-31");
    assert_eq!(echoes(&feed, "time from date: M/D/YYYY, UTC"), 1);
    assert_eq!(echoes(&feed, "not used: adj_close"), 1);
}

#[test]
fn two_files_of_one_series_continue_each_other() {
    let Some(dir) = data("crash_2025-02_btc_5m") else { return };
    let files = ["binance_BTCUSDT_5m_2025-01_02.csv.gz", "binance_BTCUSDT_5m_2024-12.csv.gz"];
    let args = files.iter().map(|f| arg(&dir.join(f), "")).collect();
    let feed = Feed::open(&FeedOptions::new(args, vec![])).expect("opens");
    check_law(&feed);
    assert_eq!((feed.series.len(), feed.counts().used, feed.series[0].gaps), (1, 25_920, 0));
}

/// Every set of bars: what options it needs, and how many rows it has.
#[test]
fn every_set_of_bars_loads() {
    let sets = [
        ("crash_2020-03_covid_1h/BTCUSDT_1h_2020.csv.gz", "source=binance"),
        ("crash_2020-03_covid_1h/ETHUSDT_1h_2020.csv.gz", "source=binance"),
        ("crash_2021-02_04_binance_spot_5m/DOTUSDT_5m_2021-02-20_25.csv.gz", "source=binance"),
        ("crash_2021-05_binance_spot/panel_1h_2021-04-15_2021-06-30.csv.gz", "source=binance"),
        ("crash_2021-05_binance_spot/MATICUSDT_5m_2021-05-10_2021-05-26.csv.gz", "source=binance"),
        ("crash_2023-03_usdc_depeg/binance_um_BTCUSDT_5m_2023-03-06_20.csv.gz", ""),
        ("crash_2023-03_usdc_depeg/binanceus_ETHUSD_5m_2023-03-13_15.csv.gz", ""),
        ("crash_2023-03_usdc_depeg/panel_1h_2023-03-06_2023-03-20.csv.gz", "source=binance"),
        ("crash_2024-01_03_5m/binance_um_1000PEPEUSDT_5m_2024-01-01_15.csv.gz", ""),
        ("ohlcv_long_4h_1d/coinbase_BTC-USD_4h_2016-05_2022-10-24.csv.gz", ""),
        ("ohlcv_long_4h_1d/coinbase_ETH-USD_1d_2016-05_2022-10-24.csv.gz", ""),
        (
            "ohlcv_long_4h_1d/tradingview_INDEX-BTCUSD_1d_2011_2022-10-24.csv.gz",
            "source=tradingview,market=BTC,quote=USD",
        ),
        ("ohlcv_1h_2021_2023_binance_spot/LINKUSDT_1h_2021-04_2022-10-24.csv.gz", "source=binance"),
        ("ohlcv_solusdt_1h/SOLUSDT_1h_2025-09_2025-11.csv.gz", "source=binance"),
        ("mark_price_2025_q4/binance_cm_BTCUSD_PERP_markprice_1m_2025-10-09_10.csv.gz", ""),
        ("mark_price_2025_q4/binance_um_BTCUSDT_markprice_5m_2025-10.csv.gz", ""),
        ("depeg_2025-10-10_usde/binance_USDEUSDT_1m_2025-10-01_20.csv.gz", ""),
        ("cascade_labels_hourly/labels.csv.gz", "source=venue,quote=USD"),
        (
            "funding_8h_binance_um/binance_um_BTCUSDT_8h_mark_funding_2023-01_2024-05.csv",
            "open=mark_open,high=mark_high,low=mark_low,close=mark_close",
        ),
    ];
    for (file, options) in sets {
        let Some(path) = data(file) else { continue };
        let feed = open(arg(&path, options)).unwrap_or_else(|e| panic!("{e}"));
        let counts = feed.counts();
        let reasons = feed.quarantine.counts();
        assert!(counts.listed * 100 <= counts.input, "{file}: {counts:?} {reasons:?}");
        println!("{file}: {} in {} series, listed {}", counts.used, feed.series.len(), counts.listed);
    }
}

#[test]
fn what_is_not_bars_is_refused_by_its_header() {
    let files = [
        "btc_daily_covariates_funding/btc_daily_2015_2022-10-24.csv.gz",
        "crash_2025-10-10_multivenue/binance_um_BTCUSDT_bookDepth_2025-10-10.csv.gz",
        "depeg_2025-10-10_usde/uniswap_v3_USDe-USDT_per_block_2025-10-10.csv.gz",
        "stable_uniswap_usdc_usdt_hourly/uniswap_v3_USDC-USDT_0.01pct_hourly_2022_2023.csv.gz",
        "incident_2020-11-26_compound_dai/dai_liquidations.csv",
    ];
    for file in files {
        let Some(path) = data(file) else { continue };
        let error = open(arg(&path, "")).expect_err("no bars").to_string();
        assert!(error.starts_with(&format!("{}:1: found ", path.display())), "{error}");
        assert!(error.contains("needed is bars: a time"), "{error}");
    }
}
