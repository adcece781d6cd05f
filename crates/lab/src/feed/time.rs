//! Times as they stand in files, to microseconds since 1970 UTC.
//!
//! A column's shape (which unit, or which calendar notation) is decided by the first value that fits one, and then holds for the
//! whole file: a later value of another shape is refused instead of being guessed at.

use super::Micros;
use super::decimal::parse_decimal;

/// One second in microseconds.
pub const SECOND: Micros = 1_000_000;
/// One day in microseconds.
pub const DAY: Micros = 86_400 * SECOND;
/// Times before 1990-01-01 are refused. Daily equity series start in the 1990s; a count of seconds read as milliseconds lies in 1970.
pub const TIME_MIN: Micros = 7_305 * DAY;
/// Times from 2100-01-01 on are refused.
pub const TIME_MAX: Micros = 47_482 * DAY;

/// Why a time was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeError {
    /// Not a time in the column's shape.
    Malformed,
    /// A time, but before [`TIME_MIN`] or from [`TIME_MAX`] on, in the column's shape.
    Absurd,
    /// `D/M/YYYY` where `M/D/YYYY` was decided, or the reverse: the whole column is in doubt.
    OtherDayOrder,
}

/// One time in any notation that a column may have, with a unit by magnitude where it is a count.
pub fn parse_instant(text: &str) -> Option<Micros> {
    TimeColumn::new(None, false).parse(text.trim().as_bytes()).ok()
}

/// How a column writes its times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeShape {
    /// A count since 1970 UTC; the field is the number of counts in a second.
    Count(i64),
    /// `YYYY-MM-DD`, optionally with a time of day, fraction and zone; UTC where no zone is given.
    Iso,
    /// `M/D/YYYY`, optionally with a time of day; UTC.
    MonthDayYear,
    /// `D/M/YYYY`, optionally with a time of day; UTC.
    DayMonthYear,
}

impl TimeShape {
    /// A phrase for the echo.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Count(1) => "seconds since 1970 UTC",
            Self::Count(1_000) => "milliseconds since 1970 UTC",
            Self::Count(1_000_000) => "microseconds since 1970 UTC",
            Self::Count(_) => "nanoseconds since 1970 UTC",
            Self::Iso => "ISO-8601, UTC where no zone is given",
            Self::MonthDayYear => "M/D/YYYY, UTC",
            Self::DayMonthYear => "D/M/YYYY, UTC",
        }
    }
}

/// Reads one time column.
#[derive(Clone, Debug)]
pub(crate) struct TimeColumn {
    shape: Option<TimeShape>,
    day_first: bool,
    /// Whether a date with slashes had a day above 12, so that it has one reading alone.
    day_proven: bool,
    /// The last calendar day read, as text and as days since 1970: consecutive rows mostly share it.
    last_day: Option<([u8; 10], i64)>,
}

impl TimeColumn {
    /// A column whose unit its name states (`ts_ms`), or one that the first value decides.
    pub(crate) fn new(stated: Option<TimeShape>, day_first: bool) -> Self {
        Self { shape: stated, day_first, day_proven: false, last_day: None }
    }

    /// How the column was read, for the echo. `None` if no value fitted any shape.
    pub(crate) fn describe(&self) -> Option<String> {
        let shape = self.shape?;
        let doubt = match shape {
            TimeShape::MonthDayYear | TimeShape::DayMonthYear if !self.day_proven => {
                " (no date in it tells day and month apart; dates=mdy or dates=dmy says which)"
            }
            TimeShape::Count(_) | TimeShape::Iso | TimeShape::MonthDayYear | TimeShape::DayMonthYear => "",
        };
        Some(format!("{}{doubt}", shape.describe()))
    }

    pub(crate) fn parse(&mut self, text: &[u8]) -> Result<Micros, TimeError> {
        let text = text.trim_ascii();
        match self.shape {
            Some(shape) => self.parse_as(shape, text),
            None => self.decide(text),
        }
    }

