//! Worked examples. An order is `id account ±size @limit`; the kernel's orders have `k` before their id, and the account
//! `backstop` is the backstop's. A result is the price, the trades `buy>sell:lots`, the filled orders after `-`, and
//! those that yielded to their own after `!`. What follows `|` is the backstop round's price.

use crate::{BACKSTOP, LIMITS, MARKET, book, order};
use protocol::effect::AdmittedOrder;
use protocol::ids::{MarketId, OrderId};
use units::{Price, Size};
use venue::{Auction, Book, DoneReason, Limits, Refusal};

/// Ids that the examples use for orders of the backstop.
const BACKSTOP_IDS: std::ops::Range<u64> = 70..80;

fn parse(text: &str) -> AdmittedOrder {
    let mut words = text.split_whitespace();
    let mut next = || words.next().expect("id account size limit");
    let (id, account, size, limit) = (next(), next(), next(), next());
    let id = match id.strip_prefix('k') {
        Some(id) => OrderId::KERNEL_BIT | id.parse::<u64>().unwrap(),
        None => id.parse().unwrap(),
    };
    let limit = limit.strip_prefix('@').unwrap().parse().unwrap();
    let account = if account == "backstop" { BACKSTOP.0 } else { u64::from(account.as_bytes()[0]) };
    order(id, account, size.parse().unwrap(), limit)
}

fn name(id: OrderId) -> String {
    let kernel = if id.is_kernel() { "k" } else { "" };
    format!("{kernel}{}", id.0 & !OrderId::KERNEL_BIT)
}

fn print(auction: &Auction) -> String {
    let mut words = vec![auction.price.map_or("none".to_owned(), |price| price.0.to_string())];
    for trade in &auction.trades {
        let standby = [trade.buy, trade.sell].into_iter().any(|id| BACKSTOP_IDS.contains(&id.0));
        let price = if standby { auction.backstop_price } else { auction.price };
        assert_eq!((Some(trade.price), trade.market), (price, MARKET));
        words.push(format!("{}>{}:{}", name(trade.buy), name(trade.sell), trade.size.0));
    }
    for done in &auction.done {
        let mark = match done.reason {
            DoneReason::Filled => "-",
            DoneReason::SelfCross => "!",
        };
        words.push(format!("{mark}{}", name(done.order)));
    }
    if let Some(price) = auction.backstop_price {
        words.push(format!("| {}", price.0));
    }
    words.join(" ")
}

#[track_caller]
fn check_seed(seed: u8, reference: i64, orders: &str, expected: &str) {
    let orders: Vec<_> = orders.split(',').map(parse).collect();
    let auction = book(&orders).auction(&[seed; 32], Price(reference));
    assert_eq!(print(&auction), expected, "{orders:?}");
    let volume: i64 = auction.trades.iter().map(|trade| trade.size.0).sum();
    assert_eq!(auction.volume, Size(volume));
}

#[track_caller]
fn check(reference: i64, orders: &str, expected: &str) {
    check_seed(0, reference, orders, expected);
}

#[test]
fn orders_trade_where_they_cross_and_not_one_price_short_of_it() {
    check(100, "1 a +5 @100, 2 b -5 @100", "100 1>2:5 -1 -2");
    check(100, "1 a +5 @99, 2 b -5 @100", "none");
    check(100, "1 a +5 @100", "none");
    check(100, "2 b -5 @100", "none");
}

#[test]
fn of_all_prices_with_the_same_volume_and_surplus_the_nearest_to_the_reference_is_taken() {
    let orders = "1 a +5 @110, 2 b -5 @90";
    check(89, orders, "90 1>2:5 -1 -2");
    check(90, orders, "90 1>2:5 -1 -2");
    check(97, orders, "97 1>2:5 -1 -2");
    check(110, orders, "110 1>2:5 -1 -2");
    check(111, orders, "110 1>2:5 -1 -2");
    check(-1, orders, "90 1>2:5 -1 -2");
    check(i64::MAX, orders, "110 1>2:5 -1 -2");
}

