//! A model file's vocabulary, checked: texts, kinds, scores, special ids and the tokens that end a generation.

use std::collections::{HashMap, HashSet};

use crate::error::{Error, Result};
use crate::gguf::{Header, Value};

/// What a token is for, as the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Unknown,
    /// Steers the model; never made from plain text, printed only on request.
    Control,
    /// Added by the model's makers; found in any text before the model's own rules run.
    UserDefined,
    Unused,
    /// Stands for one raw byte, written `<0xNN>`.
    Byte,
}

impl Kind {
    fn from_id(id: i64) -> Option<Self> {
        // 0 is "undefined", which old converters wrote for ordinary tokens
        [Kind::Normal, Kind::Normal, Kind::Unknown, Kind::Control, Kind::UserDefined, Kind::Unused, Kind::Byte]
            .get(usize::try_from(id).ok()?)
            .copied()
    }

    /// Whether the model's own rules may make it out of plain text.
    pub(super) fn is_textual(self) -> bool {
        matches!(self, Kind::Normal | Kind::UserDefined)
    }
}

/// Tokens by their role. `None`: the vocabulary has none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Specials {
    pub(super) bos: Option<u32>,
    pub(super) eos: Option<u32>,
    pub(super) eot: Option<u32>,
    pub(super) unk: Option<u32>,
    pub(super) sep: Option<u32>,
    pub(super) pad: Option<u32>,
    pub(super) mask: Option<u32>,
}

/// Every token's text and kind, by id and by text.
pub(super) struct Vocab {
    texts: Vec<Box<[u8]>>,
    kinds: Vec<Kind>,
    ids: HashMap<Box<[u8]>, u32>,
    pub(super) specials: Specials,
    eog: HashSet<u32>,
}

/// Keeps ids far from the ends of their type.
const MAX_TOKENS: usize = 1 << 24;

/// Texts by which an end-of-turn token is known where the file does not name it, most specific first.
const EOT_TEXTS: &[&str] = &[
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "<｜end▁of▁sentence｜>",
    "<end_of_utterance>",
];
/// Texts that end a generation wherever they are in a vocabulary.
const EOG_TEXTS: &[&str] = &[
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
];
/// Fill-in-the-middle tokens that stand between files, by text; they end a generation as well.
const FIM_END_TEXTS: &[&str] =
    &["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<|file_sep|>"];
/// gpt-oss: these shape its visible answer, so they are printed.
const HARMONY_TEXTS: &[&str] = &["<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"];

pub(super) fn key(name: &str) -> String {
    format!("tokenizer.ggml.{name}")
}

fn broken(message: String) -> Error {
    Error::Tokenizer(message)
}

impl Vocab {
    /// Reads and checks the vocabulary of a tokenizer of kind `model`.
    pub(super) fn read(header: &Header, model: &str) -> Result<Self> {
        let texts = read_texts(header)?;
        let kinds = read_kinds(header, &texts, model)?;
        let ids = index(&texts)?;
        let mut vocab = Self { texts, kinds, ids, specials: Specials::default(), eog: HashSet::new() };
        vocab.specials = vocab.read_specials(header, model)?;
        vocab.find_eog(header)?;
        Ok(vocab)
    }

    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    pub(super) fn text(&self, id: u32) -> &[u8] {
        &self.texts[id as usize]
    }

    pub(super) fn kind(&self, id: u32) -> Kind {
        self.kinds[id as usize]
    }

    /// The token of exactly this text.
    pub(super) fn find(&self, text: &[u8]) -> Option<u32> {
        self.ids.get(text).copied()
    }

