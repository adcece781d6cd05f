//! A guard over HTTP: for its node, and for the venue that asks what is permitted.

use crate::state::{Broken, Guard};
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use port::words::{hex, mode, unhex, unhex_all};
use port::{Delivery, SinkFault, Standing};
use protocol::{Action, MarketId, Side};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// The longest delivery, as JSON: a million effects.
const BODY_MAX: usize = 256 << 20;
/// The fewest characters of a token.
const TOKEN_MIN: usize = 16;
/// The most deliveries of one answer.
const PAGE_MAX: usize = 1_000;

/// Why nothing is served any more.
#[derive(Debug, thiserror::Error)]
pub enum Unserved {
    /// The address is taken or not ours.
    #[error("listening on {listen}: {error}")]
    Bind {
        /// The address.
        listen: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// Others could act as the node.
    #[error(
        "{0} can be reached from elsewhere, where tokens would be read on the way: listen on 127.0.0.1, behind something that has a certificate"
    )]
    Open(SocketAddr),
    /// A token that anybody could guess.
    #[error("the token has fewer than {TOKEN_MIN} characters, or blanks in it: write a longer one")]
    Token,
    /// What was carried out can't be kept.
    #[error(transparent)]
    Broken(#[from] Broken),
}

struct Post {
    guard: Mutex<Guard>,
    /// The hash of the node's token.
    token: Option<[u8; 32]>,
    /// What this machine calls it: a page elsewhere whose name leads here has its own.
    hosts: Vec<String>,
    /// Told where the guard is broken.
    broken: Mutex<Option<oneshot::Sender<Broken>>>,
}

type Shared = State<Arc<Post>>;

/// Serves until the guard is broken; `told` hears the address once it is there.
///
/// # Errors
/// [`Unserved`], always.
pub fn serve(
    guard: Guard,
    listen: SocketAddr,
    token: Option<&str>,
    told: impl FnOnce(SocketAddr),
) -> Result<std::convert::Infallible, Unserved> {
    if !listen.ip().is_loopback() {
        return Err(Unserved::Open(listen));
    }
    let weak = |token: &str| token.len() < TOKEN_MIN || token.chars().any(|c| c.is_whitespace() || c.is_control());
    if token.is_some_and(weak) {
        return Err(Unserved::Token);
    }
    let bind = |error| Unserved::Bind { listen, error };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(bind)?;
    let (broken, breaks) = oneshot::channel();
    let token = token.map(|token| Sha256::digest(token.as_bytes()).into());
    runtime.block_on(async move {
        let listener = TcpListener::bind(listen).await.map_err(bind)?;
        let at = listener.local_addr().map_err(bind)?;
        let hosts = ["127.0.0.1", "localhost", "[::1]"].map(|host| format!("{host}:{}", at.port()));
        let hosts = hosts.into_iter().chain([at.to_string()]).collect();
        let post = Arc::new(Post { guard: Mutex::new(guard), token, hosts, broken: Mutex::new(Some(broken)) });
        told(at);
        tokio::select! {
            served = axum::serve(listener, router(post)) => Err(bind(served.err().unwrap_or_else(|| io::Error::other("it ended")))),
            broken = breaks => match broken {
                Ok(broken) => Err(Unserved::Broken(broken)),
                Err(_) => Err(bind(io::Error::other("it ended"))),
            },
        }
    })
}

fn router(post: Arc<Post>) -> Router {
    Router::new()
        .route("/v1/deliveries", self::post(deliver))
        .route("/v1/claim", self::post(claim))
        .route("/v1/lease", self::post(renew))
        .route("/v1/effects", get(effects))
        .route("/v1/standing", get(|State(post): Shared| async move { standing(&locked(&post).standing()) }))
        .route("/v1/modes", get(modes))
        .route("/v1/permits", get(permits))
        .fallback(|| async { problem(StatusCode::NOT_FOUND, "there is no such page; docs/guard.md lists them") })
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&post), check))
        .with_state(post)
}

fn locked(post: &Post) -> std::sync::MutexGuard<'_, Guard> {
    post.guard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A page elsewhere can't make somebody's browser act here: where there is no token the host must be this machine's name.
async fn check(State(post): Shared, request: Request, next: Next) -> Response {
    if let Some(token) = &post.token {
        let shown = request.headers().get(header::AUTHORIZATION).and_then(|shown| shown.to_str().ok());
        let shown: [u8; 32] =
            Sha256::digest(shown.and_then(|s| s.strip_prefix("Bearer ")).unwrap_or("").as_bytes()).into();
        if shown.iter().zip(token).fold(0, |differ, (a, b)| differ | (a ^ b)) != 0 {
            return problem(StatusCode::UNAUTHORIZED, "show the token as `Authorization: Bearer TOKEN`");
        }
    }
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if post.token.is_none() && !host.is_some_and(|host| post.hosts.iter().any(|known| known.eq_ignore_ascii_case(host)))
    {
        return problem(StatusCode::MISDIRECTED_REQUEST, &format!("this guard is called {}", post.hosts.join(" or ")));
    }
    next.run(request).await
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("Refused");
    json_of(status, &json!({"title": title, "status": status.as_u16(), "detail": detail}))
}

fn json_of(status: StatusCode, body: &Value) -> Response {
    let kind = if status.is_success() { "application/json" } else { "application/problem+json" };
    (status, [(header::CONTENT_TYPE, kind)], body.to_string()).into_response()
}

