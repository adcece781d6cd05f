//! `seawall action`: statements, shown in full, asked about once, signed here and sent.

use crate::remote::{At, filed_line, problem};
use crate::{Ended, keys};
use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, Subcommand};
use node::statement::{Draft, act_text, change};
use port::words::hex;
use port::words::unhex;
use protocol::governance::{Act, Change};
use protocol::{MarketId, Mode};
use serde_json::{Value, json};
use std::io::{self, BufRead as _, Write as _};
use std::path::PathBuf;
use units::{Duration, Timestamp};

/// Arguments of `seawall action`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Clone, Debug)]
enum Verb {
    /// What is asked for and filed, and who may do what
    List {
        #[command(flatten)]
        at: At,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Restrict a market at once (a guardian)
    Tighten {
        /// The market's name
        #[arg(long)]
        market: String,
        /// How far
        #[arg(long, value_parser = ["reduce-only", "cautious"], default_value = "reduce-only")]
        to: String,
        /// For how long, as 30m or 4h
        #[arg(long = "for", value_name = "SPAN", value_parser = span)]
        lasts: Duration,
        #[command(flatten)]
        signing: Signing,
    },
    /// File that a guardian's restriction goes on (a governor or an operator)
    Ratify {
        /// The market's name
        #[arg(long)]
        market: String,
        /// From now on, as 7d
        #[arg(long = "for", value_name = "SPAN", value_parser = span)]
        lasts: Duration,
        #[command(flatten)]
        signing: Signing,
    },
    /// File a change: that a restriction ends, or another value of a parameter (a governor or an operator)
    Loosen {
        /// The market whose restriction ends
        #[arg(long, conflicts_with = "change", required_unless_present = "change")]
        market: Option<String>,
        /// The change in the words of a statement, as `set market=0 open_interest_max=1000000`; it may tighten, too
        #[arg(long, value_name = "TEXT")]
        change: Option<String>,
        #[command(flatten)]
        signing: Signing,
    },
    /// Agree to a change that is filed (a governor)
    Approve {
        /// Its number
        proposal: u64,
        #[command(flatten)]
        signing: Signing,
    },
    /// Stop a change that would loosen (a guardian), or that you filed
    Cancel {
        /// Its number
        proposal: u64,
        #[command(flatten)]
        signing: Signing,
    },
    /// Bring in the count of a vote on a ratification (a teller)
    Count {
        /// Its number
        proposal: u64,
        /// When the weights were taken, microseconds since 1970
        #[arg(long)]
        weighed_at: i64,
        /// Of all who could vote
        #[arg(long)]
        weight: u64,
        /// For it
        #[arg(long)]
        yes: u64,
        /// Against it
        #[arg(long)]
        no: u64,
        #[command(flatten)]
        signing: Signing,
    },
}

#[derive(Args, Clone, Debug)]
struct Signing {
    #[command(flatten)]
    at: At,
    /// The file with the key that signs: 64 hexadecimal digits
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Why: a line that the journal keeps
    #[arg(long, value_name = "TEXT")]
    because: String,
    /// Sign and send without asking
    #[arg(long)]
    yes: bool,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

fn span(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => 0_i64,
    };
    let number: i64 = number.parse().map_err(|_| "write a span as 90s, 30m, 4h or 7d".to_owned())?;
    let micros = number.checked_mul(seconds * 1_000_000).filter(|micros| 0 < *micros);
    micros.map(Duration).ok_or_else(|| "write a span above zero, as 90s, 30m, 4h or 7d".to_owned())
}

fn market_of(view: &Value, name: &str) -> Result<(MarketId, Value)> {
    let markets = view["markets"].as_array().cloned().unwrap_or_default();
    let names: Vec<String> = markets.iter().filter_map(|market| market["name"].as_str().map(str::to_owned)).collect();
    let found = markets.into_iter().find(|market| market["name"] == name);
    let market = found.ok_or_else(|| anyhow!("there is no market {name}; there are {}", names.join(", ")))?;
    let id =
        market["id"].as_u64().and_then(|id| u16::try_from(id).ok()).context("the node names no market's number")?;
    Ok((MarketId(id), market))
}

fn proposal_of(view: &Value, id: u64) -> Result<Value> {
    let filed = view["governance"]["proposals"].as_array().cloned().unwrap_or_default();
    filed
        .into_iter()
        .find(|filed| filed["id"] == id)
        .ok_or_else(|| anyhow!("no change {id} is filed; `seawall action list` lists what is"))
}

pub(crate) fn run(arguments: &Arguments) -> Result<Ended> {
    match &arguments.verb {
        Verb::List { at, json } => list(at, *json),
        Verb::Tighten { market, to, lasts, signing } => {
            let view = signing.view()?;
            let (id, listed) = market_of(&view, market)?;
            let to_mode = if to == "cautious" { Mode::Cautious } else { Mode::ReduceOnly };
            let plan = [
                format!("{market} goes from {} to {to} at once, for {} s.", told(&listed["mode"]), lasts.0 / 1_000_000),
                format!(
                    "{} positions, {} USD on one side: exits, deposits and liquidations go on{}.",
                    listed["holders"],
                    told(&listed["open_interest"]),
                    if to == "cautious" { "; to open takes more margin" } else { "; nothing opens, and resting orders that would are taken back" }
                ),
                "Without it the detectors alone decide, as they do after it.".to_owned(),
                "It is undone by its time, or by governors: `seawall action loosen --market`; the way back goes by steps.".to_owned(),
            ];
            signing.act(&view, Act::Tighten { market: id, to: to_mode, lasts: *lasts }, &plan)
        }
        Verb::Ratify { market, lasts, signing } => {
            let view = signing.view()?;
            let (id, listed) = market_of(&view, market)?;
            let now = view["at_micros"].as_i64().context("the node names no time")?;
            let held = listed["restraint"]["until"].as_str().unwrap_or("nothing is asked for");
            let plan = [
                format!(
                    "The restriction of {market} (until: {held}) goes on for {} s from now, once enough agree.",
                    lasts.0 / 1_000_000
                ),
                "It is undone by its time, or by governors: `seawall action loosen --market`.".to_owned(),
            ];
            let until = Timestamp(now.saturating_add(lasts.0));
            signing.act(&view, Act::Propose(Change::Ratify { market: id, until }), &plan)
        }
        Verb::Loosen { market, change: words, signing } => {
            let view = signing.view()?;
            let change = match (market, words) {
                (Some(market), _) => Change::Lift { market: market_of(&view, market)?.0 },
                (None, Some(words)) => change(words)
                    .with_context(|| format!("{words}: write it as `set market=0 open_interest_max=1000000`, `set pool=0 borrow_max=0`, `lift market=0` or `key place=6 role=guardian key=…`"))?,
                (None, None) => bail!("name --market or --change"),
            };
            let plan = [
                "Filed, and in sight of all; it takes effect once enough agree and, where it loosens, its delay is over.".to_owned(),
                "Any guardian can cancel it until then if it loosens, and you can in any case.".to_owned(),
            ];
            signing.act(&view, Act::Propose(change), &plan)
        }
        Verb::Approve { proposal, signing } => {
            let view = signing.view()?;
            let filed = proposal_of(&view, *proposal)?;
            let digest = filed["digest"].as_str().and_then(unhex).context("the node names no digest")?;
            let plan = [
                filed_line(&filed, &view["governance"]["threshold"]),
                "An approval can't be taken back; a guardian can cancel what loosens until it takes effect.".to_owned(),
            ];
            signing.act(&view, Act::Approve { proposal: *proposal, digest }, &plan)
        }
        Verb::Cancel { proposal, signing } => {
            let view = signing.view()?;
            let filed = proposal_of(&view, *proposal)?;
            let plan = [
                format!("Stops {}", filed_line(&filed, &view["governance"]["threshold"])),
                "It is undone by filing it again.".to_owned(),
            ];
            signing.act(&view, Act::Cancel { proposal: *proposal }, &plan)
        }
        Verb::Count { proposal, weighed_at, weight, yes, no, signing } => {
            let view = signing.view()?;
            let filed = proposal_of(&view, *proposal)?;
            let plan =
                [format!("{yes} to {no} of {weight} on {}", filed_line(&filed, &view["governance"]["threshold"]))];
            let (weighed_at, proposal) = (Timestamp(*weighed_at), *proposal);
            signing.act(&view, Act::Count { proposal, weighed_at, weight: *weight, yes: *yes, no: *no }, &plan)
        }
    }
}

fn told(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

impl Signing {
    fn view(&self) -> Result<Value> {
        self.at.get("/api/v1/overview")
    }

    /// Shows the plan and the statement, asks once, signs and sends.
    fn act(&self, view: &Value, act: Act, plan: &[String]) -> Result<Ended> {
        let secret =
            keys::read(&self.key)?.with_context(|| format!("{}: there is no such file", self.key.display()))?;
        let (key, governance) = (keys::public(&secret)?, &view["governance"]);
        let listed = governance["keys"].as_array().into_iter().flatten().find(|listed| listed["key"] == hex(&key));
        let listed = listed.with_context(|| format!("{}: this key is not listed at the node", self.key.display()))?;
        let now = view["at_micros"].as_i64().context("the node names no time")?;
        let ahead = governance["statement_max_s"].as_i64().context("the node names no limits")?;
        let draft = Draft {
            venue: governance["venue"].as_str().and_then(unhex).context("the node names no venue")?,
            key,
            nonce: listed["nonce"].as_u64().context("the node names no nonce")?,
            // Half of what it may be: clocks differ.
            expires: Timestamp(now.saturating_add(ahead.saturating_mul(500_000))),
            act,
            because: self.because.clone(),
        };
        let signed = draft.sign(&secret);
        if let Err(bad) = Draft::read(&signed.text) {
            bail!("--because: {bad}");
        }
        if !self.yes {
            println!("{}\n", act_text(&act));
            plan.iter().for_each(|line| println!("  {line}"));
            println!(
                "\n{}\nSigned by key {}, a {}'s. Send it? [y/N]",
                signed.text,
                listed["place"],
                told(&listed["role"])
            );
            io::stdout().flush()?;
            let mut answer = String::new();
            io::stdin().lock().read_line(&mut answer)?;
            if !matches!(answer.trim(), "y" | "yes") {
                println!("nothing was sent");
                return Ok(Ended::Well);
            }
        }
        let body = json!({"text": signed.text, "signature": hex(&signed.signature)});
        let answer = self.at.post("/api/v1/statements", &body)?;
        if self.json {
            println!("{}", answer.body);
        }
        if answer.status != 200 {
            bail!("{}", problem(&answer.body));
        }
        if !self.json {
            println!("heard at height {}", answer.body["height"]);
            for said in answer.body["said"].as_array().into_iter().flatten() {
                println!("  {}", told(said));
            }
        }
        Ok(Ended::Well)
    }
}

fn list(at: &At, as_json: bool) -> Result<Ended> {
    let view = at.get("/api/v1/overview")?;
    let governance = &view["governance"];
    if as_json {
        println!("{governance}");
        return Ok(Ended::Well);
    }
    for market in view["markets"].as_array().into_iter().flatten().filter(|market| !market["restraint"].is_null()) {
        let restraint = &market["restraint"];
        let by = if restraint["ratified"] == true { "ratified" } else { "by a guardian" };
        println!(
            "{}: held to {} until {}, {by}",
            told(&market["name"]),
            told(&restraint["to"]),
            told(&restraint["until"])
        );
    }
    for filed in governance["proposals"].as_array().into_iter().flatten() {
        println!("{}", filed_line(filed, &governance["threshold"]));
    }
    for key in governance["keys"].as_array().into_iter().flatten() {
        println!("key {} {}: {}, next nonce {}", key["place"], told(&key["key"]), told(&key["role"]), key["nonce"]);
    }
    Ok(Ended::Well)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_a_unit() {
        assert_eq!(span("4h"), Ok(Duration::seconds(14_400)));
        assert_eq!(span("90s"), Ok(Duration::seconds(90)));
        assert_eq!(span("2d"), Ok(Duration::seconds(172_800)));
        for wrong in ["", "4", "h", "0m", "-1h", "4 h", "1w", "99999999999999999999s", "9223372036854775807d"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
