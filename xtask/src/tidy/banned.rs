//! Items that have no place where decisions are made, each with what to write instead. Tests, examples and benches are free.

use super::modules::test_only;
use super::{Finding, Texts};
use crate::repo::DECIDING;
use crate::tokens::{self, Kind, Token};

/// Ends the line of a `_ =>` arm that matches integers, tuples or another open set.
const OPEN_SET: &str = "// tidy: open set";

/// The deciding crates that run without an operating system.
const BARE: [&str; 4] = ["units", "protocol", "codec", "kernel"];

pub(super) fn check(texts: &Texts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in DECIDING {
        let root = format!("crates/{name}/src/lib.rs");
        let tests = test_only(texts, &root);
        let bare = BARE.contains(&name);
        let sources = texts.iter().filter(|(path, _)| path.starts_with(&format!("crates/{name}/src/")));
        let sources = sources.filter(|(path, _)| path.ends_with(".rs") && !tests.contains(*path));
        for (path, text) in sources {
            findings.extend(source(path, text, bare));
        }
        if bare && let Some(text) = texts.get(&root) {
            findings.extend(no_std(&root, text));
        }
    }
    findings
}

fn source(path: &str, text: &str, bare: bool) -> Vec<Finding> {
    let finding = |line, message| Finding { path: path.to_owned(), line, message };
    let tokens = match tokens::without_tests(text) {
        Ok(tokens) => tokens,
        Err(error) => return vec![finding(1, error.to_string())],
    };
    let lines: Vec<&str> = text.lines().collect();
    let mut findings = Vec::new();
    for at in 0..tokens.len() {
        let line = tokens[at].line;
        let message = banned(&tokens, at, bare).map(|(item, instead)| format!("`{item}` is banned here: {instead}"));
        let message = message.or_else(|| {
            let marked = lines.get(line - 1).is_some_and(|line| line.contains(OPEN_SET));
            (is_wildcard_arm(&tokens, at) && !marked).then(|| {
                format!(
                    "`_ =>` is banned here: list the variants; over integers or tuples end the line with `{OPEN_SET}`"
                )
            })
        });
        findings.extend(message.map(|message| finding(line, message)));
    }
    findings
}

/// The banned item that starts at `at`, and what to write instead.
fn banned(tokens: &[Token], at: usize, bare: bool) -> Option<(String, &'static str)> {
    let follows_dot = at.checked_sub(1).is_some_and(|before| tokens[before].is_punct('.'));
    let next_is = |character| tokens.get(at + 1).is_some_and(|next| next.is_punct(character));
    let called = tokens.get(at + 1).is_some_and(|next| next.opens('('));
    let token = &tokens[at];
    let name = match &token.kind {
        // `pair.0.1` reads as a number after a dot, not as a float.
        Kind::Literal(text) if is_float(text) && !follows_dot => {
            return Some((text.clone(), "use the integers of `units` with an explicit Rounding"));
        }
        Kind::Ident(name) => name.as_str(),
        Kind::Literal(_) | Kind::Punct(..) | Kind::Open(_) | Kind::Close(_) => return None,
    };
    let instead = match name {
        "f32" | "f64" => "use the integers of `units` with an explicit Rounding",
        "HashMap" | "HashSet" => "hash order differs between runs; use BTreeMap, BTreeSet or an index into a Vec",
        "SystemTime" | "Instant" => "time comes from the batch's `at` alone",
        "rand" if tokens::operator(tokens, at + 1, "::") => "chance comes from the batch's `seed` alone",
        "unwrap" | "expect" if follows_dot && called => "return a Reject, or assert! with the reason",
        "panic" | "todo" | "unimplemented" if next_is('!') => "return a Reject, or assert! with the reason",
        "unsafe" => "find the safe form; there is always one here",
        "std" if bare && (tokens::operator(tokens, at + 1, "::") || follows_crate(tokens, at)) => {
            "use core:: or alloc::"
        }
        _ => return None,
    };
    let item = match name {
        "std" | "rand" => format!("{name}::"),
        "unwrap" | "expect" => format!(".{name}()"),
        "panic" | "todo" | "unimplemented" => format!("{name}!"),
        _ => name.to_owned(),
    };
    Some((item, instead))
}

fn follows_crate(tokens: &[Token], at: usize) -> bool {
    at.checked_sub(1).is_some_and(|before| tokens[before].is_ident("crate"))
}

fn is_float(literal: &str) -> bool {
    let number = literal.starts_with(|first: char| first.is_ascii_digit());
    let decimal = !["0x", "0b", "0o"].iter().any(|prefix| literal.starts_with(prefix));
    let exponent = literal.contains(['e', 'E']) && !literal.ends_with("size");
    let suffix = literal.ends_with("f32") || literal.ends_with("f64");
    number && decimal && (literal.contains('.') || exponent || suffix)
}

fn is_wildcard_arm(tokens: &[Token], at: usize) -> bool {
    let starts = at.checked_sub(1).is_some_and(|before| {
        tokens[before].opens('{')
            || tokens[before].closes('}')
            || tokens[before].is_punct(',')
            || tokens[before].is_punct('|')
    });
    let guarded = tokens.get(at + 1).is_some_and(|next| next.is_ident("if"));
    tokens[at].is_ident("_") && starts && (guarded || tokens::operator(tokens, at + 1, "=>"))
}

