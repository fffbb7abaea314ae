//! `Embedder`: whole texts through an encoder. A second call while one runs is an error, not a wait.

use std::cell::{RefCell, RefMut};

use gabion::{CancelFlag, DeviceKind, Error, Pooling, Result, Task, TextKind};
use js_sys::{Array, Float32Array};
use wasm_bindgen::prelude::*;

use crate::convert::{object, yield_to_events};
use crate::failure::to_js;

/// Texts that the CPU computes before the event loop gets a turn, in which a cancel can arrive.
const CPU_TEXTS: usize = 4;

/// Runs whole texts.
#[wasm_bindgen]
pub struct Embedder {
    inner: RefCell<gabion::Embedder>,
    cancel: CancelFlag,
}

impl Embedder {
    pub(crate) fn new(embedder: gabion::Embedder) -> Self {
        let cancel = embedder.cancel_flag();
        Self { inner: RefCell::new(embedder), cancel }
    }

    fn lock(&self) -> Result<RefMut<'_, gabion::Embedder>> {
        let busy = |_| Error::Busy("a call of this embedder is running: end or cancel it first".into());
        self.inner.try_borrow_mut().map_err(busy)
    }

    /// Runs `work` on all items; on the CPU, which computes on this thread, on a few at a time.
    async fn in_parts<T, R>(
        &self,
        items: &[T],
        mut work: impl AsyncFnMut(&mut gabion::Embedder, &[T]) -> Result<Vec<R>>,
    ) -> Result<Vec<R>> {
        let mut embedder = self.lock()?;
        let cpu = embedder.model().device().kind == DeviceKind::Cpu;
        let size = if cpu { CPU_TEXTS } else { items.len() }.max(1);
        if items.len() <= size {
            return work(&mut embedder, items).await;
        }
        let mut all = Vec::with_capacity(items.len());
        for part in items.chunks(size) {
            all.extend(work(&mut embedder, part).await?);
            yield_to_events().await;
            self.cancel.check()?;
        }
        Ok(all)
    }
}

#[wasm_bindgen]
impl Embedder {
    /// `EmbedderInfo` of `js/types.ts`.
    pub fn info(&self) -> std::result::Result<JsValue, JsValue> {
        let it = self.lock().map_err(to_js)?;
        let task = match it.task() {
            Task::Score => "score",
            Task::Fill => "fill",
            Task::Embed | Task::Generate => "embed",
        };
        let pooling = match it.pooling() {
            Pooling::None => "none",
            Pooling::Mean => "mean",
            Pooling::First => "cls",
            Pooling::Last => "last",
        };
        Ok(object([
            ("task", task.into()),
            ("pooling", pooling.into()),
            ("dimensions", it.dimensions().into()),
            ("maxTokens", it.max_tokens().into()),
            ("batchTokens", it.options().batch_tokens.into()),
            ("scores", it.scores().into()),
            ("labels", it.labels().iter().map(|label| JsValue::from(label.as_str())).collect::<Array>().into()),
            ("bytes", (it.bytes() as f64).into()),
        ]))
    }

    /// A `Float32Array` for each text.
    pub async fn embed(&self, texts: Vec<String>, kind: String) -> std::result::Result<Array, JsValue> {
        let kind = match kind.as_str() {
            "query" => TextKind::Query,
            "document" => TextKind::Document,
            _ => TextKind::Plain,
        };
        let all = self.in_parts(&texts, async |it, part| it.embed_async(part, kind).await).await;
        Ok(arrays(&all.map_err(to_js)?))
    }

    /// The same of one text that is given as tokens.
    #[wasm_bindgen(js_name = embedTokens)]
    pub async fn embed_tokens(&self, tokens: Vec<u32>) -> std::result::Result<Float32Array, JsValue> {
        let all = self.lock().map_err(to_js)?.embed_tokens_async(&[tokens]).await.map_err(to_js)?;
        Ok(Float32Array::from(all.concat().as_slice()))
    }

    /// A number for each document.
    pub async fn rerank(&self, query: String, documents: Vec<String>) -> std::result::Result<Float32Array, JsValue> {
        let all = self.in_parts(&documents, async |it, part| it.rerank_async(&query, part).await).await;
        Ok(Float32Array::from(all.map_err(to_js)?.as_slice()))
    }

    /// A `Float32Array` for each text, or for each pair where there are `seconds`.
    pub async fn classify(&self, texts: Vec<String>, seconds: Vec<String>) -> std::result::Result<Array, JsValue> {
        let mut seconds = seconds.into_iter();
        let pairs: Vec<_> = texts.into_iter().map(|text| (text, seconds.next())).collect();
        let all = self.in_parts(&pairs, async |it, part| it.classify_async(part).await).await;
        Ok(arrays(&all.map_err(to_js)?))
    }

    /// For each mask a list of `Guess` of `js/types.ts`.
    #[wasm_bindgen(js_name = fillMask)]
    pub async fn fill_mask(&self, text: String, top: usize) -> std::result::Result<Array, JsValue> {
        let masks = self.lock().map_err(to_js)?.fill_mask_async(&text, top).await.map_err(to_js)?;
        let guess = |it: &gabion::Filled| {
            object([
                ("id", it.token.into()),
                ("text", it.text.as_str().into()),
                ("probability", f64::from(it.probability).into()),
            ])
        };
        Ok(masks.iter().map(|guesses| JsValue::from(guesses.iter().map(guess).collect::<Array>())).collect())
    }

    /// Makes the running call end with code `cancelled`.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }
}

fn arrays(all: &[Vec<f32>]) -> Array {
    all.iter().map(|numbers| JsValue::from(Float32Array::from(numbers.as_slice()))).collect()
}
