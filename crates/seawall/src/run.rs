//! `seawall run`.

use crate::Ended;
use crate::guard_command;
use crate::input::{Input, echo};
use crate::keys;
use crate::wake::{self, Watchdog};
use anyhow::{Context, Result, anyhow, bail};
use api::{Names, Publisher, Settings, Tls};
use clap::Args;
use guard::HttpSink;
use journal::{FileStorage, FilesRead};
use lab::feed::{Feed, time};
use lab::incident;
use lab::live::{Done, Line, Live, Onlooker, Pace, Stopped, Teller, Venue};
use lab::replay::accounts::AccountsFrom;
use lab::replay::world::{World, WorldMarket};
use node::{Config, Decided, Delivered, Node, NodeFault, Outbox, Recovered, Signer, Undelivered, Way};
use policy::Policy;
use port::words::hex;
use port::{Sink as _, SinkFault};
use protocol::GovernanceParams;
use serde_json::json;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use units::Timestamp;
use venue::Limits;

/// Arguments of `seawall run`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Arguments {
    /// A bundled incident that the embedded venue lives through, as I-17; not together with files
    #[arg(value_name = "INCIDENT")]
    incident: Option<String>,
    #[command(flatten)]
    input: Input,
    /// What is listed, for a venue that lives now, by this machine's clock, and hears prices from others (POST /api/v1/observations): a TOML file, as docs/listing.md has it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["incident", "bars", "quotes", "speed", "draw", "exit_at_end", "no_listen"])]
    listing: Option<PathBuf>,
    /// Where the journal is kept
    #[arg(long, value_name = "DIR", default_value = "seawall-data")]
    data: PathBuf,
    /// The name under which checkpoints are signed, without blanks; best one that is yours, as venue.example/seawall
    #[arg(long, value_name = "NAME", default_value = "seawall.local")]
    name: String,
    /// How many times as fast as it was: a number above zero, or max
    #[arg(long, value_name = "N", default_value = "60", value_parser = speed)]
    speed: Speed,
    /// Accounts: CSV of account, pool, market, size, entry_price, collateral_asset, collateral_amount
    #[arg(long, value_name = "FILE")]
    accounts: Option<PathBuf>,
    /// Accounts to draw in each market where no file is named
    #[arg(long, value_name = "N", default_value_t = 250)]
    draw: u32,
    /// Seed of the drawn accounts
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Batches between two snapshots
    #[arg(long, value_name = "N", default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1..))]
    snapshot_every: u64,
    /// Where the dashboard and the API are served
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8787", conflicts_with = "no_listen")]
    listen: SocketAddr,
    /// Serve nothing
    #[arg(long)]
    no_listen: bool,
    /// A file with hashes of tokens and what each is for, as `seawall token` writes it (default: tokens.toml beside the journal, where there is one)
    #[arg(long, value_name = "FILE", conflicts_with = "no_listen")]
    tokens: Option<PathBuf>,
    /// A chain of certificates as PEM; needed where others than this machine can read
    #[arg(long, value_name = "FILE", conflicts_with = "no_listen", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's key as PEM
    #[arg(long, value_name = "FILE", conflicts_with = "no_listen", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Who is told of what is wrong: a TOML file with a [[to]] for each, as docs/runbook/alerts.md has it
    #[arg(long, value_name = "FILE")]
    alerts: Option<PathBuf>,
    /// The venue's side that carries out what is decided: where `seawall guard` is served
    #[arg(long, value_name = "URL")]
    deliver: Option<String>,
    /// A file with the token that is shown there
    #[arg(long, value_name = "FILE", requires = "deliver")]
    deliver_token_file: Option<PathBuf>,
    /// How long the venue's side goes on without a word before it tightens, seconds
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    lease: u64,
    /// End where the data ends, instead of going on until Ctrl-C; without --no-listen the venue goes on
    #[arg(long)]
    exit_at_end: bool,
    /// Who may change what while it runs (default: governance.toml beside the journal, made with new keys where there is none)
    #[arg(long, value_name = "FILE")]
    governance: Option<PathBuf>,
    /// Print every effect as it leaves, by height and place in its batch, as a JSON object a line, instead of what a person reads
    #[arg(long)]
    effects: bool,
    /// Print every line as a JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug)]
