//! Small forms for people: grouped hashes and codes, shares, QR codes.

use crate::language::Language;
use qrcode::{EcLevel, QrCode};
use std::fmt::Write;

/// Hexadecimal in groups of four, as people compare it.
pub fn grouped(hex: &str) -> String {
    let mut text = String::with_capacity(hex.len() * 5 / 4);
    for (place, digit) in hex.chars().enumerate() {
        if place > 0 && place % 4 == 0 {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// `part` of `whole` in tenths of a percent, rounded half up: `33.3 %`. Nothing of nothing is `0 %`.
pub fn share(language: Language, part: u64, whole: u64) -> String {
    if whole == 0 {
        return "0 %".to_owned();
    }
    let tenths = (u128::from(part) * 2000 + u128::from(whole)) / (u128::from(whole) * 2);
    match tenths % 10 {
        0 => format!("{} %", tenths / 10),
        tenth => format!("{}{}{tenth} %", tenths / 10, language.decimal_mark()),
    }
}

/// The path data of a QR code of `text` and its side in modules with the quiet zone of four on each side.
///
/// `None` if the text is too long for one.
pub fn qr_path(text: &str) -> Option<(String, usize)> {
    const QUIET: usize = 4;
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let width = code.width();
    let colors = code.to_colors();
    let mut path = String::new();
    for (row, line) in colors.chunks(width).enumerate() {
        let mut column = 0;
        while column < width {
            let run = line[column..].iter().take_while(|color| **color == qrcode::Color::Dark).count();
            if run > 0 {
                let _ = write!(path, "M{} {}h{run}v1h-{run}z", column + QUIET, row + QUIET);
            }
            column += run.max(1);
        }
    }
    Some((path, width + 2 * QUIET))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_half_up_to_a_tenth() {
        assert_eq!(share(Language::English, 1, 3), "33.3 %");
        assert_eq!(share(Language::German, 2, 3), "66,7 %");
        assert_eq!(share(Language::English, 1, 2), "50 %");
        assert_eq!(share(Language::English, 1, 2000), "0.1 %");
        assert_eq!(share(Language::English, 0, 0), "0 %");
        assert_eq!(share(Language::English, u64::MAX, u64::MAX), "100 %");
    }

    #[test]
    fn a_qr_code_has_its_quiet_zone() {
        let (path, side) = qr_path("http://192.168.1.5:8700/j/ABCDEF").unwrap();
        assert!(side >= 29 + 8 && path.starts_with("M4 4h7"));
    }
}
