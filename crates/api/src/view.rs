//! What there is to see, as of one moment: numbers as decimal text, names instead of ids.

use kernel::detect::NAMES;
use kernel::governance::Governance;
use kernel::state::{Account, Market, Pool, State};
use node::statement::{act_text, change_text};
use port::words::{hex, mode};
use protocol::governance::Act;
use protocol::{Action, MarketId, Mode, PoolId, QualityState, Side, SourceId};
use serde::Serialize;
use std::collections::BTreeMap;
use units::{Duration, Notional, Price, Ratio, Rounding, Scale, Size, Timestamp};
use utoipa::ToSchema;

/// Buckets of a liquidation map, to each side of the mark.
const BUCKETS: usize = 30;
/// Each as wide as this part of the mark.
const BUCKET: Ratio = Ratio::bps(50);
/// The most triggers of a market that are looked at for its map.
const TRIGGERS_MAX: usize = 20_000;

/// What things are called.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// By market id.
    pub markets: Vec<String>,
    /// By market id and source id, with who operates it.
    pub sources: Vec<Vec<(String, String)>>,
    /// By pool id.
    pub pools: Vec<String>,
}

impl Names {
    /// A market's name, or its number.
    #[must_use]
    pub fn market(&self, id: MarketId) -> String {
        self.markets.get(usize::from(id.0)).cloned().unwrap_or_else(|| format!("market {}", id.0))
    }

    /// A pool's name, or its number.
    #[must_use]
    pub fn pool(&self, id: PoolId) -> String {
        self.pools.get(usize::from(id.0)).cloned().unwrap_or_else(|| format!("pool {}", id.0))
    }
}

/// All of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct View {
    /// Of the last batch, as text.
    pub at: String,
    /// The same, microseconds since 1970.
    pub at_micros: i64,
    /// Of the last batch.
    pub height: u64,
    /// The journal's hash there, in hexadecimal.
    pub head: String,
    /// Whether anybody is needed.
    pub verdict: Verdict,
    /// By id.
    pub markets: Vec<MarketView>,
    /// By id.
    pub pools: Vec<PoolView>,
    /// Keys, restrictions and changes that are filed.
    pub governance: GovernanceView,
    /// What was decided, on its way to the venue's side; nothing where there is none but the embedded venue.
    pub delivery: Option<DeliveryView>,
}

/// How far the venue's side is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DeliveryView {
    /// `confirmed`, `sent`, `uncertain` or `stopped`.
    pub state: &'static str,
    /// Why it is uncertain or stopped.
    pub why: Option<String>,
    /// The height of the last delivery that it carried out.
    pub confirmed: u64,
    /// Deliveries that wait.
    pub waiting: usize,
    /// Since the lease was renewed, milliseconds.
    pub renewed_ms: Option<u64>,
}

impl DeliveryView {
    /// As text.
    #[must_use]
    pub fn of(delivered: &node::Delivered) -> DeliveryView {
        let (state, why) = match &delivered.way {
            node::Way::Confirmed => ("confirmed", None),
            node::Way::Sent => ("sent", None),
            node::Way::Uncertain(why) => ("uncertain", Some(why.clone())),
            node::Way::Stopped(fault) => ("stopped", Some(fault.to_string())),
        };
        let since = delivered.renewed.map(|renewed| renewed.elapsed().as_millis());
        let renewed_ms = since.and_then(|since| u64::try_from(since).ok());
        DeliveryView { state, why, confirmed: delivered.confirmed, waiting: delivered.waiting, renewed_ms }
    }

    /// What of it asks for somebody.
    fn need(&self) -> Option<Need> {
        let key = "delivery".to_owned();
        match (self.state, &self.why) {
            ("stopped", Some(why)) => Some(Need {
                key,
                what: format!("nothing is carried out any more: {why}"),
                remedy: "see docs/guard.md: who runs beside you, or what did the venue's side carry out".to_owned(),
            }),
            ("uncertain", Some(why))
                if DELIVERY_LATE < self.waiting || self.renewed_ms.is_none_or(|ms| LEASE_LATE_MS < ms) =>
            {
                Some(Need {
                    key,
                    what: format!("{} deliveries wait for the venue's side: {why}", self.waiting),
                    remedy: "look at the guard and the way there; without it markets are reduce-only by themselves"
                        .to_owned(),
                })
            }
            _ => None,
        }
    }
}

