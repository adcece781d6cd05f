//! What a price is worth: every price carries its quality.

use units::{Duration, Price, Ratio};

/// How far the sources of a price agree. Ordered from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QualityState {
    /// Enough independent lineages agree, and they outweigh everyone who says otherwise.
    Agreed,
    /// Nobody contradicts, but there are fewer independent voices than the policy asks for.
    Degraded,
    /// Fresh sources contradict each other, and nobody has been believed yet.
    Disputed,
    /// There is no usable price.
    None,
}

/// The rung of the fallback ladder that a price came from. Ordered from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rung {
    /// The market's own sources.
    Primary,
    /// A second set of sources, where the first is no quorum.
    Secondary,
    /// Observers who vouch for a price, as many as the policy asks for.
    Guardian,
    /// A cross rate or a redemption ratio, times the price of what it is in.
    Derived,
    /// No source is usable; the time-weighted average of what they said.
    Twap,
    /// No source is usable; the last index, within its allowed age.
    LastGood,
    /// Nothing.
    None,
}

/// An index price with its quality.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceQuality {
    /// The index. Zero where `state` is `None`.
    pub value: Price,
    /// Half-width around `value` that holds more than half of the weight near it and as many lineages as an agreed price
    /// needs, each with its own claim. In a dispute it holds every usable source, what was last believed and agreed, and
    /// unconfirmed jumps as far as `jump_max`; where too few support the index, what was last agreed.
    pub confidence: Price,
    /// Time since the newest usable source published.
    pub age: Duration,
    /// Weight of the sources that support `value` over the weight of all listed sources.
    pub coverage: Ratio,
    /// Independent lineages whose price lies within the agreement limit of `value`.
    pub lineages: u8,
    /// Agreement.
    pub state: QualityState,
    /// Where the value came from.
    pub rung: Rung,
}

impl PriceQuality {
    /// Before the first price.
    pub const NONE: PriceQuality = PriceQuality {
        value: Price(0),
        confidence: Price(0),
        age: Duration(0),
        coverage: Ratio(0),
        lineages: 0,
        state: QualityState::None,
        rung: Rung::None,
    };
}

/// Why a source's newest observation is not used. In the order in which the filters are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exclusion {
    /// Price of zero or less.
    NonPositive,
    /// Published later than received, by more than the allowance.
    Future,
    /// At or beyond the bounds within which the source can report at all.
    StuckAtBound,
    /// What its prices are in has no price, or a disputed one.
    Unconverted,
    /// The source's own confidence half-width is too wide.
    Uncertain,
    /// Received later after it was published than this source's prices are: what it was, not what it is. It supports nothing, but
    /// may contradict.
    Delayed,
    /// A jump against the source's own history that nobody has confirmed yet.
    Jump,
    /// Contradicted for the whole confirmation time by a persistent majority.
    Overruled,
}
