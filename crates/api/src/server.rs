//! The readers' side: routes, and what a connection may cost.

use crate::board::{Entry, History, ReceiptView};
use crate::guard::{Guard, check};
use crate::problem::Problem;
use crate::publisher::{Answer, Asked, Window};
use crate::view::{LiquidationMap, MarketView, hex};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Json, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use node::Signed;
use node::statement::unhex;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

/// The most connections at a time; one more waits to be accepted.
const CONNECTIONS_MAX: usize = 2_048;
/// The most readers of the event stream.
const STREAMS_MAX: usize = 1_024;
/// A request whose head takes longer than this is gone.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Likewise one whose body does.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest body.
const BODY_MAX: usize = 4_096;
/// How long an answer to a statement may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Events that may wait for a reader before it is cut.
const EVENTS_MAX: usize = 256;
/// A stream says so often that it is there.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// The most entries of one answer.
const PAGE_MAX: usize = 500;

/// How a node is served.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// What readers must show; not needed where only this machine can read.
    pub token: Option<String>,
    /// The library of charts, whose script the page loads.
    pub charts: &'static str,
}

/// Why nobody is served.
#[derive(Debug, thiserror::Error)]
pub enum Unserved {
    /// The address is taken or not ours.
    #[error("listening on {listen}: {error}; choose another address with --listen, or none with --no-listen")]
    Bind {
        /// The address.
        listen: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// Others could read, and need show nothing.
    #[error("{0} can be reached from elsewhere: name a file with a token that readers must show (--token-file)")]
    Open(SocketAddr),
    /// A token that says nothing.
    #[error("the token has fewer than 16 characters, or blanks in it: write a longer one")]
    WeakToken,
}

/// A file of the page, compressed once.
struct Asset {
    kind: &'static str,
    etag: String,
    plain: Vec<u8>,
    packed: Vec<u8>,
}

impl Asset {
    fn new(kind: &'static str, text: &str) -> Asset {
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        // Into memory, which takes all.
        let packed = packer.write_all(text.as_bytes()).and_then(|()| packer.finish()).unwrap_or_default();
        let etag = format!("\"{}\"", &hex(&codec::hash(&text.as_bytes().to_vec()))[..32]);
        Asset { kind, etag, plain: text.as_bytes().to_vec(), packed }
    }

    fn serve(&self, headers: &HeaderMap) -> Response {
        let has = |name, value: &str| {
            headers.get(name).and_then(|found| found.to_str().ok()).is_some_and(|found| found.contains(value))
        };
        let kept = [(header::ETAG, self.etag.clone()), (header::CACHE_CONTROL, "no-cache".to_owned())];
        if has(header::IF_NONE_MATCH, &self.etag) {
            return (StatusCode::NOT_MODIFIED, kept).into_response();
        }
        let kind = (header::CONTENT_TYPE, self.kind);
        if has(header::ACCEPT_ENCODING, "gzip") {
            let packed = [kind, (header::CONTENT_ENCODING, "gzip"), (header::VARY, "accept-encoding")];
            return (kept, packed, self.packed.clone()).into_response();
        }
        (kept, [kind], self.plain.clone()).into_response()
    }
}

struct Site {
    window: Window,
    streams: Arc<Semaphore>,
    page: Asset,
    style: Asset,
    script: Asset,
    charts: Asset,
}

type Shared = State<Arc<Site>>;

/// The address on which a node is served, and the thread that serves it until the process ends.
///
/// # Errors
/// An address that is taken; one that others reach, without a token.
pub fn serve(window: Window, settings: &Settings) -> Result<SocketAddr, Unserved> {
    let listen = settings.listen;
    if !listen.ip().is_loopback() && settings.token.is_none() {
        return Err(Unserved::Open(listen));
    }
    let weak = |token: &String| token.len() < 16 || token.chars().any(|c| c.is_whitespace() || c.is_control());
    if settings.token.as_ref().is_some_and(weak) {
        return Err(Unserved::WeakToken);
    }
    let bind = |error| Unserved::Bind { listen, error };
    let listener = std::net::TcpListener::bind(listen).map_err(bind)?;
    listener.set_nonblocking(true).map_err(bind)?;
    let at = listener.local_addr().map_err(bind)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(bind)?;
    let hosts = ["127.0.0.1", "localhost", "[::1]"].map(|host| format!("{host}:{}", at.port()));
    let hosts = hosts.into_iter().chain([at.to_string()]).collect();
    let guard = Guard { hosts, token: settings.token.clone() };
    let app = router(window, guard, settings.charts);
    let serving = move || {
        runtime.block_on(async move {
            match TcpListener::from_std(listener) {
                Ok(listener) => accept(&listener, app).await,
                Err(error) => eprintln!("seawall: the dashboard can't be served: {error}"),
            }
        });
    };
    std::thread::Builder::new().name("api".to_owned()).spawn(serving).map_err(bind)?;
    Ok(at)
}

/// Takes connections, each with its own limits.
async fn accept(listener: &TcpListener, app: Router) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                // Out of descriptors, or a connection that was gone at once: others still come.
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(app.clone());
        tokio::spawn(async move {
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(16 * 1_024);
            // Whoever breaks off has what it wanted.
            let _broken = http.serve_connection(TokioIo::new(stream), service).await;
            drop(permit);
        });
    }
}

