//! Capability levels: which variants of the kernels an adapter runs, chosen by what it offers and confirmed by a self-test.

use std::sync::Arc;

use super::Gpu;
use crate::device::{Batch, CancelFlag, Device, KvType, Outputs, Precision, StateOptions};
use crate::error::{Error, Result};
use crate::graph::{BufId, Buffer, Linear, Op, Plan, Weight, WeightId};
use crate::quant::TensorType;

/// What kernels use beyond what WebGPU guarantees. Later levels need more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing: default limits, no optional feature.
    #[default]
    Base,
    /// Subgroups of any size: lanes load inputs for one another.
    Subgroup,
}

impl Level {
    /// All, plainest first.
    pub const ALL: &[Level] = &[Level::Base, Level::Subgroup];

    /// Its name, as `from_name` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Level::Base => "base",
            Level::Subgroup => "subgroup",
        }
    }

    /// The level of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|level| level.name() == name)
    }

    /// The adapter's features that it needs.
    fn features(self) -> wgpu::Features {
        match self {
            Level::Base => wgpu::Features::empty(),
            Level::Subgroup => wgpu::Features::SUBGROUP,
        }
    }

    /// The level to try on an adapter: the one that was asked for, if it is possible. Lanes that load for one another are
    /// measured to pay where a load costs each lane of a software adapter; hardware loads once for all lanes anyway.
    pub(super) fn choose(wanted: Option<Self>, adapter: &wgpu::Adapter, software: bool) -> Result<Self> {
        let offers = |level: &Level| adapter.features().contains(level.features());
        match wanted {
            Some(level) if offers(&level) => Ok(level),
            Some(level) => {
                let name = adapter.get_info().name;
                Err(Error::Device(format!("'{name}' does not offer what level '{}' needs", level.name())))
            }
            None if software => Ok(Self::ALL.iter().copied().rfind(offers).unwrap_or_default()),
            None => Ok(Level::Base),
        }
    }
}

/// A level with what its kernels have to know of the adapter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lanes {
    pub(super) level: Level,
    /// Lanes that load for one another: 8, or 4 in smaller subgroups.
    sharers: u32,
}

impl Lanes {
    pub(super) fn new(level: Level, adapter: &wgpu::AdapterInfo) -> Self {
        Self { level, sharers: if adapter.subgroup_min_size < 8 { 4 } else { 8 } }
    }

    /// The same adapter at another level.
    pub(super) fn at(self, level: Level) -> Self {
        Self { level, ..self }
    }

    /// The features to open the adapter with.
    pub(super) fn features(self) -> wgpu::Features {
        self.level.features()
    }

    /// The value of the shaders' LEVEL axis.
    pub(super) fn axis(self) -> &'static str {
        self.level.name()
    }

    /// The override constant of kernels whose lanes share.
    pub(super) fn constant(self) -> Option<(&'static str, u32)> {
        (self.level >= Level::Subgroup).then_some(("SHARERS", self.sharers))
    }
}

/// Columns, rows and tokens of the self-test.
const COLS: usize = 96;
const ROWS: usize = 70;
const TOKENS: usize = 5;

/// An element of its matrices: small multiples of 1/8, in no pattern.
fn element(i: usize) -> f32 {
    ((i.wrapping_mul(2_654_435_761) >> 7) % 17) as f32 / 8.0 - 1.0
}

/// logits = W norm(table[token])
fn plan() -> Plan {
    let weight = |name: &str, rows, cols, matrix, offset| {
        let ty = TensorType::F32;
        Weight { name: name.into(), ty, rows, cols, shard: 0, offset: 4 * offset as u64, matrix }
    };
    let (table, norm) = (TOKENS * COLS, TOKENS * COLS + COLS);
    let linear = Linear { weight: WeightId(2), bias: None };
    let buffer = |slot, width| Buffer { width, slot };
    Plan {
        body: vec![Op::Embed { table: WeightId(0), scale: 1.0, out: BufId(0) }],
        head: vec![
            Op::RmsNorm { x: BufId(0), weight: WeightId(1), add: None, out: BufId(1) },
            Op::MatMul { linears: vec![linear], x: BufId(1), add: None, out: BufId(2) },
        ],
        hidden: BufId(0),
        logits: BufId(2),
        buffers: vec![buffer(0, COLS), buffer(1, COLS), buffer(2, ROWS)],
        slots: vec![COLS, COLS, ROWS],
        weights: vec![
            weight("table", TOKENS, COLS, true, 0),
            weight("norm", 1, COLS, false, table),
            weight("matrix", ROWS, COLS, true, norm),
        ],
        layers: vec![],
        ropes: vec![],
        rms_eps: 1e-6,
        n_embd: COLS,
        n_vocab: ROWS,
    }
}

/// The logits of one token, in f64.
fn expected(token: usize) -> impl Iterator<Item = f64> {
    let row = move |c| f64::from(element(token * COLS + c));
    let mean = (0..COLS).map(|c| row(c) * row(c)).sum::<f64>() / COLS as f64;
    let normed = move |c| row(c) / (mean + 1e-6).sqrt() * f64::from(element(TOKENS * COLS + c));
    let matrix = (TOKENS + 1) * COLS;
    (0..ROWS).map(move |r| (0..COLS).map(|c| normed(c) * f64::from(element(matrix + r * COLS + c))).sum())
}

/// Whether the kernels of the device's level compute what they should: one row, and several.
pub(super) async fn self_test(gpu: Arc<Gpu>) -> Result<bool> {
    let plan = Arc::new(plan());
    let mut loader = gpu.loader(plan.clone(), Precision::Exact)?;
    let mut start = 0;
    for (i, weight) in plan.weights.iter().enumerate() {
        let n = weight.rows * weight.cols;
        let bytes: Vec<u8> = (start..start + n).flat_map(|e| element(e).to_le_bytes()).collect();
        loader.rows(WeightId(i as u32), 0, &bytes)?;
        start += n;
    }
    let options = StateOptions { n_ctx: 2 * TOKENS, max_batch: TOKENS, max_outputs: TOKENS, kv: KvType::F32 };
    let mut state = loader.finish().await?.state(&options)?;
    let mut logits = Vec::new();
    for tokens in [vec![3], (0..TOKENS as u32).collect()] {
        let batch = Batch { tokens: &tokens, pos: 0, outputs: Outputs::All };
        state.run(batch, &CancelFlag::default(), &mut logits).await?;
        let wanted = tokens.iter().flat_map(|&token| expected(token as usize));
        if !agrees(&logits, wanted) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Sums of about a hundred terms of about 1.
fn agrees(logits: &[f32], wanted: impl Iterator<Item = f64>) -> bool {
    let mut n = 0;
    let close = logits.iter().zip(wanted).inspect(|_| n += 1).all(|(got, want)| (f64::from(*got) - want).abs() < 1e-3);
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
        assert!(agrees(&good, expected(3)));
        assert!(!agrees(&good, expected(2)));
        for wrong in [f32::NAN, 0.01] {
            let mut bad = good.clone();
            bad[40] += wrong;
            assert!(!agrees(&bad, expected(3)));
        }
        assert!(good.iter().any(|v| v.abs() > 1.0));
    }
}