enum Speed {
    Times(f64),
    Max,
}

fn speed(text: &str) -> Result<Speed, String> {
    let times = || text.parse::<f64>().ok().filter(|times| 0.0 < *times && *times <= 1e9).map(Speed::Times);
    if text == "max" { Some(Speed::Max) } else { times() }
        .ok_or_else(|| "write a number above zero and up to 1e9, or max".to_owned())
}

pub(crate) fn run(arguments: &Arguments) -> Result<Ended> {
    if 100_000 < arguments.draw {
        bail!("--draw: write a number of at most 100,000 accounts a market");
    }
    // What can't be read leaves no keys behind.
    let policy = arguments.input.policy()?;
    let heard = match &arguments.listing {
        Some(path) => Heard::Now(listing(path)?),
        None => Heard::Then(Box::new(feed(arguments)?)),
    };
    let governance = keys::governance(&arguments.data, arguments.governance.as_deref())?;
    let venue = venue(&heard, arguments, &policy, &governance.params)?;
    echo(&venue.decisions);

    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    ctrlc::set_handler(move || asked.store(true, Ordering::Relaxed)).context("listening for signals")?;

    let home = arguments.data.join("journal");
    let limits = Limits { orders_max: 1 << 20, kernel_orders_max: 1 << 20 };
    let config = Config { segment_bytes: 64 << 20, snapshot_every: arguments.snapshot_every, limits };
    let storage = FileStorage::open(&home)?;
    let mut watchdog = Watchdog::new();
    let outbox = match life(&home, arguments, &stop, &mut watchdog)? {
        Ok(outbox) => outbox,
        Err(ended) => return Ok(ended),
    };
    let signer = signer(&arguments.data, &arguments.name)?;
    let (mut node, recovered) = match Node::open(storage, config, Some(signer), venue.genesis()) {
        Ok(opened) => opened,
        // Another directory or another policy: what was asked for can't be.
        Err(fault @ NodeFault::OtherVenue) => bail!("{}: {fault}", home.display()),
        Err(fault) => return Ok(needs_human(&home, &fault)),
    };
    let mut out = io::stdout().lock();
    begin(&mut out, arguments.json, recovered.as_ref())?;

    let speed = match arguments.speed {
        Speed::Times(times) => Some(times),
        Speed::Max => None,
    };
    let pace = Pace { speed, lingers: !arguments.no_listen && !arguments.exit_at_end };
    let publisher = publish(arguments, &venue, &node)?;
    let teller = Teller::new(&venue.world);
    let mut desk = Desk { outbox, arguments, out: &mut out, teller, publisher, stop: &stop, watchdog, failed: None };
    let live = Live::new(&venue, &mut node);
    let ended = match &heard {
        Heard::Then(feed) => live.run(feed, pace, &stop, &mut desk),
        Heard::Now(_) => live.stand(&stop, &mut desk),
    };
    let done = match ended {
        Ok(done) => done,
        Err(Stopped::Node(fault)) => return Ok(needs_human(&home, &fault)),
        Err(stopped) => return Err(stopped.into()),
    };
    desk.rest();
    let failed = desk.failed.take();
    let delivered = desk.outbox.take().map(|outbox| outbox.end(DELIVER_WITHIN, node.head()));
    let broken = node.state().check().err();
    let state = hex(&node.state().hash());
    let head = match node.close() {
        Ok(head) => head,
        Err(fault) => return Ok(needs_human(&home, &fault)),
    };
    if let Some(error) = failed {
        return Err(error.into());
    }
    end(&mut out, arguments.json, &done, &head, &state)?;
    if let Some(Delivered { way, confirmed, .. }) = delivered {
        if let Way::Stopped(fault) = way {
            eprintln!("seawall: {fault}; docs/guard.md says what to do");
            return Ok(Ended::NeedsHuman);
        }
        if confirmed < head.height {
            eprintln!(
                "what was decided behind height {confirmed} waits for the venue's side: it leaves first when this node begins again"
            );
        }
    }
    match broken {
        None => Ok(Ended::Well),
        Some(broken) => {
            eprintln!("invariant {} is broken in pool {}", broken.invariant, broken.pool.0);
            Ok(Ended::VerificationFailed)
        }
    }
}

