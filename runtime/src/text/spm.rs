//! SentencePiece BPE (`llama`): merges characters into tokens, the best-scored pair first.
//!
//! Done natively: the `tokenizers` crate wants merge rules, and deriving half a million of them from Gemma's scores
//! costs more time and memory than this whole algorithm.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::vocab::{Kind, Vocab, byte_value};

/// What SentencePiece writes for a space (U+2581).
pub(super) const SPACE: &str = "\u{2581}";

pub(super) struct Spm {
    scores: Vec<f32>,
    /// The token of each byte, for characters the vocabulary lacks.
    bytes: [Option<u32>; 256],
    /// Length of the longest token that can be merged, in bytes; no longer pair needs to be looked up.
    longest: usize,
    unk: Option<u32>,
}

/// A piece of text that is one token so far; merged-away ones have length 0. Neighbours are indices.
struct Symbol {
    start: usize,
    len: usize,
    prev: Option<u32>,
    next: Option<u32>,
}

/// Two neighbours that make a token together. `len` tells whether either has changed since.
struct Pair {
    score: f32,
    left: u32,
    right: u32,
    len: usize,
}

impl Ord for Pair {
    /// The highest score first, then the leftmost.
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.left.cmp(&self.left))
    }
}
impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Pair {}

impl Spm {
    /// `scores`: one a token.
    pub(super) fn new(vocab: &Vocab, scores: Vec<f32>) -> Self {
        let mut bytes = [None; 256];
        let mut longest = 0;
        for (id, text, kind) in vocab.iter() {
            if let (Kind::Byte, Some(byte)) = (kind, byte_value(text)) {
                bytes[byte as usize].get_or_insert(id);
            }
            if kind.is_textual() {
                longest = longest.max(text.len());
            }
        }
        Self { scores, bytes, longest, unk: vocab.specials.unk }
    }

    /// Appends the tokens of `text`, in which spaces are already `SPACE`.
    pub(super) fn encode(&self, vocab: &Vocab, text: &str, out: &mut Vec<u32>) {
        let mut symbols = characters(text);
        let mut queue = BinaryHeap::new();
        let find = |symbols: &[Symbol], left: Option<u32>, right: Option<u32>| {
            let (left, right) = (left?, right?);
            let start = symbols[left as usize].start;
            let len = symbols[left as usize].len + symbols[right as usize].len;
            let id = self.token(vocab, text.get(start..start + len).filter(|_| len <= self.longest)?)?;
            Some(Pair { score: self.scores[id as usize], left, right, len })
        };
        for left in 1..symbols.len() as u32 {
            queue.extend(find(&symbols, Some(left - 1), Some(left)));
        }
        while let Some(Pair { left, right, len, .. }) = queue.pop() {
            if !merge(&mut symbols, left, right, len) {
                continue;
            }
            let Symbol { prev, next, .. } = symbols[left as usize];
            queue.extend(find(&symbols, prev, Some(left)));
            queue.extend(find(&symbols, Some(left), next));
        }
        for symbol in symbols.iter().filter(|s| s.len > 0) {
            self.emit(vocab, &text[symbol.start..symbol.start + symbol.len], out);
        }
    }

    /// The token of a text, if plain text may become it.
    fn token(&self, vocab: &Vocab, text: &str) -> Option<u32> {
        vocab.find(text.as_bytes()).filter(|&id| vocab.kind(id).is_textual())
    }

    /// A token, else its bytes' tokens, else one unknown token for a run of unknowns.
    fn emit(&self, vocab: &Vocab, text: &str, out: &mut Vec<u32>) {
        if let Some(id) = self.token(vocab, text) {
            return out.push(id);
        }
        let bytes: Option<Vec<u32>> = text.bytes().map(|b| self.bytes[b as usize]).collect();
        match (bytes, self.unk) {
            (Some(bytes), _) => out.extend(bytes),
            (None, Some(unk)) if out.last() != Some(&unk) => out.push(unk),
            _ => {}
        }
    }
}

fn characters(text: &str) -> Vec<Symbol> {
    let count = text.chars().count() as u32;
    let symbol = |(i, (start, c)): (usize, (usize, char))| {
        let i = i as u32;
        Symbol { start, len: c.len_utf8(), prev: i.checked_sub(1), next: Some(i + 1).filter(|&n| n < count) }
    };
    text.char_indices().enumerate().map(symbol).collect()
}

/// Joins two neighbours, unless either has changed since the pair of `len` bytes was found.
fn merge(symbols: &mut [Symbol], left: u32, right: u32, len: usize) -> bool {
    let (l, r) = (left as usize, right as usize);
    if symbols[l].len == 0 || symbols[r].len == 0 || symbols[l].len + symbols[r].len != len {
        return false;
    }
    symbols[l].len = len;
    symbols[r].len = 0;
    symbols[l].next = symbols[r].next;
    if let Some(next) = symbols[l].next {
        symbols[next as usize].prev = Some(left);
    }
    true
}
