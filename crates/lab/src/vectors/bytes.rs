//! A batch as canonical bytes, and their hash.

use super::{Room, int};
use protocol::input::{Cancel, Observation, Order, Trade, Transfer};
use protocol::{AccountId, Batch, Input, MarketId, OrderId, PoolId, SourceId};
use serde_json::{Value, json};
use units::{Notional, Price, Size, Timestamp};

pub(super) fn room() -> Room {
    let observation = Observation {
        market: MarketId(1),
        source: SourceId(2),
        observer: 3,
        price: Price(-4),
        confidence: Price(5),
        published_at: Timestamp(1_760_131_200_000_000),
        received_at: Timestamp(1_760_131_200_000_007),
    };
    let transfer = Transfer { pool: PoolId(0), account: AccountId(u64::MAX), amount: Notional(1_000_000) };
    let order =
        Order { id: OrderId(9), account: AccountId(7), market: MarketId(1), size: Size(-250), limit: Price(i64::MAX) };
    let trade = Trade {
        market: MarketId(1),
        buy: OrderId(9),
        sell: OrderId::of_kernel(1, 0),
        price: Price(10_000),
        size: Size(3),
    };
    let cancel = Cancel { market: MarketId(1), account: AccountId(7), order: OrderId(9) };
    let cases = [
        ("an empty batch", batch(1, 0, Vec::new())),
        ("one observation", batch(2, 0xab, vec![Input::Observation(observation)])),
        (
            "money in, an order and its cancel",
            batch(3, 1, vec![Input::Deposit(transfer), Input::Order(order), Input::Cancel(cancel)]),
        ),
        ("a trade with an order of the kernel", batch(4, 255, vec![Input::Trade(trade)])),
    ];
    Room {
        name: "batch_bytes",
        says: "SEAW, the format's version as u16, then fields in order; integers little-endian of their own width; a \
               list is a u32 count and its items; a variant is a one-byte tag and its fields; hash = blake3 of the bytes",
        units: "bytes, hash, seed: hexadecimal; tags: 0 Observation, 1 BookTop, 2 Deposit, 3 Withdraw, 4 Order, 5 Cancel, \
                6 OrderDone, 7 Trade, 8 InsuranceDeposit; widths: height 8, at 8, seed 32, market 2, source 1, observer 2, \
                pool 2, account 8, order 8, everything else 8",
        cases: cases.iter().map(|(name, batch)| case(name, batch)).collect(),
    }
}

fn batch(height: u64, seed: u8, inputs: Vec<Input>) -> Batch {
    Batch { height, at: Timestamp(1_760_131_200_000_010), seed: [seed; 32], inputs }
}

fn case(name: &str, batch: &Batch) -> (String, Value, Value) {
    let bytes = codec::to_bytes(batch);
    let input = json!({
        "height": batch.height,
        "at": int(batch.at.0),
        "seed": hex(&batch.seed),
        "inputs": batch.inputs.iter().map(fields).collect::<Vec<_>>(),
    });
    let hash = blake3::hash(&bytes).to_hex();
    (name.to_owned(), input, json!({ "bytes": hex(&bytes), "blake3": hash.as_str() }))
}

/// An input's tag and its fields in order.
fn fields(input: &Input) -> Value {
    match input {
        Input::Observation(seen) => json!({ "tag": 0, "market": seen.market.0, "source": seen.source.0,
            "observer": seen.observer, "price": int(seen.price.0), "confidence": int(seen.confidence.0),
            "published_at": int(seen.published_at.0), "received_at": int(seen.received_at.0) }),
        Input::BookTop(top) => {
            json!({ "tag": 1, "market": top.market.0, "bid": int(top.bid.0), "ask": int(top.ask.0) })
        }
        Input::Deposit(transfer) | Input::Withdraw(transfer) => {
            let tag = if matches!(input, Input::Deposit(_)) { 2 } else { 3 };
            json!({ "tag": tag, "pool": transfer.pool.0, "account": int(transfer.account.0),
                "amount": int(transfer.amount.0) })
        }
        Input::Order(order) => json!({ "tag": 4, "id": int(order.id.0), "account": int(order.account.0),
            "market": order.market.0, "size": int(order.size.0), "limit": int(order.limit.0) }),
        Input::Cancel(cancel) => json!({ "tag": 5, "market": cancel.market.0, "account": int(cancel.account.0),
            "order": int(cancel.order.0) }),
        Input::OrderDone(done) => json!({ "tag": 6, "market": done.market.0, "order": int(done.order.0) }),
        Input::Trade(trade) => json!({ "tag": 7, "market": trade.market.0, "buy": int(trade.buy.0),
            "sell": int(trade.sell.0), "price": int(trade.price.0), "size": int(trade.size.0) }),
        Input::InsuranceDeposit(deposit) => {
            json!({ "tag": 8, "pool": deposit.pool.0, "amount": int(deposit.amount.0) })
        }
        Input::Depth(depth) => {
            json!({ "tag": 9, "market": depth.market.0, "bid": int(depth.bid.0), "ask": int(depth.ask.0) })
        }
        Input::Chain(health) => json!({ "tag": 10, "pool": health.pool.0, "produced_at": int(health.produced_at.0),
            "base_fee": int(health.base_fee), "inclusion": int(health.inclusion.0),
            "finality": int(health.finality.0) }),
        Input::Funding(funding) => json!({ "tag": 12, "market": funding.market.0, "rate": int(funding.rate.0) }),
        Input::Session(session) => json!({ "tag": 13, "market": session.market.0, "opens": session.opens }),
        Input::Redenomination(said) => json!({ "tag": 14, "market": said.market.0, "from": said.from,
            "into": said.into, "at": int(said.at.0) }),
        Input::Collateral(said) => json!({ "tag": 16, "market": said.market.0, "account": int(said.account.0),
            "size": int(said.size.0) }),
        Input::Buy(said) => json!({ "tag": 17, "market": said.market.0, "account": int(said.account.0),
            "from": int(said.from.0), "size": int(said.size.0), "limit": int(said.limit.0) }),
        Input::Isolate(said) => json!({ "tag": 15, "market": said.market.0, "owner": int(said.owner.0),
            "account": int(said.account.0), "amount": int(said.amount.0) }),
        Input::Restart => json!({ "tag": 11 }),
        Input::Statement(said) => json!({ "tag": 18, "key": said.key, "nonce": int(said.nonce),
            "expires": int(said.expires.0), "act": format!("{:?}", said.act), "because": hex(&said.because),
            "signature": hex(&said.signature) }),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
