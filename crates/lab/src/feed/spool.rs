//! Rows on disk: fixed-size records in one anonymous temporary file, in per-series extents.
//!
//! Memory holds one block per open series, whatever the length of the input.

use std::fs::File;
use std::io;

use super::Micros;

/// Bytes of a block while few series are open.
const BLOCK_LARGE: usize = 64 * 1024;
/// Bytes of a block once more than [`SERIES_FEW`] are.
const BLOCK_SMALL: usize = 16 * 1024;
const SERIES_FEW: usize = 128;

/// What a series consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Bars,
    Quotes,
}

/// A row that passed every check that looks at one row alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) file: u32,
    pub(crate) line: u64,
    pub(crate) body: Body,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Bar { opened_at: Micros, lag: Micros, open: i128, high: i128, low: i128, close: i128, volume: Option<i128> },
    Quote { received_at: Micros, published_at: Micros, price: i128, confidence: i128 },
}

const BAR_SIZE: usize = 4 + 8 + 8 + 8 + 5 * 16;
const QUOTE_SIZE: usize = 4 + 8 + 8 + 8 + 2 * 16;
/// No volume is stored as this; a volume is never negative.
const NO_VOLUME: i128 = -1;

impl Kind {
    fn row_size(self) -> usize {
        match self {
            Self::Bars => BAR_SIZE,
            Self::Quotes => QUOTE_SIZE,
        }
    }
}

impl Row {
    /// The time that orders a series: a bar's opening, a quote's receipt.
    pub(crate) fn at(&self) -> Micros {
        match self.body {
            Body::Bar { opened_at, .. } => opened_at,
            Body::Quote { received_at, .. } => received_at,
        }
    }

    /// The lowest and the highest price in it.
    pub(crate) fn price_range(&self) -> (i128, i128) {
        match self.body {
            Body::Bar { high, low, .. } => (low, high),
            Body::Quote { price, .. } => (price, price),
        }
    }

    fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.file.to_le_bytes());
        into.extend_from_slice(&self.line.to_le_bytes());
        match self.body {
            Body::Bar { opened_at, lag, open, high, low, close, volume } => {
                into.extend_from_slice(&opened_at.to_le_bytes());
                into.extend_from_slice(&lag.to_le_bytes());
                for number in [open, high, low, close, volume.unwrap_or(NO_VOLUME)] {
                    into.extend_from_slice(&number.to_le_bytes());
                }
            }
            Body::Quote { received_at, published_at, price, confidence } => {
                into.extend_from_slice(&received_at.to_le_bytes());
                into.extend_from_slice(&published_at.to_le_bytes());
                for number in [price, confidence] {
                    into.extend_from_slice(&number.to_le_bytes());
                }
            }
        }
    }

    fn decode(kind: Kind, bytes: &[u8]) -> Self {
        assert_eq!(bytes.len(), kind.row_size(), "a spool block holds whole rows");
        let mut fields = Fields(bytes);
        let file = fields.u32();
        let line = fields.i64().cast_unsigned();
        let body = match kind {
            Kind::Bars => {
                let (opened_at, lag) = (fields.i64(), fields.i64());
                let (open, high, low, close) = (fields.i128(), fields.i128(), fields.i128(), fields.i128());
                let volume = Some(fields.i128()).filter(|v| *v != NO_VOLUME);
                Body::Bar { opened_at, lag, open, high, low, close, volume }
            }
            Kind::Quotes => {
                let (received_at, published_at) = (fields.i64(), fields.i64());
                Body::Quote { received_at, published_at, price: fields.i128(), confidence: fields.i128() }
            }
        };
        Self { file, line, body }
    }
}

/// Takes numbers off the front of a record whose length was checked.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.0.split_first_chunk::<N>().expect("the record's length was checked");
        self.0 = rest;
        *head
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn i64(&mut self) -> i64 {
        i64::from_le_bytes(self.take())
    }

    fn i128(&mut self) -> i128 {
        i128::from_le_bytes(self.take())
    }
}

