//! How a restriction is held and released.
//!
//! Tightening is immediate. Loosening goes one mode at a time, and each step needs `calm` without a reason for the
//! present mode; a step that was taken begins the next calm.
//!
//! Each step back begins a probation, no shorter than the calm that led to it. A market that let open and must be
//! `ReduceOnly` or beyond within it has failed: from then on the
//! calm that leads to what opens, out of `ReduceOnly` and out of `Cautious`, is twice as long as before, up to `calm_max`,
//! until a probation is passed. The way out of a halt is not lengthened, for exits and liquidations wait there too.

use protocol::params::BreakerParams;
use protocol::{Mode, Restriction};
use units::{Duration, Timestamp};

/// One market's restriction and since when it has been calm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// In force.
    pub restriction: Restriction,
    /// Its mode.
    pub mode: Mode,
    /// The last instant at which there was a reason for the present mode.
    pub calm_since: Timestamp,
    /// When the last step to a milder mode was taken; `MIN` before the first.
    pub relaxed_at: Timestamp,
    /// Probations failed in a row.
    pub failed: u8,
}

/// So many failures in a row are counted: a calm of a microsecond, doubled so often, is longer than any that may be.
const FAILED_MAX: u8 = 62;

/// What a mode means in a market with these parameters.
#[must_use]
pub fn restriction_of(mode: Mode, params: &BreakerParams) -> Restriction {
    match mode {
        Mode::Normal => Restriction::OPEN,
        Mode::Cautious | Mode::ReduceOnly | Mode::CancelOnly | Mode::Halted | Mode::Settling => {
            Restriction::of(mode).with(params.cautious_margin_addon, params.cautious_size_scale)
        }
    }
}

impl Breaker {
    /// Before the first price nothing may open: a market starts halted and comes up in stages.
    #[must_use]
    pub fn new(params: &BreakerParams) -> Breaker {
        Breaker {
            restriction: restriction_of(Mode::Halted, params),
            mode: Mode::Halted,
            calm_since: Timestamp::MIN,
            relaxed_at: Timestamp::MIN,
            failed: 0,
        }
    }

    /// The restriction in force.
    #[must_use]
    pub const fn restriction(&self) -> &Restriction {
        &self.restriction
    }

    /// Its mode.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Until `at` there was a reason for the present mode.
    pub fn hold(&mut self, at: Timestamp) {
        self.calm_since = at;
    }

    /// Takes in what the detectors want now. Returns the mode before, where it changed.
    pub fn step(&mut self, wanted: Restriction, params: &BreakerParams, at: Timestamp) -> Option<Mode> {
        let before = self.mode;
        if before == Mode::Settling {
            return None;
        }
        if self.calm_since == Timestamp::MIN {
            self.calm_since = at;
        }
        let wanted_mode = wanted.mode();
        if !self.restriction.is_at_least(&wanted) {
            let probation = params.probation.max(self.calm(params));
            self.restriction = self.restriction.join(wanted);
            self.mode = self.restriction.mode();
            self.calm_since = at;
            if before < Mode::ReduceOnly && Mode::ReduceOnly <= self.mode {
                let fails = self.relaxed_at != Timestamp::MIN && at.since(self.relaxed_at) < probation;
                self.failed = if fails { self.failed.saturating_add(1).min(FAILED_MAX) } else { 0 };
            }
        } else if before <= wanted_mode {
            self.calm_since = at;
        } else if self.calm(params) <= at.since(self.calm_since) {
            let mode = before.milder();
            self.restriction = restriction_of(mode, params).join(wanted);
            self.mode = self.restriction.mode();
            self.calm_since = at;
            self.relaxed_at = at;
        }
        (before != self.mode).then_some(before)
    }

    /// The calm that the next step back needs.
    #[must_use]
    pub fn calm(&self, params: &BreakerParams) -> Duration {
        match self.mode {
            Mode::Cautious | Mode::ReduceOnly => {
                let doubled = i128::from(params.calm.0) << self.failed.min(FAILED_MAX);
                Duration(i64::try_from(doubled).unwrap_or(i64::MAX)).min(params.calm_max)
            }
            Mode::Normal | Mode::CancelOnly | Mode::Halted | Mode::Settling => params.calm,
        }
    }