/// More deliveries than this that wait for a side that does not answer need somebody.
const DELIVERY_LATE: usize = 100;
/// Likewise a lease that was not renewed for longer, milliseconds.
const LEASE_LATE_MS: u64 = 10_000;

/// Whether anybody is needed, and for what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Verdict {
    /// How much.
    pub level: Level,
    /// In a line.
    pub headline: String,
    /// What asks for somebody, the most pressing first.
    pub needs: Vec<Need>,
}

/// How much somebody is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Not at all.
    Normal,
    /// Something is restricted, and ends by itself.
    Tightened,
    /// Only a person can do what is to be done.
    NeedsYou,
}

/// One thing that asks for somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Need {
    /// Its name for as long as it lasts.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// One market.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MarketView {
    /// Its number, which statements name.
    pub id: u16,
    /// Its name.
    pub name: String,
    /// Its pool's name.
    pub pool: String,
    /// In force.
    pub mode: &'static str,
    /// What asks for more than normal: detectors by name with their levels.
    pub causes: Vec<Cause>,
    /// Actions that are denied, each side apart where only one is.
    pub denied: Vec<String>,
    /// Added to initial margin, percent.
    pub margin_addon: String,
    /// Of the largest order, percent.
    pub size_scale: String,
    /// USD; nothing where there is no price.
    pub index: Option<String>,
    /// USD.
    pub mark: Option<String>,
    /// How far sources agree.
    pub quality: &'static str,
    /// Where the price came from.
    pub rung: &'static str,
    /// Half-width, USD.
    pub confidence: String,
    /// Of the price, milliseconds.
    pub age_ms: i64,
    /// Independent sources behind it.
    pub lineages: u8,
    /// Sources in their order.
    pub sources: Vec<SourceView>,
    /// One side, USD.
    pub open_interest: String,
    /// The most, USD at the mark.
    pub open_interest_max: String,
    /// Positions.
    pub holders: usize,
    /// Accounts under maintenance.
    pub distressed: usize,
    /// When the next step back is taken if nothing happens, and to which mode.
    pub resume: Option<Resume>,
    /// What guardians, governors or a vote ask for.
    pub restraint: Option<RestraintView>,
}

/// What asks for a restriction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Cause {
    /// A detector, or who asked.
    pub name: &'static str,
    /// How far.
    pub to: &'static str,
}

/// A step back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Resume {
    /// The milder mode.
    pub to: &'static str,
    /// When; nothing while the reason still stands.
    pub at: Option<String>,
}

/// A restriction that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RestraintView {
    /// How far.
    pub to: &'static str,
    /// When it is over.
    pub until: String,
    /// Whether governors or a vote stand behind it.
    pub ratified: bool,
    /// The guardian's key.
    pub by: Option<u8>,
}

/// One source of a market.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SourceView {
    /// Its name.
    pub name: String,
    /// Who operates it.
    pub lineage: String,
    /// Its rung of the ladder.
    pub rung: &'static str,
    /// USD; nothing before the first.
    pub price: Option<String>,
    /// From the index, parts of ten thousand.
    pub off_bps: Option<i64>,
    /// Since it spoke, milliseconds.
    pub age_ms: Option<i64>,
    /// Why it is left out: a filter's name, or that it is silent.
    pub excluded: Option<String>,
}

/// One pool.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PoolView {
    /// Its name.
    pub name: String,
    /// Accounts.
    pub accounts: usize,
    /// Accounts under maintenance.
    pub distressed: usize,
    /// USD.
    pub insurance: String,
    /// What nobody could pay, USD.
    pub deficit: String,
    /// What accounts owe in cash, USD.
    pub owed: String,
}

/// Keys, restrictions and changes that are filed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct GovernanceView {
    /// What statements name, in hexadecimal.
    pub venue: String,
    /// Of governors, for a change.
    pub threshold: u8,
    /// The longest restriction by one guardian, seconds.
    pub tighten_max_s: i64,
    /// The farthest expiry of a statement, seconds ahead.
    pub statement_max_s: i64,
    /// By place.
    pub keys: Vec<KeyView>,
    /// In order of number.
    pub proposals: Vec<ProposalView>,
}

