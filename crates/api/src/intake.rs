//! What others observe, between their senders and the loop: of each feed and observer the newest, so that what waits is never more than is listed, times
//! those who have a token. Nobody's word takes the place of another's.

use protocol::input::{BookTop, ChainHealth, Depth, Observation};
use protocol::{Input, MarketId, PoolId, SourceId};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use units::{Duration, Price, Rounding, Scale, Size, Timestamp};
use utoipa::ToSchema;

/// The longest span that a chain's health may name, milliseconds: a month.
const SPAN_MAX_MS: u64 = 31 * 86_400_000;

/// What somebody observes. Names are those of the overview; numbers are decimal text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Report {
    /// A price that a source published.
    #[schema(title = "Quote")]
    Quote {
        /// The market's name.
        #[schema(example = "BTC")]
        market: String,
        /// The source's.
        #[schema(example = "binance")]
        source: String,
        /// In the source's currency, with at most twelve decimals.
        #[schema(example = "60000.5", pattern = "^[0-9]{1,18}([.][0-9]{1,12})?$")]
        price: String,
        /// Half-width that the source claims around it.
        #[schema(pattern = "^[0-9]{1,18}([.][0-9]{1,12})?$")]
        confidence: Option<String>,
        /// When the source says it was true, microseconds since 1970.
        #[schema(example = 1_760_000_000_000_000_i64)]
        published_at: i64,
    },
    /// The venue's best bid and ask; zero where a side is empty.
    #[schema(title = "Book")]
    Book {
        /// The market's name.
        #[schema(example = "BTC")]
        market: String,
        /// USD.
        #[schema(example = "60000", pattern = "^[0-9]{1,18}([.][0-9]{1,12})?$")]
        bid: String,
        /// USD.
        #[schema(example = "60001", pattern = "^[0-9]{1,18}([.][0-9]{1,12})?$")]
        ask: String,
    },
    /// What the book would take near its middle.
    #[schema(title = "Depth")]
    Depth {
        /// The market's name.
        #[schema(example = "BTC")]
        market: String,
        /// Of the base asset.
        #[schema(example = "12.5", pattern = "^[0-9]{1,18}([.][0-9]{1,12})?$")]
        bid: String,
        /// Likewise.
        #[schema(example = "9", pattern = "^[0-9]{1,18}([.][0-9]{1,12})?$")]
        ask: String,
    },
    /// How the chain is doing on which a pool's accounts act.
    #[schema(title = "Chain")]
    Chain {
        /// The pool's name.
        #[schema(example = "main")]
        pool: String,
        /// When its newest block was produced, microseconds since 1970.
        produced_at: i64,
        /// What inclusion costs, in the unit of the policy's `chain.base_fee`.
        base_fee: u64,
        /// How long a transaction that pays it waits, milliseconds.
        #[schema(maximum = 2_678_400_000_u64)]
        inclusion_ms: u64,
        /// How long after its block it is final, milliseconds.
        #[schema(maximum = 2_678_400_000_u64)]
        finality_ms: u64,
    },
}

/// What is listed, by the names under which it is reported.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    pub(crate) markets: Vec<Listed>,
    pub(crate) pools: Vec<String>,
}

/// A market and its sources, by number.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) scale: Scale,
    pub(crate) sources: Vec<String>,
}

/// Whose latest word it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Feed {
    Chain(u16),
    Quote(u16, u8),
    Book(u16),
    Depth(u16),
}

/// How much came, since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Reports that were taken.
    pub(crate) taken: u64,
    /// Those of them that a newer one replaced before the loop came by.
    pub(crate) superseded: u64,
}

#[derive(Debug, Default)]
struct Held {
    newest: BTreeMap<(Feed, u16), Input>,
    counts: Counts,
}

/// Where reports wait.
#[derive(Debug)]
pub(crate) struct Intake {
    listing: Listing,
    held: Mutex<Held>,
}

/// `text` times ten to `decimals`, down; nothing where it is no such number, or has more decimals than that.
fn decimal(text: &str, decimals: u32) -> Option<i128> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let fits = !whole.is_empty() && whole.len() <= 18 && part.len() <= decimals as usize && !text.ends_with('.');
    if !fits || !digits(whole) || !digits(part) {
        return None;
    }
    let part = format!("{part:0<width$}", width = decimals as usize);
    format!("{whole}{part}").parse().ok()
}

impl Listing {
    fn market(&self, name: &str) -> Result<(u16, &Listed), String> {
        let found = (0_u16..).zip(&self.markets).find(|(_, market)| market.name == name);
        found.ok_or_else(|| format!("there is no market {name:?}"))
    }

