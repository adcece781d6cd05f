//! What can be read: each answer is of one moment.

use crate::board::{Entry, History, ReceiptView};
use crate::plan_view::{AccountView, IncidentView, PlanView, RestrictionView, level};
use crate::problem::Problem;
use crate::publisher::Asked;
use crate::server::{ANSWER_TIMEOUT, Refused, Shared};
use crate::stream::STREAMS_MAX;
use crate::view::{LiquidationMap, MarketView, PoolView, ProposalView, View};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Json, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::{AccountId, PoolId};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};

/// The most items of one answer.
const PAGE_MAX: usize = 500;
/// The most accounts of one answer: the loop makes them.
const ACCOUNTS_MAX: usize = 100;
/// Items where nobody says how many.
const PAGE: usize = 100;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Items<T> {
    items: Vec<T>,
    /// What to ask for to go on, as `before` or `from`; nothing at the end.
    #[schema(required)]
    next: Option<String>,
}

impl<T> Items<T> {
    /// Whatever there is.
    fn all(items: Vec<T>) -> Items<T> {
        Items { items, next: None }
    }

    /// A page that may have another one behind it.
    fn page(items: Vec<T>, limit: usize, key: impl Fn(&T) -> u64) -> Items<T> {
        let next = items.last().filter(|_| limit <= items.len()).map(|last| key(last).to_string());
        Items { items, next }
    }
}

/// Where in a list, which begins with the newest.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Before {
    /// Only what is older than this id or height.
    #[param(minimum = 0)]
    before: Option<i64>,
    /// At most so many.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
}

type Asks<T> = Result<Query<T>, QueryRejection>;

fn page(asked: Asks<Before>) -> Result<(u64, usize), Problem> {
    let Query(Before { before, limit }) =
        asked.map_err(|_| Problem::bad("write before and limit as whole numbers, as ?before=120&limit=50"))?;
    let before = before.map_or(Ok(u64::MAX), u64::try_from);
    let before = before.map_err(|_| Problem::bad("write before as a whole number, 0 or above"))?;
    Ok((before, within(limit, PAGE_MAX)?))
}

fn within(limit: Option<usize>, most: usize) -> Result<usize, Problem> {
    let limit = limit.unwrap_or(PAGE);
    if (1..=most).contains(&limit) { Ok(limit) } else { Err(Problem::bad(format!("write a limit from 1 to {most}"))) }
}

/// Whether the process answers.
#[utoipa::path(get, path = "/livez", tag = "watch", responses((status = 200, description = "it does", body = String, content_type = "text/plain"), Refused))]
pub(crate) async fn live() -> &'static str {
    "ok\n"
}

/// Whether a batch was decided yet.
#[utoipa::path(get, path = "/readyz", tag = "watch", responses(
    (status = 200, description = "it was", body = String, content_type = "text/plain"),
    (status = 503, description = "not yet", body = Problem, content_type = "application/problem+json"), Refused))]
pub(crate) async fn ready(State(site): Shared) -> Response {
    let shown = site.window.board.view();
    if shown.view.height == 0 {
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Not ready", "no batch was decided yet").into_response();
    }
    "ok\n".into_response()
}

/// Everything as of the last batch.
#[utoipa::path(get, path = "/api/v1/overview", tag = "read", responses((status = 200, body = View), Refused))]
pub(crate) async fn overview(State(site): Shared) -> Response {
    let text = site.window.board.view().text();
    ([(header::CONTENT_TYPE, "application/json")], text.to_string()).into_response()
}

/// The markets, by number.
#[utoipa::path(get, path = "/api/v1/markets", tag = "read", responses((status = 200, body = Items<MarketView>), Refused))]
pub(crate) async fn markets(State(site): Shared) -> Response {
    Json(Items::all(site.window.board.view().view.markets.clone())).into_response()
}

/// A market with its recent past.
#[derive(Serialize, ToSchema)]
pub(crate) struct Whole {
    market: MarketView,
    history: History,
    liquidations: Option<LiquidationMap>,
}

/// One market, its last 900 points, and where positions would be liquidated within 15% of the mark.
#[utoipa::path(get, path = "/api/v1/markets/{name}", tag = "read", params(("name" = String, Path, description = "as the overview calls it")),
    responses((status = 200, body = Whole), (status = 404, description = "no market of that name", body = Problem, content_type = "application/problem+json"), Refused))]
