//! Who is told, from a file. Secrets stand in files of their own.
//!
//! ```toml
//! runbook = "https://wiki.example/seawall/at-03-00"   # stands in every message
//! [[to]]
//! kind = "pagerduty"                      # or slack, webhook
//! url = "https://events.pagerduty.com/v2/enqueue"
//! secret_file = "pagerduty.key"           # PagerDuty's routing key; the webhook's shared secret; not for Slack, whose url is one
//! from = "critical"                       # or warning
//! ```

use crate::tracker::Severity;
use std::path::Path;

/// How somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Events API v2.
    PagerDuty,
    /// An incoming webhook.
    Slack,
    /// JSON with a signature over time and body.
    Webhook,
}

/// Somebody who is told.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// How.
    pub kind: Kind,
    /// Where; for Slack it is a secret.
    pub url: String,
    /// A routing key, or what messages are signed with.
    pub secret: String,
    /// Of what, and of whatever is worse.
    pub from: Severity,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What is secret stays where it is.
        f.debug_struct("Target").field("kind", &self.kind).field("from", &self.from).finish_non_exhaustive()
    }
}

/// Everybody who is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    /// Where everybody who is told finds what to do.
    pub runbook: String,
    /// In the order of the file.
    pub to: Vec<Target>,
}

/// Why a file names nobody who could be told, with what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadTargets(String);

/// The most targets.
const TARGETS_MAX: usize = 16;

fn bad(text: impl Into<String>) -> BadTargets {
    BadTargets(text.into())
}

fn secret(home: &Path, place: usize, name: &str) -> Result<String, BadTargets> {
    let path = home.join(name);
    let read = std::fs::read_to_string(&path);
    let text = read.map_err(|error| bad(format!("to {place}: {}: {error}", path.display())))?;
    let text = text.trim().to_owned();
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(bad(format!("to {place}: {}: write the secret in one line", path.display())));
    }
    Ok(text)
}

impl Targets {
    /// Reads a file; files of secrets are looked for beside it.
    ///
    /// # Errors
    /// The first thing in it that is not what it must be, or a secret that can't be read.
    pub fn parse(text: &str, home: &Path) -> Result<Targets, BadTargets> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| bad(error.to_string().trim_end()))?;
        if let Some(other) = table.keys().find(|key| !["to", "runbook"].contains(&key.as_str())) {
            return Err(bad(format!("{other}: there is no such key; there are runbook and a [[to]] for each target")));
        }
        let runbook = table.get("runbook").and_then(toml::Value::as_str).filter(|url| url.starts_with("https://"));
        let runbook =
            runbook.ok_or_else(|| bad("write runbook = \"https://…\": whoever is woken follows it"))?.to_owned();
        let listed =
            table.get("to").and_then(toml::Value::as_array).ok_or_else(|| bad("write a [[to]] for each target"))?;
        if TARGETS_MAX < listed.len() {
            return Err(bad(format!("name at most {TARGETS_MAX} targets")));
        }
        let to = listed.iter().enumerate().map(|(place, target)| Target::parse(place, target, home));
        Ok(Targets { runbook, to: to.collect::<Result<_, _>>()? })
    }
}

impl Target {
    fn parse(place: usize, value: &toml::Value, home: &Path) -> Result<Target, BadTargets> {
        let table = value.as_table().ok_or_else(|| bad("write each target under a [[to]] of its own"))?;
        let known = ["kind", "url", "url_file", "secret_file", "from"];
        if let Some(other) = table.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(bad(format!("to {place}: there is no {other}; there are {}", known.join(", "))));
        }
        let text = |name: &str| table.get(name).and_then(toml::Value::as_str);
        let kind = match text("kind") {
            Some("pagerduty") => Kind::PagerDuty,
            Some("slack") => Kind::Slack,
            Some("webhook") => Kind::Webhook,
            Some(_) | None => {
                return Err(bad(format!("to {place}: write kind = \"pagerduty\", \"slack\" or \"webhook\"")));
            }
        };
        let url = match (text("url"), text("url_file"), kind) {
            (Some(_), _, Kind::Slack) => {
                return Err(bad(format!(
                    "to {place}: Slack's url is a secret: write it into a file, and url_file = \"that file\""
                )));
            }
            (Some(url), None, _) => url.to_owned(),
            (None, Some(name), _) => secret(home, place, name)?,
            (Some(_), Some(_), _) | (None, None, _) => return Err(bad(format!("to {place}: write url or url_file"))),
        };
        let local =
            ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"].iter().any(|local| url.starts_with(local));
        if !url.starts_with("https://") && !local {
            return Err(bad(format!("to {place}: write an https:// address; http:// is for this machine alone")));
        }
        let secret = match (kind, text("secret_file")) {
            (Kind::Slack, None) => String::new(),
            (Kind::Slack, Some(_)) => {
                return Err(bad(format!("to {place}: Slack takes no secret_file: its url is the secret")));
            }
            (_, Some(name)) => secret(home, place, name)?,
            (_, None) => return Err(bad(format!("to {place}: write secret_file = \"a file with the key\""))),
        };
        let from = text("from").and_then(Severity::of);
        let from = from.ok_or_else(|| bad(format!("to {place}: write from = \"critical\" or \"warning\"")))?;
        Ok(Target { kind, url, secret, from })
    }
}