/// A key.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct KeyView {
    /// Its place.
    pub place: usize,
    /// In hexadecimal.
    pub key: String,
    /// What it may do.
    pub role: &'static str,
    /// The nonce of its next statement.
    pub nonce: u64,
}

/// A change that is filed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProposalView {
    /// Its number.
    pub id: u64,
    /// In the words of a statement.
    pub change: String,
    /// Which way it goes.
    pub direction: &'static str,
    /// Who filed it.
    pub by: u8,
    /// When.
    pub filed_at: String,
    /// Who agrees.
    pub approvals: Vec<u8>,
    /// When it takes effect.
    pub due: Option<String>,
    /// What approvals name, in hexadecimal.
    pub digest: String,
}

/// Where positions would be looked at for liquidation, by price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LiquidationMap {
    /// The market's name.
    pub market: String,
    /// The mark, USD.
    pub mark: Option<String>,
    /// From the lowest on.
    pub buckets: Vec<Bucket>,
    /// More triggers are near than were looked at.
    pub is_partial: bool,
}

/// Positions that are looked at when the mark comes to a price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Bucket {
    /// Its middle, USD.
    pub price: String,
    /// Long positions, USD at the mark.
    pub longs: String,
    /// Short positions, USD at the mark.
    pub shorts: String,
    /// Accounts.
    pub accounts: usize,
}

/// A holder of a market, by how near its trigger is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Holder {
    /// The account.
    pub account: String,
    /// Of the base asset, signed.
    pub size: String,
    /// USD at the mark.
    pub notional: String,
    /// Where it is looked at, USD; nothing in distress.
    pub trigger: Option<String>,
    /// From the mark to there, parts of ten thousand.
    pub distance_bps: Option<i64>,
}

/// A time as text.
#[must_use]
pub fn time(at: Timestamp) -> String {
    let micros = at.0;
    let (days, rest) = (micros.div_euclid(86_400_000_000), micros.rem_euclid(86_400_000_000));
    // Howard Hinnant's civil calendar from days.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (seconds, micros) = (rest / 1_000_000, rest % 1_000_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", micros / 1_000)
}

/// A whole number of parts as a decimal, without zeros at its end but for `least` digits.
pub(crate) fn decimal(value: i128, decimals: u32, least: usize) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let one = 10_u128.pow(decimals);
    let (whole, part) = (value.unsigned_abs() / one, value.unsigned_abs() % one);
    let mut digits = format!("{part:0width$}", width = decimals as usize);
    while least < digits.len() && digits.ends_with('0') {
        digits.pop();
    }
    if digits.is_empty() || decimals == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{digits}") }
}

/// USD of a price, in at most eight significant digits behind its first.
pub(crate) fn price(price: Price, scale: Scale) -> String {
    let decimals = 12 - u32::from(scale.price_shift());
    let mut value = i128::from(price.0);
    let mut kept = decimals;
    while 0 < kept && 100_000_000 <= value.abs() {
        value /= 10;
        kept -= 1;
    }
    decimal(value, kept, 2)
}

fn priced(at: Price, scale: Scale) -> Option<String> {
    (Price(0) < at).then(|| price(at, scale))
}

/// Micro-USD as USD with cents.
pub(crate) fn usd(micro: i128) -> String {
    decimal(micro / 10_000, 2, 2)
}

pub(crate) fn percent(ratio: Ratio) -> String {
    decimal(i128::from(ratio.0), 10, 0)
}

pub(crate) const fn quality(state: QualityState) -> &'static str {
    match state {
        QualityState::Agreed => "agreed",
        QualityState::Degraded => "degraded",
        QualityState::Disputed => "disputed",
        QualityState::None => "none",
    }
}

pub(crate) const fn rung(rung: protocol::Rung) -> &'static str {
    match rung {
        protocol::Rung::Primary => "primary",
        protocol::Rung::Secondary => "secondary",
        protocol::Rung::Guardian => "guardian",
        protocol::Rung::Derived => "derived",
        protocol::Rung::Twap => "twap",
        protocol::Rung::LastGood => "last good",
        protocol::Rung::None => "none",
    }
}

