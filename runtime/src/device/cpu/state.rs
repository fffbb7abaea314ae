//! One session's memory on the CPU, and the loop that runs a plan over it.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::attention::Attention;
use super::cache::{Cache, CacheWriter};
use super::kernels::{Kernels, Scratch, acts, kernels};
use super::mat_mul::MatMul;
use super::memory::{Parts, Room};
use super::norm::{self, Norm};
use super::pool::Pool;
use super::simd::Acts;
use super::weights::{CpuWeights, Matrix};
use super::{embed, rope_store, take};
use crate::device::{Batch, CancelFlag, Held, LocalFuture, Outputs, State, StateBytes, StateOptions, Texts};
use crate::error::{Error, Result};
use crate::graph::{AttentionPlan, BufId, Linear, Lookup, NormPart, Op, Plan};

mod experts;
mod recurrent;
mod saved;

use experts::Experts;
use recurrent::States;

/// Rows of a batch that make one item of work for an op that computes each row by itself.
const ROWS_PER_ITEM: usize = 4;
/// Matrix rows per item are a multiple of this, and so kernels may work on so many at once.
const MATRIX_ROWS: usize = 16;
/// Items per thread of one matrix product: enough for a thread that was interrupted not to be waited for.
const ITEMS_PER_THREAD: usize = 8;

/// The rows an op works on.
#[derive(Clone, Copy)]
struct Rows {
    n: usize,
    /// Position of the first in the context.
    pos: usize,
    /// Row of `Plan::hidden` that is the first: in the head not all of them may be wanted.
    hidden: usize,
}

/// What a batch says of its rows.
struct Said<'a> {
    tokens: &'a [u32],
    types: &'a [u32],
    /// The rows of each row's own text; none where the batch continues a timeline.
    texts: Vec<Range<usize>>,
}

impl Said<'_> {
    /// The position of row `t`.
    fn pos(&self, rows: Rows, t: usize) -> usize {
        rows.pos + t - self.texts.get(t).map_or(0, |text| text.start)
    }
}

/// cos and sin of one rotary embedding for the rows of a batch, [rows][pairs].
struct Angles {
    pairs: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

pub(super) struct CpuState {
    weights: Arc<CpuWeights>,
    kernels: &'static Kernels,
    options: StateOptions,
    /// Memory of each of the plan's slots.
    slots: Vec<Vec<f32>>,
    caches: Vec<Cache>,
    states: States,
    angles: Vec<Angles>,
    /// The input of a matrix product in 8 bits.
    acts: Acts,
    experts: Experts,
    scratch: Vec<Mutex<Scratch>>,
    /// Rows of the text that the encoder has read.
    encoded: usize,
    pub(super) bytes: StateBytes,
}

impl CpuState {
    pub(super) fn new(weights: Arc<CpuWeights>, options: &StateOptions) -> Result<Self> {
        Self::within(weights, options, &Room::new(), &Room::new())
    }

    /// A state whose cache lies in one room and everything else in another.
    pub(super) fn within(weights: Arc<CpuWeights>, options: &StateOptions, kv: &Room, room: &Room) -> Result<Self> {
        if options.n_ctx == 0 || options.max_batch == 0 || options.max_outputs == 0 {
            return Err(Error::InvalidArgument("n_ctx, max_batch and max_outputs must be at least 1".into()));
        }
        let plan = weights.plan.clone();
        let rows = options.max_batch;
        let experts = Experts::new(&plan, rows, room)?;
        let slots = slot_rows(&plan, options).into_iter().zip(&plan.slots);
        let slots = slots.map(|(rows, &width)| room.zeroed("activations", &[rows, width]));
        let angles = plan.ropes.iter().map(|rope| {
            let pairs = rope.inv_freq.len();
            let table = || room.zeroed("rotary angles", &[rows, pairs]);
            Ok(Angles { pairs, cos: table()?, sin: table()? })
        });
        let scratch = (0..weights.cpu.pool.threads()).map(|_| Scratch::new(&plan, options, room).map(Mutex::new));
        Ok(Self {
            slots: slots.collect::<Result<_>>()?,
            caches: plan.layers.iter().map(|layer| Cache::new(layer, options, kv)).collect::<Result<_>>()?,
            states: States::new(&plan, kv)?,
            angles: angles.collect::<Result<_>>()?,
            acts: acts(&plan, experts::act_rows(&plan, rows), room)?,
            experts,
            scratch: scratch.collect::<Result<_>>()?,
            encoded: 0,
            bytes: StateBytes { kv: kv.bytes(), scratch: room.bytes(), largest: 0 },
            kernels: kernels(weights.cpu.level),
            options: *options,
            weights,
        })
    }

