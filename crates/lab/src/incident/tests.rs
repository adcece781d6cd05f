use super::*;
use crate::feed::{Feed, FeedOptions};
use policy::Policy;

#[test]
fn the_files_are_read_and_the_share_is_said() {
    let listed = list().expect("all incidents can be read");
    assert_eq!(listed.len(), FILES.len());
    let incident = load("i-17").expect("in either case");
    let heading = "I-17 · 10 October 2025: the tariff cascade · reconstruction, 10 of 198 points stated";
    assert_eq!(incident.heading(), heading);
    let share = "10 of 198 points (5.1%) are stated, the others and all between them interpolated";
    assert_eq!(incident.share().to_string(), share);
    let unknown = load("I-99").expect_err("there is none").to_string();
    assert!(unknown.starts_with("no incident I-99; there are: I-01, I-03, "), "{unknown}");
}

#[test]
fn every_directory_of_incidents_is_listed() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../incidents");
    let mut found: Vec<String> = std::fs::read_dir(root)
        .expect("incidents")
        .map(|entry| entry.expect("entry"))
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    found.sort();
    assert_eq!(found, FILES.map(|(id, ..)| id.to_string()));
}

/// A policy chosen after the prices are known proves nothing.
#[test]
fn the_default_policy_is_recorded() {
    let record = include_str!("../../../../incidents/POLICY_DIGEST");
    let lines = record.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let digests: Vec<&str> = lines
        .map(|line| {
            let (digest, reason) = line.split_once("  ").expect("`digest  reason`");
            assert!(digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()), "{line}");
            assert!(10 < reason.trim().len(), "{line}: say why it changed");
            digest
        })
        .collect();
    let text = include_str!("../../../../policies/default.toml");
    let now = Policy::parse(text, "policies/default.toml").expect("the default policy").digest().to_string();
    assert_eq!(digests.last(), Some(&now.as_str()), "add a line to incidents/POLICY_DIGEST: `{now}  why it changed`");
    for (id, ..) in FILES {
        let recorded = load(id).expect("read").about.policy_digest;
        assert!(digests.contains(&recorded.as_str()), "{id}: {recorded} is in no line of incidents/POLICY_DIGEST");
    }
}

/// The low and high that a series' bars show, in its own decimals.
#[track_caller]
fn check(bars: &[Bar], incident: &Incident, market: &str, source: &str, want: &str) {
    let at = |s: &Series| s.market == market && s.source == source;
    let series = incident.about.series.iter().position(at).expect("a series");
    let own: Vec<&Bar> = bars.iter().filter(|bar| bar.series == series).collect();
    let low = own.iter().map(|bar| bar.low).fold(f64::INFINITY, f64::min);
    let lag = own.iter().map(|bar| bar.lag_ms).max().expect("bars");
    let decimals = incident.about.series[series].decimals;
    assert_eq!(
        format!("low {low:.decimals$}, {} bars, lag up to {} s", own.len(), lag / 1_000),
        want,
        "{market} {source}"
    );
}

#[test]
fn stated_lows_are_the_lows() {
    let incident = load("I-17").expect("read");
    let bars = expand(&incident);
    check(&bars, &incident, "BTC", "coinbase", "low 104800.00, 4500 bars, lag up to 6 s");
    check(&bars, &incident, "BTC", "binance-um", "low 101400.0, 4500 bars, lag up to 8 s");
    check(&bars, &incident, "AAVE", "binance-delivery", "low 63.42, 3578 bars, lag up to 8 s");
    check(&bars, &incident, "AAVE", "coinbase", "low 128.00, 4059 bars, lag up to 6 s");
    check(&bars, &incident, "ATOM", "binance", "low 0.001, 4036 bars, lag up to 8 s");
    check(&bars, &incident, "ATOM", "gemini", "low 2.460, 248 bars, lag up to 179 s");
}

#[test]
fn every_point_is_the_open_of_its_second() {
    let incident = load("I-17").expect("read");
    let bars = expand(&incident);
    let inside = |point: &&Point| (incident.from..incident.to).contains(&point.at);
    for point in incident.points.iter().filter(inside) {
        let bar = bars.iter().find(|bar| bar.series == point.series && bar.opened_at == point.at).expect("a bar");
        assert!((bar.open - point.price).abs() < 1e-9, "{point:?} {bar:?}");
    }
    for bar in &bars {
        assert!(bar.low <= bar.open.min(bar.close) && bar.open.max(bar.close) <= bar.high, "{bar:?}");
        assert!(0.0 < bar.low && 0.0 < bar.volume && 0 <= bar.lag_ms, "{bar:?}");
    }
}