/// The temporary file.
#[derive(Debug)]
pub(crate) struct Spool {
    file: File,
    end: u64,
}

impl Spool {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { file: tempfile::tempfile()?, end: 0 })
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<Extent> {
        let extent = Extent { offset: self.end, length: bytes.len() as u64 };
        write_all_at(&self.file, bytes, self.end)?;
        self.end += extent.length;
        Ok(extent)
    }
}

#[cfg(unix)]
fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
        bytes = &bytes[written..];
        offset += written as u64;
    }
    Ok(())
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let got = std::os::windows::fs::FileExt::seek_read(file, bytes, offset)?;
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes = &mut bytes[got..];
        offset += got as u64;
    }
    Ok(())
}

#[derive(Clone, Copy, Debug)]
struct Extent {
    offset: u64,
    length: u64,
}

/// Rows of one series from one file, in the order of that file, or of one series after sorting.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) kind: Kind,
    extents: Vec<Extent>,
    pub(crate) stats: Stats,
}

/// What is learned of a segment while it is written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stats {
    pub(crate) rows: u64,
    pub(crate) first: Micros,
    pub(crate) last: Micros,
    pub(crate) price_min: i128,
    pub(crate) price_max: i128,
    /// Rows later than the one before, earlier, and in conflict with it at the same time.
    pub(crate) up: u64,
    pub(crate) down: u64,
    pub(crate) conflicts: u64,
    pub(crate) zero_volume: u64,
    pub(crate) steps: Steps,
    previous: Option<(Micros, Micros)>,
}

impl Stats {
    fn note(&mut self, row: &Row) {
        let at = row.at();
        let (low, high) = row.price_range();
        let published_at = match row.body {
            Body::Bar { opened_at, volume, .. } => {
                self.zero_volume += u64::from(volume == Some(0));
                opened_at
            }
            Body::Quote { published_at, .. } => published_at,
        };
        match self.previous {
            None => {
                (self.first, self.last) = (at, at);
                (self.price_min, self.price_max) = (low, high);
            }
            Some((previous, previously_published)) => {
                match at.cmp(&previous) {
                    std::cmp::Ordering::Greater => self.up += 1,
                    std::cmp::Ordering::Less => self.down += 1,
                    std::cmp::Ordering::Equal => {}
                }
                let same = at == previous && published_at == previously_published;
                let stale = previous <= at && published_at < previously_published;
                self.conflicts += u64::from(same || stale);
                if at != previous {
                    self.steps.note(previous, at);
                }
                (self.first, self.last) = (self.first.min(at), self.last.max(at));
                (self.price_min, self.price_max) = (self.price_min.min(low), self.price_max.max(high));
            }
        }
        self.previous = Some((at, published_at));
        self.rows += 1;
    }

    /// Adds what was learned of a segment that lies wholly after this one.
    pub(crate) fn join(&mut self, later: &Stats) {
        if self.rows == 0 {
            *self = later.clone();
            return;
        }
        self.steps.note(self.last, later.first);
        self.steps.join(&later.steps);
        self.rows += later.rows;
        self.last = later.last;
        (self.price_min, self.price_max) = (self.price_min.min(later.price_min), self.price_max.max(later.price_max));
        self.zero_volume += later.zero_volume;
    }
}

/// How often each step between neighbouring rows occurs. Exact for the first [`Steps::DISTINCT_MAX`] different steps; others are
/// rounded up by at most 1/32, so the table is bounded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Steps {
    counts: std::collections::BTreeMap<Micros, u64>,
    run: (Micros, u64),
    pub(crate) total: u64,
    /// The longest step and the row it follows.
    pub(crate) longest: (Micros, Micros),
}

impl Steps {
    const DISTINCT_MAX: usize = 512;

    fn note(&mut self, from: Micros, to: Micros) {
        let step = (to - from).abs();
        self.total += 1;
        if self.longest.0 < step {
            self.longest = (step, from.min(to));
        }
        if step == self.run.0 {
            self.run.1 += 1;
            return;
        }
        let (run, count) = std::mem::replace(&mut self.run, (step, 1));
        self.add(run, count);
    }