fn standing(standing: &Standing) -> Response {
    let Standing { epoch, height, record } = standing;
    json_of(StatusCode::OK, &json!({"epoch": epoch, "height": height, "record": hex(record)}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    epoch: u64,
    height: u64,
    previous: u64,
    record: String,
    effects: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    height: u64,
    record: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Renewal {
    epoch: u64,
    lasts_ms: u64,
}

fn read<T: DeserializeOwned>(headers: &HeaderMap, body: &Bytes) -> Result<T, Box<Response>> {
    if headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind != "application/json") {
        return Err(Box::new(problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json")));
    }
    serde_json::from_slice(body).map_err(|error| Box::new(problem(StatusCode::BAD_REQUEST, &error.to_string())))
}

fn answer(post: &Post, outcome: Result<Result<Standing, SinkFault>, Broken>) -> Response {
    match outcome {
        Ok(Ok(found)) => standing(&found),
        Ok(Err(SinkFault::Fenced { epoch })) => {
            let detail = format!("a node of epoch {epoch} began later than you");
            let body = json!({"title": "Fenced", "status": 409, "detail": detail, "epoch": epoch});
            json_of(StatusCode::CONFLICT, &body)
        }
        Ok(Err(SinkFault::Refused(why) | SinkFault::Unreached(why))) => problem(StatusCode::UNPROCESSABLE_ENTITY, &why),
        Err(broken) => {
            let told = post.broken.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(told) = told {
                let _ended = told.send(broken);
            }
            problem(StatusCode::SERVICE_UNAVAILABLE, "what was carried out can't be kept: this process ends")
        }
    }
}

async fn deliver(State(post): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let sent: Sent = match read(&headers, &body) {
        Ok(sent) => sent,
        Err(response) => return *response,
    };
    let Sent { epoch, height, previous, record, effects } = sent;
    let record = unhex(&record);
    let effects = unhex_all(&effects).and_then(|bytes| codec::from_bytes(&bytes).ok());
    let (Some(record), Some(effects)) = (record, effects) else {
        return problem(
            StatusCode::BAD_REQUEST,
            "record is 64 hexadecimal digits, and effects are canonical bytes in hexadecimal",
        );
    };
    let delivery = Delivery { epoch, height, previous, record, effects };
    let outcome = locked(&post).deliver(&delivery);
    answer(&post, outcome)
}

async fn renew(State(post): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let Renewal { epoch, lasts_ms } = match read(&headers, &body) {
        Ok(renewal) => renewal,
        Err(response) => return *response,
    };
    let outcome = locked(&post).renew(epoch, Duration::from_millis(lasts_ms), Instant::now());
    answer(&post, Ok(outcome))
}

async fn claim(State(post): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let Claim { height, record } = match read(&headers, &body) {
        Ok(claim) => claim,
        Err(response) => return *response,
    };
    let Some(record) = unhex(&record) else {
        return problem(StatusCode::BAD_REQUEST, "record is 64 hexadecimal digits");
    };
    let outcome = locked(&post).claim(&Standing { epoch: 0, height, record });
    answer(&post, outcome)
}

#[derive(Deserialize)]
struct Behind {
    after: Option<u64>,
    limit: Option<usize>,
}

/// What was decided, for the venue to carry out: lines of the log as they are.
async fn effects(State(post): Shared, behind: Result<Query<Behind>, QueryRejection>) -> Response {
    let asked = behind.ok().map(|Query(Behind { after, limit })| (after.unwrap_or(0), limit.unwrap_or(100)));
    let Some((after, limit)) = asked.filter(|(_, limit)| (1..=PAGE_MAX).contains(limit)) else {
        return problem(StatusCode::BAD_REQUEST, &format!("ask as ?after=HEIGHT&limit=N, 1 to {PAGE_MAX}"));
    };
    let found = locked(&post).effects(after, limit);
    match found {
        Ok((lines, more)) => {
            let body = format!("{{\"items\":[{}],\"more\":{more}}}", lines.join(","));
            (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Err(broken) => answer(&post, Err(broken)),
    }
}

async fn modes(State(post): Shared) -> Response {
    let (guard, now) = (locked(&post), Instant::now());
    let markets = guard.markets().map(|market| {
        let found = guard.in_force(market, now);
        let (addon, scale) = (found.restriction.margin_addon.0, found.restriction.size_scale.0);
        json!({"market": market.0, "wanted": mode(found.wanted), "in_force": mode(found.mode), "margin_addon": addon, "size_scale": scale})
    });
    let (carried, digest) = guard.carried();
    let lease = guard.lease(now).map(|left| left.as_millis() as u64);
    let Standing { epoch, height, .. } = guard.standing();
    let markets: Vec<Value> = markets.collect();
    let body = json!({"lease_ms": lease, "epoch": epoch, "height": height, "carried": carried, "digest": digest, "markets": markets});
    json_of(StatusCode::OK, &body)
}

#[derive(Deserialize)]
struct Wish {
    market: u16,
    action: String,
    side: String,
}

async fn permits(State(post): Shared, wish: Result<Query<Wish>, QueryRejection>) -> Response {
    let named = wish.ok().and_then(|Query(Wish { market, action, side })| {
        let action = Action::ALL.into_iter().find(|known| format!("{known:?}").eq_ignore_ascii_case(&action))?;
        let side = Side::BOTH.into_iter().find(|known| format!("{known:?}").eq_ignore_ascii_case(&side))?;
        Some((MarketId(market), action, side))
    });
    let Some((market, action, side)) = named else {
        return problem(StatusCode::BAD_REQUEST, "ask as ?market=0&action=open&side=long");
    };
    let found = locked(&post).in_force(market, Instant::now()).restriction;
    let permitted = found.permits(action, side);
    // Parts of 1e12, as in parameters.
    let body = json!({"permitted": permitted, "margin_addon": found.margin_addon.0, "size_scale": found.size_scale.0});
    json_of(StatusCode::OK, &body)
}
