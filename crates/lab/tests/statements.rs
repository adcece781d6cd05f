//! Signed statements on their way through a node, its journal and its verification.

use journal::{MemoryStorage, Options, Start};
use kernel::Kernel;
use lab::model::traffic::Traffic;
use node::statement::Draft;
use node::{BadStatement, Config, Decided, Node, NodeFault, Signed, verify};
use protocol::governance::{Act, Change, GovernanceParams, Governed, KeyParams, PoolSetting, Refusal, Role, Statement};
use protocol::{Batch, Effect, Input, MarketId, Mode, PoolId, Reject, VenueParams};
use units::{Duration, Timestamp};
use venue::Limits;

const LIMITS: Limits = Limits { orders_max: 1 << 20, kernel_orders_max: 1 << 20 };
const CONFIG: Config = Config { segment_bytes: 200_000, snapshot_every: 5, limits: LIMITS };
const SECOND: i64 = 1_000_000;

/// Guardian, two governors, and one that nobody lists.
const SECRETS: [[u8; 32]; 4] = [[1; 32], [2; 32], [3; 32], [4; 32]];

fn public(secret: &[u8; 32]) -> [u8; 32] {
    let draft = Draft {
        venue: [0; 32],
        key: [0; 32],
        nonce: 1,
        expires: Timestamp(0),
        act: Act::Cancel { proposal: 1 },
        because: "a key".to_owned(),
    };
    Draft::read(&draft.sign(secret).text).expect("what was signed can be read").key
}

fn params() -> VenueParams {
    let roles = [Role::Guardian, Role::Governor, Role::Governor];
    let keys = SECRETS.iter().zip(roles).map(|(secret, role)| KeyParams { key: public(secret), role }).collect();
    VenueParams {
        governance: GovernanceParams { keys, ..GovernanceParams::closed() },
        ..Traffic::new(6).params().clone()
    }
}

fn genesis() -> Kernel {
    Kernel::new(&params(), Traffic::new(6).genesis()).expect("the seed's venue is well formed")
}

fn open(storage: &MemoryStorage) -> Result<Node, NodeFault> {
    Node::open(storage.clone(), CONFIG, None, genesis()).map(|(node, _)| node)
}

fn draft(node: &Node, key: usize, act: Act) -> Draft {
    let governance = &node.state().governance;
    Draft {
        venue: governance.venue,
        key: [0; 32],
        nonce: governance.nonces.get(key).map_or(1, |last| last + 1),
        expires: Timestamp(node.state().at.0 + 60 * SECOND),
        act,
        because: "the books are empty".to_owned(),
    }
}

fn tighten(market: u16) -> Act {
    Act::Tighten { market: MarketId(market), to: Mode::ReduceOnly, lasts: Duration::seconds(3_600) }
}

/// Heard a second later; what left then.
fn hear(node: &mut Node, signed: &Signed) -> Result<Vec<Decided>, BadStatement> {
    let at = Timestamp(node.state().at.0 + SECOND);
    node.hear(at, signed).expect("the journal holds")?;
    node.settle().expect("the journal holds");
    Ok(std::iter::from_fn(|| node.released().expect("the journal holds")).collect())
}

fn governed(left: &[Decided]) -> Vec<Governed> {
    let effects = left.iter().flat_map(|decided| &decided.effects);
    effects.filter_map(|effect| if let Effect::Governed { what } = effect { Some(*what) } else { None }).collect()
}

