//! What was not used, and why: counted exactly, sampled in memory, written in full to a temporary file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Samples kept in memory for each reason.
pub const SAMPLES_MAX: usize = 1_000;
const EXCERPT_MAX: usize = 160;

/// Why an input was not used, in the order in which the checks are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The compressed file ends early; what stood after its last complete line.
    TruncatedFile,
    /// The compressed file is damaged or followed by other bytes; what stood after its last complete line.
    CorruptFile,
    /// The line is longer than 64 KiB.
    LineTooLong,
    /// The line is not UTF-8.
    BadUtf8,
    /// The line has control characters in it.
    BinaryBytes,
    /// A quotation mark is not closed on the line, or stands inside an unquoted field.
    BadQuoting,
    /// The line has more or fewer fields than the header.
    WrongFieldCount,
    /// The source field is empty or no name.
    UnknownSource,
    /// The market is not one that is known, or a symbol has no single reading as base and quote.
    UnknownMarket,
    /// More than 4096 series in one file.
    TooManySeries,
    /// Not a time in the shape of this column.
    BadTime,
    /// A time before 1990 or from 2100 on.
    AbsurdTime,
    /// The price is empty.
    PriceMissing,
    /// The price is NaN or null.
    PriceNotANumber,
    /// The price is infinite.
    PriceInfinite,
    /// The price is not a decimal number.
    PriceMalformed,
    /// The price has more than 24 integer digits.
    PriceTooLarge,
    /// The price is not zero but rounds to zero at 12 decimals.
    PriceTooSmall,
    /// The price is zero.
    PriceZero,
    /// The price is negative.
    PriceNegative,
    /// The high is below the low.
    HighBelowLow,
    /// The open lies outside low and high.
    OpenOutsideRange,
    /// The close lies outside low and high.
    CloseOutsideRange,
    /// The volume is negative, not finite or not a number.
    BadVolume,
    /// The receive lag is more than a day, not finite or not a number.
    BadLag,
    /// The confidence is negative, not finite or not a number.
    BadConfidence,
    /// Published later than received.
    FutureDated,
    /// The same series has this time already.
    Duplicate,
    /// Earlier than the row before it in the same series.
    OutOfOrder,
    /// Received earlier than the row before it in the same series.
    ClockBack,
    /// This row alone is ahead of the rows that follow it in the same series.
    TimeJump,
}

/// One input that was not used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// The file, as it was named on the command line.
    pub file: PathBuf,
    /// The line in it, from 1.
    pub line: u64,
    /// Why.
    pub reason: Reason,
    /// The numbers behind the reason.
    pub detail: String,
    /// The beginning of the line with unprintable bytes escaped; the values, where the text is no longer at hand.
    pub text: String,
}

/// Everything that was not used.
#[derive(Debug)]
pub struct Quarantine {
    counts: BTreeMap<Reason, u64>,
    samples: BTreeMap<Reason, Vec<Listed>>,
    spool: Option<BufWriter<File>>,
}

impl Quarantine {
    pub(crate) fn new() -> Self {
        Self { counts: BTreeMap::new(), samples: BTreeMap::new(), spool: None }
    }

    /// The exact number for each reason.
    pub fn counts(&self) -> &BTreeMap<Reason, u64> {
        &self.counts
    }

    /// The exact number for one reason.
    pub fn count(&self, reason: Reason) -> u64 {
        self.counts.get(&reason).copied().unwrap_or(0)
    }

    /// The exact number altogether.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The first ones of each reason, up to [`SAMPLES_MAX`].
    pub fn samples(&self) -> impl Iterator<Item = &Listed> {
        self.samples.values().flatten()
    }

    /// Writes all of them as CSV (`file,line,reason,detail,text`) and returns how many rows that was.
    pub fn write_csv(&mut self, path: &Path) -> io::Result<u64> {
        let mut out = BufWriter::new(File::create(path)?);
        writeln!(out, "file,line,reason,detail,text")?;
        if let Some(spool) = &mut self.spool {
            spool.flush()?;
            let file = spool.get_mut();
            file.seek(SeekFrom::Start(0))?;
            io::copy(&mut file.take(u64::MAX), &mut out)?;
            file.seek(SeekFrom::End(0))?;
        }
        out.flush()?;
        Ok(self.total())
    }

