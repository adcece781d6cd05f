//! A venue that lives now, and hears prices from others.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const LISTING: &str = r#"
[[market]]
name = "BTC"
reference_price = "60000"
[[market.source]]
name = "north"
heartbeat = "1s"
kind = "trades"
[[market.source]]
name = "south"
heartbeat = "1s"
kind = "trades"
"#;

struct Node {
    child: Child,
    at: String,
    token: String,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _gone = self.child.kill().and_then(|()| self.child.wait());
    }
}

fn seawall() -> Command {
    Command::new(env!("CARGO_BIN_EXE_seawall"))
}

impl Node {
    fn begin(home: &std::path::Path) -> Node {
        let data = home.join("data");
        let (listing, policy) = (home.join("listing.toml"), home.join("policy.toml"));
        std::fs::write(&listing, LISTING).unwrap();
        // The default, with steps back after a second instead of a minute.
        let text = include_str!("../../../policies/default.toml").replace("calm = \"60s\"", "calm = \"1s\"");
        assert!(text.contains("calm = \"1s\""));
        std::fs::write(&policy, text).unwrap();
        let mut made = seawall();
        made.args(["token", "feeder", "--scope", "observe", "--scope", "read", "--observer", "3", "--data"]);
        let made = made.arg(&data).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        let mut command = seawall();
        command.args(["run", "--listen", "127.0.0.1:0", "--listing"]).arg(&listing).arg("--policy").arg(&policy);
        command.arg("--data").arg(&data).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let found = said.find_map(|line| line.unwrap().strip_prefix("the dashboard is at ").map(str::to_owned));
        std::thread::spawn(move || said.map_while(Result::ok).count());
        Node { child, at: found.unwrap(), token }
    }

    fn ask(&self, path: &str, body: Option<&Value>) -> Value {
        let (url, shown) = (format!("{}{path}", self.at), format!("Bearer {}", self.token));
        let answer = match body {
            None => ureq::get(url).header("authorization", shown).call(),
            Some(body) => ureq::post(url)
                .header("authorization", shown)
                .header("content-type", "application/json")
                .send(body.to_string()),
        };
        serde_json::from_str(&answer.unwrap().body_mut().read_to_string().unwrap()).unwrap()
    }

    fn quote(&self, sources: &[&str], price: &str) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
        let quote = |source: &&str| json!({"kind": "quote", "market": "BTC", "source": source, "price": price, "published_at": now});
        let quotes: Vec<Value> = sources.iter().map(quote).collect();
        assert_eq!(self.ask("api/v1/observations", Some(&json!(quotes))), json!({"taken": sources.len()}));
    }

    /// Quotes from `sources` until the market is in a mode.
    fn until(&self, sources: &[&str], mode: &str) -> Value {
        let since = Instant::now();
        loop {
            if !sources.is_empty() {
                self.quote(sources, "60000.5");
            }
            let view = self.ask("api/v1/overview", None);
            if view["markets"][0]["mode"] == mode {
                return view;
            }
            assert!(since.elapsed() < Duration::from_secs(60), "{view}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

#[test]
fn it_opens_when_sources_agree_is_careful_with_one_voice_and_only_reduces_without_any() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::begin(home.path());
    let view = node.until(&["north", "south"], "normal");
    let btc = &view["markets"][0];
    assert_eq!((btc["index"].as_str(), btc["lineages"].as_u64()), (Some("60000.50"), Some(2)));
    let at = view["at_micros"].as_i64().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as i64;
    assert!((now - at).abs() < 5_000_000, "it lives by this machine's clock");
    // With one voice left it is careful.
    let view = node.until(&["north"], "cautious");
    assert_eq!(view["markets"][0]["sources"][1]["name"], "south");
    // The last good price still serves for a while, to reduce.
    let view = node.until(&[], "reduce-only");
    assert_eq!(view["verdict"]["level"], "tightened");
    let view = node.until(&["north", "south"], "normal");
    // What was heard is in the journal with who observed it.
    let height = view["height"].as_u64().unwrap().saturating_sub(3).to_string();
    let data = home.path().join("data");
    let explained = seawall().args(["journal", "explain", &height, "--data"]).arg(&data).output().unwrap();
    assert!(explained.status.success(), "{}", String::from_utf8_lossy(&explained.stderr));
    let stop = Command::new("kill").args(["-INT", &node.child.id().to_string()]).status().unwrap();
    assert!(stop.success());
    let mut node = node;
    assert!(node.child.wait().unwrap().success());
    let effects = seawall().args(["journal", "verify"]).arg(&data).output().unwrap();
    assert!(String::from_utf8_lossy(&effects.stdout).contains("PASS"));
}

#[test]
fn a_listing_that_is_none_is_refused_and_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let (listing, data) = (home.path().join("listing.toml"), home.path().join("data"));
    std::fs::write(&listing, LISTING.replace("60000", "0")).unwrap();
    let ended = seawall().args(["run", "--listing"]).arg(&listing).arg("--data").arg(&data).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.code() == Some(2) && said.contains("listing.toml: market \"BTC\": reference_price"), "{said}");
    assert!(!data.exists());
    let both = seawall().args(["run", "I-17", "--listing"]).arg(&listing).output().unwrap();
    assert_eq!(both.status.code(), Some(2));
}
