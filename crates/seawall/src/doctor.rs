//! `seawall init` and `seawall doctor`: before a node runs, and when it does not.

use crate::{Ended, keys};
use alerts::Targets;
use anyhow::{Context as _, Result, bail};
use clap::Args;
use journal::{FileStorage, Start};
use policy::Governance;
use serde_json::json;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Arguments of `seawall init`.
#[derive(Args, Clone, Debug)]
pub(crate) struct InitArguments {
    /// Where the journal, the keys and the governance file go
    #[arg(long, value_name = "DIR", default_value = "seawall-data")]
    data: PathBuf,
}

/// Makes what a venue begins with, without beginning it.
pub(crate) fn init(arguments: &InitArguments) -> Result<Ended> {
    let data = &arguments.data;
    if data.join("governance.toml").exists() || data.join("journal").exists() {
        bail!("{}: a venue is there already: name another directory with --data", data.display());
    }
    let governance = keys::governance(data, None)?;
    let shown = data.display();
    println!("{shown}/governance.toml: limits, and {} keys with their roles", governance.names.len());
    for (name, listed) in governance.names.iter().zip(&governance.params.keys) {
        println!("{shown}/keys/{name}.key: a {}'s secret; whoever holds it may act as one", listed.role.name());
    }
    println!(
        "Have each key made by who holds it, put its public half into governance.toml, and delete the secrets here. Then: seawall run --data {shown}"
    );
    println!("From the first run on another governance file is another venue.");
    Ok(Ended::Well)
}

