//! What Python's templates expect of their surroundings: `tojson`, `length`, `iterable`, `raise_exception` and
//! `strftime_now`, as Hugging Face's tokenizers set them up.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::limits::spend;
use crate::text::tokenizer::MAX_TEXT;

/// The variable that holds the time of `strftime_now`, in seconds since 1970 (UTC).
pub(super) const NOW: &str = "__now";

/// Deeper values are not written as JSON: the writer recurses.
const MAX_JSON_DEPTH: usize = 128;

fn refuse(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// Adds them to an environment.
pub(super) fn install(env: &mut Environment<'_>) {
    env.add_filter("tojson", tojson);
    env.add_filter("length", length);
    env.add_filter("count", length);
    env.add_test("iterable", |value: &Value| !value.is_none() && value.try_iter().is_ok());
    env.add_function("raise_exception", |message: &str| -> Result<Value, Error> { Err(refuse(message.to_owned())) });
    env.add_function("strftime_now", |state: &State<'_, '_>, format: &str| {
        let now = state.lookup(NOW).and_then(|now| now.as_i64());
        now.map(|now| strftime(now, format)).ok_or_else(|| refuse("the time is not known"))
    });
}

/// As Python's `len`, but 0 for nothing at all: templates ask it of optional lists.
fn length(value: &Value) -> Result<usize, Error> {
    match value.kind() {
        ValueKind::None | ValueKind::Undefined => Ok(0),
        kind => value.len().ok_or_else(|| refuse(format!("a {kind} has no length"))),
    }
}

/// How `json.dumps` lays a value out.
struct Json {
    out: String,
    indent: Option<usize>,
    item: String,
    colon: String,
    ascii: bool,
    sort: bool,
}

/// `json.dumps` with Hugging Face's defaults: no HTML escaping, characters beyond ASCII as they are.
fn tojson(state: &mut State<'_, '_>, value: &Value, indent: Option<usize>, options: Kwargs) -> Result<String, Error> {
    let indent = indent.or(options.get::<Option<usize>>("indent")?).map(|n| n.min(64));
    let separators = options.get::<Option<Vec<String>>>("separators")?;
    let item = if indent.is_some() { "," } else { ", " };
    let (item, colon) = match separators.as_deref() {
        None => (item.to_owned(), ": ".to_owned()),
        Some([item, colon]) => (item.clone(), colon.clone()),
        Some(_) => return Err(refuse("separators are two strings")),
    };
    let ascii = options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
    let sort = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    options.assert_all_used()?;
    let mut json = Json { out: String::new(), indent, item, colon, ascii, sort };
    json.value(value, 0)?;
    spend(state, json.out.len() as u64)?;
    Ok(json.out)
}

impl Json {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > MAX_JSON_DEPTH {
            return Err(refuse("the value is nested too deeply for JSON"));
        }
        if self.out.len() > MAX_TEXT {
            return Err(refuse("the JSON is too long"));
        }
        match value.kind() {
            ValueKind::None => self.out += "null",
            ValueKind::Bool => self.out += if value.is_true() { "true" } else { "false" },
            ValueKind::Number if value.is_integer() => self.out += &value.to_string(),
            ValueKind::Number => self.out += &float(f64::try_from(value.clone())?),
            ValueKind::String => self.string(value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.container(['[', ']'], depth, items, |json, item| json.value(&item, depth + 1))?;
            }
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sort {
                    keys.sort();
                }
                self.container(['{', '}'], depth, keys, |json, key| {
                    match key.as_str() {
                        Some(text) => json.string(text),
                        None => json.string(&key.to_string()),
                    }
                    json.out.push_str(&json.colon);
                    json.value(&value.get_item(&key)?, depth + 1)
                })?;
            }
            kind => return Err(refuse(format!("a value of type {kind} cannot be written as JSON"))),
        }
        Ok(())
    }

    fn container(
        &mut self,
        [open, close]: [char; 2],
        depth: usize,
        items: Vec<Value>,
        mut write: impl FnMut(&mut Self, Value) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.out.push(open);
        let empty = items.is_empty();
        for (i, item) in items.into_iter().enumerate() {
            if i > 0 {
                self.out.push_str(&self.item);
            }
            self.newline(depth + 1);
            write(self, item)?;
        }
        if !empty {
            self.newline(depth);
        }
        self.out.push(close);
        Ok(())
    }

    fn newline(&mut self, depth: usize) {
        if let Some(indent) = self.indent {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n(' ', indent * depth));
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out += "\\\"",
                '\\' => self.out += "\\\\",
                '\n' => self.out += "\\n",
                '\r' => self.out += "\\r",
                '\t' => self.out += "\\t",
                '\u{8}' => self.out += "\\b",
                '\u{C}' => self.out += "\\f",
                c if c < ' ' || (self.ascii && c > '~') => {
                    let units =
                        c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>();
                    self.out += &units;
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }
}