#[test]
fn a_signed_statement_takes_effect_and_the_journal_verifies_its_signature() {
    let storage = MemoryStorage::new();
    let mut node = open(&storage).unwrap();
    node.turn(Timestamp(1_000 * SECOND), vec![]).unwrap();
    let signed = draft(&node, 0, tighten(0)).sign(&SECRETS[0]);
    let left = hear(&mut node, &signed).unwrap();
    assert!(matches!(governed(&left)[..], [Governed::Imposed { market: MarketId(0), by: 0, .. }]), "{left:?}");
    // Brought a second time it does not even come in; what the kernel refuses does.
    let height = node.head().height;
    assert_eq!(hear(&mut node, &signed).unwrap_err(), BadStatement::Refused(Refusal::Nonce { next: 2 }));
    assert_eq!(node.head().height, height);
    let signed = draft(&node, 0, Act::Propose(Change::Lift { market: MarketId(0) })).sign(&SECRETS[0]);
    let left = hear(&mut node, &signed).unwrap();
    let reject = Reject::Refused { why: Refusal::NotAllowed };
    let refused = |effect: &Effect| matches!(effect, Effect::Rejected { reject: found, .. } if *found == reject);
    assert!(left.iter().flat_map(|decided| &decided.effects).any(refused));
    node.close().unwrap();
    let said = |batch: &Batch| batch.inputs.iter().filter(|input| matches!(input, Input::Statement(_))).count();
    let mut statements = 0;
    verify(storage.clone(), None, &mut |batch, _| statements += said(batch)).unwrap();
    assert_eq!(statements, 2);
    let node = open(&storage).unwrap();
    assert_eq!(node.state().governance.nonces, [1, 0, 0]);
    assert!(node.state().market(MarketId(0)).unwrap().restraint.imposed.is_some());
}

#[test]
fn what_no_listed_key_signed_for_this_venue_leaves_no_trace() {
    let storage = MemoryStorage::new();
    let mut node = open(&storage).unwrap();
    node.turn(Timestamp(1_000 * SECOND), vec![]).unwrap();
    let height = node.head().height;
    let good = draft(&node, 0, tighten(0)).sign(&SECRETS[0]);
    let mut forged = good.clone();
    forged.signature[40] ^= 1;
    let mut altered = good.clone();
    altered.text = altered.text.replace("for=3600000000", "for=3600000001");
    let stranger = draft(&node, 0, tighten(0)).sign(&SECRETS[3]);
    let mut elsewhere = draft(&node, 0, tighten(0));
    elsewhere.venue = [9; 32];
    let elsewhere = elsewhere.sign(&SECRETS[0]);
    // Another's signature under the guardian's name.
    let mut borrowed = good.clone();
    borrowed.signature = draft(&node, 0, tighten(0)).sign(&SECRETS[1]).signature;
    let blank = Signed { text: String::new(), signature: [0; 64] };
    let found =
        [forged, altered, stranger, elsewhere, borrowed, blank].map(|signed| hear(&mut node, &signed).unwrap_err());
    assert!(
        matches!(
            found,
            [
                BadStatement::Forged,
                BadStatement::Forged,
                BadStatement::UnknownKey,
                BadStatement::OtherVenue { .. },
                BadStatement::Forged,
                BadStatement::Malformed { line: 1, .. }
            ]
        ),
        "{found:?}"
    );
    assert_eq!(node.head().height, height);
    assert!(hear(&mut node, &good).is_ok());
}

#[test]
fn what_the_kernel_would_refuse_unread_stays_outside() {
    let storage = MemoryStorage::new();
    let mut node = open(&storage).unwrap();
    node.turn(Timestamp(1_000 * SECOND), vec![]).unwrap();
    let at = node.state().at;
    let heard = Timestamp(at.0 + SECOND);
    let max = heard.plus(GovernanceParams::closed().statement_max);
    let said = |nonce, expires| Draft { nonce, expires, ..draft(&node, 0, tighten(0)) }.sign(&SECRETS[0]);
    let cases = [
        (said(2, max), Some(Refusal::Nonce { next: 1 })),
        (said(0, max), Some(Refusal::Nonce { next: 1 })),
        (said(1, heard), Some(Refusal::Expired)),
        (said(1, max.plus(Duration(1))), Some(Refusal::TooFarAhead { max })),
        (said(1, max), None),
    ];
    for (signed, refused) in cases {
        let height = node.head().height;
        let found = node.hear(heard, &signed).unwrap();
        assert_eq!(found.clone().err(), refused.map(BadStatement::Refused));
        assert_eq!(node.head().height, height + u64::from(refused.is_none()), "{found:?}");
    }
    // A key that may do nothing fills no journal.
    let mut params = params();
    params.governance.keys[0].role = Role::Observer;
    let genesis = Kernel::new(&params, Traffic::new(6).genesis()).unwrap();
    let (mut node, _) = Node::open(MemoryStorage::new(), CONFIG, None, genesis).unwrap();
    node.turn(Timestamp(1_000 * SECOND), vec![]).unwrap();
    let signed = draft(&node, 0, tighten(0)).sign(&SECRETS[0]);
    assert_eq!(hear(&mut node, &signed).unwrap_err(), BadStatement::Refused(Refusal::NotAllowed));
}

