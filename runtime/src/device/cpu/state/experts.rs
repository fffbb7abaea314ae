//! Stacks of matrices: those of experts, and those of heads. The rows of a batch are taken matrix by matrix, so that each is read
//! once.

use super::{CpuState, CpuWeights, ITEMS_PER_THREAD, Items, MATRIX_ROWS, Rows, for_rows, lock};
use crate::device::cpu::mat_mul::MatMul;
use crate::device::cpu::memory::{Parts, Room};
use crate::device::cpu::simd::Acts;
use crate::error::Result;
use crate::graph::{BufId, Columns, Gating, Groups, Linear, MAX_EXPERTS, Op, Plan, Routing, WeightId};

/// Working memory of `Op::Experts` and `Op::Heads`. A pair is a row with one of the experts, or heads, that it goes to.
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

/// Where the pairs of a row have their columns.
#[derive(Clone, Copy)]
struct Places {
    /// Pairs that a row of the output has room for.
    slots: usize,
    /// In x: the first column of the first pair, and from pair to pair.
    x: (usize, usize),
    /// The first column of the output.
    first: usize,
}

/// Pairs per row and columns of each such op, and how many experts or heads there are.
fn sizes(plan: &Plan) -> impl Iterator<Item = (usize, usize, usize)> {
    plan.ops().filter_map(|op| match op {
        Op::Experts { linears, routes, .. } => {
            let weight = plan.weight(linears.first()?.weight);
            Some((plan.width(*routes) / 2, weight.cols, weight.experts))
        }
        Op::Heads { weight, .. } => {
            let weight = plan.weight(*weight);
            Some((weight.experts, weight.cols, weight.experts))
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

    /// Orders pairs by their experts; returns how many experts have any.
    fn group(&mut self, pairs: impl Iterator<Item = (usize, usize)> + Clone, experts: usize) -> usize {
        let ends = &mut self.ends[..experts];
        ends.fill(0);
        pairs.clone().for_each(|(_, e)| ends[e] += 1);
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
        for (pair, e) in pairs {
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
pub(super) fn route(scores: &[f32], bias: Option<&[f32]>, routing: &Routing, out: &mut [f32]) {
    let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = scores.iter().map(|x| (x - max).exp()).sum();
    let probability = |e: usize| match routing.gating {
        Gating::Softmax => (scores[e] - max).exp() / sum,
        Gating::Sigmoid => 1.0 / (1.0 + (-scores[e]).exp()),
    };
    let mut merits = [TAKEN; MAX_EXPERTS];
    let merits = &mut merits[..scores.len()];
    for (e, merit) in merits.iter_mut().enumerate() {
        // what is no number comes last, before those that are taken
        *merit = bias.map_or(scores[e], |bias| probability(e) + bias[e]).max(f32::MIN);
    }
    if let Some(groups) = routing.groups {
        close(merits, groups);
    }
    let (chosen, weights) = out.split_at_mut(routing.used);
    for (chosen, weight) in chosen.iter_mut().zip(&mut *weights) {
        let best = largest(merits);
        (*chosen, *weight) = (best as f32, probability(best));
        merits[best] = TAKEN;
    }
    let sum: f32 = if routing.normalized { weights.iter().sum() } else { 1.0 };
    weights.iter_mut().for_each(|w| *w *= routing.scale / sum);
}

/// Below the merit of every expert that may be chosen.
const TAKEN: f32 = f32::NEG_INFINITY;

/// The first of the largest.
fn largest(x: &[f32]) -> usize {
    (0..x.len()).fold(0, |best, i| if x[i] > x[best] { i } else { best })
}

/// Takes the experts of all groups but the best.
fn close(merits: &mut [f32], groups: Groups) {
    let size = merits.len() / groups.count;
    let mut sums = [TAKEN; MAX_EXPERTS];
    for (sum, group) in sums.iter_mut().zip(merits.chunks_exact(size)) {
        // what the best of them add: those that are not better than `best` others
        let better = |i: usize| (0..size).filter(|&j| group[j] > group[i] || group[j] == group[i] && j < i).count();
        *sum = (0..size).filter(|&i| better(i) < groups.best).map(|i| group[i]).sum();
    }
    let mut open = [false; MAX_EXPERTS];
    for _ in 0..groups.used {
        let best = largest(&sums[..groups.count]);
        (open[best], sums[best]) = (true, TAKEN);
    }
    merits.chunks_exact_mut(size).zip(open).filter(|(_, open)| !open).for_each(|(group, _)| group.fill(TAKEN));
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
        // one input for all experts of a row, or one each
        let step = if plan.width(x) == cols { 0 } else { cols };
        let places = Places { slots: used, x: (0, step), first: 0 };
        let mut work = std::mem::take(&mut self.experts);
        let routes = &self.slots[plan.slot(routes)][..rows.n * 2 * used];
        let numbers =
            routes.chunks_exact(2 * used).flat_map(|row| &row[..used]).map(|&e| (e as usize).min(experts - 1));
        let active = work.group(numbers.enumerate(), experts);
        self.stack(weights, linears, (x, out), places, &mut work, active);
        self.experts = work;
    }

    pub(super) fn heads(
        &mut self,
        weights: &CpuWeights,
        weight: WeightId,
        rows: Rows,
        (x, from): (BufId, &Columns),
        (out, to): (BufId, &Columns),
    ) {
        let (slots, heads) = (weights.plan.width(out) / to.step, weights.plan.weight(weight).experts);
        let places = Places { slots, x: (from.first, from.step), first: to.first };
        let mut work = std::mem::take(&mut self.experts);
        let pairs = (0..rows.n).flat_map(|t| (0..heads).map(move |head| (t * slots + head, head)));
        let active = work.group(pairs, heads);
        self.stack(weights, &[Linear { weight, bias: None }], (x, out), places, &mut work, active);
        self.experts = work;
    }

    /// The products of the pairs that `work` has in order, of `active` experts.
    fn stack(
        &mut self,
        weights: &CpuWeights,
        linears: &[Linear],
        (x, out): (BufId, BufId),
        places: Places,
        work: &mut Experts,
        active: usize,
    ) {
        let plan = &*weights.plan;
        let weight = plan.weight(linears[0].weight);
        let (cols, experts) = (weight.cols, weight.experts);
        self.gather(weights, linears, x, places, work);
        let (scratch, acts) = (std::mem::take(&mut self.scratch), std::mem::take(&mut self.acts));
        let stride = plan.width(out) / places.slots;
        let (out, pool) = (Parts::new(&mut self.slots[plan.slot(out)]), &weights.cpu.pool);
        let own = |linear: &Linear| plan.weight(linear.weight).rows / experts;
        let outputs: usize = linears.iter().map(own).sum();
        let per_item = (active * outputs).div_ceil(pool.threads() * ITEMS_PER_THREAD).next_multiple_of(MATRIX_ROWS);
        let items = Items { linears, per_item, rows: own };
        let each = items.count();
        pool.run(active * each, &|thread, item| {
            let expert = work.active[item / each] as usize;
            let (linear, range, column) = items.get(item % each);
            let (pairs, matrix, own) = (work.places(expert), weights.matrix(linear.weight), own(linear));
            let bytes = own * matrix.row_bytes;
            let m = MatMul {
                decode: matrix.kernel.decode,
                weight: &matrix.bytes()[expert * bytes..][..bytes],
                row_bytes: matrix.row_bytes,
                cols,
                bias: linear.bias.map(|bias| &weights.vector(bias)[expert * own..][..own]),
                x: &work.x[pairs.start * cols..],
                acts: &acts,
                from: pairs.start,
                n: pairs.len(),
                out,
                stride,
                column: places.first + column,
                accumulate: false,
                to: Some(&work.order[pairs]),
            };
            (matrix.kernel.run)(&m, range, &mut lock(&scratch[thread]));
        });
        (self.scratch, self.acts) = (scratch, acts);
    }

    /// Brings the pairs' inputs into their order, as floats and, where a matrix wants it so, in 8 bits.
    fn gather(&mut self, weights: &CpuWeights, linears: &[Linear], x: BufId, places: Places, work: &mut Experts) {
        let plan = &*weights.plan;
        let quantized = |linear: &Linear| weights.matrix(linear.weight).kernel.quantized;
        let (any, all) = (linears.iter().any(quantized), linears.iter().all(quantized));
        let weight = plan.weight(linears[0].weight);
        let (kernel, width, cols) = (self.kernels.quantize, plan.width(x), weight.cols);
        let x = &self.slots[plan.slot(x)];
        let (writer, copies, order) = (self.acts.writer(cols), Parts::new(&mut work.x), &work.order);
        let pairs = work.ends[weight.experts - 1];
        for_rows(&weights.cpu.pool, pairs, |place| {
            let pair = order[place] as usize;
            let column = places.x.0 + pair % places.slots * places.x.1;
            let x = &x[pair / places.slots * width + column..][..cols];
            if any {
                kernel(&writer, place, x);
            }
            if !all {
                // SAFETY: each place is written once.
                unsafe { copies.part(place * cols, cols) }.copy_from_slice(x);
            }
        });
    }

    /// out (+)= Σ weight_i x_i over the parts of x.
    pub(super) fn combine(
        &mut self,
        weights: &CpuWeights,
        rows: Rows,
        x: BufId,
        (by, first, by_column, sigmoid): (BufId, usize, bool, bool),
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
            let (parts, by) = (x[t * x_width..][..x_width].chunks_exact(n), &by[t * by_width + first..]);
            let weight = |&weight: &f32| if sigmoid { 1.0 / (1.0 + (-weight).exp()) } else { weight };
            for (i, part) in parts.enumerate() {
                let terms = out.iter_mut().zip(part);
                match by_column {
                    true => terms.zip(by).for_each(|((y, x), by)| *y += weight(by) * x),
                    false => {
                        let weight = weight(&by[i]);
                        terms.for_each(|(y, x)| *y += weight * x);
                    }
                }
            }
        });
    }
}
