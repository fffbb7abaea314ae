//! `Runtime` and `Model`.

use gabion::{ChatOptions, DeviceInfo, DeviceKind, Message, Progress, RuntimeOptions};
use js_sys::{Array, Function};
use wasm_bindgen::prelude::*;

use crate::convert::object;
use crate::embedder::Embedder;
use crate::failure::to_js;
use crate::options::{self, JsEmbedderOptions, JsModelOptions, JsSessionOptions};
use crate::session::Session;
use crate::source::{JsFile, JsSource};

/// gabion's version.
#[wasm_bindgen]
pub fn version() -> String {
    gabion::VERSION.into()
}

/// A device to load models on.
#[wasm_bindgen]
pub struct Runtime(gabion::Runtime);

#[wasm_bindgen]
impl Runtime {
    /// Opens `auto`, `cpu`, `gpu`, or the adapter whose name contains `device`.
    pub async fn open(device: String, level: Option<String>) -> Result<Runtime, JsValue> {
        let options = RuntimeOptions { device, level, ..RuntimeOptions::default() };
        Ok(Self(gabion::Runtime::new_async(&options).await.map_err(to_js)?))
    }

    /// `DeviceInfo` of `js/types.ts`, for models that are loaded exactly or not.
    pub fn info(&self, exact: bool) -> JsValue {
        device_info(self.0.info(), self.0.levels(exact))
    }
}

impl Runtime {
    pub(crate) fn inner(&self) -> &gabion::Runtime {
        &self.0
    }
}

fn device_info(info: &DeviceInfo, levels: Option<[&str; 2]>) -> JsValue {
    let kind = match info.kind {
        DeviceKind::Cpu => "cpu",
        DeviceKind::Gpu => "gpu",
        DeviceKind::Software => "software",
    };
    let levels = levels.map_or(JsValue::NULL, |names| names.into_iter().map(JsValue::from).collect::<Array>().into());
    let [name, backend] = [&info.name, &info.backend].map(JsValue::from);
    object([("kind", kind.into()), ("name", name), ("backend", backend), ("levels", levels)])
}

/// A loaded model.
#[wasm_bindgen]
pub struct Model(gabion::Model);

#[wasm_bindgen]
impl Model {
    /// Loads a model from all its files, in order. `progress(loaded, total)`, in bytes of weights, may return false to
    /// cancel.
    pub async fn load(
        runtime: &Runtime,
        files: Vec<JsFile>,
        options: JsModelOptions,
        progress: Function,
    ) -> Result<Model, JsValue> {
        let options = options::model(&options).map_err(to_js)?;
        let files = files.into_iter().map(JsSource::new).collect();
        let mut tell = |Progress { loaded, total }| {
            let answer = progress.call2(&JsValue::NULL, &(loaded as f64).into(), &(total as f64).into());
            answer.is_ok_and(|go_on| go_on != JsValue::FALSE)
        };
        Ok(Self(gabion::Model::load(files, &runtime.0, &options, &mut tell).await.map_err(to_js)?))
    }

    /// `ModelInfo` of `js/types.ts`, without the device.
    pub fn info(&self) -> JsValue {
        let text = |key| self.0.header().str(key).ok().flatten().map_or(JsValue::NULL, JsValue::from);
        object([
            ("architecture", text("general.architecture")),
            ("name", text("general.name")),
            ("vocabSize", self.0.n_vocab().into()),
            ("trainedContext", self.0.spec().n_ctx_train.into()),
            ("weightBytes", (self.0.weight_bytes() as f64).into()),
            ("hasChatTemplate", self.0.has_chat_template().into()),
        ])
    }

    /// Token ids of `text`.
    pub fn tokenize(&self, text: &str, add_special: bool, parse_special: bool) -> Result<Vec<u32>, JsValue> {
        self.0.tokenize(text, add_special, parse_special).map_err(to_js)
    }

    /// Text of token ids.
    pub fn detokenize(&self, tokens: &[u32], special: bool) -> Result<String, JsValue> {
        self.0.detokenize(tokens, special).map_err(to_js)
    }

    /// Token ids of a conversation whose message `i` is `contents[i]` by `roles[i]`.
    #[wasm_bindgen(js_name = chatTokens)]
    pub fn chat_tokens(&self, roles: Vec<String>, contents: Vec<String>, answer: bool) -> Result<Vec<u32>, JsValue> {
        let messages = roles.into_iter().zip(contents).map(|(role, content)| Message { role, content });
        let options = ChatOptions { add_generation_prompt: answer, ..ChatOptions::default() };
        self.0.chat_tokens(&messages.collect::<Vec<_>>(), &options).map_err(to_js)
    }

    /// Makes vectors or scores of texts.
    pub fn embedder(&self, options: &JsEmbedderOptions) -> Result<Embedder, JsValue> {
        let options = options::embedder(options).map_err(to_js)?;
        Ok(Embedder::new(self.0.embedder(&options).map_err(to_js)?))
    }

    /// A new session, with an empty context.
    pub fn session(&self, options: &JsSessionOptions) -> Result<Session, JsValue> {
        let options = options::session(options).map_err(to_js)?;
        Ok(Session::new(self.0.session(&options).map_err(to_js)?))
    }
}
