//! Lowers any `ModelSpec` to a `Plan`: the one place that knows how a decoder is put together.

use std::collections::HashMap;

use super::{AttentionPlan, BufId, Buffer, Linear, Op, Plan, RopePlan, Weight, WeightId, memory};
use crate::arch::{AttentionSpec, LayerSpec, LinearSpec, ModelSpec};
use crate::error::{Error, Result};
use crate::gguf::Header;

/// The plan of `spec`, with every weight's place taken from `header`.
pub fn lower(spec: &ModelSpec, header: &Header) -> Result<Plan> {
    let weights = Weights::collect(spec, header)?;
    let mut lowering = Lowering { spec, weights, buffers: Vec::new(), ops: Vec::new() };
    let hidden = lowering.body()?;
    let body = std::mem::take(&mut lowering.ops);
    let logits = lowering.head(hidden)?;
    let head = lowering.ops;
    let mut buffers = lowering.buffers;
    let slots = memory::assign(&mut buffers, &body, &head, hidden);
    let layers = spec.layers.iter().map(|l| attention_plan(&l.attention, &lowering.weights)).collect::<Result<_>>()?;
    let ropes = spec.ropes.iter().map(|rope| {
        let factors = rope.factors.as_deref().map(|name| lowering.weights.id(name)).transpose()?;
        Ok(RopePlan { style: rope.style, inv_freq: rope.inv_freq.clone(), magnitude: rope.magnitude, factors })
    });
    Ok(Plan {
        body,
        head,
        hidden,
        logits,
        buffers,
        slots,
        layers,
        ropes: ropes.collect::<Result<_>>()?,
        weights: lowering.weights.list,
        rms_eps: spec.rms_eps,
        n_embd: spec.n_embd,
        n_vocab: spec.n_vocab,
    })
}

/// The weights of a plan, in file order, and their ids by name.
struct Weights {
    list: Vec<Weight>,
    by_name: HashMap<String, WeightId>,
}

impl Weights {
    fn collect(spec: &ModelSpec, header: &Header) -> Result<Self> {
        let mut list = Vec::new();
        for (name, matrix) in names(spec) {
            list.push(weight(header, name, matrix)?);
        }
        list.sort_by(|a, b| (a.shard, a.offset, &a.name).cmp(&(b.shard, b.offset, &b.name)));
        list.dedup_by(|a, b| a.name == b.name); // a tied table is both embedding and output
        let by_name = list.iter().zip(0..).map(|(w, i)| (w.name.clone(), WeightId(i))).collect();
        Ok(Self { list, by_name })
    }

    fn id(&self, name: &str) -> Result<WeightId> {
        self.by_name.get(name).copied().ok_or_else(|| Error::Internal(format!("weight '{name}' was not collected")))
    }

    fn linear(&self, spec: &LinearSpec) -> Result<Linear> {
        let bias = spec.bias.as_deref().map(|name| self.id(name)).transpose()?;
        Ok(Linear { weight: self.id(&spec.weight)?, bias })
    }
}

/// Every tensor a spec names, and whether it is a matrix.
fn names(spec: &ModelSpec) -> Vec<(&str, bool)> {
    fn linear<'a>(out: &mut Vec<(&'a str, bool)>, l: &'a LinearSpec) {
        out.push((&l.weight, true));
        out.extend(l.bias.as_deref().map(|name| (name, false)));
    }
    let mut out = vec![(spec.embedding.as_str(), true), (spec.output_norm.as_str(), false)];
    linear(&mut out, &spec.output);
    out.extend(spec.ropes.iter().filter_map(|rope| Some((rope.factors.as_deref()?, false))));
    for layer in &spec.layers {
        let a = &layer.attention;
        let norms = [Some(&layer.attn_norm), layer.attn_post_norm.as_ref(), Some(&layer.ffn_norm)];
        let norms = norms.into_iter().chain([layer.ffn_post_norm.as_ref(), a.q_norm.as_ref(), a.k_norm.as_ref()]);
        out.extend(norms.flatten().map(|name| (name.as_str(), false)));
        let matrices = a.qkv.iter().chain([&a.o]).chain(&layer.ffn.gate_up).chain([&layer.ffn.down]);
        matrices.for_each(|l| linear(&mut out, l));
    }
    out
}

