//! The text of a policy file to what it says. The first thing that is wrong, in reading order, is the answer.

use crate::error::{PolicyError, Position, Problem};
use crate::keys::{self, Key, MARKET, POOL, Presence, SOURCE, TIER};
use crate::quantity::{self, Form, is_name, shown};
use crate::{BYTES_MAX, DEFAULT, MarketSaid, Policy, Said, Value, Values};
use protocol::params::Tier;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use units::Ratio;

impl Policy {
    /// Reads a policy file; `file` is how messages name it.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line, column, key and remedy.
    pub fn parse(text: &str, file: &str) -> Result<Policy, PolicyError> {
        let mut reader = Reader { file, text, lines: line_starts(text), places: BTreeMap::new() };
        if BYTES_MAX < text.len() {
            return Err(reader.error(None, "", Problem::TooLong { bytes: text.len(), bytes_max: BYTES_MAX }));
        }
        let root = DeTable::parse(text).map_err(|error| reader.syntax(&error))?;
        let said = reader.root(root.get_ref())?;
        Ok(Policy { said, file: file.to_owned(), places: reader.places })
    }
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    lines: Vec<usize>,
    places: BTreeMap<String, Position>,
}

/// One entry of a TOML table.
struct Entry<'t, 'i> {
    name: &'t str,
    at: Range<usize>,
    value: &'t Spanned<DeValue<'i>>,
}

/// A table whose keys [`crate::keys`] lists.
struct Table<'t, 'i> {
    table: &'t DeTable<'i>,
    at: Range<usize>,
    /// Its full path, for messages.
    path: String,
    keys: &'static [Key],
    /// Whether all others inherit from it.
    is_default: bool,
    /// Keys that the caller reads itself.
    others: &'static [&'static str],
}

