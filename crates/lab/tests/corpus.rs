//! Every bundled incident, replayed as `seawall replay --all` does: what had to trip by when, and what must not have
//! happened. Where the policy is not better than the competent baseline, its line says so first.

use lab::feed::time::{format_time, parse_instant};
use lab::feed::{Feed, FeedOptions};
use lab::incident::corpus::{Cost, Row};
use lab::incident::{self, Listed};
use lab::replay::accounts::AccountsFrom;
use lab::replay::outcome::{MarketOutcome, Outcome, TimelineEntry};
use lab::replay::{Options, replay};
use policy::Policy;

const DEFAULT: &str = include_str!("../../../policies/default.toml");
const COMPETENT: &str = include_str!("../../../policies/competent.toml");

fn options() -> Options {
    Options {
        title: String::new(),
        policy: Policy::parse(DEFAULT, "default").expect("the shipped policy is well formed"),
        competent: Policy::parse(COMPETENT, "competent").expect("the shipped policy is well formed"),
        accounts: AccountsFrom::Drawn { per_market: 250, seed: 1 },
        insurance_usd: None,
        volume_assumed_usd: 100_000.0,
        venue: None,
        single: true,
        sensitivity: false,
        chart_points: 1,
        threads: 2,
    }
}

/// As the command does it.
fn replayed(id: &str) -> (Row, Outcome) {
    let made = incident::materialise(id).expect(id);
    let feed = Feed::open(&FeedOptions::new(made.bars.clone(), vec![])).expect(id);
    let options = Options { venue: made.incident.about.venue_rule.clone(), ..options() };
    let outcome = replay(&feed, &options, &|_, _| {}).expect(id);
    (Row::of(&made.incident, &outcome), outcome)
}

/// What a line of the table says, in short.
fn line(row: &Row) -> String {
    let cost = |cost: &Cost| format!("{} {}-{} {:.0}", cost.name, cost.liquidated, cost.unjustified, cost.bad_debt_usd);
    let worst = row.worst_single.as_ref().filter(|worst| 0 < worst.liquidated).map_or(String::new(), cost);
    let first = row.reduce_only_first.map_or("never".to_owned(), format_time);
    let first =
        first.split(['T', '.']).nth(1).map_or("never".to_owned(), |clock| clock.trim_end_matches('Z').to_owned());
    let (policy, competent) = (cost(&row.policy), cost(&row.competent));
    let strict = row.reduce_only_seconds;
    format!("{:?}; {policy}; {competent}; {worst}; strict {strict:.0} s from {first}", row.verdict)
}

struct Replayed {
    row: Row,
    outcome: Outcome,
}

/// Replays an incident and compares its line: verdict; then of each run the accounts liquidated, of those the
/// unjustified, and losses in USD.
#[track_caller]
fn check(id: &str, want: &str) -> Replayed {
    let (row, outcome) = replayed(id);
    assert_eq!(line(&row), want, "{id}");
    assert_eq!(row.invariants_broken, 0, "{id}");
    Replayed { row, outcome }
}

fn time(text: &str) -> i64 {
    parse_instant(text).expect("a time")
}

impl Replayed {
    fn market(&self, name: &str) -> &MarketOutcome {
        self.outcome.markets.iter().find(|market| market.market == name).expect("a market of this name")
    }

    /// The mode in which a market stands at a time.
    #[track_caller]
    fn stands(&self, market: &str, at: &str, mode: &str) {
        let modes = &self.market(market).series.modes;
        let found = modes.iter().rfind(|(from, _)| *from <= time(at)).map(|(_, mode)| mode.as_str());
        assert_eq!(found, Some(mode), "{market} at {at}");
    }

    /// The state of a market's index at a time.
    #[track_caller]
    fn index_is(&self, market: &str, at: &str, state: &str) {
        let own = |entry: &&TimelineEntry| entry.kind == "quality" && entry.market == market && entry.at <= time(at);
        let found = self.outcome.timeline.iter().rfind(own).map(|entry| entry.text.as_str());
        assert!(found.is_some_and(|text| text.starts_with(&format!("index {state},"))), "{market} at {at}: {found:?}");
    }

