//! `Tokenizer`: text to token ids and back, built from a GGUF header.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use super::bpe::{Bpe, spelled_bytes};
use super::detokenizer::Detokenizer;
use super::pretokenizers;
use super::rwkv::{self, Rwkv};
use super::special::{Part, SpecialTokens, Strips};
use super::spm::{SPACE, Spm};
use super::template::ControlTexts;
use super::unigram::Unigram;
use super::vocab::{Kind, Vocab, byte_value, key, read_scores};
use super::wordpiece::WordPiece;
use crate::error::{Error, Result};
use crate::gguf::Header;

/// The longest text that is tokenized in one call, in bytes.
pub const MAX_TEXT: usize = 16 << 20;

/// A stretch of text, and whether control tokens written in it are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// The text.
    pub text: String,
    /// True for a template's own words; false for what users wrote, where `<|im_end|>` is just text.
    pub parse_special: bool,
}

/// A model's tokenizer. Cheap to clone; usable from several threads.
#[derive(Clone)]
pub struct Tokenizer(Arc<Inner>);

struct Inner {
    vocab: Vocab,
    rules: Rules,
    specials: SpecialTokens,
    /// What each token prints as.
    pieces: Vec<Box<[u8]>>,
    add_bos: bool,
    add_eos: bool,
    add_sep: bool,
    control: OnceLock<Result<ControlTexts, String>>,
}

/// The family's own algorithm.
enum Rules {
    Bpe(Box<Bpe>),
    /// `space_prefix`: text at the start or after a special token gets a leading space.
    Spm {
        spm: Box<Spm>,
        space_prefix: bool,
    },
    WordPiece(Box<WordPiece>),
    Rwkv(Box<Rwkv>),
    /// `space_prefix`: as for SentencePiece.
    Unigram {
        unigram: Box<Unigram>,
        space_prefix: bool,
    },
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let family = match self.0.rules {
            Rules::Bpe(_) => "gpt2",
            Rules::Spm { .. } => "llama",
            Rules::WordPiece(_) => "bert",
            Rules::Unigram { .. } => "t5",
            Rules::Rwkv(_) => "rwkv",
        };
        write!(f, "Tokenizer({family}, {} tokens)", self.n_vocab())
    }
}

impl Tokenizer {
    /// Builds the tokenizer a model file describes. `None`: it describes none (`tokenizer.ggml.model` is absent,
    /// `no_vocab` or `none`).
    ///
    /// Errors: `Error::Tokenizer` for data that contradicts itself or an unknown kind or pre-tokenizer, which is named;
    /// `Error::Unsupported` for a kind that is known but not yet implemented; `Error::Gguf` for keys of a wrong type.
    pub fn from_header(header: &Header) -> Result<Option<Self>> {
        let model = match header.str(&key("model"))? {
            None | Some("no_vocab" | "none") => return Ok(None),
            Some(model @ ("gpt2" | "llama" | "bert" | "t5" | "rwkv")) => model,
            Some(other @ ("gemma4" | "plamo2" | "whitespace" | "hybriddna")) => {
                return Err(Error::Unsupported(format!("tokenizer kind '{other}'")));
            }
            Some(other) => return Err(Error::Tokenizer(format!("unknown kind '{other}'"))),
        };
        let vocab = Vocab::read(header, model)?;
        Ok(Some(Self(Arc::new(Inner::new(header, model, vocab)?))))
    }

    /// The tokens of `text`.
    ///
    /// `add_special`: add BOS, EOS, SEP or CLS as the model wants at the ends of a text, unless the text brings its own.
    /// `parse_special`: text like `<|im_end|>` becomes the control token; leave it off for anything a user wrote.
    ///
    /// Errors: `Error::InvalidArgument` for a text of more than `MAX_TEXT` bytes.
    pub fn encode(&self, text: &str, add_special: bool, parse_special: bool) -> Result<Vec<u32>> {
        self.0.encode(text, &[(text.len(), parse_special)], add_special)
    }