impl Reader<'_> {
    fn root(&mut self, root: &DeTable<'_>) -> Result<Said, PolicyError> {
        let mut said = Said::default();
        for entry in entries(root) {
            match entry.name {
                "pool" => self.pools(&entry, &mut said)?,
                "market" => self.markets(&entry, &mut said)?,
                "source" => self.sources(&entry, "source", true, &mut said.sources)?,
                other => return Err(self.unknown(&entry.at, "", other, "pool, market, source")),
            }
        }
        if said.pools.is_empty() {
            return Err(self.error(None, "pool", Problem::Missing { example: "[pool.main]".to_owned() }));
        }
        for (section, absent) in
            [("market", !said.markets.contains_key(DEFAULT)), ("source", !said.sources.contains_key(DEFAULT))]
        {
            if absent {
                let example = format!("[{section}.{DEFAULT}]");
                return Err(self.error(None, &format!("{section}.{DEFAULT}"), Problem::Missing { example }));
            }
        }
        self.pools_named_exist(&said)?;
        Ok(said)
    }

    fn pools_named_exist(&self, said: &Said) -> Result<(), PolicyError> {
        for (market, market_said) in &said.markets {
            let Some(Value::Name(pool)) = market_said.values.get("pool") else { continue };
            if said.pools.iter().all(|(name, _)| name != pool) {
                let pools: Vec<&str> = said.pools.iter().map(|(name, _)| name.as_str()).collect();
                let key = join(&join("market", market), "pool");
                let problem = Problem::UnknownPool { pool: pool.clone(), pools: pools.join(", ") };
                let at = self.places.get(&key).copied();
                return Err(PolicyError { file: self.file.to_owned(), at, key, problem: Box::new(problem) });
            }
        }
        Ok(())
    }

    fn pools(&mut self, entry: &Entry<'_, '_>, said: &mut Said) -> Result<(), PolicyError> {
        for pool in entries(self.table(entry, "pool")?) {
            let path = self.named("pool", &pool)?;
            let table = self.table(&pool, &path)?;
            let at = pool.at.clone();
            // Each pool stands for itself: there is none to inherit from, so every key is required.
            let values = self.values(&Table { table, at, path, keys: POOL, is_default: true, others: &[] })?;
            said.pools.push((pool.name.to_owned(), values));
        }
        Ok(())
    }

    fn markets(&mut self, entry: &Entry<'_, '_>, said: &mut Said) -> Result<(), PolicyError> {
        for market in entries(self.table(entry, "market")?) {
            let path = self.named("market", &market)?;
            let is_default = market.name == DEFAULT;
            let table = self.table(&market, &path)?;
            // A source's bounds belong to one market; what holds for it in all markets is said under [source.NAME].
            let others: &[&str] = if is_default { &["tier"] } else { &["tier", "source"] };
            let at = market.at.clone();
            let values =
                self.values(&Table { table, at: at.clone(), path: path.clone(), keys: MARKET, is_default, others })?;
            let mut market_said = MarketSaid { values, tiers: None, sources: BTreeMap::new() };
            for entry in entries(table) {
                match entry.name {
                    "tier" => market_said.tiers = Some(self.tiers(&entry, &join(&path, "tier"))?),
                    // Under the default, `values` has refused it.
                    "source" => {
                        self.sources(&entry, &join(&path, "source"), false, &mut market_said.sources)?;
                    }
                    // `values` has read the others.
                    _ => {}
                }
            }
            if is_default && market_said.tiers.is_none() {
                let example = format!("[[{path}.tier]]");
                return Err(self.error(Some(&at), &join(&path, "tier"), Problem::Missing { example }));
            }
            said.markets.insert(market.name.to_owned(), market_said);
        }
        Ok(())
    }

    fn sources(
        &mut self,
        entry: &Entry<'_, '_>,
        parent: &str,
        has_default: bool,
        into: &mut BTreeMap<String, Values>,
    ) -> Result<(), PolicyError> {
        for source in entries(self.table(entry, parent)?) {
            let path = self.named(parent, &source)?;
            let is_default = source.name == DEFAULT;
            if is_default && !has_default {
                return Err(self.unknown(&source.at, parent, DEFAULT, "the name of a source"));
            }
            let table = self.table(&source, &path)?;
            let at = source.at.clone();
            let values = self.values(&Table { table, at, path, keys: SOURCE, is_default, others: &[] })?;
            into.insert(source.name.to_owned(), values);
        }
        Ok(())
    }

    fn tiers(&mut self, entry: &Entry<'_, '_>, path: &str) -> Result<Vec<Tier>, PolicyError> {
        let example = || format!("an array of tables: `[[{path}]]`");
        let DeValue::Array(array) = entry.value.get_ref() else {
            return Err(self.wrong_type(&entry.at, path, entry.value.get_ref(), example()));
        };
        self.place(path, &entry.at);
        let mut tiers = Vec::new();
        for (i, item) in array.iter().enumerate() {
            let path = format!("{path}[{i}]");
            let at = item.span();
            let DeValue::Table(table) = item.get_ref() else {
                return Err(self.wrong_type(&at, &path, item.get_ref(), example()));
            };
            let values = self.values(&Table { table, at, path, keys: TIER, is_default: true, others: &[] })?;
            // `values` has refused a tier in which one of the three is missing.
            let int = |name| if let Some(Value::Int(n)) = values.get(name) { *n } else { 0 };
            tiers.push(Tier {
                notional_from: int("notional_from"),
                initial: Ratio(int("initial")),
                maintenance: Ratio(int("maintenance")),
            });
        }
        if tiers.is_empty() {
            return Err(self.error(Some(&entry.at), path, Problem::NoTiers));
        }
        Ok(tiers)
    }

    /// The values of a table, and whether all are there that must be.
    fn values(&mut self, table: &Table<'_, '_>) -> Result<Values, PolicyError> {
        self.place(&table.path, &table.at);
        let mut values = Values::new();
        self.level(table, table.table, "", &mut values)?;
        for key in table.keys {
            if table.is_default && key.presence == Presence::Required && !values.contains_key(key.name) {
                return Err(self.missing(table, key));
            }
        }
        Ok(values)
    }

    /// A missing key, at the innermost table around it that is there.
    fn missing(&self, table: &Table<'_, '_>, key: &'static Key) -> PolicyError {
        let (section, _) = key.name.rsplit_once('.').unwrap_or(("", key.name));
        let around = |section: &str| self.places.get(&join_dotted(&table.path, section)).copied();
        let outer = section.split_once('.').map_or("", |(outer, _)| outer);
        PolicyError {
            file: self.file.to_owned(),
            at: around(section).or_else(|| around(outer)).or_else(|| around("")),
            key: join_dotted(&table.path, key.name),
            problem: Box::new(Problem::Missing { example: line(key) }),
        }
    }

    /// One level of a table: `prefix` is empty or the dotted path of the level, ending in a dot.
    fn level(
        &mut self,
        table: &Table<'_, '_>,
        level: &DeTable<'_>,
        prefix: &str,
        values: &mut Values,
    ) -> Result<(), PolicyError> {
        for entry in entries(level) {
            let name = format!("{prefix}{}", entry.name);
            let inside = format!("{name}.");
            if prefix.is_empty() && table.others.contains(&entry.name) {
                continue;
            }
            // A key with a dot inside quotes is not the path that it looks like.
            let plain = !entry.name.contains('.');
            let path = join_dotted(&table.path, &name);
            match keys::find(table.keys, &name) {
                Some(key) if plain && !(table.is_default && key.presence == Presence::NamedOnly) => {
                    let value = self.value(key, &entry, &path)?;
                    self.place(&path, &entry.at);
                    values.insert(key.name, value);
                }
                None if plain && table.keys.iter().any(|key| key.name.starts_with(&inside)) => {
                    let below = self.table(&entry, &path)?;
                    self.place(&path, &entry.at);
                    self.level(table, below, &inside, values)?;
                }
                Some(_) | None => {
                    let mut known = keys::segments(table.keys, prefix);
                    known.retain(|name| !(table.is_default && is_named_only(table.keys, prefix, name)));
                    if prefix.is_empty() {
                        known.extend(table.others);
                    }
                    let parent = join_dotted(&table.path, prefix.trim_end_matches('.'));
                    return Err(self.unknown(&entry.at, &parent, entry.name, &known.join(", ")));
                }
            }
        }
        Ok(())
    }

    fn value(&self, key: &'static Key, entry: &Entry<'_, '_>, path: &str) -> Result<Value, PolicyError> {
        let at = entry.value.span();
        let expected = || match key.form {
            Form::Count { .. } => format!("a whole number in decimal digits: `{}`", line(key)),
            Form::Name => format!("a name as text: `{}`", line(key)),
            Form::Choice { of } => format!("one of {} as text: `{}`", of.join(", "), line(key)),
            Form::Span | Form::Ratio | Form::Money | Form::Price => format!("text with a unit: `{}`", line(key)),
        };
        let value = match (key.form, entry.value.get_ref()) {
            (Form::Count { max }, DeValue::Integer(n)) if n.radix() == 10 => quantity::read_count(max, n.as_str()),
            (Form::Count { .. }, DeValue::Float(_)) => {
                return Err(self.wrong_type(&at, path, entry.value.get_ref(), expected()));
            }
            (_, DeValue::Float(n)) => Err(Problem::Float { literal: shown(n.as_str()), example: line(key) }),
            (Form::Count { .. }, other) => return Err(self.wrong_type(&at, path, other, expected())),
            (_, DeValue::String(text)) => quantity::read(key, text),
            (_, other) => return Err(self.wrong_type(&at, path, other, expected())),
        };
        value.map_err(|problem| self.error(Some(&at), path, problem))
    }

    fn table<'t, 'i>(&self, entry: &Entry<'t, 'i>, path: &str) -> Result<&'t DeTable<'i>, PolicyError> {
        match entry.value.get_ref() {
            DeValue::Table(table) => Ok(table),
            other => Err(self.wrong_type(&entry.at, path, other, format!("a table: `[{path}]`"))),
        }
    }

    /// The path of a table that has a name of the user's.
    fn named(&self, parent: &str, entry: &Entry<'_, '_>) -> Result<String, PolicyError> {
        if is_name(entry.name) {
            Ok(join(parent, entry.name))
        } else {
            Err(self.error(Some(&entry.at), parent, Problem::BadName { text: shown(entry.name) }))
        }
    }

    fn place(&mut self, path: &str, at: &Range<usize>) {
        let position = self.position(at);
        self.places.insert(path.to_owned(), position);
    }

    fn position(&self, at: &Range<usize>) -> Position {
        let line = self.lines.partition_point(|start| *start <= at.start);
        let start = line.checked_sub(1).and_then(|line| self.lines.get(line)).copied().unwrap_or(0);
        // A file of at most a mebibyte has no line or column that does not fit.
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Position { line: number(line), column: number(at.start - start + 1) }
    }

    fn error(&self, at: Option<&Range<usize>>, key: &str, problem: Problem) -> PolicyError {
        let at = at.map(|at| self.position(at));
        PolicyError { file: self.file.to_owned(), at, key: key.to_owned(), problem: Box::new(problem) }
    }

    fn unknown(&self, at: &Range<usize>, parent: &str, name: &str, known: &str) -> PolicyError {
        self.error(Some(at), &join(parent, &shown(name)), Problem::UnknownKey { known: known.to_owned() })
    }

    fn wrong_type(&self, at: &Range<usize>, path: &str, value: &DeValue<'_>, expected: String) -> PolicyError {
        let found = match value {
            DeValue::String(_) => "text",
            DeValue::Integer(n) if n.radix() == 10 => "a whole number",
            DeValue::Integer(_) => "a number that is not in decimal digits",
            DeValue::Float(_) => "a floating-point number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        self.error(Some(at), path, Problem::WrongType { found, expected })
    }

    fn syntax(&self, error: &toml::de::Error) -> PolicyError {
        let at = error.span();
        if error.message() == "duplicate key" {
            let key = at.clone().and_then(|at| self.text.get(at)).unwrap_or_default();
            return self.error(at.as_ref(), &shown(key), Problem::Duplicate);
        }
        self.error(at.as_ref(), "", Problem::Syntax { message: shown(error.message()) })
    }
}

