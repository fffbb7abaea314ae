//! What several test files share: where test assets and real models lie, hostile files, a counting allocator.
//!
//! Neither assets nor models are part of the repository (licences, size). A test that wants one and does not find it says
//! so and passes.

pub mod alloc;
pub mod hostile;

pub mod ops;

use std::path::PathBuf;

/// A test asset by its path inside the shared folder: `$GABION_SHARED`, else `../shared` beside the repository.
pub fn shared(rel: &str) -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    present(std::env::var_os("GABION_SHARED").map_or_else(beside, PathBuf::from).join(rel))
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
