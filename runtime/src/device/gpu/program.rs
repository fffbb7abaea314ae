//! Lowers a plan's ops to dispatches over one session's buffers: pipelines, bind groups and uniforms, all made once.

use std::sync::Arc;

use super::loader::GpuWeights;
use super::memory::{GpuBuffer, UNIFORM};
use super::pipeline::{Constants, Pipeline, Slice, uniform};
use super::placement::Segment;
use super::planes::{TILE, UNIT, layout};
use super::state::Buffers;
use crate::device::check;
use crate::error::{Error, Result};
use crate::graph::{Activation, BufId, Op, Plan, RopeStyle, WeightId};

/// Invocations per workgroup of the elementwise kernels.
const WIDTH: u32 = 64;
/// Columns that an invocation of embed makes.
const EMBED_COLUMNS: u32 = 8;
/// Tokens that an invocation of mat_mat makes, and tiles that its workgroups do.
const MAT_MAT_TOKENS: u32 = 4;
const MAT_MAT_TILES: u32 = 2;
/// Elements of a head that rope_store's and attention's workgroup memory holds.
const MAX_HEAD_DIM: usize = 512;

/// Columns from the start of a row of a buffer to the next: whole units, so that kernels may read vec4s.
pub(super) fn stride(width: usize) -> usize {
    width.next_multiple_of(UNIT)
}

/// What no kernel can do is refused before weights are loaded.
pub(super) fn check(plan: &Plan) -> Result<()> {
    check::check(plan, |ty| layout(ty).is_some())?;
    match plan.layers.iter().map(|layer| layer.head_dim).find(|dim| dim % 2 == 1 || *dim > MAX_HEAD_DIM) {
        Some(dim) => Err(Error::Unsupported(format!("head size {dim} on a GPU (even, at most {MAX_HEAD_DIM})"))),
        None => Ok(()),
    }
}

/// How many workgroups a dispatch has over y.
#[derive(Clone, Copy)]
enum Rows {
    One,
    /// One for this many rows of the batch.
    Per(u32),
}

/// One kernel launch.
#[derive(Clone)]
pub(super) struct Dispatch {
    pipeline: Arc<Pipeline>,
    group: wgpu::BindGroup,
    x: u32,
    rows: Rows,
}

impl Dispatch {
    fn encode(&self, pass: &mut wgpu::ComputePass<'_>, rows: u32) {
        pass.set_pipeline(&self.pipeline.pipeline);
        pass.set_bind_group(0, &self.group, &[]);
        let y = match self.rows {
            Rows::One => 1,
            Rows::Per(each) => rows.div_ceil(each),
        };
        pass.dispatch_workgroups(self.x, y, 1);
    }
}

/// A list of dispatches in two forms: for a single row, and for many.
#[derive(Default)]
pub(super) struct Program {
    one: Vec<Dispatch>,
    many: Vec<Dispatch>,
}

impl Program {
    /// Encodes the program for `rows` rows. `single` takes the one-row kernels, whose sums have another order: the choice
    /// must depend on what was asked for, never on how a batch happened to be cut.
    pub(super) fn encode(&self, pass: &mut wgpu::ComputePass<'_>, rows: usize, single: bool) {
        for dispatch in if single { &self.one } else { &self.many } {
            dispatch.encode(pass, rows as u32);
        }
    }
}

/// A launch before its pipeline, uniform and bind group exist.
struct Call {
    shader: String,
    constants: Constants,
    fields: Vec<(&'static str, u32)>,
    buffers: Vec<(&'static str, Slice)>,
    x: u32,
    rows: Rows,
}

/// Which form of the program a call belongs to.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Both,
    One,
    Many,
}

/// The programs of a plan's body and head, and the uniforms they read.
pub(super) struct Programs {
    pub(super) body: Program,
    pub(super) head: Program,
    _uniforms: GpuBuffer,
}

/// Builds both programs.
pub(super) fn build(weights: &GpuWeights, buffers: &Buffers) -> Result<Programs> {
    let mut builder = Builder { weights, buffers, product: 0, head: false, calls: Vec::new() };
    for op in &weights.plan.body {
        builder.op(op)?;
    }
    let body = std::mem::take(&mut builder.calls);
    builder.head = true;
    builder.gather();
    for op in &weights.plan.head {
        builder.op(op)?;
    }
    let head = builder.calls;
    let gpu = &weights.gpu;
    let step = u64::from(gpu.limits.min_uniform_buffer_offset_alignment.max(256));
    let uniforms = gpu.buffer("uniforms", step * (body.len() + head.len()) as u64, UNIFORM)?;
    let mut maker = Maker { weights, uniforms: &uniforms, step, bytes: Vec::new() };
    let (body, head) = (maker.program(body)?, maker.program(head)?);
    gpu.queue.write_buffer(&uniforms, 0, &maker.bytes);
    gpu.check()?;
    Ok(Programs { body, head, _uniforms: uniforms })
}

/// Turns calls into dispatches.
struct Maker<'a> {
    weights: &'a GpuWeights,
    uniforms: &'a GpuBuffer,
    step: u64,
    bytes: Vec<u8>,
}

