//! What can be brought: statements with their signatures, and what others observe.

use crate::access::Principal;
use crate::intake::Report;
use crate::once::Given;
use crate::problem::Problem;
use crate::publisher::{Answer, Asked, Window};
use crate::server::{ANSWER_TIMEOUT, Refused, Shared};
use axum::body::{Body, Bytes};
use axum::extract::rejection::JsonRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, Json, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use node::Signed;
use port::words::unhex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;
use utoipa::ToSchema;

/// A body that takes longer than this is gone.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest statement, as JSON.
const STATEMENT_MAX: usize = 4_096;
/// The longest list of reports, as JSON.
pub(crate) const REPORTS_BYTES_MAX: usize = 65_536;
/// The most reports at a time.
const REPORTS_MAX: usize = 256;
/// A sender that says nothing for so long is gone.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// A statement with its signature.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Said {
    /// The seven lines of `docs/api.md`.
    text: String,
    /// Ed25519 over its bytes, in hexadecimal.
    #[schema(pattern = "^[0-9a-f]{128}$")]
    signature: String,
}

/// A statement that was decided.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Heard {
    /// In the batch of this height.
    height: u64,
    /// What governance said of it.
    said: Vec<String>,
}

/// Reports that were taken.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Taken {
    /// How many; they are decided in the loop's next turn.
    taken: usize,
}

/// Has a signed statement heard, and answers with what came of it.
#[utoipa::path(post, path = "/api/v1/statements", tag = "bring", request_body = Said,
    params(("idempotency-key" = Option<String>, Header, description = "1 to 128 visible characters: the same request under it is answered again and not heard again", min_length = 1, max_length = 128)),
    responses(
        (status = 200, description = "it was decided", body = Heard),
        (status = 400, description = "not what must be sent", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "the body took longer than 5 s", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "the first request of this Idempotency-Key is still carried out", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "more than 4 KiB", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "not application/json", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "the kernel refused it, or the Idempotency-Key was another request's", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "too many statements wait", body = Problem, content_type = "application/problem+json"),
        (status = 504, description = "no answer in time; it may still be heard", body = Problem, content_type = "application/problem+json"),
        Refused))]
pub(crate) async fn statements(
    State(site): Shared,
    Extension(who): Extension<Arc<Principal>>,
    request: Request,
) -> Result<Response, Problem> {
    let (headers, body) = body_of(request, STATEMENT_MAX).await?;
    let Said { text, signature } = read(&body, "write {\"text\", \"signature\"}")?;
    let signature = unhex(&signature).ok_or_else(|| Problem::bad("write the signature as 128 hexadecimal digits"))?;
    let window = site.window.clone();
    let act = async move { hear(window, Signed { text, signature }).await.unwrap_or_else(Given::from) };
    Ok(site.once.carry(&who.name, &headers, "statements", &body, act).await)
}

async fn hear(window: Window, signed: Signed) -> Result<Given, Problem> {
    let (reply, answer) = oneshot::channel();
    if window.ask.try_send(Asked::Statement { signed, reply }).is_err() {
        return Err(Problem::busy("as many statements wait as may: try again in a second"));
    }
    let answer = timeout(ANSWER_TIMEOUT, answer).await;
    let Ok(Ok(answer)) = answer else {
        let detail = "no answer in time. It may still be heard: look at the key's next nonce before you sign another";
        return Err(Problem::new(StatusCode::GATEWAY_TIMEOUT, "No answer yet", detail));
    };
    match answer {
        Answer::Decided { height, said } => Ok(Given::of(StatusCode::OK, &Heard { height, said })),
        Answer::Refused { height, code, why } => {
            let place = height.map_or("before it was heard".to_owned(), |height| format!("at height {height}"));
            let detail = format!("refused {place}: {why}; docs/reference.md says what to do");
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Refused", detail).with_code(code))
        }
        Answer::Unheard(why) => Err(Problem::new(StatusCode::FORBIDDEN, "No statement of a key of this venue", why)),
    }
}

