//! Models with the shapes of well-known ones and random weights, made while they are loaded: speed depends on shapes and
//! types alone, so a machine needs no model file to be measured.

use std::collections::HashMap;
use std::io;

use gabion::gguf::{Owned, Source, Writer};
use gabion::quant::{SUPPORTED, TensorType};

use super::noise::{Role, pattern};
use crate::failure::Failure;

/// The sizes of a model.
struct Shape {
    name: &'static str,
    arch: &'static str,
    n_embd: u64,
    layers: u64,
    heads: u64,
    kv_heads: u64,
    head_dim: u64,
    n_ff: u64,
    n_vocab: u64,
    /// Whether the embedding is the output matrix, too.
    tied: bool,
    n_ctx: u64,
    rope_base: f32,
}

const LLAMA: Shape = Shape {
    name: "llama-8b",
    arch: "llama",
    n_embd: 4096,
    layers: 32,
    heads: 32,
    kv_heads: 8,
    head_dim: 128,
    n_ff: 14336,
    n_vocab: 128256,
    tied: false,
    n_ctx: 131072,
    rope_base: 5e5,
};

const SHAPES: &[Shape] = &[
    Shape {
        name: "smollm2-135m",
        n_embd: 576,
        layers: 30,
        heads: 9,
        kv_heads: 3,
        head_dim: 64,
        n_ff: 1536,
        n_vocab: 49152,
        tied: true,
        n_ctx: 8192,
        rope_base: 1e5,
        ..LLAMA
    },
    Shape {
        name: "gemma3-1b",
        arch: "gemma3",
        n_embd: 1152,
        layers: 26,
        heads: 4,
        kv_heads: 1,
        head_dim: 256,
        n_ff: 6912,
        n_vocab: 262144,
        tied: true,
        n_ctx: 32768,
        rope_base: 1e6,
    },
    Shape {
        name: "qwen3-0.6b",
        arch: "qwen3",
        n_embd: 1024,
        layers: 28,
        heads: 16,
        n_ff: 3072,
        n_vocab: 151936,
        tied: true,
        n_ctx: 40960,
        rope_base: 1e6,
        ..LLAMA
    },
    Shape { name: "llama-1b", n_embd: 2048, layers: 16, head_dim: 64, n_ff: 8192, tied: true, ..LLAMA },
    Shape { name: "llama-3b", n_embd: 3072, layers: 28, heads: 24, n_ff: 8192, tied: true, ..LLAMA },
    LLAMA,
];

/// Window of gemma3's local layers.
const WINDOW: u32 = 512;

/// A model file that exists only as it is read.
#[derive(Clone)]
pub(crate) struct Synthetic {
    /// `SHAPE:TYPE`.
    name: String,
    head: Vec<u8>,
    /// Where each tensor lies, and its pattern.
    tensors: Vec<(std::ops::Range<u64>, (TensorType, Role))>,
    patterns: HashMap<(TensorType, Role), Vec<u8>>,
}

