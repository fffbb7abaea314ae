//! Lowers multi-head latent attention to attention with one key head.

use super::Lowering;
use crate::arch::{AttentionSpec, LatentSpec};
use crate::error::Result;
use crate::graph::{BufId, Columns, Op};

impl Lowering<'_, '_> {
    /// [q heads | k], of which each is [what is rotated | latent]: rope turns the first dimensions.
    pub(super) fn latent_qk(&mut self, a: &AttentionSpec, spec: &LatentSpec, x: BufId) -> Result<BufId> {
        let (plain, rank) = (spec.k_b.inputs, spec.k_b.outputs);
        let (turned, heads) = (a.head_dim - rank, a.heads);
        let q = match &spec.q_a {
            None => self.matmul(std::slice::from_ref(&spec.q), x)?,
            Some((linear, norm)) => {
                let compressed = self.matmul(std::slice::from_ref(linear), x)?;
                let normed = self.buffer(linear.outputs);
                let (kind, weight) = (self.spec.norm, self.weights.vector(norm)?);
                self.ops.push(Op::Norm { kind, x: compressed, weight, bias: None, add: None, out: normed });
                self.matmul(std::slice::from_ref(&spec.q), normed)?
            }
        };
        let kv = self.matmul(std::slice::from_ref(&spec.kv_a), x)?;
        self.norm_part(kv, (0, rank, 1), Some(&spec.kv_norm))?;
        let qk = self.buffer((heads + 1) * a.head_dim);
        let runs = |first, len, step| Columns { first, len, step };
        let weight = self.weights.matrix(&spec.k_b.weight)?;
        let (from, to) = (runs(0, plain, plain + turned), runs(turned, rank, a.head_dim));
        self.ops.push(Op::Heads { weight, x: q, from, out: qk, to });
        let k = heads * a.head_dim;
        self.take(q, runs(plain, turned, plain + turned), heads * turned, qk, runs(0, turned, a.head_dim));
        self.take(kv, Columns::run(0, rank), rank, qk, Columns::run(k + turned, rank));
        self.take(kv, Columns::run(rank, turned), turned, qk, Columns::run(k, turned));
        Ok(qk)
    }

    /// Each head's result from the latent part of attention's.
    pub(super) fn latent_out(&mut self, a: &AttentionSpec, spec: &LatentSpec, x: BufId) -> Result<BufId> {
        let (rank, width) = (spec.v_b.inputs, spec.v_b.outputs);
        let out = self.buffer(a.heads * width);
        let weight = self.weights.matrix(&spec.v_b.weight)?;
        let from = Columns { first: a.head_dim - rank, len: rank, step: a.head_dim };
        self.ops.push(Op::Heads { weight, x, from, out, to: Columns::run(0, width) });
        Ok(out)
    }
}
