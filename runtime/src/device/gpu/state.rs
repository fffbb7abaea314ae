//! One session on the GPU: its buffers, its programs, and the loop that runs batches.

use std::ops::Range;
use std::sync::Arc;

use wgpu::BufferUsages;

#[cfg(not(target_arch = "wasm32"))]
pub(super) use std::time::{Duration, Instant};
#[cfg(target_arch = "wasm32")]
pub(super) use web_time::{Duration, Instant};

use super::Gpu;
use super::calls;
use super::loader::GpuWeights;
use super::memory::{GpuBuffer, Make, Readback, STORAGE, padded};
use super::pick::{Chain, PICKED_BYTES};
use super::products::{FEW_ROWS, Form, Products};
use super::program::{self, Program, Programs, Run, stride};
use super::rope::{self, Tables};
use crate::device::{
    Batch, COPIES, CancelFlag, Held, LocalFuture, Outputs, Picker, Precision, State, StateBytes, StateOptions, Texts,
    kv_capacity,
};
use crate::error::{Error, Result};
use crate::graph::{AttentionPlan, BufId, Op, Plan};

/// Most bytes of logits that are made and read back at a time.
const LOGITS_BYTES: usize = 32 << 20;
/// How long one submit may keep the GPU busy: well under any watchdog, and the time a cancellation takes.
const SUBMIT_TIME: Duration = Duration::from_millis(200);
/// Words of `shaders/wgsl/shared/fields.wgsl` before the tokens.
const RUN_HEADER: usize = 7;
/// Words of a row there, where rows are texts'.
const TEXT_WORDS: usize = 5;

/// The key/value cache of a layer.
pub(super) struct Cache<B = GpuBuffer> {
    /// Positions of the ring.
    pub(super) capacity: u32,
    /// Positions allocated.
    pub(super) slots: u32,
    pub(super) keys: B,
    pub(super) values: B,
}

/// All memory of a session.
pub(super) struct Buffers<B = GpuBuffer> {
    /// What changes from run to run: `shaders/wgsl/shared/run.wgsl`.
    pub(super) run: B,
    /// Activations, by the plan's slot.
    slots: Vec<B>,
    /// The rows of the plan's `hidden` whose logits are wanted.
    hidden: B,
    pub(super) caches: Vec<Cache<B>>,
    /// What the plan carries from row to row, and copies of it.
    pub(super) states: Vec<B>,
    pub(super) copies: [Vec<B>; COPIES],
    /// Inputs of products in a narrow format.
    pub(super) packed: B,
    pub(super) angles: B,
    /// What decode_attention leaves of each span and head: head_dim sums, maximum and sum of weights.
    pub(super) partials: B,
    /// Where each rope's angles start.
    pub(super) tables: Vec<Tables>,
    /// The value of the shaders' KV axis.
    pub(super) kv: &'static str,
    /// The likeliest of each block of logits.
    pub(super) tops: B,
    /// Candidates: what `shaders/wgsl/pick.wgsl` says.
    pub(super) picked: B,
    /// Logits, on their way to the host.
    readback: Readback<B>,
}

impl Buffers {
    /// The memory of a buffer of the plan, as an op of the body or of the head sees it.
    pub(super) fn of(&self, plan: &Plan, id: BufId, head: bool) -> &GpuBuffer {
        if head && id == plan.hidden { &self.hidden } else { &self.slots[plan.slot(id)] }
    }

    /// Small stand-ins, for calls that are only looked at.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn stand_ins(weights: &GpuWeights, options: &StateOptions) -> Result<Self> {
        let (gpu, plan) = (&weights.gpu, &weights.plan);
        let rows = RowLimits::new(gpu, plan, &weights.products, options);
        let mut make = |what: &str, _: u64, usage: BufferUsages| gpu.buffer(what, 0, usage);
        let buffers = Self::new(&mut make, gpu, plan, options, &rows)?;
        Ok(Self { tables: vec![Tables::default(); plan.ropes.len()], ..buffers })
    }

    fn bytes(&self) -> u64 {
        let caches = self.caches.iter().flat_map(|cache| [&cache.keys, &cache.values]);
        let states = self.copies.iter().flatten().chain(&self.states);
        let picks = [&self.tops, &self.picked, &self.readback.buffer];
        let rest = [&self.run, &self.hidden, &self.packed, &self.angles, &self.partials].into_iter().chain(picks);
        self.slots.iter().chain(caches).chain(states).chain(rest).map(|buffer| buffer.size()).sum()
    }
}

