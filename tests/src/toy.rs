//! Small random models, whole in every part, for tests of what happens around a model. Keys and tensors can be changed one
//! by one before the file is written, to make models that lie.

use gabion::gguf::{BytesSource, Owned, Writer};
use gabion::quant::TensorType;
use gabion::sample::Rng;
use gabion::{Model, ModelOptions, Result, Runtime};

mod encoder;

pub use encoder::{WORDS, bert, classifier, fills, reranker};

/// Width of the residual stream.
pub const N_EMBD: u64 = 32;
const HEADS: u64 = 4;
const KV_HEADS: u64 = 2;
const HEAD_DIM: u64 = 16;
const N_FF: u64 = 64;
const CONV_TAPS: u64 = 4;
const KEY_HEADS: u64 = 2;
const KEY_DIM: u64 = 20;
const VALUE_HEADS: u64 = 4;
const INNER: u64 = 48;
/// Tokens: 256 bytes in order, then the named ones of `words`.
pub const N_VOCAB: u64 = 264;
/// What the model was trained for.
pub const N_CTX: u32 = 256;
/// The sliding window of `gemma3`.
pub const WINDOW: u32 = 8;

/// The end-of-turn token, which ends a generation.
pub const IM_END: u32 = 257;

/// A tensor: name, type, dimensions, data.
type Tensor = (String, TensorType, Vec<u64>, Vec<u8>);

/// A model file in parts.
#[derive(Clone, Debug)]
pub struct Toy {
    arch: String,
    /// Keys in order.
    pub keys: Vec<(String, Owned)>,
    /// Tensors in order.
    pub tensors: Vec<Tensor>,
}

/// Two layers of `llama`.
pub fn llama() -> Toy {
    Toy::new("llama", 2)
}

/// Three layers of `gemma3`, of which the last is global and the others see `WINDOW` positions.
pub fn gemma3() -> Toy {
    let toy = Toy::new("gemma3", 3);
    toy.set("attention.sliding_window", Owned::U32(WINDOW)).set("attention.sliding_window_pattern", Owned::U32(3))
}

/// Four layers of `qwen35`: gated delta nets (with two value heads to a key head), but the second and the last attend.
pub fn qwen35() -> Toy {
    let keys = [
        ("full_attention_interval", 2),
        ("ssm.conv_kernel", CONV_TAPS),
        ("ssm.state_size", KEY_DIM),
        ("ssm.group_count", KEY_HEADS),
        ("ssm.time_step_rank", VALUE_HEADS),
        ("ssm.inner_size", INNER),
    ];
    keys.iter().fold(Toy::new("qwen35", 4), |toy, &(key, value)| toy.set(key, Owned::U32(value as u32)))
}

