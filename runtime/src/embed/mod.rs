//! `Embedder`: whole texts through an encoder, several in one pass: vectors, scores and masked words.

mod pack;
mod pool;
mod score;
#[cfg(not(target_arch = "wasm32"))]
mod wait;

use std::sync::Arc;

use crate::arch::{ModelSpec, Pooling, Task};
use crate::device::{CancelFlag, KvType, State, StateOptions};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::session::MAX_CTX;
use pack::{Text, Wanted};

pub use score::Filled;

/// Tokens of the longest text where the caller does not say: what retrieval cuts documents into.
const DEFAULT_TOKENS: usize = 512;
/// Masked tokens of one text.
const MAX_MASKS: usize = 32;

/// What an `Embedder` makes of texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbedderOptions {
    /// Tokens of the longest text; 0 for the smaller of 512 and what the model was trained for.
    pub max_tokens: usize,
    /// Tokens that go through the model at once, of as many texts as fit; 0 for what the device prefers. At least `max_tokens`.
    pub batch_tokens: usize,
    /// How tokens' states become a vector; `None` for what the file says, or else their mean.
    pub pooling: Option<Pooling>,
    /// Whether vectors have length 1.
    pub normalize: bool,
    /// Elements to keep, from the first on (models trained by Matryoshka losses allow it); 0 for all.
    pub dimensions: usize,
    /// Whether longer texts are cut, but for their last token (of a pair, its second text); else they are an error.
    pub truncate: bool,
    /// Put before texts of `TextKind::Query`, as the model's makers ask for, e.g. `search_query: `.
    pub query_prefix: String,
    /// Put before texts of `TextKind::Document`.
    pub document_prefix: String,
}

impl Default for EmbedderOptions {
    fn default() -> Self {
        Self {
            max_tokens: 0,
            batch_tokens: 0,
            pooling: None,
            normalize: true,
            dimensions: 0,
            truncate: false,
            query_prefix: String::new(),
            document_prefix: String::new(),
        }
    }
}

/// What a text is for, which chooses its prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TextKind {
    /// It has no prefix.
    #[default]
    Plain,
    /// What is searched for.
    Query,
    /// What is searched.
    Document,
}

/// Runs whole texts, several in one pass. Used from one thread at a time; `cancel_flag` may be used from any.
pub struct Embedder {
    model: Model,
    state: Box<dyn State>,
    size: StateOptions,
    options: EmbedderOptions,
    cancel: CancelFlag,
    outputs: Vec<f32>,
}

/// The size of an encoder's state for texts of so many tokens, of which so many go through at once; 0 for defaults. Keys and
/// values serve one batch only, so nothing is gained by rounding them.
pub(crate) fn state_options(spec: &ModelSpec, preferred: usize, text: usize, batch: usize) -> Result<StateOptions> {
    let trained = spec.n_ctx_train;
    let longest = if text == 0 { DEFAULT_TOKENS.min(trained) } else { text };
    if longest > trained {
        return Err(Error::InvalidArgument(format!("texts of {longest} tokens; the model has learned {trained}")));
    }
    let n = if batch == 0 { preferred } else { batch }.max(longest);
    if n > MAX_CTX {
        return Err(Error::InvalidArgument(format!("batches of {n} tokens; the limit is {MAX_CTX}")));
    }
    let max_outputs = if spec.task == Task::Fill { MAX_MASKS.min(n) } else { n };
    Ok(StateOptions { n_ctx: n, max_batch: n, max_outputs, kv: KvType::F32 })
}

/// The longest text of a state that `state_options` sized.
fn max_tokens(spec: &ModelSpec, options: &EmbedderOptions) -> usize {
    if options.max_tokens == 0 { DEFAULT_TOKENS.min(spec.n_ctx_train) } else { options.max_tokens }
}

impl Embedder {
    pub(crate) fn new(model: Model, options: &EmbedderOptions) -> Result<Self> {
        let spec = model.spec();
        if spec.task == Task::Generate {
            let arch = &spec.arch;
            return Err(Error::Unsupported(format!(
                "embeddings of '{arch}': it is a decoder, and its file names no pooling ({arch}.pooling_type)"
            )));
        }
        if options.dimensions > spec.n_embd {
            let (wanted, all) = (options.dimensions, spec.n_embd);
            return Err(Error::InvalidArgument(format!("{wanted} dimensions of {all}")));
        }
        let preferred = model.device().preferred_batch;
        let size = state_options(spec, preferred, options.max_tokens, options.batch_tokens)?;
        let options =
            EmbedderOptions { max_tokens: max_tokens(spec, options), batch_tokens: size.max_batch, ..options.clone() };
        let state = Arc::clone(model.weights()).state(&size)?;
        Ok(Self { model, state, size, options, cancel: CancelFlag::default(), outputs: Vec::new() })
    }

