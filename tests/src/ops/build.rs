//! Makes a case's plan, weights, batches and expected answer.

use std::ops::Range;

use gabion::device::KvType;
use gabion::graph::{
    Activation, AttentionPlan, BufId, Buffer, Cap, Columns, Linear, Lookup, Mask, NormKind, NormPart, Op, Plan,
    RelativePlan, RopePlan, RopeStyle, Weight, WeightId,
};
use gabion::quant::TensorType;

use super::case::{Act, Add, By, Case, Kind, Layer, OpCase, Style, tensor_type};
use super::data::{self, Random, decode};
use super::reference;

pub(super) const EPS: f32 = 1e-5;

/// A case ready to run.
pub struct Built {
    /// The plan around the op.
    pub plan: Plan,
    /// Bytes of each of the plan's weights.
    pub data: Vec<Vec<u8>>,
    /// Tokens of each batch.
    pub batches: Vec<Vec<u32>>,
    /// Position of the first.
    pub first_pos: usize,
    /// Where the texts of the only batch end; none where batches continue a timeline.
    pub ends: Vec<usize>,
    /// Types of its tokens.
    pub types: Vec<u32>,
    /// Room for all positions.
    pub n_ctx: usize,
    /// Cache type.
    pub kv: KvType,
    /// The logits of all batches, one after another.
    pub expected: Vec<f64>,
    /// What errors are measured by: the magnitude of `expected`, or of a sum of as large terms with random signs, if that
    /// is larger: a few sums may happen to cancel.
    pub scale: f64,
}

impl Built {
    /// The same with one batch of texts of so many rows.
    fn of_texts(mut self, lengths: &[usize]) -> Self {
        self.plan.texts = true;
        self.batches = vec![self.batches.concat()];
        self.ends = lengths
            .iter()
            .scan(0, |end, len| {
                *end += len;
                Some(*end)
            })
            .collect();
        self
    }
}

/// Makes `case`.
pub fn build(case: &Case) -> Built {
    let b = Builder::new(case.seed);
    match &case.op {
        OpCase::Embed { ty, cols, scale, n, by: By::Token, .. } => b.embed(tensor_type(ty), *cols, *scale, *n),
        OpCase::Embed { ty, cols, n, by, texts, .. } => b.embed_by(*by, tensor_type(ty), *cols, *n, texts),
        OpCase::Norm { kind, cols, n, add, bias } => b.norm(*kind, *cols, *n, *add, *bias),
        OpCase::NormPart { before, cols, parts, shared, plain, layer, after, n } => {
            b.norm_part((*before, *cols, *parts, *after), (*shared, *plain, *layer), *n)
        }
        OpCase::MatMul { ty, rows, cols, n, bias, add } => b.mat_mul(tensor_type(ty), rows, *cols, *n, *bias, *add),
        OpCase::NormMatMul { ty, rows, cols, n, bias, activation } => {
            b.norm_mat_mul(tensor_type(ty), rows, *cols, *n, *bias, *activation)
        }
        OpCase::Mixture(mixture) => b.mixture(mixture),
        OpCase::Heads { ty, cols, rows, heads, gap, n } => b.heads(tensor_type(ty), (*cols, *rows, *heads), *gap, *n),
        OpCase::Take { width, from_first, from_len, from_step, to_first, to_len, to_step, n } => {
            let from = Columns { first: *from_first, len: *from_len, step: *from_step };
            let to = Columns { first: *to_first, len: *to_len, step: *to_step };
            b.take(from, to, *width, *n)
        }
        OpCase::RopeStore(layer) => b.attention(layer, false),
        OpCase::Attention(layer) => b.attention(layer, true),
        OpCase::Activate { cols, activation, gated, n } => b.activate(*cols, *activation, *gated, *n),
        OpCase::Conv { channels, taps, before, gated, bias, silu, batches } => {
            b.conv((*channels, *taps, *before), batches, *gated, *bias, *silu)
        }
        OpCase::Scan { heads, head_dim, groups, n_state, rates, batches } => {
            b.scan([*heads, *head_dim, *groups, *n_state], batches, *rates)
        }
        OpCase::DeltaRule { key_heads, shared, key_dim, value_dim, tiled, batches } => {
            b.delta_rule([*key_heads, *shared, *key_dim, *value_dim], batches, *tiled)
        }
        OpCase::Lerp { cols, weight, by, shifted, batches } => b.lerp(*cols, (*weight, *by), *shifted, batches),
        OpCase::Wkv { heads, dim, delta, batches } => b.wkv([*heads, *dim], batches, *delta),
        OpCase::Combine { cols, parts, sigmoid, n } => b.combine(*cols, *parts, *sigmoid, *n),
        OpCase::Gate { cols, len, step, sigmoid, n } => {
            b.gate(*cols, Columns { first: 1, len: *len, step: *step }, *sigmoid, *n)
        }
        OpCase::Scale { cols, factor, by, cap, hard, n } => b.scale(*cols, *factor, *by, (*cap, *hard), *n),
    }
}