    fn price(listed: &Listed, what: &str, text: &str) -> Result<Price, String> {
        let bad = || format!("{what}: write a decimal number that the market can carry, with at most 12 decimals");
        let pico = decimal(text, 12).ok_or_else(bad)?;
        listed.scale.price_from_pico(pico, Rounding::Down).ok_or_else(bad)
    }

    fn size(listed: &Listed, what: &str, text: &str) -> Result<Size, String> {
        let bad = || format!("{what}: write a decimal number of the base asset with at most 12 decimals");
        let pico = decimal(text, 12).ok_or_else(bad)?;
        let lots = pico / 10_i128.pow(12_u32.saturating_sub(u32::from(listed.scale.lot_decimals())));
        i64::try_from(lots).map(Size).map_err(|_| bad())
    }

    fn input(&self, report: &Report, observer: u16) -> Result<(Feed, Input), String> {
        let span = |what: &str, ms: u64| {
            let fits = ms <= SPAN_MAX_MS;
            let micros = i64::try_from(ms.saturating_mul(1_000)).ok().filter(|_| fits);
            micros.map(Duration).ok_or_else(|| format!("{what}: write at most {SPAN_MAX_MS} milliseconds"))
        };
        Ok(match report {
            Report::Quote { market, source, price, confidence, published_at } => {
                let (id, listed) = self.market(market)?;
                let found = (0_u8..).zip(&listed.sources).find(|(_, name)| *name == source);
                let (source, _) = found.ok_or_else(|| format!("market {market} has no source {source:?}"))?;
                let price = Listing::price(listed, "price", price)?;
                let confidence =
                    confidence.as_deref().map_or(Ok(Price(0)), |c| Listing::price(listed, "confidence", c))?;
                let published_at = Timestamp(*published_at);
                let (market, source) = (MarketId(id), SourceId(source));
                // When it was received, the loop knows.
                let received_at = published_at;
                let seen = Observation { market, source, observer, price, confidence, published_at, received_at };
                (Feed::Quote(id, source.0), Input::Observation(seen))
            }
            Report::Book { market, bid, ask } => {
                let (id, listed) = self.market(market)?;
                let (bid, ask) = (Listing::price(listed, "bid", bid)?, Listing::price(listed, "ask", ask)?);
                (Feed::Book(id), Input::BookTop(BookTop { market: MarketId(id), bid, ask }))
            }
            Report::Depth { market, bid, ask } => {
                let (id, listed) = self.market(market)?;
                let (bid, ask) = (Listing::size(listed, "bid", bid)?, Listing::size(listed, "ask", ask)?);
                (Feed::Depth(id), Input::Depth(Depth { market: MarketId(id), bid, ask }))
            }
            Report::Chain { pool, produced_at, base_fee, inclusion_ms, finality_ms } => {
                let found = (0_u16..).zip(&self.pools).find(|(_, name)| *name == pool);
                let (id, _) = found.ok_or_else(|| format!("there is no pool {pool:?}"))?;
                let (inclusion, finality) = (span("inclusion_ms", *inclusion_ms)?, span("finality_ms", *finality_ms)?);
                let (pool, produced_at, base_fee) = (PoolId(id), Timestamp(*produced_at), *base_fee);
                (Feed::Chain(id), Input::Chain(ChainHealth { pool, produced_at, base_fee, inclusion, finality }))
            }
        })
    }
}

/// Whether `new` says something later than `held`, where both say when.
fn is_later(new: &Input, held: &Input) -> bool {
    match (new, held) {
        (Input::Observation(new), Input::Observation(held)) => held.published_at <= new.published_at,
        (Input::Chain(new), Input::Chain(held)) => held.produced_at <= new.produced_at,
        _ => true,
    }
}

impl Intake {
    pub(crate) fn new(listing: Listing) -> Intake {
        Intake { listing, held: Mutex::default() }
    }

    /// Takes all of `reports`, or none of them: what is wrong with which.
    pub(crate) fn put(&self, reports: &[Report], observer: u16) -> Result<usize, String> {
        let read = |(place, report)| {
            self.listing.input(report, observer).map_err(|why| format!("report {place}, counted from 0: {why}"))
        };
        let inputs: Vec<(Feed, Input)> = reports.iter().enumerate().map(read).collect::<Result<_, _>>()?;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = inputs.len();
        for (feed, input) in inputs {
            held.counts.taken += 1;
            match held.newest.get_mut(&(feed, observer)) {
                Some(waits) => {
                    if is_later(&input, waits) {
                        *waits = input;
                    }
                    held.counts.superseded += 1;
                }
                None => {
                    held.newest.insert((feed, observer), input);
                }
            }
        }
        Ok(count)
    }

