//! Byte-level BPE (`gpt2`): text is cut by the model's pre-tokenizer, spelled in bytes and merged by rank.
//!
//! Merging is the `tokenizers` crate's; cutting is ours (`split`), because the crate's own runs a backtracking engine
//! and drops its errors.

use std::sync::LazyLock;

use tokenizers::Model;
use tokenizers::models::bpe::{BPE, BpeBuilder, Merges, Vocab as CrateVocab};

use super::pretokenizers::PreTokenizer;
use super::split::Splitter;
use super::vocab::{Vocab, key};
use crate::error::{Error, Result};
use crate::gguf::Header;

pub(super) struct Bpe {
    splitter: Splitter,
    merger: BPE,
}

/// Byte -> the character it is spelled with: printable Latin-1 stands for itself, the other 68 bytes follow U+0100.
static SPELLING: LazyLock<[char; 256]> = LazyLock::new(|| {
    let mut others = '\u{100}'..;
    std::array::from_fn(|byte| match byte as u8 {
        plain @ (b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF) => plain as char,
        _ => others.next().unwrap_or_default(),
    })
});

/// The bytes a token's text spells; `None` if some character spells none.
pub(super) fn spelled_bytes(text: &str) -> Option<Vec<u8>> {
    static BYTES: LazyLock<std::collections::HashMap<char, u8>> =
        LazyLock::new(|| SPELLING.iter().zip(0..=255).map(|(&c, byte)| (c, byte)).collect());
    text.chars().map(|c| BYTES.get(&c).copied()).collect()
}

impl Bpe {
    pub(super) fn new(header: &Header, vocab: &Vocab, rules: &PreTokenizer) -> Result<Self> {
        let merges = read_merges(header, vocab)?;
        let mut texts = CrateVocab::with_capacity(vocab.len());
        for (id, text, kind) in vocab.iter() {
            // tokens that are not UTF-8 can be printed but no text becomes them
            if let (true, Ok(text)) = (kind.is_textual(), std::str::from_utf8(text)) {
                texts.insert(text.into(), id);
            }
        }
        // no cache: the crate keeps it per thread and frees none of it when a tokenizer goes
        let builder = BpeBuilder::new().cache_capacity(0).ignore_merges(rules.ignore_merges);
        let merger = builder.vocab_and_merges(texts, merges).build();
        let merger = merger.map_err(|e| Error::Tokenizer(e.to_string()))?;
        Ok(Self { splitter: Splitter::new(rules)?, merger })
    }

    /// Appends the tokens of `text`.
    pub(super) fn encode(&self, text: &str, out: &mut Vec<u32>) -> Result<()> {
        let mut spelled = String::new();
        for piece in self.splitter.split(text) {
            spelled.clear();
            spelled.extend(text[piece].bytes().map(|byte| SPELLING[byte as usize]));
            let tokens = self.merger.tokenize(&spelled).map_err(|e| Error::Tokenizer(e.to_string()))?;
            out.extend(tokens.iter().map(|token| token.id));
        }
        Ok(())
    }
}

/// The merge rules in order of rank. Rules about control tokens are left out: no plain text may become one.
fn read_merges(header: &Header, vocab: &Vocab) -> Result<Merges> {
    let key = key("merges");
    let lines = header.strings(&key)?.ok_or_else(|| Error::Tokenizer(format!("'{key}' is missing")))?;
    let mut merges = Merges::with_capacity(lines.len());
    for (rank, line) in lines.enumerate() {
        let broken =
            |problem: &str| Error::Tokenizer(format!("merge {rank}, '{}', {problem}", String::from_utf8_lossy(line)));
        let line = std::str::from_utf8(line).map_err(|_| broken("is not UTF-8"))?;
        // the left side may itself begin with a space
        let at = line.char_indices().skip(1).find(|&(_, c)| c == ' ').map(|(at, _)| at);
        let (left, right) = at.map(|at| (&line[..at], &line[at + 1..])).ok_or_else(|| broken("has no space"))?;
        let whole = [left, right].concat();
        let ids = [left, right, &whole].map(|text| vocab.find(text.as_bytes()));
        let [Some(l), Some(r), Some(w)] = ids else {
            return Err(broken("names a token that is not in the vocabulary"));
        };
        if [l, r, w].iter().all(|&id| vocab.kind(id).is_textual()) {
            merges.push((left.into(), right.into()));
        }
    }
    Ok(merges)
}