    /// A source is left out of a market's index for a reason, at a time.
    #[track_caller]
    fn leaves_out(&self, market: &str, source: &str, at: &str, why: &str) {
        let number = self.market(market).sources.iter().position(|name| name == source).expect("a source of this name");
        let own = |entry: &&TimelineEntry| {
            entry.kind == "source" && entry.market == market && entry.text.starts_with(&format!("source {number} "))
        };
        let mut entries = self.outcome.timeline.iter().filter(|entry| entry.at <= time(at));
        let found = entries.rfind(own).map(|entry| entry.text.clone());
        assert_eq!(found, Some(format!("source {number} is left out: {why}")), "{source} of {market} at {at}");
    }

    /// Nobody is liquidated or deleveraged in a market from a time until another.
    #[track_caller]
    fn spares(&self, market: &str, from: &str, until: &str) {
        let taken = |entry: &&TimelineEntry| matches!(entry.kind, "liquidation" | "adl") && entry.market == market;
        let within = |entry: &&TimelineEntry| time(from) <= entry.at && entry.at < time(until);
        let found = self.outcome.timeline.iter().filter(taken).find(within);
        assert!(found.is_none(), "{market}: {found:?}");
    }

    /// The run with this source as the only oracle: accounts liquidated, and of those unjustified.
    fn alone(&self, source: &str) -> (u64, u64) {
        let totals =
            self.outcome.runs.single.iter().find(|totals| totals.name == source).expect("a run of this source");
        (totals.liquidated_accounts, totals.unjustified_liquidations)
    }
}

#[test]
fn every_incident_loads_with_its_points_in_order_and_inside_its_window() {
    let listed = incident::list().expect("all can be read");
    assert_eq!(listed.len(), 18);
    for Listed { id, title, share } in listed {
        let incident = incident::load(&id).expect("it was listed");
        assert_eq!((incident.about.title.as_str(), incident.share()), (title.as_str(), share), "{id}");
        // I-17's headline level of the afternoon is where its first path begins.
        let before = incident.points.iter().filter(|point| point.at < incident.from).count();
        assert_eq!(before, usize::from(id == "I-17"), "{id}");
        assert!(incident.points.iter().all(|point| point.at <= incident.to), "{id}");
        for series in 0..incident.about.series.len() {
            let own: Vec<i64> = incident.points.iter().filter(|p| p.series == series).map(|p| p.at).collect();
            assert!(2 <= own.len() && own.is_sorted_by(|a, b| a < b), "{id}: series {series}");
        }
        let bars = incident::expand(&incident);
        assert!(1_000 <= bars.len() && bars.len() <= 60_000, "{id}: {} bars", bars.len());
        assert!(0 < share.stated && share.stated < share.points, "{id}: {share}");
        assert!(!incident.about.should_have_tripped.is_empty() && !incident.about.facts.is_empty(), "{id}");
        for citation in &incident.about.citations {
            let used = |text: &str| text.split(':').next() == Some(citation.key.as_str());
            let points = incident.points.iter().any(|point| used(&point.citation));
            let facts = incident.about.facts.iter().any(|fact| fact.citation == citation.key);
            assert!(
                points || facts || REFERRED.contains(&(id.as_str(), citation.key.as_str())),
                "{id}: {}",
                citation.key
            );
        }
    }
}

#[test]
fn the_list_of_incidents_says_each_share() {
    let list = include_str!("../../../incidents/README.md");
    for Listed { id, share, .. } in incident::list().expect("all can be read") {
        let line = list.lines().find(|line| line.starts_with(&format!("| {id} |"))).expect("a line of this incident");
        assert!(line.contains(&format!("| {} of {} |", share.stated, share.points)), "{line}");
    }
}