    fn run_batch(&mut self, batch: &Batch<'_>, cancel: &CancelFlag, logits: &mut Vec<f32>) -> Result<()> {
        let weights = self.weights.clone();
        let plan = &*weights.plan;
        batch.check(plan, &self.options)?;
        let said = Said { tokens: batch.tokens, types: batch.texts.types, texts: batch.own_texts(plan) };
        let n = batch.tokens.len();
        let rows = Rows { n, pos: batch.pos, hidden: 0 };
        self.turn_angles(&weights, rows, &said);
        for op in &plan.body {
            cancel.check()?;
            self.run_op(&weights, op, &said, rows);
        }
        let wanted = batch.wanted();
        let mut rows = Rows { n: wanted, pos: batch.pos, hidden: n - wanted };
        if let Outputs::Rows(list) = batch.outputs {
            self.gather_hidden(plan, list);
            rows.hidden = 0;
        }
        if wanted > 0 {
            for op in &plan.head {
                cancel.check()?;
                self.run_op(&weights, op, &said, rows);
            }
        }
        self.copy_logits(plan, rows, logits)
    }

    fn run_encoder(&mut self, tokens: &[u32], cancel: &CancelFlag) -> Result<()> {
        let weights = self.weights.clone();
        let batch = Batch { tokens, pos: 0, outputs: Outputs::None, texts: Texts::default() };
        batch.check(&weights.plan, &self.options)?;
        self.encoded = 0;
        let said = Said { tokens, types: &[], texts: Vec::new() };
        let rows = Rows { n: tokens.len(), pos: 0, hidden: 0 };
        self.turn_angles(&weights, rows, &said);
        for op in &weights.plan.encoder {
            cancel.check()?;
            self.run_op(&weights, op, &said, rows);
        }
        self.encoded = tokens.len();
        Ok(())
    }

    /// Moves some rows of `hidden`, in ascending order, to its start.
    fn gather_hidden(&mut self, plan: &Plan, list: &[usize]) {
        let width = plan.width(plan.hidden);
        let hidden = &mut self.slots[plan.slot(plan.hidden)];
        for (to, &from) in list.iter().enumerate() {
            hidden.copy_within(from * width..(from + 1) * width, to * width);
        }
    }

    fn copy_logits(&self, plan: &Plan, rows: Rows, logits: &mut Vec<f32>) -> Result<()> {
        logits.clear();
        let len = rows.n * plan.n_vocab;
        let failed = |_| Error::OutOfMemory { what: "logits".into(), bytes: 4 * len as u64 };
        logits.try_reserve(len).map_err(failed)?;
        logits.extend_from_slice(&self.slots[plan.slot(plan.logits)][..len]);
        Ok(())
    }

    /// The angles of every rotary embedding at the batch's positions.
    fn turn_angles(&mut self, weights: &CpuWeights, rows: Rows, said: &Said<'_>) {
        for (angles, rope) in self.angles.iter_mut().zip(&weights.plan.ropes) {
            let factors = rope.factors(self.options.n_ctx).map(|id| weights.vector(id));
            for t in 0..rows.n {
                let row = t * angles.pairs..(t + 1) * angles.pairs;
                let pos = said.pos(rows, t);
                rope_store::angles(rope, factors, pos, &mut angles.cos[row.clone()], &mut angles.sin[row]);
            }
        }
    }