/// A plan being written; every buffer has a slot of its own.
pub(super) struct Builder {
    random: Random,
    widths: Vec<usize>,
    pub(super) weights: Vec<Weight>,
    pub(super) data: Vec<Vec<u8>>,
    pub(super) body: Vec<Op>,
    head: Vec<Op>,
    layers: Vec<AttentionPlan>,
    pub(super) states: Vec<usize>,
    ropes: Vec<RopePlan>,
}

/// A weight and its elements.
pub(super) type Known = (WeightId, Vec<f64>);

impl Builder {
    fn new(seed: u64) -> Self {
        let (widths, weights, data) = (vec![], vec![], vec![]);
        let random = Random::new(seed);
        Self {
            random,
            widths,
            weights,
            data,
            body: vec![],
            head: vec![],
            layers: vec![],
            states: vec![],
            ropes: vec![],
        }
    }

    pub(super) fn buffer(&mut self, width: usize) -> BufId {
        self.widths.push(width);
        BufId(self.widths.len() as u16 - 1)
    }

    fn weight(&mut self, ty: TensorType, rows: usize, cols: usize, matrix: bool, bytes: Vec<u8>) -> Known {
        let offset = self.data.iter().map(|d| d.len() as u64).sum();
        let name = format!("w{}", self.weights.len());
        self.weights.push(Weight { name, ty, rows, experts: 1, cols, shard: 0, offset, matrix });
        let elements = decode(ty, &bytes);
        self.data.push(bytes);
        (WeightId(self.weights.len() as u32 - 1), elements)
    }

    pub(super) fn matrix(&mut self, ty: TensorType, rows: usize, cols: usize) -> Known {
        let bytes = self.random.blocks(ty, rows * cols);
        self.weight(ty, rows, cols, true, bytes)
    }

    /// A matrix of F32 that turns rows into numbers of about their own size.
    pub(super) fn router(&mut self, rows: usize, cols: usize) -> Known {
        let size = (cols as f32).sqrt().recip();
        let bytes = self.random.values(rows * cols).into_iter().flat_map(|x| (size * x).to_le_bytes()).collect();
        self.weight(TensorType::F32, rows, cols, true, bytes)
    }

    pub(super) fn vector(&mut self, len: usize) -> Known {
        let bytes = (0..len).flat_map(|_| (1.0 + 0.5 * self.random.uniform()).to_le_bytes()).collect();
        self.weight(TensorType::F32, 1, len, false, bytes)
    }

    /// Embeds an F32 table of `rows` random rows; the buffer and the rows.
    pub(super) fn input(&mut self, rows: usize, cols: usize) -> (BufId, Vec<Vec<f64>>) {
        let (table, elements) = self.matrix(TensorType::F32, rows, cols);
        let out = self.buffer(cols);
        self.body.push(lookup(table, 1.0, out));
        (out, elements.chunks_exact(cols).map(<[f64]>::to_vec).collect())
    }

