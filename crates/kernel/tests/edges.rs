//! Edges that no story passes by itself: limits met exactly, stored states that contradict themselves, what others read.

mod common;

use common::{Story, USD, account, liquidations, market, observation, order, trade, venue};
use kernel::kernel::AT_MAX;
use kernel::snapshot::SnapshotError;
use kernel::state::{Genesis, Pool, State};
use protocol::{AccountId, Effect, MarketId, MarketParams, Mode, OrderId, PoolId, QualityState, Reject, VenueParams};
use units::{Duration, Price, Ratio, Size, Timestamp};

fn open(params: VenueParams, accounts: &[Genesis]) -> Story {
    let markets = u16::try_from(params.markets.len()).expect("few");
    let mut story = Story { prompt: true, ..Story::new(&params, accounts) };
    for _ in 0..300 {
        story.wait(1);
        let seen = |market: u16| [0, 1].map(|source| observation(market, source, 100 * USD, story.now, story.now));
        let inputs = (0..markets).flat_map(seen).collect();
        story.batch(inputs);
    }
    assert_eq!(story.mode(0), Mode::Normal);
    story
}

fn rejects(effects: &[Effect]) -> Vec<Reject> {
    let reject = |effect: &Effect| if let Effect::Rejected { reject, .. } = effect { Some(*reject) } else { None };
    effects.iter().filter_map(reject).collect()
}

#[test]
fn an_order_of_the_largest_size_is_taken_and_one_lot_more_is_not() {
    let mut params = market(2);
    params.order_size_max = Size(1_000);
    let mut story = open(venue(vec![params]), &[account(1, 1_000_000, &[])]);
    assert_eq!(rejects(&story.batch(vec![order(1, 1, 0, 1_000, 10_000)])), []);
    assert_eq!(rejects(&story.batch(vec![order(2, 1, 0, 1_001, 10_000)])), [Reject::TooLarge { max: Size(1_000) }]);
}

#[test]
fn an_order_of_more_lots_than_can_be_reckoned_with_is_out_of_range_whatever_the_market_takes() {
    let mut params = market(2);
    params.order_size_max = Size(i64::MAX);
    params.open_interest_max = Size(i64::MAX);
    let mut story = open(venue(vec![params]), &[account(1, 1_000_000, &[])]);
    let lots = kernel::state::LOTS_MAX as i64;
    for size in [lots, -lots] {
        let found = rejects(&story.batch(vec![order(1, 1, 0, size, 10_000)]));
        assert!(matches!(found[..], [Reject::Margin { .. }]), "{found:?}");
        let more = size + size.signum();
        assert_eq!(rejects(&story.batch(vec![order(1, 1, 0, more, 10_000)])), [Reject::OutOfRange]);
    }
}

#[test]
fn a_trade_of_orders_in_two_markets_is_none() {
    let accounts = [account(1, 1_000, &[]), account(2, 1_000, &[])];
    let mut story = open(venue(vec![market(2), market(2)]), &accounts);
    let effects = story.batch(vec![order(1, 1, 0, 10, 10_000), order(2, 2, 1, -10, 10_000)]);
    assert_eq!(rejects(&effects), []);
    for market in [0, 1] {
        let effects = story.batch(vec![trade(market, OrderId(1), OrderId(2), 10_000, 10)]);
        assert_eq!(rejects(&effects), [Reject::Mismatch]);
    }
}

