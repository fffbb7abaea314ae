//! Capability levels: variants of the products' kernels, for adapters that offer what they need, and the self-test that
//! confirms them.

use std::sync::Arc;

use super::Gpu;
use super::planes::UNIT;
use super::products::Form;
use crate::device::{Batch, CancelFlag, Device, KvType, Outputs, Precision, StateOptions, Texts};
use crate::error::Result;
use crate::graph::{BufId, Buffer, Linear, Lookup, NormKind, Op, Plan, Weight, WeightId};
use crate::quant::TensorType;

/// What products use beyond what WebGPU guarantees. No level is part of another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Nothing: default limits, no optional feature.
    #[default]
    Base,
    /// Subgroups of four lanes or more: lanes load inputs for one another.
    Subgroup,
    /// The same; weights are textures, whose texels are gathered, and inputs are read 64 bits at a time: for drivers of CPUs that
    /// load each lane's words from a buffer one after another, such as lavapipe's. Natively only.
    Texel,
    /// Activations in 8 bits, 16 under one scale, and dot products of bytes: nearly every WGSL has them, but they are slow without
    /// hardware's help.
    Int8,
    /// Weights and activations in f16, sums in f32.
    F16,
    /// Products of many rows by matrix units: cooperative matrices of 16 x 16 in f16, summed in f32. An experiment of wgpu's,
    /// natively only, and never run on hardware yet.
    Matrix,
}

impl Level {
    /// All, plainest first.
    pub const ALL: &[Level] = &[Level::Base, Level::Subgroup, Level::Texel, Level::Int8, Level::F16, Level::Matrix];

    /// Its name, as `from_name` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Level::Base => "base",
            Level::Subgroup => "subgroup",
            Level::Texel => "texel",
            Level::Int8 => "int8",
            Level::F16 => "f16",
            Level::Matrix => "matrix",
        }
    }

    /// The level of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|level| level.name() == name)
    }

    /// Whether activations stay in f32, as `Precision::Exact` wants it.
    pub fn is_exact(self) -> bool {
        self == Level::Base || self.shares_loads()
    }

    /// Whether lanes load inputs for one another.
    pub(super) fn shares_loads(self) -> bool {
        matches!(self, Level::Subgroup | Level::Texel)
    }

    /// The adapter's features that it needs. wgpu knows nothing of subgroups in browsers (see `browser.rs`).
    pub(super) fn features(self) -> wgpu::Features {
        match self {
            Level::Base | Level::Int8 => wgpu::Features::empty(),
            Level::Subgroup if cfg!(target_arch = "wasm32") => wgpu::Features::empty(),
            Level::Subgroup => wgpu::Features::SUBGROUP,
            Level::Texel => wgpu::Features::SUBGROUP | wgpu::Features::SHADER_INT64,
            Level::F16 => wgpu::Features::SHADER_F16,
            Level::Matrix => {
                wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX | wgpu::Features::SHADER_F16 | wgpu::Features::SUBGROUP
            }
        }
    }

    /// Whether an adapter has what it needs: of matrix units the right shape, and subgroups of one size.
    pub(super) fn is_offered(self, adapter: &wgpu::Adapter) -> bool {
        let half = wgpu::CooperativeScalarType::F16;
        let fits = |p: &wgpu::CooperativeMatrixProperties| {
            let (size, types) = ([p.m_size, p.n_size, p.k_size], (p.ab_type, p.cr_type));
            size == [16; 3] && types == (half, wgpu::CooperativeScalarType::F32)
        };
        let info = adapter.get_info();
        let matrices = || {
            info.subgroup_min_size == info.subgroup_max_size && adapter.cooperative_matrix_properties().iter().any(fits)
        };
        let more = match self {
            Level::Base | Level::F16 => true,
            Level::Subgroup | Level::Texel => info.subgroup_min_size >= 4,
            Level::Int8 => has_dot_products(),
            Level::Matrix => matrices(),
        };
        more && adapter.features().contains(self.features())
    }

    /// Whether a device was opened with what it needs.
    pub(super) fn is_open(self, device: &wgpu::Device) -> bool {
        #[cfg(target_arch = "wasm32")]
        if self == Level::Subgroup {
            return super::browser::has_subgroups(device);
        }
        device.features().contains(self.features())
    }

    /// The format that the rows of a batch are packed into first (`shaders/wgsl/pack_rows.wgsl`), and its bytes for a unit.
    pub(super) fn packing(self) -> Option<(&'static str, usize)> {
        match self {
            Level::Base | Level::Subgroup | Level::Texel => None,
            Level::Int8 => Some(("int8", 48)),
            Level::F16 => Some(("f16", 80)),
            Level::Matrix => Some(("matrix", 64)),
        }
    }

    /// The shader of a kernel for a type of weights.
    pub(super) fn shader(self, kernel: &str, ty: &str) -> String {
        if self == Level::Matrix {
            return format!("{kernel}_matrix.{ty}");
        }
        format!("{kernel}.{ty}.{}", self.name())
    }

    /// The level at which this kernel runs for this type and so many columns: plain numbers have no kernels for inputs in 8
    /// bits, and rows are packed in whole units.
    pub(super) fn of(self, kernel: &str, ty: &str, cols: usize) -> Self {
        let packed = self.packing().is_none() || cols.is_multiple_of(UNIT);
        if packed && gabion_shaders::shader(&self.shader(kernel, ty)).is_some() { self } else { Level::Base }
    }
}

