//! `seawall policy`.

use crate::Ended;
use crate::calibrate;
use crate::evidence::{self, Evidence};
use crate::input::{harmless, read_policy};
use anyhow::Result;
use clap::{Args, Subcommand};
use policy::{Amendment, Direction, Policy};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Arguments of `seawall policy`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Clone, Debug)]
enum Verb {
    /// Read a policy file and print its digest, or what is wrong with it
    Check {
        /// The file
        file: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Say what a new policy changes of what is in force, and whether each change tightens or loosens
    ///
    /// Ends with 1 where anything loosens or is mixed. With --evidence the bundled incidents are replayed under both, with
    /// the same accounts: who would be liquidated under the new policy alone, and who under the old.
    Diff {
        /// The policy in force
        old: PathBuf,
        /// The policy to come
        new: PathBuf,
        /// Replay these bundled incidents under both, as I-17,I-22; all where none is named
        #[arg(long, value_name = "ID", num_args = 0.., value_delimiter = ',')]
        evidence: Option<Vec<String>>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Count how often the policy's breakers trip on bars, and what other thresholds would change
    Calibrate(Box<calibrate::Arguments>),
    /// Print the JSON Schema of policy files
    Schema,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Ended> {
    let mut out = io::stdout().lock();
    match &arguments.verb {
        Verb::Check { file, json } => {
            let policy = read_policy(file)?;
            policy.check()?;
            let digest = policy.digest().to_string();
            if *json {
                let file = file.display().to_string();
                writeln!(out, "{}", serde_json::json!({ "file": file, "policy_digest": digest }))?;
            } else {
                writeln!(out, "{}: well formed, digest {digest}", file.display())?;
            }
            Ok(Ended::Well)
        }
        Verb::Diff { old, new, evidence, json } => {
            // A name that nobody knows is said before anything is printed.
            let incidents = evidence.as_deref().map(evidence::incidents).transpose()?;
            let diff = Diff::of(old, new)?;
            let evidence = incidents
                .map(|incidents| Evidence::gather(&diff.old.policy, &diff.new.policy, &incidents))
                .transpose()?;
            if *json {
                writeln!(out, "{}", diff.to_json(evidence.as_ref()))?;
            } else {
                write!(out, "{}", diff.to_text())?;
                write!(out, "{}", evidence.as_ref().map_or(String::new(), Evidence::to_text))?;
            }
            Ok(match diff.direction() {
                _ if evidence.is_some_and(|evidence| evidence.is_broken()) => Ended::VerificationFailed,
                Direction::Neutral | Direction::Tighten => Ended::Well,
                Direction::Loosen | Direction::Mixed => Ended::WithFindings,
            })
        }
        Verb::Calibrate(arguments) => calibrate::run(arguments, &mut out),
        Verb::Schema => {
            writeln!(out, "{}", policy::schema())?;
            Ok(Ended::Well)
        }
    }
}

/// Tables named as exceptions of one change; the rest are counted, and all are in the JSON.
const EXCEPTIONS_SHOWN: usize = 8;

/// A policy and the file in which it stands.
struct Side {
    file: String,
    policy: Policy,
}

/// Two policies and what the second changes.
struct Diff {
    old: Side,
    new: Side,
    in_force: Vec<Amendment>,
    /// Whatever the files say differently, in force or not.
    said: Vec<policy::Change>,
}

impl Side {
    fn read(path: &Path) -> Result<Side> {
        Ok(Side { file: path.display().to_string(), policy: read_policy(path)? })
    }

    fn to_json(&self) -> Value {
        json!({ "file": self.file, "policy_digest": self.policy.digest().to_string() })
    }
}

impl Diff {
    fn of(old: &Path, new: &Path) -> Result<Diff> {
        let (old, new) = (Side::read(old)?, Side::read(new)?);
        let in_force = policy::compare(&old.policy, &new.policy)?;
        let said = policy::diff(&old.policy, &new.policy);
        Ok(Diff { old, new, in_force, said })
    }

    /// What all changes amount to.
    fn direction(&self) -> Direction {
        self.in_force.iter().fold(Direction::Neutral, |all, change| all.join(change.direction))
    }

    fn count(&self, direction: Direction) -> usize {
        self.in_force.iter().filter(|change| change.direction == direction).count()
    }

    fn raising_maintenance(&self) -> usize {
        self.in_force.iter().filter(|change| change.raises_maintenance).count()
    }

    fn to_json(&self, evidence: Option<&Evidence>) -> Value {
        let counts: serde_json::Map<String, Value> =
            Direction::ALL.iter().map(|of| (of.name().to_ascii_lowercase(), json!(self.count(*of)))).collect();
        let in_force = self.in_force.iter().map(|change| {
            json!({
                "table": change.table,
                "key": change.key,
                "notional_from": change.stretch.as_ref().map(|stretch| &stretch.from),
                "notional_to": change.stretch.as_ref().and_then(|stretch| stretch.to.as_ref()),
                "old": change.old,
                "new": change.new,
                "direction": change.direction.name(),
                "why": change.why,
                "raises_maintenance": change.raises_maintenance,
                "except": change.except,
            })
        });
        let said = self.said.iter().map(|change| json!({ "key": change.key, "old": change.old, "new": change.new }));
        let mut value = json!({
            "old": self.old.to_json(),
            "new": self.new.to_json(),
            "direction": self.direction().name(),
            "counts": counts,
            "raise_maintenance": self.raising_maintenance(),
            "in_force": in_force.collect::<Vec<_>>(),
            "said": said.collect::<Vec<_>>(),
        });
        if let Some(evidence) = evidence {
            value["evidence"] = evidence.to_json();
        }
        value
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing into a String can't fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        for (name, side) in [("old", &self.old), ("new", &self.new)] {
            writeln!(out, "{name} {} {}", side.policy.digest(), harmless(&side.file))?;
        }
        let rows: Vec<(String, String)> = self.in_force.iter().map(row).collect();
        let width = |cell: fn(&(String, String)) -> &String| rows.iter().map(|row| cell(row).len()).max().unwrap_or(0);
        let (keys, values) = (width(|row| &row.0), width(|row| &row.1));
        let mut table = None;
        for (change, (key, value)) in self.in_force.iter().zip(&rows) {
            if table != Some(&change.table) {
                table = Some(&change.table);
                match change.table.as_str() {
                    "" => writeln!(out, "\nthe venue")?,
                    table => writeln!(out, "\n[{table}]")?,
                }
            }
            writeln!(out, "  {key:<keys$}  {value:<values$}  {}", change.direction.name())?;
            writeln!(out, "      {}", change.why)?;
            if !change.except.is_empty() {
                let shown: Vec<String> =
                    change.except.iter().take(EXCEPTIONS_SHOWN).map(|table| format!("[{table}]")).collect();
                let more = change.except.len() - shown.len();
                let more = if 0 < more { format!(" and {more} more") } else { String::new() };
                writeln!(out, "      not in {}{more}", shown.join(", "))?;
            }
        }
        if self.in_force.is_empty() {
            return self.write_said(out);
        }
        let [neutral, tighten, loosen, mixed] = Direction::ALL.map(|direction| self.count(direction));
        writeln!(
            out,
            "\n{}: {} in force: {tighten} tighten, {loosen} loosen, {mixed} mixed, {neutral} neutral",
            self.direction().name(),
            counted(self.in_force.len(), "change"),
        )?;
        match self.raising_maintenance() {
            0 => Ok(()),
            raising => writeln!(out, "maintenance rises in {raising}: who has less is liquidated"),
        }
    }

    /// What differs in text alone.
    fn write_said(&self, out: &mut String) -> std::fmt::Result {
        let none = format!("\n{}: no change in force", Direction::Neutral.name());
        if self.old.policy == self.new.policy {
            return writeln!(out, "{none}; both say the same");
        }
        writeln!(out, "{none}; {} said differently", counted(self.said.len(), "key"))?;
        for change in &self.said {
            writeln!(out, "  {}  {}", change.key, change_of(change.old.as_deref(), change.new.as_deref()))?;
        }
        Ok(())
    }
}

/// The key with the part of a notional, and what changes.
fn row(change: &Amendment) -> (String, String) {
    let stretch = change.stretch.as_ref().map(|stretch| match &stretch.to {
        Some(to) => format!(" from {} to {to}", stretch.from),
        None => format!(" from {}", stretch.from),
    });
    let key = format!("{}{}", change.key, stretch.unwrap_or_default());
    (key, change_of(change.old.as_deref(), change.new.as_deref()))
}

fn change_of(old: Option<&str>, new: Option<&str>) -> String {
    format!("{} -> {}", old.unwrap_or("(not said)"), new.unwrap_or("(not said)"))
}

pub(crate) fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}
