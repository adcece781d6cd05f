//! What a node and the outside owe each other.
//!
//! A [`Sink`] carries out what was decided. It takes deliveries in the order of their heights, each naming the one before, so that none
//! is missed and none is carried out twice; it gives each life of a node an epoch and obeys the last one alone, so that a node that was
//! replaced can't act any more; and it holds a lease that the node renews: when that lapses, the venue's side tightens by itself.

pub mod words;

use protocol::Effect;
use units::Duration;

/// All that a batch decided, for whoever carries it out. `(height, place in the list)` is each effect's idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Of the node's life, as [`Sink::claim`] gave it.
    pub epoch: u64,
    /// Of the batch; above `previous`.
    pub height: u64,
    /// The height of the delivery before; zero where this is the first.
    pub previous: u64,
    /// The hash of the batch's record in the node's journal: another journal has another one.
    pub record: [u8; 32],
    /// In order; none where a node that ends says how far it came.
    pub effects: Vec<Effect>,
}

/// How far a sink is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The last epoch that it gave; zero before the first.
    pub epoch: u64,
    /// The height of the last delivery that it carried out; zero before the first.
    pub height: u64,
    /// Its record.
    pub record: [u8; 32],
}

/// Why a sink did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkFault {
    /// It could not be reached, or did not answer: what was sent may have been carried out. Its standing says.
    #[error("the venue's side does not answer: {0}")]
    Unreached(String),
    /// It obeys a later life.
    #[error("the venue's side obeys the node of epoch {epoch}, which began later than this one")]
    Fenced {
        /// That life's.
        epoch: u64,
    },
    /// It can't carry that out, and won't if it is asked again.
    #[error("the venue's side refuses: {0}")]
    Refused(String),
}

/// The outside that carries out what was decided.
pub trait Sink {
    /// How far it is.
    ///
    /// # Errors
    /// [`SinkFault::Unreached`].
    fn standing(&mut self) -> Result<Standing, SinkFault>;

    /// Begins a life: gives an epoch above all before, if the sink still is where `at` says. Whoever has an earlier one is fenced from
    /// here on, and there is no lease before the first [`Sink::renew`].
    ///
    /// # Errors
    /// [`SinkFault::Refused`] where it is elsewhere: somebody else delivers. After [`SinkFault::Unreached`] it may be claimed again.
    fn claim(&mut self, at: &Standing) -> Result<Standing, SinkFault>;

    /// Carries a delivery out, durably, before it returns; the last one is acknowledged again.
    ///
    /// # Errors
    /// [`SinkFault`]; after [`SinkFault::Unreached`] the sink has carried it out or has not.
    fn deliver(&mut self, delivery: &Delivery) -> Result<Standing, SinkFault>;

    /// Lets a node's lease last for so long from now, by the sink's own clock.
    ///
    /// # Errors
    /// [`SinkFault`].
    fn renew(&mut self, epoch: u64, lasts: Duration) -> Result<Standing, SinkFault>;
}