    fn run_op(&mut self, weights: &CpuWeights, op: &Op, said: &Said<'_>, rows: Rows) {
        let plan = &*weights.plan;
        match op {
            Op::Embed { table, by, scale, add, out } => {
                let row = |t: usize| match by {
                    Lookup::Token => said.tokens[t] as usize,
                    Lookup::Position => said.pos(rows, t),
                    Lookup::Type => said.types.get(t).map_or(0, |&ty| ty as usize),
                };
                self.embed(weights.matrix(*table), rows.n, row, *scale, *add, plan, *out);
            }
            Op::Norm { kind, x, weight, bias, add, out } => {
                let kernel = self.kernels.norm;
                let (weight, bias) = (weights.vector(*weight), bias.map(|id| weights.vector(id)));
                let norm = Norm { kind: *kind, weight, bias, eps: plan.eps };
                let accumulate = self.prepare_add(plan, rows, *add, *out);
                self.each_row(weights, rows, 1, *x, *out, |x, out| kernel(x, &norm, accumulate, out));
            }
            Op::NormPart(norm) => {
                let NormPart { x, kind, first, len, parts, eps, .. } = *norm;
                let (weight, bias) = (norm.weight.map(|id| weights.vector(id)), norm.bias.map(|id| weights.vector(id)));
                self.each_own_row(plan, rows, x, |row| {
                    for (i, part) in row[first..][..len * parts].chunks_exact_mut(len).enumerate() {
                        // those of one part, which are those of all, come again and again
                        let at = |all: &[f32]| i * len % all.len();
                        let (weight, bias) = (weight.map(|w| &w[at(w)..][..len]), bias.map(|b| &b[at(b)..][..len]));
                        norm::in_place(part, kind, weight, bias, eps);
                    }
                });
            }
            Op::MatMul { linears, x, add, out } => {
                let accumulate = self.prepare_add(plan, rows, *add, *out);
                if linears.iter().any(|linear| weights.matrix(linear.weight).kernel.quantized) {
                    self.quantize(weights, rows, *x, *out);
                }
                self.mat_mul(weights, linears, rows, *x, *out, accumulate);
            }
            Op::RopeStore { qkv, layer } => self.rope_store(weights, *layer, rows, *qkv),
            Op::Store { kv, layer } => self.store(weights, *layer, rows, *kv),
            Op::Attention { qkv, layer, out } => self.attention(weights, *layer, rows, &said.texts, *qkv, *out),
            Op::Activate { parts, x, activation, gated, out } => {
                let (kernel, activation, gated) = (self.kernels.activate, *activation, *gated);
                self.each_row(weights, rows, *parts, *x, *out, |x, out| kernel(x, activation, gated, out));
            }
            Op::Route { x, bias, routing, out } => {
                let bias = bias.map(|id| weights.vector(id));
                self.each_row(weights, rows, 1, *x, *out, |x, out| experts::route(x, bias, routing, out));
            }
            Op::Heads { weight, x, from, out, to } => self.heads(weights, *weight, rows, (*x, from), (*out, to)),
            Op::Take { x, from, n, out, to } => {
                self.each_row(weights, rows, 1, *x, *out, |x, out| take::take(x, from, *n, out, to));
            }
            Op::Experts { linears, x, routes, out } => self.experts(weights, linears, rows, *x, *routes, *out),
            Op::Combine { x, weights: by, first, by_column, sigmoid, add, out } => {
                let accumulate = self.prepare_add(plan, rows, *add, *out);
                self.combine(weights, rows, *x, (*by, *first, *by_column, *sigmoid), accumulate, *out);
            }
            Op::Conv(conv) => self.conv(weights, conv, rows),
            Op::Scan(scan) => self.scan(weights, scan, rows),
            Op::DeltaRule(rule) => self.delta_rule(weights, rule, rows),
            Op::Shift(shift) => self.shift(plan, shift, rows),
            Op::Lerp(lerp) => self.lerp(weights, lerp, rows),
            Op::Wkv(wkv) => self.wkv(weights, wkv, rows),
            Op::Gate { x, gate, columns, sigmoid } => {
                let kernel = self.kernels.gate;
                self.each_row(weights, rows, 1, *gate, *x, |gates, x| kernel(gates, columns, *sigmoid, x));
            }
            Op::Scale { x, factor, by, cap } => {
                let (kernel, by) = (self.kernels.scale, by.map_or(1.0, |id| weights.vector(id)[0]));
                self.each_own_row(plan, rows, *x, |row| kernel(row, factor * by, *cap));
            }
        }
    }

