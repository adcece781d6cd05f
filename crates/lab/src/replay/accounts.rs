//! The accounts of a replay: read from a file, or drawn.

use super::world::{BACKSTOP, World};
use crate::feed::{AccountRow, read_accounts};
use kernel::{Genesis, Holding};
use protocol::{AccountId, MarketId, PoolId};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use units::{Notional, Price, Rounding, Scale, Size};

/// Where the accounts come from.
#[derive(Clone, Debug)]
pub enum AccountsFrom {
    /// A file of accounts.
    File(PathBuf),
    /// Drawn: so many a market, from this seed.
    Drawn {
        /// Accounts a market.
        per_market: u32,
        /// Of the generator.
        seed: u64,
    },
}

/// Accounts at the start of every run.
#[derive(Clone, Debug)]
pub struct Accounts {
    /// Names, by account number.
    pub names: BTreeMap<AccountId, String>,
    /// For the kernel.
    pub genesis: Vec<Genesis>,
    /// What was decided.
    pub decisions: Vec<String>,
}

/// What the backstop provider brings: enough never to be the limit.
const BACKSTOP_CASH: i64 = 1_000_000_000_000_000_000;

impl Accounts {
    /// Reads or draws the accounts.
    ///
    /// # Errors
    /// A file that can't be read, or a row that does not fit the markets, in words with file and line.
    pub fn of(from: &AccountsFrom, world: &World, pools: &[String]) -> Result<Accounts, String> {
        let mut accounts = match from {
            AccountsFrom::File(path) => Accounts::read(path, world, pools)?,
            AccountsFrom::Drawn { per_market, seed } => Accounts::draw(*per_market, *seed, world),
        };
        accounts.balance(world, pools.len())?;
        Ok(accounts)
    }

