//! Canonical, versioned bytes and hashes of units and protocol.
