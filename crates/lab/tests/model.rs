//! The kernel against the reference model, under arbitrary inputs, and against itself on other machines.
#![cfg(not(feature = "planted"))]

use kernel::State;
use kernel::margin::{Lens, risk};
use kernel::quality::permits;
use lab::model::storm::Storm;
use lab::model::{Story, hash};
use protocol::quality::Exclusion;
use protocol::{Action, Batch, Effect, Input, MarketId, QualityState, Reject, Rung, Side};
use std::time::{SystemTime, UNIX_EPOCH};
use units::{Notional, Size, Timestamp};

/// A seed that nobody has seen yet; a failure names it.
fn fresh() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    since.as_nanos() as u64 >> 8
}

fn follow(seed: u64, batches: u32) {
    let mut story = Story::new(seed);
    for _ in 0..batches {
        if let Err(finding) = story.step() {
            panic!("seed {seed}: {finding}");
        }
    }
}

#[test]
fn the_model_agrees_on_ten_thousand_steps() {
    for seed in 0..16 {
        follow(seed, 500);
    }
    let seed = fresh();
    for seed in seed..seed + 4 {
        follow(seed, 500);
    }
}

#[test]
fn arbitrary_inputs_break_nothing_and_close_no_exit() {
    let seed = fresh();
    for seed in (0..16).chain(seed..seed + 8) {
        let mut storm = Storm::new(seed);
        let checked = (0..1_000).try_for_each(|_| storm.step().map(|_| ()));
        if let Err(finding) = checked.and_then(|()| storm.check()) {
            panic!("seed {seed}: {finding}");
        }
    }
}

/// What an effect's name does not tell: how a liquidation came about or ended.
fn kind(before: &State, after: &State, effect: &Effect) -> Option<&'static str> {
    let carries = |action, market: MarketId, size: Size| {
        let market = after.market(market).expect("a pool's positions are in its markets");
        let side = if 0 < size.0 { Side::Long } else { Side::Short };
        let price = market.quality();
        market.breaker.restriction().permits(action, side) && permits(action, price, market.single_lineage())
    };
    match effect {
        Effect::Liquidate { order, insolvent, .. } => {
            let action = if *insolvent { Action::LiquidateInsolvent } else { Action::LiquidateSolvent };
            let pool = after.pool_of(order.market)?;
            let positions = &pool.accounts[&order.account].positions;
            let doubted = positions.iter().any(|position| !carries(action, position.market, position.size));
            doubted.then_some("liquidated beside a market that permits nothing")
        }
        Effect::Deleveraged { market, account, .. } => {
            let account = &after.pool_of(*market)?.accounts[account];
            (!account.positions.is_empty()).then_some("deleveraged in a part of its markets")
        }
        Effect::Withdraw { market, order } => {
            let (was, is) = (before.pool_of(*market)?, after.pool_of(*market)?);
            let open = was.orders.get(order)?;
            let live = was.accounts[&open.account].liquidation.filter(|live| live.order == *order)?;
            let owner = risk(&is.accounts[&open.account], |market| is.market(market), Lens::Mark)?;
            match (after.at < live.expires_at && owner.liquidatable(), open.remaining) {
                (false, _) => None,
                (true, Size(lots)) if carries(Action::LiquidateSolvent, *market, Size(-lots)) => {
                    Some("taken back since the kindest price no longer asks for it")
                }
                (true, _) => Some("taken back since its price no longer carries it"),
            }
        }
        Effect::Rejected { .. }
        | Effect::Source { .. }
        | Effect::Quality { .. }
        | Effect::Mode { .. }
        | Effect::Admit { .. }
        | Effect::PayOut { .. }
        | Effect::Funded { .. }
        | Effect::CollateralSold { .. }
        | Effect::HandOut { .. }
        | Effect::Governed { .. }
        | Effect::InsurancePaid { .. }
        | Effect::Socialized { .. }
        | Effect::Deficit { .. } => None,
    }
}

