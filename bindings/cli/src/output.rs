//! What goes to stdout (data) and stderr (everything else), and how numbers, sizes and untrusted text are shown.

use std::io::{IsTerminal, Write};

use serde_json::Value;

use crate::failure::Failure;

/// Writes text to stdout at once.
pub(crate) fn text(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::stdout)
}

/// Writes a line to stdout.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    self::text(&format!("{text}\n"))
}

/// Writes a JSON value as one line.
pub(crate) fn json(value: &Value) -> Result<(), Failure> {
    line(&value.to_string())
}

/// Writes generated text: as it is into a pipe, without control characters on a terminal, which they could drive.
pub(crate) fn generated(text: &str) -> Result<(), Failure> {
    if std::io::stdout().is_terminal() { self::text(&harmless(text)) } else { self::text(text) }
}

/// Writes a line to stderr. Messages quote files, so control characters are taken out; a closed stderr is no failure.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", harmless(text));
}

/// `text` with every control character but line breaks and tabs replaced.
pub(crate) fn harmless(text: &str) -> String {
    let bad = |c: char| c.is_control() && c != '\n' && c != '\t';
    text.chars().map(|c| if bad(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// `text` on one line, in quotes.
pub(crate) fn quoted(text: &str) -> String {
    harmless(&format!("'{}'", text.replace('\n', "\\n").replace('\t', "\\t")))
}

/// An f32 as the shortest decimal that gives it back; null where it is not finite, which JSON cannot say.
pub(crate) fn number(value: f32) -> Value {
    value.to_string().parse::<f64>().ok().filter(|v| v.is_finite()).map_or(Value::Null, Value::from)
}

/// A measured number, rounded to `digits` decimals; null where it is not finite.
pub(crate) fn rounded(value: f64, digits: i32) -> Value {
    let scale = 10f64.powi(digits);
    Some((value * scale).round() / scale).filter(|v| v.is_finite()).map_or(Value::Null, Value::from)
}

/// The levels at which a GPU makes products of one row and of many.
pub(crate) fn levels([one, many]: [&str; 2]) -> String {
    if one == many { one.into() } else { format!("{one} and {many}") }
}

/// Bytes in binary units.
pub(crate) fn bytes(n: u64) -> String {
    let units = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let unit = units.iter().find(|unit| n >= unit.1);
    unit.map_or_else(|| format!("{n} B"), |(name, size)| format!("{:.2} {name}", n as f64 / *size as f64))
}

/// A number of parameters in decimal units.
pub(crate) fn count(n: u64) -> String {
    let units = [("B", 1e9), ("M", 1e6), ("K", 1e3)];
    let unit = units.iter().find(|unit| n as f64 >= unit.1);
    unit.map_or_else(|| n.to_string(), |(name, size)| format!("{:.2} {name}", n as f64 / size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_numbers_are_short_and_valid() {
        assert_eq!(number(-0.258082).to_string(), "-0.258082");
        assert_eq!(number(f32::NAN).to_string(), "null");
        assert_eq!(number(f32::NEG_INFINITY).to_string(), "null");
        assert_eq!(rounded(f64::INFINITY, 2).to_string(), "null");
    }

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        assert_eq!(harmless("a\x1b[2J\n\t\u{9b}b"), "a\u{fffd}[2J\n\t\u{fffd}b");
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!((bytes(98_362_432), bytes(12)), ("93.81 MiB".into(), "12 B".into()));
        assert_eq!(count(134_515_008), "134.52 M");
    }
}
