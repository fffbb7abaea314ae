//! RWKV's recurrence of one head, for every level: plain loops over a row of its state.

use super::memory::{Parts, Rows};
use super::scan::total;
use crate::graph::MAX_WKV_HEAD;

/// The recurrence over a batch.
pub(super) struct Recurrence<'a> {
    pub(super) r: Rows<'a>,
    pub(super) gates: Rows<'a>,
    pub(super) k: Rows<'a>,
    pub(super) v: Rows<'a>,
    pub(super) bonus: &'a [f32],
    /// k_k and k_a
    pub(super) delta: Option<[&'a [f32]; 2]>,
    /// Elements of a head.
    pub(super) dim: usize,
    /// [heads][values][keys]
    pub(super) state: Parts<'a, f32>,
    /// [n][heads * dim], or twice as wide
    pub(super) out: Parts<'a, f32>,
}

/// Computes a head of every row.
pub(super) type WkvKernel = fn(&Recurrence<'_>, usize);

const SUMS: usize = 16;
/// 1 / √e
const DECAY: f32 = 0.606_530_66;

/// What one row does to every row s of a head's state, with the value v that belongs to it: `known = s · against`, and
/// `out = s · read - known * echo + v * own`, and `s = decay * s - known * erased + v * keys`.
struct Update {
    read: [f32; MAX_WKV_HEAD],
    against: [f32; MAX_WKV_HEAD],
    decay: [f32; MAX_WKV_HEAD],
    erased: [f32; MAX_WKV_HEAD],
    keys: [f32; MAX_WKV_HEAD],
    echo: f32,
    own: f32,
    /// What the value is multiplied by beside the result.
    apart: f32,
}

pub(super) fn wkv(w: &Recurrence<'_>, head: usize) {
    with_exp(w, head, f32::exp);
}

#[inline(always)]
pub(super) fn with_exp(w: &Recurrence<'_>, head: usize, exp: impl Fn(f32) -> f32 + Copy) {
    const NONE: [f32; MAX_WKV_HEAD] = [0.0; MAX_WKV_HEAD];
    let (dim, width) = (w.dim, w.v.width);
    let (first, out_width) = (head * dim, if w.delta.is_some() { 2 * width } else { width });
    let mut update =
        Update { read: NONE, against: NONE, decay: NONE, erased: NONE, keys: NONE, echo: 0.0, own: 0.0, apart: 0.0 };
    for t in 0..w.v.n {
        match w.delta {
            None => update.plain(w, t, first, exp),
            Some(delta) => update.delta(w, delta, t, first, exp),
        }
        let v = &w.v.row(t)[first..][..dim];
        // SAFETY: nobody else computes this head.
        let (state, out) = unsafe { (w.state.part(first * dim, dim * dim), w.out.part(t * out_width + first, dim)) };
        for ((state, v), out) in state.chunks_exact_mut(dim).zip(v).zip(out) {
            *out = update.apply(state, *v);
        }
        if w.delta.is_some() {
            // SAFETY: see above.
            let apart = unsafe { w.out.part(t * out_width + width + first, dim) };
            apart.iter_mut().zip(v).for_each(|(out, v)| *out = update.apart * v);
        }
    }
}

impl Update {
    /// RWKV-6: nothing is erased.
    #[inline(always)]
    fn plain(&mut self, w: &Recurrence<'_>, t: usize, first: usize, exp: impl Fn(f32) -> f32) {
        let part = |row: &[f32], i: usize| row[first + i];
        let (r, k, gates) = (w.r.row(t), w.k.row(t), w.gates.row(t));
        self.own = 0.0;
        for i in 0..w.dim {
            self.read[i] = part(r, i);
            self.keys[i] = part(k, i);
            self.decay[i] = exp(-exp(part(gates, i)));
            self.own += part(r, i) * part(k, i) * part(w.bonus, i);
        }
    }

    /// RWKV-7. The result is that of the new state, which is written in terms of the old one.
    #[inline(always)]
    fn delta(&mut self, w: &Recurrence<'_>, [k_k, k_a]: [&[f32]; 2], t: usize, first: usize, exp: impl Fn(f32) -> f32) {
        let part = |row: &[f32], i: usize| row[first + i];
        let sigmoid = |x: f32| 1.0 / (1.0 + exp(-x));
        let (r, k, gates) = (w.r.row(t), w.k.row(t), w.gates.row(t));
        let mut length = 0.0;
        for i in 0..w.dim {
            self.against[i] = part(k, i) * part(k_k, i);
            length += self.against[i] * self.against[i];
        }
        let unit = 1.0 / length.sqrt().max(1e-12);
        (self.echo, self.own, self.apart) = (0.0, 0.0, 0.0);
        for i in 0..w.dim {
            let rate = sigmoid(gates[w.v.width + first + i]);
            self.against[i] *= unit;
            self.erased[i] = self.against[i] * rate;
            self.keys[i] = part(k, i) * (1.0 + (rate - 1.0) * part(k_a, i));
            self.decay[i] = exp(-DECAY * sigmoid(part(gates, i)));
            self.read[i] = self.decay[i] * part(r, i);
            self.echo += self.erased[i] * part(r, i);
            self.own += self.keys[i] * part(r, i);
            self.apart += self.keys[i] * part(r, i) * part(w.bonus, i);
        }
    }

    /// Changes one row of the state; returns that element of the result.
    #[inline(always)]
    fn apply(&self, state: &mut [f32], v: f32) -> f32 {
        let n = state.len();
        let (mut result, mut known) = ([0.0; SUMS], [0.0; SUMS]);
        let (read, against) = (&self.read[..n], &self.against[..n]);
        for first in (0..n).step_by(SUMS) {
            let len = SUMS.min(n - first);
            for i in 0..len {
                result[i] += state[first + i] * read[first + i];
                known[i] += state[first + i] * against[first + i];
            }
        }
        let known = total(known);
        let (decay, erased, keys) = (&self.decay[..n], &self.erased[..n], &self.keys[..n]);
        for i in 0..n {
            state[i] = decay[i] * state[i] - known * erased[i] + v * keys[i];
        }
        total(result) - known * self.echo + v * self.own
    }
}
