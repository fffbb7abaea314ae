//! `llama`: LLaMA 1-3, Mistral 7B, SmolLM2, Yi, TinyLlama. RMS pre-norm, NORM rope, SwiGLU.

use super::decoder::{Decoder, Sizes};
use super::keys::Keys;
use super::spec::{ModelSpec, RopeStyle};
use crate::error::Result;

pub(super) fn spec(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    Decoder::plain(keys, &sizes, RopeStyle::Norm)?.build(keys, &sizes)
}
