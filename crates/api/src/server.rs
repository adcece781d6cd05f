//! The server: routes, and what a connection may cost.

use crate::access::{Guard, Tokens, check};
use crate::assets::Asset;
use crate::once::Once;
use crate::problem::Problem;
use crate::publisher::Window;
use crate::stream::STREAMS_MAX;
use crate::tls::Tls;
use crate::{door, reads, stream};
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{IntoResponses, Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The most connections at a time; one more waits to be accepted.
const CONNECTIONS_MAX: usize = 2_048;
/// A request whose head takes longer than this is gone, and so is who does not finish shaking hands.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// What the system may hold of what a reader has not taken, bytes.
const SEND_BUFFER: usize = 64 * 1_024;
/// How long an answer of the loop may take.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How a node is served.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Who may do what; this machine may read without one.
    pub tokens: Tokens,
    /// For readers from elsewhere.
    pub tls: Option<Tls>,
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
    #[error(
        "{0} can be reached from elsewhere: name a file with the tokens that readers must show (--tokens); `seawall token` makes one"
    )]
    Open(SocketAddr),
    /// Others on the way could read tokens.
    #[error(
        "{0} can be reached from elsewhere, and tokens would go there in the clear: name a certificate and its key (--tls-cert, --tls-key), or listen on 127.0.0.1 behind something that has them"
    )]
    Plain(SocketAddr),
}

pub(crate) struct Site {
    pub(crate) window: Window,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) once: Once,
    page: Asset,
    style: Asset,
    script: Asset,
    charts: Asset,
    document: Asset,
}

pub(crate) type Shared = State<Arc<Site>>;

/// What any request may be refused with before it is looked at.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "it stands in the document")]
pub(crate) enum Refused {
    /// a token that nobody here has, or none where one is needed
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(#[to_schema] Problem),
    /// a token of another scope, or no statement of a key of this venue
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(#[to_schema] Problem),
    /// a host that is not this node's name
    #[response(status = 421, content_type = "application/problem+json")]
    Misdirected(#[to_schema] Problem),
    /// more often than the token's rate
    #[response(status = 429, content_type = "application/problem+json")]
    TooMany(#[to_schema] Problem),
}

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
        let bearer = bearer
            .description(Some("a token of `seawall token`; this machine may read, and bring statements, without"));
        let scheme = SecurityScheme::Http(bearer.build());
        document.components.get_or_insert_default().add_security_scheme("token", scheme);
    }
}

/// What a node knows, and what may be brought to it. Amounts are decimal text in USD; errors are RFC 9457's problems.
#[derive(OpenApi)]
#[openapi(
    info(title = "Seawall", version = "1", license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT")),
    modifiers(&Bearer),
    security((), ("token" = [])),
    tags(
        (name = "read", description = "scope `read`"),
        (name = "bring", description = "scope `state` for statements, `observe` for observations"),
        (name = "watch", description = "for whoever watches over the process")
    )
)]
struct Document;

fn routes() -> OpenApiRouter<Arc<Site>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(reads::live))
        .routes(routes!(reads::ready))
        .routes(routes!(reads::metrics))
        .routes(routes!(reads::overview))
        .routes(routes!(reads::markets))
        .routes(routes!(reads::market))
        .routes(routes!(reads::accounts))
        .routes(routes!(reads::restrictions))
        .routes(routes!(reads::plans))
        .routes(routes!(reads::proposals))
        .routes(routes!(reads::receipts))
        .routes(routes!(reads::receipt))
        .routes(routes!(reads::incidents))
        .routes(routes!(reads::timeline))
        .routes(routes!(stream::stream))
        .routes(routes!(door::statements))
        .routes(routes!(door::observations))
        .routes(routes!(door::ingest))
}

