//! The report and the CSV files, from a made-up outcome; and the report in a browser, where there is one.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use lab::incident::corpus::Row;
use lab::incident::{self, Incident};
use lab::replay::outcome::{
    AccountOutcome, ArbitrageWindow, Fate, IndexPoint, MarketOutcome, MarketSeries, Observations, Outcome, Runs,
    Sensitivity, TimelineEntry, Totals,
};
use lab::report::{Chapter, write_corpus, write_csv, write_report};

/// 2025-10-10T20:45:00Z, in microseconds.
const START: i64 = 1_760_129_100_000_000;
const SECOND: i64 = 1_000_000;
const HOSTILE: &str = "</script><script>alert(1)</script><img src=x onerror=alert(2)>";

fn totals(name: &str, scale: f64) -> Totals {
    Totals {
        name: name.to_string(),
        liquidated_accounts: (1_234.0 * scale) as u64,
        unjustified_liquidations: if scale == 1.0 { 0 } else { (310.0 * scale) as u64 },
        unjudged_accounts: (40.0 * scale) as u64,
        over_liquidation_ratio: (scale < 3.0).then_some(1.0 + 0.02 * scale),
        bad_debt_usd: 1_000_000.0 * scale,
        insurance_usd: 400_000.0 * scale,
        adl_usd: 350_000.0 * scale,
        adl_outside_usd: 150_000.0 * scale,
        socialized_usd: 200_000.0 * scale,
        socialized_outside_usd: 75_000.0 * scale,
        deficit_usd: 50_000.0 * scale,
        liquidated_usd: 81_234_567.89 * scale,
        deleveraged_usd: 4_500_000.0 * scale,
        effects_digest: format!("{:064x}", (scale * 1e6) as u64),
        invariants_broken: 0,
    }
}

/// A crash and a recovery over 75 minutes, and one venue that prints half for a while.
fn market(name: &str, sources: &[&str], start: f64, seconds: i64) -> MarketOutcome {
    let path = |t: i64| {
        let crash = ((t - 1_500) as f64 / 200.0).clamp(0.0, 1.0) - ((t - 2_200) as f64 / 1_500.0).clamp(0.0, 0.6);
        start * (1.0 - 0.18 * crash + 0.002 * (t as f64 / 37.0).sin())
    };
    let broken = |source: usize, t: i64| source == 0 && (2_000..2_120).contains(&t);
    let mut series = MarketSeries::default();
    for source in 0..sources.len() {
        let price = |t: i64| {
            let own = 1.0 + 0.0008 * (t as f64 / (11.0 + source as f64)).sin();
            path(t) * own * if broken(source, t) { 0.5 } else { 1.0 }
        };
        series.sources.push((0..seconds).map(|t| (START + t * SECOND, price(t))).collect());
    }
    series.index = (0..seconds)
        .map(|t| {
            let state = match t {
                2_000..2_060 => "Disputed",
                2_060..2_120 => "Degraded",
                4_200..4_215 => "None",
                _ => "Agreed",
            };
            let rung = if state == "None" { "None" } else { "Primary" };
            let index = if state == "None" { 0.0 } else { path(t) };
            IndexPoint { at: START + t * SECOND, index, confidence: path(t) * 0.001, state, rung }
        })
        .collect();
    let modes = [
        (0, "Normal"),
        (1_520, "Cautious"),
        (1_580, "ReduceOnly"),
        (2_300, "Cautious"),
        (2_360, "Normal"),
        (4_200, "Halted"),
        (4_215, "CancelOnly"),
        (4_275, "Normal"),
    ];
    series.modes = modes.iter().map(|(t, mode)| (START + t * SECOND, mode.to_string())).collect();
    for i in 0..160 {
        let at = START + (1_530 + 4 * i) * SECOND;
        series.liquidations.push((at, 900.0 * (1 + i * i % 97) as f64, "policy"));
        series.liquidations.push((at + 700_000, 2_500.0 * (1 + i * i % 53) as f64, "competent"));
    }
    MarketOutcome {
        market: name.to_string(),
        sources: sources.iter().map(|s| s.to_string()).collect(),
        lineages: sources.len() as u8,
        seconds_by_state: named(&[("Agreed", 4_365.0), ("Disputed", 60.0), ("Degraded", 60.0), ("None", 15.0)]),
        seconds_by_mode: named(&[
            ("Normal", 3_585.0),
            ("Cautious", 120.0),
            ("ReduceOnly", 720.0),
            ("Halted", 15.0),
            ("CancelOnly", 60.0),
            ("Settling", 0.0),
        ]),
        hull_checks: 4_500,
        outside_hull: 0,
        arbitrage_window: ArbitrageWindow {
            threshold_bps: 50.0,
            median_bps: 3.2,
            p99_bps: 41.7,
            max_bps: 260.4,
            ms_above: 38_000,
            longest_ms: 4_200,
        },
        liquidated: [120, 188],
        unjustified: [0, 31],
        unjudged: [4, 5],
        bad_debt_usd: [10_000.0, 92_345.67],
        series,
    }
}