#[test]
fn the_price_executes_the_most() {
    // At 102 six lots trade, at 101 eight, at 100 four.
    let orders = "1 a +6 @102, 2 b +2 @101, 3 c +9 @100, 4 d -4 @100, 5 e -4 @101";
    check(100, orders, "101 1>4:4 1>5:2 2>5:2 -1 -2 -4 -5");
    check(102, orders, "101 1>4:4 1>5:2 2>5:2 -1 -2 -4 -5");
}

#[test]
fn of_all_prices_with_the_same_volume_the_one_with_the_smaller_surplus_is_taken() {
    // Five lots trade at 100 and at 101; at 100 seven are bid, at 101 six.
    check(100, "1 a +6 @101, 2 b +1 @100, 3 c -5 @100", "101 1>3:5 -3");
    // With the last lot of 2 gone both prices are alike and the reference decides.
    check(100, "1 a +6 @101, 3 c -5 @100", "100 1>3:5 -3");
    // Five too many are bid at 100 and five too many offered at 101: the reference decides.
    let orders = "1 a +5 @101, 2 b +5 @100, 3 c -5 @100, 4 d -5 @101";
    check(100, orders, "100 1>3:5 -1 -3");
    check(101, orders, "101 1>3:5 -1 -3");
}

#[test]
fn the_better_limit_is_filled_first_and_the_last_limit_by_size() {
    // Ten lots are offered: 1 takes its four, and six are shared 2 : 1 between eight and four.
    check(100, "1 a +4 @102, 2 b +8 @101, 3 c +4 @101, 4 d -10 @101", "101 1>4:4 2>4:4 3>4:2 -1 -4");
    // The same from the other side.
    check(100, "1 a -4 @98, 2 b -8 @99, 3 c -4 @99, 4 d +10 @99", "99 4>1:4 4>2:4 4>3:2 -4 -1");
    // The last limit is just filled, and one lot more is not shared with the limit behind it.
    check(100, "1 a +4 @101, 2 b +8 @100, 3 c -4 @100", "101 1>3:4 -1 -3");
    check(100, "1 a +4 @101, 2 b +8 @100, 3 c -5 @100", "100 1>3:4 2>3:1 -1 -3");
}

#[test]
fn lots_that_do_not_divide_go_to_the_largest_remainders() {
    // 7 * 6/10 = 4.2, 7 * 3/10 = 2.1, 7 * 1/10 = 0.7: the lot that is left goes to 3.
    check(100, "1 a +6 @100, 2 b +3 @100, 3 c +1 @100, 4 d -7 @100", "100 1>4:4 2>4:2 3>4:1 -3 -4");
    // 8 * 6/10 = 4.8, 8 * 3/10 = 2.4, 8 * 1/10 = 0.8: two lots go to two eights.
    check(100, "1 a +6 @100, 2 b +3 @100, 3 c +1 @100, 4 d -8 @100", "100 1>4:5 2>4:2 3>4:1 -3 -4");
}

#[test]
fn equal_remainders_are_drawn_by_the_seed() {
    let orders = "1 a +1 @100, 2 b +1 @100, 3 c -1 @100";
    let mut won = [0, 0];
    for seed in 0..=u8::MAX {
        let orders: Vec<_> = orders.split(',').map(parse).collect();
        let auction = book(&orders).auction(&[seed; 32], Price(100));
        won[(auction.trades[0].buy.0 - 1) as usize] += 1;
    }
    assert!(won.iter().all(|wins| 96 <= *wins), "256 draws of an even chance: {won:?}");
    check_seed(0, 100, orders, "100 1>3:1 -1 -3");
    check_seed(1, 100, orders, "100 2>3:1 -2 -3");
}

