//! Unigram (`t5`; also XLM-R): text is normalized by the file's own table, cut into words, and each word into the pieces whose
//! scores have the largest sum.
//!
//! The search is the `tokenizers` crate's; its table of characters panics on damaged files, so that one is our own.

use tokenizers::Model;
use tokenizers::models::unigram::Unigram as Searcher;

use super::spm::SPACE;
use super::vocab::{Vocab, key, read_scores};
use crate::error::{Error, Result};
use crate::gguf::{Header, Value};

/// Longer words are cut, so that the search takes little memory.
const LONGEST_WORD: usize = 64 << 10;
/// Stands for what the vocabulary lacks; no text is found by it.
const UNKNOWN: &str = "\0";

pub(super) struct Unigram {
    charsmap: Option<Charsmap>,
    /// Whether runs of spaces become one and those at the ends none.
    collapse: bool,
    searcher: Searcher,
    /// Token ids of the searcher's pieces.
    ids: Vec<u32>,
}

fn failed(error: tokenizers::Error) -> Error {
    Error::Tokenizer(error.to_string())
}

impl Unigram {
    pub(super) fn new(header: &Header, vocab: &Vocab) -> Result<Self> {
        let unk = vocab.specials.unk;
        let unk = unk.ok_or_else(|| Error::Tokenizer("a t5 vocabulary needs an unknown token".into()))?;
        let scores = read_scores(header, vocab.len())?;
        let (mut pieces, mut ids) = (vec![(UNKNOWN.to_owned(), 0.0)], vec![unk]);
        for (id, text, kind) in vocab.iter().filter(|(id, _, kind)| kind.is_textual() && *id != unk) {
            let Ok(text) = std::str::from_utf8(text) else { continue };
            let user_defined = kind == super::vocab::Kind::UserDefined;
            pieces.push((text.into(), if user_defined { 0.0 } else { f64::from(scores[id as usize]) }));
            ids.push(id);
        }
        // the penalty of what is unknown counts from the least score, which UNKNOWN must not be
        pieces[0].1 = pieces.iter().skip(1).map(|piece| piece.1).fold(f64::INFINITY, f64::min).min(f64::MAX);
        Ok(Self {
            charsmap: charsmap(header)?,
            collapse: header.bool(&key("remove_extra_whitespaces"))?.unwrap_or(false),
            searcher: Searcher::from(pieces, Some(0), false).map_err(failed)?,
            ids,
        })
    }

    /// Appends the tokens of `text`. `prefix`: a space comes before it.
    pub(super) fn encode(&self, text: &str, prefix: bool, out: &mut Vec<u32>) -> Result<()> {
        let mut text = self.charsmap.as_ref().map_or_else(|| text.to_owned(), |map| map.normalize(text));
        if self.collapse {
            text = text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        }
        if text.is_empty() {
            return Ok(());
        }
        if prefix {
            text.insert(0, ' ');
        }
        for word in words(&text.replace(' ', SPACE)) {
            let tokens = self.searcher.tokenize(word).map_err(failed)?;
            out.extend(tokens.iter().map(|token| self.ids[token.id as usize]));
        }
        Ok(())
    }
}

/// Words, each with the spaces before it.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let own = rest.len() - rest.trim_start_matches(SPACE).len();
        let end = rest[own..].find(SPACE).map_or(rest.len(), |at| own + at);
        let end = if end > LONGEST_WORD { rest.floor_char_boundary(LONGEST_WORD) } else { end };
        let (word, later) = rest.split_at(end);
        rest = later;
        (!word.is_empty()).then_some(word)
    })
}

fn charsmap(header: &Header) -> Result<Option<Charsmap>> {
    let key = key("precompiled_charsmap");
    let Some(array) = header.array(&key)? else { return Ok(None) };
    let byte = |value: Value<'_>| value.as_i64().filter(|byte| (-128..256).contains(byte)).map(|byte| byte as u8);
    let bytes: Option<Vec<u8>> = array.iter().map(byte).collect();
    let map = bytes.filter(|bytes| !bytes.is_empty()).map(|bytes| Charsmap::parse(&bytes)).transpose();
    map.map_err(|problem| Error::Tokenizer(format!("'{key}' {problem}")))
}

/// Replacements of characters, found in a double-array trie (SentencePiece's `precompiled_charsmap`).
struct Charsmap {
    units: Vec<u32>,
    /// Texts that end with a zero.
    replacements: String,
}

