//! `olmo2`: OLMo 2 and 3. Only what blocks add is normed; queries and keys are normed as whole vectors. OLMo 3 has windows, and
//! its windowed layers a rope without scaling.

use super::decoder::{Decoder, NormNames, QkNorms, Sizes};
use super::keys::Keys;
use super::rope;
use super::spec::{ModelSpec, RopeStyle};
use crate::error::Result;

/// Every fourth layer of OLMo 3 is global, where the file does not say otherwise.
const PERIOD: usize = 4;

pub(super) fn spec(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    let plain = Decoder::plain(keys, &sizes, RopeStyle::Neox)?;
    let mut decoder = Decoder { norms: NormNames::POST, qk_norm: Some(QkNorms::Whole), ..plain };
    if let Some(window) = keys.window()? {
        let base = keys.positive_or("rope.freq_base", rope::BASE)?;
        let local = keys.positive_or("rope.freq_base_swa", base)?;
        decoder.ropes.push(rope::plain(RopeStyle::Neox, sizes.n_rot, local, 1.0));
        let layer = |sliding| if sliding { (Some(window), 1) } else { (None, 0) };
        decoder.layers = keys.sliding(sizes.n_layer, PERIOD)?.into_iter().map(layer).collect();
    }
    decoder.build(keys, &sizes)
}
