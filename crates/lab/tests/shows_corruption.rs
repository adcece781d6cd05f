//! Eight sources, eight ways in which they can be wrong, and every set of them: what the index, the mode and the
//! accounts make of it under the shipped policy.
//!
//! The honest price falls by 6% in a minute and then stands, so that a source that keeps repeating its last price
//! becomes wrong too. All accounts are sound at the honest price all through: whoever is liquidated is so unjustly.

use kernel::{Genesis, Holding, Kernel};
use policy::{Listing, MarketListing, Policy, SourceListing};
use protocol::input::{InsuranceDeposit, Observation};
use protocol::{
    AccountId, Batch, Effect, Input, MarketId, Mode, PoolId, PriceQuality, QualityState, SourceId, VenueParams,
};
use std::collections::{BTreeMap, BTreeSet};
use units::{Duration, Notional, Price, Scale, Size, Timestamp};

const SOURCES: usize = 8;
/// Counts of a price in one USD.
const USD: i64 = 100_000_000;
const SECOND: i64 = 1_000_000;
/// Sources speak one after the other, each once a second.
const STAGGER: i64 = SECOND / SOURCES as i64;
/// When corruption and the fall begin: late enough for the market to have come up in stages.
const START: i64 = 1_760_000_000 * SECOND;
const WARM_UP: i64 = 300;
/// Seconds from the start on. A frozen majority is out of band after twenty; a dispute lasts sixty, and sixty more where
/// it leaves a lone source that would carry the index off; what goes as far as a split waits for ten minutes.
const SECONDS: i64 = 730;
/// A walk is over after these.
const WALK: i64 = 130;
/// The source's lower bound, at which it gets stuck.
const BOUND: i64 = 20 * USD;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Corruption {
    Zero,
    Half,
    Double,
    Thousandfold,
    Frozen,
    Future,
    Stuck,
    Walking,
}

impl Corruption {
    const ALL: [Corruption; 8] = [
        Corruption::Zero,
        Corruption::Half,
        Corruption::Double,
        Corruption::Thousandfold,
        Corruption::Frozen,
        Corruption::Future,
        Corruption::Stuck,
        Corruption::Walking,
    ];

    const fn name(self) -> &'static str {
        match self {
            Corruption::Zero => "0",
            Corruption::Half => "×0.5",
            Corruption::Double => "×2",
            Corruption::Thousandfold => "×1000",
            Corruption::Frozen => "frozen",
            Corruption::Future => "future-dated",
            Corruption::Stuck => "stuck at bound",
            Corruption::Walking => "walking",
        }
    }

    /// Nonsense can be told by itself; the others are prices that a market could have.
    const fn is_nonsense(self) -> bool {
        match self {
            Corruption::Zero | Corruption::Future | Corruption::Stuck => true,
            Corruption::Half
            | Corruption::Double
            | Corruption::Thousandfold
            | Corruption::Frozen
            | Corruption::Walking => false,
        }
    }

    /// As far away at once as a split: whoever is left is believed later.
    const fn leaps(self) -> bool {
        matches!(self, Corruption::Half | Corruption::Double | Corruption::Thousandfold)
    }

    /// What a corrupt source says in place of `honest` this long after the start, and how far ahead it dates it.
    fn says(self, honest: i64, last_honest: i64, at: i64) -> (i64, i64) {
        match self {
            Corruption::Zero => (0, 0),
            Corruption::Half => (honest / 2, 0),
            Corruption::Double => (honest * 2, 0),
            Corruption::Thousandfold => (honest * 1_000, 0),
            Corruption::Frozen => (last_honest, 0),
            // A price that would do harm if it were used.
            Corruption::Future => (honest / 2, 3_600 * SECOND),
            Corruption::Stuck => (BOUND, 0),
            // 0.4% a second, in steps that no filter minds: in two minutes half of the price.
            Corruption::Walking => (honest - honest / 250 * (at / SECOND).min(WALK), 0),
        }
    }
}

/// The honest price of a source, `at` microseconds after the start: 100 USD before it, then falling by 0.1 USD a second
/// to 94; each source keeps its own small distance, and no two observations of one are alike.
fn honest(source: usize, at: i64) -> i64 {
    let fallen = at.clamp(0, 60 * SECOND) * (USD / 10) / SECOND;
    let own = (source as i64 * 5 % 8 - 4) * (USD / 150);
    let noise = (at.div_euclid(SECOND) * 7 + source as i64 * 3).rem_euclid(5) * (USD / 500);
    100 * USD - fallen + own + noise
}