    /// The model it runs.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// What it was made with, defaults filled in.
    pub fn options(&self) -> &EmbedderOptions {
        &self.options
    }

    /// Tokens of the longest text.
    pub fn max_tokens(&self) -> usize {
        self.options.max_tokens
    }

    /// What the model is for: `Embed`, `Score` or `Fill`.
    pub fn task(&self) -> Task {
        self.model.spec().task
    }

    /// How tokens' states become a vector.
    pub fn pooling(&self) -> Pooling {
        self.options.pooling.or(self.model.spec().pooling).unwrap_or(Pooling::Mean)
    }

    /// Elements of a vector; of `Pooling::None`, of each token's.
    pub fn dimensions(&self) -> usize {
        if self.options.dimensions == 0 { self.model.spec().n_embd } else { self.options.dimensions }
    }

    /// Bytes of activations and tables on the device.
    pub fn bytes(&self) -> u64 {
        self.state.bytes()
    }

    /// Stops the call that is running, which then gives `Error::Cancelled`. A request that comes when nothing runs is dropped by
    /// the next call.
    pub fn cancel_flag(&self) -> CancelFlag {
        self.cancel.clone()
    }

    /// A vector for each text, in order, with the special tokens that the model's tokenizer adds. With `Pooling::None` a vector is
    /// the states of all tokens, one after another.
    pub async fn embed_async<S: AsRef<str>>(&mut self, texts: &[S], kind: TextKind) -> Result<Vec<Vec<f32>>> {
        self.begin(Task::Embed)?;
        let prefix = match kind {
            TextKind::Plain => "",
            TextKind::Query => &self.options.query_prefix,
            TextKind::Document => &self.options.document_prefix,
        };
        let prepare = |text: &S| self.prepare(&[prefix, text.as_ref()].concat());
        let texts = texts.iter().map(prepare).collect::<Result<Vec<_>>>()?;
        self.vectors(&texts).await
    }

    /// The same of texts' tokens, special ones included.
    pub async fn embed_tokens_async<T: AsRef<[u32]>>(&mut self, texts: &[T]) -> Result<Vec<Vec<f32>>> {
        self.begin(Task::Embed)?;
        let text = |tokens: &T| Text { tokens: tokens.as_ref().to_vec(), second: None };
        self.vectors(&texts.iter().map(text).collect::<Vec<_>>()).await
    }

    async fn vectors(&mut self, texts: &[Text]) -> Result<Vec<Vec<f32>>> {
        let (width, kept) = (self.model.spec().n_embd, self.dimensions());
        let (pooling, normalize) = (self.pooling(), self.options.normalize);
        let wanted = match pooling {
            Pooling::None | Pooling::Mean => Wanted::All,
            Pooling::First => Wanted::First,
            Pooling::Last => Wanted::Last,
        };
        let finish = |states: &[f32]| pool::vector(states, width, pooling, kept, normalize);
        self.run(texts, wanted, finish).await
    }

    /// A text's tokens, cut where it is too long and may be.
    fn prepare(&self, text: &str) -> Result<Text> {
        self.cancel.check()?;
        let mut tokens = self.model.tokenize(text, true, false)?;
        let limit = self.options.max_tokens;
        if self.options.truncate && tokens.len() > limit {
            // the last token ends the text
            let last = tokens.pop();
            tokens.truncate(limit - 1);
            tokens.extend(last);
        }
        Ok(Text { tokens, second: None })
    }

    /// Begins a call; refuses what the model's head is not for.
    fn begin(&self, task: Task) -> Result<()> {
        self.cancel.clear();
        let spec = self.model.spec();
        if spec.task == task {
            return Ok(());
        }
        let (what, missing) = match task {
            Task::Score => ("scores", "has no classifier (tensor 'cls.output.weight')"),
            Task::Fill => ("masked words", "has no head for them (tensor 'mlm.dense.weight')"),
            Task::Embed | Task::Generate => ("vectors", "has a head of another kind"),
        };
        let found = match spec.task {
            Task::Score => ": it scores texts",
            Task::Fill => ": it fills masks",
            Task::Embed | Task::Generate => "",
        };
        Err(Error::Unsupported(format!("{what} of '{}': its file {missing}{found}", spec.arch)))
    }
}
