//! Lines of a file, plain or gzip, in bounded memory.
//!
//! Compression is recognised by content, not by name; a gzip file may have several members. A line longer than [`LINE_MAX`] is
//! skipped while its bytes are counted, so that a 100 MB line costs time and no memory.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::rc::Rc;

use flate2::read::MultiGzDecoder;

use super::FeedError;

/// The longest line that is read; longer ones are quarantined.
pub const LINE_MAX: usize = 64 * 1024;

const BUFFER: usize = 256 * 1024;
/// The first bytes, by which a format is recognised: as many as the longest of them has.
const MAGIC_MAX: u64 = 6;

/// What the reader found next.
#[derive(Debug)]
pub(crate) enum Line<'a> {
    /// A line without its terminator.
    Text(&'a [u8]),
    /// A line longer than [`LINE_MAX`]: its first bytes and its length.
    TooLong { start: &'a [u8], length: u64 },
    /// The compressed stream broke off here: what stood after the last complete line, and why.
    Broken { tail: &'a [u8], why: String, truncated: bool },
    /// The end of the file.
    End,
}

/// Reads a file line by line.
pub(crate) struct Lines {
    input: Box<dyn Read>,
    compressed: bool,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    state: State,
    number: u64,
    unterminated: bool,
    consumed: Rc<Cell<u64>>,
}

enum State {
    Reading,
    Broken(io::Error),
    Ended,
}

impl Lines {
    pub(crate) fn open(path: &Path) -> Result<Self, FeedError> {
        let unreadable = |source| FeedError::Unreadable { path: path.to_path_buf(), source };
        let mut file = File::open(path).map_err(unreadable)?;
        if file.metadata().map_err(unreadable)?.is_dir() {
            return Err(unreadable(io::Error::new(
                io::ErrorKind::IsADirectory,
                "this is a directory; give one file at a time",
            )));
        }
        let mut magic = Vec::new();
        file.by_ref().take(MAGIC_MAX).read_to_end(&mut magic).map_err(unreadable)?;
        if let Some(format) = foreign_format(&magic) {
            return Err(FeedError::Format { path: path.to_path_buf(), format });
        }
        let compressed = magic.starts_with(&[0x1f, 0x8b]);
        let consumed = Rc::new(Cell::new(0));
        let raw = Counted { input: io::Cursor::new(magic).chain(file), consumed: Rc::clone(&consumed) };
        let input: Box<dyn Read> = if compressed {
            Box::new(MultiGzDecoder::new(io::BufReader::with_capacity(64 * 1024, raw)))
        } else {
            Box::new(raw)
        };
        Ok(Self::over(input, compressed, consumed))
    }

    /// At the beginning of `input`.
    fn over(input: Box<dyn Read>, compressed: bool, consumed: Rc<Cell<u64>>) -> Self {
        Self {
            input,
            compressed,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            state: State::Reading,
            number: 0,
            unterminated: false,
            consumed,
        }
    }

    /// Bytes of the file (compressed bytes, if it is compressed) taken so far.
    pub(crate) fn consumed(&self) -> u64 {
        self.consumed.get()
    }

    pub(crate) fn is_compressed(&self) -> bool {
        self.compressed
    }

    /// The number of the line returned last, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// True once the last line was returned and had no newline at its end.
    pub(crate) fn ended_without_newline(&self) -> bool {
        self.unterminated
    }

    /// The next line. Errors of a plain file's medium are returned; a broken gzip stream is a [`Line::Broken`], then the end.
    pub(crate) fn next(&mut self) -> io::Result<Line<'_>> {
        let mut scanned = self.start;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[scanned..self.end]) {
                let from = self.start;
                let to = scanned + at;
                self.start = to + 1;
                self.number += 1;
                return Ok(self.within_limit(from, to));
            }
            if LINE_MAX < self.end - self.start {
                return self.skip_long_line();
            }
            scanned = self.end;
            match self.state {
                State::Reading => {
                    scanned -= self.make_room();
                    self.refill()?;
                }
                State::Broken(_) | State::Ended => return Ok(self.last_line()),
            }
        }
    }

    fn within_limit(&self, from: usize, to: usize) -> Line<'_> {
        let text = &self.buffer[from..to];
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.len() <= LINE_MAX { Line::Text(text) } else { Line::TooLong { start: text, length: text.len() as u64 } }
    }

    /// Moves what is pending to the front; returns by how much it moved.
    fn make_room(&mut self) -> usize {
        let moved = self.start;
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= moved;
        self.start = 0;
        moved
    }

    fn refill(&mut self) -> io::Result<()> {
        match self.input.read(&mut self.buffer[self.end..]) {
            Ok(0) => self.state = State::Ended,
            Ok(got) => self.end += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Inside a compressed stream only these kinds mean "the bytes are wrong"; anything else is the medium failing.
            Err(error) if self.compressed && is_bad_stream(&error) => self.state = State::Broken(error),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Drops a line that is already too long up to its newline, keeping its first bytes for the listing.
    fn skip_long_line(&mut self) -> io::Result<Line<'_>> {
        const KEPT: usize = 256;
        self.make_room();
        let mut length = self.end as u64;
        self.end = KEPT;
        self.number += 1;
        loop {
            if !matches!(self.state, State::Reading) {
                self.start = self.end;
                return Ok(Line::TooLong { start: &self.buffer[..KEPT], length });
            }
            self.end = KEPT;
            self.refill()?;
            match memchr::memchr(b'\n', &self.buffer[KEPT..self.end]) {
                Some(at) => {
                    self.start = KEPT + at + 1;
                    return Ok(Line::TooLong { start: &self.buffer[..KEPT], length: length + at as u64 });
                }
                None => length += (self.end - KEPT) as u64,
            }
        }
    }

    /// What is left after the last newline.
    fn last_line(&mut self) -> Line<'_> {
        let (from, to) = (self.start, self.end);
        self.start = self.end;
        if let State::Broken(error) = &self.state {
            let truncated = error.kind() == io::ErrorKind::UnexpectedEof;
            let why = error.to_string();
            self.state = State::Ended;
            self.number += 1;
            return Line::Broken { tail: &self.buffer[from..to], why, truncated };
        }
        if from == to {
            return Line::End;
        }
        self.unterminated = true;
        self.number += 1;
        self.within_limit(from, to)
    }
}

