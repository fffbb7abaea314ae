//! Rewriting model files with other types: what the output holds, and that failures leave nothing behind.

use std::path::{Path, PathBuf};

use gabion::gguf::{Header, Owned, TensorInfo, Value, Writer};
use gabion::quant::{self, Recipe, Shape, TensorType};
use gabion::sample::Rng;
use gabion::{Error, Model, ModelOptions, Progress, Runtime, SessionOptions, quantize};
use gabion_tests::{GEMMA3, QWEN2, devices, model, shared};

/// A fresh folder, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gabion-quantize-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
    fn names(&self) -> Vec<String> {
        let names = std::fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn recipe(name: &str) -> Recipe {
    Recipe::named(name).unwrap()
}

fn convert(input: &Path, output: &Path, name: &str) -> Result<gabion::Quantized, Error> {
    quantize(input, output, recipe(name), 3, &mut |_| true)
}

fn numbers(len: usize) -> Vec<f32> {
    let mut rng = Rng::new(7);
    (0..len).map(|_| (rng.next_f64() as f32 - 0.5) * 0.1).collect()
}

fn bytes(ty: TensorType, x: &[f32]) -> Vec<u8> {
    let mut out = vec![0; ty.row_bytes(x.len())];
    assert!(quant::format(ty).unwrap().quantize(x, &mut out));
    out
}

/// Some matrices of which the rows are whole blocks of any type, and things that stay.
fn file(ty: TensorType) -> Writer {
    let x = numbers(256 * 40);
    let keys = [
        ("general.architecture", Owned::String("llama".into())),
        ("llama.block_count", Owned::U32(1)),
        ("general.file_type", Owned::U32(0)),
        ("tokenizer.ggml.tokens", Owned::Strings(vec!["a".into(), "\u{e9}".into()])),
        ("general.alignment", Owned::U32(64)),
        ("some.numbers", Owned::F32s(vec![1.5, -2.0])),
    ];
    let file = keys.into_iter().fold(Writer::new(), |file, (key, value)| file.key(key, value));
    file.tensor("token_embd.weight", ty, &[256, 40], bytes(ty, &x))
        .tensor("blk.0.attn_q.weight", ty, &[256, 32], bytes(ty, &x[..256 * 32]))
        .tensor("blk.0.attn_norm.weight", TensorType::F32, &[256], bytes(TensorType::F32, &x[..256]))
        .tensor("blk.0.ffn_up.weight", ty, &[96, 5, 2], bytes(ty, &x[..960]))
}

fn header(path: &Path) -> Header {
    Model::read_header(path).unwrap()
}

fn types(header: &Header) -> Vec<Option<TensorType>> {
    header.tensors.iter().map(|tensor| tensor.ty()).collect()
}

/// Decoded elements of a tensor.
fn elements(path: &Path, name: &str) -> Vec<f32> {
    let (header, bytes) = (header(path), std::fs::read(path).unwrap());
    let tensor = header.tensor(name).unwrap();
    let mut out = vec![0.0; tensor.elements() as usize];
    let blocks = &bytes[tensor.offset as usize..][..tensor.bytes as usize];
    quant::format(tensor.ty().unwrap()).unwrap().dequantize(blocks, &mut out);
    out
}

#[test]
fn every_recipe_from_every_source() {
    let folder = Folder::new("recipes");
    for source in [TensorType::F32, TensorType::F16, TensorType::BF16] {
        let (input, output) = (folder.file("in.gguf"), folder.file("out.gguf"));
        std::fs::write(&input, file(source).to_bytes()).unwrap();
        for recipe in Recipe::all() {
            let done = quantize(&input, &output, recipe, 0, &mut |_| true).unwrap();
            let (before, after) = (header(&input), header(&output));
            assert_eq!(after.tensors.iter().map(|t| t.bytes).sum::<u64>(), done.after, "{}", recipe.name());
            assert_eq!(after.alignment, 64);
            let kept = ["general.architecture", "tokenizer.ggml.tokens", "some.numbers", "llama.block_count"];
            for key in kept {
                assert_eq!(format!("{:?}", before.get(key)), format!("{:?}", after.get(key)), "{key}");
            }
            assert_eq!(after.get("general.file_type"), Some(Value::U32(recipe.file_type())));
            let (x, y) = (elements(&input, "blk.0.attn_q.weight"), elements(&output, "blk.0.attn_q.weight"));
            let error: f32 = x.iter().zip(&y).map(|(x, y)| (x - y) * (x - y)).sum::<f32>();
            let share = (error / x.iter().map(|x| x * x).sum::<f32>()).sqrt();
            assert!(share < 0.62, "{} from {}: {share}", recipe.name(), source.name());
        }
    }
}

#[test]
fn types_are_the_recipes() {
    use TensorType::*;
    let folder = Folder::new("types");
    let (input, output) = (folder.file("in.gguf"), folder.file("out.gguf"));
    std::fs::write(&input, file(F32).to_bytes()).unwrap();
    for (name, expected) in [
        ("Q4_K_M", [Q6_K, Q4_K, F32, Q5_0]),
        ("Q2_K", [Q6_K, Q2_K, F32, Q4_0]),
        ("Q8_0", [Q8_0, Q8_0, F32, Q8_0]),
        ("BF16", [BF16, BF16, F32, BF16]),
    ] {
        convert(&input, &output, name).unwrap();
        assert_eq!(types(&header(&output)), expected.map(Some), "{name}");
    }
}

#[test]
fn failures_leave_what_was_there() {
    let folder = Folder::new("failures");
    let (input, output) = (folder.file("in.gguf"), folder.file("out.gguf"));
    std::fs::write(&input, file(TensorType::F32).to_bytes()).unwrap();
    std::fs::write(&output, "old").unwrap();
    let mut calls = 0;
    let mut stop = |_: Progress| {
        calls += 1;
        calls < 2
    };
    assert!(matches!(quantize(&input, &output, recipe("Q8_0"), 1, &mut stop), Err(Error::Cancelled)));
    let quantized = folder.file("q8.gguf");
    convert(&input, &quantized, "Q8_0").unwrap();
    assert!(matches!(convert(&quantized, &output, "Q4_0"), Err(Error::Unsupported(_))));
    assert!(matches!(convert(&input, &input, "Q4_0"), Err(Error::InvalidArgument(_))));
    assert!(matches!(convert(&folder.file("no such file"), &output, "Q4_0"), Err(Error::Io { .. })));
    assert!(matches!(convert(&input, &folder.file("no/folder"), "Q4_0"), Err(Error::Write { .. })));
    let nan = Writer::new().tensor("a.weight", TensorType::F32, &[32, 1], bytes(TensorType::F32, &[f32::NAN; 32]));
    std::fs::write(folder.file("nan.gguf"), nan.to_bytes()).unwrap();
    assert!(matches!(convert(&folder.file("nan.gguf"), &output, "Q4_0"), Err(Error::Model(_))));
    std::fs::write(folder.file("cut.gguf"), &std::fs::read(&input).unwrap()[..5000]).unwrap();
    assert!(matches!(convert(&folder.file("cut.gguf"), &output, "Q4_0"), Err(Error::Gguf(_))));
    assert_eq!(std::fs::read(&output).unwrap(), b"old");
    assert_eq!(folder.names(), ["cut.gguf", "in.gguf", "nan.gguf", "out.gguf", "q8.gguf"]);
}

/// Logits of a prompt.
fn logits(path: &Path, runtime: &Runtime) -> Vec<f32> {
    let model = Model::open(path, runtime, &ModelOptions { exact: true, ..Default::default() }, &mut |_| true).unwrap();
    let mut session = model.session(&SessionOptions::default()).unwrap();
    session.sync(&[1, 2, 3, 4, 5]).unwrap();
    session.logits().to_vec()
}

#[test]
fn a_quantized_model_answers_almost_the_same() {
    let Some(input) = shared("tiny/llama.gguf") else { return };
    let folder = Folder::new("model");
    let output = folder.file("out.gguf");
    let runtime = devices::cpu(gabion::device::cpu::Level::best(), Some(1));
    let expected = logits(&input, &runtime);
    let off = |name: &str| {
        convert(&input, &output, name).unwrap();
        gabion_tests::golden::nmse(&expected, &logits(&output, &runtime))
    };
    let (f16, q8, q4) = (off("F16"), off("Q8_0"), off("Q4_0"));
    assert!(f16 < 1e-5 && q8 < 1e-2 && f16 < q8 && q8 < q4, "{f16} {q8} {q4}");
}

/// The types in files that llama.cpp made: of each tensor, or at least of how many (Qwen's makers had their layers in
/// alphabetical order, where another third of them is the better one).
#[test]
fn mixtures_are_those_of_real_files() {
    for (name, in_order) in [(GEMMA3, true), (QWEN2, false)] {
        let Some(path) = model(name) else { continue };
        let header = header(&path);
        let arch = header.str("general.architecture").unwrap().unwrap();
        let shape = Shape {
            layers: header.u32(&format!("{arch}.block_count")).unwrap().unwrap() as usize,
            tied: header.tensor("output.weight").is_none(),
            ..Shape::default()
        };
        let choose = |tensor: &TensorInfo| {
            let chosen = recipe("Q4_K_M").choose(&tensor.name, &tensor.dims[..tensor.n_dims as usize], &shape);
            chosen.unwrap_or(TensorType::F32).name()
        };
        let mut chosen: Vec<_> = header.tensors.iter().map(choose).collect();
        let mut real: Vec<_> = types(&header).into_iter().map(|ty| ty.unwrap().name()).collect();
        if !in_order {
            chosen.sort();
            real.sort();
        }
        assert_eq!(chosen, real, "{name}");
    }
}