    /// The rows of an input and of an output.
    fn io(&mut self, plan: &Plan, rows: Rows, x: BufId, out: BufId) -> (&[f32], &mut [f32]) {
        let (x_width, out_width) = (plan.width(x), plan.width(out));
        let skip = if x == plan.hidden { rows.hidden * x_width } else { 0 };
        let pair = self.slots.get_disjoint_mut([plan.slot(x), plan.slot(out)]);
        let [x, out] = pair.expect("checked: input and output lie in different slots");
        (&x[skip..][..rows.n * x_width], &mut out[..rows.n * out_width])
    }

    /// Sees to it that `out` holds what is to be added to; returns whether there is such a thing.
    fn prepare_add(&mut self, plan: &Plan, rows: Rows, add: Option<BufId>, out: BufId) -> bool {
        if let Some(add) = add.filter(|&add| add != out) {
            let (from, to) = self.io(plan, rows, add, out);
            to.copy_from_slice(from);
        }
        add.is_some()
    }

    /// An op that computes each row of `out`, or each of its parts, from the same row or part of `x`.
    fn each_row(
        &mut self,
        weights: &CpuWeights,
        rows: Rows,
        parts: usize,
        x: BufId,
        out: BufId,
        f: impl Fn(&[f32], &mut [f32]) + Sync,
    ) {
        let (x_width, out_width) = (weights.plan.width(x) / parts, weights.plan.width(out) / parts);
        let (x, out) = self.io(&weights.plan, rows, x, out);
        let (n, out) = (rows.n * parts, Parts::new(out));
        for_rows(&weights.cpu.pool, n, |t| {
            // SAFETY: each row is computed once.
            f(&x[t * x_width..][..x_width], unsafe { out.part(t * out_width, out_width) });
        });
    }

    /// An op that changes each row of `x` in place.
    fn each_own_row(&mut self, plan: &Plan, rows: Rows, x: BufId, f: impl Fn(&mut [f32])) {
        let width = plan.width(x);
        self.slots[plan.slot(x)][..rows.n * width].chunks_exact_mut(width).for_each(f);
    }

    fn embed(
        &mut self,
        table: &Matrix,
        n: usize,
        row: impl Fn(usize) -> usize,
        scale: f32,
        add: bool,
        plan: &Plan,
        out: BufId,
    ) {
        let (width, decode) = (plan.width(out), table.kernel.decode);
        let mut scratch = lock(&self.scratch[0]);
        for (t, out) in self.slots[plan.slot(out)].chunks_exact_mut(width).take(n).enumerate() {
            match add {
                false => embed::embed(decode, table.row(row(t)), scale, out),
                true => embed::embed_add(decode, table.row(row(t)), scale, &mut scratch.row[..width], out),
            }
        }
    }

    /// Fills `acts` from `x`.
    fn quantize(&mut self, weights: &CpuWeights, rows: Rows, x: BufId, out: BufId) {
        let (kernel, cols) = (self.kernels.quantize, weights.plan.width(x));
        let mut acts = std::mem::take(&mut self.acts);
        let (x, _) = self.io(&weights.plan, rows, x, out);
        let writer = acts.writer(cols);
        for_rows(&weights.cpu.pool, rows.n, |t| kernel(&writer, t, &x[t * cols..][..cols]));
        self.acts = acts;
    }

    fn mat_mul(
        &mut self,
        weights: &CpuWeights,
        linears: &[Linear],
        rows: Rows,
        x: BufId,
        out: BufId,
        accumulate: bool,
    ) {
        let stride = weights.plan.width(out);
        let (scratch, acts) = (std::mem::take(&mut self.scratch), std::mem::take(&mut self.acts));
        let (x, out) = self.io(&weights.plan, rows, x, out);
        let out = Parts::new(out);
        let pool = &weights.cpu.pool;
        let per_item = stride.div_ceil(pool.threads() * ITEMS_PER_THREAD).next_multiple_of(MATRIX_ROWS);
        let items = Items { linears, per_item, rows: |linear| weights.matrix(linear.weight).rows };
        pool.run(items.count(), &|thread, item| {
            let (linear, range, column) = items.get(item);
            let matrix = weights.matrix(linear.weight);
            let m = MatMul {
                decode: matrix.kernel.decode,
                weight: matrix.bytes(),
                row_bytes: matrix.row_bytes,
                cols: matrix.cols,
                bias: linear.bias.map(|bias| weights.vector(bias)),
                x,
                acts: &acts,
                from: 0,
                n: rows.n,
                out,
                stride,
                column,
                accumulate,
                to: None,
            };
            (matrix.kernel.run)(&m, range, &mut lock(&scratch[thread]));
        });
        (self.scratch, self.acts) = (scratch, acts);
    }

