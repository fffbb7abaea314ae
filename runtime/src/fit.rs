//! What a model is and what it takes, from its header alone: nothing is loaded, and every number comes from the functions that
//! allocate later.

use crate::device::{DeviceLimits, KvType, StateBytes, StateOptions};
use crate::error::Result;
use crate::gguf::{Array, Header, Value};
use crate::model::{ModelOptions, Parts};
use crate::runtime::Runtime;
use crate::session::{MAX_CTX, SessionOptions, state_options};

/// What a header says a model is, also of models that this version cannot run: whatever is missing is 0 or "".
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelInfo {
    /// The family, e.g. `llama`.
    pub architecture: String,
    /// The name the file gives it.
    pub name: String,
    /// Elements of all tensors.
    pub n_parameters: u64,
    /// Bytes of all tensors in the file (of those whose type is known).
    pub tensor_bytes: u64,
    /// Bits of the file per element.
    pub bits_per_weight: f64,
    /// The context length it was trained for, in tokens.
    pub n_ctx_train: usize,
    /// Tokens of its vocabulary.
    pub n_vocab: usize,
    /// Width of the residual stream.
    pub n_embd: usize,
    /// Blocks.
    pub n_layer: usize,
    /// The kind of its tokenizer, e.g. `gpt2`; "" where the file has none.
    pub tokenizer: String,
    /// Whether it has a chat template.
    pub has_chat_template: bool,
}

impl ModelInfo {
    /// What `header` says.
    pub fn new(header: &Header) -> Self {
        let text = |key: &str| header.get(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
        let architecture = text("general.architecture");
        let count = |key: &str| header.u32(&format!("{architecture}.{key}")).ok().flatten().unwrap_or(0) as usize;
        let sum = |f: fn(&_) -> u64| header.tensors.iter().map(f).fold(0, u64::saturating_add);
        let (n_parameters, tensor_bytes) = (sum(|tensor| tensor.elements()), sum(|tensor| tensor.bytes));
        let known = header.tensors.iter().filter(|tensor| tensor.ty().is_some());
        let known: f64 = known.map(|tensor| tensor.elements() as f64).sum();
        Self {
            name: text("general.name"),
            n_parameters,
            tensor_bytes,
            bits_per_weight: if known > 0.0 { 8.0 * tensor_bytes as f64 / known } else { 0.0 },
            n_ctx_train: count("context_length"),
            n_vocab: header.array("tokenizer.ggml.tokens").ok().flatten().map_or(0, |tokens: Array<'_>| tokens.len()),
            n_embd: count("embedding_length"),
            n_layer: count("block_count"),
            tokenizer: text("tokenizer.ggml.model"),
            has_chat_template: matches!(header.get("tokenizer.chat_template"), Some(Value::String(_))),
            architecture,
        }
    }
}

/// How a model would be loaded, and what it may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FitOptions {
    /// As for `Model::open`.
    pub model: ModelOptions,
    /// As for `Model::session`.
    pub session: SessionOptions,
    /// Bytes that it may take; `None` for what the device says it has (`Runtime::limits`), where it does.
    pub memory: Option<u64>,
}

/// What a model and one session of it take on a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// What it is.
    pub info: ModelInfo,
    /// Tokens of the session's context.
    pub n_ctx: usize,
    /// Most tokens computed at once.
    pub n_batch: usize,
    /// Element type of the cache.
    pub kv: KvType,
    /// Bytes of weights: what `Model::weight_bytes` will be. On the CPU a mapped file's count too; they are read as they are
    /// used.
    pub weight_bytes: u64,
    /// Bytes of the cache.
    pub kv_bytes: u64,
    /// Bytes of activations, logits and tables; with `kv_bytes` what `Session::bytes` will be.
    pub scratch_bytes: u64,
    /// What it was held against: `FitOptions::memory`, or what the device said.
    pub limits: DeviceLimits,
    /// The longest context that fits, up to what the model was trained for or what was asked for; 0 if none does.
    pub max_n_ctx: usize,
    /// Why it does not fit; `None` if it does.
    pub problem: Option<String>,
}