pub(crate) fn router(window: Window, guard: Guard, charts: &str) -> Router {
    let site = Site {
        window,
        streams: Arc::new(Semaphore::new(STREAMS_MAX)),
        page: Asset::new("text/html; charset=utf-8", include_str!("../dashboard/index.html")),
        style: Asset::new("text/css; charset=utf-8", include_str!("../dashboard/style.css")),
        script: Asset::new("text/javascript; charset=utf-8", include_str!("../dashboard/app.js")),
        charts: Asset::new("text/javascript; charset=utf-8", charts),
    };
    let guard = Arc::new(guard);
    Router::new()
        .route("/", get(|State(site): Shared, headers: HeaderMap| async move { site.page.serve(&headers) }))
        .route("/style.css", get(|State(site): Shared, headers: HeaderMap| async move { site.style.serve(&headers) }))
        .route("/app.js", get(|State(site): Shared, headers: HeaderMap| async move { site.script.serve(&headers) }))
        .route("/charts.js", get(|State(site): Shared, headers: HeaderMap| async move { site.charts.serve(&headers) }))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/api/v1/overview", get(overview))
        .route("/api/v1/markets", get(markets))
        .route("/api/v1/markets/{name}", get(market))
        .route("/api/v1/timeline", get(timeline))
        .route("/api/v1/receipts/{height}", get(receipt))
        .route("/api/v1/stream", get(stream))
        .route("/api/v1/statements", post(state_it))
        .fallback(|| async { Problem::unknown("such page; the paths are in docs/api.md") })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", "read with GET; statements are POSTed")
        })
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(axum::middleware::from_fn_with_state(guard, check))
        .with_state(Arc::new(site))
}

async fn ready(State(site): Shared) -> Response {
    let shown = site.window.board.view();
    if shown.view.height == 0 {
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Not ready", "no batch was decided yet").into_response();
    }
    "ok\n".into_response()
}

async fn overview(State(site): Shared) -> Response {
    let text = site.window.board.view().text();
    ([(header::CONTENT_TYPE, "application/json")], text.to_string()).into_response()
}

async fn markets(State(site): Shared) -> Response {
    let shown = site.window.board.view();
    Json(&shown.view.markets).into_response()
}

#[derive(Serialize)]
struct Whole {
    market: MarketView,
    history: History,
    liquidations: Option<LiquidationMap>,
}

