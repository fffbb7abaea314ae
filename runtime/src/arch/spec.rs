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
}

/// The gate's activation in a gated feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x * sigmoid(x)
    Silu,
    /// The tanh approximation of GELU, as ggml computes it.
    GeluTanh,
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

/// Self-attention of one layer.
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
    /// Position q sees positions k with q - k < window.
    pub window: Option<usize>,
    /// Index into `ModelSpec::ropes`.
    pub rope: usize,
    /// Name of the RMS norm weight applied to each query head before rope.
    pub q_norm: Option<String>,
    /// The same for keys.
    pub k_norm: Option<String>,
    /// Query, key and value projections in this order: three matrices, or one with the rows of all.
    pub qkv: Vec<LinearSpec>,
    /// Output projection.
    pub o: LinearSpec,
}

/// A gated feed-forward layer: down(act(gate x) * up x).
#[derive(Clone, Debug, PartialEq)]
pub struct FfnSpec {
    /// Gate and up projections in this order: two matrices, or one with the rows of both.
    pub gate_up: Vec<LinearSpec>,
    /// Down projection.
    pub down: LinearSpec,
    /// Activation of the gate.
    pub activation: Activation,
}

/// One block: x += post(attn(pre(x))); x += post(ffn(pre(x))). A missing post norm is the identity.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerSpec {
    /// Norm before attention.
    pub attn_norm: String,
    /// Norm of attention's output (sandwich).
    pub attn_post_norm: Option<String>,
    /// Attention.
    pub attention: AttentionSpec,
    /// Norm before the feed-forward layer.
    pub ffn_norm: String,
    /// Norm of the feed-forward layer's output (sandwich).
    pub ffn_post_norm: Option<String>,
    /// Feed-forward layer.
    pub ffn: FfnSpec,
}

/// A decoder-only model.
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
    /// Epsilon of every RMS norm.
    pub rms_eps: f32,
    /// Factor on embeddings.
    pub embedding_scale: f32,
    /// Name of the embedding table [n_embd, n_vocab].
    pub embedding: String,
    /// Blocks in order.
    pub layers: Vec<LayerSpec>,
    /// Distinct rotary embeddings.
    pub ropes: Vec<Rope>,
    /// Norm before the output matrix.
    pub output_norm: String,
    /// Output matrix; the embedding table's name where they are tied.
    pub output: LinearSpec,
    /// logits = cap * tanh(logits / cap)
    pub final_softcap: Option<f32>,
}
