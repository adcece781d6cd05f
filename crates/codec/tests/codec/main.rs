//! Every value has one encoding; nothing else decodes.

mod corruption;
mod dice;
mod format;
mod macros;
mod round_trip;
