//! A deterministic batch-auction order book behind the kernel's gate: the embedded venue.
//!
//! Orders rest in a [`Book`] until an auction clears it at one price for everyone. The result is a function of the
//! set of orders, the seed and the reference price: not of arrival order, a clock or a counter. Nothing here knows a
//! rule of risk: the kernel decides what enters, what leaves and whether fills may happen at all, and the [`Exchange`]
//! carries that out and reports back as inputs.
//!
//! Start at [`Book::auction`], whose documentation states the clearing rule.
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

mod book;
mod clearing;
mod exchange;

pub use book::{Auction, Book, Done, DoneReason, Limits, Refusal};
pub use exchange::Exchange;
