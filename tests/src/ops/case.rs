//! What a case file says.
//!
//! A file has a tolerance for exact precision, one for fast (where activations may be int8), one for products in f16, and
//! `[[case]]` tables. A
//! parameter given as an array stands for one case per element; several arrays, for every combination. `ty = "all"` is
//! every type gabion computes with.

#[cfg(feature = "gpu")]
use gabion::device::gpu::Level;
use gabion::device::{KvType, Precision};
use gabion::quant::{self, TensorType};
use serde::Deserialize;
use toml::{Table, Value};

/// How far an answer may be off: an element by abs * `Built::scale` + rel * |expected|, the
/// whole by mean squares.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Tolerance {
    pub abs: f64,
    pub rel: f64,
    pub nmse: f64,
}

/// Where the residual comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Add {
    #[default]
    None,
    /// From another buffer.
    Other,
    /// From the output itself.
    InPlace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Style {
    Norm,
    Neox,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Act {
    Silu,
    GeluTanh,
    GeluErf,
    Relu,
    ReluSquared,
    Sigmoid,
    Tanh,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Rms,
    Layer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kv {
    F16,
    F32,
    #[serde(rename = "q8_0")]
    Q8,
    #[serde(rename = "q4_0")]
    Q4,
}

impl Kv {
    pub(super) fn device(self) -> KvType {
        match self {
            Kv::F16 => KvType::F16,
            Kv::F32 => KvType::F32,
            Kv::Q8 => KvType::Q8_0,
            Kv::Q4 => KvType::Q4_0,
        }
    }

    /// The type of blocks that keys and values are stored in, if it is one.
    pub(super) fn blocks(self) -> Option<TensorType> {
        match self {
            Kv::F16 | Kv::F32 => None,
            Kv::Q8 => Some(TensorType::Q8_0),
            Kv::Q4 => Some(TensorType::Q4_0),
        }
    }
}

/// What chooses the rows of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum By {
    #[default]
    Token,
    Position,
    Type,
}

/// A layer's attention; defaults are the plainest.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Layer {
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) head_dim: usize,
    /// 0 is none.
    #[serde(default)]
    pub(super) window: usize,
    /// Whether a row sees what comes after it, too; then these are texts.
    #[serde(default)]
    pub(super) both_ways: bool,
    pub(super) style: Style,
    /// Rotated dimensions; default all.
    pub(super) n_rot: Option<usize>,
    #[serde(default)]
    pub(super) factors: bool,
    #[serde(default = "one")]
    pub(super) magnitude: f32,
    #[serde(default)]
    pub(super) norms: bool,
    /// 0 is none.
    #[serde(default)]
    pub(super) softcap: f32,
    /// 0 is none.
    #[serde(default)]
    pub(super) alibi: f32,
    #[serde(default)]
    pub(super) sinks: bool,
    /// Buckets of biases by distance.
    #[serde(default)]
    pub(super) relative: usize,
    /// Whether keys and values are those of an earlier layer.
    #[serde(default)]
    pub(super) borrowed: bool,
    /// Whether values are the keys.
    #[serde(default)]
    pub(super) keys_only: bool,
    pub(super) kv: Kv,
    /// Rows of each batch, one after another; or of each text.
    pub(super) batches: Vec<usize>,
    /// Whether these are whole texts in one batch.
    #[serde(default)]
    pub(super) texts: bool,
    /// Position of the first row.
    #[serde(default)]
    pub(super) pos: usize,
}

fn one_part() -> usize {
    1
}

fn one() -> f32 {
    1.0
}

/// A mixture of experts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MixtureCase {
    pub(super) ty: String,
    pub(super) cols: usize,
    pub(super) rows: usize,
    pub(super) experts: usize,
    pub(super) used: usize,
    pub(super) n: usize,
    #[serde(default)]
    pub(super) bias: bool,
    #[serde(default)]
    pub(super) sigmoid: bool,
    #[serde(default)]
    pub(super) normalized: bool,
    /// Factor on the probabilities.
    #[serde(default = "one")]
    pub(super) scale: f32,
    /// Whether something is added to probabilities for choosing.
    #[serde(default)]
    pub(super) merits: bool,
    /// Groups (0: none), of which `open` are chosen from, those with the best sum of `best` experts.
    #[serde(default)]
    pub(super) groups: usize,
    #[serde(default)]
    pub(super) open: usize,
    #[serde(default)]
    pub(super) best: usize,
}

