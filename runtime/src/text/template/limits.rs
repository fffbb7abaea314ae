//! Budgets of memory and time for one rendering, charged by the filters that `rewrite` puts into the source.

use std::time::Duration;

use minijinja::value::{Kwargs, Rest, StringInput, ValueKind, ValueOrKwargs, from_args};
use minijinja::{Environment, Error, ErrorKind, State, Value, filters};

#[cfg(not(target_arch = "wasm32"))]
use std::time::Instant;
#[cfg(target_arch = "wasm32")]
use web_time::Instant;

use super::rewrite::{FLAT, KEPT, TIMES, WHOLE};

/// The variable that says how many bytes of text a rendering was given.
pub(super) const INPUT: &str = "__input";
/// Bytes of strings and containers that one rendering may move about, and how many more for each byte it was given.
const BUDGET: u64 = 256 << 20;
const BUDGET_PER_BYTE: u64 = 64;
/// No operation between two looks at the clock takes long.
const MAX_TIME: Duration = Duration::from_secs(10);
/// Deeper values are refused: dropping and printing them recurses.
const MAX_DEPTH: usize = 100;
/// What any value costs.
const CELL: u64 = 16;
/// Bytes of a string that `*` may repeat.
const MAX_REPEATED: usize = 64;
/// What a list element or split-off piece takes.
const PIECE: u64 = 32;

/// What is left to spend.
struct Budget {
    bytes: u64,
    until: Instant,
}

fn refuse(what: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("the template {what}"))
}

/// Takes from the budget.
pub(super) fn spend(state: &mut State<'_, '_>, bytes: u64) -> Result<(), Error> {
    if state.get_extension::<Budget>().is_none() {
        let input = state.lookup(INPUT).and_then(|input| input.as_i64()).unwrap_or(0).unsigned_abs();
        let bytes = BUDGET.saturating_add(input.saturating_mul(BUDGET_PER_BYTE));
        state.get_or_insert_extension(Budget { bytes, until: Instant::now() + MAX_TIME });
    }
    let budget = state.get_extension_mut::<Budget>().ok_or_else(|| refuse("lost its budget"))?;
    budget.bytes = budget.bytes.checked_sub(bytes).ok_or_else(|| refuse("moves too many bytes about"))?;
    Ok(())
}

/// Ends a rendering that takes too long.
fn check_time(state: &mut State<'_, '_>) -> Result<(), Error> {
    spend(state, CELL)?;
    match state.get_extension::<Budget>() {
        Some(budget) if Instant::now() > budget.until => Err(refuse("takes too long")),
        _ => Ok(()),
    }
}

/// Charges for a value and all it contains; for the text in it as well if `text`.
fn weigh(state: &mut State<'_, '_>, value: &Value, text: bool, depth: usize) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(refuse("nests values too deeply"));
    }
    spend(state, CELL + value.as_str().filter(|_| text).map_or(0, |text| text.len() as u64))?;
    // without a known length it may be a stream that can be read once
    let container = matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable | ValueKind::Map);
    if container && value.len().is_some() {
        for item in value.try_iter()? {
            if value.kind() == ValueKind::Map {
                weigh(state, &value.get_item(&item)?, text, depth + 1)?;
            }
            weigh(state, &item, text, depth + 1)?;
        }
    }
    Ok(())
}

fn whole(state: &mut State<'_, '_>, value: Value) -> Result<Value, Error> {
    weigh(state, &value, true, 0)?;
    Ok(value)
}

fn kept(state: &mut State<'_, '_>, value: Value) -> Result<Value, Error> {
    check_time(state)?;
    weigh(state, &value, false, 0)?;
    Ok(value)
}

fn flat(state: &mut State<'_, '_>, value: Value) -> Result<Value, Error> {
    let bytes = value.as_str().map_or_else(|| CELL * value.len().unwrap_or(0) as u64, |text| text.len() as u64);
    spend(state, CELL + bytes)?;
    Ok(value)
}

/// Sets an environment up so that no template can take unbounded memory.
pub(super) fn install(env: &mut Environment<'_>) {
    env.add_filter(WHOLE, whole);
    env.add_filter(KEPT, kept);
    env.add_filter(FLAT, flat);
    env.add_filter(TIMES, times);
    env.set_formatter(|out, state, value| {
        check_time(state)?;
        weigh(state, value, true, 0)?;
        minijinja::escape_formatter(out, state, value)
    });
    env.set_unknown_method_callback(method);
    env.add_filter("replace", replace);
    env.add_filter("join", join);
    env.add_filter("indent", indent);
    env.add_filter("format", format);
    env.add_filter("slice", |state: &mut State<'_, '_>, value: Value, count: usize, fill: Option<Value>| {
        spend(state, PIECE.saturating_mul(count as u64))?;
        filters::slice(state, value, count, fill)
    });
    env.add_filter("batch", |state: &mut State<'_, '_>, value: Value, count: usize, fill: Option<Value>| {
        spend(state, PIECE.saturating_mul(count as u64))?;
        filters::batch(state, value, count, fill)
    });
    for name in ["list", "split", "lines"] {
        pieces(env, name);
    }
    // they print everything, however large
    env.remove_filter("pprint");
    env.remove_global("debug");
}

