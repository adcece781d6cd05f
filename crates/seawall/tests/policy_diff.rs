//! `seawall policy diff` on real files: what it prints and how it ends. 0 where nothing loosens, 1 where something does or
//! is mixed, 2 where a file is no policy.

mod common;

use common::{Ended, end, seawall};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const DEFAULT: &str = include_str!("../../../policies/default.toml");

/// Runs in `directory`, so that files are named as a reader would.
fn diff(directory: &Path, arguments: &[&str]) -> Ended {
    end(seawall().args(["policy", "diff"]).args(arguments).current_dir(directory))
}

/// A directory with the default policy as `old.toml`, and as `new.toml` with lines replaced and appended.
fn files(replaced: &[(&str, &str)], appended: &str) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let mut new = DEFAULT.to_owned();
    for (from, to) in replaced {
        assert!(new.contains(from), "{from}");
        new = new.replacen(from, to, 1);
    }
    for (name, text) in [("old.toml", DEFAULT), ("new.toml", &format!("{new}{appended}"))] {
        std::fs::write(directory.path().join(name), text).expect("writes");
    }
    directory
}

/// Expects the code and, below the two lines of digests, exactly this text.
#[track_caller]
fn check(replaced: &[(&str, &str)], appended: &str, code: i32, expected: &str) {
    let directory = files(replaced, appended);
    let ended = diff(directory.path(), &["old.toml", "new.toml"]);
    let (digests, rest) = ended.out.split_once("\n\n").expect("two parts");
    let digests: Vec<Vec<&str>> = digests.lines().map(|line| line.split(' ').collect()).collect();
    assert_eq!(digests.len(), 2);
    for (line, side) in digests.iter().zip(["old", "new"]) {
        assert_eq!((line[0], line[1].len(), line[2]), (side, 64, format!("{side}.toml").as_str()));
    }
    assert_eq!((ended.code, rest), (code, expected), "{}", ended.err);
}

#[test]
fn a_policy_is_no_change_of_itself() {
    check(&[], "# A remark says nothing.\n", 0, "Neutral: no change in force; both say the same\n");
}

#[test]
fn what_is_only_written_elsewhere_is_said_to_be_no_change_in_force() {
    let expected =
        "Neutral: no change in force; 1 key said differently\n  market.XRP.oracle.age_max  (not said) -> 10s\n";
    check(&[], "[market.XRP.oracle]\nage_max = \"10_000ms\"\n", 0, expected);
    check(&[], "[market.XRP]\n", 0, "Neutral: no change in force; 0 keys said differently\n");
}

#[test]
fn a_tightening_is_no_finding() {
    check(
        &[
            ("confidence_max = \"2%\"", "confidence_max = \"1%\""),
            ("open_interest_max = \"2_000_000_000 USD\"", "open_interest_max = \"1_500_000_000 USD\""),
        ],
        "[market.XRP]\noracle.confidence_max = \"2%\"\n",
        0,
        "\
[market.default]
  oracle.confidence_max  2% -> 1%                                Tighten
      less certain prices are not used any more
      not in [market.XRP]

[market.SOL]
  open_interest_max      2_000_000_000 USD -> 1_500_000_000 USD  Tighten
      less may be opened; what is open stays

Tighten: 2 changes in force: 2 tighten, 0 loosen, 0 mixed, 0 neutral
",
    );
}

#[test]
fn what_takes_from_whoever_holds_a_position_is_no_tightening() {
    let (lower, higher) = ("maintenance = \"2.5%\"", "maintenance = \"3%\"");
    check(
        &[(lower, higher)],
        "",
        1,
        "\
[market.default]
  tier.maintenance from 0 USD to 1_000_000 USD  2.5% -> 3%  Mixed
      staying open needs more margin: accounts that have less are liquidated
      not in [market.BTC], [market.ETH], [market.SOL]

Mixed: 1 change in force: 0 tighten, 0 loosen, 1 mixed, 0 neutral
maintenance rises in 1: who has less is liquidated
",
    );
}

