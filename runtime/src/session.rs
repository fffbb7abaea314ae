//! `Session`: one timeline of tokens over a model, with its KV cache and logits.

use std::sync::Arc;

use crate::arch::{ModelSpec, Task};
use crate::checkpoints::Checkpoints;
use crate::device::{
    Batch, CancelFlag, Candidates, DeviceInfo, KvType, Outputs, Precision, State, StateOptions, Step, Texts,
    kv_capacity,
};
use crate::embed;
use crate::error::{Error, Result};
use crate::fnv;
use crate::graph::{AttentionPlan, Mask};
use crate::model::Model;
use crate::sample::log_sum_exp;
use crate::saved::{self, Contents};

/// Context size where the caller does not say: what a chat needs, without the memory of a model's full length.
const DEFAULT_CTX: usize = 4096;
/// The longest context.
pub(crate) const MAX_CTX: usize = 1 << 24;
/// Rows whose logits are computed at once when every position's are wanted; bounds memory at large vocabularies.
const MAX_OUTPUTS: usize = 32;
/// Logits held for such a batch, in elements.
const MAX_OUTPUT_ELEMENTS: usize = 1 << 22;

/// How large a session is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionOptions {
    /// Tokens that fit; 0 for the smaller of 4096 and what the model was trained for.
    pub n_ctx: usize,
    /// Tokens computed at once; 0 for what the device prefers.
    pub n_batch: usize,
    /// Element type of the cache; `None` for f16, or f32 where the model was loaded `exact`.
    pub kv: Option<KvType>,
}

/// What `sync` did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Synced {
    /// Tokens whose cache was already there.
    pub reused: usize,
    /// Tokens that were computed.
    pub computed: usize,
}

/// One timeline. Used from one thread at a time; `cancel_flag` may be used from any.
pub struct Session {
    model: Model,
    state: Box<dyn State>,
    options: StateOptions,
    cancel: CancelFlag,
    /// What the encoder has read.
    source: Vec<u32>,
    /// Tokens in the cache.
    tokens: Vec<u32>,
    /// One past the highest position written since the cache was last empty from 0: rings hold what is just below it.
    written: usize,
    /// The first position that rings hold of a restored context.
    oldest: usize,
    /// Where recurrent states stand, if the model has any.
    checkpoints: Option<Checkpoints>,
    /// Logits after the last token; empty when there are none.
    logits: Vec<f32>,
    /// Whether there are none because tokens were picked from them on the device.
    picked: bool,
}

impl Session {
    pub(crate) fn new(model: Model, options: &SessionOptions) -> Result<Self> {
        let spec = model.spec();
        if spec.task != Task::Generate {
            return Err(Error::Unsupported(format!(
                "a session of '{}', which is no generator: make an embedder",
                spec.arch
            )));
        }
        let options = state_options(spec, model.device(), model.options().precision(), options)?;
        if options.n_ctx > spec.n_ctx_train {
            let (n_ctx, trained) = (options.n_ctx, spec.n_ctx_train);
            log::warn!("a context of {n_ctx} is longer than the model was trained for ({trained})");
        }
        let state = Arc::clone(model.weights()).state(&options)?;
        let checkpoints = model.plan().is_recurrent().then(Checkpoints::new);
        Ok(Self {
            model,
            state,
            options,
            cancel: CancelFlag::default(),
            source: Vec::new(),
            tokens: Vec::new(),
            written: 0,
            oldest: 0,
            checkpoints,
            logits: Vec::new(),
            picked: false,
        })
    }

    /// The model it runs.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Tokens that fit.
    pub fn n_ctx(&self) -> usize {
        self.options.n_ctx
    }

    /// Tokens in the context.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Bytes of cache, activations and tables on the device.
    pub fn bytes(&self) -> u64 {
        self.state.bytes()
    }

