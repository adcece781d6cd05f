//! The kernel in an execution path: whatever a venue is told goes through `apply`, and it does what comes back.

#[path = "../tests/common/mod.rs"]
mod common;
use common::{deposit, insurance, market, observation, order, trade, venue};
use kernel::Kernel;
use protocol::{AccountId, Batch, Effect, Input, effect::AdmittedOrder};
use units::Timestamp;

/// The kernel in front of a book. A policy file gives the parameters; here they are those of the tests' market.
struct Venue {
    kernel: Kernel,
    book: Vec<AdmittedOrder>,
    liquidated: Vec<AccountId>,
    second: i64,
}

impl Venue {
    /// One batch: it is decided first, and only what was decided is carried out.
    fn step(&mut self, cents: i64, mut inputs: Vec<Input>) {
        self.second += 1;
        let (height, now) = (self.second.unsigned_abs(), self.second * 1_000_000);
        inputs.extend((0..3).map(|source| observation(0, source, cents * 1_000_000, now, now)));
        inputs.extend(self.cross(cents));
        let mut effects = Vec::new();
        self.kernel.apply(&Batch { height, at: Timestamp(now), seed: [0; 32], inputs }, &mut effects);
        for effect in effects {
            println!("{height:>4} {effect:?}");
            match effect {
                Effect::Admit { order } => self.book.push(order),
                Effect::Liquidate { order, .. } => (self.liquidated.push(order.account), self.book.push(order)).1,
                Effect::Withdraw { order, .. } => self.book.retain(|resting| resting.id != order),
                _ => {} // Everything else is for the venue's screens and its treasury.
            }
        }
    }

    /// The oldest buyer and the oldest seller who take this price trade at it; the kernel is told with the next batch.
    fn cross(&mut self, cents: i64) -> Option<Input> {
        let buy = self.book.iter().position(|order| 0 < order.size.0 && cents * 1_000_000 <= order.limit.0)?;
        let sell = self.book.iter().position(|order| order.size.0 < 0 && order.limit.0 <= cents * 1_000_000)?;
        let lots = self.book[buy].size.0.min(-self.book[sell].size.0);
        let traded = trade(0, self.book[buy].id, self.book[sell].id, cents, lots);
        (self.book[buy].size.0, self.book[sell].size.0) = (self.book[buy].size.0 - lots, self.book[sell].size.0 + lots);
        self.book.retain(|order| order.size.0 != 0);
        Some(traded)
    }
}

fn main() {
    let kernel = Kernel::new(&venue(vec![market(3)]), &[]).expect("the market is well formed");
    let mut venue = Venue { kernel, book: Vec::new(), liquidated: Vec::new(), second: 0 };
    venue.step(10_000, vec![insurance(1_000), deposit(1, 300), deposit(2, 5_000), deposit(3, 5_000)]);
    (0..300).for_each(|_| venue.step(10_000, Vec::new())); // Halted until prices have stood, then back in stages.
    venue.step(10_000, vec![order(1, 1, 0, 40_000, 10_000), order(2, 2, 0, -40_000, 10_000)]);
    venue.step(10_000, vec![order(3, 3, 0, 40_000, 9_400)]); // They trade; somebody waits below.
    (0..5).for_each(|_| venue.step(9_400, Vec::new())); // 40 base long with 300 USD, and the price falls by 6%.
    assert_eq!(venue.liquidated, [AccountId(1)], "sold in part, once, and well again");
    assert_eq!(venue.kernel.state().check(), Ok(()), "and money is conserved");
}
