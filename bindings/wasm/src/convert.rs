//! Small helpers between Rust values and JavaScript objects.

use js_sys::{Function, Object, Promise, Reflect};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &Function, milliseconds: i32);
}

/// `object[key] = value`.
pub(crate) fn set(object: &JsValue, key: &str, value: impl Into<JsValue>) {
    // fails only on frozen objects and throwing setters; these objects are our own
    let _ = Reflect::set(object, &key.into(), &value.into());
}

/// A plain object of these entries.
pub(crate) fn object<const N: usize>(entries: [(&str, JsValue); N]) -> JsValue {
    let object = Object::new();
    for (key, value) in entries {
        set(&object, key, value);
    }
    object.into()
}

/// Gives the event loop a turn, so that messages (a cancel) and painting come through between blocks of CPU work.
pub(crate) async fn yield_to_events() {
    let promise = Promise::new(&mut |resolve, _| set_timeout(&resolve, 0));
    // a timer's promise is never rejected
    let _ = JsFuture::from(promise).await;
}

/// Waits for `value` if it is a promise.
pub(crate) async fn settle(value: JsValue) -> Result<JsValue, JsValue> {
    match value.dyn_into::<Promise>() {
        Ok(promise) => JsFuture::from(promise).await,
        Err(value) => Ok(value),
    }
}