    /// The tokens of a pair of texts, with the special tokens that the model wants around them, and where the second begins. Both
    /// come without special tokens.
    pub fn pair(&self, first: &[u32], second: &[u32]) -> (Vec<u32>, usize) {
        self.0.pair(first, second)
    }

    /// The tokens of segments set one after another. Control tokens are made only from text that lies within one segment
    /// with `parse_special`; everything else is tokenized as if it were one text. Errors as for `encode`.
    pub fn encode_segments(&self, segments: &[Segment], add_special: bool) -> Result<Vec<u32>> {
        let mut ends = Vec::with_capacity(segments.len());
        let mut text = String::new();
        for segment in segments {
            check_length(text.len().saturating_add(segment.text.len()))?;
            text += &segment.text;
            ends.push((text.len(), segment.parse_special));
        }
        self.0.encode(&text, &ends, add_special)
    }

    /// The text of tokens. Bytes that are not UTF-8 become U+FFFD, ids outside the vocabulary nothing. `special`: print
    /// control tokens as well. The leading space that SentencePiece adds to a text is taken off again.
    pub fn decode(&self, ids: &[u32], special: bool) -> String {
        let mut stream = Detokenizer::new(self, true).special(special);
        let mut text: String = ids.iter().map(|&id| stream.push(id)).collect();
        text += &stream.finish();
        text
    }

    /// What a token prints as: raw bytes, perhaps part of a character. Empty for ids outside the vocabulary and, unless
    /// `special`, for control tokens.
    pub fn token_bytes(&self, id: u32, special: bool) -> &[u8] {
        let hidden = !special && self.is_control(id);
        self.0.pieces.get(id as usize).filter(|_| !hidden).map_or(&[], |piece| piece)
    }

    /// A token's text as the vocabulary has it, control tokens included.
    pub fn token_text(&self, id: u32) -> Option<Cow<'_, str>> {
        ((id as usize) < self.n_vocab()).then(|| String::from_utf8_lossy(self.0.vocab.text(id)))
    }

    /// The token of exactly this vocabulary text, control tokens included.
    pub fn find(&self, text: &str) -> Option<u32> {
        self.0.vocab.find(text.as_bytes())
    }

    /// Number of tokens; ids are below it. The model's logits may have more rows (padding).
    pub fn n_vocab(&self) -> usize {
        self.0.vocab.len()
    }

    /// Beginning of a text (CLS for encoders).
    pub fn bos(&self) -> Option<u32> {
        self.0.vocab.specials.bos
    }

    /// End of a text.
    pub fn eos(&self) -> Option<u32> {
        self.0.vocab.specials.eos
    }

    /// End of a turn in a conversation.
    pub fn eot(&self) -> Option<u32> {
        self.0.vocab.specials.eot
    }

    /// Stands for what the vocabulary lacks.
    pub fn unk(&self) -> Option<u32> {
        self.0.vocab.specials.unk
    }

    /// Separates texts (encoders).
    pub fn sep(&self) -> Option<u32> {
        self.0.vocab.specials.sep
    }

    /// Fills a batch.
    pub fn pad(&self) -> Option<u32> {
        self.0.vocab.specials.pad
    }

    /// Stands for a word to be guessed (encoders).
    pub fn mask(&self) -> Option<u32> {
        self.0.vocab.specials.mask
    }

    /// Whether generation ends at this token.
    pub fn is_eog(&self, id: u32) -> bool {
        self.0.vocab.is_eog(id)
    }

    /// Whether it is a control or unknown token, which prints as nothing unless asked for.
    pub fn is_control(&self, id: u32) -> bool {
        (id as usize) < self.n_vocab() && matches!(self.0.vocab.kind(id), Kind::Control | Kind::Unknown)
    }

    /// Whether texts get BOS in front.
    pub fn add_bos(&self) -> bool {
        self.0.add_bos
    }

    /// Whether texts get EOS at the end.
    pub fn add_eos(&self) -> bool {
        self.0.add_eos
    }

    /// Whether a text's first word prints with a space that is not the text's own.
    pub(super) fn leading_space(&self) -> bool {
        match self.0.rules {
            Rules::Spm { space_prefix, .. } | Rules::Unigram { space_prefix, .. } => space_prefix,
            Rules::WordPiece(_) => true,
            Rules::Bpe(_) | Rules::Rwkv(_) => false,
        }
    }

    /// The texts that must not be forged, built when first asked for.
    pub fn control_texts(&self) -> Result<&ControlTexts> {
        let texts = || {
            let control = self.0.vocab.iter().filter(|t| matches!(t.2, Kind::Control | Kind::Unknown));
            ControlTexts::new(control.filter_map(|(_, text, _)| std::str::from_utf8(text).ok()))
                .map_err(|e| e.to_string())
        };
        self.0.control.get_or_init(texts).as_ref().map_err(|e| Error::Tokenizer(e.clone()))
    }
}