    fn decide(&mut self, text: &[u8]) -> Result<Micros, TimeError> {
        let slashed = if self.day_first { TimeShape::DayMonthYear } else { TimeShape::MonthDayYear };
        let shapes = [
            TimeShape::Count(1),
            TimeShape::Count(1_000),
            TimeShape::Count(1_000_000),
            TimeShape::Count(1_000_000_000),
            TimeShape::Iso,
            slashed,
        ];
        // The four units cannot be confused: 1990..2100 is 6.3e8..4.1e9 in seconds, and each finer unit lies a thousandfold higher.
        let mut refusal = TimeError::Malformed;
        for shape in shapes {
            match self.parse_as(shape, text) {
                Ok(at) => {
                    self.shape = Some(shape);
                    return Ok(at);
                }
                Err(TimeError::Malformed) => {}
                Err(other) => refusal = other,
            }
        }
        Err(refusal)
    }

    fn parse_as(&mut self, shape: TimeShape, text: &[u8]) -> Result<Micros, TimeError> {
        let at = match shape {
            TimeShape::Count(per_second) => parse_count(text, per_second)?,
            TimeShape::Iso => self.parse_iso(text)?,
            TimeShape::MonthDayYear => self.parse_slashed(text, false)?,
            TimeShape::DayMonthYear => self.parse_slashed(text, true)?,
        };
        if (TIME_MIN..TIME_MAX).contains(&at) { Ok(at) } else { Err(TimeError::Absurd) }
    }

    fn parse_iso(&mut self, text: &[u8]) -> Result<Micros, TimeError> {
        let Some((day_text, rest)) = text.split_at_checked(10) else { return Err(TimeError::Malformed) };
        let day = match &self.last_day {
            Some((known, day)) if known == day_text => *day,
            _ => {
                let separator = day_text[4];
                if !matches!(separator, b'-' | b'/') || day_text[7] != separator {
                    return Err(TimeError::Malformed);
                }
                let day = civil_day(number(&day_text[..4])?, number(&day_text[5..7])?, number(&day_text[8..])?)?;
                let mut known = [0; 10];
                known.copy_from_slice(day_text);
                self.last_day = Some((known, day));
                day
            }
        };
        Ok(day * DAY + time_of_day(rest)?)
    }

    /// `M/D/YYYY[ H:MM[:SS]]`, or the day first.
    fn parse_slashed(&mut self, text: &[u8], day_first: bool) -> Result<Micros, TimeError> {
        let mut parts = text.splitn(3, |b| *b == b'/');
        let (Some(first), Some(second), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(TimeError::Malformed);
        };
        let Some((year, clock)) = rest.split_at_checked(4) else { return Err(TimeError::Malformed) };
        let (first, second, year) = (number(first)?, number(second)?, number(year)?);
        let (month, day) = if day_first { (second, first) } else { (first, second) };
        if 12 < month && (1..=12).contains(&day) && month <= 31 {
            return Err(TimeError::OtherDayOrder);
        }
        let at = civil_day(year, month, day)? * DAY + time_of_day(clock)?;
        self.day_proven |= 12 < day;
        Ok(at)
    }
}

/// A count of seconds, milliseconds, …, possibly with decimals or an exponent.
fn parse_count(text: &[u8], per_second: i64) -> Result<Micros, TimeError> {
    let plain = text.len() <= 18 && text.iter().all(u8::is_ascii_digit);
    if plain {
        let count = number(text)?;
        return if per_second <= SECOND {
            count.checked_mul(SECOND / per_second).ok_or(TimeError::Absurd)
        } else {
            Ok(count / (per_second / SECOND))
        };
    }
    let micros_scale: u32 = match per_second {
        1 => 6,
        1_000 => 3,
        1_000_000 => 0,
        _ => return parse_nanos(text),
    };
    let parsed = parse_decimal(text, micros_scale).map_err(|_| TimeError::Malformed)?;
    i64::try_from(parsed.units).map_err(|_| TimeError::Absurd)
}

fn parse_nanos(text: &[u8]) -> Result<Micros, TimeError> {
    let parsed = parse_decimal(text, 0).map_err(|_| TimeError::Malformed)?;
    i64::try_from(parsed.units / 1_000).map_err(|_| TimeError::Absurd)
}

