//! A policy meets the markets and sources that there are, and becomes the protocol's parameters.
//!
//! Each key is looked up from the most particular table to the most general; limits in USD become lots at the
//! listing's reference price. Nothing is decided in silence: what was chosen stands in [`Listed::decisions`].

use crate::error::{PolicyError, Problem};
use crate::keys::{self, Key, MARKET, POOL, SOURCE, SOURCE_KINDS, SOURCE_RUNGS};
use crate::quantity::{self, Form, decimal, grouped, shown};
use crate::read::join;
use crate::{DEFAULT, MarketSaid, Policy, Value, Values};
use protocol::params::{
    ActivityParams, BreakerParams, ChainParams, CollateralParams, DetectorParams, FundingParams, Invalid,
    LiquidationParams, MarkParams, MarketParams, OracleParams, Place, PoolParams, SourceParams, Thresholds, Tier,
    VenueParams,
};
use protocol::{GovernanceParams, LineageId, MarketId, Panel, PoolId, Rung, SourceKind};
use std::collections::BTreeSet;
use units::{Duration, Notional, Price, Ratio, Rounding, Scale, Size, mul_div};

/// What the data contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Markets, in the order of the ids that they get.
    pub markets: Vec<MarketListing>,
}

/// One market of the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketListing {
    /// Its name, by which `[market.NAME]` finds it.
    pub name: String,
    /// Price unit and lot.
    pub scale: Scale,
    /// The price at which limits in USD become lots.
    pub reference_price: Price,
    /// Sources, in the order of the ids that they get.
    pub sources: Vec<SourceListing>,
}

/// One source of a market of the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceListing {
    /// Its name, by which `[source.NAME]` finds it.
    pub name: String,
    /// Its operator or upstream, unless the policy says otherwise.
    pub lineage: String,
    /// The interval of the data, where known; it wins over the policy's.
    pub heartbeat: Option<Duration>,
    /// What its prices are, unless the policy says otherwise.
    pub kind: SourceKind,
    /// The currency that its prices are in, unless the policy says otherwise; `None` for USD. The market of that name
    /// converts them.
    pub quote: Option<String>,
}

/// A policy applied to a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The parameters, valid.
    pub params: VenueParams,
    /// Names by pool id: all pools of the policy, in its order.
    pub pool_names: Vec<String>,
    /// Names by market id.
    pub market_names: Vec<String>,
    /// Names by market id and source id.
    pub source_names: Vec<Vec<String>>,
    /// What was decided on the way, for a person to read before the run.
    pub decisions: Vec<String>,
}

impl Policy {
    /// The parameters for these markets and sources.
    ///
    /// # Errors
    /// A listing that can't be listed, or the first value of the policy that breaks a rule, can't be reached
    /// ([`VenueParams::reach`]) or leaves the envelope ([`VenueParams::envelope`]), with its key and where in the file it
    /// stands.
    pub fn list(&self, listing: &Listing) -> Result<Listed, PolicyError> {
        let listed = self.list_to_compare(listing)?;
        let params = &listed.params;
        params.reach().and_then(|()| params.envelope()).map_err(|invalid| self.rule(listing, invalid))?;
        Ok(listed)
    }

    /// Lists every market that the policy names, and one that it doesn't, each with the sources that it names there and as
    /// many others as an agreed price needs: whatever is wrong with its values shows without any data.
    ///
    /// # Errors
    /// As [`Policy::list`].
    pub fn check(&self) -> Result<(), PolicyError> {
        let named = self.said.markets.keys().map(String::as_str).filter(|name| *name != DEFAULT);
        let unnamed = "a-market-that-no-table-names";
        let scale = Scale::new(4, 0).expect("a scale that holds every price of a file");
        let market = |name: &str| {
            let here = self.said.markets.get(name).map(|said| said.sources.keys()).into_iter().flatten();
            let everywhere = self.said.sources.keys().filter(|name| *name != DEFAULT);
            let said: BTreeSet<&String> = here.chain(everywhere).collect();
            let others = (0..u8::MAX).map(|n| format!("a-source-that-no-table-names-{n}"));
            let least = self.market_view(name).small::<u8>("oracle.lineages_min").unwrap_or(1).clamp(1, 8);
            let names = said.into_iter().cloned().chain(others.take(usize::from(least)));
            let source = |name: String| SourceListing {
                lineage: name.clone(),
                name,
                heartbeat: None,
                kind: SourceKind::Trades,
                quote: None,
            };
            // A dollar, at which limits in USD are as many lots.
            let reference_price = Price(100_000_000);
            MarketListing { name: name.to_owned(), scale, reference_price, sources: names.map(source).collect() }
        };
        let markets = named.chain([unnamed]).map(market).collect();
        self.list(&Listing { markets }).map(|_| ())
    }

    /// Likewise for a policy that no venue runs: what is compared with may be unsafe.
    ///
    /// # Errors
    /// As [`Policy::list`], without the envelope.
    pub fn list_to_compare(&self, listing: &Listing) -> Result<Listed, PolicyError> {
        check_names(listing)?;
        let mut listed = Listed {
            params: VenueParams { pools: Vec::new(), markets: Vec::new(), governance: GovernanceParams::closed() },
            pool_names: self.said.pools.iter().map(|(name, _)| name.clone()).collect(),
            market_names: listing.markets.iter().map(|market| market.name.clone()).collect(),
            source_names: Vec::new(),
            decisions: Vec::new(),
        };
        for (name, values) in &self.said.pools {
            listed.params.pools.push(pool(&self.pool_view(name, values))?);
        }
        for market in &listing.markets {
            let params = self.market(market, listing, &mut listed.decisions)?;
            listed.params.markets.push(params);
            listed.source_names.push(market.sources.iter().map(|source| source.name.clone()).collect());
        }
        self.unused(listing, &mut listed.decisions);
        listed.params.validate().map_err(|invalid| self.rule(listing, invalid))?;
        Ok(listed)
    }