async fn market(State(site): Shared, Path(name): Path<String>) -> Result<Json<Whole>, Problem> {
    let board = &site.window.board;
    let found = board.view().view.markets.iter().find(|market| market.name == name).cloned();
    let market = found.ok_or_else(|| Problem::unknown("market of that name"))?;
    let (history, liquidations) = (board.history(&name).unwrap_or_default(), board.map(&name));
    Ok(Json(Whole { market, history, liquidations }))
}

#[derive(Deserialize)]
struct Page {
    before: Option<u64>,
    limit: Option<usize>,
}

async fn timeline(State(site): Shared, page: Result<Query<Page>, QueryRejection>) -> Result<Json<Vec<Entry>>, Problem> {
    let Query(Page { before, limit }) =
        page.map_err(|_| Problem::bad("write before and limit as whole numbers, as ?before=120&limit=50"))?;
    let limit = limit.unwrap_or(100);
    if limit == 0 || PAGE_MAX < limit {
        return Err(Problem::bad(format!("write a limit from 1 to {PAGE_MAX}")));
    }
    Ok(Json(site.window.board.entries_before(before.unwrap_or(u64::MAX), limit)))
}

async fn receipt(State(site): Shared, Path(height): Path<String>) -> Result<Json<ReceiptView>, Problem> {
    let height = height.parse().map_err(|_| Problem::bad("write the height as a whole number"))?;
    let kept = site.window.board.receipt(height);
    kept.map(Json).ok_or_else(|| {
        Problem::unknown("receipt of that height here: nothing was decided in it, or it is long ago; `seawall journal verify` derives each again")
    })
}

async fn metrics(State(site): Shared) -> Response {
    let shown = site.window.board.view();
    let view = &shown.view;
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, rows: Vec<(String, String)>| {
        text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} gauge\n"));
        for (labels, value) in rows {
            text.push_str(&format!("{name}{labels} {value}\n"));
        }
    };
    let label = |name: &str| name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    gauge("seawall_height", "Batches decided.", vec![(String::new(), view.height.to_string())]);
    let at = (view.at_micros / 1_000_000).to_string();
    gauge("seawall_time_seconds", "The last batch's time.", vec![(String::new(), at)]);
    let of = |value: fn(&MarketView) -> String| {
        let rows = view.markets.iter().map(|market| (format!("{{market=\"{}\"}}", label(&market.name)), value(market)));
        rows.collect::<Vec<_>>()
    };
    let mode = |market: &MarketView| match market.mode {
        "normal" => "0".to_owned(),
        "cautious" => "1".to_owned(),
        "reduce-only" => "2".to_owned(),
        "cancel-only" => "3".to_owned(),
        "halted" => "4".to_owned(),
        _ => "5".to_owned(),
    };
    gauge("seawall_market_mode", "0 normal, 1 cautious, 2 reduce-only, 3 cancel-only, 4 halted, 5 settling.", of(mode));
    let age = |market: &MarketView| format!("{}", market.age_ms.max(0) / 1_000);
    gauge("seawall_index_age_seconds", "Age of the price that serves.", of(age));
    gauge("seawall_index_lineages", "Independent sources behind it.", of(|market| market.lineages.to_string()));
    gauge("seawall_market_distressed", "Accounts under maintenance.", of(|market| market.distressed.to_string()));
    let pools = |value: fn(&crate::view::PoolView) -> String| {
        let rows = view.pools.iter().map(|pool| (format!("{{pool=\"{}\"}}", label(&pool.name)), value(pool)));
        rows.collect::<Vec<_>>()
    };
    gauge("seawall_insurance_usd", "In the insurance fund.", pools(|pool| pool.insurance.clone()));
    gauge("seawall_deficit_usd", "What nobody could pay.", pools(|pool| pool.deficit.clone()));
    let streams = STREAMS_MAX - site.streams.available_permits();
    gauge("seawall_streams", "Readers of the event stream.", vec![(String::new(), streams.to_string())]);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

