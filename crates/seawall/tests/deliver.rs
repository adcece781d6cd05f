//! A node and a guard, as two processes.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

struct Guard {
    child: Child,
    at: String,
}

impl Guard {
    fn begin(home: &Path, more: &[&str]) -> Guard {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
        command.args(["guard", "--listen", "127.0.0.1:0", "--data"]).arg(home).args(more);
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
        let at = said.split("http://").nth(1).unwrap().split(',').next().unwrap().to_owned();
        Guard { child, at }
    }

    fn ask(&self, method: &str, path: &str, more: &str, body: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(&self.at).unwrap();
        let (at, len) = (&self.at, body.len());
        let text = format!(
            "{method} {path} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\ncontent-length: {len}\r\n{more}\r\n{body}"
        );
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _gone = self.child.kill().and_then(|()| self.child.wait());
    }
}

fn node(data: &Path, guard: &Guard, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
    command.args(["run", "I-17", "--speed", "max", "--draw", "5", "--no-listen", "--exit-at-end", "--data"]).arg(data);
    command.args(["--deliver", &format!("http://{}", guard.at)]).args(more);
    command.stdin(Stdio::null()).output().unwrap()
}

#[test]
fn a_guard_carries_out_what_its_node_decides_and_another_history_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let (data, beside) = (home.path().join("data"), home.path().join("guard"));
    let guard = Guard::begin(&beside, &[]);
    let unheard = serde_json::json!({"permitted": false, "margin_addon": 0, "size_scale": 1_000_000_000_000_i64});
    assert_eq!(guard.ask("GET", "/v1/permits?market=0&action=open&side=long", "", ""), (200, unheard));
    assert_eq!(guard.ask("GET", "/v1/permits?market=0&action=fly&side=long", "", "").0, 400);
    // A page whose name leads here.
    let evil = "host: evil.example\r\n".to_owned();
    let mut stream = TcpStream::connect(&guard.at).unwrap();
    stream.write_all(format!("GET /v1/modes HTTP/1.1\r\n{evil}connection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 421"), "{answer}");
    // What waits when it ends leaves first when it begins again.
    let mut lives = 0;
    loop {
        let ended = node(&data, &guard, &["--lease", "600"]);
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.success(), "{said}");
        lives += 1;
        if !said.contains("waits for the venue's side") {
            break;
        }
        assert!(lives < 20, "{said}");
    }
    let (_, modes) = guard.ask("GET", "/v1/modes", "", "");
    assert!(modes["carried"].as_u64().unwrap() > 100 && modes["lease_ms"].as_u64().unwrap() > 300_000, "{modes}");
    let verified =
        Command::new(env!("CARGO_BIN_EXE_seawall")).args(["journal", "verify", "--json"]).arg(&data).output().unwrap();
    let verified: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!(verified["effects"], modes["carried"], "{verified}");

    // What a venue carries out: every effect, by height and place, page after page.
    let (mut after, mut read) = (0, 0);
    loop {
        let (status, page) = guard.ask("GET", &format!("/v1/effects?after={after}&limit=1000"), "", "");
        assert_eq!(status, 200);
        for item in page["items"].as_array().unwrap() {
            let height = item["height"].as_u64().unwrap();
            assert!(after < height);
            after = height;
            read += item["effects"].as_array().unwrap().len() as u64;
        }
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(Some(read), modes["carried"].as_u64());
    assert_eq!(guard.ask("GET", "/v1/effects?limit=0", "", "").0, 400);
    assert_eq!(guard.ask("GET", "/v1/effects?limit=1001", "", "").0, 400);
    // A node that ended by itself said how far it came: nothing is decided again, and nothing is missing.
    assert_eq!(modes["height"], verified["head"]["height"]);

    // A journal that is gone, under a guard that has carried it out.
    std::fs::remove_dir_all(data.join("journal")).unwrap();
    let ended = node(&data, &guard, &[]);
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(
        ended.status.code() == Some(4) && said.contains("older state") && said.contains("carried out height"),
        "{said}"
    );
    assert_eq!(guard.ask("GET", "/v1/modes", "", "").1["height"], modes["height"]);
    // Nobody there.
    drop(guard);
    let nobody = Guard { child: Command::new("true").spawn().unwrap(), at: "127.0.0.1:1".to_owned() };
    let ended = node(&home.path().join("other"), &nobody, &[]);
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.code() == Some(4) && said.contains("does not answer"), "{said}");
}

#[test]
fn who_shows_no_token_and_what_is_no_delivery_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("token");
    std::fs::write(&path, "correct-horse-battery\n").unwrap();
    let guard = Guard::begin(&home.path().join("guard"), &["--token-file", path.to_str().unwrap()]);
    let shown = "authorization: Bearer correct-horse-battery\r\n";
    let json = format!("{shown}content-type: application/json\r\n");
    let claim = format!("{{\"height\": 0, \"record\": \"{}\"}}", "0".repeat(64));
    for (method, path, more, body, status) in [
        ("GET", "/v1/standing", "", "", 401),
        ("GET", "/v1/standing", "authorization: Bearer correct-horse-batterx\r\n", "", 401),
        ("GET", "/v1/standing", "authorization: Bearer \r\n", "", 401),
        ("GET", "/v1/standing", "authorization: correct-horse-battery\r\n", "", 401),
        ("GET", "/v1/standing", shown, "", 200),
        ("GET", "/v2", shown, "", 404),
        ("POST", "/v1/lease", shown, "{}", 415),
        ("POST", "/v1/lease", &json, "{}", 400),
        ("POST", "/v1/lease", &json, "{\"epoch\": 1, \"lasts_ms\": 1}", 422),
        ("POST", "/v1/claim", &json, "{\"height\": 0, \"record\": \"00\"}", 400),
        ("POST", "/v1/claim", &json, &claim.replacen("0,", "1,", 1), 422),
        ("POST", "/v1/claim", &json, &claim, 200),
        ("POST", "/v1/lease", &json, "{\"epoch\": 1, \"lasts_ms\": 600001}", 422),
        ("POST", "/v1/lease", &json, "{\"epoch\": 1, \"lasts_ms\": 600000}", 200),
        ("POST", "/v1/lease", &json, "{\"epoch\": 0, \"lasts_ms\": 1}", 409),
        (
            "POST",
            "/v1/deliveries",
            &json,
            "{\"epoch\": 1, \"height\": 1, \"previous\": 0, \"record\": \"00\", \"effects\": \"\"}",
            400,
        ),
        ("POST", "/v1/deliveries", &json, "[]", 400),
    ] {
        let (found, answer) = guard.ask(method, path, more, body);
        assert_eq!(found, status, "{path} {body}: {answer}");
    }
}

#[test]
fn a_token_that_is_empty_or_short_opens_nothing() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("token");
    for text in ["", "\n", "fifteen-letters\n", "two words of them\n"] {
        std::fs::write(&path, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
        command.args(["guard", "--listen", "127.0.0.1:0", "--data"]).arg(home.path().join("guard"));
        let ended = command.arg("--token-file").arg(&path).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.code() == Some(2) && said.contains("at least 16 characters"), "{text:?}: {said}");
    }
}
