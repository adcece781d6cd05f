//! Project tasks: `cargo xtask COMMAND`.
//!
//! `test` is what a change has to pass; it runs the steps of `steps.rs`, each of which is a command of its own. `long` is for
//! what takes longer than a change can wait, and appends to `docs/ledger/`. `evidence` keeps the numbers that were measured on
//! outside data tied to the code that produced them.

mod bare;
mod evidence;
mod ledger;
mod long;
mod mutants;
mod repo;
mod steps;
mod tidy;
mod tokens;
mod tools;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Seawall's project tasks")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything a change has to pass, installing what it needs.
    Test,
    /// `test` as the build server runs it: lock file binding, no tracked file changed by the run.
    Ci,
    /// `cargo fmt --check`.
    Fmt,
    /// Arrows, banned items, dead files, documents, words, unread parameters.
    Tidy,
    /// Recorded numbers against the code that produced them.
    Evidence {
        #[command(subcommand)]
        command: Option<evidence::Command>,
    },
    /// Licences, banned crates and sources of the dependencies.
    Deny,
    /// `cargo clippy`, warnings are errors.
    Clippy,
    /// The reference model against a kernel with a planted mistake.
    Planted,
    /// Unit, property, integration and documentation tests.
    Unit,
    /// Builds the kernel for a target that has no operating system.
    Bare,
    /// Longer checks, resumable, recorded in `docs/ledger/`.
    Long(long::Options),
}

fn main() -> std::process::ExitCode {
    let outcome = match Cli::parse().command {
        Command::Test => steps::all(repo::Lock::MayChange),
        Command::Ci => steps::ci(),
        Command::Fmt => steps::one(steps::Step::Fmt),
        Command::Tidy => steps::one(steps::Step::Tidy),
        Command::Evidence { command: None } => steps::one(steps::Step::Evidence),
        Command::Evidence { command: Some(command) } => evidence::run(command),
        Command::Deny => steps::one(steps::Step::Deny),
        Command::Clippy => steps::one(steps::Step::Clippy),
        Command::Planted => steps::one(steps::Step::Planted),
        Command::Unit => steps::one(steps::Step::Unit),
        Command::Bare => steps::one(steps::Step::Bare),
        Command::Long(options) => long::run(&options),
    };
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