/// The op and its parameters. `n` is rows per batch.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum OpCase {
    /// Rows of a table of positions or of types are added to rows of an F32 table of tokens.
    Embed {
        ty: String,
        cols: usize,
        scale: f32,
        #[serde(default)]
        by: By,
        n: usize,
        /// Rows of each of several texts.
        #[serde(default)]
        texts: Vec<usize>,
    },
    Norm {
        kind: Kind,
        cols: usize,
        n: usize,
        #[serde(default)]
        add: Add,
        #[serde(default)]
        bias: bool,
    },
    /// Parts of `cols` columns between others.
    NormPart {
        before: usize,
        cols: usize,
        #[serde(default = "one_part")]
        parts: usize,
        /// Whether all parts have the same weight.
        #[serde(default)]
        shared: bool,
        /// Whether there are no weights.
        #[serde(default)]
        plain: bool,
        /// Whether it is a layer norm with biases, of another epsilon than the plan's.
        #[serde(default)]
        layer: bool,
        after: usize,
        n: usize,
    },
    /// `rows`: of each matrix side by side.
    MatMul {
        ty: String,
        rows: Vec<usize>,
        cols: usize,
        n: usize,
        #[serde(default)]
        bias: bool,
        #[serde(default)]
        add: Add,
    },
    /// RMS norm and MatMul, then Activate of two equal matrices where there is an activation.
    NormMatMul {
        ty: String,
        rows: Vec<usize>,
        cols: usize,
        n: usize,
        #[serde(default)]
        bias: bool,
        activation: Option<Act>,
    },
    /// Scores by a random matrix, Route, Experts of `rows` outputs, Experts of `cols`, Combine.
    Mixture(MixtureCase),
    /// Each of `heads` matrices takes `cols` columns to `rows` columns, with `gap` columns before each.
    Heads {
        ty: String,
        cols: usize,
        rows: usize,
        heads: usize,
        gap: usize,
        n: usize,
    },
    /// `width` columns.
    Take {
        width: usize,
        from_first: usize,
        from_len: usize,
        from_step: usize,
        to_first: usize,
        to_len: usize,
        to_step: usize,
        n: usize,
    },
    /// The q heads after rope.
    RopeStore(Layer),
    Attention(Layer),
    Activate {
        cols: usize,
        activation: Act,
        gated: bool,
        n: usize,
    },
    /// Of `channels` columns, after `before` others.
    Conv {
        channels: usize,
        taps: usize,
        #[serde(default)]
        before: usize,
        #[serde(default)]
        gated: bool,
        #[serde(default)]
        bias: bool,
        #[serde(default)]
        silu: bool,
        batches: Vec<usize>,
    },
    Scan {
        heads: usize,
        head_dim: usize,
        groups: usize,
        n_state: usize,
        /// Whether each state has a rate of its own.
        #[serde(default)]
        rates: bool,
        batches: Vec<usize>,
    },
    /// `shared`: value heads of a key head.
    DeltaRule {
        key_heads: usize,
        shared: usize,
        key_dim: usize,
        value_dim: usize,
        tiled: bool,
        batches: Vec<usize>,
    },
    /// Steps towards the row before, or another (`shifted`), by a weight, by a buffer's columns, or by both.
    Lerp {
        cols: usize,
        weight: bool,
        by: bool,
        shifted: bool,
        batches: Vec<usize>,
    },
    /// `delta`: RWKV-7.
    Wkv {
        heads: usize,
        dim: usize,
        delta: bool,
        batches: Vec<usize>,
    },
    /// `parts` side by side, by one weight for each column.
    Combine {
        cols: usize,
        parts: usize,
        sigmoid: bool,
        n: usize,
    },
    /// Gates in runs of `len` columns, `step` apart.
    Gate {
        cols: usize,
        len: usize,
        step: usize,
        sigmoid: bool,
        n: usize,
    },
    /// A cap of 0 is none.
    Scale {
        cols: usize,
        factor: f32,
        /// Whether a weight is another factor.
        #[serde(default)]
        by: bool,
        cap: f32,
        /// Whether the cap cuts.
        #[serde(default)]
        hard: bool,
        n: usize,
    },
}

/// One op with its parameters, its random inputs' seed, and how far off an answer may be.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its parameters, as text.
    pub name: String,
    /// Seed of its random inputs.
    pub seed: u64,
    /// Tolerance at `Precision::Exact`.
    pub exact: Tolerance,
    /// Tolerance at `Precision::Fast`.
    pub fast: Tolerance,
    /// Tolerance where products are made in f16.
    pub half: Tolerance,
    pub(super) op: OpCase,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    exact: Tolerance,
    fast: Option<Tolerance>,
    half: Option<Tolerance>,
    case: Vec<Table>,
}

