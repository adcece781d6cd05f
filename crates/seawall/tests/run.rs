//! A node that is killed, stopped, started again, and held against its journal.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

fn seawall(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
    command.args(words).stdin(Stdio::null()).stderr(Stdio::null());
    command
}

fn node(home: &Path, more: &[&str]) -> Command {
    let home = home.to_str().expect("a name");
    seawall(&[&["run", "I-17", "--data", home, "--json", "--draw", "60", "--no-listen"], more].concat())
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).expect("text");
    // The last line of one that was killed may be half of one.
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn verified(home: &Path) -> (i32, Value) {
    let found = seawall(&["journal", "verify", home.to_str().expect("a name"), "--json"]).output().expect("it starts");
    (found.status.code().expect("a code"), lines(&found).pop().expect("a line"))
}

/// The highest batch whose effects left.
fn told(lines: &[Value]) -> u64 {
    lines.iter().filter_map(|line| line.get("kind").and(line.get("height"))?.as_u64()).max().unwrap_or(0)
}

#[test]
fn whenever_it_is_killed_it_goes_on_behind_everything_that_left_and_comes_to_the_end() {
    let home = tempfile::tempdir().unwrap();
    let (mut left, mut killed) = (0, 0);
    // Somewhere in the middle of things, each time somewhere else.
    for pause in [0, 90, 10, 150, 40, 220, 70].map(Duration::from_millis).into_iter().map(Some).chain([None]) {
        let command = &mut node(home.path(), &["--speed", "max", "--snapshot-every", "20000"]);
        let mut child: Child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut seen = Vec::new();
        if let Some(pause) = pause {
            let mut reader = BufReader::new(child.stdout.take().unwrap());
            let mut line = String::new();
            // It has begun when it says something.
            while reader.read_line(&mut line).unwrap() != 0 && told(&seen) == 0 {
                seen.extend(serde_json::from_str::<Value>(&line));
                line.clear();
            }
            std::thread::sleep(pause);
            child.kill().unwrap();
            seen.extend(serde_json::from_str::<Value>(&line));
            seen.extend(reader.lines().filter_map(|line| serde_json::from_str(&line.ok()?).ok()));
            killed += u32::from(!child.wait().unwrap().success());
        } else {
            seen = lines(&child.wait_with_output().unwrap());
        }
        if left != 0 {
            let found = &seen[0]["recovered"];
            let behind = found["snapshot"].as_u64().unwrap() + found["replayed"].as_u64().unwrap();
            assert!(left <= behind, "batch {left} left, and the journal ends at {behind}");
        }
        left = left.max(told(&seen));
        if pause.is_none() {
            let end = seen.last().unwrap();
            assert_eq!(end["at_end"], true);
            assert_eq!(end["skipped"].as_u64().unwrap() + end["observations"].as_u64().unwrap(), 220_120);
            // What it remembers is what its journal leads to.
            let (code, found) = verified(home.path());
            assert_eq!(
                (code, &found["verified"], &found["head"], &found["state"]),
                (0, &true.into(), &end["head"], &end["state"])
            );
        }
    }
    assert!(3 < killed, "{killed} were killed before they came to the end");
}

#[test]
fn one_that_is_asked_to_stop_leaves_a_snapshot_and_two_hold_no_journal_together() {
    let home = tempfile::tempdir().unwrap();
    let mut child = node(home.path(), &["--speed", "1"]).stdout(Stdio::piped()).spawn().unwrap();
    let held = home.path().join("journal").join("00000000000000000000.segment");
    while !held.exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let second = node(home.path(), &[]).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(second.status.code(), Some(2));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("is held by another process: one writer at a time"), "{said}");
    std::thread::sleep(Duration::from_millis(300));
    let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(asked.success());
    assert!(child.wait().unwrap().success());
    let again = node(home.path(), &["--speed", "max"]).output().unwrap();
    assert_eq!(lines(&again)[0]["recovered"]["replayed"], 0);
}