    /// Ends the plan with the first `rows` columns of `hidden` as logits, by a matrix of zeros and ones.
    pub(super) fn show(&mut self, hidden: BufId, rows: usize) -> BufId {
        let cols = self.widths[hidden.0 as usize];
        let one = |i: usize| f32::from(u8::from(i / cols == i % cols)).to_le_bytes();
        let bytes = (0..rows * cols).flat_map(one).collect();
        let (weight, _) = self.weight(TensorType::F32, rows, cols, true, bytes);
        let out = self.buffer(rows);
        self.head.push(Op::MatMul { linears: vec![Linear { weight, bias: None }], x: hidden, add: None, out });
        out
    }

    /// `tokens`: of each batch. `answer`: the expected row of each token in turn.
    pub(super) fn finish(self, hidden: BufId, logits: BufId, batches: Vec<Vec<u32>>, expected: Vec<f64>) -> Built {
        let buffers = self.widths.iter().enumerate().map(|(slot, &width)| Buffer { width, slot });
        let plan = Plan {
            encoder: Vec::new(),
            body: self.body,
            head: self.head,
            hidden,
            logits,
            buffers: buffers.collect(),
            n_embd: self.widths[hidden.0 as usize],
            n_vocab: self.widths[logits.0 as usize],
            slots: self.widths,
            weights: self.weights,
            layers: self.layers,
            states: self.states,
            ropes: self.ropes,
            eps: EPS,
            texts: false,
        };
        assert_eq!(expected.len(), batches.iter().map(Vec::len).sum::<usize>() * plan.n_vocab);
        let n_ctx = batches.iter().map(Vec::len).sum();
        let scale = reference::rms(&expected);
        let (first_pos, ends, types) = (0, Vec::new(), Vec::new());
        Built { plan, data: self.data, batches, first_pos, ends, types, n_ctx, kv: KvType::F32, expected, scale }
    }

    /// The buffer to add to (the output, or another) holding random rows, and these rows.
    fn residual(&mut self, add: Add, rows: usize, out: BufId) -> (Option<BufId>, Vec<Vec<f64>>) {
        let width = self.widths[out.0 as usize];
        let (table, elements) = self.matrix(TensorType::F32, rows, width);
        let buf = if add == Add::InPlace { out } else { self.buffer(width) };
        self.body.push(lookup(table, 1.0, buf));
        (Some(buf), elements.chunks_exact(width).map(<[f64]>::to_vec).collect())
    }

    fn embed(mut self, ty: TensorType, cols: usize, scale: f32, n: usize) -> Built {
        let rows = n.min(cols);
        let (table, elements) = self.matrix(ty, rows, cols);
        let hidden = self.buffer(cols);
        self.body.push(lookup(table, scale, hidden));
        let logits = self.show(hidden, cols);
        let tokens = tokens(n, rows);
        let row = |&t: &u32| elements[t as usize * cols..][..cols].iter().map(|x| x * f64::from(scale));
        let expected = tokens.iter().flat_map(row).collect();
        self.finish(hidden, logits, vec![tokens], expected)
    }

    /// Tokens' rows and those of their positions or types, in one batch of texts if there are several.
    fn embed_by(mut self, by: By, ty: TensorType, cols: usize, n: usize, texts: &[usize]) -> Built {
        let (hidden, inputs) = self.input(n.min(cols), cols);
        let (table, elements) = self.matrix(ty, n, cols);
        let by_type = by == By::Type;
        let by = if by_type { Lookup::Type } else { Lookup::Position };
        self.body.push(Op::Embed { table, by, scale: 1.0, add: true, out: hidden });
        let logits = self.show(hidden, cols);
        let tokens = tokens(n, inputs.len());
        let types: Vec<u32> = (0..n as u32).map(|i| i * 3 % n as u32).collect();
        let row = |i: usize| match by_type {
            true => types[i] as usize,
            false => i - if texts.is_empty() { 0 } else { text_of(texts, i).start },
        };
        let sums = |(i, &t): (usize, &u32)| -> Vec<f64> {
            inputs[t as usize].iter().zip(&elements[row(i) * cols..]).map(|(x, p)| x + p).collect()
        };
        let expected = tokens.iter().enumerate().flat_map(sums).collect();
        let built = self.finish(hidden, logits, vec![tokens], expected);
        let types = if by_type { types } else { Vec::new() };
        if texts.is_empty() { built } else { Built { types, ..built.of_texts(texts) } }
    }

