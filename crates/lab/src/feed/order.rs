//! Order within one series: duplicates, rows out of order, a clock that jumps.
//!
//! A series that is in order, which is nearly every series, is written once and never touched again. Only one that is not, or
//! whose files overlap in time, passes through here.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;

use super::Micros;
use super::decimal::{PRICE_SCALE, format_decimal};
use super::quarantine::Reason;
use super::spool::{Body, Row, Segment, SegmentReader, Spool};
use super::time::format_time;

/// Rows that rewriting refused: the row, why, and the numbers.
pub(crate) type Refused = (Row, Reason, String);

/// Rows of several segments, each ascending, merged by time, then file, then line.
pub(crate) struct Merged {
    readers: Vec<SegmentReader>,
    heads: BinaryHeap<Reverse<(Micros, u32, u64, usize)>>,
    rows: Vec<Option<Row>>,
}

impl Merged {
    pub(crate) fn new(segments: &[Segment], spool: &Spool) -> io::Result<Self> {
        let readers = segments.iter().map(|s| SegmentReader::new(s, false, segments.len())).collect();
        let mut merged = Self { readers, heads: BinaryHeap::new(), rows: vec![None; segments.len()] };
        for index in 0..segments.len() {
            merged.load(index, spool)?;
        }
        Ok(merged)
    }

    pub(crate) fn next(&mut self, spool: &Spool) -> io::Result<Option<Row>> {
        let Some(Reverse((_, _, _, index))) = self.heads.pop() else { return Ok(None) };
        let row = self.rows[index].take();
        self.load(index, spool)?;
        Ok(row)
    }

    fn load(&mut self, index: usize, spool: &Spool) -> io::Result<()> {
        if let Some(row) = self.readers[index].next(spool)? {
            self.heads.push(Reverse((row.at(), row.file, row.line, index)));
            self.rows[index] = Some(row);
        }
        Ok(())
    }
}

/// Passes on the rows that ascend, in order; refuses the others, each with its reason. Of two rows in conflict the later in the file
/// is refused, except where the earlier one stands alone ahead of at least two that follow: then that one jumped.
pub(crate) fn keep_ascending(
    mut next: impl FnMut() -> io::Result<Option<Row>>,
    mut keep: impl FnMut(Row) -> io::Result<()>,
    mut refuse: impl FnMut(Refused) -> io::Result<()>,
) -> io::Result<()> {
    let mut ahead = next()?;
    let mut kept: Option<Row> = None;
    let mut held: Option<Row> = None;
    while let Some(row) = ahead {
        ahead = next()?;
        let Some(last) = held.take() else {
            held = Some(row);
            continue;
        };
        match conflict(&last, &row) {
            None => {
                keep(last.clone())?;
                kept = Some(last);
                held = Some(row);
            }
            Some(reason) => {
                let jumped = kept.as_ref().is_none_or(|k| conflict(k, &row).is_none())
                    && ahead.as_ref().is_some_and(|after| row.at() < after.at() && after.at() < last.at());
                if jumped {
                    let detail = format!(
                        "{} is ahead of the rows that follow: {}",
                        format_time(last.at()),
                        format_time(row.at())
                    );
                    refuse((last, Reason::TimeJump, detail))?;
                    held = Some(row);
                } else {
                    let detail =
                        format!("{} after {} in line {}", describe_times(&row), describe_times(&last), last.line);
                    refuse((row, reason, detail))?;
                    held = Some(last);
                }
            }
        }
    }
    match held {
        Some(last) => keep(last),
        None => Ok(()),
    }
}

