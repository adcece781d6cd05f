//! A venue's keys and what limits them, as a TOML file of their own: a policy is shared by venues and judged on evidence, while who holds
//! which key is one venue's.
//!
//! ```toml
//! threshold = 2
//! tighten_max = "48h"
//! [[key]]
//! name = "first guardian"
//! role = "guardian"
//! key = "64 hexadecimal digits"
//! ```

use crate::keys::{GOVERNANCE, Key};
use crate::quantity::{self, Form};
use crate::{BYTES_MAX, Value};
use protocol::GovernanceParams;
use protocol::governance::{KeyParams, Role};
use std::fmt::Write as _;
use toml::Table;
use units::{Duration, Ratio};

/// What a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Governance {
    /// Keys and limits; what the file leaves out is as in [`GovernanceParams::closed`].
    pub params: GovernanceParams,
    /// By the place of a key: what a person calls it.
    pub names: Vec<String>,
}

/// Why a file is none, with what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadGovernance(String);

fn bad(text: impl Into<String>) -> BadGovernance {
    BadGovernance(text.into())
}

/// Puts a value where its key says; `false` for a key that there is not.
fn put(params: &mut GovernanceParams, name: &str, value: i64) -> bool {
    match name {
        "threshold" => params.threshold = u8::try_from(value).unwrap_or(u8::MAX),
        "doublings_max" => params.doublings_max = u8::try_from(value).unwrap_or(u8::MAX),
        "tighten_max" => params.tighten_max = Duration(value),
        "ratified_max" => params.ratified_max = Duration(value),
        "delay" => params.delay = Duration(value),
        "delay_step" => params.delay_step = Duration(value),
        "delay_max" => params.delay_max = Duration(value),
        "loosen_every" => params.loosen_every = Duration(value),
        "approval_age_max" => params.approval_age_max = Duration(value),
        "statement_max" => params.statement_max = Duration(value),
        "quorum" => params.quorum = Ratio(value),
        "liquidatable_max" => params.liquidatable_max = Ratio(value),
        _ => return false,
    }
    true
}

fn get(params: &GovernanceParams, name: &str) -> i64 {
    match name {
        "threshold" => params.threshold.into(),
        "doublings_max" => params.doublings_max.into(),
        "tighten_max" => params.tighten_max.0,
        "ratified_max" => params.ratified_max.0,
        "delay" => params.delay.0,
        "delay_step" => params.delay_step.0,
        "delay_max" => params.delay_max.0,
        "loosen_every" => params.loosen_every.0,
        "approval_age_max" => params.approval_age_max.0,
        "statement_max" => params.statement_max.0,
        "quorum" => params.quorum.0,
        _ => params.liquidatable_max.0,
    }
}

fn number(key: &'static Key, value: &toml::Value) -> Result<i64, BadGovernance> {
    let read = match (key.form, value) {
        (Form::Count { max }, toml::Value::Integer(n)) => quantity::read_count(max, &n.to_string()),
        (_, toml::Value::String(text)) => quantity::read(key, text),
        _ => return Err(bad(format!("{}: write it as {} = {}", key.name, key.name, written(key, key.example)))),
    };
    match read {
        Ok(Value::Int(n)) => Ok(n),
        Ok(Value::Pico(_) | Value::Name(_)) => Err(bad(format!("{}: write a span or a ratio", key.name))),
        Err(problem) => Err(bad(format!("{}: {problem}", key.name))),
    }
}

fn written(key: &Key, text: &str) -> String {
    if matches!(key.form, Form::Count { .. }) { text.to_owned() } else { format!("\"{text}\"") }
}

fn text<'a>(table: &'a Table, place: usize, name: &str) -> Result<&'a str, BadGovernance> {
    table.get(name).and_then(toml::Value::as_str).ok_or_else(|| bad(format!("key {place}: write {name} = \"…\"")))
}

