//! `Model`: an immutable, shareable model on a device.

use std::sync::Arc;

use crate::arch::{self, Gelu, ModelSpec};
use crate::device::{DeviceInfo, Loader, Precision, Weights};
use crate::embed::{Embedder, EmbedderOptions};
use crate::error::{Error, Result};
use crate::gguf::{self, GgufError, Header, Mapped, Source, TensorInfo};
use crate::graph::{self, Plan, WeightId};
use crate::runtime::Runtime;
use crate::session::{Session, SessionOptions};
use crate::text::{ChatOptions, ChatTemplate, Message, Tokenizer};

/// Bytes per read while streaming weights: small enough that a browser's wasm memory stays small.
const CHUNK: usize = 4 << 20;

/// How to load a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModelOptions {
    /// Whether to keep activations in float32 and default to a float32 cache: slower, the same on every device.
    pub exact: bool,
    /// Which GELU to compute with, instead of the one that the models of its family define: a file does not tell which one it
    /// was trained with. llama.cpp computes the tanh form for all.
    pub gelu: Option<Gelu>,
}

impl ModelOptions {
    pub(crate) fn precision(&self) -> Precision {
        if self.exact { Precision::Exact } else { Precision::Fast }
    }
}

/// How far loading has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes taken so far.
    pub loaded: u64,
    /// Bytes of all weights.
    pub total: u64,
}

/// Called while loading; returning false cancels with `Error::Cancelled`.
pub type ProgressFn<'a> = &'a mut dyn FnMut(Progress) -> bool;

/// A loaded model. Cheap to clone; may be used from several threads at once.
#[derive(Clone)]
pub struct Model(Arc<Inner>);

struct Inner {
    header: Header,
    spec: ModelSpec,
    plan: Arc<Plan>,
    weights: Arc<dyn Weights>,
    tokenizer: Option<Tokenizer>,
    template: Option<ChatTemplate>,
    options: ModelOptions,
    device: DeviceInfo,
}

impl Model {
    /// Loads the model at `path`; of a split model, the first file. The file must not be shortened while the model lives.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open(
        path: &std::path::Path,
        runtime: &Runtime,
        options: &ModelOptions,
        progress: ProgressFn<'_>,
    ) -> Result<Self> {
        pollster::block_on(Self::load(open_files(path)?, runtime, options, progress))
    }

    /// The header of the model at `path` (of all its files, when it is split), without loading it.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read_header(path: &std::path::Path) -> Result<Header> {
        pollster::block_on(gguf::read_headers(&mut open_files(path)?))
    }

    /// Loads a model from all its files, in order (one unless it is split). Reads forward only.
    pub async fn load<S: Source>(
        mut files: Vec<S>,
        runtime: &Runtime,
        options: &ModelOptions,
        progress: ProgressFn<'_>,
    ) -> Result<Self> {
        let header = gguf::read_headers(&mut files).await?;
        let Parts { spec, plan, tokenizer, template } = Parts::new(&header, options.gelu)?;
        let device = runtime.device();
        let mut loader = device.clone().loader(plan.clone(), options.precision())?;
        read_weights(&mut files, &plan, &mut *loader, progress).await?;
        let weights = loader.finish().await?;
        let (options, device) = (*options, device.info().clone());
        Ok(Self(Arc::new(Inner { header, spec, plan, weights, tokenizer, template, options, device })))
    }

    /// The file's header: all keys and tensors.
    pub fn header(&self) -> &Header {
        &self.0.header
    }

    /// What the forward pass is made of.
    pub fn spec(&self) -> &ModelSpec {
        &self.0.spec
    }

    /// The device it is loaded on.
    pub fn device(&self) -> &DeviceInfo {
        &self.0.device
    }

    /// Bytes of weights on the device.
    pub fn weight_bytes(&self) -> u64 {
        self.0.weights.bytes()
    }

    /// Size of the vocabulary: the number of logits.
    pub fn n_vocab(&self) -> usize {
        self.0.spec.n_vocab
    }

    /// The token that a decoder's text starts with where the model has an encoder before it (`Session::encode`); else `None`.
    pub fn decoder_start(&self) -> Option<u32> {
        self.0.spec.encoder.as_ref().map(|encoder| encoder.start)
    }

    /// The tokenizer; `Error::Tokenizer` if the file has none.
    pub fn tokenizer(&self) -> Result<&Tokenizer> {
        self.0
            .tokenizer
            .as_ref()
            .ok_or_else(|| Error::Tokenizer("the file has no tokenizer; work with token ids".into()))
    }

    /// Token ids of `text`. `add_special` adds BOS/EOS as the model wants; `parse_special` lets text such as
    /// `<|im_end|>` become control tokens: never set it for text from users.
    pub fn tokenize(&self, text: &str, add_special: bool, parse_special: bool) -> Result<Vec<u32>> {
        self.tokenizer()?.encode(text, add_special, parse_special)
    }

    /// Text of token ids. Broken UTF-8 becomes U+FFFD; control tokens are shown if `special`.
    pub fn detokenize(&self, tokens: &[u32], special: bool) -> Result<String> {
        Ok(self.tokenizer()?.decode(tokens, special))
    }

    /// Whether the file has a chat template.
    pub fn has_chat_template(&self) -> bool {
        self.0.template.is_some()
    }

    /// Token ids of a conversation through the model's own chat template. Message text cannot forge control tokens.
    pub fn chat_tokens(&self, messages: &[Message], options: &ChatOptions) -> Result<Vec<u32>> {
        let template = self.0.template.as_ref();
        let missing = || Error::Template("the model has no chat template; give it a plain prompt".into());
        template.ok_or_else(missing)?.tokens(self.tokenizer()?, messages, options)
    }

    /// A new session, with an empty context.
    pub fn session(&self, options: &SessionOptions) -> Result<Session> {
        Session::new(self.clone(), options)
    }

    /// Makes vectors of texts, if it is an encoder.
    pub fn embedder(&self, options: &EmbedderOptions) -> Result<Embedder> {
        Embedder::new(self.clone(), options)
    }

    pub(crate) fn plan(&self) -> &Arc<Plan> {
        &self.0.plan
    }

    pub(crate) fn weights(&self) -> &Arc<dyn Weights> {
        &self.0.weights
    }

    pub(crate) fn options(&self) -> &ModelOptions {
        &self.0.options
    }
}