/// Cited for what the summaries say.
const REFERRED: [(&str, &str); 11] = [
    ("I-01", "cosimo"),
    ("I-04", "rekt"),
    ("I-04", "cryptonews"),
    ("I-06", "chaincatcher"),
    ("I-08", "infotrend"),
    ("I-11", "web3"),
    ("I-14", "cryptonews"),
    ("I-23", "perps"),
    ("I-17", "onchain"),
    ("I-17", "square"),
    ("I-17", "summary"),
];

#[test]
fn i_01_a_rate_a_thousand_times_too_high_moves_nobody_and_the_mean_of_two_ruins_the_baseline() {
    let ours = check(
        "I-01",
        "Better; policy 0-0 0; competent 93-0 11916634511; apib 93-0 23839757866; strict 2400 s from 17:00:00",
    );
    ours.spares("KRW", "2019-06-24T16:40:00Z", "2019-06-24T18:20:00Z");
    for at in ["2019-06-24T17:00:01Z", "2019-06-24T17:05:00Z", "2019-06-24T17:13:00Z", "2019-06-24T17:30:00Z"] {
        ours.stands("KRW", at, "ReduceOnly");
    }
    ours.leaves_out("KRW", "apib", "2019-06-24T17:00:01Z", "Jump");
    ours.index_is("KRW", "2019-06-24T17:05:00Z", "Disputed");
}

#[test]
fn i_03_dai_at_1_30_liquidates_nobody() {
    let ours =
        check("I-03", "Better; policy 0-0 0; competent 43-0 8057; coinbase 68-68 44555; strict 3384 s from 08:05:52");
    ours.spares("DAI", "2020-11-26T07:40:00Z", "2020-11-26T09:30:00Z");
    ours.stands("DAI", "2020-11-26T08:18:00Z", "ReduceOnly");
    ours.stands("DAI", "2020-11-26T08:23:00Z", "ReduceOnly");
    assert_eq!(ours.alone("coinbase"), (68, 68));
}

#[test]
fn i_04_a_feed_at_its_least_price_does_not_hold_the_index_there() {
    let ours =
        check("I-04", "Worse; policy 153-47 0; competent 153-1 0; chainlink 103-0 73; strict 20566 s from 08:17:15");
    // A venue with that feed alone never sees a third of those who fell.
    assert_eq!(ours.alone("chainlink").0, 103);
    let window = &ours.market("LUNA").arbitrage_window;
    assert!(window.max_bps < 50.0, "{window:?}");
    ours.stands("LUNA", "2022-05-12T09:10:00Z", "ReduceOnly");
    ours.index_is("LUNA", "2022-05-12T13:51:00Z", "Agreed");
}

#[test]
fn i_05_the_fall_is_paid_by_the_accounts_themselves() {
    let ours = check("I-05", "Same; policy 155-0 0; competent 155-0 0; ftx 155-153 0; strict 30780 s from 04:57:00");
    ours.stands("LUNA", "2022-05-11T12:50:00Z", "ReduceOnly");
}

#[test]
fn i_06_a_slow_fall_is_no_alarm_and_par_is_left_out() {
    let ours = check("I-06", "Worse; policy 12-12 0; competent 11-0 0; ftx 13-13 0; strict 420 s from 00:08:06");
    ours.leaves_out("STETH", "par", "2022-06-07T00:14:00Z", "Overruled");
    ours.leaves_out("STETH", "par", "2022-06-12T00:00:00Z", "Overruled");
    let modes = &ours.market("STETH").series.modes;
    assert_eq!(modes.last(), Some(&(time("2022-06-07T00:17:06.315Z"), "Normal".to_owned())));
    // A venue that takes one for one sees no fall, and nobody who fell.
    assert_eq!(ours.alone("par"), (0, 0));
}

