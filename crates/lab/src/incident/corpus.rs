//! Replays of several incidents in one table: a line each, comparable because every line has the same columns.
//!
//! [`Row::of`] draws the line from an incident and its replay, [`in_order`] puts the lines where a reader has to begin:
//! with those in which the policy is not better.

use super::{Incident, Share};
use crate::feed::Micros;
use crate::replay::outcome::{MarketOutcome, Outcome, Totals};
use serde::Serialize;
use std::cmp::Ordering;

/// How the policy's run compares with the competent baseline's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It loses more, or liquidates more accounts without justification.
    Worse,
    /// Neither differs.
    Same,
    /// One of them is less and neither is more.
    Better,
}

/// What a run cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// Which run: `policy`, `competent`, `venue` or a source's name.
    pub name: String,
    /// Accounts liquidated or deleveraged as insolvent.
    pub liquidated: u64,
    /// Of those, unjustified.
    pub unjustified: u64,
    /// Losses past the accounts' own money, USD.
    pub bad_debt_usd: f64,
    /// blake3 of the run's effects, hex.
    pub effects_digest: String,
}

/// One incident's line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Such as `I-17`.
    pub incident: String,
    /// In words.
    pub title: String,
    /// How the policy's run compares with the competent baseline's.
    pub verdict: Verdict,
    /// Points whose price a source states.
    pub stated: usize,
    /// All points.
    pub points: usize,
    /// Bars made from them.
    pub bars: u64,
    /// Of those, bars that can't be used, as such of a price of zero.
    pub listed: u64,
    /// Under the policy.
    pub policy: Cost,
    /// Under the competent baseline.
    pub competent: Cost,
    /// By the rule of the venue that it happened to; `null` where none is known.
    pub venue: Option<Cost>,
    /// The source that, as the only oracle, would have cost most; `null` where those runs were left out.
    pub worst_single: Option<Cost>,
    /// Seconds in ReduceOnly or stricter after a market first permitted openings, in the market with most of them.
    pub reduce_only_seconds: f64,
    /// The first time after that at which a market went to ReduceOnly or stricter, microseconds since 1970.
    pub reduce_only_first: Option<Micros>,
    /// Invariants that did not hold in any run; zero.
    pub invariants_broken: u64,
}

impl Row {
    /// The line of an incident that was replayed. Modes are known only of a replay with charts.
    pub fn of(incident: &Incident, outcome: &Outcome) -> Row {
        let Share { stated, points } = incident.share();
        let runs = &outcome.runs;
        let (policy, competent) = (Cost::of(&runs.policy), Cost::of(&runs.competent));
        let strict = Strict::longest(&outcome.markets, outcome.from);
        let all = [&runs.policy, &runs.competent].into_iter().chain(&runs.venue).chain(&runs.single);
        Row {
            incident: incident.about.id.clone(),
            title: incident.about.title.clone(),
            verdict: policy.against(&competent),
            stated,
            points,
            bars: outcome.observations.input,
            listed: outcome.observations.listed,
            venue: runs.venue.as_ref().map(Cost::of),
            worst_single: runs.single.iter().map(Cost::of).reduce(Cost::dearer),
            policy,
            competent,
            reduce_only_seconds: strict.seconds(),
            reduce_only_first: strict.first,
            invariants_broken: all.map(|totals| totals.invariants_broken).sum(),
        }
    }
}

/// The lines in which the policy is not better first, then by name.
pub fn in_order(rows: &mut [Row]) {
    rows.sort_by(|a, b| (a.verdict, &a.incident).cmp(&(b.verdict, &b.incident)));
}

impl Cost {
    pub(super) fn of(totals: &Totals) -> Cost {
        Cost {
            name: totals.name.clone(),
            liquidated: totals.liquidated_accounts,
            unjustified: totals.unjustified_liquidations,
            bad_debt_usd: totals.bad_debt_usd,
            effects_digest: totals.effects_digest.clone(),
        }
    }

    /// Money is compared as it is shown, in whole USD: two lines that read alike are not told apart by crumbs.
    fn usd(&self) -> i64 {
        self.bad_debt_usd.round() as i64
    }

    fn against(&self, other: &Cost) -> Verdict {
        let money = self.usd().cmp(&other.usd());
        let accounts = self.unjustified.cmp(&other.unjustified);
        match (money, accounts) {
            (Ordering::Greater, _) | (_, Ordering::Greater) => Verdict::Worse,
            (Ordering::Equal, Ordering::Equal) => Verdict::Same,
            (Ordering::Less, _) | (_, Ordering::Less) => Verdict::Better,
        }
    }

