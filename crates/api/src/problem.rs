//! Errors as RFC 9457 has them.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Why a request was not answered with what it asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    title: &'static str,
    status: u16,
    detail: String,
    /// The kernel's number of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Problem {
        Problem { title, status: status.as_u16(), detail: detail.into(), code: None }
    }

    pub(crate) fn with_code(self, code: u16) -> Problem {
        Problem { code: Some(code), ..self }
    }

    pub(crate) fn unknown(what: &str) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "Not found", format!("there is no {what}"))
    }

    pub(crate) fn bad(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "Bad request", detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_string(&self).unwrap_or_default();
        (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
    }
}
