//! `gemma2`: gemma with sandwich norms, capped scores and logits, and a window on every other layer.

use super::decoder::{Decoder, NormNames, Sizes};
use super::keys::Keys;
use super::spec::{Activation, ModelSpec, RopeStyle};
use crate::error::Result;

/// The 27B model, known by its layer count, scales queries by its width per head instead of its head size.
const LAYERS_27B: usize = 46;
/// Where a file does not say otherwise.
const WINDOW: usize = 4096;

pub(super) fn spec(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    let window = keys.window()?.unwrap_or(WINDOW);
    let layers = keys.sliding(sizes.n_layer, 2)?.into_iter().map(|sliding| (sliding.then_some(window), 0)).collect();
    let per_head = (sizes.heads[0] as f32 / sizes.n_embd as f32).sqrt();
    Decoder {
        norms: NormNames::SANDWICH,
        activation: Activation::GeluTanh,
        embedding_scale: (sizes.n_embd as f32).sqrt(),
        attention_scale: (sizes.n_layer == LAYERS_27B).then_some(per_head),
        attention_softcap: keys.softcap("attn_logit_softcapping")?,
        layers,
        ..Decoder::plain(keys, &sizes, RopeStyle::Neox)?
    }
    .build(keys, &sizes)
}