#[test]
fn i_08_a_pump_on_three_books_is_reduce_only_before_the_oracle_has_moved_far() {
    let ours = check(
        "I-08",
        "Better; policy 141-0 1949873; competent 93-0 207220928; mango 93-30 10306247; strict 2378 s from 22:25:22",
    );
    for at in ["2022-10-11T22:26:00Z", "2022-10-11T22:27:00Z", "2022-10-11T22:36:00Z", "2022-10-11T22:45:00Z"] {
        ours.stands("MNGO", at, "ReduceOnly");
    }
    ours.index_is("MNGO", "2022-10-11T22:36:00Z", "Disputed");
    ours.spares("MNGO", "2022-10-11T22:26:10Z", "2022-10-11T22:55:00Z");
}

#[test]
fn i_09_the_fall_that_all_show_is_believed_and_tether_at_1_15_on_one_is_not() {
    let ours =
        check("I-09", "Worse; policy 137-40 4385; competent 137-37 0; uniswap 138-134 0; strict 39180 s from 01:10:57");
    assert_eq!(ours.market("USDT").liquidated, [0, 0]);
    ours.leaves_out("USDT", "curve", "2023-03-11T07:30:00Z", "Overruled");
    assert_eq!(ours.market("USDC").liquidated, [66, 66]);
    ours.stands("USDC", "2023-03-11T07:20:00Z", "ReduceOnly");
    assert_eq!(ours.alone("curve"), (57, 57));
}

#[test]
fn i_11_a_fall_on_every_venue_is_reduce_only_and_liquidates_as_many_as_the_median() {
    let ours = check(
        "I-11",
        "Better; policy 123-2 18640; competent 123-3 33143; binance 123-26 46473; strict 13996 s from 19:06:44",
    );
    ours.stands("YFI", "2023-11-17T19:09:00Z", "ReduceOnly");
    ours.stands("YFI", "2023-11-17T20:08:00Z", "ReduceOnly");
}

#[test]
fn i_14_where_no_price_is_wrong_nothing_trips() {
    let ours = check("I-14", "Same; policy 0-0 0; competent 0-0 0; ; strict 0 s from never");
    assert_eq!(ours.market("ETH").series.modes.last().map(|(_, mode)| mode.as_str()), Some("Normal"));
}

#[test]
fn i_15_the_settlement_price_of_one_venue_liquidates_nobody() {
    let ours =
        check("I-15", "Better; policy 93-0 52983; competent 93-0 78863; gate 93-4 99814; strict 9467 s from 13:07:13");
    ours.stands("JELLY", "2025-03-26T13:20:00Z", "ReduceOnly");
    ours.leaves_out("JELLY", "hyperliquid", "2025-03-26T15:15:01Z", "Jump");
    ours.spares("JELLY", "2025-03-26T15:14:00Z", "2025-03-26T16:00:00Z");
}

#[test]
fn i_16_neither_100_nor_10000_liquidates_anybody() {
    let ours = check("I-16", "Same; policy 0-0 0; competent 0-0 0; kiloex 157-157 16128180; strict 0 s from never");
    for minute in ["18:52", "19:04"] {
        ours.leaves_out("ETH", "kiloex", &format!("2025-04-14T{minute}:03.5Z"), "Jump");
    }
    ours.index_is("ETH", "2025-04-14T18:52:03Z", "Agreed");
}

#[test]
fn i_17_is_what_it_was() {
    let ours = check(
        "I-17",
        "Better; policy 449-0 139702; competent 478-21 332919; binance 394-335 1116318; strict 2949 s from 21:10:51",
    );
    let digest = &ours.row.policy.effects_digest;
    assert!(digest.starts_with("203d4a400e69"), "{digest}");
    ours.spares("ATOM", "2025-10-10T21:37:08Z", "2025-10-10T21:37:14Z");
}