/// Events as they come: `entry` with its number, `view` whenever there is a new one, `reset` where entries were missed.
async fn stream(State(site): Shared, headers: HeaderMap) -> Response {
    let Ok(permit) = Arc::clone(&site.streams).try_acquire_owned() else {
        let detail = format!("{STREAMS_MAX} readers are here already: come back later, or read /api/v1/overview");
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Too many readers", detail).into_response();
    };
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse::<u64>().ok());
    let (send, receive) = mpsc::channel(EVENTS_MAX);
    tokio::spawn(async move {
        feed(&site.window, last, &send).await;
        drop(permit);
    });
    let events = ReceiverStream::new(receive).map(|news: News| Ok::<Event, Infallible>(news.event()));
    let keep = KeepAlive::new().interval(HEARTBEAT).text("here");
    Sse::new(events).keep_alive(keep).into_response()
}

/// What a reader of the stream is sent.
#[derive(Clone, Debug)]
enum News {
    /// A line of the timeline.
    Entry(Entry),
    /// Everything, as it is now.
    View(Arc<str>),
    /// Entries up to this one are missed.
    Reset(u64),
    /// The reader is too slow: nothing more comes.
    Cut,
}

impl News {
    fn event(&self) -> Event {
        fn data(name: &str, data: &impl Serialize) -> Event {
            Event::default().event(name).json_data(data).unwrap_or_default()
        }
        match self {
            News::Entry(entry) => data("entry", entry).id(entry.id.to_string()),
            News::View(text) => Event::default().event("view").data(text),
            News::Reset(newest) => data("reset", &"entries are missed: read /api/v1/timeline").id(newest.to_string()),
            News::Cut => {
                data("cut", &"you read too slowly; connect again, and what you missed is sent while it is kept")
            }
        }
    }
}

/// Writes events for one reader until it is gone or too slow.
async fn feed(window: &Window, last: Option<u64>, send: &mpsc::Sender<News>) {
    let board = &window.board;
    let mut changes = board.news.subscribe();
    let mut after = last.unwrap_or(changes.borrow_and_update().0);
    let mut seen = None;
    loop {
        let (newest, views) = *changes.borrow_and_update();
        let mut all = Vec::new();
        match board.entries_after(after, EVENTS_MAX / 2) {
            Some(entries) => {
                after = entries.last().map_or(after, |last| last.id);
                all.extend(entries.into_iter().map(News::Entry));
            }
            None => {
                after = newest;
                all.push(News::Reset(newest));
            }
        }
        if seen != Some(views) {
            seen = Some(views);
            all.push(News::View(board.view().text()));
        }
        for news in all {
            match send.try_send(news) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Closed(_)) => return,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    // It is told, if it ever reads on.
                    let _gone = timeout(HEARTBEAT, send.send(News::Cut)).await;
                    return;
                }
            }
        }
        if after < changes.borrow().0 {
            tokio::task::yield_now().await;
            continue;
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = send.closed() => return,
        }
    }
}

#[derive(Deserialize)]
struct Said {
    text: String,
    signature: String,
}

#[derive(Serialize)]
struct Heard {
    height: u64,
    said: Vec<String>,
}

async fn state_it(State(site): Shared, request: axum::extract::Request) -> Result<Json<Heard>, Problem> {
    let is_json = request.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if !is_json {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Unsupported media type",
            "send application/json",
        ));
    }
    let body = body_of(request).await?;
    let parsed: Result<Json<Said>, JsonRejection> = Json::from_bytes(&body);
    let Json(Said { text, signature }) =
        parsed.map_err(|error| Problem::bad(format!("write {{\"text\", \"signature\"}}: {}", error.body_text())))?;
    let signature = unhex(&signature).ok_or_else(|| Problem::bad("write the signature as 128 hexadecimal digits"))?;
    let (reply, answer) = oneshot::channel();
    let asked = Asked { signed: Signed { text, signature }, reply };
    if site.window.ask.try_send(asked).is_err() {
        let detail = "as many statements wait as may: try again in a second";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Busy", detail));
    }
    let answer = timeout(ANSWER_TIMEOUT, answer).await;
    let Ok(Ok(answer)) = answer else {
        let detail = "no answer in time. It may still be heard: look at the key's next nonce before you sign another";
        return Err(Problem::new(StatusCode::GATEWAY_TIMEOUT, "No answer yet", detail));
    };
    match answer {
        Answer::Decided { height, said } => Ok(Json(Heard { height, said })),
        Answer::Refused { height, code, why } => {
            let place = height.map_or("before it was heard".to_owned(), |height| format!("at height {height}"));
            let detail = format!("refused {place}: {why}; docs/reference.md says what to do");
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Refused", detail).with_code(code))
        }
        Answer::Unheard(why) => Err(Problem::new(StatusCode::FORBIDDEN, "No statement of a key of this venue", why)),
    }
}

