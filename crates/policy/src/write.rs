//! What a policy says to its canonical text, the digest over it, and what differs between two policies.

use crate::keys::{self, Key, MARKET, POOL, SOURCE, TIER};
use crate::quantity::{self, Form};
use crate::read::join;
use crate::{DEFAULT, MarketSaid, Policy, Value, Values};
use protocol::params::Tier;
use std::collections::BTreeMap;
use std::fmt::{self, Write};

/// The BLAKE3 digest of a policy's canonical text: equal for two files that say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One key that two policies say differently; text only, what of it is in force is said by [`crate::compare`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key as a dotted path.
    pub key: String,
    /// What the old policy says, or `None` where it inherits or lacks it.
    pub old: Option<String>,
    /// What the new policy says, or `None` where it inherits or lacks it.
    pub new: Option<String>,
}

impl Policy {
    /// The canonical text: without comments, in the order of the key tables, names in byte order but pools in their
    /// own, each quantity in one spelling. Reading it gives this policy again.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        for (name, values) in &self.said.pools {
            table(&mut text, &join("pool", name), POOL, values);
        }
        for (name, market) in default_first(&self.said.markets) {
            market_table(&mut text, &join("market", name), market);
        }
        for (name, values) in default_first(&self.said.sources) {
            table(&mut text, &join("source", name), SOURCE, values);
        }
        text
    }

    /// Names what the policy says: the digest of [`Policy::to_toml`].
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest(*blake3::hash(self.to_toml().as_bytes()).as_bytes())
    }

    /// Every key that is said, with its canonical text.
    fn flat(&self) -> BTreeMap<String, String> {
        let mut flat = BTreeMap::new();
        let mut add = |path: &str, keys: &'static [Key], values: &Values| {
            for (key, value) in said(keys, values) {
                flat.insert(format!("{path}.{}", key.name), quantity::write(key.form, value));
            }
        };
        for (name, values) in &self.said.pools {
            add(&join("pool", name), POOL, values);
        }
        for (name, values) in &self.said.sources {
            add(&join("source", name), SOURCE, values);
        }
        for (name, market) in &self.said.markets {
            let path = join("market", name);
            add(&path, MARKET, &market.values);
            for (i, tier) in market.tiers.iter().flatten().enumerate() {
                add(&format!("{path}.tier[{i}]"), TIER, &tier_values(tier));
            }
            for (name, values) in &market.sources {
                add(&join(&join(&path, "source"), name), SOURCE, values);
            }
        }
        // Pools are numbered in this order.
        let pools: Vec<&str> = self.said.pools.iter().map(|(name, _)| name.as_str()).collect();
        flat.insert("pool".to_owned(), pools.join(", "));
        flat
    }
}

/// What `new` says differently than `old`, by key.
#[must_use]
pub fn diff(old: &Policy, new: &Policy) -> Vec<Change> {
    let (mut old, mut new) = (old.flat(), new.flat());
    let mut keys: Vec<String> = old.keys().chain(new.keys()).cloned().collect();
    keys.sort();
    keys.dedup();
    let change = |key: String| Change { old: old.remove(&key), new: new.remove(&key), key };
    keys.into_iter().map(change).filter(|change| change.old != change.new).collect()
}

fn default_first<T>(map: &BTreeMap<String, T>) -> impl Iterator<Item = (&String, &T)> {
    let default = map.iter().filter(|(name, _)| *name == DEFAULT);
    default.chain(map.iter().filter(|(name, _)| *name != DEFAULT))
}

/// The keys that are said, in the order of their table.
fn said<'a>(keys: &'static [Key], values: &'a Values) -> impl Iterator<Item = (&'static Key, &'a Value)> {
    keys.iter().filter_map(|key| values.get(key.name).map(|value| (key, value)))
}

fn market_table(text: &mut String, path: &str, market: &MarketSaid) {
    header(text, &format!("[{path}]"));
    let mut section = "";
    for (key, value) in said(MARKET, &market.values) {
        let (head, name) = key.name.split_once('.').unwrap_or(("", key.name));
        if head != section {
            section = head;
            header(text, &format!("[{path}.{section}]"));
        }
        line(text, name, key.form, value);
    }
    for tier in market.tiers.iter().flatten() {
        header(text, &format!("[[{path}.tier]]"));
        for (key, value) in said(TIER, &tier_values(tier)) {
            line(text, key.name, key.form, value);
        }
    }
    for (name, values) in &market.sources {
        table(text, &join(&format!("{path}.source"), name), SOURCE, values);
    }
}

fn table(text: &mut String, path: &str, keys: &'static [Key], values: &Values) {
    header(text, &format!("[{path}]"));
    for (key, value) in said(keys, values) {
        line(text, key.name, key.form, value);
    }
}

