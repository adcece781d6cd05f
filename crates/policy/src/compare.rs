//! What is in force under two policies: every key is resolved as for a listing, compared by the protocol, and said
//! again in the words of the file.
//!
//! `default` stands for every market and source that the policy doesn't name. What changes there changes in every table
//! that inherits it and is said once, with the tables that it does not reach.

use crate::error::PolicyError;
use crate::keys::{self, Key, MARKET, POOL, SOURCE, TIER};
use crate::list::{Listing, MarketListing, View, pool, rung};
use crate::quantity::{self, Form};
use crate::read::join;
use crate::write::tier_values;
use crate::{DEFAULT, Policy, Value};
use protocol::direction::{Difference, Direction, Subject};
use protocol::params::{MarketParams, SourceParams, Tier, VenueParams};
use protocol::{LineageId, MarketId, PoolId, Rung, SourceKind};
use std::collections::BTreeSet;
use units::{Price, Scale};

/// A key that is in force with another value, and what that means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amendment {
    /// The table of the file that it is about, as in `market.default`; empty for the venue.
    pub table: String,
    /// The key below the table, as in `oracle.age_max`.
    pub key: &'static str,
    /// Of a tier's rate: the part of the notional for which it changes.
    pub stretch: Option<Stretch>,
    /// What was in force, as text of the file; `None` where nothing was said and nothing need be.
    pub old: Option<String>,
    /// What will be.
    pub new: Option<String>,
    /// Which way that goes.
    pub direction: Direction,
    /// What it means, and for whom.
    pub why: &'static str,
    /// Whether open positions need more: a tightening that can liquidate.
    pub raises_maintenance: bool,
    /// The tables that would inherit it and don't, since they say something else.
    pub except: Vec<String>,
}

/// A part of a notional.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Where it begins.
    pub from: String,
    /// Where it ends, if it does.
    pub to: Option<String>,
}

impl Amendment {
    /// Whether both say the same of their tables.
    fn is_like(&self, other: &Amendment) -> bool {
        (self.key, &self.stretch, &self.old, &self.new) == (other.key, &other.stretch, &other.old, &other.new)
    }
}

/// What `new` changes of what is in force under `old`, in the order of a policy file.
///
/// A key that moved between `default` and an override without changing what holds is no change, nor is a table that
/// says what would be inherited.
///
/// ```
/// use policy::{Direction, Policy, compare};
/// let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/default.toml"));
/// let old = Policy::parse(text, "old.toml")?;
/// let new = Policy::parse(&text.replace("confidence_max = \"2%\"", "confidence_max = \"1%\""), "new.toml")?;
/// let changes = compare(&old, &new)?;
/// assert_eq!((changes[0].table.as_str(), changes[0].key), ("market.default", "oracle.confidence_max"));
/// assert_eq!((changes[0].old.as_deref(), changes[0].new.as_deref()), (Some("2%"), Some("1%")));
/// let direction = changes.iter().fold(Direction::Neutral, |all, change| all.join(change.direction));
/// assert_eq!(direction, Direction::Tighten);
/// # Ok::<(), policy::PolicyError>(())
/// ```
///
/// # Errors
/// A key without which nothing can be listed; [`Policy::parse`] has refused a file that lacks one.
pub fn compare(old: &Policy, new: &Policy) -> Result<Vec<Amendment>, PolicyError> {
    let names = Names::of(old, new);
    let mut tables = names.tables();
    let relisted = (pool_list(old) != pool_list(new)).then(Difference::of_pools);
    let differences = resolve(old, new, &names)?.compare(&resolve(new, old, &names)?);
    for difference in relisted.into_iter().chain(differences) {
        let (place, stretch) = names.place(difference.subject);
        let table = &mut tables[place];
        table.amendments.push(Amendment {
            table: table.path.clone(),
            key: difference.field,
            stretch,
            old: text(old, &names, &difference),
            new: text(new, &names, &difference),
            direction: difference.direction,
            why: difference.why,
            raises_maintenance: difference.raises_maintenance(),
            except: Vec::new(),
        });
    }
    Ok(said_once(tables))
}

