//! The server as strangers meet it: real sockets, a real node on a disk in memory, a loop that turns it.

use api::{Names, Publisher, Settings, Tls, Tokens, serve};
use journal::MemoryStorage;
use kernel::{Genesis, Kernel};
use node::statement::Draft;
use node::{Config, Delivered, Node};
use protocol::governance::{Act, GovernanceParams, KeyParams, Role};
use protocol::input::Observation;
use protocol::params::{
    ActivityParams, BreakerParams, ChainParams, CollateralParams, DetectorParams, FundingParams, LiquidationParams,
    MarkParams, OracleParams, SourceParams, Thresholds, Tier,
};
use protocol::{
    AccountId, Input, LineageId, MarketId, MarketParams, Mode, PoolId, PoolParams, Rung, SourceId, SourceKind,
    VenueParams,
};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use units::{Notional, Price, Ratio, Scale, Size, Timestamp};
use venue::Limits;

const BEGUN: i64 = 1_760_000_000_000_000;
const SECRET: [u8; 32] = [1; 32];
const FEEDER: &str = "quotes-of-the-north";

fn seconds(n: i64) -> units::Duration {
    units::Duration::seconds(n)
}

fn market() -> MarketParams {
    let wide = Thresholds { cautious: Ratio::percent(10_000), reduce_only: Ratio::percent(10_000) };
    let source = |lineage| SourceParams {
        weight: 1,
        lineage: LineageId(lineage),
        heartbeat: seconds(1),
        price_min: Price(0),
        price_max: Price(i64::MAX),
        kind: SourceKind::Trades,
        rung: Rung::Primary,
        quote: None,
    };
    MarketParams {
        pool: PoolId(0),
        scale: Scale::new(4, 3).unwrap(),
        order_size_max: Size(1_000_000_000),
        open_interest_max: Size(1_000_000),
        open_interest_margin_from: Ratio::ONE,
        funding: FundingParams { rate_max: Ratio::percent(1), interval: seconds(3_600) },
        collateral: CollateralParams {
            deposit_max: Size(0),
            haircut: Ratio::percent(10),
            ramp: seconds(60),
            auction: seconds(100),
        },
        sources: vec![source(0), source(1), source(2)],
        oracle: OracleParams {
            age_max: seconds(10),
            silence_floor: seconds(3),
            future_max: seconds(1),
            confidence_max: Ratio::percent(2),
            jump_max: Ratio::percent(10),
            jump_window: seconds(60),
            jump_confirm: seconds(10),
            leap_max: Ratio::percent(10_000),
            leap_confirm: seconds(600),
            agree: Ratio::percent(1),
            dispute: Ratio::percent(2),
            lineages_min: 2,
            overrule_lineages: 3,
            dispute_confirm: seconds(60),
            last_good_max: seconds(300),
            twap_max: units::Duration::ZERO,
            guardians_min: 2,
            confidence_scale: Ratio::ONE,
            fallback_confidence: Ratio::percent(1),
            derived_haircut: Ratio::percent(2),
        },
        mark: MarkParams {
            premium_max: Ratio::bps(50),
            premium_window: seconds(150),
            step_max: Ratio::percent(10_000),
            step_window: seconds(1),
        },
        tiers: vec![Tier { notional_from: 0, initial: Ratio::percent(5), maintenance: Ratio::bps(250) }],
        detectors: DetectorParams {
            exit: Ratio::percent(50),
            velocity: wide,
            velocity_window: seconds(60),
            swing: wide,
            swing_window: seconds(3_600),
            band: wide,
            twap_window: seconds(300),
            twap_coverage_min: Ratio::percent(50),
            staleness: wide,
            drift: wide,
            stable_half_life: seconds(86_400),
            stable_reach: Ratio::percent(20),
            stuck: wide,
            disagreement: Ratio::percent(1),
            quorum_coverage_min: Ratio::ZERO,
        },
        activity: ActivityParams {
            growth: wide,
            growth_window: seconds(3_600),
            crowding: wide,
            intensity: wide,
            intensity_window: seconds(60),
            divergence: wide,
        },
        chain: ChainParams {
            distress: wide,
            interval: seconds(12),
            inclusion: seconds(24),
            finality: seconds(900),
            base_fee: 20_000,
        },
        breaker: BreakerParams {
            calm: seconds(1),
            probation: units::Duration::ZERO,
            calm_max: seconds(1),
            cautious_margin_addon: Ratio::percent(2),
            cautious_size_scale: Ratio::percent(50),
            grace_share: Ratio::percent(50),
            grace_max: seconds(600),
        },
        liquidation: LiquidationParams {
            buffer: Ratio::percent(10),
            fee: Ratio::bps(50),
            slippage_max: Ratio::percent(5),
            order_ttl: seconds(10),
            single_lineage_confirm: seconds(10),
        },
    }
}

fn public() -> [u8; 32] {
    let act = Act::Cancel { proposal: 1 };
    let draft = Draft { venue: [0; 32], key: [0; 32], nonce: 1, expires: Timestamp(0), act, because: "x".to_owned() };
    Draft::read(&draft.sign(&SECRET).text).unwrap().key
}

