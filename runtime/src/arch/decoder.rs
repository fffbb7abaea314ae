//! What pre-norm decoders with rotary positions and gated feed-forward layers share: most text models are this plus a few
//! switches.

use super::keys::{Keys, MAX_WIDTH};
use super::rope;
use super::spec::{Activation, AttentionSpec, FfnSpec, LayerSpec, LinearSpec, ModelSpec, Rope, RopeStyle};
use crate::error::{Error, Result};

/// Switches of one family.
pub(super) struct Decoder {
    pub(super) activation: Activation,
    pub(super) qk_norm: bool,
    pub(super) post_norms: bool,
    pub(super) embedding_scale: f32,
    /// Factor on q·k; `None` for 1/√head_dim.
    pub(super) attention_scale: Option<f32>,
    pub(super) ropes: Vec<Rope>,
    /// Per layer: its window, and its index into `ropes`.
    pub(super) layers: Vec<(Option<usize>, usize)>,
}

/// Sizes that every decoder states.
pub(super) struct Sizes {
    pub(super) n_embd: usize,
    pub(super) n_layer: usize,
    pub(super) n_ctx_train: usize,
    pub(super) heads: Vec<usize>,
    pub(super) kv_heads: Vec<usize>,
    pub(super) head_dim: usize,
    pub(super) n_rot: usize,
    n_ff: Vec<usize>,
    n_vocab: usize,
}

impl Sizes {
    pub(super) fn read(keys: &Keys<'_>) -> Result<Self> {
        let (n_embd, n_layer) = (keys.width("embedding_length")?, keys.layers()?);
        let heads = keys.per_layer("attention.head_count", n_layer, None)?;
        let kv_heads = keys.per_layer("attention.head_count_kv", n_layer, heads.first().copied())?;
        if let Some((h, kv)) = heads.iter().zip(&kv_heads).find(|(h, kv)| *h % *kv != 0) {
            return Err(keys.bad("attention.head_count_kv", format!("{kv} does not divide {h} heads")));
        }
        let head_dim = head_dim(keys, n_embd, &heads)?;
        if keys.width_or("attention.value_length", head_dim)? != head_dim {
            return Err(Error::Unsupported("value heads of another size than key heads".into()));
        }
        let n_rot = keys.width_or("rope.dimension_count", head_dim)?;
        if n_rot % 2 != 0 || n_rot > head_dim || head_dim % 2 != 0 {
            return Err(keys.bad("rope.dimension_count", format!("{n_rot} of {head_dim} dimensions cannot be rotated")));
        }
        let table = keys.header.tensor("token_embd.weight");
        let n_vocab = table.map_or(0, |t| t.dims[1]);
        let n_vocab = usize::try_from(n_vocab).ok().filter(|n| (1..=1 << 24).contains(n));
        Ok(Self {
            n_embd,
            n_layer,
            n_ctx_train: keys.context_length()?,
            heads,
            kv_heads,
            head_dim,
            n_rot,
            n_ff: keys.per_layer("feed_forward_length", n_layer, None)?,
            n_vocab: n_vocab
                .ok_or_else(|| Error::Model("tensor 'token_embd.weight' is missing or has no rows".into()))?,
        })
    }
}

/// Elements per head, where every layer's heads together stay within the limit on widths.
fn head_dim(keys: &Keys<'_>, n_embd: usize, heads: &[usize]) -> Result<usize> {
    let head_dim = match keys.u32("attention.key_length")? {
        Some(_) => keys.width("attention.key_length")?,
        None if n_embd.is_multiple_of(heads[0]) => n_embd / heads[0],
        None => return Err(keys.bad("attention.head_count", format!("{} does not divide {n_embd}", heads[0]))),
    };
    match heads.iter().find(|&&h| h > MAX_WIDTH as usize / head_dim) {
        Some(h) => Err(keys.bad("attention.head_count", format!("{h} heads of {head_dim} are too wide"))),
        None => Ok(head_dim),
    }
}

impl Decoder {
    /// The plain decoder: SwiGLU, one rotary embedding, no extra norms; a window, where the file has one, on every layer.
    pub(super) fn plain(keys: &Keys<'_>, sizes: &Sizes, style: RopeStyle) -> Result<Self> {
        Ok(Self {
            activation: Activation::Silu,
            qk_norm: false,
            post_norms: false,
            embedding_scale: 1.0,
            attention_scale: keys.f32("attention.scale")?.filter(|&scale| scale > 0.0),
            ropes: vec![rope::from_keys(keys, style, sizes.n_rot, sizes.n_ctx_train)?],
            layers: vec![(keys.window()?, 0); sizes.n_layer],
        })
    }