impl Charsmap {
    /// A length in bytes, the trie's units, and the replacements.
    fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let (len, rest) = bytes.split_first_chunk().ok_or("has no length")?;
        let len = u32::from_le_bytes(*len) as usize;
        let (trie, replacements) =
            rest.split_at_checked(len).filter(|_| len.is_multiple_of(4)).ok_or("has a wrong length")?;
        let units = trie.chunks_exact(4).map(|unit| u32::from_le_bytes([unit[0], unit[1], unit[2], unit[3]]));
        let replacements = String::from_utf8(replacements.to_vec()).map_err(|_| "is not UTF-8")?;
        Ok(Self { units: units.collect(), replacements })
    }

    fn normalize(&self, text: &str) -> String {
        let (mut out, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(first) = rest.chars().next() {
            let (len, replacement) = self.longest(rest).unwrap_or((first.len_utf8(), &rest[..first.len_utf8()]));
            out += replacement;
            rest = &rest[len..];
        }
        out
    }

    /// The longest start of `text` that is replaced, and by what. A unit holds its label in bits 0 to 7 (and 31), whether a value
    /// follows in bit 8, and the offset of its children in bits 10 on, in units of 256 where bit 9 is set.
    fn longest(&self, text: &str) -> Option<(usize, &str)> {
        let offset = |unit: u32| (unit >> 10) << ((unit & (1 << 9)) >> 6);
        let unit = |at: u32| self.units.get(at as usize).copied();
        let (mut node, mut best) = (offset(unit(0)?), None);
        for (i, byte) in text.bytes().enumerate().take_while(|(_, byte)| *byte != 0) {
            node ^= u32::from(byte);
            let Some(found) = unit(node).filter(|unit| unit & (1 << 31 | 0xFF) == u32::from(byte)) else { break };
            node ^= offset(found);
            if found & (1 << 8) != 0 {
                best = unit(node).map(|value| (i + 1, (value & !(1 << 31)) as usize)).or(best);
            }
        }
        let (len, start) = best.filter(|(len, _)| text.is_char_boundary(*len))?;
        Some((len, self.replacements.get(start..)?.split('\0').next()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 'é' becomes 'e', and "ﬁ" (three bytes) "fi".
    fn map() -> Charsmap {
        let mut units = vec![0u32; 1024];
        // the root's children lie at 256 ^ byte
        units[0] = 256 << 10;
        let mut set = |at: u32, byte: u8, leaf: bool, offset: u32| {
            units[at as usize] = u32::from(byte) | u32::from(leaf) << 8 | (at ^ offset) << 10;
        };
        set(256 ^ 0xC3, 0xC3, false, 512);
        set(512 ^ 0xA9, 0xA9, true, 40);
        set(256 ^ 0xEF, 0xEF, false, 600);
        set(600 ^ 0xAC, 0xAC, false, 800);
        set(800 ^ 0x81, 0x81, true, 41);
        (units[40], units[41]) = (0, 2);
        Charsmap { units, replacements: "e\0fi\0".into() }
    }

    #[test]
    fn characters_are_replaced() {
        assert_eq!(map().normalize("caf\u{e9} \u{fb01}n \u{ea}"), "cafe fin \u{ea}");
        assert_eq!(map().normalize(""), "");
    }

    #[test]
    fn damaged_tables_harm_nobody() {
        let good = map();
        for at in 0..good.units.len() {
            for value in [0, u32::MAX, 1 << 8 | 0xC3, 0x1C3] {
                let mut units = good.units.clone();
                units[at] = value;
                Charsmap { units, replacements: "\u{e9}".into() }.normalize("caf\u{e9} \u{fb01}\0n");
            }
        }
        assert!(Charsmap::parse(&[1, 0, 0]).is_err());
        assert!(Charsmap::parse(&[255, 255, 255, 255, 0]).is_err());
        assert!(Charsmap::parse(&[0, 0, 0, 0, 0xFF]).is_err());
        assert!(Charsmap::parse(&[0, 0, 0, 0]).is_ok_and(|map| map.normalize("a") == "a"));
    }

    #[test]
    fn words_keep_the_spaces_before_them() {
        assert_eq!(words("▁a▁▁bc▁").collect::<Vec<_>>(), ["▁a", "▁▁bc", "▁"]);
        let long = "é".repeat(LONGEST_WORD);
        assert_eq!(words(&long).map(str::len).collect::<Vec<_>>(), [LONGEST_WORD, LONGEST_WORD]);
        let spaces = SPACE.repeat(LONGEST_WORD);
        assert_eq!(words(&spaces).collect::<String>(), spaces);
    }
}
