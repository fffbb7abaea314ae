//! WordPiece (`bert`): text is normalised, cut into words, and each word into its longest known pieces.
//!
//! Normalising, cutting and matching are the `tokenizers` crate's.

use tokenizers::models::wordpiece::WordPiece as Matcher;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{Model, NormalizedString, Normalizer, OffsetReferential, OffsetType};
use tokenizers::{PreTokenizedString, PreTokenizer};

use super::spm::SPACE;
use super::vocab::{Kind, Vocab, key};
use crate::error::{Error, Result};
use crate::gguf::Header;

/// How the matcher is told that a piece continues a word. Files mark the opposite, with a leading `SPACE`.
const CONTINUES: &str = "##";

pub(super) struct WordPiece {
    normalizer: BertNormalizer,
    matcher: Matcher,
}

fn failed(error: tokenizers::Error) -> Error {
    Error::Tokenizer(error.to_string())
}

impl WordPiece {
    pub(super) fn new(header: &Header, vocab: &Vocab) -> Result<Self> {
        let unk = vocab.specials.unk.and_then(|id| std::str::from_utf8(vocab.text(id)).ok());
        let unk = unk.ok_or_else(|| Error::Tokenizer("a bert vocabulary needs an unknown token".into()))?;
        let mut texts = tokenizers::models::bpe::Vocab::with_capacity(vocab.len());
        for (id, text, kind) in vocab.iter() {
            let Ok(text) = std::str::from_utf8(text) else { continue };
            let text = match text.strip_prefix(SPACE) {
                _ if Some(id) == vocab.specials.unk => text.into(),
                _ if !matches!(kind, Kind::Normal | Kind::UserDefined) => continue,
                Some(word) => word.into(),
                None => [CONTINUES, text].concat(),
            };
            texts.entry(text).or_insert(id);
        }
        let matcher = Matcher::builder().vocab(texts).unk_token(unk.into()).build().map_err(failed)?;
        let lowercase = header.bool(&key("normalizer.lowercase"))?.unwrap_or(true);
        let strip_accents = header.bool(&key("normalizer.strip_accents"))?;
        Ok(Self { normalizer: BertNormalizer::new(true, true, strip_accents, lowercase), matcher })
    }

    /// Appends the tokens of `text`.
    pub(super) fn encode(&self, text: &str, out: &mut Vec<u32>) -> Result<()> {
        // words one by one: the crate's strings carry 16 bytes of alignment for each of text
        for word in text.split([' ', '\t', '\n', '\r']).filter(|word| !word.is_empty()) {
            let mut normalized = NormalizedString::from(word);
            self.normalizer.normalize(&mut normalized).map_err(failed)?;
            let mut pieces = PreTokenizedString::from(normalized);
            BertPreTokenizer.pre_tokenize(&mut pieces).map_err(failed)?;
            for (piece, _, _) in pieces.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
                out.extend(self.matcher.tokenize(piece).map_err(failed)?.iter().map(|token| token.id));
            }
        }
        Ok(())
    }
}
