//! What the venue itself does, its chain, and what happens after whoever decides was away.

mod common;

use common::{Story, USD, account, insurance, liquidations, observation, opened, order, quick, second, trade, venue};
use kernel::Genesis;
use protocol::input::{BookTop, ChainHealth, Depth};
use protocol::params::Thresholds;
use protocol::{AccountId, Effect, Input, MarketId, MarketParams, Mode, OrderId, PoolId, QualityState, Reject, Rung};
use units::{Duration, Price, Ratio, Size, Timestamp};

fn at(cautious: i64, reduce_only: i64) -> Thresholds {
    Thresholds { cautious: Ratio::percent(cautious), reduce_only: Ratio::percent(reduce_only) }
}

/// Two sources, quick to calm down, and no detector of moves.
fn quiet() -> MarketParams {
    let mut params = quick(2);
    params.open_interest_max = Size(1_000_000);
    params.order_size_max = Size(1_000_000);
    params
}

/// Two accounts open so many lots against each other.
fn build_up(story: &mut Story, id: u64, lots: i64) {
    second(story, 10_000, vec![order(id, 1, 0, lots, 10_000), order(id + 1, 2, 0, -lots, 10_000)]);
    second(story, 10_000, vec![trade(0, OrderId(id), OrderId(id + 1), 10_000, lots)]);
}

const RICH: i64 = 1_000_000;

#[test]
fn open_interest_that_grows_faster_than_a_market_does_is_stopped_at_its_threshold() {
    let mut params = quiet();
    params.activity.growth = at(300, 1_000);
    let mut story = opened(params, &[account(1, RICH, &[]), account(2, RICH, &[])]);
    // A hundredth of a million lots is the least that it is measured against.
    for (id, lots, mode) in [(1, 29_999, Mode::Normal), (3, 1, Mode::Cautious), (5, 69_999, Mode::Cautious)] {
        build_up(&mut story, id, lots);
        assert_eq!(story.mode(0), mode, "{lots}");
    }
    build_up(&mut story, 7, 1);
    assert_eq!(story.mode(0), Mode::ReduceOnly);
    // Left at half of it, and over with the hour.
    let close = |lots: i64| vec![order(9, 1, 0, -lots, 10_000), order(10, 2, 0, lots, 10_000)];
    second(&mut story, 10_000, close(49_999));
    second(&mut story, 10_000, vec![trade(0, OrderId(10), OrderId(9), 10_000, 49_999)]);
    for _ in 0..5 {
        second(&mut story, 10_000, vec![]);
    }
    assert_eq!(story.mode(0), Mode::ReduceOnly);
    for _ in 0..3_600 {
        second(&mut story, 10_000, vec![]);
    }
    assert_eq!(story.mode(0), Mode::Normal);
}

#[test]
fn more_than_the_book_could_let_out_is_crowded() {
    let mut params = quiet();
    params.activity.crowding = at(5_000, 10_000);
    let mut story = opened(params, &[account(1, RICH, &[(0, 10_000, 100)]), account(2, RICH, &[(0, -10_000, 100)])]);
    let depth = |bid, ask| Input::Depth(Depth { market: MarketId(0), bid: Size(bid), ask: Size(ask) });
    for (bid, ask, mode) in [
        (201, 1_000, Mode::Normal),
        (200, 1_000, Mode::Cautious),
        (1_000, 101, Mode::Cautious),
        (1_000, 100, Mode::ReduceOnly),
        (0, 1_000, Mode::ReduceOnly),
    ] {
        second(&mut story, 10_000, vec![depth(bid, ask)]);
        assert_eq!(story.mode(0), mode, "{bid} {ask}");
    }
    // Left at half of the threshold: 25 times the thinner side.
    for (bid, mode) in [(400, Mode::Cautious), (401, Mode::Normal)] {
        for _ in 0..4 {
            second(&mut story, 10_000, vec![depth(bid, 1_000)]);
        }
        assert_eq!(story.mode(0), mode, "{bid}");
    }
    let effects = second(&mut story, 10_000, vec![depth(-1, 1)]);
    assert_eq!(effects, [Effect::Rejected { input: 2, reject: Reject::OutOfRange }]);
}

