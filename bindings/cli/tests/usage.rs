//! Help, wrong usage, broken files: the exit codes and that every error says what to do.

mod common;

use common::*;
use gabion::gguf::{Owned, Writer};

#[test]
fn help_names_every_command_and_has_no_ansi() {
    let help = ok(&["--help"]);
    for name in [
        "run",
        "chat",
        "info",
        "fit",
        "tokenize",
        "score",
        "embed",
        "rerank",
        "perplexity",
        "bench",
        "devices",
        "quantize",
    ] {
        assert!(help.contains(&format!("\n  {name} ")), "{name}");
        assert!(ok(&[name, "--help"]).contains("Usage: gabion"), "{name}");
    }
    assert!(!help.contains('\x1b'));
    assert_eq!(ok(&["--version"]), format!("gabion {}\n", gabion::VERSION));
}

#[test]
fn wrong_usage_is_2() {
    let wrong: &[&[&str]] = &[
        &[],
        &["nonsense"],
        &["run", "--nonsense"],
        &["run", "-p", "x"],
        &["chat"],
        &["info"],
        &["fit"],
        &["fit", "x", "--memory", "much"],
        &["tokenize", "-p", "x"],
        &["score", "-p", "x"],
        &["perplexity", "-f", "x"],
        &["bench"],
        &["rerank", "-m", "x", "-p", "x"],
        &["embed", "-m", "x", "-p", "x", "--pooling", "max"],
        &["quantize", "a", "b"],
        &["quantize", "a", "b", "Q9_K"],
        &["run", "-m", "x", "-p", "x", "-f", "x"],
        &["run", "-m", "x", "--ids", "1,x"],
        &["run", "-m", "x", "--ids", "-1"],
        &["run", "-m", "x", "-p", "x", "--ids", "1"],
        &["run", "-m", "x", "-p", "x", "-t", "0"],
        &["run", "-m", "x", "-p", "x", "--temp", "nan"],
        &["run", "-m", "x", "-p", "x", "--top-p", "inf"],
        &["run", "-m", "x", "-p", "x", "--kv", "f8"],
        &["run", "-m", "x", "-p", "x", "--kv", "f16,f32"],
        &["bench", "--synthetic", "llama-9b:Q4_0"],
        &["bench", "--synthetic", "llama-1b:Q9_9"],
        &["bench", "-m", "x", "-d", "x"],
        &["run", "-m", "x", "-p", "x", "--logprobs", "3"],
        &["bench", "-m", "x", "-r", "0"],
        &["bench", "-m", "x", "-p", "0", "-n", "0"],
        &["bench", "-m", "x", "-o", "xml"],
        &["perplexity", "-m", "x", "-p", "x", "-c", "1"],
    ];
    for args in wrong {
        let said = fails(2, args);
        assert!(said.contains("--help") || said.contains("Usage"), "{args:?}: {said}");
    }
}

#[test]
fn broken_files_are_1_and_say_what_to_do() {
    let said = fails(1, &["run", "-m", "/nowhere/x.gguf", "-p", "x"]);
    assert!(said.starts_with("error: cannot read /nowhere/x.gguf") && said.contains("hint: "), "{said}");
    let text = scratch("text.gguf", b"this is not a model");
    for name in ["info", "tokenize"] {
        let said = fails(1, &[name, "-m", arg(&text)]);
        assert!(said.contains("not a usable GGUF file") && said.contains("fetch it again"), "{said}");
    }
    let empty = scratch("empty.gguf", b"");
    assert!(fails(1, &["info", arg(&empty)]).starts_with("error: "));
    assert!(fails(1, &["info", "/"]).starts_with("error: "));
}

#[test]
fn a_file_that_is_not_text_is_an_error() {
    let bytes = scratch("latin1.txt", b"caf\xe9");
    let said = fails(1, &["tokenize", "-m", "x", "-f", arg(&bytes)]);
    assert!(said.contains("UTF-8"), "{said}");
}

#[test]
fn an_unknown_device_is_named() {
    let model = scratch("header.gguf", &Writer::new().to_bytes());
    let said = fails(1, &["run", "-m", arg(&model), "-p", "x", "--device", "no such device"]);
    assert!(said.contains("no such device") && said.contains("gabion devices"), "{said}");
}

#[test]
fn devices_start_with_the_cpu() {
    let devices = json(&["devices", "--json"]);
    assert_eq!(devices[0]["kind"], "cpu");
    let auto = devices.as_array().expect("an array").iter().filter(|device| device["auto"] == true);
    assert_eq!(auto.count(), 1);
    assert!(ok(&["devices"]).contains("--device cpu"));
}

#[test]
fn info_shows_what_it_cannot_run_and_disarms_terminals() {
    let hostile = Owned::String("evil\x1b[2J\u{9b}name".into());
    let header = Writer::new()
        .key("general.architecture", Owned::String("from-the-future".into()))
        .key("general.name", hostile)
        .key("some.float", Owned::F32(f32::NAN));
    let path = scratch("future.gguf", &header.to_bytes());
    let text = ok(&["info", arg(&path)]);
    assert!(text.contains("does not run here: unsupported: architecture 'from-the-future'"), "{text}");
    assert!(text.contains("evil") && !text.contains(['\x1b', '\u{9b}']), "{text}");
    let object = json(&["info", arg(&path), "--json"]);
    assert_eq!((&object["supported"], &object["keys"]["some.float"]), (&false.into(), &serde_json::Value::Null));
}

#[test]
fn info_lists_tensors_where_asked() {
    let Some((path, golden)) = tiny("llama") else { return };
    let name = "blk.0.attn_q.weight";
    assert!(!ok(&["info", arg(&path)]).contains(name));
    assert!(ok(&["info", "-v", arg(&path)]).contains(name));
    let object = json(&["info", "-v", "--json", "-m", arg(&path)]);
    assert_eq!(object["supported"], true);
    assert_eq!(object["keys"]["general.architecture"], golden["arch"]);
    let tensors = object["tensors"].as_array().expect("tensors");
    assert_eq!(tensors.len() as u64, object["n_tensors"].as_u64().expect("a count"));
    let bytes: u64 = tensors.iter().map(|tensor| tensor["bytes"].as_u64().expect("bytes")).sum();
    assert_eq!(object["tensor_bytes"], bytes);
}
