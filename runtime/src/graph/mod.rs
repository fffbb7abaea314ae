//! `Plan`: the forward pass as a flat list of operations over numbered buffers, ready for any device.
//!
//! A plan is made once per model. It names no device and holds no weights: each weight is an index with its place in the
//! file. Buffers are rows of f32, one row per token of a batch; buffers whose lives do not overlap share memory.

mod columns;
mod lower;
mod memory;
mod recurrent;

pub use crate::arch::{Activation, Gating, MAX_EXPERTS, MAX_WKV_HEAD, Mask, NormKind, RopeStyle};
pub use columns::Columns;
pub use lower::lower;
pub use recurrent::{Conv, DeltaRule, Scan, Shift, Wkv};

use crate::quant::TensorType;

/// Index into `Plan::weights`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WeightId(pub u32);

/// Index into `Plan::buffers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BufId(pub u16);

/// A tensor the plan uses.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    /// Its name in the file.
    pub name: String,
    /// How it is stored.
    pub ty: TensorType,
    /// Rows (outputs), of all experts together; 1 for a vector.
    pub rows: usize,
    /// Matrices of one shape that stand one below the other; 1 but for experts.
    pub experts: usize,
    /// Elements per row (inputs).
    pub cols: usize,
    /// Which file of a split set holds it.
    pub shard: usize,
    /// Offset in that file.
    pub offset: u64,
    /// Whether it is used as a matrix (in `MatMul`) or a table (in `Embed`); else it is a vector (norm or bias), which
    /// devices hold as f32.
    pub matrix: bool,
}

impl Weight {
    /// Bytes of one row in the file.
    pub fn row_bytes(&self) -> usize {
        self.ty.row_bytes(self.cols)
    }
    /// Bytes of the whole tensor in the file.
    pub fn bytes(&self) -> u64 {
        self.row_bytes() as u64 * self.rows as u64
    }
}

/// A matrix with its bias.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Linear {
    /// The matrix.
    pub weight: WeightId,
    /// Added to its output.
    pub bias: Option<WeightId>,
}

/// Learned biases of scores by distance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RelativePlan {
    /// The biases, by bucket and then by head.
    pub table: WeightId,
    /// How many buckets there are: where both ways are seen, half for each.
    pub buckets: usize,
}

/// Distances from here on fall into one bucket.
pub const RELATIVE_REACH: usize = 128;

/// What a device has to know about a layer's attention.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionPlan {
    /// Query heads.
    pub heads: usize,
    /// Key/value heads.
    pub kv_heads: usize,
    /// Elements per head.
    pub head_dim: usize,
    /// Whether values are the keys themselves, which are stored once; else they follow the keys in the projections.
    pub keys_only: bool,
    /// An earlier one of `Plan::layers`, whose keys and values it attends to; it has only queries of its own.
    pub kv_from: Option<usize>,
    /// Factor on q·k.
    pub scale: f32,
    /// Scores become cap * tanh(score / cap).
    pub softcap: Option<f32>,
    /// ALiBi: see `slope`.
    pub alibi: Option<f32>,
    /// One logit per head that takes part in the softmax and has no value.
    pub sinks: Option<WeightId>,
    /// Biases by distance.
    pub relative: Option<RelativePlan>,
    /// What a query sees: keys up to its own position, all of its text, or all that `encoder` stored.
    pub mask: Mask,
    /// A query at position q sees keys at positions in (q - window, q]; where it is not causal, those at most window / 2 away.
    pub window: Option<usize>,
    /// Index into `Plan::ropes`.
    pub rope: usize,
    /// RMS norm weight of each query head (`head_dim` elements), before rope.
    pub q_norm: Option<WeightId>,
    /// RMS norm weight of each key head, before rope.
    pub k_norm: Option<WeightId>,
}

impl AttentionPlan {
    /// Columns of `[q heads | k heads | v heads]`.
    pub fn qkv_width(&self) -> usize {
        self.heads * self.head_dim + self.kv_width()
    }