#[test]
fn liquidations_that_follow_one_another_stop_what_opens_and_not_each_other() {
    let mut params = quiet();
    params.activity.intensity = at(2, 10);
    params.liquidation.fee = Ratio::ZERO;
    // 3% of margin: under maintenance at 98.
    let weak = |id, lots: i64| account(id, lots * 3 / 1_000, &[(0, lots, 100)]);
    let accounts = [
        weak(1, 20_000),
        weak(2, 80_000),
        account(3, RICH, &[(0, 900_000, 100)]),
        account(4, RICH, &[(0, -1_000_000, 100)]),
    ];
    let mut story = opened(params, &accounts);
    second(&mut story, 9_800, vec![]);
    let orders = liquidations(&story.effects.clone());
    assert_eq!(orders.iter().map(|(account, ..)| *account).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(story.mode(0), Mode::Normal, "orders close nothing yet");
    let buys = vec![order(1, 4, 0, 100_000, 10_000)];
    second(&mut story, 9_800, buys);
    let fill = |story: &mut Story, n: usize, lots: i64| {
        second(story, 9_800, vec![trade(0, OrderId(1), orders[n].2, 9_800, lots)]);
    };
    // Of a million lots 2% are 20,000: what was closed is counted with what is left.
    fill(&mut story, 1, 19_999);
    assert_eq!(story.mode(0), Mode::Normal);
    fill(&mut story, 1, 1);
    assert_eq!(story.mode(0), Mode::Cautious);
    let market = |story: &Story| story.kernel.state().market(MarketId(0)).expect("listed").clone();
    assert_eq!(market(&story).view().measures.intensity, Ratio::percent(2));
    // A minute later it is forgotten.
    for _ in 0..62 {
        second(&mut story, 9_800, vec![]);
    }
    assert_eq!(market(&story).view().measures.intensity, Ratio::ZERO);
    assert_eq!(story.mode(0), Mode::Normal);
}

#[test]
fn a_book_that_stays_apart_from_the_market_outside_is_told_from_one_look() {
    let mut params = quiet();
    params.activity.divergence = at(1, 3);
    params.mark.premium_window = Duration::seconds(10);
    let top = |cents: i64| {
        let half = USD / 100;
        let mid = cents * (USD / 100);
        Input::BookTop(BookTop { market: MarketId(0), bid: Price(mid - half), ask: Price(mid + half) })
    };
    let mut story = opened(params, &[]);
    second(&mut story, 10_000, vec![top(10_000)]);
    // An eleventh of a tenth in the first second.
    let mut modes = Vec::new();
    for _ in 0..6 {
        second(&mut story, 10_000, vec![top(11_000)]);
        modes.push(story.mode(0));
    }
    use Mode::{Cautious, Normal, ReduceOnly};
    assert_eq!(modes, [Normal, Cautious, Cautious, ReduceOnly, ReduceOnly, ReduceOnly]);
    // The mark has not been moved by it but for what it may be.
    let mark = story.kernel.state().market(MarketId(0)).expect("listed").mark;
    assert!(mark.price <= Price(10_050 * (USD / 100)), "{mark:?}");
}

fn chain(produced_at: i64, base_fee: u64, inclusion: i64, finality: i64) -> Input {
    Input::Chain(ChainHealth {
        pool: PoolId(0),
        produced_at: Timestamp(produced_at),
        base_fee,
        inclusion: Duration::seconds(inclusion),
        finality: Duration::seconds(finality),
    })
}

#[test]
fn a_chain_that_is_slow_dear_or_late_to_be_final_restricts_what_opens() {
    // Usual: 12 s, 24 s, 900 s, 20,000.
    for (fee, inclusion, finality, mode) in [
        (20_000, 24, 900, Mode::Normal),
        (99_999, 119, 4_499, Mode::Normal),
        (100_000, 24, 900, Mode::Cautious),
        (20_000, 120, 900, Mode::Cautious),
        (20_000, 24, 4_500, Mode::Cautious),
        (499_999, 599, 22_499, Mode::Cautious),
        (500_000, 24, 900, Mode::ReduceOnly),
        (20_000, 600, 900, Mode::ReduceOnly),
        (20_000, 24, 22_500, Mode::ReduceOnly),
    ] {
        let mut story = opened(quiet(), &[]);
        let now = story.now + 1_000_000;
        second(&mut story, 10_000, vec![chain(now, fee, inclusion, finality)]);
        assert_eq!(story.mode(0), mode, "{fee} {inclusion} {finality}");
    }
    // Nobody reports, and no block comes: after one minute and after five, to the microsecond, whether or not a price comes.
    let mut params = quiet();
    for source in &mut params.sources {
        source.heartbeat = Duration::seconds(1_000);
    }
    let mut story = opened(params, &[]);
    let produced = story.now;
    second(&mut story, 10_000, vec![chain(produced, 0, 0, 0)]);
    story.now = produced + 310_000_000;
    story.batch(vec![]);
    let modes: Vec<Mode> = story
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Mode { to, causes, .. } => {
                assert_eq!(*causes, 1 << 11);
                Some(*to)
            }
            _ => None,
        })
        .collect();
    assert_eq!(modes, [Mode::Cautious, Mode::ReduceOnly]);
    let mut story = Story { now: produced + 59_999_999, ..opened(quiet(), &[]) };
    story.prompt = false;
    story.kernel.apply(
        &protocol::Batch {
            height: story.kernel.state().height + 1,
            at: Timestamp(produced),
            seed: [0; 32],
            inputs: vec![chain(produced, 0, 0, 0)],
        },
        &mut vec![],
    );
    assert!(story.kernel.next_due().is_some_and(|due| due <= Timestamp(produced + 60_000_000)));
}

