//! Who may change what: each rule at its edge and one past it, and the attacks that it is there for.

mod common;

use common::{Story, account, deposit, market, order, second};
use protocol::direction::Direction;
use protocol::governance::{
    Act, Change, GovernanceParams, Governed, KeyParams, MarketSetting, PoolSetting, Refusal, Role, Statement, Void,
};
use protocol::params::Thresholds;
use protocol::{Effect, Input, MarketId, MarketParams, Mode, PoolId, Reject, VenueParams};
use units::{Duration, Notional, Ratio, Size, Timestamp};

const GUARDIAN: u8 = 0;
const SECOND_GUARDIAN: u8 = 1;
const OPERATOR: u8 = 2;
const GOVERNOR: u8 = 3;
const SECOND_GOVERNOR: u8 = 4;
const THIRD_GOVERNOR: u8 = 5;
const TELLER: u8 = 6;

/// In seconds, so that stories are short.
fn limits() -> GovernanceParams {
    let roles = [
        Role::Guardian,
        Role::Guardian,
        Role::Operator,
        Role::Governor,
        Role::Governor,
        Role::Governor,
        Role::Teller,
        Role::Observer,
        Role::Revoked,
    ];
    GovernanceParams {
        keys: (0..).zip(roles).map(|(n, role)| KeyParams { key: [n; 32], role }).collect(),
        threshold: 2,
        tighten_max: Duration::seconds(100),
        ratified_max: Duration::seconds(1_000),
        delay: Duration::seconds(50),
        delay_step: Duration::seconds(20),
        delay_max: Duration::seconds(200),
        doublings_max: 2,
        loosen_every: Duration::seconds(300),
        approval_age_max: Duration::seconds(250),
        statement_max: Duration::seconds(50),
        quorum: Ratio::percent(20),
        liquidatable_max: Ratio::percent(40),
    }
}

/// A market that keeps to the envelope and whose thresholds can be reached.
fn sound() -> MarketParams {
    let mut params = market(2);
    params.mark.step_max = Ratio::bps(50);
    params.funding.rate_max = Ratio::bps(50);
    params.open_interest_max = Size(1_000_000);
    params.collateral.deposit_max = Size(0);
    params.breaker.calm = Duration::seconds(10);
    params.breaker.calm_max = Duration::seconds(10);
    let half = Thresholds { cautious: Ratio::percent(50), reduce_only: Ratio::percent(90) };
    (params.detectors.stuck, params.activity.intensity, params.activity.divergence) = (half, half, half);
    params.activity.growth = Thresholds { cautious: Ratio::percent(5_000), reduce_only: Ratio::percent(9_000) };
    params
}

fn params() -> VenueParams {
    VenueParams { governance: limits(), ..common::venue(vec![sound()]) }
}

/// A venue at rest whose keys speak.
struct Town {
    story: Story,
    nonces: [u64; 12],
}

impl Town {
    fn of(params: &VenueParams, accounts: &[kernel::Genesis]) -> Town {
        let mut story = Story { prompt: true, ..Story::new(params, accounts) };
        story.hold(0, &[10_000, 10_000], 60);
        assert_eq!(story.mode(0), Mode::Normal);
        Town { story, nonces: [0; 12] }
    }

    fn new() -> Town {
        Town::of(&params(), &[])
    }

    fn statement(&mut self, key: u8, act: Act) -> Statement {
        let nonce = self.nonces[usize::from(key)] + 1;
        let expires = Timestamp(self.story.now + 1_000_000 + 30_000_000);
        Statement { key, nonce, expires, act, because: b"a test".to_vec(), signature: [0; 64] }
    }

    /// In the next second; what came of it.
    fn say(&mut self, key: u8, act: Act) -> Result<Vec<Governed>, Refusal> {
        let said = self.statement(key, act);
        self.hear(said)
    }

    fn hear(&mut self, said: Statement) -> Result<Vec<Governed>, Refusal> {
        let key = usize::from(said.key);
        let effects = second(&mut self.story, 10_000, vec![Input::Statement(Box::new(said))]);
        let refused = effects.iter().find_map(|effect| match effect {
            Effect::Rejected { reject: Reject::Refused { why }, .. } => Some(*why),
            _ => None,
        });
        let used = self.story.kernel.state().governance.nonces.get(key);
        self.nonces[key] = used.copied().unwrap_or(0);
        refused.map_or_else(|| Ok(governed(&effects)), Err)
    }

    /// Seconds pass, and the price stays; what governance said in them.
    fn pass(&mut self, seconds: i64) -> Vec<Governed> {
        let before = self.story.effects.len();
        for _ in 0..seconds {
            second(&mut self.story, 10_000, vec![]);
        }
        governed(&self.story.effects[before..])
    }

    fn tighten(&mut self, key: u8, seconds: i64) -> Result<Vec<Governed>, Refusal> {
        self.say(key, tighten(seconds))
    }

    /// Filed by the first governor; its number and digest.
    fn file(&mut self, change: Change) -> Result<(u64, [u8; 32]), Refusal> {
        self.file_as(GOVERNOR, change)
    }

    fn file_as(&mut self, key: u8, change: Change) -> Result<(u64, [u8; 32]), Refusal> {
        let said = self.say(key, Act::Propose(change))?;
        let Governed::Proposed { proposal, digest, .. } = said[0] else { panic!("{said:?}") };
        Ok((proposal, digest))
    }

    fn approve(&mut self, key: u8, (proposal, digest): (u64, [u8; 32])) -> Result<Vec<Governed>, Refusal> {
        self.say(key, Act::Approve { proposal, digest })
    }

    /// Filed and agreed on.
    fn agree(&mut self, change: Change) -> Vec<Governed> {
        let filed = self.file(change).expect("filed");
        self.approve(SECOND_GOVERNOR, filed).expect("approved")
    }

    fn mode(&self) -> Mode {
        self.story.mode(0)
    }

    fn market(&self) -> &MarketParams {
        &self.story.kernel.state().market(MarketId(0)).unwrap().params
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.story.now)
    }
}

fn governed(effects: &[Effect]) -> Vec<Governed> {
    let what = |effect: &Effect| if let Effect::Governed { what } = effect { Some(*what) } else { None };
    effects.iter().filter_map(what).collect()
}

fn tighten(seconds: i64) -> Act {
    Act::Tighten { market: MarketId(0), to: Mode::ReduceOnly, lasts: Duration::seconds(seconds) }
}

fn set(setting: MarketSetting, value: i64) -> Change {
    Change::Market { market: MarketId(0), setting, value }
}

fn interest(lots: i64) -> Change {
    set(MarketSetting::OpenInterestMax, lots)
}