    /// An op with an optional residual: alone in the head, or in the body and then shown.
    fn with_residual(
        mut self,
        n: usize,
        (x, inputs): (BufId, Vec<Vec<f64>>),
        (width, add): (usize, Add),
        f: impl Fn(&[f64]) -> Vec<f64>,
        op: impl Fn(Option<BufId>, BufId) -> Op,
    ) -> Built {
        let out = self.buffer(width);
        let tokens = tokens(n, inputs.len());
        let (hidden, logits, residual) = if add == Add::None {
            self.head.push(op(None, out));
            (x, out, vec![vec![0.0; width]; inputs.len()])
        } else {
            let (buf, residual) = self.residual(add, inputs.len(), out);
            self.body.push(op(buf, out));
            (out, self.show(out, width), residual)
        };
        let answer = |&t: &u32| {
            let y = f(&inputs[t as usize]);
            y.into_iter().zip(&residual[t as usize]).map(|(y, r)| y + r).collect::<Vec<_>>()
        };
        let expected = tokens.iter().flat_map(answer).collect();
        self.finish(hidden, logits, vec![tokens], expected)
    }

    fn norm(mut self, kind: Kind, cols: usize, n: usize, add: Add, bias: bool) -> Built {
        let input = self.input(n.min(cols), cols);
        let (weight, w) = self.vector(cols);
        let (bias, b) = if bias { Some(self.vector(cols)) } else { None }.unzip();
        let x = input.0;
        let f = |x: &[f64]| {
            let terms = reference::standardized(x, kind, f64::from(EPS)).into_iter().zip(&w).map(|(x, w)| x * w);
            terms.enumerate().map(|(i, y)| y + b.as_ref().map_or(0.0, |b| b[i])).collect()
        };
        let kind = if kind == Kind::Layer { NormKind::Layer } else { NormKind::Rms };
        let op = |add, out| Op::Norm { kind, x, weight, bias, add, out };
        self.with_residual(n, input, (cols, add), f, op)
    }

    fn norm_part(
        mut self,
        (before, cols, parts, after): (usize, usize, usize, usize),
        (shared, plain, layer): (bool, bool, bool),
        n: usize,
    ) -> Built {
        let width = before + parts * cols + after;
        let (hidden, inputs) = self.input(n.min(width), width);
        let len = if shared { cols } else { parts * cols };
        let known = (!plain).then(|| self.vector(len));
        let (weight, w) = (known.as_ref().map(|known| known.0), known.map_or(vec![1.0; len], |known| known.1));
        let (bias, b) = if layer { Some(self.vector(len)) } else { None }.unzip();
        let (kind, of, eps) = match layer {
            true => (NormKind::Layer, Kind::Layer, 64.0 * EPS),
            false => (NormKind::Rms, Kind::Rms, EPS),
        };
        let norm = NormPart { x: hidden, kind, first: before, len: cols, parts, weight, bias, eps };
        self.body.push(Op::NormPart(norm));
        let logits = self.show(hidden, width);
        let tokens = tokens(n, inputs.len());
        let answer = |&t: &u32| {
            let mut row = inputs[t as usize].clone();
            for (i, part) in row[before..][..parts * cols].chunks_exact_mut(cols).enumerate() {
                let own = if shared { 0 } else { i * cols };
                let standardized = reference::standardized(part, of, f64::from(eps));
                for (j, x) in standardized.into_iter().enumerate() {
                    part[j] = x * w[own + j] + b.as_ref().map_or(0.0, |b| b[own + j]);
                }
            }
            row
        };
        let expected = tokens.iter().flat_map(answer).collect();
        self.finish(hidden, logits, vec![tokens], expected)
    }

