//! Statements as text, which is what keys sign: whoever signs one can read it.
//!
//! ```text
//! seawall statement 1
//! venue 4f…            the hash of the parameters with which the venue began
//! key 9a…              the public key
//! nonce 3
//! expires 1790000000000000
//! act tighten market=0 to=reduce-only for=14400000000
//! because the book of one venue is empty
//! ```
//!
//! Every statement has one text and every text one statement: what is read is written again and compared.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use kernel::governance::Governance;
use port::words::{self, hex, unhex};
use protocol::governance::{
    Act, Change, Governed, KeyParams, MarketSetting, PoolSetting, Refusal, Role, Statement, Verb,
};
use protocol::{MarketId, Mode, PoolId};
use std::fmt;
use units::{Duration, Timestamp};

/// The longest reason, in bytes.
pub const BECAUSE_MAX: usize = 200;
/// The longest text, in bytes.
pub const TEXT_MAX: usize = 1_024;

const HEAD: &str = "seawall statement 1";

/// A text with its signature, as it comes from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The text.
    pub text: String,
    /// Over its bytes, by the key that it names.
    pub signature: [u8; 64],
}

/// What a text says before anybody looked who may say so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// For which venue.
    pub venue: [u8; 32],
    /// By which key.
    pub key: [u8; 32],
    /// The key's next nonce.
    pub nonce: u64,
    /// From then on it is void.
    pub expires: Timestamp,
    /// What is asked for.
    pub act: Act,
    /// Why: a line.
    pub because: String,
}

/// Why a signed text is no statement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadStatement {
    /// A line that is not what it must be.
    #[error("line {line}: write {expected}")]
    Malformed {
        /// Counted from one.
        line: usize,
        /// What must stand there.
        expected: &'static str,
    },
    /// Too long.
    #[error("it has more than {TEXT_MAX} bytes")]
    TooLong,
    /// Another way to write what has one.
    #[error("it is not written as it must be: one blank between words, no leading zeros, lines end with a newline")]
    NotCanonical,
    /// It is for another venue.
    #[error("it is for another venue: this one's digest is {ours}")]
    OtherVenue {
        /// In hexadecimal.
        ours: String,
    },
    /// Nobody here has that key.
    #[error("no such key is listed")]
    UnknownKey,
    /// The signature does not fit.
    #[error("the signature does not fit the text and its key")]
    Forged,
    /// The kernel would refuse it for what stands in it beside what it asks for: nobody can fill a journal with what was heard before.
    #[error("{0:?}")]
    Refused(Refusal),
}

const MARKET_SETTINGS: [(&str, MarketSetting); 12] = [
    ("order_size_max", MarketSetting::OrderSizeMax),
    ("open_interest_max", MarketSetting::OpenInterestMax),
    ("collateral.deposit_max", MarketSetting::DepositMax),
    ("collateral.haircut", MarketSetting::Haircut),
    ("funding.rate_max", MarketSetting::FundingRateMax),
    ("detectors.velocity.reduce_only", MarketSetting::VelocityReduceOnly),
    ("detectors.swing.reduce_only", MarketSetting::SwingReduceOnly),
    ("detectors.band.reduce_only", MarketSetting::BandReduceOnly),
    ("detectors.drift.reduce_only", MarketSetting::DriftReduceOnly),
    ("breaker.calm", MarketSetting::Calm),
    ("breaker.cautious_margin_addon", MarketSetting::CautiousMarginAddon),
    ("breaker.cautious_size_scale", MarketSetting::CautiousSizeScale),
];

const POOL_SETTINGS: [(&str, PoolSetting); 3] = [
    ("account_borrow_max", PoolSetting::AccountBorrowMax),
    ("borrow_max", PoolSetting::BorrowMax),
    ("insurance_share_per_account", PoolSetting::InsuranceShare),
];

/// A market's parameter by its name in a statement; a tier's rate as `tiers.0.maintenance`.
#[must_use]
pub fn market_setting(name: &str) -> Option<MarketSetting> {
    let listed = MARKET_SETTINGS.iter().find(|(listed, _)| *listed == name).map(|(_, setting)| *setting);
    listed.or_else(|| {
        let (tier, rate) = name.strip_prefix("tiers.")?.split_once('.')?;
        let tier = tier.parse().ok()?;
        match rate {
            "initial" => Some(MarketSetting::Initial(tier)),
            "maintenance" => Some(MarketSetting::Maintenance(tier)),
            _ => None,
        }
    })
}