    /// Ids with texts and kinds, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &[u8], Kind)> {
        self.texts.iter().zip(&self.kinds).enumerate().map(|(id, (text, &kind))| (id as u32, &**text, kind))
    }

    pub(super) fn is_eog(&self, id: u32) -> bool {
        self.eog.contains(&id)
    }

    fn find_str(&self, text: &str) -> Option<u32> {
        self.find(text.as_bytes())
    }

    /// The id a key names; an id outside the vocabulary is an error.
    fn id_key(&self, header: &Header, names: &[&str]) -> Result<Option<u32>> {
        for name in names {
            let key = key(name);
            match header.u32(&key)? {
                Some(id) if (id as usize) < self.len() => return Ok(Some(id)),
                Some(id) => return Err(broken(format!("'{key}' is {id}, the vocabulary has {} tokens", self.len()))),
                None => {}
            }
        }
        Ok(None)
    }

    /// Special ids: the file's, else the family's defaults where the vocabulary is large enough.
    fn read_specials(&self, header: &Header, model: &str) -> Result<Specials> {
        let [bos, eos, unk, sep, pad, mask] = match model {
            "llama" => [Some(1), Some(2), Some(0), None, None, None],
            "gpt2" => [Some(11), Some(11), None, None, None, None],
            "t5" => [None, Some(1), Some(2), None, Some(0), None],
            "bert" => [Some(101), None, Some(100), Some(102), Some(0), Some(103)],
            _ => [None; 6],
        };
        // many gpt2 vocabularies have an ordinary token at their family's default
        let usable = |id: &u32| (*id as usize) < self.len() && (model != "gpt2" || self.kind(*id) == Kind::Control);
        let read = |names: &[&str], default: Option<u32>| -> Result<Option<u32>> {
            Ok(self.id_key(header, names)?.or(default.filter(usable)))
        };
        Ok(Specials {
            bos: read(&["bos_token_id", "cls_token_id"], bos)?,
            eos: read(&["eos_token_id"], eos)?,
            eot: self.id_key(header, &["eot_token_id"])?.or_else(|| self.first_of(EOT_TEXTS)),
            unk: read(&["unknown_token_id"], unk)?,
            sep: read(&["seperator_token_id", "separator_token_id"], sep)?,
            pad: read(&["padding_token_id"], pad)?,
            mask: read(&["mask_token_id"], mask)?,
        })
    }

    fn first_of(&self, texts: &[&str]) -> Option<u32> {
        texts.iter().find_map(|text| self.find_str(text))
    }

    /// The tokens that end a generation (spec "tokenizers", section 7). Those known only by their text become control
    /// tokens, whatever kind the file gives them.
    fn find_eog(&mut self, header: &Header) -> Result<()> {
        let mut eog: HashSet<u32> = [self.specials.eos, self.specials.eot].into_iter().flatten().collect();
        for name in ["eom_token_id", "fim_pad_token_id", "fim_rep_token_id", "fim_sep_token_id"] {
            eog.extend(self.id_key(header, &[name])?);
        }
        let known = EOG_TEXTS.iter().chain(FIM_END_TEXTS).filter_map(|text| self.find_str(text));
        for id in known.collect::<Vec<_>>() {
            self.kinds[id as usize] = Kind::Control;
            eog.insert(id);
        }
        let both = |a: &str, b: &str| self.find_str(a).is_some() && self.find_str(b).is_some();
        let harmony = both("<|return|>", "<|call|>");
        if harmony || both("<|calls|>", "<|flush|>") {
            self.make_visible(&["<|end|>"], &mut eog);
        }
        if harmony {
            self.make_visible(HARMONY_TEXTS, &mut eog);
        }
        if self.find_str("<|tool_response>").is_some() {
            eog.retain(|&id| Some(id) != self.find_str("</s>"));
        }
        self.eog = eog;
        Ok(())
    }

    fn make_visible(&mut self, texts: &[&str], eog: &mut HashSet<u32>) {
        for id in texts.iter().filter_map(|text| self.find_str(text)).collect::<Vec<_>>() {
            self.kinds[id as usize] = Kind::UserDefined;
            eog.remove(&id);
        }
    }
}

fn read_texts(header: &Header) -> Result<Vec<Box<[u8]>>> {
    let key = key("tokens");
    let tokens = header.strings(&key)?.ok_or_else(|| broken(format!("'{key}' is missing")))?;
    if tokens.len() == 0 || tokens.len() > MAX_TOKENS {
        return Err(broken(format!("the vocabulary has {} tokens; 1 to {MAX_TOKENS} are supported", tokens.len())));
    }
    let named = |(id, text): (usize, &[u8])| match text {
        b"" => format!("[EMPTY_{id}]").into_bytes().into(),
        text => text.into(),
    };
    Ok(tokens.enumerate().map(named).collect())
}

fn read_kinds(header: &Header, texts: &[Box<[u8]>], model: &str) -> Result<Vec<Kind>> {
    let key = key("token_type");
    let byte_like = |text: &[u8]| model == "llama" && byte_value(text).is_some();
    let Some(types) = header.array(&key)? else {
        return Ok(texts.iter().map(|t| if byte_like(t) { Kind::Byte } else { Kind::Normal }).collect());
    };
    if types.len() != texts.len() {
        return Err(broken(format!("'{key}' has {} entries for {} tokens", types.len(), texts.len())));
    }
    let kind = |(id, value): (usize, Value<'_>)| {
        let kind = value.as_i64().and_then(Kind::from_id);
        let kind = kind.ok_or_else(|| broken(format!("token {id} has the unknown type {value:?}")))?;
        if kind == Kind::Byte && byte_value(&texts[id]).is_none() {
            let text = String::from_utf8_lossy(&texts[id]);
            return Err(broken(format!("byte token {id} is '{text}', not <0xNN> with two hex digits")));
        }
        Ok(kind)
    };
    types.iter().enumerate().map(kind).collect()
}

fn index(texts: &[Box<[u8]>]) -> Result<HashMap<Box<[u8]>, u32>> {
    let mut ids = HashMap::with_capacity(texts.len());
    for (id, text) in texts.iter().enumerate() {
        if let Some(first) = ids.insert(text.clone(), id as u32) {
            let text = String::from_utf8_lossy(text);
            return Err(broken(format!("tokens {first} and {id} have the same text '{text}'")));
        }
    }
    Ok(ids)
}

/// The byte that `<0xNN>` stands for.
pub(super) fn byte_value(text: &[u8]) -> Option<u8> {
    let [b'<', b'0', b'x', high, low, b'>'] = *text else { return None };
    let digit = |c: u8| (c as char).to_digit(16);
    Some((digit(high)? * 16 + digit(low)?) as u8)
}

/// Scores, one a token; all 0 where the file has none.
pub(super) fn read_scores(header: &Header, n_vocab: usize) -> Result<Vec<f32>> {
    let key = key("scores");
    let Some(scores) = header.array(&key)? else { return Ok(vec![0.0; n_vocab]) };
    if scores.len() < n_vocab {
        return Err(broken(format!("'{key}' has {} entries for {n_vocab} tokens", scores.len())));
    }
    let score = |(id, value): (usize, Value<'_>)| {
        let score = value.as_f32().or_else(|| value.as_i64().map(|i| i as f32)).filter(|s| !s.is_nan());
        score.ok_or_else(|| broken(format!("the score of token {id} is {value:?}, not a number")))
    };
    scores.iter().take(n_vocab).enumerate().map(score).collect()
}
