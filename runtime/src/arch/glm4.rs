//! `glm4` (GLM-4-0414) and `chatglm` (GLM-4-9b and its kin): the llama block with a rope of a part of each head; gate and up lie in one
//! tensor. `glm4` also norms what each half of a block adds.

use super::decoder::{Decoder, NormNames, Sizes};
use super::keys::Keys;
use super::spec::{ModelSpec, RopeStyle};
use crate::error::Result;

pub(super) fn glm4(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    let plain = Decoder::plain(keys, &sizes, RopeStyle::Norm)?;
    Decoder { norms: NormNames::SANDWICH, ..plain }.build(keys, &sizes)
}

pub(super) fn chatglm(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    Decoder::plain(keys, &sizes, RopeStyle::Norm)?.build(keys, &sizes)
}