impl<B> Buffers<B> {
    /// Makes every buffer, each by one call of `make`.
    fn new(make: Make<'_, B>, gpu: &Gpu, plan: &Plan, options: &StateOptions, rows: &RowLimits) -> Result<Self> {
        let mut floats = |what: &str, n: usize| make(what, 4 * n as u64, STORAGE);
        let head = head_slots(plan);
        let slot = |(i, width): (usize, &usize)| {
            let rows = if head.contains(&i) { rows.outputs } else { rows.batch };
            floats("activations", rows * stride(*width))
        };
        let slots = plan.slots.iter().enumerate().map(slot).collect::<Result<_>>()?;
        let mut states = || plan.states.iter().map(|&n| floats("recurrent states", n)).collect::<Result<Vec<_>>>();
        let (now, copies) = (states()?, [states()?, states()?]);
        let angles = plan.ropes.iter().map(|rope| rope::table_len(rope, options.n_ctx)).sum::<usize>();
        let logits = stride(plan.n_vocab);
        Ok(Self {
            run: floats("run parameters", RUN_HEADER + rows.batch * if plan.texts { TEXT_WORDS } else { 1 })?,
            slots,
            hidden: floats("activations", rows.outputs * stride(plan.width(plan.hidden)))?,
            angles: floats("rotary angles", 2 * angles)?,
            tables: Vec::new(),
            partials: floats("attention spans", most_partials(gpu, plan, options))?,
            tops: floats("likeliest tokens", 4 * calls::pick::blocks(plan.n_vocab))?,
            caches: plan.layers.iter().map(|layer| cache(make, layer, options)).collect::<Result<_>>()?,
            states: now,
            copies,
            packed: make("packed activations", rows.packed_bytes, STORAGE)?,
            kv: options.kv.name(),
            picked: make("picked tokens", PICKED_BYTES as u64, STORAGE)?,
            readback: Readback::new(make, "logits", 4 * rows.outputs * logits)?,
        })
    }
}

/// Bytes that a session will take.
pub(super) fn bytes(gpu: &Gpu, plan: &Plan, precision: Precision, options: &StateOptions) -> Result<StateBytes> {
    check_options(options)?;
    let rows = RowLimits::new(gpu, plan, &gpu.products(precision), options);
    let mut bytes = StateBytes::default();
    let mut count = |_: &str, size: u64, usage: BufferUsages| {
        let size = padded(size);
        bytes.scratch = bytes.scratch.saturating_add(size);
        if usage.contains(BufferUsages::STORAGE) {
            bytes.largest = bytes.largest.max(size);
        }
        Ok(size)
    };
    let buffers = Buffers::new(&mut count, gpu, plan, options, &rows)?;
    Chain::new(&mut count)?;
    let caches = buffers.caches.iter().map(|cache| cache.keys.saturating_add(cache.values));
    let states = buffers.copies.iter().flatten().chain(&buffers.states).copied();
    bytes.kv = caches.chain(states).fold(0, u64::saturating_add);
    bytes.scratch -= bytes.kv;
    Ok(bytes)
}

/// Slots that the head writes; `hidden` itself is the body's.
fn head_slots(plan: &Plan) -> Vec<usize> {
    let written = |op: &Op| Some(op.buffers().1).filter(|&out| out != plan.hidden).map(|out| plan.slot(out));
    plan.head.iter().filter_map(written).collect()
}

/// Floats that the spans of any layer take, if there can be several.
fn most_partials(gpu: &Gpu, plan: &Plan, options: &StateOptions) -> usize {
    let span = gpu.tuning.span as usize;
    let spans = |layer: &AttentionPlan| layer.window.unwrap_or(usize::MAX).min(options.n_ctx).div_ceil(span);
    let floats = plan.layers.iter().filter(|layer| spans(layer) > 1);
    floats.map(|layer| spans(layer) * layer.heads * (layer.head_dim + 2)).max().unwrap_or(0)
}

fn cache<B>(make: Make<'_, B>, layer: &AttentionPlan, options: &StateOptions) -> Result<Cache<B>> {
    let capacity = kv_capacity(layer.window, options);
    let slots = capacity.next_multiple_of(8);
    let own = if layer.kv_from.is_some() { 0 } else { layer.kv_heads };
    let bytes = (own * options.kv.record_bytes(layer.head_dim)) as u64 * slots as u64;
    Ok(Cache {
        capacity: capacity as u32,
        slots: slots as u32,
        keys: make("key cache", bytes, STORAGE)?,
        // kernels want buffers of their own even where they leave them alone
        values: make("value cache", if layer.keys_only { 0 } else { bytes }, STORAGE)?,
    })
}

