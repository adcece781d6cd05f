//! A guard on a real directory.

use guard::Guard;
use port::{Delivery, SinkFault, Standing};
use protocol::{Action, Effect, MarketId, Mode, Restriction, Side};
use std::path::Path;
use std::time::{Duration, Instant};

fn turned(market: u16, from: Mode, to: Mode) -> Effect {
    Effect::Mode { market: MarketId(market), from, to, restriction: Restriction::of(to), causes: 1 }
}

fn delivery(epoch: u64, previous: u64, height: u64, effects: Vec<Effect>) -> Delivery {
    Delivery { epoch, height, previous, record: [u8::try_from(height).unwrap(); 32], effects }
}

fn open(home: &Path) -> Guard {
    Guard::open(home).unwrap()
}

const MARKET: MarketId = MarketId(3);

/// A life of a node that begins where the guard is.
fn claimed(guard: &mut Guard) -> u64 {
    let at = guard.standing();
    guard.claim(&at).unwrap().unwrap().epoch
}

fn refused(answer: Result<Standing, SinkFault>, with: &str) {
    assert!(matches!(&answer, Err(SinkFault::Refused(why)) if why.contains(with)), "{answer:?}");
}

#[test]
fn each_delivery_is_carried_out_once_and_in_order() {
    let home = tempfile::tempdir().unwrap();
    let mut guard = open(home.path());
    let effects = vec![turned(3, Mode::Halted, Mode::Normal), turned(4, Mode::Halted, Mode::Cautious)];
    refused(guard.deliver(&delivery(1, 0, 7, effects.clone())).unwrap(), "nobody was given the epoch 1");
    assert_eq!(claimed(&mut guard), 1);
    let first = delivery(1, 0, 7, effects);
    let behind_first = Standing { epoch: 1, height: 7, record: [7; 32] };
    assert_eq!(guard.deliver(&first).unwrap(), Ok(behind_first));
    // Again it is acknowledged, and not carried out.
    assert_eq!(guard.deliver(&first).unwrap(), Ok(behind_first));
    assert_eq!(guard.carried().0, 2);
    refused(guard.deliver(&Delivery { record: [8; 32], ..first.clone() }).unwrap(), "this side is at 7");
    // Lower than what was carried out, as another history has it.
    refused(guard.deliver(&delivery(1, 0, 6, first.effects.clone())).unwrap(), "this side is at 7");
    refused(guard.deliver(&delivery(1, 8, 9, first.effects.clone())).unwrap(), "follows 8, and this side is at 7");
    refused(guard.deliver(&delivery(1, 0, 9, first.effects.clone())).unwrap(), "follows 0, and this side is at 7");
    assert_eq!(guard.standing(), behind_first);

    assert_eq!(claimed(&mut guard), 2);
    let second = delivery(2, 7, 9, vec![turned(3, Mode::Normal, Mode::ReduceOnly)]);
    guard.deliver(&second).unwrap().unwrap();
    // What comes late from the life before is too late, also where it would only repeat.
    assert_eq!(guard.deliver(&first).unwrap(), Err(SinkFault::Fenced { epoch: 2 }));
    // A word of how far the node came carries nothing out.
    guard.deliver(&delivery(2, 9, 12, Vec::new())).unwrap().unwrap();
    let digest = Guard::digest(&Guard::digest(&[0; 32], 7, &first.effects), 9, &second.effects);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(guard.carried(), (3, digest.as_str()));
    // After a stop it is where it was.
    drop(guard);
    let guard = open(home.path());
    let standing = Standing { epoch: 2, height: 12, record: [12; 32] };
    assert_eq!((guard.standing(), guard.carried()), (standing, (3, digest.as_str())));
    assert_eq!(guard.in_force(MARKET, Instant::now()).wanted, Mode::ReduceOnly);
}

#[test]
fn two_lives_have_two_epochs_wherever_they_began() {
    let home = tempfile::tempdir().unwrap();
    let mut guard = open(home.path());
    // Two copies of one journal: the one that claims last is obeyed.
    let (first, second) = (claimed(&mut guard), claimed(&mut guard));
    assert!(first < second);
    let now = Instant::now();
    guard.renew(second, Duration::from_secs(10), now).unwrap();
    assert_eq!(guard.renew(first, Duration::from_secs(10), now), Err(SinkFault::Fenced { epoch: second }));
    let sent = |epoch| delivery(epoch, 0, 1, vec![turned(3, Mode::Halted, Mode::Normal)]);
    assert_eq!(guard.deliver(&sent(first)).unwrap(), Err(SinkFault::Fenced { epoch: second }));
    guard.deliver(&sent(second)).unwrap().unwrap();
    // One that saw the guard elsewhere is not let in, and nobody is fenced by it.
    refused(guard.claim(&Standing::default()).unwrap(), "came to height 1 meanwhile");
    refused(guard.claim(&Standing { record: [9; 32], ..guard.standing() }).unwrap(), "meanwhile");
    assert_eq!(guard.standing().epoch, second);
    // A claim ends the lease of whoever had one.
    assert!(guard.lease(now).is_some());
    claimed(&mut guard);
    assert_eq!(guard.lease(now), None);
}

