//! `gptneox`: GPT-NeoX, Pythia, Dolly. GPT-2's block with NEOX rope of a part of each head; most models compute both halves side by
//! side, each behind a norm of its own. The models define GELU by erf.

use super::decoder::{Decoder, Sizes};
use super::keys::Keys;
use super::spec::{Activation, ModelSpec, RopeStyle};
use crate::error::Result;

pub(super) fn spec(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    let roped = Decoder::gpt(keys, &sizes)?.roped(keys, &sizes, RopeStyle::Neox)?;
    let parallel = keys.bool_or("use_parallel_residual", true)?;
    Decoder { parallel, activation: Activation::GeluErf, ..roped }.build(keys, &sizes)
}