fn venue() -> VenueParams {
    let policy = Policy::parse(include_str!("../../../policies/default.toml"), "policies/default.toml").expect("reads");
    let source = |i: usize| SourceListing {
        name: format!("venue-{i}"),
        lineage: format!("operator-{i}"),
        heartbeat: Some(Duration::seconds(1)),
        kind: protocol::SourceKind::Trades,
        quote: None,
    };
    let market = MarketListing {
        name: "MID".to_owned(),
        scale: Scale::new(4, 3).expect("a scale"),
        reference_price: Price(100 * USD),
        sources: (0..SOURCES).map(source).collect(),
    };
    let mut params = policy.list(&Listing { markets: vec![market] }).expect("lists").params;
    for source in &mut params.markets[0].sources {
        source.price_min = Price(BOUND);
    }
    params
}

/// Longs and shorts of 2x, 5x and 10x, entered at 100 USD, with notionals of 10,000 and 100,000 USD. At 94 USD the
/// longs of 10x keep 4,000 of 94,000 USD, which is 4.3%, above the 2.5% that they need.
fn accounts() -> Vec<Genesis> {
    let mut accounts = Vec::new();
    for leverage in [2, 5, 10] {
        for notional in [10_000, 100_000] {
            for side in [1, -1] {
                let holding =
                    Holding { market: MarketId(0), size: Size(side * notional * 10), entry: Price(100 * USD) };
                accounts.push(Genesis {
                    collateral: Vec::new(),
                    pool: PoolId(0),
                    account: AccountId(accounts.len() as u64 + 1),
                    cash: Notional(notional / leverage * 1_000_000),
                    holdings: vec![holding],
                });
            }
        }
    }
    accounts
}

/// The market, what it last decided, and what each source last said.
struct Stage {
    kernel: Kernel,
    effects: Vec<Effect>,
    batch: Batch,
    last: [i64; SOURCES],
}

impl Stage {
    /// A market in `Normal`, a moment before the start.
    fn warm() -> Stage {
        let kernel = Kernel::new(&venue(), &accounts()).expect("accounts fit");
        let batch = Batch { height: 0, at: Timestamp(0), seed: [0; 32], inputs: Vec::new() };
        let mut stage = Stage { kernel, effects: Vec::new(), batch, last: [0; SOURCES] };
        let amount = Notional(1_000_000 * 1_000_000);
        stage.batch.inputs.push(Input::InsuranceDeposit(InsuranceDeposit { pool: PoolId(0), amount }));
        stage.apply(START - WARM_UP * SECOND);
        for second in -WARM_UP..0 {
            for source in 0..SOURCES {
                let at = second * SECOND + source as i64 * STAGGER;
                stage.observe(source, honest(source, at), 0, at);
            }
        }
        assert_eq!((stage.mode(), stage.quality().state), (Mode::Normal, QualityState::Agreed));
        stage
    }

    fn observe(&mut self, source: usize, price: i64, ahead: i64, at: i64) {
        self.last[source] = price;
        let received_at = Timestamp(START + at);
        self.batch.inputs.push(Input::Observation(Observation {
            market: MarketId(0),
            source: SourceId(source as u8),
            observer: 0,
            price: Price(price),
            confidence: Price(0),
            published_at: Timestamp(received_at.0 + ahead),
            received_at,
        }));
        self.apply(received_at.0);
    }

    fn apply(&mut self, at: i64) {
        self.batch.height += 1;
        self.batch.at = Timestamp(at);
        self.effects.clear();
        self.kernel.apply(&self.batch, &mut self.effects);
        self.batch.inputs.clear();
    }

    fn mode(&self) -> Mode {
        self.kernel.state().market(MarketId(0)).expect("listed").breaker.mode()
    }

    fn quality(&self) -> PriceQuality {
        *self.kernel.state().market(MarketId(0)).expect("listed").quality()
    }

    /// Accounts that this batch liquidates or closes out.
    fn taken(&self, into: &mut BTreeSet<AccountId>) {
        for effect in &self.effects {
            match effect {
                Effect::Liquidate { order, .. } => {
                    into.insert(order.account);
                }
                Effect::Deleveraged { account, .. } => {
                    into.insert(*account);
                }
                Effect::Rejected { .. }
                | Effect::Source { .. }
                | Effect::Quality { .. }
                | Effect::Mode { .. }
                | Effect::Admit { .. }
                | Effect::Withdraw { .. }
                | Effect::InsurancePaid { .. }
                | Effect::Socialized { .. }
                | Effect::Deficit { .. }
                | Effect::Funded { .. }
                | Effect::CollateralSold { .. }
                | Effect::HandOut { .. }
                | Effect::Governed { .. }
                | Effect::PayOut { .. } => {}
            }
        }
    }
}