    /// Columns of the last two, or of keys that are values too; of those that the layer has.
    pub fn kv_width(&self) -> usize {
        let parts = match (self.kv_from, self.keys_only) {
            (Some(_), _) => 0,
            (None, true) => 1,
            (None, false) => 2,
        };
        parts * self.kv_heads * self.head_dim
    }

    /// ALiBi's slope of a head: its scores fall by it with each position of distance. Slopes are powers of 2^(-alibi / n) for
    /// the first n heads, n the largest power of two; heads beyond take those between (Press et al. 2021).
    pub fn slope(&self, head: usize) -> f32 {
        let Some(alibi) = self.alibi else { return 0.0 };
        let n = 1 << self.heads.ilog2();
        let steps = if head < n { head as f32 + 1.0 } else { (head - n) as f32 + 0.5 };
        (-alibi * steps / n as f32).exp2()
    }

    /// The bucket of a key's distance: the near ones have one each, those beyond share buckets that grow by a common factor, up
    /// to `RELATIVE_REACH` (Raffel et al. 2020).
    pub fn bucket(&self, buckets: usize, query: usize, key: usize) -> usize {
        let (n, later) = match self.mask {
            Mask::Causal => (buckets, 0),
            _ => (buckets / 2, if key > query { buckets / 2 } else { 0 }),
        };
        let (distance, exact) = (query.abs_diff(key), n / 2);
        if distance < exact {
            return later + distance;
        }
        let steps = (n - exact) as f32 / (RELATIVE_REACH as f32 / exact as f32).log2();
        // distances that lie on a bucket's edge belong to it, however the logarithm is rounded
        let step = ((distance as f32 / exact as f32).log2() * steps + 1e-3) as usize;
        later + (exact + step).min(n - 1)
    }
}

/// A rotary embedding: the angle of pair j at position p is `p * inv_freq[j] / factors[j]`; cos and sin are multiplied by
/// `magnitude`. Dimensions from `2 * inv_freq.len()` on pass through.
#[derive(Clone, Debug, PartialEq)]
pub struct RopePlan {
    /// Which dimensions make a pair.
    pub style: RopeStyle,
    /// One angular frequency per pair.
    pub inv_freq: Vec<f32>,
    /// Factor on cos and sin.
    pub magnitude: f32,
    /// Divisors of the frequencies, an f32 vector as long as `inv_freq`.
    pub factors: Option<WeightId>,
    /// Those of sessions with more positions than this.
    pub long: Option<(usize, WeightId)>,
}

impl RopePlan {
    /// The divisors of a session of `n_ctx` positions.
    pub fn factors(&self, n_ctx: usize) -> Option<WeightId> {
        self.long.filter(|(limit, _)| n_ctx > *limit).map(|(_, long)| long).or(self.factors)
    }
}

/// How rows are sent to experts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Routing {
    /// Experts that each row goes to.
    pub used: usize,
    /// What their probabilities are.
    pub gating: Gating,
    /// Whether these are divided by their sum.
    pub normalized: bool,
    /// Factor on them.
    pub scale: f32,
    /// Groups of neighbouring experts, of which only some are chosen from.
    pub groups: Option<Groups>,
}

/// Groups of experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    /// All of them.
    pub count: usize,
    /// Those that are chosen from.
    pub used: usize,
    /// So many of a group's best experts tell how good it is, by the sum of what they are chosen by.
    pub best: usize,
}

/// Parts of a buffer's rows, `len` columns each and side by side from `first` on, that are normed in place, each by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormPart {
    /// Input and result.
    pub x: BufId,
    /// What parts are divided by.
    pub kind: NormKind,
    /// First column.
    pub first: usize,
    /// Columns of a part.
    pub len: usize,
    /// How many parts.
    pub parts: usize,
    /// Weight of one part, which is that of all, or of all parts.
    pub weight: Option<WeightId>,
    /// Bias, likewise.
    pub bias: Option<WeightId>,
    /// Epsilon.
    pub eps: f32,
}