/// Other bits here are another incident: every number that was published of it has to be made anew.
#[test]
fn the_bars_are_pinned() {
    let incident = load("I-17").expect("read");
    let text = as_csv(&incident, &expand(&incident));
    assert_eq!(blake3::hash(text.as_bytes()).to_hex().as_str(), PINNED);
}

const PINNED: &str = "bd4122320d27bc3182d6e89223019aa5ade6fd211d49361ddf6ce68febd78157";

#[test]
fn a_feed_takes_all_of_it() {
    let made = materialise("I-17").expect("written");
    let feed = Feed::open(&FeedOptions::new(made.bars.clone(), vec![])).expect("opens");
    let counts = feed.counts();
    assert_eq!((counts.input, counts.used, counts.listed), (made.rows as u64, made.rows as u64, 0));
    assert!(counts.observations <= 300_000, "{} observations", counts.observations);
    let markets: Vec<&str> = feed.markets.iter().map(|market| market.name.as_str()).collect();
    assert_eq!(markets, ["AAVE", "ATOM", "BTC", "ETH", "SOL"]);
    for (at, market) in feed.markets.iter().enumerate() {
        let own = feed.series.iter().filter(|series| series.market as usize == at);
        let lineages: BTreeSet<&str> =
            own.map(|series| feed.sources[series.source as usize].lineage.as_str()).collect();
        assert_eq!(lineages.len(), 3, "{}", market.name);
    }
}

#[track_caller]
fn refused(description: &str, points: &str, want: &str) {
    let error = Incident::parse("X", description, points).expect_err("refused").to_string();
    assert!(error.contains(want), "{error}");
}

#[test]
fn what_contradicts_itself_is_refused() {
    let (_, description, points) = *FILES.iter().find(|(id, ..)| *id == "I-17").expect("there is one");
    let line = |from: &str, to: &str| points.replacen(from, to, 1);
    refused(description, &line(",stated,amberdata", ",stated,nobody"), "points.csv:2: stated, but no [[citation]]");
    refused(description, &line(",stated,amberdata", ",guessed,amberdata"), "points.csv:2: basis \"guessed\"");
    refused(description, &line("122500", "-1"), "points.csv:2: price -1");
    refused(description, &line("122500", "NaN"), "points.csv:2: price NaN");
    refused(description, &line("T20:45:00Z,BTC", "T14:45:00Z,BTC"), "points.csv:3: not after the point before it");
    refused(description, &line("T20:45:00Z,BTC", "T20:45:00.5Z,BTC"), "points.csv:3: at");
    refused(description, &line("BTC,coinbase", "BTC,nowhere"), "points.csv:2: no [[series]] BTC at nowhere");
    refused(&description.replacen("22:00:00Z", "22:30:00Z", 1), points, "don't reach from `from` to `to`");
    refused(&description.replacen("22:00:00Z", "20:00:00Z", 1), points, "to is not after from");
    refused(&description.replacen("traded = 1.0", "traded = 1.1", 1), points, "0 < traded <= 1");
    refused(&description.replacen("name = \"gemini\"", "name = \"other\"", 1), points, "no [[venue]] has this name");
    refused(&format!("surplus = 1\n{description}"), points, "unknown field");
}

/// One market at two venues for ten bars of two seconds, with what else its series say.
fn small(series: [&str; 2], points: &str) -> Result<Incident, IncidentError> {
    let one = |source: &str, more: &str| {
        format!(
            "[[series]]\nmarket = \"X\"\nsource = \"{source}\"\nsymbol = \"XUSD\"\ndecimals = 2\ntraded = 1.0\n{more}\n\
             [[venue]]\nname = \"{source}\"\nabout = \"\"\n"
        )
    };
    let description = format!(
        "id = \"X\"\ntitle = \"\"\ndate = \"\"\nfrom = \"2025-01-01T00:00:00Z\"\nto = \"2025-01-01T00:00:20Z\"\nbar_seconds = 2\n\
         summary = \"\"\npolicy_digest = \"\"\nseed = \"x\"\nmarket_bps = 5.0\nvenue_bps = 5.0\nshould_have_tripped = []\n\
         fact = []\ncitation = []\n{}{}",
        one("a", series[0]),
        one("b", series[1])
    );
    let row = |line: &str| {
        let (second, rest) = line.split_once(' ').expect("a second");
        let (source, price) = rest.split_once(' ').expect("a source and a price");
        format!("2025-01-01T00:00:{second}Z,X,{source},{price},1000,0,interpolated,\n")
    };
    let rows: String = points.split(", ").map(row).collect();
    Incident::parse("X", &description, &format!("at,market,source,price,volume_usd,lag_ms,basis,citation\n{rows}"))
}