    pub(crate) fn market(
        &self,
        listing: &MarketListing,
        all: &Listing,
        decisions: &mut Vec<String>,
    ) -> Result<MarketParams, PolicyError> {
        let view = self.market_view(&listing.name);
        let pool_name = view.name("pool")?;
        let pool = self.said.pools.iter().position(|(name, _)| name == pool_name);
        // The reader has refused a pool that does not exist, and more pools than fit are refused below.
        let pool = PoolId(pool.and_then(|i| u16::try_from(i).ok()).unwrap_or(u16::MAX));

        let mut lineages: Vec<String> = Vec::new();
        let mut sources = Vec::new();
        for source in &listing.sources {
            sources.push(self.source(listing, source, all, &mut lineages, decisions)?);
        }
        let order_size_max = lots(view.int("order_size_max")?, listing);
        let open_interest_max = lots(view.int("open_interest_max")?, listing);
        decisions.push(format!(
            "market {}: pool {pool_name}, {} sources of {} lineages; at {} USD order_size_max {} = {} and \
             open_interest_max {} = {}",
            listing.name,
            sources.len(),
            lineages.len(),
            usd(listing.scale, listing.reference_price),
            view.text("order_size_max")?,
            order_size_max.1,
            view.text("open_interest_max")?,
            open_interest_max.1,
        ));
        Ok(MarketParams {
            pool,
            scale: listing.scale,
            order_size_max: order_size_max.0,
            open_interest_max: open_interest_max.0,
            open_interest_margin_from: view.ratio("open_interest_margin_from")?,
            sources,
            oracle: oracle(&view)?,
            mark: MarkParams {
                premium_max: view.ratio("mark.premium_max")?,
                premium_window: view.span("mark.premium_window")?,
                step_max: view.ratio("mark.step_max")?,
                step_window: view.span("mark.step_window")?,
            },
            funding: FundingParams {
                rate_max: view.ratio("funding.rate_max")?,
                interval: view.span("funding.interval")?,
            },
            collateral: CollateralParams {
                deposit_max: lots(view.int("collateral.deposit_max")?, listing).0,
                haircut: view.ratio("collateral.haircut")?,
                ramp: view.span("collateral.ramp")?,
                auction: view.span("collateral.auction")?,
            },
            tiers: self.tiers(&listing.name).1.to_vec(),
            detectors: detectors(&view)?,
            activity: ActivityParams {
                growth: view.thresholds("activity.growth")?,
                growth_window: view.span("activity.growth_window")?,
                crowding: view.thresholds("activity.crowding")?,
                intensity: view.thresholds("activity.intensity")?,
                intensity_window: view.span("activity.intensity_window")?,
                divergence: view.thresholds("activity.divergence")?,
            },
            chain: ChainParams {
                distress: view.thresholds("chain.distress")?,
                interval: view.span("chain.interval")?,
                inclusion: view.span("chain.inclusion")?,
                finality: view.span("chain.finality")?,
                base_fee: view.small("chain.base_fee")?,
            },
            breaker: BreakerParams {
                calm: view.span("breaker.calm")?,
                probation: view.span("breaker.probation")?,
                calm_max: view.span("breaker.calm_max")?,
                cautious_margin_addon: view.ratio("breaker.cautious_margin_addon")?,
                cautious_size_scale: view.ratio("breaker.cautious_size_scale")?,
                grace_share: view.ratio("breaker.grace_share")?,
                grace_max: view.span("breaker.grace_max")?,
            },
            liquidation: LiquidationParams {
                buffer: view.ratio("liquidation.buffer")?,
                fee: view.ratio("liquidation.fee")?,
                slippage_max: view.ratio("liquidation.slippage_max")?,
                order_ttl: view.span("liquidation.order_ttl")?,
                single_lineage_confirm: view.span("liquidation.single_lineage_confirm")?,
            },
        })
    }

    fn source(
        &self,
        market: &MarketListing,
        source: &SourceListing,
        all: &Listing,
        lineages: &mut Vec<String>,
        decisions: &mut Vec<String>,
    ) -> Result<SourceParams, PolicyError> {
        let view = self.source_view(&market.name, &source.name);
        let place = format!("source {} of {}", source.name, market.name);

        let lineage = match view.find("lineage") {
            Some(Found { value: Value::Name(said), .. }) => {
                if *said != source.lineage {
                    decisions.push(format!("{place}: lineage {said} by the policy, {} in the data", source.lineage));
                }
                said.clone()
            }
            Some(_) | None => source.lineage.clone(),
        };
        let id = lineages.iter().position(|known| *known == lineage).unwrap_or_else(|| {
            lineages.push(lineage);
            lineages.len() - 1
        });
        // More sources than a market may list are refused before this.
        let lineage = LineageId(u8::try_from(id).unwrap_or(u8::MAX));

        let said = view.span("heartbeat")?;
        let heartbeat = source.heartbeat.unwrap_or(said);
        if heartbeat != said {
            let text = quantity::write(Form::Span, &Value::Int(heartbeat.0));
            decisions.push(format!("{place}: heartbeat {text} by the data, {} in the policy", view.text("heartbeat")?));
        }

        let kind = match view.find("kind") {
            Some(Found { value: Value::Name(said), .. }) => {
                let kind = if said == SOURCE_KINDS[0] { SourceKind::Trades } else { SourceKind::Quotes };
                if kind != source.kind {
                    decisions.push(format!("{place}: {said} by the policy, not in the data"));
                }
                kind
            }
            Some(_) | None => source.kind,
        };

        let quote = self.quote(market, source, all, decisions)?;

        // Both bounds round toward each other, so that a print at the bound counts as stuck.
        let price_min = match view.find("price_min") {
            None => Price(0),
            Some(found) => match market.scale.price_from_pico(found.pico(), Rounding::Up) {
                Some(price) => price,
                None => {
                    let text = quantity::write(Form::Price, found.value);
                    let problem = Problem::BoundOutOfScale { text, market: market.name.clone() };
                    return Err(self.at(found.path, problem));
                }
            },
        };
        let price_max =
            view.find("price_max").and_then(|found| market.scale.price_from_pico(found.pico(), Rounding::Down));
        Ok(SourceParams {
            weight: view.small("weight")?,
            lineage,
            heartbeat,
            price_min,
            // No price of the market reaches a bound that it can't express.
            price_max: price_max.unwrap_or(Price(i64::MAX)),
            kind,
            rung: rung(&view),
            quote,
        })
    }

    /// The currency that a source's prices are in; `None` for USD, and where it is what the market itself prices.
    fn unit<'a>(&'a self, market: &str, source: &'a SourceListing) -> Option<&'a str> {
        let said = self.source_view(market, &source.name).name("quote").ok();
        said.or(source.quote.as_deref()).filter(|unit| *unit != "USD" && *unit != market)
    }

