//! `seawall policy calibrate`: the table and the JSON say the same, and both end as the other commands do.

mod common;

use common::{end, seawall};
use serde_json::Value;
use std::fmt::Write;
use std::path::PathBuf;
use tempfile::TempDir;

/// Hourly bars of two sources of one market: quiet but for an hour that spans 16% in both, which is a move and nobody's contradiction.
fn files() -> (TempDir, Vec<PathBuf>) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut paths = Vec::new();
    for source in ["here", "there"] {
        let mut text = "ts_ms,open,high,low,close\n".to_owned();
        for hour in 0..48_i64 {
            let high = if hour == 20 { 116 } else { 100 };
            writeln!(text, "{},100,{high},100,100", 1_600_000_000_000 + hour * 3_600_000).expect("writes");
        }
        let path = directory.path().join(format!("{source}.csv"));
        std::fs::write(&path, text).expect("writes");
        paths.push(path);
    }
    (directory, paths)
}

fn calibrate(more: &[&str]) -> common::Ended {
    let (_directory, paths) = files();
    let bars = paths.iter().zip(["here", "there"]);
    let bars = bars.map(|(path, source)| format!("{}:source={source},market=X,quote=USD", path.display()));
    end(seawall().args(["policy", "calibrate"]).args(more).arg("--bars").args(bars))
}

#[test]
fn the_table_and_the_json_say_the_same() {
    let (table, json) = (calibrate(&[]), calibrate(&["--json", "--threads", "1"]));
    assert_eq!((table.code, json.code), (0, 0), "{}{}", table.err, json.err);
    let json: Value = serde_json::from_str(&json.out).expect(&json.out);
    let digest = json["policy_digest"].as_str().expect("a digest");
    assert_eq!(table.out.lines().next(), Some(format!("policy {digest}").as_str()));
    let market = &json["markets"][0];
    assert_eq!((market["market"].as_str(), json["markets"].as_array().map(Vec::len)), (Some("X"), Some(1)));
    let (moves, sources) = (&market["by_market"]["trips"], &market["by_source"]["trips"]);
    assert_eq!((moves.as_u64(), sources.as_u64()), (Some(1), Some(0)), "{market}");
    let lines: Vec<Vec<&str>> = table.out.lines().map(|line| line.split_whitespace().collect()).collect();
    let rows: Vec<_> = lines.iter().filter(|line| line.first() == Some(&"X")).collect();
    assert_eq!((rows[0][3], rows[0][7]), (moves.to_string().as_str(), sources.to_string().as_str()));
    // A row of trips, one of detectors, and one a scale.
    let curve = json["curve"].as_array().expect("a curve");
    assert_eq!(rows.len(), 2 + curve.len());
    for (row, point) in rows[2..].iter().zip(curve) {
        let trips = point["market_trips_per_year"].as_f64().expect("a number");
        assert_eq!((row[1], row[2]), (format!("{}%", point["scale_percent"]).as_str(), format!("{trips:.1}").as_str()));
    }
    for detector in json["detectors"].as_array().expect("a list") {
        let (name, class) = (detector[0].as_str().expect("a name"), detector[1].as_str().expect("a class"));
        let class = if class == "market" { "move" } else { "source" };
        assert!(table.out.contains(&format!("{name} ({class})")), "{name}");
    }
}

#[test]
fn without_files_or_threads_it_says_what_to_write() {
    for (more, says) in [(&["--json"][..], "--bars FILE"), (&["--threads", "0", "--bars", "x.csv"], "from 1 to 64")] {
        let ended = end(seawall().args(["policy", "calibrate"]).args(more));
        assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{}", ended.err);
        assert!(ended.err.contains(says), "{}", ended.err);
    }
}
