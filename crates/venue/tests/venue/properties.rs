//! What holds for every book.

use crate::{BACKSTOP, LIMITS, MARKET, book, order, reference};
use codec::{from_bytes, hash, to_bytes};
use proptest::prelude::*;
use protocol::effect::AdmittedOrder;
use protocol::ids::OrderId;
use std::collections::BTreeMap;
use units::{Price, Size};
use venue::{Auction, Book, DoneReason};

const PRICE_MAX: i64 = 12;

/// Orders of a few accounts over a few prices, so that everything happens often. Every fifth is the kernel's, and the
/// last account is the backstop's.
fn orders() -> impl Strategy<Value = Vec<AdmittedOrder>> {
    let order = (0..5_u64, prop_oneof![-20..=-1_i64, 1..=20_i64], 1..=PRICE_MAX, 0..5);
    prop::collection::vec(order, 0..24).prop_map(|orders| {
        let number = |(n, (account, size, limit, kernel)): (u64, (u64, i64, i64, i32))| {
            let id = if kernel == 0 { OrderId::of_kernel(n, 0).0 } else { n };
            crate::order(id, account, size, limit)
        };
        (0..).zip(orders).map(number).collect()
    })
}

fn filled(auction: &Auction) -> BTreeMap<OrderId, i64> {
    let mut filled = BTreeMap::new();
    for trade in &auction.trades {
        *filled.entry(trade.buy).or_default() += trade.size.0;
        *filled.entry(trade.sell).or_default() += trade.size.0;
    }
    filled
}

