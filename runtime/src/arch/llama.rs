//! `llama`: LLaMA 1-3, Mistral 7B, SmolLM2, Yi, TinyLlama. RMS pre-norm, NORM rope, SwiGLU.

use super::decoder::{Decoder, Sizes};
use super::keys::Keys;
use super::rope;
use super::spec::{Activation, ModelSpec, RopeStyle};
use crate::error::Result;

pub(super) fn spec(keys: &Keys<'_>) -> Result<ModelSpec> {
    rotary_decoder(keys, RopeStyle::Norm)
}

/// The plain decoder: one rotary embedding, no windows, no extra norms.
pub(super) fn rotary_decoder(keys: &Keys<'_>, style: RopeStyle) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    let decoder = Decoder {
        activation: Activation::Silu,
        qk_norm: false,
        post_norms: false,
        embedding_scale: 1.0,
        attention_scale: keys.f32("attention.scale")?.filter(|&scale| scale > 0.0),
        ropes: vec![rope::from_keys(keys, style, sizes.n_rot, sizes.n_ctx_train)?],
        layers: vec![(None, 0); sizes.n_layer],
    };
    decoder.build(keys, &sizes)
}
