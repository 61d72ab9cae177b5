//! A QR code in the terminal, where it fits.

use std::io::{self, IsTerminal as _};

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// The code as lines of half-block characters, black on white whatever the terminal's colours are.
/// `None` where it does not fit into `columns` or `text` is too long for a code.
pub fn lines(text: &str, columns: usize) -> Option<Vec<String>> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let picture = code.render::<Dense1x2>().quiet_zone(true).module_dimensions(1, 1).build();
    let lines: Vec<String> =
        picture.lines().map(|line| format!("\x1b[38;5;16;48;5;231m{line}\x1b[0m")).collect();
    (code.width() + QUIET_ZONE_MODULES * 2 <= columns).then_some(lines)
}

const QUIET_ZONE_MODULES: usize = 4;

/// Columns of the terminal on standard error, where there is one that understands colours.
pub fn terminal_columns() -> Option<usize> {
    if !io::stderr().is_terminal() || std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
        return None;
    }
    ratatui::crossterm::terminal::size().ok().map(|(columns, _)| usize::from(columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_that_does_not_fit_is_left_out() {
        let address = "http://192.168.178.20:8700/j/ABCDEF";
        let code = lines(address, 80).expect("fits");
        assert!(code.len() > 10);
        assert!(lines(address, 20).is_none());
    }

    #[test]
    fn the_code_is_framed_by_its_quiet_zone() {
        let code = lines("x", 80).expect("fits");
        assert_eq!(code.first().map(|line| line.contains('█')), Some(false));
    }
}
