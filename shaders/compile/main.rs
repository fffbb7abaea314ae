//! Turns `wgsl/` into the `SHADERS` table: preprocesses every permutation, validates it with naga, reflects its bindings
//! and writes Rust. A shader that is wrong stops the build with naga's annotated source.

mod permutations;
mod preprocess;
mod reflect;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, process};

fn main() {
    let folder = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("wgsl");
    println!("cargo:rerun-if-changed={}", folder.display());
    println!("cargo:rerun-if-changed=compile");
    match generate(&folder) {
        Ok(rust) => {
            let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it")).join("shaders.rs");
            fs::write(out, rust).expect("OUT_DIR is writable");
        }
        Err(errors) => {
            for line in errors.iter().flat_map(|error| error.lines()) {
                println!("cargo:error={line}");
            }
            process::exit(1);
        }
    }
}

/// The generated table, sorted by name; or every permutation's error.
fn generate(folder: &Path) -> Result<String, Vec<String>> {
    let table = fs::read_to_string(folder.join("permutations")).map_err(|e| vec![format!("permutations: {e}")])?;
    let mut permutations = permutations::parse(&table).map_err(|e| vec![e])?;
    permutations.retain(possible);
    permutations.sort_by(|a, b| a.name.cmp(&b.name));
    let mut rust = String::from("/// Every permutation, sorted by name.\npub static SHADERS: &[Shader] = &[\n");
    let mut errors = Vec::new();
    for permutation in &permutations {
        let shader = preprocess::file(folder, &permutation.file, &permutation.defines)
            .and_then(|source| Ok((reflect::reflect(&permutation.name, &source)?, source)));
        match shader {
            Ok((reflection, source)) => entry(&mut rust, &permutation.name, &reflection, &source),
            Err(error) => errors.push(error),
        }
    }
    rust.push_str("];\n");
    if errors.is_empty() { Ok(rust) } else { Err(errors) }
}

/// Browsers always take the base level, so their build does without the rest, which is most of all text.
fn possible(permutation: &permutations::Permutation) -> bool {
    let base = permutation.defines.get("LEVEL").is_none_or(|level| level == "base");
    let plain = base && !permutation.defines.contains_key("FORMAT") && permutation.file != "mat_mat_matrix";
    plain || env::var("CARGO_CFG_TARGET_ARCH").as_deref() != Ok("wasm32")
}

fn entry(rust: &mut String, name: &str, reflection: &reflect::Reflection, source: &str) {
    writeln!(
        rust,
        "Shader {{ name: {name:?}, bindings: &[{}], workgroup_size: {:?}, source: {source:?} }},",
        reflection.bindings.join(", "),
        reflection.workgroup_size,
    )
    .expect("writing to a string never fails");
}