fn no_std(path: &str, text: &str) -> Option<Finding> {
    let tokens = tokens::all(text).unwrap_or_default();
    let declared = tokens.windows(4).any(|window| {
        window[0].is_punct('#') && window[1].is_punct('!') && window[2].opens('[') && window[3].is_ident("no_std")
    });
    let message = "`#![no_std]` is missing: this crate runs without an operating system".to_owned();
    (!declared).then(|| Finding { path: path.to_owned(), line: 1, message })
}

#[cfg(test)]
mod tests {
    use super::super::assert_findings;
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_findings(source("a.rs", text, true), expected);
    }

    #[test]
    fn each_banned_item_is_found_with_its_replacement() {
        let integers = "is banned here: use the integers of `units` with an explicit Rounding";
        check("fn a(x: f64) {}", &[&format!("a.rs:1: `f64` {integers}")]);
        check("\nconst A: i64 = 1.5 as i64;", &[&format!("a.rs:2: `1.5` {integers}")]);
        check("const A: u8 = 1f64 as u8;", &[&format!("a.rs:1: `1f64` {integers}")]);
        check("const A: u8 = 1e3;", &[&format!("a.rs:1: `1e3` {integers}")]);
        let order = "is banned here: hash order differs between runs; use BTreeMap, BTreeSet or an index into a Vec";
        check("use hashbrown::HashMap;", &[&format!("a.rs:1: `HashMap` {order}")]);
        check("type A = HashSet<u8>;", &[&format!("a.rs:1: `HashSet` {order}")]);
        let time = "is banned here: time comes from the batch's `at` alone";
        check("fn a(x: Instant) {}", &[&format!("a.rs:1: `Instant` {time}")]);
        check("fn a(x: SystemTime) {}", &[&format!("a.rs:1: `SystemTime` {time}")]);
        check("use rand::Rng;", &["a.rs:1: `rand::` is banned here: chance comes from the batch's `seed` alone"]);
        let reject = "is banned here: return a Reject, or assert! with the reason";
        check("fn a() { b().unwrap() }", &[&format!("a.rs:1: `.unwrap()` {reject}")]);
        check("fn a() { b()\n.expect(\"c\") }", &[&format!("a.rs:2: `.expect()` {reject}")]);
        check("fn a() { panic!(\"b\") }", &[&format!("a.rs:1: `panic!` {reject}")]);
        check("fn a() { todo!() }", &[&format!("a.rs:1: `todo!` {reject}")]);
        check("fn a() { unimplemented!() }", &[&format!("a.rs:1: `unimplemented!` {reject}")]);
        check("unsafe fn a() {}", &["a.rs:1: `unsafe` is banned here: find the safe form; there is always one here"]);
        check("use std::vec::Vec;", &["a.rs:1: `std::` is banned here: use core:: or alloc::"]);
        check("extern crate std;", &["a.rs:1: `std::` is banned here: use core:: or alloc::"]);
    }

    #[test]
    fn an_item_inside_a_macro_call_is_found() {
        let reject = "is banned here: return a Reject, or assert! with the reason";
        check("fn a() { assert!(b().unwrap()) }", &[&format!("a.rs:1: `.unwrap()` {reject}")]);
    }

    #[test]
    fn comments_strings_tests_and_likenesses_are_free() {
        check("// f64 and HashMap\nconst A: &str = \"f64 panic!\";", &[]);
        check("#[cfg(test)]\nmod tests { fn a() { b().unwrap(); std::thread::yield_now(); } }", &[]);
        check("fn a(pair: ((u8, u8), u8)) { b(pair.0.1, 1usize, 0x1e, 0..3) }", &[]);
        check("fn a() { b().unwrap_or(c) }", &[]);
    }

    #[test]
    fn a_wildcard_arm_is_found_unless_the_set_is_open() {
        let message =
            "`_ =>` is banned here: list the variants; over integers or tuples end the line with `// tidy: open set`";
        check("fn a() { match b {\nMode::Normal => 1,\n_ => 2 } }", &[&format!("a.rs:3: {message}")]);
        check("fn a() { match b {\n1 => {}\n_ if c => 2,\n} }", &[&format!("a.rs:3: {message}")]);
        check("fn a() { match b {\n1 => {}\n_ => 2, // tidy: open set\n} }", &[]);
        check("fn a() { let _ = b; match c { (_, 1) => 1, (1, _) => 2 } }", &[]);
    }

    #[test]
    fn a_bare_crate_without_its_attribute_is_found() {
        let texts = |text: &str| Texts::from([("crates/units/src/lib.rs".to_owned(), text.to_owned())]);
        assert_findings(
            super::check(&texts("//! Numbers.")),
            &["crates/units/src/lib.rs:1: `#![no_std]` is missing: this crate runs without an operating system"],
        );
        assert_findings(super::check(&texts("//! Numbers.\n#![no_std]")), &[]);
    }
}
