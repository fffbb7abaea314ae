//! Picking tokens on the GPU: a step reads back a few candidates instead of all logits, and the likeliest token, which the
//! kernels leave where the next step finds its input, lets further steps be submitted before this one's answer is read.

use std::collections::VecDeque;

use super::memory::{GpuBuffer, Make, Readback};
use super::products::Form;
use super::program::Run;
use super::state::{Duration, GpuState, Instant};
use crate::device::{CancelFlag, Candidates, LocalFuture, MAX_CANDIDATES, Picker, Step};
use crate::error::{Error, Result};

/// Bytes of what pick writes before the candidates.
const HEADER_BYTES: usize = 16;
/// Bytes of everything that pick writes.
pub(super) const PICKED_BYTES: usize = HEADER_BYTES + 8 * MAX_CANDIDATES;
/// Most steps of one submit.
const MOST_STEPS: usize = 16;
/// How long the steps of one submit may take. Two are under way at a time: cancelling takes one, going on after it both.
const FLIGHT_TIME: Duration = Duration::from_millis(50);

/// Steps that were submitted together and whose picks were not read yet.
struct Flight {
    /// Which buffer they go to.
    readback: usize,
    steps: usize,
    submission: wgpu::SubmissionIndex,
    launched: Instant,
}

/// Steps in which each token is the likeliest after the one before.
pub(super) struct Chain<B = GpuBuffer> {
    readbacks: [Readback<B>; 2],
    /// Oldest first, at most two.
    flights: VecDeque<Flight>,
    /// Picks that were read but not asked for yet.
    landed: VecDeque<Candidates>,
    /// The step that the next pick answers; `None` where there is no chain to go on with.
    next: Option<Step>,
    /// One past the position of the last step submitted.
    end: usize,
    /// Steps of the next submit, by the time of the last ones.
    steps: usize,
    /// When the last submit was read.
    read: Instant,
}

impl<B> Chain<B> {
    pub(super) fn new(make: Make<'_, B>) -> Result<Self> {
        let mut readback = || Readback::new(make, "picked tokens", MOST_STEPS * PICKED_BYTES);
        let readbacks = [readback()?, readback()?];
        let (flights, landed) = (VecDeque::new(), VecDeque::new());
        Ok(Self { readbacks, flights, landed, next: None, end: 0, steps: 1, read: Instant::now() })
    }
}

impl Chain {
    pub(super) fn bytes(&self) -> u64 {
        self.readbacks.iter().map(|readback| readback.buffer.size()).sum()
    }

    /// Forgets what was computed in advance: something else was asked for.
    pub(super) fn end(&mut self) {
        self.next = None;
        self.flights.clear();
        self.landed.clear();
        self.readbacks.iter().for_each(Readback::release);
    }

    /// Whether the next pick answers `step`.
    fn answers(&self, step: &Step) -> bool {
        self.next.is_some_and(|next| Step { ahead: step.ahead, ..next } == *step)
    }

    /// How many steps the next submit has, from the time that the last one took.
    fn observe(&mut self, flight: &Flight) {
        let time = self.read.max(flight.launched).elapsed().as_secs_f64() / flight.steps as f64;
        self.read = Instant::now();
        let fitting = (FLIGHT_TIME.as_secs_f64() / time.max(1e-6)) as usize;
        self.steps = fitting.min(2 * flight.steps).clamp(1, MOST_STEPS);
    }
}

/// Bytes that a step like this reads back.
fn read_bytes(step: &Step) -> usize {
    if step.top > 1 { PICKED_BYTES } else { HEADER_BYTES }
}

/// What pick wrote.
fn candidates(bytes: &[u8]) -> Candidates {
    let words: Vec<u32> = bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let (count, best, sum) = (words[0] as usize, (words[1], f32::from_bits(words[2])), f32::from_bits(words[3]));
    let mut tokens: Vec<(u32, f32)> = words[4..].chunks_exact(2).map(|c| (c[0], f32::from_bits(c[1]))).collect();
    tokens.truncate(count);
    if bytes.len() == HEADER_BYTES && count > 0 {
        tokens.push(best);
    }
    Candidates { tokens, best: best.0, log_sum: f64::from(best.1) + f64::from(sum).ln(), written: 0 }
}

