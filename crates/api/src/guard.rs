//! Who may come in, and with what: before anything is read.

use crate::problem::Problem;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Names by which the node may be called, and what readers from elsewhere must show.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) hosts: Vec<String>,
    pub(crate) token: Option<String>,
}

impl Guard {
    /// Which host a request is for: a page elsewhere whose name leads here would have its own in it.
    fn knows(&self, host: &str) -> bool {
        self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
    }

    fn admits(&self, request: &Request) -> Result<(), Problem> {
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        // A page elsewhere has no token to show, whatever name it finds.
        if self.token.is_none() && !host.is_some_and(|host| self.knows(host)) {
            let detail = format!("this node is not called {}; it is {}", host.unwrap_or("so"), self.hosts.join(" or "));
            return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "Misdirected request", detail));
        }
        // Whether it lives may be asked by whoever watches over it.
        if matches!(request.uri().path(), "/livez" | "/readyz") {
            return Ok(());
        }
        let Some(token) = &self.token else { return Ok(()) };
        let shown = request.headers().get(header::AUTHORIZATION).and_then(|shown| shown.to_str().ok());
        let shown = shown.and_then(|shown| shown.strip_prefix("Bearer "));
        if shown.is_some_and(|shown| same(shown.as_bytes(), token.as_bytes())) {
            return Ok(());
        }
        Err(Problem::new(StatusCode::UNAUTHORIZED, "Unauthorized", "show the token as `Authorization: Bearer TOKEN`"))
    }
}

/// Takes as long wherever they differ.
fn same(shown: &[u8], expected: &[u8]) -> bool {
    let shown = codec::hash(&shown.to_vec());
    let expected = codec::hash(&expected.to_vec());
    shown.iter().zip(expected).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

pub(crate) async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let mut response = match guard.admits(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        // Styles inside elements are what the charts' library writes.
        (
            "content-security-policy",
            "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