#[test]
fn an_account_never_trades_with_itself() {
    // The order with fewer lots yields.
    check(100, "1 a +5 @100, 2 a -6 @100, 3 b -5 @100", "none !1");
    check(100, "1 a +6 @100, 2 a -5 @100, 3 b -5 @100", "100 1>3:5 !2 -3");
    // Of equal ones the seed decides.
    check_seed(0, 100, "1 a +5 @100, 2 a -5 @100", "none !2");
    check_seed(1, 100, "1 a +5 @100, 2 a -5 @100", "none !1");
    // Own orders that do not cross each other both stay, and only one of them can trade.
    check(100, "1 a +5 @99, 2 a -5 @100, 3 b +5 @100, 4 c -5 @99", "100 3>4:5 -3 -4");
    check(99, "1 a +5 @99, 2 a -5 @100, 4 c -5 @99", "99 1>4:5 -1 -4");
    // Yielding ends where the account no longer crosses itself.
    check(100, "1 a +1 @102, 2 a +9 @101, 3 a +1 @98, 4 a -5 @99, 5 b -2 @101", "101 2>5:2 !1 !4 -5");
}

#[test]
fn nobody_escapes_a_liquidation_by_standing_in_its_way() {
    check(100, "k1 a -5 @98, 2 a +900 @100, 3 b +5 @99", "99 3>k1:5 !2 -3 -k1");
    check(100, "k1 a +5 @102, 2 a -900 @100, 3 b -5 @101", "101 k1>3:5 !2 -k1 -3");
}

#[test]
fn the_backstop_trades_with_the_kernel_s_orders_and_nobody_else() {
    check(100, "k1 a -5 @95, 70 backstop +5 @97", "none 70>k1:5 -70 -k1 | 97");
    check(96, "k1 a -5 @95, 70 backstop +5 @97", "none 70>k1:5 -70 -k1 | 96");
    check(100, "k1 a -5 @98, 70 backstop +5 @97", "none");
    check(100, "k1 a +5 @102, 70 backstop -3 @101", "none k1>70:3 -70 | 101");
    check(100, "1 a -5 @95, 70 backstop +5 @97", "none");
    check(100, "70 backstop -5 @95, 71 backstop +6 @97", "none !70");
}

#[test]
fn the_backstop_takes_what_the_market_has_left() {
    check(99, "k1 a -5 @95, 2 b +3 @96, 70 backstop +9 @98", "96 2>k1:3 70>k1:2 -2 -k1 | 98");
    check(99, "k1 a -5 @95, 2 b +5 @96, 70 backstop +9 @98", "96 2>k1:5 -2 -k1");
    // The rest of 2 crosses nothing that it may trade with, whatever the backstop offers.
    check(99, "k1 a -5 @95, 2 b +6 @96, 70 backstop -9 @94", "96 2>k1:5 -k1");
}

#[test]
fn the_backstop_itself_is_liquidated_in_the_market() {
    check(100, "k1 backstop -5 @95, 2 b +5 @97", "97 2>k1:5 -2 -k1");
    check(100, "k1 backstop -5 @95, 70 backstop +9 @97, 2 b +3 @96", "96 2>k1:3 -2 !70");
}

#[test]
fn the_top_of_the_book_is_open_to_everyone() {
    let book = book(&[parse("70 backstop +5 @98"), parse("71 backstop -5 @99")]);
    assert_eq!((book.best_bid(), book.best_ask(), book.len()), (None, None, 2));
}

#[test]
fn what_rests_is_what_was_left() {
    let mut book = book(&[order(1, 1, 10, 101), order(2, 2, -4, 100), order(3, 3, -2, 102)]);
    book.auction(&[0; 32], Price(100));
    assert_eq!(book.get(OrderId(1)), Some(order(1, 1, 6, 101)));
    assert_eq!(book.get(OrderId(2)), None);
    assert_eq!((book.best_bid(), book.best_ask()), (Some(Price(101)), Some(Price(102))));
    assert!(book.remove(OrderId(1)));
    assert!(!book.remove(OrderId(1)));
    assert_eq!((book.best_bid(), book.best_ask(), book.len()), (None, Some(Price(102)), 1));
}