fn named(pairs: &[(&str, f64)]) -> BTreeMap<String, f64> {
    pairs.iter().map(|(name, value)| (name.to_string(), *value)).collect()
}

fn outcome(markets: Vec<MarketOutcome>) -> Outcome {
    let entry = |t: i64, market: &str, kind, text: &str, count, usd| TimelineEntry {
        at: START + t * SECOND,
        market: market.to_string(),
        kind,
        text: text.to_string(),
        count,
        usd,
    };
    let mut timeline = vec![
        entry(1_520, "BTC", "mode", "Cautious: fell 3.1% within 60 s", 1, 0.0),
        entry(1_580, "BTC", "mode", "ReduceOnly: fell 7.4% within 60 s", 1, 0.0),
        entry(2_000, HOSTILE, "quality", HOSTILE, 1, 0.0),
    ];
    timeline.extend((0..900).map(|i| {
        entry(
            2_001 + i,
            "BTC",
            "liquidation",
            "accounts under maintenance were reduced",
            1 + i as u64 % 7,
            12_345.0 + i as f64,
        )
    }));
    let account = |name: &str| AccountOutcome {
        account: name.to_string(),
        market: "BTC".to_string(),
        size: -1.5,
        leverage: 12.5,
        cash_usd: 10_000.0,
        policy: Fate { liquidations: 1, liquidated_usd: 5_000.0, equity_usd: 123.45, ..Fate::default() },
        competent: Fate { liquidations: 3, unjustified: 1, ..Fate::default() },
    };
    Outcome {
        title: "Made up: a crash of 18% & one venue at <half>".to_string(),
        policy_digest: "250c926eb4e4d2e93b95d1f36d85d287620e0d6838e2f137a073ff925937ac3a".to_string(),
        decisions: vec![format!("{HOSTILE}: width 1s: from the rows"), "source binance: lineage binance".to_string()],
        observations: Observations { input: 54_003, used: 54_000, listed: 3, prices: 216_000 },
        from: START,
        to: START + 4_500 * SECOND,
        markets,
        runs: Runs {
            policy: totals("policy", 1.0),
            competent: totals("competent", 1.7),
            venue: None,
            single: vec![totals("binance", 2.6), totals("coinbase", 1.9), totals("gemini", 3.1)],
        },
        sensitivity: [0.5, 2.0]
            .map(|impact| Sensitivity {
                impact,
                policy: totals("policy", 0.8 + 0.2 * impact),
                competent: totals("competent", 1.2 + 0.5 * impact),
            })
            .to_vec(),
        timeline,
        accounts: ["plain", "=HYPERLINK(\"http://x\")", "-1+1", HOSTILE].map(account).to_vec(),
        stages: named(&[("list", 0.12), ("policy", 1.5)]),
    }
}

fn made_up() -> Outcome {
    let venues = ["binance", "coinbase", "gemini"];
    outcome(vec![
        market("BTC", &venues, 117_000.0, 4_500),
        market("AAVE", &venues, 260.0, 4_500),
        market(HOSTILE, &[HOSTILE, "coinbase"], 4.0, 900),
    ])
}

fn written(outcome: &Outcome, path: &Path) -> String {
    write_report(outcome, path).expect("written");
    std::fs::read_to_string(path).expect("read back")
}

