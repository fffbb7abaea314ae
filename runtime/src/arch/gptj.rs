//! `gptj`: one layer norm for attention and feed-forward layer side by side, NORM rope of a part of each head, no biases in the
//! attention. llama.cpp names the tensors and has no graph.

use super::decoder::{Decoder, NormNames, Sizes};
use super::keys::Keys;
use super::spec::{ModelSpec, RopeStyle};
use crate::error::Result;

pub(super) fn spec(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    let roped = Decoder::gpt(keys, &sizes)?.roped(keys, &sizes, RopeStyle::Norm)?;
    Decoder { norms: NormNames::ONE, parallel: true, ..roped }.build(keys, &sizes)
}
