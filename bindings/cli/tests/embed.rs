//! `embed`, `rerank`, `classify`, `fill-mask`: their output's shape, and that they agree with the library.

mod common;

use std::path::PathBuf;

use common::*;
use gabion::{EmbedderOptions, Model, ModelOptions, Runtime, RuntimeOptions, TextKind};
use gabion_tests::toy::{self, Toy};
use serde_json::Value;

const LINES: &str = "the cat sat\na dog\n\nthe mat on the mat\n";

fn file(name: &str, toy: &Toy) -> PathBuf {
    scratch(name, &toy.bytes())
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("an array").iter().map(|x| x.as_f64().expect("a number")).collect()
}

#[test]
fn every_line_has_a_vector() {
    let path = file("embed.gguf", &toy::bert());
    let object = json_of(&["embed", "-m", arg(&path), "--exact", "--json"]);
    assert_eq!((&object["dimensions"], &object["pooling"]), (&32.into(), &"mean".into()));
    let found: Vec<Vec<f64>> = object["embeddings"].as_array().expect("vectors").iter().map(numbers).collect();
    let runtime = Runtime::new(&RuntimeOptions { device: "cpu".into(), ..Default::default() }).expect("the CPU");
    let options = ModelOptions { exact: true, ..Default::default() };
    let model = Model::open(&path, &runtime, &options, &mut |_| true).expect("a model");
    let mut embedder = model.embedder(&EmbedderOptions::default()).expect("an embedder");
    let wanted = embedder.embed(&LINES.lines().collect::<Vec<_>>(), TextKind::Plain).expect("vectors");
    assert_eq!(found.len(), wanted.len());
    for (found, wanted) in found.iter().zip(&wanted) {
        assert!(found.iter().zip(wanted).all(|(a, b)| (a - f64::from(*b)).abs() < 1e-6), "{found:?}");
    }
    let plain = run_with(&["embed", "-m", arg(&path), "--dimensions", "4", "--raw"], LINES);
    let lines: Vec<&str> = stdout(&plain).lines().collect();
    assert!(lines.len() == 4 && lines.iter().all(|line| line.split(' ').count() == 4), "{lines:?}");
}

#[test]
fn prefixes_and_pooling() {
    let path = file("prefix.gguf", &toy::bert());
    let common = ["embed", "-m", arg(&path), "--exact", "--json"];
    let with = |more: &[&str]| json(&[&common[..], more].concat())["embeddings"].clone();
    assert_eq!(with(&["-p", "cat", "--prefix", "the "]), with(&["-p", "the cat"]));
    assert_eq!(numbers(&with(&["-p", "the cat", "--pooling", "none"])[0]).len(), 4 * 32);
    assert_ne!(with(&["-p", "the cat", "--pooling", "cls"]), with(&["-p", "the cat"]));
    let long = "the cat sat on the mat";
    assert_eq!(with(&["-p", long, "--max-tokens", "4", "--truncate"]), with(&["-p", "the cat"]));
    let said = fails(1, &["embed", "-m", arg(&path), "-p", long, "--max-tokens", "4"]);
    assert!(said.contains("8 tokens") && said.contains("max_tokens"), "{said}");
}

#[test]
fn documents_come_best_first() {
    let path = file("rerank.gguf", &toy::reranker());
    let object = json_of(&["rerank", "-m", arg(&path), "-q", "the cat", "--json"]);
    let scores = numbers(&object["scores"]);
    assert_eq!((scores.len(), &object["query"]), (4, &"the cat".into()));
    let listed = run_with(&["rerank", "-m", arg(&path), "-q", "the cat"], LINES);
    let order: Vec<usize> = stdout(&listed).lines().map(|line| column(line, 1).parse().expect("a number")).collect();
    assert!(order.is_sorted_by(|&a, &b| scores[a - 1] >= scores[b - 1]) && order.len() == 4, "{order:?} {scores:?}");
    let first = stdout(&listed).lines().next().expect("a line").to_owned();
    assert_eq!(column(&first, 2), LINES.lines().nth(order[0] - 1).expect("a line"));
}

#[test]
fn classes_have_their_names() {
    let path = file("classes.gguf", &toy::classifier());
    let object = json_of(&["classify", "-m", arg(&path), "--json"]);
    assert_eq!(object["labels"], serde_json::json!(["bad", "good"]));
    assert!(object["scores"].as_array().is_some_and(|all| all.len() == 4 && numbers(&all[0]).len() == 2));
    let text = ok(&["classify", "-m", arg(&path), "-p", "a cat"]);
    assert!(text.starts_with("bad=") && text.contains("\tgood="), "{text}");
}

#[test]
fn masks_are_filled() {
    let path = file("masks.gguf", &toy::fills());
    let object = json(&["fill-mask", "-m", arg(&path), "-k", "3", "--json", "-p", "the [MASK] on [MASK]"]);
    let masks = object["masks"].as_array().expect("masks");
    assert!(masks.len() == 2 && masks.iter().all(|mask| mask.as_array().is_some_and(|all| all.len() == 3)));
    assert!(masks[0][0]["probability"].as_f64() >= masks[0][1]["probability"].as_f64());
    let text = ok(&["fill-mask", "-m", arg(&path), "-k", "2", "-p", "[MASK]"]);
    assert!(text.lines().count() == 2 && text.starts_with("1\t"), "{text}");
}

#[test]
fn what_a_model_is_not_for_is_told() {
    let (encoder, decoder) = (file("encoder.gguf", &toy::bert()), file("decoder.gguf", &toy::llama()));
    let told = [
        (fails(1, &["run", "-m", arg(&encoder), "-p", "x"]), "embedder"),
        (fails(1, &["embed", "-m", arg(&decoder), "-p", "x"]), "llama.pooling_type"),
        (fails(1, &["rerank", "-m", arg(&encoder), "-q", "x", "-p", "x"]), "cls.output.weight"),
        (fails(1, &["fill-mask", "-m", arg(&encoder), "-p", "[MASK]"]), "mlm.dense.weight"),
    ];
    assert!(told.iter().all(|(said, word)| said.contains(word)), "{told:?}");
    assert!(fails(2, &["embed", "-m", arg(&encoder), "-p", ""]).contains("no text"));
}

fn column(line: &str, i: usize) -> &str {
    line.split('\t').nth(i).expect("a column")
}

/// The JSON that a command makes of `LINES` on stdin.
fn json_of(args: &[&str]) -> Value {
    let output = run_with(args, LINES);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_str(stdout(&output)).expect("JSON")
}