fn weight(header: &Header, name: &str, matrix: bool) -> Result<Weight> {
    let tensor = header.tensor(name).ok_or_else(|| Error::Internal(format!("tensor '{name}' vanished")))?;
    let ty =
        tensor.ty().ok_or_else(|| Error::Unsupported(format!("tensor '{name}' has type id {}", tensor.type_id)))?;
    let size =
        |n: u64| usize::try_from(n).map_err(|_| Error::Unsupported(format!("tensor '{name}' is too large here")));
    Ok(Weight {
        name: name.into(),
        ty,
        rows: size(tensor.dims[1])?,
        cols: size(tensor.dims[0])?,
        shard: tensor.shard,
        offset: tensor.offset,
        matrix,
    })
}

fn attention_plan(a: &AttentionSpec, weights: &Weights) -> Result<AttentionPlan> {
    let id = |name: &Option<String>| name.as_deref().map(|name| weights.id(name)).transpose();
    Ok(AttentionPlan {
        heads: a.heads,
        kv_heads: a.kv_heads,
        head_dim: a.head_dim,
        scale: a.scale,
        window: a.window,
        rope: a.rope,
        q_norm: id(&a.q_norm)?,
        k_norm: id(&a.k_norm)?,
    })
}

/// A plan being written.
struct Lowering<'a> {
    spec: &'a ModelSpec,
    weights: Weights,
    buffers: Vec<Buffer>,
    ops: Vec<Op>,
}

impl Lowering<'_> {
    fn buffer(&mut self, width: usize) -> BufId {
        self.buffers.push(Buffer { width, slot: 0 });
        BufId(u16::try_from(self.buffers.len() - 1).expect("a plan has fewer than 65536 buffers"))
    }

    fn norm(&mut self, x: BufId, name: &str) -> Result<BufId> {
        let out = self.buffer(self.spec.n_embd);
        self.ops.push(Op::RmsNorm { x, weight: self.weights.id(name)?, add: None, out });
        Ok(out)
    }

    fn matmul(&mut self, specs: &[LinearSpec], x: BufId) -> Result<BufId> {
        let out = self.buffer(specs.iter().map(|spec| spec.outputs).sum());
        let linears = specs.iter().map(|spec| self.weights.linear(spec)).collect::<Result<_>>()?;
        self.ops.push(Op::MatMul { linears, x, add: None, out });
        Ok(out)
    }

    /// hidden += post(W x), the end of both halves of a block.
    fn residual(&mut self, linear: &LinearSpec, post: Option<&String>, x: BufId, hidden: BufId) -> Result<()> {
        let Some(post) = post else {
            let linears = vec![self.weights.linear(linear)?];
            self.ops.push(Op::MatMul { linears, x, add: Some(hidden), out: hidden });
            return Ok(());
        };
        let branch = self.matmul(std::slice::from_ref(linear), x)?;
        let weight = self.weights.id(post)?;
        self.ops.push(Op::RmsNorm { x: branch, weight, add: Some(hidden), out: hidden });
        Ok(())
    }

    fn body(&mut self) -> Result<BufId> {
        let spec = self.spec;
        let hidden = self.buffer(spec.n_embd);
        let table = self.weights.id(&spec.embedding)?;
        self.ops.push(Op::Embed { table, scale: spec.embedding_scale, out: hidden });
        for (i, layer) in spec.layers.iter().enumerate() {
            self.attention(i, layer, hidden)?;
            self.feed_forward(layer, hidden)?;
        }
        Ok(hidden)
    }

    fn attention(&mut self, i: usize, layer: &LayerSpec, hidden: BufId) -> Result<()> {
        let a = &layer.attention;
        let x = self.norm(hidden, &layer.attn_norm)?;
        let qkv = self.matmul(&a.qkv, x)?;
        self.ops.push(Op::RopeStore { qkv, layer: i });
        let out = self.buffer(a.heads * a.head_dim);
        self.ops.push(Op::Attention { qkv, layer: i, out });
        self.residual(&a.o, layer.attn_post_norm.as_ref(), out, hidden)
    }

    fn feed_forward(&mut self, layer: &LayerSpec, hidden: BufId) -> Result<()> {
        let ffn = &layer.ffn;
        let x = self.norm(hidden, &layer.ffn_norm)?;
        let gate_up = self.matmul(&ffn.gate_up, x)?;
        let out = self.buffer(ffn.down.inputs);
        self.ops.push(Op::Glu { x: gate_up, activation: ffn.activation, out });
        self.residual(&ffn.down, layer.ffn_post_norm.as_ref(), out, hidden)
    }

    fn head(&mut self, hidden: BufId) -> Result<BufId> {
        let x = self.norm(hidden, &self.spec.output_norm)?;
        let logits = self.matmul(std::slice::from_ref(&self.spec.output), x)?;
        if let Some(cap) = self.spec.final_softcap {
            self.ops.push(Op::Softcap { x: logits, cap });
        }
        Ok(logits)
    }
}
