//! `gpt2` and `starcoder` (GPT-2 with one key/value head): layer norms, learned positions, no gate, biases everywhere.

use super::decoder::{Decoder, Sizes};
use super::keys::Keys;
use super::spec::ModelSpec;
use crate::error::Result;

pub(super) fn spec(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    Decoder { positions: true, ..Decoder::gpt(keys, &sizes)? }.build(keys, &sizes)
}