/// A step from a row towards another: out = x + (to - x) * (weight + by).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lerp {
    /// From here.
    pub x: BufId,
    /// To there.
    pub to: BufId,
    /// A vector, and which of its elements is that of the first column.
    pub weight: Option<(WeightId, usize)>,
    /// A buffer, and its first column.
    pub by: Option<(BufId, usize)>,
    /// Result.
    pub out: BufId,
}

/// Which row of a table an `Embed` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// That of the token.
    Token,
    /// That of the position.
    Position,
    /// That of the token's type.
    Type,
}

/// One operation, applied to every row (token) of a batch. Widths are elements per row.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// `out[n_embd] = scale * table[row]`, added to what `out` holds if `add`.
    Embed {
        /// the table
        table: WeightId,
        /// which row
        by: Lookup,
        /// factor
        scale: f32,
        /// whether `out` is added to
        add: bool,
        /// result
        out: BufId,
    },
    /// out = add + normed(x) * weight + bias; `add` may be `out` itself.
    Norm {
        /// what x is divided by
        kind: NormKind,
        /// input
        x: BufId,
        /// weight, one element per column
        weight: WeightId,
        /// bias, one element per column
        bias: Option<WeightId>,
        /// added to the result (residual)
        add: Option<BufId>,
        /// result
        out: BufId,
    },
    /// Norms of parts of rows.
    NormPart(NormPart),
    /// out = [W0 x + b0 | W1 x + b1 | ...] (+ add): the outputs of several matrices over one input, side by side.
    /// `add` may be `out` itself.
    MatMul {
        /// the matrices
        linears: Vec<Linear>,
        /// input
        x: BufId,
        /// added to the result (residual)
        add: Option<BufId>,
        /// result
        out: BufId,
    },
    /// In `qkv` = [q heads | k heads | v heads]: RMS-norms each q and k head (where the layer has such norms), rotates
    /// q and k in place, and stores k and v (or k alone, where it is both) in the layer's cache at the row's position. Where
    /// the layer has no k and v, only q is there.
    RopeStore {
        /// projections
        qkv: BufId,
        /// index into `Plan::layers`
        layer: usize,
    },
    /// Stores `kv` = [k heads | v heads] in the layer's cache at the row's position, as they are.
    Store {
        /// projections
        kv: BufId,
        /// layer index
        layer: usize,
    },
    /// out[heads * head_dim] = softmax(scale * q·K) V over the layer's cache, as far as its mask and window let see. The batch's
    /// own keys are already in the cache.
    Attention {
        /// projections, or queries alone; only q is read
        qkv: BufId,
        /// index into `Plan::layers`
        layer: usize,
        /// result
        out: BufId,
    },
    /// out = [the experts with the best scores, as numbers | their probabilities]; of equal ones, the first.
    Route {
        /// scores of all experts
        x: BufId,
        /// added to all probabilities for choosing, and then forgotten
        bias: Option<WeightId>,
        /// how many, and what becomes of their scores
        routing: Routing,
        /// result, `2 * used` wide
        out: BufId,
    },
    /// For each expert that a row goes to: [W0 x + b0 | W1 x + b1 | ...], of that expert's matrices; the experts' outputs side by
    /// side.
    Experts {
        /// matrices of all experts
        linears: Vec<Linear>,
        /// input: one for all, or the inputs of each side by side
        x: BufId,
        /// a `Route`'s result
        routes: BufId,
        /// result
        out: BufId,
    },
    /// Each of the matrices of one weight, one below the other, takes a run of columns of x to a run of columns of out.
    Heads {
        /// the matrices
        weight: WeightId,
        /// input
        x: BufId,
        /// runs as long as a matrix has columns
        from: Columns,
        /// result
        out: BufId,
        /// runs as long as a matrix has rows; their step divides the width of `out`
        to: Columns,
    },
    /// Copies `n` columns of x to columns of out.
    Take {
        /// input
        x: BufId,
        /// which columns
        from: Columns,
        /// how many
        n: usize,
        /// result
        out: BufId,
        /// which columns
        to: Columns,
    },
    /// out = add + Σ weight_i * x_i over the parts of x. `add` may be `out` itself.
    Combine {
        /// parts as wide as `out`, side by side
        x: BufId,
        /// holds a weight for each part
        weights: BufId,
        /// the first weight's column
        first: usize,
        /// whether there is a weight for each column instead, the same for all parts
        by_column: bool,
        /// whether the sigmoid of each is taken
        sigmoid: bool,
        /// added to the result
        add: Option<BufId>,
        /// result
        out: BufId,
    },
    /// `out[n] = act(x[0..n]) * x[n..2n]` if `gated`, else `act(x[0..n])`; of each of several parts, side by side
    Activate {
        /// how many parts
        parts: usize,
        /// gate and up, side by side; or up alone
        x: BufId,
        /// activation of the gate, or of up
        activation: Activation,
        /// whether there is a gate
        gated: bool,
        /// result
        out: BufId,
    },
    /// A causal convolution over rows.
    Conv(Conv),
    /// A selective scan over rows.
    Scan(Scan),
    /// The gated delta rule over rows.
    DeltaRule(DeltaRule),
    /// The row before each.
    Shift(Shift),
    /// A step towards another row.
    Lerp(Lerp),
    /// RWKV's recurrence over rows.
    Wkv(Wkv),
    /// x = x * act(g) in place, for as many columns g of `gate` as x has.
    Gate {
        /// input and result
        x: BufId,
        /// holds the gates
        gate: BufId,
        /// where
        columns: Columns,
        /// whether act is the sigmoid, else SiLU
        sigmoid: bool,
    },
    /// x = factor * by * x in place, then capped.
    Scale {
        /// input and result
        x: BufId,
        /// the factor
        factor: f32,
        /// one that is a weight
        by: Option<WeightId>,
        /// the cap
        cap: Option<Cap>,
    },
}