/// Tokens with their scopes and what else their entries say.
fn tokens(listed: &[(&str, &str, &str)]) -> Tokens {
    let mut text = String::new();
    for (n, (token, scopes, more)) in listed.iter().enumerate() {
        let hash: String = Tokens::hash(token).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        text.push_str(&format!("[[token]]\nname = \"t{n}\"\nsha256 = \"{hash}\"\nscopes = [{scopes}]\n{more}\n"));
    }
    Tokens::parse(&text).unwrap()
}

fn params() -> VenueParams {
    let pool = PoolParams {
        accounts_max: 100,
        account_min: Notional(1_000_000),
        orders_per_account_max: 32,
        account_borrow_max: Notional(0),
        borrow_max: Notional(0),
        insurance_share_per_account: Ratio::ONE,
        backstop: None,
    };
    let keys = vec![KeyParams { key: public(), role: Role::Guardian }];
    VenueParams {
        pools: vec![pool],
        markets: vec![market()],
        governance: GovernanceParams { keys, ..GovernanceParams::closed() },
    }
}

/// A node whose loop turns, and where it is served. Every turn is 100 ms of the venue.
struct Stand {
    at: SocketAddr,
    /// What every request shows.
    token: String,
    now: Arc<AtomicI64>,
    height: Arc<AtomicI64>,
    stop: Arc<AtomicBool>,
    loops: Option<JoinHandle<()>>,
}

