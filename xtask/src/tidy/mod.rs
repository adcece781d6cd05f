//! What a reader can't see, an ordinary test checks. Each room is a pure function from texts to findings, with a test that
//! feeds it the fault it is there for.

mod arrows;
mod banned;
mod documents;
mod knobs;
mod modules;
mod words;

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result, bail};

pub(crate) use modules::test_only;

use crate::repo;

/// One fault, where it is, and what to write in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Text files of the repository by path; what is not UTF-8 is left out.
pub(crate) type Texts = BTreeMap<String, String>;

pub(crate) fn run() -> Result<()> {
    let findings = findings()?;
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} findings", findings.len());
    }
    Ok(())
}

fn findings() -> Result<Vec<Finding>> {
    let (packages, _) = repo::workspace()?;
    let files = repo::files()?;
    let texts = texts(&files)?;
    let mut roots: Vec<String> = packages.iter().flat_map(|package| package.roots.clone()).collect();
    roots.extend(texts.keys().filter(|path| path.starts_with("fuzz/fuzz_targets/")).cloned());

    let mut findings = arrows::check(&packages);
    findings.extend(banned::check(&texts));
    findings.extend(modules::check(&texts, &roots));
    findings.extend(documents::check(&texts, &files));
    findings.extend(words::check(&texts));
    findings.extend(knobs::check(&texts));
    Ok(findings)
}

fn texts(files: &[String]) -> Result<Texts> {
    let mut texts = Texts::new();
    for path in files {
        let bytes = std::fs::read(repo::root().join(path)).with_context(|| format!("can't read {path}"))?;
        if let Ok(text) = String::from_utf8(bytes) {
            texts.insert(path.clone(), text);
        }
    }
    Ok(texts)
}

#[cfg(test)]
#[track_caller]
fn assert_findings(found: Vec<Finding>, expected: &[&str]) {
    let found: Vec<String> = found.iter().map(Finding::to_string).collect();
    assert_eq!(found, expected);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        let findings = findings().expect("the repository can be read");
        let lines: String = findings.iter().map(|finding| format!("{finding}\n")).collect();
        assert!(findings.is_empty(), "{} findings:\n{lines}", findings.len());
    }
}