#[test]
fn every_kind_of_decision_is_among_the_steps() {
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 0..150 {
        let mut story = Story::new(seed);
        for _ in 0..400 {
            let before = story.kernel.state().clone();
            story.apply();
            let name = |effect| format!("{effect:?}").chars().take_while(char::is_ascii_alphabetic).collect::<String>();
            kinds.extend(story.effects().iter().map(name));
            let after = story.kernel.state();
            kinds.extend(story.effects().iter().filter_map(|effect| kind(&before, after, effect)).map(str::to_owned));
        }
    }
    // A deficit needs a market that nobody holds any more; no seed comes by one on purpose.
    kinds.remove("Deficit");
    let all = [
        "Admit",
        "CollateralSold",
        "Deleveraged",
        "Funded",
        "HandOut",
        "InsurancePaid",
        "Liquidate",
        "Mode",
        "PayOut",
        "Quality",
        "Rejected",
        "Socialized",
        "Source",
        "Withdraw",
        "deleveraged in a part of its markets",
        "liquidated beside a market that permits nothing",
        "taken back since its price no longer carries it",
        "taken back since the kindest price no longer asks for it",
    ];
    assert_eq!(kinds.iter().map(String::as_str).collect::<Vec<_>>(), all);
}

/// Whoever sequences batches sends one when one is due; before that time alone decides nothing.
#[test]
fn nothing_is_decided_before_it_is_due() {
    let (mut waited, mut on_lower_rungs) = (0, 0);
    for seed in 0..40 {
        let mut story = Story::new(seed);
        for n in 0..400 {
            story.apply();
            let mut kernel = story.kernel.clone();
            let state = kernel.state();
            // A batch without inputs is due from an instant on; until the one before it, here at most ten minutes later.
            let until = kernel.next_due().map_or(i64::MAX, |due| due.0 - 1).min(state.at.0 + 600_000_000);
            if n % 5 != 0 || until <= state.at.0 {
                continue;
            }
            let prices = |state: &State| -> Vec<_> {
                let quality = |market: &kernel::state::Market| {
                    let quality = market.quality();
                    (quality.value, quality.confidence, quality.state, quality.rung, market.ladder.anchor)
                };
                state.markets().map(quality).collect()
            };
            let before = prices(state);
            on_lower_rungs += before.iter().filter(|(_, _, _, rung, _)| *rung != Rung::Primary).count();
            let (height, mut effects) = (state.height + 1, Vec::new());
            // Every market is looked at, not only those that are due.
            let mut looked = kernel::Kernel::resume(state.clone());
            let looks = state.markets().map(|market| {
                Input::BookTop(protocol::input::BookTop {
                    market: market.id,
                    bid: units::Price(0),
                    ask: units::Price(0),
                })
            });
            let batch = Batch { height, at: Timestamp(until), seed: [0; 32], inputs: looks.collect() };
            looked.apply(&batch, &mut effects);
            assert_eq!(prices(looked.state()), before, "seed {seed}, batch {n}");
            effects.clear();
            kernel.apply(&Batch { inputs: Vec::new(), ..batch }, &mut effects);
            assert_eq!(effects, [], "seed {seed}, batch {n}");
            waited += 1;
        }
    }
    assert!(1_000 < waited && 1_000 < on_lower_rungs, "{waited} {on_lower_rungs}");
}

