//! Modes: what each permits, and how one gives way to the next.

use super::Room;
use kernel::breaker::{Breaker, restriction_of};
use protocol::params::BreakerParams;
use protocol::{Action, Mode, Restriction};
use serde_json::{Value, json};
use units::{Duration, Ratio, Timestamp};

pub(super) fn rooms() -> [Room; 2] {
    [table(), ladder()]
}

fn table() -> Room {
    let row = |mode: &Mode| {
        let permitted: Vec<String> =
            Action::ALL.iter().filter(|action| mode.permits(**action)).map(|action| format!("{action:?}")).collect();
        (format!("{mode:?}"), json!({ "mode": *mode as u8 }), json!({ "permitted": permitted }))
    };
    Room {
        name: "mode_table",
        says: "exits are never gated by anything short of a halt; Deposit and Cancel always pass",
        units: "mode: 0 Normal, 1 Cautious, 2 ReduceOnly, 3 CancelOnly, 4 Halted, 5 Settling",
        cases: Mode::ALL.iter().map(row).collect(),
    }
}

/// Second and the mode that the detectors want then.
type Wants<'a> = &'a [(i64, Mode)];

fn ladder() -> Room {
    use Mode::{Cautious, Halted, Normal, ReduceOnly};
    let stories: [(&str, Wants<'_>); 6] = [
        ("tightening is immediate", &[(0, Normal), (1, ReduceOnly), (2, Halted)]),
        ("a step back at exactly calm and not before", &[(0, ReduceOnly), (59, Normal), (60, Normal)]),
        ("every step back needs a calm of its own", &[(0, ReduceOnly), (60, Normal), (119, Normal), (120, Normal)]),
        (
            "a reason for the present mode begins the calm again",
            &[(0, ReduceOnly), (50, ReduceOnly), (109, Normal), (110, Normal)],
        ),
        ("a milder reason does not", &[(0, ReduceOnly), (30, Cautious), (60, Cautious), (200, Normal)]),
        (
            "the way back from a halt passes every stage",
            &[(0, Halted), (60, Normal), (120, Normal), (180, Normal), (240, Normal)],
        ),
    ];
    Room {
        name: "breaker",
        says: "starts Normal, calm since 0; a stricter wish is taken at once and begins the calm; a wish at least as \
               strict as the present mode begins the calm; otherwise, where calm has passed, the mode becomes the next \
               milder one or the wish, whichever is stricter, and the calm begins; milder: Halted, CancelOnly, \
               ReduceOnly, Cautious, Normal",
        units: "at, calm: microseconds; wanted, modes: as in mode_table",
        cases: stories.iter().map(|(name, wants)| ladder_case(name, wants)).collect(),
    }
}

fn ladder_case(name: &str, wants: Wants<'_>) -> (String, Value, Value) {
    let params = BreakerParams {
        calm: Duration::seconds(60),
        probation: Duration::seconds(600),
        calm_max: Duration::seconds(200),
        cautious_margin_addon: Ratio::percent(2),
        cautious_size_scale: Ratio::percent(50),
        grace_share: Ratio::ZERO,
        grace_max: Duration::ZERO,
    };
    let mut breaker = Breaker {
        restriction: Restriction::OPEN,
        mode: Mode::Normal,
        calm_since: Timestamp(0),
        relaxed_at: Timestamp::MIN,
        failed: 0,
    };
    let (mut listed, mut modes) = (Vec::new(), Vec::new());
    for (second, wanted) in wants {
        let at = Timestamp(second * 1_000_000);
        breaker.step(restriction_of(*wanted, &params), &params, at);
        listed.push(json!({ "at": at.0, "wanted": *wanted as u8 }));
        modes.push(breaker.mode() as u8);
    }
    (
        name.to_owned(),
        json!({ "calm": params.calm.0, "probation": params.probation.0, "calm_max": params.calm_max.0, "steps": listed }),
        json!({ "modes": modes }),
    )
}
