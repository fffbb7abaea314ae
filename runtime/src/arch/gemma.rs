//! `gemma`: the llama block with NEOX rope, GeGLU and scaled embeddings.

use super::decoder::{Decoder, Sizes};
use super::keys::Keys;
use super::spec::{Activation, ModelSpec, RopeStyle};
use crate::error::Result;

pub(super) fn spec(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    let plain = Decoder::plain(keys, &sizes, RopeStyle::Neox)?;
    let embedding_scale = (sizes.n_embd as f32).sqrt();
    Decoder { activation: Activation::GeluTanh, embedding_scale, ..plain }.build(keys, &sizes)
}
