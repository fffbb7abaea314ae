//! `smollm3`: the llama block; every fourth layer sees no positions.

use super::decoder::{Decoder, Sizes};
use super::keys::Keys;
use super::rope;
use super::spec::{ModelSpec, RopeStyle};
use crate::error::Result;

/// The last layer of each four has no rope.
const PERIOD: usize = 4;

pub(super) fn spec(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    let mut decoder = Decoder::plain(keys, &sizes, RopeStyle::Norm)?;
    decoder.ropes.push(rope::none());
    decoder.layers = (1..=sizes.n_layer).map(|i| (None, usize::from(i % PERIOD == 0))).collect();
    decoder.build(keys, &sizes)
}