    /// The market that converts a source's prices.
    fn quote(
        &self,
        market: &MarketListing,
        source: &SourceListing,
        all: &Listing,
        decisions: &mut Vec<String>,
    ) -> Result<Option<MarketId>, PolicyError> {
        let Some(unit) = self.unit(&market.name, source) else { return Ok(None) };
        // A unit that is itself in another one would have to be converted first.
        let is_unit = |listed: &MarketListing| {
            listed.name == unit && listed.sources.iter().all(|source| self.unit(&listed.name, source).is_none())
        };
        let place = all.markets.iter().position(is_unit);
        let quote = place.and_then(|place| u16::try_from(place).ok()).map(MarketId);
        let how = match quote {
            Some(_) => format!("by the price of market {unit}"),
            None => {
                let said = self.source_view(&market.name, &source.name);
                if said.name("quote").is_ok() {
                    let must = "name a listed market whose own sources are all in USD";
                    let place = format!("market {}, source {}", market.name, source.name);
                    return Err(self.at(said.path("quote"), Problem::Rule { must, place }));
                }
                // Data that names a currency without saying what it is worth in USD.
                let listed = all.markets.iter().any(|listed| listed.name == unit);
                let why = if listed { ", for that market has sources in other currencies itself" } else { "" };
                format!("as USD one to one{why}")
            }
        };
        decisions.push(format!("{} at {} is quoted in {unit}: taken {how}", market.name, source.name));
        Ok(quote)
    }

    /// The tiers of a market, and the name of the table in which they stand.
    pub(crate) fn tiers(&self, market: &str) -> (&str, &[Tier]) {
        for name in [market, DEFAULT] {
            let said = self.said.markets.get_key_value(name);
            if let Some((name, MarketSaid { tiers: Some(tiers), .. })) = said {
                return (name, tiers);
            }
        }
        (DEFAULT, &[])
    }

    pub(crate) fn pool_view<'a>(&'a self, name: &str, values: &'a Values) -> View<'a> {
        View { policy: self, keys: POOL, layers: vec![(join("pool", name), values)] }
    }

    pub(crate) fn market_view(&self, market: &str) -> View<'_> {
        let mut layers = Vec::new();
        for name in [market, DEFAULT] {
            layers.extend(self.said.markets.get(name).map(|said| (join("market", name), &said.values)));
        }
        View { policy: self, keys: MARKET, layers }
    }

    pub(crate) fn source_view(&self, market: &str, source: &str) -> View<'_> {
        let mut layers = Vec::new();
        let here = self.said.markets.get(market).and_then(|said| said.sources.get(source));
        layers.extend(here.map(|values| (join(&join(&join("market", market), "source"), source), values)));
        for name in [source, DEFAULT] {
            layers.extend(self.said.sources.get(name).map(|values| (join("source", name), values)));
        }
        View { policy: self, keys: SOURCE, layers }
    }

    /// An override that nothing listed meets is not an error, since one policy serves many listings, but a misspelt
    /// name looks just like it.
    fn unused(&self, listing: &Listing, decisions: &mut Vec<String>) {
        let markets: BTreeSet<&str> = listing.markets.iter().map(|market| market.name.as_str()).collect();
        let of = |market: &str| listing.markets.iter().find(|m| m.name == market).map_or(&[][..], |m| &m.sources);
        let sources: BTreeSet<&str> =
            listing.markets.iter().flat_map(|market| &market.sources).map(|source| source.name.as_str()).collect();
        let mut unused = Vec::new();
        for (name, market) in &self.said.markets {
            if name != DEFAULT && !markets.contains(name.as_str()) {
                unused.push(join("market", name));
                continue;
            }
            let absent = market.sources.keys().filter(|source| of(name).iter().all(|s| s.name != **source));
            unused.extend(absent.map(|source| join(&join(&join("market", name), "source"), source)));
        }
        let absent = self.said.sources.keys().filter(|name| *name != DEFAULT && !sources.contains(name.as_str()));
        unused.extend(absent.map(|name| join("source", name)));
        for table in unused {
            decisions.push(format!("[{table}] of the policy meets nothing that is listed"));
        }
    }

    /// The protocol's answer, as a place in the file.
    fn rule(&self, listing: &Listing, invalid: Invalid) -> PolicyError {
        let Invalid { place, field, must } = invalid;
        let rule = |place: String| Problem::Rule { must, place };
        match place {
            Place::Venue => PolicyError {
                file: self.file.clone(),
                at: None,
                key: field.to_owned(),
                problem: Box::new(rule("the venue".to_owned())),
            },
            Place::Pool(id) => {
                let name = self.said.pools.get(usize::from(id)).map_or("", |(name, _)| name);
                self.at(format!("{}.{field}", join("pool", name)), rule(format!("pool {name}")))
            }
            Place::Market(id) => {
                let name = listing.markets.get(usize::from(id)).map_or("", |market| &market.name);
                let path = match field {
                    "tiers" => format!("{}.tier", join("market", self.tiers(name).0)),
                    _ => self.market_view(name).path(field),
                };
                self.at(path, rule(format!("market {name}")))
            }
            Place::Source(market, id) => {
                let market = listing.markets.get(usize::from(market));
                let source = market.and_then(|market| market.sources.get(usize::from(id)));
                let (Some(market), Some(source)) = (market, source) else {
                    return self.at(field.to_owned(), rule("a source".to_owned()));
                };
                let place = format!("source {} of {}", source.name, market.name);
                if field == "heartbeat" && source.heartbeat.is_some() {
                    return refused(&place, &format!("its heartbeat must {must}"), "correct the data's interval");
                }
                self.at(self.source_view(&market.name, &source.name).path(field), rule(place))
            }
        }
    }

    fn at(&self, key: String, problem: Problem) -> PolicyError {
        let at = self.places.get(&key).copied();
        PolicyError { file: self.file.clone(), at, key, problem: Box::new(problem) }
    }
}

/// Tables of one kind, the most particular first.
pub(crate) struct View<'a> {
    policy: &'a Policy,
    keys: &'static [Key],
    layers: Vec<(String, &'a Values)>,
}

/// A value and the path under which it is said.
pub(crate) struct Found<'a> {
    pub(crate) value: &'a Value,
    path: String,
}

impl Found<'_> {
    pub(crate) fn pico(&self) -> i128 {
        match self.value {
            Value::Pico(pico) => *pico,
            Value::Int(n) => i128::from(*n),
            Value::Name(_) => 0,
        }
    }
}

