//! Targets that listen on this machine: what comes, how often, and whether its signature fits.

use alerts::{Courier, Incident, Kind, News, Severity, Target, Targets, Tracker, signature};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// What came: headers in lower case, and the body.
type Came = (Vec<String>, String);

/// A server that answers each request with the next status, and then with 202.
fn listening(statuses: Vec<u16>) -> (String, Receiver<Came>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let (send, receive) = channel();
    std::thread::spawn(move || {
        let mut statuses = statuses.into_iter();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut headers, mut len) = (Vec::new(), 0);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                    break;
                }
                let line = line.trim_end().to_lowercase();
                if let Some(text) = line.strip_prefix("content-length: ") {
                    len = text.parse().unwrap();
                }
                headers.push(line);
            }
            if headers.is_empty() {
                continue;
            }
            let mut body = vec![0; len];
            reader.read_exact(&mut body).unwrap();
            let status = statuses.next().unwrap_or(202);
            let _gone = write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            if send.send((headers, String::from_utf8(body).unwrap())).is_err() {
                return;
            }
        }
    });
    (format!("http://{at}/"), receive)
}

fn target(kind: Kind, url: &str, from: Severity) -> Target {
    Target { kind, url: url.to_owned(), secret: "a shared secret".to_owned(), from }
}

fn incident(n: usize, severity: Severity) -> Incident {
    let (summary, remedy) = (format!("number {n}"), "mend it".to_owned());
    Incident { key: format!("k{n:05}"), severity, summary, remedy }
}

fn all(receive: &Receiver<Came>) -> Vec<Came> {
    std::iter::from_fn(|| receive.recv_timeout(Duration::from_secs(2)).ok()).collect()
}

fn header<'a>(came: &'a Came, name: &str) -> &'a str {
    came.0.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or("")
}

#[test]
fn a_storm_of_ten_thousand_is_twenty_messages_and_one_and_each_signature_fits() {
    let (url, receive) = listening(vec![]);
    let courier = Courier::new(vec![target(Kind::Webhook, &url, Severity::Warning)], "node", "https://runbook");
    let mut tracker = Tracker::default();
    for now in 0..3 {
        // The same again is no news.
        courier.tell(&tracker.see(now, (0..10_000).map(|n| incident(n, Severity::Critical))));
    }
    let came = all(&receive);
    assert_eq!(came.len(), 21);
    let mut keys = std::collections::BTreeSet::new();
    for came in &came {
        let time: i64 = header(came, "seawall-time").parse().unwrap();
        assert_eq!(header(came, "seawall-signature"), signature("a shared secret", time, &came.1));
        let body: Value = serde_json::from_str(&came.1).unwrap();
        assert_eq!((&body["time"], body["state"].as_str()), (&time.into(), Some("begun")));
        keys.insert(body["key"].as_str().unwrap().to_owned());
    }
    assert!(keys.len() == 21 && keys.contains("node/storm"), "{keys:?}");
    courier.tell(&tracker.see(3, []));
    let over = all(&receive);
    assert!(over.len() == 21 && over.iter().all(|came| came.1.contains("\"state\":\"over\"")));
}

#[test]
fn a_target_that_is_down_for_a_while_is_told_and_keeps_no_other_waiting() {
    let (down, late) = listening(vec![500, 429, 503]);
    let (up, soon) = listening(vec![]);
    let targets = vec![target(Kind::PagerDuty, &down, Severity::Warning), target(Kind::Slack, &up, Severity::Warning)];
    let courier = Courier::new(targets, "node", "https://runbook");
    courier.tell(&[News::Begun(incident(1, Severity::Critical))]);
    assert!(soon.recv_timeout(Duration::from_secs(5)).unwrap().1.contains(":red_circle:"));
    let came: Vec<Came> = (0..4).map(|_| late.recv_timeout(Duration::from_secs(10)).unwrap()).collect();
    // The same key each time: whoever is told twice joins both.
    let keys = came.iter().map(|came| serde_json::from_str::<Value>(&came.1).unwrap()["dedup_key"].clone());
    assert!(keys.into_iter().all(|key| key == "node/k00001"));
    assert!(late.recv_timeout(Duration::from_secs(2)).is_err(), "brought, so not tried again");
}

#[test]
fn what_is_refused_for_good_is_not_tried_again_and_what_is_milder_not_sent() {
    let (url, receive) = listening(vec![403]);
    let courier = Courier::new(vec![target(Kind::Webhook, &url, Severity::Critical)], "node", "https://runbook");
    courier.tell(&[
        News::Begun(incident(1, Severity::Warning)),
        News::Begun(incident(2, Severity::Critical)),
        News::Over { key: "k00001".to_owned(), severity: Severity::Warning },
    ]);
    let came = all(&receive);
    assert_eq!(came.len(), 1);
    assert!(came[0].1.contains("k00002"));
}

#[test]
fn targets_are_read_with_their_secrets_and_mistakes_are_named() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("s"), "routing-key\n").unwrap();
    std::fs::write(home.path().join("u"), "https://hooks.slack.com/services/x\n").unwrap();
    std::fs::write(home.path().join("empty"), "\n").unwrap();
    let read = |text: &str| Targets::parse(text, home.path());
    let good = "runbook = \"https://wiki.example\"\n[[to]]\nkind = \"pagerduty\"\nurl = \"https://events.pagerduty.com/v2/enqueue\"\nsecret_file = \"s\"\nfrom = \"critical\"\n\
                [[to]]\nkind = \"slack\"\nurl_file = \"u\"\nfrom = \"warning\"\n";
    let found = read(good).unwrap();
    assert_eq!(
        (found.to[0].secret.as_str(), found.to[1].url.as_str()),
        ("routing-key", "https://hooks.slack.com/services/x")
    );
    let shown = format!("{found:?}");
    assert!(!shown.contains("routing-key") && !shown.contains("hooks.slack"), "{shown}");
    for (from, to, said) in [
        ("pagerduty\"\nurl", "pager\"\nurl", "to 0: write kind = "),
        ("url = \"https", "url = \"http", "to 0: write an https:// address"),
        ("secret_file = \"s\"\n", "", "to 0: write secret_file"),
        ("secret_file = \"s\"", "secret_file = \"empty\"", "write the secret in one line"),
        ("secret_file = \"s\"", "secret_file = \"absent\"", "to 0: "),
        ("from = \"critical\"", "from = \"always\"", "to 0: write from = "),
        ("url_file = \"u\"", "url = \"https://hooks.slack.com/services/x\"", "to 1: Slack's url is a secret"),
        ("url_file = \"u\"", "url_file = \"u\"\nsecret_file = \"s\"", "to 1: Slack takes no secret_file"),
        ("kind = \"slack\"", "kind = \"slack\"\nroom = \"x\"", "to 1: there is no room"),
        ("runbook = \"https", "runbook = \"http", "write runbook = "),
        ("[[to]]\nkind = \"pagerduty\"", "who = 1\n[[to]]\nkind = \"pagerduty\"", "who: there is no such key"),
    ] {
        assert!(good.contains(from), "{from}");
        let found = read(&good.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(found.contains(said), "{to}: {found}");
    }
    assert!(read("").is_err() && read("[").is_err());
    assert!(Targets::parse(good, Path::new("/absent")).is_err());
}
