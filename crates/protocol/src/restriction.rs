//! The join-semilattice in which detectors speak.

use crate::mode::{Action, Mode};
use units::Ratio;

/// The direction of exposure that an action touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Side {
    /// Long, or buying.
    Long,
    /// Short, or selling.
    Short,
}

impl Side {
    /// Both sides.
    pub const BOTH: [Side; 2] = [Side::Long, Side::Short];
}

/// What is denied in a market, per action × side, with a margin add-on and a size scale for what opens.
///
/// [`Restriction::join`] is associative, commutative and idempotent, and [`Restriction::OPEN`] is its identity, so
/// detectors can't see, silence or reorder each other, and adding one can't loosen a market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Restriction {
    /// One bit an action × side.
    denied: u32,
    /// Added to the initial margin fraction of what opens.
    pub margin_addon: Ratio,
    /// Largest allowed share of the market's order size; at most one.
    pub size_scale: Ratio,
}

const fn bit(action: Action, side: Side) -> u32 {
    1 << (action as u32 * 2 + side as u32)
}

const fn denied_in(mode: Mode) -> u32 {
    let mut denied = 0;
    let mut rest: &[Action] = &Action::ALL;
    while let [action, others @ ..] = rest {
        let action = *action;
        // Settling is a branch of its own, not a degree of strictness: no other mode permits it, and its absence
        // must not make two modes incomparable.
        if !mode.permits(action) && !matches!(action, Action::Settle) {
            denied |= bit(action, Side::Long) | bit(action, Side::Short);
        }
        rest = others;
    }
    denied
}

impl Restriction {
    /// Nothing is denied.
    pub const OPEN: Restriction = Restriction { denied: 0, margin_addon: Ratio::ZERO, size_scale: Ratio::ONE };

    /// The restriction that a mode stands for, on both sides, without add-on or scale.
    #[must_use]
    pub const fn of(mode: Mode) -> Restriction {
        Restriction { denied: denied_in(mode), margin_addon: Ratio::ZERO, size_scale: Ratio::ONE }
    }

    /// The same with an add-on and a scale.
    #[must_use]
    pub const fn with(self, margin_addon: Ratio, size_scale: Ratio) -> Restriction {
        Restriction { denied: self.denied, margin_addon, size_scale }
    }

    /// Denies one action on one side more.
    #[must_use]
    pub const fn denying(self, action: Action, side: Side) -> Restriction {
        Restriction { denied: self.denied | bit(action, side), ..self }
    }

    /// The strictest of both, item by item.
    #[must_use]
    pub fn join(self, other: Restriction) -> Restriction {
        Restriction {
            denied: self.denied | other.denied,
            margin_addon: self.margin_addon.max(other.margin_addon),
            size_scale: self.size_scale.min(other.size_scale),
        }
    }

    /// Whether `action` on `side` passes.
    #[must_use]
    pub const fn permits(&self, action: Action, side: Side) -> bool {
        self.denied & bit(action, side) == 0
    }

    /// Whether everything that `other` denies is denied here too, with no smaller add-on and no larger size.
    #[must_use]
    pub fn is_at_least(&self, other: &Restriction) -> bool {
        self.join(*other) == *self
    }

    /// The mildest mode of the ladder that denies at least as much. An add-on or a smaller size is `Cautious`.
    #[must_use]
    pub fn mode(&self) -> Mode {
        for mode in [Mode::Normal, Mode::Cautious, Mode::ReduceOnly, Mode::CancelOnly] {
            let hindered = self.margin_addon != Ratio::ZERO || self.size_scale != Ratio::ONE;
            if self.denied & !denied_in(mode) == 0 && !(hindered && mode == Mode::Normal) {
                return mode;
            }
        }
        Mode::Halted
    }

    /// The denied set as bits, `action * 2 + side`, for storage and for flat views.
    #[must_use]
    pub const fn bits(&self) -> u32 {
        self.denied
    }

    /// Rebuilds a restriction from stored parts. `None` for bits that no action has, or a scale outside [0, 1], or a
    /// negative add-on.
    #[must_use]
    pub fn from_parts(bits: u32, margin_addon: Ratio, size_scale: Ratio) -> Option<Restriction> {
        let known = (1_u32 << (Action::ALL.len() * 2)) - 1;
        let sound =
            bits & !known == 0 && Ratio::ZERO <= margin_addon && Ratio::ZERO <= size_scale && size_scale <= Ratio::ONE;
        sound.then_some(Restriction { denied: bits, margin_addon, size_scale })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_stay_open_in_every_mode_that_a_market_detector_can_cause() {
        for mode in [Mode::Normal, Mode::Cautious, Mode::ReduceOnly] {
            for action in [Action::Deposit, Action::Cancel, Action::Reduce] {
                for side in Side::BOTH {
                    assert!(Restriction::of(mode).permits(action, side), "{mode:?} must permit {action:?}");
                }
            }
        }
        assert!(!Restriction::of(Mode::ReduceOnly).permits(Action::Open, Side::Long));
        assert!(!Restriction::of(Mode::CancelOnly).permits(Action::Reduce, Side::Long));
        assert!(Restriction::of(Mode::Halted).permits(Action::Deposit, Side::Long));
        assert!(!Restriction::of(Mode::Halted).permits(Action::LiquidateInsolvent, Side::Long));
    }

    #[test]
    fn a_restriction_shows_the_mildest_mode_that_covers_it() {
        for mode in [Mode::Normal, Mode::ReduceOnly, Mode::CancelOnly] {
            assert_eq!(Restriction::of(mode).mode(), mode);
        }
        // Cautious denies nothing; it is known by its add-on or scale.
        assert_eq!(Restriction::of(Mode::Cautious).mode(), Mode::Normal);
        assert_eq!(Restriction::OPEN.with(Ratio(1), Ratio::ONE).mode(), Mode::Cautious);
        assert_eq!(Restriction::OPEN.with(Ratio::ZERO, Ratio(999_999_999_999)).mode(), Mode::Cautious);
        assert_eq!(Restriction::OPEN.denying(Action::Open, Side::Long).mode(), Mode::ReduceOnly);
        assert_eq!(Restriction::of(Mode::Halted).mode(), Mode::Halted);
        assert_eq!(Restriction::of(Mode::CancelOnly).denying(Action::Fund, Side::Long).mode(), Mode::Halted);
    }

    #[test]
    fn stored_parts_that_no_restriction_has_are_refused() {
        assert!(Restriction::from_parts(1 << 18, Ratio::ZERO, Ratio::ONE).is_none());
        assert!(Restriction::from_parts(0, Ratio(-1), Ratio::ONE).is_none());
        assert!(Restriction::from_parts(0, Ratio::ZERO, Ratio(Ratio::ONE.0 + 1)).is_none());
        assert_eq!(Restriction::from_parts(0, Ratio::ZERO, Ratio::ONE), Some(Restriction::OPEN));
    }
}