    /// The distribution, stated: 60% of the accounts are long. Notional is log-uniform from 1,000 to 1,000,000 USD.
    /// Leverage is uniform inside a band: 30% of accounts 1-3x, 40% 3-10x, 30% 10-18x. Entry is the market's first
    /// price. The shorts' sizes are scaled so that both sides match.
    fn draw(per_market: u32, seed: u64, world: &World) -> Accounts {
        let mut accounts = Accounts { names: BTreeMap::new(), genesis: Vec::new(), decisions: Vec::new() };
        accounts.decisions.push(format!(
            "accounts: {per_market} a market drawn with seed {seed}; 60% long; notional log-uniform 1,000-1,000,000 USD; \
             leverage 1-3x (30%), 3-10x (40%), 10-18x (30%); entry at the market's first price"
        ));
        let mut number = 0_u64;
        for (id, market) in (0_u16..).zip(&world.markets) {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(u64::from(id));
            let mut unit = || (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
            let entry = market.price(market.first_price);
            let usd = market.usd(entry);
            let mut drawn = Vec::new();
            for _ in 0..per_market {
                let long = unit() < 0.6;
                let notional = 10_f64.powf(3.0 + 3.0 * unit());
                let band = unit();
                let (low, high) = if band < 0.3 {
                    (1.0, 3.0)
                } else if band < 0.7 {
                    (3.0, 10.0)
                } else {
                    (10.0, 18.0)
                };
                drawn.push((long, notional, low + (high - low) * unit()));
            }
            let side = |long: bool| drawn.iter().filter(|d| d.0 == long).map(|d| d.1).sum::<f64>();
            let scale = if side(false) > 0.0 { side(true) / side(false) } else { 1.0 };
            for (long, notional, leverage) in drawn {
                number += 1;
                let notional = if long { notional } else { notional * scale };
                let lots = (market.lots_of(notional / usd)).round().max(1.0) as i64;
                let size = Size(if long { lots } else { -lots });
                let cash = Notional((notional / leverage * 1e6).round() as i64);
                let holdings = vec![Holding { market: MarketId(id), size, entry }];
                accounts.names.insert(AccountId(number), format!("{}-{number}", market.name));
                accounts.genesis.push(Genesis {
                    pool: PoolId(0),
                    account: AccountId(number),
                    cash,
                    holdings,
                    collateral: Vec::new(),
                });
            }
        }
        accounts
    }

    fn read(path: &Path, world: &World, pools: &[String]) -> Result<Accounts, String> {
        let rows = read_accounts(path).map_err(|error| error.to_string())?;
        let mut accounts = Accounts { names: BTreeMap::new(), genesis: Vec::new(), decisions: Vec::new() };
        let mut known: BTreeMap<(usize, String), usize> = BTreeMap::new();
        for row in &rows {
            let at = |problem: String| format!("{}:{}: {problem}", path.display(), row.line);
            let pool = pools.iter().position(|name| *name == row.pool).ok_or_else(|| {
                at(format!("pool {:?} is not in the policy, which has {}", row.pool, pools.join(", ")))
            })?;
            let next = known.len();
            let place = *known.entry((pool, row.account.clone())).or_insert_with(|| {
                let account = AccountId(next as u64 + 1);
                accounts.names.insert(account, row.account.clone());
                let pool = PoolId(u16::try_from(pool).unwrap_or(u16::MAX));
                accounts.genesis.push(Genesis {
                    pool,
                    account,
                    cash: Notional(0),
                    holdings: Vec::new(),
                    collateral: Vec::new(),
                });
                next
            });
            add_row(&mut accounts.genesis[place], row, world).map_err(at)?;
        }
        let dollars = rows.iter().any(|row| matches!(row.collateral_asset.as_str(), "USDC" | "USDT"));
        if dollars {
            accounts.decisions.push("collateral in USDC or USDT is taken as USD one to one".to_owned());
        }
        Ok(accounts)
    }

    /// Adds the backstop provider to every pool, and an unlevered counterparty for what does not add up to zero.
    ///
    /// # Errors
    /// Sizes whose sum no account could hold.
    fn balance(&mut self, world: &World, pools: usize) -> Result<(), String> {
        let next = self.names.keys().last().map_or(1, |account| account.0 + 1);
        for pool in 0..pools {
            let pool = PoolId(u16::try_from(pool).unwrap_or(u16::MAX));
            let mut holdings = Vec::new();
            let mut cash = 1_000_000_i64;
            for (id, market) in (0_u16..).zip(&world.markets) {
                let held = self.genesis.iter().filter(|genesis| genesis.pool == pool);
                let sizes = held.flat_map(|genesis| &genesis.holdings).filter(|holding| holding.market.0 == id);
                let net: i128 = sizes.map(|holding| i128::from(holding.size.0)).sum();
                let net = i64::try_from(net).ok().filter(|net| *net > i64::MIN).ok_or_else(|| {
                    format!(
                        "market {}: the accounts' sizes add up to {net} lots, more than can be carried",
                        market.name
                    )
                })?;
                if net != 0 {
                    let entry = market.price(market.first_price);
                    holdings.push(Holding { market: MarketId(id), size: Size(-net), entry });
                    let value = market.scale.notional(entry, Size(net.abs()), Rounding::Up);
                    cash = cash.saturating_add(value.map_or(0, |value| value.0.saturating_mul(20)));
                    self.decisions.push(format!(
                        "{}: accounts are {} base net; an account with twenty times its notional in cash takes the other side",
                        market.name,
                        market.base(net as f64)
                    ));
                }
            }
            if !holdings.is_empty() {
                let account = AccountId(next);
                self.names.insert(account, "counterparty".to_owned());
                self.genesis.push(Genesis { pool, account, cash: Notional(cash), holdings, collateral: Vec::new() });
            }
            let cash = Notional(BACKSTOP_CASH);
            self.genesis.push(Genesis { pool, account: BACKSTOP, cash, holdings: Vec::new(), collateral: Vec::new() });
        }
        Ok(())
    }

    /// Long open interest at entry, USD.
    #[must_use]
    pub fn open_interest_usd(&self, world: &World) -> f64 {
        let holdings = self.genesis.iter().flat_map(|genesis| &genesis.holdings);
        let usd = |holding: &Holding| {
            let market = &world.markets[usize::from(holding.market.0)];
            market.base(holding.size.0.max(0) as f64) * market.usd(holding.entry)
        };
        holdings.map(usd).sum()
    }
}

fn add_row(genesis: &mut Genesis, row: &AccountRow, world: &World) -> Result<(), String> {
    if matches!(row.collateral_asset.to_ascii_uppercase().as_str(), "USD" | "USDC" | "USDT" | "") {
        let money =
            i64::try_from(row.collateral_amount / 1_000_000).map_err(|_| "the collateral is too large".to_owned())?;
        genesis.cash = Notional(genesis.cash.0.checked_add(money).ok_or("the account's collateral is too large")?);
    } else {
        add_collateral(genesis, row, world)?;
    }
    if row.size == 0 {
        return Ok(());
    }
    let id = world.markets.iter().position(|market| market.name == row.market);
    let id = id.ok_or_else(|| {
        let names: Vec<&str> = world.markets.iter().map(|market| market.name.as_str()).collect();
        format!("market {:?} is not in the data, which has {}", row.market, names.join(", "))
    })?;
    let market = &world.markets[id];
    let (size, entry) = (lots(row.size, market.scale)?, market.price(row.entry_price));
    if row.entry_price <= 0 {
        return Err("the entry price must be above zero".to_owned());
    }
    let market = MarketId(u16::try_from(id).unwrap_or(u16::MAX));
    match genesis.holdings.binary_search_by_key(&market, |holding| holding.market) {
        Ok(_) => Err(format!("the account already has a row for market {:?}", row.market)),
        Err(place) => {
            genesis.holdings.insert(place, Holding { market, size, entry });
            Ok(())
        }
    }
}

/// Collateral that is the base asset of a market of the data, in whole lots, rounded down.
fn add_collateral(genesis: &mut Genesis, row: &AccountRow, world: &World) -> Result<(), String> {
    let asset = &row.collateral_asset;
    let priced = (0..).map(MarketId).zip(&world.markets).find(|(_, market)| market.name == *asset);
    let Some((id, market)) = priced else {
        return Err(format!(
            "collateral {asset:?} is no market of the data and has no price here; give its amount in USD"
        ));
    };
    let lots = row.collateral_amount / 10_i128.pow(12 - u32::from(market.scale.lot_decimals()));
    let lots = i64::try_from(lots).map_err(|_| "the collateral is too large".to_owned())?;
    match genesis.collateral.binary_search_by_key(&id, |(market, _)| *market) {
        Ok(place) => {
            let (_, held) = &mut genesis.collateral[place];
            *held = Size(held.0.checked_add(lots).ok_or("the account's collateral is too large")?);
        }
        Err(place) if 0 < lots => genesis.collateral.insert(place, (id, Size(lots))),
        Err(_) => {}
    }
    Ok(())
}

/// Base units in counts of 1e-12 as lots, rounded toward zero; at least one lot for a size that is not zero.
fn lots(base: i128, scale: Scale) -> Result<Size, String> {
    let lots = base / 10_i128.pow(12 - u32::from(scale.lot_decimals()));
    let lots = if lots == 0 { base.signum() } else { lots };
    i64::try_from(lots).map(Size).map_err(|_| "the size is too large".to_owned())
}

/// An entry price as USD, for the accounts' table.
#[must_use]
pub fn leverage(genesis: &Genesis, world: &World) -> f64 {
    let usd = |holding: &Holding| {
        let market = &world.markets[usize::from(holding.market.0)];
        market.base(holding.size.0.abs() as f64) * market.usd(Price(holding.entry.0))
    };
    let notional: f64 = genesis.holdings.iter().map(usd).sum();
    let worth = |(id, lots): &(MarketId, Size)| {
        let market = &world.markets[usize::from(id.0)];
        market.base(lots.0 as f64) * market.usd(market.price(market.first_price))
    };
    let own = genesis.cash.0 as f64 / 1e6 + genesis.collateral.iter().map(worth).sum::<f64>();
    if own <= 0.0 { 0.0 } else { notional / own }
}
