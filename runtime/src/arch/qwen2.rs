//! `qwen2`: Qwen 1.5, 2 and 2.5. The llama block with NEOX rope; its q, k and v biases are found by name.

use super::keys::Keys;
use super::llama::rotary_decoder;
use super::spec::{ModelSpec, RopeStyle};
use crate::error::Result;

pub(super) fn spec(keys: &Keys<'_>) -> Result<ModelSpec> {
    rotary_decoder(keys, RopeStyle::Neox)
}
