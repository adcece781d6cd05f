//! Cases that another language can run: what goes into a room of the kernel as integers, and what comes out.
//!
//! Every case is made by asking the kernel itself, so the file never says what the code doesn't do. That the code is
//! right is said elsewhere: a test reads the file back and computes each case again, with rationals and without the
//! kernel.
//!
//! The file is `{version, format, rooms: {room: {says, units}}, cases: [{room, case, input, expected}]}`. Start at
//! [`all`].

mod accounts;
mod breaker;
mod bytes;
mod index;
mod scene;
mod windows;

use serde_json::{Value, json};

/// Rises with every change of what a case's fields mean.
pub const VERSION: u32 = 1;

/// Above this an integer is written as a decimal string, because many readers of JSON hold numbers as doubles.
const EXACT_MAX: i128 = (1 << 53) - 1;

/// Every case of every room, in a fixed order.
#[must_use]
pub fn all() -> Value {
    let rooms = [index::room(), windows::twap(), windows::mark(), windows::step()];
    let rooms = rooms.into_iter().chain(accounts::rooms()).chain(breaker::rooms()).chain([bytes::room()]);
    let (mut described, mut cases) = (serde_json::Map::new(), Vec::new());
    for room in rooms {
        described.insert(room.name.to_owned(), json!({ "says": room.says, "units": room.units }));
        for (case, input, expected) in room.cases {
            cases.push(json!({ "room": room.name, "case": case, "input": input, "expected": expected }));
        }
    }
    json!({
        "version": VERSION,
        "format": "integers only; above 2^53 - 1 in magnitude they are decimal strings; a ratio is parts of 10^12; \
                   times are microseconds; money is micro-USD; a price's unit is the case's own",
        "rooms": described,
        "cases": cases,
    })
}

/// One room's cases.
struct Room {
    name: &'static str,
    /// The rule, in words that suffice to write it again.
    says: &'static str,
    /// What each field counts.
    units: &'static str,
    /// Name, input and expected output.
    cases: Vec<(String, Value, Value)>,
}

/// An integer as JSON, exact for every reader.
fn int(n: impl Into<i128>) -> Value {
    let n = n.into();
    match i64::try_from(n) {
        Ok(small) if -EXACT_MAX <= n && n <= EXACT_MAX => json!(small),
        Ok(_) | Err(_) => json!(n.to_string()),
    }
}
