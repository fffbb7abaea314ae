//! Lowers a plan's ops to kernel calls: which shader, which constants and fields, over which buffers and how many workgroups.

use super::Tuning;
use super::fuse::{self, Step};
use super::loader::GpuWeights;
use super::pipeline::{Constants, Slice};
use super::planes::TILE;
use super::program::{Grid, stride};
use super::state::Buffers;
use crate::graph::{Activation, AttentionPlan, BufId, Op, Plan, RopeStyle, WeightId};

/// Invocations per workgroup of the elementwise kernels.
pub(super) const WIDTH: u32 = 64;
/// Columns that an invocation of embed makes.
const EMBED_COLUMNS: u32 = 8;
/// Queries that a workgroup of the attention kernels makes: heads, or heads by rows.
const TILE_QUERIES: usize = 4;

/// A launch before its pipeline, uniform and bind group exist.
pub(super) struct Call {
    pub(super) shader: String,
    pub(super) constants: Constants,
    pub(super) fields: Vec<Field>,
    pub(super) buffers: Vec<Binding>,
    pub(super) grid: Grid,
}

/// A field of the shader's uniform struct, or an override constant.
pub(super) type Field = (&'static str, u32);
/// A binding of the shader, by name.
pub(super) type Binding = (&'static str, Slice);

/// The calls of a plan's body or head, for one row or many.
pub(super) fn calls(weights: &GpuWeights, buffers: &Buffers, head: bool, single: bool) -> Vec<Call> {
    let mut builder = Builder { weights, buffers, head, single, calls: Vec::new() };
    if head {
        builder.gather();
    }
    let rules = fuse::Rules { single, norm: weights.products.one.fuses_norms() };
    for step in fuse::steps(&weights.plan, &weights.placement, head, rules) {
        builder.step(&step);
    }
    builder.calls
}

/// Positions a row sees; 0 for all.
fn window(layer: &AttentionPlan) -> u32 {
    layer.window.map_or(0, |window| u32::try_from(window).unwrap_or(0))
}

pub(super) struct Builder<'a> {
    pub(super) weights: &'a GpuWeights,
    pub(super) buffers: &'a Buffers,
    /// Whether the ops run for the rows whose logits are wanted.
    pub(super) head: bool,
    /// Whether there is one row.
    pub(super) single: bool,
    calls: Vec<Call>,
}

impl Builder<'_> {
    pub(super) fn plan(&self) -> &Plan {
        &self.weights.plan
    }

    fn tuning(&self) -> Tuning {
        self.weights.gpu.tuning
    }

    pub(super) fn call(&mut self, shader: &str, fields: &[Field], buffers: &[Binding], grid: Grid) {
        let mut buffers = buffers.to_vec();
        buffers.push(("run", Slice::whole(&self.buffers.run)));
        let call = Call { shader: shader.into(), constants: Vec::new(), fields: fields.to_vec(), buffers, grid };
        self.calls.push(call);
    }

    /// `x` workgroups for every row.
    pub(super) fn per_row(&self, x: u32) -> Grid {
        Grid::Rows { x, each: 1 }
    }

    /// Sets the override constants of the last call.
    pub(super) fn constants(&mut self, constants: &[Field]) {
        if let Some(call) = self.calls.last_mut() {
            call.constants = constants.to_vec();
        }
    }

    /// The memory of a buffer; in the head, `hidden` means the gathered rows.
    pub(super) fn slice(&self, id: BufId) -> Slice {
        Slice::whole(self.buffers.of(self.plan(), id, self.head))
    }

    pub(super) fn stride(&self, id: BufId) -> u32 {
        stride(self.plan().width(id)) as u32
    }

    pub(super) fn vector(&self, id: WeightId) -> Slice {
        let bytes = Some(4 * self.plan().weight(id).cols as u64);
        Slice { buffer: (*self.weights.arena).clone(), offset: self.weights.placement.vectors[&id], bytes }
    }

    fn step(&mut self, step: &Step<'_>) {
        match step {
            Step::Product(product) => self.product(product),
            Step::Attend { qkv, layer, out } => self.attend(*qkv, *layer, *out),
            Step::Op(op) => self.op(op),
        }
    }

    fn op(&mut self, op: &Op) {
        match op {
            Op::Embed { table, scale, out } => self.embed(*table, *scale, *out),
            Op::RmsNorm { x, weight, add, out } => self.rms_norm(*x, *weight, *add, *out),
            Op::RopeStore { qkv, layer } => self.rope_store(*qkv, *layer),
            Op::Attention { qkv, layer, out } => self.attention(*qkv, *layer, *out),
            Op::Glu { x, activation, out } => self.glu(*x, *activation, *out),
            Op::Softcap { x, cap } => self.softcap(*x, *cap),
            Op::MatMul { .. } => unreachable!("every product is a step of its own"),
        }
    }

    /// Copies the rows of `hidden` whose logits are wanted to the head's own buffer.
    fn gather(&mut self) {
        let hidden = self.plan().hidden;
        let (width, stride) = (self.plan().width(hidden) as u32, self.stride(hidden));
        let source = Slice::whole(self.buffers.of(self.plan(), hidden, false));
        let fields = [("n", width), ("x_stride", stride), ("out_stride", stride), ("head", 1)];
        let buffers = [("x", source), ("out", self.slice(hidden))];
        self.call("copy_rows", &fields, &buffers, self.per_row(width.div_ceil(WIDTH)));
    }

    /// Kernels add to what `out` holds; another summand is copied there first. Returns the kernels' `accumulate`.
    pub(super) fn accumulate(&mut self, add: Option<BufId>, out: BufId) -> u32 {
        if let Some(add) = add.filter(|&add| add != out) {
            let width = self.plan().width(out) as u32;
            let strides = (self.stride(add), self.stride(out));
            let fields = [("n", width), ("x_stride", strides.0), ("out_stride", strides.1), ("head", 0)];
            let buffers = [("x", self.slice(add)), ("out", self.slice(out))];
            self.call("copy_rows", &fields, &buffers, self.per_row(width.div_ceil(WIDTH)));
        }
        u32::from(add.is_some())
    }

    fn embed(&mut self, table: WeightId, scale: f32, out: BufId) {
        let weight = self.plan().weight(table);
        let (cols, out_stride) = (weight.cols as u32, self.stride(out));
        for piece in self.weights.placement.pieces[table.0 as usize].clone() {
            let layout = self.weights.placement.slabs[piece.slab].layout;
            let fields = [
                ("k", cols),
                ("units", layout.units(cols as usize) as u32),
                ("first", piece.first as u32),
                ("count", piece.rows as u32),
                ("first_tile", (piece.slab_row / TILE) as u32),
                ("out_stride", out_stride),
                ("scale", scale.to_bits()),
            ];
            let mut buffers = self.planes(piece.slab);
            buffers.push(("out", self.slice(out)));
            let x = cols.div_ceil(EMBED_COLUMNS).div_ceil(WIDTH);
            self.call(&format!("embed.{}", layout.name), &fields, &buffers, self.per_row(x));
        }
    }

    /// The planes of a slab; a type without a second plane has no binding for it.
    pub(super) fn planes(&self, slab: usize) -> Vec<(&'static str, Slice)> {
        let planes = &self.weights.planes[slab];
        let scales = planes.scales.as_ref().map(|scales| ("scales", Slice::whole(scales)));
        [("quants", Slice::whole(&planes.quants))].into_iter().chain(scales).collect()
    }

    fn rms_norm(&mut self, x: BufId, weight: WeightId, add: Option<BufId>, out: BufId) {
        let accumulate = self.accumulate(add, out);
        let fields = [
            ("n", self.plan().width(x) as u32),
            ("x_stride", self.stride(x)),
            ("out_stride", self.stride(out)),
            ("accumulate", accumulate),
            ("eps", self.plan().rms_eps.to_bits()),
        ];
        let buffers = [("x", self.slice(x)), ("weight", self.vector(weight)), ("out", self.slice(out))];
        self.call("rms_norm", &fields, &buffers, self.per_row(1));
        self.constants(&[("WIDTH", self.tuning().norm_width)]);
    }

    /// Where a vector starts in the arena, in words.
    fn arena_word(&self, id: Option<WeightId>) -> u32 {
        id.map_or(0, |id| (self.weights.placement.vectors[&id] / 4) as u32)
    }

    fn attend(&mut self, qkv: BufId, layer: usize, out: BufId) {
        let plan = self.plan();
        let a = &plan.layers[layer];
        let (rope, tables, cache) = (&plan.ropes[a.rope], self.buffers.tables[a.rope], &self.buffers.caches[layer]);
        let (window, pairs) = (window(a), a.head_dim as u32 / 2);
        let fields = [
            ("heads", a.heads as u32),
            ("kv_heads", a.kv_heads as u32),
            ("pairs", pairs),
            ("capacity", cache.capacity),
            ("slots", cache.slots),
            ("window", window),
            ("rotated", rope.inv_freq.len() as u32),
            ("neighbours", u32::from(rope.style == RopeStyle::Norm)),
            ("coarse", tables.coarse),
            ("fine", tables.fine),
            ("q_norm", self.arena_word(a.q_norm)),
            ("k_norm", self.arena_word(a.k_norm)),
            ("eps", plan.rms_eps.to_bits()),
            ("scale", a.scale.to_bits()),
        ];
        let partials = ("partials", Slice::whole(&self.buffers.partials));
        let buffers = [
            ("qkv", self.slice(qkv)),
            ("keys", Slice::whole(&cache.keys)),
            ("values", Slice::whole(&cache.values)),
            ("angles", Slice::whole(&self.buffers.angles)),
            ("norms", Slice::whole(&self.weights.arena)),
            ("out", self.slice(out)),
            partials.clone(),
        ];
        let (heads, dim) = (a.heads as u32, a.head_dim as u32);
        let groups = (a.kv_heads * (a.heads / a.kv_heads).div_ceil(TILE_QUERIES)) as u32;
        let norms = (u32::from(a.q_norm.is_some()), u32::from(a.k_norm.is_some()));
        let (width, span) = (self.tuning().attention_width(pairs), self.tuning().span);
        let shader = format!("decode_attention.{}", self.buffers.kv);
        self.call(&shader, &fields, &buffers, Grid::Spans { x: groups, window });
        let norms = [("NORM_Q", norms.0), ("NORM_K", norms.1)];
        self.constants(&[("WIDTH", width), ("PAIRS", pairs), norms[0], norms[1], ("SPAN", span)]);
        if cache.capacity > span {
            let fields = [("heads", heads), ("head_dim", dim), ("window", window)];
            let buffers = [partials, ("out", self.slice(out))];
            self.call("merge_heads", &fields, &buffers, Grid::Merge { x: heads, window });
            self.constants(&[("WIDTH", width), ("SPAN", span)]);
        }
    }

    fn rope_store(&mut self, qkv: BufId, layer: usize) {
        let plan = self.plan();
        let a = &plan.layers[layer];
        let (rope, tables, cache) = (&plan.ropes[a.rope], self.buffers.tables[a.rope], &self.buffers.caches[layer]);
        let fields = [
            ("heads", a.heads as u32),
            ("kv_heads", a.kv_heads as u32),
            ("pairs", a.head_dim as u32 / 2),
            ("stride", self.stride(qkv)),
            ("capacity", cache.capacity),
            ("slots", cache.slots),
            ("rotated", rope.inv_freq.len() as u32),
            ("neighbours", u32::from(rope.style == RopeStyle::Norm)),
            ("coarse", tables.coarse),
            ("fine", tables.fine),
            ("eps", plan.rms_eps.to_bits()),
        ];
        // a missing norm is never read; any vector may stand for it
        let norm = |id: Option<WeightId>| id.map_or(Slice::whole(&self.weights.arena), |id| self.vector(id));
        let buffers = [
            ("qkv", self.slice(qkv)),
            ("q_norm", norm(a.q_norm)),
            ("k_norm", norm(a.k_norm)),
            ("angles", Slice::whole(&self.buffers.angles)),
            ("keys", Slice::whole(&cache.keys)),
            ("values", Slice::whole(&cache.values)),
        ];
        let width = self.tuning().rope_width;
        let norms = (u32::from(a.q_norm.is_some()), u32::from(a.k_norm.is_some()));
        let heads = (a.heads + 2 * a.kv_heads) as u32;
        self.call(&format!("rope_store.{}", self.buffers.kv), &fields, &buffers, self.per_row(heads));
        self.constants(&[("WIDTH", width), ("NORM_Q", norms.0), ("NORM_K", norms.1)]);
    }

    fn attention(&mut self, qkv: BufId, layer: usize, out: BufId) {
        let a = &self.plan().layers[layer];
        let cache = &self.buffers.caches[layer];
        let pairs = a.head_dim as u32 / 2;
        let fields = [
            ("heads", a.heads as u32),
            ("kv_heads", a.kv_heads as u32),
            ("pairs", pairs),
            ("qkv_stride", self.stride(qkv)),
            ("out_stride", self.stride(out)),
            ("capacity", cache.capacity),
            ("slots", cache.slots),
            ("window", window(a)),
            ("scale", a.scale.to_bits()),
        ];
        let buffers = [
            ("qkv", self.slice(qkv)),
            ("keys", Slice::whole(&cache.keys)),
            ("values", Slice::whole(&cache.values)),
            ("out", self.slice(out)),
        ];
        let (kv, group) = (self.buffers.kv, a.heads / a.kv_heads);
        if a.head_dim > fuse::MAX_HEAD_DIM {
            let heads = a.heads as u32;
            self.call(&format!("attention_wide.{kv}"), &fields, &buffers, self.per_row(heads));
            return self.constants(&[("WIDTH", pairs.next_power_of_two().max(32))]);
        }
        // rows of a window would start their blocks of keys at different positions, and round differently
        let heads = group.min(TILE_QUERIES);
        let rows = if a.window.is_some() { 1 } else { (TILE_QUERIES / heads) as u32 };
        let grid = Grid::Rows { x: (a.kv_heads * group.div_ceil(heads)) as u32, each: rows };
        let width = self.tuning().attention_width(pairs);
        self.call(&format!("attention.{kv}"), &fields, &buffers, grid);
        self.constants(&[("WIDTH", width), ("PAIRS", pairs), ("HEADS", heads as u32), ("ROWS", rows)]);
    }

    fn glu(&mut self, x: BufId, activation: Activation, out: BufId) {
        let n = self.plan().width(out) as u32;
        let gelu = match activation {
            Activation::Silu => 0,
            Activation::GeluTanh => 1,
        };
        let fields = [("n", n), ("x_stride", self.stride(x)), ("out_stride", self.stride(out)), ("gelu", gelu)];
        let buffers = [("x", self.slice(x)), ("out", self.slice(out))];
        self.call("glu", &fields, &buffers, self.per_row(n.div_ceil(WIDTH)));
    }

    fn softcap(&mut self, x: BufId, cap: f32) {
        let n = self.plan().width(x) as u32;
        let fields = [("n", n), ("stride", self.stride(x)), ("cap", cap.to_bits())];
        self.call("softcap", &fields, &[("x", self.slice(x))], self.per_row(n.div_ceil(WIDTH)));
    }
}