/// Most elements along one dimension of a tensor: far above any model's, and products of a few of them still fit 64 bits.
const MAX_DIM: u64 = 1 << 24;

/// What a model is made of besides its weights.
pub(crate) struct Parts {
    pub(crate) spec: ModelSpec,
    pub(crate) plan: Arc<Plan>,
    pub(crate) tokenizer: Option<Tokenizer>,
    pub(crate) template: Option<ChatTemplate>,
}

impl Parts {
    /// Everything that the header alone can be refused for.
    pub(crate) fn new(header: &Header, gelu: Option<Gelu>) -> Result<Self> {
        let large = |tensor: &&TensorInfo| tensor.dims.iter().any(|&dim| dim > MAX_DIM);
        if let Some(tensor) = header.tensors.iter().find(large) {
            let (name, dims) = (&tensor.name, tensor.dims);
            return Err(Error::Model(format!(
                "tensor '{name}': its shape {dims:?} is beyond {MAX_DIM} along a dimension"
            )));
        }
        let spec = arch::spec(header, gelu)?;
        let plan = Arc::new(graph::lower(&spec, header)?);
        let tokenizer = Tokenizer::from_header(header)?;
        fits(tokenizer.as_ref(), &spec)?;
        Ok(Self { spec, plan, tokenizer, template: ChatTemplate::from_header(header)? })
    }
}

/// A token without a row in the embedding could never be computed with. Rows without a token are padding.
fn fits(tokenizer: Option<&Tokenizer>, spec: &ModelSpec) -> Result<()> {
    match tokenizer.map(Tokenizer::n_vocab) {
        Some(tokens) if tokens > spec.n_vocab => {
            let (table, rows) = (&spec.embedding, spec.n_vocab);
            Err(Error::Model(format!("the vocabulary has {tokens} tokens, '{table}' has {rows} rows")))
        }
        _ => Ok(()),
    }
}

/// Maps the file at `path` and, if it is the first of a split set, its siblings.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn open_files(path: &std::path::Path) -> Result<Vec<gguf::MmapSource>> {
    let open = |path: &std::path::Path| {
        gguf::MmapSource::open(path).map_err(|source| Error::Io { what: path.display().to_string(), source })
    };
    let mut files = vec![open(path)?];
    let count = pollster::block_on(gguf::read_header(&mut files[0]))?.shard_count()?;
    for index in 1..count {
        files.push(open(&gguf::shard_path(path, index, count)?)?);
    }
    Ok(files)
}

/// Feeds every weight to the loader, in file order.
async fn read_weights<S: Source>(
    files: &mut [S],
    plan: &Plan,
    loader: &mut dyn Loader,
    progress: ProgressFn<'_>,
) -> Result<()> {
    let total = plan.weights.iter().map(|w| w.bytes()).sum();
    let maps: Vec<Option<Mapped>> = files.iter().map(|file| file.mapped()).collect();
    let mut loaded = 0;
    let mut tell = |bytes: u64| {
        loaded += bytes;
        if progress(Progress { loaded, total }) { Ok(()) } else { Err(Error::Cancelled) }
    };
    tell(0)?;
    for (weight, id) in plan.weights.iter().zip((0..).map(WeightId)) {
        if let Some(map) = &maps[weight.shard] {
            mapped(map, weight.offset, weight.bytes(), &weight.name)?;
            if loader.adopt(id, map, weight.offset as usize)? {
                tell(weight.bytes())?;
                continue;
            }
        }
        let step = (CHUNK / weight.row_bytes().max(1)).max(1);
        for first in (0..weight.rows).step_by(step) {
            let len = step.min(weight.rows - first) * weight.row_bytes();
            let at = weight.offset + (first * weight.row_bytes()) as u64;
            match &maps[weight.shard] {
                Some(map) => loader.rows(id, first, mapped(map, at, len as u64, &weight.name)?)?,
                None => loader.rows(id, first, &read(&mut files[weight.shard], at, len).await?)?,
            }
            tell(len as u64)?;
        }
    }
    Ok(())
}

/// A range of a mapped file, checked again: the file may be shorter than the header's check saw.
fn mapped<'a>(map: &'a Mapped, offset: u64, len: u64, name: &str) -> Result<&'a [u8]> {
    let range = || Some(usize::try_from(offset).ok()?..usize::try_from(offset.checked_add(len)?).ok()?);
    let bytes = range().and_then(|range| map.get(range));
    bytes.ok_or_else(|| GgufError::Truncated(format!("tensor '{name}' is past the end of the file")).into())
}

async fn read<S: Source>(file: &mut S, offset: u64, len: usize) -> Result<Vec<u8>> {
    let bytes = file.read(offset, len).await.map_err(|source| Error::Io { what: file.name(), source })?;
    if bytes.len() == len {
        Ok(bytes)
    } else {
        Err(GgufError::Truncated(format!("{} ended early", file.name())).into())
    }
}