/// One of each kind, with the names of their files.
pub fn all() -> [(&'static str, Toy); 5] {
    [
        ("decoder.gguf", llama()),
        ("encoder.gguf", bert()),
        ("classifier.gguf", classifier()),
        ("reranker.gguf", reranker()),
        ("fills.gguf", fills()),
    ]
}

impl Toy {
    fn new(arch: &str, layers: u64) -> Self {
        let mut toy = Self { arch: arch.into(), keys: Vec::new(), tensors: Vec::new() };
        toy.keys.push(("general.architecture".into(), Owned::String(arch.into())));
        for (key, value) in [
            ("block_count", layers),
            ("embedding_length", N_EMBD),
            ("context_length", N_CTX.into()),
            ("feed_forward_length", N_FF),
            ("attention.head_count", HEADS),
            ("attention.head_count_kv", KV_HEADS),
            ("attention.key_length", HEAD_DIM),
            ("attention.value_length", HEAD_DIM),
            ("rope.dimension_count", HEAD_DIM),
        ] {
            toy.keys.push((format!("{arch}.{key}"), Owned::U32(value as u32)));
        }
        toy.keys.push((format!("{arch}.attention.layer_norm_rms_epsilon"), Owned::F32(1e-5)));
        toy.keys.extend(tokenizer());
        let mut rng = Rng::new(7);
        for (name, dims) in shapes(arch, layers) {
            let mut data = random(&mut rng, &dims, name.contains("norm"));
            if name.ends_with("ssm_a") {
                data.chunks_exact_mut(4).for_each(|x| x[3] |= 0x80); // states decay
            }
            toy.tensors.push((name, TensorType::F32, dims, data));
        }
        toy
    }

    /// Sets a key of the architecture (`block_count`), or a full name (`tokenizer.ggml.model`).
    pub fn set(mut self, key: &str, value: Owned) -> Self {
        let known = ["general.", "tokenizer.", "split."].iter().any(|prefix| key.starts_with(prefix));
        let key = if known { key.to_owned() } else { format!("{}.{key}", self.arch) };
        match self.keys.iter_mut().find(|(name, _)| *name == key) {
            Some(entry) => entry.1 = value,
            None => self.keys.push((key, value)),
        }
        self
    }

    /// Says that it is of another family.
    pub fn renamed(mut self, arch: &str) -> Self {
        for (name, value) in &mut self.keys {
            if let Some(key) = name.strip_prefix(&format!("{}.", self.arch)) {
                *name = format!("{arch}.{key}");
            } else if name == "general.architecture" {
                *value = Owned::String(arch.into());
            }
        }
        self.arch = arch.into();
        self
    }

    /// Leaves out keys whose name ends so.
    pub fn without_key(mut self, end: &str) -> Self {
        self.keys.retain(|(name, _)| !name.ends_with(end));
        self
    }

    /// Leaves out the tokenizer.
    pub fn without_tokenizer(mut self) -> Self {
        self.keys.retain(|(name, _)| !name.starts_with("tokenizer."));
        self
    }

    /// Leaves out a tensor.
    pub fn without_tensor(mut self, name: &str) -> Self {
        self.tensors.retain(|tensor| tensor.0 != name);
        self
    }

    /// Replaces (or adds) a tensor: zeros of this type and shape.
    pub fn tensor(self, name: &str, ty: TensorType, dims: &[u64]) -> Self {
        let bytes = ty.row_bytes(dims[0] as usize) as u64 * dims[1..].iter().product::<u64>();
        self.tensor_data(name, ty, dims, vec![0; bytes as usize])
    }

    /// Replaces (or adds) a tensor.
    pub fn tensor_data(mut self, name: &str, ty: TensorType, dims: &[u64], data: Vec<u8>) -> Self {
        self.tensors.retain(|tensor| tensor.0 != name);
        self.tensors.push((name.into(), ty, dims.into(), data));
        self
    }

    /// Makes every element of an F32 tensor this value.
    pub fn fill(mut self, name: &str, value: f32) -> Self {
        for tensor in self.tensors.iter_mut().filter(|tensor| tensor.0 == name) {
            tensor.3.chunks_exact_mut(4).for_each(|element| element.copy_from_slice(&value.to_le_bytes()));
        }
        self
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let file = self.keys.iter().fold(Writer::new(), |file, (key, value)| file.key(key, value.clone()));
        let add = |file: Writer, (name, ty, dims, data): &Tensor| file.tensor(name, *ty, dims, data.clone());
        self.tensors.iter().fold(file, add).to_bytes()
    }

    /// Loads it.
    pub fn load(&self, runtime: &Runtime, options: &ModelOptions) -> Result<Model> {
        load(self.bytes(), runtime, options)
    }
}

/// Loads a model from the bytes of its file.
pub fn load(bytes: Vec<u8>, runtime: &Runtime, options: &ModelOptions) -> Result<Model> {
    pollster::block_on(Model::load(vec![BytesSource::new(bytes)], runtime, options, &mut |_| true))
}

fn shapes(arch: &str, layers: u64) -> Vec<(String, Vec<u64>)> {
    let mut all = vec![("token_embd.weight".to_owned(), vec![N_EMBD, N_VOCAB])];
    for i in 0..layers {
        let mut add = |name: &str, dims: &[u64]| all.push((format!("blk.{i}.{name}"), dims.into()));
        add("attn_norm.weight", &[N_EMBD]);
        if arch == "qwen35" && i % 2 == 0 {
            delta_net(&mut add);
        } else {
            // a gate behind each query head
            let q_width = if arch == "qwen35" { 2 * HEADS * HEAD_DIM } else { HEADS * HEAD_DIM };
            add("attn_q.weight", &[N_EMBD, q_width]);
            add("attn_k.weight", &[N_EMBD, KV_HEADS * HEAD_DIM]);
            add("attn_v.weight", &[N_EMBD, KV_HEADS * HEAD_DIM]);
            add("attn_output.weight", &[HEADS * HEAD_DIM, N_EMBD]);
            if arch != "llama" {
                add("attn_q_norm.weight", &[HEAD_DIM]);
                add("attn_k_norm.weight", &[HEAD_DIM]);
            }
        }
        add(if arch == "qwen35" { "post_attention_norm.weight" } else { "ffn_norm.weight" }, &[N_EMBD]);
        add("ffn_gate.weight", &[N_EMBD, N_FF]);
        add("ffn_up.weight", &[N_EMBD, N_FF]);
        add("ffn_down.weight", &[N_FF, N_EMBD]);
        if arch == "gemma3" {
            add("post_attention_norm.weight", &[N_EMBD]);
            add("post_ffw_norm.weight", &[N_EMBD]);
        }
    }
    all.push(("output_norm.weight".into(), vec![N_EMBD]));
    all.push(("output.weight".into(), vec![N_EMBD, N_VOCAB]));
    all
}

fn delta_net(add: &mut impl FnMut(&str, &[u64])) {
    let channels = 2 * KEY_HEADS * KEY_DIM + INNER;
    add("attn_qkv.weight", &[N_EMBD, channels]);
    add("attn_gate.weight", &[N_EMBD, INNER]);
    add("ssm_beta.weight", &[N_EMBD, VALUE_HEADS]);
    add("ssm_alpha.weight", &[N_EMBD, VALUE_HEADS]);
    add("ssm_conv1d.weight", &[CONV_TAPS, channels]);
    add("ssm_a", &[VALUE_HEADS]);
    add("ssm_dt.bias", &[VALUE_HEADS]);
    add("ssm_norm.weight", &[INNER / VALUE_HEADS]);
    add("ssm_out.weight", &[INNER, N_EMBD]);
}

/// Norms about 1, matrices about 0, large enough that every part matters.
fn random(rng: &mut Rng, dims: &[u64], norm: bool) -> Vec<u8> {
    let mut value = || if norm { 0.75 + 0.5 * rng.next_f64() } else { rng.next_f64() - 0.5 };
    (0..dims.iter().product::<u64>()).flat_map(|_| (value() as f32).to_le_bytes()).collect()
}

/// The named tokens after the bytes.
fn words() -> [&'static str; (N_VOCAB - 256) as usize] {
    ["<|im_start|>", "<|im_end|>", "th", "the", "Ġthe", "in", "ing", "er"]
}

/// How byte-level BPE spells a byte.
pub fn spelled(byte: u8) -> char {
    let plain = |b: u8| matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if plain(byte) {
        return byte as char;
    }
    let before = (0..byte).filter(|&b| !plain(b)).count() as u32;
    char::from_u32(256 + before).expect("a letter")
}

/// A byte-level BPE over `words`, with a chat template.
fn tokenizer() -> Vec<(String, Owned)> {
    let bytes = (0..=255).map(|byte| spelled(byte).to_string());
    let tokens: Vec<String> = bytes.chain(words().map(str::to_owned)).collect();
    let control = |i: usize| i == 256 || i as u32 == IM_END;
    let types = (0..tokens.len()).map(|i| if control(i) { 3 } else { 1 }).collect();
    let merges = ["t h", "th e", "Ġ the", "i n", "in g", "e r"].map(str::to_owned).into();
    let template = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}\
                    {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    [
        ("ggml.model", Owned::String("gpt2".into())),
        ("ggml.pre", Owned::String("smollm".into())),
        ("ggml.tokens", Owned::Strings(tokens)),
        ("ggml.token_type", Owned::I32s(types)),
        ("ggml.merges", Owned::Strings(merges)),
        ("ggml.eos_token_id", Owned::U32(IM_END)),
        ("ggml.add_bos_token", Owned::Bool(false)),
        ("chat_template", Owned::String(template.into())),
    ]
    .map(|(key, value)| (format!("tokenizer.{key}"), value))
    .into()
}
