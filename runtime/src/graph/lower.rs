//! Lowers any `ModelSpec` to a `Plan`: the one place that knows how a decoder is put together.

mod latent;
mod mixers;
mod per_layer;
mod rwkv;

use std::collections::HashMap;

use super::{
    AttentionPlan, BufId, Buffer, Cap, Groups, Linear, Lookup, Op, Plan, RelativePlan, RopePlan, Routing, Weight,
    WeightId, memory,
};
use crate::arch::{
    AttentionSpec, FfnSpec, LayerSpec, LinearSpec, MixtureSpec, ModelSpec, NormSpec, Norms, Qkv, Rope, Task,
    TransformSpec,
};
use crate::error::{Error, Result};
use crate::gguf::Header;

/// The plan of `spec`, with every weight's place taken from `header`.
pub fn lower(spec: &ModelSpec, header: &Header) -> Result<Plan> {
    let mut weights = Weights { header, list: Vec::new(), by_name: HashMap::new() };
    Lowering::new(spec, &mut weights).plan()?; // finds out which weights there are
    weights.sort();
    weights.refuse_unread(spec.layers.len())?;
    let plan = Lowering::new(spec, &mut weights).plan()?;
    Ok(Plan { weights: weights.list, ..plan })
}

/// Tensors that are no weights of a model, or that it can do without.
const UNREAD: &[&str] = &[
    "rope_freqs.weight",
    "rot_embd",
    "rotary_emb",
    "attn.masked_bias",
    "attn.bias",
    // RWKV-7 mixes values with those of the first layer, which has none to mix with
    "blk.0.time_mix_v0.",
    "blk.0.time_mix_v1.",
    "blk.0.time_mix_v2.",
];

/// The weights of a plan, and their ids by name.
struct Weights<'a> {
    header: &'a Header,
    list: Vec<Weight>,
    by_name: HashMap<String, WeightId>,
}

impl Weights<'_> {
    fn id(&mut self, name: &str, matrix: bool) -> Result<WeightId> {
        if let Some(id) = self.by_name.get(name) {
            return Ok(*id);
        }
        let id = WeightId(self.list.len() as u32);
        self.list.push(weight(self.header, name, matrix)?);
        self.by_name.insert(name.into(), id);
        Ok(id)
    }

    fn vector(&mut self, name: &str) -> Result<WeightId> {
        self.id(name, false)
    }

    fn optional(&mut self, name: Option<&String>) -> Result<Option<WeightId>> {
        name.map(|name| self.vector(name)).transpose()
    }

    fn matrix(&mut self, name: &str) -> Result<WeightId> {
        self.id(name, true)
    }

    fn linear(&mut self, spec: &LinearSpec) -> Result<Linear> {
        Ok(Linear { weight: self.matrix(&spec.weight)?, bias: self.optional(spec.bias.as_ref())? })
    }

    /// Brings the weights into file order.
    fn sort(&mut self) {
        self.list.sort_by(|a, b| (a.shard, a.offset, &a.name).cmp(&(b.shard, b.offset, &b.name)));
        self.by_name = self.list.iter().zip(0..).map(|(w, i)| (w.name.clone(), WeightId(i))).collect();
    }

    /// A tensor that the family does not know would have its part in the answer: better refused than left out.
    /// Blocks behind the last layer that predict further tokens are a part of no answer.
    fn refuse_unread(&self, layers: usize) -> Result<()> {
        let arch = self.header.str("general.architecture")?.unwrap_or_default();
        let further = self.header.u32(&format!("{arch}.nextn_predict_layers"))?.unwrap_or(0) as usize;
        let block = |name: &str| name.strip_prefix("blk.")?.split('.').next()?.parse::<usize>().ok();
        let predicts = |name: &str| block(name).is_some_and(|i| (layers..layers + further).contains(&i));
        let unread = |name: &str| UNREAD.iter().any(|part| name.contains(part)) || predicts(name);
        let known = |name: &str| self.by_name.contains_key(name) || unread(name);
        match self.header.tensors.iter().find(|tensor| !known(&tensor.name)) {
            Some(tensor) => Err(Error::Unsupported(format!("tensor '{}' in a file of '{arch}'", tensor.name))),
            None => Ok(()),
        }
    }
}