/// Writes the rotary angles of every position; returns where those of each rope start.
fn write_angles(weights: &GpuWeights, buffer: &GpuBuffer, n_ctx: usize) -> Vec<Tables> {
    let mut angles = Vec::new();
    let tables = weights.plan.ropes.iter().map(|rope| {
        let factors = rope.factors(n_ctx).and_then(|id| weights.factors.get(&id));
        rope::append(&mut angles, rope, factors.map(Vec::as_slice), n_ctx)
    });
    let tables = tables.collect();
    weights.gpu.queue.write_buffer(buffer, 0, bytemuck::cast_slice(&angles));
    tables
}

fn check_options(options: &StateOptions) -> Result<()> {
    if options.n_ctx == 0 || options.max_batch == 0 || u32::try_from(options.n_ctx).is_err() {
        return Err(Error::InvalidArgument("n_ctx and max_batch must be positive".into()));
    }
    Ok(())
}

/// How many rows go through at a time.
struct RowLimits {
    /// Of one submit.
    batch: usize,
    /// Of one pass of the head.
    outputs: usize,
    /// Bytes of a batch's packed inputs.
    packed_bytes: u64,
}

impl RowLimits {
    fn new(gpu: &Gpu, plan: &Plan, products: &Products, options: &StateOptions) -> Self {
        let widest = plan.slots.iter().map(|&width| stride(width)).max().unwrap_or(1).max(1);
        let fitting = usize::try_from(gpu.max_storage_bytes()).unwrap_or(usize::MAX) / (4 * widest);
        let logits = LOGITS_BYTES / (4 * stride(plan.n_vocab).max(1));
        // texts cannot be cut
        let most = if plan.needs_whole_texts() { options.max_batch } else { gpu.tuning.max_rows };
        let batch = options.max_batch.min(most).min(fitting).max(1);
        let outputs = options.max_outputs.min(batch).min(logits).max(1);
        Self { batch, outputs, packed_bytes: products.packed_bytes(plan, batch) }
    }
}

pub(super) struct GpuState {
    pub(super) weights: Arc<GpuWeights>,
    pub(super) options: StateOptions,
    rows: RowLimits,
    pub(super) buffers: Buffers,
    pub(super) programs: Programs,
    pace: Pace,
    pub(super) chain: Chain,
    /// Rows of the text that the encoder has read.
    pub(super) encoded: u32,
}

/// Chooses the rows of the next submit from the time the last one took.
struct Pace {
    rows: usize,
    most: usize,
}

impl Pace {
    /// Rows are kept a multiple of what mat_mat takes together, for fewer take as long, and grow no more than fourfold at a time.
    fn observe(&mut self, rows: usize, time: Duration) {
        let fitting = rows as f64 * SUBMIT_TIME.as_secs_f64() / time.as_secs_f64().max(1e-6);
        let next = (fitting as usize).min(4 * rows) / FEW_ROWS * FEW_ROWS;
        self.rows = next.clamp(FEW_ROWS.min(self.most), self.most);
    }
}

impl State for GpuState {
    fn run<'a>(
        &'a mut self,
        batch: Batch<'a>,
        cancel: &'a CancelFlag,
        logits: &'a mut Vec<f32>,
    ) -> LocalFuture<'a, Result<()>> {
        Box::pin(self.batch(batch, cancel, logits))
    }

    fn keep(&mut self, place: usize) {
        self.copy(&self.buffers.states, &self.buffers.copies[place]);
    }

    fn restore(&mut self, place: usize) {
        self.chain.end();
        self.copy(&self.buffers.copies[place], &self.buffers.states);
    }

    fn encode<'a>(&'a mut self, tokens: &'a [u32], cancel: &'a CancelFlag) -> LocalFuture<'a, Result<()>> {
        Box::pin(self.read_text(tokens, cancel))
    }

    fn save<'a>(&'a mut self, held: &'a Held, out: &'a mut Vec<u8>) -> LocalFuture<'a, Result<()>> {
        self.chain.end();
        Box::pin(self.save_to(held, out))
    }

    fn load(&mut self, held: &Held, saved: &[u8]) -> Result<()> {
        self.chain.end();
        self.load_from(held, saved)
    }

    fn fork(&self, written: usize) -> Result<Box<dyn State>> {
        Ok(Box::new(self.copied(written)?))
    }

    fn bytes(&self) -> u64 {
        self.buffers.bytes() + self.chain.bytes()
    }

    fn launches(&self) -> usize {
        [&self.programs.body, &self.programs.head, &self.programs.pick].map(Program::launches).iter().sum()
    }

    fn picker(&mut self) -> Option<&mut dyn Picker> {
        Some(self)
    }
}