impl<'a> View<'a> {
    pub(crate) fn find(&self, key: &str) -> Option<Found<'a>> {
        self.layers
            .iter()
            .find_map(|(path, values)| values.get(key).map(|value| Found { value, path: format!("{path}.{key}") }))
    }

    /// The path of a key, or of the first key below it that is said.
    fn path(&self, field: &str) -> String {
        let inside = format!("{field}.");
        let key = self.keys.iter().find(|key| key.name == field || key.name.starts_with(&inside));
        match key.and_then(|key| self.find(key.name)) {
            Some(found) => found.path,
            None => self.layers.last().map_or_else(|| field.to_owned(), |(path, _)| format!("{path}.{field}")),
        }
    }

    fn int(&self, key: &str) -> Result<i64, PolicyError> {
        match self.find(key) {
            Some(Found { value: Value::Int(n), .. }) => Ok(*n),
            Some(_) | None => Err(self.missing(key)),
        }
    }

    pub(crate) fn small<T: TryFrom<i64>>(&self, key: &str) -> Result<T, PolicyError> {
        T::try_from(self.int(key)?).map_err(|_| self.missing(key))
    }

    fn ratio(&self, key: &str) -> Result<Ratio, PolicyError> {
        self.int(key).map(Ratio)
    }

    pub(crate) fn span(&self, key: &str) -> Result<Duration, PolicyError> {
        self.int(key).map(Duration)
    }

    fn thresholds(&self, key: &str) -> Result<Thresholds, PolicyError> {
        Ok(Thresholds {
            cautious: self.ratio(&format!("{key}.cautious"))?,
            reduce_only: self.ratio(&format!("{key}.reduce_only"))?,
        })
    }

    pub(crate) fn name(&self, key: &str) -> Result<&'a str, PolicyError> {
        match self.find(key) {
            Some(Found { value: Value::Name(name), .. }) => Ok(name),
            Some(_) | None => Err(self.missing(key)),
        }
    }

    fn text(&self, key: &str) -> Result<String, PolicyError> {
        match (self.find(key), keys::find(self.keys, key)) {
            (Some(found), Some(key)) => Ok(quantity::write(key.form, found.value)),
            (Some(_) | None, _) => Err(self.missing(key)),
        }
    }

    /// The reader completes every table that others inherit from, so this is for the strict answer's sake only.
    fn missing(&self, key: &str) -> PolicyError {
        let example = keys::find(self.keys, key).map_or("", |key| key.example);
        self.policy.at(self.path(key), Problem::Missing { example: format!("{key} = \"{example}\"") })
    }
}

/// The rung on which a source speaks.
pub(crate) fn rung(view: &View<'_>) -> Rung {
    let said = view.name("rung").ok().and_then(|said| SOURCE_RUNGS.iter().position(|rung| *rung == said));
    said.and_then(|place| Panel::RUNGS.get(place).copied()).unwrap_or(Rung::Primary)
}

pub(crate) fn pool(view: &View<'_>) -> Result<PoolParams, PolicyError> {
    Ok(PoolParams {
        accounts_max: view.small("accounts_max")?,
        account_min: Notional(view.int("account_min")?),
        orders_per_account_max: view.small("orders_per_account_max")?,
        account_borrow_max: Notional(view.int("account_borrow_max")?),
        borrow_max: Notional(view.int("borrow_max")?),
        insurance_share_per_account: view.ratio("insurance_share_per_account")?,
        // An account is the venue's to name, not the policy's: whoever lists the venue sets it.
        backstop: None,
    })
}

fn oracle(view: &View<'_>) -> Result<OracleParams, PolicyError> {
    Ok(OracleParams {
        age_max: view.span("oracle.age_max")?,
        silence_floor: view.span("oracle.silence_floor")?,
        future_max: view.span("oracle.future_max")?,
        confidence_max: view.ratio("oracle.confidence_max")?,
        jump_max: view.ratio("oracle.jump_max")?,
        jump_window: view.span("oracle.jump_window")?,
        jump_confirm: view.span("oracle.jump_confirm")?,
        leap_max: view.ratio("oracle.leap_max")?,
        leap_confirm: view.span("oracle.leap_confirm")?,
        agree: view.ratio("oracle.agree")?,
        dispute: view.ratio("oracle.dispute")?,
        lineages_min: view.small("oracle.lineages_min")?,
        overrule_lineages: view.small("oracle.overrule_lineages")?,
        dispute_confirm: view.span("oracle.dispute_confirm")?,
        last_good_max: view.span("oracle.last_good_max")?,
        twap_max: view.span("oracle.twap_max")?,
        guardians_min: view.small("oracle.guardians_min")?,
        confidence_scale: view.ratio("oracle.confidence_scale")?,
        fallback_confidence: view.ratio("oracle.fallback_confidence")?,
        derived_haircut: view.ratio("oracle.derived_haircut")?,
    })
}

fn detectors(view: &View<'_>) -> Result<DetectorParams, PolicyError> {
    Ok(DetectorParams {
        exit: view.ratio("detectors.exit")?,
        velocity: view.thresholds("detectors.velocity")?,
        velocity_window: view.span("detectors.velocity_window")?,
        swing: view.thresholds("detectors.swing")?,
        swing_window: view.span("detectors.swing_window")?,
        band: view.thresholds("detectors.band")?,
        twap_window: view.span("detectors.twap_window")?,
        twap_coverage_min: view.ratio("detectors.twap_coverage_min")?,
        staleness: view.thresholds("detectors.staleness")?,
        drift: view.thresholds("detectors.drift")?,
        stable_half_life: view.span("detectors.stable_half_life")?,
        stable_reach: view.ratio("detectors.stable_reach")?,
        stuck: view.thresholds("detectors.stuck")?,
        disagreement: view.ratio("detectors.disagreement")?,
        quorum_coverage_min: view.ratio("detectors.quorum_coverage_min")?,
    })
}

/// A limit of `micro` USD as lots at the reference price, and the text that says so.
///
/// `lots = micro * products_per_micro / price`, rounded down: the limit is never wider than what was written, except
/// that a positive limit admits at least one lot. A zero limit stays zero and is refused by the protocol's rules.
fn lots(micro: i64, market: &MarketListing) -> (Size, String) {
    let price = i128::from(market.reference_price.0);
    let lots = mul_div(i128::from(micro), market.scale.products_per_micro(), price, Rounding::Down);
    let unit = u128::from(micro.unsigned_abs());
    match lots.map(i64::try_from) {
        Some(Ok(0)) if unit != 0 => (Size(1), "1 lot (a lot is worth more than the limit)".to_owned()),
        Some(Ok(lots)) => (Size(lots), format!("{} lots", grouped(u128::from(lots.unsigned_abs())))),
        Some(Err(_)) | None => {
            (Size(i64::MAX), "the largest size (a lot is worth too little for the limit)".to_owned())
        }
    }
}

fn usd(scale: Scale, price: Price) -> String {
    decimal(scale.price_to_pico(price).unsigned_abs(), 12)
}

