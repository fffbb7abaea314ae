//! `phi3`: Phi-3, 3.5 and 4-mini. The llama block with NEOX rope of a part of each head; q, k and v lie in one tensor, gate and
//! up in another. The window is applied, as the models define it (llama.cpp leaves it out). Long-context
//! files have rope factors for short and for long contexts.

use super::decoder::{Decoder, Sizes};
use super::keys::Keys;
use super::spec::{ModelSpec, RopeStyle};
use crate::error::Result;

pub(super) fn spec(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    Decoder::plain(keys, &sizes, RopeStyle::Neox)?.build(keys, &sizes)
}