fn check_length(len: usize) -> Result<()> {
    match len {
        0..=MAX_TEXT => Ok(()),
        _ => Err(Error::InvalidArgument(format!("a text of {len} bytes; {MAX_TEXT} can be tokenized at once"))),
    }
}

impl Inner {
    fn new(header: &Header, model: &str, mut vocab: Vocab) -> Result<Self> {
        let pre = header.str(&key("pre"))?.unwrap_or("default");
        let (mut add_bos, mut add_sep) = (!matches!(model, "gpt2" | "t5" | "rwkv"), model == "bert");
        let rules = match model {
            "gpt2" => {
                let rules = pretokenizers::find(pre)
                    .ok_or_else(|| Error::Tokenizer(format!("unknown pre-tokenizer '{pre}'")))?;
                (add_bos, add_sep) = (rules.add_bos, rules.add_sep);
                if rules.no_bos {
                    vocab.specials.bos = None;
                }
                Rules::Bpe(Box::new(Bpe::new(header, &vocab, rules)?))
            }
            "llama" => Rules::Spm {
                spm: Box::new(Spm::new(&vocab, read_scores(header, vocab.len())?)),
                space_prefix: header.bool(&key("add_space_prefix"))?.unwrap_or(true),
            },
            "t5" => Rules::Unigram {
                unigram: Box::new(Unigram::new(header, &vocab)?),
                space_prefix: header.bool(&key("add_space_prefix"))?.unwrap_or(false),
            },
            "rwkv" => Rules::Rwkv(Box::new(Rwkv::new(&vocab)?)),
            _ => Rules::WordPiece(Box::new(WordPiece::new(header, &vocab)?)),
        };
        if model != "bert" {
            add_bos = header.bool(&key("add_bos_token"))?.unwrap_or(add_bos);
            add_sep = header.bool(&key("add_sep_token"))?.unwrap_or(add_sep);
        }
        Ok(Self {
            specials: SpecialTokens::new(&vocab, strips(header, &vocab, pre)?)?,
            pieces: vocab.iter().map(|(_, text, kind)| piece(text, kind, &rules)).collect(),
            rules,
            add_bos,
            add_eos: header.bool(&key("add_eos_token"))?.unwrap_or(model == "t5"),
            add_sep,
            control: OnceLock::new(),
            vocab,
        })
    }

    fn encode(&self, text: &str, segments: &[(usize, bool)], add_special: bool) -> Result<Vec<u32>> {
        check_length(text.len())?;
        let mut out = Vec::new();
        let mut after_token = true;
        for part in self.specials.partition(text, segments) {
            match &part {
                Part::Token(id) => out.push(*id),
                Part::Text(range) => self.encode_text(&text[range.clone()], after_token, &mut out)?,
            }
            after_token = matches!(part, Part::Token(_));
        }
        if add_special {
            self.add_ends(&mut out);
        }
        Ok(out)
    }

    /// `at_start`: nothing or a special token comes before.
    fn encode_text(&self, text: &str, at_start: bool, out: &mut Vec<u32>) -> Result<()> {
        match &self.rules {
            Rules::Bpe(bpe) => bpe.encode(text, out),
            Rules::WordPiece(word_piece) => word_piece.encode(text, out),
            Rules::Rwkv(rwkv) => {
                rwkv.encode(text, out);
                Ok(())
            }
            Rules::Unigram { unigram, space_prefix } => unigram.encode(text, *space_prefix && at_start, out),
            Rules::Spm { spm, space_prefix } => {
                let mut escaped = text.replace(' ', SPACE);
                if *space_prefix && at_start {
                    escaped.insert_str(0, SPACE);
                }
                spm.encode(&self.vocab, &escaped, out);
                Ok(())
            }
        }
    }

