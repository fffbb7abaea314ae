//! `starcoder2`: GPT-2's block with NEOX rope and grouped queries. The window is applied, as the models define it (llama.cpp leaves
//! it out).

use super::decoder::{Decoder, Sizes};
use super::keys::Keys;
use super::spec::{ModelSpec, RopeStyle};
use crate::error::Result;

pub(super) fn spec(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    Decoder::gpt(keys, &sizes)?.roped(keys, &sizes, RopeStyle::Neox)?.build(keys, &sizes)
}
