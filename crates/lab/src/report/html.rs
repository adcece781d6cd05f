//! Text for the page: escaping, and numbers as people read them.

use crate::feed::Micros;
use crate::feed::time::format_time;
use std::fmt::Write;

/// Text as HTML, also inside a quoted attribute. Control characters other than blanks become visible.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() && c != '\n' && c != '\t' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// JSON for a `<script type="application/json">`: nothing in it can end the element or open a comment.
pub(super) fn embed(json: &serde_json::Value) -> String {
    json.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// `2025-10-10 21:15:03 UTC`, with a fraction only where there is one.
pub(super) fn time(at: Micros) -> String {
    let text = format_time(at);
    format!("{} UTC", text.trim_end_matches('Z').replace('T', " "))
}

/// A whole number in groups of three: `1,234,567`.
pub(super) fn count(value: u64) -> String {
    group(&value.to_string())
}

/// US dollars: whole from a thousand on, with cents below.
pub(super) fn usd(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_string();
    }
    let sign = if value <= -0.005 { "−" } else { "" };
    if value.abs() < 999.995 {
        return format!("{sign}${:.2}", value.abs());
    }
    format!("{sign}${}", group(&format!("{:.0}", value.abs())))
}

/// A number with this many decimals, or a dash where there is none.
pub(super) fn number(value: Option<f64>, decimals: usize) -> String {
    match value {
        Some(value) if value.is_finite() => format!("{value:.decimals$}"),
        Some(_) | None => "–".to_string(),
    }
}

/// Seconds as `1 h 15 min`, `12 min 30 s`, `4.2 s`, `6 ms`.
pub(super) fn span(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "–".to_string();
    }
    if 0.0 < seconds && seconds < 0.1 {
        return format!("{:.0} ms", seconds * 1e3);
    }
    if seconds < 60.0 {
        return format!("{:.*} s", if seconds.fract() == 0.0 { 0 } else { 1 }, seconds);
    }
    let whole = seconds.round() as u64;
    let (big, small) = match whole {
        0..3_600 => ((whole / 60, "min"), (whole % 60, "s")),
        3_600..86_400 => ((whole / 3_600, "h"), (whole / 60 % 60, "min")),
        _ => ((whole / 86_400, "d"), (whole / 3_600 % 24, "h")), // tidy: open set
    };
    let mut text = format!("{} {}", big.0, big.1);
    if small.0 != 0 {
        write!(text, " {} {}", small.0, small.1).expect("a string takes all");
    }
    text
}

fn group(digits: &str) -> String {
    let mut grouped = String::new();
    for (at, digit) in digits.char_indices() {
        if 0 < at && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        assert_eq!(
            escape("<script>alert('1')</script> & \"x\"\0"),
            "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;x&quot;\u{fffd}"
        );
        assert_eq!(
            embed(&serde_json::json!(["</script><!--", "a&b"])),
            "[\"\\u003c/script\\u003e\\u003c!--\",\"a\\u0026b\"]"
        );
    }

    #[test]
    fn numbers_as_people_read_them() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"].map(String::from));
        assert_eq!(
            [0.0, -0.004, 12.345, 999.99, 999.995, 1_234_567.5, -5_000.0, f64::NAN].map(usd),
            ["$0.00", "$0.00", "$12.35", "$999.99", "$1,000", "$1,234,568", "−$5,000", "–"].map(String::from)
        );
        assert_eq!(
            [0.0, 0.006, 4.25, 60.0, 750.0, 4_500.0, 90_000.0].map(span),
            ["0 s", "6 ms", "4.2 s", "1 min", "12 min 30 s", "1 h 15 min", "1 d 1 h"].map(String::from)
        );
        assert_eq!(number(Some(1.5), 2), "1.50");
        assert_eq!(number(None, 2), "–");
        assert_eq!(time(1_760_130_903_127_000), "2025-10-10 21:15:03.127000 UTC");
    }
}
