//! `command-r` and `cohere2`: layer norms without biases, attention and SwiGLU side by side, scaled logits. Cohere 2 has windows on
//! three of four layers; the fourth sees everything and no positions.

use super::decoder::{Decoder, NormNames, Sizes};
use super::keys::Keys;
use super::rope;
use super::spec::{ModelSpec, NormKind, RopeStyle};
use crate::error::Result;

const PERIOD: usize = 4;

pub(super) fn command_r(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    decoder(keys, &sizes)?.build(keys, &sizes)
}

pub(super) fn cohere2(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    let (mut decoder, window) = (decoder(keys, &sizes)?, keys.window()?);
    decoder.ropes.push(rope::none());
    let layer = |sliding| if sliding { (window, 0) } else { (None, 1) };
    decoder.layers = keys.sliding(sizes.n_layer, PERIOD)?.into_iter().map(layer).collect();
    decoder.build(keys, &sizes)
}

fn decoder(keys: &Keys<'_>, sizes: &Sizes) -> Result<Decoder> {
    Ok(Decoder {
        norm: NormKind::Layer,
        norms: NormNames::ONE,
        parallel: true,
        logit_scale: keys.positive_or("logit_scale", 1.0)?,
        ..Decoder::plain(keys, sizes, RopeStyle::Norm)?
    })
}
