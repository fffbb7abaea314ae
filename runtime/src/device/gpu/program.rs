//! A plan as dispatches over one session's buffers: pipelines, bind groups and uniforms, all made once.

#[cfg(not(target_arch = "wasm32"))]
use std::collections::BTreeSet;
use std::sync::Arc;

use super::calls::{self, Call};
use super::loader::GpuWeights;
use super::memory::{GpuBuffer, UNIFORM};
use super::pipeline::{Pipeline, Slice, uniform};
use super::planes::{UNIT, layout};
use super::products::Form;
use super::state::Buffers;
#[cfg(not(target_arch = "wasm32"))]
use crate::device::StateOptions;
use crate::device::check;
use crate::error::{Error, Result};
use crate::graph::{Op, Plan, Section};

/// Elements of a head that rope_store's and attention's workgroup memory holds.
const MAX_HEAD_DIM: usize = 576;

/// Columns from the start of a row of a buffer to the next: whole units, so that kernels may read vec4s.
pub(super) fn stride(width: usize) -> usize {
    width.next_multiple_of(UNIT)
}

/// What no kernel can do is refused before weights are loaded.
pub(super) fn check(plan: &Plan) -> Result<()> {
    check::check(plan, |ty| layout(ty).is_some())?;
    let odd = plan.ops().find_map(|op| match op {
        Op::Experts { linears, x, .. } => {
            let cols = linears.iter().map(|linear| plan.weight(linear.weight).cols).find(|cols| cols % 4 != 0)?;
            (plan.width(*x) != cols).then_some(cols)
        }
        Op::Heads { from, .. } => [from.first, from.step].into_iter().find(|columns| columns % 4 != 0),
        _ => None,
    });
    if let Some(cols) = odd {
        return Err(Error::Unsupported(format!("experts or heads of {cols} units on a GPU (a multiple of 4)")));
    }
    let states = plan.body.iter().filter_map(|op| match op {
        Op::Scan(scan) => Some(scan.n_state),
        Op::DeltaRule(rule) => Some(rule.key_dim),
        Op::Wkv(wkv) => Some(plan.width(wkv.v) / wkv.heads),
        _ => None,
    });
    if let Some(states) = states.max().filter(|&states| states > calls::MAX_STATES) {
        return Err(Error::Unsupported(format!(
            "{states} states of an element on a GPU (at most {})",
            calls::MAX_STATES
        )));
    }
    match plan.layers.iter().map(|layer| layer.head_dim).find(|dim| dim % 2 == 1 || *dim > MAX_HEAD_DIM) {
        Some(dim) => Err(Error::Unsupported(format!("head size {dim} on a GPU (even, at most {MAX_HEAD_DIM})"))),
        None => Ok(()),
    }
}

/// How many workgroups a dispatch has over x and y.
#[derive(Clone, Copy)]
pub(super) enum Grid {
    /// `(x, 1)`
    One(u32),
    /// `(x, rows / each)` for the rows of the batch.
    Rows { x: u32, each: u32 },
    /// `(x, spans)` for the spans of keys that one row sees through `window`.
    Spans { x: u32, window: u32 },
    /// `(x, 1)` if there are several spans; else nothing is left to do.
    Merge { x: u32, window: u32 },
}

/// What a run of a program is about.
#[derive(Clone, Copy)]
pub(super) struct Run {
    /// Rows of the batch.
    pub(super) rows: u32,
    /// Position of the first.
    pub(super) pos: u32,
    /// Keys of a span.
    pub(super) span: u32,
}

impl Run {
    /// As `shaders/wgsl/shared/spans.wgsl`.
    fn spans(self, window: u32) -> u32 {
        let cached = if window == 0 { self.pos } else { self.pos.min(window - 1) };
        cached.div_ceil(self.span).max(1)
    }
}

impl Grid {
    fn x(self) -> u32 {
        match self {
            Grid::One(x) | Grid::Rows { x, .. } | Grid::Spans { x, .. } | Grid::Merge { x, .. } => x,
        }
    }

    fn y(self, run: Run) -> u32 {
        match self {
            Grid::One(_) => 1,
            Grid::Rows { each, .. } => run.rows.div_ceil(each),
            Grid::Spans { window, .. } => run.spans(window),
            Grid::Merge { window, .. } => u32::from(run.spans(window) > 1),
        }
    }
}

/// One kernel launch.
struct Dispatch {
    pipeline: Arc<Pipeline>,
    group: wgpu::BindGroup,
    grid: Grid,
}

impl Dispatch {
    fn encode(&self, pass: &mut wgpu::ComputePass<'_>, run: Run) {
        let y = self.grid.y(run);
        if y > 0 {
            pass.set_pipeline(&self.pipeline.pipeline);
            pass.set_bind_group(0, &self.group, &[]);
            pass.dispatch_workgroups(self.grid.x(), y, 1);
        }
    }
}

/// A list of dispatches in each form: for a single row, where several ops are made in one go, for few and for many.
#[derive(Default)]
pub(super) struct Program {
    one: Vec<Dispatch>,
    /// For one quad of rows and for two; empty until they are wanted first.
    few: [Vec<Dispatch>; 2],
    many: Vec<Dispatch>,
}

impl Program {
    /// Encodes the program in a form that was prepared.
    pub(super) fn encode(&self, pass: &mut wgpu::ComputePass<'_>, run: Run, form: Form) {
        let dispatches = match form {
            Form::One => &self.one,
            Form::Few(quads) => &self.few[quads as usize - 1],
            Form::Many => &self.many,
        };
        for dispatch in dispatches {
            dispatch.encode(pass, run);
        }
    }