#[test]
fn a_report_of_the_chain_that_contradicts_itself_is_refused() {
    let mut story = opened(quiet(), &[]);
    let now = story.now + 1_000_000;
    let mut of_nobody = chain(now, 0, 0, 0);
    let Input::Chain(health) = &mut of_nobody else { unreachable!() };
    health.pool = PoolId(7);
    let inputs = vec![
        chain(now + 1, 0, 0, 0),
        chain(now, 0, -1, 0),
        chain(now, 0, 0, -1),
        of_nobody,
        chain(now, 0, 0, 0),
        chain(now - 1, 0, 0, 0),
    ];
    let effects = second(&mut story, 10_000, inputs);
    let refused = |input, reject| Effect::Rejected { input, reject };
    assert_eq!(
        effects,
        [
            refused(2, Reject::ReceivedAfterBatch),
            refused(3, Reject::OutOfRange),
            refused(4, Reject::OutOfRange),
            refused(5, Reject::UnknownPool),
            refused(7, Reject::OutOfOrder),
        ]
    );
}

/// 30 USD of margin on 1,000 USD of notional: under maintenance of 25 below 99.50.
fn weak(id: u64) -> Genesis {
    account(id, 30, &[(0, 10_000, 100)])
}

#[test]
fn after_a_restart_nothing_opens_or_is_liquidated_until_a_quorum_is_back() {
    let accounts = [weak(1), account(2, RICH, &[(0, -10_000, 100)]), account(3, RICH, &[])];
    let mut params = quiet();
    params.breaker.grace_max = Duration::ZERO;
    let mut story = opened(params, &accounts);
    // A second later: what was heard before would still be fresh.
    story.wait(1);
    let effects = story.batch(vec![Input::Restart, order(1, 3, 0, 10, 10_000)]);
    assert_eq!((story.mode(0), story.quality(0).rung), (Mode::Halted, Rung::LastGood));
    let causes = effects.iter().find_map(|effect| match effect {
        Effect::Mode { causes, .. } => Some(*causes),
        _ => None,
    });
    assert_eq!(causes, Some(1 << 12));
    assert!(effects.contains(&Effect::Rejected { input: 1, reject: Reject::Restricted }), "{effects:?}");
    // One of two is back, far lower.
    for _ in 0..5 {
        story.wait(1);
        story.prices(0, &[9_900, i64::MIN]);
        assert_eq!((story.mode(0), story.quality(0).state), (Mode::Halted, QualityState::Degraded));
    }
    assert_eq!(liquidations(&story.effects), []);
    // In stages, and who is under maintenance is liquidated when orders may match.
    let mut modes = Vec::new();
    for _ in 0..5 {
        let effects = second(&mut story, 9_900, vec![]);
        modes.push((story.mode(0), liquidations(&effects).len()));
    }
    use Mode::{CancelOnly, Cautious, Halted, Normal, ReduceOnly};
    assert_eq!(modes, [(Halted, 0), (CancelOnly, 0), (ReduceOnly, 1), (Cautious, 0), (Normal, 0)]);
}

