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

#[test]
fn each_delivery_is_carried_out_once_and_in_order() {
    let home = tempfile::tempdir().unwrap();
    let mut guard = open(home.path());
    let first = delivery(5, 0, 7, vec![turned(3, Mode::Halted, Mode::Normal), turned(4, Mode::Halted, Mode::Cautious)]);
    let behind_first = Standing { epoch: 5, height: 7, record: [7; 32] };
    assert_eq!(guard.deliver(&first).unwrap(), Ok(behind_first));
    // Again it is acknowledged, and not carried out.
    assert_eq!(guard.deliver(&first).unwrap(), Ok(behind_first));
    assert_eq!(guard.carried().0, 2);
    let other = Delivery { record: [8; 32], ..first.clone() };
    assert!(matches!(guard.deliver(&other).unwrap(), Err(SinkFault::Refused(why)) if why.contains("another record")));
    let gap = delivery(5, 8, 9, vec![turned(3, Mode::Normal, Mode::Halted)]);
    assert!(
        matches!(guard.deliver(&gap).unwrap(), Err(SinkFault::Refused(why)) if why.contains("follows 8, and this side is at 7"))
    );
    let stale = delivery(4, 7, 9, vec![turned(3, Mode::Normal, Mode::Halted)]);
    assert_eq!(guard.deliver(&stale).unwrap(), Err(SinkFault::Fenced { epoch: 5 }));
    assert_eq!(guard.standing(), behind_first);

    let second = delivery(6, 7, 9, vec![turned(3, Mode::Normal, Mode::ReduceOnly)]);
    guard.deliver(&second).unwrap().unwrap();
    // What comes late from the life before is too late, also where it would only repeat.
    assert_eq!(guard.deliver(&first).unwrap(), Err(SinkFault::Fenced { epoch: 6 }));
    let digest = Guard::digest(&Guard::digest(&[0; 32], 7, &first.effects), 9, &second.effects);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(guard.carried(), (3, digest.as_str()));
    // After a stop it is where it was.
    drop(guard);
    let guard = open(home.path());
    assert_eq!(
        (guard.standing(), guard.carried()),
        (Standing { epoch: 6, height: 9, record: [9; 32] }, (3, digest.as_str()))
    );
    assert_eq!(guard.in_force(MARKET, Instant::now()).wanted, Mode::ReduceOnly);
}

#[test]
fn without_a_lease_nothing_opens_and_everything_else_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let mut guard = open(home.path());
    let now = Instant::now();
    assert_eq!(guard.in_force(MARKET, now).mode, Mode::Halted, "nothing was heard of it");
    guard
        .deliver(&delivery(1, 0, 1, vec![turned(3, Mode::Halted, Mode::Normal), turned(4, Mode::Normal, Mode::Halted)]))
        .unwrap()
        .unwrap();
    assert_eq!(guard.in_force(MARKET, now).mode, Mode::ReduceOnly, "nobody renewed a lease");
    guard.renew(1, Duration::from_secs(10), now).unwrap().unwrap();
    let at = |millis: u64| now + Duration::from_millis(millis);
    for (millis, mode, opens) in
        [(0, Mode::Normal, true), (9_999, Mode::Normal, true), (10_000, Mode::ReduceOnly, false)]
    {
        assert_eq!(
            (guard.in_force(MARKET, at(millis)).mode, guard.permits(MARKET, Action::Open, Side::Long, at(millis))),
            (mode, opens),
            "{millis}"
        );
        // Exits are never gated by a lease.
        for action in
            [Action::Deposit, Action::Cancel, Action::Reduce, Action::LiquidateSolvent, Action::LiquidateInsolvent]
        {
            assert!(guard.permits(MARKET, action, Side::Short, at(millis)), "{action:?} at {millis}");
        }
        assert_eq!(guard.in_force(MarketId(4), at(millis)).mode, Mode::Halted, "what was stricter stays so");
    }
    assert_eq!(guard.in_force(MARKET, at(10_000)).wanted, Mode::Normal);
    // A lease of a life that is over is none, and one of a new life ends what the old one may do.
    guard.renew(2, Duration::from_secs(10), at(20_000)).unwrap().unwrap();
    assert_eq!(guard.renew(1, Duration::from_secs(10), at(20_001)).unwrap(), Err(SinkFault::Fenced { epoch: 2 }));
    assert_eq!(
        guard.deliver(&delivery(1, 1, 2, vec![turned(3, Mode::Normal, Mode::Halted)])).unwrap(),
        Err(SinkFault::Fenced { epoch: 2 })
    );
    assert!(guard.renew(2, Duration::from_secs(600), now).unwrap().is_ok());
    assert!(matches!(guard.renew(2, Duration::from_secs(601), now).unwrap(), Err(SinkFault::Refused(_))));
    // A life that only renewed is remembered, too; its lease is not.
    drop(guard);
    let guard = open(home.path());
    assert_eq!((guard.standing().epoch, guard.lease(now)), (2, None));
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
        "{\"epoch\":1,\"height\":1,\"record\":\"00\",\"carried\":1,\"digest\":\"\",\"modes\":{}}",
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
    let first = delivery(1, 0, 1, vec![turned(3, Mode::Halted, Mode::Normal)]);
    guard.deliver(&first).unwrap().unwrap();
    // The directory is gone, as far as anybody can write there.
    std::fs::remove_dir_all(home.path()).unwrap();
    let second = delivery(1, 1, 2, vec![turned(3, Mode::Normal, Mode::Halted)]);
    assert!(guard.deliver(&second).is_err());
    assert_eq!(guard.standing().height, 1);
}
