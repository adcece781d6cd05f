//! Accounts and their positions from a file: `account, pool, market, size, entry_price, collateral_asset, collateral_amount`.
//!
//! Unlike a price feed, a book of accounts is used whole or not at all: the first bad row is an error that names its line. An account
//! may have many rows; a row may carry a position, collateral, or both.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::FeedError;
use super::decimal::{NumberError, PRICE_SCALE, parse_decimal};
use super::lines::{Line, Lines};
use super::quarantine::excerpt;
use super::table::{Header, Splitter};

/// More rows than this are refused: unlike a feed, accounts are held in memory.
pub const ACCOUNT_ROWS_MAX: usize = 5_000_000;

const COLUMNS: [&str; 7] =
    ["account", "pool", "market", "size", "entry_price", "collateral_asset", "collateral_amount"];

/// One row of an accounts file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountRow {
    /// The account's name.
    pub account: String,
    /// The pool whose insurance stands behind it.
    pub pool: String,
    /// The position's market; empty on a row with collateral alone.
    pub market: String,
    /// Signed base units in counts of 1e-12; zero on a row with collateral alone.
    pub size: i128,
    /// Average entry price in counts of 1e-12 USD; zero on a row with collateral alone.
    pub entry_price: i128,
    /// The collateral's asset; empty on a row with a position alone.
    pub collateral_asset: String,
    /// Collateral in counts of 1e-12 of the asset.
    pub collateral_amount: i128,
    /// The line in the file, from 1.
    pub line: u64,
}

/// Reads an accounts file, plain or gzip.
pub fn read_accounts(path: &Path) -> Result<Vec<AccountRow>, FeedError> {
    let mut lines = Lines::open(path)?;
    let header = Header::read(path, &mut lines)?;
    let needed = format!("the columns {}", COLUMNS.join(", "));
    let mut columns = [0; COLUMNS.len()];
    for (slot, name) in columns.iter_mut().zip(COLUMNS) {
        *slot = header.find(path, &[name])?.ok_or_else(|| header.refuse(path, &needed))?;
    }
    let mut splitter = Splitter::new(header.delimiter);
    let mut rows = Vec::new();
    loop {
        let line_number = lines.number() + 1;
        let refuse = |what: String| FeedError::Account { path: path.to_path_buf(), line: line_number, what };
        let text = match lines.next().map_err(|source| FeedError::Unreadable { path: PathBuf::from(path), source })? {
            Line::Text(text) => text,
            Line::TooLong { length, .. } => return Err(refuse(format!("a line of {length} bytes"))),
            Line::Broken { why, .. } => return Err(refuse(format!("the compressed file ends here: {why}"))),
            Line::End => break,
        };
        if text.trim_ascii().is_empty() {
            continue;
        }
        if rows.len() == ACCOUNT_ROWS_MAX {
            return Err(refuse(format!("more than {ACCOUNT_ROWS_MAX} rows")));
        }
        splitter
            .split(text, header.names.len())
            .map_err(|(reason, detail)| refuse(format!("{}: {detail}", reason.name())))?;
        let field = |index: usize| splitter.field(text, columns[index]).trim_ascii();
        rows.push(read_row(field, line_number).map_err(refuse)?);
    }
    if rows.is_empty() {
        return Err(FeedError::Empty { path: path.to_path_buf(), header: true });
    }
    Ok(rows)
}

fn read_row<'a>(field: impl Fn(usize) -> &'a [u8], line: u64) -> Result<AccountRow, String> {
    let word = |index: usize| match std::str::from_utf8(field(index)) {
        Ok(text) if !text.contains(char::is_control) => Ok(text.to_string()),
        _ => Err(format!("{}: {} is no name", COLUMNS[index], excerpt(field(index)))),
    };
    let number = |index: usize| match parse_decimal(field(index), PRICE_SCALE) {
        Ok(parsed) if parsed.rounded => {
            Err(format!("{}: {} has more than 12 decimals", COLUMNS[index], excerpt(field(index))))
        }
        Ok(parsed) => Ok(parsed.units),
        Err(NumberError::Empty) => Ok(0),
        Err(error) => Err(format!("{}: {} is no amount ({error:?})", COLUMNS[index], excerpt(field(index)))),
    };
    let row = AccountRow {
        account: word(0)?,
        pool: word(1)?,
        market: word(2)?,
        size: number(3)?,
        entry_price: number(4)?,
        collateral_asset: word(5)?,
        collateral_amount: number(6)?,
        line,
    };
    if row.account.is_empty() || row.pool.is_empty() {
        return Err("account and pool must be named".to_string());
    }
    if row.size != 0 && (row.market.is_empty() || row.entry_price <= 0) {
        return Err("a size needs a market and an entry_price above zero".to_string());
    }
    if row.entry_price < 0 {
        return Err("entry_price: below zero".to_string());
    }
    if row.collateral_amount < 0 {
        return Err("collateral_amount: below zero".to_string());
    }
    if row.collateral_asset.is_empty() && row.collateral_amount != 0 {
        return Err("collateral_asset: missing".to_string());
    }
    if row.market.is_empty() && row.collateral_asset.is_empty() {
        return Err("neither a position nor collateral".to_string());
    }
    Ok(row)
}
