//! Where test assets and real models lie.
//!
//! But for a few tiny models, neither is part of the repository (licences, size). A test that wants one and does not find it says so and passes.

use std::path::{Path, PathBuf};

/// The default model: `llama`, Q4_1.
pub const SMOLLM2: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
/// `gemma3`, Q4_K_M, whose embedding is larger than a default GPU binding.
pub const GEMMA3: &str = "gemma-3-270m-q4_k_m.gguf";
/// `qwen2`; not fetched by the tests, used where it is.
pub const QWEN2: &str = "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf";

/// A test asset by its path inside the shared folder: `$GABION_SHARED`, else `../shared` beside the repository.
pub fn shared(rel: &str) -> Option<PathBuf> {
    present(std::env::var_os("GABION_SHARED").map_or_else(beside, PathBuf::from).join(rel))
}

/// The GGUF files of a folder in the shared one, in order.
pub fn shared_files(folder: &str) -> Vec<PathBuf> {
    shared(folder).map_or_else(Vec::new, |folder| ggufs(&folder))
}

/// Tiny models with golden answers: the shared ones, and those of this repository (`tests/fixtures/tiny`), in order.
pub fn tiny_models() -> Vec<PathBuf> {
    let own = ggufs(&root().join("tests/fixtures/tiny"));
    let mut files = [shared_files("tiny"), own].concat();
    files.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    files
}

/// One of these by its name.
pub fn tiny_model(name: &str) -> Option<PathBuf> {
    tiny_models().into_iter().find(|path| path.file_stem().is_some_and(|stem| stem == name))
}

fn ggufs(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("a readable entry").path());
    let mut files: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|end| end == "gguf")).collect();
    files.sort();
    files
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().find(|folder| folder.join("Cargo.lock").exists()).unwrap_or(here).into()
}

fn beside() -> PathBuf {
    root().join("../shared")
}

/// A real model file by its name, from `$GABION_MODELS`, else from the user's cache folder `~/.cache/gabion`.
pub fn model(name: &str) -> Option<PathBuf> {
    let folder = match std::env::var_os("GABION_MODELS") {
        Some(folder) => PathBuf::from(folder),
        None => cache_folder()?,
    };
    present(folder.join(name))
}

fn cache_folder() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    cache.map(|cache| cache.join("gabion"))
}

/// `path` if it exists; else tells the reader of the test's output what was skipped.
fn present(path: PathBuf) -> Option<PathBuf> {
    let found = path.exists();
    if !found {
        eprintln!("skipped: {} is not here", path.display());
    }
    found.then_some(path)
}
