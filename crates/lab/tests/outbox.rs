//! An outbox and a real guard, with a way between them that loses what is sent and what is answered.

use guard::Guard;
use journal::MemoryStorage;
use kernel::Kernel;
use lab::model::traffic::Traffic;
use node::{Config, Decided, Node, NodeFault, Outbox, Way, undelivered};
use port::{Delivery, Sink, SinkFault, Standing};
use protocol::Mode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use venue::Limits;

const LIMITS: Limits = Limits { orders_max: 1 << 20, kernel_orders_max: 1 << 20 };
const CONFIG: Config = Config { segment_bytes: 1 << 20, snapshot_every: 40, limits: LIMITS };
const LEASE: Duration = Duration::from_secs(600);

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Arrives,
    NeverArrives,
    /// It is carried out, and the answer is lost.
    AnswerLost,
}

/// A guard at the other end of a bad way.
#[derive(Clone)]
struct BadWay {
    guard: Arc<Mutex<Guard>>,
    fate: Arc<dyn Fn(u64) -> Fate + Send + Sync>,
    messages: Arc<Mutex<u64>>,
}

impl BadWay {
    fn new(home: &std::path::Path, fate: impl Fn(u64) -> Fate + Send + Sync + 'static) -> BadWay {
        let guard = Arc::new(Mutex::new(Guard::open(home).unwrap()));
        BadWay { guard, fate: Arc::new(fate), messages: Arc::default() }
    }

    fn pass(&self, act: impl FnOnce(&mut Guard) -> Result<Standing, SinkFault>) -> Result<Standing, SinkFault> {
        let number = {
            let mut messages = self.messages.lock().unwrap();
            *messages += 1;
            *messages
        };
        let lost = || Err(SinkFault::Unreached("lost".to_owned()));
        match (self.fate)(number) {
            Fate::Arrives => act(&mut self.guard.lock().unwrap()),
            Fate::NeverArrives => lost(),
            Fate::AnswerLost => {
                let _nobody_hears = act(&mut self.guard.lock().unwrap());
                lost()
            }
        }
    }
}

impl Sink for BadWay {
    fn deliver(&mut self, delivery: &Delivery) -> Result<Standing, SinkFault> {
        self.pass(|guard| guard.deliver(delivery).unwrap())
    }

    fn standing(&mut self) -> Result<Standing, SinkFault> {
        self.pass(|guard| Ok(guard.standing()))
    }

    fn renew(&mut self, epoch: u64, lasts: units::Duration) -> Result<Standing, SinkFault> {
        let lasts = Duration::from_micros(u64::try_from(lasts.0).unwrap());
        self.pass(|guard| guard.renew(epoch, lasts, Instant::now()).unwrap())
    }
}

fn open(storage: &MemoryStorage, traffic: &Traffic) -> Node {
    let genesis = Kernel::new(traffic.params(), traffic.genesis()).expect("the seed's venue is well formed");
    Node::open(storage.clone(), CONFIG, None, genesis).unwrap().0
}

/// A life of a node: what it decided, in order.
fn turns(node: &mut Node, traffic: &mut Traffic, count: u32) -> Vec<Decided> {
    let mut left = Vec::new();
    for _ in 0..count {
        let batch = traffic.next(node.state());
        node.turn(batch.at, batch.inputs).unwrap();
        node.settle().unwrap();
        while let Some(decided) = node.released().unwrap() {
            left.push(decided);
        }
    }
    left
}