    /// When the next step back is due if nothing happens; `None` in `Normal` and in `Settling`.
    #[must_use]
    pub fn next_step(&self, params: &BreakerParams) -> Option<Timestamp> {
        match self.mode {
            Mode::Normal | Mode::Settling => None,
            Mode::Cautious | Mode::ReduceOnly | Mode::CancelOnly | Mode::Halted => {
                Some(self.calm_since.plus(self.calm(params)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use units::Ratio;

    const PARAMS: BreakerParams = BreakerParams {
        calm: Duration::seconds(60),
        probation: Duration::seconds(600),
        calm_max: Duration::seconds(200),
        cautious_margin_addon: Ratio::percent(2),
        cautious_size_scale: Ratio::percent(50),
        grace_share: Ratio::ZERO,
        grace_max: Duration::ZERO,
    };

    fn run(steps: &[(i64, Mode)]) -> alloc::vec::Vec<Mode> {
        let mut breaker = Breaker {
            restriction: Restriction::OPEN,
            mode: Mode::Normal,
            calm_since: Timestamp(0),
            relaxed_at: Timestamp::MIN,
            failed: 0,
        };
        steps
            .iter()
            .map(|(second, wanted)| {
                breaker.step(restriction_of(*wanted, &PARAMS), &PARAMS, Timestamp(second * 1_000_000));
                breaker.mode()
            })
            .collect()
    }

    #[test]
    fn tightening_is_immediate_and_loosening_takes_one_calm_a_step() {
        use Mode::{Cautious, Normal, ReduceOnly};
        let got = run(&[
            (0, Normal),
            (1, ReduceOnly),
            (60, Normal), // 59 s of calm
            (61, Normal), // exactly calm
            (120, Normal),
            (121, Normal),
        ]);
        assert_eq!(got, [Normal, ReduceOnly, ReduceOnly, Cautious, Cautious, Normal]);
    }

    #[test]
    fn a_reason_for_the_present_mode_begins_the_calm_again_and_a_milder_one_does_not() {
        use Mode::{Cautious, Normal, ReduceOnly};
        let got = run(&[(0, ReduceOnly), (50, ReduceOnly), (109, Normal), (110, Normal)]);
        assert_eq!(got, [ReduceOnly, ReduceOnly, ReduceOnly, Cautious]);
        let got = run(&[(0, ReduceOnly), (30, Cautious), (60, Cautious), (119, Cautious), (200, Normal)]);
        assert_eq!(got, [ReduceOnly, ReduceOnly, Cautious, Cautious, Normal]);
    }

    #[test]
    fn the_way_back_from_a_halt_passes_every_stage() {
        use Mode::{CancelOnly, Cautious, Halted, Normal, ReduceOnly};
        let calm: alloc::vec::Vec<(i64, Mode)> = (1..=4).map(|k| (k * 60, Normal)).collect();
        let got = run(&[&[(0, Halted)], calm.as_slice()].concat());
        assert_eq!(got, [Halted, CancelOnly, ReduceOnly, Cautious, Normal]);
    }

    #[test]
    fn a_probation_is_no_shorter_than_the_calm_that_led_to_it() {
        let params = BreakerParams { probation: Duration::seconds(10), ..PARAMS };
        let mut breaker = Breaker {
            restriction: restriction_of(Mode::Cautious, &params),
            mode: Mode::Cautious,
            calm_since: Timestamp(0),
            relaxed_at: Timestamp(0),
            failed: 1,
        };
        // The calm is twice 60 s by now: a relapse after 119 s is one, and after 120 s none.
        for (second, failed) in [(119, 2), (120, 0)] {
            let mut tried = breaker;
            tried.step(restriction_of(Mode::ReduceOnly, &params), &params, Timestamp(second * 1_000_000));
            assert_eq!((tried.mode(), tried.failed), (Mode::ReduceOnly, failed), "{second}");
        }
        breaker.relaxed_at = Timestamp::MIN;
        breaker.step(restriction_of(Mode::ReduceOnly, &params), &params, Timestamp(1));
        assert_eq!(breaker.failed, 0, "nothing was let go before");
    }

    #[test]
    fn before_the_first_price_nothing_may_open() {
        let breaker = Breaker::new(&PARAMS);
        assert_eq!(breaker.mode(), Mode::Halted);
        assert!(!breaker.restriction().permits(protocol::Action::Open, protocol::Side::Long));
        assert!(breaker.restriction().permits(protocol::Action::Deposit, protocol::Side::Long));
    }
}
