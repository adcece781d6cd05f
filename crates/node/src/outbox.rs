//! What was decided, on its way to the venue's side: sent, confirmed, or uncertain until it is read back.
//!
//! One delivery is under way at a time, in the order of heights. A thread of its own sends, so that no venue holds the loop up before
//! [`WAITING_MAX`] deliveries wait. The lease is as old as the loop's last turn or as the oldest delivery that is not confirmed, whichever
//! is older: a loop that stands still, or decisions that do not arrive, let it lapse.

use crate::node::Decided;
use journal::Head;
use port::{Delivery, Sink, SinkFault, Standing};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The most deliveries that wait for a venue that does not answer.
pub const WAITING_MAX: usize = 16_384;
/// Likewise effects in them; a delivery that has more waits alone.
pub const EFFECTS_MAX: usize = 1 << 20;
/// The first wait before something uncertain is read back; each further one is twice as long.
const BACKOFF: Duration = Duration::from_millis(50);
/// The longest.
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// How soon a lease that was not renewed is tried again.
const RETRY: Duration = Duration::from_millis(250);

/// What became of the delivery that is under way, or of the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// The venue's side has everything that left.
    #[default]
    Confirmed,
    /// Sent, and not answered yet.
    Sent,
    /// Sent, and not known whether it was carried out: it will be read back.
    Uncertain(String),
    /// Nothing more leaves: another node took over, or the venue's side can't carry it out.
    Stopped(SinkFault),
}

/// How an outbox is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// What became of it.
    pub way: Way,
    /// The height of the last delivery that is confirmed.
    pub confirmed: u64,
    /// Deliveries that wait, the one under way included.
    pub waiting: usize,
    /// Effects in those that wait.
    pub effects: usize,
    /// Deliveries that were uncertain and had arrived, and those that had to be sent again.
    pub read_back: (u64, u64),
    /// When the lease was renewed last.
    pub renewed: Option<Instant>,
}

/// The loop's end.
#[derive(Debug)]
pub struct Outbox {
    /// Nothing once something was given up: what comes behind it may not leave either.
    queue: Option<SyncSender<Waiting>>,
    shared: Arc<Mutex<Delivered>>,
    /// When the loop turned last; nothing before its first turn.
    beat: Arc<Mutex<Option<Instant>>>,
    worker: JoinHandle<()>,
    epoch: u64,
    /// The height of the last delivery that was put in.
    last: u64,
    /// The one that found no room, which comes before any other.
    owed: Option<u64>,
}

/// A delivery and since when it waits.
#[derive(Debug)]
struct Waiting {
    delivery: Delivery,
    since: Instant,
}

fn held<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Outbox {
    /// Begins a life that a sink gave an epoch, behind what it has carried out. `lease` is how long the venue's side goes on without a word.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn begin(sink: impl Sink + Send + 'static, claimed: &Standing, lease: Duration) -> std::io::Result<Outbox> {
        let (queue, taken) = sync_channel(WAITING_MAX);
        let (epoch, last) = (claimed.epoch, claimed.height);
        let shared = Arc::new(Mutex::new(Delivered { confirmed: last, ..Delivered::default() }));
        let beat = Arc::new(Mutex::new(None));
        let worker = Worker {
            sink,
            epoch,
            lease,
            shared: Arc::clone(&shared),
            beat: Arc::clone(&beat),
            oldest: None,
            renew_at: Instant::now(),
        };
        let worker = std::thread::Builder::new().name("outbox".to_owned()).spawn(move || worker.run(&taken))?;
        Ok(Outbox { queue: Some(queue), shared, beat, worker, epoch, last, owed: None })
    }

    /// The loop turns.
    pub fn beat(&self) {
        *held(&self.beat) = Some(Instant::now());
    }

    /// Puts in what a batch decided; `false` where as many wait as may, and it is to be put in again before any other: with another one in its
    /// place nothing more leaves. What decided nothing, and what the venue's side has already, has nothing to be carried out.
    pub fn put(&mut self, decided: &Decided) -> bool {
        if decided.effects.is_empty() || decided.height <= self.last {
            return true;
        }
        self.enqueue(decided.height, decided.receipt.record, &decided.effects)
    }

    fn enqueue(&mut self, height: u64, record: [u8; 32], effects: &[protocol::Effect]) -> bool {
        if self.owed.is_some_and(|owed| owed != height) {
            // Behind a gap nothing may leave: the next life begins with what is missing.
            self.give_up();
        }
        let Some(queue) = &self.queue else { return true };
        let count = effects.len();
        {
            let mut shared = held(&self.shared);
            if shared.waiting != 0 && EFFECTS_MAX < shared.effects.saturating_add(count) {
                self.owed = Some(height);
                return matches!(shared.way, Way::Stopped(_));
            }
            shared.waiting += 1;
            shared.effects += count;
        }
        let effects = effects.to_vec();
        let delivery = Delivery { epoch: self.epoch, height, previous: self.last, record, effects };
        match queue.try_send(Waiting { delivery, since: Instant::now() }) {
            Ok(()) => {
                (self.last, self.owed) = (height, None);
                true
            }
            Err(TrySendError::Full(_)) => {
                let mut shared = held(&self.shared);
                shared.waiting -= 1;
                shared.effects -= count;
                self.owed = Some(height);
                false
            }
            // It stopped, and says why.
            Err(TrySendError::Disconnected(_)) => {
                self.give_up();
                true
            }
        }
    }

    /// Nothing more is put in: what is missing leaves first when a node begins again.
    pub fn give_up(&mut self) {
        self.queue = None;
    }

    /// How it is doing.
    #[must_use]
    pub fn delivered(&self) -> Delivered {
        held(&self.shared).clone()
    }

    /// Lets what waits leave for at most `within`, and behind it the word that the node came to `head`; says how it stands then. Where that word
    /// arrived nothing has to be decided again for the venue's side, by whatever release.
    #[must_use]
    pub fn end(mut self, within: Duration, head: Head) -> Delivered {
        if self.owed.is_none() && self.last < head.height {
            let _full = self.enqueue(head.height, head.hash, &[]);
        }
        self.give_up();
        let since = Instant::now();
        while !self.worker.is_finished() && since.elapsed() < within {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.delivered()
    }
}

