//! Where the mark is still on its way to the index, nobody trades at it as if it were there.

mod common;

use common::{Story, USD, account, insurance, liquidations, opened, order, quick, second, trade, venue, withdraw};
use kernel::margin::{Lens, risk};
use protocol::params::Tier;
use protocol::{AccountId, Effect, MarketId, MarketParams, OrderId, Reject};
use units::{Duration, Price, Ratio, Size};

const RICH: i64 = 1_000_000;

/// Two sources, quick to calm down, no detector of moves, and a mark that goes 1% a second at most.
fn slow() -> MarketParams {
    let mut params = quick(2);
    params.mark.step_max = Ratio::percent(1);
    params.order_size_max = Size(1_000_000);
    params
}

fn mark(story: &Story) -> Price {
    story.kernel.state().market(MarketId(0)).expect("listed").mark.price
}

/// Micro-USD at the mark.
fn equity(story: &Story, id: u64) -> i128 {
    let state = story.kernel.state();
    let account = &state.pools[0].accounts[&AccountId(id)];
    risk(account, |market| state.market(market), Lens::Mark).expect("priced").equity
}

#[test]
fn who_buys_at_a_mark_that_is_on_its_way_down_pays_for_the_rest_of_the_way() {
    // 100,000 USD at 99, while the index is at 90.50: 5% of it and 8,500 USD of loss.
    for (usd, refused) in [(13_449, true), (13_450, false)] {
        let mut story = opened(slow(), &[account(1, usd, &[]), account(2, RICH, &[])]);
        let effects = second(&mut story, 9_050, vec![order(1, 1, 0, 1_000_000, 9_900)]);
        assert_eq!(mark(&story), Price(99 * USD));
        let is_refused = matches!(effects[..], [Effect::Rejected { reject: Reject::Margin { .. }, .. }]);
        assert_eq!(is_refused, refused, "{usd}: {effects:?}");
    }
    // And who sells at one that is on its way up: 5% and from 100,000 on 10% of 110, and the 9 in between.
    for (usd, refused) in [(14_999, true), (15_000, false)] {
        let mut story = opened(slow(), &[account(1, usd, &[]), account(2, RICH, &[])]);
        let effects = second(&mut story, 11_000, vec![order(1, 1, 0, -1_000_000, 10_100)]);
        assert_eq!(mark(&story), Price(101 * USD));
        let is_refused = matches!(effects[..], [Effect::Rejected { reject: Reject::Margin { .. }, .. }]);
        assert_eq!(is_refused, refused, "{usd}: {effects:?}");
    }
}

#[test]
fn two_who_trade_at_the_slow_mark_take_nothing_from_the_fund() {
    let mut params = slow();
    params.tiers = vec![Tier { notional_from: 0, initial: Ratio::bps(200), maintenance: Ratio::bps(100) }];
    params.mark.step_max = Ratio::bps(80);
    params.liquidation.fee = Ratio::bps(10);
    params.funding.rate_max = Ratio::bps(5);
    assert_eq!(venue(vec![params.clone()]).envelope(), Ok(()));
    let mut story = opened(params, &[account(1, 1_990, &[]), account(2, 3_000, &[]), account(3, RICH, &[])]);
    second(&mut story, 10_000, vec![insurance(100_000)]);
    let asked = vec![order(1, 1, 0, 500_000, 9_920), order(2, 2, 0, -500_000, 9_920)];
    let effects = second(&mut story, 9_360, asked);
    let refused = |effect: &Effect| matches!(effect, Effect::Rejected { input: 2, reject: Reject::Margin { .. } });
    assert!(effects.iter().any(refused), "{effects:?}");
    second(&mut story, 9_360, vec![trade(0, OrderId(1), OrderId(2), 9_920, 500_000)]);
    for _ in 0..60 {
        second(&mut story, 9_360, vec![]);
    }
    assert_eq!(story.kernel.state().pools[0].insurance, 100_000_000_000);
    assert_eq!(equity(&story, 1) + equity(&story, 2), 4_990_000_000);
}

#[test]
fn who_leaves_at_a_mark_that_is_on_its_way_up_gives_nothing_away() {
    let mut params = slow();
    (params.mark.step_max, params.mark.step_window) = (Ratio::bps(10), Duration::seconds(10));
    params.liquidation.order_ttl = Duration::seconds(1_000);
    let held = [account(1, 40, &[(0, 10_000, 100)]), account(2, RICH, &[(0, -10_000, 100)]), account(3, 1_000, &[])];
    let mut story = opened(params, &held);
    second(&mut story, 10_000, vec![insurance(1_000)]);
    // Nearly insolvent at 95.50.
    while mark(&story) != Price(9_550 * (USD / 100)) {
        second(&mut story, 9_550, vec![]);
    }
    assert!(!liquidations(&story.effects).is_empty());
    // The index is at 103, where it is worth 70: it may sell to an accomplice, but not for what the mark says.
    let effects = second(&mut story, 10_300, vec![order(1, 1, 0, -10_000, 1), order(2, 3, 0, 10_000, 10_300)]);
    let limit = effects.iter().find_map(|effect| match effect {
        Effect::Admit { order } if order.size.0 < 0 => Some(order.limit),
        _ => None,
    });
    // Its equity at the mark is gone, so it gives none of it away: what the market pays is enough.
    assert!(equity(&story, 1) < 0, "{}", equity(&story, 1));
    assert_eq!(limit, Some(Price(103 * USD)));
}

#[test]
fn what_a_short_may_take_out_is_counted_where_the_mark_is_going() {
    // 10,000 lots short from 100: at 109 they have lost 90 USD and need 54.50.
    let held = [account(1, 1_000, &[(0, -10_000, 100)]), account(2, RICH, &[(0, 10_000, 100)])];
    for (usd, paid) in [(856, false), (855, true)] {
        let mut story = opened(slow(), &held);
        let effects = second(&mut story, 10_900, vec![withdraw(1, usd)]);
        assert_eq!(mark(&story), Price(101 * USD));
        assert_eq!(effects.iter().any(|effect| matches!(effect, Effect::PayOut { .. })), paid, "{usd}: {effects:?}");
    }
}
