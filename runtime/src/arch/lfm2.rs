//! `lfm2`: the qwen3 block, in most layers with a gated short convolution in place of attention. A layer without key/value heads
//! is of that kind.

use super::decoder::{Decoder, QkNorms, Sizes};
use super::keys::Keys;
use super::spec::{Mixer, ModelSpec, RopeStyle, ShortConvSpec};
use crate::error::Result;

pub(super) fn spec(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::hybrid(keys)?;
    let decoder = Decoder::plain(keys, &sizes, RopeStyle::Neox)?;
    // files name the last norm as if it were the first
    let output_norm = "token_embd_norm";
    Decoder { qk_norm: Some(QkNorms::Heads), mixer: short_conv, output_norm, ..decoder }.build(keys, &sizes)
}

fn short_conv(keys: &Keys<'_>, sizes: &Sizes, i: usize) -> Result<Option<Mixer>> {
    if sizes.kv_heads[i] > 0 {
        return Ok(None);
    }
    let (name, n) = (|part: &str| format!("blk.{i}.shortconv.{part}"), sizes.n_embd);
    Ok(Some(Mixer::ShortConv(ShortConvSpec {
        input: keys.linear(&name("in_proj"), n, 3 * n)?,
        conv: keys.conv(&name("conv"), "shortconv.l_cache", n)?,
        output: keys.linear(&name("out_proj"), n, n)?,
    })))
}
