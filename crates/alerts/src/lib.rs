//! Wakes people: what is wrong becomes incidents, and incidents become messages, each once.
//!
//! ```text
//! what is wrong now → Tracker (what is new, what is over, how much is too much) → queue, newest of a key wins → a thread a target, with backoff
//! ```
//!
//! The key of an incident is its name for everybody: whoever is told of it twice joins both. Start at [`Tracker::see`], then [`Courier`].

mod courier;
mod message;
mod targets;
mod tracker;

pub use courier::Courier;
pub use message::{Message, signature};
pub use targets::{BadTargets, Kind, Target, Targets};
pub use tracker::{Incident, News, Severity, Tracker};
