//! Every sequence of a small alphabet of statements and waits, up to a depth, against what governance promises. The promises are kept here
//! from what was said and what can be seen of the market; the machine's own books are not asked.
//!
//! Captured keys are part of it: any key says anything at any time. `SEAWALL_MODEL_DEPTH` goes deeper.

mod common;

use common::market;
use kernel::Kernel;
use protocol::governance::{Act, Change, GovernanceParams, Governed, KeyParams, MarketSetting, Role, Statement};
use protocol::params::Thresholds;
use protocol::{Batch, Effect, Input, MarketId, Mode, VenueParams};
use std::collections::{BTreeMap, BTreeSet};
use units::{Duration, Ratio, Size, Timestamp};

const GUARDIANS: [u8; 2] = [0, 1];
const GOVERNORS: [u8; 3] = [2, 3, 4];
const TELLER: u8 = 5;
const SECOND: i64 = 1_000_000;
const MARKET: MarketId = MarketId(0);

const TIGHTEN_MAX: i64 = 100;
const RATIFIED_MAX: i64 = 300;
const DELAY: i64 = 50;
const APPROVAL_AGE_MAX: i64 = 120;
const THRESHOLD: usize = 2;
const INTEREST: i64 = 1_000_000;

fn params() -> VenueParams {
    let mut listed = market(2);
    listed.mark.step_max = Ratio::bps(50);
    listed.funding.rate_max = Ratio::bps(50);
    listed.open_interest_max = Size(INTEREST);
    listed.breaker.calm = Duration::seconds(1);
    listed.breaker.calm_max = Duration::seconds(1);
    let half = Thresholds { cautious: Ratio::percent(50), reduce_only: Ratio::percent(90) };
    (listed.detectors.stuck, listed.activity.intensity, listed.activity.divergence) = (half, half, half);
    listed.activity.growth = Thresholds { cautious: Ratio::percent(5_000), reduce_only: Ratio::percent(9_000) };
    // One price holds for the whole of it, so that nothing but statements moves the market.
    let long = Duration::seconds(100_000);
    listed.oracle.age_max = long;
    listed.oracle.silence_floor = long;
    for source in &mut listed.sources {
        source.heartbeat = long;
    }
    let roles =
        GUARDIANS.map(|_| Role::Guardian).into_iter().chain(GOVERNORS.map(|_| Role::Governor)).chain([Role::Teller]);
    let governance = GovernanceParams {
        keys: (0..).zip(roles).map(|(n, role)| KeyParams { key: [n; 32], role }).collect(),
        threshold: THRESHOLD as u8,
        tighten_max: Duration::seconds(TIGHTEN_MAX),
        ratified_max: Duration::seconds(RATIFIED_MAX),
        delay: Duration::seconds(DELAY),
        delay_step: Duration::seconds(20),
        delay_max: Duration::seconds(100),
        doublings_max: 2,
        loosen_every: Duration::seconds(200),
        approval_age_max: Duration::seconds(APPROVAL_AGE_MAX),
        statement_max: Duration::seconds(50),
        quorum: Ratio::percent(20),
        liquidatable_max: Ratio::percent(10),
    };
    VenueParams { governance, ..common::venue(vec![listed]) }
}

/// A letter of the alphabet.
#[derive(Clone, Copy, Debug)]
enum Letter {
    Wait,
    Tighten(u8, i64),
    Interest(u8, i64),
    Ratify(u8, i64),
    Lift(u8),
    ApproveOldest(u8),
    ApproveNewest(u8),
    CancelOldest(u8),
    Count(u64, u64),
}

const ALPHABET: &[Letter] = &[
    Letter::Wait,
    Letter::Tighten(0, 60),
    Letter::Tighten(0, 100),
    Letter::Tighten(1, 100),
    Letter::Interest(2, 2 * INTEREST),
    Letter::Interest(3, INTEREST / 2),
    Letter::Ratify(2, 200),
    Letter::Lift(3),
    Letter::ApproveOldest(2),
    Letter::ApproveOldest(3),
    Letter::ApproveNewest(4),
    Letter::CancelOldest(0),
    Letter::Count(60, 40),
    Letter::Count(40, 60),
];

const WAITS: [i64; 2] = [1, 50];

