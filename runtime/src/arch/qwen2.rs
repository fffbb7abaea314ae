//! `qwen2`: Qwen 1.5, 2 and 2.5. The llama block with NEOX rope; its q, k and v biases are found by name. `qwen2moe`: the same with
//! experts, whose probabilities stay as they are, beside a gated layer that all rows share.

use super::decoder::{Decoder, Sizes};
use super::keys::Keys;
use super::spec::{ModelSpec, RopeStyle};
use crate::error::Result;

pub(super) fn spec(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    Decoder::plain(keys, &sizes, RopeStyle::Neox)?.build(keys, &sizes)
}

pub(super) fn moe(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    Decoder { normalized: false, ..Decoder::plain(keys, &sizes, RopeStyle::Neox)? }.build(keys, &sizes)
}
