//! The format itself. Once a `VERSION` has been released, a change that turns one of these red needs a new one: journals
//! and vectors of other languages depend on these bytes.

use crate::dice::{Dice, Draw};
use codec::{hash, to_bytes};
use protocol::ids::{AccountId, MarketId, OrderId, PoolId, SourceId};
use protocol::input::{BookTop, Cancel, Input, InsuranceDeposit, Observation, Order, OrderDone, Trade, Transfer};
use protocol::params::VenueParams;
use protocol::{Batch, Effect};
use units::{Notional, Price, Size, Timestamp};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn batch() -> Batch {
    let transfer = Transfer { pool: PoolId(1), account: AccountId(0x0102_0304_0506_0708), amount: Notional(1_000_000) };
    Batch {
        height: 7,
        at: Timestamp(1_760_130_000_000_000),
        seed: std::array::from_fn(|i| i as u8),
        inputs: vec![
            Input::Observation(Observation {
                market: MarketId(2),
                source: SourceId(3),
                observer: 0x0405,
                price: Price(-6),
                confidence: Price(7),
                published_at: Timestamp(8),
                received_at: Timestamp(9),
            }),
            Input::BookTop(BookTop { market: MarketId(2), bid: Price(99), ask: Price(101) }),
            Input::Deposit(transfer),
            Input::Withdraw(transfer),
            Input::Order(Order {
                id: OrderId(9),
                account: AccountId(10),
                market: MarketId(2),
                size: Size(-11),
                limit: Price(12),
            }),
            Input::Cancel(Cancel { market: MarketId(2), account: AccountId(10), order: OrderId(9) }),
            Input::OrderDone(OrderDone { market: MarketId(2), order: OrderId(9) }),
            Input::Trade(Trade {
                market: MarketId(2),
                buy: OrderId(9),
                sell: OrderId::of_kernel(7, 1),
                price: Price(100),
                size: Size(5),
            }),
            Input::InsuranceDeposit(InsuranceDeposit { pool: PoolId(1), amount: Notional(13) }),
        ],
    }
}

#[test]
fn a_batch_has_these_bytes() {
    let expected = [
        "53454157",                                                         // magic
        "0100",                                                             // version
        "0700000000000000",                                                 // height
        "00946833d4400600",                                                 // at
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", // seed
        "09000000",                                                         // inputs
        "00",                                                               // observation
        "0200",                                                             // its market
        "03",                                                               // source
        "0504",                                                             // observer
        "faffffffffffffff",                                                 // price
        "0700000000000000",                                                 // confidence
        "0800000000000000",                                                 // published_at
        "0900000000000000",                                                 // received_at
        "01",                                                               // book top
        "0200",
        "6300000000000000",
        "6500000000000000",
        "02", // deposit
        "0100",
        "0807060504030201",
        "40420f0000000000",
        "03", // withdraw
        "0100",
        "0807060504030201",
        "40420f0000000000",
        "04", // order
        "0900000000000000",
        "0a00000000000000",
        "0200",
        "f5ffffffffffffff",
        "0c00000000000000",
        "05", // cancel
        "0200",
        "0a00000000000000",
        "0900000000000000",
        "06", // order done
        "0200",
        "0900000000000000",
        "07", // trade
        "0200",
        "0900000000000000",
        "0100070000000080",
        "6400000000000000",
        "0500000000000000",
        "08", // insurance deposit
        "0100",
        "0d00000000000000",
    ];
    assert_eq!(hex(&to_bytes(&batch())), expected.concat());
    assert_eq!(hex(&hash(&batch())), "b7a58e42656623bf7442a0c3ebdbc8fda25c8d345dc61966267950b6f6213b65");
}

#[test]
fn a_thousand_drawn_values_have_these_bytes() {
    fn digest<T: Draw>() -> String {
        let mut dice = Dice(5);
        let mut hasher = blake3::Hasher::new();
        for _ in 0..1_000 {
            hasher.update(&to_bytes(&T::draw(&mut dice)));
        }
        hasher.finalize().to_hex().to_string()
    }
    assert_eq!(digest::<Batch>(), "5a5c746d20ebdd918d9a94ce251e006a17640c1d8b079c02dedab6c9c5ab00cf");
    assert_eq!(digest::<Effect>(), "4954deffaebe9e85a4951a4703446845fc7d84483a35a063e41ceca02ab6939d");
    assert_eq!(digest::<VenueParams>(), "556f292ff0b2b6f91ba607b326d5c3a49d7b941fd4f424453a3bd3659ad1819b");
}