    /// Finds every tensor and checks its shape.
    pub(super) fn build(self, keys: &Keys<'_>, sizes: &Sizes) -> Result<ModelSpec> {
        refuse_unread(keys)?;
        let layers = (0..sizes.n_layer).map(|i| self.layer(keys, sizes, i)).collect::<Result<_>>()?;
        let embedding = keys.tensor("token_embd.weight", &[sizes.n_embd, sizes.n_vocab])?;
        let output = match keys.header.tensor("output.weight") {
            Some(_) => keys.linear("output", sizes.n_embd, sizes.n_vocab)?,
            None => LinearSpec { weight: embedding.clone(), bias: None, inputs: sizes.n_embd, outputs: sizes.n_vocab },
        };
        Ok(ModelSpec {
            arch: keys.arch.into(),
            n_embd: sizes.n_embd,
            n_vocab: sizes.n_vocab,
            n_ctx_train: sizes.n_ctx_train,
            rms_eps: keys.positive_or("attention.layer_norm_rms_epsilon", 1e-5)?,
            embedding_scale: self.embedding_scale,
            embedding,
            layers,
            ropes: self.ropes,
            output_norm: keys.tensor("output_norm.weight", &[sizes.n_embd])?,
            output,
            final_softcap: softcap(keys)?,
        })
    }

    fn layer(&self, keys: &Keys<'_>, s: &Sizes, i: usize) -> Result<LayerSpec> {
        let name = |part: &str| format!("blk.{i}.{part}");
        let norm = |part: &str| keys.tensor(&name(part), &[s.n_embd]);
        let post = |part: &str| if self.post_norms { norm(part).map(Some) } else { Ok(None) };
        let n_ff = s.n_ff[i];
        Ok(LayerSpec {
            attn_norm: norm("attn_norm.weight")?,
            attn_post_norm: post("post_attention_norm.weight")?,
            attention: self.attention(keys, s, i)?,
            ffn_norm: norm("ffn_norm.weight")?,
            ffn_post_norm: post("post_ffw_norm.weight")?,
            ffn: FfnSpec {
                gate_up: gate_up(keys, &name, s.n_embd, n_ff)?,
                down: keys.linear(&name("ffn_down"), n_ff, s.n_embd)?,
                activation: self.activation,
            },
        })
    }

    fn attention(&self, keys: &Keys<'_>, s: &Sizes, i: usize) -> Result<AttentionSpec> {
        let name = |part: &str| format!("blk.{i}.{part}");
        let (heads, kv_heads, head_dim) = (s.heads[i], s.kv_heads[i], s.head_dim);
        let head_norm =
            |part: &str| if self.qk_norm { keys.tensor(&name(part), &[head_dim]).map(Some) } else { Ok(None) };
        let (window, rope) = self.layers[i];
        let kv_width = kv_heads * head_dim;
        let qkv = [("attn_q", heads * head_dim), ("attn_k", kv_width), ("attn_v", kv_width)];
        let qkv = qkv.map(|(part, outputs)| (name(part), outputs));
        Ok(AttentionSpec {
            heads,
            kv_heads,
            head_dim,
            scale: self.attention_scale.unwrap_or(1.0 / (head_dim as f32).sqrt()),
            window,
            rope,
            q_norm: head_norm("attn_q_norm.weight")?,
            k_norm: head_norm("attn_k_norm.weight")?,
            qkv: keys.linears(&name("attn_qkv"), &qkv, s.n_embd)?,
            o: keys.linear(&name("attn_output"), heads * head_dim, s.n_embd)?,
        })
    }
}

/// Gate and up: two matrices, or both in `ffn_up`.
fn gate_up(keys: &Keys<'_>, name: &dyn Fn(&str) -> String, n_embd: usize, n_ff: usize) -> Result<Vec<LinearSpec>> {
    let (gate, up) = (name("ffn_gate"), name("ffn_up"));
    let rows = keys.header.tensor(&format!("{up}.weight")).map(|tensor| tensor.dims[1]);
    if rows == Some(2 * n_ff as u64) {
        return Ok(vec![keys.linear(&up, n_embd, 2 * n_ff)?]);
    }
    Ok(vec![keys.linear(&gate, n_embd, n_ff)?, keys.linear(&up, n_embd, n_ff)?])
}

fn softcap(keys: &Keys<'_>) -> Result<Option<f32>> {
    Ok(keys.f32("final_logit_softcapping")?.filter(|&cap| cap > 0.0))
}

/// Features these families can have that this version does not compute: better refused than answered wrongly.
fn refuse_unread(keys: &Keys<'_>) -> Result<()> {
    for (key, what) in
        [("expert_count", "mixture of experts"), ("nextn_predict_layers", "multi-token prediction layers")]
    {
        if keys.u32(key)?.is_some_and(|n| n > 0) {
            return Err(Error::Unsupported(format!("{what} ({})", keys.key(key))));
        }
    }
    match keys.header.tensor("rope_factors_long.weight") {
        Some(tensor) => {
            let what = "rope factors that depend on the context's length";
            Err(Error::Unsupported(format!("{what} ('{}', tensor '{}')", keys.arch, tensor.name)))
        }
        None => Ok(()),
    }
}
