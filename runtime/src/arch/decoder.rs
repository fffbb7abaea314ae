//! What decoders of attention and feed-forward blocks share: most text models are this plus a few switches.

use super::head::Head;
use super::keys::{Keys, MAX_WIDTH};
use super::rope;
use super::spec::{
    Activation, AttentionSpec, FfnSpec, Gating, LayerSpec, LinearSpec, MAX_EXPERTS, Mask, Mixer, MixtureSpec,
    ModelSpec, NormKind, NormSpec, Norms, PerLayerBlock, PerLayerSpec, QkNorm, Qkv, Rope, RopeStyle,
};
use crate::error::{Error, Result};

/// Reads a part of the layer of this number.
pub(super) type Layered<T> = fn(&Keys<'_>, &Sizes, usize) -> Result<T>;

/// Switches of one family.
pub(super) struct Decoder {
    pub(super) norm: NormKind,
    pub(super) norms: NormNames,
    /// Attention and feed-forward layer read the same.
    pub(super) parallel: bool,
    pub(super) activation: Activation,
    pub(super) gated: bool,
    /// What makes a layer's queries, keys and values.
    pub(super) qkv: Layered<Qkv>,
    pub(super) qk_norm: Option<QkNorms>,
    /// Values are RMS-normed, each head by itself.
    pub(super) value_norm: bool,
    /// Layers whose keys and values others attend to in place of their own.
    pub(super) kv_from: Vec<Option<usize>>,
    /// What stands in a layer's place of attention, if anything does.
    pub(super) mixer: Layered<Option<Mixer>>,
    /// What stands in the place of a layer's feed-forward layer, if anything does.
    pub(super) channel_mix: Option<Layered<FfnSpec>>,
    pub(super) embedding_scale: f32,
    /// Factor on what each half of a block adds.
    pub(super) residual_scale: f32,
    pub(super) logit_scale: f32,
    /// Factor on q·k; `None` for 1/√head_dim.
    pub(super) attention_scale: Option<f32>,
    pub(super) attention_softcap: Option<f32>,
    pub(super) alibi: Option<f32>,
    /// It has no output matrix, and its tokens see the whole text.
    pub(super) encoder: bool,
    /// Embeddings are normed.
    pub(super) embedding_norm: bool,
    /// Name of the last norm.
    pub(super) output_norm: &'static str,
    /// One logit a head that takes part in the softmax.
    pub(super) sinks: bool,
    /// Whether the probabilities of the experts that a row goes to are divided by their sum, where the file does not say.
    pub(super) normalized: bool,
    /// The table `position_embd` is added to embeddings.
    pub(super) positions: bool,
    /// Width of what each layer takes of a table of its own.
    pub(super) per_layer: Option<usize>,
    pub(super) ropes: Vec<Rope>,
    /// Per layer: its window, and its index into `ropes`.
    pub(super) layers: Vec<(Option<usize>, usize)>,
}

/// What the RMS norms of queries and keys take together.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum QkNorms {
    Heads,
    Whole,
}

