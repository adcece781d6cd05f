//! The words that every part of Seawall speaks.
//!
//! Data only: no rule is applied here, except those that make a value well formed ([`params`]'s validation) and what
//! everyone has to agree on: the join of [`restriction::Restriction`]s, the table [`mode::Mode`] × [`mode::Action`], and
//! the [`direction::Direction`] of a change of parameters.
//!
//! A [`batch::Batch`] of [`input::Input`]s goes into the kernel; [`effect::Effect`]s come out.
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
        clippy::indexing_slicing,
    )
)]
extern crate alloc;

pub mod batch;
pub mod direction;
pub mod effect;
pub mod governance;
pub mod ids;
pub mod input;
pub mod mode;
pub mod params;
pub mod quality;
pub mod reject;
pub mod restriction;

pub use batch::Batch;
pub use direction::Direction;
pub use effect::Effect;
pub use governance::GovernanceParams;
pub use ids::{AccountId, LineageId, MarketId, OrderId, PoolId, SourceId};
pub use input::Input;
pub use mode::{Action, Mode};
pub use params::{MarketParams, Panel, PoolParams, SourceKind, VenueParams};
pub use quality::{PriceQuality, QualityState, Rung};
pub use reject::Reject;
pub use restriction::{Restriction, Side};
