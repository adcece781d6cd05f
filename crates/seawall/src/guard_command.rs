//! `seawall guard`.

use crate::Ended;
use anyhow::{Context as _, Result, anyhow};
use api::Tokens;
use clap::Args;
use guard::{Guard, Unserved, serve};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Arguments of `seawall guard`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Arguments {
    /// Where what was carried out is kept
    #[arg(long, value_name = "DIR", default_value = "seawall-guard")]
    data: PathBuf,
    /// Where its node delivers, and the venue asks
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8788")]
    listen: SocketAddr,
    /// A file with the token that both must show
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// The token in a file, which is no shorter than one that is told apart by its hash.
pub(crate) fn token(path: Option<&Path>) -> Result<Option<String>> {
    let Some(path) = path else { return Ok(None) };
    let shown = path.display();
    let token = std::fs::read_to_string(path).with_context(|| format!("{shown}"))?.trim().to_owned();
    Tokens::hash(&token).map_err(|why| anyhow!("{shown}: {why}"))?;
    Ok(Some(token))
}

pub(crate) fn run(arguments: &Arguments) -> Result<Ended> {
    let token = token(arguments.token_file.as_deref())?;
    let guard = Guard::open(&arguments.data)?;
    let standing = guard.standing();
    let told = |at| {
        eprintln!("the guard is at http://{at}, behind height {} of epoch {}", standing.height, standing.epoch);
    };
    match serve(guard, arguments.listen, token.as_deref(), told) {
        Ok(never) => match never {},
        Err(Unserved::Broken(broken)) => {
            eprintln!("seawall: {broken}; docs/guard.md says what to do");
            Ok(Ended::NeedsHuman)
        }
        Err(other) => Err(other.into()),
    }
}
