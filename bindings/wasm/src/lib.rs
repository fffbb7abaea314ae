//! gabion for JavaScript: the core's nouns as wasm-bindgen classes.
//!
//! The TypeScript in `js/` is what people use: it adds the worker, `AbortSignal`, iteration and checked options, and is
//! the only caller of what stands here. Weights pass through wasm memory a few MiB at a time on their way to the GPU.
#![cfg(target_arch = "wasm32")]
#![allow(
    clippy::await_holding_refcell_ref,
    reason = "it is the session's or embedder's lock: a second call is refused, never kept waiting"
)]

mod convert;
mod embedder;
mod failure;
mod fit;
mod generate;
mod model;
mod options;
mod session;
mod source;

pub use embedder::Embedder;
pub use failure::on_panic;
pub use model::{Model, Runtime, version};
pub use options::{JsEmbedderOptions, JsGenerateOptions, JsSessionOptions};
pub use session::Session;
pub use source::JsFile;
