//! Text with a unit to integers and back, exactly. No floating point and no rounding: a number that the type can't
//! hold is refused with the reason.

use crate::Value;
use crate::error::Problem;
use crate::keys::Key;

/// How a key's value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A span of time, kept in microseconds.
    Span,
    /// A ratio, kept in parts per 10^12.
    Ratio,
    /// An amount, kept in micro-USD.
    Money,
    /// A price, kept in counts of 1e-12 USD until a market's scale is known.
    Price,
    /// A whole number of things; the only form that is a TOML integer.
    Count { max: i64 },
    /// The name of a pool or lineage.
    Name,
    /// One of these words.
    Choice { of: &'static [&'static str] },
}

/// A unit and how many of the kept parts it has. Larger units stand first.
type Unit = (&'static str, u128);

const SPAN: &[Unit] =
    &[("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000)];
const RATIO: &[Unit] = &[("%", 10_000_000_000), ("bps", 100_000_000)];
const MONEY: &[Unit] = &[("USD", 1_000_000)];
const PRICE: &[Unit] = &[("USD", 1_000_000_000_000)];

/// Digits after the point beyond which nothing can be exact: a day is 2^13 times an odd number of the kept parts, and no
/// unit has a higher power of 2 or of 5.
const DECIMALS_MAX: usize = 13;

impl Form {
    fn units(self) -> &'static [Unit] {
        match self {
            Form::Span => SPAN,
            Form::Ratio => RATIO,
            Form::Money => MONEY,
            Form::Price => PRICE,
            Form::Count { .. } | Form::Name | Form::Choice { .. } => &[],
        }
    }

    /// The units as a reader would name them.
    pub(crate) fn unit_names(self) -> &'static str {
        match self {
            Form::Span => "ms, s, m, h, d",
            Form::Ratio => "%, bps",
            Form::Money | Form::Price => "USD",
            Form::Count { .. } | Form::Name | Form::Choice { .. } => "none",
        }
    }

    /// The smallest step that is kept, as text.
    fn step(self) -> &'static str {
        match self {
            Form::Span => "0.001ms",
            Form::Ratio => "0.0000000001%",
            Form::Money => "0.000001 USD",
            Form::Price => "0.000000000001 USD",
            Form::Count { .. } | Form::Name | Form::Choice { .. } => "1",
        }
    }

    /// A regular expression of the texts that are accepted, as far as one can say it.
    pub(crate) fn pattern(self) -> &'static str {
        match self {
            Form::Span => "^[0-9]+(_[0-9]+)*(\\.[0-9]+)? ?(ms|s|m|h|d)$",
            Form::Ratio => "^[0-9]+(_[0-9]+)*(\\.[0-9]+)? ?(%|bps)$",
            Form::Money | Form::Price => "^[0-9]+(_[0-9]+)*(\\.[0-9]+)? ?USD$",
            Form::Count { .. } => "^[0-9]+$",
            Form::Name | Form::Choice { .. } => NAME_PATTERN,
        }
    }
}

/// What [`is_name`] accepts.
pub(crate) const NAME_PATTERN: &str = "^[!#-\\[\\]-~]{1,64}$";

/// Whether a text can name a pool, market, source or lineage: 1 to 64 printable ASCII characters without blanks,
/// quotes or backslashes. Letters that only look like ASCII would make an override that never applies.
pub(crate) fn is_name(text: &str) -> bool {
    let printable = text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
    !text.is_empty() && text.len() <= 64 && printable
}

