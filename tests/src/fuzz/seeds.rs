//! Inputs that fuzzing starts from: our own small files and hostile ones, and where `../shared` is here, headers of its tiny
//! models and cut-down vocabularies with their test texts.

use std::collections::HashSet;
use std::path::Path;

use gabion::gguf::{Header, MmapSource, Value, read_header};

use crate::{hostile, shared_files, tiny_models, toy};

/// Larger inputs only make a fuzzer slow.
pub const MAX_LEN: usize = 1 << 16;
/// Tokens that are kept of a large vocabulary.
const TOKENS: usize = 200;
/// Test texts in a seed; each vocabulary gives several seeds.
const TEXTS: usize = 12;

/// Seeds of the target `header`.
pub fn header() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = hostile::headers().into_iter().map(|case| case.bytes).collect();
    seeds.extend([toy::llama(), toy::gemma3()].map(|toy| head(&toy.bytes())));
    seeds.extend(tiny_models().iter().map(|path| head(&std::fs::read(path).expect("a readable file"))));
    seeds.retain(|seed| seed.len() <= MAX_LEN);
    seeds
}

/// Seeds of the target `tokenizer`.
pub fn tokenizer() -> Vec<Vec<u8>> {
    let text = "The thing, <|im_start|>user\nthere 12 é漢😀  \t\n<|im_end|>".as_bytes();
    let header = |bytes: Vec<u8>| [&head(&bytes), text].concat();
    let mut seeds = vec![header(toy::llama().bytes())];
    seeds.extend(shared_files("vocab").iter().flat_map(|path| vocabulary(path)));
    seeds.retain(|seed| seed.len() <= MAX_LEN);
    seeds
}

/// A file without its tensors' data.
fn head(file: &[u8]) -> Vec<u8> {
    match Header::parse(file, None) {
        Ok(gabion::gguf::Parse::Done(header)) => file[..file.len().min(header.data_start as usize)].to_vec(),
        _ => file.to_vec(),
    }
}

/// A vocabulary's special and first tokens in the simple form of `targets::tokenizer`, with some of its test texts in each.
fn vocabulary(path: &Path) -> Vec<Vec<u8>> {
    let header = pollster::block_on(read_header(&mut MmapSource::open(path).expect("a file"))).expect("a header");
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    let list = |name: &str| -> Vec<String> {
        let key = key(name);
        let items = header.strings(&key).expect("strings").into_iter().flatten();
        items.map(|item| String::from_utf8_lossy(item).into_owned()).collect()
    };
    let word = |name: &str| header.str(&key(name)).ok().flatten().unwrap_or("default").to_owned();
    let types: Vec<Value<'_>> = header.array(&key("token_type")).ok().flatten().map_or(vec![], |a| a.iter().collect());
    let kind = |i: usize| types.get(i).and_then(|value| value.as_i64()).unwrap_or(1);
    let tokens: Vec<String> = list("tokens");
    let kept = (0..tokens.len()).filter(|&i| i < TOKENS || kind(i) == 3 || kind(i) == 4);
    let lines: Vec<String> = kept.clone().map(|i| format!("{}{}", kind(i), tokens[i])).collect();
    let set: HashSet<&str> = kept.map(|i| tokens[i].as_str()).collect();
    let merges: Vec<String> =
        list("merges").into_iter().filter(|merge| set.contains(&*merge.replace(' ', ""))).collect();
    let template = "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content|trim }}\n{% endfor %}";
    let head = format!("{}\n{}\0{}\0{}\0", word("model"), word("pre"), lines.join("\n"), merges.join("\n"));
    let head = head + "bos_token_id=1\nunknown_token_id=0\nadd_bos_token=true\0" + template + "\0";
    let texts = std::fs::read_to_string(path.with_extension("gguf.inp")).unwrap_or_default();
    let texts: Vec<&str> = texts.split("\n__ggml_vocab_test__\n").collect();
    texts.chunks(TEXTS).map(|texts| (head.clone() + &texts.join("\n")).into_bytes()).collect()
}
