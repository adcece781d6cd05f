//! Rust source as a flat list of tokens with lines, so that checks never trip over comments, strings or line breaks.
//!
//! `without_tests` leaves out what `#[cfg(test)]` and `#[test]` mark, and documentation: what is left is what ships.

use anyhow::{Result, anyhow};
use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ident(String),
    /// The character, and whether the next character belongs to the same operator.
    Punct(char, bool),
    Literal(String),
    Open(char),
    Close(char),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) line: usize,
}

impl Token {
    pub(crate) fn ident(&self) -> Option<&str> {
        match &self.kind {
            Kind::Ident(name) => Some(name),
            Kind::Punct(..) | Kind::Literal(_) | Kind::Open(_) | Kind::Close(_) => None,
        }
    }

    pub(crate) fn is_ident(&self, name: &str) -> bool {
        self.ident() == Some(name)
    }

    pub(crate) fn is_punct(&self, character: char) -> bool {
        matches!(self.kind, Kind::Punct(found, _) if found == character)
    }

    pub(crate) fn opens(&self, character: char) -> bool {
        self.kind == Kind::Open(character)
    }

    pub(crate) fn closes(&self, character: char) -> bool {
        self.kind == Kind::Close(character)
    }
}

/// Whether `tokens[at..]` starts with the two characters of an operator such as `::` or `=>`.
pub(crate) fn operator(tokens: &[Token], at: usize, spelled: &str) -> bool {
    let mut characters = spelled.chars();
    let (first, second) = (characters.next(), characters.next());
    matches!(tokens.get(at).map(|token| &token.kind), Some(Kind::Punct(found, true)) if Some(*found) == first)
        && matches!(tokens.get(at + 1).map(|token| &token.kind), Some(Kind::Punct(found, _)) if Some(*found) == second)
}

/// Every token of the file.
pub(crate) fn all(text: &str) -> Result<Vec<Token>> {
    flattened(text, false)
}

/// The tokens that ship: no tests, no documentation.
pub(crate) fn without_tests(text: &str) -> Result<Vec<Token>> {
    flattened(text, true)
}

/// Whether every item that the attribute of these tokens marks is for tests alone: `test`, `cfg(test)`, `cfg(all(test, …))`.
pub(crate) fn marks_test(attribute: &[Token]) -> bool {
    let names: Vec<&str> = attribute.iter().filter_map(Token::ident).collect();
    matches!(names.as_slice(), ["test"] | ["cfg", "test"] | ["cfg", "all", "test", ..])
}

fn flattened(text: &str, ships: bool) -> Result<Vec<Token>> {
    let stream: TokenStream = text.parse().map_err(|error| anyhow!("can't be read as Rust: {error}"))?;
    let mut tokens = Vec::new();
    flatten(stream, ships, &mut tokens);
    Ok(tokens)
}

fn flatten(stream: TokenStream, ships: bool, into: &mut Vec<Token>) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let mut at = 0;
    while let Some(tree) = trees.get(at) {
        if ships && let Some((attribute, inner, after)) = attribute(&trees, at) {
            let names: Vec<&str> = attribute.iter().filter_map(Token::ident).collect();
            match (marks_test(&attribute), inner) {
                (true, true) => return,
                (true, false) => {
                    at = past_item(&trees, after);
                    continue;
                }
                (false, _) if names.first() == Some(&"doc") => {
                    at = after;
                    continue;
                }
                (false, _) => {}
            }
        }
        push(tree, ships, into);
        at += 1;
    }
}