impl Case {
    /// How far an answer at this precision may be off.
    pub fn tolerance(&self, precision: Precision) -> &Tolerance {
        match precision {
            Precision::Fast => &self.fast,
            Precision::Exact => &self.exact,
        }
    }

    /// The same with what a level of the GPU's products allows at `Precision::Fast`.
    #[cfg(feature = "gpu")]
    pub fn at_level(self, level: Level) -> Self {
        let fast = match level {
            Level::Base | Level::Subgroup | Level::Texel => self.exact,
            Level::Int8 => self.fast,
            Level::F16 | Level::Matrix => self.half,
        };
        Self { fast, ..self }
    }
}

const FILES: &[&str] = &[
    include_str!("../../cases/embed.toml"),
    include_str!("../../cases/norm.toml"),
    include_str!("../../cases/mat_mul.toml"),
    include_str!("../../cases/norm_mat_mul.toml"),
    include_str!("../../cases/mixture.toml"),
    include_str!("../../cases/heads.toml"),
    include_str!("../../cases/take.toml"),
    include_str!("../../cases/rope_store.toml"),
    include_str!("../../cases/attention.toml"),
    include_str!("../../cases/attention_f32.toml"),
    include_str!("../../cases/attention_quant.toml"),
    include_str!("../../cases/activate.toml"),
    include_str!("../../cases/scale.toml"),
    include_str!("../../cases/recurrent.toml"),
    include_str!("../../cases/embed_texts.toml"),
];

/// All cases whose name contains `filter`; a filter that finds none is a mistake.
pub fn cases(filter: &str) -> Vec<Case> {
    let all = FILES.iter().flat_map(|text| parse(text).unwrap_or_else(|e| panic!("{e}")));
    let found: Vec<Case> = all.filter(|case| case.name.contains(filter)).collect();
    assert!(!found.is_empty(), "no case's name contains '{filter}'");
    found
}

/// The cases of one file.
pub fn parse(text: &str) -> Result<Vec<Case>, toml::de::Error> {
    let file: File = toml::from_str(text)?;
    let tables = file.case.into_iter().flat_map(expand);
    let cases = tables.enumerate().map(|(i, table)| {
        let name = name(&table);
        let op: OpCase = table.try_into()?;
        let or_exact = |tolerance: Option<Tolerance>| tolerance.unwrap_or(file.exact);
        let (fast, half) = (or_exact(file.fast), or_exact(file.half));
        Ok(Case { name, seed: i as u64, exact: file.exact, fast, half, op })
    });
    Ok(cases.collect::<Result<Vec<_>, _>>()?.into_iter().filter(|case| fits(&case.op)).collect())
}

/// Every combination of a table's array elements.
fn expand(mut table: Table) -> Vec<Table> {
    if table.get("ty").and_then(Value::as_str) == Some("all") {
        let names = quant::SUPPORTED.iter().map(|ty| Value::from(ty.name()));
        table.insert("ty".into(), Value::Array(names.collect()));
    }
    let keys: Vec<String> = table.iter().filter(|(_, v)| v.is_array()).map(|(k, _)| k.clone()).collect();
    let mut all = vec![table];
    for key in keys {
        let with = |table: Table| {
            let values = table[&key].as_array().cloned().unwrap_or_default();
            let key = key.clone();
            values.into_iter().map(move |value| {
                let mut table = table.clone();
                table.insert(key.clone(), value);
                table
            })
        };
        all = all.into_iter().flat_map(with).collect();
    }
    all
}

fn name(table: &Table) -> String {
    let op = table.get("op").and_then(Value::as_str).unwrap_or("?");
    // text stands without its quotes
    let shown = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    let rest = table.iter().filter(|(k, _)| *k != "op").map(|(k, v)| format!(" {k}={}", shown(v)));
    format!("{op}{}", rest.collect::<String>())
}

/// Whether rows of `cols` elements consist of whole blocks of the type.
fn fits(op: &OpCase) -> bool {
    match op {
        OpCase::Embed { ty, cols, .. }
        | OpCase::MatMul { ty, cols, .. }
        | OpCase::NormMatMul { ty, cols, .. }
        | OpCase::Mixture(MixtureCase { ty, cols, .. })
        | OpCase::Heads { ty, cols, .. } => cols % tensor_type(ty).block_len() == 0,
        _ => true,
    }
}

/// The type of that name.
pub(super) fn tensor_type(name: &str) -> TensorType {
    let found = quant::SUPPORTED.iter().find(|ty| ty.name() == name);
    *found.unwrap_or_else(|| panic!("no supported type is named {name}"))
}
