//! What a change of policy would have done: an incident replayed under both, and whose fate differs.

use super::corpus::{Cost, Strict};
use super::{Incident, Share};
use crate::feed::Micros;
use crate::replay::versus::{Liquidated, Lived, Versus};
use protocol::AccountId;
use serde::Serialize;
use std::collections::BTreeMap;

/// One incident under two policies.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Case {
    /// Such as `I-17`.
    pub incident: String,
    /// In words.
    pub title: String,
    /// Points whose price a source states.
    pub stated: usize,
    /// All points.
    pub points: usize,
    /// Accounts that lived through it under both.
    pub accounts: usize,
    /// Under the old policy.
    pub old: Side,
    /// Under the new one.
    pub new: Side,
    /// Liquidated under the new policy and not under the old, in order of time.
    pub newly_liquidated: Vec<Liquidated>,
    /// Liquidated under the old policy and not under the new, in order of time.
    pub no_longer_liquidated: Vec<Liquidated>,
}

/// What one of the two policies did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Side {
    /// What its run cost.
    #[serde(flatten)]
    pub cost: Cost,
    /// Seconds in ReduceOnly or stricter after a market first permitted openings, in the market with most of them.
    pub reduce_only_seconds: f64,
    /// Invariants that did not hold; zero.
    pub invariants_broken: u64,
}

impl Case {
    /// The case of an incident that was replayed under both, with charts, of which modes are known.
    #[must_use]
    pub fn of(incident: &Incident, versus: &Versus) -> Case {
        let Share { stated, points } = incident.share();
        let Versus { from, accounts, old, new } = versus;
        Case {
            incident: incident.about.id.clone(),
            title: incident.about.title.clone(),
            stated,
            points,
            accounts: *accounts,
            old: Side::of("old", old, *from),
            new: Side::of("new", new, *from),
            newly_liquidated: without(&new.liquidated, &old.liquidated),
            no_longer_liquidated: without(&old.liquidated, &new.liquidated),
        }
    }
}

impl Side {
    fn of(name: &str, lived: &Lived, start: Micros) -> Side {
        Side {
            cost: Cost { name: name.to_owned(), ..Cost::of(&lived.totals) },
            reduce_only_seconds: Strict::longest(&lived.markets, start).seconds(),
            invariants_broken: lived.totals.invariants_broken,
        }
    }
}

/// Those of the first who are not among the second, by time and then by number. When somebody was liquidated under
/// either makes no difference: who is in both is in neither difference.
fn without(these: &BTreeMap<AccountId, Liquidated>, those: &BTreeMap<AccountId, Liquidated>) -> Vec<Liquidated> {
    let mut alone: Vec<(AccountId, &Liquidated)> =
        these.iter().filter(|(id, _)| !those.contains_key(id)).map(|(id, row)| (*id, row)).collect();
    alone.sort_by_key(|(id, row)| (row.at, *id));
    alone.into_iter().map(|(_, row)| row.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both sides as `number@time`, and who is on the first alone.
    #[track_caller]
    fn check(these: &str, those: &str, expected: &str) {
        let read = |text: &str| -> BTreeMap<AccountId, Liquidated> {
            let row = |word: &str| {
                let (number, at) = word.split_once('@').expect("number@time");
                let (account, markets) = (number.to_owned(), vec!["BTC".to_owned()]);
                let at = at.parse().expect("a time");
                let row = Liquidated { account, markets, at, unjustified: false };
                (AccountId(number.parse().expect("a number")), row)
            };
            text.split_whitespace().map(row).collect()
        };
        let alone = without(&read(these), &read(those));
        let alone: Vec<String> = alone.iter().map(|row| format!("{}@{}", row.account, row.at)).collect();
        assert_eq!(alone.join(" "), expected, "{these} without {those}");
    }

    #[test]
    fn who_is_liquidated_under_both_is_in_neither_difference_whenever_it_was() {
        check("", "", "");
        check("1@5 2@6", "1@5 2@6", "");
        check("1@5 2@6", "1@9 2@1", "");
        check("1@5", "", "1@5");
        check("", "1@5", "");
        check("1@5 2@6 3@7", "2@6 4@1", "1@5 3@7");
        check("2@6 4@1", "1@5 2@6 3@7", "4@1");
    }

    #[test]
    fn the_difference_is_in_order_of_time_and_then_of_number() {
        check("1@9 2@5 3@7 10@5", "3@1", "2@5 10@5 1@9");
    }
}