/// What one set of corrupt sources did.
#[derive(Clone, Debug, Default)]
struct Run {
    /// The index past the hull of honest sources, beyond their spread, in parts of a million of the price; its largest.
    past_spread: i64,
    /// Observations from the moment at which half or more contradicted the honest to the dispute.
    disputed_after: Option<i64>,
    /// How far beyond the honest hull the index was before the dispute, in parts of a million.
    undisputed_error: i64,
    /// Seconds from the dispute to its end, where it ended.
    dispute_lasted: Option<i64>,
    /// Taken before the dispute could be over, and after.
    taken: [BTreeSet<AccountId>; 2],
    /// Index over the honest middle, in parts of a million, after 1, 10 and 60 seconds and at the end.
    error: [i64; 4],
    /// Accounts taken by then.
    taken_by: [usize; 4],
    state: Option<QualityState>,
}

fn run(warm: &Stage, corruption: Corruption, set: u32) -> Run {
    let mut stage =
        Stage { kernel: warm.kernel.clone(), effects: Vec::new(), batch: warm.batch.clone(), last: warm.last };
    let label = || format!("{} in {set:08b}", corruption.name());
    let is_corrupt = |source: usize| set >> source & 1 == 1;
    let corrupt = set.count_ones() as usize;
    let oracle = stage.kernel.state().market(MarketId(0)).expect("listed").params.oracle;
    let confirm =
        if corruption.leaps() && SOURCES < corrupt * 2 { oracle.leap_confirm } else { oracle.dispute_confirm }.0;
    let mut found = Run::default();
    let mut moment: Option<i64> = None;
    let mut disputed_at: Option<i64> = None;
    for step in 0..SECONDS * SOURCES as i64 {
        let (source, at) = ((step as usize) % SOURCES, step * STAGGER);
        let true_price = honest(source, at);
        if is_corrupt(source) {
            let (price, ahead) = corruption.says(true_price, warm.last[source], at);
            stage.observe(source, price, ahead, at);
        } else {
            stage.observe(source, true_price, 0, at);
        }
        let (quality, mode) = (stage.quality(), stage.mode());
        let index = quality.value.0;
        // Before its first corrupt word a source is honest.
        let lies = |source: usize| is_corrupt(source) && source as i64 <= step;
        let truth: Vec<i64> = (0..SOURCES).filter(|source| !lies(*source)).map(|source| stage.last[source]).collect();
        let (low, high) = (truth.iter().copied().min(), truth.iter().copied().max());
        if let (Some(low), Some(high)) = (low, high) {
            let beyond = (low - index).max(index - high).max(0) - (high - low);
            if quality.state != QualityState::Disputed && disputed_at.is_none() && corruption == Corruption::Walking {
                let off = (low - index).max(index - high).max(0);
                found.undisputed_error = found.undisputed_error.max(off * 1_000_000 / high);
            }
            let lying = (0..SOURCES).filter(|source| lies(*source)).count();
            // Out of band: farther from every honest price than sources may be apart.
            let far = |source: usize| {
                let price = stage.last[source];
                // Who walks is for a while as far as sources may just be apart, and in and out of a dispute.
                let band = if corruption == Corruption::Walking { 4 } else { 2 };
                corruption.is_nonsense() || price * 100 < low * (100 - band) || high * (100 + band) < price * 100
            };
            let out_of_band = (0..SOURCES).filter(|source| lies(*source) && far(*source)).count();
            if lying * 2 < SOURCES {
                assert!(beyond * 1_000 <= high, "{}: {step}: {index} past {low}..{high}", label());
                found.past_spread = found.past_spread.max(beyond * 1_000_000 / high);
            }
            if SOURCES <= out_of_band * 2 && moment.is_none() {
                moment = Some(step);
            }
        }
        if found.disputed_after.is_none() {
            // A dispute may begin before the last of them is out of band; its minute runs from there.
            disputed_at = (quality.state == QualityState::Disputed).then_some(disputed_at.unwrap_or(at));
            found.disputed_after = disputed_at.and(moment).map(|moment| step - moment);
        }
        if let (Some(since), Some(_)) = (disputed_at, found.disputed_after) {
            // Whoever talks nonsense is set aside once it has done so for as long, which began with the first of them.
            let until = if corruption.is_nonsense() { confirm } else { since + confirm };
            if at < until && corrupt < SOURCES {
                assert_eq!(quality.state, QualityState::Disputed, "{}: after {} s", label(), (at - since) / SECOND);
            } else if found.dispute_lasted.is_none() && quality.state != QualityState::Disputed {
                found.dispute_lasted = Some((at - since) / SECOND);
            }
        }
        if quality.state == QualityState::Disputed {
            assert!(Mode::ReduceOnly <= mode, "{}: {mode:?}", label());
        }
        let late = disputed_at.is_some_and(|since| since + confirm <= at);
        let all = corrupt == SOURCES;
        stage.taken(&mut found.taken[usize::from(late || all)]);
        let marks = [SECOND, 10 * SECOND, 60 * SECOND, (SECONDS - 1) * SECOND];
        if let Some(place) = marks.iter().position(|mark| *mark == at) {
            let middle = (0..SOURCES).map(|source| honest(source, at)).sum::<i64>() / SOURCES as i64;
            let error = i128::from(index - middle) * 1_000_000 / i128::from(middle);
            found.error[place] = i64::try_from(error).expect("a thousandfold at most");
            found.taken_by[place] = found.taken[0].len() + found.taken[1].len();
        }
    }
    assert!(stage.kernel.state().check().is_ok(), "{}", label());
    found.state = Some(stage.quality().state);
    found
}

