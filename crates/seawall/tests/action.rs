//! The guardian's commands against a node that runs.

mod common;

use common::{Ended, end, seawall};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A node on a bundled incident, until the test is over.
struct Running {
    child: Child,
    address: String,
    data: PathBuf,
    _home: tempfile::TempDir,
}

impl Running {
    fn new() -> Running {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        let mut child = seawall()
            .args(["run", "I-17", "--speed", "20", "--draw", "40", "--listen", "127.0.0.1:0", "--data"])
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = said.find_map(|line| line.unwrap().strip_prefix("the dashboard is at ").map(str::to_owned));
        std::thread::spawn(move || said.map_while(Result::ok).count());
        let running = Running { child, address: address.unwrap(), data, _home: home };
        while running.status().out.contains("height 0\n") {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        running
    }

    fn status(&self) -> Ended {
        end(seawall().args(["status", "--node", &self.address]))
    }

    fn key(&self, name: &str) -> String {
        self.data.join("keys").join(format!("{name}.key")).display().to_string()
    }

    fn command(&self, words: &[&str], key: &str) -> Command {
        let mut command = seawall();
        command.arg("action").args(words).args(["--node", &self.address, "--because", "a test", "--key", key]);
        command
    }

    fn act(&self, words: &[&str], name: &str) -> Ended {
        end(self.command(words, &self.key(name)).arg("--yes"))
    }

    fn list(&self) -> String {
        end(seawall().args(["action", "list", "--node", &self.address])).out
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

fn first(text: &str) -> &str {
    text.lines().next().unwrap_or("")
}

#[test]
fn a_night_at_the_terminal() {
    let node = Running::new();
    // Asked once, and answered no: nothing is sent.
    let words = ["tighten", "--market", "BTC", "--for", "4h"];
    let mut asked = node.command(&words, &node.key("guardian-1"));
    let mut asked = asked.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    asked.stdin.take().unwrap().write_all(b"n\n").unwrap();
    let told = String::from_utf8(asked.wait_with_output().unwrap().stdout).unwrap();
    for part in ["BTC goes from ", "positions", "It is undone by", "seawall statement 1\nvenue ", "nothing was sent"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!node.list().contains("BTC: held"));

    let held = node.act(&words, "guardian-1");
    assert!(
        held.code == 0 && held.out.contains("held to reduce-only by the guardian of key 0 until"),
        "{}{}",
        held.out,
        held.err
    );
    assert!(node.list().contains("BTC: held to reduce-only until"));
    let status = node.status();
    assert_eq!(status.code, 1, "{}", status.out);
    assert!(
        status.out.lines().any(|line| line.contains("BTC")
            && line.contains("reduce-only")
            && line.contains("a guardian (reduce-only)")),
        "{}",
        status.out
    );

    // Filed by one, agreed to by another: it goes on.
    let filed = node.act(&["ratify", "--market", "BTC", "--for", "2d"], "operator");
    assert!(filed.code == 0 && filed.out.contains("key 2 files change 1: Tighten"), "{}{}", filed.out, filed.err);
    // Somebody is needed: it waits for approvals.
    let status = node.status();
    assert_eq!(status.code, 4, "{}", status.out);
    assert!(first(&status.out).starts_with("You are needed"), "{}", status.out);
    assert_eq!(node.act(&["approve", "1"], "governor-1").code, 0);
    let agreed = node.act(&["approve", "1"], "governor-2");
    assert!(agreed.out.contains("change 1 takes effect: ratify market="), "{}{}", agreed.out, agreed.err);
    assert!(node.list().contains(", ratified\n"));

    // What loosens waits, and any guardian stops it.
    let filed = node.act(&["loosen", "--market", "BTC"], "governor-1");
    assert!(filed.out.contains("key 3 agrees to change 2: 1 agree\n"), "{}{}", filed.out, filed.err);
    let due = node.act(&["approve", "2"], "governor-3");
    assert!(due.out.contains("2 agree, due 2025-10-1"), "{}{}", due.out, due.err);
    let stopped = node.act(&["cancel", "2"], "guardian-2");
    assert!(stopped.out.contains("key 1 stops change 2"), "{}{}", stopped.out, stopped.err);
}

/// Answers every request with 202 and gives its body.
fn listening() -> (String, std::sync::mpsc::Receiver<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut len = 0;
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|read| read != 0) && line != "\r\n" {
                if let Some(text) = line.to_lowercase().strip_prefix("content-length: ") {
                    len = text.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; len];
            std::io::Read::read_exact(&mut reader, &mut body).unwrap();
            let _gone = stream.write_all(b"HTTP/1.1 202 x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            if send.send(String::from_utf8(body).unwrap()).is_err() {
                return;
            }
        }
    });
    (format!("http://{at}/"), receive)
}