fn weight(header: &Header, name: &str, matrix: bool) -> Result<Weight> {
    let tensor = header.tensor(name).ok_or_else(|| Error::Internal(format!("tensor '{name}' vanished")))?;
    let ty =
        tensor.ty().ok_or_else(|| Error::Unsupported(format!("tensor '{name}' has type id {}", tensor.type_id)))?;
    let size =
        |n: u64| usize::try_from(n).map_err(|_| Error::Unsupported(format!("tensor '{name}' is too large here")));
    let [cols, rows, experts, _] = tensor.dims;
    let all = tensor.dims.iter().fold(1u64, |all, &dim| all.saturating_mul(dim));
    let (rows, cols) = if matrix { (rows.saturating_mul(experts), cols) } else { (1, all) };
    Ok(Weight {
        name: name.into(),
        ty,
        rows: size(rows)?,
        cols: size(cols)?,
        experts: if matrix { size(experts)? } else { 1 },
        shard: tensor.shard,
        offset: tensor.offset,
        matrix,
    })
}

/// Both kinds of what a block's second half makes: parts of experts with their routes; units of its own feed-forward layer, and
/// their gate.
struct Units {
    mixed: Option<(BufId, BufId)>,
    own: Option<BufId>,
    gate: Option<BufId>,
}

/// A plan being written.
struct Lowering<'a, 'b> {
    spec: &'a ModelSpec,
    weights: &'a mut Weights<'b>,
    buffers: Vec<Buffer>,
    ops: Vec<Op>,
    /// Attention of the layers so far.
    layers: Vec<AttentionPlan>,
    /// Which of these attend to the encoder's states, by block.
    cross: Vec<usize>,
    /// Number of each block's own attention, if it has such.
    numbers: Vec<usize>,
    states: Vec<usize>,
    /// The values of the first layer, where later ones mix theirs with them.
    first_values: Option<BufId>,
}

impl<'a, 'b> Lowering<'a, 'b> {
    fn new(spec: &'a ModelSpec, weights: &'a mut Weights<'b>) -> Self {
        let (buffers, ops, layers, cross, numbers, states) = Default::default();
        Self { spec, weights, buffers, ops, layers, cross, numbers, states, first_values: None }
    }

    /// The whole plan but for its weights.
    fn plan(mut self) -> Result<Plan> {
        let spec = self.spec;
        let encoder = self.encoder()?;
        let hidden = self.body()?;
        let body = std::mem::take(&mut self.ops);
        let logits = self.head(hidden)?;
        let head = std::mem::take(&mut self.ops);
        let slots = memory::assign(&mut self.buffers, &encoder, &body, &head, hidden);
        Ok(Plan {
            encoder,
            body,
            head,
            hidden,
            logits,
            slots,
            ropes: spec.ropes.iter().map(|rope| self.rope_plan(rope)).collect::<Result<_>>()?,
            layers: self.layers,
            states: self.states,
            buffers: self.buffers,
            weights: Vec::new(),
            eps: spec.eps,
            n_embd: spec.n_embd,
            n_vocab: spec.output.as_ref().map_or(spec.n_embd, |output| output.outputs),
            texts: spec.task != Task::Generate,
        })
    }

    fn attention_plan(&mut self, a: &AttentionSpec) -> Result<AttentionPlan> {
        let heads = a.qk_norm.as_ref().filter(|norm| !norm.whole);
        let relative = a.relative.as_ref().map(|relative| {
            Ok::<_, Error>(RelativePlan { table: self.weights.vector(&relative.table)?, buckets: relative.buckets })
        });
        Ok(AttentionPlan {
            heads: a.heads,
            kv_heads: a.kv_heads,
            head_dim: a.head_dim,
            keys_only: matches!(a.qkv, Qkv::Latent(_)),
            kv_from: a.kv_from.map(|layer| self.numbers[layer]),
            scale: a.scale,
            softcap: a.softcap,
            alibi: a.alibi,
            sinks: self.weights.optional(a.sinks.as_ref())?,
            relative: relative.transpose()?,
            mask: a.mask,
            window: a.window,
            rope: a.rope,
            q_norm: self.weights.optional(heads.map(|norm| &norm.q))?,
            k_norm: self.weights.optional(heads.and_then(|norm| norm.k.as_ref()))?,
        })
    }

