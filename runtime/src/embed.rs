//! `Embedder`: vectors of texts, by an encoder.

use std::sync::Arc;

use crate::arch::{ModelSpec, Pooling};
use crate::device::{Batch, CancelFlag, KvType, Outputs, State, StateOptions};
use crate::error::{Error, Result};
use crate::model::Model;

/// Tokens of the longest text where the caller does not say: what retrieval cuts documents into.
const DEFAULT_TOKENS: usize = 512;

/// What an `Embedder` makes of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbedderOptions {
    /// Tokens of the longest text; 0 for the smaller of 512 and what the model was trained for.
    pub max_tokens: usize,
    /// How tokens' states become one vector; `None` for what the file says, or else their mean.
    pub pooling: Option<Pooling>,
    /// Whether vectors have length 1.
    pub normalize: bool,
    /// Elements to keep, from the first on (models trained by Matryoshka losses allow it); 0 for all.
    pub dimensions: usize,
    /// Whether longer texts are cut, but for their last token; else they are an error.
    pub truncate: bool,
}

impl Default for EmbedderOptions {
    fn default() -> Self {
        Self { max_tokens: 0, pooling: None, normalize: true, dimensions: 0, truncate: false }
    }
}

/// Makes vectors of texts. Used from one thread at a time; `cancel_flag` may be used from any.
pub struct Embedder {
    model: Model,
    state: Box<dyn State>,
    options: EmbedderOptions,
    cancel: CancelFlag,
    states: Vec<f32>,
}

/// The size of an encoder's state for texts of so many tokens, 0 for the default. Keys and values serve one batch only, so nothing
/// is gained by rounding them.
pub(crate) fn state_options(spec: &ModelSpec, max_tokens: usize) -> Result<StateOptions> {
    let trained = spec.n_ctx_train;
    let n = if max_tokens == 0 { DEFAULT_TOKENS.min(trained) } else { max_tokens };
    if n > trained {
        return Err(Error::InvalidArgument(format!("texts of {n} tokens; the model has learned {trained}")));
    }
    Ok(StateOptions { n_ctx: n, max_batch: n, max_outputs: n, kv: KvType::F32 })
}

impl Embedder {
    pub(crate) fn new(model: Model, options: &EmbedderOptions) -> Result<Self> {
        let spec = model.spec();
        if spec.output.is_some() {
            return Err(Error::Unsupported(format!("embeddings of '{}', which is no encoder", spec.arch)));
        }
        let size = state_options(spec, options.max_tokens)?;
        if options.dimensions > spec.n_embd {
            let (wanted, all) = (options.dimensions, spec.n_embd);
            return Err(Error::InvalidArgument(format!("{wanted} dimensions of {all}")));
        }
        let state = Arc::clone(model.weights()).state(&size)?;
        let options = EmbedderOptions { max_tokens: size.n_ctx, ..*options };
        Ok(Self { model, state, options, cancel: CancelFlag::default(), states: Vec::new() })
    }

    /// The model it runs.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Tokens of the longest text.
    pub fn max_tokens(&self) -> usize {
        self.options.max_tokens
    }

    /// Elements of a vector.
    pub fn dimensions(&self) -> usize {
        if self.options.dimensions == 0 { self.model.spec().n_embd } else { self.options.dimensions }
    }

    /// Bytes of activations and tables on the device.
    pub fn bytes(&self) -> u64 {
        self.state.bytes()
    }

    /// Stops the call that is running, which then gives `Error::Cancelled`.
    pub fn cancel_flag(&self) -> CancelFlag {
        self.cancel.clone()
    }

    /// The states of a text's tokens after the last block, `[tokens][n_embd]`.
    pub async fn states_async(&mut self, tokens: &[u32]) -> Result<&[f32]> {
        if tokens.is_empty() {
            return Err(Error::InvalidArgument("a text without tokens".into()));
        }
        if tokens.len() > self.options.max_tokens {
            return Err(Error::ContextFull { wanted: tokens.len(), limit: self.options.max_tokens });
        }
        let batch = Batch { tokens, pos: 0, outputs: Outputs::All };
        let done = self.state.run(batch, &self.cancel, &mut self.states).await;
        if matches!(done, Err(Error::Cancelled)) {
            self.cancel.clear(); // the request is answered: the next call starts afresh
        }
        done.map(|()| self.states.as_slice())
    }

    /// The vector of a text's tokens.
    pub async fn embed_tokens_async(&mut self, tokens: &[u32]) -> Result<Vec<f32>> {
        let (width, kept, normalize) = (self.model.spec().n_embd, self.dimensions(), self.options.normalize);
        let pooling = self.options.pooling.or(self.model.spec().pooling).unwrap_or(Pooling::Mean);
        let states = self.states_async(tokens).await?;
        let mut vector = pool(states, width, pooling);
        vector.truncate(kept);
        if normalize {
            let length = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            // a vector of zeros has no direction
            let factor = if length > 0.0 { 1.0 / length } else { 0.0 };
            vector.iter_mut().for_each(|x| *x = (f64::from(*x) * factor) as f32);
        }
        Ok(vector)
    }

    /// The vector of a text, with the special tokens that the model's tokenizer adds.
    pub async fn embed_async(&mut self, text: &str) -> Result<Vec<f32>> {
        let mut tokens = self.model.tokenize(text, true, false)?;
        let limit = self.options.max_tokens;
        if self.options.truncate && tokens.len() > limit {
            // the last token ends the text
            let last = tokens.pop();
            tokens.truncate(limit - 1);
            tokens.extend(last);
        }
        self.embed_tokens_async(&tokens).await
    }
}

/// The calls that wait.
#[cfg(not(target_arch = "wasm32"))]
impl Embedder {
    /// `states_async`, waited for.
    pub fn states(&mut self, tokens: &[u32]) -> Result<&[f32]> {
        pollster::block_on(self.states_async(tokens))
    }

    /// `embed_tokens_async`, waited for.
    pub fn embed_tokens(&mut self, tokens: &[u32]) -> Result<Vec<f32>> {
        pollster::block_on(self.embed_tokens_async(tokens))
    }

    /// `embed_async`, waited for.
    pub fn embed(&mut self, text: &str) -> Result<Vec<f32>> {
        pollster::block_on(self.embed_async(text))
    }
}

/// One vector from rows of `width`.
fn pool(states: &[f32], width: usize, pooling: Pooling) -> Vec<f32> {
    let rows = states.len() / width;
    match pooling {
        Pooling::First => states[..width].to_vec(),
        Pooling::Last => states[(rows - 1) * width..].to_vec(),
        Pooling::Mean => {
            let mut sums = vec![0f64; width];
            for row in states.chunks_exact(width) {
                sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
            }
            sums.iter().map(|sum| (sum / rows as f64) as f32).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_pooled() {
        let states = [1.0, 2.0, 3.0, 6.0];
        assert_eq!(pool(&states, 2, Pooling::First), [1.0, 2.0]);
        assert_eq!(pool(&states, 2, Pooling::Last), [3.0, 6.0]);
        assert_eq!(pool(&states, 2, Pooling::Mean), [2.0, 4.0]);
    }
}