/// Names that are compared, in the order of their places in the parameters that stand for them.
struct Names<'a> {
    /// Pools that both have.
    pools: Vec<&'a str>,
    /// Each market that either names, `default` first, with its sources: of `default` every source that either names
    /// anywhere, `default` first; of another market those that it names itself.
    markets: Vec<(&'a str, Vec<&'a str>)>,
    /// Where the tables of each market's sources begin.
    sources_from: Vec<usize>,
}

/// A table of the file.
struct Table {
    path: String,
    /// The table that it inherits from.
    parent: Option<usize>,
    amendments: Vec<Amendment>,
}

impl<'a> Names<'a> {
    fn of(old: &'a Policy, new: &'a Policy) -> Names<'a> {
        let (old, new) = (&old.said, &new.said);
        let both = |name: &&str| new.pools.iter().any(|(other, _)| other == name);
        let pools: BTreeSet<&str> = old.pools.iter().map(|(name, _)| name.as_str()).filter(both).collect();
        let markets: BTreeSet<&str> = old.markets.keys().chain(new.markets.keys()).map(String::as_str).collect();
        let of_market = |market: &str| {
            let said = [old, new].into_iter().filter_map(|said| said.markets.get(market));
            said.flat_map(|said| said.sources.keys()).map(String::as_str).collect::<BTreeSet<&str>>()
        };
        let anywhere = old.sources.keys().chain(new.sources.keys()).map(String::as_str);
        let anywhere = anywhere.chain(markets.iter().flat_map(|market| of_market(market))).collect();
        let mut names = Names {
            pools: pools.into_iter().collect(),
            markets: vec![(DEFAULT, default_first(anywhere))],
            sources_from: Vec::new(),
        };
        let named = markets.iter().filter(|market| **market != DEFAULT);
        names.markets.extend(named.map(|market| (*market, of_market(market).into_iter().collect())));
        let mut from = 1 + names.pools.len() + names.markets.len();
        for (_, sources) in &names.markets {
            names.sources_from.push(from);
            from += sources.len();
        }
        names
    }

    /// The venue, which has none in the file, then pools, markets and sources.
    fn tables(&self) -> Vec<Table> {
        let table = |path: String, parent| Table { path, parent, amendments: Vec::new() };
        let mut tables = vec![table(String::new(), None)];
        tables.extend(self.pools.iter().map(|name| table(join("pool", name), None)));
        let first = tables.len();
        for (id, (name, _)) in self.markets.iter().enumerate() {
            tables.push(table(join("market", name), (0 < id).then_some(first)));
        }
        let general = tables.len();
        let Some(((_, known), named)) = self.markets.split_first() else { return tables };
        for source in known {
            tables.push(table(join("source", source), (*source != DEFAULT).then_some(general)));
        }
        for (market, sources) in named {
            for source in sources {
                let parent = known.iter().position(|other| other == source).map(|place| general + place);
                tables.push(table(join(&join(&join("market", market), "source"), source), parent));
            }
        }
        tables
    }

    /// The table that a difference is about, and the part of a notional.
    fn place(&self, subject: Subject) -> (usize, Option<Stretch>) {
        let market = |id: usize| 1 + self.pools.len() + id;
        match subject {
            Subject::Venue => (0, None),
            Subject::Pool(id) => (1 + id, None),
            Subject::Market(id) => (market(id), None),
            Subject::Source(id, source) => (self.sources_from[id] + source, None),
            Subject::Tier { market: id, from, to } => {
                let usd = |bound: i64| quantity::write(Form::Money, &Value::Int(bound));
                (market(id), Some(Stretch { from: usd(from), to: to.map(usd) }))
            }
        }
    }
}

fn default_first(names: BTreeSet<&str>) -> Vec<&str> {
    std::iter::once(DEFAULT).chain(names.into_iter().filter(|name| *name != DEFAULT)).collect()
}