    fn rope_plan(&mut self, rope: &Rope) -> Result<RopePlan> {
        let long = rope.long.as_ref().map(|(limit, name)| Ok::<_, Error>((*limit, self.weights.vector(name)?)));
        Ok(RopePlan {
            style: rope.style,
            inv_freq: rope.inv_freq.clone(),
            magnitude: rope.magnitude,
            factors: self.weights.optional(rope.factors.as_ref())?,
            long: long.transpose()?,
        })
    }

    fn buffer(&mut self, width: usize) -> BufId {
        self.buffers.push(Buffer { width, slot: 0 });
        BufId(u16::try_from(self.buffers.len() - 1).expect("a plan has fewer than 65536 buffers"))
    }

    /// out = add + norm(x)
    fn norm_to(&mut self, x: BufId, norm: &NormSpec, add: Option<BufId>, out: BufId) -> Result<()> {
        let (weight, bias) = (self.weights.vector(&norm.weight)?, self.weights.optional(norm.bias.as_ref())?);
        self.ops.push(Op::Norm { kind: self.spec.norm, x, weight, bias, add, out });
        Ok(())
    }

    /// norm(x), or x where there is no norm.
    fn norm(&mut self, x: BufId, norm: Option<&NormSpec>) -> Result<BufId> {
        let Some(norm) = norm else { return Ok(x) };
        let out = self.buffer(self.spec.n_embd);
        self.norm_to(x, norm, None, out)?;
        Ok(out)
    }

    fn matmul(&mut self, specs: &[LinearSpec], x: BufId) -> Result<BufId> {
        let out = self.buffer(specs.iter().map(|spec| spec.outputs).sum());
        let linears = specs.iter().map(|spec| self.weights.linear(spec)).collect::<Result<_>>()?;
        self.ops.push(Op::MatMul { linears, x, add: None, out });
        Ok(out)
    }

    /// hidden += output(W x), the end of both halves of a block; the stream that comes of it.
    fn residual(&mut self, linear: &LinearSpec, norms: &Norms, x: BufId, hidden: BufId) -> Result<BufId> {
        match &norms.output {
            None => {
                let linears = vec![self.weights.linear(linear)?];
                self.ops.push(Op::MatMul { linears, x, add: Some(hidden), out: hidden });
            }
            Some(norm) => {
                let branch = self.matmul(std::slice::from_ref(linear), x)?;
                self.norm_to(branch, norm, Some(hidden), hidden)?;
            }
        }
        self.norm(hidden, norms.stream.as_ref())
    }

    fn lookup(&mut self, table: &str, by: Lookup, scale: f32, add: bool, out: BufId) -> Result<()> {
        let table = self.weights.matrix(table)?;
        self.ops.push(Op::Embed { table, by, scale, add, out });
        Ok(())
    }

    /// What reads the first text and stores the keys and values of it that the body's blocks attend to.
    fn encoder(&mut self) -> Result<Vec<Op>> {
        let Some(encoder) = &self.spec.encoder else { return Ok(Vec::new()) };
        let mut hidden = self.embedded()?;
        for layer in &encoder.layers {
            hidden = self.layer(layer, hidden, None)?;
        }
        let states = self.norm(hidden, Some(&encoder.output_norm))?;
        for (_, cross) in self.spec.layers.iter().filter_map(|layer| layer.cross.as_ref()) {
            let kv = self.matmul(&mixers::direct(cross)?[1..], states)?;
            let layer = self.attention_layer(cross)?;
            self.ops.push(Op::Store { kv, layer });
            self.cross.push(layer);
        }
        Ok(std::mem::take(&mut self.ops))
    }

