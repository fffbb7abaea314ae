//! `quantize` through the real binary: the output runs, failures say why and leave nothing.

mod common;

use common::{arg, fails, json, run, stderr, stdout, tiny};

#[test]
fn a_quantized_model_runs() {
    let Some((path, _)) = tiny("llama") else { return };
    let folder = std::env::temp_dir().join(format!("gabion-cli-quantize-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let output = folder.join("out.gguf");
    let done = run(&["quantize", arg(&path), arg(&output), "q5_k", "-t", "2"]);
    assert_eq!((done.status.code(), stdout(&done)), (Some(0), ""), "{}", stderr(&done));
    assert!(stderr(&done).contains("Q5_K_M"), "{}", stderr(&done));
    let info = json(&["info", arg(&output), "--json"]);
    assert_eq!(info["keys"]["general.file_type"], 17);
    // rows of 64: no whole blocks of 256
    assert!(info["types"]["Q5_1"]["tensors"].as_u64().is_some_and(|n| n > 0), "{info}");
    let tokens = json(&["run", "-m", arg(&output), "--ids", "1,2,3", "-n", "2", "--ignore-eos", "--json"]);
    assert_eq!(tokens["tokens"].as_array().map(Vec::len), Some(2));
    let said = fails(1, &["quantize", arg(&output), arg(&folder.join("again.gguf")), "Q4_0"]);
    assert!(said.contains("already"), "{said}");
    assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 1);
    let _ = std::fs::remove_dir_all(&folder);
}
