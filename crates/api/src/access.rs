//! Who may come in, and for what: before anything is read.

use crate::problem::Problem;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::Clock as _;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use port::words::unhex;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// To read what there is to see.
    Read,
    /// To have signed statements heard.
    State,
    /// To report prices, books and the chain's health.
    Observe,
}

impl Scope {
    /// All of them.
    pub const ALL: [Scope; 3] = [Scope::Read, Scope::State, Scope::Observe];

    /// Its name in a file of tokens.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::State => "state",
            Scope::Observe => "observe",
        }
    }

    /// What a request needs; nothing where whoever watches over the process may ask.
    fn needed(method: &Method, path: &str) -> Option<Scope> {
        match path {
            "/livez" | "/readyz" => None,
            "/api/v1/statements" if method == Method::POST => Some(Scope::State),
            "/api/v1/observations" | "/api/v1/ingest" => Some(Scope::Observe),
            _ => Some(Scope::Read),
        }
    }
}

/// Requests a second of a token whose entry names no rate, and of this machine's readers without one.
const RATE: NonZeroU32 = NonZeroU32::new(500).unwrap();
/// The most that a token's entry may ask for.
const RATE_MAX: u32 = 100_000;
/// The fewest characters of a token.
const TOKEN_MIN: usize = 16;
/// The most entries of a file.
const TOKENS_MAX: usize = 256;

/// An entry of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    sha256: String,
    scopes: BTreeSet<Scope>,
    observer: Option<u16>,
    rate: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    local: BTreeSet<Scope>,
    #[serde(default)]
    token: Vec<Entry>,
}

/// Somebody who may do something.
#[derive(Debug)]
pub(crate) struct Principal {
    /// As the file calls it.
    pub(crate) name: String,
    /// The key id under which observations are recorded.
    pub(crate) observer: u16,
    scopes: BTreeSet<Scope>,
    rate: DefaultDirectRateLimiter,
}

impl Principal {
    fn new(name: &str, scopes: BTreeSet<Scope>, observer: u16, rate: NonZeroU32) -> Arc<Principal> {
        let rate = RateLimiter::direct(Quota::per_second(rate));
        Arc::new(Principal { name: name.to_owned(), observer, scopes, rate })
    }

    /// One more request, if it does not come too soon.
    pub(crate) fn charge(&self) -> Result<(), Problem> {
        self.rate.check().map_err(|wait| {
            let wait = wait.wait_time_from(governor::clock::DefaultClock::default().now()).as_secs() + 1;
            let detail = format!("{} asks more often than its rate: wait", self.name);
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "Too many requests", detail).retry_after(wait)
        })
    }
}

/// Why a file of tokens is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTokens {
    /// Not the TOML that it must be.
    #[error("{0}")]
    Unread(String),
    /// An entry that can't be.
    #[error("token {name:?}: {why}")]
    Entry {
        /// As it calls itself.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// This machine may not observe without saying who does.
    #[error("local: whoever observes shows a token; write read or state")]
    Local,
    /// Too many.
    #[error("it has more than {TOKENS_MAX} tokens")]
    TooMany,
}

/// Tokens by their hashes: what is written down lets nobody in.
#[derive(Clone, Debug)]
pub struct Tokens {
    known: Arc<Vec<([u8; 32], Arc<Principal>)>>,
    /// What this machine may without a token, where only it can come.
    local: BTreeSet<Scope>,
}

impl Default for Tokens {
    /// Nobody has one; this machine may read, and bring statements.
    fn default() -> Tokens {
        Tokens { known: Arc::default(), local: [Scope::Read, Scope::State].into() }
    }
}