/// How many effects were decided in all, and the digest over them, as a guard has them that carried each out once and in order.
fn expected(all: &[Decided]) -> (u64, String) {
    let (mut carried, mut digest) = (0, [0; 32]);
    for decided in all.iter().filter(|decided| !decided.effects.is_empty()) {
        carried += decided.effects.len() as u64;
        digest = Guard::digest(&digest, decided.height, &decided.effects);
    }
    (carried, digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[test]
fn whatever_the_way_loses_each_effect_is_carried_out_once() {
    let draw = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    let (mut read_back, mut again) = (0, 0);
    for seed in 0..3 {
        let home = tempfile::tempdir().unwrap();
        let way = BadWay::new(home.path(), move |number| match draw(number + 1_000 * seed) % 10 {
            0 => Fate::NeverArrives,
            1 => Fate::AnswerLost,
            _ => Fate::Arrives,
        });
        let (storage, mut traffic) = (MemoryStorage::new(), Traffic::new(seed));
        let mut all = Vec::new();
        // Four lives: in each the last batches are decided, and the node is gone before they leave.
        for _ in 0..4 {
            let standing = way.guard.lock().unwrap().standing();
            let left = undelivered(storage.clone(), &standing).unwrap();
            let mut node = open(&storage, &traffic);
            let mut outbox = Outbox::begin(way.clone(), node.head().height, &standing, LEASE).unwrap();
            // What nobody was told of in the life before is told first.
            let missing: Vec<u64> = left.iter().map(|decided| decided.height).collect();
            let known: Vec<u64> = all
                .iter()
                .filter(|decided: &&Decided| standing.height < decided.height && !decided.effects.is_empty())
                .map(|decided| decided.height)
                .collect();
            assert_eq!(missing, known, "seed {seed}");
            assert!(left.iter().all(|decided| outbox.put(decided)));
            let told = turns(&mut node, &mut traffic, 12);
            assert!(told.iter().all(|decided| outbox.put(decided)));
            all.extend(told);
            let since = Instant::now();
            while outbox.delivered().waiting != 0 {
                assert!(since.elapsed() < Duration::from_secs(60), "{:?}", outbox.delivered());
                std::thread::sleep(Duration::from_millis(2));
            }
            let delivered = outbox.delivered();
            assert_eq!(delivered.way, Way::Confirmed);
            read_back += delivered.read_back.0;
            again += delivered.read_back.1;
            let _ended = outbox.end(Duration::from_secs(5));
            // Decided, durable, and never put into any outbox.
            all.extend(turns(&mut node, &mut traffic, 3));
            drop(node);
        }
        let standing = way.guard.lock().unwrap().standing();
        let mut outbox = Outbox::begin(way.clone(), u64::MAX, &standing, LEASE).unwrap();
        assert!(undelivered(storage, &standing).unwrap().iter().all(|decided| outbox.put(decided)));
        let delivered = outbox.end(Duration::from_secs(60));
        assert_eq!((delivered.way, delivered.waiting), (Way::Confirmed, 0), "seed {seed}");
        let guard = way.guard.lock().unwrap();
        let (carried, digest) = guard.carried();
        assert_eq!((carried, digest.to_owned()), expected(&all), "seed {seed}");
    }
    assert!(read_back > 0 && again > 0, "{read_back} had arrived, {again} were sent again");
}

#[test]
fn a_node_that_was_replaced_stops() {
    let home = tempfile::tempdir().unwrap();
    let way = BadWay::new(home.path(), |_| Fate::Arrives);
    let (storage, mut traffic) = (MemoryStorage::new(), Traffic::new(1));
    let mut node = open(&storage, &traffic);
    let mut old = Outbox::begin(way.clone(), 0, &Standing::default(), LEASE).unwrap();
    let told = turns(&mut node, &mut traffic, 10);
    let (first, rest) = told.split_at(5);
    assert!(first.iter().all(|decided| old.put(decided)));
    let since = Instant::now();
    while old.delivered().waiting != 0 {
        assert!(since.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(2));
    }
    // Another one begins, and renews its lease before anything else.
    let standing = way.guard.lock().unwrap().standing();
    let _new = Outbox::begin(way.clone(), 6, &standing, LEASE).unwrap();
    while way.guard.lock().unwrap().standing().epoch != 6 {
        assert!(since.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(2));
    }
    for decided in rest {
        let _in_vain = old.put(decided);
    }
    let delivered = old.end(Duration::from_secs(60));
    assert_eq!(delivered.way, Way::Stopped(SinkFault::Fenced { epoch: 6 }));
    assert_eq!(way.guard.lock().unwrap().standing().height, standing.height);
}

#[test]
fn a_journal_that_was_put_back_is_refused() {
    let (storage, mut traffic) = (MemoryStorage::new(), Traffic::new(2));
    let mut node = open(&storage, &traffic);
    let told = turns(&mut node, &mut traffic, 30);
    drop(node);
    let last = told.last().unwrap();
    let at = |height, record| Standing { epoch: 0, height, record };
    assert_eq!(undelivered(storage.clone(), &at(last.height, last.receipt.record)).unwrap(), Vec::new());
    for (standing, found) in [
        (at(last.height + 1, [1; 32]), "an end at height"),
        (at(last.height, [1; 32]), "this journal has "),
        (at(told[3].height, told[4].receipt.record), "this journal has "),
    ] {
        let fault = undelivered(storage.clone(), &standing).unwrap_err();
        assert!(matches!(fault, NodeFault::OtherHistory { .. }) && fault.to_string().contains(found), "{fault}");
    }
    let fault = undelivered(MemoryStorage::new(), &at(1, [1; 32])).unwrap_err().to_string();
    assert!(fault.contains("nothing") && fault.contains("older state"), "{fault}");
    assert_eq!(undelivered(MemoryStorage::new(), &Standing::default()).unwrap(), Vec::new());
}

#[test]
fn a_lease_that_cannot_be_renewed_lapses_at_the_venue() {
    let home = tempfile::tempdir().unwrap();
    let is_cut = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let cut = Arc::clone(&is_cut);
    let way = BadWay::new(home.path(), move |_| {
        if cut.load(std::sync::atomic::Ordering::Relaxed) { Fate::NeverArrives } else { Fate::Arrives }
    });
    let _outbox = Outbox::begin(way.clone(), 1, &Standing::default(), Duration::from_millis(300)).unwrap();
    let has_lease = || way.guard.lock().unwrap().lease(Instant::now()).is_some();
    let until = |wanted: bool| {
        let since = Instant::now();
        while has_lease() != wanted {
            assert!(since.elapsed() < Duration::from_secs(20), "the lease is not {wanted}");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    until(true);
    is_cut.store(true, std::sync::atomic::Ordering::Relaxed);
    until(false);
    assert!(way.guard.lock().unwrap().in_force(protocol::MarketId(0), Instant::now()).mode >= Mode::ReduceOnly);
    is_cut.store(false, std::sync::atomic::Ordering::Relaxed);
    until(true);
}

/// A way that breaks down with whoever walks it.
struct Breaks;

impl Sink for Breaks {
    fn deliver(&mut self, _: &Delivery) -> Result<Standing, SinkFault> {
        panic!("planted")
    }

    fn standing(&mut self) -> Result<Standing, SinkFault> {
        Ok(Standing::default())
    }

    fn renew(&mut self, _: u64, _: units::Duration) -> Result<Standing, SinkFault> {
        Ok(Standing::default())
    }
}

#[test]
fn a_sender_that_panics_is_seen_and_nothing_more_leaves() {
    let (storage, mut traffic) = (MemoryStorage::new(), Traffic::new(1));
    let mut node = open(&storage, &traffic);
    let mut outbox = Outbox::begin(Breaks, 0, &Standing::default(), LEASE).unwrap();
    assert!(turns(&mut node, &mut traffic, 5).iter().all(|decided| outbox.put(decided)));
    let since = Instant::now();
    while !matches!(outbox.delivered().way, Way::Stopped(SinkFault::Refused(_))) {
        assert!(since.elapsed() < Duration::from_secs(20), "{:?}", outbox.delivered());
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(outbox.delivered().confirmed, 0);
}