#[test]
fn the_report_says_what_the_outcome_holds() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let page = written(&made_up(), &directory.path().join("out.html"));
    for text in [
        "<h1>Made up: a crash of 18% &amp; one venue at &lt;half&gt;</h1>",
        "2025-10-10 20:45:00 UTC to 2025-10-10 22:00:00 UTC (1 h 15 min)",
        "54,003 rows in = 54,000 used + 3 listed, giving 216,000 prices",
        "<code id=\"policy-digest\">250c926eb4e4d2e93b95d1f36d85d287620e0d6838e2f137a073ff925937ac3a</code>",
        "<th scope=\"row\">policy</th><td>1,234</td><td>0</td><td>40</td><td>1.020</td><td>$1,000,000</td><td>$400,000</td><td>$350,000</td>\
         <td>$150,000</td><td>$200,000</td><td>$75,000</td><td>$50,000</td><td>$81,234,568</td><td>$4,500,000</td><td>0</td>",
        "<th scope=\"row\">competent</th><td>2,097</td><td>527</td><td>68</td><td>1.034</td><td>$1,700,000</td>",
        "<th scope=\"row\">gemini alone</th><td>3,825</td><td>961</td><td>124</td><td>–</td>",
        "<th scope=\"row\">competent, impact ×0.5</th>",
        "<li>source binance: lineage binance</li>",
        "<td>0 of 4,500</td><td>41.7 bp</td><td>4.2 s</td><td>120 / 188</td><td>0 / 31</td><td>$10,000</td><td>$92,346</td>",
        "\"waterfall\":[{\"run\":\"policy\",\"usd\":[400000.0,350000.0,200000.0,50000.0]}",
        "\"modes\":[[1760129100000,\"Normal\"],[1760130620000,\"Cautious\"]",
        "[1760130620000,\"BTC\",\"mode\",\"Cautious: fell 3.1% within 60 s\",1,0.0]",
    ] {
        assert!(page.contains(text), "the page lacks {text}");
    }
}

#[test]
fn names_from_outside_stay_text() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let page = written(&made_up(), &directory.path().join("out.html"));
    assert!(!page.contains("<script>alert"));
    assert!(!page.contains("<img src=x"));
    assert!(page.contains("&lt;/script&gt;&lt;script&gt;alert(1)"));
    assert!(page.contains("\\u003c/script\\u003e\\u003cscript\\u003ealert(1)"));
    // Its own scripts: three markets, the page's data, the timeline, the library and the page's script.
    assert_eq!(page.matches("</script>").count(), 7);
}

#[test]
fn the_page_needs_no_network() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let page = written(&made_up(), &directory.path().join("out.html"));
    assert!(page.contains("content=\"default-src 'none'; script-src 'nonce-"));
    let lower = page.to_lowercase();
    for loads in ["src=\"", "href=\"http", "@import", "url(http"] {
        let own = &lower[..lower.find("plotly.js").expect("the library is in it")];
        assert!(!own.contains(loads), "{loads}");
    }
    let other = written(&outcome(vec![]), &directory.path().join("other.html"));
    let nonce = |page: &str| page.split("'nonce-").nth(1).map(|rest| rest[..32].to_string()).expect("a nonce");
    assert_ne!(nonce(&page), nonce(&other), "the nonce depends on the page");
}

#[test]
fn two_hundred_markets_stay_within_the_budget() {
    let venues = ["binance", "coinbase", "gemini"];
    let markets = (0..200).map(|i| market(&format!("M{i}"), &venues, 100.0, 4_500)).collect();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let page = written(&outcome(markets), &directory.path().join("out.html"));
    let megabytes = page.len() as f64 / 1e6;
    assert!(megabytes < 12.0, "{megabytes} MB");
    assert_eq!(page.matches("<script type=\"application/json\" id=\"data-market-").count(), 200);
}

fn chapter(incident: &Incident, outcome: &Outcome) -> Chapter {
    Chapter::of(incident, &Row::of(incident, outcome), outcome)
}

/// The page of these incidents, whatever the outcome of each.
fn corpus(incidents: &[Incident], outcome: &Outcome, path: &Path) -> String {
    let chapters: Vec<Chapter> = incidents.iter().map(|incident| chapter(incident, outcome)).collect();
    write_corpus(&outcome.policy_digest, &chapters, path).expect("written");
    std::fs::read_to_string(path).expect("read back")
}

fn incidents() -> Vec<Incident> {
    let all = incident::list().expect("all can be read");
    all.iter().map(|listed| incident::load(&listed.id).expect("it was listed")).collect()
}

/// I-17 with text in it that would be markup.
fn hostile() -> Incident {
    let mut incident = incident::load("I-17").expect("bundled");
    let about = &mut incident.about;
    for text in [&mut about.title, &mut about.date, &mut about.summary, &mut about.should_have_tripped[0]] {
        *text = HOSTILE.to_string();
    }
    (about.facts[0].text, about.facts[0].at) = (HOSTILE.to_string(), HOSTILE.to_string());
    (about.venues[0].about, about.venues[0].name) = (HOSTILE.to_string(), HOSTILE.to_string());
    (about.citations[0].text, about.citations[0].key) = (HOSTILE.to_string(), HOSTILE.to_string());
    incident
}

