//! Parameters that are parsed and never read. A parameter is a public field of a struct of `protocol`'s parameter modules; it is read where
//! shipped code of the deciding side or of the programs above takes its value. Validation, the codec and the policy file
//! carry every field by their nature, so they don't count.

use std::collections::BTreeSet;

use super::{Finding, Texts};
use crate::tokens::{self, Kind, Token};

/// Where a read counts. In `protocol` itself it counts too, outside of functions that validate.
const READERS: [&str; 6] = ["protocol", "kernel", "venue", "node", "lab", "seawall"];

pub(super) fn check(texts: &Texts) -> Vec<Finding> {
    let in_crate = |path: &str, name: &str| path.starts_with(&format!("crates/{name}/src/")) && path.ends_with(".rs");
    let mut read = BTreeSet::new();
    for (_, text) in texts.iter().filter(|(path, _)| READERS.iter().any(|name| in_crate(path, name))) {
        read.extend(reads(text));
    }
    let definitions = texts.iter().filter(|(path, _)| in_crate(path, "protocol") && is_parameters(path));
    definitions.flat_map(|(path, text)| unread(path, text, &read)).collect()
}

fn is_parameters(path: &str) -> bool {
    path.rsplit("/src/").next().is_some_and(|module| module.contains("param"))
}

fn unread(path: &str, text: &str, read: &BTreeSet<String>) -> Vec<Finding> {
    let fields = fields(&tokens::without_tests(text).unwrap_or_default());
    let unread = fields.into_iter().filter(|(name, _)| !read.contains(name));
    let message = |name| format!("parameter `{name}` is parsed and never read: use it or delete it");
    unread.map(|(name, line)| Finding { path: path.to_owned(), line, message: message(name) }).collect()
}

/// Public fields of the structs of a file, with their lines.
fn fields(tokens: &[Token]) -> Vec<(String, usize)> {
    let mut fields = Vec::new();
    // Depth of braces inside the struct whose fields are being read.
    let mut inside = None;
    let mut awaits_body = false;
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        match &token.kind {
            // What validation reports is no parameter.
            Kind::Ident(name) if name == "struct" => {
                let name = tokens.get(at + 1).and_then(Token::ident).unwrap_or("");
                awaits_body = !["Error", "Fault", "Invalid"].iter().any(|end| name.ends_with(end));
            }
            Kind::Ident(name) if inside == Some(depth) => {
                let follows_pub = at.checked_sub(1).is_some_and(|before| tokens[before].is_ident("pub"));
                let typed = matches!(tokens.get(at + 1).map(|next| &next.kind), Some(Kind::Punct(':', false)));
                if follows_pub && typed {
                    fields.push((name.clone(), token.line));
                }
            }
            Kind::Open(brace) => {
                depth += 1;
                if awaits_body && *brace != '[' {
                    inside = (*brace == '{').then_some(depth);
                    awaits_body = false;
                }
            }
            Kind::Close(_) => {
                if inside == Some(depth) {
                    inside = None;
                }
                depth -= 1;
            }
            Kind::Punct(';', _) => awaits_body = false,
            Kind::Ident(_) | Kind::Punct(..) | Kind::Literal(_) => {}
        }
    }
    fields
}

/// Names whose value a file takes: `x.name` that is neither called nor assigned, and `name` alone in a pattern.
fn reads(text: &str) -> BTreeSet<String> {
    let tokens = tokens::without_tests(text).unwrap_or_default();
    let mut reads = BTreeSet::new();
    let mut depth = 0;
    // Depth at which the body of a validating function lies.
    let mut validating = None;
    let mut validates = false;
    for at in 0..tokens.len() {
        match &tokens[at].kind {
            Kind::Ident(name) if name == "fn" => {
                let name = tokens.get(at + 1).and_then(Token::ident).unwrap_or("");
                validates = name.starts_with("validate") || name.starts_with("check");
            }
            Kind::Ident(name) if validating.is_none() && is_read(&tokens, at) => {
                reads.insert(name.clone());
            }
            Kind::Open(brace) => {
                depth += 1;
                if validates && *brace == '{' && validating.is_none() {
                    validating = Some(depth);
                    validates = false;
                }
            }
            Kind::Close(_) => {
                if validating == Some(depth) {
                    validating = None;
                }
                depth -= 1;
            }
            Kind::Ident(_) | Kind::Punct(..) | Kind::Literal(_) => {}
        }
    }
    reads
}

fn is_read(tokens: &[Token], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).map(|before| &tokens[before]) else { return false };
    let Some(after) = tokens.get(at + 1) else { return false };
    let assigned = matches!(after.kind, Kind::Punct('=', false));
    let taken = before.is_punct('.') && !after.opens('(') && !assigned;
    let bound = (before.opens('{') || before.is_punct(',')) && (after.closes('}') || after.is_punct(','));
    taken || bound
}

#[cfg(test)]
mod tests {
    use super::super::assert_findings;
    use super::*;

    #[track_caller]
    fn check(reader: (&str, &str), expected: &[&str]) {
        let params = "pub struct A<T>(pub T);\npub struct Index {\n    /// Doc.\n    pub age_max: Duration,\n    own: u8,\n}\n\
            pub struct IndexError { pub place: u8 }\n\
            impl Index { pub fn validate(&self) { assert!(self.age_max.is_positive()); } }";
        let texts = [("crates/protocol/src/params.rs", params), reader];
        let texts = texts.map(|(path, text)| (path.to_owned(), text.to_owned()));
        assert_findings(super::check(&Texts::from(texts)), expected);
    }

    const UNREAD: &str =
        "crates/protocol/src/params.rs:4: parameter `age_max` is parsed and never read: use it or delete it";

    #[test]
    fn a_parameter_that_nothing_reads_is_found() {
        check(
            ("crates/kernel/src/lib.rs", "fn a() { let index = Index { age_max: 1 }; index.age_max = 2; }"),
            &[UNREAD],
        );
        check(("crates/policy/src/lib.rs", "fn a(index: &Index) -> u8 { index.age_max }"), &[UNREAD]);
        check(
            ("crates/kernel/src/lib.rs", "#[cfg(test)] mod tests { fn a(b: &Index) -> u8 { b.age_max } }"),
            &[UNREAD],
        );
    }

    #[test]
    fn a_parameter_that_is_read_is_free() {
        check(("crates/kernel/src/lib.rs", "fn a(index: &Index) -> bool { 3 <= index.age_max }"), &[]);
        check(("crates/kernel/src/lib.rs", "fn a(index: &Index) -> bool { index.age_max == 3 }"), &[]);
        check(("crates/venue/src/lib.rs", "fn a(Index { age_max, .. }: &Index) {}"), &[]);
        check(("crates/protocol/src/index.rs", "fn a(index: &Index) -> u8 { index.age_max }"), &[]);
    }
}