impl Synthetic {
    /// From `SHAPE:TYPE`, e.g. `llama-8b:Q4_K`.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let (shape, ty) = text.split_once(':').unwrap_or((text, "Q4_K"));
        let found = SHAPES.iter().find(|known| known.name.eq_ignore_ascii_case(shape));
        let names = || SHAPES.iter().map(|shape| shape.name).collect::<Vec<_>>().join(", ");
        let shape =
            found.ok_or_else(|| Failure::Usage(format!("no shape is called '{shape}'; there are {}", names())))?;
        let found = SUPPORTED.iter().find(|known| known.name().eq_ignore_ascii_case(ty));
        let names = || SUPPORTED.iter().map(|ty| ty.name()).collect::<Vec<_>>().join(", ");
        let ty = found.ok_or_else(|| Failure::Usage(format!("no type is called '{ty}'; there are {}", names())))?;
        Self::new(shape, *ty).ok_or_else(|| Failure::Other(format!("no random weights are known for {}", ty.name())))
    }

    fn new(shape: &Shape, ty: TensorType) -> Option<Self> {
        let name = format!("{}:{}", shape.name, ty.name());
        let mut file = keys(shape, &name).into_iter().fold(Writer::new(), |file, (key, value)| file.key(&key, value));
        let (mut tensors, mut patterns, mut at) = (Vec::new(), HashMap::new(), 0u64);
        for (name, dims) in shapes(shape) {
            let kind = match &dims[..] {
                [_] => (TensorType::F32, Role::Norm),
                // rows that are no whole blocks
                [cols, ..] if !cols.is_multiple_of(ty.block_len() as u64) => (TensorType::Q8_0, Role::Matrix),
                _ => (ty, Role::Matrix),
            };
            file = file.shape(&name, kind.0, &dims);
            let bytes = kind.0.row_bytes(dims[0] as usize) as u64 * dims[1..].iter().product::<u64>();
            tensors.push((at..at + bytes, kind));
            at = (at + bytes).next_multiple_of(32);
            if let std::collections::hash_map::Entry::Vacant(entry) = patterns.entry(kind) {
                entry.insert(pattern(kind.0, kind.1)?);
            }
        }
        let head = file.head().expect("the default alignment is a power of two");
        let start = head.len() as u64;
        tensors.iter_mut().for_each(|(range, _)| *range = range.start + start..range.end + start);
        Some(Self { name, head, tensors, patterns })
    }

    /// Bytes from `offset` on, up to the end of the tensor (or gap) that it lies in.
    fn piece(&self, offset: u64, out: &mut [u8]) -> usize {
        let at = offset as usize;
        if at < self.head.len() {
            let n = out.len().min(self.head.len() - at);
            out[..n].copy_from_slice(&self.head[at..at + n]);
            return n;
        }
        let index = self.tensors.partition_point(|(range, _)| range.end <= offset);
        let (range, kind) = &self.tensors[index.min(self.tensors.len() - 1)];
        if offset < range.start || offset >= range.end {
            let n = if offset < range.start { (range.start - offset) as usize } else { out.len() };
            let n = n.min(out.len());
            out[..n].fill(0);
            return n;
        }
        let pattern = &self.patterns[kind];
        let from = ((offset - range.start) % pattern.len() as u64) as usize;
        let n = out.len().min((range.end - offset) as usize).min(pattern.len() - from);
        out[..n].copy_from_slice(&pattern[from..from + n]);
        n
    }
}

impl Source for Synthetic {
    fn len(&self) -> Option<u64> {
        self.tensors.last().map(|(range, _)| range.end)
    }

