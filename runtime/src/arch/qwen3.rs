//! `qwen3` and `qwen3moe`: the qwen2 block without biases, with an RMS norm on each query and key head.

use super::decoder::{Decoder, QkNorms, Sizes};
use super::keys::Keys;
use super::spec::{ModelSpec, RopeStyle};
use crate::error::Result;

pub(super) fn spec(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    Decoder { qk_norm: Some(QkNorms::Heads), ..Decoder::plain(keys, &sizes, RopeStyle::Neox)? }.build(keys, &sizes)
}
