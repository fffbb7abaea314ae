//! Tokenizers against the ids that the models' own tokenizers give: six vocabularies x 46 texts, and the prompts of the
//! golden files through the real models.

use std::path::Path;

use gabion::gguf::{Header, MmapSource, read_header};
use gabion::text::{Detokenizer, Tokenizer};
use gabion_tests::{golden, model, shared, tiny_model, tiny_models};
use pollster::block_on;

const VOCABS: &[&str] = &["bert-bge", "deepseek-llm", "falcon", "gpt-2", "llama-spm", "phi-3"];

fn header(path: &Path) -> Header {
    block_on(read_header(&mut MmapSource::open(path).unwrap())).unwrap()
}

fn tokenizer(path: &Path) -> Tokenizer {
    Tokenizer::from_header(&header(path)).unwrap().unwrap()
}

fn ids(line: &str) -> Vec<u32> {
    line.split_whitespace().map(|id| id.parse().unwrap()).collect()
}

/// A text and its ids.
type Case = (String, Vec<u32>);

/// The test texts of a vocabulary with their ids.
fn cases(name: &str) -> Option<(Tokenizer, Vec<Case>)> {
    let path = shared(&format!("vocab/ggml-vocab-{name}.gguf"))?;
    let read = |ending: &str| std::fs::read_to_string(path.with_extension(format!("gguf.{ending}"))).unwrap();
    let (texts, lines) = (read("inp"), read("out"));
    let texts: Vec<&str> = texts.split("\n__ggml_vocab_test__\n").collect();
    let lines: Vec<&str> = lines.lines().collect();
    // the last separator ends the file
    assert_eq!(texts.iter().filter(|t| !t.is_empty()).count().max(lines.len()), lines.len(), "{name}");
    let cases = lines.iter().zip(&texts).map(|(line, text)| (text.to_string(), ids(line))).collect();
    Some((tokenizer(&path), cases))
}

/// The cases whose ids differ.
fn mismatches(tokenizer: &Tokenizer, cases: &[Case]) -> Vec<String> {
    let wrong = cases.iter().filter_map(|(text, want)| {
        let got = tokenizer.encode(text, false, false).unwrap();
        (got != *want).then(|| format!("{text:?}\n  want {want:?}\n  got  {got:?}"))
    });
    wrong.collect()
}

#[test]
fn vocabularies_give_their_models_ids() {
    for name in VOCABS {
        let Some((tokenizer, cases)) = cases(name) else { return };
        assert_eq!(cases.len(), 46, "{name}");
        let wrong = mismatches(&tokenizer, &cases);
        assert!(wrong.is_empty(), "{name}: {} of {}\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    }
}

#[test]
fn the_comparison_notices_one_wrong_id() {
    let Some((tokenizer, mut cases)) = cases("gpt-2") else { return };
    let with_ids = cases.iter().position(|(_, ids)| !ids.is_empty()).unwrap();
    cases[with_ids].1[0] += 1;
    assert_eq!(mismatches(&tokenizer, &cases).len(), 1);
}

#[test]
fn byte_level_and_sentencepiece_texts_survive_the_round_trip() {
    for name in VOCABS.iter().filter(|name| **name != "bert-bge") {
        let Some((tokenizer, cases)) = cases(name) else { return };
        for (text, ids) in &cases {
            assert_eq!(&tokenizer.decode(ids, false), text, "{name}");
        }
    }
}

#[test]
fn the_stream_gives_whole_characters_and_the_same_text() {
    for name in VOCABS {
        let Some((tokenizer, cases)) = cases(name) else { return };
        for (_, ids) in &cases {
            let mut stream = Detokenizer::new(&tokenizer, true);
            let mut text: String = ids.iter().map(|&id| stream.push(id)).collect();
            assert!(!text.contains(char::REPLACEMENT_CHARACTER), "{name}: {text:?}");
            text += &stream.finish();
            assert_eq!(text, tokenizer.decode(ids, false), "{name}");
        }
    }
}

/// Golden prompts of a real model, as the reference engine tokenized them.
fn golden(file: &str, model_name: &str) {
    let (Some(file), Some(path)) = (shared(file), model(model_name)) else { return };
    let header = header(&path);
    let start = std::time::Instant::now();
    let tokenizer = Tokenizer::from_header(&header).unwrap().unwrap();
    eprintln!("{model_name}: {} tokens built in {:?}", tokenizer.n_vocab(), start.elapsed());
    let entries: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    for entry in entries.as_array().unwrap() {
        let want: Vec<u32> =
            entry["prompt_ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect();
        let text = entry["text"].as_str().unwrap();
        assert_eq!(tokenizer.encode(text, true, true).unwrap(), want, "{}", entry["name"]);
        let greedy: Vec<u32> =
            entry["greedy"].as_array().unwrap().iter().map(|t| t["id"].as_u64().unwrap() as u32).collect();
        let mut stream = Detokenizer::new(&tokenizer, false).special(true);
        let mut text: String = greedy.iter().map(|&id| stream.push(id)).collect();
        text += &stream.finish();
        assert_eq!(text, entry["greedy_text"].as_str().unwrap(), "{}", entry["name"]);
    }
}

#[test]
fn smollm2_prompts() {
    golden("golden/smollm2.json", "SmolLM2-135M-Instruct.Q4_1.gguf");
}

#[test]
fn gemma3_prompts() {
    golden("golden/gemma3.json", "gemma-3-270m-q4_k_m.gguf");
}

/// RWKV's own tokenizer with the same small vocabulary. Tokens that are parts of characters come together again.
#[test]
fn rwkv_texts() {
    let path = tiny_model("rwkv7").unwrap();
    let tokenizer = tokenizer(&path);
    let cases: Vec<serde_json::Value> = golden::load(&path.with_file_name("rwkv-texts.json"));
    let case = |case: &serde_json::Value| -> Case {
        let ids = case["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect();
        (case["text"].as_str().unwrap().into(), ids)
    };
    let cases: Vec<Case> = cases.iter().map(case).collect();
    assert!(cases.len() > 8);
    assert_eq!(mismatches(&tokenizer, &cases), Vec::<String>::new());
    for (text, ids) in &cases {
        assert_eq!(tokenizer.decode(ids, false), *text);
    }
    assert_eq!(tokenizer.encode("<s>a", true, true).unwrap(), [0, 98]);
}

#[test]
fn tiny_models_have_tokenizers_but_for_kinds_not_yet_supported() {
    for path in tiny_models() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        match Tokenizer::from_header(&header(&path)) {
            Ok(None) => assert!(header(&path).get("tokenizer.ggml.model").is_none(), "{name}"),
            Ok(Some(tokenizer)) => {
                let ids = tokenizer.encode("hello world", true, true).unwrap();
                assert!(ids.iter().all(|&id| (id as usize) < tokenizer.n_vocab()), "{name}");
            }
            Err(gabion::Error::Unsupported(what)) => eprintln!("{name}: {what}"),
            Err(error) => panic!("{name}: {error}"),
        }
    }
}