#[test]
fn whom_an_outage_brought_under_maintenance_has_half_of_its_length_to_act() {
    for before in [true, false] {
        let accounts = [weak(1), account(2, RICH, &[(0, -20_000, 100)]), account(3, 15, &[(0, 10_000, 100)])];
        let mut params = quiet();
        params.breaker.cautious_size_scale = Ratio::percent(50);
        let mut story = opened(params, &accounts);
        // The third was under maintenance all along; the first is with the outage.
        story.effects.clear();
        let price = if before { 9_900 } else { 10_000 };
        second(&mut story, price, vec![]);
        second(&mut story, price, vec![]);
        story.wait(100);
        story.prompt = false;
        story.batch(vec![Input::Restart]);
        let ended = story.now;
        story.effects.clear();
        let mut first = None;
        for _ in 0..60 {
            let effects = second(&mut story, 9_900, vec![]);
            let taken = liquidations(&effects).iter().any(|(account, ..)| *account == 1);
            first = first.or(taken.then_some((story.now - ended) / 1_000_000));
        }
        // Where it was before: as soon as orders match. Else 50 s after that.
        assert_eq!(first, Some(if before { 3 } else { 53 }), "{before}");
    }
    // Nobody waits whose equity is gone.
    let mut story = opened(quiet(), &[weak(1), account(2, RICH, &[(0, -10_000, 100)])]);
    story.wait(100);
    story.batch(vec![insurance(1_000), Input::Restart]);
    let effects: Vec<Effect> = (0..4).flat_map(|_| second(&mut story, 9_600, vec![])).collect();
    assert!(liquidations(&effects).iter().any(|(account, ..)| *account == 1), "{effects:?}");
}

#[test]
fn while_the_chain_stands_still_no_auction_goes_on_and_then_it_goes_on_where_it_was() {
    let mut params = quiet();
    params.liquidation.order_ttl = Duration::seconds(310);
    params.breaker.grace_max = Duration::seconds(100);
    for returns in [true, false] {
        let mut story = opened(params.clone(), &[weak(1), account(2, RICH, &[(0, -10_000, 100)])]);
        second(&mut story, 9_900, vec![]);
        assert_eq!(liquidations(&story.effects).len(), 1);
        let live = |story: &Story| story.kernel.state().pools[0].accounts[&AccountId(1)].liquidation;
        let placed = live(&story).expect("is out");
        assert_eq!(placed.expires_at, Timestamp(story.now + 310_000_000));
        // The last block is a second later; from 300 s after it on the chain counts as standing still.
        let produced = story.now + 1_000_000;
        second(&mut story, 9_900, vec![chain(produced, 0, 0, 0)]);
        story.effects.clear();
        // For a hundred seconds it does not run out, and then the reports are taken to be what is missing.
        for _ in 0..(if returns { 340 } else { 399 }) {
            second(&mut story, 9_900, vec![]);
        }
        assert_eq!(live(&story), Some(placed));
        if returns {
            // 341 s without a block: as much longer it stands, which is a second less than a new one.
            let now = story.now + 1_000_000;
            second(&mut story, 9_900, vec![chain(now, 0, 0, 0)]);
            assert_eq!(live(&story).map(|live| live.expires_at), Some(placed.expires_at.plus(Duration::seconds(341))));
            assert_eq!(liquidations(&story.effects), []);
        } else {
            second(&mut story, 9_900, vec![]);
            assert_eq!(liquidations(&story.effects).len(), 1);
        }
    }
}

#[test]
fn the_time_away_teaches_nobody_s_silence() {
    for restarts in [true, false] {
        let mut story = opened(quiet(), &[]);
        let silence = |story: &Story| {
            let market = story.kernel.state().market(MarketId(0)).expect("listed").clone();
            let source = &market.index.sources[0];
            source.fresh_until.since(source.received_at)
        };
        let before = silence(&story);
        story.wait(60);
        if restarts {
            story.batch(vec![Input::Restart]);
        }
        second(&mut story, 10_000, vec![]);
        // A source that was silent for a minute of its own is expected to be so again, as long as a price may be old.
        let after = if restarts { before } else { Duration::seconds(10) };
        assert_eq!(silence(&story), after, "{restarts}");
    }
}