    fn body(&mut self) -> Result<BufId> {
        let spec = self.spec;
        let mut hidden = self.embedded()?;
        let shares = spec.per_layer.as_ref().map(|inputs| self.layer_inputs(inputs, hidden)).transpose()?;
        let mut cross = std::mem::take(&mut self.cross).into_iter();
        for (i, layer) in spec.layers.iter().enumerate() {
            let cross = layer.cross.as_ref().and_then(|_| cross.next());
            hidden = self.layer(layer, hidden, cross)?;
            self.numbers.push(self.layers.len().saturating_sub(1));
            if let (Some(block), Some(shares)) = (&layer.per_layer, shares) {
                hidden = self.add_share(block, i, shares, hidden)?;
            }
            let by = self.weights.optional(layer.output_scale.as_ref())?;
            if by.is_some() || layer.output_factor != 1.0 {
                self.ops.push(Op::Scale { x: hidden, factor: layer.output_factor, by, cap: None });
            }
        }
        Ok(hidden)
    }

    fn embedded(&mut self) -> Result<BufId> {
        let spec = self.spec;
        let hidden = self.buffer(spec.n_embd);
        self.lookup(&spec.embedding, Lookup::Token, spec.embedding_scale, false, hidden)?;
        if let Some(table) = &spec.positions {
            self.lookup(table, Lookup::Position, 1.0, true, hidden)?;
        }
        if let Some(table) = &spec.types {
            self.lookup(table, Lookup::Type, 1.0, true, hidden)?;
        }
        self.norm(hidden, spec.embedding_norm.as_ref())
    }

    /// `cross`: the layer that attends to the encoder's states.
    fn layer(&mut self, layer: &LayerSpec, hidden: BufId, cross: Option<usize>) -> Result<BufId> {
        let x = self.norm(hidden, layer.attn_norms.input.as_ref())?;
        let beside = match (&layer.ffn_norms.input, layer.parallel) {
            (norm @ Some(_), true) => Some(self.norm(hidden, norm.as_ref())?),
            (None, true) => Some(x),
            (_, false) => None,
        };
        let mixed = self.mix(&layer.mixer, x)?;
        // before the stream changes: x may be the stream itself
        let beside = beside.map(|x| self.units(layer, x)).transpose()?;
        let mut hidden = self.residual(layer.mixer.output(), &layer.attn_norms, mixed, hidden)?;
        if let (Some((norms, attention)), Some(layer)) = (&layer.cross, cross) {
            hidden = self.cross(norms, attention, layer, hidden)?;
        }
        let units = match beside {
            Some(units) => units,
            None => {
                let x = self.norm(hidden, layer.ffn_norms.input.as_ref())?;
                self.units(layer, x)?
            }
        };
        self.add_units(layer, units, hidden)
    }

    /// What the second half of a block makes of x before it comes to the stream.
    fn units(&mut self, layer: &LayerSpec, x: BufId) -> Result<Units> {
        if let Some((ffn, shift)) = layer.ffn.as_ref().and_then(|ffn| Some((ffn, ffn.shift.as_ref()?))) {
            return self.channel_mix(ffn, shift, x);
        }
        let gate = layer.mixture.as_ref().and_then(|mixture| mixture.shared_gate.as_ref());
        Ok(Units {
            mixed: layer.mixture.as_ref().map(|mixture| self.mixture(mixture, x)).transpose()?,
            own: layer.ffn.as_ref().map(|ffn| self.feed_forward(ffn, x)).transpose()?,
            gate: gate.map(|gate| self.matmul(std::slice::from_ref(gate), x)).transpose()?,
        })
    }