fn market_name(setting: MarketSetting) -> String {
    match setting {
        MarketSetting::Initial(tier) => format!("tiers.{tier}.initial"),
        MarketSetting::Maintenance(tier) => format!("tiers.{tier}.maintenance"),
        MarketSetting::OrderSizeMax
        | MarketSetting::OpenInterestMax
        | MarketSetting::DepositMax
        | MarketSetting::Haircut
        | MarketSetting::FundingRateMax
        | MarketSetting::VelocityReduceOnly
        | MarketSetting::SwingReduceOnly
        | MarketSetting::BandReduceOnly
        | MarketSetting::DriftReduceOnly
        | MarketSetting::Calm
        | MarketSetting::CautiousMarginAddon
        | MarketSetting::CautiousSizeScale => {
            let listed = MARKET_SETTINGS.iter().find(|(_, listed)| *listed == setting);
            listed.map_or_else(String::new, |(name, _)| (*name).to_owned())
        }
    }
}

/// A pool's parameter by its name in a statement.
#[must_use]
pub fn pool_setting(name: &str) -> Option<PoolSetting> {
    POOL_SETTINGS.iter().find(|(listed, _)| *listed == name).map(|(_, setting)| *setting)
}

/// A mode by its name in a statement: only those that a guardian may ask for.
fn mode(name: &str) -> Option<Mode> {
    match name {
        "cautious" => Some(Mode::Cautious),
        "reduce-only" => Some(Mode::ReduceOnly),
        _ => None,
    }
}

fn role(name: &str) -> Option<Role> {
    Role::ALL.into_iter().find(|role| role.name() == name)
}

/// A change in the words of a statement.
#[must_use]
pub fn change_text(change: &Change) -> String {
    match change {
        Change::Ratify { market, until } => format!("ratify market={} until={}", market.0, until.0),
        Change::Lift { market } => format!("lift market={}", market.0),
        Change::Market { market, setting, value } => {
            format!("set market={} {}={value}", market.0, market_name(*setting))
        }
        Change::Pool { pool, setting, value } => {
            let named = POOL_SETTINGS.iter().find(|(_, listed)| listed == setting);
            format!("set pool={} {}={value}", pool.0, named.map_or("", |(name, _)| name))
        }
        Change::Key { place, to } => {
            format!("key place={place} role={} key={}", to.role.name(), hex(&to.key))
        }
    }
}

/// An act in the words of a statement.
#[must_use]
pub fn act_text(act: &Act) -> String {
    match act {
        Act::Tighten { market, to, lasts } => {
            let to = words::mode(*to);
            format!("tighten market={} to={to} for={}", market.0, lasts.0)
        }
        Act::Propose(change) => format!("propose {}", change_text(change)),
        Act::Approve { proposal, digest } => format!("approve proposal={proposal} digest={}", hex(digest)),
        Act::Cancel { proposal } => format!("cancel proposal={proposal}"),
        Act::Count { proposal, weighed_at, weight, yes, no } => {
            format!("count proposal={proposal} weighed_at={} weight={weight} yes={yes} no={no}", weighed_at.0)
        }
    }
}

/// What governance says, in words, with the market that it is about. How times are written is the reader's.
pub fn told(what: &Governed, time: impl Fn(Timestamp) -> String) -> (Option<MarketId>, String) {
    match what {
        Governed::Imposed { market, to, until, by } => {
            let (to, until) = (words::mode(*to), time(*until));
            (Some(*market), format!("held to {to} by the guardian of key {by} until {until}"))
        }
        Governed::Lapsed { market } => (Some(*market), "a restriction is over: the way back begins".to_owned()),
        Governed::Proposed { proposal, by, direction, digest } => {
            (None, format!("key {by} files change {proposal}: {}; its digest is {}", direction.name(), hex(digest)))
        }
        Governed::Approved { proposal, by, approvals, due } => {
            let due = due.map_or(String::new(), |due| format!(", due {}", time(due)));
            (None, format!("key {by} agrees to change {proposal}: {approvals} agree{due}"))
        }
        Governed::Counted { proposal, carried } => {
            let came = if *carried { "carries" } else { "fails" };
            (None, format!("the vote on change {proposal} {came}"))
        }
        Governed::Cancelled { proposal, by } => (None, format!("key {by} stops change {proposal}")),
        Governed::Voided { proposal, why } => (None, format!("change {proposal} is void: {why:?}")),
        Governed::Executed { proposal, change } => {
            (None, format!("change {proposal} takes effect: {}", change_text(change)))
        }
    }
}