#[test]
fn an_order_that_was_placed_late_in_an_outage_stands_no_longer_than_a_new_one() {
    let mut params = quiet();
    params.liquidation.order_ttl = Duration::seconds(30);
    params.breaker.grace_share = Ratio::ZERO;
    let mut story = opened(params, &[weak(1), account(2, RICH, &[(0, -10_000, 100)])]);
    let produced = story.now;
    second(&mut story, 9_900, vec![chain(produced, 0, 0, 0)]);
    // Reports are what is missing from 300 s to 900 s on: after that it is decided anew, a day after the last block.
    story.wait(86_400);
    second(&mut story, 9_900, vec![]);
    for _ in 0..35 {
        let now = story.now + 1_000_000;
        second(&mut story, 9_900, vec![chain(now, 0, 0, 0)]);
        let live = story.kernel.state().pools[0].accounts[&AccountId(1)].liquidation;
        assert!(live.is_none_or(|live| live.expires_at <= Timestamp(now + 30_000_000)), "{live:?}");
    }
    assert!(1 < liquidations(&story.effects).len());
}

#[test]
fn missing_reports_shield_nobody_whose_equity_is_gone() {
    let after = |reports: bool| {
        let mut params = quiet();
        params.liquidation.order_ttl = Duration::seconds(3);
        params.breaker.grace_max = Duration::seconds(4 * 3_600);
        let mut story = opened(params, &[weak(1), account(2, RICH, &[(0, -10_000, 100)])]);
        let next = |story: &mut Story, cents: i64| {
            let now = story.now + 1_000_000;
            let report = reports || now < 1_000_000_040_000_000;
            second(story, cents, if report { vec![chain(now, 0, 0, 0)] } else { vec![] })
        };
        for _ in 0..400 {
            next(&mut story, 10_000);
        }
        next(&mut story, 9_900);
        let closed = |effect: &Effect| matches!(effect, Effect::Deleveraged { .. });
        (0..18_000).find(|k| next(&mut story, (9_800 - k / 10).max(8_000)).iter().any(closed))
    };
    assert_eq!((after(true), after(false)), (Some(1_010), Some(1_010)));
}

#[test]
fn whom_an_outage_of_the_chain_brings_under_maintenance_has_its_grace_too() {
    let mut story = opened(quiet(), &[weak(1), account(2, RICH, &[(0, -10_000, 100)])]);
    let produced = story.now;
    second(&mut story, 10_000, vec![chain(produced, 0, 0, 0)]);
    // Under maintenance 400 s after the last block, for 400 s: nobody who can pay is liquidated while nobody can act.
    for k in 0..799 {
        second(&mut story, if k < 399 { 10_000 } else { 9_900 }, vec![]);
    }
    assert_eq!(liquidations(&story.effects), []);
    let back = story.now + 1_000_000;
    second(&mut story, 9_900, vec![chain(back, 0, 0, 0)]);
    // Half of 800 s.
    for (until, taken) in [(399, 0), (402, 1)] {
        while story.now < back + until * 1_000_000 {
            let now = story.now + 1_000_000;
            second(&mut story, 9_900, vec![chain(now, 0, 0, 0)]);
        }
        assert_eq!(liquidations(&story.effects).len(), taken, "{until}");
    }
}

#[test]
fn a_second_signal_of_an_outage_takes_its_grace_from_nobody() {
    for again in [0, 1, 2] {
        let mut story = opened(quiet(), &[weak(1), account(2, RICH, &[(0, -10_000, 100)])]);
        let produced = story.now;
        second(&mut story, 10_000, vec![chain(produced, 0, 0, 0)]);
        story.wait(1_000);
        story.prompt = false;
        story.batch(vec![Input::Restart]);
        let ended = story.now;
        story.prompt = true;
        second(&mut story, 9_900, vec![]);
        let now = story.now + 1_000_000;
        let more = [vec![], vec![chain(now, 0, 0, 0)], vec![Input::Restart]];
        second(&mut story, 9_900, more[again].clone());
        let until = |story: &mut Story, seconds: i64| {
            while story.now < ended + seconds * 1_000_000 {
                let now = story.now + 1_000_000;
                second(story, 9_900, if again == 1 { vec![chain(now, 0, 0, 0)] } else { vec![] });
            }
        };
        until(&mut story, 495);
        assert_eq!(liquidations(&story.effects), [], "{again}");
        until(&mut story, 510);
        assert_eq!(liquidations(&story.effects).len(), 1, "{again}");
    }
}