#[test]
fn one_guardian_restricts_at_once_and_when_it_lapses_the_way_back_goes_by_steps() {
    let mut town = Town::new();
    let said = town.tighten(GUARDIAN, 50).unwrap();
    let until = town.now().plus(Duration::seconds(50));
    assert_eq!(said, [Governed::Imposed { market: MarketId(0), to: Mode::ReduceOnly, until, by: GUARDIAN }]);
    assert_eq!(town.mode(), Mode::ReduceOnly, "in the same batch");
    let modes = |town: &Town| -> Vec<Mode> {
        let to = |effect: &Effect| if let Effect::Mode { to, .. } = effect { Some(*to) } else { None };
        town.story.effects.iter().filter_map(to).collect()
    };
    town.story.effects.clear();
    assert_eq!(town.pass(49), [], "it holds");
    assert_eq!(town.mode(), Mode::ReduceOnly);
    assert_eq!(town.pass(1), [Governed::Lapsed { market: MarketId(0) }]);
    assert_eq!(town.mode(), Mode::ReduceOnly, "a lapse is no jump");
    town.pass(9);
    assert_eq!(modes(&town), [], "a calm later, and not before");
    town.pass(1);
    assert_eq!(modes(&town), [Mode::Cautious]);
    town.pass(9);
    assert_eq!(town.mode(), Mode::Cautious);
    town.pass(1);
    assert_eq!(modes(&town), [Mode::Cautious, Mode::Normal]);
}

#[test]
fn a_restriction_lapses_though_nobody_speaks() {
    let mut town = Town::new();
    town.tighten(GUARDIAN, 2).unwrap();
    let due = town.story.kernel.next_due().unwrap();
    assert!(due <= town.now().plus(Duration::seconds(2)), "{due:?}");
    town.story.wait(5);
    town.story.batch(vec![]);
    assert!(governed(&town.story.effects).contains(&Governed::Lapsed { market: MarketId(0) }));
}

#[test]
fn exits_stay_open_under_a_guardian() {
    let mut town =
        Town::of(&params(), &[account(1, 1_000, &[(0, 1_000, 100)]), account(2, 1_000, &[(0, -1_000, 100)])]);
    town.tighten(GUARDIAN, 50).unwrap();
    let effects =
        second(&mut town.story, 10_000, vec![deposit(1, 10), order(1, 1, 0, -500, 9_900), order(2, 2, 0, -500, 9_900)]);
    let refused: Vec<u32> = effects
        .iter()
        .filter_map(|effect| if let Effect::Rejected { input, .. } = effect { Some(*input) } else { None })
        .collect();
    // Prices come first: 2 is the deposit, 3 reduces, 4 opens.
    assert_eq!(refused, [4]);
}

#[test]
fn no_guardian_goes_further_than_reduce_only_or_for_longer_than_the_limit() {
    for (to, lasts, refused) in [
        (Mode::Cautious, 1, None),
        (Mode::ReduceOnly, 100, None),
        (Mode::ReduceOnly, 101, Some(Refusal::OutOfRange)),
        (Mode::ReduceOnly, 0, Some(Refusal::OutOfRange)),
        (Mode::Normal, 10, Some(Refusal::OutOfRange)),
        (Mode::CancelOnly, 10, Some(Refusal::OutOfRange)),
        (Mode::Halted, 10, Some(Refusal::OutOfRange)),
        (Mode::Settling, 10, Some(Refusal::OutOfRange)),
    ] {
        let act = Act::Tighten { market: MarketId(0), to, lasts: Duration::seconds(lasts) };
        assert_eq!(Town::new().say(GUARDIAN, act).err(), refused, "{to:?} for {lasts}");
    }
    let elsewhere = Act::Tighten { market: MarketId(1), to: Mode::Cautious, lasts: Duration::seconds(1) };
    assert_eq!(Town::new().say(GUARDIAN, elsewhere), Err(Refusal::Unknown));
}

#[test]
fn guardians_together_hold_a_market_no_longer_than_one() {
    let mut town = Town::new();
    let begun = town.now().plus(Duration::seconds(1));
    town.tighten(GUARDIAN, 60).unwrap();
    town.pass(49);
    let said = town.tighten(SECOND_GUARDIAN, 100).unwrap();
    let until = begun.plus(Duration::seconds(100));
    let by = SECOND_GUARDIAN;
    assert_eq!(said, [Governed::Imposed { market: MarketId(0), to: Mode::ReduceOnly, until, by }]);
    assert_eq!(town.tighten(GUARDIAN, 100), Err(Refusal::NoChange));
    assert_eq!(town.pass(48), []);
    assert_eq!(town.pass(1), [Governed::Lapsed { market: MarketId(0) }]);
    // It lasted for 100 s: for as long it rests, whoever asks.
    let rested = until.plus(Duration::seconds(100));
    assert_eq!(town.tighten(SECOND_GUARDIAN, 1), Err(Refusal::Resting { until: rested }));
    town.pass(98);
    assert_eq!(town.now().plus(Duration::seconds(1)), rested);
    assert!(town.tighten(SECOND_GUARDIAN, 1).is_ok());
}

#[test]
fn at_the_instant_of_a_lapse_nobody_carries_it_on() {
    let mut town = Town::new();
    town.tighten(GUARDIAN, 100).unwrap();
    town.pass(99);
    // In the very batch in which it is over.
    let until = town.now().plus(Duration::seconds(1));
    assert_eq!(town.tighten(SECOND_GUARDIAN, 100), Err(Refusal::Resting { until: until.plus(Duration::seconds(100)) }));
    assert_eq!(town.mode(), Mode::ReduceOnly, "the way back begins there");
    town.pass(10);
    assert_eq!(town.mode(), Mode::Cautious);
}

#[test]
fn a_minute_of_restriction_costs_a_minute_of_rest() {
    let mut town = Town::new();
    town.tighten(GUARDIAN, 5).unwrap();
    town.pass(9);
    assert_eq!(town.tighten(GUARDIAN, 5).err(), None, "5 s held, 5 s rested");
}

#[test]
fn a_role_does_what_its_row_says() {
    let filed = 1;
    let acts = [
        tighten(1),
        Act::Propose(interest(900_000)),
        Act::Approve { proposal: filed, digest: [0; 32] },
        Act::Cancel { proposal: filed },
        Act::Count { proposal: filed, weighed_at: Timestamp(0), weight: 1, yes: 1, no: 0 },
    ];
    for key in 0..10 {
        let role = limits().role(key);
        for act in acts {
            let mut town = Town::new();
            town.file(interest(1_500_000)).unwrap();
            let refused = town.say(key, act).err() == Some(Refusal::NotAllowed);
            let own = key == GOVERNOR && matches!(act, Act::Cancel { .. });
            assert_eq!(refused, !role.may(act.verb()) && !own, "{role:?} {act:?}");
        }
    }
}

