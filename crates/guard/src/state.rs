//! What was carried out, and what is permitted.

use crate::log::Log;
use port::words::{hex, unhex, unhex_all};
use port::{Delivery, SinkFault, Standing};
use protocol::effect::Effect;
use protocol::{Action, MarketId, Mode, Restriction, Side};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The file beside the lock.
const FILE: &str = "guard.json";
const LOCK: &str = "guard.lock";
/// The longest lease.
const LEASE_MAX: Duration = Duration::from_secs(600);

/// What is kept: replaced as a whole, so that what was carried out and how far that is can't differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    epoch: u64,
    height: u64,
    record: String,
    /// Effects that were carried out.
    carried: u64,
    /// Over all of them: SHA-256 of the one before, the height and the effects' bytes.
    digest: String,
    /// Bytes of the log that count; what is behind them was never acknowledged.
    log_bytes: u64,
    /// The last change of each market's mode, as canonical bytes in hexadecimal.
    modes: BTreeMap<u16, String>,
}

/// What is in force in a market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InForce {
    /// What the node asked for.
    pub wanted: Mode,
    /// What is done: stricter where the lease is over.
    pub mode: Mode,
    /// Likewise, by action and side.
    pub restriction: Restriction,
}

/// A node's lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// When it ends.
    pub until: Instant,
}

