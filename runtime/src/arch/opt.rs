//! `opt`: GPT-2's block with ReLU. No other engine has it as GGUF: keys and tensors are named as GPT-2's, and `position_embd` begins
//! with position 0 (the models keep two rows before it). OPT-350m, which norms after each half and embeds narrowly, is refused for
//! its missing `attn_norm`.

use super::decoder::{Decoder, Sizes};
use super::keys::Keys;
use super::spec::{Activation, ModelSpec};
use crate::error::Result;

pub(super) fn spec(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    let gpt = Decoder::gpt(keys, &sizes)?;
    Decoder { positions: true, activation: Activation::Relu, ..gpt }.build(keys, &sizes)
}
