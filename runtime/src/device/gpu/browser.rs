//! What wgpu's browser backend leaves out: subgroups, which it neither asks for nor tells of (gfx-rs/wgpu#10146), and the language's
//! features, for it panics where their set is not a browser's own (Dawn in Node).

use js_sys::{Array, Function, Object, Proxy, Reflect};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};

const FEATURE: &str = "subgroups";
const METHOD: &str = "requestDevice";

/// Runs `request`, in which wgpu asks the browser for a device, so that it asks for subgroups, too, if the adapter has them.
/// Meanwhile `GPUAdapter.prototype.requestDevice` is another function; no script runs until it is itself again.
pub(super) fn with_subgroups<T>(request: impl FnOnce() -> T) -> T {
    let Some((prototype, own)) = method() else { return request() };
    let asking: Closure<dyn Fn(Function, JsValue, Array) -> Result<JsValue, JsValue>> =
        Closure::new(|own: Function, adapter: JsValue, arguments: Array| {
            ask(&adapter, &arguments.get(0));
            Reflect::apply(&own, &adapter, &arguments)
        });
    let handler = Object::new();
    set(&handler, "apply", asking.as_ref());
    set(&prototype, METHOD, Proxy::new(&own, &handler).as_ref());
    let requested = request();
    set(&prototype, METHOD, &own);
    requested
}

/// Whether a device was opened with subgroups.
pub(super) fn has_subgroups(device: &wgpu::Device) -> bool {
    device.as_webgpu().is_some_and(|device| holds(device.as_ref(), "features", FEATURE))
}

/// Whether WGSL has dot products of bytes here.
pub(super) fn has_dot_products() -> bool {
    let gpu = get(&js_sys::global(), "navigator").and_then(|navigator| get(&navigator, "gpu"));
    gpu.is_some_and(|gpu| holds(&gpu, "wgslLanguageFeatures", "packed_4x8_integer_dot_product"))
}

/// Adds the feature to a device's descriptor.
fn ask(adapter: &JsValue, descriptor: &JsValue) {
    let features = get(descriptor, "requiredFeatures").and_then(|features| features.dyn_into::<Array>().ok());
    if let (Some(features), true) = (features, holds(adapter, "features", FEATURE)) {
        features.push(&FEATURE.into());
    }
}

/// Whether the set of this name holds a feature.
fn holds(of: &JsValue, set: &str, feature: &str) -> bool {
    let found = get(of, set).and_then(|set| {
        let has = get(&set, "has")?.dyn_into::<Function>().ok()?;
        has.call1(&set, &feature.into()).ok()
    });
    found == Some(JsValue::TRUE)
}

/// The adapters' prototype and its method.
fn method() -> Option<(JsValue, Function)> {
    let prototype = get(&get(&js_sys::global(), "GPUAdapter")?, "prototype")?;
    let own = get(&prototype, METHOD)?.dyn_into().ok()?;
    Some((prototype, own))
}

fn get(from: &JsValue, name: &str) -> Option<JsValue> {
    Reflect::get(from, &name.into()).ok()
}

/// Where it cannot be set, subgroups are not asked for, and `has_subgroups` tells.
fn set(on: &JsValue, name: &str, value: &JsValue) {
    _ = Reflect::set(on, &name.into(), value);
}
