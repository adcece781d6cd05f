//! `seawall replay --all`: the table and the JSON say the same, of every bundled incident, those first in which the
//! policy is not better.

mod common;

use common::{Ended, end, seawall};
use lab::incident::{self, Share};
use serde_json::Value;

/// Few accounts and no single sources: what is tested here is the table.
fn all(more: &[&str]) -> String {
    let Ended { code, out, err } = end(seawall().args(["replay", "--all", "--draw", "20", "--no-single"]).args(more));
    assert_eq!((code, err.as_str()), (0, ""));
    out
}

#[test]
fn the_table_and_the_json_say_the_same_of_every_incident() {
    let (table, json) = (all(&[]), all(&["--json"]));
    let json: Value = serde_json::from_str(&json).expect(&json);
    let digest = json["policy_digest"].as_str().expect("a digest");
    assert_eq!(table.lines().next(), Some(format!("policy {digest}").as_str()));
    let rows = json["incidents"].as_array().expect("a list");
    let lines: Vec<&str> = table.lines().filter(|line| line.get(2..4) == Some("I-")).collect();
    assert_eq!(lines.len(), rows.len());
    let mut named: Vec<String> = Vec::new();
    let mut last = 0;
    for (line, row) in lines.iter().zip(rows) {
        let id = row["incident"].as_str().expect("a name");
        let Share { stated, points } = incident::load(id).expect("a bundled incident").share();
        assert_eq!(
            (row["stated"].as_u64(), row["points"].as_u64()),
            (Some(stated as u64), Some(points as u64)),
            "{id}"
        );
        let (mark, place) = match row["verdict"].as_str() {
            Some("worse") => ('!', 0),
            Some("same") => ('=', 1),
            Some("better") => (' ', 2),
            other => panic!("{id}: {other:?}"),
        };
        assert!(last <= place, "{id} stands after better ones");
        last = place;
        let venue = |of: &str| row["venue"].get(of).map_or("-".to_owned(), Value::to_string);
        let accounts = |of: &str| format!("{}/{}/{}/-", row["policy"][of], row["competent"][of], venue(of));
        assert!(line.starts_with(&format!("{mark} {id}  {}", row["title"].as_str().expect("a title"))), "{line}");
        let words: Vec<&str> = line.split_whitespace().collect();
        for word in [format!("{stated}/{points}"), accounts("liquidated"), accounts("unjustified")] {
            assert!(words.contains(&word.as_str()), "{word:?} is not in: {line}");
        }
        let usd = format!("{:.0} /", row["policy"]["bad_debt_usd"].as_f64().expect("a number"));
        assert!(line.replace(',', "").contains(&usd), "{usd:?} is not in: {line}");
        let seconds = format!("{:.0}", row["reduce_only_seconds"].as_f64().expect("a number"));
        assert!(words.contains(&seconds.as_str()), "{seconds:?} is not in: {line}");
        assert!(row["worst_single"].is_null(), "{row}");
        named.push(id.to_owned());
    }
    named.sort_unstable();
    let known: Vec<String> = incident::list().expect("reads").into_iter().map(|listed| listed.id).collect();
    assert_eq!(named, known);
}

#[test]
fn the_page_has_a_chapter_of_every_incident_in_the_order_of_the_table() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("out.html");
    let report = ["--draw", "20", "--no-single", "--report", path.to_str().expect("UTF-8")];
    let Ended { code, out, err } = end(seawall().args(["replay", "--all"]).args(report));
    assert_eq!((code, err), (0, format!("report: {}\n", path.display())));
    assert_eq!(out, all(&[]), "the table is the same");
    let lines = out.lines().filter_map(|line| line.get(2..).filter(|line| line.starts_with("I-")));
    let table: Vec<&str> = lines.filter_map(|line| line.split(' ').next()).collect();
    let page = std::fs::read_to_string(&path).expect("written");
    let named = |before: &str| -> Vec<String> {
        page.split(before).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
    };
    assert_eq!(named("<a href=\"#I-").len(), table.len());
    assert_eq!(named("<section class=\"incident\" id=\""), table);
    assert!(page.len() < 5_000_000, "{} bytes", page.len());
}

#[test]
fn what_narrows_all_is_refused() {
    let check = |more: &[&str], word: &str| {
        let Ended { code, out, err } = end(seawall().args(["replay", "--all"]).args(more));
        assert_eq!((code, out.as_str()), (2, ""), "{more:?}");
        assert!(err.contains(word), "{err}");
    };
    check(&["I-17"], "whole");
    check(&["--bars", "a.csv"], "whole");
    check(&["--market", "BTC"], "whole");
    check(&["--from", "2025-10-10T21:00:00Z"], "whole");
    check(&["--lag", "1s"], "whole");
    check(&["--accounts", "book.csv"], "whole");
    check(&["--csv", "out"], "name one incident for --csv");
    check(&["--policy", "none.toml"], "none.toml");
}
