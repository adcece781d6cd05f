//! Talking to a node that runs.

use crate::Ended;
use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// Which node.
#[derive(Args, Clone, Debug)]
pub(crate) struct At {
    /// Where the node is served
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8787")]
    node: String,
    /// A file with the token that readers must show
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// What a node answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

/// The longest answer that is read.
const ANSWER_MAX: u64 = 64 << 20;

impl At {
    fn agent() -> ureq::Agent {
        let config = ureq::Agent::config_builder();
        config.timeout_global(Some(Duration::from_secs(15))).http_status_as_error(false).build().into()
    }

    fn token(&self) -> Result<Option<String>> {
        let read = |path: &PathBuf| std::fs::read_to_string(path).with_context(|| format!("{}", path.display()));
        let token = self.token_file.as_ref().map(read).transpose()?;
        Ok(token.map(|token| format!("Bearer {}", token.trim())))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.node.trim_end_matches('/'))
    }

    fn read(&self, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Answer> {
        let unreachable = || format!("no node answers at {}: is it running, and served there (--listen)?", self.node);
        let mut answer = answer.with_context(unreachable)?;
        let status = answer.status().as_u16();
        let text = answer.body_mut().with_config().limit(ANSWER_MAX).read_to_string().with_context(unreachable)?;
        let body = serde_json::from_str(&text).map_err(|_| anyhow!("what answers at {} is no node", self.node))?;
        Ok(Answer { status, body })
    }

    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        let mut request = At::agent().get(self.url(path));
        if let Some(token) = self.token()? {
            request = request.header("authorization", token);
        }
        let Answer { status, body } = self.read(request.call())?;
        if status != 200 {
            bail!("{}: {}", self.url(path), problem(&body));
        }
        Ok(body)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        let mut request = At::agent().post(self.url(path)).header("content-type", "application/json");
        if let Some(token) = self.token()? {
            request = request.header("authorization", token);
        }
        self.read(request.send(body.to_string()))
    }
}

/// A problem in a line.
pub(crate) fn problem(body: &Value) -> String {
    let text = |name: &str| body[name].as_str().unwrap_or("").to_owned();
    format!("{}: {}", text("title"), text("detail"))
}

/// `seawall status`.
#[derive(Args, Clone, Debug)]
pub(crate) struct StatusArguments {
    #[command(flatten)]
    at: At,
    /// Print what the node says as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn status(arguments: &StatusArguments) -> Result<Ended> {
    let view = match arguments.at.get("/api/v1/overview") {
        Ok(view) => view,
        Err(error) => {
            eprintln!("seawall: {error:#}");
            return Ok(Ended::NeedsHuman);
        }
    };
    if arguments.json {
        println!("{view}");
    } else {
        print!("{}", screen(&view));
    }
    Ok(match view["verdict"]["level"].as_str() {
        Some("normal") => Ended::Well,
        Some("tightened") => Ended::WithFindings,
        _ => Ended::NeedsHuman,
    })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

fn rows(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// One screen.
fn screen(view: &Value) -> String {
    let mut lines =
        vec![format!("{}   {} · height {}", text(&view["verdict"]["headline"]), text(&view["at"]), view["height"])];
    for need in rows(&view["verdict"]["needs"]) {
        lines.push(format!("  ! {}: {}", text(&need["what"]), text(&need["remedy"])));
    }
    lines.push(String::new());
    lines.push(format!(
        "  {:<8} {:<12} {:>14} {:<10} {:>7}  why, and the way back",
        "market", "mode", "index", "price", "sources"
    ));
    for market in rows(&view["markets"]) {
        let causes: Vec<String> =
            rows(&market["causes"]).map(|cause| format!("{} ({})", text(&cause["name"]), text(&cause["to"]))).collect();
        let mut why = causes.join(", ");
        if let Some(until) = market["restraint"]["until"].as_str() {
            why += &format!("; asked for until {until}");
        }
        if let Some(at) = market["resume"]["at"].as_str() {
            why += &format!("; {} at {at} if it stays calm", text(&market["resume"]["to"]));
        }
        let heard = format!("{}/{}", market["lineages"], rows(&market["sources"]).count());
        let (name, mode) = (text(&market["name"]), text(&market["mode"]));
        let (index, quality) = (text(&market["index"]), text(&market["quality"]));
        let why = why.trim_start_matches("; ");
        lines.push(format!("  {name:<8} {mode:<12} {index:>14} {quality:<10} {heard:>7}  {why}").trim_end().to_owned());
    }
    lines.push(String::new());
    for pool in rows(&view["pools"]) {
        let (name, insurance, deficit) = (text(&pool["name"]), text(&pool["insurance"]), text(&pool["deficit"]));
        let (accounts, distressed) = (&pool["accounts"], &pool["distressed"]);
        lines.push(format!(
            "  pool {name}: insurance {insurance} USD, deficit {deficit} USD, {accounts} accounts, {distressed} under maintenance"
        ));
    }
    for filed in rows(&view["governance"]["proposals"]) {
        lines.push(format!("  {}", filed_line(filed, &view["governance"]["threshold"])));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// A change that is filed, in a line.
pub(crate) fn filed_line(filed: &Value, threshold: &Value) -> String {
    let agree = rows(&filed["approvals"]).count();
    let due = filed["due"].as_str().map_or(String::new(), |due| format!(", takes effect at {due}"));
    let (id, change, direction) = (&filed["id"], text(&filed["change"]), text(&filed["direction"]));
    format!("change {id}: {change} ({direction}; {agree} of {threshold} agree{due})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_screen_says_what_is_wrong_first() {
        let view = json!({
            "at": "2025-10-10T21:00:00.000Z", "height": 7,
            "verdict": {"headline": "You are needed", "needs": [{"what": "no usable price: BTC", "remedy": "look"}]},
            "markets": [{"name": "BTC", "mode": "halted", "index": null, "quality": "none", "lineages": 0,
                "sources": [1, 2], "causes": [{"name": "quorum", "to": "halted"}], "restraint": {"until": "T"},
                "resume": {"to": "cancel-only", "at": "U"}}],
            "pools": [{"name": "main", "insurance": "1.00", "deficit": "0.00", "accounts": 3, "distressed": 1}],
            "governance": {"threshold": 2, "proposals": [{"id": 4, "change": "lift market=0", "direction": "loosen",
                "approvals": [3], "due": null}]},
        });
        assert_eq!(
            screen(&view),
            "You are needed   2025-10-10T21:00:00.000Z · height 7\n  ! no usable price: BTC: look\n\n  \
             market   mode                  index price      sources  why, and the way back\n  \
             BTC      halted                    - none           0/2  quorum (halted); asked for until T; cancel-only at U if it stays calm\n\n  \
             pool main: insurance 1.00 USD, deficit 0.00 USD, 3 accounts, 1 under maintenance\n  \
             change 4: lift market=0 (loosen; 1 of 2 agree)\n"
        );
    }
}
