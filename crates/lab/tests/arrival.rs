//! Whoever is early gains nothing: every order in which a batch arrives has the same outcome.

use kernel::Kernel;
use lab::model::dice::Dice;
use lab::model::traffic::{Traffic, shuffle};
use protocol::{Batch, Effect, Input, Reject};

#[derive(Debug, PartialEq)]
enum Told {
    Refused(Input, Reject),
    Done(Effect),
}

/// Effects, with the input that was refused in the place of its number.
fn told(batch: &Batch, effects: &[Effect]) -> Vec<Told> {
    let one = |effect: &Effect| match effect {
        Effect::Rejected { input, reject } => Told::Refused(batch.inputs[*input as usize].clone(), *reject),
        effect => Told::Done(*effect),
    };
    effects.iter().map(one).collect()
}

#[test]
fn every_order_of_arrival_has_the_same_outcome() {
    let (mut shuffled, mut refused) = (0, 0);
    for seed in 0..40 {
        let mut traffic = Traffic::new(seed);
        let mut kernel = Kernel::new(traffic.params(), traffic.genesis()).expect("the seed's venue is well formed");
        let mut dice = Dice::new(seed);
        for _ in 0..250 {
            let batch = traffic.next(kernel.state());
            let (mut other, mut otherwise) = (kernel.clone(), batch.clone());
            shuffle(&mut otherwise.inputs, &mut dice);
            let (mut effects, mut other_effects) = (Vec::new(), Vec::new());
            kernel.apply(&batch, &mut effects);
            other.apply(&otherwise, &mut other_effects);
            let (one, two) = (told(&batch, &effects), told(&otherwise, &other_effects));
            assert_eq!(one, two, "seed {seed}, batch {}", batch.height);
            assert_eq!(kernel.state(), other.state(), "seed {seed}, batch {}", batch.height);
            shuffled += usize::from(batch != otherwise);
            refused += one.iter().filter(|told| matches!(told, Told::Refused(..))).count();
        }
    }
    // It is about something: most batches came in another order, and some of what was asked for in them was refused.
    assert!(9_000 < shuffled && 1_000 < refused, "{shuffled} shuffled, {refused} refused");
}
