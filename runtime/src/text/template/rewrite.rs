//! Prepares a template's source for the engine, which counts instructions but not memory.
//!
//! `{% set x = x ~ x %}` doubles a string in a handful of instructions. So filters (`limits`) that charge what they are
//! given to a budget are put on the operands of operators, on what filters are given, on lists and maps that are built, on
//! values that are assigned and on conditions. They return their input, so meaning does not change.
//!
//! Also here: `{% generation %}`, a training-time tag that marks assistant text, becomes `{% if true %}`.

/// Charges a value with all its text: it will be printed or compared.
pub(super) const WHOLE: &str = "__whole";
/// Charges for the nodes of a value: it will be kept.
pub(super) const KEPT: &str = "__kept";
/// Charges for a string, or for the slots of a list: it will be walked or copied once.
pub(super) const FLAT: &str = "__flat";
/// Charges an operand of `*`.
pub(super) const TIMES: &str = "__times";

/// Filters that look at the elements of a list, not into them.
const FLAT_FILTERS: &str = "length count first last list reverse items dictsort select selectattr reject rejectattr default \
    d safe bool attr int float slice batch";

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
const KEYWORDS: &str = "and or not in is if else elif for set with do include import from";

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
    let charge = |token: &Token<'_>, filter: &str| (token.end(), format!("|{filter}"));
    for i in body..tokens.len() {
        let before = i.checked_sub(1).map(|b| &tokens[b]);
        let Some(filter) = charged_by(&tokens[i], tokens.get(i + 1)) else { continue };
        let left = match before {
            Some(not) if tokens[i].is("in") && not.is("not") => i.checked_sub(2).map(|b| &tokens[b]),
            before => before,
        };
        match (left.filter(|left| ends_operand(left)), tokens[i].text) {
            (None, "(" | "[" | "{") => {
                // a filter cannot stand before a subscript or call
                let goes_on = |end: usize| tokens.get(end + 1).is_some_and(|t| [".", "[", "("].iter().any(|s| t.is(s)));
                let end = closers[i].filter(|&end| !goes_on(end));
                places.extend(end.map(|end| charge(&tokens[end], KEPT)));
            }
            (None, _) | (_, "(" | "[" | "{") => {}
            (Some(left), "|") => places.push(charge(left, filter)),
            (Some(left), _) => {
                places.push(charge(left, filter));
                places.extend(operand_end(tokens, &closers, i + 1).map(|end| charge(&tokens[end], filter)));
            }
        }
    }
    if let (true, Some(last)) = (body < tokens.len() && closes_with_charge(tokens, block, body), tokens.last()) {
        let first = if body > 0 { tokens[body - 1].end() } else { tokens[0].end() };
        places.push((first, " (".into()));
        places.push((last.end(), format!(")|{KEPT}")));
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

/// Whether the whole expression is charged: it is assigned, or a condition.
fn closes_with_charge(tokens: &[Token<'_>], block: bool, body: usize) -> bool {
    let condition = tokens.len() > 1 && (tokens[0].is("if") || tokens[0].is("elif"));
    block && (condition || body > 0 && tokens[0].is("set"))
}

/// The filter for what stands beside a token, if it is an operator or opens a value.
fn charged_by(token: &Token<'_>, next: Option<&Token<'_>>) -> Option<&'static str> {
    let flat = |next: &Token<'_>| FLAT_FILTERS.split(' ').any(|name| next.is(name));
    match (token.kind, token.text) {
        (Kind::Name, "in") => Some(WHOLE),
        (Kind::Sign, "~" | "==" | "!=" | "<" | ">" | "<=" | ">=") => Some(WHOLE),
        (Kind::Sign, "+") => Some(FLAT),
        (Kind::Sign, "*") => Some(TIMES),
        (Kind::Sign, "|") => Some(if next.is_some_and(flat) { FLAT } else { WHOLE }),
        (Kind::Sign, "(" | "[" | "{") => Some(KEPT),
        _ => None,
    }
}

fn ends_operand(token: &Token<'_>) -> bool {
    match token.kind {
        Kind::Name => !KEYWORDS.split(' ').any(|name| token.is(name)),
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
        let filters = [(WHOLE, "W"), (KEPT, "K"), (FLAT, "F"), (TIMES, "T")];
        filters.iter().fold(rewrite(source).unwrap().0, |text, (filter, letter)| text.replace(filter, letter))
    }

    #[test]
    fn operands_literals_and_assignments_are_charged() {
        for (source, want) in [
            ("a {{ x }} b", "a {{ x }} b"),
            ("{{ a ~ b.c[0] ~ 'x' }}", "{{ a|W ~ b.c[0]|W ~ 'x'|W }}"),
            ("{{ f(a + 1, *r)|trim }}", "{{ f(a|F + 1|F, *r)|W|trim }}"),
            ("{{ m|length == n }}", "{{ m|F|length|W == n|W }}"),
            ("{{ a not in b and 'x' in c.d }}", "{{ a|W not in b|W and 'x'|W in c.d|W }}"),
            ("{{ a is in [b] }}", "{{ a is in [b]|K }}"),
            ("{{- '=' * 80 -}}", "{{- '='|T * 80|T -}}"),
            ("{%- set x = [a, b] -%}", "{%- set x = ( [a, b]|K)|K -%}"),
            ("{% set ns.x = ns.x + y %}", "{% set ns.x = ( ns.x|F + y|F)|K %}"),
            ("{% set x %}", "{% set x %}"),
            ("{% if a %}{% elif b or c %}{% else %}", "{% if ( a)|K %}{% elif ( b or c)|K %}{% else %}"),
            ("{% for (k, v) in d.items() %}", "{% for (k, v) in d.items() %}"),
            ("{{ '%}' ~ \"a\\\"\" }}", "{{ '%}'|W ~ \"a\\\"\"|W }}"),
            ("{% raw %}{{ a ~ b }}{% endraw %}{{ a~b }}", "{% raw %}{{ a ~ b }}{% endraw %}{{ a|W~b|W }}"),
            ("{# a ~ b #}", "{# a ~ b #}"),
            ("{{ {'a': {}} }}", "{{ {'a': {}|K}|K }}"),
            ("{%- generation -%}x{% endgeneration %}", "{%- if true -%}x{% endif %}"),
            ("{{ (a|trim).b ~ [c][0] }}", "{{ (a|W|trim).b|W ~ [c][0]|W }}"),
            ("{{ -a.b|abs + 2**3 }}", "{{ -a.b|W|abs|F + 2|F**3 }}"),
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
