//! Which files the compiler reaches. A source file that no `mod` leads to is dead; one that only test modules lead to is a test.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Texts};
use crate::tokens::{self, Kind, Token};

/// Dead sources: reached from none of the targets' roots.
pub(super) fn check(texts: &Texts, roots: &[String]) -> Vec<Finding> {
    let mut reached = BTreeMap::new();
    for root in roots {
        reach(texts, root, true, false, &mut reached);
    }
    let dead = texts.keys().filter(|path| path.ends_with(".rs") && !reached.contains_key(*path));
    let message = "no `mod` leads to this file: declare it or delete it";
    dead.map(|path| Finding { path: path.clone(), line: 1, message: message.to_owned() }).collect()
}

/// Files below `root` that test modules alone lead to.
pub(crate) fn test_only(texts: &Texts, root: &str) -> BTreeSet<String> {
    let mut reached = BTreeMap::new();
    reach(texts, root, true, false, &mut reached);
    reached.into_iter().filter(|(_, tests)| *tests).map(|(path, _)| path).collect()
}

/// Walks from a file to all it declares. `reached` says of each whether only tests lead there.
fn reach(texts: &Texts, path: &str, owns_directory: bool, tests: bool, reached: &mut BTreeMap<String, bool>) {
    let Some(text) = texts.get(path) else { return };
    match reached.get(path) {
        Some(false) => return,
        Some(true) if tests => return,
        Some(true) | None => reached.insert(path.to_owned(), tests),
    };
    let directory = parent(path);
    let stem = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".rs");
    let home = if owns_directory || stem == "mod" { directory.to_owned() } else { joined(directory, stem) };
    for declared in declarations(&tokens::all(text).unwrap_or_default(), tests) {
        match declared.place {
            Place::Module(name) => {
                let base = joined(&home, &name);
                reach(texts, &format!("{base}.rs"), false, declared.tests, reached);
                reach(texts, &format!("{base}/mod.rs"), true, declared.tests, reached);
            }
            Place::File(file) => reach(texts, &joined(directory, &file), true, declared.tests, reached),
        }
    }
}

enum Place {
    /// Below the declaring module's home: `a` or `a/b` for a module inside an inline one.
    Module(String),
    /// Beside the declaring file.
    File(String),
}

struct Declared {
    place: Place,
    tests: bool,
}

/// Every `mod name;` and `include!("file.rs")` of a file.
fn declarations(tokens: &[Token], tests: bool) -> Vec<Declared> {
    let mut declared = Vec::new();
    // Inline modules that are open: name, depth of braces inside, whether for tests alone.
    let mut inline: Vec<(String, usize, bool)> = Vec::new();
    let mut depth = 0;
    let mut marked = false;
    let mut file = None;
    for at in 0..tokens.len() {
        match &tokens[at].kind {
            Kind::Punct('#', _) if tokens.get(at + 1).is_some_and(|next| next.opens('[')) => {
                let close = (at..tokens.len()).find(|&end| tokens[end].closes(']')).unwrap_or(at);
                let attribute = &tokens[at + 2..close.max(at + 2)];
                marked = marked || tokens::marks_test(attribute);
                file = file.or_else(|| path_of(attribute));
            }
            Kind::Ident(name) if name == "mod" => {
                let Some(name) = tokens.get(at + 1).and_then(Token::ident) else { continue };
                let tests = tests || marked || inline.last().is_some_and(|(_, _, tests)| *tests);
                let parents = inline.iter().map(|(name, _, _)| name.as_str());
                let path = parents.chain([name]).collect::<Vec<_>>().join("/");
                match tokens.get(at + 2) {
                    Some(next) if next.opens('{') => inline.push((name.to_owned(), depth + 1, tests)),
                    Some(next) if next.is_punct(';') => {
                        let place = file.take().map_or(Place::Module(path), Place::File);
                        declared.push(Declared { place, tests });
                    }
                    Some(_) | None => {}
                }
            }
            Kind::Ident(name) if name == "include" && tokens.get(at + 1).is_some_and(|next| next.is_punct('!')) => {
                if let Some(Kind::Literal(text)) = tokens.get(at + 3).map(|token| &token.kind) {
                    declared.push(Declared { place: Place::File(text.trim_matches('"').to_owned()), tests });
                }
            }
            Kind::Open('{') => {
                depth += 1;
                (marked, file) = (false, None);
            }
            Kind::Close('}') => {
                inline.pop_if(|(_, inside, _)| *inside == depth);
                depth -= 1;
                (marked, file) = (false, None);
            }
            Kind::Punct(';', _) => (marked, file) = (false, None),
            Kind::Ident(_) | Kind::Punct(..) | Kind::Literal(_) | Kind::Open(_) | Kind::Close(_) => {}
        }
    }
    declared
}

fn path_of(attribute: &[Token]) -> Option<String> {
    match attribute {
        [name, _, Token { kind: Kind::Literal(text), .. }] if name.is_ident("path") => {
            Some(text.trim_matches('"').to_owned())
        }
        _ => None,
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// `directory/path` with `..` and `.` taken out.
fn joined(directory: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in directory.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::super::assert_findings;
    use super::*;

    fn texts(files: &[(&str, &str)]) -> Texts {
        files.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect()
    }

    #[test]
    fn a_file_that_no_module_declares_is_found() {
        let texts = texts(&[
            ("a/src/lib.rs", "mod b; mod c { mod d; } #[path = \"odd/e.rs\"] mod e; fn f() { include!(\"g.rs\"); }"),
            ("a/src/b.rs", "mod inner;"),
            ("a/src/b/inner.rs", ""),
            ("a/src/c/d.rs", ""),
            ("a/src/odd/e.rs", ""),
            ("a/src/g.rs", ""),
            ("a/src/d.rs", ""),
            ("a/src/inner.rs", ""),
        ]);
        assert_findings(
            check(&texts, &["a/src/lib.rs".to_owned()]),
            &[
                "a/src/d.rs:1: no `mod` leads to this file: declare it or delete it",
                "a/src/inner.rs:1: no `mod` leads to this file: declare it or delete it",
            ],
        );
    }

    #[test]
    fn a_file_under_a_test_module_is_a_test() {
        let texts = texts(&[
            ("a/src/lib.rs", "mod b; #[cfg(test)] mod tests; mod shared; #[cfg(test)] mod t { mod u; }"),
            ("a/src/b.rs", ""),
            ("a/src/tests.rs", "mod more; #[path = \"shared.rs\"] mod shared;"),
            ("a/src/tests/more.rs", ""),
            ("a/src/shared.rs", ""),
            ("a/src/t/u.rs", ""),
        ]);
        let found: Vec<String> = test_only(&texts, "a/src/lib.rs").into_iter().collect();
        assert_eq!(found, ["a/src/t/u.rs", "a/src/tests.rs", "a/src/tests/more.rs"]);
    }
}
