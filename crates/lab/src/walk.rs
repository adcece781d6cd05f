//! A feed through a kernel without accounts: for whoever asks about prices and modes alone.

use crate::feed::{Feed, FeedEvent};
use crate::replay::world::World;
use kernel::{Kernel, State};
use protocol::input::Observation;
use protocol::{Batch, Effect, Input, MarketId, VenueParams};
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

/// Streams `feed` through a kernel without accounts. `see` is shown the state and what was decided after every observation, and
/// whenever time alone may have changed it; it may end the walk.
///
/// # Errors
/// In words: parameters that the kernel refuses, or a stream that can't be read.
pub fn walk(feed: &Feed, world: &World, params: &VenueParams, see: &mut See<'_>) -> Result<(), String> {
    let mut kernel = Kernel::new(params, &[]).map_err(|bad| format!("the policy is refused: {bad:?}"))?;
    let mut batch = Batch { height: 0, at: Timestamp(0), seed: [0; 32], inputs: Vec::with_capacity(1) };
    let mut effects = Vec::new();
    for event in feed.replay().map_err(|error| error.to_string())? {
        let event = event.map_err(|error| error.to_string())?;
        let Some((market, source)) = world.series.get(event.series as usize).copied() else { continue };
        while let Some(due) = kernel.next_due().filter(|due| kernel.state().at < *due && due.0 < event.received_at) {
            batch.height += 1;
            batch.at = due;
            kernel.apply(&batch, &mut effects);
            let seen = see(Step::Due, kernel.state(), &effects);
            effects.clear();
            if seen.is_break() {
                return Ok(());
            }
        }
        let listed = &world.markets[usize::from(market.0)];
        let confidence = listed.scale.price_from_pico(event.confidence, Rounding::Up).unwrap_or(Price(i64::MAX));
        batch.height += 1;
        batch.at = Timestamp(event.received_at);
        batch.inputs.push(Input::Observation(Observation {
            market,
            source,
            observer: 0,
            price: listed.price(event.price),
            confidence,
            published_at: Timestamp(event.published_at),
            received_at: batch.at,
        }));
        kernel.apply(&batch, &mut effects);
        batch.inputs.clear();
        let seen = see(Step::Seen(&event, market), kernel.state(), &effects);
        effects.clear();
        if seen.is_break() {
            return Ok(());
        }
    }
    Ok(())
}
