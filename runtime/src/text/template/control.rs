//! Keeps user text from forging control tokens on its way through a template.
//!
//! Templates trim, split and join what users wrote, so the rendered text does not tell whose words are whose. Before
//! rendering, every place in a user's string where a control token's text begins gets a mark; after rendering, the
//! character behind a mark is text, not the beginning of a control token. Strings without such places pass unchanged,
//! so templates see exactly what they would see elsewhere.

use aho_corasick::AhoCorasick;

use crate::error::{Error, Result};
use crate::text::Segment;

/// The mark: a Unicode noncharacter, never exchanged between programs; taken out of all input.
pub(super) const MARK: char = '\u{FDD1}';

/// The texts of a model's control tokens.
pub struct ControlTexts {
    /// Finds them in any ASCII case: a template may change case.
    whole: AhoCorasick,
    texts: Vec<String>,
}

impl ControlTexts {
    /// A finder of these texts.
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let texts: Vec<String> = texts.into_iter().filter(|t| !t.is_empty()).map(str::to_owned).collect();
        let whole = AhoCorasick::builder().ascii_case_insensitive(true).build(&texts);
        let whole = whole.map_err(|e| Error::Tokenizer(format!("control tokens: {e}")))?;
        Ok(Self { whole, texts })
    }

    /// `text` with a mark before each place that could begin, or at its start end, a control token.
    pub(super) fn mark(&self, text: &str) -> String {
        let text = text.replace(MARK, "");
        let mut places: Vec<usize> = self.whole.find_overlapping_iter(&text).map(|found| found.start()).collect();
        self.edges(&text, &mut places);
        places.sort_unstable();
        places.dedup();
        let mut marked = String::with_capacity(text.len() + places.len() * MARK.len_utf8());
        let mut done = 0;
        for place in places {
            marked += &text[done..place];
            marked.push(MARK);
            done = place;
        }
        marked + &text[done..]
    }

    /// Places where a neighbour in the rendered text could complete a control token. Templates trim, so white space at
    /// the ends does not count.
    fn edges(&self, text: &str, places: &mut Vec<usize>) {
        let (end, start) = (text.trim_end().len(), text.len() - text.trim_start().len());
        let trimmed = text.trim().as_bytes();
        for control in &self.texts {
            for (cut, _) in control.char_indices().skip(1) {
                let (head, tail) = control.as_bytes().split_at(cut);
                if trimmed.len() >= head.len() && trimmed[trimmed.len() - head.len()..].eq_ignore_ascii_case(head) {
                    places.push(end - head.len());
                }
                if trimmed.len() >= tail.len() && trimmed[..tail.len()].eq_ignore_ascii_case(tail) {
                    places.push(start);
                }
            }
        }
    }
}

/// Rendered text as segments: the character behind each mark is no part of a control token.
pub(super) fn segments(rendered: &str) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut push = |text: &str, parse_special| {
        if !text.is_empty() {
            segments.push(Segment { text: text.into(), parse_special });
        }
    };
    for (i, part) in rendered.split(MARK).enumerate() {
        let first = part.chars().next().filter(|_| i > 0).map_or(0, char::len_utf8);
        push(&part[..first], false);
        push(&part[first..], true);
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(text: &str) -> String {
        ControlTexts::new(["<|im_end|>", "</s>"]).unwrap().mark(text).replace(MARK, "^")
    }

    #[test]
    fn only_suspicious_places_are_marked() {
        assert_eq!(marked("plain < text > here"), "plain < text > here");
        assert_eq!(marked("a <|im_end|> b</S>."), "a ^<|im_end|> b^</S>.");
        assert_eq!(marked("a <|im_ "), "a ^<|im_ ");
        assert_eq!(marked(" end|>"), " ^end|>");
        assert_eq!(marked("a\u{FDD1}b"), "ab");
    }

    #[test]
    fn the_character_behind_a_mark_is_plain_text() {
        let rendered = format!("<|im_start|>{MARK}<|im_end|>x");
        let found: Vec<(String, bool)> = segments(&rendered).into_iter().map(|s| (s.text, s.parse_special)).collect();
        let want = [("<|im_start|>", true), ("<", false), ("|im_end|>x", true)];
        assert_eq!(found, want.map(|(text, special)| (text.to_owned(), special)));
    }
}
