//! The hindsight reference: the median over venues of prices by trade time, on a grid, in a file.
//!
//! Nobody could have known it at the time; it only judges afterwards. It is built in one pass over the stream and kept
//! on disk, so that memory does not grow with the length of the data.
//!
//! Where all but one venue have been silent, that one is the reference; it is said so ([`Reference::lone`]).

use super::world::World;
use crate::feed::{Feed, Micros};
use protocol::{MarketId, SourceId};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use units::Price;

/// Prices that arrive later than this after their trade time are not waited for.
const LAG_MAX: Micros = 300_000_000;

/// The reference of every market.
#[derive(Debug)]
pub struct Hindsight {
    /// First slot's time.
    from: Micros,
    /// Slots.
    slots: u64,
    /// Distance of slots.
    step: Micros,
    /// By market: one `i64` a slot, in the market's price unit, below zero where one lineage alone stands behind it, zero
    /// where there is none.
    files: Vec<File>,
    /// Rows that came too late to count.
    pub late: u64,
}

/// A price of the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// In the market's price unit.
    pub price: i64,
    /// All venues that it is the median of have one lineage.
    pub lone: bool,
}

struct Pending {
    /// By source, the first source of its lineage.
    lineages: Vec<usize>,
    /// By source, (published at, price), oldest first; the first is the last one that is not newer than the next slot.
    sources: Vec<VecDeque<(Micros, i64)>>,
    out: BufWriter<File>,
    fresh: Micros,
}

impl Hindsight {
    /// Builds the reference from the stream.
    ///
    /// # Errors
    /// A stream or a temporary file that can't be read or written.
    pub fn build(feed: &Feed, world: &World) -> io::Result<Hindsight> {
        let raw = Hindsight::pass(feed, world, &|_, _, price, _| Some(price))?;
        if !world.is_converted() {
            return Ok(raw);
        }
        // Of units it is what it will be. With them, the others once more.
        Hindsight::pass(feed, world, &|market, source, price, at| raw.in_usd(world, market, source, price, at))
    }

    /// A price of the feed, counts of 1e-12, in USD by the reference of its unit; `None` where that has none.
    #[must_use]
    pub fn in_usd(&self, world: &World, market: MarketId, source: SourceId, pico: i128, at: Micros) -> Option<i128> {
        let Some(unit) = world.unit(market, source) else { return Some(pico) };
        let worth = self.at(unit, at)?.price;
        let worth = world.markets[usize::from(unit.0)].scale.price_to_pico(Price(worth));
        pico.checked_mul(worth).map(|product| product / 1_000_000_000_000)
    }

    fn pass(
        feed: &Feed,
        world: &World,
        in_usd: &dyn Fn(MarketId, SourceId, i128, Micros) -> Option<i128>,
    ) -> io::Result<Hindsight> {
        let widest = world.markets.iter().map(|market| market.width).max().unwrap_or(0);
        let step = (widest / 4).max(1_000_000);
        let mut files = Vec::new();
        let mut pending = Vec::new();
        for market in &world.markets {
            let file = tempfile::tempfile()?;
            files.push(file.try_clone()?);
            let first_of = |source: &super::world::WorldSource| {
                market.sources.iter().position(|other| other.lineage == source.lineage).unwrap_or(0)
            };
            pending.push(Pending {
                lineages: market.sources.iter().map(first_of).collect(),
                sources: vec![VecDeque::new(); market.sources.len()],
                out: BufWriter::new(file),
                fresh: (market.width * 3 / 2).max(10_000_000),
            });
        }
        let (mut from, mut slots, mut late) = (0, 0_u64, 0);
        let mut last = 0;
        for event in feed.replay().map_err(io::Error::other)? {
            let event = event.map_err(io::Error::other)?;
            let Some((market, source)) = world.series.get(event.series as usize) else { continue };
            if last == 0 {
                from = event.published_at.div_euclid(step) * step;
            }
            last = last.max(event.received_at);
            while from + slots as i64 * step < event.received_at - LAG_MAX {
                close(&mut pending, from + slots as i64 * step)?;
                slots += 1;
            }
            if event.published_at < from + slots as i64 * step - step {
                late += 1;
                continue;
            }
            let Some(price) = in_usd(*market, *source, event.price, event.published_at) else { continue };
            let price = world.markets[usize::from(market.0)].price(price).0;
            pending[usize::from(market.0)].sources[usize::from(source.0)].push_back((event.published_at, price));
        }
        while from + slots as i64 * step <= last {
            close(&mut pending, from + slots as i64 * step)?;
            slots += 1;
        }
        for market in pending {
            market.out.into_inner().map_err(|error| error.into_error())?;
        }
        Ok(Hindsight { from, slots, step, files, late })
    }

    /// Distance of the grid's slots, microseconds.
    #[must_use]
    pub const fn step(&self) -> Micros {
        self.step
    }

    /// The reference of `market` at the last slot not after `at`; `None` where no venue had traded lately.
    #[must_use]
    pub fn at(&self, market: MarketId, at: Micros) -> Option<Reference> {
        self.stretch(market, at, at).at(at)
    }

    /// The reference of `market` from `from` until `until`, read at once; empty where it can't be.
    #[must_use]
    pub fn stretch(&self, market: MarketId, from: Micros, until: Micros) -> Stretch {
        let slot = |at: Micros| u64::try_from((at - self.from).div_euclid(self.step).max(0)).unwrap_or(0);
        let (first, end) = (slot(from), slot(until).saturating_add(1).min(self.slots));
        let mut bytes = vec![0; usize::try_from(end.saturating_sub(first) * 8).unwrap_or(0)];
        let file = self.files.get(usize::from(market.0));
        if file.is_none_or(|file| file.read_exact_at(&mut bytes, first * 8).is_err()) {
            bytes.clear();
        }
        Stretch { from: self.from + first as i64 * self.step, step: self.step, bytes }
    }
}

/// A part of the reference of one market.
#[derive(Debug)]
pub struct Stretch {
    /// The first slot's time.
    from: Micros,
    step: Micros,
    bytes: Vec<u8>,
}

impl Stretch {
    /// The reference at the last slot not after `at`; `None` outside the stretch, and where no venue had traded lately.
    #[must_use]
    pub fn at(&self, at: Micros) -> Option<Reference> {
        let slot = usize::try_from((at - self.from).div_euclid(self.step)).ok()?;
        let (slots, _) = self.bytes.as_chunks::<8>();
        let signed = i64::from_le_bytes(*slots.get(slot)?);
        (signed != 0).then_some(Reference { price: signed.saturating_abs(), lone: signed < 0 })
    }
}

/// Writes the slot at `at` of every market.
fn close(pending: &mut [Pending], at: Micros) -> io::Result<()> {
    for market in pending {
        let mut prices = [0_i64; protocol::MarketParams::SOURCES_MAX];
        let mut n = 0;
        let mut lineages = 0_u32;
        for (source, lineage) in market.sources.iter_mut().zip(&market.lineages) {
            while source.len() > 1 && source[1].0 <= at {
                source.pop_front();
            }
            if let Some((published, price)) = source.front()
                && *published <= at
                && at - published <= market.fresh
            {
                prices[n] = *price;
                n += 1;
                lineages |= 1 << lineage;
            }
        }
        let prices = &mut prices[..n];
        prices.sort_unstable();
        let median = match n {
            0 => 0,
            n if n % 2 == 1 => prices[n / 2],
            n => prices[n / 2 - 1].midpoint(prices[n / 2]),
        };
        let signed = if lineages.count_ones() < 2 { -median } else { median };
        market.out.write_all(&signed.to_le_bytes())?;
    }
    Ok(())
}