fn off_bps(a: Price, b: Price) -> Option<i64> {
    (Price(0) < b && Price(0) < a)
        .then(|| i64::try_from((i128::from(a.0) - i128::from(b.0)) * 10_000 / i128::from(b.0)).ok())?
}

impl MarketView {
    fn of(market: &Market, names: &Names, at: Timestamp) -> MarketView {
        let scale = market.params.scale;
        let (found, breaker) = (market.quality(), &market.breaker);
        let levels = NAMES.iter().zip(market.memory.levels);
        let mut causes: Vec<Cause> = levels
            .filter(|(_, level)| *level != Mode::Normal)
            .map(|(name, level)| Cause { name, to: mode(level) })
            .collect();
        let restraint = &market.restraint;
        if let Some(imposed) = restraint.imposed {
            causes.push(Cause { name: "a guardian", to: mode(imposed.to) });
        }
        if let Some(ratified) = restraint.ratified {
            causes.push(Cause { name: "ratified", to: mode(ratified.to) });
        }
        let wanted = market.memory.levels.iter().copied().max().unwrap_or(Mode::Normal).max(restraint.to());
        let resume = breaker.next_step(&market.params.breaker).map(|step| Resume {
            to: mode(breaker.mode().milder()),
            at: (wanted < breaker.mode()).then(|| time(step)),
        });
        let sides = |action: Action| Side::BOTH.map(|side| !breaker.restriction().permits(action, side));
        let denied = Action::ALL.into_iter().filter(|action| !matches!(action, Action::Settle));
        let denied = denied.filter_map(|action| match sides(action) {
            [true, true] => Some(format!("{action:?}")),
            [true, false] => Some(format!("{action:?} long")),
            [false, true] => Some(format!("{action:?} short")),
            [false, false] => None,
        });
        let notional = |lots: i128| {
            let lots = i64::try_from(lots).map(Size).unwrap_or(Size(i64::MAX));
            scale
                .notional(market.mark.price, lots, Rounding::Down)
                .map_or_else(|| "?".to_owned(), |Notional(micro)| usd(micro.into()))
        };
        let named = names.sources.get(usize::from(market.id.0));
        let sources = (0_u8..).zip(&market.params.sources).map(|(id, listed)| {
            let (name, lineage) = named.and_then(|named| named.get(usize::from(id))).cloned().unwrap_or_default();
            let seen = market.source(SourceId(id));
            let spoke = seen.filter(|seen| seen.received_at != Timestamp::MIN);
            let silent = spoke.is_some_and(|seen| seen.fresh_until < at);
            let excluded = market.exclusion(SourceId(id)).map(|why| format!("{why:?}").to_lowercase());
            SourceView {
                name,
                lineage,
                rung: rung(listed.rung),
                price: spoke.and_then(|seen| priced(seen.price, scale)),
                off_bps: spoke.and_then(|seen| off_bps(seen.price, found.value)),
                age_ms: spoke.map(|seen| at.since(seen.published_at).0 / 1_000),
                excluded: excluded.or_else(|| silent.then(|| "silent".to_owned())),
            }
        });
        MarketView {
            id: market.id.0,
            name: names.market(market.id),
            pool: names.pool(market.params.pool),
            mode: mode(breaker.mode()),
            causes,
            denied: denied.collect(),
            margin_addon: percent(breaker.restriction().margin_addon),
            size_scale: percent(breaker.restriction().size_scale),
            index: priced(found.value, scale),
            mark: priced(market.mark.price, scale),
            quality: quality(found.state),
            rung: rung(found.rung),
            confidence: price(found.confidence, scale),
            age_ms: Duration(found.age.0).0 / 1_000,
            lineages: found.lineages,
            sources: sources.collect(),
            open_interest: notional(market.open_interest),
            open_interest_max: notional(market.params.open_interest_max.0.into()),
            holders: market.triggers.longs.len() + market.triggers.shorts.len() + market.distressed.len(),
            distressed: market.distressed.len(),
            resume,
            restraint: RestraintView::of(market),
        }
    }
}

