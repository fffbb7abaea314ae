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
pub mod text;
