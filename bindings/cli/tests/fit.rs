//! `fit` and `info` of files and of addresses: only the header is fetched, from servers with ranges and without, and whatever
//! goes wrong is said.

mod common;
#[path = "common/server.rs"]
mod server;

use std::sync::atomic::Ordering;

use common::*;
use gabion::gguf::Owned;
use gabion::quant::TensorType;
use gabion_tests::toy::{self, Toy};
use serde_json::Value;
use server::{Kind, serve};

/// A model whose header takes several requests, and whose weights are many times that.
fn large() -> Toy {
    let toy = toy::llama().set("general.description", Owned::String("x".repeat(3 << 20)));
    // rows without a token are padding
    let rows = [toy::N_EMBD, 1 << 17];
    toy.tensor("token_embd.weight", TensorType::F32, &rows).tensor("output.weight", TensorType::F32, &rows)
}

fn site(toy: &Toy) -> Vec<(String, Vec<u8>)> {
    site_of(toy.bytes())
}

fn site_of(file: Vec<u8>) -> Vec<(String, Vec<u8>)> {
    vec![("a.gguf".into(), file)]
}

/// The same model in two files.
fn halves(toy: &Toy) -> Vec<(String, Vec<u8>)> {
    let (mut first, mut second) = (toy.clone(), toy.clone());
    second.tensors = first.tensors.split_off(first.tensors.len() / 2);
    second.keys.clear();
    let part = |toy: Toy, no: u32| {
        let file = toy.set("split.no", Owned::U32(no)).set("split.count", Owned::U32(2));
        (format!("a-{:05}-of-00002.gguf", no + 1), file.bytes())
    };
    vec![part(first, 0), part(second, 1)]
}

fn fit(path: &str) -> Value {
    json(&["fit", "--json", "-c", "100", path])
}

/// What does not depend on how much memory happens to be free.
fn steady(mut object: Value) -> Value {
    object["memory"].take();
    object
}

#[test]
fn an_address_says_what_its_file_does() {
    let toy = large();
    let path = scratch("fit.gguf", &toy.bytes());
    let wanted = steady(fit(arg(&path)));
    assert_eq!((&wanted["n_ctx"], &wanted["fits"], &wanted["model"]["name"]), (&100.into(), &true.into(), &"".into()));
    for (kind, most) in [(Kind::Ranges, 8), (Kind::Whole, 12), (Kind::Unmeasured, 12), (Kind::Moved, 8)] {
        let server = serve(kind, site(&toy));
        assert_eq!(steady(fit(&format!("{}/a.gguf?x=1", server.url))), wanted);
        // header of 3 MiB, weights of 32
        assert!(server.sent.load(Ordering::SeqCst) < most << 20);
    }
}

#[test]
fn split_models_are_fetched_from_all_their_files() {
    let toy = toy::gemma3();
    let path = scratch("whole.gguf", &toy.bytes());
    let wanted = steady(fit(arg(&path)));
    let files = halves(&toy);
    let first = files[0].0.clone();
    let server = serve(Kind::Ranges, files);
    assert_eq!(steady(fit(&format!("{}/{first}?sig=a-00001-of-00002.gguf", server.url))), wanted);
    let alone = serve(Kind::Ranges, vec![halves(&toy).remove(0)]);
    assert!(fails(1, &["fit", &format!("{}/{first}", alone.url)]).contains("a-00002-of-00002.gguf: HTTP 404"));
}

#[test]
fn bad_servers_are_told() {
    let cases = [
        (Kind::Wrong, "another range"),
        (Kind::Growing, "the file has changed"),
        (Kind::Broken, "cannot read http://"),
        (Kind::Circle, "redirects"),
    ];
    for (kind, says) in cases {
        let server = serve(kind, site(&large()));
        let said = fails(1, &["info", &format!("{}/a.gguf", server.url)]);
        assert!(said.contains(says) && said.starts_with("error: cannot read http://"), "{said}");
    }
    let server = serve(Kind::Ranges, site_of(b"<html>".to_vec()));
    assert!(fails(1, &["info", &format!("{}/a.gguf", server.url)]).contains("bytes GGUF"));
    assert!(fails(1, &["info", &format!("{}/c.gguf", server.url)]).contains("HTTP 404"));
    let empty = serve(Kind::Whole, site_of(Vec::new()));
    assert!(fails(1, &["info", &format!("{}/a.gguf", empty.url)]).contains("truncated"));
    assert!(fails(1, &["info", "http://127.0.0.1:1/a.gguf"]).starts_with("error: cannot read http://127.0.0.1:1"));
    assert!(fails(1, &["info", "http://"]).starts_with("error: "));
}

#[test]
fn a_model_that_does_not_fit_is_1_and_says_why() {
    let path = scratch("toy.gguf", &toy::llama().bytes());
    let all = fit(arg(&path));
    let wanted = all["weight_bytes"].as_u64().expect("bytes") + 300_000;
    let output = run(&["fit", arg(&path), "--memory", &wanted.to_string()]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("does not fit, because it needs") && said.contains("; at most n_ctx = "), "{said}");
    let output = run(&["fit", arg(&path), "--memory", "1KiB", "--json"]);
    let object: Value = serde_json::from_str(stdout(&output)).expect("JSON");
    assert_eq!((&object["fits"], &object["max_n_ctx"], &object["memory"]), (&false.into(), &0.into(), &1024.into()));
    let text = ok(&["fit", arg(&path), "--memory", "1TiB", "-c", "200"]);
    assert!(text.contains("200 tokens in f16") && text.contains("\nfits; at most n_ctx = 256 fits\n"), "{text}");
}

#[test]
fn what_cannot_run_is_named_before_anything_is_loaded() {
    let refused = |toy: Toy, name| fails(1, &["fit", arg(&scratch(name, &toy.bytes()))]);
    let family = toy::llama().set("general.architecture", Owned::String("runes".into()));
    assert!(refused(family, "family.gguf").contains("unsupported: architecture 'runes'"));
    let ty = toy::llama().tensor("output.weight", TensorType::I8, &[toy::N_EMBD, toy::N_VOCAB]);
    assert!(refused(ty, "type.gguf").contains("tensor 'output.weight' is I8"));
    let tokenizer = toy::llama().set("tokenizer.ggml.model", Owned::String("runes".into()));
    let said = refused(tokenizer, "tokenizer.gguf");
    assert!(said.contains("tokenizer") && said.contains("runes"), "{said}");
}

/// Whether whoever started this process had it ignore Ctrl-C, as `nohup` and `&` in scripts do: children inherit that.
#[cfg(unix)]
fn ctrl_c_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 0b10 != 0)
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_wait_for_a_server() {
    use std::os::unix::process::ExitStatusExt;
    if ctrl_c_is_ignored() {
        return eprintln!("skipped: whoever started this test has its programs ignore Ctrl-C");
    }
    let server = serve(Kind::Silent, Vec::new());
    let mut child = command(&["info", &format!("{}/a.gguf", server.url)]).spawn().expect("it starts");
    std::thread::sleep(std::time::Duration::from_millis(500));
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
    let status = child.wait().expect("it ends");
    assert_eq!((status.signal(), status.code()), (Some(2), None));
}
