//! `seawall token`.

use crate::Ended;
use crate::keys;
use anyhow::{Context as _, Result, anyhow, bail};
use api::{Scope, Tokens};
use clap::{Args, ValueEnum};
use port::words::hex;
use std::io::{self, Write as _};
use std::path::PathBuf;

/// Arguments of `seawall token`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Arguments {
    /// Whose it is, of letters, digits, dots and dashes
    #[arg(value_name = "NAME")]
    name: String,
    /// What it is for; may be given several times
    #[arg(long, value_name = "SCOPE", required = true)]
    scope: Vec<Named>,
    /// The number under which its observations are recorded, 0 to 65535; needed with --scope observe
    #[arg(long, value_name = "N")]
    observer: Option<u16>,
    /// The most requests a second
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// What `seawall run` is given as --data
    #[arg(long, value_name = "DIR", default_value = "seawall-data")]
    data: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Named {
    Read,
    State,
    Observe,
}

impl Named {
    const fn scope(self) -> Scope {
        match self {
            Named::Read => Scope::Read,
            Named::State => Scope::State,
            Named::Observe => Scope::Observe,
        }
    }
}

/// What a file of tokens begins with.
const FIRST: &str = "# What this machine may without a token: read, state. Leave it empty where something here passes on what comes from elsewhere.\nlocal = []\n";

/// Draws a token, prints it once and writes its hash down.
pub(crate) fn run(arguments: &Arguments) -> Result<Ended> {
    let Arguments { name, scope, observer, rate, data } = arguments;
    if name.is_empty() || name.chars().any(|c| !c.is_ascii_alphanumeric() && !".-".contains(c)) {
        bail!("{name:?}: write a name of letters, digits, dots and dashes");
    }
    std::fs::create_dir_all(data).with_context(|| format!("{}", data.display()))?;
    let path = data.join(keys::TOKENS);
    let shown = path.display();
    let known = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => FIRST.to_owned(),
        Err(error) => return Err(error).with_context(|| format!("{shown}")),
    };
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| anyhow!("drawing a token: {error}"))?;
    let token = format!("sw_{}", hex(&secret));
    let hash = Tokens::hash(&token).map_err(|why| anyhow!("{why}"))?;
    let scopes: Vec<String> = scope.iter().map(|named| format!("\"{}\"", named.scope().name())).collect();
    let observer = observer.map_or(String::new(), |observer| format!("observer = {observer}\n"));
    let entry = format!(
        "\n[[token]]\nname = \"{name}\"\nsha256 = \"{}\"\nscopes = [{}]\n{observer}rate = {rate}\n",
        hex(&hash),
        scopes.join(", ")
    );
    let whole = format!("{known}{entry}");
    Tokens::parse(&whole).with_context(|| format!("{shown}"))?;
    // Whole or not at all.
    let beside = tempfile::NamedTempFile::new_in(data).with_context(|| format!("{}", data.display()))?;
    beside
        .as_file()
        .write_all(whole.as_bytes())
        .and_then(|()| beside.as_file().sync_all())
        .with_context(|| format!("{shown}"))?;
    beside.persist(&path).with_context(|| format!("{shown}"))?;
    writeln!(io::stdout().lock(), "{token}")?;
    eprintln!("its hash is in {shown}; a node reads that when it starts. Keep the token: it is not shown again");
    Ok(Ended::Well)
}