/// The entries of a table in the order of the file.
fn entries<'t, 'i>(table: &'t DeTable<'i>) -> Vec<Entry<'t, 'i>> {
    let entry = |(name, value): (&'t Spanned<_>, &'t Spanned<DeValue<'i>>)| {
        let name: &'t Spanned<toml::de::DeString<'i>> = name;
        Entry { name: name.get_ref().as_ref(), at: name.span(), value }
    };
    let mut entries: Vec<Entry<'t, 'i>> = table.iter().map(entry).collect();
    entries.sort_by_key(|entry| entry.at.start);
    entries
}

fn line_starts(text: &str) -> Vec<usize> {
    let after_breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(i, _)| i + 1);
    std::iter::once(0).chain(after_breaks).collect()
}

fn is_named_only(keys: &'static [Key], prefix: &str, name: &str) -> bool {
    let key = keys::find(keys, &format!("{prefix}{name}"));
    key.is_some_and(|key| key.presence == Presence::NamedOnly)
}

/// A line that would do for a key, in the table that holds it.
fn line(key: &Key) -> String {
    let name = key.name.rsplit('.').next().unwrap_or(key.name);
    match key.form {
        Form::Count { .. } => format!("{name} = {}", key.example),
        Form::Span | Form::Ratio | Form::Money | Form::Price | Form::Name | Form::Choice { .. } => {
            format!("{name} = \"{}\"", key.example)
        }
    }
}

