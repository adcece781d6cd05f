//! The mode ladder and what each mode permits.

/// What somebody may want to do in a market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Action {
    /// Pay money in.
    Deposit,
    /// Take an order back.
    Cancel,
    /// Trade toward a smaller position.
    Reduce,
    /// Trade toward a larger position.
    Open,
    /// Take money out while holding a position in the market.
    Withdraw,
    /// Liquidate an account that is under maintenance and still has equity.
    LiquidateSolvent,
    /// Liquidate an account whose equity is gone.
    LiquidateInsolvent,
    /// Exchange funding payments.
    Fund,
    /// Close every position at the settlement price.
    Settle,
}

impl Action {
    /// Every action, in declaration order.
    pub const ALL: [Action; 9] = [
        Action::Deposit,
        Action::Cancel,
        Action::Reduce,
        Action::Open,
        Action::Withdraw,
        Action::LiquidateSolvent,
        Action::LiquidateInsolvent,
        Action::Fund,
        Action::Settle,
    ];
}

/// The display name of a market's restriction. Ordered from free to strict; `Settling` is a terminal branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Mode {
    /// Everything that the account can carry.
    Normal,
    /// Everything, with a margin add-on and smaller size for what opens.
    Cautious,
    /// Exposure may only fall.
    ReduceOnly,
    /// Only cancels and deposits; on the way back from a halt, nothing else leads here.
    CancelOnly,
    /// No usable price, restart gate or failed state validation: no fills, so no liquidations either.
    Halted,
    /// The market closes for good at its settlement price.
    Settling,
}

impl Mode {
    /// Every mode, in order of strictness.
    pub const ALL: [Mode; 6] =
        [Mode::Normal, Mode::Cautious, Mode::ReduceOnly, Mode::CancelOnly, Mode::Halted, Mode::Settling];

    /// Whether this mode lets `action` pass. This is the table printed in the README.
    #[must_use]
    pub const fn permits(self, action: Action) -> bool {
        match action {
            Action::Deposit | Action::Cancel => true,
            Action::Reduce | Action::LiquidateSolvent | Action::LiquidateInsolvent => {
                matches!(self, Mode::Normal | Mode::Cautious | Mode::ReduceOnly)
            }
            // Funding needs a price but no fill, so it runs again on the first step out of a halt.
            Action::Fund => matches!(self, Mode::Normal | Mode::Cautious | Mode::ReduceOnly | Mode::CancelOnly),
            Action::Open => matches!(self, Mode::Normal | Mode::Cautious),
            Action::Withdraw => matches!(self, Mode::Normal | Mode::Cautious | Mode::Settling),
            Action::Settle => matches!(self, Mode::Settling),
        }
    }

    /// The next milder mode on the way back to `Normal`. `Settling` never leads back.
    #[must_use]
    pub const fn milder(self) -> Mode {
        match self {
            Mode::Normal | Mode::Cautious => Mode::Normal,
            Mode::ReduceOnly => Mode::Cautious,
            Mode::CancelOnly => Mode::ReduceOnly,
            Mode::Halted => Mode::CancelOnly,
            Mode::Settling => Mode::Settling,
        }
    }
}
