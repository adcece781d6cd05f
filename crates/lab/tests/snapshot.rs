//! A kernel that goes on from a snapshot decides like the one that wrote it, and bytes that are no sound state are refused.

use kernel::{Kernel, SnapshotError, State};
use lab::model::traffic::Traffic;
use protocol::Effect;
use units::Ratio;

fn run(kernel: &mut Kernel, traffic: &mut Traffic, batches: u32) -> Vec<Effect> {
    let mut effects = Vec::new();
    for _ in 0..batches {
        let batch = traffic.next(kernel.state());
        kernel.apply(&batch, &mut effects);
    }
    effects
}

fn begun(seed: u64, batches: u32) -> (Kernel, Traffic) {
    let mut traffic = Traffic::new(seed);
    let mut kernel = Kernel::new(traffic.params(), traffic.genesis()).expect("the seed's venue is well formed");
    run(&mut kernel, &mut traffic, batches);
    (kernel, traffic)
}

#[test]
fn a_resumed_kernel_goes_on_exactly_like_the_original() {
    for seed in 0..60 {
        let (mut kernel, mut traffic) = begun(seed, 30 + seed as u32 * 7);
        let bytes = kernel.state().to_snapshot();
        let state = State::from_snapshot(&bytes).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(&state, kernel.state(), "seed {seed}: what is derived is derived alike");
        assert_eq!(state.to_snapshot(), bytes, "seed {seed}");
        let mut resumed = Kernel::resume(state);
        let mut again = traffic.clone();
        let one = run(&mut kernel, &mut traffic, 150);
        let other = run(&mut resumed, &mut again, 150);
        assert_eq!(one, other, "seed {seed}");
        assert_eq!(kernel.state().hash(), resumed.state().hash(), "seed {seed}");
    }
}

#[test]
fn a_snapshot_that_breaks_an_invariant_is_refused() {
    let (kernel, _) = begun(1, 50);
    let mut state = kernel.state().clone();
    state.pools[1].insurance += 1;
    assert!(matches!(
        State::from_snapshot(&state.to_snapshot()),
        Err(SnapshotError::Broken(broken)) if broken.invariant == 1 && broken.pool.0 == 1
    ));
    let mut state = kernel.state().clone();
    let before = state.pools[0].insurance;
    state.pools[0].insurance = i128::MAX;
    assert!(before < i128::MAX);
    assert!(matches!(
        State::from_snapshot(&state.to_snapshot()),
        Err(SnapshotError::Broken(broken)) if broken.invariant == 1
    ));
}

#[test]
fn a_snapshot_whose_parameters_are_unsound_is_refused() {
    let (kernel, _) = begun(1, 50);
    let mut state = kernel.state().clone();
    state.pools[0].markets[0].params.oracle.dispute = Ratio::ZERO;
    assert!(matches!(
        State::from_snapshot(&state.to_snapshot()),
        Err(SnapshotError::Params(invalid)) if invalid.field == "oracle.agree"
    ));
}

#[test]
fn a_snapshot_that_numbers_its_markets_otherwise_is_refused() {
    let (kernel, _) = begun(1, 50);
    let mut state = kernel.state().clone();
    state.pools[0].markets[0].id = state.pools[1].markets[0].id;
    assert!(matches!(State::from_snapshot(&state.to_snapshot()), Err(SnapshotError::Decode(_))));
    let bytes = kernel.state().to_snapshot();
    for len in 0..bytes.len() {
        assert!(State::from_snapshot(&bytes[..len]).is_err(), "cut to {len} bytes");
    }
}
