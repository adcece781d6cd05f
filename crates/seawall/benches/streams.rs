//! What a thousand readers of the event stream cost the loop: interleaved pairs of rounds, without them and with them.
//! `cargo bench -p seawall --bench streams [-- --pairs N --readers N]`
//!
//! A round is five seconds of inputs, one after another, each until its batch is durable, released and shown, with a hundred lines of the timeline a second and the
//! views as they come. Readers are in a process of their own on the same machine; every tenth never reads, and has a small buffer. Prints each pair's p99 and their ratio, and the median ratio with its 95% interval by the sign test.
#![allow(missing_docs, unreachable_pub)]

use api::{Names, Publisher, Settings, Tokens, serve};
use journal::FileStorage;
use lab::feed::{Feed, FeedOptions};
use lab::incident;
use lab::live::{Live, Onlooker, Pace, Venue};
use lab::replay::accounts::AccountsFrom;
use node::{Config, Decided, Node, NodeFault};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use units::Timestamp;
use venue::Limits;

const ROUND: Duration = Duration::from_secs(5);
const LINE_EVERY: Duration = Duration::from_millis(10);

fn number(name: &str, otherwise: usize) -> usize {
    let words: Vec<String> = std::env::args().collect();
    let place = words.iter().position(|word| word == name);
    place.and_then(|place| words.get(place + 1)?.parse().ok()).unwrap_or(otherwise)
}

fn main() {
    if let Ok(at) = std::env::var("SEAWALL_STREAMS_AT") {
        readers(at.parse().expect("an address"), number("--readers", 1_000));
        return;
    }
    let (pairs, count) = (number("--pairs", 20), number("--readers", 1_000));
    let incident = incident::materialise("I-17").expect("it is bundled");
    let options = FeedOptions::new(incident.bars.clone(), Vec::new());
    let feed = Feed::open(&options).expect("it is bundled");
    let policy = policy::Policy::parse(include_str!("../../../policies/default.toml"), "policies/default.toml")
        .expect("it is ours");
    let drawn = AccountsFrom::Drawn { per_market: 250, seed: 1 };
    let venue = Venue::of(&feed, &policy, &drawn, None).expect("it can be listed");
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on the disk");
    let limits = Limits { orders_max: 1 << 20, kernel_orders_max: 1 << 20 };
    let config = Config { segment_bytes: 64 << 20, snapshot_every: u64::MAX, limits };
    let storage = FileStorage::open(home.path()).expect("a directory");
    let (mut node, _) = Node::open(storage, config, None, venue.genesis()).expect("a new journal");
    let names = Names {
        markets: venue.world.markets.iter().map(|market| market.name.clone()).collect(),
        pools: venue.pool_names.clone(),
        ..Names::default()
    };
    let (publisher, window) = Publisher::new(&node, names);
    let settings =
        Settings { listen: "127.0.0.1:0".parse().expect("one"), tokens: Tokens::default(), tls: None, charts: "" };
    let at = serve(window, &settings).expect("a free port");
    let stop = AtomicBool::new(false);
    let mut bench = Bench {
        publisher,
        crowd: Crowd::begin(at, count),
        pairs,
        stop: &stop,
        since: Instant::now(),
        told: Instant::now(),
        begun: None,
        took: Vec::new(),
        rounds: Vec::new(),
    };
    let pace = Pace { speed: None, lingers: false };
    Live::new(&venue, &mut node).run(&feed, pace, &stop, &mut bench).expect("a disk");
    bench.tell();
}

struct Bench<'a> {
    publisher: Publisher,
    crowd: Crowd,
    pairs: usize,
    stop: &'a AtomicBool,
    /// When the round began, and when the last line was told.
    since: Instant,
    told: Instant,
    /// When the input came that is under way.
    begun: Option<Instant>,
    took: Vec<Duration>,
    /// The p99 of every round; the even ones are without readers.
    rounds: Vec<Duration>,
}

impl Onlooker for Bench<'_> {
    fn released(&mut self, _: &Node, decided: &Decided) {
        self.publisher.released(decided);
    }

    /// Between two inputs: the one before is durable, released and, with this, shown.
    fn look(&mut self, node: &mut Node, at: Timestamp) -> Result<(), NodeFault> {
        node.settle()?;
        let looked = self.publisher.look(node, at);
        if let Some(begun) = self.begun {
            self.took.push(begun.elapsed());
        }
        if LINE_EVERY <= self.told.elapsed() {
            self.told = Instant::now();
            self.publisher.tell(at, node.head().height, "BTC", "bench", "a line as long as one that people read", 1);
        }
        if ROUND <= self.since.elapsed() {
            self.took.sort_unstable();
            self.rounds.push(self.took[self.took.len() * 99 / 100]);
            self.took.clear();
            if self.rounds.len() == self.pairs * 2 {
                self.stop.store(true, Ordering::Relaxed);
            }
            if self.rounds.len().is_multiple_of(2) {
                self.crowd.leave()
            } else {
                self.crowd.come()
            }
            self.since = Instant::now();
        }
        // Some 900 inputs a second: what a busy venue hears, and the feed lasts for all rounds.
        std::thread::sleep(Duration::from_micros(900));
        self.begun = Some(Instant::now());
        looked
    }
}

