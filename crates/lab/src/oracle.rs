//! The oracle alone: a feed in, one line an observation out.

use crate::feed::Feed;
use crate::feed::time::format_time;
use crate::replay::world::World;
use crate::walk::{Step, walk};
use policy::Policy;
use protocol::{Effect, PriceQuality, QualityState, Rung};
use std::io::{self, Write};
use std::ops::ControlFlow;
use units::Timestamp;

/// How the lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `{"at":…,"market":…,"index":…,"confidence":…,"age_ms":…,"coverage":…,"lineages":…,"state":…,"rung":…}`
    Json,
    /// The same, separated by spaces.
    Text,
}

/// What was read and written.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Observations taken in.
    pub observations: u64,
    /// Lines written.
    pub lines: u64,
    /// Observations that the kernel refused.
    pub refused: u64,
    /// What was decided.
    pub decisions: Vec<String>,
}

/// Lines are gathered into blocks of about this many bytes.
const BLOCK: usize = 1 << 16;

/// Writes the index of every market after every observation, and whenever time alone changes it.
///
/// # Errors
/// In words: a world that can't be listed, a stream that can't be read; or the writer's.
pub fn oracle(feed: &Feed, policy: &Policy, form: Form, out: &mut dyn Write) -> Result<Summary, OracleError> {
    let world = World::of(feed).map_err(OracleError::World)?;
    let listed = world.list(policy).map_err(|error| OracleError::World(error.to_string()))?;
    let mut summary = Summary { decisions: feed.decisions.clone(), ..Summary::default() };
    summary.decisions.extend(world.decisions.iter().chain(&listed.decisions).cloned());
    let second = (i64::MIN, String::new());
    let mut lines = Lines { bytes: Vec::with_capacity(2 * BLOCK), second, form, names: Vec::new() };
    for market in &world.markets {
        lines.names.push(serde_json::to_string(&market.name).unwrap_or_default());
    }
    let mut written = Ok(());
    walk(feed, &world, &listed.params, &mut |step, state, effects| {
        match step {
            Step::Due => {
                for effect in effects {
                    if let Effect::Quality { market, quality } = effect {
                        lines.write(state.at, usize::from(market.0), &world, quality);
                        summary.lines += 1;
                    }
                }
            }
            Step::Seen(_, market) => {
                summary.observations += 1;
                let refused = effects.iter().filter(|effect| matches!(effect, Effect::Rejected { .. }));
                summary.refused += refused.count() as u64;
                if let Some(seen) = state.market(market) {
                    lines.write(state.at, usize::from(market.0), &world, seen.quality());
                    summary.lines += 1;
                }
            }
        }
        if BLOCK < lines.bytes.len() {
            written = out.write_all(&lines.bytes);
            lines.bytes.clear();
        }
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
    .map_err(OracleError::World)?;
    written.map_err(OracleError::Write)?;
    out.write_all(&lines.bytes).map_err(OracleError::Write)?;
    out.flush().map_err(OracleError::Write)?;
    Ok(summary)
}

/// Why the oracle stopped.
#[derive(Debug, thiserror::Error)]
pub enum OracleError {
    /// The feed or the policy.
    #[error("{0}")]
    World(String),
    /// The output.
    #[error("writing the lines: {0}")]
    Write(#[source] io::Error),
}

struct Lines {
    bytes: Vec<u8>,
    /// The second that was last written, and how.
    second: (i64, String),
    form: Form,
    names: Vec<String>,
}

impl Lines {
    fn write(&mut self, at: Timestamp, market: usize, world: &World, quality: &PriceQuality) {
        let scale = world.markets[market].scale;
        let state = match quality.state {
            QualityState::Agreed => "Agreed",
            QualityState::Degraded => "Degraded",
            QualityState::Disputed => "Disputed",
            QualityState::None => "None",
        };
        let rung = match quality.rung {
            Rung::Primary => "primary",
            Rung::Secondary => "secondary",
            Rung::Guardian => "guardian",
            Rung::Derived => "derived",
            Rung::Twap => "twap",
            Rung::LastGood => "last_good",
            Rung::None => "none",
        };
        let json = self.form == Form::Json;
        self.key(json, "{\"at\":\"");
        self.time(at);
        self.key(json, "\",\"market\":");
        self.bytes.extend_from_slice(self.names[market].as_bytes());
        self.key(json, ",\"index\":");
        if quality.state == QualityState::None {
            self.bytes.extend_from_slice(if json { b"null" } else { b"-" });
        } else {
            decimal(&mut self.bytes, scale.price_to_pico(quality.value));
        }
        self.key(json, ",\"confidence\":");
        decimal(&mut self.bytes, scale.price_to_pico(quality.confidence));
        self.key(json, ",\"age_ms\":");
        integer(&mut self.bytes, (quality.age.0 / 1_000).unsigned_abs());
        self.key(json, ",\"coverage\":");
        decimal(&mut self.bytes, i128::from(quality.coverage.0));
        self.key(json, ",\"lineages\":");
        integer(&mut self.bytes, u64::from(quality.lineages));
        self.key(json, ",\"state\":\"");
        self.bytes.extend_from_slice(state.as_bytes());
        self.key(json, "\",\"rung\":\"");
        self.bytes.extend_from_slice(rung.as_bytes());
        self.bytes.extend_from_slice(if json { b"\"}\n" } else { b"\n" });
    }

    /// `YYYY-MM-DDTHH:MM:SS.ffffffZ`. Most lines fall into the second of the line before.
    fn time(&mut self, at: Timestamp) {
        let second = at.0.div_euclid(1_000_000);
        if self.second.0 != second {
            let text = format_time(second * 1_000_000);
            self.second = (second, text.trim_end_matches('Z').to_owned());
        }
        self.bytes.extend_from_slice(self.second.1.as_bytes());
        self.bytes.push(b'.');
        padded(&mut self.bytes, at.0.rem_euclid(1_000_000).unsigned_abs(), 6);
        self.bytes.push(b'Z');
    }

    fn key(&mut self, json: bool, key: &str) {
        if json {
            self.bytes.extend_from_slice(key.as_bytes());
        } else if !key.starts_with('{') {
            self.bytes.push(b' ');
        }
    }
}

fn integer(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn padded(out: &mut Vec<u8>, n: u64, width: usize) {
    let start = out.len();
    integer(out, n);
    let written = out.len() - start;
    for _ in written..width {
        out.insert(start, b'0');
    }
}

/// Counts of 1e-12 as a decimal, exact, without trailing zeros.
fn decimal(out: &mut Vec<u8>, pico: i128) {
    if pico < 0 {
        out.push(b'-');
    }
    let whole = pico.unsigned_abs();
    let (units, mut rest) = (whole / 1_000_000_000_000, (whole % 1_000_000_000_000) as u64);
    integer(out, u64::try_from(units).unwrap_or(u64::MAX));
    if rest == 0 {
        return;
    }
    let mut width = 12;
    while rest.is_multiple_of(10) {
        rest /= 10;
        width -= 1;
    }
    out.push(b'.');
    padded(out, rest, width);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_of_pico_usd_is_written_exactly() {
        for (pico, text) in [
            (0, "0"),
            (1, "0.000000000001"),
            (40_000_000, "0.00004"),
            (122_500_000_000_000_000, "122500"),
            (-1_500_000_000_000, "-1.5"),
        ] {
            let mut out = Vec::new();
            decimal(&mut out, pico);
            assert_eq!(String::from_utf8_lossy(&out), text);
        }
    }
}
