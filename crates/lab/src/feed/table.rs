//! A delimited file with a header: where its columns are, and how a line splits into fields.

use std::path::Path;

use super::FeedError;
use super::lines::{Line, Lines};
use super::quarantine::{Reason, excerpt};

/// More columns than this are refused with the header.
const COLUMNS_MAX: usize = 256;
/// Lines before the header that are skipped: comments, a web address, `sep=;`.
const PREAMBLE_MAX: u64 = 16;

/// The header of a file.
#[derive(Debug)]
pub(crate) struct Header {
    /// Column names, lower case, blanks as `_`.
    pub(crate) names: Vec<String>,
    /// As they stand in the file.
    pub(crate) text: String,
    pub(crate) line: u64,
    pub(crate) delimiter: u8,
    /// Remarks for the echo.
    pub(crate) remarks: Vec<String>,
}

impl Header {
    /// Reads lines until one can be a header. The file is untouched after it.
    pub(crate) fn read(path: &Path, lines: &mut Lines) -> Result<Self, FeedError> {
        let mut remarks = Vec::new();
        loop {
            let refuse = |line, found: String, needed: &str| {
                Err(FeedError::Header { path: path.to_path_buf(), line, found, needed: needed.to_string() })
            };
            let unreadable = |source| FeedError::Unreadable { path: path.to_path_buf(), source };
            let number = lines.number() + 1;
            let text = match lines.next().map_err(unreadable)? {
                Line::Text(text) => text,
                Line::TooLong { length, .. } => {
                    return refuse(number, format!("a line of {length} bytes"), "a header line");
                }
                Line::Broken { why, .. } => {
                    return refuse(number, format!("a broken gzip stream ({why})"), "a header line");
                }
                Line::End => return Err(FeedError::Empty { path: path.to_path_buf(), header: false }),
            };
            let text = match text.strip_prefix(b"\xef\xbb\xbf") {
                Some(rest) => {
                    remarks.push("a byte order mark was skipped".to_string());
                    rest
                }
                None => text,
            };
            let Ok(text) = std::str::from_utf8(text) else {
                return refuse(number, excerpt(text), "a header line in UTF-8");
            };
            if text.contains(|c: char| c.is_control() && c != '\t') {
                return refuse(number, excerpt(text.as_bytes()), "a header line of text");
            }
            let lower = text.trim().to_ascii_lowercase();
            let preamble =
                lower.is_empty() || lower.starts_with('#') || lower.starts_with("http") || lower.starts_with("sep=");
            if preamble && number <= PREAMBLE_MAX {
                if !lower.is_empty() {
                    remarks.push(format!("line {number} was skipped: {}", excerpt(text.as_bytes())));
                }
                continue;
            }
            return Self::from_text(path, text, number, remarks);
        }
    }

    fn from_text(path: &Path, text: &str, line: u64, mut remarks: Vec<String>) -> Result<Self, FeedError> {
        let delimiter = [b',', b'\t', b';'].into_iter().find(|d| text.bytes().any(|b| b == *d)).unwrap_or(b',');
        if delimiter != b',' {
            remarks.push(format!("fields are separated by {:?}", char::from(delimiter)));
        }
        let names: Vec<String> = text.split(char::from(delimiter)).map(normal_name).collect();
        if COLUMNS_MAX < names.len() {
            let (found, needed) = (format!("{} columns", names.len()), format!("at most {COLUMNS_MAX} columns"));
            return Err(FeedError::Header { path: path.to_path_buf(), line, found, needed });
        }
        Ok(Self { names, text: text.to_string(), line, delimiter, remarks })
    }

    /// The column with one of these names, the first name first. A name that stands twice is an error.
    pub(crate) fn find(&self, path: &Path, wanted: &[&str]) -> Result<Option<usize>, FeedError> {
        for name in wanted {
            let mut at = self.names.iter().enumerate().filter(|(_, n)| n == name).map(|(i, _)| i);
            match (at.next(), at.next()) {
                (None, _) => {}
                (Some(only), None) => return Ok(Some(only)),
                (Some(_), Some(_)) => return Err(self.refuse(path, &format!("one column {name:?}, not two"))),
            }
        }
        Ok(None)
    }

    pub(crate) fn refuse(&self, path: &Path, needed: &str) -> FeedError {
        FeedError::Header {
            path: path.to_path_buf(),
            line: self.line,
            found: excerpt(self.text.as_bytes()),
            needed: needed.to_string(),
        }
    }
}

/// `"Open time"` and `open_time` are one name.
pub(crate) fn normal_name(name: &str) -> String {
    name.trim().trim_matches('"').trim().to_ascii_lowercase().replace([' ', '-'], "_")
}

