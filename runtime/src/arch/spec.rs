//! `ModelSpec`: everything the forward pass needs to know about a model, as plain data.

/// Which pairs of dimensions a rotary embedding turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopeStyle {
    /// Neighbours (2j, 2j+1): the llama family.
    Norm,
    /// Halves (j, j + n_rot/2): GPT-NeoX, Qwen, Gemma.
    Neox,
}

/// Rotary position embedding with its scaling already folded in: the angle of pair j at position p is
/// `p * inv_freq[j]`, and cos and sin are multiplied by `magnitude` (YaRN; 1 elsewhere).
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// Pairing.
    pub style: RopeStyle,
    /// One angular frequency per pair, `n_rot / 2` of them; later dimensions pass through unchanged.
    pub inv_freq: Vec<f32>,
    /// Factor on cos and sin.
    pub magnitude: f32,
    /// Tensor of `inv_freq.len()` f32 by which the frequencies are divided (llama 3).
    pub factors: Option<String>,
    /// Divisors in place of `factors` for sessions of more positions than this (LongRoPE).
    pub long: Option<(usize, String)>,
}

/// What a norm divides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// x / sqrt(mean(x²) + eps) (Zhang and Sennrich 2019)
    Rms,
    /// (x - mean(x)) / sqrt(variance(x) + eps) (Ba et al. 2016)
    Layer,
}

/// Names of a norm's weight and of its bias, if it has one.
#[derive(Clone, Debug, PartialEq)]
pub struct NormSpec {
    /// Tensor name of the weight.
    pub weight: String,
    /// Tensor name of the bias.
    pub bias: Option<String>,
}

/// A feed-forward layer's nonlinearity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x * sigmoid(x)
    Silu,
    /// The tanh approximation of GELU, as ggml computes it.
    GeluTanh,
    /// x * Φ(x), the exact GELU.
    GeluErf,
    /// max(x, 0)
    Relu,
    /// max(x, 0)²
    ReluSquared,
    /// 1 / (1 + e^-x)
    Sigmoid,
    /// tanh x
    Tanh,
    /// gpt-oss's gated unit: g σ(1.702 g) (u + 1), with g at most 7 and u within ±7.
    SwigluOai,
}

/// Names of a matrix and of its bias, if it has one.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearSpec {
    /// Tensor name of the matrix, shape [inputs, outputs].
    pub weight: String,
    /// Tensor name of the bias, shape `[outputs]`.
    pub bias: Option<String>,
    /// Rows, i.e. outputs.
    pub outputs: usize,
    /// Columns, i.e. inputs.
    pub inputs: usize,
}

/// RMS norms of queries and keys, before rope.
#[derive(Clone, Debug, PartialEq)]
pub struct QkNorm {
    /// Weight for queries.
    pub q: String,
    /// Weight for keys, where the layer has its own.
    pub k: Option<String>,
    /// Whether all heads of a row are one vector; else each head is.
    pub whole: bool,
}

/// What a position sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// Itself and those before it.
    Causal,
    /// All of its text.
    Full,
    /// All of the text that the encoder has read.
    Cross,
}

/// Learned biases of scores by distance, in buckets (Raffel et al. 2020).
#[derive(Clone, Debug, PartialEq)]
pub struct RelativeSpec {
    /// Tensor name of the table [heads, buckets].
    pub table: String,
    /// Buckets: where both ways are seen, half for each.
    pub buckets: usize,
}