/// Arguments of `seawall doctor`.
#[derive(Args, Clone, Debug)]
pub(crate) struct DoctorArguments {
    /// What `seawall run` is given as --data
    #[arg(long, value_name = "DIR", default_value = "seawall-data")]
    data: PathBuf,
    /// What it is given as --listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8787")]
    listen: SocketAddr,
    /// What it is given as --alerts
    #[arg(long, value_name = "FILE")]
    alerts: Option<PathBuf>,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

/// What was looked at: what it is, and what is wrong with it, or how it is.
type Finding = (&'static str, Result<String, String>);

/// A sync that takes longer than this holds every effect back for so long.
const SYNC_MAX: Duration = Duration::from_millis(50);

/// Looks at what a node needs. Nothing is changed but a file that is written and removed to see how long the disk takes.
pub(crate) fn doctor(arguments: &DoctorArguments) -> Result<Ended> {
    let data = &arguments.data;
    let mut findings: Vec<Finding> = vec![
        ("directory", directory(data)),
        ("disk", disk(data)),
        ("journal", journal(data)),
        ("governance", governance(data)),
        ("secrets", secrets(data)),
        ("address", address(arguments.listen)),
    ];
    if let Some(path) = &arguments.alerts {
        findings.push(("alerts", alerts(path)));
    }
    let mut out = std::io::stdout().lock();
    let is_well = findings.iter().all(|(_, found)| found.is_ok());
    if arguments.json {
        let told = |(what, found): &Finding| {
            let (is_well, text) = match found {
                Ok(text) => (true, text),
                Err(text) => (false, text),
            };
            json!({"what": what, "well": is_well, "text": text})
        };
        writeln!(out, "{}", json!({"well": is_well, "findings": findings.iter().map(told).collect::<Vec<_>>()}))?;
    } else {
        for (what, found) in &findings {
            match found {
                Ok(text) => writeln!(out, "ok    {what:<11} {text}")?,
                Err(text) => writeln!(out, "WRONG {what:<11} {text}")?,
            }
        }
    }
    Ok(if is_well { Ended::Well } else { Ended::NeedsHuman })
}

fn directory(data: &Path) -> Result<String, String> {
    let shown = data.display();
    if data.is_dir() {
        Ok(format!("{shown}"))
    } else {
        Err(format!("{shown} is no directory: `seawall init --data {shown}` makes one"))
    }
}

fn disk(data: &Path) -> Result<String, String> {
    let path = data.join(".doctor");
    let written = || -> Result<Vec<Duration>> {
        let mut file = std::fs::File::create(&path).with_context(|| format!("{}", path.display()))?;
        let sync = |file: &mut std::fs::File| {
            let started = Instant::now();
            file.write_all(&[0; 4_096]).and_then(|()| file.sync_data()).map(|()| started.elapsed())
        };
        Ok((0..20).map(|_| sync(&mut file)).collect::<Result<_, _>>()?)
    };
    let found = written();
    let _not_there = std::fs::remove_file(&path);
    let mut times = found.map_err(|error| format!("{error:#}: make room, or have the directory be writable"))?;
    times.sort_unstable();
    let middle = times.get(times.len() / 2).copied().unwrap_or_default();
    let text = format!("4 KiB are durable within {:.3} ms (the middle of 20)", middle.as_secs_f64() * 1e3);
    if middle <= SYNC_MAX { Ok(text) } else { Err(format!("{text}: every effect waits for that; use another disk")) }
}

fn journal(data: &Path) -> Result<String, String> {
    let home = data.join("journal");
    if !home.is_dir() {
        return Ok("none yet: the first run begins one".to_owned());
    }
    let read = || -> Result<(u64, bool), journal::Fault> {
        let mut opened = journal::open(FileStorage::open(&home)?, Start::Newest)?;
        while opened.next_record()?.is_some() {}
        Ok((opened.head().height, opened.cut().is_some()))
    };
    match read() {
        Ok((height, false)) => Ok(format!("whole, to height {height}")),
        Ok((height, true)) => Ok(format!("to height {height}; a start cuts what a crash left behind it")),
        Err(fault @ journal::Fault::Locked { .. }) => Ok(format!("a node runs on it ({fault})")),
        Err(fault) => Err(format!("{fault}; `seawall journal repair` says more")),
    }
}

fn governance(data: &Path) -> Result<String, String> {
    let path = data.join("governance.toml");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(_) if !data.join("journal").exists() => {
            return Ok("none yet: the first run, or `seawall init`, makes one".to_owned());
        }
        Err(error) => return Err(format!("{}: {error}: put it back, the venue's keys are in it", path.display())),
    };
    let found = Governance::parse(&text).map_err(|bad| format!("{}: {bad}", path.display()))?;
    let count = |role| found.params.keys.iter().filter(|listed| listed.role == role).count();
    let (guardians, governors) =
        (count(protocol::governance::Role::Guardian), count(protocol::governance::Role::Governor));
    if guardians == 0 {
        return Err(format!(
            "{}: no guardian: nobody can restrict a market by hand, or stop a loosening",
            path.display()
        ));
    }
    Ok(format!("{guardians} guardians, {governors} governors of whom {} must agree", found.params.threshold))
}

#[cfg(unix)]
fn secrets(data: &Path) -> Result<String, String> {
    use std::os::unix::fs::PermissionsExt as _;
    let listed = std::fs::read_dir(data.join("keys")).into_iter().flatten().flatten().map(|entry| entry.path());
    let all: Vec<PathBuf> = listed.chain([data.join("key")]).filter(|path| path.is_file()).collect();
    let open = |path: &&PathBuf| std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0);
    match all.iter().find(open) {
        Some(path) => Err(format!("{} can be read by others: chmod 600", path.display())),
        None => Ok(format!("{} files, read by their owner alone", all.len())),
    }
}

#[cfg(not(unix))]
fn secrets(_: &Path) -> Result<String, String> {
    Ok("not looked at on this system".to_owned())
}

fn address(listen: SocketAddr) -> Result<String, String> {
    match TcpListener::bind(listen) {
        Ok(_) => Ok(format!("{listen} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            Ok(format!("{listen} is taken: by the node, if one runs; else choose another with --listen"))
        }
        Err(error) => Err(format!("{listen}: {error}: choose another with --listen")),
    }
}

fn alerts(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
    let home = path.parent().unwrap_or_else(|| Path::new("."));
    let found = Targets::parse(&text, home).map_err(|bad| format!("{shown}: {bad}"))?;
    if found.to.is_empty() {
        Err(format!("{shown}: nobody is told"))
    } else {
        Ok(format!("{} targets", found.to.len()))
    }
}