/// The file can't be read, or not be written: the process is at its end.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// What the system says.
    #[error("{}: {error}", path.display())]
    Io {
        /// Of which file.
        path: PathBuf,
        /// What.
        error: io::Error,
    },
    /// Another process has it.
    #[error("{}: another guard runs there", .0.display())]
    Taken(PathBuf),
    /// It is no guard's.
    #[error("{}: {why}: put back what was there, or begin with an empty directory and another venue", path.display())]
    Unread {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// The venue's side.
#[derive(Debug)]
pub struct Guard {
    home: PathBuf,
    kept: Kept,
    record: [u8; 32],
    digest: [u8; 32],
    modes: BTreeMap<MarketId, (Mode, Restriction)>,
    lease: Option<Lease>,
    log: Log,
    _lock: File,
}

impl Guard {
    /// Goes on from a directory, or begins in an empty one. Without a lease: until a node renews one, everything is at least `ReduceOnly`.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn open(home: &Path) -> Result<Guard, Broken> {
        let failed = |path: PathBuf| move |error| Broken::Io { path, error };
        std::fs::create_dir_all(home).map_err(failed(home.to_owned()))?;
        let path = home.join(LOCK);
        let lock = File::create(&path).map_err(failed(path.clone()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(Broken::Taken(home.to_owned())),
            Err(std::fs::TryLockError::Error(error)) => return Err(Broken::Io { path, error }),
        }
        let path = home.join(FILE);
        let unread = |why: String| Broken::Unread { path: path.clone(), why };
        let kept: Kept = match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| unread(error.to_string()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (record, digest) = (hex(&[0; 32]), hex(&[0; 32]));
                Kept { epoch: 0, height: 0, record, carried: 0, digest, log_bytes: 0, modes: BTreeMap::new() }
            }
            Err(error) => return Err(Broken::Io { path, error }),
        };
        let hash = |text: &str, what: &str| unhex(text).ok_or_else(|| unread(format!("the {what} is no hash")));
        let (record, digest) = (hash(&kept.record, "record")?, hash(&kept.digest, "digest")?);
        let mut modes = BTreeMap::new();
        for text in kept.modes.values() {
            let effect = unhex_all(text).and_then(|bytes| codec::from_bytes(&bytes).ok());
            let Some(Effect::Mode { market, to, restriction, .. }) = effect else {
                return Err(unread("a mode in it is none".to_owned()));
            };
            modes.insert(market, (to, restriction));
        }
        let log = Log::open(home, kept.log_bytes)?;
        Ok(Guard { home: home.to_owned(), kept, record, digest, modes, lease: None, log, _lock: lock })
    }

    /// How far it is.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing { epoch: self.kept.epoch, height: self.kept.height, record: self.record }
    }

    /// How many effects were carried out, and the digest over them.
    #[must_use]
    pub fn carried(&self) -> (u64, &str) {
        (self.kept.carried, &self.kept.digest)
    }

    /// The digest behind another delivery.
    #[must_use]
    pub fn digest(before: &[u8; 32], height: u64, effects: &Vec<Effect>) -> [u8; 32] {
        let digest = Sha256::new_with_prefix(before).chain_update(height.to_le_bytes());
        digest.chain_update(codec::to_bytes(effects)).finalize().into()
    }

    /// Why whoever has this epoch may do nothing.
    fn fences(&self, epoch: u64) -> Option<SinkFault> {
        match epoch.cmp(&self.kept.epoch) {
            Ordering::Equal => None,
            Ordering::Less => Some(SinkFault::Fenced { epoch: self.kept.epoch }),
            Ordering::Greater => Some(SinkFault::Refused(format!("nobody was given the epoch {epoch} here"))),
        }
    }

    /// Begins a node's life, if this side still is where `at` says.
    ///
    /// # Errors
    /// As [`Guard::deliver`].
    pub fn claim(&mut self, at: &Standing) -> Result<Result<Standing, SinkFault>, Broken> {
        if (at.height, at.record) != (self.kept.height, self.record) {
            let why = format!("this side came to height {} meanwhile: another node delivers", self.kept.height);
            return Ok(Err(SinkFault::Refused(why)));
        }
        let Some(epoch) = self.kept.epoch.checked_add(1) else {
            return Ok(Err(SinkFault::Refused("there are no more epochs".to_owned())));
        };
        self.keep(Kept { epoch, ..self.kept.clone() })?;
        self.lease = None;
        Ok(Ok(self.standing()))
    }

    /// Carries a delivery out, or says why not.
    ///
    /// # Errors
    /// [`Broken`] where it can't be kept: what is on the disk is not known then, and only a new process may say.
    pub fn deliver(&mut self, delivery: &Delivery) -> Result<Result<Standing, SinkFault>, Broken> {
        let Delivery { epoch, height, previous, record, effects } = delivery;
        if let Some(fault) = self.fences(*epoch) {
            return Ok(Err(fault));
        }
        if (*height, *record) == (self.kept.height, self.record) {
            return Ok(Ok(self.standing()));
        }
        if *height <= self.kept.height || *previous != self.kept.height {
            let at = self.kept.height;
            let why = format!("the delivery of height {height} follows {previous}, and this side is at {at}");
            return Ok(Err(SinkFault::Refused(why)));
        }
        let mut kept = Kept { height: *height, record: hex(record), ..self.kept.clone() };
        let mut digest = self.digest;
        if !effects.is_empty() {
            digest = Guard::digest(&digest, *height, effects);
            kept.digest = hex(&digest);
            kept.carried = kept.carried.saturating_add(effects.len() as u64);
            kept.log_bytes = self.log.append(*height, effects, self.kept.log_bytes)?;
        }
        let changes = || {
            effects.iter().filter_map(|effect| match effect {
                Effect::Mode { market, to, restriction, .. } => Some((effect, *market, *to, *restriction)),
                _ => None,
            })
        };
        kept.modes.extend(changes().map(|(effect, market, ..)| (market.0, hex(&codec::to_bytes(effect)))));
        self.keep(kept)?;
        (self.record, self.digest) = (*record, digest);
        self.modes.extend(changes().map(|(_, market, to, restriction)| (market, (to, restriction))));
        Ok(Ok(self.standing()))
    }

    /// What was decided behind a height, at most so many deliveries: lines of JSON in order, and whether there are more.
    ///
    /// # Errors
    /// As [`Guard::deliver`].
    pub fn effects(&self, after: u64, most: usize) -> Result<(Vec<String>, bool), Broken> {
        self.log.behind(after, most, self.kept.log_bytes)
    }

    /// Lets a lease last for so long from `now`.
    ///
    /// # Errors
    /// [`SinkFault::Fenced`], or [`SinkFault::Refused`] where it would last too long.
    pub fn renew(&mut self, epoch: u64, lasts: Duration, now: Instant) -> Result<Standing, SinkFault> {
        if let Some(fault) = self.fences(epoch) {
            return Err(fault);
        }
        if LEASE_MAX < lasts {
            return Err(SinkFault::Refused(format!("a lease lasts at most {} s", LEASE_MAX.as_secs())));
        }
        self.lease = Some(Lease { until: now + lasts });
        Ok(self.standing())
    }

    /// What is left of the lease.
    #[must_use]
    pub fn lease(&self, now: Instant) -> Option<Duration> {
        self.lease.and_then(|lease| lease.until.checked_duration_since(now)).filter(|left| !left.is_zero())
    }

    /// What is in force in a market. One of which nothing was heard is halted.
    #[must_use]
    pub fn in_force(&self, market: MarketId, now: Instant) -> InForce {
        let known = self.modes.get(&market).copied();
        let (wanted, restriction) = known.unwrap_or((Mode::Halted, Restriction::of(Mode::Halted)));
        if self.lease(now).is_some() {
            return InForce { wanted, mode: wanted, restriction };
        }
        let restriction = restriction.join(Restriction::of(Mode::ReduceOnly));
        InForce { wanted, mode: wanted.max(Mode::ReduceOnly), restriction }
    }

    /// Markets of which a mode was heard.
    pub fn markets(&self) -> impl Iterator<Item = MarketId> {
        self.modes.keys().copied()
    }

    /// Whether the venue may do that now.
    #[must_use]
    pub fn permits(&self, market: MarketId, action: Action, side: Side, now: Instant) -> bool {
        self.in_force(market, now).restriction.permits(action, side)
    }

    fn keep(&mut self, kept: Kept) -> Result<(), Broken> {
        let path = self.home.join(FILE);
        let failed = |error| Broken::Io { path: path.clone(), error };
        let text = serde_json::to_string(&kept).map_err(|error| failed(error.into()))?;
        let mut beside = tempfile::NamedTempFile::new_in(&self.home).map_err(failed)?;
        beside.write_all(text.as_bytes()).map_err(failed)?;
        beside.as_file().sync_data().map_err(failed)?;
        beside.persist(&path).map_err(|error| failed(error.error))?;
        File::open(&self.home).and_then(|home| home.sync_all()).map_err(failed)?;
        self.kept = kept;
        Ok(())
    }
}
