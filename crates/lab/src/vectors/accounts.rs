//! What an account needs, whether it must shrink and by how much, and who pays.

use super::scene::{self, Held, USD};
use super::{Room, int};
use kernel::adl::{Share, allocate};
use kernel::margin::requirement;
use protocol::params::Tier;
use protocol::{Effect, MarketParams};
use serde_json::{Value, json};
use units::Ratio;

pub(super) fn rooms() -> [Room; 4] {
    [requirements(), risks(), liquidations(), allocations()]
}

fn tiers_json(tiers: &[Tier]) -> Value {
    let one = |tier: &Tier| {
        json!({ "notional_from": int(tier.notional_from), "initial": int(tier.initial.0),
            "maintenance": int(tier.maintenance.0) })
    };
    tiers.iter().map(one).collect()
}

fn requirements() -> Room {
    let tiers = scene::market().tiers;
    let edge = 100_000_000_000;
    let stories: [(&str, i128); 8] = [
        ("nothing", 0),
        ("one micro-dollar", 1),
        ("inside the first tier", 40_000_000_000),
        ("exactly at an edge", edge),
        ("one micro-dollar past it", edge + 1),
        ("at the second edge", 10 * edge),
        ("inside the last tier", 30 * edge),
        ("larger than an account's money", 1 << 80),
    ];
    let case = |(name, notional): &(&str, i128)| {
        let rate = |rate: fn(&Tier) -> Ratio| int(requirement(*notional, &tiers, rate));
        let input = json!({ "notional": int(*notional), "tiers": tiers_json(&tiers) });
        let expected = json!({ "initial": rate(|tier| tier.initial), "maintenance": rate(|tier| tier.maintenance) });
        ((*name).to_owned(), input, expected)
    };
    Room {
        name: "requirement",
        says: "sum over tiers of the notional inside the tier times the tier's rate; a tier reaches from its \
               notional_from to the next one's",
        units: "notional, notional_from: micro-USD; rates: parts of 10^12; requirements: micro-USD times 10^12",
        cases: stories.iter().map(case).collect(),
    }
}