#[test]
fn i_18_the_books_of_one_venue_liquidate_nobody() {
    let ours = check(
        "I-18",
        "Better; policy 10-0 0; competent 222-0 1428918; binance 409-409 864432; strict 2593 s from 21:32:45",
    );
    assert_eq!(ours.market("USDE").liquidated, [0, 0]);
    for market in ["USDE", "WBETH", "BNSOL"] {
        ours.stands(market, "2025-10-10T21:41:00Z", "ReduceOnly");
        ours.stands(market, "2025-10-10T21:54:00Z", "ReduceOnly");
        ours.spares(market, "2025-10-10T21:26:00Z", "2025-10-10T22:15:00Z");
    }
    ours.index_is("WBETH", "2025-10-10T21:40:30Z", "Disputed");
}

#[test]
fn i_19_a_chain_that_comes_back_stale_liquidates_nobody() {
    let ours = check("I-19", "Same; policy 99-0 0; competent 101-0 0; binance 127-127 0; strict 180 s from 04:16:10");
    for market in ["BTC", "ETH"] {
        ours.spares(market, "2025-10-11T04:00:00Z", "2025-10-11T05:00:00Z");
        ours.index_is(market, "2025-10-11T04:10:00Z", "Agreed");
    }
    assert_eq!(ours.alone("dydx").1, 59);
}

#[test]
fn i_21_a_millionfold_liquidates_nobody() {
    let ours = check(
        "I-21",
        "Same; policy 0-0 0; competent 0-0 0; chainlink 93-93 37262034156535; strict 122 s from 05:45:13",
    );
    ours.leaves_out("WRSETH", "chainlink", "2025-11-04T05:45:14Z", "Jump");
    ours.stands("WRSETH", "2025-11-04T05:45:14Z", "ReduceOnly");
    ours.leaves_out("WRSETH", "chainlink", "2025-11-04T05:57:00Z", "Overruled");
}

#[test]
fn i_22_the_fall_is_reduce_only_before_the_wall_ends() {
    let ours = check(
        "I-22",
        "Better; policy 107-0 22077; competent 117-13 66381; hyperliquid 118-22 82679; strict 5742 s from 13:50:34",
    );
    ours.stands("POPCAT", "2025-11-12T14:27:00Z", "ReduceOnly");
    ours.stands("POPCAT", "2025-11-12T14:29:00Z", "ReduceOnly");
}

#[test]
fn i_23_a_price_of_zero_is_listed_and_decides_nothing() {
    let ours = check("I-23", "Same; policy 0-0 0; competent 0-0 0; ; strict 0 s from never");
    // The seconds at zero with a trade, and the bar that falls to it.
    assert_eq!(ours.row.listed, 35);
    ours.index_is("BTC", "2026-01-19T05:02:20Z", "Agreed");
    ours.stands("BTC", "2026-01-19T05:02:20Z", "Normal");
}

#[test]
fn i_24_a_venue_s_own_cap_is_overruled() {
    let ours = check("I-24", "Same; policy 0-0 0; competent 0-0 0; aave 3-3 0; strict 120 s from 11:00:02");
    ours.index_is("WSTETH", "2026-03-10T11:00:03Z", "Disputed");
    ours.stands("WSTETH", "2026-03-10T11:00:03Z", "ReduceOnly");
    ours.leaves_out("WSTETH", "aave", "2026-03-10T11:30:00Z", "Overruled");
}

/// What an incident costs by the rule of the venue that it happened to: accounts liquidated, of those unjustified, and USD.
#[test]
fn by_the_venue_s_own_rule_its_own_loss_happens() {
    let of = |id: &str| {
        let (row, _) = replayed(id);
        row.venue.map(|venue| (venue.liquidated, venue.unjustified, venue.bad_debt_usd.round() as i64))
    };
    // The mean of two feeds, one of them a thousand times too high; the one exchange that was believed; whatever anybody said.
    assert_eq!(of("I-01"), Some((93, 0, 7_942_199_453)));
    assert_eq!(of("I-03"), Some((68, 68, 44_555)));
    assert_eq!(of("I-16"), Some((157, 157, 16_128_180)));
    // A median of exchanges is the baseline's price without its halt.
    assert_eq!(of("I-11"), Some((123, 3, 33_143)));
    // It happened to several.
    assert_eq!(of("I-09"), None);
}