/// Reads the text of a key's value.
pub(crate) fn read(key: &'static Key, text: &str) -> Result<Value, Problem> {
    let form = key.form;
    if form == Form::Name {
        return if is_name(text) {
            Ok(Value::Name(text.to_owned()))
        } else {
            Err(Problem::BadName { text: shown(text) })
        };
    }
    if let Form::Choice { of } = form {
        return if of.contains(&text) {
            Ok(Value::Name(text.to_owned()))
        } else {
            Err(Problem::NoChoice { text: shown(text), of })
        };
    }
    let not_decimal = || Problem::NotDecimal { text: shown(text), units: form.unit_names(), example: key.example };
    let too_large = || Problem::TooLarge { text: shown(text), max: largest(form) };
    if text.starts_with('-') {
        return Err(Problem::Negative { text: shown(text) });
    }

    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '_' || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let grouped = whole.split('_').all(|group| !group.is_empty());
    if !grouped || fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(not_decimal());
    }
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    if unit.is_empty() {
        return Err(Problem::NoUnit { text: shown(text), units: form.unit_names(), example: key.example });
    }
    let Some(&(_, parts)) = form.units().iter().find(|(name, _)| *name == unit) else {
        // Letters or a sign are a unit of another key; anything else (an exponent, a second blank) is no number.
        let word = unit == "%" || unit.chars().all(char::is_alphabetic);
        let (text, units, example) = (shown(text), form.unit_names(), key.example);
        return Err(if word {
            Problem::UnknownUnit { text, unit: shown(unit), units, example }
        } else {
            Problem::NotDecimal { text, units, example }
        });
    };

    let mut count: u128 = 0;
    for digit in whole.bytes().filter(u8::is_ascii_digit) {
        let digit = u128::from(digit - b'0');
        count = count.checked_mul(10).and_then(|c| c.checked_add(digit)).ok_or_else(too_large)?;
    }
    let count = count.checked_mul(parts).ok_or_else(too_large)?;

    let fraction = fraction.trim_end_matches('0');
    if DECIMALS_MAX < fraction.len() {
        return Err(Problem::TooFine { text: shown(text), step: form.step() });
    }
    let (mut rest, mut scale): (u128, u128) = (0, 1);
    for digit in fraction.bytes() {
        rest = rest * 10 + u128::from(digit - b'0');
        scale *= 10;
    }
    // rest < 10^13 and parts <= 10^12, so the product fits.
    let rest = rest * parts;
    if rest % scale != 0 {
        return Err(Problem::TooFine { text: shown(text), step: form.step() });
    }
    let total = count.checked_add(rest / scale).ok_or_else(too_large)?;
    match form {
        Form::Price => i128::try_from(total).map(Value::Pico).map_err(|_| too_large()),
        Form::Span | Form::Ratio | Form::Money => i64::try_from(total).map(Value::Int).map_err(|_| too_large()),
        Form::Count { .. } | Form::Name | Form::Choice { .. } => Err(not_decimal()),
    }
}

/// Reads a whole number that TOML already took apart.
pub(crate) fn read_count(max: i64, text: &str) -> Result<Value, Problem> {
    let too_large = || Problem::TooLarge { text: shown(text), max: grouped(max.unsigned_abs().into()) };
    if text.starts_with('-') {
        return Err(Problem::Negative { text: shown(text) });
    }
    let count: i64 = text.parse().map_err(|_| too_large())?;
    if count <= max { Ok(Value::Int(count)) } else { Err(too_large()) }
}

/// The canonical text of a value, without quotes.
pub(crate) fn write(form: Form, value: &Value) -> String {
    match value {
        Value::Name(name) => name.clone(),
        Value::Int(n) => write_parts(form, u128::from(n.unsigned_abs())),
        Value::Pico(n) => write_parts(form, n.unsigned_abs()),
    }
}

fn write_parts(form: Form, parts: u128) -> String {
    match form {
        Form::Span => {
            let whole = SPAN.iter().find(|(_, unit)| parts != 0 && parts.is_multiple_of(*unit));
            match whole {
                Some((name, unit)) => format!("{}{name}", grouped(parts / unit)),
                None if parts == 0 => "0s".to_owned(),
                None => format!("{}ms", decimal(parts, 3)),
            }
        }
        Form::Ratio => format!("{}%", decimal(parts, 10)),
        Form::Money => format!("{} USD", decimal(parts, 6)),
        Form::Price => format!("{} USD", decimal(parts, 12)),
        Form::Count { .. } | Form::Name | Form::Choice { .. } => grouped(parts),
    }
}

/// The largest value of a form, as text.
fn largest(form: Form) -> String {
    match form {
        Form::Price => write_parts(form, i128::MAX.unsigned_abs()),
        Form::Span => format!("{}ms", decimal(u128::from(i64::MAX.unsigned_abs()), 3)),
        Form::Ratio | Form::Money => write_parts(form, u128::from(i64::MAX.unsigned_abs())),
        Form::Count { max } => grouped(max.unsigned_abs().into()),
        Form::Name | Form::Choice { .. } => "64 characters".to_owned(),
    }
}

/// `parts / 10^decimals` without trailing zeros.
pub(crate) fn decimal(parts: u128, decimals: u8) -> String {
    let unit = 10_u128.pow(u32::from(decimals));
    let whole = grouped(parts / unit);
    let fraction = format!("{:0width$}", parts % unit, width = usize::from(decimals));
    match fraction.trim_end_matches('0') {
        "" => whole,
        fraction => format!("{whole}.{fraction}"),
    }
}

