//! What the browser tests ask of the core beyond the public package: the text of every shader, and the op cases of
//! tests/cases on the browser's GPU and on wasm's CPU.
#![cfg(target_arch = "wasm32")]

pub use gabion_wasm::on_panic;

use std::sync::Arc;

use gabion::device::cpu::{Cpu, Level};
use gabion::device::gpu::{Gpu, GpuOptions};
use gabion::device::{Device, Precision};
use gabion_tests::ops;
use js_sys::Array;
use wasm_bindgen::prelude::*;

fn failed(error: gabion::Error) -> JsValue {
    js_sys::Error::new(&error.to_string()).into()
}

/// What a defect of the core does.
#[wasm_bindgen]
pub fn panic() {
    panic!("as asked");
}

/// Every permutation as `[name, WGSL]`.
#[wasm_bindgen]
pub fn shaders() -> Array {
    let pair = |shader: &gabion_shaders::Shader| Array::of2(&shader.name.into(), &shader.source.into());
    gabion_shaders::SHADERS.iter().map(pair).collect()
}

/// How an answer compares with the f64 reference.
#[wasm_bindgen]
pub struct Report {
    /// Largest error in units of what the tolerance allows.
    pub worst: f64,
    /// Normalized mean squared error.
    pub nmse: f64,
    /// Whether both are within the case's tolerance.
    pub passed: bool,
    /// Whether the same answer fails once an element is off: a comparison that cannot fail proves nothing.
    pub notices: bool,
}

/// A device to run op cases on.
#[wasm_bindgen]
pub struct Ops(Arc<dyn Device>);

#[wasm_bindgen]
impl Ops {
    /// The CPU in wasm.
    pub fn cpu() -> Result<Ops, JsValue> {
        Ok(Self(Cpu::new(Some(1), Level::best()).map_err(failed)?))
    }

    /// The browser's adapter; `default_limits` asks for no more than every WebGPU adapter has.
    pub async fn gpu(default_limits: bool) -> Result<Ops, JsValue> {
        let options = GpuOptions { allow_software: true, default_limits, ..GpuOptions::default() };
        Ok(Self(Gpu::with_options(&options).await.map_err(failed)?))
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.0.info().name.clone()
    }

    /// Names of its op cases that contain `filter`, or of some where nothing is asked for on a GPU: a browser compiles each
    /// kernel for seconds.
    pub fn cases(&self, filter: &str) -> Vec<String> {
        let some = filter.is_empty() && self.0.info().threads == 0;
        let cases = if some { ops::some_cases(filter, 11) } else { ops::cases(filter) };
        cases.into_iter().map(|case| case.name).collect()
    }

    /// Runs the case of exactly this name.
    pub async fn run(&self, name: String, exact: bool) -> Result<Report, JsValue> {
        let found = ops::cases(&name).into_iter().find(|case| case.name == name);
        let case = found.ok_or_else(|| JsValue::from(format!("no case is called '{name}'")))?;
        let built = ops::build(&case);
        let (precision, tolerance) =
            if exact { (Precision::Exact, &case.exact) } else { (Precision::Fast, &case.fast) };
        let mut answer = ops::run(self.0.clone(), &built, precision, case.seed).await.map_err(failed)?;
        let ops::Report { worst, nmse, passed, .. } = ops::compare(&answer, &built, tolerance);
        spoil(&mut answer, built.scale as f32);
        let notices = !ops::compare(&answer, &built, tolerance).passed;
        Ok(Report { worst, nmse, passed, notices })
    }
}

/// Moves the middle element by a tenth of itself and of the typical size.
fn spoil(answer: &mut [f32], scale: f32) {
    let middle = answer.len() / 2;
    answer[middle] += 0.1 * (answer[middle].abs() + scale);
}
