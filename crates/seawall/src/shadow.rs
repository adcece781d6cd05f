//! `seawall journal effects` and `seawall journal shadow`.

use crate::Ended;
use crate::input::harmless;
use crate::journal_command::reader;
use anyhow::{Context as _, Result, bail};
use node::rules;
use protocol::{Batch, Effect};
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

/// The longest line of another build that is read.
const LINE_MAX: u64 = 64 << 20;
/// Effects of a batch that are listed on each side.
const SHOWN_MAX: usize = 5;

/// What a build decides on a batch.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Decision {
    height: u64,
    effects: Vec<String>,
}

impl Decision {
    fn of(batch: &Batch, effects: &[Effect]) -> Decision {
        Decision { height: batch.height, effects: effects.iter().map(|effect| format!("{effect:?}")).collect() }
    }
}

/// Prints what this build decides on every batch.
pub(crate) fn effects(data: &Path) -> Result<Ended> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut failed = None;
    let mut tell = |batch: &Batch, effects: &[Effect]| {
        let line = serde_json::to_string(&Decision::of(batch, effects)).map_err(io::Error::from);
        failed = line.and_then(|line| writeln!(out, "{line}")).err();
        failed.is_none()
    };
    node::shadow(reader(data)?, &mut tell)?;
    match failed {
        Some(error) => Err(error.into()),
        None => {
            out.flush()?;
            Ok(Ended::Well)
        }
    }
}

/// Holds what another build decides against what this one does.
pub(crate) fn beside(program: &Path, data: &Path, list: u64) -> Result<Ended> {
    let shown = program.display();
    let mut command = Command::new(program);
    command.args(["journal", "effects"]).arg(data).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("{shown}"))?;
    let Some(stdout) = child.stdout.take() else { bail!("{shown}: it has no output") };
    let mut theirs = BufReader::new(stdout);
    let mut out = io::stdout().lock();
    let (mut batches, mut differ, mut wrong) = (0_u64, 0_u64, None);
    let mut hold = |batch: &Batch, effects: &[Effect]| {
        let mut line = Vec::new();
        let read = theirs.by_ref().take(LINE_MAX).read_until(b'\n', &mut line);
        // A node that runs has written more since one of the two began.
        if read.as_ref().is_ok_and(|bytes| *bytes == 0) {
            return false;
        }
        let read = read.map_err(anyhow::Error::from);
        let told = read.and_then(|_| Ok(serde_json::from_slice::<Decision>(&line)?));
        let ours = Decision::of(batch, effects);
        let told = match told {
            Ok(told) if told.height == ours.height => told,
            Ok(told) => {
                wrong = Some(format!("it tells of height {} where height {} follows", told.height, ours.height));
                return false;
            }
            Err(error) => {
                wrong = Some(format!("at height {}: {error}", ours.height));
                return false;
            }
        };
        batches += 1;
        if told == ours {
            return true;
        }
        differ += 1;
        if list < differ {
            return true;
        }
        let written = list_difference(&mut out, &ours, &told);
        wrong = written.err().map(|error| error.to_string());
        wrong.is_none()
    };
    let ended = node::shadow(reader(data)?, &mut hold);
    drop(theirs);
    let status = child.wait().with_context(|| format!("{shown}"))?;
    ended?;
    if let Some(wrong) = wrong {
        bail!("{shown}: {wrong}");
    }
    // Where it has more to say than this build, nobody reads on, and that ends it.
    if !status.success() {
        bail!("{shown} ended with {status} behind {batches} batches: its own words say why");
    }
    let ours: String = rules().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    if differ == 0 {
        writeln!(out, "SAME: {batches} batches, decided alike by {shown} and by this build (rules {ours}…)")?;
        return Ok(Ended::Well);
    }
    writeln!(
        out,
        "DIFFERENT: {differ} of {batches} batches; above, `-` this build (rules {ours}…), `+` {shown}, each from where they part"
    )?;
    Ok(Ended::WithFindings)
}

fn list_difference(out: &mut impl io::Write, ours: &Decision, told: &Decision) -> io::Result<()> {
    writeln!(out, "height {}", ours.height)?;
    let same = ours.effects.iter().zip(&told.effects).take_while(|(a, b)| a == b).count();
    for (sign, all) in [("-", &ours.effects), ("+", &told.effects)] {
        let rest = all.get(same..).unwrap_or_default();
        for (n, effect) in rest.iter().take(SHOWN_MAX).enumerate() {
            writeln!(out, "{sign} {:>4}  {}", same + n, harmless(effect))?;
        }
        if SHOWN_MAX < rest.len() {
            writeln!(out, "{sign}       and {} more", rest.len() - SHOWN_MAX)?;
        }
    }
    Ok(())
}