/// Attention of one layer, to its own text or to the encoder's.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionSpec {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Elements per head, the same for keys and values.
    pub head_dim: usize,
    /// Factor on q·k.
    pub scale: f32,
    /// Scores become cap * tanh(score / cap).
    pub softcap: Option<f32>,
    /// Largest slope's exponent of ALiBi: keys further back score less (Press et al. 2021).
    pub alibi: Option<f32>,
    /// Name of one logit per head that takes part in the softmax and has no value.
    pub sinks: Option<String>,
    /// Biases of scores by distance.
    pub relative: Option<RelativeSpec>,
    /// What a position sees.
    pub mask: Mask,
    /// Position q sees positions k with q - k < window, or, where it is not causal, with |q - k| <= window / 2.
    pub window: Option<usize>,
    /// Index into `ModelSpec::ropes`.
    pub rope: usize,
    /// Queries, keys and values are cut to -clamp..=clamp as soon as they are made.
    pub clamp: Option<f32>,
    /// Norms of queries and keys.
    pub qk_norm: Option<QkNorm>,
    /// Whether each value head is RMS-normed, without weights.
    pub value_norm: bool,
    /// The layer whose keys and values it attends to; then `qkv` makes queries alone.
    pub kv_from: Option<usize>,
    /// What makes queries, keys and values; across, keys and values are of the encoder's states.
    pub qkv: Qkv,
    /// Output projection.
    pub o: LinearSpec,
}

/// A depthwise causal convolution.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvSpec {
    /// Tensor name of its weights [taps, channels].
    pub weight: String,
    /// Tensor name of its bias `[channels]`.
    pub bias: Option<String>,
    /// Rows that one output depends on.
    pub taps: usize,
    /// Columns.
    pub channels: usize,
}

/// A gated short convolution: output(C * conv(B * X)), with [B | C | X] = input(x).
#[derive(Clone, Debug, PartialEq)]
pub struct ShortConvSpec {
    /// Makes B, C and X.
    pub input: LinearSpec,
    /// The convolution.
    pub conv: ConvSpec,
    /// Output projection.
    pub output: LinearSpec,
}

/// Where a selective scan has its steps, b and c from.
#[derive(Clone, Debug, PartialEq)]
pub enum StepSpec {
    /// x = conv(X) is projected to [r | b | c], and r to the steps (Mamba).
    Projected {
        /// Makes r, b and c.
        x: LinearSpec,
        /// Makes the steps from r.
        dt: LinearSpec,
    },
    /// The input projection ends with them, and b and c come out of the convolution beside x (Mamba 2).
    Direct {
        /// Tensor name of the steps' bias `[heads]`.
        bias: String,
    },
}

/// A selective state space: output(norm(silu(z) * scan(silu(conv(X))))), with [z | X] = input(x) or [X | z].
#[derive(Clone, Debug, PartialEq)]
pub struct ScanSpec {
    /// Makes [X | z] where steps are projected, else [z | X | b | c | steps].
    pub input: LinearSpec,
    /// The convolution, of b and c too where they come with X.
    pub conv: ConvSpec,
    /// Where steps, b and c come from.
    pub steps: StepSpec,
    /// Tensor name of the states' rates, one per head, or `n_state` per head.
    pub a: String,
    /// Tensor name of the factors on x `[heads]`.
    pub d: String,
    /// Heads.
    pub heads: usize,
    /// Elements of all heads.
    pub inner: usize,
    /// Groups of heads that share b and c, and are normed together.
    pub groups: usize,
    /// Elements of state for each element of x.
    pub n_state: usize,
    /// Tensor name of the norm's weight [inner / groups, groups].
    pub norm: Option<String>,
    /// Output projection.
    pub output: LinearSpec,
}

/// A gated delta net: output(norm(rule(silu(conv(qkv)))) * silu(z)).
#[derive(Clone, Debug, PartialEq)]
pub struct DeltaNetSpec {
    /// Make [q | k | v], z, β and α in this order.
    pub input: Vec<LinearSpec>,
    /// The convolution of q, k and v.
    pub conv: ConvSpec,
    /// Tensor name of the decays' factors `[heads]`.
    pub a: String,
    /// Tensor name of what is added to α `[heads]`.
    pub dt_bias: String,
    /// Value heads.
    pub heads: usize,
    /// Query and key heads.
    pub key_heads: usize,
    /// Elements of a query or key head.
    pub key_dim: usize,
    /// Elements of a value head.
    pub value_dim: usize,
    /// The order of value heads, β and α: see `graph::DeltaRule::tiled`.
    pub tiled: bool,
    /// Tensor name of the weight of each head's RMS norm `[value_dim]`.
    pub norm: String,
    /// Output projection.
    pub output: LinearSpec,
}

