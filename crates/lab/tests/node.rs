//! A node on a disk that fails, under the traffic of bad days.

use journal::merkle::Tree;
use journal::{Append, Crash, Fault, Head, MemoryStorage, Options, Snapshot, Start, Storage, Trouble};
use kernel::Kernel;
use lab::model::traffic::Traffic;
use node::{BadCheckpoint, Config, Decided, Kept, Node, NodeFault, Signer, Verified, verify};
use protocol::{Input, MarketId};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use venue::Limits;

const LIMITS: Limits = Limits { orders_max: 1 << 20, kernel_orders_max: 1 << 20 };
const CONFIG: Config = Config { segment_bytes: 200_000, snapshot_every: 50, limits: LIMITS };

fn genesis(traffic: &Traffic) -> Kernel {
    Kernel::new(traffic.params(), traffic.genesis()).expect("the seed's venue is well formed")
}

fn open(storage: &MemoryStorage, traffic: &Traffic) -> Result<(Node, Option<node::Recovered>), NodeFault> {
    Node::open(storage.clone(), CONFIG, Some(signer()), genesis(traffic))
}

fn signer() -> Signer {
    Signer::new("seawall.test", &[5; 32]).expect("a name")
}

fn verified(storage: &MemoryStorage) -> Result<Verified, NodeFault> {
    verify(storage.clone(), Some(&signer().verifier()), &mut |_, _| {})
}

/// Turns with the inputs that the traffic has for the node's state, all of them released.
fn turns(node: &mut Node, traffic: &mut Traffic, count: u32) -> Result<Vec<Decided>, NodeFault> {
    let mut left = Vec::new();
    for _ in 0..count {
        let batch = traffic.next(node.state());
        node.turn(batch.at, batch.inputs)?;
        for market in 0..traffic.params().markets.len() {
            node.auction(MarketId(u16::try_from(market).expect("few")));
        }
        while let Some(decided) = node.released()? {
            left.push(decided);
        }
    }
    Ok(left)
}

/// A disk whose syncs wait while it is held.
#[derive(Clone, Debug, Default)]
struct Held {
    inner: MemoryStorage,
    is_held: Arc<AtomicBool>,
}

#[derive(Debug)]
struct HeldFile {
    inner: <MemoryStorage as Storage>::File,
    is_held: Arc<AtomicBool>,
}

impl Held {
    fn file(&self, inner: <MemoryStorage as Storage>::File) -> HeldFile {
        HeldFile { inner, is_held: Arc::clone(&self.is_held) }
    }
}

impl Storage for Held {
    type File = HeldFile;

    fn list(&self) -> io::Result<Vec<String>> {
        self.inner.list()
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.inner.read(name)
    }

    fn create(&self, name: &str) -> io::Result<HeldFile> {
        Ok(self.file(self.inner.create(name)?))
    }

    fn reopen(&self, name: &str, len: u64) -> io::Result<HeldFile> {
        Ok(self.file(self.inner.reopen(name, len)?))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.inner.replace(name, bytes)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }
}

impl Append for HeldFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.inner.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        while self.is_held.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.inner.sync()
    }
}

#[test]
fn effects_leave_once_their_cause_is_durable_and_no_sooner() {
    let mut traffic = Traffic::new(3);
    let disk = Held::default();
    let (mut node, _) = Node::open(disk.clone(), CONFIG, None, genesis(&traffic)).unwrap();
    disk.is_held.store(true, Ordering::Relaxed);
    for _ in 0..20 {
        let batch = traffic.next(node.state());
        node.turn(batch.at, batch.inputs).unwrap();
    }
    assert!(node.has_waiting());
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(node.released().unwrap(), None);
    disk.is_held.store(false, Ordering::Relaxed);
    node.settle().unwrap();
    let mut heights = Vec::new();
    while let Some(decided) = node.released().unwrap() {
        heights.push(decided.height);
    }
    assert_eq!(heights, (1..=node.head().height).collect::<Vec<u64>>());
}

