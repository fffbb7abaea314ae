//! Architectures as data: one short file per family maps a header's keys and tensor names to a `ModelSpec`.

mod decoder;
mod head;
mod keys;
mod rope;
mod spec;

pub use spec::{
    Activation, AttentionSpec, BranchSpec, ConvSpec, DeltaNetSpec, EncoderSpec, FfnSpec, Gating, LatentSpec, LayerSpec,
    LerpSpec, LinearSpec, MAX_EXPERTS, MAX_WKV_HEAD, Mask, Mixer, MixtureSpec, ModelSpec, NormKind, NormSpec, Norms,
    PerLayerBlock, PerLayerSpec, Pooling, QkNorm, Qkv, RelativeSpec, Rope, RopeStyle, ScanSpec, ShiftSpec,
    ShortConvSpec, StepSpec, Task, TimeMixSpec, TransformSpec, WkvDeltaSpec,
};

use crate::error::{Error, Result};
use crate::gguf::Header;

mod bert;
mod bloom;
mod cohere;
mod deepseek2;
mod falcon;
mod gemma;
mod gemma2;
mod gemma3;
mod gemma4;
mod glm4;
mod gpt2;
mod gpt_oss;
mod gptj;
mod gptneox;
mod granite;
mod lfm2;
mod llama;
mod mamba;
mod mpt;
mod olmo2;
mod opt;
mod phi2;
mod phi3;
mod qwen2;
mod qwen3;
mod qwen3next;
mod rwkv;
mod smollm3;
mod stablelm;
mod starcoder2;
mod t5;

/// A family: its name in `general.architecture` and the function that reads it.
type Family = (&'static str, fn(&keys::Keys<'_>) -> Result<ModelSpec>);

/// Every family this version can run.
const FAMILIES: &[Family] = &[
    ("llama", llama::spec),
    ("qwen2", qwen2::spec),
    ("qwen2moe", qwen2::moe),
    ("qwen3", qwen3::spec),
    ("qwen3moe", qwen3::spec),
    ("gpt-oss", gpt_oss::spec),
    ("deepseek2", deepseek2::spec),
    ("gemma", gemma::spec),
    ("gemma2", gemma2::spec),
    ("gemma3", gemma3::spec),
    ("gemma4", gemma4::spec),
    ("phi2", phi2::spec),
    ("phi3", phi3::spec),
    ("glm4", glm4::glm4),
    ("chatglm", glm4::chatglm),
    ("smollm3", smollm3::spec),
    ("granite", granite::spec),
    ("granitemoe", granite::spec),
    ("olmo2", olmo2::spec),
    ("command-r", cohere::command_r),
    ("cohere2", cohere::cohere2),
    ("stablelm", stablelm::spec),
    ("starcoder2", starcoder2::spec),
    ("gptneox", gptneox::spec),
    ("gptj", gptj::spec),
    ("opt", opt::spec),
    ("falcon", falcon::spec),
    ("gpt2", gpt2::spec),
    ("starcoder", gpt2::spec),
    ("bloom", bloom::spec),
    ("mpt", mpt::spec),
    ("lfm2", lfm2::spec),
    ("mamba", mamba::mamba),
    ("mamba2", mamba::mamba2),
    ("rwkv6", rwkv::rwkv6),
    ("rwkv7", rwkv::rwkv7),
    ("qwen3next", qwen3next::qwen3next),
    ("qwen35", qwen3next::qwen35),
    ("bert", bert::bert),
    ("nomic-bert", bert::nomic),
    ("jina-bert-v2", bert::jina2),
    ("modern-bert", bert::modern),
    ("gemma-embedding", gemma3::embedding),
    ("t5", t5::t5),
    ("t5encoder", t5::encoder),
];

/// Which GELU a model is computed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gelu {
    /// The tanh approximation.
    Tanh,
    /// The exact function.
    Erf,
}

/// The specification of the model that `header` describes. Families with GELU take the form that their models define, which
/// a file does not tell; `gelu` forces one (llama.cpp has the tanh form for all).
pub fn spec(header: &Header, gelu: Option<Gelu>) -> Result<ModelSpec> {
    let name = header.str("general.architecture")?;
    let name = name.ok_or_else(|| Error::Model("the key general.architecture is missing".into()))?;
    let family = FAMILIES.iter().find(|family| family.0 == name).ok_or_else(|| {
        let known: Vec<&str> = FAMILIES.iter().map(|family| family.0).collect();
        Error::Unsupported(format!("architecture '{name}' (this version runs {})", known.join(", ")))
    })?;
    let mut spec = family.1(&keys::Keys::new(header, name))?;
    if let Some(gelu) = gelu {
        force(&mut spec, gelu);
    }
    let recurrent = spec.layers.iter().any(|layer| !matches!(layer.mixer, Mixer::Attention(_)));
    if recurrent && spec.task != Task::Generate {
        // a state would run from one text of a batch into the next
        return Err(Error::Unsupported(format!("embeddings of '{name}': it has recurrent layers")));
    }
    Ok(spec)
}

fn force(spec: &mut ModelSpec, gelu: Gelu) {
    let ffns = spec.layers.iter_mut().flat_map(|layer| {
        let experts = layer.mixture.as_mut().map(|mixture| &mut mixture.experts);
        layer.ffn.as_mut().into_iter().chain(experts)
    });
    let head = spec.transform.as_mut().map(|transform| &mut transform.activation);
    let gelus = ffns.map(|ffn| &mut ffn.activation).chain(head);
    for gelu_form in gelus.filter(|a| matches!(a, Activation::GeluTanh | Activation::GeluErf)) {
        *gelu_form = match gelu {
            Gelu::Tanh => Activation::GeluTanh,
            Gelu::Erf => Activation::GeluErf,
        };
    }
}