impl RestraintView {
    fn of(market: &Market) -> Option<RestraintView> {
        let restraint = &market.restraint;
        if restraint.to() == Mode::Normal {
            return None;
        }
        let ends = [restraint.imposed.map(|it| it.until), restraint.ratified.map(|it| it.until)];
        let until = ends.into_iter().flatten().max().unwrap_or(Timestamp::MIN);
        let by = restraint.imposed.map(|imposed| imposed.by);
        let ratified = restraint.ratified.is_some();
        Some(RestraintView { to: mode(restraint.to()), until: time(until), ratified, by })
    }
}

impl GovernanceView {
    fn of(governance: &Governance) -> GovernanceView {
        let keys = governance.params.keys.iter().zip(&governance.nonces).enumerate();
        let proposals = governance.proposals.iter().map(|filed| ProposalView {
            id: filed.id,
            change: change_text(&filed.change),
            direction: filed.direction.name(),
            by: filed.by,
            filed_at: time(filed.filed_at),
            approvals: filed.approvals.iter().map(|(key, _)| *key).collect(),
            due: filed.due.map(time),
            digest: hex(&filed.digest()),
        });
        GovernanceView {
            venue: hex(&governance.venue),
            threshold: governance.params.threshold,
            tighten_max_s: governance.params.tighten_max.0 / 1_000_000,
            statement_max_s: governance.params.statement_max.0 / 1_000_000,
            keys: keys
                .map(|(place, (listed, nonce))| KeyView {
                    place,
                    key: hex(&listed.key),
                    role: listed.role.name(),
                    nonce: nonce + 1,
                })
                .collect(),
            proposals: proposals.collect(),
        }
    }
}

impl PoolView {
    fn of(pool: &Pool, names: &Names) -> PoolView {
        PoolView {
            name: names.pool(pool.id),
            accounts: pool.accounts.len(),
            distressed: pool.distressed.len(),
            insurance: usd(pool.insurance),
            deficit: usd(pool.deficit),
            owed: usd(pool.owed),
        }
    }
}

impl Verdict {
    /// With one more thing that asks for somebody.
    fn with(mut self, need: Need) -> Verdict {
        self.needs.insert(0, need);
        let headline = match self.needs.len() {
            1 => "You are needed".to_owned(),
            count => format!("You are needed, for {count} things"),
        };
        Verdict { level: Level::NeedsYou, headline, needs: self.needs }
    }

    fn of(state: &State, names: &Names) -> Verdict {
        let mut needs = Vec::new();
        let mut need =
            |key: String, what: String, remedy: &str| needs.push(Need { key, what, remedy: remedy.to_owned() });
        for pool in &state.pools {
            if 0 < pool.deficit {
                let what = format!("pool {} owes {} USD that nobody could pay", names.pool(pool.id), usd(pool.deficit));
                let key = format!("deficit:{}", names.pool(pool.id));
                need(key, what, "pay into its insurance fund: every withdrawal leaves a haircut until then");
            }
        }
        let (mut restricted, mut halted) = (Vec::new(), Vec::new());
        for market in state.markets() {
            let (name, mode) = (names.market(market.id), market.breaker.mode());
            if Mode::Normal < mode {
                restricted.push(name.clone());
            }
            // Sources that contradict each other are heard out without anybody.
            if Mode::ReduceOnly < mode && market.quality().state == QualityState::None {
                halted.push(name);
            }
        }
        if !halted.is_empty() {
            let what = format!("no usable price: {}", halted.join(", "));
            need(
                "no-price".to_owned(),
                what,
                "look at the feeds; these markets come back by steps once a quorum speaks again",
            );
        }
        for filed in &state.governance.proposals {
            let loosens = matches!(filed.direction, protocol::Direction::Loosen | protocol::Direction::Mixed);
            let text = act_text(&Act::Propose(filed.change));
            match filed.due {
                Some(due) if loosens => {
                    let what = format!("change {} takes effect at {}: {text}", filed.id, time(due));
                    need(format!("change-due:{}", filed.id), what, "a guardian can cancel it until then");
                }
                Some(_) => {}
                None => {
                    need(
                        format!("change-waits:{}", filed.id),
                        format!("change {} waits for approvals: {text}", filed.id),
                        "governors: approve it or let it go",
                    );
                }
            }
        }
        let (level, headline) = match (needs.len(), restricted.len()) {
            (0, 0) => (Level::Normal, "Nothing needs you".to_owned()),
            (0, 1) => (Level::Tightened, format!("{} is restricted, and comes back by itself", restricted.join(""))),
            (0, count) => (Level::Tightened, format!("{count} markets are restricted, and come back by themselves")),
            (1, _) => (Level::NeedsYou, "You are needed".to_owned()),
            (count, _) => (Level::NeedsYou, format!("You are needed, for {count} things")),
        };
        Verdict { level, headline, needs }
    }
}