/// Takes what somebody observes: all of a list, or none of it. Of each feed the newest is decided.
#[utoipa::path(post, path = "/api/v1/observations", tag = "bring", request_body = Vec<Report>,
    params(("idempotency-key" = Option<String>, Header, description = "1 to 128 visible characters: the same request under it is answered again and not taken again", min_length = 1, max_length = 128)),
    responses(
        (status = 202, description = "they wait for the loop's next turn", body = Taken),
        (status = 400, description = "not what must be sent", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "the body took longer than 5 s", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "the first request of this Idempotency-Key is still carried out", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "more than 64 KiB", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "not application/json", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "one of them can't be of this venue, or the Idempotency-Key was another request's", body = Problem, content_type = "application/problem+json"),
        Refused))]
pub(crate) async fn observations(
    State(site): Shared,
    Extension(who): Extension<Arc<Principal>>,
    request: Request,
) -> Result<Response, Problem> {
    let (headers, body) = body_of(request, REPORTS_BYTES_MAX).await?;
    let reports: Vec<Report> = read(&body, "write a list of reports, as docs/api.md has them")?;
    let (window, observer) = (site.window.clone(), who.observer);
    let act = async move {
        match put(&window, &reports, observer) {
            Ok(taken) => Given::of(StatusCode::ACCEPTED, &taken),
            Err(problem) => Given::from(problem),
        }
    };
    Ok(site.once.carry(&who.name, &headers, "observations", &body, act).await)
}

fn put(window: &Window, reports: &[Report], observer: u16) -> Result<Taken, Problem> {
    if REPORTS_MAX < reports.len() {
        return Err(Problem::bad(format!("send at most {REPORTS_MAX} reports at a time")));
    }
    let taken = window.intake.put(reports, observer);
    let taken = taken.map_err(|why| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Not of this venue", why))?;
    Ok(Taken { taken })
}

/// Takes lists of reports as messages of a WebSocket; each is answered with one message, `{"taken"}` or a problem.
#[utoipa::path(get, path = "/api/v1/ingest", tag = "bring",
    responses(
        (status = 101, description = "messages may be sent"),
        (status = 400, description = "no WebSocket was asked for", body = Problem, content_type = "application/problem+json"),
        Refused))]
pub(crate) async fn ingest(
    State(site): Shared,
    Extension(who): Extension<Arc<Principal>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|why| Problem::bad(format!("open a WebSocket here: {why}")))?;
    let window = site.window.clone();
    let upgrade = upgrade.max_message_size(REPORTS_BYTES_MAX).max_frame_size(REPORTS_BYTES_MAX);
    Ok(upgrade.on_upgrade(move |socket| take(socket, window, who)).into_response())
}

/// Takes messages of one sender until it is gone, silent or unreadable.
async fn take(mut socket: WebSocket, window: Window, who: Arc<Principal>) {
    while let Ok(Some(Ok(message))) = timeout(IDLE_MAX, socket.recv()).await {
        let text = match message {
            Message::Text(text) => text,
            // The library answers.
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Binary(_) | Message::Close(_) => break,
        };
        let taken = who.charge().and_then(|()| {
            let reports: Vec<Report> = serde_json::from_str(&text)
                .map_err(|error| Problem::bad(format!("write a list of reports: {error}")))?;
            put(&window, &reports, who.observer)
        });
        let given = taken.map_or_else(Given::from, |taken| Given::of(StatusCode::OK, &taken));
        // A sender that does not read its answers waits, and with it what it sends.
        if !matches!(timeout(IDLE_MAX, socket.send(Message::text(given.body))).await, Ok(Ok(()))) {
            break;
        }
    }
}

fn read<T: DeserializeOwned>(body: &Bytes, what: &str) -> Result<T, Problem> {
    let parsed: Result<Json<T>, JsonRejection> = Json::from_bytes(body);
    let Json(read) = parsed.map_err(|error| Problem::bad(format!("{what}: {}", error.body_text())))?;
    Ok(read)
}

async fn body_of(request: Request, most: usize) -> Result<(axum::http::HeaderMap, Bytes), Problem> {
    let headers = request.headers().clone();
    if headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind != "application/json") {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Unsupported media type",
            "send application/json",
        ));
    }
    match timeout(BODY_TIMEOUT, axum::body::to_bytes(Body::new(request.into_body()), most)).await {
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "Too slow", "the body took longer than 5 s")),
        Ok(Err(_)) => {
            let detail = format!("send at most {most} bytes");
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "Too large", detail))
        }
        Ok(Ok(bytes)) => Ok((headers, bytes)),
    }
}
