//! `docs/ledger/NAME.jsonl`: one line a finished piece of a long run, appended and committed. A run resumes from it.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::repo;

/// What every line says besides its own numbers.
pub(crate) struct Stamp {
    pub(crate) date: String,
    pub(crate) commit: String,
    pub(crate) deciding_digest: String,
}

pub(crate) fn stamp() -> Result<Stamp> {
    let date = repo::output(Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]))?.trim().to_owned();
    // Sources that differ from the commit are visible for ever.
    let suffix = if repo::is_dirty()? { "+changes" } else { "" };
    let commit = repo::commit()? + suffix;
    Ok(Stamp { date, commit, deciding_digest: crate::evidence::deciding_digest()? })
}

pub(crate) fn path(name: &str) -> PathBuf {
    repo::root().join("docs/ledger").join(format!("{name}.jsonl"))
}

/// All lines, oldest first; none where nothing ran yet.
pub(crate) fn lines<Line: DeserializeOwned>(name: &str) -> Result<Vec<Line>> {
    let path = path(name);
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(&path)?;
    let lines = text.lines().enumerate();
    lines
        .map(|(index, line)| {
            serde_json::from_str(line).with_context(|| format!("{}:{} can't be read", path.display(), index + 1))
        })
        .collect()
}

pub(crate) fn append(name: &str, line: &impl Serialize) -> Result<()> {
    let path = path(name);
    std::fs::create_dir_all(path.parent().context("the ledger lies in a directory")?)?;
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path)?;
    file.write_all((serde_json::to_string(line)? + "\n").as_bytes())?;
    file.sync_data()?;
    Ok(())
}