    fn add(&mut self, step: Micros, count: u64) {
        if count == 0 {
            return;
        }
        let known = self.counts.len() < Self::DISTINCT_MAX || self.counts.contains_key(&step);
        let key = if known { step } else { rounded_up(step) };
        *self.counts.entry(key).or_insert(0) += count;
    }

    pub(crate) fn join(&mut self, other: &Steps) {
        for (step, count) in other.counts.iter().chain([(&other.run.0, &other.run.1)]) {
            self.add(*step, *count);
        }
        self.total += other.total;
        if self.longest.0 < other.longest.0 {
            self.longest = other.longest;
        }
    }

    /// Each step and its count, ascending.
    pub(crate) fn table(&self) -> Vec<(Micros, u64)> {
        let mut table = self.counts.clone();
        if 0 < self.run.1 {
            *table.entry(self.run.0).or_insert(0) += self.run.1;
        }
        table.into_iter().collect()
    }

    /// The smallest step that at least `num/den` of all steps do not exceed. `None` without steps.
    pub(crate) fn quantile(&self, num: u64, den: u64) -> Option<Micros> {
        let wanted = (u128::from(self.total) * u128::from(num)).div_ceil(u128::from(den));
        let mut seen = 0u128;
        self.table().into_iter().find_map(|(step, count)| {
            seen += u128::from(count);
            (wanted <= seen).then_some(step)
        })
    }
}

fn rounded_up(step: Micros) -> Micros {
    let bits = 63 - step.max(1).leading_zeros() as i32;
    let grain = 1i64 << (bits - 5).max(0);
    step.saturating_add(grain - 1) / grain * grain
}

/// Writes a segment block by block.
pub(crate) struct SegmentWriter {
    kind: Kind,
    block: usize,
    buffer: Vec<u8>,
    extents: Vec<Extent>,
    stats: Stats,
}

impl SegmentWriter {
    /// `open_already`: how many other writers hold a block now.
    pub(crate) fn new(kind: Kind, open_already: usize) -> Self {
        let block = if open_already < SERIES_FEW { BLOCK_LARGE } else { BLOCK_SMALL };
        Self { kind, block, buffer: Vec::new(), extents: Vec::new(), stats: Stats::default() }
    }

    pub(crate) fn push(&mut self, row: &Row, spool: &mut Spool) -> io::Result<()> {
        self.stats.note(row);
        row.encode(&mut self.buffer);
        if self.block < self.buffer.len() + self.kind.row_size() { self.flush(spool) } else { Ok(()) }
    }

    pub(crate) fn finish(mut self, spool: &mut Spool) -> io::Result<Segment> {
        self.flush(spool)?;
        Ok(Segment { kind: self.kind, extents: self.extents, stats: self.stats })
    }

    fn flush(&mut self, spool: &mut Spool) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let extent = spool.append(&self.buffer)?;
        self.buffer.clear();
        match self.extents.last_mut() {
            Some(last) if last.offset + last.length == extent.offset => last.length += extent.length,
            _ => self.extents.push(extent),
        }
        Ok(())
    }
}

/// Reads a segment, forwards or backwards.
#[derive(Debug)]
pub(crate) struct SegmentReader {
    kind: Kind,
    backwards: bool,
    /// Extents still to be read, the next one last.
    extents: Vec<Extent>,
    block: usize,
    buffer: Vec<u8>,
    next: usize,
}

impl SegmentReader {
    pub(crate) fn new(segment: &Segment, backwards: bool, open_already: usize) -> Self {
        let mut extents = segment.extents.clone();
        if !backwards {
            extents.reverse();
        }
        let block = if open_already < SERIES_FEW { BLOCK_LARGE } else { BLOCK_SMALL };
        Self { kind: segment.kind, backwards, extents, block, buffer: Vec::new(), next: 0 }
    }