impl Stand {
    fn new(token: Option<&str>) -> Stand {
        let holding = |account, lots| Genesis {
            pool: PoolId(0),
            account: AccountId(account),
            cash: Notional(30_000_000),
            collateral: Vec::new(),
            holdings: vec![kernel::Holding { market: MarketId(0), size: Size(lots), entry: Price(10_000_000_000) }],
        };
        let genesis = Kernel::new(&params(), &[holding(1, 1_000), holding(2, -1_000)]).unwrap();
        let limits = Limits { orders_max: 1_000, kernel_orders_max: 1_000 };
        let config = Config { segment_bytes: 1 << 20, snapshot_every: 1_000_000, limits };
        let (mut node, _) = Node::open(MemoryStorage::new(), config, None, genesis).unwrap();
        let names = Names {
            markets: vec!["BTC".to_owned()],
            sources: vec![["north", "south", "east"].map(|name| (name.to_owned(), name.to_owned())).to_vec()],
            pools: vec!["main".to_owned()],
        };
        let (mut publisher, window) = Publisher::new(&node, names);
        publisher.delivering(&Delivered::default());
        let listen = "127.0.0.1:0".parse().unwrap();
        let tokens = token.map_or_else(Tokens::default, |token| {
            let slow = ("three-a-second-only", "\"read\"", "rate = 3");
            let feeder = (FEEDER, "\"observe\"", "observer = 7\nrate = 1000");
            tokens(&[(token, "\"read\", \"state\"", "rate = 10000"), feeder, slow])
        });
        let settings = Settings { listen, tokens, tls: None, charts: "// charts" };
        let at = serve(window, &settings).unwrap();
        let (now, height) = (Arc::new(AtomicI64::new(BEGUN)), Arc::new(AtomicI64::new(0)));
        let stop = Arc::new(AtomicBool::new(false));
        let (time, reached, stopped) = (Arc::clone(&now), Arc::clone(&height), Arc::clone(&stop));
        let loops = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let now = time.fetch_add(100_000, Ordering::Relaxed) + 100_000;
                let seen = [0, 1].map(|source| {
                    Input::Observation(Observation {
                        market: MarketId(0),
                        source: SourceId(source),
                        observer: 0,
                        price: Price(10_000_000_000),
                        confidence: Price(0),
                        published_at: Timestamp(now),
                        received_at: Timestamp(now),
                    })
                });
                node.turn(Timestamp(now), seen.to_vec()).unwrap();
                node.settle().unwrap();
                while let Some(decided) = node.released().unwrap() {
                    if !decided.effects.is_empty() {
                        publisher.tell(decided.at, decided.height, "BTC", "test", "something was decided", 1);
                    }
                    publisher.released(&decided);
                }
                publisher.look(&mut node, Timestamp(now)).unwrap();
                reached.store(node.head().height as i64, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let token = token.map_or(String::new(), |token| format!("authorization: Bearer {token}\r\n"));
        let stand = Stand { at, token, now, height, stop, loops: Some(loops) };
        // Halted, then by steps to normal.
        stand.until(|view| view["markets"][0]["mode"] == "normal");
        stand
    }

    fn until(&self, holds: impl Fn(&Value) -> bool) -> Value {
        let since = Instant::now();
        loop {
            let (status, view) = self.get("/api/v1/overview");
            if status == 200 && holds(&view) {
                return view;
            }
            assert!(since.elapsed() < Duration::from_secs(30), "{view}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.at).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Sends bytes as they are; status, head and body.
    fn raw(&self, bytes: &[u8]) -> (u16, String, String) {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        let _ended = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        (status, head.to_lowercase(), body.to_owned())
    }

    fn ask(&self, method: &str, path: &str, more: &str, body: &str) -> (u16, String, String) {
        let len = body.len();
        let text = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {len}\r\n{}{more}\r\n{body}",
            self.at, self.token
        );
        self.raw(text.as_bytes())
    }

    fn get(&self, path: &str) -> (u16, Value) {
        let (status, _, body) = self.ask("GET", path, "", "");
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }

    fn post(&self, body: &str) -> (u16, Value) {
        let (status, _, body) = self.ask("POST", "/api/v1/statements", "content-type: application/json\r\n", body);
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }

    fn statement(&self, change: impl FnOnce(&mut Draft)) -> String {
        let (_, view) = self.get("/api/v1/overview");
        let key = &view["governance"]["keys"][0];
        let mut draft = Draft {
            venue: port::words::unhex(view["governance"]["venue"].as_str().unwrap()).unwrap(),
            key: [0; 32],
            nonce: key["nonce"].as_u64().unwrap(),
            expires: Timestamp(self.now.load(Ordering::Relaxed) + 600_000_000),
            act: Act::Tighten { market: MarketId(0), to: Mode::ReduceOnly, lasts: seconds(5) },
            because: "a test".to_owned(),
        };
        change(&mut draft);
        let signed = draft.sign(&SECRET);
        let signature: String = signed.signature.iter().map(|byte| format!("{byte:02x}")).collect();
        json!({"text": signed.text, "signature": signature}).to_string()
    }

    /// The loop goes on turning.
    fn turns(&self) {
        let before = self.height.load(Ordering::Relaxed);
        let since = Instant::now();
        while self.height.load(Ordering::Relaxed) < before + 5 {
            assert!(since.elapsed() < Duration::from_secs(5), "the loop stands still");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.loops.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(ended.is_none_or(|ended| ended.is_ok()));
        }
    }
}

#[test]
fn what_there_is_to_see() {
    let stand = Stand::new(None);
    let view = stand.until(|_| true);
    assert_eq!(view["verdict"], json!({"level": "normal", "headline": "Nothing needs you", "needs": []}));
    let btc = &view["markets"][0];
    assert_eq!(
        (btc["name"].as_str(), btc["index"].as_str(), btc["mark"].as_str()),
        (Some("BTC"), Some("100.00"), Some("100.00"))
    );
    assert_eq!((btc["open_interest"].as_str(), btc["lineages"].as_u64()), (Some("100.00"), Some(2)));
    assert_eq!(btc["sources"][1]["name"], "south");
    assert_eq!(view["pools"][0]["accounts"], 2);
    assert_eq!(view["governance"]["keys"][0]["role"], "guardian");
    let delivery = json!({"state": "confirmed", "why": null, "confirmed": 0, "waiting": 0, "renewed_ms": null});
    assert_eq!(view["delivery"], delivery);
    let since = Instant::now();
    let (status, whole) = loop {
        let (status, whole) = stand.get("/api/v1/markets/BTC");
        // Maps are made once a second.
        if !whole["liquidations"]["mark"].is_null() || Duration::from_secs(10) < since.elapsed() {
            break (status, whole);
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!((status, whole["market"]["mode"].as_str()), (200, Some("normal")));
    assert!(!whole["history"]["at"].as_array().unwrap().is_empty());
    // 30 USD for 100 USD of a position: looked at 27.7 USD away, beyond what the map shows.
    let map = &whole["liquidations"];
    assert_eq!((map["buckets"].as_array().unwrap().len(), &map["is_partial"]), (60, &json!(false)));
    let (_, timeline) = stand.get("/api/v1/timeline?limit=2");
    let newest = &timeline["items"][0];
    let height = newest["height"].as_u64().unwrap();
    let (status, receipt) = stand.get(&format!("/api/v1/receipts/{height}"));
    assert_eq!((status, receipt["height"].as_u64()), (200, Some(height)));
    assert_eq!(receipt["leaf"].as_str().unwrap().len(), 64);
    let (_, older) = stand.get(&format!("/api/v1/timeline?limit=1&before={}", newest["id"]));
    assert_eq!(older["items"][0], timeline["items"][1]);
    assert_eq!(older["next"], older["items"][0]["id"].to_string());
    for (path, kind) in [
        ("/", "text/html"),
        ("/style.css", "text/css"),
        ("/app.js", "text/javascript"),
        ("/charts.js", "text/javascript"),
    ] {
        let (status, head, _) = stand.ask("GET", path, "", "");
        assert!(status == 200 && head.contains(&format!("content-type: {kind}")), "{path}: {head}");
        let etag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
        let (status, _, body) = stand.ask("GET", path, &format!("if-none-match: {etag}\r\n"), "");
        assert_eq!((status, body.as_str()), (304, ""), "{path}");
        let (_, head, _) = stand.ask("GET", path, "accept-encoding: gzip\r\n", "");
        assert!(head.contains("content-encoding: gzip"), "{path}: {head}");
    }
    let (status, head, text) = stand.ask("GET", "/metrics", "", "");
    assert!(status == 200 && head.contains("text/plain"));
    assert!(
        text.contains("\nseawall_market_mode{market=\"BTC\"} 0\n")
            && text.contains("\nseawall_insurance_usd{pool=\"main\"} 0.00\n"),
        "{text}"
    );
    assert_eq!((stand.ask("GET", "/livez", "", "").0, stand.ask("GET", "/readyz", "", "").0), (200, 200));
}

#[test]
fn whoever_asks_for_what_there_is_not_is_told_what_to_do() {
    let stand = Stand::new(None);
    for (method, path, status, said) in [
        ("GET", "/api/v1/markets/DOGE", 404, "there is no market of that name"),
        ("GET", "/api/v1/receipts/999999999", 404, "seawall journal verify"),
        ("GET", "/api/v1/receipts/x", 400, "write the height as a whole number"),
        ("GET", "/api/v1/timeline?limit=0", 400, "write a limit from 1 to 500"),
        ("GET", "/api/v1/timeline?limit=501", 400, "write a limit from 1 to 500"),
        ("GET", "/api/v1/timeline?before=-1", 400, "whole number"),
        ("GET", "/../etc/passwd", 404, "docs/api.md"),
        ("DELETE", "/api/v1/overview", 405, "read with GET"),
        ("GET", "/api/v1/statements", 405, "read with GET"),
    ] {
        let (found, head, body) = stand.ask(method, path, "", "");
        assert_eq!(found, status, "{path}: {body}");
        assert!(head.contains("content-type: application/problem+json"), "{path}: {head}");
        assert!(
            head.contains("x-content-type-options: nosniff") && head.contains("content-security-policy: "),
            "{head}"
        );
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(problem["status"], status);
        assert!(problem["detail"].as_str().unwrap().contains(said), "{path}: {problem}");
    }
}

#[test]
fn a_statement_is_heard_and_a_bad_one_is_refused_with_its_reason() {
    let stand = Stand::new(None);
    let good = stand.statement(|_| {});
    let (status, heard) = stand.post(&good);
    assert_eq!(status, 200, "{heard}");
    assert!(
        heard["said"][0]
            .as_str()
            .unwrap()
            .starts_with("held to reduce-only by the guardian of key 0 until 2025-10-09T"),
        "{heard}"
    );
    let view = stand.until(|view| view["markets"][0]["mode"] == "reduce-only");
    assert_eq!(view["markets"][0]["restraint"]["by"], 0);
    assert_eq!(view["verdict"]["headline"], "BTC is restricted, and comes back by itself");
    // The same once more.
    let (status, problem) = stand.post(&good);
    assert_eq!((status, problem["code"].as_u64()), (422, Some(24)), "{problem}");
    stand.until(|view| view["markets"][0]["restraint"].is_null());

    let (status, problem) = stand.post(&stand.statement(|draft| draft.venue = [7; 32]));
    assert_eq!(status, 403);
    assert!(problem["detail"].as_str().unwrap().contains("another venue"), "{problem}");
    let (status, problem) = stand.post(
        &stand.statement(|draft| draft.act = Act::Propose(protocol::governance::Change::Lift { market: MarketId(0) })),
    );
    assert_eq!((status, problem["code"].as_u64()), (422, Some(23)), "wrong scope: {problem}");
    let mut forged: Value = serde_json::from_str(&stand.statement(|_| {})).unwrap();
    forged["signature"] = json!("0".repeat(128));
    assert_eq!(stand.post(&forged.to_string()).0, 403);
    for (body, status, said) in [
        ("", 400, "text"),
        ("{", 400, "text"),
        ("{\"text\": \"x\"}", 400, "signature"),
        ("{\"text\": \"x\", \"signature\": \"zz\"}", 400, "128 hexadecimal digits"),
        ("[1, 2]", 400, "text"),
    ] {
        let (found, problem) = stand.post(body);
        assert_eq!(found, status, "{body}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(said), "{body}: {problem}");
    }
    let (status, _, _) = stand.ask("POST", "/api/v1/statements", "", &good);
    assert_eq!(status, 415);
    let at_limit = json!({"text": "x".repeat(4_000), "signature": "zz"}).to_string();
    assert!(at_limit.len() < 4_096);
    assert_eq!(stand.post(&at_limit).0, 400);
    assert_eq!(stand.post(&"x".repeat(4_097)).0, 413);
    stand.turns();
}

#[test]
fn who_is_called_otherwise_or_shows_no_token_stays_outside() {
    let stand = Stand::new(None);
    for (host, status) in [
        (format!("localhost:{}", stand.at.port()), 200),
        (format!("LOCALHOST:{}", stand.at.port()), 200),
        (format!("[::1]:{}", stand.at.port()), 200),
        ("localhost".to_owned(), 421),
        (format!("evil.example:{}", stand.at.port()), 421),
    ] {
        let found = stand.raw(format!("GET /livez HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").as_bytes());
        assert_eq!(found.0, status, "{host}: {found:?}");
    }
    assert_eq!(stand.raw(b"GET /livez HTTP/1.1\r\nconnection: close\r\n\r\n").0, 421);
    for (site, status) in [("cross-site", 403), ("same-origin", 200), ("none", 200)] {
        let (found, _, _) = stand.ask("GET", "/api/v1/markets", &format!("sec-fetch-site: {site}\r\n"), "");
        assert_eq!(found, status, "{site}");
    }
    let everywhere =
        Settings { listen: "0.0.0.0:0".parse().unwrap(), tokens: Tokens::default(), tls: None, charts: "" };
    drop(stand);

    let limits = Limits { orders_max: 1, kernel_orders_max: 1 };
    let config = Config { segment_bytes: 1 << 20, snapshot_every: 1_000, limits };
    let genesis = || Kernel::new(&params(), &[]).unwrap();
    let window = || {
        let (node, _) = Node::open(MemoryStorage::new(), config, None, genesis()).unwrap();
        Publisher::new(&node, Names::default()).1
    };
    let found = serve(window(), &everywhere).unwrap_err().to_string();
    assert!(found.contains("--tokens"), "{found}");
    let known = tokens(&[("correct-horse-battery", "\"read\"", "")]);
    let plain = Settings { tokens: known.clone(), ..everywhere.clone() };
    assert!(serve(window(), &plain).unwrap_err().to_string().contains("--tls-cert"));
    let at = serve(window(), &Settings { tls: Some(certified().0), ..plain }).unwrap();
    let taken = Settings { listen: SocketAddr::from(([127, 0, 0, 1], at.port())), ..everywhere };
    let found = serve(window(), &taken).unwrap_err().to_string();
    assert!(found.contains("--listen"), "{found}");
}

/// A certificate for `localhost`, and itself as what a reader trusts.
fn certified() -> (Tls, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let home = tempfile::tempdir().unwrap();
    let (certificate, key) = (home.path().join("cert.pem"), home.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let told = Tls::read(&key, &key).unwrap_err().to_string();
    assert!(told.contains("holds no PEM certificate") && !told.contains("PRIVATE"), "{told}");
    assert!(Tls::read(&certificate, &certificate).unwrap_err().to_string().contains("no PEM private key"));
    assert!(Tls::read(&home.path().join("absent"), &key).unwrap_err().to_string().contains("absent"));
    (Tls::read(&certificate, &key).unwrap(), made.cert.der().to_vec())
}

#[test]
fn with_a_certificate_only_those_who_shake_hands_are_answered() {
    let (node, _) = {
        let limits = Limits { orders_max: 1, kernel_orders_max: 1 };
        let config = Config { segment_bytes: 1 << 20, snapshot_every: 1_000, limits };
        Node::open(MemoryStorage::new(), config, None, Kernel::new(&params(), &[]).unwrap()).unwrap()
    };
    let (_publisher, window) = Publisher::new(&node, Names::default());
    let (tls, trusted) = certified();
    let known = tokens(&[("correct-horse-battery", "\"read\"", "")]);
    let listen = "127.0.0.1:0".parse().unwrap();
    let at = serve(window, &Settings { listen, tokens: known, tls: Some(tls), charts: "" }).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.into()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let session = rustls::ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
    let mut stream = rustls::StreamOwned::new(session, TcpStream::connect(at).unwrap());
    let head = "GET /api/v1/overview HTTP/1.1\r\nhost: x\r\nauthorization: Bearer correct-horse-battery\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ended = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    // In the clear there is nothing to read.
    let mut plain = TcpStream::connect(at).unwrap();
    plain.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ended = plain.read_to_end(&mut answer);
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "{answer:?}");
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

/// A request of whoever holds `token`: status, head and body.
fn with(stand: &Stand, token: &str, method: &str, path: &str, more: &str, body: &str) -> (u16, String, Value) {
    let (at, shown, len) = (stand.at, bearer(token), body.len());
    let text = format!(
        "{method} {path} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\ncontent-length: {len}\r\n{shown}{more}\r\n{body}"
    );
    let (status, head, body) = stand.raw(text.as_bytes());
    (status, head, serde_json::from_str(&body).unwrap_or(Value::Null))
}

const JSON: &str = "content-type: application/json\r\n";

#[test]
fn what_others_observe_is_decided_and_recorded_under_their_number() {
    let stand = Stand::new(Some("correct-horse-battery"));
    let post = |body: &Value, more: &str| {
        with(&stand, FEEDER, "POST", "/api/v1/observations", &format!("{JSON}{more}"), &body.to_string())
    };
    let now = || stand.now.load(Ordering::Relaxed);
    let quote = |price: &str| json!({"kind": "quote", "market": "BTC", "source": "east", "price": price, "published_at": now()});
    // Within 1% of both others: the third speaks with them, and stands in the overview.
    let (status, _, taken) = post(&json!([quote("100.5")]), "");
    assert_eq!((status, taken), (202, json!({"taken": 1})));
    stand.until(|view| view["markets"][0]["sources"][2]["price"] == "100.50");
    for (body, status, said) in [
        (json!([quote("100"), quote("-1")]), 422, "report 1, counted from 0: price"),
        (json!([{"kind": "quote", "market": "DOGE", "source": "east", "price": "1", "published_at": 0}]), 422, "DOGE"),
        (json!([{"kind": "rumour"}]), 400, "unknown variant"),
        (json!({"kind": "quote"}), 400, "list of reports"),
        (json!(vec![quote("1"); 257]), 400, "at most 256"),
        (json!(vec![quote("100"); 256]), 202, ""),
    ] {
        let (found, _, answer) = post(&body, "");
        assert_eq!(found, status, "{answer}");
        assert!(answer["detail"].as_str().unwrap_or("").contains(said), "{answer}");
    }
    assert_eq!(with(&stand, FEEDER, "POST", "/api/v1/observations", JSON, &"x".repeat(65_537)).0, 413);
    assert_eq!(with(&stand, FEEDER, "POST", "/api/v1/observations", "", "[]").0, 415);
    // The same request under the same key is answered again; another one under it is refused.
    let first = json!([quote("100")]);
    let key = "idempotency-key: once\r\n";
    assert!(!post(&first, key).1.contains("idempotency-replayed"));
    let (status, head, taken) = post(&first, key);
    assert!(status == 202 && head.contains("idempotency-replayed: true") && taken["taken"] == 1, "{head}");
    assert_eq!(post(&json!([]), key).0, 422);
    let (_, _, text) = {
        let (status, head, body) = stand.ask("GET", "/metrics", "", "");
        (status, head, body)
    };
    // One, the 256 that were one feed's, and the one that was sent twice.
    assert!(text.contains("seawall_reports_total 258\n"), "{text}");
    stand.turns();
}

#[test]
fn a_socket_takes_list_after_list() {
    use tungstenite::client::IntoClientRequest as _;
    let stand = Stand::new(Some("correct-horse-battery"));
    let mut request = format!("ws://{}/api/v1/ingest", stand.at).into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {FEEDER}").parse().unwrap());
    let (mut socket, response) = tungstenite::client(request, stand.connect()).unwrap();
    assert_eq!(response.status(), 101);
    let mut say = |text: String| {
        socket.send(tungstenite::Message::text(text)).unwrap();
        let answer = socket.read().unwrap().into_text().unwrap();
        serde_json::from_str::<Value>(&answer).unwrap()
    };
    let depth = json!([{"kind": "depth", "market": "BTC", "bid": "5", "ask": "5"}]);
    assert_eq!(say(depth.to_string()), json!({"taken": 1}));
    assert_eq!(say("nonsense".to_owned())["status"], 400);
    assert_eq!(say(depth.to_string()), json!({"taken": 1}));
    assert_eq!(say(json!([{"kind": "book", "market": "X", "bid": "1", "ask": "2"}]).to_string())["status"], 422);
    // One that is too long ends it.
    let _ended = socket.send(tungstenite::Message::text("x".repeat(65_537)));
    assert!((0..3).any(|_| socket.read().is_err()));
    // No socket, and no token for one.
    assert_eq!(with(&stand, FEEDER, "GET", "/api/v1/ingest", "", "").0, 400);
    assert_eq!(with(&stand, "correct-horse-battery", "GET", "/api/v1/ingest", "", "").0, 403);
    stand.turns();
}

#[test]
fn accounts_restrictions_plans_and_incidents_are_listed() {
    let stand = Stand::new(None);
    let (status, accounts) = stand.get("/api/v1/accounts?pool=main&limit=1");
    assert_eq!((status, accounts["next"].as_str()), (200, Some("2")));
    let first = &accounts["items"][0];
    // 30 USD, a position of 100 USD bought at 100: tiers ask for 5% and 2.5%.
    assert_eq!(
        (first["account"].as_str(), first["equity"].as_str(), first["initial"].as_str(), first["maintenance"].as_str()),
        (Some("1"), Some("30.00"), Some("5.00"), Some("2.50"))
    );
    assert_eq!(
        first["positions"][0],
        json!({"market": "BTC", "size": "1", "notional": "100.00", "trigger": first["positions"][0]["trigger"]})
    );
    let (_, rest) = stand.get("/api/v1/accounts?from=2");
    assert_eq!(
        (rest["items"][0]["account"].as_str(), rest["items"][0]["positions"][0]["size"].as_str()),
        (Some("2"), Some("-1"))
    );
    assert_eq!(rest["next"], Value::Null);
    for (path, status) in [
        ("/api/v1/accounts?pool=other", 404),
        ("/api/v1/accounts?limit=101", 400),
        ("/api/v1/accounts?from=-1", 400),
        ("/api/v1/accounts?from=99999999999999999999", 200),
        ("/api/v1/accounts?from=100000000000000000000", 400),
        ("/api/v1/accounts?limit=100", 200),
    ] {
        assert_eq!(stand.get(path).0, status, "{path}");
    }
    // It came up by steps: each is a plan, and each says what leads back from it.
    let (_, plans) = stand.get("/api/v1/plans");
    let steps: Vec<(&str, &str)> = plans["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|plan| (plan["from"].as_str().unwrap(), plan["to"].as_str().unwrap()))
        .collect();
    assert_eq!(
        steps,
        [
            ("cautious", "normal"),
            ("reduce-only", "cautious"),
            ("cancel-only", "reduce-only"),
            ("halted", "cancel-only")
        ]
    );
    assert_eq!(plans["items"][1]["permitted"], json!(["open long", "open short", "withdraw long", "withdraw short"]));
    let (_, page) = stand.get("/api/v1/plans?limit=1");
    assert_eq!(page["next"], page["items"][0]["height"].to_string());

    assert_eq!(stand.get("/api/v1/restrictions").1["items"], json!([]));
    assert_eq!(stand.post(&stand.statement(|_| {})).0, 200);
    stand.until(|view| view["markets"][0]["mode"] == "reduce-only");
    let (_, restrictions) = stand.get("/api/v1/restrictions");
    assert_eq!(restrictions["items"][0]["causes"], json!([{"name": "a guardian", "to": "reduce-only"}]));
    let (_, plans) = stand.get("/api/v1/plans?limit=1");
    let plan = &plans["items"][0];
    assert_eq!((plan["from"].as_str(), plan["to"].as_str()), (Some("normal"), Some("reduce-only")));
    assert_eq!(plan["denied"], json!(["open long", "open short", "withdraw long", "withdraw short"]));
    assert_eq!(
        plan["checks"][0],
        json!({"name": "a guardian", "asks": "reduce-only", "value": null, "cautious": null, "reduce_only": null, "slack": null})
    );
    let accounts =
        json!({"holders": 2, "distressed": 0, "seen": 2, "open_without": 2, "open_with": 0, "reduce_with": 2});
    assert_eq!(plan["accounts"], accounts);
    let (_, incidents) = stand.get("/api/v1/incidents?limit=1");
    let incident = &incidents["items"][0];
    assert_eq!(
        (incident["key"].as_str(), incident["severity"].as_str(), &incident["over"]),
        (Some("restricted:BTC"), Some("warning"), &Value::Null)
    );
    stand.until(|view| view["markets"][0]["mode"] == "normal");
    let (_, incidents) = stand.get("/api/v1/incidents?limit=1");
    assert!(incidents["items"][0]["over"].is_string(), "{incidents}");
    let (_, receipts) = stand.get("/api/v1/receipts?limit=2");
    let heights: Vec<u64> =
        receipts["items"].as_array().unwrap().iter().map(|item| item["height"].as_u64().unwrap()).collect();
    assert!(heights[1] < heights[0], "{heights:?}");
    assert_eq!(receipts["next"], heights[1].to_string());
    assert_eq!(stand.get("/api/v1/proposals").1, json!({"items": [], "next": null}));
}

#[test]
fn a_token_opens_what_a_wrong_one_does_not() {
    let stand = Stand::new(Some("correct-horse-battery"));
    assert_eq!(stand.get("/api/v1/overview").0, 200);
    let without = |more: &str, path: &str| {
        let text = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n{more}connection: close\r\n\r\n", stand.at);
        stand.raw(text.as_bytes()).0
    };
    for (more, path, status) in [
        ("", "/api/v1/overview", 401),
        ("", "/", 401),
        ("", "/metrics", 401),
        ("authorization: Bearer correct-horse-batterx\r\n", "/api/v1/overview", 401),
        ("authorization: Bearer correct-horse-batter\r\n", "/api/v1/overview", 401),
        ("authorization: Basic correct-horse-battery\r\n", "/api/v1/overview", 401),
        ("authorization: Bearer correct-horse-battery\r\n", "/api/v1/overview", 200),
        ("", "/livez", 200),
    ] {
        assert_eq!(without(more, path), status, "{more}{path}");
    }
    // Each token for what it is for.
    for (token, method, path, status) in [
        (FEEDER, "GET", "/api/v1/overview", 403),
        (FEEDER, "POST", "/api/v1/statements", 403),
        (FEEDER, "POST", "/api/v1/observations", 415),
        ("correct-horse-battery", "POST", "/api/v1/observations", 403),
        ("correct-horse-battery", "POST", "/api/v1/statements", 415),
        ("three-a-second-only", "POST", "/api/v1/statements", 403),
    ] {
        assert_eq!(with(&stand, token, method, path, "", "").0, status, "{token} {method} {path}");
    }
    let asked: Vec<(u16, String, Value)> =
        (0..6).map(|_| with(&stand, "three-a-second-only", "GET", "/api/v1/markets", "", "")).collect();
    let refused = asked.iter().find(|(status, ..)| *status == 429).expect("more than three a second");
    assert!(refused.1.contains("retry-after: 1"), "{}", refused.1);
    assert!(asked.iter().any(|(status, ..)| *status == 200), "{asked:?}");
    // Whoever shows it may call the node what they like.
    let text = format!("GET /readyz HTTP/1.1\r\nhost: node.example\r\n{}connection: close\r\n\r\n", stand.token);
    assert_eq!(stand.raw(text.as_bytes()).0, 200);
}

#[test]
fn nobody_holds_the_loop_up() {
    let stand = Stand::new(None);
    // Heads that never end, bodies that never come, what is no HTTP at all.
    let mut slow: Vec<TcpStream> = (0..50).map(|_| stand.connect()).collect();
    for (n, stream) in slow.iter_mut().enumerate() {
        let host = stand.at;
        let text = match n % 5 {
            // Nobody says anything, or nothing more after one request.
            3 => continue,
            4 => format!("GET /livez HTTP/1.1\r\nhost: {host}\r\n\r\n"),
            0 => "GET /api/v1/overview HTTP/1.1\r\nx: ".to_owned(),
            1 => format!(
                "POST /api/v1/statements HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
            ),
            _ => "\u{16}\u{3}\u{1} this is no request".to_owned(),
        };
        stream.write_all(text.as_bytes()).unwrap();
    }
    stand.turns();
    assert_eq!(stand.get("/api/v1/overview").0, 200);
    let huge = format!("GET / HTTP/1.1\r\nhost: {}\r\nx: {}\r\n\r\n", stand.at, "y".repeat(100_000));
    let found = stand.raw(huge.as_bytes()).0;
    assert!(found == 431 || found == 400 || found == 0, "{found}");
    // Each is gone within its time.
    let since = Instant::now();
    for mut stream in slow {
        let mut rest = Vec::new();
        let _gone = stream.read_to_end(&mut rest);
    }
    assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
    stand.turns();
}

fn events(stand: &Stand, more: &str) -> BufReader<TcpStream> {
    let mut stream = stand.connect();
    write!(stream, "GET /api/v1/stream HTTP/1.1\r\nhost: {}\r\n{more}\r\n", stand.at).unwrap();
    BufReader::new(stream)
}

/// The next event's name, id and data. Chunks' lengths are lines without a colon.
fn next(reader: &mut BufReader<TcpStream>) -> (String, Option<u64>, String) {
    let (mut name, mut id, mut data) = (String::new(), None, String::new());
    loop {
        let mut line = String::new();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0, "the stream is at its end");
        let line = line.trim_end();
        if let Some(text) = line.strip_prefix("event: ") {
            name = text.to_owned();
        } else if let Some(text) = line.strip_prefix("id: ") {
            id = text.parse().ok();
        } else if let Some(text) = line.strip_prefix("data: ") {
            data = text.to_owned();
        } else if line.is_empty() && !name.is_empty() {
            return (name, id, data);
        }
    }
}

#[test]
fn a_stream_goes_on_where_its_reader_was() {
    let stand = Stand::new(None);
    let (_, timeline) = stand.get("/api/v1/timeline");
    let newest = timeline["items"][0]["id"].as_u64().unwrap();
    assert!(3 <= newest, "the way up from halted");
    let mut reader = events(&stand, "last-event-id: 1\r\n");
    for id in 2..=newest {
        let (name, found, data) = next(&mut reader);
        assert_eq!((name.as_str(), found), ("entry", Some(id)), "{data}");
    }
    // A number that was never given: what is missed is not known.
    let mut reader = events(&stand, "last-event-id: 999999\r\n");
    let (name, id, _) = next(&mut reader);
    assert_eq!((name.as_str(), id), ("reset", Some(newest)));
    // Who comes anew gets what there is, and then what comes.
    let mut reader = events(&stand, "");
    let (name, _, data) = next(&mut reader);
    assert_eq!(name, "view");
    assert_eq!(serde_json::from_str::<Value>(&data).unwrap()["markets"][0]["name"], "BTC");
    assert_eq!(stand.post(&stand.statement(|_| {})).0, 200);
    let entry = std::iter::from_fn(|| Some(next(&mut reader))).find(|(name, ..)| name == "entry").unwrap();
    assert_eq!(entry.1, Some(newest + 1));
}

#[test]
fn whatever_the_shipped_rules_and_panels_name_is_measured() {
    let stand = Stand::new(None);
    let (_, _, text) = stand.ask("GET", "/metrics", "", "");
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = 0;
    for file in
        [include_str!("../../../deploy/prometheus-rules.yml"), include_str!("../../../deploy/grafana-dashboard.json")]
    {
        for name in file.split(|c| !is_part(c)).filter(|name| name.starts_with("seawall_")) {
            assert!(
                text.contains(&format!("\n# TYPE {name} gauge\n")) || text.starts_with(&format!("# HELP {name} ")),
                "{name}"
            );
            found += 1;
        }
    }
    assert!(10 < found);
    let panels: Value = serde_json::from_str(include_str!("../../../deploy/grafana-dashboard.json")).unwrap();
    assert_eq!(panels["panels"].as_array().unwrap().len(), 9);
}