/// What the venue hears.
enum Heard {
    /// What was, at a pace.
    Then(Box<Feed>),
    /// What others bring, now; the text of what is listed.
    Now(String),
}

fn listing(path: &Path) -> Result<String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("{shown}"))?;
    World::listed(&text).map_err(|error| anyhow!("{shown}: {error}"))?;
    Ok(text)
}

fn feed(arguments: &Arguments) -> Result<Feed> {
    let materialised = match (&arguments.incident, arguments.input.is_empty()) {
        (Some(_), false) => bail!("name an incident or files, not both"),
        (None, false) => None,
        (named, true) => Some(incident::materialise(named.as_deref().unwrap_or("I-17"))?),
    };
    let prepared = materialised.as_ref().map(|incident| incident.bars.clone()).unwrap_or_default();
    arguments.input.open(prepared)
}

fn venue(heard: &Heard, arguments: &Arguments, policy: &Policy, governance: &GovernanceParams) -> Result<Venue> {
    let from = |per_market| match &arguments.accounts {
        Some(path) => AccountsFrom::File(path.clone()),
        None => AccountsFrom::Drawn { per_market, seed: arguments.seed },
    };
    let venue = match heard {
        Heard::Then(feed) => Venue::of(feed, policy, &from(arguments.draw), Some(governance)),
        // Nobody is drawn where everything else is real.
        Heard::Now(text) => Venue::from_listing(text, policy, &from(0), Some(governance)),
    };
    venue.map_err(|error| anyhow!("{error}"))
}

/// How long what was decided may take to leave when the node ends.
const DELIVER_WITHIN: Duration = Duration::from_secs(5);
/// How long the venue's side may take to answer when the node begins.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

fn sink(arguments: &Arguments) -> Result<Option<HttpSink>> {
    let token = guard_command::token(arguments.deliver_token_file.as_deref())?;
    Ok(arguments.deliver.as_ref().map(|at| HttpSink::new(at, token.as_deref())))
}

/// A sink that is asked until it answers.
fn asked<T>(mut ask: impl FnMut() -> Result<T, SinkFault>) -> Result<T, SinkFault> {
    let since = Instant::now();
    loop {
        match ask() {
            Err(SinkFault::Unreached(why)) if since.elapsed() < ANSWER_WITHIN => {
                eprintln!("the venue's side does not answer yet: {why}");
                std::thread::sleep(Duration::from_millis(500));
            }
            answer => return answer,
        }
    }
}

/// A life of the node at the venue's side, with what an earlier one left undelivered on its way. The journal is this process's alone already.
fn life(
    home: &Path,
    arguments: &Arguments,
    stop: &AtomicBool,
    watchdog: &mut Watchdog,
) -> Result<Result<Option<Outbox>, Ended>> {
    let Some(mut sink) = sink(arguments)? else { return Ok(Ok(None)) };
    let refused = |fault: &SinkFault| {
        eprintln!("seawall: {fault}; docs/guard.md says what to do");
        Ok(Err(Ended::NeedsHuman))
    };
    let standing = match asked(|| sink.standing()) {
        Ok(standing) => standing,
        Err(fault) => return refused(&fault),
    };
    let mut behind = match Undelivered::behind(FilesRead::new(home), &standing) {
        Ok(behind) => behind,
        Err(fault) => return Ok(Err(needs_human(home, &fault))),
    };
    // Nobody is fenced before it is known that this journal leads to what was carried out.
    let claimed = match asked(|| sink.claim(&standing)) {
        Ok(claimed) => claimed,
        Err(fault) => return refused(&fault),
    };
    let mut outbox = Outbox::begin(sink, &claimed, Duration::from_secs(arguments.lease))?;
    while let Some(behind) = &mut behind {
        let decided = match behind.next_decided() {
            Ok(Some(decided)) => decided,
            Ok(None) => break,
            Err(fault) => return Ok(Err(needs_human(home, &fault))),
        };
        watchdog.feed();
        while !outbox.put(&decided) {
            watchdog.feed();
            if stop.load(Ordering::Relaxed) {
                break;
            }
            std::thread::sleep(FULL_WAIT);
        }
        if stop.load(Ordering::Relaxed) {
            // What was not put in is missing, and nothing may leave behind it.
            outbox.give_up();
            break;
        }
    }
    Ok(Ok(Some(outbox)))
}

