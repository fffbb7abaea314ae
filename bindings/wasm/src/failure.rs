//! Errors as JavaScript sees them, and what happens after a panic.

use std::cell::RefCell;

use js_sys::Function;
use wasm_bindgen::prelude::*;

use crate::convert::set;

/// A JavaScript `Error` with the message, the stable number as `status`, and its name as `code`.
pub(crate) fn to_js(error: gabion::Error) -> JsValue {
    let object = js_sys::Error::new(&error.to_string());
    set(&object, "name", "GabionError");
    set(&object, "code", error.name());
    set(&object, "status", error.code());
    object.into()
}

thread_local! {
    static PANIC_HANDLER: RefCell<Option<Function>> = const { RefCell::new(None) };
}

/// Calls `handler(message)` when the core panics. A panic ends the whole instance: the promise that was waiting never
/// settles by itself, so the handler must reject it, and nothing here may be called again.
#[wasm_bindgen(js_name = onPanic)]
pub fn on_panic(handler: Function) {
    PANIC_HANDLER.with(|slot| *slot.borrow_mut() = Some(handler));
    std::panic::set_hook(Box::new(|info| {
        let message = JsValue::from(info.to_string());
        let handler = PANIC_HANDLER.with(|slot| slot.borrow().clone());
        // an exception from the handler has nowhere to go
        let _ = handler.map(|handler| handler.call1(&JsValue::NULL, &message));
    }));
}