/// How large numbers are kept small.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cap {
    /// x becomes cap * tanh(x / cap).
    Soft(f32),
    /// x is cut to -cap..=cap.
    Hard(f32),
}

/// A buffer of f32 rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Buffer {
    /// Elements per row.
    pub width: usize,
    /// Memory slot; buffers of one slot are never alive at once.
    pub slot: usize,
}

/// A list of a plan's ops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// `Plan::encoder`
    Encoder,
    /// `Plan::body`
    Body,
    /// `Plan::head`
    Head,
}

/// The forward pass.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Run for every row of the text that a decoder attends to, in order; its outputs are in caches. Empty where there is no such
    /// text.
    pub encoder: Vec<Op>,
    /// Run for every row of a batch, in order. Ends with the residual stream in `hidden`.
    pub body: Vec<Op>,
    /// Run only for rows whose logits are wanted: their rows of `hidden` are its input. Ends with `logits`.
    pub head: Vec<Op>,
    /// The residual stream after the last layer.
    pub hidden: BufId,
    /// The logits `[n_vocab]`.
    pub logits: BufId,
    /// All buffers.
    pub buffers: Vec<Buffer>,
    /// Width of each memory slot: the widest of its buffers.
    pub slots: Vec<usize>,
    /// All weights, sorted by (shard, offset): the order in which they are loaded.
    pub weights: Vec<Weight>,
    /// Attention of each layer that has it; layers that need their caches at different times may be one.
    pub layers: Vec<AttentionPlan>,
    /// Elements (f32) of each state that is carried from row to row.
    pub states: Vec<usize>,
    /// Rotary embeddings used by layers.
    pub ropes: Vec<RopePlan>,
    /// Epsilon of every norm.
    pub eps: f32,
    /// Width of the residual stream.
    pub n_embd: usize,
    /// Number of logits, or of an encoder's outputs.
    pub n_vocab: usize,
    /// Whether batches are whole texts, which know nothing of one another; else they continue a timeline.
    pub texts: bool,
}

