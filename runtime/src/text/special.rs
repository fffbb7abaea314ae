//! Finds special tokens in text before the model's own rules see it.
//!
//! Text comes in segments, trusted (a chat template's own words) or not (what users wrote). A control token is taken
//! only where it lies within one trusted segment, so nobody can forge one; whatever is left is tokenized across segment
//! borders, exactly as the same text would be in one piece.

use std::collections::HashSet;
use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};

use super::vocab::{Kind, Vocab};
use crate::error::{Error, Result};

/// Automata take some 30 times the texts' size.
const MAX_BYTES: usize = 4 << 20;

/// A set of special tokens, matched leftmost, then longest.
struct Matcher {
    automaton: AhoCorasick,
    ids: Vec<u32>,
}

impl Matcher {
    fn new(tokens: Vec<(u32, &str)>) -> Result<Self> {
        let bytes: usize = tokens.iter().map(|(_, text)| text.len()).sum();
        if bytes > MAX_BYTES {
            return Err(Error::Tokenizer(format!(
                "special tokens have {bytes} bytes of text, the limit is {MAX_BYTES}"
            )));
        }
        let builder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(tokens.iter().map(|t| t.1));
        let automaton = builder.map_err(|e| Error::Tokenizer(format!("special tokens: {e}")))?;
        Ok(Self { automaton, ids: tokens.iter().map(|t| t.0).collect() })
    }

    /// Tokens in `text[range]` with their ranges in `text`.
    fn find<'a>(&'a self, text: &'a str, range: Range<usize>) -> impl Iterator<Item = (u32, Range<usize>)> + 'a {
        let base = range.start;
        let found = self.automaton.find_iter(&text[range]);
        found.map(move |m| (self.ids[m.pattern().as_usize()], base + m.start()..base + m.end()))
    }
}

/// The special tokens of a vocabulary.
pub(super) struct SpecialTokens {
    all: Matcher,
    user_defined: Matcher,
    strips: Strips,
}

/// Which tokens take the white space beside them, by id. Files do not say; it is known by family.
#[derive(Default)]
pub(super) struct Strips {
    pub(super) left: HashSet<u32>,
    pub(super) right: HashSet<u32>,
}

/// Part of a text: a special token, or text for the model's own rules.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    Token(u32),
    Text(Range<usize>),
}

impl SpecialTokens {
    pub(super) fn new(vocab: &Vocab, strips: Strips) -> Result<Self> {
        let of = |kinds: &[Kind]| {
            let of_kind = vocab.iter().filter(|(_, _, kind)| kinds.contains(kind));
            // UTF-8 patterns match only between characters
            Matcher::new(of_kind.filter_map(|(id, text, _)| Some((id, std::str::from_utf8(text).ok()?))).collect())
        };
        Ok(Self {
            all: of(&[Kind::Control, Kind::Unknown, Kind::UserDefined])?,
            user_defined: of(&[Kind::UserDefined])?,
            strips,
        })
    }

    /// The parts of `text`. `segments`: where each ends in `text` and whether it is trusted.
    pub(super) fn partition(&self, text: &str, segments: &[(usize, bool)]) -> Vec<Part> {
        let mut tokens = Vec::new();
        let mut start = 0;
        for &(end, trusted) in segments {
            if trusted {
                tokens.extend(self.all.find(text, start..end));
            }
            start = end;
        }
        let trusted = interleave(0..text.len(), tokens.into_iter());
        let mut parts = Vec::new();
        for part in trusted {
            match part {
                Part::Text(range) => parts.extend(interleave(range.clone(), self.user_defined.find(text, range))),
                token => parts.push(token),
            }
        }
        self.strip(text, &mut parts);
        parts.retain(|part| !matches!(part, Part::Text(range) if range.is_empty()));
        parts
    }

    fn strip(&self, text: &str, parts: &mut [Part]) {
        for i in 0..parts.len() {
            let Part::Token(id) = parts[i] else { continue };
            if let (true, Some(Part::Text(before))) =
                (self.strips.left.contains(&id), i.checked_sub(1).map(|b| &mut parts[b]))
            {
                before.end = before.start + text[before.clone()].trim_end().len();
            }
            if let (true, Some(Part::Text(after))) = (self.strips.right.contains(&id), parts.get_mut(i + 1)) {
                after.start = after.end - text[after.clone()].trim_start().len();
            }
        }
    }
}

/// A range as the tokens found in it and the text between them.
fn interleave(range: Range<usize>, tokens: impl Iterator<Item = (u32, Range<usize>)>) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut start = range.start;
    for (id, found) in tokens {
        if start < found.start {
            parts.push(Part::Text(start..found.start));
        }
        parts.push(Part::Token(id));
        start = found.end;
    }
    if start < range.end {
        parts.push(Part::Text(start..range.end));
    }
    parts
}
