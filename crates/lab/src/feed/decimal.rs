//! Decimal text to fixed-point integers, exactly.
//!
//! A price never passes through a float: `0.1` is `100_000_000_000` counts of 1e-12, not the nearest binary fraction. Digits
//! beyond the wanted scale are rounded half to even and the result says that it happened, so the caller can count it.

/// Decimals of a price: one count is 1e-12 of the quote currency.
pub const PRICE_SCALE: u32 = 12;
/// Decimals of a volume: one count is 1e-8 of the base asset.
pub const VOLUME_SCALE: u32 = 8;
/// A number with more digits than this before the decimal point is refused: 10^24 at scale 12 still fits an `i128` with room.
pub const INTEGER_DIGITS_MAX: i64 = 24;

/// Why a text is not a usable number. Ordered from "nothing there" to "there, but not representable".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberError {
    /// The field is empty or blank.
    Empty,
    /// The text says `NaN`, `null`, `none` or `n/a`.
    NotANumber,
    /// The text says `inf` or `infinity`, with either sign.
    Infinite,
    /// Anything else that is not a decimal number.
    Malformed,
    /// A decimal number with more than [`INTEGER_DIGITS_MAX`] digits before the point, such as `1e400`.
    TooLarge,
}

/// A parsed number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// The value in counts of 10^-scale.
    pub units: i128,
    /// True if the text had digits beyond the scale that were not all zero. The value is then rounded half to even.
    pub rounded: bool,
    /// True if the text denotes exactly zero. `1e-40` is not zero, though its `units` are.
    pub zero: bool,
}

const POWERS_OF_TEN: [i128; 37] = {
    let mut powers = [1i128; 37];
    let mut i = 1;
    while i < powers.len() {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// Parses `text` into counts of 10^-`scale`. Spaces around the number are ignored; signs, a bare leading or trailing point and an
/// exponent are accepted; digit groups, currency signs and hexadecimal are not.
///
/// # Panics
/// If `scale` exceeds 12: the digit limit above was chosen for at most 12 decimals.
pub fn parse_decimal(text: &[u8], scale: u32) -> Result<Decimal, NumberError> {
    assert!(scale <= PRICE_SCALE, "24 integer digits and 12 decimals are what an i128 is sure to hold");
    let text = text.trim_ascii();
    match parse_short(text, scale) {
        Some(units) => Ok(Decimal { units, rounded: false, zero: units == 0 }),
        None => parse_any(text, scale),
    }
}

/// The common case in one pass: up to 18 digits, at most one point, no sign, no exponent, no digit beyond the scale.
fn parse_short(text: &[u8], scale: u32) -> Option<i128> {
    if text.is_empty() || 19 < text.len() {
        return None;
    }
    let mut digits: u64 = 0;
    let mut point: Option<usize> = None;
    for (at, &byte) in text.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            // At most 19 digits reach here; 10^19 - 1 fits a u64.
            digits = digits * 10 + u64::from(digit);
        } else if byte == b'.' && point.is_none() {
            point = Some(at);
        } else {
            return None;
        }
    }
    let decimals = match point {
        Some(_) if text.len() == 1 => return None,
        Some(at) => text.len() - at - 1,
        None => 0,
    };
    let missing = (scale as usize).checked_sub(decimals)?;
    Some(i128::from(digits) * POWERS_OF_TEN[missing])
}

