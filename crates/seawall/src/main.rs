//! The `seawall` command.

mod action;
mod calibrate;
mod corpus;
mod doctor;
mod evidence;
mod guard_command;
mod input;
mod journal_command;
mod keys;
mod oracle;
mod policy_command;
mod remote;
mod replay;
mod run;
mod shadow;
mod table;
mod token;
mod wake;

use clap::{Parser, Subcommand};
use std::io::Write as _;
use std::process::ExitCode;

/// Keeps a derivatives venue solvent when prices, oracles, chains or code fail.
///
/// Without a command it runs a node: the embedded venue lives through the bundled incident I-17 (10 October 2025), with its dashboard at
/// http://127.0.0.1:8787 and its journal in ./seawall-data.
#[derive(Parser)]
#[command(version, after_help = "Exit codes: 0 ok, 1 findings, 2 bad input, 3 verification failed, 4 needs a human.")]
struct Command {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// Replay an incident, or files of bars and quotes, under a policy and two baselines
    Replay(Box<replay::Arguments>),
    /// Run a node: embedded venue, durable journal, going on where it stopped
    Run(Box<run::Arguments>),
    /// Stand beside a venue: carry out what its node delivers, say what is permitted, and tighten where the node is gone
    Guard(guard_command::Arguments),
    /// Make keys and a governance file for a venue that does not run yet
    Init(doctor::InitArguments),
    /// Draw a token for the API, print it once and write its hash down
    Token(token::Arguments),
    /// Look at what a node needs: disk, journal, keys, address; ends with 4 where something is wrong
    Doctor(doctor::DoctorArguments),
    /// How a node that runs is doing, on one screen; ends with 0 where nothing needs you, 1 where something is restricted, 4 where you are needed
    Status(remote::StatusArguments),
    /// Sign and send a statement to a node that runs, or list what is asked for
    Action(action::Arguments),
    /// Verify a node's journal
    Journal(journal_command::Arguments),
    /// Print the index of every market after every observation
    Oracle(Box<oracle::Arguments>),
    /// Check, compare, describe policy files, or measure them on bars
    Policy(policy_command::Arguments),
    /// Write the kernel's vectors as JSON, for another language to run
    Vectors(oracle::VectorArguments),
    /// Print every refusal, effect and state with its cause and remedy, as Markdown
    Reference,
    /// Print the API's description as OpenAPI 3.1
    Openapi,
}

/// How a command ended, besides an error.
pub(crate) enum Ended {
    /// Nothing to report.
    Well,
    /// Something in the input was damaged and the rest was used, or a policy loosens something.
    WithFindings,
    /// A rule that must hold did not.
    VerificationFailed,
    /// What only a person can decide or repair; it was said.
    NeedsHuman,
}

fn main() -> ExitCode {
    let command = Command::parse();
    let ended = match command.verb {
        Some(Verb::Replay(arguments)) => replay::run(&arguments),
        Some(Verb::Run(arguments)) => run::run(&arguments),
        Some(Verb::Guard(arguments)) => guard_command::run(&arguments),
        Some(Verb::Init(arguments)) => doctor::init(&arguments),
        Some(Verb::Token(arguments)) => token::run(&arguments),
        Some(Verb::Doctor(arguments)) => doctor::doctor(&arguments),
        Some(Verb::Status(arguments)) => remote::status(&arguments),
        Some(Verb::Action(arguments)) => action::run(&arguments),
        Some(Verb::Journal(arguments)) => journal_command::run(&arguments),
        Some(Verb::Oracle(arguments)) => oracle::run(&arguments),
        Some(Verb::Policy(arguments)) => policy_command::run(&arguments),
        Some(Verb::Vectors(arguments)) => oracle::vectors(&arguments),
        Some(Verb::Reference) => print(&lab::reference::text()),
        Some(Verb::Openapi) => print(&api::openapi()),
        // What a newcomer runs: the embedded venue on a bundled incident.
        None => match Command::parse_from(["seawall", "run"]).verb {
            Some(Verb::Run(arguments)) => run::run(&arguments),
            _ => unreachable!("that is what was parsed"),
        },
    };
    match ended {
        Ok(Ended::Well) => ExitCode::SUCCESS,
        Ok(Ended::WithFindings) => ExitCode::from(1),
        Ok(Ended::VerificationFailed) => ExitCode::from(3),
        Ok(Ended::NeedsHuman) => ExitCode::from(4),
        Err(error) => {
            if is_closed_pipe(&error) {
                return ExitCode::SUCCESS;
            }
            eprintln!("seawall: {}", told(&error));
            ExitCode::from(2)
        }
    }
}

fn print(text: &str) -> anyhow::Result<Ended> {
    write!(std::io::stdout().lock(), "{text}")?;
    Ok(Ended::Well)
}

/// An error and its causes, each said once.
fn told(error: &anyhow::Error) -> String {
    let mut text = input::harmless(&error.to_string());
    for cause in error.chain().skip(1).map(|cause| input::harmless(&cause.to_string())) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// A reader that has seen enough, like `head`, closes the pipe: no error.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
