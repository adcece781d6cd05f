//! Names of things as numbers. Each is dense and given at listing, except accounts and orders.

/// A market, numbered in listing order over the whole venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MarketId(pub u16);

/// A risk pool, numbered in listing order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId(pub u16);

/// A price source: its place in its market's list of sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u8);

/// Sources of one lineage share an operator or an upstream, so they count as one independent voice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineageId(pub u8);

/// An account inside its pool; the same number in two pools means two accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub u64);

/// An order inside its pool. Orders that the kernel places itself have [`OrderId::KERNEL_BIT`] set; nobody else may
/// use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(pub u64);

impl OrderId {
    /// Marks an order that the kernel placed.
    pub const KERNEL_BIT: u64 = 1 << 63;

    /// The `n`-th order that the kernel places in the batch of this height: a function of both, never of a counter.
    #[must_use]
    pub const fn of_kernel(height: u64, n: u16) -> OrderId {
        OrderId(OrderId::KERNEL_BIT | (height << 16) & !OrderId::KERNEL_BIT | n as u64)
    }

    /// Whether the kernel placed this order.
    #[must_use]
    pub const fn is_kernel(self) -> bool {
        self.0 & OrderId::KERNEL_BIT != 0
    }
}
