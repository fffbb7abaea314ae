//! Mixtures of experts: the rows of a batch are taken expert by expert, so that each expert's matrices are read once.

use super::{CpuState, CpuWeights, ITEMS_PER_THREAD, Items, MATRIX_ROWS, Rows, for_rows, lock};
use crate::device::cpu::mat_mul::MatMul;
use crate::device::cpu::memory::{Parts, Room};
use crate::device::cpu::simd::Acts;
use crate::error::Result;
use crate::graph::{BufId, Gating, Linear, Op, Plan, Routing};

/// Working memory of `Op::Experts`. A pair is a row with one of the experts that it goes to.
#[derive(Default)]
pub(super) struct Experts {
    /// Pairs by their experts.
    order: Vec<u32>,
    /// Where each expert's pairs end.
    ends: Vec<usize>,
    /// Experts that have pairs.
    active: Vec<u32>,
    /// The pairs' inputs.
    x: Vec<f32>,
}

/// Pairs per row and columns of each `Op::Experts`, and how many experts there are.
fn sizes(plan: &Plan) -> impl Iterator<Item = (usize, usize, usize)> {
    plan.ops().filter_map(|op| match op {
        Op::Experts { linears, routes, .. } => {
            let weight = plan.weight(linears.first()?.weight);
            Some((plan.width(*routes) / 2, weight.cols, weight.experts))
        }
        _ => None,
    })
}

/// Rows of 8-bit activations, as wide as the widest matrix, that hold those of a batch and those of its pairs.
pub(super) fn act_rows(plan: &Plan, rows: usize) -> usize {
    let widest = plan.widest_input();
    let most = sizes(plan).map(|(used, cols, _)| used * Acts::stride(cols)).max().unwrap_or(0);
    rows.max((rows * most).div_ceil(Acts::stride(widest).max(1)))
}

impl Experts {
    pub(super) fn new(plan: &Plan, rows: usize, room: &Room) -> Result<Self> {
        let most = |(pairs, elements): (usize, usize), (used, cols, _)| (pairs.max(used), elements.max(used * cols));
        let (pairs, elements) = sizes(plan).fold((0, 0), most);
        let experts = sizes(plan).map(|(.., experts)| experts).max().unwrap_or(0);
        Ok(Self {
            order: room.zeroed("rows of experts", &[rows, pairs])?,
            ends: room.zeroed("rows of experts", &[experts])?,
            active: room.zeroed("rows of experts", &[experts])?,
            x: room.zeroed("inputs of experts", &[rows, elements])?,
        })
    }

    /// Orders the pairs of `routes`, rows of [experts | probabilities]; returns how many experts have any.
    fn group(&mut self, routes: &[f32], used: usize, experts: usize) -> usize {
        let numbers =
            || routes.chunks_exact(2 * used).flat_map(|row| &row[..used]).map(|&e| (e as usize).min(experts - 1));
        let ends = &mut self.ends[..experts];
        ends.fill(0);
        numbers().for_each(|e| ends[e] += 1);
        let (mut active, mut begin) = (0, 0);
        for (e, end) in ends.iter_mut().enumerate() {
            let count = std::mem::replace(end, begin);
            begin += count;
            if count > 0 {
                self.active[active] = e as u32;
                active += 1;
            }
        }
        // each start moves to its end as its pairs are placed
        for (pair, e) in numbers().enumerate() {
            self.order[ends[e]] = pair as u32;
            ends[e] += 1;
        }
        active
    }

    /// The pairs of an expert, as places in `order`.
    fn places(&self, expert: usize) -> std::ops::Range<usize> {
        expert.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[expert]
    }
}

/// [the best experts' numbers | their probabilities] from the scores of all.
pub(super) fn route(scores: &[f32], routing: &Routing, out: &mut [f32]) {
    let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = scores.iter().map(|x| (x - max).exp()).sum();
    let (chosen, weights) = out.split_at_mut(routing.used);
    for i in 0..routing.used {
        let free = |e: &usize| !chosen[..i].contains(&(*e as f32));
        let first = (0..scores.len()).find(free).unwrap_or(0);
        let best = (first..scores.len()).filter(free).fold(first, |b, e| if scores[e] > scores[b] { e } else { b });
        chosen[i] = best as f32;
        weights[i] = match routing.gating {
            Gating::Softmax => (scores[best] - max).exp() / sum,
            Gating::Sigmoid => 1.0 / (1.0 + (-scores[best]).exp()),
        };
    }
    if routing.normalized {
        let sum: f32 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= sum);
    }
}