impl View {
    /// As of the last batch.
    #[must_use]
    pub fn of(node: &node::Node, names: &Names) -> View {
        let (state, head) = (node.state(), node.head());
        View {
            at: time(state.at),
            at_micros: state.at.0,
            height: head.height,
            head: hex(&head.hash),
            verdict: Verdict::of(state, names),
            markets: state.markets().map(|market| MarketView::of(market, names, state.at)).collect(),
            pools: state.pools.iter().map(|pool| PoolView::of(pool, names)).collect(),
            governance: GovernanceView::of(&state.governance),
            delivery: None,
        }
    }

    /// With how far the venue's side is.
    #[must_use]
    pub fn with_delivery(mut self, delivery: Option<DeliveryView>) -> View {
        if let Some(need) = delivery.as_ref().and_then(DeliveryView::need) {
            self.verdict = self.verdict.with(need);
        }
        self.delivery = delivery;
        self
    }
}

impl LiquidationMap {
    /// Within 15% of the mark. A trigger says when an account is looked at, which is no later than when it is liquidated.
    #[must_use]
    pub fn of(state: &State, id: MarketId, names: &Names) -> Option<LiquidationMap> {
        let (pool, market) = (state.pool_of(id)?, state.market(id)?);
        let (mark, scale) = (market.mark.price, market.params.scale);
        let mut buckets: Vec<[(i128, i128, usize); 1]> = vec![[(0, 0, 0)]; BUCKETS * 2];
        let mut is_partial = false;
        let width = BUCKET.of(i128::from(mark.0), Rounding::Up).unwrap_or(1).max(1);
        let middle = BUCKETS as i128;
        let bucket_of = |trigger: Price| {
            let steps = (i128::from(trigger.0) - i128::from(mark.0)).div_euclid(width);
            usize::try_from(steps + middle).ok().filter(|place| *place < BUCKETS * 2)
        };
        if Price(0) < mark {
            let sides = [&market.triggers.longs, &market.triggers.shorts];
            for (side, triggers) in sides.into_iter().enumerate() {
                // Longs from the mark down, shorts from the mark up: the nearest first.
                let near: Vec<_> = if side == 0 {
                    triggers.iter().rev().take(TRIGGERS_MAX + 1).copied().collect()
                } else {
                    triggers.iter().take(TRIGGERS_MAX + 1).copied().collect()
                };
                is_partial |= TRIGGERS_MAX < near.len();
                for (trigger, account) in near.into_iter().take(TRIGGERS_MAX) {
                    let Some(place) = bucket_of(trigger) else { continue };
                    let Some(account) = pool.accounts.get(&account) else { continue };
                    let size = account.size_in(id);
                    let notional = scale.notional(mark, Size(size.0.saturating_abs()), Rounding::Down);
                    let notional = i128::from(notional.unwrap_or(Notional(i64::MAX)).0);
                    if let Some([(longs, shorts, accounts)]) = buckets.get_mut(place) {
                        *(if side == 0 { longs } else { shorts }) += notional;
                        *accounts += 1;
                    }
                }
            }
        }
        let buckets = (0..).zip(buckets).map(|(place, [(longs, shorts, accounts)]): (i128, _)| {
            let at = i128::from(mark.0) + (place - middle) * width + width / 2;
            let at = Price(i64::try_from(at).unwrap_or(i64::MAX).max(0));
            Bucket { price: price(at, scale), longs: usd(longs), shorts: usd(shorts), accounts }
        });
        let buckets = if Price(0) < mark { buckets.collect() } else { Vec::new() };
        Some(LiquidationMap { market: names.market(id), mark: priced(mark, scale), buckets, is_partial })
    }
}