impl Tokens {
    /// Reads a file of `[[token]]` tables: `name`, `sha256` of the token in hexadecimal, `scopes`, and where it is wanted `observer`
    /// (the key id of its observations, 0 to 65535) and `rate` (requests a second, 1 to 100,000). What this machine may without a token stands in
    /// `local`; without that it is nothing, for something on this machine may pass on what comes from elsewhere.
    ///
    /// # Errors
    /// What is wrong, and in which entry.
    pub fn parse(text: &str) -> Result<Tokens, BadTokens> {
        let file: File = toml::from_str(text).map_err(|error| BadTokens::Unread(error.to_string()))?;
        if TOKENS_MAX < file.token.len() {
            return Err(BadTokens::TooMany);
        }
        if file.local.contains(&Scope::Observe) {
            return Err(BadTokens::Local);
        }
        let mut known: Vec<([u8; 32], Arc<Principal>)> = Vec::new();
        for Entry { name, sha256, scopes, observer, rate } in file.token {
            let bad = |why| BadTokens::Entry { name: name.clone(), why };
            if name.is_empty() || 64 < name.len() || name.chars().any(char::is_control) {
                return Err(bad("write a name of 1 to 64 bytes"));
            }
            if known.iter().any(|(_, other)| other.name == name) {
                return Err(bad("there is another one of that name"));
            }
            let hash = unhex(&sha256).ok_or_else(|| bad("write sha256 as 64 hexadecimal digits"))?;
            if scopes.is_empty() {
                return Err(bad("it has no scope: name read, state or observe"));
            }
            if scopes.contains(&Scope::Observe) && observer.is_none() {
                return Err(bad("who observes has a number: name the observer"));
            }
            let rate = rate.unwrap_or(RATE.get());
            let rate = NonZeroU32::new(rate).filter(|rate| rate.get() <= RATE_MAX);
            let rate = rate.ok_or_else(|| bad("write a rate from 1 to 100000"))?;
            known.push((hash, Principal::new(&name, scopes, observer.unwrap_or(0), rate)));
        }
        Ok(Tokens { known: Arc::new(known), local: file.local })
    }

    /// The hash of a token, as the file has it.
    ///
    /// # Errors
    /// In words: a token that is short or has blanks in it.
    pub fn hash(token: &str) -> Result<[u8; 32], &'static str> {
        if token.len() < TOKEN_MIN || token.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("a token has at least 16 characters, and no blanks");
        }
        Ok(Sha256::digest(token.as_bytes()).into())
    }

    /// Whose token it is. Takes as long whichever it is.
    fn find(&self, shown: &str) -> Option<&Arc<Principal>> {
        let shown: [u8; 32] = Sha256::digest(shown.as_bytes()).into();
        let same = |hash: &[u8; 32]| shown.iter().zip(hash).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0;
        // Each is compared: which one it was does not show in the time.
        self.known.iter().fold(None, |found, (hash, principal)| if same(hash) { Some(principal) } else { found })
    }

    /// Whether there is nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

/// Names by which the node may be called, and who may do what.
#[derive(Debug)]
pub(crate) struct Guard {
    hosts: Vec<String>,
    tokens: Tokens,
    /// Who shows nothing, where only this machine can come.
    local: Option<Arc<Principal>>,
}

impl Guard {
    pub(crate) fn new(hosts: Vec<String>, tokens: Tokens, is_local: bool) -> Guard {
        let may = is_local && !tokens.local.is_empty();
        let local = may.then(|| Principal::new("this machine", tokens.local.clone(), 0, RATE));
        Guard { hosts, tokens, local }
    }

    /// Which host a request is for: a page elsewhere whose name leads here would have its own in it.
    fn knows(&self, host: &str) -> bool {
        self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
    }