/// Names of a block's norms: for attention and for the feed-forward layer, of its input, its output, and the stream after it.
#[derive(Clone, Copy)]
pub(super) struct NormNames(pub(super) [[Option<&'static str>; 3]; 2]);

impl NormNames {
    pub(super) const PRE: Self = Self([[Some("attn_norm"), None, None], [Some("ffn_norm"), None, None]]);
    /// Both halves of a parallel block read one norm.
    pub(super) const ONE: Self = Self([[Some("attn_norm"), None, None], [None; 3]]);
    pub(super) const POST: Self =
        Self([[None, Some("post_attention_norm"), None], [None, Some("post_ffw_norm"), None]]);
    pub(super) const SANDWICH: Self =
        Self([[Some("attn_norm"), Some("post_attention_norm"), None], [Some("ffn_norm"), Some("post_ffw_norm"), None]]);
    /// As BERT has them.
    pub(super) const STREAM: Self =
        Self([[None, None, Some("attn_output_norm")], [None, None, Some("layer_output_norm")]]);
}

/// Sizes that every decoder states.
pub(super) struct Sizes {
    pub(super) n_embd: usize,
    pub(super) n_layer: usize,
    pub(super) n_ctx_train: usize,
    pub(super) heads: Vec<usize>,
    pub(super) kv_heads: Vec<usize>,
    /// Elements per head, by layer.
    pub(super) head_dims: Vec<usize>,
    pub(super) n_rot: usize,
    pub(super) n_ff: Vec<usize>,
    pub(super) n_vocab: usize,
}

impl Sizes {
    pub(super) fn read(keys: &Keys<'_>) -> Result<Self> {
        Self::of(keys, false)
    }

    /// The sizes of a model of which some layers have no attention, or no feed-forward layer: their counts are 0.
    pub(super) fn hybrid(keys: &Keys<'_>) -> Result<Self> {
        Self::of(keys, true)
    }

    fn of(keys: &Keys<'_>, hybrid: bool) -> Result<Self> {
        let (n_embd, n_layer) = (keys.width("embedding_length")?, keys.layers()?);
        let heads = keys.per_layer("attention.head_count", n_layer, None, hybrid)?;
        let kv_heads = keys.per_layer("attention.head_count_kv", n_layer, heads.first().copied(), hybrid)?;
        if let Some((h, kv)) = heads.iter().zip(&kv_heads).find(|(h, kv)| !h.is_multiple_of(**kv) && **kv > 0) {
            return Err(keys.bad("attention.head_count_kv", format!("{kv} does not divide {h} heads")));
        }
        let head_dim = head_dim(keys, n_embd, &heads)?;
        let n_rot = keys.width_or("rope.dimension_count", head_dim)?;
        if n_rot % 2 != 0 || n_rot > head_dim || head_dim % 2 != 0 {
            return Err(keys.bad("rope.dimension_count", format!("{n_rot} of {head_dim} dimensions cannot be rotated")));
        }
        Ok(Self {
            n_embd,
            n_layer,
            n_ctx_train: keys.context_length()?,
            heads,
            kv_heads,
            head_dims: vec![head_dim; n_layer],
            n_rot,
            n_ff: keys.per_layer("feed_forward_length", n_layer, None, hybrid)?,
            n_vocab: vocabulary(keys)?,
        })
    }
}

/// Rows of the embedding table.
pub(super) fn vocabulary(keys: &Keys<'_>) -> Result<usize> {
    let table = keys.header.tensor("token_embd.weight");
    let rows = table.and_then(|table| usize::try_from(table.dims[1]).ok()).filter(|n| (1..=1 << 24).contains(n));
    rows.ok_or_else(|| Error::Model("tensor 'token_embd.weight' is missing or has no rows".into()))
}

/// Elements per head, where every layer's heads together stay within the limit on widths.
fn head_dim(keys: &Keys<'_>, n_embd: usize, heads: &[usize]) -> Result<usize> {
    let head_dim = match keys.u32("attention.key_length")? {
        Some(_) => keys.width("attention.key_length")?,
        None if heads[0] == 0 => 0,
        None if n_embd.is_multiple_of(heads[0]) => n_embd / heads[0],
        None => return Err(keys.bad("attention.head_count", format!("{} does not divide {n_embd}", heads[0]))),
    };
    match heads.iter().find(|&&h| h > MAX_WIDTH as usize / head_dim.max(1)) {
        Some(h) => Err(keys.bad("attention.head_count", format!("{h} heads of {head_dim} are too wide"))),
        None => Ok(head_dim),
    }
}

impl Decoder {
    /// The plain decoder: RMS norms, SwiGLU, one rotary embedding; a window, where the file has one, on every layer.
    pub(super) fn plain(keys: &Keys<'_>, sizes: &Sizes, style: RopeStyle) -> Result<Self> {
        let rope = rope::from_keys(keys, style, sizes.n_rot, sizes.n_ctx_train)?;
        Ok(Self { layers: vec![(keys.window()?, 0); sizes.n_layer], ..Self::with_rope(keys, sizes, rope)? })
    }

    /// The decoder of GPT-2's kind: layer norms with biases and a feed-forward layer without gate; no rope.
    pub(super) fn gpt(keys: &Keys<'_>, sizes: &Sizes) -> Result<Self> {
        let plain = Self::with_rope(keys, sizes, rope::none())?;
        Ok(Self { norm: NormKind::Layer, activation: Activation::GeluTanh, gated: false, ..plain })
    }

    /// The same with a rotary embedding and, where the file has one, a window.
    pub(super) fn roped(self, keys: &Keys<'_>, sizes: &Sizes, style: RopeStyle) -> Result<Self> {
        let Self { ropes, layers, .. } = Self::plain(keys, sizes, style)?;
        Ok(Self { ropes, layers, ..self })
    }

    fn with_rope(keys: &Keys<'_>, sizes: &Sizes, rope: Rope) -> Result<Self> {
        Ok(Self {
            norm: NormKind::Rms,
            norms: NormNames::PRE,
            parallel: false,
            activation: Activation::Silu,
            gated: true,
            qkv: direct,
            qk_norm: None,
            value_norm: false,
            kv_from: vec![None; sizes.n_layer],
            mixer: |_, _, _| Ok(None),
            channel_mix: None,
            embedding_scale: 1.0,
            residual_scale: 1.0,
            logit_scale: 1.0,
            attention_scale: keys.f32("attention.scale")?.filter(|&scale| scale > 0.0),
            attention_softcap: None,
            alibi: None,
            encoder: false,
            embedding_norm: false,
            output_norm: "output_norm",
            positions: false,
            per_layer: None,
            sinks: false,
            normalized: true,
            ropes: vec![rope],
            layers: vec![(None, 0); sizes.n_layer],
        })
    }

    /// Finds every tensor and checks its shape.
    pub(super) fn build(self, keys: &Keys<'_>, sizes: &Sizes) -> Result<ModelSpec> {
        refuse_unread(keys)?;
        let mut layers = (0..sizes.n_layer).map(|i| self.layer(keys, sizes, i)).collect::<Result<Vec<_>>>()?;
        let embedding = keys.tensor("token_embd.weight", &[sizes.n_embd, sizes.n_vocab])?;
        let head = Head::read(keys, sizes, self.encoder, &embedding)?;
        let norm = |base: &str| self.norm_spec(keys, base, sizes.n_embd);
        let positions = || keys.tensor("position_embd.weight", &[sizes.n_embd, sizes.n_ctx_train]);
        // Norms undo any scale of the residual stream (but for eps), so it is kept in units of what is added to it.
        let unit = self.residual_scale;
        Ok(ModelSpec {
            arch: keys.arch.into(),
            n_embd: sizes.n_embd,
            n_vocab: sizes.n_vocab,
            n_ctx_train: sizes.n_ctx_train,
            norm: self.norm,
            eps: eps(keys, self.norm)? / (unit * unit),
            embedding_scale: self.embedding_scale / unit,
            embedding,
            positions: self.positions.then(positions).transpose()?,
            types: if self.encoder { types(keys, sizes.n_embd)? } else { None },
            per_layer: self.per_layer.map(|width| per_layer(keys, sizes, width)).transpose()?,
            embedding_norm: self.embedding_norm.then(|| norm("token_embd_norm")).transpose()?,
            // where the stream is normed, the last block's norm is the last of all
            output_norm: match layers.last_mut().and_then(|layer| layer.ffn_norms.stream.take()) {
                Some(last) => last,
                None => norm(self.output_norm)?,
            },
            encoder: None,
            layers,
            ropes: self.ropes,
            task: head.task,
            transform: head.transform,
            output: head.output,
            pooling: head.pooling,
            labels: head.labels,
            logit_scale: self.logit_scale,
            final_softcap: keys.softcap("final_logit_softcapping")?,
        })
    }

    fn norm_spec(&self, keys: &Keys<'_>, base: &str, width: usize) -> Result<NormSpec> {
        let bias = || keys.optional(&format!("{base}.bias"), &[width]);
        Ok(NormSpec {
            weight: keys.tensor(&format!("{base}.weight"), &[width])?,
            bias: if self.norm == NormKind::Layer { bias()? } else { None },
        })
    }

    fn layer(&self, keys: &Keys<'_>, s: &Sizes, i: usize) -> Result<LayerSpec> {
        let norm = |name: Option<&str>| {
            // embeddings that are normed need no norm before the first block (ModernBERT)
            let base = name.map(|name| format!("blk.{i}.{name}"));
            let missing = |base: &String| keys.header.tensor(&format!("{base}.weight")).is_none();
            let base = base.filter(|base| !(i == 0 && self.embedding_norm && missing(base)));
            base.map(|base| self.norm_spec(keys, &base, s.n_embd)).transpose()
        };
        let norms = |[input, output, stream]: [Option<&str>; 3]| {
            Ok::<_, Error>(Norms { input: norm(input)?, output: norm(output)?, stream: norm(stream)? })
        };
        let NormNames([attn, ffn]) = self.norms;
        Ok(LayerSpec {
            attn_norms: norms(attn)?,
            mixer: match (self.mixer)(keys, s, i)? {
                Some(mixer) => mixer,
                None => Mixer::Attention(self.attention(keys, s, i)?),
            },
            cross: None,
            ffn_norms: norms(ffn)?,
            ffn: self.ffn(keys, s, i)?,
            mixture: self.mixture(keys, s, i)?,
            per_layer: self.per_layer.map(|width| self.per_layer_block(keys, s, i, width)).transpose()?,
            output_scale: keys.optional(&format!("blk.{i}.layer_output_scale.weight"), &[1])?,
            output_factor: 1.0,
            parallel: self.parallel,
        })
    }

    /// What a layer does with its share of the per-layer inputs.
    fn per_layer_block(&self, keys: &Keys<'_>, s: &Sizes, i: usize, width: usize) -> Result<PerLayerBlock> {
        let name = |part: &str| format!("blk.{i}.{part}");
        Ok(PerLayerBlock {
            gate: keys.linear(&name("inp_gate"), s.n_embd, width)?,
            activation: self.activation,
            output: keys.linear(&name("proj"), width, s.n_embd)?,
            norm: self.norm_spec(keys, &name("post_norm"), s.n_embd)?,
        })
    }

    /// The feed-forward layer that every row takes, if there is one.
    fn ffn(&self, keys: &Keys<'_>, s: &Sizes, i: usize) -> Result<Option<FfnSpec>> {
        if let Some(channel_mix) = self.channel_mix {
            return channel_mix(keys, s, i).map(Some);
        }
        let (parts, n_ff) = match (is_mixture(keys, i), shared_width(keys, i)) {
            (true, None) => return Ok(None),
            (true, Some(width)) => (["ffn_gate_shexp", "ffn_up_shexp", "ffn_down_shexp"], width),
            (false, _) if s.n_ff[i] == 0 => return Ok(None),
            (false, _) => (["ffn_gate", "ffn_up", "ffn_down"], s.n_ff[i]),
        };
        let [gate, up, down] = parts.map(|part| format!("blk.{i}.{part}"));
        Ok(Some(FfnSpec {
            up: match self.gated {
                true => gate_up(keys, &gate, &up, s.n_embd, n_ff)?,
                false => vec![keys.linear(&up, s.n_embd, n_ff)?],
            },
            gated: self.gated,
            down: keys.linear(&down, n_ff, s.n_embd)?,
            activation: self.activation,
            shift: None,
        }))
    }

    fn mixture(&self, keys: &Keys<'_>, s: &Sizes, i: usize) -> Result<Option<MixtureSpec>> {
        if !is_mixture(keys, i) {
            return Ok(None);
        }
        let name = |part: &str| format!("blk.{i}.{part}");
        let (n, used) = (keys.width("expert_count")?, keys.width("expert_used_count")?);
        if used > n || n > MAX_EXPERTS {
            return Err(keys.bad("expert_used_count", format!("{used} of {n} experts (of at most {MAX_EXPERTS})")));
        }
        let n_ff = keys.width_or("expert_feed_forward_length", s.n_ff[i])?;
        let stacked = |part: &str, inputs, outputs| keys.stacked(&name(part), inputs, outputs, n);
        let gate = || keys.linear(&name("ffn_gate_inp_shexp"), s.n_embd, 1);
        let (gating, alone) = match keys.u32("expert_gating_func")?.unwrap_or(0) {
            0 | 1 => (Gating::Softmax, false),
            2 => (Gating::Sigmoid, false),
            // a softmax over the experts used alone, which is what a normalized one over all comes to
            3 => (Gating::Softmax, true),
            other => return Err(Error::Unsupported(format!("{} {other}", keys.key("expert_gating_func")))),
        };
        Ok(Some(MixtureSpec {
            used,
            gating,
            normalized: alone || keys.bool_or("expert_weights_norm", self.normalized)?,
            scale: keys.f32("expert_weights_scale")?.filter(|&scale| scale != 0.0).unwrap_or(1.0),
            bias: keys.optional(&name("exp_probs_b.bias"), &[n])?,
            groups: groups(keys, n, used)?,
            router: keys.linear(&name("ffn_gate_inp"), s.n_embd, n)?,
            experts: FfnSpec {
                up: vec![stacked("ffn_gate_exps", s.n_embd, n_ff)?, stacked("ffn_up_exps", s.n_embd, n_ff)?],
                gated: true,
                down: stacked("ffn_down_exps", n_ff, s.n_embd)?,
                activation: self.activation,
                shift: None,
            },
            shared_gate: keys.header.tensor(&name("ffn_gate_inp_shexp.weight")).map(|_| gate()).transpose()?,
        }))
    }

    fn attention(&self, keys: &Keys<'_>, s: &Sizes, i: usize) -> Result<AttentionSpec> {
        let name = |part: &str| format!("blk.{i}.{part}");
        let (heads, kv_heads, head_dim) = (s.heads[i], s.kv_heads[i], s.head_dims[i]);
        let (window, rope) = self.layers[i];
        if heads == 0 || kv_heads == 0 || head_dim == 0 {
            return Err(keys.bad("attention.head_count", format!("layer {i} has no heads")));
        }
        let (q_width, kv_width) = (heads * head_dim, kv_heads * head_dim);
        let qkv = (self.qkv)(keys, s, i)?;
        let out_width = match &qkv {
            Qkv::Direct(_) | Qkv::Gated(_) => q_width,
            Qkv::Latent(latent) => heads * latent.v_b.outputs,
        };
        let qk_norm = self.qk_norm.map(|norms| {
            let whole = norms == QkNorms::Whole;
            let norm = |part: &str, all| keys.tensor(&name(part), &[if whole { all } else { head_dim }]);
            let k = self.kv_from[i].is_none().then(|| norm("attn_k_norm.weight", kv_width)).transpose()?;
            Ok::<_, Error>(QkNorm { q: norm("attn_q_norm.weight", q_width)?, k, whole })
        });
        Ok(AttentionSpec {
            heads,
            kv_heads,
            head_dim,
            scale: self.attention_scale.unwrap_or(1.0 / (head_dim as f32).sqrt()),
            softcap: self.attention_softcap,
            alibi: self.alibi,
            sinks: self.sinks.then(|| keys.tensor(&name("attn_sinks.weight"), &[heads])).transpose()?,
            relative: None,
            mask: if self.encoder { Mask::Full } else { Mask::Causal },
            window,
            rope,
            clamp: keys.softcap("attention.clamp_kqv")?,
            qk_norm: qk_norm.transpose()?,
            value_norm: self.value_norm,
            kv_from: self.kv_from[i],
            qkv,
            o: keys.linear(&name("attn_output"), out_width, s.n_embd)?,
        })
    }
}

/// Three matrices, or one.
fn direct(keys: &Keys<'_>, s: &Sizes, i: usize) -> Result<Qkv> {
    Ok(Qkv::Direct(projections(keys, s, i, 1)?))
}

/// The same with a gate behind each query head.
pub(super) fn gated(keys: &Keys<'_>, s: &Sizes, i: usize) -> Result<Qkv> {
    Ok(Qkv::Gated(projections(keys, s, i, 2)?))
}

/// Query, key and value projections, the first of which makes so many parts for each head.
fn projections(keys: &Keys<'_>, s: &Sizes, i: usize, parts: usize) -> Result<Vec<LinearSpec>> {
    let head_dim = s.head_dims[i];
    if keys.width_or("attention.value_length", head_dim)? != head_dim {
        return Err(Error::Unsupported("value heads of another size than key heads".into()));
    }
    let (q_width, kv_width) = (s.heads[i] * head_dim, s.kv_heads[i] * head_dim);
    let parts = [("attn_q", parts * q_width), ("attn_k", kv_width), ("attn_v", kv_width)];
    let parts = parts.map(|(part, outputs)| (format!("blk.{i}.{part}"), outputs));
    keys.linears(&format!("blk.{i}.attn_qkv"), &parts, s.n_embd)
}

/// Groups of experts, (all, used), if there are several.
fn groups(keys: &Keys<'_>, experts: usize, used: usize) -> Result<Option<(usize, usize)>> {
    let count = |name: &str| Ok::<_, Error>(keys.u32(name)?.unwrap_or(0).max(1) as usize);
    let (all, open) = (count("expert_group_count")?, count("expert_group_used_count")?);
    if open > all || !experts.is_multiple_of(all) || used > experts / all * open {
        let problem = format!("{used} of {experts} experts in {open} of {all} groups");
        return Err(keys.bad("expert_group_used_count", problem));
    }
    Ok((all > 1).then_some((all, open)))
}

fn per_layer(keys: &Keys<'_>, s: &Sizes, width: usize) -> Result<PerLayerSpec> {
    let all = keys.product("embedding_length_per_layer_input", s.n_layer, width)?;
    Ok(PerLayerSpec {
        width,
        table: keys.tensor("per_layer_token_embd.weight", &[all, s.n_vocab])?,
        projection: keys.linear("per_layer_model_proj", s.n_embd, all)?,
        norm: keys.tensor("per_layer_proj_norm.weight", &[width])?,
    })
}

/// A table of token types: the rows of those that a file has, 2 nearly always.
fn types(keys: &Keys<'_>, n_embd: usize) -> Result<Option<String>> {
    let tensor = keys.header.tensor("token_types.weight");
    let rows = tensor.map(|tensor| usize::try_from(tensor.dims[1]).unwrap_or(0).max(1));
    rows.map(|rows| keys.tensor("token_types.weight", &[n_embd, rows])).transpose()
}

fn eps(keys: &Keys<'_>, norm: NormKind) -> Result<f32> {
    keys.positive_or(
        match norm {
            NormKind::Rms => "attention.layer_norm_rms_epsilon",
            NormKind::Layer => "attention.layer_norm_epsilon",
        },
        1e-5,
    )
}

/// Gate and up: two matrices, or both in `up`.
pub(super) fn gate_up(keys: &Keys<'_>, gate: &str, up: &str, n_embd: usize, n_ff: usize) -> Result<Vec<LinearSpec>> {
    let rows = keys.header.tensor(&format!("{up}.weight")).map(|tensor| tensor.dims[1]);
    if rows == Some(2 * n_ff as u64) {
        return Ok(vec![keys.linear(up, n_embd, 2 * n_ff)?]);
    }
    Ok(vec![keys.linear(gate, n_embd, n_ff)?, keys.linear(up, n_embd, n_ff)?])
}

fn is_mixture(keys: &Keys<'_>, layer: usize) -> bool {
    keys.header.tensor(&format!("blk.{layer}.ffn_gate_inp.weight")).is_some()
}

/// The width of the layer that all rows of a mixture share, if there is one, as its tensor has it: files tell it in several ways.
fn shared_width(keys: &Keys<'_>, layer: usize) -> Option<usize> {
    let tensor = keys.header.tensor(&format!("blk.{layer}.ffn_up_shexp.weight"))?;
    Some(usize::try_from(tensor.dims[1]).unwrap_or(0))
}

/// Features these families can have that this version does not compute: better refused than answered wrongly.
fn refuse_unread(keys: &Keys<'_>) -> Result<()> {
    let layers = keys.layers()?;
    if keys.u32("expert_count")?.is_some_and(|n| n > 0) && !(0..layers).any(|layer| is_mixture(keys, layer)) {
        return Err(keys.bad("expert_count", "no layer has experts (or each in tensors of its own, as old files do)"));
    }
    Ok(())
}