    pub(crate) fn next(&mut self, spool: &Spool) -> io::Result<Option<Row>> {
        let size = self.kind.row_size();
        if self.next * size == self.buffer.len() && !self.load(spool)? {
            return Ok(None);
        }
        let rows = self.buffer.len() / size;
        let index = if self.backwards { rows - 1 - self.next } else { self.next };
        self.next += 1;
        Ok(Some(Row::decode(self.kind, &self.buffer[index * size..(index + 1) * size])))
    }

    fn load(&mut self, spool: &Spool) -> io::Result<bool> {
        let Some(extent) = self.extents.last_mut() else { return Ok(false) };
        let size = self.kind.row_size();
        let whole_rows = (self.block / size * size) as u64;
        let length = extent.length.min(whole_rows);
        let offset = if self.backwards { extent.offset + extent.length - length } else { extent.offset };
        extent.length -= length;
        if !self.backwards {
            extent.offset += length;
        }
        if extent.length == 0 {
            self.extents.pop();
        }
        self.buffer.resize(usize::try_from(length).expect("at most a block"), 0);
        self.next = 0;
        read_exact_at(&spool.file, &mut self.buffer, offset)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(line: u64) -> Row {
        let opened_at = line.cast_signed() * 1_000_000;
        let body = Body::Bar {
            opened_at,
            lag: 7,
            open: 2,
            high: 4,
            low: 1,
            close: 3,
            volume: line.is_multiple_of(2).then_some(1 + i128::from(line / 2 % 3)),
        };
        Row { file: 9, line, body }
    }

    #[test]
    fn interleaved_series_read_back_in_both_directions() {
        let mut spool = Spool::new().expect("spool");
        let mut writers = [SegmentWriter::new(Kind::Bars, 0), SegmentWriter::new(Kind::Bars, SERIES_FEW)];
        for line in 0..6_000 {
            writers[(line % 2) as usize].push(&bar(line), &mut spool).expect("push");
        }
        for (odd, writer) in writers.into_iter().enumerate() {
            let segment = writer.finish(&mut spool).expect("finish");
            assert_eq!(segment.stats.rows, 3_000);
            assert_eq!((segment.stats.up, segment.stats.down, segment.stats.conflicts), (2_999, 0, 0));
            for backwards in [false, true] {
                let mut reader = SegmentReader::new(&segment, backwards, 0);
                let mut lines = Vec::new();
                while let Some(row) = reader.next(&spool).expect("read") {
                    assert_eq!(row, bar(row.line));
                    lines.push(row.line);
                }
                let mut want: Vec<u64> = (0..6_000).filter(|l| l % 2 == odd as u64).collect();
                if backwards {
                    want.reverse();
                }
                assert_eq!(lines, want);
            }
        }
    }

    #[test]
    fn blocks_are_small_from_the_hundred_and_twenty_ninth_series_on() {
        let mut spool = Spool::new().expect("spool");
        let segment = SegmentWriter::new(Kind::Bars, 0).finish(&mut spool).expect("finish");
        for (open_already, block) in [(127, 65_536), (128, 16_384)] {
            assert_eq!(SegmentWriter::new(Kind::Bars, open_already).block, block);
            assert_eq!(SegmentReader::new(&segment, false, open_already).block, block);
        }
    }

    #[test]
    fn a_block_is_written_as_soon_as_the_next_row_would_not_fit() {
        let mut spool = Spool::new().expect("spool");
        let mut writer = SegmentWriter::new(Kind::Bars, SERIES_FEW);
        for line in 0..150 {
            writer.push(&bar(line), &mut spool).expect("push");
        }
        assert_eq!((writer.buffer.len(), spool.end), (150 * 108, 0));
        writer.push(&bar(150), &mut spool).expect("push");
        assert_eq!((writer.buffer.len(), spool.end), (0, 151 * 108));
        writer.push(&bar(151), &mut spool).expect("push");
        // What follows without a gap is one extent.
        let segment = writer.finish(&mut spool).expect("finish");
        assert_eq!(segment.extents.iter().map(|e| (e.offset, e.length)).collect::<Vec<_>>(), [(0, 152 * 108)]);
        // It is read back in blocks of whole rows, too.
        for backwards in [false, true] {
            let mut reader = SegmentReader::new(&segment, backwards, SERIES_FEW);
            let mut lengths = Vec::new();
            while reader.next(&spool).expect("read").is_some() {
                lengths.push(reader.buffer.len());
            }
            assert_eq!((lengths[0], lengths[150], lengths[151]), (151 * 108, 151 * 108, 108));
        }
    }

    #[test]
    fn a_row_conflicts_with_the_one_before_it_unless_a_time_is_later_and_none_earlier() {
        let check = |rows: [(Micros, Micros); 2], up_down_conflicts| {
            let mut stats = Stats::default();
            for (received_at, published_at) in rows {
                let body = Body::Quote { received_at, published_at, price: 1, confidence: 0 };
                stats.note(&Row { file: 0, line: 2, body });
            }
            assert_eq!((stats.up, stats.down, stats.conflicts), up_down_conflicts, "{rows:?}");
            assert_eq!(stats.rows, 2);
        };
        check([(1, 1), (2, 1)], (1, 0, 0));
        check([(2, 2), (2, 3)], (0, 0, 0));
        check([(1, 1), (1, 1)], (0, 0, 1));
        check([(2, 2), (3, 1)], (1, 0, 1));
        check([(2, 2), (2, 1)], (0, 0, 1));
        check([(2, 2), (1, 1)], (0, 1, 0));
    }

    #[test]
    fn steps_past_the_five_hundred_and_twelfth_are_rounded_up_by_at_most_a_thirty_second() {
        for (step, rounded) in [(0, 0), (1, 1), (63, 63), (64, 64), (65, 66), (1_000, 1_008), (1_024, 1_024)] {
            assert_eq!(rounded_up(step), rounded, "{step}");
        }
        let mut steps = Steps::default();
        for i in 1..=514 {
            steps.note(0, i * 1_000);
        }
        // The last one is still counted apart.
        let last: Vec<(Micros, u64)> = steps.table().into_iter().rev().take(3).collect();
        assert_eq!(last, [(516_096, 1), (514_000, 1), (512_000, 1)]);
        // A known one stays exact.
        steps.note(0, 512_000);
        steps.note(0, 1_000);
        assert_eq!(steps.table().into_iter().find(|(step, _)| *step == 512_000), Some((512_000, 2)));
    }

    #[test]
    fn of_two_longest_steps_the_first_is_named() {
        let mut steps = Steps::default();
        steps.note(10, 17);
        steps.note(17, 10);
        steps.note(20, 27);
        assert_eq!((steps.longest, steps.total, steps.table()), ((7, 10), 3, vec![(7, 3)]));
        let mut later = Steps::default();
        later.note(30, 37);
        steps.join(&later);
        assert_eq!((steps.longest, steps.total, steps.table()), ((7, 10), 4, vec![(7, 4)]));
        later.note(37, 45);
        steps.join(&later);
        assert_eq!((steps.longest, steps.total, steps.table()), ((8, 37), 6, vec![(7, 5), (8, 1)]));
    }

    #[test]
    fn steps_are_exact_until_there_are_too_many_different_ones() {
        let mut steps = Steps::default();
        for i in 1..=1_000 {
            steps.note(0, i * 1_000_003);
        }
        assert!(steps.counts.len() <= Steps::DISTINCT_MAX + 64 * 32);
        assert_eq!(steps.total, 1_000);
        assert_eq!(steps.longest, (1_000 * 1_000_003, 0));
        assert_eq!(steps.quantile(1, 2), Some(500 * 1_000_003));
        let p999 = steps.quantile(999, 1_000).expect("steps");
        assert!((999 * 1_000_003..=999 * 1_000_003 / 32 * 33).contains(&p999), "{p999}");
        assert_eq!(Steps::default().quantile(1, 2), None);
    }
}
