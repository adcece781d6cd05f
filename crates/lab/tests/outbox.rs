//! An outbox and a real guard, with a way between them that loses what is sent and what is answered.

use guard::Guard;
use journal::MemoryStorage;
use kernel::Kernel;
use lab::model::traffic::Traffic;
use node::{Config, Decided, Node, NodeFault, Outbox, Undelivered, Way};
use port::{Delivery, Sink, SinkFault, Standing};
use protocol::Mode;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
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

    fn claim(&mut self, at: &Standing) -> Result<Standing, SinkFault> {
        self.pass(|guard| guard.claim(at).unwrap())
    }

    fn renew(&mut self, epoch: u64, lasts: units::Duration) -> Result<Standing, SinkFault> {
        let lasts = Duration::from_micros(u64::try_from(lasts.0).unwrap());
        self.pass(|guard| guard.renew(epoch, lasts, Instant::now()))
    }
}

/// A life at the venue's side, with an epoch of its own.
fn begun(way: &BadWay, lease: Duration) -> Outbox {
    let claimed = {
        let mut guard = way.guard.lock().unwrap();
        let at = guard.standing();
        guard.claim(&at).unwrap().unwrap()
    };
    let outbox = Outbox::begin(way.clone(), &claimed, lease).unwrap();
    outbox.beat();
    outbox
}

fn undelivered(storage: &MemoryStorage, standing: &Standing) -> Result<Vec<Decided>, NodeFault> {
    let mut left = Vec::new();
    if let Some(mut behind) = Undelivered::behind(storage.clone(), standing)? {
        while let Some(decided) = behind.next_decided()? {
            left.push(decided);
        }
    }
    Ok(left)
}