/// The paths that need an accident of their own, counted over many stories.
#[test]
fn the_rare_paths_are_among_the_steps() {
    let mut found = std::collections::BTreeMap::new();
    for seed in 0..400 {
        let mut story = Story::new(seed);
        for _ in 0..400 {
            let before = story.kernel.state().clone();
            let batch = story.apply();
            let mut count = |name: &'static str| *found.entry(name).or_insert(0) += 1;
            let shared = |market: u16| {
                let shares =
                    |effect: &&Effect| matches!(effect, Effect::Socialized { market: of, .. } if of.0 == market);
                story.effects().iter().any(|effect| shares(&effect))
            };
            if 1 < (0..8).filter(|market| shared(*market)).count() {
                count("a loss shared by two markets");
            }
            for (before, after) in before.markets().zip(story.kernel.state().markets()) {
                let (was, is) = (&before.index, &after.index);
                if was.denomination != is.denomination {
                    count("a split");
                }
                if was.rebased && !is.rebased {
                    count("a split that prices bear out");
                }
                let leaps = |index: &kernel::index::Index| {
                    let limit = after.params.oracle.leap_max;
                    index.adrift.is_some_and(|adrift| !adrift.value.within(limit, index.footing))
                };
                match (leaps(was), leaps(is)) {
                    (false, true) => count("a leap of everybody"),
                    (true, false) if !is.footing.within(after.params.oracle.leap_max, was.footing) => {
                        count("a leap that stood");
                    }
                    _ => {}
                }
                if before.activity.closed && !after.activity.closed && after.activity.gated {
                    count("a session that begins");
                }
                if before.memory.levels[14] < after.memory.levels[14] {
                    count("news that is too old");
                }
            }
            for effect in story.effects() {
                match effect {
                    Effect::Deficit { .. } => count("a deficit"),
                    Effect::CollateralSold { market, buyer, .. } => {
                        let provider = before.pool_of(*market).and_then(|pool| pool.params.backstop);
                        let own = provider == Some(*buyer);
                        count(if own { "collateral that nobody bought" } else { "collateral that somebody bought" });
                    }
                    Effect::Source { exclusion: Some(Exclusion::Delayed), .. } => count("a price that comes late"),
                    Effect::Source { exclusion: Some(Exclusion::Unconverted), .. } => count("a unit without a price"),
                    Effect::Quality { quality, .. } => match (quality.rung, quality.state) {
                        (Rung::Secondary, QualityState::Agreed) => count("a secondary price"),
                        (Rung::Secondary, QualityState::Disputed) => {
                            count("a secondary price that a better one disputes")
                        }
                        (Rung::Guardian, QualityState::Agreed) => count("a guardians' price"),
                        (Rung::Guardian, QualityState::Disputed) => count("a guardians' price that another disputes"),
                        (Rung::Derived, QualityState::Agreed) => count("a derived price"),
                        (Rung::Derived, QualityState::Disputed) => count("a derived price that another disputes"),
                        (Rung::Twap, QualityState::Degraded) => count("an average"),
                        (Rung::Twap, QualityState::Disputed) => count("an average that a jump disputes"),
                        _ => {}
                    },
                    Effect::PayOut { haircut, .. } if Notional(0) < *haircut => count("a haircut"),
                    Effect::Rejected { input, reject } => match (&batch.inputs[*input as usize], reject) {
                        (Input::Deposit(_), Reject::TooSmall { .. }) => count("a first deposit that is too small"),
                        (Input::Isolate(_), Reject::Margin { .. }) => count("isolated margin that is needed elsewhere"),
                        (Input::Isolate(_), Reject::Mismatch) => count("isolated margin of another's"),
                        (Input::Collateral(_), Reject::CollateralFull { .. }) => count("collateral that is too much"),
                        (Input::Collateral(_), Reject::Margin { .. }) => count("collateral that is needed"),
                        (Input::Buy(_), Reject::BeyondLimit { .. }) => count("an offer that is too low"),
                        (Input::Buy(_), Reject::BeyondSize { .. }) => count("an offer for more than the debt needs"),
                        (Input::Order(order), Reject::OpenInterest { max }) => {
                            let open = before.market(order.market).map_or(0, |market| market.open_interest());
                            if open + i128::from(order.size.lots()) <= i128::from(max.0) {
                                count("open interest that rests");
                            }
                        }
                        (Input::Cancel(cancel), Reject::UnknownOrder) => {
                            let pool = before.pool_of(cancel.market);
                            let order = pool.and_then(|pool| pool.orders.get(&cancel.order));
                            if order.is_some_and(|order| order.account != cancel.account) && !cancel.order.is_kernel() {
                                count("a stranger's cancel");
                            }
                        }
                        _ => {}
                    },
                    _ => {}
                }
            }
        }
    }
    println!("{found:?}");
    let all = [
        "a deficit",
        "a derived price",
        "a derived price that another disputes",
        "a first deposit that is too small",
        "a guardians' price",
        "a guardians' price that another disputes",
        "a haircut",
        "a leap of everybody",
        "a leap that stood",
        "a loss shared by two markets",
        "a price that comes late",
        "a secondary price",
        "a secondary price that a better one disputes",
        "a session that begins",
        "a split",
        "a split that prices bear out",
        "a stranger's cancel",
        "a unit without a price",
        "an average",
        "an average that a jump disputes",
        "an offer for more than the debt needs",
        "an offer that is too low",
        "collateral that is needed",
        "collateral that is too much",
        "collateral that nobody bought",
        "collateral that somebody bought",
        "isolated margin of another's",
        "isolated margin that is needed elsewhere",
        "news that is too old",
        "open interest that rests",
    ];
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), all, "{found:?}");
}

#[test]
fn two_runs_of_a_seed_and_every_machine_agree() {
    let [state, effects] = hash(7, 400);
    assert_eq!([state.clone(), effects.clone()], hash(7, 400));
    // Debug or release, here or elsewhere: whoever gets another value decides otherwise. A change of what the kernel
    // decides or remembers changes these on purpose; `soak --kind hash` prints those of other seeds.
    assert_eq!(state, "13e765fdeeac300014a1e2bc6fe471aac9ada876f7a64c0a726dfe2d5eb2dd53");
    assert_eq!(effects, "a91847df37ed299fd1f8f69cd2201e194c609163bdfb7886cf6891579a2af1d3");
}