/// The parameters that `own` puts in force, to be compared with those of `other`.
///
/// A venue's scale and numbers are not known here. A lot is a micro-USD at the reference price, so that limits in USD
/// stay what they are. Names and prices, for which only a venue has numbers, become 1 where they are the larger of the
/// two and 0 elsewhere: of what is compared only the order counts.
fn resolve<'a>(own: &'a Policy, other: &'a Policy, names: &Names<'_>) -> Result<VenueParams, PolicyError> {
    let mut venue =
        VenueParams { pools: Vec::new(), markets: Vec::new(), governance: protocol::GovernanceParams::closed() };
    for name in &names.pools {
        venue.pools.extend(pool_view(own, name).map(|view| pool(&view)).transpose()?);
    }
    for (market, sources) in &names.markets {
        let mut params = unlisted(own, market)?;
        let pool = |policy: &'a Policy| policy.market_view(market).name("pool");
        params.pool = PoolId(u16::from(pool(other)? < pool(own)?));
        for source in sources {
            params.sources.push(resolve_source(&own.source_view(market, source), &other.source_view(market, source))?);
        }
        venue.markets.push(params);
    }
    Ok(venue)
}

/// A market's parameters without sources.
fn unlisted(policy: &Policy, market: &str) -> Result<MarketParams, PolicyError> {
    const SCALE: Scale = match Scale::new(Scale::PRICE_SHIFT_MAX, Scale::PRICE_SHIFT_MAX - 6) {
        Some(scale) => scale,
        None => panic!("a product of price and lot is a micro-USD"),
    };
    let listing =
        MarketListing { name: market.to_owned(), scale: SCALE, reference_price: Price(1), sources: Vec::new() };
    policy.market(&listing, &Listing { markets: Vec::new() }, &mut Vec::new())
}

fn resolve_source(own: &View<'_>, other: &View<'_>) -> Result<SourceParams, PolicyError> {
    // Without a bound every price is above the lower one and below the upper one.
    let bound = |view: &View<'_>, key: &str, without: i128| view.find(key).map_or(without, |found| found.pico());
    let rank = |key: &str, without: i128| Price(i64::from(bound(other, key, without) < bound(own, key, without)));
    let name = |key: &str| other.name(key).ok() < own.name(key).ok();
    Ok(SourceParams {
        weight: own.small("weight")?,
        lineage: LineageId(u8::from(name("lineage"))),
        heartbeat: own.span("heartbeat")?,
        price_min: rank("price_min", 0),
        price_max: rank("price_max", i128::MAX),
        kind: if name("kind") { SourceKind::Quotes } else { SourceKind::Trades },
        rung: if rung(other) < rung(own) { Rung::Secondary } else { Rung::Primary },
        quote: name("quote").then_some(MarketId(0)),
    })
}

fn pool_view<'a>(policy: &'a Policy, name: &str) -> Option<View<'a>> {
    let said = policy.said.pools.iter().find(|(own, _)| own == name);
    said.map(|(name, values)| policy.pool_view(name, values))
}

/// What a policy puts in force for the field that differs.
fn text(policy: &Policy, names: &Names<'_>, difference: &Difference) -> Option<String> {
    let field = difference.field;
    let write =
        |keys: &'static [Key], value: &Value| keys::find(keys, field).map(|key| quantity::write(key.form, value));
    let found = |keys: &'static [Key], view: &View<'_>| view.find(field).and_then(|found| write(keys, found.value));
    match difference.subject {
        Subject::Venue => Some(pool_list(policy)),
        Subject::Pool(id) => found(POOL, &pool_view(policy, names.pools[id])?),
        Subject::Market(id) => found(MARKET, &policy.market_view(names.markets[id].0)),
        Subject::Source(id, source) => {
            let (market, sources) = &names.markets[id];
            found(SOURCE, &policy.source_view(market, sources[source]))
        }
        Subject::Tier { market, from, .. } => {
            let tiers = policy.tiers(names.markets[market].0).1.iter();
            let reached = |tier: &&Tier| tier.notional_from <= from;
            let tier = tiers.filter(reached).max_by_key(|tier| tier.notional_from)?;
            let rate = field.strip_prefix("tier.")?;
            keys::find(TIER, rate).and_then(|key| Some(quantity::write(key.form, tier_values(tier).get(rate)?)))
        }
    }
}

/// The pools by name, in the order of their ids.
fn pool_list(policy: &Policy) -> String {
    let names: Vec<&str> = policy.said.pools.iter().map(|(name, _)| name.as_str()).collect();
    names.join(", ")
}