    fn mat_mul(mut self, ty: TensorType, rows: &[usize], cols: usize, n: usize, bias: bool, add: Add) -> Built {
        let width: usize = rows.iter().sum();
        let input = self.input(n.min(width), cols);
        let (linears, matrix, biases) = self.linears(ty, rows, cols, bias);
        let x = input.0;
        let f = |x: &[f64]| reference::mat_vec(&matrix, x).iter().zip(&biases).map(|(y, b)| y + b).collect();
        let op = |add, out| Op::MatMul { linears: linears.clone(), x, add, out };
        let sum = reference::rms(&matrix) * reference::rms(&input.1.concat()) * (cols as f64).sqrt();
        let built = self.with_residual(n, input, (width, add), f, op);
        Built { scale: built.scale.max(sum), ..built }
    }

    /// Matrices side by side: what the plan says of them, their rows, and their biases (or zeros).
    fn linears(
        &mut self,
        ty: TensorType,
        rows: &[usize],
        cols: usize,
        bias: bool,
    ) -> (Vec<Linear>, Vec<f64>, Vec<f64>) {
        let (mut linears, mut matrix, mut biases) = (vec![], vec![], vec![]);
        for &rows in rows {
            let (weight, elements) = self.matrix(ty, rows, cols);
            matrix.extend(elements);
            let (id, elements) = if bias {
                let (id, elements) = self.vector(rows);
                (Some(id), elements)
            } else {
                (None, vec![0.0; rows])
            };
            biases.extend(elements);
            linears.push(Linear { weight, bias: id });
        }
        (linears, matrix, biases)
    }

    fn norm_mat_mul(
        mut self,
        ty: TensorType,
        rows: &[usize],
        cols: usize,
        n: usize,
        bias: bool,
        act: Option<Act>,
    ) -> Built {
        let width: usize = rows.iter().sum();
        let shown = if act.is_some() { width / 2 } else { width };
        let (x, inputs) = self.input(n.min(shown), cols);
        let (weight, w) = self.vector(cols);
        let (linears, matrix, biases) = self.linears(ty, rows, cols, bias);
        let (normed, mut out) = (self.buffer(cols), self.buffer(width));
        self.head.push(Op::Norm { kind: NormKind::Rms, x, weight, bias: None, add: None, out: normed });
        self.head.push(Op::MatMul { linears, x: normed, add: None, out });
        if let Some(act) = act {
            let gated = self.buffer(shown);
            self.head.push(Op::Activate { parts: 1, x: out, activation: activation(act), gated: true, out: gated });
            out = gated;
        }
        let tokens = tokens(n, inputs.len());
        let answer = |&t: &u32| {
            let normed = reference::rms_norm(&inputs[t as usize], &w, f64::from(EPS));
            let y: Vec<f64> = reference::mat_vec(&matrix, &normed).iter().zip(&biases).map(|(y, b)| y + b).collect();
            act.map_or(y.clone(), |act| reference::glu(&y, act))
        };
        let expected = tokens.iter().flat_map(answer).collect();
        let sum = reference::rms(&matrix) * (cols as f64).sqrt();
        let built = self.finish(x, out, vec![tokens], expected);
        // a gated unit's outputs are products of two sums
        let scale = if act.is_some() { built.scale.max(sum * sum / 2.0) } else { built.scale.max(sum) };
        Built { scale, ..built }
    }

