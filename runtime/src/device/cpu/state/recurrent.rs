//! Ops that carry a state from row to row, steps towards such rows, and copies of these states.

use super::{CpuState, Rows, for_rows};
use crate::device::COPIES;
use crate::device::cpu::conv::Convolution;
use crate::device::cpu::delta_rule::Rule;
use crate::device::cpu::lerp::{Factors, lerp};
use crate::device::cpu::memory::{self, Parts, Room};
use crate::device::cpu::scan::Selective;
use crate::device::cpu::weights::CpuWeights;
use crate::device::cpu::wkv::Recurrence;
use crate::error::Result;
use crate::graph::{BufId, Conv, DeltaRule, Lerp, Plan, Scan, Shift, Wkv};

/// Channels, or elements of a head's value, that make one item of work.
const PER_ITEM: usize = 32;

/// The states of a plan, and copies of all of them.
#[derive(Clone)]
pub(super) struct States {
    pub(super) now: Vec<Vec<f32>>,
    copies: [Vec<Vec<f32>>; COPIES],
}

impl States {
    pub(super) fn new(plan: &Plan, room: &Room) -> Result<Self> {
        let all = || plan.states.iter().map(|&len| room.zeroed("recurrent states", &[len])).collect::<Result<Vec<_>>>();
        let mut copies = [const { Vec::new() }; COPIES];
        for copy in &mut copies {
            *copy = all()?;
        }
        Ok(Self { now: all()?, copies })
    }

    pub(super) fn keep(&mut self, place: usize) {
        self.copies[place].iter_mut().zip(&self.now).for_each(|(copy, now)| copy.copy_from_slice(now));
    }

    pub(super) fn restore(&mut self, place: usize) {
        self.now.iter_mut().zip(&self.copies[place]).for_each(|(now, copy)| now.copy_from_slice(copy));
    }
}

impl CpuState {
    /// A state, which is zeros before the first row of all. The caller puts it back.
    fn take_state(&mut self, index: usize, rows: Rows) -> Vec<f32> {
        let mut state = std::mem::take(&mut self.states.now[index]);
        if rows.pos == 0 {
            state.fill(0.0);
        }
        state
    }