/// What must hold of a listing before anything is looked up in it.
fn check_names(listing: &Listing) -> Result<(), PolicyError> {
    let mut markets = BTreeSet::new();
    for market in &listing.markets {
        let place = format!("market {}", shown(&market.name));
        if market.name.is_empty() || market.name == DEFAULT {
            return Err(refused(&place, "the name is reserved", "give the market another name"));
        }
        if !markets.insert(market.name.as_str()) {
            return Err(refused(&place, "listed twice", "list each market once, with all its sources"));
        }
        if market.reference_price <= Price(0) {
            return Err(refused(
                &place,
                &format!("the reference price {} is not positive", market.reference_price.0),
                "list it at a price that was traded",
            ));
        }
        if MarketParams::SOURCES_MAX < market.sources.len() || market.sources.is_empty() {
            let what = format!("{} sources", market.sources.len());
            return Err(refused(&place, &what, "list 1 to 16 sources"));
        }
        let mut sources = BTreeSet::new();
        for source in &market.sources {
            let place = format!("source {} of {}", shown(&source.name), shown(&market.name));
            if source.name.is_empty() || source.name == DEFAULT {
                return Err(refused(&place, "the name is reserved", "give the source another name"));
            }
            if !sources.insert(source.name.as_str()) {
                return Err(refused(&place, "listed twice", "list each source of a market once"));
            }
        }
    }
    Ok(())
}