#[test]
fn a_market_that_lists_just_enough_lineages_liquidates_no_solvent_account_on_one() {
    let taken = |sources: u8| {
        let accounts = [account(1, 40, &[(0, 10_000, 100)]), account(2, 100_000, &[(0, -10_000, 100)])];
        let mut params = market(sources);
        params.liquidation.single_lineage_confirm = Duration::ZERO;
        let mut story = Story { prompt: true, ..Story::new(&venue(vec![params]), &accounts) };
        story.hold(0, &vec![10_000; usize::from(sources)], 300);
        // One source alone, 2.5% lower, for long enough to be believed: of 40 USD are left 15, and 24 are asked for.
        for _ in 0..90 {
            story.wait(1);
            let seen = observation(0, 0, 9_750 * (USD / 100), story.now, story.now);
            story.batch(vec![seen]);
        }
        assert_eq!(
            (story.quality(0).state, story.quality(0).value),
            (QualityState::Degraded, Price(9_750 * USD / 100))
        );
        // Also what was decided between these prices, when it was due.
        !liquidations(&story.effects).is_empty()
    };
    assert_eq!((taken(1), taken(2)), (true, false));
}

#[test]
fn what_others_read_of_a_market_is_what_it_holds() {
    let accounts = [account(1, 1_000, &[(0, 500, 100)]), account(2, 1_000, &[(0, -500, 100)])];
    let story = open(venue(vec![market(2), market(2)]), &accounts);
    let state = story.kernel.state();
    let market = state.market(MarketId(0)).expect("is listed");
    let (average, coverage) = market.twap();
    assert_eq!(average, Some(Price(100 * USD)));
    assert!(Ratio::percent(98) < coverage && coverage <= Ratio::ONE, "{coverage:?}");
    assert_eq!(market.open_interest(), 500);
    assert_eq!(state.pool_hash(PoolId(0)), Some(codec::hash(&state.pools[0])));
    assert_eq!(state.pool_hash(PoolId(1)), None);
    // 5% of 50 USD, and 2.5%.
    let account = &state.pools[0].accounts[&AccountId(1)];
    let risk = kernel::margin::risk(account, |id| state.market(id), kernel::margin::Lens::Mark).expect("is priced");
    assert_eq!((risk.initial_micro(), risk.maintenance_micro()), (2_500_000, 1_250_000));
}

#[test]
fn a_state_reads_back_up_to_the_last_time_and_from_the_first_and_no_farther() {
    let story = open(venue(vec![market(2)]), &[]);
    let at = |at: i64| {
        let mut state = story.kernel.state().clone();
        state.at = Timestamp(at);
        State::from_snapshot(&state.to_snapshot()).map(|state| state.at)
    };
    assert_eq!(at(0), Ok(Timestamp(0)));
    assert_eq!(at(AT_MAX.0), Ok(AT_MAX));
    for refused in [-1, AT_MAX.0 + 1] {
        let Err(error @ SnapshotError::Decode(_)) = at(refused) else { panic!("{refused} is no time") };
        assert!(error.to_string().starts_with("not a snapshot: "), "{error}");
    }
}

#[test]
fn a_state_whose_parts_are_numbered_otherwise_is_refused() {
    let story = open(venue(vec![market(2), market(2)]), &[]);
    let refused = |change: fn(&mut State)| {
        let mut state = story.kernel.state().clone();
        change(&mut state);
        matches!(State::from_snapshot(&state.to_snapshot()), Err(SnapshotError::Decode(_)))
    };
    assert!(!refused(|_| {}));
    assert!(refused(|state| state.pools[0].id = PoolId(1)));
    assert!(refused(|state| state.pools[0].markets[1].params.pool = PoolId(1)));
    assert!(refused(|state| state.pools[0].markets[1].id = MarketId(0)));
    assert!(refused(|state| state.pools[0].markets.swap(0, 1)));
    assert!(refused(|state| state.pools[0].markets[1].id = MarketId(2)));
    assert!(refused(|state| {
        state.pools[0].markets[0].index.sources.pop();
    }));
    // As many sources as are listed, and more than may be.
    assert!(refused(|state| {
        let market = &mut state.pools[0].markets[0];
        let (source, listed) = (market.index.sources[0].clone(), market.params.sources[0]);
        market.index.sources.resize(MarketParams::SOURCES_MAX + 1, source);
        market.params.sources.resize(MarketParams::SOURCES_MAX + 1, listed);
    }));
}