fn settled(outbox: &Outbox) {
    let since = Instant::now();
    while outbox.delivered().waiting != 0 {
        assert!(since.elapsed() < Duration::from_secs(60), "{:?}", outbox.delivered());
        std::thread::sleep(Duration::from_millis(2));
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

fn node_head(all: &[Decided]) -> journal::Head {
    let last = all.last().unwrap();
    journal::Head { height: last.height, hash: last.receipt.record }
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
            let left = undelivered(&storage, &standing).unwrap();
            let mut node = open(&storage, &traffic);
            let mut outbox = begun(&way, LEASE);
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
            settled(&outbox);
            let delivered = outbox.delivered();
            assert_eq!(delivered.way, Way::Confirmed);
            read_back += delivered.read_back.0;
            again += delivered.read_back.1;
            // Killed: nobody says how far it came.
            outbox.give_up();
            // Decided, durable, and never put into any outbox.
            all.extend(turns(&mut node, &mut traffic, 3));
            drop(node);
        }
        let standing = way.guard.lock().unwrap().standing();
        let mut outbox = begun(&way, LEASE);
        assert!(undelivered(&storage, &standing).unwrap().iter().all(|decided| outbox.put(decided)));
        let head = node_head(&all);
        let delivered = outbox.end(Duration::from_secs(60), head);
        assert_eq!(
            (delivered.way, delivered.waiting, delivered.confirmed),
            (Way::Confirmed, 0, head.height),
            "seed {seed}"
        );
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
    let mut old = begun(&way, LEASE);
    let told = turns(&mut node, &mut traffic, 10);
    let (first, rest) = told.split_at(5);
    assert!(first.iter().all(|decided| old.put(decided)));
    settled(&old);
    // Another one begins, of the same journal and at the same height.
    let new = begun(&way, LEASE);
    let standing = way.guard.lock().unwrap().standing();
    for decided in rest {
        let _in_vain = old.put(decided);
    }
    let fenced = SinkFault::Fenced { epoch: standing.epoch };
    assert_eq!(old.end(Duration::from_secs(60), node_head(&told)).way, Way::Stopped(fenced));
    assert_eq!(way.guard.lock().unwrap().standing(), standing);
    drop(new);
}

#[test]
fn behind_one_that_found_no_room_nothing_leaves() {
    let home = tempfile::tempdir().unwrap();
    let is_cut = Arc::new(AtomicBool::new(true));
    let cut = Arc::clone(&is_cut);
    let way =
        BadWay::new(home.path(), move |_| if cut.load(Ordering::Relaxed) { Fate::NeverArrives } else { Fate::Arrives });
    let (storage, mut traffic) = (MemoryStorage::new(), Traffic::new(4));
    let mut node = open(&storage, &traffic);
    let told: Vec<Decided> =
        turns(&mut node, &mut traffic, 60).into_iter().filter(|decided| !decided.effects.is_empty()).collect();
    let mut outbox = begun(&way, LEASE);
    // As many effects as may wait, in one delivery that does not arrive.
    let mut large = told[0].clone();
    large.effects = vec![large.effects[0]; node::outbox::EFFECTS_MAX];
    assert!(outbox.put(&large));
    assert!(!outbox.put(&told[1]), "there is no room for one more");
    assert!(!outbox.put(&told[1]), "it is to be put in again");
    // Whoever gives it up and goes on with the next has nothing more delivered, however much room there is.
    assert!(outbox.put(&told[2]));
    is_cut.store(false, Ordering::Relaxed);
    settled(&outbox);
    assert!(outbox.put(&told[3]));
    let delivered = outbox.end(Duration::from_secs(60), node_head(&told));
    assert_eq!((delivered.confirmed, way.guard.lock().unwrap().standing().height), (told[0].height, told[0].height));
    // The next life begins with it.
    let standing = way.guard.lock().unwrap().standing();
    let missing: Vec<u64> = undelivered(&storage, &standing).unwrap().iter().map(|decided| decided.height).collect();
    assert_eq!(missing, told[1..].iter().map(|decided| decided.height).collect::<Vec<_>>());
}

#[test]
fn one_that_found_room_the_second_time_leaves_in_its_place() {
    let home = tempfile::tempdir().unwrap();
    let is_cut = Arc::new(AtomicBool::new(true));
    let cut = Arc::clone(&is_cut);
    let way =
        BadWay::new(home.path(), move |_| if cut.load(Ordering::Relaxed) { Fate::NeverArrives } else { Fate::Arrives });
    let (storage, mut traffic) = (MemoryStorage::new(), Traffic::new(4));
    let mut node = open(&storage, &traffic);
    let told: Vec<Decided> =
        turns(&mut node, &mut traffic, 60).into_iter().filter(|decided| !decided.effects.is_empty()).collect();
    let mut outbox = begun(&way, LEASE);
    let mut large = told[0].clone();
    large.effects = vec![large.effects[0]; node::outbox::EFFECTS_MAX];
    assert!(outbox.put(&large) && !outbox.put(&told[1]));
    is_cut.store(false, Ordering::Relaxed);
    settled(&outbox);
    assert!(told[1..].iter().all(|decided| outbox.put(decided)));
    let delivered = outbox.end(Duration::from_secs(60), node_head(&told));
    assert_eq!((delivered.way, delivered.confirmed), (Way::Confirmed, told[told.len() - 1].height));
}

#[test]
fn behind_a_node_that_ended_by_itself_nothing_is_decided_again() {
    let home = tempfile::tempdir().unwrap();
    let way = BadWay::new(home.path(), |_| Fate::Arrives);
    let (storage, mut traffic) = (MemoryStorage::new(), Traffic::new(1));
    let mut node = open(&storage, &traffic);
    let mut outbox = begun(&way, LEASE);
    assert!(turns(&mut node, &mut traffic, 30).iter().all(|decided| outbox.put(decided)));
    // Batches that decide nothing follow, so that the last delivery is not the last batch.
    let at = node.state().at;
    for n in 0..3 {
        node.turn(units::Timestamp(at.0 + n), Vec::new()).unwrap();
    }
    node.settle().unwrap();
    while let Some(decided) = node.released().unwrap() {
        assert!(outbox.put(&decided));
    }
    let before = outbox.delivered().confirmed;
    let delivered = outbox.end(Duration::from_secs(60), node.head());
    assert!(before < delivered.confirmed);
    let head = node.close().unwrap();
    let standing = way.guard.lock().unwrap().standing();
    assert_eq!((delivered.way, standing.height, standing.record), (Way::Confirmed, head.height, head.hash));
    // As another release meets it: no record behind the snapshot is touched. One byte of each segment says so.
    let names = journal::Storage::list(&storage).unwrap();
    for name in names.iter().filter(|name| name.ends_with(".segment")) {
        let mut bytes = journal::Storage::read(&storage, name).unwrap();
        let place = bytes.len() / 2;
        bytes[place] ^= 1;
        journal::Storage::replace(&storage, name, &bytes).unwrap();
    }
    let mut behind = Undelivered::behind(storage, &standing).unwrap().unwrap();
    drop(way);
    assert!(!matches!(behind.next_decided(), Ok(Some(_))));
}

#[test]
fn a_journal_that_was_put_back_is_refused() {
    let (storage, mut traffic) = (MemoryStorage::new(), Traffic::new(2));
    let mut node = open(&storage, &traffic);
    let told = turns(&mut node, &mut traffic, 30);
    drop(node);
    let last = told.last().unwrap();
    let at = |height, record| Standing { epoch: 0, height, record };
    assert_eq!(undelivered(&storage, &at(last.height, last.receipt.record)).unwrap(), Vec::new());
    for (standing, found) in [
        (at(last.height + 1, [1; 32]), "an end at height"),
        (at(last.height, [1; 32]), "this journal has "),
        (at(told[3].height, told[4].receipt.record), "this journal has "),
    ] {
        let fault = undelivered(&storage, &standing).unwrap_err();
        assert!(matches!(fault, NodeFault::OtherHistory { .. }) && fault.to_string().contains(found), "{fault}");
    }
    let fault = undelivered(&MemoryStorage::new(), &at(1, [1; 32])).unwrap_err().to_string();
    assert!(fault.contains("nothing") && fault.contains("older state"), "{fault}");
    assert_eq!(undelivered(&MemoryStorage::new(), &Standing::default()).unwrap(), Vec::new());
}

#[test]
fn a_lease_lapses_where_the_loop_stands_still_or_decisions_do_not_arrive() {
    let home = tempfile::tempdir().unwrap();
    // 0: everything arrives; 1: nothing does; 2: only deliveries do not.
    let state = Arc::new(AtomicU8::new(0));
    let seen = Arc::clone(&state);
    let way =
        BadWay::new(
            home.path(),
            move |_| if seen.load(Ordering::Relaxed) == 1 { Fate::NeverArrives } else { Fate::Arrives },
        );
    let (storage, mut traffic) = (MemoryStorage::new(), Traffic::new(1));
    let mut node = open(&storage, &traffic);
    let told: Vec<Decided> =
        turns(&mut node, &mut traffic, 20).into_iter().filter(|decided| !decided.effects.is_empty()).collect();
    let claimed = {
        let mut guard = way.guard.lock().unwrap();
        guard.claim(&Standing::default()).unwrap().unwrap()
    };
    let sink = Deaf { way: way.clone(), state: Arc::clone(&state) };
    let mut outbox = Outbox::begin(sink, &claimed, Duration::from_millis(400)).unwrap();
    let has_lease = || way.guard.lock().unwrap().lease(Instant::now()).is_some();
    let until = |outbox: &Outbox, turns: bool, wanted: bool, what: &str| {
        let since = Instant::now();
        while has_lease() != wanted {
            assert!(since.elapsed() < Duration::from_secs(20), "{what}");
            if turns {
                outbox.beat();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    std::thread::sleep(Duration::from_millis(500));
    assert!(!has_lease(), "the loop has not turned yet");
    until(&outbox, true, true, "it turns");
    until(&outbox, false, false, "it stands still");
    assert!(way.guard.lock().unwrap().in_force(protocol::MarketId(0), Instant::now()).mode >= Mode::ReduceOnly);
    until(&outbox, true, true, "it turns again");
    state.store(1, Ordering::Relaxed);
    until(&outbox, true, false, "nothing arrives");
    state.store(0, Ordering::Relaxed);
    until(&outbox, true, true, "everything does");
    // The guard answers, renews, and does not get what was decided: what it has is old.
    state.store(2, Ordering::Relaxed);
    assert!(outbox.put(&told[0]));
    until(&outbox, true, false, "decisions do not arrive");
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(1) {
        outbox.beat();
        assert!(!has_lease(), "and it stays so");
        std::thread::sleep(Duration::from_millis(5));
    }
    state.store(0, Ordering::Relaxed);
    until(&outbox, true, true, "they do");
    settled(&outbox);
}

/// A way on which deliveries alone are lost while `state` is 2.
struct Deaf {
    way: BadWay,
    state: Arc<AtomicU8>,
}

impl Sink for Deaf {
    fn deliver(&mut self, delivery: &Delivery) -> Result<Standing, SinkFault> {
        if self.state.load(Ordering::Relaxed) == 2 {
            return Err(SinkFault::Unreached("lost".to_owned()));
        }
        self.way.deliver(delivery)
    }

    fn standing(&mut self) -> Result<Standing, SinkFault> {
        self.way.standing()
    }

    fn claim(&mut self, at: &Standing) -> Result<Standing, SinkFault> {
        self.way.claim(at)
    }

    fn renew(&mut self, epoch: u64, lasts: units::Duration) -> Result<Standing, SinkFault> {
        self.way.renew(epoch, lasts)
    }
}

#[test]
fn what_another_life_had_carried_out_is_not_taken_for_ones_own() {
    // The answer is lost, and before it is read back another life has come further.
    let home = tempfile::tempdir().unwrap();
    let way = BadWay::new(home.path(), |number| if number == 1 { Fate::NeverArrives } else { Fate::Arrives });
    let (storage, mut traffic) = (MemoryStorage::new(), Traffic::new(1));
    let mut node = open(&storage, &traffic);
    let told: Vec<Decided> =
        turns(&mut node, &mut traffic, 20).into_iter().filter(|decided| !decided.effects.is_empty()).collect();
    let claimed = way.guard.lock().unwrap().claim(&Standing::default()).unwrap().unwrap();
    let mut old = Outbox::begin(way.clone(), &claimed, LEASE).unwrap();
    assert!(old.put(&told[0]));
    {
        let mut guard = way.guard.lock().unwrap();
        let epoch = guard.claim(&Standing { epoch: 0, ..Standing::default() }).unwrap().unwrap().epoch;
        let (height, record, effects) = (told[1].height, [7; 32], told[1].effects.clone());
        guard.deliver(&Delivery { epoch, height, previous: 0, record, effects }).unwrap().unwrap();
    }
    let delivered = old.end(Duration::from_secs(60), node_head(&told[..1]));
    assert_eq!((delivered.way, delivered.confirmed), (Way::Stopped(SinkFault::Fenced { epoch: 2 }), 0));
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

    fn claim(&mut self, _: &Standing) -> Result<Standing, SinkFault> {
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
    let mut outbox = Outbox::begin(Breaks, &Standing::default(), LEASE).unwrap();
    assert!(turns(&mut node, &mut traffic, 5).iter().all(|decided| outbox.put(decided)));
    let since = Instant::now();
    while !matches!(outbox.delivered().way, Way::Stopped(SinkFault::Refused(_))) {
        assert!(since.elapsed() < Duration::from_secs(20), "{:?}", outbox.delivered());
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(outbox.delivered().confirmed, 0);
}
