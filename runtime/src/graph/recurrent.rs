//! Ops that carry a state from row to row, in place of keys and values: causal convolutions, selective scans, the delta rule, RWKV's.
//!
//! A state is a memory of f32 with a number of its own in `Plan::states`. A batch at position 0 starts from zeros, any other from
//! what the rows before it left.

use super::{BufId, Plan, WeightId};

/// A depthwise causal convolution: `out[c] = bias[c] + Σ_j weight[c][j] * x[c]` of the row `taps - 1 - j` rows back, then SiLU
/// where asked. The state holds the inputs of the last `taps - 1` rows, `[taps - 1][channels]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conv {
    /// Its input.
    pub x: BufId,
    /// The first of its columns.
    pub first: usize,
    /// Whether these are `[B | C | X]`: then B * X is the input, and the result is multiplied by C (LFM2).
    pub gated: bool,
    /// `[channels][taps]`
    pub weight: WeightId,
    /// `[channels]`
    pub bias: Option<WeightId>,
    /// Whether SiLU comes last.
    pub silu: bool,
    /// Index into `Plan::states`.
    pub state: usize,
    /// Result, `channels` wide.
    pub out: BufId,
}

impl Conv {
    /// Rows that one output depends on.
    pub fn taps(&self, plan: &Plan) -> usize {
        plan.weight(self.weight).cols / plan.width(self.out).max(1)
    }
}

/// A selective scan (Gu and Dao 2023; Dao and Gu 2024). For each element x of a head, with step = softplus(dt + dt_bias):
/// `state[n] = exp(step * a[n]) * state[n] + step * x * b[n]`, `out = Σ_n c[n] * state[n] + d * x`. Heads share b and c in
/// groups. The state is `[heads * head_dim][n_state]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scan {
    /// `[heads * head_dim]` from the first column on.
    pub x: BufId,
    /// Holds b `[groups * n_state]` and then c, likewise.
    pub bc: BufId,
    /// Column of the first b.
    pub b: usize,
    /// Holds one step per head.
    pub dt: BufId,
    /// Column of the first.
    pub first_dt: usize,
    /// `[heads]`
    pub dt_bias: Option<WeightId>,
    /// `[heads]`, or `[heads][n_state]`
    pub a: WeightId,
    /// `[heads]`
    pub d: WeightId,
    /// Heads.
    pub heads: usize,
    /// Groups of heads.
    pub groups: usize,
    /// Elements of state for each element of x.
    pub n_state: usize,
    /// Index into `Plan::states`.
    pub state: usize,
    /// Result, as wide as x.
    pub out: BufId,
}

/// The gated delta rule (Yang, Kautz and Hatamizadeh 2024). For each value head, with q and k of length 1,
/// g = a * softplus(α + dt_bias) and `S [value_dim][key_dim]`: `S = e^g S; S += sigmoid(β) (v - S k) kᵀ; out = S q / √key_dim`. The
/// state is S of every head.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeltaRule {
    /// `[q heads | k heads | v heads]`
    pub qkv: BufId,
    /// Holds β and α of every head.
    pub gates: BufId,
    /// Column of the first β.
    pub first: usize,
    /// `[heads]`
    pub a: WeightId,
    /// `[heads]`
    pub dt_bias: WeightId,
    /// Value heads.
    pub heads: usize,
    /// Query and key heads; divides `heads`.
    pub key_heads: usize,
    /// Elements of a query or key head.
    pub key_dim: usize,
    /// Where the value heads of one key head are: all key heads' first ones come first, then all second ones, and all β come
    /// before all α; else those of one key head are neighbours, and their β stand before their α.
    pub tiled: bool,
    /// Index into `Plan::states`.
    pub state: usize,
    /// Result, `[heads * value_dim]`
    pub out: BufId,
}

/// The row before each row; zeros before the first of all. The state is the last row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    /// Its input.
    pub x: BufId,
    /// Index into `Plan::states`.
    pub state: usize,
    /// Result, as wide as x.
    pub out: BufId,
}

/// RWKV's recurrence of heads with as many keys as values. For each, with S `[values][keys]`:
///
/// RWKV-6 (Peng et al. 2024): `out = S r + (r · (bonus * k)) v; S = S diag(e^-e^w) + v kᵀ`.
///
/// RWKV-7 (Peng et al. 2025), a delta rule with vector gates. With κ = k * k_k of length 1 and k' = k * (1 + (σ(a) - 1) * k_a):
/// `S = S (diag(e^(-σ(w)/√e)) - κ (κ * σ(a))ᵀ) + v k'ᵀ; out = [S r | (r · (bonus * k')) v]`: what the bonus adds stands apart, for
/// the rest is normed first. The state is S of every head.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wkv {
    /// What states are read by.
    pub r: BufId,
    /// w, and behind it a where there is such a thing.
    pub gates: BufId,
    /// Keys.
    pub k: BufId,
    /// Values.
    pub v: BufId,
    /// Factors on keys where a row reads its own value.
    pub bonus: WeightId,
    /// k_k and k_a of RWKV-7.
    pub delta: Option<[WeightId; 2]>,
    /// Heads.
    pub heads: usize,
    /// Index into `Plan::states`.
    pub state: usize,
    /// Result, as wide as `gates`.
    pub out: BufId,
}

impl DeltaRule {
    /// The key head of a value head.
    pub fn key_head(&self, head: usize) -> usize {
        if self.tiled { head % self.key_heads } else { head / (self.heads / self.key_heads) }
    }

    /// Columns of β and α of a value head.
    pub fn gates_of(&self, head: usize) -> (usize, usize) {
        let shared = self.heads / self.key_heads;
        let (beta, to_alpha) =
            if self.tiled { (head, self.heads) } else { (head / shared * 2 * shared + head % shared, shared) };
        (self.first + beta, self.first + beta + to_alpha)
    }
}
