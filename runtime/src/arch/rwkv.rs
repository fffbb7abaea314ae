//! `rwkv6` and `rwkv7` (Peng et al. 2024 and 2025): blocks of time mixing and channel mixing, both of which read steps from their
//! row towards the one before.

use super::decoder::{Decoder, Layered, NormNames, Sizes};
use super::keys::Keys;
use super::spec::{
    Activation, BranchSpec, FfnSpec, LerpSpec, LinearSpec, MAX_WKV_HEAD, Mixer, ModelSpec, NormSpec, ShiftSpec,
    TimeMixSpec, WkvDeltaSpec,
};
use crate::error::{Error, Result};

/// The order of the steps in `time_mix_lerp_fused`.
const STEPS_6: &str = "wkvrg";
const STEPS_7: &str = "rwkvag";

/// Factors of steps and decays depend on the row. Where a file says so, the stream is halved after every so many blocks: f16 would not
/// hold it otherwise.
pub(super) fn rwkv6(keys: &Keys<'_>) -> Result<ModelSpec> {
    let mut spec = build(keys, time_mix_6, channel_mix_6)?;
    let halved = keys.u32("rescale_every_n_layers")?.unwrap_or(0) as usize;
    for (i, layer) in spec.layers.iter_mut().enumerate() {
        if halved > 0 && (i + 1).is_multiple_of(halved) {
            layer.output_factor = 0.5;
        }
    }
    Ok(spec)
}

/// A delta rule with vector gates; values are mixed with those of the first block.
pub(super) fn rwkv7(keys: &Keys<'_>) -> Result<ModelSpec> {
    build(keys, time_mix_7, channel_mix_7)
}

fn build(keys: &Keys<'_>, mixer: Layered<Option<Mixer>>, channel_mix: Layered<FfnSpec>) -> Result<ModelSpec> {
    const NORMS: NormNames = NormNames([[Some("attn_norm"), None, None], [Some("attn_norm_2"), None, None]]);
    let shifts = keys.u32("token_shift_count")?.unwrap_or(2);
    if shifts != 2 {
        return Err(Error::Unsupported(format!("{shifts} shifts of a block ({})", keys.key("token_shift_count"))));
    }
    let sizes = Sizes::hybrid(keys)?;
    let decoder = Decoder { norms: NORMS, embedding_norm: true, ..Decoder::gpt(keys, &sizes)? };
    Decoder { ropes: Vec::new(), mixer, channel_mix: Some(channel_mix), ..decoder }.build(keys, &sizes)
}

fn time_mix_6(keys: &Keys<'_>, s: &Sizes, i: usize) -> Result<Option<Mixer>> {
    let (part, n, heads) = (Part { keys, i, n: s.n_embd, kind: "time_mix" }, s.n_embd, heads(keys, s)?);
    let (rank, decay_rank) = (keys.width("time_mix_extra_dim")?, keys.width("time_decay_extra_dim")?);
    let branch = |step, name| part.square(STEPS_6, step, name);
    let all = keys.product("time_mix_extra_dim", STEPS_6.len(), rank)?;
    let step = part.lerp("lerp_x")?;
    let mix = (step, part.linear("w1", n, all)?, keys.stacked(&part.name("w2"), rank, n, STEPS_6.len())?);
    let down = Some((part.linear("decay_w1", n, decay_rank)?, Some(Activation::Tanh)));
    let linear = LinearSpec { bias: Some(part.vector("decay")?), ..part.linear("decay_w2", decay_rank, n)? };
    Ok(Some(Mixer::TimeMix(Box::new(TimeMixSpec {
        mix: Some(mix),
        receptance: branch('r', "receptance")?,
        decay: BranchSpec { lerp: part.step(STEPS_6, 'w')?, down, linear },
        key: branch('k', "key")?,
        value: branch('v', "value")?,
        gate: branch('g', "gate")?,
        delta: None,
        bonus: keys.tensor(&format!("{}.weight", part.name("first")), &[n / heads, heads])?,
        heads,
        norm: part.norm()?,
        output: part.linear("output", n, n)?,
    }))))
}