/// Leaves out what a table inherits, and notes where it is said which tables don't inherit it.
fn said_once(mut tables: Vec<Table>) -> Vec<Amendment> {
    let place_in =
        |table: &Table, amendment: &Amendment| table.amendments.iter().position(|own| own.is_like(amendment));
    let mut inherited = BTreeSet::new();
    let mut exceptions = Vec::new();
    for (id, table) in tables.iter().enumerate() {
        let Some(parent) = table.parent else { continue };
        for (place, amendment) in tables[parent].amendments.iter().enumerate() {
            if let Some(own) = place_in(table, amendment) {
                inherited.insert((id, own));
                continue;
            }
            // It is said where nothing farther out says it.
            let mut origin = (parent, place);
            while let Some(outer) = tables[origin.0].parent
                && let Some(place) = place_in(&tables[outer], amendment)
            {
                origin = (outer, place);
            }
            exceptions.push((origin, table.path.clone()));
        }
    }
    for ((table, place), path) in exceptions {
        tables[table].amendments[place].except.push(path);
    }
    let said = tables.into_iter().enumerate().flat_map(|(id, table)| {
        table.amendments.into_iter().enumerate().map(move |(place, amendment)| ((id, place), amendment))
    });
    said.filter(|(place, _)| !inherited.contains(place)).map(|(_, amendment)| amendment).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::tests::{policy, shipped, without_overrides};
    use crate::{MarketSaid, Said, SourceListing, Values, diff};
    use Direction::{Loosen, Mixed, Neutral};
    use proptest::prelude::*;

    fn base() -> String {
        without_overrides(&shipped("default.toml"))
    }

    fn parse(text: &str) -> Policy {
        Policy::parse(text, "p.toml").map_err(|error| error.to_string()).unwrap()
    }

    /// Table, key, old, new, direction, exceptions.
    fn rows(old: &Policy, new: &Policy) -> Vec<String> {
        let row = |change: &Amendment| {
            let stretch = change.stretch.as_ref().map(|stretch| {
                let to = stretch.to.as_deref().unwrap_or("");
                format!(" [{}..{to}]", stretch.from)
            });
            format!(
                "{} {}{} {} -> {} {}{}",
                change.table,
                change.key,
                stretch.unwrap_or_default(),
                change.old.as_deref().unwrap_or("-"),
                change.new.as_deref().unwrap_or("-"),
                change.direction.name(),
                change.except.iter().map(|table| format!(" !{table}")).collect::<String>(),
            )
        };
        compare(old, new).unwrap().iter().map(row).collect()
    }

    /// Adds lines to the default policy without overrides, before and after.
    #[track_caller]
    fn check(old: &str, new: &str, expected: &[&str]) {
        let with = |lines: &str| parse(&format!("{}{lines}\n", base()));
        assert_eq!(rows(&with(old), &with(new)), expected, "{old:?} to {new:?}");
    }

    #[test]
    fn what_is_inherited_is_said_once_with_who_does_not_inherit_it() {
        let old = parse(&format!("{}[market.A.oracle]\nconfidence_max = \"7%\"\n[market.B]\n", base()));
        let text = base().replace("confidence_max = \"2%\"", "confidence_max = \"1%\"");
        let new = parse(&format!("{text}[market.A.oracle]\nconfidence_max = \"7%\"\n[market.B]\n"));
        assert_eq!(rows(&old, &new), ["market.default oracle.confidence_max 2% -> 1% Tighten !market.A"]);
        // A moves by itself.
        let new = parse(&format!("{text}[market.A.oracle]\nconfidence_max = \"8%\"\n"));
        let moved = [
            "market.default oracle.confidence_max 2% -> 1% Tighten !market.A",
            "market.A oracle.confidence_max 7% -> 8% Loosen",
        ];
        assert_eq!(rows(&old, &new), moved);
    }

    #[test]
    fn a_key_that_moved_without_effect_is_no_change() {
        check("", "[market.A.oracle]\nconfidence_max = \"2%\"", &[]);
        check("[market.A]\n[source.x]\n[market.A.source.x]", "", &[]);
        check("[source.x]\nweight = 2", "[source.x]\nweight = 2\n[market.A.source.x]\nweight = 2", &[]);
        check("", "[source.x]\nprice_min = \"0 USD\"", &[]);
        let tiers = "[[market.A.tier]]\nnotional_from = \"0 USD\"\ninitial = \"9%\"\nmaintenance = \"3%\"\n";
        check(tiers, &format!("{tiers}{}", tiers.replace("\"0 USD", "\"5 USD")), &[]);
    }

    #[test]
    fn a_named_market_starts_from_what_it_inherited() {
        check(
            "",
            "[market.A]\nopen_interest_max = \"1_000 USD\"\nliquidation.order_ttl = \"10s\"",
            &[
                "market.A open_interest_max 250_000_000 USD -> 1_000 USD Tighten",
                "market.A liquidation.order_ttl 3s -> 10s Mixed",
            ],
        );
    }

    #[test]
    fn sources_inherit_from_their_name_and_that_from_default() {
        check(
            "[source.x]\n[source.y]\nheartbeat = \"4s\"\n[market.A.source.x]\nheartbeat = \"9s\"",
            "[source.x]\nlineage = \"z\"\nheartbeat = \"2s\"\nprice_max = \"5 USD\"\n[source.y]\nheartbeat = \"4s\"\n\
             [market.A.source.x]\nheartbeat = \"9s\"\nprice_min = \"0.000000000001 USD\"",
            &[
                "source.x lineage - -> z Mixed",
                "source.x heartbeat 1s -> 2s Loosen !market.A.source.x",
                "source.x price_max - -> 5 USD Tighten",
                "market.A.source.x price_min - -> 0.000000000001 USD Tighten",
            ],
        );
        let (slow, lines) = (
            base().replace("heartbeat = \"1s\"", "heartbeat = \"2s\""),
            "[source.x]\nweight = 2\n[source.y]\nheartbeat = \"4s\"\n[market.A.source.x]\nheartbeat = \"9s\"\n",
        );
        let (old, new) = (parse(&(base() + lines)), parse(&(slow + lines)));
        // What x inherits isn't said again, and that A's x doesn't is said with it.
        let changes = ["source.default heartbeat 1s -> 2s Loosen !source.y !market.A.source.x"];
        assert_eq!(rows(&old, &new), changes);
    }

    #[test]
    fn tiers_are_said_by_the_notional_that_they_concern() {
        let tier = |from: &str, maintenance: &str| {
            format!(
                "[[market.A.tier]]\nnotional_from = \"{from} USD\"\ninitial = \"9%\"\nmaintenance = \"{maintenance}\"\n"
            )
        };
        check(
            &[tier("0", "2%"), tier("1_000", "3%")].concat(),
            &[tier("0", "2%"), tier("2_000", "4%")].concat(),
            &[
                "market.A tier.maintenance [1_000 USD..2_000 USD] 3% -> 2% Loosen",
                "market.A tier.maintenance [2_000 USD..] 3% -> 4% Mixed",
            ],
        );
    }

    #[test]
    fn pools_are_compared_by_name_and_their_list_by_order() {
        let pool = |name: &str, accounts: u32| {
            format!(
                "[pool.{name}]\naccounts_max = {accounts}\naccount_min = \"1 USD\"\norders_per_account_max = 1\naccount_borrow_max = \"1 USD\"\nborrow_max = \"1 USD\"\n\
                 insurance_share_per_account = \"1%\"\n"
            )
        };
        let (a, b) = (pool("a", 1), pool("b", 1));
        check(&a, &format!("{a}{b}"), &[" pools main, a -> main, a, b Mixed"]);
        check(&format!("{a}{b}"), &format!("{b}{a}"), &[" pools main, a, b -> main, b, a Mixed"]);
        check(&a, &pool("a", 2), &["pool.a accounts_max 1 -> 2 Loosen"]);
        // The second by name, behind the first, and the only one.
        check(&pool("z", 1), &pool("z", 2), &["pool.z accounts_max 1 -> 2 Loosen"]);
        let (old, was) = (base(), "accounts_max = 5_000_000");
        assert!(old.contains(was));
        let new = parse(&old.replace(was, "accounts_max = 7"));
        assert_eq!(rows(&parse(&old), &new), ["pool.main accounts_max 5_000_000 -> 7 Tighten"]);
    }

    /// The table in which each key is tried, and the values that it holds there.
    fn tried<'a>(said: &'a mut Said, keys: &'static [Key]) -> (&'static str, &'a mut Values) {
        if std::ptr::eq(keys, POOL) {
            ("pool.main", &mut said.pools[0].1)
        } else if std::ptr::eq(keys, MARKET) {
            ("market.default", &mut said.markets.get_mut(DEFAULT).unwrap().values)
        } else {
            ("source.x", said.sources.get_mut("x").unwrap())
        }
    }

    #[test]
    fn every_key_that_rises_by_a_step_is_one_change_and_the_way_back_its_reverse() {
        let second = base()[..base().find("[market").unwrap()].replace("pool.main", "pool.second");
        let x = "[source.x]\nweight = 5\nheartbeat = \"5s\"\nlineage = \"l\"\nprice_min = \"5 USD\"\n\
                 price_max = \"9 USD\"\nkind = \"trades\"\nrung = \"primary\"\nquote = \"l\"\n";
        let mut old = parse(&format!("{}{second}{x}", base()));
        // The bound between the first two parts one rate alone.
        let [first, second, ..] = old.tiers(DEFAULT).1[..] else { panic!("has tiers") };
        let alike = Tier { initial: first.initial, ..second };
        with_tiers(&mut old, &[first, alike]);
        for (keys, key) in [POOL, MARKET, SOURCE].into_iter().flat_map(|keys| keys.iter().map(move |key| (keys, key))) {
            let mut new = old.clone();
            let (table, values) = tried(&mut new.said, keys);
            match values.get_mut(key.name).unwrap() {
                Value::Int(n) => *n += 1,
                Value::Pico(n) => *n += 1,
                Value::Name(name) => {
                    let other = match key.name {
                        "kind" => "quotes",
                        "rung" => "secondary",
                        _ => "second",
                    };
                    *name = other.to_owned();
                }
            }
            one_change(&old, &new, table, key.name);
        }
        for key in TIER {
            let (mut new, mut tier) = (old.clone(), alike);
            let (value, shown) = match key.name {
                "notional_from" => (&mut tier.notional_from, "tier.maintenance"),
                "initial" => (&mut tier.initial.0, "tier.initial"),
                "maintenance" => (&mut tier.maintenance.0, "tier.maintenance"),
                other => panic!("{other} is not tried"),
            };
            *value += 1;
            with_tiers(&mut new, &[first, tier]);
            one_change(&old, &new, "market.default", shown);
        }
    }

    fn with_tiers(policy: &mut Policy, tiers: &[Tier]) {
        policy.said.markets.get_mut(DEFAULT).unwrap().tiers = Some(tiers.to_vec());
    }

    /// A rise of maintenance is mixed, and its fall loosens.
    fn way_back(change: &Amendment) -> Direction {
        match (change.key, change.direction) {
            ("tier.maintenance" | "collateral.haircut", Mixed) => Loosen,
            ("tier.maintenance" | "collateral.haircut", _) => Mixed,
            (_, direction) => direction.reversed(),
        }
    }

    #[track_caller]
    fn one_change(old: &Policy, new: &Policy, table: &str, key: &str) {
        let [there, back] = [(old, new), (new, old)].map(|(from, to)| compare(from, to).unwrap());
        let [there] = &there[..] else { panic!("{table} {key}: {there:#?}") };
        let [back] = &back[..] else { panic!("{table} {key}: {back:#?}") };
        assert_eq!((there.table.as_str(), there.key), (table, key));
        assert_eq!(back.direction, way_back(there), "{key}");
        assert!(there.direction != Neutral && there.old != there.new, "{key}");
        assert_eq!((&there.old, &there.new), (&back.new, &back.old), "{key}");
    }

    #[test]
    fn the_baseline_is_no_tightening_of_the_default_policy() {
        let changes = compare(&shipped("default.toml"), &shipped("competent.toml")).unwrap();
        let direction = changes.iter().fold(Neutral, |all, change| all.join(change.direction));
        assert_eq!(direction, Mixed);
        let everywhere = |change: &Amendment| change.except.is_empty() || change.key.starts_with("detectors.drift");
        assert!(changes.iter().all(|change| !change.raises_maintenance && everywhere(change)), "{changes:#?}");
        let found = |key: &str| changes.iter().find(|change| change.key == key).map(|change| change.direction);
        assert_eq!(found("oracle.age_max"), Some(Loosen));
        assert_eq!(found("liquidation.order_ttl"), Some(Mixed));
        assert_eq!(found("mark.premium_max"), None);
    }

    /// The policy with every named market and source spelled out in full.
    fn spelled_out(policy: &Policy) -> Policy {
        let mut full = policy.clone();
        let over = |outer: &Values, inner: &Values| {
            let mut values = outer.clone();
            values.extend(inner.clone());
            values
        };
        let (default, source) = (policy.said.markets[DEFAULT].clone(), policy.said.sources[DEFAULT].clone());
        for values in full.said.sources.values_mut() {
            *values = over(&source, values);
        }
        let sources = full.said.sources.clone();
        for MarketSaid { values, tiers, sources: own } in full.said.markets.values_mut() {
            *values = over(&default.values, values);
            *tiers = tiers.take().or_else(|| default.tiers.clone());
            for (name, values) in own {
                *values = over(sources.get(name).unwrap_or(&source), values);
            }
        }
        full
    }

    /// What a venue that lists every name, and one that nobody names, puts in force.
    fn params(policy: &Policy, names: &Policy) -> Vec<MarketParams> {
        let sources = |market: &MarketSaid| {
            let named = names.said.sources.keys().chain(market.sources.keys()).filter(|name| *name != DEFAULT);
            let names: BTreeSet<&str> = named.map(String::as_str).chain(["nobody"]).collect();
            let listed = |name: &str| SourceListing {
                name: name.to_owned(),
                lineage: name.to_owned(),
                heartbeat: None,
                kind: SourceKind::Trades,
                quote: None,
            };
            names.into_iter().map(listed).collect()
        };
        let nobody = ("nobody".to_owned(), MarketSaid::default());
        let listed = names.said.markets.iter().filter(|(name, _)| *name != DEFAULT).chain([(&nobody.0, &nobody.1)]);
        let params = |(name, said): (&String, &MarketSaid)| {
            let (scale, reference_price) = (Scale::new(9, 3).unwrap(), Price(1));
            let listing = MarketListing { name: name.clone(), scale, reference_price, sources: sources(said) };
            // A bound that no price of the market reaches is no part of this.
            policy.market(&listing, &Listing { markets: Vec::new() }, &mut Vec::new()).ok()
        };
        listed.filter_map(params).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn spelling_out_what_is_inherited_changes_nothing_in_force(policy in policy()) {
            let full = spelled_out(&policy);
            prop_assert_eq!(compare(&policy, &full).unwrap(), vec![]);
            prop_assert_eq!(params(&policy, &policy), params(&full, &policy));
            prop_assert_eq!(compare(&policy, &policy).unwrap(), vec![]);
        }

        #[test]
        fn the_way_back_reverses_every_change(a in policy(), b in policy()) {
            let (there, back) = (compare(&a, &b).unwrap(), compare(&b, &a).unwrap());
            prop_assert_eq!(there.len(), back.len());
            for (there, back) in there.iter().zip(&back) {
                prop_assert_eq!((&there.table, there.key, &there.stretch), (&back.table, back.key, &back.stretch));
                prop_assert_eq!((&there.old, &there.new), (&back.new, &back.old));
                prop_assert_eq!(there.direction, way_back(back));
                prop_assert_eq!(&there.except, &back.except);
                prop_assert_ne!(&there.old, &there.new);
            }
            // Only what is said differently can be in force differently.
            prop_assert!(there.is_empty() || !diff(&a, &b).is_empty());
            let same_pools = a.said.pools == b.said.pools;
            if there.is_empty() && same_pools {
                prop_assert_eq!(params(&a, &a), params(&b, &a));
            }
        }
    }
}