#[test]
fn a_grace_is_not_for_what_was_opened_in_it() {
    let mut params = quiet();
    params.breaker.grace_max = Duration::seconds(4 * 3_600);
    let others = [account(2, RICH, &[(0, -10_000, 100)]), account(3, RICH, &[(0, 10_000, 100)])];
    let mut story = opened(params, &[account(1, 60, &[]), others[0].clone(), others[1].clone()]);
    second(&mut story, 10_000, vec![insurance(1_000)]);
    story.wait(2_000);
    story.prompt = false;
    story.batch(vec![Input::Restart]);
    story.prompt = true;
    for _ in 0..6 {
        second(&mut story, 10_000, vec![]);
    }
    second(&mut story, 10_000, vec![order(1, 1, 0, 10_000, 10_000), order(2, 2, 0, -10_000, 10_000)]);
    second(&mut story, 10_000, vec![trade(0, OrderId(1), OrderId(2), 10_000, 10_000)]);
    let taken =
        (0..800).map(|k| 10_000 - k).find(|cents| !liquidations(&second(&mut story, *cents, vec![])).is_empty());
    // 60 USD on 1,000: under maintenance of 2.5% below 96.41.
    assert_eq!(taken, Some(9_641));
}

#[test]
fn a_gate_that_no_quorum_opens_lets_leave_after_a_while() {
    let mut story = opened(quiet(), &[weak(1), account(2, RICH, &[(0, -10_000, 100)])]);
    story.wait(1);
    story.batch(vec![Input::Restart]);
    // One of two is gone for good.
    for (seconds, mode) in [(60, Mode::Halted), (1, Mode::CancelOnly), (1, Mode::ReduceOnly), (3_600, Mode::ReduceOnly)]
    {
        story.hold(0, &[10_000, i64::MIN], seconds);
        assert_eq!(story.mode(0), mode, "{seconds}");
    }
    let effects = story.batch(vec![order(1, 2, 0, 1, 10_500)]);
    assert!(matches!(effects[..], [Effect::Admit { .. }]), "{effects:?}");
    second(&mut story, 10_000, vec![]);
    story.hold(0, &[10_000; 2], 3);
    assert_eq!(story.mode(0), Mode::Normal);
}

#[test]
fn a_thin_book_is_forgotten_after_a_window_and_a_deeper_one_is_news_at_once() {
    let depth = |bid, ask| Input::Depth(Depth { market: MarketId(0), bid: Size(bid), ask: Size(ask) });
    let mut params = quiet();
    params.activity.crowding = at(5_000, 10_000);
    let accounts = [account(1, RICH, &[(0, 10_000, 100)]), account(2, RICH, &[(0, -10_000, 100)])];
    let mut story = opened(params.clone(), &accounts);
    second(&mut story, 10_000, vec![depth(0, 1_000)]);
    assert_eq!(story.mode(0), Mode::ReduceOnly);
    for _ in 0..3_599 {
        second(&mut story, 10_000, vec![]);
    }
    assert_eq!(story.mode(0), Mode::ReduceOnly);
    for _ in 0..3 {
        second(&mut story, 10_000, vec![]);
    }
    assert_eq!(story.mode(0), Mode::Normal);
    // What nobody may quote is not measured: no thinner, but deeper.
    let mut story = opened(params, &accounts);
    second(&mut story, 10_000, vec![depth(50, 50)]);
    assert_eq!(story.mode(0), Mode::ReduceOnly);
    second(&mut story, 10_000, vec![depth(0, 0)]);
    second(&mut story, 10_000, vec![depth(1_000, 1_000)]);
    second(&mut story, 10_000, vec![]);
    assert!(story.mode(0) < Mode::ReduceOnly);
}

#[test]
fn two_exits_far_apart_do_not_hold_a_market_that_nobody_may_quote() {
    let mut params = quiet();
    params.activity.divergence = at(1, 3);
    params.detectors.velocity = at(3, 7);
    let mut story = opened(params, &[]);
    second(&mut story, 10_000, vec![]);
    second(&mut story, 10_800, vec![]);
    assert_eq!(story.mode(0), Mode::ReduceOnly);
    let (bid, ask) = (Price(10_790 * (USD / 100)), Price(13_000 * (USD / 100)));
    let top = Input::BookTop(BookTop { market: MarketId(0), bid, ask });
    // The velocity window, and a calm a step.
    for _ in 0..63 {
        second(&mut story, 10_800, vec![top.clone()]);
    }
    assert!(story.mode(0) < Mode::ReduceOnly, "{:?}", story.mode(0));
}

