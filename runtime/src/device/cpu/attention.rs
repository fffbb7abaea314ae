//! Reference: causal attention of a head over its ring of keys and values, and what every attention kernel is called with.

use std::ops::Range;

use super::cache::{Cache, Element, Ring, with_ring};
use super::kernels::Scratch;
use super::memory::Parts;
use crate::graph::{AttentionPlan, Mask};

/// Attention of a batch in one layer.
pub(super) struct Attention<'a> {
    pub(super) plan: &'a AttentionPlan,
    pub(super) cache: &'a Cache,
    /// Projections, [n][width]; the q heads come first.
    pub(super) qkv: &'a [f32],
    /// Width of `qkv`.
    pub(super) width: usize,
    /// Position of the first row.
    pub(super) pos: usize,
    /// Position after the last row.
    pub(super) end: usize,
    /// Rows of the text that the encoder has read.
    pub(super) encoded: usize,
    /// The rows of each row's own text; none where the batch continues a timeline.
    pub(super) texts: &'a [Range<usize>],
    /// `AttentionPlan::sinks`
    pub(super) sinks: Option<&'a [f32]>,
    /// The biases of `AttentionPlan::relative`.
    pub(super) relative: Option<&'a [f32]>,
    /// Output, [n][heads * head_dim].
    pub(super) out: Parts<'a, f32>,
}

/// Computes all query heads that share one key/value head, for some rows of the batch.
pub(super) type AttentionKernel = fn(&Attention<'_>, usize, Range<usize>, &mut Scratch);

impl<'a> Attention<'a> {
    /// The query heads of a key/value head.
    pub(super) fn group(&self, kv_head: usize) -> Range<usize> {
        let group = self.plan.heads / self.plan.kv_heads;
        kv_head * group..(kv_head + 1) * group
    }

    /// The positions row `t` sees.
    pub(super) fn visible(&self, t: usize) -> Range<usize> {
        let own = self.pos + t;
        let text = self.texts.get(t).cloned().unwrap_or(0..self.end);
        let (before, after) = match (self.plan.mask, self.plan.window) {
            (Mask::Causal, window) => (window.map_or(own, |window| window - 1), 0),
            (Mask::Full, window) => window.map_or((own, text.end), |window| (window / 2, window / 2)),
            (Mask::Cross, _) => return 0..self.encoded,
        };
        text.start.max(own.saturating_sub(before))..text.end.min(own + after + 1)
    }

    /// q of a row and head.
    pub(super) fn q(&self, t: usize, head: usize) -> &'a [f32] {
        &self.qkv[t * self.width + head * self.plan.head_dim..][..self.plan.head_dim]
    }

    pub(super) fn sink(&self, head: usize) -> Option<f32> {
        self.sinks.map(|sinks| sinks[head])
    }

    /// What is added to a head's scores for the distance of query and key.
    #[inline(always)]
    pub(super) fn nearness(&self, head: usize) -> impl Fn(usize, usize) -> f32 {
        let (plan, slope) = (self.plan, self.plan.slope(head));
        let relative = plan.relative.zip(self.relative);
        move |query, key| match relative {
            Some((relative, biases)) => biases[plan.bucket(relative.buckets, query, key) * plan.heads + head],
            None => -slope * query.abs_diff(key) as f32,
        }
    }

    /// The output of a row and head.
    #[allow(clippy::mut_from_ref)]
    pub(super) fn out(&self, t: usize, head: usize) -> &'a mut [f32] {
        let dim = self.plan.head_dim;
        // SAFETY: each row and head is computed by one thread, which holds its output once.
        unsafe { self.out.part((t * self.plan.heads + head) * dim, dim) }
    }
}

/// The reference kernel.
pub(super) fn attention(a: &Attention<'_>, kv_head: usize, rows: Range<usize>, scratch: &mut Scratch) {
    with_ring!(a.cache, Cache, ring => run(a, ring, kv_head, rows, &mut scratch.scores))
}

fn run<E: Element>(a: &Attention<'_>, ring: &Ring<E>, kv_head: usize, rows: Range<usize>, scores: &mut [f32]) {
    for t in rows {
        for head in a.group(kv_head) {
            let out = a.out(t, head);
            attend(a, (t, head), ring, kv_head, scores, out);
        }
    }
}

/// out = softmax(scores) V over the positions that the row sees, of which `scores` has room for one number each.
fn attend<E: Element>(
    a: &Attention<'_>,
    (t, head): (usize, usize),
    ring: &Ring<E>,
    kv_head: usize,
    scores: &mut [f32],
    out: &mut [f32],
) {
    let (q, positions, nearness) = (a.q(t, head), a.visible(t), a.nearness(head));
    let scores = &mut scores[..positions.len()];
    for (score, pos) in scores.iter_mut().zip(positions.clone()) {
        let product = q.iter().enumerate().map(|(d, q)| q * ring.key(kv_head, pos, d)).sum::<f32>() * a.plan.scale;
        let capped = a.plan.softcap.map_or(product, |cap| cap * (product / cap).tanh());
        *score = capped + nearness(a.pos + t, pos);
    }
    softmax(scores, a.sink(head));
    out.fill(0.0);
    for (score, pos) in scores.iter().zip(positions) {
        out.iter_mut().enumerate().for_each(|(d, out)| *out += score * ring.value(kv_head, pos, d));
    }
}

/// `sink` takes its part and has no value.
fn softmax(x: &mut [f32], sink: Option<f32>) {
    let max = x.iter().copied().chain(sink).fold(f32::NEG_INFINITY, f32::max);
    x.iter_mut().for_each(|x| *x = (*x - max).exp());
    let sum: f32 = x.iter().sum::<f32>() + sink.map_or(0.0, |sink| (sink - max).exp());
    x.iter_mut().for_each(|x| *x /= sum);
}