#[test]
fn a_disk_that_fails_ends_the_node_and_nothing_more_leaves() {
    for trouble in [Trouble::Refused, Trouble::Short(30)] {
        let mut traffic = Traffic::new(4);
        let storage = MemoryStorage::new();
        let (mut node, _) = open(&storage, &traffic).unwrap();
        turns(&mut node, &mut traffic, 20).unwrap();
        node.settle().unwrap();
        while node.released().unwrap().is_some() {}
        storage.trouble(0, trouble);
        let batch = traffic.next(node.state());
        // Whoever asks first after it hears of it.
        let fault = node.turn(batch.at, batch.inputs).and_then(|()| node.settle());
        assert!(matches!(fault, Err(NodeFault::Journal(Fault::Io { doing: "writing", .. }))), "{fault:?}");
        assert!(matches!(node.released(), Err(NodeFault::Journal(Fault::Dead { .. }))));
        // Nor is anything more taken in.
        let batch = traffic.next(node.state());
        assert!(matches!(node.turn(batch.at, batch.inputs), Err(NodeFault::Journal(Fault::Dead { .. }))));
    }
}

#[test]
fn whenever_the_power_goes_the_node_goes_on_behind_everything_that_left() {
    for seed in 0..12 {
        let mut traffic = Traffic::new(seed);
        let storage = MemoryStorage::new();
        let (mut left, mut state) = (0, None);
        for round in 0..6 {
            let (mut node, recovered) = open(&storage, &traffic).unwrap();
            if let Some(recovered) = recovered {
                let behind = recovered.snapshot + recovered.replayed;
                assert!(left <= behind, "seed {seed} round {round}: {left} left, and {behind} are there");
                // The first batch of a node that goes on says so.
                node.settle().unwrap();
                let first = node.released().unwrap().unwrap();
                assert_eq!((first.height, first.inputs), (behind + 1, vec![Input::Restart]));
            }
            // In the middle of the third round's writing the disk fails.
            storage.trouble(40 + round, if round % 2 == 0 { Trouble::Short(300) } else { Trouble::Refused });
            for decided in turns(&mut node, &mut traffic, 400).unwrap_or_default() {
                left = left.max(decided.height);
            }
            drop(node);
            // The thread that writes may still be at it: what it does now is gone with the power, or not.
            std::thread::sleep(Duration::from_millis(5));
            storage.crash([Crash::Lost, Crash::Kept(500), Crash::Reordered(100)][usize::try_from(round).unwrap() % 3]);
            let found = verified(&storage).unwrap();
            assert!(left <= found.head.height);
            state = Some(found);
        }
        let found: Verified = state.unwrap();
        assert!(1 < found.snapshots && 60 < found.batches, "seed {seed}: {found:?}");
    }
}

#[test]
fn the_books_are_made_anew_from_what_the_kernel_knows() {
    let (mut orders, mut busiest) = (0, 0);
    for seed in 0..10 {
        let mut traffic = Traffic::new(seed);
        let storage = MemoryStorage::new();
        let (mut node, _) = open(&storage, &traffic).unwrap();
        turns(&mut node, &mut traffic, 150).unwrap();
        node.settle().unwrap();
        while node.released().unwrap().is_some() {}
        node.close().unwrap();
        let (node, recovered) = open(&storage, &traffic).unwrap();
        assert_eq!(recovered.unwrap().replayed, 0);
        for market in node.state().markets() {
            let book = node.exchange().book(market.id).unwrap();
            let pool = node.state().pool_of(market.id).unwrap();
            let mut known: Vec<_> = pool.orders.iter().filter(|(_, order)| order.market == market.id).collect();
            known.sort_by_key(|(id, _)| **id);
            let mut resting: Vec<_> = book.orders().collect();
            resting.sort_by_key(|order| order.id);
            // The restart itself takes some back; they have left the kernel, and the venue hears of it when that is durable.
            let resting: Vec<_> = resting.iter().filter(|order| pool.orders.contains_key(&order.id)).collect();
            assert_eq!(resting.len(), known.len(), "seed {seed}: {:?}", market.id);
            for (rests, (id, order)) in resting.iter().zip(&known) {
                assert_eq!((rests.id, rests.size, rests.limit), (**id, order.remaining, order.limit));
            }
            orders += known.len();
            busiest = busiest.max(known.len());
        }
    }
    assert!(20 < orders && 1 < busiest, "{orders} orders, {busiest} in one book");
}

