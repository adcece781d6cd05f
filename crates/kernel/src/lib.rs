//! The deterministic deciding kernel: (state, batch) to (state, effects).