    /// Bytes that computing the token at position `pos` reads: every weight once, the cache of what the token sees, and
    /// recurrent states.
    pub fn read_bytes(&self, pos: usize) -> u64 {
        let plan = self.model.plan();
        let cached = |layer: &AttentionPlan| {
            let positions = match layer.mask {
                Mask::Causal => layer.window.map_or(pos + 1, |window| window.min(pos + 1)),
                Mask::Cross => self.source.len(),
                Mask::Full => 0, // the encoder's
            };
            let parts = if layer.keys_only { 1 } else { 2 };
            parts * (positions * layer.kv_heads * self.options.kv.head_bytes(layer.head_dim)) as u64
        };
        let states = 4 * plan.states.iter().sum::<usize>() as u64;
        plan.read_bytes() + plan.layers.iter().map(cached).sum::<u64>() + states
    }

    /// Most kernel launches that a token takes; 0 on the CPU.
    pub fn launches(&self) -> usize {
        self.state.launches()
    }

    /// Logits after the last token, `n_vocab` of them; empty before the first `sync`, after an error, and after a generation
    /// whose tokens were picked on the device: `computed_logits` brings these.
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    /// `logits`, for which the last token is computed again where a generation left them on the device.
    pub async fn computed_logits_async(&mut self) -> Result<&[f32]> {
        if self.picked {
            let tokens = self.tokens.clone();
            self.sync_async(&tokens).await?;
        }
        Ok(&self.logits)
    }