#[test]
fn without_a_lease_nothing_opens_and_everything_else_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let mut guard = open(home.path());
    let now = Instant::now();
    assert_eq!(guard.in_force(MARKET, now).mode, Mode::Halted, "nothing was heard of it");
    let epoch = claimed(&mut guard);
    let modes = vec![turned(3, Mode::Halted, Mode::Normal), turned(4, Mode::Normal, Mode::Halted)];
    guard.deliver(&delivery(epoch, 0, 1, modes)).unwrap().unwrap();
    assert_eq!(guard.in_force(MARKET, now).mode, Mode::ReduceOnly, "nobody renewed a lease");
    guard.renew(epoch, Duration::from_secs(10), now).unwrap();
    let at = |millis: u64| now + Duration::from_millis(millis);
    for (millis, mode, opens) in
        [(0, Mode::Normal, true), (9_999, Mode::Normal, true), (10_000, Mode::ReduceOnly, false)]
    {
        let found =
            (guard.in_force(MARKET, at(millis)).mode, guard.permits(MARKET, Action::Open, Side::Long, at(millis)));
        assert_eq!(found, (mode, opens), "{millis}");
        // Exits are never gated by a lease.
        for action in
            [Action::Deposit, Action::Cancel, Action::Reduce, Action::LiquidateSolvent, Action::LiquidateInsolvent]
        {
            assert!(guard.permits(MARKET, action, Side::Short, at(millis)), "{action:?} at {millis}");
        }
        assert_eq!(guard.in_force(MarketId(4), at(millis)).mode, Mode::Halted, "what was stricter stays so");
    }
    assert_eq!(guard.in_force(MARKET, at(10_000)).wanted, Mode::Normal);
    assert!(guard.renew(epoch, Duration::from_secs(600), now).is_ok());
    refused(guard.renew(epoch, Duration::from_secs(601), now), "at most 600 s");
    // A lease is not kept: whoever comes back hears from a node first.
    drop(guard);
    let guard = open(home.path());
    assert_eq!((guard.standing().epoch, guard.lease(now)), (epoch, None));
}

#[test]
fn what_was_decided_is_there_for_the_venue_by_height_and_place() {
    let home = tempfile::tempdir().unwrap();
    let mut guard = open(home.path());
    let epoch = claimed(&mut guard);
    // More than the index has lines between two of its places.
    for n in 1..=600_u64 {
        let sent = Delivery {
            epoch,
            height: n * 2,
            previous: (n - 1) * 2,
            record: [1; 32],
            effects: vec![turned(3, Mode::Normal, Mode::Cautious); 1 + (n % 3) as usize],
        };
        guard.deliver(&sent).unwrap().unwrap();
    }
    let heights = |guard: &Guard, after, most| {
        let (lines, more) = guard.effects(after, most).unwrap();
        let height =
            |line: &String| serde_json::from_str::<serde_json::Value>(line).unwrap()["height"].as_u64().unwrap();
        (lines.iter().map(height).collect::<Vec<_>>(), more)
    };
    let check = |guard: &Guard| {
        for after in [0, 1, 2, 511, 512, 513, 514, 1_024, 1_025, 1_190] {
            let expected: Vec<u64> = (1..=600).map(|n| n * 2).filter(|height| after < *height).take(7).collect();
            let more = expected.last().is_some_and(|last| *last < 1_200);
            assert_eq!(heights(guard, after, 7), (expected, more), "after {after}");
        }
        assert_eq!(heights(guard, 1_200, 7), (vec![], false));
        assert_eq!(heights(guard, 0, 600).0.len(), 600);
    };
    check(&guard);
    let (lines, _) = guard.effects(0, 2).unwrap();
    let line: serde_json::Value = serde_json::from_str(&lines[1]).unwrap();
    assert_eq!(line["effects"].as_array().unwrap().len(), 3);
    let bytes = port::words::unhex_all(line["effects"][2]["bytes"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&line["effects"][2]["n"], codec::from_bytes(&bytes)),
        (&2.into(), Ok(turned(3, Mode::Normal, Mode::Cautious)))
    );
    // What a crash left behind what counts was never acknowledged, and is gone; what is missing before it is told.
    drop(guard);
    let log = home.path().join("deliveries.jsonl");
    let whole = std::fs::read(&log).unwrap();
    std::fs::write(&log, [whole.as_slice(), b"{\"height\":1202,\"eff"].concat()).unwrap();
    let guard = open(home.path());
    check(&guard);
    drop(guard);
    assert_eq!(std::fs::read(&log).unwrap(), whole);
    std::fs::write(&log, &whole[..whole.len() - 1]).unwrap();
    let told = Guard::open(home.path()).unwrap_err().to_string();
    assert!(told.contains("deliveries.jsonl") && told.contains("were carried out"), "{told}");
}

#[test]
fn two_at_once_and_what_is_no_guards_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let guard = open(home.path());
    assert!(Guard::open(home.path()).unwrap_err().to_string().contains("another guard runs there"));
    drop(guard);
    for text in [
        "",
        "{",
        "{\"epoch\": 1}",
        "{\"epoch\":1,\"height\":1,\"record\":\"00\",\"carried\":1,\"digest\":\"\",\"log_bytes\":0,\"modes\":{}}",
    ] {
        std::fs::write(home.path().join("guard.json"), text).unwrap();
        let told = Guard::open(home.path()).unwrap_err().to_string();
        assert!(told.contains("guard.json") && told.contains("put back"), "{told}");
    }
}

#[test]
fn a_disk_that_fails_ends_it_and_it_has_not_moved() {
    let home = tempfile::tempdir().unwrap();
    let mut guard = open(home.path());
    claimed(&mut guard);
    let first = delivery(1, 0, 1, vec![turned(3, Mode::Halted, Mode::Normal)]);
    guard.deliver(&first).unwrap().unwrap();
    // The directory is gone, as far as anybody can write there.
    std::fs::remove_dir_all(home.path()).unwrap();
    let second = delivery(1, 1, 2, vec![turned(3, Mode::Normal, Mode::Halted)]);
    assert!(guard.deliver(&second).is_err());
    assert_eq!(guard.standing().height, 1);
}
