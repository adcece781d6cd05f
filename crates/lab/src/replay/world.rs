//! What a feed contains, listed under a policy.

use crate::feed::{Feed, Micros};
use policy::{Listed, Listing, MarketListing, Policy, PolicyError, SourceListing};
use protocol::{AccountId, MarketId, SourceId, SourceKind};
use units::{Duration, Price, Rounding, Scale};

/// The account that takes the other side of liquidations: the outside market, as far as the bars let it.
pub const BACKSTOP: AccountId = AccountId(u64::MAX);

/// The feed's markets and sources under one numbering, which every run shares.
#[derive(Clone, Debug)]
pub struct World {
    /// By market id.
    pub markets: Vec<WorldMarket>,
    /// For each series of the feed, its market and its source.
    pub series: Vec<(MarketId, SourceId)>,
    /// What was decided here.
    pub decisions: Vec<String>,
}

/// One market of the feed.
#[derive(Clone, Debug)]
pub struct WorldMarket {
    /// Its name.
    pub name: String,
    /// Price unit and lot.
    pub scale: Scale,
    /// Its first price in the stream, counts of 1e-12.
    pub first_price: i128,
    /// Sources by id.
    pub sources: Vec<WorldSource>,
    /// The widest bar of the market, microseconds; zero for quotes.
    pub width: Micros,
}

/// A source of a market of the feed.
#[derive(Clone, Debug)]
pub struct WorldSource {
    /// Its name.
    pub name: String,
    /// Its operator.
    pub lineage: String,
    /// How often it is expected to speak, microseconds.
    pub heartbeat: Micros,
    /// Bars are made of trades.
    pub kind: SourceKind,
    /// The currency of its prices; `None` for USD.
    pub quote: Option<String>,
    /// The market of that currency, if all its sources are in USD.
    pub unit: Option<MarketId>,
}

/// Room above the highest price of the data for a corrupted or rising one: three decimal digits.
const HEADROOM: i128 = 1_000;

/// The smallest shift at which `price_max` counts of 1e-12 with [`HEADROOM`] fit, and a lot of at most a tenth of a
/// cent at that price. `None` where the price is too large to be carried.
#[must_use]
pub fn scale_for(price_max: i128) -> Option<Scale> {
    let fits = |shift: u8| price_max.saturating_mul(HEADROOM) / 10_i128.pow(u32::from(shift)) <= i128::from(i64::MAX);
    let shift = (0..=Scale::PRICE_SHIFT_MAX).find(|shift| fits(*shift))?;
    let mut lot_decimals = 0;
    // One lot is worth price / 10^decimals; a tenth of a cent is 10^9 counts.
    while lot_decimals < 9 && price_max / 10_i128.pow(u32::from(lot_decimals)) > 1_000_000_000 {
        lot_decimals += 1;
    }
    Scale::new(shift, lot_decimals)
}

impl World {
    /// Numbers the feed's markets and sources. Reads the stream's beginning for first prices.
    ///
    /// # Errors
    /// A price too large to be carried, too many sources in a market, or a stream that can't be read.
    pub fn of(feed: &Feed) -> Result<World, String> {
        let mut world = World { markets: Vec::new(), series: Vec::new(), decisions: Vec::new() };
        for market in &feed.markets {
            let scale = scale_for(market.price_max).ok_or_else(|| {
                format!(
                    "market {}: a highest price of {} × 1e-12 is too large to be carried",
                    market.name, market.price_max
                )
            })?;
            let (name, width) = (market.name.clone(), 0);
            world.markets.push(WorldMarket { name, scale, first_price: 0, sources: Vec::new(), width });
        }
        for series in &feed.series {
            let listed = feed.sources.get(series.source as usize);
            let market = world.markets.get_mut(series.market as usize);
            let (Some(source), Some(market)) = (listed, market) else {
                return Err(format!("series {} names no listed source or market", series.symbol));
            };
            let id = SourceId(u8::try_from(market.sources.len()).unwrap_or(u8::MAX));
            market.width = market.width.max(series.width.unwrap_or(0));
            // A source of bars speaks once a bar whenever it trades; how often it does is for the kernel to learn.
            let heartbeat = series.width.unwrap_or(series.heartbeat).max(1);
            let (name, lineage) = (source.name.clone(), source.lineage.clone());
            let kind = if series.width.is_some() { SourceKind::Trades } else { SourceKind::Quotes };
            let quote = (!matches!(series.quote.as_str(), "USD" | "")).then(|| series.quote.clone());
            market.sources.push(WorldSource { name, lineage, heartbeat, kind, quote, unit: None });
            if protocol::MarketParams::SOURCES_MAX < market.sources.len() {
                return Err(format!("market {} has more than 16 sources; name fewer files", market.name));
            }
            world.series.push((MarketId(u16::try_from(series.market).unwrap_or(u16::MAX)), id));
        }
        world.find_units();
        let mut missing = world.markets.len();
        for event in feed.replay().map_err(|error| error.to_string())? {
            let event = event.map_err(|error| error.to_string())?;
            let Some((market, _)) = world.series.get(event.series as usize) else { continue };
            let market = &mut world.markets[usize::from(market.0)];
            if market.first_price == 0 {
                market.first_price = event.price;
                missing -= 1;
                if missing == 0 {
                    break;
                }
            }
        }
        world.markets.iter().try_for_each(|market| {
            let listed = !market.sources.is_empty() && 0 < market.first_price;
            if listed { Ok(()) } else { Err(format!("market {} has no usable row", market.name)) }
        })?;
        Ok(world)
    }