#[test]
fn the_page_of_all_incidents_has_each_of_them_and_the_library_once() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let incidents = incidents();
    let page = corpus(&incidents, &made_up(), &directory.path().join("out.html"));
    for incident in &incidents {
        let id = &incident.about.id;
        for text in [
            format!("<a href=\"#{id}\">{id}</a>"),
            format!("<section class=\"incident\" id=\"{id}\" data-markets=\"3\">"),
            format!("<p class=\"label\"><strong>Reconstruction.</strong> {}.</p>", incident.share()),
            format!("id=\"data-{id}-2\""),
        ] {
            assert!(page.contains(&text), "the page lacks {text}");
        }
        let (from, to) = (format!("<section class=\"incident\" id=\"{id}\""), "</section>");
        let chapter = page.split(&from).nth(1).and_then(|rest| rest.split(to).next()).expect("a chapter");
        let rows: Vec<&str> = chapter.matches("<th scope=\"row\">policy</th><td>1,234</td>").collect();
        assert_eq!(rows.len(), 1, "{id}");
        assert!(chapter.contains("<th scope=\"row\">competent</th><td>2,097</td>"), "{id}");
        assert!(chapter.contains("<th scope=\"row\">gemini alone, worst</th><td>3,825</td>"), "{id}");
        assert!(!chapter.contains("coinbase alone"), "{id}");
        assert!(chapter.contains("120 of 903 lines: ") && chapter.contains(" 783 more with "), "{id}");
        assert!(chapter.contains("<td>ReduceOnly: fell 7.4% within 60 s</td>"), "{id}");
    }
    let library = include_str!("../assets/plotly/plotly-basic.min.js");
    assert_eq!(page.matches(library).count(), 1, "the library once");
    // Three markets an incident, the library, the page's script.
    assert_eq!(page.matches("</script>").count(), 3 * incidents.len() + 2);
    let megabytes = page.len() as f64 / 1e6;
    assert!(megabytes < 6.0, "{megabytes} MB");
}

#[test]
fn the_page_of_all_incidents_needs_no_network_and_its_text_stays_text() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let page = corpus(&[hostile()], &made_up(), &directory.path().join("out.html"));
    assert!(page.contains("content=\"default-src 'none'; script-src 'nonce-"));
    let lower = page.to_lowercase();
    let own = &lower[..lower.find("plotly.js").expect("the library is in it")];
    for loads in ["src=\"", "href=\"http", "@import", "url(http", "http://", "https://"] {
        assert!(!own.contains(loads), "{loads}");
    }
    assert!(!page.contains("<script>alert") && !page.contains("<img src=x"));
    // Title in heading and table, date, summary, what should have tripped, a fact's time and text, a venue and what is said of it, a citation and its key, the
    // market in its list, and the market and the text of a line.
    assert_eq!(page.matches("&lt;/script&gt;&lt;script&gt;alert(1)").count(), 14);
    assert!(page.contains("\\u003c/script\\u003e\\u003cscript\\u003ealert(1)"));
}

#[test]
fn the_library_is_the_published_one() {
    let library = include_bytes!("../assets/plotly/plotly-basic.min.js");
    let readme = include_str!("../assets/plotly/README.md");
    assert!(readme.contains(blake3::hash(library).to_hex().as_str()), "{}", blake3::hash(library));
    assert!(!String::from_utf8_lossy(library).contains("</script"), "it can stand inside a script element");
}