pub(crate) async fn market(State(site): Shared, name: Segment) -> Result<Json<Whole>, Problem> {
    let name = segment(name)?;
    let board = &site.window.board;
    let found = board.view().view.markets.iter().find(|market| market.name == name).cloned();
    let market = found.ok_or_else(|| Problem::unknown("market of that name"))?;
    let (history, liquidations) = (board.history(&name).unwrap_or_default(), board.map(&name));
    Ok(Json(Whole { market, history, liquidations }))
}

type Segment = Result<Path<String>, axum::extract::rejection::PathRejection>;

fn segment(found: Segment) -> Result<String, Problem> {
    let Path(text) = found.map_err(|_| Problem::bad("the path is no UTF-8"))?;
    Ok(text)
}

/// What is restricted now, why, and what ends it.
#[utoipa::path(get, path = "/api/v1/restrictions", tag = "read", responses((status = 200, body = Items<RestrictionView>), Refused))]
pub(crate) async fn restrictions(State(site): Shared) -> Response {
    Json(Items::all(RestrictionView::all(&site.window.board.view().view))).into_response()
}

/// Changes that are filed.
#[utoipa::path(get, path = "/api/v1/proposals", tag = "read", responses((status = 200, body = Items<ProposalView>), Refused))]
pub(crate) async fn proposals(State(site): Shared) -> Response {
    Json(Items::all(site.window.board.view().view.governance.proposals.clone())).into_response()
}

/// Changes of modes with what they rest on, newest first; all of one height together.
#[utoipa::path(get, path = "/api/v1/plans", tag = "read", params(Before), responses((status = 200, body = Items<PlanView>), (status = 400, description = "not how a page is asked for", body = Problem, content_type = "application/problem+json"), Refused))]
pub(crate) async fn plans(State(site): Shared, asked: Asks<Before>) -> Result<Json<Items<PlanView>>, Problem> {
    let (before, limit) = page(asked)?;
    Ok(Json(Items::page(site.window.board.plans_before(before, limit), limit, |plan| plan.height)))
}

/// What was wrong, from when to when, newest first.
#[utoipa::path(get, path = "/api/v1/incidents", tag = "read", params(Before), responses((status = 200, body = Items<IncidentView>), (status = 400, description = "not how a page is asked for", body = Problem, content_type = "application/problem+json"), Refused))]
pub(crate) async fn incidents(State(site): Shared, asked: Asks<Before>) -> Result<Json<Items<IncidentView>>, Problem> {
    let (before, limit) = page(asked)?;
    Ok(Json(Items::page(site.window.board.incidents_before(before, limit), limit, |incident| incident.id)))
}

/// Decisions, newest first.
#[utoipa::path(get, path = "/api/v1/timeline", tag = "read", params(Before), responses((status = 200, body = Items<Entry>), (status = 400, description = "not how a page is asked for", body = Problem, content_type = "application/problem+json"), Refused))]
pub(crate) async fn timeline(State(site): Shared, asked: Asks<Before>) -> Result<Json<Items<Entry>>, Problem> {
    let (before, limit) = page(asked)?;
    Ok(Json(Items::page(site.window.board.entries_before(before, limit), limit, |entry| entry.id)))
}

/// Receipts of batches that decided something, newest first.
#[utoipa::path(get, path = "/api/v1/receipts", tag = "read", params(Before), responses((status = 200, body = Items<ReceiptView>), (status = 400, description = "not how a page is asked for", body = Problem, content_type = "application/problem+json"), Refused))]
pub(crate) async fn receipts(State(site): Shared, asked: Asks<Before>) -> Result<Json<Items<ReceiptView>>, Problem> {
    let (before, limit) = page(asked)?;
    Ok(Json(Items::page(site.window.board.receipts_before(before, limit), limit, |receipt| receipt.height)))
}

/// The receipt of one batch, while it is among the last 4,096.
#[utoipa::path(get, path = "/api/v1/receipts/{height}", tag = "read", params(("height" = i64, Path, description = "of the batch", minimum = 0)),
    responses((status = 200, body = ReceiptView),
        (status = 400, description = "no whole number", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "nothing was decided in it, or it is long ago", body = Problem, content_type = "application/problem+json"), Refused))]
pub(crate) async fn receipt(State(site): Shared, height: Segment) -> Result<Json<ReceiptView>, Problem> {
    let height: Option<i64> = segment(height)?.parse().ok();
    let height = height.and_then(|height| u64::try_from(height).ok());
    let height = height.ok_or_else(|| Problem::bad("write the height as a whole number"))?;
    let kept = site.window.board.receipt(height);
    kept.map(Json).ok_or_else(|| {
        Problem::unknown("receipt of that height here: nothing was decided in it, or it is long ago; `seawall journal verify` derives each again")
    })
}

