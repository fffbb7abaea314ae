//! `t5` (also mT5, Flan-T5) and `t5encoder`, its encoder alone: RMS norms before each half of a block, scores without a factor
//! but with biases by distance, which the first block has for all of its stack.

use super::decoder::{gate_up, vocabulary};
use super::head::pooling;
use super::keys::Keys;
use super::rope;
use super::spec::{
    Activation, AttentionSpec, EncoderSpec, FfnSpec, LayerSpec, LinearSpec, Mask, Mixer, ModelSpec, NormKind, NormSpec,
    Norms, Qkv, RelativeSpec, Task,
};
use crate::error::{Error, Result};

pub(super) fn t5(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    let n_layer = keys.width_or("decoder_block_count", sizes.n_layer)?;
    let (encoder, n_vocab) = (sizes.stack(keys, "enc", Mask::Full, sizes.n_layer)?, vocabulary(keys)?);
    let start = keys.u32("decoder_start_token_id")?.unwrap_or(0);
    if start as usize >= n_vocab {
        return Err(keys.bad("decoder_start_token_id", format!("{start} of {n_vocab} tokens")));
    }
    let encoder = EncoderSpec { layers: encoder, output_norm: norm(keys, "enc.output_norm", sizes.n_embd)?, start };
    let output = keys.optional("output.weight", &[sizes.n_embd, n_vocab])?;
    // the first T5, known by having no gates, ties both tables and scales what comes to the output
    let first = output.is_none() && keys.header.tensor("dec.blk.0.ffn_gate.weight").is_none();
    let logit_scale = if first { 1.0 / (sizes.n_embd as f32).sqrt() } else { 1.0 };
    let weight = output.unwrap_or_else(|| TABLE.into());
    Ok(ModelSpec {
        encoder: Some(encoder),
        task: Task::Generate,
        output: Some(LinearSpec { weight, bias: None, inputs: sizes.n_embd, outputs: n_vocab }),
        logit_scale,
        ..sizes.model(keys, "dec", Mask::Causal, n_layer)?
    })
}

pub(super) fn encoder(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    sizes.model(keys, "enc", Mask::Full, sizes.n_layer)
}

const TABLE: &str = "token_embd.weight";

struct Sizes {
    n_embd: usize,
    n_layer: usize,
    heads: usize,
    head_dim: usize,
    n_ff: usize,
    buckets: usize,
}

impl Sizes {
    fn read(keys: &Keys<'_>) -> Result<Self> {
        Ok(Self {
            n_embd: keys.width("embedding_length")?,
            n_layer: keys.layers()?,
            heads: keys.width("attention.head_count")?,
            head_dim: keys.width("attention.key_length")?,
            n_ff: keys.width("feed_forward_length")?,
            buckets: keys.width_or("attention.relative_buckets_count", 32)?,
        })
    }

    /// A model of one stack without an output matrix.
    fn model(&self, keys: &Keys<'_>, stack: &str, mask: Mask, n_layer: usize) -> Result<ModelSpec> {
        let n_vocab = vocabulary(keys)?;
        Ok(ModelSpec {
            arch: keys.arch.into(),
            n_embd: self.n_embd,
            n_vocab,
            n_ctx_train: keys.context_length()?,
            norm: NormKind::Rms,
            eps: keys.positive_or("attention.layer_norm_rms_epsilon", 1e-6)?,
            embedding_scale: 1.0,
            embedding: keys.tensor(TABLE, &[self.n_embd, n_vocab])?,
            positions: None,
            types: None,
            per_layer: None,
            embedding_norm: None,
            encoder: None,
            layers: self.stack(keys, stack, mask, n_layer)?,
            ropes: vec![rope::none()],
            output_norm: norm(keys, &format!("{stack}.output_norm"), self.n_embd)?,
            task: Task::Embed,
            transform: None,
            output: None,
            pooling: pooling(keys)?,
            labels: Vec::new(),
            logit_scale: 1.0,
            final_softcap: None,
        })
    }

    fn stack(&self, keys: &Keys<'_>, stack: &str, mask: Mask, n_layer: usize) -> Result<Vec<LayerSpec>> {
        let table = keys.tensor(&format!("{stack}.blk.0.attn_rel_b.weight"), &[self.heads, self.buckets])?;
        let relative = RelativeSpec { table, buckets: self.buckets };
        let layer = |i: usize| {
            let name = |part: &str| format!("{stack}.blk.{i}.{part}");
            let input = |part: &str| {
                let input = Some(norm(keys, &name(part), self.n_embd)?);
                Ok::<_, Error>(Norms { input, ..Norms::default() })
            };
            let cross = |norms: Norms| Ok((norms, self.attention(keys, &name("cross_attn"), Mask::Cross, None)?));
            Ok(LayerSpec {
                attn_norms: input("attn_norm")?,
                mixer: Mixer::Attention(self.attention(keys, &name("attn"), mask, Some(relative.clone()))?),
                cross: (mask == Mask::Causal).then(|| input("cross_attn_norm").and_then(cross)).transpose()?,
                ffn_norms: input("ffn_norm")?,
                ffn: Some(self.ffn(keys, name)?),
                mixture: None,
                per_layer: None,
                output_scale: None,
                output_factor: 1.0,
                parallel: false,
            })
        };
        (0..n_layer).map(layer).collect()
    }

    fn attention(
        &self,
        keys: &Keys<'_>,
        base: &str,
        mask: Mask,
        relative: Option<RelativeSpec>,
    ) -> Result<AttentionSpec> {
        let inner = self.heads * self.head_dim;
        let qkv = ["q", "k", "v"].map(|part| keys.linear(&format!("{base}_{part}"), self.n_embd, inner));
        Ok(AttentionSpec {
            heads: self.heads,
            kv_heads: self.heads,
            head_dim: self.head_dim,
            scale: 1.0,
            softcap: None,
            alibi: None,
            sinks: None,
            relative,
            mask,
            window: None,
            rope: 0,
            clamp: None,
            qk_norm: None,
            value_norm: false,
            kv_from: None,
            qkv: Qkv::Direct(qkv.into_iter().collect::<Result<_>>()?),
            o: keys.linear(&format!("{base}_o"), inner, self.n_embd)?,
        })
    }

    /// With a gate GELU, without one ReLU.
    fn ffn(&self, keys: &Keys<'_>, name: impl Fn(&str) -> String) -> Result<FfnSpec> {
        let (gate, up) = (name("ffn_gate"), name("ffn_up"));
        let gated = keys.header.tensor(&format!("{gate}.weight")).is_some();
        Ok(FfnSpec {
            up: match gated {
                true => gate_up(keys, &gate, &up, self.n_embd, self.n_ff)?,
                false => vec![keys.linear(&up, self.n_embd, self.n_ff)?],
            },
            gated,
            down: keys.linear(&name("ffn_down"), self.n_ff, self.n_embd)?,
            activation: if gated { Activation::GeluTanh } else { Activation::Relu },
            shift: None,
        })
    }
}

fn norm(keys: &Keys<'_>, base: &str, width: usize) -> Result<NormSpec> {
    Ok(NormSpec { weight: keys.tensor(&format!("{base}.weight"), &[width])?, bias: None })
}