#[test]
fn every_set_of_corrupt_sources() {
    let warm = Stage::warm();
    // By kind and by number of corrupt sources, the worst of its sets.
    let mut rows: BTreeMap<(Corruption, usize), Vec<Run>> = BTreeMap::new();
    for corruption in Corruption::ALL {
        for set in 0..1_u32 << SOURCES {
            let found = run(&warm, corruption, set);
            let corrupt = set.count_ones() as usize;
            let label = format!("{} in {set:08b}: {found:?}", corruption.name());
            assert!(found.taken[0].is_empty(), "{label}");
            if corrupt * 2 < SOURCES {
                assert!(found.taken[1].is_empty(), "{label}");
                assert_eq!(found.state, Some(QualityState::Agreed), "{label}");
            } else if corrupt < SOURCES {
                // Two thirds or fewer who walk are disputed as soon as they contradict anybody; more of them once they have
                // gone 1% beyond that. The index is never farther off than that before.
                assert!(found.disputed_after.is_some_and(|observations| observations <= 1), "{label}");
                assert!(found.undisputed_error <= 31_000, "{label}");
                let honest_again = corruption.is_nonsense();
                if honest_again || SOURCES < corrupt * 2 {
                    let (least, most) = match (corruption.leaps(), honest_again && corrupt + 1 == SOURCES) {
                        (true, _) => (599, 602),
                        (false, true) => (59, 122),
                        (false, false) => (59, 62),
                    };
                    assert!(found.dispute_lasted.is_some_and(|seconds| least <= seconds && seconds <= most), "{label}");
                } else {
                    // Half against half: nobody is ever believed.
                    assert_eq!((found.dispute_lasted, found.state), (None, Some(QualityState::Disputed)), "{label}");
                    assert!(found.taken[1].is_empty(), "{label}");
                }
                if honest_again {
                    assert!(found.error[3].abs() <= 1_000, "{label}");
                    assert!(found.taken[1].is_empty(), "{label}");
                }
            }
            rows.entry((corruption, corrupt)).or_default().push(found);
        }
    }
    print(&rows);
}

fn print(rows: &BTreeMap<(Corruption, usize), Vec<Run>>) {
    let of = 1.0e-4;
    println!(
        "{SOURCES} sources, {} accounts sound at the honest price; the worst of each kind and number",
        accounts().len()
    );
    println!(
        "{:<15}{:>8}{:>6}{:>14}{:>12}{:>10}{:>14}{:>14}{:>14}",
        "corruption",
        "corrupt",
        "sets",
        "past spread %",
        "disputed +",
        "lasted s",
        "taken in it",
        "taken after",
        "error at end %"
    );
    for ((corruption, corrupt), runs) in rows.iter().filter(|((_, corrupt), _)| *corrupt < SOURCES) {
        let past = runs.iter().map(|run| run.past_spread).max().unwrap_or(0);
        let after = runs.iter().filter_map(|run| run.disputed_after).max();
        let lasted = runs.iter().filter_map(|run| run.dispute_lasted).max();
        let taken = |late: usize| runs.iter().map(|run| run.taken[late].len()).max().unwrap_or(0);
        let error = runs.iter().map(|run| run.error[3]).max_by_key(|error| error.abs()).unwrap_or(0);
        let shown = |number: Option<i64>| number.map_or("-".to_owned(), |number| number.to_string());
        println!(
            "{:<15}{:>8}{:>6}{:>14.4}{:>12}{:>10}{:>14}{:>14}{:>14.2}",
            corruption.name(),
            corrupt,
            runs.len(),
            past as f64 * of,
            shown(after),
            shown(lasted),
            taken(0),
            taken(1),
            error as f64 * of,
        );
    }
    println!("all {SOURCES} corrupt alike, nothing is claimed: index error % (accounts taken)");
    println!("{:<15}{:>18}{:>18}{:>18}{:>18}", "corruption", "after 1 s", "after 10 s", "after 60 s", "at the end");
    for ((corruption, _), runs) in rows.iter().filter(|((_, corrupt), _)| *corrupt == SOURCES) {
        let cells = runs[0].error.iter().zip(runs[0].taken_by);
        let cells: String =
            cells.map(|(error, taken)| format!("{:>18}", format!("{:.2} ({taken})", *error as f64 * of))).collect();
        println!("{:<15}{cells}", corruption.name());
    }
}