    /// Money first: it is what a venue ends by.
    fn dearer(self, other: Cost) -> Cost {
        let key = |cost: &Cost| (cost.usd(), cost.unjustified, cost.liquidated);
        if key(&self) < key(&other) { other } else { self }
    }
}

/// Time in ReduceOnly or stricter after a market first permitted openings.
pub(super) struct Strict {
    micros: Micros,
    first: Option<Micros>,
}

impl Strict {
    /// The time of the market with most of it, and the first such time of any.
    pub(super) fn longest(markets: &[MarketOutcome], start: Micros) -> Strict {
        let markets: Vec<Strict> = markets.iter().map(|market| Strict::of(market, start)).collect();
        Strict {
            micros: markets.iter().map(|market| market.micros).max().unwrap_or(0),
            first: markets.iter().filter_map(|market| market.first).min(),
        }
    }

    pub(super) fn seconds(&self) -> f64 {
        self.micros as f64 / 1e6
    }

    fn of(market: &MarketOutcome, start: Micros) -> Strict {
        let permits = |mode: &str| matches!(mode, "Normal" | "Cautious");
        let modes = &market.series.modes;
        let Some(up) = modes.iter().position(|(_, mode)| permits(mode)) else {
            return Strict { micros: 0, first: None };
        };
        let began = modes.first().map_or(start, |(at, _)| *at);
        let seconds = market.seconds_by_mode.iter().filter(|(mode, _)| !permits(mode)).map(|(_, seconds)| seconds);
        let micros = (seconds.sum::<f64>() * 1e6).round() as Micros - (modes[up].0 - began);
        let first = modes[up..].iter().find(|(_, mode)| !permits(mode)).map(|(at, _)| *at);
        Strict { micros, first }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(unjustified: u64, bad_debt_usd: f64) -> Cost {
        Cost { name: String::new(), liquidated: 9, unjustified, bad_debt_usd, effects_digest: String::new() }
    }

    #[test]
    fn the_policy_is_better_only_where_it_is_better_in_one_and_worse_in_neither() {
        let check = |policy: (u64, f64), competent: (u64, f64), expected| {
            let verdict = cost(policy.0, policy.1).against(&cost(competent.0, competent.1));
            assert_eq!(verdict, expected, "{policy:?} against {competent:?}");
        };
        check((0, 0.0), (0, 0.0), Verdict::Same);
        check((3, 5.4), (3, 4.6), Verdict::Same);
        check((3, 5.0), (3, 6.0), Verdict::Better);
        check((2, 5.0), (3, 5.0), Verdict::Better);
        check((2, 4.0), (3, 5.0), Verdict::Better);
        check((3, 6.0), (3, 5.0), Verdict::Worse);
        check((4, 4.0), (3, 5.0), Verdict::Worse);
        check((2, 6.0), (3, 5.0), Verdict::Worse);
    }

    #[test]
    fn the_dearest_source_is_that_of_the_largest_losses_and_then_of_most_unjustified() {
        let dearest = |costs: [(u64, f64); 3]| {
            let cost = costs.into_iter().map(|(accounts, usd)| cost(accounts, usd)).reduce(Cost::dearer);
            cost.map(|cost| (cost.unjustified, cost.bad_debt_usd))
        };
        assert_eq!(dearest([(9, 1.0), (0, 2.0), (9, 0.0)]), Some((0, 2.0)));
        assert_eq!(dearest([(1, 2.0), (3, 2.0), (2, 2.0)]), Some((3, 2.0)));
    }

    #[test]
    fn lines_in_which_the_policy_is_not_better_come_first() {
        let row = |incident: &str, verdict| Row {
            incident: incident.to_owned(),
            title: String::new(),
            verdict,
            stated: 0,
            points: 1,
            bars: 0,
            listed: 0,
            policy: cost(0, 0.0),
            competent: cost(0, 0.0),
            venue: None,
            worst_single: None,
            reduce_only_seconds: 0.0,
            reduce_only_first: None,
            invariants_broken: 0,
        };
        let better = Verdict::Better;
        let mut rows = [row("1", better), row("2", Verdict::Same), row("3", Verdict::Worse), row("0", better)];
        in_order(&mut rows);
        assert_eq!(rows.map(|row| row.incident), ["3", "2", "0", "1"]);
    }
}