/// Digits in groups of three.
pub(crate) fn grouped(n: u128) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i != 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('_');
        }
        text.push(digit);
    }
    text
}

/// Outside text for a message: escaped and cut, so that a hostile file can't fill or steer a terminal.
pub(crate) fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let mut shown: String = text.chars().take(CHARS_MAX).flat_map(char::escape_debug).collect();
    if CHARS_MAX < text.chars().count() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{self, MARKET, SOURCE};

    fn check(name: &str, text: &str, expected: Result<Value, &str>) {
        let key = keys::find(MARKET, name).or(keys::find(SOURCE, name)).unwrap();
        let found = read(key, text).map_err(|problem| problem.to_string());
        assert_eq!(found, expected.map_err(str::to_owned), "{name} = {text:?}");
    }

    #[test]
    fn quantities_are_read_exactly() {
        for (text, micros) in [
            ("0s", 0),
            ("1.5 s", 1_500_000),
            ("1.5s", 1_500_000),
            ("10s", 10_000_000),
            ("250ms", 250_000),
            ("0.001ms", 1),
            ("5m", 300_000_000),
            ("2h", 7_200_000_000),
            ("1d", 86_400_000_000),
            ("0.0001220703125d", 10_546_875),
            ("9_223_372_036_854_775.807ms", i64::MAX),
        ] {
            check("oracle.age_max", text, Ok(Value::Int(micros)));
        }
        for (text, parts) in [
            ("0.5%", 5_000_000_000),
            ("0.50%", 5_000_000_000),
            ("50 bps", 5_000_000_000),
            ("100%", 1_000_000_000_000),
            ("0.0000000001%", 1),
            ("922_337_203.6854775807%", i64::MAX),
        ] {
            check("oracle.agree", text, Ok(Value::Int(parts)));
        }
        for (text, micro) in [("1_000 USD", 1_000_000_000), ("0.000001 USD", 1), ("9223372036854.775807USD", i64::MAX)]
        {
            check("order_size_max", text, Ok(Value::Int(micro)));
        }
        check("price_min", "0.000000000001 USD", Ok(Value::Pico(1)));
        check("price_max", "9_223_372_036_854_775 USD", Ok(Value::Pico(9_223_372_036_854_775_000_000_000_000)));
    }

    #[test]
    fn what_is_not_a_plain_decimal_with_a_unit_is_refused_with_the_remedy() {
        let units = "is not a plain decimal number with one of the units ms, s, m, h, d; write for example `10s`";
        for text in [
            "", "s", ".5s", "1.s", "1..2s", "1_s", "_1s", "1__0s", "1.0_0s", "10  s", " 10s", "10s ", "+1s", "1e3s",
            "1,5s", "١s", "nan", "10 s s",
        ] {
            check("oracle.age_max", text, Err(&format!("`{}` {units}", shown(text))));
        }
        let units = "is not a plain decimal number with one of the units %, bps; write for example `1%`";
        for text in ["1e3%", "0x10%", "１%", "1%%", "inf"] {
            check("oracle.agree", text, Err(&format!("`{text}` {units}")));
        }
    }

    #[test]
    fn a_unit_is_required_and_must_be_one_of_the_keys() {
        check("oracle.age_max", "10", Err("`10` has no unit; write one of ms, s, m, h, d after the number: `10s`"));
        check("oracle.age_max", "10 ", Err("`10 ` has no unit; write one of ms, s, m, h, d after the number: `10s`"));
        check("oracle.age_max", "10 µs", Err("`10 µs` has the unit `µs`; use one of ms, s, m, h, d: `10s`"));
        check("oracle.age_max", "10%", Err("`10%` has the unit `%`; use one of ms, s, m, h, d: `10s`"));
        check("oracle.agree", "10s", Err("`10s` has the unit `s`; use one of %, bps: `1%`"));
        check("order_size_max", "10 EUR", Err("`10 EUR` has the unit `EUR`; use one of USD: `10_000_000 USD`"));
    }

    #[test]
    fn what_the_type_can_t_hold_is_refused_one_past_the_edge() {
        let max = "9_223_372_036_854_775.807ms";
        check(
            "oracle.age_max",
            "9_223_372_036_854_775.808ms",
            Err(&format!("`9_223_372_036_854_775.808ms` is too large; at most {max}")),
        );
        let long = "9".repeat(80);
        let cut = "9".repeat(60);
        check("oracle.age_max", &format!("{long}s"), Err(&format!("`{cut}…` is too large; at most {max}")));
        check(
            "oracle.agree",
            "922_337_203.6854775808%",
            Err("`922_337_203.6854775808%` is too large; at most 922_337_203.6854775807%"),
        );
        check(
            "order_size_max",
            "9223372036854.775808 USD",
            Err("`9223372036854.775808 USD` is too large; at most 9_223_372_036_854.775807 USD"),
        );
        check("price_max", "170141183460469231731687303.715884105727 USD", Ok(Value::Pico(i128::MAX)));
        check(
            "price_max",
            "170141183460469231731687303.715884105728 USD",
            Err(
                "`170141183460469231731687303.715884105728 USD` is too large; at most 170_141_183_460_469_231_731_687_303.715884105727 USD",
            ),
        );
        check(
            "oracle.age_max",
            "0.0001ms",
            Err("`0.0001ms` is finer than 0.001ms, the smallest step that is kept; round it"),
        );
        check(
            "oracle.agree",
            "0.00000000001%",
            Err("`0.00000000001%` is finer than 0.0000000001%, the smallest step that is kept; round it"),
        );
        check(
            "oracle.agree",
            "0.0000000000000000001%",
            Err("`0.0000000000000000001%` is finer than 0.0000000001%, the smallest step that is kept; round it"),
        );
        check(
            "oracle.age_max",
            "0.00012207031251d",
            Err("`0.00012207031251d` is finer than 0.001ms, the smallest step that is kept; round it"),
        );
        let zeros = "0".repeat(50);
        check(
            "oracle.age_max",
            &format!("0.{zeros}1d"),
            Err(&format!("`0.{zeros}1d` is finer than 0.001ms, the smallest step that is kept; round it")),
        );
        check("oracle.agree", "-1%", Err("`-1%` is negative; no key of a policy may be"));
    }

    #[test]
    fn outside_text_is_shown_escaped_and_up_to_sixty_characters() {
        assert_eq!(shown(&"µ".repeat(60)), "µ".repeat(60));
        assert_eq!(shown(&"µ".repeat(61)), "µ".repeat(60) + "…");
        assert_eq!(shown("a\u{1b}[2J\n"), "a\\u{1b}[2J\\n");
    }

    #[test]
    fn names_are_printable_ascii() {
        assert!(is_name("BTC-USD") && is_name("BTC/USD:USDT") && is_name("~!#'") && is_name(&"a".repeat(64)));
        for name in ["", " ", "a b", "\u{0412}TC", "a\"b", "a\\b", "a\nb", &"a".repeat(65)] {
            assert!(!is_name(name), "{name:?}");
        }
    }

    #[test]
    fn the_pattern_of_the_schema_accepts_what_the_reader_accepts() {
        let texts = [
            "10s",
            "1.5 s",
            "1_000ms",
            "1d",
            "2h",
            "0.5%",
            "50 bps",
            "1_000 USD",
            "0.000001USD",
            "1__0s",
            "1_s",
            "1e3%",
            "10",
            "10  s",
            "+1s",
            "-1%",
            ".5%",
            "1.%",
            "10 s s",
            "main",
            "a b",
            "BTC-USD",
            "",
            "\u{0412}",
            "a\"",
            "a\\",
            "!",
            "~",
            "[",
            "]",
            "#",
        ];
        for key in MARKET.iter().chain(SOURCE) {
            if matches!(key.form, Form::Count { .. } | Form::Choice { .. }) {
                continue;
            }
            let pattern = regex_lite::Regex::new(key.form.pattern()).unwrap();
            for text in texts {
                let accepted = !matches!(
                    read(key, text),
                    Err(Problem::NotDecimal { .. }
                        | Problem::NoUnit { .. }
                        | Problem::UnknownUnit { .. }
                        | Problem::Negative { .. }
                        | Problem::BadName { .. })
                );
                assert_eq!(pattern.is_match(text), accepted, "{} = {text:?}", key.name);
            }
        }
    }

    #[test]
    fn canonical_text_takes_the_largest_unit_that_comes_out_even() {
        for (micros, text) in [
            (0, "0s"),
            (1, "0.001ms"),
            (1_500_000, "1_500ms"),
            (150_000_000, "150s"),
            (300_000_000, "5m"),
            (172_800_000_000, "2d"),
        ] {
            assert_eq!(write(Form::Span, &Value::Int(micros)), text);
        }
        assert_eq!(write(Form::Ratio, &Value::Int(5_000_000_000)), "0.5%");
        assert_eq!(write(Form::Money, &Value::Int(1_234_567_890_000)), "1_234_567.89 USD");
        assert_eq!(write(Form::Price, &Value::Pico(100_000_000_000)), "0.1 USD");
    }
}