#[test]
fn an_order_is_refused_for_the_first_reason_that_holds() {
    let limits = Limits { orders_max: 2, kernel_orders_max: 1 };
    let mut book = Book::new(MARKET, limits, None);
    let kernel = |n, size| order(OrderId::KERNEL_BIT | n, 1, size, 1);
    assert_eq!(book.insert(order(1, 1, i64::MAX - 1, 1)), Ok(()));
    let elsewhere = AdmittedOrder { market: MarketId(4), ..order(1, 1, 0, 0) };
    assert_eq!(book.insert(elsewhere), Err(Refusal::WrongMarket { market: MarketId(4) }));
    for (size, limit) in [(0, 1), (i64::MIN, 1), (1, 0), (1, -1)] {
        let refusal = Refusal::OutOfRange { size: Size(size), limit: Price(limit) };
        assert_eq!(book.insert(order(1, 1, size, limit)), Err(refusal));
    }
    assert_eq!(book.insert(order(1, 2, 1, 1)), Err(Refusal::IdTaken { order: OrderId(1) }));
    assert_eq!(book.insert(order(2, 1, 2, 1)), Err(Refusal::TooDeep { lots: Size(i64::MAX - 1) }));
    assert_eq!(book.insert(order(2, 1, 1, 1)), Ok(()));
    assert_eq!(book.insert(order(3, 1, 1, 1)), Err(Refusal::Full { max: 2 }));
    // The other side has its own depth; the kernel's orders have their own room.
    assert_eq!(book.insert(kernel(1, -i64::MAX)), Ok(()));
    assert_eq!(book.insert(kernel(2, -1)), Err(Refusal::Full { max: 1 }));
    assert_eq!(book.len(), 3);
    assert!(book.remove(OrderId(1)) && book.remove(OrderId(OrderId::KERNEL_BIT | 1)));
    assert_eq!(book.insert(order(3, 1, i64::MAX - 1, 1)), Ok(()));
    assert_eq!(book.insert(kernel(2, -1)), Ok(()));
}

#[test]
fn a_refusal_says_its_numbers() {
    let text = Refusal::OutOfRange { size: Size(0), limit: Price(7) }.to_string();
    assert_eq!(text, "size 0 at limit 7 is out of range");
    assert_eq!(Refusal::Full { max: 2 }.to_string(), "the book holds 2 orders, the most it may");
}

#[test]
fn the_largest_sizes_and_prices_clear() {
    let max = i64::MAX;
    let mut full = book(&[order(1, 1, max, max), order(2, 2, -max, 1)]);
    let auction = full.auction(&[0; 32], Price(max));
    assert_eq!((auction.price, auction.volume), (Some(Price(max)), Size(max)));
    assert!(full.is_empty());
    let half = max / 2;
    let mut shared = book(&[order(1, 1, half, 5), order(2, 2, half, 5), order(3, 3, -max, 5)]);
    let auction = shared.auction(&[0; 32], Price(5));
    assert_eq!(auction.volume, Size(max - 1));
    assert_eq!(shared.get(OrderId(3)), Some(order(3, 3, -1, 5)));
    // 1/4 and 3/4 of all lots there are, for half of them.
    let (quarter, rest) = (max / 4, max - max / 4);
    let mut rationed = book(&[order(1, 1, quarter, 5), order(2, 2, rest, 5), order(3, 3, -half, 5)]);
    let auction = rationed.auction(&[0; 32], Price(5));
    let lots: Vec<i64> = auction.trades.iter().map(|trade| trade.size.0).collect();
    assert_eq!(lots.iter().sum::<i64>(), half);
    assert!(lots[0].abs_diff(half / 4) <= 1, "{lots:?}");
    let crowded = Limits { orders_max: 0, ..LIMITS };
    assert_eq!(Book::new(MARKET, crowded, None).insert(order(1, 1, 1, 1)), Err(Refusal::Full { max: 0 }));
}
