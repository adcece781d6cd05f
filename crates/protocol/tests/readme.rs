//! The README's tables are made from the code, so they can't say something else.

use protocol::{Action, Mode};

const README: &str = include_str!("../../../README.md");
const QUALITY: &str = include_str!("../../kernel/src/quality.rs");

const fn name(action: Action) -> &'static str {
    match action {
        Action::Deposit => "deposit",
        Action::Cancel => "cancel an order",
        Action::Reduce => "reduce a position",
        Action::Open => "open or increase a position",
        Action::Withdraw => "withdraw while holding a position",
        Action::LiquidateSolvent => "liquidate a solvent account",
        Action::LiquidateInsolvent => "liquidate an insolvent account",
        Action::Fund => "exchange funding",
        Action::Settle => "settle",
    }
}

/// The lines between `<!-- BLOCK -->` and `<!-- end -->`.
fn block(name: &str) -> Vec<&'static str> {
    let begin = format!("<!-- {name} -->");
    let lines = README.lines().skip_while(|line| *line != begin).skip(1);
    lines.take_while(|line| *line != "<!-- end -->").filter(|line| !line.is_empty()).collect()
}

#[test]
fn the_table_of_modes_is_the_code_s() {
    let row = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let mut table = vec![
        row(std::iter::once(String::new()).chain(Mode::ALL.iter().map(|mode| format!("{mode:?}"))).collect()),
        format!("|{}", "---|".repeat(Mode::ALL.len() + 1)),
    ];
    for action in Action::ALL {
        let permits = Mode::ALL.iter().map(|mode| if mode.permits(action) { "yes" } else { "no" }.to_owned());
        table.push(row(std::iter::once(name(action).to_owned()).chain(permits).collect()));
    }
    assert_eq!(block("mode table"), table, "write this into README.md:\n{}\n", table.join("\n"));
}

/// The documentation of `quality::permits` has the table, and a test beside it holds the table against the function.
#[test]
fn the_table_of_qualities_is_the_documented_one() {
    let documented = QUALITY.lines().filter_map(|line| line.strip_prefix("/// ")).filter(|line| line.starts_with('|'));
    let table: Vec<&str> = documented.collect();
    assert_eq!(table.len(), 8, "a heading, a rule and six rows");
    assert_eq!(block("quality table"), table, "write this into README.md:\n{}\n", table.join("\n"));
}
