//! What several test files share: where test assets and real models lie, op cases, hostile files, a counting allocator.

pub mod alloc;
mod assets;
pub mod hostile;
pub mod ops;

pub use assets::{GEMMA3, QWEN2, SMOLLM2, model, shared};
