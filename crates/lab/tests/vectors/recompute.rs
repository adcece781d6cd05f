//! The file of cases is read back and every case computed again, from what the file says and with integers of any
//! width, without the kernel.

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{Signed, Zero};
use serde_json::{Value, json};

const ONE: i64 = 1_000_000_000_000;

#[test]
fn every_case_comes_out_the_same_without_the_kernel() {
    let text = lab::vectors::all().to_string();
    let file: Value = serde_json::from_str(&text).expect("the file is JSON");
    assert_eq!(file["version"], 1);
    let cases = file["cases"].as_array().expect("a list of cases");
    let mut counted = std::collections::BTreeMap::<&str, u32>::new();
    for case in cases {
        let room = case["room"].as_str().expect("a room's name");
        let input = &case["input"];
        let computed = match room {
            "index" => index(input),
            "twap" => twap(input),
            "mark" => mark(input),
            "mark_step" => mark_step(input),
            "requirement" => requirements(input),
            "risk" => risk(input),
            "lots_to_restore" => lots_to_restore(input),
            "allocate" => allocate(input),
            "mode_table" => mode_table(input),
            "breaker" => breaker(input),
            "batch_bytes" => batch_bytes(input),
            other => panic!("no second way to compute {other}"),
        };
        assert_eq!(computed, case["expected"], "{room}: {}", case["case"]);
        assert!(file["rooms"][room]["says"].is_string(), "{room} says its rule");
        *counted.entry(room).or_default() += 1;
    }
    assert_eq!(counted.len(), 11, "every room has cases: {counted:?}");
    assert!(counted.values().all(|count| 4 <= *count), "more than one way through every room: {counted:?}");
}

#[test]
fn an_integer_is_a_number_only_where_a_double_holds_it() {
    fn walk(value: &Value, strings: &mut u32) {
        match value {
            Value::Number(n) => {
                let n = n.as_i64().unwrap_or_else(|| panic!("{n} is no integer"));
                assert!(n.unsigned_abs() < 1 << 53, "{n} is not exact for every reader");
            }
            Value::String(text) => *strings += u32::from(text.parse::<BigInt>().is_ok()),
            Value::Array(items) => items.iter().for_each(|item| walk(item, strings)),
            Value::Object(fields) => fields.values().for_each(|field| walk(field, strings)),
            Value::Bool(_) | Value::Null => {}
        }
    }
    let mut strings = 0;
    walk(&lab::vectors::all(), &mut strings);
    assert!(30 < strings, "the wide ones are there: {strings}");
}

/// An integer of the file.
fn big(value: &Value) -> BigInt {
    match value {
        Value::Number(n) => n.as_i64().expect("an integer").into(),
        Value::String(text) => text.parse().expect("decimal digits"),
        other => panic!("{other} is no integer"),
    }
}