/// Counts the bytes that pass, for the progress bar.
struct Counted<R> {
    input: R,
    consumed: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let got = self.input.read(into)?;
        self.consumed.set(self.consumed.get() + got as u64);
        Ok(got)
    }
}

fn is_bad_stream(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::Other
    )
}

/// Formats that people rename to `.csv`: named, instead of a complaint about their bytes.
fn foreign_format(magic: &[u8]) -> Option<&'static str> {
    let known: [(&[u8], &str); 8] = [
        (b"PK\x03\x04", "zip"),
        (b"PAR1", "parquet"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"BZh", "bzip2"),
        (b"\xfd7zXZ\x00", "xz"),
        (b"ARROW1", "feather"),
        (b"\xff\xfe", "UTF-16 text"),
        (b"\xfe\xff", "UTF-16 text"),
    ];
    known.iter().find(|(start, _)| magic.starts_with(start)).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one chunk, or one error, a read.
    struct Chunks(std::vec::IntoIter<Result<Vec<u8>, io::ErrorKind>>);

    impl Read for Chunks {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            match self.0.next() {
                None => Ok(0),
                Some(Ok(chunk)) => {
                    into[..chunk.len()].copy_from_slice(&chunk);
                    Ok(chunk.len())
                }
                Some(Err(kind)) => Err(kind.into()),
            }
        }
    }

    /// What is read of these chunks: each line's length, and how the file ends.
    #[track_caller]
    fn check(compressed: bool, chunks: Vec<Result<Vec<u8>, io::ErrorKind>>, want: &str) {
        let input = Box::new(Chunks(chunks.into_iter()));
        let mut lines = Lines::over(input, compressed, Rc::new(Cell::new(0)));
        let mut got = Vec::new();
        loop {
            match lines.next() {
                Ok(Line::Text(text)) => got.push(format!("{}", text.len())),
                Ok(Line::TooLong { length, .. }) => got.push(format!("too long {length}")),
                Ok(Line::Broken { tail, truncated, .. }) => {
                    got.push(format!("{} {}", if truncated { "truncated" } else { "broken" }, tail.len()));
                }
                Ok(Line::End) => break,
                Err(error) => {
                    got.push(format!("{:?}", error.kind()));
                    break;
                }
            }
        }
        assert_eq!(got.join(", "), want);
    }

    fn long(length: usize) -> Result<Vec<u8>, io::ErrorKind> {
        Ok(vec![b'x'; length])
    }

    fn text(text: &str) -> Result<Vec<u8>, io::ErrorKind> {
        Ok(text.as_bytes().to_vec())
    }

    #[test]
    fn the_limit_of_a_line_is_the_same_wherever_reads_cut_it() {
        check(false, vec![long(65_536), text("\nab\n")], "65536, 2");
        check(false, vec![long(65_537), text("\nab\n")], "too long 65537, 2");
        check(false, vec![long(65_536), text("x\nab\n")], "too long 65537, 2");
        check(false, vec![text("ab\n"), long(65_530), text("xxxxxx\nab")], "2, 65536, 2");
        check(false, vec![long(65_000), long(65_000), text("x\n"), text("a"), text("b")], "too long 130001, 2");
    }

    #[test]
    fn lines_are_counted_up_to_the_last_whether_or_not_it_ends() {
        for (compressed, chunks, last) in [
            (false, vec![text("a\nb\nc")], 3),
            (false, vec![text("a\nb\nc\n")], 3),
            (false, vec![text("a")], 1),
            (true, vec![text("a\nb\nc"), Err(io::ErrorKind::UnexpectedEof)], 3),
            (true, vec![text("a\n"), Err(io::ErrorKind::InvalidData)], 2),
        ] {
            let mut lines = Lines::over(Box::new(Chunks(chunks.into_iter())), compressed, Rc::new(Cell::new(0)));
            while !matches!(lines.next(), Ok(Line::End)) {}
            assert_eq!(lines.number, last, "{compressed}");
        }
    }

    #[test]
    fn an_interrupted_read_is_read_again() {
        let chunks = || vec![text("a"), Err(io::ErrorKind::Interrupted), text("b\n")];
        check(false, chunks(), "2");
        check(true, chunks(), "2");
    }

    #[test]
    fn wrong_bytes_end_a_compressed_file_and_a_failing_medium_any() {
        let after = |kind| vec![text("ab\nc"), Err(kind)];
        check(true, after(io::ErrorKind::UnexpectedEof), "2, truncated 1");
        check(true, after(io::ErrorKind::InvalidData), "2, broken 1");
        check(true, after(io::ErrorKind::PermissionDenied), "2, PermissionDenied");
        check(false, after(io::ErrorKind::UnexpectedEof), "2, UnexpectedEof");
        check(false, after(io::ErrorKind::InvalidData), "2, InvalidData");
    }
}