#[test]
fn sixteen_sources_read_back() {
    let story = Story::new(&venue(vec![market(16)]), &[]);
    assert_eq!(State::from_snapshot(&story.kernel.state().to_snapshot()).as_ref(), Ok(story.kernel.state()));
}

#[test]
fn a_refused_state_says_which_parameter_or_invariant() {
    let story = open(venue(vec![market(2)]), &[account(1, 1_000, &[])]);
    let said = |change: fn(&mut State)| {
        let mut state = story.kernel.state().clone();
        change(&mut state);
        State::from_snapshot(&state.to_snapshot()).map_err(|error| error.to_string()).err()
    };
    let params = "a snapshot whose parameters are not well formed: Market(0): tiers must list 1 to 16 tiers";
    assert_eq!(said(|state| state.pools[0].markets[0].params.tiers.clear()).as_deref(), Some(params));
    let broken = "a snapshot that breaks invariant 1 in pool 0: found 1000000000, expected 1000000001";
    assert_eq!(said(|state| state.pools[0].deposited += 1).as_deref(), Some(broken));
}

#[test]
fn the_least_bytes_of_a_state_are_counted_to_the_byte() {
    fn least<T: codec::Canonical>(value: &T) -> (usize, usize) {
        // Before the value stand the magic and the version.
        (codec::to_bytes(value).len() - 6, T::SIZE_MIN)
    }
    let story = Story::new(&venue(vec![market(1)]), &[]);
    let mut state = story.kernel.state().clone();
    let mut market = state.pools[0].markets.remove(0);
    let (twap, range) = (market.twap.clone(), market.range.clone());
    for (found, said) in [least(&twap), least(&range), least(&market.stable)] {
        assert_eq!(found, said);
    }
    market.params.sources.clear();
    market.params.tiers.clear();
    market.index.sources.clear();
    let (found, said) = least(&market);
    assert_eq!(found, said);
    let (found, said) = least(&state.pools[0]);
    assert_eq!(found, said);
    state.pools.clear();
    let (found, said) = least(&state);
    assert_eq!(found, said);
}

#[test]
fn who_is_under_maintenance_and_watched_by_nothing_breaks_an_invariant() {
    let accounts = [account(1, 100, &[(0, 10_000, 100)]), account(2, 100_000, &[(0, -10_000, 100)])];
    let story = open(venue(vec![market(2)]), &accounts);
    let check = |mark: i64, trigger: i64| {
        let mut state = story.kernel.state().clone();
        let pool: &mut Pool = &mut state.pools[0];
        pool.markets[0].mark.price = Price(mark * USD / 100);
        let account = pool.accounts.get_mut(&AccountId(1)).expect("is there");
        account.positions[0].trigger = Some(Price(trigger * USD / 100));
        State::from_snapshot(&state.to_snapshot()).map(|_| ())
    };
    // 100 USD against a fall of 8%, which leaves 20 of the 23 that 2.5% ask for: the trigger must be at the mark or above.
    assert_eq!(check(9_200, 9_200), Ok(()));
    let Err(SnapshotError::Broken(broken)) = check(9_200, 9_199) else { panic!("nobody looks at it") };
    assert_eq!(broken.pool, PoolId(0));
}

#[test]
fn a_clock_that_is_ahead_as_far_as_it_may_be_orders_what_its_source_says_and_one_farther_does_not() {
    let then = |ahead: i64| {
        let mut story = open(venue(vec![market(2)]), &[]);
        story.wait(1);
        let now = story.now;
        story.batch(vec![observation(0, 0, 100 * USD, now + ahead, now)]);
        story.wait(1);
        let older = now + ahead - 1;
        rejects(&story.batch(vec![observation(0, 0, 100 * USD, older, story.now)]))
    };
    assert_eq!((then(1_000_000), then(1_000_001)), (vec![Reject::OutOfOrder], vec![]));
}
