//! `qwen3next` and `qwen35` (Qwen3-Next, Qwen 3.5): three of four layers have a gated delta net in place of attention, whose query
//! heads have gates. Qwen3-Next has experts. Text has one position in all sections of Qwen 3.5's rope, which then is a plain one.

use super::decoder::{Decoder, Layered, NormNames, QkNorms, Sizes, gated};
use super::keys::Keys;
use super::spec::{DeltaNetSpec, LinearSpec, Mixer, ModelSpec, RopeStyle};
use crate::error::Result;

/// Every fourth layer attends, where the file does not say otherwise.
const INTERVAL: usize = 4;

/// β and α of a key head's value heads come from one matrix.
pub(super) fn qwen3next(keys: &Keys<'_>) -> Result<ModelSpec> {
    build(keys, |keys, sizes, i| {
        delta_net(keys, sizes, i, false, |heads| {
            Ok(vec![keys.linear(&format!("blk.{i}.ssm_ba"), sizes.n_embd, 2 * heads)?])
        })
    })
}

/// β and α have a matrix each, and value heads another order.
pub(super) fn qwen35(keys: &Keys<'_>) -> Result<ModelSpec> {
    build(keys, |keys, sizes, i| {
        let linear = |part: &str, heads| keys.linear(&format!("blk.{i}.{part}"), sizes.n_embd, heads);
        delta_net(keys, sizes, i, true, |heads| Ok(vec![linear("ssm_beta", heads)?, linear("ssm_alpha", heads)?]))
    })
}

fn build(keys: &Keys<'_>, mixer: Layered<Option<Mixer>>) -> Result<ModelSpec> {
    const NORMS: NormNames = NormNames([[Some("attn_norm"), None, None], [Some("post_attention_norm"), None, None]]);
    let sizes = Sizes::read(keys)?;
    let decoder = Decoder::plain(keys, &sizes, RopeStyle::Neox)?;
    let qk_norm = Some(QkNorms::Heads);
    Decoder { norms: NORMS, qk_norm, qkv: gated, mixer, ..decoder }.build(keys, &sizes)
}

fn delta_net(
    keys: &Keys<'_>,
    sizes: &Sizes,
    i: usize,
    tiled: bool,
    gates: impl Fn(usize) -> Result<Vec<LinearSpec>>,
) -> Result<Option<Mixer>> {
    if (i + 1).is_multiple_of(keys.width_or("full_attention_interval", INTERVAL)?) {
        return Ok(None);
    }
    let name = |part: &str| format!("blk.{i}.{part}");
    let (key_dim, key_heads) = (keys.width("ssm.state_size")?, keys.width("ssm.group_count")?);
    let (heads, inner) = (keys.width("ssm.time_step_rank")?, keys.width("ssm.inner_size")?);
    if !inner.is_multiple_of(heads) || !heads.is_multiple_of(key_heads) {
        return Err(keys.bad("ssm.inner_size", format!("{inner} units of {heads} heads, {key_heads} key heads")));
    }
    let (n, channels) = (sizes.n_embd, 2 * keys.product("ssm.group_count", key_heads, key_dim)? + inner);
    let mut input = vec![keys.linear(&name("attn_qkv"), n, channels)?, keys.linear(&name("attn_gate"), n, inner)?];
    input.extend(gates(heads)?);
    Ok(Some(Mixer::DeltaNet(DeltaNetSpec {
        input,
        conv: keys.conv(&name("ssm_conv1d"), "ssm.conv_kernel", channels)?,
        a: keys.tensor(&name("ssm_a"), &[heads])?,
        dt_bias: keys.tensor(&name("ssm_dt.bias"), &[heads])?,
        heads,
        key_heads,
        key_dim,
        value_dim: inner / heads,
        tiled,
        norm: keys.tensor(&name("ssm_norm.weight"), &[inner / heads])?,
        output: keys.linear(&name("ssm_out"), inner, n)?,
    })))
}