/// A journal of 120 batches, complete.
fn written(traffic: &mut Traffic) -> MemoryStorage {
    let storage = MemoryStorage::new();
    let (mut node, _) = open(&storage, traffic).unwrap();
    turns(&mut node, traffic, 120).unwrap();
    node.close().unwrap();
    storage
}

fn names(storage: &MemoryStorage, kind: &str) -> Vec<String> {
    let mut names: Vec<String> = storage.list().unwrap().into_iter().filter(|name| name.ends_with(kind)).collect();
    names.sort();
    names
}

#[test]
fn a_snapshot_that_is_not_what_its_records_lead_to_fails() {
    let storage = written(&mut Traffic::new(5));
    let found = verified(&storage).unwrap();
    assert!(2 < found.snapshots);
    // The state of another height, intact, under the head of this one.
    let read = |start: Start| journal::open(storage.clone(), start).unwrap().snapshot.unwrap();
    let (first, last) = (read(Start::Oldest), read(Start::Newest));
    let mut opened = journal::open(storage.clone(), Start::Oldest).unwrap();
    while opened.next_record().unwrap().is_some() {}
    let options = Options { rules: node::rules(), segment_bytes: 1 << 20 };
    let mut journal = opened.into_journal(options).unwrap();
    let (tree, mut state) = Kept::read(&last).unwrap();
    let sound = state.clone();
    state.pools[0].deposited += 1;
    state.pools[0].insurance += 1;
    journal.keep(&Snapshot { head: last.head, payload: Kept::of(&tree, &state) }).unwrap();
    let diverged = verified(&storage).unwrap_err();
    assert!(matches!(diverged, NodeFault::Diverged { height, .. } if height == last.head.height), "{diverged}");
    // The state is right, and the log of what was decided is another.
    let (size, whole) = tree.parts();
    let other = Tree::of_parts(size, vec![[9; 32]; whole.len()]).unwrap();
    journal.keep(&Snapshot { head: last.head, payload: Kept::of(&other, &sound) }).unwrap();
    let diverged = verified(&storage).unwrap_err();
    assert!(matches!(diverged, NodeFault::Diverged { height, .. } if height == last.head.height), "{diverged}");
    // A state of another height is none of this one.
    journal.keep(&Snapshot { head: last.head, payload: first.payload }).unwrap();
    let wrong = verified(&storage).unwrap_err();
    assert!(matches!(wrong, NodeFault::Misplaced { height } if height == last.head.height), "{wrong}");
}

/// Appends a payload behind a complete journal.
fn appended(storage: &MemoryStorage, rules: [u8; 32], payload: impl Fn(Head) -> Vec<u8>) {
    let mut opened = journal::open(storage.clone(), Start::Newest).unwrap();
    while opened.next_record().unwrap().is_some() {}
    let mut journal = opened.into_journal(Options { rules, segment_bytes: 1 << 20 }).unwrap();
    let entry = journal.head().entry(payload(journal.head()));
    journal.append(&entry).unwrap();
    journal.commit().unwrap();
}

#[test]
fn what_is_no_batch_or_follows_from_nothing_is_refused_with_its_height() {
    let traffic = Traffic::new(6);
    let at = |storage: &MemoryStorage| {
        let found = verified(storage).unwrap();
        (found.head.height + 1, node_at(storage, &traffic))
    };
    let cases: [(&str, Payload); 5] = [
        ("no batch", |_, _| b"hello".to_vec()),
        ("height", |head, at| batch(at, head.height + 2, head.hash)),
        ("the seed", |head, at| batch(at, head.height + 1, [9; 32])),
        ("the time", |head, at| batch(at - 1, head.height + 1, head.hash)),
        ("the time", |head, _| batch(i64::MAX, head.height + 1, head.hash)),
    ];
    for (what, payload) in cases {
        let storage = written(&mut traffic.clone());
        let (height, now) = at(&storage);
        appended(&storage, node::rules(), |head| payload(head, now));
        for fault in [verified(&storage).unwrap_err(), open(&storage, &traffic).map(drop).unwrap_err()] {
            let said = fault.to_string();
            let place = format!("at height {height} ");
            assert!(said.contains(&place) && said.contains(what), "{what}: {said}");
        }
    }
    // Other rules: refused, unless a snapshot stands behind what they decided.
    let storage = written(&mut traffic.clone());
    let (height, now) = at(&storage);
    appended(&storage, [1; 32], |head| batch(now, head.height + 1, head.hash));
    let fault = open(&storage, &traffic).map(drop).unwrap_err();
    assert!(matches!(fault, NodeFault::OtherRules { height: found, .. } if found == height), "{fault}");
}

