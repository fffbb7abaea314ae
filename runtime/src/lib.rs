//! gabion: an embeddable inference runtime for GGUF foundation models.
//!
//! Data flows one way: `gguf::Source` -> `gguf::Header` -> `arch::ModelSpec` -> `graph::Plan` -> `device::Device` ->
//! `Session` -> tokens -> text. A module imports only what stands left of it.
#![warn(missing_docs)]

pub mod arch;
pub mod device;
pub mod error;
pub mod gguf;
pub mod graph;
pub mod quant;
pub mod sample;
pub mod text;

mod checkpoints;
mod embed;
mod fit;
mod fnv;
mod generate;
mod model;
#[cfg(not(target_arch = "wasm32"))]
mod quantize;
mod runtime;
mod saved;
mod session;

pub use arch::{Gelu, Pooling, Task};
pub use device::{CancelFlag, DeviceInfo, DeviceKind, DeviceLimits, KvType};
pub use embed::{Embedder, EmbedderOptions, Filled, TextKind};
pub use error::{Error, Result};
pub use fit::{Fit, FitOptions, ModelInfo};
pub use generate::{GenerateOptions, Generation, Piece, StopReason, Token};
pub use model::{Model, ModelOptions, Progress, ProgressFn};
#[cfg(not(target_arch = "wasm32"))]
pub use quantize::{Quantized, quantize};
pub use runtime::{Runtime, RuntimeOptions};
pub use sample::SamplerOptions;
pub use session::{Session, SessionOptions, Synced};
pub use text::{ChatOptions, Message};

/// gabion's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The README's Rust example must compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