/// What was filed, as everybody could hear it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Filed {
    change: String,
    /// Who agreed, and when: governors only, after it was filed.
    agreed: BTreeMap<u8, i64>,
    voted: bool,
    digest: [u8; 32],
}

/// What an observer remembers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
struct Observer {
    filed: BTreeMap<u64, Filed>,
    stopped: BTreeSet<u64>,
    /// Since when the market is restricted without anybody's ratification.
    alone_since: Option<i64>,
    /// When such a restriction ended, and when it had begun.
    alone_before: Option<(i64, i64)>,
    /// Until when it is ratified.
    ratified_until: Option<i64>,
    loosened_at: Option<i64>,
}

struct Search {
    depth_of: BTreeMap<[u8; 32], u32>,
    states: u64,
    steps: u64,
    loosened: u64,
    ratified: u64,
    lapsed: u64,
    cancelled: u64,
}

impl Search {
    fn explore(&mut self, kernel: &Kernel, observer: &Observer, path: &mut Vec<(Letter, i64)>, left: u32) {
        let key = key(kernel, observer);
        // A state that was left with as much to go is known.
        match self.depth_of.get(&key) {
            Some(seen) if left <= *seen => return,
            _ => self.depth_of.insert(key, left),
        };
        self.states += 1;
        if left == 0 {
            return;
        }
        for letter in ALPHABET {
            for wait in WAITS {
                let (mut next, mut seen) = (kernel.clone(), observer.clone());
                path.push((*letter, wait));
                if self.step(&mut next, &mut seen, *letter, wait, path) {
                    self.explore(&next, &seen, path, left - 1);
                }
                path.pop();
            }
        }
    }

    /// Whether the letter has a meaning here.
    fn step(
        &mut self,
        kernel: &mut Kernel,
        observer: &mut Observer,
        letter: Letter,
        wait: i64,
        path: &[(Letter, i64)],
    ) -> bool {
        let at = kernel.state().at.0 + wait * SECOND;
        // What is due before comes first, as a sequencer has it.
        while let Some(due) = kernel.next_due().filter(|due| kernel.state().at < *due && due.0 < at) {
            self.batch(kernel, observer, due.0, None, path);
        }
        let (oldest, newest) = (observer.filed.first_key_value(), observer.filed.last_key_value());
        let approve = |filed: Option<(&u64, &Filed)>| {
            filed.map(|(proposal, filed)| Act::Approve { proposal: *proposal, digest: filed.digest })
        };
        let market = |value| Change::Market { market: MARKET, setting: MarketSetting::OpenInterestMax, value };
        let (key, act) = match letter {
            Letter::Wait => (0, None),
            Letter::Tighten(key, seconds) => {
                (key, Some(Act::Tighten { market: MARKET, to: Mode::ReduceOnly, lasts: Duration::seconds(seconds) }))
            }
            Letter::Interest(key, lots) => (key, Some(Act::Propose(market(lots)))),
            Letter::Ratify(key, seconds) => {
                let until = Timestamp(at + seconds * SECOND);
                (key, Some(Act::Propose(Change::Ratify { market: MARKET, until })))
            }
            Letter::Lift(key) => (key, Some(Act::Propose(Change::Lift { market: MARKET }))),
            Letter::ApproveOldest(key) => (key, approve(oldest)),
            Letter::ApproveNewest(key) => (key, approve(newest)),
            Letter::CancelOldest(key) => (key, oldest.map(|(proposal, _)| Act::Cancel { proposal: *proposal })),
            Letter::Count(yes, no) => {
                let count = |(proposal, _): (&u64, &Filed)| Act::Count {
                    proposal: *proposal,
                    weighed_at: Timestamp(0),
                    weight: 100,
                    yes,
                    no,
                };
                (TELLER, oldest.map(count))
            }
        };
        if act.is_none() && !matches!(letter, Letter::Wait) {
            return false;
        }
        let said = act.map(|act| (key, act));
        self.batch(kernel, observer, at, said, path);
        true
    }

