//! The deterministic deciding kernel: `(state, batch) → (state, effects)`.
//!
//! [`Kernel::apply`] is the only way in. Nothing here asks anything: no clock, no randomness, no hash order, no float,
//! no I/O. Time is the batch's; ties are broken by the batch's seed or by ids.
//!
//! Rooms, in the order in which data walks through them: [`index`] turns sources into an index price with its
//! [`quality`], [`mark`] turns the index into a mark, [`detect`] and [`breaker`] turn what was seen into a restriction,
//! [`margin`] says once what an account is worth and needs, [`collateral`] keeps and sells what is no money, [`triggers`] finds who must be looked at, [`gate`] admits
//! orders and applies trades, [`liquidation`] decides who must shrink and by how much, [`backstop`] and [`adl`] pay for
//! what is left. [`state`] holds it all and checks its numbered invariants; [`snapshot`] writes it down and reads it.
#![no_std]
#![cfg_attr(
    not(test),
    deny(
        clippy::float_arithmetic,
        clippy::float_cmp,
        clippy::lossy_float_literal,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        clippy::disallowed_methods,
        clippy::disallowed_types,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::todo,
        clippy::unimplemented,
        clippy::wildcard_enum_match_arm,
    )
)]
extern crate alloc;

pub mod activity;
pub mod adl;
pub mod backstop;
pub mod breaker;
pub mod collateral;
pub mod detect;
pub mod funding;
pub mod gate;
pub mod governance;
pub mod index;
pub mod kernel;
pub mod ladder;
pub mod liquidation;
pub mod margin;
pub mod mark;
pub mod quality;
pub mod snapshot;
pub mod stable;
pub mod state;
pub mod triggers;
pub mod window;

pub use kernel::Kernel;
pub use snapshot::SnapshotError;
pub use state::{Broken, Genesis, Holding, State};