impl Fit {
    /// Whether it fits.
    pub fn fits(&self) -> bool {
        self.problem.is_none()
    }

    /// Bytes of everything.
    pub fn total_bytes(&self) -> u64 {
        self.weight_bytes.saturating_add(self.kv_bytes).saturating_add(self.scratch_bytes)
    }
}

impl Runtime {
    /// What a model would take on this device, and the longest context that fits. An error if this version cannot run it: the
    /// one that loading would give, which names what is missing.
    pub fn fit(&self, header: &Header, options: &FitOptions) -> Result<Fit> {
        let info = ModelInfo::new(header);
        let Parts { spec, plan, .. } = Parts::new(header, options.model.gelu)?;
        let (device, precision) = (self.device(), options.model.precision());
        let weights = device.weight_bytes(&plan)?;
        let limits = DeviceLimits { memory: options.memory.or(device.limits().memory), ..device.limits() };
        let size = |session: &SessionOptions| state_options(&spec, self.info(), options.model.precision(), session);
        let bytes = |options: &StateOptions| device.clone().state_bytes(plan.clone(), precision, options);
        let state = size(&options.session)?;
        let taken = bytes(&state)?;
        let fits = |n_ctx: usize| {
            let state = size(&SessionOptions { n_ctx, ..options.session })?;
            Ok(problem(weights, &bytes(&state)?, &limits).is_none())
        };
        let max_n_ctx = largest(spec.n_ctx_train.max(state.n_ctx).min(MAX_CTX), fits)?;
        Ok(Fit {
            info,
            n_ctx: state.n_ctx,
            n_batch: state.max_batch,
            kv: state.kv,
            weight_bytes: weights,
            kv_bytes: taken.kv,
            scratch_bytes: taken.scratch,
            limits,
            max_n_ctx,
            problem: problem(weights, &taken, &limits),
        })
    }
}

/// Why a model does not fit.
fn problem(weights: u64, state: &StateBytes, limits: &DeviceLimits) -> Option<String> {
    let total = weights.saturating_add(state.total());
    match (limits.buffer, limits.memory) {
        (Some(most), _) if state.largest > most => {
            let (needed, most) = (mib(state.largest), mib(most));
            Some(format!("a session needs a buffer of {needed}, the device's largest is {most}"))
        }
        (_, Some(memory)) if total > memory => Some(format!("it needs {}, {} may be taken", mib(total), mib(memory))),
        _ => None,
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// The largest of 1..=most for which `holds`, which once false stays false; 0 if there is none.
fn largest(most: usize, holds: impl Fn(usize) -> Result<bool>) -> Result<usize> {
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if holds(middle)? {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_is_found() {
        for most in [0, 1, 2, 7, 100] {
            for limit in 0..=most {
                assert_eq!(largest(most, |n| Ok(n <= limit)).unwrap(), limit);
            }
        }
    }

    #[test]
    fn what_does_not_fit_says_why() {
        const MIB: u64 = 1 << 20;
        let state = StateBytes { kv: 60 * MIB, scratch: 20 * MIB, largest: 50 * MIB };
        let problem = |weights, memory: Option<u64>, buffer: Option<u64>| {
            let limits = DeviceLimits { memory: memory.map(|m| m * MIB), buffer: buffer.map(|b| b * MIB) };
            problem(weights * MIB, &state, &limits)
        };
        assert_eq!(problem(20, None, None), None);
        assert_eq!(problem(20, Some(100), Some(50)), None);
        assert_eq!(problem(21, Some(100), Some(50)).unwrap(), "it needs 101.0 MiB, 100.0 MiB may be taken");
        let buffer = "a session needs a buffer of 50.0 MiB, the device's largest is 49.0 MiB";
        assert_eq!(problem(20, Some(1), Some(49)).unwrap(), buffer);
    }
}