    fn rope_store(&mut self, weights: &CpuWeights, layer: usize, rows: Rows, qkv: BufId) {
        let plan = &*weights.plan;
        let (a, width) = (&plan.layers[layer], plan.width(qkv));
        let qkv = Parts::new(&mut self.slots[plan.slot(qkv)][..rows.n * width]);
        let angles = &self.angles[a.rope];
        let cache = self.caches[layer].writer();
        for_rows(&weights.cpu.pool, rows.n, |t| {
            // SAFETY: each row is turned once.
            let row = unsafe { qkv.part(t * width, width) };
            turn_heads(weights, a, angles, t, row);
            if a.kv_from.is_none() {
                // SAFETY: rows have different positions, and a batch is not longer than a ring.
                unsafe { store_row(&cache, a, rows.pos + t, &row[a.heads * a.head_dim..]) };
            }
        });
    }

    fn store(&mut self, weights: &CpuWeights, layer: usize, rows: Rows, kv: BufId) {
        let plan = &*weights.plan;
        let (a, width) = (&plan.layers[layer], plan.width(kv));
        let (kv, cache) = (&self.slots[plan.slot(kv)], self.caches[layer].writer());
        for_rows(&weights.cpu.pool, rows.n, |t| {
            // SAFETY: as in `rope_store`.
            unsafe { store_row(&cache, a, rows.pos + t, &kv[t * width..][..width]) };
        });
    }

    fn attention(
        &mut self,
        weights: &CpuWeights,
        layer: usize,
        rows: Rows,
        texts: &[Range<usize>],
        qkv: BufId,
        out: BufId,
    ) {
        let plan = &*weights.plan;
        let (caches, scratch) = (std::mem::take(&mut self.caches), std::mem::take(&mut self.scratch));
        let (kernel, encoded) = (self.kernels.attention, self.encoded);
        let (qkv_rows, out) = self.io(plan, rows, qkv, out);
        let a = Attention {
            plan: &plan.layers[layer],
            cache: &caches[plan.layers[layer].kv_from.unwrap_or(layer)],
            qkv: qkv_rows,
            width: plan.width(qkv),
            pos: rows.pos,
            end: rows.pos + rows.n,
            encoded,
            texts,
            sinks: plan.layers[layer].sinks.map(|id| weights.vector(id)),
            relative: plan.layers[layer].relative.map(|relative| weights.vector(relative.table)),
            out: Parts::new(out),
        };
        let kv_heads = a.plan.kv_heads;
        weights.cpu.pool.run(kv_heads * rows.n.div_ceil(ROWS_PER_ITEM), &|thread, item| {
            let first = item / kv_heads * ROWS_PER_ITEM;
            let range = first..rows.n.min(first + ROWS_PER_ITEM);
            kernel(&a, item % kv_heads, range, &mut lock(&scratch[thread]));
        });
        (self.caches, self.scratch) = (caches, scratch);
    }
}

/// Stores [k heads | v heads] at a position.
///
/// # Safety
/// No two threads may store the same position modulo the capacity at once.
unsafe fn store_row(cache: &CacheWriter<'_>, a: &AttentionPlan, pos: usize, kv: &[f32]) {
    let (keys, values) = kv.split_at(a.kv_heads * a.head_dim);
    let values = if a.keys_only { keys } else { values };
    let heads = keys.chunks_exact(a.head_dim).zip(values.chunks_exact(a.head_dim));
    for (head, (key, value)) in heads.enumerate() {
        // SAFETY: the caller's promise.
        unsafe { cache.store(head, pos, key, value) };
    }
}

/// Runs `f` for each of `n` rows, on all threads.
fn for_rows(pool: &Pool, n: usize, f: impl Fn(usize) + Sync) {
    pool.run(n.div_ceil(ROWS_PER_ITEM), &|_, item| {
        (item * ROWS_PER_ITEM..n.min((item + 1) * ROWS_PER_ITEM)).for_each(&f);
    });
}

/// Several matrices over one input, in items of at most `per_item` rows of one of them.
struct Items<'a, F: Fn(&Linear) -> usize> {
    linears: &'a [Linear],
    per_item: usize,
    /// Rows of a matrix.
    rows: F,
}