fn refused(place: &str, what: &str, remedy: &'static str) -> PolicyError {
    PolicyError {
        file: "listing".to_owned(),
        at: None,
        key: place.to_owned(),
        problem: Box::new(Problem::Listing { what: what.to_owned(), remedy }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Presence;
    use crate::write::tests::{shipped, without_overrides};

    fn source(name: &str) -> SourceListing {
        let (name, lineage) = (name.to_owned(), name.to_owned());
        SourceListing { name, lineage, heartbeat: None, kind: SourceKind::Trades, quote: None }
    }

    fn market(name: &str, price: i64) -> MarketListing {
        MarketListing {
            name: name.to_owned(),
            // Price unit 1e-8 USD, lot 0.001.
            scale: Scale::new(4, 3).unwrap(),
            reference_price: Price(price),
            sources: vec![source("alpha"), source("beta")],
        }
    }

    fn listing() -> Listing {
        // 100 USD and 20 USD.
        Listing { markets: vec![market("SOL", 10_000_000_000), market("AVAX", 2_000_000_000)] }
    }

    /// The default policy without overrides, and these lines.
    fn text(lines: &str) -> String {
        without_overrides(&shipped("default.toml")) + lines + "\n"
    }

    fn policy(lines: &str) -> Policy {
        Policy::parse(&text(lines), "p.toml").map_err(|error| error.to_string()).unwrap()
    }

    /// Expects the message, in which `LINE` stands for a line that must hold the last part of the key.
    #[track_caller]
    fn refuse(lines: &str, listing: &Listing, message: &str) {
        let found = policy(lines).list(listing).unwrap_err();
        let mut expected = message.to_owned();
        if let Some(at) = found.at {
            let text = text(lines);
            let line = text.lines().nth(usize::try_from(at.line).unwrap() - 1).unwrap();
            let last = found.key.rsplit('.').next().unwrap();
            assert!(line.contains(last), "{line:?} does not hold {last}");
            expected = expected.replacen("LINE", &at.line.to_string(), 1);
        }
        assert_eq!(found.to_string(), expected);
    }

    #[test]
    fn the_default_policy_lists_any_market_in_the_order_of_the_data() {
        let listed = policy("").list(&listing()).unwrap();
        assert_eq!(listed.market_names, ["SOL", "AVAX"]);
        assert_eq!(listed.source_names, [["alpha", "beta"], ["alpha", "beta"]]);
        assert_eq!(listed.pool_names, ["main"]);
        let sol = &listed.params.markets[0];
        assert_eq!(sol.pool, PoolId(0));
        assert_eq!(sol.oracle.age_max, Duration::seconds(10));
        assert_eq!(sol.oracle.silence_floor, Duration::seconds(3));
        assert_eq!(sol.oracle.agree, Ratio::percent(1));
        assert_eq!(sol.oracle.dispute, Ratio::percent(2));
        assert_eq!(sol.oracle.dispute_confirm, Duration::seconds(60));
        assert_eq!(sol.mark.premium_max, Ratio::bps(50));
        let source = SourceParams {
            weight: 1,
            lineage: LineageId(1),
            heartbeat: Duration::seconds(1),
            price_min: Price(0),
            price_max: Price(i64::MAX),
            kind: SourceKind::Trades,
            rung: Rung::Primary,
            quote: None,
        };
        assert_eq!(sol.sources[1], source);
    }

    #[test]
    fn limits_in_money_become_lots_at_the_reference_price_rounded_down() {
        // 0.001 of base at 100 USD is 0.1 USD.
        for (limit, lots) in
            [("0.1 USD", 1), ("0.199999 USD", 1), ("0.2 USD", 2), ("0.000001 USD", 1), ("10_000_000 USD", 100_000_000)]
        {
            let listed = policy(&format!("[market.SOL]\norder_size_max = \"{limit}\"")).list(&listing()).unwrap();
            assert_eq!(listed.params.markets[0].order_size_max, Size(lots), "{limit}");
        }
        let mut dear = listing();
        dear.markets[0].reference_price = Price(i64::MAX);
        let mut cheap = listing();
        cheap.markets[0] = MarketListing { scale: Scale::new(0, 12).unwrap(), ..market("SOL", 1) };
        for (listing, lots) in [(dear, 1), (cheap, i64::MAX)] {
            assert_eq!(policy("").list(&listing).unwrap().params.markets[0].order_size_max, Size(lots));
        }
        refuse(
            "[market.SOL]\norder_size_max = \"0 USD\"",
            &listing(),
            "p.toml:LINE:1: market.SOL.order_size_max: must be positive (found in market SOL)",
        );
    }

    #[test]
    fn single_keys_are_overridden_and_the_rest_inherited() {
        let listed = policy("[market.SOL]\noracle.jump_max = \"5%\"\n[[market.SOL.tier]]\nnotional_from = \"0 USD\"\ninitial = \"50%\"\nmaintenance = \"25%\"").list(&listing()).unwrap();
        let [sol, avax] = &listed.params.markets[..] else { panic!("two markets") };
        assert_eq!(sol.oracle.jump_max, Ratio::percent(5));
        assert_eq!(sol.oracle.jump_confirm, avax.oracle.jump_confirm);
        assert_eq!(
            sol.tiers,
            [Tier { notional_from: 0, initial: Ratio::percent(50), maintenance: Ratio::percent(25) }]
        );
        assert!(1 < avax.tiers.len());
    }

    #[test]
    fn sources_inherit_from_their_name_then_their_market() {
        let lines = "[source.alpha]\nweight = 2\nheartbeat = \"4s\"\nlineage = \"beta\"\nkind = \"quotes\"\nprice_min = \"0.1 USD\"\n\
                     [market.AVAX.source.alpha]\nprice_min = \"0.000000001 USD\"\nprice_max = \"1e\"";
        let lines = lines.replace("1e", "1_000_000_000_000_000 USD");
        let mut data = listing();
        data.markets[1].sources[0].heartbeat = Some(Duration::seconds(60));
        let listed = policy(&lines).list(&data).unwrap();
        let [sol, avax] = &listed.params.markets[..] else { panic!("two markets") };
        let expected = SourceParams {
            weight: 2,
            lineage: LineageId(0),
            heartbeat: Duration::seconds(4),
            price_min: Price(10_000_000),
            price_max: Price(i64::MAX),
            kind: SourceKind::Quotes,
            rung: Rung::Primary,
            quote: None,
        };
        assert_eq!(sol.sources[0], expected);
        assert_eq!(sol.sources[1].lineage, LineageId(0), "beta is alpha's lineage");
        // A tenth of a price unit rounds up to one: a print at the bound is stuck.
        let expected = SourceParams { heartbeat: Duration::seconds(60), price_min: Price(1), ..expected };
        assert_eq!(avax.sources[0], expected);
        for decision in [
            "source alpha of SOL: lineage beta by the policy, alpha in the data",
            "source alpha of AVAX: heartbeat 1m by the data, 4s in the policy",
            "source alpha of SOL: quotes by the policy, not in the data",
        ] {
            assert!(listed.decisions.iter().any(|line| line == decision), "{:#?}", listed.decisions);
        }
        // What the data say as well is no decision.
        data.markets[0].sources[0].kind = SourceKind::Quotes;
        let listed = policy(&lines).list(&data).unwrap();
        let said: Vec<&String> = listed.decisions.iter().filter(|line| line.contains("quotes by the policy")).collect();
        assert_eq!(said, ["source alpha of AVAX: quotes by the policy, not in the data"]);
    }

    #[test]
    fn what_was_decided_is_said() {
        let lines = "[market.LUNA]\noracle.jump_max = \"5%\"\n[source.gamma]\nweight = 2\n[market.SOL.source.delta]\nweight = 2\n[market.AVAX.source.delta]\nweight = 2\n[market.SOL]\norder_size_max = \"10_000_000 USD\"\nopen_interest_max = \"0.01 USD\"";
        let mut data = listing();
        data.markets[1].sources.push(source("delta"));
        let listed = policy(lines).list(&data).unwrap();
        assert_eq!(
            listed.decisions[0],
            "market SOL: pool main, 2 sources of 2 lineages; at 100 USD order_size_max 10_000_000 USD = 100_000_000 lots and open_interest_max 0.01 USD = 1 lot (a lot is worth more than the limit)"
        );
        let unused: Vec<&String> = listed.decisions.iter().filter(|line| line.contains("meets nothing")).collect();
        assert_eq!(
            unused,
            [
                "[market.LUNA] of the policy meets nothing that is listed",
                "[market.SOL.source.delta] of the policy meets nothing that is listed",
                "[source.gamma] of the policy meets nothing that is listed",
            ]
        );
    }

    #[test]
    fn a_broken_rule_names_the_line_that_said_it() {
        refuse(
            "[market.SOL.oracle]\nagree = \"3%\"",
            &listing(),
            "p.toml:LINE:1: market.SOL.oracle.agree: must be positive and at most dispute (found in market SOL)",
        );
        refuse(
            "[market.SOL.oracle]\ndispute = \"0.5%\"",
            &listing(),
            "p.toml:LINE:1: market.default.oracle.agree: must be positive and at most dispute (found in market SOL)",
        );
        refuse(
            "[market.AVAX.detectors]\nvelocity.cautious = \"0%\"",
            &listing(),
            "p.toml:LINE:10: market.AVAX.detectors.velocity.cautious: must have a positive cautious threshold of at most 100 (found in market AVAX)",
        );
        refuse(
            "[[market.SOL.tier]]\nnotional_from = \"1 USD\"\ninitial = \"50%\"\nmaintenance = \"25%\"",
            &listing(),
            "p.toml:LINE:14: market.SOL.tier: must begin at notional_from = 0 (found in market SOL)",
        );
        refuse(
            "[market.SOL]\nliquidation.fee = \"20%\"",
            &listing(),
            "p.toml:LINE:18: market.default.tier: must have maintenance above liquidation.fee (found in market SOL)",
        );
        refuse(
            "[source.beta]\nweight = 0",
            &listing(),
            "p.toml:LINE:1: source.beta.weight: must lie in 1 ..= 1,000,000 (found in source beta of SOL)",
        );
        refuse(
            "[source.beta]\nprice_min = \"2 USD\"\nprice_max = \"1 USD\"",
            &listing(),
            "p.toml:LINE:1: source.beta.price_max: must be above price_min (found in source beta of SOL)",
        );
        refuse(
            "[source.beta]\nprice_min = \"100_000_000_000 USD\"",
            &listing(),
            "p.toml:LINE:1: source.beta.price_min: `100_000_000_000 USD` is above every price that market SOL can express; lower it, or list the market with a coarser price unit",
        );
        refuse(
            "[source.beta]\nheartbeat = \"0s\"",
            &listing(),
            "p.toml:LINE:1: source.beta.heartbeat: must be positive and at most ten years (found in source beta of SOL)",
        );
        // Where the data gives the interval, only the interval is the data's fault.
        let mut data = listing();
        data.markets[0].sources[1].heartbeat = Some(Duration::seconds(60));
        refuse(
            "[source.beta]\nweight = 0",
            &data,
            "p.toml:LINE:1: source.beta.weight: must lie in 1 ..= 1,000,000 (found in source beta of SOL)",
        );
        refuse(
            "[pool.second]\naccounts_max = 0\naccount_min = \"1 USD\"\norders_per_account_max = 1\naccount_borrow_max = \"1 USD\"\nborrow_max = \"1 USD\"\ninsurance_share_per_account = \"1%\"",
            &listing(),
            "p.toml:LINE:1: pool.second.accounts_max: must be positive (found in pool second)",
        );
        refuse("", &Listing { markets: vec![] }, "p.toml: markets: must list 1 to 4,096 markets (found in the venue)");
    }

    #[test]
    fn a_listing_that_can_t_be_listed_is_refused() {
        let broken = |change: &dyn Fn(&mut Listing)| {
            let mut listing = listing();
            change(&mut listing);
            listing
        };
        refuse(
            "",
            &broken(&|l| l.markets[1].name = "SOL".to_owned()),
            "listing: market SOL: listed twice; list each market once, with all its sources",
        );
        refuse(
            "",
            &broken(&|l| l.markets[1].name = "default".to_owned()),
            "listing: market default: the name is reserved; give the market another name",
        );
        refuse(
            "",
            &broken(&|l| l.markets[1].reference_price = Price(0)),
            "listing: market AVAX: the reference price 0 is not positive; list it at a price that was traded",
        );
        refuse("", &broken(&|l| l.markets[1].sources.clear()), "listing: market AVAX: 0 sources; list 1 to 16 sources");
        refuse(
            "",
            &broken(&|l| l.markets[1].sources = (0..17).map(|i| source(&i.to_string())).collect()),
            "listing: market AVAX: 17 sources; list 1 to 16 sources",
        );
        refuse(
            "",
            &broken(&|l| l.markets[1].sources[1].name = "alpha".to_owned()),
            "listing: source alpha of AVAX: listed twice; list each source of a market once",
        );
        refuse(
            "",
            &broken(&|l| l.markets[1].sources[1].name = String::new()),
            "listing: source  of AVAX: the name is reserved; give the source another name",
        );
        refuse(
            "",
            &broken(&|l| l.markets[1].sources[1].heartbeat = Some(Duration::ZERO)),
            "listing: source beta of AVAX: its heartbeat must be positive and at most ten years; correct the data's interval",
        );
        let sixteen = broken(&|l| l.markets[1].sources = (0..16).map(|i| source(&i.to_string())).collect());
        assert_eq!(policy("").list(&sixteen).unwrap().params.markets[1].lineages_listed(), 16);
    }

    #[test]
    fn a_source_in_another_currency_is_converted_by_the_market_of_that_name() {
        let mut data = listing();
        data.markets[0].sources[0].quote = Some("AVAX".to_owned());
        data.markets[0].sources[1].quote = Some("EUR".to_owned());
        let quotes = |policy: &Policy, data: &Listing| -> Vec<Vec<Option<MarketId>>> {
            let listed = policy.list(data).unwrap();
            let sources = |market: &MarketParams| market.sources.iter().map(|source| source.quote).collect();
            listed.params.markets.iter().map(sources).collect()
        };
        let plain = policy("");
        assert_eq!(quotes(&plain, &data), [[Some(MarketId(1)), None], [None, None]]);
        let decisions = plain.list(&data).unwrap().decisions;
        for said in [
            "SOL at alpha is quoted in AVAX: taken by the price of market AVAX",
            "SOL at beta is quoted in EUR: taken as USD one to one",
        ] {
            assert!(decisions.iter().any(|decision| decision == said), "{decisions:#?}");
        }
        // The policy's word wins; a price in itself is one in USD; and no unit is in another one.
        assert_eq!(quotes(&policy("[source.alpha]\nquote = \"USD\""), &data), [[None, None], [None, None]]);
        let avax = policy("[source.beta]\nquote = \"AVAX\"\nrung = \"derived\"");
        assert_eq!(quotes(&avax, &data), [[Some(MarketId(1)), Some(MarketId(1))], [None, None]]);
        let rungs: Vec<Rung> = avax.list(&data).unwrap().params.markets[0].sources.iter().map(|s| s.rung).collect();
        assert_eq!(rungs, [Rung::Primary, Rung::Derived]);
        // What the policy names is there, or it is refused; where the data names a listed market that can't be a unit, it is said.
        let place = "(found in market SOL, source beta)";
        let must = "must name a listed market whose own sources are all in USD";
        refuse(
            "[source.beta]\nquote = \"AVXA\"",
            &listing(),
            &format!("p.toml:LINE:1: source.beta.quote: {must} {place}"),
        );
        let both = policy("[market.AVAX.source.alpha]\nquote = \"SOL\"").list(&data).unwrap_err();
        assert_eq!(
            both.to_string(),
            format!("p.toml:146:1: market.AVAX.source.alpha.quote: {must} (found in market AVAX, source alpha)")
        );
        data.markets[1].sources[0].quote = Some("SOL".to_owned());
        let said = "SOL at alpha is quoted in AVAX: taken as USD one to one, for that market has sources in other currencies itself";
        assert!(plain.list(&data).unwrap().decisions.iter().any(|decision| decision == said));
    }

    #[test]
    fn a_rung_that_could_never_serve_is_refused() {
        refuse(
            "[source.beta]\nrung = \"secondary\"",
            &listing(),
            "p.toml: market.default.sources: must list as many secondary lineages as oracle.lineages_min asks for, or none (found in market SOL)",
        );
        refuse(
            "[source.alpha]\nrung = \"derived\"\n[source.beta]\nrung = \"derived\"",
            &listing(),
            "p.toml: market.default.sources: must list one that is primary (found in market SOL)",
        );
        refuse(
            "[market.SOL]\noracle.guardians_min = 1",
            &listing(),
            "p.toml:LINE:8: market.SOL.oracle.guardians_min: must be at least 2 (found in market SOL)",
        );
        refuse(
            "[market.SOL]\noracle.twap_max = \"301s\"",
            &listing(),
            "p.toml:LINE:8: market.SOL.oracle.twap_max: must lie between zero and last_good_max (found in market SOL)",
        );
    }

    #[test]
    fn a_step_that_could_ruin_the_healthy_and_a_threshold_that_nothing_reaches_are_refused() {
        let refused = |from: &str, to: &str| {
            let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/default.toml"));
            assert_eq!(text.matches(from).count(), 1, "{from}");
            let checked = Policy::parse(&text.replace(from, to), "p.toml").unwrap().check();
            checked.err().map(|error| (error.key.clone(), error.to_string()))
        };
        let key = |from: &str, to: &str| refused(from, to).map(|(key, _)| key);
        assert_eq!(refused("calm = ", "calm = "), None);
        // 2.5% of maintenance, 0.5% of fee, 0.08% of funding: (2.5 - 0.58) / 1.0058 is 1.90892821634...%.
        assert_eq!(key("step_max = \"1.9%\"", "step_max = \"1.9089282163%\""), None);
        let found = refused("step_max = \"1.9%\"", "step_max = \"1.9089282164%\"");
        let (found, text) = found.unwrap();
        assert_eq!(found, "market.default.mark.step_max");
        assert!(text.contains("one step of the mark could carry a healthy account past bankruptcy"), "{text}");
        // Collateral must lose no more by a step than what of it counts for nothing.
        let taken = "[market.BTC]\ncollateral = { deposit_max = \"100_000_000 USD\", haircut = \"10%\" }";
        assert_eq!(key(taken, &taken.replace("10%", "1.9%")), None);
        let (found, text) = refused(taken, &taken.replace("10%", "1.89%")).unwrap();
        assert_eq!(found, "market.BTC.collateral.haircut");
        assert!(text.contains("must be at least mark.step_max"), "{text}");
        let swing = "swing = { cautious = \"8%\", reduce_only = \"15%\" }";
        assert_eq!(key(swing, "swing = { cautious = \"3%\", reduce_only = \"7%\" }"), None);
        let velocity = Some("market.default.detectors.velocity.cautious".to_owned());
        assert_eq!(key(swing, "swing = { cautious = \"2.9%\", reduce_only = \"7%\" }"), velocity);
        assert_eq!(key(swing, "swing = { cautious = \"3%\", reduce_only = \"6.9%\" }"), velocity);
        let disagreement = "disagreement = \"1%\"";
        assert_eq!(key(disagreement, "disagreement = \"2%\""), None);
        let beyond = Some("market.default.detectors.disagreement".to_owned());
        assert_eq!(key(disagreement, "disagreement = \"2.01%\""), beyond);
        for (line, field) in [
            ("stuck = { cautious = \"1%\", reduce_only = \"50%\" }", "detectors.stuck"),
            ("intensity = { cautious = \"2%\", reduce_only = \"10%\" }", "activity.intensity"),
            ("divergence = { cautious = \"1%\", reduce_only = \"3%\" }", "activity.divergence"),
        ] {
            let name = field.split('.').nth(1).unwrap();
            let with = |most: &str| format!("{name} = {{ cautious = \"1%\", reduce_only = \"{most}\" }}");
            assert_eq!(key(line, &with("100%")), None);
            assert_eq!(key(line, &with("100.01%")), Some(format!("market.default.{field}.cautious")));
        }
        let growth = "growth = { cautious = \"300%\", reduce_only = \"1_000%\" }";
        assert_eq!(key(growth, "growth = { cautious = \"300%\", reduce_only = \"9_999%\" }"), None);
        let never = key(growth, "growth = { cautious = \"300%\", reduce_only = \"10_000%\" }");
        assert_eq!(never, Some("market.default.activity.growth.cautious".to_owned()));
        // Also of a market that only a table names, and of the sources there.
        let found = key("[market.default.breaker]", "[market.NEW]\nmark.step_max = \"3%\"\n[market.default.breaker]");
        assert_eq!(found, Some("market.NEW.mark.step_max".to_owned()));
        let found = key("[source.default]", "[market.NEW.source.x]\nrung = \"guardian\"\n[source.default]");
        assert_eq!(found, Some("market.default.sources".to_owned()));
    }

    #[test]
    fn every_key_that_is_read_reaches_a_parameter() {
        let base = policy(
            "[pool.other]\naccounts_max = 1\naccount_min = \"1 USD\"\norders_per_account_max = 1\naccount_borrow_max = \"1 USD\"\nborrow_max = \"1 USD\"\ninsurance_share_per_account = \"1%\"",
        );
        let params = |policy: &Policy| {
            let mut decisions = Vec::new();
            let pools: Vec<_> =
                policy.said.pools.iter().map(|(name, values)| pool(&policy.pool_view(name, values)).unwrap()).collect();
            let markets: Vec<_> = listing()
                .markets
                .iter()
                .map(|market| policy.market(market, &listing(), &mut decisions).unwrap())
                .collect();
            (pools, markets)
        };
        let before = params(&base);
        let other = |key: &'static Key| match key.form {
            Form::Name => {
                let name = match key.name {
                    "pool" => "other",
                    "quote" => "AVAX",
                    _ => "beta",
                };
                Value::Name(name.to_owned())
            }
            Form::Price => Value::Pico(7_000_000_000_000),
            Form::Choice { of } => Value::Name(of.last().copied().unwrap_or("").to_owned()),
            Form::Count { .. } => Value::Int(77),
            Form::Span | Form::Ratio | Form::Money => Value::Int(77_777_777_777),
        };
        for key in POOL {
            let mut policy = base.clone();
            policy.said.pools[0].1.insert(key.name, other(key));
            assert_ne!(params(&policy), before, "{}", key.name);
        }
        for key in MARKET {
            for table in [DEFAULT, "SOL"] {
                let mut policy = base.clone();
                policy.said.markets.entry(table.to_owned()).or_default().values.insert(key.name, other(key));
                assert_ne!(params(&policy), before, "{table} {}", key.name);
            }
        }
        for key in SOURCE {
            for table in [DEFAULT, "alpha"] {
                if table == DEFAULT && key.presence == Presence::NamedOnly {
                    continue;
                }
                let mut policy = base.clone();
                policy.said.sources.entry(table.to_owned()).or_default().insert(key.name, other(key));
                assert_ne!(params(&policy), before, "{table} {}", key.name);
            }
            let mut policy = base.clone();
            let market = policy.said.markets.entry("SOL".to_owned()).or_default();
            market.sources.entry("alpha".to_owned()).or_default().insert(key.name, other(key));
            assert_ne!(params(&policy), before, "market {}", key.name);
        }
    }

    #[test]
    fn the_shipped_policies_list() {
        let one = Listing { markets: vec![MarketListing { sources: vec![source("median")], ..market("AAVE", 1_000) }] };
        for name in ["default.toml", "competent.toml"] {
            shipped(name).list_to_compare(&listing()).unwrap();
            shipped(name).list_to_compare(&one).unwrap();
        }
        shipped("default.toml").list(&listing()).unwrap();
        // What it is compared with is not safe by the same rules.
        let compared = shipped("competent.toml").list_to_compare(&one).unwrap().params;
        assert_eq!(compared.envelope().unwrap_err().field, "mark.step_max");
        assert_eq!(compared.reach().unwrap_err().field, "detectors.disagreement");
        assert!(shipped("competent.toml").list(&one).is_err());
        let [ours, theirs] =
            ["default.toml", "competent.toml"].map(|name| shipped(name).list_to_compare(&one).unwrap().params);
        assert_eq!(ours.markets[0].tiers, theirs.markets[0].tiers);
        for name in ["BTC", "ETH", "SOL", "AAVE"] {
            let [ours, theirs] = ["default.toml", "competent.toml"].map(shipped);
            assert_eq!(ours.tiers(name), theirs.tiers(name));
        }
        // How long to wait is what the two do differently.
        let but_waits = |params: &VenueParams| LiquidationParams {
            single_lineage_confirm: Duration::ZERO,
            order_ttl: Duration::ZERO,
            ..params.markets[0].liquidation
        };
        assert_eq!(but_waits(&ours), but_waits(&theirs));
    }
}
