//! Takes weights as they arrive, repacks them tile by tile and writes them to the GPU; then holds them.

use std::collections::HashMap;
use std::sync::Arc;

use super::Gpu;
use super::memory::{GpuBuffer, STORAGE, padded};
use super::placement::{Limits, Piece, Placement, Slab};
use super::plane::{Plane, max_texture_bytes, plane_bytes};
use super::planes::{Quad, TILE};
use super::products::Products;
use super::program;
use super::state::GpuState;
#[cfg(not(target_arch = "wasm32"))]
use super::warming::Warming;
use crate::device::{Loader, LocalFuture, Precision, State, StateOptions, Weights};
use crate::error::{Error, Result};
use crate::gguf::Mapped;
use crate::graph::{Plan, Weight, WeightId};
use crate::quant::TensorType;

/// Bytes written before they are flushed: natively, each write waits in staging memory until a submit.
const FLUSH_BYTES: usize = 32 << 20;

/// The planes of a slab; `scales` is missing for types without a second plane.
pub(super) struct Planes {
    pub(super) quants: Plane,
    pub(super) scales: Option<Plane>,
}

/// A model's weights on the GPU.
pub(super) struct GpuWeights {
    pub(super) gpu: Arc<Gpu>,
    pub(super) plan: Arc<Plan>,
    /// How its products are made.
    pub(super) products: Products,
    pub(super) placement: Placement,
    pub(super) planes: Vec<Planes>,
    /// All vectors, as f32.
    pub(super) arena: GpuBuffer,
    /// The rope factors, on the host: they go into each session's table of angles.
    pub(super) factors: HashMap<WeightId, Vec<f32>>,
    bytes: u64,
}

