//! `seawall policy diff --evidence`: the bundled incidents under the old policy and under the new.

use crate::corpus::{on, second};
use crate::input::harmless;
use crate::policy_command::counted;
use crate::replay::{self, Arguments};
use crate::table::grouped;
use anyhow::Result;
use lab::incident;
use lab::incident::evidence::{Case, Side};
use lab::replay::versus::{Liquidated, versus};
use policy::Policy;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Width of the column of titles.
const TITLE: usize = 44;

/// Accounts named of one incident; the rest are counted, and all are in the JSON.
const ACCOUNTS_SHOWN: usize = 8;

/// The cases, and the accounts that lived through them.
pub(crate) struct Evidence {
    per_market: u32,
    seed: u64,
    cases: Vec<Case>,
}

/// The incidents named, or all where none is, in the order of the corpus.
pub(crate) fn incidents(named: &[String]) -> Result<Vec<String>> {
    if named.is_empty() {
        return Ok(incident::list()?.into_iter().map(|listed| listed.id).collect());
    }
    let ids = named.iter().map(|id| Ok(incident::load(id)?.about.id)).collect::<Result<BTreeSet<String>>>()?;
    Ok(ids.into_iter().collect())
}

impl Evidence {
    /// Replays one after the other, so that no more than one is in memory.
    pub(crate) fn gather(old: &Policy, new: &Policy, incidents: &[String]) -> Result<Evidence> {
        let arguments = Arguments::corpus();
        let options = replay::options(&arguments, String::new(), old.clone())?;
        let case = |id: &String| {
            on(&arguments.input, id, |incident, feed| Ok(Case::of(incident, &versus(feed, &options, new)?)))
        };
        let cases = incidents.iter().map(case).collect::<Result<_>>()?;
        Ok(Evidence { per_market: arguments.draw, seed: arguments.seed, cases })
    }

    /// Whether an invariant did not hold in any run.
    pub(crate) fn is_broken(&self) -> bool {
        self.cases.iter().flat_map(|case| [&case.old, &case.new]).any(|side| side.invariants_broken != 0)
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({ "accounts_per_market": self.per_market, "seed": self.seed, "incidents": self.cases })
    }

    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing into a String can't fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let Evidence { per_market, seed, cases } = self;
        writeln!(
            out,
            "\nevidence: {} under both, reconstructions from public statements, none of them a recording",
            counted(cases.len(), "incident")
        )?;
        writeln!(
            out,
            "accounts: {per_market} a market drawn with seed {seed}; the draw knows no policy: the same under both\n"
        )?;
        let line = |out: &mut String, cells: [&str; 7]| {
            let [incident, title, newly, no_longer, unjustified, losses, strict] = cells;
            let row = format!(
                "  {incident:<5} {title:<TITLE$} {newly:>11} {no_longer:>11}  {unjustified:>12}  {losses:>33}  {strict:>16}"
            );
            writeln!(out, "{}", row.trim_end())
        };
        line(out, ["", "", "newly", "no longer", "unjustified", "losses past own money, USD", "seconds strict"])?;
        line(out, ["", "", "liq. (unj.)", "liq. (unj.)", "old -> new", "old -> new", "old -> new"])?;
        for case in cases {
            let cell = |of: &dyn Fn(&Side) -> String| format!("{} -> {}", of(&case.old), of(&case.new));
            line(
                out,
                [
                    &case.incident,
                    &case.title,
                    &of_them(&case.newly_liquidated),
                    &of_them(&case.no_longer_liquidated),
                    &cell(&|side| side.cost.unjustified.to_string()),
                    &cell(&|side| grouped(side.cost.bad_debt_usd)),
                    &cell(&|side| format!("{:.0}", side.reduce_only_seconds)),
                ],
            )?;
            write_accounts(out, case)?;
        }
        let sum = |of: fn(&Case) -> &Vec<Liquidated>| cases.iter().map(|case| of(case).len()).sum::<usize>();
        let (newly, no_longer) = (sum(|case| &case.newly_liquidated), sum(|case| &case.no_longer_liquidated));
        writeln!(out, "\n{} newly liquidated, {no_longer} no longer", counted(newly, "account"))?;
        writeln!(
            out,
            "liq.: liquidated, or deleveraged as insolvent, newly under the new policy alone, no longer under the old alone; unj.: of them\n\
             unjustified in hindsight, there; unjustified: of all accounts; seconds strict: in ReduceOnly or stricter after a market\n\
             first permitted openings, in the market with most of them; times are those of the first decision, UTC"
        )
    }
}

/// How many, and how many of them without justification.
fn of_them(rows: &[Liquidated]) -> String {
    format!("{} ({})", rows.len(), rows.iter().filter(|row| row.unjustified).count())
}

fn write_accounts(out: &mut String, case: &Case) -> std::fmt::Result {
    let all = [("newly", &case.newly_liquidated), ("no longer", &case.no_longer_liquidated)];
    let shown = shown(all.map(|(_, rows)| rows.len()));
    for ((which, rows), shown) in all.into_iter().zip(shown) {
        for Liquidated { account, markets, at, unjustified } in rows.iter().take(shown) {
            let (account, markets, at) = (harmless(account), harmless(&markets.join(", ")), second(*at));
            let unjustified = if *unjustified { "  unjustified" } else { "" };
            writeln!(out, "          {which:<10} {account:<14} {markets:<8} {at}{unjustified}")?;
        }
    }
    match all.map(|(_, rows)| rows.len()).iter().sum::<usize>() - shown.iter().sum::<usize>() {
        0 => Ok(()),
        more => writeln!(out, "          and {more} more"),
    }
}

/// How many of each kind are named: neither takes more than half of the room while the other wants it.
fn shown([newly, no_longer]: [usize; 2]) -> [usize; 2] {
    let half = ACCOUNTS_SHOWN / 2;
    [newly.min(ACCOUNTS_SHOWN - no_longer.min(half)), no_longer.min(ACCOUNTS_SHOWN - newly.min(half))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_named_are_at_most_eight_and_of_both_kinds() {
        let check = |of, expected| assert_eq!(shown(of), expected, "{of:?}");
        check([0, 0], [0, 0]);
        check([8, 0], [8, 0]);
        check([9, 0], [8, 0]);
        check([0, 9], [0, 8]);
        check([5, 3], [5, 3]);
        check([6, 3], [5, 3]);
        check([3, 6], [3, 5]);
        check([28, 108], [4, 4]);
    }
}