fn bytes(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(place * 2..place * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}

impl Governance {
    /// Reads a file.
    ///
    /// # Errors
    /// The first thing in it that is not what it must be.
    pub fn parse(file: &str) -> Result<Governance, BadGovernance> {
        if BYTES_MAX < file.len() {
            return Err(bad("it is longer than a mebibyte"));
        }
        let table: Table = file.parse().map_err(|error: toml::de::Error| bad(error.to_string().trim_end()))?;
        let mut governance = Governance { params: GovernanceParams::closed(), names: Vec::new() };
        for (name, value) in &table {
            if name == "key" {
                let listed = value.as_array().ok_or_else(|| bad("key: write each key under a [[key]] of its own"))?;
                for (place, listed) in listed.iter().enumerate() {
                    governance.key(place, listed)?;
                }
                continue;
            }
            let key = GOVERNANCE.iter().find(|key| key.name == name).ok_or_else(|| {
                let known: Vec<&str> = GOVERNANCE.iter().map(|key| key.name).collect();
                bad(format!("{name}: there is no such key; there are {} and [[key]]", known.join(", ")))
            })?;
            put(&mut governance.params, key.name, number(key, value)?);
        }
        governance.params.validate().map_err(|invalid| bad(format!("{} must {}", invalid.field, invalid.must)))?;
        Ok(governance)
    }

    fn key(&mut self, place: usize, listed: &toml::Value) -> Result<(), BadGovernance> {
        let table = listed.as_table().ok_or_else(|| bad("key: write each key under a [[key]] of its own"))?;
        if let Some(other) = table.keys().find(|name| !["name", "role", "key"].contains(&name.as_str())) {
            return Err(bad(format!("key {place}: there is no {other}; there are name, role and key")));
        }
        let (name, role, key) = (text(table, place, "name")?, text(table, place, "role")?, text(table, place, "key")?);
        let role = Role::ALL.into_iter().find(|known| known.name() == role).ok_or_else(|| {
            let known: Vec<&str> = Role::ALL.iter().map(|role| role.name()).collect();
            bad(format!("key {place}: there is no role {}; there are {}", quantity::shown(role), known.join(", ")))
        })?;
        let key = bytes(key).ok_or_else(|| bad(format!("key {place}: write key as 64 hexadecimal digits")))?;
        self.params.keys.push(KeyParams { key, role });
        self.names.push(name.to_owned());
        Ok(())
    }

    /// As a file, with what every limit is for.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut out = String::from("# Who may change what while the venue runs. Another file makes another venue.\n");
        for key in GOVERNANCE {
            let value = quantity::write(key.form, &Value::Int(get(&self.params, key.name)));
            // Into a string, which takes all.
            let _ = writeln!(out, "\n# {}\n{} = {}", key.about, key.name, written(key, &value));
        }
        for (listed, name) in self.params.keys.iter().zip(&self.names) {
            let hex: String = listed.key.iter().map(|byte| format!("{byte:02x}")).collect();
            let name = toml::Value::String(name.clone());
            let _ = writeln!(out, "\n[[key]]\nname = {name}\nrole = \"{}\"\nkey = \"{hex}\"", listed.role.name());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed() -> Governance {
        let keys = [Role::Guardian, Role::Governor, Role::Governor, Role::Revoked];
        let keys: Vec<KeyParams> = (1..).zip(keys).map(|(n, role)| KeyParams { key: [n; 32], role }).collect();
        let names = ["a", "b \"quoted\"", "c", "d"].map(str::to_owned).to_vec();
        Governance { params: GovernanceParams { keys, ..GovernanceParams::closed() }, names }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut governance = listed();
        assert_eq!(Governance::parse(&governance.to_toml()), Ok(governance.clone()));
        for (n, key) in (1..).zip(GOVERNANCE) {
            assert!(put(&mut governance.params, key.name, n), "{}", key.name);
            assert_eq!(get(&governance.params, key.name), n, "{}", key.name);
        }
        assert!(!put(&mut governance.params, "keys", 1));
    }

    #[test]
    fn an_empty_file_lists_nobody() {
        let empty = Governance { params: GovernanceParams::closed(), names: Vec::new() };
        assert_eq!(Governance::parse(""), Ok(empty));
    }

    #[test]
    fn mistakes_are_named_with_what_to_do() {
        let good = listed().to_toml();
        for (from, to, said) in [
            ("threshold = 2", "threshold = \"2\"", "threshold: "),
            ("threshold = 2", "threshold = 1", "governance.threshold must be at least 2"),
            ("threshold = 2", "threshold = 3", "governance.threshold must be at most the number of governors"),
            ("threshold = 2", "treshold = 2", "treshold: there is no such key; there are threshold"),
            ("tighten_max = \"2d\"", "tighten_max = \"3d\"", "governance.tighten_max must be at most 48 hours"),
            ("tighten_max = \"2d\"", "tighten_max = \"2\"", "tighten_max: "),
            ("tighten_max = \"2d\"", "tighten_max = 2", "tighten_max: write it as tighten_max = \"48h\""),
            (
                "role = \"guardian\"",
                "role = \"boss\"",
                "key 0: there is no role boss; there are revoked, observer, guardian",
            ),
            ("role = \"guardian\"", "rank = 1\nrole = \"guardian\"", "key 0: there is no rank"),
            ("name = \"a\"\n", "", "key 0: write name"),
            ("0101", "01", "key 0: write key as 64 hexadecimal digits"),
            ("0202", "02é2", "key 1: write key as 64 hexadecimal digits"),
        ] {
            assert!(good.contains(from), "{from}: {good}");
            let found = Governance::parse(&good.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(found.contains(said), "{to}: {found}");
        }
        assert!(Governance::parse("[").is_err());
        assert!(Governance::parse(&"#".repeat(BYTES_MAX + 1)).is_err());
    }
}
