//! `gemma3` and `gemma-embedding`: sandwich norms, per-head q/k norms, GeGLU, scaled embeddings; five layers with a sliding window and an
//! unscaled local rope to one global layer.

use super::decoder::{Decoder, NormNames, QkNorms, Sizes};
use super::keys::Keys;
use super::rope;
use super::spec::{Activation, ModelSpec, RopeStyle};
use crate::error::Result;

/// Every sixth layer is global, where the file does not say otherwise.
const PERIOD: usize = 6;
/// The 27B model, known by its layer count, scales queries by its width per head instead of its head size.
const LAYERS_27B: usize = 62;

pub(super) fn spec(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    decoder(keys, &sizes)?.build(keys, &sizes)
}

/// EmbeddingGemma: the same as an encoder.
pub(super) fn embedding(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    Decoder { encoder: true, ..decoder(keys, &sizes)? }.build(keys, &sizes)
}

fn decoder(keys: &Keys<'_>, sizes: &Sizes) -> Result<Decoder> {
    let local_base = keys.positive_or("rope.freq_base_swa", rope::BASE)?;
    let window = keys.window()?;
    let layer = |sliding| if sliding && window.is_some() { (window, 1) } else { (None, 0) };
    let per_head = |n: usize| (sizes.heads[0] as f32 / n as f32).sqrt();
    let mut decoder = Decoder {
        activation: Activation::GeluTanh,
        qk_norm: Some(QkNorms::Heads),
        norms: NormNames::SANDWICH,
        embedding_scale: (sizes.n_embd as f32).sqrt(),
        attention_scale: (sizes.n_layer == LAYERS_27B).then(|| per_head(sizes.n_embd)),
        layers: keys.sliding(sizes.n_layer, PERIOD)?.into_iter().map(layer).collect(),
        ..Decoder::plain(keys, sizes, RopeStyle::Neox)?
    };
    decoder.ropes.push(rope::plain(RopeStyle::Neox, sizes.n_rot, local_base, 1.0));
    Ok(decoder)
}