    fn add_units(&mut self, layer: &LayerSpec, units: Units, mut hidden: BufId) -> Result<BufId> {
        if let Some((parts, routes)) = units.mixed {
            if layer.ffn_norms.output.is_some() {
                return Err(Error::Unsupported(format!("norms of what experts add ('{}')", self.spec.arch)));
            }
            let first = self.buffers[routes.0 as usize].width / 2;
            self.combine(parts, (routes, first, false), false, hidden);
        }
        let (Some(ffn), Some(own)) = (&layer.ffn, units.own) else { return Ok(hidden) };
        match units.gate {
            Some(gate) => {
                let part = self.matmul(std::slice::from_ref(&ffn.down), own)?;
                self.combine(part, (gate, 0, ffn.shift.is_some()), true, hidden);
            }
            None => hidden = self.residual(&ffn.down, &layer.ffn_norms, own, hidden)?,
        }
        Ok(hidden)
    }

    fn combine(&mut self, x: BufId, (weights, first, by_column): (BufId, usize, bool), sigmoid: bool, hidden: BufId) {
        self.ops.push(Op::Combine { x, weights, first, by_column, sigmoid, add: Some(hidden), out: hidden });
    }

    /// The outputs of the experts that each row goes to, side by side, and where it goes.
    fn mixture(&mut self, mixture: &MixtureSpec, x: BufId) -> Result<(BufId, BufId)> {
        let MixtureSpec { used, gating, normalized, scale, groups, .. } = *mixture;
        let bias = self.weights.optional(mixture.bias.as_ref())?;
        // as DeepSeek's models do: V2's groups are as good as their best expert, V3's, which have a bias, as their best two
        let best = if bias.is_some() { 2 } else { 1 };
        let groups = groups.map(|(count, used)| Groups { count, used, best });
        let scores = self.matmul(std::slice::from_ref(&mixture.router), x)?;
        let routes = self.buffer(2 * used);
        let routing = Routing { used, gating, normalized, scale, groups };
        self.ops.push(Op::Route { x: scores, bias, routing, out: routes });
        let FfnSpec { up, gated, down, activation, .. } = &mixture.experts;
        let up = self.experts(up, x, routes, used)?;
        let units = self.buffer(used * down.inputs);
        self.ops.push(Op::Activate { parts: used, x: up, activation: *activation, gated: *gated, out: units });
        Ok((self.experts(std::slice::from_ref(down), units, routes, used)?, routes))
    }

    fn experts(&mut self, specs: &[LinearSpec], x: BufId, routes: BufId, used: usize) -> Result<BufId> {
        let out = self.buffer(used * specs.iter().map(|spec| spec.outputs).sum::<usize>());
        let linears = specs.iter().map(|spec| self.weights.linear(spec)).collect::<Result<_>>()?;
        self.ops.push(Op::Experts { linears, x, routes, out });
        Ok(out)
    }

    /// The units that the down projection reads.
    fn feed_forward(&mut self, ffn: &FfnSpec, x: BufId) -> Result<BufId> {
        let up = self.matmul(&ffn.up, x)?;
        let out = self.buffer(ffn.down.inputs);
        self.ops.push(Op::Activate { parts: 1, x: up, activation: ffn.activation, gated: ffn.gated, out });
        Ok(out)
    }

    fn head(&mut self, hidden: BufId) -> Result<BufId> {
        let spec = self.spec;
        let mut x = self.norm(hidden, Some(&spec.output_norm))?;
        if let Some(TransformSpec { dense, activation, norm }) = &spec.transform {
            let up = self.matmul(std::slice::from_ref(dense), x)?;
            let out = self.buffer(dense.outputs);
            self.ops.push(Op::Activate { parts: 1, x: up, activation: *activation, gated: false, out });
            x = self.norm(out, norm.as_ref())?;
        }
        let Some(output) = &spec.output else { return Ok(x) };
        let logits = self.matmul(std::slice::from_ref(output), x)?;
        if spec.final_softcap.is_some() || spec.logit_scale != 1.0 {
            let cap = spec.final_softcap.map(Cap::Soft);
            self.ops.push(Op::Scale { x: logits, factor: spec.logit_scale, by: None, cap });
        }
        Ok(logits)
    }
}