    fn batch(
        &mut self,
        kernel: &mut Kernel,
        observer: &mut Observer,
        at: i64,
        said: Option<(u8, Act)>,
        path: &[(Letter, i64)],
    ) {
        self.steps += 1;
        let held = |kernel: &Kernel| kernel.state().market(MARKET).expect("listed").restraint.to() != Mode::Normal;
        let interest = |kernel: &Kernel| kernel.state().market(MARKET).expect("listed").params.open_interest_max.0;
        let (was_held, before) = (held(kernel), interest(kernel));
        let statement = said.map(|(key, act)| {
            let nonce = kernel.state().governance.nonces[usize::from(key)] + 1;
            let expires = Timestamp(at + SECOND);
            Input::Statement(Box::new(Statement { key, nonce, expires, act, because: vec![], signature: [0; 64] }))
        });
        let height = kernel.state().height + 1;
        let inputs: Vec<Input> = statement.into_iter().collect();
        let mut effects = Vec::new();
        kernel.apply(&Batch { height, at: Timestamp(at), seed: [0; 32], inputs }, &mut effects);
        kernel.state().check().unwrap_or_else(|broken| panic!("{broken:?} after {path:?}"));
        let refused = effects.iter().any(|effect| matches!(effect, Effect::Rejected { .. }));
        let told = |effect: &Effect| if let Effect::Governed { what } = effect { Some(*what) } else { None };
        let told: Vec<Governed> = effects.iter().filter_map(told).collect();

        // What was said, by whom, and heard.
        if let Some((key, act)) = said.filter(|_| !refused) {
            match act {
                Act::Tighten { .. } => {
                    assert!(GUARDIANS.contains(&key), "{path:?}");
                    if observer.alone_since.is_none() {
                        if let Some((begun, ended)) = observer.alone_before {
                            assert!(ended + (ended - begun) <= at, "a restriction without its rest: {path:?}");
                        }
                        observer.alone_since = Some(at);
                    }
                }
                Act::Propose(change) => {
                    let filed = told.iter().find_map(|what| match what {
                        Governed::Proposed { proposal, digest, .. } => Some((*proposal, *digest)),
                        _ => None,
                    });
                    let (proposal, digest) = filed.expect("filed");
                    assert!(GOVERNORS.contains(&key), "{path:?}");
                    let agreed = BTreeMap::from([(key, at)]);
                    observer
                        .filed
                        .insert(proposal, Filed { change: format!("{change:?}"), agreed, voted: false, digest });
                }
                Act::Approve { proposal, .. } => {
                    assert!(GOVERNORS.contains(&key), "{path:?}");
                    let before = observer.filed.get_mut(&proposal).expect("filed").agreed.insert(key, at);
                    assert_eq!(before, None, "one key counts once: {path:?}");
                }
                Act::Cancel { proposal } => {
                    assert!(GUARDIANS.contains(&key), "{path:?}");
                    observer.stopped.insert(proposal);
                    self.cancelled += 1;
                }
                Act::Count { proposal, yes, no, .. } => {
                    assert_eq!(key, TELLER, "{path:?}");
                    let filed = observer.filed.get_mut(&proposal).expect("filed");
                    assert!(filed.change.starts_with("Ratify"), "{path:?}");
                    filed.voted = no < yes;
                    if yes <= no {
                        observer.stopped.insert(proposal);
                    }
                }
            }
        }
        for what in &told {
            match what {
                Governed::Executed { proposal, change } => {
                    assert!(!observer.stopped.contains(proposal), "it was stopped: {path:?}");
                    let filed = observer.filed.remove(proposal).expect("filed");
                    assert_eq!(filed.change, format!("{change:?}"), "another change than was filed: {path:?}");
                    let fresh = |(_, agreed): &(&u8, &i64)| at - **agreed <= APPROVAL_AGE_MAX * SECOND;
                    let agree = filed.agreed.iter().filter(fresh).count();
                    let ratifies = matches!(change, Change::Ratify { .. });
                    assert!(THRESHOLD <= agree || filed.voted && ratifies, "too few agree: {path:?}");
                    let loosens = match change {
                        Change::Ratify { .. } => false,
                        Change::Lift { .. } => true,
                        Change::Market { value, .. } => before < *value,
                        _ => panic!("not in the alphabet"),
                    };
                    if loosens {
                        let mut times: Vec<i64> = filed.agreed.values().copied().collect();
                        times.sort_unstable();
                        assert!(times[THRESHOLD - 1] + DELAY * SECOND <= at, "without its delay: {path:?}");
                        self.loosened += 1;
                    }
                    if let Change::Ratify { until, .. } = change {
                        let since = observer.alone_since.take().expect("somebody restricted it");
                        assert!(until.0 <= since + RATIFIED_MAX * SECOND, "{path:?}");
                        observer.ratified_until = Some(observer.ratified_until.unwrap_or(0).max(until.0));
                        self.ratified += 1;
                    }
                    if let Change::Lift { .. } = change {
                        observer.ratified_until = None;
                        if let Some(begun) = observer.alone_since.take() {
                            observer.alone_before = Some((begun, at));
                        }
                    }
                }
                Governed::Cancelled { proposal, .. } | Governed::Voided { proposal, .. } => {
                    observer.filed.remove(proposal);
                }
                Governed::Counted { proposal, carried: false } => {
                    observer.filed.remove(proposal);
                }
                Governed::Lapsed { .. } => self.lapsed += 1,
                _ => {}
            }
        }

        // What is to be seen of the market.
        let after = interest(kernel);
        let executed = told.iter().any(|what| matches!(what, Governed::Executed { change: Change::Market { .. }, .. }));
        assert!(before == after || executed, "nobody changed it: {path:?}");
        if before < after {
            let last = observer.loosened_at.replace(at);
            assert!(last.is_none_or(|last| last + 200 * SECOND <= at), "loosened too often: {path:?}");
            assert!(after <= before * 4, "{path:?}");
        }
        let is_held = held(kernel);
        let mode = kernel.state().market(MARKET).expect("listed").breaker.mode();
        assert!(mode <= Mode::ReduceOnly, "exits are closed: {path:?}");
        assert!(!is_held || mode == Mode::ReduceOnly, "a restriction that restricts nothing: {path:?}");
        if let Some(until) = observer.ratified_until.filter(|until| *until <= at) {
            assert!(until == at || !is_held || observer.alone_since.is_some(), "longer than was ratified: {path:?}");
            observer.ratified_until = None;
        }
        let lapsed = told.iter().any(|what| matches!(what, Governed::Lapsed { .. }));
        if let Some(since) = observer.alone_since {
            let over = kernel.state().market(MARKET).expect("listed").restraint.imposed.is_none();
            if over {
                assert!(lapsed, "it ended without a word: {path:?}");
                observer.alone_before = Some((since, at));
                observer.alone_since = None;
            } else {
                assert!(at < since + TIGHTEN_MAX * SECOND, "an emergency longer than one may make it: {path:?}");
            }
        }
        let reason = observer.alone_since.is_some() || observer.ratified_until.is_some();
        assert_eq!(is_held, reason, "held without a reason, or free in spite of one: {path:?}");
        let ended = was_held && !is_held && matches!(mode, Mode::Normal);
        assert!(!ended, "a lapse is no jump: {path:?}");
    }
}