/// What is to be seen, for whoever is served and whoever is told; nothing where that is nobody.
fn publish(arguments: &Arguments, venue: &Venue, node: &Node) -> Result<Option<Publisher>> {
    if arguments.no_listen && arguments.alerts.is_none() {
        return Ok(None);
    }
    let sources = |market: &WorldMarket| {
        market.sources.iter().map(|source| (source.name.clone(), source.lineage.clone())).collect()
    };
    let markets = &venue.world.markets;
    let names = Names {
        markets: markets.iter().map(|market| market.name.clone()).collect(),
        sources: markets.iter().map(sources).collect(),
        pools: venue.pool_names.clone(),
    };
    let (publisher, window) = Publisher::new(node, names);
    if let Some(path) = &arguments.alerts {
        wake::watch(path, &arguments.name, window.clone())?;
    }
    if arguments.no_listen {
        return Ok(Some(publisher));
    }
    let tokens = keys::tokens(&arguments.data, arguments.tokens.as_deref())?;
    let tls = match (&arguments.tls_cert, &arguments.tls_key) {
        (Some(certificate), Some(key)) => Some(Tls::read(certificate, key)?),
        _ => None,
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let settings = Settings { listen: arguments.listen, tokens, tls, charts: lab::report::CHARTS };
    let at = api::serve(window, &settings)?;
    eprintln!("the dashboard is at {scheme}://{at}/");
    Ok(Some(publisher))
}

/// A look at a full outbox.
const FULL_WAIT: Duration = Duration::from_millis(5);

/// Writes down what a person reads, for the terminal and for the dashboard.
struct Desk<'a, 'o> {
    arguments: &'a Arguments,
    out: &'a mut io::StdoutLock<'o>,
    teller: Teller<'a>,
    publisher: Option<Publisher>,
    outbox: Option<Outbox>,
    stop: &'a AtomicBool,
    /// Who restarts a loop that stands still.
    watchdog: Watchdog,
    /// Why nobody reads any more.
    failed: Option<io::Error>,
}

impl Desk<'_, '_> {
    fn tell(&mut self, lines: &[Line]) {
        for line in lines {
            if let Some(publisher) = &self.publisher {
                let Line { at, height, market, kind, text, count } = line;
                publisher.tell(Timestamp(*at), *height, market, kind, text, *count);
            }
            if !self.arguments.effects {
                self.written(|out, as_json| tell(out, as_json, line));
            }
        }
    }

    fn written(&mut self, write: impl FnOnce(&mut io::StdoutLock<'_>, bool) -> io::Result<()>) {
        if self.failed.is_some() {
            return;
        }
        if let Err(error) = write(self.out, self.arguments.json) {
            // Nobody reads any more: the venue goes on to a clean end.
            self.stop.store(true, Ordering::Relaxed);
            self.failed = Some(error);
        }
    }

    /// Puts what was decided into the outbox. Where that is full the loop waits, and does not beat: the lease lapses.
    fn deliver(&mut self, decided: &Decided) {
        let Some(outbox) = &mut self.outbox else { return };
        while !outbox.put(decided) {
            if self.stop.load(Ordering::Relaxed) {
                outbox.give_up();
                break;
            }
            self.watchdog.feed();
            std::thread::sleep(FULL_WAIT);
        }
        if let Some(publisher) = &mut self.publisher {
            publisher.delivering(&outbox.delivered());
        }
    }

    /// What was not told yet.
    fn rest(&mut self) {
        let lines = self.teller.rest();
        self.tell(&lines);
    }
}

impl Onlooker for Desk<'_, '_> {
    fn released(&mut self, _: &Node, decided: &Decided) {
        self.deliver(decided);
        if self.arguments.effects {
            self.written(|out, _| effects(out, decided));
        }
        let lines = self.teller.tell(decided);
        self.tell(&lines);
        if let Some(publisher) = &mut self.publisher {
            publisher.released(decided);
        }
    }

    fn look(&mut self, node: &mut Node, at: Timestamp) -> Result<(), NodeFault> {
        self.watchdog.feed();
        if let Some(outbox) = &self.outbox {
            outbox.beat();
            let delivered = outbox.delivered();
            if let Some(publisher) = &mut self.publisher {
                publisher.delivering(&delivered);
            }
            if matches!(delivered.way, Way::Stopped(_)) {
                // Nothing that is decided here is carried out any more.
                self.stop.store(true, Ordering::Relaxed);
            }
        }
        let lines = self.teller.until(at);
        self.tell(&lines);
        self.publisher.as_mut().map_or(Ok(()), |publisher| publisher.look(node, at))
    }

    fn ended(&mut self) {
        self.rest();
        eprintln!("the data is at its end: the venue goes on without prices; Ctrl-C stops it");
    }
}

/// The journal is damaged, or its disk is: nobody but a person knows what to do.
fn needs_human(home: &Path, fault: &NodeFault) -> Ended {
    eprintln!("seawall: {}: {fault}; docs/runbook/node.md says what to do", home.display());
    Ended::NeedsHuman
}

/// The key in `DATA/key`, made where there is none; who checks it is written beside it.
fn signer(data: &Path, name: &str) -> Result<Signer> {
    let path = data.join("key");
    let secret = match keys::read(&path)? {
        Some(secret) => secret,
        None => keys::make(&path)?,
    };
    let signer =
        Signer::new(name, &secret).with_context(|| format!("--name {name}: write one without blanks and +"))?;
    let path = data.join(journal::VERIFIER);
    keys::whole(&path, &format!("{}\n", signer.verifier()))?;
    Ok(signer)
}

fn effects(out: &mut impl Write, decided: &Decided) -> io::Result<()> {
    let height = decided.height;
    for (n, effect) in decided.effects.iter().enumerate() {
        writeln!(out, "{}", json!({"height": height, "n": n, "effect": format!("{effect:?}")}))?;
    }
    Ok(())
}

fn tell(out: &mut impl Write, as_json: bool, line: &Line) -> io::Result<()> {
    let Line { at, height, market, kind, text, count } = line;
    let at = time::format_time(*at);
    if as_json {
        let line = json!({"at": at, "height": height, "market": market, "kind": kind, "text": text, "count": count});
        return writeln!(out, "{line}");
    }
    let more = if *count == 1 { String::new() } else { format!(" (and {} more like it)", count - 1) };
    writeln!(out, "{at}  {market:<6} {text}{more}")
}

fn begin(out: &mut impl Write, as_json: bool, recovered: Option<&Recovered>) -> io::Result<()> {
    let Some(Recovered { snapshot, replayed, cut }) = recovered else {
        if !as_json {
            writeln!(out, "a new journal")?;
        }
        return Ok(());
    };
    if as_json {
        let cut = cut.as_ref().map(|cut| json!({"file": cut.name, "offset": cut.offset, "bytes": cut.bytes}));
        return writeln!(out, "{}", json!({"recovered": {"snapshot": snapshot, "replayed": replayed, "cut": cut}}));
    }
    writeln!(out, "going on from the snapshot behind height {snapshot} and {replayed} batches after it")?;
    if let Some(cut) = cut {
        let (bytes, name, offset) = (cut.bytes, &cut.name, cut.offset);
        writeln!(
            out,
            "cut {bytes} bytes of {name} from byte {offset} on: a crash left them, and nobody was told of them"
        )?;
    }
    Ok(())
}

fn end(out: &mut impl Write, as_json: bool, done: &Done, head: &journal::Head, state: &str) -> io::Result<()> {
    let Done { observations, skipped, released, liquidations, at_end } = done;
    let (height, hash) = (head.height, hex(&head.hash));
    if as_json {
        let head = json!({"height": height, "hash": hash});
        return writeln!(
            out,
            "{}",
            json!({"observations": observations, "skipped": skipped, "batches": released, "liquidations": liquidations,
                   "at_end": at_end, "head": head, "state": state})
        );
    }
    let known = if *skipped == 0 { String::new() } else { format!(" after {skipped} that the journal held") };
    let ended = if *at_end { "at the end of the data" } else { "stopped" };
    writeln!(
        out,
        "{ended}: {observations} observations{known}, {released} batches, {liquidations} liquidation orders"
    )?;
    writeln!(out, "journal height {height}, head {hash}, state {state}")
}