    /// `computed_logits_async`, waiting for it.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn computed_logits(&mut self) -> Result<&[f32]> {
        pollster::block_on(self.computed_logits_async())
    }

    /// Stops this session's work from another thread: the running call, or the next `step` of a running generation,
    /// returns `Error::Cancelled`. A request that comes when nothing runs is dropped by the next `sync` or `score`.
    pub fn cancel_flag(&self) -> CancelFlag {
        self.cancel.clone()
    }

    /// Empties the context.
    pub fn clear(&mut self) {
        self.rewind(0);
    }

    fn drop_logits(&mut self) {
        self.logits.clear();
        self.picked = false;
    }

    /// Gives the encoder of an encoder-decoder model its text, at most `n_ctx` tokens. The context, which is the decoder's, is
    /// emptied unless the encoder has just this text already; `sync` then begins it with `Model::decoder_start`. After an error
    /// the encoder has no text.
    pub async fn encode_async(&mut self, tokens: &[u32]) -> Result<Synced> {
        if self.model.decoder_start().is_none() {
            let arch = &self.model.spec().arch;
            return Err(Error::Unsupported(format!("a text for the encoder of '{arch}', which has none")));
        }
        self.check_tokens(tokens)?;
        self.cancel.clear();
        if self.source == tokens {
            return Ok(Synced { reused: tokens.len(), computed: 0 });
        }
        self.clear();
        self.source.clear();
        let result = self.state.encode(tokens, &self.cancel).await;
        if result.is_ok() {
            self.source.extend_from_slice(tokens);
        }
        self.answer(result)?;
        Ok(Synced { reused: 0, computed: tokens.len() })
    }

    /// `encode_async`, waiting for it.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn encode(&mut self, tokens: &[u32]) -> Result<Synced> {
        pollster::block_on(self.encode_async(tokens))
    }

    /// Makes the context exactly `tokens` and computes the logits after the last one. Give the whole text every time: what
    /// is already there is reused, what differs is dropped and computed anew. After an error the context is a prefix of
    /// `tokens` that is safe to go on from.
    pub async fn sync_async(&mut self, tokens: &[u32]) -> Result<Synced> {
        self.check(tokens)?;
        self.cancel.clear();
        // the last token is always computed: its logits are wanted
        let common = self.tokens.iter().zip(tokens).take_while(|(a, b)| a == b).count();
        if common == tokens.len() && common == self.tokens.len() && !self.logits.is_empty() {
            return Ok(Synced { reused: common, computed: 0 });
        }
        if common == tokens.len() && self.restored(common) {
            return Ok(Synced { reused: common, computed: 0 });
        }
        let reused = self.rewind(common.min(tokens.len() - 1));
        self.extend(&tokens[reused..]).await?;
        let computed = tokens.len() - reused;
        // the end of a prompt; a single token is a step of a generation
        if let Some(checkpoints) = self.checkpoints.as_mut().filter(|_| computed > 1) {
            checkpoints.keep(&self.logits, &mut *self.state);
        }
        Ok(Synced { reused, computed })
    }

    /// Goes back to the end of a prompt of `tokens` tokens, if recurrent states and logits of it were kept.
    fn restored(&mut self, tokens: usize) -> bool {
        let logits = self.checkpoints.as_ref().and_then(|checkpoints| checkpoints.logits(tokens)).map(<[f32]>::to_vec);
        let Some(logits) = logits.filter(|_| self.rewind(tokens) == tokens) else { return false };
        self.logits = logits;
        true
    }

    /// After an error amid a batch nobody knows where recurrent states stand: the context is computed again from where they can
    /// go back to.
    async fn recover(&mut self) -> Result<()> {
        if self.checkpoints.as_ref().is_none_or(|checkpoints| checkpoints.are_at(self.tokens.len())) {
            return Ok(());
        }
        let tokens = self.tokens.clone();
        let kept = self.rewind(tokens.len());
        let result = self.extend(&tokens[kept..]).await;
        self.tokens = tokens;
        result
    }

    fn moved(&mut self, to: Option<usize>) {
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.moved(to);
        }
    }

    /// `sync_async`, waiting for it.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn sync(&mut self, tokens: &[u32]) -> Result<Synced> {
        pollster::block_on(self.sync_async(tokens))
    }

    /// Appends one token and computes the logits after it. On an error the context is as it was, without logits.
    pub async fn step_async(&mut self, token: u32) -> Result<()> {
        self.check(&[token])?;
        self.fits(self.tokens.len() + 1)?;
        self.recover().await?;
        self.extend(&[token]).await
    }

    /// `step_async`, waiting for it.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn step(&mut self, token: u32) -> Result<()> {
        pollster::block_on(self.step_async(token))
    }

    /// Whether the device can pick candidates by itself.
    pub(crate) fn picks(&mut self) -> bool {
        self.state.picker().is_some()
    }

    /// Appends one token and picks candidates for its successor on the device, where the logits stay. `step.pos` is the
    /// session's affair, and `step.ahead` at most what was asked for. On an error the context is as it was.
    pub(crate) async fn pick_async(&mut self, step: Step, picked: &mut Candidates) -> Result<()> {
        let pos = self.tokens.len();
        self.check(&[step.token])?;
        self.fits(pos + 1)?;
        self.recover().await?;
        self.drop_logits();
        // recurrent states could not go back
        let most = if self.checkpoints.is_some() { 0 } else { self.options.max_batch };
        let ahead = step.ahead.min(self.options.n_ctx - pos - 1).min(most);
        // until it is known how far the device went
        let before = self.written;
        self.written = before.max(pos + 1 + ahead);
        self.moved(None);
        let result = match (self.cancel.check(), self.state.picker()) {
            (Ok(()), Some(picker)) => picker.step(Step { pos, ahead, ..step }, &self.cancel, picked).await,
            (Ok(()), None) => Err(Error::Internal("the device does not pick tokens".into())),
            (cancelled, _) => cancelled,
        };
        if result.is_ok() {
            self.written = before.max(picked.written);
            self.picked = true;
        }
        self.settle(result, &[step.token])
    }

    /// -ln p(token i+1 | tokens 0..=i) for every i: one fewer than `tokens`. Leaves `tokens` as the context.
    pub async fn score_async(&mut self, tokens: &[u32]) -> Result<Vec<f32>> {
        self.check(tokens)?;
        self.cancel.clear();
        self.clear();
        let n_vocab = self.model.n_vocab();
        let mut nll = Vec::with_capacity(tokens.len() - 1);
        let mut logits = Vec::new();
        for chunk in tokens.chunks(self.options.max_outputs) {
            let done = self.tokens.len();
            self.run(chunk, Outputs::All, &mut logits).await?;
            let targets = &tokens[done + 1..(done + 1 + chunk.len()).min(tokens.len())];
            for (row, &target) in logits.chunks_exact(n_vocab).zip(targets) {
                nll.push((log_sum_exp(row) - f64::from(row[target as usize])) as f32);
            }
        }
        self.logits.extend_from_slice(&logits[logits.len() - n_vocab..]);
        Ok(nll)
    }

    /// `score_async`, waiting for it.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn score(&mut self, tokens: &[u32]) -> Result<Vec<f32>> {
        pollster::block_on(self.score_async(tokens))
    }

    /// The session as bytes, for `restore` of this model on any device: tokens, cache, recurrent states and logits. How to sample,
    /// and earlier places that recurrent states can go back to, are not among them.
    pub async fn save_async(&mut self) -> Result<Vec<u8>> {
        self.cancel.clear();
        self.recover().await?;
        let plan = self.model.plan().clone();
        let lengths = (self.tokens.len(), self.source.len());
        let contents = Contents {
            fingerprint: saved::fingerprint(self.model.header()),
            kv: self.options.kv,
            source: self.source.clone(),
            tokens: self.tokens.clone(),
            logits: self.logits.clone(),
            positions: saved::positions(&plan, &self.options, lengths, (self.oldest, self.written)),
            state: &[],
        };
        let mut bytes = contents.head();
        self.state.save(&contents.held(), &mut bytes).await?;
        bytes.extend(fnv::of(&bytes).to_le_bytes());
        Ok(bytes)
    }

    /// `save_async`, waiting for it.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn save(&mut self) -> Result<Vec<u8>> {
        pollster::block_on(self.save_async())
    }

    /// Takes what a session of this model has saved, on whatever device, with whatever `n_ctx`: its tokens must fit, and its cache be of
    /// the same type. What the session held before is dropped; bytes that are damaged or of another model change nothing.
    pub fn restore(&mut self, saved: &[u8]) -> Result<()> {
        let contents = Contents::parse(saved)?;
        let plan = self.model.plan().clone();
        contents.check(&plan, saved::fingerprint(self.model.header()), &self.options)?;
        self.clear();
        self.source.clear();
        self.state.load(&contents.held(), contents.state)?;
        let windowed = plan.layers.iter().zip(&contents.positions).filter(|(layer, _)| layer.window.is_some());
        self.oldest = windowed.map(|(_, held)| held.start).max().unwrap_or(0);
        self.written = contents.tokens.len();
        (self.source, self.tokens, self.logits) = (contents.source, contents.tokens, contents.logits);
        if let Some(checkpoints) = &mut self.checkpoints {
            *checkpoints = Checkpoints::new();
            checkpoints.moved(Some(self.tokens.len()));
            if !self.logits.is_empty() {
                checkpoints.keep(&self.logits, &mut *self.state);
            }
        }
        Ok(())
    }

    /// Another session with the same contents, which goes its own way from here: a copy of the cache on the device.
    pub fn fork(&self) -> Result<Self> {
        Ok(Self {
            model: self.model.clone(),
            state: self.state.fork(self.written)?,
            options: self.options,
            cancel: CancelFlag::default(),
            source: self.source.clone(),
            tokens: self.tokens.clone(),
            written: self.written,
            oldest: self.oldest,
            checkpoints: self.checkpoints.clone(),
            logits: self.logits.clone(),
            picked: self.picked,
        })
    }

    fn check(&self, tokens: &[u32]) -> Result<()> {
        if self.source.is_empty() && self.model.decoder_start().is_some() {
            return Err(Error::InvalidArgument("the encoder has no text: give it one by `encode`".into()));
        }
        self.check_tokens(tokens)
    }

    fn check_tokens(&self, tokens: &[u32]) -> Result<()> {
        if tokens.is_empty() {
            return Err(Error::InvalidArgument("no tokens were given; a context has at least one".into()));
        }
        let n_vocab = self.model.n_vocab();
        if let Some(id) = tokens.iter().find(|&&id| id as usize >= n_vocab) {
            return Err(Error::InvalidArgument(format!("token id {id} is outside the vocabulary of {n_vocab}")));
        }
        self.fits(tokens.len())
    }

    fn fits(&self, wanted: usize) -> Result<()> {
        let limit = self.options.n_ctx;
        if wanted > limit { Err(Error::ContextFull { wanted, limit }) } else { Ok(()) }
    }

    /// Keeps the first `keep` tokens, or none where a ring no longer holds what their successor sees, or as many as recurrent states
    /// can go back to. Returns how many.
    fn rewind(&mut self, keep: usize) -> usize {
        let mut keep = self.recurrent_rewind(keep);
        let plan = self.model.plan();
        let lost = |window: usize| {
            let capacity = kv_capacity(Some(window), &self.options);
            let oldest = self.oldest.max(self.written.saturating_sub(capacity));
            (keep + 1).saturating_sub(window) < oldest
        };
        if plan.layers.iter().filter_map(|layer| layer.window).any(lost) {
            keep = self.recurrent_rewind(0);
        }
        self.tokens.truncate(keep);
        if keep == 0 {
            (self.written, self.oldest) = (0, 0);
        }
        self.drop_logits();
        keep
    }

    fn recurrent_rewind(&mut self, keep: usize) -> usize {
        let state = &mut *self.state;
        self.checkpoints.as_mut().map_or(keep, |checkpoints| checkpoints.rewind(keep, state))
    }

    async fn extend(&mut self, tokens: &[u32]) -> Result<()> {
        let mut logits = std::mem::take(&mut self.logits);
        self.picked = false;
        let mut rest = tokens;
        while !rest.is_empty() {
            let (chunk, tail) = rest.split_at(rest.len().min(self.options.max_batch));
            let outputs = if tail.is_empty() { Outputs::Last } else { Outputs::None };
            self.run(chunk, outputs, &mut logits).await?;
            rest = tail;
        }
        self.logits = logits;
        Ok(())
    }

    async fn run(&mut self, tokens: &[u32], outputs: Outputs<'_>, logits: &mut Vec<f32>) -> Result<()> {
        let pos = self.tokens.len();
        self.written = self.written.max(pos + tokens.len());
        self.moved(None);
        let result = match self.cancel.check() {
            Ok(()) => {
                self.state.run(Batch { tokens, pos, outputs, texts: Texts::default() }, &self.cancel, logits).await
            }
            cancelled => cancelled,
        };
        self.settle(result, tokens)
    }

    /// After the device has run: takes the tokens into the context.
    fn settle(&mut self, result: Result<()>, tokens: &[u32]) -> Result<()> {
        if result.is_ok() {
            self.tokens.extend_from_slice(tokens);
            self.moved(Some(self.tokens.len()));
        }
        self.answer(result)
    }

    /// A request to cancel that was answered is done with: the next call starts afresh.
    fn answer(&self, result: Result<()>) -> Result<()> {
        if matches!(result, Err(Error::Cancelled)) {
            self.cancel.clear();
        }
        result
    }
}

