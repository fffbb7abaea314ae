//! Generation: pieces are pushed to a JavaScript function, which may return a promise to be waited for before the next.

use gabion::{Generation, Piece, StopReason, Token};
use js_sys::{Array, Function};
use wasm_bindgen::prelude::*;

use crate::convert::{object, settle};
use crate::failure::to_js;
use crate::options::{self, JsGenerateOptions};
use crate::session::{self, Session};

#[wasm_bindgen]
impl Session {
    /// Makes the context `tokens`, calls `prompt(reused, computed)`, generates, and calls `piece(text, token)` for each
    /// piece; `token` is null in a last piece that only brings held-back text. Gives why it ended.
    pub async fn generate(
        &self,
        tokens: Vec<u32>,
        options: JsGenerateOptions,
        prompt: Function,
        piece: Function,
    ) -> Result<String, JsValue> {
        let options = options::generate(&options);
        let mut session = self.lock().map_err(to_js)?;
        let synced = match session.model().decoder_start() {
            Some(_) => session.encode_async(&tokens).await,
            None => session::sync(&mut session, &tokens).await,
        };
        let synced = synced.map_err(to_js)?;
        prompt.call2(&JsValue::NULL, &synced.reused.into(), &synced.computed.into())?;
        let (mut generation, _) = session.generate_async(&tokens, &options).await.map_err(to_js)?;
        push_all(&mut generation, &piece).await?;
        Ok(generation.stop_reason().map_or("", StopReason::as_str).into())
    }
}

async fn push_all(generation: &mut Generation<'_>, sink: &Function) -> Result<(), JsValue> {
    while let Some(Piece { token, text }) = generation.next_async().await.map_err(to_js)? {
        let token = token.map_or(JsValue::NULL, token_to_js);
        settle(sink.call2(&JsValue::NULL, &text.into(), &token)?).await?;
    }
    Ok(())
}

/// `Token` of `js/types.ts`.
fn token_to_js(token: Token) -> JsValue {
    let pair = |(id, logprob): (u32, f32)| Array::of2(&id.into(), &logprob.into());
    let top: Array = token.top.into_iter().map(pair).collect();
    let logprob = if token.logprob.is_nan() { JsValue::NULL } else { token.logprob.into() };
    object([("id", token.id.into()), ("logprob", logprob), ("top", top.into())])
}