/// Why `row` cannot follow `last`, if it cannot.
fn conflict(last: &Row, row: &Row) -> Option<Reason> {
    match (&last.body, &row.body) {
        (Body::Bar { opened_at: before, .. }, Body::Bar { opened_at: now, .. }) => match now.cmp(before) {
            std::cmp::Ordering::Greater => None,
            std::cmp::Ordering::Equal => Some(Reason::Duplicate),
            std::cmp::Ordering::Less => Some(Reason::OutOfOrder),
        },
        (
            Body::Quote { received_at: before, published_at: published_before, .. },
            Body::Quote { received_at: now, published_at: published_now, .. },
        ) => {
            if now < before {
                Some(Reason::ClockBack)
            } else if published_now < published_before {
                Some(Reason::OutOfOrder)
            } else if now == before && published_now == published_before {
                Some(Reason::Duplicate)
            } else {
                None
            }
        }
        (Body::Bar { .. }, Body::Quote { .. }) | (Body::Quote { .. }, Body::Bar { .. }) => {
            unreachable!("a series is either of bars or of quotes")
        }
    }
}

fn describe_times(row: &Row) -> String {
    match row.body {
        Body::Bar { opened_at, .. } => format_time(opened_at),
        Body::Quote { received_at, published_at, .. } => {
            format!("received {} published {}", format_time(received_at), format_time(published_at))
        }
    }
}

/// The values of a row whose text is no longer at hand.
pub(crate) fn describe(row: &Row) -> String {
    let price = |units| format_decimal(units, PRICE_SCALE);
    let values = match row.body {
        Body::Bar { open, high, low, close, .. } => {
            format!("open {} high {} low {} close {}", price(open), price(high), price(low), price(close))
        }
        Body::Quote { price: value, confidence, .. } => {
            format!("price {} confidence {}", price(value), price(confidence))
        }
    };
    format!("{} {values}", describe_times(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bars opened at these seconds, in this order, in lines 2, 3, …
    #[track_caller]
    fn check(opened: &[i64], kept: &[i64], refused: &str) {
        let mut rows = opened.iter().zip(2..).map(|(at, line)| Row {
            file: 0,
            line,
            body: Body::Bar { opened_at: at * 1_000_000, lag: 0, open: 1, high: 1, low: 1, close: 1, volume: None },
        });
        let (mut got_kept, mut got_refused) = (Vec::new(), Vec::new());
        keep_ascending(
            || Ok(rows.next()),
            |row| {
                got_kept.push(row.at() / 1_000_000);
                Ok(())
            },
            |(row, reason, _)| {
                got_refused.push(format!("{}:{}", row.line, reason.name()));
                Ok(())
            },
        )
        .expect("no file involved");
        assert_eq!(got_kept, kept);
        assert_eq!(got_refused.join(" "), refused);
        assert_eq!(got_kept.len() + got_refused.len(), opened.len());
    }

    #[test]
    fn a_series_keeps_what_ascends() {
        check(&[], &[], "");
        check(&[1], &[1], "");
        check(&[1, 2, 3], &[1, 2, 3], "");
        check(&[1, 1, 2], &[1, 2], "3:duplicate");
        check(&[1, 3, 2, 4], &[1, 3, 4], "4:out_of_order");
        check(&[1, 2, 1, 2, 3], &[1, 2, 3], "4:out_of_order 5:duplicate");
    }

    #[test]
    fn one_row_far_ahead_does_not_cost_the_rest() {
        check(&[1, 2, 900, 3, 4, 5], &[1, 2, 3, 4, 5], "4:time_jump");
        check(&[900, 1, 2, 3], &[1, 2, 3], "2:time_jump");
        // Two rows have to follow it, neither as late as it nor in conflict with what was there before.
        check(&[1, 900, 2], &[1, 900], "4:out_of_order");
        check(&[1, 900, 2, 2, 3], &[1, 2, 3], "4:out_of_order 3:time_jump");
        check(&[1, 900, 2, 900, 901], &[1, 900, 901], "4:out_of_order 5:duplicate");
        check(&[1, 900, 2, 899, 901], &[1, 2, 899, 901], "3:time_jump");
        check(&[3, 900, 2, 4, 5], &[3, 4, 5], "4:out_of_order 3:time_jump");
    }

    #[test]
    fn a_clock_set_back_costs_the_rows_until_it_has_caught_up() {
        check(&[10, 11, 12, 2, 3, 13], &[10, 11, 12, 13], "5:out_of_order 6:out_of_order");
    }
}
