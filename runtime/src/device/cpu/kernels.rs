//! The kernels of one level, as a table: what differs between the scalar reference and each instruction set.

use super::attention::{self, AttentionKernel};
use super::conv::{self, ConvKernel};
use super::delta_rule::{self, DeltaRuleKernel};
use super::level::Level;
use super::mat_mul::{self, MatMulKernel};
use super::memory::{Line, Room};
use super::norm::{self, Norm};
use super::scan::{self, ScanKernel};
use super::simd::{self, Acts, ActsWriter};
use super::wkv::{self, WkvKernel};
use super::{activate, gate, scale};
use crate::device::{Precision, StateOptions, kv_capacity};
use crate::error::Result;
use crate::graph::{Activation, Cap, Columns, Plan};
use crate::quant::layout::{Decode, Number, Packed, Plain};
use crate::quant::{self, TensorType};

/// Row kernels take one row of a batch; matrix and attention kernels see `MatMul` and `Attention`.
pub(super) struct Kernels {
    /// (x, norm, accumulate, out)
    pub(super) norm: fn(&[f32], &Norm<'_>, bool, &mut [f32]),
    /// (x, activation, gated, out)
    pub(super) activate: fn(&[f32], Activation, bool, &mut [f32]),
    /// (x, factor, cap)
    pub(super) scale: fn(&mut [f32], f32, Option<Cap>),
    /// (gates, which columns, whether sigmoid, x)
    pub(super) gate: fn(&[f32], &Columns, bool, &mut [f32]),
    pub(super) conv: ConvKernel,
    pub(super) scan: ScanKernel,
    pub(super) delta_rule: DeltaRuleKernel,
    pub(super) wkv: WkvKernel,
    /// (acts, row of the batch, x)
    pub(super) quantize: fn(&ActsWriter<'_>, usize, &[f32]),
    pub(super) attention: AttentionKernel,
    /// The kernel for a type of matrix, if it can be computed with.
    pub(super) mat_mul: fn(TensorType, Precision) -> Option<MatrixKernel>,
}

/// (blocks, elements)
pub(super) type Decoder = fn(&[u8], &mut [f32]);

/// How to multiply with one type of matrix.
#[derive(Clone, Copy)]
pub(super) struct MatrixKernel {
    pub(super) run: MatMulKernel,
    /// Decodes whole blocks.
    pub(super) decode: Decoder,
    /// Whether it reads `MatMul::acts` instead of `MatMul::x`.
    pub(super) quantized: bool,
}

/// A thread's working memory, allocated once per state.
pub(super) struct Scratch {
    /// One decoded row of any matrix.
    pub(super) row: Vec<f32>,
    /// Unpacked rows of a matrix, side by side, with their scales and mins.
    pub(super) panel: Vec<Line>,
    pub(super) scale: Vec<f32>,
    pub(super) min: Vec<f32>,
    /// One score per cached position.
    pub(super) scores: Vec<f32>,
    /// Unfinished outputs of some heads.
    pub(super) heads: Vec<f32>,
}

impl Scratch {
    pub(super) fn new(plan: &Plan, options: &StateOptions, room: &Room) -> Result<Self> {
        let cols = plan.widest_input();
        let capacity = plan.layers.iter().map(|l| kv_capacity(l.window, options)).max().unwrap_or(0);
        let head = plan.layers.iter().map(|l| l.head_dim.next_multiple_of(16)).max().unwrap_or(0);
        Ok(Self {
            row: room.zeroed("a matrix row", &[cols])?,
            panel: room.zeroed("matrix rows", &[cols])?,
            scale: room.zeroed("matrix scales", &[cols.next_multiple_of(16)])?,
            min: room.zeroed("matrix scales", &[cols.next_multiple_of(16)])?,
            scores: room.zeroed("attention scores", &[capacity])?,
            heads: room.zeroed("attention heads", &[simd::QUERIES, head])?,
        })
    }
}

/// Room for a batch's 8-bit activations; none if no matrix wants them.
pub(super) fn acts(plan: &Plan, rows: usize, room: &Room) -> Result<Acts> {
    let cols = plan.widest_input();
    Acts::new(rows, cols, room)
}

static REFERENCE: Kernels = Kernels {
    norm: norm::norm,
    activate: activate::activate,
    scale: scale::scale,
    gate: gate::gate,
    conv: conv::conv,
    scan: scan::scan,
    delta_rule: delta_rule::delta_rule,
    wkv: wkv::wkv,
    quantize: |_, _, _| (),
    attention: attention::attention,
    mat_mul: |ty, _| quant::visit(ty, Reference),
};

/// Finds the reference kernel of a type.
struct Reference;

impl quant::Visitor for Reference {
    type Output = MatrixKernel;
    fn number<N: Number + Decode>(self) -> MatrixKernel {
        MatrixKernel { run: mat_mul::mat_mul, decode: |blocks, out| N::decode(Plain, blocks, out), quantized: false }
    }
    fn packed<P: Packed + Decode>(self) -> MatrixKernel {
        MatrixKernel { run: mat_mul::mat_mul, decode: |blocks, out| P::decode(Plain, blocks, out), quantized: false }
    }
}

/// The kernels of `level`, which this machine must have (`Cpu::new` has seen to it).
pub(super) fn kernels(level: Level) -> &'static Kernels {
    assert!(level.is_available());
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => simd::table::<simd::x86::Avx2<{ simd::x86::MADD }>>(),
        #[cfg(target_arch = "x86_64")]
        Level::AvxVnni => simd::table::<simd::x86::Avx2<{ simd::x86::AVX_VNNI }>>(),
        #[cfg(target_arch = "x86_64")]
        Level::Avx512Vnni => simd::table::<simd::x86::Avx512>(),
        #[cfg(target_arch = "aarch64")]
        Level::Neon => simd::table::<simd::neon::Neon<false>>(),
        #[cfg(target_arch = "aarch64")]
        Level::NeonDot => simd::table::<simd::neon::Neon<true>>(),
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Level::Simd128 => simd::table::<simd::wasm::Simd128>(),
        _ => &REFERENCE,
    }
}
