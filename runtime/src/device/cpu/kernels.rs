//! The kernels of one level, as a table: what differs between the scalar reference and each instruction set.

use super::attention::{self, AttentionKernel};
use super::level::Level;
use super::mat_mul::{self, MatMulKernel};
use super::memory::zeroed;
use super::{glu, rms_norm, softcap};
use crate::device::{Precision, StateOptions, kv_capacity};
use crate::error::Result;
use crate::graph::{Activation, Plan};
use crate::quant::TensorType;

/// Row kernels take one row of a batch; matrix and attention kernels see `MatMul` and `Attention`.
pub(super) struct Kernels {
    /// (x, weight, eps, accumulate, out)
    pub(super) rms_norm: fn(&[f32], &[f32], f32, bool, &mut [f32]),
    /// (x, activation, out)
    pub(super) glu: fn(&[f32], Activation, &mut [f32]),
    /// (x, cap)
    pub(super) softcap: fn(&mut [f32], f32),
    pub(super) attention: AttentionKernel,
    /// The kernel for a type of matrix.
    pub(super) mat_mul: fn(TensorType, Precision) -> MatMulKernel,
}

/// A thread's working memory, allocated once per state.
pub(super) struct Scratch {
    /// One decoded row of any matrix.
    pub(super) row: Vec<f32>,
    /// One score per cached position.
    pub(super) scores: Vec<f32>,
}

impl Scratch {
    pub(super) fn new(plan: &Plan, options: &StateOptions) -> Result<Self> {
        let cols = plan.weights.iter().map(|w| w.cols).max().unwrap_or(0);
        let capacity = plan.layers.iter().map(|l| kv_capacity(l.window, options)).max().unwrap_or(0);
        Ok(Self { row: zeroed("a matrix row", &[cols])?, scores: zeroed("attention scores", &[capacity])? })
    }
}

static REFERENCE: Kernels = Kernels {
    rms_norm: rms_norm::rms_norm,
    glu: glu::glu,
    softcap: softcap::softcap,
    attention: attention::attention,
    mat_mul: |_, _| mat_mul::mat_mul,
};

/// The kernels of `level`.
pub(super) fn kernels(level: Level) -> &'static Kernels {
    match level {
        Level::Reference => &REFERENCE,
    }
}
