//! Whatever becomes of one pool's state, the other pools decide and remember exactly what they would have.

use codec::{Leaf, layout};
use kernel::{Kernel, State};
use lab::model::traffic::Traffic;
use protocol::{Batch, Effect, Input, MarketId, PoolId};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

/// Batches that follow a corruption.
const FOLLOWING: usize = 12;
/// The header of an encoding.
const HEADER: usize = 6;

/// What a corruption came to.
#[derive(Default, Debug)]
struct Tally {
    leaves: u32,
    corruptions: u32,
    refused: u32,
    ran: u32,
    panicked: u32,
}

/// The ways in which a leaf is corrupted.
fn corruptions(bytes: &[u8], kind: Leaf) -> Vec<Vec<u8>> {
    let mut ways: Vec<Vec<u8>> = Vec::new();
    let plus = |step: i128| {
        let mut wide = [0_u8; 16];
        wide[..bytes.len().min(16)].copy_from_slice(&bytes[..bytes.len().min(16)]);
        let sum = i128::from_le_bytes(wide).wrapping_add(step).to_le_bytes();
        sum[..bytes.len().min(16)].to_vec()
    };
    match kind {
        Leaf::Int { signed } => {
            ways.push(vec![0; bytes.len()]);
            ways.push(vec![0xff; bytes.len()]);
            ways.extend([plus(1), plus(-1)]);
            if signed {
                let (mut max, mut min) = (vec![0xff; bytes.len()], vec![0; bytes.len()]);
                max[bytes.len() - 1] = 0x7f;
                min[bytes.len() - 1] = 0x80;
                ways.extend([max, min]);
            }
        }
        Leaf::Bool | Leaf::Tag | Leaf::Length => ways.extend([plus(1), plus(-1)]),
        Leaf::Bytes => {}
    }
    let mut flipped = bytes.to_vec();
    let middle = bytes.len() / 2;
    flipped[middle] ^= 0x10;
    ways.push(flipped);
    ways.retain(|way| way != bytes);
    ways
}

/// What a batch's effects say about pools other than `corrupted`.
fn of_others(state: &State, batch: &Batch, effects: &[Effect], corrupted: PoolId) -> Vec<Effect> {
    let pool_of = |market: MarketId| state.pool_of(market).map(|pool| pool.id);
    let of_input = |input: &Input| match input {
        Input::Observation(seen) => pool_of(seen.market),
        Input::BookTop(top) => pool_of(top.market),
        Input::Depth(depth) => pool_of(depth.market),
        Input::Chain(health) => Some(health.pool),
        Input::Funding(funding) => pool_of(funding.market),
        Input::Restart | Input::Statement(_) => None,
        Input::Session(session) => pool_of(session.market),
        Input::Redenomination(said) => pool_of(said.market),
        Input::Isolate(said) => pool_of(said.market),
        Input::Collateral(said) => pool_of(said.market),
        Input::Buy(said) => pool_of(said.market),
        Input::Deposit(transfer) | Input::Withdraw(transfer) => Some(transfer.pool),
        Input::Order(order) => pool_of(order.market),
        Input::Cancel(cancel) => pool_of(cancel.market),
        Input::OrderDone(done) => pool_of(done.market),
        Input::Trade(trade) => pool_of(trade.market),
        Input::InsuranceDeposit(deposit) => Some(deposit.pool),
    };
    let of_effect = |effect: &Effect| match effect {
        Effect::Rejected { input, .. } => batch.inputs.get(*input as usize).and_then(of_input),
        Effect::Source { market, .. }
        | Effect::Quality { market, .. }
        | Effect::Mode { market, .. }
        | Effect::Withdraw { market, .. }
        | Effect::Funded { market, .. }
        | Effect::CollateralSold { market, .. }
        | Effect::HandOut { market, .. }
        | Effect::Deleveraged { market, .. } => pool_of(*market),
        // Of the venue.
        Effect::Governed { .. } => None,
        Effect::Admit { order } | Effect::Liquidate { order, .. } => pool_of(order.market),
        Effect::InsurancePaid { pool, .. }
        | Effect::Socialized { pool, .. }
        | Effect::Deficit { pool, .. }
        | Effect::PayOut { pool, .. } => Some(*pool),
    };
    effects.iter().filter(|effect| of_effect(effect) != Some(corrupted)).copied().collect()
}