#[test]
fn a_changed_byte_fails_with_its_place_and_another_venue_is_refused() {
    let home = tempfile::tempdir().unwrap();
    assert!(node(home.path(), &["--speed", "max"]).output().unwrap().status.success());
    let other =
        node(home.path(), &["--speed", "max", "--seed", "2", "--market", "BTC"]).stderr(Stdio::piped()).output();
    let said = String::from_utf8(other.unwrap().stderr).unwrap();
    assert!(said.contains("the journal is of other markets, another policy or other keys"), "{said}");
    let segment = home.path().join("journal").join("00000000000000000000.segment");
    let mut bytes = std::fs::read(&segment).unwrap();
    let place = bytes.len() / 2;
    bytes[place] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let (code, found) = verified(home.path());
    assert_eq!((code, &found["verified"]), (3, &false.into()));
    let why = found["why"].as_str().unwrap();
    assert!(why.starts_with("00000000000000000000.segment at byte "), "{why}");
    // Nor does a node go on from it, which takes a person.
    let again = node(home.path(), &[]).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(again.status.code() == Some(4) && said.contains("at byte ") && said.contains("node.md"), "{said}");
    let nowhere = seawall(&["journal", "verify", "/nowhere"]).output().unwrap();
    assert_eq!(nowhere.status.code(), Some(2));
}