/// The size of a session of a model that is computed with `precision`.
pub(crate) fn state_options(
    spec: &ModelSpec,
    device: &DeviceInfo,
    precision: Precision,
    options: &SessionOptions,
) -> Result<StateOptions> {
    if spec.task != Task::Generate {
        return embed::state_options(spec, device.preferred_batch, options.n_ctx, options.n_batch);
    }
    let trained = spec.n_ctx_train;
    let n_ctx = if options.n_ctx == 0 { DEFAULT_CTX.min(trained) } else { options.n_ctx };
    if n_ctx > MAX_CTX {
        return Err(Error::InvalidArgument(format!("n_ctx {n_ctx} is above the limit of {MAX_CTX}")));
    }
    if n_ctx > trained && spec.positions.is_some() {
        return Err(Error::InvalidArgument(format!("n_ctx {n_ctx}: the model has learned {trained} positions")));
    }
    let n_batch = if options.n_batch == 0 { device.preferred_batch } else { options.n_batch };
    // an encoder's text is one batch
    let max_batch = if spec.encoder.is_some() { n_ctx } else { n_batch.clamp(1, n_ctx) };
    Ok(StateOptions {
        n_ctx,
        max_batch,
        max_outputs: MAX_OUTPUTS.min(MAX_OUTPUT_ELEMENTS / spec.n_vocab).clamp(1, max_batch),
        kv: options.kv.unwrap_or(precision.kv()),
    })
}