fn push(tree: &TokenTree, ships: bool, into: &mut Vec<Token>) {
    let line = tree.span().start().line;
    match tree {
        TokenTree::Ident(name) => into.push(Token { kind: Kind::Ident(name.to_string()), line }),
        TokenTree::Punct(punct) => {
            let joint = punct.spacing() == Spacing::Joint;
            into.push(Token { kind: Kind::Punct(punct.as_char(), joint), line });
        }
        TokenTree::Literal(literal) => into.push(Token { kind: Kind::Literal(literal.to_string()), line }),
        TokenTree::Group(group) => {
            let (open, close) = match group.delimiter() {
                Delimiter::Parenthesis => ('(', ')'),
                Delimiter::Brace => ('{', '}'),
                Delimiter::Bracket => ('[', ']'),
                Delimiter::None => (' ', ' '),
            };
            into.push(Token { kind: Kind::Open(open), line });
            flatten(group.stream(), ships, into);
            into.push(Token { kind: Kind::Close(close), line: group.span_close().start().line });
        }
    }
}

/// The attribute that starts at `at`: its tokens, whether it is an inner one, and the index after it.
fn attribute(trees: &[TokenTree], at: usize) -> Option<(Vec<Token>, bool, usize)> {
    if !is_punct(trees.get(at)?, '#') {
        return None;
    }
    let inner = is_punct(trees.get(at + 1)?, '!');
    let at = if inner { at + 2 } else { at + 1 };
    match trees.get(at)? {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => {
            let mut tokens = Vec::new();
            flatten(group.stream(), false, &mut tokens);
            Some((tokens, inner, at + 1))
        }
        TokenTree::Group(_) | TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => None,
    }
}

/// The index after the item, statement, field or arm that starts at `at`, further attributes included.
fn past_item(trees: &[TokenTree], mut at: usize) -> usize {
    while let Some((_, false, after)) = attribute(trees, at) {
        at = after;
    }
    let mut ends_in_braces = true;
    let mut is_item = false;
    while let Some(tree) = trees.get(at) {
        at += 1;
        match tree {
            TokenTree::Ident(name) => {
                let name = name.to_string();
                let braced = ["fn", "mod", "struct", "enum", "impl", "trait", "union", "macro_rules"];
                is_item = is_item || braced.contains(&name.as_str());
                ends_in_braces = ends_in_braces && !["use", "const", "static", "type", "let"].contains(&name.as_str());
                // `const fn` ends as a function does.
                ends_in_braces = ends_in_braces || name == "fn";
            }
            TokenTree::Punct(punct) if punct.as_char() == ';' => return at,
            TokenTree::Punct(punct) if punct.as_char() == ',' && !is_item => return at,
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace && ends_in_braces => return at,
            TokenTree::Punct(_) | TokenTree::Group(_) | TokenTree::Literal(_) => {}
        }
    }
    at
}

fn is_punct(tree: &TokenTree, character: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let spelled = |token: Token| match token.kind {
            Kind::Ident(text) | Kind::Literal(text) => text,
            Kind::Punct(character, _) | Kind::Open(character) | Kind::Close(character) => character.to_string(),
        };
        let shipped: Vec<String> = without_tests(text).expect("the case is Rust").into_iter().map(spelled).collect();
        assert_eq!(shipped.join(" "), expected);
    }

    #[test]
    fn test_items_and_documentation_do_not_ship() {
        check(
            "/// doc\nfn a() {} // why\n#[cfg(test)]\nmod tests { fn b() {} }\nfn c() {}",
            "fn a ( ) { } fn c ( ) { }",
        );
        check("#[cfg(test)]\nuse a::{b, c};\nfn d() {}", "fn d ( ) { }");
        check("#[cfg(test)]\nconst fn a() -> u8 { 1 }\nfn d() {}", "fn d ( ) { }");
        check("#[test]\n#[ignore]\nfn a() { let x = 1; }\nfn d() {}", "fn d ( ) { }");
        check("#![cfg(test)]\nfn a() {}", "");
        check("struct A { #[cfg(test)] b: u8, c: u8 }", "struct A { c : u8 }");
    }

    #[test]
    fn what_is_built_without_tests_too_ships() {
        check("#[cfg(not(test))]\nfn a() {}", "# [ cfg ( not ( test ) ) ] fn a ( ) { }");
        check("#[cfg(any(test, unix))]\nfn a() {}", "# [ cfg ( any ( test , unix ) ) ] fn a ( ) { }");
    }
}
