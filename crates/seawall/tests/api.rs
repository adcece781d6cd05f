//! The API of a real node against its own description, by a tool that knows neither.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// The tool. Run by hand where it is absent this says so and checks nothing; `cargo xtask` installs it, and then its absence is a failure.
fn tool() -> Option<String> {
    let found = std::env::var("SEAWALL_SCHEMATHESIS").ok();
    if found.is_none() {
        assert!(std::env::var_os("SEAWALL_BROWSER").is_none(), "no schemathesis in SEAWALL_SCHEMATHESIS");
        println!("no schemathesis: checked by `cargo xtask test`");
    }
    found
}

#[test]
fn the_description_that_is_committed_is_the_one_that_is_served() {
    let kept = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json")).unwrap();
    assert!(kept == api::openapi(), "it changed: `cargo run -q --release -- openapi > docs/openapi.json`");
    let document: serde_json::Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["paths"].as_object().unwrap().len(), 18);
}

#[test]
fn no_request_is_answered_with_what_the_description_does_not_have() {
    let Some(tool) = tool() else { return };
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let seawall = || Command::new(env!("CARGO_BIN_EXE_seawall"));
    let made = seawall()
        .args(["token", "tester", "--scope", "read", "--scope", "state", "--scope", "observe"])
        .args(["--observer", "9", "--rate", "100000", "--data"])
        .arg(&data)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    let tokens = std::fs::read_to_string(data.join("tokens.toml")).unwrap();
    assert!(!tokens.contains(&token), "only its hash is kept");
    let mut node = seawall()
        .args(["run", "I-17", "--speed", "30", "--listen", "127.0.0.1:0", "--data"])
        .arg(&data)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(node.stderr.take().unwrap()).lines();
    let mut kept = Vec::new();
    let address = said.by_ref().map_while(Result::ok).find_map(|line| {
        let found = line.strip_prefix("the dashboard is at ").map(str::to_owned);
        kept.push(line);
        found
    });
    let address = address.unwrap();
    let errors = std::thread::spawn(move || said.map_while(Result::ok).collect::<Vec<_>>());
    let mut told = BufReader::new(node.stdout.take().unwrap()).lines();
    let lines = std::thread::spawn(move || told.by_ref().map_while(Result::ok).collect::<Vec<_>>());
    let run = |more: &[&str]| {
        Command::new(&tool)
            .args(["run", &format!("{address}api/v1/openapi.json"), "-H", &format!("Authorization: Bearer {token}")])
            .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "100", "--seed", "1", "--checks", "all"])
            .args(["--request-timeout", "10", "--no-color"])
            .args(more)
            .current_dir(home.path())
            .output()
            .unwrap()
    };
    let runs = [
        // A stream has no end; what comes in it is in the tests of the server.
        run(&["--exclude-path", "/api/v1/stream", "--include-tag", "read", "--include-tag", "watch"]),
        // Whether a market is listed, or a signature holds, no description can say.
        run(&["--include-tag", "bring", "--exclude-checks", "positive_data_acceptance"]),
    ];
    let stop = Command::new("kill").args(["-INT", &node.id().to_string()]).status().unwrap();
    assert!(
        stop.success() && node.wait().unwrap().success(),
        "it goes on through all of it, and ends when it is asked to"
    );
    for run in &runs {
        let text = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success(), "{text}\n{}", String::from_utf8_lossy(&run.stderr));
        let tested = text.lines().find(|line| line.trim_start().starts_with("Tested:")).unwrap_or_default().to_owned();
        println!("{tested}");
    }
    // Nothing that was shown is told on.
    let all = [kept, errors.join().unwrap(), lines.join().unwrap()].concat();
    assert!(all.iter().all(|line| !line.contains(&token)), "the token stands in what the node says");
}
