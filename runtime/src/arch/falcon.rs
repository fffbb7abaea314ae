//! `falcon`: Falcon 7B and 40B. Parallel blocks without gate, NEOX rope; the larger models norm attention's input separately. The models
//! define GELU by erf.

use super::decoder::{Decoder, NormNames, Sizes};
use super::keys::Keys;
use super::spec::{Activation, ModelSpec, RopeStyle};
use crate::error::Result;

/// `attn_norm` belongs to the feed-forward layer where there is a second one.
const TWO: NormNames = NormNames([[Some("attn_norm_2"), None, None], [Some("attn_norm"), None, None]]);

pub(super) fn spec(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    let roped = Decoder::gpt(keys, &sizes)?.roped(keys, &sizes, RopeStyle::Neox)?;
    let norms = if keys.header.tensor("blk.0.attn_norm_2.weight").is_some() { TWO } else { NormNames::ONE };
    Decoder { norms, parallel: true, activation: Activation::GeluErf, ..roped }.build(keys, &sizes)
}