#[test]
fn a_statement_is_heard_once_in_its_time_and_its_order() {
    let mut town = Town::new();
    let said = town.statement(GUARDIAN, tighten(1));
    assert!(town.hear(said.clone()).is_ok());
    assert_eq!(town.hear(said), Err(Refusal::Nonce { next: 2 }), "replayed");
    let mut later = town.statement(GUARDIAN, tighten(1));
    later.nonce += 1;
    assert_eq!(town.hear(later), Err(Refusal::Nonce { next: 2 }));
    // The batch is a second on.
    let next = |town: &Town, ahead: i64| Timestamp(town.story.now + 1_000_000 + ahead);
    for (ahead, refused) in [
        (0, Some(Refusal::Expired)),
        (50_000_001, Some(Refusal::TooFarAhead { max: Timestamp(0) })),
        (1, None),
        (50_000_000, None),
    ] {
        let mut town = Town::new();
        let mut said = town.statement(GUARDIAN, tighten(1));
        said.expires = next(&town, ahead);
        let max = next(&town, 50_000_000);
        let refused = refused
            .map(|why| if matches!(why, Refusal::TooFarAhead { .. }) { Refusal::TooFarAhead { max } } else { why });
        assert_eq!(town.hear(said).err(), refused, "{ahead}");
        assert_eq!(town.nonces[0], u64::from(refused.is_none()), "only a good one is used up");
    }
    // One that asks for what can't be is used up all the same.
    assert_eq!(town.tighten(GUARDIAN, 101), Err(Refusal::OutOfRange));
    assert_eq!(town.nonces[0], 2);
}

#[test]
fn statements_of_one_batch_have_their_turns_by_key_and_nonce() {
    let mut town = Town::new();
    let one = town.statement(GOVERNOR, Act::Propose(interest(1_500_000)));
    let two = Statement { nonce: 2, ..town.statement(GOVERNOR, Act::Cancel { proposal: 1 }) };
    let inputs = [two, one].map(|said| Input::Statement(Box::new(said)));
    let effects = second(&mut town.story, 10_000, inputs.to_vec());
    let said = governed(&effects);
    assert!(
        matches!(said[..], [Governed::Proposed { .. }, Governed::Approved { .. }, Governed::Cancelled { .. }]),
        "{said:?}"
    );
}

#[test]
fn what_tightens_needs_the_threshold_and_no_time() {
    let mut town = Town::new();
    let filed = town.file_as(OPERATOR, interest(900_000)).unwrap();
    assert_eq!(town.approve(GOVERNOR, filed).unwrap().len(), 1);
    assert_eq!(town.market().open_interest_max, Size(1_000_000), "one does not suffice");
    let said = town.approve(SECOND_GOVERNOR, filed).unwrap();
    let due = Some(town.now());
    assert_eq!(said[0], Governed::Approved { proposal: 1, by: SECOND_GOVERNOR, approvals: 2, due });
    assert_eq!(said[1], Governed::Executed { proposal: 1, change: interest(900_000) });
    assert_eq!(town.market().open_interest_max, Size(900_000));
    assert_eq!(town.approve(THIRD_GOVERNOR, filed), Err(Refusal::UnknownProposal));
}

/// From 1,000,000 lots: the delay in seconds, or the refusal.
#[test]
fn the_delay_grows_with_what_is_loosened() {
    for (lots, delay) in [
        (1_000_001, Ok(50)),
        (2_000_000, Ok(50)),
        (2_000_001, Ok(70)),
        (4_000_000, Ok(70)),
        (4_000_001, Err(Refusal::TooMuch { max: 2 })),
        (1_000_000, Err(Refusal::NoChange)),
        (0, Err(Refusal::Malformed)),
    ] {
        let mut town = Town::new();
        let filed = town.file(interest(lots));
        let Ok(filed) = filed else {
            assert_eq!(filed.err(), delay.err(), "{lots}");
            continue;
        };
        town.approve(THIRD_GOVERNOR, filed).unwrap();
        let delay = delay.expect("it was filed");
        assert_eq!(town.pass(delay - 1), [], "{lots}");
        assert_eq!(town.market().open_interest_max, Size(1_000_000), "{lots}");
        assert_eq!(town.pass(1), [Governed::Executed { proposal: 1, change: interest(lots) }], "{lots}");
        assert_eq!(town.market().open_interest_max, Size(lots), "{lots}");
    }
}

#[test]
fn what_is_new_waits_longest_and_in_a_pool_alike() {
    let list = set(MarketSetting::DepositMax, 1);
    let borrow = Change::Pool { pool: PoolId(0), setting: PoolSetting::AccountBorrowMax, value: 900_000_000_000 };
    let lend = Change::Pool { pool: PoolId(0), setting: PoolSetting::BorrowMax, value: 2_000_000_000_000 };
    for (change, delay) in [(list, 200), (lend, 50), (borrow, 0)] {
        // However little a further doubling adds.
        let mut params = params();
        params.governance.delay_step = Duration(1);
        let mut town = Town::of(&params, &[]);
        let said = town.agree(change);
        if delay == 0 {
            assert_eq!(said[1], Governed::Executed { proposal: 1, change });
            let pool = &town.story.kernel.state().pools[0].params;
            assert_eq!(pool.account_borrow_max, Notional(900_000_000_000));
            continue;
        }
        assert_eq!(town.pass(delay - 1), [], "{change:?}");
        assert_eq!(town.pass(1), [Governed::Executed { proposal: 1, change }]);
    }
}

#[test]
fn any_guardian_stops_what_loosens_and_nothing_else() {
    let mut town = Town::new();
    town.agree(interest(2_000_000));
    town.pass(48);
    let said = town.say(SECOND_GUARDIAN, Act::Cancel { proposal: 1 }).unwrap();
    assert_eq!(said, [Governed::Cancelled { proposal: 1, by: SECOND_GUARDIAN }], "in the last second");
    assert_eq!(town.pass(100), []);
    assert_eq!(town.market().open_interest_max, Size(1_000_000));
    town.file(interest(900_000)).unwrap();
    assert_eq!(town.say(GUARDIAN, Act::Cancel { proposal: 2 }), Err(Refusal::WouldNotLoosen));
    assert_eq!(town.say(SECOND_GOVERNOR, Act::Cancel { proposal: 2 }), Err(Refusal::NotAllowed));
    assert!(town.say(GOVERNOR, Act::Cancel { proposal: 2 }).is_ok(), "who filed it takes it back");
    assert_eq!(town.say(GUARDIAN, Act::Cancel { proposal: 2 }), Err(Refusal::UnknownProposal));
}

