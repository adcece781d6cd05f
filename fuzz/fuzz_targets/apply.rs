//! Whatever a batch carries, the kernel neither panics nor breaks an invariant, and a snapshot of it goes on alike.
#![no_main]

use codec::{Canonical, Reader};
use kernel::{Genesis, Holding, Kernel};
use libfuzzer_sys::fuzz_target;
use policy::{Listing, MarketListing, Policy, SourceListing};
use protocol::{AccountId, Batch, Input, MarketId, PoolId, VenueParams};
use std::sync::LazyLock;
use units::{Duration, Notional, Price, Ratio, Scale, Size, Timestamp};

static VENUE: LazyLock<VenueParams> = LazyLock::new(|| {
    // Every rung of the ladder, and a unit.
    let rungs = "
        [source.four]
        rung = \"secondary\"
        [source.five]
        rung = \"secondary\"
        [source.six]
        rung = \"guardian\"
        [source.seven]
        rung = \"guardian\"
        [source.eight]
        rung = \"derived\"
        [market.A.source.one]
        quote = \"B\"
        [market.A.source.eight]
        quote = \"B\"
    ";
    let text = [include_str!("../../policies/default.toml"), rungs].concat();
    let policy = Policy::parse(&text, "default.toml").expect("the shipped policy is well formed");
    let market = |name: &str| MarketListing {
        name: name.to_owned(),
        scale: Scale::new(4, 3).expect("a scale that fits"),
        reference_price: Price(10_000_000_000),
        sources: ["one", "two", "three", "four", "five", "six", "seven", "eight"]
            .map(|name| SourceListing {
                name: name.to_owned(),
                lineage: name.to_owned(),
                heartbeat: None,
                kind: protocol::SourceKind::Trades,
                quote: None,
            })
            .to_vec(),
    };
    let mut listed = policy.list(&Listing { markets: vec![market("A"), market("B")] }).expect("the listing fits");
    for pool in &mut listed.params.pools {
        pool.backstop = Some(AccountId(9));
    }
    // The policy takes nothing of what is not listed by name.
    for market in &mut listed.params.markets {
        market.collateral.deposit_max = Size(10_000_000);
    }
    listed.params
});

fn accounts() -> Vec<Genesis> {
    let account = |id: u64, cash: i64, a: i64, b: i64| {
        let holding =
            |market, size| Holding { market: MarketId(market), size: Size(size), entry: Price(10_000_000_000) };
        let holdings =
            [(0, a), (1, b)].into_iter().filter(|(_, size)| *size != 0).map(|(m, s)| holding(m, s)).collect();
        Genesis { collateral: Vec::new(), pool: PoolId(0), account: AccountId(id), cash: Notional(cash), holdings }
    };
    vec![
        account(1, 140_000_000, 40_000, 0),
        account(2, 900_000_000, -40_000, 20_000),
        account(3, 300_000_000, 0, -20_000),
        account(9, 1_000_000_000_000, 0, 0),
    ]
}

fuzz_target!(|bytes: &[u8]| {
    let mut kernel = Kernel::new(&VENUE, &accounts()).expect("the venue fits");
    let mut reader = Reader::new(bytes);
    let (mut out, mut at, mut height) = (Vec::new(), 1_000_000_000_000_000_i64, 0);
    for _ in 0..64 {
        // A step of time, then up to four inputs.
        let Ok(step) = u32::decode(&mut reader) else { break };
        at += i64::from(step);
        let mut inputs = Vec::new();
        for _ in 0..step % 5 {
            let Ok(input) = Input::decode(&mut reader) else { break };
            inputs.push(aimed(input, at));
        }
        height += 1;
        out.clear();
        kernel.apply(&Batch { height, at: Timestamp(at), seed: [0; 32], inputs }, &mut out);
        kernel.state().check().expect("invariants hold");
    }
});