/// What may follow a date: nothing, or `T`/space, `H:MM[:SS[.fraction]]`, then nothing, `Z`, ` UTC` or an offset.
fn time_of_day(text: &[u8]) -> Result<Micros, TimeError> {
    let clock = match text {
        [] => return Ok(0),
        [b' ' | b'T' | b't', rest @ ..] => rest.trim_ascii(),
        _ => return Err(TimeError::Malformed),
    };
    let end = clock.iter().position(|b| !matches!(b, b'0'..=b'9' | b':' | b'.' | b',')).unwrap_or(clock.len());
    let (clock, zone) = clock.split_at(end);
    let mut parts = clock.splitn(3, |b| *b == b':');
    let (Some(hours), Some(minutes)) = (parts.next(), parts.next()) else { return Err(TimeError::Malformed) };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let (seconds, fraction) = match parts.next() {
        None => (0, 0),
        Some(text) => {
            let mut halves = text.splitn(2, |b| matches!(b, b'.' | b','));
            let seconds = number(halves.next().unwrap_or_default())?;
            (seconds, halves.next().map_or(Ok(0), fraction_micros)?)
        }
    };
    // A leap second is read as the second that follows it.
    if 23 < hours || 59 < minutes || 60 < seconds {
        return Err(TimeError::Malformed);
    }
    Ok((hours * 3_600 + minutes * 60 + seconds) * SECOND + fraction - zone_offset(zone.trim_ascii())?)
}

/// Up to nine decimals of a second, cut (not rounded) to microseconds: a time is never read as later than written.
fn fraction_micros(digits: &[u8]) -> Result<Micros, TimeError> {
    if digits.is_empty() || 9 < digits.len() {
        return Err(TimeError::Malformed);
    }
    let value = number(digits)?;
    let nanos = (digits.len()..9).fold(value, |acc, _| acc * 10);
    Ok(nanos / 1_000)
}

fn zone_offset(zone: &[u8]) -> Result<Micros, TimeError> {
    if zone.is_empty()
        || zone.eq_ignore_ascii_case(b"z")
        || zone.eq_ignore_ascii_case(b"utc")
        || zone.eq_ignore_ascii_case(b"gmt")
    {
        return Ok(0);
    }
    let (sign, rest) = match zone {
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return Err(TimeError::Malformed),
    };
    let (hours, minutes) = match rest.len() {
        2 => (number(rest)?, 0),
        4 => (number(&rest[..2])?, number(&rest[2..])?),
        5 if rest[2] == b':' => (number(&rest[..2])?, number(&rest[3..])?),
        _ => return Err(TimeError::Malformed),
    };
    if 14 < hours || 59 < minutes {
        return Err(TimeError::Malformed);
    }
    Ok(sign * (hours * 3_600 + minutes * 60) * SECOND)
}

/// Digits only, at most 18 of them.
fn number(digits: &[u8]) -> Result<i64, TimeError> {
    if digits.is_empty() || 18 < digits.len() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(TimeError::Malformed);
    }
    Ok(digits.iter().fold(0, |acc, d| acc * 10 + i64::from(d - b'0')))
}

/// Days since 1970-01-01 of a date of the Gregorian calendar; years 1900 to 2199.
fn civil_day(year: i64, month: i64, day: i64) -> Result<i64, TimeError> {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return Err(TimeError::Malformed),
    };
    if !(1..=length).contains(&day) {
        return Err(TimeError::Malformed);
    }
    if !(1900..2200).contains(&year) {
        return Err(TimeError::Absurd);
    }
    // Years counted from March, so that the leap day comes last: 153 days in five months, 365 and a quarter in a year.
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_epoch = shifted_year * 365 + shifted_year / 4 - shifted_year / 100 + shifted_year / 400 + day_of_year;
    Ok(day_of_epoch - 719_468)
}

