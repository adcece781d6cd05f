//! What is written is read back, and what is read is written back, for every type.

use crate::dice::{Dice, Draw};
use codec::{Canonical, HashSink, Reader, Sink, from_bytes, hash, layout, to_bytes};
use proptest::prelude::*;
use protocol::direction::Direction;
use protocol::effect::{AdmittedOrder, Effect};
use protocol::governance::{Act, Change, Governed, MarketSetting, PoolSetting, Refusal, Role, Void};
use protocol::ids::{AccountId, LineageId, MarketId, OrderId, PoolId, SourceId};
use protocol::input::{
    BookTop, Buy, Cancel, ChainHealth, Collateral, Depth, Funding, Input, InsuranceDeposit, Isolate, Observation,
    Order, OrderDone, Redenomination, Session, Trade, Transfer,
};
use protocol::mode::{Action, Mode};
use protocol::params::{
    ActivityParams, BreakerParams, ChainParams, CollateralParams, DetectorParams, FundingParams, LiquidationParams,
    MarkParams, MarketParams, OracleParams, PoolParams, SourceParams, Thresholds, Tier, VenueParams,
};
use protocol::quality::{Exclusion, PriceQuality, QualityState, Rung};
use protocol::reject::Reject;
use protocol::restriction::{Restriction, Side};
use protocol::{Batch, ids};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Debug;
use units::{Duration, Notional, Price, Ratio, Scale, Size, Timestamp};

fn check<T: Draw + PartialEq + Debug>(seed: u64) {
    let value = T::draw(&mut Dice(seed));
    let bytes = to_bytes(&value);
    assert_eq!(from_bytes(&bytes).as_ref(), Ok(&value), "read back");
    assert_eq!(hash(&value), *blake3::hash(&bytes).as_bytes(), "the hash is that of the bytes");
    assert!(6 + T::SIZE_MIN <= bytes.len(), "{} bytes are fewer than the least, 6 + {}", bytes.len(), T::SIZE_MIN);
    let mut end = 0;
    for leaf in layout(&value) {
        assert_eq!(leaf.offset, end, "leaves leave no gap");
        assert!(0 < leaf.len, "no leaf is empty");
        end += leaf.len;
    }
    assert_eq!(end, bytes.len(), "leaves cover every byte");
}

macro_rules! round_trips {
    ($($name:ident: $type:ty),+ $(,)?) => {
        proptest! {
            #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]
            $(#[test] fn $name(seed: u64) { check::<$type>(seed); })+
        }
    };
}

round_trips! {
    integers: ((u8, u16, u32, u64), (i8, i16, i32, i64), (u128, i128), bool),
    bytes: (Vec<u8>, [u8; 32], [u8; 0], VecDeque<u8>),
    options: (Option<bool>, Option<Option<u8>>),
    lists: (Vec<Vec<i64>>, [Option<Price>; 3], VecDeque<(Timestamp, Price)>),
    maps: (BTreeMap<OrderId, Option<Size>>, BTreeMap<i8, Vec<u8>>, BTreeSet<(Price, OrderId)>),
    units: ((Price, Size, Notional), (Ratio, Timestamp, Duration), Scale),
    ids: ((MarketId, PoolId), (SourceId, LineageId), (AccountId, ids::OrderId)),
    batch: Batch,
    input: Input,
    observation: Observation,
    book_top: BookTop,
    transfer: Transfer,
    order: Order,
    cancel: Cancel,
    order_done: OrderDone,
    trade: Trade,
    insurance_deposit: InsuranceDeposit,
    effect: Effect,
    admitted_order: AdmittedOrder,
    reject: Reject,
    modes: (Action, Mode, Side),
    restriction: Restriction,
    quality: (PriceQuality, QualityState, Rung),
    exclusion: Exclusion,
    venue_params: VenueParams,
    pool_params: PoolParams,
    market_params: MarketParams,
    source_params: SourceParams,
    oracle_params: (OracleParams, MarkParams),
    activity_params: (ActivityParams, ChainParams),
    depth: Depth,
    funding: (Funding, FundingParams, CollateralParams),
    session: (Session, Redenomination),
    isolate: (Isolate, Collateral, Buy),
    chain_health: ChainHealth,
    tier: Tier,
    detector_params: (DetectorParams, Thresholds),
    breaker_params: BreakerParams,
    liquidation_params: LiquidationParams,
}

/// Tags that decode and tags that are drawn are the same, so no variant escapes the properties above.
fn check_tags<T: Draw>() {
    let mut drawn = BTreeSet::new();
    let mut dice = Dice(0);
    for _ in 0..10_000 {
        let mut bytes = Vec::new();
        T::draw(&mut dice).encode(&mut bytes);
        drawn.insert(bytes[0]);
    }
    let known = |tag: &u8| {
        // Zeroes complete most variants; a variant that they don't complete fails later than at its tag.
        let mut bytes = vec![0; 100];
        bytes[0] = *tag;
        T::decode(&mut Reader::new(&bytes)).map_or_else(|error| error.offset != 0, |_| true)
    };
    assert_eq!(drawn, (0..=u8::MAX).filter(known).collect());
}

#[test]
fn every_variant_is_drawn() {
    check_tags::<Input>();
    check_tags::<Effect>();
    check_tags::<Reject>();
    check_tags::<Refusal>();
    check_tags::<Void>();
    check_tags::<Governed>();
    check_tags::<Act>();
    check_tags::<Change>();
    check_tags::<Role>();
    check_tags::<MarketSetting>();
    check_tags::<PoolSetting>();
    check_tags::<Direction>();
    check_tags::<Action>();
    check_tags::<Mode>();
    check_tags::<Side>();
    check_tags::<QualityState>();
    check_tags::<Rung>();
    check_tags::<Exclusion>();
    check_tags::<Option<u8>>();
}

#[test]
fn a_refusal_is_tagged_with_its_stable_number() {
    let mut dice = Dice(1);
    for _ in 0..1_000 {
        let reject = Reject::draw(&mut dice);
        let mut bytes = Vec::new();
        reject.encode(&mut bytes);
        // Those of statements are under one, each with its own number next.
        let number = match reject {
            Reject::Refused { .. } => {
                assert_eq!(bytes[0], 23, "{reject:?}");
                bytes[1]
            }
            _ => bytes[0],
        };
        assert_eq!(u16::from(number), reject.code(), "{reject:?}");
    }
}

#[test]
fn the_hash_does_not_depend_on_how_the_leaves_are_cut() {
    let mut whole = HashSink::new();
    whole.leaf(b"seawall", codec::Leaf::Bytes);
    let mut parts = HashSink::new();
    for byte in b"seawall" {
        parts.leaf(&[*byte], codec::Leaf::Int { signed: false });
    }
    assert_eq!(whole.finish(), parts.finish());
    assert_eq!(whole.finish(), *blake3::hash(b"seawall").as_bytes());
}