    /// The rows of some inputs and of an output, which lies in another slot than these.
    fn inputs<const N: usize>(
        &mut self,
        plan: &Plan,
        rows: Rows,
        inputs: [BufId; N],
        out: BufId,
    ) -> ([memory::Rows<'_>; N], Parts<'_, f32>) {
        let (before, rest) = self.slots.split_at_mut(plan.slot(out));
        let (out_slot, after) = rest.split_first_mut().expect("checked: the plan has this slot");
        let (before, after) = (&*before, &*after);
        let input = |id: BufId| {
            let (slot, width) = (plan.slot(id), plan.width(id));
            let x = if slot < before.len() { &before[slot] } else { &after[slot - before.len() - 1] };
            memory::Rows { x: &x[..rows.n * width], n: rows.n, width }
        };
        (inputs.map(input), Parts::new(&mut out_slot[..rows.n * plan.width(out)]))
    }

    pub(super) fn conv(&mut self, weights: &CpuWeights, op: &Conv, rows: Rows) {
        let (plan, kernel) = (&*weights.plan, self.kernels.conv);
        let mut state = self.take_state(op.state, rows);
        let ([x], out) = self.inputs(plan, rows, [op.x], op.out);
        let (channels, taps) = (plan.width(op.out), op.taps(plan));
        let (weight, bias) = (weights.vector(op.weight), op.bias.map(|id| weights.vector(id)));
        let c = Convolution { op, x, channels, taps, weight, bias, state: Parts::new(&mut state), out };
        weights.cpu.pool.run(channels.div_ceil(PER_ITEM), &|_, item| kernel(&c, range(item, channels)));
        self.states.now[op.state] = state;
    }

    pub(super) fn scan(&mut self, weights: &CpuWeights, op: &Scan, rows: Rows) {
        let (plan, kernel) = (&*weights.plan, self.kernels.scan);
        let mut state = self.take_state(op.state, rows);
        let ([x, bc, dt], out) = self.inputs(plan, rows, [op.x, op.bc, op.dt], op.out);
        let channels = plan.width(op.out);
        let s = Selective {
            op,
            x,
            bc,
            dt,
            dt_bias: op.dt_bias.map(|id| weights.vector(id)),
            a: weights.vector(op.a),
            d: weights.vector(op.d),
            head_dim: channels / op.heads,
            state: Parts::new(&mut state),
            out,
        };
        weights.cpu.pool.run(channels.div_ceil(PER_ITEM), &|_, item| kernel(&s, range(item, channels)));
        self.states.now[op.state] = state;
    }

    pub(super) fn delta_rule(&mut self, weights: &CpuWeights, op: &DeltaRule, rows: Rows) {
        let (plan, kernel) = (&*weights.plan, self.kernels.delta_rule);
        let mut state = self.take_state(op.state, rows);
        let ([qkv, gates], out) = self.inputs(plan, rows, [op.qkv, op.gates], op.out);
        let value_dim = plan.width(op.out) / op.heads;
        let rule = Rule {
            op,
            qkv,
            gates,
            a: weights.vector(op.a),
            dt_bias: weights.vector(op.dt_bias),
            value_dim,
            eps: plan.eps,
            state: Parts::new(&mut state),
            out,
        };
        let items = value_dim.div_ceil(PER_ITEM);
        weights.cpu.pool.run(op.heads * items, &|_, item| kernel(&rule, item / items, range(item % items, value_dim)));
        self.states.now[op.state] = state;
    }

    pub(super) fn shift(&mut self, plan: &Plan, op: &Shift, rows: Rows) {
        let mut state = self.take_state(op.state, rows);
        let ([x], out) = self.inputs(plan, rows, [op.x], op.out);
        let (width, n) = (x.width, rows.n);
        // SAFETY: nobody else writes there.
        let out = unsafe { out.part(0, n * width) };
        let (first, rest) = out.split_at_mut(width);
        first.copy_from_slice(&state);
        rest.copy_from_slice(&x.x[..(n - 1) * width]);
        state.copy_from_slice(x.row(n - 1));
        self.states.now[op.state] = state;
    }

    pub(super) fn lerp(&mut self, weights: &CpuWeights, op: &Lerp, rows: Rows) {
        let (plan, n) = (&*weights.plan, weights.plan.width(op.out));
        let ([x, to, by], out) = self.inputs(plan, rows, [op.x, op.to, op.by.map_or(op.x, |by| by.0)], op.out);
        let weight = op.weight.map(|(id, first)| &weights.vector(id)[first..][..n]);
        for_rows(&weights.cpu.pool, rows.n, |t| {
            let by = op.by.map(|(_, first)| &by.row(t)[first..][..n]);
            // SAFETY: each row is computed once.
            lerp(x.row(t), to.row(t), Factors { weight, by }, unsafe { out.part(t * n, n) });
        });
    }

    pub(super) fn wkv(&mut self, weights: &CpuWeights, op: &Wkv, rows: Rows) {
        let (plan, kernel) = (&*weights.plan, self.kernels.wkv);
        let mut state = self.take_state(op.state, rows);
        let ([r, gates, k, v], out) = self.inputs(plan, rows, [op.r, op.gates, op.k, op.v], op.out);
        let w = Recurrence {
            r,
            gates,
            k,
            v,
            bonus: weights.vector(op.bonus),
            delta: op.delta.map(|delta| delta.map(|id| weights.vector(id))),
            dim: v.width / op.heads,
            state: Parts::new(&mut state),
            out,
        };
        weights.cpu.pool.run(op.heads, &|_, head| kernel(&w, head));
        self.states.now[op.state] = state;
    }
}

/// What one item works on.
fn range(item: usize, all: usize) -> std::ops::Range<usize> {
    item * PER_ITEM..all.min((item + 1) * PER_ITEM)
}