    fn activate(mut self, cols: usize, act: Act, gated: bool, n: usize) -> Built {
        let input = self.input(n.min(cols), if gated { 2 * cols } else { cols });
        let (x, activation) = (input.0, activation(act));
        let f = |x: &[f64]| reference::activate(x, act, gated);
        self.with_residual(n, input, (cols, Add::None), f, |_, out| Op::Activate {
            parts: 1,
            x,
            activation,
            gated,
            out,
        })
    }

    fn scale(mut self, cols: usize, factor: f32, by: bool, (cap, hard): (f32, bool), n: usize) -> Built {
        let (hidden, inputs) = self.input(n.min(cols), cols);
        let logits = self.show(hidden, cols);
        let by = by.then(|| self.vector(1));
        let all = f64::from(factor) * by.as_ref().map_or(1.0, |by| by.1[0]);
        let by = by.map(|by| by.0);
        let kind = if hard { Cap::Hard } else { Cap::Soft };
        self.head.push(Op::Scale { x: logits, factor, by, cap: (cap > 0.0).then_some(kind(cap)) });
        let tokens = tokens(n, inputs.len());
        let answer = |&t: &u32| reference::scale(&inputs[t as usize], all, f64::from(cap), hard);
        let expected = tokens.iter().flat_map(answer).collect();
        self.finish(hidden, logits, vec![tokens], expected)
    }

    /// RopeStore alone (shows the q heads), or with Attention.
    fn attention(mut self, layer: &Layer, attend: bool) -> Built {
        let q_width = layer.heads * layer.head_dim;
        let total: usize = layer.batches.iter().sum();
        let rope = self.layer(layer);
        let (qkv, inputs) = self.input(total.min(q_width), self.layers[0].qkv_width());
        self.body.push(Op::RopeStore { qkv, layer: 0 });
        let hidden = if attend { self.buffer(q_width) } else { qkv };
        let (mut qkv, mut queries, mut index) = (qkv, None, 0);
        if layer.borrowed {
            let (q, rows) = self.input(total.min(q_width), q_width);
            self.layers.push(AttentionPlan { kv_from: Some(0), ..self.layers[0].clone() });
            self.body.push(Op::RopeStore { qkv: q, layer: 1 });
            (qkv, queries, index) = (q, Some(rows), 1);
        }
        if attend {
            self.body.push(Op::Attention { qkv, layer: index, out: hidden });
        }
        let logits = self.show(hidden, q_width);
        let all = tokens(total, inputs.len());
        let scale = f64::from(self.layers[0].scale);
        let (mut rows, mut expected) = (Vec::<Vec<f64>>::new(), Vec::new());
        for (i, &t) in all.iter().enumerate() {
            let mut row = inputs[t as usize].clone();
            if let Some(queries) = &queries {
                row[..q_width].copy_from_slice(&queries[t as usize]);
            }
            let own = own_text(layer, i);
            reference::turn(layer, &rope, layer.pos + i - own.start, &mut row);
            if let Some(ty) = layer.kv.blocks() {
                row[q_width..].chunks_exact_mut(layer.head_dim).for_each(|head| data::through(ty, head));
            }
            rows.push(row);
        }
        for i in 0..rows.len() {
            expected.extend(match attend {
                true => {
                    let own = own_text(layer, i);
                    reference::attention(layer, scale, &rope, &rows[own.clone()], i - own.start)
                }
                false => rows[i][..q_width].to_vec(),
            });
        }
        let mut built = self.finish(hidden, logits, split(&all, &layer.batches), expected);
        if is_texts(layer) {
            built = built.of_texts(&layer.batches);
        }
        built.first_pos = layer.pos;
        built.n_ctx = layer.pos + total;
        built.kv = layer.kv.device();
        built
    }