impl Bench<'_> {
    fn tell(mut self) {
        let pairs = self.rounds.chunks_exact(2);
        let mut ratios: Vec<f64> = pairs.clone().map(|pair| pair[1].as_secs_f64() / pair[0].as_secs_f64()).collect();
        for (pair, ratio) in pairs.zip(&ratios) {
            println!("p99 {:>8.0?} alone, {:>8.0?} with readers, ratio {ratio:.3}", pair[0], pair[1]);
        }
        ratios.sort_by(f64::total_cmp);
        let count = ratios.len();
        // Ranks between which the median lies with 95%, by the binomial of fair signs: the 6th and the 15th of twenty.
        let low = (count as f64 / 2.0 - 0.98 * (count as f64).sqrt()).floor().max(0.0) as usize;
        let (low, high) = (low, count - 1 - low);
        println!(
            "{} pairs: median ratio {:.3}, 95% interval {:.3} to {:.3}",
            count,
            ratios[count / 2],
            ratios[low],
            ratios[high]
        );
        println!("{}", self.crowd.end());
    }
}

/// The readers' process.
struct Crowd {
    child: Child,
    say: ChildStdin,
    hear: BufReader<ChildStdout>,
}

impl Crowd {
    fn begin(at: SocketAddr, count: usize) -> Crowd {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--readers", &count.to_string()]).env("SEAWALL_STREAMS_AT", at.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it runs");
        let (say, hear) = (child.stdin.take().expect("piped"), BufReader::new(child.stdout.take().expect("piped")));
        Crowd { child, say, hear }
    }

    fn order(&mut self, word: &str) -> String {
        writeln!(self.say, "{word}").expect("it reads");
        let mut line = String::new();
        self.hear.read_line(&mut line).expect("it answers");
        line.trim().to_owned()
    }

    fn come(&mut self) {
        assert_eq!(self.order("come"), "here");
    }

    fn leave(&mut self) {
        assert_eq!(self.order("leave"), "gone");
        // The server sees them go before the next round begins.
        std::thread::sleep(Duration::from_millis(300));
    }

    fn end(&mut self) -> String {
        let told = self.order("end");
        self.child.wait().expect("it ends");
        told
    }
}

/// Comes and goes as it is told, and counts what slow readers find when they read at last.
fn readers(at: SocketAddr, count: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut fast: Vec<tokio::task::JoinHandle<u64>> = Vec::new();
    let mut slow: Vec<TcpStream> = Vec::new();
    let (mut cut, mut slow_count) = (0_usize, 0_usize);
    let (send, mut receive) = tokio::sync::mpsc::unbounded_channel::<String>();
    std::thread::spawn(move || std::io::stdin().lines().map_while(Result::ok).for_each(|line| drop(send.send(line))));
    runtime.block_on(async {
        while let Some(word) = receive.recv().await {
            match word.as_str() {
                "come" => {
                    for reader in 0..count {
                        let socket = TcpSocket::new_v4().expect("a socket");
                        if reader.is_multiple_of(10) {
                            socket.set_recv_buffer_size(4_096).expect("a small buffer");
                        }
                        let mut stream = socket.connect(at).await.expect("it listens");
                        let head = format!("GET /api/v1/stream HTTP/1.1\r\nhost: {at}\r\n\r\n");
                        stream.write_all(head.as_bytes()).await.expect("it reads");
                        if reader.is_multiple_of(10) {
                            slow.push(stream);
                            continue;
                        }
                        fast.push(tokio::spawn(async move {
                            let (mut read, mut buffer) = (0, vec![0; 16 * 1_024]);
                            while let Ok(more @ 1..) = stream.read(&mut buffer).await {
                                read += more as u64;
                            }
                            read
                        }));
                    }
                    println!("here");
                }
                "leave" => {
                    for task in fast.drain(..) {
                        task.abort();
                    }
                    slow_count += slow.len();
                    // Those that slept read at last what is there for them.
                    let mut sleepers = std::mem::take(&mut slow);
                    for stream in &mut sleepers {
                        let mut all = Vec::new();
                        let mut buffer = vec![0; 64 * 1_024];
                        while let Ok(Ok(more @ 1..)) =
                            tokio::time::timeout(Duration::from_millis(20), stream.read(&mut buffer)).await
                        {
                            all.extend_from_slice(&buffer[..more]);
                        }
                        cut += usize::from(String::from_utf8_lossy(&all).contains("event: cut"));
                    }
                    drop(sleepers);
                    println!("gone");
                }
                _ => {
                    println!("{cut} of {slow_count} readers that slept through a round were cut with a message in it");
                    return;
                }
            }
        }
    });
}
