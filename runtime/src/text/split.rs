//! Cuts text into the pieces that byte-level BPE merges within, in time linear in the text.
//!
//! The published patterns end in `\s+(?!\S)`, a look-ahead that only backtracking engines know; they take quadratic
//! time or give up on hostile input. Here the `regex` crate runs the pattern without it and the look-ahead is done by
//! hand: a run of white space leaves its last character to the word that follows.

use std::ops::Range;

use regex::Regex;

use super::pretokenizers::{PreTokenizer, SPACES, SPACES_BY_POWERS, Step};
use crate::error::{Error, Result};

/// A pre-tokenizer's steps, compiled.
pub(super) struct Splitter(Vec<Cut>);

struct Cut {
    regex: Regex,
    rule: Rule,
}

enum Rule {
    Plain,
    Threes,
    /// The pattern ends in `\s+`, standing for `\s+(?!\S)|\s+`. `lines`: an alternative before it takes every run that
    /// ends in a line break. `powers`: jais-2's powers of two.
    Spaces {
        lines: bool,
        powers: bool,
    },
}

impl Splitter {
    pub(super) fn new(rules: &PreTokenizer) -> Result<Self> {
        rules.steps.iter().map(Cut::new).collect::<Result<_>>().map(Self)
    }

    /// The pieces of `text`, in order, covering it.
    pub(super) fn split(&self, text: &str) -> Vec<Range<usize>> {
        let whole = 0..text.len();
        let mut pieces = vec![whole];
        for cut in &self.0 {
            let mut next = Vec::with_capacity(pieces.len());
            for piece in pieces {
                cut.split(&text[piece.clone()], piece.start, &mut next);
            }
            pieces = next;
        }
        pieces
    }
}

impl Cut {
    fn new(step: &Step) -> Result<Self> {
        let (pattern, rule) = match *step {
            Step::Threes(pattern) => (pattern.to_owned(), Rule::Threes),
            Step::Match(pattern) => spaces_rule(pattern),
        };
        let regex = Regex::new(&pattern).map_err(|e| Error::Internal(format!("pre-tokenizer {pattern}: {e}")))?;
        Ok(Self { regex, rule })
    }

    /// Appends the pieces of `text`, which starts at `base`.
    fn split(&self, text: &str, base: usize, out: &mut Vec<Range<usize>>) {
        let mut done = 0;
        let mut push = |range: Range<usize>| {
            if !range.is_empty() {
                out.push(base + range.start..base + range.end);
            }
        };
        while let Some(found) = self.regex.find_at(text, done).filter(|m| !m.is_empty()) {
            push(done..found.start());
            let end = self.end(text, found.range());
            for piece in self.pieces(text, found.start()..end) {
                push(piece);
            }
            done = end;
        }
        push(done..text.len());
    }

    /// Where a match really ends: the hand-made look-ahead.
    fn end(&self, text: &str, found: Range<usize>) -> usize {
        let Rule::Spaces { lines, .. } = self.rule else { return found.end };
        let run = &text[found.clone()];
        let taken_by_lines = lines && run.ends_with(['\r', '\n']);
        if found.end == text.len() || taken_by_lines || !run.chars().all(char::is_whitespace) {
            return found.end;
        }
        // `\s+` is greedy, so what follows is not white space
        match run.char_indices().next_back() {
            Some((last, _)) if last > 0 => found.start + last,
            _ => found.end,
        }
    }

    fn pieces(&self, text: &str, found: Range<usize>) -> Vec<Range<usize>> {
        match self.rule {
            Rule::Threes => chunks(text, found, |left| if left % 3 == 0 { 3 } else { left % 3 }),
            Rule::Spaces { powers: true, lines } if is_spaces(&text[found.clone()], lines) => {
                chunks(text, found, |left| (1 << left.ilog2()).min(512))
            }
            _ => vec![found],
        }
    }
}

fn is_spaces(run: &str, lines: bool) -> bool {
    run.chars().all(char::is_whitespace) && !(lines && run.ends_with(['\r', '\n']))
}