/// A step from a row's input towards that of the row before, by a factor for each column.
#[derive(Clone, Debug, PartialEq)]
pub struct LerpSpec {
    /// Tensor name of the factors, of several steps together.
    pub weight: String,
    /// The first of this one's.
    pub first: usize,
    /// Which part of `TimeMixSpec::mix` is added to them.
    pub part: usize,
}

/// What one matrix makes of such a step, or two matrices with little between them.
#[derive(Clone, Debug, PartialEq)]
pub struct BranchSpec {
    /// The step.
    pub lerp: LerpSpec,
    /// The matrix before, with its activation.
    pub down: Option<(LinearSpec, Option<Activation>)>,
    /// The matrix.
    pub linear: LinearSpec,
}

/// Elements of a head of RWKV's recurrence: more than any model has.
pub const MAX_WKV_HEAD: usize = 256;

/// What of RWKV-7 is not in RWKV-6.
#[derive(Clone, Debug, PartialEq)]
pub struct WkvDeltaSpec {
    /// Makes a.
    pub rate: BranchSpec,
    /// Makes what the sigmoid of is a step of values towards those of the first such layer; none there.
    pub values: Option<BranchSpec>,
    /// Tensor names of k_k and k_a.
    pub keys: [String; 2],
}

/// RWKV's time mixing: output(gated(norm(wkv))).
#[derive(Clone, Debug, PartialEq)]
pub struct TimeMixSpec {
    /// Makes an addend for the factors of every step, from a step of its own: a matrix, tanh, and a matrix for each (RWKV-6).
    pub mix: Option<(LerpSpec, LinearSpec, LinearSpec)>,
    /// Makes r.
    pub receptance: BranchSpec,
    /// Makes w.
    pub decay: BranchSpec,
    /// Makes k.
    pub key: BranchSpec,
    /// Makes v.
    pub value: BranchSpec,
    /// Makes the gate: of RWKV-6, its SiLU multiplies.
    pub gate: BranchSpec,
    /// For RWKV-7.
    pub delta: Option<WkvDeltaSpec>,
    /// Tensor name of `graph::Wkv::bonus`.
    pub bonus: String,
    /// Heads.
    pub heads: usize,
    /// Layer norm of each head.
    pub norm: NormSpec,
    /// Output projection.
    pub output: LinearSpec,
}

/// How rows of a layer learn of those before them.
#[derive(Clone, Debug, PartialEq)]
pub enum Mixer {
    /// By attention.
    Attention(AttentionSpec),
    /// By a short convolution.
    ShortConv(ShortConvSpec),
    /// By a selective state space.
    Scan(ScanSpec),
    /// By the gated delta rule.
    DeltaNet(DeltaNetSpec),
    /// By RWKV's recurrence.
    TimeMix(Box<TimeMixSpec>),
}

impl Mixer {
    /// Its output projection.
    pub fn output(&self) -> &LinearSpec {
        match self {
            Mixer::Attention(attention) => &attention.o,
            Mixer::ShortConv(conv) => &conv.output,
            Mixer::Scan(scan) => &scan.output,
            Mixer::DeltaNet(net) => &net.output,
            Mixer::TimeMix(mix) => &mix.output,
        }
    }
}

/// How queries, keys and values are made.
#[derive(Clone, Debug, PartialEq)]
pub enum Qkv {
    /// By projections in this order: three matrices, or one with the rows of all.
    Direct(Vec<LinearSpec>),
    /// The same, with a gate behind each query head, whose sigmoid multiplies that head's result.
    Gated(Vec<LinearSpec>),
    /// From a latent vector for all heads.
    Latent(Box<LatentSpec>),
}