fn time_mix_7(keys: &Keys<'_>, s: &Sizes, i: usize) -> Result<Option<Mixer>> {
    let (part, n, heads) = (Part { keys, i, n: s.n_embd, kind: "time_mix" }, s.n_embd, heads(keys, s)?);
    let branch = |step, name| part.square(STEPS_7, step, name);
    // <name>2 (act(<name>1 x)) + <name>0
    let low_rank = |step, name: char, rank: &str, activation| {
        let rank = keys.width(&format!("attention.{rank}_lora_rank"))?;
        let down = part.linear(&format!("{name}1"), n, rank)?;
        let up = part.linear(&format!("{name}2"), rank, n)?;
        let bias = if name == 'g' { None } else { Some(part.vector(&format!("{name}0"))?) };
        Ok::<_, Error>(BranchSpec {
            lerp: part.step(STEPS_7, step)?,
            down: Some((down, activation)),
            linear: LinearSpec { bias, ..up },
        })
    };
    let values = || low_rank('v', 'v', "value_residual_mix", None);
    Ok(Some(Mixer::TimeMix(Box::new(TimeMixSpec {
        mix: None,
        receptance: branch('r', "receptance")?,
        decay: low_rank('w', 'w', "decay", Some(Activation::Tanh))?,
        key: branch('k', "key")?,
        value: branch('v', "value")?,
        gate: low_rank('g', 'g', "gate", Some(Activation::Sigmoid))?,
        delta: Some(WkvDeltaSpec {
            rate: low_rank('a', 'a', "iclr", None)?,
            // in the first block's place files have tensors that mean nothing
            values: if i == 0 { None } else { Some(values()?) },
            keys: [part.vector("k_k")?, part.vector("k_a")?],
        }),
        bonus: part.vector("r_k")?,
        heads,
        norm: part.norm()?,
        output: part.linear("output", n, n)?,
    }))))
}

fn channel_mix_6(keys: &Keys<'_>, s: &Sizes, i: usize) -> Result<FfnSpec> {
    let part = Part { keys, i, n: s.n_embd, kind: "channel_mix" };
    let linear = part.linear("receptance", s.n_embd, s.n_embd)?;
    let gate = BranchSpec { lerp: part.lerp("lerp_r")?, down: None, linear };
    part.channel_mix(s.n_ff[i], Some(gate))
}

fn channel_mix_7(keys: &Keys<'_>, s: &Sizes, i: usize) -> Result<FfnSpec> {
    Part { keys, i, n: s.n_embd, kind: "channel_mix" }.channel_mix(s.n_ff[i], None)
}

fn heads(keys: &Keys<'_>, s: &Sizes) -> Result<usize> {
    let size = keys.width("wkv.head_size")?;
    if !s.n_embd.is_multiple_of(size) || size > MAX_WKV_HEAD {
        let problem = format!("heads of {size} (at most {}) for {} columns", MAX_WKV_HEAD, s.n_embd);
        return Err(keys.bad("wkv.head_size", problem));
    }
    Ok(s.n_embd / size)
}

/// One half of a block: `blk.<i>.<kind>_...`.
struct Part<'a, 'b> {
    keys: &'a Keys<'b>,
    i: usize,
    n: usize,
    kind: &'static str,
}

impl Part<'_, '_> {
    fn name(&self, name: &str) -> String {
        format!("blk.{}.{}_{name}", self.i, self.kind)
    }

    fn linear(&self, name: &str, inputs: usize, outputs: usize) -> Result<LinearSpec> {
        self.keys.linear(&self.name(name), inputs, outputs)
    }

    fn vector(&self, name: &str) -> Result<String> {
        self.keys.tensor(&format!("{}.weight", self.name(name)), &[self.n])
    }

    fn norm(&self) -> Result<NormSpec> {
        let bias = self.keys.tensor(&format!("{}.bias", self.name("ln")), &[self.n])?;
        Ok(NormSpec { weight: self.vector("ln")?, bias: Some(bias) })
    }

    fn lerp(&self, name: &str) -> Result<LerpSpec> {
        Ok(LerpSpec { weight: self.vector(name)?, first: 0, part: 0 })
    }

    /// One of several steps: in a tensor with all others or, in old files, by itself.
    fn step(&self, order: &str, step: char) -> Result<LerpSpec> {
        let part = order.find(step).ok_or_else(|| Error::Internal(format!("no step '{step}'")))?;
        let fused = format!("{}.weight", self.name("lerp_fused"));
        if self.keys.header.tensor(&fused).is_none() {
            return Ok(LerpSpec { part, ..self.lerp(&format!("lerp_{step}"))? });
        }
        Ok(LerpSpec { weight: self.keys.tensor(&fused, &[self.n, 1, 1, order.len()])?, first: part * self.n, part })
    }

    fn square(&self, order: &str, step: char, name: &str) -> Result<BranchSpec> {
        Ok(BranchSpec { lerp: self.step(order, step)?, down: None, linear: self.linear(name, self.n, self.n)? })
    }

    fn channel_mix(&self, n_ff: usize, gate: Option<BranchSpec>) -> Result<FfnSpec> {
        Ok(FfnSpec {
            up: vec![self.linear("key", self.n, n_ff)?],
            gated: false,
            down: self.linear("value", n_ff, self.n)?,
            activation: Activation::ReluSquared,
            shift: Some(ShiftSpec { up: self.lerp("lerp_k")?, gate }),
        })
    }
}