/// `parent.name`, with the name in quotes where TOML needs them.
pub(crate) fn join(parent: &str, name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let name = if bare { name.to_owned() } else { format!("\"{name}\"") };
    if parent.is_empty() { name } else { format!("{parent}.{name}") }
}

/// `parent.name` for a name that is itself a dotted path, or empty.
pub(crate) fn join_dotted(parent: &str, name: &str) -> String {
    if name.is_empty() { parent.to_owned() } else { format!("{parent}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::write::tests::{shipped, without_overrides};

    /// A small whole policy to which a test appends a line or two.
    fn small() -> String {
        without_overrides(&shipped("default.toml"))
    }

    fn line_of(text: &str, needle: &str) -> usize {
        text.lines().position(|line| line.contains(needle)).unwrap() + 1
    }

    /// Replaces `from` by `to` in the small policy and expects the message, in which `LINE` stands for its line.
    #[track_caller]
    fn check(from: &str, to: &str, message: &str) {
        let text = small();
        assert!(text.contains(from), "{from:?} is not in\n{text}");
        let text = text.replacen(from, to, 1);
        let needle = to.lines().last().unwrap();
        let line = text.lines().position(|line| line.contains(needle)).map(|line| (line + 1).to_string());
        let found = Policy::parse(&text, "p.toml").unwrap_err().to_string();
        assert_eq!(found, message.replace("LINE", &line.unwrap_or_default()));
    }

    #[track_caller]
    fn check_appended(lines: &str, message: &str) {
        let text = small();
        let line = text.lines().count() + lines.lines().count();
        let found = Policy::parse(&format!("{text}{lines}\n"), "p.toml").unwrap_err().to_string();
        assert_eq!(found, message.replace("LINE", &line.to_string()));
    }

    #[test]
    fn a_missing_unit_names_line_column_key_and_remedy() {
        check(
            "age_max = \"10s\"",
            "age_max = \"10\"",
            "p.toml:LINE:11: market.default.oracle.age_max: `10` has no unit; write one of ms, s, m, h, d after the \
             number: `10s`",
        );
        check(
            "age_max = \"10s\"",
            "age_max = 10",
            "p.toml:LINE:11: market.default.oracle.age_max: is a whole number, expected text with a unit: \
             `age_max = \"10s\"`",
        );
    }

    #[test]
    fn floats_are_refused_with_the_remedy() {
        check(
            "agree = \"1%\"",
            "agree = 0.01",
            "p.toml:LINE:9: market.default.oracle.agree: `0.01` is a floating-point number, which can't hold it \
             exactly; write it as text with a unit: `agree = \"1%\"`",
        );
        for literal in ["1e3", "inf", "nan", "-0.0"] {
            let found = Policy::parse(&small().replacen("agree = \"1%\"", &format!("agree = {literal}"), 1), "p.toml");
            assert!(matches!(*found.unwrap_err().problem, Problem::Float { .. }), "{literal}");
        }
        check(
            "lineages_min = 2",
            "lineages_min = 2.0",
            "p.toml:LINE:16: market.default.oracle.lineages_min: is a floating-point number, expected a whole number \
             in decimal digits: `lineages_min = 2`",
        );
    }

    #[test]
    fn an_unknown_key_is_refused_on_every_level() {
        check_appended(
            "[market.BTC.oracle]\nage_mx = \"1s\"",
            "p.toml:LINE:1: market.BTC.oracle.age_mx: unknown key; known here: age_max, silence_floor, future_max, confidence_max, jump_max, jump_window, jump_confirm, leap_max, leap_confirm, agree, dispute, lineages_min, overrule_lineages, dispute_confirm, last_good_max, twap_max, guardians_min, confidence_scale, fallback_confidence, derived_haircut",
        );
        check_appended(
            "[market.BTC.oracel]",
            "p.toml:LINE:13: market.BTC.oracel: unknown key; known here: pool, order_size_max, open_interest_max, open_interest_margin_from, oracle, mark, funding, collateral, detectors, activity, chain, breaker, liquidation, tier, source",
        );
        check_appended(
            "[market.BTC.detectors]\nband.caution = \"1%\"",
            "p.toml:LINE:6: market.BTC.detectors.band.caution: unknown key; known here: cautious, reduce_only",
        );
        check_appended("[markets.BTC]", "p.toml:LINE:2: markets: unknown key; known here: pool, market, source");
        check_appended(
            "[source.x]\nwieght = 1",
            "p.toml:LINE:1: source.x.wieght: unknown key; known here: weight, heartbeat, lineage, price_min, price_max, kind, rung, quote",
        );
        check(
            "[source.default]",
            "[source.default]\nlineage = \"x\"",
            "p.toml:LINE:1: source.default.lineage: unknown key; known here: weight, heartbeat, price_min, price_max",
        );
        check_appended(
            "[market.BTC.source.default]",
            "p.toml:LINE:20: market.BTC.source.default: unknown key; known here: the name of a source",
        );
        check(
            "[market.default.mark]",
            "[market.default.source.x]",
            "p.toml:LINE:17: market.default.source: unknown key; known here: pool, order_size_max, open_interest_max, open_interest_margin_from, oracle, mark, funding, collateral, detectors, activity, chain, breaker, liquidation, tier",
        );
        check_appended(
            "[market.BTC]\n\"oracle.age_max\" = \"1s\"",
            "p.toml:LINE:1: market.BTC.\"oracle.age_max\": unknown key; known here: pool, order_size_max, open_interest_max, open_interest_margin_from, oracle, mark, funding, collateral, detectors, activity, chain, breaker, liquidation, tier, source",
        );
        check_appended(
            "[[market.BTC.tier]]\nnotional_from = \"0 USD\"\ninitial = \"5%\"\nmaintenance = \"2%\"\nfee = \"1%\"",
            "p.toml:LINE:1: market.BTC.tier[0].fee: unknown key; known here: notional_from, initial, maintenance",
        );
    }

    #[test]
    fn a_missing_key_is_named_with_a_line_that_would_do() {
        let text = small();
        let line = line_of(&text, "[market.default.oracle]");
        let found = Policy::parse(&text.replace("age_max = \"10s\"\n", ""), "p.toml").unwrap_err().to_string();
        assert_eq!(
            found,
            format!("p.toml:{line}:17: market.default.oracle.age_max: missing; write for example `age_max = \"10s\"`")
        );
        // A section that is missing as a whole is missing from the table around it.
        let (before, after) = text.split_once("[market.default.mark]").unwrap();
        let (_, after) = after.split_once("[market.default.detectors]").unwrap();
        let line = line_of(&text, "[market.default]");
        let found =
            Policy::parse(&format!("{before}[market.default.detectors]{after}"), "p.toml").unwrap_err().to_string();
        assert_eq!(
            found,
            format!(
                "p.toml:{line}:9: market.default.mark.premium_max: missing; write for example `premium_max = \"0.5%\"`"
            )
        );
        let found = Policy::parse("", "p.toml").unwrap_err().to_string();
        assert_eq!(found, "p.toml: pool: missing; write for example `[pool.main]`");
        let (before, _) = text.split_once("[source.default]").unwrap();
        let found = Policy::parse(before, "p.toml").unwrap_err().to_string();
        assert_eq!(found, "p.toml: source.default: missing; write for example `[source.default]`");
        let line = line_of(&text, "[market.default]");
        let (before, _) = before.split_once("[[market.default.tier]]").unwrap();
        let found = Policy::parse(before, "p.toml").unwrap_err().to_string();
        assert_eq!(
            found,
            format!("p.toml:{line}:9: market.default.tier: missing; write for example `[[market.default.tier]]`")
        );
        check_appended(
            "[pool.second]",
            "p.toml:LINE:7: pool.second.accounts_max: missing; write for example `accounts_max = 5_000_000`",
        );
        check_appended(
            "[[market.BTC.tier]]",
            "p.toml:LINE:1: market.BTC.tier[0].notional_from: missing; write for example `notional_from = \"0 USD\"`",
        );
    }

    #[test]
    fn a_duplicate_is_refused() {
        check(
            "[source.default]",
            "[source.default]\nweight = 7\nweight = 8",
            "p.toml:LINE:1: weight: given twice; keep one of the two",
        );
        check_appended("[source.default]", "p.toml:LINE:9: default: given twice; keep one of the two");
    }

    #[test]
    fn a_wrong_type_is_refused() {
        check(
            "weight = 1",
            "weight = \"1\"",
            "p.toml:LINE:10: source.default.weight: is text, expected a whole number in decimal digits: `weight = 1`",
        );
        check(
            "weight = 1",
            "weight = 0x1",
            "p.toml:LINE:10: source.default.weight: is a number that is not in decimal digits, expected a whole number in decimal digits: `weight = 1`",
        );
        check(
            "weight = 1",
            "weight = true",
            "p.toml:LINE:10: source.default.weight: is true or false, expected a whole number in decimal digits: `weight = 1`",
        );
        check(
            "pool = \"main\"",
            "pool = 1",
            "p.toml:LINE:8: market.default.pool: is a whole number, expected a name as text: `pool = \"main\"`",
        );
        check_appended(
            "[market.BTC]\noracle = \"10s\"",
            "p.toml:LINE:1: market.BTC.oracle: is text, expected a table: `[market.BTC.oracle]`",
        );
        check_appended(
            "[market.BTC]\noracle.age_max.x = 1",
            "p.toml:LINE:8: market.BTC.oracle.age_max: is a table, expected text with a unit: `age_max = \"10s\"`",
        );
        check_appended(
            "[market.BTC.tier]",
            "p.toml:LINE:13: market.BTC.tier: is a table, expected an array of tables: `[[market.BTC.tier]]`",
        );
        check_appended(
            "[market.BTC]\ntier = [1]",
            "p.toml:LINE:9: market.BTC.tier[0]: is a whole number, expected an array of tables: `[[market.BTC.tier]]`",
        );
        check_appended(
            "[market.BTC]\ntier = []",
            "p.toml:LINE:1: market.BTC.tier: lists no tier; list at least one, or leave it out to inherit market.default's",
        );
        check_appended(
            "[source]\nx = 1979-05-27",
            "p.toml:LINE:1: source.x: is a date or time, expected a table: `[source.x]`",
        );
    }

    #[test]
    fn counts_have_edges() {
        check(
            "weight = 1",
            "weight = -1",
            "p.toml:LINE:10: source.default.weight: `-1` is negative; no key of a policy may be",
        );
        check(
            "lineages_min = 2",
            "lineages_min = 256",
            "p.toml:LINE:16: market.default.oracle.lineages_min: `256` is too large; at most 255",
        );
        check(
            "weight = 1",
            "weight = 99999999999999999999",
            "p.toml:LINE:10: source.default.weight: `99999999999999999999` is too large; at most 4_294_967_295",
        );
        let text = small().replacen("lineages_min = 2", "lineages_min = 255", 1);
        assert!(Policy::parse(&text, "p.toml").is_ok());
    }

    #[test]
    fn names_are_checked() {
        check_appended(
            "[market.\"\u{0412}TC\"]",
            "p.toml:LINE:9: market: `\u{0412}TC` can't be a name; names are 1 to 64 printable ASCII characters without blanks, quotes or backslashes",
        );
        check_appended(
            "[source.x]\nlineage = \"a b\"",
            "p.toml:LINE:11: source.x.lineage: `a b` can't be a name; names are 1 to 64 printable ASCII characters without blanks, quotes or backslashes",
        );
        check(
            "pool = \"main\"",
            "pool = \"mian\"",
            "p.toml:LINE:1: market.default.pool: `mian` is no pool of this policy; add `[pool.mian]` or name one of: main",
        );
        let text = format!("{}[market.\"BTC.P\".oracle]\njump_max = \"5%\"\n", small());
        assert!(Policy::parse(&text, "p.toml").is_ok());
        let text = text.replace("jump_max = \"5%\"", "jump_max = \"5\"");
        let found = Policy::parse(&text, "p.toml").unwrap_err();
        assert_eq!(found.key, "market.\"BTC.P\".oracle.jump_max");
    }

    #[test]
    fn what_is_not_toml_is_refused_with_its_line() {
        check(
            "weight = 1",
            "weight = ",
            "p.toml:LINE:10: not TOML: string values must be quoted, expected literal string",
        );
        check("weight = 1", "weight 1", "p.toml:LINE:8: not TOML: key with no value, expected `=`");
        check(
            "weight = 1",
            "weight = 1\u{7}",
            "p.toml:LINE:10: not TOML: string values must be quoted, expected literal string",
        );
    }

    #[test]
    fn a_file_past_the_limit_is_not_read() {
        let text = small();
        let padding = BYTES_MAX - text.len() - 1;
        let edge = format!("{text}#{}", "x".repeat(padding));
        assert!(Policy::parse(&edge, "p.toml").is_ok());
        let found = Policy::parse(&format!("{edge}x"), "p.toml").unwrap_err().to_string();
        assert_eq!(
            found,
            "p.toml: the file has 1048577 bytes and at most 1048576 are read; remove what it does not need"
        );
        let found = Policy::parse(&"x".repeat(10_000_000), "p.toml").unwrap_err().to_string();
        assert_eq!(
            found,
            "p.toml: the file has 10000000 bytes and at most 1048576 are read; remove what it does not need"
        );
    }

    #[test]
    fn deep_nesting_is_refused_and_does_not_exhaust_the_stack() {
        let dotted = "a.".repeat(400_000) + "a = 1";
        let header = format!("[{}a]", "a.".repeat(400_000));
        let arrays = format!("a = {}", "[".repeat(900_000));
        let tables = format!("a = {}", "{a=".repeat(300_000));
        let both = format!("a = {}", format!("{{{}a=\n", "a.".repeat(78)).repeat(6_000));
        for text in [dotted, header, arrays, tables, both] {
            let found = Policy::parse(&text, "p.toml").unwrap_err();
            assert!(matches!(*found.problem, Problem::Syntax { .. }), "{found}");
        }
    }

    #[test]
    fn the_first_mistake_in_reading_order_is_reported() {
        let text = small().replacen("age_max = \"10s\"", "age_max = \"10\"", 1).replacen("weight = 1", "wieght = 1", 1);
        assert_eq!(Policy::parse(&text, "p.toml").unwrap_err().key, "market.default.oracle.age_max");
    }

    #[test]
    fn inline_tables_dotted_keys_and_headers_say_the_same() {
        let text = small();
        let a = format!("{text}[market.BTC]\ndetectors = {{ velocity = {{ cautious = \"2%\" }} }}\n");
        let b = format!("{text}[market.BTC.detectors.velocity]\ncautious = \"200 bps\"\n");
        let c = format!("market.BTC.detectors.velocity.cautious = \"2.0 %\"\n{text}");
        let [a, b, c] = [a, b, c].map(|text| Policy::parse(&text, "p.toml").unwrap());
        assert_eq!(a, b);
        assert_eq!(a, c);
        assert_eq!(a.digest(), c.digest());
    }
}