#[test]
fn what_loosens_or_is_mixed_is_a_finding() {
    check(
        &[("last_good_max = \"5m\"", "last_good_max = \"10m\"")],
        "",
        1,
        "\
[market.default]
  oracle.last_good_max  5m -> 10m  Loosen
      the last price serves for longer without a source

Loosen: 1 change in force: 0 tighten, 1 loosen, 0 mixed, 0 neutral
",
    );
    check(
        &[("order_ttl = \"3s\"", "order_ttl = \"10s\"")],
        "[source.gemini]\nlineage = \"coinbase\"\n",
        1,
        "\
[market.default]
  liquidation.order_ttl  3s -> 10s               Mixed
      the book has longer to take a forced order, at an older limit; the insolvent are deleveraged later

[source.gemini]
  lineage                (not said) -> coinbase  Mixed
      it shares its voice with others than before: one voice less for some, one more for others

Mixed: 2 changes in force: 0 tighten, 0 loosen, 2 mixed, 0 neutral
",
    );
    check(
        &[("confidence_max = \"2%\"", "confidence_max = \"1%\""), ("exit = \"50%\"", "exit = \"60%\"")],
        "[pool.second]\naccounts_max = 1\naccount_min = \"1 USD\"\norders_per_account_max = 1\naccount_borrow_max = \"1 USD\"\nborrow_max = \"1 USD\"\n\
         insurance_share_per_account = \"1%\"\n",
        1,
        "\
the venue
  pools                  main -> main, second  Mixed
      pools are numbered in this order: accounts, markets and insurance keep the number, whatever its pool

[market.default]
  oracle.confidence_max  2% -> 1%              Tighten
      less certain prices are not used any more
  detectors.exit         50% -> 60%            Loosen
      detectors let go sooner

Mixed: 3 changes in force: 1 tighten, 1 loosen, 1 mixed, 0 neutral
",
    );
}

#[test]
fn many_exceptions_are_counted() {
    let markets: String = (0..12).map(|n| format!("[market.M{n:02}]\nbreaker.calm = \"60s\"\n")).collect();
    let directory = files(&[("calm = \"60s\"", "calm = \"30s\"")], &markets);
    let ended = diff(directory.path(), &["old.toml", "new.toml"]);
    assert!(ended.out.contains("[market.M06], [market.M07] and 4 more\n"), "{}", ended.out);
    let json = diff(directory.path(), &["old.toml", "new.toml", "--json"]);
    let json: Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(json["in_force"][0]["except"].as_array().map(Vec::len), Some(12));
}

#[test]
fn machines_get_the_same_as_json() {
    let directory =
        files(&[("maintenance = \"2.5%\"", "maintenance = \"3%\"")], "[market.XRP]\nbreaker.calm = \"60s\"\n");
    let ended = diff(directory.path(), &["--json", "old.toml", "new.toml"]);
    let json: Value = serde_json::from_str(&ended.out).expect("JSON");
    assert_eq!(ended.code, 1);
    let digest = |side: &str| json[side]["policy_digest"].as_str().map(str::len);
    assert_eq!((digest("old"), digest("new")), (Some(64), Some(64)));
    assert_eq!(json["old"]["file"], "old.toml");
    assert_eq!(json["direction"], "Mixed");
    assert_eq!(json["counts"], serde_json::json!({ "neutral": 0, "tighten": 0, "loosen": 0, "mixed": 1 }));
    assert_eq!(json["raise_maintenance"], 1);
    let change = serde_json::json!({
        "table": "market.default",
        "key": "tier.maintenance",
        "notional_from": "0 USD",
        "notional_to": "1_000_000 USD",
        "old": "2.5%",
        "new": "3%",
        "direction": "Mixed",
        "why": "staying open needs more margin: accounts that have less are liquidated",
        "raises_maintenance": true,
        "except": ["market.BTC", "market.ETH", "market.SOL"],
    });
    assert_eq!(json["in_force"], serde_json::json!([change]));
    let said = |key: &str, old: Value, new: &str| serde_json::json!({ "key": key, "old": old, "new": new });
    let differently = [
        said("market.XRP.breaker.calm", Value::Null, "1m"),
        said("market.default.tier[0].maintenance", "2.5%".into(), "3%"),
    ];
    assert_eq!(json["said"], Value::from(differently.to_vec()));
}

#[test]
fn the_shipped_policies_differ_in_what_the_baseline_leaves_out() {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let ended = diff(&policies, &["default.toml", "competent.toml"]);
    assert_eq!(ended.code, 1);
    let lines: Vec<&str> = ended.out.lines().collect();
    assert_eq!(lines.last(), Some(&"Mixed: 73 changes in force: 0 tighten, 58 loosen, 15 mixed, 0 neutral"));
    let has = |words: &[&str]| lines.iter().any(|line| line.split_whitespace().eq(words.iter().copied()));
    assert!(has(&["oracle.age_max", "10s", "->", "1m", "Loosen"]), "{}", ended.out);
    assert!(has(&["oracle.dispute_confirm", "1m", "->", "1ms", "Mixed"]), "{}", ended.out);
    assert!(has(&["liquidation.order_ttl", "3s", "->", "10s", "Mixed"]), "{}", ended.out);
    assert!(!ended.out.contains("tier."), "the tiers are the same");
}

