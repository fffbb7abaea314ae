//! What the commands compute: tiny models against their golden answers, and the shapes of all JSON.

mod common;

use common::*;
use serde_json::Value;

fn close(a: &Value, b: f64, within: f64) -> bool {
    a.as_f64().is_some_and(|a| (a - b).abs() <= within)
}

#[test]
fn run_gives_the_golden_tokens_of_tiny_models() {
    for name in ["llama", "qwen2", "gemma3"] {
        let Some((path, golden)) = tiny(name) else { return };
        for prompt in golden["prompts"].as_array().expect("prompts") {
            let ids_of_prompt = ids_arg(&prompt["ids"]);
            let common = ["run", "-m", arg(&path), "--exact", "--temp", "0", "--ignore-eos", "--json"];
            let object = json(&[&common[..], &["--logprobs", "3", "-n", "16", "--ids", &ids_of_prompt]].concat());
            let tokens = object["tokens"].as_array().expect("tokens");
            let generated: Vec<u64> = tokens.iter().map(|token| token["id"].as_u64().expect("an id")).collect();
            assert_eq!(generated, ids(&prompt["greedy"]), "{name}");
            check_object(&object, &prompt["ids"], 16, 3);
            let expected = first_logprob(prompt);
            assert!(close(&tokens[0]["logprob"], expected, 2e-3), "{name}: {} {expected}", tokens[0]);
            assert!(!close(&tokens[0]["logprob"], expected + 0.01, 2e-3), "the comparison can fail");
        }
    }
}

#[test]
fn a_gpu_is_chosen_by_a_part_of_its_name() {
    let Some((path, golden)) = tiny("llama") else { return };
    let devices = json(&["devices", "--json"]);
    let Some(gpu) = devices.as_array().expect("an array").iter().find(|device| device["kind"] != "cpu") else {
        return eprintln!("skipped: no GPU, not even a software one");
    };
    let name = gpu["name"].as_str().expect("a name");
    let part = name.split_whitespace().next().expect("a word").to_uppercase();
    let prompt = &golden["prompts"][1];
    let args = ["run", "-m", arg(&path), "--device", &part, "--exact", "--temp", "0", "--ignore-eos", "--json"];
    let object = json(&[&args[..], &["-n", "16", "--ids", &ids_arg(&prompt["ids"])]].concat());
    assert_eq!(object["device"], name);
    let tokens = object["tokens"].as_array().expect("tokens");
    assert!(tokens.iter().zip(ids(&prompt["greedy"])).all(|(token, id)| token["id"] == id), "{object}");
}

/// Log-probability of the first greedy token, by the golden file.
fn first_logprob(prompt: &Value) -> f64 {
    let best = prompt["greedy"][0].as_u64().expect("an id") as usize;
    let norm = prompt["logsumexp"].as_array().expect("sums").last().and_then(Value::as_f64).expect("a sum");
    prompt["last_logits"][best].as_f64().expect("a logit") - norm
}

/// The shape of `run --json`, as the project states it.
fn check_object(object: &Value, prompt: &Value, n: usize, logprobs: usize) {
    assert!(object["device"].is_string());
    assert_eq!(&object["prompt_tokens"], prompt);
    assert_eq!(object["stop"], "length");
    let tokens = object["tokens"].as_array().expect("tokens");
    assert_eq!(tokens.len(), n);
    for token in tokens {
        let top = token["top"].as_array().expect("top");
        assert_eq!(top.len(), logprobs);
        assert_eq!((&top[0][0], &top[0][1]), (&token["id"], &token["logprob"]), "greedy takes the first");
        assert!(top.is_sorted_by(|a, b| a[1].as_f64() >= b[1].as_f64()));
    }
    let joined: String = tokens.iter().map(|token| token["text"].as_str().expect("text")).collect();
    assert_eq!(object["text"], joined);
    let timings = &object["timings"];
    assert_eq!(timings["prefill_tokens"], prompt.as_array().expect("ids").len());
    assert_eq!(timings["decode_tokens"], n - 1);
    for name in ["load_ms", "prefill_ms", "decode_ms"] {
        assert!(timings[name].as_f64().is_some_and(|ms| ms > 0.0), "{name}");
    }
}

#[test]
fn score_agrees_with_the_golden_sums() {
    let Some((path, golden)) = tiny("llama") else { return };
    let prompt = &golden["prompts"][2];
    let mut tokens = prompt["ids"].as_array().expect("ids").clone();
    tokens.push(prompt["greedy"][0].clone());
    let tokens = Value::Array(tokens);
    let object = json(&["score", "-m", arg(&path), "--exact", "--json", "--ids", &ids_arg(&tokens)]);
    assert_eq!(object["tokens"], tokens);
    let nll = object["nll"].as_array().expect("nll");
    assert_eq!(nll.len(), 45);
    assert!(nll.iter().all(|v| v.as_f64().is_some_and(|v| v > 0.0)));
    assert!(close(&nll[44], -first_logprob(prompt), 2e-3), "{} {}", nll[44], first_logprob(prompt));
    let text = ok(&["score", "-m", arg(&path), "--ids", "1,2,3"]);
    assert_eq!(text.lines().count(), 4);
    assert!(text.lines().last().expect("a line").starts_with("mean nll "));
}