/// Splits lines into fields without copying them.
#[derive(Debug)]
pub(crate) struct Splitter {
    delimiter: u8,
    bounds: Vec<(u32, u32)>,
}

impl Splitter {
    pub(crate) fn new(delimiter: u8) -> Self {
        Self { delimiter, bounds: Vec::new() }
    }

    /// Splits a line of at most 64 KiB into exactly `fields` fields. A quoted field may hold delimiters but not a line's end: a stray
    /// quotation mark spoils its own line and no other.
    pub(crate) fn split(&mut self, line: &[u8], fields: usize) -> Result<(), (Reason, String)> {
        if !line.is_ascii() && std::str::from_utf8(line).is_err() {
            return Err((Reason::BadUtf8, String::new()));
        }
        self.bounds.clear();
        if memchr::memchr(b'"', line).is_some() {
            self.split_quoted(line)?;
        } else {
            let mut start = 0;
            for at in memchr::memchr_iter(self.delimiter, line) {
                self.bounds.push((start, at as u32));
                start = at as u32 + 1;
            }
            self.bounds.push((start, line.len() as u32));
        }
        if self.bounds.len() == fields {
            return Ok(());
        }
        let binary = line.iter().any(|b| b.is_ascii_control() && *b != b'\t');
        let reason = if binary { Reason::BinaryBytes } else { Reason::WrongFieldCount };
        Err((reason, format!("{} fields, the header has {fields}", self.bounds.len())))
    }

    fn split_quoted(&mut self, line: &[u8]) -> Result<(), (Reason, String)> {
        let bad = |at: usize| Err((Reason::BadQuoting, format!("column {}", at + 1)));
        let mut at = 0;
        loop {
            if line.get(at) == Some(&b'"') {
                let start = at + 1;
                let Some(length) = memchr::memchr(b'"', &line[start..]) else { return bad(at) };
                let end = start + length;
                self.bounds.push((start as u32, end as u32));
                match line.get(end + 1) {
                    None => return Ok(()),
                    Some(next) if *next == self.delimiter => at = end + 2,
                    Some(_) => return bad(end),
                }
            } else {
                let length = memchr::memchr(self.delimiter, &line[at..]).unwrap_or(line.len() - at);
                let end = at + length;
                if let Some(quote) = memchr::memchr(b'"', &line[at..end]) {
                    return bad(at + quote);
                }
                self.bounds.push((at as u32, end as u32));
                if end == line.len() {
                    return Ok(());
                }
                at = end + 1;
            }
        }
    }

    /// A field of the line split last.
    pub(crate) fn field<'a>(&self, line: &'a [u8], index: usize) -> &'a [u8] {
        let (start, end) = self.bounds[index];
        &line[start as usize..end as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &[u8], fields: usize, want: &str) {
        let mut splitter = Splitter::new(b',');
        let got = match splitter.split(line, fields) {
            Ok(()) => (0..fields)
                .map(|i| String::from_utf8_lossy(splitter.field(line, i)).into_owned())
                .collect::<Vec<_>>()
                .join("|"),
            Err((reason, detail)) => format!("{} {detail}", reason.name()),
        };
        assert_eq!(got, want);
    }

    #[test]
    fn lines_split() {
        check(b"a,b,c", 3, "a|b|c");
        check(b"a,,", 3, "a||");
        check(b"a", 1, "a");
        check(b"\"a,b\",c", 2, "a,b|c");
        check(b"a,\"b\"", 2, "a|b");
        check(b"a,\"\",", 3, "a||");
        check("a,µ,\"µ\"".as_bytes(), 3, "a|µ|µ");
        check(b"a,\x07,c", 3, "a|\x07|c");
    }

    #[test]
    fn lines_that_do_not() {
        check(b"a,b", 3, "wrong_field_count 2 fields, the header has 3");
        check(b"a,b,c,d", 3, "wrong_field_count 4 fields, the header has 3");
        check(b"a\tb,c", 3, "wrong_field_count 2 fields, the header has 3");
        check(b"\x00\x01\x02", 3, "binary_bytes 1 fields, the header has 3");
        check(b"a\x7f,c", 3, "binary_bytes 2 fields, the header has 3");
        check(b"a,\xff,c", 3, "bad_utf8 ");
        check(b"a,\"b,c", 3, "bad_quoting column 3");
        check(b"a,b\"c,d", 3, "bad_quoting column 4");
        check(b"\"a\"b,c", 2, "bad_quoting column 3");
    }
}