#[test]
fn what_is_no_policy_is_refused_with_file_line_and_remedy() {
    let directory = files(&[("age_max = \"10s\"", "age_max = \"10\"")], "");
    let line = 1 + DEFAULT.lines().position(|line| line == "age_max = \"10s\"").expect("a line");
    for order in [["old.toml", "new.toml"], ["new.toml", "old.toml"]] {
        let ended = diff(directory.path(), &order);
        assert_eq!((ended.code, ended.out.as_str()), (2, ""));
        for word in [&format!("new.toml:{line}:"), "oracle.age_max", "write one of ms, s, m, h, d after the number"] {
            assert!(ended.err.contains(word), "{word:?} is not in: {}", ended.err);
        }
    }
    let missing = PathBuf::from("none.toml").display().to_string();
    let ended = diff(directory.path(), &["old.toml", &missing]);
    assert!(ended.code == 2 && ended.err.contains(&missing), "{}", ended.err);
}

const MAINTENANCE: &str = "maintenance = \"2.5%\"";

/// What is printed below the changes, and how it ended.
fn evidence(new: &str, incidents: &str) -> (i32, String) {
    let directory = files(&[(MAINTENANCE, new)], "");
    let ended = diff(directory.path(), &["old.toml", "new.toml", "--evidence", incidents]);
    let (_, evidence) = ended.out.split_once("\nevidence: ").expect("evidence");
    (ended.code, evidence.to_owned())
}

#[test]
fn evidence_says_who_is_liquidated_where_maintenance_rises() {
    let expected = "\
2 incidents under both, reconstructions from public statements, none of them a recording
accounts: 250 a market drawn with seed 1; the draw knows no policy: the same under both

                                                           newly   no longer   unjustified         losses past own money, USD    seconds strict
                                                     liq. (unj.) liq. (unj.)    old -> new                         old -> new        old -> new
  I-06  stETH loses six percent in four days               6 (6)       0 (0)      12 -> 18                             0 -> 0        420 -> 420
          newly      STETH-163      STETH    2022-06-11T12:09:00Z  unjustified
          newly      STETH-107      STETH    2022-06-11T12:55:05Z  unjustified
          newly      STETH-201      STETH    2022-06-11T13:01:06Z  unjustified
          newly      STETH-177      STETH    2022-06-11T13:11:06Z  unjustified
          newly      STETH-234      STETH    2022-06-11T14:08:06Z  unjustified
          newly      STETH-20       STETH    2022-06-11T14:16:05Z  unjustified
  I-09  USDC without its bank for a weekend                3 (0)       0 (0)      40 -> 68                         4,385 -> 0    39180 -> 39180
          newly      DAI-50         DAI      2023-03-11T07:24:15Z
          newly      DAI-232        DAI      2023-03-11T07:28:00Z
          newly      DAI-165        DAI      2023-03-11T07:29:52Z

9 accounts newly liquidated, 0 no longer
liq.: liquidated, or deleveraged as insolvent, newly under the new policy alone, no longer under the old alone; unj.: of them
unjustified in hindsight, there; unjustified: of all accounts; seconds strict: in ReduceOnly or stricter after a market
first permitted openings, in the market with most of them; times are those of the first decision, UTC
";
    // In the corpus's order, each once, whatever the order and the letters of the names.
    let (code, found) = evidence("maintenance = \"3%\"", "i-09,I-06,I-09");
    assert_eq!((code, found.as_str()), (1, expected));
}