#[test]
fn a_guardian_who_comes_in_the_batch_in_which_it_is_due_is_in_time() {
    let mut town = Town::new();
    town.agree(interest(2_000_000));
    town.pass(49);
    let said = town.say(GUARDIAN, Act::Cancel { proposal: 1 }).unwrap();
    assert_eq!(said, [Governed::Cancelled { proposal: 1, by: GUARDIAN }]);
}

#[test]
fn approvals_name_what_was_filed_and_count_once() {
    let mut town = Town::new();
    let (proposal, digest) = town.file(interest(2_000_000)).unwrap();
    let mut other = digest;
    other[31] ^= 1;
    assert_eq!(town.approve(SECOND_GOVERNOR, (proposal, other)), Err(Refusal::OtherProposal));
    assert_eq!(town.approve(GOVERNOR, (proposal, digest)), Err(Refusal::AgreedBefore));
    assert_eq!(town.approve(SECOND_GOVERNOR, (proposal + 1, digest)), Err(Refusal::UnknownProposal));
    // The same change filed again is another proposal.
    let again = town.file(interest(2_000_000)).unwrap();
    assert_eq!(town.approve(SECOND_GOVERNOR, (again.0, digest)), Err(Refusal::OtherProposal));
}

#[test]
fn an_approval_that_is_too_old_is_none() {
    // The first approval is 250 s old when it counts for the last time.
    for (wait, void) in [(199, false), (200, true)] {
        let mut town = Town::new();
        let filed = town.file(interest(2_000_000)).unwrap();
        town.pass(wait);
        town.approve(SECOND_GOVERNOR, filed).unwrap();
        let said = town.pass(51);
        let why = Governed::Voided { proposal: 1, why: Void::Stale };
        let done = Governed::Executed { proposal: 1, change: interest(2_000_000) };
        assert_eq!(said, [if void { why } else { done }], "{wait}");
    }
}

#[test]
fn what_nobody_agrees_on_is_gone_with_its_first_approval() {
    let mut town = Town::new();
    let filed = town.file(interest(2_000_000)).unwrap();
    assert_eq!(town.pass(250), []);
    assert_eq!(town.pass(1), [Governed::Voided { proposal: 1, why: Void::Stale }]);
    assert_eq!(town.approve(SECOND_GOVERNOR, filed), Err(Refusal::UnknownProposal));
}

#[test]
fn a_value_is_loosened_no_more_often_than_the_limit() {
    let mut town = Town::new();
    town.agree(interest(2_000_000));
    town.pass(50);
    town.agree(interest(3_000_000));
    assert_eq!(town.pass(50), [Governed::Voided { proposal: 2, why: Void::TooSoon }]);
    // Another value is another matter; and so is the same one 300 s after.
    town.agree(set(MarketSetting::OrderSizeMax, 1_500_000_000));
    assert!(matches!(town.pass(50)[..], [Governed::Executed { proposal: 3, .. }]));
    let value = kernel::governance::Value::Market(MarketId(0), MarketSetting::OpenInterestMax);
    let loosened = |town: &Town| town.story.kernel.state().governance.loosened.clone();
    let last = loosened(&town)[&value];
    assert_eq!(loosened(&town).len(), 2);
    while town.now().since(last) < Duration::seconds(248) {
        town.pass(1);
    }
    town.agree(interest(3_000_000));
    assert_eq!(town.now().since(last), Duration::seconds(250));
    assert!(matches!(town.pass(50)[..], [Governed::Executed { proposal: 4, .. }]));
    // What no longer matters is forgotten: the other value, a second after its time too.
    assert_eq!(loosened(&town).len(), 2);
    town.pass(250);
    town.agree(interest(3_500_000));
    town.pass(50);
    assert_eq!(loosened(&town).into_iter().collect::<Vec<_>>(), [(value, town.now())]);
}

#[test]
fn what_grew_while_it_waited_is_void() {
    let mut town = Town::new();
    town.agree(interest(2_000_000));
    // One doubling then; from 900,000 it is two.
    town.agree(interest(900_000));
    assert_eq!(town.pass(49), [Governed::Voided { proposal: 1, why: Void::Grown }]);
    // What would be as far as before is not.
    town.agree(interest(1_800_000));
    assert!(matches!(town.pass(50)[..], [Governed::Executed { .. }]));
}

#[test]
fn a_tightening_that_would_loosen_by_now_is_void() {
    let mut town = Town::new();
    let filed = town.file(interest(900_000)).unwrap();
    town.agree(interest(800_000));
    let said = town.approve(SECOND_GOVERNOR, filed).unwrap();
    assert_eq!(said[1], Governed::Voided { proposal: 1, why: Void::Grown });
    assert_eq!(town.market().open_interest_max, Size(800_000));
}

#[test]
fn what_is_done_already_is_moot() {
    let mut town = Town::new();
    let filed = town.file(interest(900_000)).unwrap();
    town.agree(interest(900_000));
    let said = town.approve(SECOND_GOVERNOR, filed).unwrap();
    assert_eq!(said[1], Governed::Voided { proposal: 1, why: Void::Moot });
}

#[test]
fn nothing_is_loosened_in_trouble() {
    let mut town = Town::new();
    town.agree(interest(2_000_000));
    town.pass(30);
    town.tighten(GUARDIAN, 15).unwrap();
    assert_eq!(
        town.pass(19),
        [Governed::Lapsed { market: MarketId(0) }, Governed::Voided { proposal: 1, why: Void::NotCalm }],
        "it is cautious yet"
    );
    assert_eq!(town.market().open_interest_max, Size(1_000_000));
}

#[test]
fn a_ratified_restriction_outlasts_its_guardian_and_ends_when_it_was_said() {
    let mut town = Town::new();
    town.tighten(GUARDIAN, 100).unwrap();
    let since = town.now();
    let at = |seconds| since.plus(Duration::seconds(seconds));
    let ratify = |seconds| Change::Ratify { market: MarketId(0), until: at(seconds) };
    assert_eq!(town.file(ratify(100)), Err(Refusal::OutOfRange), "it would be no longer");
    assert_eq!(town.file(ratify(1_001)), Err(Refusal::OutOfRange));
    let filed = town.file(ratify(1_000)).unwrap();
    assert_eq!(town.say(GUARDIAN, Act::Cancel { proposal: filed.0 }), Err(Refusal::WouldNotLoosen));
    let filed = town.file(ratify(200)).unwrap();
    let said = town.approve(THIRD_GOVERNOR, filed).unwrap();
    assert_eq!(said[1], Governed::Executed { proposal: 2, change: ratify(200) }, "at once");
    let left = at(200).since(town.now()).0 / 1_000_000;
    assert_eq!(town.pass(left - 1), []);
    assert_eq!(town.mode(), Mode::ReduceOnly);
    assert_eq!(town.pass(1), [Governed::Lapsed { market: MarketId(0) }]);
    assert_eq!(town.file(ratify(300)), Err(Refusal::NothingImposed));
    // Governors took it over, so the guardians' part did not end in vain: no rest.
    assert!(town.tighten(GUARDIAN, 1).is_ok());
}

