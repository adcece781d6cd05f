//! Requests that are sent again under the same `Idempotency-Key` are answered again, and not carried out again.

use crate::problem::Problem;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// The most answers that are remembered.
const KEPT_MAX: usize = 1_024;
/// The longest key.
const KEY_MAX: usize = 128;

/// An answer that can be given again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) status: StatusCode,
    pub(crate) body: String,
}

impl Given {
    /// What was asked for.
    pub(crate) fn of(status: StatusCode, body: &impl serde::Serialize) -> Given {
        Given { status, body: serde_json::to_string(body).unwrap_or_default() }
    }
}

impl From<Problem> for Given {
    fn from(problem: Problem) -> Given {
        let status = StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Given::of(status, &problem)
    }
}

impl IntoResponse for Given {
    fn into_response(self) -> Response {
        let kind = if self.status.is_success() { "application/json" } else { "application/problem+json" };
        let mut response = (self.status, [(header::CONTENT_TYPE, kind)], self.body).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// Whose request under which key.
type Key = (String, String);

#[derive(Debug)]
struct Remembered {
    request: [u8; 32],
    /// Nothing while it is carried out.
    given: Option<Given>,
}

#[derive(Debug, Default)]
struct Kept {
    known: BTreeMap<Key, Remembered>,
    /// The oldest first.
    order: VecDeque<Key>,
}

/// Answers that were given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Once {
    kept: Arc<Mutex<Kept>>,
}

/// What a request with a key is.
enum Seen {
    New,
    Same(Given),
    Other(Problem),
}

impl Once {
    fn see(&self, key: &Key, request: [u8; 32]) -> Seen {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept.known.get(key) {
            if known.request != request {
                let detail = "another request had this Idempotency-Key: write a new one";
                return Seen::Other(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Idempotency key used", detail));
            }
            return match &known.given {
                Some(given) => Seen::Same(given.clone()),
                None => {
                    let detail = "the first request with this Idempotency-Key is still being carried out: ask again";
                    Seen::Other(Problem::new(StatusCode::CONFLICT, "Still being carried out", detail).retry_after(1))
                }
            };
        }
        if kept.order.len() == KEPT_MAX
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.known.remove(&oldest);
        }
        kept.known.insert(key.clone(), Remembered { request, given: None });
        kept.order.push_back(key.clone());
        Seen::New
    }

    fn forget(&self, key: &Key) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.known.remove(key);
        kept.order.retain(|other| other != key);
    }

    fn keep(&self, key: &Key, given: &Given) {
        if given.status.is_server_error() {
            // It may go better next time.
            return self.forget(key);
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept.known.get_mut(key) {
            known.given = Some(given.clone());
        }
    }

    /// Carries `act` out, also where whoever asked is gone meanwhile; or gives the answer of the same request before.
    pub(crate) async fn carry<F>(&self, who: &str, headers: &HeaderMap, path: &str, body: &Bytes, act: F) -> Response
    where
        F: Future<Output = Given> + Send + 'static,
    {
        let Some(named) = headers.get("idempotency-key") else { return act.await.into_response() };
        let text = named.to_str().ok().filter(|text| !text.is_empty() && text.len() <= KEY_MAX);
        let Some(text) = text else {
            return Problem::bad("write an Idempotency-Key of 1 to 128 visible characters").into_response();
        };
        let key = (who.to_owned(), text.to_owned());
        let request = Sha256::new_with_prefix(path.as_bytes()).chain_update([0]).chain_update(body).finalize().into();
        match self.see(&key, request) {
            Seen::Other(problem) => problem.into_response(),
            Seen::Same(given) => {
                let mut response = given.into_response();
                response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
                response
            }
            Seen::New => {
                let (once, broken) = (self.clone(), key.clone());
                let carried = tokio::spawn(async move {
                    let given = act.await;
                    once.keep(&key, &given);
                    given
                });
                match carried.await {
                    Ok(given) => given.into_response(),
                    Err(_) => {
                        self.forget(&broken);
                        Problem::busy("it was broken off: ask again").into_response()
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(key: &'static str) -> HeaderMap {
        HeaderMap::from_iter([("idempotency-key".parse().unwrap(), HeaderValue::from_static(key))])
    }

    async fn ask(once: &Once, key: &'static str, body: &'static str, status: u16) -> (u16, bool) {
        let given = Given { status: StatusCode::from_u16(status).unwrap(), body: String::new() };
        let response =
            once.carry("a", &headers(key), "/x", &Bytes::from_static(body.as_bytes()), async { given }).await;
        (response.status().as_u16(), response.headers().contains_key("idempotency-replayed"))
    }

    #[tokio::test]
    async fn the_same_again_has_the_same_answer_and_another_is_refused() {
        let once = Once::default();
        assert_eq!(ask(&once, "k", "one", 200).await, (200, false));
        // Carried out again it would be 400.
        assert_eq!(ask(&once, "k", "one", 400).await, (200, true));
        assert_eq!(ask(&once, "k", "two", 200).await, (422, false));
        assert_eq!(ask(&once, "l", "one", 503).await, (503, false));
        // What failed on our side may be tried again.
        assert_eq!(ask(&once, "l", "one", 200).await, (200, false));
        assert_eq!(ask(&once, "", "one", 200).await, (400, false));
        let breaks = async { panic!("planted") };
        let broken = once.carry("a", &headers("m"), "/x", &Bytes::new(), breaks).await;
        assert_eq!(broken.status(), 503);
        assert_eq!(ask(&once, "m", "", 200).await, (200, false));
    }

    #[tokio::test]
    async fn while_it_is_carried_out_the_second_is_told_so() {
        let once = Once::default();
        let (send, receive) = tokio::sync::oneshot::channel::<()>();
        let copy = once.clone();
        let first = tokio::spawn(async move {
            let act = async move {
                let _told = receive.await;
                Given { status: StatusCode::OK, body: String::new() }
            };
            copy.carry("a", &headers("k"), "/x", &Bytes::new(), act).await.status().as_u16()
        });
        while once.kept.lock().unwrap().known.is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(ask(&once, "k", "", 200).await, (409, false));
        send.send(()).unwrap();
        assert_eq!(first.await.unwrap(), 200);
        assert_eq!(ask(&once, "k", "", 500).await, (200, true));
    }

    #[tokio::test]
    async fn the_oldest_is_forgotten_first() {
        let once = Once::default();
        let given = Given { status: StatusCode::OK, body: String::new() };
        let key = |n: usize| ("a".to_owned(), n.to_string());
        for n in 0..=KEPT_MAX {
            assert!(matches!(once.see(&key(n), [0; 32]), Seen::New));
            once.keep(&key(n), &given);
        }
        assert!(matches!(once.see(&key(1), [0; 32]), Seen::Same(_)));
        assert!(matches!(once.see(&key(0), [0; 32]), Seen::New));
        assert_eq!(once.kept.lock().unwrap().known.len(), KEPT_MAX);
    }
}