/// Whether WGSL has dot products of bytes here: naga has them for every adapter.
fn has_dot_products() -> bool {
    #[cfg(target_arch = "wasm32")]
    return super::browser::has_dot_products();
    #[cfg(not(target_arch = "wasm32"))]
    return true;
}

/// Columns, rows and tokens of the self-test: more than any workgroup makes.
const COLS: usize = 96;
const ROWS: usize = 70;
const TOKENS: usize = 70;

/// An element of its matrices: small multiples of 1/8, in no pattern.
fn element(i: usize) -> f32 {
    ((i.wrapping_mul(2_654_435_761) >> 7) % 17) as f32 / 8.0 - 1.0
}

/// logits = W norm(table[token])
fn plan() -> Plan {
    let weight = |name: &str, ty, rows, cols, matrix| Weight {
        name: name.into(),
        ty,
        rows,
        experts: 1,
        cols,
        shard: 0,
        offset: 0,
        matrix,
    };
    let linear = Linear { weight: WeightId(2), bias: None };
    let buffer = |slot, width| Buffer { width, slot };
    Plan {
        encoder: Vec::new(),
        body: vec![Op::Embed { table: WeightId(0), by: Lookup::Token, scale: 1.0, add: false, out: BufId(0) }],
        head: vec![
            Op::Norm { kind: NormKind::Rms, x: BufId(0), weight: WeightId(1), bias: None, add: None, out: BufId(1) },
            Op::MatMul { linears: vec![linear], x: BufId(1), add: None, out: BufId(2) },
        ],
        hidden: BufId(0),
        logits: BufId(2),
        buffers: vec![buffer(0, COLS), buffer(1, COLS), buffer(2, ROWS)],
        slots: vec![COLS, COLS, ROWS],
        weights: vec![
            weight("table", TensorType::F32, TOKENS, COLS, true),
            weight("norm", TensorType::F32, 1, COLS, false),
            weight("matrix", TensorType::Q8_0, ROWS, COLS, true),
        ],
        layers: vec![],
        states: vec![],
        ropes: vec![],
        eps: 1e-6,
        n_embd: COLS,
        n_vocab: ROWS,
        texts: false,
    }
}

