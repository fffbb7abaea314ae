//! `gpt-oss`: experts with clamped SwiGLU, a sink in every head's softmax, biases everywhere, and a window on every other layer.
//! Its norm before the experts is called `post_attention_norm`.

use super::decoder::{Decoder, NormNames, Sizes};
use super::keys::Keys;
use super::spec::{Activation, ModelSpec, RopeStyle};
use crate::error::Result;

const NORMS: NormNames = NormNames([[Some("attn_norm"), None, None], [Some("post_attention_norm"), None, None]]);

pub(super) fn spec(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    let window = keys.window()?;
    let layer = |sliding: bool| (window.filter(|_| sliding), 0);
    let layers = keys.sliding(sizes.n_layer, 2)?.into_iter().map(layer).collect();
    let plain = Decoder::plain(keys, &sizes, RopeStyle::Neox)?;
    Decoder { norms: NORMS, sinks: true, activation: Activation::SwigluOai, layers, ..plain }.build(keys, &sizes)
}