impl Plan {
    /// The most positions it knows, where they are learned.
    pub fn max_positions(&self) -> Option<usize> {
        self.tables(Lookup::Position)
    }
    /// Token types are below this.
    pub fn max_types(&self) -> usize {
        self.tables(Lookup::Type).unwrap_or(1)
    }
    /// Whether a batch must be a whole text.
    pub fn needs_whole_texts(&self) -> bool {
        self.texts || self.layers.iter().any(|layer| layer.mask == Mask::Full)
    }
    /// The ops of a section.
    pub fn section(&self, section: Section) -> &[Op] {
        match section {
            Section::Encoder => &self.encoder,
            Section::Body => &self.body,
            Section::Head => &self.head,
        }
    }
    /// All ops, in the order in which sections run.
    pub fn ops(&self) -> impl Iterator<Item = &Op> {
        self.encoder.iter().chain(&self.body).chain(&self.head)
    }
    /// Whether something is carried from row to row that cannot go back to an earlier one.
    pub fn is_recurrent(&self) -> bool {
        !self.states.is_empty()
    }
    /// Tokens are below this.
    pub fn max_tokens(&self) -> usize {
        self.tables(Lookup::Token).unwrap_or(self.n_vocab)
    }
    fn tables(&self, wanted: Lookup) -> Option<usize> {
        let tables = self.body.iter().filter_map(|op| match op {
            Op::Embed { table, by, .. } if *by == wanted => Some(self.weight(*table).rows),
            _ => None,
        });
        tables.min()
    }
    /// Columns of the widest matrix.
    pub fn widest_input(&self) -> usize {
        self.weights.iter().filter(|weight| weight.matrix).map(|weight| weight.cols).max().unwrap_or(0)
    }
    /// A weight by id.
    pub fn weight(&self, id: WeightId) -> &Weight {
        &self.weights[id.0 as usize]
    }
    /// Bytes of weights that one token reads: every matrix and vector where it is used, one row of a table.
    pub fn read_bytes(&self) -> u64 {
        let bytes = |id: &WeightId| self.weight(*id).bytes();
        let linear = |linear: &Linear| bytes(&linear.weight) + linear.bias.iter().map(bytes).sum::<u64>();
        let read = |op: &Op| match op {
            Op::Embed { table, .. } => self.weight(*table).row_bytes() as u64,
            Op::Norm { weight, bias, .. } => bytes(weight) + bias.iter().map(bytes).sum::<u64>(),
            Op::NormPart(part) => [part.weight, part.bias].iter().flatten().map(bytes).sum(),
            Op::MatMul { linears, .. } => linears.iter().map(linear).sum(),
            Op::Experts { linears, routes, .. } => {
                let share = |l: &Linear| linear(l) / self.weight(l.weight).experts as u64;
                linears.iter().map(share).sum::<u64>() * (self.width(*routes) / 2) as u64
            }
            Op::Heads { weight, .. } => bytes(weight),
            Op::Route { bias, .. } => bias.iter().map(bytes).sum(),
            Op::Scale { by, .. } => by.iter().map(bytes).sum(),
            Op::RopeStore { .. } | Op::Store { .. } | Op::Attention { .. } | Op::Activate { .. } => 0,
            Op::Combine { .. } | Op::Gate { .. } | Op::Take { .. } | Op::Shift(_) => 0,
            Op::Lerp(lerp) => lerp.weight.map_or(0, |_| 4 * self.width(lerp.out) as u64),
            Op::Conv(conv) => bytes(&conv.weight) + conv.bias.iter().map(bytes).sum::<u64>(),
            Op::Scan(scan) => [Some(scan.a), Some(scan.d), scan.dt_bias].iter().flatten().map(bytes).sum(),
            Op::DeltaRule(rule) => bytes(&rule.a) + bytes(&rule.dt_bias),
            Op::Wkv(wkv) => bytes(&wkv.bonus) + wkv.delta.iter().flatten().map(bytes).sum::<u64>(),
        };
        self.body.iter().chain(&self.head).map(read).sum()
    }
    /// Elements per row of a buffer.
    pub fn width(&self, id: BufId) -> usize {
        self.buffers[id.0 as usize].width
    }
    /// Memory slot of a buffer.
    pub fn slot(&self, id: BufId) -> usize {
        self.buffers[id.0 as usize].slot
    }
}
