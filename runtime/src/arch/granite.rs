//! `granite` and `granitemoe`: the llama block with factors on embeddings, scores, what blocks add, and logits.

use super::decoder::{Decoder, Sizes};
use super::keys::Keys;
use super::rope;
use super::spec::{ModelSpec, RopeStyle};
use crate::error::Result;

pub(super) fn spec(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    let mut plain = Decoder::plain(keys, &sizes, RopeStyle::Norm)?;
    if !keys.bool_or("rope.scaling.finetuned", true)? {
        plain.ropes = vec![rope::none()];
    }
    Decoder {
        embedding_scale: keys.positive_or("embedding_scale", 1.0)?,
        residual_scale: keys.positive_or("residual_scale", 1.0)?,
        logit_scale: 1.0 / keys.positive_or("logit_scale", 1.0)?,
        ..plain
    }
    .build(keys, &sizes)
}