#[test]
fn a_ratification_that_comes_too_late_ratifies_nothing() {
    let mut town = Town::new();
    town.tighten(GUARDIAN, 20).unwrap();
    let until = town.now().plus(Duration::seconds(500));
    let filed = town.file(Change::Ratify { market: MarketId(0), until }).unwrap();
    town.pass(19);
    let said = town.approve(SECOND_GOVERNOR, filed).unwrap();
    assert_eq!(said[1], Governed::Voided { proposal: 1, why: Void::Moot });
    town.pass(20);
    assert_eq!(town.mode(), Mode::Normal);
}

#[test]
fn a_vote_ratifies_with_weights_from_before_a_quorum_and_a_majority() {
    use Refusal::{NoQuorum, VoteUnfit};
    for (weighed, weight, yes, no, expected) in [
        (0, 100, 15, 5, Ok(true)),
        (1, 100, 15, 5, Err(VoteUnfit)),
        (0, 100, 14, 5, Err(NoQuorum)),
        (0, 100, 50, 51, Err(VoteUnfit)),
        (0, 100, 50, 50, Ok(false)),
        (0, 100, 51, 49, Ok(true)),
        (0, 0, 0, 0, Err(NoQuorum)),
        (0, u64::MAX, u64::MAX, u64::MAX, Err(VoteUnfit)),
        (0, u64::MAX, u64::MAX - 1, 1, Ok(true)),
    ] {
        let mut town = Town::new();
        town.tighten(GUARDIAN, 100).unwrap();
        let since = town.now();
        let change = Change::Ratify { market: MarketId(0), until: since.plus(Duration::seconds(300)) };
        let (proposal, _) = town.file_as(OPERATOR, change).unwrap();
        let weighed_at = Timestamp(since.0 + weighed);
        let said = town.say(TELLER, Act::Count { proposal, weighed_at, weight, yes, no });
        match expected {
            Err(why) => assert_eq!(said, Err(why), "{yes} to {no} of {weight}"),
            Ok(carried) => {
                let said = said.expect("counted");
                assert_eq!(said[0], Governed::Counted { proposal, carried });
                assert_eq!(said.get(1), carried.then_some(&Governed::Executed { proposal, change }));
                town.pass(150);
                let expected = if carried { Mode::ReduceOnly } else { Mode::Normal };
                assert_eq!(town.mode(), expected, "{yes} to {no} of {weight}");
            }
        }
    }
}

#[test]
fn a_vote_decides_nothing_but_a_ratification() {
    let mut town = Town::new();
    let (proposal, _) = town.file(interest(2_000_000)).unwrap();
    let count = Act::Count { proposal, weighed_at: Timestamp(0), weight: 10, yes: 10, no: 0 };
    assert_eq!(town.say(TELLER, count), Err(Refusal::VoteUnfit));
    assert_eq!(town.pass(100), []);
}

#[test]
fn a_lift_waits_and_goes_back_by_steps() {
    let mut town = Town::new();
    let lift = Change::Lift { market: MarketId(0) };
    assert_eq!(town.file(lift), Err(Refusal::NothingImposed));
    town.tighten(GUARDIAN, 100).unwrap();
    town.agree(lift);
    assert_eq!(town.pass(49), []);
    assert_eq!(town.pass(1), [Governed::Executed { proposal: 1, change: lift }]);
    assert_eq!(town.mode(), Mode::ReduceOnly);
    town.pass(10);
    assert_eq!(town.mode(), Mode::Cautious);
    assert!(matches!(town.tighten(GUARDIAN, 1), Err(Refusal::Resting { .. })), "52 s held, 52 s of rest");
}

#[test]
fn keys_change_last_of_all_and_take_their_approvals_along() {
    let mut town = Town::new();
    let new = KeyParams { key: [99; 32], role: Role::Governor };
    let replace = Change::Key { place: GOVERNOR, to: new };
    let said = town.agree(replace);
    let due = Some(town.now().plus(Duration::seconds(200)));
    assert_eq!(said[0], Governed::Approved { proposal: 1, by: SECOND_GOVERNOR, approvals: 2, due });
    town.pass(198);
    let other = town.file(interest(2_000_000)).unwrap();
    assert!(matches!(town.pass(1)[..], [Governed::Executed { proposal: 1, .. }]));
    // The key that filed it is gone, and so is its approval.
    let said = town.approve(SECOND_GOVERNOR, other).unwrap();
    assert_eq!(said, [Governed::Approved { proposal: 2, by: SECOND_GOVERNOR, approvals: 1, due: None }]);
    // The new key begins with its own nonces.
    assert_eq!(town.story.kernel.state().governance.nonces[usize::from(GOVERNOR)], 0);
    town.nonces[usize::from(GOVERNOR)] = 0;
    assert!(matches!(town.approve(GOVERNOR, other).unwrap()[0], Governed::Approved { approvals: 2, due: Some(_), .. }));
    assert_eq!(town.story.kernel.state().params().governance.keys[3], new);
}

#[test]
fn a_key_is_added_behind_the_last_and_a_threshold_that_none_could_reach_is_refused() {
    let mut town = Town::new();
    let guardian = KeyParams { key: [50; 32], role: Role::Guardian };
    assert_eq!(town.file(Change::Key { place: 10, to: guardian }), Err(Refusal::Unknown));
    let twice = KeyParams { key: [1; 32], role: Role::Guardian };
    assert_eq!(town.file(Change::Key { place: 9, to: twice }), Err(Refusal::Malformed));
    town.agree(Change::Key { place: 9, to: guardian });
    town.pass(200);
    assert!(town.tighten(9, 1).is_ok());
    let revoke = |place| Change::Key { place, to: KeyParams { key: [place; 32], role: Role::Revoked } };
    town.agree(revoke(THIRD_GOVERNOR));
    town.pass(200);
    assert_eq!(town.file(revoke(SECOND_GOVERNOR)), Err(Refusal::Malformed), "one governor can't agree with itself");
    assert_eq!(town.say(THIRD_GOVERNOR, Act::Propose(interest(1))), Err(Refusal::NotAllowed));
}