/// Multi-head latent attention (DeepSeek-AI 2024). The only key of a position is its latent vector with what is rotated before
/// it, and its value is the latent vector: what would make each head's own keys of it, and values, is applied to queries and to
/// results instead.
#[derive(Clone, Debug, PartialEq)]
pub struct LatentSpec {
    /// Compresses the queries' input, with the name of the norm that follows.
    pub q_a: Option<(LinearSpec, String)>,
    /// Makes each query head, and behind it what is rotated.
    pub q: LinearSpec,
    /// Makes the latent vector, and behind it what is rotated.
    pub kv_a: LinearSpec,
    /// Name of the latent vector's norm.
    pub kv_norm: String,
    /// For each head, query to latent: [inputs, outputs, heads].
    pub k_b: LinearSpec,
    /// For each head, latent to result.
    pub v_b: LinearSpec,
}

/// A feed-forward layer: down(act(gate x) * up x), or down(act(up x)).
#[derive(Clone, Debug, PartialEq)]
pub struct FfnSpec {
    /// Gate and up projections in this order, as two matrices or as one with the rows of both; or up alone.
    pub up: Vec<LinearSpec>,
    /// Whether there is a gate.
    pub gated: bool,
    /// Down projection.
    pub down: LinearSpec,
    /// Activation of the gate, or of up.
    pub activation: Activation,
    /// Where up reads a step towards the row before (RWKV).
    pub shift: Option<ShiftSpec>,
}

/// Steps of a feed-forward layer towards the row before.
#[derive(Clone, Debug, PartialEq)]
pub struct ShiftSpec {
    /// The step that up reads.
    pub up: LerpSpec,
    /// Makes what the sigmoid of multiplies the layer's output.
    pub gate: Option<BranchSpec>,
}

/// How the scores of experts become probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gating {
    /// Over all experts.
    Softmax,
    /// Of each by itself.
    Sigmoid,
}

/// Experts of a mixture: more than any model has.
pub const MAX_EXPERTS: usize = 512;

/// A mixture of experts: each row goes to a few of them, and takes the sum of their outputs by their probabilities.
#[derive(Clone, Debug, PartialEq)]
pub struct MixtureSpec {
    /// Experts that a row goes to.
    pub used: usize,
    /// What their probabilities are.
    pub gating: Gating,
    /// Whether the probabilities of those used are divided by their sum.
    pub normalized: bool,
    /// Factor on them.
    pub scale: f32,
    /// Name of what is added to all probabilities for choosing.
    pub bias: Option<String>,
    /// Experts are chosen from some groups of them: (all, used).
    pub groups: Option<(usize, usize)>,
    /// Scores of all experts.
    pub router: LinearSpec,
    /// The experts, whose matrices [inputs, outputs, experts] and biases [outputs, experts] hold all of them; `outputs` is
    /// that of one.
    pub experts: FfnSpec,
    /// Gate (one output) of the feed-forward layer that all rows share: its sigmoid multiplies that layer's output.
    pub shared_gate: Option<LinearSpec>,
}

/// Norms around half of a block: x = stream(x + output(half(input(x)))). A missing norm is the identity.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Norms {
    /// Before the half (pre-norm).
    pub input: Option<NormSpec>,
    /// Of what the half adds (sandwich).
    pub output: Option<NormSpec>,
    /// Of the sum (post-norm).
    pub stream: Option<NormSpec>,
}

/// One block: attention or what stands in its place, in a decoder that has an encoder also attention to its states, then the
/// feed-forward layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerSpec {
    /// Norms around attention.
    pub attn_norms: Norms,
    /// Attention, or what stands in its place.
    pub mixer: Mixer,
    /// Attention to the encoder's states, between the two halves, with the norms around it.
    pub cross: Option<(Norms, AttentionSpec)>,
    /// Norms around the feed-forward layer.
    pub ffn_norms: Norms,
    /// Feed-forward layer; beside a mixture, the one that all rows share.
    pub ffn: Option<FfnSpec>,
    /// Experts, whose output is added.
    pub mixture: Option<MixtureSpec>,
    /// What is added last, of the layer's share of `ModelSpec::per_layer`.
    pub per_layer: Option<PerLayerBlock>,
    /// Name of a factor on the stream after the block.
    pub output_scale: Option<String>,
    /// Another that is a number.
    pub output_factor: f32,
    /// Whether the feed-forward layer reads what attention reads, not its result. Without an input norm of its own it has
    /// attention's.
    pub parallel: bool,
}

