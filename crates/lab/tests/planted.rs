//! A model that finds nothing proves nothing: with `=` planted for `+=` in the kernel's margin sum it has to speak up.
#![cfg(feature = "planted")]

use lab::model::Story;

/// Batches in which every seed has to show it.
const BATCHES: u32 = 400;

#[test]
fn a_planted_assignment_in_the_margin_sum_is_found() {
    for seed in 0..10 {
        let mut story = Story::new(seed);
        let found = (0..BATCHES).find_map(|_| story.step().err());
        let finding = found.unwrap_or_else(|| panic!("seed {seed}: nothing found in {BATCHES} batches"));
        assert_eq!(finding.rule, "equity and margin", "{finding}");
    }
}