#[test]
fn whoever_is_to_be_woken_is_told_by_the_node() {
    let home = tempfile::tempdir().unwrap();
    let (url, told) = listening();
    std::fs::write(home.path().join("secret"), "between us").unwrap();
    let file = home.path().join("alerts.toml");
    let text = "runbook = \"https://wiki.example/at-03-00\"\n[[to]]\nkind = \"webhook\"\nsecret_file = \"secret\"\nfrom = \"warning\"\n";
    std::fs::write(&file, format!("{text}url = \"{url}\"\n")).unwrap();
    let mut node = seawall()
        .args(["run", "I-17", "--speed", "60", "--draw", "40", "--no-listen", "--name", "venue.test", "--alerts"])
        .arg(&file)
        .arg("--data")
        .arg(home.path().join("data"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut found = None;
    while let Ok(body) = told.recv_timeout(std::time::Duration::from_secs(30)) {
        if body.contains("venue.test/restricted:") {
            found = Some(body);
            break;
        }
    }
    let _gone = node.kill();
    let _gone = node.wait();
    let body: serde_json::Value = serde_json::from_str(&found.expect("something was restricted")).unwrap();
    assert_eq!((&body["state"], &body["severity"]), (&"begun".into(), &"warning".into()), "{body}");
    assert_eq!(body["runbook"], "https://wiki.example/at-03-00");
    // A file that names nobody is refused before anything runs.
    std::fs::write(&file, text).unwrap();
    let refused =
        end(seawall().args(["run", "--no-listen", "--alerts"]).arg(&file).arg("--data").arg(home.path().join("other")));
    assert!(refused.code == 2 && refused.err.contains("to 0: write url or url_file"), "{}", refused.err);
}

#[test]
fn what_can_not_be_done_is_said_with_what_to_do() {
    let node = Running::new();
    let stranger = node.data.join("stranger.key");
    std::fs::write(&stranger, "11".repeat(32)).unwrap();
    let no_key = node.data.join("no.key");
    std::fs::write(&no_key, "hello").unwrap();
    let text = |path: &Path| path.display().to_string();
    let guardian = node.key("guardian-1");
    for (words, key, said) in [
        (
            &["tighten", "--market", "DOGE", "--for", "1h"][..],
            &guardian,
            "there is no market DOGE; there are AAVE, ATOM",
        ),
        (&["tighten", "--market", "BTC", "--for", "49h"], &guardian, "OutOfRange"),
        (&["tighten", "--market", "BTC", "--for", "1h"], &node.key("governor-1"), "NotAllowed"),
        (&["tighten", "--market", "BTC", "--for", "1h"], &text(&stranger), "this key is not listed at the node"),
        (&["tighten", "--market", "BTC", "--for", "1h"], &text(&no_key), "it is no key of 64 hexadecimal digits"),
        (&["tighten", "--market", "BTC", "--for", "1h"], &text(&node.data.join("absent")), "there is no such file"),
        (&["approve", "7"], &node.key("governor-1"), "no change 7 is filed"),
        (&["loosen", "--change", "set market=0 colour=1"], &node.key("governor-1"), "write it as `set market=0"),
        (&["ratify", "--market", "ETH", "--for", "1d"], &node.key("governor-1"), "NothingImposed"),
    ] {
        let ended = end(node.command(words, key).arg("--yes"));
        assert!(ended.code == 2 && ended.err.contains(said), "{words:?}: {} {}", ended.code, ended.err);
    }
    let nobody = end(seawall().args(["status", "--node", "http://127.0.0.1:9"]));
    assert!(nobody.code == 4 && nobody.err.contains("no node answers at http://127.0.0.1:9"), "{}", nobody.err);
    // The keys are gone, and with them who may change anything: that is no new venue.
    let other = end(seawall()
        .args(["run", "--no-listen", "--governance", "/absent/governance.toml", "--data"])
        .arg(&node.data));
    assert!(other.code == 2 && other.err.contains("/absent/governance.toml"), "{}", other.err);
}
