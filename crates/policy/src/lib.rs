//! TOML to the protocol's parameters and back; text only, no rules.
