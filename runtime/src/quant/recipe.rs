//! Recipes: which type each tensor of a quantized model gets. Names, mixtures and ids are llama.cpp's, so that a file made here
//! holds what its name promises everywhere.

use super::TensorType;
use super::TensorType::*;

/// Names, the file's `general.file_type`, and the type of most matrices. A name without a suffix stands for `_M`.
const TABLE: &[(&str, u32, TensorType)] = &[
    ("F32", 0, F32),
    ("F16", 1, F16),
    ("BF16", 32, BF16),
    ("Q4_0", 2, Q4_0),
    ("Q4_1", 3, Q4_1),
    ("Q5_0", 8, Q5_0),
    ("Q5_1", 9, Q5_1),
    ("Q8_0", 7, Q8_0),
    ("Q2_K", 10, Q2_K),
    ("Q3_K_S", 11, Q3_K),
    ("Q3_K_M", 12, Q3_K),
    ("Q3_K_L", 13, Q3_K),
    ("Q4_K_S", 14, Q4_K),
    ("Q4_K_M", 15, Q4_K),
    ("Q5_K_S", 16, Q5_K),
    ("Q5_K_M", 17, Q5_K),
    ("Q6_K", 18, Q6_K),
    ("IQ4_NL", 25, IQ4_NL),
    ("IQ4_XS", 30, IQ4_XS),
    ("TQ1_0", 36, TQ1_0),
    ("TQ2_0", 37, TQ2_0),
];

/// Matrices that stay as they are: small, or too delicate.
const KEPT: &[&str] = &[
    "_norm.weight",
    "ffn_gate_inp",
    "position_embd.",
    "token_types.",
    "ssm_conv1d.",
    "shortconv.conv.",
    "attn_rel_b.",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "time_mix_first.",
    "time_mix_lerp_",
    "time_mix_decay_w",
    "time_mix_w1.",
    "time_mix_w2.",
    "time_mix_a1.",
    "time_mix_a2.",
    "time_mix_v1.",
    "time_mix_v2.",
    "time_mix_g1.",
    "time_mix_g2.",
    ".patch_embd",
    ".position_embd",
];

/// One of the ways to quantize a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipe(&'static (&'static str, u32, TensorType));

/// What a recipe asks about a model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shape {
    /// Layers.
    pub layers: usize,
    /// Query heads per key-value head.
    pub group: usize,
    /// Whether the embedding table is also the output matrix.
    pub tied: bool,
    /// Whether it is of the `falcon` family, whose output matrix is kept in 8 bits.
    pub falcon: bool,
    /// Experts per layer; 0 if there are none.
    pub experts: usize,
}

/// What a matrix does, where that matters.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Output,
    Embedding,
    Value,
    Key,
    Qkv,
    AttentionOutput,
    Down,
    Other,
}

impl Recipe {
    /// Every recipe.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(Self)
    }

    /// The recipe of a name, whatever its case.
    pub fn named(name: &str) -> Option<Self> {
        let medium = format!("{name}_M");
        let find = |name: &str| TABLE.iter().find(|row| row.0.eq_ignore_ascii_case(name)).map(Self);
        find(name).or_else(|| find(&medium))
    }

    /// Its name, e.g. `Q4_K_M`.
    pub fn name(self) -> &'static str {
        self.0.0
    }

    /// The value of `general.file_type`.
    pub fn file_type(self) -> u32 {
        self.0.1
    }

    /// The type of tensor `name` with `dims`, the row length first; `None` if it stays as it is.
    pub fn choose(self, name: &str, dims: &[u64], shape: &Shape) -> Option<TensorType> {
        let kept = dims.len() < 2 || !name.ends_with("weight") || KEPT.iter().any(|part| name.contains(part));
        if kept {
            return None;
        }
        let base = self.0.2;
        let wanted = if base.block_len() == 1 { base } else { self.mixed(name, dims[0], shape) };
        Some(fitting(wanted, dims[0]))
    }

    fn mixed(self, name: &str, cols: u64, shape: &Shape) -> TensorType {
        let base = self.0.2;
        let layer = layer(name);
        let most = shape.layers;
        let better = layer < most / 8 || layer >= 7 * most / 8 || (layer - most / 8) % 3 == 2;
        let role = role(name, shape.tied);
        match (role, self.name()) {
            (Role::Output, _) if shape.falcon || !cols.is_multiple_of(256) => Q8_0,
            (Role::Output, _) if base != Q8_0 => Q6_K,
            (Role::Embedding, "TQ1_0" | "TQ2_0") => Q4_K,
            (Role::Value | Role::Key, _) if shape.experts == 8 => Q8_0,
            (Role::Value, "Q2_K") => [Q3_K, Q4_K][usize::from(shape.group >= 4)],
            (Role::Value, "Q3_K_M") => [Q4_K, Q5_K][usize::from(layer < 2)],
            (Role::Value, "Q4_K_M" | "Q5_K_M") if better => Q6_K,
            (Role::Value, "Q4_K_S") if layer < 4 => Q5_K,
            (Role::Value, "IQ4_NL" | "IQ4_XS") if shape.group >= 4 => Q5_K,
            (Role::Value, "Q3_K_L") => Q5_K,
            // 70B models share v among so many heads that it costs little
            (Role::Value, "Q3_K_S" | "Q4_K_S" | "Q4_K_M") if most == 80 && shape.group > 1 => Q5_K,
            (Role::Down, "Q2_K") => Q3_K,
            (Role::Down, "Q3_K_M") if layer < most / 16 => Q5_K,
            (Role::Down, "Q3_K_M") if !shape.falcon || better => Q4_K,
            (Role::Down, "Q3_K_L") => [Q5_K, Q4_K][usize::from(shape.falcon)],
            (Role::Down, "Q4_K_M") if shape.falcon && layer < most / 16 => Q6_K,
            (Role::Down, "Q4_K_M") if shape.falcon && better => Q5_K,
            (Role::Down, "Q4_K_M") if shape.falcon => Q4_K,
            (Role::Down, "Q4_K_M" | "Q5_K_M") if better => Q6_K,
            (Role::Down, "Q4_K_S" | "IQ4_NL" | "IQ4_XS") if layer < most / 8 && !shape.falcon => Q5_K,
            (Role::AttentionOutput, "Q2_K" | "Q3_K_S" | "Q3_K_M" | "Q4_K_S" | "Q4_K_M" | "IQ4_NL" | "IQ4_XS")
                if shape.experts == 8 && !shape.falcon =>
            {
                Q5_K
            }
            (Role::AttentionOutput, "Q2_K") if !shape.falcon => Q3_K,
            (Role::AttentionOutput, "Q3_K_M") if !shape.falcon => Q4_K,
            (Role::AttentionOutput, "Q3_K_L") if !shape.falcon => Q5_K,
            (Role::Qkv, "Q3_K_M" | "Q3_K_L") => Q4_K,
            (Role::Qkv, "Q4_K_M") => Q5_K,
            (Role::Qkv, "Q5_K_M") => Q6_K,
            _ => base,
        }
    }
}

