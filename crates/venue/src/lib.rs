//! A deterministic batch-auction order book behind the kernel's gate.