#[test]
fn a_journal_with_a_statement_that_nobody_signed_is_refused_with_its_place() {
    let begun = || {
        let storage = MemoryStorage::new();
        let mut node = open(&storage).unwrap();
        node.turn(Timestamp(1_000 * SECOND), vec![]).unwrap();
        let signed = draft(&node, 0, tighten(0)).sign(&SECRETS[0]);
        let at = node.state().at;
        node.close().unwrap();
        (storage, signed, at)
    };
    let (_, signed, at) = begun();
    let said = |signature| Statement {
        key: 0,
        nonce: 1,
        expires: Timestamp(at.0 + 60 * SECOND),
        act: tighten(0),
        because: b"the books are empty".to_vec(),
        signature,
    };
    for (signature, key, good) in
        [(signed.signature, 0, true), ([7; 64], 0, false), (signed.signature, 1, false), (signed.signature, 9, false)]
    {
        let (copy, ..) = begun();
        let mut opened = journal::open(copy.clone(), Start::Newest).unwrap();
        while opened.next_record().unwrap().is_some() {}
        let mut journal = opened.into_journal(Options { rules: node::rules(), segment_bytes: 1 << 20 }).unwrap();
        let head = journal.head();
        let inputs = vec![Input::Restart, Input::Statement(Box::new(Statement { key, ..said(signature) }))];
        let batch = Batch { height: head.height + 1, at, seed: head.hash, inputs };
        journal.append(&head.entry(codec::to_bytes(&batch))).unwrap();
        journal.commit().unwrap();
        drop(journal);
        let found = verify(copy.clone(), None, &mut |_, _| {});
        match found {
            Ok(_) => assert!(good, "{key}"),
            Err(NodeFault::Unsigned { height, input }) => {
                assert!(!good && (height, input) == (head.height + 1, 1), "{key} at {height}, {input}");
            }
            Err(other) => panic!("{other}"),
        }
        assert_eq!(open(&copy).is_ok(), good);
    }
}

#[test]
fn receipts_name_the_parameters_in_force_and_a_restart_goes_on_with_them() {
    for restarts in [false, true] {
        let storage = MemoryStorage::new();
        let mut node = open(&storage).unwrap();
        node.turn(Timestamp(1_000 * SECOND), vec![]).unwrap();
        let before = node.state().params();
        let least = before.pools[0].borrow_max.0;
        let value = before.pools[0].account_borrow_max.0.min(least) - 1;
        let change = Change::Pool { pool: PoolId(0), setting: PoolSetting::AccountBorrowMax, value };
        let filed = draft(&node, 1, Act::Propose(change)).sign(&SECRETS[1]);
        let left = hear(&mut node, &filed).unwrap();
        let Some(Governed::Proposed { proposal, digest, .. }) = governed(&left).first().copied() else {
            let effects: Vec<_> = left.iter().flat_map(|decided| &decided.effects).collect();
            panic!("{effects:?}");
        };
        let approved = draft(&node, 2, Act::Approve { proposal, digest }).sign(&SECRETS[2]);
        let left = hear(&mut node, &approved).unwrap();
        assert!(governed(&left).contains(&Governed::Executed { proposal, change }), "{left:?}");
        assert_ne!(node.state().params(), before);
        if restarts {
            let at = node.state().at;
            node.close().unwrap();
            node = open(&storage).unwrap();
            assert_eq!(node.state().at, at);
        }
        node.turn(Timestamp(2_000 * SECOND), vec![]).unwrap();
        let head = node.close().unwrap();
        let found = verify(storage.clone(), None, &mut |_, _| {}).unwrap();
        assert_eq!(found.head, head);
    }
}