impl Picker for GpuState {
    fn step<'a>(
        &'a mut self,
        step: Step,
        cancel: &'a CancelFlag,
        picked: &'a mut Candidates,
    ) -> LocalFuture<'a, Result<()>> {
        Box::pin(self.pick(step, cancel, picked))
    }
}

impl GpuState {
    async fn pick(&mut self, step: Step, cancel: &CancelFlag, picked: &mut Candidates) -> Result<()> {
        self.check_step(&step)?;
        cancel.check()?;
        self.weights.gpu.check()?;
        if !self.chain.answers(&step) {
            self.chain.end();
            let header = [step.pos as u32, 1, 1, 0, step.top as u32, u32::from(step.log_sum)];
            self.write_run(header, &[step.token]);
            self.chain.end = step.pos;
        }
        // an error, or a future that is dropped, leaves nothing to go on with
        self.chain.next = None;
        if self.chain.landed.is_empty() {
            self.launch(&step);
            self.land(&step).await?;
        }
        let landed = self.chain.landed.pop_front();
        *picked = landed.ok_or_else(|| Error::Internal("a submit without steps".into()))?;
        picked.written = self.chain.end;
        self.chain.next = Some(Step { token: picked.best, pos: step.pos + 1, ..step });
        Ok(())
    }

    fn check_step(&self, step: &Step) -> Result<()> {
        if step.pos >= self.options.n_ctx {
            return Err(Error::ContextFull { wanted: step.pos.saturating_add(1), limit: self.options.n_ctx });
        }
        if step.token as usize >= self.weights.plan.n_vocab || !(1..=MAX_CANDIDATES).contains(&step.top) {
            return Err(Error::InvalidArgument(format!("{} candidates after token {}", step.top, step.token)));
        }
        Ok(())
    }

    /// Keeps two submits under way, as far as `step` looks ahead.
    fn launch(&mut self, step: &Step) {
        let end = self.options.n_ctx.min(step.pos + 1 + step.ahead);
        while self.chain.flights.len() < 2 && self.chain.end < end {
            self.fly(read_bytes(step), self.chain.steps.min(end - self.chain.end));
        }
    }

    /// Submits so many steps.
    fn fly(&mut self, bytes: usize, steps: usize) {
        let readback = self.chain.flights.back().map_or(0, |last| 1 - last.readback);
        let gpu = &self.weights.gpu;
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        for i in 0..steps {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            let run = Run { rows: 1, pos: (self.chain.end + i) as u32, span: gpu.tuning.span };
            for program in [&self.programs.body, &self.programs.head, &self.programs.pick] {
                program.encode(&mut pass, run, Form::One);
            }
            drop(pass);
            let target = &self.chain.readbacks[readback].buffer;
            encoder.copy_buffer_to_buffer(&self.buffers.picked, 0, target, (i * bytes) as u64, bytes as u64);
        }
        let submission = gpu.queue.submit([encoder.finish()]);
        self.chain.flights.push_back(Flight { readback, steps, submission, launched: Instant::now() });
        self.chain.end += steps;
    }

    /// Waits for the oldest submit.
    async fn land(&mut self, step: &Step) -> Result<()> {
        let Some(flight) = self.chain.flights.pop_front() else { return Ok(()) };
        let (bytes, landed) = (read_bytes(step), &mut self.chain.landed);
        let readback = &self.chain.readbacks[flight.readback];
        let take = |read: &[u8]| landed.extend(read.chunks_exact(bytes).map(candidates));
        let after = Some(flight.submission.clone());
        self.weights.gpu.read(readback, (flight.steps * bytes) as u64, after, take).await?;
        self.chain.observe(&flight);
        Ok(())
    }
}