/// Cash in micro-USD and positions, one a market.
type Story = (&'static str, i64, Vec<Held>);

fn stories() -> Vec<Story> {
    let held = |lots, entry, mark| Held { lots, entry: entry * USD / 100, mark: mark * USD / 100 };
    vec![
        ("a long at its entry", 140_000_000, vec![held(40_000, 10_000, 10_000)]),
        ("a long at exactly maintenance", 139_000_000, vec![held(40_000, 10_000, 9_900)]),
        ("one micro-dollar below it", 138_999_999, vec![held(40_000, 10_000, 9_900)]),
        ("a short that lost", 140_000_000, vec![held(-40_000, 10_000, 10_150)]),
        ("a long across two tiers", 8_000_000_000, vec![held(2_000_000, 10_000, 9_800)]),
        ("a long that falls back into its first tier", 8_000_000_000, vec![held(2_000_000, 10_000, 9_670)]),
        (
            "a gain in one market carries a loss in another",
            40_000_000,
            vec![held(10_000, 10_000, 10_300), held(-7_000, 5_000, 5_400)],
        ),
        (
            "and where it does not, the larger requirement shrinks",
            34_000_000,
            vec![held(10_000, 10_000, 10_100), held(-7_000, 5_000, 5_500)],
        ),
        ("of equal requirements the first", 60_000_000, vec![held(10_000, 10_000, 9_800), held(10_000, 10_000, 9_800)]),
        ("nothing is left but nothing is owed", 110_000_000, vec![held(40_000, 10_000, 9_725)]),
        ("insolvent by a micro-dollar", 109_999_999, vec![held(40_000, 10_000, 9_725)]),
        ("prices that do not come out even", 59, vec![Held { lots: 7, entry: 33_333_333, mark: 33_000_001 }]),
        (
            "a short of prices that do not come out even",
            59,
            vec![Held { lots: -7, entry: 33_333_333, mark: 33_700_001 }],
        ),
    ]
}

fn scene_json(market: &MarketParams, cash: i64, held: &[Held]) -> Value {
    let one = |held: &Held| json!({ "lots": int(held.lots), "entry": int(held.entry), "mark": int(held.mark) });
    json!({
        "cash": int(cash),
        "positions": held.iter().map(one).collect::<Vec<_>>(),
        "products_per_micro": int(market.scale.products_per_micro()),
        "tiers": tiers_json(&market.tiers),
    })
}

fn risks() -> Room {
    let market = scene::market();
    let case = |(name, cash, held): &Story| {
        let told = scene::play(&market, *cash, held);
        let expected = match told.risk {
            Some(risk) => json!({ "equity": int(risk.equity), "initial": int(risk.initial),
                "maintenance": int(risk.maintenance), "liquidatable": risk.liquidatable() }),
            None => Value::Null,
        };
        ((*name).to_owned(), scene_json(&market, *cash, held), expected)
    };
    Room {
        name: "risk",
        says: "equity = cash + sum over positions of floor(mark * lots / products_per_micro) - floor(entry * lots / \
               products_per_micro), lots signed and floors toward minus infinity; requirements are those of ceil(mark * |lots| / products_per_micro); liquidatable where equity * 10^12 < \
               maintenance",
        units: "cash, equity: micro-USD; entry, mark: price units; initial, maintenance: micro-USD times 10^12",
        cases: stories().iter().map(case).collect(),
    }
}

fn liquidations() -> Room {
    let mut cases = Vec::new();
    for (suffix, buffer, fee) in [("", 1_000, 50), (", without buffer or fee", 0, 0), (", at 2.4% fee", 500, 240)] {
        let mut market = scene::market();
        (market.liquidation.buffer, market.liquidation.fee) = (Ratio::bps(buffer), Ratio::bps(fee));
        for (name, cash, held) in stories() {
            let told = scene::play(&market, cash, &held);
            if told.risk.is_none_or(|risk| risk.equity < 0) {
                // Who owes is deleveraged where nobody pays: no order.
                continue;
            }
            let order = told.effects.iter().find_map(|effect| match effect {
                Effect::Liquidate { order, .. } if order.account == scene::ALICE => Some(*order),
                _ => None,
            });
            let mut input = scene_json(&market, cash, &held);
            input["buffer"] = int(market.liquidation.buffer.0);
            input["fee"] = int(market.liquidation.fee.0);
            let (place, lots) = order.map_or((Value::Null, 0), |order| (json!(order.market.0), order.size.0));
            cases.push((format!("{name}{suffix}"), input, json!({ "market": place, "lots": int(lots) })));
        }
    }
    Room {
        name: "lots_to_restore",
        says: "where risk is liquidatable: from the position with the largest maintenance requirement, of equals the \
               first, the smallest number of lots (at least one) after which (equity - ceil(fee * ceil(mark * closed / \
               products_per_micro))) * 10^12 >= ceil((1 + buffer) * maintenance of what is left); all of them where \
               none suffices; signed as the trade that closes, 0 where nothing is to be done",
        units: "as in risk; buffer, fee: parts of 10^12; market: place in positions",
        cases,
    }
}

/// A name, the total, and each share's weight and cap.
type Split = (&'static str, i128, &'static [(i128, i128)]);

fn allocations() -> Room {
    let stories: [Split; 9] = [
        ("pro rata", 100, &[(1, 1_000), (3, 1_000)]),
        ("a cap passes the rest on", 100, &[(1, 1_000), (3, 60)]),
        ("every cap is reached", 100, &[(1, 20), (3, 60)]),
        ("a cap that is exactly the fair share", 100, &[(1, 50), (1, 50)]),
        ("the largest remainder first", 10, &[(1, 9), (2, 9), (4, 9)]),
        ("of equal remainders the earlier", 2, &[(1, 9), (1, 9), (1, 9)]),
        ("no weight, no share", 7, &[(0, 100), (1, 100)]),
        ("nobody", 5, &[]),
        (
            "large numbers stay exact",
            999_999_999_999_999_999,
            &[
                (333_333_333_333_333_333, 1_000_000_000_000_000_000),
                (333_333_333_333_333_334, 1_000_000_000_000_000_000),
                (999_999_999_999_999_937, 100_000_000_000_000_003),
            ],
        ),
    ];
    let case = |(name, total, shares): &(&str, i128, &[(i128, i128)])| {
        let asked: Vec<Share> = shares.iter().map(|(weight, cap)| Share { weight: *weight, cap: *cap }).collect();
        let given: Vec<Value> = allocate(*total, &asked).into_iter().map(int).collect();
        let one = |share: &Share| json!({ "weight": int(share.weight), "cap": int(share.cap) });
        let input = json!({ "total": int(*total), "shares": asked.iter().map(one).collect::<Vec<_>>() });
        ((*name).to_owned(), input, json!({ "given": given }))
    };
    Room {
        name: "allocate",
        says: "the smaller of total and the sum of caps, pro rata to weight and nobody beyond the cap: whoever's fair \
               share of what is left reaches the cap gets the cap, again until nobody's does; the others get the floor \
               of their fair share, and what is left over one each by largest remainder, of equals the earlier",
        units: "total, weight, cap, given: any one unit",
        cases: stories.iter().map(case).collect(),
    }
}