#[test]
fn a_key_files_so_many_changes_and_not_one_more_and_crowds_out_nobody() {
    let mut town = Town::new();
    for n in 0..3 {
        town.file_as(OPERATOR, interest(900_000 - n)).unwrap();
    }
    assert_eq!(town.file_as(OPERATOR, interest(1)), Err(Refusal::TooManyProposals { max: 3 }));
    assert_eq!(town.file(interest(1)).unwrap().0, 4, "another's own");
    town.say(OPERATOR, Act::Cancel { proposal: 2 }).unwrap();
    assert_eq!(town.file_as(OPERATOR, interest(1)).unwrap().0, 5, "no number means two changes");
    assert_eq!(town.file_as(OPERATOR, interest(2)), Err(Refusal::TooManyProposals { max: 3 }));
}

/// Two holders of 1,000 lots at 100 USD, one with 3 USD of margin for its 100 USD and one with much.
fn holders() -> Town {
    Town::of(&params(), &[account(1, 3, &[(0, 1_000, 100)]), account(2, 1_000, &[(0, -1_000, 100)])])
}

#[test]
fn a_rate_that_would_liquidate_more_than_a_share_is_void_whoever_signed_it() {
    // At 2.5% it needs 2.5 USD, at 3.1% it is under maintenance with half of all lots.
    let raise = |bps| set(MarketSetting::Maintenance(0), Ratio::bps(bps).0);
    for (share, bps, void) in [(50, 310, false), (49, 310, true), (0, 299, false), (0, 300, false), (0, 301, true)] {
        let mut params = params();
        params.governance.liquidatable_max = Ratio::percent(share);
        let mut town = Town::of(&params, &[account(1, 3, &[(0, 1_000, 100)]), account(2, 1_000, &[(0, -1_000, 100)])]);
        town.agree(raise(bps));
        let said = town.pass(50);
        let why = Governed::Voided { proposal: 1, why: Void::Liquidates };
        let done = Governed::Executed { proposal: 1, change: raise(bps) };
        assert_eq!(said, [if void { why } else { done }], "{share}% at {bps}");
    }
}

#[test]
fn a_rate_that_rises_finds_who_it_concerns_and_one_that_falls_lets_them_go() {
    let mut params = params();
    params.governance.liquidatable_max = Ratio::percent(50);
    let mut town = Town::of(&params, &[account(1, 3, &[(0, 1_000, 100)]), account(2, 1_000, &[(0, -1_000, 100)])]);
    town.agree(set(MarketSetting::Maintenance(0), Ratio::bps(310).0));
    town.story.effects.clear();
    town.pass(50);
    let liquidated = common::liquidations(&town.story.effects);
    assert_eq!(
        liquidated.iter().map(|(account, _, _)| *account).collect::<Vec<_>>(),
        [1],
        "in the batch of the change"
    );
    // 2.0% asks for 2 USD: nobody is in distress any more.
    town.pass(250);
    town.agree(set(MarketSetting::Maintenance(0), Ratio::bps(200).0));
    town.pass(50);
    let state = town.story.kernel.state();
    assert!(state.pools[0].distressed.is_empty());
}

#[test]
fn armed_triggers_follow_a_rate_that_rose() {
    let mut town = holders();
    // 2.9 USD of 3: nobody is liquidated by the change, and 0.11 USD of a fall suffices after.
    town.agree(set(MarketSetting::Maintenance(0), Ratio::bps(290).0));
    assert!(matches!(town.pass(50)[..], [Governed::Executed { .. }]));
    town.story.effects.clear();
    for _ in 0..30 {
        second(&mut town.story, 9_980, vec![]);
    }
    assert_eq!(common::liquidations(&town.story.effects).first().map(|found| found.0), Some(1));
}

/// Captured: two of three governors and the operator. Guardians are honest, and asleep until the last moment.
#[test]
fn a_captured_council_that_signed_ahead_lists_worthless_collateral_and_drains_nothing() {
    // Signed long ahead, to be sent at once one night: refused as too far ahead.
    let mut town = Town::new();
    let mut kept = town.statement(SECOND_GOVERNOR, Act::Propose(set(MarketSetting::DepositMax, 1_000_000_000)));
    kept.expires = Timestamp(town.story.now + 7 * 86_400_000_000);
    assert!(matches!(town.hear(kept), Err(Refusal::TooFarAhead { .. })), "step 1: approvals can't be kept");

    // An approval signed before its proposal was there names nothing.
    let blind = Act::Approve { proposal: 1, digest: [0; 32] };
    assert_eq!(town.say(SECOND_GOVERNOR, blind), Err(Refusal::UnknownProposal), "step 2: nor be given blindly");

    // Limits can't be raised by more than a factor at once.
    let lend = |value| Change::Pool { pool: PoolId(0), setting: PoolSetting::AccountBorrowMax, value };
    assert_eq!(town.file(lend(500_000_000_000_000)), Err(Refusal::Malformed), "step 3: nor beyond the pool's");
    let all = Change::Pool { pool: PoolId(0), setting: PoolSetting::BorrowMax, value: 500_000_000_000_000 };
    assert_eq!(town.file(all), Err(Refusal::TooMuch { max: 2 }), "step 4: nor in one leap");

    // What is left: list the collateral and wait for as long as anything waits, in sight of all.
    let said = town.agree(set(MarketSetting::DepositMax, 1_000_000_000));
    let due = Some(town.now().plus(Duration::seconds(200)));
    assert!(said.contains(&Governed::Approved { proposal: 1, by: SECOND_GOVERNOR, approvals: 2, due }), "{said:?}");
    town.pass(198);
    assert_eq!(town.market().collateral.deposit_max, Size(0));
    // They try to get rid of who could stop it: that waits as long.
    let gone = KeyParams { key: [GUARDIAN; 32], role: Role::Revoked };
    town.file(Change::Key { place: GUARDIAN, to: gone }).unwrap();
    let said = town.say(GUARDIAN, Act::Cancel { proposal: 1 }).unwrap();
    assert_eq!(said, [Governed::Cancelled { proposal: 1, by: GUARDIAN }], "step 5: one guardian ends it");
    assert_eq!(town.pass(500).iter().filter(|said| matches!(said, Governed::Executed { .. })).count(), 0);
    assert_eq!(town.market().collateral.deposit_max, Size(0), "nothing was listed, so nothing can be borrowed on it");
}

