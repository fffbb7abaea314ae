//! `stablelm`: StableLM 2 and 3B-4E1T. Layer norms, NEOX rope of a part of each head, SwiGLU; the 12B model's blocks are parallel, and
//! have one norm.

use super::decoder::{Decoder, NormNames, Sizes};
use super::keys::Keys;
use super::spec::{ModelSpec, NormKind, RopeStyle};
use crate::error::Result;

pub(super) fn spec(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    let parallel = keys.header.tensor("blk.0.ffn_norm.weight").is_none();
    let norms = if parallel { NormNames::ONE } else { NormNames::PRE };
    let plain = Decoder::plain(keys, &sizes, RopeStyle::Neox)?;
    Decoder { norm: NormKind::Layer, norms, parallel, ..plain }.build(keys, &sizes)
}