fn header(text: &mut String, header: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(header);
    text.push('\n');
}

fn line(text: &mut String, name: &str, form: Form, value: &Value) {
    let value = quantity::write(form, value);
    let quote = if matches!(form, Form::Count { .. }) { "" } else { "\"" };
    // Writing to a String does not fail.
    let _ = writeln!(text, "{name} = {quote}{value}{quote}");
}

pub(crate) fn tier_values(tier: &Tier) -> Values {
    let numbers =
        [("notional_from", tier.notional_from), ("initial", tier.initial.0), ("maintenance", tier.maintenance.0)];
    let known = numbers.into_iter().filter_map(|(name, n)| keys::find(TIER, name).map(|key| (key.name, Value::Int(n))));
    known.collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::keys::Presence;
    use crate::{MarketSaid, Said};
    use proptest::prelude::*;
    use units::Ratio;

    fn name() -> impl Strategy<Value = String> {
        "[!#-\\[\\]-~]{1,12}".prop_filter("default is reserved", |name| name != DEFAULT)
    }

    fn value(form: Form) -> BoxedStrategy<Value> {
        match form {
            Form::Count { max } => (0..=max).prop_map(Value::Int).boxed(),
            Form::Span | Form::Ratio | Form::Money => {
                let round = (0..=9_000_000_i64, 0..=9_u32).prop_map(|(n, p)| Value::Int(n * 10_i64.pow(p)));
                prop_oneof![(0..=i64::MAX).prop_map(Value::Int), round, Just(Value::Int(i64::MAX))].boxed()
            }
            Form::Price => prop_oneof![(0..=i128::MAX), Just(0), Just(i128::MAX)].prop_map(Value::Pico).boxed(),
            Form::Name => name().prop_map(Value::Name).boxed(),
            Form::Choice { of } => (0..of.len()).prop_map(|i| Value::Name(of[i].to_owned())).boxed(),
        }
    }

    /// Values for a table: all that are required in the one that others inherit from, any subset elsewhere.
    fn values(keys: &'static [Key], is_default: bool) -> BoxedStrategy<Values> {
        let mut strategy: BoxedStrategy<Values> = Just(Values::new()).boxed();
        for key in keys {
            // The pool must exist; the policy's strategy sets it.
            if key.name == "pool" || (is_default && key.presence == Presence::NamedOnly) {
                continue;
            }
            let always = is_default && key.presence == Presence::Required;
            strategy = (strategy, value(key.form), any::<bool>())
                .prop_map(move |(mut values, value, present)| {
                    if always || present {
                        values.insert(key.name, value);
                    }
                    values
                })
                .boxed();
        }
        strategy
    }

    fn tiers() -> impl Strategy<Value = Vec<Tier>> {
        let tier = (0..=i64::MAX, 0..=i64::MAX, 0..=i64::MAX).prop_map(|(notional_from, initial, maintenance)| Tier {
            notional_from,
            initial: Ratio(initial),
            maintenance: Ratio(maintenance),
        });
        proptest::collection::vec(tier, 1..4)
    }

    fn market() -> impl Strategy<Value = MarketSaid> {
        let sources = proptest::collection::btree_map(name(), values(SOURCE, false), 0..3);
        (values(MARKET, false), proptest::option::of(tiers()), sources)
            .prop_map(|(values, tiers, sources)| MarketSaid { values, tiers, sources })
    }

    pub(crate) fn policy() -> impl Strategy<Value = Policy> {
        let pools = proptest::collection::btree_map(name(), values(POOL, true), 1..4).prop_shuffle_pools();
        let defaults = (values(MARKET, true), tiers(), values(SOURCE, true));
        let markets = proptest::collection::btree_map(name(), (market(), any::<prop::sample::Index>()), 0..4);
        let sources = proptest::collection::btree_map(name(), values(SOURCE, false), 0..4);
        (pools, defaults, markets, sources).prop_map(|(pools, (mut default, tiers, source), markets, sources)| {
            let pool = |i: usize| Value::Name(pools.get(i % pools.len()).unwrap().0.clone());
            default.insert("pool", pool(0));
            let mut said = Said { pools: pools.clone(), markets: BTreeMap::new(), sources };
            said.markets.insert(
                DEFAULT.to_owned(),
                MarketSaid { values: default, tiers: Some(tiers), sources: BTreeMap::new() },
            );
            for (name, (mut market, index)) in markets {
                market.values.insert("pool", pool(index.index(pools.len())));
                said.markets.insert(name, market);
            }
            said.sources.insert(DEFAULT.to_owned(), source);
            Policy { said, file: String::new(), places: BTreeMap::new() }
        })
    }

    /// Pools stand in an order of their own.
    trait ShufflePools: Strategy<Value = BTreeMap<String, Values>> + Sized + 'static {
        fn prop_shuffle_pools(self) -> BoxedStrategy<Vec<(String, Values)>> {
            self.prop_map(|map| map.into_iter().collect::<Vec<_>>()).prop_shuffle().boxed()
        }
    }

    impl<S: Strategy<Value = BTreeMap<String, Values>> + 'static> ShufflePools for S {}

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn reading_the_canonical_text_gives_the_policy_again(policy in policy()) {
            let text = policy.to_toml();
            let again = Policy::parse(&text, "p.toml").map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
            prop_assert_eq!(&again, &policy);
            prop_assert_eq!(again.to_toml(), text);
            prop_assert_eq!(diff(&policy, &again), vec![]);
        }

        #[test]
        fn policies_that_differ_have_a_diff_and_another_digest(a in policy(), b in policy()) {
            prop_assert_eq!(a == b, a.digest() == b.digest());
            // An override that says nothing differs in text alone.
            if a.flat() != b.flat() {
                prop_assert!(!diff(&a, &b).is_empty());
            }
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "(\\[|\\]|market|pool|source|tier|default|\\.|=|\"|'|\n|[0-9]|%|s| |\\{|\\}|#|\\PC){0,60}") {
            let _ = Policy::parse(&text, "p.toml");
        }
    }

    pub(crate) fn shipped(name: &str) -> Policy {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies").join(name);
        let text = std::fs::read_to_string(path).unwrap();
        Policy::parse(&text, name).map_err(|error| error.to_string()).unwrap()
    }

    /// The canonical text of a policy's pools and defaults alone, so that a test doesn't depend on which overrides the
    /// shipped file has.
    pub(crate) fn without_overrides(policy: &Policy) -> String {
        let mut kept = policy.clone();
        kept.said.markets.retain(|name, _| name == DEFAULT);
        kept.said.sources.retain(|name, _| name == DEFAULT);
        kept.to_toml()
    }

    #[test]
    fn the_canonical_text_parts_its_tables_by_one_blank_line() {
        let mut text = String::new();
        header(&mut text, "[pool.main]");
        header(&mut text, "[source.default]");
        assert_eq!(text, "[pool.main]\n\n[source.default]\n");
        let whole = shipped("default.toml").to_toml();
        assert!(whole.starts_with("[pool.main]\naccounts_max = "), "{whole}");
        assert_eq!(whole.matches("\n\n").count() + 1, whole.lines().filter(|line| line.starts_with('[')).count());
    }

    #[test]
    fn a_diff_names_what_changed_and_only_that() {
        let old = shipped("default.toml");
        let text = old.to_toml().replacen("\nage_max = \"10s\"", "\nage_max = \"5s\"", 1);
        let text = text + "[market.NEW.mark]\npremium_max = \"1%\"\n";
        let new = Policy::parse(&text, "new.toml").unwrap();
        let change = |key: &str, old: Option<&str>, new: Option<&str>| Change {
            key: key.to_owned(),
            old: old.map(str::to_owned),
            new: new.map(str::to_owned),
        };
        let changes = vec![
            change("market.NEW.mark.premium_max", None, Some("1%")),
            change("market.default.oracle.age_max", Some("10s"), Some("5s")),
        ];
        assert_eq!(diff(&old, &new), changes);
        assert_ne!(old.digest(), new.digest());
    }

    #[test]
    fn the_order_of_pools_is_part_of_what_is_said() {
        let pool = "accounts_max = 1\naccount_min = \"1 USD\"\norders_per_account_max = 1\naccount_borrow_max = \"1 USD\"\nborrow_max = \"1 USD\"\ninsurance_share_per_account = \"1%\"\n";
        let rest = shipped("default.toml").to_toml();
        let a = Policy::parse(&format!("[pool.b]\n{pool}[pool.a]\n{pool}{rest}"), "p").unwrap();
        let b = Policy::parse(&format!("[pool.a]\n{pool}[pool.b]\n{pool}{rest}"), "p").unwrap();
        assert_ne!(a, b);
        let change =
            Change { key: "pool".to_owned(), old: Some("b, a, main".to_owned()), new: Some("a, b, main".to_owned()) };
        assert_eq!(diff(&a, &b), vec![change]);
    }

    #[test]
    fn a_digest_is_sixty_four_hexadecimal_digits_and_ignores_spelling() {
        let policy = shipped("default.toml");
        let spelled = policy.to_toml().replacen("\"10s\"", "\"10_000 ms\" # ten seconds", 1);
        let digest = policy.digest().to_string();
        assert_eq!(Policy::parse(&spelled, "p.toml").unwrap().digest().to_string(), digest);
        assert!(digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()), "{digest}");
        assert_eq!(Digest([0xab; 32]).to_string(), "ab".repeat(32));
    }
}