/// The API's description as OpenAPI 3.1, made from the handlers themselves.
#[must_use]
pub fn openapi() -> String {
    let mut text = routes().into_openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// The address on which a node is served, and the thread that serves it until the process ends.
///
/// # Errors
/// An address that is taken; one that others reach, without tokens or in the clear.
pub fn serve(window: Window, settings: &Settings) -> Result<SocketAddr, Unserved> {
    let listen = settings.listen;
    let is_local = listen.ip().is_loopback();
    if !is_local && settings.tokens.is_empty() {
        return Err(Unserved::Open(listen));
    }
    if !is_local && settings.tls.is_none() {
        return Err(Unserved::Plain(listen));
    }
    let bind = |error| Unserved::Bind { listen, error };
    let listener = std::net::TcpListener::bind(listen).map_err(bind)?;
    listener.set_nonblocking(true).map_err(bind)?;
    let at = listener.local_addr().map_err(bind)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(bind)?;
    let hosts = ["127.0.0.1", "localhost", "[::1]"].map(|host| format!("{host}:{}", at.port()));
    let hosts = hosts.into_iter().chain([at.to_string()]).collect();
    let guard = Guard::new(hosts, settings.tokens.clone(), is_local);
    let app = router(window, guard, settings.charts);
    let tls = settings.tls.as_ref().map(|tls| TlsAcceptor::from(Arc::clone(&tls.config)));
    let serving = move || {
        runtime.block_on(async move {
            match TcpListener::from_std(listener) {
                Ok(listener) => accept(&listener, app, tls).await,
                Err(error) => eprintln!("seawall: the dashboard can't be served: {error}"),
            }
        });
    };
    std::thread::Builder::new().name("api".to_owned()).spawn(serving).map_err(bind)?;
    Ok(at)
}

/// Takes connections, each with its own limits.
async fn accept(listener: &TcpListener, app: Router, tls: Option<TlsAcceptor>) {
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
        // What a reader does not take waits here, and not without bound; where the system refuses, its own bound holds.
        let _refused = SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER);
        let (app, tls) = (app.clone(), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => converse(TokioIo::new(stream), app).await,
                Some(tls) => {
                    if let Ok(Ok(stream)) = timeout(HEAD_TIMEOUT, tls.accept(stream)).await {
                        converse(TokioIo::new(stream), app).await;
                    }
                }
            }
            drop(permit);
        });
    }
}

async fn converse(stream: impl Read + Write + Unpin + Send + 'static, app: Router) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(16 * 1_024);
    // Whoever breaks off has what it wanted.
    let _broken = http.serve_connection(stream, TowerToHyperService::new(app)).with_upgrades().await;
}

fn router(window: Window, guard: Guard, charts: &str) -> Router {
    let site = Site {
        window,
        streams: Arc::new(Semaphore::new(STREAMS_MAX)),
        once: Once::default(),
        page: Asset::new("text/html; charset=utf-8", include_str!("../dashboard/index.html")),
        style: Asset::new("text/css; charset=utf-8", include_str!("../dashboard/style.css")),
        script: Asset::new("text/javascript; charset=utf-8", include_str!("../dashboard/app.js")),
        charts: Asset::new("text/javascript; charset=utf-8", charts),
        document: Asset::new("application/json", &openapi()),
    };
    let (routes, _) = routes().split_for_parts();
    routes
        .route("/", get(|State(site): Shared, headers: HeaderMap| async move { site.page.serve(&headers) }))
        .route("/style.css", get(|State(site): Shared, headers: HeaderMap| async move { site.style.serve(&headers) }))
        .route("/app.js", get(|State(site): Shared, headers: HeaderMap| async move { site.script.serve(&headers) }))
        .route("/charts.js", get(|State(site): Shared, headers: HeaderMap| async move { site.charts.serve(&headers) }))
        .route(
            "/api/v1/openapi.json",
            get(|State(site): Shared, headers: HeaderMap| async move { site.document.serve(&headers) }),
        )
        .fallback(|| async { Problem::unknown("such page; the paths are in docs/api.md") })
        .method_not_allowed_fallback(|| async {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "Method not allowed",
                "read with GET; what is brought is POSTed",
            )
        })
        .layer(DefaultBodyLimit::max(door::REPORTS_BYTES_MAX))
        .layer(axum::middleware::from_fn_with_state(Arc::new(guard), check))
        .with_state(Arc::new(site))
}
