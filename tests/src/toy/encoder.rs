//! Small random encoders.

use gabion::gguf::Owned;
use gabion::quant::TensorType;
use gabion::sample::Rng;

use super::{HEADS, N_EMBD, N_FF, Toy, random};

/// Positions it has learned.
const N_CTX: u64 = 64;
/// Every token, as WordPiece files have them.
pub const WORDS: [&str; 16] = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "▁the", "▁cat", "▁sat", "▁on", "▁mat", "▁dog", "s", "▁query", "▁:",
    "▁a", "ing",
];

/// Two layers of `bert` with WordPiece, token types and mean pooling.
pub fn bert() -> Toy {
    let mut toy = Toy { arch: "bert".into(), keys: Vec::new(), tensors: Vec::new() };
    toy.keys.push(("general.architecture".into(), Owned::String("bert".into())));
    for (key, value) in [
        ("block_count", 2),
        ("embedding_length", N_EMBD),
        ("context_length", N_CTX),
        ("feed_forward_length", N_FF),
        ("attention.head_count", HEADS),
        ("pooling_type", 1),
    ] {
        toy.keys.push((format!("bert.{key}"), Owned::U32(value as u32)));
    }
    toy.keys.push(("bert.attention.layer_norm_epsilon".into(), Owned::F32(1e-12)));
    toy.keys.extend(tokenizer());
    let mut rng = Rng::new(11);
    for (name, dims) in shapes() {
        let data = random(&mut rng, &dims, name.contains("norm.weight"));
        toy.tensors.push((name, TensorType::F32, dims, data));
    }
    toy
}

/// The same with two labels.
pub fn classifier() -> Toy {
    let labels = Owned::Strings(["bad", "good"].map(str::to_owned).into());
    bert().random_tensor("cls.output.weight", &[N_EMBD, 2]).set("classifier.output_labels", labels)
}

/// The same with a dense layer and one score.
pub fn reranker() -> Toy {
    bert().random_tensor("cls.weight", &[N_EMBD, N_EMBD]).random_tensor("cls.output.weight", &[N_EMBD, 1])
}

/// The same with a masked language model's head.
pub fn fills() -> Toy {
    bert().random_tensor("mlm.dense.weight", &[N_EMBD, N_EMBD]).random_tensor("mlm.norm.weight", &[N_EMBD])
}

impl Toy {
    /// Adds an F32 tensor with random elements.
    pub fn random_tensor(self, name: &str, dims: &[u64]) -> Self {
        let data = random(&mut Rng::new(dims.iter().sum()), dims, false);
        self.tensor_data(name, TensorType::F32, dims, data)
    }

    /// The elements of an F32 tensor.
    pub fn elements(&self, name: &str) -> Vec<f32> {
        let tensor = self.tensors.iter().find(|tensor| tensor.0 == name).expect("a tensor of the toy");
        tensor.3.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    }
}

fn shapes() -> Vec<(String, Vec<u64>)> {
    let mut all = vec![
        ("token_embd.weight".to_owned(), vec![N_EMBD, WORDS.len() as u64]),
        ("position_embd.weight".into(), vec![N_EMBD, N_CTX]),
        ("token_types.weight".into(), vec![N_EMBD, 2]),
        ("token_embd_norm.weight".into(), vec![N_EMBD]),
        ("token_embd_norm.bias".into(), vec![N_EMBD]),
    ];
    for i in 0..2 {
        let mut linear = |name: &str, inputs: u64, outputs: u64| {
            all.push((format!("blk.{i}.{name}.weight"), vec![inputs, outputs]));
            all.push((format!("blk.{i}.{name}.bias"), vec![outputs]));
        };
        for name in ["attn_q", "attn_k", "attn_v", "attn_output"] {
            linear(name, N_EMBD, N_EMBD);
        }
        linear("ffn_up", N_EMBD, N_FF);
        linear("ffn_down", N_FF, N_EMBD);
        for norm in ["attn_output_norm", "layer_output_norm"] {
            all.extend(["weight", "bias"].map(|part| (format!("blk.{i}.{norm}.{part}"), vec![N_EMBD])));
        }
    }
    all
}

fn tokenizer() -> Vec<(String, Owned)> {
    let types = (0..WORDS.len()).map(|i| if i < 5 { 3 } else { 1 }).collect();
    let mut keys = vec![
        ("model".to_owned(), Owned::String("bert".into())),
        ("tokens".into(), Owned::Strings(WORDS.map(str::to_owned).into())),
        ("token_type".into(), Owned::I32s(types)),
        ("token_type_count".into(), Owned::U32(2)),
    ];
    for (i, name) in ["padding", "unknown", "cls", "seperator", "mask"].into_iter().enumerate() {
        keys.push((format!("{name}_token_id"), Owned::U32(i as u32)));
    }
    keys.into_iter().map(|(key, value)| (format!("tokenizer.ggml.{key}"), value)).collect()
}