impl fmt::Display for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Draft { venue, key, nonce, expires, act, because } = self;
        writeln!(f, "{HEAD}")?;
        writeln!(f, "venue {}", hex(venue))?;
        writeln!(f, "key {}", hex(key))?;
        writeln!(f, "nonce {nonce}")?;
        writeln!(f, "expires {}", expires.0)?;
        writeln!(f, "act {}", act_text(act))?;
        writeln!(f, "because {because}")
    }
}

/// `name=value` pairs in the order in which they must stand.
struct Words<'a>(std::str::Split<'a, char>);

impl<'a> Words<'a> {
    fn of(&mut self, name: &str) -> Option<&'a str> {
        let (found, value) = self.0.next()?.split_once('=')?;
        (found == name).then_some(value)
    }

    fn number<T: std::str::FromStr>(&mut self, name: &str) -> Option<T> {
        self.of(name)?.parse().ok()
    }
}

fn act(text: &str) -> Option<Act> {
    let (verb, rest) = text.split_once(' ')?;
    let mut words = Words(rest.split(' '));
    let act = match verb {
        "tighten" => Act::Tighten {
            market: MarketId(words.number("market")?),
            to: mode(words.of("to")?)?,
            lasts: Duration(words.number("for")?),
        },
        "propose" => return change(rest).map(Act::Propose),
        "approve" => Act::Approve { proposal: words.number("proposal")?, digest: unhex(words.of("digest")?)? },
        "cancel" => Act::Cancel { proposal: words.number("proposal")? },
        "count" => Act::Count {
            proposal: words.number("proposal")?,
            weighed_at: Timestamp(words.number("weighed_at")?),
            weight: words.number("weight")?,
            yes: words.number("yes")?,
            no: words.number("no")?,
        },
        _ => return None,
    };
    words.0.next().is_none().then_some(act)
}

/// Reads a change in the words of a statement, as `set market=0 open_interest_max=1000`.
#[must_use]
pub fn change(text: &str) -> Option<Change> {
    let (kind, rest) = text.split_once(' ')?;
    let mut words = Words(rest.split(' '));
    let change = match kind {
        "ratify" => {
            Change::Ratify { market: MarketId(words.number("market")?), until: Timestamp(words.number("until")?) }
        }
        "lift" => Change::Lift { market: MarketId(words.number("market")?) },
        "set" => {
            let (of, number) = words.0.next()?.split_once('=')?;
            let (name, value) = words.0.next()?.split_once('=')?;
            let (number, value) = (number.parse().ok()?, value.parse().ok()?);
            match of {
                "market" => Change::Market { market: MarketId(number), setting: market_setting(name)?, value },
                "pool" => Change::Pool { pool: PoolId(number), setting: pool_setting(name)?, value },
                _ => return None,
            }
        }
        "key" => {
            let (place, role, key) = (words.number("place")?, role(words.of("role")?)?, unhex(words.of("key")?)?);
            Change::Key { place, to: KeyParams { key, role } }
        }
        _ => return None,
    };
    words.0.next().is_none().then_some(change)
}

