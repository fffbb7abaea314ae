//! `fit`: what a model would take, from the headers of its files.

use gabion::gguf::read_headers;
use gabion::{Fit, FitOptions};
use wasm_bindgen::prelude::*;

use crate::convert::object;
use crate::failure::to_js;
use crate::model::Runtime;
use crate::options::{self, JsModelOptions, JsSessionOptions};
use crate::source::{JsFile, JsSource};

#[wasm_bindgen]
impl Runtime {
    /// What a model of these files would take: `Fit` of `js/types.ts`, without the device. `memory` is in bytes.
    pub async fn fit(
        &self,
        files: Vec<JsFile>,
        model: JsModelOptions,
        session: JsSessionOptions,
        memory: Option<f64>,
    ) -> Result<JsValue, JsValue> {
        let (model, session) = (options::model(&model).map_err(to_js)?, options::session(&session).map_err(to_js)?);
        let mut files: Vec<JsSource> = files.into_iter().map(JsSource::new).collect();
        let header = read_headers(&mut files).await.map_err(to_js)?;
        let options = FitOptions { model, session, memory: memory.map(|bytes| bytes as u64) };
        Ok(fit_to_js(&self.inner().fit(&header, &options).map_err(to_js)?))
    }
}

fn fit_to_js(fit: &Fit) -> JsValue {
    let info = &fit.info;
    let bytes = |n: u64| JsValue::from(n as f64);
    let limit = |n: Option<u64>| n.map_or(JsValue::NULL, bytes);
    object([
        ("architecture", info.architecture.as_str().into()),
        ("name", info.name.as_str().into()),
        ("tokenizer", info.tokenizer.as_str().into()),
        ("hasChatTemplate", info.has_chat_template.into()),
        ("parameters", bytes(info.n_parameters)),
        ("tensorBytes", bytes(info.tensor_bytes)),
        ("bitsPerWeight", info.bits_per_weight.into()),
        ("trainedContext", info.n_ctx_train.into()),
        ("vocabSize", info.n_vocab.into()),
        ("weightBytes", bytes(fit.weight_bytes)),
        ("cacheBytes", bytes(fit.kv_bytes)),
        ("scratchBytes", bytes(fit.scratch_bytes)),
        ("memory", limit(fit.limits.memory)),
        ("maxBuffer", limit(fit.limits.buffer)),
        ("contextSize", fit.n_ctx.into()),
        ("batchSize", fit.n_batch.into()),
        ("kv", fit.kv.name().into()),
        ("maxContextSize", fit.max_n_ctx.into()),
        ("fits", fit.fits().into()),
        ("problem", fit.problem.as_deref().map_or(JsValue::NULL, JsValue::from)),
    ])
}