    /// For each source that is not in USD the market of its currency, if all of that one's sources are.
    pub(super) fn find_units(&mut self) {
        let in_usd = |market: &WorldMarket| market.sources.iter().all(|source| source.quote.is_none());
        let units: Vec<(String, MarketId)> = (0..)
            .map(MarketId)
            .zip(&self.markets)
            .filter(|(_, m)| in_usd(m))
            .map(|(id, m)| (m.name.clone(), id))
            .collect();
        for source in self.markets.iter_mut().flat_map(|market| &mut market.sources) {
            source.unit = units.iter().find(|(name, _)| Some(name) == source.quote.as_ref()).map(|(_, id)| *id);
        }
    }

    /// Lists the world under `policy`, with the sources that it has.
    ///
    /// # Errors
    /// As [`Policy::list`].
    pub fn list(&self, policy: &Policy) -> Result<Listed, PolicyError> {
        self.list_with(policy, Policy::list, |market| {
            market
                .sources
                .iter()
                .map(|source| SourceListing {
                    name: source.name.clone(),
                    lineage: source.lineage.clone(),
                    heartbeat: Some(Duration(source.heartbeat)),
                    kind: source.kind,
                    quote: source.quote.clone(),
                })
                .collect()
        })
    }

    /// Lists the world under `policy` with one source a market, `name`, to compare with.
    ///
    /// # Errors
    /// As [`Policy::list_to_compare`].
    pub fn list_single(&self, policy: &Policy, name: &str) -> Result<Listed, PolicyError> {
        self.list_with(policy, Policy::list_to_compare, |market| {
            let heartbeat = market.sources.iter().map(|source| source.heartbeat).max().map(Duration);
            let (name, lineage) = (name.to_owned(), name.to_owned());
            vec![SourceListing { name, lineage, heartbeat, kind: SourceKind::Trades, quote: None }]
        })
    }

    fn list_with(
        &self,
        policy: &Policy,
        list: impl Fn(&Policy, &Listing) -> Result<Listed, PolicyError>,
        sources: impl Fn(&WorldMarket) -> Vec<SourceListing>,
    ) -> Result<Listed, PolicyError> {
        let listing = |market: &WorldMarket| MarketListing {
            name: market.name.clone(),
            scale: market.scale,
            reference_price: market.price(market.first_price),
            sources: sources(market),
        };
        let mut listed = list(policy, &Listing { markets: self.markets.iter().map(listing).collect() })?;
        for pool in &mut listed.params.pools {
            pool.backstop = Some(BACKSTOP);
        }
        for (market, params) in self.markets.iter().zip(&mut listed.params.markets) {
            // An order that would be given up before the next bar is known could never fill.
            let ttl = Duration(market.width.saturating_mul(3));
            if params.liquidation.order_ttl < ttl {
                params.liquidation.order_ttl = ttl;
                let seconds = ttl.0 / 1_000_000;
                listed.decisions.push(format!("{}: liquidation orders stand for three bars, {seconds} s", market.name));
            }
        }
        Ok(listed)
    }
}

impl World {
    /// The market whose price converts this source's; `None` where its prices are in USD or are taken for that.
    #[must_use]
    pub fn unit(&self, market: MarketId, source: SourceId) -> Option<MarketId> {
        self.markets.get(usize::from(market.0))?.sources.get(usize::from(source.0))?.unit
    }

    /// Whether any source is converted.
    #[must_use]
    pub fn is_converted(&self) -> bool {
        self.markets.iter().flat_map(|market| &market.sources).any(|source| source.unit.is_some())
    }
}

impl WorldMarket {
    /// A price of the feed in this market's unit, rounded down; at least one unit, since the feed has no price of zero.
    #[must_use]
    pub fn price(&self, pico: i128) -> Price {
        self.scale.price_from_pico(pico, Rounding::Down).map_or(Price(i64::MAX), |price| price.max(Price(1)))
    }

    /// A price in USD, for people.
    #[must_use]
    pub fn usd(&self, price: Price) -> f64 {
        self.scale.price_to_pico(price) as f64 / 1e12
    }

    /// Lots as base units, for people.
    #[must_use]
    pub fn base(&self, lots: f64) -> f64 {
        lots / 10_f64.powi(i32::from(self.scale.lot_decimals()))
    }

    /// The value of one lot at one USD, for people.
    #[must_use]
    pub fn lots_of(&self, base: f64) -> f64 {
        base * 10_f64.powi(i32::from(self.scale.lot_decimals()))
    }
}
