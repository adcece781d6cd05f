//! How both sides write what they tell each other.

use protocol::Mode;

/// A mode's name.
#[must_use]
pub const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Normal => "normal",
        Mode::Cautious => "cautious",
        Mode::ReduceOnly => "reduce-only",
        Mode::CancelOnly => "cancel-only",
        Mode::Halted => "halted",
        Mode::Settling => "settling",
    }
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of hexadecimal digits, as many as there are.
#[must_use]
pub fn unhex_all(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    // A sign is no digit, though a number may begin with one.
    if !rest.is_empty() || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    pairs.iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// The bytes of exactly twice as many hexadecimal digits.
#[must_use]
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() == N * 2 { unhex_all(text)?.try_into().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_bytes_and_nothing_else_is() {
        assert_eq!(hex(&[0, 10, 255]), "000aff");
        assert_eq!(unhex("000aFF"), Some([0, 10, 255]));
        assert_eq!(unhex_all(""), Some(Vec::new()));
        for text in ["+f", "0", "0g", " 0", "é", "000a"] {
            assert_eq!(unhex::<1>(text), None, "{text}");
        }
        assert_eq!(unhex_all("000a"), Some(vec![0, 10]));
        assert_eq!(unhex_all("-1"), None);
    }
}