/// What later steps depend on. Nonces do not: every statement here has the right one.
fn key(kernel: &Kernel, observer: &Observer) -> [u8; 32] {
    let state = kernel.state();
    let market = state.market(MARKET).expect("listed");
    let mut governance = state.governance.clone();
    governance.nonces.fill(0);
    let machine =
        codec::hash(&((state.at, governance), market.restraint, market.breaker, market.params.open_interest_max));
    codec::hash(&(machine, format!("{observer:?}").into_bytes()))
}

#[test]
fn no_path_widens_power_or_extends_an_emergency_without_ratification() {
    let depth = std::env::var("SEAWALL_MODEL_DEPTH").ok().and_then(|depth| depth.parse().ok()).unwrap_or(5);
    let mut story = common::Story { prompt: true, ..common::Story::new(&params(), &[]) };
    story.hold(0, &[10_000, 10_000], 60);
    assert_eq!(story.mode(0), Mode::Normal);
    let mut search =
        Search { depth_of: BTreeMap::new(), states: 0, steps: 0, loosened: 0, ratified: 0, lapsed: 0, cancelled: 0 };
    search.explore(&story.kernel, &Observer::default(), &mut Vec::new(), depth);
    let Search { states, steps, loosened, ratified, lapsed, cancelled, .. } = search;
    println!(
        "depth {depth}: {states} states, {steps} batches, {loosened} loosened, {ratified} ratified, {lapsed} lapsed, {cancelled} stopped"
    );
    // It went where there was something to break.
    assert!([loosened, ratified, lapsed, cancelled].iter().all(|times| 0 < *times));
}