impl GpuState {
    pub(super) fn new(weights: Arc<GpuWeights>, options: &StateOptions) -> Result<Self> {
        check_options(options)?;
        let (gpu, plan) = (&weights.gpu, &weights.plan);
        let rows = RowLimits::new(gpu, plan, &weights.products, options);
        let mut make = |what: &str, bytes: u64, usage: BufferUsages| gpu.buffer(what, bytes, usage);
        let mut buffers = Buffers::new(&mut make, gpu, plan, options, &rows)?;
        let chain = Chain::new(&mut make)?;
        buffers.tables = write_angles(&weights, &buffers.angles, options.n_ctx);
        let programs = program::build(&weights, &buffers)?;
        gpu.keep_pipelines();
        let first = if plan.needs_whole_texts() { rows.batch } else { weights.gpu.tuning.first_rows };
        let pace = Pace { rows: first.min(rows.batch), most: rows.batch };
        Ok(Self { weights, options: *options, rows, buffers, programs, pace, chain, encoded: 0 })
    }

    pub(super) fn copy(&self, from: &[GpuBuffer], to: &[GpuBuffer]) {
        let mut encoder = self.weights.gpu.device.create_command_encoder(&Default::default());
        for (from, to) in from.iter().zip(to) {
            encoder.copy_buffer_to_buffer(from, 0, to, 0, from.size());
        }
        self.weights.gpu.queue.submit([encoder.finish()]);
    }

    fn validate(&self, batch: &Batch<'_>) -> Result<()> {
        let (n, plan) = (batch.tokens.len(), &self.weights.plan);
        batch.check(plan, &self.options)?;
        match plan.needs_whole_texts() && n > self.rows.batch {
            true => {
                Err(Error::Unsupported(format!("texts of {n} tokens at once ({} fit this device)", self.rows.batch)))
            }
            false => Ok(()),
        }
    }

    async fn batch(&mut self, batch: Batch<'_>, cancel: &CancelFlag, logits: &mut Vec<f32>) -> Result<()> {
        logits.clear();
        self.validate(&batch)?;
        self.weights.gpu.check()?;
        self.buffers.readback.release();
        self.chain.end();
        let n = batch.tokens.len();
        self.programs.prepare(self.weights.products.form(n), &self.weights, &self.buffers)?;
        let mut done = 0;
        while done < n {
            cancel.check()?;
            let rows = self.pace.rows.min(n - done);
            let last = done + rows == n;
            let wanted = match batch.outputs {
                // texts are never cut
                _ if self.weights.plan.texts => 0..batch.wanted(),
                Outputs::All => 0..rows,
                Outputs::Last if last => rows - 1..rows,
                _ => 0..0,
            };
            let start = Instant::now();
            self.chunk(&batch, done..done + rows, wanted, logits).await?;
            if rows == self.pace.rows && !self.weights.plan.needs_whole_texts() {
                self.pace.observe(rows, start.elapsed());
            }
            done += rows;
        }
        Ok(())
    }

    /// Runs the encoder over a whole text.
    async fn read_text(&mut self, tokens: &[u32], cancel: &CancelFlag) -> Result<()> {
        self.validate(&Batch { tokens, pos: 0, outputs: Outputs::None, texts: Texts::default() })?;
        self.weights.gpu.check()?;
        cancel.check()?;
        self.chain.end();
        self.encoded = 0;
        let rows = tokens.len() as u32;
        self.write_run([0, rows, 0, 0, 0, 0], tokens);
        let mut encoder = self.weights.gpu.device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        self.programs.encoder.encode(&mut pass, Run { rows, pos: 0, span: self.weights.gpu.tuning.span }, Form::Many);
        drop(pass);
        self.submit(encoder, 0, &mut Vec::new()).await?;
        self.encoded = rows;
        Ok(())
    }

