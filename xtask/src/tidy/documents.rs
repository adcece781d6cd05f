//! Documents that name files which do not exist. Read are the Markdown files at the root and below `docs/`, except the
//! changelog, which may name what is gone; in them, code spans and link targets outside fenced blocks.

use std::collections::BTreeSet;

use super::{Finding, Texts};

const EXTENSIONS: [&str; 4] = [".rs", ".md", ".toml", ".json"];

/// Words that stand for a name in a pattern of paths.
const PLACEHOLDERS: [&str; 5] = ["NAME", "CRATE", "TARGET", "FILE", "DIR"];

/// Made by builds and runs, so never in the repository.
const MADE: [&str; 3] = ["target/", "out/", "seawall-data/"];

pub(super) fn check(texts: &Texts, files: &[String]) -> Vec<Finding> {
    let known = known(files);
    let documents = texts.iter().filter(|(path, _)| is_document(path));
    documents.flat_map(|(path, text)| document(path, text, &known)).collect()
}

fn is_document(path: &str) -> bool {
    path.ends_with(".md") && (!path.contains('/') || path.starts_with("docs/")) && path != "CHANGELOG.md"
}

/// Files and their directories.
fn known(files: &[String]) -> BTreeSet<&str> {
    let mut known = BTreeSet::new();
    for file in files {
        let mut path = file.as_str();
        while known.insert(path) {
            let Some((directory, _)) = path.rsplit_once('/') else { break };
            path = directory;
        }
    }
    known
}

fn document(path: &str, text: &str, known: &BTreeSet<&str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        let spans = line.split('`').skip(1).step_by(2).filter(|span| names_path(span, known));
        let links = line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        let links = links.filter(|link| !link.is_empty() && !link.contains(':'));
        for named in spans.chain(links).filter(|named| !exists(path, named, known)) {
            let message = format!("`{named}` does not exist: correct the path or the sentence");
            findings.push(Finding { path: path.to_owned(), line: index + 1, message });
        }
    }
    findings
}

/// Whether a code span means a file of the repository: by its extension, or because it starts at a directory that exists.
fn names_path(span: &str, known: &BTreeSet<&str>) -> bool {
    let placeholder = span.contains(|c: char| c.is_whitespace() || "*<>{}[]()$:|=…,\"'".contains(c))
        || span.split(['/', '.', '-']).any(|part| PLACEHOLDERS.contains(&part));
    let outside = span.starts_with(['/', '-', '~', '.']) && !span.starts_with("./") && !span.starts_with(".ci");
    if placeholder || outside || MADE.iter().any(|made| span.starts_with(made)) {
        return false;
    }
    let has_extension = EXTENSIONS.iter().any(|extension| span.ends_with(extension) && span != *extension);
    let first = span.split_once('/').map(|(first, _)| first);
    has_extension || first.is_some_and(|first| known.contains(first))
}

/// From the root, beside the document, or as the end of some path (`detect/velocity.rs`).
fn exists(document: &str, named: &str, known: &BTreeSet<&str>) -> bool {
    let named = named.trim_end_matches('/').trim_start_matches("./");
    let mut base: Vec<&str> = document.split('/').collect();
    base.pop();
    let mut rest = named;
    while let Some(up) = rest.strip_prefix("../") {
        base.pop();
        rest = up;
    }
    let beside = base.into_iter().chain([rest]).collect::<Vec<_>>().join("/");
    let ending = format!("/{named}");
    known.contains(named) || known.contains(beside.as_str()) || known.iter().any(|path| path.ends_with(&ending))
}

#[cfg(test)]
mod tests {
    use super::super::assert_findings;
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let files = ["README.md", "docs/adr/0001-batch.md", "crates/kernel/src/mark.rs", ".ci/run"].map(str::to_owned);
        assert_findings(document("docs/a.md", text, &known(&files)), expected);
    }

    #[test]
    fn a_path_that_does_not_exist_is_found() {
        let gone = "does not exist: correct the path or the sentence";
        check("\nSee `crates/journal/src`.", &[&format!("docs/a.md:2: `crates/journal/src` {gone}")]);
        check("See `margin.rs` and `mark.rs`.", &[&format!("docs/a.md:1: `margin.rs` {gone}")]);
        check("See `GLOSSARY.md`.", &[&format!("docs/a.md:1: `GLOSSARY.md` {gone}")]);
        check("See [the plan](plan.md#now).", &[&format!("docs/a.md:1: `plan.md` {gone}")]);
        check("Run `.ci/walk`.", &[&format!("docs/a.md:1: `.ci/walk` {gone}")]);
    }

    #[test]
    fn paths_that_exist_and_other_code_are_free() {
        check("`kernel/src/mark.rs` `src/mark.rs` `adr/0001-batch.md` `../README.md` `.ci/run` `crates/kernel/`", &[]);
        check("[readme](../README.md) [web](https://a.example/b.md) [here](#part)", &[]);
        check("`docs/adr/NAME.md` `cargo run a/b.rs` `a/b` `text/html` `/v1/health.json` `*.rs` `target/x.json`", &[]);
        check("```\n`gone.rs`\n```", &[]);
    }
}