/// Renders microseconds since 1970 as `2025-10-10T21:20:25.000000Z`.
pub fn format_time(at: Micros) -> String {
    let day = at.div_euclid(DAY);
    let clock = at.rem_euclid(DAY);
    let z = day + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (seconds, micros) = (clock / SECOND, clock % SECOND);
    let date = format!("{year:04}-{month:02}-{day_of_month:02}");
    let time = format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if micros == 0 { format!("{date}T{time}Z") } else { format!("{date}T{time}.{micros:06}Z") }
}

/// Renders a length of time in its largest whole unit: `250ms`, `5m`, `1d`.
pub fn format_span(span: Micros) -> String {
    let units = [("d", DAY), ("h", 3_600 * SECOND), ("m", 60 * SECOND), ("s", SECOND), ("ms", 1_000)];
    let unit = units.iter().find(|(_, size)| span != 0 && span % size == 0);
    match unit {
        Some((name, size)) => format!("{}{name}", span / size),
        None if span == 0 => "0s".to_string(),
        None => format!("{span}us"),
    }
}

/// Parses a length of time such as `250ms`, `1m`, `5s`, `1h`, `1d`, `10us`. `None` if it is not one.
pub fn parse_span(text: &str) -> Option<Micros> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at(split);
    let size = match unit {
        "us" => 1,
        "ms" => 1_000,
        "s" => SECOND,
        "m" | "min" => 60 * SECOND,
        "h" => 3_600 * SECOND,
        "d" => DAY,
        _ => return None,
    };
    digits.parse::<i64>().ok()?.checked_mul(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRASH: Micros = 1_760_131_225 * SECOND; // 2025-10-10T21:20:25Z

    #[track_caller]
    fn check(text: &str, want: Result<(Micros, TimeShape), TimeError>) {
        let mut column = TimeColumn::new(None, false);
        let got = column.parse(text.as_bytes());
        assert_eq!(got.map(|at| (at, column.shape.expect("decided"))), want, "{text:?}");
    }

    #[test]
    fn the_unit_follows_from_the_magnitude() {
        check("1760131225", Ok((CRASH, TimeShape::Count(1))));
        check("1760131225.25", Ok((CRASH + 250_000, TimeShape::Count(1))));
        check("1760131225000", Ok((CRASH, TimeShape::Count(1_000))));
        check("1760131225000.5", Ok((CRASH + 500, TimeShape::Count(1_000))));
        check("1760131225000001", Ok((CRASH + 1, TimeShape::Count(1_000_000))));
        check("1760131225000001.25", Ok((CRASH + 1, TimeShape::Count(1_000_000))));
        check("1760131225000001999", Ok((CRASH + 1, TimeShape::Count(1_000_000_000))));
        check("1.760131225e9", Ok((CRASH, TimeShape::Count(1))));
        check("0", Err(TimeError::Absurd));
        check("-5", Err(TimeError::Absurd));
        check("99999999999", Err(TimeError::Absurd));
        check("nan", Err(TimeError::Malformed));
        check("", Err(TimeError::Malformed));
    }

    #[test]
    fn calendar_notations() {
        check("2025-10-10T21:20:25Z", Ok((CRASH, TimeShape::Iso)));
        check("2025-10-10 21:20:25", Ok((CRASH, TimeShape::Iso)));
        check("2025/10/10 21:20:25", Ok((CRASH, TimeShape::Iso)));
        check("2025-10-10 21:20:25+00:00", Ok((CRASH, TimeShape::Iso)));
        check("2025-10-10 23:20:25.0000009+0200", Ok((CRASH, TimeShape::Iso)));
        check("2025-10-10 21:20:25.123456789 UTC", Ok((CRASH + 123_456, TimeShape::Iso)));
        check("2025-10/10", Err(TimeError::Malformed));
        check("2025.10.10", Err(TimeError::Malformed));
        check("2025-10-10", Ok((CRASH - (21 * 3_600 + 20 * 60 + 25) * SECOND, TimeShape::Iso)));
        check("10/10/2025 21:20", Ok((CRASH - 25 * SECOND, TimeShape::MonthDayYear)));
        check("1/4/1999", Ok((915_408_000 * SECOND, TimeShape::MonthDayYear)));
        check("12/10/2025", Ok((1_765_324_800 * SECOND, TimeShape::MonthDayYear)));
        check("13/12/2025", Err(TimeError::OtherDayOrder));
        check("31/12/2025", Err(TimeError::OtherDayOrder));
        check("32/12/2025", Err(TimeError::Malformed));
        check("31/13/2025", Err(TimeError::Malformed));
        check("23/12/2025", Err(TimeError::OtherDayOrder));
        check("2025-13-01", Err(TimeError::Malformed));
        check("2025-02-29", Err(TimeError::Malformed));
        check("2024-02-29", Ok((1_709_164_800 * SECOND, TimeShape::Iso)));
        check("2025-10-10 24:00:00", Err(TimeError::Malformed));
        check("2025-10-10x", Err(TimeError::Malformed));
        check("1970-01-01", Err(TimeError::Absurd));
        check("2100-01-01", Err(TimeError::Absurd));
        check("2099-12-31", Ok((TIME_MAX - DAY, TimeShape::Iso)));
        check("1990-01-01", Ok((TIME_MIN, TimeShape::Iso)));
    }

    #[test]
    fn a_time_of_day_and_its_zone_have_edges() {
        let seconds = |n: Micros| Ok(n * SECOND);
        let no = Err(TimeError::Malformed);
        for (text, want) in [
            ("", seconds(0)),
            ("T00:00", seconds(0)),
            ("t7:05", seconds(25_500)),
            (" 23:59:59", seconds(86_399)),
            (" 23:59:60", seconds(86_400)),
            (" 24:00", no),
            (" 23:60", no),
            (" 23:59:61", no),
            (" 7", no),
            (" 7:05:", no),
            (" :05", no),
            ("x7:05", no),
            (" 0:00:00.000001", Ok(1)),
            (" 0:00:00,5", Ok(500_000)),
            (" 0:00:00.123456789", Ok(123_456)),
            (" 0:00:00.1234567891", no),
            (" 0:00:00.", no),
            (" 12:00Z", seconds(43_200)),
            (" 12:00 Utc", seconds(43_200)),
            (" 12:00 GMT", seconds(43_200)),
            (" 12:00 EST", no),
            (" 12:00+02", seconds(36_000)),
            (" 12:00-02", seconds(50_400)),
            (" 12:00+0230", seconds(34_200)),
            (" 12:00-02:30", seconds(52_200)),
            (" 12:00+02x30", no),
            (" 12:00+2", no),
            (" 12:00+14:59", seconds(-10_740)),
            (" 12:00+15:00", no),
            (" 12:00+14:60", no),
        ] {
            assert_eq!(time_of_day(text.as_bytes()), want, "{text:?}");
        }
    }

    #[test]
    fn a_number_has_one_to_eighteen_digits() {
        assert_eq!(number(b"999999999999999999"), Ok(999_999_999_999_999_999));
        for text in ["", "1000000000000000000", "1x", "-1"] {
            assert_eq!(number(text.as_bytes()), Err(TimeError::Malformed), "{text:?}");
        }
    }

    #[test]
    fn a_month_has_its_days_and_a_leap_year_one_more() {
        let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        for (month, length) in (1..).zip(lengths) {
            assert!(civil_day(2025, month, length).is_ok(), "{month}");
            assert_eq!(civil_day(2025, month, length + 1), Err(TimeError::Malformed), "{month}");
            assert_eq!(civil_day(2025, month, 0), Err(TimeError::Malformed), "{month}");
        }
        assert_eq!(civil_day(2025, 0, 1), Err(TimeError::Malformed));
        assert_eq!(civil_day(2025, 13, 1), Err(TimeError::Malformed));
        assert_eq!(civil_day(2000, 2, 29), Ok(11_016));
        assert_eq!(civil_day(1900, 2, 29), Err(TimeError::Malformed));
        assert_eq!(civil_day(2100, 2, 29), Err(TimeError::Malformed));
        assert_eq!(civil_day(1899, 12, 31), Err(TimeError::Absurd));
        assert_eq!(civil_day(1900, 1, 1), Ok(-25_567));
        assert_eq!(civil_day(2199, 12, 31), Ok(84_005));
        assert_eq!(civil_day(2200, 1, 1), Err(TimeError::Absurd));
    }

    #[test]
    fn a_day_above_twelve_says_which_of_the_two_it_is() {
        let described = |texts: &[&str], day_first| {
            let mut column = TimeColumn::new(None, day_first);
            for text in texts {
                column.parse(text.as_bytes()).expect("a date");
            }
            column.describe()
        };
        let doubt = " (no date in it tells day and month apart; dates=mdy or dates=dmy says which)";
        assert_eq!(described(&[], false), None);
        assert_eq!(described(&["1/12/2025"], false), Some(format!("M/D/YYYY, UTC{doubt}")));
        assert_eq!(described(&["1/13/2025", "1/12/2025"], false), Some("M/D/YYYY, UTC".to_string()));
        assert_eq!(described(&["12/1/2025"], true), Some(format!("D/M/YYYY, UTC{doubt}")));
        assert_eq!(described(&["13/1/2025", "14/1/2025"], true), Some("D/M/YYYY, UTC".to_string()));
        assert_eq!(described(&["1760131225"], false), Some("seconds since 1970 UTC".to_string()));
        assert_eq!(described(&["1760131225000"], false), Some("milliseconds since 1970 UTC".to_string()));
        assert_eq!(described(&["1760131225000000"], false), Some("microseconds since 1970 UTC".to_string()));
        assert_eq!(described(&["1760131225000000000"], false), Some("nanoseconds since 1970 UTC".to_string()));
        assert_eq!(described(&["2025-10-10"], true), Some("ISO-8601, UTC where no zone is given".to_string()));
    }

    #[test]
    fn one_time_is_read_like_a_column_of_one() {
        assert_eq!(parse_instant(" 2025-10-10T21:20:25Z "), Some(CRASH));
        assert_eq!(parse_instant("1760131225"), Some(CRASH));
        assert_eq!(parse_instant("13/10/2025"), None);
        assert_eq!(parse_instant(""), None);
    }

    #[test]
    fn a_time_is_shown_to_the_microsecond_where_it_has_any() {
        assert_eq!(format_time(CRASH), "2025-10-10T21:20:25Z");
        assert_eq!(format_time(CRASH + 7), "2025-10-10T21:20:25.000007Z");
        assert_eq!(format_time(-1), "1969-12-31T23:59:59.999999Z");
    }

    #[test]
    fn the_first_value_decides_for_the_whole_column() {
        let mut column = TimeColumn::new(None, false);
        assert_eq!(column.parse(b"garbage"), Err(TimeError::Malformed));
        assert_eq!(column.parse(b"1760131225000"), Ok(CRASH));
        assert_eq!(column.parse(b"1760131225"), Err(TimeError::Absurd));
        assert_eq!(column.parse(b"2025-10-10"), Err(TimeError::Malformed));
    }

    #[test]
    fn every_day_of_two_centuries_reads_back() {
        let mut column = TimeColumn::new(Some(TimeShape::Iso), false);
        for day in 7_305..47_482 {
            let at = day * DAY;
            assert_eq!(column.parse(&format_time(at).as_bytes()[..10]), Ok(at));
        }
    }

    #[test]
    fn spans() {
        let spans = [
            ("10us", 10),
            ("250ms", 250_000),
            ("5s", 5_000_000),
            ("5m", 300_000_000),
            ("2h", 7_200_000_000),
            ("1d", 86_400_000_000),
        ];
        for (text, span) in spans {
            assert_eq!(parse_span(text), Some(span));
            assert_eq!(format_span(span), text);
        }
        assert_eq!(parse_span("5min"), Some(300 * SECOND));
        assert_eq!(parse_span("5"), None);
        assert_eq!(parse_span("m"), None);
        assert_eq!(parse_span("99999999999999999d"), None);
        assert_eq!(format_span(0), "0s");
        assert_eq!(format_span(1_500_001), "1500001us");
    }
}