    /// Runs some rows of a batch, and the head for `wanted` of them (counted from the first of these rows).
    async fn chunk(
        &self,
        batch: &Batch<'_>,
        rows: Range<usize>,
        wanted: Range<usize>,
        logits: &mut Vec<f32>,
    ) -> Result<()> {
        let form = self.weights.products.form(batch.tokens.len());
        let head_form = if batch.outputs == Outputs::Last { Form::One } else { form };
        let said = self.said(batch, rows.clone());
        let mut first = wanted.start;
        let mut body = true;
        while body || first < wanted.end {
            let outputs = self.rows.outputs.min(wanted.end - first);
            let header = [batch.pos + rows.start, rows.len(), outputs, first, 0, 0];
            self.write_run(header.map(|value| value as u32), if body { &said } else { &[] });
            let mut encoder = self.weights.gpu.device.create_command_encoder(&Default::default());
            let mut pass = encoder.begin_compute_pass(&Default::default());
            let span = self.weights.gpu.tuning.span;
            let run = |rows: usize| Run { rows: rows as u32, pos: header[0] as u32, span };
            if body {
                self.programs.body.encode(&mut pass, run(rows.len()), form);
            }
            if outputs > 0 {
                self.programs.head.encode(&mut pass, run(outputs), head_form);
            }
            drop(pass);
            self.submit(encoder, outputs, logits).await?;
            first += outputs;
            body = false;
        }
        Ok(())
    }

    /// What a run says of its rows, as `shaders/wgsl/shared/fields.wgsl` has it.
    fn said(&self, batch: &Batch<'_>, rows: Range<usize>) -> Vec<u32> {
        let n = rows.len();
        let mut said = batch.tokens[rows].to_vec();
        let texts = batch.own_texts(&self.weights.plan);
        if !texts.is_empty() {
            said.extend(texts.iter().map(|text| text.start as u32));
            said.extend(texts.iter().map(|text| text.end as u32));
            said.extend((0..n).map(|t| batch.texts.types.get(t).copied().unwrap_or(0)));
            match batch.outputs {
                Outputs::Rows(list) => said.extend(list.iter().map(|&row| row as u32)),
                _ => said.extend(n as u32 - batch.wanted() as u32..n as u32),
            }
        }
        said
    }

    /// `header`: what `shaders/wgsl/shared/fields.wgsl` begins with.
    pub(super) fn write_run(&self, header: [u32; RUN_HEADER - 1], said: &[u32]) {
        let words: Vec<u32> = header.iter().chain(&[self.encoded]).chain(said).copied().collect();
        self.weights.gpu.queue.write_buffer(&self.buffers.run, 0, bytemuck::cast_slice(&words));
    }

    /// Submits, waits, and appends the logits of `outputs` rows.
    async fn submit(&self, mut encoder: wgpu::CommandEncoder, outputs: usize, logits: &mut Vec<f32>) -> Result<()> {
        let (gpu, plan) = (&self.weights.gpu, &self.weights.plan);
        let row = stride(plan.n_vocab);
        let bytes = 4 * (outputs * row) as u64;
        if outputs > 0 {
            let source = self.buffers.of(plan, plan.logits, true);
            encoder.copy_buffer_to_buffer(source, 0, &self.buffers.readback.buffer, 0, bytes);
        }
        gpu.queue.submit([encoder.finish()]);
        if outputs == 0 {
            gpu.finished().await?;
            return gpu.check();
        }
        let append = |bytes: &[u8]| {
            for row in bytes.chunks_exact(4 * row) {
                logits.extend(
                    row[..4 * plan.n_vocab].chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
                );
            }
        };
        gpu.read(&self.buffers.readback, bytes, None, append).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn submits_follow_the_time_and_fill_tiles() {
        let mut pace = Pace { rows: 8, most: 128 };
        let mut next = |rows, millis| {
            pace.observe(rows, Duration::from_millis(millis));
            pace.rows
        };
        assert_eq!(next(8, 1), 32); // no more than fourfold
        assert_eq!(next(32, 40), 128);
        assert_eq!(next(128, 400), 64);
        assert_eq!(next(64, 700), 16); // 18 would fit
        assert_eq!(next(16, 9000), 8); // fewer take as long
        let mut short = Pace { rows: 5, most: 5 };
        short.observe(5, Duration::from_millis(9000));
        assert_eq!(short.rows, 5);
    }
}