/// Which accounts.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// The pool's name; without it the first.
    pool: Option<String>,
    /// The first number, as text: it may have more digits than a script's numbers.
    #[param(pattern = "^[0-9]{1,20}$")]
    from: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<usize>,
}

/// A number of an account; one beyond the last there can be is that one.
fn first(text: &str) -> Option<u64> {
    let is_number = (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Accounts of a pool as they stand at the mark, in order of number.
#[utoipa::path(get, path = "/api/v1/accounts", tag = "read", params(Which),
    responses((status = 200, body = Items<AccountView>),
        (status = 400, description = "not how accounts are asked for", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "no pool of that name", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "too many questions wait", body = Problem, content_type = "application/problem+json"),
        (status = 504, description = "no answer in time", body = Problem, content_type = "application/problem+json"), Refused))]
pub(crate) async fn accounts(State(site): Shared, asked: Asks<Which>) -> Result<Json<Items<AccountView>>, Problem> {
    let Query(Which { pool, from, limit }) =
        asked.map_err(|_| Problem::bad("write from and limit as whole numbers, as ?pool=main&from=1&limit=50"))?;
    let limit = within(limit, ACCOUNTS_MAX)?;
    let place = pool.map_or(Some(0), |name| site.window.pools.iter().position(|known| *known == name));
    let place = place.and_then(|place| u16::try_from(place).ok());
    let pool = PoolId(place.ok_or_else(|| Problem::unknown("pool of that name"))?);
    let (reply, answer) = oneshot::channel();
    let from = from.map_or(Some(0), |from| first(&from));
    let from = from.ok_or_else(|| Problem::bad("write from as a whole number of at most 20 digits"))?;
    let question = Asked::Accounts { pool, from: AccountId(from), most: limit + 1, reply };
    if site.window.ask.try_send(question).is_err() {
        return Err(Problem::busy("as many questions wait as may: try again in a second"));
    }
    let answer = timeout(ANSWER_TIMEOUT, answer).await;
    let Ok(Ok(mut items)) = answer else {
        return Err(Problem::new(StatusCode::GATEWAY_TIMEOUT, "No answer yet", "no answer in time: ask again"));
    };
    let next = items.get(limit).map(|behind| behind.account.clone());
    items.truncate(limit);
    Ok(Json(Items { items, next }))
}

/// For Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "watch", responses((status = 200, description = "in its text format", body = String, content_type = "text/plain"), Refused))]
pub(crate) async fn metrics(State(site): Shared) -> Response {
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
    let pools = |value: fn(&PoolView) -> String| {
        let rows = view.pools.iter().map(|pool| (format!("{{pool=\"{}\"}}", label(&pool.name)), value(pool)));
        rows.collect::<Vec<_>>()
    };
    gauge("seawall_insurance_usd", "In the insurance fund.", pools(|pool| pool.insurance.clone()));
    gauge("seawall_deficit_usd", "What nobody could pay.", pools(|pool| pool.deficit.clone()));
    if let Some(delivery) = &view.delivery {
        let one = |value: String| vec![(String::new(), value)];
        let state = ["confirmed", "sent", "uncertain", "stopped"].iter().position(|state| *state == delivery.state);
        let state = state.unwrap_or(3).to_string();
        gauge("seawall_delivery_state", "0 confirmed, 1 sent, 2 uncertain, 3 stopped.", one(state));
        gauge(
            "seawall_delivery_height",
            "Of the last delivery that was carried out.",
            one(delivery.confirmed.to_string()),
        );
        gauge("seawall_delivery_waiting", "Deliveries that wait.", one(delivery.waiting.to_string()));
    }
    let streams = STREAMS_MAX - site.streams.available_permits();
    gauge("seawall_streams", "Readers of the event stream.", vec![(String::new(), streams.to_string())]);
    let verdict = level(view.verdict.level).to_string();
    gauge(
        "seawall_needs_you",
        "0 nothing, 1 something is restricted, 2 somebody is needed.",
        vec![(String::new(), verdict)],
    );
    let counts = site.window.intake.counts();
    for (name, help, value) in [
        ("seawall_reports_total", "Observations that others reported.", counts.taken),
        (
            "seawall_reports_superseded_total",
            "Those of them that a newer one replaced before they were decided.",
            counts.superseded,
        ),
    ] {
        text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}\n"));
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
