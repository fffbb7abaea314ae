//! Devices: what executes a `Plan`.
//!
//! Three nouns, from long-lived to short-lived: a `Device` (an adapter or a set of threads) makes a `Loader`, which takes
//! a plan's weights in file order and becomes `Weights` (immutable, shared by sessions), which makes a `State` (one
//! session's KV cache and activations) that runs batches.

mod batch;
mod check;
pub mod cpu;
#[cfg(feature = "gpu")]
pub mod gpu;
pub(crate) mod record;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};
use crate::gguf::Mapped;
use crate::graph::{Plan, WeightId};
use crate::quant::TensorType;

pub use record::Held;

pub use batch::{Batch, Outputs, Texts};

/// A future that need not be `Send`: the caller waits for it where it is.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What kind of hardware a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// gabion's own CPU path.
    Cpu,
    /// A hardware GPU.
    Gpu,
    /// A GPU API implemented on the CPU (lavapipe, SwiftShader, WARP); never chosen by `auto`.
    Software,
}

/// A device's description.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceInfo {
    /// What it is.
    pub kind: DeviceKind,
    /// Its name, e.g. `CPU (AVX-512 VNNI, 2 threads)` or the adapter's name.
    pub name: String,
    /// `cpu`, or the wgpu backend: `vulkan`, `metal`, `dx12`, `webgpu`.
    pub backend: String,
    /// Driver, where there is one.
    pub driver: String,
    /// Threads that compute; 0 on a GPU.
    pub threads: usize,
    /// Batch size it is most efficient at.
    pub preferred_batch: usize,
}

/// How weights are computed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// The device's fastest path; activations may be quantized to int8, 16 under one scale, or rounded to f16.
    #[default]
    Fast,
    /// Float32 activations throughout, on any device.
    Exact,
}

impl Precision {
    /// The element type of a cache that nobody chose.
    pub(crate) fn kv(self) -> KvType {
        match self {
            Self::Fast => KvType::F16,
            Self::Exact => KvType::F32,
        }
    }
}

/// Element type of a KV cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KvType {
    /// IEEE half.
    #[default]
    F16,
    /// Float32.
    F32,
    /// 8 bits, with an f16 scale for 32 dimensions of a head: blocks of `TensorType::Q8_0`.
    Q8_0,
    /// 4 bits, likewise: blocks of `TensorType::Q4_0`.
    Q4_0,
}

/// Dimensions of a head that share a scale, where there are scales.
pub(crate) const KV_GROUP: usize = 32;

impl KvType {
    /// Its name: `f16`, `f32`, `q8_0`, `q4_0`.
    pub fn name(self) -> &'static str {
        match self {
            KvType::F16 => "f16",
            KvType::F32 => "f32",
            KvType::Q8_0 => "q8_0",
            KvType::Q4_0 => "q4_0",
        }
    }

    /// The type of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::F16, Self::F32, Self::Q8_0, Self::Q4_0].into_iter().find(|kv| kv.name() == name)
    }

    /// Bytes of one head's key or value, `head_dim` elements.
    pub fn head_bytes(self, head_dim: usize) -> usize {
        match self {
            KvType::F16 => 2 * head_dim,
            KvType::F32 => 4 * head_dim,
            KvType::Q8_0 => head_dim.div_ceil(KV_GROUP) * TensorType::Q8_0.block_bytes(),
            KvType::Q4_0 => head_dim.div_ceil(KV_GROUP) * TensorType::Q4_0.block_bytes(),
        }
    }
}

/// Size and kind of a session's state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StateOptions {
    /// Positions that fit.
    pub n_ctx: usize,
    /// Most rows of one batch.
    pub max_batch: usize,
    /// Most rows of one batch whose logits are wanted.
    pub max_outputs: usize,
    /// Cache element type.
    pub kv: KvType,
}

