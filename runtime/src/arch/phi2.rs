//! `phi2`: Phi-1 to 2. One layer norm for attention and feed-forward layer side by side, NEOX rope of a part of each head, biases
//! everywhere.

use super::decoder::{Decoder, NormNames, Sizes};
use super::keys::Keys;
use super::spec::{ModelSpec, RopeStyle};
use crate::error::Result;

pub(super) fn spec(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    let roped = Decoder::gpt(keys, &sizes)?.roped(keys, &sizes, RopeStyle::Neox)?;
    Decoder { norms: NormNames::ONE, parallel: true, ..roped }.build(keys, &sizes)
}