/// Elements `first..first + n` in the encoding of F32 or Q8_0, both without loss.
fn encoded(ty: TensorType, first: usize, n: usize) -> Vec<u8> {
    let elements = (first..first + n).map(element);
    if ty == TensorType::F32 {
        return elements.flat_map(f32::to_le_bytes).collect();
    }
    let scale = half::f16::from_f32(0.125).to_le_bytes();
    let bytes: Vec<u8> = elements.map(|x| (8.0 * x) as i8 as u8).collect();
    bytes.chunks(32).flat_map(|block| scale.into_iter().chain(block.iter().copied())).collect()
}

/// The logits of one token, in f64.
fn expected(token: usize) -> impl Iterator<Item = f64> {
    let row = move |c| f64::from(element(token * COLS + c));
    let mean = (0..COLS).map(|c| row(c) * row(c)).sum::<f64>() / COLS as f64;
    let normed = move |c| row(c) / (mean + 1e-6).sqrt() * f64::from(element(TOKENS * COLS + c));
    let matrix = (TOKENS + 1) * COLS;
    (0..ROWS).map(move |r| (0..COLS).map(|c| normed(c) * f64::from(element(matrix + r * COLS + c))).sum())
}

/// Whether the device's products are what they should be, in each form.
pub(super) async fn self_test(gpu: Arc<Gpu>) -> Result<bool> {
    let plan = Arc::new(plan());
    let products = gpu.products(Precision::Fast);
    let mut loader = gpu.loader(plan.clone(), Precision::Fast)?;
    let mut start = 0;
    for (i, weight) in plan.weights.iter().enumerate() {
        let n = weight.rows * weight.cols;
        loader.rows(WeightId(i as u32), 0, &encoded(weight.ty, start, n))?;
        start += n;
    }
    let options = StateOptions { n_ctx: 2 * TOKENS, max_batch: TOKENS, max_outputs: TOKENS, kv: KvType::F32 };
    let mut state = loader.finish().await?.state(&options)?;
    let mut logits = Vec::new();
    for tokens in [vec![3], vec![5, 4, 3], (0..TOKENS as u32).collect()] {
        let level = match products.form(tokens.len()) {
            Form::One => products.one.level,
            form => products.mat_mat(form).level,
        };
        let batch = Batch { tokens: &tokens, pos: 0, outputs: Outputs::All, texts: Texts::default() };
        state.run(batch, &CancelFlag::default(), &mut logits).await?;
        let wanted = tokens.iter().flat_map(|&token| expected(token as usize));
        if !agrees(&logits, wanted, tolerance(level)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// How far sums of about a hundred terms of about 1 may be off: activations in 8 bits have an error of 0.02.
fn tolerance(level: Level) -> f64 {
    if level.is_exact() { 1e-3 } else { 0.15 }
}

fn agrees(logits: &[f32], wanted: impl Iterator<Item = f64>, tolerance: f64) -> bool {
    let mut n = 0;
    let close =
        logits.iter().zip(wanted).inspect(|_| n += 1).all(|(got, want)| (f64::from(*got) - want).abs() < tolerance);
    close && n == logits.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_found() {
        for level in Level::ALL {
            assert_eq!(Level::from_name(level.name()), Some(*level));
        }
        assert_eq!(Level::from_name("best"), None);
    }

    #[test]
    fn the_self_test_can_fail() {
        let good: Vec<f32> = expected(3).map(|v| v as f32).collect();
        for tolerance in Level::ALL.iter().map(|&level| tolerance(level)) {
            assert!(agrees(&good, expected(3), tolerance));
            assert!(!agrees(&good, expected(2), tolerance));
            for wrong in [f32::NAN, 0.2] {
                let mut bad = good.clone();
                bad[40] += wrong;
                assert!(!agrees(&bad, expected(3), tolerance));
            }
        }
        assert!(good.iter().any(|v| v.abs() > 1.0));
    }

    #[test]
    fn the_matrix_is_the_same_in_both_encodings() {
        let bytes = encoded(TensorType::Q8_0, 0, 64);
        let decoded = bytes.chunks(34).flat_map(|block| block[2..].iter().map(|&q| f32::from(q as i8) / 8.0));
        assert!(decoded.eq((0..64).map(element)));
    }
}