/// Every other case: sign, exponent, any number of digits. No allocation, linear in the length of the text.
fn parse_any(text: &[u8], scale: u32) -> Result<Decimal, NumberError> {
    let (negative, body) = match text.first() {
        None => return Err(NumberError::Empty),
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        Some(_) => (false, text),
    };
    let is = |word: &str| body.eq_ignore_ascii_case(word.as_bytes());
    if is("nan") || is("null") || is("none") || is("n/a") || is("na") {
        return Err(NumberError::NotANumber);
    }
    if is("inf") || is("infinity") {
        return Err(NumberError::Infinite);
    }
    let (mantissa, exponent) = match body.iter().position(|b| matches!(b, b'e' | b'E')) {
        None => (body, 0),
        Some(at) => (&body[..at], parse_exponent(&body[at + 1..])?),
    };

    // Pass 1: the shape. `significant` counts digits from the first non-zero one on; `decimals` those after the point.
    let mut seen_digit = false;
    let mut seen_point = false;
    let mut significant: i64 = 0;
    let mut decimals: i64 = 0;
    for &byte in mantissa {
        match byte {
            b'0'..=b'9' => {
                seen_digit = true;
                significant += i64::from(significant > 0 || byte != b'0');
                decimals += i64::from(seen_point);
            }
            b'.' if !seen_point => seen_point = true,
            _ => return Err(NumberError::Malformed),
        }
    }
    if !seen_digit {
        return Err(NumberError::Malformed);
    }
    if significant == 0 {
        return Ok(Decimal { units: 0, rounded: false, zero: true });
    }

    // The value is (the significant digits as an integer) * 10^shift, in counts of 10^-scale.
    let shift = i64::from(scale) + exponent - decimals;
    if INTEGER_DIGITS_MAX + i64::from(scale) < significant + shift {
        return Err(NumberError::TooLarge);
    }
    let keep = significant + shift.min(0);

    // Pass 2: the digits that are kept, then what decides the rounding: the first digit dropped and whether any other is not zero.
    let mut units: i128 = 0;
    let mut index: i64 = 0;
    let mut first_dropped = 0u8;
    let mut rest_dropped = false;
    for digit in mantissa.iter().filter(|b| **b != b'.').map(|b| b - b'0') {
        if index == 0 && digit == 0 {
            continue;
        }
        if index < keep {
            units = units * 10 + i128::from(digit);
        } else if index == keep {
            first_dropped = digit;
        } else {
            rest_dropped |= digit != 0;
        }
        index += 1;
    }
    if keep < 0 {
        // Every digit lies at least two places below the scale: less than a tenth of a count.
        return Ok(Decimal { units: 0, rounded: true, zero: false });
    }
    units *= POWERS_OF_TEN[usize::try_from(shift.max(0)).expect("bounded by the digit limit above")];
    let odd = units % 2 != 0;
    if 5 < first_dropped || (first_dropped == 5 && (rest_dropped || odd)) {
        units += 1;
    }
    let rounded = first_dropped != 0 || rest_dropped;
    Ok(Decimal { units: if negative { -units } else { units }, rounded, zero: false })
}

/// An exponent, held inside ±1,000,000: beyond that the outcome (too large, or zero) no longer depends on it.
fn parse_exponent(text: &[u8]) -> Result<i64, NumberError> {
    let (negative, digits) = match text.first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        Some(_) => (false, text),
        None => return Err(NumberError::Malformed),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(NumberError::Malformed);
    }
    let size = digits.iter().fold(0i64, |acc, d| (acc * 10 + i64::from(d - b'0')).min(1_000_000));
    Ok(if negative { -size } else { size })
}