impl<'a, F: Fn(&Linear) -> usize> Items<'a, F> {
    fn of(&self, linear: &Linear) -> usize {
        (self.rows)(linear).div_ceil(self.per_item)
    }

    fn count(&self) -> usize {
        self.linears.iter().map(|linear| self.of(linear)).sum()
    }

    /// The matrix of an item, which of its rows, and the output column of its first row.
    fn get(&self, mut item: usize) -> (&'a Linear, Range<usize>, usize) {
        let (mut index, mut column) = (0, 0);
        while item >= self.of(&self.linears[index]) {
            item -= self.of(&self.linears[index]);
            column += (self.rows)(&self.linears[index]);
            index += 1;
        }
        let linear = &self.linears[index];
        (linear, item * self.per_item..(self.rows)(linear).min((item + 1) * self.per_item), column)
    }
}

/// Rows of each memory slot: those of the head hold only rows whose logits are wanted, and logits are wide.
fn slot_rows(plan: &Plan, options: &StateOptions) -> Vec<usize> {
    let mut rows = vec![options.max_batch; plan.slots.len()];
    for op in &plan.head {
        rows[plan.slot(op.buffers().1)] = options.max_outputs.min(options.max_batch);
    }
    rows
}

/// Norms (where the layer has such) and rotates the q and k heads of row `t`.
fn turn_heads(weights: &CpuWeights, a: &AttentionPlan, angles: &Angles, t: usize, row: &mut [f32]) {
    let (q_norm, k_norm) = (a.q_norm.map(|id| weights.vector(id)), a.k_norm.map(|id| weights.vector(id)));
    let style = weights.plan.ropes[a.rope].style;
    let (cos, sin) = (&angles.cos[t * angles.pairs..][..angles.pairs], &angles.sin[t * angles.pairs..][..angles.pairs]);
    for (i, head) in row.chunks_exact_mut(a.head_dim).take(a.heads + a.kv_heads).enumerate() {
        if let Some(weight) = if i < a.heads { q_norm } else { k_norm } {
            norm::rms_in_place(head, Some(weight), weights.plan.eps);
        }
        rope_store::rotate(style, cos, sin, head);
    }
}

/// A thread's own scratch; nobody else ever waits for it.
fn lock(scratch: &Mutex<Scratch>) -> std::sync::MutexGuard<'_, Scratch> {
    scratch.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State for CpuState {
    fn run<'a>(
        &'a mut self,
        batch: Batch<'a>,
        cancel: &'a CancelFlag,
        logits: &'a mut Vec<f32>,
    ) -> LocalFuture<'a, Result<()>> {
        Box::pin(async move { self.run_batch(&batch, cancel, logits) })
    }

    fn keep(&mut self, place: usize) {
        self.states.keep(place);
    }

    fn restore(&mut self, place: usize) {
        self.states.restore(place);
    }

    fn encode<'a>(&'a mut self, tokens: &'a [u32], cancel: &'a CancelFlag) -> LocalFuture<'a, Result<()>> {
        Box::pin(async move { self.run_encoder(tokens, cancel) })
    }

    fn save<'a>(&'a mut self, held: &'a Held, out: &'a mut Vec<u8>) -> LocalFuture<'a, Result<()>> {
        Box::pin(async move { self.save_to(held, out) })
    }

    fn load(&mut self, held: &Held, saved: &[u8]) -> Result<()> {
        self.load_from(held, saved);
        Ok(())
    }

    fn fork(&self, written: usize) -> Result<Box<dyn State>> {
        Ok(Box::new(self.copied(written)?))
    }

    fn bytes(&self) -> u64 {
        self.bytes.total()
    }
}
