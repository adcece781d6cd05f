//! The command as its users run it.
#![allow(dead_code, unreachable_pub)]

use std::process::Command;

/// How the command ended, and what it said.
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// The binary under test.
pub fn seawall() -> Command {
    Command::new(env!("CARGO_BIN_EXE_seawall"))
}

/// Runs it to its end, which is never a panic.
pub fn end(command: &mut Command) -> Ended {
    let output = command.output().expect("starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("writes UTF-8");
    let ended = Ended {
        code: output.status.code().expect("ends by itself"),
        out: text(output.stdout),
        err: text(output.stderr),
    };
    assert!(ended.code != 101 && !ended.err.contains("panicked"), "{}", ended.err);
    ended
}
