//! The repository as xtask sees it: its root, its files, its crates, and running a program in it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The crates whose outputs are decisions. Their rules are stricter, and evidence is tied to their sources.
pub(crate) const DECIDING: [&str; 5] = ["units", "protocol", "codec", "kernel", "venue"];

/// Whether a build may rewrite `Cargo.lock`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    MayChange,
    Binding,
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository").to_path_buf()
}

/// A cargo invocation in the repository, without what `cargo xtask` itself left in the environment.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root()).args(arguments);
    for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION"] {
        command.env_remove(name);
    }
    command
}

/// Runs to the end with inherited output.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("can't start {}", spelled(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", spelled(command));
    }
    Ok(())
}

/// Runs to the end and returns standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("can't start {}", spelled(command)))?;
    if !output.status.success() {
        bail!("{} ended with {}\n{}", spelled(command), output.status, String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8(output.stdout).with_context(|| format!("{} printed what is not UTF-8", spelled(command)))
}

/// The command as a person would type it.
pub(crate) fn spelled(command: &Command) -> String {
    let program = command.get_program().to_string_lossy().into_owned();
    let arguments = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
    std::iter::once(program).chain(arguments).collect::<Vec<_>>().join(" ")
}

pub(crate) fn git(arguments: &[&str]) -> Result<String> {
    output(Command::new("git").current_dir(root()).args(arguments))
}

/// Files that are or are about to be tracked, relative to the root, in order. Deleted ones are left out.
pub(crate) fn files() -> Result<Vec<String>> {
    let listed = git(&["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
    let names: BTreeSet<&str> = listed.split('\0').filter(|name| !name.is_empty()).collect();
    Ok(names.into_iter().filter(|name| root().join(name).is_file()).map(str::to_owned).collect())
}

pub(crate) fn commit() -> Result<String> {
    Ok(git(&["rev-parse", "HEAD"])?.trim().to_owned())
}

/// Whether anything that a measurement depends on differs from the commit.
pub(crate) fn is_dirty() -> Result<bool> {
    let paths = ["status", "--porcelain", "--", "crates", "fuzz", "policies", "incidents", "Cargo.toml", "Cargo.lock"];
    Ok(!git(&paths)?.trim().is_empty())
}

/// A package of the workspace, with the short name that the arrows are written in.
pub(crate) struct Package {
    pub(crate) name: String,
    /// Dependencies of every kind that lie in the workspace, by short name.
    pub(crate) depends: Vec<String>,
    /// Source files that targets start from, relative to the root.
    pub(crate) roots: Vec<String>,
}

/// The workspace's packages and its target directory.
pub(crate) fn workspace() -> Result<(Vec<Package>, PathBuf)> {
    let text = output(&mut cargo(&["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&text)?;
    let packages = metadata["packages"].as_array().context("metadata without packages")?;
    let packages = packages.iter().map(package).collect::<Result<Vec<_>>>()?;
    let target = metadata["target_directory"].as_str().context("metadata without a target directory")?;
    Ok((packages, PathBuf::from(target)))
}

/// Where tools and their builds are kept: inside the target directory, so that `cargo clean` removes them too.
pub(crate) fn tools_dir() -> Result<PathBuf> {
    let directory = workspace()?.1.join("tools");
    std::fs::create_dir_all(&directory)?;
    Ok(directory)
}

fn package(value: &serde_json::Value) -> Result<Package> {
    let name = value["name"].as_str().context("a package without a name")?;
    let depends = value["dependencies"].as_array().into_iter().flatten();
    let depends = depends.filter(|dependency| dependency["path"].is_string());
    let targets = value["targets"].as_array().into_iter().flatten();
    Ok(Package {
        name: short(name),
        depends: depends.filter_map(|dependency| dependency["name"].as_str()).map(short).collect(),
        roots: targets.filter_map(|target| target["src_path"].as_str()).map(relative).collect(),
    })
}

fn short(package: &str) -> String {
    package.strip_prefix("seawall-").unwrap_or(package).to_owned()
}

fn relative(path: &str) -> String {
    Path::new(path).strip_prefix(root()).unwrap_or(Path::new(path)).to_string_lossy().into_owned()
}
