//! A venue's own rule of the day: what it took for the price when an incident happened.

use super::world::World;
use protocol::{MarketId, SourceId};
use serde::Deserialize;
use units::Price;

/// The sources that a venue listened to, and what it made of them. It took each at its last word, however old.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VenueRule {
    /// Whose rule, in words.
    pub says: String,
    /// By name.
    pub sources: Vec<String>,
    /// What is made of several.
    pub by: Combine,
}

/// How several prices become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Combine {
    /// Of an even number the mean of the two in the middle.
    Median,
    /// Their sum over their number, rounded down.
    Mean,
}

/// What the rule makes of every market.
pub(super) struct Ruled {
    by: Combine,
    /// By market and source: the last price of those that are listened to.
    last: Vec<Vec<Option<Option<Price>>>>,
}

impl Ruled {
    /// Nothing heard.
    pub(super) fn new(world: &World, rule: &VenueRule) -> Ruled {
        let heard = |name: &String| rule.sources.contains(name).then_some(None);
        let of = |market: &super::world::WorldMarket| market.sources.iter().map(|source| heard(&source.name)).collect();
        Ruled { by: rule.by, last: world.markets.iter().map(of).collect() }
    }

    /// Takes a source's price in and returns the market's; `None` where the venue does not listen to it.
    pub(super) fn price(&mut self, market: MarketId, source: SourceId, price: Price) -> Option<Price> {
        let market = self.last.get_mut(usize::from(market.0))?;
        *market.get_mut(usize::from(source.0))?.as_mut()? = Some(price);
        let mut prices: Vec<i64> = market.iter().flatten().flatten().map(|price| price.0).collect();
        prices.sort_unstable();
        let (n, middle) = (prices.len(), prices.len() / 2);
        Some(Price(match self.by {
            Combine::Median if n.is_multiple_of(2) => prices[middle - 1].midpoint(prices[middle]),
            Combine::Median => prices[middle],
            Combine::Mean => {
                let sum: i128 = prices.iter().map(|price| i128::from(*price)).sum();
                i64::try_from(sum.div_euclid(n as i128)).unwrap_or(i64::MAX)
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ruled(by: Combine) -> Ruled {
        // The third is not listened to.
        Ruled { by, last: vec![vec![Some(None), Some(None), None, Some(None)]] }
    }

    #[test]
    fn each_counts_with_its_last_word_and_who_is_not_listened_to_says_nothing() {
        for (by, expected) in [
            (Combine::Median, [Some(10), Some(15), None, Some(20), Some(20), Some(20)]),
            (Combine::Mean, [Some(10), Some(15), None, Some(23), Some(26), Some(3_353)]),
        ] {
            let mut ruled = ruled(by);
            let said = [(0, 10), (1, 20), (2, 1_000), (3, 40), (0, 20), (3, 10_020)];
            let found = said
                .map(|(source, price)| ruled.price(MarketId(0), SourceId(source), Price(price)).map(|price| price.0));
            assert_eq!(found, expected, "{by:?}");
        }
        assert_eq!(ruled(Combine::Mean).price(MarketId(1), SourceId(0), Price(1)), None);
    }
}
