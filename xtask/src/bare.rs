//! Builds the kernel for a target that has no operating system, so that "core and alloc only" is a fact about the whole
//! dependency graph and not about an attribute.
//!
//! Where the toolchain has the target it is used as it is. Otherwise a compiler with the sources of its `core` and `alloc` is
//! unpacked from Debian packages into the tools directory, and the two are built with it. The check is itself checked: a crate that uses
//! `std` must fail to build the same way.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::repo;

const TARGET: &str = "x86_64-unknown-none";
const KERNEL: &str = "seawall-kernel";

pub(crate) fn run(lock: repo::Lock) -> Result<()> {
    let compiler = compiler()?;
    let manifest = repo::root().join("Cargo.toml");
    let mut kernel = build(&compiler, &manifest, "core,alloc,compiler_builtins", "bare-build")?;
    kernel.args(["--package", KERNEL]);
    if lock == repo::Lock::Binding {
        kernel.arg("--locked");
    }
    repo::run(&mut kernel)?;
    refuses_std(&compiler)?;
    println!("{KERNEL} builds for {TARGET}; a crate that uses std does not");
    Ok(())
}

enum Compiler {
    /// The default toolchain has the target.
    Installed,
    /// A compiler unpacked under this directory, which brings the sources of core and alloc.
    Unpacked(PathBuf),
}

fn compiler() -> Result<Compiler> {
    let libraries = repo::output(Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]))?;
    if Path::new(libraries.trim()).is_dir() {
        return Ok(Compiler::Installed);
    }
    let home = repo::tools_dir()?.join("bare-compiler");
    if !home.join("complete").is_file() {
        unpack(&home).with_context(|| {
            format!("no compiler for {TARGET}; elsewhere than on Debian: `rustup target add {TARGET}`")
        })?;
    }
    Ok(Compiler::Unpacked(home))
}

fn build(compiler: &Compiler, manifest: &Path, libraries: &str, directory: &str) -> Result<Command> {
    let mut command = repo::cargo(&["build", "--quiet", "--target", TARGET, "--manifest-path"]);
    command.arg(manifest).arg("--target-dir").arg(repo::tools_dir()?.join(directory));
    if let Compiler::Unpacked(home) = compiler {
        command.arg(format!("-Zbuild-std={libraries}"));
        command.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", home.join("usr/bin/rustc"));
        command.env("LD_LIBRARY_PATH", home.join("usr/lib/x86_64-linux-gnu"));
    }
    Ok(command)
}

/// Without this a broken setup that builds anything would pass.
fn refuses_std(compiler: &Compiler) -> Result<()> {
    let home = repo::tools_dir()?.join("bare-counterexample");
    std::fs::create_dir_all(home.join("src"))?;
    let manifest = home.join("Cargo.toml");
    std::fs::write(&manifest, "[package]\nname = \"counterexample\"\nedition = \"2024\"\n[workspace]\n")?;
    std::fs::write(home.join("src/lib.rs"), "pub fn now() -> std::time::Instant { std::time::Instant::now() }\n")?;
    // A directory of its own: sharing one would rebuild core at every turn.
    let output = build(compiler, &manifest, "core,compiler_builtins", "bare-counterexample/target")?.output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    if output.status.success() || !complaint.contains("can't find crate for `std`") {
        bail!("a crate that uses std was not refused for that reason by the bare target:\n{complaint}");
    }
    Ok(())
}

fn unpack(home: &Path) -> Result<()> {
    let packages = home.join("packages");
    std::fs::create_dir_all(&packages)?;
    // The list that a machine comes with may know older compilers only.
    repo::run(Command::new("apt-get").args(["update", "-qq"]))?;
    let names = package_names()?;
    println!("unpacking {} into {}", names.join(", "), home.display());
    let mut download = Command::new("apt-get");
    download.args(["-qq", "download"]).args(&names).current_dir(&packages);
    repo::output(&mut download)?;
    for package in std::fs::read_dir(&packages)? {
        let package = package?.path();
        repo::run(Command::new("dpkg").arg("-x").arg(&package).arg(home))?;
        std::fs::remove_file(&package)?;
    }
    let version = Command::new(home.join("usr/bin/rustc"))
        .arg("--version")
        .env("LD_LIBRARY_PATH", home.join("usr/lib/x86_64-linux-gnu"))
        .output()?;
    if !version.status.success() {
        bail!("the unpacked compiler does not start: {}", String::from_utf8_lossy(&version.stderr));
    }
    std::fs::write(home.join("complete"), version.stdout)?;
    Ok(())
}

/// The compiler, its shared libraries, its host libraries for build scripts, and the sources of core. Names of two of them
/// carry a version, so they are read from the packages' own dependencies.
fn package_names() -> Result<Vec<String>> {
    let driver = dependency("libstd-rust-web-dev", "libstd-rust-web-")?;
    let llvm = dependency(&driver, "libllvm")?;
    let fixed = ["rustc-web", "rust-web-src", "libstd-rust-web-dev"].map(str::to_owned);
    Ok(fixed.into_iter().chain([driver, llvm]).collect())
}

fn dependency(package: &str, prefix: &str) -> Result<String> {
    let listed = repo::output(Command::new("apt-cache").args(["depends", package]))?;
    let names = listed.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    let found = names.into_iter().find(|name| name.starts_with(prefix)).map(str::to_owned);
    found.with_context(|| format!("{package} names no {prefix}*"))
}