async fn body_of(request: axum::extract::Request) -> Result<Bytes, Problem> {
    let read = timeout(BODY_TIMEOUT, axum::body::to_bytes(Body::new(request.into_body()), BODY_MAX)).await;
    match read {
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "Too slow", "the body took longer than 5 s")),
        Ok(Err(_)) => {
            let detail = format!("a statement has at most {BODY_MAX} bytes");
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "Too large", detail))
        }
        Ok(Ok(bytes)) => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::{Board, ENTRIES_MAX};
    use crate::view::View;

    fn window() -> Window {
        let verdict =
            crate::view::Verdict { level: crate::view::Level::Normal, headline: String::new(), needs: Vec::new() };
        let governance = crate::view::GovernanceView {
            venue: String::new(),
            threshold: 2,
            tighten_max_s: 0,
            statement_max_s: 0,
            keys: Vec::new(),
            proposals: Vec::new(),
        };
        let (at, head) = (String::new(), String::new());
        let (markets, pools) = (Vec::new(), Vec::new());
        let view = View { at, at_micros: 0, height: 1, head, verdict, markets, pools, governance };
        Window { board: Arc::new(Board::new(view)), ask: mpsc::channel(1).0 }
    }

    fn put(window: &Window, entries: usize) {
        for _ in 0..entries {
            let (at, market, text) = (String::new(), String::new(), String::new());
            window.board.put_entry(Entry { id: 0, at, height: 1, market, kind: "test", text, count: 1 });
        }
    }

    async fn told(receive: &mut mpsc::Receiver<News>) -> Vec<News> {
        let mut all = Vec::new();
        while let Ok(Some(news)) = timeout(Duration::from_secs(1), receive.recv()).await {
            all.push(news);
        }
        all
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_who_does_not_read_is_told_and_cut() {
        for (entries, cut) in [(EVENTS_MAX - 1, false), (EVENTS_MAX, true)] {
            let window = window();
            let (send, mut receive) = mpsc::channel(EVENTS_MAX);
            let copy = window.clone();
            let feeding = tokio::spawn(async move { feed(&copy, Some(0), &send).await });
            put(&window, entries);
            tokio::time::sleep(Duration::from_millis(10)).await;
            // The view takes a place, too.
            let news = told(&mut receive).await;
            assert_eq!(matches!(news.last(), Some(News::Cut)), cut, "{entries}");
            assert_eq!(news.len(), EVENTS_MAX + usize::from(cut), "{entries}");
            assert_eq!(feeding.is_finished(), cut, "{entries}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_kept_any_more_is_said_to_be_missed() {
        for (after, reset) in [(0, true), (1, false)] {
            let window = window();
            put(&window, ENTRIES_MAX + 1);
            let (send, mut receive) = mpsc::channel(EVENTS_MAX);
            tokio::spawn(async move { feed(&window, Some(after), &send).await });
            let first = receive.recv().await.unwrap();
            let newest = ENTRIES_MAX as u64 + 1;
            assert_eq!(matches!(first, News::Reset(found) if found == newest), reset, "{after}");
            assert_eq!(matches!(first, News::Entry(Entry { id: 2, .. })), !reset, "{after}");
        }
    }
}