    async fn read(&mut self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let len = len.min(self.len().unwrap_or(0).saturating_sub(offset) as usize);
        let mut bytes = vec![0; len];
        let mut done = 0;
        while done < len {
            done += self.piece(offset + done as u64, &mut bytes[done..]);
        }
        Ok(bytes)
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

fn keys(shape: &Shape, name: &str) -> Vec<(String, Owned)> {
    let number = |value: u64| Owned::U32(value as u32);
    let mut keys = vec![
        ("general.architecture".to_owned(), Owned::String(shape.arch.into())),
        ("general.name".to_owned(), Owned::String(name.into())),
    ];
    for (key, value) in [
        ("block_count", number(shape.layers)),
        ("embedding_length", number(shape.n_embd)),
        ("context_length", number(shape.n_ctx)),
        ("feed_forward_length", number(shape.n_ff)),
        ("attention.head_count", number(shape.heads)),
        ("attention.head_count_kv", number(shape.kv_heads)),
        ("attention.key_length", number(shape.head_dim)),
        ("attention.value_length", number(shape.head_dim)),
        ("rope.dimension_count", number(shape.head_dim)),
        ("rope.freq_base", Owned::F32(shape.rope_base)),
        ("attention.layer_norm_rms_epsilon", Owned::F32(1e-5)),
    ] {
        keys.push((format!("{}.{key}", shape.arch), value));
    }
    if shape.arch == "gemma3" {
        keys.push(("gemma3.attention.sliding_window".into(), Owned::U32(WINDOW)));
    }
    keys
}

/// Names and dimensions of all tensors.
fn shapes(s: &Shape) -> Vec<(String, Vec<u64>)> {
    let (q, kv) = (s.heads * s.head_dim, s.kv_heads * s.head_dim);
    let mut all = vec![("token_embd.weight".to_owned(), vec![s.n_embd, s.n_vocab])];
    for i in 0..s.layers {
        let mut add = |name: &str, dims: &[u64]| all.push((format!("blk.{i}.{name}.weight"), dims.into()));
        add("attn_norm", &[s.n_embd]);
        add("attn_q", &[s.n_embd, q]);
        add("attn_k", &[s.n_embd, kv]);
        add("attn_v", &[s.n_embd, kv]);
        add("attn_output", &[q, s.n_embd]);
        add("ffn_norm", &[s.n_embd]);
        add("ffn_gate", &[s.n_embd, s.n_ff]);
        add("ffn_up", &[s.n_embd, s.n_ff]);
        add("ffn_down", &[s.n_ff, s.n_embd]);
        if s.arch != "llama" {
            add("attn_q_norm", &[s.head_dim]);
            add("attn_k_norm", &[s.head_dim]);
        }
        if s.arch == "gemma3" {
            add("post_attention_norm", &[s.n_embd]);
            add("post_ffw_norm", &[s.n_embd]);
        }
    }
    all.push(("output_norm.weight".into(), vec![s.n_embd]));
    if !s.tied {
        all.push(("output.weight".into(), vec![s.n_embd, s.n_vocab]));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use gabion::gguf::{Header, Parse};

    fn read(source: &mut Synthetic, offset: u64, len: usize) -> Vec<u8> {
        use std::task::{Context, Poll, Waker};
        let future = std::pin::pin!(source.read(offset, len));
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(bytes) => bytes.expect("readable"),
            Poll::Pending => panic!("it is in memory"),
        }
    }

    #[test]
    fn every_shape_is_a_model() {
        for shape in SHAPES {
            let source = Synthetic::new(shape, TensorType::Q4_0).expect("Q4_0 is known");
            let Ok(Parse::Done(header)) = Header::parse(&source.head, source.len()) else { panic!("{}", shape.name) };
            let spec = gabion::arch::spec(&header, None).unwrap_or_else(|error| panic!("{}: {error}", shape.name));
            gabion::graph::lower(&spec, &header).unwrap_or_else(|error| panic!("{}: {error}", shape.name));
            assert_eq!(header.tensors.last().map(|t| t.offset + t.bytes), source.len());
        }
    }

    #[test]
    fn the_sizes_are_the_models() {
        let elements = |name: &str| {
            let shape = SHAPES.iter().find(|shape| shape.name == name).expect("a shape");
            shapes(shape).iter().map(|(_, dims)| dims.iter().product::<u64>()).sum::<u64>()
        };
        assert_eq!(elements("smollm2-135m"), 134_515_008);
        assert_eq!(elements("llama-1b"), 1_235_814_400);
        assert_eq!(elements("llama-3b"), 3_212_749_824);
        assert_eq!(elements("llama-8b"), 8_030_261_248);
        assert_eq!(elements("gemma3-1b"), 999_885_952);
        assert_eq!(elements("qwen3-0.6b"), 596_049_920);
    }

    #[test]
    fn reads_are_the_same_however_they_are_cut() {
        let mut source = Synthetic::parse("smollm2-135m:q8_0").unwrap_or_else(|_| panic!("known"));
        let start = source.tensors[1].0.start - 100;
        let whole = read(&mut source, start, 40_000);
        let pieces: Vec<u8> = (0..40).flat_map(|i| read(&mut source, start + i * 1000, 1000)).collect();
        assert!(whole == pieces && whole.iter().any(|&byte| byte != 0));
        let end = source.len().expect("known");
        assert_eq!(read(&mut source, end - 10, 100).len(), 10);
    }

    #[test]
    fn unknown_names_are_refused() {
        for text in ["llama-9b:Q4_K", "llama-8b:Q4_Z", ""] {
            assert!(matches!(Synthetic::parse(text), Err(Failure::Usage(_))), "{text}");
        }
    }
}