/// Renders counts of 10^-`scale` as the shortest decimal text: the inverse of [`parse_decimal`].
pub fn format_decimal(units: i128, scale: u32) -> String {
    let one = POWERS_OF_TEN[scale as usize].unsigned_abs();
    let size = units.unsigned_abs();
    let mut text = format!("{}{}", if units < 0 { "-" } else { "" }, size / one);
    if !size.is_multiple_of(one) {
        let decimals = format!("{:0width$}", size % one, width = scale as usize);
        text.push('.');
        text.push_str(decimals.trim_end_matches('0'));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: &str) {
        let got = match parse_decimal(text.as_bytes(), PRICE_SCALE) {
            Ok(d) => format!("{}{}", d.units, if d.rounded { " rounded" } else { "" }),
            Err(e) => format!("{e:?}"),
        };
        assert_eq!(got, want, "{text:?}");
    }

    #[test]
    fn plain_numbers_are_exact() {
        check("1", "1000000000000");
        check("63.42", "63420000000000");
        check("0.1", "100000000000");
        check(" 259.74 ", "259740000000000");
        check("9999999999999999999", "9999999999999999999000000000000");
        check("42314.00000000", "42314000000000000");
        check(".5", "500000000000");
        check("5.", "5000000000000");
        check("+1", "1000000000000");
        check("-1.5", "-1500000000000");
        check("0.000", "0");
        check("-0", "0");
    }

    #[test]
    fn nineteen_characters_without_a_sign_are_read_in_one_pass() {
        assert_eq!(parse_short(b"63.42", 12), Some(63_420_000_000_000));
        assert_eq!(parse_short(b"9999999999999999999", 0), Some(9_999_999_999_999_999_999));
        assert_eq!(parse_short(b"0.12345678901234567", 12), None);
        assert_eq!(parse_short(b"10000000000000000000", 0), None);
        assert_eq!(parse_short(b"", 0), None);
    }

    #[test]
    fn exponents_are_plain_numbers() {
        check("4e-05", "40000000");
        check("1e-05", "10000000");
        check("1E+3", "1000000000000000");
        check("1.6097184e12", "1609718400000000000000000");
        check("0e400", "0");
    }

    #[test]
    fn digits_past_the_twelfth_round_half_to_even() {
        check("1.0000000000005", "1000000000000 rounded");
        check("1.0000000000015", "1000000000002 rounded");
        check("1.00000000000050000001", "1000000000001 rounded");
        check("1.0000000000004999", "1000000000000 rounded");
        check("1.000000000000500101", "1000000000001 rounded");
        check("1.00302319431652", "1003023194317 rounded");
        check("0.9999999999995", "1000000000000 rounded");
        check("0.99999999999949", "999999999999 rounded");
        check("-1.0000000000015", "-1000000000002 rounded");
        check("1.0000000000000000", "1000000000000");
        check("1e-12", "1");
        check("5e-13", "0 rounded");
        check("6e-13", "1 rounded");
        check("9e-14", "0 rounded");
        check("1e-400", "0 rounded");
    }

    #[test]
    fn the_largest_number_has_twenty_four_integer_digits() {
        check("999999999999999999999999", "999999999999999999999999000000000000");
        check("1000000000000000000000000", "TooLarge");
        check("0000000000000000000000000000000000007", "7000000000000");
        check("1e23", "100000000000000000000000000000000000");
        check("1e24", "TooLarge");
        check("1e400", "TooLarge");
        check("1e99999999999999999999", "TooLarge");
    }

    #[test]
    fn what_is_not_a_number_says_what_it_is() {
        check("", "Empty");
        check("  ", "Empty");
        check("NaN", "NotANumber");
        check("nan", "NotANumber");
        check("-nan", "NotANumber");
        for text in ["null", "None", "N/A", "na"] {
            check(text, "NotANumber");
        }
        check("inf", "Infinite");
        check("-Infinity", "Infinite");
        check("1,5", "Malformed");
        check("1:", "Malformed");
        check("/1", "Malformed");
        check("1.2.3", "Malformed");
        check(".", "Malformed");
        check("-", "Malformed");
        check("1e", "Malformed");
        check("1e+", "Malformed");
        check("1e5.5", "Malformed");
        check("0x10", "Malformed");
        check("$5", "Malformed");
        check("12 3", "Malformed");
    }

    #[test]
    fn formatting_is_the_shortest_text() {
        assert_eq!(format_decimal(63_420_000_000_000, 12), "63.42");
        assert_eq!(format_decimal(-1, 12), "-0.000000000001");
        assert_eq!(format_decimal(10, 0), "10");
        assert_eq!(format_decimal(0, 12), "0");
    }
}
