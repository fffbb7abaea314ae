//! Prepares a template's source for the engine, which counts instructions but not memory.
//!
//! `{% set x = x ~ x %}` doubles a string in a handful of instructions. So a filter (`limits`) that charges what it is
//! given to a budget is put on every operand of `~`, `+` and `*`, on what every filter is given, on every list and map
//! that is built, and on every value that is assigned. The filter returns its input, so meaning does not change.
//!
//! Also here: `{% generation %}`, a training-time tag that marks assistant text, becomes `{% if true %}`.

/// Charges a value.
pub(super) const CHARGE: &str = "__charge";
/// Charges an operand of `*`.
pub(super) const CHARGE_TIMES: &str = "__charge_times";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Name,
    Number,
    Text,
    Sign,
}

#[derive(Clone, Copy, Debug)]
struct Token<'a> {
    kind: Kind,
    text: &'a str,
    start: usize,
}

impl Token<'_> {
    fn end(&self) -> usize {
        self.start + self.text.len()
    }

    fn is(&self, text: &str) -> bool {
        self.kind != Kind::Text && self.text == text
    }
}

/// Names after which a bracket opens a value of its own rather than a subscript or call.
const KEYWORDS: &[&str] =
    &["and", "or", "not", "in", "is", "if", "else", "elif", "for", "set", "with", "do", "include", "import", "from"];

/// Tokens in one tag. The engine compiles `a ~ b ~ ...` recursively; real templates have some 200 at most.
const MAX_TOKENS: usize = 1000;
/// `{% elif %}` tags in a template, likewise.
const MAX_ELIFS: usize = 250;

/// The source to compile, and the length of its longest piece of plain text. `None`: a tag or chain of tags is too long
/// for the engine's recursion.
pub(super) fn rewrite(source: &str) -> Option<(String, usize)> {
    let mut out = String::with_capacity(source.len() * 2);
    let (mut at, mut longest, mut elifs) = (0, 0, 0);
    while let Some(open) = next_tag(source, at) {
        out += &source[at..open];
        longest = longest.max(open - at);
        at = match &source[open..open + 2] {
            "{#" => source[open..].find("#}").map_or(source.len(), |end| open + end + 2),
            tag => {
                let (tokens, end) = scan(source, open, tag == "{{");
                elifs += usize::from(tokens.first().is_some_and(|first| first.is("elif")));
                if tokens.len() > MAX_TOKENS || elifs > MAX_ELIFS {
                    return None;
                }
                match tokens.first() {
                    Some(first) if tag == "{%" && first.is("raw") => end_of_raw(source, end),
                    _ => {
                        write_tag(&source[..end], open, &tokens, tag == "{%", &mut out);
                        at = end;
                        continue;
                    }
                }
            }
        };
        longest = longest.max(at - open);
        out += &source[open..at];
    }
    longest = longest.max(source.len() - at);
    Some((out + &source[at..], longest))
}

fn next_tag(source: &str, from: usize) -> Option<usize> {
    let bytes = source.as_bytes();
    (from..bytes.len().saturating_sub(1)).find(|&i| bytes[i] == b'{' && matches!(bytes[i + 1], b'{' | b'%' | b'#'))
}

/// The tokens of the tag at `open`, and where it ends. An unclosed tag ends with the source, which then does not compile.
fn scan(source: &str, open: usize, variable: bool) -> (Vec<Token<'_>>, usize) {
    let close = if variable { "}}" } else { "%}" };
    let mut at = open + 2;
    at += usize::from(source[at..].starts_with(['-', '+']));
    let (mut tokens, mut depth) = (Vec::new(), 0i32);
    while let Some(c) = source[at..].chars().next() {
        let rest = &source[at..];
        if depth <= 0 || !variable {
            for mark in ["", "-", "+"] {
                if rest.strip_prefix(mark).is_some_and(|rest| rest.starts_with(close)) {
                    return (tokens, at + mark.len() + close.len());
                }
            }
        }
        let (kind, len) = match c {
            c if c.is_whitespace() => {
                at += c.len_utf8();
                continue;
            }
            '"' | '\'' => (Kind::Text, text_len(rest, c)),
            c if c.is_ascii_digit() => (Kind::Number, number_len(rest)),
            c if c == '_' || c.is_alphabetic() => (Kind::Name, name_len(rest)),
            c => (Kind::Sign, sign_len(rest, c)),
        };
        depth += match c {
            '(' | '[' | '{' => 1,
            ')' | ']' | '}' => -1,
            _ => 0,
        };
        tokens.push(Token { kind, text: &rest[..len], start: at });
        at += len;
    }
    (tokens, source.len())
}

