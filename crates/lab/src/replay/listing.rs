//! A file that says what a venue lists: markets, and who is believed of their prices.

use super::world::{World, WorldMarket, WorldSource, scale_for};
use crate::feed::decimal::parse_decimal;
use crate::feed::time::parse_span;
use protocol::{MarketParams, SourceKind};
use serde::Deserialize;
use std::collections::BTreeSet;

/// The most markets of a file.
const MARKETS_MAX: usize = 4_096;
/// The longest name.
const NAME_MAX: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    market: Vec<Market>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Market {
    name: String,
    reference_price: String,
    price_max: Option<String>,
    source: Vec<Source>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    name: String,
    lineage: Option<String>,
    heartbeat: String,
    kind: Kind,
    quote: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Quotes,
    Trades,
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= NAME_MAX && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}

/// Counts of 1e-12 of a positive decimal number.
fn pico(text: &str) -> Option<i128> {
    let parsed = parse_decimal(text.as_bytes(), 12).ok()?;
    (0 < parsed.units && !parsed.rounded).then_some(parsed.units)
}

impl World {
    /// Reads a listing: a TOML file of `[[market]]` tables (`name`, `reference_price` in USD, and `price_max` where a hundred times that is not the most that it may
    /// ever be) with `[[market.source]]` tables (`name`, `heartbeat` as `1s`, `kind` as `quotes` or `trades`, and where they differ from the name and USD, `lineage` and `quote`).
    ///
    /// # Errors
    /// In words: what is wrong, and in which market.
    pub fn listed(text: &str) -> Result<World, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        if file.market.is_empty() || MARKETS_MAX < file.market.len() {
            return Err(format!("list from 1 to {MARKETS_MAX} markets"));
        }
        let mut world = World { markets: Vec::new(), series: Vec::new(), decisions: Vec::new() };
        let mut names = BTreeSet::new();
        for market in &file.market {
            let at = |why: &str| format!("market {:?}: {why}", market.name);
            if !is_name(&market.name) || !names.insert(market.name.clone()) {
                return Err(at("write a name of 1 to 64 bytes without blanks, once"));
            }
            let reference = pico(&market.reference_price);
            let reference = reference.ok_or_else(|| at("reference_price: write a decimal above zero, as \"60000\""))?;
            let most = match &market.price_max {
                None => reference.saturating_mul(100),
                Some(text) => pico(text)
                    .filter(|most| reference <= *most)
                    .ok_or_else(|| at("price_max: write a decimal no smaller than reference_price"))?,
            };
            let scale = scale_for(most).ok_or_else(|| at("price_max is too large to be carried"))?;
            if market.source.is_empty() || MarketParams::SOURCES_MAX < market.source.len() {
                return Err(at("list from 1 to 16 sources"));
            }
            let mut sources: Vec<WorldSource> = Vec::new();
            for source in &market.source {
                let at = |why: &str| at(&format!("source {:?}: {why}", source.name));
                if !is_name(&source.name) || sources.iter().any(|known| known.name == source.name) {
                    return Err(at("write a name of 1 to 64 bytes without blanks, once"));
                }
                let lineage = source.lineage.clone().unwrap_or_else(|| source.name.clone());
                let quote = source.quote.clone().filter(|quote| quote != "USD");
                if !is_name(&lineage) || quote.as_ref().is_some_and(|quote| !is_name(quote)) {
                    return Err(at("write lineage and quote without blanks"));
                }
                let heartbeat = parse_span(&source.heartbeat).filter(|span| (1..=86_400_000_000).contains(span));
                let heartbeat = heartbeat.ok_or_else(|| at("heartbeat: write a span of up to a day, as \"1s\""))?;
                let kind = match source.kind {
                    Kind::Quotes => SourceKind::Quotes,
                    Kind::Trades => SourceKind::Trades,
                };
                sources.push(WorldSource { name: source.name.clone(), lineage, heartbeat, kind, quote, unit: None });
            }
            let name = market.name.clone();
            world.markets.push(WorldMarket { name, scale, first_price: reference, sources, width: 0 });
        }
        world.find_units();
        Ok(world)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::MarketId;

    const TWO: &str = r#"
        [[market]]
        name = "BTC"
        reference_price = "60000.5"
        [[market.source]]
        name = "north"
        heartbeat = "1s"
        kind = "trades"
        [[market.source]]
        name = "south"
        lineage = "someone"
        heartbeat = "500ms"
        kind = "quotes"
        quote = "USDT"

        [[market]]
        name = "USDT"
        reference_price = "1"
        price_max = "2"
        [[market.source]]
        name = "north"
        heartbeat = "1s"
        kind = "trades"
    "#;

    #[test]
    fn a_listing_is_a_world_without_a_feed() {
        let world = World::listed(TWO).unwrap();
        let btc = &world.markets[0];
        assert_eq!((btc.name.as_str(), btc.first_price), ("BTC", 60_000_500_000_000_000));
        // Six million USD with room for a thousandfold: 6e21 counts of 1e-12 over i64's 9.2e18 leaves three digits out.
        assert_eq!(btc.scale.price_shift(), 3);
        let [north, south] = btc.sources.as_slice() else { panic!("{btc:?}") };
        assert_eq!(
            (north.lineage.as_str(), north.heartbeat, north.kind, &north.quote),
            ("north", 1_000_000, SourceKind::Trades, &None)
        );
        assert_eq!((south.lineage.as_str(), south.heartbeat, south.kind), ("someone", 500_000, SourceKind::Quotes));
        assert_eq!(south.unit, Some(MarketId(1)), "its prices are converted by the market of their currency");
    }

    #[test]
    fn what_is_no_listing_is_told() {
        for (from, to, why) in [
            ("name = \"BTC\"", "name = \"B C\"", "market \"B C\": write a name"),
            ("name = \"USDT\"", "name = \"BTC\"", "market \"BTC\": write a name of 1 to 64 bytes without blanks, once"),
            ("60000.5", "0", "reference_price"),
            ("60000.5", "-1", "reference_price"),
            ("60000.5", "nan", "reference_price"),
            ("price_max = \"2\"", "price_max = \"0.9\"", "price_max"),
            ("price_max = \"2\"", "price_max = \"1e23\"", "too large to be carried"),
            ("500ms", "2d", "heartbeat"),
            ("500ms", "0s", "heartbeat"),
            ("kind = \"quotes\"", "kind = \"rumour\"", "unknown variant"),
            ("name = \"south\"", "name = \"north\"", "source \"north\""),
            ("lineage = \"someone\"", "lineage = \"\"", "lineage"),
            ("lineage = \"someone\"", "more = 1", "unknown field"),
        ] {
            assert!(TWO.contains(from), "{from}");
            let told = World::listed(&TWO.replacen(from, to, 1)).unwrap_err();
            assert!(told.contains(why), "{to}: {told}");
        }
        assert!(World::listed("market = []").unwrap_err().contains("from 1 to 4096"));
    }
}
