//! What several test files share: where test assets and real models lie, devices, op cases, golden files, hostile files,
//! a counting allocator.

pub mod alloc;
mod assets;
pub mod devices;
#[cfg(not(target_arch = "wasm32"))]
pub mod fuzz;
pub mod golden;
pub mod hostile;
pub mod ops;
pub mod toy;

pub use assets::{GEMMA3, QWEN2, SMOLLM2, model, shared, shared_files, tiny_model, tiny_models};
