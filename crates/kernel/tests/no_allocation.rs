//! Once it has warmed up, the kernel takes a price without asking for memory.

mod common;

use allocation_counter::measure;
use common::{Story, account, market, observation, venue};
use protocol::{Batch, Effect, Input, MarketId, Mode};
use units::{Price, Ratio, Timestamp};

const SOURCES: u8 = 8;

/// One observation a batch, from eight sources in turn, 10 ms apart, around 100 USD. Returns what `count` of them asked
/// of the allocator.
fn observe(story: &mut Story, effects: &mut Vec<Effect>, count: u64) -> u64 {
    let mut batch = Batch { height: 0, at: Timestamp(0), seed: [0; 32], inputs: Vec::with_capacity(1) };
    let asked = measure(|| {
        for n in 0..count {
            story.now += 10_000;
            let source = (n % u64::from(SOURCES)) as u8;
            let wander = (n * 7_919 % 100_000) as i64;
            batch.height = story.kernel.state().height + 1;
            batch.at = Timestamp(story.now);
            batch.inputs.clear();
            batch.inputs.push(observation(0, source, 10_000_000_000 + wander, story.now, story.now));
            effects.clear();
            story.kernel.apply(&batch, effects);
        }
    });
    asked.count_total
}

#[test]
fn a_price_in_steady_state_allocates_nothing() {
    let mut params = market(SOURCES);
    params.oracle.jump_max = Ratio::percent(50);
    // A pair far from its maintenance, so that triggers are armed and asked.
    let accounts = [account(1, 1_000, &[(0, 40_000, 100)]), account(2, 1_000, &[(0, -40_000, 100)])];
    let mut story = Story::new(&venue(vec![params]), &accounts);
    story.hold(0, &[10_000; SOURCES as usize], 301);
    let mut effects = Vec::with_capacity(64);
    observe(&mut story, &mut effects, 1_000);
    let before = story.kernel.state().market(MarketId(0)).unwrap().mark.price;
    assert_eq!(observe(&mut story, &mut effects, 10_000), 0);
    assert_ne!(story.kernel.state().market(MarketId(0)).unwrap().mark.price, before, "the prices were taken");
    assert_eq!(story.mode(0), Mode::Normal);
}

#[test]
fn the_counter_counts() {
    let boxed = measure(|| drop(std::hint::black_box(Box::new(Price(1)))));
    assert_eq!(boxed.count_total, 1);
    let listed = measure(|| drop(std::hint::black_box(vec![Input::BookTop(top()); 3])));
    assert_eq!(listed.count_total, 1);
}

fn top() -> protocol::input::BookTop {
    protocol::input::BookTop { market: MarketId(0), bid: Price(1), ask: Price(2) }
}
