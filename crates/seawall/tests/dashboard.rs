//! The dashboard in a real browser, in front of a real node.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

fn runs(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The browser and what drives it. Run by hand where one of them is absent this says so and checks nothing; `cargo xtask` installs both, and
/// then their absence is a failure.
fn tools() -> Option<(&'static str, String)> {
    let browser = BROWSERS.into_iter().find(|name| runs(name));
    let driver = std::env::var("SEAWALL_PLAYWRIGHT").ok();
    if let (Some(browser), Some(driver)) = (browser, driver) {
        return Some((browser, driver));
    }
    assert!(std::env::var_os("SEAWALL_BROWSER").is_none(), "no Chromium, or no playwright in SEAWALL_PLAYWRIGHT");
    println!("no browser, or nothing that drives it: checked by `cargo xtask test`");
    None
}

#[test]
fn a_guardian_sees_a_breaker_trip_reads_its_receipt_restricts_a_market_and_sees_it_lapse() {
    let Some((browser, driver)) = tools() else { return };
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let mut node = Command::new(env!("CARGO_BIN_EXE_seawall"))
        .args(["run", "I-17", "--speed", "120", "--listen", "127.0.0.1:0", "--data"])
        .arg(&data)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(node.stderr.take().unwrap()).lines();
    let address = said.find_map(|line| line.unwrap().strip_prefix("the dashboard is at ").map(str::to_owned)).unwrap();
    // It goes on saying things, and somebody reads them.
    let reader = std::thread::spawn(move || said.map_while(Result::ok).count());
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dashboard");
    std::fs::create_dir_all(&pictures).unwrap();
    let seen = Command::new("node")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/guardian.mjs"))
        .arg(&address)
        .arg(data.join("keys"))
        .arg(&pictures)
        .env("SEAWALL_PLAYWRIGHT", driver)
        .env("SEAWALL_CHROMIUM", which(browser))
        .output()
        .unwrap();
    let stop = Command::new("kill").args(["-INT", &node.id().to_string()]).status().unwrap();
    assert!(stop.success() && node.wait().unwrap().success(), "it ends when it is asked to");
    reader.join().unwrap();
    assert!(
        seen.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&seen.stdout),
        String::from_utf8_lossy(&seen.stderr)
    );
    // What was signed in the browser stands in the journal, and verifies there.
    let verified = Command::new(env!("CARGO_BIN_EXE_seawall")).args(["journal", "verify"]).arg(&data).output().unwrap();
    let text = String::from_utf8_lossy(&verified.stdout);
    assert!(verified.status.success() && text.contains("PASS"), "{text}");
}

fn which(program: &str) -> String {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap();
    String::from_utf8(found.stdout).unwrap().trim().to_owned()
}