impl CpuState {
    pub(super) fn experts(
        &mut self,
        weights: &CpuWeights,
        linears: &[Linear],
        rows: Rows,
        x: BufId,
        routes: BufId,
        out: BufId,
    ) {
        let plan = &*weights.plan;
        let (used, weight) = (plan.width(routes) / 2, plan.weight(linears[0].weight));
        let (cols, experts) = (weight.cols, weight.experts);
        let mut work = std::mem::take(&mut self.experts);
        let active = work.group(&self.slots[plan.slot(routes)][..rows.n * 2 * used], used, experts);
        self.gather(weights, linears, rows, (x, cols, used), out, &mut work);
        let (scratch, acts) = (std::mem::take(&mut self.scratch), std::mem::take(&mut self.acts));
        let stride = plan.width(out) / used;
        let (_, out) = self.io(plan, rows, x, out);
        let (out, pool) = (Parts::new(out), &weights.cpu.pool);
        let per_item = (active * stride).div_ceil(pool.threads() * ITEMS_PER_THREAD).next_multiple_of(MATRIX_ROWS);
        let own = |linear: &Linear| plan.weight(linear.weight).rows / experts;
        let items = Items { linears, per_item, rows: own };
        let each = items.count();
        pool.run(active * each, &|thread, item| {
            let expert = work.active[item / each] as usize;
            let (linear, range, column) = items.get(item % each);
            let (places, matrix, own) = (work.places(expert), weights.matrix(linear.weight), own(linear));
            let bytes = own * matrix.row_bytes;
            let m = MatMul {
                decode: matrix.kernel.decode,
                weight: &matrix.bytes()[expert * bytes..][..bytes],
                row_bytes: matrix.row_bytes,
                cols,
                bias: linear.bias.map(|bias| &weights.vector(bias)[expert * own..][..own]),
                x: &work.x[places.start * cols..],
                acts: &acts,
                from: places.start,
                n: places.len(),
                out,
                stride,
                column,
                accumulate: false,
                to: Some(&work.order[places]),
            };
            (matrix.kernel.run)(&m, range, &mut lock(&scratch[thread]));
        });
        (self.scratch, self.acts, self.experts) = (scratch, acts, work);
    }

    /// Brings the pairs' inputs into their order, as floats and, where a matrix wants it so, in 8 bits.
    fn gather(
        &mut self,
        weights: &CpuWeights,
        linears: &[Linear],
        rows: Rows,
        (x, cols, used): (BufId, usize, usize),
        out: BufId,
        work: &mut Experts,
    ) {
        let quantized = |linear: &Linear| weights.matrix(linear.weight).kernel.quantized;
        let (any, all) = (linears.iter().any(quantized), linears.iter().all(quantized));
        let (kernel, width) = (self.kernels.quantize, weights.plan.width(x));
        let mut acts = std::mem::take(&mut self.acts);
        let (x, _) = self.io(&weights.plan, rows, x, out);
        // one input for all experts of a row, or one each
        let own = if width == cols { 0 } else { cols };
        let (writer, copies, order) = (acts.writer(cols), Parts::new(&mut work.x), &work.order);
        let pairs = rows.n * used;
        for_rows(&weights.cpu.pool, pairs, |place| {
            let pair = order[place] as usize;
            let x = &x[pair / used * width + pair % used * own..][..cols];
            if any {
                kernel(&writer, place, x);
            }
            if !all {
                // SAFETY: each place is written once.
                unsafe { copies.part(place * cols, cols) }.copy_from_slice(x);
            }
        });
        self.acts = acts;
    }

    /// out (+)= Σ weight_i x_i over the parts of x.
    pub(super) fn combine(
        &mut self,
        weights: &CpuWeights,
        rows: Rows,
        x: BufId,
        (by, first, sigmoid): (BufId, usize, bool),
        accumulate: bool,
        out: BufId,
    ) {
        let plan = &*weights.plan;
        let (x_width, by_width, n) = (plan.width(x), plan.width(by), plan.width(out));
        let slots = self.slots.get_disjoint_mut([plan.slot(x), plan.slot(by), plan.slot(out)]);
        let [x, by, out] = slots.expect("checked: inputs and output lie in different slots");
        let (x, by, out) = (&*x, &*by, Parts::new(out));
        for_rows(&weights.cpu.pool, rows.n, |t| {
            // SAFETY: each row is computed once.
            let out = unsafe { out.part(t * n, n) };
            if !accumulate {
                out.fill(0.0);
            }
            let parts = x[t * x_width..][..x_width].chunks_exact(n);
            for (part, &weight) in parts.zip(&by[t * by_width + first..]) {
                let weight = if sigmoid { 1.0 / (1.0 + (-weight).exp()) } else { weight };
                out.iter_mut().zip(part).for_each(|(y, x)| *y += weight * x);
            }
        });
    }
}