impl Maker<'_> {
    fn program(&mut self, calls: Vec<(Form, Call)>) -> Result<Program> {
        let mut program = Program::default();
        for (form, call) in calls {
            let dispatch = self.dispatch(call)?;
            if form != Form::Many {
                program.one.push(dispatch.clone());
            }
            if form != Form::One {
                program.many.push(dispatch);
            }
        }
        Ok(program)
    }

    fn dispatch(&mut self, mut call: Call) -> Result<Dispatch> {
        let gpu = &self.weights.gpu;
        if call.x > gpu.limits.max_compute_workgroups_per_dimension {
            return Err(Error::Unsupported(format!("{} needs {} workgroups", call.shader, call.x)));
        }
        let pipeline = gpu.pipeline(&call.shader, &call.constants)?;
        let fields = uniform(pipeline.shader, &call.fields)?;
        let (offset, bytes) = (self.bytes.len() as u64, fields.len() as u64);
        self.bytes.extend_from_slice(&fields);
        self.bytes.resize((offset + self.step) as usize, 0);
        call.buffers.push(("shape", Slice { buffer: (**self.uniforms).clone(), offset, bytes: Some(bytes) }));
        let group = gpu.bind(&pipeline, &call.buffers)?;
        Ok(Dispatch { pipeline, group, x: call.x, rows: call.rows })
    }
}

struct Builder<'a> {
    weights: &'a GpuWeights,
    buffers: &'a Buffers,
    /// Index of the next product in the placement.
    product: usize,
    /// Whether the ops run for the rows whose logits are wanted.
    head: bool,
    calls: Vec<(Form, Call)>,
}