    /// All that waits, as received at `at`.
    pub(crate) fn take(&self, at: Timestamp) -> Vec<Input> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.newest.is_empty() {
            return Vec::new();
        }
        let newest = std::mem::take(&mut held.newest);
        drop(held);
        let received = |input| match input {
            Input::Observation(seen) => Input::Observation(Observation { received_at: at, ..seen }),
            other => other,
        };
        newest.into_values().map(received).collect()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intake() -> Intake {
        let listed = Listed {
            name: "BTC".to_owned(),
            scale: Scale::new(4, 3).unwrap(),
            sources: vec!["north".to_owned(), "south".to_owned()],
        };
        Intake::new(Listing { markets: vec![listed], pools: vec!["main".to_owned()] })
    }

    fn quote(source: &str, price: &str, at: i64) -> Report {
        let (market, source, price) = ("BTC".to_owned(), source.to_owned(), price.to_owned());
        Report::Quote { market, source, price, confidence: None, published_at: at }
    }

    fn prices(intake: &Intake) -> Vec<(u8, i64, i64)> {
        let read = |input| match input {
            Input::Observation(seen) => (seen.source.0, seen.price.0, seen.received_at.0),
            other => panic!("{other:?}"),
        };
        intake.take(Timestamp(100)).into_iter().map(read).collect()
    }

    #[test]
    fn the_newest_of_each_feed_wins_and_nothing_else_is_lost() {
        let intake = intake();
        let reports = [quote("north", "1", 5), quote("south", "2", 5), quote("north", "3", 7), quote("north", "4", 6)];
        assert_eq!(intake.put(&reports, 3), Ok(4));
        // 10^12 counts of 1e-12 are a dollar; the market's unit is 10^4 of them.
        assert_eq!(prices(&intake), [(0, 300_000_000, 100), (1, 200_000_000, 100)]);
        assert_eq!(intake.counts(), Counts { taken: 4, superseded: 2 });
        assert_eq!(prices(&intake), []);
    }

    #[test]
    fn nobody_takes_the_place_of_anothers_word() {
        let intake = intake();
        assert_eq!(intake.put(&[quote("north", "9", i64::MAX)], 4), Ok(1));
        assert_eq!(intake.put(&[quote("north", "1", 5)], 3), Ok(1));
        assert_eq!(intake.counts(), Counts { taken: 2, superseded: 0 });
        assert_eq!(prices(&intake), [(0, 100_000_000, 100), (0, 900_000_000, 100)]);
    }

    #[test]
    fn one_that_is_wrong_is_named_and_none_is_taken() {
        let intake = intake();
        for (report, why) in [
            (quote("west", "1", 5), "report 1, counted from 0: market BTC has no source \"west\""),
            (quote("north", "-1", 5), "write a decimal"),
            (quote("north", "1.", 5), "write a decimal"),
            (quote("north", ".5", 5), "write a decimal"),
            (quote("north", "1e5", 5), "write a decimal"),
            (quote("north", "1.0000000000001", 5), "write a decimal"),
            (quote("north", "999999999999999999", 5), "write a decimal"),
            (
                Report::Chain {
                    pool: "main".to_owned(),
                    produced_at: 0,
                    base_fee: 1,
                    inclusion_ms: SPAN_MAX_MS + 1,
                    finality_ms: 0,
                },
                "inclusion_ms: write at most",
            ),
            (
                Report::Chain {
                    pool: "other".to_owned(),
                    produced_at: 0,
                    base_fee: 1,
                    inclusion_ms: 0,
                    finality_ms: 0,
                },
                "no pool",
            ),
        ] {
            let told = intake.put(&[quote("north", "1", 5), report], 3).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
        assert_eq!(prices(&intake), []);
        assert_eq!(intake.counts(), Counts::default());
    }

    #[test]
    fn numbers_become_lots_and_counts() {
        let intake = intake();
        let market = || "BTC".to_owned();
        let reports = [
            Report::Book { market: market(), bid: "0.000000010001".to_owned(), ask: "0".to_owned() },
            Report::Depth { market: market(), bid: "1.2349".to_owned(), ask: "0".to_owned() },
            Report::Chain {
                pool: "main".to_owned(),
                produced_at: 9,
                base_fee: 7,
                inclusion_ms: 2,
                finality_ms: SPAN_MAX_MS,
            },
        ];
        assert_eq!(intake.put(&reports, 3), Ok(3));
        let (pool, market) = (PoolId(0), MarketId(0));
        let health = ChainHealth {
            pool,
            produced_at: Timestamp(9),
            base_fee: 7,
            inclusion: Duration(2_000),
            finality: Duration::seconds(31 * 86_400),
        };
        let taken = intake.take(Timestamp(1));
        assert_eq!(
            taken,
            [
                Input::Chain(health),
                Input::BookTop(BookTop { market, bid: Price(1), ask: Price(0) }),
                Input::Depth(Depth { market, bid: Size(1_234), ask: Size(0) }),
            ]
        );
    }
}
