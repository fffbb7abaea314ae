//! `bloom`: GPT-2's block with ALiBi in place of positions, and normed embeddings.

use super::decoder::{Decoder, Sizes};
use super::keys::Keys;
use super::spec::ModelSpec;
use crate::error::Result;

/// Exponent of the steepest slope.
const ALIBI: f32 = 8.0;

pub(super) fn spec(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    Decoder { alibi: Some(ALIBI), embedding_norm: true, ..Decoder::gpt(keys, &sizes)? }.build(keys, &sizes)
}
