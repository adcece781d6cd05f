//! The thread that makes records durable, a group at a time.

use journal::{Entry, Fault, Journal, Snapshot, Storage};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Records that may wait for the disk. Whoever sequences more waits, too.
const WAITING_MAX: usize = 8_192;
/// Bytes after which a group is closed, though more is waiting.
const GROUP_BYTES: usize = 4 << 20;

enum Job {
    Entry(Entry),
    Keep(Kept),
}

/// A snapshot, and what is stated about the records before it.
pub(crate) struct Kept {
    pub(crate) snapshot: Snapshot,
    pub(crate) checkpoint: Option<String>,
}

#[derive(Default)]
struct Progress {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    synced: u64,
    fault: Option<Fault>,
    has_ended: bool,
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Writer {
    jobs: Option<SyncSender<Job>>,
    progress: Arc<Progress>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn begin<S>(journal: Journal<S>) -> Writer
    where
        S: Storage + Send + 'static,
        S::File: Send,
    {
        let (jobs, waiting) = sync_channel(WAITING_MAX);
        let progress = Arc::new(Progress::default());
        progress.lock().synced = journal.synced();
        let shared = Arc::clone(&progress);
        let thread = std::thread::spawn(move || {
            let result = write(journal, &waiting, &shared);
            let mut state = shared.lock();
            state.has_ended = true;
            state.fault = result.err();
            shared.changed.notify_all();
        });
        Writer { jobs: Some(jobs), progress, thread: Some(thread) }
    }

    /// Hands over a record. Waits where too many are waiting.
    pub(crate) fn append(&self, entry: Entry) -> Result<(), Fault> {
        self.hand_over(Job::Entry(entry))
    }

    /// Hands over a snapshot, kept once everything before it is durable.
    pub(crate) fn keep(&self, kept: Kept) -> Result<(), Fault> {
        self.hand_over(Job::Keep(kept))
    }

    fn hand_over(&self, job: Job) -> Result<(), Fault> {
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        if sent { Ok(()) } else { Err(self.fault()) }
    }

    /// The height that is durable by now.
    pub(crate) fn synced(&self) -> Result<u64, Fault> {
        let state = self.progress.lock();
        let (synced, has_ended) = (state.synced, state.has_ended);
        drop(state);
        if has_ended { Err(self.fault()) } else { Ok(synced) }
    }

    /// Returns once a height is durable.
    pub(crate) fn wait(&self, height: u64) -> Result<(), Fault> {
        let mut state = self.progress.lock();
        while state.synced < height && !state.has_ended {
            state = self.progress.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let is_durable = height <= state.synced;
        drop(state);
        if is_durable { Ok(()) } else { Err(self.fault()) }
    }

    fn fault(&self) -> Fault {
        let cause = "the thread that writes has ended";
        self.progress.lock().fault.take().unwrap_or_else(|| Fault::Dead { cause: cause.to_owned() })
    }

    /// Writes what is waiting, and ends.
    pub(crate) fn end(mut self) -> Result<(), Fault> {
        self.jobs = None;
        let ended = self.thread.take().is_none_or(|thread| thread.join().is_ok());
        match self.progress.lock().fault.take() {
            Some(fault) => Err(fault),
            None if ended => Ok(()),
            None => Err(Fault::Dead { cause: "the thread that writes panicked".to_owned() }),
        }
    }
}

fn write<S: Storage>(mut journal: Journal<S>, waiting: &Receiver<Job>, progress: &Progress) -> Result<(), Fault> {
    while let Ok(first) = waiting.recv() {
        let (mut next, mut bytes, mut kept) = (Some(first), 0, None::<Kept>);
        while let Some(job) = next.take() {
            match job {
                Job::Entry(entry) => {
                    bytes += entry.payload().len();
                    journal.append(&entry)?;
                    if bytes < GROUP_BYTES {
                        next = waiting.try_recv().ok();
                    }
                }
                Job::Keep(due) => kept = Some(due),
            }
        }
        let synced = journal.commit()?;
        progress.lock().synced = synced;
        progress.changed.notify_all();
        let Some(Kept { snapshot, checkpoint }) = kept else { continue };
        journal.keep(&snapshot)?;
        if let Some(checkpoint) = checkpoint {
            journal.attest(snapshot.head.height, &checkpoint)?;
        }
    }
    Ok(())
}
