//! `mpt`: GPT-2's block without biases, with ALiBi. The models define GELU by erf.

use super::decoder::{Decoder, Sizes};
use super::keys::Keys;
use super::spec::{Activation, ModelSpec};
use crate::error::Result;

pub(super) fn spec(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    let alibi = keys.f32("attention.max_alibi_bias")?.filter(|&bias| bias > 0.0);
    let gpt = Decoder::gpt(keys, &sizes)?;
    Decoder { alibi, activation: Activation::GeluErf, positions: alibi.is_none(), ..gpt }.build(keys, &sizes)
}