#[test]
fn a_bundle_is_verified_on_its_own_and_no_changed_byte_passes() {
    let home = tempfile::tempdir().unwrap();
    assert!(
        node(home.path(), &["--speed", "max", "--market", "ATOM", "--name", "venue.example"])
            .output()
            .unwrap()
            .status
            .success()
    );
    let data = home.path().to_str().unwrap();
    let bundle = home.path().join("bundle");
    let path = bundle.to_str().unwrap();
    let exported = seawall(&["journal", "export", path, "--data", data]).output().unwrap();
    assert!(exported.status.success());
    // Nothing is written over.
    assert_eq!(seawall(&["journal", "export", path, "--data", data]).output().unwrap().status.code(), Some(2));
    let (code, beside) = verified(home.path());
    assert_eq!(code, 0);
    std::fs::remove_dir_all(home.path().join("journal")).unwrap();
    let (code, found) = verified(&bundle);
    assert_eq!((code, &found), (0, &beside));
    let key = found["key"].as_str().unwrap().to_owned();
    assert!(key.starts_with("venue.example+") && 0 < found["checkpoints"].as_u64().unwrap(), "{found}");
    let by = |key: &str| seawall(&["journal", "verify", path, "--key", key]).output().unwrap().status.code();
    assert_eq!((by(&key), by("nobody")), (Some(0), Some(2)));
    // Somebody else's key, well formed.
    assert_eq!(by("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"), Some(3));
    let bytes = std::fs::read(&bundle).unwrap();
    for part in 0..24 {
        let mut changed = bytes.clone();
        let place = part * (bytes.len() - 1) / 23;
        changed[place] ^= 0x20;
        std::fs::write(&bundle, changed).unwrap();
        let (code, found) = verified(&bundle);
        assert_eq!((code, &found["verified"]), (3, &false.into()), "byte {place}: {found}");
    }
    // The secret is in none of it, and nobody else may read it.
    let secret = std::fs::read_to_string(home.path().join("key")).unwrap();
    assert!(secret.len() == 65 && !bytes.windows(64).any(|window| window == &secret.as_bytes()[..64]));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(home.path().join("key")).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

/// A journal of some batches, with snapshots in it, stopped at its end.
fn written(home: &Path) -> u64 {
    let ended = node(home, &["--speed", "max", "--snapshot-every", "20000"]).output().unwrap();
    assert!(ended.status.success());
    lines(&ended).last().and_then(|line| line["head"]["height"].as_u64()).expect("a head")
}

fn repaired(home: &Path) -> (i32, Value) {
    let found = seawall(&["journal", "repair", home.to_str().expect("a name"), "--json"]).output().unwrap();
    (found.status.code().expect("a code"), lines(&found).pop().expect("a line"))
}

fn files(home: &Path, kind: &str) -> Vec<std::path::PathBuf> {
    let listed = std::fs::read_dir(home.join("journal")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = listed.filter(|path| path.extension().is_some_and(|found| found == kind)).collect();
    files.sort();
    files
}

#[test]
fn repair_says_what_is_whole_and_what_was_promised_and_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let height = written(home.path());
    let (code, found) = repaired(home.path());
    assert_eq!((code, &found["starts"], &found["newest"]["whole"]), (0, &true.into(), &height.into()), "{found}");
    assert_eq!((&found["oldest"]["fault"], &found["promised"]), (&Value::Null, &Value::Null), "{found}");

    // A byte in the middle of the past.
    let segment = files(home.path(), "segment").remove(0);
    let good = std::fs::read(&segment).unwrap();
    let mut bad = good.clone();
    let at = bad.len() / 2;
    bad[at] ^= 1;
    std::fs::write(&segment, &bad).unwrap();
    let (code, found) = repaired(home.path());
    let whole = found["oldest"]["whole"].as_u64().unwrap();
    let fault = found["oldest"]["fault"].as_str().unwrap();
    assert!(0 < whole && whole < height && fault.contains("at byte"), "{found}");
    assert_eq!((code, &found["starts"], &found["newest"]["from"]), (4, &false.into(), &height.into()), "{found}");
    assert_eq!(found["promised"], height, "{found}");
    let text = seawall(&["journal", "repair", home.path().to_str().unwrap()]).output().unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    for part in [
        "it does not start: ",
        &format!("from the snapshot behind height 0 to height {whole}\n"),
        &format!("the newest good snapshot is the one behind height {height}\n"),
        &format!("height {height} was promised in a signed checkpoint"),
        "copy it before anything else",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(std::fs::read(&segment).unwrap(), bad, "nothing was changed");
    // Put back, it starts.
    std::fs::write(&segment, &good).unwrap();
    assert_eq!(repaired(home.path()).0, 0);
    assert_eq!(verified(home.path()).0, 0);
}

#[test]
fn a_receipt_is_proven_without_the_journal_and_nothing_else_is() {
    let home = tempfile::tempdir().unwrap();
    let height = written(home.path());
    let data = home.path().to_str().unwrap();
    let key = std::fs::read_to_string(home.path().join("verifier.key")).unwrap();
    let path = home.path().join("proof.json");
    let checked = |text: &str, key: &str| {
        std::fs::write(&path, text).unwrap();
        let found = seawall(&["journal", "check", path.to_str().unwrap(), "--key", key.trim()]).output().unwrap();
        (found.status.code().expect("a code"), String::from_utf8(found.stdout).unwrap())
    };
    for height in [1, 2, 20_000, 20_001, height] {
        let proof = seawall(&["journal", "prove", &height.to_string(), "--data", data]).output().unwrap();
        assert!(proof.status.success(), "{height}");
        let good = String::from_utf8(proof.stdout).unwrap();
        let (code, told) = checked(&good, &key);
        assert!(
            code == 0 && told.starts_with(&format!("PASS the receipt of height {height} is in the log of ")),
            "{told}"
        );
        // Anything else in its place.
        let proof: Value = serde_json::from_str(&good).unwrap();
        let mut others = vec![good.replace(&format!("\"height\":{height},"), &format!("\"height\":{},", height + 1))];
        let hexes = ["record", "effects", "parameters", "rules"]
            .map(|name| proof["receipt"][name].as_str().unwrap().to_owned());
        let path = proof["path"].as_array().unwrap().iter().map(|hash| hash.as_str().unwrap().to_owned());
        for hex in hexes.into_iter().chain(path) {
            let other = if hex.starts_with('0') { "1" } else { "0" };
            others.push(good.replacen(&hex, &format!("{other}{}", &hex[1..]), 1));
        }
        for other in others {
            assert_ne!(other, good);
            let (code, told) = checked(&other, &key);
            assert!(code == 3 && told.contains("in which that receipt is not"), "{told}");
        }
    }
    let none = seawall(&["journal", "prove", &(height + 1).to_string(), "--data", data]).output().unwrap();
    assert_eq!(none.status.code(), Some(2));
    assert_eq!(checked("{}", &key).0, 2);
}
