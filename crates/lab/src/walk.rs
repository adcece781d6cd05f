//! A feed through a kernel without accounts: for whoever asks about prices and modes alone.

use crate::feed::{Feed, FeedEvent};
use crate::replay::world::World;
use kernel::{Kernel, State};
use protocol::input::Observation;
use protocol::{Batch, Effect, Input, MarketId, SourceId, VenueParams};
use std::ops::ControlFlow;
use units::{Price, Rounding, Timestamp};

/// What a kernel was stepped by.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// Time alone.
    Due,
    /// An observation of this market.
    Seen(&'a FeedEvent, MarketId),
}

/// Is shown each step, the state after it and what was decided; says whether to go on.
pub type See<'a> = dyn FnMut(Step<'_>, &State, &[Effect]) -> ControlFlow<()> + 'a;

/// Streams `feed` through a kernel without accounts. What was published at the same instant and is known at the same instant is
/// decided together, whichever source it is from. `see` is shown each observation with the state after its batch, the first of a
/// batch with what was decided; and whenever time alone may have changed it. It may end the walk.
///
/// # Errors
/// In words: parameters that the kernel refuses, or a stream that can't be read.
pub fn walk(feed: &Feed, world: &World, params: &VenueParams, see: &mut See<'_>) -> Result<(), String> {
    let mut kernel = Kernel::new(params, &[]).map_err(|bad| format!("the policy is refused: {bad:?}"))?;
    let mut batch = Batch { height: 0, at: Timestamp(0), seed: [0; 32], inputs: Vec::new() };
    let mut effects = Vec::new();
    let mut events = feed.replay().map_err(|error| error.to_string())?.peekable();
    let mut known: Vec<FeedEvent> = Vec::new();
    while let Some(event) = events.next() {
        let event = event.map_err(|error| error.to_string())?;
        let at = event.received_at;
        known.clear();
        known.push(event);
        while let Some(next) = events.next_if(|next| next.as_ref().is_ok_and(|next| next.received_at == at)) {
            known.extend(next);
        }
        while let Some(due) = kernel.next_due().filter(|due| kernel.state().at < *due && due.0 < at) {
            batch.height += 1;
            batch.at = due;
            kernel.apply(&batch, &mut effects);
            let seen = see(Step::Due, kernel.state(), &effects);
            effects.clear();
            if seen.is_break() {
                return Ok(());
            }
        }
        // Stable: a source's own observations stay in its order.
        known.sort_by_key(|event| event.published_at);
        for together in known.chunk_by(|one, next| one.published_at == next.published_at) {
            let market_of = |event: &FeedEvent| world.series.get(event.series as usize).copied();
            batch.height += 1;
            batch.at = Timestamp(at);
            batch.inputs.extend(together.iter().filter_map(|event| Some(observation(world, event, market_of(event)?))));
            kernel.apply(&batch, &mut effects);
            batch.inputs.clear();
            for (event, market) in together.iter().filter_map(|event| Some((event, market_of(event)?.0))) {
                let seen = see(Step::Seen(event, market), kernel.state(), &effects);
                effects.clear();
                if seen.is_break() {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

fn observation(world: &World, event: &FeedEvent, (market, source): (MarketId, SourceId)) -> Input {
    let listed = &world.markets[usize::from(market.0)];
    let confidence = listed.scale.price_from_pico(event.confidence, Rounding::Up).unwrap_or(Price(i64::MAX));
    Input::Observation(Observation {
        market,
        source,
        observer: 0,
        price: listed.price(event.price),
        confidence,
        published_at: Timestamp(event.published_at),
        received_at: Timestamp(event.received_at),
    })
}