    pub(crate) fn list(&mut self, listed: Listed) -> io::Result<()> {
        *self.counts.entry(listed.reason).or_insert(0) += 1;
        let spool = match &mut self.spool {
            Some(spool) => spool,
            none => none.insert(BufWriter::new(tempfile::tempfile()?)),
        };
        let reason = listed.reason.name();
        let file = listed.file.to_string_lossy();
        writeln!(
            spool,
            "{},{},{reason},{},{}",
            quoted(&file),
            listed.line,
            quoted(&listed.detail),
            quoted(&listed.text)
        )?;
        let samples = self.samples.entry(listed.reason).or_default();
        if samples.len() < SAMPLES_MAX {
            samples.push(listed);
        }
        Ok(())
    }
}

impl Reason {
    /// The reason as it is written in files: `price_zero`.
    pub fn name(self) -> &'static str {
        match self {
            Self::TruncatedFile => "truncated_file",
            Self::CorruptFile => "corrupt_file",
            Self::LineTooLong => "line_too_long",
            Self::BadUtf8 => "bad_utf8",
            Self::BinaryBytes => "binary_bytes",
            Self::BadQuoting => "bad_quoting",
            Self::WrongFieldCount => "wrong_field_count",
            Self::UnknownSource => "unknown_source",
            Self::UnknownMarket => "unknown_market",
            Self::TooManySeries => "too_many_series",
            Self::BadTime => "bad_time",
            Self::AbsurdTime => "absurd_time",
            Self::PriceMissing => "price_missing",
            Self::PriceNotANumber => "price_not_a_number",
            Self::PriceInfinite => "price_infinite",
            Self::PriceMalformed => "price_malformed",
            Self::PriceTooLarge => "price_too_large",
            Self::PriceTooSmall => "price_too_small",
            Self::PriceZero => "price_zero",
            Self::PriceNegative => "price_negative",
            Self::HighBelowLow => "high_below_low",
            Self::OpenOutsideRange => "open_outside_range",
            Self::CloseOutsideRange => "close_outside_range",
            Self::BadVolume => "bad_volume",
            Self::BadLag => "bad_lag",
            Self::BadConfidence => "bad_confidence",
            Self::FutureDated => "future_dated",
            Self::Duplicate => "duplicate",
            Self::OutOfOrder => "out_of_order",
            Self::ClockBack => "clock_back",
            Self::TimeJump => "time_jump",
        }
    }
}

/// The beginning of a line, safe to print.
pub(crate) fn excerpt(line: &[u8]) -> String {
    let cut = &line[..line.len().min(EXCERPT_MAX)];
    let mut text = String::with_capacity(cut.len() + 4);
    for chunk in cut.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() { text.extend(c.escape_default()) } else { text.push(c) }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    if cut.len() < line.len() {
        text.push('…');
    }
    text
}

fn quoted(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_printable_and_short() {
        assert_eq!(excerpt(b"a,\xff,b\x00"), "a,\\xff,b\\u{0}");
        assert_eq!(excerpt(&[b'x'; 160]), "x".repeat(160));
        assert_eq!(excerpt(&[b'x'; 161]), "x".repeat(160) + "…");
    }

    #[test]
    fn counts_stay_exact_when_the_samples_are_full() {
        let mut quarantine = Quarantine::new();
        for line in 1..=1_500 {
            let listed = Listed {
                file: "a,b.csv".into(),
                line,
                reason: Reason::PriceZero,
                detail: "0".into(),
                text: "x,0".into(),
            };
            quarantine.list(listed).expect("spool");
        }
        assert_eq!(quarantine.count(Reason::PriceZero), 1_500);
        assert_eq!(quarantine.counts(), &BTreeMap::from([(Reason::PriceZero, 1_500)]));
        assert_eq!(quarantine.samples().count(), SAMPLES_MAX);
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("quarantine.csv");
        assert_eq!(quarantine.write_csv(&path).expect("write"), 1_500);
        let text = std::fs::read_to_string(path).expect("read");
        assert_eq!(text.lines().count(), 1_501);
        assert_eq!(text.lines().last(), Some("\"a,b.csv\",1500,price_zero,0,\"x,0\""));
    }
}