/// Brings an input near the venue half of the time, so that the search gets past the first checks.
fn aimed(mut input: Input, at: i64) -> Input {
    match &mut input {
        Input::Observation(seen) if seen.observer % 2 == 0 => {
            (seen.market.0, seen.source.0) = (seen.market.0 % 2, seen.source.0 % 8);
            (seen.received_at, seen.published_at) = (Timestamp(at), Timestamp(at));
            seen.price = Price(seen.price.0.rem_euclid(20_000_000_000));
            seen.confidence = Price(seen.confidence.0.rem_euclid(200_000_000));
        }
        Input::Order(order) if order.id.0 % 2 == 0 => {
            (order.market.0, order.account.0, order.id.0) = (order.market.0 % 2, order.account.0 % 10, order.id.0 % 16);
            order.size = Size(order.size.0 % 100_000);
            order.limit = Price(order.limit.0.rem_euclid(20_000_000_000));
        }
        Input::Trade(trade) if trade.size.0 % 2 == 0 => {
            (trade.market.0, trade.buy.0, trade.sell.0) = (trade.market.0 % 2, trade.buy.0 % 16, trade.sell.0 % 16);
            trade.size = Size(trade.size.0.rem_euclid(100_000));
            trade.price = Price(trade.price.0.rem_euclid(20_000_000_000));
        }
        Input::Deposit(transfer) | Input::Withdraw(transfer) if transfer.amount.0 % 2 == 0 => {
            (transfer.pool.0, transfer.account.0) = (0, transfer.account.0 % 10);
            transfer.amount = Notional(transfer.amount.0.rem_euclid(1_000_000_000));
        }
        Input::Depth(depth) if depth.bid.0 % 2 == 0 => {
            depth.market.0 %= 2;
            (depth.bid, depth.ask) = (Size(depth.bid.0.rem_euclid(100_000)), Size(depth.ask.0.rem_euclid(100_000)));
        }
        Input::Chain(health) if health.base_fee % 2 == 0 => {
            health.pool.0 = 0;
            health.produced_at = Timestamp(at - health.produced_at.0.rem_euclid(600_000_000));
            health.inclusion = Duration(health.inclusion.0.rem_euclid(1_000_000_000));
            health.finality = Duration(health.finality.0.rem_euclid(30_000_000_000));
        }
        Input::Session(session) if session.market.0 % 2 == 0 => session.market.0 %= 2,
        Input::Redenomination(said) if said.from % 2 == 0 => {
            (said.market.0, said.from, said.into) = (said.market.0 % 2, said.from % 11, said.into % 11);
            said.at = Timestamp(at - said.at.0 % 60_000_000);
        }
        Input::Collateral(said) if said.size.0 % 2 == 0 => {
            (said.market.0, said.account.0) = (said.market.0 % 2, said.account.0 % 6);
            said.size = Size(said.size.0 % 1_000_000);
        }
        Input::Buy(said) if said.size.0 % 2 == 0 => {
            (said.market.0, said.account.0, said.from.0) = (said.market.0 % 2, said.account.0 % 6, said.from.0 % 6);
            said.size = Size(said.size.0 % 100_000);
        }
        Input::Isolate(said) if said.amount.0 % 2 == 0 => {
            (said.market.0, said.owner.0, said.account.0) = (said.market.0 % 2, said.owner.0 % 6, said.account.0 % 8);
            said.amount = Notional(said.amount.0 % 1_000_000_000);
        }
        Input::Funding(funding) if funding.rate.0 % 2 == 0 => {
            (funding.market.0, funding.rate) = (funding.market.0 % 2, Ratio(funding.rate.0 % 800_000_001));
        }
        Input::Observation(_)
        | Input::Depth(_)
        | Input::Chain(_)
        | Input::Funding(_)
        | Input::Restart
        | Input::Statement(_)
        | Input::Session(_)
        | Input::Redenomination(_)
        | Input::Isolate(_)
        | Input::Collateral(_)
        | Input::Buy(_)
        | Input::BookTop(_)
        | Input::Deposit(_)
        | Input::Withdraw(_)
        | Input::Order(_)
        | Input::Cancel(_)
        | Input::OrderDone(_)
        | Input::Trade(_)
        | Input::InsuranceDeposit(_) => {}
    }
    input
}
