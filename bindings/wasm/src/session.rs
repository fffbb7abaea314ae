//! `Session`: one timeline. A second call while one runs is an error, not a wait.

use std::cell::{RefCell, RefMut};
use std::rc::Rc;

use gabion::{CancelFlag, DeviceKind, Error, Synced};
use js_sys::Float32Array;
use wasm_bindgen::prelude::*;

use crate::convert::{object, yield_to_events};
use crate::failure::to_js;

/// Prompt tokens that the CPU computes before the event loop gets a turn.
const CPU_BLOCK: usize = 32;

/// One timeline of tokens over a model.
#[wasm_bindgen]
pub struct Session {
    inner: Rc<RefCell<gabion::Session>>,
    cancel: CancelFlag,
}

impl Session {
    pub(crate) fn new(session: gabion::Session) -> Self {
        let cancel = session.cancel_flag();
        Self { inner: Rc::new(RefCell::new(session)), cancel }
    }

    pub(crate) fn lock(&self) -> Result<RefMut<'_, gabion::Session>, Error> {
        let busy = |_| Error::Busy("a call of this session is running: end or cancel it first".into());
        self.inner.try_borrow_mut().map_err(busy)
    }
}

#[wasm_bindgen]
impl Session {
    /// Makes the context exactly `tokens`. Gives `{reused, computed}`.
    pub async fn sync(&self, tokens: Vec<u32>) -> Result<JsValue, JsValue> {
        let synced = sync(&mut *self.lock().map_err(to_js)?, &tokens).await.map_err(to_js)?;
        Ok(object([("reused", synced.reused.into()), ("computed", synced.computed.into())]))
    }

    /// Appends one token.
    pub async fn step(&self, token: u32) -> Result<(), JsValue> {
        self.lock().map_err(to_js)?.step_async(token).await.map_err(to_js)
    }

    /// -ln p of every token but the first.
    pub async fn score(&self, tokens: Vec<u32>) -> Result<Float32Array, JsValue> {
        let nll = self.lock().map_err(to_js)?.score_async(&tokens).await.map_err(to_js)?;
        Ok(Float32Array::from(nll.as_slice()))
    }

    /// Logits after the last token; empty where there are none.
    pub async fn logits(&self) -> Result<Float32Array, JsValue> {
        let mut session = self.lock().map_err(to_js)?;
        Ok(Float32Array::from(session.computed_logits_async().await.map_err(to_js)?))
    }

    /// The session as bytes.
    pub async fn save(&self) -> Result<Vec<u8>, JsValue> {
        self.lock().map_err(to_js)?.save_async().await.map_err(to_js)
    }

    /// Makes the session one that was saved.
    pub fn restore(&self, saved: &[u8]) -> Result<(), JsValue> {
        self.lock().map_err(to_js)?.restore(saved).map_err(to_js)
    }

    /// Another session with the same contents.
    pub fn fork(&self) -> Result<Session, JsValue> {
        Ok(Self::new(self.lock().map_err(to_js)?.fork().map_err(to_js)?))
    }

    /// Tokens in the context.
    pub fn tokens(&self) -> Result<Vec<u32>, JsValue> {
        Ok(self.lock().map_err(to_js)?.tokens().to_vec())
    }

    /// `SessionInfo` of `js/types.ts`.
    pub fn info(&self) -> Result<JsValue, JsValue> {
        let session = self.lock().map_err(to_js)?;
        Ok(object([("contextSize", session.n_ctx().into()), ("bytes", (session.bytes() as f64).into())]))
    }

    /// Empties the context.
    pub fn clear(&self) -> Result<(), JsValue> {
        self.lock().map_err(to_js)?.clear();
        Ok(())
    }

    /// Makes the running call end with code `cancelled`.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }
}

/// Like the core's `sync_async`. The CPU device computes on this thread, so a long prompt goes in blocks, with a turn of
/// the event loop between them in which a cancel can arrive.
pub(crate) async fn sync(session: &mut gabion::Session, tokens: &[u32]) -> gabion::Result<Synced> {
    let mut earlier = None;
    // what does not fit is refused before anything is computed
    if session.model().device().kind == DeviceKind::Cpu && tokens.len() <= session.n_ctx() {
        let known = session.tokens().iter().zip(tokens).take_while(|(a, b)| a == b).count();
        let cancel = session.cancel_flag();
        for end in (known + CPU_BLOCK..tokens.len()).step_by(CPU_BLOCK) {
            let synced = session.sync_async(&tokens[..end]).await?;
            earlier.get_or_insert(synced.reused);
            yield_to_events().await;
            cancel.check()?;
        }
    }
    let last = session.sync_async(tokens).await?;
    let reused = earlier.unwrap_or(last.reused);
    Ok(Synced { reused, computed: tokens.len() - reused })
}