/// The holders of a market whose triggers are nearest to the mark, those in distress first.
#[must_use]
pub fn holders(state: &State, id: MarketId, most: usize) -> Option<Vec<Holder>> {
    let (pool, market) = (state.pool_of(id)?, state.market(id)?);
    let (mark, scale) = (market.mark.price, market.params.scale);
    let far = |trigger: Price| (i128::from(trigger.0) - i128::from(mark.0)).abs();
    let nearest = market.triggers.longs.iter().rev().take(most);
    let nearest = nearest.chain(market.triggers.shorts.iter().take(most));
    let mut found: BTreeMap<(i128, u64), Option<Price>> =
        nearest.map(|(trigger, account)| ((far(*trigger), account.0), Some(*trigger))).collect();
    found.extend(market.distressed.iter().take(most).map(|account| ((-1, account.0), None)));
    let holder = |((_, account), trigger): ((i128, u64), Option<Price>)| {
        let held: &Account = pool.accounts.get(&protocol::AccountId(account))?;
        let size = held.size_in(id);
        let notional = scale.notional(mark, Size(size.0.saturating_abs()), Rounding::Down)?;
        Some(Holder {
            account: account.to_string(),
            size: decimal(size.0.into(), scale.lot_decimals().into(), 0),
            notional: usd(notional.0.into()),
            trigger: trigger.and_then(|at| priced(at, scale)),
            distance_bps: trigger.and_then(|at| off_bps(at, mark)),
        })
    };
    Some(found.into_iter().filter_map(holder).take(most).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use node::{Delivered, Way};
    use std::time::{Duration as Span, Instant};

    #[test]
    fn what_does_not_reach_the_venue_needs_somebody_once_it_lasts() {
        let lost = || Way::Uncertain("lost".to_owned());
        let ago = |ms: u64| Instant::now().checked_sub(Span::from_millis(ms));
        for (way, waiting, renewed, needs) in [
            (Way::Confirmed, 0, None, false),
            (Way::Sent, 1_000, None, false),
            (lost(), DELIVERY_LATE, ago(0), false),
            (lost(), DELIVERY_LATE + 1, ago(0), true),
            (lost(), 1, ago(LEASE_LATE_MS + 100), true),
            (lost(), 1, None, true),
            (Way::Stopped(port::SinkFault::Fenced { epoch: 3 }), 0, ago(0), true),
        ] {
            let view = DeliveryView::of(&Delivered { way, waiting, renewed, ..Delivered::default() });
            assert_eq!(view.need().is_some(), needs, "{view:?}");
        }
        let fenced = Delivered { way: Way::Stopped(port::SinkFault::Fenced { epoch: 3 }), ..Delivered::default() };
        let before = Verdict { level: Level::Tightened, headline: String::new(), needs: Vec::new() };
        let after = before.with(DeliveryView::of(&fenced).need().unwrap());
        assert_eq!((after.level, after.headline.as_str()), (Level::NeedsYou, "You are needed"));
        assert!(after.needs[0].what.contains("epoch 3"), "{after:?}");
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000Z"),
            (1_760_129_161_037_000, "2025-10-10T20:46:01.037Z"),
            (253_402_300_799_999_999, "9999-12-31T23:59:59.999Z"),
            (-1_000, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(time(Timestamp(micros)), text);
        }
    }

    #[test]
    fn numbers_are_decimal_and_exact() {
        assert_eq!(usd(1_234_567_890), "1234.56");
        assert_eq!(usd(-10_000), "-0.01");
        assert_eq!(percent(Ratio::bps(250)), "2.5");
        assert_eq!(percent(Ratio::ONE), "100");
        assert_eq!(decimal(-5, 3, 0), "-0.005");
        assert_eq!(decimal(1_200, 3, 2), "1.20");
        assert_eq!(decimal(7, 0, 0), "7");
        let scale = Scale::new(4, 3).unwrap();
        assert_eq!(price(Price(10_000_000_000), scale), "100.00");
        assert_eq!(price(Price(11_354_112_345_678), scale), "113541.12");
        assert_eq!(price(Price(3), scale), "0.00000003");
        assert_eq!(priced(Price(0), scale), None);
    }
}