/// A float as Python's `repr` writes it.
fn float(value: f64) -> String {
    if !value.is_finite() {
        return if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }
        .into();
    }
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-4..1e16).contains(&magnitude) {
        return format!("{value:?}");
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
    format!("{digits}e{sign}{exponent:0>2}")
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// The common directives of `strftime`; others stay as they are. `-` after the percent sign drops leading zeros.
fn strftime(now: i64, format: &str) -> String {
    let (day, second) = (now.div_euclid(86400), now.rem_euclid(86400));
    let (year, month, day_of_month) = civil(day);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    let weekday = DAYS[(day + 3).rem_euclid(7) as usize];
    let month_name = MONTHS[month as usize - 1];
    let day_of_year = day - days_to(year, 1, 1) + 1;
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let bare = chars.next_if_eq(&'-').is_some();
        let mut number = |value: i64, width: usize| {
            out += &if bare { value.to_string() } else { format!("{value:0width$}") };
        };
        match chars.next() {
            Some('Y') => number(year, 4),
            Some('y') => number(year.rem_euclid(100), 2),
            Some('m') => number(month, 2),
            Some('d') => number(day_of_month, 2),
            Some('H') => number(hour, 2),
            Some('I') => number((hour + 11) % 12 + 1, 2),
            Some('M') => number(minute, 2),
            Some('S') => number(second % 60, 2),
            Some('j') => number(day_of_year, 3),
            Some('e') => out += &format!("{day_of_month:2}"),
            Some('p') => out += if hour < 12 { "AM" } else { "PM" },
            Some('B') => out += month_name,
            Some('b' | 'h') => out += &month_name[..3],
            Some('A') => out += weekday,
            Some('a') => out += &weekday[..3],
            Some('F') => out += &strftime(now, "%Y-%m-%d"),
            Some('T') => out += &strftime(now, "%H:%M:%S"),
            Some('%') => out.push('%'),
            Some(other) => out.extend(['%', other]),
            None => out.push('%'),
        }
    }
    out
}

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    // the year of 365.2425 days gives the year or the one after it
    let mut year = 1970 + (days * 400).div_euclid(146_097);
    while days_to(year, 1, 1) > days {
        year -= 1;
    }
    while days_to(year + 1, 1, 1) <= days {
        year += 1;
    }
    let month = (1..=12).rev().find(|&month| days_to(year, month, 1) <= days).unwrap_or(1);
    (year, month, days - days_to(year, month, 1) + 1)
}

/// Days from 1970-01-01 to a date.
fn days_to(year: i64, month: i64, day: i64) -> i64 {
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][month as usize - 1];
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let past = year - 1;
    let leaps = past.div_euclid(4) - past.div_euclid(100) + past.div_euclid(400) - 477;
    (year - 1970) * 365 + leaps + before + i64::from(leap && month > 2) + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        // 2025-01-02 03:04:05 UTC was a Thursday
        let text = strftime(1_735_787_045, "%Y-%m-%d %d %b %Y %B %A %a %j %H:%M:%S %I%p %-d %y %% %q %F");
        assert_eq!(text, "2025-01-02 02 Jan 2025 January Thursday Thu 002 03:04:05 03AM 2 25 % %q 2025-01-02");
        assert_eq!(strftime(951_782_400, "%F %j"), "2000-02-29 060");
        assert_eq!(strftime(-1, "%F %T"), "1969-12-31 23:59:59");
        assert_eq!(strftime(0, "%A"), "Thursday");
    }

    #[test]
    fn floats_look_like_pythons() {
        let texts = [1.0, 0.1, 1e16, 1.5e-5, 123456.75, -0.0, 1e22].map(float);
        assert_eq!(texts, ["1.0", "0.1", "1e+16", "1.5e-05", "123456.75", "-0.0", "1e+22"]);
    }

    #[test]
    fn json_is_pythons() {
        let mut env = Environment::new();
        install(&mut env);
        let json = |source: &str| env.render_str(source, ()).unwrap();
        assert_eq!(
            json("{{ {'b': [1, 2.0, none, true], 'a': '<é\"\\n'}|tojson }}"),
            r#"{"b": [1, 2.0, null, true], "a": "<é\"\n"}"#
        );
        assert_eq!(json("{{ {'b': [], 'a': {}}|tojson(indent=2) }}"), "{\n  \"b\": [],\n  \"a\": {}\n}");
        assert_eq!(
            json("{{ {'b': 1, 'a': 'é'}|tojson(sort_keys=true, ensure_ascii=true) }}"),
            r#"{"a": "\u00e9", "b": 1}"#
        );
        assert_eq!(json("{{ [1, 2]|tojson(separators=(',', ':')) }}"), "[1,2]");
        assert!(env.render_str("{{ missing|tojson }}", ()).is_err());
    }
}