#[test]
fn ids_outside_the_vocabulary_and_full_contexts_are_errors() {
    let Some((path, _)) = tiny("llama") else { return };
    let said = fails(1, &["run", "-m", arg(&path), "--ids", "1,99999"]);
    assert!(said.contains("99999"), "{said}");
    let said = fails(1, &["run", "-m", arg(&path), "--ids", "1,2,3,4,5", "-c", "4"]);
    assert!(said.contains("context full") && said.contains("-c"), "{said}");
    let full = json(&["run", "-m", arg(&path), "--ids", "1,2,3", "-c", "8", "--ignore-eos", "--json"]);
    assert_eq!(full["stop"], "context");
    assert_eq!(fails(1, &["run", "-m", arg(&path), "-p", ""]).lines().count(), 1);
}

#[test]
fn a_seed_repeats_and_another_differs() {
    let Some((path, _)) = tiny("llama") else { return };
    let with_seed = |seed| {
        json(&[
            "run",
            "-m",
            arg(&path),
            "--ids",
            "7,8",
            "-n",
            "24",
            "--ignore-eos",
            "--temp",
            "2",
            "-s",
            seed,
            "--json",
        ])
    };
    assert_eq!(with_seed("11")["tokens"], with_seed("11")["tokens"]);
    assert_ne!(with_seed("11")["tokens"], with_seed("12")["tokens"]);
}

#[test]
fn perplexity_follows_llama_cpp() {
    let Some((path, _)) = tiny("llama") else { return };
    let text = "The quick brown fox jumps over the lazy dog. ".repeat(8);
    let args = ["perplexity", "-m", arg(&path), "--exact", "-p", &text, "-c", "64"];
    let lines = ok(&[&args[..], &["--chunks", "2"]].concat());
    let lines: Vec<&str> = lines.lines().collect();
    assert!(lines[0].starts_with("[1]") && lines[0].contains(",[2]") && lines[0].ends_with(','), "{lines:?}");
    assert!(lines[1].starts_with("Final estimate: PPL = ") && lines[1].contains(" +/- "), "{lines:?}");
    let one = json(&[&args[..], &["--chunks", "1", "--json"]].concat());
    assert_eq!((&one["chunks"], &one["tokens"]), (&1.into(), &31.into()));
    // the same by hand: the second half of the first window
    let tokens = json(&["tokenize", "-m", arg(&path), "-p", &text, "--json"]);
    let window = Value::Array(tokens["tokens"].as_array().expect("tokens")[..64].to_vec());
    let scored = json(&["score", "-m", arg(&path), "--exact", "--json", "--ids", &ids_arg(&window)]);
    let nll: Vec<f64> = scored["nll"].as_array().expect("nll")[32..].iter().filter_map(Value::as_f64).collect();
    let expected = (nll.iter().sum::<f64>() / 31.0).exp();
    assert!(close(&one["ppl"], expected, expected * 1e-5), "{one} {expected}");
    let short = fails(1, &["perplexity", "-m", arg(&path), "-p", "short", "-c", "64"]);
    assert!(short.contains("longer text or a smaller -c"), "{short}");
}

#[test]
fn real_model_tokens_text_and_stop_strings() {
    let (Some(model), Some(golden)) = (gabion_tests::model(SMOLLM2), gabion_tests::shared("golden/smollm2.json"))
    else {
        return;
    };
    let golden: Value = serde_json::from_slice(&std::fs::read(golden).expect("golden")).expect("JSON");
    let story = &golden[1];
    let text = story["text"].as_str().expect("text");
    let tokens = json(&["tokenize", "-m", arg(&model), "--json", "-p", text]);
    assert_eq!(tokens["tokens"], story["prompt_ids"]);
    let args = ["run", "-m", arg(&model), "--exact", "--temp", "0", "-n", "12", "-p", text];
    let object = json(&[&args[..], &["--json", "--logprobs", "10"]].concat());
    check_object(&object, &story["prompt_ids"], 12, 10);
    for (token, expected) in
        object["tokens"].as_array().expect("tokens").iter().zip(story["greedy"].as_array().expect("g"))
    {
        assert_eq!(token["id"], expected["id"]);
        assert!(close(&token["logprob"], expected["logprob"].as_f64().expect("a number"), 2e-3), "{token} {expected}");
    }
    let whole = object["text"].as_str().expect("text");
    let piped = run_with(&["run", "-m", arg(&model), "--exact", "--temp", "0", "-n", "12"], &format!("{text}\n"));
    assert_eq!(stdout(&piped), format!("{whole}\n"), "stdin gives the same, and a pipe gets the text alone");
    assert!(!stderr(&piped).contains('\x1b'), "{}", stderr(&piped));
    let word = whole.split_whitespace().nth(3).expect("a word");
    let stopped = json(&[&args[..], &["--json", "--stop", word]].concat());
    assert_eq!(stopped["stop"], "stop");
    assert_eq!(stopped["text"].as_str(), whole.split_once(word).map(|parts| parts.0));
}
