//! Two policies against each other: the same accounts live through the same feed under each, and nothing else is run.
//!
//! Drawn accounts know nothing of a policy; what a policy adds to them is one backstop provider for each of its pools.
//! [`versus`] refuses accounts that are not the same under both, as those of a file may be.

use super::hindsight::Hindsight;
use super::outcome::{MarketOutcome, Totals};
use super::world::World;
use super::{Done, Job, Options, Oracle, Start, one, spread};
use crate::feed::{Feed, Micros};
use policy::Policy;
use protocol::AccountId;
use serde::Serialize;
use std::collections::BTreeMap;

/// What became of the same accounts under two policies.
pub struct Versus {
    /// First opening of a bar or receipt of a quote, microseconds since 1970.
    pub from: Micros,
    /// How many accounts lived through both.
    pub accounts: usize,
    /// Under the old policy.
    pub old: Lived,
    /// Under the new one.
    pub new: Lived,
}

/// A run under one policy.
pub struct Lived {
    /// Its totals.
    pub totals: Totals,
    /// By market.
    pub markets: Vec<MarketOutcome>,
    /// Who was liquidated or deleveraged as insolvent.
    pub liquidated: BTreeMap<AccountId, Liquidated>,
}

/// An account that was liquidated, or deleveraged as insolvent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Liquidated {
    /// Its name.
    pub account: String,
    /// The markets that it held at the start.
    pub markets: Vec<String>,
    /// When this was first decided, microseconds since 1970.
    pub at: Micros,
    /// Whether hindsight does not bear it out.
    pub unjustified: bool,
}

/// Replays `feed` under `options.policy` and under `new`. Baselines, single sources and other coefficients of the impact
/// are not run, whatever `options` say of them.
///
/// # Errors
/// In words: as [`super::replay`], and accounts that are not the same under both policies.
pub fn versus(feed: &Feed, options: &Options, new: &Policy) -> Result<Versus, String> {
    let world = World::of(feed)?;
    let old = Start::of(&world, &options.policy, options)?;
    let new = Start::of(&world, new, options)?;
    if people(&old) != people(&new) {
        return Err("the accounts are not the same under both policies".to_owned());
    }
    let accounts = people(&old).len();
    let hindsight = Hindsight::build(feed, &world).map_err(|error| error.to_string())?;
    let job = Job { oracle: Oracle::Policy, impact: 1.0 };
    let work = |start: &Start| one(feed, &world, start, &hindsight, options, &job, &|_, _| {});
    let mut lived = Vec::new();
    for (start, done) in spread(vec![old, new], options.threads, work)? {
        lived.push(Lived::of(&world, &start, done?));
    }
    let [old, new] = <[Lived; 2]>::try_from(lived).map_err(|_| "a run was lost".to_owned())?;
    let from = feed.series.iter().map(|series| series.first).min().unwrap_or(0);
    Ok(Versus { from, accounts, old, new })
}

/// An account's number, cash, market, lots and entry of all that it holds, and market and lots of its collateral.
type Person = (AccountId, i64, Vec<(u16, i64, i64)>, Vec<(u16, i64)>);

/// The accounts that have a name, so without backstop providers. Which pool they are in is for the policy to say.
fn people(start: &Start) -> Vec<Person> {
    let named = start.accounts.genesis.iter().filter(|genesis| start.accounts.names.contains_key(&genesis.account));
    let held = |genesis: &kernel::Genesis| {
        genesis.holdings.iter().map(|held| (held.market.0, held.size.0, held.entry.0)).collect()
    };
    let beside = |genesis: &kernel::Genesis| genesis.collateral.iter().map(|(id, lots)| (id.0, lots.0)).collect();
    named.map(|genesis| (genesis.account, genesis.cash.0, held(genesis), beside(genesis))).collect()
}

impl Lived {
    fn of(world: &World, start: &Start, done: Done) -> Lived {
        let mut liquidated = BTreeMap::new();
        for genesis in &start.accounts.genesis {
            let name = start.accounts.names.get(&genesis.account);
            let (Some(name), Some(at)) = (name, done.liquidated.get(&genesis.account)) else { continue };
            let markets = genesis.holdings.iter().map(|held| world.markets[usize::from(held.market.0)].name.clone());
            let unjustified = done.fates.get(&genesis.account).is_some_and(|fate| 0 < fate.unjustified);
            let row = Liquidated { account: name.clone(), markets: markets.collect(), at: *at, unjustified };
            liquidated.insert(genesis.account, row);
        }
        Lived { totals: done.totals, markets: done.markets, liquidated }
    }
}
