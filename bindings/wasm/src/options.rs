//! Options that TypeScript has checked, read field by field.

use gabion::{EmbedderOptions, Gelu, GenerateOptions, KvType, ModelOptions, Pooling, SamplerOptions, SessionOptions};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// What of `LoadOptions` of `js/types.ts` is about the model.
    pub type JsModelOptions;
    #[wasm_bindgen(method, getter)]
    fn exact(this: &JsModelOptions) -> Option<bool>;
    #[wasm_bindgen(method, getter)]
    fn gelu(this: &JsModelOptions) -> Option<String>;

    /// `SessionOptions` of `js/types.ts`.
    pub type JsSessionOptions;
    #[wasm_bindgen(method, getter, js_name = contextSize)]
    fn context_size(this: &JsSessionOptions) -> Option<u32>;
    #[wasm_bindgen(method, getter, js_name = batchSize)]
    fn batch_size(this: &JsSessionOptions) -> Option<u32>;
    #[wasm_bindgen(method, getter)]
    fn kv(this: &JsSessionOptions) -> Option<String>;

    /// `EmbedderOptions` of `js/types.ts`.
    pub type JsEmbedderOptions;
    #[wasm_bindgen(method, getter, js_name = maxTokens)]
    fn max_tokens(this: &JsEmbedderOptions) -> Option<u32>;
    #[wasm_bindgen(method, getter, js_name = batchTokens)]
    fn batch_tokens(this: &JsEmbedderOptions) -> Option<u32>;
    #[wasm_bindgen(method, getter)]
    fn dimensions(this: &JsEmbedderOptions) -> Option<u32>;
    #[wasm_bindgen(method, getter)]
    fn pooling(this: &JsEmbedderOptions) -> Option<String>;
    #[wasm_bindgen(method, getter)]
    fn normalize(this: &JsEmbedderOptions) -> Option<bool>;
    #[wasm_bindgen(method, getter)]
    fn truncate(this: &JsEmbedderOptions) -> Option<bool>;
    #[wasm_bindgen(method, getter, js_name = queryPrefix)]
    fn query_prefix(this: &JsEmbedderOptions) -> Option<String>;
    #[wasm_bindgen(method, getter, js_name = documentPrefix)]
    fn document_prefix(this: &JsEmbedderOptions) -> Option<String>;

    /// `GenerateOptions` of `js/types.ts`.
    pub type JsGenerateOptions;
    #[wasm_bindgen(method, getter, js_name = maxTokens)]
    fn max_tokens(this: &JsGenerateOptions) -> Option<u32>;
    #[wasm_bindgen(method, getter)]
    fn temperature(this: &JsGenerateOptions) -> Option<f32>;
    #[wasm_bindgen(method, getter, js_name = topK)]
    fn top_k(this: &JsGenerateOptions) -> Option<u32>;
    #[wasm_bindgen(method, getter, js_name = topP)]
    fn top_p(this: &JsGenerateOptions) -> Option<f32>;
    #[wasm_bindgen(method, getter, js_name = minP)]
    fn min_p(this: &JsGenerateOptions) -> Option<f32>;
    #[wasm_bindgen(method, getter)]
    fn seed(this: &JsGenerateOptions) -> Option<u64>;
    #[wasm_bindgen(method, getter)]
    fn stop(this: &JsGenerateOptions) -> Option<Vec<String>>;
    #[wasm_bindgen(method, getter, js_name = ignoreEog)]
    fn ignore_eog(this: &JsGenerateOptions) -> Option<bool>;
    #[wasm_bindgen(method, getter)]
    fn logprobs(this: &JsGenerateOptions) -> Option<u32>;
}

pub(crate) fn model(js: &JsModelOptions) -> Result<ModelOptions, gabion::Error> {
    let known = |name: &String| match name.as_str() {
        "tanh" => Ok(Gelu::Tanh),
        "erf" => Ok(Gelu::Erf),
        _ => Err(gabion::Error::InvalidArgument(format!("gelu '{name}': tanh and erf are known"))),
    };
    Ok(ModelOptions { exact: js.exact().unwrap_or(false), gelu: js.gelu().as_ref().map(known).transpose()? })
}

pub(crate) fn session(js: &JsSessionOptions) -> Result<SessionOptions, gabion::Error> {
    let known = |name: &String| {
        let error = || format!("kv '{name}': f16, f32, q8_0 and q4_0 are known");
        KvType::from_name(name).ok_or_else(|| gabion::Error::InvalidArgument(error()))
    };
    let kv = js.kv().as_ref().map(known).transpose()?;
    let (n_ctx, n_batch) = (js.context_size().unwrap_or(0) as usize, js.batch_size().unwrap_or(0) as usize);
    Ok(SessionOptions { n_ctx, n_batch, kv })
}

pub(crate) fn embedder(js: &JsEmbedderOptions) -> Result<EmbedderOptions, gabion::Error> {
    let known = |name: &String| match name.as_str() {
        "none" => Ok(Pooling::None),
        "mean" => Ok(Pooling::Mean),
        "cls" => Ok(Pooling::First),
        "last" => Ok(Pooling::Last),
        _ => Err(gabion::Error::InvalidArgument(format!("pooling '{name}': none, mean, cls and last are known"))),
    };
    let size = |n: Option<u32>| n.unwrap_or(0) as usize;
    Ok(EmbedderOptions {
        max_tokens: size(js.max_tokens()),
        batch_tokens: size(js.batch_tokens()),
        dimensions: size(js.dimensions()),
        pooling: js.pooling().as_ref().map(known).transpose()?,
        normalize: js.normalize().unwrap_or(true),
        truncate: js.truncate().unwrap_or(false),
        query_prefix: js.query_prefix().unwrap_or_default(),
        document_prefix: js.document_prefix().unwrap_or_default(),
    })
}

pub(crate) fn generate(js: &JsGenerateOptions) -> GenerateOptions {
    GenerateOptions {
        max_tokens: js.max_tokens().map(|n| n as usize),
        sampler: sampler(js),
        stop: js.stop().unwrap_or_default(),
        ignore_eog: js.ignore_eog().unwrap_or(false),
        logprobs: js.logprobs().unwrap_or(0) as usize,
    }
}

fn sampler(js: &JsGenerateOptions) -> SamplerOptions {
    let default = SamplerOptions::default();
    SamplerOptions {
        temperature: js.temperature().unwrap_or(default.temperature),
        top_k: js.top_k().map_or(default.top_k, |k| k as usize),
        top_p: js.top_p().unwrap_or(default.top_p),
        min_p: js.min_p().unwrap_or(default.min_p),
        seed: js.seed().unwrap_or(default.seed),
    }
}