/// Inputs that every layer has of its own (Gemma 3n and 4): of each token a row of a table and a projection of its embedding, as
/// wide as all layers' shares together; (row + norm(projection)) / √2, where each share is normed by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct PerLayerSpec {
    /// Columns of a layer's share.
    pub width: usize,
    /// Name of the table, whose rows are scaled by √width.
    pub table: String,
    /// Projection of embeddings, scaled by 1/√n_embd.
    pub projection: LinearSpec,
    /// Name of the norm's weight, the same for all shares.
    pub norm: String,
}

/// x + norm(output(act(gate x) * share))
#[derive(Clone, Debug, PartialEq)]
pub struct PerLayerBlock {
    /// Gate.
    pub gate: LinearSpec,
    /// Its activation.
    pub activation: Activation,
    /// Output projection.
    pub output: LinearSpec,
    /// Norm of what is added.
    pub norm: NormSpec,
}

/// How the states of a text's tokens become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// Not at all: every token's is kept.
    None,
    /// Their mean.
    Mean,
    /// The first token's.
    First,
    /// The last token's.
    Last,
}

/// Blocks that read the text whose states a decoder attends to, and the norm of their output.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderSpec {
    /// Blocks in order.
    pub layers: Vec<LayerSpec>,
    /// Norm of the last block's output.
    pub output_norm: NormSpec,
    /// The token that a decoder's text starts with.
    pub start: u32,
}

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Logits of the next token.
    Generate,
    /// States of a text's tokens, of which vectors are made.
    Embed,
    /// Scores of a text or of a pair, one for each label.
    Score,
    /// Logits of masked tokens.
    Fill,
}

/// A layer between the states and the output matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct TransformSpec {
    /// Its matrix, square.
    pub dense: LinearSpec,
    /// Of what the matrix makes.
    pub activation: Activation,
    /// Of what the activation makes.
    pub norm: Option<NormSpec>,
}

/// A model of one stack of blocks: a decoder, which has an output matrix, or an encoder, whose outputs are states; or of a
/// decoder with an encoder before it.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSpec {
    /// `general.architecture`.
    pub arch: String,
    /// Width of the residual stream.
    pub n_embd: usize,
    /// Rows of the embedding and of the output matrix.
    pub n_vocab: usize,
    /// The context length it was trained for.
    pub n_ctx_train: usize,
    /// What its norms divide by.
    pub norm: NormKind,
    /// Epsilon of every norm.
    pub eps: f32,
    /// Factor on embeddings.
    pub embedding_scale: f32,
    /// Name of the embedding table [n_embd, n_vocab].
    pub embedding: String,
    /// Name of a table of learned positions [n_embd, positions], added to embeddings.
    pub positions: Option<String>,
    /// Name of a table of token types [n_embd, types], added to embeddings.
    pub types: Option<String>,
    /// Inputs of each layer's own.
    pub per_layer: Option<PerLayerSpec>,
    /// Norm of embeddings.
    pub embedding_norm: Option<NormSpec>,
    /// What reads a first text, where there is such a thing.
    pub encoder: Option<EncoderSpec>,
    /// Blocks in order.
    pub layers: Vec<LayerSpec>,
    /// Distinct rotary embeddings.
    pub ropes: Vec<Rope>,
    /// Norm of the last block's output.
    pub output_norm: NormSpec,
    /// What its outputs are.
    pub task: Task,
    /// What stands before the output matrix.
    pub transform: Option<TransformSpec>,
    /// Output matrix; the embedding table's name where they are tied. None where the outputs are states.
    pub output: Option<LinearSpec>,
    /// Of which states a vector or scores are made, where the file tells.
    pub pooling: Option<Pooling>,
    /// Names of a classifier's outputs; empty where the file has none.
    pub labels: Vec<String>,
    /// Factor on logits.
    pub logit_scale: f32,
    /// logits = cap * tanh(logits / cap), after the factor
    pub final_softcap: Option<f32>,
}