struct Worker<S> {
    sink: S,
    epoch: u64,
    lease: Duration,
    shared: Arc<Mutex<Delivered>>,
    beat: Arc<Mutex<Option<Instant>>>,
    /// Since when the delivery that is under way waits.
    oldest: Option<Instant>,
    renew_at: Instant,
}

impl<S: Sink> Worker<S> {
    fn run(mut self, taken: &Receiver<Waiting>) {
        let shared = Arc::clone(&self.shared);
        // What a sink leaves behind that panicked is not used again: nothing more leaves, and everybody is told.
        let ended = catch_unwind(AssertUnwindSafe(|| self.serve(taken)));
        let fault = match ended {
            Ok(Ok(())) => return,
            Ok(Err(fault)) => fault,
            Err(_) => SinkFault::Refused("whoever sends broke off; its last words are in the log".to_owned()),
        };
        held(&shared).way = Way::Stopped(fault);
    }

    fn serve(&mut self, taken: &Receiver<Waiting>) -> Result<(), SinkFault> {
        loop {
            match taken.recv_timeout(self.renew_at.saturating_duration_since(Instant::now())) {
                Ok(Waiting { delivery, since }) => {
                    self.oldest = Some(since);
                    self.renew()?;
                    self.send(&delivery)?;
                    self.oldest = None;
                }
                Err(RecvTimeoutError::Timeout) => self.renew()?,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    /// Renews the lease where a third of it is over, for what is left of it since the loop turned and the oldest delivery was put in. One that could
    /// not be renewed is tried again soon: it lapses if none succeeds.
    fn renew(&mut self) -> Result<(), SinkFault> {
        let now = Instant::now();
        if now < self.renew_at {
            return Ok(());
        }
        // Where there is nothing to renew yet, or nobody to hear it, it is looked at again soon.
        self.renew_at = now + RETRY.min(self.lease / 3);
        let Some(beat) = *held(&self.beat) else { return Ok(()) };
        let since = self.oldest.map_or(beat, |oldest| oldest.min(beat));
        let left = self.lease.saturating_sub(now.saturating_duration_since(since));
        let micros = i64::try_from(left.as_micros()).unwrap_or(i64::MAX);
        if micros == 0 {
            return Ok(());
        }
        match self.sink.renew(self.epoch, units::Duration(micros)) {
            Ok(_) => {
                self.renew_at = now + self.lease / 3;
                held(&self.shared).renewed = Some(now);
                Ok(())
            }
            Err(SinkFault::Unreached(_)) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// Whether a delivery is the last that was carried out; or the one before it is, so that it did not arrive.
    fn arrived(&self, delivery: &Delivery, standing: &Standing) -> Result<bool, SinkFault> {
        if standing.epoch != self.epoch {
            return Err(SinkFault::Fenced { epoch: standing.epoch });
        }
        if (standing.height, standing.record) == (delivery.height, delivery.record) {
            return Ok(true);
        }
        if standing.height == delivery.previous {
            return Ok(false);
        }
        let Delivery { height, previous, .. } = delivery;
        Err(SinkFault::Refused(format!(
            "it is at height {}, with {height} behind {previous} under way",
            standing.height
        )))
    }

    /// Sends one delivery until it is known to be carried out.
    fn send(&mut self, delivery: &Delivery) -> Result<(), SinkFault> {
        let mut wait = BACKOFF;
        held(&self.shared).way = Way::Sent;
        loop {
            match self.sink.deliver(delivery) {
                Ok(standing) if self.arrived(delivery, &standing)? => break,
                Ok(_) => return Err(SinkFault::Refused("it says that it carried out, and that it did not".to_owned())),
                Err(SinkFault::Unreached(why)) => held(&self.shared).way = Way::Uncertain(why),
                Err(fault) => return Err(fault),
            }
            // Nothing is sent again before it is known that it did not arrive.
            let arrived = loop {
                std::thread::sleep(wait);
                wait = (wait * 2).min(BACKOFF_MAX);
                self.renew()?;
                match self.sink.standing() {
                    Ok(standing) => break self.arrived(delivery, &standing)?,
                    Err(SinkFault::Unreached(why)) => held(&self.shared).way = Way::Uncertain(why),
                    Err(fault) => return Err(fault),
                }
            };
            let mut shared = held(&self.shared);
            if arrived {
                shared.read_back.0 += 1;
                break;
            }
            shared.read_back.1 += 1;
            shared.way = Way::Sent;
        }
        let mut shared = held(&self.shared);
        shared.way = Way::Confirmed;
        shared.confirmed = delivery.height;
        shared.waiting = shared.waiting.saturating_sub(1);
        shared.effects = shared.effects.saturating_sub(delivery.effects.len());
        Ok(())
    }
}