    /// `[CLS] first [SEP] second [SEP]`, but `<s> first </s></s> second </s>`, as RoBERTa has it.
    fn pair(&self, first: &[u32], second: &[u32]) -> (Vec<u32>, usize) {
        let specials = &self.vocab.specials;
        let end = specials.sep.filter(|_| self.add_sep).or(specials.eos.filter(|_| self.add_eos));
        let twice = end.filter(|&end| self.vocab.text(end) == b"</s>");
        let mut out: Vec<u32> =
            specials.bos.filter(|_| self.add_bos).into_iter().chain(first.iter().copied()).collect();
        out.extend(end.into_iter().chain(twice));
        let start = out.len();
        out.extend(second.iter().copied().chain(end));
        (out, start)
    }

    /// BOS before and EOS or SEP after, unless they are there already.
    fn add_ends(&self, out: &mut Vec<u32>) {
        let specials = &self.vocab.specials;
        if let Some(bos) = specials.bos.filter(|bos| self.add_bos && out.first() != Some(bos)) {
            out.insert(0, bos);
        }
        let ends = [specials.sep.filter(|_| self.add_sep), specials.eos.filter(|_| self.add_eos)];
        for end in ends.into_iter().flatten() {
            if out.last() != Some(&end) {
                out.push(end);
            }
        }
    }
}

/// What a token prints as.
fn piece(text: &[u8], kind: Kind, rules: &Rules) -> Box<[u8]> {
    let verbatim = matches!(kind, Kind::Control | Kind::Unknown | Kind::UserDefined);
    let str = std::str::from_utf8(text).ok().filter(|_| !verbatim);
    match (rules, str) {
        (Rules::Bpe(_), Some(str)) => spelled_bytes(str).unwrap_or_else(|| text.into()).into(),
        (Rules::Spm { .. }, Some(_)) if kind == Kind::Byte => byte_value(text).into_iter().collect(),
        (Rules::Spm { .. } | Rules::WordPiece(_) | Rules::Unigram { .. }, Some(str)) => {
            str.replace(SPACE, " ").into_bytes().into()
        }
        // SentencePiece's own user-defined tokens may be runs of spaces
        (Rules::Spm { .. }, None) if kind == Kind::UserDefined => {
            String::from_utf8_lossy(text).replace(SPACE, " ").into_bytes().into()
        }
        (Rules::Rwkv(_), _) if !verbatim => rwkv::unescape(text).unwrap_or_else(|| text.into()),
        _ => text.into(),
    }
}

/// Which special tokens take the white space beside them: known by family only (spec "tokenizers", section 1).
fn strips(header: &Header, vocab: &Vocab, pre: &str) -> Result<Strips> {
    let mut strips = Strips::default();
    let name = header.str("general.name").unwrap_or_default().unwrap_or_default().to_lowercase();
    let arch = header.str("general.architecture")?.unwrap_or_default();
    if name.contains("phi-3") || name.contains("phi3") {
        let plain = ["<unk>", "<s>", "<|endoftext|>"].map(str::as_bytes);
        let special = |kind| matches!(kind, Kind::Control | Kind::UserDefined | Kind::Unknown);
        strips.right = vocab.iter().filter(|t| special(t.2) && !plain.contains(&t.1)).map(|t| t.0).collect();
    }
    let mask = match (pre, arch) {
        _ if pre.starts_with("jina-v2-") || matches!(arch, "nomic-bert-moe" | "jina-bert-v3") => "<mask>",
        _ if pre == "modern-bert" || arch == "modern-bert" => "[MASK]",
        _ => return Ok(strips),
    };
    strips.left.extend(vocab.find(mask.as_bytes()));
    Ok(strips)
}
