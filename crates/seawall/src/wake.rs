//! Waking people, and whoever restarts a process that stands still.

use alerts::{Courier, Incident, Severity, Targets, Tracker};
use anyhow::{Context as _, Result};
use api::{View, Window, Wrong};
use std::path::Path;
use std::time::{Duration, Instant};

/// What is wrong is looked at so often.
const EVERY: Duration = Duration::from_secs(1);
/// Has the targets of a file told of what is to be seen, on a thread of its own until the process ends.
pub(crate) fn watch(path: &Path, node: &str, window: Window) -> Result<()> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("{shown}"))?;
    let home = path.parent().unwrap_or_else(|| Path::new("."));
    let targets = Targets::parse(&text, home).with_context(|| format!("{shown}"))?;
    let courier = Courier::new(targets.to, node, &targets.runbook);
    let watching = move || {
        let (mut tracker, begun) = (Tracker::default(), Instant::now());
        loop {
            std::thread::sleep(EVERY);
            let wrong = window.seen(wrong);
            courier.tell(&tracker.see(i64::try_from(begun.elapsed().as_secs()).unwrap_or(i64::MAX), wrong));
        }
    };
    std::thread::Builder::new().name("alerts".to_owned()).spawn(watching).context("starting a thread")?;
    Ok(())
}

/// What is wrong, as whoever is told has it.
fn wrong(view: &View) -> Vec<Incident> {
    let told = |wrong: Wrong| {
        let severity = if wrong.is_critical { Severity::Critical } else { Severity::Warning };
        Incident { key: wrong.key, severity, summary: wrong.summary, remedy: wrong.remedy }
    };
    view.wrong().into_iter().map(told).collect()
}

/// Tells systemd that the loop turns (`WatchdogSec`), where systemd asks to be told.
#[derive(Debug)]
pub(crate) struct Watchdog {
    #[cfg(target_os = "linux")]
    told: Option<(std::os::unix::net::UnixDatagram, Instant)>,
}

/// The loop says so often that it turns.
const FED_EVERY: Duration = Duration::from_secs(2);

#[cfg(target_os = "linux")]
impl Watchdog {
    pub(crate) fn new() -> Watchdog {
        Watchdog { told: std::env::var("NOTIFY_SOCKET").ok().and_then(|name| Watchdog::connected(&name)) }
    }

    fn connected(name: &str) -> Option<(std::os::unix::net::UnixDatagram, Instant)> {
        use std::os::linux::net::SocketAddrExt as _;
        use std::os::unix::net::{SocketAddr, UnixDatagram};
        let socket = UnixDatagram::unbound().ok()?;
        let address = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name).ok()?,
            None => SocketAddr::from_pathname(name).ok()?,
        };
        socket.connect_addr(&address).ok()?;
        socket.set_nonblocking(true).ok()?;
        let _nobody_listens = socket.send(b"READY=1\nWATCHDOG=1");
        Some((socket, Instant::now()))
    }

    /// The loop turns.
    pub(crate) fn feed(&mut self) {
        if let Some((socket, last)) = &mut self.told
            && FED_EVERY <= last.elapsed()
        {
            *last = Instant::now();
            let _nobody_listens = socket.send(b"WATCHDOG=1");
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl Watchdog {
    pub(crate) fn new() -> Watchdog {
        Watchdog {}
    }

    /// The loop turns, and nobody asks.
    pub(crate) fn feed(&mut self) {}
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn systemd_is_told_that_the_loop_turns_and_not_more_often_than_it_needs() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("notify");
        let systemd = UnixDatagram::bind(&path).unwrap();
        systemd.set_nonblocking(true).unwrap();
        let mut watchdog = Watchdog { told: Watchdog::connected(path.to_str().unwrap()) };
        let mut bytes = [0; 64];
        let len = systemd.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..len], b"READY=1\nWATCHDOG=1");
        watchdog.feed();
        assert!(systemd.recv(&mut bytes).is_err(), "too soon");
        let (_, last) = watchdog.told.as_mut().unwrap();
        *last -= FED_EVERY;
        watchdog.feed();
        let len = systemd.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..len], b"WATCHDOG=1");
        assert!(Watchdog::connected("/absent/notify").is_none());
    }
}