#[test]
fn sheets_hold_the_same_and_no_formulas() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let sheets = directory.path().join("sheets");
    write_csv(&made_up(), &sheets).expect("written");
    let read = |name: &str| std::fs::read_to_string(sheets.join(name)).expect("read back");
    let line = |name: &str, at: usize| read(name).lines().nth(at).expect("a line").to_string();
    assert_eq!(line("accounts.csv", 1), "plain,BTC,-1.5,12.5,10000,1,0,5000,0,0,123.45,3,1,0,0,0,0");
    assert!(line("accounts.csv", 2).starts_with("\"'=HYPERLINK(\"\"http://x\"\")\",BTC,"));
    assert!(line("accounts.csv", 3).starts_with("'-1+1,BTC,"));
    assert_eq!(
        line("runs.csv", 1),
        "policy,1,1234,0,40,1.02,1000000,400000,350000,150000,200000,75000,50000,81234567.89,4500000,\
         00000000000000000000000000000000000000000000000000000000000f4240,0"
    );
    // A header, two runs, three single oracles, and two coefficients of two runs.
    assert_eq!(read("runs.csv").lines().count(), 1 + 2 + 3 + 4);
    assert!(line("runs.csv", 5).starts_with("gemini,1,3825,961,124,,"), "no ratio is an empty cell");
    assert!(line("markets.csv", 0).starts_with("market,sources,lineages,seconds_agreed,seconds_degraded,"));
    assert!(
        line("markets.csv", 1)
            .starts_with("BTC,binance coinbase gemini,3,4365,60,60,15,60,120,15,3585,720,0,4500,0,50,3.2,")
    );
    assert_eq!(line("timeline.csv", 1), "2025-10-10T21:10:20Z,BTC,mode,Cautious: fell 3.1% within 60 s,1,0");
    assert_eq!(read("timeline.csv").lines().count(), 1 + 903);
}

/// The browser, or none where none runs here. Run by hand on a machine without Chromium this says so and checks nothing; `cargo xtask`
/// asks for a browser, and then its absence is a failure.
fn browser() -> Option<&'static str> {
    let found = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| runs(name));
    let required = std::env::var_os("SEAWALL_BROWSER").is_some_and(|value| value == "required");
    assert!(
        found.is_some() || !required,
        "SEAWALL_BROWSER=required, and no chromium runs here: install the package `chromium`"
    );
    if found.is_none() {
        eprintln!("skipped: no chromium on this machine");
    }
    found
}

/// Opens a page as a reader would: the document as the scripts left it.
fn opened(browser: &str, profile: &Path, address: &str) -> String {
    let out = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--virtual-time-budget=20000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(address)
        .output()
        .expect("chromium runs");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// The document's first tag, in which scripts say how they fared.
fn root(page: &str) -> String {
    page.split('>').find(|tag| tag.contains("<html")).unwrap_or_default().to_string()
}

#[test]
fn a_browser_draws_the_page_of_incidents() {
    let Some(browser) = browser() else { return };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("out.html");
    corpus(&[hostile()], &made_up(), &path);
    let page = opened(browser, &directory.path().join("profile"), &format!("file://{}", path.display()));
    let root = root(&page);
    assert!(root.contains("data-charts=\"1\""), "the chapter's chart is drawn: {root}");
    assert!(!root.contains("data-errors"), "{root}");
    assert!(page.contains("Liquidation orders: policy 160, competent 160."), "what is drawn is counted");
    assert_eq!(page.matches("data-title=\"").count(), 6, "six buttons, none to anybody's cloud");
    assert!(!page.contains("<script>alert"), "names stay text");
    assert_eq!(page.matches("<img src=\"x\"").count() + page.matches("<img src=x").count(), 0);
}

#[test]
fn a_browser_draws_it() {
    let Some(browser) = browser() else { return };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("out.html");
    write_report(&made_up(), &path).expect("written");
    for position in 0..3 {
        let names = [
            "BTC",
            "AAVE",
            "%3C%2Fscript%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E%3Cimg%20src%3Dx%20onerror%3Dalert(2)%3E",
        ];
        let profile = directory.path().join(format!("profile-{position}"));
        let page = opened(browser, &profile, &format!("file://{}#market={}", path.display(), names[position]));
        let root = root(&page);
        assert!(root.contains("data-charts=\"2\""), "two charts are drawn: {root}");
        assert!(!root.contains("data-errors"), "{root}");
        assert!(page.contains("300 of 903 lines"), "the timeline is listed");
        assert_eq!(page.matches("data-title=\"").count(), 2 * 6, "six buttons a chart, none to anybody's cloud");
        assert!(!page.contains("<script>alert"), "names stay text");
        assert_eq!(page.matches("<img src=\"x\"").count() + page.matches("<img src=x").count(), 0);
    }
}

fn runs(name: &str) -> bool {
    Command::new(name).arg("--version").output().is_ok_and(|out| out.status.success())
}

/// Writes the made-up report to `$SEAWALL_REPORT_OUT`, to be looked at.
#[test]
#[ignore = "writes a file to look at"]
fn write_it_out() {
    let path = std::env::var("SEAWALL_REPORT_OUT").expect("SEAWALL_REPORT_OUT names a file");
    write_report(&made_up(), Path::new(&path)).expect("written");
}