/// A pause that had to wait behind a timelock drained a venue: here it takes effect in the batch that carries it.
#[test]
fn a_pause_waits_behind_no_timelock() {
    let mut town = Town::of(&params(), &[account(1, 1_000, &[]), account(2, 1_000, &[])]);
    town.agree(interest(2_000_000));
    // In the same batch as the orders that it is there to stop.
    let said = town.statement(GUARDIAN, tighten(100));
    let effects = second(
        &mut town.story,
        10_000,
        vec![order(1, 1, 0, 100, 10_000), order(2, 2, 0, -100, 10_000), Input::Statement(Box::new(said))],
    );
    let refused = |effect: &&Effect| matches!(effect, Effect::Rejected { reject: Reject::Restricted, .. });
    assert_eq!(effects.iter().filter(refused).count(), 2);
}

#[test]
fn a_state_with_governance_in_it_is_read_back_and_decides_alike() {
    let mut town = Town::new();
    town.tighten(GUARDIAN, 90).unwrap();
    let until = town.now().plus(Duration::seconds(200));
    town.agree(Change::Ratify { market: MarketId(0), until });
    town.tighten(SECOND_GUARDIAN, 90).unwrap();
    town.agree(interest(2_000_000));
    town.file_as(OPERATOR, interest(900_000)).unwrap();
    let state = town.story.kernel.state();
    let read = kernel::State::from_snapshot(&state.to_snapshot()).expect("its own snapshot");
    assert_eq!(read, *state);
    let mut again = kernel::Kernel::resume(read);
    for second in 1..400_i64 {
        let now = town.story.now;
        let seen = [0, 1].map(|source| common::observation(0, source, 100 * common::USD, now, now));
        let height = again.state().height + 1;
        let batch = protocol::Batch { height, at: Timestamp(now), seed: [0; 32], inputs: seen.to_vec() };
        let (mut one, mut two) = (Vec::new(), Vec::new());
        town.story.kernel.apply(&batch, &mut one);
        again.apply(&batch, &mut two);
        assert_eq!(one, two, "{second}");
        town.story.now += 1_000_000;
    }
    assert_eq!(again.state().hash(), town.story.kernel.state().hash());
}

#[test]
fn a_mixed_change_waits_like_one_that_loosens() {
    let mut town = Town::new();
    let said = town.say(GOVERNOR, Act::Propose(set(MarketSetting::Haircut, Ratio::percent(20).0))).unwrap();
    let Governed::Proposed { direction, .. } = said[0] else { panic!("{said:?}") };
    assert_eq!(direction, Direction::Mixed);
}

#[test]
fn the_envelope_is_kept_and_a_venue_outside_of_it_may_still_be_tightened() {
    // A step of 0.5% and what is paid on the way are within 2.5%, and not within 1.5%.
    let lower = set(MarketSetting::Maintenance(0), Ratio::bps(150).0);
    assert_eq!(Town::new().file(lower), Err(Refusal::Malformed));
    assert!(Town::new().file(set(MarketSetting::Maintenance(0), Ratio::bps(151).0)).is_ok());
    let mut params = params();
    params.markets[0].mark.step_max = Ratio::percent(10_000);
    params.markets[0].detectors.stuck = common::WIDE;
    let mut town = Town::of(&params, &[]);
    assert!(matches!(town.agree(interest(900_000))[1], Governed::Executed { .. }));
}

#[test]
fn a_restriction_that_nobody_looked_at_stood_until_it_was_over() {
    // Nobody sends what is due: the lapse is found by a statement, and the lift is late, while the sources are fresh yet and no detector
    // asks for anything.
    for lifts in [false, true] {
        let mut town = Town::new();
        if lifts {
            town.tighten(GUARDIAN, 100).unwrap();
            town.agree(Change::Lift { market: MarketId(0) });
            town.pass(49);
            town.story.prompt = false;
            town.story.wait(2);
        } else {
            town.tighten(GUARDIAN, 2).unwrap();
            town.story.prompt = false;
            town.story.wait(3);
        }
        let mut said = town.statement(GUARDIAN, tighten(1));
        said.nonce = town.story.kernel.state().governance.nonces[0] + 1;
        let effects = town.story.batch(vec![Input::Statement(Box::new(said))]);
        assert!(!governed(&effects).is_empty(), "{effects:?}");
        assert_eq!(town.mode(), Mode::ReduceOnly, "lifted: {lifts}");
        assert_eq!(town.story.kernel.state().market(MarketId(0)).unwrap().breaker.calm_since, town.now());
    }
}

#[test]
fn what_is_milder_than_the_market_already_is_does_not_hold_it() {
    // A restart halts it; a restriction that ends on the way back does not begin the calm again.
    let mut town = Town::new();
    town.tighten(GUARDIAN, 10).unwrap();
    town.story.prompt = false;
    town.story.wait(1).batch(vec![Input::Restart]);
    for _ in 0..3 {
        second(&mut town.story, 10_000, vec![]);
    }
    let calm_since = |town: &Town| {
        let breaker = town.story.kernel.state().market(MarketId(0)).unwrap().breaker;
        (breaker.mode, breaker.calm_since)
    };
    let before = calm_since(&town);
    assert_eq!(before.0, Mode::Halted);
    let said = town.statement(GUARDIAN, tighten(1));
    town.story.wait(6);
    let effects = town.story.batch(vec![Input::Statement(Box::new(said))]);
    assert_eq!(governed(&effects), [Governed::Lapsed { market: MarketId(0) }]);
    assert_eq!(calm_since(&town), before);
}

#[test]
fn a_ratified_and_a_newer_restriction_end_each_in_its_time() {
    // The guardian's ends first, and then the governors'; and the other way round.
    for (ratified, ends) in [(300, [100, 300]), (110, [110, 200])] {
        let mut town = Town::new();
        let begun = town.now().plus(Duration::seconds(1));
        town.tighten(GUARDIAN, 100).unwrap();
        let until = begun.plus(Duration::seconds(ratified));
        town.agree(Change::Ratify { market: MarketId(0), until });
        assert_eq!(town.story.kernel.state().market(MarketId(0)).unwrap().restraint.imposed, None);
        let again = if ratified == 300 { 3 } else { 100 };
        while town.now() < begun.plus(Duration::seconds(again - 1)) {
            town.pass(1);
        }
        let lasts = if ratified == 300 { 97 } else { 100 };
        town.tighten(SECOND_GUARDIAN, lasts).unwrap();
        let market = |town: &Town| town.story.kernel.state().market(MarketId(0)).unwrap().restraint;
        let mut seen = Vec::new();
        for second in again + 1..=400 {
            if town.pass(1) == [Governed::Lapsed { market: MarketId(0) }] {
                seen.push(second);
                let (imposed, held) = (market(&town).imposed.is_some(), market(&town).ratified.is_some());
                let expected = match (seen.len(), ratified) {
                    (1, 300) => (false, true),
                    (1, _) => (true, false),
                    _ => (false, false),
                };
                assert_eq!((imposed, held), expected, "{second}");
            }
        }
        assert_eq!(seen, ends, "{ratified}");
    }
}