fn text_len(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn number_len(rest: &str) -> usize {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let whole = digits(rest);
    match rest[whole..].strip_prefix('.') {
        Some(fraction) if fraction.starts_with(|c: char| c.is_ascii_digit()) => whole + 1 + digits(fraction),
        _ => whole,
    }
}

fn name_len(rest: &str) -> usize {
    rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len())
}

fn sign_len(rest: &str, c: char) -> usize {
    let double = ["**", "//", "==", "!=", "<=", ">="].iter().any(|sign| rest.starts_with(sign));
    if double { 2 } else { c.len_utf8() }
}

/// Behind the `{% endraw %}` of the raw block whose body starts at `body`.
fn end_of_raw(source: &str, body: usize) -> usize {
    let mut at = body;
    while let Some(open) = next_tag(source, at) {
        if source[open..].starts_with("{%") {
            let (tokens, end) = scan(source, open, false);
            if tokens.first().is_some_and(|token| token.is("endraw")) {
                return end;
            }
        }
        at = open + 2;
    }
    source.len()
}

/// Writes the tag at `open` (`source` ends where it ends) with its charges.
fn write_tag(source: &str, open: usize, tokens: &[Token<'_>], block: bool, out: &mut String) {
    let generation = |name| block && matches!(tokens, [only] if only.is(name));
    if let (true, [only]) = (generation("generation") || generation("endgeneration"), tokens) {
        let replacement = if only.is("generation") { "if true" } else { "endif" };
        *out += &[&source[open..only.start], replacement, &source[only.end()..]].concat();
        return;
    }
    let mut at = open;
    for (place, text) in insertions(tokens, block) {
        *out += &source[at..place];
        *out += &text;
        at = place;
    }
    *out += &source[at..];
}

/// What goes where in a tag, in order.
fn insertions(tokens: &[Token<'_>], block: bool) -> Vec<(usize, String)> {
    let (body, closers) = (expression_start(tokens, block), closers(tokens));
    let mut places = Vec::new();
    let charge = |filter: &str| format!("|{filter}");
    for i in body..tokens.len() {
        let (token, before) = (&tokens[i], i.checked_sub(1).map(|b| &tokens[b]));
        let after_operand = before.is_some_and(ends_operand);
        match token.text {
            _ if token.kind != Kind::Sign => {}
            "~" | "+" | "*" if after_operand => {
                let filter = if token.is("*") { CHARGE_TIMES } else { CHARGE };
                places.extend(before.map(|token| (token.end(), charge(filter))));
                places.extend(operand_end(tokens, &closers, i + 1).map(|end| (tokens[end].end(), charge(filter))));
            }
            "|" if after_operand => places.extend(before.map(|token| (token.end(), charge(CHARGE)))),
            "(" | "[" | "{" if !after_operand => {
                // a filter cannot stand before a subscript or call
                let goes_on = |end: usize| tokens.get(end + 1).is_some_and(|t| [".", "[", "("].iter().any(|s| t.is(s)));
                let end = closers[i].filter(|&end| !goes_on(end));
                places.extend(end.map(|end| (tokens[end].end(), charge(CHARGE))));
            }
            _ => {}
        }
    }
    if let (true, Some(last)) = (assigns(tokens, block, body), tokens.last()) {
        places.push((tokens[body - 1].end(), " (".into()));
        places.push((last.end(), format!(")|{CHARGE}")));
    }
    // stable: the assignment's closing bracket stays behind the charges of its last operand
    places.sort_by_key(|(place, _)| *place);
    places.dedup();
    places
}

/// The first token that is not part of an assignment's or loop's target.
fn expression_start(tokens: &[Token<'_>], block: bool) -> usize {
    let until = match tokens.first() {
        Some(first) if block && first.is("set") => "=",
        Some(first) if block && first.is("for") => "in",
        _ => return 0,
    };
    tokens.iter().position(|token| token.is(until)).map_or(0, |at| at + 1)
}

fn assigns(tokens: &[Token<'_>], block: bool, body: usize) -> bool {
    block && body > 0 && body < tokens.len() && tokens[0].is("set")
}

fn ends_operand(token: &Token<'_>) -> bool {
    match token.kind {
        Kind::Name => !KEYWORDS.contains(&token.text),
        Kind::Number | Kind::Text => true,
        Kind::Sign => matches!(token.text, ")" | "]" | "}"),
    }
}

/// The last token of the operand that starts at `i`: a value with its subscripts, calls and filters.
fn operand_end(tokens: &[Token<'_>], closers: &[Option<usize>], mut i: usize) -> Option<usize> {
    while tokens.get(i)?.is("-") {
        i += 1;
    }
    let mut end = match tokens[i].kind {
        Kind::Sign => closers[i]?,
        // adjacent string literals are one
        Kind::Text => i + tokens[i..].iter().take_while(|token| token.kind == Kind::Text).count() - 1,
        _ => i,
    };
    while let Some(next) = tokens.get(end + 1).filter(|token| token.kind == Kind::Sign) {
        end = match next.text {
            "." | "|" if end + 2 < tokens.len() => end + 2,
            "(" | "[" => closers[end + 1]?,
            _ => break,
        };
    }
    Some(end)
}

/// For every opening bracket, the token that closes it.
fn closers(tokens: &[Token<'_>]) -> Vec<Option<usize>> {
    let mut closers = vec![None; tokens.len()];
    let mut open = Vec::new();
    for (i, token) in tokens.iter().enumerate().filter(|(_, token)| token.kind == Kind::Sign) {
        match token.text {
            "(" | "[" | "{" => open.push(i),
            ")" | "]" | "}" => {
                if let Some(opener) = open.pop() {
                    closers[opener] = Some(i);
                }
            }
            _ => {}
        }
    }
    closers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(source: &str) -> String {
        rewrite(source).unwrap().0.replace(CHARGE_TIMES, "T").replace(CHARGE, "C")
    }

    #[test]
    fn operands_literals_and_assignments_are_charged() {
        for (source, want) in [
            ("a {{ x }} b", "a {{ x }} b"),
            ("{{ a ~ b.c[0] ~ 'x' }}", "{{ a|C ~ b.c[0]|C ~ 'x'|C }}"),
            ("{{ f(a + 1, *r)|trim }}", "{{ f(a|C + 1|C, *r)|C|trim }}"),
            ("{{- '=' * 80 -}}", "{{- '='|T * 80|T -}}"),
            ("{%- set x = [a, b] -%}", "{%- set x = ( [a, b]|C)|C -%}"),
            ("{% set ns.x = ns.x + y %}", "{% set ns.x = ( ns.x|C + y|C)|C %}"),
            ("{% set x %}", "{% set x %}"),
            ("{% for (k, v) in d.items() %}", "{% for (k, v) in d.items() %}"),
            ("{{ '%}' ~ \"a\\\"\" }}", "{{ '%}'|C ~ \"a\\\"\"|C }}"),
            ("{% raw %}{{ a ~ b }}{% endraw %}{{ a~b }}", "{% raw %}{{ a ~ b }}{% endraw %}{{ a|C~b|C }}"),
            ("{# a ~ b #}", "{# a ~ b #}"),
            ("{{ {'a': {}} }}", "{{ {'a': {}|C}|C }}"),
            ("{%- generation -%}x{% endgeneration %}", "{%- if true -%}x{% endif %}"),
            ("{{ (a|trim).b ~ [c][0] }}", "{{ (a|C|trim).b|C ~ [c][0]|C }}"),
            ("{{ -a.b|abs + 2**3 }}", "{{ -a.b|C|abs|C + 2|C**3 }}"),
        ] {
            assert_eq!(short(source), want);
        }
    }

    #[test]
    fn broken_sources_pass_without_panic() {
        for source in [
            "{",
            "{{",
            "{% set",
            "{{ 'a",
            "{{ ((",
            "{{ )) + }}",
            "{% raw %}",
            "{#",
            "{{ a +",
            "{% set = %}",
            "{{ é~ü }}",
        ] {
            let (out, _) = rewrite(source).unwrap();
            assert!(out.starts_with('{'));
        }
    }
}