/// What a device can hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceLimits {
    /// Bytes of memory that are free now, where the system tells; of a GPU all bytes of its own memory, where Vulkan tells.
    pub memory: Option<u64>,
    /// Most bytes of one buffer; `None` where there is no such limit. Matrices are split there, a layer's cache is not.
    pub buffer: Option<u64>,
}

/// Bytes of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateBytes {
    /// Of what stays from token to token.
    pub kv: u64,
    /// Of everything else: activations, logits, tables.
    pub scratch: u64,
    /// The largest buffer that `DeviceLimits::buffer` limits.
    pub largest: u64,
}

impl StateBytes {
    /// All bytes.
    pub fn total(&self) -> u64 {
        self.kv.saturating_add(self.scratch)
    }
}

/// Positions a layer's cache holds, as a ring: position p lies at p % capacity. A windowed layer needs no more than its
/// window and one batch, since a batch is written before it is read.
pub fn kv_capacity(window: Option<usize>, options: &StateOptions) -> usize {
    window.map_or(options.n_ctx, |window| options.n_ctx.min(window + options.max_batch))
}

/// Most candidates that a device picks.
pub const MAX_CANDIDATES: usize = 256;

/// A token to compute, and what to pick from the logits after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its id, below `n_vocab`.
    pub token: u32,
    /// Its position; the cache is valid for every position before it (that a window can see).
    pub pos: usize,
    /// How many of the likeliest tokens are wanted, in 1..=MAX_CANDIDATES.
    pub top: usize,
    /// Whether ln Σ exp is wanted.
    pub log_sum: bool,
    /// How many further steps will most likely follow, each with the likeliest token after the one before: they may be
    /// computed, and written to the cache, in advance. At most `max_batch`, so that no window loses what it sees.
    pub ahead: usize,
}

/// The likeliest tokens after a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Candidates {
    /// Ids and logits in no order: all that are wanted, and maybe others. Of equal logits lower ids come first; NaN is none.
    pub tokens: Vec<(u32, f32)>,
    /// The likeliest; anything where there are no tokens.
    pub best: u32,
    /// ln Σ exp of all logits, if that is wanted.
    pub log_sum: f64,
    /// One past the highest position written to the cache.
    pub written: usize,
}

