//! Gated delta rule of some rows of a head's state, for every level: plain loops over a row.

use std::ops::Range;

use super::memory::{Parts, Rows};
use super::scan::{softplus, total};
use crate::graph::DeltaRule;

/// The delta rule over a batch.
pub(super) struct Rule<'a> {
    pub(super) op: &'a DeltaRule,
    pub(super) qkv: Rows<'a>,
    pub(super) gates: Rows<'a>,
    pub(super) a: &'a [f32],
    pub(super) dt_bias: &'a [f32],
    pub(super) value_dim: usize,
    pub(super) eps: f32,
    /// [heads][value_dim][key_dim]
    pub(super) state: Parts<'a, f32>,
    /// [n][heads * value_dim]
    pub(super) out: Parts<'a, f32>,
}

/// Computes some elements of a head's values for every row.
pub(super) type DeltaRuleKernel = fn(&Rule<'_>, usize, Range<usize>);

const SUMS: usize = 16;

/// What one row of a batch does to a head.
struct Update<'a> {
    q: &'a [f32],
    k: &'a [f32],
    /// Factors that make their lengths 1 (and divide q by √key_dim).
    q_factor: f32,
    k_factor: f32,
    decay: f32,
    beta: f32,
}

#[inline(always)]
pub(super) fn delta_rule(rule: &Rule<'_>, head: usize, elements: Range<usize>) {
    let key_dim = rule.op.key_dim;
    let first = head * rule.value_dim + elements.start;
    for t in 0..rule.qkv.n {
        let update = rule.update(t, head);
        let values = 2 * rule.op.key_heads * key_dim;
        let v = &rule.qkv.row(t)[values + first..][..elements.len()];
        // SAFETY: nobody else computes these elements.
        let out = unsafe { rule.out.part(t * rule.op.heads * rule.value_dim + first, elements.len()) };
        // SAFETY: see above.
        let state = unsafe { rule.state.part(first * key_dim, elements.len() * key_dim) };
        for ((state, v), out) in state.chunks_exact_mut(key_dim).zip(v).zip(out) {
            *out = update.apply(state, *v);
        }
    }
}

impl Rule<'_> {
    #[inline(always)]
    fn update(&self, t: usize, head: usize) -> Update<'_> {
        let (dim, row, gates) = (self.op.key_dim, self.qkv.row(t), self.gates.row(t));
        let (q, k) = row.split_at(self.op.key_heads * dim);
        let key = self.op.key_head(head) * dim;
        let (q, k) = (&q[key..][..dim], &k[key..][..dim]);
        let (beta, alpha) = self.op.gates_of(head);
        let factor = |x: &[f32]| 1.0 / (dot(x, x) + self.eps).sqrt();
        Update {
            q,
            k,
            q_factor: factor(q) / (dim as f32).sqrt(),
            k_factor: factor(k),
            decay: (self.a[head] * softplus(gates[alpha] + self.dt_bias[head])).exp(),
            beta: 1.0 / (1.0 + (-gates[beta]).exp()),
        }
    }
}

impl Update<'_> {
    /// Changes one row of S, that of an element v of the value; returns that element of the result.
    #[inline(always)]
    fn apply(&self, state: &mut [f32], v: f32) -> f32 {
        let known = self.decay * self.k_factor * dot(state, self.k);
        let change = self.beta * (v - known) * self.k_factor;
        let mut sums = [0.0; SUMS];
        let (states, state_rest) = state.as_chunks_mut::<SUMS>();
        let ((qs, q_rest), (ks, k_rest)) = (self.q.as_chunks::<SUMS>(), self.k.as_chunks::<SUMS>());
        for ((state, q), k) in states.iter_mut().zip(qs).zip(ks) {
            for i in 0..SUMS {
                state[i] = self.decay * state[i] + change * k[i];
                sums[i] += state[i] * q[i];
            }
        }
        for (i, state) in state_rest.iter_mut().enumerate() {
            *state = self.decay * *state + change * k_rest[i];
            sums[i] += *state * q_rest[i];
        }
        self.q_factor * total(sums)
    }
}

#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; SUMS];
    let ((aa, a_rest), (bb, b_rest)) = (a.as_chunks::<SUMS>(), b.as_chunks::<SUMS>());
    for (a, b) in aa.iter().zip(bb) {
        for i in 0..SUMS {
            sums[i] += a[i] * b[i];
        }
    }
    for (i, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        sums[i] += a * b;
    }
    total(sums)
}
