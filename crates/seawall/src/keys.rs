//! Keys in files, and who holds which.

use anyhow::{Context as _, Result, anyhow, bail};
use api::Tokens;
use node::statement::Draft;
use policy::Governance;
use port::words::hex;
use port::words::unhex;
use protocol::GovernanceParams;
use protocol::governance::{Act, KeyParams, Role};
use std::io::{self, Write as _};
use std::path::Path;
use units::Timestamp;

/// The file of tokens beside the journal.
pub(crate) const TOKENS: &str = "tokens.toml";

/// Whose keys are made where a venue begins without any: enough to agree on something.
const FIRST: [(&str, Role); 6] = [
    ("guardian-1", Role::Guardian),
    ("guardian-2", Role::Guardian),
    ("operator", Role::Operator),
    ("governor-1", Role::Governor),
    ("governor-2", Role::Governor),
    ("governor-3", Role::Governor),
];

/// The 32 bytes of a secret from a file of 64 hexadecimal digits; `None` where there is no file.
pub(crate) fn read(path: &Path) -> Result<Option<[u8; 32]>> {
    let shown = path.display();
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let secret =
                unhex(text.trim()).with_context(|| format!("{shown}: it is no key of 64 hexadecimal digits"))?;
            Ok(Some(secret))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{shown}")),
    }
}

/// Draws a secret and keeps it where only its owner reads.
pub(crate) fn make(path: &Path) -> Result<[u8; 32]> {
    let shown = path.display();
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| anyhow!("drawing a key: {error}"))?;
    // Nobody else reads such a file, and it appears whole or not at all: half a key would keep a node from beginning.
    let mut file = beside(path)?;
    writeln!(file, "{}", hex(&secret)).and_then(|()| file.as_file().sync_all()).with_context(|| format!("{shown}"))?;
    file.persist_noclobber(path).with_context(|| format!("{shown}"))?;
    Ok(secret)
}

fn beside(path: &Path) -> Result<tempfile::NamedTempFile> {
    let home = path.parent().filter(|home| !home.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    tempfile::NamedTempFile::new_in(home).with_context(|| format!("{}", home.display()))
}

/// Writes a file that anybody may read, whole or not at all, whenever this process ends. One that says that already is left alone.
pub(crate) fn whole(path: &Path, text: &str) -> Result<()> {
    let shown = path.display();
    if std::fs::read_to_string(path).is_ok_and(|found| found == text) {
        return Ok(());
    }
    let mut file = beside(path)?;
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        file.as_file().set_permissions(mode).with_context(|| format!("{shown}"))?;
    }
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).with_context(|| format!("{shown}"))?;
    file.persist(path).with_context(|| format!("{shown}"))?;
    Ok(())
}

/// The public half of a secret.
pub(crate) fn public(secret: &[u8; 32]) -> Result<[u8; 32]> {
    let act = Act::Cancel { proposal: 1 };
    let (because, expires) = ("to learn the key".to_owned(), Timestamp(0));
    let signed = Draft { venue: [0; 32], key: [0; 32], nonce: 1, expires, act, because }.sign(secret);
    Ok(Draft::read(&signed.text)?.key)
}

/// Who may change what: from the file that is named, or from the one beside the journal. Where there is neither and no venue yet, keys are
/// made, each in a file of its own.
pub(crate) fn governance(data: &Path, named: Option<&Path>) -> Result<Governance> {
    let beside = data.join("governance.toml");
    let path = named.unwrap_or(&beside);
    let shown = path.display();
    match std::fs::read_to_string(path) {
        Ok(text) => return Governance::parse(&text).with_context(|| format!("{shown}")),
        Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => {}
        Err(error) => return Err(error).with_context(|| format!("{shown}")),
    }
    if data.join("journal").exists() {
        bail!("{shown} is gone, and the venue's keys with it: put it back, or begin another venue with --data");
    }
    let home = data.join("keys");
    std::fs::create_dir_all(&home).with_context(|| format!("{}", home.display()))?;
    let mut made = Governance { params: GovernanceParams::closed(), names: Vec::new() };
    for (name, role) in FIRST {
        let path = home.join(format!("{name}.key"));
        let secret = match read(&path)? {
            Some(secret) => secret,
            None => make(&path)?,
        };
        made.params.keys.push(KeyParams { key: public(&secret)?, role });
        made.names.push(name.to_owned());
    }
    whole(&beside, &made.to_toml())?;
    eprintln!(
        "made {} keys in {}: before money is at stake, have each made by who holds it",
        FIRST.len(),
        home.display()
    );
    Ok(made)
}

/// Who may come in with which token: from the file that is named, or from the one beside the journal, where there is one.
pub(crate) fn tokens(data: &Path, named: Option<&Path>) -> Result<Tokens> {
    let beside = data.join(TOKENS);
    let path = named.unwrap_or(&beside);
    match std::fs::read_to_string(path) {
        Ok(text) => Tokens::parse(&text).with_context(|| format!("{}", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => Ok(Tokens::default()),
        Err(error) => Err(error).with_context(|| format!("{}", path.display())),
    }
}
