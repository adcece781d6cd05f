//! Outside files of accounts: a clear refusal or rows that mean something, and nothing panics.
#![no_main]

use lab::feed::read_accounts;
use libfuzzer_sys::fuzz_target;
use std::io::Write;

/// What most inputs would never find by themselves.
const HEADER: &[u8] = b"account,pool,market,size,entry_price,collateral_asset,collateral_amount\n";

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let mut file = tempfile::Builder::new().suffix(".csv").tempfile().expect("a file");
    if kind % 4 != 0 {
        file.write_all(HEADER).expect("a write");
    }
    file.write_all(bytes).expect("a write");
    match read_accounts(file.path()) {
        Ok(rows) => {
            assert!(!rows.is_empty());
            for row in rows {
                assert!(!row.account.is_empty() && !row.pool.is_empty() && 0 <= row.entry_price);
                assert!(row.size == 0 || !row.market.is_empty() && 0 < row.entry_price);
            }
        }
        Err(error) => assert!(error.to_string().contains(&file.path().display().to_string())),
    }
});
