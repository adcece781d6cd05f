//! The stream: all series merged by receive time, each bar opened into its corners.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use super::args::BarPath;
use super::spool::{Body, Row, SegmentReader};
use super::{Feed, FeedError, Micros};

/// Which price of a row an event carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A bar's first price.
    Open,
    /// A bar's highest price.
    High,
    /// A bar's lowest price.
    Low,
    /// A bar's last price.
    Close,
    /// A published quote.
    Quote,
}

/// The bar that an event ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarRef {
    /// First price, in counts of 1e-12 of the quote currency.
    pub open: i128,
    /// Highest price.
    pub high: i128,
    /// Lowest price.
    pub low: i128,
    /// Last price.
    pub close: i128,
    /// Volume in counts of 1e-8 base units. `None`: the file does not say; not zero.
    pub volume: Option<i128>,
}

/// One observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedEvent {
    /// When it can be known. Never decreases along the stream.
    pub received_at: Micros,
    /// The time the price stands for: the quote's, or a third of the way through the bar for each corner after the open.
    pub published_at: Micros,
    /// When the bar opened; for a quote the same as `published_at`.
    pub opened_at: Micros,
    /// Index into [`Feed::series`].
    pub series: u32,
    /// Which price.
    pub kind: EventKind,
    /// Price in counts of 1e-12 of the quote currency; above zero.
    pub price: i128,
    /// Half-width the source claims, in the same counts; zero for bars, which claim none.
    pub confidence: i128,
    /// The whole bar, on its last corner only.
    pub bar: Option<BarRef>,
    /// The line in its file, from 1.
    pub line: u64,
}

/// Iterator over a feed's observations, by receive time; at equal times by series, then row, then corner.
pub struct Merge<'a> {
    feed: &'a Feed,
    cursors: Vec<Cursor>,
    heads: BinaryHeap<Reverse<(Micros, u32)>>,
    current: Option<Current>,
    failed: bool,
}

/// Where reading a series stands.
struct Cursor {
    width: Micros,
    reader: SegmentReader,
    /// Segments after the one being read.
    segment_next: usize,
    received_last: Micros,
    row: Option<Row>,
}

/// The row whose corners are being given out.
struct Current {
    series: u32,
    received_at: Micros,
    width: Micros,
    row: Row,
    corner: usize,
}

impl<'a> Merge<'a> {
    pub(crate) fn new(feed: &'a Feed) -> Result<Self, FeedError> {
        let count = feed.stored.len();
        let mut merge = Self {
            feed,
            cursors: Vec::with_capacity(count),
            heads: BinaryHeap::with_capacity(count),
            current: None,
            failed: false,
        };
        for (index, stored) in feed.stored.iter().enumerate() {
            let reader = SegmentReader::new(&stored.segments[0], false, count);
            let mut cursor =
                Cursor { width: stored.width, reader, segment_next: 1, received_last: Micros::MIN, row: None };
            if let Some(received_at) = cursor.advance(feed, index)? {
                let index = u32::try_from(index).expect("at most SERIES_MAX series");
                merge.heads.push(Reverse((received_at, index)));
            }
            merge.cursors.push(cursor);
        }
        Ok(merge)
    }

    /// Takes the row that is received next and puts its successor in its place.
    fn take(&mut self) -> Result<Option<Current>, FeedError> {
        let Some(mut head) = self.heads.peek_mut() else { return Ok(None) };
        let Reverse((received_at, series)) = *head;
        let cursor = &mut self.cursors[series as usize];
        let row = cursor.row.take().expect("a head has its row loaded");
        let width = cursor.width;
        match cursor.advance(self.feed, series as usize)? {
            Some(next) => *head = Reverse((next, series)),
            None => {
                PeekMut::pop(head);
            }
        }
        Ok(Some(Current { series, received_at, width, row, corner: 0 }))
    }
}

impl Cursor {
    /// Loads the next row; returns when it is received. A source's messages arrive in the order sent, as on one connection: a row
    /// with a shorter lag than the row before it waits for that one.
    fn advance(&mut self, feed: &Feed, series: usize) -> Result<Option<Micros>, FeedError> {
        let segments = &feed.stored[series].segments;
        let row = loop {
            if let Some(row) = self.reader.next(&feed.spool)? {
                break row;
            }
            let Some(segment) = segments.get(self.segment_next) else { return Ok(None) };
            self.reader = SegmentReader::new(segment, false, feed.stored.len());
            self.segment_next += 1;
        };
        let received_at = match row.body {
            Body::Bar { opened_at, lag, .. } => opened_at + self.width + lag,
            Body::Quote { received_at, .. } => received_at,
        };
        self.received_last = self.received_last.max(received_at);
        self.row = Some(row);
        Ok(Some(self.received_last))
    }
}

impl Current {
    /// The event of the present corner, and whether it is the row's last.
    fn event(&self, path: BarPath) -> (FeedEvent, bool) {
        let Self { series, received_at, width, ref row, corner } = *self;
        let line = row.line;
        match row.body {
            Body::Quote { published_at, price, confidence, .. } => {
                let kind = EventKind::Quote;
                let opened_at = published_at;
                (
                    FeedEvent {
                        received_at,
                        published_at,
                        opened_at,
                        series,
                        kind,
                        price,
                        confidence,
                        bar: None,
                        line,
                    },
                    true,
                )
            }
            Body::Bar { opened_at, open, high, low, close, volume, .. } => {
                let low_first = match path {
                    BarPath::Auto => open <= close,
                    BarPath::Olhc => true,
                    BarPath::Ohlc => false,
                    BarPath::Close => true,
                };
                let corner = if path == BarPath::Close { 3 } else { corner };
                let (kind, price) = match (corner, low_first) {
                    (0, _) => (EventKind::Open, open),
                    (1, true) | (2, false) => (EventKind::Low, low),
                    (1, false) | (2, true) => (EventKind::High, high),
                    (_, _) => (EventKind::Close, close),
                };
                let published_at = opened_at + width * corner as i64 / 3;
                let last = corner == 3;
                let bar = last.then_some(BarRef { open, high, low, close, volume });
                (
                    FeedEvent { received_at, published_at, opened_at, series, kind, price, confidence: 0, bar, line },
                    last,
                )
            }
        }
    }
}

impl Iterator for Merge<'_> {
    type Item = Result<FeedEvent, FeedError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let mut current = match self.current.take() {
            Some(current) => current,
            None => match self.take() {
                Ok(Some(current)) => current,
                Ok(None) => return None,
                Err(error) => {
                    self.failed = true;
                    return Some(Err(error));
                }
            },
        };
        let (event, last) = current.event(self.feed.bar_path);
        if !last {
            current.corner += 1;
            self.current = Some(current);
        }
        Some(Ok(event))
    }
}
