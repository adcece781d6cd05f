//! The book and the exchange, by worked examples, by properties and against a second computation.

mod examples;
mod exchange;
mod properties;
mod reference;

use protocol::effect::AdmittedOrder;
use protocol::ids::{AccountId, MarketId, OrderId};
use units::{Price, Size};
use venue::{Book, Limits};

const MARKET: MarketId = MarketId(3);
const LIMITS: Limits = Limits { orders_max: 1_000, kernel_orders_max: 1_000 };
/// The backstop's account: its orders trade with the kernel's only.
const BACKSTOP: AccountId = AccountId(4);

fn order(id: u64, account: u64, size: i64, limit: i64) -> AdmittedOrder {
    AdmittedOrder {
        id: OrderId(id),
        account: AccountId(account),
        market: MARKET,
        size: Size(size),
        limit: Price(limit),
    }
}

fn book(orders: &[AdmittedOrder]) -> Book {
    let mut book = Book::new(MARKET, LIMITS, Some(BACKSTOP));
    for order in orders {
        assert_eq!(book.insert(*order), Ok(()));
    }
    book
}