/// The opens of a source's bars.
fn opens(incident: &Incident, series: usize) -> Vec<f64> {
    expand(incident).iter().filter(|bar| bar.series == series).map(|bar| bar.open).collect()
}

const FLAT: &str = "00 a 100, 20 a 100, ";

#[test]
fn a_held_series_says_its_last_point_until_the_next() {
    let incident = small(["", "held = true"], &format!("{FLAT}00 b 100, 06 b 0, 10 b 7, 20 b 7")).expect("well formed");
    assert_eq!(opens(&incident, 1), [100.0, 100.0, 100.0, 0.0, 0.0, 7.0, 7.0, 7.0, 7.0, 7.0]);
    for bar in expand(&incident).iter().filter(|bar| bar.series == 1) {
        assert_eq!((bar.high, bar.low, bar.close), (bar.open, bar.open, bar.open), "no noise");
        assert_eq!(bar.volume == 0.0, bar.open == 0.0, "{bar:?}");
    }
}

#[test]
fn beside_a_point_of_zero_a_series_stands() {
    let incident = small(["", ""], &format!("{FLAT}00 b 100, 06 b 0, 10 b 7, 20 b 7")).expect("well formed");
    assert_eq!(opens(&incident, 1)[..6], [100.0, 100.0, 100.0, 0.0, 0.0, 7.0]);
    let text = as_csv(&incident, &expand(&incident));
    assert_eq!(text.lines().filter(|line| line.contains(",b,") || line.starts_with("b,")).count(), 10);
    assert!(text.contains("b,XUSD,X,1735689606000,0.00,0.00,0.00,0.00,0.000000,0"), "{text}");
}

#[test]
fn a_silent_series_says_nothing_even_at_a_point() {
    let (from, to) = ("2025-01-01T00:00:18Z", "2025-01-01T00:00:20Z");
    let silent = format!(r#"silent = [["2025-01-01T00:00:04Z", "2025-01-01T00:00:10Z"], ["{from}", "{to}"]]"#);
    let incident = small(["", &silent], &format!("{FLAT}00 b 100, 06 b 100, 20 b 100")).expect("well formed");
    let seconds: Vec<i64> = expand(&incident)
        .iter()
        .filter(|bar| bar.series == 1)
        .map(|bar| (bar.opened_at - incident.from) / SECOND)
        .collect();
    assert_eq!(seconds, [0, 2, 10, 12, 14, 16]);
}

#[test]
fn bars_are_as_long_as_the_incident_says() {
    let incident = small(["", ""], &format!("{FLAT}00 b 100, 20 b 100")).expect("well formed");
    let bars = expand(&incident);
    assert_eq!(bars.len(), 20);
    assert_eq!((bars[1].opened_at - bars[0].opened_at, incident.width), (2 * SECOND, 2 * SECOND));
    // What is traded in a second, for two of them, at 100: 20 units, and up to half more or less.
    assert!(bars.iter().all(|bar| 10.0 <= bar.volume && bar.volume <= 30.0), "{bars:?}");
    let refused = |series, points: &str, want: &str| {
        let error = small(series, points).expect_err("refused").to_string();
        assert!(error.contains(want), "{error}");
    };
    refused(["", ""], &format!("{FLAT}00 b 100, 03 b 100, 20 b 100"), "points.csv:5: no bar of 2 s opens at this time");
    refused(["bar_seconds = 7", ""], FLAT.trim_end_matches(", "), "unknown field");
    refused([r#"silent = [["2025-01-01T00:00:04Z", "2025-01-01T00:00:04Z"]]"#, ""], "00 a 1", "needed are two times");
}