    /// The layer's plan and rope with their weights.
    fn layer(&mut self, layer: &Layer) -> reference::Rope {
        let n_rot = layer.n_rot.unwrap_or(layer.head_dim);
        let inv_freq: Vec<f32> = (0..n_rot / 2).map(|j| 10000f32.powf(-2.0 * j as f32 / n_rot as f32)).collect();
        let factors = layer.factors.then(|| self.vector(n_rot / 2));
        let q_norm = layer.norms.then(|| self.vector(layer.head_dim));
        let k_norm = layer.norms.then(|| self.vector(layer.head_dim));
        let style = if layer.style == Style::Norm { RopeStyle::Norm } else { RopeStyle::Neox };
        let sinks = layer.sinks.then(|| self.vector(layer.heads));
        let relative = (layer.relative > 0).then(|| self.vector(layer.heads * layer.relative));
        let id = |known: &Option<Known>| known.as_ref().map(|known| known.0);
        let elements = |known: Option<Known>| known.map(|known| known.1);
        self.ropes.push(RopePlan {
            style,
            inv_freq: inv_freq.clone(),
            magnitude: layer.magnitude,
            factors: id(&factors),
            long: None,
        });
        self.layers.push(AttentionPlan {
            heads: layer.heads,
            kv_heads: layer.kv_heads,
            head_dim: layer.head_dim,
            keys_only: layer.keys_only,
            kv_from: None,
            scale: 1.0 / (layer.head_dim as f32).sqrt(),
            softcap: (layer.softcap > 0.0).then_some(layer.softcap),
            alibi: (layer.alibi > 0.0).then_some(layer.alibi),
            sinks: id(&sinks),
            relative: id(&relative).map(|table| RelativePlan { table, buckets: layer.relative }),
            mask: if layer.both_ways { Mask::Full } else { Mask::Causal },
            window: (layer.window > 0).then_some(layer.window),
            rope: 0,
            q_norm: id(&q_norm),
            k_norm: id(&k_norm),
        });
        let [factors, sinks, relative, q_norm, k_norm] = [factors, sinks, relative, q_norm, k_norm].map(elements);
        reference::Rope { inv_freq, factors, sinks, relative, q_norm, k_norm, eps: f64::from(EPS) }
    }
}

/// Whether a layer's batches are texts.
fn is_texts(layer: &Layer) -> bool {
    layer.texts || layer.both_ways
}

/// The rows that are in one text, or timeline, with row `i`.
fn own_text(layer: &Layer, i: usize) -> Range<usize> {
    if is_texts(layer) { text_of(&layer.batches, i) } else { 0..layer.batches.iter().sum() }
}

/// The rows of the text that row `i` belongs to.
fn text_of(lengths: &[usize], i: usize) -> Range<usize> {
    let mut start = 0;
    let end = lengths.iter().find_map(|len| {
        let end = start + len;
        let found = (i < end).then_some(end);
        start = if found.is_some() { start } else { end };
        found
    });
    start..end.expect("a row of a text")
}

/// Rows of tokens.
pub(super) fn lookup(table: WeightId, scale: f32, out: BufId) -> Op {
    Op::Embed { table, by: Lookup::Token, scale, add: false, out }
}

fn activation(act: Act) -> Activation {
    match act {
        Act::Silu => Activation::Silu,
        Act::GeluTanh => Activation::GeluTanh,
        Act::GeluErf => Activation::GeluErf,
        Act::Relu => Activation::Relu,
        Act::ReluSquared => Activation::ReluSquared,
        Act::Sigmoid => Activation::Sigmoid,
        Act::Tanh => Activation::Tanh,
    }
}

/// `n` token ids below `limit`, each in turn: a batch wants ids below both the table's rows and the number of logits.
pub(super) fn tokens(n: usize, limit: usize) -> Vec<u32> {
    (0..n).map(|t| (t % limit) as u32).collect()
}

pub(super) fn split(tokens: &[u32], lengths: &[usize]) -> Vec<Vec<u32>> {
    let mut rest = tokens;
    let take = |&len: &usize| {
        let (batch, after) = rest.split_at(len);
        rest = after;
        batch.to_vec()
    };
    lengths.iter().map(take).collect()
}