impl Weights for GpuWeights {
    fn state(self: Arc<Self>, options: &StateOptions) -> Result<Box<dyn State>> {
        Ok(Box::new(GpuState::new(self, options)?))
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Where the loading of one weight stands.
#[derive(Clone, Default)]
struct Progress {
    /// Rows received.
    rows: usize,
    /// Rows received that do not fill a tile yet, in the file's encoding.
    pending: Vec<u8>,
}

pub(super) struct GpuLoader {
    weights: GpuWeights,
    progress: Vec<Progress>,
    unflushed: usize,
    #[cfg(not(target_arch = "wasm32"))]
    warming: Warming,
}

impl GpuLoader {
    /// Makes room for every weight of the plan.
    pub(super) fn new(gpu: Arc<Gpu>, plan: Arc<Plan>, precision: Precision) -> Result<Self> {
        let placement = place(&gpu, &plan)?;
        let planes = placement.slabs.iter().map(|slab| planes(&gpu, slab)).collect::<Result<Vec<_>>>()?;
        let arena = gpu.buffer("norms and biases", placement.arena_bytes, STORAGE)?;
        let planes_of_all = planes.iter().flat_map(|p| [Some(&p.quants), p.scales.as_ref()]).flatten();
        let bytes = planes_of_all.map(Plane::bytes).sum::<u64>() + arena.size();
        let progress = vec![Progress::default(); plan.weights.len()];
        let factors = HashMap::new();
        let products = gpu.products(precision);
        let weights = GpuWeights { gpu, plan, products, placement, planes, arena, factors, bytes };
        Ok(Self {
            #[cfg(not(target_arch = "wasm32"))]
            warming: Warming::start(&weights, precision)?,
            weights,
            progress,
            unflushed: 0,
        })
    }

    fn matrix(&mut self, id: WeightId, bytes: &[u8]) -> Result<()> {
        let plan = self.weights.plan.clone();
        let weight = plan.weight(id);
        let row_bytes = weight.row_bytes();
        let progress = &mut self.progress[id.0 as usize];
        let first = progress.rows - progress.pending.len() / row_bytes;
        progress.rows += bytes.len() / row_bytes;
        progress.pending.extend_from_slice(bytes);
        let last = progress.rows == weight.rows;
        let tile_bytes = TILE * row_bytes;
        let whole = progress.pending.len() / tile_bytes * tile_bytes;
        let ready = if last { progress.pending.len() } else { whole };
        let rest = progress.pending.split_off(ready);
        let rows = std::mem::replace(&mut progress.pending, rest);
        self.tiles(id, weight, first, &rows)
    }

    /// Writes rows `first..`, whole tiles, to the pieces that hold them.
    fn tiles(&mut self, id: WeightId, weight: &Weight, first: usize, rows: &[u8]) -> Result<()> {
        let row_bytes = weight.row_bytes();
        let end = first + rows.len() / row_bytes;
        for piece in self.weights.placement.pieces[id.0 as usize].clone() {
            let (from, to) = (first.max(piece.first), end.min(piece.first + piece.rows));
            if from < to {
                let part = &rows[(from - first) * row_bytes..(to - first) * row_bytes];
                self.write_tiles(weight, &piece, from, part)?;
            }
        }
        Ok(())
    }

    fn write_tiles(&mut self, weight: &Weight, piece: &Piece, first: usize, rows: &[u8]) -> Result<()> {
        let layout = self.weights.placement.slabs[piece.slab].layout;
        let (quads, scales) = layout.tiles(rows, weight.row_bytes(), weight.cols);
        let tile = (piece.slab_row + first - piece.first) / TILE;
        let (quad_bytes, scale_bytes) = layout.tile_bytes(weight.cols);
        let planes = &self.weights.planes[piece.slab];
        let queue = &self.weights.gpu.queue;
        planes.quants.write(queue, tile * quad_bytes / size_of::<Quad>(), &quads);
        if let Some(plane) = &planes.scales {
            plane.write(queue, tile * scale_bytes / size_of::<u32>(), &scales);
        }
        self.written(quads.len() * 16 + scales.len() * 4)
    }

    fn vector(&mut self, id: WeightId, bytes: &[u8]) -> Result<()> {
        let plan = self.weights.plan.clone();
        let values = floats(plan.weight(id), bytes)?;
        self.progress[id.0 as usize].rows += 1;
        for stretch in &self.weights.placement.stretches[id.0 as usize] {
            let part = values.get(stretch.first..stretch.first + stretch.len);
            let part = part.ok_or_else(|| Error::Model(format!("'{}' is too short", plan.weight(id).name)))?;
            self.weights.gpu.queue.write_buffer(&self.weights.arena, stretch.offset, bytemuck::cast_slice(part));
        }
        if plan.ropes.iter().any(|rope| rope.factors == Some(id) || rope.long.is_some_and(|(_, long)| long == id)) {
            self.weights.factors.insert(id, values.clone());
        }
        self.written(4 * values.len())
    }

    /// Sends writes to the GPU before too many wait, and waits natively, where they hold memory until they are done.
    fn written(&mut self, bytes: usize) -> Result<()> {
        self.unflushed += bytes;
        if self.unflushed >= FLUSH_BYTES {
            self.unflushed = 0;
            self.weights.gpu.flush();
        }
        self.weights.gpu.check()
    }
}

/// Where a plan's weights will lie, if kernels can compute with them.
fn place(gpu: &Gpu, plan: &Plan) -> Result<Placement> {
    program::check(plan)?;
    let alignment = u64::from(gpu.limits.min_storage_buffer_offset_alignment.max(4));
    let textures = if gpu.products.textures() { max_texture_bytes(&gpu.limits) } else { u64::MAX };
    Placement::new(plan, Limits { binding: gpu.max_storage_bytes().min(textures), alignment })
}

/// Bytes that a plan's weights will take.
pub(super) fn weight_bytes(gpu: &Gpu, plan: &Plan) -> Result<u64> {
    let placement = place(gpu, plan)?;
    let bytes = |plane| plane_bytes(plane, gpu.products.textures());
    let planes = placement.slabs.iter().map(slab_bytes);
    let planes = planes.map(|(quants, scales)| bytes(quants).saturating_add(scales.map_or(0, bytes)));
    Ok(planes.fold(padded(placement.arena_bytes), u64::saturating_add))
}

/// Bytes of a slab's planes.
fn slab_bytes(slab: &Slab) -> (u64, Option<u64>) {
    let tiles = slab.rows.div_ceil(TILE) as u64;
    let (quads, scales) = slab.layout.tile_bytes(slab.cols);
    let scales = (scales > 0).then(|| tiles * scales as u64 + slab.layout.table_bytes() as u64);
    (tiles * quads as u64, scales)
}

fn planes(gpu: &Gpu, slab: &Slab) -> Result<Planes> {
    let (quants, scales) = slab_bytes(slab);
    let textures = gpu.products.textures();
    let quants = Plane::new::<Quad>(gpu, "weights", quants, textures)?;
    let Some(bytes) = scales else { return Ok(Planes { quants, scales: None }) };
    let scales = Plane::new::<u32>(gpu, "weight scales", bytes, textures)?;
    let table: Vec<u32> = slab.layout.table.chunks_exact(2).map(|v| u32::from(v[0]) | u32::from(v[1]) << 16).collect();
    scales.write(&gpu.queue, scales.bytes() as usize / size_of::<u32>() - table.len(), &table);
    Ok(Planes { quants, scales: Some(scales) })
}

/// A vector's elements.
fn floats(weight: &Weight, bytes: &[u8]) -> Result<Vec<f32>> {
    let halves = || bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
    match weight.ty {
        TensorType::F32 => Ok(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()),
        TensorType::F16 => Ok(halves().map(|bits| half::f16::from_bits(bits).to_f32()).collect()),
        TensorType::BF16 => Ok(halves().map(|bits| half::bf16::from_bits(bits).to_f32()).collect()),
        ty => Err(Error::Unsupported(format!("vector '{}' is {}", weight.name, ty.name()))),
    }
}

impl Loader for GpuLoader {
    fn adopt(&mut self, _: WeightId, _: &Mapped, _: usize) -> Result<bool> {
        Ok(false)
    }

    fn rows(&mut self, id: WeightId, first: usize, bytes: &[u8]) -> Result<()> {
        let plan = self.weights.plan.clone();
        let bad = |what: &str| Err(Error::InvalidArgument(format!("weight {}: {what}", id.0)));
        let Some(weight) = plan.weights.get(id.0 as usize) else { return bad("no such weight") };
        let row_bytes = weight.row_bytes().max(1);
        let done = self.progress[id.0 as usize].rows;
        if !bytes.len().is_multiple_of(row_bytes) || first != done || bytes.len() / row_bytes > weight.rows - done {
            return bad("rows must come whole, in order and once");
        }
        match (bytes.is_empty(), weight.matrix) {
            (true, _) => Ok(()),
            (_, true) => self.matrix(id, bytes),
            (_, false) => self.vector(id, bytes),
        }
    }

    fn finish(self: Box<Self>) -> LocalFuture<'static, Result<Arc<dyn Weights>>> {
        Box::pin(async move {
            let weights = self.weights;
            let missing = weights.plan.weights.iter().zip(&self.progress).find(|(w, p)| p.rows < w.rows);
            if let Some((weight, progress)) = missing {
                let (got, all) = (progress.rows, weight.rows);
                return Err(Error::Internal(format!("'{}': {got} of {all} rows were loaded", weight.name)));
            }
            weights.gpu.queue.submit([]);
            weights.gpu.finished().await?;
            #[cfg(not(target_arch = "wasm32"))]
            self.warming.finish()?;
            weights.gpu.health.check("weights", weights.bytes)?;
            Ok(Arc::new(weights) as Arc<dyn Weights>)
        })
    }
}
