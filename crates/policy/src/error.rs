//! What can be wrong with a policy, where, and what to do about it.

use std::fmt;
use thiserror::Error;

/// A place in the file, counted from one; the column counts bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Line.
    pub line: u32,
    /// Byte in the line.
    pub column: u32,
}

/// The first thing that is wrong, in reading order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// The file as the caller named it.
    pub file: String,
    /// Where the offending text stands; `None` where something that should stand there is missing altogether.
    pub at: Option<Position>,
    /// The key as a dotted path, or empty where the file as a whole is meant.
    pub key: String,
    /// What is wrong and what to do.
    pub problem: Box<Problem>,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if let Some(Position { line, column }) = self.at {
            write!(f, "{line}:{column}:")?;
        }
        if !self.key.is_empty() {
            write!(f, " {}:", self.key)?;
        }
        write!(f, " {}", self.problem)
    }
}

impl std::error::Error for PolicyError {}

/// What is wrong, with the numbers and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// The file is larger than is read.
    #[error("the file has {bytes} bytes and at most {bytes_max} are read; remove what it does not need")]
    TooLong {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// Not TOML.
    #[error("not TOML: {message}")]
    Syntax {
        /// What the TOML reader says.
        message: String,
    },
    /// A key or table stands twice.
    #[error("given twice; keep one of the two")]
    Duplicate,
    /// A key that nothing reads.
    #[error("unknown key; known here: {known}")]
    UnknownKey {
        /// The keys that may stand here.
        known: String,
    },
    /// A key without which nothing can be listed.
    #[error("missing; write for example `{example}`")]
    Missing {
        /// A line that would do.
        example: String,
    },
    /// Another type of TOML value than the key takes.
    #[error("is {found}, expected {expected}")]
    WrongType {
        /// What stands there.
        found: &'static str,
        /// What belongs there, with an example.
        expected: String,
    },
    /// A floating-point literal.
    #[error(
        "`{literal}` is a floating-point number, which can't hold it exactly; write it as text with a unit: `{example}`"
    )]
    Float {
        /// As written.
        literal: String,
        /// A line that would do.
        example: String,
    },
    /// A number in text, with nothing after it.
    #[error("`{text}` has no unit; write one of {units} after the number: `{example}`")]
    NoUnit {
        /// As written.
        text: String,
        /// The units that the key takes.
        units: &'static str,
        /// A value that would do.
        example: &'static str,
    },
    /// A number with another unit than the key takes.
    #[error("`{text}` has the unit `{unit}`; use one of {units}: `{example}`")]
    UnknownUnit {
        /// As written.
        text: String,
        /// What stands after the number.
        unit: String,
        /// The units that the key takes.
        units: &'static str,
        /// A value that would do.
        example: &'static str,
    },
    /// Not a plain decimal number with a unit.
    #[error("`{text}` is not a plain decimal number with one of the units {units}; write for example `{example}`")]
    NotDecimal {
        /// As written.
        text: String,
        /// The units that the key takes.
        units: &'static str,
        /// A value that would do.
        example: &'static str,
    },
    /// Below zero.
    #[error("`{text}` is negative; no key of a policy may be")]
    Negative {
        /// As written.
        text: String,
    },
    /// More than the type holds.
    #[error("`{text}` is too large; at most {max}")]
    TooLarge {
        /// As written.
        text: String,
        /// The largest value.
        max: String,
    },
    /// More digits than the type keeps.
    #[error("`{text}` is finer than {step}, the smallest step that is kept; round it")]
    TooFine {
        /// As written.
        text: String,
        /// The smallest step.
        step: &'static str,
    },
    /// A name that can't be a name.
    #[error(
        "`{text}` can't be a name; names are 1 to 64 printable ASCII characters without blanks, quotes or backslashes"
    )]
    BadName {
        /// As written.
        text: String,
    },
    /// A word that is none of those that may stand here.
    #[error("`{text}` is none of {}", .of.join(", "))]
    NoChoice {
        /// As written.
        text: String,
        /// The words.
        of: &'static [&'static str],
    },
    /// `tier` lists nothing.
    #[error("lists no tier; list at least one, or leave it out to inherit market.default's")]
    NoTiers,
    /// A market names a pool that the file does not have.
    #[error("`{pool}` is no pool of this policy; add `[pool.{pool}]` or name one of: {pools}")]
    UnknownPool {
        /// As written.
        pool: String,
        /// The pools there are.
        pools: String,
    },
    /// A value that breaks one of the protocol's rules.
    #[error("must {must} (found in {place})")]
    Rule {
        /// What it must satisfy.
        must: &'static str,
        /// The pool, market or source for which it was found.
        place: String,
    },
    /// A source whose lower bound lies above every price that its market can express.
    #[error(
        "`{text}` is above every price that market {market} can express; lower it, or list the market with a coarser price unit"
    )]
    BoundOutOfScale {
        /// The bound.
        text: String,
        /// The market.
        market: String,
    },
    /// The data names something that can't be listed.
    #[error("{what}; {remedy}")]
    Listing {
        /// What is wrong.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
}
