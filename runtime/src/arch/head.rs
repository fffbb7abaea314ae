//! What a family's models do with the states of their last block: tell the next token, hand them out, or classify texts.

use super::decoder::Sizes;
use super::keys::Keys;
use super::spec::{Activation, LinearSpec, NormSpec, Pooling, Task, TransformSpec};
use crate::error::{Error, Result};
use crate::gguf::Value;

/// The parts of a `ModelSpec` that belong to its head.
pub(super) struct Head {
    pub(super) task: Task,
    pub(super) transform: Option<TransformSpec>,
    pub(super) output: Option<LinearSpec>,
    pub(super) pooling: Option<Pooling>,
    pub(super) labels: Vec<String>,
}

/// Labels of one classifier, at most.
const MAX_LABELS: u64 = 1 << 16;

impl Head {
    /// The head of a file: a decoder without a kind of pooling generates.
    pub(super) fn read(keys: &Keys<'_>, sizes: &Sizes, encoder: bool, embedding: &str) -> Result<Self> {
        let has = |name: &str| keys.header.tensor(name).is_some();
        if keys.u32("pooling_type")? == Some(RANK) || has("cls.weight") || has("cls.output.weight") {
            return classifier(keys, sizes.n_embd, encoder);
        }
        let pooling = pooling(keys)?;
        let plain = |task, output| Self { task, transform: None, output, pooling, labels: Vec::new() };
        if encoder && has("mlm.dense.weight") {
            return Ok(Self {
                transform: Some(mlm(keys, sizes.n_embd)?),
                ..plain(Task::Fill, Some(tied_fill(keys, sizes, embedding)?))
            });
        }
        if encoder || pooling.is_some() {
            return Ok(plain(Task::Embed, None));
        }
        Ok(plain(
            Task::Generate,
            Some(match has("output.weight") {
                true => keys.linear("output", sizes.n_embd, sizes.n_vocab)?,
                false => tied(sizes, embedding, None),
            }),
        ))
    }
}

/// The embedding table as output matrix.
fn tied(sizes: &Sizes, embedding: &str, bias: Option<String>) -> LinearSpec {
    LinearSpec { weight: embedding.into(), bias, inputs: sizes.n_embd, outputs: sizes.n_vocab }
}

/// Masked words are told as BERT does: dense layer, GELU, norm, output matrix (nearly always the embedding table). Converters
/// leave this head out; its names here are ours.
fn mlm(keys: &Keys<'_>, n: usize) -> Result<TransformSpec> {
    let norm = NormSpec { weight: keys.tensor("mlm.norm.weight", &[n])?, bias: keys.optional("mlm.norm.bias", &[n])? };
    Ok(TransformSpec { dense: keys.linear("mlm.dense", n, n)?, activation: Activation::GeluErf, norm: Some(norm) })
}

fn tied_fill(keys: &Keys<'_>, sizes: &Sizes, embedding: &str) -> Result<LinearSpec> {
    let bias = keys.optional("mlm.output.bias", &[sizes.n_vocab])?;
    match keys.header.tensor("mlm.output.weight") {
        Some(_) => keys.linear("mlm.output", sizes.n_embd, sizes.n_vocab),
        None => Ok(tied(sizes, embedding, bias)),
    }
}

/// Of the first token's state, BERT's and RoBERTa's: cls, tanh, cls.output; either may be missing. Of a decoder's last token:
/// cls.output.
fn classifier(keys: &Keys<'_>, n: usize, encoder: bool) -> Result<Head> {
    if keys.header.tensor("cls.norm.weight").is_some() || keys.arch == "modern-bert" {
        // its classifiers read the mean of all states, or the first, and files do not tell which
        return Err(Error::Unsupported(format!("classifiers of '{}' (tensor 'cls.weight')", keys.arch)));
    }
    let rows = |base: &str| {
        keys.header.tensor(&format!("{base}.weight")).map(|tensor| tensor.dims[1].clamp(1, MAX_LABELS) as usize)
    };
    let (dense, output) = match (rows("cls"), rows("cls.output")) {
        (Some(_), Some(labels)) => (Some(keys.linear("cls", n, n)?), keys.linear("cls.output", n, labels)?),
        (None, Some(labels)) => (None, keys.linear("cls.output", n, labels)?),
        (Some(labels), None) => (None, keys.linear("cls", n, labels)?),
        (None, None) => return Err(Error::Model("a reranker without the tensor 'cls.output.weight'".into())),
    };
    let transform = dense.map(|dense| TransformSpec { dense, activation: Activation::Tanh, norm: None });
    Ok(Head {
        task: Task::Score,
        labels: labels(keys, output.outputs)?,
        transform,
        output: Some(output),
        pooling: Some(if encoder { Pooling::First } else { Pooling::Last }),
    })
}

/// The names of a classifier's outputs; none where the file has none.
fn labels(keys: &Keys<'_>, n: usize) -> Result<Vec<String>> {
    let name = "classifier.output_labels";
    let Some(array) = keys.header.array(&keys.key(name))? else { return Ok(Vec::new()) };
    let text = |value: Value<'_>| value.as_str().map(str::to_owned);
    let labels: Option<Vec<String>> = array.iter().take(n + 1).map(text).collect();
    labels.filter(|labels| labels.len() == n).ok_or_else(|| keys.bad(name, format!("is not an array of {n} strings")))
}

/// The kind of pooling that stands for scores.
const RANK: u32 = 4;

/// How a file's vectors are made of states.
pub(super) fn pooling(keys: &Keys<'_>) -> Result<Option<Pooling>> {
    Ok(Some(match keys.u32("pooling_type")?.unwrap_or(0) {
        0 => return Ok(None),
        1 => Pooling::Mean,
        2 => Pooling::First,
        3 => Pooling::Last,
        RANK => {
            return Err(Error::Unsupported(format!("a reranker of '{}' ({})", keys.arch, keys.key("pooling_type"))));
        }
        other => return Err(keys.bad("pooling_type", format!("{other} is not a kind of pooling"))),
    }))
}
