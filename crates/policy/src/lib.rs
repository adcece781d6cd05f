//! TOML to the protocol's parameters and back; text only, no rules.
//!
//! A policy file says what a risk engineer decided: every quantity is text with its unit (`"10s"`, `"0.5%"`,
//! `"5_000_000 USD"`), read exactly into integers; nothing is guessed, rounded or defaulted in silence. What the
//! values must satisfy among each other is said once, in `protocol`'s `VenueParams::validate`; this crate only says
//! *where in the file* the offending value stands.
//!
//! - [`Policy::parse`] reads a file, [`Policy::to_toml`] writes the canonical text, [`Policy::digest`] names it.
//! - [`Policy::list`] meets a policy with the markets and sources that the data contains.
//! - [`schema`] is the file's JSON Schema, [`diff`] what two policies say differently, [`compare`] what of that is in
//!   force and which way it goes.
//!
//! Start at `keys`: one table of all keys drives the reader, the writer, the schema and the tests.

mod error;
mod governance;
mod keys;
mod quantity;

mod list;
mod read;
mod schema;
mod write;

mod compare;

pub use compare::{Amendment, Stretch, compare};
pub use error::{PolicyError, Position, Problem};
pub use governance::{BadGovernance, Governance};
pub use list::{Listed, Listing, MarketListing, SourceListing};
pub use schema::schema;
pub use write::{Change, Digest, diff};

pub use protocol::direction::Direction;

use protocol::params::Tier;
use std::collections::BTreeMap;

/// Largest policy file that is read: room for some five hundred markets that override every key.
pub const BYTES_MAX: usize = 1 << 20;

/// A policy as it was written: named pools, a default for every market and source, and overrides of single keys.
///
/// Two policies are equal when they say the same, wherever in their files they say it.
#[derive(Clone, Debug)]
pub struct Policy {
    said: Said,
    file: String,
    places: BTreeMap<String, Position>,
}

impl PartialEq for Policy {
    fn eq(&self, other: &Policy) -> bool {
        self.said == other.said
    }
}

impl Eq for Policy {}

/// What a policy says, without where it says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Said {
    /// In the order of the file, which is the order of their ids.
    pools: Vec<(String, Values)>,
    /// `default` among them.
    markets: BTreeMap<String, MarketSaid>,
    /// `default` among them.
    sources: BTreeMap<String, Values>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct MarketSaid {
    values: Values,
    /// Tiers are overridden as a whole: half a margin schedule has no meaning.
    tiers: Option<Vec<Tier>>,
    /// What holds for a source in this market only.
    sources: BTreeMap<String, Values>,
}

/// Values by their dotted key below the pool, market or source.
type Values = BTreeMap<&'static str, Value>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    /// A count, or a quantity in the unit of its type.
    Int(i64),
    /// A price in counts of 1e-12 USD, before a market's scale is known.
    Pico(i128),
    /// The name of a pool or lineage.
    Name(String),
}

/// The name under which markets and sources find what no override says.
const DEFAULT: &str = "default";
