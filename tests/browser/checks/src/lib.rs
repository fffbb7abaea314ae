//! What the browser tests ask of the core beyond the public package: the text of every shader, and the op cases of
//! tests/cases on the browser's GPU and on wasm's CPU.
#![cfg(target_arch = "wasm32")]

pub use gabion_wasm::on_panic;

use std::sync::Arc;

use gabion::device::cpu::{self, Cpu};
use gabion::device::gpu::{Gpu, GpuOptions, Level};
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
    let pair = |shader: &gabion_shaders::Shader| Array::of2(&shader.name.into(), &shader.source().into());
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

/// What a GPU takes by itself after timing what it can, for one row and for many. Software adapters are not timed otherwise.
#[wasm_bindgen(js_name = tunedLevels)]
pub async fn tuned_levels() -> Result<Vec<String>, JsValue> {
    let options = GpuOptions { allow_software: true, tune: Some(true), ..GpuOptions::default() };
    let gpu = Gpu::with_options(&options).await.map_err(failed)?;
    Ok(gpu.levels(Precision::Fast).map(|level| level.name().into()).into())
}

/// A device to run op cases on, and the level that a GPU was asked for.
#[wasm_bindgen]
pub struct Ops {
    device: Arc<dyn Device>,
    level: Level,
    /// All cases, which take long to read.
    all: Vec<ops::Case>,
}

#[wasm_bindgen]
impl Ops {
    /// The CPU in wasm.
    pub fn cpu() -> Result<Ops, JsValue> {
        let device = Cpu::new(Some(1), cpu::Level::best()).map_err(failed)?;
        Ok(Self { device, level: Level::Int8, all: ops::cases("") })
    }

    /// The browser's adapter at a level; `default_limits` asks for no more than every WebGPU adapter has.
    pub async fn gpu(default_limits: bool, level: &str) -> Result<Ops, JsValue> {
        let level = Level::from_name(level).ok_or_else(|| JsValue::from(format!("no level is called '{level}'")))?;
        let options = GpuOptions { allow_software: true, default_limits, level: Some(level), ..GpuOptions::default() };
        Ok(Self { device: Gpu::with_options(&options).await.map_err(failed)?, level, all: ops::cases("") })
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.device.info().name.clone()
    }

    /// Names of its op cases that contain `filter`, or of some where nothing is asked for on a GPU: a browser compiles each
    /// kernel for seconds.
    pub fn cases(&self, filter: &str) -> Vec<String> {
        let some = filter.is_empty() && self.device.info().threads == 0;
        let cases = if some { ops::some_cases(filter, 23) } else { ops::cases(filter) };
        cases.into_iter().map(|case| case.name).collect()
    }

    /// Runs the case of exactly this name.
    pub async fn run(&self, name: String, exact: bool) -> Result<Report, JsValue> {
        let found = self.all.iter().find(|case| case.name == name).cloned();
        let case = found.ok_or_else(|| JsValue::from(format!("no case is called '{name}'")))?.at_level(self.level);
        let built = ops::build(&case);
        let (precision, tolerance) =
            if exact { (Precision::Exact, &case.exact) } else { (Precision::Fast, &case.fast) };
        let mut answer = ops::run(self.device.clone(), &built, precision, case.seed).await.map_err(failed)?;
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
