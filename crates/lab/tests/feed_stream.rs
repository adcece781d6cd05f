//! What the stream says and in which order.

mod feed_support;

use std::collections::BTreeMap;

use feed_support::{Files, SECOND, START, check_law, echoes, events, gz, listed, minute_bars, open, open_quotes};
use lab::feed::decimal::{format_decimal, parse_decimal};
use lab::feed::{BarPath, BarsArg, EventKind, Feed, FeedEvent, FeedOptions, Progress, read_accounts};
use proptest::prelude::*;

const ONE: i128 = 1_000_000_000_000;
const MINUTE: i64 = 60 * SECOND;
const OPENED: i64 = START * SECOND;

/// `kind price@seconds after the opening` of each corner of one minute bar, and when it is received.
fn corners(row: &str, path: BarPath) -> String {
    let files = Files::new();
    let text = format!("ts_s,open,high,low,close\n{START},{row}\n");
    let options =
        FeedOptions { bar_path: path, ..FeedOptions::new(vec![minute_bars(files.put("a.csv", text))], vec![]) };
    let feed = Feed::open(&options).expect("opens");
    check_law(&feed);
    let shown = |e: FeedEvent| {
        assert_eq!((e.received_at, e.opened_at, e.confidence), (OPENED + MINUTE, OPENED, 0));
        assert_eq!(e.bar.is_some(), e.kind == EventKind::Close);
        format!("{:?} {}@{}", e.kind, e.price / ONE, (e.published_at - OPENED) / SECOND)
    };
    events(&feed).into_iter().map(shown).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_rising_bar_falls_first_and_a_falling_bar_rises_first() {
    assert_eq!(corners("100,110,90,105", BarPath::Auto), "Open 100@0, Low 90@20, High 110@40, Close 105@60");
    assert_eq!(corners("105,110,90,100", BarPath::Auto), "Open 105@0, High 110@20, Low 90@40, Close 100@60");
    assert_eq!(corners("100,110,90,100", BarPath::Auto), "Open 100@0, Low 90@20, High 110@40, Close 100@60");
    assert_eq!(corners("100,110,90,105", BarPath::Ohlc), "Open 100@0, High 110@20, Low 90@40, Close 105@60");
    assert_eq!(corners("105,110,90,100", BarPath::Olhc), "Open 105@0, Low 90@20, High 110@40, Close 100@60");
    assert_eq!(corners("105,110,90,100", BarPath::Close), "Close 100@60");
}

#[test]
fn a_bar_is_known_when_it_has_ended_and_its_lag_has_passed() {
    let files = Files::new();
    let text = format!("ts_s,open,high,low,close,volume\n{START},5,5,5,5,1.25\n");
    let arg = BarsArg { lag: Some(250_000), ..minute_bars(files.put("a.csv", text)) };
    let feed = open(arg).expect("opens");
    let all = events(&feed);
    assert!(all.iter().all(|e| e.received_at == OPENED + MINUTE + 250_000));
    let bar = all[3].bar.expect("the last corner");
    assert_eq!(
        (bar.open, bar.high, bar.low, bar.close, bar.volume),
        (5 * ONE, 5 * ONE, 5 * ONE, 5 * ONE, Some(125_000_000))
    );
    assert_eq!(echoes(&feed, "receive lag 250ms (no lag column)"), 1);
}

#[test]
fn an_inverted_pair_is_a_price_of_its_quote_and_the_file_may_be_read_both_ways() {
    let files = Files::new();
    let text = format!(
        "symbol,ts_s,open,high,low,close,volume\nUSDCUSDT,{START},1.25,1.6,1,1.25,80\nBTCUSDT,{START},5,5,5,5,1\n\
         USDCUSDT,{},1,1,1,0.000000000000000000000001,1\nBUSDUSDT,{START},2,2,2,2,\n\
         BUSDUSDT,{},1000000000000,1000000000000,1,1,\nBUSDUSDT,{},1000000000001,1000000000001,1,1,\n",
        START + 60,
        START + 60,
        START + 120
    );
    let path = files.put("a.csv", text);
    let plain = BarsArg { source: Some("binance".to_owned()), width: Some(MINUTE), ..BarsArg::file(&path) };
    let inverted =
        BarsArg { invert: vec!["USDC".to_owned(), "BUSD".to_owned()], width: Some(MINUTE), ..BarsArg::file(&path) };
    let feed = Feed::open(&FeedOptions::new(vec![plain, inverted], vec![])).expect("opens");
    check_law(&feed);
    let markets: Vec<&str> = feed.markets.iter().map(|market| market.name.as_str()).collect();
    assert_eq!(markets, ["BTC", "BUSD", "USDC", "USDT"]);
    let series = |market: &str| -> Vec<(String, String, String)> {
        let of = feed.series.iter().filter(|series| feed.markets[series.market as usize].name == market);
        let named = of.map(|series| (&feed.sources[series.source as usize], series));
        named.map(|(source, series)| (source.name.clone(), source.lineage.clone(), series.quote.clone())).collect()
    };
    let own = |base: &str| (base.to_owned(), base.to_ascii_lowercase(), "USD".to_owned());
    assert_eq!(series("USDT"), [own("BUSD"), own("USDC")]);
    assert_eq!(series("USDC"), [("binance".to_owned(), "binance".to_owned(), "USDT".to_owned())]);
    let usdc = feed
        .series
        .iter()
        .position(|series| feed.markets[series.market as usize].name == "USDT" && series.symbol == "USDCUSDT");
    let of_usdc: Vec<FeedEvent> = events(&feed).into_iter().filter(|e| Some(e.series as usize) == usdc).collect();
    let prices: Vec<String> = of_usdc.iter().map(|e| format!("{:?} {}", e.kind, e.price)).collect();
    assert_eq!(prices, ["Open 800000000000", "Low 625000000000", "High 1000000000000", "Close 800000000000"]);
    // 80 USDC were worth 100 USDT at the close.
    let bar = of_usdc[3].bar.expect("the last corner");
    assert_eq!((bar.low, bar.high, bar.volume), (625_000_000_000, ONE, Some(10_000_000_000)));
    // The row whose close rounds to nothing is quarantined by both readings, and by one that whose high has no inverse; BTC is
    // set aside by one.
    assert_eq!((feed.counts().listed, feed.counts().filtered), (3, 1));
    assert_eq!(echoes(&feed, "USDC, BUSD are taken for one USD: read as prices of what they are quoted in"), 1);
}

#[test]
fn two_spellings_are_one_series_two_quotes_are_two_and_a_filter_keeps_what_it_names() {
    let files = Files::new();
    let rows = ["BTCUSDT", "BTC-USDT", "BTCUSD", "ETHUSDT"].iter().zip(0..);
    let rows: String = rows.map(|(symbol, n)| format!("{symbol},{},5,5,5,5\n", START + 60 * n)).collect();
    let path = files.put("a.csv", format!("symbol,ts_s,open,high,low,close\n{rows}"));
    let arg = BarsArg { source: Some("binance".to_owned()), width: Some(MINUTE), ..BarsArg::file(&path) };
    let kept = |filter: Option<&str>| {
        let market_filter = filter.map(|name| vec![name.to_owned()]);
        let feed =
            Feed::open(&FeedOptions { market_filter, ..FeedOptions::new(vec![arg.clone()], vec![]) }).expect("opens");
        check_law(&feed);
        let series = feed.series.iter().map(|series| format!("{} {} {}", series.symbol, series.quote, series.rows));
        (series.collect::<Vec<_>>(), feed.counts().filtered)
    };
    let btc = ["BTCUSD USD 1".to_owned(), "BTCUSDT USDT 2".to_owned()];
    assert_eq!(kept(Some("btc")), (btc.to_vec(), 1));
    assert_eq!(kept(Some("ETH")), (vec!["ETHUSDT USDT 1".to_owned()], 3));
    assert_eq!(kept(None), ([&btc[..], &["ETHUSDT USDT 1".to_owned()]].concat(), 0));
}

#[test]
fn a_source_is_heard_in_the_order_in_which_it_spoke() {
    let files = Files::new();
    let text = format!(
        "ts_s,open,high,low,close,recv_lag_ms_max\n{START},5,5,5,5,90000.0001\n{},5,5,5,5,1\n{},5,5,5,5,-3\n",
        START + 60,
        START + 120
    );
    let feed = open(minute_bars(files.put("a.csv", text))).expect("opens");
    let received: Vec<i64> = events(&feed).iter().step_by(4).map(|e| e.received_at - OPENED).collect();
    // 90.0000001 s of lag, up to the microsecond; the second bar waits for it; the third has none.
    assert_eq!(received, [MINUTE + 90_000_001, MINUTE + 90_000_001, 3 * MINUTE]);
    assert_eq!(echoes(&feed, "1 rows have a negative receive lag: taken as zero"), 1);
}

#[test]
fn at_equal_times_the_series_decide() {
    let files = Files::new();
    let row = |symbol: &str| {
        format!("{symbol},{START},5,5,5,5\n{symbol},{},5,5,5,5\n{symbol},{},5,5,5,5\n", START + 1, START + 2)
    };
    let text = format!("symbol,ts_s,open,high,low,close\n{}{}", row("ETHUSDT"), row("BTCUSDT"));
    let path = files.put("a.csv", text);
    let feed = open(BarsArg::parse(&format!("{}:source=venue", path.display())).expect("parses")).expect("opens");
    let order: Vec<(u32, u64)> = events(&feed).iter().map(|e| (e.series, e.line)).step_by(4).collect();
    assert_eq!(order, [(0, 5), (1, 2), (0, 6), (1, 3), (0, 7), (1, 4)]);
    assert_eq!(feed.markets.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["BTC", "ETH"]);
}

#[test]
fn quotes_carry_their_confidence_and_both_times() {
    let files = Files::new();
    let text = "source,market,price,confidence,published_at,received_at\n\
                pyth,BTC,121000.5,12.25,2025-10-10T21:20:00.5Z,2025-10-10T21:20:01Z\n\
                pyth,ETH-EUR,4000,0,2025-10-10T21:20:00Z,2025-10-10T21:20:02Z\n";
    let feed = open_quotes(files.put("q.csv", text)).expect("opens");
    let all = events(&feed);
    let first = FeedEvent {
        received_at: 1_760_131_201_000_000,
        published_at: 1_760_131_200_500_000,
        opened_at: 1_760_131_200_500_000,
        series: 0,
        kind: EventKind::Quote,
        price: 121_000_500_000_000_000,
        confidence: 12_250_000_000_000,
        bar: None,
        line: 2,
    };
    assert_eq!(all[0], first);
    assert_eq!(all.len(), 2);
    assert_eq!(feed.series.iter().map(|s| s.quote.as_str()).collect::<Vec<_>>(), ["USD", "EUR"]);
}

#[test]
fn contracts_become_base_units_at_the_close() {
    let files = Files::new();
    let rows = format!(
        "binance-delivery,AAVEUSD_PERP,AAVE,{START},50,50,50,50,7\nbinance-delivery,BTCUSD_PERP,BTC,{START},100000,100000,100000,100000,7\n\
         coinbase,AAVE-USD,AAVE,{START},50,50,50,50,7\n"
    );
    let path = files.put("a_1s.csv", format!("venue,symbol,base,ts_s,open,high,low,close,volume\n{rows}"));
    let volumes = |options: FeedOptions| {
        let feed = Feed::open(&options).expect("opens");
        let name = |series: u32| {
            let s = &feed.series[series as usize];
            format!("{} {}", feed.sources[s.source as usize].name, feed.markets[s.market as usize].name)
        };
        events(&feed).iter().filter_map(|e| Some((name(e.series), e.bar?.volume?))).collect::<BTreeMap<_, _>>()
    };
    let options = FeedOptions::new(vec![BarsArg::file(&path)], vec![]);
    let want = |aave, btc| {
        let volumes = [("binance-delivery AAVE", aave), ("binance-delivery BTC", btc), ("coinbase AAVE", 700_000_000)];
        BTreeMap::from(volumes.map(|(name, volume)| (name.to_string(), volume)))
    };
    // 7 contracts of 10 USD at 50 are 1.4; of 100 USD at 100,000 they are 0.007.
    assert_eq!(volumes(options.clone()), want(140_000_000, 700_000));
    // 7 contracts of 5 USD: 0.7 and 0.00035.
    let given = |venue: &str| FeedOptions { contracts: vec![(venue.to_string(), 5 * ONE)], ..options.clone() };
    assert_eq!(volumes(given("binance-delivery")), want(70_000_000, 35_000));
    let said = |options: &FeedOptions| {
        let feed = Feed::open(options).expect("opens");
        let said = feed.decisions.iter().filter_map(|decision| decision.split_once(": volume of "));
        said.map(|(_, said)| said.to_string()).collect::<Vec<_>>()
    };
    let published = "in contracts of 10 USD (BTC: 100 USD), by the venue's published specification: converted to base units at each \
                     bar's close; contract= says otherwise";
    let as_given = "in contracts of the size given: converted to base units at each bar's close";
    assert_eq!(said(&options), [format!("binance-delivery is {published}")]);
    assert_eq!(said(&given("binance-delivery")), [format!("binance-delivery is {as_given}")]);
    assert_eq!(
        said(&given("coinbase")),
        [format!("binance-delivery is {published}"), format!("coinbase is {as_given}")]
    );
    let arg = BarsArg { contract_usd: Some(5 * ONE), ..BarsArg::file(&path) };
    assert_eq!(
        said(&FeedOptions::new(vec![arg], vec![])),
        [format!("binance-delivery is {as_given}"), format!("coinbase is {as_given}")]
    );
}

#[test]
fn two_symbols_of_a_venue_for_one_market_are_two_sources_of_one_lineage() {
    let files = Files::new();
    let bars = |name: &str| {
        let rows: String = (0..3).map(|m| format!("{},5,5,5,5\n", START + 60 * m)).collect();
        BarsArg::file(files.put(name, format!("ts_s,open,high,low,close\n{rows}")))
    };
    let names = [
        "binance_BTCBUSD_1m.csv",
        "binance_BTCUSDT_1m.csv",
        "binance_BTC-USDT_1m_more.csv",
        "binance-delivery_BTCUSD_PERP_1m.csv",
    ];
    let feed = Feed::open(&FeedOptions::new(names.into_iter().map(bars).collect(), vec![])).expect("opens");
    check_law(&feed);
    let sources: Vec<(&str, &str)> = feed.sources.iter().map(|s| (s.name.as_str(), s.lineage.as_str())).collect();
    assert_eq!(sources, [("binance", "binance"), ("binance-delivery", "binance"), ("binance:BTCBUSD", "binance")]);
    // The third file has the second one's series once more: three duplicates, of the file that comes second by name.
    assert_eq!(feed.counts().used, 9);
    assert_eq!(listed(&feed), "2:duplicate 3:duplicate 4:duplicate");
    let files_listed: Vec<bool> =
        feed.quarantine.samples().map(|l| l.file.ends_with("binance_BTCUSDT_1m.csv")).collect();
    assert_eq!(files_listed, [true, true, true]);
}

#[test]
fn a_file_from_new_to_old_is_turned_round() {
    let files = Files::new();
    let rows: String = (0..5_000).rev().map(|m| format!("{},{},9999,1,5\n", START + 60 * m, m + 1)).collect();
    let feed = open(minute_bars(files.put("a.csv", format!("ts_s,open,high,low,close\n{rows}")))).expect("opens");
    assert_eq!((feed.counts().used, feed.counts().listed), (5_000, 0));
    assert_eq!(echoes(&feed, "runs from new to old: turned round"), 1);
    let opens: Vec<i128> = events(&feed).iter().step_by(4).map(|e| e.price / ONE).collect();
    assert_eq!(opens, (1..=5_000).collect::<Vec<i128>>());
}

/// What is said of the only series.
#[track_caller]
fn echo_of_series(feed: &Feed) -> &str {
    let mut echoes = feed.decisions.iter().filter(|decision| decision.starts_with("series "));
    let echo = echoes.next().expect("a series");
    assert_eq!(echoes.next(), None);
    echo
}

#[test]
fn gaps_and_heartbeat_of_a_series() {
    let files = Files::new();
    let minutes = [0, 1, 2, 3, 10, 11, 13, 14, 16, 23];
    let rows: String = minutes.iter().map(|m| format!("{},5,5,5,5,{}\n", START + 60 * m, m % 5)).collect();
    let feed =
        open(minute_bars(files.put("a.csv", format!("ts_s,open,high,low,close,volume\n{rows}")))).expect("opens");
    let s = &feed.series[0];
    assert_eq!((s.rows, s.gaps, s.gaps_missing), (10, 4, 14));
    // Of two longest steps the first is named.
    assert_eq!((s.step_max, s.step_max_after), (7 * MINUTE, OPENED + 3 * MINUTE));
    assert_eq!((s.heartbeat, s.step_p999), (MINUTE, 7 * MINUTE));
    assert_eq!((s.first, s.last), (OPENED, OPENED + 23 * MINUTE));
    assert_eq!(s.zero_volume, 2);
    assert_eq!(
        echo_of_series(&feed),
        "series venue BTC (BTCUSDT in USDT): 10 bars of 1m, 2025-10-10T20:45:00Z to 2025-10-10T21:08:00Z; gaps: 4, bars missing: 14, \
         longest step: 7m after 2025-10-10T20:48:00Z; with a volume of zero: 2"
    );
    let text = format!("source,market,price,confidence,published_at,received_at\no,BTC,1,0,{START},{}\n", START + 1);
    let feed = open_quotes(files.put("q.csv", text)).expect("opens");
    assert_eq!(
        echo_of_series(&feed),
        "series o BTC (BTCUSD in USD): 1 quotes, 2025-10-10T20:45:01Z to 2025-10-10T20:45:01Z"
    );
}

#[test]
fn a_file_runs_from_new_to_old_if_two_steps_go_down_and_none_goes_up() {
    let check = |minutes: &[i64], turned: usize, want: &str| {
        let files = Files::new();
        let rows: String = minutes.iter().map(|m| format!("{},5,5,5,5\n", START + 60 * m)).collect();
        let feed = open(minute_bars(files.put("a.csv", format!("ts_s,open,high,low,close\n{rows}")))).expect("opens");
        assert_eq!((echoes(&feed, "turned round"), listed(&feed).as_str()), (turned, want), "{minutes:?}");
    };
    check(&[1, 0], 0, "3:out_of_order");
    check(&[2, 1, 0], 1, "");
    check(&[5, 4, 3, 6], 0, "3:out_of_order 4:out_of_order");
}

/// Everything that was decided, with the bare names of files.
fn decided(feed: &Feed, files: &Files) -> Vec<String> {
    let place = files.path("").display().to_string();
    feed.decisions.iter().map(|decision| decision.replace(&place, "")).collect()
}

#[test]
fn all_that_was_decided_about_a_file_is_said_and_nothing_else() {
    let files = Files::new();
    let row = |m: i64, rest: &str| format!("{},{rest}\n", START + 60 * m);
    let text = [
        "# made by hand\n\nsep=,\nts_s,open,high,low,close,volume,recv_lag_ms,trades\n".to_string(),
        row(0, "5,5,5,5,1,0,9"),
        row(1, "5.0000000000004,5.0000000000004,5,5,,-1,9"),
        row(2, "5,5,5,5,,-2,9"),
        row(3, "5,5,5,5,1,1.5,9"),
        row(4, "5,5,5,5,1,1,9"),
        row(5, "5,5,5,5,1,1,9"),
    ];
    let arg = minute_bars(files.put("a.csv", text.concat().trim_end()));
    let options = FeedOptions { to: Some(OPENED + 4 * MINUTE), ..FeedOptions::new(vec![arg], vec![]) };
    let names =
        "source venue from the command line, market BTC from the command line, quote USDT from the command line";
    assert_eq!(
        decided(&Feed::open(&options).expect("opens"), &files),
        [
            "a.csv: line 1 was skipped: # made by hand",
            "a.csv: line 3 was skipped: sep=,",
            "a.csv: columns time=ts_s, open=open, high=high, low=low, close=close, volume=volume, lag=recv_lag_ms; not used: trades",
            "a.csv: receive lag from recv_lag_ms, per row",
            "a.csv: time from ts_s: seconds since 1970 UTC",
            "a.csv: the last line has no newline: used as it stands",
            &format!("a.csv: {names}"),
            "a.csv: 2 numbers had more than 12 decimals: rounded half to even",
            "a.csv: 2 rows have an empty volume: unknown, not zero",
            "a.csv: 2 rows have a negative receive lag: taken as zero",
            "a.csv: 2 rows were set aside by the filter on markets and times",
            "a.csv: width 1m: given",
            "series venue BTC (BTCUSDT in USDT): 4 bars of 1m, 2025-10-10T20:45:00Z to 2025-10-10T20:48:00Z",
            "source venue: venue venue, lineage venue",
        ]
    );
    let text = format!("ts_s\topen\thigh\tlow\tclose\n{START}\t5\t5\t5\t5\n");
    assert_eq!(
        decided(&open(minute_bars(files.put("b.csv", text))).expect("opens"), &files),
        [
            "b.csv: fields are separated by '\\t'",
            "b.csv: columns time=ts_s, open=open, high=high, low=low, close=close",
            "b.csv: receive lag 0s (no lag column)",
            "b.csv: no volume column: volumes are unknown",
            "b.csv: time from ts_s: seconds since 1970 UTC",
            &format!("b.csv: {names}"),
            "b.csv: width 1m: given",
            "series venue BTC (BTCUSDT in USDT): 1 bars of 1m, 2025-10-10T20:45:00Z to 2025-10-10T20:45:00Z",
            "source venue: venue venue, lineage venue",
        ]
    );
    let row = |second: i64| format!("o,BTC,5.0000000000004,0.0000000000004,{0},{0}\n", START + second);
    let text = ["source,market,price,confidence,published_at,received_at\n".to_string(), row(0), row(1)].concat();
    assert_eq!(
        decided(&open_quotes(files.put("q.csv", gz(text.as_bytes()))).expect("opens"), &files),
        [
            "q.csv: gzip, by its first bytes",
            "q.csv: published_at: seconds since 1970 UTC",
            "q.csv: received_at: seconds since 1970 UTC",
            "q.csv: 4 numbers had more than 12 decimals: rounded half to even",
            "series o BTC (BTCUSD in USD): 2 quotes, 2025-10-10T20:45:00Z to 2025-10-10T20:45:01Z",
            "source o: venue o, lineage o",
        ]
    );
}

#[test]
fn progress_is_told_every_65536_lines_and_at_the_end_of_each_file() {
    let files = Files::new();
    let progress_of = |rows: usize| {
        let row = format!("{START},5,5,5,5\n");
        let text = format!("ts_s,open,high,low,close\n{}", row.repeat(rows));
        let packed = gz(text.as_bytes());
        let sizes = [text.len() as u64, packed.len() as u64];
        let args = vec![minute_bars(files.put("a.csv", text)), minute_bars(files.put("b.csv.gz", packed))];
        let mut told = Vec::new();
        Feed::open_with(&FeedOptions::new(args, vec![]), &mut |progress| told.push(progress)).expect("opens");
        (told, sizes)
    };
    let (told, [plain, packed]) = progress_of(65_534);
    assert_eq!(told, [Progress { file: 0, bytes: plain }, Progress { file: 1, bytes: packed }]);
    let (told, [plain, packed]) = progress_of(65_535);
    assert_eq!(told.iter().map(|progress| progress.file).collect::<Vec<_>>(), [0, 0, 1, 1]);
    assert_eq!((told[1].bytes, told[3].bytes), (plain, packed));
}

#[test]
fn two_files_that_are_apart_are_described_as_one_series() {
    let files = Files::new();
    let bars = |name: &str, minutes: [i64; 3]| {
        let rows = minutes.map(|m| format!("{},5,{},4,5,0\n", START + 60 * m, 10 + m)).concat();
        minute_bars(files.put(name, format!("ts_s,open,high,low,close,volume\n{rows}")))
    };
    let options = FeedOptions::new(vec![bars("a.csv", [0, 1, 2]), bars("b.csv", [5, 6, 8])], vec![]);
    let feed = Feed::open(&options).expect("opens");
    check_law(&feed);
    let s = &feed.series[0];
    assert_eq!((s.rows, s.zero_volume, s.gaps, s.gaps_missing), (6, 6, 2, 3));
    assert_eq!((s.step_max, s.step_max_after), (3 * MINUTE, OPENED + 2 * MINUTE));
    assert_eq!((s.first, s.last), (OPENED, OPENED + 8 * MINUTE));
    assert_eq!((s.price_min, s.price_max), (4 * ONE, 18 * ONE));
    assert_eq!((feed.markets[0].price_min, feed.markets[0].price_max), (4 * ONE, 18 * ONE));
}

#[test]
fn a_series_is_one_venue_symbol_market_and_quote() {
    let files = Files::new();
    let rows = |names: &[&str]| names.iter().map(|names| format!("{names},{START},5,5,5,5\n")).collect::<String>();
    let named = |feed: &Feed| {
        let name = |s: &lab::feed::SeriesInfo| {
            let (source, market) = (&feed.sources[s.source as usize], &feed.markets[s.market as usize]);
            format!("{} {} {} {} {}", source.name, market.name, s.symbol, s.quote, s.rows)
        };
        feed.series.iter().map(name).collect::<Vec<_>>()
    };
    // Another spelling of the first is a duplicate of it; each other row differs in its venue, its symbol, or its quote.
    let names = ["v,BTC-USD", "v,btcusd", "w,BTC-USD", "v,BTCUSD_PERP", "v,BTC-USDT"].map(|name| format!("{name},BTC"));
    let text = format!("venue,symbol,base,ts_s,open,high,low,close\n{}", rows(&names.each_ref().map(String::as_str)));
    let arg = BarsArg::parse(&format!("{}:width=1m", files.put("a.csv", text).display())).expect("parses");
    let feed = open(arg).expect("opens");
    assert_eq!(listed(&feed), "3:duplicate");
    let want = [
        "v BTC BTCUSD USD 1",
        "v:BTCUSDPERP BTC BTCUSDPERP USD 1",
        "v:BTCUSDT BTC BTCUSDT USDT 1",
        "w BTC BTCUSD USD 1",
    ];
    let mut got = named(&feed);
    got.sort();
    assert_eq!(got, want);
    // One symbol of two markets.
    let text = format!("symbol,base,ts_s,open,high,low,close\n{}", rows(&["X,BTC", "X,ETH"]));
    let arg =
        BarsArg::parse(&format!("{}:source=v,quote=USD,width=1m", files.put("b.csv", text).display())).expect("parses");
    assert_eq!(named(&open(arg).expect("opens")), ["v BTC X USD 1", "v ETH X USD 1"]);
    // What the command line says of the market goes before the file's name.
    let text = format!("ts_s,open,high,low,close\n{START},5,5,5,5\n");
    let feed = open(minute_bars(files.put("binance_ETHUSDC_1m.csv", text))).expect("opens");
    assert_eq!(named(&feed), ["venue BTC BTCUSDT USDT 1"]);
}

#[test]
fn a_quote_without_a_currency_is_in_that_of_its_symbol_or_in_usd() {
    let files = Files::new();
    let row = |market: &str, quote: &str| format!("o,{market},{quote},5,0,{START},{START}\n");
    let rows = [row("btc", ""), row("ETH-EUR", ""), row("sol", "eur"), row("AVAX", "E?R")].concat();
    let path = files.put("q.csv", format!("source,market,quote,price,confidence,published_at,received_at\n{rows}"));
    let feed = open_quotes(path).expect("opens");
    let series: Vec<(&str, &str)> = feed.series.iter().map(|s| (s.symbol.as_str(), s.quote.as_str())).collect();
    assert_eq!(series, [("BTCUSD", "USD"), ("ETHEUR", "EUR"), ("SOLEUR", "EUR")]);
    assert_eq!(feed.quarantine.samples().map(|l| l.detail.as_str()).collect::<Vec<_>>(), ["AVAX in E?R"]);
}

#[test]
fn a_volume_in_money_is_not_taken_for_one_in_base_units() {
    let files = Files::new();
    let volume = |columns: &str| {
        let text = format!("ts_s,open,high,low,close,{columns}\n{START},5,5,5,5,7,9\n");
        let feed = open(minute_bars(files.put("a.csv", text))).expect("opens");
        events(&feed).last().and_then(|event| event.bar).expect("a bar").volume
    };
    assert_eq!(volume("Volume USDT,Volume BTC"), Some(900_000_000));
    assert_eq!(volume("Volume BTC,Volume USDT"), Some(700_000_000));
    assert_eq!(volume("Volume Quote,Volume USDT"), None);
    assert_eq!(volume("Volume (BTC),trades"), None);
    assert_eq!(volume("volume_usd,volume"), Some(900_000_000));
}

/// `file:line:reason` of everything listed.
fn listed_by_file(feed: &Feed) -> Vec<String> {
    let name = |path: &std::path::Path| path.file_name().expect("a file").to_string_lossy().into_owned();
    feed.quarantine.samples().map(|l| format!("{}:{}:{}", name(&l.file), l.line, l.reason.name())).collect()
}

#[test]
fn a_bar_at_which_two_files_meet_is_used_once() {
    let check = |first: [i64; 3], second: [i64; 3], used: u64, want: &[&str]| {
        let files = Files::new();
        let bars = |name: &str, minutes: [i64; 3]| {
            let rows = minutes.map(|m| format!("{},5,5,5,5\n", START + 60 * m)).concat();
            minute_bars(files.put(name, format!("ts_s,open,high,low,close\n{rows}")))
        };
        let options = FeedOptions::new(vec![bars("a.csv", first), bars("b.csv", second)], vec![]);
        let feed = Feed::open(&options).expect("opens");
        check_law(&feed);
        assert_eq!((feed.counts().used, listed_by_file(&feed)), (used, want.iter().map(|w| w.to_string()).collect()));
    };
    check([0, 1, 2], [3, 4, 5], 6, &[]);
    check([0, 1, 2], [2, 3, 4], 5, &["b.csv:2:duplicate"]);
    check([2, 3, 4], [0, 1, 2], 5, &["b.csv:4:duplicate"]);
    check([0, 1, 3], [2, 4, 5], 6, &[]);
}

#[test]
fn quotes_of_two_files_are_held_against_each_other_in_both_times() {
    let check = |first: (i64, i64), second: (i64, i64), want: &[&str]| {
        let files = Files::new();
        let quote = |name: &str, (published, received): (i64, i64)| {
            let header = "source,market,price,confidence,published_at,received_at";
            files.put(name, format!("{header}\no,BTC,5,0,{},{}\n", START + published, START + received))
        };
        let options = FeedOptions::new(vec![], vec![quote("a.csv", first), quote("b.csv", second)]);
        let feed = Feed::open(&options).expect("opens");
        check_law(&feed);
        assert_eq!(listed_by_file(&feed), want);
    };
    check((5, 6), (5, 8), &[]);
    check((5, 6), (4, 8), &["b.csv:2:out_of_order"]);
    check((5, 6), (6, 6), &[]);
    check((5, 6), (5, 6), &["b.csv:2:duplicate"]);
}

#[test]
fn klines_without_a_header_are_recognised() {
    let files = Files::new();
    let row = |m: i64| {
        format!("{},5,6,4,5.5,10,{},50,3,5,25,0\n", (START + 60 * m) * 1_000_000, (START + 60 * m + 59) * 1_000_000)
    };
    let path = files.put("binance_BTCUSDT_1m.csv", [row(0), row(1), row(2)].concat());
    let feed = open(BarsArg::file(path)).expect("opens");
    assert_eq!((feed.counts().rows, feed.counts().used), (3, 3));
    assert_eq!(events(&feed)[0].line, 1);
    assert_eq!(echoes(&feed, "no header: twelve columns"), 1);
    assert_eq!(echoes(&feed, "time from column 1: microseconds since 1970 UTC"), 1);
}

#[test]
fn other_peoples_headers() {
    let files = Files::new();
    let text = "https://www.CryptoDataDownload.com\r\n\
                Unix,Date,Symbol,Open,High,Low,Close,Volume BTC,Volume USDT,tradecount\r\n\
                1609466400000,2021-01-01 02:00:00,BTC/USDT,2,4,1,3,1.5,2,9\r\n\
                1609462800000,2021-01-01 01:00:00,BTC/USDT,2,4,1,3,2.5,2,9\r\n\
                1609459200000,2021-01-01 00:00:00,BTC/USDT,2,4,1,3,3.5,2,9\r\n";
    let path = files.put("Binance.csv", text);
    let feed = open(BarsArg::parse(&format!("{}:source=binance", path.display())).expect("parses")).expect("opens");
    let volumes: Vec<i128> = events(&feed).iter().filter_map(|e| e.bar?.volume).collect();
    assert_eq!(volumes, [350_000_000, 250_000_000, 150_000_000]);
    assert_eq!((feed.series[0].width, feed.series[0].quote.as_str()), (Some(3_600 * SECOND), "USDT"));

    let text = "\u{feff}\"Open time\";\"Open\";\"High\";\"Low\";\"Close\"\n1609459200;\"2\";\"4\";\"1\";\"3\"\n";
    let feed = open(minute_bars(files.put("semicolons.csv", text))).expect("opens");
    assert_eq!(feed.counts().used, 1);
    assert_eq!(echoes(&feed, "a byte order mark was skipped"), 1);
    assert_eq!(echoes(&feed, "fields are separated by ';'"), 1);
    assert_eq!(echoes(&feed, "no volume column: volumes are unknown"), 1);

    let text = format!("when,first,top,bottom,last\n{START},2,4,1,3\n");
    let path = files.put("named.csv", text);
    let columns = "time=when,open=first,high=top,low=bottom,close=last";
    let names = "source=v,market=X,quote=USD,width=1m";
    let feed = open(BarsArg::parse(&format!("{}:{names},{columns}", path.display())).expect("parses")).expect("opens");
    assert_eq!(feed.counts().used, 1);
}

#[test]
fn times_asked_for_bound_the_stream_and_the_counts_say_so() {
    let files = Files::new();
    let rows: String = (0..10).map(|m| format!("{},5,5,5,5\n", START + 60 * m)).collect();
    let arg = minute_bars(files.put("a.csv", format!("ts_s,open,high,low,close\n{rows}bad,5,5,5,5\n")));
    let options = FeedOptions {
        from: Some(OPENED + 2 * MINUTE),
        to: Some(OPENED + 5 * MINUTE),
        ..FeedOptions::new(vec![arg], vec![])
    };
    let feed = Feed::open(&options).expect("opens");
    check_law(&feed);
    let counts = feed.counts();
    assert_eq!((counts.rows, counts.filtered, counts.input, counts.used, counts.listed), (11, 7, 4, 3, 1));
}

#[test]
fn accounts_are_exact_or_refused_with_their_line() {
    let files = Files::new();
    let header = "account,pool,market,size,entry_price,collateral_asset,collateral_amount\n";
    let text = format!(
        "{header}alice,main,BTC,-1.5,120000.25,USDC,50000\nalice,main,,,,ETH,2.000000000001\nbob,main,AAVE,3e2,270,,\n"
    );
    let rows = read_accounts(&files.put("a.csv.gz", gz(text.as_bytes()))).expect("reads");
    assert_eq!(rows.len(), 3);
    assert_eq!(
        (rows[0].size, rows[0].entry_price, rows[0].collateral_amount),
        (-ONE * 3 / 2, 120_000 * ONE + ONE / 4, 50_000 * ONE)
    );
    assert_eq!(
        (rows[1].account.as_str(), rows[1].size, rows[1].collateral_amount, rows[1].line),
        ("alice", 0, 2 * ONE + 1, 3)
    );
    assert_eq!((rows[2].size, rows[2].collateral_asset.as_str()), (300 * ONE, ""));

    let refused = |row: &str| {
        let error = read_accounts(&files.put("bad.csv", format!("{header}a,p,BTC,1,5,USD,1\n{row}\n")))
            .expect_err("refused")
            .to_string();
        error.replace(&files.path("").display().to_string(), "")
    };
    assert_eq!(refused("a\u{7},p,BTC,1,5,USD,1"), "bad.csv:3: account: a\\u{7} is no name");
    assert_eq!(refused("a,p,BTC,1,5,U\u{7f}D,1"), "bad.csv:3: collateral_asset: U\\u{7f}D is no name");
    assert_eq!(refused("a,p,BTC,nan,5,USD,1"), "bad.csv:3: size: nan is no amount (NotANumber)");
    assert_eq!(refused("a,p,BTC,1e400,5,USD,1"), "bad.csv:3: size: 1e400 is no amount (TooLarge)");
    assert_eq!(
        refused("a,p,BTC,1.0000000000001,5,USD,1"),
        "bad.csv:3: size: 1.0000000000001 has more than 12 decimals"
    );
    assert_eq!(refused("a,p,BTC,1,,USD,1"), "bad.csv:3: a size needs a market and an entry_price above zero");
    assert_eq!(refused("a,p,,1,5,USD,1"), "bad.csv:3: a size needs a market and an entry_price above zero");
    assert_eq!(refused("a,p,BTC,1,-5,USD,1"), "bad.csv:3: a size needs a market and an entry_price above zero");
    assert_eq!(refused("a,p,BTC,1,5,USD,-1"), "bad.csv:3: collateral_amount: below zero");
    assert_eq!(refused("a,p,BTC,1,5,,1"), "bad.csv:3: collateral_asset: missing");
    assert_eq!(refused(",p,BTC,1,5,USD,1"), "bad.csv:3: account and pool must be named");
    assert_eq!(refused("a,p,,,,,"), "bad.csv:3: neither a position nor collateral");
    assert_eq!(refused("a,p,BTC,1"), "bad.csv:3: wrong_field_count: 4 fields, the header has 7");
    let error = read_accounts(&files.put("empty.csv", header)).expect_err("refused").to_string();
    assert!(error.ends_with("a header and no rows"), "{error}");
}

/// A market's rows: which minutes have a bar, and at what price.
fn some_series() -> impl Strategy<Value = Vec<BTreeMap<i64, u32>>> {
    prop::collection::vec(prop::collection::btree_map(0i64..200, 1u32..1_000_000, 1..40), 1..6)
}

/// The rows in as many files as asked for, each series ascending within each file, and what the stream is then.
fn stream(
    series: &[BTreeMap<i64, u32>],
    cut: impl Fn(usize, i64) -> usize,
    file_count: usize,
    grouped: bool,
    reversed: bool,
) -> Vec<FeedEvent> {
    let files = Files::new();
    let mut rows: Vec<(i64, usize, u32)> =
        series.iter().enumerate().flat_map(|(s, rows)| rows.iter().map(move |(m, p)| (*m, s, *p))).collect();
    if grouped {
        rows.sort_by_key(|(minute, s, _)| (*s, *minute));
    } else {
        rows.sort_unstable();
    }
    let mut texts = vec![String::new(); file_count];
    for (minute, s, price) in rows {
        let line = format!("ASSET{s}-USD,{},{price},{price},{price},{price}\n", START + 60 * minute);
        texts[cut(s, minute) % file_count].push_str(&line);
    }
    let mut args: Vec<BarsArg> = texts
        .iter()
        .enumerate()
        .filter(|(_, text)| !text.is_empty())
        .map(|(i, text)| {
            let path = files.put(&format!("part{i}.csv"), format!("symbol,ts_s,open,high,low,close\n{text}"));
            BarsArg::parse(&format!("{}:source=v,width=1m", path.display())).expect("parses")
        })
        .collect();
    if reversed {
        args.reverse();
    }
    let feed = Feed::open(&FeedOptions::new(args, vec![])).expect("opens");
    check_law(&feed);
    assert_eq!(feed.counts().listed, 0, "{:?}", feed.quarantine.samples().next());
    events(&feed).into_iter().map(|event| FeedEvent { line: 0, ..event }).collect()
}

/// A number written in some way, and its exact value as digits and a power of ten.
fn some_number() -> impl Strategy<Value = (String, String, i32)> {
    ("[1-9][0-9]{0,20}", 0usize..20, -8i32..8, 0usize..3).prop_map(|(digits, point, exponent, zeros)| {
        let padded = format!("{}{digits}", "0".repeat(zeros + 1));
        let at = padded.len().saturating_sub(point).max(1);
        let decimals = padded.len() - at;
        let (left, right) = padded.split_at(at);
        let mut text = left.to_string();
        if !right.is_empty() {
            text.push('.');
            text.push_str(right);
        }
        if exponent != 0 {
            text.push_str(&format!("e{exponent}"));
        }
        (text, digits, exponent - decimals as i32)
    })
}

/// `digits * 10^power` in counts of 1e-12 by moving characters: no arithmetic on the value. `None` if digits would be lost.
fn by_characters(digits: &str, power: i32) -> Option<String> {
    let shift = power + 12;
    if 0 <= shift {
        return Some(format!("{digits}{}", "0".repeat(shift as usize)));
    }
    let cut = digits.len().checked_sub((-shift) as usize)?;
    let (kept, lost) = digits.split_at(cut);
    (lost.bytes().all(|b| b == b'0') && !kept.is_empty()).then(|| kept.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]

    #[test]
    fn decimals_are_exact((text, digits, power) in some_number()) {
        let parsed = parse_decimal(text.as_bytes(), 12);
        match by_characters(&digits, power) {
            Some(want) if want.len() <= 36 => {
                let parsed = parsed.expect("within range");
                prop_assert_eq!(parsed.units.to_string(), want, "{}", text);
                prop_assert!(!parsed.rounded);
                let again = format_decimal(parsed.units, 12);
                prop_assert_eq!(parse_decimal(again.as_bytes(), 12).expect("own text").units, parsed.units);
            }
            Some(_) => prop_assert!(parsed.is_err(), "{text}"),
            None => {
                // Digits are lost: the result lies within half a count, on the even side in the middle.
                let parsed = parsed.expect("small");
                prop_assert!(parsed.rounded);
                let lost = (-(power + 12)) as u32;
                let exact: u128 = digits.parse().expect("at most 21 digits");
                let unit = 10u128.checked_pow(lost).unwrap_or(u128::MAX / 4);
                let near = parsed.units.unsigned_abs().saturating_mul(unit);
                let off = near.abs_diff(exact);
                prop_assert!(2 * off < unit || (2 * off == unit && parsed.units % 2 == 0), "{text}: {}", parsed.units);
            }
        }
    }

    #[test]
    fn numbers_never_panic(bytes in prop::collection::vec(prop::sample::select(b"0123456789.eE+-naif \xff".to_vec()), 0..40)) {
        let _ = parse_decimal(&bytes, 12);
        let _ = parse_decimal(&bytes, 8);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_stream_does_not_depend_on_how_rows_are_filed(series in some_series(), salt in 0usize..1_000, file_count in 1usize..5) {
        let one = stream(&series, |_, _| 0, 1, true, false);
        let scatter = |s: usize, m: i64| s.wrapping_mul(31) ^ (m as usize).wrapping_mul(17) ^ salt;
        for (grouped, reversed) in [(true, false), (false, false), (false, true)] {
            prop_assert_eq!(&stream(&series, scatter, file_count, grouped, reversed), &one);
        }
        // The merge against the obvious way: sort everything.
        let mut sorted = one.clone();
        sorted.sort_by_key(|e| (e.received_at, e.series, e.opened_at));
        prop_assert_eq!(&sorted, &one);
        let rows: usize = series.iter().map(BTreeMap::len).sum();
        prop_assert_eq!(one.len(), 4 * rows);
    }

    #[test]
    fn no_damage_loses_a_row(
        damage in prop::collection::vec((0usize..4_000, any::<u8>()), 0..60),
        insert_newlines in prop::collection::vec(0usize..4_000, 0..4),
        compressed in any::<bool>(),
    ) {
        let header = "ts_s,open,high,low,close,volume\n";
        let mut body: Vec<u8> = (0..80).flat_map(|m| format!("{},100,110,90,105,{m}\n", START + 60 * m).into_bytes()).collect();
        for (at, byte) in damage {
            let at = at % body.len();
            body[at] = byte;
        }
        for at in insert_newlines {
            let at = at % body.len();
            body.insert(at, b'\n');
        }
        let lines = body.split(|b| *b == b'\n').filter(|l| !l.trim_ascii().is_empty()).count() as u64;
        let files = Files::new();
        let text = [header.as_bytes(), &body].concat();
        let bytes = if compressed { gz(&text) } else { text };
        if let Ok(feed) = open(minute_bars(files.put("a.csv", bytes))) {
            prop_assert_eq!(feed.counts().rows, lines);
            prop_assert_eq!(feed.counts().used + feed.quarantine.total(), lines);
        }
    }

    #[test]
    fn a_damaged_gzip_never_panics_and_the_law_holds(at in 0usize..10_000, byte in any::<u8>(), cut in 0usize..10_000) {
        let text: String = std::iter::once("ts_s,open,high,low,close,volume\n".to_string())
            .chain((0..500).map(|m| format!("{},100,110,90,105,{}\n", START + 60 * m, m * 7_919 % 1_000)))
            .collect();
        let mut bytes = gz(text.as_bytes());
        let length = bytes.len();
        bytes[at % length] ^= byte;
        bytes.truncate(length - cut % length);
        let files = Files::new();
        let _ = open(minute_bars(files.put("a.csv.gz", bytes)));
    }
}