/// An integer as the file writes it.
fn out(n: &BigInt) -> Value {
    match i64::try_from(n) {
        Ok(small) if small.unsigned_abs() < 1 << 53 => json!(small),
        _ => json!(n.to_string()),
    }
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

fn ceil(a: &BigInt, b: &BigInt) -> BigInt {
    -((-a).div_floor(b))
}

struct Voice {
    price: BigInt,
    weight: BigInt,
    lineage: BigInt,
    confidence: BigInt,
    age: BigInt,
}

fn within(limit: &BigInt, price: &BigInt, of: &BigInt) -> bool {
    (price - of).abs() * ONE <= limit * of
}

/// Midway, rounded down, between the lowest price with at least half of the weight up to it and the lowest with more.
fn median(voices: &[&Voice]) -> Option<BigInt> {
    let total: BigInt = voices.iter().map(|voice| &voice.weight).sum();
    let upto = |price: &BigInt| -> BigInt {
        voices.iter().filter(|voice| &voice.price <= price).map(|voice| &voice.weight * 2).sum()
    };
    let low = voices.iter().find(|voice| total <= upto(&voice.price))?;
    let high = voices.iter().find(|voice| total < upto(&voice.price))?;
    Some((&low.price + &high.price).div_floor(&2.into()))
}

fn weigh(voices: &[&Voice]) -> BigInt {
    voices.iter().map(|voice| &voice.weight).sum()
}

/// Their independent lineages.
fn distinct(voices: &[&Voice]) -> BigInt {
    let lineages: std::collections::BTreeSet<&BigInt> = voices.iter().map(|voice| &voice.lineage).collect();
    lineages.len().into()
}

/// One voice a lineage: the present weights, and the weight listed.
fn share_voices(said: &mut [Voice], age_max: &BigInt) -> BigInt {
    let lineages: std::collections::BTreeSet<BigInt> = said.iter().map(|voice| voice.lineage.clone()).collect();
    if lineages.len() == said.len() {
        return said.iter().map(|voice| &voice.weight).sum();
    }
    let (unit, mut listed) = (BigInt::from(720_720), BigInt::zero());
    for lineage in lineages {
        let own = || said.iter().filter(|voice| voice.lineage == lineage);
        listed += own().map(|voice| &voice.weight).max().expect("somebody is of it") * &unit;
        let present = || own().filter(|voice| &voice.age <= age_max).map(|voice| &voice.weight);
        let (sum, heaviest) = (present().sum::<BigInt>(), present().max().cloned().unwrap_or_default());
        let mut present = said.iter_mut().filter(|voice| voice.lineage == lineage && &voice.age <= age_max);
        let Some(first) = present.next() else { continue };
        first.weight = &heaviest * &unit;
        for voice in present {
            voice.weight = (&voice.weight * &heaviest * &unit).div_floor(&sum);
            first.weight -= &voice.weight;
        }
    }
    listed
}

fn index(input: &Value) -> Value {
    let limit = |name: &str| big(&input[name]);
    let (agree, dispute) = (limit("agree"), limit("dispute"));
    let mut said: Vec<Voice> = list(&input["sources"])
        .iter()
        .map(|source| Voice {
            price: big(&source["price"]),
            weight: big(&source["weight"]),
            lineage: big(&source["lineage"]),
            confidence: big(&source["confidence"]),
            age: big(&source["age"]),
        })
        .collect();
    let needed = limit("lineages_min").min(distinct(&said.iter().collect::<Vec<_>>()));
    let listed = share_voices(&mut said, &limit("age_max"));
    let present: Vec<&Voice> = said.iter().filter(|voice| voice.age <= limit("age_max")).collect();
    let weight: BigInt = present.iter().map(|voice| &voice.weight).sum();
    let mut usable: Vec<&Voice> = present
        .into_iter()
        .filter(|voice| {
            voice.price.is_positive()
                && -limit("future_max") <= voice.age
                && &voice.confidence * ONE <= limit("confidence_max") * &voice.price
        })
        .collect();
    usable.sort_by(|a, b| a.price.cmp(&b.price));
    let Some(first) = median(&usable) else {
        return json!({ "value": 0, "state": 3, "lineages": 0, "confidence": 0, "coverage": 0, "age": 0 });
    };
    let near: Vec<&Voice> = usable.iter().copied().filter(|voice| within(&dispute, &voice.price, &first)).collect();
    let value = median(&near).unwrap_or(first);
    let camp: Vec<&Voice> = usable.iter().copied().filter(|voice| within(&agree, &voice.price, &value)).collect();
    let count = distinct(&camp);
    let supporting: BigInt = camp.iter().map(|voice| &voice.weight).sum();
    let others: Vec<&Voice> = usable.iter().copied().filter(|voice| !within(&agree, &voice.price, &value)).collect();
    let limit_of_value = (&dispute * &value).div_floor(&ONE.into());
    let apart = |one: &Voice, other: &Voice| limit_of_value < (&one.price - &other.price).abs();
    let contradicted = others.iter().any(|one| usable.iter().any(|other| apart(one, other)));
    let rivals = others.iter().any(|one| {
        let with: Vec<&Voice> =
            others.iter().copied().filter(|other| within(&agree, &other.price, &one.price)).collect();
        needed <= distinct(&with)
    });
    let majority = weight < &supporting * 2 && (needed <= count || !rivals);
    // Nothing was said before, so nobody seems stuck.
    let speakers = distinct(&usable);
    let outvoted = limit("overrule_lineages") <= count && speakers * 2 < &count * 3;
    let disputed = !majority || contradicted && !outvoted;
    let state = match (disputed, limit("lineages_min") <= count) {
        (true, _) => 2,
        (false, true) => 0,
        (false, false) => 1,
    };
    let claim = |voice: &&Voice| (&voice.price - &value).abs() + &voice.confidence;
    let near: Vec<&Voice> = usable.iter().copied().filter(|voice| within(&dispute, &voice.price, &value)).collect();
    let mut claims: Vec<BigInt> = usable.iter().map(claim).collect();
    claims.sort();
    let confidence = if disputed {
        claims.pop().unwrap_or_default()
    } else {
        let needed = limit("lineages_min").min(distinct(&near));
        let enough = |width: &BigInt| {
            let held: Vec<&Voice> = near.iter().copied().filter(|voice| claim(voice) <= *width).collect();
            weigh(&near) < weigh(&held) * 2 && needed <= distinct(&held)
        };
        claims.into_iter().find(enough).unwrap_or_default()
    };
    let age = usable.iter().map(|voice| voice.age.clone()).min().unwrap_or_default().max(BigInt::zero());
    json!({
        "value": out(&value),
        "state": state,
        "lineages": out(&count),
        "confidence": out(&confidence),
        "coverage": out(&(supporting * ONE).div_floor(&listed)),
        "age": out(&age),
    })
}

fn twap(input: &Value) -> Value {
    let (window, slots) = (big(&input["window"]), big(&input["slots"]));
    let length = window.div_floor(&slots);
    let spans = list(&input["spans"]);
    let newest = spans.last().map(|span| big(&span["to"]).div_floor(&length));
    let oldest = newest.map_or(BigInt::zero(), |newest| (newest - slots + 1) * length);
    let (mut sum, mut seen) = (BigInt::zero(), BigInt::zero());
    for span in spans {
        let from = big(&span["from"]).max(oldest.clone());
        let time = (big(&span["to"]) - from).max(BigInt::zero());
        sum += big(&span["price"]) * &time;
        seen += time;
    }
    let average = if seen.is_zero() { Value::Null } else { out(&sum.div_floor(&seen)) };
    json!({ "average": average, "coverage": out(&(seen * ONE).div_floor(&window).min(ONE.into())) })
}

fn mark(input: &Value) -> Value {
    let (index, max, window) = (big(&input["index"]), big(&input["premium_max"]), big(&input["premium_window"]));
    let clamp = |premium: BigInt| premium.max(-&max).min(max.clone());
    let faded = |premium: BigInt, age: BigInt| if window < age { premium * &window / age } else { premium };
    let (mut premium, mut then) = (BigInt::zero(), BigInt::zero());
    for book in list(&input["books"]) {
        let (bid, ask, at) = (big(&book["bid"]), big(&book["ask"]), big(&book["at"]));
        let mid = if bid.is_positive() && bid < ask { (bid + ask).div_floor(&2.into()) } else { index.clone() };
        let sample = clamp(((mid - &index) * ONE).div_floor(&index));
        premium = faded(premium, &at - &then);
        let dt = (&at - &then).min(window.clone());
        // Division of these integers cuts off toward zero.
        premium = clamp((premium * &window + sample * &dt) / (&window + &dt));
        then = at;
    }
    let seen = faded(premium.clone(), big(&input["asked_at"]) - then);
    let mark = (index * (seen + ONE)).div_floor(&ONE.into()).max(1.into());
    json!({ "premium": out(&premium), "mark": out(&mark) })
}

fn mark_step(input: &Value) -> Value {
    let (step, window) = (big(&input["step_max"]), big(&input["step_window"]));
    // Every mark of the window and of the one before, and when it began.
    let (mut before, mut window_marks): (Vec<BigInt>, Vec<BigInt>) = (Vec::new(), Vec::new());
    let mut began = BigInt::zero();
    let mut marks: Vec<BigInt> = Vec::new();
    for look in list(&input["indexes"]) {
        let (target, at) = (big(&look["index"]), big(&look["at"]));
        let Some(last) = marks.last().cloned() else {
            (began, window_marks) = (at, vec![target.clone()]);
            marks.push(target);
            continue;
        };
        if !target.is_positive() {
            marks.push(last);
            continue;
        }
        let passed = &at - &began;
        if window <= passed {
            let kept = std::mem::replace(&mut window_marks, vec![last.clone()]);
            before = if passed < &window * 2 { kept } else { vec![last] };
            began = at;
        }
        let one = BigInt::from(1);
        let reach = |of: &BigInt| (of * &step).div_floor(&ONE.into()).max(one.clone());
        let both = || before.iter().chain(&window_marks);
        let (low, high) = (both().min().expect("one"), both().max().expect("one"));
        let mark = target.min(low + reach(low)).max(high - reach(high));
        window_marks.push(mark.clone());
        marks.push(mark);
    }
    json!({ "marks": marks.iter().map(out).collect::<Vec<_>>() })
}

/// By the step of the rate at each edge, not tier by tier.
fn requirement(notional: &BigInt, tiers: &Value, rate: &str) -> BigInt {
    let (mut required, mut below) = (BigInt::zero(), BigInt::zero());
    for tier in list(tiers) {
        let above = (notional - big(&tier["notional_from"])).max(BigInt::zero());
        required += above * (big(&tier[rate]) - &below);
        below = big(&tier[rate]);
    }
    required
}

fn requirements(input: &Value) -> Value {
    let of = |rate| out(&requirement(&big(&input["notional"]), &input["tiers"], rate));
    json!({ "initial": of("initial"), "maintenance": of("maintenance") })
}

fn equity(input: &Value) -> BigInt {
    let unit = big(&input["products_per_micro"]);
    let profit = |position: &Value| {
        let lots = big(&position["lots"]);
        (big(&position["mark"]) * &lots).div_floor(&unit) - (big(&position["entry"]) * &lots).div_floor(&unit)
    };
    big(&input["cash"]) + list(&input["positions"]).iter().map(profit).sum::<BigInt>()
}

fn notional(input: &Value, position: &Value, lots: &BigInt) -> BigInt {
    ceil(&(big(&position["mark"]) * lots.abs()), &big(&input["products_per_micro"]))
}

/// The account's requirement, with `lots` of the position at `place` closed.
fn required(input: &Value, rate: &str, place: usize, lots: &BigInt) -> BigInt {
    let left = |(i, position): (usize, &Value)| {
        let held = big(&position["lots"]).abs();
        let held = if i == place { held - lots } else { held };
        requirement(&notional(input, position, &held), &input["tiers"], rate)
    };
    list(&input["positions"]).iter().enumerate().map(left).sum()
}

fn risk(input: &Value) -> Value {
    let (equity, none) = (equity(input), BigInt::zero());
    let (initial, maintenance) = (required(input, "initial", 0, &none), required(input, "maintenance", 0, &none));
    json!({
        "equity": out(&equity),
        "initial": out(&initial),
        "maintenance": out(&maintenance),
        "liquidatable": equity * ONE < maintenance,
    })
}

fn lots_to_restore(input: &Value) -> Value {
    let none = BigInt::zero();
    if required(input, "maintenance", 0, &none) <= equity(input) * ONE {
        return json!({ "market": null, "lots": 0 });
    }
    let positions = list(&input["positions"]);
    let own = |position: &Value| {
        requirement(&notional(input, position, &big(&position["lots"])), &input["tiers"], "maintenance")
    };
    let largest = positions.iter().map(own).max().expect("a liquidatable account holds something");
    let place = positions.iter().position(|position| own(position) == largest).expect("one of them is the largest");
    let held = big(&positions[place]["lots"]);
    let restored = |lots: &BigInt| {
        let fee = ceil(&(big(&input["fee"]) * notional(input, &positions[place], lots)), &ONE.into());
        let target = ceil(&((big(&input["buffer"]) + ONE) * required(input, "maintenance", place, lots)), &ONE.into());
        target <= (equity(input) - fee) * ONE
    };
    // Digit by digit from the largest power of two, instead of by halving an interval.
    let mut too_few = BigInt::zero();
    for power in (0..40_u32).rev() {
        let step = &too_few + BigInt::from(1_u64 << power);
        if step < held.abs() && !restored(&step) {
            too_few = step;
        }
    }
    let lots = (too_few + 1) * -held.signum();
    json!({ "market": place, "lots": out(&lots) })
}

fn allocate(input: &Value) -> Value {
    let shares: Vec<(BigInt, BigInt)> =
        list(&input["shares"]).iter().map(|share| (big(&share["weight"]), big(&share["cap"]))).collect();
    let mut given: Vec<Option<BigInt>> = shares.iter().map(|(weight, _)| weight.is_zero().then(BigInt::zero)).collect();
    let mut left = big(&input["total"]);
    loop {
        let open = |i: &usize| given[*i].is_none();
        let weight: BigInt = (0..shares.len()).filter(open).map(|i| &shares[i].0).sum();
        let capped = |i: &usize| open(i) && &shares[*i].1 * &weight <= &left * &shares[*i].0;
        let full: Vec<usize> = (0..shares.len()).filter(capped).collect();
        // One at a time: who is full changes what is fair for the others, and never makes one of them not full.
        let Some(i) = full.first() else {
            let mut rest: Vec<(BigInt, usize)> = Vec::new();
            let mut over = left.clone();
            for i in (0..shares.len()).filter(|i| given[*i].is_none()).collect::<Vec<_>>() {
                let (floor, remainder) = (&left * &shares[i].0).div_mod_floor(&weight);
                over -= &floor;
                given[i] = Some(floor);
                rest.push((-remainder, i));
            }
            rest.sort();
            for (_, i) in rest {
                if over.is_positive() {
                    given[i] = given[i].take().map(|floor| floor + 1);
                    over -= 1;
                }
            }
            break;
        };
        let part = shares[*i].1.clone().min(left.clone());
        left -= &part;
        given[*i] = Some(part);
    }
    let given: Vec<Value> = given.iter().map(|part| out(&part.clone().expect("everyone was given"))).collect();
    json!({ "given": given })
}

fn mode_table(input: &Value) -> Value {
    // Columns: Normal, Cautious, ReduceOnly, CancelOnly, Halted, Settling.
    let table = [
        ("Deposit", "yyyyyy"),
        ("Cancel", "yyyyyy"),
        ("Reduce", "yyy---"),
        ("Open", "yy----"),
        ("Withdraw", "yy---y"),
        ("LiquidateSolvent", "yyy---"),
        ("LiquidateInsolvent", "yyy---"),
        ("Fund", "yyyy--"),
        ("Settle", "-----y"),
    ];
    let mode = usize::try_from(big(&input["mode"])).expect("a mode's number");
    let permitted: Vec<&str> =
        table.iter().filter(|(_, row)| row.as_bytes()[mode] == b'y').map(|(action, _)| *action).collect();
    json!({ "permitted": permitted })
}

fn breaker(input: &Value) -> Value {
    let calm = big(&input["calm"]);
    let (mut mode, mut since): (BigInt, BigInt) = (BigInt::zero(), BigInt::zero());
    let mut modes = Vec::new();
    for step in list(&input["steps"]) {
        let (at, wanted) = (big(&step["at"]), big(&step["wanted"]));
        if mode <= wanted {
            (mode, since) = (wanted, at);
        } else if calm <= &at - &since {
            (mode, since) = ((mode - BigInt::from(1)).max(wanted), at);
        }
        modes.push(out(&mode));
    }
    json!({ "modes": modes })
}

fn batch_bytes(input: &Value) -> Value {
    let mut bytes = b"SEAW\x01\x00".to_vec();
    put(&mut bytes, &input["height"], 8);
    put(&mut bytes, &input["at"], 8);
    let seed = input["seed"].as_str().expect("hexadecimal");
    bytes.extend((0..32).map(|i| u8::from_str_radix(&seed[2 * i..2 * i + 2], 16).expect("hexadecimal")));
    let inputs = list(&input["inputs"]);
    put(&mut bytes, &json!(inputs.len()), 4);
    for one in inputs {
        put(&mut bytes, &one["tag"], 1);
        let fields: &[(&str, usize)] = match one["tag"].as_i64().expect("a tag") {
            0 => &[
                ("market", 2),
                ("source", 1),
                ("observer", 2),
                ("price", 8),
                ("confidence", 8),
                ("published_at", 8),
                ("received_at", 8),
            ],
            1 => &[("market", 2), ("bid", 8), ("ask", 8)],
            2 | 3 => &[("pool", 2), ("account", 8), ("amount", 8)],
            4 => &[("id", 8), ("account", 8), ("market", 2), ("size", 8), ("limit", 8)],
            5 => &[("market", 2), ("account", 8), ("order", 8)],
            6 => &[("market", 2), ("order", 8)],
            7 => &[("market", 2), ("buy", 8), ("sell", 8), ("price", 8), ("size", 8)],
            8 => &[("pool", 2), ("amount", 8)],
            other => panic!("no input has the tag {other}"),
        };
        assert_eq!(one.as_object().expect("fields").len(), fields.len() + 1, "every field is written: {one}");
        for (name, width) in fields {
            put(&mut bytes, &one[name], *width);
        }
    }
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({ "bytes": hex, "blake3": blake3::hash(&bytes).to_hex().as_str() })
}

/// An integer, least byte first, in two's complement of its width.
fn put(bytes: &mut Vec<u8>, value: &Value, width: usize) {
    let n = big(value);
    for place in 0..width {
        let byte: BigInt = (&n >> (8 * place)) & BigInt::from(255);
        bytes.push(u8::try_from(byte).expect("one byte"));
    }
}