#[test]
fn a_state_whose_governance_is_not_sound_is_found() {
    let mut town = Town::new();
    town.tighten(GUARDIAN, 100).unwrap();
    town.agree(interest(2_000_000));
    let good = town.story.kernel.state().clone();
    let broken = |change: &dyn Fn(&mut kernel::State)| {
        let mut state = good.clone();
        change(&mut state);
        state.check().err().map(|broken| broken.invariant)
    };
    assert_eq!(broken(&|_| {}), None);
    assert_eq!(broken(&|state| state.governance.nonces.push(0)), Some(25));
    assert_eq!(broken(&|state| state.governance.filed = 0), Some(25));
    assert_eq!(broken(&|state| state.governance.proposals[0].id = 0), Some(25));
    let agree =
        |key: u8| move |state: &mut kernel::State| state.governance.proposals[0].approvals.push((key, Timestamp(0)));
    assert_eq!(broken(&agree(GOVERNOR)), Some(25), "twice");
    assert_eq!(broken(&agree(8)), None, "the last key");
    assert_eq!(broken(&agree(9)), Some(25), "a key that there is not");
    let copies = |more: u64, by: u8| {
        move |state: &mut kernel::State| {
            for id in 2..2 + more {
                let proposal = kernel::governance::Proposal { id, by, ..state.governance.proposals[0].clone() };
                state.governance.proposals.push(proposal);
            }
            state.governance.filed = 100;
        }
    };
    assert_eq!(broken(&copies(2, GOVERNOR)), None);
    assert_eq!(broken(&copies(3, GOVERNOR)), Some(25));
    assert_eq!(broken(&copies(3, 8)), None, "the last key");
    assert_eq!(broken(&copies(1, 9)), Some(25));
    let restraint = |change: &dyn Fn(&mut kernel::governance::Restraint)| {
        broken(&|state| {
            let market = &mut state.pools[0].markets[0];
            change(&mut market.restraint);
        })
    };
    let imposed = good.market(MarketId(0)).unwrap().restraint.imposed.unwrap();
    assert_eq!(restraint(&|it| it.imposed.as_mut().unwrap().to = Mode::Halted), Some(26));
    assert_eq!(restraint(&|it| it.imposed.as_mut().unwrap().to = Mode::Cautious), None);
    assert_eq!(restraint(&|it| it.imposed.as_mut().unwrap().until = imposed.since), Some(26));
    assert_eq!(restraint(&|it| it.imposed.as_mut().unwrap().until.0 = imposed.since.0 + 1), None);
    assert_eq!(restraint(&|it| it.imposed.as_mut().unwrap().until.0 = imposed.since.0 + 100_000_001), Some(26));
    let ratified = |to| Some(kernel::governance::Ratified { to, until: Timestamp(0) });
    assert_eq!(restraint(&|it| it.ratified = ratified(Mode::ReduceOnly)), None);
    assert_eq!(restraint(&|it| it.ratified = ratified(Mode::CancelOnly)), Some(26));
    assert_eq!(restraint(&|it| (it.imposed, it.ratified) = (None, ratified(Mode::Normal))), Some(26));
}

#[test]
fn a_second_guardian_may_go_further_and_not_back() {
    let cautious =
        |seconds| Act::Tighten { market: MarketId(0), to: Mode::Cautious, lasts: Duration::seconds(seconds) };
    let mut town = Town::new();
    town.say(GUARDIAN, cautious(50)).unwrap();
    assert_eq!(town.mode(), Mode::Cautious);
    let until = town.now().plus(Duration::seconds(50));
    let said = town.tighten(SECOND_GUARDIAN, 10).unwrap();
    let by = SECOND_GUARDIAN;
    assert_eq!(said, [Governed::Imposed { market: MarketId(0), to: Mode::ReduceOnly, until, by }]);
    assert_eq!(town.mode(), Mode::ReduceOnly);
    assert_eq!(town.say(GUARDIAN, cautious(10)), Err(Refusal::NoChange));
}

#[test]
fn at_its_last_instant_a_restriction_is_neither_ratified_nor_voted_on() {
    let ratify = |at: Timestamp| Change::Ratify { market: MarketId(0), until: at.plus(Duration::seconds(300)) };
    for (wait, refused) in [(97, None), (98, Some(Refusal::NothingImposed))] {
        let mut town = Town::new();
        town.tighten(GUARDIAN, 100).unwrap();
        let since = town.now();
        let (proposal, _) = town.file_as(OPERATOR, ratify(since)).unwrap();
        town.pass(wait);
        let count = Act::Count { proposal, weighed_at: since, weight: 10, yes: 10, no: 0 };
        assert_eq!(town.say(TELLER, count).err(), refused, "{wait}");
        let mut town = Town::new();
        town.tighten(GUARDIAN, 100).unwrap();
        let since = town.now();
        town.pass(wait + 1);
        assert_eq!(town.file(ratify(since)).err(), refused, "{wait}");
    }
}

#[test]
fn a_ratification_ends_no_other_sooner() {
    for (seconds, refused) in [(299, Some(Refusal::OutOfRange)), (300, None)] {
        let mut town = Town::new();
        town.tighten(GUARDIAN, 100).unwrap();
        let until = town.now().plus(Duration::seconds(300));
        town.agree(Change::Ratify { market: MarketId(0), until });
        town.tighten(GUARDIAN, 100).unwrap();
        let until = Timestamp(until.0 - (300 - seconds) * 1_000_000);
        assert_eq!(town.file(Change::Ratify { market: MarketId(0), until }).err(), refused, "{seconds}");
    }
}

#[test]
fn a_key_that_stays_as_it_is_is_no_change() {
    let same = |place: u8, role| Change::Key { place, to: KeyParams { key: [place; 32], role } };
    assert_eq!(Town::new().file(same(GUARDIAN, Role::Guardian)), Err(Refusal::NoChange));
    assert!(Town::new().file(same(GUARDIAN, Role::Observer)).is_ok());
}

#[test]
fn what_is_filed_says_when_it_is_due() {
    let mut town = Town::new();
    let due = |town: &Town| town.story.kernel.state().governance.next_due();
    assert_eq!(due(&town), Timestamp::MAX);
    let filed = town.file(interest(2_000_000)).unwrap();
    assert_eq!(due(&town), town.now().plus(Duration::seconds(250)).plus(Duration(1)), "void by its age");
    town.approve(SECOND_GOVERNOR, filed).unwrap();
    assert_eq!(due(&town), town.now().plus(Duration::seconds(50)));
    assert!(town.now() < town.story.kernel.next_due().unwrap());
}
