//! `bert` (also RoBERTa, DistilBERT, MiniLM, bge, e5), `nomic-bert`, `jina-bert-v2` and `modern-bert`: encoders. The models define
//! GELU by erf.

use super::decoder::{Decoder, NormNames, Sizes};
use super::keys::Keys;
use super::rope;
use super::spec::{Activation, ModelSpec, NormKind, RopeStyle};
use crate::error::Result;

/// The exponent of jina-bert-v2's steepest slope.
const ALIBI: f32 = 8.0;

/// Learned positions, biases everywhere; the stream is normed after each half of a block.
pub(super) fn bert(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    Decoder { positions: true, ..encoder(keys, &sizes)? }.build(keys, &sizes)
}

/// The same with NEOX rope in place of positions, and SwiGLU.
pub(super) fn nomic(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    let roped = encoder(keys, &sizes)?.roped(keys, &sizes, RopeStyle::Neox)?;
    Decoder { activation: Activation::Silu, gated: true, ..roped }.build(keys, &sizes)
}

/// The same with ALiBi to both sides in place of positions, and GeGLU (but plain GELU in the models for code).
pub(super) fn jina2(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    let tensor = |name: &str| keys.header.tensor(&format!("blk.0.{name}.weight"));
    let both = 2 * sizes.n_ff[0] as u64;
    let gated = tensor("ffn_gate").is_some() || tensor("ffn_up").is_some_and(|up| up.dims[1] == both);
    Decoder { alibi: Some(ALIBI), gated, ..encoder(keys, &sizes)? }.build(keys, &sizes)
}

/// Norms before each half of a block, GeGLU, NEOX rope; two of three layers see a window around each token, with a rope of their
/// own.
pub(super) fn modern(keys: &Keys<'_>) -> Result<ModelSpec> {
    const PERIOD: usize = 3;
    let sizes = Sizes::read(keys)?;
    let (window, period) = (keys.window()?, keys.width_or("attention.sliding_window_pattern", PERIOD)?);
    let local = keys.positive_or("rope.freq_base_swa", rope::BASE)?;
    let mut modern = encoder(keys, &sizes)?.roped(keys, &sizes, RopeStyle::Neox)?;
    modern.ropes.push(rope::plain(RopeStyle::Neox, sizes.n_rot, local, 1.0));
    modern.layers = (0..sizes.n_layer).map(|i| if i % period == 0 { (None, 0) } else { (window, 1) }).collect();
    let silu = keys.str("hidden_activation")? == Some("silu");
    let activation = if silu { Activation::Silu } else { Activation::GeluErf };
    Decoder { norms: NormNames::PRE, gated: true, activation, ..modern }.build(keys, &sizes)
}

fn encoder(keys: &Keys<'_>, sizes: &Sizes) -> Result<Decoder> {
    Ok(Decoder {
        norm: NormKind::Layer,
        norms: NormNames::STREAM,
        encoder: true,
        embedding_norm: true,
        activation: Activation::GeluErf,
        ..Decoder::gpt(keys, sizes)?
    })
}