impl Draft {
    /// Reads a text.
    ///
    /// # Errors
    /// The first line that is not what it must be, or another way to write it.
    pub fn read(text: &str) -> Result<Draft, BadStatement> {
        if TEXT_MAX < text.len() {
            return Err(BadStatement::TooLong);
        }
        let mut lines = text.split('\n');
        let mut line = 0;
        let mut next = |name: &str, expected| {
            line += 1;
            let found = lines.next().and_then(|found| found.strip_prefix(name));
            found.ok_or(BadStatement::Malformed { line, expected }).map(|rest| (line, rest))
        };
        let bad = |line, expected| BadStatement::Malformed { line, expected };
        let (line, rest) = next(HEAD, "seawall statement 1")?;
        if !rest.is_empty() {
            return Err(bad(line, "seawall statement 1"));
        }
        let expected = "venue and 64 hexadecimal digits";
        let (line, rest) = next("venue ", expected)?;
        let venue = unhex(rest).ok_or(bad(line, expected))?;
        let expected = "key and 64 hexadecimal digits";
        let (line, rest) = next("key ", expected)?;
        let key = unhex(rest).ok_or(bad(line, expected))?;
        let expected = "nonce and a whole number";
        let (line, rest) = next("nonce ", expected)?;
        let nonce = rest.parse().map_err(|_| bad(line, expected))?;
        let expected = "expires and a time in microseconds since 1970";
        let (line, rest) = next("expires ", expected)?;
        let expires = Timestamp(rest.parse().map_err(|_| bad(line, expected))?);
        let expected = "act and one of: tighten, propose, approve, cancel, count, each with its words in their order";
        let (line, rest) = next("act ", expected)?;
        let act = act(rest).ok_or(bad(line, expected))?;
        let expected = "because and a line of at most 200 bytes";
        let (line, because) = next("because ", expected)?;
        if because.is_empty() || BECAUSE_MAX < because.len() || because.chars().any(char::is_control) {
            return Err(bad(line, expected));
        }
        let draft = Draft { venue, key, nonce, expires, act, because: because.to_owned() };
        if draft.to_string() != text {
            return Err(BadStatement::NotCanonical);
        }
        Ok(draft)
    }

    /// Signs it with the 32 bytes of a secret, which names the key.
    #[must_use]
    pub fn sign(mut self, secret: &[u8; 32]) -> Signed {
        let key = SigningKey::from_bytes(secret);
        self.key = key.verifying_key().to_bytes();
        let text = self.to_string();
        let signature = key.sign(text.as_bytes()).to_bytes();
        Signed { text, signature }
    }
}

impl Signed {
    /// What a venue hears at `at`: its own, by a key that it lists and that may do anything at all, with a signature that fits, in its time
    /// and its turn. Whether the key may do this, is the kernel's to say.
    ///
    /// # Errors
    /// Whatever is not so.
    pub fn hear(&self, governance: &Governance, at: Timestamp) -> Result<Statement, BadStatement> {
        let Draft { venue, key, nonce, expires, act, because } = Draft::read(&self.text)?;
        if venue != governance.venue {
            return Err(BadStatement::OtherVenue { ours: hex(&governance.venue) });
        }
        let place = governance.params.keys.iter().position(|listed| listed.key == key);
        let place = place.and_then(|place| u8::try_from(place).ok()).ok_or(BadStatement::UnknownKey)?;
        if !fits(&key, &self.text, &self.signature) {
            return Err(BadStatement::Forged);
        }
        let refused = |why| Err(BadStatement::Refused(why));
        if !Verb::ALL.into_iter().any(|verb| governance.params.role(place).may(verb)) {
            return refused(Refusal::NotAllowed);
        }
        let next = governance.nonces.get(usize::from(place)).map_or(1, |last| last.saturating_add(1));
        let max = at.plus(governance.params.statement_max);
        if nonce != next {
            return refused(Refusal::Nonce { next });
        }
        if expires <= at {
            return refused(Refusal::Expired);
        }
        if max < expires {
            return refused(Refusal::TooFarAhead { max });
        }
        let because = because.into_bytes();
        Ok(Statement { key: place, nonce, expires, act, because, signature: self.signature })
    }
}

fn fits(key: &[u8; 32], text: &str, signature: &[u8; 64]) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(key) else { return false };
    key.verify_strict(text.as_bytes(), &Signature::from_bytes(signature)).is_ok()
}