#[test]
fn evidence_names_eight_accounts_and_the_json_all() {
    // A lower maintenance needs a smaller step of the mark.
    let looser = [(MAINTENANCE, "maintenance = \"2%\""), ("step_max = \"1.9%\"", "step_max = \"1.4%\"")];
    let directory = files(&looser, "");
    let ended = diff(directory.path(), &["old.toml", "new.toml", "--evidence", "I-22"]);
    let (code, (_, found)) = (ended.code, ended.out.split_once("\nevidence: ").expect("evidence"));
    let named: Vec<&str> = found.lines().filter(|line| line.starts_with("          ")).skip(2).collect();
    assert_eq!((code, named.len()), (1, 9), "{found}");
    assert_eq!(named[0], "          no longer  POPCAT-138     POPCAT   2025-11-12T14:14:57Z");
    assert_eq!(named[8], "          and 21 more");
    assert!(found.contains("\n0 accounts newly liquidated, 29 no longer\n"), "{found}");

    let ended = diff(directory.path(), &["old.toml", "new.toml", "--json", "--evidence=I-22"]);
    let json: Value = serde_json::from_str(&ended.out).expect("JSON");
    assert_eq!((ended.code, &json["direction"]), (1, &"Mixed".into()));
    let evidence = &json["evidence"];
    assert_eq!((&evidence["accounts_per_market"], &evidence["seed"]), (&250.into(), &1.into()));
    let case = &evidence["incidents"][0];
    assert_eq!((&case["incident"], &case["accounts"]), (&"I-22".into(), &251.into()));
    assert_eq!((&case["stated"], &case["points"]), (&2.into(), &56.into()));
    assert_eq!(case["newly_liquidated"], Value::from(Vec::<Value>::new()));
    let rows = case["no_longer_liquidated"].as_array().expect("a list");
    let first = serde_json::json!({
        "account": "POPCAT-138",
        "markets": ["POPCAT"],
        "at": 1_762_956_897_077_000_i64,
        "unjustified": false,
    });
    assert_eq!((rows.len(), &rows[0]), (29, &first));
    let liquidated = |side: &str| case[side]["liquidated"].as_u64();
    assert_eq!((liquidated("old"), liquidated("new")), (Some(107), Some(107 - 29)));
    for side in ["old", "new"] {
        assert_eq!((&case[side]["name"], &case[side]["invariants_broken"]), (&side.into(), &0.into()));
        assert_eq!(case[side]["reduce_only_seconds"].as_f64().map(f64::round), Some(5742.0));
    }
}

#[test]
fn evidence_of_no_change_is_that_nobody_s_fate_differs() {
    let directory = files(&[], "");
    let ended = diff(directory.path(), &["old.toml", "old.toml", "--json", "--evidence", "I-09,I-22"]);
    let json: Value = serde_json::from_str(&ended.out).expect("JSON");
    let cases = json["evidence"]["incidents"].as_array().expect("a list");
    assert_eq!((ended.code, cases.len()), (0, 2));
    for (case, liquidated) in cases.iter().zip([137, 107]) {
        let nobody = Value::from(Vec::<Value>::new());
        assert_eq!((&case["newly_liquidated"], &case["no_longer_liquidated"]), (&nobody, &nobody));
        assert_eq!(case["old"]["liquidated"], liquidated);
        for same in ["liquidated", "unjustified", "bad_debt_usd", "reduce_only_seconds", "effects_digest"] {
            assert_eq!(case["old"][same], case["new"][same], "{same}");
        }
    }
}

#[test]
fn evidence_without_a_name_is_the_whole_corpus() {
    let directory = files(&[], "");
    let ended = diff(directory.path(), &["old.toml", "old.toml", "--json", "--evidence"]);
    let json: Value = serde_json::from_str(&ended.out).expect("JSON");
    let cases = json["evidence"]["incidents"].as_array().expect("a list");
    let ids: Vec<&str> = cases.iter().filter_map(|case| case["incident"].as_str()).collect();
    let known: Vec<String> = lab::incident::list().expect("reads").into_iter().map(|listed| listed.id).collect();
    assert_eq!(ids, known);
    let plain = diff(directory.path(), &["old.toml", "old.toml", "--json"]);
    let plain: Value = serde_json::from_str(&plain.out).expect("JSON");
    assert!(plain.get("evidence").is_none(), "{plain}");
}

#[test]
fn evidence_of_an_unknown_incident_is_refused_with_those_that_are_known() {
    let directory = files(&[], "");
    for incidents in ["I-99", "I-22,I-99"] {
        let ended = diff(directory.path(), &["old.toml", "new.toml", "--evidence", incidents]);
        assert_eq!((ended.code, ended.out.as_str()), (2, ""));
        assert!(ended.err.starts_with("seawall: no incident I-99; there are: I-01, "), "{}", ended.err);
        assert!(ended.err.ends_with(", I-22, I-23, I-24\n"), "{}", ended.err);
    }
}
