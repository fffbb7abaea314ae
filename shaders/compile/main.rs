//! Turns `wgsl/` into the `SHADERS` table: preprocesses every permutation, validates it with naga, reflects its bindings
//! and writes Rust. A shader that is wrong stops the build with naga's annotated source.
//!
//! Text that several permutations share is written once: `PIECES` holds it, a shader says which make it up.

mod permutations;
mod preprocess;
mod reflect;

use std::collections::BTreeMap;
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
    let mut numbers = BTreeMap::new();
    for permutation in &permutations {
        match compiled(folder, permutation) {
            Ok((reflection, pieces)) => {
                let pieces = pieces.into_iter().map(|piece| number(&mut numbers, piece)).collect();
                entry(&mut rust, &permutation.name, &reflection, pieces);
            }
            Err(error) => errors.push(error),
        }
    }
    rust.push_str("];\n");
    texts(&mut rust, &numbers);
    if errors.is_empty() { Ok(rust) } else { Err(errors) }
}

fn for_browsers() -> bool {
    env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("wasm32")
}

/// Browsers have no integers of 64 bits, and no cooperative matrices of wgpu's kind, so their build does without those levels' kernels.
fn possible(permutation: &permutations::Permutation) -> bool {
    let defines = |flag| permutation.defines.contains_key(flag);
    let native = permutation.file == "mat_mat_matrix"
        || defines("FORMAT_MATRIX")
        || defines("LEVEL_TEXEL")
        || defines("PLANES_TEXTURE");
    !native || !for_browsers()
}

/// What naga finds in a permutation, and its pieces. Browsers ask for lines that naga refuses: these come where `BROWSER` is set.
fn compiled(folder: &Path, shader: &permutations::Permutation) -> Result<(reflect::Reflection, Vec<String>), String> {
    let pieces = preprocess::file(folder, &shader.file, &shader.defines)?;
    let reflection = reflect::reflect(&shader.name, &pieces.concat())?;
    if !for_browsers() {
        return Ok((reflection, pieces));
    }
    let mut defines = shader.defines.clone();
    defines.insert("BROWSER".into(), String::new());
    Ok((reflection, preprocess::file(folder, &shader.file, &defines)?))
}

/// The number of a piece, a new one if it is new.
fn number(numbers: &mut BTreeMap<String, usize>, piece: String) -> usize {
    let next = numbers.len();
    *numbers.entry(piece).or_insert(next)
}

fn entry(rust: &mut String, name: &str, reflection: &reflect::Reflection, pieces: Vec<usize>) {
    writeln!(
        rust,
        "Shader {{ name: {name:?}, bindings: &[{}], workgroup_size: {:?}, pieces: &{pieces:?} }},",
        reflection.bindings.join(", "),
        reflection.workgroup_size,
    )
    .expect("writing to a string never fails");
}

/// The table of pieces.
fn texts(rust: &mut String, numbers: &BTreeMap<String, usize>) {
    let mut pieces: Vec<_> = numbers.iter().collect();
    pieces.sort_by_key(|&(_, number)| number);
    let pieces: Vec<_> = pieces.into_iter().map(|(piece, _)| piece).collect();
    writeln!(rust, "/// What shaders are made of.\nstatic PIECES: &[&str] = &{pieces:#?};")
        .expect("writing to a string never fails");
}