/// Where the pools lie in the encoding of a state.
fn pool_ranges(state: &State) -> Vec<core::ops::Range<usize>> {
    let mut from = HEADER + 8 + 8 + 4;
    let ranges = state.pools.iter().map(|pool| {
        let len = codec::to_bytes(pool).len() - HEADER;
        from += len;
        from - len..from
    });
    ranges.collect()
}

fn check(seed: u64, before: usize, every: usize) -> Tally {
    let mut traffic = Traffic::new(seed);
    let mut kernel = Kernel::new(traffic.params(), traffic.genesis()).expect("the seed's venue is well formed");
    let mut effects = Vec::new();
    for _ in 0..before {
        let batch = traffic.next(kernel.state());
        kernel.apply(&batch, &mut effects);
    }
    let begun = kernel.state().clone();
    let bytes = begun.to_snapshot();
    let mut batches = Vec::new();
    let mut sound = Vec::new();
    for _ in 0..FOLLOWING {
        let batch = traffic.next(kernel.state());
        let mut effects = Vec::new();
        kernel.apply(&batch, &mut effects);
        let hashes: Vec<_> = begun.pools.iter().map(|pool| kernel.state().pool_hash(pool.id)).collect();
        sound.push((effects, hashes));
        batches.push(batch);
    }
    let mut tally = Tally::default();
    for (pool, range) in begun.pools.iter().zip(pool_ranges(&begun)) {
        let offset = range.start - HEADER;
        assert_eq!(codec::to_bytes(pool)[HEADER..], bytes[range.clone()], "pool {} lies where it is sought", pool.id.0);
        let leaves = layout(pool).into_iter().filter(|leaf| HEADER <= leaf.offset);
        for leaf in leaves.skip(seed as usize % every).step_by(every) {
            tally.leaves += 1;
            let place = offset + leaf.offset..offset + leaf.offset + leaf.len;
            for way in corruptions(&bytes[place.clone()], leaf.kind) {
                tally.corruptions += 1;
                let mut corrupt = bytes.clone();
                corrupt[place.clone()].copy_from_slice(&way);
                let Ok(state) = codec::from_bytes::<State>(&corrupt) else {
                    tally.refused += 1;
                    continue;
                };
                let told = format!("seed {seed}, pool {}, {leaf:?} of the pool := {way:?}", pool.id.0);
                let mut kernel = Kernel::resume(state);
                let survived = catch_unwind(AssertUnwindSafe(|| {
                    // Refusing or accepting it, the full check must come to an answer.
                    let _ = State::from_snapshot(&corrupt);
                    for (batch, (expected, hashes)) in batches.iter().zip(&sound) {
                        let mut effects = Vec::new();
                        kernel.apply(batch, &mut effects);
                        let got = of_others(&begun, batch, &effects, pool.id);
                        let wanted = of_others(&begun, batch, expected, pool.id);
                        let alike = got == wanted;
                        let same =
                            begun.pools.iter().zip(hashes).all(|(other, hash)| {
                                other.id == pool.id || kernel.state().pool_hash(other.id) == *hash
                            });
                        if !alike || !same {
                            return Err((batch.height, alike, same));
                        }
                    }
                    Ok(())
                }));
                match survived {
                    Ok(Ok(())) => tally.ran += 1,
                    Ok(Err((height, effects, hashes))) => {
                        panic!(
                            "{told}: another pool changed at {height}: effects alike {effects}, hashes alike {hashes}"
                        )
                    }
                    Err(_) => {
                        tally.panicked += 1;
                        eprintln!("{told}: panicked");
                    }
                }
            }
        }
    }
    tally
}

#[test]
fn a_corruption_of_any_field_of_a_pool_stays_in_that_pool() {
    let hook = take_hook();
    set_hook(Box::new(|info| eprintln!("{info}")));
    let mut all = Tally::default();
    // Every leaf of one state, and a sample of the leaves of others.
    for (seed, every) in [(1, 1), (2, 9), (3, 9), (4, 9), (5, 9), (6, 9)] {
        let tally = check(seed, 40 + seed as usize * 25, every);
        all.leaves += tally.leaves;
        all.corruptions += tally.corruptions;
        all.refused += tally.refused;
        all.ran += tally.ran;
        all.panicked += tally.panicked;
    }
    set_hook(hook);
    println!("{all:?}");
    assert_eq!(all.panicked, 0, "{all:?}");
    assert!(10_000 < all.ran, "{all:?}");
}