#[test]
fn two_liquidations_that_meet_are_closed_once() {
    let mut params = quiet();
    params.liquidation.fee = Ratio::ZERO;
    let mut other = quiet();
    other.open_interest_max = Size(1_000_000_000);
    let weak = |id, lots: i64| account(id, 130, &[(0, lots, 100), (1, 10_000, 100)]);
    let accounts = [weak(1, 10_000), weak(2, -10_000), account(3, RICH, &[(1, -20_000, 100)])];
    let mut story = Story { prompt: true, ..Story::new(&venue(vec![params, other]), &accounts) };
    let both = |story: &mut Story, second: i64, more: Vec<Input>| {
        story.wait(1);
        let now = story.now;
        let of = |market: u16, cents: i64| [0, 1].map(|n| observation(market, n, cents * (USD / 100), now, now));
        let seen = of(0, 10_000).into_iter().chain(of(1, second));
        let inputs = seen.chain(more).collect();
        story.batch(inputs)
    };
    for _ in 0..30 {
        both(&mut story, 10_000, vec![]);
    }
    let taken = liquidations(&both(&mut story, 9_100, vec![]));
    let [(1, sold, seller), (2, bought, buyer)] = taken[..] else { panic!("{taken:?}") };
    assert_eq!((sold, bought), (-4_555, 4_555));
    both(&mut story, 9_100, vec![trade(0, buyer, seller, 10_000, 4_555)]);
    let market = story.kernel.state().market(MarketId(0)).expect("listed");
    assert_eq!(market.activity.liquidated.total, 4_555);
}

#[test]
fn a_second_signal_takes_nothing_from_a_grace_that_waits() {
    for second in [false, true] {
        let accounts = [account(1, 400, &[(0, 40_000, 100)]), account(2, 1_000_000, &[(0, -40_000, 100)])];
        let mut story = opened(quick(3), &accounts);
        // Twenty minutes away are ten minutes of grace, from when exits are open: no source is back for nearly as long.
        story.prompt = false;
        story.wait(1_200).batch(vec![Input::Restart]);
        story.prompt = true;
        for _ in 0..590 {
            story.wait(1).batch(vec![]);
        }
        story.prompt = false;
        story.wait(1).batch(if second { vec![Input::Restart] } else { vec![] });
        story.prompt = true;
        story.hold(0, &[9_150; 3], 600);
        assert_eq!(liquidations(&story.effects), [], "{second}");
        story.hold(0, &[9_150; 3], 5);
        assert_eq!(liquidations(&story.effects).len(), 1, "{second}");
    }
}

#[test]
fn an_outage_that_is_told_of_twice_graces_nobody_who_was_in_distress_before() {
    for (told_by_chain, restart) in [(false, true), (true, false), (true, true)] {
        let accounts = [account(1, 400, &[(0, 40_000, 100)]), account(2, 1_000_000, &[(0, -40_000, 100)])];
        let mut story = opened(quick(3), &accounts);
        let health = |at: i64| chain(at, 0, 0, 0);
        let look = |story: &mut Story, more: Vec<Input>| {
            let now = story.now;
            let seen = (0..3).map(|source| observation(0, source, 9_150 * (USD / 100), now, now));
            story.batch(more.into_iter().chain(seen).collect());
        };
        let now = story.now;
        story.batch(vec![health(now)]);
        // Under maintenance for a minute, and the book takes nothing.
        for _ in 0..60 {
            let now = story.wait(1).now;
            look(&mut story, vec![health(now)]);
        }
        story.prompt = false;
        let now = story.wait(1_200).now;
        let told = [(restart, Input::Restart), (told_by_chain, health(now))];
        look(&mut story, told.into_iter().filter(|(told, _)| *told).map(|(_, input)| input).collect());
        story.prompt = true;
        // A calm's time later it goes on where it was.
        for _ in 0..30 {
            let now = story.wait(1).now;
            look(&mut story, vec![health(now)]);
        }
        let live = story.kernel.state().pools[0].accounts[&AccountId(1)].liquidation;
        assert!(live.is_some(), "{told_by_chain} {restart}");
    }
}

#[test]
fn one_block_may_be_reported_twice_and_an_older_one_may_not() {
    let mut story = opened(quick(2), &[]);
    let now = story.now;
    let report = |at: i64| chain(at, 0, 0, 0);
    let refused = |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::Rejected { .. }));
    assert!(!refused(&story.batch(vec![report(now)])));
    assert!(!refused(&story.batch(vec![report(now)])));
    assert!(refused(&story.batch(vec![report(now - 1)])));
}