fn done(auction: &Auction, reason: DoneReason) -> Vec<OrderId> {
    let mut done: Vec<_> = auction.done.iter().filter(|done| done.reason == reason).map(|done| done.order).collect();
    done.sort();
    done
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_auction_is_the_reference_auction(orders in orders(), seed: [u8; 32], near in -3..PRICE_MAX + 3) {
        let auction = book(&orders).auction(&seed, Price(near));
        let expected = reference::auction(&orders, &seed, near, PRICE_MAX);
        prop_assert_eq!(auction.price, expected.price.map(Price));
        prop_assert_eq!(auction.backstop_price, expected.backstop_price.map(Price));
        prop_assert_eq!(filled(&auction), expected.filled);
        prop_assert_eq!(done(&auction, DoneReason::SelfCross), {
            let mut yielded = expected.yielded;
            yielded.sort();
            yielded
        });
    }

    #[test]
    fn trades_keep_every_promise(orders in orders(), seed: [u8; 32], near in 1..=PRICE_MAX) {
        let before = book(&orders);
        let mut after = before.clone();
        let auction = after.auction(&seed, Price(near));
        let (mut volume, mut backstop_volume) = (0, 0);
        for trade in &auction.trades {
            let (buy, sell) = (before.get(trade.buy).unwrap(), before.get(trade.sell).unwrap());
            if reference::standby(&buy) || reference::standby(&sell) {
                prop_assert!(buy.id.is_kernel() || sell.id.is_kernel(), "the backstop trades with the kernel's orders");
                prop_assert_eq!(Some(trade.price), auction.backstop_price, "one price");
                backstop_volume += trade.size.0;
            } else {
                prop_assert_eq!(Some(trade.price), auction.price, "one price");
                volume += trade.size.0;
            }
            prop_assert_eq!(trade.market, MARKET);
            prop_assert!(Size(0) < trade.size && Size(0) < buy.size && sell.size < Size(0));
            prop_assert!(sell.limit <= trade.price && trade.price <= buy.limit, "no trade beyond a limit");
            prop_assert_ne!(buy.account, sell.account, "no account trades with itself");
        }
        prop_assert_eq!(auction.volume, Size(volume + backstop_volume));
        prop_assert_eq!(auction.price.is_some(), 0 < volume);
        prop_assert_eq!(auction.backstop_price.is_some(), 0 < backstop_volume);
        for one in after.orders() {
            for other in after.orders() {
                let crossed = Size(0) < one.size && other.size < Size(0) && other.limit <= one.limit;
                let waits = |one: &AdmittedOrder, other: &AdmittedOrder| {
                    reference::standby(one) && !other.id.is_kernel() && one.account != other.account
                };
                prop_assert!(!crossed || waits(&one, &other) || waits(&other, &one), "{one:?} and {other:?} cross");
            }
        }

        // What rests, what traded and what yielded are all lots that there were.
        let filled = filled(&auction);
        let yielded = done(&auction, DoneReason::SelfCross);
        for order in &orders {
            let left = after.get(order.id).map_or(0, |order| order.size.0);
            let traded = filled.get(&order.id).copied().unwrap_or(0);
            if yielded.contains(&order.id) {
                prop_assert_eq!((left, traded), (0, 0));
            } else {
                prop_assert_eq!(left + traded * order.size.0.signum(), order.size.0);
            }
            let gone = done(&auction, DoneReason::Filled).contains(&order.id);
            prop_assert_eq!(gone, left == 0 && !yielded.contains(&order.id));
        }

        // No other price would have executed more.
        let kept = |order: &AdmittedOrder| !yielded.contains(&order.id) && !reference::standby(order);
        let kept: Vec<_> = orders.iter().copied().filter(kept).collect();
        for price in 1..=PRICE_MAX {
            let (bid, offered) = reference::depth(&kept, price);
            prop_assert!(bid.min(offered) <= volume, "{} would trade at {}", bid.min(offered), price);
        }
    }

    #[test]
    fn arrival_order_never_matters(
        (orders, shuffled) in orders().prop_flat_map(|orders| (Just(orders.clone()), Just(orders).prop_shuffle())),
        seed: [u8; 32],
        near in 1..=PRICE_MAX,
    ) {
        let (mut one, mut other) = (book(&orders), book(&shuffled));
        prop_assert_eq!(hash(&one), hash(&other));
        prop_assert_eq!(one.auction(&seed, Price(near)), other.auction(&seed, Price(near)));
        prop_assert_eq!(one, other);
    }

    #[test]
    fn a_second_auction_finds_nothing(orders in orders(), seed: [u8; 32], near in 1..=PRICE_MAX) {
        let mut book = book(&orders);
        book.auction(&seed, Price(near));
        let rested = book.clone();
        let again = book.auction(&[0; 32], Price(near + 1));
        prop_assert_eq!((again.price, again.trades.len(), again.done.len()), (None, 0, 0));
        prop_assert_eq!(book, rested);
    }

    /// A book that is read back is built from its orders alone, so equality shows that depth, counts and places have
    /// followed every step.
    #[test]
    fn a_book_is_its_orders(steps in prop::collection::vec((0..3, 0..12_u64, -9..9_i64, 1..=PRICE_MAX), 0..60)) {
        let mut book = Book::new(MARKET, LIMITS, Some(BACKSTOP));
        let mut model: BTreeMap<OrderId, AdmittedOrder> = BTreeMap::new();
        for (step, id, size, limit) in steps {
            // Odd ids are the kernel's.
            let id = if id % 2 == 1 { OrderId::of_kernel(id, 0).0 } else { id };
            match step {
                0 => {
                    let order = order(id, id % 5, size, limit);
                    let fits = size != 0 && !model.contains_key(&order.id);
                    prop_assert_eq!(book.insert(order).is_ok(), fits);
                    if fits {
                        model.insert(order.id, order);
                    }
                }
                1 => prop_assert_eq!(book.remove(OrderId(id)), model.remove(&OrderId(id)).is_some()),
                _ => {
                    let auction = book.auction(&[7; 32], Price(limit));
                    for (id, lots) in filled(&auction) {
                        let order = model.get_mut(&id).unwrap();
                        order.size.0 -= lots * order.size.0.signum();
                    }
                    for done in auction.done {
                        let order = model.remove(&done.order).unwrap();
                        prop_assert_eq!(order.size == Size(0), done.reason == DoneReason::Filled);
                    }
                }
            }
            prop_assert_eq!(book.orders().collect::<Vec<_>>(), model.values().copied().collect::<Vec<_>>());
            prop_assert_eq!(from_bytes::<Book>(&to_bytes(&book)), Ok(book.clone()));
        }
    }

    #[test]
    fn flipped_bytes_are_another_book_or_refused(
        orders in orders(), at: prop::sample::Index, flip in 1..=u8::MAX, seed: [u8; 32], near: i64,
    ) {
        let mut bytes = to_bytes(&book(&orders));
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(mut book) = from_bytes::<Book>(&bytes) {
            prop_assert_eq!(to_bytes(&book), bytes);
            book.auction(&seed, Price(near));
        }
    }

    #[test]
    fn the_largest_numbers_never_overflow(
        sizes in prop::collection::vec((any::<i64>(), any::<i64>()), 0..8),
        seed: [u8; 32],
        near: i64,
    ) {
        let mut book = Book::new(MARKET, LIMITS, Some(BACKSTOP));
        for (id, (size, limit)) in (0..).zip(sizes) {
            let _refused_if_too_deep = book.insert(order(id, id, size, limit));
        }
        let auction = book.auction(&seed, Price(near));
        let volume: i128 = auction.trades.iter().map(|trade| i128::from(trade.size.0)).sum();
        prop_assert_eq!(i128::from(auction.volume.0), volume);
        prop_assert_eq!(from_bytes::<Book>(&to_bytes(&book)), Ok(book.clone()));
    }
}
