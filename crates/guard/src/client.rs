//! A sink at the other end of a connection.

use port::words::{hex, unhex};
use port::{Delivery, Sink, SinkFault, Standing};
use serde_json::{Value, json};
use std::time::Duration;
use ureq::Agent;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer.
const ANSWER_MAX: u64 = 64 << 10;

/// A guard that is served somewhere.
#[derive(Debug)]
pub struct HttpSink {
    at: String,
    token: Option<String>,
    agent: Agent,
}

impl HttpSink {
    /// At a URL, with the token that is asked for there.
    #[must_use]
    pub fn new(at: &str, token: Option<&str>) -> HttpSink {
        let config = Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false);
        let token = token.map(|token| format!("Bearer {token}"));
        HttpSink { at: at.trim_end_matches('/').to_owned(), token, agent: config.build().into() }
    }

    fn post(&self, path: &str, body: &Value) -> Result<Standing, SinkFault> {
        let mut request = self.agent.post(format!("{}{path}", self.at)).header("content-type", "application/json");
        if let Some(token) = &self.token {
            request = request.header("authorization", token);
        }
        read(request.send(body.to_string()))
    }
}

fn read(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Standing, SinkFault> {
    let unreached = |why: String| SinkFault::Unreached(why);
    let mut answer = answer.map_err(|error| unreached(error.to_string()))?;
    let status = answer.status().as_u16();
    let text = answer.body_mut().with_config().limit(ANSWER_MAX).read_to_string();
    let body: Option<Value> = text.ok().and_then(|text| serde_json::from_str(&text).ok());
    let body = body.unwrap_or(Value::Null);
    let detail = || body["detail"].as_str().unwrap_or("without a reason").to_owned();
    // Whoever answers at all has decided by its status, whatever it says beside.
    match status {
        200 => {
            let record = body["record"].as_str().and_then(unhex);
            let read = (body["epoch"].as_u64(), body["height"].as_u64(), record);
            let (Some(epoch), Some(height), Some(record)) = read else {
                return Err(unreached("its answer is no standing".to_owned()));
            };
            Ok(Standing { epoch, height, record })
        }
        409 => match body["epoch"].as_u64() {
            Some(epoch) => Err(SinkFault::Fenced { epoch }),
            None => Err(SinkFault::Refused(detail())),
        },
        // It may go better next time.
        408 | 429 => Err(unreached(format!("status {status}: {}", detail()))),
        400..500 => Err(SinkFault::Refused(format!("status {status}: {}", detail()))),
        _ => Err(unreached(format!("status {status}: {}", detail()))),
    }
}

impl Sink for HttpSink {
    fn deliver(&mut self, delivery: &Delivery) -> Result<Standing, SinkFault> {
        let Delivery { epoch, height, previous, record, effects } = delivery;
        let effects = hex(&codec::to_bytes(effects));
        let body =
            json!({"epoch": epoch, "height": height, "previous": previous, "record": hex(record), "effects": effects});
        self.post("/v1/deliveries", &body)
    }

    fn claim(&mut self, at: &Standing) -> Result<Standing, SinkFault> {
        self.post("/v1/claim", &json!({"height": at.height, "record": hex(&at.record)}))
    }

    fn standing(&mut self) -> Result<Standing, SinkFault> {
        let mut request = self.agent.get(format!("{}/v1/standing", self.at));
        if let Some(token) = &self.token {
            request = request.header("authorization", token);
        }
        read(request.call())
    }

    fn renew(&mut self, epoch: u64, lasts: units::Duration) -> Result<Standing, SinkFault> {
        self.post("/v1/lease", &json!({"epoch": epoch, "lasts_ms": lasts.0 / 1_000}))
    }
}
