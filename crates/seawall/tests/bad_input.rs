//! Bad input at the command: what it says, what it counts and how it ends. It ends with 0 where rows were set aside and
//! the rest went on, 1 where a file was damaged, 2 where there was nothing to go on with; it never panics.

mod common;

use common::{Ended, end};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const HEADER: &str = "ts_s,open,high,low,close,volume\n";
const QUOTES: &str = "source,market,price,confidence,published_at,received_at\n";
/// 10 October 2025, 20:45 UTC.
const START: i64 = 1_760_129_100;

fn seawall<A: AsRef<std::ffi::OsStr>>(arguments: &[A]) -> Ended {
    end(common::seawall().args(arguments))
}

impl Ended {
    #[track_caller]
    fn is(&self, code: i32) -> &Ended {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        self
    }

    /// What standard error must name: the file, the line, what to do.
    #[track_caller]
    fn says(&self, words: &[&str]) {
        for word in words {
            assert!(self.err.contains(word), "{word:?} is not in: {}", self.err);
        }
        assert_eq!(self.out, "", "an error leaves nothing on standard output");
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }
}

struct Files(TempDir);

impl Files {
    fn new() -> Files {
        Files(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("writes");
        path
    }
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("compresses");
    encoder.finish().expect("compresses")
}

fn bar(minute: i64, rest: &str) -> String {
    format!("{},{rest}\n", START + 60 * minute)
}

fn good(minute: i64) -> String {
    bar(minute, "100,110,90,105,3")
}

fn named(path: &Path) -> String {
    format!("{}:source=here,market=X,quote=USD,width=1m", path.display())
}

/// A replay of few accounts and without the runs that are not looked at here.
fn replay(files: &[&str]) -> Ended {
    let few = ["replay", "--json", "--no-single", "--no-sensitivity", "--draw", "5"];
    seawall(&[&few, files].concat())
}

/// `in = used + listed`, and the listed by reason.
#[track_caller]
fn counts(ended: &Ended) -> (u64, u64, u64, Vec<(String, u64)>) {
    let json = ended.json();
    let count = |key: &str| json["observations"][key].as_u64().expect("a count");
    let (input, used, listed) = (count("in"), count("used"), count("listed"));
    assert_eq!(input, used + listed, "every row is used or listed");
    let reasons: Vec<(String, u64)> = json["quarantine"]
        .as_object()
        .expect("reasons")
        .iter()
        .map(|(reason, count)| (reason.clone(), count.as_u64().expect("a count")))
        .collect();
    assert_eq!(reasons.iter().map(|(_, count)| count).sum::<u64>(), listed, "every listed row has its reason");
    (input, used, listed, reasons)
}

/// One bad line, the fourth, between good ones: the command goes on, counts it and names it.
#[track_caller]
fn check_listed(bad_line: impl AsRef<[u8]>, reason: &str) {
    let files = Files::new();
    let mut bytes = [HEADER, &good(0), &good(1)].concat().into_bytes();
    bytes.extend_from_slice(bad_line.as_ref());
    bytes.extend_from_slice(good(3).as_bytes());
    let (file, list) = (files.put("a.csv", bytes), files.path("listed.csv"));
    let ended = replay(&["--bars", &named(&file), "--quarantine", &list.display().to_string()]);
    assert_eq!(counts(ended.is(0)), (4, 3, 1, vec![(reason.to_owned(), 1)]));
    let list = std::fs::read_to_string(list).expect("the list is written");
    let row = list.lines().nth(1).expect("one row is listed");
    assert!(row.starts_with(&format!("{},4,{reason},", file.display())), "{row}");
}

#[test]
fn a_row_that_is_no_bar_is_listed_with_its_file_and_line() {
    check_listed(bar(2, "NaN,110,90,105,3"), "price_not_a_number");
    check_listed(bar(2, "100,inf,90,105,3"), "price_infinite");
    check_listed(bar(2, "100,110,-inf,105,3"), "price_infinite");
    check_listed(bar(2, "100,1e400,90,105,3"), "price_too_large");
    check_listed(bar(2, "100,110,0,105,3"), "price_zero");
    check_listed(bar(2, "100,110,-90,105,3"), "price_negative");
    check_listed(bar(2, "100,90,110,105,3"), "high_below_low");
    check_listed(good(1), "duplicate");
    check_listed(good(0), "out_of_order");
    check_listed(b"1760129220,100,110,90,\xff\xfe,3\n", "bad_utf8");
    check_listed(b"1760129220,100,110\n", "wrong_field_count");
    check_listed("yesterday,100,110,90,105,3\n", "bad_time");
}

#[test]
fn a_line_of_a_hundred_megabytes_is_one_listed_row() {
    let files = Files::new();
    let line = [vec![b'a'; 100 << 20], b"\n".to_vec()].concat();
    let bytes = [HEADER.as_bytes(), good(0).as_bytes(), good(1).as_bytes(), &line, good(3).as_bytes()].concat();
    let file = files.put("a.csv.gz", gz(&bytes));
    let ended = replay(&["--bars", &named(&file)]);
    assert_eq!(counts(ended.is(0)), (4, 3, 1, vec![("line_too_long".to_owned(), 1)]));
}

#[test]
fn a_quote_that_can_not_be_placed_in_time_is_listed() {
    let at = |published: i64, received: i64| format!("here,X,100,0,{},{}\n", START + published, START + received);
    for (bad, reason) in [(at(9, 2), "future_dated"), (at(0, 0), "clock_back")] {
        let files = Files::new();
        let file = files.put("quotes.csv", [QUOTES, &at(0, 0), &at(1, 1), &bad, &at(3, 3)].concat());
        let ended = replay(&["--quotes", &file.display().to_string()]);
        let (input, used, listed, reasons) = counts(ended.is(0));
        assert_eq!((input, used, listed), (4, 3, 1), "{reasons:?}");
        assert_eq!(reasons, [(reason.to_owned(), 1)]);
    }
}

#[test]
fn a_file_that_breaks_off_is_a_finding_and_what_stands_before_is_used() {
    let files = Files::new();
    let text: String = std::iter::once(HEADER.to_owned())
        .chain((0..5_000).map(|minute| bar(minute, &format!("{},110,90,105,3", 95 + minute % 11))))
        .collect();
    let whole = gz(text.as_bytes());
    let file = files.put("a.csv.gz", &whole[..whole.len() * 2 / 3]);
    let ended = replay(&["--bars", &named(&file)]);
    let (_, used, listed, reasons) = counts(ended.is(1));
    assert!(1_000 < used && listed == 1, "{used} used, {reasons:?}");
    assert_eq!(reasons, [("truncated_file".to_owned(), 1)]);
    let ended = seawall(&["oracle", "--json", "--bars", &named(&file)]);
    ended.is(1);
}

#[test]
fn a_file_that_can_not_be_used_at_all_is_refused_with_what_to_do() {
    let files = Files::new();
    let check = |name: &str, bytes: &[u8], words: &[&str]| {
        let file = files.put(name, bytes);
        let said: Vec<String> = words.iter().map(|word| word.replace("FILE", &file.display().to_string())).collect();
        let said: Vec<&str> = said.iter().map(String::as_str).collect();
        for command in ["replay", "oracle"] {
            seawall(&[command, "--json", "--bars", &named(&file)]).is(2).says(&said);
        }
    };
    check("header.csv", b"when,what\n1,2\n", &["FILE:1: found", "needed is bars: a time"]);
    check("empty.csv", b"", &["FILE: an empty file"]);
    check("rows.csv", HEADER.as_bytes(), &["FILE: a header and no rows"]);
    check(
        "none.csv",
        [HEADER, &bar(0, "0,0,0,0,0")].concat().as_bytes(),
        &["no row can be used", "FILE:2: price_zero"],
    );
    check("picture.csv", b"\x89PNG\r\n\x1a\n0000", &["FILE"]);
    let nameless = files.put("x.csv", [HEADER, &good(0), &good(1)].concat());
    let shown = nameless.display().to_string();
    seawall(&["replay", "--bars", &shown]).is(2).says(&[
        &shown,
        "neither the columns nor the file name say",
        "give --bars",
    ]);
}

#[test]
fn what_is_no_file_is_refused() {
    let files = Files::new();
    let missing = files.path("missing.csv");
    seawall(&["replay", "--bars", &named(&missing)]).is(2).says(&[&missing.display().to_string(), "cannot be read"]);
    let directory = files.0.path().display().to_string();
    seawall(&["replay", "--bars", &named(files.0.path())]).is(2).says(&[&directory]);
    seawall(&["replay", "--quotes", &directory]).is(2).says(&[&directory]);
    seawall(&["replay", "--bars", &format!("{directory}:flavour=sweet")]).is(2).says(&["flavour"]);
}

#[test]
fn an_incident_and_files_or_neither_or_an_unknown_one_is_refused() {
    let files = Files::new();
    let file = files.put("a.csv", [HEADER, &good(0), &good(1)].concat());
    seawall(&["replay", "I-17", "--bars", &named(&file)]).is(2).says(&["an incident or files, not both"]);
    seawall(&["replay"]).is(2).says(&["name an incident (I-01, ", "--bars or --quotes"]);
    seawall(&["replay", "I-99"]).is(2).says(&["I-99", "I-17"]);
    seawall(&["oracle"]).is(2).says(&["--bars FILE"]);
    seawall(&["replay", "--bars", &named(&file), "--draw", "lots"]).is(2).says(&["--draw"]);
    seawall(&["replay", "--bars", &named(&file), "--threads", "0"]).is(2).says(&["--threads", "1 to 64"]);
    seawall(&["replay", "--bars", &named(&file), "--insurance", "nan"]).is(2).says(&["--insurance", "USD"]);
}

#[test]
fn accounts_that_do_not_fit_are_refused_with_their_line() {
    let files = Files::new();
    let bars = named(&files.put("a.csv", [HEADER, &good(0), &good(1), &good(2)].concat()));
    let header = "account,pool,market,size,entry_price,collateral_asset,collateral_amount\n";
    let check = |rows: &str, words: &[&str]| {
        let file = files.put("accounts.csv", format!("{header}{rows}")).display().to_string();
        seawall(&["replay", "--bars", &bars, "--accounts", &file]).is(2).says(words);
    };
    check("a,main,X,1,100,USD,50\nb,main,Y,1,100,USD,50\n", &["accounts.csv:3:", "market \"Y\"", "which has X"]);
    check("a,side,X,1,100,USD,50\n", &["accounts.csv:2:", "pool \"side\"", "main"]);
    check("a,main,X,1,100,GOLD,50\n", &["accounts.csv:2:", "GOLD", "in USD"]);
    check("a,main,X,1,100,X,5\n", &["5 X as collateral", "takes 0", "collateral.deposit_max in [market.X]"]);
    check("a,main,X,nan,100,USD,50\n", &["accounts.csv:2:"]);
    check("a,main,X,1,-100,USD,50\n", &["accounts.csv:2:"]);
    check("a,main,X,1,100,USD,1e400\n", &["accounts.csv:2:"]);
    let wrong = files.put("accounts.csv", "who,how much\nme,1\n").display().to_string();
    seawall(&["replay", "--bars", &bars, "--accounts", &wrong]).is(2).says(&["accounts.csv:1:", "account"]);
}

#[test]
fn a_policy_that_can_not_be_read_is_refused_with_key_and_line() {
    let files = Files::new();
    let bars = named(&files.put("a.csv", [HEADER, &good(0), &good(1), &good(2)].concat()));
    let whole = include_str!("../../../policies/default.toml");
    let check = |old: &str, new: &str, words: &[&str]| {
        assert_eq!(whole.matches(old).count(), 1, "{old}");
        let line = 1 + whole.lines().position(|line| line.contains(old)).expect("a line");
        let file = files.put("policy.toml", whole.replace(old, new)).display().to_string();
        let place = format!("policy.toml:{line}");
        let said = [&[place.as_str()], words].concat();
        seawall(&["replay", "--bars", &bars, "--policy", &file]).is(2).says(&said);
        seawall(&["policy", "check", &file]).is(2).says(&said);
    };
    check("age_max = \"10s\"", "age_maximum = \"10s\"", &["age_maximum"]);
    check("age_max = \"10s\"", "age_max = \"10\"", &["age_max", "unit"]);
    check("age_max = \"10s\"", "age_max = 10", &["age_max"]);
    check("agree = \"1%\"", "agree = \"NaN%\"", &["agree"]);
    check("dispute_confirm = \"60s\"", "dispute_confirm = \"-60s\"", &["dispute_confirm"]);
    let missing = files.path("none.toml").display().to_string();
    seawall(&["replay", "--bars", &bars, "--policy", &missing]).is(2).says(&[&missing]);
}

fn data(set: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(set);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: needs ../shared/data/{set}");
    None
}

#[test]
fn the_dirty_sets_are_flagged_and_lose_nothing() {
    // 434 of 808 bars break the order of high and low.
    if let Some(file) = data("crash_2023-03_usdc_depeg/usdc_usd_15m_2023-03_depeg.csv") {
        let ended = replay(&["--bars", &format!("{}:source=dex", file.display())]);
        let (input, used, listed, reasons) = counts(ended.is(0));
        assert_eq!((input, used, listed), (808, 374, 434), "{reasons:?}");
    }
    // A ticker that died and came back as another asset, and one that was delisted and listed again.
    for (set, rows) in [
        ("crash_2022-05_06_luna_3ac_1h/panel_1h_2022-05-01_2022-06-30.csv.gz", 58_412),
        ("crash_2023-03_usdc_depeg/panel_1h_2023-03-06_2023-03-20.csv.gz", 0),
    ] {
        if let Some(file) = data(set) {
            let ended = replay(&["--bars", &format!("{}:source=binance", file.display()), "--market", "LUNA", "USDC"]);
            let (input, used, _, _) = counts(ended.is(0));
            assert!(0 < used && (rows == 0 || input < rows), "{set}: {input} in, {used} used");
        }
    }
    // A crossed book is no file of bars.
    if let Some(file) = data("crash_2025-10-10_multivenue/binance_um_BTCUSDT_bookDepth_2025-10-10.csv.gz") {
        let shown = file.display().to_string();
        seawall(&["replay", "--bars", &shown]).is(2).says(&[&format!("{shown}:1: found"), "needed is bars: a time"]);
    }
}

/// A feed of two venues over ten minutes with a fall in it.
fn two_venues(files: &Files) -> Vec<String> {
    let venue = |lag: i64| -> String {
        let price = |minute: i64| 100 - minute.clamp(0, 4) * 3;
        let row = |minute: i64| {
            let (open, close) = (price(minute - 1), price(minute));
            bar(minute, &format!("{open},{},{},{close},{}", open + 1, close - 1 - lag, 50 + minute))
        };
        std::iter::once(HEADER.to_owned()).chain((0..10).map(row)).collect()
    };
    ["one", "two"]
        .iter()
        .zip(0..)
        .map(|(name, lag)| {
            let file = files.put(&format!("{name}.csv"), venue(lag));
            format!("{}:source={name},market=X,quote=USD,width=1m,lag={}ms", file.display(), 100 + lag)
        })
        .collect()
}

#[test]
fn every_line_of_the_oracle_has_its_keys_and_no_other() {
    let files = Files::new();
    let bars = two_venues(&files);
    let ended = seawall(&["oracle", "--json", "--bars", &bars[0], &bars[1]]);
    let mut lines = 0;
    for line in ended.is(0).out.lines() {
        let value: Value = serde_json::from_str(line).expect(line);
        let keys: Vec<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
        let mut want = ["at", "market", "index", "confidence", "age_ms", "coverage", "lineages", "state", "rung"];
        want.sort_unstable();
        assert_eq!(keys, want, "{line}");
        assert!(value["at"].as_str().is_some_and(|at| at.starts_with("2025-10-10T") && at.ends_with('Z')), "{line}");
        assert_eq!(value["market"], "X");
        let state = value["state"].as_str().expect("a word");
        assert!(["Agreed", "Degraded", "Disputed", "None"].contains(&state), "{line}");
        assert!(["primary", "last_good", "none"].contains(&value["rung"].as_str().expect("a word")), "{line}");
        assert_eq!(value["index"].is_null(), state == "None", "{line}");
        assert!(value["index"].is_null() || value["index"].as_f64().is_some_and(|index| 80.0 < index), "{line}");
        assert!(value["confidence"].as_f64().is_some_and(|width| 0.0 <= width), "{line}");
        assert!(value["age_ms"].is_u64() && value["lineages"].is_u64(), "{line}");
        assert!(value["coverage"].as_f64().is_some_and(|share| 0.0 <= share && share <= 1.0), "{line}");
        lines += 1;
    }
    // Twenty bars of four prices each, and whatever time alone changed.
    assert!(80 <= lines, "{lines}");
    assert!(ended.err.contains("rows in 20 = used 20 + listed 0; 80 observations"), "{}", ended.err);
}

#[test]
fn a_replay_has_its_keys_and_says_the_same_twice() {
    let files = Files::new();
    let bars = two_venues(&files);
    let run = || seawall(&["replay", "--json", "--draw", "40", "--bars", &bars[0], &bars[1]]).is(0).json();
    let (first, second) = (run(), run());
    assert_eq!(first["observations"]["in"], 20);
    assert_eq!(first["observations"]["used"], 20);
    assert_eq!(first["observations"]["listed"], 0);
    assert_eq!(first["policy_digest"].as_str().map(str::len), Some(64));
    assert_eq!(first["markets"].as_array().map(Vec::len), Some(1));
    let runs = &first["runs"];
    let singles = runs["single"].as_array().expect("a list");
    assert_eq!(singles.iter().map(|run| run["name"].as_str()).collect::<Vec<_>>(), [Some("one"), Some("two")]);
    for run in [&runs["policy"], &runs["competent"]].into_iter().chain(singles) {
        assert!(run["liquidated_accounts"].is_u64() && run["unjustified_liquidations"].is_u64(), "{run}");
        assert!(run["over_liquidation_ratio"].is_null() || run["over_liquidation_ratio"].is_f64(), "{run}");
        for money in ["bad_debt_usd", "insurance_usd", "adl_usd", "socialized_usd"] {
            assert!(run[money].as_f64().is_some_and(|usd| 0.0 <= usd), "{money} of {run}");
        }
        assert_eq!(run["invariants_broken"], 0, "{run}");
    }
    assert!(0 < runs["policy"]["liquidated_accounts"].as_u64().unwrap_or(0), "the fall liquidates somebody");
    for name in ["policy", "competent"] {
        let digest = |outcome: &Value| outcome["runs"][name]["effects_digest"].clone();
        assert_eq!(digest(&first).as_str().map(str::len), Some(64));
        assert_eq!(digest(&first), digest(&second), "{name}");
    }
    let without_time = |mut outcome: Value| {
        outcome.as_object_mut().expect("an object").remove("stages");
        outcome
    };
    assert_eq!(without_time(first), without_time(second));
}