    fn admits(&self, request: &Request) -> Result<Option<Arc<Principal>>, Problem> {
        let path = request.uri().path();
        let needed = Scope::needed(request.method(), path);
        let shown = request.headers().get(header::AUTHORIZATION);
        let principal = match shown {
            Some(shown) => {
                // A page elsewhere has no token to show, whatever name it finds.
                let shown = shown.to_str().ok().and_then(|shown| shown.strip_prefix("Bearer "));
                let found = shown.and_then(|shown| self.tokens.find(shown));
                Arc::clone(found.ok_or_else(|| unauthorized("nobody here has that token"))?)
            }
            None => {
                let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
                if needed.is_none() && self.local.is_none() {
                    return Ok(None);
                }
                let local = self.local.as_ref().ok_or_else(|| unauthorized("show a token"))?;
                if !host.is_some_and(|host| self.knows(host)) {
                    let (host, names) = (host.unwrap_or("so"), self.hosts.join(" or "));
                    let detail = format!("this node is not called {host}; it is {names}");
                    return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "Misdirected request", detail));
                }
                // A browser says where a request comes from; a page elsewhere may not even use up what this machine may ask.
                if request.headers().get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
                    let detail = "a page of another site asks: open this one itself";
                    return Err(Problem::new(StatusCode::FORBIDDEN, "Forbidden", detail));
                }
                Arc::clone(local)
            }
        };
        principal.charge()?;
        match needed {
            Some(scope) if !principal.scopes.contains(&scope) => {
                if shown.is_none() {
                    return Err(unauthorized("this needs a token, also from here"));
                }
                let detail = format!("{} may not {}: its token has another scope", principal.name, scope.name());
                Err(Problem::new(StatusCode::FORBIDDEN, "Forbidden", detail))
            }
            Some(_) | None => Ok(Some(principal)),
        }
    }
}

fn unauthorized(what: &str) -> Problem {
    let detail = format!("{what}: `Authorization: Bearer TOKEN`; `seawall token` makes one");
    Problem::new(StatusCode::UNAUTHORIZED, "Unauthorized", detail)
}

pub(crate) async fn check(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let mut response = match guard.admits(&request) {
        Ok(principal) => {
            if let Some(principal) = principal {
                request.extensions_mut().insert(principal);
            }
            next.run(request).await
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: [u8; 32]) -> String {
        port::words::hex(&bytes)
    }

    fn entry(more: &str) -> String {
        let hash = hex(Tokens::hash("0123456789abcdef").unwrap());
        format!("[[token]]\nname = \"a\"\nsha256 = \"{hash}\"\n{more}\n")
    }

    #[test]
    fn a_file_holds_hashes_and_finds_whose_token_it_is() {
        let tokens = Tokens::parse(&entry("scopes = [\"observe\"]\nobserver = 7")).unwrap();
        let found = tokens.find("0123456789abcdef").unwrap();
        assert_eq!((found.name.as_str(), found.observer), ("a", 7));
        assert!(tokens.find("0123456789abcdeF").is_none());
        assert!(tokens.find("").is_none());
        // Of the empty text, as FIPS 180-4 has it.
        assert_eq!(&hex(Sha256::digest(b"").into())[..16], "e3b0c44298fc1c14");
    }

    #[test]
    fn what_is_no_file_of_tokens_is_told() {
        for (text, why) in [
            (entry("scopes = []"), "no scope"),
            (entry("scopes = [\"observe\"]"), "name the observer"),
            (entry("scopes = [\"read\"]\nrate = 0"), "1 to 100000"),
            (entry("scopes = [\"read\"]\nrate = 100001"), "1 to 100000"),
            (entry("scopes = [\"admin\"]"), "unknown variant"),
            (format!("local = [\"observe\"]\n{}", entry("scopes = [\"read\"]")), "local: whoever observes"),
            (entry("scopes = [\"read\"]\nmore = 1"), "unknown field"),
            (entry("scopes = [\"read\"]").replace("name = \"a\"", "name = \"\""), "1 to 64"),
            (format!("{0}{0}", entry("scopes = [\"read\"]")), "another one of that name"),
            (entry("scopes = [\"read\"]").replace("sha256 = \"", "sha256 = \"0"), "64 hexadecimal"),
        ] {
            let told = Tokens::parse(&text).unwrap_err().to_string();
            assert!(told.contains(why), "{told}");
        }
        assert!(Tokens::parse(&entry("scopes = [\"read\"]\nrate = 100000")).is_ok());
        assert!(Tokens::hash("0123456789abcde").is_err());
        assert!(Tokens::hash("01234567 9abcdef").is_err());
    }

    #[test]
    fn one_more_than_the_rate_waits() {
        let principal = Principal::new("a", [Scope::Read].into(), 0, NonZeroU32::new(3).unwrap());
        assert!((0..3).all(|_| principal.charge().is_ok()));
        assert!(principal.charge().is_err());
    }
}