impl Builder<'_> {
    fn plan(&self) -> &Plan {
        &self.weights.plan
    }

    fn call(&mut self, shader: &str, fields: &[(&'static str, u32)], buffers: &[(&'static str, Slice)], x: u32) {
        let mut buffers = buffers.to_vec();
        buffers.push(("run", Slice::whole(&self.buffers.run)));
        let (fields, rows) = (fields.to_vec(), Rows::Per(1));
        let call = Call { shader: shader.into(), constants: Vec::new(), fields, buffers, x, rows };
        self.calls.push((Form::Both, call));
    }

    /// Sets the override constants of the last call.
    fn constants(&mut self, constants: &[(&'static str, u32)]) {
        if let Some((_, call)) = self.calls.last_mut() {
            call.constants = constants.to_vec();
        }
    }

    /// The memory of a buffer; in the head, `hidden` means the gathered rows.
    fn slice(&self, id: BufId) -> Slice {
        Slice::whole(self.buffers.of(self.plan(), id, self.head))
    }

    fn stride(&self, id: BufId) -> u32 {
        stride(self.plan().width(id)) as u32
    }

    fn vector(&self, id: WeightId) -> Slice {
        let bytes = Some(4 * self.plan().weight(id).cols as u64);
        Slice { buffer: (*self.weights.arena).clone(), offset: self.weights.placement.vectors[&id], bytes }
    }

    fn op(&mut self, op: &Op) -> Result<()> {
        match op {
            Op::Embed { table, scale, out } => self.embed(*table, *scale, *out),
            Op::RmsNorm { x, weight, add, out } => self.rms_norm(*x, *weight, *add, *out),
            Op::MatMul { x, add, out, .. } => self.matmul(*x, *add, *out),
            Op::RopeStore { qkv, layer } => self.rope_store(*qkv, *layer),
            Op::Attention { qkv, layer, out } => self.attention(*qkv, *layer, *out),
            Op::Glu { x, activation, out } => self.glu(*x, *activation, *out),
            Op::Softcap { x, cap } => self.softcap(*x, *cap),
        }
        Ok(())
    }

    /// Copies the rows of `hidden` whose logits are wanted to the head's own buffer.
    fn gather(&mut self) {
        let hidden = self.plan().hidden;
        let (width, stride) = (self.plan().width(hidden) as u32, self.stride(hidden));
        let source = Slice::whole(self.buffers.of(self.plan(), hidden, false));
        let fields = [("n", width), ("x_stride", stride), ("out_stride", stride), ("head", 1)];
        let buffers = [("x", source), ("out", self.slice(hidden))];
        self.call("copy_rows", &fields, &buffers, width.div_ceil(WIDTH));
    }

    /// Kernels add to what `out` holds; another summand is copied there first. Returns the kernels' `accumulate`.
    fn accumulate(&mut self, add: Option<BufId>, out: BufId) -> u32 {
        if let Some(add) = add.filter(|&add| add != out) {
            let width = self.plan().width(out) as u32;
            let strides = (self.stride(add), self.stride(out));
            let fields = [("n", width), ("x_stride", strides.0), ("out_stride", strides.1), ("head", 0)];
            let buffers = [("x", self.slice(add)), ("out", self.slice(out))];
            self.call("copy_rows", &fields, &buffers, width.div_ceil(WIDTH));
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
            self.call(&format!("embed.{}", layout.name), &fields, &buffers, x);
        }
    }

    /// The planes of a slab; a type without a second plane has no binding for it.
    fn planes(&self, slab: usize) -> Vec<(&'static str, Slice)> {
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
        self.call("rms_norm", &fields, &buffers, 1);
        self.constants(&[("WIDTH", self.weights.gpu.tuning.norm_width)]);
    }

    fn matmul(&mut self, x: BufId, add: Option<BufId>, out: BufId) {
        let accumulate = self.accumulate(add, out);
        let segments = self.weights.placement.products[self.product].clone();
        self.product += 1;
        for segment in segments {
            self.segment(&segment, x, accumulate, out);
        }
    }

    fn segment(&mut self, segment: &Segment, x: BufId, accumulate: u32, out: BufId) {
        let slab = &self.weights.placement.slabs[segment.slab];
        let fields = vec![
            ("k", slab.cols as u32),
            ("units", slab.layout.units(slab.cols) as u32),
            ("first_tile", (segment.slab_row / TILE) as u32),
            ("n", segment.rows as u32),
            ("x_stride4", self.stride(x) / 4),
            ("out_stride", self.stride(out)),
            ("out_column", segment.out_column as u32),
            ("has_bias", u32::from(segment.bias.is_some())),
            ("accumulate", accumulate),
            ("head", u32::from(self.head)),
        ];
        let bytes = Some(4 * segment.rows as u64);
        let bias = segment.bias.map_or(Slice::whole(&self.weights.arena), |offset| Slice {
            buffer: (*self.weights.arena).clone(),
            offset,
            bytes,
        });
        let mut buffers = self.planes(segment.slab);
        buffers.extend([("x", self.slice(x)), ("out", self.slice(out)), ("bias", bias)]);
        buffers.push(("run", Slice::whole(&self.buffers.run)));
        let tuning = self.weights.gpu.tuning;
        let tiles = segment.rows.div_ceil(TILE) as u32;
        let call = |kernel: &str, constants: &[_], x, rows| Call {
            shader: format!("{kernel}.{}", slab.layout.name),
            constants: constants.to_vec(),
            fields: fields.clone(),
            buffers: buffers.clone(),
            x,
            rows,
        };
        let constants = [("SPLIT", tuning.split), ("TILES", tuning.tiles)];
        let one = call("mat_vec", &constants, tiles.div_ceil(tuning.tiles), Rows::One);
        let per_group = Rows::Per(MAT_MAT_TOKENS * tuning.groups);
        let many = call("mat_mat", &[("GROUPS", tuning.groups)], tiles.div_ceil(MAT_MAT_TILES), per_group);
        self.calls.extend([(Form::One, one), (Form::Many, many)]);
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
        let width = self.weights.gpu.tuning.rope_width;
        let norms = (u32::from(a.q_norm.is_some()), u32::from(a.k_norm.is_some()));
        let heads = (a.heads + 2 * a.kv_heads) as u32;
        self.call(&format!("rope_store.{}", self.buffers.kv), &fields, &buffers, heads);
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
            ("window", a.window.map_or(0, |window| u32::try_from(window).unwrap_or(0))),
            ("scale", a.scale.to_bits()),
        ];
        let buffers = [
            ("qkv", self.slice(qkv)),
            ("keys", Slice::whole(&cache.keys)),
            ("values", Slice::whole(&cache.values)),
            ("out", self.slice(out)),
        ];
        let heads = a.heads as u32;
        self.call(&format!("attention.{}", self.buffers.kv), &fields, &buffers, heads);
        self.constants(&[("WIDTH", pairs.next_power_of_two().max(32))]);
    }

    fn glu(&mut self, x: BufId, activation: Activation, out: BufId) {
        let n = self.plan().width(out) as u32;
        let gelu = match activation {
            Activation::Silu => 0,
            Activation::GeluTanh => 1,
        };
        let fields = [("n", n), ("x_stride", self.stride(x)), ("out_stride", self.stride(out)), ("gelu", gelu)];
        self.call("glu", &fields, &[("x", self.slice(x)), ("out", self.slice(out))], n.div_ceil(WIDTH));
    }

    fn softcap(&mut self, x: BufId, cap: f32) {
        let n = self.plan().width(x) as u32;
        let fields = [("n", n), ("stride", self.stride(x)), ("cap", cap.to_bits())];
        self.call("softcap", &fields, &[("x", self.slice(x))], n.div_ceil(WIDTH));
    }
}