/// A flag that stops work from another thread.
#[derive(Clone, Debug, Default)]
pub struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    /// Asks for a stop. May be called from any thread.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
    /// Withdraws the request.
    pub fn clear(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
    /// Whether a stop was asked for.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
    /// `Error::Cancelled` if a stop was asked for.
    pub fn check(&self) -> Result<()> {
        if self.is_set() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// Copies of its recurrent states that a session's state has room for: the end of a prompt to answer again, and that of the one
/// before, to change the last question.
pub const COPIES: usize = 2;

/// Something that can run a plan.
pub trait Device: Send + Sync {
    /// Its description.
    fn info(&self) -> &DeviceInfo;
    /// Checks that it can run `plan` and makes room for its weights.
    fn loader(self: Arc<Self>, plan: Arc<Plan>, precision: Precision) -> Result<Box<dyn Loader>>;
    /// The capability levels at which a GPU makes products of one row and of many.
    fn levels(&self, _: Precision) -> Option<[&'static str; 2]> {
        None
    }
    /// What it can hold.
    fn limits(&self) -> DeviceLimits;
    /// Bytes that a plan's weights will take, or why `loader` will refuse it.
    fn weight_bytes(&self, plan: &Plan) -> Result<u64>;
    /// Bytes that a session's state will take, whether or not they are there. (Programs and their uniforms, some hundred
    /// KiB on a GPU, do not count here nor in `State::bytes`.)
    fn state_bytes(
        self: Arc<Self>,
        plan: Arc<Plan>,
        precision: Precision,
        options: &StateOptions,
    ) -> Result<StateBytes>;
    /// Measures how fast it copies its own memory: bytes read and written per second. Takes memory for two large buffers
    /// meanwhile.
    fn copy_bandwidth(&self) -> LocalFuture<'_, Result<f64>>;
}

/// Takes weights, in the order of `Plan::weights`, each in consecutive whole rows.
pub trait Loader {
    /// Takes a weight that stays mapped, without copying. `false` if this device wants its bytes through `rows`.
    fn adopt(&mut self, weight: WeightId, file: &Mapped, offset: usize) -> Result<bool>;
    /// Takes whole rows (in the file's encoding) starting at row `first`.
    fn rows(&mut self, weight: WeightId, first: usize, bytes: &[u8]) -> Result<()>;
    /// Ends loading; every weight must have been given.
    fn finish(self: Box<Self>) -> LocalFuture<'static, Result<Arc<dyn Weights>>>;
}

/// A model's weights on a device.
pub trait Weights: Send + Sync {
    /// A fresh state for one session.
    fn state(self: Arc<Self>, options: &StateOptions) -> Result<Box<dyn State>>;
    /// Bytes held on the device.
    fn bytes(&self) -> u64;
}

/// One session's cache and activations.
pub trait State: Send {
    /// Runs a batch. `logits` is resized to the rows wanted times `n_vocab`. On an error nothing at or after
    /// `batch.pos` is valid any more; everything before it still is, unless the device is lost. What the plan carries from row to
    /// row is not valid after an error; a batch at position 0 starts it anew.
    fn run<'a>(
        &'a mut self,
        batch: Batch<'a>,
        cancel: &'a CancelFlag,
        logits: &'a mut Vec<f32>,
    ) -> LocalFuture<'a, Result<()>>;
    /// Copies what the plan carries from row to row to one of `COPIES` places.
    fn keep(&mut self, place: usize);
    /// Brings such a copy back.
    fn restore(&mut self, place: usize);
    /// Runs the plan's encoder over a whole text, at most `max_batch` tokens, for the batches that follow to attend to. On an
    /// error there is no such text.
    fn encode<'a>(&'a mut self, tokens: &'a [u32], cancel: &'a CancelFlag) -> LocalFuture<'a, Result<()>>;
    /// Appends what it holds to `out`, in the form of `device/record.rs`.
    fn save<'a>(&'a mut self, held: &'a Held, out: &'a mut Vec<u8>) -> LocalFuture<'a, Result<()>>;
    /// Takes what a state of the same plan and cache type has saved, exactly so many bytes. Of a ring that is shorter than the saved
    /// one, the last positions.
    fn load(&mut self, held: &Held, saved: &[u8]) -> Result<()>;
    /// Another state of the same size that holds the same, with its copies, as far as positions below `written` go.
    fn fork(&self, written: usize) -> Result<Box<dyn State>>;
    /// The state as one that picks candidates by itself; `None` where logits cost nothing to read.
    fn picker(&mut self) -> Option<&mut dyn Picker> {
        None
    }
    /// Bytes held on the device.
    fn bytes(&self) -> u64;
    /// Most kernel launches that one token takes; 0 where there are none.
    fn launches(&self) -> usize {
        0
    }
}

/// A state that picks candidates where the logits are.
pub trait Picker {
    /// Runs one token, with the logits that `State::run` gives. On an error nothing at or after its position is valid any
    /// more, nor is it beyond the step after a success.
    fn step<'a>(
        &'a mut self,
        step: Step,
        cancel: &'a CancelFlag,
        picked: &'a mut Candidates,
    ) -> LocalFuture<'a, Result<()>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_takes_what_its_blocks_take() {
        let bytes = |dim| [KvType::F32, KvType::F16, KvType::Q8_0, KvType::Q4_0].map(|kv| kv.head_bytes(dim));
        assert_eq!(bytes(64), [256, 128, 68, 36]);
        assert_eq!(bytes(80)[2..], [102, 54]);
        assert_eq!(KvType::from_name("q8_0"), Some(KvType::Q8_0));
        assert_eq!(KvType::from_name("f8"), None);
    }
}