fn role(name: &str, tied: bool) -> Role {
    let part = |end: &str| name.ends_with(end);
    match name {
        "output.weight" => Role::Output,
        "token_embd.weight" if tied => Role::Output,
        "token_embd.weight" => Role::Embedding,
        _ if part("attn_v.weight") => Role::Value,
        _ if part("attn_k.weight") => Role::Key,
        _ if part("attn_qkv.weight") => Role::Qkv,
        _ if part("attn_output.weight") => Role::AttentionOutput,
        _ if name.contains("ffn_down") => Role::Down,
        _ => Role::Other,
    }
}

/// The number in `blk.<number>.`; 0 elsewhere.
fn layer(name: &str) -> usize {
    let number = name.strip_prefix("blk.").and_then(|rest| rest.split('.').next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The type, or the nearest of which rows of `cols` elements are whole blocks.
fn fitting(ty: TensorType, cols: u64) -> TensorType {
    if cols.is_multiple_of(ty.block_len() as u64) {
        return ty;
    }
    let smaller = match ty {
        Q2_K | Q3_K | TQ1_0 | TQ2_0 => Q4_0,
        IQ4_XS => IQ4_NL,
        Q4_K => Q5_0,
        Q5_K => Q5_1,
        Q6_K => Q8_0,
        _ => F16,
    };
    fitting(smaller, cols)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LLAMA: Shape = Shape { layers: 32, group: 4, tied: false, falcon: false, experts: 0 };

    fn of(recipe: &str, name: &str, cols: u64) -> Option<TensorType> {
        Recipe::named(recipe).expect("a name").choose(name, &[cols, 32], &LLAMA)
    }

    #[test]
    fn names_are_found() {
        assert_eq!(Recipe::named("q4_k").map(Recipe::name), Some("Q4_K_M"));
        assert_eq!(Recipe::named("Q6_K").map(Recipe::file_type), Some(18));
        assert!(Recipe::named("Q9_K").is_none() && Recipe::named("").is_none());
        assert!(Recipe::all().all(|recipe| Recipe::named(recipe.name()) == Some(recipe)));
    }

    #[test]
    fn mixtures_are_llama_cpps() {
        let downs = |recipe| (0..32).map(|i| of(recipe, &format!("blk.{i}.ffn_down.weight"), 256)).collect::<Vec<_>>();
        assert_eq!(downs("Q4_K_M").iter().filter(|ty| **ty == Some(Q6_K)).count(), 16);
        assert_eq!(downs("Q4_K_S")[..5], [Some(Q5_K), Some(Q5_K), Some(Q5_K), Some(Q5_K), Some(Q4_K)]);
        assert_eq!(of("Q4_0", "output.weight", 512), Some(Q6_K));
        assert_eq!(of("Q4_0", "output.weight", 320), Some(Q8_0));
        assert_eq!(of("F16", "output.weight", 512), Some(F16));
        assert_eq!(of("Q4_K_M", "blk.9.attn_q.weight", 576), Some(Q5_0));
        assert_eq!(of("Q4_K_M", "blk.9.attn_q.weight", 50), Some(F16));
        assert_eq!(of("Q4_K_M", "blk.9.attn_norm.weight", 256), None);
        assert_eq!(of("Q4_K_M", "blk.9.attn_q.bias", 256), None);
        assert_eq!(of("Q4_K_M", "blk.9.time_mix_value.weight", 256), Some(Q4_K));
        assert_eq!(of("Q4_K_M", "blk.9.time_mix_v2.weight", 256), None);
    }
}