/// Whether a journalled statement was signed by the key whose place it names.
pub(crate) fn is_signed(said: &Statement, governance: &Governance) -> bool {
    let Some(listed) = governance.params.keys.get(usize::from(said.key)) else { return false };
    let Ok(because) = String::from_utf8(said.because.clone()) else { return false };
    let Statement { key: _, nonce, expires, act, because: _, signature } = said;
    let draft =
        Draft { venue: governance.venue, key: listed.key, nonce: *nonce, expires: *expires, act: *act, because };
    let text = draft.to_string();
    // What could not have been read was not said.
    Draft::read(&text).is_ok() && fits(&listed.key, &text, signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(act: Act) -> Draft {
        Draft { venue: [7; 32], key: [0; 32], nonce: 3, expires: Timestamp(9), act, because: "one is empty".to_owned() }
    }

    fn acts() -> Vec<Act> {
        let mut changes = vec![
            Change::Ratify { market: MarketId(65_535), until: Timestamp(i64::MAX) },
            Change::Lift { market: MarketId(0) },
            Change::Key { place: 31, to: KeyParams { key: [255; 32], role: Role::Revoked } },
        ];
        let settings = MARKET_SETTINGS.iter().map(|(_, setting)| *setting);
        let settings = settings.chain([MarketSetting::Initial(0), MarketSetting::Maintenance(255)]);
        changes.extend(settings.map(|setting| Change::Market { market: MarketId(1), setting, value: i64::MIN }));
        let settings = POOL_SETTINGS.iter().map(|(_, setting)| *setting);
        changes.extend(settings.map(|setting| Change::Pool { pool: PoolId(2), setting, value: 5 }));
        let mut acts: Vec<Act> = changes.into_iter().map(Act::Propose).collect();
        acts.extend([
            Act::Tighten { market: MarketId(3), to: Mode::ReduceOnly, lasts: Duration(60_000_000) },
            Act::Tighten { market: MarketId(3), to: Mode::Cautious, lasts: Duration(1) },
            Act::Approve { proposal: u64::MAX, digest: [171; 32] },
            Act::Cancel { proposal: 1 },
            Act::Count { proposal: 1, weighed_at: Timestamp(2), weight: 3, yes: 4, no: 5 },
        ]);
        acts
    }

    #[test]
    fn every_act_is_read_as_it_was_written() {
        for act in acts() {
            let text = draft(act).to_string();
            assert_eq!(Draft::read(&text), Ok(draft(act)), "{text}");
        }
    }

    #[test]
    fn the_text_is_what_the_documents_say() {
        let act = Act::Tighten { market: MarketId(0), to: Mode::ReduceOnly, lasts: Duration(14_400_000_000) };
        let zeros = "0".repeat(64);
        let text = format!(
            "seawall statement 1\nvenue {}\nkey {zeros}\nnonce 3\nexpires 9\n\
             act tighten market=0 to=reduce-only for=14400000000\nbecause one is empty\n",
            "07".repeat(32)
        );
        assert_eq!(draft(act).to_string(), text);
    }

    #[test]
    fn a_line_that_is_not_what_it_must_be_is_named() {
        let text = draft(Act::Cancel { proposal: 1 }).to_string();
        for (from, to, line) in [
            ("statement 1", "statement 2", 1),
            ("statement 1", "statement 1 ", 1),
            ("venue 07", "venue 7", 2),
            ("venue 07", "venue 0g", 2),
            ("key 00", "key 0", 3),
            ("nonce 3", "nonce -3", 4),
            ("nonce 3", "nonce 18446744073709551616", 4),
            ("expires 9", "expires soon", 5),
            ("act cancel", "act drop", 6),
            ("proposal=1", "proposal=1 x=1", 6),
            ("proposal=1", "proposal=", 6),
            ("because one is empty", "because ", 7),
            ("because one is empty", "because one\tis", 7),
        ] {
            let found = Draft::read(&text.replacen(from, to, 1));
            assert!(matches!(found, Err(BadStatement::Malformed { line: at, .. }) if at == line), "{to}: {found:?}");
        }
        assert_eq!(Draft::read(&format!("{text}\n")), Err(BadStatement::NotCanonical));
        assert_eq!(Draft::read(text.trim_end()), Err(BadStatement::NotCanonical));
        assert_eq!(Draft::read(&text.replace("nonce 3", "nonce 03")), Err(BadStatement::NotCanonical));
        assert_eq!(Draft::read(&text.replace("nonce 3", "nonce +3")), Err(BadStatement::NotCanonical));
        let upper = text.replace(&"07".repeat(32), &"AB".repeat(32));
        assert_eq!(Draft::read(&upper), Err(BadStatement::NotCanonical));
        assert_eq!(Draft::read(&"x".repeat(TEXT_MAX + 1)), Err(BadStatement::TooLong));
    }

    #[test]
    fn a_reason_has_at_most_so_many_bytes() {
        for (bytes, fits) in [(200, true), (201, false)] {
            let mut draft = draft(Act::Cancel { proposal: 1 });
            draft.because = "é".repeat(100) + &"x".repeat(bytes - 200);
            assert_eq!(Draft::read(&draft.to_string()).is_ok(), fits, "{bytes}");
        }
    }
}
