//! What was decided, on its way to the venue's side: sent, confirmed, or uncertain until it is read back.
//!
//! One delivery is under way at a time, in the order of heights. A thread of its own sends, so that no venue holds the loop up before
//! [`WAITING_MAX`] deliveries wait; then the loop waits, and the lease lapses at the venue long before.

use crate::node::Decided;
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
    queue: Option<SyncSender<Delivery>>,
    shared: Arc<Mutex<Delivered>>,
    worker: Option<JoinHandle<()>>,
    epoch: u64,
    /// The height of the last delivery that was put in.
    last: u64,
}

fn held(shared: &Mutex<Delivered>) -> MutexGuard<'_, Delivered> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Outbox {
    /// Begins behind what `standing` says is carried out, with a lease of `lease` that is renewed three times as often.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn begin(
        sink: impl Sink + Send + 'static,
        epoch: u64,
        standing: &Standing,
        lease: Duration,
    ) -> std::io::Result<Outbox> {
        let (queue, taken) = sync_channel(WAITING_MAX);
        let shared = Arc::new(Mutex::new(Delivered { confirmed: standing.height, ..Delivered::default() }));
        let worker = Worker { sink, epoch, lease, shared: Arc::clone(&shared), renew_at: Instant::now() };
        let worker = std::thread::Builder::new().name("outbox".to_owned()).spawn(move || worker.run(&taken))?;
        Ok(Outbox { queue: Some(queue), shared, worker: Some(worker), epoch, last: standing.height })
    }

    /// Puts in what a batch decided; gives it back as `false` where as many wait as may, to be put in again. What decided nothing, and
    /// what the venue's side has already, has nothing to be carried out.
    pub fn put(&mut self, decided: &Decided) -> bool {
        if decided.effects.is_empty() || decided.height <= self.last {
            return true;
        }
        let (height, record, count) = (decided.height, decided.receipt.record, decided.effects.len());
        {
            let mut shared = held(&self.shared);
            if shared.waiting != 0 && EFFECTS_MAX < shared.effects + count {
                return matches!(shared.way, Way::Stopped(_));
            }
            shared.waiting += 1;
            shared.effects += count;
        }
        let effects = decided.effects.clone();
        let delivery = Delivery { epoch: self.epoch, height, previous: self.last, record, effects };
        let Some(queue) = &self.queue else { return true };
        match queue.try_send(delivery) {
            Ok(()) => {
                self.last = height;
                true
            }
            Err(TrySendError::Full(_)) => {
                let mut shared = held(&self.shared);
                shared.waiting -= 1;
                shared.effects -= count;
                false
            }
            // It stopped, and says why.
            Err(TrySendError::Disconnected(_)) => true,
        }
    }

    /// How it is doing.
    #[must_use]
    pub fn delivered(&self) -> Delivered {
        held(&self.shared).clone()
    }

    /// Lets what waits leave for at most `within`, and says how it stands then.
    #[must_use]
    pub fn end(mut self, within: Duration) -> Delivered {
        drop(self.queue.take());
        let since = Instant::now();
        let is_done = |worker: &JoinHandle<()>| worker.is_finished();
        while self.worker.as_ref().is_some_and(|worker| !is_done(worker)) && since.elapsed() < within {
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
    renew_at: Instant,
}

impl<S: Sink> Worker<S> {
    fn run(mut self, taken: &Receiver<Delivery>) {
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

    fn serve(&mut self, taken: &Receiver<Delivery>) -> Result<(), SinkFault> {
        loop {
            self.renew()?;
            match taken.recv_timeout(self.renew_at.saturating_duration_since(Instant::now())) {
                Ok(delivery) => self.send(&delivery)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    /// Renews the lease where a third of it is over. One that could not be renewed is tried again with the next third: it lapses if none succeeds.
    fn renew(&mut self) -> Result<(), SinkFault> {
        let now = Instant::now();
        if now < self.renew_at {
            return Ok(());
        }
        self.renew_at = now + self.lease / 3;
        let micros = i64::try_from(self.lease.as_micros()).unwrap_or(i64::MAX);
        match self.sink.renew(self.epoch, units::Duration(micros)) {
            Ok(_) => {
                held(&self.shared).renewed = Some(now);
                Ok(())
            }
            Err(SinkFault::Unreached(_)) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// Sends one delivery until it is known to be carried out.
    fn send(&mut self, delivery: &Delivery) -> Result<(), SinkFault> {
        let mut wait = BACKOFF;
        let confirmed = |standing: &Standing| delivery.height <= standing.height;
        held(&self.shared).way = Way::Sent;
        loop {
            match self.sink.deliver(delivery) {
                Ok(standing) if confirmed(&standing) => break,
                Ok(standing) => {
                    let why =
                        format!("it says that it is at height {} after height {}", standing.height, delivery.height);
                    return Err(SinkFault::Refused(why));
                }
                Err(SinkFault::Unreached(why)) => held(&self.shared).way = Way::Uncertain(why),
                Err(fault) => return Err(fault),
            }
            // Nothing is sent again before it is known that it did not arrive.
            let arrived = loop {
                std::thread::sleep(wait);
                wait = (wait * 2).min(BACKOFF_MAX);
                self.renew()?;
                match self.sink.standing() {
                    Ok(standing) => break confirmed(&standing),
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
