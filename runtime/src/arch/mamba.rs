//! `mamba` and `mamba2`: blocks of one selective state space each, without attention and feed-forward layer.

use super::decoder::{Decoder, Layered, NormNames, Sizes};
use super::keys::Keys;
use super::spec::{Mixer, ModelSpec, NormKind, ScanSpec, StepSpec};
use crate::error::{Error, Result};

/// Each element of the inner layer is a head with rates of its own; steps, b and c are made from all of it.
pub(super) fn mamba(keys: &Keys<'_>) -> Result<ModelSpec> {
    if keys.bool_or("ssm.dt_b_c_rms", false)? {
        return Err(Error::Unsupported(format!("norms of steps ({})", keys.key("ssm.dt_b_c_rms"))));
    }
    build(keys, |keys, sizes, i| {
        let (name, shape) = (|part: &str| format!("blk.{i}.{part}"), Shape::read(keys)?);
        let Shape { inner, n_state, rank, .. } = shape;
        let steps = StepSpec::Projected {
            x: keys.linear(&name("ssm_x"), inner, rank + 2 * n_state)?,
            dt: keys.linear(&name("ssm_dt"), rank, inner)?,
        };
        Ok(Some(Mixer::Scan(ScanSpec {
            input: keys.linear(&name("ssm_in"), sizes.n_embd, 2 * inner)?,
            conv: keys.conv(&name("ssm_conv1d"), "ssm.conv_kernel", inner)?,
            steps,
            a: keys.tensor(&name("ssm_a"), &[n_state, inner])?,
            d: keys.tensor(&name("ssm_d"), &[inner])?,
            heads: inner,
            inner,
            groups: 1,
            n_state,
            norm: None,
            output: keys.linear(&name("ssm_out"), inner, sizes.n_embd)?,
        })))
    })
}

/// Heads with one rate each; groups of them share b and c, which come with the input, and are normed after the gate.
pub(super) fn mamba2(keys: &Keys<'_>) -> Result<ModelSpec> {
    build(keys, |keys, sizes, i| {
        let (name, shape) = (|part: &str| format!("blk.{i}.{part}"), Shape::read(keys)?);
        let (Shape { inner, n_state, rank: heads }, groups) = (shape, keys.width("ssm.group_count")?);
        if !inner.is_multiple_of(heads) || !heads.is_multiple_of(groups) {
            return Err(keys.bad("ssm.group_count", format!("{inner} units, {heads} heads, {groups} groups")));
        }
        let channels = inner + 2 * keys.product("ssm.state_size", groups, n_state)?;
        Ok(Some(Mixer::Scan(ScanSpec {
            input: keys.linear(&name("ssm_in"), sizes.n_embd, inner + channels + heads)?,
            conv: keys.conv(&name("ssm_conv1d"), "ssm.conv_kernel", channels)?,
            steps: StepSpec::Direct { bias: keys.tensor(&name("ssm_dt.bias"), &[heads])? },
            a: keys.tensor(&name("ssm_a"), &[1, heads])?,
            d: keys.tensor(&name("ssm_d"), &[1, heads])?,
            heads,
            inner,
            groups,
            n_state,
            norm: Some(keys.tensor(&name("ssm_norm.weight"), &[inner / groups, groups])?),
            output: keys.linear(&name("ssm_out"), inner, sizes.n_embd)?,
        })))
    })
}

fn build(keys: &Keys<'_>, mixer: Layered<Option<Mixer>>) -> Result<ModelSpec> {
    let sizes = Sizes::hybrid(keys)?;
    let decoder = Decoder { norm: NormKind::Rms, norms: NormNames::ONE, mixer, ..Decoder::gpt(keys, &sizes)? };
    Decoder { ropes: Vec::new(), ..decoder }.build(keys, &sizes)
}

struct Shape {
    /// Elements of the inner layer.
    inner: usize,
    n_state: usize,
    /// What steps are projected from; heads in Mamba 2.
    rank: usize,
}

impl Shape {
    fn read(keys: &Keys<'_>) -> Result<Self> {
        let [inner, n_state, rank] = ["ssm.inner_size", "ssm.state_size", "ssm.time_step_rank"].map(|k| keys.width(k));
        Ok(Self { inner: inner?, n_state: n_state?, rank: rank? })
    }
}