    /// Most launches that one row takes.
    pub(super) fn launches(&self) -> usize {
        self.one.len()
    }
}

/// The programs of a plan's sections and what may follow them, and the uniforms they read.
pub(super) struct Programs {
    pub(super) encoder: Program,
    pub(super) body: Program,
    pub(super) head: Program,
    /// Candidates from the head's logits, of a single row.
    pub(super) pick: Program,
    uniforms: Vec<GpuBuffer>,
}

impl Programs {
    /// Builds what a form needs that the session was not made with. Few rows come late if ever, and their kernels take long to
    /// compile on some drivers.
    pub(super) fn prepare(&mut self, form: Form, weights: &GpuWeights, buffers: &Buffers) -> Result<()> {
        let Form::Few(quads) = form else { return Ok(()) };
        let place = quads as usize - 1;
        if !self.body.few[place].is_empty() {
            return Ok(());
        }
        let lists = [Section::Body, Section::Head].map(|section| calls::calls(weights, buffers, section, form));
        let ([body, head], uniforms) = dispatches(weights, lists)?;
        (self.body.few[place], self.head.few[place]) = (body, head);
        self.uniforms.push(uniforms);
        weights.gpu.keep_pipelines();
        Ok(())
    }
}

/// The calls of the encoder for many rows, of the body and of the head, each for one row and for many, and those that pick.
fn calls(weights: &GpuWeights, buffers: &Buffers) -> [Vec<Call>; 6] {
    let calls = |section, form| calls::calls(weights, buffers, section, form);
    let pick = calls::pick::calls(weights, buffers);
    let [body, head] =
        [Section::Body, Section::Head].map(|section| [Form::One, Form::Many].map(|form| calls(section, form)));
    let ([body_one, body_many], [head_one, head_many]) = (body, head);
    [calls(Section::Encoder, Form::Many), body_one, body_many, head_one, head_many, pick]
}

/// A shader's name and its constants.
#[cfg(not(target_arch = "wasm32"))]
pub(super) type Compiled = (String, super::pipeline::Constants);

/// The pipelines of a session with these options.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn pipelines(weights: &GpuWeights, options: &StateOptions) -> Result<BTreeSet<Compiled>> {
    let calls = calls(weights, &Buffers::stand_ins(weights, options)?);
    Ok(calls.into_iter().flatten().map(|call| (call.shader, call.constants)).collect())
}

/// Builds all programs but those of few rows.
pub(super) fn build(weights: &GpuWeights, buffers: &Buffers) -> Result<Programs> {
    let (lists, uniforms) = dispatches(weights, calls(weights, buffers))?;
    let [encoder, body_one, body_many, head_one, head_many, pick] = lists;
    let program = |one, many| Program { one, many, ..Default::default() };
    Ok(Programs {
        encoder: program(Vec::new(), encoder),
        body: program(body_one, body_many),
        head: program(head_one, head_many),
        pick: program(pick, Vec::new()),
        uniforms: vec![uniforms],
    })
}

/// Lists of calls as dispatches, and the uniforms that they read.
fn dispatches<const N: usize>(weights: &GpuWeights, lists: [Vec<Call>; N]) -> Result<([Vec<Dispatch>; N], GpuBuffer)> {
    let gpu = &weights.gpu;
    let step = u64::from(gpu.limits.min_uniform_buffer_offset_alignment.max(256));
    let uniforms = gpu.buffer("uniforms", step * lists.iter().map(|list| list.len() as u64).sum::<u64>(), UNIFORM)?;
    let mut maker = Maker { weights, uniforms: &uniforms, step, bytes: Vec::new() };
    let mut made = [const { Vec::new() }; N];
    for (made, list) in made.iter_mut().zip(lists) {
        *made = maker.dispatches(list)?;
    }
    gpu.queue.write_buffer(&uniforms, 0, &maker.bytes);
    gpu.check()?;
    Ok((made, uniforms))
}

/// Turns calls into dispatches.
struct Maker<'a> {
    weights: &'a GpuWeights,
    uniforms: &'a GpuBuffer,
    step: u64,
    bytes: Vec<u8>,
}

impl Maker<'_> {
    fn dispatches(&mut self, calls: Vec<Call>) -> Result<Vec<Dispatch>> {
        calls.into_iter().map(|call| self.dispatch(call)).collect()
    }

    fn dispatch(&mut self, mut call: Call) -> Result<Dispatch> {
        let gpu = &self.weights.gpu;
        if call.grid.x() > gpu.limits.max_compute_workgroups_per_dimension {
            return Err(Error::Unsupported(format!("{} needs {} workgroups", call.shader, call.grid.x())));
        }
        let pipeline = gpu.pipeline(&call.shader, &call.constants)?;
        let fields = uniform(pipeline.shader, &call.fields)?;
        let (offset, bytes) = (self.bytes.len() as u64, fields.len() as u64);
        self.bytes.extend_from_slice(&fields);
        self.bytes.resize((offset + self.step) as usize, 0);
        call.buffers.push(("shape", Slice::part(self.uniforms, offset, Some(bytes))));
        let group = gpu.bind(&pipeline, &call.buffers)?;
        Ok(Dispatch { pipeline, group, grid: call.grid })
    }
}
