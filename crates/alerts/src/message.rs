//! What each kind of target is sent.

use crate::targets::{Kind, Target};
use crate::tracker::{News, Severity};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

/// What is sent, and under which headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// JSON.
    pub body: String,
    /// Beside the content's type.
    pub headers: Vec<(&'static str, String)>,
}

/// HMAC-SHA256 over the time as text, a full stop, and the body; in hexadecimal. Whoever receives a message computes it again, compares in constant time, and refuses
/// times that are old.
#[must_use]
pub fn signature(secret: &str, time: i64, body: &str) -> String {
    // A key of any length will do.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(time.to_string().as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Message {
    /// What a target is told at `time`, seconds since 1970, by the node of this name; the runbook's address is in each.
    #[must_use]
    pub fn of(target: &Target, news: &News, node: &str, runbook: &str, time: i64) -> Message {
        let key = match news {
            News::Begun(incident) => &incident.key,
            News::Over { key, .. } => key,
        };
        let dedup = format!("{node}/{key}");
        let body: Value = match (target.kind, news) {
            (Kind::PagerDuty, News::Begun(incident)) => json!({
                "routing_key": target.secret, "event_action": "trigger", "dedup_key": dedup,
                "payload": {"summary": shortened(&incident.summary, 1_024), "source": node, "severity": severity(incident.severity),
                    "custom_details": {"remedy": incident.remedy}},
                "links": [{"href": runbook, "text": "what to do"}],
            }),
            (Kind::PagerDuty, News::Over { .. }) => {
                json!({"routing_key": target.secret, "event_action": "resolve", "dedup_key": dedup})
            }
            (Kind::Slack, News::Begun(incident)) => {
                let mark =
                    if incident.severity == Severity::Critical { ":red_circle:" } else { ":large_yellow_circle:" };
                json!({"text": format!("{mark} *{}*: {}\n{}\n<{runbook}|what to do>", escaped(node), escaped(&incident.summary), escaped(&incident.remedy))})
            }
            (Kind::Slack, News::Over { key, .. }) => {
                json!({"text": format!(":white_check_mark: *{}*: over: {}", escaped(node), escaped(key))})
            }
            (Kind::Webhook, News::Begun(incident)) => json!({
                "node": node, "key": dedup, "state": "begun", "severity": severity(incident.severity), "summary": incident.summary,
                "remedy": incident.remedy, "runbook": runbook, "time": time,
            }),
            (Kind::Webhook, News::Over { severity: was, .. }) => {
                json!({"node": node, "key": dedup, "state": "over", "severity": severity(*was), "runbook": runbook, "time": time})
            }
        };
        let body = body.to_string();
        let headers = match target.kind {
            Kind::Webhook => vec![
                ("seawall-time", time.to_string()),
                ("seawall-signature", signature(&target.secret, time, &body)),
                ("idempotency-key", format!("{dedup}/{time}")),
            ],
            Kind::PagerDuty | Kind::Slack => Vec::new(),
        };
        Message { body, headers }
    }
}

const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

/// At most so many bytes, cut between letters.
fn shortened(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

/// What Slack takes for itself.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::Incident;

    fn target(kind: Kind) -> Target {
        let (url, secret) = ("https://example.org".to_owned(), "Jefe".to_owned());
        Target { kind, url, secret, from: Severity::Warning }
    }

    fn begun(summary: &str) -> News {
        let (key, remedy) = ("no-price:BTC".to_owned(), "look".to_owned());
        News::Begun(Incident { key, severity: Severity::Critical, summary: summary.to_owned(), remedy })
    }

    fn body(kind: Kind, news: &News) -> Value {
        let message = Message::of(&target(kind), news, "node", "https://runbook", 7);
        serde_json::from_str(&message.body).expect("JSON")
    }

    #[test]
    fn the_signature_is_hmac_sha256() {
        // RFC 4231, test case 2, has the data "what do ya want for nothing?"; here time and stop come first, so the digest was computed with another program.
        assert_eq!(signature("Jefe", 7, "what do ya want for nothing?"), EXPECTED);
        assert_ne!(signature("Jefe", 8, "what do ya want for nothing?"), EXPECTED);
        assert_ne!(signature("Jefd", 7, "what do ya want for nothing?"), EXPECTED);
    }

    /// `printf '7.what do ya want for nothing?' | openssl dgst -sha256 -hmac Jefe`
    const EXPECTED: &str = "239f4b39fd23f4376db46b239fae471e7c6824b3931bc60f4c0b745bef8de34f";

    #[test]
    fn one_incident_has_one_key_from_beginning_to_end() {
        let over = News::Over { key: "no-price:BTC".to_owned(), severity: Severity::Critical };
        let (first, last) = (body(Kind::PagerDuty, &begun("x")), body(Kind::PagerDuty, &over));
        assert_eq!((&first["event_action"], &last["event_action"]), (&json!("trigger"), &json!("resolve")));
        assert_eq!(
            (&first["dedup_key"], &last["dedup_key"]),
            (&json!("node/no-price:BTC"), &json!("node/no-price:BTC"))
        );
        assert_eq!((&first["routing_key"], &first["payload"]["severity"]), (&json!("Jefe"), &json!("critical")));
        assert_eq!(first["links"][0]["href"], "https://runbook");
        let (first, last) = (body(Kind::Webhook, &begun("x")), body(Kind::Webhook, &over));
        assert_eq!((&first["state"], &last["state"], &first["key"]), (&json!("begun"), &json!("over"), &last["key"]));
        assert!(first.get("routing_key").is_none() && !first.to_string().contains("Jefe"), "{first}");
    }

    #[test]
    fn what_is_long_is_cut_and_what_slack_takes_for_itself_is_not_sent() {
        let long = body(Kind::PagerDuty, &begun(&"é".repeat(1_000)));
        assert_eq!(long["payload"]["summary"].as_str().unwrap().len(), 1_024);
        let text = body(Kind::Slack, &begun("<!channel> & more"))["text"].as_str().unwrap().to_owned();
        assert!(text.contains("&lt;!channel&gt; &amp; more") && !text.contains("<!channel>"), "{text}");
    }
}
