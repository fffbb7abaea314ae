//! Architectures as data: one short file per family maps a header's keys and tensor names to a `ModelSpec`.

mod decoder;
mod keys;
mod rope;
mod spec;

pub use spec::{Activation, AttentionSpec, FfnSpec, LayerSpec, LinearSpec, ModelSpec, Rope, RopeStyle};

use crate::error::{Error, Result};
use crate::gguf::Header;

mod gemma;
mod gemma3;
mod llama;
mod phi3;
mod qwen2;
mod qwen3;
mod smollm3;

/// A family: its name in `general.architecture` and the function that reads it.
type Family = (&'static str, fn(&keys::Keys<'_>) -> Result<ModelSpec>);

/// Every family this version can run.
const FAMILIES: &[Family] = &[
    ("llama", llama::spec),
    ("qwen2", qwen2::spec),
    ("qwen3", qwen3::spec),
    ("gemma", gemma::spec),
    ("gemma3", gemma3::spec),
    ("phi3", phi3::spec),
    ("smollm3", smollm3::spec),
];

/// The specification of the model that `header` describes.
pub fn spec(header: &Header) -> Result<ModelSpec> {
    let name = header.str("general.architecture")?;
    let name = name.ok_or_else(|| Error::Model("the key general.architecture is missing".into()))?;
    let family = FAMILIES.iter().find(|family| family.0 == name).ok_or_else(|| {
        let known: Vec<&str> = FAMILIES.iter().map(|family| family.0).collect();
        Error::Unsupported(format!("architecture '{name}' (this version runs {})", known.join(", ")))
    })?;
    family.1(&keys::Keys::new(header, name))
}