/// What stands behind a head, at the time of the last batch.
type Payload = fn(Head, i64) -> Vec<u8>;

fn batch(at: i64, height: u64, seed: [u8; 32]) -> Vec<u8> {
    codec::to_bytes(&protocol::Batch { height, at: units::Timestamp(at), seed, inputs: vec![] })
}

fn node_at(storage: &MemoryStorage, traffic: &Traffic) -> i64 {
    let snapshot = journal::open(storage.clone(), Start::Newest).unwrap().snapshot.unwrap();
    let (_, state) = Kept::read(&snapshot).unwrap();
    assert_eq!(state.params(), *traffic.params());
    state.at.0
}

#[test]
fn another_venue_and_records_without_a_beginning_are_refused() {
    let mut traffic = Traffic::new(7);
    let storage = written(&mut traffic);
    let fault = open(&storage, &Traffic::new(8)).map(drop).unwrap_err();
    assert!(matches!(fault, NodeFault::OtherVenue), "{fault}");
    for name in names(&storage, ".snapshot") {
        storage.remove(&name).unwrap();
    }
    for fault in [open(&storage, &traffic).map(drop).unwrap_err(), verified(&storage).unwrap_err()] {
        assert!(matches!(fault, NodeFault::NoBeginning), "{fault}");
    }
}

#[test]
fn checkpoints_state_what_was_decided_and_nothing_else_is_accepted() {
    let mut traffic = Traffic::new(9);
    let storage = written(&mut traffic);
    let found = verified(&storage).unwrap();
    assert!(2 < found.checkpoints && found.checkpoints < found.batches, "{found:?}");
    let names = names(&storage, ".checkpoint");
    let name = names.last().unwrap();
    let text = String::from_utf8(storage.read(name).unwrap()).unwrap();
    let stated = signer().verifier().read(&text).unwrap();
    assert_eq!((stated.size, stated.root), (found.head.height, found.receipts));
    let refused = |text: &str| {
        storage.replace(name, text.as_bytes()).unwrap();
        verified(&storage).unwrap_err()
    };
    // Signed by somebody else, of another root, of another height, and none at all.
    let stranger = Signer::new("seawall.test", &[6; 32]).unwrap();
    let height = found.head.height;
    let unsigned = refused(&stranger.checkpoint(height, &found.receipts));
    assert!(matches!(unsigned, NodeFault::Checkpoint { error: BadCheckpoint::Unsigned, .. }), "{unsigned}");
    let other = refused(&signer().checkpoint(height, &[1; 32]));
    assert!(matches!(other, NodeFault::Contradicted { field: "the root", .. }), "{other}");
    let earlier = refused(&signer().checkpoint(height - 1, &found.receipts));
    assert!(matches!(earlier, NodeFault::Contradicted { field: "the size", .. }), "{earlier}");
    let none = refused("hello");
    assert!(matches!(none, NodeFault::Checkpoint { error: BadCheckpoint::Malformed, .. }), "{none}");
    storage.replace(name, text.as_bytes()).unwrap();
    assert_eq!(verified(&storage).unwrap(), found);
    // One about records that are gone.
    let further = format!("{:020}.checkpoint", height + 1);
    storage.replace(&further, signer().checkpoint(height + 1, &found.receipts).as_bytes()).unwrap();
    let gone = verified(&storage).unwrap_err();
    assert!(matches!(gone, NodeFault::Contradicted { field: "the size", .. }), "{gone}");
    storage.remove(&further).unwrap();
    // Nobody is trusted who was not named.
    let nobody = verify(storage.clone(), None, &mut |_, _| {}).unwrap_err();
    assert!(matches!(nobody, NodeFault::Checkpoint { error: BadCheckpoint::Unsigned, .. }), "{nobody}");
}