/// Cuts a range into chunks; `size` says from the number of characters left how many the next one takes.
fn chunks(text: &str, range: Range<usize>, size: impl Fn(usize) -> usize) -> Vec<Range<usize>> {
    let mut left = text[range.clone()].chars().count();
    let (mut pieces, mut start) = (Vec::new(), range.start);
    while left > 0 {
        let n = size(left);
        let end = text[start..range.end].char_indices().nth(n).map_or(range.end, |(at, _)| start + at);
        pieces.push(start..end);
        (start, left) = (end, left - n);
    }
    pieces
}

/// The pattern without its look-aheads, and the rule that stands for them.
fn spaces_rule(pattern: &str) -> (String, Rule) {
    for (ending, powers) in [(SPACES, false), (SPACES_BY_POWERS, true)] {
        if let Some(head) = pattern.strip_suffix(ending) {
            return (format!(r"{head}|\s+"), Rule::Spaces { lines: head.contains(r"\s*[\r\n]"), powers });
        }
    }
    (pattern.to_owned(), Rule::Plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::pretokenizers;

    fn pieces<'a>(name: &str, text: &'a str) -> Vec<&'a str> {
        let splitter = Splitter::new(pretokenizers::find(name).unwrap()).unwrap();
        splitter.split(text).into_iter().map(|r| &text[r]).collect()
    }

    #[test]
    fn every_pattern_compiles_and_covers_the_text() {
        let text = "  It's 1234567 x\u{300}é\t\n\n  漢字かな가나 …!?(a_b) <sentinel:3>  \r\n end  ";
        for (name, rules) in pretokenizers::all() {
            let cut = Splitter::new(rules).unwrap().split(text);
            let whole: String = cut.iter().map(|r| &text[r.clone()]).collect();
            assert_eq!(whole, text, "{name}");
            assert!(cut.iter().all(|r| !r.is_empty()), "{name}");
        }
    }

    #[test]
    fn white_space_leaves_its_last_character_to_the_next_word() {
        assert_eq!(pieces("gpt-2", "a   b"), ["a", "  ", " b"]);
        assert_eq!(pieces("gpt-2", "a \n b"), ["a", " \n", " b"]);
        assert_eq!(pieces("gpt-2", "a\tb\u{2003}"), ["a", "\t", "b", "\u{2003}"]);
        assert_eq!(pieces("llama3", "a \n\n  b  "), ["a", " \n\n", " ", " b", "  "]);
        assert_eq!(pieces("llama3", "a  1"), ["a", " ", " ", "1"]);
    }

    #[test]
    fn digits_are_grouped_from_the_right_where_the_model_wants_it() {
        assert_eq!(pieces("superbpe", "a1234567 b"), ["a", "1", "234", "567", " b"]);
        assert_eq!(pieces("tiny_aya", "1234 5678"), ["1", "234", " ", "5", "678"]);
        // no word boundary after the digits: the second step's grouping from the left
        assert_eq!(pieces("tiny_aya", "1234x"), ["123", "4", "x"]);
        assert_eq!(pieces("llama3", "1234"), ["123", "4"]);
    }

    #[test]
    fn jais_cuts_spaces_by_powers_of_two() {
        let text = format!("{}b", " ".repeat(8));
        assert_eq!(pieces("jais-2", &text), ["    ", "  ", " ", " b"]);
        assert_eq!(pieces("jais-2", &" ".repeat(1030)).iter().map(|p| p.len()).collect::<Vec<_>>(), [512, 512, 4, 2]);
    }

    #[test]
    fn hostile_runs_take_linear_time() {
        let start = std::time::Instant::now();
        for (name, rules) in pretokenizers::all() {
            let splitter = Splitter::new(rules).unwrap();
            for unit in ["A", " ", "7", "\n", " \n", "a ", "'", "\u{300}", "é"] {
                let text = unit.repeat(100_000 / unit.len());
                let with_end = format!("{text}x");
                assert!(!splitter.split(&text).is_empty() && !splitter.split(&with_end).is_empty(), "{name}");
            }
        }
        assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
    }
}