/// Filters that cut a string into a list.
fn pieces(env: &mut Environment<'_>, name: &'static str) {
    env.add_filter(name, move |state: &mut State<'_, '_>, value: Value, rest: Rest<Value>| {
        spend(state, PIECE * value.as_str().map_or(0, |text| text.len() as u64))?;
        let text = |i: usize| rest.get(i).filter(|v| !v.is_none());
        match name {
            "list" => filters::list(state, value),
            "lines" => filters::lines(&value),
            _ => {
                let separator = text(0).and_then(Value::as_str).map(Into::into);
                filters::split(&value, separator, text(1).and_then(Value::as_i64))
            }
        }
    });
}

/// `*` repeats strings and lists: only short ones may be, and the count is charged.
fn times(state: &mut State<'_, '_>, value: Value) -> Result<Value, Error> {
    let len = match value.kind() {
        ValueKind::Number => 0,
        _ => value.len().unwrap_or(0),
    };
    if len > MAX_REPEATED {
        return Err(refuse("repeats a long value"));
    }
    let count = value.as_i64().map_or(0, i64::unsigned_abs);
    spend(state, CELL + count.saturating_mul(MAX_REPEATED as u64))?;
    Ok(value)
}

/// Bytes of `text` after replacing.
fn replaced(text: &str, from: &str, to: &str) -> u64 {
    (text.len() as u64).saturating_add((text.matches(from).count() as u64).saturating_mul(to.len() as u64))
}

fn replace(
    state: &mut State<'_, '_>,
    text: StringInput<'_>,
    from: StringInput<'_>,
    to: StringInput<'_>,
) -> Result<Value, Error> {
    spend(state, replaced(text.as_str(), from.as_str(), to.as_str()))?;
    filters::replace(state, text, from, to)
}

fn join(
    state: &mut State<'_, '_>,
    value: &Value,
    joiner: Option<StringInput<'_>>,
    attribute: Option<&str>,
    options: Kwargs,
) -> Result<Value, Error> {
    let each = match &joiner {
        Some(joiner) => joiner.as_str().len(),
        None => options.peek::<Option<&str>>("d").ok().flatten().map_or(0, str::len),
    };
    let count = value.len().unwrap_or(0) as u64;
    spend(state, count.saturating_mul(each as u64))?;
    weigh(state, value, true, 0)?;
    filters::join(state, value, joiner, attribute, options)
}

fn indent(state: &mut State<'_, '_>, text: StringInput<'_>, options: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let options = options.into_values();
    let (width, first, blank, options) = from_args::<(Option<usize>, Option<bool>, Option<bool>, Kwargs)>(&options)?;
    let wide = width.or(options.peek::<Option<usize>>("width").ok().flatten()).unwrap_or(4) as u64;
    let lines = text.as_str().matches('\n').count() as u64 + 1;
    spend(state, wide.saturating_mul(lines))?;
    filters::indent(text, width, first, blank, options)
}

fn format(state: &mut State<'_, '_>, pattern: &Value, values: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let values = values.into_values();
    charge_format(state, pattern.as_str().unwrap_or_default(), &values)?;
    filters::format(state, pattern, Rest(values.into_iter().map(ValueOrKwargs::from).collect()))
}

/// Each field may print every value, padded to a width that the pattern gives.
fn charge_format(state: &mut State<'_, '_>, pattern: &str, values: &[Value]) -> Result<(), Error> {
    // a width taken from the values cannot be seen here
    if pattern.contains('*') && pattern.contains('%') || pattern.contains(":{") {
        return Err(refuse("formats with a width that is not written out"));
    }
    let widths = pattern.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
    let width: u64 = widths.map(|digits| digits.parse().unwrap_or(u64::MAX)).fold(0, u64::saturating_add);
    spend(state, width.saturating_add(pattern.len() as u64))?;
    let fields = pattern.matches(['{', '%']).count();
    for value in values {
        for _ in 0..fields {
            weigh(state, value, true, 0)?;
        }
    }
    Ok(())
}

/// Python's methods on strings and maps, charged.
fn method(state: &mut State<'_, '_>, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let text = value.as_str().unwrap_or_default();
    spend(state, CELL + text.len() as u64)?;
    let arg = |i: usize| args.get(i).and_then(Value::as_str).unwrap_or_default();
    match name {
        "replace" => spend(state, replaced(text, arg(0), arg(1)))?,
        "split" | "rsplit" | "splitlines" => spend(state, PIECE * text.len() as u64)?,
        "format" => charge_format(state, text, args)?,
        "join" => {
            let list = args.first().cloned().unwrap_or_default();
            spend(state, (list.len().unwrap_or(0) as u64).saturating_mul(text.len() as u64))?;
            weigh(state, &list, true, 0)?;
        }
        _ => {}
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, name, args)
}
